"""What there is to write: `runner kinds`, `models`, `schema`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import click

from ..errors import UsageError, nearest
from .given import catalogue_option, completed

if TYPE_CHECKING:
    from pathlib import Path


@click.command()
@click.argument("name", required=False, metavar="[KIND]", shell_complete=completed("kinds"))
@click.option("--json", "as_json", is_flag=True, help="As JSON, for programs.")
def kinds(name: str | None, as_json: bool) -> None:
    """List the kinds of steps, or tell all about one: its params, what it yields, a step to start from.

    A part of a name lists the kinds that have it in theirs.
    """
    import json

    from ..kinds import KINDS
    from ..reports import kinds as report

    one = KINDS.get(name or "")
    found = [kind for kind in KINDS.values() if (name or "").lower() in kind.NAME]
    if not found:
        msg = f"There is no kind {name}. {nearest(str(name), list(KINDS))}"
        raise UsageError(msg)
    if as_json:
        said = report.data(one) if one else [report.data(kind) for kind in found]
        click.echo(json.dumps(said, indent=2, ensure_ascii=False))
    else:
        click.echo(report.one(one) if one else report.text(found))


@click.command()
@click.argument("name", required=False, metavar="[ID]", shell_complete=completed("models"))
@click.option("--kind", metavar="KIND", shell_complete=completed("kinds"), help="Only models for this kind of step.")
@catalogue_option
@click.option("--json", "as_json", is_flag=True, help="As JSON, for programs.")
def models(name: str | None, kind: str | None, catalogue: Path | None, as_json: bool) -> None:
    """List the models, or tell all about one: parameters, files, price, a pipeline to start from.

    A part of an id lists the models that have it in theirs.
    """
    import json
    from pathlib import Path

    from .. import known, loading
    from ..reports import models as report

    all_of_them = known.models(loading.project(Path("runner.yaml")), catalogue)
    found = known.of_kind(all_of_them, kind)
    model = all_of_them.find(name) if name is not None else None
    if name is not None and model is None:
        found = [each for each in found if name.lower() in each.id.lower()]
        if not found:
            near = ", ".join(all_of_them.near(name, kind))
            raise UsageError(f"There is no model {name}. Nearest: {near}.")
    if model is not None:
        said = {**report.data(model), "snippet": report.snippet(model)}
        click.echo(json.dumps(said, indent=2, ensure_ascii=False) if as_json else report.one(model))
        return
    if as_json:
        click.echo(json.dumps([report.data(model) for model in found], indent=2, ensure_ascii=False))
    else:
        click.echo(report.text(found))
        if name is not None:
            click.echo("\nrunner models ID tells all about one.")


@click.command()
@click.argument("what", type=click.Choice(["pipeline", "test", "event"]), default="pipeline")
def schema(what: Literal["pipeline", "test", "event"]) -> None:
    """Print the JSON Schema of pipelines or of their tests, for editors; or of an event, a line of run --events."""
    import json

    from ..cases.schema import cases_schema
    from ..event_schema import event_schema
    from ..schema import pipeline_schema

    said = {"pipeline": pipeline_schema, "test": cases_schema, "event": event_schema}[what]()
    click.echo(json.dumps(said, indent=2, ensure_ascii=False))
