"""Pictures: a prompt, a size and a seed in, a small still life with the prompt as its caption out.

Everything soft (light, shadow, backdrop) is painted a hundred pixels wide and enlarged, everything
sharp is drawn twice too large and reduced: that is smooth, and it is fast.
"""

import zlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from io import BytesIO
from random import Random

from PIL import Image, ImageChops, ImageDraw, ImageFilter, ImageOps

from .captions import band
from .palettes import RGB, Palette, mixed, palette

MEDIA_TYPES = {"png": "image/png", "jpeg": "image/jpeg", "webp": "image/webp"}
_DESCRIPTION = 0x010E  # Exif: ImageDescription
_SOFT = 112  # pixels on the short side of what is painted small
Point = tuple[float, float]


def picture(prompt: str, *, size: tuple[int, int], seed: int, signature: str) -> Image.Image:
    """The same four arguments always give the same pixels."""
    return captioned(prompt, size=size, box=(0, 0, *size), seed=seed, signature=signature)


def captioned(
    prompt: str, *, size: tuple[int, int], box: tuple[int, int, int, int], seed: int, signature: str
) -> Image.Image:
    """A picture whose caption stays inside a box of it."""
    random = Random(f"{signature}\n{seed}\n{prompt}")
    colours = palette(prompt, random)
    scene = _scene(colours, random)
    canvas = _backdrop(scene, colours, size, random)
    for solid in scene.solids:
        _place(canvas, solid, scene)
    canvas = grained(canvas, random)
    inside = canvas.crop(box)
    band(inside, prompt, f"{signature}   seed {seed}", colours.deep)
    canvas.paste(inside, box[:2])
    return canvas


def encoded(image: Image.Image, form: str, about: str = "") -> bytes:
    """The file's bytes, with the prompt inside; PNG is packed lightly because nobody waits for a smaller one."""
    out = BytesIO()
    exif = Image.Exif()
    if about:
        exif[_DESCRIPTION] = about.encode(errors="replace")[:2000]
    match form:
        case "png":
            image.save(out, "PNG", compress_level=1, compress_type=zlib.Z_RLE, exif=exif)
        case "webp":
            image.save(out, "WEBP", quality=88, method=0, exif=exif)
        case _:
            image.save(out, "JPEG", quality=90, exif=exif)
    return out.getvalue()


def described(image: Image.Image) -> str:
    """What a picture says of itself: the prompt that `encoded` put into it, else nothing."""
    text = image.getexif().get(_DESCRIPTION)
    # Exif knows ASCII; the bytes of UTF-8 come back as so many letters of Latin-1.
    return text.encode("latin-1", "ignore").decode(errors="replace").strip("\0 ") if isinstance(text, str) else ""


def grained(image: Image.Image, random: Random) -> Image.Image:
    """A whisper of grain, so that a gradient does not band."""
    side = 160
    # One level up or down for a third of the pixels: strong enough to dither, weak enough to compress.
    levels = [127 if n < 43 else 129 if n > 212 else 128 for n in range(256)]
    speckle = Image.frombytes("L", (side, side), random.randbytes(side * side)).point(levels)
    sheet = Image.new("L", image.size)
    for left in range(0, image.width, side):
        for top in range(0, image.height, side):
            sheet.paste(speckle, (left, top))
    return ImageChops.add(image, Image.merge("RGB", (sheet, sheet, sheet)), 1, -128)


@dataclass(frozen=True, slots=True)
class Solid:
    """A thing on the table: its foot in parts of the picture, its size in parts of the short side."""

    draw: str
    colour: RGB
    x: float
    y: float
    width: float
    height: float


@dataclass(frozen=True, slots=True)
class Scene:
    """Where the table begins, where the light stands (-1 left, 1 right), and what is on the table."""

    horizon: float
    light: int
    solids: tuple[Solid, ...]


