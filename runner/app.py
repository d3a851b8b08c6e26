"""Chooses the real things and connects them: files, catalogue, Runpod or the emulator, store, journal, reporter.

There is no decision about a step here; each function is one command's work, without its words on the screen.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from . import brought, locally, lockfile, masking, owners, planning, plugins
from .checking import Checked
from .errors import (
    CannotStart,
    PipelineProblems,
    RunnerError,
    StepError,
    StoreFailed,
    UsageError,
    nearest,
)
from .events import Event, RunState, Sink
from .files import from_here, is_url
from .fresh import Fresh
from .loading import Given, Read, plan, project, read
from .options import BASE_URL, Options
from .planning import Plan
from .recording import as_recorded, conversation

if TYPE_CHECKING:
    from .asking import Screen
    from .session import Done, Leave, OpenProvider

_LOCAL = {"emulator": "emulator", "local-model": "model"}
"""Who plays Runpod, by what they are called in keys, in the words of ``--local``."""

_REPLAYED = "http://recording.invalid"
_RENAMED = "runner run FILE --resume"
NO_KEY = (
    "There is no RUNPOD_API_KEY, so nothing can be sent to Runpod. "
    "Set it (export RUNPOD_API_KEY=rpa_…), or add {} to run against the built-in emulator at no cost."
)


async def run(
    read: Read,
    given: Given,
    options: Options,
    reporter: Sink,
    leave: Leave | None,
    *,
    watched: bool = False,
    screen: Screen | None = None,
) -> Done:
    """Run a pipeline file to its end, or to the signal that stops it. Nothing is sent if it has problems.

    ``watched`` says that somebody looks on, so that texts are to be seen while they grow; ``screen`` is where somebody
    sits who can be asked.
    """
    options = as_recorded(options)
    read = localised(read, options)
    return await _run(read, plan(read, given, options.env), options, reporter, leave, watched=watched, screen=screen)


async def resume(
    past: RunState,
    folder: Path,
    options: Options,
    reporter: Sink,
    leave: Leave | None,
    *,
    watched: bool = False,
    screen: Screen | None = None,
) -> Done:
    """Take up a run that has stopped, with its pipeline as the file says now and the inputs that it had."""
    options = as_recorded(options)
    found, planned = plan_again(past, options)
    return await _run(
        found, planned, options, reporter, leave, watched=watched, screen=screen, past=past, folder=folder
    )


def plan_again(past: RunState, options: Options) -> tuple[Read, Plan]:
    """The plan of a run's pipeline as its file says now, with the inputs that the run had."""
    if not Path(past.file).exists():
        msg = f"The pipeline {past.file} of the run {past.run} is gone. If it has another name now: {_RENAMED}."
        raise UsageError(msg)
    found = localised(read(from_here(Path(past.file)), options.catalogue, options.profile), options)
    checked = found.whole()
    inputs = {name: value for name, value in past.inputs.items() if name in checked.pipeline.inputs}
    try:
        return found, planning.Nested(checked, options.env).plan(inputs)
    except StepError as err:
        msg = f"The inputs of the run {past.run} no longer fit its pipeline: {err}"
        raise UsageError(msg) from err


def localised(read: Read, options: Options) -> Read:
    """The pipeline as such a run has it."""
    return locally.localised(read, one_by_one=options.weights is not None) if options.local else read


