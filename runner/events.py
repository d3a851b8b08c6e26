"""What a run says. Events go to sinks (journal, reporter); a fold adds them up to a `RunState`.

A sink is synchronous on purpose: it is safe while a cancellation is under way.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, fields
from types import MappingProxyType, UnionType
from typing import Any, Literal, NamedTuple, TypeAlias, get_args

from .model import JSON, Amounts, Output, from_json, json_line, step_of, titled

State: TypeAlias = Literal[
    "waiting", "running", "asking", "done", "cached", "skipped", "failed", "blocked", "cancelled"
]
Outcome: TypeAlias = Literal["done", "failed", "cancelled", "waiting"]

TAIL = 200
"""Characters of a growing text that a state keeps."""

EVENT_FORMAT = 1
"""Written with every event; a journal of another format is refused, never guessed at."""


@dataclass(frozen=True, slots=True)
class RunStarted:
    """First of a run. ``steps`` maps each step to the steps it waits for, in order of the plan.

    ``options`` is how it was started, for whoever takes it up again.
    """

    at: float
    run: str
    pipeline: str
    version: str | None
    file: str
    inputs: Mapping[str, JSON]
    steps: Mapping[str, list[str]]
    kinds: Mapping[str, str]
    options: Mapping[str, JSON] = field(default_factory=dict)
    empty: list[str] = field(default_factory=list)
    """Inputs that must be given, and were given as a text with nothing in it."""


@dataclass(frozen=True, slots=True)
class RunResumed:
    """A run that had stopped is taken up again: what was done stays done, what was in flight is asked for."""

    at: float
    run: str
    pipeline: str
    version: str | None
    steps: Mapping[str, list[str]]
    kinds: Mapping[str, str]
    options: Mapping[str, JSON] = field(default_factory=dict)
    """How it goes on, where that is not as it began."""
    file: str = ""
    """Where its pipeline is now."""


@dataclass(frozen=True, slots=True)
class StepOpened:
    """A fanned-out step has its cells: so many, which may be none."""

    at: float
    step: str
    cells: int


@dataclass(frozen=True, slots=True)
class CellStarted:
    """A cell is let in: what it needs is there, and its ``when`` is true."""

    at: float
    cell: str


@dataclass(frozen=True, slots=True)
class CallStarted:
    """A call that the store does not have is about to be sent, as its ``attempt``-th try."""

    at: float
    cell: str
    key: str
    label: str
    attempt: int
    candidate: int = 0
    """Which candidate of its cell it is for, from 1; 0 where there is only one thing to make."""
    most: Amounts = field(default_factory=dict)
    """What a chat takes of budgets at most; a job says so when it is handed in."""


@dataclass(frozen=True, slots=True)
class JobSending:
    """A job is being handed in, which takes ``most`` of budgets. If nothing follows, its fate is not known."""

    at: float
    cell: str
    key: str
    endpoint: str
    most: Amounts = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class JobSubmitted:
    """Runpod has taken a job, so from here it may cost money. On disk before the first wait."""

    at: float
    cell: str
    key: str
    endpoint: str
    job: str
    most: Amounts = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class JobMoved:
    """Runpod says that the job is in another state (``IN_QUEUE``, ``IN_PROGRESS``, or the one that it ended in)."""

    at: float
    cell: str
    job: str
    status: str
    queued: float | None = None
    """Seconds for which it waited until a worker took it, by Runpod's clock; None where Runpod does not say."""
    ran: float | None = None
    """Seconds for which a worker had it, known when it has ended."""


@dataclass(frozen=True, slots=True)
class JobEnded:
    """A job ended without an output (``FAILED``, ``CANCELLED``, ``TIMED_OUT``, ``EXPIRED``), or with none of use: its
    files are ``GONE``, or what it says is ``UNUSABLE``.
    """

    at: float
    cell: str
    key: str
    job: str
    status: str


@dataclass(frozen=True, slots=True)
class TextGrew:
    """A model has said so much more. For who looks on: it is not in the journal, because the whole text will be."""

    at: float
    cell: str
    text: str


@dataclass(frozen=True, slots=True)
class AttemptFailed:
    """A try failed and another follows after ``wait`` seconds."""

    at: float
    cell: str
    attempt: int
    fault: str
    message: str
    wait: float
    key: str = ""


