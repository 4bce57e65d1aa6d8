"""The scripts of `benchmarks/` as modules."""

import sys

from samples import ROOT

sys.path.insert(0, str(ROOT / "benchmarks"))
