"""A `Plan` and what it needs of the world in; events out.

Each step counts what it still waits for; what ends last starts it. A step that is fanned out opens once, into cells;
a step that follows another's cells gets one cell for each, ready when that one is done. So there are no barriers, no
polling, and no task for a cell that cannot run yet: cells that call wait as entries in `Admission`, cells that call
nobody run at once, where the event that made them ready happened.
"""

from __future__ import annotations

import random
import time
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial

import anyio
import anyio.lowlevel
from anyio.abc import TaskGroup

from .admission import Admission, Pass, Place, Waiting
from .attempts import Past, Provider, Tools
from .budget import Budget
from .calls import Store
from .canned import Canned
from .cells import expand, items_of
from .checking import Edge
from .desk import Desk
from .errors import USED_UP, StepError
from .events import BudgetTold, CellBlocked, CellFailed, CellSkipped, Sink, State, StepOpened
from .fresh import Fresh
from .inside import Inside
from .lockfile import Locked
from .model import JSON, Cell, Cells, Output, Outputs
from .planning import Plan, PlannedStep, control
from .work import KeepText, LoadFiles, Names, Work, holds

SLICE = 0.005
"""Seconds of local work after which everybody else gets a turn."""

_FATES: tuple[tuple[State, State], ...] = (("failed", "blocked"), ("skipped", "skipped"))
_BAD = ("failed", "blocked", "cancelled")


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
    load_files: LoadFiles,
    calls: int | None = None,
    fail_fast: bool = False,
    watched: bool = False,
    jitter: random.Random | None = None,
    past: Past | None = None,
    fresh: Fresh | None = None,
    cancel_jobs: bool = True,
    locked: Locked | None = None,
    canned: Canned | None = None,
    desk: Desk | None = None,
) -> Names:
    """Run a plan to its end. Gives back what templates may name then: the outputs of the steps that are done.

    ``watched`` streams chats, so that their texts can be seen growing (`TextGrew`). With ``canned`` nobody is called.
    Without a ``desk`` nobody is asked, and what waits for a person stays open.
    Never raises for a failed step: the events say which cells failed and why.
    """
    admission = Admission(calls or plan.calls, plan.limits)

    def stop(message: str) -> None:
        sink(BudgetTold(clock(), message, stop=True))
        admission.close(USED_UP)

    tools = Tools(
        provider=provider,
        budget=Budget(
            lambda message: sink(BudgetTold(clock(), message)),
            stop,
            past.spent if past else None,
            past.held if past else (),
        ),
        emit=sink,
        synced=synced,
        clock=clock,
        random=jitter or random.Random(),
        admission=admission,
        watched=watched,
        past=past or Past(),
        fresh=fresh or Fresh(),
        cancel_jobs=cancel_jobs,
        locked=locked,
        desk=desk or Desk(),
    )
    async with anyio.create_task_group() as clock_tasks:
        if plan.deadline is not None:
            clock_tasks.start_soon(_close_after, plan.deadline, tools.admission)
        try:
            work = Work(plan, tools, store, keep_text, load_files, canned)
            names = await _run(plan, work, run_id, fail_fast=fail_fast, inside=Inside())
        finally:
            tools.budget.report()
        clock_tasks.cancel_scope.cancel()
    return names


async def _run(plan: Plan, work: Work, run_id: str, *, fail_fast: bool, inside: Inside) -> Names:
    """Run a plan to its end; one that a cell runs has its own steps under the cell's id."""
    work.tools.budget.add(inside.above, plan.budget)
    for step in plan.steps:
        work.tools.budget.add(f"{inside.above}{step.id}", step.budget)
    with ExitStack() as after:
        async with anyio.create_task_group() as tasks:
            run = _Run(plan, work, work.tools, tasks, plan.names(run_id), fail_fast, inside)
            after.callback(run.leave)
            run.start()
        return run.names


async def _close_after(seconds: float, admission: Admission) -> None:
    await anyio.sleep(seconds)
    admission.close(f"the deadline of {seconds:g} s has passed")


