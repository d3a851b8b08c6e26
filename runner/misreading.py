"""A file that is not YAML: libyaml's words and the lines in, what is wrong in ours out, with its place and its cure.

libyaml says where it could not go on. Where a line begins too far to the left or to the right, that may be a line later
than the one to change, so both are named.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

from .braces import in_fault
from .errors import counted

Place: TypeAlias = tuple[int, int]
"""Line and column, from 0."""

_CLOSE = "Close it, separate its parts by commas, or put quotes around the text that it is part of."
_SYNTAX: tuple[tuple[str, str, str, bool], ...] = (
    ("could not find expected ':'", "A colon is missing after this.", "Write NAME: VALUE.", True),
    ("unexpected end of stream", "This quote is never closed.", "Write the same quote where the text ends.", True),
    ("unexpected document indicator", "This quote is never closed.", "Write the same quote where the text ends.", True),
    ("mapping values are not allowed", "A colon cannot stand here.",
     "Put the text in quotes if it holds a colon, or begin this line as far in as the lines above it.", False),
    ("block sequence entries are not allowed", "A list cannot begin here.", "Begin it on a line of its own.", False),
    ("block mapping entries are not allowed", "A key cannot begin here.", "Begin it on a line of its own.", False),
    ("expected ',' or '}'", "This { is not closed, or a comma is missing in it.", _CLOSE, True),
    ("expected ',' or ']'", "This [ is not closed, or a comma is missing in it.", _CLOSE, True),
    ("expected key", "This belongs to nothing above it.",
     "Begin it as far in as the lines above it; put a text that holds quotes or brackets in quotes.", False),
    ("expected '-' indicator", "This is not an item of the list above it.",
     "Begin it with a dash, or as far in as the list's own key.", False),
    ("cannot start any token", "A text cannot begin with this character.", "Put the text in quotes.", False),
    ("unknown escape character", "There is no such escape in double quotes.",
     "Write \\\\ for a backslash, or use single quotes.", False),
    ("escape code", "There is no such character.", "Write the character itself.", False),
    ("alphabetic or numeric character", "A text cannot begin with this character.", "Put the text in quotes.", True),
    ("expected comment or line break", "Nothing can follow | or > on its line.", "Begin the text on the next line.",
     False),
    ("expected <document start>", "The file has ended here, and something follows.", "Remove it.", False),
)  # fmt: skip
"""libyaml's words, ours for them, what to do, and whether the place is where the matter began."""


_KEY = re.compile(r"\s*(?:- +)?([\w.-]+) *:(?: |$)")
_KEY_AND_VALUE = re.compile(r"\s*(?:- +)?([A-Za-z_][\w-]*):(?!//)(?![^'\"]*: )(\S.*)\Z")
_BEFORE_VALUE = re.compile(r"\s*(?:- +)*(?:[\w.-]+ *: +)?")
_WORD = re.compile(r"\s*([\w.-]+) *(?: #.*)?\Z")
_OPENS_TEXT = re.compile(r"[:-] +[|>][-+0-9]*\s*(?:#.*)?\Z")


@dataclass(frozen=True, slots=True)
class Misread:
    """What is wrong, where, what instead."""

    message: str
    place: Place
    instead: str
    code: str = "yaml"
    length: int = 1


def told(said: str, lines: Sequence[str], at: Place, began: Place | None) -> Misread:
    """What libyaml ``said`` in plain words: ``at`` is where it stopped, ``began`` where what it read there began."""
    line = lines[at[0]] if at[0] < len(lines) else ""
    if "tab" in said or line[at[1] : at[1] + 1] == "\t":
        column = line.find("\t", 0, _indent(line))
        place = (at[0], column) if column >= 0 else at
        code = "tab"
        return Misread("A tab cannot stand here.", place, "Indent with spaces.", code)
    if found := _quote_open(lines, at):
        return found
    if ("mapping values are not allowed" in said or "could not find expected ':'" in said) and (
        found := _no_space(lines, began[0] if began and "could not" in said else _above(lines, at[0]))
    ):
        return found
    if ("expected key" in said or "expected ','" in said) and (found := _ended_early(line, at)):
        return found
    if found := _half_template(lines, at if "expected key" in said else began or at):
        return found
    if "expected key" in said and at[1] == _indent(line) and (found := _between(lines, at[0])):
        return found
    if "mapping values are not allowed" in said and (found := _too_far_in(lines, at)):
        return found
    if "could not find expected ':'" in said and began and (found := _out_of_its_text(lines, began)):
        return found
    if "could not find expected ':'" in said and began and (found := _no_colon(lines, began[0])):
        return found
    for words, message, instead, at_start in _SYNTAX:
        if words in said:
            return Misread(message, began if at_start and began else at, instead)
    return Misread(f"This is not YAML: {said.rstrip('.')}.", at,
                 "Check the indentation, the colons and the quotes on this line and the one above.")  # fmt: skip


def _half_template(lines: Sequence[str], at: Place) -> Misread | None:
    """A text without quotes that begins with a template, of which a brace is missing."""
    line = lines[at[0]] if at[0] < len(lines) else ""
    value = _BEFORE_VALUE.match(line)
    half = in_fault(line[value.end() :]) if value is not None else None
    if value is None or half is None or half.offset:
        return None
    cure = f'Write {{{{ {half.expression} }}}}, and quotes around the whole text: "{{{{ … }}}}".'
    return Misread(f"This {half.what}.", (at[0], value.end()), cure, "template", half.length)


