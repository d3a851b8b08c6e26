"""A document in, its faults against the schema out: each in its place, with what was meant.

The published schema has an ``if`` for every kind; here each step is checked against its own kind's schema, so that
a mistake in a step is one problem and not one for each kind.
"""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from jsonschema import Draft202012Validator
from jsonschema.exceptions import SchemaError, ValidationError
from jsonschema.protocols import Validator

from . import meant, slips, synonyms
from .errors import Problem, counted, nearest
from .hints import TEMPLATE
from .kinds import KINDS, makes
from .model import JSON
from .schema import DURATION, PROFILE, STEP_ID, step_schema, top_schema
from .source import Document, read_scalar
from .templates import is_template


@dataclass(frozen=True, slots=True)
class _Fault:
    path: tuple[str | int, ...]
    error: ValidationError
    whole: str = "The pipeline"
    """What the document is called."""


def validate(document: Document) -> list[Problem]:
    """Every fault of a document against the schema.

    Where the schema asks for text and a bare number stands (``version: 1.10``), the text as it was written
    is put into the document's data: that is what its author meant.
    """
    data = document.data
    if not isinstance(data, dict):
        what = f"A pipeline begins with name: and steps:; this is {_name(data)}."
        return [Problem("type", what, document.mark(), "Write name: and steps:.")]
    mended = [*slips.mended(document), *meant.mended(document)]
    faults = _faults(document, _top_validator())
    steps = data.get("steps")
    if isinstance(steps, dict):
        for name, step in steps.items():
            kind = step.get("kind") if isinstance(step, dict) else None
            faults += _faults(document, _step_validator(kind if isinstance(kind, str) else None), ("steps", name))
    found = [*mended, *(p for fault in faults for p in _problems(document, fault))]
    for fault in faults:
        _put_right(document, fault)
    return found


def _put_right(document: Document, fault: _Fault) -> None:
    """Put what stands under an unknown key, which has been told, where it is meant to be."""
    schema, given = fault.error.schema, fault.error.instance
    if fault.error.validator != "additionalProperties":
        return
    assert isinstance(schema, Mapping)
    assert isinstance(given, Mapping)
    if (pair := _in_place_of(schema, given)) is not None:
        slips.renamed(document, fault.path, pair[0], pair[1][0])
    if not _is_step(fault.path):
        return
    known = schema.get("properties", {})
    for key in [key for key in given if key not in known]:
        word, value = synonyms.of_key(key, given, known) or (_near(key, list(known)), given[key])
        is_fanned = isinstance(value, {"foreach": str | list, "matrix": dict}.get(str(word), ()))
        if word is not None and word not in given and (is_fanned or _is_valid(known[word], value)):
            slips.renamed(document, fault.path, key, word)
            document.data["steps"][fault.path[1]][word] = value


def _is_step(path: Sequence[str | int]) -> bool:
    return path[:1] == ("steps",) and len(path) == 2


def _near(key: str, known: Sequence[str]) -> str | None:
    """The one of the known keys that this one is nearly like."""
    near = nearest(key, known)
    return near.removeprefix("Did you mean ").removesuffix("?") if near.startswith("Did") else None


def _is_valid(schema: JSON, value: JSON) -> bool:
    return Draft202012Validator(schema).is_valid(value)


def _in_place_of(schema: Mapping[str, JSON], given: Mapping[str, JSON]) -> tuple[str, tuple[str, ...]] | None:
    """As `slips.in_place_of`, also at the top of a pipeline, where keys that begin with x- are anybody's."""
    if list(schema.get("patternProperties", ())) == ["^x-"]:
        schema = {word: value for word, value in schema.items() if word != "patternProperties"}
        given = {key: value for key, value in given.items() if not key.startswith("x-")}
    return slips.in_place_of(schema, given)


_LOOP = re.compile(r"\s*(?:for\s+)?(?:\w+\s+(?:in|of)\s+)?(?:(inputs|steps)\.)?([\w-]+)\s*:?\s*\Z")
"""What names a list: ``teas``, ``inputs.teas``, ``for tea in teas``."""


