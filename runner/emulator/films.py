"""Films: pictures, a size and a time in, an MP4 file that pans slowly over one after the other out.

The first frame is the first picture as it came, scaled to fill the frame.
"""

import math

from PIL import Image, ImageOps

from . import h264, mp4
from .h264 import BLOCK, Format

Size = tuple[int, int]


def film(shots: list[Image.Image], *, size: Size, seconds: float, fps: int, about: str) -> bytes:
    """Each shot has the same share of the time. Sides of `size` are even."""
    form = canvas(size)
    count = max(len(shots), round(seconds * fps))
    starts = [count * number // len(shots) for number in range(len(shots) + 1)]
    frames: list[bytes] = []
    for number, shot in enumerate(shots):
        frames.append(h264.key(_filling(shot, form), form, number))
        length = starts[number + 1] - starts[number]
        frames += [h264.moved(form, order, _drift(form, order / length)) for order in range(1, length)]
    track = mp4.Track(h264.parameters(form, fps), frames, starts[:-1], fps, size)
    return mp4.written(track, about=about)


def canvas(size: Size) -> Format:
    """A format that shows `size` and has room to pan along its longer side."""
    wide, high = size
    room = max(2 * BLOCK, max(size) // 20)
    wide, high = (wide + room, high) if wide >= high else (wide, high + room)
    return Format((_blocks(wide), _blocks(high)), size)


def always_seen(form: Format) -> tuple[int, int, int, int]:
    """The box of the canvas that no frame of a shot leaves out."""
    (wide, high), (right, bottom) = form.coded, form.shown
    along = right >= bottom
    return (wide - right if along else 0, 0 if along else high - bottom, right, bottom)


def _filling(shot: Image.Image, form: Format) -> Image.Image:
    return shot if shot.size == form.coded else ImageOps.fit(shot, form.coded, Image.Resampling.BICUBIC)


def _drift(form: Format, part: float) -> tuple[int, int]:
    """Quarter pixels after that part of a shot; a camera starts and stops softly."""
    soft = (1 - math.cos(math.pi * part)) / 2
    across, down = (coded - shown for coded, shown in zip(form.coded, form.shown, strict=True))
    along = form.shown[0] >= form.shown[1]
    return (round(4 * across * soft), 0) if along else (0, round(4 * down * soft))


def _blocks(pixels: int) -> int:
    return max(2 * BLOCK, -(-pixels // BLOCK) * BLOCK)
