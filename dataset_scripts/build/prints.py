"""Fingerprints of all corpora of a SEQD: a recording that is in two corpora stays in one split."""

from pathlib import Path

import pyarrow as pa
from pyarrow import compute, feather

from speecheq.dataset_scripts.files import replaced

FILE = "fingerprints.feather"
PRINTED = ("id", "split", "sha256", "fingerprint")  # facts of an utterance
SCHEMA = pa.schema([(name, pa.binary() if name == "fingerprint" else pa.string()) for name in ("corpus", *PRINTED)])


def read_prints(out: Path, corpora: list[str]) -> list[dict]:
    """Read the fingerprints of these corpora, as rows of `SCHEMA`; corpora of older builds have none."""
    if not (out / FILE).is_file():
        return []
    table = feather.read_table(out / FILE)
    return table.filter(compute.is_in(table["corpus"], pa.array(corpora, pa.string()))).to_pylist()


def write_prints(out: Path, rows: list[dict]):
    """Write the fingerprints of all corpora, atomically."""
    rows = sorted(rows, key=lambda row: row["corpus"])
    with replaced(out / FILE) as partial:
        feather.write_feather(pa.Table.from_pylist(rows, schema=SCHEMA), partial)
