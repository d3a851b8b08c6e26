"""What went wrong in a run in, the place in its pipeline out, as exactly as its message tells."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TypeAlias

from .cases.case import output_named
from .errors import Mark
from .events import CellState, RunState
from .model import JSON, step_of
from .source import Document, Node

Path = tuple[str | int, ...]

Read: TypeAlias = Callable[[str], Document | None]
"""Gives a pipeline by its path from the folder of the one that was run; None where it cannot be read."""

_SLASH = re.compile(r"/(?![^\[]*\])")
"""Between a cell and one of the pipeline that it runs; a key may hold slashes of its own."""

_PARAM = re.compile(r"([a-z_]+)((?:\.\w+|\[[0-9]+\])*)(?::| (?:needs|must be|cannot be|has no|knows no) )")
"""What a message begins with that is about a param, or a part of one: ``messages[0].content: …``."""
_LACKING = re.compile(r"there is no (?:field )?(\w+)")
_TEMPLATE = re.compile(r"\{\{.*?\}\}|\{%.*?%\}", re.DOTALL)


def places(
    state: RunState, differs: Sequence[str], missing: Mapping[str, str], document: Document, read: Read
) -> dict[str, Mark]:
    """Where what a run has to tell belongs: by cell, ``output NAME``, ``lock: CELL`` and ``budget``."""
    profile = state.options.get("profile")
    found: dict[str, Mark | None] = {}
    for name, cell in state.cells.items():
        there, called = innermost(document, name, read)
        found[name] = of_cell(there, replace(cell, cell=called), profile)
    found |= {f"lock: {cell}": found.get(cell) or _of_step(document, cell) for cell in map(before_colon, differs)}
    found |= {f"output {name}": of_output(document, name) for name in missing}
    if document.node(("budget",)) is not None:
        found["budget"] = document.mark(("budget",), key=True)
    return {name: mark for name, mark in found.items() if mark is not None}


def before_colon(told: str) -> str:
    """The cell that a sentence about one begins with."""
    return told.partition(":")[0]


def innermost(document: Document, cell: str, read: Read) -> tuple[Document, str]:
    """The pipeline that the step of a cell stands in, and what the cell is called there: ``child.yaml`` and ``photo``
    of ``icon/photo``. Where one cannot be read, it is the pipeline that runs it.
    """
    parts, folder = _SLASH.split(cell), ""
    while len(parts) > 1:
        step = ("steps", step_of(parts[0]))
        by_tool = document.raw((*step, "tools", step_of(parts[1]), "file"))
        name = by_tool or document.raw((*step, "file"))
        inner = read(path := posixpath.join(folder, name)) if name else None
        if inner is None:
            break
        document, folder, parts = inner, posixpath.dirname(path), parts[2 if by_tool else 1 :]
    return document, "/".join(parts)


def of_cell(document: Document, cell: CellState, profile: str | None = None) -> Mark | None:
    """Where a cell failed: the param that its message is about, else the name of its step. None for one of no step.

    Of a step of another pipeline it is the step that runs that pipeline.
    """
    step, inside, _ = cell.cell.partition("/")
    if cell.state == "failed" and not inside and (about := _PARAM.match(cell.message)):
        for path in _params(document, step_of(step), about[1], profile):
            if document.node(path) is not None:
                return _in_param(document, (*path, *_parts(about[2])), cell.message)
    return _of_step(document, cell.cell)


def _of_step(document: Document, cell: str) -> Mark | None:
    path = ("steps", step_of(cell.partition("/")[0]))
    return document.mark(path, key=True) if document.node(path) is not None else None


def of_output(document: Document, name: str) -> Mark | None:
    """Where an output, or the one of a cell, is declared."""
    declared: JSON = document.data.get("outputs") if isinstance(document.data, dict) else None
    known = output_named(name, list(declared)) if isinstance(declared, dict) else None
    return document.mark(("outputs", known), key=True) if known is not None else None


def _params(document: Document, step: str, name: str, profile: str | None) -> Iterator[Path]:
    """Where a param of a step may stand: in it, or in the entry of ``models:`` that it names."""
    yield ("steps", step, name)
    if (model := document.raw(("steps", step, "model"))) is not None:
        yield from [("profiles", profile, "models", model, name)] if profile else []
        yield ("models", model, name)


def _parts(text: str) -> list[str | int]:
    """``[0].content`` as a path."""
    return [int(number) if number else word for word, number in re.findall(r"\.(\w+)|\[([0-9]+)\]", text)]


def _in_param(document: Document, path: Path, message: str) -> Mark:
    """The value, or the one template in it that can be meant where a template is what failed."""
    node = document.node(path)
    found = list(_templates(node, path)) if node is not None and "template" in message else []
    if (lacking := _LACKING.search(message)) is not None:
        found = [each for each in found if re.search(rf"\b{lacking[1]}\b", each[1][0])] or found
    if len(found) != 1:
        return document.mark(path)
    where, template = found[0]
    return document.mark_inside(where, template.start(), template.end() - template.start())


def _templates(node: Node, path: Path) -> Iterator[tuple[Path, re.Match[str]]]:
    """The templates in a value and its parts, each with the path of its text."""
    if node.children is None:
        yield from ((path, found) for found in _TEMPLATE.finditer(getattr(node.start, "value", "")))
    elif isinstance(node.children, dict):
        for name, (_, child) in node.children.items():
            yield from _templates(child, (*path, name))
    else:
        for index, child in enumerate(node.children):
            yield from _templates(child, (*path, index))
