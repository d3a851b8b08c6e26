"""Files that replies point to: fetched at once, without the key, within a size, from public addresses only."""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import AsyncIterator
from types import TracebackType
from typing import Self
from urllib.parse import urljoin, urlsplit

import anyio
import httpx2 as httpx

from ..errors import DownloadFailed

MOST = 512_000_000
"""Bytes of one file: a long video fits, an endless answer does not."""

_HOPS = 5


class Downloader:
    """Fetches URLs. ``local`` allows loopback addresses, for when the provider itself is there."""

    def __init__(self, *, local: bool = False, most: int = MOST) -> None:
        self.local, self.most = local, most
        self._client: httpx.AsyncClient | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._client is not None:
            await self._client.__aexit__(kind, error, trace)

    async def chunks(self, url: str) -> AsyncIterator[bytes]:
        """The bytes of a file as they come. `DownloadFailed` says what stopped it."""
        try:
            for _ in range(_HOPS):
                await self._allowed(url)
                async with self._http().stream("GET", url) as response:
                    if response.is_redirect:
                        url = urljoin(url, response.headers.get("location", ""))
                        continue
                    async for chunk in self._body(url, response):
                        yield chunk
                    return
        except (httpx.HTTPError, httpx.InvalidURL) as err:
            msg = f"the file {url} did not arrive: {str(err) or type(err).__name__}"
            raise DownloadFailed(msg) from err
        msg = f"the file {url} is behind more than {_HOPS} redirections"
        raise DownloadFailed(msg)

    async def _body(self, url: str, response: httpx.Response) -> AsyncIterator[bytes]:
        if not response.is_success:
            msg = f"the file {url} did not arrive: {response.status_code} {response.reason_phrase}".rstrip()
            raise DownloadFailed(msg)
        size = 0
        try:
            async for chunk in response.aiter_bytes():
                size += len(chunk)
                if size > self.most:
                    # Closing makes the next read fail, which ends the generators below in order; leaving the loop
                    # would leave them to the garbage collector.
                    await response.aclose()
                else:
                    yield chunk
        except (httpx.HTTPError, httpx.StreamError, RuntimeError) as err:
            if size <= self.most:
                raise
            msg = f"the file {url} is larger than {self.most / 1e6:g} MB"
            raise DownloadFailed(msg) from err

    def _http(self) -> httpx.AsyncClient:
        if self._client is None:
            self._client = httpx.AsyncClient(
                verify=not self.local,
                timeout=httpx.Timeout(30.0, pool=None),
                follow_redirects=False,
                trust_env=not self.local,
            )
        return self._client

    async def _allowed(self, url: str) -> None:
        """Refuse what is not http(s), and addresses that only this machine or its network can reach."""
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            msg = f"the file {url[:200]} has no http address"
            raise DownloadFailed(msg)
        if self.local:
            return
        for address in await _addresses(parts.hostname, parts.port or 443):
            if not ipaddress.ip_address(address.partition("%")[0]).is_global:
                msg = f"the file {url} is at a private address ({address}), which is not fetched"
                raise DownloadFailed(msg)


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
