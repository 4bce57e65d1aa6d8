"""Claims about the load test of the page: its requests, and its faults."""

import os
from collections import Counter

import numpy as np
import pytest

pytest.importorskip("gradio")
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
            found[load._ask(client, chance, iter(()), space_load.SPEECH[0]).split(":")[0]] += 1
    assert found == {"server fault": 2, "good recording failed": 1}
    assert all(kind.startswith(space_load.FAULTS) for kind in found)


def test_the_report_has_the_times_and_the_state_of_the_server():
    load = space_load.Load("http://server/", users=1)
    load.counts, load.seconds = Counter({"good recording: answer": 100}), list(np.linspace(0.01, 1.0, 100))
    lines = space_load.report(load, [{"MiB": 700}, {"MiB": 710}, {"MiB": 711}], (3, 1))
    assert lines[1] == "response time: median 0.51 s, 95 % within 0.96 s"
    assert lines[2] == "server at the start: 700 MiB" and lines[-1] == "temporary files left: 3, 1 MiB"
    assert space_load.state(os.getpid())["MiB"] > 50
