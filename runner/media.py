"""Bytes in, what they are out: media type, width, height, seconds. The bytes decide, never a name or a header."""

from __future__ import annotations

import io
import struct
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO

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
    (b"ftypM4A", 4, "audio/mp4"),
    (b"ftyp", 4, "video/mp4"),
    (b"\x1aE\xdf\xa3", 0, "video/webm"),
)
HEAD = 64
"""Bytes from the start of a file that `media_type` looks at."""


@dataclass(frozen=True, slots=True)
class Looks:
    """What a file is. Pictures and videos have pixels, sound and videos seconds; None where the file does not tell."""

    media_type: str
    width: int | None = None
    height: int | None = None
    seconds: float | None = None


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
    if kind.startswith(("audio/", "video/")):
        return Looks(kind, *(_video_size(path) if kind == "video/mp4" else (None, None)), _seconds(path, kind))
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


def likeness(path: Path) -> int | None:
    """64 bits that say where a picture gets brighter from left to right: pictures that look alike have nearly the
    same. None for what is no picture, or is not there.
    """
    from PIL import Image  # noqa: PLC0415 - as above

    try:
        with Image.open(path) as picture:
            small = picture.convert("L").resize((9, 8), Image.Resampling.BILINEAR).tobytes()
    except (OSError, ValueError, SyntaxError, EOFError, Image.DecompressionBombError):
        return None
    bits = (small[9 * row + column] < small[9 * row + column + 1] for row in range(8) for column in range(8))
    return sum(bit << place for place, bit in enumerate(bits))


def thumbnail(path: Path, side: int) -> bytes | None:
    """A picture as a WebP of at most so many pixels a side; None for what is no picture, or is not there."""
    from PIL import Image  # noqa: PLC0415 - as above

    out = io.BytesIO()
    try:
        with Image.open(path) as picture:
            small = picture.convert("RGBA" if picture.has_transparency_data else "RGB")
            small.thumbnail((side, side))
            small.save(out, format="WEBP", quality=78)
    except (OSError, ValueError, SyntaxError, EOFError, Image.DecompressionBombError):
        return None
    return out.getvalue()


def _seconds(path: Path, kind: str) -> float | None:
    from tinytag import TinyTag, TinyTagException  # noqa: PLC0415 - as above

    names = {"audio/mpeg": ".mp3", "audio/x-wav": ".wav", "video/mp4": ".mp4", "audio/mp4": ".mp4"}
    try:
        with path.open("rb") as file:
            named = f"x{names.get(kind, '.' + kind.partition('/')[2])}"
            seconds = TinyTag.get(named, file_obj=file).duration
    except (TinyTagException, OSError, ValueError, ArithmeticError, struct.error):
        return None  # it is kept all the same: nobody decodes sound here
    return round(seconds, 3) if seconds else None


def _video_size(path: Path) -> tuple[int | None, int | None]:
    """Width and height of the first picture track: ISO 14496-12, the end of the box ``moov/trak/tkhd``."""
    with path.open("rb") as file:
        for kind, box in _boxes(file, path.stat().st_size):
            if kind == b"moov":
                for track in (inner for kind, inner in _inside(box) if kind == b"trak"):
                    for name, header in _inside(track):
                        if name == b"tkhd" and len(header) >= 8 and any(header[-8:]):
                            width, height = struct.unpack(">II", header[-8:])
                            return width >> 16, height >> 16
    return None, None


def _boxes(file: IO[bytes], end: int) -> Iterator[tuple[bytes, bytes]]:
    """The boxes of a file; of those that hold no facts only the name."""
    at = 0
    while at + 8 <= end:
        file.seek(at)
        size, kind = struct.unpack(">I4s", file.read(8))
        head = 8
        if size == 1 and at + 16 <= end:
            (size,), head = struct.unpack(">Q", file.read(8)), 16
        size = size or end - at
        if size < head:
            return
        yield kind, file.read(min(size - head, _MOST_FACTS)) if kind == b"moov" else b""
        at += size


def _inside(box: bytes) -> Iterator[tuple[bytes, bytes]]:
    at = 0
    while at + 8 <= len(box):
        size, kind = struct.unpack_from(">I4s", box, at)
        if size < 8:
            return
        yield kind, box[at + 8 : at + size]
        at += size


_MOST_FACTS = 16_000_000
"""Bytes of a video's index that are looked at."""


def convert(source: Path, target: Path, suffix: str) -> None:
    """Write a picture anew in the format that a suffix such as ``.png`` names."""
    from PIL import Image  # noqa: PLC0415 - as above

    name = {".jpg": "JPEG", ".jpeg": "JPEG", ".png": "PNG", ".webp": "WEBP"}[suffix]
    how = {"JPEG": {"quality": 95}, "PNG": {"compress_level": 3}}  # half the time of 6, and a fifth more bytes
    with Image.open(source) as picture:
        mode = picture.convert("RGB") if name == "JPEG" and picture.mode not in ("RGB", "L") else picture
        mode.save(target, format=name, **how.get(name, {}))
