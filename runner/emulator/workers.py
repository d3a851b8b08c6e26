"""Workers from outside: a real worker's requests in, jobs out to it, and what it says of them back into the queue.

The wire is that of the `runpod` package, read off its source: a worker asks for work (job-take), posts pieces
(job-stream), progress and the outcome (job-done), says every ten seconds which jobs it still has (ping), and is told
which of them nobody wants any more (job-stop).
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Literal

from .jobs import Job, Queue
from .values import JSON

RETRIES = 1  # how often a job that its worker lost goes to another one
Left = Callable[[], Awaitable[None]]
Heard = Literal["taken", "late", "unknown"]


@dataclass(slots=True, eq=False)
class Worker:
    """Someone who asked for work; `stops` are the jobs that it has not been told to drop yet."""

    endpoint: str
    name: str
    seen: float
    polls: int = 0
    pings: bool = False
    stops: list[str] = field(default_factory=list)
    bell: asyncio.Event = field(default_factory=asyncio.Event)


@dataclass(slots=True, eq=False)
class _Held:
    """A job in the hands of a worker, and the two clocks that can end that."""

    job: Job
    worker: Worker
    limit: asyncio.TimerHandle
    silence: asyncio.TimerHandle


class Workers:
    """The endpoints that workers serve, the jobs that wait for one, the jobs that one has."""

    def __init__(self, queue: Queue, served: Collection[str], *, patience: float, hold: float = 10.0) -> None:
        """`patience` is how many seconds a job may go unmentioned in pings; `hold` how long a poll is held."""
        self._queue = queue
        self._served = set(served)
        self._patience = patience
        self._hold = hold
        self._roster: dict[tuple[str, str], Worker] = {}
        self._lines: dict[str, deque[Job]] = {}
        self._bells: dict[str, asyncio.Event] = {}
        self._held: dict[str, _Held] = {}
        queue.outside = self

    # -- what the queue asks -----------------------------------------------------------------------

    def serves(self, endpoint: str) -> bool:
        """Whether the endpoint's jobs are for workers: it was named, or one has asked for them."""
        return endpoint in self._served

    def offer(self, job: Job, *, first: bool = False) -> None:
        """Puts a job into the line of its endpoint and wakes who waits there."""
        line = self._lines.setdefault(job.endpoint, deque())
        if first:
            line.appendleft(job)
        else:
            line.append(job)
        bell = self._bells.pop(job.endpoint, None)
        if bell is not None:
            bell.set()

    def drop(self, job: Job) -> None:
        """Out of the line, or out of the hands of its worker, who is told to stop."""
        line = self._lines.get(job.endpoint, deque())
        if job in line:
            line.remove(job)
        held = self._released(job.id)
        if held is not None:
            self._stop(held.worker, job.id)

    def counts(self, endpoint: str) -> tuple[int, int]:
        """Workers of the endpoint that are idle, and those with a job."""
        busy = {held.worker.name for held in self._held.values() if held.worker.endpoint == endpoint}
        alive = {worker.name for worker in self._roster.values() if worker.endpoint == endpoint and self._alive(worker)}
        return len(alive - busy), len(busy)

    # -- what a worker asks ------------------------------------------------------------------------

    async def take(self, endpoint: str, name: str, count: int, left: Left) -> list[Job]:
        """Up to `count` jobs, as soon as there is one; none when nothing came while the poll was held."""
        self._served.add(endpoint)
        worker = self._seen(endpoint, name)
        line = self._lines.setdefault(endpoint, deque())
        deadline = self._now() + self._hold
        with self._polling(worker):
            while not line and await _rings(self._bells.setdefault(endpoint, asyncio.Event()), deadline, left):
                pass  # somebody else may have been faster
        taken = [line.popleft() for _ in range(min(count, len(line)))]
        for job in taken:
            self._hands(job, worker)
        return taken

    async def stops(self, endpoint: str, name: str, left: Left) -> list[str]:
        """The jobs that the worker shall stop, as soon as there is one; each is told once."""
        worker = self._seen(endpoint, name)
        if not worker.stops:
            worker.bell.clear()
            with self._polling(worker):
                await _rings(worker.bell, self._now() + self._hold, left)
        told, worker.stops = worker.stops, []
        return told

    def ping(self, endpoint: str, name: str, jobs: Collection[str]) -> None:
        """The worker lives and has these jobs; it is told again to stop what it should not have.

        The first word can come too early: a worker that has taken a job and not begun it does not know it yet.
        """
        worker = self._seen(endpoint, name)
        worker.pings = True
        for job in jobs:
            held = self._held.get(job)
            if held is not None and held.worker is worker:
                self._heard(held)
            else:
                self._stop(worker, job)

    def stream(self, endpoint: str, name: str, job: str, piece: JSON) -> Heard:
        """One more piece of a job's output."""
        held = self._holding(endpoint, name, job)
        if not isinstance(held, _Held):
            return held
        self._heard(held)
        self._queue.streams(held.job, piece)
        return "taken"

    def done(self, endpoint: str, name: str, job: str, said: dict[str, JSON]) -> Heard:
        """Progress, or the end of a job."""
        held = self._holding(endpoint, name, job)
        if not isinstance(held, _Held):
            return held
        if said.get("status") == "IN_PROGRESS":
            self._heard(held)
            held.job.output = said.get("output")
            return "taken"
        self._released(job)
        if said.get("stopPod"):
            self._roster.pop((endpoint, name), None)  # on Runpod its pod is replaced
        error, output = said.get("error"), said.get("output")
        if isinstance(error, str) and error:
            self._queue.ends(held.job, "FAILED", output=output, error=error)
        else:
            # An error that is no text is known to surface as COMPLETED with nothing (API.md section 6.3).
            self._queue.ends(held.job, "COMPLETED", output=None if error else output)
        return "taken"

    # -- inside ------------------------------------------------------------------------------------

    def _hands(self, job: Job, worker: Worker) -> None:
        loop = asyncio.get_running_loop()
        self._queue.begins(job, worker.name)
        worker.stops = [name for name in worker.stops if name != job.id]  # meant an earlier try of it
        limit = loop.call_later(job.policy.execution, self._overdue, job)
        silence = loop.call_later(self._patience, self._silent, job)
        self._held[job.id] = _Held(job, worker, limit, silence)

    def _released(self, job: str) -> _Held | None:
        held = self._held.pop(job, None)
        if held is not None:
            held.limit.cancel()
            held.silence.cancel()
        return held

    def _heard(self, held: _Held) -> None:
        held.silence.cancel()
        held.silence = asyncio.get_running_loop().call_later(self._patience, self._silent, held.job)

    def _stop(self, worker: Worker, job: str) -> None:
        if job not in worker.stops:
            worker.stops.append(job)
        worker.bell.set()

    def _overdue(self, job: Job) -> None:
        self._queue.ends(job, "TIMED_OUT", error="job timed out: executionTimeout was reached")

    def _silent(self, job: Job) -> None:
        """Who never pinged cannot stop: without RUNPOD_AI_API_KEY a worker sends none, and is left to its time."""
        held = self._held[job.id]
        if not held.worker.pings:
            self._heard(held)
        elif job.losses >= RETRIES:
            self._queue.ends(job, "TIMED_OUT", error=f"job timed out after {RETRIES} retries: its worker fell silent")
        else:
            self._released(job.id)
            self._stop(held.worker, job.id)  # should it come back to life
            self._queue.returns(job)
            self.offer(job, first=True)

    def _holding(self, endpoint: str, name: str, job: str) -> _Held | Heard:
        """The job in this worker's hands; `late` when it is over or with another, `unknown` when it never was."""
        worker = self._seen(endpoint, name)
        held = self._held.get(job)
        if held is not None and held.worker is worker:
            return held
        return "unknown" if self._queue.find(endpoint, job) is None else "late"

    def _seen(self, endpoint: str, name: str) -> Worker:
        worker = self._roster.setdefault((endpoint, name), Worker(endpoint, name, self._now()))
        worker.seen = self._now()
        return worker

    def _alive(self, worker: Worker) -> bool:
        return worker.polls > 0 or self._now() - worker.seen <= self._patience

    @contextmanager
    def _polling(self, worker: Worker) -> Iterator[None]:
        worker.polls += 1
        try:
            yield
        finally:
            worker.polls -= 1

    def _now(self) -> float:
        return asyncio.get_running_loop().time()


