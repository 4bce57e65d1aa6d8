"""A SEQD as Hugging Face datasets: loading, its splits and label spaces, and what is missing in it."""

from collections.abc import Collection, Sequence
from pathlib import Path

import datasets
from datasets import Audio, get_dataset_config_names, get_dataset_split_names, load_dataset
from datasets.exceptions import DatasetGenerationError
from pyarrow import ArrowException
from pyarrow.parquet import ParquetFile

from speecheq.labels_speecheq import CTC_BLANK

REQUIRED_COLUMNS = ("audio", "corpus", "speaker_id", "duration", "esc", "native_label")
SPLITS = ("train", "validation", "test")


def load_seqd(
    name_or_path: str, config: str = "all", max_seconds: float | None = None, corpora: Sequence[str] | None = None
) -> dict[str, datasets.Dataset]:
    """Load the splits of a SEQD, audio left encoded.

    Args:
        name_or_path (`str`): a folder built by `speecheq.dataset_scripts.build.builder`, or a dataset repository on the Hub.
        config (`str`, *optional*, defaults to `"all"`): a corpus, or `all`.
        max_seconds (`float`, *optional*): leave out longer utterances, and say how many.
        corpora (`Sequence[str]`, *optional*): keep these corpora only.

    Returns:
        `dict[str, datasets.Dataset]`: `train`, and those of `validation` and `test` that hold an utterance: a corpus of one
        speaker has neither, one of two speakers has no `validation`.

    Raises:
        FileNotFoundError: if there is no such folder.
        ValueError: if the configuration, `train` or a column is missing, a Parquet file is damaged, or nothing is left of
            `train`.
    """
    looks_local = name_or_path.startswith((".", "/", "~")) or name_or_path.count("/") != 1
    if looks_local and not Path(name_or_path).expanduser().is_dir():
        raise FileNotFoundError(
            f"load_seqd: dataset must be a folder or a Hub repository; got {name_or_path!r}. "
            "Build one with `python -m speecheq.dataset_scripts.build --help`."
        )
    name_or_path = str(Path(name_or_path).expanduser()) if looks_local else name_or_path
    _check_choice("dataset_config", config, get_dataset_config_names(name_or_path))
    available = get_dataset_split_names(name_or_path, config)
    require_split("load_seqd", available, "train")
    splits = {}
    for split in [split for split in SPLITS if split in available]:
        try:
            rows = load_dataset(name_or_path, config, split=split)
        except DatasetGenerationError as error:
            got = _damaged(name_or_path) or repr(error.__cause__)
            raise ValueError(
                f"load_seqd: Parquet files must be whole; got {got} in {name_or_path}. "
                "Run the build again: it repairs what is not whole."
            ) from error
        missing = [column for column in REQUIRED_COLUMNS if column not in rows.column_names]
        if missing:
            raise ValueError(f"load_seqd: {name_or_path} must have the columns of SEQD; {', '.join(missing)} missing.")
        rows = _select(rows.cast_column("audio", Audio(decode=False)), split, max_seconds, corpora)
        if len(rows):
            splits[split] = rows
    return splits


def require_split(where: str, splits: Collection[str], split: str):
    """Say why there is no such split.

    Args:
        where (`str`): who needs it, for the message.
        splits (`Collection[str]`): those that there are.
        split (`str`): the one that is needed.

    Raises:
        ValueError: if it is not among them.
    """
    if split not in splits:
        raise ValueError(
            f"{where}: dataset must have the split {split!r}; got {', '.join(splits) or 'none'}. Splits are "
            "speaker-disjoint: with one speaker all utterances are in train, with two there is no validation. Add speakers."
        )


def _damaged(folder: str) -> str:
    """The Parquet files of a folder that cannot be read to their end."""
    damaged = []
    for path in sorted(Path(folder).rglob("*.parquet")):
        try:
            with ParquetFile(path) as file:
                for group in range(file.num_row_groups):
                    file.read_row_group(group)
        except (ArrowException, OSError):
            damaged.append(path.relative_to(folder).as_posix())
    return ", ".join(damaged[:10])