@dataclass(frozen=True, slots=True)
class CallPaid:
    """An answer is here, good or bad, and cost so much; None where nobody says how much."""

    at: float
    cell: str
    key: str
    cost: float | None
    tokens: float = 0.0


@dataclass(frozen=True, slots=True)
class CallDone:
    """A reply is in the store: from the world or, ``cached``, from an earlier run.

    From the world, it holds so many pictures and so many seconds of sound and video.
    """

    at: float
    cell: str
    key: str
    cached: bool
    images: float = 0.0
    seconds: float = 0.0
    candidate: int = 0


@dataclass(frozen=True, slots=True)
class CellAsked:
    """A person is to choose, or to say yes or no. ``key`` names the question in the store.

    ``shown`` is what it is about: the values of each candidate by its number, or what a step shows by name.
    """

    at: float
    cell: str
    key: str
    asks: Literal["pick", "approve"]
    question: str
    shown: Mapping[str, JSON] = field(default_factory=dict)
    more: int = 0
    """How many candidates are made where somebody asks for more."""


@dataclass(frozen=True, slots=True)
class CellAnswered:
    """The answer: the number of a candidate ``of`` so many, or true or false. ``where`` says from where it came.

    ``keys`` are the calls of what was chosen: those of the other candidates no longer count as the cell's.
    """

    at: float
    cell: str
    key: str
    answer: JSON
    of: int
    where: str
    keys: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class CellWaits:
    """A cell that runs a pipeline stops where a person has to answer ``by`` first."""

    at: float
    cell: str
    by: str


@dataclass(frozen=True, slots=True)
class CellDone:
    """A cell has its output, which cost so much in this run: nothing if all its replies were ``cached``."""

    at: float
    cell: str
    cached: bool
    output: Mapping[str, JSON]
    model: str | None
    cost: float


@dataclass(frozen=True, slots=True)
class CellFailed:
    """A cell failed, and is not tried again. ``keep`` names the file in the run folder that holds text which was paid
    for, or a traceback, if there is one.
    """

    at: float
    cell: str
    fault: str
    message: str
    keep: str | None = None


@dataclass(frozen=True, slots=True)
class CellBlocked:
    """A cell will never run, because what it needs did not come to a good end."""

    at: float
    cell: str
    by: str


@dataclass(frozen=True, slots=True)
class CellSkipped:
    """A cell was not wanted: its ``when`` is false, or what it needs was skipped.

    With ``fault: budget`` it was left out, because a call of it did not fit.
    """

    at: float
    cell: str
    why: str
    fault: str = ""


@dataclass(frozen=True, slots=True)
class CellCancelled:
    """It was stopped, or, with ``why``, it was never let in."""

    at: float
    cell: str
    why: str = ""


@dataclass(frozen=True, slots=True)
class BudgetTold:
    """Something about a budget that is said once. ``stop``: nothing new is sent from here on."""

    at: float
    message: str
    stop: bool = False


@dataclass(frozen=True, slots=True)
class RunStopping:
    """A signal has come: nothing new starts, what is in flight is told to stop."""

    at: float
    signal: int


@dataclass(frozen=True, slots=True)
class RunFinished:
    """Last of a run. ``outputs`` says where each is: later runs write over them, so what each was is kept here."""

    at: float
    outcome: Outcome
    outputs: Mapping[str, str] = field(default_factory=dict)
    digests: Mapping[str, str] = field(default_factory=dict)
    values: Mapping[str, JSON] = field(default_factory=dict)


Event: TypeAlias = (
    RunStarted
    | RunResumed
    | StepOpened
    | CellStarted
    | CallStarted
    | JobSending
    | JobSubmitted
    | JobMoved
    | JobEnded
    | TextGrew
    | AttemptFailed
    | CallPaid
    | CallDone
    | CellAsked
    | CellAnswered
    | CellWaits
    | CellDone
    | CellFailed
    | CellBlocked
    | CellSkipped
    | CellCancelled
    | BudgetTold
    | RunStopping
    | RunFinished
)
Sink: TypeAlias = Callable[[Event], None]

