"""WAV files: samples and words in, a file that says what is spoken in it out; and the way back.

The words stand where every tool looks for a comment, in the ICMT of a LIST INFO chunk.
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass

RATE = 24_000  # samples a second, mono, 16 bits


@dataclass(frozen=True, slots=True)
class Wave:
    """What is known of a WAV file: how long it is, and what is said in it by whom, if it says so."""

    seconds: float
    text: str = ""
    voice: str = ""


def written(samples: bytes, *, text: str, voice: str) -> bytes:
    """The file. `text` stands before the sound, so that it is found without reading all of it."""
    form = struct.pack("<HHIIHH", 1, 1, RATE, RATE * 2, 2, 16)
    info = b"INFO" + _chunk(b"ICMT", text.encode(errors="replace") + b"\0")
    info += _chunk(b"IART", voice.encode(errors="replace") + b"\0")
    body = b"WAVE" + _chunk(b"fmt ", form) + _chunk(b"LIST", info) + _chunk(b"data", samples)
    return _chunk(b"RIFF", body)


def read(data: bytes) -> Wave:
    """What a WAV file says of itself. Raises ValueError for what is none, or has no sound."""
    if data[:4] != b"RIFF" or data[8:12] != b"WAVE":
        raise ValueError("it is no WAV file")
    rate: int = 0
    size: int | None = None
    said: dict[bytes, bytes] = {}
    for name, start, end in _chunks(data, 12, len(data)):
        if name == b"fmt " and end - start >= 16:
            rate = struct.unpack_from("<I", data, start + 8)[0]
        elif name == b"data":
            size = end - start
        elif name == b"LIST" and data[start : start + 4] == b"INFO":
            said |= {key: data[at:to] for key, at, to in _chunks(data, start + 4, end)}
    if not rate or size is None:
        raise ValueError("it is a WAV file without sound")
    text, voice = (said.get(key, b"").rstrip(b"\0").decode(errors="replace") for key in (b"ICMT", b"IART"))
    return Wave(size / rate, text, voice)


def _chunk(name: bytes, data: bytes) -> bytes:
    """Chunks begin at even places."""
    return name + struct.pack("<I", len(data)) + data + b"\0" * (len(data) % 2)


def _chunks(data: bytes, start: int, end: int) -> Iterator[tuple[bytes, int, int]]:
    """Name, beginning and end of each; a chunk that promises more than there is ends where the file does."""
    while start + 8 <= end:
        name, size = data[start : start + 4], struct.unpack_from("<I", data, start + 4)[0]
        yield name, start + 8, min(start + 8 + size, end)
        start += 8 + size + size % 2
