"""The SEQD row: its features, and the conversion of a native record to a row."""

from datasets import Audio, Features, List, Value

from speecheq.dataset_scripts.build.audio import SAMPLING_RATE, Clip
from speecheq.dataset_scripts.build.phonemes import phonemes, pinyin_phonemes
from speecheq.dataset_scripts.corpora.records import CorpusError, NativeRecord
from speecheq.dataset_scripts.metric import table as metric
from speecheq.labels_speecheq import GENDER_LABELS

FEATURES = Features(
    {
        "id": Value("string"),
        "corpus": Value("string"),
        "language": Value("string"),
        "speaker_id": Value("string"),
        "gender": Value("string"),
        "age": Value("float32"),
        "audio": Audio(sampling_rate=SAMPLING_RATE),
        "duration": Value("float32"),
        "text": Value("string"),
        "phonemes": List(Value("string")),
        "native_label": Value("string"),
        "native_level": Value("string"),
        "esc": List(Value("string")),
        "esc_votes": List({"esc": List(Value("string")), "weight": Value("float32")}),
        "eis_low": Value("float32"),
        "eis_high": Value("float32"),
        "valence": Value("float32"),
        "arousal": Value("float32"),
        "dominance": Value("float32"),
        "split": Value("string"),
        "official_split": Value("string"),
        "fold": Value("int32"),
        "license": Value("string"),
    }
)


def describe(corpus: str, record: NativeRecord, default_license: str) -> dict:
    """Make the part of a row that does not need the audio.

    Args:
        corpus (`str`): corpus name.
        record ([`NativeRecord`]): from the adapter.
        default_license (`str`): license of the adapter, for records without their own.

    Returns:
        `dict`: the row without `audio`, `duration` and `split`. `phonemes` is `None` unless the corpus provides pinyin.

    Raises:
        CorpusError: if label, level and votes are all missing, or a value is not in the metric table or not allowed in SEQD.
    """
    item = record.path.name
    if record.label is None and record.level is None and not record.votes:
        raise CorpusError(f"row: label, level or votes must be given; got none in {item!r}.")
    if record.gender not in (None, *GENDER_LABELS):
        raise CorpusError(
            f"row: gender must be one of {', '.join(GENDER_LABELS)} or None; got {record.gender!r} in {item!r}."
        )
    eis = metric.intensity(corpus, record)
    return {
        "id": f"{corpus}/{record.name or record.path.stem}",
        "corpus": corpus,
        "language": record.language,
        "speaker_id": f"{corpus}/{record.speaker}",
        "gender": record.gender,
        "age": record.age,
        "text": record.text,
        "phonemes": pinyin_phonemes(record.pinyin),
        "native_label": record.label,
        "native_level": record.level,
        "esc": metric.esc_set(corpus, record.label, item),
        "esc_votes": metric.esc_votes(corpus, list(record.votes), item),
        "eis_low": eis[0] if eis else None,
        "eis_high": eis[1] if eis else None,
        **metric.dimensions(record),
        "official_split": record.official_split,
        "fold": record.fold,
        "license": record.license or default_license,
    }


def complete(row: dict, clip: Clip, split: str) -> dict:
    """Add audio, duration, split and, unless present, phonemes to a row from [`describe`]."""
    return {
        **row,
        "audio": {"bytes": clip.flac, "path": row["id"].rpartition("/")[2] + ".flac"},
        "duration": clip.samples / SAMPLING_RATE,
        "phonemes": row["phonemes"] or phonemes(row["text"], row["language"]),
        "split": split,
    }
