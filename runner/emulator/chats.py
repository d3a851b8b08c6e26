"""The OpenAI route: a chat request in, a chat completion or its stream of events out."""

import asyncio
import json
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from typing import Any

from starlette.responses import Response, StreamingResponse

from .answers import Answer, openai_problem
from .endpoints import Endpoint
from .jobs import Queue
from .texts import Manner, Reply, pieces, reply


async def chat(
    queue: Queue,
    slug: str,
    endpoint: Endpoint,
    body: dict[str, Any],
    *,
    latency: tuple[float, float],
    manner: Manner,
) -> Response:
    """Waits as a job would (queue, worker, work), then answers, or streams over the time of the work."""
    wrong = _wrong(endpoint, body)
    if wrong is not None:
        return wrong
    answer = reply(body, manner=manner, think=endpoint.think)
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
            return StreamingResponse(_events(head, answer, body, latency[1], held), media_type="text/event-stream")
        await asyncio.sleep(latency[1])
    message = {"role": "assistant", "content": answer.content}
    choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": answer.finish}
    return Answer({**head, "object": "chat.completion", "choices": [choice], "usage": answer.usage})


def models(slug: str, endpoint: Endpoint) -> Answer:
    """The one model that an endpoint serves."""
    name = endpoint.model or slug
    return Answer({"object": "list", "data": [{"id": name, "object": "model", "created": 0, "owned_by": "runpod"}]})


def _wrong(endpoint: Endpoint, body: dict[str, Any]) -> Response | None:
    if endpoint.kind not in {"text", "echo"}:
        return openai_problem(400, "this endpoint serves pictures, not chat completions")
    messages = body.get("messages")
    if not isinstance(messages, list) or not messages or not all(isinstance(one, dict) for one in messages):
        return openai_problem(400, "messages must be a list of at least one message")
    model = body.get("model")
    if endpoint.model is not None and model != endpoint.model:
        return openai_problem(404, f"The model `{model}` does not exist.")
    return None


async def _events(
    head: dict[str, Any], answer: Reply, body: dict[str, Any], seconds: float, held: AsyncExitStack
) -> AsyncIterator[bytes]:
    """Server-sent events; the worker is held until the last one has left."""
    async with held:
        bites = pieces(answer.content)
        yield _event(head, {"role": "assistant", "content": ""})
        for bite in bites:
            if seconds:
                await asyncio.sleep(seconds / len(bites))
            yield _event(head, {"content": bite})
        yield _event(head, {}, answer.finish)
        options = body.get("stream_options")
        if isinstance(options, dict) and options.get("include_usage"):
            yield _line({**head, "object": "chat.completion.chunk", "choices": [], "usage": answer.usage})
        yield b"data: [DONE]\n\n"


def _event(head: dict[str, Any], delta: dict[str, str], finish: str | None = None) -> bytes:
    choice = {"index": 0, "delta": delta, "finish_reason": finish}
    return _line({**head, "object": "chat.completion.chunk", "choices": [choice]})


def _line(chunk: dict[str, Any]) -> bytes:
    return f"data: {json.dumps(chunk)}\n\n".encode()
