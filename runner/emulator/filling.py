"""Values for JSON Schemas: a schema and a subject in, a value that is valid and reads well out.

Understood: types, enum, const, bounds, lengths, formats, simple patterns, required, prefixItems,
uniqueItems, allOf, the first of anyOf and oneOf, and references within the document.
"""

import math
import re
from random import Random

from .patterns import matching
from .phrases import counts, paragraph, says
from .shapes import Schema
from .subjects import Subject
from .values import JSON

Anything = Schema | bool  # in JSON Schema, true is the schema of any value
_DEEP = 6  # levels below which only what is required is filled
_FORMATS = {
    "date": "2026-03-14",
    "date-time": "2026-03-14T09:30:00Z",
    "time": "09:30:00Z",
    "duration": "PT25M",
    "email": "hello@{slug}.example",
    "uri": "https://{slug}.example/",
    "url": "https://{slug}.example/",
    "uri-reference": "/{slug}",
    "hostname": "{slug}.example",
    "ipv4": "192.0.2.7",
    "ipv6": "2001:db8::7",
    "uuid": "5b1f0c0e-1c7d-4c0a-9f0e-3b9d7e2a6c11",
}
_LISTS = ((r"keyword|tag", 5), (r"step|instruction|ingredient|outline|section", 4))


def filled(schema: Anything, about: Subject, random: Random) -> JSON:
    """A value for the whole schema."""
    root = schema if isinstance(schema, dict) else {}
    return _Filler(root, about, random).value(root, "text", 0, 0)


class _Filler:
    """Holds what every level needs: the document for references, the subject, the chance."""

    def __init__(self, root: Schema, about: Subject, random: Random) -> None:
        self.root = root
        self.about = about
        self.random = random
        self.start = random.randrange(60)  # where every enum begins, so that neighbours differ

    def value(self, schema: Anything, name: str, index: int, depth: int) -> JSON:
        """One value; `name` is the key it stands under, `index` its place in a list."""
        plain = self._plain(schema, depth)
        if "const" in plain:
            return plain["const"]
        if plain.get("enum"):
            options = plain["enum"]
            return options[(self.start + index) % len(options)]
        match _type(plain):
            case "object":
                return self._object(plain, name, index, depth)
            case "array":
                return self._array(plain, name, index, depth)
            case "integer":
                return int(_number(plain, counts(name, index), whole=True))
            case "number":
                return _number(plain, counts(name, index), whole=False)
            case "boolean":
                return index % 2 == 0
            case "null":
                return None
            case _:
                return self._text(plain, name, index)

    def _plain(self, schema: Anything, depth: int) -> Schema:
        """References followed, parts of allOf merged, one alternative chosen."""
        plain: Schema = dict(schema) if isinstance(schema, dict) else {}
        for _ in range(32):
            if "$ref" in plain:
                plain = _merged(_found(self.root, plain.pop("$ref")), plain)
            elif plain.get("allOf"):
                for part in plain.pop("allOf"):
                    plain = _merged(plain, part if isinstance(part, dict) else {})
            elif key := next((key for key in ("anyOf", "oneOf") if plain.get(key)), None):
                options = plain.pop(key)
                # Deep down a way out is taken where there is one, or a tree would never end.
                ends = [option for option in options if option == {"type": "null"}] if depth > _DEEP else []
                chosen = (ends or options)[0]
                plain = _merged(plain, chosen if isinstance(chosen, dict) else {})
            else:
                return plain
        return plain

    def _object(self, schema: Schema, name: str, index: int, depth: int) -> dict[str, JSON]:
        properties = schema.get("properties", {})
        required = schema.get("required", [])
        other = schema.get("additionalProperties")
        value = {
            key: self.value(part, f"{name}_{key}" if _vague(key, name) else key, index, depth + 1)
            for key, part in properties.items()
            if part is not False and (key in required or depth <= _DEEP)
        }
        for key in required:
            if key not in value:
                value[key] = self.value(other if isinstance(other, dict) else {}, key, index, depth + 1)
        wanted = schema.get("minProperties", 2 if isinstance(other, dict) and not properties else 0)
        for word in (*self.about.words, *(f"{self.about.noun}_{n}" for n in range(2, 99))):
            if len(value) >= wanted or other is False or depth > _DEEP:
                break
            value.setdefault(word, self.value(other if isinstance(other, dict) else {}, word, len(value), depth + 1))
        return value

    def _array(self, schema: Schema, name: str, index: int, depth: int) -> list[JSON]:
        low = schema.get("minItems", 0)
        high = schema.get("maxItems", math.inf)
        usual = next((count for pattern, count in _LISTS if re.search(pattern, name.lower())), 3)
        count = int(min(max(low, usual if depth <= _DEEP else 0), high))
        first = schema.get("prefixItems", [])
        rest = schema.get("items", {})
        if rest is False:
            count = min(count, len(first))
        start = index * count  # so that the lists of two neighbours differ
        items = [self.value(first[at] if at < len(first) else rest, name, start + at, depth + 1) for at in range(count)]
        return _unique(items, low) if schema.get("uniqueItems") else items

    def _text(self, schema: Schema, name: str, index: int) -> str:
        low, high = schema.get("minLength", 0), schema.get("maxLength", math.inf)
        pattern, form = schema.get("pattern"), schema.get("format")
        if form in _FORMATS:
            return _FORMATS[form].format(slug=self.about.slug)
        text = says(name, self.about, self.random, index)
        while len(text) < low:
            text = f"{text} {paragraph(self.about, self.random)}"
        text = _cut(text, low, high)
        if pattern is None or re.search(pattern, text):
            return text
        tries = (
            self.about.slug,
            self.about.noun,
            self.about.title,
            self.about.noun.upper(),
            matching(pattern),
        )
        return next((t for t in tries if t and low <= len(t) <= high and re.search(pattern, t)), text)


