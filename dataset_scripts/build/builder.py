"""Build SEQD: convert corpora in their official layouts to Parquet that `load_dataset` reads without custom code.

`python -m speecheq.dataset_scripts.build --out seqd --corpus nemo=/data/nEMO --corpus mine=mine.yaml`

The builder uses pyarrow instead of `datasets.GeneratorBasedBuilder` for two reasons. In datasets 5.2 examples pass through
`Audio.encode_example`, which raises ImportError without torchcodec, even for encoded bytes. And the default split depends
on all usable files, before the first row is written. The files have the metadata of `Features.arrow_schema`, as those of
`datasets` do.

Steps for a corpus: the adapter reads records; the metric table maps them to rows; audio is converted to FLAC in
`.<corpus>.partial`, from which a killed run resumes; speakers are split and the split is audited; shards are written; the
folder is renamed and entered in `manifest.json`. An unchanged corpus is not built again. Files contain no times and no
absolute paths: the same corpora give the same bytes with the library versions that the manifest lists.
"""

import argparse
import hashlib
import json
import multiprocessing
import os
import shutil
import sqlite3
import threading
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, field
from pathlib import Path

from tqdm import tqdm

from speecheq.dataset_scripts.build import audio, emobox, rows, shards, splits
from speecheq.dataset_scripts.build.audio import Preparation, Source
from speecheq.dataset_scripts.build.card import card_text
from speecheq.dataset_scripts.build.manifest import is_finished, list_files, read_manifest, versions, write_files
from speecheq.dataset_scripts.build.prints import PRINTED, read_prints, write_prints
from speecheq.dataset_scripts.build.spool import Spool
from speecheq.dataset_scripts.corpora import custom
from speecheq.dataset_scripts.corpora.adapters import ADAPTERS, get_adapter
from speecheq.dataset_scripts.corpora.records import UNREAD_SUFFIXES, CorpusError, Skipped, UnknownLabelError
from speecheq.dataset_scripts.metric import table as metric

RECIPE = 4  # increase it when the same corpora must give different rows
CHUNK = 8


@dataclass(frozen=True, kw_only=True)
class BuildOptions:
    """Options of a build.

    Args:
        num_proc (`int`, *optional*, defaults to 1): processes that convert audio.
        force (`bool`, *optional*, defaults to `False`): rebuild finished corpora.
        skip_unknown (`bool`, *optional*, defaults to `False`): skip and report utterances whose label is not in the metric
            table, instead of stopping the build.
        emobox (`Path`, *optional*): folder of EmoBox's fold lists, for the column `fold`.
        preparation ([`Preparation`], *optional*): trimming and loudness; by default neither.
    """

    num_proc: int = 1
    force: bool = False
    skip_unknown: bool = False
    emobox: Path | None = None
    preparation: Preparation = field(default_factory=Preparation)


def build(corpora: dict[str, Path], out: Path, options: BuildOptions | None = None) -> dict:
    """Build corpora and add them to a SEQD folder.

    Args:
        corpora (`dict[str, Path]`): corpus name -> folder of its download, or YAML file that describes it.
        out (`Path`): the SEQD folder.
        options ([`BuildOptions`], *optional*): of the build.

    Returns:
        `dict`: the manifest: `{"recipe": ..., "corpora": {name: {"files", "splits", "skipped", "audit", ...}}}`.

    Raises:
        CorpusError: if a corpus is unknown, its folder or an annotation file is missing, a label is not in the metric
            table (unless `skip_unknown`), or no utterance is usable.
    """
    out, options = Path(out), options or BuildOptions()
    opened = {corpus: open_corpus(corpus, Path(corpora[corpus])) for corpus in sorted(corpora)}
    out.mkdir(parents=True, exist_ok=True)
    manifest = read_manifest(out)
    for corpus, (adapter, folder) in opened.items():
        source = source_sha256(adapter, folder, options)
        if options.force or not is_finished(manifest["corpora"].get(corpus), source, out):
            others = read_prints(out, [name for name in manifest["corpora"] if name != corpus])
            entry = build_corpus(adapter, folder, out, options, others)
            manifest["corpora"] = dict(sorted({**manifest["corpora"], corpus: {"source": source, **entry}}.items()))
            write_files(out, manifest | {"recipe": RECIPE}, card_text)
    write_files(out, manifest | {"recipe": RECIPE}, card_text)
    return read_manifest(out)


