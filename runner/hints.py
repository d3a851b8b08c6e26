"""A schema in, the same schema with what an editor shows beside it out: titles, examples, defaults.

What it demands is not changed, only said without ``anyOf`` where that can be: editors repeat their help for each way.
Titles are made of the keys; what stands beside a key already is left as it is. Examples that an editor would not write
as YAML become snippets, which it inserts as they are: mappings, and lists of texts that need quotes.
"""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Iterator, Mapping

from .model import JSON
from .source import read_scalar

TEMPLATE: JSON = {"type": "string", "pattern": r"\{\{"}
"""A template that yields the value."""

TITLES: Mapping[str, str] = {
    "api_key_env": "Variable of the key", "base_url": "Base URL", "count_as": "Counted as", "cfg_scale": "CFG scale",
    "env": "Environment variables", "executionTimeout": "Longest run", "fps": "Pictures a second", "loras": "LoRAs",
    "lowPriority": "Low priority", "maxLength": "Most characters", "minLength": "Fewest characters", "min_p": "Min p",
    "on": "Faults", "top_k": "Top k", "top_p": "Top p", "ttl": "Longest life", "usd": "US dollars",
}  # fmt: skip
"""Where the key alone says too little."""

EXAMPLES: Mapping[str, list[JSON]] = {
    "api_key_env": ["MY_SERVER_KEY"],
    "at_once": [4],
    "attempts": [3],
    "count_as": [0.05],
    "default": ["a red ceramic teapot", 4],
    "description": ["A product card with copy and a picture."],
    "enum": [["spring", "summer", "autumn", "winter"]],
    "env": ["TEAM_PASS"],
    "examples": [["a red ceramic teapot"]],
    "exclude": [[{"season": "winter", "light": "day"}]],
    "executionTimeout": [600000],
    "factor": [2],
    "flow_shift": [5],
    "fps": [16, 24],
    "frequency_penalty": [0.5],
    "guidance": [3.5],
    "image": ["{{ steps.photo.image }}", "pictures/street.jpg"],
    "images": [20, ["{{ steps.photo.image }}", "{{ inputs.logo }}"]],
    "include": [[{"season": "winter", "light": "night"}]],
    "items": [{"type": "string"}],
    "limits": [{"calls": 8, "per_model": {"painter": 4}}],
    "last_image": ["{{ steps.evening.image }}"],
    "max_wait": [60],
    "maximum": [24],
    "maxLength": [200],
    "min_p": [0.05],
    "minimum": [1],
    "minLength": [1],
    "on": [["busy", "server"]],
    "pattern": ["^[A-Z]"],
    "pitch": [0],
    "presence_penalty": [0.5],
    "properties": [{"name": {"type": "string"}}],
    "repetition_penalty": [1.1],
    "required": [["name"]],
    "scale": [1],
    "seconds": [60],
    "seed": [7],
    "speed": [1],
    "steps": [28],
    "stop": [["END"]],
    "strength": [0.7],
    "temperature": [0.7],
    "tokens": [200000],
    "top_k": [40],
    "top_p": [0.9],
    "ttl": [3600000],
    "usd": [0.1, 2],
    "video": ["{{ inputs.clip }}"],
    "voice_sample": ["{{ inputs.voice }}"],
    "volume": [1],
    "wait": [1],
}
"""What one may write, for keys whose schema does not show it."""

DEFAULTS: Mapping[str, JSON] = {
    "at_once": None, "cache": True, "calls": 64, "limit": 1000, "on_exceed": "stop", "on_failure": "continue",
    "unpriced": "refuse", "when": True,
}  # fmt: skip
"""What holds where a key is not written; None where that is not one value."""

_SHOWN = (
    "examples",
    "defaultSnippets",
    "default",
    "enum",
    "const",
    "properties",
    "patternProperties",
    "additionalProperties",
    "$ref",
)
_INSIDE = ("properties", "patternProperties", "$defs")
_WAYS = ("anyOf", "allOf", "oneOf")