async def _rings(bell: asyncio.Event, deadline: float, left: Left) -> bool:
    """Whether the bell rang before the deadline and before the worker hung up."""
    rung, gone = asyncio.ensure_future(bell.wait()), asyncio.ensure_future(left())
    seconds = max(0.0, deadline - asyncio.get_running_loop().time())
    try:
        await asyncio.wait({rung, gone}, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        return rung.done() and not gone.done()
    finally:
        rung.cancel()
        gone.cancel()


def environment(url: str, endpoint: str, *, worker: str = "w1", key: str = "local") -> dict[str, str]:
    """What a `runpod` worker wants in its environment to serve the endpoint of an emulator at `url`.

    The address of each webhook ends in a query, because the worker adds to it with `&`.
    """
    base = f"{url}/{endpoint}"
    return {
        "RUNPOD_WEBHOOK_GET_JOB": f"{base}/job-take/$ID?gpu=emulated",
        "RUNPOD_WEBHOOK_POST_OUTPUT": f"{base}/job-done/$RUNPOD_POD_ID/$ID?gpu=emulated",
        "RUNPOD_WEBHOOK_POST_STREAM": f"{base}/job-stream/$RUNPOD_POD_ID/$ID?gpu=emulated",
        "RUNPOD_WEBHOOK_PING": f"{base}/ping/$RUNPOD_POD_ID?gpu=emulated",
        "RUNPOD_POD_ID": worker,
        "RUNPOD_AI_API_KEY": key,
        "RUNPOD_SKIP_AUTO_SYSTEM_CHECKS": "true",
    }