_EVENTS: dict[str, type[Any]] = {cls.__name__: cls for cls in get_args(Event)}
_FIELDS: dict[type[Any], tuple[str, ...]] = {cls: tuple(f.name for f in fields(cls)) for cls in _EVENTS.values()}
LATER = {("CallPaid", "tokens"), ("CallDone", "images"), ("CallDone", "seconds"), ("CallDone", "candidate"),
         ("CallStarted", "candidate"), ("AttemptFailed", "key"), ("RunResumed", "file"), ("RunStarted", "empty"),
         ("RunFinished", "digests"), ("RunFinished", "values"), ("JobMoved", "queued"),
         ("JobMoved", "ran")}  # fmt: skip
"""Fields that journals of this format may lack: they came later, and have a default."""
assert isinstance(Event, UnionType)


def line(event: Event) -> str:
    """An event as one line of JSON; ``decode(json.loads(line(event))) == event``."""
    cls = type(event)
    said = {"event": cls.__name__, "format": EVENT_FORMAT}
    for name in _FIELDS[cls]:
        said[name] = getattr(event, name)
    return json_line(said)


def decode(value: Mapping[str, JSON]) -> Event:
    """The event of a `line` that was read. ValueError for an unknown event or another format."""
    name = value.get("event")
    if value.get("format") != EVENT_FORMAT or not isinstance(name, str) or name not in _EVENTS:
        msg = f"not an event of format {EVENT_FORMAT}: {name!r}, format {value.get('format')!r}"
        raise ValueError(msg)
    cls = _EVENTS[name]
    try:
        event: Event = cls(
            **{word: from_json(value[word]) for word in _FIELDS[cls] if word in value or (name, word) not in LATER}
        )
    except KeyError as err:
        msg = f"{value['event']} without {err.args[0]}"
        raise ValueError(msg) from err
    return event


class OpenJob(NamedTuple):
    """A job that may still be running, of which step, and the most that it takes of budgets.

    ``job`` is empty where nobody knows whether it was accepted.
    """

    endpoint: str
    job: str
    step: str = ""
    most: Amounts = MappingProxyType({})
    ended: bool = False
    """Whether it has ended well and is paid for, so that only its files are missing."""


@dataclass(slots=True)
class CellState:
    """What is known of a cell so far. Times are seconds since the epoch, money is USD."""

    cell: str
    state: State = "waiting"
    started: float | None = None
    ended: float | None = None
    attempts: int = 0
    calls: int = 0
    cost: float = 0.0
    before: float = 0.0
    """USD paid for it before the run was taken up again."""
    status: str = ""
    label: str = ""
    message: str = ""
    fault: str = ""
    tail: str = ""
    """The end of a text that is growing."""
    keep: str | None = None
    tickets: dict[str, OpenJob] = field(default_factory=dict)
    """Open jobs by key."""
    unknown: dict[str, OpenJob] = field(default_factory=dict)
    """Jobs of which nobody knows whether they were accepted, by key."""
    output: Output | None = None
    used: dict[str, float] = field(default_factory=dict)
    """What it took of budgets, beside money."""
    keys: list[str] = field(default_factory=list)
    """Its calls, as far as they are in the store; those of the candidate that was chosen, once one was."""
    asked: CellAsked | None = None
    """What a person was asked last."""
    answer: CellAnswered | None = None
    asking: dict[str, Amounts] = field(default_factory=dict)
    """Chats that were sent and have no answer yet, with the most that they take."""

    @property
    def paid(self) -> float:
        """USD paid for it in the whole run."""
        return self.before + self.cost


