"""Build SEQD: corpora in their official layouts to Parquet that `load_dataset` reads without any code of ours.

`python -m speecheq.dataset_scripts.build --out seqd --corpus nemo=/data/nEMO --corpus urdu=/data/URDU-Dataset`

Why pyarrow and not `datasets.GeneratorBasedBuilder`: tried on datasets 5.2, its examples pass through
`Audio.encode_example`, which raises ImportError without torchcodec, even for bytes that are ready; and a default split
needs to know every usable file before the first row is written. The files carry the metadata of
`Features.arrow_schema`, as those of `datasets` do.

Steps for a corpus: the adapter's records; rows by the metric table; audio to FLAC files in `.<corpus>.partial` (a run
that is interrupted goes on from there); the split; Parquet in the order of the hashes of the ids, so that a stream is
mixed; then the folder gets its name and an entry in `manifest.json`. A corpus whose entry still holds is not built
again. No file holds a time or an absolute path: the same corpora give the same bytes.
"""

import argparse
import csv
import hashlib
import json
import multiprocessing
import os
import shutil
from collections import Counter
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from tqdm import tqdm

from speecheq.dataset_scripts import audio, metric, rows, splits
from speecheq.dataset_scripts.adapters import ADAPTERS, get_adapter
from speecheq.dataset_scripts.card import card_text
from speecheq.dataset_scripts.records import CorpusError, Skipped

RECIPE = 1  # raise it when the same corpora must give other rows
ROWS_PER_GROUP = 100
MANIFEST = "manifest.json"


def build(corpora: dict[str, Path], out: Path, num_proc: int = 1, force: bool = False) -> dict:
    """Build corpora into a SEQD folder, beside those that it holds already.

    Args:
        corpora (`dict[str, Path]`): corpus name -> folder of its download.
        out (`Path`): the SEQD folder.
        num_proc (`int`, *optional*, defaults to 1): processes that decode audio.
        force (`bool`, *optional*, defaults to `False`): build again what is finished.

    Returns:
        `dict`: the manifest: `{"recipe": ..., "corpora": {name: {"files", "splits", "skipped", "audit", ...}}}`.

    Raises:
        CorpusError: if a corpus is unknown, its folder or an annotation file is missing, or no utterance is usable.
    """
    out = Path(out)
    for corpus, folder in corpora.items():
        get_adapter(corpus)
        if not Path(folder).is_dir():
            raise CorpusError(
                f"build: folder of {corpus} must exist; got {str(folder)!r}. Download it from the adapter's HOMEPAGE."
            )
    out.mkdir(parents=True, exist_ok=True)
    manifest = read_manifest(out)
    for corpus in sorted(corpora):
        folder = Path(corpora[corpus])
        source = fingerprint(folder)
        if force or not is_finished(manifest["corpora"].get(corpus), source, out):
            entry = build_corpus(corpus, folder, out, num_proc, fresh=force)
            manifest["corpora"] = dict(sorted({**manifest["corpora"], corpus: {"source": source, **entry}}.items()))
            _write_text(out / MANIFEST, json.dumps(manifest, indent=1, ensure_ascii=False) + "\n")
    manifest = read_manifest(out)
    write_report(out, manifest)
    _write_text(out / "README.md", card_text(manifest))
    return manifest


def build_corpus(corpus: str, folder: Path, out: Path, num_proc: int = 1, fresh: bool = False) -> dict:
    """Build one corpus and return its entry in the manifest. See [`build`]."""
    work = out / f".{corpus}.partial"
    if fresh:
        shutil.rmtree(work, ignore_errors=True)
    (work / "audio").mkdir(parents=True, exist_ok=True)
    shutil.rmtree(work / corpus, ignore_errors=True)
    (work / corpus).mkdir()

    described, skipped = read_corpus(corpus, folder)
    clips, unusable = read_audio(corpus, described, work / "audio", num_proc)
    skipped = sorted((path.relative_to(folder).as_posix(), reason) for path, reason in skipped + unusable)
    found = [row for row in described.values() if row["id"] in clips]
    if not found:
        reasons = "; ".join(reason for _, reason in skipped[:3])
        raise CorpusError(f"build: {corpus} must have a usable utterance; got none in {str(folder)!r}. {reasons}")

    assigned = splits.default_split(found)
    found = [{**row, "split": assigned[row["speaker_id"]]} for row in found]
    audit = splits.audit([{**row, "audio_sha256": clips[row["id"]].sha256} for row in found])
    if audit["speakers"]:
        raise CorpusError(f"build: splits must share no speaker; got {audit['speakers'][:10]} in {corpus!r}.")
    files, counts = {}, {}
    for split in splits.SPLITS:
        part = sorted((row for row in found if row["split"] == split), key=lambda row: _sha256(row["id"].encode()))
        if part:
            name = f"{corpus}/{split}-00000-of-00001.parquet"
            arrow_bytes, phonemised = write_parquet(work / name, part, clips)
            files[name] = {"sha256": _file_sha256(work / name), "bytes": (work / name).stat().st_size}
            counts[split] = {**count(part, clips), "arrow_bytes": arrow_bytes, "phonemised": phonemised}

    shutil.rmtree(out / corpus, ignore_errors=True)
    os.replace(work / corpus, out / corpus)
    shutil.rmtree(work)
    return {
        "files": files,
        "splits": counts,
        "languages": sorted({row["language"] for row in found}),
        "classes": metric.label_space(corpus),
        "skipped": skipped,
        "audit": {"speakers": audit["speakers"], "texts": len(audit["texts"]), "audio": audit["audio"]},
        "note": splits.note(assigned),
    }


