"""One run with its world in hand: provider, store, folder, journal, reporter; files in, outputs out, signals heard."""

from __future__ import annotations

import contextlib
import gc
import os
import random
import secrets
import signal
import threading
import time
from collections.abc import AsyncGenerator, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeAlias

import anyio

from .asking import Asker, Screen
from .attempts import Past
from .budget import Held
from .canned import Canned
from .desk import Desk
from .errors import (
    BadFile,
    LeftOpen,
    Mark,
    PipelineProblems,
    Problem,
    StepError,
    StoreFailed,
    UsageError,
    capitalized,
)
from .events import Event, Outcome, RunFinished, RunResumed, RunStarted, RunState, RunStopping, Sink, fold
from .execute import execute
from .files import is_inline, is_url, place
from .fresh import Fresh
from .journal import Journal, read
from .lockfile import Locked
from .model import JSON, Artifact, Question, Reply, Ticket, step_of
from .outputs import outputs_of, unended
from .planning import Plan
from .provenance import Facts, Made, Makers
from .publish import REST, digests_of, kept_of, publish, without_file
from .runfolder import RunFolder
from .runpod.carrier import NETWORK, Carrier
from .runpod.offline import Offline
from .runpod.provider import Runpod
from .runpod.wire import decode
from .store import Store

Provider: TypeAlias = Any
"""A `runner.attempts.Provider` that is a context manager and fetches what authors name by URL: `Runpod`, or another."""
OpenProvider: TypeAlias = Callable[[Store, Mapping[str, str]], Provider]
"""Gives a provider, from where its files are to be kept and the environment."""

Leave: TypeAlias = Callable[[RunState], None]
"""Says the last words when the user will not wait: the process ends right after."""


@dataclass(frozen=True, slots=True)
class Done:
    """A run that has ended: its state, where its outputs and its folder are, what could not be had and why."""

    state: RunState
    folder: Path
    outputs: Mapping[str, Path]
    missing: Mapping[str, str]
    exit_code: int
    differs: Sequence[str] = ()
    """What is not as the lock has it, where the run was to keep to one."""
    notes: tuple[str, ...] = ()
    """What else is to be said, a sentence each."""
    faults: tuple[str, ...] = ()
    """What has failed without failing the run, a sentence each."""
    waiting: Collection[str] = ()
    """Those of the outputs that are missing which lack nothing but the answer of a person."""


