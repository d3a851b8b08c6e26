"""A pipeline in, its checked form out (models resolved, edges known), and every problem that reading can find.

Nothing is asked of the network; of the disk only whether a picture that is named is there.
"""

from __future__ import annotations

import graphlib
import heapq
import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import PurePosixPath

from jsonschema import Draft202012Validator

from . import literals
from .catalogue import Catalogue, Model
from .cells import LIMIT, BadCells, expand, items_of
from .cells import shown as inline
from .conversation import contradictions
from .errors import Mark, Problem, capitalized, nearest
from .fanout import CLOSED, cell_names, cells_shape, followed, known_cells
from .fitting import Fitting
from .inference import (
    CELL_NAMES,
    PARSED,
    Finding,
    Inference,
    chain_of,
    fields_of_item,
    infer,
    record_in_text,
    shown,
    steps_read,
)
from .kinds import KINDS, Kind, run_pipeline
from .kinds.nesting import ARGS, parts, scopes
from .model import JSON, Cell
from .pipeline import Input, Pipeline, Step, is_anything
from .schema import CONTROL, top_schema
from .shape import ANY, Shape
from .source import collector_paused
from .templates import Template, Tree, templates_of
from .validate import explain

Path = tuple[str | int, ...]

IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg", ".webp")
DATA_SUFFIXES = (".json", ".yaml", ".yml")
_MEDIA_OF = {
    **dict.fromkeys(IMAGE_SUFFIXES, "image"),
    **dict.fromkeys((".wav", ".mp3", ".ogg", ".flac", ".m4a"), "audio"),
    **dict.fromkeys((".mp4", ".webm", ".mov"), "video"),
}
_SUFFIX_OF = {"image": ".png", "audio": ".wav", "video": ".mp4"}
_TEXT_SUFFIXES = (".txt", ".md", ".html", ".csv", ".srt", ".vtt", *DATA_SUFFIXES)
_FORMED_SUFFIXES = (".csv", ".tsv", ".html", ".htm", ".xml", ".svg", ".srt", ".vtt", ".toml", ".ini", ".rst", ".tex")
"""Texts of a form that data are not written in here."""
_BINARY_SUFFIXES = (".pdf", ".docx", ".doc", ".odt", ".xlsx", ".xls", ".ods", ".pptx", ".zip", ".epub", ".gif", ".psd",
                    ".tif", ".tiff", ".bmp", ".avif", ".heic", ".avi", ".mkv", ".aac", ".opus")  # fmt: skip
"""Forms that no text and no data are written in."""
_OUTPUT_NAME = re.compile(r"[A-Za-z0-9._ -]+(/[A-Za-z0-9._ -]+)*\Z")
DATA_URI = re.compile(r"data:[a-z]+/[a-z0-9.+-]+;base64,[A-Za-z0-9+/\s]+={0,2}\s*\Z")
"""A file in the pipeline itself."""

_REST = re.compile(r"(?:\.\w+(?![\w(])|\[\d+\])*")
"""What is read from a field that a template has read."""

_TEMPLATED = re.compile(r"\{\{\s*(\w*).*?\}\}")
_MISNAMED_BY_CELL = re.compile(r"\{\w*\}")

CELL_NAME = re.compile(r"\{(key|index)\}")
"""What makes an output's name one name for each cell."""


_OF_CELL = {"key": "[A-Za-z0-9._-]{1,80}", "index": "[0-9]+"}
"""What stands in the place of each."""


def cell_name(name: str, key: JSON, index: JSON) -> str:
    """The name that an output has for one cell."""
    return name.replace("{key}", str(key)).replace("{index}", str(index))


RUN_SHAPE: JSON = {
    "type": "object",
    "properties": {"id": {"type": "string"}, "pipeline": {"type": "string"}, "version": {"type": "string"}},
    "additionalProperties": False,
}

IsFile = Callable[[str], bool]
"""Whether a path, as written in the pipeline, names a file that may be read."""

Nested = Callable[[str], "Checked | list[Problem]"]
"""Reads and checks another pipeline by its path as written; gives its problems where it has some."""


@dataclass(frozen=True, slots=True)
class Edge:
    """``step`` waits for ``needs``, because of ``why``. ``after`` edges are content with any end."""

    step: str
    needs: str
    why: str
    after: bool = False
    path: Path = field(default=(), compare=False)
    """Where in the pipeline it comes from."""
    template: Template | None = field(default=None, compare=False)
    """The template that reads the step."""
    cells: bool = False
    """Each cell waits for the one cell that it follows, and not for the whole step."""


@dataclass(frozen=True, slots=True, eq=False)
class CheckedStep:
    """A step whose names mean something: params of its alias filled in."""

    step: Step
    kind: Kind
    model: Model | None
    params: Mapping[str, Tree]
    edges: tuple[Edge, ...]
    nested: Checked | None = None
    """The pipeline that it runs."""
    tools: Mapping[str, Checked] = field(default_factory=dict)
    """The pipelines that answer its tools, by tool."""
    files: Mapping[str, str] = field(default_factory=dict)
    """What each file that it names by a path or a URL must be: image, audio, video or file."""
    named: Mapping[str, Mark] = field(default_factory=dict)
    """Where it names them."""
    when_by_cell: bool = False

    @property
    def inner(self) -> tuple[Checked, ...]:
        """All pipelines that it may run."""
        return (*([self.nested] if self.nested else []), *self.tools.values())


@dataclass(frozen=True, slots=True, eq=False)
class Checked:
    """A pipeline without problems, steps in an order in which each comes after what it needs."""

    pipeline: Pipeline
    steps: Mapping[str, CheckedStep]
    inputs_read: frozenset[str] = frozenset()
    """The inputs that a template reads."""

    def models(self) -> Iterator[Model]:
        """The models of its steps, and of the pipelines that they run."""
        for step in self.steps.values():
            if step.model is not None:
                yield step.model
            for inner in step.inner:
                yield from inner.models()


def check(
    pipeline: Pipeline, known: Catalogue, is_file: IsFile, nested: Nested | None = None
) -> tuple[Checked | None, list[Problem]]:
    """Every problem of a pipeline; its checked form if none of them is worse than a warning."""
    with collector_paused():
        checker = _Checker(pipeline, known, is_file, nested)
        steps = checker.run()
    if any(not problem.warning for problem in checker.problems):
        return None, checker.problems
    return Checked(pipeline, steps, frozenset(checker.inputs_read)), checker.problems


@dataclass(frozen=True, slots=True)
class Misfit:
    """Why a value does not fit its declaration: where in it, a sentence, what instead."""

    path: Path
    message: str
    instead: str

    def __str__(self) -> str:
        return f"{self.message} {self.instead}".rstrip()


