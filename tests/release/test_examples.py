"""Claims about the choice of the examples: only clips that are answered correctly, each with its source and licence."""

import io
import json

import numpy as np
import pytest
import soundfile
from samples import waveform

from speecheq.release import examples
from speecheq.release.examples import Clip, Slot


def clip(
    name: str, label: str, score: float, corpus: str = "nemo", gender: str = "male", seconds: float = 1.0
) -> Clip:
    speaker = f"{corpus}/{name.split('_')[0]}"
    return Clip(f"{corpus}/{name}", speaker, gender, label, np.full(int(16_000 * seconds), 0.1, np.float32), score)


class Answers:
    """A pipeline that gives each clip the next of some labels, the same on each scale, and a timeline of them."""

    def __init__(self, *timelines: list[str]):
        self.timelines, self.heard = list(timelines), []

    def __call__(self, audio: dict, scale: str) -> dict:
        if scale == "fine":
            self.heard.append(len(audio["array"]))
        labels = self.timelines[len(self.heard) - 1]
        coarse = [examples.coarse(label, scale) for label in labels]
        return {"label": coarse[0], "timeline": [{"label": label} for label in coarse]}


def row(name: str, esc: list[str] | None, gender: str, duration: float) -> dict:
    file = io.BytesIO()
    soundfile.write(file, waveform(0.1), 16_000, format="FLAC")
    corpus, speaker = "nemo", f"nemo/{name.split('_')[0]}"
    labels = {"id": f"nemo/{name}", "corpus": corpus, "speaker_id": speaker, "gender": gender, "esc": esc}
    return labels | {"duration": duration, "audio": {"bytes": file.getvalue()}}


def test_a_candidate_has_one_label_the_gender_of_the_slot_and_at_most_four_seconds():
    rows = [
        row("A_1", ["sad"], "male", 2.0),
        row("A_2", ["sad"], "female", 2.0),
        row("A_3", ["sad", "bored"], "male", 2.0),
        row("A_4", None, "male", 2.0),
        row("A_5", ["sad"], "male", 4.1),
        row("B_6", ["angry"], "female", 2.0),
    ]
    slots = [Slot("nemo", ("sad",), "male"), Slot("nemo", ("angry",), None), Slot("ravdess", ("sad",), "female")]

    assert [found.id for found in examples.candidates(rows, slots)] == ["nemo/A_1", "nemo/B_6"]


def test_the_best_clip_that_is_right_on_every_scale_is_chosen():
    ranked = [clip("A_1", "fear", 0.9), clip("A_2", "fear", 0.8), clip("A_3", "fear", 0.7), clip("A_4", "fear", 0.0)]
    slot = Slot("nemo", ("fear",), "male")

    assert examples.choose(Answers(["sad"], ["fear", "angry"], ["fear"]), slot, ranked)[0].id == "nemo/A_3"
    assert examples.choose(Answers(["sad"], ["sad"], ["sad"]), slot, ranked) is None


def test_joined_clips_are_of_one_speaker_and_have_a_pause_between_them():
    ranked = [clip("A_1", "sad", 0.9), clip("B_2", "angry", 0.9), clip("A_3", "angry", 0.5, seconds=2.0)]
    pipe = Answers(["sad", "sad", "angry"])

    chosen = examples.choose(pipe, Slot("nemo", ("sad", "angry"), None), ranked)

    assert [each.id for each in chosen] == ["nemo/A_1", "nemo/A_3"]
    assert pipe.heard == [16_000 + 9_600 + 32_000]
    assert examples.choose(Answers(["angry", "sad"]), Slot("nemo", ("sad", "angry"), None), ranked) is None


def test_the_files_have_their_sources_and_replace_the_old_ones(tmp_path):
    (tmp_path / "old.wav").touch()
    chosen = {
        "sad_pl": (clip("KS0_sadness_1", "sad", 0.9),),
        "angry_bn": (clip("03-01-03-02-01-01-20", "angry", 0.9, "banglaser"),),
        "sad_then_sad_pl": (clip("KS0_sadness_2", "sad", 0.9), clip("KS0_sadness_3", "sad", 0.9)),
    }

    examples.write(tmp_path, chosen)

    assert {path.name for path in tmp_path.glob("*.wav")} == {f"{name}.wav" for name in (*chosen, "noise_no_speech")}
    assert soundfile.info(tmp_path / "sad_then_sad_pl.wav").frames == 41_600
    assert soundfile.read(tmp_path / "sad_pl.wav")[0][0] == pytest.approx(0.1, abs=1e-4)
    page = (tmp_path / "ATTRIBUTION.md").read_text()
    assert (
        "| `sad_then_sad_pl.wav` | [nemo](https://github.com/amu-cai/nEMO) | `KS0_sadness_2`, `KS0_sadness_3` | "
        "[CC BY-NC-SA 4.0](https://creativecommons.org/licenses/by-nc-sa/4.0/) | joined with a pause of 0.6 s |\n"
    ) in page
    assert "| `03-01-03-02-01-01-20` | [CC BY 4.0](https://creativecommons.org/licenses/by/4.0/) | none |\n" in page
    assert page.count("- nemo: Christop, nEMO") == 1 and "- banglaser: Das et al., BanglaSER" in page


def test_too_many_or_too_large_clips_are_refused_and_the_old_files_stay(tmp_path):
    (tmp_path / "old.wav").touch()
    with pytest.raises(ValueError, match=r"at most 8 clips and 1,048,576 bytes are allowed; got 9 clips and "):
        examples.write(tmp_path, {f"sad_{number}": (clip("A_1", "sad", 0.9),) for number in range(9)})
    with pytest.raises(ValueError, match=r"got 1 clips and 1,299,288 bytes. Choose shorter clips."):
        examples.write(tmp_path, {"sad_pl": (clip("A_1", "sad", 0.9, seconds=40.0),)})
    assert [path.name for path in tmp_path.iterdir()] == ["old.wav"]


def test_every_slot_has_a_corpus_whose_licence_permits_examples_and_a_name_that_says_its_labels():
    for name, slot in examples.SLOTS.items():
        corpus = examples.get_adapter(slot.corpus)
        assert corpus.REDISTRIBUTABLE and corpus.LICENSE in examples.LICENSES
        assert name.rpartition("_")[0] == "_then_".join(slot.labels)
    assert sum(len(slot.labels) for slot in examples.SLOTS.values()) <= examples.MAX_CLIPS
    assert json.dumps(list(examples.SLOTS)).count("sad_then_angry") == 1
