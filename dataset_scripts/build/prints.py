"""Fingerprints of all corpora of a SEQD: a recording that is in two corpora stays in one split."""

import os
from pathlib import Path

import pyarrow as pa
from pyarrow import compute, feather

from speecheq.dataset_scripts.build.splits import audit

FILE = "fingerprints.feather"
SCHEMA = pa.schema(
    [(name, pa.string()) for name in ("corpus", "id", "split", "sha256")] + [("fingerprint", pa.binary())]
)


def read_prints(out: Path, corpora: list[str]) -> list[dict]:
    """Read the fingerprints of these corpora, as rows of `SCHEMA`; corpora of older builds have none."""
    if not (out / FILE).is_file():
        return []
    table = feather.read_table(out / FILE)
    return table.filter(compute.is_in(table["corpus"], pa.array(corpora, pa.string()))).to_pylist()


def write_prints(out: Path, rows: list[dict]):
    """Write the fingerprints of all corpora, atomically."""
    rows = sorted(rows, key=lambda row: row["corpus"])
    partial = out / f"{FILE}.partial"
    feather.write_feather(pa.Table.from_pylist(rows, schema=SCHEMA), partial)
    os.replace(partial, out / FILE)


def copies_of_other_corpora(rows: list[dict], others: list[dict]) -> list[tuple[str, str]]:
    """Find the utterances of a corpus that other corpora have in another split.

    Args:
        rows (`list[dict]`): `id`, `split`, `sha256` and `fingerprint` of the utterances of the corpus.
        others (`list[dict]`): of the utterances of the other corpora, which are built already.

    Returns:
        `list[tuple[str, str]]`: ids of the corpus, and reasons to skip them.
    """
    own, split = {row["id"] for row in rows}, {row["id"]: row["split"] for row in others}
    found = audit([{"speaker_id": None, "text": None, **row} for row in [*rows, *others]])
    skipped = {}
    for kind, pairs in (("copy", found["audio"]), ("near duplicate", found["near_duplicates"])):
        for name, other in [pair for one, two in pairs for pair in ((one, two), (two, one))]:
            if name in own and other in split:
                reason = f"build: recording must be in one split; got a {kind} of {other} ({split[other]})"
                skipped.setdefault(name, reason)
    return sorted(skipped.items())