def _scene(colours: Palette, random: Random) -> Scene:
    count = random.choice((3, 4, 4, 5))
    middle = random.uniform(0.42, 0.58)
    horizon = random.uniform(0.50, 0.56)
    solids = [
        Solid(
            random.choice(("vase", "jar", "bottle")),
            colours.accents[0],
            middle,
            0.69,
            *_girth(random, 0.30, 0.42),
        )
    ]
    spots = [0.19, 0.81, 0.31, 0.70]
    random.shuffle(spots)
    for number, spot in enumerate(sorted(spots[: count - 1], key=lambda x: -abs(x - middle))):
        near = number % 2
        colour = colours.accents[1 + number % (len(colours.accents) - 1)]
        draw = random.choice(("ball", "ball", "bowl", "arch", "cone") if near else ("arch", "jar", "cone", "bottle"))
        girth = _girth(random, 0.15, 0.20) if near else _girth(random, 0.20, 0.30)
        solids.append(Solid(draw, colour, spot + random.uniform(-0.03, 0.03), 0.725 if near else 0.625, *girth))
    return Scene(horizon, random.choice((-1, 1)), tuple(sorted(solids, key=lambda solid: solid.y)))


def _girth(random: Random, low: float, high: float) -> tuple[float, float]:
    height = random.uniform(low, high)
    return height * random.uniform(0.72, 0.92), height


def _backdrop(scene: Scene, colours: Palette, size: tuple[int, int], random: Random) -> Image.Image:
    wide, high = size
    scale = _SOFT / min(wide, high)
    soft = (max(2, round(wide * scale)), max(2, round(high * scale)))
    small = _wall(colours, soft, scene.light, random)
    _table(small, scene, colours)
    _beam(small, scene, random)
    small = small.filter(ImageFilter.GaussianBlur(1.2))
    _shadows(small, scene, colours)
    _vignette(small, colours.deep)
    return small.resize(size, Image.Resampling.BICUBIC)


def _wall(colours: Palette, size: tuple[int, int], light: int, random: Random) -> Image.Image:
    grid = Image.new("RGB", (5, 4))
    for x in range(5):
        for y in range(4):
            away = (x / 4 if light < 0 else 1 - x / 4) * 0.75 + y / 3 * 0.25
            tone = mixed(colours.light, colours.shade, min(1, max(0, away + random.uniform(-0.12, 0.12))))
            grid.putpixel((x, y), mixed(tone, colours.accents[0], random.uniform(0, 0.10)))
    return grid.resize(size, Image.Resampling.BICUBIC)


def _table(small: Image.Image, scene: Scene, colours: Palette) -> None:
    wide, high = small.size
    top = round(high * scene.horizon)
    cloth = Image.new("RGB", (2, 2))
    near, far = mixed(colours.ground, colours.deep, 0.22), mixed(colours.ground, (255, 255, 255), 0.22)
    bright = 0 if scene.light < 0 else 1
    for x in range(2):
        cloth.putpixel((x, 0), far if x == bright else colours.ground)
        cloth.putpixel((x, 1), colours.ground if x == bright else near)
    small.paste(cloth.resize((wide, max(1, high - top)), Image.Resampling.BICUBIC), (0, top))


def _beam(small: Image.Image, scene: Scene, random: Random) -> None:
    """Light through a window with two panes, leaning away from the lamp."""
    wide, high = small.size
    mask = Image.new("L", small.size, 0)
    pen = ImageDraw.Draw(mask)
    lean = -scene.light * wide * 0.16
    left = wide * random.uniform(0.16, 0.42)
    pane, gap, top, foot = wide * 0.17, wide * 0.025, high * 0.06, high * (scene.horizon - 0.06)
    for number in range(2):
        x = left + number * (pane + gap)
        pen.polygon([(x, top), (x + pane, top), (x + pane + lean, foot), (x + lean, foot)], fill=74)
    small.paste((255, 250, 238), (0, 0), mask.filter(ImageFilter.GaussianBlur(1.6)))


