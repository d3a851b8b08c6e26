"""Pipelines and runs to look at: as a graph, as a table of what would run, as a page of what ran.

What is drawn and written is in `reports`; here it is found: in the pipeline, the store, the journals.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from . import app
from .check import Checked, Edge
from .errors import StepError, UsageError
from .plan import Plan
from .reports.graph import Graph, Link, Node


def graph(read: app.Read, given: app.Given, env: Mapping[str, str]) -> Graph:
    """The graph of a pipeline, with as many cells as these inputs make."""
    checked = read.whole()
    try:
        planned = app.plan(read, given, env, preview=True)
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
