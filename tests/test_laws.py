"""Any graph, any failures, any delays: the run ends as a few sequential lines predict, within its limits.

The world here is a provider of our own making (`World`): it answers, fails or dawdles as the graph says, and counts.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import anyio
import anyio.lowlevel
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from runner import catalogue, checking, pipeline, planning
from runner.calls import Empty
from runner.checking import Checked
from runner.errors import Rejected
from runner.events import Event, fold
from runner.execute import execute
from runner.model import Call, Chat, Finished, Job, Question, Reply, Ticket
from runner.planning import Plan

from .conftest import no_files, planned

BACKENDS = pytest.mark.parametrize("backend", ["asyncio", "trio"])


@dataclass(frozen=True)
class Node:
    """A step of a random graph. Numbers name earlier steps; sets name cells."""

    needs: frozenset[int]
    after: frozenset[int]
    calls: bool
    when: bool
    items: int | None
    """How many cells; None for a plain step."""
    follows: int | None
    fails: frozenset[int]
    skips: frozenset[int]
    delay: int


BESIDE = Node(
    frozenset(), frozenset(), calls=True, when=True, items=None, follows=None, fails=frozenset(), skips=frozenset(),
    delay=2,
)  # fmt: skip


@st.composite
def graphs(draw: st.DrawFn) -> list[Node]:
    nodes: list[Node] = []
    for number in range(draw(st.integers(1, 9))):
        earlier = st.frozensets(st.integers(0, number - 1), max_size=2) if number else st.just(frozenset())
        fanned = [n for n, node in enumerate(nodes) if node.items is not None or node.follows is not None]
        follows = draw(st.sampled_from([None, *fanned]))
        needs, after = draw(earlier) - {follows}, draw(earlier) - {follows}
        nodes.append(
            Node(
                needs=needs - after,
                after=after,
                calls=draw(st.booleans()),
                when=draw(st.sampled_from([True, True, True, False])),
                items=None if follows is not None else draw(st.sampled_from([None, None, 0, 1, 2, 4])),
                follows=follows,
                fails=draw(st.frozensets(st.integers(0, 3), max_size=1)) if draw(st.booleans()) else frozenset(),
                skips=draw(st.frozensets(st.integers(0, 3), max_size=1)) if draw(st.booleans()) else frozenset(),
                delay=draw(st.integers(0, 3)),
            )
        )
    return nodes


def text(nodes: list[Node]) -> str:
    """The graph as a pipeline."""
    lines = ["name: law", "steps:"]
    for number, node in enumerate(nodes):
        lines.append(f"  s{number}:")
        lines.append(f"    needs: {[f's{n}' for n in sorted(node.needs)]}")
        lines.append(f"    after: {[f's{n}' for n in sorted(node.after)]}")
        fanned_out = node.items is not None or node.follows is not None
        if node.follows is not None:
            lines.append(f'    foreach: "{{{{ steps.s{node.follows} }}}}"')
        elif node.items is not None:
            lines.append(f"    foreach: {list(range(node.items))}")
        if not node.when:
            lines.append("    when: false")
        elif fanned_out and node.skips:
            lines.append(f'    when: "{{{{ index not in {sorted(node.skips)} }}}}"')
        index = "{{ index }}" if fanned_out else "0"
        if node.calls:
            lines += ["    kind: generate_text", "    model: qwen/qwen3-32b-awq", f'    prompt: "{number} {index}"']
        else:
            bad = f"{{{{ 'no' if {'index' if fanned_out else 0} in {sorted(node.fails)} else 1 }}}}"
            lines += ["    kind: parse_json", f'    text: "[{bad}]"']
    return "\n".join(lines)


def predicted(nodes: list[Node]) -> dict[str, str]:
    """How each cell ends: one step after the other, no concurrency, no queue."""
    ends: dict[int, str] = {}
    cells: dict[int, list[str] | None] = {}
    told: dict[str, str] = {}
    for number, node in enumerate(nodes):
        needed = {ends[n] for n in node.needs}
        source = cells[node.follows] if node.follows is not None else None
        whole = None
        if "failed" in needed:
            whole = "blocked"
        elif "skipped" in needed:
            whole = "skipped"
        elif node.follows is not None and source is None:
            whole = "skipped" if ends[node.follows] == "skipped" else "blocked"
        elif not node.when:
            whole = "skipped"
        if whole:
            told[f"s{number}"] = whole
            ends[number], cells[number] = ("skipped" if whole == "skipped" else "failed"), None
            continue
        fanned_out = node.items is not None or node.follows is not None
        count = len(source) if source is not None else 1 if node.items is None else node.items
        own = []
        for index in range(count):
            if source is not None and source[index] in ("failed", "blocked"):
                own.append("blocked")
            elif (source is not None and source[index] == "skipped") or (fanned_out and index in node.skips):
                own.append("skipped")
            else:
                own.append("failed" if index in node.fails else "done")
            told[f"s{number}[{index}]" if fanned_out else f"s{number}"] = own[-1]
        bad = {"failed", "blocked"} & set(own)
        ends[number] = "failed" if bad else "skipped" if own and set(own) == {"skipped"} else "done"
        cells[number] = own
    return told


@dataclass
class World(Empty):
    """Answers as the graph says. Counts who is in here."""

    nodes: list[Node]
    origin: str = "law"
    inside: int = 0
    most: int = 0
    kept: dict[str, Reply] = field(default_factory=dict)

    async def chat(self, chat: Chat, grew: object, sending: Callable[[], None]) -> Reply:
        del grew
        sending()
        number, index = map(int, chat.body["messages"][0]["content"].split())
        self.inside += 1
        self.most = max(self.most, self.inside)
        try:
            for _ in range(self.nodes[number].delay):
                await anyio.lowlevel.checkpoint()
            if index in self.nodes[number].fails:
                raise Rejected("as the graph says")
            return Reply({"choices": [{"message": {"content": "yes"}, "finish_reason": "stop"}]}, cost=0.0)
        finally:
            self.inside -= 1

    async def get(self, key: str, since: float = 0.0) -> Reply | None:
        assert since == 0.0
        return self.kept.get(key)

    def finished(self, key: str, since: float = 0.0) -> Finished | None:
        assert key not in self.kept
        assert since == 0.0
        return None

    async def keep(self, key: str, call: Call | Question, reply: Reply) -> None:
        del call
        await anyio.lowlevel.checkpoint()
        self.kept[key] = reply

    def pause(self, call: Call) -> float:
        del call
        return 0.0

    async def submit(self, job: Job, within: float, sending: Callable[[], None]) -> Ticket:
        raise NotImplementedError

    async def wait(self, ticket: Ticket, moved: Callable[[str], None]) -> Finished:
        raise NotImplementedError

    async def collect(self, job: Job, finished: Finished) -> Reply:
        raise NotImplementedError

    async def cancel(self, ticket: Ticket) -> Finished | None:
        raise NotImplementedError


async def run(
    nodes: list[Node], world: World, calls: int, sink: Callable[[Event], None], plan: Plan | None = None
) -> None:
    async def synced() -> None:
        await anyio.lowlevel.checkpoint()

    await execute(
        plan or planned(text(nodes)), run_id="r", provider=world, store=world, sink=sink, synced=synced,
        clock=lambda: 0.0, keep_text=lambda *_: None, load_files=no_files, calls=calls, jitter=random.Random(0),
    )  # fmt: skip


OUTER = """
name: outer
limits: {{per_model: {{qwen/qwen3-32b-awq: {most}}}}}
steps:
  each: {{kind: run_pipeline, file: inner.yaml, foreach: {items}}}
  beside: {{kind: generate_text, model: qwen/qwen3-32b-awq, foreach: [0, 1], prompt: "{number} {{{{ item }}}}"}}