@dataclass(slots=True, eq=False)
class Session:
    """What one run needs. ``address`` is the provider's base URL, the key, and what the provider is called in keys."""

    plan: Plan
    home: Path
    base: Path
    file: Path
    text: str
    out: Path
    address: tuple[str, str, str | None]
    options: Mapping[str, JSON]
    """How the run was started, as the journal keeps it."""
    env: Mapping[str, str]
    calls: int
    fail_fast: bool
    cancel_on_interrupt: bool
    fresh: Fresh
    """What is asked for anew; the run says from when."""
    reporter: Sink
    leave: Leave | None
    """What to say when a second signal ends the process. None where signals are the business of somebody else."""
    open_provider: OpenProvider | None = None
    """Who answers the calls instead of Runpod."""
    metadata: bool = True
    """Whether pictures carry what made them."""
    offline: bool = False
    """Whether all that is needed must be in the store."""
    carrier: Carrier = NETWORK
    watched: bool = False
    screen: Screen | None = None
    """Where a person sits who can be asked."""
    pick_first: bool = False
    approve: bool | None = None
    """What is said to questions of yes or no; None to ask."""
    choices: Mapping[str, JSON] = field(default_factory=dict)
    """What persons answered when the recording was made that is replayed, by the key of the question."""
    locked: Locked | None = None
    """Set where nothing may be sent."""
    lock: Callable[[RunState], Path] | None = None
    """Writes down what a run yields that came to a good end; gives back where."""
    canned: Canned | None = None
    """Set where a test gives outputs to steps, and nobody may be called."""
    past: RunState | None = None
    """The run as it had come, if it is taken up again."""
    state: RunState = field(default_factory=RunState)
    stopped: int = 0
    """The signal that stopped the run, or 0."""
    makers: Makers = field(default_factory=Makers)
    broken: Exception | None = None
    """What the reporter raised: told when the run has ended, because a run must not end for it."""

    async def run(self) -> Done:
        """Run to the end. Whatever cannot start has left nothing behind."""
        run_id = self.past.run if self.past else f"{time.strftime('%Y%m%d-%H%M%S')}-{secrets.token_hex(2)}"
        _unseen_by_git(self.home)
        # A replay is to ask the recording for everything, and to leave nothing that a real run would take for paid.
        store = Store((self.home if self.carrier.network else self.home / "runs" / run_id) / "store")
        try:
            with _COLLECTOR:
                return await self._with(store, run_id)
        finally:
            store.close()

    def _provider(self, store: Store) -> Provider:
        url, key, origin = self.address
        if self.open_provider is not None:
            return self.open_provider(store, self.env)
        if self.offline:
            return Offline(origin or url.rstrip("/"))
        times = store.folder / "times.json"
        return Runpod(
            url, key, store, connections=self.calls, origin=origin, env=self.env, times=times, carrier=self.carrier
        )

    async def _with(self, store: Store, run_id: str) -> Done:
        async with self._provider(store) as provider:
            plan = await self._with_files(provider, store)
            folder = RunFolder(self.home / "runs", run_id, self.text)
            with Journal(folder.path) as journal:
                if self.past is not None and journal.grown(self.past):  # nobody else can write to it from here on
                    self.past = fold(read(folder.path))
                self.state = self.past or self.state
                done = await self._journalled(plan, run_id, provider, store, folder, journal)
        if self.broken is not None:
            raise self.broken
        return done

    async def _journalled(
        self, plan: Plan, run_id: str, provider: Provider, store: Store, folder: RunFolder, journal: Journal
    ) -> Done:
        def sink(event: Event) -> None:
            self.state.add(event)
            self.makers(event)
            journal(event)
            self._report(event)

        sink(self._started(plan, run_id))
        done: Done | None = None
        failed: StoreFailed | None = None
        async with anyio.create_task_group() as tasks:
            scope, names = anyio.CancelScope(), None
            if self.leave is not None:
                tasks.start_soon(self._watch, scope, sink)
            try:
                with scope:
                    names = await self._executed(plan, run_id, provider, store, sink, folder, journal)
                done = await self._ended(plan, names, store, sink, folder, journal)
            except StoreFailed as err:
                failed = err  # told as itself, and not as one of a group
            tasks.cancel_scope.cancel()
        if failed is not None:
            msg = f"{failed}. Go on with: runner resume {run_id}"
            raise StoreFailed(msg) from failed
        assert done is not None
        return done

    async def _ended(
        self,
        plan: Plan,
        names: dict[str, JSON] | None,
        store: Store,
        sink: Sink,
        folder: RunFolder,
        journal: Journal,
    ) -> Done:
        """Write what the run has made, in a thread so that signals are heard meanwhile, and say how it ended."""
        await store.synced()
        made = self._made(plan, store)
        differs = list(self.locked.differences(self.state)) if self.locked and not self.stopped else []
        named = None if differs else names
        outputs, missing, skipped, values = await anyio.to_thread.run_sync(self._published, plan, named, made)
        digests = await anyio.to_thread.run_sync(digests_of, outputs)
        wanting = {name: why for name, why in missing.items() if name not in skipped}
        outcome: Outcome = "cancelled" if self.stopped else "failed" if differs else _outcome(self.state, wanting)
        lock = self._write_lock(wanting) if outcome == "done" else {}
        outcome = "failed" if outcome == "done" and wanting else outcome
        missing |= wanting
        where = {name: str(path) for name, path in outputs.items()}
        sink(RunFinished(time.time(), outcome, where, digests, values))
        code = 3 if differs else self._exit_code()
        await journal.synced()
        notes = await anyio.to_thread.run_sync(_left, folder, self.state, made)
        notes += tuple(without_file(values.get(REST)))
        notes += ("No lock is written: that is done when a run has made all.",) if self.lock and not lock else ()
        waiting = self._waiting(plan, named or {}) & missing.keys()
        return Done(self.state, folder.path, {**outputs, **lock}, missing, code, differs, notes, waiting=waiting)

    def _waiting(self, plan: Plan, names: Mapping[str, JSON]) -> set[str]:
        """The outputs whose steps wait for a person, none of their cells having failed."""
        if self.stopped or not names:
            return set()
        bad = {step_of(cell.cell) for cell in self.state.cells.values() if cell.state in ("failed", "blocked")}
        return {name for name, steps in unended(plan.outputs, names).items() if not bad & steps}

    def _write_lock(self, missing: dict[str, str]) -> dict[str, Path]:
        """Write the lock, before the run counts as done: one that is killed in between is taken up again."""
        try:
            return {"lock": self.lock(self.state)} if self.lock is not None else {}
        except StoreFailed as err:
            missing["lock"] = str(err)
            return {}

    async def _executed(
        self, plan: Plan, run_id: str, provider: Provider, store: Store, sink: Sink, folder: RunFolder, journal: Journal
    ) -> dict[str, JSON]:
        async def load_files(files: Mapping[str, str], pipeline: str) -> Mapping[str, Artifact]:
            return await self._files(provider, store, files, Path(pipeline).parent)

        for key, answer in self.choices.items():
            await store.keep(key, Question("", {"prompt": "recorded"}), Reply(answer))
        try:
            return await execute(
                plan,
                run_id=run_id,
                provider=provider,
                store=store,
                sink=sink,
                synced=journal.synced,
                clock=time.time,
                keep_text=folder.keep_text,
                load_files=load_files,
                calls=self.calls,
                fail_fast=self.fail_fast,
                watched=self.watched,
                past=_past(self.past),
                fresh=replace(self.fresh, began=self.state.started),
                cancel_jobs=self.cancel_on_interrupt,
                locked=self.locked,
                canned=self.canned,
                desk=Desk(Asker(folder, self.screen), self.pick_first, self.approve, frozenset(self.choices)),
                jitter=None if self.carrier.network else AtOnce(),
            )
        except BaseExceptionGroup as group:
            if failed := group.subgroup(StoreFailed):
                raise _first(failed) from None
            raise

    async def _watch(self, scope: anyio.CancelScope, sink: Sink) -> None:
        """The first signal stops the run in order, the second one at once."""
        with anyio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
            async for number in signals:
                if self.stopped:
                    if self.leave is not None:
                        self.leave(self.state)
                    os._exit(128 + number)
                self.stopped = number
                if self.state.outcome is None:
                    sink(RunStopping(time.time(), number))
                scope.cancel()

    def _started(self, plan: Plan, run_id: str) -> RunStarted | RunResumed:
        steps = {step.id: [edge.needs for edge in step.edges] for step in plan.steps}
        kinds = {step.id: step.kind.NAME for step in plan.steps}
        if self.past is not None:
            return RunResumed(
                time.time(), run_id, plan.pipeline, plan.version, steps, kinds, self.options, str(self.file)
            )
        return RunStarted(
            at=time.time(),
            run=run_id,
            pipeline=plan.pipeline,
            version=plan.version,
            file=str(self.file),
            inputs=plan.inputs,
            steps=steps,
            kinds=kinds,
            options=self.options,
            empty=list(plan.empty),
        )

    def _report(self, event: Event) -> None:
        if self.broken is None:
            try:
                self.reporter(event)
            except Exception as err:  # noqa: BLE001 - a table that cannot be drawn is no reason to lose paid work
                self.broken = err

    async def _with_files(self, provider: Provider, store: Store) -> Plan:
        """The plan with its files in place. What cannot be used is told before anything is sent."""
        artifacts = await self._named(provider, store, self.plan.files, self.base, self.plan.named)
        for file, files, marks in self.plan.nested_files():
            await self._named(provider, store, files, Path(file).parent, marks)
        return self.plan.with_files(artifacts)

    async def _named(
        self, provider: Provider, store: Store, files: Mapping[str, str], base: Path, marks: Mapping[str, Mark]
    ) -> dict[str, Artifact]:
        """`_files`, where what cannot be used is a problem where the pipeline names it."""
        try:
            return await self._files(provider, store, files, base)
        except BadFile as err:
            if mark := marks.get(err.name):
                instead = "Check the address, or name another file. Files are fetched before anything runs."
                raise PipelineProblems([Problem("file", str(err), mark, instead)]) from err
            names = [name for name in self.plan.file_inputs if self.plan.inputs[name] == err.name]
            msg = f"The input {' and '.join(names)} cannot be used. {err}"
            raise UsageError(msg) from err

    async def _files(
        self, provider: Provider, store: Store, files: Mapping[str, str], base: Path
    ) -> dict[str, Artifact]:
        """The files that a pipeline and its inputs name, in the store."""
        artifacts: dict[str, Artifact] = {}
        for name, media in files.items():
            shown = "This data URI" if is_inline(name) else name
            try:
                artifact = await (provider.artifact(name) if is_url(name) else store.add(_content(name, base)))
            except StoreFailed:
                raise
            except StepError as err:
                told = (
                    f"T{str(err)[1:]}" if str(err).startswith(f"the file {name}") else f"{shown} cannot be used: {err}"
                )
                raise BadFile(f"{told}.", name) from err
            if media not in (artifact.media, "file"):
                raise BadFile(f"{shown} is {artifact.media_type}; {media} is needed here.", name)
            artifacts[name] = artifact
        return artifacts

    def _made(self, plan: Plan, store: Store) -> Made | None:
        one_at_once = threading.Lock()

        def made(artifact: Artifact) -> Facts | None:
            with one_at_once:  # outputs are written by several threads, and the store has one connection
                return self.makers.facts(artifact, plan.pipeline, plan.version, store.request)

        return made if self.metadata else None

    def _published(
        self, plan: Plan, names: Mapping[str, JSON] | None, made: Made | None
    ) -> tuple[dict[str, Path], dict[str, str], frozenset[str], dict[str, JSON]]:
        """Write the outputs that can be had; for each of the others, why not, and which a ``when:`` leaves out.

        Last, what was written. Of a run that was stopped: no more.
        """
        if names is None:
            return {}, {}, frozenset(), {}
        values, missing, skipped = outputs_of(plan.outputs, names)
        outputs, failed = publish(values, self.out, self.state.run, made, stopped=lambda: bool(self.stopped))
        wanting = {name: f"{why}{self._older(name)}" for name, why in {**missing, **failed}.items()}
        if any(cell.state == "skipped" and cell.fault for cell in self.state.cells.values()):
            skipped = frozenset()  # what a budget leaves out is wanting
        return outputs, wanting, skipped, kept_of(values, outputs)

    def _older(self, name: str) -> str:
        """That there is a file though the run did not make it, so that nobody takes it for one of this run."""
        return "; the file that is there is older" if (self.out / name).is_file() else ""

    def _exit_code(self) -> int:
        if self.stopped:
            return 128 + self.stopped
        if self.state.outcome == "done":
            return 0
        faults = {cell.fault for cell in self.state.cells.values()}
        if self.state.outcome == "waiting":
            return LeftOpen.exit_code
        return 70 if "bug" in faults else 3 if "locked" in faults else 4 if self.state.exceeded else 1


