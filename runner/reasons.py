"""Why a call is a hit or a miss: what it asks, beside the nearest earlier call of the same step.

What the next run would ask is found by running the plan against the store alone: a world that refuses every call.
What a past run asked is in its journal, by key, and in the store, as text.
"""

from __future__ import annotations

import hashlib
import shlex
import tempfile
import time
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from . import app
from .calls import Empty
from .checking import Checked
from .errors import CallFailed, UsageError, nearest
from .events import CallDone, CallStarted, CellState, Event, RunState
from .execute import execute
from .files import is_inline, is_url, place
from .history import Asked, Run, asked, newest, request, runs
from .media import look
from .model import Artifact, Call, Chat, Finished, Job, Reply, Ticket, key_of, step_of
from .options import Options
from .pipeline import Step
from .planning import Plan
from .reports.changes import changes
from .reports.questions import answered
from .reports.reasons import Ahead, Reason, text
from .reports.runs import duration
from .runpod.wire import decode
from .store import Store

_MOST_INSIDE = 5

_RENAMED = 2
"""Differences that a call may have from one of another step to be taken for the same under a new name."""

FETCHED_WITHIN = 1800.0
"""Seconds for which Runpod keeps the result of a job."""

LOCAL = ("emulator", "local-model")
"""What those who answer a local run are called in keys."""


async def now(home: Path, run: Run, step: str, env: Mapping[str, str]) -> str:
    """What the next run of this run's pipeline would find in the store, with the same inputs, and what it would pay."""
    store = Store(home / "store")
    try:
        options = Options.of(run.state, env=env, cancel_on_interrupt=False)
        read, plan = app.plan_again(run.state, options)
        world = _Nobody(app.origin(options))
        state, calls = await _tried(plan, world, store)
        past = _Past.of(home, store)
        cells = _cells(home, run, state, step, "The last run")
        told = [r for cell in cells for r in _next(state, cell, calls, world, past, _step(read.whole(), cell.cell))]
    finally:
        store.close()
    return text(f"The next run of {plan.pipeline}, with the inputs of {run.id}:", told)


def then(home: Path, run: Run, step: str) -> str:
    """What a run found in the store, and why it paid for the rest."""
    store = Store(home / "store")
    try:
        past = _Past.of(home, store).before(run.state.started)
        calls = asked(run)
        told: list[Reason] = []
        for cell in _cells(home, run, run.state, step, "The run"):
            own = [call for call in calls if call.cell == cell.cell]
            reasons = [_numbered(call, past.recorded(call)) for call in own]
            told += [*reasons, *_chosen(cell)] or [_without(run.state, cell)]
    finally:
        store.close()
    return text(f"The run {run.id} of {run.state.pipeline}:", told)


def last_with(home: Path, last: Run, step: str) -> Run:
    """The last run that has a step, or one cell of it; ``last`` itself if none has."""
    return next((run for run in newest(home) if _has(run, step)), last)


def _has(run: Run, step: str) -> bool:
    return step in run.state.opened or any(step in (cell, step_of(cell)) for cell in run.state.cells)


def _cells(home: Path, run: Run, state: RunState, step: str, which: str) -> list[CellState]:
    """The cells of a step, or the one that is named, in a run or in the next one of its pipeline.

    `UsageError` if there is none, with the nearest name and the last run that has one.
    """
    found = [cell for cell in state.cells.values() if step in (cell.cell, step_of(cell.cell))]
    if not found and not any(step == name for name in state.opened):
        known = list(dict.fromkeys([*map(step_of, state.cells), *(state.cells if "[" in step else ())]))
        msg = f"{which} {run.id} is of {state.pipeline}, which has no step {step}. {nearest(step, known)}".rstrip()
        raise UsageError(f"{msg} {_elsewhere(home, run, step)}")
    return found


def _elsewhere(home: Path, but: Run, step: str) -> str:
    """Which run has a step that another has not, and how to ask about it."""
    for run in newest(home):
        if run.id != but.id and _has(run, step):
            return (
                f"The last run that has one is of {run.state.pipeline}: runner why {shlex.quote(step)} --run {run.id}"
            )
    return "No other run here has one, either; --run RUN names a run, runner runs lists them."


