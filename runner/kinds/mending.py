"""JSON with wrong punctuation in, what was meant by it out, and in words what was changed.

`json_repair <https://github.com/mangiucugna/json_repair>`_ guesses; here its guess is taken only if every word and
digit of the text is still there, in its order, and nothing was added: a value is never made up or lost.
"""

from __future__ import annotations

import contextlib
import difflib
import json
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

from ..model import JSON

LONGEST = 200_000
"""Characters that are looked at: no answer of a model that anybody mends is longer."""
_MOST_TOLD = 5
_MOST_COMPARED = 4_000
"""Tokens up to which changes are told one by one: comparing costs their square at worst."""

_COMMENT = re.compile(r"//[^\n]*|/\*.*?\*/|#[^\n]*", re.DOTALL)
_TOKEN = re.compile(
    r""""(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'|//[^\n]*|/\*.*?\*/|#[^\n]*|[{}\[\],:]|[^\s{}\[\],:"']+|["']""", re.DOTALL
)
_NO_JSON = ("NaN", "Infinity", "-Infinity", "undefined", "...", "…")
"""Words for which JSON has no value, and which a repair would turn into texts; and signs that something is left out."""
_AS_JSON = {"True": "true", "False": "false", "None": "null"}
_DEPTH = {"{": 1, "[": 1, "}": -1, "]": -1}
_NUMBER = re.compile(r"\d*\.?\d+(?:[eE][+-]?\d+)?")
_PUNCTUATION = re.compile(r"""[\s"'\u2018-\u201d,:\]}]""")
_SCALAR = re.compile(r"true|false|null|[-+]?[\d_]*\.?\d+(?:[eE][+-]?\d+)?")
_BEFORE, _AFTER = ("{", "[", ",", ":"), ("}", "]", ",", ":", "")
_BARE = "\0"
"""Stands before what is no text, so that a number does not become one."""
_EMPTY = "∅"
"""Stands for a text without letters, so that it is missed when it is lost."""


@dataclass(frozen=True, slots=True)
class Mended:
    """What was meant, where in the text it ends, what was changed."""

    value: JSON
    end: int
    repairs: tuple[str, ...]


def mended(text: str, start: int, *, ended: bool) -> Mended | None:
    """What the broken JSON at ``start`` means; None if that cannot be said, or if it was cut off and not ``ended``."""
    if len(text) - start > LONGEST:
        return None
    if (closed := _closed(text, start)) is not None:
        ends = [closed]
    elif not is_open(text, start):  # a quote stands alone somewhere, so that brackets cannot be counted
        ends = [max(text.rfind("}"), text.rfind("]")) + 1]
    else:
        ends = []
    for end in [*ends, *([len(text)] if ended else [])]:
        found = _repaired(text[start:end])
        if found is not None:
            return Mended(found, end, tuple(_changes(text[start:end], found)))
    return None


def is_open(text: str, start: int) -> bool:
    """Whether a text ends before the brackets do that it opens from ``start`` on."""
    depth, lone = 0, False
    for token in _tokens(text[start:]):
        depth += _DEPTH.get(token, 0)
        lone = lone or token in ('"', "'")
    return depth > 0 and (not lone or text.rstrip()[-1:] not in ("}", "]"))


def _closed(text: str, start: int) -> int | None:
    """Where the bracket at ``start`` is closed; None if it is not."""
    depth = 0
    for token in _TOKEN.finditer(text, start):
        depth += _DEPTH.get(token[0], 0)
        if depth == 0:
            return token.end()
    return None


def _repaired(text: str) -> JSON | None:
    """The object or list that is left when only punctuation is changed; None if words would have to change too."""
    import json_repair  # noqa: PLC0415 - its import costs as much as our own start, and few answers need it

    if any(token in _NO_JSON for token in _tokens(text)):
        return None
    try:
        value = json_repair.loads(text, skip_json_loads=True)
        kept = _bare(_said(text)) == _bare(" ".join(_values(value))) and not _whole(text) - Counter(_values(value))
    except (ValueError, RecursionError, LookupError, TypeError, AttributeError):  # guesses at nonsense go wrong
        return None
    meant = dict if text.startswith("{") else list
    return value if kept and value and isinstance(value, meant) else None


