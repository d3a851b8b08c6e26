"""Running and what goes with it: `runner run`, `resume`, `lock`, `verify`."""

from __future__ import annotations

import functools
import os
import sys
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, NoReturn

import click

from ..errors import UsageError
from .given import (
    PATH,
    REPORT,
    Local,
    Usd,
    catalogue_option,
    completed,
    given,
    inputs_options,
    local_option,
    profile_option,
    provider_option,
)
from .problems import show

if TYPE_CHECKING:
    from pathlib import Path

    from ..checking import Checked
    from ..ci import Wanted
    from ..events import Event, RunState
    from ..locally import Writer
    from ..model import JSON
    from ..options import Options
    from ..session import Done

WRITER = "Texts by SmolLM2 135M on this machine, a demonstration; everything else by the emulator."


@dataclass(frozen=True, slots=True)
class Ending:
    """What can be said of a run when it begins and when it is taken up again: the options `run` and `resume` share."""

    cancel_on_interrupt: bool = False
    pick: str | None = None
    approve: str | None = None
    budget: float | None = None
    quiet: bool = False
    as_json: bool = False
    events: str | None = None
    junit: Path | None = None
    summary: Path | None = None

    @property
    def wanted(self) -> Wanted:
        from ..ci import Wanted

        return Wanted(self.events, self.junit, self.summary)

    @property
    def approved(self) -> bool | None:
        return None if self.approve is None else self.approve == "yes"

    def told(self, text: str) -> None:
        """Say what is good to know, if anybody listens."""
        if not self.quiet and not self.as_json:
            click.echo(text, err=True)


