"""The HTTP face: requests in, answers of the job API, the OpenAI route and /media out.

Every operation passes the same gate, in this order: log, key, endpoint, limit, fault, size, act, fault.
A new operation is one more method and one more line in `app`.
"""

import re
from collections.abc import Awaitable, Callable, Collection
from contextlib import ExitStack
from dataclasses import dataclass, replace
from time import monotonic
from typing import Literal

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from . import calls, relay
from .answers import Answer, openai_problem, problem, refusal, spoiled
from .calls import Call
from .chats import chat, models
from .endpoints import Endpoint
from .envelopes import envelope
from .faults import MANNERS, WORKERS, Fault, Script
from .jobs import RETRIABLE, Job, Queue
from .limits import Limiter
from .log import Log
from .log import Request as Entry
from .texts import Manner
from .values import JSON
from .work import Studio
from .workers import Heard, Workers
from .writer import Writer

# Bytes of a body. The limits are documented; the 413 beyond them is a guess (API.md section 7).
LIMITS = {"run": 10_000_000, **dict.fromkeys(("runsync", "chat", "job-done", "job-stream"), 20_000_000)}
_ADDRESS = re.compile(r"https?://[^/\s]", re.IGNORECASE)
_JOB_HINT = 'the body must be a JSON object with an object under "input", and "webhook", if any, an http address'


