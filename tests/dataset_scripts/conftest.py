"""Tiny generated corpora in their official layouts."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile

from speecheq.dataset_scripts.build.builder import build

NEMO_HEADER = "file_id\temotion\traw_text\tnormalized_text\tspeaker_id\tgender\tage\n"
EMOTALE_HEADER = "file,a1_A,a1_V,a1_D,a1_cat,a2_A,a2_V,a2_D,a2_cat,a3_A,a3_V,a3_D,a3_cat,gt_emotion\n"


def write_tone(path: Path, seconds: float = 0.2, frequency: float = 220, rate: int = 16_000) -> Path:
    """Write a 16-bit tone."""
    path.parent.mkdir(parents=True, exist_ok=True)
    time = np.arange(int(seconds * rate)) / rate
    soundfile.write(path, 0.3 * np.sin(2 * np.pi * frequency * time), rate, subtype="PCM_16", format="WAV")
    return path


@pytest.fixture
def tone() -> Callable[..., Path]:
    return write_tone


def write_nemo(folder: Path) -> Path:
    """Three speakers, one utterance of each of two emotions."""
    lines = [NEMO_HEADER]
    for place, (speaker, gender, age) in enumerate([("EB0", "female", 27), ("KS0", "male", 23), ("WR0", "male", 23)]):
        for number, emotion in enumerate(["anger", "neutral"]):
            name = f"{speaker}_{emotion}_1.wav"
            lines.append(f"{name}\t{emotion}\tAby użyć.\taby użyć\t        {speaker}\t{gender}\t{age}\n")
            write_tone(folder / "samples" / name, frequency=200 + 50 * place + 10 * number)
    (folder / "data.tsv").write_text("".join(lines), encoding="utf-8")
    return folder


@pytest.fixture
def nemo(tmp_path) -> Path:
    return write_nemo(tmp_path / "nemo")


@pytest.fixture
def emotale(tmp_path) -> Path:
    """Two utterances of one speaker, in Danish and English; the third rater of the English one gave nothing."""
    folder = tmp_path / "emotale"
    write_tone(folder / "wav" / "DK_004_A_5.wav", frequency=207)
    write_tone(folder / "wav" / "EN_004_N_1.wav", frequency=307)
    (folder / "annotations.csv").write_text(
        EMOTALE_HEADER
        + "DK_004_A_5.wav,5.0,1.0,4.5,A,5.0,1.0,5.0,A,3.0,3.0,4.0,N,A\n"
        + "EN_004_N_1.wav,3.0,3.0,3.0,N,3.0,3.0,3.0,N,,,,,N\n"
    )
    (folder / "speaker_info.csv").write_text("speaker,gender,age\n004,M,24\n")
    return folder


def write_urdu(folder: Path) -> Path:
    """Four speakers, each with one angry and one sad utterance."""
    for place, speaker in enumerate(["SM1", "SM2", "SF1", "SF2"]):
        write_tone(folder / "Angry" / f"{speaker}_F1_A0{place}.wav", frequency=205 + 10 * place)
        write_tone(folder / "Sad" / f"{speaker}_F2_S0{place}.wav", frequency=305 + 10 * place)
    return folder


@pytest.fixture
def urdu(tmp_path) -> Path:
    return write_urdu(tmp_path / "urdu")


@pytest.fixture(scope="session")
def seqd(tmp_path_factory) -> Path:
    """A SEQD of nEMO and URDU. All tests share it, so no test may change it."""
    folder = tmp_path_factory.mktemp("built")
    build({"nemo": write_nemo(folder / "nemo"), "urdu": write_urdu(folder / "urdu")}, folder / "seqd")
    return folder / "seqd"