def _type(schema: Schema) -> str:
    kind = schema.get("type")
    if isinstance(kind, list):
        return next((str(one) for one in kind if one != "null"), "null")
    if kind is not None:
        return str(kind)
    if "properties" in schema or "required" in schema:
        return "object"
    if "items" in schema or "prefixItems" in schema:
        return "array"
    return "number" if schema.keys() & {"minimum", "maximum", "multipleOf"} else "string"


def _merged(one: Schema, other: Schema) -> Schema:
    """Both schemas at once; of what both say, objects are joined and the second wins."""
    both = one | other
    if "properties" in one and "properties" in other:
        both["properties"] = one["properties"] | other["properties"]
    if "required" in one and "required" in other:
        both["required"] = list(dict.fromkeys([*one["required"], *other["required"]]))
    return both


def _found(root: Schema, reference: str) -> Schema:
    """What a local reference such as `#/$defs/Step` points at; anything else is any text."""
    place: JSON = root
    for step in reference.removeprefix("#").split("/")[1:]:
        part = step.replace("~1", "/").replace("~0", "~")
        if not isinstance(place, dict) or part not in place:
            return {}
        place = place[part]
    return place if isinstance(place, dict) else {}


def _vague(key: str, above: str) -> bool:
    """Keys that say nothing without the key above them: `steps[].text` is a step."""
    return key.lower() in {"text", "value", "content"} or (
        key.lower() in {"name", "item"} and "ingredient" in above.lower()
    )


def _number(schema: Schema, usual: float, *, whole: bool) -> float:
    step = schema.get("multipleOf", 1 if whole else None)
    low, high = schema.get("minimum", -math.inf), schema.get("maximum", math.inf)
    # 2020-12 has numbers here; draft 4 had true beside minimum.
    above, below = schema.get("exclusiveMinimum", -math.inf), schema.get("exclusiveMaximum", math.inf)
    if above is True:
        above = low
    if below is True:
        below = high
    nudge = step or _nudge(max(low, above), min(high, below))
    low = max(low, above + nudge if not isinstance(above, bool) else -math.inf)
    high = min(high, below - nudge if not isinstance(below, bool) else math.inf)
    number: float = min(max(usual, low), high)
    if step:
        number = math.ceil(number / step) * step
        number = number if number <= high else math.floor(high / step) * step
    return number


def _nudge(low: float, high: float) -> float:
    """A little step off an excluded bound that stays inside."""
    return (high - low) / 1000 if math.isfinite(high - low) and high > low else 0.001


def _cut(text: str, low: int, high: float) -> str:
    if len(text) <= high:
        return text
    short = text[: int(high)]
    at_word = short.rsplit(" ", 1)[0].rstrip(" ,;:.")
    return at_word if low <= len(at_word) and at_word else short


def _unique(items: list[JSON], low: int) -> list[JSON]:
    """Each item once; texts and numbers that are needed and repeat are told apart by a count."""
    kept: list[JSON] = []
    for at, item in enumerate(items):
        if item not in kept:
            kept.append(item)
        elif len(items) - at + len(kept) <= low or len(kept) < low:
            kept.append(
                f"{item} {at + 1}"
                if isinstance(item, str)
                else item + at + 1
                if isinstance(item, (int, float))
                else item
            )
    return kept
