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
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, TypeAlias

from . import app, loading
from .errors import CannotStart, PipelineProblems, Problem, RunnerError, UsageError, nearest
from .events import CellState, Event, Outcome, RunState
from .loading import Read
from .model import JSON
from .options import Options
from .planning import Plan

__all__ = [
    "CannotStart", "Event", "PipelineProblems", "Problem", "Run", "RunFailed", "RunState", "RunnerError", "UsageError",
    "check", "load", "plan", "run", "run_sync",
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

        return notebook.html(self.summary.partition("\n")[0], self.outputs, self.missing)


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


def plan(pipeline: Source, inputs: Mapping[str, JSON] | None = None) -> Plan:
    """What would run: its steps in order, each with its call, and ``usd``, the most that it can cost. Sends nothing.

    Inputs that are not given stand as null. `UsageError` if one does not fit.
    """
    return loading.plan(_source(pipeline), _given(inputs), os.environ, preview=True)


async def run(
    pipeline: Source,
    inputs: Mapping[str, JSON] | None = None,
    *,
    out: str | os.PathLike[str] | None = None,
    local: bool = False,
    budget: float | None = None,
    calls: int | None = None,
    fail_fast: bool = False,
    lock: bool = False,
    locked: bool = False,
    offline: bool = False,
    on_event: Callable[[Event], None] | None = None,
    env: Mapping[str, str] | None = None,
) -> Run:
    """Run a pipeline, on asyncio or trio. What an earlier run paid for is not paid again.

    ``inputs`` are values; files are paths or URLs. ``budget`` is in USD. ``on_event`` is told each event as it comes.
    ``env`` stands in for ``os.environ``. The rest is what the options of ``runner run`` are. A step that fails does not
    raise: see `Run.raise_for_failure`. A run that is cancelled leaves its jobs to ``runner resume``.
    `PipelineProblems`, `UsageError` or `CannotStart` before anything is sent.
    """
    read = _source(pipeline)
    options = Options(
        out=Path(out) if out is not None else None, local=local, budget=budget, calls=calls, fail_fast=fail_fast,
        lock=lock, only="lock" if locked else "world", offline=offline, profile=_profile(read),
        catalogue=read.catalogue, env=os.environ if env is None else env,
    )  # fmt: skip
    done = await app.run(read, _given(inputs), options, on_event or _nothing, None)
    return Run(done.state, done.folder, done.outputs, done.missing, done.exit_code)


def run_sync(pipeline: Source, inputs: Mapping[str, JSON] | None = None, **options: Any) -> Run:
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


def _source(pipeline: Source) -> Read:
    return pipeline if isinstance(pipeline, Read) else load(pipeline)


def _profile(read: Read) -> str | None:
    return read.pipeline.profile if read.pipeline is not None else None


def _given(inputs: Mapping[str, JSON] | None) -> loading.Given:
    plain = {
        name: os.fspath(value) if isinstance(value, os.PathLike) else value for name, value in (inputs or {}).items()
    }
    return loading.Given(values=plain, written="python")


def _nothing(_: Event) -> None:
    """Whom nobody gave a sink."""
