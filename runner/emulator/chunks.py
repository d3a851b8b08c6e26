"""The stream of a chat: what is said in, server-sent events out."""

import json
from typing import Any

Head = dict[str, Any]
"""What every event of one answer starts with: its id, its time, its model."""
END = b"data: [DONE]\n\n"


def event(head: Head, index: int, delta: dict[str, Any], finish: str | None = None) -> bytes:
    """A piece of an answer."""
    return chunk(head, [{"index": index, "delta": delta, "finish_reason": finish}])


def chunk(head: Head, choices: list[dict[str, Any]], **more: Any) -> bytes:
    """Pieces of answers, or none and what they have used."""
    return line({**head, "object": "chat.completion.chunk", "choices": choices, **more})


def line(data: dict[str, Any]) -> bytes:
    """Any event."""
    return f"data: {json.dumps(data)}\n\n".encode()