def misfit(declared: Input, value: JSON) -> Misfit | None:
    """Why a value does not fit its declaration; None if it fits. Files are not looked at."""
    if "artifact" in declared.schema:
        if isinstance(value, str):
            return None
        return Misfit((), f"{declared.name} is a file.", "Write its path or its URL.")
    for error in Draft202012Validator(dict(declared.schema)).iter_errors(value):
        path = tuple(error.absolute_path)
        name = declared.name + "".join(f"[{p}]" if isinstance(p, int) else f".{p}" for p in path)
        return Misfit(path, *explain(error, name))
    return None


_CURES = {
    "content": "Write content: [{text: …}, {image: …}].",
    "foreach": "Name a list: an input of type: list, a field of a parse_json step, or a step that makes several cells.",
    "when": "Compare it with something: {{ inputs.season == 'winter' }}.",
}


class _Checker:
    def __init__(self, pipeline: Pipeline, known: Catalogue, is_file: IsFile, nested: Nested | None) -> None:
        self.pipeline, self.is_file = pipeline, is_file
        self.problems: list[Problem] = []
        self.fitting = Fitting(pipeline, known, self.add, self.warn)
        self.read = nested
        self.nested = self.pipelines()
        self.cells = known_cells(pipeline.steps)
        """The cells of the steps that are fanned out; None where only a run will know."""
        self.names = self.shapes()
        self.inferred: dict[int, Inference] = {}
        """By the template's identity: each is walked once, and lives as long as the pipeline."""
        self.inputs_read: set[str] = set()
        """The inputs that a template reads."""
        self.not_fanned: dict[str, Problem] = {}
        """By step that is one cell and reads what only cells have: the problem that tells it, where it first does."""
        self.of_texts: dict[str, Problem] = {}
        """By step whose items are texts and that reads fields of them: the problem that tells it."""

    def run(self) -> dict[str, CheckedStep]:
        for declared in self.pipeline.inputs.values():
            self.input(declared)
        self.fitting.names()
        steps = {}
        for step in self.pipeline.steps.values():
            if step.kind in KINDS:
                steps[step.id] = self.step(step, KINDS[step.kind])
        self.outputs()
        return self.in_order(steps)

    # -- names --------------------------------------------------------------------------------------

    def shapes(self) -> dict[str, Shape]:
        """What templates may name, and what each is."""
        pipeline = self.pipeline
        inputs = {name: declared.schema for name, declared in pipeline.inputs.items()}
        env = {name: {"type": "string"} for name in pipeline.env}
        steps: dict[str, JSON] = {}
        names = {
            "inputs": Shape.of({**CLOSED, "properties": inputs}),
            "steps": replace(Shape.of({**CLOSED, "properties": steps}), steps=True),
            "env": Shape.of({**CLOSED, "properties": env}),
            "run": Shape.of(RUN_SHAPE),
        }
        for step in pipeline.steps.values():
            output = {**KINDS[step.kind].output(step.params), "$record": True} if step.kind in KINDS else {}
            if output and "schema" in KINDS[step.kind].PARAMS and self.has_strangers(step):
                output = {**output, "properties": {"data": {}, **output["properties"]}}
            if (inner := self.nested.get(step.id)) is not None:
                output = {**output, "properties": {**output["properties"], "outputs": _outputs_shape(inner.pipeline)}}
            if any(is_anything(tree) for tree in (step.foreach, *(step.matrix or {}).values())):
                output = {}  # whether it is fanned out cannot be told
            elif step.fanned_out:
                cells = self.cells[step.id]
                keys = None if cells is None else tuple(str(cell.key) for cell in cells)
                own = cell_names(step, names)
                if own.get("item", ANY).types == {"string"} and any(
                    fields_of_item(t) for _, t in templates_of(step.params)
                ):
                    own["item"] = ANY  # it is over the wrong list, which is told where the step reads it
                output = cells_shape(output, own, keys)
            steps[step.id] = output
        return names

    def has_strangers(self, step: Step) -> bool:
        """Whether a step has a key that there is not, which is told, and which may be the one that it lacks."""
        return not self.written(step).keys() <= {"kind", "model", *CONTROL, *KINDS[step.kind].PARAMS}

    # -- pipelines in pipelines ---------------------------------------------------------------------

    def pipelines(self) -> dict[str, Checked]:
        """The pipelines that steps run, by step. Problems of theirs are told where they are."""
        found: dict[str, Checked] = {}
        for step in self.pipeline.steps.values():
            file = step.params.get("file")
            if step.kind == run_pipeline.NAME and isinstance(file, str):
                inner = self.another(step, file, ("steps", step.id, "file"))
                found |= {step.id: inner} if inner else {}
        return found

    def another(self, step: Step, file: str, path: Path) -> Checked | None:
        """Another pipeline, which is named at ``path``; None if it cannot be had, which has been told."""
        if self.read is None or not self.is_file(file):
            self.file(path, file)
            return None
        inner = self.read(file)
        if isinstance(inner, Checked):
            for model in inner.models() if self.fitting.refuses(step) else ():
                if model.price is None:
                    self.fitting.unpriced(model.id, path)
            return inner
        if inner:
            known = {(problem.mark, problem.message) for problem in self.problems}
            self.problems += [p for p in inner if (p.mark, p.message) not in known]
        else:
            self.add("loop", f"{file} runs this pipeline, which runs {file}.", path, "Name another file.")
        return None

    def tools(self, step: Step, tools: Tree, path: Path) -> dict[str, Checked]:
        """The pipelines that answer tools, each with the inputs that a model may and must give."""
        found: dict[str, Checked] = {}
        for name, tool in tools.items() if isinstance(tools, Mapping) else ():
            if not isinstance(tool, Mapping) or not isinstance(tool.get("pipeline"), str):
                continue
            inner = self.another(step, tool["pipeline"], (*path, name, "pipeline"))
            if inner is not None:
                found[name] = inner
                self.arguments(inner, tool, (*path, name))
        return found

    def arguments(self, inner: Checked, tool: Mapping[str, Tree], path: Path) -> None:
        """Whether the arguments of a tool are what the pipeline that answers it takes."""
        takes = tool.get("input")
        if not isinstance(takes, Mapping):
            return
        name, declared = inner.pipeline.name, inner.pipeline.inputs
        given, required = takes.get("properties"), takes.get("required")
        given = given if isinstance(given, Mapping) else {}
        for word in given:
            if word not in declared:
                self.add("unknown-input", f"{name} has no input {word}.", (*path, "input", "properties", word),
                         nearest(word, list(declared)) or "It has none.", key=True)  # fmt: skip
            elif "artifact" in declared[word].schema:
                self.add("type", f"The input {word} of {name} is a file, which a model cannot give.",
                         (*path, "input", "properties", word),
                         "Remove it, and give it a default in that pipeline.", key=True)  # fmt: skip
        for need in declared.values():
            if need.required and need.name not in (required if isinstance(required, list) else ()):
                self.add("missing-key", f"{name} needs the input {need.name}, and the model may leave it out.",
                         (*path, "input"), f"Add {need.name} to properties: and to required:.", key=True)  # fmt: skip

    def nested_inputs(self, nested: Checked, given: Tree, path: Path) -> None:
        """Values for inputs that the other pipeline has, and for all that it needs."""
        values = given if isinstance(given, Mapping) else {}
        declared = nested.pipeline.inputs
        name = nested.pipeline.name
        missing = [d.name for d in declared.values() if d.required and d.name not in values]
        unknown = [word for word in values if word not in declared]
        if len(unknown) == len(missing) == 1 and not nearest(unknown[0], list(values.keys() & declared)).startswith(
            "Did"
        ):
            self.add("unknown-input", f"{name} needs the input {missing[0]}, and has no input {unknown[0]}.",
                     (*path, unknown[0]), f"Write {missing[0]}: instead.", key=True)  # fmt: skip
            values, missing = {word: value for word, value in values.items() if word in declared}, []
        for word, value in values.items():
            if word not in declared:
                self.add("unknown-input", f"{name} has no input {word}.", (*path, word),
                         nearest(word, list(declared)) or "It has none.", key=True)  # fmt: skip
                continue
            wanted = declared[word].schema
            if isinstance(value, Template):
                self.yields(word, wanted, value, (*path, word))
            elif not any(True for _ in templates_of(value)) and (why := misfit(declared[word], value)):
                self.add("input", why.message, (*path, word, *why.path), why.instead)
            elif "artifact" in wanted:
                instead = f"Declare an input of type: {declared[word].type}, and write {{{{ inputs.NAME }}}}."
                self.add("type", f"{word} needs a file of a step or an input; this is text.", (*path, word), instead)
        if missing and (given is None or isinstance(given, Mapping)):
            self.add("missing-key", f"{name} needs {'the inputs' if len(missing) > 1 else 'the input'} "
                     f"{' and '.join(missing)}.", path, f"Add {missing[0]}: under inputs:.", key=True)  # fmt: skip

    # -- inputs -------------------------------------------------------------------------------------

    def input(self, declared: Input) -> None:
        if declared.required or declared.default is None:
            return
        path: Path = ("inputs", declared.name, "default")
        if why := misfit(declared, declared.default):
            self.add("input", why.message, (*path, *why.path), why.instead)
        elif "artifact" in declared.schema:
            self.file(path, declared.default)

    # -- steps --------------------------------------------------------------------------------------

    def step(self, step: Step, kind: Kind) -> CheckedStep:
        path: Path = ("steps", step.id)
        model = self.fitting.model(step, kind) if kind.CALLS and step.model else None
        alias = self.pipeline.models.get(step.model or "")
        places = {name: (*path, name) for name in ("model", *step.params)}
        params = dict(step.params)
        for name, tree in (alias.params if alias else {}).items():
            if name in kind.PARAMS and name not in params:
                params[name], places[name] = tree, ("models", step.model or "", name)
        edges: dict[str, Edge] = {}
        files: dict[str, str] = {}
        named: dict[str, Mark] = {}
        names = {**self.names, **cell_names(step, self.names)} if step.fanned_out else self.names
        for name, tree in params.items():
            for inner, part, args in scopes(kind.PARAMS[name], tree):
                seen = names if args is None else {**names, ARGS: Shape.of(args)}
                self.edges(step, ".".join(map(str, (name, *inner))), part, (*places[name], *inner), seen, edges)
            self.value(kind.PARAMS[name], name, tree, places[name], files, named)
        if model is not None:
            self.fitting.fits(model, kind, params, places)
        if kind.NAME == "generate_text":
            for fault in contradictions(params, model, self.fitting.known):
                where = (*places[fault.path[0]], *fault.path[1:])
                self.add(fault.code, fault.message, where, fault.instead, key=fault.key, warning=fault.warning)
        if (nested := self.nested.get(step.id)) is not None:
            self.nested_inputs(nested, params.get("inputs"), (*path, "inputs") if "inputs" in params else path)
        tools = self.tools(step, params.get("tools"), places["tools"]) if "tools" in params else {}
        if step.pick is not None:
            self.pick(step, params, places, tools)
        by_cell = self.control(step, names, edges)
        if step.when is None:  # else a cell that something is wrong with may never be asked for
            self.literals(step, model, {name: (tree, places[name]) for name, tree in params.items()})
        self.explicit(step, edges)
        return CheckedStep(step, kind, model, params, tuple(edges.values()), nested, tools, files, named, by_cell)

    def edges(
        self, step: Step, name: str, tree: Tree, path: Path, names: Mapping[str, Shape], edges: dict[str, Edge]
    ) -> set[str]:
        """Note an edge for each step that a value's templates read. Gives back which names they use."""
        used: set[str] = set()
        for inner, template, inference in self.infer(tree, path, names):
            used |= inference.names
            for needed in inference.steps:
                why = f"{'.'.join(map(str, (name, *inner)))} reads steps.{needed}"
                edges.setdefault(needed, Edge(step.id, needed, why, path=(*path, *inner), template=template))
        return used

    def literals(self, step: Step, model: Model | None, params: Mapping[str, tuple[Tree, Path]]) -> None:
        """Values that stand in the file and do not go where templates put them."""
        wanted = KINDS[step.kind].PARAMS
        trees = [(tree, Shape.of(wanted[name]).types == {"string"}) for name, (tree, _) in params.items()]
        found = [(template, text) for tree, text in (*trees, (step.key, True)) for _, template in templates_of(tree)]
        sound = [(each, text) for each, text in found
                 if id(each) in self.inferred and not self.inferred[id(each)].findings]  # fmt: skip
        cells = self.cells.get(step.id)
        faults = list(literals.rows(step, sound, cells))
        if model is not None and model.known:
            faults += literals.misfits(step, model, params, self.inferred, cells, self.pipeline.inputs)
        for fault in faults:
            self.add(fault.code, fault.message, fault.path, fault.instead)

    # -- fan-out ------------------------------------------------------------------------------------

    def control(self, step: Step, names: Mapping[str, Shape], edges: dict[str, Edge]) -> bool:
        """``when``, ``foreach``, ``matrix`` and ``key``. Gives back whether ``when`` is asked for each cell."""
        path: Path = ("steps", step.id)
        by_cell, literal_key = False, True
        if step.when is not None:
            by_cell = bool(self.edges(step, "when", step.when, (*path, "when"), names, edges) & set(CELL_NAMES))
            self.yields("when", {"type": "boolean"}, step.when, (*path, "when"))
        if step.key is not None:
            used = self.edges(step, "key", step.key, (*path, "key"), names, edges)
            literal_key = not used - {"item", "index", "matrix"} and not self.inferred[id(step.key)].findings
            source = followed(step, self.pipeline.steps)
            if source is not None and "item" in used:
                self.add(
                    "fan-out",
                    f"The cells are named before those of {source} are done, so this key cannot read item.",
                    (*path, "key"),
                    f"Write {{{{ key }}}} in it, which is the key of the cell of {source}.",
                )
            elif source is None and "key" in used:
                self.add(
                    "fan-out", "A key cannot read itself.", (*path, "key"), "Write {{ item }} or {{ index }} in it."
                )
            elif self.inferred[id(step.key)].findings:
                literal_key = False
            elif step.fanned_out and not used & {"item", "index", "matrix", "key"}:
                literal_key = False
                self.add(
                    "fan-out",
                    "This key is the same for every cell.",
                    (*path, "key"),
                    "Write {{ item }} or {{ index }} in it.",
                )
        if step.matrix is not None:
            self.edges(step, "matrix", step.matrix, (*path, "matrix"), self.names, edges)
            self.exclude(step, step.matrix)
            for axis, values in step.matrix.items():
                self.yields(f"matrix.{axis}", {"type": "array"}, values, (*path, "matrix", axis))
        if step.foreach is not None:
            self.foreach(step, edges)
        if step.id in self.not_fanned:
            pass  # which is told
        elif not step.fanned_out:
            for word in ("key", "limit", "at_once", "on_failure"):
                if word in self.written(step):
                    self.add("fan-out", f"{word} says something about cells, and the step has only one.",
                             (*path, word), "Add foreach: or matrix:, or remove it.", key=True)  # fmt: skip
        else:
            self.literal_cells(step, step.key if literal_key else None)
        return by_cell

    def exclude(self, step: Step, matrix: Mapping[str, Tree]) -> None:
        """Entries of ``exclude:`` that name an axis or a value that there is not, so that they leave out nothing."""
        axes = [name for name in matrix if name not in ("include", "exclude")]
        entries = matrix.get("exclude")
        for number, entry in enumerate(entries if isinstance(entries, list) else ()):
            for name, value in entry.items() if isinstance(entry, Mapping) else ():
                path: Path = ("steps", step.id, "matrix", "exclude", number, name)
                values = matrix.get(name)
                if name not in axes:
                    self.add("unknown-key", f"The matrix has no axis {name}, so this leaves out nothing.", path,
                             nearest(name, axes) or "Remove it.", key=True)  # fmt: skip
                elif not isinstance(values, list) or any(templates_of([value, values])):
                    continue
                elif values and value not in values:
                    same = next((each for each in values if str(each) == str(value)), None)
                    cure = nearest(str(value), [str(each) for each in values])
                    if same is not None:
                        cure = f"Write {same} {'in' if isinstance(same, str) else 'without'} quotes."
                    said = inline(value)
                    what = f"{capitalized(said)} is no value of the axis {name}, so this leaves out nothing."
                    self.add("value", what, path, cure)

    def pick(
        self, step: Step, params: Mapping[str, Tree], places: Mapping[str, Path], tools: Mapping[str, Checked]
    ) -> None:
        """Candidates that would all be the same, or never there again."""
        path: Path = ("steps", step.id, "pick")
        options = params.get("options")
        if tools:
            message = f"There cannot be candidates where a pipeline answers a tool, as it does {next(iter(tools))}."
            self.add("pick", message, path, "Remove pick:, or make the candidates in a step after it.", key=True)
        elif not step.cache:
            self.add("pick", "With cache: false the candidates are made anew each time, so no choice among them lasts.",
                     ("steps", step.id, "cache"), "Remove it, or ask anew with --fresh.", key=True)  # fmt: skip
        elif isinstance(options, Mapping) and "seed" in options:
            self.add("pick", "options: gives every candidate the same seed.", (*places["options"], "seed"),
                     "Write seed: beside pick: instead; it is counted up from there.", key=True)  # fmt: skip
        elif params.get("temperature") == 0:
            message = "At temperature 0 a model says the same each time, so there is nothing to choose."
            self.warn("same-candidates", message, path, "Raise the temperature, or remove pick:.")

    def foreach(self, step: Step, edges: dict[str, Edge]) -> None:
        path: Path = ("steps", step.id, "foreach")
        source = followed(step, self.pipeline.steps)
        if source is not None and source not in edges and source not in (*step.needs, *step.after):
            list(self.infer(step.foreach, path, self.names))
            edges[source] = Edge(step.id, source, f"foreach follows steps.{source}, cell by cell", path=path,
                                 template=step.foreach, cells=True)  # fmt: skip
        else:
            self.edges(step, "foreach", step.foreach, path, self.names, edges)
        self.yields("foreach", {"type": "array"}, step.foreach, path)

    def yields(self, name: str, wanted: JSON, tree: Tree, path: Path) -> None:
        if isinstance(tree, Template) and not self.inferred[id(tree)].findings:
            if name == "foreach" and self.not_fanned.keys() & self.inferred[id(tree)].steps:
                return  # which is told
            self.shape(wanted, name, self.inferred[id(tree)].shape, path, written=tree)

    def literal_cells(self, step: Step, key: Template | None) -> None:
        """Cells that are known already: keys that clash or are none and lists that are too long are found now."""
        written = [tree for name, tree in step.control if name in ("foreach", "matrix")]
        if (step.key is not None and key is None) or self.cells[step.id] is not None:
            return
        if any(True for tree in written for _ in templates_of(tree)):
            return
        word = "foreach" if step.foreach is not None else "matrix"
        try:
            items = items_of(step.foreach) if step.foreach is not None else None
            expand(step.id, items, step.matrix, key=key, limit=step.limit or LIMIT, names={})
        except BadCells as err:
            what, _, cure = str(err).removeprefix("key: ").partition("; ")
            word = "key" if key is not None and "limit" not in what else word
            if key is not None and cure.startswith("write key:"):
                cure = "let it tell them apart, as {{ index }} does"
            self.add("fan-out", f"{what[0].upper()}{what[1:]}.", ("steps", step.id, word),
                     f"{capitalized(cure)}." if cure else "Change the list.", key=word != "key")  # fmt: skip

    def written(self, step: Step) -> Mapping[str, JSON]:
        found: Mapping[str, JSON] = self.pipeline.document.data["steps"][step.id]
        return found

    def infer(
        self, tree: Tree, path: Path, names: Mapping[str, Shape] | None = None
    ) -> Iterator[tuple[Path, Template, Inference]]:
        """What each template of a value reads; its findings become problems on the way."""
        for inner, template in templates_of(tree):
            asked = path[0] == "steps" and path[2:] == ("when",)
            inference = self.inferred[id(template)] = infer(template, names or self.names, condition=asked)
            self.inputs_read.update(self.pipeline.inputs if inference.all_inputs else inference.inputs)
            for finding in inference.findings:
                self.tell(finding, template, (*path, *inner), names or self.names)
            yield inner, template, inference

    def tell(self, finding: Finding, template: Template, path: Path, names: Mapping[str, Shape]) -> None:
        """Note what is wrong in a template, which stands at ``path``, with what helps there."""
        document, place = self.pipeline.place(path)
        offset, length = template.locate(finding.words, finding.line)
        mark = document.mark_inside(place, offset, length)
        step, first = str(path[1]) if path[0] == "steps" else "", finding.words[0]
        if step and path[2] in ("foreach", "matrix") and first in CELL_NAMES:
            message = f"There is no {first} here: {path[2]}: says which cells there are."
            self.problems.append(Problem(finding.code, message, mark, "Read inputs, steps, env or run."))
            return
        if (finding.code == "unknown-step" and self.is_misnamed(finding)) or self.is_of_a_section(finding):
            return
        instead = self.of_own_item(path, finding, names) or self.of_cells(path, finding)
        if first == "outputs" and finding.code == "unknown-name":
            instead = self.of_output(template.text[offset + length :], path)
        if finding.code == "fanned-out" and (rest := _REST.match(template.text, offset + length)):
            instead = re.sub(r"([\w.\[\]']+)(?= for the )", rf"\1{rest[0]}", instead)
        found = Problem(finding.code, finding.message, mark, instead)
        if step and finding.code == "unknown-name" and first in CELL_NAMES and not self.pipeline.steps[step].fanned_out:
            message = f"There is no {first} here: the step {step} has no foreach: and no matrix:."
            self.once(self.not_fanned, step, replace(found, message=message))
        elif step and finding.words[:-1] == ("item",) and instead == PARSED:
            cure = self.over_cells(step, finding.words[1]) or instead
            self.once(self.of_texts, step, replace(found, instead=cure))
        else:
            self.problems.append(found)

    def once(self, told: dict[str, Problem], step: str, found: Problem) -> None:
        """What is wrong with a step and shows in many of its templates: told once, at the first place of the file."""
        before = told.get(step)
        if before is None or (found.mark.line, found.mark.column) < (before.mark.line, before.mark.column):
            told[step] = found
            self.problems = [found if problem is before else problem for problem in self.problems]
        if before is None:
            self.problems.append(found)

    def over_cells(self, reader: str, field: str) -> str:
        """What a step should be made for that reads this field of its items; empty where no step before it has one."""
        for step in self.pipeline.steps.values():
            if step.id == reader:
                break
            cells = Shape.of(self.names["steps"].schema["properties"][step.id])
            if cells.cells and field in cells.items.fields and field not in CELL_NAMES:
                return f'Write foreach: "{{{{ steps.{step.id} }}}}", whose cells have {field}.'
        return ""

    def is_misnamed(self, finding: Finding) -> bool:
        """Whether a step that there is not is one whose name could be none: that is the one mistake."""
        return any(finding.instead == f"Did you mean {name}?" for name in self.pipeline.misnamed)

    def is_of_a_section(self, finding: Finding) -> bool:
        """Whether a name is read of a section that is not what it should be, or is none: that is the one mistake."""
        data = self.pipeline.document.data
        match finding.code:
            case "unknown-input":
                return not isinstance(data.get("inputs", {}), Mapping | None)
            case "unknown-env":
                return not isinstance(data.get("env", []), list | None)
            case "unknown-name":
                return finding.words[0] in data and finding.words[0] not in top_schema()["properties"]
        return False

    def of_cells(self, path: Path, finding: Finding) -> str:
        """The cure of a finding; where a field of all cells is read at once, the one that is meant at this place."""
        if finding.code != "fanned-out" or len(finding.words) != 3 or finding.words[0] != "steps":
            return finding.instead
        _, step, name = finding.words
        cells = Shape.of(self.names["steps"].schema["properties"][step])
        field, read = cells.items.way_to(name), cells.items.field(name)
        if path[0] == "steps" and path[2] == "foreach":
            return f'Write foreach: "{{{{ steps.{step} }}}}", and item.{field} in the templates.'
        media = read.artifact if read is not None else None
        if path[0] == "outputs":
            suffix = PurePosixPath(str(path[1])).suffix or _SUFFIX_OF.get(media or "", "")
            if not suffix:
                return finding.instead
            by_cell = "{key}" + suffix
            by_cell = by_cell if by_cell not in self.pipeline.outputs else f"{{key}}-{step}{suffix}"
            return f'Name it "{by_cell}" to have one for each, or write steps.{step}[0].{field} for the first.'
        if media is not None and not self.pipeline.steps[str(path[1])].fanned_out:
            first = f"steps.{step}[0].{field} for the first"
            return f'Add foreach: "{{{{ steps.{step} }}}}" and write item.{field} here, or write {first}.'
        return finding.instead

    def of_output(self, rest: str, path: Path) -> str:
        """What to read instead of an output, of which ``rest`` says which."""
        word = next(iter(re.findall(r"\A(?:\.|\[['\"])([\w.-]+)", rest)), "")
        if (step := self.pipeline.steps.get(word)) is not None and step.kind in KINDS and path[:2] != ("steps", word):
            return f"Write {self.reads(step, next(iter(KINDS[step.kind].output(step.params)['properties'])), path)}."
        for name, tree in self.pipeline.outputs.items():
            if (
                isinstance(tree, Template)
                and word in (name, PurePosixPath(name).stem)
                and path[:2] != ("outputs", name)
            ):
                return f"Write {tree.text.strip().removeprefix('{{').removesuffix('}}').strip()}, as the output does."
        return "An output cannot be read; read the step that makes it: steps.NAME."

    def of_own_item(self, path: Path, finding: Finding, names: Mapping[str, Shape]) -> str:
        """The cure that names ``item``, where a template reads a field of the list that its cells are made for."""
        step = self.pipeline.steps.get(str(path[1])) if path[0] == "steps" else None
        if step is None or "item" not in names or not isinstance(step.foreach, Template):
            return ""
        if step.foreach.expression is None or chain_of(step.foreach.expression) != finding.words[:-1]:
            return ""
        field = names["item"].way_to(finding.words[-1])
        if field.split(".")[0] not in names["item"].fields:
            return ""
        others = finding.instead.removeprefix("Write ") if finding.code == "fanned-out" else ""
        return f"Write item.{field} for the one at hand" + (f", {others}" if others else ".")

    def value(
        self, wanted: JSON, name: str, tree: Tree, path: Path, files: dict[str, str], named: dict[str, Mark]
    ) -> None:
        """A parameter's value against what the kind wants: pictures where pictures belong, text where text does."""
        if isinstance(tree, Template):
            inference = self.inferred[id(tree)]
            if not inference.findings:
                wanted = {"type": "string"} if "late" in wanted else wanted  # it is read by a model
                self.shape(wanted, name, inference.shape, path, written=tree)
        elif "artifact" in wanted and isinstance(tree, str):
            if meant := self.named(tree, wanted["artifact"], path):
                self.add("file", f"There is no file {tree} in this project; {tree} is {meant[0]}.", path, meant[1])
            elif self.file(path, tree):
                files[tree] = wanted["artifact"]
                document, place = self.pipeline.place(path)
                named.setdefault(tree, document.mark(place))
        else:
            for where, inner, item in parts(wanted, tree):
                self.value(inner, f"{name}[{where}]" if isinstance(where, int) else str(where), item,
                           (*path, where), files, named)  # fmt: skip

    def shape(self, wanted: JSON, name: str, found: Shape, path: Path, *, written: Template | None = None) -> None:
        """Whether what a template yields can be what is wanted; ``written`` is that template."""
        want = Shape.of(wanted)
        if not found.types or not wanted or wanted.get("verbatim"):
            return
        if written is not None and written.expression is None and "string" not in want.types:
            self.add("type", f"{name} needs {want}; this is text.", path,
                     "Write one {{ expression }} and nothing around it.")  # fmt: skip
            return
        if want.artifact:
            if found.types == {"artifact"} and want.artifact in (found.artifact, "file"):
                return
            self.add("type", f"{name} needs {want}; this is {found}.", path, self.pictures(want.artifact, path))
        elif want.types == {"string"}:
            if found.artifact:
                self.add("type", f"{name} needs text; this is {found}.", path, "Write .url or .path after it.")
            elif found.files:
                self.add("type", f"{name} needs text; this holds a file.", path,
                         f"Write a field of it: {', '.join('.' + field for field in found.fields)}.")  # fmt: skip
            elif whole := record_in_text(found, _chain_in(written)):
                self.add("type", f"{name} needs text; this is {whole[0]}.", path, whole[1])
            elif found.types == {"null"}:
                self.add("type", f"{name} needs text; this is null.", path, "Remove it.")
        elif want.types and not (want.types & found.types or ("number" in want.types and "integer" in found.types)):
            reader = {"integer": "int", "number": "float"}.get(*want.types) if found.types == {"string"} else None
            instead = f"Write | {reader} after it, if it is a number." if reader else _CURES.get(name, "")
            if "array" in want.types and found.artifact and found.artifact == want.items.artifact:
                said = (self.pipeline.document.raw(path) or "").strip()
                one = f"image: {said!r}, or " if name == "images" else ""
                instead = f"Write {one}[{said!r}].".replace("'", '"')
            self.add("type", f"{name} needs {want}; this is {found}.", path, instead)
        elif "array" in want.types and found.items.types and (media := wanted.get("items", {}).get("artifact")):
            each = found.items.field(media) if found.items.record else None
            if each is not None and each.artifact == media:
                cure = f"Write \"{{{{ {_chain_in(written)} | map(attribute='{media}') | list }}}}\"."
                self.add(
                    "type", f"each of {name} needs {Shape({'artifact': media})}; this is {found.items}.", path, cure
                )
                return
            self.shape(wanted["items"], f"each of {name}", found.items, path)

    def pictures(self, media: str, path: Path) -> str:
        """Names of what could stand there instead."""
        own = path[1] if path[0] == "steps" else None
        made = {name for name, kind in KINDS.items() if media in kind.output({}).get("properties", {})}
        steps = [self.reads(s, media, path) for s in self.pipeline.steps.values() if s.kind in made and s.id != own]
        inputs = [f"inputs.{name}" for name, declared in self.pipeline.inputs.items() if declared.type == media]
        if not inputs and not steps:
            return "No step or input of this pipeline has one."
        return f"Use {' or '.join([*inputs, *steps][:4])}."

    def named(self, name: str, media: str, path: Path) -> tuple[str, str] | None:
        """What bears the name that a file should have, and how it is read there; None if nothing does, or a file is."""
        step, declared = self.pipeline.steps.get(name), self.pipeline.inputs.get(name)
        if self.is_file(name):
            return None
        if step is not None and step.id != path[1]:
            made = KINDS[step.kind].output(step.params).get("properties", {}) if step.kind in KINDS else {}
            field = next((word for word, each in made.items() if each.get("artifact") in (media, "file")), None)
            cure = f'Write "{{{{ {self.reads(step, field, path)} }}}}".' if field else self.pictures(media, path)
            return "a step", cure
        if declared is not None and "artifact" in declared.schema:
            return "an input", f'Write "{{{{ inputs.{name} }}}}".'
        return None

    def reads(self, step: Step, field: str, path: Path) -> str:
        """How a field of a step is read at a place: where it has many cells, as that of the first or of the own one."""
        reader = self.pipeline.steps.get(str(path[1])) if path[0] == "steps" else None
        if not step.fanned_out or (path[0] == "outputs" and CELL_NAME.search(str(path[1]))):
            return f"steps.{step.id}.{field}"
        if reader is not None and followed(reader, self.pipeline.steps) == step.id:
            return f"item.{field}"
        return f"steps.{step.id}[0].{field}"

    def explicit(self, step: Step, edges: dict[str, Edge]) -> None:
        """The edges of ``needs:`` and ``after:``, and a step that waits for itself by any way."""
        for word, names in (("needs", step.needs), ("after", step.after)):
            for index, name in enumerate(names):
                path: Path = ("steps", step.id, word, index)
                if name not in self.pipeline.steps:
                    self.add(
                        "unknown-step", f"There is no step {name}.", path, nearest(name, list(self.pipeline.steps))
                    )
                elif word == "after" and name in step.needs:
                    self.add("contradiction", f"{name} stands under needs: and under after:.", path,
                             "Keep needs: if it must succeed, after: if it must only be finished.")  # fmt: skip
                elif word == "after" or name not in edges:
                    edges[name] = Edge(step.id, name, f"{word}: [{name}]", word == "after", path)
        for needed in [n for n in edges if n not in self.pipeline.steps]:
            del edges[needed]
        if edge := edges.pop(step.id, None):
            document, place = self.pipeline.place(edge.path)
            at = edge.template.locate(("steps", step.id), 1) if edge.template else None
            mark = document.mark_inside(place, *at) if at else document.mark(place)
            message = f"The step {step.id} waits for itself."
            self.problems.append(Problem("loop", message, mark, "Name another step, or none."))

    # -- outputs ------------------------------------------------------------------------------------

    def outputs(self) -> None:
        seen: dict[str, str] = {}
        folders: set[str] = set()
        for name, tree in self.pipeline.outputs.items():
            path: Path = ("outputs", name)
            misnamed = _MISNAMED_BY_CELL.search(CELL_NAME.sub("key", name))
            templated = _TEMPLATED.search(name)
            by_cell = any((CELL_NAME.search(name), misnamed, templated))
            plain = CELL_NAME.sub("key", name)
            if templated is not None:
                meant = _TEMPLATED.sub(lambda each: "{index}" if each[1] == "index" else "{key}", name)
                cure = f"Write {meant} here, with one brace on each side."
                if any(each not in CELL_NAMES for each in _TEMPLATED.findall(name)):
                    cure = "Write it out; {key} or {index} stands for what tells cells apart."
                message = f"{templated[0]} is a template, and the name of an output holds none."
                self.add("output", message, path, cure, key=True)
            elif misnamed is not None:
                self.add("output", f"{misnamed[0]} says nothing of a cell, so {name} cannot be the name of an output.",
                         path, "Write {key} or {index}.", key=True)  # fmt: skip
            elif not _OUTPUT_NAME.match(plain) or any(part.strip(". ") == "" for part in name.split("/")):
                self.add("output", f"{name} cannot be the name of an output.", path,
                         "Use letters, digits, dots, _ and -; / for a folder; nothing that leads outside.",
                         key=True)  # fmt: skip
            elif other := seen.get(name.lower()):
                self.add("output", f"{name} and {other} are one file on many disks.", path, "Rename one.", key=True)
            elif name.lower() == "outputs.json" and any(not PurePosixPath(n).suffix for n in self.pipeline.outputs):
                message = "outputs.json holds the outputs whose names have no suffix."
                self.add("output", message, path, "Rename this one.", key=True)
            elif clash := _clash(name, seen, folders):
                self.add("output", f"{clash} cannot be a file and a folder.", path, "Rename one.", key=True)
            seen[name.lower()] = name
            folders.update(str(parent) for parent in PurePosixPath(name.lower()).parents)
            found = list(self.infer(tree, path, self.one_cell() if by_cell else None))
            read = {step for _, _, inference in found for step in inference.steps if step in self.pipeline.steps}
            told = any(inference.findings for _, _, inference in found)
            suffix = PurePosixPath(name).suffix.lower()
            if (
                by_cell
                and templated is None
                and not told
                and (found or suffix not in _MEDIA_OF)
                and not any(self.pipeline.steps[s].fanned_out or s in self.not_fanned for s in read)
            ):
                self.add("output", f"{name} is named by cell, and no step that it reads makes several cells.", path,
                         "Read a step with foreach: or matrix:, or leave out {key}.", key=True)  # fmt: skip
            if told:
                continue
            if len(found) == 1 and found[0][0] == ():
                self.output(name, found[0][2].shape, path)
                self.suffix(name, found[0][2], path)
            elif isinstance(tree, list | Mapping):
                self.output(name, Shape({"type": "array" if isinstance(tree, list) else "object"}), path, found)
            elif not found and suffix in _MEDIA_OF:
                self.output(name, Shape({"const": tree if isinstance(tree, str) else ""}), path)
        self.cell_outputs()

    def cell_outputs(self) -> None:
        """Outputs that are named by cell and come out as another one, where the cells are known."""
        taken = {name.lower(): name for name in self.pipeline.outputs if not CELL_NAME.search(name)}
        before: set[str] = set()
        for name, tree in self.pipeline.outputs.items():
            self.same_keys(name, tree)
            if name.lower() in before:
                continue  # which is told
            before.add(name.lower())
            for cell in (_cells_read(tree, self.cells) or ()) if CELL_NAME.search(name) else ():
                one = cell_name(name, cell.key, cell.index)
                if other := taken.get(one.lower()):
                    self.add("output", f"{name} of the cell {cell.key} and {other} are one file on many disks.",
                             ("outputs", name), "Rename one.", key=True)  # fmt: skip
                    break
                taken[one.lower()] = one

    def same_keys(self, name: str, tree: Tree) -> None:
        """An output for each cell whose steps have other cells, so that it cannot be made for some."""
        made = _cells_read(tree, self.cells) if CELL_NAME.search(name) else None
        if any(step.when is not None for step in self.pipeline.steps.values()):
            return  # what is skipped makes no output
        read = literals.steps_needed(tree)
        for step in read if made else ():
            keys = [str(cell.key) for cell in self.cells.get(step) or ()]
            lacking = [str(cell.key) for cell in made or () if str(cell.key) not in keys]
            if keys and lacking:
                message = f"{name} needs the cell {lacking[0]} of {step}, which has {', '.join(keys[:12])}."
                others = [each for each in read if each != step and self.pipeline.steps[each].fanned_out]
                cure = f"Give {' and '.join([step, *others])} the same keys, or make an output for each."
                self.add("output", message, ("outputs", name), cure, key=True)
                return

    def one_cell(self) -> dict[str, Shape]:
        """The names of an output that is made for each cell: a fanned-out step is the one cell."""
        steps = self.names["steps"]
        cells = {
            name: Shape.of(schema).items.alone if Shape.of(schema).cells else schema
            for name, schema in steps.schema["properties"].items()
        }
        return {**self.names, "steps": replace(Shape.of({**CLOSED, "properties": cells}), steps=True)}

    def output(
        self, name: str, found: Shape, path: Path, inside: Sequence[tuple[Path, Template, Inference]] = ()
    ) -> None:
        """Whether a value is what its suffix says. Templates may stand ``inside`` of a list or a mapping."""
        suffix = PurePosixPath(name).suffix.lower()
        media = _MEDIA_OF.get(suffix)
        if media and found.types and found.artifact not in (media, "file"):
            fits = [template for _, template, inference in inside if inference.shape.artifact == media]
            cure = f'Write {name}: "{fits[0].text.strip()}".' if fits else self.pictures(media, path)
            said = found.schema.get("const")
            if isinstance(said, str) and (meant := self.named(said.strip(), media, path)) is not None:
                cure = meant[1]
            self.add("type", f"{name} needs {Shape({'artifact': media})}; this is {found}.", path, cure)
        elif suffix in (*_FORMED_SUFFIXES, *_BINARY_SUFFIXES) and found.types and found.types <= {"array", "object"}:
            cure = f"Name it {PurePosixPath(name).stem}.json or .yaml"
            cure += ", or write the text of it in a render_text step." if suffix in _FORMED_SUFFIXES else "."
            self.add("output", f"{name} is {found}, and none is written as {suffix} here.", path, cure, key=True)
        elif suffix in _BINARY_SUFFIXES and found.types and not found.artifact:
            self.add("output", f"{name} is {found}, and no {suffix} is made of that here.", path,
                     f"Name it {PurePosixPath(name).stem}.txt or .md.", key=True)  # fmt: skip
        elif suffix in _TEXT_SUFFIXES and found.artifact:
            self.add(
                "type", f"{name} needs text or data; this is {found}.", path, "Name it .png, or write .url after it."
            )

    def suffix(self, name: str, found: Inference, path: Path) -> None:
        """A file that a model makes, under a suffix that it would not have. Files of the author keep what they had."""
        suffix, media = PurePosixPath(name).suffix.lower(), found.shape.artifact
        known = [own for own, of in _MEDIA_OF.items() if of == media]
        steps = [self.pipeline.steps[step] for step in found.steps if step in self.pipeline.steps]
        made = bool(steps) and all(step.kind in KINDS and media in KINDS[step.kind].output({}).get("properties", {})
                                   for step in steps)  # fmt: skip
        if suffix and known and made and suffix not in (*_MEDIA_OF, *_TEXT_SUFFIXES):
            self.add("output", f"{name} is {Shape({'artifact': media})}, and none is written as {suffix}.", path,
                     f"Name it {', '.join(known[:-1])} or {known[-1]}.", key=True)  # fmt: skip

    # -- the graph ----------------------------------------------------------------------------------

    def in_order(self, steps: dict[str, CheckedStep]) -> dict[str, CheckedStep]:
        graph = {name: [e.needs for e in step.edges if e.needs in steps] for name, step in steps.items()}
        try:
            graphlib.TopologicalSorter(graph).prepare()
        except graphlib.CycleError as err:
            loop = list(reversed(err.args[1]))
            first = min(loop[:-1], key=list(steps).index)
            at = loop.index(first)
            ring = [*loop[at:-1], *loop[:at], first]
            self.add("loop", f"These steps wait for each other: {' → '.join(ring)}.", ("steps", first), key=True,
                     instead="Let one of them read another step, or an input.")  # fmt: skip
            return steps
        return {name: steps[name] for name in _in_file_order(graph)}

    def file(self, path: Path, name: str) -> bool:
        if name.startswith(("http://", "https://")):
            return True
        if name.startswith("data:"):
            if not DATA_URI.match(name):
                self.add("file", "This data URI cannot be read.", path, "Write data:image/png;base64,… and the file.")
            return True
        if self.is_file(name):
            return True
        self.add("file", f"There is no file {name} in this project.", path,
                 "Paths start at the folder of the pipeline.")  # fmt: skip
        return False

    def add(self, code: str, message: str, path: Sequence[str | int], instead: str = "", *,
            key: bool = False, warning: bool = False) -> None:  # fmt: skip
        document, place = self.pipeline.place(path)
        self.problems.append(Problem(code, message, document.mark(place, key=key), instead, warning))

    def warn(self, code: str, message: str, path: Sequence[str | int], instead: str) -> None:
        self.problems.append(Problem(code, message, self.pipeline.document.mark(path), instead, warning=True))