@dataclass(slots=True, eq=False)
class _Step:
    """A step under way. Lists are by cell, and empty until it opens."""

    planned: PlannedStep
    waits: int
    wants: Pass
    readers: list[Edge] = field(default_factory=list)
    followers: list[_Step] = field(default_factory=list)
    source: _Step | None = None
    open: bool = False
    """Everything that it needs whole has ended well; what is missing, if anything, are its source's cells."""
    cells: list[Cell] = field(default_factory=list)
    ends: list[State | None] = field(default_factory=list)
    outputs: list[dict[str, JSON] | None] = field(default_factory=list)
    expanded: bool = False
    queue: deque[int] = field(default_factory=deque)
    """Cells that wait to be let in: one entry in `Admission` stands for all of them."""
    running: int = 0
    """Pipelines that its cells run now."""
    left: int = 0
    end: State | None = None


@dataclass(slots=True, eq=False)
class _Run:
    """The run under way."""

    plan: Plan
    work: Work
    tools: Tools
    tasks: TaskGroup
    names: dict[str, JSON]
    fail_fast: bool
    place: Inside
    waiting: set[Waiting] = field(default_factory=set)
    """What stands for steps in `Admission`."""
    door: anyio.Event | None = None
    """Set when nothing waits there any more."""
    steps: dict[str, _Step] = field(init=False)
    todo: deque[Callable[[], None]] = field(default_factory=deque)
    pumping: bool = False

    def __post_init__(self) -> None:
        self.names["steps"] = Outputs()
        self.steps = {}
        for planned in self.plan.steps:
            whole = [edge for edge in planned.edges if not edge.cells]
            groups = self.place.groups(self.plan, planned)
            wants = Pass(f"{self.place.above}{planned.id}", self.place.depth + planned.depth, groups)
            step = self.steps[planned.id] = _Step(planned, len(whole), wants)
            for edge in whole:
                self.steps[edge.needs].readers.append(edge)
            for edge in planned.edges:
                if edge.cells:
                    step.source = self.steps[edge.needs]
                    step.source.followers.append(step)

    def start(self) -> None:
        for step in self.steps.values():
            if step.waits == 0:
                self.todo.append(partial(self.open, step))
        self.pump()

    def pump(self) -> None:
        """Do what has become possible. Local steps run here; a long stretch of them lets others go in between."""
        if self.pumping:
            return
        self.pumping = True
        until = time.perf_counter() + SLICE
        while self.todo:
            self.todo.popleft()()
            if time.perf_counter() > until:
                self.tasks.start_soon(self.pump_on)
                return
        self.pumping = False

    async def pump_on(self) -> None:
        """Go on after others had their turn."""
        await anyio.lowlevel.checkpoint()
        self.pumping = False
        self.pump()

    async def pump_soon(self) -> None:
        """Do what has become possible while somebody else was deciding."""
        self.pump()

    def enter(self, step: _Step) -> None:
        """Ask for a place for the next cell of a step. A task keeps the run from ending while all of it waits."""
        waiting = Waiting(step.wants, lambda refused: self.let_in(step, waiting, refused))
        self.waiting.add(waiting)
        self.tools.admission.enter(waiting)
        if waiting in self.waiting and self.door is None:
            self.door = anyio.Event()
            self.tasks.start_soon(self.door.wait)

    def let_in(self, step: _Step, waiting: Waiting, refused: str) -> None:
        """There is a place, or there never will be."""
        self.waiting.discard(waiting)
        self.admit(step, refused)
        if self.door is not None and not self.waiting:
            self.door.set()
            self.door = None

    def leave(self) -> None:
        """The run is over: what still waits for it, waits no more."""
        for waiting in self.waiting:
            waiting.gone = True

    # -- steps --------------------------------------------------------------------------------------

    def open(self, step: _Step) -> None:
        """All that the step needs whole has ended: it opens, or shares their fate."""
        for end, state in _FATES:
            for edge in step.planned.edges:
                needed = self.steps[edge.needs]
                if not edge.after and not edge.cells and (needed.end == end):
                    self.finish_whole(step, state, needed.planned.id)
                    return
        step.open = True
        if step.source is None or step.source.expanded:
            self.expand(step)
        elif step.source.end is not None:
            self.follow_fate(step, step.source)

    def follow_fate(self, step: _Step, source: _Step) -> None:
        """The source has ended without ever having cells."""
        self.finish_whole(step, "skipped" if source.end == "skipped" else "blocked", source.planned.id)

    def expand(self, step: _Step) -> None:
        """Give a step its cells, and start those that need nothing more."""
        planned = step.planned
        try:
            if planned.when is not None and not planned.when_by_cell and not holds(planned, self.names):
                self.finish_whole(step, "skipped", "")
                return
            step.cells = self.cells_of(step)
        except StepError as err:
            self.tools.emit(CellFailed(self.tools.clock(), planned.id, err.fault, str(err)))
            self.finish(step, "failed")
            return
        count = step.left = len(step.cells)
        step.ends, step.outputs, step.expanded = [None] * count, [None] * count, True
        if planned.fanned_out:
            self.tools.emit(StepOpened(self.tools.clock(), planned.id, count))
        for follower in step.followers:
            if follower.open:
                self.todo.append(partial(self.expand, follower))
        if not count:
            self.finish(step, "done")
        for index, cell in enumerate(step.cells):
            if step.source is None:
                self.ready(step, index)
            elif (end := step.source.ends[cell.source]) is not None:
                self.source_ended(step, index, end)

    def cells_of(self, step: _Step) -> list[Cell]:
        planned, source = step.planned, step.source
        keys = [str(cell.key) for cell in source.cells] if source is not None else None
        items: Sequence[JSON] | None = None
        if keys is not None:
            items = [None] * len(keys)
        elif planned.foreach is not None:
            items = items_of(control("foreach", planned.foreach, self.names))
        matrix = control("matrix", planned.matrix, self.names)
        return expand(planned.id, items, matrix, key=planned.key, keys=keys, limit=planned.limit, names=self.names)

    def ready(self, step: _Step, index: int) -> None:
        """A cell needs nothing more: it runs now if it calls nobody, else when `Admission` lets it in."""
        if step.planned.nested is not None:
            step.queue.append(index)
            self.begin(step)
            return
        if step.planned.asks:
            self.tasks.start_soon(self.run_asking, step, index)
            return
        if not step.planned.kind.CALLS:
            self.todo.append(partial(self.run_local, step, index))
            return
        step.queue.append(index)
        if len(step.queue) == 1:
            self.enter(step)

    def begin(self, step: _Step) -> None:
        """Start pipelines in this step's cells: so many at once that memory stays flat, whatever they wait for."""
        if reason := self.tools.admission.refusal(step.wants.step):
            for index in step.queue:
                self.todo.append(partial(self.refuse, step, index, reason))
            step.queue.clear()
            return
        at_once = self.plan.limits.get(f"step {step.planned.id}", self.plan.calls)
        while step.queue and step.running < at_once:
            step.running += 1
            self.tasks.start_soon(self.run_nested, step, step.queue.popleft())

    def admit(self, step: _Step, refused: str) -> None:
        """A place is there for the step's next cell, or there never will be."""
        if refused:
            for index in step.queue:
                self.todo.append(partial(self.refuse, step, index, refused))
            step.queue.clear()
            self.tasks.start_soon(self.pump_soon)
            return
        self.tasks.start_soon(self.run_calling, step, step.queue.popleft())
        if step.queue:
            self.enter(step)

    def refuse(self, step: _Step, index: int, reason: str) -> None:
        self.cell_ended(step, index, *self.work.refused(step.cells[index], reason))

    def source_ended(self, step: _Step, index: int, end: State) -> None:
        """The cell that this one follows has ended."""
        if end in ("done", "cached"):
            self.ready(step, index)
            return
        assert step.source is not None
        cell = step.cells[index]
        self.cell_ended(step, index, *self.work.after(cell, step.source.cells[cell.source], end))

    def cell_ended(self, step: _Step, index: int, end: State, output: Output | None = None) -> None:
        """Note how a cell ended, and let the cells that follow it know."""
        if end == "asking":
            return  # it has not: what needs it stays waiting, and the run ends without it
        cell = step.cells[index]
        step.ends[index] = end
        if output is not None:
            scope = output.scope() if not step.planned.fanned_out else cell.scope(output)
            if step.source is not None:  # what the cell follows was not there yet when it got its key
                scope["item"] = step.source.outputs[cell.source]
            step.outputs[index] = scope
        for follower in step.followers:
            if follower.expanded:
                each = len(follower.cells) // len(step.cells)
                for number in range(index * each, (index + 1) * each):
                    self.todo.append(partial(self.source_ended, follower, number, end))
        step.left -= 1
        if step.left == 0:
            self.finish(step, _together(step.ends))
        elif end == "failed" and step.planned.on_failure == "stop":
            why = f"{cell.within(step.wants.step)} failed, and the step says on_failure: stop"
            self.tools.admission.stop(step.wants.step, why)
        if end == "failed" and self.fail_fast:
            self.tools.admission.close(f"{cell.within(step.wants.step)} failed, and the run is to fail fast", halt=True)

    def finish_whole(self, step: _Step, end: State, because: str) -> None:
        """A step that never has cells: blocked or skipped as a whole."""
        now, step_id = self.tools.clock(), step.planned.id
        if end == "blocked":
            self.tools.emit(CellBlocked(now, step_id, because))
        else:
            self.tools.emit(CellSkipped(now, step_id, f"{because} was skipped" if because else "when: is false"))
        self.finish(step, end)

    def finish(self, step: _Step, end: State) -> None:
        """A step has ended: its outputs can be read, its readers wait for one less."""
        step.end = "failed" if end in _BAD else end
        if step.expanded:
            done = [output for output in step.outputs if output is not None]
            if step.planned.fanned_out:
                ends = zip(step.cells, step.ends, step.outputs, strict=True)
                absent = {str(cell.key): str(end) for cell, end, output in ends if output is None}
                self.names["steps"][step.planned.id] = Cells(done, step.planned.id, absent)
            elif done:
                self.names["steps"][step.planned.id] = done[0]
            else:
                self.names["steps"].absent[step.planned.id] = str(step.ends[0])
        else:
            self.names["steps"].absent[step.planned.id] = end
            for follower in step.followers:
                if follower.open:
                    self.todo.append(partial(self.follow_fate, follower, step))
        for edge in step.readers:
            reader = self.steps[edge.step]
            reader.waits -= 1
            if reader.waits == 0:
                self.todo.append(partial(self.open, reader))

    # -- cells --------------------------------------------------------------------------------------

    def names_of(self, step: _Step, index: int) -> dict[str, JSON]:
        """What the templates of a cell may name."""
        if not step.planned.fanned_out:
            return self.names
        cell = step.cells[index]
        item = cell.item if step.source is None else step.source.outputs[cell.source]
        return {**self.names, "item": item, "index": cell.index, "key": cell.key, "matrix": cell.matrix}

    def run_local(self, step: _Step, index: int) -> None:
        if reason := self.tools.admission.halted(step.wants.step):
            self.refuse(step, index, reason)
            return
        end, output = self.work.locally(step.planned, step.cells[index], self.names_of(step, index))
        self.cell_ended(step, index, end, output)

    async def run_nested(self, step: _Step, index: int) -> None:
        """A cell that runs another pipeline, all of whose calls ask for places of their own."""
        run = partial(self.inside, step)
        end, output = await self.work.nested(step.planned, step.cells[index], self.names_of(step, index), run)
        step.running -= 1
        self.cell_ended(step, index, end, output)
        self.begin(step)
        self.pump()

    async def run_asking(self, step: _Step, index: int) -> None:
        """A cell that asks a person, who takes no place among the calls."""
        names = self.names_of(step, index)
        self.cell_ended(step, index, *await self.work.asking(step.planned, step.cells[index], names, step.wants.step))
        self.pump()

    async def inside(self, step: _Step, plan: Plan, work: Work, above: str) -> Names:
        """Run another pipeline, for a cell of this step or for a tool that it calls."""
        place = self.place.into(self.plan, above, step.planned.depth)
        work.tools.admission.add({place.group(plan, group): most for group, most in plan.limits.items()})
        return await _run(plan, work, self.names["run"]["id"], fail_fast=self.fail_fast, inside=place)

    async def run_calling(self, step: _Step, index: int) -> None:
        """A cell that calls, in a task and a place of its own."""
        place = Place(self.tools.admission, step.wants)
        names, run = self.names_of(step, index), partial(self.inside, step)
        try:
            end, output = await self.work.calling(step.planned, step.cells[index], names, place, run)
            self.cell_ended(step, index, end, output)
            self.pump()  # before the place goes to another: who follows this cell comes first
        except anyio.get_cancelled_exc_class():
            self.tools.admission.shut()  # else each that waits would come in, to be stopped as well
            raise
        finally:
            place.give_back()


def _together(ends: Sequence[State | None]) -> State:
    """How a step ended, from how its cells did."""
    if any(end in _BAD for end in ends):
        return "failed"
    return "skipped" if all(end == "skipped" for end in ends) else "done"
