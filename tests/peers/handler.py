"""A private endpoint's code, as its owner would write it: run by the official worker, never by us."""

import asyncio
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


if __name__ == "__main__":
    runpod.serverless.start({"handler": handler, "return_aggregate_stream": True})
