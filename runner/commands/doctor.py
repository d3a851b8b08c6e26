"""`runner doctor`."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from .given import PATH, catalogue_option, completed

if TYPE_CHECKING:
    from pathlib import Path


@click.command()
@click.argument("files", type=PATH, nargs=-1, metavar="[FILE...]", shell_complete=completed("pipelines"))
@catalogue_option
@click.option("--local", is_flag=True, help="Check what a run with --local needs: the emulator, no key.")
@click.option("--json", "as_json", is_flag=True, help="Print what was found as JSON, and nothing else.")
def doctor(files: Sequence[Path], catalogue: Path | None, local: bool, as_json: bool) -> None:
    """Check key, network, endpoints and disk, and say what is wrong. Only asks what is free.

    With pipelines, each of their endpoints and servers is asked; without, one public endpoint.
    """
    import anyio

    from .. import doctor as doctors
    from .. import loading
    from ..errors import CannotStart

    findings = anyio.run(doctors.examine, [loading.read(file, catalogue) for file in files], os.environ, local)
    fancy = sys.stdout.isatty() and "utf" in (sys.stdout.encoding or "").lower()
    click.echo(doctors.as_json(findings) if as_json else doctors.text(findings, fancy=fancy))
    if any(finding.state == "wrong" for finding in findings):
        sys.exit(CannotStart.exit_code)
