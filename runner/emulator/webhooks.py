"""Webhooks: a finished job in, its envelope posted to the address that it named, again when nobody took it."""

import asyncio
from collections import deque
from dataclasses import dataclass
from time import monotonic

import httpx2 as httpx

from .values import JSON

ATTEMPTS = 3
_TIMEOUT = 10.0  # seconds; what Runpod allows is silent


@dataclass(frozen=True, slots=True)
class Delivery:
    """One attempt: `status` is the code of the answer, None when there was none; 200 alone ends the attempts."""

    job: str
    url: str
    attempt: int
    status: int | None
    at: float


class Webhooks:
    """Posts on the emulator's loop; each delivery lives on its own, so a slow receiver holds up nobody."""

    def __init__(self, *, pause: float, history: int) -> None:
        """`pause` is the seconds between two attempts, 10 on Runpod; `history` the deliveries to remember."""
        self._pause = pause
        self._tasks: set[asyncio.Task[None]] = set()
        self.deliveries: deque[Delivery] = deque(maxlen=history)

    def post(self, job: str, url: str, body: JSON) -> None:
        """Sends from here on by itself."""
        task = asyncio.get_running_loop().create_task(self._delivers(job, url, body))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def close(self) -> None:
        """Gives up what has not arrived."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _delivers(self, job: str, url: str, body: JSON) -> None:
        # No proxies of the environment and no redirects: the address is the one that the job named.
        async with httpx.AsyncClient(timeout=_TIMEOUT, trust_env=False) as client:
            for attempt in range(1, ATTEMPTS + 1):
                if attempt > 1:
                    await asyncio.sleep(self._pause)
                status = await _posted(client, url, body)
                self.deliveries.append(Delivery(job, url, attempt, status, monotonic()))
                if status == 200:
                    return


async def _posted(client: httpx.AsyncClient, url: str, body: JSON) -> int | None:
    try:
        return (await client.post(url, json=body)).status_code
    except (httpx.HTTPError, httpx.InvalidURL):
        return None
