"""Two values in, where they differ out, and that as text."""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from ..model import JSON, Artifact

_WIDEST = 160
_MOST_LINES = 24


@dataclass(frozen=True, slots=True)
class Absent:
    """Stands where one of two values has nothing."""


ABSENT = Absent()


@dataclass(frozen=True, slots=True)
class Change:
    """A place where two values differ: ``input.prompt``, what was there, what is there."""

    path: str
    old: JSON
    new: JSON


def changes(old: JSON, new: JSON, path: str = "") -> Iterator[Change]:
    """Where two values differ, in the order of the new one. Files differ by their bytes only."""
    if isinstance(old, Artifact) and isinstance(new, Artifact):
        if old.sha256 != new.sha256:
            yield Change(path, old, new)
    elif isinstance(old, dict) and isinstance(new, dict):
        for name in [*new, *(name for name in old if name not in new)]:
            yield from changes(old.get(name, ABSENT), new.get(name, ABSENT), f"{path}.{name}" if path else str(name))
    elif isinstance(old, list) and isinstance(new, list):
        for index in range(max(len(old), len(new))):
            was, now = (each[index] if index < len(each) else ABSENT for each in (old, new))
            yield from changes(was, now, f"{path}[{index}]")
    elif type(old) is not type(new) or old != new:
        yield Change(path, old, new)


Distance = Callable[[Artifact, Artifact], int | None]
"""How far two pictures are apart, of 64; None where nobody can say."""


def lines(found: Sequence[Change], distance: Distance | None = None) -> list[str]:
    """The differences, each with its place, as a diff."""
    out: list[str] = []
    for number, change in enumerate(found):
        if len(out) > _MOST_LINES:
            out.append(f"… and {len(found) - number} differences more")
            break
        out += [change.path or "(all of it)", *(f"  {line}" for line in _diff(change, distance))]
    return out


def _diff(change: Change, distance: Distance | None) -> list[str]:
    old, new = change.old, change.new
    if isinstance(old, str) and isinstance(new, str) and "\n" in old + new:
        hunks = difflib.unified_diff(old.splitlines(), new.splitlines(), n=1, lineterm="")
        found = [line if line.startswith("@@") else f"{line[0]} {line[1:]}" for line in list(hunks)[2:]]
        if found:
            return [_cut(line) for line in found[:_MOST_LINES]]
    start = _common(old, new) if isinstance(old, str) and isinstance(new, str) else 0
    sides = [f"- {_said(old, start)}"] * (old is not ABSENT) + [f"+ {_said(new, start)}"] * (new is not ABSENT)
    if isinstance(old, Artifact) and isinstance(new, Artifact) and old.media == new.media == "image" and distance:
        apart = distance(old, new)
        sides.append("one of them is no longer there" if apart is None else f"they look {apart} of 64 apart")
    return sides


def _said(value: JSON, start: int) -> str:
    if isinstance(value, Artifact):
        size = f" {value.width}×{value.height}" if value.width else ""
        return f"{value.media_type}{size}, {value.bytes} bytes, sha256 {value.sha256[:12]}…"
    if isinstance(value, dict) and set(value) == {"sha256"}:
        return f"a file, sha256 {str(value['sha256'])[:12]}…"
    if isinstance(value, str) and re.fullmatch("[0-9a-f]{64}", value):
        return f"{value[:12]}…"
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=_plain)
    return _cut(f"…{text[start:]}" if start else text)


def _plain(value: object) -> JSON:
    return {"sha256": value.sha256} if isinstance(value, Artifact) else str(value)


def _common(old: str, new: str) -> int:
    """Where to begin to show two long texts, so that what differs is seen."""
    if max(len(old), len(new)) <= _WIDEST:
        return 0
    same = next((at for at, (a, b) in enumerate(zip(old, new, strict=False)) if a != b), min(len(old), len(new)))
    return max(0, same - 30)


def _cut(text: str) -> str:
    return text if len(text) <= _WIDEST else f"{text[:_WIDEST]}…"
