"""Names of files as authors and users write them: a path beside something, a URL, or the file itself as a data URI.

And which files there are that one of them may have been meant to be.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path

_NOT_ENTERED = {"node_modules", "site-packages", "__pycache__", "out"}
NEAR = 4
"""Folders below the one that we stand in that are looked through for what somebody may mean."""


def is_url(name: str) -> bool:
    return name.startswith(("http://", "https://"))


def is_inline(name: str) -> bool:
    """Whether it is no name, but the file itself: ``data:image/png;base64,…``."""
    return name.startswith("data:")


def place(name: str, folder: Path) -> str:
    """Where a file is that was named in ``folder``; a URL and a data URI stay what they are."""
    return name if is_url(name) or is_inline(name) else str((folder / name).resolve())


def from_here(path: Path) -> Path:
    """A path as one would type it in the folder that we stand in."""
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path


def pipelines_and_tests(folder: Path, deepest: int | None = None) -> Iterator[Path]:
    """Pipelines and tests below a folder, as one would type them; what is hidden, installed or made is left out."""
    for here, folders, names in os.walk(folder):
        where = Path(here)
        folders[:] = sorted(
            name for name in folders
            if not name.startswith(".") and name not in _NOT_ENTERED and not (where / name / "pyvenv.cfg").is_file()
        )  # fmt: skip
        if deepest is not None and len(where.relative_to(folder).parts) >= deepest:
            folders.clear()
        for name in sorted(names):
            if name.endswith((".yaml", ".yml")) and not name.endswith(".lock.yaml"):
                path = where / name
                if is_test(path) or _is_pipeline(path):
                    yield path


_ENOUGH = 1_000_000
_STEPS = re.compile(r"^(?:steps\s*:| ?[Ss]teps?\s*:?\s*$)", re.MULTILINE)
_OF_A_PIPELINE = re.compile(r"^(?:name|inputs|outputs)\s*:", re.MULTILINE)
_KIND = re.compile(r"^\s+(?:\S.*[{,]\s*)?kind\s*:\s*[a-z]+_[a-z]+\b", re.MULTILINE)
_SAYS_SOMETHING = re.compile(r"^\s*[^\s#]", re.MULTILINE)
PIPELINES = "pipelines"
"""The folder of a project in which pipelines are expected."""


def is_test(path: Path) -> bool:
    return path.name.endswith(".test.yaml")


def _is_pipeline(path: Path) -> bool:
    """Whether a file has steps, or should, by its text alone: there may be many, and somebody is typing.

    A pipeline whose ``steps:`` is misspelt or gone is one all the same: who checks a project wants to hear of it.
    """
    if not path.is_file():  # a link that leads nowhere, a pipe
        return False
    try:
        with path.open(encoding="utf-8", errors="replace") as file:
            text = file.read(_ENOUGH)
    except OSError:  # whoever reads it says why
        return True
    if _STEPS.search(text) or (_OF_A_PIPELINE.search(text) and _KIND.search(text)):
        return True
    return path.parent.name == PIPELINES and not _SAYS_SOMETHING.search(text)
