"""A reporter: one line for each cell that ends, in the file that `RUNNER_MINUTES` names. A reporter is a function of an
event; this one is also a context manager, so that its file is closed.
"""

from __future__ import annotations

import os
from pathlib import Path
from types import TracebackType
from typing import Self

from runner.errors import UsageError
from runner.events import CellDone, CellFailed, Event


class Minutes:
    """Takes the minutes of a run."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __enter__(self) -> Self:
        try:
            self._file = self._path.open("a", encoding="utf-8")
        except OSError as err:  # before anything has run: who runs it is told, and nothing is paid
            msg = f"RUNNER_MINUTES names {self._path}, which cannot be written: {err.strerror}. Name another file."
            raise UsageError(msg) from err
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()

    def __call__(self, event: Event) -> None:
        if isinstance(event, CellDone):
            print(f"{event.cell}: done", file=self._file)
        elif isinstance(event, CellFailed):
            print(f"{event.cell}: {event.message}", file=self._file)


def reporter() -> Minutes:
    """What the entry point names."""
    return Minutes(Path(os.environ.get("RUNNER_MINUTES", "minutes.txt")))
