"""A document in, a `Pipeline` out, with every template parsed; or every problem of its form.

Nothing is resolved here: which model a name means, which step a template reads is for `check` and `plan`.
"""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import PurePath
from typing import Any, Literal

from jsonschema import Draft202012Validator
from jsonschema.exceptions import SchemaError, ValidationError

from . import braces, keywords, outline, shape, source, templates
from .errors import PipelineProblems, Problem, nearest
from .kinds import KINDS
from .kinds.nesting import parts
from .meant import renamed, without_braces
from .model import JSON, UNITS, Ceiling
from .schema import INPUT_TYPES
from .slips import of_another_sort
from .source import Document
from .syntax import HalfTemplate, TemplateFault
from .templates import Template, Tree, anything
from .validate import explain, named_lists, validate

ReadFile = Callable[[str], str]
"""The text of a file beside the pipeline, by its path as written. OSError or ValueError if it cannot be had."""

_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_TYPES = {"list": "array", "image": "artifact", "audio": "artifact", "video": "artifact", "file": "artifact"}


_OF_LENGTH = {"minimum": "minLength", "maximum": "maxLength"}
"""What bounds a number, and what bounds a text."""


@dataclass(frozen=True, slots=True)
class Input:
    """A declared input. ``schema`` is the JSON Schema of its values; a file's is ``{"artifact": "image"}``."""

    name: str
    type: str
    schema: Mapping[str, JSON]
    description: str = ""
    default: JSON = None
    required: bool = True


@dataclass(frozen=True, slots=True)
class Retry:
    """When to try again: unset fields are the defaults of the fault's class."""

    attempts: int | None = None
    wait: float | None = None
    factor: float | None = None
    max_wait: float | None = None
    on: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Step:
    """A step as written: ``params`` with templates parsed, the model by the name that the author gave it."""

    id: str
    kind: str
    params: Mapping[str, Tree]
    model: str | None = None
    needs: tuple[str, ...] = ()
    after: tuple[str, ...] = ()
    timeout: float | None = None
    retry: Retry = field(default_factory=Retry)
    cache: bool = True
    cache_for: float | None = None
    """Seconds for which a stored reply may be used; None for ever."""
    when: Tree = None
    """A truth value, or the template that yields it; None for always."""
    foreach: Tree = None
    """A list, or the template that yields it; None where the step is not multiplied by one."""
    matrix: Mapping[str, Tree] | None = None
    key: Template | None = None
    limit: int | None = None
    at_once: int | None = None
    on_failure: Literal["continue", "stop"] = "continue"
    budget: Ceiling | None = None
    pick: int | None = None
    """How many candidates each cell makes, of which a person chooses one."""

    @property
    def fanned_out(self) -> bool:
        """Whether it has cells with keys; a plain step is one cell without."""
        return self.foreach is not None or self.matrix is not None

    @property
    def control(self) -> Iterator[tuple[str, Tree]]:
        """The keys beside the params that may hold templates, in the order in which they are rendered."""
        for name in ("when", "foreach", "matrix", "key"):
            if (tree := getattr(self, name)) is not None:
                yield name, tree


@dataclass(frozen=True, slots=True, eq=False)
class Alias:
    """An entry of ``models:``: where a model is, and params for the steps that use it."""

    model: str
    base_url: str | None = None
    api_key_env: str | None = None
    headers: Mapping[str, JSON] = field(default_factory=dict)
    policy: Mapping[str, JSON] = field(default_factory=dict)
    params: Mapping[str, Tree] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, eq=False)