def _next(
    state: RunState, cell: CellState, calls: Sequence[Asked], world: _Nobody, past: _Past, step: Step | None
) -> list[Reason]:
    """Why each call of a cell would be a hit or a miss."""
    own = sorted((call for call in calls if call.cell == cell.cell), key=lambda call: call.candidate)
    told: list[Reason] = []
    for call in own:
        call.kind = step.kind if step is not None and "/" not in cell.cell else ""
        if call.stored:
            told.append(past.hit(call))
        elif step is not None and not step.cache:
            told.append(Reason(cell.cell, "miss", "the step says cache: false, so it is asked each time"))
        elif left := past.store.left(call.key):
            told.append(_left(cell.cell, *left, torn=past.store.torn(call.key)))
        elif doubt := past.store.doubted(call.key):
            told.append(_doubted(cell.cell, *doubt))
        else:
            keep = step.cache_for if step is not None else None
            told.append(past.missed(call, world.asked[call.key].text, keep))
    return [*map(_numbered, own, told), *_chosen(cell)] or [_without(state, cell)]


def _left(cell: str, job: Ticket | Finished, at: float, *, torn: bool) -> Reason:
    """What an earlier run has left of a call that the store has no reply to, or one whose files are ``torn``."""
    if isinstance(job, Finished):
        why = "a file of its reply is missing or damaged" if torn else f"its job was paid for {_ago(at)}"
        return Reason(cell, "unfetched", f"{why}; the next run fetches it, or makes it anew if nobody has it any more")
    where = f"its job {job.job} was handed in to {job.endpoint} {_ago(at)}"
    if at > time.time() - FETCHED_WITHIN:
        return Reason(cell, "flying", f"{where}; the next run waits for it, and pays nothing more")
    return Reason(cell, "flying", f"{where}; the next run asks for its result, which Runpod keeps for 30 minutes, and "
                  "makes it anew if it is gone")  # fmt: skip


def _doubted(cell: str, endpoint: str, at: float) -> Reason:
    return Reason(
        cell, "miss",
        f"its job was handed to {endpoint} {_ago(at)} and got no answer, so it may have been accepted and paid for; a "
        "new run sends it again, and so does a resumed one with retry: {on: [unknown]}",
    )  # fmt: skip


def _numbered(call: Asked, reason: Reason) -> Reason:
    """A reason under the name of the candidate that the call is for, if it is for one."""
    return replace(reason, cell=f"{reason.cell}, candidate {call.candidate}") if call.candidate else reason


def _chosen(cell: CellState) -> list[Reason]:
    """What a person has to do with it."""
    if cell.answer is not None:
        return [Reason(cell.cell, "hit", answered(cell))]
    if cell.state == "asking":
        return [Reason(cell.cell, "unknown", "a person has not answered; runner pick lists what waits")]
    return []


def _step(checked: Checked, cell: str) -> Step | None:
    """The step of a cell, which may be one of a pipeline that a step runs."""
    inner: Checked | None = checked
    step: Step | None = None
    for part in cell.split("/"):
        found = inner.steps.get(part.partition("[")[0]) if inner is not None else None
        step, inner = (found.step, found.nested) if found is not None else (None, None)
    return step


def _without(state: RunState, cell: CellState) -> Reason:
    """Why a cell asked nothing."""
    inside = dict.fromkeys(step_of(each) for each in state.cells if each.startswith(f"{cell.cell}/"))
    if inside:
        asks = ", ".join(f"runner why {shlex.quote(name)}" for name in list(inside)[:_MOST_INSIDE])
        more = f", and {len(inside) - _MOST_INSIDE} more" if len(inside) > _MOST_INSIDE else ""
        return Reason(cell.cell, "inside", f"not it but the steps of its pipeline ask: {asks}{more}")
    if cell.state in ("done", "cached"):
        return Reason(cell.cell, "free", "it calls nobody, so it is done anew each time")
    if cell.state == "blocked":
        needed = cell.message.removeprefix("needs ")
        why = f"what it asks cannot be known yet: it needs {needed}, which has not run with what is asked now"
        return Reason(cell.cell, "unknown", f"{why}; see runner why {needed}")
    if cell.state == "waiting":
        return Reason(cell.cell, "unknown", "what it asks cannot be known yet: what it needs waits for a person; see "
                      "runner pick")  # fmt: skip
    return Reason(cell.cell, "unknown", f"it asks nothing: {cell.state}{f', {cell.message}' if cell.message else ''}")


