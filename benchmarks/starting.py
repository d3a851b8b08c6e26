"""What it costs to start each command: the list is the command line's own, so none is forgotten."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

from runner.cli import COMMANDS

from .figures import Figure, in_turns, process

CARD = "pipelines/product-card.yaml"
DOES = {"check": ("check", CARD), "plan": ("plan", CARD), "schema": ("schema",)}
"""Commands that end by themselves at no cost; of the others, their ``--help``."""
READS = "click, yaml, jinja2, jsonschema"
NEEDS = {"check": READS, "plan": READS, "schema": READS}
"""The libraries that a command cannot do without, where that is more than click."""


def figures() -> Iterator[Figure]:
    """Each command as a process, beside bare Python that imports what the command cannot do without."""
    with TemporaryDirectory() as folder:  # a project without a store, whatever was run here before
        (Path(folder) / "pipelines").mkdir()
        shutil.copy(CARD, Path(folder) / CARD)
        yield from _figures(partial(process, folder=Path(folder)))


def _figures(process: Callable[..., float]) -> Iterator[Figure]:
    for words in ("--version",), *((name, "--help") for name in COMMANDS), *DOES.values():
        process("-m", "runner", *words)  # what it imports is compiled now
    bare, version = in_turns(15, partial(process, "-c", "pass"), partial(process, "-m", "runner", "--version"))
    yield Figure("runner --version", version, "python -c pass", bare, "≤ 1.5", version <= 1.5 * bare)
    help_, click = in_turns(15, partial(process, "-m", "runner", "--help"), partial(process, "-c", "import click"))
    yield Figure("runner --help", help_, "import click", click, "≤ 1.3", help_ <= 1.3 * click)
    for name in sorted(COMMANDS):
        words = DOES.get(name, (name, "--help"))
        libraries = NEEDS.get(name, "click")
        ours, theirs = in_turns(
            7, partial(process, "-m", "runner", *words), partial(process, "-c", f"import {libraries}")
        )
        target = 2.0 if name in DOES else 1.3
        yield Figure(
            f"runner {' '.join(words)}",
            ours,
            f"import {libraries}",
            theirs,
            f"≤ {target:g}",
            ours <= target * theirs,
        )
