"""A file that is not YAML: libyaml's words and the lines in, what is wrong in ours out, with its place and its cure.

libyaml says where it could not go on. Where a line begins too far to the left or to the right, that may be a line later
than the one to change, so both are named.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

from .braces import in_fault
from .errors import counted, cut
from .lookalikes import OPENS_TEXT, Lookalike

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
_KEY_AND_VALUE = re.compile(r"\s*(?:- +)?([A-Za-z_][\w.-]*):(?!//)(?![^'\"]*: )(\S.*)\Z")
_KEY_WITHOUT_COLON = re.compile(r"\s*(?:- +)?([A-Za-z_][\w.-]*)(?: *[;=,] *| +)([^\s:;=].*)\Z")
_EMPTY_KEY = re.compile(r"\s*(?:- +)?([\w.-]+) *: *(?:#.*)?\Z")
_BEFORE_VALUE = re.compile(r"\s*(?:- +)*(?:[\w.-]+ *: +)?")
_WORD = re.compile(r"\s*([\w.-]+) *(?: #.*)?\Z")


@dataclass(frozen=True, slots=True)
class Misread:
    """What is wrong, where, what instead."""

    message: str
    place: Place
    instead: str
    code: str = "yaml"
    length: int = 1
    meant: Mapping[int, str] = field(default_factory=dict)
    """The lines as they were meant, by their number from 0, where that is sure."""
    also: tuple[Place, ...] = ()
    """Where else the same is wrong."""


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
    if "mapping values are not allowed" in said and (found := _first_without_colon(lines, at)):
        return found
    if ("expected key" in said or "expected ','" in said) and (found := _ended_early(line, at)):
        return found
    if found := _half_template(lines, at if "expected key" in said else began or at):
        return found
    if ("expected key" in said or "expected ','" in said) and (found := _in_brackets(lines, at, began)):
        return found
    if "expected key" in said and at[1] == _indent(line) and (found := _between(lines, at[0])):
        return found
    if "mapping values are not allowed" in said and (found := _too_far_in(lines, at)):
        return found
    if "could not find expected ':'" in said and began:
        ways = (_no_colon(lines, began[0]), _out_of_its_text(lines, began), _text_below_its_key(lines, began[0]),
                _without_colon(lines, began[0]))  # fmt: skip
        if found := next(filter(None, ways), None):
            return found
    if "mapping values are not allowed" in said and (found := _colon_in_a_text(lines, at)):
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
    place = (at, found.end(1))
    meant = {at: _with(lines[at], found.end(1) + 1, found.end(1) + 1, " ")}
    return Misread("A space is missing after this colon.", place, cure, meant=meant)


def _above(lines: Sequence[str], at: int) -> int | None:
    """The line above one that is not empty, and no comment."""
    return next((n for n in range(at - 1, -1, -1) if lines[n].strip() and not lines[n].lstrip().startswith("#")), None)


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
    meant = {at: _with(lines[at], word.end(1), word.end(1), ":")}
    cure = f"Write {word[1]}: here."
    return Misread("A colon is missing after this.", place, cure, length=len(word[1]), meant=meant)


def _without_colon(lines: Sequence[str], at: int) -> Misread | None:
    """A key and its value with no colon between them, or with another sign in its place."""
    found = _KEY_WITHOUT_COLON.match(lines[at])
    if found is None:
        return None
    place = (at, found.start(1))
    meant = {at: _with(lines[at], found.end(1), found.start(2), ": ")}
    cure = f"Write {found[1]}: {cut(found[2].strip())}."
    return Misread("A colon is missing after this.", place, cure, length=len(found[1]), meant=meant)


def _first_without_colon(lines: Sequence[str], at: Place) -> Misread | None:
    """The first line of a block, whose key has no colon, so that the block is the one text that begins with it."""
    indent = _indent(lines[at[0]])
    key = _KEY.match(lines[at[0]])
    above = _above(lines, at[0])
    if (
        key is None
        or key.end(1) != at[1]
        or above is None
        or _column(lines[above]) != indent
        or _KEY.match(lines[above])
    ):
        return None
    before = _above(lines, above)
    if before is not None and _indent(lines[before]) >= indent and not lines[above].lstrip().startswith("-"):
        return None
    return _without_colon(lines, above)


def _text_below_its_key(lines: Sequence[str], at: int) -> Misread | None:
    """A text on the line below its key that begins no further in than that."""
    above = _above(lines, at)
    key = _EMPTY_KEY.match(lines[above]) if above is not None else None
    if above is None or key is None or len(lines[at].split()) < 3 or _column(lines[above]) < _indent(lines[at]):
        return None
    indent = _column(lines[above])
    block = list(itertools.takewhile(lambda n: lines[n].strip() and not _KEY.match(lines[n]), range(at, len(lines))))
    message = f"This begins no further in than {key[1]}: on line {above + 1}, so it is not its text."
    meant = {n: " " * (indent + 2) + lines[n].lstrip() for n in block}
    cure = f"Begin it further in than {key[1]}:, or write it behind {key[1]}:."
    return Misread(message, (at, _indent(lines[at])), cure, "indentation", len(lines[at].strip()), meant=meant)


def _colon_in_a_text(lines: Sequence[str], at: Place) -> Misread | None:
    """A text without quotes behind its key, with a colon and a blank in it."""
    line = lines[at[0]]
    value = _BEFORE_VALUE.match(line)
    if value is None or not value[0].strip() or value.end() >= at[1] or line[value.end()] in "\"'[{|>&*!":
        return None
    text = _without_comment(line[value.end() :])
    if text.endswith("}") and text.count("}") > text.count("{"):
        meant = {at[0]: _with(line, value.end(), value.end(), "{")}
        return Misread("A { is missing before this.", (at[0], value.end()), f"Write {cut('{' + text)}.", meant=meant)
    if " " not in line[value.end() : at[1]].strip():
        return None  # another key may be meant
    meant = {at[0]: _with(line, value.end(), value.end() + len(text), quoted(text))}
    cure = "Put the text in quotes if it holds a colon, or begin this line as far in as the lines above it."
    return Misread("A colon cannot stand here.", at, cure, meant=meant)


def _in_brackets(lines: Sequence[str], at: Place, began: Place | None) -> Misread | None:
    """What cannot stand in braces or brackets: a bracket that closes nothing, or a text with a colon in it."""
    line = lines[at[0]] if at[0] < len(lines) else ""
    character = line[at[1] : at[1] + 1]
    opened = {"]": "[", "}": "{"}.get(character)
    if opened is not None and line[: at[1]].count(opened) <= line[: at[1]].count(character):
        cure = "Remove it, or write the one that opens what it closes."
        meant = {at[0]: _with(line, at[1], at[1] + 1, "")}
        extra = line[at[1] - 1] == character
        return Misread(f"This {character} closes nothing.", at, cure, meant=meant if extra else {})
    value = re.search(r"([\w.-]+): +([^\s,\[\]{}\"'][^,\[\]{}\"']*)\Z", line[: at[1]])
    if character != ":" or value is None or began is None or began[0] != at[0]:
        return None
    rest = re.match(r"[^,\[\]{}\"']*", line[at[1] :])
    assert rest is not None
    text = (value[2] + rest[0]).rstrip()
    meant = {at[0]: _with(line, value.start(2), value.start(2) + len(text), quoted(text))}
    return Misread("A colon cannot stand in a text without quotes.", at, f"Write {value[1]}: {quoted(text)}.",
                   meant=meant)  # fmt: skip


def of_lookalikes(lines: Sequence[str], strange: Sequence[Lookalike]) -> list[Misread]:
    """Characters that look like others: each character once, at the first place where it stands."""
    alike: dict[str, list[Lookalike]] = {}
    for each in sorted(strange, key=lambda each: (each.line, each.column)):
        alike.setdefault(each.character, []).append(each)
    meant: dict[int, str] = {}
    for each in sorted(strange, key=lambda each: each.column, reverse=True):
        meant[each.line] = _with(meant.get(each.line, lines[each.line]), each.column, each.column + 1, each.instead)
    return [
        Misread(first.what, (first.line, first.column), first.cure, meant=meant,
                also=tuple((each.line, each.column) for each in others))
        for first, *others in alike.values()
    ]  # fmt: skip


def of_a_key(lines: Sequence[str], at: Place) -> Misread:
    """Braces or brackets at ``at``, where a key must stand: a template, or a name with braces, without quotes."""
    line, column = lines[at[0]], at[1]
    if line[column - 1 : column + 1] == "{{" and column:
        column -= 1
        text = _value(line, column)
        whole = re.match(r"\{\{.*?\}\}", text)
        meant = {at[0]: _with(line, column, column + len(text), quoted(text))} if whole else {}
        length = len(line[column + 1 :].partition("}}")[0]) + 3
        code = "quotes"
        return Misread("A text that begins with {{ must be in quotes.", (at[0], column),
                       'Write quotes around the whole text: "{{ … }}".', code, length, meant)  # fmt: skip
    name = re.match(r"\{ *\w+ *\}[^\s:\"'{},]*(?=:(?: |\Z))", line[column:])
    if name is not None:
        meant = {at[0]: _with(line, column, column + len(name[0]), quoted(name[0]))}
        return Misread("A name that begins with { must be in quotes.", at, f"Write {quoted(name[0])}: here.", "key",
                       len(name[0]), meant)  # fmt: skip
    return Misread("A key must be text.", at, "Write the key as a word.", "key")


_KEY_RUN_TOGETHER = re.compile(r"([A-Za-z_][\w.-]*)( *:| +)([\"'{\[].*)")


def of_a_text_as_key(lines: Sequence[str], at: Place, key: str) -> Misread | None:
    """A key that holds the begin of a value in braces or quotes, with no colon between them, or no space behind it."""
    found = _KEY_RUN_TOGETHER.match(key)
    if found is None or (
        not any(found[3].count(one) != found[3].count(other) for one, other in ("{}", "[]"))
        and (found[3].count(found[3][0]) % 2 == 0)
    ):
        return None
    line, end = lines[at[0]], at[1] + found.end(2)
    meant = {at[0]: _with(line, at[1] + found.end(1), end, ": ")}
    if ":" not in found[2]:
        cure = f"Write {found[1]}: {cut(line[end:].strip())}."
        return Misread("A colon is missing after this.", at, cure, length=len(found[1]), meant=meant)
    cure = f"Write a space after the colon: {found[1]}: {line[end:].strip()[:60]}."
    return Misread("A space is missing after this colon.", (at[0], end - 1), cure, meant=meant)


def of_items(lines: Sequence[str], at: Place, last: int) -> Misread | None:
    """An item of a list whose text goes on, without quotes, to the line ``last``, and one of these lines begins with a
    dash: an item that begins too far in, so that YAML takes it for more of the text.
    """
    item = re.match(r"\s*(?:- +)*-(?= +\Z)", lines[at[0]][: at[1]])
    dashes = [n for n in range(at[0] + 1, last + 1) if n < len(lines) and re.match(r"\s+- ", lines[n])]
    if item is None or not dashes or len(lines[dashes[0] - 1]) >= _WRAPPED:
        return None
    column = item.end() - 1
    above = _above(lines, at[0])
    is_first = above is None or not re.match(rf" {{{column}}}- ", lines[above])
    if is_first and len(dashes) > 1 and len({_indent(lines[n]) for n in dashes}) == 1:
        further = counted(_indent(lines[dashes[0]]) - column, "space")
        message = f"This dash stands {further} further left than those below it, so they are more of its text."
        meant = {at[0]: " " * _indent(lines[dashes[0]]) + lines[at[0]].lstrip()}
        cure = f"Begin it as far in as the dash on line {dashes[0] + 1}."
        return Misread(message, (at[0], column), cure, "indentation", meant=meant)
    further = counted(_indent(lines[dashes[0]]) - column, "space")
    message = f"This dash stands {further} further in than the item on line {at[0] + 1}, so it is more of its text."
    meant = {n: " " * column + lines[n].lstrip() for n in dashes}
    cure = f"Begin it as far in as the dash on line {at[0] + 1}."
    return Misread(message, (dashes[0], _indent(lines[dashes[0]])), cure, "indentation", meant=meant)


_WRAPPED = 60
"""Characters of a line after which a program may have begun a new one within a text."""


def _value(line: str, at: int) -> str:
    """The text without quotes that begins at ``at``: to its comment, or to what ends it in braces and brackets."""
    before = line[:at]
    if before.count("{") + before.count("[") == before.count("}") + before.count("]"):
        return _without_comment(line[at:])
    found = re.match(r"(?:\{\{.*?\}\}|[^,{}\[\]])*", line[at:])
    return found[0].rstrip() if found is not None else ""


def quoted(text: str) -> str:
    """A text as it stands in quotes."""
    if '"' not in text and "\\" not in text:
        return f'"{text}"'
    return "'" + text.replace("'", "''") + "'"


def _with(line: str, begin: int, end: int, instead: str) -> str:
    return line[:begin] + instead + line[end:]


def _without_comment(text: str) -> str:
    return re.split(r"\s+#", text, maxsplit=1)[0].rstrip()


def _column(line: str) -> int:
    """Where the key of a line begins, behind the dash of an item."""
    begin = re.match(r"\s*(?:- +)*", line)
    return begin.end() if begin is not None else 0


def _out_of_its_text(lines: Sequence[str], began: Place) -> Misread | None:
    """A line of a text after ``|`` or ``>`` that begins no further in than the key of the text."""
    indent = _indent(lines[began[0]])
    above = _above(lines, began[0])
    if above is not None and not OPENS_TEXT.search(lines[above]):
        above = next((n for n in range(began[0] - 1, -1, -1) if lines[n].strip() and _indent(lines[n]) <= indent), None)
    if above is None or not OPENS_TEXT.search(lines[above]):
        return None
    message = f"This begins no further in than line {above + 1}, so it is not of the text there."
    return Misread(message, (began[0], indent), f"Begin each line of a text further in than line {above + 1}.")


def _indent(line: str) -> int:
    return len(line) - len(line.lstrip())
