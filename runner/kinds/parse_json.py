"""Text in, the JSON that stands in it out, checked against a schema. Local and free."""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from jsonschema import Draft202012Validator
from jsonschema.exceptions import ValidationError
from jsonschema.protocols import Validator

from ..errors import BadOutput
from ..model import JSON, Call, Output, Reply
from .kind import COST, TEXT

NAME = "parse_json"
VERSION = 1
TITLE = "Find JSON in text and check it against a schema."
CALLS = False
PARAMS: Mapping[str, JSON] = {
    "text": {**TEXT, "description": "The text that holds JSON.", "examples": ["{{ steps.draft.text }}"]},
    "schema": {
        "type": "object",
        "description": "What the JSON must look like: a JSON Schema.",
        "examples": [{"type": "object", "required": ["title"], "properties": {"title": {"type": "string"}}}],
        "verbatim": True,
    },
}
REQUIRED: tuple[tuple[str, ...], ...] = (("text",),)
TIMEOUT = 60.0

_THOUGHT = re.compile(r"<think>.*?(?:</think>|\Z)", re.DOTALL)
_FENCE = re.compile(r"```(?:json|JSON)?\s*\n(.*?)\n?```", re.DOTALL)
_AROUND = 40
MAX_DEPTH = 200
"""Levels of nesting: no data that anybody means has more."""

_ANEW = ". To have the text written anew, change its prompt or say cache: false on the step that wrote it"


def output(params: Mapping[str, JSON]) -> JSON:
    """``data`` has the shape of the step's own schema."""
    schema = params.get("schema")
    return {
        "type": "object",
        "properties": {
            "data": {**schema, "$root": True} if isinstance(schema, Mapping) else {},
            "repairs": {"type": "array", "items": TEXT, "description": "What stood around the JSON."},
            **COST,
        },
        "additionalProperties": False,
    }


def advance(params: Mapping[str, JSON], replies: Sequence[Reply]) -> Call | Output:
    """The output at once: nothing is asked of anybody."""
    del replies
    text = params["text"]
    data, repairs = find(text)
    schema = params.get("schema")
    if schema is not None:
        try:
            wrong = list(_validator(json.dumps(schema)).iter_errors(data))
        except RecursionError as err:
            msg = "the JSON is nested too deeply to be checked"
            raise BadOutput(msg, keep=text) from err
        if wrong:
            raise BadOutput(_mismatch(wrong, text) + _ANEW, keep=text)
    return Output({"data": data, "repairs": repairs})


def find(text: str) -> tuple[JSON, list[str]]:
    """The JSON in a text, and what had to be taken off. `BadOutput` shows where it stops being JSON."""
    repairs: list[str] = []
    rest = _THOUGHT.sub("", text)
    if rest != text:
        repairs.append("left out what the model thought")
    rest = rest.strip()
    try:
        return _loads(rest), repairs
    except json.JSONDecodeError as err:
        whole = err
    if fence := _FENCE.search(rest):
        try:
            return _loads(fence[1].strip()), [*repairs, "took it out of a code fence"]
        except json.JSONDecodeError:
            pass
    first: tuple[int, json.JSONDecodeError] | None = None
    for start in _openings(rest):
        try:
            value, end = _decode(rest, start)
        except json.JSONDecodeError as err:
            first = first or (start, err)
        else:
            if rest[start:end].strip() != rest:
                repairs.append("left out the text around it")
            return value, repairs
    raise BadOutput(_not_json(text, rest, first[1] if first else whole, found=first is not None) + _ANEW, keep=text)


def _openings(text: str) -> Iterator[int]:
    """Where an object or a list may begin; a bound keeps a text of brackets from costing its square."""
    for number, match in enumerate(re.finditer(r"[{\[]", text)):
        if number == 64:
            return
        yield match.start()


def _not_finite(word: str) -> JSON:
    raise json.JSONDecodeError(f"{word} is not JSON", word, 0)


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
        raise json.JSONDecodeError("it is nested too deeply", text, start) from err
    except json.JSONDecodeError as err:
        raise json.JSONDecodeError(err.msg, text, err.pos if err.doc is text else start) from err
    except ValueError as err:
        raise json.JSONDecodeError("a number is too long", text, start) from err
    if _depth(value) > MAX_DEPTH:
        raise json.JSONDecodeError("it is nested too deeply", text, start)
    if _HALF.search(written):
        raise json.JSONDecodeError("half of a character stands in it", text, start)
    return value, end


def _depth(value: JSON) -> int:
    """How deep lists and mappings stand in each other. How deep Python can recurse differs from version to version."""
    deep, layer = 0, [value]
    while layer and deep <= MAX_DEPTH:
        inner = [v for v in layer if isinstance(v, dict | list) and v]
        layer = [part for v in inner for part in (v.values() if isinstance(v, dict) else v)]
        deep += 1
    return deep


def _not_json(text: str, rest: str, err: json.JSONDecodeError, *, found: bool) -> str:
    if not rest:
        return "there is no JSON: the text is empty"
    if not found:
        return f"there is no JSON in the text, which begins: {rest[: 2 * _AROUND]!r}"
    if err.msg.startswith("Unterminated string") or err.pos >= len(rest.rstrip().removesuffix("```").rstrip()):
        return (
            f"the text ends in the middle of its JSON, after {rest[-_AROUND:]!r}; "
            "if the model was cut off, raise max_tokens of the step that wrote it"
        )
    before, after = rest[max(0, err.pos - _AROUND) : err.pos], rest[err.pos : err.pos + _AROUND]
    del text
    return f"the text is not JSON at line {err.lineno}, column {err.colno}: {err.msg}, at {before!r} ▶ {after!r}"


def _mismatch(wrong: Sequence[ValidationError], text: str) -> str:
    lines = [f"{describe_path(e.absolute_path)}: {describe(e)}{_near(e, text)}" for e in wrong[:3]]
    more = f" (and {len(wrong) - 3} more)" if len(wrong) > 3 else ""
    return "the JSON does not match the schema: " + "; ".join(lines) + more


def describe_path(path: Sequence[Any] | Any) -> str:
    """``data.ingredients[2].name``."""
    return "data" + "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path)


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
            return f"expected at most {wanted} characters, found {len(value)}: {found}"
        case "minLength":
            return f"expected at least {wanted} characters, found {len(value)}: {found}"
        case "minItems" | "maxItems":
            bound = "at least" if error.validator == "minItems" else "at most"
            return f"expected {bound} {wanted} items, found {len(value)}"
    return error.message if len(error.message) <= 160 else error.message[:157] + "…"


def _near(error: ValidationError, text: str) -> str:
    """The text around the value, found by the name of its field."""
    names = [part for part in error.absolute_path if isinstance(part, str)]
    at = text.find(f'"{names[-1]}"') if names else -1
    return f", near {text[at : at + 2 * _AROUND]!r}" if at >= 0 else ""


@functools.lru_cache(maxsize=64)
def _validator(schema: str) -> Validator:
    return Draft202012Validator(json.loads(schema))
