"""The outputs of a run as a notebook shows them: one piece of HTML that needs no file beside it."""

from __future__ import annotations

import base64
import io
import mimetypes
from collections.abc import Mapping
from html import escape
from pathlib import Path

WIDEST = 512
"""Pixels of the longer side of a picture."""

MOST_TEXT = 4000
MOST_BYTES = 8_000_000
"""Of sound and video that are put into the page."""


def html(title: str, outputs: Mapping[str, Path], missing: Mapping[str, str]) -> str:
    """A heading, and each output: pictures to see, sound and video to play, texts to read."""
    shown = [
        f"<figure><figcaption>{escape(name)}</figcaption>{_shown(path)}</figure>" for name, path in outputs.items()
    ]
    shown += [f"<p>{escape(name)}: not made: {escape(why)}</p>" for name, why in missing.items()]
    return f"<section><p><strong>{escape(title)}</strong></p>{''.join(shown)}</section>"


def _shown(path: Path) -> str:
    kind = (mimetypes.guess_type(path.name)[0] or "").partition("/")[0]
    name = escape(str(path))
    try:
        if kind == "image":
            return f'<img alt="{name}" src="{_thumbnail(path)}">'
        if kind in ("audio", "video") and path.stat().st_size <= MOST_BYTES:
            return f'<{kind} controls src="{_data(path.read_bytes(), path.name)}"></{kind}>'
        if kind in ("audio", "video"):
            return f"<p>{name}</p>"
        text = path.read_text(encoding="utf-8")
    except (OSError, ValueError):  # moved, or no text: its place is all there is to show
        return f"<p>{name}</p>"
    return f"<pre>{escape(text[:MOST_TEXT])}{'…' if len(text) > MOST_TEXT else ''}</pre>"


def _thumbnail(path: Path) -> str:
    from PIL import Image  # noqa: PLC0415 - only a notebook needs it

    with Image.open(path) as picture:
        picture.thumbnail((WIDEST, WIDEST))
        made = io.BytesIO()
        picture.convert("RGBA" if picture.mode in ("RGBA", "LA", "P") else "RGB").save(made, "PNG")
    return _data(made.getvalue(), "x.png")


def _data(content: bytes, name: str) -> str:
    kind = mimetypes.guess_type(name)[0] or "application/octet-stream"
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"
