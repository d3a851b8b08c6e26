"""One request: what came over the wire in, what the operations make of it out."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import parse_qsl

from starlette.datastructures import State
from starlette.requests import Request

from .answers import left
from .faults import Fault
from .jobs import Policy
from .log import Request as Entry
from .values import JSON
from .workers import Left


@dataclass(frozen=True, slots=True)
class Call:
    """One request past the gate: who is asked, what for, with what, and how to learn that nobody waits any more."""

    endpoint: str
    job: str
    query: Mapping[str, str]
    body: JSON
    fault: Fault | None
    worker: str
    left: Left


def key(request: Request) -> str:
    """With `Bearer` or without it; empty when there is none."""
    return request.headers.get("authorization", "").removeprefix("Bearer").strip()


def call(request: Request, slug: str, body: JSON, fault: Fault | None) -> Call:
    """A worker adds to its addresses with `&`; where they have no query, that lands in the path."""
    params, query = request.path_params, dict(request.query_params)
    job, _, more = params.get("job", "").partition("&")
    worker, _, most = params.get("worker", "").partition("&")
    query |= dict(parse_qsl(more or most))
    return Call(slug, job, query, body, fault, worker, lambda: left(request.receive))


def noted(request: Request, operation: str) -> Entry:
    """The request's entry in the log, now that it is known what it asks for."""
    state: State = request.state
    entry: Entry = state.entry
    entry.operation = operation
    entry.endpoint = request.path_params.get("endpoint")
    entry.query = dict(request.query_params)
    return entry


async def read(request: Request, limit: int) -> bytes | None:
    """The body, or None when it is too long; read to its end, or the client would not see the answer."""
    parts: list[bytes] = []
    size = 0
    async for part in request.stream():
        size += len(part)
        if size <= limit:
            parts.append(part)
    return b"".join(parts) if size <= limit else None


def parsed(raw: bytes | None) -> JSON:
    """The body's JSON, or None when it is none."""
    try:
        return json.loads(raw) if raw else None
    except (ValueError, RecursionError):
        return None


def policy(given: object) -> Policy:
    """Milliseconds become seconds. The documented minima are not enforced: tests could not wait for them."""
    usual = Policy()
    if not isinstance(given, dict):
        return usual
    ttl, execution = milliseconds(given.get("ttl")), milliseconds(given.get("executionTimeout"))
    return Policy(
        usual.ttl if ttl is None else ttl,
        usual.execution if execution is None else execution,
        given.get("lowPriority") is True,
    )


def milliseconds(text: object) -> float | None:
    """Seconds, or None for what is no positive number."""
    try:
        value = float(str(text)) / 1000
    except ValueError:
        return None
    return value if 0 < value < float("inf") else None


def wait(query: Mapping[str, str], most: int) -> float:
    """`?wait=` in seconds; the default is 90 s, and what is out of range counts as the nearest bound."""
    asked = milliseconds(query.get("wait"))
    return 90.0 if asked is None else min(max(asked, 1.0), most / 1000)
