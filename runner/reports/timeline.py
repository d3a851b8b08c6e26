"""Events in, when each cell waited, was queued, ran and downloaded out; and where that is on one axis."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from ..events import (
    AttemptFailed,
    CallDone,
    CallPaid,
    CallStarted,
    CellAnswered,
    CellAsked,
    CellBlocked,
    CellCancelled,
    CellDone,
    CellFailed,
    CellSkipped,
    CellStarted,
    Event,
    JobMoved,
    JobSending,
    RunResumed,
    RunStarted,
)

Phase: TypeAlias = Literal["waits", "queued", "runs", "downloads", "asks", "pauses"]

WORDS: dict[Phase, str] = {
    "waits": "waits for its turn",
    "queued": "in Runpod's queue",
    "runs": "runs",
    "downloads": "downloads",
    "asks": "waits for a person",
    "pauses": "waits to try again",
}
"""What a phase is called."""

BREAK = 0.05
"""The part of the axis that stands for the time between two sessions of a run, however long that was."""


@dataclass(slots=True)
class Span:
    """A stretch of time in which a cell did one thing."""

    phase: Phase
    start: float
    end: float


@dataclass(slots=True)
class Track:
    """The spans of a cell in order."""

    cell: str
    spans: list[Span] = field(default_factory=list)

    @property
    def seconds(self) -> float:
        return sum(span.end - span.start for span in self.spans)

    def took(self) -> list[tuple[Phase, float]]:
        """How long it was in each phase, as far as that is worth saying."""
        sums: dict[Phase, float] = {}
        for span in self.spans:
            sums[span.phase] = sums.get(span.phase, 0.0) + span.end - span.start
        return [(phase, sums[phase]) for phase in WORDS if sums.get(phase, 0.0) >= 0.0005]


@dataclass(slots=True)
class Timeline:
    """All cells' tracks; ``sessions`` are the times in which the run went on: several for one that was resumed."""

    tracks: dict[str, Track]
    sessions: list[tuple[float, float]]

    def place(self, at: float) -> float:
        """Where a time is on the axis, from 0 to 1. The time between two sessions is cut short."""
        lengths = [max(end - start, 1e-6) for start, end in self.sessions]
        scale = (1 - BREAK * (len(lengths) - 1)) / (sum(lengths) or 1.0)
        here = 0.0
        for (start, end), length in zip(self.sessions, lengths, strict=True):
            if at <= end or (start, end) == self.sessions[-1]:
                return min(1.0, here + max(0.0, min(at - start, length)) * scale)
            here += length * scale + BREAK
        return here

    def breaks(self) -> Iterator[tuple[float, float, float]]:
        """Where the axis is cut, from where to where, and how many seconds that stands for."""
        for (_, end), (start, _) in zip(self.sessions, self.sessions[1:], strict=False):
            yield self.place(end), self.place(end) + BREAK, start - end

    def ticks(self, most: int = 6) -> Iterator[tuple[float, float]]:
        """Round numbers of seconds of each session, and where they are."""
        whole = sum(end - start for start, end in self.sessions)
        step = _round(whole / most)
        for start, end in self.sessions:
            for number in range(math.floor((end - start) / step + 1e-9) + 1):
                yield number * step, self.place(start + number * step)


def _round(seconds: float) -> float:
    """The next of 1, 2, 5, 10, 20, 50, …; from a minute on, whole minutes."""
    if seconds > 60:
        return 60 * _round(seconds / 60)
    power = 10.0 ** math.floor(math.log10(max(seconds, 0.001)))
    return next(float(power * factor) for factor in (1, 2, 5, 10) if power * factor >= seconds * 0.999)


def timeline(events: Iterable[Event]) -> Timeline:
    """What the events of a run say of when."""
    told = _Told()
    for event in events:
        told.add(event)
    return told.whole()


