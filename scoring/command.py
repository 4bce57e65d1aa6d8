"""Speech emotion from the command line: `speecheq recordings/ --format csv --out answers.csv`."""

import argparse
import glob
import os
import sys
from itertools import chain, count
from pathlib import Path
from urllib.parse import urlsplit

from tqdm import tqdm

from speecheq.audio_speecheq import is_address
from speecheq.dataset_scripts.corpora.records import AUDIO_SUFFIXES
from speecheq.labels_speecheq import ESC_SCALES
from speecheq.scoring.formats import Csv, JsonLines, Rows, Table, TextGrids

ROOT = Path(__file__).resolve().parents[1]
SUFFIXES = (*AUDIO_SUFFIXES, ".3gp", ".aif", ".aiff", ".amr", ".m4b", ".mkv", ".mov", ".oga", ".webm", ".wma")
TEXT_FORMATS = {"jsonl": JsonLines, "csv": Csv}
DESCRIPTION = """Which emotion is heard in speech, how intense it is, when, and the speaker's gender and phonemes.

  speecheq interview.mp3
  speecheq recordings/ "more/*.wav" --format csv --out answers.csv
  speecheq recordings/ --format textgrid --out grids/"""
EPILOG = """A run that was interrupted goes on by the same command: files that stand in the --out of jsonl or csv are not scored
again, nor are those that have their TextGrid, and a last row that was torn is dropped. Files that failed stand there with
their error: delete these rows to try them again.

Exit status: 0, all was scored; 1, some files failed; 2, wrong arguments, or an output that cannot be written;
130, interrupted."""


class CommandError(ValueError):
    """Arguments that the command cannot work with."""


def find_audio(arguments: list[str]) -> tuple[list[str], Path | None]:
    """What the arguments mean.

    Args:
        arguments (`list[str]`): files, folders, which are searched, patterns such as `*.wav`, and `http(s)` addresses.

    Returns:
        `tuple`: the audio in the order of the arguments, each once; and the innermost folder that holds all of it that lies
        on this machine, at most a folder that is an argument itself.

    Raises:
        CommandError: if a folder or a pattern has no audio.
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
                f"AUDIO: a folder or a pattern must have audio ({', '.join(SUFFIXES)}); got none in {argument!r}."
            )
        files += found
        folders += [os.path.abspath(path if path.is_dir() else path.parent) for path in paths]
    return list(dict.fromkeys(files)), Path(os.path.commonpath(folders)) if folders else None


def text_grid_paths(files: list[str], folder: Path | None, out: Path) -> dict[str, Path]:
    """A TextGrid for each file, in the folders they lie in: `a/x.wav` -> `<out>/a/x.TextGrid`.

    Files of one name keep their suffix, from the second on: `a/x.mp3` -> `<out>/a/x.mp3.TextGrid`. An address lies in a folder
    named after its host.

    Args:
        files (`list[str]`), folder (`Path`, *optional*): see [`find_audio`].
        out (`Path`): the folder to write to.
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
    except ValueError:  # it will fail when it is read, and cost no other
        return Path("address")
    names = [part for part in parts.path.split("/") if part not in ("", ".", "..")]
    return Path(parts.hostname or "address", *names)


def load_pipeline(model: str | None, device: str | None, int8: bool = False):
    """The pipeline of a folder or a Hub repository, or of what was exported into a folder as 8-bit integers.

    Raises:
        CommandError: if there is none.
    """
    if model is None and not (ROOT / "model.safetensors").is_file():
        raise CommandError(
            "--model must be given: this installation holds no weights. Give a folder or a Hub repository."
        )
    if int8:
        return _exported_pipeline(model or str(ROOT), device)
    from transformers.pipelines import pipeline  # takes seconds, which a wrong argument need not wait for
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
    except (RuntimeError, AssertionError) as error:  # AssertionError: torch without CUDA, asked for it
        raise CommandError(f"--device must be one that torch finds here; got {device!r}. {error}") from error
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
            f'--int8: ONNX Runtime must be installed. `pip install "speecheq[onnx]"`. {error}'
        ) from error
    except (OSError, ValueError) as error:
        raise CommandError(f"--int8: {error}") from error


class KeptSpeaker:
    """What is known of the speaker, in a file that is written anew after each audio.

    Args:
        pipe ([`SpeechEQPipeline`]): of the model.
        path (`Path`): the file; a speaker of whom nothing is known if there is none.

    Raises:
        CommandError: if the file is of another model, or nothing of the kind.
    """

    def __init__(self, pipe, path: Path):
        from safetensors import SafetensorError

        self._path = path
        try:
            self.statistics = pipe.new_speaker(path if path.exists() else None)
            self.save()  # a file that cannot be written is said now
        except (OSError, ValueError, SafetensorError) as error:
            raise CommandError(
                f"--speaker must be a file that this command wrote with the same model; got {str(path)!r}. {error}"
            ) from error

    def save(self):
        """Write the file as a whole."""
        unfinished = self._path.with_name(self._path.name + ".partial")
        self.statistics.save(unfinished)
        os.replace(unfinished, self._path)


