"""How much we cost beside nothing, and beside the requests themselves: many steps, many cells."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from . import bare, ours
from .figures import Figure, in_turns, server
from .graphs import NOTHING, TEXT, cells, chain, fan_out, foreach, layered, pipeline


def figures() -> Iterator[Figure]:
    """The executor alone, then whole runs beside a bare scheduler that sends the same requests."""
    for name, text, steps in (
        ("fan-out of 1,000", pipeline(fan_out(1000), NOTHING), 1002),
        ("chain of 100", pipeline(chain(100), NOTHING), 100),
        ("layered 20 × 25", pipeline(layered(20, 25), NOTHING), 500),
        ("foreach of 5,000", foreach(5000, NOTHING), 5000),
    ):
        (seconds,) = in_turns(5, partial(ours.once_alone, text))
        a_step = seconds / steps
        yield Figure(f"executor alone, a step: {name}", a_step, "target", 0.12e-3, "≤ 0.12 ms", a_step <= 0.12e-3)
    with server() as url:
        for name, text, graph in (
            ("fan-out of 1,000", pipeline(fan_out(1000), TEXT), fan_out(1000)),
            ("layered 20 × 25", pipeline(layered(20, 25), TEXT), layered(20, 25)),
            ("foreach of 5,000", foreach(5000, TEXT), cells(5000)),
        ):
            seconds, theirs = in_turns(3, partial(ours.whole, text, url), partial(bare.chats, graph, url))
            yield Figure(f"whole run: {name}", seconds, "bare scheduler", theirs, "≤ 1.25", seconds <= 1.25 * theirs)
        calls = ours.planned(pipeline(fan_out(1000), TEXT))
        disk, memory = in_turns(
            5, partial(ours.kept, calls, url, on_disk=True), partial(ours.kept, calls, url, on_disk=False)
        )
        yield Figure("journal and store of 1,000 calls", disk, "both in memory", memory, "≤ 1.5", disk <= 1.5 * memory)
