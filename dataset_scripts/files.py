"""Files: written atomically, and their SHA-256."""

import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def file_sha256(path: Path) -> str:
    """Compute the SHA-256 of a file."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(2**20):
            digest.update(block)
    return digest.hexdigest()


@contextmanager
def replaced(path: Path) -> Iterator[Path]:
    """Give a file to write, which then replaces another: if the process is killed, the old file remains."""
    partial = path.with_name(f".{path.name}.partial")
    yield partial
    os.replace(partial, path)


def write_text(path: Path, text: str):
    """Write a text file atomically, see [`replaced`]."""
    with replaced(path) as partial:
        partial.write_text(text, encoding="utf-8")
