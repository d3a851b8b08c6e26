"""What is said to a model: the messages that open a conversation, and those that send an answer back."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

from ..model import JSON, Artifact
from .kind import IMAGE, TEXT, pictures_in

ROLES = ("system", "user", "assistant")
PART: JSON = {
    "type": "object",
    "description": "A text, a picture, or a picture with its text.",
    "properties": {
        "text": {**TEXT, "description": "What is said."},
        "image": {**IMAGE, "description": "A picture, for models that see.", "examples": ["{{ steps.photo.image }}"]},
    },
    "minProperties": 1,
    "additionalProperties": False,
}
MESSAGES: JSON = {
    "type": "array",
    "minItems": 1,
    "description": "A whole conversation, instead of a prompt: who said what.",
    "examples": [[{"role": "user", "content": "Hello!"}]],
    "items": {
        "type": "object",
        "properties": {
            "role": {**TEXT, "enum": list(ROLES), "description": "Who said it."},
            "content": {
                "anyOf": [TEXT, {"type": "array", "items": PART, "minItems": 1}],
                "description": "What was said: a text, or a list of texts and pictures.",
                "examples": ["Hello!"],
            },
        },
        "required": ["role", "content"],
        "additionalProperties": False,
    },
}
TOLD = 3_400
"""Bytes of a complaint at most."""


def asking(params: Mapping[str, JSON]) -> tuple[JSON, ...]:
    """The messages that open the conversation of a step."""
    said = [_message(m["role"], m["content"]) for m in params.get("messages") or ()]
    if params.get("prompt") is not None:
        pictures = [{"image": picture} for picture in pictures_in(params)]
        said.append(_message("user", [{"text": params["prompt"]}, *pictures]))
    first = said.pop(0)["content"] if said[0]["role"] == "system" else None
    system = [text for text in (params.get("system"), first, _shape(params.get("schema"))) if text]
    return (*([_message("system", _joined(system))] if system else []), *said)


def again(text: str, wrong: str) -> tuple[JSON, ...]:
    """An answer, and what is wrong with it."""
    told = f"That cannot be used: {wrong[:800]}. Answer again with the whole JSON, corrected, and with nothing else."
    return {"role": "assistant", "content": text}, {"role": "user", "content": told}


def length(messages: Sequence[JSON]) -> int:
    """Bytes of text in messages: what bounds the tokens that they cost, if there is no picture in them."""
    return sum(len(text.encode()) for message in messages for text in _texts(message))


def sees(messages: Sequence[JSON]) -> bool:
    """Whether there is a picture in them."""
    contents = (message["content"] for message in messages)
    return any(part["type"] == "image_url" for content in contents if isinstance(content, list) for part in content)


def _texts(message: JSON) -> list[str]:
    content, calls = message["content"], message.get("tool_calls")
    texts = [part.get("text", "") for part in content] if isinstance(content, list) else [content or ""]
    return [*texts, *([json.dumps(calls)] if calls else [])]


def _message(role: str, content: JSON) -> dict[str, JSON]:
    """A message as OpenAI writes it: plain text where it is nothing else, because every server takes that."""
    parts = [part for said in content for part in _parts(said)] if isinstance(content, list) else []
    if [part["type"] for part in parts] == ["text"]:
        content = parts[0]["text"]
    return {"role": role, "content": parts if isinstance(content, list) else content}


def _parts(said: Mapping[str, JSON]) -> list[JSON]:
    text, picture = said.get("text"), said.get("image")
    found: list[JSON] = [{"type": "text", "text": text}] if text is not None else []
    return [*found, *([{"type": "image_url", "image_url": {"url": picture}}] if isinstance(picture, Artifact) else [])]


def _joined(system: Sequence[JSON]) -> JSON:
    """What the step, its first message and its schema say to the model about itself."""
    if all(isinstance(text, str) for text in system):
        return "\n\n".join(system)
    parts = [text if isinstance(text, list) else [{"type": "text", "text": text}] for text in system]
    return [{"text": part["text"]} for each in parts for part in each]


def _shape(schema: JSON) -> str:
    """The schema in words: an endpoint that does not know ``response_format`` may ignore it without a word."""
    if schema is None:
        return ""
    return f"Answer with JSON only, that fits this JSON Schema: {json.dumps(schema, ensure_ascii=False)}"