def shows(schema: JSON) -> bool:
    """Whether a schema shows what may be written: by a value of it, or by keys of its own."""
    if not isinstance(schema, Mapping):
        return True
    if any(word in schema for word in _SHOWN) or "boolean" in _types(schema):
        return True
    ways = [way for word in _WAYS for way in schema.get(word, ())]
    return any(shows(way) for way in [*ways, *([schema["then"]] if "then" in schema else [])])


def hinted(schema: JSON) -> JSON:
    """A schema with titles, examples and defaults for every key, all the way down."""
    if isinstance(schema, list):
        return [hinted(each) for each in schema]
    if not isinstance(schema, Mapping):
        return schema
    found: dict[str, JSON] = {}
    for word, inner in schema.items():
        if word == "properties":
            found[word] = {name: _key(name, hinted(each)) for name, each in inner.items()}
        elif word in _INSIDE:
            found[word] = {name: hinted(each) for name, each in inner.items()}
        elif word in (*_WAYS, "items", "additionalProperties", "then", "else"):
            found[word] = hinted(inner)
        else:
            found[word] = inner
    if "enum" in found and all(isinstance(each, str) for each in found["enum"]):
        found.setdefault("type", "string")  # editors quote what is text, where it is said
    return _with_snippets(_plainly(found))


def _plainly(schema: dict[str, JSON]) -> dict[str, JSON]:
    """A schema without ``anyOf`` where it only says that one of some keys is needed, or that a template or a file will
    do.
    """
    ways = schema.get("anyOf", ())
    rest = {word: value for word, value in schema.items() if word != "anyOf"}
    if ways and all(set(way) == {"required"} for way in ways) and "if" not in schema:
        return {**rest, "if": {"not": {"anyOf": ways}}, "then": {"required": ways[0]["required"]}}
    if len(ways) != 2:
        return schema
    value, other = ways
    if other.get("type") == "object" and value.get("type") == "string" and "enum" not in value:
        return {**value, **rest, "type": ["string", "object"], "if": {"type": "object"}, "then": other}
    if other != TEMPLATE or "enum" in value or value.get("type", "string") == "string":
        return schema
    if "properties" in value.get("items", {}):
        return schema
    return {**value, **rest, "type": [value["type"], "string"], "pattern": TEMPLATE["pattern"]}


def title(key: str) -> str:
    """What a key is called in an editor: ``Aspect ratio`` for ``aspect_ratio``."""
    return TITLES.get(key) or key.replace("_", " ").capitalize()


def _key(name: str, schema: JSON) -> JSON:
    if not isinstance(schema, Mapping):
        return schema
    found = {**({"title": title(name)} if "title" not in schema else {}), **schema}
    if DEFAULTS.get(name) is not None and "const" not in schema:
        found.setdefault("default", DEFAULTS[name])
    if not shows(schema) or "properties" in schema:
        examples = [each for each in EXAMPLES.get(name, ()) if _may_be(schema, each)]
        if examples:
            found.setdefault("examples", examples)
    return _with_snippets(_told_apart(found))


def _told_apart(schema: dict[str, JSON]) -> dict[str, JSON]:
    """Each way of a value under the title of its key, and the last under its help: editors show the titles of ways that
    they cannot tell apart, all of them, where they show help.
    """
    ways = [{"title": schema["title"], **way} for way in schema.get("anyOf", ())]
    if not ways:
        return schema
    said = {"description": schema["description"]} if "description" in schema else {}
    return {**schema, "anyOf": [*ways[:-1], {**said, **ways[-1]}]}


_INNER = ("$ref", "properties", "patternProperties", "additionalProperties", "required", "items")


