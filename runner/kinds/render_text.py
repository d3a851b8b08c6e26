"""A template on its own: text from what other steps made, at no cost."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ..model import JSON, Call, Output, Reply
from .kind import COST, TEXT

NAME = "render_text"
VERSION = 1
TITLE = "Write a text from a template."
CALLS = False
PARAMS: Mapping[str, JSON] = {
    "text": {**TEXT, "description": "The template.", "examples": ["# {{ steps.facts.data.title }}"]},
}
REQUIRED: tuple[tuple[str, ...], ...] = (("text",),)
TIMEOUT = 60.0


def output(params: Mapping[str, JSON]) -> JSON:
    """The text, whatever the params."""
    del params
    return {
        "type": "object",
        "properties": {"text": {**TEXT, "description": "The text."}, **COST},
        "additionalProperties": False,
    }


def advance(params: Mapping[str, JSON], replies: Sequence[Reply]) -> Call | Output:
    """The text as it was rendered."""
    del replies
    return Output({"text": params["text"]})
