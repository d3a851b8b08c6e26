"""Options that several commands share."""

from __future__ import annotations

from pathlib import Path

import click


def catalogue_option(command: click.decorators.FC) -> click.decorators.FC:
    """``--catalogue FILE``: models of one's own."""
    return click.option(
        "--catalogue", type=click.Path(path_type=Path), metavar="FILE",
        help="Rows of models of your own, over those that are known.",
    )(command)  # fmt: skip
