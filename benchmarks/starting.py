"""What it costs to start a command."""

from __future__ import annotations

from collections.abc import Iterator

from .figures import Figure, in_turns, process

CARD = "pipelines/product-card.yaml"


def figures() -> Iterator[Figure]:
    """Each command as a process, beside what it cannot do without."""
    bare, version, click, help_, parts, check = in_turns(
        9,
        lambda: process("-c", "pass"),
        lambda: process("-m", "runner", "--version"),
        lambda: process("-c", "import click"),
        lambda: process("-m", "runner", "--help"),
        lambda: process("-c", "import click, yaml, jinja2, jsonschema"),
        lambda: process("-m", "runner", "check", CARD),
    )
    yield Figure("runner --version", version, "python -c pass", bare, "≤ 2", version <= 2 * bare)
    yield Figure("runner --help", help_, "import click", click, "≤ 1.3", help_ <= 1.3 * click)
    yield Figure("runner check", check, "python -c pass", bare, "told", holds=True)
    yield Figure("runner check", check, "importing its libraries", parts, "≤ 2", check <= 2 * parts)
