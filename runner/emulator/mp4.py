"""MP4 files: the units of a video in, a file that players can start before it has ended out; and its length back.

Boxes are those of ISO/IEC 14496-12, `avc1` and `avcC` those of 14496-15, the comment is Apple's.
"""

import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

_UNITY = struct.pack(">9I", 0x10000, 0, 0, 0, 0x10000, 0, 0, 0, 0x40000000)  # the matrix that changes nothing
_UNDETERMINED = 0x55C4  # the language code "und"


@dataclass(frozen=True, slots=True)
class Track:
    """A video: its parameter sets, one unit a frame, the frames that need no other, how fast, how large."""

    sets: tuple[bytes, bytes]
    frames: Sequence[bytes]
    keys: Sequence[int]
    fps: int
    size: tuple[int, int]


def written(track: Track, *, about: str) -> bytes:
    """The file; the index stands before the pictures."""
    kind = _box(b"ftyp", b"isom", struct.pack(">I", 0x200), b"isomiso2avc1mp41")
    data = b"".join(struct.pack(">I", len(frame)) + frame for frame in track.frames)
    # The index says where the pictures begin, which depends on its own length, which does not depend on that.
    start = len(kind) + len(_index(track, about, 0)) + 8
    return kind + _index(track, about, start) + _box(b"mdat", data)


def seconds(data: bytes) -> float:
    """How long a file lasts. Raises ValueError for what is no MP4 file."""
    header = _inside(data, (b"moov", b"mvhd"))
    if header is not None and len(header) >= 32:
        wide = header[0] == 1
        scale, length = struct.unpack_from(">IQ" if wide else ">II", header, 20 if wide else 12)
        if scale:
            return float(length / scale)
    raise ValueError("it is no MP4 file")


def _index(track: Track, about: str, start: int) -> bytes:
    length = len(track.frames)
    wide, high = (pixels << 16 for pixels in track.size)
    movie = _full(
        b"mvhd", 0, struct.pack(">IIIIIH10x", 0, 0, track.fps, length, 0x10000, 0x100), _UNITY, bytes(24), b"\0\0\0\2"
    )
    head = _full(
        b"tkhd", 3, struct.pack(">IIIII8xHHHH", 0, 0, 1, 0, length, 0, 0, 0, 0), _UNITY, struct.pack(">II", wide, high)
    )
    media = _box(
        b"mdia",
        _full(b"mdhd", 0, struct.pack(">IIIIHH", 0, 0, track.fps, length, _UNDETERMINED, 0)),
        _full(b"hdlr", 0, bytes(4), b"vide", bytes(12), b"video\0"),
        _box(
            b"minf",
            _full(b"vmhd", 1, bytes(8)),
            _box(b"dinf", _full(b"dref", 0, struct.pack(">I", 1), _full(b"url ", 1))),
            _table(track, start),
        ),
    )
    return _box(b"moov", movie, _box(b"trak", head, media), _comment(about))


def _table(track: Track, start: int) -> bytes:
    """How long, how large and where each frame is."""
    count = len(track.frames)
    sizes = struct.pack(f">{count}I", *(len(frame) + 4 for frame in track.frames))
    keys = struct.pack(f">{len(track.keys)}I", *(key + 1 for key in track.keys))
    return _box(
        b"stbl",
        _full(b"stsd", 0, struct.pack(">I", 1), _entry(track)),
        _full(b"stts", 0, struct.pack(">III", 1, count, 1)),
        _full(b"stss", 0, struct.pack(">I", len(track.keys)), keys),
        _full(b"stsc", 0, struct.pack(">IIII", 1, 1, count, 1)),
        _full(b"stsz", 0, struct.pack(">II", 0, count), sizes),
        _full(b"stco", 0, struct.pack(">II", 1, start)),
    )


def _entry(track: Track) -> bytes:
    sequence, picture = track.sets
    config = b"\x01" + sequence[1:4] + b"\xff\xe1"  # version, profile and level, lengths in 4 bytes, one set
    config += struct.pack(">H", len(sequence)) + sequence + b"\x01" + struct.pack(">H", len(picture)) + picture
    sample = struct.pack(">6xH16xHHIIIH32xHh", 1, *track.size, 72 << 16, 72 << 16, 0, 1, 24, -1)
    colours = _box(b"colr", b"nclx", struct.pack(">HHHB", 1, 1, 6, 0))
    return _box(b"avc1", sample, _box(b"avcC", config), colours, _box(b"pasp", struct.pack(">II", 1, 1)))


def _comment(about: str) -> bytes:
    """Where players and ffprobe look for a comment."""
    value = _box(b"data", struct.pack(">II", 1, 0), about.encode(errors="replace"))
    listed = _box(b"ilst", _box(b"\xa9cmt", value))
    return _box(b"udta", _full(b"meta", 0, _full(b"hdlr", 0, bytes(4), b"mdirappl", bytes(9)), listed))


def _box(name: bytes, *parts: bytes) -> bytes:
    body = b"".join(parts)
    return struct.pack(">I", len(body) + 8) + name + body


def _full(name: bytes, flags: int, *parts: bytes) -> bytes:
    """A box with a version, always 0, and flags."""
    return _box(name, struct.pack(">I", flags), *parts)


def _inside(data: bytes, path: Sequence[bytes]) -> bytes | None:
    """The body of the first box at the end of a path of boxes."""
    for name, body in _boxes(data):
        if name == path[0]:
            return body if len(path) == 1 else _inside(body, path[1:])
    return None


def _boxes(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    at = 0
    while at + 8 <= len(data):
        size, name = struct.unpack_from(">I4s", data, at)
        head = 8
        if size == 1 and at + 16 <= len(data):  # large sizes stand behind the name
            size, head = struct.unpack_from(">Q", data, at + 8)[0], 16
        size = size or len(data) - at  # none means: to the end
        if size < head:
            return
        yield name, data[at + head : at + size]
        at += size
