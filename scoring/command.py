"""Command line for speech emotion recognition: `speecheq recordings/ --format csv --out answers.csv`."""

import argparse
import glob
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import chain, count
from pathlib import Path
from urllib.parse import urlsplit

from tqdm import tqdm

from speecheq.audio_speecheq import SAMPLING_RATE, is_address
from speecheq.dataset_scripts.corpora.records import AUDIO_SUFFIXES, note_unread, options
from speecheq.labels_speecheq import ESC_SCALES
from speecheq.scoring.formats import Csv, JsonLines, Rows, Table, TextGrids
from speecheq.scoring.live import LiveError, microphone, piped, print_events

ROOT = Path(__file__).resolve().parents[1]
TEXT_FORMATS = {"jsonl": JsonLines, "csv": Csv}
AUTO = Path("auto")  # --speaker
DESCRIPTION = """Predict emotion, its intensity and timeline, the gender of the speaker, and phonemes.

  speecheq interview.mp3
  speecheq recordings/ "more/*.wav" --format csv --out answers.csv
  speecheq recordings/ --format textgrid --out grids/
  speecheq --live
  ffmpeg -i x.mp3 -f s16le -ar 16000 -ac 1 - | speecheq --live -"""
EPILOG = """To resume an interrupted run, repeat the command: files with a row in the jsonl or csv file of --out, or with a
TextGrid, are not scored again. An incomplete last row is dropped. Failed files have a row with their error: delete these
rows to score the files again.

Exit status: 0, everything was scored; 1, some files failed; 2, invalid arguments, or the output cannot be written;
130, interrupted."""


class CommandError(ValueError):
    """Error for invalid arguments of a command."""


def find_audio(arguments: list[str]) -> tuple[list[str], Path | None]:
    """Find the audio files of the arguments.

    Args:
        arguments (`list[str]`): files, folders (searched), patterns such as `*.wav`, and `http(s)` URLs.

    Returns:
        `tuple`: the files and URLs in the order of the arguments, without duplicates; and the innermost common folder of the
        files, `None` if there are only URLs.

    Raises:
        CommandError: if a folder or a pattern contains no audio.
    """
    files, folders = [], []
    for argument in arguments:
        if is_address(argument):
            files.append(argument)
            continue
        pattern = glob.has_magic(argument) and not os.path.exists(argument)
        paths = [Path(path) for path in (sorted(glob.glob(argument, recursive=True)) if pattern else [argument])]
        found = [str(file) for path in paths for file in (_search(path) if path.is_dir() else [path])]
        if not found:
            raise CommandError(
                f"AUDIO must be a folder or a pattern with audio ({options(AUDIO_SUFFIXES)}); got none in {argument!r}."
            )
        files += found
        folders += [os.path.abspath(path if path.is_dir() else path.parent) for path in paths]
    return list(dict.fromkeys(files)), Path(os.path.commonpath(folders)) if folders else None


def text_grid_paths(files: list[str], folder: Path | None, out: Path) -> dict[str, Path]:
    """Map each file to a TextGrid path with the same folders: `a/x.wav` -> `<out>/a/x.TextGrid`.

    If names collide, later files keep their suffix: `a/x.mp3` -> `<out>/a/x.mp3.TextGrid`. A URL gets a folder named after its
    host.

    Args:
        files (`list[str]`), folder (`Path`, *optional*): see [`find_audio`].
        out (`Path`): output folder.

    Returns:
        `dict[str, Path]`: file -> path of its TextGrid.
    """
    paths, taken = {}, set()
    for file in files:
        place = _place_of(file) if is_address(file) else Path(os.path.relpath(file, folder))
        names = chain((str(place.with_suffix("")), str(place)), (f"{place}-{number}" for number in count(2)))
        name = next(name for name in names if name.casefold() not in taken)
        taken.add(name.casefold())
        paths[file] = out / f"{name}.TextGrid"
    return paths


def _place_of(address: str) -> Path:
    try:
        parts = urlsplit(address)
    except ValueError:  # reading it reports the error, and the other files are scored
        return Path("address")
    names = [part for part in parts.path.split("/") if part not in ("", ".", "..")]
    return Path(parts.hostname or "address", *names)


