"""Conversations of the official Python clients with an emulator: a line of JSON in, a line with what they got out.

Runs in the environment of the peers, not in ours, and stays: loading `runpod` takes more than a second.
"""

import asyncio
import json
import sys
from typing import Any

JSON = dict[str, Any]


def chat(given: JSON) -> JSON:
    """`openai`, asked for a whole answer."""
    said = _openai(given).chat.completions.create(**given["params"])
    found: JSON = said.model_dump()
    return found


def chat_stream(given: JSON) -> JSON:
    """`openai`, asked for a stream."""
    options = {"stream": True, "stream_options": {"include_usage": True}}
    parts, usage = [], None
    for chunk in _openai(given).chat.completions.create(**given["params"], **options):
        parts += [choice.delta.content for choice in chunk.choices if choice.delta.content]
        usage = chunk.usage.model_dump() if chunk.usage else usage
    return {"parts": parts, "usage": usage}


def models(given: JSON) -> JSON:
    """`openai`, asked what there is."""
    return {"models": [model.id for model in _openai(given).models.list()]}


def refused(given: JSON) -> JSON:
    """`openai`, told no."""
    import openai  # type: ignore[import-not-found]

    try:
        chat(given)
    except openai.APIStatusError as err:
        return {"error": type(err).__name__, "status": err.status_code, "message": err.message}
    return {}


def run_sync(given: JSON) -> JSON:
    """`runpod`, waiting for the output."""
    return {"output": _endpoint(given).run_sync(given["input"], timeout=20)}


def run(given: JSON) -> JSON:
    """`runpod`, coming back for the output."""
    job = _endpoint(given).run(given["input"])
    return {"id": job.job_id, "output": job.output(timeout=20), "status": job.status()}


def stream(given: JSON) -> JSON:
    """`runpod`, reading pieces; it sleeps a second before each look."""
    job = _endpoint(given).run(given["input"])
    return {"pieces": list(job.stream()), "status": job.status()}


def cancel(given: JSON) -> JSON:
    """`runpod`, changing its mind."""
    job = _endpoint(given).run(given["input"])
    return {"cancelled": job.cancel(), "status": job.status()}


def purge(given: JSON) -> JSON:
    """`runpod`, emptying the queue."""
    endpoint = _endpoint(given)
    endpoint.run(given["input"])
    return {"before": endpoint.health(), "purged": endpoint.purge_queue(), "after": endpoint.health()}


def run_async(given: JSON) -> JSON:
    """The asyncio half of `runpod`."""
    import runpod  # type: ignore[import-not-found]

    async def talk() -> JSON:
        runpod.api_key, runpod.endpoint_url_base = "rpa_peer", given["url"]
        async with runpod.http_client.AsyncClientSession() as session:
            endpoint = runpod.AsyncioEndpoint(given["endpoint"], session)
            job = await endpoint.run(given["input"])
            return {"output": await job.output(timeout=20), "health": await endpoint.health()}

    return asyncio.run(talk())


def _openai(given: JSON) -> Any:
    import openai

    base = f"{given['url']}/{given['endpoint']}/openai/v1"
    return openai.OpenAI(api_key="rpa_peer", base_url=base, max_retries=0, timeout=20)


def _endpoint(given: JSON) -> Any:
    import runpod

    runpod.api_key, runpod.endpoint_url_base = "rpa_peer", given["url"]
    return runpod.Endpoint(given["endpoint"])


if __name__ == "__main__":
    for line in sys.stdin:
        case = json.loads(line)
        try:
            said = globals()[case["do"]](case)
        except Exception as err:  # noqa: BLE001 - the test that asked shall see it
            said = {"raised": repr(err)}
        print(json.dumps(said), flush=True)
