"""Shapes of JSON that people describe in prose: a prompt in, the JSON Schema it asks for out, or None.

Understood: `{ "title": string, "keywords": [string] }`, placeholders and example values, nested
objects and arrays, unions of words, comments, `...`, and a JSON Schema written out in the prompt.
"""

import json
import re
from typing import Any, NoReturn

Schema = dict[str, Any]

_KINDS: dict[tuple[str, ...], Schema] = {
    ("string", "str", "text", "markdown", "any"): {"type": "string"},
    ("number", "float", "double", "decimal"): {"type": "number"},
    ("integer", "int"): {"type": "integer"},
    ("boolean", "bool"): {"type": "boolean"},
    ("date",): {"type": "string", "format": "date"},
    ("datetime", "date-time"): {"type": "string", "format": "date-time"},
    ("url", "uri"): {"type": "string", "format": "uri"},
    ("email",): {"type": "string", "format": "email"},
    ("object",): {"type": "object"},
    ("array", "list"): {"type": "array", "items": {"type": "string"}},
    ("null", "none"): {"type": "null"},
}
TYPES = {word: schema for words, schema in _KINDS.items() for word in words}
_FAR = 200_000  # characters from the end in which a shape is looked for: a document before it is no shape
_DEEPEST = 24  # levels; whoever nests deeper sends brackets, not a shape
_BRACKET = re.compile(r"[{\[]")
_GAP = re.compile(r"(?:\s|//[^\n]*|#[^\n]*|/\*.*?\*/)*", re.DOTALL)
_KEY = re.compile(r"\"((?:[^\"\\\n]|\\.)+)\"|'([^'\n]+)'|([A-Za-z_][\w-]*)")
_QUOTED = re.compile(r"\"((?:[^\"\\]|\\.)*)\"|'([^'\n]*)'")
_BARE = re.compile(r"[^,\]}\n{\[]+")
_DOTS = re.compile(r"\.\.\.|…")
_ASKS = re.compile(r"json|format|shape|schema|return|respond|repl(?:y|ies)|answer|output|like|\bas\b", re.IGNORECASE)
_TYPED = re.compile(rf"\b(?:{'|'.join(TYPES)})\b", re.IGNORECASE)


def shape(text: str) -> Schema | None:
    """The last shape described in the text; data that is merely quoted there is not one."""
    text = text[-_FAR:].translate(_PLAIN_QUOTES)
    found: list[tuple[bool, Schema]] = []
    at = 0
    while (match := _BRACKET.search(text, at)) is not None:
        at = match.start()
        reader = _Reader(text, at)
        try:
            schema = reader.value()
        except _ProseError:
            at = reader.at if reader.depth > _DEEPEST else at + 1
            continue
        asked = reader.typed or _ASKS.search(text[max(0, at - 80) : at]) is not None
        if _says_enough(schema) and asked:
            found.append((reader.typed, _written_out(text[at : reader.at]) or schema))
        at = reader.at
    typed = [schema for certain, schema in found if certain] or [schema for _, schema in found]
    return typed[-1] if typed else None


# Word processors turn the quotes of a shape into these.
_PLAIN_QUOTES = {0x201C: '"', 0x201D: '"', 0x2018: "'", 0x2019: "'"}


class _ProseError(Exception):
    """The text at hand is prose after all."""


def _says_enough(schema: Schema) -> bool:
    """`[1]` and `{}` in a sentence are no shapes; an object with a key is, and a list of typed things."""
    if schema.get("type") == "array":
        items = schema.get("items", {})
        return bool(items) and (_says_enough(items) if items.get("type") in {"array", "object"} else True)
    return bool(schema.get("properties"))


def _written_out(text: str) -> Schema | None:
    """The text itself when it is a JSON Schema rather than an example of a value."""
    try:
        value = json.loads(text)
    except ValueError:
        return None
    if isinstance(value, dict) and isinstance(value.get("properties"), dict) and value.get("type") == "object":
        return value
    return None


