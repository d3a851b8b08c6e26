"""Names of files as authors and users write them: a path beside something, or a URL."""

from __future__ import annotations

from pathlib import Path


def is_url(name: str) -> bool:
    return name.startswith(("http://", "https://"))


def place(name: str, folder: Path) -> str:
    """Where a file is that was named in ``folder``; a URL stays what it is."""
    return name if is_url(name) else str((folder / name).resolve())
