"""Names of files as authors and users write them: a path beside something, a URL, or the file itself as a data URI."""

from __future__ import annotations

from pathlib import Path


def is_url(name: str) -> bool:
    return name.startswith(("http://", "https://"))


def is_inline(name: str) -> bool:
    """Whether it is no name, but the file itself: ``data:image/png;base64,…``."""
    return name.startswith("data:")


def place(name: str, folder: Path) -> str:
    """Where a file is that was named in ``folder``; a URL and a data URI stay what they are."""
    return name if is_url(name) or is_inline(name) else str((folder / name).resolve())