class _Reader:
    """Reads one value after another, recursively; `typed` says that a type or a placeholder was met."""

    def __init__(self, text: str, at: int) -> None:
        self.text = text
        self.at = at
        self.typed = False
        self.depth = 0

    def value(self) -> Schema:
        self.depth += 1
        if self.depth > _DEEPEST:
            self._fail()
        schema = self._one()
        self.depth -= 1
        return schema

    def _one(self) -> Schema:
        self._gap()
        match self.text[self.at : self.at + 1]:
            case "{":
                return self._suffixed(self._object())
            case "[":
                return self._array()
            case '"' | "'":
                return self._suffixed(self._words())
            case "<":
                return self._placeholder()
            case _:
                return self._bare()

    def _object(self) -> Schema:
        self.at += 1
        properties: dict[str, Schema] = {}
        required: list[str] = []
        while not self._closes("}"):
            if self._skips(_DOTS):
                continue
            key, optional = self._key()
            properties[key] = self.value()
            if not optional:
                required.append(key)
            self._separates("}")
        return {"type": "object", "properties": properties, "required": required}

    def _key(self) -> tuple[str, bool]:
        self._gap()
        match = _KEY.match(self.text, self.at) or self._fail()
        self.at = match.end()
        self._gap()
        optional = self._takes("?")
        self._gap()
        if not self._takes(":"):
            self._fail()
        return next(group for group in match.groups() if group is not None), optional

    def _array(self) -> Schema:
        self.at += 1
        items: list[Schema] = []
        more = False
        while not self._closes("]"):
            if self._skips(_DOTS):
                more = True
                continue
            items.append(self.value())
            self._separates("]")
        if not items:
            return {"type": "array", "items": {"type": "string"}}
        schema: Schema = {"type": "array", "items": items[0]}
        if len(items) > 1 and not more:
            schema |= {"minItems": len(items), "maxItems": len(items)}
        return schema

    def _words(self) -> Schema:
        match = _QUOTED.match(self.text, self.at) or self._fail()
        self.at = match.end()
        content = (match[1] if match[1] is not None else match[2]).strip()
        self._gap_on_line()
        if self.text[self.at : self.at + 1] == "|":
            return self._union(content)
        if content.lower() in TYPES:
            self.typed = True
            return TYPES[content.lower()]
        choices = [part.strip() for part in content.split("|")]
        if len(choices) > 1 and all(choices) and len(content) < 200:
            self.typed = True
            return _choice(choices)
        if not content or _DOTS.search(content) or content[:1] in "<[{":
            self.typed = True
        return {"type": "string", "description": content} if content else {"type": "string"}

    def _union(self, first: str) -> Schema:
        """`"red" | "green"`: one of these words."""
        choices = [first]
        while self._takes("|"):
            self._gap_on_line()
            match = _QUOTED.match(self.text, self.at)
            if match is None:
                self._bare()
                break
            choices.append(match[1] if match[1] is not None else match[2])
            self.at = match.end()
            self._gap_on_line()
        self.typed = True
        return {"type": "string", "enum": list(dict.fromkeys(choices))}

    def _placeholder(self) -> Schema:
        end = self.text.find(">", self.at)
        if end < 0 or "\n" in self.text[self.at : end]:
            self._fail()
        content = self.text[self.at + 1 : end].strip()
        self.at = end + 1
        self.typed = True
        return self._suffixed(TYPES.get(content.lower(), {"type": "string", "description": content}))

    def _bare(self) -> Schema:
        if self._skips(_DOTS):
            self.typed = True
            return {"type": "string"}
        match = _BARE.match(self.text, self.at) or self._fail()
        raw = re.split(r"//|#|/\*", match[0])[0]
        self.at += len(raw)
        word = raw.strip()
        literal = _literal(word)
        if literal is not None:
            return literal
        array = re.match(r"(?:array|list)\s*(?:of|<)\s*(\w+?)s?\b>?", word, re.IGNORECASE)
        if array is not None:
            return self._listed(array[1].lower())
        typed = _TYPED.match(word)
        if typed is None:
            self._fail()
        self.typed = True
        return self._suffixed(_noted(TYPES[typed[0].lower()], word[typed.end() :]))

    def _listed(self, word: str) -> Schema:
        """`list of strings`, `Array<number>`."""
        items = TYPES.get(word) or TYPES.get(word.removesuffix("s")) or self._fail()
        self.typed = True
        return self._suffixed({"type": "array", "items": items})

    def _suffixed(self, schema: Schema) -> Schema:
        """`{...}[]` and `string[]` are lists; `(a note)` says more about the value before it."""
        while True:
            if self.text.startswith("[]", self.at):
                self.at += 2
                self.typed = True
                schema = {"type": "array", "items": schema}
                continue
            note = re.compile(r"[ \t]*\([^)\n]*\)").match(self.text, self.at)
            if note is None:
                return schema
            self.at = note.end()
            schema = _noted(schema, note[0])

    def _gap(self) -> None:
        found = _GAP.match(self.text, self.at)
        self.at = found.end() if found else self.at

    def _gap_on_line(self) -> None:
        while self.text[self.at : self.at + 1] in {" ", "\t"}:
            self.at += 1

    def _takes(self, sign: str) -> bool:
        if not self.text.startswith(sign, self.at):
            return False
        self.at += len(sign)
        return True

    def _skips(self, pattern: re.Pattern[str]) -> bool:
        self._gap()
        match = pattern.match(self.text, self.at)
        if match is None:
            return False
        self.at = match.end()
        self._gap()
        self._takes(",")
        return True

    def _closes(self, bracket: str) -> bool:
        self._gap()
        if self.at >= len(self.text):
            self._fail()
        return self._takes(bracket)

    def _separates(self, bracket: str) -> None:
        """A comma, a semicolon or a new line between two entries, or the bracket that ends them."""
        before = self.at
        self._gap()
        if self._takes(",") or self._takes(";") or self.text.startswith(bracket, self.at):
            return
        if "\n" not in self.text[before : self.at]:
            self._fail()

    def _fail(self) -> NoReturn:
        raise _ProseError


