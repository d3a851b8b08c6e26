"""What a value can be, told by a JSON Schema: ``{}`` is anything, ``{"artifact": "image"}`` a file.

``{"$root": true, ...}`` marks a schema of its own, whose ``$ref`` point into itself.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

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
        """A part of this shape, references followed."""
        for _ in range(16):
            if not isinstance(schema, Mapping):
                return ANY
            ref = schema.get("$ref")
            if not isinstance(ref, str):
                return Shape(schema, schema if schema.get("$root") else self.root)
            schema = _pointer(self.root, ref)
        return ANY

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
        for word in ("anyOf", "oneOf"):
            if branches := self.schema.get(word):
                kinds = [self.at(branch).types for branch in branches]
                return set().union(*kinds) if all(kinds) else set()
        if "enum" in self.schema:
            return {_type_of(v) for v in self.schema["enum"]}
        if "const" in self.schema:
            return {_type_of(self.schema["const"])}
        if "properties" in self.schema:
            return {"object"}
        return set()

    @property
    def items(self) -> Shape:
        """The shape of one item of a list, or of a character of a text."""
        if self.types == {"string"}:
            return Shape({"type": "string"})
        return self.at(self.schema.get("items", {}))

    def field(self, name: str) -> Shape | None:
        """The shape of a field; None if there can be no such field."""
        if self.artifact:
            return self.at(ARTIFACT_FIELDS[name]) if name in ARTIFACT_FIELDS else None
        for word in ("anyOf", "oneOf", "allOf"):
            if branches := self.schema.get(word):
                found = [self.at({**branch, **self._own()} if word == "allOf" else branch) for branch in branches]
                inner = [shape for branch in found if (shape := branch.field(name)) is not None]
                return inner[0] if len(inner) == 1 else ANY if inner else None
        properties = self.schema.get("properties")
        if isinstance(properties, Mapping) and name in properties:
            return self.at(properties[name])
        if self.types and "object" not in self.types:
            return None
        more = self.schema.get("additionalProperties")
        if isinstance(more, Mapping):
            return self.at(more)
        # A schema that lists properties and does not speak of others: a field it does not list is a typing mistake.
        if properties and more is not True and "patternProperties" not in self.schema:
            return None
        return None if more is False else ANY

    def _own(self) -> dict[str, JSON]:
        return {k: v for k, v in self.schema.items() if k in ("type", "properties", "additionalProperties")}

    @property
    def fields(self) -> list[str]:
        """The names of the fields that are known."""
        if self.artifact:
            return list(ARTIFACT_FIELDS)
        names = list(self.schema.get("properties") or ())
        for word in ("anyOf", "oneOf", "allOf"):
            for branch in self.schema.get(word) or ():
                names.extend(self.at(branch).fields)
        return names

    def __str__(self) -> str:
        if self.artifact:
            return {"image": "an image", "audio": "an audio file"}.get(self.artifact, f"a {self.artifact}")
        words = {"string": "text", "integer": "an integer", "number": "a number", "boolean": "true or false",
                 "array": "a list", "object": "a mapping", "null": "null"}  # fmt: skip
        return " or ".join(words.get(t, t) for t in sorted(self.types)) or "anything"


ANY = Shape()


def _pointer(root: Mapping[str, JSON], ref: str) -> JSON:
    value: Any = root
    if not ref.startswith("#"):
        return {}
    for part in ref[1:].strip("/").split("/"):
        if part:
            value = value.get(part.replace("~1", "/").replace("~0", "~"), {}) if isinstance(value, Mapping) else {}
    return value


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
