"""``runner cache``: what is stored, how large it is, whether it is sound; and make room."""

from __future__ import annotations

import sys
import time

import click

from .groups import Group


@click.group(cls=Group)
def cache() -> None:
    """Look after the store: what was paid for, and is not paid again."""


@cache.command()
@click.option("--json", "as_json", is_flag=True, help="Print it as JSON, and nothing else.")
def ls(as_json: bool) -> None:
    """List the replies that are stored, the one used last first."""
    from .. import pantry

    click.echo(pantry.listed(time.time(), as_json=as_json))


@cache.command()
def size() -> None:
    """Say how much is stored, and how much of it lock files and unfinished runs name."""
    from .. import pantry

    click.echo(pantry.size())


@cache.command()
@click.option(
    "--repair", is_flag=True,
    help="Take out what is damaged, and put back what journals of runs still tell of it: the next run asks for the "
    "rest anew. A damaged database is kept aside, and what can be read in it is saved.",
)  # fmt: skip
def verify(repair: bool) -> None:
    """Hash every stored file. Exits with 1 if something is damaged or missing; deletes nothing unless told to."""
    from .. import pantry

    text, sound = pantry.verified(time.time(), repair=repair)
    click.echo(text)
    if not sound:
        sys.exit(1)


@cache.command()
@click.option("--keep", metavar="AGE", help="Remove what was not used for so long: 30d, 12h.")
@click.option("--max", "most", metavar="SIZE", help="Remove what was used longest ago until the rest fits: 5GB.")
@click.option("--dry-run", "dry", is_flag=True, help="Only say what would go.")
def gc(keep: str | None, most: str | None, dry: bool) -> None:
    """Make room. Without an option, only what nothing can find any more goes.

    What a lock file or an unfinished run names stays, whatever its age.
    """
    from .. import pantry

    click.echo(pantry.swept(keep, most, time.time(), dry=dry))
