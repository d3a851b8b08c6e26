"""Measure everything, print a table, keep it in ``benchmarks/results.md`` with machine and date."""

from __future__ import annotations

import datetime as dt
import os
import platform
from pathlib import Path

from . import load, starting, waiting
from .figures import HEADER

RESULTS = Path(__file__).parent / "results.md"


def main() -> None:
    """Print each row as soon as it is measured."""
    day = dt.datetime.now(tz=dt.UTC).date()
    machine = f"{os.cpu_count()} cores, {platform.system()} {platform.machine()}, Python {platform.python_version()}"
    lines = ["# Results", "", f"{day}, {machine}. Made by `make bench`. Ratios matter; seconds drift.", "", HEADER]
    print("\n".join(lines))
    for suite in (starting, load, waiting):
        for figure in suite.figures():
            print(figure.row(), flush=True)
            lines.append(figure.row())
    RESULTS.write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
