"""Any input to any endpoint, in the endpoint's own words; whatever it answers out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ..model import JSON, Call, Job, Output, Reply
from .kind import COST, FLAG, model_of

NAME = "call_endpoint"
VERSION = 1
TITLE = "Send a job to an endpoint of yours."
CALLS = True
PARAMS: Mapping[str, JSON] = {
    "input": {
        "type": "object",
        "description": "The job's input, in the endpoint's own words. Files go out as their URL or as data URIs.",
        "examples": [{"prompt": "{{ steps.draft.text }}", "image": "{{ steps.photo.image }}"}],
    },
    "stream": {**FLAG, "description": "Read the output in parts while the job runs; data is the list of them."},
    "files": {**FLAG, "description": "Fetch the files that the output names. On unless you say false."},
    "policy": {
        "type": "object",
        "properties": {
            "executionTimeout": {"type": "integer", "minimum": 5000, "description": "Milliseconds it may run."},
            "ttl": {"type": "integer", "minimum": 10000, "description": "Milliseconds it may live, queue included."},
            "lowPriority": {"type": "boolean", "description": "Do not start workers for it."},
        },
        "additionalProperties": False,
        "description": "How Runpod treats the job.",
        "examples": [{"executionTimeout": 600000}],
    },
}
REQUIRED: tuple[tuple[str, ...], ...] = (("input",),)
TIMEOUT = 900.0


def output(params: Mapping[str, JSON]) -> JSON:
    """Whatever the endpoint answers, and its files in order."""
    del params
    return {
        "type": "object",
        "properties": {
            "data": {"description": "What the endpoint answered."},
            "files": {"type": "array", "items": {"artifact": "file"}, "description": "The files of the answer."},
            **COST,
        },
        "additionalProperties": False,
    }


def advance(params: Mapping[str, JSON], replies: Sequence[Reply]) -> Call | Output:
    """One job, then its answer."""
    model = model_of(params)
    if replies:
        reply = replies[0]
        return Output({"data": reply.data, "files": list(reply.files)}, model.id, reply.cost or 0.0)
    return Job(
        kind=f"{NAME}@{VERSION}",
        endpoint=model.endpoint,
        input=params["input"],
        media=None if params.get("files") is False else "any",
        label=model.id,
        policy={**model.policy, **(params.get("policy") or {})},
        headers=model.headers,
        stream=params.get("stream") is True,
    )
