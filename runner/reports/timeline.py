"""Events in, when each cell and each of its calls waited, was queued, ran and downloaded out; all on one axis."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
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
    CellWaits,
    Event,
    JobMoved,
    JobSending,
    JobSubmitted,
    RunFinished,
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
"""What a phase is called. The files of a job are downloaded from its end at Runpod on."""

_FIRST: Sequence[Phase] = ("runs", "downloads", "queued", "pauses", "asks", "waits")
"""What is told of several phases at once."""

BREAK = 0.05
"""The part of the axis that stands for the time between two sessions of a run, however long that was."""


@dataclass(slots=True)
class Span:
    """A stretch of time in which one thing was done."""

    phase: Phase
    start: float
    end: float


@dataclass(slots=True)
class Track:
    """The spans of a cell in order. Of a cell with several candidates, ``calls`` are those of each, by its number."""

    cell: str
    spans: list[Span] = field(default_factory=list)
    calls: dict[int, list[Span]] = field(default_factory=dict)

    @property
    def seconds(self) -> float:
        return lasting(self.spans)

    def took(self) -> list[tuple[Phase, float]]:
        """How long it was in each phase, as far as that is worth saying."""
        return took(self.spans)


def lasting(spans: Iterable[Span]) -> float:
    """How many seconds spans last that follow each other."""
    return sum(span.end - span.start for span in spans)


def took(spans: Iterable[Span]) -> list[tuple[Phase, float]]:
    """How long each phase lasts, as far as that is worth saying."""
    sums: dict[Phase, float] = {}
    for span in spans:
        sums[span.phase] = sums.get(span.phase, 0.0) + span.end - span.start
    return [(phase, sums[phase]) for phase in WORDS if sums.get(phase, 0.0) >= 0.0005]


def together(spans: Iterable[Span]) -> list[Span]:
    """Spans that may overlap as such that follow each other: at each moment the one in which most is done."""
    spans = list(spans)
    edges = sorted({edge for span in spans for edge in (span.start, span.end)})
    found: list[Span] = []
    starting: dict[float, list[Span]] = {}
    for span in spans:
        starting.setdefault(span.start, []).append(span)
    there: list[Span] = []
    for start, end in pairwise(edges):
        there = [span for span in (*there, *starting.get(start, ())) if span.end > start]
        if not there:
            continue
        phase = min((span.phase for span in there), key=_FIRST.index)
        if found and found[-1].phase == phase and found[-1].end == start:
            found[-1].end = end
        else:
            found.append(Span(phase, start, end))
    return found


@dataclass(slots=True)
class Timeline:
    """All cells' tracks; ``sessions`` are the times in which the run went on: several for one that was resumed."""

    tracks: dict[str, Track]
    sessions: list[tuple[float, float]]

    def seconds(self, cells: Iterable[str]) -> float | None:
        """For how long any of these cells was under way; None where none of them ever was."""
        tracks = [self.tracks[cell] for cell in cells if cell in self.tracks]
        return lasting(together(span for track in tracks for span in track.spans)) if tracks else None

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
        """Round numbers of seconds for which the run went on, its pauses left out, and where they are."""
        step = _round(sum(end - start for start, end in self.sessions) / most)
        number, before = 0, 0.0
        for start, end in self.sessions:
            while number * step <= before + end - start + 1e-9 * step:
                yield number * step, self.place(start + number * step - before)
                number += 1
            before += end - start


def _round(seconds: float) -> float:
    """The next of 1, 2, 5, 10, 20, 50, …; from a minute on, whole minutes."""
    if seconds > 60:
        return 60 * _round(seconds / 60)
    power = 10.0 ** math.floor(math.log10(max(seconds, 0.001)))
    return next(float(power * factor) for factor in (1, 2, 5, 10) if power * factor >= seconds * 0.999)


def timeline(events: Iterable[Event]) -> Timeline:
    """What the events of a run say of when."""
    events = list(events)
    calls = [event for event in events if isinstance(event, CallStarted | CallDone)]
    told = _Told({(call.cell, call.key): call.candidate for call in calls})
    for event in events:
        told.add(event)
    return told.whole()