class Pipeline:
    """A pipeline whose form is right."""

    name: str
    version: str | None
    description: str
    inputs: Mapping[str, Input]
    models: Mapping[str, Alias]
    env: tuple[str, ...]
    budget: Ceiling | None
    deadline: float | None
    """Seconds after which no new cell is let in."""
    calls: int | None
    """Calls in flight at once; None where the pipeline does not say."""
    per_model: Mapping[str, int]
    """Calls in flight at once by alias or model id."""
    steps: Mapping[str, Step]
    outputs: Mapping[str, Tree]
    document: Document
    profile: str | None = None
    """The profile that has been laid over what the file says; None for none."""
    profiles: tuple[str, ...] = ()
    """The profiles that there are."""
    misnamed: frozenset[str] = frozenset()
    """The steps whose names could be none, as they are called now; that has been told."""
    files: Mapping[tuple[str | int, ...], Document] = field(default_factory=dict)
    """Texts that were read from files, by the path of the parameter they stand for."""

    def place(self, path: Sequence[str | int]) -> tuple[Document, tuple[str | int, ...]]:
        """The document that the value at ``path`` was written in, and its path there."""
        path = tuple(path)
        return (self.files[path], ()) if path in self.files else (self.document, path)


def load(
    text: str, file: str, read_file: ReadFile, profile: str | None = None
) -> tuple[Pipeline | None, list[Problem]]:
    """Read a pipeline. The pipeline is there even with problems, as far as it can be understood.

    A ``profile`` is laid over what it says, if it has one of that name.
    """
    with source.collector_paused():
        return _load(text, file, read_file, profile)


def _load(text: str, file: str, read_file: ReadFile, profile: str | None) -> tuple[Pipeline | None, list[Problem]]:
    document, misread = outline.read(text, file)
    if document is None:
        return None, misread
    if (other := of_another_sort(document)) is not None:
        return None, [other]
    if not isinstance(document.data, dict):
        return None, [*misread, *validate(document)]
    problems = [*misread, *without_braces(document), *named_lists(document), *validate(document)]
    profiles = _mapping(document.data, "profiles")
    problems += _strangers(document, profiles)
    names = tuple(name for name, said in profiles.items() if isinstance(said, dict))
    if profile in names:
        at, told = ("profiles", profile), {problem.mark for problem in problems}
        unknown = [key for key in profiles[profile] if document.mark((*at, key), key=True) in told]
        document = document.overlaid(at, merged=("models",), without=unknown)
    else:
        profile = None
    now = renamed(document)
    found = _Loader(document, read_file, problems, now).pipeline()
    return replace(found, profile=profile, profiles=names, misnamed=frozenset(now["steps"].values())), problems


def _strangers(document: Document, profiles: Mapping[str, JSON]) -> Iterator[Problem]:
    """Models of profiles that the pipeline does not have: nothing would use them."""
    models = list(_mapping(document.data, "models"))
    if not models and "models" in document.data:
        return  # which is told
    for name, said in profiles.items():
        for alias in _mapping(said, "models") if isinstance(said, dict) else ():
            if alias not in models:
                yield Problem(
                    "unknown-alias",
                    f"The profile {name} gives another model for {alias}, and models: has no {alias}.",
                    document.mark(("profiles", name, "models", alias), key=True),
                    nearest(alias, models) or "Name one of models:.",
                )


def duration(value: JSON) -> float | None:
    """Seconds of ``90``, ``90s``, ``5m``, ``1h``; None for None."""
    if value is None or isinstance(value, int | float):
        return value
    found = re.match(r"([0-9.]+)(ms|s|m|h|d)\Z", str(value))
    return float(found[1]) * _UNITS[found[2]] if found else None


