"""A note inside a picture, as XMP: a picture's bytes in, the same picture with the note out; and the note back.

PNG holds it as a text chunk (iTXt), JPEG as a segment (APP1), WebP as a chunk of its extended form. Pixels are not
touched: what is not the note is carried over byte for byte. Formats that are not known here, and files whose structure
does not hold, are given back as they came. Nothing depends on the time, so the same note gives the same bytes.

XMP: ISO 16684-1; where it goes: its part 3, and the WebP container specification.
"""

from __future__ import annotations

import re
import struct
import zlib
from collections.abc import Iterator

PROPERTY = "runner:made"

_PNG = b"\x89PNG\r\n\x1a\n"
_PNG_NAME = b"XML:com.adobe.xmp\0"
_JPEG_NAME = b"http://ns.adobe.com/xap/1.0/\0"
_JPEG_MOST = 0xFFFF - 2
_VP8X, _ALPHA, _XMP = 10, 0x10, 0x04

_NOTE = re.compile(
    rb'<rdf:Description rdf:about="" xmlns:runner="[^"]*">\s*<runner:made>(.*?)</runner:made>\s*</rdf:Description>\n?',
    re.DOTALL,
)
_SPACE = "urn:recipe-runner:1"
"""The namespace of our one property: a name, not an address."""
_UNFIT = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""What XML cannot hold in any spelling."""


def marked(picture: bytes, note: str, title: str = "") -> bytes:
    """The picture with a note in place of the one it may have, and a ``title`` that other programs show.

    What another program has noted stays beside it.
    """
    try:
        if picture.startswith(_PNG):
            return _png(picture, note, title)
        if picture.startswith(b"\xff\xd8\xff"):
            return _jpeg(picture, note, title)
        if picture[:4] == b"RIFF" and picture[8:12] == b"WEBP":
            return _webp(picture, note, title)
    except (ValueError, IndexError, struct.error, zlib.error):
        return picture  # decoders forgive more than we want to rearrange
    return picture


def note_in(picture: bytes) -> str | None:
    """The note that `marked` wrote; None if there is none."""
    try:
        found = _NOTE.search(_packet_in(picture))
    except (ValueError, IndexError, struct.error, zlib.error):
        return None
    from xml.sax.saxutils import unescape

    return unescape(found[1].decode("utf-8", "replace")) if found else None


def _packet_in(picture: bytes) -> bytes:
    found: Iterator[bytes] = iter(())
    if picture.startswith(_PNG):
        found = (_text(data) for kind, data in _png_chunks(picture) if _is_xmp(kind, data))
    elif picture.startswith(b"\xff\xd8\xff"):
        found = (segment[4 + len(_JPEG_NAME) :] for segment in _jpeg_segments(picture)[0] if _is_app1(segment))
    elif picture[:4] == b"RIFF" and picture[8:12] == b"WEBP":
        found = (data for kind, data in _webp_chunks(picture) if kind == b"XMP ")
    return next(found, b"")


def _packet(old: bytes, note: str, title: str) -> bytes:
    """The packet that is there, with the note in it; or a new one."""
    from xml.sax.saxutils import escape

    made = (
        f'<rdf:Description rdf:about="" xmlns:runner="{_SPACE}">\n'
        f"<{PROPERTY}>{escape(_UNFIT.sub('�', note))}</{PROPERTY}>\n</rdf:Description>\n"
    ).encode()
    rest, end, tail = _NOTE.sub(b"", old).rpartition(b"</rdf:RDF>")
    if end:
        return rest + made + end + tail
    shown = escape(_UNFIT.sub("�", title))
    return (
        '<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>\n'
        '<x:xmpmeta xmlns:x="adobe:ns:meta/">\n<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">\n'
        '<rdf:Description rdf:about="" xmlns:xmp="http://ns.adobe.com/xap/1.0/"'
        ' xmlns:dc="http://purl.org/dc/elements/1.1/">\n<xmp:CreatorTool>runner</xmp:CreatorTool>\n'
        f'<dc:description><rdf:Alt><rdf:li xml:lang="x-default">{shown}</rdf:li></rdf:Alt></dc:description>\n'
        "</rdf:Description>\n"
    ).encode() + made + b'</rdf:RDF>\n</x:xmpmeta>\n<?xpacket end="w"?>'  # fmt: skip


def _png(picture: bytes, note: str, title: str) -> bytes:
    """The note right after the head: before the pixels, as readers of a stream want it."""
    chunks = list(_png_chunks(picture))
    old = next((_text(data) for kind, data in chunks if _is_xmp(kind, data)), b"")
    (head, first), *others = chunks
    if head != b"IHDR":
        raise ValueError(head)
    kept = [(kind, data) for kind, data in others if not _is_xmp(kind, data)]
    ours = b"iTXt", _PNG_NAME + bytes(4) + _packet(old, note, title)
    end = sum(len(data) + 12 for _, data in chunks) + len(_PNG)
    whole = b"".join(_png_chunk(kind, data) for kind, data in ((head, first), ours, *kept))
    return _PNG + whole + picture[end:]


def _png_chunks(picture: bytes) -> Iterator[tuple[bytes, bytes]]:
    at = len(_PNG)
    kind = b""
    while kind != b"IEND":
        size, kind = struct.unpack_from(">I4s", picture, at)
        data = picture[at + 8 : at + 8 + size]
        (check,) = struct.unpack_from(">I", picture, at + 8 + size)
        if zlib.crc32(kind + data) != check:
            raise ValueError(kind)  # writing it anew would hide the damage
        yield kind, data
        at += size + 12


def _png_chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def _is_xmp(kind: bytes, data: bytes) -> bool:
    return kind == b"iTXt" and data.startswith(_PNG_NAME)


def _text(data: bytes) -> bytes:
    """The text of an iTXt chunk: after its name a flag for compression, a method, a language, a name in it."""
    rest = data[len(_PNG_NAME) :]
    _, _, text = rest[2:].split(b"\0", 2)
    return zlib.decompressobj().decompress(text, 1 << 20) if rest[0] else text


def _jpeg(picture: bytes, note: str, title: str) -> bytes:
    segments, pixels = _jpeg_segments(picture)
    old = next((segment[4 + len(_JPEG_NAME) :] for segment in segments if _is_app1(segment)), b"")
    content = b"\xff\xe1" + bytes(2) + _JPEG_NAME + _packet(old, note, title)
    if len(content) - 2 > _JPEG_MOST:
        return picture
    ours = content[:2] + struct.pack(">H", len(content) - 2) + content[4:]
    kept = [segment for segment in segments if not _is_app1(segment)]
    first = 0  # JFIF and EXIF want to be first
    while first < len(kept) and (kept[first][1] == 0xE0 or kept[first][4:10] == b"Exif\0\0"):
        first += 1
    return picture[:2] + b"".join([*kept[:first], ours, *kept[first:]]) + pixels


def _is_app1(segment: bytes) -> bool:
    return segment[1] == 0xE1 and segment[4:].startswith(_JPEG_NAME)


def _jpeg_segments(picture: bytes) -> tuple[list[bytes], bytes]:
    """The segments before the pixels, and everything from there on."""
    segments: list[bytes] = []
    at = 2
    while True:
        marker, code, size = struct.unpack_from(">BBH", picture, at)
        if marker != 0xFF or size < 2:
            raise ValueError(marker)
        if not (0xE0 <= code <= 0xEF or code == 0xFE):  # neither an APP segment nor a comment
            return segments, picture[at:]
        segments.append(picture[at : at + 2 + size])
        at += 2 + size


def _webp(picture: bytes, note: str, title: str) -> bytes:
    chunks = list(_webp_chunks(picture))
    old = next((data for kind, data in chunks if kind == b"XMP "), b"")
    head = bytearray(_extended(chunks[0]))
    head[0] |= _XMP
    kept = [(kind, data) for kind, data in chunks if kind not in (b"VP8X", b"XMP ")]
    whole = [(b"VP8X", bytes(head)), *kept, (b"XMP ", _packet(old, note, title))]
    body = b"WEBP" + b"".join(kind + struct.pack("<I", len(data)) + data + bytes(len(data) % 2) for kind, data in whole)
    return b"RIFF" + struct.pack("<I", len(body)) + body


def _webp_chunks(picture: bytes) -> Iterator[tuple[bytes, bytes]]:
    at, end = 12, struct.unpack_from("<I", picture, 4)[0] + 8
    if end > len(picture):
        raise ValueError(end)
    while at + 8 <= end:
        kind, size = struct.unpack_from("<4sI", picture, at)
        if at + 8 + size > end:
            raise ValueError(size)
        yield kind, picture[at + 8 : at + 8 + size]
        at += 8 + size + size % 2


def _extended(first: tuple[bytes, bytes]) -> bytes:
    """The head of the extended form: flags, width - 1 and height - 1; of the simple form what its pixels begin with."""
    kind, data = first
    if kind == b"VP8X" and len(data) >= _VP8X:
        return data
    if kind == b"VP8L" and data[0] == 0x2F:
        (bits,) = struct.unpack_from("<I", data, 1)
        width, height, alpha = bits & 0x3FFF, bits >> 14 & 0x3FFF, bits >> 28 & 1
    elif kind == b"VP8 " and data[3:6] == b"\x9d\x01\x2a":
        width, height = ((size & 0x3FFF) - 1 for size in struct.unpack_from("<HH", data, 6))
        alpha = 0
    else:
        raise ValueError(kind)
    return struct.pack("<I", _ALPHA * alpha) + struct.pack("<I", width)[:3] + struct.pack("<I", height)[:3]