class _Lane:
    """What is done in a row: by one candidate of a cell, or by a cell beside its calls."""

    def __init__(self) -> None:
        self.spans: list[Span] = []
        self.open: Span | None = None
        self.until = 0.0
        """When a pause that is open will be over."""

    def turn(self, phase: Phase, at: float) -> None:
        """Something else is done from now on."""
        if self.open is not None and self.open.phase == phase:
            return
        self.close(at)
        self.open = Span(phase, at, at)

    def rename(self, phase: Phase) -> None:
        """What is done is something else, and was from its beginning."""
        if self.open is not None:
            self.open.phase = phase

    def close(self, at: float) -> None:
        if self.open is None:
            return
        if self.open.phase == "pauses" and self.until < at:  # from then on it only waits to be let in again
            self.spans.append(Span("pauses", self.open.start, max(self.open.start, self.until)))
            self.open = Span("waits", self.spans[-1].end, at)
        self.open.end = at
        self.spans.append(self.open)
        self.open = None

    def cut(self, since: float, queued: float, ran: float) -> None:
        """It is known now until when it was queued, and until when it ran, since then."""
        old = [span for span in self.spans if span.start >= since]
        self.spans = [span for span in self.spans if span.start < since]
        parts: tuple[tuple[Phase, float, float], ...] = (
            ("queued", -math.inf, queued), ("runs", queued, ran), ("downloads", ran, math.inf),
        )  # fmt: skip
        for span in old:
            for phase, start, end in parts:
                if (start := max(span.start, start)) < (end := min(span.end, end)):
                    self.spans.append(Span(phase, start, end))


@dataclass(slots=True)
class _Call:
    """A call under way."""

    lane: _Lane
    sent: float | None = None
    """When its job was handed in."""
    taken: float | None = None
    """When Runpod had taken it."""
    running: bool = False
    """Whether it was seen running, or to have run."""


