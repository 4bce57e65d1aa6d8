"""Who scores the pieces: this process, several processes of this machine, or actors of Ray.

All of them run a [`Scorer`], which writes a shard and gives its counts.
"""

import hashlib
import json
import multiprocessing
import os
import signal
import time
from collections.abc import Iterator
from concurrent.futures import FIRST_COMPLETED, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import asdict
from pathlib import Path
from threading import Thread

from speecheq.scoring.command import CommandError, load_pipeline
from speecheq.scoring.shards import Counts, count_shard, shard_path, write_shard
from speecheq.scoring.sources import Piece, read_piece

BLOCKS = 10_000  # of pieces, at most, that Ray keeps account of
RETRIES = 5  # of what an actor was doing when it was killed: audio that kills every actor must not do so for ever


class Scorer:
    """A pipeline that turns pieces into shards.

    Args:
        model, device, int8: see [`~speecheq.scoring.command.load_pipeline`].
        folder, out (`str`): the source's, and the run's.
        columns (`tuple[str, str]`): of audio and id, in Parquet files.
        options (`dict`): of a call of the pipeline.

    Raises:
        CommandError: if the model, the device or the labels cannot be used.
    """

    def __init__(self, model, device, int8: bool, folder: str, out: str, columns: tuple[str, str], options: dict):
        self._folder, self._out, self._columns = Path(folder), Path(out), columns
        self._options = options
        self.pipe = load_pipeline(model, device, int8)
        try:
            self.pipe((nothing for nothing in ()), **options)
        except ValueError as error:
            raise CommandError(f"--labels: {error}") from error

    def weights_sha256(self) -> str:
        """Of the weights and the configuration: another value, other answers."""
        import torch

        about = self.pipe.model.config.to_dict()
        about.pop("transformers_version", None)
        about["kind"] = type(self.pipe.model).__name__
        digest = hashlib.sha256(json.dumps(about, sort_keys=True, default=str).encode())
        for name, value in sorted(self.pipe.model.state_dict().items()):
            content = value.cpu().contiguous().flatten().view(torch.uint8)  # numpy has no bfloat16
            digest.update(name.encode() + content.numpy().tobytes())
        return digest.hexdigest()

    def score(self, number: int, piece: Piece) -> Counts:
        """Write the shard of a piece, unless it stands there."""
        path = shard_path(self._out, number)
        if path.exists():  # whoever did it was killed before he could say so
            return count_shard(path)
        began = time.process_time()
        write_shard(path, self._answers(piece))
        return count_shard(path)._replace(processor=time.process_time() - began)

    def __call__(self, batch: dict) -> dict:
        """The same as Ray asks for it: columns of one row."""
        (number,), (piece,) = batch["number"], batch["piece"]
        counts = self.score(int(number), Piece(**json.loads(piece)))
        return {"number": [int(number)]} | {name: [value] for name, value in counts._asdict().items()}

    def _answers(self, piece: Piece) -> Iterator[dict]:
        rows = []  # read and not yet answered

        def audio():
            for row in read_piece(piece, self._folder, *self._columns):
                rows.append((row.file, row.row, row.id, row.error))
                yield {} if row.error else row.audio

        for answer in self.pipe(audio(), on_error="return", **self._options):
            file, row, identity, error = rows.pop(0)
            yield {"file": file, "row": row, "id": identity, **({"error": error} if error else answer)}


def in_processes(todo: Iterator[tuple[int, Piece]], workers: int, scorer: dict) -> Iterator[Counts]:
    """Score pieces in processes of this machine, which share its processors.

    Args:
        todo (`Iterator[tuple[int, Piece]]`): numbers and pieces.
        workers (`int`): how many processes.
        scorer (`dict`): arguments of [`Scorer`].

    Raises:
        CommandError: if a process was killed.
    """
    pool = ProcessPoolExecutor(workers, multiprocessing.get_context("spawn"), _begin, (workers, scorer))
    waiting = set()
    try:
        for task in todo:
            waiting.add(pool.submit(_score, *task))
            if len(waiting) == 2 * workers:  # no more, however long the plan is
                done, waiting = wait(waiting, return_when=FIRST_COMPLETED)
                yield from (future.result() for future in done)
        while waiting:
            done, waiting = wait(waiting, return_when=FIRST_COMPLETED)
            yield from (future.result() for future in done)
    except BrokenProcessPool as error:
        raise CommandError(
            "--workers: every process must live to the end; one was killed, for want of memory perhaps. The same command "
            "goes on from here; with fewer --workers it needs less memory."
        ) from error
    finally:
        pool.shutdown(wait=False, cancel_futures=True)


def on_ray(todo: Iterator[tuple[int, Piece]], workers: int | None, address: str, scorer: dict) -> Iterator[Counts]:
    """Score pieces on actors of Ray Data, which survive the death of workers and nodes.

    Args:
        todo (`Iterator[tuple[int, Piece]]`): numbers and pieces.
        workers (`int`, *optional*): at most so many actors; by default one for each GPU, or for each core without any.
        address (`str`): of a cluster; the empty string for that of this machine, or else a new one.
        scorer (`dict`): arguments of [`Scorer`].

    Raises:
        CommandError: if there is no Ray, no cluster, or an actor fails for good.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # nobody is told of a run
    try:
        import ray.data
    except ImportError as error:
        raise CommandError('--ray: Ray must be installed; got none. `pip install "speecheq[scale]"`.') from error
    try:
        ray.init(address=address or None, ignore_reinit_error=True, log_to_driver=False, logging_level="WARNING")
    except (ConnectionError, ValueError) as error:
        raise CommandError(
            f"--ray: it must be the address of a cluster that answers; got {address!r}. {error}"
        ) from error
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
            if standing <= before:  # it failed without a shard between: that is not the cluster's coming and going
                raise CommandError(f"--ray: every piece must be scored in the end; got {error}") from error


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
        concurrency=(1, workers, workers),  # as many at once; of a lost node's, not all may find another place
        max_restarts=-1,
        max_task_retries=RETRIES,
    )


_scorer: Scorer | None = None  # of a process of `in_processes`


def _begin(workers: int, scorer: dict):
    global _scorer
    import torch

    signal.signal(signal.SIGINT, signal.SIG_DFL)  # an interrupt ends a process without a word
    Thread(target=_end_with_parent, daemon=True).start()
    if "OMP_NUM_THREADS" not in os.environ:
        torch.set_num_threads(max(1, os.cpu_count() // workers))
    _scorer = Scorer(**scorer)


def _end_with_parent():
    """A parent that was killed told nobody, and a pool's process would wait for it for ever."""
    multiprocessing.parent_process().join()
    os._exit(1)


def _score(number: int, piece: Piece) -> Counts:
    return _scorer.score(number, piece)
