"""A checked pipeline and its inputs in, a `Plan` out: the order, each edge and why, each call and its price.

The plan is what `execute` runs. It is made before the first request, so that everything it shows costs nothing.
"""

from __future__ import annotations

import contextlib
import hashlib
import math
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import Literal, TypeAlias

from .catalogue import Model
from .cells import LIMIT, BadCells, expand, items_of, of
from .checking import Checked, CheckedStep, Edge, misfit
from .errors import Mark, PipelineProblems, PluginFailed, StepError, TemplateFailed, UsageError, nearest
from .fitting import takes_seed
from .inference import inputs_read
from .kinds import Kind, approve
from .kinds.kind import chosen, fit
from .kinds.nesting import mapped, parts, rendered
from .model import JSON, Artifact, Call, Ceiling, Cell, Chat, titled
from .pipeline import Input, Pipeline, Retry
from .source import parse, read_scalar
from .templates import Template, Tree, partly, render_tree, templates_of

CALLS = 64
"""Calls in flight at once, where nobody says."""

Written: TypeAlias = Literal["typed", "python", "yaml"]
"""Where somebody writes inputs: on a command line, in a program, in a pipeline or its test."""

UNKNOWN = Artifact(sha256="", media_type="image/png", bytes=0, path="")
"""Stands for a picture that is not there yet, in the preview of a call."""


@dataclass(frozen=True, slots=True, eq=False)
class PlannedStep:
    """A step ready to run: ``params`` are templates and values, ``edges`` the steps it waits for."""

    id: str
    kind: Kind
    model: Model | None
    params: Mapping[str, Tree]
    edges: tuple[Edge, ...] = ()
    timeout: float = 600.0
    retry: Retry = field(default_factory=Retry)
    cache: bool = True
    cache_for: float | None = None
    """Seconds for which a stored reply may be used."""
    preview: Call | None = None
    """The call it would make, as far as it is known before the run; None for a local kind."""
    open: Mapping[str, str] = field(default_factory=dict)
    """Params that the preview lacks, because only the run will know them: their templates, by what they go out as."""
    usd: float | None = None
    """The most that one of its cells can cost, in USD, candidates and all, if nothing is tried twice.

    None where no price is known.
    """
    dearest: bool = False
    """Whether `usd` is all that its model can cost, because what bounds it (a prompt, a length) is not known yet."""
    when: Tree = None
    when_by_cell: bool = False
    foreach: Tree = None
    matrix: Mapping[str, Tree] | None = None
    key: Template | None = None
    limit: int = LIMIT
    on_failure: str = "continue"
    depth: int = 0
    """How many steps stand before it in its longest chain: deeper cells go first."""
    groups: tuple[str, ...] = ()
    """The limits of `Plan.limits` that its calls count against."""
    count: int | None = 1
    """How many cells it has; None if only the run will know."""
    keys: frozenset[str] | None = None
    """What its cells are called, where it has several; None if only the run will know."""
    nested: Nested | None = None
    """The pipeline that it runs."""
    budget: Ceiling | None = None
    tools: Mapping[str, Nested] = field(default_factory=dict)
    """The pipelines that answer its tools, by tool."""
    pick: int | None = None
    """How many candidates each of its cells makes, of which a person chooses one; None where there is no choice."""

    @property
    def asks(self) -> bool:
        """Whether it asks a person yes or no."""
        return self.kind.NAME == approve.NAME

    @property
    def fanned_out(self) -> bool:
        return self.foreach is not None or self.matrix is not None

    @property
    def follows(self) -> str | None:
        """The step whose cells its own follow, one by one."""
        return next((edge.needs for edge in self.edges if edge.cells), None)


