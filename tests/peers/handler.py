"""A private endpoint's code, as its owner would write it: run by the official worker, never by us."""

import asyncio
import os
import time
from collections.abc import AsyncIterator
from typing import Any

import runpod  # type: ignore[import-not-found]


async def handler(job: dict[str, Any]) -> AsyncIterator[Any]:
    """Does what `do` says, one output after another."""
    given = job["input"]
    match given.get("do"):
        case "count":
            for number in range(given["to"]):
                yield {"number": number}
                await asyncio.sleep(given.get("pause", 0))
        case "fail":
            raise ValueError(given["why"])
        case "sleep":
            await asyncio.sleep(given["seconds"])
            yield "slept"
        case "progress":
            runpod.serverless.progress_update(job, given["say"])
            await asyncio.sleep(0.5)
            yield "done"
        case _:
            yield {"echo": given}


async def many(job: dict[str, Any]) -> dict[str, Any]:
    """One of four that run at once."""
    await asyncio.sleep(job["input"]["seconds"])
    return {"slept": job["input"]["seconds"]}


def plain(job: dict[str, Any]) -> Any:
    """No generator and not async: while it works, its worker answers nobody."""
    given = job["input"]
    time.sleep(given.get("seconds", 0))
    return {"error": given["why"]} if "why" in given else given.get("say")


CONFIGS: dict[str, dict[str, Any]] = {
    "generator": {"handler": handler, "return_aggregate_stream": True},
    "many": {"handler": many, "concurrency_modifier": lambda _: 4},
    "plain": {"handler": plain},
}

if __name__ == "__main__":
    runpod.serverless.start(CONFIGS[os.environ.get("HANDLER", "generator")])
