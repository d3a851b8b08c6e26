"""A test file and the pipeline that it is of in, its cases out; and every problem, each with its place.

A case is checked against its own pipeline: steps, fields, inputs and outputs that there are not are told with the
nearest that there are, before anything runs.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol

from ..checking import CELL_NAME, DATA_SUFFIXES, IMAGE_SUFFIXES, Checked, CheckedStep, misfit
from ..errors import PipelineProblems, Problem, enumerated, nearest
from ..fanout import CLOSED
from ..inference import fields_read, infer
from ..keywords import is_of_key
from ..kinds import run_pipeline
from ..model import JSON, Artifact, Output
from ..pipeline import schema_faults
from ..shape import Shape
from ..source import Document, parse
from ..syntax import TemplateFault
from ..templates import Template, templates_of
from ..templates import parse as parse_template
from ..validate import against
from . import vacuous
from .schema import CELL, STEP, form

Path = tuple[str | int, ...]

SUFFIX = ".test.yaml"
FIELD = re.compile(r"[a-z_][A-Za-z0-9_]*(\.[A-Za-z_][A-Za-z0-9_]*|\[[0-9]+\]|\['[^'{}]+'\])*\Z")
"""A field of a step's output, or one in it: ``text``, ``data.title``, ``data.items[0].name``."""

_OF_FILES = ("size", "width", "height", "type", "bytes", "seconds")
_OF_VALUES = ("is", "contains", "lacks", "matches", "words", "items", "number", "schema")
_OF_MEDIA: Mapping[str, tuple[str, ...]] = {
    "image": ("size", "width", "height", "type", "bytes"),
    "audio": ("type", "bytes", "seconds"),
    "video": _OF_FILES,
    "file": ("type", "bytes"),
}
_A = {"image": "a picture", "audio": "sound", "video": "a video", "file": "a file"}
_MEDIA_SUFFIXES = {**dict.fromkeys(IMAGE_SUFFIXES, "image"),
                   **dict.fromkeys((".wav", ".mp3", ".ogg", ".flac", ".m4a"), "audio"),
                   **dict.fromkeys((".mp4", ".webm", ".mov"), "video")}  # fmt: skip
_NOT_RUN = ("failed", "blocked", "skipped", "cancelled")


class Beside(Protocol):
    """The files beside a test file, by their paths as written in it."""

    def is_file(self, name: str) -> bool: ...
    def is_recording(self, name: str) -> bool: ...
    def artifact(self, name: str) -> Artifact:
        """ValueError says why the file is none."""


@dataclass(frozen=True, slots=True, eq=False)
class Case:
    """One run of a pipeline, and what must come of it."""

    name: str
    document: Document
    inputs: Mapping[str, JSON]
    env: Mapping[str, str]
    replay: str | None
    """The folder of a recording that answers, as it is written."""
    canned: Mapping[str, Output] | None
    """Set where nobody is called: what steps yield."""
    expect: Mapping[str, JSON]
    profile: str | None = None
    """The profile that the pipeline takes."""
    fields: Mapping[str, Template] = field(default_factory=dict)
    """How to read each field that is expected of a step, by step and field: ``facts.data.title``."""

    @property
    def path(self) -> Path:
        """Where it stands in its document."""
        return ("cases", self.name)


def read(text: str, file: str) -> tuple[Document | None, list[Problem]]:
    """The document of a test file as far as its form is right; and what is wrong with its form."""
    try:
        document = parse(text, file)
    except PipelineProblems as err:
        cure = "Write cases:, and under it a name for each."
        return None, [replace(p, instead=cure) if p.code == "empty" else p for p in err.problems]
    if not isinstance(document.data, dict):
        return None, [Problem("type", "A test file begins with cases:.", document.mark(), "Write cases:.")]
    return document, against(document, form(), what="The test file")


InProfile = Callable[[str | None], "Checked | None"]
"""The pipeline as it is in a profile, or in none; None if it has problems, which are told."""


