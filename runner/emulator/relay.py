"""The OpenAI route of an endpoint that workers serve: a request becomes a job, what the worker says of it the answer.

The input of such a job is `{openai_route, openai_input}`, as the platform has it (API.md section 10.1). A worker
answers with a body of OpenAI, or streams such bodies or the raw text of their events.
"""

import json
from collections.abc import AsyncIterator

from starlette.responses import Response, StreamingResponse

from .answers import Answer, openai_problem
from .jobs import Job, Queue
from .values import JSON

_PATIENCE = 300.0  # seconds that an answer is waited for


def order(route: str, body: JSON) -> dict[str, JSON]:
    """The input of the job."""
    return {"openai_route": route, "openai_input": body}


async def relayed(queue: Queue, job: Job, *, stream: bool) -> Response:
    """The answer of the worker, whole or as it comes."""
    if stream:
        return StreamingResponse(_events(queue, job), media_type="text/event-stream")
    await queue.settled(job, _PATIENCE)
    said = job.output or [piece["output"] for piece in await queue.drained(job, 0)]
    if job.status != "COMPLETED":
        return openai_problem(500, _failure(job))
    body = said[0] if isinstance(said, list) and said else said
    return Answer(body) if isinstance(body, dict) else openai_problem(500, "the worker's answer is no JSON object")


async def _events(queue: Queue, job: Job) -> AsyncIterator[bytes]:
    """Raw events as they are, bodies as events of our own; a client that hangs up cancels its job."""
    try:
        while (pieces := await queue.drained(job, 1.0)) or not job.over:
            for piece in pieces:
                yield _event(piece["output"])
        if job.status != "COMPLETED":
            yield _event({"error": {"message": _failure(job), "type": "server_error", "code": 500}})
    finally:
        queue.cancel(job)


def _event(piece: JSON) -> bytes:
    return piece.encode() if isinstance(piece, str) else f"data: {json.dumps(piece)}\n\n".encode()


def _failure(job: Job) -> str:
    return job.error or f"the job {job.id} of this request is {job.status}"
