"""Claims about downloads that are not as documented: records of their own files, or `CorpusError` and nothing else."""

import math
import os
import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from speecheq.dataset_scripts.corpora import adapters
from speecheq.dataset_scripts.corpora.records import CorpusError, NativeRecord, Skipped

NAMES = {
    "ased": "03anger/a-01-02-01-12-f-07.wav", "banglaser": "03-01-04-02-03-01-15.wav", "baved": "3/47-m-20-3-2-1023.wav",
    "banglaser_ext": "complete/Actor - 36/03-01-06-01-04-02-36.wav", "emotiontts": "nea/wav/nea00101.wav",
    "aesdd": "anger/a06 (5).wav", "asvp_esd": "03-01-06-01-02-12-02-01-01-16.wav", "cafe": "Peur/Fort/08-P-2-1.wav",
    "emns": "cleaned_webm/recorded_audio_1.webm", "enterface": "subject 19/anger/sentence 4/s19_an_4.avi",
    "mer2023": "test1/sample_00000001.avi", "resd": "data/train-00000-of-00001.parquet",
    "emov_db": "bea_Neutral/neutral_113-140_0120.wav", "emozionalmente": "audio/1.wav", "mesd": "Neutral_F_B_elevado.wav",
    "oreau": "f/sesst/11a03Ta.wav", "pavoque": "pavoque-sad.flac", "polish": "m3.s_podaj_4.wav",
    "turev_db": "Sound Source/Angry/1157_kz_dil.wav",
    "casia": "liuchanhg/angry/201.wav", "crema_d": "AudioWAV/1001_DFA_ANG_XX.wav",
    "csemotions": "data/train-00000-of-00002.parquet", "emodb": "wav/03a01Fa.wav", "emotale": "wav/DK_004_A_5.wav",
    "emovo": "f1/dis-f1-b1.wav", "esd": "0001/Angry/0001_000351.wav", "jl_corpus": "female1_angry_1a_1.wav",
    "iemocap": "Session1/sentences/wav/Ses01F_impro01/Ses01F_impro01_F000.wav", "m3ed": "modality_speech/a/b_1_0.wav",
    "mead": "M003/video/front/angry/level_1/001.mp4", "meld": "train_splits/dia0_utt0.mp4", "nemo": "samples/EB0_anger_1.wav",
    "msp_podcast": "Audios/MSP-PODCAST_0001_0008.wav", "ravdess": "Actor_12/03-01-06-01-02-01-12.wav", "savee": "DC/a01.wav",
    "shemo": "female/F01A01.wav", "subesco": "F_01_OISHI_S_1_ANGRY_1.wav", "synthetic": "angry_high_1_en.wav",
    "tess": "OAF_angry/OAF_back_angry.wav", "urdu": "Angry/SM1_F1_A01.wav",
}  # fmt: skip
TABLES = (
    "data.tsv", "annotations.csv", "speaker_info.csv", "metadata.csv", "processedResults/tabulatedVotes.csv",
    "VideoDemographics.csv", "annotation.json", "train_sent_emo.csv", "dev_sent_emo.csv", "test_sent_emo.csv", "text.txt",
    "Labels/labels_consensus.csv", "Labels/labels_detailed.csv", "Session1/dialog/EmoEvaluation/Ses01F_impro01.txt",
    "Session1/dialog/transcriptions/Ses01F_impro01.txt", "db.emotion.categories.train.gold_standard.csv", "shemo.json",
    "pavoque-sad.yaml", "train-label.csv", "test-labels/test1-label.csv", "metadata/samples.csv", "metadata/users.csv",
    "0001/0001.txt", "splitInfo/movie_list_train.txt", "Transcripts/MSP-PODCAST_0001_0008.txt",
)  # fmt: skip
HOSTILE = [
    "../../etc/passwd",
    "/etc/passwd",
    "..",
    "nan",
    "1e999",
    "-1",
    "a" * 300,
    "²",
    "٣",
    "\x00",
    '"',
    "{}",
    "[1]",
    "\ufeff",
]
# Names as a file system takes them: any bytes but / and NUL, which Python shows as surrogates where they are no UTF-8.
PART = st.binary(min_size=1, max_size=20).map(
    lambda raw: os.fsdecode(raw.replace(b"/", b"").replace(b"\0", b"") or b"x")
)
CELL = st.one_of(st.sampled_from(HOSTILE), st.text(max_size=8))


@st.composite
def downloads(draw, corpus: str) -> dict[str, bytes]:
    """Files of a download, most of them almost right: relative path -> content."""
    *folders, name = NAMES[corpus].split("/")
    stem, _, suffix = name.rpartition(".")
    files = {NAMES[corpus]: b""}
    for _ in range(draw(st.integers(0, 4))):
        at = draw(st.integers(0, len(stem)))
        changed = stem[:at] + draw(PART) + stem[at + draw(st.integers(0, 3)) :]
        inside = [draw(PART) if draw(st.integers(0, 5)) == 0 else folder for folder in folders]
        path = "/".join([*inside, f"{changed}.{suffix}"])
        if all(part not in (".", "..") for part in path.split("/")):
            files[path] = b""
    header = [*getattr(adapters.get_adapter(corpus), "COLUMNS", ()), "file", "FileName", "fileName"]
    cells = st.lists(st.one_of(CELL, st.just(stem), st.just(name)), max_size=len(header) + 2)
    for table in TABLES:
        separator = "\t" if table.endswith(".tsv") else ","
        lines = [header, *draw(st.lists(cells, max_size=3))]
        text = "\n".join(separator.join(map(str, line)) for line in lines)
        files[table] = draw(st.one_of(st.just(text.encode("utf-8", "replace")), st.binary(max_size=50)))
    return files


def write(folder: Path, files: dict[str, bytes]):
    for name, content in files.items():
        try:
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes(content)
        except OSError:  # a name that is too long, or that is a folder already
            continue


@pytest.mark.parametrize("corpus", adapters.ADAPTERS)
@settings(max_examples=8, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_a_download_gives_records_of_its_own_files_or_a_corpus_error(corpus, data):
    files = data.draw(downloads(corpus))
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary, "download")
        write(folder, files)
        try:
            found = list(adapters.get_adapter(corpus).records(folder))
        except CorpusError as error:
            assert str(error).split(":")[0].isidentifier()
            return
        assert {type(item) for item in found} <= {NativeRecord, Skipped}
        for item in found:
            if isinstance(item, NativeRecord):
                assert item.path.is_file() and ".." not in item.path.parts and item.path.is_relative_to(folder)
                values = [value for rating in item.ratings or () for value in rating.values() if value is not None]
                assert all(map(math.isfinite, [*values, item.age or 0, item.intensity or 0]))
                assert item.gender in ("female", "male", None) and isinstance(item.speaker, str)
