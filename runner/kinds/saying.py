"""What is said to a model: the messages that open a conversation, and those that send an answer back."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

from ..model import JSON

TOLD = 3_400
"""Bytes of a complaint at most."""


def asking(params: Mapping[str, JSON]) -> tuple[JSON, ...]:
    """The messages that open the conversation of a step."""
    system = [text for text in (params.get("system"), _shape(params.get("schema"))) if text]
    first = [{"role": "system", "content": "\n\n".join(system)}] if system else []
    return (*first, {"role": "user", "content": params["prompt"]})


def again(text: str, wrong: str) -> tuple[JSON, ...]:
    """An answer, and what is wrong with it."""
    told = f"That cannot be used: {wrong[:800]}. Answer again with the whole JSON, corrected, and with nothing else."
    return {"role": "assistant", "content": text}, {"role": "user", "content": told}


def length(messages: Sequence[JSON]) -> int:
    """Bytes of text in messages: what bounds the tokens that they cost."""
    return sum(len(message["content"].encode()) for message in messages)


def _shape(schema: JSON) -> str:
    """The schema in words: an endpoint that does not know ``response_format`` may ignore it without a word."""
    if schema is None:
        return ""
    return f"Answer with JSON only, that fits this JSON Schema: {json.dumps(schema, ensure_ascii=False)}"