def _quote_open(lines: Sequence[str], at: Place) -> Misread | None:
    """A quote that is not closed on its line, so that the next quote of its kind, further down, closes it."""
    before = lines[at[0]][: at[1]] if at[0] < len(lines) else ""
    for quote in "\"'":
        if _without_escapes(before).count(quote) % 2 == 0:
            continue
        above = next((n for n in range(at[0] - 1, -1, -1) if quote in _without_escapes(lines[n])), None)
        opened = re.search(rf"(?:^\s*|[:,-]\s+|[\[{{]\s*){quote}[^{quote}]*\Z", _without_escapes(lines[above or 0]))
        if above is None or opened is None or _without_escapes(lines[above]).count(quote) % 2 == 0:
            continue
        place = (above, opened.start() + opened[0].index(quote))
        return Misread("This quote is not closed on its line, and the next one closes it.", place,
                       "Write the same quote where the text ends.")  # fmt: skip
    return None


def _ended_early(line: str, at: Place) -> Misread | None:
    """A quote inside of a text in quotes, which ends it, with more of the text behind."""
    before = line[: at[1]].rstrip(" ")
    place = (at[0], len(before) - 1)
    if (
        before.endswith("'")
        and before[-2:-1].isalnum()
        and line[at[1] : at[1] + 1].isalnum()
        and before == line[: at[1]]
    ):
        return Misread("This apostrophe ends the text.", place,
                       "Write it twice: '', or put the whole text in double quotes.")  # fmt: skip
    if before.endswith("'"):
        return Misread("The text ends with this quote, and more follows.", place,
                       "Write a quote inside of it twice: '', or put the whole text in double quotes.")  # fmt: skip
    if before.endswith('"'):
        return Misread("The text ends with this quote, and more follows.", place,
                       'Write \\" for a quote inside of it, or put the whole text in single quotes.')  # fmt: skip
    return None


def _without_escapes(line: str) -> str:
    """A line in which no quote stands for itself; each character in its place."""
    return re.sub(r"\\.", "__", line)


def _no_space(lines: Sequence[str], at: int | None) -> Misread | None:
    """A key and its value without the space between that would make them two."""
    found = _KEY_AND_VALUE.match(lines[at]) if at is not None else None
    if at is None or found is None:
        return None
    cure = f"Write a space after the colon: {found[1]}: {found[2].strip()[:60]}."
    return Misread("A space is missing after this colon.", (at, found.end(1)), cure)


def _above(lines: Sequence[str], at: int) -> int | None:
    """The line above one that is not empty."""
    return next((n for n in range(at - 1, -1, -1) if lines[n].strip()), None)


def _between(lines: Sequence[str], at: int) -> Misread | None:
    """A line that begins neither where those above it do nor where those do that they belong to.

    Where only one stands above it there, and others follow that begin as it does, that one is at fault.
    """
    column = _indent(lines[at])
    above = [n for n in range(at) if lines[n].strip()]
    block = list(itertools.takewhile(lambda n: _indent(lines[n]) > column, reversed(above)))
    if not block:
        return None
    first = block[-1]
    further = counted(_indent(lines[first]) - column, "space")
    alone = all(_indent(lines[n]) > _indent(lines[first]) for n in block[:-1])
    after = itertools.takewhile(lambda line: _indent(line) >= column, filter(str.strip, lines[at + 1 :]))
    if alone and any(_indent(line) == column for line in after):
        place = (first, _indent(lines[first]))
        message = f"This begins {further} further in than line {at + 1} and those after it."
        return Misread(message, place, f"Begin it as far in as line {at + 1}.")
    message = f"This begins {further} further left than line {first + 1}, so it belongs to nothing."
    return Misread(message, (at, column), f"Begin it as far in as line {first + 1}, or as what it belongs to.")


def _too_far_in(lines: Sequence[str], at: Place) -> Misread | None:
    """A key that is taken for the rest of the text above it, because it begins further in; or one without a colon."""
    key = _KEY.match(lines[at[0]])
    above = next((n for n in range(at[0] - 1, -1, -1) if lines[n].strip()), None)
    if key is None or key.end(1) != at[1] or above is None or _indent(lines[above]) >= _indent(lines[at[0]]):
        return None
    if found := _no_colon(lines, above):
        return found
    further = counted(_indent(lines[at[0]]) - _indent(lines[above]), "space")
    message = f"This begins {further} further in than line {above + 1}, so it would be more of the text there."
    cure = f"Begin it as far in as line {above + 1}. If it is more of that text, put the whole text in quotes."
    return Misread(message, (at[0], _indent(lines[at[0]])), cure)


def _no_colon(lines: Sequence[str], at: int) -> Misread | None:
    """A word alone on its line, with lines below that begin further in."""
    word = _WORD.match(lines[at])
    below = next((line for line in lines[at + 1 :] if line.strip() and not line.lstrip().startswith("#")), "")
    if word is None or _indent(below) <= _indent(lines[at]):
        return None
    place = (at, word.start(1))
    return Misread("A colon is missing after this.", place, f"Write {word[1]}: here.", length=len(word[1]))


def _out_of_its_text(lines: Sequence[str], began: Place) -> Misread | None:
    """A line of a text after ``|`` or ``>`` that begins no further in than the key of the text."""
    indent = _indent(lines[began[0]])
    above = next((n for n in range(began[0] - 1, -1, -1) if lines[n].strip() and _indent(lines[n]) <= indent), None)
    if above is None or not _OPENS_TEXT.search(lines[above]):
        return None
    message = f"This begins no further in than line {above + 1}, so it is not of the text there."
    return Misread(message, (began[0], indent), f"Begin each line of a text further in than line {above + 1}.")


def _indent(line: str) -> int:
    return len(line) - len(line.lstrip())
