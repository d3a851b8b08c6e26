"""The OpenAI route: a chat request in, a chat completion or its stream of events out."""

import asyncio
import re
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from typing import Any

from jsonschema import Draft202012Validator
from jsonschema.exceptions import SchemaError
from starlette.responses import Response, StreamingResponse

from .answers import Answer, openai_problem
from .chunks import END, Head, chunk, event, line
from .endpoints import Endpoint
from .jobs import Queue, RefusedError
from .rules import Rule, wrong
from .texts import Look, Manner, Reply, insists, pieces, reply, usage
from .tools import offered, unknown
from .workers import Left
from .writer import Writer
from .written import written

_MESSAGE = {
    "role": {"type": "string"},
    "content": {"type": ["string", "array", "null"]},
    "tool_calls": {"type": ["array", "null"]},
}
_FUNCTION = {
    "name": {"type": "string"},
    "description": {"type": ["string", "null"]},
    "parameters": {"type": ["object", "null"]},
}
_TOOL = {"function": {"type": "object", "required": ["name"], "properties": _FUNCTION}}
_RULES: dict[str, Rule] = {
    "messages": {"type": "array", "items": {"type": "object", "required": ["role"], "properties": _MESSAGE}},
    "n": {"type": "integer", "minimum": 1, "maximum": 128},
    "seed": {"type": "integer"},
    "temperature": {"type": "number", "minimum": 0, "maximum": 2},
    "max_tokens": {"type": "integer", "minimum": 1},
    "max_completion_tokens": {"type": "integer", "minimum": 1},
    "stop": {"type": ["string", "array"], "items": {"type": "string"}},
    "tools": {"type": "array", "items": {"type": "object", "required": ["function"], "properties": _TOOL}},
    "tool_choice": {"type": ["string", "object"]},
    "response_format": {"type": "object", "properties": {"json_schema": {"type": ["object", "null"]}}},
    "stream_options": {"type": "object"},
    "chat_template_kwargs": {"type": "object"},
}
"""What a request has to be, by its parameters; others are tolerated, as is a null."""


async def chat(
    queue: Queue,
    slug: str,
    endpoint: Endpoint,
    body: dict[str, Any],
    *,
    latency: tuple[float, float],
    left: Left,
    manner: Manner,
    pause: float | None = None,
    look: Look | None = None,
    writer: Writer | None = None,
) -> Response:
    """Waits as a job would (queue, worker, work), then answers, or streams over the time of the work.

    `pause` is how long a `stall` lasts, None for ever; `look` says what a picture shows; `writer` is a real model,
    which writes what it can write; `left` comes back when the client has hung up.
    """
    refused = _refused(endpoint, body, manner)
    if refused is not None:
        return refused
    head: Head = {
        "id": f"chatcmpl-{time.time_ns():x}",
        "created": int(time.time()),
        "model": body.get("model") or slug,
    }
    if writer is not None and manner == "plain" and writer.takes(body):
        return await written(queue, slug, writer, body, head, wait=latency[0], left=left)
    try:
        answers = [
            reply(body, manner=manner, think=endpoint.think, look=look, turn=turn) for turn in range(body.get("n") or 1)
        ]
    except (RefusedError, re.error) as err:  # a picture that is none, a pattern that is none
        return openai_problem(400, str(err))
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(queue.flight())
        await asyncio.sleep(latency[0])
        await stack.enter_async_context(queue.slot(slug))
        if body.get("stream") is True:
            held = stack.pop_all()
            events = _events(head, answers, body, latency[1], held, manner, pause)
            return StreamingResponse(
                _chopped(events) if manner == "chopped" else events, media_type="text/event-stream"
            )
        if manner == "stall":
            await _stalls(pause)
        await asyncio.sleep(latency[1])
    choices = [
        {"index": index, "message": _message(answer), "logprobs": None, "finish_reason": answer.finish}
        for index, answer in enumerate(answers)
    ]
    return Answer({**head, "object": "chat.completion", "choices": choices, "usage": usage(answers)})


def models(slug: str, endpoint: Endpoint) -> Answer:
    """The models that an endpoint serves, as a rule one."""
    names = (endpoint.model or slug, *endpoint.models)
    data = [{"id": name, "object": "model", "created": 0, "owned_by": "runpod"} for name in names]
    return Answer({"object": "list", "data": data})