async def _run(
    read: Read,
    planned: Plan,
    options: Options,
    reporter: Sink,
    leave: Leave | None,
    *,
    watched: bool,
    screen: Screen | None,
    past: RunState | None = None,
    folder: Path | None = None,
) -> Done:
    from .session import Session

    if past is None:
        _known_steps(options, read.whole(), planned)
    if options.budget is not None:
        planned = planned.with_budget(options.budget)
    home = folder.parent.parent if folder else options.home or project(read.path) / ".runner"
    file, out = read.path.resolve(), options.out or Path("out") / planned.pipeline
    told_of_out = owners.told(home, out, file, planned, chosen=options.out is not None, again=past is not None)
    base_url, key = _address(options, read.whole())
    faults: list[str] = []
    opener = _opener(options.provider, faults) if options.provider else None
    failed: list[brought.Reporter] = []
    with (
        _told_too(options, reporter, failed, faults if past is not None else None) as told,
        _provider_address(options, read.whole(), base_url) as (url, origin),
        conversation(options, url, origin) as (carrier, notes, choices),
    ):
        by = lockfile.Answered(_LOCAL.get(origin or ""), options.provider)
        session = Session(
            planned,
            home=home,
            base=file.parent,
            file=file,
            text=read.text,
            out=out,
            address=(url, key, origin),
            options=options.kept(),
            env=options.env,
            calls=options.calls or planned.calls,
            fail_fast=options.fail_fast,
            # The emulator ends with the run, and nobody could collect its jobs.
            cancel_on_interrupt=options.cancel_on_interrupt or options.local,
            fresh=Fresh(frozenset(options.fresh), options.no_cache),
            reporter=told,
            leave=leave,
            open_provider=opener,
            metadata=options.metadata,
            offline=options.offline,
            canned=options.canned,
            carrier=carrier,
            choices=choices,
            # A stream is another request: one that is watched could not be replayed where nobody looks on.
            watched=watched and options.record is None and options.replay is None,
            screen=screen,
            pick_first=options.pick_first,
            approve=options.approve,
            locked=_locked(read.path, options, by),
            lock=_lock_to_write(read.path, planned.pipeline, options.profile, by) if options.lock else None,
            past=past,
        )
        try:
            done = await session.run()
        except PipelineProblems as err:
            raise PipelineProblems([masking.hidden(problem, read.secrets) for problem in err.problems]) from err
    if done.outputs:
        owners.note(home, out, file, planned.outputs)
    faults += [_failed(each, done.folder) for each in failed]
    told_too = (*(told_of_out if done.outputs else ()), *done.notes, *notes(done))
    return replace(done, notes=told_too, faults=tuple(faults))


def _opener(name: str, faults: list[str]) -> OpenProvider:
    """What opens the provider of a package; ``faults`` is told what goes wrong when the run has ended."""
    return partial(brought.Brought, plugins.named("runner.providers", name), faults)


def _lock_to_write(path: Path, pipeline: str, profile: str | None, by: lockfile.Answered) -> Callable[[RunState], Path]:
    """What writes the lock of a run that has ended. `UsageError` if there is one that belongs to another."""
    try:
        there = _lock_in(file := lockfile.beside(path, profile), "")
    except UsageError:  # none, or one that nobody can read
        pass
    else:
        _own(file, path, there, profile)
    return partial(_lock, path, pipeline, profile, by)


def _lock(path: Path, pipeline: str, profile: str | None, by: lockfile.Answered, state: RunState) -> Path:
    """Write the lock of what a run has made. `StoreFailed` if the disk says no."""
    from .publish import write

    return write(lockfile.beside(path, profile), lockfile.text(pipeline, profile, state, by), verbatim=True)


def _locked(path: Path, options: Options, by: lockfile.Answered) -> lockfile.Locked | None:
    """What a run that sends nothing may use; ``by`` says who answers instead of Runpod, if anybody.

    `UsageError` if there is no lock where it is to keep to one, or one that nothing of such a run could fit.
    """
    if options.only != "lock":
        return lockfile.Locked() if options.only == "store" else None
    lock = read_lock(path, options.profile)
    if lock.cells and lock.by != by:
        cure = f"Write {lock.by.option} instead of {by.option}" if by.option else f"Add {lock.by.option}"
        cure = cure if lock.by.option else f"Leave out {by.option.partition('=')[0]}"
        anew = f"runner lock {path}{f' {by.option}' if by.option else ''}"
        anew += f" --profile {options.profile}" if options.profile else ""
        file = lockfile.beside(path, options.profile)
        msg = f"{file} was made by {lock.by}, and nothing of it fits {by}. {cure}, or write it anew with: {anew}"
        raise UsageError(msg)
    return lockfile.Locked(lock.cells)


