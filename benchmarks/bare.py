"""The same requests with the same client, and nothing else: nothing checked, kept or synced."""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import httpx2 as httpx

from .graphs import Graph
from .ours import IN_FLIGHT

KEY = {"Authorization": "Bearer k"}


def chats(graph: Graph, url: str) -> float:
    """Seconds of a counter scheduler that asks for a chat at each step."""
    left = {node: len(needs) for node, needs in graph.items()}
    readers: dict[str, list[str]] = {node: [] for node in graph}
    for node, needs in graph.items():
        for needed in needs:
            readers[needed].append(node)

    async def run() -> None:
        places = anyio.CapacityLimiter(IN_FLIGHT)
        async with _client(IN_FLIGHT) as client, anyio.create_task_group() as tasks:

            async def step(node: str) -> None:
                async with places:
                    body = {"model": "x", "max_tokens": 2048, "messages": [{"role": "user", "content": node}]}
                    reply = await client.post(f"{url}/qwen3-32b-awq/openai/v1/chat/completions", json=body, headers=KEY)
                assert reply.json()["choices"][0]["message"]["content"]
                for reader in readers[node]:
                    left[reader] -= 1
                    if not left[reader]:
                        tasks.start_soon(step, reader)

            for node, count in left.items():
                if not count:
                    tasks.start_soon(step, node)

    return _timed(run)


def pictures(count: int, url: str, calls: int = IN_FLIGHT, pool: int = 0, *, sync: bool = False) -> float:
    """Seconds to hand in so many jobs, to wait for each, to fetch its picture and to write it.

    With ``sync`` each is on the platter before it counts, as ours are. ``pool`` is how many connections a client has:
    all, or so many, which is faster (see `runner.runpod.client`).
    """
    with tempfile.TemporaryDirectory() as folder:

        async def run() -> None:
            places = anyio.CapacityLimiter(calls)
            size = pool or calls
            async with AsyncExitStack() as stack, anyio.create_task_group() as tasks:
                clients = [await stack.enter_async_context(_client(size)) for _ in range(calls // size)]
                seats = [client for client in clients for _ in range(size)]

                async def job(number: int) -> None:
                    async with places:
                        client = seats.pop()
                        body = {"input": {"prompt": str(number), "size": "512*512", "seed": number}}
                        endpoint = f"{url}/qwen-image-t2i"
                        taken = (await client.post(f"{endpoint}/run", json=body, headers=KEY)).json()
                        address = f"{endpoint}/status-sync/{taken['id']}?wait=60000"
                        done = (await client.get(address, headers=KEY)).json()
                        file = await client.get(done["output"]["image_url"])
                        path = Path(folder, f"{number}.png")
                        if sync:
                            await anyio.to_thread.run_sync(_synced, path, file.content)
                        else:
                            path.write_bytes(file.content)  # noqa: ASYNC240 - the fastest way
                        seats.append(client)

                for number in range(count):
                    tasks.start_soon(job, number)

        seconds = _timed(run)
        assert len(list(Path(folder).iterdir())) == count
        return seconds


def _synced(path: Path, content: bytes) -> None:
    with path.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


@asynccontextmanager
async def _client(calls: int) -> AsyncGenerator[httpx.AsyncClient, None]:
    limits = httpx.Limits(max_connections=calls, max_keepalive_connections=calls)
    async with httpx.AsyncClient(limits=limits, verify=False, trust_env=False, timeout=None) as client:
        yield client


def _timed(run: Any) -> float:
    start = time.perf_counter()
    anyio.run(run)
    return time.perf_counter() - start
