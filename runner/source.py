"""YAML text in, plain data and a mark for every node out; or the problems, each with its line.

Where it is sure what a line was meant to be, that is read in its place, so that all problems are told at once.

YAML 1.2 core scalars: ``16:9``, ``no`` and ``on`` are text. A repeated key, a tag, a second document, an alias
that contains itself or that multiplies into a flood: problems. libyaml reads the events, this file composes
them in one pass, so that a hostile file cannot exhaust the stack.
"""

from __future__ import annotations

import gc
import itertools
import math
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, TypeAlias

import yaml

from . import braces, lookalikes, misreading
from .errors import Mark, PipelineProblems, Problem
from .model import JSON

Path: TypeAlias = Sequence[str | int]

MAX_DEPTH = 64
MAX_ALIASED = 10_000
"""Nodes that aliases may add to a file: plenty for people, too few for an anchor bomb."""

MAX_CHARACTERS = 32_000_000

_Parser: Any = getattr(yaml, "CLoader", yaml.Loader)

_INT = re.compile(r"[-+]?[0-9]{1,300}\Z|0o[0-7]{1,300}\Z|0x[0-9a-fA-F]{1,200}\Z")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?\Z")
_NOT_FINITE = re.compile(r"[-+]?\.(inf|Inf|INF)\Z|\.(nan|NaN|NAN)\Z")
_WORDS = {
    "": None, "~": None, "null": None, "Null": None, "NULL": None,
    "true": True, "True": True, "TRUE": True,
    "false": False, "False": False, "FALSE": False,
}  # fmt: skip
_TAGS = "tag:yaml.org,2002:"
_BREAK = re.compile("\r\n|[\r\n\x85\u2028\u2029]")
"""What ends a line for libyaml, whose line numbers ours must be."""


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


@dataclass(frozen=True, slots=True)
class Rewriting:
    """A text in which lines were replaced by what was meant: the text before, and each change by its place there, how
    many characters it took and how many it gave.
    """

    before: str
    after: str
    changes: tuple[tuple[int, int, int], ...]

    def index_before(self, index: int) -> int:
        """Where a character of the text as it was meant stands in the one before."""
        shift = 0
        for start, removed, added in self.changes:
            if index < start + shift:
                break
            if index < start + shift + added:
                return start + min(index - start - shift, max(removed - 1, 0))
            shift += added - removed
        return index - shift


def lines_of(text: str) -> list[str]:
    """The lines of a text as YAML counts them."""
    return _BREAK.split(text)


def rewritten(text: str, meant: Mapping[int, str]) -> Rewriting:
    """A text with lines, by their number from 0, as they were meant."""
    starts = [0, *(found.end() for found in _BREAK.finditer(text))]
    lines = _BREAK.split(text)
    parts, changes, done = list[str](), list[tuple[int, int, int]](), 0
    for number, line in sorted(meant.items()):
        old, start = lines[number], starts[number]
        same = _alike(old, line)
        tail = _alike(old[same:][::-1], line[same:][::-1])
        changes += _changes(start + same, old[same : len(old) - tail], line[same : len(line) - tail])
        parts += [text[done:start], line]
        done = start + len(old)
    return Rewriting(text, "".join([*parts, text[done:]]), tuple(changes))


def _changes(start: int, old: str, new: str) -> list[tuple[int, int, int]]:
    """What became of a part of a text; where only something was put around it, it is the same inside."""
    before = new.find(old)
    if not old or before < 0:
        return [(start, len(old), len(new))]
    return [(start, 0, before), (start + len(old), 0, len(new) - len(old) - before)]


def _alike(one: str, other: str) -> int:
    """How many characters two texts begin with in common."""
    return next((n for n, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other)))


