"""Pipelines and runs to look at: as a graph, as a table of what would run, as a page of what ran.

What is drawn and written is in `reports`; here it is found: in the pipeline, the store, the journals.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path

from . import app, loading
from .checking import Checked, Edge
from .errors import CannotStart, StepError, StoreFailed, UsageError
from .events import CellState, RunState
from .files import is_url
from .model import Chat, canonical, step_of
from .options import Options
from .planning import Plan, PlannedStep
from .reports.graph import Graph, Link, Node
from .reports.planned import Basis, Outlook
from .reports.reasons import Ahead

ANSWER = 400
"""Tokens that an answer is taken to have where no earlier run says."""

_MOST_RUNS = 20
"""Runs that are looked at to see what a step costs."""

_LARGEST = 10_000_000
"""Bytes of a journal that is looked at for that: a plan is wanted at once, and smaller runs tell the same."""


def graph(read: loading.Read, given: loading.Given, env: Mapping[str, str]) -> Graph:
    """The graph of a pipeline, with as many cells as these inputs make."""
    checked = read.whole()
    try:
        planned = loading.plan(read, given, env, preview=True)
    except UsageError:
        if given.typed or given.file:
            raise
        planned = None  # without its inputs it cannot be counted
    return graph_of(checked, planned)


def graph_of(checked: Checked, planned: Plan | None) -> Graph:
    """The graph of a checked pipeline; its counts are those of the plan."""
    pipeline = checked.pipeline
    steps = {step.id: step for step in planned.steps} if planned is not None else {}
    nodes = []
    for name, step in checked.steps.items():
        in_plan = steps.get(name)
        fanned_out = step.step.fanned_out
        inner = None
        if step.nested is not None:
            inner = graph_of(step.nested, _inner_plan(in_plan.nested.plan if in_plan and in_plan.nested else None))
        nodes.append(
            Node(
                name,
                step.kind.NAME,
                step.model.id if step.model else "",
                fanned_out,
                in_plan.count if in_plan is not None else None if fanned_out else 1,
                inner,
            )
        )
    links = [link(edge) for step in checked.steps.values() for edge in step.edges]
    return Graph(f"{pipeline.name} {pipeline.version or ''}".rstrip(), nodes, links)


def _inner_plan(planned: Callable[..., Plan] | None) -> Plan | None:
    """The plan of a pipeline inside, as far as it can be made without its inputs."""
    try:
        return planned({}, preview=True) if planned is not None else None
    except (StepError, UsageError):
        return None


def link(edge: Edge) -> Link:
    """Why a step waits, in few words."""
    if edge.after:
        return Link(edge.needs, edge.step, "after")
    if edge.template is None:
        return Link(edge.needs, edge.step, "needs")
    return Link(edge.needs, edge.step, "data", edge.why.partition(" ")[0])


# -- what would run ---------------------------------------------------------------------------------


def outlook(read: loading.Read, given: loading.Given, options: Options) -> tuple[Plan, dict[str, Outlook], list[str]]:
    """The plan of a pipeline with what the store has of it and what it is expected to cost, and what must be said.

    Only the store and the journals of earlier runs are asked.
    """
    read = app.localised(read, options)
    planned = loading.plan(read, given, options.env, preview=True)
    home = loading.project(read.path) / ".runner"
    found, why = _ahead(read, planned, home, app.origin(options))
    paid = _paid(home, read.path, options.provider)
    looks = {
        step.id: _look(
            step, found, paid.get((step.id, step.model.id if step.model else "")), priced=options.provider is None
        )
        for step in planned.steps
    }
    dear = [f"What it can cost at most is what a budget counts: Runpod's prices, not those of {options.provider}."]
    return planned, looks, [*([why] if why else []), *(dear if options.provider else [])]


def _ahead(read: loading.Read, planned: Plan, home: Path, origin: str) -> tuple[Ahead | None, str]:
    """How far a run would come with the store alone; None and why if that cannot be told."""
    declared = read.whole().pipeline.inputs
    missing = [name for name, each in declared.items() if each.required and planned.inputs.get(name) is None]
    if missing:
        wanted = " ".join(f"-i {name}=…" for name in missing)
        return None, f"What the store has depends on the inputs. Add {wanted}."
    if not (home / "store" / "replies.sqlite").is_file():
        return Ahead(RunState(), {}, set()), ""
    if urls := [name for name in planned.files if is_url(name)]:
        return None, f"What the store has depends on what is at {urls[0]}, which is not fetched here."
    import anyio

    from .reasons import ahead
    from .store import Store

    try:
        store = Store(home / "store")
        try:
            return anyio.run(ahead, planned, origin, store), ""
        finally:
            store.close()
    except (CannotStart, StoreFailed, UsageError) as err:
        return None, f"What is stored cannot be told: {err}"


def _look(step: PlannedStep, ahead: Ahead | None, paid: float | None, *, priced: bool) -> Outlook:
    """What is known of a step; ``priced`` says that Runpod's prices hold."""
    links = [link(edge) for edge in step.edges]
    each: float | None = None
    basis: Basis = ""
    if paid is not None:
        each, basis = paid * (step.pick or 1), "earlier runs"
    elif priced:
        each, basis = _guess(step)
    if not step.kind.CALLS and step.nested is None:
        each, basis = 0.0, ""
    look = Outlook(links, step.count, each=each, basis=basis)
    if ahead is None:
        return replace(look, unknown=True)
    state = ahead.state
    if not state.cells:  # there is no store
        return look
    cells = [cell for cell in state.cells.values() if step_of(cell.cell) == step.id]
    inside = {
        cell.cell.partition("/")[0] for cell in state.cells.values() if "/" in cell.cell and cell.state == "failed"
    }
    ends = ["failed" if cell.cell in inside else cell.state for cell in cells]
    opened = (
        step.count if step.id not in state.opened and not step.fanned_out else state.opened.get(step.id, step.count)
    )
    unknown = any(end in ("blocked", "waiting", "running", "asking", "cancelled") for end in ends)
    done = sum(end in ("done", "cached") for end in ends)
    of_it = sum(cell.cell in ahead.flying for cell in cells)
    return replace(
        look, cells=opened, stored=done, in_flight=of_it, skipped=ends.count("skipped"), unknown=unknown and not done
    )