@dataclass(slots=True)
class _Past:
    """The calls of all runs, the newest first."""

    store: Store
    calls: list[Asked]

    @classmethod
    def of(cls, home: Path, store: Store) -> _Past:
        """All but what recordings answered: that paid for nothing."""
        lived = (run for run in runs(home) if not run.state.options.get("replay"))
        return cls(store, [call for run in lived for call in reversed(asked(run))])

    def before(self, began: float) -> _Past:
        """The same as it was before a run began."""
        return _Past(self.store, [call for call in self.calls if call.began < began])

    def hit(self, call: Asked) -> Reason:
        """It is in the store; who paid for it, and why that run had to."""
        payer = next((each for each in self.calls if each.key == call.key and each.paid), None)
        kept = self.store.asked(call.key)
        ago = f" {_ago(kept[1])}" if kept else ""
        if payer is None:
            return Reason(call.cell, "hit", f"in the store, kept{ago}")
        said = f"in the store, {payer.paid_for}{ago} by {payer.run}"
        reason = self.before(payer.began).missed(payer, kept[0] if kept else None, None, recorded=True)
        return replace(reason, cell=call.cell, verdict="hit", why=said, then=reason.why)

    def recorded(self, call: Asked) -> Reason:
        """What the journal says of a call."""
        kept = self.store.asked(call.key)
        if call.stored and not call.paid:
            payer = next((each for each in self.calls if each.key == call.key and each.paid), None)
            whose = f", {payer.paid_for} by {payer.run}" if payer else ""
            return Reason(call.cell, "hit", f"it was in the store{whose}")
        return self.missed(call, kept[0] if kept else None, None, recorded=True)

    def missed(self, call: Asked, asks: str | None, keep: float | None, *, recorded: bool = False) -> Reason:
        """Why a call was not, or would not be, in the store."""
        same = next((each for each in self.calls if each.key == call.key), None)
        if same is not None or (not recorded and self.store.asked(call.key)):
            return self._known(call, same, keep, recorded=recorded)
        if asks is None:
            return Reason(call.cell, "miss", "what it asked is no longer known: the store has no reply to it")
        earlier, text = self._nearest(call, asks)
        if earlier is None:
            return Reason(call.cell, "miss", "no earlier call of this step is known here")
        found = tuple(changes(request(text), request(asks)))
        if not found:
            why = "the emulator answered then" if earlier.local else "Runpod answered then"
            why = why if earlier.local != call.local else "the address or the version of the kind was another"
            return Reason(call.cell, "miss", f"the same was asked in {earlier.run}, but {why}")
        why = f"compared with {earlier.cell} in {earlier.run}"
        if [change.path.rpartition(".")[2] for change in found] == ["seed"]:
            why += "; only the seed differs, which follows from the names of pipeline, step and cell where no seed: is"
        return Reason(call.cell, "miss", why, found)

    def _known(self, call: Asked, same: Asked | None, keep: float | None, *, recorded: bool) -> Reason:
        """The very same call was made before."""
        kept = self.store.asked(call.key)
        if recorded:
            why = "it was asked for anew, or its reply was not in the store then"
            return Reason(call.cell, "miss", f"the same was asked in {same.run if same else 'an earlier run'}; {why}")
        if kept is None:
            asked_in = f"in {same.run}" if same is not None else "before"
            return Reason(call.cell, "miss", f"the same was asked {asked_in}, and the store has no reply to it")
        if keep is not None and kept[1] < time.time() - keep:
            return Reason(call.cell, "miss", f"its reply was kept {_ago(kept[1])}, longer ago than cache: for: allows")
        why = "its reply is in the store and cannot be used: a file of it is missing or damaged"
        return Reason(call.cell, "miss", f"{why}, or the step reads it no longer; see runner cache verify")

    def _nearest(self, call: Asked, asks: str) -> tuple[Asked | None, str]:
        """The newest earlier call of the same cell; else, of the step's other cells, the one most like it; else one of
        a step of the same kind that asked almost the same.
        """
        step = step_of(call.cell)
        alike = [each for each in self.calls if each.kind == call.kind]
        known = [each for each in alike if step_of(each.cell) == step] or alike  # it may have had another name
        wanted = request(asks)
        best: tuple[int, Asked, str] | None = None
        for each in [*(e for e in known if e.cell == call.cell), *[e for e in known if e.cell != call.cell][:100]]:
            kept = self.store.asked(each.key)
            if kept is None or not kept[0]:
                continue
            if each.cell == call.cell:
                return each, kept[0]
            apart = len(list(changes(request(kept[0]), wanted)))
            if step_of(each.cell) != step and apart > _RENAMED:
                continue
            if best is None or apart < best[0]:
                best = apart, each, kept[0]
        return (best[1], best[2]) if best is not None else (None, "")


def _ago(at: float) -> str:
    return f"{duration(max(0.0, time.time() - at))} ago" if at else "before stores noted when"


# -- a world that refuses ---------------------------------------------------------------------------


