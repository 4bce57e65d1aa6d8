"""Claims about the examples of the page: the checkpoint answers each with the labels in its name."""

from itertools import groupby

import pytest
import soundfile
from samples import ROOT
from transformers import Pipeline, pipeline

FOLDER = ROOT / "space" / "examples"
FILES = sorted(FOLDER.glob("*.wav"))
PICTURE = ROOT / "results" / "timeline.svg"


@pytest.fixture(scope="module")
def checkpoint() -> Pipeline:
    return pipeline(model=str(ROOT), trust_remote_code=True)


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_an_example_is_answered_by_the_labels_in_its_name(checkpoint, file):
    if file.stem == "noise_no_speech":
        pytest.importorskip("silero_vad")

    answer = checkpoint(str(file))

    if file.stem == "noise_no_speech":
        assert answer["label"] is None and answer["abstained"] == "no speech"
        return
    labels = file.stem.rpartition("_")[0].split("_then_")
    assert [label for label, _ in groupby(segment["label"] for segment in answer["timeline"])] == labels
    assert len(labels) > 1 or [answer["label"]] == labels


def test_the_examples_are_few_and_small_and_have_their_sources():
    attribution = (FOLDER / "ATTRIBUTION.md").read_text()
    rows = {line.split("`")[1]: line for line in attribution.splitlines() if line.startswith("| `")}

    assert set(rows) == {file.name for file in FILES}
    assert sum(file.stat().st_size for file in FOLDER.iterdir()) <= 2**20
    clips = [row.split(" | ")[2].count("`") // 2 for row in rows.values()]
    assert sum(clips) <= 8 and len(FILES) >= 6
    for name, row in rows.items():
        assert "CC BY" in row or name == "noise_no_speech.wav"
    assert {soundfile.info(file).subtype for file in FILES} == {"PCM_16"}


def test_the_picture_of_the_model_card_shows_the_labels_of_its_recording():
    assert f"]({PICTURE.relative_to(ROOT).as_posix()})" in (ROOT / "README.md").read_text()
    assert PICTURE.stat().st_size < 100_000
    drawn = PICTURE.read_text()
    assert ">sad<" in drawn and ">angry<" in drawn
