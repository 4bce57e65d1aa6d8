"""Make the scripts of `benchmarks/` importable."""

import sys

from samples import ROOT

sys.path.insert(0, str(ROOT / "benchmarks"))
