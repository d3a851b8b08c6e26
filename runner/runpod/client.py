"""HTTP to Runpod, one request at a time: what went wrong becomes one of `runner.errors`, by what it means for money.

The key goes to the configured base URL only. Each endpoint has small pools of its own, filled one after the other:
a pool looks at each of its idle connections at each event, so many small ones are faster than a large one, and a slow
endpoint takes no connection from another.
"""

from __future__ import annotations

import contextlib
import functools
import math
import ssl
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from types import MappingProxyType, TracebackType
from typing import Literal, Self
from urllib.parse import quote, urlsplit

import httpx2 as httpx

from .. import __version__
from ..errors import (
    BadRequest,
    Busy,
    CallFailed,
    ConnectionLost,
    FateUnknown,
    NotSent,
    Rejected,
    ServerFailed,
)
from ..model import JSON
from . import wire
from .carrier import NETWORK, Carrier
from .growth import Growth
from .pace import DOCUMENTED, UNLIMITED, Paces

Sends = Literal["", "job", "chat"]
"""What a request asks for that may cost money, if it does."""

RUN_LIMIT, RUNSYNC_LIMIT = 10_000_000, 20_000_000
"""Bytes that Runpod takes in the body of /run, and in that of /runsync."""

NO_HEADERS: Mapping[str, str] = MappingProxyType({})

CONNECT = 10.0
ANSWER = 30.0
"""Seconds to wait for an answer that is not held on purpose."""

_MAY_HAVE_ARRIVED = (408, 409, 504, 522, 524)
"""Answers to a submit that do not say whether it was accepted: somebody between gave up waiting."""

POOL = 8
"""Connections in one pool."""

BRIEF = 3.0
"""Seconds to hold a status request where many are held already, so that each gets its turn."""

_SHORTEST_KEY = 8

USER_AGENT = f"runner/{__version__}"

LOOPBACK = ("127.0.0.1", "localhost", "::1")


