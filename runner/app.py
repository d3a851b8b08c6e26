"""Chooses the real things and connects them: files, catalogue, Runpod or the emulator, store, journal, reporter.

There is no decision about a step here; each function is one command's work, without its words on the screen.
"""

from __future__ import annotations

import json
import os
import secrets
import signal
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from . import catalogue, source
from . import check as checking
from . import pipeline as pipelines
from . import plan as planning
from .check import Checked
from .errors import CannotStart, PipelineProblems, Problem, StepError, StoreFailed, UsageError
from .events import Event, Outcome, RunFinished, RunStarted, RunState, Sink
from .model import JSON, Artifact
from .outputs import outputs_of
from .pipeline import Pipeline
from .plan import Plan

if TYPE_CHECKING:
    from .emulator import Endpoint
    from .runpod import Runpod
    from .store import Store

Names: TypeAlias = Mapping[str, JSON] | None
"""What templates may name when the run has ended; None if it was stopped."""

BASE_URL = "https://api.runpod.ai/v2"
NO_KEY = (
    "There is no RUNPOD_API_KEY, so nothing can be sent to Runpod. "
    "Set it (export RUNPOD_API_KEY=rpa_…), or add --local to run against the built-in emulator at no cost."
)


@dataclass(frozen=True, slots=True)
class Read:
    """A pipeline file, as far as it could be read, with everything that is wrong with it."""

    path: Path
    text: str
    pipeline: Pipeline | None
    checked: Checked | None
    problems: tuple[Problem, ...]

    def whole(self) -> Checked:
        """The checked pipeline. Raises its problems."""
        if self.checked is None:
            raise PipelineProblems([p for p in self.problems if not p.warning])
        return self.checked


@dataclass(frozen=True, slots=True)
class Given:
    """Input values as the user gave them: ``typed`` on the command line, ``file`` by ``--inputs``."""

    typed: Mapping[str, str] = field(default_factory=dict)
    file: Path | None = None


@dataclass(frozen=True, slots=True)
class Options:
    """How to run."""

    out: Path | None = None
    local: bool = False
    calls: int | None = None
    """Calls in flight at once; None for what the pipeline says, or 64."""
    fail_fast: bool = False
    env: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Done:
    """A run that has ended: its state, where its outputs and its folder are, what could not be written."""

    state: RunState
    folder: Path
    outputs: Mapping[str, Path]
    missing: Mapping[str, str]
    exit_code: int


def read(path: Path) -> Read:
    """Read and check a pipeline file. `UsageError` if there is no such file."""
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        msg = f"There is no file {path}."
        raise UsageError(msg) from None
    except IsADirectoryError:
        msg = f"{path} is a folder; name a pipeline file in it."
        raise UsageError(msg) from None
    except UnicodeDecodeError:
        msg = f"{path} is not a text file in UTF-8."
        raise UsageError(msg) from None
    except OSError as err:
        msg = f"{path} cannot be read: {err.strerror}."
        raise UsageError(msg) from None
    files = _Files(path)
    found, problems = pipelines.load(text, str(path), files.text)
    checked = None
    if found is not None:
        checked, more = checking.check(found, catalogue.builtin(), files.is_file)
        problems = [*problems, *more]
    if any(not problem.warning for problem in problems):
        checked = None
    problems.sort(key=lambda p: (p.mark.file != str(path), p.mark.line, p.mark.column))
    return Read(path, text, found, checked, tuple(problems))


def plan(read: Read, given: Given, env: Mapping[str, str], *, preview: bool = False) -> Plan:
    """The plan of a pipeline with these inputs. A ``preview`` may leave inputs out."""
    checked = read.whole()
    declared = checked.pipeline.inputs
    values = dict(_inputs_file(given.file)) if given.file else {}
    files = [name for name, d in declared.items() if "artifact" in d.schema]
    folders = {name: given.file.parent for name in values if given.file}
    folders |= dict.fromkeys(given.typed, Path())
    inputs = planning.read_inputs(declared, values, given.typed, preview=preview)
    for name in files:
        if inputs[name] is not None:
            inputs[name] = _place(inputs[name], folders.get(name, read.path.parent))
            if not _is_url(inputs[name]) and not Path(inputs[name]).is_file():
                msg = f"The input {name} names the file {inputs[name]}, which is not there."
                raise UsageError(msg)
    return planning.plan(checked, inputs, env)


