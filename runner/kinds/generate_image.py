"""Text in, a picture out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ..model import JSON, Call, Job, Output, Reply
from .kind import PICTURE, PICTURE_OUTPUT, job_input, model_of, picture_output

NAME = "generate_image"
VERSION = 1
TITLE = "Make a picture from text."
CALLS = True
PARAMS: Mapping[str, JSON] = PICTURE
REQUIRED: tuple[tuple[str, ...], ...] = (("prompt",),)
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
    return Job(
        kind=f"{NAME}@{VERSION}",
        endpoint=model.endpoint,
        input=job_input(model, params),
        media="image",
        usd=model.cost(params),
        label=model.id,
    )