def named_lists(document: Document) -> Iterator[Problem]:
    """Texts under ``foreach:`` that name an input or a step and are no template, alone or as the one item of a list."""
    steps = document.data.get("steps")
    for name, step in steps.items() if isinstance(steps, dict) else ():
        said = step.get("foreach") if isinstance(step, dict) else None
        alone = isinstance(said, str)
        text = said if alone else said[0] if isinstance(said, list) and len(said) == 1 else None
        found = _list_named(document, text, name) if isinstance(text, str) and not is_template(text) else None
        if found is None or not (alone or _is_meant_as_list(document, found, step)):
            continue
        path = ("steps", name, "foreach")
        message = f"This list has one item, the text {text}; what that names is the list."
        if alone:
            message = f"foreach must be a list; this is the text {_short(text)}."
        cure = f'Write "{{{{ {found} }}}}"' + (", without brackets or a dash." if not alone else ".")
        yield Problem("type" if alone else "template", message, document.mark(path), cure)
        step["foreach"] = f"{{{{ {found} }}}}"


def _list_named(document: Document, text: str, step: str) -> str | None:
    """The input, or the step other than this one, that a text names and that may be a list."""
    named = _LOOP.match(text)
    for section in ("inputs", "steps") if named is not None else ():
        there = document.data.get(section)
        entry = there.get(named[2]) if isinstance(there, dict) and named is not None else None
        if named is None or not isinstance(entry, dict) or named[1] not in (None, section):
            continue
        if section == "inputs" and entry.get("type") == "list":
            return f"inputs.{named[2]}"
        if section == "steps" and named[2] != step and not entry.keys().isdisjoint(("foreach", "matrix")):
            return f"steps.{named[2]}"
    return None


def _is_meant_as_list(document: Document, named: str, step: Mapping[str, JSON]) -> bool:
    """Whether the one item of a list cannot be the text that it is: a field of it is read, or nothing else reads what
    it names.
    """
    section, _, name = named.partition(".")
    reads = rf"\b{section}\s*(?:\.\s*|\[\s*['\"]){re.escape(name)}\b"
    if section == "inputs" and re.search(reads, document.text) is None:
        return True
    return re.search(r"\bitem\.\w+\b(?!\()", json.dumps(step)) is not None


def against(
    document: Document, schema: JSON, at: tuple[str | int, ...] = (), *, what: str = "The pipeline"
) -> list[Problem]:
    """Every fault of the part of a document at a place, against any schema. ``what`` the document is called."""
    faults = _faults(document, Draft202012Validator(schema), at, what)
    return [problem for fault in faults for problem in _problems(document, fault)]


def _faults(
    document: Document, validator: Validator, at: tuple[str | int, ...] = (), what: str = "The pipeline"
) -> list[_Fault]:
    """What a validator finds in the part of a document at a place, when numbers are texts where text is wanted."""

    def found() -> list[_Fault]:
        part = functools.reduce(lambda data, part: data[part], at, document.data)
        return [_Fault((*at, *error.absolute_path), error, what) for error in _errors(validator, part)]

    faults = found()
    numbers = [fault for fault in faults if _is_text_as_written(document, fault)]
    for fault in numbers:
        _put(document.data, fault.path, document.raw(fault.path))
    return found() if numbers else faults


@functools.cache
def _top_validator() -> Validator:
    return Draft202012Validator(top_schema())


@functools.cache
def _step_validator(kind: str | None) -> Validator:
    if kind is not None and kind in KINDS:
        return Draft202012Validator(step_schema(KINDS[kind]))
    unknown = {
        "type": "object",
        "properties": {"kind": {"type": "string", "enum": list(KINDS)}},
        "required": ["kind"],
        "examples": [{"kind": "parse_json", "text": "{{ inputs.answer }}"}],
    }
    return Draft202012Validator(unknown)


def _errors(validator: Validator, data: JSON) -> Iterator[ValidationError]:
    for error in validator.iter_errors(data):
        yield from _leaves(error)


def _leaves(error: ValidationError) -> Iterator[ValidationError]:
    """The faults that matter: of several ways to write a value, the one that was meant."""
    if error.validator != "anyOf" or all(e.validator == "required" for e in error.context or ()):
        yield error
        return
    branches: dict[int, list[ValidationError]] = {}
    for inner in error.context or ():
        branches.setdefault(int(inner.relative_schema_path[0]), []).append(inner)
    fits = [errors for errors in branches.values() if not any(_is_of_another_form(e) for e in errors)]
    for inner in (fits or list(branches.values()))[0]:
        yield from _leaves(inner)


