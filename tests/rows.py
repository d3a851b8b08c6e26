"""What a row of the catalogue makes of a step: the least params of a model, and the values that its rules name."""

from __future__ import annotations

from typing import Any, TypeAlias

from runner.catalogue import Model, builtin

Words: TypeAlias = dict[str, Any]

FILES = {"audio": "a.wav", "video": "a.mp4", "image": "a.png", "last_image": "a.png", "voice_sample": "a.wav"}
"""The file that each word of a file is given."""
MODELS = sorted(builtin().models.values(), key=lambda model: model.id)


def least(model: Model) -> Words:
    """The params that a model cannot do without, and nothing else; files by their names."""
    found: Words = {("text" if model.kind == "generate_speech" else "prompt"): "a red teapot"}
    for word in model.lacks(["prompt"]):
        found[word] = FILES[word] if word in FILES else model.params[word]["enum"][0]
    return found


def values(rule: Words) -> list[Any]:
    """The values that a rule names: all of a list, both ends of a range, what holds if nothing is said."""
    if "sizes" in rule:
        return list(rule["sizes"])
    if "rule" in rule:
        low, high = rule["rule"]["minimum"], rule["rule"]["maximum"]
        return [f"{low}x{high}", f"{high}x{low}"]
    if rule.get("type") == "boolean":
        return [True, False]
    if rule.get("type") == "array":
        return [["END"] if "items" in rule else [{"path": "https://example.com/l.safetensors", "scale": 1}]]
    named = [*rule.get("enum", ()), *(rule[end] for end in ("minimum", "maximum", "default") if end in rule)]
    return list(dict.fromkeys([*named, *rule.get("examples", ())])) or [
        7 if rule.get("type") in ("integer", "number") else "en"
    ]
