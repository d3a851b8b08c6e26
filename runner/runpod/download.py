"""Files that replies point to: fetched at once, without the key, within a size, from public addresses only."""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import AsyncGenerator
from contextlib import aclosing
from types import TracebackType
from typing import Self
from urllib.parse import urljoin, urlsplit

import anyio
import httpx2 as httpx

from ..errors import DownloadFailed
from .carrier import NETWORK, Carrier

MOST = 512_000_000
"""Bytes of one file: a long video fits, an endless answer does not."""

_HOPS = 5


class Downloader:
    """Fetches URLs. ``local`` allows loopback addresses, for when the provider itself is there."""

    def __init__(self, *, local: bool = False, most: int = MOST, carrier: Carrier = NETWORK) -> None:
        self._carrier = carrier
        self.local, self.most = local, most
        self._clients: dict[str, httpx.AsyncClient] = {}

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for client in self._clients.values():
            await client.__aexit__(kind, error, trace)

    async def chunks(self, url: str) -> AsyncGenerator[bytes, None]:
        """The bytes of a file as they come. `DownloadFailed` says what stopped it."""
        try:
            for _ in range(_HOPS):
                await self._allowed(url)
                async with self._client(url).stream("GET", url) as response:
                    if response.is_redirect:
                        url = urljoin(url, response.headers.get("location", ""))
                        continue
                    async with aclosing(self._body(url, response)) as body:
                        async for chunk in body:
                            yield chunk
                    return
        except (httpx.HTTPError, httpx.InvalidURL) as err:
            failed = DownloadFailed(f"the file {url} did not arrive: {str(err) or type(err).__name__}")
            # An emulator that has ended took its files along.
            failed.gone = self.local and isinstance(err, httpx.ConnectError)
            raise failed from err
        msg = f"the file {url} is behind more than {_HOPS} redirections"
        raise DownloadFailed(msg)

    async def _body(self, url: str, response: httpx.Response) -> AsyncGenerator[bytes, None]:
        if not response.is_success:
            said = f"{response.status_code} {response.reason_phrase}".rstrip()
            failed = DownloadFailed(f"the file {url} did not arrive: {said}")
            failed.gone = response.status_code in (404, 410) or await _expired(response)
            raise failed
        size, enough = 0, False
        try:
            async for chunk in response.aiter_bytes():
                size += len(chunk)
                if size <= self.most and not enough:
                    try:
                        yield chunk
                    except GeneratorExit:  # who wanted it has failed
                        enough = True
                if size > self.most or enough:
                    # Closing makes the next read fail, which ends the generators below in order; leaving the loop
                    # would leave them to the garbage collector.
                    await response.aclose()
        except (httpx.HTTPError, httpx.StreamError, RuntimeError) as err:
            if enough:
                return
            if size <= self.most:
                raise
            msg = f"the file {url} is larger than {self.most / 1e6:g} MB"
            raise DownloadFailed(msg) from err

    def _client(self, url: str) -> httpx.AsyncClient:
        scheme = urlsplit(url).scheme
        if scheme not in self._clients:
            self._clients[scheme] = self._carrier.client(
                verify=scheme == "https",  # a context for TLS takes long to make, and http: has none
                timeout=httpx.Timeout(30.0, pool=None),
                follow_redirects=False,
                trust_env=not self.local,
            )
        return self._clients[scheme]

    async def _allowed(self, url: str) -> None:
        """Refuse what is not http(s), and addresses that only this machine or its network can reach."""
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            msg = f"the file {url[:200]} has no http address"
            raise DownloadFailed(msg)
        if not self._carrier.network:
            return  # nothing is fetched from there, and looking the name up would need a network
        for address in await _addresses(parts.hostname, parts.port or 443):
            where = ipaddress.ip_address(address.partition("%")[0])
            if not (where.is_global or (self.local and where.is_loopback)):
                msg = f"the file {url} is at a private address ({address}), which is not fetched"
                raise DownloadFailed(msg)


async def _expired(response: httpx.Response) -> bool:
    """Whether an address that was signed for a time says that the time is over, as those of S3 do."""
    said = b""
    if response.status_code == 403:
        async for chunk in response.aiter_bytes():
            said += chunk
            if len(said) > 10_000:
                break
    return b"expired" in said.lower()


async def _addresses(host: str, port: int) -> list[str]:
    try:
        return [str(ipaddress.ip_address(host))]
    except ValueError:
        pass
    try:
        found = await anyio.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except OSError:
        return []  # behind a proxy names need not resolve here; if there is none, the request itself fails
    return [str(info[4][0]) for info in found]
