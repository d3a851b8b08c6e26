"""A figure beside its yardstick, both measured in turns, so that a noisy machine disturbs both alike."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path


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
        share = self.ours / self.theirs
        ratio = f"{share:.2f}" if share >= 0.1 else f"{share:.1g}"
        mark = "–" if self.target == "told" else "yes" if self.holds else "**no**"
        theirs = f"{self.yardstick}: {show(self.theirs, self.unit)}"
        return f"| {self.name} | {show(self.ours, self.unit)} | {theirs} | {ratio} | {self.target} | {mark} |"


@dataclass(frozen=True, slots=True)
class Words:
    """A row for what has no figure, with the reason."""

    name: str
    words: str

    def row(self) -> str:
        """A row of the same table."""
        return f"| {self.name} | – | {self.words} | – | – | – |"


HEADER = "| what | ours | yardstick | ratio | target | held |\n|---|---|---|---|---|---|"


def show(value: float, unit: str = "s") -> str:
    """``0.031 ms``, ``12.3 ms`` or ``1.23 s``; other units as they are."""
    if unit != "s":
        return f"{value:.1f} {unit}" if unit in ("kB", "MB") else f"{value:.0f} {unit}"
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


def process(*arguments: str, folder: Path | None = None) -> float:
    """Seconds that a Python process with these arguments takes; it may keep its bytecode, as what is installed does."""
    env = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    start = time.perf_counter()
    subprocess.run([sys.executable, *arguments], check=True, capture_output=True, env=env, cwd=folder)
    return time.perf_counter() - start


@contextmanager
def server(*arguments: str) -> Iterator[str]:
    """The fast server in a process of its own. Yields its base URL."""
    with _serving("benchmarks.server", *arguments) as process:
        assert process.stdout is not None
        yield process.stdout.readline().strip()


@dataclass(frozen=True, slots=True)
class Emulated:
    """An emulator under way in a process of its own, so that it does not share our interpreter."""

    url: str
    process: subprocess.Popen[str]

    def requests(self) -> int:
        """How many requests it has had so far, downloads included."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        return int(self.process.stdout.readline())


@contextmanager
def emulator(latency: str, *faults: str) -> Iterator[Emulated]:
    """The emulator, with jobs and chats of this latency."""
    with _serving("benchmarks.emulated", latency, *faults) as process:
        assert process.stdout is not None
        yield Emulated(process.stdout.readline().strip(), process)


@contextmanager
def _serving(module: str, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    with subprocess.Popen(
        [sys.executable, "-m", module, *arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            yield process
        finally:
            process.terminate()
