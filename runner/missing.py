"""What a template reads and what is not there in, a sentence about it out, in the words of pipelines.

A step that was skipped or failed yields nothing, and so does each field of it: ``default`` takes the place of either.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import jinja2
from jinja2.utils import missing

from .errors import counted
from .model import Artifact, Cells, Outputs

_ENDS = {"skipped": "was skipped", "failed": "failed", "blocked": "could not run", "cancelled": "was not run"}


class Missing(jinja2.StrictUndefined):
    """A value that is not there: it can be asked whether it is defined, and nothing else."""

    __slots__ = ()

    @property
    def _undefined_message(self) -> str:
        return self._undefined_hint or _told(self._undefined_obj, self._undefined_name)


class SkippedRead(jinja2.UndefinedError):
    """A template reads a step or a cell that was skipped. Its words say which."""


class Absent(Missing):
    """What a step or a cell yields that yielded nothing. Its fields are as absent as it is."""

    __slots__ = ()


def of_step(steps: Outputs, name: str) -> Missing:
    """What ``steps.NAME`` is where that step yielded nothing, or has not ended."""
    end = steps.absent.get(name)
    return _ended(f"steps.{name}", end) if end in _ENDS else Missing(obj=steps, name=name)


def of_cell(cells: Cells, wanted: str | int) -> Missing:
    """What ``steps.NAME['KEY']`` is where that cell yielded nothing, or there is none."""
    end = cells.absent.get(wanted) if isinstance(wanted, str) else None
    if end in _ENDS:
        return _ended(f"steps.{cells.step}['{wanted}']", end)
    if isinstance(wanted, str):
        return Missing(f"steps.{cells.step} has no cell {wanted}; {listed('it has', cells.keys)}")
    return Missing(f"steps.{cells.step} has {counted(len(cells), 'done cell')}, and none at {wanted}")


def _ended(name: str, end: str | None) -> Absent:
    told = f"{name} {_ENDS[str(end)]}; write | default('…') for another value"
    return Absent(told, exc=SkippedRead if end == "skipped" else jinja2.UndefinedError)


def _told(owner: Any, name: Any) -> str:
    if owner is missing:
        return f"there is no {name} here"
    if isinstance(owner, Outputs):
        return f"steps.{name} has not ended"
    if isinstance(owner, Cells):
        return f"steps.{owner.step} makes several cells, and {name} is a field of each of its cells"
    if isinstance(owner, Mapping):
        return f"there is no field {name}; {listed('there are', list(map(str, owner)))}"
    if isinstance(owner, str | Sequence) and isinstance(name, int):
        what, part = ("text", "character") if isinstance(owner, str) else ("list", "item")
        return f"the {what} has {counted(len(owner), part)}, and none at {name}"
    return f"{_kind(owner)} has no field {name}"


def listed(begin: str, names: Sequence[str]) -> str:
    """``it has a, b``: the names that there are, not more than a dozen."""
    more = ", …" if len(names) > 12 else ""
    return f"{begin} {', '.join(names[:12]) or 'none'}{more}"


def _kind(value: Any) -> str:
    match value:
        case None:
            return "null"
        case bool():
            return "true" if value else "false"
        case str():
            return "a text"
        case int() | float():
            return "a number"
        case Artifact():
            return "a file"
        case Sequence():
            return "a list"
    return "this"