def _unseen_by_git(home: Path) -> None:
    """Keep ``.runner`` out of git: a checkout would roll the store back, and what it lost would be paid again."""
    with contextlib.suppress(OSError):  # whether the folder can be written is told by the store
        home.mkdir(parents=True)  # one that is there already may be kept in git on purpose
        (home / ".gitignore").write_text("*\n", encoding="utf-8")


class AtOnce(random.Random):
    """Waits between tries, where nobody is there to be spared."""

    def uniform(self, a: float, b: float) -> float:
        return min(a, b)


class _Collector:
    """Python's collector while there are runs: modules and plans stay until the end, so it need not look at them, nor
    look at all after every few calls. What it was told before is told again when the last run of the process ends.
    """

    def __init__(self) -> None:
        self._runs, self._lock, self._before = 0, threading.Lock(), gc.get_threshold()

    def __enter__(self) -> None:
        with self._lock:
            self._runs += 1
            if self._runs == 1:
                gc.freeze()
                self._before = gc.get_threshold()
                gc.set_threshold(self._before[0] and max(self._before[0], 20_000), *self._before[1:])

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._runs -= 1
            if self._runs == 0:
                gc.set_threshold(*self._before)
                gc.unfreeze()


_COLLECTOR = _Collector()


def _past(state: RunState | None) -> Past:
    """What a run that is taken up again has paid and has left in flight."""
    if state is None:
        return Past()
    past = Past(spent=state.spent, made=state.made)
    for job in state.unknown.values():
        units = past.spent.setdefault(job.step, {})
        for unit, amount in job.most.items():
            units[unit] = units.get(unit, 0.0) + (amount or 0.0)
    for key, job in [*state.collected.items(), *state.tickets]:  # those that are open come first: the last is taken
        past.tickets.setdefault(key, []).append((Ticket(job.endpoint, job.job), Held([], job.step, job.most)))
    past.unknown.update((key, job.endpoint) for key, job in state.unknown.items())
    return past


