"""The HTTP face: requests in, answers of the job API, the OpenAI route and /media out.

Every operation passes the same gate, in this order: log, key, endpoint, fault, size, act, fault.
A new operation is one more method and one more line in `app`.
"""

import json
from collections.abc import Awaitable, Callable, Collection, Mapping
from dataclasses import dataclass
from time import monotonic
from typing import Literal

from starlette.applications import Starlette
from starlette.datastructures import State
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from .answers import Answer, openai_problem, problem, refusal, spoiled
from .chats import chat, models
from .endpoints import Endpoint
from .envelopes import envelope
from .faults import MANNERS, Fault, Script
from .jobs import Job, Policy, Queue
from .log import Log
from .log import Request as Entry
from .texts import Manner
from .values import JSON
from .work import Studio

# Bytes of a body. The limits are documented; the 413 beyond them is a guess (API.md section 7).
LIMITS = {"run": 10_000_000, "runsync": 20_000_000, "chat": 20_000_000}
_JOB_HINT = 'the body must be a JSON object with an object under "input"'


@dataclass(frozen=True, slots=True)
class Manners:
    """How this Runpod behaves where the real one is known to vary.

    `keys`: those accepted, None for any. `long_polling`: whether /status-sync exists. `failures`:
    whether a failed /runsync answers 200 with an envelope or HTTP 400, as public endpoints document.
    """

    keys: Collection[str] | None = None
    long_polling: bool = True
    failures: Literal["envelope", "http400"] = "envelope"


@dataclass(frozen=True, slots=True)
class Call:
    """One request past the gate: who is asked, what for, with what."""

    endpoint: str
    job: str
    query: Mapping[str, str]
    body: JSON
    fault: Fault | None


Act = Callable[[Call], Awaitable[Response]]


