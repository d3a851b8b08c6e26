"""Another pipeline as one step: its inputs in, its outputs out. Its steps are run by `execute`, like all others."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ..model import JSON, Call, Output, Reply
from .kind import COST

NAME = "run_pipeline"
VERSION = 1
TITLE = "Run another pipeline."
CALLS = False
PARAMS: Mapping[str, JSON] = {
    "file": {
        "type": "string",
        "plain": True,
        "description": "The pipeline's file, from the folder of this one.",
        "examples": ["product-card.yaml"],
    },
    "inputs": {
        "type": "object",
        "description": "Values for its inputs.",
        "examples": [{"product": "{{ item }}"}],
    },
}
REQUIRED: tuple[tuple[str, ...], ...] = (("file",),)
TIMEOUT = 86400.0


def output(params: Mapping[str, JSON]) -> JSON:
    """Its outputs by name, and what they cost together. Which names there are is its own business: see `check`."""
    del params
    return {
        "type": "object",
        "properties": {"outputs": {"type": "object", "description": "Its outputs by name."}, **COST},
        "additionalProperties": False,
    }


def advance(params: Mapping[str, JSON], replies: Sequence[Reply]) -> Call | Output:
    """It makes no call of its own."""
    raise AssertionError(params, replies)