def _is_of_another_form(error: ValidationError) -> bool:
    if error.relative_path:
        return False
    word: Any = error.validator
    return word in ("type", "required") or error.validator_value == TEMPLATE["pattern"]


def _problems(document: Document, fault: _Fault) -> Iterator[Problem]:
    error, path = fault.error, fault.path
    wanted: Any = error.validator_value
    value: Any = error.instance
    match error.validator:
        case "additionalProperties":
            yield from _unknown_keys(document, fault)
        case "required" | "anyOf" if _is_misspelt(error) or _has_another(error):
            pass  # which is told
        case "required":
            owner, key = _owner(path, fault.whole), _missing(error)
            yield Problem("missing-key", f"{owner} has no {key}.", document.mark(path, key=True), f"Add {key}:.")
        case "anyOf":
            keys = " or ".join(_list(e.validator_value)[0] for e in error.context or ())
            yield Problem("missing-key", f"{_owner(path, fault.whole)} has no {keys}.", document.mark(path, key=True),
                          f"Add {keys.split(' ')[0]}:.")  # fmt: skip
        case "pattern" if "propertyNames" in error.absolute_schema_path:
            owner = _last_name(path)
            yield Problem("name", f"{_short(value)} cannot be a name in {owner}.",
                          document.mark((*path, value), key=True), _pattern(error, f"names of {owner}"))  # fmt: skip
        case "enum" if not _is_of_type(error):
            pass  # which is told
        case "type" if (meant_by := _in_short(error, path)) is not None:
            message, _ = explain(error, _last_name(path))
            cure = f"Write {_last_name(path)}: {_flow(meant_by)}."
            yield Problem("type", message, document.mark(path), cure)
            document.replaced(path, meant_by)
        case "type" if path[:1] == ("inputs",) and path[2:] == ("required",) and str(value).lower() in _YES | _NO:
            message, _ = explain(error, "required")
            needed = "an input without default: must be given" if str(value).lower() in _YES else "add default:"
            yield Problem("type", message, document.mark(path), f"Leave it out; {needed}.")
        case "not" | "pattern" if path[-1:] == ("headers",):  # of a header's name
            allowed = error.validator == "pattern"
            cure = "Use letters, digits and -." if allowed else _KEYS
            message = f"{_short(value)} cannot be the name of a header."
            yield Problem("value", message, document.mark((*path, value), key=True), cure)
        case "enum" if path[:1] == ("inputs",) and path[2:] == ("type",) and (cure := _type_meant(str(value).lower())):
            yield Problem("value", f"type cannot be {_short(value)}.", document.mark(path), cure)
        case "enum" if path[-1] == "kind":
            beside = functools.reduce(lambda data, part: data[part], path[:-1], document.data)
            kind = synonyms.of_kind(str(value), beside)
            instead = f"Write {kind}." if kind in KINDS else nearest(str(value), _list(wanted))
            yield Problem("unknown-kind", f"There is no kind {_short(value)}.", document.mark(path), instead)
        case _:
            code = "type" if error.validator == "type" else "value"
            message, instead = explain(error, _last_name(path))
            yield Problem(code, message, document.mark(path), instead)


_YES, _NO = {"yes", "on", "true"}, {"no", "off", "false"}


def _is_of_type(error: ValidationError) -> bool:
    """Whether a value that is none of those allowed is at least of their type; else that is told."""
    assert isinstance(error.schema, Mapping)
    wanted = error.schema.get("type")
    given: Any = error.instance
    return wanted is None or any(_TYPE_CHECKER.is_type(given, each) for each in _list(wanted))


_TYPE_CHECKER: Validator = Draft202012Validator({})