def _with_snippets(schema: dict[str, JSON]) -> JSON:
    """Examples that an editor does not write as YAML as snippets, and what is inside of the value beside them: where it
    stood with them, editors would insert of it what has a default and not the snippet.
    """
    examples = schema.get("examples", ())
    quotes = _types(schema)[:1] == ["string"]  # then editors write the quotes of a text themselves
    whole = [each for each in examples if not (isinstance(each, str) and quotes) and not _is_bare(each)]
    if not whole:
        return schema
    rest = [each for each in examples if each not in whole]
    kept = {word: value for word, value in schema.items() if word not in ("examples", "allOf", *_INNER)}
    inner = {word: schema[word] for word in _INNER if word in schema}
    ways = [*([inner] if inner else []), *schema.get("allOf", ())]
    return {
        **kept,
        **({"examples": rest} if rest else {}),
        "defaultSnippets": [_snippet(each, schema) for each in whole],
        **({"allOf": ways} if ways else {}),
    }


def _is_bare(value: JSON) -> bool:
    """Whether it is a value that is written as it is, or a list of such."""
    if isinstance(value, list) and value:
        return not any(isinstance(each, list) for each in value) and all(map(_is_bare, value))
    return not isinstance(value, Mapping | list) and (not isinstance(value, str) or _flow(value) == value)


def _snippet(value: JSON, schema: Mapping[str, JSON]) -> JSON:
    """What stands under a key, with a place to stop at for each value; and for each name, if the author chooses it."""
    places = itertools.count(1)
    fixed = any(word in schema for word in ("properties", "anyOf", "if", "$ref"))
    if isinstance(value, Mapping) and (not fixed or isinstance(schema.get("additionalProperties"), Mapping)):
        body: JSON = {_place(name, places): _body(inner, places) for name, inner in value.items()}
    else:
        body = _body(value, places)
    said = {} if isinstance(value, Mapping) else {"type": "string" if isinstance(body, str) else "object"}
    return {"label": _flow(value), **said, "body": body}


def _body(value: JSON, places: Iterator[int]) -> JSON:
    if isinstance(value, Mapping) and value:
        return {name: _body(inner, places) for name, inner in value.items()}
    if isinstance(value, list) and any(isinstance(each, Mapping) for each in value):
        return [_body(each, places) for each in value]
    if isinstance(value, list):
        return "[" + ", ".join(_place(_flow(each), places) for each in value) + "]"
    return _place(_flow(value), places)


def _place(text: str, places: Iterator[int]) -> str:
    """A place in a snippet that holds a text to change."""
    escaped = re.sub(r"[\\$}]", r"\\\g<0>", text)
    return f"${{{next(places)}:{escaped}}}"


def _flow(value: JSON) -> str:
    """A value as YAML, on one line."""
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{name}: {_flow(inner)}" for name, inner in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_flow, value)) + "]"
    if isinstance(value, str) and _PLAIN.fullmatch(value) and read_scalar(value) == value:
        return value
    return json.dumps(value, ensure_ascii=False)


_PLAIN = re.compile(r"[A-Za-z0-9][^{}\[\],#:'\"\\]*(?::[^ {}\[\],#:'\"\\]+)*")
"""A text that stands in YAML without quotes, in a list as well."""


_PYTHON: Mapping[str, type | tuple[type, ...]] = {
    "string": str, "integer": int, "number": (int, float), "array": list, "object": dict, "boolean": bool,
}  # fmt: skip


def _may_be(schema: JSON, value: JSON) -> bool:
    """Whether a value is of a type that a schema allows, and not too large: one key may mean two things."""
    if ways := schema.get("anyOf"):
        return any(_may_be(way, value) for way in ways)
    names = _types(schema)
    if isinstance(value, int | float) and value > schema.get("maximum", value):
        return False
    return not names or any(isinstance(value, _PYTHON[name]) for name in names)


def _types(schema: Mapping[str, JSON]) -> list[str]:
    wanted = schema.get("type", [])
    return wanted if isinstance(wanted, list) else [wanted]
