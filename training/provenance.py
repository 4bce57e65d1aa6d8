"""The record of what a model was trained on: a digest of the rows, and the training speakers of all stages."""

import hashlib
import json
import os
from pathlib import Path

import datasets
import pyarrow.compute as pc
from transformers.utils import cached_file

from speecheq.dataset_scripts.files import write_text
from speecheq.training.recipes import public_name

FILE = "training_data.json"
COLUMNS = ("id", "corpus", "speaker_id", "duration", "native_label", "esc", "esc_votes", "eis_low", "eis_high", "phonemes",
           "gender")  # fmt: skip
HEAD = 64  # bytes; the header of a FLAC file, which includes the MD5 of its samples, has 42


def training_record(splits: dict[str, datasets.Dataset], checkpoint: str | None = None) -> dict:
    """Describe the data of a run.

    Args:
        splits (`dict[str, datasets.Dataset]`): `train` and, optionally, `validation`, from [`load_seqd`].
        checkpoint (`str`, *optional*): the trained model that the run starts from: folder or Hub repository.

    Returns:
        `dict`: `rows`, split -> number of `utterances` and their `digest`; `speakers`, corpus -> digests of the training
        speakers, those of earlier stages included; `unknown`, earlier stages without a record.
    """
    train = splits["train"]
    speakers = {corpus: set() for corpus in train["corpus"]}
    for corpus, speaker in zip(train["corpus"], train["speaker_id"], strict=True):
        speakers[corpus].add(speaker)
    speakers = {corpus: {_speaker_digest(speaker) for speaker in names} for corpus, names in speakers.items()}
    unknown = []
    if checkpoint is not None:
        before = _record_of(checkpoint)
        for corpus, digests in before["speakers"].items():
            speakers[corpus] = speakers.get(corpus, set()) | set(digests)
        unknown = before["unknown"]
    return {
        "rows": {
            split: {"utterances": len(splits[split]), "digest": rows_digest(splits[split])}
            for split in ("train", "validation")
            if split in splits
        },
        "speakers": {corpus: sorted(digests) for corpus, digests in sorted(speakers.items())},
        "unknown": unknown,
    }


def rows_digest(rows: datasets.Dataset) -> str:
    """Compute a digest of the ids, labels and audio of rows, in their order.

    The size and the first 64 bytes identify audio. In a FLAC file, the format of SEQD, they include the MD5 of the samples.
    """
    digest = hashlib.sha256()
    known = [name for name in COLUMNS if name in rows.column_names]
    for table in rows.select_columns([*known, "audio"]).with_format("arrow").iter(1000):
        for row in table.select(known).to_pylist():
            labels = {name: value for name, value in row.items() if value is not None}
            digest.update(json.dumps(labels, sort_keys=True, default=str).encode())
        audio, paths = (pc.struct_field(table["audio"], name) for name in ("bytes", "path"))
        sizes, heads = pc.binary_length(audio).to_pylist(), pc.binary_slice(audio, 0, HEAD).to_pylist()
        for size, head, path in zip(sizes, heads, paths.to_pylist(), strict=True):
            if head is None:
                with Path(path).open("rb") as file:
                    size, head = os.fstat(file.fileno()).st_size, file.read(HEAD)
            digest.update(b"%d:%s" % (size, head))
    return digest.hexdigest()


def seen_speakers(record: dict, rows: datasets.Dataset) -> dict[str, list[str]]:
    """Leakage audit: return the speakers of rows that the model or an earlier stage was trained on: corpus -> names.

    Args:
        record (`dict`): from [`training_record`] or [`read_record`].
        rows (`datasets.Dataset`): of the test split. A corpus that was trained on under another name is not recognised.
    """
    trained = {digest for digests in record["speakers"].values() for digest in digests}
    found = {}
    for corpus, speaker in sorted(set(zip(rows["corpus"], rows["speaker_id"], strict=True))):
        if _speaker_digest(speaker) in trained:
            found.setdefault(corpus, []).append(speaker)
    return found


def speakers_of_earlier_stages(name_or_path: str, rows: datasets.Dataset) -> tuple[list[str], list[str]]:
    """Leakage audit of a saved model: see [`seen_speakers`].

    Args:
        name_or_path (`str`): see [`read_record`].
        rows (`datasets.Dataset`): of the test split.

    Returns:
        `tuple[list[str], list[str]]`: the seen speakers, sorted; and the training stages whose speakers are not recorded.
    """
    record = _record_of(name_or_path)
    seen = seen_speakers(record, rows)
    return sorted(name for names in seen.values() for name in names), record["unknown"]


def keep_record(folder: Path, record: dict, begun: bool, write: bool = True):
    """Store the record beside the checkpoints, after checking that these were trained on the same data.

    Args:
        folder (`Path`): of the checkpoints.
        record (`dict`): of the run, from [`training_record`].
        begun (`bool`): whether the folder has a checkpoint to resume from.
        write (`bool`, *optional*, defaults to `True`): `False` in all processes but one.

    Raises:
        ValueError: if the checkpoints were trained on other data, or do not say on which.
    """
    if not begun:
        if write:
            write_record(folder, record)
        return
    before = read_record(str(folder))
    if before is None:
        changed = f"checkpoints without {FILE}, which tells their data,"
    else:
        names = sorted(
            split
            for split in before["rows"] | record["rows"]
            if before["rows"].get(split) != record["rows"].get(split)
        )
        if not names and before != record:
            names = ["the starting model"]
        changed = names and f"other rows, labels or audio in {', '.join(names)}"
    if changed:
        raise ValueError(
            f"training: output_dir must hold a run on the same data; got {changed} in {str(folder)!r}. Choose another "
            "output_dir, or delete this folder to train from the start."
        )


def write_record(folder: str | Path, record: dict):
    """Write a record into a folder, atomically."""
    Path(folder).mkdir(parents=True, exist_ok=True)
    write_text(Path(folder) / FILE, json.dumps(record, indent=1) + "\n")


def _record_of(name_or_path: str) -> dict:
    """Read the record of a model; without one, the model is itself a stage without a record."""
    return read_record(name_or_path) or {"speakers": {}, "unknown": [public_name(name_or_path)]}


def read_record(name_or_path: str) -> dict | None:
    """Read what a model was trained on.

    Args:
        name_or_path (`str`): a saved model, a folder of checkpoints or one of these, or a Hub repository.

    Returns:
        `dict` or `None`: from [`training_record`]; `None` if the model does not say.

    Raises:
        ValueError: if the file is damaged.
    """
    folder = Path(name_or_path)
    if folder.is_dir():
        beside = [folder.resolve().parent] if folder.resolve().name.startswith("checkpoint-") else []
        path = next((place / FILE for place in [folder, *beside] if (place / FILE).is_file()), None)
    else:
        path = cached_file(name_or_path, FILE, _raise_exceptions_for_missing_entries=False)
    if path is None:
        return None
    try:
        record = json.loads(Path(path).read_text())
        return {"rows": dict(record["rows"]), "speakers": dict(record["speakers"]), "unknown": list(record["unknown"])}
    except (ValueError, TypeError, KeyError) as error:
        raise ValueError(
            f"training: {FILE} must hold rows, speakers and unknown; got {error!r} in {name_or_path}. Copy the file again "
            "from the run that wrote it, or delete it: the model then counts as one without a record."
        ) from error


def _speaker_digest(speaker: str) -> str:
    # The file is published with the model, and names of speakers may be private. Digests are enough to count overlaps.
    # Anyone can test a name that they guess. A salt cannot prevent this: the audit needs it, so it would be public too.
    return hashlib.sha256(speaker.encode()).hexdigest()[:16]
