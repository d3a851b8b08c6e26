"""Arguments of a tool: its parameters and what the user said in, values for them out.

What the prompt says is used (`weather in Paris` → city: Paris), what is required and not said is
made up, what is optional and not said is left out.
"""

import re
from random import Random

from .filling import filled
from .rules import wrong
from .shapes import Schema
from .subjects import content_words, subject
from .values import JSON

_PROPER = r"((?:[A-Z0-9][\w'’-]*)(?:,? (?:[A-Z][\w'’-]*|(?:de|la|of|am)(?= [A-Z])))*)"  # noqa: RUF001 - as people type it
_PLACE = r"city|town|place|location|country|address|destination|region|where|venue|^to$|^from$|origin|departure|arrival"
_FROM = r"^from|origin|departure|source"
_TO = r"^to(_|$)|destination|arrival|target"
_DATES = (
    r"\d{4}-\d{2}-\d{2}|\btoday\b|\btomorrow\b|\btonight\b|\byesterday\b|"
    r"\b(?:next |on )?(?:mon|tues|wednes|thurs|fri|satur|sun)day\b"
)
_NUMBER = r"-?\d+(?:\.\d+)?"
_QUOTED = "(?:^|(?<=\\s))[\"“”'‘]([^\"“”'’\n]{2,})[\"“”'’]"  # noqa: RUF001 - as people type it
_TERM = r"[( ]*+-?\d++(?:\.\d++)?+[ )]*+"  # possessive: a long number is not tried in parts
_SUM = re.compile(rf"(?<![\d.]){_TERM}(?:\s*(?:\*\*|[+*×x^%]|(?<= )[-/](?= )){_TERM})+")
_FAR = 4000  # characters; who has not said by then what a tool should do has not said it


def arguments(parameters: Schema, text: str, random: Random) -> JSON:
    """An object that is valid for the parameters; they may have any schema that `filling` knows."""
    text = text[:_FAR]
    made = filled({"type": "object", **parameters}, subject(_about(text) or text), random)
    properties = parameters.get("properties")
    if not isinstance(made, dict) or not isinstance(properties, dict):
        return made
    required = parameters.get("required", [])
    chosen: dict[str, JSON] = {name: value for name, value in made.items() if name in required}
    taken: set[str] = set()
    for name, schema in properties.items():
        plain = _plain(schema)
        said = None if plain is None else _said(name, plain, text, taken)
        if plain is not None and said is not None and wrong(name, said, plain) is None:
            chosen[name] = said
            taken.add(str(said))
    return {name: chosen[name] for name in made if name in chosen} | chosen


def others(made: JSON, parameters: Schema, text: str) -> list[JSON]:
    """The same arguments for what is named in one breath: `in Paris, Tokyo and Oslo` is three places."""
    if not isinstance(made, dict):
        return []
    text = text[:_FAR]
    for name, value in made.items():
        schema = _plain(parameters.get("properties", {}).get(name))
        if not isinstance(value, str) or schema is None:
            continue
        if found := re.search(rf"{re.escape(value)}((?:(?:,? and|,) {_PROPER})+)", text):
            named = [one for one in re.split(r",? and |, ", found[1]) if one and not wrong(name, one, schema)]
            return [{**made, name: one} for one in named]
    return []


def calculates(text: str) -> bool:
    """Whether there is a sum in it."""
    return _SUM.search(text[:_FAR]) is not None


def _about(text: str) -> str:
    """What follows the first `about` or `for`: what the rest is for."""
    found = re.search(r"\b(?:about|regarding|for)\s+(.+?)\s*[.?!]*$", text, re.IGNORECASE | re.DOTALL)
    return found[1] if found else ""


def _plain(schema: JSON) -> Schema | None:
    """The schema, or the first of its alternatives that is not null (`str | None`); None for what is no leaf."""
    if not isinstance(schema, dict) or schema.keys() & {"const", "$ref", "allOf", "oneOf", "not"}:
        return None
    options = schema.get("anyOf")
    if options is None:
        return schema
    return _plain(next((one for one in options if one != {"type": "null"}), None))


