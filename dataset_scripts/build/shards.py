"""Write SEQD rows as Parquet shards with embedded audio."""

from collections import Counter
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from speecheq.dataset_scripts.build import rows
from speecheq.dataset_scripts.build.spool import Spool

ROWS_PER_GROUP = 100  # small, so that a stream starts at once
SHARD_SAMPLES = 500_000_000  # about 500 MB of FLAC
REPEATED = [
    *("corpus", "language", "speaker_id", "gender", "text", "phonemes.list.element", "native_label", "native_level"),
    *("esc.list.element", "split", "official_split", "license"),
]


def write_split(folder: Path, split: str, spool: Spool, shard_samples: int = SHARD_SAMPLES) -> dict | None:
    """Write the shards `<split>-00000-of-0000N.parquet` of a split.

    Args:
        folder (`Path`): of the shards.
        split (`str`): `"train"`, `"validation"` or `"test"`.
        spool ([`Spool`]): rows and clips.
        shard_samples (`int`, *optional*, defaults to 500 million): approximate number of samples per shard, and of bytes.

    Returns:
        `dict` or `None`: `arrow_bytes`, `with_text`, `phonemised`, `with_intensity`, `languages` and the counts of the IPA
        `symbols`; `None` if the split is empty.
    """
    number, samples = spool.sizes(split)
    if not number:
        return None
    shards = -(-samples // shard_samples)
    counts = Counter()
    symbols: Counter = Counter()
    languages = set()
    found = spool.rows(split)
    for shard in range(shards):
        end, start = number * (shard + 1) // shards, number * shard // shards
        name = f"{split}-{shard:05}-of-{shards:05}.parquet"
        with open_writer(folder / name) as writer:
            for place in range(start, end, ROWS_PER_GROUP):
                size = min(ROWS_PER_GROUP, end - place)
                group = [rows.complete(row, clip, split) for row, clip in (next(found) for _ in range(size))]
                counts["arrow_bytes"] += write_rows(writer, group)
                for row in group:
                    counts["with_text"] += row["text"] is not None
                    counts["phonemised"] += row["phonemes"] is not None
                    counts["with_intensity"] += row["eis_low"] is not None
                    symbols.update(row["phonemes"] or ())
                    languages.add(row["language"])
    return {**counts, "languages": sorted(languages), "symbols": symbols}


def open_writer(path: Path) -> pq.ParquetWriter:
    """Open a writer of SEQD rows; dictionary encoding is only for repeated columns, because it is slow for FLAC."""
    return pq.ParquetWriter(path, rows.FEATURES.arrow_schema, compression="zstd", use_dictionary=REPEATED)


def write_rows(writer: pq.ParquetWriter, group: list[dict]) -> int:
    """Write one row group and return its number of bytes in Arrow."""
    table = pa.Table.from_pylist(group, schema=rows.FEATURES.arrow_schema)
    writer.write_table(table)
    return table.nbytes
