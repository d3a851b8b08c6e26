"""A picture, or several, and text in; a changed picture out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ..model import JSON, Call, Output, Reply
from .kind import IMAGE, PICTURE, PICTURE_OUTPUT, PICTURES, made, media_job

NAME = "edit_image"
VERSION = 1
TITLE = "Change a picture as a text says."
CALLS = True
PARAMS: Mapping[str, JSON] = {
    "image": {**IMAGE, "description": "The picture to change.", "examples": ["{{ steps.photo.image }}"]},
    "images": PICTURES,
    **PICTURE,
    "prompt": {"type": "string", "description": "What to change.", "examples": ["Put the product on a winter table."]},
}
REQUIRED: tuple[tuple[str, ...], ...] = (("prompt",), ("image", "images"))
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
