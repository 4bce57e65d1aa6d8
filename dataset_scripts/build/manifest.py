"""Manifest of a SEQD folder: source, library versions, files, counts, skipped files and audit of each corpus."""

import csv
import json
import os
import re
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import soundfile

from speecheq.dataset_scripts.corpora.records import CorpusError
from speecheq.dataset_scripts.files import file_sha256, write_text

MANIFEST = "manifest.json"
REPORT = "report.csv"
CORPUS = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]*")
PACKAGES = ("speecheq", "pyarrow", "soundfile", "soxr", "espeakng-loader", "pypinyin", "pyloudnorm")


def read_manifest(out: Path) -> dict:
    """Read the manifest of a SEQD folder; an empty one if there is no file.

    Raises:
        CorpusError: if the file is not JSON, has no corpora, or a corpus has an unsafe name or no valid files.
    """
    path = Path(out) / MANIFEST
    if not path.is_file():
        return {"corpora": {}}
    try:
        manifest = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise CorpusError(
            f"build: {MANIFEST} must be JSON; got {error} in {str(path)!r}. Delete it and build again."
        ) from error
    corpora = manifest.get("corpora") if isinstance(manifest, dict) else None
    if not isinstance(corpora, dict):
        raise CorpusError(
            f"build: {MANIFEST} must have corpora; got none in {str(path)!r}. Delete it and build again."
        )
    for corpus, entry in corpora.items():  # it may be untrusted, and the builder replaces folders with these names
        if not (CORPUS.fullmatch(corpus) and _is_entry(entry)):
            raise CorpusError(
                f"build: corpora of {MANIFEST} must have names of letters, digits, _ and -, and files with their SHA-256; "
                f"got {corpus!r} in {str(path)!r}. Do not use this folder."
            )
    return manifest


def _is_entry(entry) -> bool:
    files = entry.get("files") if isinstance(entry, dict) else None
    return isinstance(files, dict) and all(isinstance(file, dict) and "sha256" in file for file in files.values())


def write_files(out: Path, manifest: dict, card_text: Callable[[dict], str]):
    """Write manifest.json, report.csv (all skipped files with reasons) and the card, each atomically."""
    write_text(out / MANIFEST, json.dumps(manifest, indent=1, ensure_ascii=False) + "\n")
    partial = out / f".{REPORT}"
    with partial.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["corpus", "path", "reason"])
        for corpus, entry in manifest["corpora"].items():
            writer.writerows([corpus, path, reason] for path, reason in entry["skipped"])
    os.replace(partial, out / REPORT)
    write_text(out / "README.md", card_text(manifest))


def is_finished(entry: dict | None, source: str, out: Path) -> bool:
    """Return whether a corpus was built completely from the same source and its files match the manifest."""
    return bool(entry) and entry["source"] == source and not entry.get("metadata_only") and not damaged(entry, out)


def damaged(entry: dict, out: Path) -> list[str]:
    """List the files of a corpus that are missing or do not match the manifest."""
    return [
        name
        for name, file in entry["files"].items()
        if not (out / name).is_file() or file_sha256(out / name) != file["sha256"]
    ]


def list_files(folder: Path, corpus: str) -> dict[str, dict]:
    """Describe the Parquet files of a corpus for the manifest: path -> SHA-256 and bytes."""
    return {
        f"{corpus}/{path.name}": {"sha256": file_sha256(path), "bytes": path.stat().st_size}
        for path in sorted((folder / corpus).iterdir())
    }


def versions() -> dict[str, str]:
    """Return the versions of the installed libraries that rows depend on."""
    found = {"libsndfile": soundfile.__libsndfile_version__}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return dict(sorted(found.items()))
