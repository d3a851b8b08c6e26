"""Speech in, text out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ..errors import BadOutput
from ..model import JSON, Call, Output, Reply
from .kind import AUDIO, COST, FLAG, OPTIONS, TEXT, media_job, model_of

NAME = "transcribe_audio"
VERSION = 1
TITLE = "Write down what is said."
CALLS = True
PARAMS: Mapping[str, JSON] = {
    "audio": {**AUDIO, "description": "The recording.", "examples": ["{{ steps.voice.audio }}"]},
    "prompt": {**TEXT, "description": "Names and words that are likely to be said."},
    "language": {**TEXT, "description": "What is spoken, as an ISO 639-1 code. Found out if you do not say.",
                 "examples": ["en"]},
    "translate": {**FLAG, "description": "Write it in English."},
    "word_timestamps": {**FLAG, "description": "Say when each word is said."},
    "vad": {**FLAG, "description": "Leave out what is not speech."},
    "variant": {**TEXT, "description": "Which size of the model.", "examples": ["large-v3"]},
    "layout": {**TEXT, "description": "How the text is laid out.", "examples": ["srt"]},
    "options": OPTIONS,
}  # fmt: skip
REQUIRED: tuple[tuple[str, ...], ...] = (("audio",),)
TIMEOUT = 900.0

_TEXTS = ("text", "result", "transcription")


def output(params: Mapping[str, JSON]) -> JSON:
    """The text, and when each part of it was said where the model tells."""
    del params
    seconds = {"type": "number", "description": "Seconds from the start."}
    return {
        "type": "object",
        "properties": {
            "text": {**TEXT, "description": "What was said."},
            "segments": {
                "type": "array",
                "description": "Its parts in order.",
                "items": {
                    "type": "object",
                    "properties": {"text": TEXT, "start": seconds, "end": seconds},
                    "additionalProperties": False,
                },
            },
            "language": {"type": ["string", "null"], "description": "What was spoken, as far as it is known."},
            **COST,
        },
        "additionalProperties": False,
    }


def advance(params: Mapping[str, JSON], replies: Sequence[Reply]) -> Call | Output:
    """One job, then its text."""
    if not replies:
        return media_job(f"{NAME}@{VERSION}", params, None)
    said = replies[0].data
    if isinstance(said, list) and len(said) == 1:
        said = said[0]
    text = said if isinstance(said, str) else None
    if isinstance(said, dict):
        text = next((said[name] for name in _TEXTS if isinstance(said.get(name), str)), None)
    if text is None:
        raise BadOutput(f"the reply holds no text: {str(said)[:200]}", keep=str(said))
    facts = said if isinstance(said, dict) else {}
    language = facts.get("language") or facts.get("detected_language")
    segments = [_segment(part) for part in facts.get("segments") or () if isinstance(part, dict)]
    values: dict[str, JSON] = {"text": text.strip(), "segments": segments, "language": language}
    return Output(values, model_of(params).id, replies[0].cost or 0.0)


def _segment(part: Mapping[str, JSON]) -> JSON:
    return {"text": str(part.get("text") or ""), "start": part.get("start") or 0.0, "end": part.get("end") or 0.0}
