"""Workers that score pieces: this process, several processes of this machine, or Ray actors.

Each worker runs a [`Scorer`], which writes a shard and returns its counts.
"""

import hashlib
import json
import multiprocessing
import os
import signal
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import asdict
from pathlib import Path
from threading import Thread

from speecheq.scoring.command import CommandError, load_pipeline, load_speaker, option_error
from speecheq.scoring.shards import Counts, count_shard, shard_path, write_shard
from speecheq.scoring.sources import Piece, read_piece, sample_rows

SAMPLE_ROWS, SAMPLE_WINDOWS = 100, 1000  # of a source; after either number, its statistics hardly change
BLOCKS = 10_000  # maximum number of Ray blocks
RETRIES = 5  # retries of a task after its actor is killed; limited, because some audio could kill every actor


class Scorer:
    """Scorer of pieces with a pipeline.

    Args:
        model, device, int8: see [`~speecheq.scoring.command.load_pipeline`].
        folder, out (`str`): source folder and output folder.
        columns (`tuple[str, str]`): audio column and id column of Parquet files.
        options (`dict`): parameters of the pipeline; `speaker` may be the file of a [`SpeakerStatistics`].

    Raises:
        CommandError: if the model, the device, the labels or the speaker cannot be used.
    """

    def __init__(self, model, device, int8: bool, folder: str, out: str, columns: tuple[str, str], options: dict):
        self._folder, self._out, self._columns = Path(folder), Path(out), columns
        self._options = dict(options)
        self.pipe = load_pipeline(model, device, int8)
        if options.get("speaker") not in (None, "auto"):
            self.use_speaker(options["speaker"])
        try:
            self.pipe((nothing for nothing in ()), **self._options)
        except ValueError as error:
            raise option_error(error) from error

    def weights_sha256(self) -> str:
        """Hash the weights and the configuration, which determine the predictions."""
        import torch

        settings = self.pipe.model.config.to_dict()
        settings.pop("transformers_version", None)
        settings["kind"] = type(self.pipe.model).__name__
        digest = hashlib.sha256(json.dumps(settings, sort_keys=True, default=str).encode())
        for name, value in sorted(self.pipe.model.state_dict().items()):
            content = value.cpu().contiguous().flatten().view(torch.uint8)  # numpy has no bfloat16
            digest.update(name.encode() + content.numpy().tobytes())
        return digest.hexdigest()

    def use_speaker(self, path: str | os.PathLike):
        """Use the statistics of a file for every piece."""
        speaker = load_speaker(self.pipe, path)
        speaker.merge = lambda other: speaker  # the scored audio does not change it: pieces come in any order
        self._options["speaker"] = speaker

    def sample_source(self, pieces: Iterable[Piece], path: Path):
        """Save the speaker statistics of a sample of the source: corpus normalisation, without labels.

        Raises:
            CommandError: if the sample has no speech.
        """
        speaker, options = self.pipe.new_speaker(), self._options | {"timeline": False, "phonemes": False}
        rows = sample_rows(pieces, SAMPLE_ROWS, self._folder, *self._columns)
        for _ in self.pipe((row.audio for row in rows), on_error="return", **options | {"speaker": speaker}):
            if speaker.num_utterances >= SAMPLE_WINDOWS:
                break
        if not speaker.num_utterances:
            raise CommandError(
                "--speaker source: the sample of the source must have speech; got none. Leave the option out."
            )
        speaker.save(partial := path.with_name(f".{path.name}.partial"))
        partial.replace(path)

    def score(self, number: int, piece: Piece) -> Counts:
        """Write the shard of a piece if it does not exist, and return its counts."""
        path = shard_path(self._out, number)
        if path.exists():  # written by a worker that was killed before it returned
            return count_shard(path)
        began = time.process_time()
        write_shard(path, self._answers(piece))
        return count_shard(path)._replace(processor=time.process_time() - began)

    def __call__(self, batch: dict) -> dict:
        """Score a Ray batch of one piece, and return its number and counts as columns."""
        (number,), (piece,) = batch["number"], batch["piece"]
        counts = self.score(int(number), Piece(**json.loads(piece)))
        return {"number": [int(number)]} | {name: [value] for name, value in counts._asdict().items()}

    def _answers(self, piece: Piece) -> Iterator[dict]:
        rows = []  # rows without a prediction yet

        def audio():
            for row in read_piece(piece, self._folder, *self._columns):
                rows.append((row.file, row.row, row.id, row.error))
                yield {} if row.error else row.audio

        each = self._options["channels"] == "each"
        for answer in self.pipe(audio(), on_error="return", **self._options):
            file, row, identity, error = rows.pop(0)
            for found in [{"error": error}] if error else answer if each else [answer]:
                yield {"file": file, "row": row, "id": identity, **found}


