"""What ``import runner`` gives to programs and notebooks: the doors of the command line, with values for words.

::

    import runner

    card = runner.load("pipelines/product-card.yaml")      # PipelineProblems if something is wrong
    print(runner.plan(card, {"product": "a teapot"}).usd)   # nothing is sent
    run = await runner.run(card, {"product": "a teapot"}, budget=0.1)
    run.outputs["card.jpg"]                                 # a Path

The events are those of the journal; `runner.events` describes them. Runs lie beside those of the command line, so
``runner show``, ``resume`` and ``report`` know them, too.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal, TypeAlias, TypedDict, Unpack

from . import app, loading, locally
from .errors import CannotStart, PipelineProblems, Problem, RunnerError, UsageError, cut, nearest
from .events import CellState, Event, Outcome, RunState
from .loading import Read
from .model import JSON
from .options import Options
from .planning import Plan

__all__ = [
    "CannotStart", "Event", "PipelineProblems", "Problem", "Run", "RunFailed", "RunOptions", "RunState", "RunnerError",
    "UsageError", "check", "load", "plan", "run", "run_sync",
]  # fmt: skip

Source: TypeAlias = str | os.PathLike[str] | Read
"""A pipeline: its file's path, or what `load` gave."""


class RunFailed(RunnerError):
    """A run did not come to a good end. ``run`` is what came of it."""

    def __init__(self, run: Run) -> None:
        super().__init__(run.summary)
        self.run = run


@dataclass(frozen=True, slots=True)
class Run:
    """A run that has ended."""

    state: RunState
    """Its cells with their states, outputs, costs and messages: the sum of its events."""
    folder: Path
    """Where its journal is, and what was kept of failures."""
    outputs: Mapping[str, Path]
    """The files of the pipeline's ``outputs:`` that were made."""
    missing: Mapping[str, str]
    """The outputs that were not made, each with the reason."""
    exit_code: int
    """What ``runner run`` would have ended with."""
    notes: tuple[str, ...] = ()
    """What else there is to say of it, a sentence each: a reporter that has failed, an older file in its place."""

    @property
    def outcome(self) -> Outcome | None:
        """``done``, ``failed``, ``cancelled``, or ``waiting`` for a person's answer."""
        return self.state.outcome

    @property
    def cost(self) -> float:
        """USD that it cost; of a local run or a replay, which pay nothing, that it would have cost."""
        return self.state.cost

    @property
    def cells(self) -> Mapping[str, CellState]:
        """Its cells by id: ``photo``, ``photo[red-shoe]``."""
        return self.state.cells

    @property
    def summary(self) -> str:
        """What ``runner run`` prints at the end."""
        from .reports import summary  # noqa: PLC0415 - what is shown is loaded when it is

        return summary.text(self.state, self.folder, self.outputs, self.missing)

    def value(self, step: str, name: str) -> JSON:
        """What a step, or one cell of it, yielded: ``run.value("facts", "data")``. KeyError if it did not, with why."""
        cell = self.state.cells.get(step)
        if cell is None:
            msg = f"The run has no cell {step}. {nearest(step, list(self.state.cells))}".rstrip()
            raise KeyError(msg)
        if cell.output is None:
            msg = f"{step} yielded nothing: {cell.state}{f', {cell.message}' if cell.message else ''}"
            raise KeyError(msg)
        if name not in cell.output.values:
            msg = f"{step} yields no {name}. {nearest(name, list(cell.output.values))}".rstrip()
            raise KeyError(msg)
        return cell.output.values[name]

    def raise_for_failure(self) -> Run:
        """The run itself, if all is done. `RunFailed` with the summary if not."""
        if self.exit_code:
            raise RunFailed(self)
        return self

    def __str__(self) -> str:
        return self.summary

    def _repr_html_(self) -> str:
        """The outputs as a notebook shows them."""
        from .reports import notebook  # noqa: PLC0415 - as above
        from .runfolder import laid_out  # noqa: PLC0415 - as above

        shown = partial(laid_out, self.folder)
        return notebook.html(self.state, self.folder, self.outputs, self.missing, self.notes, shown)


def load(
    path: str | os.PathLike[str], *, profile: str | None = None, catalogue: str | os.PathLike[str] | None = None
) -> Read:
    """Read and check a pipeline. `PipelineProblems` if it has problems, `UsageError` if there is no such file."""
    read = _read(path, profile, catalogue)
    read.whole()
    return read