@dataclass(frozen=True, slots=True)
class Manners:
    """How this Runpod behaves where the real one is known to vary.

    `keys`: those accepted, None for any. `long_polling`: whether /status-sync exists. `failures`:
    whether a failed /runsync answers 200 with an envelope or HTTP 400, as public endpoints document.
    `streams`: what /stream answers, the object that all SDKs read or the bare array of the docs page.
    """

    keys: Collection[str] | None = None
    long_polling: bool = True
    failures: Literal["envelope", "http400"] = "envelope"
    streams: Literal["object", "array"] = "object"


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
        limiter: Limiter,
        workers: Workers,
        latency: Callable[[str], tuple[float, float]],
        writer: Writer | None = None,
    ) -> None:
        self.queue = queue
        self.studio = studio
        self.script = script
        self.log = log
        self.manners = manners
        self.limiter = limiter
        self.workers = workers
        self.latency = latency
        self.writer = writer

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
                    self._route("retry", "/retry/{job}", self.retry, post),
                    self._route("stream", "/stream/{job}", self.stream, both),
                    self._route("purge-queue", "/purge-queue", self.purge_queue, post),
                    self._route("health", "/health", self.health, ["GET"]),
                    self._route("chat", "/openai/v1/chat/completions", self.chat, post),
                    self._route("models", "/openai/v1/models", self.models, ["GET"]),
                    self._route("job-take", "/job-take/{worker}", self.job_take, ["GET"]),
                    self._route("job-take", "/job-take-batch/{worker}", self.job_take_batch, ["GET"]),
                    self._route("job-stop", "/job-stop/{worker}", self.job_stop, ["GET"]),
                    self._route("job-stream", "/job-stream/{worker}/{job}", self.job_stream, post),
                    self._route("job-done", "/job-done/{worker}/{job}", self.job_done, post),
                    self._route("ping", "/ping/{worker}", self.ping, ["GET"]),
                    Route("/media/{name}", self.media, methods=["GET"]),
                ]
            )
        )

    # -- the gate ----------------------------------------------------------------------------------

    def _logged(self, app: ASGIApp) -> ASGIApp:
        """Every request is in the log before it is answered, and its status before it is sent.

        What a request holds, it holds until its last byte has left: `request.state.held`.
        """

        async def logged(scope: Scope, receive: Receive, send: Send) -> None:
            headers = dict(scope["headers"])
            entry = Entry(scope["method"], scope["path"], has_key=b"authorization" in headers)
            scope.setdefault("state", {})["entry"] = self.log.keep(entry)

            async def answering(message: Message) -> None:
                if message["type"] == "http.response.start":
                    entry.status, entry.answered = message["status"], monotonic()
                await send(message)

            with ExitStack() as held:
                scope["state"]["held"] = held
                await app(scope, receive, answering)

        return logged

    def _route(self, operation: str, path: str, act: Act, methods: list[str]) -> Route:
        async def gate(request: Request) -> Response:
            entry = calls.noted(request, operation)
            limit = LIMITS.get(operation, 1_000_000)
            raw = await calls.read(request, limit)
            entry.body = calls.parsed(raw)
            slug = request.path_params["endpoint"]
            refused = self._refused(request, slug, operation)
            if refused is not None:
                return refused
            if not request.state.held.enter_context(self.limiter.admitted(calls.key(request), slug, operation)):
                return _speaks(operation)(429)
            fault = self._fault(entry, slug, operation)
            answer = refusal(fault, operation) if fault else None
            if answer is not None:
                return answer
            if raw is None:
                return problem(413, f"request body is larger than {limit // 1_000_000} MB")
            answer = await act(calls.call(request, slug, entry.body, fault))
            return await spoiled(answer, fault) if fault else answer

        return Route(f"/v2/{{endpoint}}{path}", gate, methods=methods)

    def _refused(self, request: Request, slug: str, operation: str) -> Response | None:
        """401 before 404: a stranger learns nothing about what exists."""
        says, key = _speaks(operation), calls.key(request)
        wanting = not key and operation not in WORKERS  # a worker without a key in its environment sends none
        if wanting or (self.manners.keys is not None and key not in self.manners.keys):
            return says(401)
        known = self.studio.endpoints is None or slug in self.studio.endpoints or self.workers.serves(slug)
        if not known:
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
        await self.queue.settled(job, calls.wait(call.query, 300_000))
        if job.gone:
            return problem(404, "job not found")
        failed = job.status == "FAILED" and self.manners.failures == "http400"
        return Answer(envelope(job), 400 if failed else 200)

    async def status(self, call: Call) -> Response:
        """What is known of a job now."""
        job = self.queue.find(call.endpoint, call.job)
        if job is None:
            return problem(404, "job not found")
        ttl = calls.milliseconds(call.query.get("ttl"))
        if ttl is not None:
            self.queue.expire_in(job, ttl)
        return Answer(envelope(job))

    async def status_sync(self, call: Call) -> Response:
        """As status, but holds the request until the job is over or the wait is."""
        if not self.manners.long_polling:
            return problem(404)
        job = self.queue.find(call.endpoint, call.job)
        if job is not None:
            await self.queue.settled(job, calls.wait(call.query, 90_000))
        return problem(404, "job not found") if job is None or job.gone else Answer(envelope(job))

    async def cancel(self, call: Call) -> Response:
        """Ends a job; one that is over keeps its state and says it."""
        job = self.queue.find(call.endpoint, call.job)
        if job is None:
            return problem(404, "job not found")
        self.queue.cancel(job)
        return Answer({"id": job.id, "status": job.status})

    async def retry(self, call: Call) -> Response:
        """Queues a job again that has failed, under its id; whatever else it is, it stays that."""
        job = self.queue.find(call.endpoint, call.job)
        if job is None:
            return problem(404, "job not found")
        if job.status not in RETRIABLE:
            return problem(400, f"only FAILED and TIMED_OUT jobs can be retried; job {job.id} is {job.status}")
        self.queue.retry(job, latency=self.latency(call.endpoint), fault=self._job_fault(call.endpoint))
        return Answer({"id": job.id, "status": job.status})

    async def stream(self, call: Call) -> Response:
        """What the job has put out since the last call; held for a moment when that is nothing yet."""
        job = self.queue.find(call.endpoint, call.job)
        if job is None:
            return problem(404, "job not found")
        wait = calls.milliseconds(call.query.get("wait"))
        pieces = await self.queue.drained(job, 1.0 if wait is None else min(wait, 90.0))
        if job.gone:
            return problem(404, "job not found")
        if self.manners.streams == "array":
            return Answer([{"metrics": {}, **piece} for piece in pieces])
        return Answer({"status": job.status, "stream": pieces})

    async def purge_queue(self, call: Call) -> Response:
        """Removes the jobs that wait for a worker."""
        return Answer({"removed": self.queue.purge(call.endpoint), "status": "completed"})

    async def health(self, call: Call) -> Response:
        """Jobs and workers of an endpoint, counted."""
        return Answer(self.queue.health(call.endpoint))

    def _submitted(self, call: Call, *, sync: bool) -> Job | None:
        body = call.body
        if not isinstance(body, dict) or not isinstance(body.get("input"), dict):
            return None
        webhook = body.get("webhook")
        if webhook is not None and not (isinstance(webhook, str) and _ADDRESS.match(webhook)):
            return None
        return self.queue.submit(
            call.endpoint,
            body["input"],
            sync=sync,
            policy=calls.policy(body.get("policy")),
            latency=self.latency(call.endpoint),
            fault=self._job_fault(call.endpoint),
            webhook=webhook,
            s3=body.get("s3Config"),
        )

    def _job_fault(self, endpoint: str) -> str | None:
        if self.workers.serves(endpoint):
            return None  # what a real worker does with a job is its own affair
        fault = self.script.take(endpoint, "job")
        return fault.outcome if fault else None

    # -- the side of the workers -------------------------------------------------------------------

    async def job_take(self, call: Call) -> Response:
        """One job for a worker, 204 when there is none for a while."""
        taken = await self.workers.take(call.endpoint, call.worker, 1, call.left)
        return Answer(_order(taken[0])) if taken else Response(status_code=204)

    async def job_take_batch(self, call: Call) -> Response:
        """A list of jobs, no longer than asked for, for workers that do several at once."""
        size = call.query.get("batch_size", "")
        count = int(size) if size.isdecimal() and int(size) > 0 else 1
        taken = await self.workers.take(call.endpoint, call.worker, count, call.left)
        return Answer([_order(job) for job in taken]) if taken else Response(status_code=204)

    async def job_stop(self, call: Call) -> Response:
        """The jobs that a worker shall drop, 204 when there is none for a while."""
        stops = await self.workers.stops(call.endpoint, call.worker, call.left)
        return Answer({"jobsToStop": stops}) if stops else Response(status_code=204)

    async def job_stream(self, call: Call) -> Response:
        """A piece of output."""
        if not isinstance(call.body, dict) or "output" not in call.body:
            return problem(400, 'the body must be a JSON object with a piece of output under "output"')
        return _heard(self.workers.stream(call.endpoint, call.worker, call.job, call.body["output"]))

    async def job_done(self, call: Call) -> Response:
        """The outcome of a job, or its progress."""
        if not isinstance(call.body, dict):
            return problem(400, "the body must be a JSON object")
        return _heard(self.workers.done(call.endpoint, call.worker, call.job, call.body))

    async def ping(self, call: Call) -> Response:
        """A worker lives, and these are its jobs."""
        self.workers.ping(
            call.endpoint, call.worker, [name for name in call.query.get("job_id", "").split(",") if name]
        )
        return Answer({"status": "ok"})

    # -- chats and media ---------------------------------------------------------------------------

    async def chat(self, call: Call) -> Response:
        """A chat completion, whole or streamed."""
        if not isinstance(call.body, dict):
            return openai_problem(400, "the body must be a JSON object")
        if self.workers.serves(call.endpoint):
            return await self._relayed(call, "/v1/chat/completions")
        manner: Manner = "plain"
        if call.fault is not None and call.fault.outcome in MANNERS:
            manner = call.fault.outcome  # type: ignore[assignment] # MANNERS holds exactly those words
        return await chat(
            self.queue,
            call.endpoint,
            self._text_endpoint(call),
            call.body,
            latency=self.latency(call.endpoint),
            left=call.left,
            manner=manner,
            pause=call.fault.seconds if call.fault is not None else None,
            look=self.studio.seen,
            writer=self.writer,
        )

    async def models(self, call: Call) -> Response:
        """The name that `model` of a chat has to be."""
        if self.workers.serves(call.endpoint):
            return await self._relayed(call, "/v1/models")
        return models(call.endpoint, self._text_endpoint(call))

    async def _relayed(self, call: Call, route: str) -> Response:
        body = {"input": relay.order(route, call.body)}
        job = self._submitted(replace(call, body=body), sync=True)
        assert job is not None
        stream = isinstance(call.body, dict) and call.body.get("stream") is True
        return await relay.relayed(self.queue, job, stream=stream)

    def _text_endpoint(self, call: Call) -> Endpoint:
        return self.studio.endpoint(call.endpoint, {"messages": []})

    async def media(self, request: Request) -> Response:
        """A file that a job has made; asks for no key, and a key that comes anyway is a leak in the log."""
        entry = calls.noted(request, "media")
        found = self.studio.shelf.get(request.path_params["name"])
        entry.endpoint = found.endpoint if found else None
        fault = self._fault(entry, entry.endpoint, "media")
        answer = refusal(fault, "media") if fault else None
        if answer is not None:
            return answer
        answer = Response(found.data, media_type=found.media_type) if found else problem(404, "file not found")
        return await spoiled(answer, fault) if fault else answer


def _order(job: Job) -> dict[str, JSON]:
    """What a worker is told of a job."""
    extras = {"webhook": job.webhook, "s3Config": job.s3}
    return {"id": job.id, "input": job.input, **{key: value for key, value in extras.items() if value is not None}}


def _heard(heard: Heard) -> Response:
    """Who is late gets a 200: a worker repeats what is refused, and there is nothing to repeat."""
    return problem(404, "job not found") if heard == "unknown" else Answer({"status": heard})


def _speaks(operation: str) -> Callable[..., Answer]:
    """How an operation puts an error."""
    return openai_problem if operation in {"chat", "models"} else problem