def in_processes(todo: Iterator[tuple[int, Piece]], workers: int, scorer: dict) -> Iterator[Counts]:
    """Score pieces in processes of this machine, which share its cores.

    Args:
        todo (`Iterator[tuple[int, Piece]]`): numbers and pieces.
        workers (`int`): number of processes.
        scorer (`dict`): arguments of [`Scorer`].

    Yields:
        [`Counts`]: counts of each shard.

    Raises:
        CommandError: if a process was killed.
    """
    pool = ProcessPoolExecutor(workers, multiprocessing.get_context("spawn"), _begin, (workers, scorer))
    waiting = set()
    try:
        for task in todo:
            waiting.add(pool.submit(_score, *task))
            if len(waiting) == 2 * workers:  # limits the queue for long plans
                done, waiting = wait(waiting, return_when=FIRST_COMPLETED)
                yield from (future.result() for future in done)
        while waiting:
            done, waiting = wait(waiting, return_when=FIRST_COMPLETED)
            yield from (future.result() for future in done)
    except BrokenProcessPool as error:
        raise CommandError(
            "--workers: a process was killed, possibly because memory ran out. Repeat the command to resume, with fewer "
            "--workers to use less memory."
        ) from error
    finally:
        pool.shutdown(wait=False, cancel_futures=True)


def on_ray(todo: Iterator[tuple[int, Piece]], workers: int | None, address: str, scorer: dict) -> Iterator[Counts]:
    """Score pieces on Ray Data actors. Lost workers and nodes do not end the run.

    Args:
        todo (`Iterator[tuple[int, Piece]]`): numbers and pieces.
        workers (`int`, *optional*): maximum number of actors; by default one per GPU, or one per core without GPUs.
        address (`str`): address of a cluster; an empty string selects the cluster of this machine or starts one.
        scorer (`dict`): arguments of [`Scorer`].

    Yields:
        [`Counts`]: counts of each shard.

    Raises:
        CommandError: if Ray is not installed, the cluster does not respond, or actors fail repeatedly.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # disables the telemetry of Ray
    try:
        import ray.data
    except ImportError as error:
        raise CommandError(
            '--ray: Ray must be installed; got no ray module. Run `pip install "speecheq[scale]"`.'
        ) from error
    try:
        ray.init(address=address or None, ignore_reinit_error=True, log_to_driver=False, logging_level="WARNING")
    except (ConnectionError, ValueError) as error:
        raise CommandError(f"--ray must be the address of a running cluster; got {address!r}. {error}") from error
    context = ray.data.DataContext.get_current()
    context.enable_progress_bars = context.print_on_execution_start = False
    resources, device = ray.cluster_resources(), scorer["device"]
    gpus = int(device.startswith("cuda") if device else "GPU" in resources and not scorer["int8"])
    scorer = scorer | {"device": device or ("cuda" if gpus else "cpu")}
    workers = workers or max(1, int(resources.get("GPU" if gpus else "CPU", 1)))
    left, standing = dict(todo), -1
    while left:
        try:
            for row in _ray_dataset(left, workers, gpus, scorer).iter_rows():
                del left[row.pop("number")]
                yield Counts(**row)
        except ray.exceptions.RayError as error:
            before, standing = standing, len(list(Path(scorer["out"]).glob("*.parquet")))
            if standing <= before:  # no new shard since the last failure: retrying does not help
                raise CommandError(f"--ray: scoring failed repeatedly without a new shard; got {error}") from error


def _ray_dataset(pieces: dict[int, Piece], workers: int, gpus: int, scorer: dict):
    import ray.data

    items = [{"number": number, "piece": json.dumps(asdict(piece))} for number, piece in pieces.items()]
    workers = min(workers, len(items))
    return ray.data.from_items(items, override_num_blocks=min(len(items), BLOCKS)).map_batches(
        Scorer,
        fn_constructor_kwargs=scorer,
        batch_size=1,
        num_cpus=1,
        num_gpus=gpus,
        concurrency=(1, workers, workers),  # up to `workers` actors; after the loss of a node, fewer may fit
        max_restarts=-1,
        max_task_retries=RETRIES,
    )


_scorer: Scorer | None = None  # scorer of a process of `in_processes`


def _begin(workers: int, scorer: dict):
    global _scorer
    import torch

    signal.signal(signal.SIGINT, signal.SIG_DFL)  # an interrupt ends a process without a traceback
    Thread(target=_end_with_parent, daemon=True).start()
    if "OMP_NUM_THREADS" not in os.environ:
        torch.set_num_threads(max(1, os.cpu_count() // workers))
    _scorer = Scorer(**scorer)


def _end_with_parent():
    """End this process with its parent: a pool process would wait forever after the parent is killed."""
    multiprocessing.parent_process().join()
    os._exit(1)


def _score(number: int, piece: Piece) -> Counts:
    return _scorer.score(number, piece)
