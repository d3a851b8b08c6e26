"""Bytes in, what they are out: media type, width and height. The bytes decide, never a name or a header."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from pathlib import Path

_MAGIC: tuple[tuple[bytes, int, str], ...] = (
    (b"\x89PNG\r\n\x1a\n", 0, "image/png"),
    (b"\xff\xd8\xff", 0, "image/jpeg"),
    (b"GIF8", 0, "image/gif"),
    (b"WEBP", 8, "image/webp"),
    (b"ftypavif", 4, "image/avif"),
    (b"BM", 0, "image/bmp"),
    (b"II*\x00", 0, "image/tiff"),
    (b"MM\x00*", 0, "image/tiff"),
    (b"WAVE", 8, "audio/wav"),
    (b"ID3", 0, "audio/mpeg"),
    (b"\xff\xfb", 0, "audio/mpeg"),
    (b"\xff\xf3", 0, "audio/mpeg"),
    (b"\xff\xf2", 0, "audio/mpeg"),
    (b"OggS", 0, "audio/ogg"),
    (b"fLaC", 0, "audio/flac"),
    (b"ftyp", 4, "video/mp4"),
    (b"\x1aE\xdf\xa3", 0, "video/webm"),
)
HEAD = 64
"""Bytes from the start of a file that `media_type` looks at."""


@dataclass(frozen=True, slots=True)
class Looks:
    """What a file is. Pictures have pixels."""

    media_type: str
    width: int | None = None
    height: int | None = None


class NotWhole(ValueError):
    """A file that begins like a picture and is none: cut, or damaged."""


def media_type(head: bytes) -> str:
    """``image/png``, or ``application/octet-stream`` for what is not known here."""
    for magic, offset, name in _MAGIC:
        if head[offset : offset + len(magic)] == magic:
            return name
    return "text/html" if head.lstrip()[:1] == b"<" else "application/octet-stream"


def look(path: Path) -> Looks:
    """What a file is; a picture is decoded once, so that a damaged one is never kept. `NotWhole` says why."""
    with path.open("rb") as file:
        kind = media_type(file.read(HEAD))
    if not kind.startswith("image/"):
        return Looks(kind)
    from PIL import Image  # noqa: PLC0415 - checks and plans must not pay for Pillow

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(path) as picture:
                picture.load()
                return Looks(kind, *picture.size)
    except (OSError, ValueError, SyntaxError, EOFError, Image.DecompressionBombError, Warning) as err:
        msg = f"it begins like {kind} and cannot be decoded: {err}"
        raise NotWhole(msg) from err


def convert(source: Path, target: Path, suffix: str) -> None:
    """Write a picture anew in the format that a suffix such as ``.png`` names."""
    from PIL import Image  # noqa: PLC0415 - as above

    name = {".jpg": "JPEG", ".jpeg": "JPEG", ".png": "PNG", ".webp": "WEBP"}[suffix]
    with Image.open(source) as picture:
        mode = picture.convert("RGB") if name == "JPEG" and picture.mode not in ("RGB", "L") else picture
        mode.save(target, format=name, **({"quality": 95} if name == "JPEG" else {}))