class Client:
    """The operations of Runpod's endpoints under one base URL, with one key."""

    def __init__(
        self,
        base_url: str,
        key: str,
        *,
        connections: int = 64,
        paces: Paces | None = None,
        carrier: Carrier = NETWORK,
    ) -> None:
        """``paces`` limit what is sent: by default to what is documented, on loopback only after a 429."""
        self._carrier = carrier
        self.base_url = base_url.rstrip("/")
        self.local = urlsplit(base_url).hostname in LOOPBACK
        self.paces = paces or Paces(UNLIMITED if self.local or not carrier.network else DOCUMENTED)
        self._key = key
        self._connections = connections
        self._pools: dict[str, list[_Pool]] = {}
        self._tls: ssl.SSLContext | None = None
        self._open = contextlib.AsyncExitStack()

    async def __aenter__(self) -> Self:
        await self._open.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._open.__aexit__(kind, error, trace)

    async def run(
        self,
        endpoint: str,
        body: bytes,
        answer: float = ANSWER,
        headers: Mapping[str, str] = NO_HEADERS,
        sending: Callable[[], None] | None = None,
    ) -> JSON:
        """Submit a job. `FateUnknown` if it may have been accepted and we do not know its id.

        ``sending`` is called right before the first byte: what happens before, a connection that cannot be made, is
        no reason to doubt that nothing was sent.
        """
        return await self._json(
            "POST", self.base_url, endpoint, "/run", body=body, answer=min(answer, ANSWER), sends="job", more=headers,
            sending=sending,
        )  # fmt: skip

    async def runsync(
        self,
        endpoint: str,
        body: bytes,
        wait: float,
        headers: Mapping[str, str] = NO_HEADERS,
        sending: Callable[[], None] | None = None,
    ) -> JSON:
        """Submit a job and hold for at most ``wait`` seconds; ``sending`` as in `run`."""
        path = f"/runsync?wait={int(wait * 1000)}"
        return await self._json(
            "POST", self.base_url, endpoint, path, body=body, answer=wait + ANSWER, sends="job", more=headers,
            sending=sending,
        )  # fmt: skip

    async def stream(self, endpoint: str, job: str, wait: float) -> JSON:
        """What the job has said since the last look, and its state."""
        return await self._json("GET", self.base_url, endpoint, f"/stream/{quote(job, safe='')}", answer=wait + 15)

    async def status(self, endpoint: str, job: str) -> JSON:
        """The job as it is. `Rejected` with ``status`` 404 if Runpod does not know it."""
        return await self._json("GET", self.base_url, endpoint, f"/status/{quote(job, safe='')}")

    async def status_sync(self, endpoint: str, job: str, wait: float) -> JSON:
        """The job when it has ended, or as it is after ``wait`` seconds."""
        if self.paces.of(endpoint, "status").law.crowded:
            wait = min(wait, BRIEF)
        path = f"/status-sync/{quote(job, safe='')}?wait={int(wait * 1000)}"
        return await self._json("GET", self.base_url, endpoint, path, answer=wait + 15)

    async def cancel(self, endpoint: str, job: str) -> JSON:
        """Stop a job that is queued or running."""
        return await self._json("POST", self.base_url, endpoint, f"/cancel/{quote(job, safe='')}", body=b"{}")

    async def health(self, endpoint: str) -> JSON:
        """Counts of jobs and workers."""
        return await self._json("GET", self.base_url, endpoint, "/health")

    async def chat(
        self,
        endpoint: str,
        body: bytes,
        headers: Mapping[str, str] = NO_HEADERS,
        growth: Growth | None = None,
        sending: Callable[[], None] | None = None,
    ) -> JSON:
        """A chat completion from an endpoint's OpenAI-compatible route; with ``growth`` it is read while it grows.

        ``sending`` is called when it is its turn. How long an answer may take is for the caller to say, who cancels it.
        """
        path = "/openai/v1/chat/completions"
        return await self._json(
            "POST", self.base_url, endpoint, path, body=body, answer=None, sends="chat", more=headers,
            sending=sending, growth=growth,
        )  # fmt: skip

    async def chat_at(
        self,
        base_url: str,
        body: bytes,
        key: str | None,
        headers: Mapping[str, str] = NO_HEADERS,
        growth: Growth | None = None,
        sending: Callable[[], None] | None = None,
    ) -> JSON:
        """A chat completion from another server, with that server's own key or none; the rest as in `chat`."""
        return await self._json(
            "POST", base_url, "", "/chat/completions", body=body, answer=None, sends="chat", other_key=(key,),
            more=headers, sending=sending, growth=growth,
        )  # fmt: skip

    async def models_at(self, base_url: str, key: str | None) -> JSON:
        """What another server has, asked with that server's own key or none."""
        return await self._json("GET", base_url, "", "/models", other_key=(key,))

    async def _json(
        self,
        method: Literal["GET", "POST"],
        base_url: str,
        endpoint: str,
        path: str,
        *,
        body: bytes | None = None,
        answer: float | None = ANSWER,
        sends: Sends = "",
        other_key: tuple[str | None] | None = None,
        more: Mapping[str, str] = NO_HEADERS,
        sending: Callable[[], None] | None = None,
        growth: Growth | None = None,
    ) -> JSON:
        name = endpoint or urlsplit(base_url).netloc
        url = f"{base_url}/{endpoint}{path}" if endpoint else f"{base_url}{path}"
        key = other_key[0] if other_key else self._key
        accept = "application/json" if growth is None else "text/event-stream, application/json"
        headers = {"Accept": accept, "User-Agent": USER_AGENT, **more}
        if key:
            headers["Authorization"] = f"Bearer {key}"
        if body is not None:
            headers["Content-Type"] = "application/json"
        pace = self.paces.of(endpoint or base_url, _operation(path) if endpoint else "")
        turn = await pace.turn()
        try:
            response = await self._send(name, method, url, headers, body, answer, sends, growth, sending)
            code = response.status_code
            pace.heard(turn, code, _seconds(response.headers.get("retry-after")) if code == 429 else None)
        finally:
            pace.leave()
        if growth is not None and growth.body is not None:
            return growth.body
        return self._read(name, response, sends, key)

    async def _send(
        self,
        name: str,
        method: str,
        url: str,
        headers: Mapping[str, str],
        body: bytes | None,
        answer: float | None,
        sends: Sends,
        growth: Growth | None = None,
        sending: Callable[[], None] | None = None,
    ) -> httpx.Response:
        timeout = {"connect": CONNECT, "read": answer, "write": answer and ANSWER, "pool": None}
        extensions: dict[str, object] = {"timeout": timeout}
        if sending is not None and sends == "job" and self._carrier.network:
            extensions["trace"] = _first_byte(sending)
        elif sending is not None:
            sending()
        pool = self._pool(name, url)
        pool.busy += 1
        try:
            request = httpx.Request(method, _url(url), headers=headers, content=body, extensions=extensions)
            async with contextlib.aclosing(await pool.transport.handle_async_request(request)) as response:
                await (response.aread() if growth is None else growth.read(response))
            return response
        except (httpx.ConnectError, httpx.ConnectTimeout) as err:
            msg = f"no connection to {urlsplit(url).netloc}: {_why(err)}; nothing was sent"
            raise NotSent(msg) from err
        except (httpx.InvalidURL, httpx.UnsupportedProtocol, httpx.LocalProtocolError) as err:
            msg = f"the request to {name} cannot be sent: {type(err).__name__}; nothing was sent"
            raise Rejected(msg) from err
        except httpx.HTTPError as err:
            if sends:
                raise FateUnknown(_unknown(name, f"no answer came ({_why(err)})", sends)) from err
            msg = f"the connection to {name} broke while its answer was read: {_why(err)}"
            raise ConnectionLost(msg) from err
        finally:
            pool.busy -= 1

    def _read(self, name: str, response: httpx.Response, sends: Sends, key: str | None) -> JSON:
        content = response.content
        if key and len(key) >= _SHORTEST_KEY and not response.is_success:
            content = content.replace(key.encode(), b"[key]")  # a server that repeats the key must not make us do so
        body: JSON = None
        with contextlib.suppress(ValueError, RecursionError):
            body = wire.parsed(content)
        if response.is_success and body is not None:
            return body
        if response.is_success:
            said = wire.shown(content.decode("utf-8", "replace"))
            if sends:
                raise FateUnknown(_unknown(name, f"its answer is not JSON: {said!r}", sends))
            msg = f"{name} answered with something that is not JSON: {said!r}"
            raise ConnectionLost(msg)
        if sends == "job" and response.status_code in _MAY_HAVE_ARRIVED:
            raise FateUnknown(_unknown(name, f"the answer was {response.status_code}", sends))
        if isinstance(body, dict) and body.get("status") in wire.ENDS:
            return body  # public endpoints tell a failed job with HTTP 400
        raise _refused(name, response, wire.error_text(body) if body is not None else "")

    def _pool(self, name: str, url: str) -> _Pool:
        """The first pool with a free connection; a new one while there may be more connections; else the emptiest."""
        pools = self._pools.setdefault(name, [])
        for pool in pools:
            if pool.busy < POOL:
                return pool
        if len(pools) * POOL >= self._connections:
            return min(pools, key=lambda pool: pool.busy)
        if self._tls is None and url.startswith("https:"):
            self._tls = httpx.create_ssl_context()  # costs as much as a start, so only where it is needed
        transport = self._carrier.transport(
            verify=self._tls or False,  # without a context there is no TLS to verify: the address is http:
            limits=httpx.Limits(max_connections=POOL, max_keepalive_connections=POOL),
            trust_env=not self.local,
        )
        self._open.push_async_exit(transport)
        pools.append(_Pool(transport))
        return pools[-1]


