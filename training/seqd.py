"""Load a SEQD as Hugging Face datasets; inspect its splits, label spaces and missing labels."""

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
    """Load the splits of a SEQD without decoding the audio.

    Args:
        name_or_path (`str`): a folder built by `speecheq.dataset_scripts.build.builder`, or a dataset repository on the Hub.
        config (`str`, *optional*, defaults to `"all"`): a corpus, or `all`.
        max_seconds (`float`, *optional*): skip longer utterances, and print their number.
        corpora (`Sequence[str]`, *optional*): keep only these corpora.

    Returns:
        `dict[str, datasets.Dataset]`: `train`, and `validation` and `test` if they have utterances. A corpus with one
        speaker has only `train`; one with two speakers has no `validation`.

    Raises:
        FileNotFoundError: if the folder does not exist.
        ValueError: if the configuration, `train` or a column is missing, `corpora` has an unknown name, a Parquet file
            is damaged, or `train` is empty.
    """
    looks_local = name_or_path.startswith((".", "/", "~")) or name_or_path.count("/") != 1
    if looks_local and not Path(name_or_path).expanduser().is_dir():
        raise FileNotFoundError(
            f"load_seqd: dataset must be a folder or a Hub repository; got {name_or_path!r}. "
            "Build one: see `python -m speecheq.dataset_scripts.build --help`."
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
                f"load_seqd: Parquet files must be complete; got {got} in {name_or_path}. "
                "Run the build again: it replaces damaged files."
            ) from error
        missing = [column for column in REQUIRED_COLUMNS if column not in rows.column_names]
        if missing:
            raise ValueError(
                f"load_seqd: {name_or_path} must have the columns of SEQD; {', '.join(missing)} are missing."
            )
        rows = _select(rows.cast_column("audio", Audio(decode=False)), split, max_seconds, corpora)
        if len(rows):
            splits[split] = rows
    return splits


def require_split(where: str, splits: Collection[str], split: str):
    """Raise an error that explains why a split is missing.

    Args:
        where (`str`): caller, named in the error message.
        splits (`Collection[str]`): existing splits.
        split (`str`): required split.

    Raises:
        ValueError: if the split is missing.
    """
    if split not in splits:
        raise ValueError(
            f"{where}: dataset must have the split {split!r}; got {', '.join(splits) or 'none'}. Splits are "
            "speaker-disjoint: with one speaker all utterances are in train, with two there is no validation. Add speakers."
        )


def _damaged(folder: str) -> str:
    """List the damaged Parquet files of a folder, at most ten."""
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
    """Return the CTC blank, then the IPA symbols of the rows, sorted."""
    symbols = {symbol for row in column(rows, "phonemes") for symbol in row or []}
    return [CTC_BLANK, *sorted(symbols)]


def label_spaces(splits: dict[str, datasets.Dataset]) -> dict[str, dict[str, list[str]]]:
    """Return the label space of each corpus over all splits: corpus -> native label -> fine classes."""
    spaces: dict[str, dict[str, list[str]]] = {}
    for rows in splits.values():
        for corpus, label, esc in zip(rows["corpus"], rows["native_label"], rows["esc"], strict=True):
            if label is not None and esc:
                spaces.setdefault(corpus, {})[label] = list(esc)
    return spaces


def shared_speakers(splits: dict[str, datasets.Dataset], split: str = "test") -> list[str]:
    """Leakage audit: return the speakers of a split that are also in train, sorted; none if the split is missing."""
    return sorted(set(splits["train"]["speaker_id"]) & set(splits[split]["speaker_id"] if split in splits else ()))


def describe_labels(splits: dict[str, datasets.Dataset]) -> list[str]:
    """Describe missing splits, tasks without labels, and classes absent from train, one sentence each."""
    consequences = {
        "validation": "so the last epoch is kept; a validation split needs three speakers.",
        "test": "so there are no scores; with one speaker all utterances are in train.",
    }
    notes = [f"{split}: no utterances, {then}" for split, then in consequences.items() if split not in splits]
    train = splits["train"]
    for task, name in {"ESC": "esc", "EIS": "eis_low", "phoneme": "phonemes", "gender": "gender"}.items():
        labelled = {
            corpus
            for corpus, value in zip(train["corpus"], column(train, name), strict=True)
            if value is not None and value != []
        }
        without = sorted(set(train["corpus"]) - labelled)
        if without:
            notes.append(f"{task}: no labels in {', '.join(without)}; these corpora train only the other tasks.")
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
    """Return a column as a list; `None` for each row if the dataset does not have the column."""
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
            print(f"{split}: skipped {len(rows) - len(keep)} utterances longer than {max_seconds:g} s.")
        rows = rows.select(keep)
    if not len(rows) and split == "train":
        raise ValueError("load_seqd: split 'train' must not be empty; got no rows. Raise max_seconds or add corpora.")
    return rows