def phoneme_inventory(rows: datasets.Dataset) -> list[str]:
    """The CTC blank and the IPA symbols of the rows, sorted."""
    symbols = {symbol for row in column(rows, "phonemes") for symbol in row or []}
    return [CTC_BLANK, *sorted(symbols)]


def label_spaces(splits: dict[str, datasets.Dataset]) -> dict[str, dict[str, list[str]]]:
    """Each corpus's own labels in all splits, with their fine classes: corpus -> native label -> set."""
    spaces: dict[str, dict[str, list[str]]] = {}
    for rows in splits.values():
        for corpus, label, esc in zip(rows["corpus"], rows["native_label"], rows["esc"], strict=True):
            if label is not None and esc:
                spaces.setdefault(corpus, {})[label] = list(esc)
    return spaces


def shared_speakers(splits: dict[str, datasets.Dataset], split: str = "test") -> list[str]:
    """The leakage audit: speakers of a split, if there is one, that are in train as well, sorted."""
    return sorted(set(splits["train"]["speaker_id"]) & set(splits[split]["speaker_id"] if split in splits else ()))


def describe_labels(splits: dict[str, datasets.Dataset]) -> list[str]:
    """What a user should know before training: splits and tasks that are missing, classes absent from train."""
    without = {
        "validation": "so the last epoch is kept; it takes three speakers.",
        "test": "so there will be no scores; with one speaker all utterances are in train.",
    }
    notes = [f"{split}: no utterances, {then}" for split, then in without.items() if split not in splits]
    train = splits["train"]
    for task, name in {"ESC": "esc", "EIS": "eis_low", "phoneme": "phonemes", "gender": "gender"}.items():
        labelled = {
            corpus
            for corpus, value in zip(train["corpus"], column(train, name), strict=True)
            if value is not None and value != []
        }
        without = sorted(set(train["corpus"]) - labelled)
        if without:
            notes.append(f"{task}: no labels in {', '.join(without)}; these corpora train the other tasks.")
    seen = {(row_corpus, label) for row_corpus, label in zip(train["corpus"], train["native_label"], strict=True)}
    for split in [split for split in SPLITS[1:] if split in splits]:
        pairs = zip(splits[split]["corpus"], splits[split]["native_label"], strict=True)
        for corpus, label in sorted({pair for pair in pairs if pair[1] is not None} - seen):
            notes.append(f"ESC: class {label!r} of {corpus} is in {split} but absent from train.")
    return notes


def _check_choice(field: str, value: str, options: Sequence[str]):
    if value not in options:
        raise ValueError(f"load_seqd: {field} must be one of {', '.join(sorted(options)[:10])}; got {value!r}.")


def column(rows: datasets.Dataset, name: str) -> list:
    """A column as a list; `None` for each row where the dataset has no such column."""
    return list(rows[name]) if name in rows.column_names else [None] * len(rows)


def _select(rows: datasets.Dataset, split: str, max_seconds, corpora) -> datasets.Dataset:
    if corpora:
        unknown = sorted(set(corpora) - set(rows["corpus"]))
        if unknown and split == "train":
            raise ValueError(
                f"load_seqd: corpora must be among {', '.join(sorted(set(rows['corpus'])))}; got {', '.join(unknown)}."
            )
        keep = [index for index, corpus in enumerate(rows["corpus"]) if corpus in corpora]
        rows = rows.select(keep)
    if max_seconds:
        keep = [index for index, seconds in enumerate(rows["duration"]) if seconds <= max_seconds]
        if len(keep) < len(rows):
            print(f"{split}: {len(rows) - len(keep)} utterances longer than {max_seconds:g} s are left out.")
        rows = rows.select(keep)
    if not len(rows) and split == "train":
        raise ValueError("load_seqd: split 'train' must not be empty. Loosen max_seconds or corpora.")
    return rows