def _refused(endpoint: Endpoint, body: dict[str, Any], manner: Manner) -> Response | None:
    if endpoint.kind not in {"text", "echo"}:
        return openai_problem(400, f"this endpoint serves jobs of the kind {endpoint.kind}, not chat completions")
    if not body.get("messages"):
        return openai_problem(400, "messages must be a list of at least one message")
    said = next((said for name, rule in _RULES.items() if (said := wrong(name, body.get(name), rule, null=True))), None)
    if said is not None:
        return openai_problem(400, said)
    model = body.get("model")
    if endpoint.model is not None and model not in (endpoint.model, *endpoint.models):
        return openai_problem(404, f"The model `{model}` does not exist.")
    if (name := unknown(body)) is not None:
        return openai_problem(400, f"tool_choice names {name!r}, which is not among the tools")
    form = body.get("response_format")
    if (said := _unfit(body)) is not None:
        return openai_problem(400, said)
    if manner == "noschema" and isinstance(form, dict) and form.get("type") == "json_schema":
        return openai_problem(400, "response_format of type json_schema is not supported by this model")
    return None


def _unfit(body: dict[str, Any]) -> str | None:
    """What is wrong with a schema of the request: nothing can be made to fit it."""
    schemas = {f"the parameters of {tool.name}": tool.parameters for tool in offered(body)}
    if (insisted := insists(body)) is not None:
        schemas["the schema of response_format"] = insisted
    for what, schema in schemas.items():
        try:
            Draft202012Validator.check_schema(schema)
        except SchemaError as err:
            return f"{what} is no JSON Schema: {err.message}"
    return None


def _message(answer: Reply) -> dict[str, Any]:
    message: dict[str, Any] = {"role": "assistant", "content": answer.content}
    if answer.reasoning:
        message["reasoning_content"] = answer.reasoning
    if answer.calls:
        message["content"] = answer.content or None
        message["tool_calls"] = [call.wire for call in answer.calls]
    return message


async def _events(
    head: Head,
    answers: list[Reply],
    body: dict[str, Any],
    seconds: float,
    held: AsyncExitStack,
    manner: Manner,
    pause: float | None,
) -> AsyncIterator[bytes]:
    """Server-sent events; the worker is held until the last one has left."""
    async with held:
        said = [(index, delta) for index, answer in enumerate(answers) for delta in _deltas(answer)]
        for index in range(len(answers)):
            yield event(head, index, {"role": "assistant", "content": ""})
        for number, (index, delta) in enumerate(said):
            if number == len(said) // 2 and manner == "stall":
                await _stalls(pause)
            if number == len(said) // 2 and manner == "errorchunk":
                error = {"message": "the engine died while it answered", "type": "server_error", "code": 500}
                yield line({"error": {**error, "param": None}})
                return
            if seconds:
                await asyncio.sleep(seconds / len(said))
            yield event(head, index, delta)
        for index, answer in enumerate(answers):
            yield event(head, index, {}, answer.finish)
        options = body.get("stream_options")
        if isinstance(options, dict) and options.get("include_usage"):
            yield chunk(head, [], usage=usage(answers))
        yield END


def _deltas(answer: Reply) -> list[dict[str, Any]]:
    """What was thought, then what is said, then the calls: each its id and name first, then its arguments."""
    deltas: list[dict[str, Any]] = []
    if answer.reasoning:
        deltas += [{"reasoning_content": bite} for bite in pieces(answer.reasoning)]
    if answer.content or not answer.calls:
        deltas += [{"content": bite} for bite in pieces(answer.content)]
    for index, call in enumerate(answer.calls):
        wire = call.wire
        first = {"index": index, **wire, "function": {**wire["function"], "arguments": ""}}
        bites = re.findall(r".{1,12}", call.arguments, re.DOTALL)
        deltas += [{"tool_calls": [first]}]
        deltas += [{"tool_calls": [{"index": index, "function": {"arguments": bite}}]} for bite in bites]
    return deltas


async def _chopped(events: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """The same bytes in portions that know nothing of events: some hold several, some a part of one."""
    rest = b""
    async for each in events:
        rest += each
        while len(rest) > 700:
            yield rest[:333]
            rest = rest[333:]
            await asyncio.sleep(0)
    yield rest


async def _stalls(pause: float | None) -> None:
    """Says nothing for a while, or until the client has left."""
    if pause is None:
        await asyncio.Event().wait()
    else:
        await asyncio.sleep(pause)