def _in_short(error: ValidationError, path: Sequence[str | int]) -> dict[str, JSON] | None:
    """The mapping that was meant by a model's id, or an input's default, where an entry should stand."""
    assert isinstance(error.schema, Mapping)
    known, value = error.schema.get("properties", {}), error.instance
    match path:
        case ("models", _) | ("profiles", _, "models", _) if "model" in known and isinstance(value, str):
            return {"model": value}
        case ("inputs", _) if "default" not in known:
            return None
        case ("inputs", _) if value is None:
            return {"type": "string"}
        case ("inputs", _) if isinstance(value, str) and value in known["type"]["enum"]:
            return {"type": value}
        case ("inputs", _) if isinstance(value, str) and value in _TYPE_MEANT:
            return {"type": _TYPE_MEANT[value]}
        case ("inputs", _):
            return {"type": _INPUT_OF[type(value)], "default": value}
    return None


_TYPE_MEANT = {
    **dict.fromkeys(("str", "text", "char", "varchar", "word"), "string"),
    **dict.fromkeys(("int", "long", "count"), "integer"),
    **dict.fromkeys(("float", "double", "decimal", "num"), "number"),
    **dict.fromkeys(("bool", "flag", "checkbox"), "boolean"),
    **dict.fromkeys(("array", "tuple", "set", "strings"), "list"),
    **dict.fromkeys(("dict", "map", "mapping", "json", "hash", "record"), "object"),
    **dict.fromkeys(("picture", "photo", "img", "png", "jpg", "jpeg"), "image"),
    **dict.fromkeys(("sound", "voice", "music", "mp3", "wav"), "audio"),
    **dict.fromkeys(("movie", "film", "clip", "mp4"), "video"),
    **dict.fromkeys(("path", "document", "binary"), "file"),
}
"""Types of inputs as they are called elsewhere."""
_LIST_OF = re.compile(r"(?:list|array)\W+(?:of\W+)?(\w+)\W*\Z|(\w+)\[\]\Z")
"""A list and what is in it, as it is written elsewhere: ``list of string``, ``list[string]``, ``string[]``."""


def _type_meant(word: str) -> str:
    """The type of inputs that is called so elsewhere; empty where none is."""
    if word in _TYPE_MEANT:
        return f"Did you mean {_TYPE_MEANT[word]}?"
    if (of := _LIST_OF.match(word)) is None:
        return ""
    each = (of[1] or of[2]).removesuffix("s")
    each = _TYPE_MEANT.get(each, each)
    items = f", items: {{type: {each}}}" if each in ("string", "integer", "number", "boolean") else ""
    return f"Write type: list{items}."


_INPUT_OF = {str: "string", bool: "boolean", int: "integer", float: "number", list: "list"}

_KEYS = "Runpod's key is sent by runner itself; the variable with another server's key is named by api_key_env:."


def explain(error: ValidationError | SchemaError, name: str) -> tuple[str, str]:
    """What is wrong with a value, in a sentence, and what to write instead. ``name`` is what its owner calls it."""
    value: Any = error.instance
    wanted: Any = error.validator_value
    count = counted(wanted, "item") if isinstance(wanted, int) else ""
    match error.validator:
        case "type":
            return _wrong_type(error, name)
        case "enum" if keys := _keys_instead(error):
            known = [str(v) for v in _list(wanted)]
            ways = [*known, *(f"{{{key}: …}}" for key in keys)]
            cure = f"Write {{{value}: …}}." if value in keys else f"Write {', '.join(ways[:-1])} or {ways[-1]}."
            near = nearest(str(value), known)
            return f"{name} cannot be {_short(value)}.", near if near.startswith("Did") else cure
        case "enum" | "const":
            return f"{name} cannot be {_short(value)}.", nearest(str(value), [str(v) for v in _list(wanted)])
        case "pattern":
            what = "duration" if wanted == DURATION and name == "for" else name
            return f"{_short(value)} is not a valid {what}.", _pattern(error, name)
        case "format":
            return f"{_short(value)} is not a valid {wanted}.", "Check its brackets and backslashes."
        case "minimum" | "exclusiveMinimum" | "maximum" | "exclusiveMaximum" | "multipleOf":
            bound = {"minimum": "at least", "exclusiveMinimum": "more than", "maximum": "at most",
                     "exclusiveMaximum": "less than", "multipleOf": "a multiple of"}[error.validator]  # fmt: skip
            return f"{name} cannot be {value}.", f"It must be {bound} {wanted}."
        case "minLength" if wanted == 1:
            return f"{name} is empty.", "Write text."
        case "minLength" | "maxLength":
            bound = "at least" if error.validator == "minLength" else "at most"
            return f"{name} has {counted(len(value), 'character')}.", f"It must have {bound} {wanted}."
        case "minProperties" | "minItems":
            return f"{name} is empty." if not value else f"{name} has too few items.", f"It must have at least {count}."
        case "maxProperties" if wanted == 1:
            return f"{name} says {' and '.join(value)}.", "Keep one of them."
        case "maxItems":
            return f"{name} has {counted(len(value), 'item')}.", f"It must have at most {count}."
        case "required":
            missing = _missing(error)
            return f"{name} has no {missing}.", f"Add {missing}:."
    return f"{name}: {error.message}.", ""