@dataclass(frozen=True, slots=True, eq=False)
class Nested:
    """A pipeline that a step runs, to be planned when its inputs are known."""

    checked: Checked
    env: Mapping[str, str]

    def plan(self, inputs: Mapping[str, JSON], *, preview: bool = False) -> Plan:
        """Its plan with these inputs, of which files are there already. `NestedInputs` if they do not fit."""
        declared = self.checked.pipeline.inputs
        files = {n: v for n, v in inputs.items() if n in declared and "artifact" in declared[n].schema}
        try:
            values = read_inputs(
                declared, {**inputs, **dict.fromkeys(files)}, {}, preview=preview, files=False, written="yaml"
            )
            for name, value in files.items():
                values[name] = fit(name, declared[name].schema, value)
        except UsageError as err:
            raise NestedInputs(str(err)) from err
        try:
            return plan(self.checked, values, self.env, preview=preview)
        except UsageError as err:
            raise NestedInputs(str(err)) from err

    def try_inputs(self, tree: Tree, names: Mapping[str, JSON]) -> None:
        """Look at the inputs of a cell as far as they are known before the run. `NestedInputs` if they do not fit."""
        declared = self.checked.pipeline.inputs
        known: dict[str, JSON] = {}
        unknown = set()
        for name, value in (tree if isinstance(tree, Mapping) else {}).items():
            try:
                known[name] = render_tree(value, names)
            except TemplateFailed:
                known[name] = None
            # An input of ours that is left out in a preview stands as null: what it will be is not known either.
            if known[name] is None or (name in declared and "artifact" in declared[name].schema):
                unknown.add(name)
                del known[name]
        if not unknown:
            self.plan(known)
            return
        try:
            read_inputs(declared, known, {}, preview=True)
        except UsageError as err:
            raise NestedInputs(str(err)) from err

    def files(self) -> Iterator[tuple[str, Mapping[str, str], Mapping[str, Mark]]]:
        """The files that it names, and the pipelines that it runs: of which pipeline file, paths with media, marks."""
        steps = self.checked.steps.values()
        yield (
            self.checked.pipeline.document.file,
            {path: media for step in steps for path, media in step.files.items()},
            {path: mark for step in steps for path, mark in step.named.items()},
        )
        for step in steps:
            for inner in (*([step.nested] if step.nested is not None else []), *step.tools.values()):
                yield from Nested(inner, self.env).files()

    @property
    def outline(self) -> Plan | None:
        """Its plan whatever its inputs; None if there is none without them."""
        try:
            return self.plan({}, preview=True)
        except (StepError, UsageError):
            return None

    @property
    def usd(self) -> float | None:
        """The most that it can cost, whatever its inputs."""
        outline = self.outline
        return outline.usd if outline is not None else None


class NestedInputs(StepError):
    """The inputs that a step gives to a pipeline do not fit it."""

    fault = "params"


