"""An author's own rows of the catalogue: a document in, Models out, or every problem at once, each with its line."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping, Sequence
from pathlib import PurePath

from . import catalogue
from .catalogue import Model
from .errors import PipelineProblems, Problem, nearest
from .kinds import KINDS
from .model import JSON
from .source import Document
from .validate import against

_TEXT: JSON = {"type": "string"}
_TEXTS: JSON = {"type": "array", "items": _TEXT}
_NUMBER: JSON = {"type": "number"}
_COUNT: JSON = {"type": "integer", "minimum": 0}
_FLAG: JSON = {"type": "boolean"}
_SCALAR: JSON = {"type": ["string", "number", "boolean"]}
_SIZE: JSON = {**_TEXT, "pattern": "^[1-9][0-9]{0,4}[x*][1-9][0-9]{0,4}$"}


def _closed(required: Sequence[str] = (), /, **properties: JSON) -> JSON:
    return {"type": "object", "properties": properties, "required": list(required), "additionalProperties": False}


_FILE = _closed(
    ["wire"], wire=_TEXT, required=_FLAG, bytes=_TEXT, sets={**_TEXT, "enum": ["duration"]}, seconds=_NUMBER
)
_PRICE = _closed(
    ["usd", "per"],
    usd={**_NUMBER, "minimum": 0},
    per={**_TEXT, "enum": ["image", "megapixel", "second", "video", "1k_characters", "1m_tokens"]},
    rows={
        "type": "array",
        "items": {
            "type": "object",
            "properties": {"usd": {**_NUMBER, "minimum": 0}, "side": _COUNT},
            "required": ["usd"],
            "additionalProperties": {"anyOf": [_SCALAR, {"type": "array", "items": _SCALAR}]},
        },
    },
    input={**_NUMBER, "minimum": 0},
    step={**_NUMBER, "exclusiveMinimum": 0},
)
_RULE = _closed(
    wire={"anyOf": [_TEXT, {**_TEXTS, "minItems": 2, "maxItems": 2}]},
    type={**_TEXT, "enum": ["string", "integer", "number", "boolean", "array", "object"]},
    enum={"type": "array", "minItems": 1},
    minimum=_NUMBER,
    maximum=_NUMBER,
    default={},
    examples={"type": "array"},
    items={"type": "object"},
    required=_FLAG,
    invert=_FLAG,
    join=_TEXT,
    rule=_closed(["minimum", "maximum", "multiple_of"], minimum=_COUNT, maximum=_COUNT, multiple_of=_COUNT),
    sizes={"type": "object", "additionalProperties": _SIZE, "minProperties": 1},
)
ROW = _closed(
    ["kind", "endpoint"],
    name=_TEXT,
    kind={**_TEXT, "enum": list(catalogue.KINDS)},
    also={"type": "array", "items": {**_TEXT, "enum": list(catalogue.KINDS)}},
    endpoint={**_TEXT, "pattern": "^[A-Za-z0-9][A-Za-z0-9._-]*$"},
    openai_model=_TEXT,
    status={**_TEXT, "enum": ["listed", "unlisted", "removed"]},
    successor=_TEXT,
    aliases=_TEXTS,
    variant_of=_TEXT,
    context={"type": "integer", "minimum": 1},
    abilities=_TEXTS,
    price={**_PRICE, "examples": [{"usd": 0.02, "per": "image"}]},
    prompt={**_TEXT, "enum": ["required", "optional"]},
    images=_closed(["wire"], wire=_TEXT, minimum=_COUNT, maximum={"type": "integer", "minimum": 1}),
    files={"type": "object", "additionalProperties": {**_FILE, "examples": [{"wire": "audio"}]}},
    params={
        "type": "object",
        "additionalProperties": {**_RULE, "examples": [{"type": "integer", "minimum": 1, "maximum": 50}]},
    },
)
"""What a row may say; runner/catalogue.py says what each word means."""


def of_file(document: Document) -> list[Model]:
    """The models of a file: its rows stand under ``models:``, or are all that it has. Raises `PipelineProblems`."""
    data = document.data
    if not isinstance(data, dict):
        return read(document)
    beneath = "models" in data
    strangers = [key for key, value in data.items() if key != "models" and (beneath or not _is_row(key, value))]
    if strangers:
        raise PipelineProblems([_stranger(document, key, data[key]) for key in strangers])
    if beneath and data["models"] is None:
        return []
    return read(document, ("models",) if beneath else ())


def _is_row(key: str, value: JSON) -> bool:
    """Whether this is a row, right or wrong, and not a key of another file."""
    return "/" in key or (isinstance(value, dict) and not value.keys().isdisjoint(ROW["properties"]))


def _stranger(document: Document, key: str, value: JSON) -> Problem:
    cure = nearest(key, ["models"])
    if _is_row(key, value):
        cure = "Write it under models:, further in."
    message = f"{PurePath(document.file).name} does not know the key {key}."
    return Problem("unknown-key", message, document.mark((key,), key=True), cure)


def read(document: Document, at: tuple[str, ...] = ()) -> list[Model]:
    """The models of the rows at a place of a document. Raises `PipelineProblems`."""
    rows = functools.reduce(lambda data, part: data[part], at, document.data)
    if not isinstance(rows, dict):
        message = "A catalogue is a mapping of model ids to rows; this is none."
        raise PipelineProblems([Problem("type", message, document.mark(at), "Write ID: {kind: …, endpoint: …}.")])
    problems = against(document, {"type": "object", "additionalProperties": ROW}, at)
    if not problems:
        problems = [p for name, row in rows.items() for p in _params(document, row, (*at, name))]
    if problems:
        raise PipelineProblems(problems)
    return catalogue.read({name: _chatting(row) for name, row in rows.items()})


def _params(document: Document, row: Mapping[str, JSON], at: tuple[str, ...]) -> Iterator[Problem]:
    """Params and files that no step of the row's kinds can have, and values that these cannot be."""
    kinds = [row["kind"], *row.get("also", ())]
    for part in ("params", "files"):
        known = {
            word: schema
            for kind in kinds
            for word, schema in KINDS[kind].PARAMS.items()
            if ("artifact" in schema) == (part == "files")
        }
        for word in row.get(part, ()):
            if word not in known:
                message = f"{' and '.join(kinds)} {'have' if len(kinds) > 1 else 'has'} no {part[:-1]} {word}."
                mark = document.mark((*at, part, word), key=True)
                yield Problem("unknown-key", message, mark, nearest(word, list(known)))
            elif part == "params":
                yield from against(document, _values(known[word]["type"]), (*at, part, word))


def _values(wanted: str) -> JSON:
    """What a rule may say of a parameter of this type."""
    value = {"type": wanted}
    types = [wanted, "integer"] if wanted == "number" else [wanted]
    return {
        "properties": {
            "type": {"enum": types},
            "default": value,
            "enum": {"items": value},
            "examples": {"items": value},
        }
    }


def _chatting(row: Mapping[str, JSON]) -> Mapping[str, JSON]:
    """A row of a text model that says nothing of its params takes those of the OpenAI route, as they are."""
    if row["kind"] != "generate_text":
        return row
    usual = catalogue.builtin().of_kind("generate_text")[0].params
    words = ["max_tokens"] if "params" in row else list(usual)
    return {**row, "params": {**{word: {} for word in words}, **row.get("params", {})}}
