"""JSON in a text: found among thoughts, fences and prose, mended where only its punctuation is wrong, and checked.

What stands in the text as JSON wins over what must be mended, and what fits the schema over what does not. Mending
changes punctuation, quotes and comments, never a word or a digit, and never closes what was cut off.
"""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from jsonschema import Draft202012Validator
from jsonschema.exceptions import ValidationError
from jsonschema.protocols import Validator

from ..errors import BadOutput, Truncated, counted
from ..model import JSON
from .mending import is_open, mended

THOUGHT = re.compile(r"<think>.*?(?:</think>|\Z)", re.DOTALL)
_OPENED_BEFORE = re.compile(r"\A(?:(?!<think>).)*</think>", re.DOTALL)
"""A thought whose beginning stands in the prompt: some chat templates write ``<think>`` for the model."""
_FENCE = re.compile(r"```(?:json|JSON)?\s*\n(.*?)\n?```", re.DOTALL)
_MEANT = re.compile(
    r"""\{\s*(?:/[/*]|}|["'\u2018-\u201d]|[\w$-]+\s*:)|\[\s*(?:[]\[{"'\u2018-\u201d]|-?\d|(?:null|true|false)\s*(?:[],]|\Z))"""
)
"""How an object or a list begins that is meant as one, be it broken; ``{x}`` in prose is not."""
_OPENING = re.compile(r"[{\[]")
_AROUND = 40
MAX_DEPTH = 200
"""Levels of nesting: no data that anybody means has more."""


@dataclass(frozen=True, slots=True)
class Found:
    """A value, and in words what had to be taken off or mended."""

    value: JSON
    repairs: tuple[str, ...] = ()


class _Unusable(json.JSONDecodeError):
    """It can be read as JSON and cannot be used, so mending its punctuation is of no use."""


def find(text: str, schema: Mapping[str, JSON] | None = None, *, strict: bool = False, ended: bool = False) -> Found:
    """The JSON in a text. `BadOutput` shows where it stops being JSON, or where it does not fit the schema.

    ``strict`` mends nothing. ``ended`` says that the writer had finished: brackets left open were then forgotten and
    not cut off.
    """
    rest = THOUGHT.sub("", _OPENED_BEFORE.sub("", text))
    thought = ("left out what the model thought",) if rest != text else ()
    rest = rest.strip()
    search = _Search(rest, strict=strict, ended=ended)
    first: list[ValidationError] = []
    for found in search.candidates():
        wrong = mismatches(found.value, schema, text)
        if not wrong:
            return Found(found.value, (*thought, *found.repairs))
        first = first or wrong
    if first:
        raise BadOutput(_mismatch(first, text), keep=text)
    raise search.failure(text)


def mismatches(value: JSON, schema: Mapping[str, JSON] | None, text: str) -> list[ValidationError]:
    """Where a value does not fit a schema. ``text`` is what to keep if it cannot even be checked."""
    if schema is None:
        return []
    try:
        return list(_validator(json.dumps(schema)).iter_errors(value))
    except RecursionError as err:
        msg = "the JSON is nested too deeply to be checked"
        raise BadOutput(msg, keep=text) from err


@dataclass(slots=True)
class _Search:
    """One pass over a text. ``wrong`` is the first fault that was met, if anything looked like JSON."""

    text: str
    strict: bool
    ended: bool
    wrong: json.JSONDecodeError | None = None
    start: int = 0
    """Where that began."""

    def candidates(self) -> Iterator[Found]:
        """What may be meant, the likeliest first: the whole text, then its fences, then what opens in it."""
        try:
            yield Found(_loads(self.text))
            return
        except json.JSONDecodeError as err:
            whole = err
        for fence in _FENCE.finditer(self.text):
            yield from self.fenced(fence[1].strip())
        yield from self.opened()
        self.wrong = self.wrong or (whole if isinstance(whole, _Unusable) else None)

    def fenced(self, content: str) -> Iterator[Found]:
        try:
            yield Found(_loads(content), ("took it out of a code fence",))
        except json.JSONDecodeError as err:
            if _MEANT.match(content) and (found := self.repaired(content, 0, err)) is not None:
                yield Found(found[0].value, ("took it out of a code fence", *found[0].repairs))

    def opened(self) -> Iterator[Found]:
        """Objects and lists that open in the text; the bound keeps a text of brackets from costing its square."""
        at = 0
        for _ in range(64):
            opening = _OPENING.search(self.text, at)
            if opening is None:
                return
            start = at = opening.start()
            try:
                value, end = _decode(self.text, start)
                repairs: tuple[str, ...] = ()
            except json.JSONDecodeError as err:
                if not _MEANT.match(self.text, start):
                    self.wrong = self.wrong or err
                    at += 1
                    continue
                self.wrong, self.start = err, start
                found = self.repaired(self.text, start, err)
                if found is None:
                    return  # what stands inside a broken object is a part of the answer, and not the answer
                (value, repairs), end = (found[0].value, found[0].repairs), found[1]
            around = ("left out the text around it",) if self.text[start:end].strip() != self.text else ()
            yield Found(value, (*around, *repairs))
            at = max(end, start + 1)

    def repaired(self, text: str, start: int, err: json.JSONDecodeError) -> tuple[Found, int] | None:
        """What is JSON but for its punctuation, and where it ends."""
        if self.strict or isinstance(err, _Unusable):
            return None
        found = mended(text, start, ended=self.ended)
        if found is None:
            return None
        try:
            value = _loads(json.dumps(found.value))
        except json.JSONDecodeError:
            return None
        return Found(value, found.repairs), found.end

    def failure(self, kept: str) -> BadOutput:
        """Why nothing was found."""
        rest, err = self.text, self.wrong
        if not rest:
            return BadOutput("there is no JSON: the text is empty", keep=kept)
        if err is None:
            return BadOutput(f"there is no JSON in the text, which begins: {rest[: 2 * _AROUND]!r}", keep=kept)
        end = rest.rstrip().removesuffix("```").rstrip()
        cut = err.msg.startswith("Unterminated string") or err.pos >= len(end)
        if not isinstance(err, _Unusable) and (cut or is_open(end, self.start)):
            return Truncated(f"the text ends in the middle of its JSON, after {rest[-_AROUND:]!r}", keep=kept)
        before, after = rest[max(0, err.pos - _AROUND) : err.pos], rest[err.pos : err.pos + _AROUND]
        where = f"line {err.lineno}, column {err.colno}"
        return BadOutput(f"the text is not JSON at {where}: {err.msg}, at {before!r} ▶ {after!r}", keep=kept)


