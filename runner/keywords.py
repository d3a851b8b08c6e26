"""A JSON Schema in; where in it a keyword is misspelt or contradicts another out, each with a sentence and a cure.

JSON Schema takes any key and any bounds: a validator reads over what nobody meant. Keys that are nobody's, such as
``x-unit``, are the author's own.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from difflib import get_close_matches

from .errors import nearest
from .model import JSON
from .shape import Shape

Path = tuple[str | int, ...]
Fault = tuple[Path, str, str]

_OF_SCHEMAS = ("properties", "patternProperties", "$defs", "definitions", "dependentSchemas")
"""Keywords whose values are schemas by name."""
_NAMED = tuple((word,) for word in _OF_SCHEMAS)
_LISTS = ("allOf", "anyOf", "oneOf", "prefixItems")
_BRANCHES = ("allOf", "anyOf", "oneOf", "not", "if", "then", "else", "dependentSchemas")
_ONE = ("items", "additionalProperties", "not", "if", "then", "else", "contains", "propertyNames", "additionalItems",
        "unevaluatedItems", "unevaluatedProperties", "contentSchema")  # fmt: skip
_BOUNDS = (("minimum", "maximum"), ("minLength", "maxLength"), ("minItems", "maxItems"),
           ("minProperties", "maxProperties"), ("minContains", "maxContains"))  # fmt: skip
_WORDS = (
    *_OF_SCHEMAS, *_LISTS, *_ONE, *(word for pair in _BOUNDS for word in pair), "exclusiveMinimum", "exclusiveMaximum",
    "multipleOf", "pattern", "uniqueItems", "required", "type", "enum", "const", "format", "title", "description",
    "default", "examples", "deprecated", "readOnly", "writeOnly", "dependentRequired", "contentEncoding",
    "contentMediaType",
)  # fmt: skip
_ALSO = ("example", "nullable", "dependencies", "discriminator", "xml", "externalDocs", "id", "comment", "artifact",
         "enumDescriptions", "enumNames", "markdownDescription", "defaultSnippets", "propertyOrdering", "order",
         "units", "label", "labels", "format_description")  # fmt: skip
"""Words of older drafts, of OpenAPI and of editors."""


TYPES = {"text": "string", "str": "string", "int": "integer", "float": "number", "decimal": "number", "bool": "boolean",
         "list": "array", "dict": "object", "map": "object", "mapping": "object", "none": "null"}  # fmt: skip
"""What JSON Schema calls the types that others call so."""


def faults(schema: Mapping[str, JSON]) -> Iterator[Fault]:
    """What is misspelt, and what no value can fit."""
    for path, part, alone in _schemas(schema, (), alone=True):
        misspelt = list(_misspelt(part, path))
        yield from misspelt
        yield from _contradictions(part, path)
        if alone and not misspelt:
            yield from _lacking(Shape(part, schema), path)


def is_of_key(path: Path) -> bool:
    """Whether a fault at this path is one of the key itself, because there is no such keyword."""
    last = path[-1] if path else None
    return isinstance(last, str) and last not in _WORDS and not last.startswith("$") and path[-2:-1] not in _NAMED


def _schemas(schema: JSON, path: Path, *, alone: bool) -> Iterator[tuple[Path, Mapping[str, JSON], bool]]:
    """Every schema in a schema; and whether it stands alone, and not as a condition of one that says more."""
    if not isinstance(schema, Mapping):
        return
    yield path, schema, alone
    for word, inner in schema.items():
        if word in _OF_SCHEMAS and isinstance(inner, Mapping):
            for name, each in inner.items():
                yield from _schemas(each, (*path, word, name), alone=word == "properties")
        elif word in _LISTS and isinstance(inner, list):
            for index, each in enumerate(inner):
                yield from _schemas(each, (*path, word, index), alone=False)
        elif word in _ONE:
            yield from _schemas(inner, (*path, word), alone=word not in _BRANCHES)


def _misspelt(part: Mapping[str, JSON], path: Path) -> Iterator[Fault]:
    lower = {word.lower(): word for word in _WORDS}
    for word in part:
        if word in _WORDS or word in _ALSO or word.startswith(("x-", "$")) or not word.isalpha():
            continue
        near = get_close_matches(word.lower(), lower, n=1, cutoff=0.8)
        if near and lower[near[0]] not in part:
            meant = lower[near[0]]
            yield (*path, word), f"JSON Schema has no {word}, so nothing is demanded by it.", f"Did you mean {meant}?"


def _contradictions(part: Mapping[str, JSON], path: Path) -> Iterator[Fault]:
    for least, most in _BOUNDS:
        low, high = part.get(least), part.get(most)
        if low is not None and high is not None and _is_number(low) and _is_number(high) and low > high:
            yield (
                (*path, least),
                f"{least} is {low} and {most} {high}: nothing fits both.",
                f"Raise {most}, or lower {least}.",
            )
    if part.get("type") == "array" and part.get("properties"):
        yield ((*path, "type"), "A list has no properties; a mapping has.",
               "Write type: object; for a list of them items: {type: object, properties: …}.")  # fmt: skip


def _is_number(value: JSON) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _lacking(shape: Shape, path: Path) -> Iterator[Fault]:
    """Names that are required and that no property has, where all that there may be are listed."""
    part = shape.schema
    listed, required = part.get("properties"), part.get("required")
    if not listed or not isinstance(listed, Mapping) or not isinstance(required, list) or "$ref" in part:
        return
    more = part.get("additionalProperties")
    if more is True or isinstance(more, Mapping) or shape.open:
        return
    for index, name in enumerate(required):
        if isinstance(name, str) and name not in shape.fields:
            cure = nearest(name, [each for each in shape.fields if each not in required])
            cure = cure if cure.startswith("Did") else f"Add {name}: under properties:."
            yield (*path, "required", index), f"{name} is required and stands not under properties:.", cure
