"""Why calls are hits or misses, as text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

from ..events import RunState
from ..model import Call
from .changes import Change, lines

Verdict: TypeAlias = Literal["hit", "miss", "flying", "unfetched", "unknown", "free", "inside"]
_WORDS: dict[Verdict, str] = {
    "hit": "hit",
    "miss": "miss",
    "flying": "in flight",
    "unfetched": "to be fetched",
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


@dataclass(frozen=True, slots=True)
class Ahead:
    """How far a run would come that may ask the store and nobody else."""

    state: RunState
    lacking: Mapping[str, Call]
    """What it would ask for, by key."""
    flying: set[str]
    """Cells that lack only what earlier runs have in flight, or have paid for and not fetched."""


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
