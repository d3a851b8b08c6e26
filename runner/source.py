"""YAML text in, plain data and a mark for every node out; or the problems, each with its line.

YAML 1.2 core scalars: ``16:9``, ``no`` and ``on`` are text. A repeated key, a tag, a second document, an alias
that contains itself or that multiplies into a flood: problems. libyaml reads the events, this file composes
them in one pass, so that a hostile file cannot exhaust the stack.
"""

from __future__ import annotations

import gc
import math
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import yaml

from .errors import Mark, PipelineProblems, Problem
from .model import JSON

Path: TypeAlias = Sequence[str | int]

MAX_DEPTH = 64
MAX_ALIASED = 10_000
"""Nodes that aliases may add to a file: plenty for people, too few for an anchor bomb."""

MAX_CHARACTERS = 32_000_000

_Parser: Any = getattr(yaml, "CLoader", yaml.Loader)

_INT = re.compile(r"[-+]?[0-9]+\Z|0o[0-7]+\Z|0x[0-9a-fA-F]+\Z")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?\Z")
_NOT_FINITE = re.compile(r"[-+]?\.(inf|Inf|INF)\Z|\.(nan|NaN|NAN)\Z")
_WORDS = {
    "": None, "~": None, "null": None, "Null": None, "NULL": None,
    "true": True, "True": True, "TRUE": True,
    "false": False, "False": False, "FALSE": False,
}  # fmt: skip
_TAGS = "tag:yaml.org,2002:"


@dataclass(slots=True)
class Node:
    """Where a value stands: its first and last event, and its children."""

    start: Any
    end: Any
    children: dict[str, tuple[Any, Node]] | list[Node] | None = None

    @property
    def size(self) -> int:
        """How many nodes it counts, itself included."""
        total, open_nodes = 0, [self]
        while open_nodes:
            node = open_nodes.pop()
            total += 1
            if isinstance(node.children, dict):
                open_nodes.extend(child for _, child in node.children.values())
            elif node.children:
                open_nodes.extend(node.children)
            if total > MAX_ALIASED:
                break
        return total


@dataclass(frozen=True, slots=True, eq=False)
class Document:
    """A file that has been read: ``data``, and where each part of it stands. A plain text has no ``root``."""

    file: str
    text: str
    data: JSON
    root: Node | None
    lines: list[str] = field(default_factory=list)

    def mark(self, path: Path = (), *, key: bool = False) -> Mark:
        """Where the value at ``path`` stands, or, with ``key``, the key that names it.

        A path that leads further than the file does is marked at its last part that is there.
        """
        node, name = self.root, None
        for part in path:
            child = _child(node, part)
            if child is None:
                return self._mark(name if name is not None else node)
            name, node = child
        return self._mark(name if key and name is not None else node)

    def raw(self, path: Path) -> str | None:
        """The text of the scalar at ``path`` as it was written (``1.10``), None if it is no scalar."""
        node = self.node(path)
        return node.start.value if node is not None and hasattr(node.start, "value") else None

    def node(self, path: Path) -> Node | None:
        node = self.root
        for part in path:
            child = _child(node, part)
            if child is None:
                return None
            node = child[1]
        return node

    def mark_inside(self, path: Path, offset: int, length: int) -> Mark:
        """Where ``value[offset:offset + length]`` of the text at ``path`` stands, inside block scalars too."""
        node = self.node(path)
        if self.root is None:
            begin, end = offset, offset + length
        elif node is None or not hasattr(node.start, "value"):
            return self.mark(path)
        else:
            begin = _index_of(self.text, node.start, offset)
            end = _index_of(self.text, node.start, offset + max(length, 1) - 1) + 1
        line = self.text.count("\n", 0, begin)
        column = begin - (self.text.rfind("\n", 0, begin) + 1)
        text = self._line(line)
        return Mark(self.file, line + 1, column + 1, max(1, min(end - begin, len(text) - column)), text)

    def _mark(self, at: Any) -> Mark:
        if at is None:
            return Mark(self.file, 1, 1, 1, self._line(0))
        start, end = (at.start, at.start) if isinstance(at, Node) else (at, at)
        first, last = start.start_mark, end.end_mark
        text = self._line(first.line)
        stop = last.column if last.line == first.line else len(text)
        return Mark(self.file, first.line + 1, first.column + 1, max(1, stop - first.column), text)

    def _line(self, number: int) -> str:
        if not self.lines:
            self.lines.extend(self.text.split("\n"))
        return self.lines[number].rstrip("\r") if number < len(self.lines) else ""


