"""Wire forms: a job or a picture in, the JSON that Runpod (or one of its workers) would send out."""

import json
from base64 import b64encode
from dataclasses import dataclass

from .jobs import Job
from .values import JSON


@dataclass(frozen=True, slots=True)
class Made:
    """A file that a job has made, and where it can be fetched."""

    data: bytes
    media_type: str
    url: str
    seed: int
    cost: float | None


def envelope(job: Job) -> dict[str, JSON]:
    """What /status says; times and worker only once they are known."""
    said: dict[str, JSON] = {"id": job.id, "status": job.status}
    if job.started is not None:
        said["delayTime"] = round((job.started - job.submitted) * 1000)
        said["workerId"] = job.worker
        if job.ended is not None:
            said["executionTime"] = round((job.ended - job.started) * 1000)
    if job.retries:
        said["retries"] = job.retries
    if job.output is not None:
        said["output"] = job.output
    if job.error is not None:
        said["error"] = job.error
    return said


def shaped(made: Made, shape: str | None) -> JSON:
    """The output of a job that makes a file, in one of the shapes that workers are known to use."""
    key = f"{made.media_type.partition('/')[0]}_url"
    cost = {} if made.cost is None else {"cost": made.cost}
    raw = b64encode(made.data).decode() if shape in {"images", "comfy", "base64", "datauri"} else ""
    match shape:
        case "result":
            return {"result": made.url, **cost}
        case "images":
            return {"images": [{"image": raw}], "generation_time": 1.25}
        case "comfy":
            return {"images": [{"filename": "picture_00001_.png", "type": "base64", "data": raw}]}
        case "base64":
            return {key: raw, **cost}
        case "datauri":
            return {key: f"data:{made.media_type};base64,{raw}", **cost}
        case "list":
            return [{"image": made.url, "seed": made.seed}]
        case "url":
            return {"url": made.url, **cost}
        case "string":
            return made.url
        case _:
            return {key: made.url, **cost}


def failure(form: str) -> str:
    """One of the texts that the `error` of a failed job is known to hold."""
    message = "CUDA out of memory, as the script says"
    match form:
        case "error:json":
            return json.dumps(
                {
                    "error_type": "<class 'RuntimeError'>",
                    "error_message": message,
                    "error_traceback": f"Traceback (most recent call last):\nRuntimeError: {message}\n",
                    "hostname": "w7k2example0q1-64410f9a",
                    "worker_id": "w7k2example0q1",
                    "runpod_version": "1.12.0",
                }
            )
        case "error:repr":
            return repr({"message": message, "type": "worker_error", "param": None, "code": 400})
        case _:
            return f'the upstream provider answered with HTTP 400: {{"code":400,"message":"{message}"}}'
