"""One adapter per corpus: it finds files and reads names and annotations. It does not decode audio or map labels.

Each module has `CORPUS`, `LICENSE`, `HOMEPAGE`, `CITATION`, `REDISTRIBUTABLE` (whether its terms let anyone pass the
audio on) and `records(folder) -> Iterator[NativeRecord | Skipped]`.
"""

from importlib import import_module
from pkgutil import iter_modules
from types import ModuleType

from speecheq.dataset_scripts.corpora.records import CorpusError, options

ADAPTERS = tuple(sorted(module.name for module in iter_modules(__path__)))


def get_adapter(corpus: str) -> ModuleType:
    """Import the adapter of a corpus.

    Raises:
        CorpusError: if there is none.
    """
    if corpus not in ADAPTERS:
        raise CorpusError(
            f"get_adapter: corpus must be one of {options(ADAPTERS)}; got {corpus!r}. "
            f"dataset_scripts/corpora/adapters holds all {len(ADAPTERS)}. Describe another corpus in a YAML file."
        )
    return import_module(f"{__name__}.{corpus}")