def open_corpus(corpus: str, location: Path) -> tuple:
    """Return the adapter of a corpus and the folder that it reads.

    Raises:
        CorpusError: if the adapter or the folder does not exist, or the YAML file of a custom corpus is wrong.
    """
    if location.suffix.lower() in (".yaml", ".yml"):
        adapter = custom.load(corpus, location)
        metric.register(adapter.table)
        return adapter, adapter.folder
    adapter = get_adapter(corpus)
    if not location.is_dir():
        raise CorpusError(
            f"build: folder of {corpus} must exist; got {str(location)!r}. Download it from {adapter.HOMEPAGE}."
        )
    return adapter, location


def build_corpus(adapter, folder: Path, out: Path, options: BuildOptions, others: list[dict]) -> dict:
    """Build one corpus and return its entry in the manifest. See [`build`]; `others` is from [`read_prints`]."""
    corpus = adapter.CORPUS
    work = out / f".{corpus}.partial"
    if options.force:
        shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True, exist_ok=True)
    with Spool(work, options.preparation) as spool:
        read_corpus(adapter, folder, spool, options)
        read_audio(corpus, folder, spool, options.num_proc)
        if not spool.number(converted=True):
            reasons = "; ".join(reason for _, reason in spool.skipped()[:3])
            raise CorpusError(f"build: {corpus} must have a usable utterance; got none in {str(folder)!r}. {reasons}")
        assigned = splits.default_split(spool.facts("speaker_id", "gender", "native_label"))
        spool.assign(assigned)
        own = spool.facts(*PRINTED)
        for name, reason in splits.duplicates_to_skip(splits.copies([*own, *others]), own, others):
            spool.leave_out(name, reason)
        audit = splits.audit(spool.facts(*splits.AUDITED))
        if audit["speakers"]:
            raise CorpusError(f"build: splits must not share speakers; got {audit['speakers'][:10]} in {corpus!r}.")
        written = write_corpus(corpus, spool, work, out)
        write_prints(out, [*others, *({"corpus": corpus, **row} for row in spool.facts(*PRINTED))])
        skipped = spool.skipped()
    shutil.rmtree(work)
    return {
        "license": adapter.LICENSE,
        "redistributable": adapter.REDISTRIBUTABLE,
        "homepage": adapter.HOMEPAGE,
        "citation": adapter.CITATION,
        "preparation": options.preparation._asdict(),
        "versions": versions(),
        "files": written["files"],
        "splits": written["splits"],
        "languages": sorted({language for count in written["splits"].values() for language in count["languages"]}),
        "classes": metric.label_space(corpus),
        "phonemes": written["phonemes"],
        "skipped": skipped,
        "audit": audit,
        "note": splits.note(assigned),
    }


def read_corpus(adapter, folder: Path, spool: Spool, options: BuildOptions):
    """Read the records of a corpus, map their labels, and add rows and skipped files to the spool.

    Raises:
        UnknownLabelError: if a label is not in the metric table, unless `skip_unknown`.
    """
    corpus = adapter.CORPUS
    for path in unread_files(folder):
        spool.skip(_written(path), "unread: files of this format are not read. Convert it, for example to WAV")
    folds = emobox.read_folds(options.emobox, corpus) if options.emobox else ()
    for record in adapter.records(folder):
        path = record.path.relative_to(folder).as_posix()
        if isinstance(record, Skipped):
            spool.skip(_written(path), _written(record.reason))
            continue
        try:
            row = rows.describe(corpus, record, adapter.LICENSE)
            check_unicode(path, row)
        except UnknownLabelError as error:
            if not options.skip_unknown:
                raise UnknownLabelError(f"{error} Or build with --skip-unknown.") from error
            spool.skip(_written(path), _written(str(error)))
            continue
        except CorpusError as error:
            spool.skip(_written(path), _written(str(error)))
            continue
        if folds:
            row["fold"] = folds.of(path, record.name)
        source = Source(str(record.path), record.parquet_row, record.start, record.end)
        if first := spool.add(row, source):
            first = Path(first).relative_to(folder).as_posix()
            spool.skip(path, f"duplicate: {first!r} already has the id {row['id']!r}")


def unread_files(folder: Path) -> list[str]:
    """List the files of a folder that look like audio of a format that is not read, relative to it, without hidden files."""
    found = [Path(parent, name) for parent, _, names in os.walk(folder) for name in names if name[0] != "."]
    return sorted(path.relative_to(folder).as_posix() for path in found if path.suffix.lower() in UNREAD_SUFFIXES)


