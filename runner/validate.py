"""A document in, its faults against the schema out: each in its place, with what was meant.

The published schema has an ``if`` for every kind; here each step is checked against its own kind's schema, so that
a mistake in a step is one problem and not one for each kind.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from jsonschema import Draft202012Validator
from jsonschema.exceptions import ValidationError
from jsonschema.protocols import Validator

from .errors import Problem, nearest
from .kinds import KINDS
from .model import JSON
from .schema import STEP_ID, TEMPLATE, step_schema, top_schema
from .source import Document
from .templates import is_template


@dataclass(frozen=True, slots=True)
class _Fault:
    path: tuple[str | int, ...]
    error: ValidationError


def validate(document: Document) -> list[Problem]:
    """Every fault of a document against the schema.

    Where the schema asks for text and a bare number stands (``version: 1.10``), the text as it was written
    is put into the document's data: that is what its author meant.
    """
    data = document.data
    if not isinstance(data, dict):
        what = f"A pipeline is a mapping; this is {_name(data)}."
        return [Problem("type", what, document.mark(), "Write name: and steps:.")]
    faults = [_Fault(tuple(e.absolute_path), e) for e in _errors(_top_validator(), data)]
    steps = data.get("steps")
    if isinstance(steps, dict):
        for name, step in steps.items():
            validator = _step_validator(step.get("kind") if isinstance(step, dict) else None)
            faults += [_Fault(("steps", name, *e.absolute_path), e) for e in _errors(validator, step)]
    return [p for fault in faults for p in _problems(document, fault)]


@functools.cache
def _top_validator() -> Validator:
    return Draft202012Validator(top_schema())


@functools.cache
def _step_validator(kind: object) -> Validator:
    if isinstance(kind, str) and kind in KINDS:
        return Draft202012Validator(step_schema(KINDS[kind]))
    unknown = {"type": "object", "properties": {"kind": {"type": "string", "enum": list(KINDS)}}, "required": ["kind"]}
    return Draft202012Validator(unknown)


def _errors(validator: Validator, data: JSON) -> Iterator[ValidationError]:
    for error in validator.iter_errors(data):
        yield from _leaves(error)


def _leaves(error: ValidationError) -> Iterator[ValidationError]:
    """The faults that matter: of several ways to write a value, the one that was meant."""
    if error.validator != "anyOf" or all(e.validator == "required" for e in error.context or ()):
        yield error
        return
    branches: dict[int, list[ValidationError]] = {}
    for inner in error.context or ():
        branches.setdefault(int(inner.relative_schema_path[0]), []).append(inner)
    fits = [errors for errors in branches.values() if not any(_is_of_another_form(e) for e in errors)]
    for inner in (fits or list(branches.values()))[0]:
        yield from _leaves(inner)


def _is_of_another_form(error: ValidationError) -> bool:
    if error.relative_path:
        return False
    return error.validator == "type" or error.validator_value == TEMPLATE["pattern"]


def _problems(document: Document, fault: _Fault) -> Iterator[Problem]:
    error, path = fault.error, fault.path
    value: Any = error.instance
    wanted: Any = error.validator_value
    name = str(path[-1]) if path else "the pipeline"
    match error.validator:
        case "additionalProperties":
            yield from _unknown_keys(document, fault)
        case "required":
            if key := next((key for key in wanted if key not in value), None):
                yield Problem("missing-key", f"{_owner(path)} has no {key}.", document.mark(path, key=True),
                              f"Add {key}:.")  # fmt: skip
        case "anyOf":
            keys = " or ".join(_list(e.validator_value)[0] for e in error.context or ())
            yield Problem("missing-key", f"{_owner(path)} has no {keys}.", document.mark(path, key=True),
                          f"Add {keys.split(' ')[0]}:.")  # fmt: skip
        case "type":
            if problem := _wrong_type(document, fault):
                yield problem
        case "enum" | "const":
            known = [str(v) for v in _list(wanted)]
            code = "unknown-kind" if name == "kind" else "value"
            yield Problem(code, f"{name} cannot be {_short(value)}.", document.mark(path), nearest(str(value), known))
        case "pattern":
            yield Problem("value", f"{_short(value)} is not a valid {name}.", document.mark(path), _pattern(error))
        case "minimum" | "exclusiveMinimum" | "maximum":
            bound = {"minimum": "at least", "exclusiveMinimum": "more than", "maximum": "at most"}[error.validator]
            yield Problem("value", f"{name} cannot be {value}.", document.mark(path), f"It must be {bound} {wanted}.")
        case "minProperties" | "minItems":
            yield Problem("value", f"{name} is empty.", document.mark(path, key=True), "Add at least one.")
        case "maxItems":
            yield Problem("value", f"{name} has more than {wanted} items.", document.mark(path), "Remove some.")
        case _:
            yield Problem("value", f"{name}: {error.message}.", document.mark(path))


def _unknown_keys(document: Document, fault: _Fault) -> Iterator[Problem]:
    path, schema, value = fault.path, fault.error.schema, fault.error.instance
    assert isinstance(schema, Mapping)
    assert isinstance(value, Mapping)
    properties, patterns = schema.get("properties", {}), schema.get("patternProperties", {})
    for key in value:
        if key in properties or (patterns and any(_search(p, key) for p in patterns)):
            continue
        mark = document.mark((*path, key), key=True)
        if STEP_ID in patterns:
            yield Problem("name", f"{_short(key)} cannot be a name here.", mark,
                          "Use small letters, digits and _, with a letter first.")  # fmt: skip
        else:
            yield Problem("unknown-key", f"{_owner(path)} has no key {key}.", mark, nearest(key, list(properties)))


def _wrong_type(document: Document, fault: _Fault) -> Problem | None:
    path, value = fault.path, fault.error.instance
    wanted = _list(fault.error.validator_value)
    raw = document.raw(path)
    if wanted == ["string"] and raw is not None and raw != "" and value is not None:
        _put(document.data, path, raw)
        return None
    name = str(path[-1]) if path else "the pipeline"
    words = " or ".join(_TYPE_NAMES[t] for t in wanted)
    instead = f"Write {words}."
    if isinstance(value, str) and set(wanted) & {"integer", "number", "boolean"}:
        instead = "Remove the quotes." if _is_number(value) else f"Write {words}, or a template that yields it."
    if wanted == ["object"] and len(path) == 2 and path[0] == "steps":
        instead = "Write kind: and its parameters below it."
    return Problem("type", f"{name} must be {words}; this is {_name(value)}.", document.mark(path), instead)


_TYPE_NAMES = {
    "string": "text", "integer": "an integer", "number": "a number", "boolean": "true or false",
    "array": "a list", "object": "a mapping", "null": "null",
}  # fmt: skip


def _owner(path: Sequence[str | int]) -> str:
    match path:
        case ():
            return "The pipeline"
        case ("steps", name):
            return f"The step {name}"
        case ("inputs", name):
            return f"The input {name}"
        case ("models", name):
            return f"The model {name}"
    return str(path[-1])


def _pattern(error: ValidationError) -> str:
    words = {"size": "Write WIDTHxHEIGHT, such as 1024x1024.", "aspect_ratio": "Write WIDTH:HEIGHT, such as 4:3.",
             "name": "Use letters, digits, dots, _ and -.", "timeout": "Write seconds, or 90s, 5m, 1h.",
             "base_url": "Write an http:// or https:// address."}  # fmt: skip
    return words.get(str(error.absolute_path[-1]) if error.absolute_path else "", "")


def _name(value: JSON) -> str:
    match value:
        case None:
            return "empty"
        case bool():
            return "true or false"
        case int():
            return f"the integer {value}"
        case float():
            return f"the number {value}"
        case str():
            return f"the text {_short(value)}"
        case list():
            return "a list"
    return "a mapping"


def _short(value: JSON) -> str:
    text = str(value)
    return text if len(text) <= 60 else text[:57] + "…"


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return text in ("true", "false")
    return True


def _search(pattern: str, text: str) -> bool:
    return re.search(pattern, text) is not None


def _list(value: Any) -> list[Any]:
    return list(value) if isinstance(value, list | tuple) else [value]


def _put(data: JSON, path: Sequence[str | int], value: JSON) -> None:
    for part in path[:-1]:
        data = data[part]
    data[path[-1]] = value


def template_problem(document: Document, path: Sequence[str | int], message: str, line: int) -> Problem:
    """A syntax error inside a template, at its line."""
    text = str(_at(document.data, path))
    start = sum(len(part) + 1 for part in text.split("\n")[: line - 1])
    row = text[start:].split("\n", 1)[0]
    at = row.rfind("{{") if is_template(row) else 0
    mark = document.mark_inside(path, start + max(at, 0), 2)
    return Problem("template", f"This template cannot be read: {message}.", mark, "Check the braces and the quotes.")


def _at(data: JSON, path: Sequence[str | int]) -> JSON:
    for part in path:
        data = data[part]
    return data