async def run(read: Read, given: Given, options: Options, reporter: Sink) -> Done:
    """Run a pipeline file to its end, or to the signal that stops it. Nothing is sent if it has problems."""
    from .journal import Journal  # noqa: PLC0415 - checks and plans load nothing of the world
    from .runfolder import RunFolder  # noqa: PLC0415
    from .store import Store  # noqa: PLC0415

    planned = plan(read, given, options.env)
    base_url, key = _address(options)
    home = project(read.path) / ".runner"
    store = Store(home / "store")
    run_id = f"{time.strftime('%Y%m%d-%H%M%S')}-{secrets.token_hex(2)}"
    folder = RunFolder(home / "runs", run_id, read.text)
    state = RunState()
    with Journal(folder.path) as journal, _provider_address(options, planned, base_url) as (url, origin):

        def sink(event: Event) -> None:
            state.add(event)
            journal(event)
            reporter(event)

        session = _Session(planned, run_id, store, sink, journal.synced, folder.keep_text, options.calls,
                           options.fail_fast)  # fmt: skip
        stopped, names = await session.run(url, key, origin, read.path.parent)
        outputs, missing = _publish(planned, names, options.out or Path("out") / planned.pipeline)
        outcome: Outcome = "cancelled" if stopped else _outcome(state, missing)
        sink(RunFinished(time.time(), outcome, {name: str(where) for name, where in outputs.items()}))
        await journal.synced()
    folder.leave(state)
    return Done(state, folder.path, outputs, missing, _exit_code(state, stopped))


@dataclass(frozen=True, slots=True)
class _Session:
    """One run with its world in hand."""

    plan: Plan
    run_id: str
    store: Store
    sink: Sink
    synced: Callable[[], Awaitable[None]]
    keep_text: Callable[[str, str], str | None]
    calls: int | None
    fail_fast: bool

    async def run(self, url: str, key: str, origin: str | None, base: Path) -> tuple[int, Names]:
        """Open the provider and execute. Gives back the signal that stopped the run, or 0, and what steps yielded."""
        import anyio  # noqa: PLC0415 - as above

        from .runpod import Runpod  # noqa: PLC0415

        stopped = 0
        names: Names = None
        async with Runpod(url, key, self.store, connections=self.connections, origin=origin) as provider:
            planned = self.plan.with_files(await self.files(provider, base))
            self.sink(self.started(planned))
            async with anyio.create_task_group() as tasks:

                async def watch() -> None:
                    nonlocal stopped
                    with anyio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
                        async for number in signals:
                            if stopped:
                                os._exit(128 + number)
                            stopped = number
                            scope.cancel()

                with anyio.CancelScope() as scope:
                    tasks.start_soon(watch)
                    names = await self.execute(planned, provider)
                tasks.cancel_scope.cancel()
        return stopped, names

    @property
    def connections(self) -> int:
        """A pool as large as its limit: a larger one only costs."""
        return self.calls or self.plan.calls or 64

    async def execute(self, planned: Plan, provider: Runpod) -> Names:
        from .execute import execute  # noqa: PLC0415

        try:
            return await execute(
                planned,
                run_id=self.run_id,
                provider=provider,
                store=self.store,
                sink=self.sink,
                synced=self.synced,
                clock=time.time,
                keep_text=self.keep_text,
                calls=self.calls,
                fail_fast=self.fail_fast,
            )
        except BaseExceptionGroup as group:
            if failed := group.subgroup(StoreFailed):
                raise _first(failed) from None
            raise

    async def files(self, provider: Runpod, base: Path) -> dict[str, Artifact]:
        """The pictures that the pipeline and its inputs name, in the store."""
        artifacts: dict[str, Artifact] = {}
        for name, media in self.plan.files.items():
            try:
                artifact = await (
                    provider.artifact(name) if _is_url(name) else self.store.add(_chunks(Path(_place(name, base))))
                )
            except StepError as err:
                msg = f"{name} cannot be used: {err}"
                raise UsageError(msg) from err
            if media not in (artifact.media, "file"):
                msg = f"{name} is {artifact.media_type}; {media} is needed here."
                raise UsageError(msg)
            artifacts[name] = artifact
        return artifacts

    def started(self, planned: Plan) -> RunStarted:
        return RunStarted(
            at=time.time(),
            run=self.run_id,
            pipeline=planned.pipeline,
            version=planned.version,
            file=planned.file,
            inputs=planned.inputs,
            steps={step.id: [edge.needs for edge in step.edges] for step in planned.steps},
            kinds={step.id: step.kind.NAME for step in planned.steps},
        )


def project(path: Path) -> Path:
    """The project of a pipeline: the nearest folder above it that is one, else the pipeline's own folder."""
    folder = path.resolve().parent
    for each in (folder, *folder.parents):
        if any((each / mark).exists() for mark in (".git", "runner.yaml")):
            return each
    return folder