def load_pipeline(model: str | None, device: str | None, int8: bool = False):
    """Load the pipeline of a model.

    Args:
        model (`str`, *optional*): folder or Hub repository; by default the weights of this installation.
        device (`str`, *optional*): device; by default a GPU if there is one.
        int8 (`bool`, *optional*, defaults to `False`): load the 8-bit export in the folder instead.

    Raises:
        CommandError: if the model or the device cannot be used.
    """
    if model is None and not (ROOT / "model.safetensors").is_file():
        raise CommandError(
            "--model must be given: this installation contains no weights. Pass a folder or a Hub repository."
        )
    if int8:
        return _exported_pipeline(model or str(ROOT), device)
    from transformers.pipelines import pipeline  # a slow import, after the checks of the arguments
    from transformers.utils import logging

    logging.disable_progress_bar()
    try:
        found = pipeline(model=model or str(ROOT), trust_remote_code=True, device=device)
        if found.model.config.model_type != "speecheq":
            raise ValueError(f"It is a {found.model.config.model_type} model.")
    except (OSError, ValueError, ImportError) as error:
        raise CommandError(
            f"--model must be a folder or a Hub repository of a SpeechEQ model; got {model!r}. {error}"
        ) from error
    except (RuntimeError, AssertionError) as error:  # AssertionError: --device cuda in a torch without CUDA
        raise CommandError(f"--device must be available in torch; got {device!r}. {error}") from error
    return found


def _exported_pipeline(folder: str, device: str | None):
    if device not in (None, "cpu"):
        raise CommandError(f"--int8 must go with --device cpu; got {device!r}.")
    try:
        from speecheq import SpeechEQProcessor
        from speecheq.pipeline_speecheq import SpeechEQPipeline
        from speecheq.scoring.onnx_model import OnnxModel

        return SpeechEQPipeline(model=OnnxModel(folder), processor=SpeechEQProcessor.from_pretrained(folder))
    except ImportError as error:
        raise CommandError(
            f'--int8: ONNX Runtime must be installed. Run `pip install "speecheq[onnx]"`. {error}'
        ) from error
    except (OSError, ValueError) as error:
        raise CommandError(f"--int8: {error}") from error


class KeptSpeaker:
    """Speaker statistics in a file that is rewritten after each recording.

    Args:
        pipe ([`SpeechEQPipeline`]): pipeline of the model.
        path (`Path`): the file. If it does not exist, the statistics start empty.

    Raises:
        CommandError: if the file is from another model, is not a statistics file, or cannot be written.
    """

    def __init__(self, pipe, path: Path):
        self._path = path
        self.statistics = load_speaker(pipe, path) if path.exists() else pipe.new_speaker()
        with speaker_errors(path):
            self.save()  # raises now if the file cannot be written

    def save(self):
        """Write the file atomically."""
        unfinished = self._path.with_name(self._path.name + ".partial")
        self.statistics.save(unfinished)
        os.replace(unfinished, self._path)


def load_speaker(pipe, path: str | os.PathLike):
    """Load the speaker statistics of `--speaker FILE`.

    Raises:
        CommandError: if the file is from another model, is not a statistics file, or does not exist.
    """
    with speaker_errors(path):
        return pipe.new_speaker(path)


@contextmanager
def speaker_errors(path: str | os.PathLike) -> Iterator[None]:
    """Name the option in the errors of a file of speaker statistics."""
    from safetensors import SafetensorError

    try:
        yield
    except (OSError, ValueError, SafetensorError) as error:
        raise CommandError(
            f"--speaker must be a file that speecheq --speaker wrote with the same model; got {os.fspath(path)!r}. {error}"
        ) from error


