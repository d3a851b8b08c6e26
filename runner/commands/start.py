"""``runner init``, ``new`` and ``kinds``: how to start, and what there is to write."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from ..errors import UsageError, nearest
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


@click.command()
@click.argument("name", required=False, metavar="[KIND]", shell_complete=completed("kinds"))
@click.option("--json", "as_json", is_flag=True, help="As JSON, for programs.")
def kinds(name: str | None, as_json: bool) -> None:
    """List the kinds of steps, or tell all about one: its params, what it yields, a step to start from."""
    import json

    from ..kinds import KINDS
    from ..reports import kinds as report

    if name is not None and name not in KINDS:
        msg = f"There is no kind {name}. {nearest(name, list(KINDS))}"
        raise UsageError(msg)
    found = [KINDS[name]] if name is not None else list(KINDS.values())
    if as_json:
        said = [report.data(kind) for kind in found]
        click.echo(json.dumps(said[0] if name is not None else said, indent=2, ensure_ascii=False))
    else:
        click.echo(report.one(found[0]) if name is not None else report.text(found))
