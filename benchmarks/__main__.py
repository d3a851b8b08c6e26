"""Measure everything, print a table, keep it in ``benchmarks/results.md``."""

from __future__ import annotations

import itertools

from . import jobs, load, memory, reading, starting, waiting
from .table import table

SUITES = (starting, reading, load, memory, jobs, waiting)
SAYS = "Made by `make bench`: each figure beside its yardstick, both measured in turns; peers are in `peers.md`."

if __name__ == "__main__":
    rows = itertools.chain.from_iterable(suite.figures() for suite in SUITES)
    table("results.md", "Results", SAYS, rows)