class _Loader:
    """Builds what can be built. A part of the wrong type has been told as a problem and is left out."""

    def __init__(
        self,
        document: Document,
        read_file: ReadFile,
        problems: list[Problem],
        renamed: Mapping[str, Mapping[str, str]],
    ) -> None:
        self.document, self.read_file, self.problems = document, read_file, problems
        self.renamed = renamed
        self.marks = {problem.mark for problem in problems}
        self.files: dict[tuple[str | int, ...], Document] = {}

    def pipeline(self) -> Pipeline:
        data = self.document.data
        limits = _mapping(data, "limits")
        return Pipeline(
            name=str(data.get("name", "")),
            version=str(data["version"]) if data.get("version") is not None else None,
            description=str(data.get("description") or ""),
            inputs={n: self.input(n, _fields(d)) for n, d in _mapping(data, "inputs").items()},
            models=self.models(),
            env=tuple(v for v in _texts(data.get("env"))),
            budget=_ceiling(data),
            deadline=duration(data.get("deadline")) if not self.told(("deadline",)) else None,
            calls=limits["calls"] if isinstance(limits.get("calls"), int) else None,
            per_model={k: v for k, v in _mapping(limits, "per_model").items() if isinstance(v, int)},
            steps={n: self.step(n, _fields(d)) for n, d in _mapping(data, "steps").items()},
            outputs=self.tree(_mapping(data, "outputs"), ("outputs",)),
            document=self.document,
            files=self.files,
        )

    def input(self, name: str, data: dict[str, JSON]) -> Input:
        kind = str(data.get("type", "string"))
        path = ("inputs", name)
        words = {k: v for k, v in data.items() if k not in ("type", "description", "default", "examples")}
        words = {k: v for k, v in words.items() if not self.marks or not self.told_within((*path, k), v)}
        words = {k: v for k, v in words.items() if self.document.mark((*path, k), key=True) not in self.marks}
        if kind == "string":
            words = {k: self.as_written((*path, k), v) for k, v in words.items()}
        for word, meant in _OF_LENGTH.items() if kind == "string" else ():
            if word in words:
                mark = self.document.mark((*path, word), key=True)
                message = f"{word} is for numbers, and {name} is a text."
                self.problems.append(Problem("schema", message, mark, f"Write {meant}."))
                del words[word]
        is_file = _TYPES.get(kind) == "artifact"
        default = self.as_written((*path, "default"), data.get("default")) if kind == "string" or is_file else None
        if not self.is_schema(self.document, path, {**words, "type": "string"}):
            words = {}
        return Input(
            name=name,
            type=kind,
            schema=_input_schema(kind, words),
            description=str(data.get("description") or ""),
            default=default if default is not None else data.get("default"),
            required="default" not in data,
        )

    def as_written(self, path: tuple[str | int, ...], value: JSON) -> JSON:
        """The texts that were written at a place where text is wanted: ``1.10``, not 1.1."""
        if isinstance(value, list):
            return [self.as_written((*path, i), v) for i, v in enumerate(value)]
        if isinstance(value, int | float) and path[-1] not in ("minLength", "maxLength"):
            return self.document.raw(path) or str(value)
        return value

    def models(self) -> dict[str, Alias]:
        """The aliases. Where ``models:`` is no mapping, which has been told, the names that steps use are some."""
        said = self.document.data.get("models")
        if isinstance(said, dict) or "models" not in self.document.data:
            return {name: self.alias(name, _fields(data)) for name, data in _fields(said).items()}
        used = [step.get("model") for step in _mapping(self.document.data, "steps").values() if isinstance(step, dict)]
        return {name: Alias("") for name in used if isinstance(name, str) and "/" not in name}

    def alias(self, name: str, data: dict[str, JSON]) -> Alias:
        path = ("models", name)
        params = {k: v for k, v in data.items() if k not in ("model", "base_url", "api_key_env", "headers", "policy")}
        return Alias(
            model=str(data.get("model", "")),
            base_url=data.get("base_url"),
            api_key_env=data.get("api_key_env"),
            headers=_mapping(data, "headers") if not self.told((*path, "headers")) else {},
            policy=_mapping(data, "policy") if not self.told((*path, "policy")) else {},
            params={k: self.tree(v, (*path, k)) for k, v in params.items() if not self.told((*path, k))},
        )

    def step(self, name: str, data: dict[str, JSON]) -> Step:
        kind = data.get("kind")
        known = KINDS[kind].PARAMS if isinstance(kind, str) and kind in KINDS else {}
        path = ("steps", name)
        params = {
            k: self.param((*path, k), known[k], v) for k, v in data.items() if k in known and not self.told((*path, k))
        }
        told = (k for k in known if k in data and k not in params and known[k].get("verbatim"))
        params |= {k: {} for k in told}  # a schema of what could be anything
        retry = data.get("retry") if isinstance(data.get("retry"), dict) else {}
        assert isinstance(retry, dict)
        known_retry: dict[str, JSON] = {
            k: tuple(v) if isinstance(v, list) else v for k, v in retry.items() if k in Retry.__slots__
        }
        return Step(
            id=name,
            kind=kind if isinstance(kind, str) else "",
            params=params,
            model=data["model"] if isinstance(data.get("model"), str) else None,
            needs=self.steps(data.get("needs")),
            after=self.steps(data.get("after")),
            timeout=duration(data.get("timeout")),
            retry=Retry(**known_retry),
            cache=data.get("cache") is not False,
            cache_for=duration(_mapping(data, "cache").get("for")) if not self.told((*path, "cache", "for")) else None,
            budget=_ceiling(data),
            pick=_mapping(data, "pick").get("of") if not self.told((*path, "pick", "of")) else None,
            **self.multiplied(path, data),
        )

    def steps(self, names: JSON) -> tuple[str, ...]:
        """Steps by name, each as it is called now."""
        return tuple(self.renamed["steps"].get(name, name) for name in _texts(names))

    def multiplied(self, path: tuple[str | int, ...], data: Mapping[str, JSON]) -> dict[str, Any]:
        """What says whether a step runs, and how often."""
        found: dict[str, Any] = {}
        if "foreach" in data:
            found["foreach"] = self.tree_or_anything(data["foreach"], (*path, "foreach"))
        if "matrix" in data and self.told((*path, "matrix")):
            found["matrix"] = {"include": anything()}
        elif "matrix" in data:
            found["matrix"] = {n: self.tree_or_anything(v, (*path, "matrix", n)) for n, v in data["matrix"].items()}
        data = {name: value for name, value in data.items() if not self.told((*path, name))}
        if "when" in data:
            found["when"] = self.tree(data["when"], (*path, "when"))
        if isinstance(data.get("key"), str):
            # A key without a template is the same for every cell; the check says so, so it must be a template too.
            key = self.tree(data["key"], (*path, "key"))
            found["key"] = key if isinstance(key, Template) else templates.parse(data["key"])
            if key is anything():
                found["key"] = templates.parse("{{ index }}")  # which is another for each cell
        return {**found, **{k: data[k] for k in ("limit", "at_once", "on_failure") if k in data}}

    def param(self, path: tuple[str | int, ...], wanted: JSON, value: JSON) -> Tree:
        if wanted.get("plain"):
            return value
        verbatim = bool(wanted.get("verbatim"))
        if isinstance(value, dict) and set(value) == {"file"} and (verbatim or wanted.get("type") == "string"):
            return self.from_file(path, str(value["file"]), verbatim=verbatim)
        if verbatim:
            return value if self.is_schema(self.document, path, value) else {}
        inner = {where: self.param((*path, where), part, item) for where, part, item in parts(wanted, value)}
        if inner:
            return list(inner.values()) if isinstance(value, list) else {**value, **inner}
        return self.tree(value, path)

    def from_file(self, path: tuple[str | int, ...], file: str, *, verbatim: bool) -> Tree:
        """A long prompt, or a schema, that lives beside the pipeline."""
        try:
            text = self.read_file(file)
        except (OSError, ValueError) as err:
            why = "it is not text in UTF-8" if isinstance(err, UnicodeError) else getattr(err, "strerror", None) or err
            self.add("file", f"The file {file} cannot be read: {why}.", (*path, "file"),
                     "Name a file in the pipeline's project; paths start at the pipeline's folder.")  # fmt: skip
            return {} if verbatim else ""
        if not verbatim:
            self.files[path] = Document(self.beside(file), text, text, None)
            return self.tree(text, path)
        try:
            document = source.parse(text, self.beside(file))
        except PipelineProblems as err:
            self.problems.extend(err.problems)
            return {}
        return document.data if self.is_schema(document, (), document.data) else {}

    def beside(self, file: str) -> str:
        """A file that is named in the pipeline, as one would type it where the pipeline's own path was typed."""
        return str(PurePath(self.document.file).parent / file)

    def is_schema(self, document: Document, path: tuple[str | int, ...], value: JSON) -> bool:
        """A schema must be one, refer to its own parts only, and come to an end. What is not is a problem."""
        if not isinstance(value, dict):
            message = "A JSON Schema is a mapping."
            self.problems.append(Problem("schema", message, document.mark(path), "Write type: object."))
            return False
        found = schema_faults(value)
        for inner, message, instead in found:
            mark = document.mark((*path, *inner), key=keywords.is_of_key(inner))
            self.problems.append(Problem("schema", message, mark, instead))
        return not found

    def tree(self, value: JSON, path: tuple[str | int, ...]) -> Tree:
        def tell(inner: tuple[str | int, ...], fault: TemplateFault) -> None:
            self.problems.append(self.template_problem((*path, *inner), fault))

        tree = templates.parse_tree(self.meant(value) if any(self.renamed.values()) else value, tell)
        return self.whole(tree, (), braces.NAMES if self.has_cells(path) else braces.ROOTS, tell)

    def whole(
        self,
        tree: Tree,
        path: tuple[str | int, ...],
        names: Sequence[str],
        tell: Callable[[tuple[str | int, ...], TemplateFault], None],
    ) -> Tree:
        """The tree in which no text is a template but for its braces; those that are have been told."""
        if isinstance(tree, dict):
            return {name: self.whole(inner, (*path, name), names, tell) for name, inner in tree.items()}
        if isinstance(tree, list):
            return [self.whole(inner, (*path, index), names, tell) for index, inner in enumerate(tree)]
        text = tree.text if isinstance(tree, Template) else tree
        half = braces.in_text(text, names) if isinstance(text, str) else None
        if half is None:
            return tree
        tell(path, HalfTemplate(half))
        return anything()

    def has_cells(self, path: tuple[str | int, ...]) -> bool:
        """Whether the value at ``path`` is one of a step with many cells."""
        step = _mapping(self.document.data, "steps").get(str(path[1])) if path[0] == "steps" else None
        return isinstance(step, dict) and not step.keys().isdisjoint(("foreach", "matrix"))

    def meant(self, value: JSON) -> JSON:
        """A value whose templates name inputs and steps as they are called now, if they had names that cannot be."""
        if isinstance(value, list):
            return [self.meant(inner) for inner in value]
        if isinstance(value, dict):
            return {name: self.meant(inner) for name, inner in value.items()}
        for section, names in self.renamed.items() if isinstance(value, str) else ():
            for name in sorted(names, key=len, reverse=True):
                found = rf"\b({section}\s*(?:\.\s*|\[\s*['\"])){re.escape(name)}(?![\w-])"
                value = re.sub(found, rf"\g<1>{names[name]}", value)
        return value

    def tree_or_anything(self, value: JSON, path: tuple[str | int, ...]) -> Tree:
        """The tree of a value, or what could be anything where something in it is of the wrong type."""
        return anything() if self.marks and self.told_within(path, value) else self.tree(value, path)

    def template_problem(self, path: tuple[str | int, ...], fault: TemplateFault) -> Problem:
        document, inner = (self.files[path], ()) if path in self.files else (self.document, path)
        mark = document.mark_inside(inner, fault.offset, fault.length)
        return Problem("template", fault.sentence, mark, fault.instead)

    def add(self, code: str, message: str, path: tuple[str | int, ...], instead: str = "") -> None:
        self.problems.append(Problem(code, message, self.document.mark(path), instead))

    def told(self, path: tuple[str | int, ...]) -> bool:
        """Whether the value at ``path`` has a problem of its own already."""
        return self.document.mark(path) in self.marks

    def told_within(self, path: tuple[str | int, ...], value: JSON) -> bool:
        """Whether the value at ``path``, or one inside of it, has a problem already."""
        inside = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
        return self.told(path) or any(self.told_within((*path, part), inner) for part, inner in inside)


