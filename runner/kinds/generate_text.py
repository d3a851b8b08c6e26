"""A prompt or a conversation in, text out; with a schema, data that fits it.

Every chat of a step is computed from the replies so far: an endpoint that does not take ``response_format`` is asked
without it, a tool that the model calls is answered, an answer that does not fit the schema is sent back with what is
wrong with it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from ..errors import BadOutput, OutOfTurns, Truncated
from ..model import JSON, Chat, Errand, Next, Output, Reply
from .answers import COUNTS, Answer, answer, silent
from .finding import find
from .kind import COST, FLAG, IMAGE, INTEGER, NUMBER, PICTURES, SAMPLING, TEXT, BadParams, model_of
from .parse_json import REPAIRS
from .saying import MESSAGES, TOLD, again, asking, length, sees
from .tools import TOOLS, Answered, Asking, ToolCall, answered, called, offered

NAME = "generate_text"
VERSION = 1
TITLE = "Write text with a language model."
CALLS = True
PARAMS: Mapping[str, JSON] = {
    "prompt": {**TEXT, "description": "What to write.", "examples": ["Describe {{ inputs.product }} in one line."]},
    "messages": MESSAGES,
    "system": {**TEXT, "description": "How to write: role, tone, form.", "examples": ["Return ONLY valid JSON."]},
    "image": {**IMAGE, "description": "A picture to look at with the prompt.", "examples": ["{{ steps.photo.image }}"]},
    "images": PICTURES,
    "schema": {
        "type": "object",
        "description": "What the answer must look like as JSON: a JSON Schema. The step has data then.",
        "examples": [{"type": "object", "required": ["title"], "properties": {"title": {"type": "string"}}}],
        "verbatim": True,
        "format": "json-schema",
    },
    "reask": {
        **INTEGER,
        "minimum": 0,
        "maximum": 10,
        "default": 2,
        "description": "How often to ask again, with what is wrong, if the answer does not fit the schema.",
    },
    "strict": {**FLAG, "default": False, "description": "Refuse JSON whose punctuation would have to be mended."},
    "tools": TOOLS,
    "max_turns": {
        **INTEGER,
        "minimum": 1,
        "maximum": 100,
        "default": 4,
        "description": "How often the model may speak, calls of tools and its answer put together.",
    },
    "max_tokens": {**INTEGER, "minimum": 1, "default": 2048, "description": "The longest answer, thinking included."},
    "temperature": {**NUMBER, "minimum": 0, "description": "0 is sober, 1 is free."},
    "top_p": {**NUMBER, "minimum": 0, "maximum": 1, "description": "Nucleus sampling."},
    "top_k": {**INTEGER, "description": "How many of the likeliest tokens to choose from."},
    "min_p": {**NUMBER, "minimum": 0, "maximum": 1, "description": "Leave out tokens less likely than this share."},
    "presence_penalty": {**NUMBER, "minimum": -2, "maximum": 2, "description": "Above 0: say new things."},
    "frequency_penalty": {**NUMBER, "minimum": -2, "maximum": 2, "description": "Above 0: repeat less."},
    "repetition_penalty": {**NUMBER, "minimum": 0, "description": "Above 1: repeat less, prompt included."},
    "stop": {"type": "array", "items": TEXT, "maxItems": 4, "description": "Texts at which the answer ends."},
    **SAMPLING,
}
REQUIRED: tuple[tuple[str, ...], ...] = (("prompt", "messages"),)
TIMEOUT = 300.0

MAX_TOKENS = 2048
"""Sent when the step says nothing: servers' own defaults are as low as 16, which cuts every answer."""
REASK = 2
MAX_TURNS = 4

_ORDER = ("max_tokens", "temperature", "top_p", "top_k", "min_p", "frequency_penalty", "presence_penalty",
          "repetition_penalty", "stop", "seed")  # fmt: skip


def output(params: Mapping[str, JSON]) -> JSON:
    """Text, what the model thought before it, why it ended and how many tokens it took; data if there is a schema."""
    schema = params.get("schema")
    said = {"description": "The answer as JSON, where the step has a schema."}
    data = {"data": {**said, **schema, "$root": True}, "repairs": REPAIRS} if isinstance(schema, Mapping) else {}
    return {
        "type": "object",
        "properties": {
            "text": {"type": "string", "description": "The answer, without what the model thought first."},
            **data,
            **_calls_output(params.get("tools")),
            "reasoning": {"type": "string", "description": "What the model thought first; empty if it did not say."},
            "finish_reason": {"type": "string", "description": "stop, or length if the answer was cut."},
            "usage": {
                "type": "object",
                "description": "How many tokens it took, by what they were for.",
                "properties": {name: {"type": "integer"} for name in COUNTS},
                "additionalProperties": False,
            },
            **COST,
        },
        "additionalProperties": False,
    }


