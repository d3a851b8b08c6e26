"""Rows in, a table printed row by row and kept with machine and date."""

from __future__ import annotations

import datetime as dt
import os
import platform
from collections.abc import Iterable
from pathlib import Path

from .figures import HEADER, Figure, Words

HERE = Path(__file__).parent


def table(name: str, title: str, says: str, rows: Iterable[Figure | Words]) -> None:
    """Print each row as soon as it is measured."""
    day = dt.datetime.now(tz=dt.UTC).date()
    machine = f"{os.cpu_count()} cores, {platform.system()} {platform.machine()}, Python {platform.python_version()}"
    lines = [f"# {title}", "", f"{day}, {machine}. Ratios matter; seconds drift.", "", says, "", HEADER]
    print("\n".join(lines))
    for row in rows:
        print(row.row(), flush=True)
        lines.append(row.row())
    (HERE / name).write_text("\n".join(lines) + "\n", encoding="utf-8")
