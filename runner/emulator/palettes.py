"""Colours: a prompt and a source of chance in, a palette that suits the prompt's words out."""

import colorsys
import re
from dataclasses import dataclass
from random import Random

RGB = tuple[int, int, int]

# Hues in degrees of words that name or suggest a colour, so that "a red teapot" is not blue.
_HUES = {
    "red": 6, "cherry": 352, "rose": 345, "pink": 338, "coral": 14, "terracotta": 16, "copper": 20,
    "autumn": 24, "rust": 18, "wood": 28, "wooden": 28, "orange": 26, "leather": 26, "coffee": 24,
    "amber": 36, "gold": 42, "honey": 40, "sand": 38, "linen": 36, "yellow": 48, "summer": 44, "lemon": 52,
    "olive": 68, "lime": 84, "spring": 104, "green": 132, "forest": 142, "leaf": 112, "mint": 158,
    "teal": 178, "turquoise": 176, "sea": 196, "ocean": 200, "winter": 206, "ice": 198, "snow": 208,
    "sky": 204, "blue": 214, "night": 232, "navy": 224, "indigo": 244, "violet": 266, "purple": 276,
    "lavender": 262, "plum": 302, "magenta": 318,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Palette:
    """A backdrop in light and shade, a ground for things to stand on, and accents for the things."""

    light: RGB
    shade: RGB
    ground: RGB
    deep: RGB
    accents: tuple[RGB, ...]
    hue: float


def palette(prompt: str, random: Random) -> Palette:
    """Hues come from the words of the prompt where they say one, from chance where they do not."""
    named = [_HUES[word] for word in re.findall(r"[a-z]+", prompt.lower()) if word in _HUES]
    hue = (named[0] if named else random.randrange(360)) + random.uniform(-8, 8)
    turn = random.choice((150, 165, 180, 200))
    backdrop = hue + turn + random.uniform(-25, 25)
    seconds = [other for other in named[1:3] if abs(other - named[0]) > 12]
    others = (*seconds, hue + 28, backdrop + 20, hue - 24)
    return Palette(
        light=shade(backdrop, 0.34, random.uniform(0.84, 0.89)),
        shade=shade(backdrop + 18, 0.30, random.uniform(0.58, 0.66)),
        ground=shade(hue + 22, 0.34, random.uniform(0.68, 0.76)),
        deep=shade(backdrop + 30, 0.42, 0.13),
        accents=(shade(hue, 0.62, 0.47), *(shade(other, 0.40, 0.58) for other in others)),
        hue=hue,
    )


def shade(hue: float, saturation: float, lightness: float) -> RGB:
    """One colour; the hue in degrees, the rest 0..1."""
    red, green, blue = colorsys.hls_to_rgb(hue % 360 / 360, lightness, saturation)
    return round(red * 255), round(green * 255), round(blue * 255)


def mixed(one: RGB, other: RGB, part: float) -> RGB:
    """`part` of the other colour in the one."""
    red, green, blue = (round(a + (b - a) * part) for a, b in zip(one, other, strict=True))
    return red, green, blue
