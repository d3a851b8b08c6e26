"""``runner plan``, ``graph``: what would run, and how it hangs together."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Literal

import click

from .given import PATH, catalogue_option, given, inputs_options, tell


@click.command()
@click.argument("file", type=PATH)
@inputs_options
@catalogue_option
def plan(file: Path, typed: tuple[str, ...], inputs_file: Path | None, catalogue: Path | None) -> None:
    """Show what would run: the order and why, each call, the most it can cost. Nothing runs."""
    from .. import app
    from ..reports import planned

    read = app.read(file, catalogue)
    tell([problem for problem in read.problems if problem.warning])
    click.echo(planned.text(app.plan(read, given(typed, inputs_file), os.environ, preview=True)))


@click.command()
@click.argument("file", type=PATH)
@click.option(
    "--format", "form", type=click.Choice(["text", "mermaid", "svg"]), default="text", show_default=True,
    help="For the terminal, for Markdown, or a picture.",
)  # fmt: skip
@inputs_options
@catalogue_option
def graph(
    file: Path,
    form: Literal["text", "mermaid", "svg"],
    typed: tuple[str, ...],
    inputs_file: Path | None,
    catalogue: Path | None,
) -> None:
    """Draw the steps and which waits for which. Solid is data, dotted only order. Nothing runs.

    \b
    runner graph FILE --format svg > graph.svg
    """
    from .. import app, seeing
    from ..reports import drawing
    from ..reports import graph as drawn

    found = seeing.graph(app.read(file, catalogue), given(typed, inputs_file), os.environ)
    if form == "svg":
        click.echo(drawing.svg(found))
    elif form == "mermaid":
        click.echo(drawn.mermaid(found))
    else:
        click.echo(drawn.text(found, plain="utf" not in (sys.stdout.encoding or "").lower()))
