"""A prompt in, text out: one chat completion."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from ..errors import BadOutput
from ..model import JSON, Call, Chat, Output, Reply
from .kind import COST, INTEGER, NUMBER, SAMPLING, TEXT, BadParams, model_of

NAME = "generate_text"
VERSION = 1
TITLE = "Write text with a language model."
CALLS = True
PARAMS: Mapping[str, JSON] = {
    "prompt": {**TEXT, "description": "What to write.", "examples": ["Describe {{ inputs.product }} in one line."]},
    "system": {**TEXT, "description": "How to write: role, tone, form.", "examples": ["Return ONLY valid JSON."]},
    "max_tokens": {**INTEGER, "minimum": 1, "default": 2048, "description": "The longest answer, thinking included."},
    "temperature": {**NUMBER, "minimum": 0, "description": "0 is sober, 1 is free."},
    "top_p": {**NUMBER, "minimum": 0, "maximum": 1, "description": "Nucleus sampling."},
    "top_k": {**INTEGER, "description": "How many of the likeliest tokens to choose from."},
    "presence_penalty": {**NUMBER, "minimum": -2, "maximum": 2, "description": "Above 0: say new things."},
    "frequency_penalty": {**NUMBER, "minimum": -2, "maximum": 2, "description": "Above 0: repeat less."},
    "stop": {"type": "array", "items": TEXT, "maxItems": 4, "description": "Texts at which the answer ends."},
    **SAMPLING,
}
REQUIRED: tuple[tuple[str, ...], ...] = (("prompt",),)
TIMEOUT = 300.0

MAX_TOKENS = 2048
"""Sent when the step says nothing: servers' own defaults are as low as 16, which cuts every answer."""

_THOUGHT = re.compile(r"^\s*<think>(.*?)(?:</think>|\Z)\s*", re.DOTALL)
_ORDER = ("max_tokens", "temperature", "top_p", "top_k", "frequency_penalty", "presence_penalty", "stop", "seed")


def output(params: Mapping[str, JSON]) -> JSON:
    """Text, what the model thought before it, why it ended and how many tokens it took."""
    del params
    tokens = {"type": "integer"}
    return {
        "type": "object",
        "properties": {
            "text": {"type": "string", "description": "The answer, without what the model thought first."},
            "reasoning": {"type": "string", "description": "What the model thought first; empty if it did not say."},
            "finish_reason": {"type": "string", "description": "stop, or length if the answer was cut."},
            "usage": {
                "type": "object",
                "properties": {"prompt_tokens": tokens, "completion_tokens": tokens, "total_tokens": tokens},
                "additionalProperties": False,
            },
            **COST,
        },
        "additionalProperties": False,
    }


def advance(params: Mapping[str, JSON], replies: Sequence[Reply]) -> Call | Output:
    """One chat, then its text."""
    model = model_of(params)
    if replies:
        return _read(replies[0], model.id)
    said = {"max_tokens": MAX_TOKENS, **{name: params[name] for name in _ORDER if params.get(name) is not None}}
    for wrong in model.wrong(said):
        msg = f"{wrong.message} {wrong.instead}"
        raise BadParams(msg)
    system = [{"role": "system", "content": params["system"]}] if params.get("system") else []
    messages = [*system, {"role": "user", "content": params["prompt"]}]
    sent = {**said, **(params.get("options") or {})}
    length = sum(len(m["content"].encode()) for m in messages)
    return Chat(
        kind=f"{NAME}@{VERSION}",
        endpoint=model.endpoint,
        body={"model": model.openai_model or model.id, **sent, "messages": messages},
        base_url=model.base_url,
        api_key_env=model.api_key_env,
        usd=model.cost(sent, length),
        usd_per_token=model.price.usd / 1e6 if model.price else None,
        usd_per_token_in=model.price.input / 1e6 if model.price and model.price.input is not None else None,
        label=model.id,
        headers=model.headers,
    )


def _read(reply: Reply, model: str) -> Output:
    try:
        choice = reply.data["choices"][0]
        message = dict(choice["message"])
        text, reasoning = (_text(message, *names) for names in (("content",), ("reasoning_content", "reasoning")))
    except (KeyError, IndexError, TypeError, ValueError, AttributeError) as err:
        msg = f"the answer is no chat completion: {str(reply.data)[:200]}"
        raise BadOutput(msg, keep=str(reply.data)) from err
    if found := _THOUGHT.match(text):
        text, reasoning = text[found.end() :], reasoning or found[1].strip()
    reason = choice.get("finish_reason") or "stop"
    if not text.strip():
        why = (
            "it spent all of max_tokens on thinking; raise max_tokens"
            if reason == "length"
            else f"finish_reason is {reason}"
        )
        msg = f"the model answered with no text: {why}"
        raise BadOutput(msg, keep=reasoning or None)
    usage = reply.data.get("usage")
    counts = {name: _count(usage, name) for name in ("prompt_tokens", "completion_tokens", "total_tokens")}
    values: dict[str, JSON] = {"text": text, "reasoning": reasoning, "finish_reason": reason, "usage": counts}
    return Output(values, model, reply.cost or 0.0)


def _text(message: Mapping[str, JSON], *names: str) -> str:
    """The first of these fields that says something: a text, or a list of parts of which some are text."""
    said = next((message[name] for name in names if message.get(name)), "")
    if isinstance(said, list):
        said = "".join(part["text"] for part in said if part.get("type") == "text")
    if not isinstance(said, str):
        raise TypeError(names[0])
    return said


def _count(usage: JSON, name: str) -> int:
    """A count of tokens; 0 where the server does not say: a text that is paid for is not lost over it."""
    count = usage.get(name) if isinstance(usage, Mapping) else None
    return count if isinstance(count, int) else 0
