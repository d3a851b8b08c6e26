"""A figure beside its yardstick, both measured in turns, so that a noisy machine disturbs both alike."""

from __future__ import annotations

import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Figure:
    """One row of the table. Seconds; ``target`` is what we promise, ``holds`` whether it was so this time."""

    name: str
    ours: float
    yardstick: str
    theirs: float
    target: str
    holds: bool
    unit: str = "s"

    def row(self) -> str:
        """A row of a Markdown table."""
        ratio = f"{self.ours / self.theirs:.2f}" if self.theirs else "–"
        mark = "yes" if self.holds else "**no**"
        theirs = f"{self.yardstick}: {show(self.theirs, self.unit)}"
        return f"| {self.name} | {show(self.ours, self.unit)} | {theirs} | {ratio} | {self.target} | {mark} |"


HEADER = "| what | ours | yardstick | ratio | target | held |\n|---|---|---|---|---|---|"


def show(value: float, unit: str = "s") -> str:
    """``0.031 ms``, ``12.3 ms`` or ``1.23 s``; other units as they are."""
    if unit != "s":
        return f"{value:.0f} {unit}"
    if value < 0.001:
        return f"{value * 1000:.3f} ms"
    return f"{value * 1000:.1f} ms" if value < 1 else f"{value:.2f} s"


def in_turns(rounds: int, *measures: Callable[[], float]) -> list[float]:
    """The median of each measure, taken in turns: a b c a b c …"""
    taken: list[list[float]] = [[] for _ in measures]
    for _ in range(rounds):
        for times, measure in zip(taken, measures, strict=True):
            times.append(measure())
    return [statistics.median(times) for times in taken]


def process(*arguments: str) -> float:
    """Seconds that a Python process with these arguments takes."""
    start = time.perf_counter()
    subprocess.run([sys.executable, *arguments], check=True, capture_output=True)
    return time.perf_counter() - start


@contextmanager
def emulator(latency: str, *more: str) -> Iterator[str]:
    """The emulator in a process of its own, so that it does not share our interpreter. Yields its base URL."""
    with subprocess.Popen(
        [sys.executable, "-m", "runner", "emulator", "--port", "0", "--latency", latency, *more],
        stdout=subprocess.PIPE,
        text=True,
    ) as server:
        assert server.stdout is not None
        url = server.stdout.readline().rsplit(" ", 1)[1].strip()
        try:
            yield url
        finally:
            server.terminate()
            server.communicate()
