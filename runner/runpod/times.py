"""How long jobs of an endpoint take, learned from those that are past: when to look where nothing holds a request."""

from __future__ import annotations

import contextlib
import json
import statistics
from collections.abc import Callable
from pathlib import Path

SHORTEST, LONGEST = 0.1, 5.0
"""Seconds between two looks at a job of which nothing is known: a twentieth of its age, within these."""

_REMEMBERED = 20
_EARLY = 0.97
"""The first look is a little before the usual time is over, the next ones follow closely."""


class Times:
    """Seconds that the latest jobs of each endpoint took. Kept in a file, if there is one, from run to run."""

    def __init__(self, path: Path | None = None) -> None:
        self._path = path
        self._took: dict[str, list[float]] = {}
        self._new = False
        if path is not None:
            with contextlib.suppress(OSError, ValueError, AttributeError, TypeError):
                said = json.loads(path.read_text(encoding="utf-8"))
                self._took = {str(k): [float(v) for v in values][-_REMEMBERED:] for k, values in said.items()}

    def took(self, endpoint: str, seconds: float) -> None:
        """A job has ended."""
        self._new = True
        self._took.setdefault(endpoint, []).append(round(seconds, 3))
        del self._took[endpoint][:-_REMEMBERED]

    def first(self, endpoint: str) -> float:
        """When to look first, in seconds after the job was handed in; 0 if nothing is known."""
        past = self._took.get(endpoint)
        return _EARLY * statistics.median(past) if past else 0.0

    def looks(self, endpoint: str) -> Callable[[float], float]:
        """How long to wait from one look to the next, by the job's age."""
        usual = self.first(endpoint)

        def wait(age: float) -> float:
            if usual and age < 1.5 * usual:
                return min(max(usual / 40, 0.05), LONGEST)
            return min(max(age / 20, SHORTEST), LONGEST)

        return wait

    def save(self) -> None:
        """Keep what was learned. A disk that says no is no reason to fail: it is only a hint."""
        if self._path is None or not self._new:
            return
        with contextlib.suppress(OSError):
            new = self._path.with_suffix(".new")
            new.write_text(json.dumps(self._took), encoding="utf-8")
            new.replace(self._path)
