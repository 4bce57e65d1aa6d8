"""What a corpus adapter yields: one native record per utterance, with the labels of the corpus."""

import csv
import io
import logging
import os
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

# File names that a search takes for audio: formats that soundfile or FFmpeg reads.
SOUNDFILE_SUFFIXES = (
    ".wav", ".flac", ".ogg", ".opus", ".mp3", ".aif", ".aifc", ".aiff", ".au", ".caf", ".mp2", ".mpga", ".oga", ".rf64",
    ".snd", ".sph", ".voc", ".w64",
)  # fmt: skip
FFMPEG_SUFFIXES = (
    ".m4a", ".aac", ".mp4", ".3gp", ".ac3", ".amr", ".ape", ".asf", ".avi", ".eac3", ".flv", ".m2ts", ".m4b", ".m4v",
    ".mka", ".mkv", ".mov", ".mpeg", ".mpg", ".mts", ".ogv", ".tta", ".weba", ".webm", ".wma", ".wmv", ".wv",
)  # fmt: skip
AUDIO_SUFFIXES = SOUNDFILE_SUFFIXES + FFMPEG_SUFFIXES
# Audio that is not read: no header, an encrypted or rare codec, or notes instead of sound. A search names such files.
UNREAD_SUFFIXES = (
    ".aax", ".dff", ".ds2", ".dsf", ".dss", ".gsm", ".mid", ".midi", ".mpc", ".pcm", ".ra", ".raw", ".rm", ".shn", ".silk",
    ".spx", ".vox",
)  # fmt: skip
MAX_OPTIONS = 10
PARQUET_AUDIO = ("audio", "speech")  # columns of a Parquet file that hold encoded bytes
UNREADABLE = "\ufffd"  # what `decode_text` gives for a byte that no encoding can decode

logger = logging.getLogger(__name__)


class CorpusError(ValueError):
    """A file, a name or an annotation that differs from what its corpus documents."""


class UnknownLabelError(CorpusError):
    """A native label or level without a row in the metric table. Add the row, or skip the file."""


@dataclass(frozen=True, kw_only=True)
class NativeRecord:
    """One utterance as its corpus describes it, before any mapping.

    Args:
        path (`Path`): the audio file, or a video that holds it, or a Parquet file (see `parquet_row`).
        speaker (`str`): the speaker's name inside the corpus.
        language (`str`): ISO 639-1 code.
        label (`str`, *optional*): native emotion label.
        name (`str`, *optional*, defaults to the file's name without its suffix): the utterance's name inside the corpus,
            where file names repeat. Every id must be unique.
        parquet_row (`int`, *optional*): the row of the Parquet file whose column `audio` or `speech` holds the bytes.
        start (`float`, *optional*, defaults to 0): where the utterance starts in its file, in seconds.
        end (`float`, *optional*, defaults to the end of the file): where it ends.
        level (`str`, *optional*): native intensity level, as acted.
        intensity (`float`, *optional*): intensity in [0, 1] as listeners rated it, where the corpus asked them.
        gender (`str`, *optional*): `"female"` or `"male"`, as the corpus documents it.
        age (`float`, *optional*): years.
        text (`str`, *optional*): transcript.
        pinyin (`str`, *optional*): Mandarin syllables as they were said, such as `"jiu4 shi4 xia4 yu3"`. The phonemes
            follow from them and not from the transcript.
        votes (`tuple[str, ...]`, *optional*): native label given by each rater.
        ratings (`tuple[dict, ...]`, *optional*): `valence`, `arousal` and `dominance` of each rater on the native
            scale; a missing value is `None`.
        rating_scale (`tuple[float, float]`, *optional*, defaults to `(1.0, 5.0)`): ends of the native scale.
        license (`str`, *optional*): where it differs from the adapter's `LICENSE`.
        fold (`int`, *optional*): the fold that tests it, from 1, if the corpus itself has folds: a session of
            IEMOCAP. A list of EmoBox, if given, replaces it.
        official_split (`str`, *optional*): the part that the corpus itself publishes, as it names it: `"dev"`.
    """

    path: Path
    speaker: str
    language: str
    label: str | None = None
    name: str | None = None
    parquet_row: int | None = None
    start: float | None = None
    end: float | None = None
    level: str | None = None
    intensity: float | None = None
    gender: str | None = None
    age: float | None = None
    text: str | None = None
    pinyin: str | None = None
    votes: tuple[str, ...] | list[str] = ()
    ratings: tuple[dict, ...] | list[dict] | None = None
    rating_scale: tuple[float, float] = (1.0, 5.0)
    license: str | None = None
    fold: int | None = None
    official_split: str | None = None

    def __post_init__(self):
        """Bring speaker and labels to one Unicode form: otherwise one voice could stand in train and in validation."""
        for field in ("speaker", "label", "level"):
            object.__setattr__(self, field, nfc(getattr(self, field)))
        object.__setattr__(self, "votes", type(self.votes)(map(nfc, self.votes)))


