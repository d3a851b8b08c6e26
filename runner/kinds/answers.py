"""A chat completion in, what the model said out: its answer, what it thought first, why it ended, its tokens."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from ..errors import BadOutput, Truncated
from ..model import JSON, Reply

_THOUGHT = re.compile(r"\s*<think>(.*?)(?:</think>|\Z)\s*", re.DOTALL)
_OPENED_BEFORE = re.compile(r"((?:(?!<think>).)*?)</think>\s*", re.DOTALL)
"""Some chat templates write ``<think>`` into the prompt, so that only its end is in the answer."""

REASONING = ("reasoning_content", "reasoning")
COUNTS = ("prompt_tokens", "completion_tokens", "total_tokens")


@dataclass(frozen=True, slots=True)
class Answer:
    """What a model said in one turn."""

    text: str
    reasoning: str
    finish_reason: str
    usage: Mapping[str, int]
    message: Mapping[str, JSON]
    """The message as it came."""

    @property
    def thoughts(self) -> Mapping[str, JSON]:
        """What it thought, in the server's own field: some models want to read it again after a call."""
        return {name: self.message[name] for name in REASONING if self.message.get(name)}

    @property
    def cut(self) -> bool:
        """Whether ``max_tokens`` ended it, and not the model."""
        return self.finish_reason == "length"


def answer(reply: Reply) -> Answer:
    """What a reply says. `BadOutput` if it is no chat completion."""
    try:
        choice = reply.data["choices"][0]
        message = dict(choice["message"])
        text, reasoning = (_text(message, *names) for names in (("content",), REASONING))
    except (KeyError, IndexError, TypeError, ValueError, AttributeError) as err:
        strange = BadOutput(f"the answer is no chat completion: {str(reply.data)[:200]}", keep=str(reply.data))
        strange.final = True  # who answers in another form does so every time
        raise strange from err
    if found := _THOUGHT.match(text) or _OPENED_BEFORE.match(text):
        text, reasoning = text[found.end() :], reasoning or found[1].strip()
    usage = reply.data.get("usage")
    return Answer(text, reasoning, choice.get("finish_reason") or "stop", _counts(usage), message)


def silent(said: Answer) -> BadOutput:
    """Why there is no text in an answer."""
    if said.cut:
        msg = "the model answered with no text: it spent all of max_tokens on thinking; raise max_tokens"
        return Truncated(msg, keep=said.reasoning or None)
    msg = f"the model answered with no text: finish_reason is {said.finish_reason}"
    return BadOutput(msg, keep=said.reasoning or None)


def _text(message: Mapping[str, JSON], *names: str) -> str:
    """The first of these fields that says something: a text, or a list of parts of which some are text."""
    said = next((message[name] for name in names if message.get(name)), "")
    if isinstance(said, list):
        said = "".join(part["text"] for part in said if part.get("type") == "text")
    if not isinstance(said, str):
        raise TypeError(names[0])
    return said


def _counts(usage: JSON) -> dict[str, int]:
    """Counts of tokens; 0 where the server does not say: a text that is paid for is not lost over it."""
    said = usage if isinstance(usage, Mapping) else {}
    return {name: said[name] if isinstance(said.get(name), int) else 0 for name in COUNTS}