def read_lock(path: Path, profile: str | None = None) -> lockfile.Lock:
    """The lock of a pipeline; ``path`` may be that of the lock itself."""
    if path.name.endswith(lockfile.SUFFIX):
        return _lock_in(path, f"{path}")
    file = lockfile.beside(path, profile)
    lock = _lock_in(file, f"{path}{f' --profile {profile}' if profile else ''}")
    _own(file, path, lock, profile)
    return lock


def _lock_in(file: Path, writes: str) -> lockfile.Lock:
    """The lock in a file. `UsageError` if there is none; ``writes`` is what ``runner lock`` is told to write it."""
    try:
        text = file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as err:
        msg = f"There is no lock {file}. Write it with: runner lock {writes}"
        raise UsageError(msg) from err
    return lockfile.read(text, str(file))


def _own(file: Path, path: Path, lock: lockfile.Lock, profile: str | None) -> None:
    """`UsageError` for a lock of the same name that another pipeline has, or another one's profile."""
    if lock.cells and lock.profile != profile:
        whose, this = (
            f"the profile {name}" if name else "a pipeline without a profile" for name in (lock.profile, profile)
        )
        msg = f"{file} is the lock of {whose}, and not of {this} of {path}. Rename the pipeline or the profile."
        raise UsageError(msg)


async def verify(path: Path, profile: str | None = None) -> tuple[int, int, list[str]]:
    """Read again the files that a lock names: how many cells it has, how many of them without a file, and what of them
    the store no longer has as it was.
    """
    from .store import Store

    entries = read_lock(path, profile).cells
    store = Store(project(path) / ".runner" / "store")
    wrong = []
    try:
        for cell, entry in entries.items():
            files: set[str] = set()
            for key in entry.keys:
                found = [reply] if (reply := await store.get(key)) is not None else []
                found += [reply async for reply in store.replaced(key)]
                if not found:
                    wrong.append(f"{cell}: the reply {key[:12]} is not in the store, or a file of it is damaged")
                    break
                files |= {file.sha256 for reply in found for file in reply.files}
            else:
                if entry.files and not set(entry.files) <= files:
                    wrong.append(f"{cell}: the store no longer has the file that the lock names")
    finally:
        store.close()
    return len(entries), sum(not entry.files for entry in entries.values()), wrong


@contextmanager
def _told_too(
    options: Options, reporter: Sink, failed: list[brought.Reporter], faults: list[str] | None
) -> Iterator[Sink]:
    """A sink that also tells the reporters of installed packages. One that is a context manager is entered and left.

    ``failed`` gets those that fail. One that cannot begin is a `UsageError`; where there are ``faults`` to add it to,
    because a run is taken up again, that goes on without it.
    """
    sinks = [reporter]
    with ExitStack() as stack:
        for name in options.reporters:
            try:
                each = brought.Reporter(plugins.named("runner.reporters", name))
                each.begin()
            except RunnerError as err:
                if faults is None:
                    raise
                faults.append(f"{err} The run went on without it.")
            else:
                stack.push(each.end)
                sinks.append(each)

        def tell(event: Event) -> None:
            for sink in sinks:
                sink(event)

        yield tell if options.reporters else reporter
    failed += [sink for sink in sinks if isinstance(sink, brought.Reporter) and sink.failed]


def _failed(reporter: brought.Reporter, folder: Path) -> str:
    """What is to be said of a reporter that has failed; its traceback is kept with the run."""
    from .publish import write
    from .reports.questions import relative

    file = folder / f"reporter-{reporter.plugin.name}.txt"
    try:
        write(file, reporter.trace)
    except StoreFailed:
        return reporter.failed
    return f"{reporter.failed} The traceback is kept in {relative(file)}."


