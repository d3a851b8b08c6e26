"""Text in, a picture out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ..model import JSON, Call, Output, Reply
from .kind import IMAGE, PICTURE, PICTURE_OUTPUT, made, media_job

NAME = "generate_image"
VERSION = 1
TITLE = "Make a picture from text."
CALLS = True
PARAMS: Mapping[str, JSON] = {
    **PICTURE,
    "image": {**IMAGE, "description": "A picture to start from, for models that take one."},
}
REQUIRED: tuple[tuple[str, ...], ...] = (("prompt",),)
TIMEOUT = 600.0


def output(params: Mapping[str, JSON]) -> JSON:
    """A picture and the seed it was made with, whatever the params."""
    del params
    return PICTURE_OUTPUT


def advance(params: Mapping[str, JSON], replies: Sequence[Reply]) -> Call | Output:
    """One job, then its picture."""
    if replies:
        return made(params, replies[0], "image", seed=params.get("seed"))
    return media_job(f"{NAME}@{VERSION}", params, "image")
