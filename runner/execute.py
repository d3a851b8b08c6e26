"""A `Plan` and what it needs of the world in; events out.

A step starts when the last step that it waits for has ended: each counts what it still waits for, so there is no
queue, no polling and no task for a step that cannot run yet. A failure blocks what needs it and nothing else.
"""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Protocol

import anyio
from anyio.abc import TaskGroup

from .attempts import Attempts, Provider, Tools
from .budget import Budget
from .check import Edge
from .errors import BadOutput, StepError
from .events import (
    CallDone,
    CellBlocked,
    CellCancelled,
    CellDone,
    CellFailed,
    CellSkipped,
    CellStarted,
    Sink,
    State,
)
from .model import JSON, Call, Cell, Output, Reply, key_of
from .plan import Plan, PlannedStep, render, with_seed

CALLS = 64
"""Calls in flight at once, where nobody says."""


class Store(Protocol):
    """Replies by key. A reply that is given back is whole: its files are there and are what they were."""

    def get(self, key: str) -> Reply | None: ...
    async def keep(self, key: str, call: Call, reply: Reply) -> None: ...


KeepText = Callable[[str, str], str | None]
"""Keeps text that was paid for, by cell id; gives back where."""


async def execute(
    plan: Plan,
    *,
    run_id: str,
    provider: Provider,
    store: Store,
    sink: Sink,
    synced: Callable[[], Awaitable[None]],
    clock: Callable[[], float],
    keep_text: KeepText,
    calls: int = CALLS,
    jitter: random.Random | None = None,
) -> None:
    """Run a plan to its end. Never raises for a failed step: the events say which cells failed and why."""
    tools = Tools(
        provider=provider,
        budget=Budget(plan.budget),
        emit=sink,
        synced=synced,
        clock=clock,
        random=jitter or random.Random(),
        calls=anyio.CapacityLimiter(calls),
    )
    async with anyio.create_task_group() as tasks:
        run = _Run(plan, tools, store, keep_text, tasks, plan.names(run_id))
        run.start()


@dataclass(slots=True)
class _Run:
    """The run under way: for each step, how many it waits for and who waits for it."""

    plan: Plan
    tools: Tools
    store: Store
    keep_text: KeepText
    tasks: TaskGroup
    names: dict[str, JSON]
    steps: dict[str, PlannedStep] = field(init=False)
    waits: dict[str, int] = field(init=False)
    readers: dict[str, list[Edge]] = field(init=False)
    ends: dict[str, State] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.steps = {step.id: step for step in self.plan.steps}
        self.waits = {step.id: len(step.edges) for step in self.plan.steps}
        self.readers = {step.id: [] for step in self.plan.steps}
        for step in self.plan.steps:
            for edge in step.edges:
                self.readers[edge.needs].append(edge)
        self.names["steps"] = {}

    def start(self) -> None:
        for step in self.plan.steps:
            if not step.edges:
                self.tasks.start_soon(self._step, step, name=step.id)

    def _settle(self, step_id: str, end: State) -> None:
        """Note how a step ended; start, block or skip what waited for it."""
        ended = deque([(step_id, end)])
        while ended:
            step_id, end = ended.popleft()
            self.ends[step_id] = end
            for edge in self.readers[step_id]:
                self.waits[edge.step] -= 1
                if self.waits[edge.step] == 0:
                    step = self.steps[edge.step]
                    if fate := self._fate(step):
                        ended.append((step.id, fate))
                    else:
                        self.tasks.start_soon(self._step, step, name=step.id)

    def _fate(self, step: PlannedStep) -> State | None:
        """Blocked or skipped, if a step that it needs did not succeed."""
        needed = [(edge.needs, self.ends[edge.needs]) for edge in step.edges if not edge.after]
        for name, end in needed:
            if end in ("failed", "blocked", "cancelled"):
                self.tools.emit(CellBlocked(self.tools.clock(), step.id, name))
                return "blocked"
        for name, end in needed:
            if end == "skipped":
                self.tools.emit(CellSkipped(self.tools.clock(), step.id, f"{name} was skipped"))
                return "skipped"
        return None

    async def _step(self, step: PlannedStep) -> None:
        cell = Cell(step.id)
        end, output = await self._cell(step, cell)
        if output is not None:
            self.names["steps"][step.id] = output.scope()
        self._settle(step.id, end)

    async def _cell(self, step: PlannedStep, cell: Cell) -> tuple[State, Output | None]:
        """Run one cell to its end, and say how it ended."""
        emit, clock = self.tools.emit, self.tools.clock
        emit(CellStarted(clock(), cell.id))
        try:
            output, cached = await self._output(step, cell)
        except StepError as err:
            kept = self.keep_text(cell.id, err.keep) if err.keep else None
            emit(CellFailed(clock(), cell.id, err.fault, str(err), kept))
            return "failed", None
        except anyio.get_cancelled_exc_class():
            emit(CellCancelled(clock(), cell.id))
            raise
        emit(CellDone(clock(), cell.id, cached, output.values, output.model, output.cost))
        return ("cached" if cached else "done"), output

    async def _output(self, step: PlannedStep, cell: Cell) -> tuple[Output, bool]:
        """The output of a cell, and whether every call of it came from the store."""
        params = with_seed(self.plan.pipeline, step, cell, render(step, self.names))
        replies: list[Reply] = []
        cached = True

        def read(reply: Reply) -> Call | Output:
            return step.kind.advance(params, (*replies, reply))

        found = step.kind.advance(params, ())
        while not isinstance(found, Output):
            reply, stored = await self._call(step, cell, found, read)
            found = read(reply)
            replies.append(reply)
            cached = cached and stored
        return found, cached and bool(replies)

    async def _call(
        self, step: PlannedStep, cell: Cell, call: Call, read: Callable[[Reply], Call | Output]
    ) -> tuple[Reply, bool]:
        """The reply to a call, and whether the store had it."""
        tools = self.tools
        key = key_of(call, tools.provider.origin)
        if step.cache and (stored := self.store.get(key)) and _holds(read, stored):
            tools.emit(CallDone(tools.clock(), cell.id, key, cached=True))
            return stored, True
        reply = await Attempts(tools, cell.id, key, call, step.retry, step.timeout, read).reply()
        with anyio.CancelScope(shield=True):  # it is paid for
            await self.store.keep(key, call, reply)
        tools.emit(CallDone(tools.clock(), cell.id, key, cached=False))
        return reply, False


def _holds(read: Callable[[Reply], object], reply: Reply) -> bool:
    """Whether the step can still read a stored reply; one that an older version kept may have to be made anew."""
    try:
        read(reply)
    except BadOutput:
        return False
    return True
