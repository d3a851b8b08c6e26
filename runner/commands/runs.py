"""``runner runs``, ``show``, ``why``, ``diff``, ``inspect``: what was run, and why it cost what it cost."""

from __future__ import annotations

import os
import sys
import time
from typing import TYPE_CHECKING

import click

from ..errors import UsageError
from .given import PATH, completed
from .groups import Group

if TYPE_CHECKING:
    from pathlib import Path


@click.group(cls=Group, invoke_without_command=True)
@click.option("--json", "as_json", is_flag=True, help="Print the runs as JSON, and nothing else.")
@click.pass_context
def runs(context: click.Context, as_json: bool) -> None:
    """List the runs of this project, the newest first; runner runs rm removes old ones."""
    from .. import history

    if context.invoked_subcommand is None:
        tell = history.as_json if as_json else history.listed
        click.echo(tell(history.home(), time.time()))


@runs.command()
@click.argument("names", metavar="[RUN...]", nargs=-1, shell_complete=completed("runs"))
@click.option("--keep", metavar="AGE", help="Remove those that are older: 30d, 12h.")
@click.option("--all-but", type=click.IntRange(0), metavar="N", help="Remove all but the newest N.")
@click.option("--force", is_flag=True, help="Also runs with jobs that may have been paid for and are not collected.")
def rm(names: tuple[str, ...], keep: str | None, all_but: int | None, force: bool) -> None:
    """Remove run folders. What was paid for stays in the store; a run that is still going stays, too."""
    from .. import history
    from ..reports.runs import removed

    if not names and keep is None and all_but is None:
        raise UsageError("Say which runs: their ids, --keep 30d, or --all-but 10.")
    if names and (keep is not None or all_but is not None):
        raise UsageError("Runs are named, or chosen by --keep and --all-but. Write one of the two.")
    older = history.seconds(keep, "--keep") if keep is not None else None
    found = history.chosen(history.home(), names, older=older, all_but=all_but, now=time.time())
    done = history.remove(found, force=force)
    click.echo(removed(done.gone, done.stayed))
    if names and done.stayed:
        sys.exit(1)


@click.command()
@click.argument("run", metavar="[RUN]", required=False, shell_complete=completed("runs"))
@click.option(
    "--json",
    "as_json",
    is_flag=True,
    help="Print it as JSON, in the form of run --json; since: says which outputs have changed.",
)
def show(run: str | None, as_json: bool) -> None:
    """Show a run cell by cell: state, cost, time, tries, model, its outputs. The last one if none is named."""
    from .. import history
    from ..runfolder import state_lines

    found = history.find(history.home(), run)
    if as_json:
        click.echo("".join(state_lines(found.state, history.since(found))), nl=False)
    else:
        click.echo(history.shown(found, time.time()))


@click.command()
@click.argument("one", metavar="RUN", shell_complete=completed("runs"))
@click.argument("other", metavar="RUN", shell_complete=completed("runs"))
def diff(one: str, other: str) -> None:
    """Compare two runs: inputs, what was asked, outputs, cost; pictures by size and how far they look apart."""
    from .. import history
    from ..store import Store

    home = history.home()
    found = history.find(home, one), history.find(home, other)
    click.echo(history.compared(*found, Store(home / "store")))


@click.command()
@click.argument("step", metavar="STEP", shell_complete=completed("steps"))
@click.option(
    "--run",
    "run",
    metavar="RUN",
    shell_complete=completed("runs"),
    help="Why it was a hit or a miss in this run.  [default: the next run]",
)
def why(step: str, run: str | None) -> None:
    """Say whether a step, or one cell of it, would be paid for if it ran again now, and why.

    It is that of the last run which has it, with the inputs of that run.

    A miss is compared with the nearest earlier call: what was asked then and is asked otherwise now.
    """
    import anyio

    from .. import history, reasons

    home = history.home()
    found = history.find(home, run)
    if run is None:
        click.echo(anyio.run(reasons.now, home, reasons.last_with(home, found, step), step, os.environ))
    else:
        click.echo(reasons.then(home, found, step))


@click.command()
@click.argument("file", type=PATH)
@click.option("--json", "as_json", is_flag=True, help="Print it as JSON, and nothing else.")
def inspect(file: Path, as_json: bool) -> None:
    """Show what made a picture: pipeline, step, model, seed, prompt, key, and the run if it is here."""
    from dataclasses import asdict

    from .. import history
    from ..reports import inspected

    facts, runs = history.inspect(file)
    click.echo(inspected.as_json(asdict(facts), runs) if as_json else inspected.text(file, asdict(facts), runs))
