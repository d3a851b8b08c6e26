"""Steps that wait for a person: several candidates of which one is chosen, and questions of yes or no.

The candidates of a cell are calls like any others, each under its own key, so they are paid once and found again. The
choice is kept beside them: it is the reply of a person, under the key of the question, and the question is which keys
its candidates have. Who asks the same again gets the same answer, and of the candidates only the chosen one is needed.
Anything that makes others of them (a prompt, a model, ``--fresh``) makes another question.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial

import anyio

from .admission import Place
from .attempts import Tools
from .calls import Calls, Store
from .desk import Answer
from .errors import (
    BudgetExceeded,
    FateUnknown,
    LeftOpen,
    NotAdmitted,
    NotAfforded,
    NotLocked,
    Refused,
    StepError,
)
from .events import CallDone, CallStarted, CellAnswered, CellAsked, CellState, Event
from .kinds import approve
from .model import JSON, Call, Cell, Errand, Output, Question, Reply, digests_of, key_of
from .planning import PlannedStep, with_seed

MOST = 64
"""Candidates that a cell may come to have, however often somebody asks for more."""

KIND = "pick@1"


@dataclass(frozen=True, slots=True)
class Candidate:
    """One of several outputs of a cell. ``keys`` are those of its calls, in order."""

    number: int
    output: Output
    cached: bool
    keys: tuple[str, ...]

    @property
    def digests(self) -> list[str]:
        return list(digests_of(self.output.values))


@dataclass(frozen=True, slots=True)
class Choice:
    """What the store knows of a question: how many candidates there are to be, and which one was chosen, if any.

    ``digests`` say what each candidate was then: the answer is to those, and not to what may once be made instead.
    """

    of: int = 0
    number: int | None = None
    digests: Mapping[str, JSON] = field(default_factory=dict)

    @classmethod
    def read(cls, reply: Reply | None) -> Choice:
        """The choice that was kept; an empty one if there is none."""
        said = reply.data if reply is not None and isinstance(reply.data, Mapping) else {}
        return cls(int(said.get("of") or 0), said.get("number"), said.get("digests") or {})

    @property
    def reply(self) -> Reply:
        """The choice as it is kept."""
        return Reply({"of": self.of, "number": self.number, "digests": dict(self.digests)})

    def of_these(self, made: Mapping[int, Candidate]) -> Candidate | None:
        """The one that was chosen, if it is here and still what it was."""
        found = made.get(self.number or 0)
        return found if found is not None and found.digests == self.digests.get(str(self.number)) else None


@dataclass(slots=True, eq=False)
class Picking:
    """The candidates of one cell, and the choice of one."""

    tools: Tools
    store: Store
    pipeline: str
    step: PlannedStep
    cell: Cell
    params: dict[str, JSON]
    place: Place
    made: dict[int, Candidate] = field(default_factory=dict)
    failed: dict[int, Exception] = field(default_factory=dict)
    question: Question = field(init=False)
    key: str = field(init=False)
    least: int = field(init=False)
    """How many candidates the step asks for."""

    def __post_init__(self) -> None:
        self.least = self.step.pick or 1
        keys = [key_of(self._call(n), self.tools.provider.origin) for n in range(1, self.least + 1)]
        self.question = Question(KIND, {"prompt": f"which of {self.least}?", "candidates": keys})
        self.key = key_of(self.question, self.tools.provider.origin)

    async def output(self) -> tuple[Output, bool]:
        """The output of the candidate that is chosen, and whether it and the choice were there already.

        `LeftOpen` if nobody chooses.
        """
        choice = Choice.read(await self.store.get(self.key, self._since()))
        if self.tools.locked is not None:
            return await self._locked(choice)
        if (found := await self._chosen_before(choice)) is not None:
            return self._taken(found, max(choice.of, self.least), "store")
        if self.tools.desk.first and self.key not in self.tools.desk.recorded:
            await self._make([1])
            return self._taken(self.made[1], 1, "first")
        of = max(choice.of, self.least)
        while True:
            await self._make(range(1, of + 1))
            if (found := choice.of_these(self.made)) is not None:  # made anew, and the same as they were
                return self._taken(found, of, "store")
            answer = await self.tools.desk.ask(self._asked(), partial(self._elsewhere, of), partial(self._too_many, of))
            if answer is None:
                raise LeftOpen("nobody has chosen one of its candidates")
            of += self.least if answer.more else 0
            choice = Choice(of, answer.number, {str(n): each.digests for n, each in self.made.items()})
            await self.store.keep(self.key, self.question, choice.reply)
            if answer.number is not None:
                return self._taken(self.made[answer.number], of, answer.where)

    async def _locked(self, choice: Choice) -> tuple[Output, bool]:
        """The candidate that the lock names, or, where only the store counts, the one that was chosen."""
        assert self.tools.locked is not None
        whole = self.tools.locked.entries is None
        number = choice.number if whole else self.tools.locked.picked(self.cell.within(self.place.wants.step))
        if number is None:
            where = "in the store" if whole else "in the lock"
            raise NotLocked(f"none of its candidates is chosen {where}, and nobody is asked now")
        await self._make([number])
        return self._taken(self.made[number], max(choice.of, self.least), "store" if whole else "lock")

    async def _chosen_before(self, choice: Choice) -> Candidate | None:
        """The candidate that was chosen, if the store has it as it was: the others need not be there."""
        if choice.number is None:
            return None
        if await self.store.get(key_of(self._call(choice.number), self.tools.provider.origin), self._since()) is None:
            return None
        await self._make([choice.number])
        return choice.of_these(self.made)

    def _taken(self, chosen: Candidate, of: int, where: str) -> tuple[Output, bool]:
        now = self.tools.clock()
        self.tools.emit(CellAnswered(now, self.cell.id, self.key, chosen.number, of, where, list(chosen.keys)))
        return chosen.output, chosen.cached and where in ("store", "lock", "first")

    # -- candidates ---------------------------------------------------------------------------------

    def _calls(self, number: int, place: Place, keys: list[str] | None = None) -> Calls:
        """The calls of one candidate. The first is what the step would make without ``pick:``."""
        params = with_seed(self.pipeline, self.step, self.cell, self.params, number - 1)

        def noted(event: Event) -> None:
            if isinstance(event, CallStarted | CallDone):
                event = replace(event, candidate=number)
                if isinstance(event, CallDone) and keys is not None:
                    keys.append(event.key)
            self.tools.emit(event)

        tools = replace(self.tools, emit=noted, watched=False)  # several texts that grow in one line are none
        sample = number - 1 if params.get("seed") is None else 0
        return Calls(tools, self.store, self.step, self.cell, params, place, _alone, sample)

    def _call(self, number: int) -> Call:
        """The first call of a candidate."""
        call = self._calls(number, self.place).next(())
        assert isinstance(call, Call)
        return call

    async def _make(self, numbers: Iterable[int]) -> None:
        """Make these candidates at once. One that fails is left out, if any is there; else its error is raised."""

        async def make(number: int, place: Place) -> None:
            keys: list[str] = []
            try:
                output, cached = await self._calls(number, place, keys).output()
                self.made[number] = Candidate(number, output, cached, tuple(keys))
            except Exception as err:  # noqa: BLE001 - raised again when the others have ended: they are paid for
                self.failed[number] = err
            finally:
                place.give_back()

        with self.tools.desk.working():
            async with anyio.create_task_group() as tasks:
                for number in [n for n in numbers if n not in self.made and n not in self.failed]:
                    own = self.place if self.place.held else Place(self.place.admission, self.place.wants, held=False)
                    self.place = replace(self.place, held=False)
                    tasks.start_soon(make, number, own)
        errors = sorted(self.failed.values(), key=lambda err: not isinstance(err, FateUnknown))
        for err in errors:
            if not self.made or isinstance(err, _ENDS) or not isinstance(err, StepError):
                raise err

    # -- the question -------------------------------------------------------------------------------

    def _asked(self) -> CellAsked:
        """The question, told."""
        words = "Take this one?" if len(self.made) == 1 else f"Which of these {len(self.made)}?"
        if self.failed:
            words += "".join(f" {_not_made(number, err)}" for number, err in sorted(self.failed.items()))
        shown = {str(number): dict(each.output.values) for number, each in sorted(self.made.items())}
        told = CellAsked(self.tools.clock(), self.cell.id, self.key, "pick", words, shown, self.least)
        self.tools.emit(told)
        return replace(told, cell=self.cell.within(self.place.wants.step))

    async def _elsewhere(self, of: int) -> Answer | None:
        """What somebody has written into the store while ``of`` candidates are shown here."""
        choice = Choice.read(await self.store.get(self.key, self._since()))
        if (found := choice.of_these(self.made)) is not None:
            return Answer(number=found.number, where="pick")
        return Answer(more=True, where="pick") if of < choice.of <= MOST else None

    def _too_many(self, of: int) -> str:
        """Why there cannot be as many candidates again; empty if there can."""
        if of + self.least > MOST:
            return f"{of} are enough: there can be {MOST} at most."
        most = self._call(of + 1).most
        wanted = {unit: None if amount is None else amount * self.least for unit, amount in most.items()}
        if not self.tools.budget.affords(self.place.wants.step, wanted):
            return f"The budget does not allow {self.least} more."
        return ""

    def _since(self) -> float:
        return self.tools.fresh.since(self.cell, self.step.cache_for, self.tools.clock())


def answer_of(cell: CellState) -> Mapping[str, JSON] | None:
    """What was answered to the question of a cell, as the store keeps it; None if nothing was, or is of use."""
    said = cell.answer
    if said is None or not said.of:
        return {"answer": said.answer} if said is not None else None
    if cell.output is None:
        return None
    digests = list(digests_of(cell.output.values))
    choice = Choice(said.of, int(said.answer), {str(said.answer): digests})
    return dict(choice.reply.data)


_ENDS = (NotAdmitted, BudgetExceeded, NotLocked)
"""What ends a cell whichever candidate it happens to."""


async def _alone(errand: Errand) -> Reply:
    """No step that has candidates has a tool that another pipeline answers."""
    raise AssertionError(errand)


async def approved(
    tools: Tools, store: Store, step: PlannedStep, cell: Cell, params: Mapping[str, JSON], whole: str
) -> tuple[Output, bool]:
    """What a person says to a step that asks; ``whole`` is the cell's whole id. `Refused`, or `LeftOpen`."""
    question = approve.question(params)
    key = key_of(question, tools.provider.origin)
    since = tools.fresh.since(cell, step.cache_for, tools.clock()) if step.cache else tools.fresh.began

    def said(*, answer: bool, where: str) -> tuple[Output, bool]:
        tools.emit(CellAnswered(tools.clock(), cell.id, key, answer, 0, where, [key]))
        try:
            found = step.kind.advance(params, (Reply({"answer": answer}),))
        except Refused as err:
            raise Refused(f"{err}; runner approve {shlex.quote(whole)} yes changes it") from None
        assert isinstance(found, Output)
        return found, where in ("store", "lock")

    async def elsewhere() -> Answer | None:
        kept = await store.get(key, since)
        return Answer(yes=kept.data["answer"], where="approve") if kept is not None else None

    if tools.locked is not None and tools.locked.entries is not None:
        if why := tools.locked.refusal(whole, key, None, None):
            raise NotLocked(why)
        return said(answer=True, where="lock")
    if (known := await elsewhere()) is not None:
        return said(answer=known.yes is True, where="store")
    if tools.locked is not None:
        raise NotLocked("nobody has said yes to it, and nobody is asked now")
    if tools.desk.yes is not None:
        return said(answer=tools.desk.yes, where="option")
    told = CellAsked(tools.clock(), cell.id, key, "approve", str(params["question"]), approve.shown(params))
    tools.emit(told)
    answer = await tools.desk.ask(replace(told, cell=whole), elsewhere, lambda: "")
    if answer is None:
        raise LeftOpen("nobody has said yes or no")
    await store.keep(key, question, Reply({"answer": answer.yes}))
    return said(answer=answer.yes is True, where=answer.where)


def _not_made(number: int, err: Exception) -> str:
    """Why there are fewer candidates than were asked for."""
    return f"Candidate {number} {'was left out' if isinstance(err, NotAfforded) else 'failed'}: {err}."
