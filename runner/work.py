"""The work of one cell: its templates, its calls, its output, and the events that tell of it."""

from __future__ import annotations

import traceback
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import anyio

from .admission import Place
from .attempts import Tools
from .calls import Calls, Store
from .canned import Canned
from .cells import of, shown
from .errors import (
    USED_UP,
    BadFile,
    BudgetExceeded,
    Bug,
    LeftOpen,
    NotAdmitted,
    NotAfforded,
    NotCanned,
    NotLocked,
    StepError,
    StoreFailed,
)
from .events import (
    CallPaid,
    CellAnswered,
    CellAsked,
    CellBlocked,
    CellCancelled,
    CellDone,
    CellFailed,
    CellSkipped,
    CellStarted,
    CellWaits,
    Event,
    State,
)
from .fresh import Fresh
from .model import JSON, Artifact, Cell, Errand, Output, Reply
from .outputs import outputs_of
from .picking import Picking, approved
from .planning import Nested, Plan, PlannedStep, control, render, with_seed

KeepText = Callable[[str, str], str | None]
"""Keeps text that was paid for, by cell id; gives back where."""

LoadFiles = Callable[[Mapping[str, str], str], Awaitable[Mapping[str, Artifact]]]
"""Fetches the files that a pipeline names, by path or URL and the media each must be; paths start beside its file."""

Names: TypeAlias = dict[str, JSON]
"""What templates may name."""

RunInside: TypeAlias = "Callable[[Plan, Work, str], Awaitable[Names]]"
"""Runs another pipeline to its end, its steps under the id of what runs it."""

End: TypeAlias = tuple[State, Output | None]
"""How a cell ended, and what it yields if it ended well."""


