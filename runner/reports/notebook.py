"""A run as a notebook shows it: outputs, what failed, what waits for a person; HTML that needs no file beside it."""

from __future__ import annotations

import base64
import io
import mimetypes
from collections.abc import Iterator, Mapping, Sequence
from html import escape
from pathlib import Path

from ..errors import one_line
from ..events import CellState, RunState
from ..model import JSON
from . import questions, summary
from .questions import LaidOut

WIDEST = 512
"""Pixels of the longer side of a picture."""

MOST_TEXT = 4000
MOST_BYTES = 8_000_000
"""Of sound and video that are put into the page."""


MOST_QUESTIONS = 10
"""That are shown with what they are about."""


def html(
    state: RunState,
    folder: Path,
    outputs: Mapping[str, Path],
    missing: Mapping[str, str],
    notes: Sequence[str],
    laid_out: LaidOut,
) -> str:
    """A heading; each output: pictures to see, sound and video to play, texts to read; what is not done, and why; what
    a person is asked, with the command that answers.
    """
    parts = [f"<p><strong>{escape(summary.headline(state))}</strong></p>"]
    parts += [_figure(name, _shown(path)) for name, path in outputs.items()]
    if not_done := summary.not_done(state, folder):
        parts.append(f"<pre>{escape(chr(10).join(line.removeprefix('  ') for line in not_done if line))}</pre>")
    parts += [f"<p>{escape(name)}: not made: {escape(why)}</p>" for name, why in missing.items()]
    for cell in state.asking[:MOST_QUESTIONS]:
        parts += _asked(state.run, cell, laid_out)
    if (more := len(state.asking) - MOST_QUESTIONS) > 0:
        parts.append(f"<p>… and {more} more questions; <code>runner show {escape(state.run)}</code> lists them</p>")
    parts += [f"<p>{escape(note)}</p>" for note in notes]
    if summary.goes_on(state):
        parts.append(f"<p>{escape(summary.again(state))}</p>")
    return f"<section>{''.join(parts)}</section>"


def _asked(run: str, cell: CellState, laid_out: LaidOut) -> Iterator[str]:
    """What a person is asked, what it is about, and the command that answers."""
    if (asked := cell.asked) is None:
        return
    files = laid_out(asked)
    yield f"<p>{escape(cell.cell)}: {escape(one_line(asked.question))}</p>"
    yield from (_figure(name, _thing(value, files.get(name))) for name, value in asked.shown.items())
    yield f"<p><code>{escape(questions.command(run, cell))}</code></p>"


def _thing(value: JSON, file: Path | None) -> str:
    return _shown(file) if file is not None else f"<p>{escape(questions.thing(value, None))}</p>"


def _figure(name: str, content: str) -> str:
    return f"<figure><figcaption>{escape(name)}</figcaption>{content}</figure>"


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