def _ending_options(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command the options of `Ending`, as its argument ``ending``."""
    names = [field.name for field in fields(Ending)]

    @functools.wraps(command)
    def called(**given: object) -> None:
        ending = Ending(**{name: given.pop(name) for name in names})  # type: ignore[arg-type] # of its options' types
        command(**given, ending=ending)

    return _with_ending_options(called)


def _with_ending_options(command: Callable[..., None]) -> Callable[..., None]:
    for option in (
        click.option(
            "--pick", type=click.Choice(["first"]),
            help="Ask nobody which candidate to take: make the first of each step, and no other.",
        ),
        click.option("--approve", type=click.Choice(["yes", "no"]), help="Ask nobody for yes or no: say this."),
        click.option("--json", "as_json", is_flag=True, help="Print the final state as JSON, and nothing else."),
        click.option("--quiet", is_flag=True, help="Say nothing but errors."),
        click.option("--events", metavar="FILE|-", help="Write each event there as it happens, as a line of JSON."),
        click.option("--junit", type=REPORT, metavar="FILE", help="Write JUnit's XML there: a test case a cell."),
        click.option("--summary", type=REPORT, metavar="FILE", help="Write a table of the steps there, as Markdown."),
        click.option(
            "--budget", type=Usd(), metavar="USD",
            help="What the run may cost; wins over the pipeline's own budget.",
        ),
        click.option(
            "--cancel-on-interrupt", is_flag=True,
            help="On Ctrl-C, tell Runpod to stop the jobs in flight. They go on if not, for runner resume to collect.",
        ),
    ):  # fmt: skip
        command = option(command)
    return command


@click.command(cls=Local)
@click.argument("file", type=PATH, shell_complete=completed("pipelines"))
@inputs_options
@catalogue_option
@profile_option
@click.option("--out", type=PATH, metavar="DIR", help="Where outputs go.  [default: out/PIPELINE]")
@local_option
@click.option(
    "--concurrency", type=click.IntRange(1, 1000), help="Calls in flight at once.  [default: what the file says, or 64]"
)
@click.option("--fail-fast", is_flag=True, help="Start nothing new after a failure; what is in flight is kept.")
@click.option(
    "--fresh", multiple=True, metavar="STEP[KEY]", shell_complete=completed("steps"),
    help="Ask for this step, or this cell, anew, though the store has it. Repeat for more.",
)  # fmt: skip
@click.option("--no-cache", is_flag=True, help="Ask for everything anew. What is paid for is kept all the same.")
@click.option("--lock", is_flag=True, help="Write NAME.lock.yaml beside the pipeline when all is done.")
@click.option("--locked", is_flag=True, help="Make exactly what NAME.lock.yaml says, from the store; send nothing.")
@provider_option
@click.option("--reporter", "reporters", multiple=True, metavar="NAME", help="Tell a package's reporter, too.")
@click.option("--offline", is_flag=True, help="Open no socket: everything must be in the store.")
@click.option("--record", type=PATH, metavar="DIR", help="Keep each exchange with Runpod there, for --replay.")
@click.option("--replay", type=PATH, metavar="DIR", help="Answer from a recording: no key, no cost, no network.")
@click.option("--no-metadata", is_flag=True, help="Do not write into pictures what made them.")
@click.option("--resume", "again", is_flag=True, help="Take up the last run of this pipeline that did not end well.")
@_ending_options
def run(
    file: Path,
    typed: tuple[str, ...],
    inputs_file: Path | None,
    catalogue: Path | None,
    profile: str | None,
    out: Path | None,
    local: Writer | None,
    concurrency: int | None,
    fail_fast: bool,
    fresh: tuple[str, ...],
    no_cache: bool,
    lock: bool,
    locked: bool,
    provider: str | None,
    reporters: tuple[str, ...],
    offline: bool,
    record: Path | None,
    replay: Path | None,
    no_metadata: bool,
    again: bool,
    ending: Ending,
) -> None:
    """Run a pipeline and write its outputs. What an earlier run paid for is not paid again."""
    from functools import partial

    from .. import app, ci, history, loading, locally
    from ..options import Options

    with ci.not_started(ending.wanted, str(file), os.environ):
        written = ending.wanted.files
        ci.spare(filter(None, (file, catalogue, inputs_file)), written)
        read = loading.read(file, catalogue, profile)
        if written:
            ci.spare(loading.reads(read, given(typed, inputs_file)), written)
        found = history.find_run(None, file.resolve(), read.pipeline.name if read.pipeline else None) if again else None
        _mask(read.checked)
        show([problem for problem in read.problems if problem.warning])
        options = Options(
            out=out, local=bool(local), weights=locally.writer(local, os.environ) if local and read.checked else None,
            calls=concurrency, fail_fast=fail_fast, cancel_on_interrupt=ending.cancel_on_interrupt, env=os.environ,
            fresh=fresh, no_cache=no_cache, catalogue=catalogue, profile=profile, budget=ending.budget,
            lock=lock, only="lock" if locked else "world",
            metadata=not no_metadata, offline=offline, record=record, replay=replay,
            provider=provider, reporters=reporters, pick_first=ending.pick == "first", approve=ending.approved,
        )  # fmt: skip
        if options.weights and read.writes:
            ending.told(WRITER)
        if found is None:
            if again:
                ending.told(f"{history.none_to_take_up(file.resolve())}. A new one begins.")
            _end(partial(app.run, read, given(typed, inputs_file), options), ending)
        inputs = None
        if typed or inputs_file:
            inputs = loading.plan(read, given(typed, inputs_file), os.environ, preview=True).inputs
        if not _as_it_was(click.get_current_context(), found[0], options, inputs):
            ending.told(
                f"The run {found[0].run}, which did not come to a good end, was started otherwise: a new one begins. "
                f"runner resume {found[0].run} goes on with that."
            )
            _end(partial(app.run, read, given(typed, inputs_file), options), ending)
        if found[0].file != (now := str(file.resolve())):
            click.echo(f"The run {found[0].run} was of {found[0].file}, which is gone: it goes on as {file}.", err=True)
            found[0].file = now
        _again(found, ending)


_AGAIN = {"file", "again", *(field.name for field in fields(Ending))}
"""What may be said anew of a run that is taken up again."""

_KEPT_AS = {"concurrency": "calls", "locked": "only", "no_metadata": "metadata"}


def _as_it_was(context: click.Context, was: RunState, options: Options, inputs: Mapping[str, JSON] | None) -> bool:
    """Whether a run was started with the inputs and options that are said now, as far as any are."""
    kept = options.kept()
    for parameter in context.command.params:
        name = parameter.name or ""
        if context.get_parameter_source(name) is not click.core.ParameterSource.COMMANDLINE:
            continue
        key = _KEPT_AS.get(name, name)
        if name not in _AGAIN and key in kept and kept[key] != was.options.get(key):
            return False
    return inputs is None or (
        inputs.keys() == was.inputs.keys() and all(_same(value, was.inputs[name]) for name, value in inputs.items())
    )


def _same(value: JSON, was: JSON) -> bool:
    """Whether an input is what it was; a file by its bytes."""
    from pathlib import Path

    from ..model import Artifact
    from ..publish import digest

    if not isinstance(was, Artifact):
        return bool(value == was)
    return value == was.url or digest(Path(str(value))) == was.sha256


@click.command()
@click.argument("run_id", metavar="[RUN]", required=False, shell_complete=completed("runs"))
@_ending_options
def resume(run_id: str | None, ending: Ending) -> None:
    """Take up a run that was stopped, that failed, or that waits: what is done stays, jobs in flight are collected."""
    from .. import ci, history

    with ci.not_started(ending.wanted, run_id or "the last run", os.environ):
        ci.spare((), ending.wanted.files)
        found = history.find_run(run_id)
        if found is None:
            raise UsageError(f"{history.none_to_take_up()}.")
        _again(found, ending)


def _again(found: tuple[RunState, Path], ending: Ending) -> NoReturn:
    """Take up a run as it was started, but for what is said now."""
    from dataclasses import replace
    from functools import partial
    from pathlib import Path

    from .. import app, ci, history, loading
    from ..options import Options

    state, folder = found
    if (changed := history.changed(state, folder)) is not None:
        ending.told(changed)
    options = Options.of(state, env=os.environ, cancel_on_interrupt=ending.cancel_on_interrupt, budget=ending.budget)
    if ending.pick or ending.approve:
        options = replace(options, pick_first=options.pick_first or ending.pick == "first", approve=ending.approved)
    if options.weights:
        ending.told(WRITER)
    file, written = Path(state.file), ending.wanted.files
    ci.spare(filter(None, (file, options.catalogue)), written)
    if ci.on_github(os.environ) or (written and file.is_file()):
        read = loading.read(file, options.catalogue, options.profile)
        ci.spare(loading.reads(read, loading.Given()), written)
        _mask(read.checked)
    _end(partial(app.resume, state, folder, options), ending)


def _end(start: Callable[..., Coroutine[None, None, Done]], ending: Ending) -> NoReturn:
    """Do a run, show it while it goes on and what came of it, and leave with its exit code."""
    from ..events import RunFinished, RunResumed, RunStarted

    run, done = "", False

    def noted(event: Event) -> None:
        nonlocal run, done
        match event:
            case RunStarted() | RunResumed():
                run = event.run
            case RunFinished():
                done = event.outcome == "done"

    try:
        _shown(start, ending, noted)
    except KeyboardInterrupt:  # where nobody watches for signals any more
        if not run:
            raise
        end = f"All is done in the run {run}." if done else f"Go on with: runner resume {run}"
        click.echo(f"Stopped. {end}", err=True)
        sys.exit(130)


def _shown(
    start: Callable[..., Coroutine[None, None, Done]], ending: Ending, noted: Callable[[Event], None]
) -> NoReturn:
    """The same, each event being ``noted`` before it is told."""
    import time
    from functools import partial

    import anyio

    from ..asking import Screen, somebody
    from ..ci import Records
    from ..reports import summary, terminal
    from ..runfolder import laid_out, state_lines

    quiet, as_json = ending.quiet, ending.as_json
    if quiet and as_json:
        raise UsageError("--quiet and --json exclude each other. Write one of them.")
    if as_json and ending.events == "-":
        raise UsageError("--json and --events - both write to the standard output. Name a file for the events.")
    with (
        Records(ending.wanted, os.environ, sys.stdout, sys.stderr) as records,
        terminal.reporter(sys.stderr, time.time, quiet=quiet or as_json) as reporter,
    ):

        def told(event: Event) -> None:
            noted(event)
            records(event)
            reporter(event)

        def leave(state: RunState) -> None:
            reporter.__exit__(None, None, None)
            click.echo(summary.open_tickets(state), err=True)

        asks = not quiet and not as_json and somebody(os.environ)
        screen = Screen(reporter, sys.stdin.fileno(), raw=reporter.live) if asks else None
        done = anyio.run(partial(start, watched=reporter.live, screen=screen), told, leave)
    if as_json:
        click.echo("".join(state_lines(done.state)), nl=False)
    elif not quiet or done.exit_code:
        said = summary.text(done.state, done.folder, done.outputs, done.missing, partial(laid_out, done.folder))
        click.echo(said, err=quiet or ending.events == "-")
    if done.differs:
        click.echo(
            "\n".join(["Not as it is locked; nothing was sent:", *(f"  {each}" for each in done.differs)]), err=True
        )
    if done.notes and (not quiet or done.state.options.get("replay")):  # of a recording it is only what is wrong
        click.echo("\n".join(done.notes), err=True)
    if done.faults:
        click.echo("\n".join(done.faults), err=True)
    records.end(done)
    sys.exit(done.exit_code)


@click.command(cls=Local)
@click.argument("file", type=PATH, shell_complete=completed("pipelines"))
@inputs_options
@catalogue_option
@profile_option
@click.option("--out", type=PATH, metavar="DIR", help="Where outputs go.  [default: out/PIPELINE]")
@local_option
@provider_option
def lock(
    file: Path,
    typed: tuple[str, ...],
    inputs_file: Path | None,
    catalogue: Path | None,
    profile: str | None,
    out: Path | None,
    local: Writer | None,
    provider: str | None,
) -> None:
    """Write NAME.lock.yaml: what each cell yields, from the store alone. Nothing is sent."""
    from functools import partial

    from .. import app, loading, locally
    from ..options import Options

    read = loading.read(file, catalogue, profile)
    show([problem for problem in read.problems if problem.warning])
    options = Options(
        out=out, local=bool(local), weights=locally.writer(local, os.environ) if local and read.checked else None,
        lock=True, only="store", env=os.environ, catalogue=catalogue, profile=profile, provider=provider,
    )  # fmt: skip
    _end(partial(app.run, read, given(typed, inputs_file), options), Ending())


@click.command()
@click.argument("file", type=PATH, shell_complete=completed("pipelines"))
@profile_option
def verify(file: Path, profile: str | None) -> None:
    """Read again every file that NAME.lock.yaml names, and compare their digests. Nothing is sent."""
    import anyio

    from .. import app
    from ..errors import NotLocked, counted

    cells, texts, wrong = anyio.run(app.verify, file, profile)
    for each in wrong:
        click.echo(each, err=True)
    if wrong:
        sys.exit(NotLocked.exit_code)
    click.echo(f"{counted(cells, 'cell')}: every file is as locked")
    if texts:
        click.echo(f"What {texts} of them say{'s' * (texts == 1)} is compared by runner run --locked.")


def _mask(checked: Checked | None) -> None:
    """Have GitHub hide the keys that a run uses, before anything is done with them."""
    from .. import ci
    from ..reports import github

    if ci.on_github(os.environ):
        click.echo(github.masks(ci.secrets(os.environ, checked)), nl=False, err=True)