def is_anything(tree: Tree) -> bool:
    """Whether this stands for a value that has a problem."""
    return tree is anything()


def _ceiling(data: JSON) -> Ceiling | None:
    """The ``budget:`` of a pipeline or a step. Values of the wrong type have been told."""
    said = _mapping(data, "budget")
    most = {unit: float(said[unit]) for unit in UNITS if isinstance(said.get(unit), int | float)}
    if not most:
        return None
    unpriced = said.get("unpriced", "refuse")
    if isinstance(unpriced, dict):
        unpriced = unpriced.get("count_as", "refuse")
    return Ceiling(most, said.get("on_exceed", "stop"), unpriced)


def schema_faults(schema: JSON) -> tuple[tuple[tuple[str | int, ...], str, str], ...]:
    """What is wrong with a schema: where in it, what, what instead. Pipelines repeat theirs; each is read once."""
    return _schema_faults(json.dumps(schema, default=str))


@functools.lru_cache(maxsize=1024)
def _schema_faults(text: str) -> tuple[tuple[tuple[str | int, ...], str, str], ...]:
    value = json.loads(text)
    if short := tuple(keywords.shorthand(value)):
        return short
    try:
        Draft202012Validator.check_schema(value)
    except SchemaError as err:
        leaf = min(_leaves(err), key=lambda e: e.validator not in ("enum", "pattern", "format"))
        message, instead = explain(leaf, str(leaf.absolute_path[-1]) if leaf.absolute_path else "schema")
        if leaf.validator == "enum" and (meant := keywords.TYPES.get(str(leaf.instance))):
            instead = f"Write {meant}."
        if leaf.validator == "type" and isinstance(leaf.instance, bool) and leaf.absolute_path[-1] == "required":
            instead = "Remove it: what required: does not list may be left out."
            if leaf.instance:
                owner = str(leaf.absolute_path[-2]) if len(leaf.absolute_path) > 1 else "NAME"
                instead = f"Write required: [{owner}] beside properties:."
        return ((tuple(leaf.absolute_path), f"This is not a JSON Schema: {message}", instead),)
    found = [*shape.faults(value)] or [*keywords.faults(value)]
    return tuple((tuple(inner), message, instead) for inner, message, instead in found)


def _leaves(error: ValidationError | SchemaError) -> Iterator[ValidationError | SchemaError]:
    """The faults at the ends of a tree of faults."""
    if not error.context:
        yield error
    for inner in error.context or ():
        yield from _leaves(inner)


def _input_schema(kind: str, words: Mapping[str, JSON]) -> dict[str, JSON]:
    """The JSON Schema of an input's values. A type that there is not has been told: anything fits it."""
    if kind not in INPUT_TYPES:
        return {}
    return {"artifact": kind} if _TYPES.get(kind) == "artifact" else {"type": _TYPES.get(kind, kind), **words}


def _mapping(data: Mapping[str, JSON], name: str) -> dict[str, JSON]:
    value = data.get(name)
    return value if isinstance(value, dict) else {}


def _fields(value: JSON) -> dict[str, JSON]:
    return value if isinstance(value, dict) else {}


def _texts(value: JSON) -> tuple[str, ...]:
    return tuple(str(v) for v in value) if isinstance(value, list) else ()