def _calls_output(tools: JSON) -> dict[str, JSON]:
    """The shape of what was called, if there is something to call."""
    if not isinstance(tools, Mapping):
        return {}
    inputs = [tool.get("input") for tool in tools.values() if isinstance(tool, Mapping)]
    only: JSON = {**inputs[0], "$root": True} if len(inputs) == 1 and isinstance(inputs[0], Mapping) else {}
    return {
        "tool_calls": _list_of("What the model called, in order, where the step has tools.", arguments=only),
        "tool_results": _list_of("What it was answered, in the same order.", result={}),
    }


def _list_of(description: str, **fields: JSON) -> JSON:
    item = {"type": "object", "properties": {"name": TEXT, **fields}, "additionalProperties": False}
    return {"type": "array", "items": item, "description": description}


@dataclass(frozen=True, slots=True)
class _Talk:
    """How far a conversation has come."""

    messages: tuple[JSON, ...]
    form: bool
    """Whether the schema is sent as ``response_format``."""
    asked_again: int = 0
    answered: tuple[Answered, ...] = ()
    turns: int = 0
    """How often the model has called tools instead of answering."""
    reasoning: tuple[str, ...] = ()
    usage: Mapping[str, int] = field(default_factory=dict)
    open: tuple[ToolCall, ...] = ()
    """Calls of the model that are not answered yet; the first of them waits for its pipeline."""
    asking: Asking | None = None
    """What that pipeline is asked."""


def advance(params: Mapping[str, JSON], replies: Sequence[Reply]) -> Next:
    """The next chat, the pipeline that a tool needs before it, or the text."""
    model = model_of(params)
    talk = _Talk(asking(params), form="schema" in params and not params.get("tools"))
    for reply in replies:
        heard = _heard(params, talk, reply) if talk.asking is None else _told(params, talk, talk.asking, reply)
        if isinstance(heard, dict):
            return Output(heard, model.id, sum(each.cost or 0.0 for each in replies))
        talk = heard
    if talk.asking is not None:
        return Errand(talk.asking.call.name, len(talk.answered), talk.asking.arguments)
    return _chat(params, talk)


def _heard(params: Mapping[str, JSON], talk: _Talk, reply: Reply) -> _Talk | dict[str, JSON]:
    """How the conversation goes on after a reply, or what the step yields. `BadOutput` if neither can be."""
    if reply.refused:
        return replace(talk, form=False)
    said = answer(reply)
    talk = replace(
        talk,
        reasoning=(*talk.reasoning, *([said.reasoning] if said.reasoning else [])),
        usage={name: talk.usage.get(name, 0) + said.usage[name] for name in COUNTS},
    )
    if params.get("tools") and (calls := called(said.message, talk.turns)):
        return _called(params, talk, said, calls)
    if not said.text.strip():
        raise silent(said)
    if "schema" not in params:
        return _yielded(params, talk, said)
    try:
        found = find(said.text, params["schema"], strict=bool(params.get("strict")), ended=not said.cut)
    except BadOutput as err:
        return _asked_again(params, talk, said, err)
    return _yielded(params, talk, said, data=found.value, repairs=list(found.repairs))


def _called(params: Mapping[str, JSON], talk: _Talk, said: Answer, calls: Sequence[ToolCall]) -> _Talk:
    """The conversation with the answers of its tools. `OutOfTurns` if there is no turn left to read them."""
    most = params.get("max_turns") or MAX_TURNS
    if talk.turns + 1 >= most:
        wanted = ", ".join(dict.fromkeys(call.name for call in calls))
        msg = (
            f"the model spoke {most} time{'s' * (most != 1)} and wants to call {wanted} again; raise max_turns to go "
            "on from there (what it said is kept), or tell it in the prompt when to answer"
        )
        raise OutOfTurns(msg, keep=_transcript(talk, said, calls))
    message = {"role": "assistant", "content": said.text or None, **said.thoughts,
               "tool_calls": [call.wire for call in calls]}  # fmt: skip
    talk = replace(talk, messages=(*talk.messages, message), turns=talk.turns + 1, open=tuple(calls))
    return _answering(params, talk)


def _answering(params: Mapping[str, JSON], talk: _Talk) -> _Talk:
    """The conversation with every answer that can be given, up to a call that a pipeline must answer."""
    for number, call in enumerate(talk.open):
        given = answered(params["tools"], call)
        if isinstance(given, Asking):
            return replace(talk, open=talk.open[number:], asking=given)
        talk = _with(talk, given)
    return replace(talk, open=(), asking=None)


def _told(params: Mapping[str, JSON], talk: _Talk, asking: Asking, reply: Reply) -> _Talk:
    """The conversation with what a pipeline answered."""
    return _answering(params, replace(_with(talk, asking.told(reply.data)), open=talk.open[1:]))


