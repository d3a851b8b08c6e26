"""Rules: a value and the JSON Schema it has to keep in, the first thing that is wrong with it out, or None.

Only the words that pages of endpoints and parameters of tools are made of: type, enum, bounds,
lengths, pattern, items, required. `size` is one of our own: the format of a size such as 1024*1024.
"""

import math
import re
from collections.abc import Mapping
from typing import Any

from .values import JSON

Rule = Mapping[str, Any]
_SIZE = re.compile(r"([1-9]\d{0,4})\s*[*xX]\s*([1-9]\d{0,4})")


def missing(given: Mapping[str, JSON], rules: Mapping[str, Rule]) -> str | None:
    """The name of a required key that is not there, or is there as nothing."""
    return next((name for name, rule in rules.items() if rule.get("required") is True and _empty(given, name)), None)


def wrong(name: str, value: JSON, rule: Rule, *, null: bool = False) -> str | None:
    """What to write instead, as a sentence about `name`; `null` tolerates a null, whatever the rule says."""
    if null and value is None:
        return None
    kinds = rule.get("type", [])
    kinds = kinds if isinstance(kinds, list) else [kinds]
    if kinds and not any(is_a(value, kind) for kind in kinds):
        article = "an" if kinds[0][0] in "aio" else "a"
        return f"{name} must be {article} {' or '.join(kinds)}, not {_shown(value)}"
    if "enum" in rule and value not in rule["enum"]:
        return f"{name} must be one of {', '.join(map(str, rule['enum']))}, not {_shown(value)}"
    match value:
        case str():
            return _wrong_text(name, value, rule)
        case bool():
            return None
        case int() | float():
            return _wrong_number(name, value, rule)
        case list():
            return _wrong_list(name, value, rule)
        case dict():
            return _wrong_object(name, value, rule)
        case _:
            return None


def is_a(value: JSON, kind: str) -> bool:
    """Whether a value is of a type of JSON Schema; true is no number, 3.0 is an integer."""
    match kind:
        case "string":
            return isinstance(value, str)
        case "integer":
            return (
                isinstance(value, (int, float))
                and not isinstance(value, bool)
                and math.isfinite(value)
                and not value % 1
            )
        case "number":
            return isinstance(value, (int, float)) and not isinstance(value, bool)
        case "boolean":
            return isinstance(value, bool)
        case "array":
            return isinstance(value, list)
        case "object":
            return isinstance(value, dict)
        case "null":
            return value is None
        case _:
            return True


def _empty(given: Mapping[str, JSON], name: str) -> bool:
    value = given.get(name)
    return value is None or (isinstance(value, str) and not value.strip()) or value == []


def _wrong_text(name: str, value: str, rule: Rule) -> str | None:
    if not rule.get("minLength", 0) <= len(value) <= rule.get("maxLength", math.inf):
        return (
            f"{name} must have from {rule.get('minLength', 0)} to {rule.get('maxLength', 'any number of')} characters"
        )
    if "pattern" in rule and re.search(rule["pattern"], value) is None:
        return f"{name} must match {rule['pattern']}, not {_shown(value)}"
    if "size" not in rule:
        return None
    found = _SIZE.fullmatch(value.strip())
    if found is None:
        return f"{name} must be in the format WIDTH*HEIGHT, not {_shown(value)}"
    low, high = rule["size"]
    if not low <= int(found[1]) * int(found[2]) <= high:
        return f"{name} must have from {low} to {high} pixels, not {int(found[1]) * int(found[2])}"
    return None


def _wrong_number(name: str, value: float, rule: Rule) -> str | None:
    low, high, step = rule.get("minimum", -math.inf), rule.get("maximum", math.inf), rule.get("multipleOf")
    if not low <= value <= high:
        return f"{name} must be {_between(low, high)}, not {value}"
    above, below = rule.get("exclusiveMinimum", -math.inf), rule.get("exclusiveMaximum", math.inf)
    if not above < value < below:
        return f"{name} must be more than {above} and less than {below}, not {value}"
    if step and not math.isclose(value / step, round(value / step), abs_tol=1e-9):
        return f"{name} must be a multiple of {step}, not {value}"
    return None


def _wrong_list(name: str, value: list[JSON], rule: Rule) -> str | None:
    low, high = rule.get("minItems", -math.inf), rule.get("maxItems", math.inf)
    if not low <= len(value) <= high:
        return f"{name} must have {_between(low, high)} items, not {len(value)}"
    items = rule.get("items")
    if not isinstance(items, dict):
        return None
    return next((said for n, one in enumerate(value) if (said := wrong(f"{name}[{n}]", one, items))), None)


def _wrong_object(name: str, value: dict[str, JSON], rule: Rule) -> str | None:
    required = rule.get("required", [])
    absent = next((key for key in required if key not in value), None) if isinstance(required, list) else None
    if absent is not None:
        return f"{name}.{absent} is required"
    rules = rule.get("properties", {})
    return next(
        (said for key, one in value.items() if key in rules and (said := wrong(f"{name}.{key}", one, rules[key]))), None
    )


def _between(low: float, high: float) -> str:
    if math.isinf(high):
        return f"at least {low}"
    return f"at most {high}" if math.isinf(low) else f"between {low} and {high}"


def _shown(value: JSON) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