def parse(text: str, file: str) -> Document:
    """Read one YAML document. Raises `PipelineProblems`."""
    text = text.removeprefix("\ufeff")
    if len(text) > MAX_CHARACTERS:
        raise PipelineProblems([Problem("too-large", "The file is too large.", Mark(file, 1, 1))])
    composer = _Composer(text, file)
    with _collector_paused():
        data, root = composer.compose()
    if composer.problems:
        raise PipelineProblems(composer.problems)
    return Document(file, text, data, root)


def read_scalar(text: str) -> JSON:
    """The value of a plain scalar: ``3`` is an integer, ``16:9`` is text."""
    if text in _WORDS:
        return _WORDS[text]
    if text[0] in "-+.0123456789":
        if _INT.match(text):
            return int(text, 0) if text[:2] in ("0o", "0x") else int(text)
        if _FLOAT.match(text):
            return float(text)
        if _NOT_FINITE.match(text):
            return math.nan
    return text


@contextmanager
def _collector_paused() -> Iterator[None]:
    """Composing makes many objects and no garbage; the cyclic collector would triple its time."""
    was = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was:
            gc.enable()


@dataclass(slots=True)
class _Open:
    """A collection that is being read."""

    data: dict[str, JSON] | list[JSON]
    node: Node
    anchor: str | None
    key: Any = None


class _Composer:
    def __init__(self, text: str, file: str) -> None:
        self.text, self.file = text, file
        self.problems: list[Problem] = []
        self.anchors: dict[str, tuple[JSON, Node] | None] = {}
        self.aliased = 0
        self.root: tuple[JSON, Node | None] | None = None

    def compose(self) -> tuple[JSON, Node | None]:
        parser = _Parser(self.text)
        try:
            self._read(parser)
        except yaml.MarkedYAMLError as err:
            self._syntax(err)
        except yaml.reader.ReaderError as err:
            line = self.text.count("\n", 0, err.position)
            mark = self._mark_at(line, err.position - self.text.rfind("\n", 0, err.position) - 1)
            self._add("yaml", "This character may not stand in YAML.", mark, "Remove it, or save the file as UTF-8.")
        finally:
            parser.dispose()
        if self.root is None and not self.problems:
            self._add("empty", "The file is empty.", self._mark_at(0, 0), "Write name: and steps:.")
        return self.root or (None, None)

    def _read(self, parser: Any) -> None:
        stack: list[_Open] = []
        scalar, alias = yaml.ScalarEvent, yaml.AliasEvent
        starts = (yaml.MappingStartEvent, yaml.SequenceStartEvent)
        ends = (yaml.MappingEndEvent, yaml.SequenceEndEvent)
        get_event = parser.get_event
        while True:
            event = get_event()
            kind = type(event)
            if kind is scalar:
                top = stack[-1] if stack else None
                if top is not None and top.key is None and type(top.data) is dict:
                    self._key(top, event)
                else:
                    self._put(top, self._scalar(event), Node(event, event), event.anchor)
            elif kind in starts:
                self._tag(event)
                is_map = kind is starts[0]
                node = Node(event, event, {} if is_map else [])
                top = stack[-1] if stack else None
                if top is not None and top.key is None and type(top.data) is dict:
                    self._add("key", "A key must be text.", self._mark(event), "Write the key as a word.")
                    top.key = event
                if event.anchor:
                    self.anchors[event.anchor] = None
                stack.append(_Open({} if is_map else [], node, event.anchor))
                if len(stack) > MAX_DEPTH:
                    self._add("depth", f"Nested deeper than {MAX_DEPTH} levels.", self._mark(event))
                    return
            elif kind in ends:
                done = stack.pop()
                done.node.end = event
                self._put(stack[-1] if stack else None, done.data, done.node, done.anchor)
            elif kind is alias:
                if not self._alias(stack, event):
                    return
            elif kind is yaml.DocumentStartEvent:
                if self.root is not None:
                    self._add("documents", "A second document starts here.", self._mark(event),
                              "Keep one pipeline a file.")  # fmt: skip
                    return
            elif kind is yaml.StreamEndEvent:
                return

    def _key(self, top: _Open, event: Any) -> None:
        assert isinstance(top.node.children, dict)
        top.key = event
        if event.value in top.node.children:
            first = top.node.children[event.value][0].start_mark.line + 1
            self._add("repeated-key", f"The key {event.value} stands twice here; the first is on line {first}.",
                      self._mark(event), "Rename or remove one of them.")  # fmt: skip

    def _put(self, top: _Open | None, value: JSON, node: Node, anchor: str | None) -> None:
        if anchor:
            self.anchors[anchor] = (value, node)
        if top is None:
            self.root = (value, node)
        elif isinstance(top.data, list):
            assert isinstance(top.node.children, list)
            top.data.append(value)
            top.node.children.append(node)
        else:
            assert isinstance(top.node.children, dict)
            key, top.key = top.key, None
            name = getattr(key, "value", "")
            top.data[name] = value
            top.node.children[name] = (key, node)

    def _alias(self, stack: list[_Open], event: Any) -> bool:
        found = self.anchors.get(event.anchor)
        if found is None:
            what = "contains itself" if event.anchor in self.anchors else "is not defined above"
            self._add("alias", f"The alias *{event.anchor} {what}.", self._mark(event))
            return False
        value, node = found
        self.aliased += node.size
        if self.aliased > MAX_ALIASED:
            self._add("alias", f"Aliases add more than {MAX_ALIASED:,} nodes to this file.", self._mark(event),
                      "Write the parts out, or use fewer.")  # fmt: skip
            return False
        top = stack[-1] if stack else None
        if top is not None and top.key is None and isinstance(top.data, dict):
            self._add("key", "A key must be text.", self._mark(event))
            top.key = event
            return False
        self._put(top, value, node, None)
        return True

    def _scalar(self, event: Any) -> JSON:
        self._tag(event)
        text: str = event.value
        if event.tag == _TAGS + "str" or not event.implicit[0]:
            return text
        value = read_scalar(text)
        if isinstance(value, float) and not math.isfinite(value):
            self._add("number", f"{text} is not a number that JSON knows.", self._mark(event))
        return value

    def _tag(self, event: Any) -> None:
        if event.tag and event.tag not in (_TAGS + "str", "!"):
            self._add("tag", f"The tag {event.tag.replace(_TAGS, '!!')} is not used here.", self._mark(event),
                      "Remove it; put text in quotes to keep it text.")  # fmt: skip

    def _syntax(self, err: yaml.MarkedYAMLError) -> None:
        at = err.problem_mark or err.context_mark
        mark = self._mark_at(at.line, at.column) if at else self._mark_at(0, 0)
        what = str(err.problem or err.context or "this is not YAML")
        code, instead = "yaml", "Check the indentation, the colons and the quotes on this line and the one above."
        if "'\\t'" in what or "tab" in what or mark.text[: mark.column].strip(" ") == "\t":
            code, instead = "tab", "Indent with spaces."
        elif "mapping values are not allowed" in what:
            instead = "Put the text in quotes if it holds a colon, or start a new line."
        self._add(code, f"This is not YAML: {what.rstrip('.')}.", mark, instead)

    def _add(self, code: str, message: str, mark: Mark, instead: str = "") -> None:
        self.problems.append(Problem(code, message, mark, instead))

    def _mark(self, event: Any) -> Mark:
        start, end = event.start_mark, event.end_mark
        length = end.column - start.column if end.line == start.line else 1
        return self._mark_at(start.line, start.column, length)

    def _mark_at(self, line: int, column: int, length: int = 1) -> Mark:
        lines = self.text.split("\n")
        return Mark(self.file, line + 1, column + 1, max(length, 1), lines[line] if line < len(lines) else "")


