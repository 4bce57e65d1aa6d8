"""Score a corpus into Parquet shards: `python -m speecheq.scoring.bulk seqd --out answers [--workers 8 | --ray]`."""

import argparse
import hashlib
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from tqdm import tqdm

from speecheq.scoring.command import CommandError, answer_options, whole_number
from speecheq.scoring.shards import Counts, count_shard, fix_plan, planned, shard_path
from speecheq.scoring.sources import Piece, find_pieces, source_folder
from speecheq.scoring.workers import Scorer, in_processes, on_ray

EPILOG = """SOURCE contains Parquet files with an audio column, WebDataset tar files, recordings, or a mix of these. Each row
of the output has its file, its row in the file and its id. Audio that failed has an error.

To resume an interrupted run, repeat the command: existing shards in --out are not scored again.

Exit status: 0, everything was scored; 1, some audio failed; 2, invalid arguments, or the output cannot be written;
130, interrupted."""


def run(given: argparse.Namespace) -> tuple[Counts, Counts]:
    """Score all pieces that have no shard yet.

    Args:
        given (`argparse.Namespace`): see `--help`.

    Returns:
        `tuple`: [`Counts`] of the shards of earlier runs, and of this run.

    Raises:
        CommandError: if an argument is invalid.
    """
    folder, out = source_folder(given.source), given.out.resolve()
    if not {out, *out.parents}.isdisjoint(Path(source).resolve() for source in given.source):
        raise CommandError(f"--out must not be inside a source; got {str(given.out)!r}. Pass another folder.")
    if given.speaker == "source" and given.channels == "each":
        raise CommandError(
            "--speaker source must not be given with --channels each: channels differ. Pass --speaker auto."
        )
    speaker_file = None if given.speaker in (None, "auto", "source") else Path(given.speaker).resolve()
    options = {
        "scale": given.scale, "candidate_labels": given.labels, "abstain_below": given.abstain_below, "vad": given.vad,
        "timeline": given.timeline, "phonemes": given.phonemes, "batch_size": given.batch_size, "channels": given.channels,
        "speaker": str(speaker_file) if speaker_file else given.speaker,
    }  # fmt: skip
    columns = [given.audio_column, given.id_column]
    model = str(Path(given.model).resolve()) if given.model and Path(given.model).exists() else given.model
    arguments = {
        "model": model, "device": given.device, "int8": given.int8, "folder": str(folder), "out": str(out), "columns": columns,
        "options": options | {"speaker": None} if given.speaker == "source" else options,
    }  # fmt: skip
    in_process = given.ray is None and given.workers in (None, 1)
    scorer = Scorer(**(arguments if in_process else arguments | {"device": "cpu"}))  # refuses invalid labels
    pieces = find_pieces(given.source, folder, given.rows_per_shard, given.audio_column)
    of_rows = {"columns": columns, "rows_per_shard": given.rows_per_shard, "weights_sha256": scorer.weights_sha256()}
    if speaker_file:
        of_rows["speaker"] = hashlib.sha256(speaker_file.read_bytes()).hexdigest()
    fix_plan(out, pieces, options | of_rows)
    if given.speaker == "source":
        statistics = out / "source.safetensors"
        if not statistics.exists():
            scorer.sample_source((piece for _, piece in planned(out)), statistics)
        scorer.use_speaker(statistics)
        arguments["options"]["speaker"] = str(statistics)
    before, rows, left = _progress(out)
    todo = ((number, piece) for number, piece in planned(out) if not shard_path(out, number).exists())
    if in_process:
        found = (scorer.score(*task) for task in todo)
    else:
        del scorer
        found = _on_others(todo, given, arguments) if left else iter(())
    now = Counts()
    with tqdm(total=rows, initial=before.rows, unit="row", disable=None) as progress:
        for counts in found:
            now = now.plus(counts)
            progress.update(counts.rows)
    for partial in out.glob(".*.partial"):  # left by killed processes
        partial.unlink()
    return before, now


def summary(before: Counts, now: Counts, wall: float) -> str:
    """Format the numbers of scored and failed rows, and the cost of this run."""
    lines = [f"{before.rows + now.rows} rows, {before.failed + now.failed} of them failed."]
    if now.processor and now.seconds:
        hours, core_hours = now.seconds / 3600, now.processor / 3600
        lines.append(
            f"This run: {now.rows} rows, {hours:.3f} h of speech in {wall:.0f} s, {now.rows / wall:.1f} rows/s."
        )
        lines.append(
            f"Per core: {now.rows / now.processor:.1f} rows/s, {hours / core_hours:.1f} h of speech per hour. A million hours "
            f"of speech would take {1e6 * core_hours / hours:,.0f} core-hours."
        )
    return "\n".join(lines)


def main(arguments: list[str] | None = None) -> int:
    """Run the command line, and return the exit status, see `EPILOG`."""
    given = _parser().parse_args(arguments)
    began = time.monotonic()
    try:
        before, now = run(given)
    except (CommandError, OSError) as error:
        print(f"speecheq: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("speecheq: interrupted. Repeat the command to resume.", file=sys.stderr)
        return 130
    print(summary(before, now, time.monotonic() - began))
    return int(before.failed + now.failed > 0)


def _progress(out: Path) -> tuple[Counts, int | None, int]:
    """Return the counts of the existing shards, the total number of rows (`None` if unknown), and the pieces left."""
    counts, rows, left = Counts(), 0, 0
    for number, piece in planned(out):
        shard = shard_path(out, number)
        of_shard = count_shard(shard) if shard.exists() else Counts(rows=piece.rows)
        rows = None if rows is None or of_shard.rows is None else rows + of_shard.rows
        if shard.exists():
            counts = counts.plus(of_shard)
        else:
            left += 1
    return counts, rows, left


def _on_others(todo: Iterator[tuple[int, Piece]], given: argparse.Namespace, arguments: dict) -> Iterator[Counts]:
    if given.ray is None:
        return in_processes(todo, given.workers, arguments)
    return on_ray(todo, given.workers, given.ray, arguments)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="speecheq.scoring.bulk",
        description=__doc__,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("source", nargs="+", metavar="SOURCE", help="file, or folder (searched)")
    add("--out", type=Path, required=True, help="folder for the shards")
    answer_options(parser)
    add(
        "--speaker",
        metavar="FILE",
        help="statistics of a speaker, written by speecheq --speaker FILE; they do not change here; source: statistics of 100 "
        "random recordings of the source; auto: every recording or channel is one speaker (default: no speaker)",
    )
    add("--no-timeline", dest="timeline", action="store_false", help="saves half of the time for audio above 4 s")
    add("--no-phonemes", dest="phonemes", action="store_false", help="write no phonemes, for smaller shards")
    add("--audio-column", default="audio", metavar="NAME", help="audio column of Parquet files (default: audio)")
    add("--id-column", default="id", metavar="NAME", help="id column of Parquet files (default: id)")
    add(
        "--rows-per-shard",
        type=whole_number,
        default=1000,
        metavar="N",
        help="approximate rows per shard; a row group or tar file is never split (default: 1000)",
    )
    add(
        "--workers",
        type=whole_number,
        metavar="N",
        help="number of processes (default: 1), or maximum number of actors with --ray",
    )
    add("--ray", nargs="?", const="", metavar="ADDRESS", help="run on Ray: the cluster at ADDRESS, or this machine")
    return parser


if __name__ == "__main__":
    raise SystemExit(main())
