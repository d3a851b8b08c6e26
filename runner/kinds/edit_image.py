"""A picture, or several, and text in; a changed picture out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ..model import JSON, Call, Job, Output, Reply
from .kind import (
    IMAGE,
    PICTURE,
    PICTURE_OUTPUT,
    BadParams,
    job_input,
    model_of,
    picture_output,
    pictures_in,
)

NAME = "edit_image"
VERSION = 1
TITLE = "Change a picture as a text says."
CALLS = True
PARAMS: Mapping[str, JSON] = {
    "image": {**IMAGE, "description": "The picture to change.", "examples": ["{{ steps.photo.image }}"]},
    "images": {
        "type": "array",
        "items": IMAGE,
        "minItems": 1,
        "description": "Several pictures, for models that take them.",
    },
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
        return picture_output(params, replies[0])
    model = model_of(params)
    pictures = pictures_in(params)
    most = model.images.get("maximum")
    if most is not None and len(pictures) > most:
        msg = f"{model.id} takes at most {most} picture{'s' * (most != 1)}, not {len(pictures)}"
        raise BadParams(msg)
    field = model.images.get("wire") or ("image" if len(pictures) == 1 else "images")
    return Job(
        kind=f"{NAME}@{VERSION}",
        endpoint=model.endpoint,
        input={**job_input(model, params), field: pictures if field.endswith("s") else pictures[0]},
        media="image",
        usd=model.cost(params),
        label=model.id,
    )