def _literal(word: str) -> Schema | None:
    """An example value stands for its type."""
    if word.lower() in {"true", "false", "true|false", "true | false", "true/false"}:
        return {"type": "boolean"}
    if re.fullmatch(r"-?\d+", word):
        return {"type": "integer"}
    if re.fullmatch(r"-?\d+\.\d+", word):
        return {"type": "number"}
    span = re.fullmatch(r"(\d+)\s*(?:-|\u2013|\.\.)\s*(\d+)", word)
    if span and int(span[1]) <= int(span[2]):
        return {"type": "integer", "minimum": int(span[1]), "maximum": int(span[2])}
    return None


def _choice(words: list[str]) -> Schema:
    """`"string|null"` is a type or nothing, `"low|high"` is one of two words."""
    if all(word.lower() in TYPES for word in words):
        return TYPES[words[0].lower()]
    return {"type": "string", "enum": list(dict.fromkeys(words))}


def _noted(schema: Schema, note: str) -> Schema:
    """`(1-5)`, `between 1 and 10`, `max 60`: what a note says about numbers and lengths."""
    kind = schema.get("type")
    span = re.search(r"(\d+)\s*(?:-|\u2013|to|and|\.\.)\s*(\d+)", note)
    most = re.search(r"(?:max(?:imum)?|at most|up to|under|<=|≤)\D{0,12}(\d+)", note, re.IGNORECASE)
    if kind in {"number", "integer"}:
        if span and int(span[1]) <= int(span[2]):
            return schema | {"minimum": int(span[1]), "maximum": int(span[2])}
        return schema | {"maximum": int(most[1])} if most else schema
    if kind == "string" and most and "word" not in note and int(most[1]) > 0:
        return schema | {"maxLength": int(most[1])}
    return schema
