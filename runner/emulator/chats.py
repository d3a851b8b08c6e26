"""The OpenAI route: a chat request in, a chat completion or its stream of events out."""

import asyncio
import json
import re
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from typing import Any

from starlette.responses import Response, StreamingResponse

from .answers import Answer, openai_problem
from .endpoints import Endpoint
from .jobs import Queue, RefusedError
from .texts import Look, Manner, Reply, pieces, reply, usage
from .tools import unknown

_MOST = 128  # choices of one request


async def chat(
    queue: Queue,
    slug: str,
    endpoint: Endpoint,
    body: dict[str, Any],
    *,
    latency: tuple[float, float],
    manner: Manner,
    pause: float | None = None,
    look: Look | None = None,
) -> Response:
    """Waits as a job would (queue, worker, work), then answers, or streams over the time of the work.

    `pause` is how long a `stall` lasts, None for ever; `look` says what a picture shows.
    """
    wrong = _wrong(endpoint, body, manner)
    if wrong is not None:
        return wrong
    try:
        answers = [
            reply(body, manner=manner, think=endpoint.think, look=look, turn=turn) for turn in range(body.get("n") or 1)
        ]
    except RefusedError as err:
        return openai_problem(400, str(err))
    head = {
        "id": f"chatcmpl-{time.time_ns():x}",
        "created": int(time.time()),
        "model": body.get("model") or slug,
    }
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


def _wrong(endpoint: Endpoint, body: dict[str, Any], manner: Manner) -> Response | None:
    if endpoint.kind not in {"text", "echo"}:
        return openai_problem(400, f"this endpoint serves jobs of the kind {endpoint.kind}, not chat completions")
    messages = body.get("messages")
    if not isinstance(messages, list) or not messages or not all(isinstance(one, dict) for one in messages):
        return openai_problem(400, "messages must be a list of at least one message")
    model = body.get("model")
    if endpoint.model is not None and model not in (endpoint.model, *endpoint.models):
        return openai_problem(404, f"The model `{model}` does not exist.")
    count = body.get("n")
    if count is not None and (not isinstance(count, int) or isinstance(count, bool) or not 1 <= count <= _MOST):
        return openai_problem(400, f"n must be an integer from 1 to {_MOST}, not {count!r}")
    if (name := unknown(body)) is not None:
        return openai_problem(400, f"tool_choice names {name!r}, which is not among the tools")
    form = body.get("response_format")
    if manner == "noschema" and isinstance(form, dict) and form.get("type") == "json_schema":
        return openai_problem(400, "response_format of type json_schema is not supported by this model")
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
    head: dict[str, Any],
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
            yield _event(head, index, {"role": "assistant", "content": ""})
        for number, (index, delta) in enumerate(said):
            if number == len(said) // 2 and manner == "stall":
                await _stalls(pause)
            if number == len(said) // 2 and manner == "errorchunk":
                error = {"message": "the engine died while it answered", "type": "server_error", "code": 500}
                yield _line({"error": {**error, "param": None}})
                return
            if seconds:
                await asyncio.sleep(seconds / len(said))
            yield _event(head, index, delta)
        for index, answer in enumerate(answers):
            yield _event(head, index, {}, answer.finish)
        options = body.get("stream_options")
        if isinstance(options, dict) and options.get("include_usage"):
            yield _line({**head, "object": "chat.completion.chunk", "choices": [], "usage": usage(answers)})
        yield b"data: [DONE]\n\n"


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
    async for event in events:
        rest += event
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


def _event(head: dict[str, Any], index: int, delta: dict[str, Any], finish: str | None = None) -> bytes:
    choice = {"index": index, "delta": delta, "finish_reason": finish}
    return _line({**head, "object": "chat.completion.chunk", "choices": [choice]})


def _line(chunk: dict[str, Any]) -> bytes:
    return f"data: {json.dumps(chunk)}\n\n".encode()