def _shadows(small: Image.Image, scene: Scene, colours: Palette) -> None:
    """A long soft shadow away from the light, and a short dark one where the thing stands."""
    wide, high = small.size
    short = min(wide, high)
    for reach, strength, blur in ((0.95, 96, 4.5), (0.12, 150, 1.7)):
        mask = Image.new("L", small.size, 0)
        pen = ImageDraw.Draw(mask)
        for solid in scene.solids:
            half, foot = solid.width * short * 0.42, solid.y * high
            far = -scene.light * solid.height * short * reach
            left, right = sorted((solid.x * wide + min(0.0, far), solid.x * wide + max(0.0, far)))
            depth = half * 0.36
            pen.ellipse((left - half, foot - depth, right + half, foot + depth * 0.8), fill=strength)
        small.paste(colours.deep, (0, 0), mask.filter(ImageFilter.GaussianBlur(blur)))


def _vignette(small: Image.Image, deep: RGB) -> None:
    mask = Image.radial_gradient("L").resize(small.size, Image.Resampling.BICUBIC)
    small.paste(deep, (0, 0), mask.point([max(0, n - 120) * 2 // 5 for n in range(256)]))


def _place(canvas: Image.Image, solid: Solid, scene: Scene) -> None:
    short = min(canvas.size)
    wide, high = max(4, round(solid.width * short)), max(4, round(solid.height * short))
    if solid.draw == "ball":
        high = wide
    mask = Image.new("L", (wide * 2, high * 2), 0)
    _OUTLINES[solid.draw](ImageDraw.Draw(mask), wide * 2 - 1, high * 2 - 1)
    tones = _round() if solid.draw == "ball" else _upright()
    if scene.light > 0:
        tones = ImageOps.mirror(tones)
    dark, bright = mixed(solid.colour, (12, 10, 26), 0.62), mixed(solid.colour, (255, 252, 244), 0.62)
    painted = ImageOps.colorize(
        tones.resize((wide, high), Image.Resampling.BICUBIC), dark, bright, mid=solid.colour, midpoint=118
    )
    left, top = round(solid.x * canvas.width - wide / 2), round(solid.y * canvas.height - high * 0.97)
    if mouth := _MOUTHS.get(solid.draw):
        _open(painted, mouth, dark)
    canvas.paste(painted, (left, top), mask.reduce(2))


def _open(painted: Image.Image, mouth: Point, dark: RGB) -> None:
    """The inside of a vessel, seen a little from above."""
    wide, high = painted.size
    half, at = mouth
    inner = Image.new("L", (wide * 2, high * 2), 0)
    reach, depth = wide * half * 0.9, wide * 2 * half * 0.042
    ImageDraw.Draw(inner).ellipse((wide - reach, high * 2 * at - depth, wide + reach, high * 2 * at + depth), fill=215)
    painted.paste(mixed(dark, (0, 0, 0), 0.25), (0, 0), inner.reduce(2))


@lru_cache(maxsize=1)
def _round() -> Image.Image:
    """The tones of a ball lit from the upper left, with the table's light on its underside."""
    tones = Image.new("L", (48, 48))
    for x in range(48):
        for y in range(48):
            u, v = (x - 23.5) / 24, (y - 23.5) / 24
            depth = max(0.0, 1 - u * u - v * v) ** 0.5
            facing = max(0.0, -0.52 * u - 0.55 * v + 0.65 * depth)
            glint = max(0.0, facing - 0.93) * 900
            tones.putpixel((x, y), min(255, round(24 + 170 * facing + glint + 26 * max(0.0, v) * (1 - depth))))
    return tones


@lru_cache(maxsize=1)
def _upright() -> Image.Image:
    """The tones of a turned thing lit from the left: bright flank, core shadow, a rim of bounced light."""
    tones = Image.new("L", (64, 12))
    for x in range(64):
        u = (x - 31.5) / 32
        facing = max(0.0, -0.62 * u + 0.72 * max(0.0, 1 - u * u) ** 0.5)
        glint = 60 * max(0.0, 1 - abs(u + 0.5) / 0.12)
        for y in range(12):
            rim = 34 * max(0.0, u - 0.72)
            tones.putpixel((x, y), min(255, round(26 + 158 * facing + glint * (0.4 if y > 7 else 1) + rim - y * 1.6)))
    return tones


def _turned(profile: tuple[Point, ...]) -> Callable[[ImageDraw.ImageDraw, int, int], None]:
    """The outline of a thing turned on a wheel: half widths at heights, rounded by interpolation."""

    def outline(pen: ImageDraw.ImageDraw, wide: int, high: int) -> None:
        right = [(wide / 2 * (1 + half), high * at) for half, at in _smooth(profile)]
        left = [(wide - x, y) for x, y in reversed(right)]
        pen.polygon([*right, *left], fill=255)
        for half, at in (profile[0], profile[-1]):
            reach, depth = wide / 2 * half, wide * half * 0.055
            pen.ellipse((wide / 2 - reach, high * at - depth, wide / 2 + reach, high * at + depth), fill=255)

    return outline


def _smooth(profile: tuple[Point, ...]) -> list[Point]:
    """Catmull-Rom through the points: what a potter's hand does between two thoughts."""
    points = (profile[0], *profile, profile[-1])
    curve: list[Point] = []
    for a, b, c, d in zip(points, points[1:], points[2:], points[3:], strict=False):
        for step in range(12):
            t = step / 12
            half = _between(a[0], b[0], c[0], d[0], t)
            curve.append((min(1.0, max(0.02, half)), _between(a[1], b[1], c[1], d[1], t)))
    return [*curve, profile[-1]]


def _between(a: float, b: float, c: float, d: float, t: float) -> float:
    return 0.5 * (2 * b + (c - a) * t + (2 * a - 5 * b + 4 * c - d) * t * t + (3 * b - a - 3 * c + d) * t**3)


def _ball(pen: ImageDraw.ImageDraw, wide: int, high: int) -> None:
    pen.ellipse((0, 0, wide, high), fill=255)


def _arch(pen: ImageDraw.ImageDraw, wide: int, high: int) -> None:
    pen.rounded_rectangle((0, 0, wide, high + wide), radius=wide / 2, fill=255)
    pen.rounded_rectangle((wide * 0.32, wide * 0.36, wide * 0.68, high + wide), radius=wide * 0.18, fill=0)


# Where a vessel is open: half width and height of the mouth, as in its profile below.
_MOUTHS: dict[str, Point] = {
    "bowl": (0.96, 0.42),
    "vase": (0.34, 0.035),
    "jar": (0.52, 0.05),
    "bottle": (0.2, 0.02),
}
_OUTLINES: dict[str, Callable[[ImageDraw.ImageDraw, int, int], None]] = {
    "ball": _ball,
    "arch": _arch,
    "bowl": _turned(((0.96, 0.42), (0.94, 0.6), (0.72, 0.82), (0.36, 0.93), (0.36, 0.98))),
    "cone": _turned(((0.03, 0.02), (0.4, 0.45), (0.8, 0.96))),
    "vase": _turned(
        ((0.34, 0.035), (0.22, 0.16), (0.62, 0.38), (0.94, 0.6), (0.7, 0.84), (0.44, 0.955), (0.42, 0.965))
    ),
    "jar": _turned(((0.52, 0.05), (0.46, 0.13), (0.86, 0.24), (0.9, 0.6), (0.8, 0.86), (0.7, 0.95), (0.68, 0.965))),
    "bottle": _turned(((0.2, 0.02), (0.18, 0.3), (0.3, 0.4), (0.72, 0.52), (0.72, 0.88), (0.66, 0.955), (0.64, 0.965))),
}