def load(
    document: Document, profiles: Collection[str], pipeline: InProfile, beside: Beside
) -> tuple[list[Case], list[Problem]]:
    """The cases of a document, and what is wrong with them for a pipeline with these profiles.

    Cases of the wrong form are left out, each with what is wrong with its form, which `read` has told, too.
    """
    problems: list[Problem] = []
    cases = []
    schema = form()["properties"]["cases"]["additionalProperties"]
    data = document.data.get("cases")
    for name, said in data.items() if isinstance(data, dict) else ():
        if wrong := against(document, schema, ("cases", name)):
            problems += wrong
            continue
        profile = said.get("profile")
        if profile is not None and profile not in profiles:
            cure = nearest(profile, list(profiles)) or "The pipeline has none: remove it."
            mark = document.mark(("cases", name, "profile"))
            problems.append(Problem("unknown-profile", f"The pipeline has no profile {profile}.", mark, cure))
        elif (checked := pipeline(profile)) is not None:
            loader = _Loader(document, checked, beside, name, said)
            cases.append(loader.case())
            problems += loader.problems
    return cases, problems


def found(checked: Checked, name: str) -> tuple[Checked, CheckedStep | None, str]:
    """The step that a name stands for: the pipeline that it is in, the step, and the part that says which."""
    parts = name.split("/")
    for index, part in enumerate(parts):
        step = checked.steps.get(part.partition("[")[0])
        if step is None or index == len(parts) - 1 or step.nested is None:
            return checked, step if index == len(parts) - 1 else None, part
        checked = step.nested
    raise AssertionError(name)


def yields(step: CheckedStep) -> JSON:
    """The JSON Schema of what a step yields."""
    output = step.kind.output(step.step.params)
    if step.step.kind == run_pipeline.NAME and step.nested is not None:
        outputs = {**CLOSED, "properties": {name: {} for name in step.nested.pipeline.outputs}}
        output = {**output, "properties": {**output["properties"], "outputs": outputs}}
    return output