def endpoints(planned: Plan) -> dict[str, Endpoint]:
    """What the emulator answers for: the catalogue, and the private endpoints of this plan."""
    from .emulator import Endpoint  # noqa: PLC0415

    kinds = {"generate_text": "text", "generate_image": "image", "edit_image": "edit"}
    models = [*catalogue.builtin().models.values(), *(s.model for s in planned.steps if s.model is not None)]
    return {
        m.endpoint: Endpoint(
            kind=kinds[m.kind],  # type: ignore[arg-type] # the emulator's own words for the same kinds
            usd=m.price.usd if m.price else None,
            per=m.price.per if m.price else "image",
            model=m.openai_model or None,
        )
        for m in models
    }


class _Files:
    """Reads beside a pipeline, and nothing outside its project."""

    def __init__(self, path: Path) -> None:
        self.folder = path.resolve().parent
        self.project = project(path)

    def text(self, name: str) -> str:
        path = self._inside(name)
        return path.read_text(encoding="utf-8")

    def is_file(self, name: str) -> bool:
        try:
            return self._inside(name).is_file()
        except ValueError:
            return False

    def _inside(self, name: str) -> Path:
        path = (self.folder / name).resolve()
        if not path.is_relative_to(self.project):
            msg = f"it is outside the project {self.project}"
            raise ValueError(msg)
        return path


def _address(options: Options) -> tuple[str, str]:
    if options.local:
        return "", "local"
    key = options.env.get("RUNPOD_API_KEY", "").strip()
    if not key:
        raise CannotStart(NO_KEY)
    base_url = options.env.get("RUNPOD_BASE_URL", "").strip() or BASE_URL
    if not _is_url(base_url):
        msg = f"RUNPOD_BASE_URL is {base_url!r}, which is no http address."
        raise CannotStart(msg)
    return base_url, key


@contextmanager
def _provider_address(options: Options, planned: Plan, base_url: str) -> Iterator[tuple[str, str | None]]:
    """The base URL, and what it is called in keys; the emulator runs as long as the run does."""
    if not options.local:
        yield base_url, None
        return
    from .emulator import Emulator  # noqa: PLC0415

    try:
        emulator = Emulator(endpoints(planned))
        with emulator:
            yield emulator.url, "emulator"
    except OSError as err:
        msg = f"The emulator cannot start: {err.strerror or err}."
        raise CannotStart(msg) from err


def _publish(planned: Plan, names: Names, out: Path) -> tuple[dict[str, Path], dict[str, str]]:
    """Write the outputs that can be had; for each of the others, why not. Of a run that was stopped: nothing."""
    from .publish import publish  # noqa: PLC0415

    if names is None:
        return {}, {}
    values, missing = outputs_of(planned.outputs, names)
    try:
        return publish(values, out), missing
    except StoreFailed as err:
        return {}, {**missing, str(out): str(err)}


def _first(group: BaseExceptionGroup[StoreFailed]) -> StoreFailed:
    found = group.exceptions[0]
    return _first(found) if isinstance(found, BaseExceptionGroup) else found


def _outcome(state: RunState, missing: Mapping[str, str]) -> Outcome:
    ends = {cell.state for cell in state.cells.values()}
    return "failed" if missing or ends & {"failed", "blocked", "cancelled", "waiting"} else "done"


def _exit_code(state: RunState, stopped: int) -> int:
    if stopped:
        return 128 + stopped
    if state.outcome == "done":
        return 0
    return 4 if any(cell.fault == "budget" for cell in state.cells.values()) else 1


def _inputs_file(path: Path) -> Mapping[str, JSON]:
    try:
        text = path.read_text(encoding="utf-8")
        data = json.loads(text) if path.suffix.lower() == ".json" else source.parse(text, str(path)).data
    except json.JSONDecodeError as err:
        msg = f"The inputs file {path} is not JSON: {err.msg}, line {err.lineno}, column {err.colno}."
        raise UsageError(msg) from err
    except (OSError, UnicodeDecodeError) as err:
        msg = f"The inputs file {path} cannot be read: {getattr(err, 'strerror', None) or 'it is not UTF-8'}."
        raise UsageError(msg) from err
    if not isinstance(data, dict):
        msg = f"The inputs file {path} must be a mapping of input names to values."
        raise UsageError(msg)
    return data


def _place(name: str, folder: Path) -> str:
    return name if _is_url(name) else str((folder / name).resolve())


def _is_url(name: str) -> bool:
    return name.startswith(("http://", "https://"))


async def _chunks(path: Path) -> AsyncIterator[bytes]:
    try:
        with path.open("rb") as file:
            while chunk := file.read(1 << 20):
                yield chunk
    except OSError as err:
        msg = f"{path} cannot be read: {err.strerror}"
        raise UsageError(msg) from err


__all__ = ["Done", "Given", "Options", "Read", "endpoints", "plan", "project", "read", "run"]