@dataclass(frozen=True, slots=True)
class Work:
    """What cells need to be done. Every way of ending is told as an event and given back; nothing is raised."""

    plan: Plan
    tools: Tools
    store: Store
    keep_text: KeepText
    load_files: LoadFiles
    canned: Canned | None = None
    """Set where a test gives outputs to steps, and nobody may be called."""

    def locally(self, planned: PlannedStep, cell: Cell, names: Mapping[str, JSON]) -> End:
        """A cell that calls nobody, from start to end."""
        emit, clock = self.tools.emit, self.tools.clock
        try:
            params = self._params(planned, cell, names)
            if params is None:
                return "skipped", None
            emit(CellStarted(clock(), cell.id))
            output = self._canned(cell) or planned.kind.advance(params, ())
        except StepError as err:
            return self._failed(planned, cell, err)
        except Exception as err:  # noqa: BLE001 - a bug in one cell must not lose what others have paid for
            return self._failed(planned, cell, bug(err))
        assert isinstance(output, Output)
        emit(CellDone(clock(), cell.id, cached=False, output=output.values, model=output.model, cost=output.cost))
        return "done", output

    async def calling(
        self, planned: PlannedStep, cell: Cell, names: Mapping[str, JSON], place: Place, run: RunInside
    ) -> End:
        """A cell that calls, in a place of its own."""

        async def errand(wanted: Errand) -> Reply:
            above = f"{cell.id}/{wanted.name}"
            fresh = self.tools.fresh.inside(cell).inside(Cell(wanted.tool, str(wanted.number)))
            values, spent = await self._inside(cell, planned.tools[wanted.tool], wanted.inputs, above, fresh, run)
            return Reply(values, cost=spent)

        async def ask(params: dict[str, JSON]) -> tuple[Output, bool]:
            given, params = params, with_seed(self.plan.pipeline, planned, cell, params)
            if self.canned is not None:
                planned.kind.advance(params, ())  # fails as it would if the model does not take this call
                if (canned := self._canned(cell)) is None:
                    model = planned.model.id if planned.model is not None else "a model"
                    raise NotCanned(f"it would call {model}, and no output is canned for it")
                return canned, False
            if planned.pick is not None:
                return await Picking(self.tools, self.store, self.plan.pipeline, planned, cell, given, place).output()
            with self.tools.desk.working():
                return await Calls(self.tools, self.store, planned, cell, params, place, errand).output()

        return await self._told(planned, cell, names, ask, cell.within(place.wants.step))

    async def asking(self, planned: PlannedStep, cell: Cell, names: Mapping[str, JSON], step: str) -> End:
        """A cell that asks a person yes or no; ``step`` is its step's whole id."""

        async def ask(params: dict[str, JSON]) -> tuple[Output, bool]:
            if canned := self._canned(cell):
                return canned, False
            if reason := self.tools.admission.refusal(step):
                raise NotAdmitted(reason)
            return await approved(self.tools, self.store, planned, cell, params, cell.within(step))

        return await self._told(planned, cell, names, ask, cell.within(step))

    async def nested(self, planned: PlannedStep, cell: Cell, names: Mapping[str, JSON], run: RunInside) -> End:
        """A cell that runs another pipeline: done when all of its outputs are there that no ``when:`` leaves out."""
        nested = planned.nested
        assert nested is not None

        async def ask(params: dict[str, JSON]) -> tuple[Output, bool]:
            if canned := self._canned(cell):
                return canned, False
            inner = self.canned.inside(cell) if self.canned is not None else None
            values, spent = await self._inside(
                cell, nested, params.get("inputs") or {}, cell.id, self.tools.fresh.inside(cell), run, inner
            )
            return Output({"outputs": values}, None, spent), False

        return await self._told(planned, cell, names, ask)

    async def _inside(
        self,
        cell: Cell,
        nested: Nested,
        inputs: Mapping[str, JSON],
        above: str,
        fresh: Fresh,
        run: RunInside,
        canned: Canned | None = None,
    ) -> tuple[dict[str, JSON], float]:
        """The outputs of another pipeline, and what it cost. `NestedFailed` if it did not make one of them."""
        emit = self.tools.emit
        spent: list[float] = []
        open_: dict[str, None] = {}
        not_afforded: list[str] = []

        def inside(event: Event) -> None:
            """An event of the other pipeline, under the id of what runs it."""
            if isinstance(event, CallPaid):
                spent.append(event.cost or 0.0)
            elif isinstance(event, CellAsked):
                open_[event.cell] = None
            elif isinstance(event, CellAnswered):
                open_.pop(event.cell, None)
            elif isinstance(event, CellSkipped) and event.fault:
                not_afforded.append(event.cell)
            place: dict[str, Any] = {
                name: f"{above}/{getattr(event, name)}" for name in ("cell", "step", "by") if hasattr(event, name)
            }
            emit(replace(event, **place))

        plan = nested.plan(inputs)
        if plan.files:
            plan = plan.with_files(await self._files_of(plan))
        tools = replace(self.tools, emit=inside, fresh=fresh)
        work = replace(self, plan=plan, tools=tools, canned=canned)
        values, missing, skipped = outputs_of(plan.outputs, await run(plan, work, above))
        if open_:
            emit(CellWaits(self.tools.clock(), cell.id, f"{above}/{next(iter(open_))}"))
            raise LeftOpen("a cell of it waits for a person")
        if missing and (closed := self.tools.admission.refusal("")):
            raise NotAdmitted(closed)
        for name, why in missing.items():
            if name in skipped and not not_afforded:
                continue  # its own when: leaves it out
            raise NestedFailed(f"{plan.file} did not make {name}: {why}")
        return values, sum(spent)

    async def _files_of(self, plan: Plan) -> Mapping[str, Artifact]:
        """The files that another pipeline names. `BadFile` says where it does."""
        try:
            return await self.load_files(plan.files, plan.file)
        except BadFile as err:
            if mark := plan.named.get(err.name):
                raise BadFile(f"{mark}: {err}", err.name) from err
            raise

    async def _told(
        self,
        planned: PlannedStep,
        cell: Cell,
        names: Mapping[str, JSON],
        ask: Callable[[dict[str, JSON]], Awaitable[tuple[Output, bool]]],
        whole: str = "",
    ) -> End:
        """Render a cell's params and ask with them: every way of ending is told once, here.

        One whose question stays open has not ended: that is told where it is asked. ``whole`` is its whole id.
        """
        emit, clock = self.tools.emit, self.tools.clock
        try:
            params = self._params(planned, cell, names)
            if params is None:
                return "skipped", None
            emit(CellStarted(clock(), cell.id))
            output, cached = await ask(params)
        except NotAdmitted as err:
            return self.refused(cell, str(err))
        except BudgetExceeded:
            return self.refused(cell, USED_UP)
        except NotAfforded as err:
            emit(CellSkipped(clock(), cell.id, str(err), err.fault))
            return "skipped", None
        except LeftOpen:
            return "asking", None
        except StepError as err:
            return self._failed(planned, cell, err)
        except Exception as err:  # noqa: BLE001 - as above
            return self._failed(planned, cell, bug(err))
        except anyio.get_cancelled_exc_class():
            if whole not in self.tools.desk.open:
                emit(CellCancelled(clock(), cell.id))
            raise
        emit(CellDone(clock(), cell.id, cached, output.values, output.model, output.cost))
        return ("cached" if cached else "done"), output

    def _canned(self, cell: Cell) -> Output | None:
        return self.canned.of(cell) if self.canned is not None else None

    def refused(self, cell: Cell, reason: str) -> End:
        """A cell that is never let in."""
        self.tools.emit(CellCancelled(self.tools.clock(), cell.id, reason))
        return "cancelled", None

    def after(self, cell: Cell, source: Cell, end: State) -> End:
        """A cell whose source did not end well shares its fate."""
        if end == "skipped":
            self.tools.emit(CellSkipped(self.tools.clock(), cell.id, "the cell it follows was skipped"))
            return "skipped", None
        self.tools.emit(CellBlocked(self.tools.clock(), cell.id, source.id))
        return "blocked", None

    def _params(self, planned: PlannedStep, cell: Cell, names: Mapping[str, JSON]) -> dict[str, JSON] | None:
        """The rendered params of a cell; None if its ``when`` is false, and it is skipped."""
        if planned.when_by_cell and not holds(planned, names):
            self.tools.emit(CellSkipped(self.tools.clock(), cell.id, "when: is false"))
            return None
        return render(planned, names)

    def _failed(self, planned: PlannedStep, cell: Cell, err: StepError) -> End:
        if isinstance(err, StoreFailed):  # what is paid for from here on could not be kept
            self.tools.admission.close("the store cannot be used")
        kept = self.keep_text(cell.id, err.keep) if err.keep else None
        told = str(err)
        if not isinstance(err, NotLocked):  # told for many cells, and the item is not what is wrong
            told += of(cell, multiplied=planned.foreach is not None, follows=planned.follows is not None)
        self.tools.emit(CellFailed(self.tools.clock(), cell.id, err.fault, told, kept))
        return "failed", None


class NestedFailed(StepError):
    """A pipeline that a step runs did not make all of its outputs."""

    fault = "pipeline"


class BadWhen(StepError):
    """``when`` yielded something that is neither true nor false."""

    fault = "when"


def holds(planned: PlannedStep, names: Mapping[str, JSON]) -> bool:
    """Whether a step's ``when`` is true. `BadWhen` for anything but true and false."""
    said = control("when", planned.when, names)
    if not isinstance(said, bool):
        msg = f"when: must yield true or false; it yields {shown(said)}"
        raise BadWhen(msg)
    return said


def bug(err: Exception) -> Bug:
    """An exception of ours, for the cell that it happened in: the traceback goes to the run folder."""
    told = f"{type(err).__name__}: {err}; this is a bug in runner, not in the pipeline; please report it"
    return Bug(told, keep="".join(traceback.format_exception(err)))
