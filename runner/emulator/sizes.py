"""Sizes: what an input says about size, ratio and resolution in, pixels out, or RefusedError."""

import re
from collections.abc import Mapping

from .jobs import RefusedError
from .values import JSON

LARGEST = 4096
_LARGEST_VIDEO = 4096 * 2160
Size = tuple[int, int]
_SIZE = re.compile(r"(\d{1,5})\s*[*xX]\s*(\d{1,5})")
_RATIO = re.compile(r"(\d{1,2}):(\d{1,2})")
_EDGES = {"1k": 1024, "2k": 2048, "4k": 4096}
_LINES = re.compile(r"(\d{3,4})p")


def picture_size(given: Mapping[str, JSON], source: Size | None = None) -> Size | None:
    """Width and height, a size, or a ratio at a resolution, in this order; a ratio alone is about one megapixel.

    A resolution alone is that of a source's ratio; none of all this is None.
    """
    width, height, size = (given.get(key) for key in ("width", "height", "size"))
    ratio = _ratio(given)
    if width is not None or height is not None:
        return _checked(width if width is not None else 1024, height if height is not None else 1024)
    if size is not None:
        return _pair(size)
    if ratio is None and "resolution" in given:
        ratio = source
    if ratio is None:
        return None
    edge = _EDGES.get(str(given.get("resolution")).lower(), 1024)
    root = (ratio[0] / ratio[1]) ** 0.5
    return max(16, round(edge * root / 16) * 16), max(16, round(edge / root / 16) * 16)


def video_size(given: Mapping[str, JSON], source: Size | None) -> Size:
    """A size, or a resolution (480p is the short side) at a ratio; a source lends its ratio where none is given."""
    size = given.get("size")
    label = str(size if size is not None else given.get("resolution") or "720p").strip().lower()
    lines = _LINES.fullmatch(label)
    if lines is None and size is not None:
        wide, high = _pair(size)
        if wide * high > _LARGEST_VIDEO:
            raise RefusedError(f"Invalid parameter: size must have at most {_LARGEST_VIDEO} pixels, not {wide * high}")
        return _even(wide), _even(high)
    short = int(lines[1]) if lines else 720
    # What the input itself says counts before the shape of its picture, which counts before 16:9.
    wide, high = _ratio(given) or source or (16, 9)
    scale = short / min(wide, high)
    return _even(min(LARGEST, wide * scale)), _even(min(LARGEST, high * scale))


def resolution(size: Size) -> str:
    """The label that prices go by: 720p for 1280*720, whichever way round."""
    lines = (480, 540, 720, 1080)
    return f"{min(lines, key=lambda one: abs(one - min(size)))}p"


def _ratio(given: Mapping[str, JSON]) -> Size | None:
    ratio = given.get("aspect_ratio")
    if ratio is None or str(ratio) in {"match_input_image", "custom", "auto"}:
        return None
    found = _RATIO.fullmatch(str(ratio).strip())
    if found is None or "0" in {found[1], found[2]}:
        raise RefusedError(f"Invalid parameter: aspect_ratio must look like 16:9, not {ratio!r}")
    return int(found[1]), int(found[2])


def _pair(size: object) -> Size:
    found = _SIZE.fullmatch(str(size).strip())
    if found is None:
        raise RefusedError(f"Invalid parameter: size must be in the format WIDTH*HEIGHT, not {size!r}")
    return _checked(int(found[1]), int(found[2]))


def _even(pixels: float) -> int:
    return max(16, round(pixels / 2) * 2)


def _checked(width: object, height: object) -> Size:
    return _pixels("width", width), _pixels("height", height)


def _pixels(name: str, value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= LARGEST:
        raise RefusedError(f"Invalid parameter: {name} must be an integer from 1 to {LARGEST}, not {value!r}")
    return value
