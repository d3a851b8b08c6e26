"""A run's events on disk: ``.runner/runs/<id>/events.jsonl``, one event a line, in the order they happened.

Appending is a sink: it takes microseconds and never waits. `Journal.synced` makes what was appended durable; calls
at once share one sync, in a thread, so that a thousand jobs do not cost a thousand syncs.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Self

import anyio

from .errors import CannotStart, StoreFailed
from .events import Event, RunState, TextGrew, decode, line
from .locks import only

NAME = "events.jsonl"


class Journal:
    """The journal of one run, open for appending."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / NAME
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._file = os.open(self.path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o644)
            if not only(self._file):
                os.close(self._file)
                msg = f"The run {folder.name} is still going, in another process. Let it end, or stop it."
                raise CannotStart(msg)
            if not os.fstat(self._file).st_nlink:
                os.close(self._file)
                msg = f"The run {folder.name} was removed just now, by another process."
                raise CannotStart(msg)
            _mended(self._file)
        except OSError as err:
            msg = f"The run folder {folder} cannot be written: {err.strerror}."
            raise CannotStart(msg) from err
        self._written = self._durable = 0
        self._lock = anyio.Lock()

    def __call__(self, event: Event) -> None:
        """Append one event as one whole line, if it is one to remember. `StoreFailed` if the disk says no."""
        if isinstance(event, TextGrew):
            return
        whole = left = f"{line(event)}\n".encode()
        try:
            while left:
                left = left[os.write(self._file, left) :]
        except OSError as err:
            self._take_back(len(whole) - len(left))
            msg = f"the journal {self.path} cannot be written: {err.strerror}; the run stops before it loses track"
            raise StoreFailed(msg) from err
        self._written += 1

    def _take_back(self, written: int) -> None:
        """Cut the part of a line that a full disk took: a later one must begin on its own."""
        if written:
            with contextlib.suppress(OSError):
                os.ftruncate(self._file, os.fstat(self._file).st_size - written)

    async def synced(self) -> None:
        """Return when every event that was appended before is on the disk."""
        wanted = self._written
        async with self._lock:
            if self._durable < wanted:
                reached = self._written
                await anyio.to_thread.run_sync(self._sync)
                self._durable = reached

    def _sync(self) -> None:
        try:
            os.fsync(self._file)
        except OSError as err:
            msg = f"the journal {self.path} cannot be written: {err.strerror}"
            raise StoreFailed(msg) from err

    def grown(self, past: RunState) -> bool:
        """Whether another process has written to it since somebody read it."""
        return self.path.read_bytes().count(b"\n") != past.events

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        os.close(self._file)


def _mended(file: int) -> None:
    """Cut a last line that a crash has torn: it says nothing, and the next one must begin on its own."""
    size = os.fstat(file).st_size
    tail = b""
    at = size
    while at > 0 and b"\n" not in tail:
        at = max(0, at - 65536)
        tail = os.pread(file, size - at, at)
    whole = at + tail.rfind(b"\n") + 1
    if whole < size:
        os.ftruncate(file, whole)


def going(folder: Path) -> bool:
    """Whether a process writes this journal now."""
    try:
        with (folder / NAME).open("r+b") as file:
            return not only(file.fileno())
    except OSError:  # whoever may not write it cannot know; nobody could remove it either
        return False


def read(folder: Path) -> Iterator[Event]:
    """The events of a run. A last line that was cut by a crash is left out; any other damage is a `StoreFailed`."""
    path = folder / NAME
    try:
        lines = path.read_bytes().split(b"\n")
    except OSError as err:
        msg = f"the journal {path} cannot be read: {err.strerror}"
        raise StoreFailed(msg) from err
    for number, text in enumerate(lines[:-1], 1):
        try:
            yield decode(json.loads(text))
        except (ValueError, TypeError, AttributeError) as err:  # also of JSON that is no event
            msg = f"the journal {path} is damaged at line {number}: {err}"
            raise StoreFailed(msg) from err
