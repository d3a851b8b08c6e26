"""Options that several commands share."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from pathlib import Path


class File(click.Path):
    """A path. The module for paths takes a tenth of the time that ``--help`` takes, so it waits for one."""

    def convert(self, value: str | os.PathLike[str], param: click.Parameter | None, ctx: click.Context | None) -> Path:
        """The path, as `Path`."""
        from pathlib import Path

        return Path(os.fsdecode(super().convert(value, param, ctx)))


PATH = File()


def catalogue_option(command: click.decorators.FC) -> click.decorators.FC:
    """``--catalogue FILE``: models of one's own."""
    return click.option(
        "--catalogue", type=PATH, metavar="FILE", help="Rows of models of your own, over those that are known."
    )(command)


def profile_option(command: click.decorators.FC) -> click.decorators.FC:
    """``--profile NAME``."""
    return click.option("--profile", metavar="NAME", help="The profile to take: what profiles: says under this name.")(
        command
    )
