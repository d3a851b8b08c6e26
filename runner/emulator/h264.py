"""H.264: pictures and how far they drift in, a stream of a baseline encoder that never loses a pixel out.

As small as an encoder can be that every player understands. A key picture is raw samples (I_PCM); every
picture after it is the key picture moved by whole and quarter pixels: one motion vector, which all its
blocks inherit, about a hundred bytes. Nothing is predicted from what was itself predicted, so nothing blurs.
Sections in comments are those of ITU-T H.264.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from PIL import Image

BLOCK = 16  # pixels of a macroblock, each way
_LEVELS = ((99, 10), (396, 20), (792, 21), (1620, 30), (3600, 31), (5120, 32), (8192, 40), (8704, 42), (22_080, 50))
_KEY, _MOVED, _SPS, _PPS = 0x65, 0x01, 0x67, 0x68  # type of a unit, with its weight as a reference


@dataclass(frozen=True, slots=True)
class Format:
    """The pixels that are coded, two whole blocks or more each way, and those that are shown, from the top left."""

    coded: tuple[int, int]
    shown: tuple[int, int]

    @property
    def blocks(self) -> tuple[int, int]:
        """Columns and rows of macroblocks."""
        return self.coded[0] // BLOCK, self.coded[1] // BLOCK

    @property
    def level(self) -> int:
        """The least level whose pictures are as large (A.3.1)."""
        count = self.blocks[0] * self.blocks[1]
        return next((level for most, level in _LEVELS if count <= most), 52)


class Bits:
    """Bits in the order of the standard: fixed lengths and Exp-Golomb codes (9.1)."""

    def __init__(self) -> None:
        self._text: list[str] = []

    def u(self, length: int, value: int) -> "Bits":
        """An unsigned number in so many bits."""
        self._text.append(f"{value:0{length}b}")
        return self

    def ue(self, *values: int) -> "Bits":
        """Unsigned numbers, small ones short."""
        for value in values:
            code = f"{value + 1:b}"
            self._text.append("0" * (len(code) - 1) + code)
        return self

    def se(self, *values: int) -> "Bits":
        """Signed numbers, small ones short."""
        return self.ue(*(2 * value - 1 if value > 0 else -2 * value for value in values))

    def add(self, bits: "Bits", times: int = 1) -> "Bits":
        """Other bits, as often as is said."""
        self._text.append(str(bits) * times)
        return self

    def __str__(self) -> str:
        return "".join(self._text)

    def padded(self, *, stop: bool) -> bytes:
        """Whole bytes: zeros to the end, after the bit that says where it is in a unit's last byte (7.3.2.11)."""
        text = str(self) + ("1" if stop else "")
        text += "0" * (-len(text) % 8)
        return int(text or "0", 2).to_bytes(len(text) // 8, "big")


def parameters(form: Format, fps: int) -> tuple[bytes, bytes]:
    """The sequence and the picture parameter set (7.3.2.1, 7.3.2.2)."""
    wide, high = form.blocks
    sequence = Bits().u(8, 66).u(8, 0b1100_0000).u(8, form.level)  # constrained baseline
    sequence.ue(0, 0, 0, 12)  # id; frame_num in 4 bits; order of pictures by number, in 16 bits
    sequence.ue(1).u(1, 0)  # one reference, no gaps
    sequence.ue(wide - 1, high - 1).u(1, 1).u(1, 0)  # frames only
    right, bottom = (coded - shown for coded, shown in zip(form.coded, form.shown, strict=True))
    sequence.u(1, 1).ue(0, right // 2, 0, bottom // 2)  # cropping, in chroma samples
    sequence.u(1, 1)  # usability information follows (E.1.1)
    sequence.u(1, 0).u(1, 0)  # neither aspect ratio nor overscan
    # Colours: a limited range, the primaries and transfer of BT.709, the matrix of BT.601, as Pillow has it.
    sequence.u(1, 1).u(3, 5).u(1, 0).u(1, 1).u(8, 1).u(8, 1).u(8, 6)
    sequence.u(1, 0)  # no place of chroma
    sequence.u(1, 1).u(32, 1).u(32, 2 * fps).u(1, 1)  # two ticks a frame, at a fixed rate
    sequence.u(1, 0).u(1, 0).u(1, 0)  # no buffers of an ideal decoder, no structure
    sequence.u(1, 1).u(1, 1).ue(0, 0, 16, 16, 0, 1)  # nothing is shown out of order: a player need not wait
    picture = Bits().ue(0, 0).u(1, 0).u(1, 0).ue(0, 0, 0).u(1, 0).u(2, 0).se(0, 0, 0)
    picture.u(1, 1).u(1, 0).u(1, 0)  # each slice says that it is not smoothed
    return _unit(_SPS, sequence.padded(stop=True)), _unit(_PPS, picture.padded(stop=True))


def key(image: Image.Image, form: Format, number: int) -> bytes:
    """A picture that needs no other, its samples as they are. The image has the size that is coded."""
    header = Bits().ue(0, 7, 0).u(4, 0)  # first block, an I slice, its parameters, frame_num
    header.ue(number % 2).u(16, 0)  # neighbouring key pictures differ in this number; the count starts anew
    header.u(1, 0).u(1, 0)  # it stays a reference until the next one
    header.se(0).ue(1)  # quality has no meaning for raw samples; no smoothing
    first = header.ue(25).padded(stop=False)  # I_PCM, then zeros to a whole byte
    # From the second block on the code of I_PCM and its zeros are two bytes of their own.
    return _unit(_KEY, first + b"\x0d\x00".join(_raw(image, form)) + b"\x80")


def moved(form: Format, order: int, by: tuple[int, int]) -> bytes:
    """The key picture, seen from so many quarter pixels to the right and down. `order` counts from it, 1 first."""
    wide, high = form.blocks
    slice_ = Bits().ue(0, 5, 0).u(4, 1)  # a P slice; frame_num is one after the only reference
    slice_.u(16, 2 * order % 65_536).u(1, 0).u(1, 0)  # its place; one reference, in the usual order
    slice_.se(0).ue(1)
    if by == (0, 0):
        return _unit(_MOVED, slice_.ue(wide * high).padded(stop=True))
    # A skipped block takes the vector of its neighbours, but at the left and the upper edge it takes none
    # (8.4.1.1). There each block is written out: 16x16, no difference to its neighbour's vector, no residual.
    written = Bits().ue(0).se(0, 0).ue(0)
    slice_.ue(0, 0).se(*by).ue(0)  # nothing skipped before the first block, and its vector
    slice_.add(Bits().ue(0).add(written), wide - 1)
    slice_.ue(0).add(written).add(Bits().ue(wide - 1).add(written), high - 2)
    return _unit(_MOVED, slice_.ue(wide - 1).padded(stop=True))


def _raw(image: Image.Image, form: Format) -> Iterator[bytes]:
    """256 samples of brightness and twice 64 of colour for each block, none of them zero."""
    y, cb, cr = image.convert("YCbCr").split()
    half = (form.coded[0] // 2, form.coded[1] // 2)
    luma = y.point([round(16 + n * 219 / 255) for n in range(256)])
    chroma = [
        band.resize(half, Image.Resampling.BOX).point([round(16 + n * 224 / 255) for n in range(256)])
        for band in (cb, cr)
    ]
    planes = [(luma.tobytes(), form.coded[0], BLOCK), *((band.tobytes(), half[0], BLOCK // 2) for band in chroma)]
    columns, rows = form.blocks
    for row in range(rows):
        # A row of blocks is as many rows of samples; a block is a column of each.
        lines = [[data[(row * side + line) * width :][:width] for line in range(side)] for data, width, side in planes]
        for column in range(columns):
            yield b"".join(
                line[column * side : column * side + side]
                for (_, _, side), band in zip(planes, lines, strict=True)
                for line in band
            )


def _unit(kind: int, payload: bytes) -> bytes:
    """A unit without its start code. Three is put wherever the payload would look like one (7.4.1)."""
    return bytes([kind]) + re.sub(rb"\0\0(?=[\0-\3])", b"\0\0\3", payload)