def check(
    path: str | os.PathLike[str], *, profile: str | None = None, catalogue: str | os.PathLike[str] | None = None
) -> tuple[Problem, ...]:
    """Every problem of a pipeline, warnings included, in the order of the file. `UsageError` if there is no file."""
    return _read(path, profile, catalogue).problems


def plan(pipeline: Source, inputs: Mapping[str, JSON] | None = None, *, profile: str | None = None) -> Plan:
    """What would run: its steps in order, each with its call, and ``usd``, the most that it can cost. Sends nothing.

    Inputs that are not given stand as null. `UsageError` if one does not fit.
    """
    return loading.plan(_source(pipeline, profile), _given(inputs), os.environ, preview=True)


class RunOptions(TypedDict, total=False):
    """How a run is to be done, as `run` and `run_sync` take it by name."""

    out: str | os.PathLike[str] | None
    """Where outputs go. ``out/PIPELINE`` if not said."""
    local: bool | Literal["model", "emulator"]
    """Ask the built-in emulator: no key, no cost. ``"model"`` has texts by the model of ``runner local pull``."""
    profile: str | None
    """The profile to take, where the pipeline is given by its path."""
    budget: float | None
    """USD that the run may cost; wins over the pipeline's own."""
    calls: int | None
    """Calls in flight at once."""
    fail_fast: bool
    """Start nothing new after a failure."""
    fresh: str | Sequence[str]
    """Steps and cells that are asked for anew, though the store has them: ``photo``, ``photo[red]``."""
    no_cache: bool
    """Ask for everything anew; what is paid for is kept all the same."""
    pick: Literal["first"] | None
    """Ask nobody which candidate to take: make the first of each step, and no other."""
    approve: bool | Literal["yes", "no"] | None
    """Ask nobody for yes or no: say this."""
    lock: bool
    """Write NAME.lock.yaml beside the pipeline when all is done."""
    locked: bool
    """Make exactly what NAME.lock.yaml says, from the store; send nothing."""
    offline: bool
    """Open no socket: everything must be in the store."""
    record: str | os.PathLike[str] | None
    """A folder in which each exchange with Runpod is kept, for ``replay``."""
    replay: str | os.PathLike[str] | None
    """Answer from a recording: no key, no cost, no network."""
    metadata: bool
    """Write into each picture what made it, which is done if not said."""
    cancel_on_interrupt: bool
    """When the run is cancelled, tell Runpod to stop the jobs in flight; else they go on."""
    provider: str | None
    """Who answers the calls instead of Runpod, of an installed package."""
    reporters: str | Sequence[str]
    """Reporters of installed packages that are told the events as well."""
    on_event: Callable[[Event], None] | None
    """Is told each event as it comes."""
    env: Mapping[str, str] | None
    """Stands in for ``os.environ``."""


async def run(pipeline: Source, inputs: Mapping[str, JSON] | None = None, **options: Unpack[RunOptions]) -> Run:
    """Run a pipeline, on asyncio or trio. What an earlier run paid for is not paid again.

    ``inputs`` are values; files are paths or URLs. The options are those of ``runner run``, see `RunOptions`: ``out``,
    ``local``, ``profile``, ``budget``, ``calls``, ``fail_fast``, ``fresh``, ``no_cache``, ``pick``, ``approve``,
    ``lock``, ``locked``, ``offline``, ``record``, ``replay``, ``metadata``, ``cancel_on_interrupt``, ``provider``,
    ``reporters``; and ``on_event``, which is told each event, and ``env``, which stands in for ``os.environ``. Where a
    person would be asked and neither ``pick`` nor ``approve`` answers, the run ends ``waiting``. A step that fails does
    not raise: see `Run.raise_for_failure`. A run that is cancelled leaves its jobs to ``runner resume``.
    `PipelineProblems`, `UsageError` or `CannotStart` before anything is sent.
    """
    if unknown := [name for name in options if name not in RunOptions.__annotations__]:
        msg = f"run() has no option {unknown[0]}. {nearest(unknown[0], list(RunOptions.__annotations__))}"
        raise TypeError(msg)
    read = _source(pipeline, options.get("profile"))
    wanted = _options(read, options)
    done = await app.run(read, _given(inputs), wanted, options.get("on_event") or _nothing, None)
    return Run(done.state, done.folder, done.outputs, done.missing, done.exit_code, (*done.notes, *done.faults))