class _Loader:
    """Reads one case. What is wrong is noted and left out."""

    def __init__(self, document: Document, checked: Checked, beside: Beside, name: str, said: JSON) -> None:
        self.document, self.checked, self.beside = document, checked, beside
        self.name, self.said = name, said
        self.path: Path = ("cases", name)
        self.problems: list[Problem] = []
        self.fields: dict[str, Template] = {}

    def case(self) -> Case:
        mode = self.said.get("mode")
        mode = mode if isinstance(mode, dict) else {}
        expect: Mapping[str, JSON] = self.said.get("expect") or {}
        if not expect:
            self.add("asserts-nothing", f"The case {self.name} asserts nothing.", self.path,
                     "Add expect: {state: done}, or what its steps and outputs must be.", key=True)  # fmt: skip
        self.tell(vacuous.bounds("cost", expect.get("cost")), (*self.path, "expect", "cost"))
        for step, said in (expect.get("steps") or {}).items():
            self.step(step, said)
        for output, said in (expect.get("outputs") or {}).items():
            self.output(output, said)
        replay = mode.get("replay")
        if replay is not None and not self.beside.is_recording(replay):
            file = self.checked.pipeline.document.file
            self.add("file", f"There is no recording in {replay}.", (*self.path, "mode", "replay"),
                     f"Make it with: runner run {file} --record {replay}")  # fmt: skip
        canned = self.canned(mode["canned"], expect) if "canned" in mode else None
        return Case(
            name=self.name,
            document=self.document,
            inputs=self.inputs(),
            env=self.env(),
            replay=replay,
            canned=canned,
            expect=expect,
            profile=self.said.get("profile"),
            fields=self.fields,
        )

    def add(self, code: str, message: str, path: Path, instead: str, *, key: bool = False) -> None:
        self.problems.append(Problem(code, message, self.document.mark(path, key=key), instead))

    def tell(self, faults: Iterator[vacuous.Fault], path: Path) -> None:
        """Note what holds of every value, or of none."""
        for inner, code, message, instead in faults:
            self.add(code, message, (*path, *inner), instead)

    # -- what goes in -------------------------------------------------------------------------------

    def inputs(self) -> dict[str, JSON]:
        declared = self.checked.pipeline.inputs
        path: Path = (*self.path, "inputs")
        values: dict[str, JSON] = {}
        given: Mapping[str, JSON] = self.said.get("inputs") or {}
        missing = [d.name for d in declared.values() if d.required and d.name not in given]
        unknown = [name for name in given if name not in declared]
        for name, value in given.items():
            if unknown == [name] and len(missing) == 1:
                message = f"{self.checked.pipeline.name} needs the input {missing[0]}, and has no input {name}."
                self.add("unknown-input", message, (*path, name), f"Write {missing[0]}: instead.", key=True)
                missing = []
                continue
            if name not in declared:
                self.add("unknown-input", f"{self.checked.pipeline.name} has no input {name}.", (*path, name),
                         nearest(name, list(declared)) or "It has none.", key=True)  # fmt: skip
                continue
            if declared[name].type == "string" and isinstance(value, int | float):
                value = self.document.raw((*path, name)) or str(value)  # noqa: PLW2901 - as it was written: 1.10
            if why := misfit(declared[name], value):
                self.add("input", why.message, (*path, name, *why.path), why.instead)
            elif "artifact" in declared[name].schema and not self.beside.is_file(value):
                self.add("file", f"There is no file {value}.", (*path, name),
                         "Name a file by its path from this file's folder, or write a URL.")  # fmt: skip
            values[name] = value
        if missing:
            word = "inputs" if len(missing) > 1 else "input"
            message = f"{self.checked.pipeline.name} needs the {word} {' and '.join(missing)}."
            self.add("missing-key", message, path, f"Add {missing[0]}: under inputs:.", key=True)
        return values

    def env(self) -> dict[str, str]:
        listed = self.checked.pipeline.env
        given: dict[str, str] = self.said.get("env") or {}
        for name in given:
            if name not in listed:
                self.add("unknown-env", f"{name} is not listed under env: of the pipeline.", (*self.path, "env", name),
                         nearest(name, listed) or f"Add env: [{name}] to the pipeline.", key=True)  # fmt: skip
        return given

    # -- what stands for replies --------------------------------------------------------------------

    def canned(self, said: Mapping[str, JSON], expect: Mapping[str, JSON]) -> dict[str, Output]:
        outputs = {}
        path: Path = (*self.path, "mode", "canned")
        for name, values in said.items():
            step = self.named(name, (*path, name))
            if step is not None and (output := self.canned_output(step, values, (*path, name))) is not None:
                outputs[name] = output
        self.lacking(outputs, path)
        expected = {name: each.get("state", "done") for name, each in (expect.get("steps") or {}).items()}
        if expect.get("state") != "failed" and not self.problems:
            lacking = list(_not_canned(self.checked, set(said), expected, ""))
            if lacking:
                _, step, _ = found(self.checked, lacking[0])
                assert step is not None
                main = next(iter(yields(step)["properties"]))
                word = "step calls a model and is" if len(lacking) == 1 else "steps call models and are"
                self.add("not-canned", f"{len(lacking)} {word} not canned: {', '.join(lacking)}.", path,
                         f"Add {lacking[0]}: {{{main}: …}} under canned:.", key=True)  # fmt: skip
        return outputs

    def lacking(self, outputs: Mapping[str, Output], path: Path) -> None:
        """Fields that templates read of a canned step, and that its output does not have."""
        readers: dict[tuple[str, str], list[str]] = {}
        for reader, template in _templates(self.checked):
            for step, name in fields_read(template):
                given = outputs.get(step)
                if given is None or name in given.scope() or name not in yields(self.checked.steps[step])["properties"]:
                    continue
                readers.setdefault((step, name), []).append(reader)
        for (step, name), found in readers.items():
            names = list(dict.fromkeys(found))
            who = f"{enumerated(names)} read{'s' * (len(names) == 1)}"
            message = f"{step} is canned without {name}, which {who}."
            self.add("not-canned", message, (*path, step), f"Add {name}: under {step}:.", key=True)

    def canned_output(self, step: CheckedStep, values: Mapping[str, JSON], path: Path) -> Output | None:
        schema = yields(step)
        written: dict[str, JSON] = {}
        wrong = []
        for name, inner in schema["properties"].items():
            written[name] = _as_written(inner)
            if inner.get("$root"):  # what it refers to are its own parts
                wrong += against(self.document, written[name], (*path, name)) if name in values else []
                written[name] = {}
        wrong += against(self.document, {**schema, "properties": written}, path)
        self.problems += wrong
        if wrong:
            return None
        ready = {name: self.with_files(values[name], schema["properties"].get(name, {}), (*path, name))
                 for name in values if name not in ("model", "cost")}  # fmt: skip
        model = values.get("model") or (step.model.id if step.model is not None else None)
        return Output(ready, model, values.get("cost", 0.0))

    def with_files(self, value: JSON, schema: JSON, path: Path) -> JSON:
        """A value of an output with the files that it names in their places."""
        match value:
            case str() if "artifact" in schema:
                return self.artifact(value, schema["artifact"], path)
            case list() if "items" in schema:
                return [self.with_files(v, schema["items"], (*path, i)) for i, v in enumerate(value)]
            case dict() if "properties" in schema:
                known = schema["properties"]
                return {n: self.with_files(v, known.get(n, {}), (*path, n)) for n, v in value.items()}
        return value

    def artifact(self, name: str, media: str, path: Path) -> Artifact | None:
        try:
            artifact = self.beside.artifact(name)
        except ValueError as err:
            self.add("file", f"{name} cannot be used: {err}.", path, "Name a file by its path from this file's folder.")
            return None
        if media not in (artifact.media, "file"):
            self.add(
                "type", f"{name} is {artifact.media_type}; {_A[media]} is needed here.", path, "Name another file."
            )
        return artifact

    # -- what must come of it -----------------------------------------------------------------------

    def named(self, name: str, path: Path) -> CheckedStep | None:
        """The step that a name stands for; what is wrong with the name is told."""
        if not re.match(CELL, name):
            self.add("name", f"{name} cannot be a step.", path, "Write STEP, or STEP[KEY] for one of its cells.",
                     key=True)  # fmt: skip
            return None
        owner, step, part = found(self.checked, name)
        word, bracket, _ = part.partition("[")
        if step is None:
            there = owner.steps.get(word)
            if there is None:
                message, cure = f"{owner.pipeline.name} has no step {word}.", nearest(word, list(owner.steps))
            else:
                message, cure = f"{word} runs no pipeline.", f"Write {word}, or a step of run_pipeline before the /."
            self.add("unknown-step", message, path, cure, key=True)
        elif bracket and not step.step.fanned_out:
            self.add("fanned-out", f"{word} is one cell and has no keys.", path, f"Write {word}.", key=True)
            return None
        return step

    def step(self, name: str, said: Mapping[str, JSON]) -> None:
        path: Path = (*self.path, "expect", "steps", name)
        step = self.named(name, path)
        if step is None:
            return
        output = yields(step)
        if "cells" in said and (not step.step.fanned_out or name.endswith("]")):
            self.add("fanned-out", f"{name} is one cell.", (*path, "cells"), "Remove cells:.", key=True)
        for word, value in said.items():
            if word in STEP:
                if word in ("cells", "cost"):
                    self.tell(vacuous.bounds(word, value), (*path, word))
                if word == "message":
                    self.value(Shape({"type": "string"}), word, value, (*path, word))
                continue
            shape = self.field(name, step.step.id, output, word, (*path, word))
            if shape is not None:
                self.value(shape, f"{name}.{word}", value, (*path, word))

    def field(self, name: str, step: str, output: JSON, word: str, path: Path) -> Shape | None:
        """The shape of a field of a step's output; None if there is no such field."""
        known = [*output.get("properties", ()), *STEP]
        if not FIELD.match(word):
            cure = "Write a field as in templates: data.items[0].name."
            self.add("unknown-field", f"{word} is no field.", path, cure, key=True)
            return None
        first = re.split(r"[.\[]", word)[0]
        if first not in known:
            self.add("unknown-field", f"{name} has no field {first}.", path, nearest(first, known), key=True)
            return None
        try:
            template = parse_template(f"{{{{ steps.{step}.{word} }}}}")
        except TemplateFault as err:
            self.add("unknown-field", f"{word} is no field: {err}.", path, err.instead, key=True)
            return None
        steps = replace(Shape.of({**CLOSED, "properties": {step: output}}), steps=True)
        inference = infer(template, {"steps": steps})
        for finding in inference.findings:
            self.add(finding.code, finding.message, path, finding.instead, key=True)
        self.fields[f"{name}.{word}"] = template
        return inference.shape if not inference.findings else None

    def output(self, name: str, said: Mapping[str, JSON]) -> None:
        path: Path = (*self.path, "expect", "outputs", name)
        declared = self.checked.pipeline.outputs
        if output_named(name, list(declared)) is None:
            message = f"{self.checked.pipeline.name} has no output {name}."
            self.add("unknown-output", message, path, nearest(name, list(declared)) or "It has none.", key=True)
            return
        suffix = "." + name.rpartition(".")[2].lower() if "." in name else ""
        if suffix in _MEDIA_SUFFIXES:
            shape = Shape({"artifact": _MEDIA_SUFFIXES[suffix]})
        else:
            shape = Shape({} if suffix in ("", *DATA_SUFFIXES) else {"type": "string"})
        self.value(shape, name, {word: value for word, value in said.items() if word != "state"}, path)

    def value(self, shape: Shape, name: str, said: Mapping[str, JSON], path: Path) -> None:
        """Whether what is said of a value can be said of what it is."""
        allowed, what = _words(shape)
        for word, wanted in said.items():
            if word not in allowed:
                self.add("value", f"{word} cannot be said of {name}, which is {what}.", (*path, word),
                         f"Of {what} one can say: {', '.join(allowed)}.", key=True)  # fmt: skip
            elif word == "matches":
                try:
                    self.tell(vacuous.pattern(re.compile(wanted)), (*path, word))
                except re.error as err:
                    self.add("value", f"This is not a regular expression: {err}.", (*path, word),
                             "Write \\ before brackets and other signs that are meant as they are.")  # fmt: skip
            elif word == "is":
                self.tell(vacuous.equal(shape, name, wanted), (*path, word))
            elif word == "type":
                suffix = "." + name.rpartition(".")[2].lower() if path[-2:-1] == ("outputs",) else ""
                self.tell(vacuous.file_type(shape.artifact, suffix, wanted), (*path, word))
            elif word in (*vacuous.COUNTS, "number"):
                self.tell(vacuous.bounds(word, wanted), (*path, word))
            elif word == "schema":
                faults = schema_faults(wanted)
                for inner, message, instead in faults:
                    self.add("schema", message, (*path, word, *inner), instead, key=is_of_key(inner))
                if not faults:
                    self.tell(vacuous.schema(shape, name, wanted), (*path, word))


