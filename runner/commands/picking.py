"""``runner pick``, ``approve``: answers to what runs ask, from anywhere."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import click

from ..errors import UsageError
from .given import completed

if TYPE_CHECKING:
    from ..choosing import Answers


@click.command()
@click.argument("words", metavar="[RUN] [STEP[KEY] [N|more]]...", nargs=-1, shell_complete=completed("choices"))
def pick(words: tuple[str, ...]) -> None:
    """Choose candidate N of a step that waits for a choice; the step alone lists them, nothing lists what waits.

    Several steps, each with its N, are answered at once.
    RUN is the last run that asks for this step, if it is not named. A run that is still going takes the choice up;
    one that has ended goes on with runner resume. With more instead of N, as many candidates again are made.
    """
    from .. import choosing

    _answer(words, "runner pick photo 3", choosing.pick)


@click.command()
@click.argument(
    "words", metavar="[RUN] STEP[KEY] [yes|no]...", nargs=-1, required=True, shell_complete=completed("approvals")
)
def approve(words: tuple[str, ...]) -> None:
    """Say yes or no to a step that asks, or to several; the step alone shows what it asks.

    STEP without a KEY is every cell of it that asks. After a no the step fails and what needs it is blocked. An answer
    can be changed: it counts from the next run on.
    """
    from .. import choosing

    _answer(words, "runner approve look yes", choosing.approve)


def _answer(words: tuple[str, ...], example: str, say: Callable[[str | None, Answers], list[str]]) -> None:
    """Take answers up, or show what is asked."""
    from .. import choosing

    run, rest = _parted(words, example)
    if not rest:
        click.echo(choosing.listed(run))
    elif len(rest) == 1:
        click.echo(choosing.shown(run, rest[0]))
    else:
        for said in say(run, list(zip(rest[::2], rest[1::2], strict=True))):
            click.echo(said)


_ANSWERS = ("more", "yes", "no", "y", "n")


def _parted(words: tuple[str, ...], example: str) -> tuple[str | None, list[str]]:
    """Run, and steps with their answers; a run begins with the date it was started on, a step with a letter."""
    rest = list(words)
    run = rest.pop(0) if rest and rest[0][:1].isdigit() else None
    if run is None and len(rest) > 1 and len(rest) % 2:
        run = rest.pop(0)
    if (len(rest) > 1 and len(rest) % 2) or any(word in _ANSWERS for word in rest[::2]):
        msg = f"{' '.join(words)} is not a step and an answer. Write: {example}"
        raise UsageError(msg)
    return run, rest