@dataclass(frozen=True, slots=True, eq=False)
class Document:
    """A file that has been read: ``data``, and where each part of it stands. A plain text has no ``root``."""

    file: str
    text: str
    data: JSON
    root: Node | None
    lines: list[str] = field(default_factory=list)
    rewritings: tuple[Rewriting, ...] = ()
    """How the text came to be what it was meant to be: marks are of the file as it is."""
    unused: tuple[Any, ...] = ()
    """Texts without quotes with an anchor before them that no alias names."""

    def mark(self, path: Path = (), *, key: bool = False) -> Mark:
        """Where the value at ``path`` stands, or, with ``key``, the key that names it.

        A path that leads further than the file does is marked at its last part that is there.
        """
        node, name = self.root, None
        for part in path:
            child = _child(node, part)
            if child is None:
                return self.mark_of(name if name is not None else node)
            name, node = child
        return self.mark_of(name if key and name is not None else node)

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

    def replaced(self, path: Path, data: dict[str, JSON]) -> None:
        """Put a mapping where a value stands that is none: what is in it is marked there."""
        node, owner = self.node(path), self.data
        for part in path[:-1]:
            owner = owner[part]
        owner[path[-1]] = data
        if node is not None:
            node.children = {name: (node.start, Node(node.start, node.end)) for name in data}

    def overlaid(self, at: Path, merged: Collection[str] = (), without: Collection[str] = ()) -> Document:
        """The document in which the entries of the mapping at ``at`` take the place of those of the same name at the
        top, but for those ``without``; of a mapping that ``merged`` names, each of its entries by itself. What is
        taken over is marked where it was written.
        """
        over: JSON = self.data
        for part in at:
            over = over[part]
        there = self.node(at)
        assert self.root is not None
        assert there is not None
        kept = {name: value for name, value in over.items() if name not in without}
        data, root = _over(self.data, self.root, kept, there, merged)
        return replace(self, data=data, root=root)

    def mark_inside(self, path: Path, offset: int, length: int) -> Mark:
        """Where ``value[offset:offset + length]`` of the text at ``path`` stands, inside block scalars too."""
        node = self.node(path)
        first = (0, 0)
        if self.root is None:
            begin, end = offset, offset + length
        elif node is None or not hasattr(node.start, "value"):
            return self.mark(path)
        else:
            first = node.start.start_mark.line, node.start.start_mark.index - node.start.start_mark.column
            begin = _index_of(self.text, node.start, offset)
            end = _index_of(self.text, node.start, offset + max(length, 1) - 1) + 1
        line, start = _line_of(self.text, begin, *first)
        column = begin - start
        text = self.line(line)
        mark = Mark(self.file, line + 1, column + 1, max(1, min(end - begin, len(text) - column)), text)
        return self.as_it_is(mark)

    def mark_of(self, at: Any) -> Mark:
        """Where an event, or a node, stands; the beginning where there is none."""
        if at is None:
            return Mark(self.file, 1, 1, 1, self.line(0))
        start, end = (at.start, at.end) if isinstance(at, Node) else (at, at)
        first, last = start.start_mark, end.end_mark
        text = self.line(first.line)
        stop = last.column if last.line == first.line else len(text)
        return self.as_it_is(Mark(self.file, first.line + 1, first.column + 1, max(1, stop - first.column), text))

    def as_it_is(self, mark: Mark) -> Mark:
        """A mark of the text as it was meant, in the file as it is."""
        for rewriting in reversed(self.rewritings):
            start = _start_of(rewriting.after, mark.line - 1) + mark.column - 1
            begin, end = rewriting.index_before(start), rewriting.index_before(start + mark.length)
            line, first = _line_of(rewriting.before, begin)
            text = _BREAK.split(rewriting.before[first:], maxsplit=1)[0]
            length = max(1, min(end - begin, len(text) - (begin - first)))
            mark = Mark(mark.file, line + 1, begin - first + 1, length, text)
        return mark

    def line(self, number: int) -> str:
        """A line of the file, from 0."""
        if not self.lines:
            self.lines.extend(_BREAK.split(self.text))
        return self.lines[number] if number < len(self.lines) else ""


def _over(below: JSON, node: Node, above: JSON, there: Node, merged: Collection[str]) -> tuple[JSON, Node]:
    """One mapping over another, with their nodes."""
    data, children = dict(below), dict(node.children) if isinstance(node.children, dict) else {}
    over = there.children if isinstance(there.children, dict) else {}
    for name, value in above.items():
        key, child = over[name]
        if name in merged and isinstance(value, dict) and isinstance(data.get(name), dict):
            data[name], inner = _over(data[name], children[name][1], value, child, ())
            children[name] = (children[name][0], inner)
        else:
            data[name], children[name] = value, (key, child)
    return data, Node(node.start, node.end, children)