@dataclass(frozen=True, slots=True, eq=False)
class Plan:
    """What would run. ``inputs`` are values with files still as paths until `with_files` puts them in."""

    pipeline: str
    version: str | None
    file: str
    steps: tuple[PlannedStep, ...]
    inputs: Mapping[str, JSON]
    outputs: Mapping[str, Tree]
    env: Mapping[str, str]
    budget: Ceiling | None
    files: Mapping[str, str]
    """Paths and URLs of pictures that the pipeline or its inputs name, and the media each must be."""
    file_inputs: tuple[str, ...] = ()
    named: Mapping[str, Mark] = field(default_factory=dict)
    """Where the pipeline names its files; what a user named has no place in it."""
    calls: int = CALLS
    """Calls in flight at once."""
    limits: Mapping[str, int] = field(default_factory=dict)
    """Calls in flight at once by group: a model of ``limits: per_model``, a step that says ``at_once``."""
    deadline: float | None = None
    profile: str | None = None
    empty: tuple[str, ...] = ()
    """Inputs that must be given, and are a text with nothing in it."""

    @property
    def title(self) -> str:
        """``product-card 1.2.0, profile draft``."""
        return titled(self.pipeline, self.version, self.profile)

    def most(self, unit: str) -> float | None:
        """The most that the run can take of a budget, if nothing is tried twice; None where that is not known."""
        if unit == "usd":
            return self.usd
        total = 0.0
        for step in self.steps:
            worst = step.preview.most.get(unit, 0.0) if step.preview is not None else 0.0
            if worst is None or step.count is None or step.nested is not None:
                return None
            total += worst * step.count * (step.pick or 1)
        return total

    @property
    def usd(self) -> float | None:
        """The most that the run can cost, if nothing is tried twice; None if a price or a count is not known."""
        total = 0.0
        for step in self.steps:
            if step.kind.CALLS or step.nested is not None:
                if step.usd is None or step.count is None:
                    return None
                total += step.usd * step.count
        return total

    def with_budget(self, usd: float) -> Plan:
        """The same plan with so many USD at most. `UsageError` if a call of it has no price."""
        ceiling = self.budget or Ceiling({})
        ceiling = replace(ceiling, most={**ceiling.most, "usd": usd})
        if ceiling.unpriced == "refuse" and (model := next(self.unpriced(), None)):
            msg = (
                f"{model} has no known price, so the budget cannot be kept. "
                "Choose a model with a price, or write budget: {unpriced: {count_as: 0.05}} in the pipeline."
            )
            raise UsageError(msg)
        return replace(self, budget=ceiling)

    def unpriced(self) -> Iterator[str]:
        """The models without a price, of its steps and of the pipelines that they run."""
        for step in self.steps:
            models = step.nested.checked.models() if step.nested else [step.model] if step.model else []
            yield from (model.id for model in models if model.price is None)

    def too_small(self) -> Iterator[tuple[str, str, str]]:
        """Budgets that cannot pay one call of a step: whose they are (``""`` for the run), the step, and a sentence."""
        for scope, ceiling in [("", self.budget), *((step.id, step.budget) for step in self.steps)]:
            for step in self.steps:
                if ceiling is None or step.preview is None or scope not in ("", step.id):
                    continue
                one = step.preview.usd
                known = step.usd == (
                    one if one is None else one * (step.pick or 1)
                )  # else it depends on what only the run will know
                for unit, most in ceiling.most.items():
                    worst = step.preview.most.get(unit) or 0.0
                    if worst > most and (known or unit == "images") and ceiling.on_exceed != "warn":
                        named = f"the budget of {scope}" if scope else "the budget"
                        what = "USD" if unit == "usd" else unit
                        sentence = (
                            f"A call of {step.id} may take {_plain(worst)} {what}, and {named} is {_plain(most)}."
                        )
                        yield scope, step.id, sentence

    def nested_files(self) -> Iterator[tuple[str, Mapping[str, str], Mapping[str, Mark]]]:
        """The files that the pipelines name which its steps and their tools run, as `Nested.files` gives them."""
        for step in self.steps:
            for inner in (*([step.nested] if step.nested is not None else []), *step.tools.values()):
                yield from inner.files()

    def with_files(self, artifacts: Mapping[str, Artifact]) -> Plan:
        """The same plan with its pictures in place."""
        steps = tuple(
            replace(s, params={n: _put_files(s.kind.PARAMS[n], v, artifacts) for n, v in s.params.items()})
            for s in self.steps
        )
        inputs = {n: artifacts.get(v, v) if n in self.file_inputs and isinstance(v, str) else v
                  for n, v in self.inputs.items()}  # fmt: skip
        return replace(self, steps=steps, inputs=inputs)

    def names(self, run_id: str) -> dict[str, JSON]:
        """What templates may name before any step is done."""
        run = {"id": run_id, "pipeline": self.pipeline, "version": self.version or ""}
        return {"inputs": dict(self.inputs), "env": dict(self.env), "run": run}


def _plain(amount: float) -> str:
    """An amount as one writes it: 0.00001, and not 1e-05."""
    return format(Decimal(f"{amount:.6g}" if amount < 100_000 else f"{amount:.0f}"), "f")


def plan(checked: Checked, inputs: Mapping[str, JSON], env: Mapping[str, str], *, preview: bool = False) -> Plan:
    """Plan a run with these inputs, which `read_inputs` has checked; in a ``preview`` some may be missing."""
    pipeline = checked.pipeline
    file_inputs = tuple(name for name, d in pipeline.inputs.items() if "artifact" in d.schema)
    files = {path: media for step in checked.steps.values() for path, media in step.files.items()}
    files |= {inputs[n]: pipeline.inputs[n].type for n in file_inputs if isinstance(inputs.get(n), str)}
    named = {path: mark for step in checked.steps.values() for path, mark in step.named.items()}
    for name in file_inputs:
        if (file := inputs.get(name)) and file == pipeline.inputs[name].default:
            named.setdefault(file, pipeline.document.mark(("inputs", name, "default")))
    known_env = {name: env[name] for name in pipeline.env if name in env}
    there = [name for name in file_inputs if preview or inputs.get(name) is not None]
    names = {"inputs": {**inputs, **dict.fromkeys(there, UNKNOWN)}, "env": known_env}
    return Plan(
        pipeline=pipeline.name,
        version=pipeline.version,
        file=pipeline.document.file,
        steps=_planned_steps(checked, names, env, preview=preview),
        inputs=inputs,
        outputs=pipeline.outputs,
        env=known_env,
        budget=pipeline.budget,
        files=files,
        file_inputs=file_inputs,
        named=named,
        calls=pipeline.calls or CALLS,
        limits={
            **{f"model {name}": most for name, most in pipeline.per_model.items()},
            **{f"step {step.id}": step.at_once for step in pipeline.steps.values() if step.at_once is not None},
        },
        deadline=pipeline.deadline,
        profile=pipeline.profile,
        empty=tuple(
            name
            for name, declared in pipeline.inputs.items()
            if declared.type == "string"
            and declared.required
            and inputs.get(name) is not None
            and not inputs[name].strip()
        ),
    )


