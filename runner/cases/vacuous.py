"""What a case says of a value in; why that holds of every value, or of none, out."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping

from jsonschema import Draft202012Validator

from ..errors import nearest
from ..model import JSON
from ..shape import Shape

Fault = tuple[tuple[str, ...], str, str, str]
"""Code, sentence and cure of what is wrong, after where it stands."""

COUNTS = ("cost", "cells", "words", "items", "width", "height", "bytes", "seconds")
"""What is never less than nothing."""
_PROBES = ("", "\x00", "q\nq", "Z9 é.\n")
"""What no pattern that says anything fits all of."""
_TYPES: Mapping[str, tuple[str, ...]] = {
    "image": ("png", "jpeg", "jpg", "webp", "gif", "bmp", "tiff", "avif", "heic"),
    "audio": ("wav", "mp3", "mpeg", "ogg", "flac", "mp4"),
    "video": ("mp4", "webm"),
}
"""What files are by their bytes."""
_NAMES = {"image": "picture", "audio": "sound", "video": "video"}
_OF_TYPES: Mapping[str, tuple[str, ...]] = {
    "string": ("minLength", "maxLength", "pattern"),
    "number": ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"),
    "array": ("items", "prefixItems", "contains", "minItems", "maxItems", "uniqueItems", "unevaluatedItems"),
    "object": ("properties", "patternProperties", "additionalProperties", "propertyNames", "required", "minProperties",
               "maxProperties", "dependentRequired", "dependentSchemas", "unevaluatedProperties"),
}  # fmt: skip
"""The words of a JSON Schema that are about values of one type: any other value fits them."""
_OF = {word: kind for kind, words in _OF_TYPES.items() for word in words}


def bounds(word: str, said: JSON) -> Iterator[Fault]:
    """Bounds that hold of every number, or of none."""
    if not isinstance(said, Mapping):
        return
    lowest = max([(v, w) for w, v in said.items() if w in ("at_least", "above")], default=None)
    highest = min([(v, w) for w, v in said.items() if w in ("at_most", "below")], default=None)
    if lowest is not None and highest is not None:
        open_ends = "above" in said or "below" in said
        if lowest[0] > highest[0] or (lowest[0] == highest[0] and open_ends):
            yield ((lowest[1],), "value", f"Nothing is {_shown(*lowest)} and {_shown(*highest)}.",
                   "Exchange them.")  # fmt: skip
    elif word not in COUNTS:
        return
    elif lowest is not None and (lowest[0] < 0 or (lowest[0] == 0 and lowest[1] == "at_least")):
        yield ((lowest[1],), "asserts-nothing", f"{word} is always {_shown(*lowest)}, so this asserts nothing.",
               "Write at_least: 1." if word != "cost" else "Write at_most: with the most it may cost.")  # fmt: skip
    elif highest is not None and (highest[0] < 0 or (highest[0] == 0 and highest[1] == "below")):
        yield (highest[1],), "value", f"{word} is never {_shown(*highest)}.", "Write a number above 0."


def _shown(bound: float, word: str) -> str:
    return f"{word.replace('_', ' ')} {bound:g}"


def pattern(said: re.Pattern[str]) -> Iterator[Fault]:
    """A pattern that fits any text."""
    if all(said.search(probe) is not None for probe in _PROBES):
        yield ((), "asserts-nothing", f"{said.pattern} fits any text, even an empty one, so this asserts nothing.",
               "Write what stands in the text, or words: {at_least: 1}.")  # fmt: skip


def equal(shape: Shape, name: str, said: JSON) -> Iterator[Fault]:
    """A value that is of another type than what it is said to be."""
    types = shape.types
    if not types or Draft202012Validator({"type": sorted(types)}).is_valid(said):
        return
    cure = f"Write a value that is {shape}."
    if types == {"string"} and isinstance(said, int | float) and not isinstance(said, bool):
        cure = f'Write "{said}", in quotes.'
    elif isinstance(said, str) and types <= {"integer", "number"} and _is_number(said):
        cure = f"Write {said}, without quotes."
    yield (), "value", f"{name} is {shape}, and {Shape({'const': said})} is never the same.", cure


def _is_number(text: str) -> bool:
    return re.fullmatch(r"-?\d+(\.\d+)?", text) is not None


def file_type(media: str | None, suffix: str, said: str) -> Iterator[Fault]:
    """A type that no file is of, or none of this sort, or none with this suffix."""
    family, _, kind = said.rpartition("/")
    known = _TYPES.get(str(media))
    if known is None:
        return
    if (family and family != media) or kind not in known:
        yield (), "value", f"No {_NAMES[str(media)]} is of the type {said}.", nearest(kind, known)
    elif media == "image" and suffix and _same(kind) != _same(suffix[1:]):
        yield (), "value", f"A picture that is written as {suffix} is never {said}.", f"Write {_same(suffix[1:])}."


def _same(kind: str) -> str:
    return "jpeg" if kind == "jpg" else kind


def schema(shape: Shape, name: str, said: Mapping[str, JSON]) -> Iterator[Fault]:
    """A JSON Schema that any value of this shape fits."""
    types = {"number" if each == "integer" else each for each in shape.types}
    if _demands(said, types):
        return
    if types - {"null"} == {"string"}:
        cure = "Write contains: with what stands in it, or words: {at_least: 1}."
    elif types - {"null"} == {"number"}:
        cure = "Write number: {at_least: 1}."
    else:
        cure = "Write what it must have, such as {type: object, required: [title]}."
    yield (), "asserts-nothing", f"This schema fits {name} whatever it is, so this asserts nothing.", cure


def _demands(said: JSON, types: Collection[str] = ()) -> bool:
    """Whether there is a value of these types, or any where none are said, that does not fit a schema."""
    if not isinstance(said, Mapping):
        return said is False
    return any(_word_demands(word, each, said, types) for word, each in said.items())


def _word_demands(word: str, said: JSON, schema: Mapping[str, JSON], types: Collection[str]) -> bool:
    if types and _OF.get(word, next(iter(types))) not in types:
        return False
    match word, said:
        case ("minLength" | "minItems" | "minProperties", int() | float()):
            return said > 0
        case ("pattern", str()):
            return not any(pattern(re.compile(said)))
        case ("required" | "dependentRequired" | "uniqueItems", _):
            return bool(said)
        case ("properties" | "patternProperties" | "dependentSchemas", Mapping()):
            return any(map(_demands, said.values()))
        case ("items" | "additionalProperties" | "propertyNames" | "unevaluatedItems" | "unevaluatedProperties", _):
            return _demands(said)
        case ("prefixItems", list()):
            return any(map(_demands, said))
        case ("allOf", list()):
            return any(_demands(each, types) for each in said)
        case ("anyOf", list()):
            return all(_demands(each, types) for each in said)
        case ("if", _):
            return any(_demands(schema.get(branch, {}), types) for branch in ("then", "else"))
        case ("format", _):  # which is for readers alone
            return False
    return word in Draft202012Validator.VALIDATORS
