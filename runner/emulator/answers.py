"""Answers that go wrong: a good answer and a fault in, what really leaves the socket out."""

import asyncio
import json
import socket
import struct
from collections.abc import AsyncIterator

from starlette.requests import HTTPConnection
from starlette.responses import Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from .faults import MANNERS, Fault

_REASONS = {
    400: "bad request",
    401: "unauthorized",
    402: "insufficient credits",
    404: "not found",
    408: "request timeout",
    413: "request body is too large",
    429: "too many requests",
    500: "internal server error",
    502: "bad gateway",
    503: "service unavailable",
    504: "gateway timeout",
}
_HTML = b"<!DOCTYPE html><html><head><title>502</title></head><body><h1>Bad gateway</h1></body></html>"


class Answer(Response):
    """As Runpod sends it, charset included."""

    media_type = "application/json"

    def __init__(self, content: object, status: int = 200, headers: dict[str, str] | None = None) -> None:
        text = json.dumps(content, ensure_ascii=False, separators=(",", ":"))
        # Half of a surrogate pair cannot be UTF-8, but its escape is good JSON.
        body = text.encode(errors="backslashreplace")
        super().__init__(body, status, headers, media_type="application/json; charset=utf-8")


def problem(status: int, text: str | None = None) -> Answer:
    """An error of the job API: a code and one string."""
    return Answer({"error": text or _REASONS[status]}, status)


def openai_problem(status: int, text: str | None = None, kind: str | None = None) -> Answer:
    """An error in OpenAI's form."""
    kinds = {401: "authentication_error", 404: "NotFoundError", 429: "rate_limit_error"}
    kind = kind or kinds.get(status, "server_error" if status >= 500 else "invalid_request_error")
    return Answer({"error": {"message": text or _REASONS[status], "type": kind, "param": None, "code": status}}, status)


def refusal(fault: Fault, operation: str) -> Response | None:
    """The answer in place of the work, for faults that strike before anything happens."""
    if fault.outcome == "html":
        return Response(_HTML, 502, media_type="text/html; charset=UTF-8")
    if not fault.outcome.isdigit():
        return None
    status = int(fault.outcome)
    answer = openai_problem(status) if operation in {"chat", "models"} else problem(status)
    if fault.seconds is not None:
        answer.headers["retry-after"] = f"{fault.seconds:g}"
    return answer


async def spoiled(answer: Response, fault: Fault) -> Response:
    """The answer after a fault that strikes on the way back: what was asked for has happened."""
    if fault.outcome == "slow":
        await asyncio.sleep(fault.seconds or 0)
        return answer
    if fault.outcome in MANNERS:
        return answer
    body = await _chunks(answer)  # a stream has to run to its end, or its worker would never be free
    match fault.outcome:
        case "notjson":
            return Response("upstream connect error or disconnect/reset before headers", media_type="application/json")
        case "empty":
            return Response(b"", media_type="application/json")
        case "notpicture":
            return Response(_HTML, media_type="image/png")
        case "huge":
            return StreamingResponse(_endless(), media_type="image/png")
        case "huge:length":
            return StreamingResponse(_endless(), media_type="image/png", headers={"content-length": str(2**40)})
        case "cut":
            return _Cut(body, answer)
        case "reset":
            return _Reset()
        case "hang":
            return _Hang()
        case _:
            return answer


async def _endless() -> AsyncIterator[bytes]:
    yield b"\x89PNG\r\n\x1a\n"
    while True:
        yield bytes(65_536)
        await asyncio.sleep(0)  # a fast reader must not keep the loop from everybody else


class _Cut(Response):
    """Promises a whole body, sends half of it and hangs up."""

    def __init__(self, body: bytes, answer: Response) -> None:
        super().__init__(body[: len(body) // 2], answer.status_code)
        self.raw_headers = answer.raw_headers

    async def __call__(self, _scope: Scope, _receive: Receive, send: Send) -> None:
        """Returning with `more_body` still true makes the server close the connection."""
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        await send({"type": "http.response.body", "body": self.body, "more_body": True})


class _Reset(Response):
    """No answer at all: the connection is reset under the client."""

    async def __call__(self, scope: Scope, receive: Receive, _send: Send) -> None:
        """Lingers for zero seconds, which is how TCP says reset rather than goodbye."""
        transport: asyncio.Transport = HTTPConnection(scope).state.transport
        transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        transport.abort()
        await left(receive)


class _Hang(Response):
    """No answer until the client leaves or the server stops."""

    async def __call__(self, _scope: Scope, receive: Receive, _send: Send) -> None:
        """Waits for the connection to go."""
        await left(receive)


async def _chunks(answer: Response) -> bytes:
    if not isinstance(answer, StreamingResponse):
        return bytes(answer.body)
    return b"".join([bytes(chunk) async for chunk in answer.body_iterator if not isinstance(chunk, str)])


async def left(receive: Receive) -> None:
    """Comes back when the client has hung up."""
    while (await receive())["type"] != "http.disconnect":
        pass