def _known_steps(options: Options, checked: Checked, planned: Plan) -> None:
    """`UsageError` for a ``--fresh`` that names no step, or no cell as far as these are known before the run."""
    keys = {step.id: step.keys for step in planned.steps}
    for name in options.fresh:
        fresh = partial(options.giving, "fresh")
        inner: Checked | None = checked
        for part in name.split("/"):
            step = part.partition("[")[0]
            if inner is None or step not in inner.steps:
                known = list(inner.steps) if inner is not None else []
                msg = f"{fresh(name)} names no step of the pipeline. {nearest(step, known)}".rstrip()
                raise UsageError(msg)
            if "[" in part and not inner.steps[step].step.fanned_out:
                msg = f"{fresh(name)}: {step} is one cell and has no keys. Write {fresh(name.partition('[')[0])}."
                raise UsageError(msg)
            inner = inner.steps[step].nested
        step, bracket, key = name.partition("/")[0].partition("[")
        known_keys = keys.get(step)
        if bracket and known_keys is not None and key.removesuffix("]") not in known_keys:
            msg = f"{fresh(name)}: {step} has no such cell. {nearest(key.removesuffix(']'), sorted(known_keys))}"
            raise UsageError(msg)


def _address(options: Options, checked: Checked) -> tuple[str, str]:
    """Runpod's address, and the key; none is needed where no model is Runpod's."""
    if options.replay:
        return _REPLAYED, ""
    if options.provider:
        return options.base_url, ""
    if options.local:
        return "", "local"
    if options.only != "world" or options.offline:
        return options.base_url, "unused"
    models = list(checked.models())
    for model in models:
        named = [value["env"] for value in model.headers.values() if isinstance(value, Mapping)]
        for name in [*([model.api_key_env] if model.api_key_env else []), *named]:
            if not options.env.get(name):
                msg = f"{model.id} needs the environment variable {name}, which is not set. Set it (export {name}=…)."
                raise CannotStart(msg)
    key = options.env.get("RUNPOD_API_KEY", "").strip()
    if not key and all(model.base_url for model in models):
        return BASE_URL, ""
    if not key:
        raise CannotStart(NO_KEY.format("local=True" if options.written == "python" else "--local"))
    if not key.isascii() or not key.isprintable() or " " in key:
        msg = (
            "RUNPOD_API_KEY is no key: it holds characters that a key cannot have. Copy it again from Runpod's console."
        )
        raise CannotStart(msg)
    base_url = options.base_url
    if not is_url(base_url):
        msg = f"RUNPOD_BASE_URL is {base_url!r}, which is no http address."
        raise CannotStart(msg)
    return base_url, key


@contextmanager
def _provider_address(options: Options, checked: Checked, base_url: str) -> Iterator[tuple[str, str | None]]:
    """The base URL, and what it is called in keys; the emulator runs as long as the run does."""
    if options.replay:
        from .runpod import cassette

        about = cassette.about_of(options.replay)
        yield f"{_REPLAYED}{about.get('base', '')}", about.get("origin")
        return
    if not options.local or options.offline:
        yield base_url, _played_by(options) if options.local else None
        return
    from .emulator import Emulator

    with ExitStack() as stack:
        try:
            emulator = stack.enter_context(Emulator(locally.endpoints(checked), weights=options.weights))
        except OSError as err:
            msg = f"The emulator cannot start: {err.strerror or err}."
            raise CannotStart(msg) from err
        yield emulator.url, _played_by(options)


def origin(options: Options) -> str:
    """What the provider of such a run is called in keys."""
    if options.provider:
        return brought.origin(options.provider, options.env)
    return _played_by(options) if options.local else options.base_url.rstrip("/")


def _played_by(options: Options) -> str:
    """What a local run's provider is called in keys: two that say other things are kept apart."""
    return "local-model" if options.weights else "emulator"
