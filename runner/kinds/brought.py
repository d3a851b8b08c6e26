"""Kinds of installed packages: what their form must be, and what becomes of their mistakes.

Form is looked at when the package is loaded, so that a mistake of it is told before anything is checked or runs. What
its functions do is looked at when they are called: an exception that is none of ours, or a result that is no result,
fails the cell with a sentence that names the package.
"""

from __future__ import annotations

import math
import traceback
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from jsonschema import Draft202012Validator
from jsonschema.exceptions import SchemaError

from ..errors import PluginFailed, RunnerError, StepError, UsageError, enumerated
from ..model import JSON, Chat, Job, Output, Reply, canonical
from ..plugins import Plugin, misfit, shown

RESERVED = frozenset({
    "kind", "model", "pick", "needs", "after", "when", "foreach", "matrix", "key", "limit", "at_once", "timeout",
    "retry", "cache", "on_failure", "budget",
})  # fmt: skip
"""Keys that a step of any kind may have: no param of a kind can be called so."""

_WORDS: Mapping[str, tuple[type | tuple[type, ...], str]] = {
    "NAME": (str, "a text"),
    "VERSION": (int, "a whole number"),
    "TITLE": (str, "a text"),
    "CALLS": (bool, "True or False"),
    "PARAMS": (Mapping, "a mapping of params to their JSON Schemas"),
    "REQUIRED": ((tuple, list), "a tuple of tuples of params: (('text',), ('at_most',))"),
    "TIMEOUT": ((int, float), "a number of seconds"),
}
_TYPES = ("string", "integer", "number", "boolean", "array", "object")
_FILES = ("image", "audio", "video", "file")


class Brought:
    """A kind of a package, held to what a kind promises."""

    def __init__(self, plugin: Plugin) -> None:
        kind = plugin.thing
        self._plugin = plugin
        self.NAME: str = kind.NAME
        self.VERSION: int = kind.VERSION
        self.TITLE: str = kind.TITLE
        self.CALLS: bool = kind.CALLS
        self.PARAMS: Mapping[str, JSON] = kind.PARAMS
        self.REQUIRED: tuple[tuple[str, ...], ...] = tuple(tuple(group) for group in kind.REQUIRED)
        self.TIMEOUT: float = kind.TIMEOUT

    def output(self, params: Mapping[str, JSON]) -> JSON:
        """What a step with these params yields. `UsageError` if the package cannot say it."""
        try:
            found = self._plugin.thing.output(params)
        except RunnerError:
            raise
        except Exception as err:
            msg = f"A pipeline cannot be checked: {self._plugin.raised(err, 'in output')}. {self._cure()}"
            raise UsageError(msg) from err
        if why := _no_output(found):
            msg = f"A pipeline cannot be checked: {self._plugin}: {why}. {self._cure()}"
            raise UsageError(msg)
        return found

    def advance(self, params: Mapping[str, JSON], replies: Sequence[Reply]) -> Job | Chat | Output:
        """The next call, or the output. `PluginFailed` if it is neither."""
        try:
            found = self._plugin.thing.advance(params, replies)
        except StepError:
            raise
        except Exception as err:
            raise failed(self._plugin, self._plugin.raised(err, "in advance"), err) from err
        if why := self._no_step(found):
            raise failed(self._plugin, f"advance of {self._plugin} gives {why}")
        assert isinstance(found, Job | Chat | Output)
        return found if isinstance(found, Output) or found.label else replace(found, label=found.endpoint)

    def _no_step(self, found: Any) -> str:
        """Why what ``advance`` gave is neither a call nor an output; empty if it is one."""
        if not isinstance(found, Output | Job | Chat):
            return f"{shown(found)}, where it must give a Job, a Chat or an Output of runner.model"
        if not self.CALLS and not isinstance(found, Output):
            return f"a {type(found).__name__}, and the kind says CALLS = False"
        values: object = found.values if isinstance(found, Output) else {}
        if not isinstance(values, Mapping):
            return f"an Output of {shown(values)}, where a mapping of names to values belongs"
        try:
            _ = canonical(values) if isinstance(found, Output) else found.text
        except (TypeError, ValueError, RecursionError) as err:
            what = "an Output" if isinstance(found, Output) else f"a {type(found).__name__}"
            return f"{what} with something that is no JSON ({err})"
        return ""

    def _cure(self) -> str:
        return f"Mend or uninstall {self._plugin.package}."