def score(files: list[str], output: Rows | TextGrids, given: argparse.Namespace) -> int:
    """Score the files without a row of an earlier run.

    Args:
        files (`list[str]`): all files.
        output ([`Rows`] or [`TextGrids`]): where the answers go.
        given (`argparse.Namespace`): see `--help`.

    Returns:
        `int`: how many of all files failed, in this run or before.

    Raises:
        CommandError: if the model, the labels or the speaker cannot be used, or the rows that stand have other labels.
    """
    before = {file: output.failed(file) for file in files}
    new = [file for file in files if before[file] is None]
    failed = sum(map(bool, before.values()))
    if not new:
        return failed
    pipe = load_pipeline(given.model, given.device, given.int8)
    speaker = None if given.speaker is None else KeptSpeaker(pipe, given.speaker)
    options = {
        "scale": given.scale, "candidate_labels": given.labels, "top_k": given.top_k, "abstain_below": given.abstain_below,
        "batch_size": given.batch_size, "vad": given.vad, "speaker": speaker and speaker.statistics, "on_error": "return",
        "timeline": given.format in ("jsonl", "textgrid"), "phonemes": given.format != "table",
    }  # fmt: skip
    try:
        answers = pipe((file for file in new), **options)
    except ValueError as error:
        raise CommandError(f"--labels: {error}") from error
    try:
        output.refuse_other_labels(pipe._label_space(given.scale, given.labels), given.top_k)
    except ValueError as error:
        raise CommandError(str(error)) from error
    with output.opened(), tqdm(total=len(files), initial=len(files) - len(new), unit="file", disable=None) as progress:
        for file, answer in zip(new, answers, strict=True):
            output.write(file, answer)
            if speaker is not None:
                speaker.save()
            failed += "error" in answer
            progress.update()
    return failed


def main(arguments: list[str] | None = None) -> int:
    """Command line: `speecheq`, or `python -m speecheq.scoring.command`. Returns the exit status, see `EPILOG`."""
    given = _parser().parse_args(arguments)
    try:
        files, folder = find_audio(given.audio)
        failed = score(files, _output(given, files, folder), given)
    except CommandError as error:
        print(f"speecheq: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        goes_on = "" if given.out is None else " The same command goes on from here."
        print(f"speecheq: interrupted.{goes_on}", file=sys.stderr)
        return 130
    except BrokenPipeError:  # whoever read the rows has enough; python would complain once more when it ends
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except OSError as error:
        print(f"speecheq: {error}", file=sys.stderr)
        return 2
    if failed:
        print(f"speecheq: {failed} of {len(files)} files failed.", file=sys.stderr)
    return int(failed > 0)


def _output(given: argparse.Namespace, files: list[str], folder: Path | None) -> Rows | TextGrids:
    if given.format == "table":
        if given.out is not None:
            raise CommandError("--out must come with --format jsonl, csv or textgrid; got it with table.")
        return Rows(Table(files))
    if given.format == "textgrid":
        if given.out is None:
            raise CommandError("--format textgrid must come with --out; got none. Give the folder for the TextGrids.")
        return TextGrids(text_grid_paths(files, folder, given.out))
    try:
        return Rows(TEXT_FORMATS[given.format](), given.out)
    except (ValueError, OSError) as error:
        raise CommandError(str(error)) from error


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="speecheq", description=DESCRIPTION, epilog=EPILOG, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("audio", nargs="+", metavar="AUDIO", help="file, folder (searched), pattern, or http(s) address")
    add("--format", choices=("table", *TEXT_FORMATS, "textgrid"), default="table", help="default: table")
    add("--out", type=Path, help="file to write to (default: the terminal); for textgrid a folder")
    answer_options(parser)
    add("--top-k", type=whole_number, metavar="N", help="scores of so many labels, in jsonl (default: all)")
    add(
        "--speaker",
        type=Path,
        metavar="FILE",
        help="all audio is of one person; what is known of the voice is kept here",
    )
    return parser


def answer_options(parser: argparse.ArgumentParser):
    """The options of the model and of what it answers."""
    add = parser.add_argument
    add("--model", help="folder or Hub repository (default: the weights that came with this installation)")
    add("--scale", choices=("fine", *ESC_SCALES), default="fine", help="12, 7 or 4 labels (default: fine)")
    add("--labels", type=_names, help="answer among these alone, such as angry,happy,neutral")
    add("--abstain-below", type=_probability, metavar="P", help="no label below this score (default: the model's)")
    add("--batch-size", type=whole_number, default=1, metavar="N", help="windows of audio at once (default: 1)")
    add("--no-vad", dest="vad", action="store_const", const=False, help="all that is not silent counts as speech")
    add("--device", help="such as cpu or cuda:0 (default: a GPU if there is one)")
    add("--int8", action="store_true", help="answer by --model's 8-bit export for CPUs, see scoring/API.md")


def whole_number(text: str) -> int:
    """An option's value, at least 1."""
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
    """Audio in a folder and the folders in it, but for hidden files, such as the `._name.wav` that macOS leaves."""
    found = folder.rglob("*")
    return sorted(file for file in found if file.suffix.lower() in SUFFIXES and file.name[0] != "." and file.is_file())


if __name__ == "__main__":
    raise SystemExit(main())
