"""What every peer is asked to do: a graph in; each step run once, its needs' values passed on; seconds on stdout.

A step's value is one more than the largest value that it needs, so the last ones tell whether all came through.
"""

from __future__ import annotations

import asyncio
import inspect
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any

import httpx2 as httpx

from ..graphs import SHAPES, Graph

IN_FLIGHT = 64


class Work:
    """What one step does: nothing, or a chat with the server at ``url``."""

    def __init__(self, url: str) -> None:
        limits = httpx.Limits(max_connections=IN_FLIGHT, max_keepalive_connections=IN_FLIGHT)
        self.url, self.ran = url, 0
        self.places = asyncio.Semaphore(IN_FLIGHT)
        self.later = httpx.AsyncClient(limits=limits, verify=False, trust_env=False, timeout=None) if url else None
        self.now = httpx.Client(limits=limits, verify=False, trust_env=False, timeout=None) if url else None

    def step(self, name: str, values: Sequence[int]) -> int:
        """For peers that run plain functions."""
        if self.now is not None:
            checked(self.now.post(**self.request(name)))
        return self.value(values)

    async def step_async(self, name: str, values: Sequence[int]) -> int:
        """For peers that await; so many in flight, also where the peer has no limit of its own."""
        if self.later is not None:
            async with self.places:
                reply = await self.later.post(**self.request(name))
            checked(reply)
        return self.value(values)

    def value(self, values: Sequence[int]) -> int:
        self.ran += 1
        return 1 + max(values, default=0)

    def request(self, name: str) -> dict[str, Any]:
        """The chat that the bare scheduler sends too."""
        body = {"model": "x", "max_tokens": 2048, "messages": [{"role": "user", "content": name}]}
        address = f"{self.url}/qwen3-32b-awq/openai/v1/chat/completions"
        return {"url": address, "json": body, "headers": {"Authorization": "Bearer k"}}


def checked(reply: httpx.Response) -> None:
    assert reply.json()["choices"][0]["message"]["content"]


def leaves(graph: Graph) -> list[str]:
    """The steps that nobody needs."""
    needed = {need for needs in graph.values() for need in needs}
    return [name for name in graph if name not in needed]


def main(prepare: Callable[[Graph, Work], Callable[[], Any]]) -> None:
    """``MODULE fan-out|chain|layered SIZE… [URL]``: build, then time the run alone, then check what came out."""
    shape, *sizes = [word for word in sys.argv[1:] if not word.startswith("http")]
    graph = SHAPES[shape](*map(int, sizes))
    work = Work(sys.argv[-1] if sys.argv[-1].startswith("http") else "")
    seconds, values = asyncio.run(timed(prepare, graph, work)) if work.url else timed_now(prepare(graph, work))
    depths: dict[str, int] = {}
    for name, needs in graph.items():
        depths[name] = 1 + max((depths[need] for need in needs), default=0)
    assert work.ran == len(graph), f"{work.ran} of {len(graph)} steps ran"
    assert values == {name: depths[name] for name in leaves(graph)}, "some results are missing"
    print(seconds)


async def timed(prepare: Callable[[Graph, Work], Callable[[], Any]], graph: Graph, work: Work) -> tuple[float, Any]:
    """The run of a peer that awaits its calls, or that does not and blocks the loop, which nobody else needs."""
    run = prepare(graph, work)
    run = await run if inspect.isawaitable(run) else run
    start = time.perf_counter()
    values = run()
    values = await values if inspect.isawaitable(values) else values
    return time.perf_counter() - start, values


def timed_now(run: Callable[[], Any]) -> tuple[float, Any]:
    start = time.perf_counter()
    values = run()
    return time.perf_counter() - start, values
