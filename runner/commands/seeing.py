"""``runner plan``, ``graph``, ``report``: what would run, how it hangs together, what came of it."""

from __future__ import annotations

import os
import shutil
import sys
from typing import TYPE_CHECKING, Literal

import click

from ..errors import UsageError
from .given import (
    PATH,
    Inputs,
    Local,
    catalogue_option,
    completed,
    given,
    inputs_options,
    profile_option,
    provider_option,
)
from .problems import show

if TYPE_CHECKING:
    from pathlib import Path

    from ..locally import Writer


@click.command(cls=Local)
@click.argument("file", type=PATH, shell_complete=completed("pipelines"))
@inputs_options
@catalogue_option
@profile_option
@click.option(
    "--local", type=click.Choice(["auto", "model", "emulator"]), metavar="[=model|=emulator]",
    help="What run --local would find in the store.",
)  # fmt: skip
@provider_option
@click.option("--calls", is_flag=True, help="Show the call of each step in full.")
@click.option("--json", "as_json", is_flag=True, help="Print it as JSON, calls and all, and nothing else.")
def plan(
    file: Path,
    typed: tuple[str, ...],
    inputs_file: Path | None,
    catalogue: Path | None,
    profile: str | None,
    local: Writer | None,
    provider: str | None,
    calls: bool,
    as_json: bool,
) -> None:
    """Show what would run: each step, why it waits, what the store has of it, what it can cost. Nothing runs."""
    from .. import app, loading, locally, seeing
    from ..masking import masked
    from ..options import Options
    from ..reports import planned

    if calls and as_json:
        raise UsageError("--calls and --json exclude each other: the JSON holds the calls. Write one of them.")
    read = loading.read(file, catalogue, profile)
    if not as_json:
        show([problem for problem in read.problems if problem.warning])
    weights = locally.writer(local, os.environ) if local and read.checked else None
    options = Options(
        local=bool(local), weights=weights, env=os.environ, catalogue=catalogue, profile=profile, provider=provider
    )
    if calls:
        plans = loading.plan(app.localised(read, options), given(typed, inputs_file), os.environ, preview=True)
        click.echo(masked(planned.text(plans, local=options.local), read.secrets))
        return
    found = seeing.outlook(read, given(typed, inputs_file), options)
    if as_json:
        click.echo(masked(planned.as_json(*found, local=options.local), read.secrets))
        return
    wide = shutil.get_terminal_size().columns if sys.stdout.isatty() else None
    click.echo(planned.overview(*found, wide, local=options.local))


@click.command(cls=Inputs)
@click.argument("file", type=PATH, shell_complete=completed("pipelines"))
@click.option(
    "--format", "form", type=click.Choice(["text", "mermaid", "svg"]), default="text", show_default=True,
    help="For the terminal, for Markdown, or a picture.",
)  # fmt: skip
@inputs_options
@catalogue_option
@profile_option
def graph(
    file: Path,
    form: Literal["text", "mermaid", "svg"],
    typed: tuple[str, ...],
    inputs_file: Path | None,
    catalogue: Path | None,
    profile: str | None,
) -> None:
    """Draw the steps and which waits for which. Solid is data, dotted only order. Nothing runs.

    \b
    runner graph FILE --format svg > graph.svg
    """
    from .. import loading, seeing
    from ..reports import drawing
    from ..reports import graph as drawn

    found = seeing.graph(loading.read(file, catalogue, profile), given(typed, inputs_file), os.environ)
    if form == "svg":
        click.echo(drawing.svg(found))
    elif form == "mermaid":
        click.echo(drawn.mermaid(found))
    else:
        click.echo(drawn.text(found, plain="utf" not in (sys.stdout.encoding or "").lower()))


@click.command()
@click.argument("run", metavar="[RUN]", required=False, shell_complete=completed("runs"))
@click.option("--compare", "other", metavar="RUN", shell_complete=completed("runs"), help="Beside this run.")
@click.option("--out", type=PATH, metavar="FILE", help="Where the page goes.  [default: report.html in the run folder]")
@click.option("--open", "shown", is_flag=True, help="Open it in your browser.")
def report(run: str | None, other: str | None, out: Path | None, shown: bool) -> None:
    """Write a run as a page to look at: one HTML file that needs no network. The last run if none is named.

    It shows graph and timeline, what was asked, texts, pictures, sound and video, costs, tries and errors.
    """
    from .. import history, retelling

    if out is not None and out.is_dir():
        msg = f"--out {out} is a folder. Name a file in it: --out {out / 'report.html'}"
        raise UsageError(msg)
    home = history.home()
    found = history.find(home, run)
    beside = history.find(home, other) if other is not None else None
    if beside is not None and beside.id == found.id:
        msg = f"{found.id} cannot be compared with itself. Name two runs; runner runs lists them."
        raise UsageError(msg)
    path = retelling.write_page(found, beside, home, out, os.environ)
    click.echo(path)
    if shown:
        import webbrowser

        if not webbrowser.open(path.resolve().as_uri()):
            click.echo("No browser could be started. Open the file yourself.", err=True)