def read_inputs(
    declared: Mapping[str, Input],
    given: Mapping[str, JSON],
    typed: Mapping[str, str],
    *,
    preview: bool = False,
    files: bool = True,
    written: Written = "typed",
) -> dict[str, JSON]:
    """Input values, defaults filled in. ``given`` are values, ``typed`` texts of a command line.

    ``written`` is how whoever gives them writes them, to say how one that is missing is given.

    `UsageError` for an unknown input, a missing one (in a ``preview`` it stands as null), or a value of the wrong type.
    Without ``files`` those are not looked at.
    """
    for name in [*given, *typed]:
        if name not in declared:
            msg = f"The pipeline has no input {name}. {nearest(name, list(declared))}".strip()
            raise UsageError(msg)
    values: dict[str, JSON] = {**given, **{name: _typed(declared[name], text) for name, text in typed.items()}}
    missing = [d for d in declared.values() if d.required and d.name not in values]
    if missing and not preview:
        wanted = "; ".join(f"{d.name} ({d.description or d.type})" for d in missing)
        example = _example(missing, written)
        msg = f"The pipeline needs {'inputs' if len(missing) > 1 else 'an input'}: {wanted}. Write {example}."
        raise UsageError(msg)
    for name, value in values.items():
        if not files and "artifact" in declared[name].schema:
            continue
        if why := misfit(declared[name], value):
            bare = name in typed and declared[name].type == "list" and not isinstance(value, list)
            cure = f"{why.message} Write -i {_listed(name, typed[name])}." if bare else str(why)
            msg = f"The input {name} does not fit. {cure}"
            raise UsageError(msg)
    return {d.name: values.get(d.name, d.default) for d in declared.values()}


def _example(missing: Sequence[Input], written: Written) -> str:
    match written:
        case "typed":
            return " ".join(f"-i '{d.name}=[…, …]'" if d.type == "list" else f"-i {d.name}=…" for d in missing)
        case "python":
            return f"inputs={{{', '.join(f'{d.name!r}: …' for d in missing)}}}"
        case "yaml":
            return f"inputs: {{{', '.join(f'{d.name}: …' for d in missing)}}}"


def _listed(name: str, text: str) -> str:
    """``'products=[a, b]'``, for a shell, of ``a,b``."""
    return shlex.quote(f"{name}=[{', '.join(part.strip() for part in text.strip(' ,').split(','))}]")


def render(step: PlannedStep, names: Mapping[str, JSON]) -> dict[str, JSON]:
    """The params of a step with its templates rendered, each as its kind wants it. `TemplateFailed` names which."""
    params: dict[str, JSON] = {}
    for name, tree in step.params.items():
        wanted = step.kind.PARAMS[name]
        try:
            params[name] = rendered(name, wanted, tree, names)
        except TemplateFailed as err:
            msg = str(err) if str(err).startswith(name) else f"{name}: {err}"
            raise TemplateFailed(msg) from err
    if step.model is not None:
        params["model"] = step.model
    return params


def control(name: str, tree: Tree, names: Mapping[str, JSON]) -> JSON:
    """The value of a key that says whether a step runs, or how often. `TemplateFailed` names the key."""
    try:
        return render_tree(tree, names)
    except TemplateFailed as err:
        msg = f"{name}: {err}"
        raise TemplateFailed(msg) from err


