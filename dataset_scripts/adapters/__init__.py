"""One adapter per corpus: it finds files and reads names and annotations, never decodes audio and never maps labels.

Each module has `CORPUS`, `LICENSE`, `HOMEPAGE`, `CITATION` and `records(folder) -> Iterator[NativeRecord | Skipped]`.
"""

from importlib import import_module
from types import ModuleType

from speecheq.dataset_scripts.records import CorpusError, options

ADAPTERS = ("ased", "emotale", "nemo", "synthetic", "urdu")


def get_adapter(corpus: str) -> ModuleType:
    """Import the adapter of a corpus.

    Raises:
        CorpusError: if there is none.
    """
    if corpus not in ADAPTERS:
        raise CorpusError(
            f"get_adapter: corpus must be one of {options(ADAPTERS)}; got {corpus!r}. "
            "Write dataset_scripts/adapters/<corpus>.py and name it there."
        )
    return import_module(f"{__name__}.{corpus}")