def _templates(checked: Checked) -> Iterator[tuple[str, Template]]:
    """The templates of a pipeline, each with what it belongs to."""
    for step in checked.steps.values():
        for tree in (*step.params.values(), *(tree for _, tree in step.step.control)):
            yield from ((step.step.id, template) for _, template in templates_of(tree))
    for name, tree in checked.pipeline.outputs.items():
        yield from ((name, template) for _, template in templates_of(tree))


def output_named(name: str, declared: Sequence[str]) -> str | None:
    """The output of a pipeline that a name stands for: itself, or ``{key}.png`` for ``red.png``."""
    if name in declared:
        return name
    for each in declared:
        if CELL_NAME.search(each):
            pattern = ".+".join(re.escape(part) for part in re.split(r"\{(?:key|index)\}", each))
            if re.fullmatch(pattern, name):
                return each
    return None


def _words(shape: Shape) -> tuple[tuple[str, ...], str]:
    """What can be said of a value of this shape, and what it is in words."""
    if shape.artifact:
        return _OF_MEDIA.get(shape.artifact, _OF_FILES), _A.get(shape.artifact, "a file")
    types = shape.types - {"null"}
    if not types:
        return (*_OF_VALUES, *_OF_FILES) if not shape.schema else _OF_VALUES, "a value"
    left_out = {word for word, needs in (("items", {"array"}), ("number", {"integer", "number"})) if not types & needs}
    return tuple(word for word in _OF_VALUES if word not in left_out), str(shape)


