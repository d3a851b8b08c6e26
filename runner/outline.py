"""The text of a pipeline in; out, the one line of it that begins too far to the left or to the right, or is missing,
and the document as it was meant.

What a line belongs to follows from where it begins, so one that begins elsewhere makes a mess of all below it: keys
that stand twice, steps that are inputs, or no YAML at all. What was meant is found by trying: each line near the mess
is moved to where others begin. Where that leaves least to complain about, that is it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from . import source
from .errors import Mark, Problem, counted
from .kinds import KINDS
from .model import JSON
from .schema import top_schema
from .slips import mappings, of_steps
from .source import Document, Node
from .validate import validate

Path = tuple[str | int, ...]

_MOST = 600_000
"""Characters that are read, in all, to find what was meant."""
_FAR = 60
"""Lines above the mess that may have made it."""
_KEY = re.compile(r"( *)(- ?)?([\w.{}\"'-]+?) *:(?: |\Z)")


@dataclass(frozen=True, slots=True)
class _Change:
    """Lines as they may have been meant, and the first of them."""

    at: int
    lines: Mapping[int, str]
    above: str = ""
    """The section, or the name of a step, that may be missing above the line."""


def read(text: str, file: str) -> tuple[Document | None, list[Problem]]:
    """What `source.read` does, of a pipeline."""
    document, problems = source.read(text, file)
    before = document.text if document is not None else text.removeprefix("\ufeff")
    at = _mess(document, problems)
    if at is None or len(before) > _MOST:
        return document, problems
    told = _told(before, file) if document is not None else None
    if told == 0:
        return document, problems
    found = _best(before, file, at, told)
    if found is None:
        return document, problems
    change, mended = found
    earlier = document.rewritings if document is not None else ()
    mended = replace(mended, rewritings=(*earlier, *mended.rewritings))
    return mended, [*(problems if document is not None else ()), _problem(change, mended, before)]


def _mess(document: Document | None, problems: list[Problem]) -> list[int] | None:
    """The lines, from 0, at which the outline shows to be wrong; None if it is right, or something else is wrong."""
    if document is None:
        last = problems[-1] if problems else None
        is_it = last is not None and last.code in ("yaml", "repeated-key", "indentation")
        return sorted({problem.mark.line - 1 for problem in problems}) if is_it else None
    return (sorted(set(_misplaced(document))) or None) if isinstance(document.data, dict) else None


def _misplaced(document: Document) -> Iterator[int]:
    """The lines of steps that stand elsewhere, and of what stands among the steps and is none."""
    data = document.data
    steps = data.get("steps")
    for path, node in mappings(document):
        if len(path) == 2 and path[0] == "steps":
            continue
        if not any(word in path for word in _FREE) and _is_step(_at(data, path)) and path:
            yield _line(node)
    for name, step in steps.items() if isinstance(steps, dict) else ():
        if name.startswith("-") or (not _is_step(step) and (name in of_steps() or not isinstance(step, dict | None))):
            yield document.mark(("steps", name), key=True).line - 1
    for section, entries in data.items():
        for name, entry in entries.items() if section in _NAMED and isinstance(entries, dict) else ():
            is_model = section == "inputs" and isinstance(entry, dict) and "model" in entry and "type" not in entry
            if is_model or (entry is None and name in _NAMED):
                yield document.mark((section, name), key=True).line - 1
    for key, value in data.items():
        if key not in _sections() and (key in of_steps() or (isinstance(value, dict) and not key.startswith("x-"))):
            yield document.mark((key,), key=True).line - 1


_NAMED = ("inputs", "models", "profiles", "steps", "outputs")
"""Sections whose entries have names."""
_FREE = ("schema", "input", "tools", "messages", "default", "items", "enum", "matrix", "foreach")
"""Keys below which anything may be called anything."""


def _is_step(value: JSON) -> bool:
    return isinstance(value, dict) and isinstance(value.get("kind"), str) and value["kind"] in KINDS


def _sections() -> Mapping[str, JSON]:
    found: Mapping[str, JSON] = top_schema()["properties"]
    return found


def _at(data: Any, path: Path) -> JSON:
    for part in path:
        data = data[part]
    return data


def _line(node: Node) -> int:
    line: int = node.start.start_mark.line
    return line


def _told(text: str, file: str) -> int:
    """How much there is to complain about the form of a pipeline."""
    document, problems = source.read(text, file)
    return len(problems) + len(validate(document)) if document is not None else _MOST


def _best(text: str, file: str, at: list[int], told: int | None) -> tuple[_Change, Document] | None:
    """The change that leaves least to complain about, and less than there is."""
    left, best = _MOST, None
    least = _MOST if told is None else told
    for change in _changes(source.lines_of(text), at):
        left -= len(text)
        if left < 0:
            break
        rewriting = source.rewritten(text, change.lines)
        mended, wrong = source.read(rewriting.after, file)
        if mended is None or wrong or not isinstance(mended.data, dict) or any(True for _ in _misplaced(mended)):
            continue
        if not change.above and _path(mended, change.at) is None:
            continue
        faults = len(validate(mended))
        if faults < least:
            again = source.parse(rewriting.after, file)  # what is checked is changed
            least, best = faults, (change, replace(again, rewritings=(rewriting,)))
        if not least:
            break
    return best


def _changes(lines: list[str], at: list[int]) -> Iterator[_Change]:
    """What may have been meant, the likeliest first."""
    keys = [n for n, line in enumerate(lines) if _KEY.match(line)]
    near = [n for n in keys if any(-_FAR <= n - line <= 2 for line in at)]
    near.sort(key=lambda n: (min(abs(n - line) for line in at), n))
    columns = sorted({_indent(lines[n]) for n in keys})
    yield from _sections_above(lines, keys)
    yield from _steps_above(lines, near)
    for n in near:
        if found := re.match(r"( *)- ?(\w+: *)\Z", lines[n]):
            yield _Change(n, {n: found[1] + found[2]})
    for n in near:
        here = _indent(lines[n])
        for column in sorted({column for column in columns if column != here}, key=lambda column: abs(column - here)):
            yield _Change(n, {n: " " * column + lines[n].lstrip(" ")})
            block = _block(lines, n)
            for part in (block, [m for m in block if all(lines[k].strip() for k in range(n, m))]):
                if len(part) > 1:
                    yield _Change(n, {m: _moved(lines[m], column - here) for m in part})


def _sections_above(lines: list[str], keys: list[int]) -> Iterator[_Change]:
    """Sections that are nowhere, each above the first line of what may be theirs."""
    for section in ("steps", "outputs", "inputs", "models"):
        if any(re.match(rf"{section}:| +{section}: *\Z", line) for line in lines):
            continue
        for before, n in zip([None, *keys], keys, strict=False):
            is_first = before is None or not _indent(lines[before]) or not lines[n - 1].strip()
            if _indent(lines[n]) and is_first:
                yield _Change(n, {n: f"{section}:\n{lines[n]}"}, section)


def _steps_above(lines: list[str], near: list[int]) -> Iterator[_Change]:
    """The name of a step that is nowhere and is read, above the first key of what may be that step."""
    read = dict.fromkeys(re.findall(r"\bsteps\.(\w+)", "\n".join(lines)))
    gone = next((name for name in read if not any(re.match(rf" +{name} *:", line) for line in lines)), None)
    columns = {_indent(line) for line in lines if re.match(r" +\w+: *\Z", line)}
    for n in near if gone is not None else ():
        if re.match(r" +kind:", lines[n]):
            for column in sorted((column for column in columns if column < _indent(lines[n])), reverse=True)[:1]:
                yield _Change(n, {n: f"{' ' * column}{gone}:\n{lines[n]}"}, str(gone))


def _block(lines: list[str], at: int) -> list[int]:
    """A line, and those below that begin further in."""
    block = [at]
    for n in range(at + 1, len(lines)):
        if lines[n].strip() and _indent(lines[n]) <= _indent(lines[at]):
            break
        if lines[n].strip():
            block.append(n)
    return block


def _moved(line: str, by: int) -> str:
    return " " * by + line if by > 0 else line[min(-by, _indent(line)) :]


def _indent(line: str) -> int:
    return len(line) - len(line.lstrip(" "))


def _problem(change: _Change, mended: Document, before: str) -> Problem:
    """What is wrong, at the line to change."""
    line = source.lines_of(before)[change.at]
    found = _KEY.match(line)
    assert found is not None
    if change.above:
        mark = Mark(mended.file, change.at + 1, _indent(line) + 1, len(line.strip()), line)
        message = f"{change.above}: is missing above line {change.at + 1}."
        left = _indent(line) - _indent(change.lines[change.at])
        cure = f"Write {change.above}: on a line of its own above it, {counted(left, 'space')} further left."
        return Problem("missing-key", message, mark, cure)
    path = _path(mended, change.at)
    assert path is not None
    name = path[-1]
    mark = mended.mark(path, key=True)
    if found[2]:
        return Problem("indentation", f"{name}: stands behind a dash, as an item of a list.",
                       replace(mark, column=found.end(1) + 1, length=1), "Remove the dash.")  # fmt: skip
    here, there = _indent(line), _indent(change.lines[change.at])
    further = f"{counted(abs(here - there), 'space')} further {'in' if here > there else 'left'}"
    beside = {
        node.start_mark.line: other[-1] for other, node in _keys(mended) if other[:-1] == path[:-1] and other != path
    }
    if beside:
        nearest = min(beside, key=lambda n: (n > change.at, abs(n - change.at)))
        message = f"{name}: begins {further} than {beside[nearest]}: on line {nearest + 1}."
        cure = f"Begin it as far in as {beside[nearest]}:."
    else:
        message = f"{name}: begins {further} than what belongs to {path[-2] if len(path) > 1 else 'the pipeline'}."
        cure = f"Begin it with {counted(there, 'space')} before it."
    if len(change.lines) > 1:
        cure = cure.replace("Begin it", "Begin it, and what belongs to it,")
    return Problem("indentation", message, mark, cure)


def _path(document: Document, line: int) -> Path | None:
    """Where the first key of a line leads, from 0."""
    found = [(node.start_mark.column, path) for path, node in _keys(document) if node.start_mark.line == line]
    return min(found)[1] if found else None


def _keys(document: Document) -> Iterator[tuple[Path, Any]]:
    """Every key of a document, and where it stands."""
    for path, node in mappings(document):
        if isinstance(node.children, dict):
            for name, (event, _) in node.children.items():
                yield (*path, name), event
