"""The lines of a file in; out, the characters that look like a blank, a colon or nothing at all and are letters to
YAML, where a blank, a colon or nothing must stand.

They come with text that is copied from web pages and chats. Inside of a text they are what they are.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

_BLANK = "\u00a0\u1680\u2000-\u200a\u202f\u205f\u3000"
_NOTHING = "\u00ad\u200b-\u200f\u2060\ufeff"
_COLON = "\uff1a\ufe55\ua789"
_ANY = re.compile(f"[{_BLANK}{_NOTHING}{_COLON}]")
_BEGIN = re.compile(rf"[ {_BLANK}{_NOTHING}]*(?:-[ {_BLANK}{_NOTHING}]+)*")
_KEY = re.compile(
    rf"[\"']?(?:[A-Za-z0-9_.\-{_NOTHING}]+|[\w.\-]+)[\"']?[ {_BLANK}{_NOTHING}]*"
    rf"(?:[{_COLON}]|:(?=[{_BLANK}{_NOTHING}\s]|\Z))[{_BLANK}{_NOTHING}]*"
)
OPENS_TEXT = re.compile(r"[:-] +[|>][-+0-9]*\s*(?:#.*)?\Z")
"""The end of a line below which a text of several lines stands."""


@dataclass(frozen=True, slots=True)
class Lookalike:
    """One of them: its line and its column, from 0, and what must stand there instead."""

    line: int
    column: int
    character: str
    instead: str

    @property
    def what(self) -> str:
        """What it is, in a sentence."""
        name = unicodedata.name(self.character).lower().replace("zero width", "zero-width")
        article = "an" if name[0] in "aeiou" else "a"
        taken = {"": "which nobody sees and YAML reads", " ": "which YAML does not take for a blank"}
        which = taken.get(self.instead, "which YAML does not take for a colon")
        return f"This is {article} {name} (U+{ord(self.character):04X}), {which}."

    @property
    def cure(self) -> str:
        """What to write."""
        if ":" in self.instead:
            return "Write an ordinary colon, and a space behind it."
        return "Write an ordinary space." if self.instead else "Remove it."


def found(lines: Sequence[str]) -> Iterator[Lookalike]:
    """Those that stand before a line's first word, in its key or behind its colon or dash."""
    text_of: int | None = None
    for number, line in enumerate(lines):
        indent = len(line) - len(line.lstrip(" "))
        if text_of is not None and (not line.strip(" ") or indent > text_of):
            continue
        text_of = indent if OPENS_TEXT.search(line) else None
        if _ANY.search(line) is not None:
            yield from in_line(number, line)


def in_line(number: int, line: str, at: int = 0) -> Iterator[Lookalike]:
    """Those of one line, or of one key that begins in it at ``at``."""
    begin = _BEGIN.match(line, at)
    assert begin is not None
    key = _KEY.match(line, begin.end())
    for column in range(at, key.end() if key is not None else begin.end()):
        character = line[column]
        if _ANY.match(character) is None:
            continue
        after = line[column + 1 : column + 2]
        if re.match(f"[{_COLON}]", character):
            instead = ":" if after in ("", " ") or re.match(f"[{_BLANK}]", after) else ": "
        elif re.match(f"[{_BLANK}]", character) or (line[column - 1 : column] == ":" and after not in ("", " ")):
            instead = " "
        else:
            instead = ""
        yield Lookalike(number, column, character, instead)


def around(word: str) -> Iterator[Lookalike]:
    """Those before or behind a word."""
    inner = word.strip("".join(character for character in word if _ANY.match(character)))
    begin = word.find(inner) if inner else 0
    for column, character in enumerate(word):
        if not begin <= column < begin + len(inner) and _ANY.match(character):
            yield Lookalike(0, column, character, " " if re.match(f"[{_BLANK}]", character) else "")