def _child(node: Node | None, part: str | int) -> tuple[Any, Node] | None:
    children = node.children if node is not None else None
    if isinstance(children, dict):
        return children.get(str(part))
    if isinstance(children, list) and isinstance(part, int) and part < len(children):
        return None, children[part]
    return None


def _index_of(text: str, event: Any, offset: int) -> int:
    """Where the ``offset``-th character of a scalar's value stands in the file.

    The value and its source are walked side by side: they differ only by indentation, folding, doubled
    quotes and escapes.
    """
    index: int = event.start_mark.index
    stop: int = event.end_mark.index
    value: str = event.value[: offset + 1]
    if event.style in ("|", ">"):
        index = text.find("\n", index) + 1
    elif event.style in ("'", '"'):
        index += 1
    last = index
    for char in value:
        while index < stop and text[index] != char and (text[index].isspace() or char.isspace()):
            if not text[index].isspace():
                break
            index += 1
        if event.style == '"' and index < stop and text[index] == "\\" and char != "\\":
            index += 1
            last = index
            index += 1
            continue
        last = min(index, max(stop - 1, 0))
        if char.isspace() and index < stop and not text[index].isspace():
            continue
        index += 1
        if (event.style == "'" and char == "'") or (event.style == '"' and char == "\\"):
            index += 1
    return last