def derived_seed(pipeline: str, cell: Cell, sample: int = 0) -> int:
    """The seed of a cell that was given none: the same in every run, another for every cell."""
    text = f"{pipeline}/{cell.step}/{cell.key or ''}/{sample}"
    return int(hashlib.sha256(text.encode()).hexdigest()[:8], 16) % 2**31


def with_seed(
    pipeline: str, step: PlannedStep, cell: Cell, params: dict[str, JSON], sample: int = 0
) -> dict[str, JSON]:
    """The params with a seed, if the model takes one and the author gave none.

    Of several candidates each ``sample`` has a seed of its own: counted from the author's, if there is one.
    """
    if sample and isinstance(given := params.get("seed"), int):
        return {**params, "seed": (given + sample) % 2**31 if given < 2**31 else given + sample}
    takes = step.model is not None and takes_seed(step.kind, step.model)
    if takes and params.get("seed") is None:
        return {**params, "seed": derived_seed(pipeline, cell, sample)}
    return params


def _planned_steps(
    checked: Checked, names: Mapping[str, JSON], env: Mapping[str, str], *, preview: bool
) -> tuple[PlannedStep, ...]:
    """The steps in order, each with how deep it stands and how many cells it has as far as that is known."""
    done: dict[str, PlannedStep] = {}
    known: dict[str, list[Cell]] = {}
    spared: set[str] = set()
    """Steps that may be skipped."""
    for step in checked.steps.values():
        planned = _controlled(step, checked.pipeline, done, env)
        if step.nested is not None:
            nested = Nested(step.nested, env)
            planned = replace(planned, nested=nested)
            if (outline := nested.outline) is not None:
                planned = replace(planned, usd=outline.usd, dearest=any(inner.dearest for inner in outline.steps))
        cells = _known_cells(planned, names, known, preview=preview)
        if planned.when is not None or any(edge.needs in spared for edge in planned.edges):
            spared.add(planned.id)
        elif cells and not preview:
            _try_nulls(planned, names.get("inputs", {}))
        if planned.nested is not None and cells is not None and planned.when is None:
            _try_cells(planned, planned.nested, cells, names)
        first: Mapping[str, JSON] = names
        if cells is not None:
            known[planned.id] = cells
        if planned.fanned_out and cells and planned.follows is None:
            one = cells[0]
            first = {**names, "item": one.item, "index": one.index, "key": one.key, "matrix": one.matrix}
        done[planned.id] = replace(_previewed(checked.pipeline.name, step, planned, first),
                                   count=None if cells is None else len(cells),
                                   keys=None if cells is None else frozenset(str(c.key) for c in cells))  # fmt: skip
    return tuple(done.values())


def _try_cells(step: PlannedStep, nested: Nested, cells: Sequence[Cell], names: Mapping[str, JSON]) -> None:
    """`UsageError` if a cell gives the pipeline that it runs an input that is known already and does not fit."""
    for cell in cells:
        own = {"index": cell.index, "key": cell.key, "matrix": cell.matrix} if step.fanned_out else {}
        own |= {"item": cell.item} if step.foreach is not None and step.follows is None else {}
        try:
            nested.try_inputs(step.params.get("inputs"), {**names, **own})
        except NestedInputs as err:
            msg = f"The step {step.id} cannot run with these inputs: {err}"
            told = of(cell, multiplied=step.foreach is not None, follows=step.follows is not None)
            raise UsageError(f"{msg}{told}") from err


def _try_nulls(step: PlannedStep, inputs: Mapping[str, JSON]) -> None:
    """`UsageError` if a param reads an input that is null and cannot do with that; others would be paid first."""
    for name, tree in step.params.items():
        for wanted, template in _alone(step.kind.PARAMS[name], tree):
            reads = inputs_read(template) or ()
            nulls = [read for read in reads if read in inputs and inputs[read] is None]
            if not nulls or any(inputs.get(read) is UNKNOWN for read in reads):
                continue
            try:
                fit(name, wanted, template.render({"inputs": inputs}))
            except TemplateFailed as err:
                why = str(err) if str(err).startswith(name) else f"{name}: {err}"
                msg = f"The step {step.id} cannot run with these inputs: {nulls[0]} is null. {why}."
                raise UsageError(msg) from err