@dataclass(slots=True, eq=False)
class _Pool:
    """A pool of connections, and how many requests are under way on it."""

    transport: httpx.AsyncBaseTransport
    busy: int = 0


@functools.lru_cache(maxsize=256)
def _first_byte(sending: Callable[[], None]) -> Callable[[str, object], Awaitable[None]]:
    """What tells of the first byte of a request, for httpcore, which tells of each thing that it does (its extension
    "trace").
    """
    told = False

    async def trace(event: str, info: object) -> None:
        nonlocal told
        del info
        if not told and event.endswith(".send_request_headers.started"):
            told = True
            sending()

    return trace


def _url(url: str) -> httpx.URL:
    """Reading an address costs as much as half a request, and chats and submits go to the same few."""
    return httpx.URL(url)


def _operation(path: str) -> str:
    """The operation whose limit a path of an endpoint counts against, by its name in `pace.DOCUMENTED`."""
    first = path.split("/", 2)[1]
    return "status" if first.startswith(("status", "stream")) else first.partition("?")[0]


class NotFound(Rejected):
    """404: no such endpoint, route or job."""


class KeyRefused(Rejected):
    """401 or 403: the key is none, or may not do this."""


def _refused(name: str, response: httpx.Response, said: str) -> CallFailed:
    code = response.status_code
    said = f": {said}" if said else f" {response.reason_phrase}".rstrip()
    if code == 429:
        busy = Busy(f"{name} is over its rate limit (429){said}")
        busy.retry_after = _seconds(response.headers.get("retry-after"))
        return busy
    if code >= 500 or code in (408, 409):
        failed = ServerFailed(f"{name} answered {code}{said}")
        failed.retry_after = _seconds(response.headers.get("retry-after"))
        return failed
    match code:
        case 400 | 422:
            return BadRequest(f"{name} refused the request ({code}){said}")
        case 401 | 403:
            return KeyRefused(f"{name} refused the key ({code}){said}; check RUNPOD_API_KEY and what it may do")
        case 402:
            return Rejected(f"{name} wants credits (402){said}; add credits to the Runpod account")
        case 404:
            return NotFound(f"{name} is not there (404){said}; check the model or endpoint id")
        case 413:
            return Rejected(f"the request is too large for {name} (413){said}; use smaller pictures")
    return Rejected(f"{name} refused the request ({code}){said}")


def _unknown(name: str, why: str, sends: Sends) -> str:
    if sends == "chat":
        return f"the chat was sent to {name} and {why}, so it may have cost money"
    return f"the request was sent to {name} and {why}, so it may have been accepted and may cost money"


def _seconds(text: str | None) -> float | None:
    """``Retry-After`` in seconds, also where it is a date (RFC 9110, 10.2.3); bounded. None if it is neither."""
    if text is None:
        return None
    try:
        seconds = float(text)
    except ValueError:
        try:
            seconds = parsedate_to_datetime(text).timestamp() - time.time()
        except (ValueError, OverflowError):
            return None
    return min(max(seconds, 0.0), 120.0) if math.isfinite(seconds) else None


def _why(err: Exception) -> str:
    return str(err) or type(err).__name__