@dataclass(slots=True)
class RunState:
    """The sum of a run's events: one of the three mutable things of the program."""

    run: str = ""
    pipeline: str = ""
    version: str | None = None
    file: str = ""
    inputs: Mapping[str, JSON] = field(default_factory=dict)
    options: Mapping[str, JSON] = field(default_factory=dict)
    started: float = 0.0
    ended: float | None = None
    paused: float = 0.0
    """Seconds between its end and its being taken up again, all of them."""
    last: float = 0.0
    """When it was heard of last."""
    outcome: Outcome | None = None
    cells: dict[str, CellState] = field(default_factory=dict)
    kinds: Mapping[str, str] = field(default_factory=dict)
    outputs: Mapping[str, str] = field(default_factory=dict)
    digests: Mapping[str, str] = field(default_factory=dict)
    """The SHA-256 of each output's file as it was written."""
    values: Mapping[str, JSON] = field(default_factory=dict)
    """What was written, but for what is very long."""
    stopping: bool = False
    paid: float = 0.0
    """USD paid before the run was taken up again."""
    before: dict[str, dict[str, float]] = field(default_factory=dict)
    """What was spent before it was taken up again, by step and unit."""
    told: list[str] = field(default_factory=list)
    """What budgets had to say."""
    exceeded: bool = False
    """Whether a budget ended it."""
    lost: dict[str, dict[str, float]] = field(default_factory=dict)
    """The most that calls may have taken of whose end nobody knows, chats without an answer and jobs that expired, by
    step and unit.
    """
    doubt: float = 0.0
    """USD that such calls may have cost, those from before it was taken up again included."""
    earlier: dict[str, CellState] = field(default_factory=dict)
    """Cells for which the run has asked or which it has done, as they were when it was taken up again."""
    made: dict[str, list[str]] = field(default_factory=dict)
    """The calls of cells that were in the store before it was taken up again."""
    left: list[tuple[str, OpenJob]] = field(default_factory=list)
    """Open jobs from before it was taken up again, with their keys: equal calls of several cells may share one."""
    left_unknown: dict[str, OpenJob] = field(default_factory=dict)
    collected: dict[str, OpenJob] = field(default_factory=dict)
    """Jobs whose replies are in the store, by key: where that has lost one, its job can be asked again for a while."""
    opened: dict[str, int] = field(default_factory=dict)
    """How many cells each fanned-out step has, once that is known."""
    events: int = field(default=0, compare=False)
    """How many it is the sum of."""

    @property
    def title(self) -> str:
        """``product-card 1.2.0, profile draft``."""
        return titled(self.pipeline, self.version, self.options.get("profile"))

    @property
    def cost(self) -> float:
        """USD paid in this run, failed cells included."""
        return self.paid + sum(cell.cost for cell in self.cells.values())

    @property
    def seconds(self) -> float | None:
        """How long it went on until its end, what lies between its being stopped and taken up again left out."""
        return self.ended - self.started - self.paused if self.ended is not None and self.started else None

    @property
    def free(self) -> bool:
        """Whether it pays nobody: the emulator or a recording answers, and its costs are what would be."""
        return bool(self.options.get("local") or self.options.get("replay"))

    @property
    def tickets(self) -> list[tuple[str, OpenJob]]:
        """Jobs that may still be running, with their keys."""
        return [*self.left, *(ticket for cell in self.cells.values() for ticket in cell.tickets.items())]

    @property
    def spent(self) -> dict[str, dict[str, float]]:
        """What was spent in this run, by step and unit."""
        found = {step: dict(units) for step, units in self.before.items()}
        for cell in self.cells.values():
            units = found.setdefault(step_of(cell.cell), {})
            for unit, amount in (("usd", cell.cost), *cell.used.items()):
                units[unit] = units.get(unit, 0.0) + amount
        for step, amounts in self.lost.items():
            units = found.setdefault(step, {})
            for unit, amount in amounts.items():
                units[unit] = units.get(unit, 0.0) + amount
        return found

    @property
    def unknown(self) -> dict[str, OpenJob]:
        """Jobs of which nobody knows whether they were accepted, by key."""
        return {**self.left_unknown, **{k: v for cell in self.cells.values() for k, v in cell.unknown.items()}}

    @property
    def asking(self) -> list[CellState]:
        """The cells that wait for a person."""
        return [cell for cell in self.cells.values() if cell.state == "asking"]

    @property
    def expected(self) -> int:
        """How many cells there are, as far as it is known: those of opened steps, and one for each other step."""
        plain = sum(step_of(cell) not in self.opened for cell in self.cells)
        return plain + sum(self.opened.values())

    def in_order(self, ids: Iterable[str]) -> list[str]:
        """Steps or cells by their ids in the order of the pipeline, what is inside a step with it."""
        place = {step: number for number, step in enumerate(self.kinds)}
        return sorted(ids, key=lambda each: place.get(step_of(each.partition("/")[0]), len(place)))

    def cell(self, cell_id: str) -> CellState:
        """The state of a cell; a cell that appears while the run goes on is new here."""
        if cell_id not in self.cells:
            self.cells[cell_id] = self._begun(cell_id)
        return self.cells[cell_id]

    def _begun(self, cell_id: str) -> CellState:
        """The state of a cell when it begins, maybe not for the first time."""
        old = self.earlier.get(cell_id)
        return CellState(cell_id, before=old.paid if old is not None else 0.0)

    def add(self, event: Event) -> None:
        """Take one event into account."""
        self.events += 1
        match event:
            case RunStarted():
                self.run, self.pipeline, self.version = event.run, event.pipeline, event.version
                self.file, self.inputs, self.started = event.file, event.inputs, event.at
                self.kinds, self.options = event.kinds, event.options
                self.cells.update((step, CellState(step)) for step in event.steps if step not in self.cells)
            case StepOpened():
                self.opened[event.step] = event.cells
                self.cells.pop(event.step, None)
            case RunResumed():
                self.paused += max(0.0, event.at - self.last) if self.last else 0.0
                self._resume(event)
            case BudgetTold():
                self.told.append(event.message)
                self.exceeded = self.exceeded or event.stop
            case RunStopping():
                self.stopping = True
            case RunFinished():
                self.ended, self.outcome, self.outputs = event.at, event.outcome, event.outputs
                self.digests, self.values = event.digests, event.values
            case CellAsked() | CellAnswered() | CellWaits():
                self._question(self.cell(event.cell), event)
            case _:
                self._add_to_cell(self.cell(event.cell), event)
        if self.ended is None or isinstance(event, RunFinished):  # a person may answer when it has long ended
            self.last = event.at

    def _resume(self, event: RunResumed) -> None:
        """Everything waits again: the store knows what is done. What was paid stays paid."""
        self.stopping, self.ended, self.outcome, self.kinds = False, None, None, event.kinds
        self.options, self.file = event.options or self.options, event.file or self.file
        self.run, self.pipeline, self.version = event.run, event.pipeline, event.version
        self.started = self.started or event.at  # who looks on from here has not seen the beginning
        for cell in self.cells.values():
            self._unanswered(cell)
        self.before, self.exceeded = self.spent, False
        self.lost.clear()
        self.told.clear()
        for cell in self.cells.values():
            self.made.setdefault(cell.cell, []).extend(cell.keys)
            self.paid += cell.cost
            self.left += cell.tickets.items()
            self.left_unknown.update(cell.unknown)
            if cell.calls or cell.state == "done" or cell.before or (cell.asked and cell.answer):
                self.earlier[cell.cell] = cell
        self.opened.clear()
        self.cells = {step: self._begun(step) for step in event.steps}

    def _failed(self, cell: CellState, fault: str, key: str = "") -> None:
        """A try of a cell has failed, of one of its calls or of all: what is said of them with that."""
        calls = [key] if key else [*cell.unknown, *cell.asking]
        if fault in ("unknown", "timeout"):
            self._unanswered(cell, key)
        for call in calls:
            cell.asking.pop(call, None)
            if fault != "unknown":
                cell.unknown.pop(call, None)

    def _paid_for(self, cell: CellState, event: CallPaid) -> None:
        """An answer is there, and what it took is known."""
        cell.tail = ""
        cell.asking.pop(event.key, None)
        if (job := cell.tickets.get(event.key)) is not None:
            cell.tickets[event.key] = job._replace(most={}, ended=True)  # it holds nothing more
        cell.calls += 1
        cell.cost += event.cost or 0.0
        cell.used["tokens"] = cell.used.get("tokens", 0.0) + event.tokens

    def _unanswered(self, cell: CellState, key: str = "") -> None:
        """Chats of a cell that were sent and had no answer: they may have been billed."""
        for call in [key] if key else list(cell.asking):
            self._lost(step_of(cell.cell), cell.asking.pop(call, {}))

    def _lost(self, step: str, most: Amounts) -> None:
        """A call of whose end nobody knows may have taken all that it could."""
        units = self.lost.setdefault(step, {})
        for unit, amount in most.items():
            units[unit] = units.get(unit, 0.0) + (amount or 0.0)
        self.doubt += most.get("usd") or 0.0

    def _answered(self, cell: CellState, event: CallDone) -> None:
        """A reply is in the store: nothing of this call is open any more."""
        job = cell.tickets.pop(event.key, None) or self._taken(event.key)
        if job is not None:
            self.collected[event.key] = job._replace(most={}, ended=True)
        cell.unknown.pop(event.key, None)
        self.left_unknown.pop(event.key, None)
        if event.key not in cell.keys:
            cell.keys.append(event.key)
        for unit, amount in (("images", event.images), ("seconds", event.seconds)):
            cell.used[unit] = cell.used.get(unit, 0.0) + amount

    def _job_ended(self, cell: CellState, event: JobEnded) -> None:
        """A job has ended without an output. One that has expired may have had one."""
        jobs = [job for _, job in [*cell.tickets.items(), *self.left] if job.job == event.job]
        if event.status == "EXPIRED" and jobs:
            self._lost(jobs[0].step, jobs[0].most)
        cell.tickets.pop(event.key, None)
        self.left = [ticket for ticket in self.left if ticket[1].job != event.job]
        cell.status = event.status

    def _done(self, cell: CellState, event: CellDone) -> None:
        """A cell has its output. One for which this run had asked before it was taken up again is no other's."""
        cell.asking.clear()  # what is left was refused, which costs nothing
        cell.state, cell.ended = "cached" if event.cached else "done", event.at
        cell.output = Output(event.output, event.model, event.cost)
        cell.message = cell.status = ""
        if event.cached and (old := self.earlier.get(cell.cell)) is not None:
            cell.state, cell.attempts, cell.label = "done", old.attempts, cell.label or old.label
            if old.state == "done":  # when it was done: in the meantime it was only found again
                cell.started, cell.ended = old.started, old.ended

    def _taken(self, key: str) -> OpenJob | None:
        """One of the jobs from before has been collected."""
        for index, (other, job) in enumerate(self.left):
            if other == key:
                del self.left[index]
                return job
        return None

    def _question(self, cell: CellState, event: CellAsked | CellAnswered | CellWaits) -> None:
        """A person comes into it. What is answered after the run has ended waits for the run to be taken up."""
        match event:
            case CellAsked():
                cell.state, cell.asked, cell.answer, cell.message = "asking", event, None, event.question
            case CellAnswered():
                cell.state = "running" if self.ended is None else "waiting" if cell.state == "asking" else cell.state
                cell.answer, cell.message = event, ""
                cell.keys = list(event.keys) or cell.keys
            case CellWaits():
                cell.state, cell.message = "waiting", f"waits for {event.by}"

    def _add_to_cell(self, cell: CellState, event: Event) -> None:
        match event:
            case CellStarted():
                cell.state, cell.started = "running", event.at
            case CallStarted():
                cell.attempts, cell.label, cell.status, cell.message = event.attempt, event.label, "sent", ""
                cell.asking |= {event.key: event.most} if event.most else {}
                cell.tail = ""
            case TextGrew():
                cell.tail = (cell.tail + event.text)[-TAIL:]
            case JobSending():
                cell.unknown[event.key] = OpenJob(event.endpoint, "", step_of(event.cell), event.most)
            case JobSubmitted():
                cell.unknown.pop(event.key, None)
                self.left_unknown.pop(event.key, None)
                cell.tickets[event.key] = OpenJob(event.endpoint, event.job, step_of(event.cell), event.most)
                cell.status = "IN_QUEUE"
            case JobMoved():
                cell.status, cell.message = event.status, ""
            case AttemptFailed():
                self._failed(cell, event.fault, event.key)
                cell.status, cell.message = f"waits {event.wait:.1f} s to try again", event.message
                cell.tail = ""
            case JobEnded():
                self._job_ended(cell, event)
            case CallPaid():
                self._paid_for(cell, event)
            case CallDone():
                self._answered(cell, event)
            case CellDone():
                self._done(cell, event)
            case CellFailed():
                self._failed(cell, event.fault)
                cell.state, cell.ended, cell.keep = "failed", event.at, event.keep
                cell.fault, cell.message = event.fault, event.message
            case CellBlocked():
                cell.state, cell.ended, cell.message = "blocked", event.at, f"needs {event.by}"
            case CellSkipped():
                cell.state, cell.ended, cell.message = "skipped", event.at, event.why
                cell.fault = event.fault
            case CellCancelled():
                self._unanswered(cell)
                cell.state, cell.ended, cell.message = "cancelled", event.at, event.why


def fold(events: Iterable[Event]) -> RunState:
    """The state that these events add up to."""
    state = RunState()
    for event in events:
        state.add(event)
    return state