def _as_written(schema: JSON) -> JSON:
    """The schema of an output as one writes it in a test: files by their paths."""
    if not isinstance(schema, Mapping):
        return schema
    if "artifact" in schema:
        return {"type": "string", "examples": ["pictures/teapot.png"]}
    changed = {name: value for name, value in schema.items() if not name.startswith("$root")}
    if "items" in schema:
        changed["items"] = _as_written(schema["items"])
    if "properties" in schema:
        changed["properties"] = {name: _as_written(inner) for name, inner in schema["properties"].items()}
    return changed


def _not_canned(checked: Checked, canned: set[str], expected: Mapping[str, str], above: str) -> Iterator[str]:
    """Steps that would call somebody: neither canned, nor behind one that may not come to a good end."""
    excused: set[str] = set()
    known = {"/".join(part.partition("[")[0] for part in name.split("/")) for name in canned}
    for step in checked.steps.values():
        name = f"{above}{step.step.id}"
        behind = any(edge.needs in excused for edge in step.edges if not edge.after)
        if behind or step.step.when is not None or expected.get(name) in _NOT_RUN:
            excused.add(step.step.id)
        elif step.nested is not None and name not in known:
            yield from _not_canned(step.nested, canned, expected, f"{name}/")
        elif step.kind.CALLS and name not in known:
            yield name
