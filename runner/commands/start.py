"""``runner init`` and ``new``: how to start."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from ..errors import UsageError
from .given import PATH, completed

if TYPE_CHECKING:
    from pathlib import Path


@click.command()
@click.argument("folder", type=PATH, default=".", metavar="[DIR]")
def init(folder: Path) -> None:
    """Make a project: a pipeline with its test, help in VS Code, a workflow for CI. Nothing is overwritten."""
    from .. import starting
    from ..reports import started

    made = starting.init(folder)
    click.echo(started.project(made.folder, made.made, made.left, f"pipelines/{starting.FIRST}.yaml"))


@click.command()
@click.argument("name", required=False)
@click.option(
    "--from", "starter", metavar="PIPELINE", default="product-card", show_default=True,
    shell_complete=completed("starters"), help="The pipeline to start from.",
)  # fmt: skip
@click.option("--list", "listed", is_flag=True, help="List the pipelines to start from.")
def new(name: str | None, starter: str, listed: bool) -> None:
    """Write a new pipeline, with a test, from one that works. Nothing is overwritten."""
    from .. import starting
    from ..reports import started

    if listed:
        found = [(each.name, each.description, each.kinds) for each in starting.starters()]
        click.echo(started.starters(found))
        return
    if name is None:
        raise UsageError("Say what the pipeline is called: runner new NAME. --list shows what to start from.")
    made = starting.new(name, starter)
    click.echo(started.pipeline(list(made.made), list(made.left)))