def _said(name: str, schema: Schema, text: str, taken: set[str]) -> JSON:
    """What the text says about one parameter, or None."""
    options = schema.get("enum")
    if isinstance(options, list):
        return next(
            (one for one in options if re.search(rf"(?<!\w){re.escape(str(one))}(?!\w)", text, re.IGNORECASE)), None
        )
    match schema.get("type", "string"):
        case "string":
            return _text(name, schema, text, taken)
        case "integer":
            number = _number(name, text, taken)
            return int(float(number)) if number is not None and not float(number) % 1 else None
        case "number":
            number = _number(name, text, taken)
            return None if number is None else int(number) if number.lstrip("-").isdigit() else float(number)
        case "array":
            items = _plain(schema.get("items"))
            one = None if items is None else _said(name.removesuffix("s"), items, text, taken)
            return None if items is None or one is None or wrong(name, one, items) else [one]
        case _:
            return None


def _text(name: str, schema: Schema, text: str, taken: set[str]) -> str | None:
    key = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()
    about = f"{key} {str(schema.get('description', '')).lower()}"
    if found := re.search(
        rf"\b{re.escape(key.replace('_', ' '))}\s*(?:is|=|:)\s*[\"“']?([^\s\"”',.]+)", text, re.IGNORECASE
    ):
        return found[1]
    if "email" in about:
        return _first(r"([\w.+-]+@[\w-]+\.[\w.-]*\w)", text)
    if re.search(r"\burl\b|link|website|\buri\b", about):
        return _first(r"(https?://[^\s\"'<>]*[^\s\"'<>.,])", text)
    if re.search(r"date|day$|when", key):
        return _first(f"(?i:({_DATES}))", text)
    if re.search(r"expression|formula|equation|calculation|\bmath", about):
        found = _SUM.search(text)
        return found[0].strip() if found else None
    if re.search(_PLACE, key) or re.search(r"\b(?:city|town|place)\b", about):
        return _place(key, text, taken)
    if re.search(r"language|^lang", key):
        return _first(rf"\b(?:to|into|in) {_PROPER}", text)
    if (quoted := _first(_QUOTED, text)) is not None and quoted not in taken:
        return quoted
    if re.search(r"query|question|search|keyword|topic|term|subject", key):
        return _about(text) or text.strip(" ?!.")
    if re.search(r"prompt|text|content|message|title|item|product|name", key):
        phrase = subject(_about(text) or text).phrase
        return phrase if content_words(phrase) else None
    return None


def _place(key: str, text: str, taken: set[str]) -> str | None:
    words = "from" if re.search(_FROM, key) else "to" if re.search(_TO, key) else r"in|at|for|of|near|to|from|around"
    found = re.findall(rf"\b(?:{words}) (?:the )?{_PROPER}", text)
    # The name of a place that stands anywhere else is better than none, the first word of a sentence is not.
    found += re.findall(rf"(?<=[a-z,] ){_PROPER}", text)
    place: str | None = next((one for one in found if one not in taken and not one[0].isdigit()), None)
    # `Paris, Tokyo and Oslo` are three, `San Francisco, CA` is one.
    if place is not None and re.search(rf"{re.escape(place)},? and [A-Z]", text):
        return place.partition(",")[0]
    return place


def _number(name: str, text: str, taken: set[str]) -> str | None:
    word = re.escape(re.sub(r"[_-]", " ", name).strip().lower())
    beside = rf"\b{word}s?\b\W{{0,3}}(?:is|of|to|=|:)?\W{{0,2}}({_NUMBER})|({_NUMBER})\s*{word}s?\b"
    if found := re.search(beside, text, re.IGNORECASE):
        return found[1] or found[2]
    return next((one for one in re.findall(rf"(?<![\w.-]){_NUMBER}(?![\w-])", text) if one not in taken), None)


def _first(pattern: str, text: str) -> str | None:
    found = re.search(pattern, text)
    return found[1] if found else None