def _keys_instead(error: ValidationError | SchemaError) -> list[str]:
    """The keys of the mapping that may stand where a word stands which is none of those allowed."""
    way: Any = error.parent.validator_value if error.parent is not None and error.parent.validator == "anyOf" else ()
    return [key for each in way for key in each.get("properties", ())]


def _missing(error: ValidationError | SchemaError) -> str:
    """The key that this fault is about: there is a fault for each that is missing, and only its message says which."""
    given: Any = error.instance
    missing = [str(key) for key in _list(error.validator_value) if key not in given]
    return next((key for key in missing if error.message.startswith(repr(key))), missing[0])


def _is_misspelt(error: ValidationError) -> bool:
    """Whether a key that is missing is there under a name that is nearly its own."""
    schema, given = error.schema, error.instance
    if not isinstance(given, Mapping):
        return False
    if error.validator == "anyOf" and str(given.get("kind")) in KINDS:  # several keys of which a step needs one
        schema = _step_validator(given["kind"]).schema
    assert isinstance(schema, Mapping)
    known = schema.get("properties", {})
    groups = [error, *(error.context or ())]
    wanted = {key for each in groups if each.validator == "required" for key in _list(each.validator_value)}
    strangers = [key for key in given if key not in known] if schema.get("additionalProperties") is False else []
    return any(meant.is_meant(key, list(known), each) for key in strangers for each in wanted - given.keys())


def _has_another(error: ValidationError) -> bool:
    """Whether an unknown key stands in the place of one that is missing."""
    schema, given = error.schema, error.instance
    if not isinstance(given, Mapping):
        return False
    if error.validator == "anyOf" and str(given.get("kind")) in KINDS:
        schema = _step_validator(given["kind"]).schema
    return isinstance(schema, Mapping) and _in_place_of(schema, given) is not None


OF_A_MODEL = {
    "headers": "headers: {…}",
    "policy": "policy: {…}",
    "base_url": "base_url: …",
    "api_key_env": "base_url: …, api_key_env: …",
}
"""Keys of an entry of ``models:``, which authors look for in a step, as they are written there."""


def _unknown_keys(document: Document, fault: _Fault) -> Iterator[Problem]:
    path, schema, value = fault.path, fault.error.schema, fault.error.instance
    assert isinstance(schema, Mapping)
    assert isinstance(value, Mapping)
    properties, patterns = schema.get("properties", {}), schema.get("patternProperties", {})
    pair = _in_place_of(schema, value)
    for key in value:
        if key in properties or (patterns and any(_search(p, key) for p in patterns)):
            continue
        if key == "height" and "width" in value and "size" in properties and _is_step(path):
            continue  # which is told with the width
        mark = document.mark((*path, key), key=True)
        if pair is not None and key == pair[0]:
            message = (
                f"{_owner(path, fault.whole)} has no {' or '.join(pair[1])}, and does not know the key {_short(key)}."
            )
            yield Problem("unknown-key", message, mark, f"Write {pair[1][0]}: instead.")
        elif STEP_ID in patterns or PROFILE in patterns:
            signs = "digits, _ and -" if PROFILE in patterns else "digits and _"
            yield Problem("name", f"{_short(key)} cannot be a name here.", mark,
                          f"Use small letters, {signs}, with a letter first.")  # fmt: skip
        elif key == "pick" and path[:1] == ("steps",) and len(path) == 2:
            kinds = ", ".join(name for name, kind in KINDS.items() if makes(kind))
            yield Problem("pick", f"{value.get('kind')} makes nothing that there could be several of to choose from.",
                          mark, f"Remove it. These kinds make candidates: {kinds}.")  # fmt: skip
        else:
            belongs = key in OF_A_MODEL and path[:1] == ("steps",) and len(path) == 2 and "model" in properties
            instead = nearest(key, list(properties))
            if _is_step(path):
                instead = _key_meant(key, value, properties)
            if belongs:
                instead = (
                    f"It belongs under models:, as mine: {{model: …, {OF_A_MODEL[key]}}}; then say model: mine here."
                )
            owner = _owner(path, fault.whole)
            yield Problem("unknown-key", f"{owner} does not know the key {_short(key)}.", mark, instead)


