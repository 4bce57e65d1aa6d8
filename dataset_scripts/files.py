"""Files: written atomically, and their SHA-256."""

import hashlib
import os
from pathlib import Path


def file_sha256(path: Path) -> str:
    """Compute the SHA-256 of a file."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(2**20):
            digest.update(block)
    return digest.hexdigest()


def write_text(path: Path, text: str):
    """Write a file atomically: if the process is killed, the old file remains."""
    partial = path.with_name(f".{path.name}.partial")
    partial.write_text(text, encoding="utf-8")
    os.replace(partial, path)
