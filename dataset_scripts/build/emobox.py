"""The folds of EmoBox (Ma et al. 2024), which make results on its corpora comparable with its benchmark.

Read from EmoBox's own `data/` (https://github.com/emo-box/EmoBox: `<name>/fold_<n>/<name>_<part>_fold_<n>.jsonl`, one
object a line, whose `wav` begins with `downloads/<name>/`), or from a folder of `<name>.csv` with the columns `path`,
`fold` and `part`. Files are compared by the end of their paths, as long as is needed to distinguish them (IEMOCAP: the
name; CASIA: speaker, emotion and number). Other parent folders, suffixes and the case of letters do not matter.
"""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from speecheq.dataset_scripts.corpora.records import CorpusError, options, read_table

NAMES = {
    "crema_d": "cremad", "emov_db": "emovdb", "jl_corpus": "jlcorpus", "msp_podcast": "msppodcast", "turev_db": "turevdb",
}  # fmt: skip
PARTS = ("train", "valid", "test")


@dataclass(frozen=True)
class Folds:
    """The folds of one corpus.

    Args:
        tested (`dict[str, int]`): the end of each listed path, lower case and without suffix -> the fold that tests it,
            0 where none does.
        depth (`int`): how many components of a path its end has.
    """

    tested: dict[str, int] = field(default_factory=dict)
    depth: int = 1

    def __len__(self) -> int:
        return len(self.tested)

    def of(self, path: Path | str, name: str | None = None) -> int | None:
        """The fold that tests an utterance.

        Args:
            path (`Path` or `str`): the audio file, below whatever folders.
            name (`str`, *optional*): its name inside the corpus, looked up where the path is not listed: SAVEE's
                `DC/a01.wav` is listed as `DC_a01.wav`.

        Returns:
            `int`: 0 if it is listed and never tested; `None` if it is not listed.
        """
        found = self.tested.get(_end(_components(str(path)), self.depth))
        return self.tested.get(name.lower()) if found is None and name else found


def read_folds(folder: Path, corpus: str) -> Folds:
    """Read the folds of one corpus; there are none if it has no list.

    Args:
        folder (`Path`): EmoBox's `data/`, or a folder of CSV files.
        corpus (`str`): corpus name, as of its adapter.

    Raises:
        CorpusError: if the folder is missing, a list is not as described, or an utterance is tested in two folds.
    """
    if not Path(folder).is_dir():
        raise CorpusError(
            f"read_folds: folder must exist; got {str(folder)!r}. Give data/ of a clone of github.com/emo-box/EmoBox."
        )
    name = NAMES.get(corpus, corpus)
    tested: dict[tuple[str, ...], int] = {}
    for path, fold, part in _listed(Path(folder), name):
        key = _components(path)
        earlier = tested.setdefault(key, 0)
        if part != "test":
            continue
        if earlier not in (0, fold):
            raise CorpusError(
                f"read_folds: an utterance must be tested in one fold; got {earlier} and {fold} for {path!r} "
                f"of {name!r}. Copy the lists again from EmoBox."
            )
        tested[key] = fold
    depth = 1
    while len({_end(key, depth) for key in tested}) < len(tested):
        depth += 1
    return Folds({_end(key, depth): fold for key, fold in tested.items()}, depth)


def _end(components: tuple[str, ...], depth: int) -> str:
    return "/".join(components[-depth:])


def _components(path: str) -> tuple[str, ...]:
    return PurePosixPath(path.replace("\\", "/").lower()).with_suffix("").parts


def _listed(folder: Path, name: str) -> Iterator[tuple[str, int, str]]:
    """Path, fold and part of every row of the lists."""
    table = folder / f"{name}.csv"
    if table.is_file():
        for row in read_table(table, ("path", "fold", "part")):
            if row["part"] not in PARTS or not row["fold"].isdecimal() or int(row["fold"]) < 1 or not row["path"]:
                raise CorpusError(
                    f"read_folds: a row must hold a path, a fold from 1 and a part ({options(PARTS)}); "
                    f"got {', '.join(row.values())!r} in {table.name!r}."
                )
            yield row["path"], int(row["fold"]), row["part"]
        return
    pattern = re.compile(rf"{re.escape(name)}_({'|'.join(PARTS)})_fold_(\d+)\.jsonl")
    for path in sorted((folder / name).glob("fold_*/*.jsonl")):
        # EmoDB's folders hold older lists beside these, named without the last underscore.
        if (listed := pattern.fullmatch(path.name)) and path.parent.name == f"fold_{listed[2]}":
            for wav in _wavs(path):
                yield wav, int(listed[2]), listed[1]


def _wavs(path: Path) -> Iterator[str]:
    with path.open(encoding="utf-8") as file:
        for number, line in enumerate(file, start=1):
            try:
                wav = json.loads(line)["wav"]
            except (ValueError, KeyError, TypeError):
                wav = None
            if not wav or not isinstance(wav, str):
                raise CorpusError(
                    f"read_folds: a line must be an object with the path 'wav'; got {line.strip()[:80]!r} in line "
                    f"{number} of {path.name!r}. Copy the lists again from EmoBox."
                )
            yield wav