def read_corpus(corpus: str, folder: Path) -> tuple[dict[Path, dict], list[tuple[Path, str]]]:
    """Run an adapter and the metric table: path -> described row, and what was skipped."""
    adapter = get_adapter(corpus)
    described: dict[Path, dict] = {}
    skipped: list[tuple[Path, str]] = []
    owner: dict[str, Path] = {}
    for record in adapter.records(folder):
        if isinstance(record, Skipped):
            skipped.append((record.path, record.reason))
            continue
        try:
            row = rows.describe(corpus, record, adapter.LICENSE)
        except CorpusError as error:
            skipped.append((record.path, str(error)))
            continue
        if row["id"] in owner:
            first = owner[row["id"]].relative_to(folder).as_posix()
            skipped.append((record.path, f"duplicate: {first!r} has the id {row['id']!r} already"))
            continue
        owner[row["id"]] = record.path
        described[record.path] = row
    return described, skipped


def read_audio(
    corpus: str, described: dict[Path, dict], spool: Path, num_proc: int
) -> tuple[dict[str, audio.Clip], list[tuple[Path, str]]]:
    """Convert the audio of every row: id -> clip, and what was skipped."""
    tasks = [(str(path), str(spool / f"{_identity(path)}.flac")) for path in described]
    clips: dict[str, audio.Clip] = {}
    skipped: list[tuple[Path, str]] = []
    pool = multiprocessing.Pool(num_proc) if num_proc > 1 else None
    try:
        results = pool.imap(audio.spool, tasks, chunksize=16) if pool else map(audio.spool, tasks)
        progress = tqdm(results, total=len(tasks), desc=corpus, unit="file")
        for (path, row), result in zip(described.items(), progress, strict=True):
            if isinstance(result, audio.Clip):
                clips[row["id"]] = result
            else:
                skipped.append((path, result))
    finally:
        if pool:
            pool.terminate()
            pool.join()
    return clips, skipped


def write_parquet(path: Path, part: list[dict], clips: dict[str, audio.Clip]) -> tuple[int, int]:
    """Write the rows of one split in groups of 100, so that a stream starts at once.

    Returns:
        `tuple[int, int]`: bytes of the rows in Arrow's format, and rows with phonemes.
    """
    schema = rows.FEATURES.arrow_schema
    arrow_bytes = phonemised = 0
    with pq.ParquetWriter(path, schema, compression="zstd") as writer:
        for start in range(0, len(part), ROWS_PER_GROUP):
            group = []
            for row in part[start : start + ROWS_PER_GROUP]:
                clip = clips[row["id"]]
                group.append(rows.complete(row, clip, row["split"], Path(clip.flac).read_bytes()))
            table = pa.Table.from_pylist(group, schema=schema)
            writer.write_table(table)
            arrow_bytes += table.nbytes
            phonemised += sum(row["phonemes"] is not None for row in group)
    return arrow_bytes, phonemised


def count(part: list[dict], clips: dict[str, audio.Clip]) -> dict:
    """What the card and the command line say of one split."""
    speakers = {row["speaker_id"]: row["gender"] or "unknown" for row in part}
    return {
        "rows": len(part),
        "hours": round(sum(clips[row["id"]].samples for row in part) / audio.SAMPLING_RATE / 3600, 3),
        "speakers": len(speakers),
        "speaker_genders": dict(sorted(Counter(speakers.values()).items())),
        "labels": dict(sorted(Counter(row["native_label"] or "none" for row in part).items())),
        "with_intensity": sum(row["eis_low"] is not None for row in part),
    }


