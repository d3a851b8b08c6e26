"""Text in, speech out."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from ..model import JSON, Call, Output, Reply
from .kind import AUDIO, FLAG, NUMBER, OPTIONS, TEXT, made, made_output, media_job

NAME = "generate_speech"
VERSION = 1
TITLE = "Speak a text."
CALLS = True
PARAMS: Mapping[str, JSON] = {
    "text": {**TEXT, "description": "What is said.", "examples": ["{{ steps.script.text }}"]},
    "voice": {**TEXT, "description": "Who says it: a voice of the model.", "examples": ["lucy"]},
    "voice_sample": {**AUDIO, "description": "A recording of the voice to speak with, 5 to 10 seconds."},
    "speed": {**NUMBER, "description": "How fast; 1 is usual."},
    "volume": {**NUMBER, "description": "How loud; 1 is usual."},
    "pitch": {**NUMBER, "description": "How high; 0 is usual."},
    "emotion": {**TEXT, "description": "How it is said.", "examples": ["happy"]},
    "normalize": {**FLAG, "description": "Write out English numbers and dates before they are said."},
    "output_format": {**TEXT, "enum": ["wav", "flac", "ogg", "mp3"], "description": "The kind of file to make."},
    "options": OPTIONS,
}
REQUIRED: tuple[tuple[str, ...], ...] = (("text",),)
TIMEOUT = 600.0


def output(params: Mapping[str, JSON]) -> JSON:
    """The spoken text, whatever the params."""
    del params
    return made_output("audio")


def advance(params: Mapping[str, JSON], replies: Sequence[Reply]) -> Call | Output:
    """One job, then its audio. A line end says nothing, and the official provider sends none."""
    if replies:
        return made(params, replies[0], "audio")
    text = re.sub(r"[\r\n]+", " ", str(params["text"]))
    return media_job(f"{NAME}@{VERSION}", {**params, "text": text}, "audio")
