"""Claims about the load test of the page: its requests, and its faults."""

import inspect
import json
import os
import time
from collections import Counter

import numpy as np
import pytest

pytest.importorskip("gradio")
import app
import httpx
import space_load


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (None, "refused by the server"),
        ({"label": "sad", "abstained": None}, "answer"),
        ({"label": None, "abstained": "no speech"}, "abstention"),
        ({"error": "This recording is too short (0.01 s). Try another."}, "error, This recording is too short"),
    ],
)
def test_an_answer_has_a_kind(answer, kind):
    assert space_load.outcome(answer) == kind


def test_a_request_has_a_value_for_each_input_of_the_page():
    sent = []

    def server(request: httpx.Request) -> httpx.Response:
        sent.extend(json.loads(request.content)["data"] if request.method == "POST" else [])
        return httpx.Response(200, json={"event_id": "1"})

    with httpx.Client(base_url="http://server/", transport=httpx.MockTransport(server)) as client:
        space_load.call(client, "/tmp/a.wav")
    _, *inputs = inspect.signature(app.Recogniser.recognise).parameters
    assert len(sent) == len(inputs) == 3


def test_a_server_that_takes_what_it_must_refuse_and_fails_on_what_is_good_is_at_fault():
    def naive(request: httpx.Request) -> httpx.Response:
        if request.url.path.endswith("upload"):
            return httpx.Response(200, json=["/tmp/a.wav"])
        if request.method == "POST":
            return httpx.Response(200, json={"event_id": "1"})
        return httpx.Response(200, text='event: complete\ndata: [{"error": "no"}]\n\n')

    load, found = space_load.Load("http://server/", users=1), Counter()
    with httpx.Client(base_url=load.server, transport=httpx.MockTransport(naive)) as client:
        for chance in (0.005, 0.015, 0.5):
            found[load._ask(client, chance, iter(()), space_load.EXAMPLES[0]).split(":")[0]] += 1
    assert found == {"server fault": 2, "good recording failed": 1}
    assert all(kind.startswith(space_load.FAULTS) for kind in found)


def test_the_report_has_the_times_the_state_of_the_server_and_the_slope_of_its_memory():
    load, watch = space_load.Load("http://server/", users=1), space_load.Watch(os.getpid())
    load.counts, load.seconds = Counter({"good recording: answer": 100}), list(np.linspace(0.01, 1.0, 100))
    watch.states = [(minute, {"MB": 400 + 30 * minute}) for minute in range(11)]
    watch.states += [(minute, {"MB": 700 + minute // 2}) for minute in range(11, 61)]
    lines = space_load.report(load, watch, 12.0, (3, 1))
    assert lines[1] == "response time: median 0.51 s, 95 % within 0.96 s"
    assert lines[2:6] == [
        "server after 0 min: 400 MB",
        "server after 12 min: 706 MB",
        "server after 36 min: 718 MB",
        "server after 60 min: 730 MB",
    ]
    assert lines[6] == "memory from minute 12 to 60: +0.50 MB a minute"
    assert lines[7] == "temporary files left: 3, 1 MiB"
    assert np.isnan(watch.slope(after=59.5))


def test_a_process_is_measured_while_the_load_runs():
    with space_load.Watch(os.getpid(), interval=0.01) as watch:
        time.sleep(0.1)
    assert len(watch.states) >= 3 and watch.states[-1][1]["MB"] > 50
