"""What GitHub Actions reads: workflow commands in the log, and what is appended to the files that it names."""

from __future__ import annotations

import re
import secrets
from collections.abc import Iterable, Mapping

from ..errors import Mark

_DATA = {"%": "%25", "\r": "%0D", "\n": "%0A"}
_PROPERTY = {**_DATA, ":": "%3A", ",": "%2C"}


def command(name: str, message: str, **properties: str | int) -> str:
    """``::error file=a.yaml,line=3::No such thing``, with everything escaped that would end a part of it."""
    said = ",".join(f"{key}={_escaped(str(value), _PROPERTY)}" for key, value in properties.items())
    return f"::{name}{' ' if said else ''}{said}::{_escaped(message, _DATA)}"


def at(mark: Mark) -> dict[str, int]:
    """The properties of a command that say where in its file it belongs."""
    return {"line": mark.line, "col": mark.column, "endColumn": mark.column + mark.length}


def masks(values: Iterable[str]) -> str:
    """What tells GitHub to show these as ``***`` from here on, a line each; of a value with many lines, each line."""
    lines = {line.strip(): None for value in values for line in value.splitlines() if line.strip()}
    return "".join(f"{command('add-mask', line)}\n" for line in lines)


def outputs(values: Mapping[str, str]) -> str:
    """Lines for ``$GITHUB_OUTPUT``.

    Each value stands between two marks that nobody can guess, so that no text of a model can end it and begin an
    output of its own.
    """
    lines = []
    for name, value in values.items():
        mark = f"runner_{secrets.token_hex(16)}"
        lines.append(f"{name}<<{mark}\n{value}\n{mark}\n")
    return "".join(lines)


def output_name(name: str) -> str:
    """The name of an output as an expression can write it: ``card.png`` is ``card_png``."""
    return re.sub(r"[^A-Za-z0-9_-]", "_", name)


def _escaped(text: str, table: Mapping[str, str]) -> str:
    return "".join(table.get(char, char) for char in text)