"""


def within(nodes: list[Node], times: int, most: int) -> Plan:
    """The graph as a pipeline that each cell of another runs, beside two calls of its own."""
    files = {"inner.yaml": text(nodes)}
    found, problems = pipeline.load(
        OUTER.format(items=list(range(times)), most=most, number=len(nodes)), "outer.yaml", lambda name: files[name]
    )
    assert found is not None, problems

    def nested(name: str) -> Checked:
        inner, problems = pipeline.load(files[name], name, lambda _: "")
        assert inner is not None, problems
        checked, problems = checking.check(inner, catalogue.builtin(), lambda _: False)
        assert checked is not None, problems
        return checked

    checked, problems = checking.check(found, catalogue.builtin(), lambda _: True, nested)
    assert checked is not None, problems
    return planning.plan(checked, {}, {})


LAW = settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.too_slow])


@BACKENDS
@LAW
@given(nodes=graphs(), calls=st.integers(1, 4))
def test_any_graph_ends_as_the_reference_predicts(backend: str, nodes: list[Node], calls: int) -> None:
    world = World(nodes)
    events: list[Event] = []

    anyio.run(run, nodes, world, calls, events.append, backend=backend)

    assert {cell.cell: cell.state for cell in fold(events).cells.values()} == predicted(nodes)
    assert world.most <= calls
    assert world.inside == 0


@BACKENDS
@settings(LAW, max_examples=60)
@given(nodes=graphs(), times=st.integers(1, 3), calls=st.integers(1, 3), most=st.integers(1, 3))
def test_inside_another_pipeline_a_graph_ends_the_same(
    backend: str, nodes: list[Node], times: int, calls: int, most: int
) -> None:
    world = World([*nodes, BESIDE])
    events: list[Event] = []

    anyio.run(run, nodes, world, calls, events.append, within(nodes, times, most), backend=backend)

    # Who asks the same as another cell is answered from the store.
    ends = {cell.cell: cell.state.replace("cached", "done") for cell in fold(events).cells.values()}
    for number in range(times):
        own = f"each[{number}]/"
        assert {c.removeprefix(own): end for c, end in ends.items() if c.startswith(own)} == predicted(nodes)
    assert {ends[f"each[{number}]"] for number in range(times)} == {"done"}
    assert world.most <= min(calls, most)
    assert world.inside == 0


@BACKENDS
@LAW
@given(nodes=graphs(), calls=st.integers(1, 4), moment=st.integers(0, 25))
def test_a_cancellation_at_any_moment_leaves_nothing_running(
    backend: str, nodes: list[Node], calls: int, moment: int
) -> None:
    world = World(nodes)
    events: list[Event] = []

    async def cancelled() -> None:
        with anyio.CancelScope() as scope:

            def sink(event: Event) -> None:
                events.append(event)
                if len(events) == moment:
                    scope.cancel()

            await run(nodes, world, calls, sink)

    anyio.run(cancelled, backend=backend)

    ends = {cell.cell: cell.state for cell in fold(events).cells.values()}
    assert world.inside == 0
    assert "running" not in ends.values()
    assert all(end in (predicted(nodes).get(cell), "cancelled", "waiting") for cell, end in ends.items())


@BACKENDS
@settings(LAW, max_examples=30)
@given(nodes=graphs())
def test_a_second_run_calls_nobody_for_what_is_done(backend: str, nodes: list[Node]) -> None:
    world = World(nodes)
    anyio.run(run, nodes, world, 4, lambda _: None, backend=backend)
    asked: list[Any] = []

    anyio.run(
        run, nodes, world, 4, lambda e: asked.append(e) if type(e).__name__ == "CallPaid" else None, backend=backend
    )

    assert asked == []