def _alone(wanted: JSON, tree: Tree) -> Iterator[tuple[JSON, Template]]:
    """The templates of a param, each with what is wanted of its value."""
    if wanted.get("verbatim") or "late" in wanted:
        return
    if isinstance(tree, Template):
        yield wanted, tree
    elif found := list(parts(wanted, tree)):
        for _, inner, item in found:
            yield from _alone(inner, item)
    else:
        yield from (({}, template) for _, template in templates_of(tree))


def _known_cells(
    step: PlannedStep, names: Mapping[str, JSON], known: Mapping[str, list[Cell]], *, preview: bool
) -> list[Cell] | None:
    """The cells of a step, if what it is multiplied by does not come from a step. `UsageError` if they cannot be."""
    if step.follows is not None and step.follows not in known:
        return None
    try:
        source = known[step.follows] if step.follows is not None else None
        items: Sequence[JSON] | None = [None] * len(source) if source is not None else None
        if source is None and step.foreach is not None:
            foreach = render_tree(step.foreach, names)
            if foreach is None and (preview or step.when is not None):
                return None  # an input that was not given: a preview does without, and the step may be skipped
            items = items_of(foreach)
        matrix = render_tree(step.matrix, names)
        keys = [str(cell.key) for cell in source] if source is not None else None
        return expand(step.id, items, matrix, key=step.key, keys=keys, limit=step.limit, names=names)
    except TemplateFailed:
        return None
    except BadCells as err:
        msg = f"The step {step.id} cannot run with these inputs: {err}"
        raise UsageError(msg) from err


def _controlled(
    checked: CheckedStep, pipeline: Pipeline, before: Mapping[str, PlannedStep], env: Mapping[str, str]
) -> PlannedStep:
    step = checked.step
    names = (step.model, checked.model.id if checked.model else None)
    groups = [f"model {name}" for name in pipeline.per_model if name in names]
    return PlannedStep(
        id=step.id,
        kind=checked.kind,
        model=checked.model,
        params=checked.params,
        edges=checked.edges,
        timeout=step.timeout or checked.kind.TIMEOUT,
        retry=step.retry,
        cache=step.cache,
        cache_for=step.cache_for,
        when=step.when,
        when_by_cell=checked.when_by_cell,
        foreach=step.foreach,
        matrix=step.matrix,
        key=step.key,
        limit=step.limit or max([LIMIT, *(before[edge.needs].limit for edge in checked.edges if edge.cells)]),
        on_failure=step.on_failure,
        budget=step.budget,
        pick=step.pick,
        depth=1 + max((before[edge.needs].depth for edge in checked.edges), default=-1),
        tools={name: Nested(inner, env) for name, inner in checked.tools.items()},
        groups=(*groups, *([f"step {step.id}"] if step.at_once is not None else [])),
    )


def _previewed(pipeline: str, checked: CheckedStep, planned: PlannedStep, names: Mapping[str, JSON]) -> PlannedStep:
    """The step with the call that it, or its first cell, would make."""
    step = checked.step
    if not checked.kind.CALLS or checked.model is None:
        return planned
    params: dict[str, JSON] = {"model": checked.model}
    unknown: dict[str, str] = {}
    for name, tree in checked.params.items():
        value = _preview(checked.kind.PARAMS[name], tree, names)
        if value is not None:
            params[name] = value
            continue
        if isinstance(tree, Template):
            wire = checked.model.params.get(name, {}).get("wire", name)
            unknown[wire if isinstance(wire, str) else name] = tree.text
        if checked.kind.PARAMS[name].get("type") == "object":
            params[name] = {}
    try:
        call = checked.kind.advance(with_seed(pipeline, planned, Cell(step.id), params), ())
    except StepError as err:
        if unknown and isinstance(err, PluginFailed):  # its kind may not do without what only the run will know
            return replace(planned, open=unknown)
        msg = f"The step {step.id} cannot run with these inputs: {err}"
        raise UsageError(msg) from err
    if not isinstance(call, Call):  # a kind of a package, which has nothing to ask here
        return planned
    free = all(inner.usd == 0 for inner in planned.tools.values())  # else it depends on how often they are called
    usd = _most(call, checked, params) if free else None
    most = usd if usd is None else usd * (step.pick or 1)
    dearest = bool(most) and not _is_priced(checked, params)
    return replace(planned, preview=call, open=unknown, usd=most, dearest=dearest)


