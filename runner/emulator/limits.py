"""Rate limits: who asks, of what endpoint, for which operation in; whether that is too often out.

Requests in ten seconds and requests at once, per key and endpoint, as documented (API.md section 8). What running
workers add to them is no longer published, so these are the floors.
"""

from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

WINDOW = 10.0


@dataclass(frozen=True, slots=True)
class Limit:
    """So many requests in a window, so many of them at once; None where nothing is documented."""

    requests: int
    at_once: int | None = None


# The operations of a line share its limit.
DOCUMENTED: dict[tuple[str, ...], Limit] = {
    ("runsync",): Limit(2000, 400),
    ("run",): Limit(1000, 200),
    ("status", "status-sync", "stream"): Limit(2000, 400),
    ("cancel",): Limit(100, 20),
    ("purge-queue",): Limit(2),
    ("chat", "models"): Limit(2000, 400),
}


@dataclass(slots=True)
class _Tally:
    starts: deque[float] = field(default_factory=deque)
    running: int = 0


class Limiter:
    """Counts; nothing is limited that the table does not name."""

    def __init__(self, table: dict[tuple[str, ...], Limit], clock: Callable[[], float]) -> None:
        self._limits = {operation: (line, limit) for line, limit in table.items() for operation in line}
        self._clock = clock
        self._tallies: dict[tuple[str, str, tuple[str, ...]], _Tally] = {}

    @contextmanager
    def admitted(self, key: str, endpoint: str, operation: str) -> Iterator[bool]:
        """Whether the request may go on, which counts until the block ends; a refused one counts for nothing."""
        found = self._limits.get(operation)
        if found is None:
            yield True
            return
        line, limit = found
        tally = self._tallies.setdefault((key, endpoint, line), _Tally())
        now = self._clock()
        while tally.starts and tally.starts[0] <= now - WINDOW:
            tally.starts.popleft()
        crowded = limit.at_once is not None and tally.running >= limit.at_once
        if crowded or len(tally.starts) >= limit.requests:
            yield False
            return
        tally.starts.append(now)
        tally.running += 1
        try:
            yield True
        finally:
            tally.running -= 1