def _left(folder: RunFolder, state: RunState, made: Made | None) -> tuple[str, ...]:
    """Fill the folder of a run that has ended; what there is to say, if the disk says no: nothing is lost by it."""
    try:
        folder.leave(state, made)
    except StoreFailed as err:
        return (f"{capitalized(str(err))}.",)
    return ()


def _first(group: BaseExceptionGroup[StoreFailed]) -> StoreFailed:
    found = group.exceptions[0]
    return _first(found) if isinstance(found, BaseExceptionGroup) else found


def _outcome(state: RunState, missing: Mapping[str, str]) -> Outcome:
    ends = {cell.state for cell in state.cells.values()}
    if "asking" in ends and not ends & {"failed", "blocked", "cancelled"}:
        return "waiting"  # an answer is all that is wanting
    return "failed" if missing or ends & {"failed", "blocked", "cancelled", "waiting", "asking"} else "done"


def _content(name: str, base: Path) -> AsyncGenerator[bytes, None]:
    """The bytes of a file beside the pipeline, or of one that is written out."""
    return _written_out(name) if is_inline(name) else _chunks(Path(place(name, base)))


async def _written_out(name: str) -> AsyncGenerator[bytes, None]:
    content = decode(name)
    if content is None:
        msg = "it is no base64"
        raise StepError(msg)
    yield content


async def _chunks(path: Path) -> AsyncGenerator[bytes, None]:
    try:
        with path.open("rb") as file:
            while chunk := file.read(1 << 20):
                yield chunk
    except OSError as err:
        msg = f"{path} cannot be read: {err.strerror}"
        raise StepError(msg) from err
