"""How requests travel: over the network, over the network and onto a cassette, or from a cassette without a network.

Recording and replaying are transports of the HTTP client: everything above them is the code of any run.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass

import anyio
import anyio.lowlevel
import httpx2 as httpx

from .cassette import Asked, Cassette


@dataclass(frozen=True, slots=True)
class Carrier:
    """Makes the clients and sleeps between looks. Without a ``network`` no address is looked up and no limit holds."""

    client: Callable[..., httpx.AsyncClient] = httpx.AsyncClient
    sleep: Callable[[float], Awaitable[None]] = anyio.sleep
    network: bool = True


NETWORK = Carrier()


def recording(cassette: Cassette) -> Carrier:
    """The network, with each whole exchange kept on a cassette."""

    def client(**options: object) -> httpx.AsyncClient:
        # A client below the transport, not a bare transport: it knows the proxies of the environment.
        below = httpx.AsyncClient(**options)  # type: ignore[arg-type] # the options of this very class
        return _over(Recorder(cassette, below), options)

    return Carrier(client)


def replaying(cassette: Cassette) -> Carrier:
    """No network: answers come from a cassette, and nobody waits for them."""

    async def at_once(seconds: float) -> None:
        del seconds
        await anyio.lowlevel.checkpoint()

    return Carrier(lambda **options: _over(Replayer(cassette), options), at_once, network=False)


def _over(transport: httpx.AsyncBaseTransport, options: dict[str, object]) -> httpx.AsyncClient:
    timeout = options.get("timeout", httpx.Timeout(None))
    return httpx.AsyncClient(transport=transport, timeout=timeout, follow_redirects=False, trust_env=False)  # type: ignore[arg-type] # as above


class Recorder(httpx.AsyncBaseTransport):
    """Carries a request and keeps what was said, once the answer is whole."""

    def __init__(self, cassette: Cassette, below: httpx.AsyncClient) -> None:
        self._cassette, self._below = cassette, below

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        asked = await _asked(self._cassette, request)
        response = await self._below.send(request, stream=True)
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