def score(files: list[str], output: Rows | TextGrids, given: argparse.Namespace) -> int:
    """Score the files that have no output from an earlier run.

    Args:
        files (`list[str]`): all files.
        output ([`Rows`] or [`TextGrids`]): writer of the predictions.
        given (`argparse.Namespace`): see `--help`.

    Returns:
        `int`: number of failed files, in this run and earlier runs.

    Raises:
        CommandError: if the model, the labels or the speaker cannot be used, or existing rows have other labels.
    """
    before = {file: output.failed(file) for file in files}
    new = [file for file in files if before[file] is None]
    failed = sum(map(bool, before.values()))
    if not new:
        return failed
    pipe = load_pipeline(given.model, given.device, given.int8)
    auto = given.speaker == AUTO
    kept = None if given.speaker is None or auto else KeptSpeaker(pipe, given.speaker)
    options = {
        "scale": given.scale, "candidate_labels": given.labels, "top_k": given.top_k, "abstain_below": given.abstain_below,
        "batch_size": given.batch_size, "vad": given.vad, "speaker": "auto" if auto else kept and kept.statistics,
        "on_error": "return",
        "timeline": given.format in ("jsonl", "textgrid"), "phonemes": given.format != "table", "channels": given.channels,
    }  # fmt: skip
    try:
        answers = pipe((file for file in new), **options)
    except ValueError as error:
        raise option_error(error) from error
    try:
        output.refuse_other_labels(pipe._label_space(given.scale, given.labels), given.top_k)
    except ValueError as error:
        raise CommandError(str(error)) from error
    with output.opened(), tqdm(total=len(files), initial=len(files) - len(new), unit="file", disable=None) as progress:
        for file, answer in zip(new, answers, strict=True):
            found = answer if given.channels == "each" else [answer]
            output.write(file, *found)
            if kept is not None:
                kept.save()
            failed += any("error" in one for one in found)
            progress.update()
    return failed


def listen(given: argparse.Namespace) -> int:
    """Write the events of a microphone or of the standard input, and return the exit status.

    Raises:
        CommandError, LiveError: if an option, the model or the audio cannot be used.
    """
    for option in ("out", "top_k", "abstain_below"):
        if getattr(given, option) is not None:
            raise CommandError(f"--live must come without --{option.replace('_', '-')}; got {getattr(given, option)}.")
    if given.channels == "each":
        raise CommandError("--live must come with --channels mix; got each.")
    if given.speaker == AUTO:
        raise CommandError("--live must come with a file as --speaker; got auto, which needs the whole recording.")
    if given.format not in ("table", "jsonl"):
        raise CommandError(f"--live must come with --format table or jsonl; got {given.format}.")
    if given.audio not in ([], ["-"]):
        raise CommandError(f"--live must come without AUDIO for the microphone, or with -; got {given.audio[0]!r}.")
    if given.audio and sys.stdin.isatty():
        raise CommandError("--live -: the standard input must be a pipe; got a terminal.")
    chunks = piped(sys.stdin.buffer, given.rate) if given.audio else microphone()
    pipe = load_pipeline(given.model, given.device, given.int8)
    speaker = None if given.speaker is None else KeptSpeaker(pipe, given.speaker)
    try:
        stream = pipe.stream(
            scale=given.scale, candidate_labels=given.labels, vad=given.vad, speaker=speaker and speaker.statistics
        )
    except ValueError as error:
        raise option_error(error) from error
    try:
        print_events(stream.events(chunks), given.format)
    except KeyboardInterrupt:  # the usual end of a recording
        print_events(stream.close(), given.format)
    except ValueError as error:
        raise CommandError(str(error)) from error
    if speaker is not None:
        speaker.save()
    return 0


