"""An answer that is read while it grows: a response of HTTP in, the chat completion that was streamed in it out."""

from __future__ import annotations

import contextlib
import json
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field

import anyio
import httpx2 as httpx

from ..errors import AttemptTimedOut, BadRequest, Busy, CallFailed, FateUnknown, ServerFailed
from ..model import JSON
from . import wire
from .chunks import Completion
from .sse import Events

IDLE = 60.0
"""Seconds without a byte after which a stream that had begun is given up."""


LAST = 2.0
"""Seconds for which the end of a stream is awaited after its last event, so that its connection can be used again."""


@dataclass(slots=True)
class Growth:
    """One answer. ``grew`` is told each piece of its text; ``body`` is the whole, if the server did stream it."""

    name: str
    grew: Callable[[str], None]
    idle: float = IDLE
    body: JSON = None
    _events: Events = field(default_factory=Events)
    _said: Completion = field(default_factory=Completion)
    _done: bool = False

    async def read(self, response: httpx.Response) -> None:
        """Read a response to its end. One that is no stream, because the server does not stream, is read as it is."""
        if not response.is_success or "text/event-stream" not in response.headers.get("content-type", ""):
            await response.aread()
            return
        try:
            await self._pieces(response)
        except httpx.HTTPError as err:
            raise self._broken(f"broke ({str(err) or type(err).__name__})") from err
        if not (self._done or self._said.ended):
            raise self._broken("ended before the answer did")
        self.body = self._said.body()

    async def _pieces(self, response: httpx.Response) -> None:
        stream = response.aiter_bytes()
        limit = None  # until it begins, it may wait in a queue: the step's timeout bounds that
        while True:
            with anyio.move_on_after(limit) as scope:
                piece = await anext(stream, None)
            if scope.cancelled_caught and not self._done:
                raise AttemptTimedOut(
                    f"the stream from {self.name} said nothing for {self.idle:g} s in the middle of its answer"
                )
            if scope.cancelled_caught:
                return
            try:
                for data in self._events.end() if piece is None else self._events.feed(piece):
                    self._heard(data)
            except CallFailed:
                await _left(response, stream)
                raise
            if piece is None:
                return
            limit = min(self.idle, LAST) if self._done else self.idle

    def _heard(self, data: str) -> None:
        if data.strip() == "[DONE]":
            self._done = self._said.begun
            return
        try:
            chunk = wire.parsed(data.encode())
        except (ValueError, RecursionError) as err:
            raise self._broken(f"holds something that is not JSON: {wire.shown(data)!r}") from err
        if not isinstance(chunk, dict):
            raise self._broken(f"holds something that is no chunk: {wire.shown(data)!r}")
        if chunk.get("error") or chunk.get("object") == "error":
            raise self._failed(chunk)
        if piece := self._said.add(chunk):
            self.grew(piece)

    def _broken(self, how: str) -> FateUnknown:
        begun = " in the middle of its answer" if self._said.begun else ""
        return FateUnknown(f"the chat was sent to {self.name} and its stream{begun} {how}, so it may have cost money")

    def _failed(self, chunk: dict[str, JSON]) -> CallFailed:
        """What an error in a stream means: before the first word the same as an answer with its code."""
        said = wire.error_text(chunk) or wire.shown(json.dumps(chunk))
        error = chunk.get("error")
        code = (error if isinstance(error, dict) else chunk).get("code")
        if self._said.begun:
            return self._broken(f"told of an error: {said}")
        if code in (400, 422, "400", "422"):
            return BadRequest(f"{self.name} refused the request ({code}): {said}")
        if code in (429, "429"):
            return Busy(f"{self.name} is over its rate limit (429): {said}")
        return ServerFailed(f"{self.name} failed: {said}")


async def _left(response: httpx.Response, stream: AsyncIterator[bytes]) -> None:
    """Leave a stream in the middle. Closing makes its next read fail, which ends the generators below in order."""
    await response.aclose()
    with contextlib.suppress(httpx.HTTPError, httpx.StreamError, RuntimeError):
        async for _ in stream:
            pass
