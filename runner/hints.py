"""A schema in, the same schema with what an editor shows beside it out: titles, examples, defaults.

What it demands is not changed, only said without ``anyOf`` where that can be: editors repeat their help for each way.
Titles are made of the keys; what stands beside a key already is left as it is.
"""

from __future__ import annotations

from collections.abc import Mapping

from .model import JSON

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
    return any(shows(way) for word in _WAYS for way in schema.get(word, ()))


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
        elif word in (*_WAYS, "items", "additionalProperties", "then"):
            found[word] = hinted(inner)
        else:
            found[word] = inner
    return _plainly(found)


def _plainly(schema: dict[str, JSON]) -> dict[str, JSON]:
    """A schema without ``anyOf`` where it only says that one of some keys is needed, or that a template will do."""
    ways = schema.get("anyOf", ())
    rest = {word: value for word, value in schema.items() if word != "anyOf"}
    if ways and all(set(way) == {"required"} for way in ways) and "if" not in schema:
        return {**rest, "if": {"not": {"anyOf": ways}}, "then": {"required": ways[0]["required"]}}
    if len(ways) != 2 or ways[1] != TEMPLATE:
        return schema
    value = ways[0]
    if value.get("type", "string") == "string" or "enum" in value or "properties" in value.get("items", {}):
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
    return _with_snippets(found)


def _with_snippets(schema: dict[str, JSON]) -> JSON:
    """Examples that are mappings, or hold some, as snippets: editors would write [object Object] for them."""
    examples = schema.get("examples", ())
    whole = [each for each in examples if _holds_mapping(each)]
    if not whole or not ("anyOf" in schema or isinstance(whole[0], list)):
        return schema
    snippets = [{"label": _label(each), "body": each} for each in whole]
    rest = [each for each in examples if each not in whole]
    kept = {word: value for word, value in schema.items() if word != "examples"}
    return {**kept, **({"examples": rest} if rest else {}), "defaultSnippets": snippets}


def _label(value: JSON) -> str:
    """What a snippet is called in a list: its first key."""
    inner = value[0] if isinstance(value, list) else value
    return next(iter(inner), "")


def _holds_mapping(value: JSON) -> bool:
    return isinstance(value, Mapping) or (isinstance(value, list) and any(isinstance(each, Mapping) for each in value))


_PYTHON: Mapping[str, type | tuple[type, ...]] = {
    "string": str, "integer": int, "number": (int, float), "array": list, "object": dict, "boolean": bool,
}  # fmt: skip


def _may_be(schema: JSON, value: JSON) -> bool:
    """Whether a value is of a type that a schema allows: one key may mean two things."""
    if ways := schema.get("anyOf"):
        return any(_may_be(way, value) for way in ways)
    names = _types(schema)
    return not names or any(isinstance(value, _PYTHON[name]) for name in names)


def _types(schema: Mapping[str, JSON]) -> list[str]:
    wanted = schema.get("type", [])
    return wanted if isinstance(wanted, list) else [wanted]