def _tokens(text: str) -> list[str]:
    return _TOKEN.findall(text)


def _said(text: str) -> str:
    """All that a text says, in order: brackets that open, words, numbers; no comments."""
    words = []
    for token in _tokens(text):
        if token in ('""', "''"):
            words.append(_EMPTY)
        elif not _COMMENT.match(token):
            word = _AS_JSON.get(token) or _unescaped(token)
            words.append(_BARE + word if _SCALAR.fullmatch(word) else word)
    return " ".join(words)


def _whole(text: str) -> Counter[str]:
    """The texts about whose quotes there is no doubt, because punctuation stands on both sides."""
    tokens = ["", *_tokens(text), ""]
    sure: Counter[str] = Counter()
    for before, quoted, after in zip(tokens, tokens[1:], tokens[2:], strict=False):
        if quoted[:1] == '"' and before in _BEFORE and after in _AFTER:
            with contextlib.suppress(ValueError):
                sure[_joined(json.loads(quoted)) or _EMPTY] += 1
    return sure


def _unescaped(text: str) -> str:
    text = re.sub(r"\\u([0-9a-fA-F]{4})", lambda found: chr(int(found[1], 16)), text)
    text = re.sub(r"\\(.)", lambda found: " " if found[1] in "nrtbf" else found[1], text)
    return _joined(text)


def _joined(text: str) -> str:
    """Text whose halves of characters are whole ones."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def _values(value: JSON) -> Iterator[str]:
    """All that a value says, in order, as `_said` does."""
    match value:
        case dict():
            yield "{"
            for key, inner in value.items():
                yield str(key) or _EMPTY
                yield from _values(inner)
        case list():
            yield "["
            for inner in value:
                yield from _values(inner)
        case str():
            yield _joined(value) or _EMPTY
        case _:
            yield _BARE + json.dumps(value)


def _bare(text: str) -> str:
    """A text without its punctuation, numbers in one spelling."""
    text = re.sub(r"(?<=\d)_(?=\d)", "", text)
    return _PUNCTUATION.sub("", _NUMBER.sub(lambda found: repr(float(found[0])), text))


def _changes(before: str, value: JSON) -> Iterator[str]:
    """What is different now, in words."""
    old, new = [_spelled(t) for t in _tokens(before)], [_spelled(t) for t in _tokens(_written(value))]
    if max(len(old), len(new)) > _MOST_COMPARED:
        yield "mended its punctuation"
        return
    told: dict[str, None] = {}
    for what, a, b, c, d in difflib.SequenceMatcher(None, old, new, autojunk=False).get_opcodes():
        if what != "equal":
            told[_change(old[a:b], new[c:d], last=b == len(old))] = None
    yield from list(told)[:_MOST_TOLD]
    if len(told) > _MOST_TOLD:
        yield f"mended {len(told) - _MOST_TOLD} more"


def _change(old: list[str], new: list[str], *, last: bool) -> str:
    if old and all(_COMMENT.match(token) for token in old):
        return "left out a comment"
    before, after = _shown(old), _shown(new)
    if not new:
        return f"left out {before}"
    if not old:
        return f"closed it with {after}" if last else f"added {after}"
    return f"put {after} for {before}"


def _shown(tokens: list[str]) -> str:
    text = "".join(tokens)
    return text if len(text) <= 40 else text[:39] + "…"


def _spelled(token: str) -> str:
    """A token in its one spelling, where it is JSON."""
    try:
        return json.dumps(json.loads(token), ensure_ascii=False)
    except (ValueError, RecursionError):
        return token


def _written(value: JSON) -> str:
    return _joined(json.dumps(value, ensure_ascii=False))