def _chain_in(template: Template | None) -> str:
    """What a template yields as one writes it, up to its filters."""
    return shown(template.expression) if template is not None and template.expression is not None else "this"


def _cells_read(tree: Tree, cells: Mapping[str, list[Cell] | None]) -> Sequence[Cell] | None:
    """The cells that an output is made for which is named by cell; None where only a run will know."""
    read = sorted({step for _, template in templates_of(tree) for step in steps_read(template)})
    known = [cells[step] for step in read if step in cells]
    each = [found for found in known if found is not None]
    return min(each, key=len) if each and len(each) == len(known) else None


def _outputs_shape(pipeline: Pipeline) -> JSON:
    """The outputs of a pipeline that a step runs: of those named by cell the names that they will have."""
    cells = known_cells(pipeline.steps)
    names: dict[str, JSON] = {}
    patterns: dict[str, JSON] = {}
    for name, tree in pipeline.outputs.items():
        made = _cells_read(tree, cells) if CELL_NAME.search(name) else ()
        if made is None:
            apart = [re.escape(part) if n % 2 == 0 else _OF_CELL[part] for n, part in enumerate(CELL_NAME.split(name))]
            patterns[f"^{''.join(apart)}$"] = {"description": name}
        elif CELL_NAME.search(name):
            names |= {cell_name(name, cell.key, cell.index): {} for cell in made}
        else:
            names[name] = {}
    by_cell = {"patternProperties": patterns, "$by_cell": True} if patterns else {}
    return {**CLOSED, "properties": names, **by_cell}


def _clash(name: str, others: Mapping[str, str], folders: Collection[str]) -> str | None:
    """The output among these that would be a file where this one needs a folder, or the reverse."""
    path = PurePosixPath(name.lower())
    for parent in path.parents:
        if parent.suffix and str(parent) in others:
            return others[str(parent)]
    return name if path.suffix and str(path) in folders else None


def _in_file_order(graph: Mapping[str, Sequence[str]]) -> Iterator[str]:
    """The order of the file, except where a step has to wait: easier to read than any other."""
    number = {name: index for index, name in enumerate(graph)}
    waits = {name: len(set(needs)) for name, needs in graph.items()}
    readers: dict[str, list[str]] = {name: [] for name in graph}
    for name, needs in graph.items():
        for needed in set(needs):
            readers[needed].append(name)
    ready = [number[name] for name, count in waits.items() if count == 0]
    names = list(graph)
    while ready:
        name = names[heapq.heappop(ready)]
        yield name
        for reader in readers[name]:
            waits[reader] -= 1
            if waits[reader] == 0:
                heapq.heappush(ready, number[reader])