def _guess(step: PlannedStep) -> tuple[float | None, Basis]:
    """What a cell costs that was never paid for: its price, or that of an answer of usual length."""
    call = step.preview
    if not isinstance(call, Chat):
        return step.usd, "price"
    if call.usd_per_token is None or step.usd is None:
        return None, ""
    each_in = call.usd_per_token if call.usd_per_token_in is None else call.usd_per_token_in
    sent = len(canonical(call.body.get("messages", ())).encode()) / 4
    most = call.body.get("max_tokens", ANSWER)
    usual = each_in * sent + call.usd_per_token * min(ANSWER, most)
    return min(step.usd, usual * (step.pick or 1)), "guess"


def _paid(home: Path, file: Path, provider: str | None) -> dict[tuple[str, str], float]:
    """What a cell of each step and model, or one candidate of it, has cost on average in earlier runs that the same
    ``provider`` has answered.
    """
    sums: dict[tuple[str, str], list[float]] = {}
    for state in _earlier(home, file.resolve(), provider):
        for cell in state.cells.values():
            if cell.state == "done" and cell.calls and cell.output is not None and "/" not in cell.cell:
                sums.setdefault((step_of(cell.cell), cell.output.model or ""), []).append(cell.paid / _made(cell))
    return {name: sum(costs) / len(costs) for name, costs in sums.items()}


def _made(cell: CellState) -> int:
    """How many candidates a cell has made; 1 where there was nothing to choose."""
    return max(1, len(cell.asked.shown)) if cell.asked is not None and cell.asked.asks == "pick" else 1


def _earlier(home: Path, file: Path, provider: str | None) -> Iterator[RunState]:
    """The last runs of a pipeline that the same provider has answered."""
    if not (home / "runs").is_dir():
        return
    from .history import newest

    for number, run in enumerate(newest(home, _LARGEST)):
        if number >= _MOST_RUNS:
            return
        if not run.damage and Path(run.state.file) == file and run.state.options.get("provider") == provider:
            yield run.state