def _key_meant(key: str, step: Mapping[str, JSON], known: Mapping[str, JSON]) -> str:
    """What to write instead of a key that steps of this kind do not have."""
    if (ours := synonyms.of_key(key, step, known)) is not None:
        word, value = ours
        if word == "size" and value is None:
            return "Write size: WIDTHxHEIGHT, such as 1024x768."
        return f"Write {word}: {_flow(value)}." if value != step[key] else f"Did you mean {word}?"
    instead = nearest(key, list(known))
    if key in ("name", "id", "title", "description", "comment") and not instead.startswith("Did"):
        return "The step is named by the key that it stands under; a comment begins with #."
    return f"{instead[:-1]}; runner kinds {step.get('kind')} lists all." if instead.endswith("….") else instead


def _is_text_as_written(document: Document, fault: _Fault) -> bool:
    """Whether a bare number, or true or false, stands where text is wanted: it is meant as it was written."""
    error = fault.error
    wants_text = error.validator == "type" and _list(error.validator_value) == ["string"]
    return wants_text and error.instance is not None and bool(document.raw(fault.path))


def _wrong_type(error: ValidationError | SchemaError, name: str) -> tuple[str, str]:
    value, wanted = error.instance, _list(error.validator_value)
    words = " or ".join(_TYPE_NAMES[t] for t in wanted)
    message = f"{name} is empty." if value is None else f"{name} must be {words}; this is {_name(value)}."
    assert isinstance(error.schema, Mapping)
    if isinstance(value, str) and (bound := _bound(error, value)):
        return message, f"Write {bound}."
    if meant := _form_of(name, value):
        return message, f"Write {meant}."
    if isinstance(value, str) and set(wanted) & {"integer", "number", "boolean"}:
        template = ", or a template that yields it" * any(way == TEMPLATE for way in _ways(error))
        return message, _without_quotes(value, wanted, words + template)
    inner = error.schema.get("items")
    tail = ": no template can stand here" if isinstance(value, str) and is_template(value) else ""
    if wanted == ["array"] and isinstance(value, dict) and isinstance(inner, Mapping) and inner.get("type") == "object":
        return message, f"Write [{_short(_flow(value))}]."
    if wanted == ["array"] and isinstance(value, str | int | float) and not isinstance(value, bool) and not tail:
        return message, f"Write [{_short(value)}]."
    if known := error.schema.get("enum"):
        return message, nearest("", [str(v) for v in known])
    if examples := error.schema.get("examples"):
        return message, f"Write {words}, such as {_flow(examples[0])}{tail}."
    return message, f"Write {words}{tail}."


def _ways(error: ValidationError | SchemaError) -> list[JSON]:
    """In how many ways a value may be written, if there is a choice."""
    return _list(error.parent.validator_value) if error.parent is not None else []


def _form_of(name: str, value: JSON) -> str:
    """How keys are written of which one often writes the value alone; else nothing."""
    if name == "cache" and isinstance(value, str) and re.match(DURATION, value):
        return f"{{for: {value}}}"
    if name == "limits" and type(value) is int:
        return f"{{calls: {value}}}"
    count = re.fullmatch(r"(?:range\()?(\d+(?: *, *\d+)?)\)?", str(value)) if name == "foreach" else None
    return f'"{{{{ range({count[1]}) | list }}}}"' if count is not None else ""


_BOUNDS = {">=": "at_least", "=>": "at_least", "<=": "at_most", "=<": "at_most", ">": "above", "<": "below"}


