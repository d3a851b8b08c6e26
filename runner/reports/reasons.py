"""Why calls are hits or misses, as text."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

from .changes import Change, lines

Verdict: TypeAlias = Literal["hit", "miss", "unknown", "free", "inside"]
_WORDS: dict[Verdict, str] = {
    "hit": "hit",
    "miss": "miss",
    "unknown": "not known",
    "free": "local",
    "inside": "a pipeline",
}


@dataclass(frozen=True, slots=True)
class Reason:
    """Why one call of a cell is in the store or not; ``found`` is what differs from the nearest earlier call."""

    cell: str
    verdict: Verdict
    why: str
    found: tuple[Change, ...] = ()
    then: str = ""
    """Why it was asked for once, where it is a hit now."""


def text(head: str, reasons: Sequence[Reason]) -> str:
    """The reasons, cell by cell, each with its diff."""
    out = [head]
    for reason in reasons:
        out += ["", f"{reason.cell}: {_WORDS[reason.verdict]}; {reason.why}"]
        out += [f"  that run had to ask: {reason.then}"] if reason.then else []
        out += [f"    {line}" for line in lines(reason.found)]
    if not reasons:
        out += ["", "It has no cells: an empty list."]
    return "\n".join(out)