def main(arguments: list[str] | None = None) -> int:
    """Run `speecheq` or `python -m speecheq.scoring.command`, and return the exit status, see `EPILOG`."""
    parser = _parser()
    given = parser.parse_args(arguments)
    if not given.audio and not given.live:
        parser.error("the following arguments are required: AUDIO")
    try:
        if given.live:
            return listen(given)
        if given.speaker not in (None, AUTO) and given.channels == "each":
            raise CommandError(
                "--speaker must come with --channels mix; got each, where each channel is another speaker."
            )
        files, folder = find_audio(given.audio)
        failed = score(files, _output(given, files, folder), given)
    except (CommandError, LiveError) as error:
        print(f"speecheq: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        resume = "" if given.out is None else " Repeat the command to resume."
        print(f"speecheq: interrupted.{resume}", file=sys.stderr)
        return 130
    except BrokenPipeError:  # the reader closed the pipe; without devnull, Python reports it again at exit
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except OSError as error:
        print(f"speecheq: {error}", file=sys.stderr)
        return 2
    if failed:
        print(f"speecheq: {failed} of {len(files)} files failed.", file=sys.stderr)
    return int(failed > 0)


def _output(given: argparse.Namespace, files: list[str], folder: Path | None) -> Rows | TextGrids:
    each = given.channels == "each"
    if given.format == "table":
        if given.out is not None:
            raise CommandError("--out must come with --format jsonl, csv or textgrid; got table.")
        return Rows(Table(files, each))
    if given.format == "textgrid":
        if given.out is None:
            raise CommandError("--format textgrid must come with --out; got none. Pass a folder for the TextGrids.")
        return TextGrids(text_grid_paths(files, folder, given.out))
    try:
        return Rows(TEXT_FORMATS[given.format](each), given.out)
    except (ValueError, OSError) as error:
        raise CommandError(str(error)) from error


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="speecheq", description=DESCRIPTION, epilog=EPILOG, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("audio", nargs="*", metavar="AUDIO", help="file, folder (searched), pattern, or http(s) URL; - with --live")
    add(
        "--format",
        choices=("table", *TEXT_FORMATS, "textgrid"),
        default="table",
        help="output format (default: table)",
    )
    add("--out", type=Path, help="output file (default: the terminal); for textgrid a folder")
    answer_options(parser)
    add("--top-k", type=whole_number, metavar="N", help="number of scored labels in jsonl (default: all)")
    add(
        "--speaker",
        type=Path,
        metavar="FILE",
        help="file for speaker statistics, if all audio is from one speaker; auto: every file or channel is one speaker",
    )
    add("--live", action="store_true", help="score the microphone, or with - the standard input, and write events")
    rate = {"type": whole_number, "default": SAMPLING_RATE, "metavar": "HZ"}
    add("--rate", **rate, help=f"sampling rate of raw samples for --live - (default: {SAMPLING_RATE})")
    return parser


def answer_options(parser: argparse.ArgumentParser):
    """Add the options of the model and its predictions to a parser."""
    add = parser.add_argument
    add("--model", help="folder or Hub repository (default: the weights of this installation)")
    add("--scale", choices=("fine", *ESC_SCALES), default="fine", help="12, 7 or 4 labels (default: fine)")
    add("--labels", type=_names, help="predict among these labels only, for example angry,happy,neutral")
    add("--abstain-below", type=_probability, metavar="P", help="no label below this score (default: from the model)")
    add("--channels", choices=("mix", "each"), default="mix", help="each: one answer per channel (default: mix)")
    add("--batch-size", type=whole_number, default=1, metavar="N", help="windows of audio per batch (default: 1)")
    add(
        "--no-vad", dest="vad", action="store_const", const=False, help="treat everything that is not silent as speech"
    )
    add("--device", help="for example cpu or cuda:0 (default: a GPU if there is one)")
    add("--int8", action="store_true", help="use the 8-bit export of --model for CPUs, see scoring/SCALE.md")


def option_error(error: ValueError) -> CommandError:
    """Name the option instead of the parameter in an error of the pipeline."""
    message = str(error).removeprefix("SpeechEQPipeline: ")
    return CommandError("--" + message.replace("candidate_labels", "labels", 1))


def whole_number(text: str) -> int:
    """Parse the value of an option, an integer of at least 1."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"must be a whole number of at least 1; got {text!r}.")
    return int(text)


def _names(text: str) -> list[str]:
    return [name.strip() for name in text.split(",")]


def _probability(text: str) -> float:
    value = float(text)
    if not 0 <= value <= 1:
        raise argparse.ArgumentTypeError(f"must lie in [0, 1]; got {text!r}.")
    return value


def _search(folder: Path) -> list[Path]:
    """Find audio in a folder and its subfolders, except hidden files such as `._name.wav` from macOS."""
    found = [file for file in folder.rglob("*") if file.name[0] != "." and file.is_file()]
    note_unread(map(str, found))
    return sorted(file for file in found if file.suffix.lower() in AUDIO_SUFFIXES)


if __name__ == "__main__":
    raise SystemExit(main())