def parse(text: str, file: str) -> Document:
    """Read one YAML document. Raises `PipelineProblems`."""
    document, problems = read(text, file)
    if document is None or problems:
        raise PipelineProblems(problems)
    return document


MAX_MENDED = 40
"""How often a file is read anew as it was meant."""


def read(text: str, file: str) -> tuple[Document | None, list[Problem]]:
    """One YAML document and what is wrong with how it is written. With problems the document is the one that was meant;
    None where that is not sure.
    """
    text = text.removeprefix("\ufeff")
    if len(text) > MAX_CHARACTERS:
        return None, [Problem("too-much", "The file is too large.", Mark(file, 1, 1))]
    if half := re.search("[\ud800-\udfff]", text):
        line, start = _line_of(text, half.start())
        mark = Mark(file, line + 1, half.start() - start + 1)
        return None, [Problem("yaml", "Half of a character stands here.", mark, "Save the file as UTF-8.")]
    problems: dict[Problem, None] = {}
    rewritings: list[Rewriting] = []
    stopped: misreading.Place | None = None
    mended = 0
    while True:
        composer = _Composer(text, file)
        with collector_paused():
            data, root = composer.compose()
        document = Document(file, text, data, root, [], tuple(rewritings), composer.unused())
        if composer.stopped is not None and (composer.stopped == stopped or composer.stopped[0] < mended):
            return None, list(problems)  # it was not meant so
        stopped = composer.stopped
        problems |= dict.fromkeys(_as_it_is(problem, document) for problem in composer.problems)
        if not composer.meant or len(rewritings) == MAX_MENDED:
            return document if not composer.problems else None, list(problems)
        mended = min(composer.meant)
        rewritings.append(rewritten(text, composer.meant))
        text = rewritings[-1].after


