"""Schemas with an end: a JSON Schema in, one that a small model can keep to out; what fits it fits the one given.

A model of this size does not know when a list is long enough. A grammar that lets it go on makes it go on until its
tokens are spent, and its JSON is cut in two.
"""

import re

from .shapes import Schema
from .values import JSON

_TEXT = 240  # characters
_NAME = 60
_ITEMS = 5
_DEEPEST = 40  # levels of a schema that are looked at
_NAMES = re.compile(r"title|name|headline|label|slug|keyword|tag|word", re.IGNORECASE)
_SHARED = {"allOf", "anyOf", "oneOf", "$ref", "patternProperties", "if"}
"""Beside these, what one part allows must not be forbidden by another."""
_FREE: Schema = {"type": "object", "properties": {"title": {"type": "string"}, "text": {"type": "string"}}}


def bounded(schema: Schema) -> Schema:
    """Texts, lists and objects that could go on for ever get an end; a schema that says nothing gets a shape."""
    free = not schema or schema == {"type": "object"}
    found: Schema = _bounded(_FREE if free else schema, "", _DEEPEST)
    return found


def _bounded(schema: JSON, name: str, left: int) -> JSON:
    if not isinstance(schema, dict) or left == 0:
        return schema
    found = {key: _part(key, value, name, left - 1, alone="properties" not in schema) for key, value in schema.items()}
    kinds = found.get("type", "object" if "properties" in found else "")
    kinds = {kinds} if isinstance(kinds, str) else set(kinds)
    if "string" in kinds and not found.keys() & {"enum", "const", "pattern", "format"}:
        most = found.setdefault("maxLength", max(_NAME if _NAMES.search(name) else _TEXT, found.get("minLength", 0)))
        found.setdefault("minLength", min(1, most))
    if "array" in kinds:
        most = found.setdefault("maxItems", max(_ITEMS, found.get("minItems", 0), len(found.get("prefixItems", ()))))
        if not _returns(found.get("items")):
            found.setdefault("minItems", min(1, most))
    if "object" in kinds and "properties" in found and not found.keys() & _SHARED:
        found.setdefault("additionalProperties", False)
        found.setdefault("required", [key for key, part in found["properties"].items() if not _returns(part)])
    return found


def _part(key: str, value: JSON, name: str, left: int, *, alone: bool) -> JSON:
    """What stands under a keyword: a schema, several by name, several in a row, or something else."""
    match key:
        case "items" | "additionalProperties":
            return _bounded(value, name, left)
        case "properties" | "$defs" | "definitions" if isinstance(value, dict):
            return {each: _bounded(part, each, left) for each, part in value.items()}
        case "anyOf" | "oneOf" | "prefixItems" if isinstance(value, list) and alone:
            return [_bounded(part, name, left) for part in value]
        case _:
            return value


def _returns(schema: JSON) -> bool:
    """It may lead back to where it stands: what was required in it would be required without end."""
    return isinstance(schema, dict) and "$ref" in schema
