"""What a value can be, told by a JSON Schema: ``{}`` is anything, ``{"artifact": "image"}`` a file.

Words of our own begin with a dollar: ``{"$cells": true, ...}`` is a fanned-out step, with ``$keys`` where its cells
are known, ``$record`` all that a step made, ``$rows`` one of the rows that are written out, ``$by_cell`` outputs whose
names are told by patterns, ``$loop`` what loops have. ``$root`` marks a schema whose ``$ref`` point into itself.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any
from urllib.parse import unquote

from .errors import nearest
from .model import JSON

ARTIFACT_FIELDS: Mapping[str, JSON] = {
    "path": {"type": "string"},
    "url": {"type": "string"},
    "media_type": {"type": "string"},
    "bytes": {"type": "integer"},
    "sha256": {"type": "string"},
    "width": {"type": "integer"},
    "height": {"type": "integer"},
    "seconds": {"type": "number"},
}


@dataclass(frozen=True, slots=True)
class Shape:
    """A JSON Schema and the document that its ``$ref`` point into."""

    schema: Mapping[str, JSON] = field(default_factory=dict)
    root: Mapping[str, JSON] = field(default_factory=dict)
    steps: bool = False
    """This is the name ``steps``: its fields are steps, and reading one is an edge."""

    @classmethod
    def of(cls, schema: JSON) -> Shape:
        return cls(schema, schema) if isinstance(schema, Mapping) else ANY

    def at(self, schema: JSON) -> Shape:
        """A part of this shape, references followed. What stands beside a ``$ref`` counts as well."""
        root = self.root
        for _ in range(16):
            if not isinstance(schema, Mapping):
                return ANY
            root = schema if schema.get("$root") else root
            ref = schema.get("$ref")
            if not isinstance(ref, str):
                return Shape(schema, root)
            beside = {k: v for k, v in schema.items() if k in _ASSERTIONS}
            schema = {**beside, "allOf": [{"$ref": ref}, *beside.get("allOf", ())]} if beside else _pointer(root, ref)
        return ANY

    @property
    def cells(self) -> bool:
        """Whether it is a fanned-out step: a list of cells that have names, too."""
        return "$cells" in self.schema

    @property
    def record(self) -> bool:
        """Whether it is all that a step, or a cell of it, made: what a reader means is a field of it."""
        return "$record" in self.schema

    @property
    def meant(self) -> str:
        """The field of a record that is what its step is for, as it stands in a text."""
        name = "text" if "text" in self.fields else self.fields[0]
        found = self.field(name)
        return f"{name}.url" if found is not None and found.artifact else name

    @property
    def keys(self) -> Sequence[str] | None:
        """What its cells are called, if it is a fanned-out step whose cells are known; None if not."""
        found: Sequence[str] | None = self.schema.get("$keys")
        return found

    @property
    def some(self) -> Shape:
        """A list of some of its items, whichever."""
        return replace(self, schema={k: v for k, v in self.schema.items() if k != "$keys"})

    @property
    def alone(self) -> Mapping[str, JSON]:
        """The schema with all that its references need, fit to stand inside another one."""
        if not self.root.get("$defs"):
            return self.schema
        return {**self.schema, "$defs": self.root["$defs"], "$root": True}

    @property
    def artifact(self) -> str | None:
        found = self.schema.get("artifact")
        return found if isinstance(found, str) else None

    @property
    def types(self) -> set[str]:
        """The JSON types it can have; empty if anything."""
        if self.artifact:
            return {"artifact"}
        said = self.schema.get("type")
        if isinstance(said, str):
            return {said}
        if isinstance(said, list):
            return set(said)
        if "enum" in self.schema:
            return {_type_of(v) for v in self.schema["enum"]}
        if "const" in self.schema:
            return {_type_of(self.schema["const"])}
        for word in ("anyOf", "oneOf"):
            if branches := self.schema.get(word):
                kinds = [self.at(branch).types for branch in branches]
                if all(kinds):
                    return set().union(*kinds)
        for branch in self.schema.get("allOf", ()):
            if kinds_of_branch := self.at(branch).types:
                return kinds_of_branch
        return {"object"} if "properties" in self.schema else set()

    @property
    def items(self) -> Shape:
        """The shape of one item of a list, or of a character of a text."""
        if self.types == {"string"}:
            return Shape({"type": "string"})
        return self.at(self.schema.get("items", {}))

    def field(self, name: str) -> Shape | None:
        """The shape of a field; None if there can be no such field.

        A schema that lists properties and does not speak of others: a field it does not list is a typing mistake.
        """
        if self.artifact:
            return self.at(ARTIFACT_FIELDS[name]) if name in ARTIFACT_FIELDS else None
        properties = self.schema.get("properties", {})
        if name in properties:
            return self.at(properties[name])
        for pattern, schema in self.schema.get("patternProperties", {}).items():
            if _fits(pattern, name):
                return self.at(schema)
        if listed := [found for b in self.branches if name in b.fields and (found := b.field(name)) is not None]:
            return listed[0] if all(found == listed[0] for found in listed) else ANY
        if self.types and "object" not in self.types:
            return None
        more = self.schema.get("additionalProperties")
        if isinstance(more, Mapping):
            return self.at(more)
        if more is False:
            return None
        return None if self.fields and not self.open else ANY

    @property
    def branches(self) -> list[Shape]:
        """The schemas that add to this one, or may."""
        found = [branch for word in ("allOf", "anyOf", "oneOf") for branch in self.schema.get(word, ())]
        found += [self.schema[word] for word in ("then", "else") if word in self.schema]
        found += self.schema.get("dependentSchemas", {}).values()
        return [self.at(branch) for branch in found]

    @property
    def open(self) -> bool:
        """Whether it says that there may be fields which it does not list."""
        if self.schema.get("additionalProperties") is True or "patternProperties" in self.schema:
            return True
        if any(branch.open for branch in self.branches):
            return True
        either = [self.at(b) for word in ("anyOf", "oneOf") for b in self.schema.get(word, ())]
        return "properties" not in self.schema and any(not b.fields and b.may_be_object for b in either)

    @property
    def may_be_object(self) -> bool:
        return not self.types or "object" in self.types

    @property
    def files(self) -> bool:
        """Whether it is a file, or a mapping or list that holds one: such a value has no text."""
        if self.artifact:
            return True
        inner = [*self.schema.get("properties", {}).values(), self.schema.get("items")]
        return any(isinstance(part, Mapping) and "artifact" in part for part in inner)

    @property
    def fields(self) -> list[str]:
        """The names of the fields that are known."""
        if self.artifact:
            return list(ARTIFACT_FIELDS)
        names = [*self.schema.get("properties", ()), *(name for branch in self.branches for name in branch.fields)]
        return list(dict.fromkeys(names))

    @property
    def by_cell(self) -> list[str]:
        """Names of fields that it has one of for each cell of a step, of which only a run will know the keys."""
        said = self.schema.get("patternProperties", {}).values() if self.schema.get("$by_cell") else ()
        return [part["description"] for part in said]

    def ways_to(self, name: str) -> list[str]:
        """Where a field that it does not have itself is one level further down: ``data.scene``."""
        inner = ((own, found) for own in self.fields if (found := self.field(own)) is not None)
        return [f"{own}.{name}" for own, found in inner if name in found.fields]

    def way_to(self, name: str) -> str:
        """The field, or the one place further down where it is; the name itself where that is not known."""
        ways = self.ways_to(name) if self.fields and name not in self.fields else []
        return ways[0] if len(ways) == 1 else name

    def __str__(self) -> str:
        if self.artifact:
            return {"image": "an image", "audio": "an audio file"}.get(self.artifact, f"a {self.artifact}")
        words = {"string": "text", "integer": "an integer", "number": "a number", "boolean": "true or false",
                 "array": "a list", "object": "a mapping", "null": "null"}  # fmt: skip
        return " or ".join(words.get(t, t) for t in sorted(self.types)) or "anything"


ANY = Shape()
_ASSERTIONS = ("type", "properties", "additionalProperties", "patternProperties", "items", "enum", "const",
               "allOf", "anyOf", "oneOf", "then", "else", "dependentSchemas")  # fmt: skip
_IN_PLACE = ("allOf", "anyOf", "oneOf")


def faults(schema: Mapping[str, JSON]) -> Iterator[tuple[tuple[str | int, ...], str, str]]:
    """Path, sentence and cure of each reference in a JSON Schema that leads out of it, nowhere, or in a circle."""
    for path, part in _parts(schema, ()):
        ref = part.get("$ref", part.get("$dynamicRef"))
        if not isinstance(ref, str):
            continue
        word = "$ref" if "$ref" in part else "$dynamicRef"
        if not ref.startswith("#"):
            yield ((*path, word), f"A schema can only refer to itself; this one refers to {ref}.",
                   "Copy that part under $defs: and write #/$defs/NAME.")  # fmt: skip
        elif not isinstance(_pointer(schema, ref, None), Mapping | bool):
            known = [f"#/$defs/{name}" for name in schema.get("$defs", {})]
            yield (*path, word), f"There is no {ref} in this schema.", nearest(ref, known) or "Add it under $defs:."
        elif _circular(schema, part, (), set()):
            yield (*path, word), f"{ref} leads back to itself, without end.", "Write what the value must be."
            return


def _parts(value: JSON, path: tuple[str | int, ...]) -> Iterator[tuple[tuple[str | int, ...], Mapping[str, JSON]]]:
    """Every mapping in a schema that may be a schema; examples and constants are values."""
    if isinstance(value, Mapping):
        yield path, value
        for key, inner in value.items():
            if key not in ("enum", "const", "examples", "default") or path[-1:] in (("properties",), ("$defs",)):
                yield from _parts(inner, (*path, key))
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            yield from _parts(inner, (*path, index))


def _circular(root: Mapping[str, JSON], part: JSON, seen: tuple[int, ...], done: set[int]) -> bool:
    """Whether checking a value against this part would come back to it with the same value."""
    if not isinstance(part, Mapping) or id(part) in done:
        return False
    if id(part) in seen:
        return True
    ref = part.get("$ref", part.get("$dynamicRef"))
    inner = [_pointer(root, ref)] if isinstance(ref, str) else []
    inner += [branch for word in _IN_PLACE for branch in part.get(word, ())]
    inner += [part[word] for word in ("not", "if", "then", "else") if word in part]
    if any(_circular(root, each, (*seen, id(part)), done) for each in inner):
        return True
    done.add(id(part))
    return False


def _pointer(root: Mapping[str, JSON], ref: str, missing: JSON = MappingProxyType({})) -> JSON:
    """The part of a schema that ``#/$defs/NAME`` names."""
    value: Any = root
    if ref != "#" and not ref.startswith("#/"):
        return missing
    for part in unquote(ref).split("/")[1:]:
        name = part.replace("~1", "/").replace("~0", "~")
        if isinstance(value, Mapping) and name in value:
            value = value[name]
        elif isinstance(value, list) and name.isdigit() and int(name) < len(value):
            value = value[int(name)]
        else:
            return missing
    return value


def _fits(pattern: str, name: str) -> bool:
    with contextlib.suppress(re.error):
        return re.search(pattern, name) is not None
    return True


def _type_of(value: JSON) -> str:
    match value:
        case bool():
            return "boolean"
        case None:
            return "null"
        case int():
            return "integer"
        case float():
            return "number"
        case str():
            return "string"
        case list():
            return "array"
    return "object"
