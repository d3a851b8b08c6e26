"""A kind: cuts a text between two words. A kind is a module with these names; its functions are pure."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

from runner.model import Call, Output, Reply

NAME = "shorten_text"
VERSION = 1
TITLE = "Cut a text between two words."
CALLS = False
PARAMS: Mapping[str, Any] = {
    "text": {"type": "string", "description": "What to shorten.", "examples": ["{{ steps.draft.text }}"]},
    "at_most": {"type": "integer", "minimum": 10, "description": "Characters that may be left.", "examples": [140]},
}
REQUIRED: tuple[tuple[str, ...], ...] = (("text",), ("at_most",))
TIMEOUT = 60.0


def output(params: Mapping[str, Any]) -> Any:
    """What a step of this kind yields: `check` knows that `steps.short.text` is there, and that `.txt` is not."""
    del params
    return {
        "type": "object",
        "properties": {
            "text": {"type": "string", "description": "The shorter text."},
            "cut": {"type": "boolean", "description": "Whether something was left out."},
            "cost": {"type": "number"},
        },
        "additionalProperties": False,
    }


def advance(params: Mapping[str, Any], replies: Sequence[Reply]) -> Call | Output:
    """The output at once: it calls nobody."""
    del replies
    text = " ".join(str(params["text"]).split())
    short = textwrap.shorten(text, int(params["at_most"]), placeholder="…")
    return Output({"text": short, "cut": short != text})