def nfc(text: str | None) -> str | None:
    """Normalise a text to the Unicode form NFC. macOS writes accented letters as two code points (NFD)."""
    return text and unicodedata.normalize("NFC", text)


@dataclass(frozen=True)
class Skipped:
    """A file that gives no record, and the reason."""

    path: Path
    reason: str


def options(names: Iterable[str]) -> str:
    """Write at most ten options for an error message."""
    names = [str(name) for name in names]
    more = f", ... ({len(names) - MAX_OPTIONS} more)" if len(names) > MAX_OPTIONS else ""
    return ", ".join(names[:MAX_OPTIONS]) + more


def look_up(code: str, table: Mapping[str, str], field: str, item: str) -> str:
    """Read a code of a file name or annotation.

    Args:
        code (`str`): the code found.
        table (`Mapping[str, str]`): every code that the corpus documents -> its meaning.
        field (`str`): what the code means, for the message.
        item (`str`): the file or row that holds it, for the message.

    Raises:
        CorpusError: if the corpus documents no such code.
    """
    if code not in table:
        raise CorpusError(f"look_up: {field} must be one of {options(table)}; got {code!r} in {item!r}.")
    return table[code]


def find_audio(folder: Path) -> list[Path]:
    """List the audio files under a folder, in the order of their relative paths.

    The `._*` files of macOS are left out. A warning names audio in formats that are not read.

    Raises:
        CorpusError: if the folder is missing or holds no audio, or a folder in it cannot be read.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise CorpusError(
            f"find_audio: folder must exist; got {str(folder)!r}. Give the download in its official layout."
        )
    # Not `rglob`: it ignores a folder that cannot be read, without an error.
    found = [Path(parent, name) for parent, _, names in os.walk(folder, onerror=_unreadable) for name in names]
    found = [path for path in found if not path.name.startswith("._") and path.is_file()]
    note_unread(path.relative_to(folder).as_posix() for path in found)
    found = [path for path in found if path.suffix.lower() in AUDIO_SUFFIXES]
    if not found:
        raise CorpusError(
            f"find_audio: folder must hold audio files ({options(AUDIO_SUFFIXES)}); got none in {str(folder)!r}. "
            "Unpack the download there."
        )
    return sorted(found, key=lambda path: path.relative_to(folder).as_posix())


def note_unread(names: Iterable[str]):
    """Warn of the files that look like audio, but are of a format that is not read."""
    unread = sorted(name for name in names if os.path.splitext(name)[1].lower() in UNREAD_SUFFIXES)
    if unread:
        text = "%d files look like audio, but their format is not read: %s. Convert them, for example to WAV."
        logger.warning(text, len(unread), options(unread))


def _unreadable(error: OSError):
    raise CorpusError(
        f"find_audio: folder must be readable; got {error.strerror!r} in {str(error.filename)!r}. Allow it, or move it away."
    ) from error


def read_table(path: Path, columns: tuple[str, ...], delimiter: str = ",") -> list[dict[str, str]]:
    """Read an annotation file with a header, values stripped of spaces at both ends; encodings as of [`read_text`].

    Raises:
        CorpusError: if the file or a column is missing, or the file is not CSV.
    """
    if not path.is_file():
        raise CorpusError(
            f"read_table: annotation file must exist; got no {path.name!r} in {str(path.parent)!r}. "
            "Copy it there from the download."
        )
    quoting = csv.QUOTE_NONE if delimiter == "\t" else csv.QUOTE_MINIMAL
    reader = csv.DictReader(io.StringIO(read_text(path), newline=""), delimiter=delimiter, quoting=quoting)
    try:
        header, rows = reader.fieldnames or [], list(reader)
    except csv.Error as error:
        raise CorpusError(
            f"read_table: annotation file must be CSV; got {error} in {path.name!r}. Copy the file again from the download."
        ) from error
    missing = [column for column in columns if column not in header]
    if missing:
        raise CorpusError(
            f"read_table: header must hold {', '.join(columns)}; got {options(header) or 'nothing'} "
            f"in {path.name!r}. Copy the file again from the download."
        )
    return [{column: (row[column] or "").strip() for column in columns} for row in rows]


def by_stem(rows: Iterable[dict[str, str]], column: str) -> dict[str, dict[str, str]]:
    """Index annotation rows by file name without its suffix, so that re-encoded audio still finds its row."""
    return {Path(row[column]).stem: row for row in rows}


def parse_each(paths: Iterable[Path], parse: Callable[[Path], NativeRecord]) -> Iterator[NativeRecord | Skipped]:
    """Parse file after file. A file that raises `CorpusError` becomes a `Skipped`, and the others are still read."""
    for path in paths:
        try:
            yield parse(path)
        except CorpusError as error:
            yield Skipped(path, str(error))


def rows_without_audio(
    paths: Iterable[Path], rows: Mapping[str, dict], folder: Path, source: str
) -> Iterator[Skipped]:
    """Report the annotation rows whose file is missing."""
    present = {path.stem for path in paths}
    for stem in sorted(set(rows) - present):
        yield Skipped(folder / stem, f"{source}: audio file must exist; got none for row {stem!r}.")


def find_entry(folder: Path, *names: str, depth: int = 0) -> Path | None:
    """Find a file or folder by its name, whatever the case of its letters.

    Args:
        folder (`Path`): where to look.
        names (`str`): accepted names; the first that is found wins.
        depth (`int`, *optional*, defaults to 0): how many extra parent folders to search, because mirrors add some.

    Returns:
        `Path`, or `None` where no entry has one of the names.
    """
    level = [Path(folder)]
    for _ in range(depth + 1):
        entries = [entry for parent in level if parent.is_dir() for entry in sorted(parent.iterdir())]
        for name in names:
            for entry in entries:
                if entry.name.lower() == name.lower():
                    return entry
        level = [entry for entry in entries if entry.is_dir()]
    return None


def read_text(path: Path) -> str:
    """Read a text file in UTF-8, or in Windows-1252 where it is not UTF-8.

    Raises:
        CorpusError: if the file cannot be read.
    """
    return decode_text(path, ("utf-8", "cp1252"))


def decode_text(path: Path, encodings: tuple[str, ...]) -> str:
    """Read a text file of a corpus whose files have different encodings.

    UTF-16 is detected by its byte order mark, or by the zero bytes of its spaces and digits. A byte that no encoding
    can decode becomes U+FFFD, so that only its own line is lost.

    Args:
        path (`Path`): the file.
        encodings (`tuple[str, ...]`): tried in this order; the last one also reads files that none of them can decode fully.

    Raises:
        CorpusError: if the file cannot be read.
    """
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise CorpusError(
            f"decode_text: file must be readable; got {error.strerror!r} in {path.name!r}. "
            "Copy it again from the download."
        ) from error
    if raw[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return raw.decode("utf-16", errors="replace")
    if b"\0" in raw[:1000]:
        little = raw[1:1000:2].count(0) >= raw[0:1000:2].count(0)
        return raw.decode("utf-16-le" if little else "utf-16-be", errors="replace")
    for encoding in encodings:
        try:
            return raw.decode(encoding).removeprefix("\ufeff")
        except UnicodeDecodeError:
            continue
    return raw.decode(encodings[-1], errors="replace")
