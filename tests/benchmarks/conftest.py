"""Make the scripts of `benchmarks/` importable."""

import sys

from samples import ROOT

sys.path[:0] = [str(ROOT / "benchmarks"), str(ROOT / "space")]