def _bound(error: ValidationError | SchemaError, text: str) -> str:
    """A bound as one writes it in a test, where it was written with a sign: ``>= 1024``; else nothing."""
    said = re.match(r"\s*(>=|=>|<=|=<|>|<)\s*\$?([\d.]+)\Z", text.rstrip())
    assert isinstance(error.schema, Mapping)
    takes = any("at_least" in way.get("properties", ()) for way in (error.schema, *_ways(error)))
    return f"{{{_BOUNDS[said[1]]}: {said[2]}}}" if said is not None and takes else ""


def _without_quotes(value: str, wanted: Sequence[str], words: str) -> str:
    if wanted == ["boolean"]:
        meant = {"yes": "true", "on": "true", "no": "false", "off": "false"}.get(value.lower(), value.lower())
        return f"Write {meant}, without quotes." if meant in ("true", "false") else f"Write {words}."
    if re.fullmatch(r"[-+]?[0-9]+(_[0-9]+)+(\.[0-9]+)?", value):
        return f"Write {value.replace('_', '')}."
    return "Remove the quotes." if _is_number(value) else f"Write {words}."


def _flow(value: JSON) -> str:
    """An example as one writes it on one line of YAML."""
    match value:
        case dict():
            return "{" + ", ".join(f"{k}: {_flow(v)}" for k, v in value.items()) + "}"
        case list():
            return "[" + ", ".join(map(_flow, value)) + "]"
        case str():
            return f'"{value}"' if is_template(value) else value if _is_plain(value) else json.dumps(value)
    return json.dumps(value)


def _is_plain(text: str) -> bool:
    """Whether a text needs no quotes in a mapping on one line."""
    return read_scalar(text) == text and re.search(r"\A[^\w/.]|[,\[\]{}\n]|:(\s|\Z)|\s#|\A\s|\s\Z", text) is None


_TYPE_NAMES = {
    "string": "text", "integer": "an integer", "number": "a number", "boolean": "true or false",
    "array": "a list", "object": "a mapping", "null": "null",
}  # fmt: skip


def _owner(path: Sequence[str | int], whole: str) -> str:
    match path:
        case ():
            return whole
        case ("cases", name):
            return f"The case {name}"
        case ("steps", name):
            return f"The step {name}"
        case ("inputs", name):
            return f"The input {name}"
        case ("models", name):
            return f"The model {name}"
    return _last_name(path)


def _last_name(path: Sequence[str | int]) -> str:
    """What a value is called: an item of a list by its list's name."""
    return next((part for part in reversed(path) if isinstance(part, str)), "The pipeline")


def _pattern(error: ValidationError | SchemaError, name: str) -> str:
    words = {"type": "Write what kind of file it is: png, or image/png.",
             "names of tools": "Use letters, digits, _ and -; at most 64.",
             "names of headers": "Use letters, digits and -.",
             "size": "Write WIDTHxHEIGHT, such as 1024x1024.", "aspect_ratio": "Write WIDTH:HEIGHT, such as 4:3.",
             "name": "Use letters, digits, dots, _ and -.", "timeout": "Write seconds, or 90s, 5m, 1h.",
             "endpoint": "Use letters, digits, dots, _ and -, with a letter or a digit first.",
             "base_url": "Write an http:// or https:// address."}  # fmt: skip
    if error.validator_value == DURATION:
        return "Write seconds, or 12h, 7d." if name == "for" else words["timeout"]
    value: Any = error.instance
    if name in words and isinstance(value, str) and re.search(str(error.validator_value), value.lower()):
        return f"Write {value.lower()}."
    return words.get(name, f"It must match {error.validator_value}.")


def _name(value: JSON) -> str:
    match value:
        case None:
            return "empty"
        case bool():
            return "true or false"
        case int():
            return f"the integer {value}"
        case float():
            return f"the number {value}"
        case str():
            return f"the text {_short(value)}"
        case list():
            return "a list"
    return "a mapping"


def _short(value: JSON) -> str:
    text = str(value).lower() if isinstance(value, bool) else "null" if value is None else str(value)
    return text if len(text) <= 60 else text[:57] + "…"


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _search(pattern: str, text: str) -> bool:
    return re.search(pattern, text) is not None


def _list(value: Any) -> list[Any]:
    return list(value) if isinstance(value, list | tuple) else [value]


def _put(data: JSON, path: Sequence[str | int], value: JSON) -> None:
    for part in path[:-1]:
        data = data[part]
    data[path[-1]] = value
