"""A JSON Schema in; where in it a keyword is misspelt, is none or contradicts another out, each with a cure.

JSON Schema takes any key and any bounds: a validator reads over what nobody meant. Keys that are nobody's and say
nothing of a value, such as ``unit: g``, are the author's own.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from difflib import get_close_matches

from .errors import enumerated, nearest
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
_TYPE_NAMES = (*TYPES, "string", "number", "integer", "boolean", "array", "object", "null")


_ANNOTATING = ("title", "description", "default", "examples", "deprecated", "readOnly", "writeOnly")
_AS_PROPERTY = (*_ANNOTATING, *(word for word in _ALSO if word != "example"), "format")
"""Words that say nothing where the name of a type stands behind them: ``title: string`` was meant as a property."""
_OF_OTHERS = {"min": "minimum", "max": "maximum", "regex": "pattern", "regexp": "pattern", "choices": "enum",
              "options": "enum", "values": "enum", "fields": "properties"}  # fmt: skip
"""What other languages call a keyword, and it is not alike."""


def faults(schema: Mapping[str, JSON]) -> Iterator[Fault]:
    """What is misspelt, what is no word of JSON Schema, and what no value can fit."""
    for path, part, alone in _schemas(schema, (), alone=True):
        strangers = list(_strangers(part, path))
        yield from strangers
        yield from _contradictions(part, path)
        if alone and not strangers:
            yield from _lacking(Shape(part, schema), path)


def shorthand(schema: Mapping[str, JSON]) -> Iterator[Fault]:
    """Where a schema should stand and its type alone does, or what it is to hold: ``title: string``."""
    for path, part, _ in _schemas(schema, (), alone=True):
        if any(isinstance(part.get(word), Mapping) for word in ("title", "description")):
            yield from _strangers(part, path)
        for word in _OF_SCHEMAS:
            inner = part.get(word)
            if isinstance(inner, list) and inner and all(isinstance(name, str) for name in inner):
                inner = dict.fromkeys(inner)
                yield ((*path, word), f"This is not a JSON Schema: {word} must be a mapping; this is a list.",
                       f"Write {word}: {_shown(inner)}.")  # fmt: skip
                continue
            short = {n: v for n, v in inner.items() if _is_short(v)} if isinstance(inner, Mapping) else {}
            if short:
                what = "must be a mapping" if len(short) == 1 else "must be mappings"
                yield ((*path, word, next(iter(short))),
                       f"This is not a JSON Schema: {enumerated(list(short))} {what}.",
                       f"Write {_shown(short)[1:-1]}.")  # fmt: skip
        for word in _ONE:
            if isinstance(said := part.get(word), str):
                yield ((*path, word), f"This is not a JSON Schema: {word} must be a mapping; this is the text {said}.",
                       f"Write {word}: {_flow(_meant(said))}.")  # fmt: skip


def _is_short(value: JSON) -> bool:
    return value is None or isinstance(value, str | list)


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


def _strangers(part: Mapping[str, JSON], path: Path) -> Iterator[Fault]:
    """Words that JSON Schema does not have, and that were meant to demand something."""
    unknown = [word for word in part if word not in (*_WORDS, *_ALSO) and re.match(r"(?!x-)\w[\w-]*\Z", word)
               and not word.startswith("_")]  # fmt: skip
    typed = [word for word in part if (word in unknown or word in _AS_PROPERTY) and _reads_as_schema(part[word])]
    demands = any(word not in (*unknown, *typed, *_ANNOTATING, *_ALSO) for word in part)
    says = any(word not in (*unknown, *typed) for word in part)
    near = {word: meant for word in unknown if (meant := _near(word, part)) is not None}
    if not demands and (typed or not says) and not unknown == [*near] == list(dict.fromkeys([*unknown, *typed])):
        yield from _properties_alone(part, path, [word for word in part if word in unknown or word in typed])
        return
    for word, meant in near.items():
        yield (*path, word), f"JSON Schema has no {word}, so nothing is demanded by it.", f"Did you mean {meant}?"
    required = part.get("required")
    needed = required if isinstance(required, list) else []
    strays = [word for word in unknown if word not in near and (word in typed or word in needed)]
    if strays:
        strays = [word for word in part if word in strays or (word in typed and word not in near)]
        first = next(word for word in strays if word in unknown)
        wrapped = part[first]
        if first in ("schema", "json_schema") and isinstance(wrapped, Mapping):
            cure = f"Write what stands under {first}: in the place of all this."
        elif isinstance(part.get("properties"), Mapping):
            cure = f"Put {enumerated(strays)} under properties:."
        else:
            cure = f"Write properties: {_shown({word: part[word] for word in strays})}."
        yield (*path, first), _no_word([word for word in strays if word in unknown]), cure
    if part.get("nullable") is True and isinstance(part.get("type"), str):
        yield ((*path, "nullable"), "JSON Schema has no nullable, so null is refused all the same.",
               f"Write type: [{part['type']}, 'null'].")  # fmt: skip


def _near(word: str, part: Mapping[str, JSON]) -> str | None:
    """The keyword that one was meant to be: by its letters, or as another language calls it."""
    lower = {each.lower(): each for each in _WORDS}
    near = get_close_matches(word.lower(), lower, n=1, cutoff=0.8) if word.isalpha() else []
    if near and lower[near[0]] not in part:
        return lower[near[0]]
    meant = _OF_OTHERS.get(word)
    if meant in ("minimum", "maximum"):
        meant = meant[:3] + {"string": "Length", "array": "Items"}.get(str(part.get("type")), "imum")
    is_one = isinstance(part[word], list | int | float) or word.startswith("regex")
    return meant if meant is not None and meant not in part and is_one else None


def _properties_alone(part: Mapping[str, JSON], path: Path, words: Sequence[str]) -> Iterator[Fault]:
    """A mapping of properties where a schema should stand."""
    unknown = [word for word in words if word not in (*_WORDS, *_ALSO)]
    message = _no_word(unknown) if unknown else f"{words[0]} only names a value, so nothing is demanded here."
    cure = f"Write {{type: object, properties: {_shown({word: part[word] for word in words})}}}."
    if isinstance(inner := part.get("schema", part.get("json_schema")), Mapping) and "type" in inner:
        cure = "Write what stands under schema: in the place of all this."
    yield (*path, (unknown or words)[0]), message, cure


def _no_word(words: Sequence[str]) -> str:
    listed = f"{', '.join(words[:-1])} or {words[-1]}" if len(words) > 1 else words[0]
    return f"JSON Schema has no {listed}, so nothing is demanded by {'it' if len(words) == 1 else 'them'}."


def _reads_as_schema(value: JSON) -> bool:
    """Whether a value says of which type another one is: ``string``, ``{type: string}``, ``[string]``."""
    if isinstance(value, str):
        return value in _TYPE_NAMES
    if isinstance(value, list):
        return len(value) == 1 and _reads_as_schema(value[0])
    if not isinstance(value, Mapping) or not value:
        return False
    return "type" in value or "properties" in value or all(_reads_as_schema(inner) for inner in value.values())


def _meant(value: JSON) -> JSON:
    """The schema that was meant by what stands in its place."""
    match value:
        case str():
            name = TYPES.get(value, value)
            return {"type": name} if value in _TYPE_NAMES else {"type": "string", "description": value}
        case [one]:
            return {"type": "array", "items": _meant(one)}
        case list():
            return {"enum": value} if value else {"type": "array"}
        case Mapping() if not any(word in _WORDS and word not in _ANNOTATING for word in value):
            return {"type": "object", "properties": {name: _meant(inner) for name, inner in value.items()}}
        case Mapping():
            return value
        case bool():
            return {"type": "boolean"}
        case int() | float():
            return {"type": "number"}
    return {"type": "string"}


def _shown(short: Mapping[str, JSON], most: int = 4) -> str:
    """The properties that were meant, as one writes them."""
    more = ", …" * (len(short) > most)
    return "{" + ", ".join(f"{name}: {_flow(_meant(short[name]))}" for name in list(short)[:most]) + more + "}"


def _flow(value: JSON) -> str:
    match value:
        case Mapping():
            return "{" + ", ".join(f"{name}: {_flow(inner)}" for name, inner in value.items()) + "}"
        case list():
            return "[" + ", ".join(map(_flow, value)) + "]"
        case str() if re.fullmatch(r"[A-Za-z](?:[\w /-]*\w)?", value) and value != "null":
            return value
    return json.dumps(value, ensure_ascii=False)


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