class NotAsked(CallFailed):
    """The store does not have it, and nobody is asked."""

    fault = "not_asked"


@dataclass(slots=True)
class _Nobody:
    """A provider that notes what it is asked for and answers nothing."""

    origin: str
    asked: dict[str, Call] = field(default_factory=dict)

    def pause(self, call: Call) -> float:
        self.asked[key_of(call, self.origin)] = call
        return 0.0

    async def submit(self, job: Job, within: float, sending: Callable[[], None]) -> Ticket:
        del within, sending
        raise NotAsked(f"{job.label} is not asked")

    async def chat(self, chat: Chat, grew: Callable[[str], None] | None, sending: Callable[[], None]) -> Reply:
        del grew, sending
        raise NotAsked(f"{chat.label} is not asked")

    async def wait(self, ticket: Ticket, moved: Callable[[str], None]) -> Finished:
        raise AssertionError(ticket, moved)

    async def collect(self, job: Job, finished: Finished) -> Reply:
        raise AssertionError(job, finished)

    async def cancel(self, ticket: Ticket) -> Finished | None:
        raise AssertionError(ticket)


class _Reading(Empty):
    """The store, read only: nothing is claimed, so that a run that is going on is not disturbed."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def get(self, key: str, since: float = 0.0) -> Reply | None:
        return await self._store.get(key, since)

    def replaced(self, key: str) -> AsyncGenerator[Reply, None]:
        return self._store.replaced(key)


async def ahead(plan: Plan, origin: str, store: Store) -> Ahead:
    """How far a run of this plan would come with the store alone."""
    world = _Nobody(origin)
    state, calls = await _tried(plan, world, store)
    flying: dict[str, bool] = {}
    for call in calls:
        if not call.stored:
            job, at = store.left(call.key) or (None, 0.0)
            paid = isinstance(job, Finished) and not store.torn(call.key)
            there = paid or (isinstance(job, Ticket) and at > time.time() - FETCHED_WITHIN)
            flying[call.cell] = flying.get(call.cell, True) and there
    return Ahead(state, world.asked, {cell for cell, all_of_it in flying.items() if all_of_it})


async def _tried(plan: Plan, world: _Nobody, store: Store) -> tuple[RunState, list[Asked]]:
    """Run a plan against the store alone: the state that it comes to, and what each cell asked."""
    state, found = RunState(), dict[tuple[str, str], Asked]()
    local = world.origin in LOCAL

    def sink(event: Event) -> None:
        state.add(event)
        if isinstance(event, CallStarted | CallDone):
            new = Asked("", local=local, cell=event.cell, kind="", key=event.key, began=event.at,
                        candidate=event.candidate)  # fmt: skip
            call = found.setdefault((event.cell, event.key), new)
            call.stored = isinstance(event, CallDone)

    async def load_files(files: Mapping[str, str], pipeline: str) -> Mapping[str, Artifact]:
        return _files(files, Path(pipeline).parent)

    async def nothing() -> None:
        return None

    state.pipeline = plan.pipeline
    for step in plan.steps:
        state.cell(step.id)
    whole = replace(plan.with_files(_files(plan.files, Path(plan.file).parent)), budget=None, deadline=None)
    await execute(whole, run_id="next", provider=world, store=_Reading(store), sink=sink, synced=nothing,
                  clock=time.time, keep_text=lambda *_: None, load_files=load_files)  # fmt: skip
    return state, list(found.values())


def _files(files: Mapping[str, str], base: Path) -> dict[str, Artifact]:
    """The files that a pipeline names, as they are now; they are not put in the store."""
    found: dict[str, Artifact] = {}
    for name in files:
        if is_url(name):
            msg = f"What is at {name} is only known when it is fetched, and why fetches nothing. Give --run RUN."
            raise UsageError(msg)
        try:
            found[name] = _written_out(name) if is_inline(name) else _file(Path(place(name, base)))
        except (OSError, ValueError) as err:
            msg = f"{name[:60]} cannot be read: {getattr(err, 'strerror', None) or err}."
            raise UsageError(msg) from err
    return found


def _written_out(name: str) -> Artifact:
    """A file that is no name but itself."""
    content = decode(name)
    if content is None:
        raise ValueError("it is no base64")
    with tempfile.NamedTemporaryFile() as file:
        file.write(content)
        file.flush()
        return _file(Path(file.name))


def _file(path: Path) -> Artifact:
    content, looks = path.read_bytes(), look(path)
    digest = hashlib.sha256(content).hexdigest()
    return Artifact(digest, looks.media_type, len(content), str(path), None, looks.width, looks.height, looks.seconds)