def check_unicode(path: str, row: dict):
    """Check that path and row are valid Unicode; Linux file names and JSON texts may not be.

    Raises:
        CorpusError: if one is not.
    """
    try:
        path.encode()
        json.dumps(row, ensure_ascii=False).encode()
    except UnicodeEncodeError as error:
        where = f"{error.object[max(0, error.start - 10) : error.end + 10]!r}"
        raise CorpusError(
            f"build: names and texts must be Unicode; got {where}. Rename the file, or correct the text."
        ) from None


def _written(text: str) -> str:
    """Escape the characters of a text that UTF-8 cannot encode."""
    return text.encode("utf-8", "backslashreplace").decode()


def read_audio(corpus: str, folder: Path, spool: Spool, num_proc: int):
    """Convert the audio of every row into the spool; skip unusable audio with the reason.

    Raises:
        CorpusError: if FFmpeg is needed and not installed, or a worker process ended.
    """
    _keep_freed_memory()
    pool = ProcessPoolExecutor(num_proc, initializer=_prepare_worker) if num_proc > 1 else None
    done = spool.number(converted=True)
    progress = tqdm(total=spool.number(), initial=done, desc=corpus, unit="utterance")
    try:
        for batch in spool.unconverted():
            for source, _ in batch:
                check_decoder(source)
            tasks = [(source, spool.preparation) for source, _ in batch]
            results = pool.map(audio.convert, tasks, chunksize=CHUNK) if pool else map(audio.convert, tasks)
            clips = {}
            try:
                for (source, identity), result in zip(batch, results, strict=True):
                    progress.update()
                    if isinstance(result, audio.Clip):
                        clips[identity] = result
                    else:
                        spool.skip(Path(source.path).relative_to(folder).as_posix(), result)
            finally:
                spool.keep(clips)
    except BrokenProcessPool as error:
        raise CorpusError(
            f"build: worker processes must not end early; got one that did in {corpus!r}, perhaps for lack of memory. "
            "Converted audio is kept: run the same command again with a smaller --num-proc."
        ) from error
    finally:
        progress.close()
        if pool:
            pool.shutdown(cancel_futures=True)


def write_corpus(corpus: str, spool: Spool, work: Path, out: Path) -> dict:
    """Write the Parquet files of a corpus with assigned splits, then move them into the SEQD folder.

    Returns:
        `dict`: `files`, `splits` and `phonemes` of the manifest entry.
    """
    shutil.rmtree(work / corpus, ignore_errors=True)
    (work / corpus).mkdir()
    facts = spool.facts("speaker_id", "gender", "split", "native_label", "samples")
    counts, symbols = {}, Counter()
    for split in splits.SPLITS:
        if written := shards.write_split(work / corpus, split, spool):
            symbols += written.pop("symbols")
            counts[split] = {**count_facts(facts, split), **written}
    files = list_files(work, corpus)
    shutil.rmtree(out / corpus, ignore_errors=True)
    os.replace(work / corpus, out / corpus)
    return {"files": files, "splits": counts, "phonemes": dict(sorted(symbols.items()))}


def check_decoder(source: Source):
    """Stop the build if a file needs FFmpeg and it is missing; otherwise all such files would be skipped.

    Raises:
        CorpusError: if FFmpeg is needed and not installed.
    """
    suffix = Path(source.path).suffix.lower()
    if suffix in audio.FFMPEG_SUFFIXES and audio.ffmpeg() is None:
        raise CorpusError(
            f"build: FFmpeg must be installed to read {suffix} files; got no program `ffmpeg` for "
            f"{Path(source.path).name!r}. Run `pip install imageio-ffmpeg`, or `apt install ffmpeg`."
        )


def count_facts(facts: list[dict], split: str) -> dict:
    """Count utterances, hours, speakers and labels of one split, for the card and the command line."""
    part = [row for row in facts if row["split"] == split]
    speakers = {row["speaker_id"]: row["gender"] or "unknown" for row in part}
    return {
        "rows": len(part),
        "hours": round(sum(row["samples"] for row in part) / audio.SAMPLING_RATE / 3600, 3),
        "speakers": len(speakers),
        "speaker_genders": dict(sorted(Counter(speakers.values()).items())),
        "labels": dict(sorted(Counter(row["native_label"] or "none" for row in part).items())),
    }


