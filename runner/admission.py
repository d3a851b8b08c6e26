"""Who may call next: so many calls in flight in all, so many a model, so many a step; later steps first.

A cell that continues a started chain goes before one that starts a new chain, so first results come early and few
chains are open at once. A cell that waits here is an entry in a heap; it gets a task when it is let in.
"""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import anyio


@dataclass(frozen=True, slots=True, eq=False)
class Pass:
    """What is asked for: a place among the calls in flight. ``groups`` are the limits that it counts against."""

    step: str
    depth: int
    groups: tuple[str, ...] = ()


@dataclass(slots=True, eq=False)
class Waiting:
    """Somebody who waits for a place."""

    wants: Pass
    go: Callable[[str], None]
    """Called once: with nothing when it is let in, with the reason when it never will be."""
    new: bool = True
    """Whether it is a cell that has not started."""
    gone: bool = False
    """Nobody waits any more."""


@dataclass(slots=True)
class Admission:
    """The places for calls. ``limits`` maps a group (a model, a step) to its own number of places."""

    calls: int
    limits: Mapping[str, int] = field(default_factory=dict)
    peak: int = 0
    _taken: int = 0
    _left: dict[str, int] = field(default_factory=dict)
    _queue: list[tuple[int, int, Waiting]] = field(default_factory=list)
    _parked: dict[str, list[tuple[int, int, Waiting]]] = field(default_factory=dict)
    _closed: str = ""
    _halted: str = ""
    _stopped: dict[str, str] = field(default_factory=dict)
    _order: itertools.count[int] = field(default_factory=itertools.count)

    def __post_init__(self) -> None:
        self._left = dict(self.limits)
        self._parked = {group: [] for group in self.limits}

    def add(self, limits: Mapping[str, int]) -> None:
        """More groups with limits of their own: those of a pipeline that a step runs."""
        for group, places in limits.items():
            if group not in self._left:
                self._left[group] = places
                self._parked[group] = []

    def enter(self, waiting: Waiting) -> None:
        """Ask for a place: its ``go`` is called when there is one, at once or later."""
        if waiting.new and (reason := self.refusal(waiting.wants.step)):
            waiting.go(reason)
            return
        heapq.heappush(self._queue, (-waiting.wants.depth, next(self._order), waiting))
        self._admit()

    async def again(self, wants: Pass) -> None:
        """Wait for a place for a cell that has started and gave its place back while it slept."""
        let_in = anyio.Event()
        waiting = Waiting(wants, lambda _: let_in.set(), new=False)
        self.enter(waiting)
        try:
            await let_in.wait()
        except anyio.get_cancelled_exc_class():
            waiting.gone = True
            if let_in.is_set():
                self.leave(wants)
            raise

    def leave(self, wants: Pass) -> None:
        """Give a place back."""
        self._taken -= 1
        for group in wants.groups:
            self._left[group] += 1
        self._wake(wants)
        self._admit()

    def close(self, reason: str, *, halt: bool = False) -> None:
        """Let no new cell in any more: those that wait are refused, what has started may go on.

        With ``halt`` cells that call nobody are not to start either.
        """
        self._closed = self._closed or reason
        self._halted = self._halted or (reason if halt else "")
        self._refuse()

    def shut(self) -> None:
        """Let nobody in and tell nobody: the run is being stopped."""
        self.calls = 0

    def stop(self, step: str, reason: str) -> None:
        """`close`, for the cells of one step."""
        self._stopped[step] = reason
        self._refuse()

    def refusal(self, step: str) -> str:
        """Why no new cell of a step is let in; empty if it is."""
        return self._closed or self._stopped.get(step, "")

    def halted(self, step: str) -> str:
        """Why no cell of a step is to start, not even one that calls nobody; empty if it may."""
        return self._halted or self._stopped.get(step, "")

    def _refuse(self) -> None:
        entries = [*self._queue, *(entry for parked in self._parked.values() for entry in parked)]
        entries = [entry for entry in entries if not entry[2].gone]
        for parked in self._parked.values():
            parked.clear()
        refused = [w for _, _, w in sorted(entries, key=lambda e: e[1]) if w.new and self.refusal(w.wants.step)]
        self._queue = [e for e in entries if not (e[2].new and self.refusal(e[2].wants.step))]
        heapq.heapify(self._queue)
        for waiting in refused:
            waiting.go(self.refusal(waiting.wants.step))
        self._admit()

    def _wake(self, wants: Pass) -> None:
        """For each of these groups that has a place, look again at the first that waits for one."""
        for group in wants.groups:
            if self._left[group] > 0 and self._parked[group]:
                heapq.heappush(self._queue, heapq.heappop(self._parked[group]))

    def _admit(self) -> None:
        while self._queue and self._taken < self.calls:
            entry = heapq.heappop(self._queue)
            waiting = entry[2]
            full = next((group for group in waiting.wants.groups if self._left[group] <= 0), None)
            if waiting.gone or full is not None:
                if full is not None and not waiting.gone:
                    heapq.heappush(self._parked[full], entry)
                self._wake(waiting.wants)  # the place that it was woken for is another's
                continue
            self._taken += 1
            self.peak = max(self.peak, self._taken)
            for group in waiting.wants.groups:
                self._left[group] -= 1
            waiting.go("")


@dataclass(slots=True, eq=False)
class Place:
    """The place of one cell that was let in: given back while it sleeps, taken again when it wakes."""

    admission: Admission
    wants: Pass
    held: bool = True

    def give_back(self) -> None:
        if self.held:
            self.held = False
            self.admission.leave(self.wants)

    async def take(self) -> None:
        if not self.held:
            await self.admission.again(self.wants)
            self.held = True