def run_sync(pipeline: Source, inputs: Mapping[str, JSON] | None = None, **options: Unpack[RunOptions]) -> Run:
    """`run` where nothing is async; also in a notebook, whose loop is busy. Blocks until the run has ended."""
    import anyio  # noqa: PLC0415 - `check` and `plan` do without it

    start = partial(run, pipeline, inputs, **options)
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return anyio.run(start)
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(anyio.run, start).result()


def _read(path: str | os.PathLike[str], profile: str | None, catalogue: str | os.PathLike[str] | None) -> Read:
    return loading.read(Path(path), Path(catalogue) if catalogue is not None else None, profile)


def _source(pipeline: Source, profile: str | None = None) -> Read:
    if not isinstance(pipeline, Read):
        return load(pipeline, profile=profile)
    if profile is not None and profile != _profile(pipeline):
        msg = f"The pipeline was loaded without the profile {profile}. Write load({str(pipeline.path)!r}, {profile=})."
        raise UsageError(msg)
    return pipeline


def _profile(read: Read) -> str | None:
    return read.pipeline.profile if read.pipeline is not None else None


def _options(read: Read, said: RunOptions) -> Options:
    """The options of a run as the rest of the program takes them. `UsageError` for a value that is none."""
    env = said.get("env")
    env = os.environ if env is None else env
    local, pick, approve = (
        _one_of("local", said.get("local", False), (False, True, "model", "emulator")),
        _one_of("pick", said.get("pick"), (None, "first")),
        _one_of("approve", said.get("approve"), (None, True, False, "yes", "no")),
    )
    return Options(
        out=_path(said.get("out")), local=bool(local), budget=said.get("budget"), calls=said.get("calls"),
        weights=locally.writer("model", env) if local == "model" else None,
        fail_fast=said.get("fail_fast", False), fresh=_texts("fresh", said.get("fresh", ())),
        no_cache=said.get("no_cache", False), lock=said.get("lock", False),
        only="lock" if said.get("locked", False) else "world", offline=said.get("offline", False),
        record=_path(said.get("record")), replay=_path(said.get("replay")), metadata=said.get("metadata", True),
        cancel_on_interrupt=said.get("cancel_on_interrupt", False), profile=_profile(read), catalogue=read.catalogue,
        provider=said.get("provider"), reporters=_texts("reporters", said.get("reporters", ())),
        pick_first=pick == "first", approve=None if approve is None else approve in (True, "yes"), env=env,
        written="python",
    )  # fmt: skip


def _path(said: str | os.PathLike[str] | None) -> Path | None:
    return Path(said) if said is not None else None


def _one_of(name: str, value: object, known: tuple[object, ...]) -> object:
    if not any(value is each or (isinstance(value, str) and value == each) for each in known):
        msg = f"{name} cannot be {value!r}. It can be {', '.join(map(repr, known))}."
        raise UsageError(msg)
    return value


def _texts(name: str, said: str | Sequence[str]) -> tuple[str, ...]:
    """One text, or several."""
    texts = (said,) if isinstance(said, str) else said
    if not isinstance(texts, list | tuple | set | frozenset) or not all(isinstance(each, str) for each in texts):
        msg = f"{name} cannot be {said!r}. Give a list of names: {name}=['…']."
        raise UsageError(msg)
    return tuple(texts)


def _given(inputs: Mapping[str, JSON] | None) -> loading.Given:
    said: object = inputs
    if said is not None and not isinstance(said, Mapping):
        msg = f"inputs cannot be {cut(repr(said))}. Give a mapping of the names of inputs to values: {{'product': …}}."
        raise UsageError(msg)
    if wrong := [name for name in inputs or () if not isinstance(name, str)]:
        msg = f"inputs cannot have the name {wrong[0]!r}. The name of an input is a text."
        raise UsageError(msg)
    plain = {
        name: os.fspath(value) if isinstance(value, os.PathLike) else value for name, value in (inputs or {}).items()
    }
    return loading.Given(values=plain, written="python")


def _nothing(_: Event) -> None:
    """Whom nobody gave a sink."""