def _as_it_is(problem: Problem, document: Document) -> Problem:
    also = tuple(document.as_it_is(mark) for mark in problem.also)
    return replace(problem, mark=document.as_it_is(problem.mark), also=also)


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
def collector_paused() -> Iterator[None]:
    """Reading makes many objects and no garbage; the cyclic collector would double or triple its time."""
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
        self.meant: dict[int, str] = {}
        """Lines as they were meant, by their number from 0, where that is sure."""
        self.stopped: misreading.Place | None = None
        """Where the file could not be read on."""
        self.strange: list[lookalikes.Lookalike] = []
        self.anchored: dict[str, Any] = {}
        """By anchor, texts without quotes that one stands before and no alias has named yet."""

    def unused(self) -> tuple[Any, ...]:
        return tuple(self.anchored.values())

    def compose(self) -> tuple[JSON, Node | None]:
        parser = _Parser(self.text)
        try:
            self._read(parser)
        except yaml.MarkedYAMLError as err:
            self._syntax(err)
        except yaml.reader.ReaderError as err:
            character = chr(err.character) if isinstance(err.character, int) else str(err.character)
            at = max(self.text.find(character), 0)
            line, start = _line_of(self.text, at)
            message = f"The character U+{ord(character):04X} cannot stand in YAML."
            self._add("yaml", message, self._mark_at(line, at - start), "Remove it, or save the file as UTF-8.")
        finally:
            parser.dispose()
        if self.strange:
            strange = dict.fromkeys([*self.strange, *lookalikes.found(self.lines)])
            for found in misreading.of_lookalikes(self.lines, list(strange)):
                self._misread(found)
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
                    if self.stopped is not None:
                        return
                else:
                    self._put(top, self._scalar(event), Node(event, event), event.anchor)
                    if event.anchor and not event.style:
                        self.anchored[event.anchor] = event
            elif kind in starts:
                self._tag(event)
                is_map = kind is starts[0]
                node = Node(event, event, {} if is_map else [])
                top = stack[-1] if stack else None
                if top is not None and top.key is None and type(top.data) is dict:
                    self._key_is_no_text(event)
                    return
                if event.anchor:
                    self.anchors[event.anchor] = None
                stack.append(_Open({} if is_map else [], node, event.anchor))
                if len(stack) > MAX_DEPTH:
                    self._add("too-much", f"Nested deeper than {MAX_DEPTH} levels.", self._mark(event),
                              "Write it flatter.")  # fmt: skip
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

    def _key_is_no_text(self, event: Any) -> None:
        """A key that is a collection. In nearly every case it is a template that is not in quotes."""
        at, start = event.start_mark.index, event.start_mark
        self.stopped = start.line, start.column
        if half := braces.apart(self.text, at) or braces.unquoted(self.text, at - 1):
            line, begin = _line_of(self.text, half.offset)
            mark = self._mark_at(line, half.offset - begin, half.length)
            self._add("template", f"This {half.what}.", mark, f'Write "{{{{ {half.expression} }}}}", in quotes.')
            return
        self._misread(misreading.of_a_key(self.lines, self.stopped))

    def _key(self, top: _Open, event: Any) -> None:
        assert isinstance(top.node.children, dict)
        top.key = event
        if not event.style and not event.value.isascii():
            self._lookalikes(event)
        if not event.style and ("{" in event.value or "[" in event.value or '"' in event.value or "'" in event.value):
            place = event.start_mark.line, event.start_mark.column
            if found := misreading.of_a_text_as_key(self.lines, place, event.value):
                self._misread(found)
                self.stopped = place
                return
        if event.anchor:
            self.anchors[event.anchor] = (event.value, Node(event, event))
        if event.value in top.node.children:
            first = top.node.children[event.value][0].start_mark.line + 1
            self._add("repeated-key", f"The key {event.value[:60]} stands twice here; the first is on line {first}.",
                      self._mark(event), "Rename or remove one of them.")  # fmt: skip

    def _lookalikes(self, event: Any) -> None:
        """A key with a character before, in or behind it that only looks like a blank, or like nothing."""
        start = event.start_mark
        stop = start.column + len(event.value) + 1
        found = lookalikes.in_line(start.line, self.lines[start.line], start.column)
        self.strange += [each for each in found if each.column < stop]

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
        self.anchored.pop(event.anchor, None)
        if found is None:
            name = event.anchor[:60]
            if name in self.anchors:
                self._add("alias", f"The alias *{name} contains itself.", self._mark(event), "Write that part out.")
            else:
                self._add("alias", f"The alias *{name} is not defined above.", self._mark(event),
                          f"Write &{name} before the part that it stands for, or put the text in quotes.")  # fmt: skip
            return False
        value, node = found
        self.aliased += node.size
        if self.aliased > MAX_ALIASED:
            self._add("alias", f"Aliases add more than {MAX_ALIASED:,} nodes to this file.", self._mark(event),
                      "Write the parts out, or use fewer.")  # fmt: skip
            return False
        top = stack[-1] if stack else None
        if top is not None and top.key is None and isinstance(top.data, dict):
            self._add("key", "A key must be text.", self._mark(event), "Write the key as a word.")
            return False
        self._put(top, value, node, None)
        return True

    def _scalar(self, event: Any) -> JSON:
        self._tag(event)
        text: str = event.value
        if event.tag == _TAGS + "str" or not event.implicit[0]:
            return text
        if event.end_mark.line > event.start_mark.line and not event.style:
            self._dashes(event)
        value = read_scalar(text)
        if isinstance(value, float) and not math.isfinite(value):
            self._add("number", f"{text[:60]} is not a number that JSON knows.", self._mark(event),
                      "Write another number, or put it in quotes to keep it text.")  # fmt: skip
        return value

    def _dashes(self, event: Any) -> None:
        """A text of several lines without quotes of which one begins with a dash: an item that begins too far in."""
        place, last = (event.start_mark.line, event.start_mark.column), event.end_mark.line
        if found := misreading.of_items(self.lines, place, last):
            self._misread(found)

    def _tag(self, event: Any) -> None:
        if event.tag and event.tag not in (_TAGS + "str", "!"):
            tag = event.tag.replace(_TAGS, "!!")
            start = event.start_mark
            self._add("tag", f"The tag {tag[:60]} is not used here.", self._mark_at(start.line, start.column, len(tag)),
                      "Remove it; put text in quotes to keep it text.")  # fmt: skip

    def _syntax(self, err: yaml.MarkedYAMLError) -> None:
        at, began = ((mark.line, mark.column) if mark else None for mark in (err.problem_mark, err.context_mark))
        self.stopped = stopped = at or (0, 0)
        self.strange += [each for each in lookalikes.found(self.lines) if each.line <= stopped[0]]
        if not self.strange:
            said = str(err.problem or err.context or "it cannot be read")
            self._misread(misreading.told(said, self.lines, stopped, began))

    def _misread(self, found: misreading.Misread) -> None:
        mark, also = self._mark_at(*found.place, found.length), tuple(self._mark_at(*place) for place in found.also)
        self.problems.append(Problem(found.code, found.message, mark, found.instead, also=also))
        self.meant |= found.meant

    def _add(self, code: str, message: str, mark: Mark, instead: str = "") -> None:
        self.problems.append(Problem(code, message, mark, instead))

    def _mark(self, event: Any) -> Mark:
        start, end = event.start_mark, event.end_mark
        length = end.column - start.column if end.line == start.line else 1
        return self._mark_at(start.line, start.column, length)

    def _mark_at(self, line: int, column: int, length: int = 1) -> Mark:
        text = self.lines[line] if line < len(self.lines) else ""
        return Mark(self.file, line + 1, column + 1, max(length, 1), text)

    @cached_property
    def lines(self) -> list[str]:
        return _BREAK.split(self.text)


