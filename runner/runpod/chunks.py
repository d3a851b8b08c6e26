"""The chunks of a streamed chat in, the chat completion that they add up to out. Pure.

What comes out has the form of an answer that was not streamed, so that nobody after this can tell the difference.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from ..model import JSON

_TEXTS = ("content", "reasoning_content", "reasoning")


@dataclass(slots=True)
class Completion:
    """What was said so far."""

    head: dict[str, JSON] = field(default_factory=dict)
    choices: dict[int, dict[str, JSON]] = field(default_factory=dict)
    usage: JSON = None

    @property
    def begun(self) -> bool:
        """Whether the model has said anything."""
        return bool(self.choices)

    @property
    def ended(self) -> bool:
        """Whether every choice says why it ended."""
        return self.begun and all(choice["finish_reason"] for choice in self.choices.values())

    def add(self, chunk: Mapping[str, JSON]) -> str:
        """Take a chunk. Gives back what the first choice says in it."""
        for name in ("id", "created", "model"):
            if name in chunk:
                self.head.setdefault(name, chunk[name])
        self.usage = chunk.get("usage") or self.usage
        said = ""
        for each in _mappings(chunk.get("choices")):
            index, delta = each.get("index"), each.get("delta") or each.get("message")
            said += self._heard(
                index if isinstance(index, int) else 0,
                delta if isinstance(delta, Mapping) else {},
                each.get("finish_reason"),
            )
        return said

    def body(self) -> JSON:
        """The chat completion."""
        choices = [
            {"index": index, "message": choice["message"], "finish_reason": choice["finish_reason"]}
            for index, choice in sorted(self.choices.items())
        ]
        usage = {"usage": self.usage} if self.usage is not None else {}
        return {**self.head, "object": "chat.completion", "choices": choices, **usage}

    def _heard(self, index: int, delta: Mapping[str, JSON], finish_reason: JSON) -> str:
        new: dict[str, JSON] = {"message": {"role": "assistant", "content": ""}, "finish_reason": None}
        choice = self.choices.setdefault(index, new)
        choice["finish_reason"] = finish_reason or choice["finish_reason"]
        said = ""
        for name in _TEXTS:
            if isinstance(delta.get(name), str):
                choice["message"][name] = choice["message"].get(name, "") + delta[name]
                said += delta[name] if index == 0 else ""
        for call in _mappings(delta.get("tool_calls")):
            _called(choice["message"].setdefault("tool_calls", []), call)
        return said


def _called(calls: list[JSON], delta: Mapping[str, JSON]) -> None:
    """Add to the call that a delta belongs to: by its place, or by its id where a server gives no places."""
    ids = [call["id"] for call in calls]
    at = delta.get("index")
    if not isinstance(at, int):
        at = ids.index(delta["id"]) if delta.get("id") in ids else len(calls) if delta.get("id") else len(calls) - 1
    while len(calls) <= max(at, 0):
        calls.append({"id": None, "type": "function", "function": {"name": "", "arguments": ""}})
    call, function = calls[max(at, 0)], delta.get("function")
    call["id"] = call["id"] or delta.get("id")
    if isinstance(function, Mapping):
        call["function"]["name"] = call["function"]["name"] or function.get("name") or ""
        call["function"]["arguments"] += function.get("arguments") or ""


def _mappings(value: JSON) -> list[Mapping[str, JSON]]:
    return [each for each in value if isinstance(each, Mapping)] if isinstance(value, list) else []