def source_sha256(adapter, folder: Path, options: BuildOptions) -> str:
    """Compute a SHA-256 of everything that determines the rows of a corpus: recipe, options, rows of the metric table,
    description of a custom corpus, name and size of every file."""
    corpus = adapter.CORPUS
    digest = hashlib.sha256(f"{RECIPE}\n{options.preparation}\n{options.skip_unknown}\n".encode())
    for row in metric.metric_table().values():
        if row.corpus == corpus:
            digest.update(f"{row}\n".encode())
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        digest.update(
            f"{path.relative_to(folder).as_posix()}\t{path.stat().st_size}\n".encode("utf-8", "surrogateescape")
        )
    for path in getattr(adapter, "sources", ()):
        digest.update(path.read_bytes())
    if options.emobox:
        digest.update(repr(emobox.read_folds(options.emobox, corpus)).encode())
    return digest.hexdigest()


def describe_build(manifest: dict) -> str:
    """Format the counts of a manifest for the command line."""
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
            f"{len(audit['speakers'])} speakers, {audit['texts']} texts, {len(audit['audio'])} recordings, "
            f"{len(audit['near_duplicates'])} near duplicates"
        )
        if entry["note"]:
            lines.append(f"{corpus:10} note: {entry['note']}")
    symbols = {symbol for entry in manifest["corpora"].values() for symbol in entry["phonemes"]}
    lines.append(f"{len(symbols)} IPA symbols in total")
    return "\n".join(lines)


def _prepare_worker():
    """Make the worker exit with its parent; otherwise it would wait forever after the build is killed."""

    def wait():
        multiprocessing.parent_process().join()
        os._exit(1)

    threading.Thread(target=wait, daemon=True).start()
    _keep_freed_memory()


def _keep_freed_memory():
    """Make glibc's malloc reuse freed arrays of up to 16 MiB: its threshold rises to the largest freed block.

    By default it returns them to the kernel, and page faults take half of a worker's time.
    """
    bytearray(2**24)


def parse_corpora(pairs: list[str]) -> dict[str, Path]:
    """Parse `NAME=FOLDER` arguments.

    Raises:
        CorpusError: if an argument has another form.
    """
    corpora = {}
    for pair in pairs:
        name, separator, folder = pair.partition("=")
        if not (separator and folder):
            raise CorpusError(f"build: a corpus must be NAME=FOLDER or NAME=FILE.yaml; got {pair!r}.")
        corpora[name] = Path(folder)
    return corpora


def main(arguments: list[str] | None = None):
    """Run the command line, `python -m speecheq.dataset_scripts.build` or `speecheq-seqd`."""
    parser = argparse.ArgumentParser(prog="speecheq-seqd", description="Build SEQD from corpora on this machine.")
    add = parser.add_argument
    add("--out", type=Path, required=True, help="the SEQD folder")
    add(
        "--corpus",
        action="append",
        required=True,
        metavar="NAME=FOLDER",
        help=f"one of {', '.join(ADAPTERS)}; or NAME=FILE.yaml for your own corpus; repeatable",
    )
    add("--num-proc", type=int, default=os.cpu_count() or 1, help="processes that convert audio (default: all cores)")
    add("--force", action="store_true", help="rebuild finished corpora")
    add(
        "--skip-unknown", action="store_true", help="skip labels that are not in the metric table, instead of stopping"
    )
    add("--emobox", type=Path, help="folder `data` of EmoBox, for the column `fold`")
    add("--trim", action="store_true", help="cut silence at both ends (default: keep it)")
    add("--loudness", type=float, metavar="LUFS", help="normalise to this loudness, such as -23 (default: keep it)")
    given = parser.parse_args(arguments)
    options = BuildOptions(
        num_proc=given.num_proc,
        force=given.force,
        skip_unknown=given.skip_unknown,
        emobox=given.emobox,
        preparation=Preparation(given.trim, given.loudness),
    )
    try:
        manifest = build(parse_corpora(given.corpus), given.out, options)
    except CorpusError as error:
        parser.exit(2, f"{error}\n")
    except (OSError, sqlite3.OperationalError) as error:  # mostly a full disk
        parser.exit(2, f"build: {error}. Finished work is kept: run the same command again to resume.\n")
    except KeyboardInterrupt:
        parser.exit(130, "Interrupted. Run the same command again to resume.\n")
    print(describe_build(manifest))