def _line_of(text: str, index: int, line: int = 0, start: int = 0) -> tuple[int, int]:
    """The line, from 0, that the character at ``index`` is on, and where that line begins. It is not above the line
    that begins at ``start``.
    """
    for found in _BREAK.finditer(text, start):
        if found.end() > index:
            break
        line, start = line + 1, found.end()
    return line, start


def _start_of(text: str, line: int) -> int:
    """Where a line, from 0, begins."""
    return next((found.end() for found in itertools.islice(_BREAK.finditer(text), line - 1, None)), 0) if line else 0


def _child(node: Node | None, part: str | int) -> tuple[Any, Node] | None:
    children = node.children if node is not None else None
    if isinstance(children, dict):
        return children.get(str(part))
    if isinstance(children, list) and isinstance(part, int) and part < len(children):
        return None, children[part]
    return None


_PROPERTIES = re.compile(r"(?:&[A-Za-z0-9_-]+\s*|!\S*\s+)*")
_ESCAPE = re.compile(r"\\(?:x..|u.{4}|U.{8}|\r\n|[\s\S])")
_ESCAPED_BREAK = re.compile(r"\\(?:\r\n|[\r\n])[ \t]*")


def _index_of(text: str, event: Any, offset: int) -> int:
    """Where the ``offset``-th character of a scalar's value stands in the file.

    The value and its source are walked side by side: they differ only by indentation, folding, doubled
    quotes and escapes.
    """
    stop: int = event.end_mark.index
    index = last = _begin(text, event)
    for char in event.value[: offset + 1]:
        while event.style == '"' and (joined := _ESCAPED_BREAK.match(text, index, stop)):
            index = joined.end()
        if event.style == '"' and index < stop and text[index] == "\\":
            found = _ESCAPE.match(text, index, stop)
            last, index = index, found.end() if found else index + 1
            continue
        while index < stop and text[index] != char and text[index].isspace():
            index += 1
        last = min(index, max(stop - 1, 0))
        if char.isspace() and index < stop and not text[index].isspace():
            continue
        index += 2 if event.style == "'" and char == "'" else 1
    return last


def _begin(text: str, event: Any) -> int:
    """Where the text of a scalar begins, after its anchor, its tag and what opens it."""
    found = _PROPERTIES.match(text, event.start_mark.index)
    index: int = found.end() if found else event.start_mark.index
    if event.style in ("|", ">"):
        line_end = _BREAK.search(text, index)
        return line_end.end() if line_end else len(text)
    return index + (event.style in ("'", '"'))