def _not_finite(word: str) -> JSON:
    raise _Unusable(f"{word} is not JSON", word, 0)


_DECODER = json.JSONDecoder(parse_constant=_not_finite)
_HALF = re.compile("[\ud800-\udfff]")
"""Half of a character, which no file and no request can hold."""


def _loads(text: str) -> JSON:
    value, end = _decode(text, 0)
    if rest := text[end:].strip():
        raise json.JSONDecodeError("Extra data", text, text.index(rest, end))
    return value


def _decode(text: str, start: int) -> tuple[JSON, int]:
    """The JSON that begins at ``start``, and where it ends. JSONDecodeError for all that cannot be read."""
    try:
        value, end = _DECODER.raw_decode(text, start)
        written = json.dumps(value, ensure_ascii=False)
    except RecursionError as err:
        raise _Unusable("it is nested too deeply", text, start) from err
    except json.JSONDecodeError as err:
        raise type(err)(err.msg, text, err.pos if err.doc is text else start) from err
    except ValueError as err:
        raise _Unusable("a number is too long", text, start) from err
    if _depth(value) > MAX_DEPTH:
        raise _Unusable("it is nested too deeply", text, start)
    if _HALF.search(written):
        raise _Unusable("half of a character stands in it", text, start)
    return value, end


def _depth(value: JSON) -> int:
    """How deep lists and mappings stand in each other. How deep Python can recurse differs from version to version."""
    deep, layer = 0, [value]
    while layer and deep <= MAX_DEPTH:
        inner = [v for v in layer if isinstance(v, dict | list) and v]
        layer = [part for v in inner for part in (v.values() if isinstance(v, dict) else v)]
        deep += 1
    return deep


def _mismatch(wrong: Sequence[ValidationError], text: str) -> str:
    return f"the JSON does not match the schema: {described(wrong, 'data', text)}"


def described(wrong: Sequence[ValidationError], name: str, text: str = "") -> str:
    """Where a value called ``name`` does not fit, and how, in a sentence."""
    lines = [f"{describe_path(e.absolute_path, name)}: {describe(e)}{_near(e, text)}" for e in wrong[:3]]
    more = f" (and {len(wrong) - 3} more)" if len(wrong) > 3 else ""
    return "; ".join(lines) + more


def describe_path(path: Sequence[Any] | Any, name: str = "data") -> str:
    """``data.ingredients[2].name``."""
    return name + "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path)


def describe(error: ValidationError) -> str:
    """What was expected and what was found, in a few words."""
    wanted: Any = error.validator_value
    value: Any = error.instance
    found = json.dumps(value, ensure_ascii=False)
    found = found if len(found) <= 60 else found[:57] + "…"
    match error.validator:
        case "required":
            missing = [name for name in wanted if name not in value]
            return f"expected {', '.join(map(repr, missing))}, which is missing"
        case "type":
            return f"expected {wanted if isinstance(wanted, str) else ' or '.join(wanted)}, found {found}"
        case "enum":
            return f"expected one of {wanted}, found {found}"
        case "maxLength":
            return f"expected at most {counted(wanted, 'character')}, found {len(value)}: {found}"
        case "minLength":
            return f"expected at least {counted(wanted, 'character')}, found {len(value)}: {found}"
        case "minItems" | "maxItems":
            bound = "at least" if error.validator == "minItems" else "at most"
            return f"expected {bound} {counted(wanted, 'item')}, found {len(value)}"
    return error.message if len(error.message) <= 160 else error.message[:157] + "…"


def _near(error: ValidationError, text: str) -> str:
    """The text around the value, found by the name of its field."""
    names = [part for part in error.absolute_path if isinstance(part, str)]
    at = text.find(f'"{names[-1]}"') if names else -1
    return f", near {text[at : at + 2 * _AROUND]!r}" if at >= 0 else ""


@functools.lru_cache(maxsize=64)
def _validator(schema: str) -> Validator:
    return Draft202012Validator(json.loads(schema))
