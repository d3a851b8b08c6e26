"""A chat with a real model: a request that its writer takes in, the completion or its stream of events out."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import AsyncExitStack, aclosing
from typing import Any

from starlette.responses import Response, StreamingResponse

from .answers import Answer, openai_problem
from .chunks import END, Head, chunk, event, line
from .jobs import Queue, RefusedError
from .texts import Reply
from .workers import Left
from .writer import DiedError, Writer

Pieces = AsyncGenerator[str | Reply, None]


async def written(
    queue: Queue, slug: str, writer: Writer, body: dict[str, Any], head: Head, *, wait: float, left: Left
) -> Response:
    """Waits as a job would, then answers as the model writes; who has hung up is not written for."""
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(queue.flight())
        await asyncio.sleep(wait)
        await stack.enter_async_context(queue.slot(slug))
        pieces = await stack.enter_async_context(aclosing(writer.writes(body)))
        try:
            if body.get("stream") is True:
                first = await anext(pieces)  # what is refused is refused before the stream begins
                options = body.get("stream_options")
                usage = isinstance(options, dict) and bool(options.get("include_usage"))
                events = _events(head, first, pieces, stack.pop_all(), usage=usage)
                return StreamingResponse(events, media_type="text/event-stream")
            reply = await _unless(left, pieces)
        except RefusedError as err:
            return openai_problem(400, str(err))
        except DiedError as err:
            return openai_problem(500, str(err))
        if reply is None:
            return Response(status_code=499)
    message = {"role": "assistant", "content": reply.content}
    choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": reply.finish}
    return Answer({**head, "object": "chat.completion", "choices": [choice], "usage": reply.usage})


async def _unless(left: Left, pieces: Pieces) -> Reply | None:
    """The whole text, or None when the client is gone before it is there."""
    writing, leaving = asyncio.create_task(_whole(pieces)), asyncio.ensure_future(left())
    try:
        await asyncio.wait((writing, leaving), return_when=asyncio.FIRST_COMPLETED)
        return await writing if writing.done() else None
    finally:
        writing.cancel()
        leaving.cancel()
        await asyncio.gather(writing, leaving, return_exceptions=True)


async def _whole(pieces: Pieces) -> Reply:
    last = [piece async for piece in pieces][-1]
    assert isinstance(last, Reply)
    return last


async def _events(
    head: Head, first: str | Reply, rest: Pieces, held: AsyncExitStack, *, usage: bool
) -> AsyncIterator[bytes]:
    """Server-sent events; the model stops when nobody reads them any more."""
    async with held:
        yield event(head, 0, {"role": "assistant", "content": ""})
        piece = first
        try:
            while isinstance(piece, str):
                yield event(head, 0, {"content": piece})
                piece = await anext(rest)
        except (RefusedError, DiedError) as err:
            yield line({"error": {"message": str(err), "type": "server_error", "param": None, "code": 500}})
            return
        yield event(head, 0, {}, piece.finish)
        if usage:
            yield chunk(head, [], usage=piece.usage)
        yield END