def fingerprint(folder: Path) -> str:
    """SHA-256 of the recipe, the metric table, and the name and size of every file of a corpus."""
    digest = hashlib.sha256(f"{RECIPE}\n".encode() + metric.TABLE.read_bytes())
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        digest.update(f"{path.relative_to(folder).as_posix()}\t{path.stat().st_size}\n".encode())
    return digest.hexdigest()


def is_finished(entry: dict | None, source: str, out: Path) -> bool:
    """Whether a corpus was built from the same source, and its files are as the manifest says."""
    if not entry or entry["source"] != source:
        return False
    return all(
        (out / name).is_file() and _file_sha256(out / name) == file["sha256"] for name, file in entry["files"].items()
    )


def read_manifest(out: Path) -> dict:
    """The manifest of a SEQD folder; an empty one where there is none.

    Raises:
        CorpusError: if the file is not JSON.
    """
    path = out / MANIFEST
    if not path.is_file():
        return {"recipe": RECIPE, "corpora": {}}
    try:
        manifest = json.loads(path.read_text(encoding="utf-8"))
    except json.JSONDecodeError as error:
        raise CorpusError(
            f"build: {MANIFEST} must be JSON; got {error} in {str(path)!r}. Delete it and build again."
        ) from error
    return {**manifest, "recipe": RECIPE}


def write_report(out: Path, manifest: dict):
    """Write report.csv: every skipped file and its reason."""
    partial = out / ".report.csv"
    with partial.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["corpus", "path", "reason"])
        for corpus, entry in manifest["corpora"].items():
            writer.writerows([corpus, path, reason] for path, reason in entry["skipped"])
    os.replace(partial, out / "report.csv")


def describe_build(manifest: dict) -> str:
    """The counts of a manifest as text for the command line."""
    lines = []
    for corpus, entry in manifest["corpora"].items():
        for split, counts in entry["splits"].items():
            labels = " ".join(f"{label}={number}" for label, number in counts["labels"].items())
            lines.append(
                f"{corpus:10} {split:10} {counts['rows']:6} utterances {counts['speakers']:4} speakers "
                f"{counts['hours']:7.2f} h  {labels}"
            )
        audit = entry["audit"]
        lines.append(
            f"{corpus:10} skipped {len(entry['skipped'])} (report.csv); in more than one split: "
            f"{len(audit['speakers'])} speakers, {audit['texts']} texts, {len(audit['audio'])} recordings"
        )
        if entry["note"]:
            lines.append(f"{corpus:10} note: {entry['note']}")
    return "\n".join(lines)


def main(arguments: list[str] | None = None):
    """Command line: `python -m speecheq.dataset_scripts.build`, or `speecheq-seqd`."""
    parser = argparse.ArgumentParser(prog="speecheq-seqd", description="Build SEQD from corpora on this machine.")
    parser.add_argument("--out", type=Path, required=True, help="the SEQD folder")
    parser.add_argument(
        "--corpus",
        action="append",
        required=True,
        metavar="NAME=FOLDER",
        help=f"one of {', '.join(ADAPTERS)}; repeatable",
    )
    parser.add_argument("--num-proc", type=int, default=1, help="processes that decode audio (default 1)")
    parser.add_argument("--force", action="store_true", help="build again what is finished")
    options = parser.parse_args(arguments)
    corpora = {}
    for pair in options.corpus:
        name, separator, folder = pair.partition("=")
        if not (separator and folder):
            parser.error(f"--corpus must be NAME=FOLDER; got {pair!r}.")
        corpora[name] = Path(folder)
    try:
        manifest = build(corpora, options.out, num_proc=options.num_proc, force=options.force)
    except CorpusError as error:
        parser.exit(2, f"{error}\n")
    except KeyboardInterrupt:
        parser.exit(130, "Interrupted. Run the same command again to go on.\n")
    print(describe_build(manifest))


def _identity(path: Path) -> str:
    """A name for the FLAC of one file in one state."""
    state = path.stat()
    return _sha256(f"{path.absolute()}\t{state.st_size}\t{state.st_mtime_ns}".encode())[:32]


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _file_sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _write_text(path: Path, text: str):
    partial = path.with_name(f".{path.name}")
    partial.write_text(text, encoding="utf-8")
    os.replace(partial, path)


if __name__ == "__main__":
    main()
