"""Captions: a text and a width in, word-wrapped lines and the band that shows them out."""

from dataclasses import dataclass
from functools import lru_cache

from PIL import Image, ImageDraw, ImageFont

from .palettes import RGB, mixed

WHITE: RGB = (255, 255, 255)
SMALLEST = 96  # below this many pixels on the short side no caption could be read


@lru_cache(maxsize=64)
def font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    """Pillow's bundled typeface: no file of the machine decides how a picture looks."""
    return ImageFont.load_default(size=size)


@dataclass(frozen=True, slots=True)
class Caption:
    """Wrapped lines, one small line under them, and the pixels they need."""

    lines: tuple[str, ...]
    small: str
    size: int
    width: int

    @property
    def leading(self) -> int:
        """From one line to the next."""
        return round(self.size * 1.3)

    @property
    def height(self) -> int:
        """All lines with their padding."""
        return len(self.lines) * self.leading + round(self.size * 2.2)


def caption(text: str, small: str, *, width: int, size: int, most: int = 4) -> Caption:
    """Wraps at words, breaks words that are longer than a line, and ends in an ellipsis past `most` lines."""
    face = font(size)
    lines = _wrapped(" ".join(text.split()) or "untitled", face, width)
    if len(lines) > most:
        lines = [*lines[: most - 1], _shortened(lines[most - 1] + " …", face, width)]
    return Caption(tuple(lines), _shortened(small, font(small_size(size)), width), size, width)


def small_size(size: int) -> int:
    """The second line whispers."""
    return max(9, round(size * 0.62))


def _wrapped(text: str, face: ImageFont.FreeTypeFont | ImageFont.ImageFont, width: int) -> list[str]:
    lines: list[str] = []
    line = ""
    for word in text[:300].split():  # more never fits, and a long word costs the square of its length
        longer = f"{line} {word}".strip()
        if face.getlength(longer) <= width:
            line = longer
            continue
        if line:
            lines.append(line)
        line = word
        while face.getlength(line) > width and len(line) > 1:
            fits = next(end for end in range(len(line) - 1, 0, -1) if end == 1 or face.getlength(line[:end]) <= width)
            lines.append(line[:fits])
            line = line[fits:]
    return [*lines, line] if line else lines


def _shortened(line: str, face: ImageFont.FreeTypeFont | ImageFont.ImageFont, width: int) -> str:
    while face.getlength(line) > width and len(line) > 2:
        line = line.rstrip("… ")[:-1].rstrip() + "…"
    return line


def write(picture: Image.Image, words: Caption, at: tuple[int, int], ink: RGB, ground: RGB) -> None:
    """Writes the lines with `at` as the top left corner of their padding."""
    pen = ImageDraw.Draw(picture)
    left, top = at
    top += round(words.size * 0.55)
    for number, line in enumerate(words.lines):
        pen.text((left, top + number * words.leading), line, fill=ink, font=font(words.size))
    below = top + len(words.lines) * words.leading + round(words.size * 0.18)
    pen.text((left, below), words.small, fill=mixed(ink, ground, 0.34), font=font(small_size(words.size)))


def band(picture: Image.Image, text: str, small: str, tone: RGB) -> None:
    """A translucent panel along the lower edge, with the text in it."""
    wide, high = picture.size
    if min(wide, high) < SMALLEST:
        return
    size = max(10, round((wide * high) ** 0.5 / 30))
    margin = round(min(wide, high) * 0.03)
    padding = round(size * 0.9)
    words = caption(text, small, width=wide - 2 * (margin + padding), size=size, most=max(1, high // (size * 5)))
    box = (margin, high - margin - words.height, wide - margin, high - margin)
    under = picture.crop(box)
    panel = Image.blend(under, Image.new("RGB", under.size, tone), 0.74)
    corner = Image.new("L", (under.width * 2, under.height * 2), 0)
    ImageDraw.Draw(corner).rounded_rectangle((0, 0, corner.width - 1, corner.height - 1), radius=size, fill=255)
    picture.paste(panel, box[:2], corner.reduce(2))
    write(picture, words, (box[0] + padding, box[1]), WHITE, tone)
