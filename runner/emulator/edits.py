"""Edits: pictures and a wish in, the same pictures tinted, mounted and labelled with the wish out.

The picture that was sent stays whole inside a mat, so its own caption can still be read, and an edit
of an edit is a frame within a frame.
"""

from random import Random

from PIL import Image, ImageChops, ImageDraw, ImageFilter, ImageOps

from .captions import SMALLEST, caption, write
from .palettes import RGB, mixed, palette, shade


def edited(
    sources: list[Image.Image], prompt: str, *, size: tuple[int, int] | None, seed: int, signature: str
) -> Image.Image:
    """Several sources are laid side by side; the outcome has the size of the first unless one is given."""
    random = Random(f"{signature}\n{seed}\n{prompt}")
    hue = palette(prompt, random).hue
    size = size or sources[0].size
    inner = _tinted(_tiled(sources), hue, random)
    if min(size) < SMALLEST:
        return inner.resize(size, Image.Resampling.LANCZOS)
    return _mounted(inner, prompt, f"edit   {signature}   seed {seed}", hue, size)


def _tiled(sources: list[Image.Image]) -> Image.Image:
    if len(sources) == 1:
        return sources[0].convert("RGB")
    high = sources[0].height
    gap = max(2, high // 60)
    tiles = [
        source.convert("RGB").resize((max(1, round(source.width * high / source.height)), high)) for source in sources
    ]
    sheet = Image.new("RGB", (sum(tile.width for tile in tiles) + gap * (len(tiles) - 1), high), "white")
    left = 0
    for tile in tiles:
        sheet.paste(tile, (left, 0))
        left += tile.width + gap
    return sheet


def _tinted(picture: Image.Image, hue: float, random: Random) -> Image.Image:
    """A duotone over the colours that were there, more in the shadows of the corners."""
    dark, bright = shade(hue - 18, 0.60, 0.13), shade(hue + 14, 0.85, 0.88)
    tone = ImageOps.colorize(picture.convert("L"), dark, bright, mid=shade(hue, 0.62, random.uniform(0.48, 0.54)))
    blend = Image.blend(picture, tone, random.uniform(0.46, 0.54))
    corners = Image.radial_gradient("L").resize(picture.size, Image.Resampling.BICUBIC)
    blend.paste(dark, (0, 0), corners.point([max(0, n - 110) * 3 // 5 for n in range(256)]))
    return blend


def _mounted(picture: Image.Image, prompt: str, small: str, hue: float, size: tuple[int, int]) -> Image.Image:
    """The picture on a mat with a soft shadow, the wish written below it."""
    wide, high = size
    edge = max(6, round(min(size) * 0.045))
    letters = max(10, round((wide * high) ** 0.5 / 32))
    words = caption(prompt, small, width=wide - 2 * edge, size=letters, most=max(1, high // (letters * 8)))
    paper, ink = shade(hue, 0.38, 0.93), shade(hue - 18, 0.50, 0.17)
    room = (wide - 2 * edge, max(8, high - edge - words.height - edge // 3))
    photo = ImageOps.contain(picture, room, Image.Resampling.LANCZOS)
    left, top = (wide - photo.width) // 2, edge + (room[1] - photo.height) // 2
    mat = _mat(size, paper, (left, top, left + photo.width, top + photo.height), ink)
    mat.paste(photo, (left, top))
    write(mat, words, (edge, high - words.height), ink, paper)
    return mat


def _mat(size: tuple[int, int], paper: RGB, box: tuple[int, int, int, int], ink: RGB) -> Image.Image:
    """Paper with a bevel and the shadow of what lies on it, painted small and enlarged."""
    scale = min(1.0, 160 / min(size))
    soft = (max(2, round(size[0] * scale)), max(2, round(size[1] * scale)))
    mask = Image.new("L", soft, 0)
    left, top, right, bottom = (round(edge * scale) for edge in box)
    ImageDraw.Draw(mask).rectangle((left, top + 2, right, bottom + 3), fill=150)
    sheet = Image.linear_gradient("L").resize(soft)
    ground = ImageOps.colorize(sheet, mixed(paper, (255, 255, 255), 0.3), mixed(paper, ink, 0.06))
    ground.paste(ink, (0, 0), ImageChops.offset(mask, 0, 1).filter(ImageFilter.GaussianBlur(2.6)))
    mat = ground.resize(size, Image.Resampling.BICUBIC)
    bevel = max(2, round(min(size) / 220))
    outer = (box[0] - bevel, box[1] - bevel, box[2] + bevel - 1, box[3] + bevel - 1)
    ImageDraw.Draw(mat).rectangle(outer, fill=mixed(paper, (255, 255, 255), 0.75))
    return mat