def failed(plugin: Plugin, said: str, err: BaseException | None = None, more: str = "") -> PluginFailed:
    """What a cell ends with for a mistake of a package; the traceback, and ``more``, go to the run folder."""
    told = f"{said}; this is a fault of {plugin.package}, not of the pipeline"
    kept = "".join(traceback.format_exception(err)) if err is not None else ""
    return PluginFailed(told, keep=f"{kept}{more}" or None)


def unfit(name: str, kind: Any) -> str:
    """Why a thing is no kind; empty if it is one."""
    if missing := [word for word in (*_WORDS, "output", "advance") if not hasattr(kind, word)]:
        return f"it has no {', '.join(missing)}"
    return next(_faults(name, kind), "")


def _faults(name: str, kind: Any) -> Iterator[str]:
    """What is wrong with a thing that has the names of a kind."""
    if name != kind.NAME:
        yield f"its NAME is {kind.NAME}"
    for word, (wanted, said) in _WORDS.items():
        value = getattr(kind, word)
        if not isinstance(value, wanted) or (isinstance(value, bool) and word != "CALLS"):
            yield f"its {word} is {shown(value)}; it must be {said}"
    if not (math.isfinite(kind.TIMEOUT) and kind.TIMEOUT > 0):
        yield f"its TIMEOUT is {kind.TIMEOUT}; it must be more than 0 seconds"
    for param, schema in kind.PARAMS.items():
        if param in RESERVED:
            yield f"its param {param} is called as a key that every step may have. Rename the param"
        for why in _no_param(f"its param {param}", schema):
            yield why
    for group in kind.REQUIRED:
        if isinstance(group, str) or not isinstance(group, Sequence) or not group:
            yield f"its REQUIRED holds {shown(group)}; it must be {_WORDS['REQUIRED'][1]}"
        elif unknown := [word for word in group if word not in kind.PARAMS]:
            yield f"its REQUIRED names {unknown[0]}, which its PARAMS do not have"
    yield from filter(None, (
        misfit("its output", kind.output, 1, "the params as they are written"),
        misfit("its advance", kind.advance, 2, "the params and the replies so far"),
    ))  # fmt: skip
    try:
        found = kind.output({})
    except Exception as err:  # noqa: BLE001 - whatever it does
        yield f"its output({{}}) raises {type(err).__name__}: {err}. It is asked without params, too"
        return
    if why := _no_output(found):
        yield why
    try:
        Draft202012Validator.check_schema(found)
    except SchemaError as err:
        yield f"its output({{}}) is no JSON Schema: {err.message}, at {_path(err)}"


def _no_output(found: object) -> str:
    """Why something does not say what a step yields; empty if it does."""
    properties = found.get("properties") if isinstance(found, Mapping) else None
    if not isinstance(properties, Mapping) or not all(isinstance(each, Mapping) for each in properties.values()):
        wanted = "a JSON Schema of an object, with its fields under properties"
        return f"its output gives {shown(found)}; it must give {wanted}"
    return ""


def _no_param(name: str, schema: object) -> Iterator[str]:
    """Why something does not say what a param may be."""
    if not isinstance(schema, Mapping):
        yield f"{name} is {shown(schema)}; it must be a JSON Schema"
        return
    if "artifact" in schema and schema["artifact"] not in _FILES:
        yield f"{name} is the artifact {schema['artifact']!r}; it can be {enumerated(_FILES)}"
    if "type" in schema and (not isinstance(schema["type"], str) or schema["type"] not in _TYPES):
        yield f"the type of {name} is {schema['type']!r}; it can be {enumerated(_TYPES)}"
    inner = [(f"{name}.{word}", each) for word, each in _mapping(schema.get("properties")).items()]
    inner += [(f"the items of {name}", schema["items"])] if "items" in schema else []
    inner += [(f"a way of {name}", each) for each in schema.get("anyOf") or () if isinstance(schema["anyOf"], list)]
    for path, each in inner:
        yield from _no_param(path, each)
    try:
        Draft202012Validator.check_schema(schema)
    except SchemaError as err:
        yield f"{name} is no JSON Schema: {err.message}, at {_path(err)}"


def _mapping(value: object) -> Mapping[str, JSON]:
    return value if isinstance(value, Mapping) else {}


def _path(err: SchemaError) -> str:
    return ".".join(map(str, err.absolute_path)) or "its top"