def _with(talk: _Talk, given: Answered) -> _Talk:
    return replace(talk, messages=(*talk.messages, given.message), answered=(*talk.answered, given))


def _transcript(talk: _Talk, said: Answer, calls: Sequence[ToolCall]) -> str:
    """What was said after the first question, to be read by a person."""
    lines = [
        f"{each.call.name}({json.dumps(each.arguments, ensure_ascii=False)})\n  {each.text}" for each in talk.answered
    ]
    lines += [said.text] if said.text else []
    return "\n\n".join([*lines, *(f"{call.name}({call.said})" for call in calls)])


def _asked_again(params: Mapping[str, JSON], talk: _Talk, said: Answer, wrong: BadOutput) -> _Talk:
    """The conversation with what is wrong as its last word. `BadOutput` if that has been said often enough."""
    if said.cut:
        most = params.get("max_tokens") or MAX_TOKENS
        msg = f"the answer was cut off at max_tokens, {most}, before its JSON was whole, after {said.text[-40:]!r}; "
        msg += "raise max_tokens"
        raise Truncated(msg, keep=said.text)
    most = _reask(params)
    if talk.asked_again == most:
        times = f", though it was asked again {most} time{'s' * (most != 1)}" if most else ""
        failed = BadOutput(f"{wrong}{times}", keep=said.text)
        failed.final = True
        raise failed
    return replace(talk, messages=(*talk.messages, *again(said.text, str(wrong))), asked_again=talk.asked_again + 1)


def _reask(params: Mapping[str, JSON]) -> int:
    most = params.get("reask")
    return REASK if most is None else int(most)


def _yielded(params: Mapping[str, JSON], talk: _Talk, said: Answer, **data: JSON) -> dict[str, JSON]:
    """What the step yields: `output` says so of each field."""
    if params.get("tools"):
        data["tool_calls"] = [{"name": each.call.name, "arguments": each.arguments} for each in talk.answered]
        data["tool_results"] = [{"name": each.call.name, "result": each.result} for each in talk.answered]
    return {
        "text": said.text,
        **data,
        "reasoning": "\n\n".join(talk.reasoning),
        "finish_reason": said.finish_reason,
        "usage": {name: talk.usage.get(name, 0) for name in COUNTS},
    }


def _chat(params: Mapping[str, JSON], talk: _Talk) -> Chat:
    """The chat that asks for what comes next."""
    model = model_of(params)
    said = {"max_tokens": MAX_TOKENS, **{name: params[name] for name in _ORDER if params.get(name) is not None}}
    for wrong in model.wrong(said):
        msg = f"{wrong.message} {wrong.instead}"
        raise BadParams(msg)
    body = {"model": model.openai_model or model.id, **said, **(params.get("options") or {})}
    if talk.form:
        body["response_format"] = _form(params["schema"])
    if params.get("tools"):
        body["tools"] = offered(params["tools"])
    costs = _costs(params, talk, body)
    return Chat(
        kind=f"{NAME}@{VERSION}",
        endpoint=model.endpoint,
        body={**body, "messages": list(talk.messages)},
        base_url=model.base_url,
        api_key_env=model.api_key_env,
        usd=costs[0],
        usd_per_token=model.price.usd / 1e6 if model.price else None,
        usd_per_token_in=model.price.input / 1e6 if model.price and model.price.input is not None else None,
        label=model.id,
        calls=len(costs),
        usd_in_all=None if None in costs else sum(filter(None, costs)),
        may_refuse="response_format" if talk.form else "",
        headers=model.headers,
    )


MARKS = 16
"""Tokens with which a model's template may set each message apart."""


def _costs(params: Mapping[str, JSON], talk: _Talk, body: Mapping[str, JSON]) -> list[float | None]:
    """The most that the next chat can cost, and each that may follow it.

    To ask again is to read an answer as long as it may be, and what is wrong with it. How long the answer of a tool
    is, nobody knows before, nor how many tokens a picture is: then the model's context is the bound.
    """
    model = model_of(params)
    sent = length(talk.messages) + MARKS * len(talk.messages)
    if beside := [body[name] for name in ("tools", "response_format") if name in body]:
        sent += len(json.dumps(beside).encode())
    turns = (params.get("max_turns") or MAX_TURNS) - 1 - talk.turns if "tools" in body else 0
    again = _reask(params) - talk.asked_again if "schema" in params else 0
    if sees(talk.messages):
        return [model.most] * (1 + turns + again)
    if turns:
        return [model.cost(body, sent), *[model.most] * (turns + again)]
    longer = int(body["max_tokens"]) + TOLD
    return [model.cost(body, sent + n * longer) for n in range(1 + again)]


def _form(schema: JSON) -> JSON:
    """How an endpoint is told to keep to a schema. Not ``strict``: that takes only a part of JSON Schema."""
    return {"type": "json_schema", "json_schema": {"name": "answer", "schema": schema}}
