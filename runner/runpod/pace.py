"""When a request may start: what is documented of an endpoint's operation, and less than that after a 429.

Runpod limits each operation of each endpoint by requests in ten seconds and by requests at once, for a user:
`DOCUMENTED`, from https://docs.runpod.io/serverless/endpoints/send-requests. What holds there is the higher of these
figures and of running workers × a figure per worker, which is no longer published (in 2024 it was 200 for run): so
these are floors, and we keep to them (``docs/decisions/020-the-documented-limits-are-floors.md``).

A 429 halves the pace, and every answer that is none adds a little to it until it is the documented one again. A
``Retry-After`` holds back whoever wants the same of the same endpoint. Other programs of the same user count too and
cannot be seen from here: that, and servers whose limits nobody knows, is what the halving is for.
"""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

import anyio

from ..errors import CannotStart

SLACK = 0.5
"""Seconds that a window is longer here than there: requests do not take equally long to arrive."""


@dataclass(frozen=True, slots=True)
class Limit:
    """So many requests in any ``window`` seconds, so many of them ``at_once``."""

    requests: int
    at_once: int | None = None
    window: float = 10.0 + SLACK


DOCUMENTED: Mapping[str, Limit] = MappingProxyType({
    "runsync": Limit(2000, 400),
    "run": Limit(1000, 200),
    "status": Limit(2000, 400),  # with status-sync and stream
    "cancel": Limit(100, 20),
    "purge-queue": Limit(2),
    "openai": Limit(2000, 400),
    "requests": Limit(10, 2),
})  # fmt: skip
"""By operation. Nothing is documented of retry and health."""

UNLIMITED: Mapping[str, Limit] = MappingProxyType({})
"""For the emulator and for other servers: only what they refuse slows us down."""

FIRST = 5.0
"""Requests a second after a first 429, or half of what was asked in the last second, if that is more."""

FLOOR = 0.1
"""Requests a second that are always tried."""

GROWTH = 0.3
"""Requests a second that an answer adds after a 429: at full use the pace doubles in 2.3 s, whatever it is."""

_FREE = 500.0
"""Requests a second from which an operation without a documented limit is let go."""

_CATCH_UP = 0.02
"""Seconds by which a timer may be late without slowing the pace."""


class Law:
    """The arithmetic for one operation of one endpoint. It is told the time and never asks for it."""

    __slots__ = ("_full", "_limit", "_next", "_starts", "cuts", "held_until", "rate", "running")

    def __init__(self, limit: Limit | None = None) -> None:
        self._limit = limit
        self._full = limit.requests / limit.window if limit else _FREE
        self._starts: deque[float] = deque(maxlen=limit.requests if limit else 2 * int(_FREE))
        self._next = -math.inf
        self.held_until = -math.inf
        """Nothing starts before, because a ``Retry-After`` said so."""
        self.rate = math.inf
        """Requests a second; infinite while no 429 has slowed us."""
        self.cuts = 0
        """How often a 429 has slowed us."""
        self.running = 0

    def wait(self, now: float) -> float:
        """Seconds until a request may start; infinite while only the end of another one can help."""
        limit = self._limit
        earliest = self.held_until
        if self.rate < math.inf:
            earliest = max(earliest, self._next)
        if limit is not None:
            if limit.at_once is not None and self.running >= limit.at_once:
                return math.inf
            if len(self._starts) == limit.requests:
                earliest = max(earliest, self._starts[0] + limit.window)
        return max(earliest - now, 0.0)

    def start(self, now: float) -> int:
        """A request starts. Gives back what `refused` wants to know of it."""
        self._starts.append(now)
        self.running += 1
        if self.rate < math.inf:
            self._next = max(self._next, now - _CATCH_UP) + 1 / self.rate
        return self.cuts

    def end(self) -> None:
        """A request is over, however it ended."""
        self.running -= 1

    def refused(self, now: float, cuts: int, retry_after: float | None) -> None:
        """429. Requests that had started before the last cut say nothing new."""
        if retry_after is not None:
            self.held_until = max(self.held_until, now + retry_after)
        if cuts != self.cuts:
            return
        self.cuts += 1
        lately = sum(start > now - 1 for start in self._starts)
        self.rate = max(FLOOR, min(self.rate, self._full, max(lately, 2 * FIRST)) / 2)
        self._next = now + 1 / self.rate

    def went_well(self) -> None:
        """An answer that is no 429."""
        if self.rate < math.inf:
            self.rate += GROWTH
            if self.rate >= self._full:
                self.rate = math.inf

    @property
    def crowded(self) -> bool:
        """More than half of what may run at once does."""
        most = self._limit.at_once if self._limit else None
        return most is not None and 2 * self.running > most


class Pace:
    """The queue before one operation of one endpoint: first come, first served; whoever waits, sleeps."""

    __slots__ = ("_clock", "_queue", "law")

    def __init__(self, law: Law, clock: Callable[[], float]) -> None:
        self.law = law
        self._clock = clock
        self._queue: deque[anyio.Event] = deque()

    def pause(self) -> float:
        """Seconds for which a ``Retry-After`` holds back everybody; 0 if none does."""
        return max(self.law.held_until - self._clock(), 0.0)

    async def turn(self) -> int:
        """Return when the request may start: it counts from here until `leave`. What is given back is for `heard`."""
        now = self._clock()
        if self._queue or self.law.wait(now) > 0:
            return await self._queued()
        return self.law.start(now)

    def heard(self, turn: int, status: int, retry_after: float | None) -> None:
        """The answer's status tells whether we were too fast."""
        if status == 429:
            self.law.refused(self._clock(), turn, retry_after)
        elif status < 500:
            self.law.went_well()

    def leave(self) -> None:
        """The request is over."""
        self.law.end()
        self._wake()

    async def _queued(self) -> int:
        own = anyio.Event()
        self._queue.append(own)
        try:
            if self._queue[0] is not own:
                await own.wait()
            # First in the queue: sleeps until it is time, or until something has changed.
            while (wait := self.law.wait(self._clock())) > 0:
                own = self._queue[0] = anyio.Event()
                with anyio.move_on_after(wait):
                    await own.wait()
            return self.law.start(self._clock())
        finally:
            self._queue.remove(own)
            self._wake()

    def _wake(self) -> None:
        if self._queue:
            self._queue[0].set()


class Paces:
    """The paces of all endpoints and operations, for as many clients of one user as share it."""

    def __init__(
        self, limits: Mapping[str, Limit] = DOCUMENTED, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._limits = limits
        self._clock = clock
        self._paces: dict[tuple[str, str], Pace] = {}

    def of(self, endpoint: str, operation: str) -> Pace:
        """The one for an endpoint's operation, by its name in `DOCUMENTED`."""
        found = self._paces.get((endpoint, operation))
        if found is None:
            found = self._paces[endpoint, operation] = Pace(Law(self._limits.get(operation)), self._clock)
        return found


def chosen(name: str) -> Paces | None:
    """The paces that ``RUNPOD_LIMITS`` asks for; None where it says nothing."""
    if not name:
        return None
    if name not in ("documented", "none"):
        msg = f"RUNPOD_LIMITS is {name!r}. Write documented or none, or leave it out."
        raise CannotStart(msg)
    return Paces(DOCUMENTED if name == "documented" else UNLIMITED)
