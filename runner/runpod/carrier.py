"""How requests travel: over the network, over the network and onto a cassette, or from a cassette without a network.

Recording and replaying are transports of the HTTP client: everything above them is the code of any run.

Calls of the API are handed to a transport, and not to a client: they want no cookies, redirects or authentication, and
a client's look at each costs a tenth of a call. Files are fetched by clients.
"""

from __future__ import annotations

import os
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import anyio
import anyio.lowlevel
import httpx2 as httpx

from .cassette import Asked, Cassette


def _transport(**options: Any) -> httpx.AsyncBaseTransport:
    """The network. Where there may be proxies, a client is below it: it knows those of the environment."""
    proxied = sys.platform in ("darwin", "win32") or any(name.lower().endswith("_proxy") for name in os.environ)
    if options["trust_env"] and proxied:
        return _Below(httpx.AsyncClient(**options))
    return httpx.AsyncHTTPTransport(**options)


class _Below(httpx.AsyncBaseTransport):
    """A client as a transport."""

    def __init__(self, client: httpx.AsyncClient) -> None:
        self._client = client

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        return await self._client.send(request, stream=True)

    async def aclose(self) -> None:
        await self._client.aclose()


@dataclass(frozen=True, slots=True)
class Carrier:
    """Makes what sends and sleeps between looks. Without a ``network`` no address is looked up and no limit holds."""

    client: Callable[..., httpx.AsyncClient] = httpx.AsyncClient
    transport: Callable[..., httpx.AsyncBaseTransport] = _transport
    sleep: Callable[[float], Awaitable[None]] = anyio.sleep
    network: bool = True


NETWORK = Carrier()


def recording(cassette: Cassette) -> Carrier:
    """The network, with each whole exchange kept on a cassette."""

    def client(**options: Any) -> httpx.AsyncClient:
        return _over(Recorder(cassette, _Below(httpx.AsyncClient(**options))), options)

    return Carrier(client, lambda **options: Recorder(cassette, _transport(**options)))


def replaying(cassette: Cassette) -> Carrier:
    """No network: answers come from a cassette, and nobody waits for them."""

    async def at_once(seconds: float) -> None:
        del seconds
        await anyio.lowlevel.checkpoint()

    def client(**options: Any) -> httpx.AsyncClient:
        return _over(Replayer(cassette), options)

    return Carrier(client, lambda **_: Replayer(cassette), at_once, network=False)


def _over(transport: httpx.AsyncBaseTransport, options: dict[str, Any]) -> httpx.AsyncClient:
    timeout = options.get("timeout", httpx.Timeout(None))
    return httpx.AsyncClient(transport=transport, timeout=timeout, follow_redirects=False, trust_env=False)


class Recorder(httpx.AsyncBaseTransport):
    """Carries a request and keeps what was said, once the answer is whole."""

    def __init__(self, cassette: Cassette, below: httpx.AsyncBaseTransport) -> None:
        self._cassette, self._below = cassette, below

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        asked = await _asked(self._cassette, request)
        response = await self._below.handle_async_request(request)
        headers = [(k, v) for k, v in response.headers.items() if k not in ("content-encoding", "content-length")]
        return httpx.Response(
            response.status_code,
            headers=headers,
            stream=_Heard(self._cassette, asked, response),
            extensions={k: v for k, v in response.extensions.items() if k in ("http_version", "reason_phrase")},
        )

    async def aclose(self) -> None:
        await self._below.aclose()


class _Heard(httpx.AsyncByteStream):
    """An answer on its way to who asked for it. One that is cut, or not wanted to its end, is not kept."""

    def __init__(self, cassette: Cassette, asked: Asked, response: httpx.Response) -> None:
        self._cassette, self._asked, self._response = cassette, asked, response

    async def __aiter__(self) -> AsyncIterator[bytes]:
        pieces = []
        async for piece in self._response.aiter_bytes():
            pieces.append(piece)
            yield piece
        self._cassette.keep(self._asked, self._response.status_code, self._response.headers, b"".join(pieces))

    async def aclose(self) -> None:
        await self._response.aclose()


class Replayer(httpx.AsyncBaseTransport):
    """Answers from a cassette. `NotRecorded` for what it does not hold."""

    def __init__(self, cassette: Cassette) -> None:
        self._cassette = cassette

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        await anyio.lowlevel.checkpoint()
        asked = await _asked(self._cassette, request)
        status, headers, content = self._cassette.answer(asked)
        return httpx.Response(status, headers=headers, content=content)


async def _asked(cassette: Cassette, request: httpx.Request) -> Asked:
    for name, value in request.headers.items():
        cassette.hide_header(name, value)
    return cassette.asked(request.method, request.url.raw_path.decode("ascii", "replace"), await request.aread())
