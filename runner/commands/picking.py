"""``runner pick``, ``approve``: answers to what runs ask, from anywhere."""

from __future__ import annotations

import click

from ..errors import UsageError


@click.command()
@click.argument("words", metavar="[RUN] [STEP[KEY] [N|more]]", nargs=-1)
def pick(words: tuple[str, ...]) -> None:
    """Choose candidate N of a step that waits for a choice; the step alone lists them, nothing lists what waits.

    RUN is the last run that asks for this step, if it is not named. A run that is still going takes the choice up;
    one that has ended goes on with runner resume. With more instead of N, as many candidates again are made.
    """
    from .. import choosing

    run, step, said = _parted(words, "runner pick photo 3")
    if step is None:
        click.echo(choosing.listed(run))
    elif said is None:
        click.echo(choosing.shown(run, step))
    else:
        click.echo(choosing.pick(run, step, said))


@click.command()
@click.argument("words", metavar="[RUN] STEP[KEY] yes|no", nargs=-1, required=True)
def approve(words: tuple[str, ...]) -> None:
    """Say yes or no to a step that asks; the step alone shows what it asks.

    After a no the step fails and what needs it is blocked. An answer can be changed: it counts from the next run on.
    """
    from .. import choosing

    run, step, said = _parted(words, "runner approve look yes")
    if step is None:
        click.echo(choosing.listed(run))
    elif said is None:
        click.echo(choosing.shown(run, step))
    else:
        click.echo(choosing.approve(run, step, said))


_ANSWERS = ("more", "yes", "no", "y", "n")


def _parted(words: tuple[str, ...], example: str) -> tuple[str | None, str | None, str | None]:
    """Run, step and answer; a run begins with the date it was started on, a step with a letter."""
    rest = list(words)
    run = rest.pop(0) if rest and rest[0][:1].isdigit() else None
    if len(rest) == 3:
        run, rest = rest[0], rest[1:]
    if len(rest) > 2 or (len(rest) == 1 and rest[0] in _ANSWERS):
        msg = f"{' '.join(words)} is not a step and an answer. Write: {example}"
        raise UsageError(msg)
    return run, rest[0] if rest else None, rest[1] if len(rest) == 2 else None