def _most(call: Call, checked: CheckedStep, params: Mapping[str, JSON]) -> float | None:
    """The most that a cell can cost which begins with this call."""
    if _is_priced(checked, params):
        return call.usd_in_all if isinstance(call, Chat) else call.usd
    most = checked.model.most if checked.model else None
    return most * call.calls if most is not None and isinstance(call, Chat) else most


def _is_priced(checked: CheckedStep, params: Mapping[str, JSON]) -> bool:
    """Whether all that the price depends on is known before the run."""
    price = checked.model.price if checked.model else None
    names = price.names if price else frozenset()
    if price is not None and price.per == "1m_tokens":
        names |= {"prompt", "system", "messages", "tools"}
    for name in names:
        if any(templates_of(checked.params.get(name))) and "{{" in str(params.get(name, "{{")):
            return False
    return True


def _preview(wanted: JSON, tree: Tree, names: Mapping[str, JSON]) -> JSON:
    """A parameter as far as it is known before the run: what steps will yield stays as its template."""
    if wanted.get("verbatim") or "late" in wanted:
        return tree
    if any(parts(wanted, tree)):
        return mapped(wanted, tree, lambda inner, item: _preview(inner, item, names))
    if "artifact" in wanted:
        return replace(UNKNOWN, path=tree.text if isinstance(tree, Template) else str(tree))
    if not isinstance(tree, Template) or tree.starts(names):
        with contextlib.suppress(TemplateFailed):
            return fit("", wanted, render_tree(tree, names))
    if isinstance(tree, Mapping | list):
        return _as_written(tree, names)
    if "artifact" in wanted.get("items", {}):
        return [replace(UNKNOWN, path=tree.text)] * (tree.listed or 1)
    wanted = chosen(wanted, "")
    free = wanted.get("type") == "string" and "enum" not in wanted and "pattern" not in wanted
    return partly(tree, names) if isinstance(tree, Template) and free else None


def _as_written(tree: Tree, names: Mapping[str, JSON]) -> JSON:
    """A value of any form, each part as far as it is known."""
    if isinstance(tree, Mapping):
        return {name: _as_written(inner, names) for name, inner in tree.items()}
    if isinstance(tree, list):
        return [_as_written(inner, names) for inner in tree]
    if not isinstance(tree, Template):
        return tree
    try:
        return render_tree(tree, names)
    except TemplateFailed:
        return partly(tree, names)


def _put_files(wanted: JSON, tree: Tree, artifacts: Mapping[str, Artifact]) -> Tree:
    if "artifact" in wanted:
        return artifacts[tree] if isinstance(tree, str) else tree
    return mapped(wanted, tree, lambda inner, item: _put_files(inner, item, artifacts))


def _typed(declared: Input, text: str) -> JSON:
    """A text of the command line as the value that the input's type makes of it."""
    if any("\ud800" <= character <= "\udfff" for character in text):
        msg = f"The input {declared.name} is not text in UTF-8."
        raise UsageError(msg)
    if declared.type == "string" or "artifact" in declared.schema:
        return text
    if declared.type in ("list", "object"):
        return _parsed(declared, text)
    value = read_scalar(text)
    wanted: Sequence[type] = {"integer": (int,), "number": (int, float), "boolean": (bool,)}[declared.type]
    if type(value) not in wanted or not math.isfinite(value):
        words = {"integer": "an integer", "number": "a number", "boolean": "true or false"}[declared.type]
        msg = f"The input {declared.name} must be {words}, not {text[:60]!r}."
        raise UsageError(msg)
    return value


def _parsed(declared: Input, text: str) -> JSON:
    try:
        return parse(text, f"-i {declared.name}").data
    except PipelineProblems as err:
        words = "a list" if declared.type == "list" else "a mapping"
        why = err.problems[0].message if text.strip() else "nothing is given."
        cure = f" Write -i '{declared.name}=[…, …]'." if declared.type == "list" else ""
        msg = f"The input {declared.name} must be {words} as JSON or YAML: {why}{cure}"
        raise UsageError(msg) from err