class _Told:
    """What is open while events are read."""

    def __init__(self) -> None:
        self.tracks: dict[str, Track] = {}
        self.sessions: list[tuple[float, float]] = []
        self.open: dict[str, Span] = {}
        self.jobs: set[str] = set()
        """Cells whose call is a job, so that its files are downloaded after it."""
        self.seen_running: set[str] = set()
        self.asked: set[str] = set()
        """Cells that asked somebody, the store included; the others do their work themselves."""

    def whole(self) -> Timeline:
        if self.sessions:
            self.cut(self.sessions[-1][1])
        return Timeline(self.tracks, self.sessions)

    def add(self, event: Event) -> None:
        if isinstance(event, RunStarted | RunResumed):
            self.whole()  # a run that was killed has left its cells open
            self.sessions.append((event.at, event.at))
            return
        if not self.sessions:
            self.sessions.append((event.at, event.at))
        self.sessions[-1] = (self.sessions[-1][0], max(event.at, self.sessions[-1][1]))
        match event:
            case CellStarted():
                self.tracks.setdefault(event.cell, Track(event.cell))
                self.asked.discard(event.cell)
                self.turn(event.cell, "waits", event.at)
            case CallStarted():
                self.asked.add(event.cell)
                self.jobs.discard(event.cell)
                self.seen_running.discard(event.cell)
                self.turn(event.cell, "runs", event.at)
            case JobSending():
                self.jobs.add(event.cell)
                self.rename(event.cell, "queued", event.at)
            case JobMoved():
                self.jobs.add(event.cell)
                if event.status == "IN_PROGRESS":
                    self.seen_running.add(event.cell)
                self.turn(event.cell, "runs" if event.status == "IN_PROGRESS" else "queued", event.at)
            case CallPaid():
                if event.cell in self.jobs and event.cell not in self.seen_running:
                    self.rename(event.cell, "runs", event.at)  # so fast that nobody saw it run
                self.turn(event.cell, "downloads" if event.cell in self.jobs else "waits", event.at)
            case CallDone():
                self.asked.add(event.cell)
                self.turn(event.cell, "waits", event.at)
            case CellAsked():
                self.asked.add(event.cell)
                self.turn(event.cell, "asks", event.at)
            case CellAnswered():
                self.turn(event.cell, "waits", event.at)
            case AttemptFailed():
                self.turn(event.cell, "pauses", event.at)
            case CellDone() | CellFailed() if event.cell not in self.asked:
                self.rename(event.cell, "runs", event.at)
                self.close(event.cell, event.at)
            case CellDone() | CellFailed() | CellSkipped() | CellBlocked() | CellCancelled():
                self.close(event.cell, event.at)
            case _:
                pass

    def turn(self, cell: str, phase: Phase, at: float) -> None:
        """A cell does something else from now on."""
        if (span := self.open.get(cell)) is not None and span.phase == phase:
            return
        self.close(cell, at)
        self.open[cell] = Span(phase, at, at)

    def rename(self, cell: str, phase: Phase, at: float) -> None:
        """What a cell does is something else, and was from its beginning."""
        if (span := self.open.get(cell)) is not None:
            span.phase = phase
        else:
            self.turn(cell, phase, at)

    def close(self, cell: str, at: float) -> None:
        span = self.open.pop(cell, None)
        if span is None:
            return
        span.end = at
        spans = self.tracks.setdefault(cell, Track(cell)).spans
        if span.end > span.start or not spans:
            spans.append(span)

    def cut(self, at: float) -> None:
        for cell in list(self.open):
            self.close(cell, at)


def lasted(took: Sequence[tuple[Phase, float]]) -> str:
    """``waited 0.1 s, ran 1.2 s``."""
    past = {
        "waits": "waited",
        "queued": "was queued",
        "runs": "ran",
        "downloads": "downloaded",
        "asks": "waited for a person",
        "pauses": "paused",
    }
    return ", ".join(f"{past[phase]} {_seconds(length)}" for phase, length in took)


def _seconds(seconds: float) -> str:
    return f"{seconds * 1000:.0f} ms" if seconds < 0.1 else f"{seconds:.1f} s"