class Service:
    """What the operations share; each `async` method below the gate is one operation."""

    def __init__(
        self,
        *,
        queue: Queue,
        studio: Studio,
        script: Script,
        log: Log,
        manners: Manners,
        latency: Callable[[str], tuple[float, float]],
    ) -> None:
        self.queue = queue
        self.studio = studio
        self.script = script
        self.log = log
        self.manners = manners
        self.latency = latency

    def app(self) -> ASGIApp:
        """The ASGI application."""
        post, both = ["POST"], ["GET", "POST"]
        return self._logged(
            Starlette(
                routes=[
                    self._route("run", "/run", self.run, post),
                    self._route("runsync", "/runsync", self.runsync, post),
                    self._route("status", "/status/{job}", self.status, both),
                    self._route("status-sync", "/status-sync/{job}", self.status_sync, both),
                    self._route("cancel", "/cancel/{job}", self.cancel, post),
                    self._route("health", "/health", self.health, ["GET"]),
                    self._route("chat", "/openai/v1/chat/completions", self.chat, post),
                    self._route("models", "/openai/v1/models", self.models, ["GET"]),
                    Route("/media/{name}", self.media, methods=["GET"]),
                ]
            )
        )

    # -- the gate ----------------------------------------------------------------------------------

    def _logged(self, app: ASGIApp) -> ASGIApp:
        """Every request is in the log before it is answered, and its status before it is sent."""

        async def logged(scope: Scope, receive: Receive, send: Send) -> None:
            headers = dict(scope["headers"])
            entry = Entry(scope["method"], scope["path"], has_key=b"authorization" in headers)
            scope.setdefault("state", {})["entry"] = self.log.keep(entry)

            async def answering(message: Message) -> None:
                if message["type"] == "http.response.start":
                    entry.status, entry.answered = message["status"], monotonic()
                await send(message)

            await app(scope, receive, answering)

        return logged

    def _route(self, operation: str, path: str, act: Act, methods: list[str]) -> Route:
        async def gate(request: Request) -> Response:
            entry = _noted(request, operation)
            limit = LIMITS.get(operation, 1_000_000)
            raw = await _read(request, limit)
            entry.body = _parsed(raw)
            slug = request.path_params["endpoint"]
            refused = self._refused(request, slug, operation)
            if refused is not None:
                return refused
            fault = self._fault(entry, slug, operation)
            answer = refusal(fault, operation) if fault else None
            if answer is not None:
                return answer
            if raw is None:
                return problem(413, f"request body is larger than {limit // 1_000_000} MB")
            name = request.path_params.get("job", "")
            answer = await act(Call(slug, name, request.query_params, entry.body, fault))
            return await spoiled(answer, fault) if fault else answer

        return Route(f"/v2/{{endpoint}}{path}", gate, methods=methods)

    def _refused(self, request: Request, slug: str, operation: str) -> Response | None:
        """401 before 404: a stranger learns nothing about what exists."""
        says = openai_problem if operation in {"chat", "models"} else problem
        key = request.headers.get("authorization", "").removeprefix("Bearer").strip()
        if not key or (self.manners.keys is not None and key not in self.manners.keys):
            return says(401)
        if self.studio.endpoints is not None and slug not in self.studio.endpoints:
            return says(404, f"endpoint {slug} not found")
        return None

    def _fault(self, entry: Entry, slug: str | None, operation: str) -> Fault | None:
        fault = self.script.take(slug, operation)
        entry.fault = fault.outcome if fault else None
        return fault

    # -- jobs --------------------------------------------------------------------------------------

    async def run(self, call: Call) -> Response:
        """Queues a job and says so at once."""
        job = self._submitted(call, sync=False)
        return problem(400, _JOB_HINT) if job is None else Answer({"id": job.id, "status": "IN_QUEUE"})

    async def runsync(self, call: Call) -> Response:
        """Queues a job and waits for its end, or as long as was asked."""
        job = self._submitted(call, sync=True)
        if job is None:
            return problem(400, _JOB_HINT)
        await self.queue.settled(job, _wait(call.query, 300_000))
        if job.gone:
            return problem(404, "job not found")
        failed = job.status == "FAILED" and self.manners.failures == "http400"
        return Answer(envelope(job), 400 if failed else 200)

    async def status(self, call: Call) -> Response:
        """What is known of a job now."""
        job = self.queue.find(call.endpoint, call.job)
        if job is None:
            return problem(404, "job not found")
        ttl = _milliseconds(call.query.get("ttl"))
        if ttl is not None:
            self.queue.expire_in(job, ttl)
        return Answer(envelope(job))

    async def status_sync(self, call: Call) -> Response:
        """As status, but holds the request until the job is over or the wait is."""
        if not self.manners.long_polling:
            return problem(404)
        job = self.queue.find(call.endpoint, call.job)
        if job is not None:
            await self.queue.settled(job, _wait(call.query, 90_000))
        return problem(404, "job not found") if job is None or job.gone else Answer(envelope(job))

    async def cancel(self, call: Call) -> Response:
        """Ends a job; one that is over keeps its state and says it."""
        job = self.queue.find(call.endpoint, call.job)
        if job is None:
            return problem(404, "job not found")
        self.queue.cancel(job)
        return Answer({"id": job.id, "status": job.status})

    async def health(self, call: Call) -> Response:
        """Jobs and workers of an endpoint, counted."""
        return Answer(self.queue.health(call.endpoint))

    def _submitted(self, call: Call, *, sync: bool) -> Job | None:
        body = call.body
        if not isinstance(body, dict) or not isinstance(body.get("input"), dict):
            return None
        fault = self.script.take(call.endpoint, "job")
        return self.queue.submit(
            call.endpoint,
            body["input"],
            sync=sync,
            policy=_policy(body.get("policy")),
            latency=self.latency(call.endpoint),
            fault=fault.outcome if fault else None,
        )

    # -- chats and media ---------------------------------------------------------------------------

    async def chat(self, call: Call) -> Response:
        """A chat completion, whole or streamed."""
        if not isinstance(call.body, dict):
            return openai_problem(400, "the body must be a JSON object")
        manner: Manner = "plain"
        if call.fault is not None and call.fault.outcome in MANNERS:
            manner = call.fault.outcome  # type: ignore[assignment] # MANNERS holds exactly those words
        return await chat(
            self.queue,
            call.endpoint,
            self._text_endpoint(call),
            call.body,
            latency=self.latency(call.endpoint),
            manner=manner,
            pause=call.fault.seconds if call.fault is not None else None,
            look=self.studio.seen,
        )

    async def models(self, call: Call) -> Response:
        """The name that `model` of a chat has to be."""
        return models(call.endpoint, self._text_endpoint(call))

    def _text_endpoint(self, call: Call) -> Endpoint:
        return self.studio.endpoint(call.endpoint, {"messages": []})

    async def media(self, request: Request) -> Response:
        """A file that a job has made; asks for no key, and a key that comes anyway is a leak in the log."""
        entry = _noted(request, "media")
        found = self.studio.shelf.get(request.path_params["name"])
        entry.endpoint = found.endpoint if found else None
        fault = self._fault(entry, entry.endpoint, "media")
        answer = refusal(fault, "media") if fault else None
        if answer is not None:
            return answer
        answer = Response(found.data, media_type=found.media_type) if found else problem(404, "file not found")
        return await spoiled(answer, fault) if fault else answer


def _noted(request: Request, operation: str) -> Entry:
    state: State = request.state
    entry: Entry = state.entry
    entry.operation = operation
    entry.endpoint = request.path_params.get("endpoint")
    entry.query = dict(request.query_params)
    return entry


async def _read(request: Request, limit: int) -> bytes | None:
    """The body, or None when it is too long; read to its end, or the client would not see the answer."""
    parts: list[bytes] = []
    size = 0
    async for part in request.stream():
        size += len(part)
        if size <= limit:
            parts.append(part)
    return b"".join(parts) if size <= limit else None


def _parsed(raw: bytes | None) -> JSON:
    try:
        return json.loads(raw) if raw else None
    except (ValueError, RecursionError):
        return None


def _policy(given: object) -> Policy:
    """Milliseconds become seconds. The documented minima are not enforced: tests could not wait for them."""
    usual = Policy()
    if not isinstance(given, dict):
        return usual
    ttl, execution = _milliseconds(given.get("ttl")), _milliseconds(given.get("executionTimeout"))
    return Policy(usual.ttl if ttl is None else ttl, usual.execution if execution is None else execution)


def _milliseconds(text: object) -> float | None:
    """Seconds, or None for what is no positive number."""
    try:
        value = float(str(text)) / 1000
    except ValueError:
        return None
    return value if 0 < value < float("inf") else None


def _wait(query: Mapping[str, str], most: int) -> float:
    """`?wait=` in seconds; the default is 90 s, and what is out of range counts as the nearest bound."""
    wait = _milliseconds(query.get("wait"))
    return 90.0 if wait is None else min(max(wait, 1.0), most / 1000)