class _Told:
    """What is open while events are read. A cell's own lane lies below those of its calls, which may overlap."""

    def __init__(self, candidates: Mapping[tuple[str, str], int]) -> None:
        self.candidates = candidates
        """For which candidate each call is, by cell and key."""
        self.sessions: list[tuple[float, float]] = []
        self.over = False
        self.own: dict[str, _Lane] = {}
        self.lanes: dict[str, dict[int, _Lane]] = {}
        self.calls: dict[tuple[str, str], _Call] = {}
        self.jobs: dict[tuple[str, str], _Call] = {}
        self.asked: set[str] = set()
        """Cells that asked somebody, the store included; the others do their work themselves."""

    def whole(self) -> Timeline:
        if self.sessions:
            self.cut(self.sessions[-1][1])
        tracks = {}
        for cell, own in self.own.items():
            lanes = {number: lane.spans for number, lane in self.lanes.get(cell, {}).items()}
            spans = together([*own.spans, *(span for lane in lanes.values() for span in lane)])
            calls = {number: together(lane) for number, lane in sorted(lanes.items())} if len(lanes) > 1 else {}
            tracks[cell] = Track(cell, spans, calls)
        return Timeline(tracks, self.sessions)

    def add(self, event: Event) -> None:
        if isinstance(event, RunStarted | RunResumed):
            if self.sessions:
                self.cut(self.sessions[-1][1])  # a run that was killed has left its cells open
            self.sessions.append((event.at, event.at))
            self.over = False
            return
        if self.over:  # a person may answer when it has long ended
            return
        if not self.sessions:
            self.sessions.append((event.at, event.at))
        self.sessions[-1] = (self.sessions[-1][0], max(event.at, self.sessions[-1][1]))
        match event:
            case RunFinished():
                self.over = True
            case CellStarted():
                self.asked.discard(event.cell)
                self.of(event.cell).turn("waits", event.at)
            case CellAsked():
                self.asked.add(event.cell)
                self.of(event.cell).turn("asks", event.at)
            case CellAnswered():
                self.of(event.cell).turn("waits", event.at)
            case CellWaits():  # until then the pipeline inside did its work
                self.asked.add(event.cell)
                self.of(event.cell).rename("runs")
                self.of(event.cell).turn("asks", event.at)
            case CellDone() | CellFailed() | CellSkipped() | CellBlocked() | CellCancelled():
                if event.cell not in self.asked and isinstance(event, CellDone | CellFailed):
                    self.of(event.cell).rename("runs")
                self.close(event.cell, event.at)
            case _:
                self.add_to_call(event)

    def add_to_call(self, event: Event) -> None:
        match event:
            case CallStarted():
                self.started(event)
            case JobSending():
                call = self.call(event.cell, event.key)
                call.lane.rename("waits")  # Runpod takes only so many requests at a time
                call.lane.turn("queued", event.at)
                call.sent = call.taken = event.at
            case JobSubmitted():
                call = self.jobs[event.cell, event.job] = self.call(event.cell, event.key)
                call.lane.turn("queued", event.at)
                call.taken = event.at
            case JobMoved() if (moved := self.jobs.get((event.cell, event.job))) is not None:
                self.moved(moved, event)
            case AttemptFailed():
                calls = [self.calls.get((event.cell, event.key))] if event.key else self.of_cell(event.cell)
                for failed in calls:
                    if failed is not None and (event.attempt or event.wait):
                        failed.lane.turn("pauses", event.at)
                        failed.lane.until = event.at + event.wait
            case CallPaid():
                call = self.call(event.cell, event.key)
                if call.taken is None:
                    call.lane.close(event.at)
                else:
                    self.taken_up(call, event.cell)
                    if not call.running:
                        call.lane.rename("runs")  # so fast that nobody saw it run
                    call.lane.turn("downloads", event.at)
            case CallDone():
                self.asked.add(event.cell)
                if (done := self.calls.get((event.cell, event.key))) is not None:
                    done.lane.close(event.at)
            case _:
                pass

    def started(self, event: CallStarted) -> None:
        """A call goes out. Its candidate has waited for that as long as its cell has."""
        self.asked.add(event.cell)
        own, call = self.of(event.cell), self.call(event.cell, event.key)
        if not call.lane.spans and call.lane.open is None and own.open is not None and own.open.phase == "waits":
            call.lane.turn("waits", own.open.start)
        own.turn("waits", event.at)
        call.lane.turn("runs", event.at)
        call.sent = call.taken = None
        call.running = False

    def moved(self, call: _Call, event: JobMoved) -> None:
        """Runpod says where a job is. At its end it says for how long it was queued and ran, which nobody may have
        seen.
        """
        if event.status in ("IN_QUEUE", "IN_PROGRESS"):
            call.running = call.running or event.status == "IN_PROGRESS"
            call.lane.turn("runs" if event.status == "IN_PROGRESS" else "queued", event.at)
            return
        self.taken_up(call, event.cell)
        done = event.status == "COMPLETED"
        if event.queued is not None and call.sent is not None and call.taken is not None:
            ran = event.ran if event.ran is not None else max(event.at - call.taken - event.queued, 0.0)
            there, told = event.at - call.sent, event.queued + ran
            fit = min(1.0, there / told) if told else 1.0  # a recording answers faster than Runpod did
            start = max(call.sent, min(call.taken, event.at - told * fit))
            call.lane.close(event.at)
            call.lane.cut(call.sent, start + event.queued * fit, start + told * fit if done else math.inf)
        elif done and not call.running:
            call.lane.rename("runs")  # so fast that nobody saw it run
        if done:
            call.running = True
            call.lane.turn("downloads", event.at)

    def taken_up(self, call: _Call, cell: str) -> None:
        """What is heard of a job that was handed in before the run was taken up again was under way since then."""
        own = self.own.get(cell)
        if call.lane.open is None and own is not None and own.open is not None:
            self.asked.add(cell)
            call.lane.turn("runs" if call.running else "queued", own.open.start)

    def of(self, cell: str) -> _Lane:
        """The own lane of a cell."""
        return self.own.setdefault(cell, _Lane())

    def call(self, cell: str, key: str) -> _Call:
        """A call of a cell; calls of one candidate follow each other in one lane."""
        if (cell, key) not in self.calls:
            self.of(cell)
            lane = self.lanes.setdefault(cell, {}).setdefault(self.candidates.get((cell, key), 0), _Lane())
            self.calls[cell, key] = _Call(lane)
        return self.calls[cell, key]

    def of_cell(self, cell: str) -> list[_Call]:
        """The calls of a cell that are under way."""
        return [call for (of, _), call in self.calls.items() if of == cell and call.lane.open is not None]

    def close(self, cell: str, at: float) -> None:
        """A cell has ended, and with it what it had under way."""
        for lane in (*self.lanes.get(cell, {}).values(), *([self.own[cell]] if cell in self.own else [])):
            lane.close(at)

    def cut(self, at: float) -> None:
        for cell in self.own:
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
