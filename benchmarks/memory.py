"""What a run takes of memory: ``python -m benchmarks.memory alone|whole CELLS [URL]`` prints its peak in bytes."""

from __future__ import annotations

import resource
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from . import ours
from .figures import Figure, server
from .graphs import NOTHING, TEXT, foreach

CELLS, MANY = 5000, 100_000


def figures() -> Iterator[Figure]:
    """Each run in a process of its own."""
    with server() as url:
        one, many = measured("whole", 1, url), measured("whole", CELLS, url)
    name = f"memory of a whole run of foreach of {CELLS:,}"
    yield Figure(f"{name}, more", (many - one) / 1e6, "one cell", one / 1e6, "≤ 30 MB more", many - one <= 30e6, "MB")
    a_cell = (many - one) / CELLS / 1e3
    one, many = measured("alone", 1), measured("alone", MANY)
    name = f"memory of {MANY:,} local cells, executor alone"
    yield Figure(f"{name}, more", (many - one) / 1e6, "one cell", one / 1e6, "told", holds=True, unit="MB")
    yield Figure("memory of a local cell", (many - one) / MANY / 1e3, "a cell of a whole run", a_cell, "told",
                 holds=True, unit="kB")  # fmt: skip


def measured(*words: object) -> float:
    """The peak of a fresh process."""
    command = [sys.executable, "-m", "benchmarks.memory", *map(str, words)]
    return float(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout)


def peak() -> int:
    """The most bytes that this process ever had.

    Linux says what this program had; ``ru_maxrss`` there begins with what its parent had before the exec.
    """
    status = Path("/proc/self/status")
    if status.exists():
        line = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM:"))
        return int(line.split()[1]) * 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def main(what: str, count: int, url: str = "") -> None:
    """Run, and say the peak."""
    if what == "whole":
        ours.whole(foreach(count, TEXT), url)
    else:
        ours.once_alone(foreach(count, NOTHING))
    print(peak())


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), *sys.argv[3:])
