"""Jobs: an input in, its states one after another, an output or an error out, then nothing (404).

Everything here happens on one event loop. What a job does is passed in as `work`; waiting for a job
is waiting for its event, so whoever waits wakes the moment it ends, or the moment a piece of its
output can be streamed.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from random import Random
from typing import Protocol
from uuid import UUID

from .streams import streamed
from .values import JSON

TERMINAL = frozenset({"COMPLETED", "FAILED", "CANCELLED", "TIMED_OUT"})
RETRIABLE = frozenset({"FAILED", "TIMED_OUT"})
_ENDS = {"FAILED": "FAILED", "CANCELLED": "CANCELLED", "TIMED_OUT": "TIMED_OUT"}


class RefusedError(Exception):
    """The worker cannot do this job; its text becomes the job's `error`."""


@dataclass(frozen=True, slots=True)
class Policy:
    """Seconds that a job may live and may run.

    `low` is Runpod's lowPriority: the job starts no worker. Emulated workers never scale, so it only shows.
    """

    ttl: float = 86_400.0
    execution: float = 600.0
    low: bool = False


@dataclass(frozen=True, slots=True)
class Retention:
    """Seconds that outcomes can be asked for: of /run, of /runsync, and of files under /media."""

    run: float = 1800.0
    runsync: float = 60.0
    media: float = 7 * 86_400.0


@dataclass(slots=True)
class Counts:
    """Ends of an endpoint's jobs since it exists; they outlive the jobs."""

    completed: int = 0
    failed: int = 0
    retried: int = 0


@dataclass(slots=True, eq=False)
class Job:
    """One job; `input` and `seed` are fixed when it is submitted, `fault` is drawn anew for a retry.

    `retries` counts how often it was queued again, `losses` how often of late because its worker fell silent.
    `pieces` is what /stream has not handed out yet; `pages` is set when there is something new for it.
    """

    id: str
    endpoint: str
    input: dict[str, JSON]
    sync: bool
    policy: Policy
    latency: tuple[float, float]
    seed: int
    submitted: float
    fault: str | None = None
    webhook: str | None = None
    s3: JSON = None
    status: str = "IN_QUEUE"
    retries: int = 0
    losses: int = 0
    started: float | None = None
    ended: float | None = None
    worker: str | None = None
    output: JSON = None
    error: str | None = None
    gone: bool = False
    pieces: list[JSON] = field(default_factory=list)
    done: asyncio.Event = field(default_factory=asyncio.Event, repr=False)
    pages: asyncio.Event = field(default_factory=asyncio.Event, repr=False)
    task: "asyncio.Task[None] | None" = field(default=None, repr=False)
    clock: asyncio.TimerHandle | None = field(default=None, repr=False)

    @property
    def over(self) -> bool:
        """Whether nothing more will happen to it."""
        return self.gone or self.status in TERMINAL


class Outside(Protocol):
    """Workers that are not ours: what the queue has to know and to say of them."""

    def serves(self, endpoint: str) -> bool:
        """Whether the endpoint's jobs are theirs."""

    def offer(self, job: Job) -> None:
        """Here is a job for one of them."""

    def drop(self, job: Job) -> None:
        """The job is over, whoever has it."""

    def counts(self, endpoint: str) -> tuple[int, int]:
        """How many of them are idle, and how many are at work."""


class Queue:
    """All jobs of all endpoints, and the workers that take them, first come, first served."""

    def __init__(
        self,
        *,
        work: Callable[[Job], Awaitable[JSON]],
        workers: Callable[[str], int | None],
        retention: Retention,
        random: Random,
        history: int,
        ended: Callable[[Job], None] = lambda _: None,
    ) -> None:
        """`ended` is called with every job that reaches a final state, the moment it does."""
        self._work = work
        self._workers = workers
        self._retention = retention
        self._random = random
        self._history = history
        self._ended = ended
        self._counts: dict[str, Counts] = {}
        self._slots: dict[str, asyncio.Semaphore | None] = {}
        self._live: dict[tuple[str, str], Job] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._past: list[Job] = []
        self.outside: Outside | None = None
        self.paid = 0
        self.flying = 0
        self.peak = 0

    @property
    def jobs(self) -> tuple[Job, ...]:
        """Every job there was, the newest last, those that are gone included."""
        return tuple(self._past)[-self._history :]

    def submit(
        self,
        endpoint: str,
        body: dict[str, JSON],
        *,
        sync: bool,
        policy: Policy,
        latency: tuple[float, float],
        fault: str | None,
        webhook: str | None = None,
        s3: JSON = None,
    ) -> Job:
        """Puts a job into the queue; it lives on its own from here."""
        name = f"{UUID(int=self._random.getrandbits(128), version=4)}-u1"
        job = Job(
            id=f"sync-{name}" if sync else name,
            endpoint=endpoint,
            input=body,
            sync=sync,
            policy=policy,
            latency=latency,
            seed=self._random.randrange(2**31),
            submitted=asyncio.get_running_loop().time(),
            fault=fault,
            webhook=webhook,
            s3=s3,
        )
        self._live[endpoint, job.id] = job
        self._past.append(job)
        if len(self._past) > 2 * self._history:
            del self._past[: -self._history]
        self._queues(job)
        return job

    def retry(self, job: Job, *, latency: tuple[float, float], fault: str | None) -> None:
        """Queues a RETRIABLE job again, its life begun anew and its output dropped."""
        job.status, job.latency, job.fault = "IN_QUEUE", latency, fault
        job.started = job.ended = job.worker = job.output = job.error = None
        job.submitted = asyncio.get_running_loop().time()
        job.losses = 0
        job.done.clear()
        self._again(job)
        self._queues(job)

    def purge(self, endpoint: str) -> int:
        """Removes what waits for a worker, and says how much that was; what runs goes on."""
        waiting = [job for (owner, _), job in self._live.items() if owner == endpoint and job.status == "IN_QUEUE"]
        for job in waiting:
            self._vanishes(job)
        return len(waiting)

    def find(self, endpoint: str, name: str) -> Job | None:
        """The job, unless it never was or is gone."""
        return self._live.get((endpoint, name))

    def cancel(self, job: Job) -> None:
        """Queued and running jobs end at once; what is over stays as it is."""
        if not job.over:
            self.ends(job, "CANCELLED")

    def begins(self, job: Job, worker: str) -> None:
        """A worker has the job."""
        job.status, job.started, job.worker = "IN_PROGRESS", asyncio.get_running_loop().time(), worker

    def streams(self, job: Job, piece: JSON) -> None:
        """One more piece for whoever reads the job's stream."""
        job.pieces.append({"output": piece})
        job.pages.set()

    def returns(self, job: Job) -> None:
        """Its worker is lost; the job waits for another, and its life goes on running down."""
        job.status, job.started, job.worker, job.output = "IN_QUEUE", None, None, None
        job.losses += 1
        self._again(job)

    def ends(self, job: Job, status: str, *, output: JSON = None, error: str | None = None) -> None:
        """The job's last state; whoever waits for it is told, and its time to be asked for begins."""
        job.status, job.output, job.error = status, output, error
        job.ended = asyncio.get_running_loop().time()
        self.paid += status == "COMPLETED"
        self._counted(job.endpoint).completed += status == "COMPLETED"
        self._counted(job.endpoint).failed += status in RETRIABLE
        self._lands(job)
        kept = self._retention.runsync if job.sync else self._retention.run
        self._arm(job, min(kept, job.submitted + job.policy.ttl - job.ended))
        self._ended(job)

    def expire_in(self, job: Job, seconds: float) -> None:
        """Sets what is left of the job's life, as `?ttl=` on /status does."""
        self._arm(job, seconds)

    async def settled(self, job: Job, seconds: float) -> None:
        """Comes back when the job is over, or after that many seconds."""
        if job.over:
            return
        try:
            async with asyncio.timeout(seconds):
                await job.done.wait()
        except TimeoutError:
            return

    async def drained(self, job: Job, seconds: float) -> list[JSON]:
        """The pieces of output since the last call; waits so long for one when there is none yet."""
        if not job.pieces and not job.over and seconds > 0:
            job.pages.clear()
            with suppress(TimeoutError):
                async with asyncio.timeout(seconds):
                    await job.pages.wait()
        taken, job.pieces = job.pieces, []
        return taken

    @asynccontextmanager
    async def slot(self, endpoint: str) -> AsyncIterator[None]:
        """A worker of the endpoint, for as long as the block lasts."""
        if endpoint not in self._slots:
            count = self._workers(endpoint)
            self._slots[endpoint] = None if count is None else asyncio.Semaphore(count)
        free = self._slots[endpoint]
        if free is None:
            yield
            return
        async with free:
            yield

    @asynccontextmanager
    async def flight(self) -> AsyncIterator[None]:
        """Counts what is not a job but costs as one, a chat; it is paid for when the block ends well."""
        self._takes_off()
        try:
            yield
            self.paid += 1
        finally:
            self.flying -= 1

    def health(self, endpoint: str) -> dict[str, dict[str, int]]:
        """Jobs that wait and run, ends since the start, and workers by what they do."""
        states = [job.status for (owner, _), job in self._live.items() if owner == endpoint]
        running = states.count("IN_PROGRESS")
        idle, busy = self._staff(endpoint, running)
        counts = self._counts.get(endpoint, Counts())
        return {
            "jobs": {
                "completed": counts.completed,
                "failed": counts.failed,
                "inProgress": running,
                "inQueue": states.count("IN_QUEUE"),
                "retried": counts.retried,
            },
            "workers": {"idle": idle, "initializing": 0, "ready": idle, "running": busy, "throttled": 0},
        }

    def _staff(self, endpoint: str, running: int) -> tuple[int, int]:
        if self.outside is not None and self.outside.serves(endpoint):
            return self.outside.counts(endpoint)
        return max(0, (self._workers(endpoint) or max(1, running)) - running), running

    async def close(self) -> None:
        """Ends every job where it stands."""
        for job in self._live.values():
            if job.clock is not None:
                job.clock.cancel()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _queues(self, job: Job) -> None:
        """From here the job's life runs down, and it waits for a worker, ours or one from outside."""
        self._takes_off()
        self._arm(job, job.policy.ttl)
        if self.outside is not None and self.outside.serves(job.endpoint):
            self.outside.offer(job)
            return
        job.task = asyncio.get_running_loop().create_task(self._runs(job))
        self._tasks.add(job.task)
        job.task.add_done_callback(self._tasks.discard)

    def _again(self, job: Job) -> None:
        job.retries += 1
        job.pieces.clear()
        self._counted(job.endpoint).retried += 1

    def _counted(self, endpoint: str) -> Counts:
        return self._counts.setdefault(endpoint, Counts())

    async def _runs(self, job: Job) -> None:
        await _until(job.submitted + job.latency[0])
        async with self.slot(job.endpoint):
            self.begins(job, f"w{self._random.getrandbits(52):013x}")
            started = asyncio.get_running_loop().time()
            try:
                async with asyncio.timeout_at(started + job.policy.execution):
                    job.output = "50%" if job.fault == "PROGRESS" else None
                    output = await self._works(job, started)
            except TimeoutError:
                self.ends(job, "TIMED_OUT", error="job timed out: executionTimeout was reached")
            except RefusedError as err:
                self.ends(job, "FAILED", error=str(err))
            except Exception as err:  # noqa: BLE001 - as on Runpod, a worker that breaks fails its job
                self.ends(job, "FAILED", error=f"{type(err).__name__}: {err}")
            else:
                self._completes(job, output)

    async def _works(self, job: Job, started: float) -> JSON:
        """The output, not before the time that the job is meant to take."""
        if job.fault == "STUCK":
            await asyncio.Event().wait()
        output = None if job.fault in _ENDS else await self._work(job)
        pieces = streamed(job.input, output)
        for number, piece in enumerate(pieces or (), 1):
            await _until(started + job.latency[1] * number / (len(pieces or ()) + 1))
            self.streams(job, piece)
        await _until(started + job.latency[1])
        return output if pieces is None else pieces

    def _completes(self, job: Job, output: JSON) -> None:
        if job.fault == "EXPIRED":
            self._vanishes(job)
        elif job.fault in _ENDS:
            self.ends(
                job,
                job.fault,
                error="the worker failed, as the script says" if job.fault == "FAILED" else None,
            )
        else:
            self.ends(job, "COMPLETED", output=None if job.fault == "NOOUTPUT" else output)

    def _outlived(self, job: Job) -> None:
        """The end of a job's time: in the queue it times out and can still be read, later it is gone."""
        if job.status == "IN_QUEUE":
            self.ends(job, "TIMED_OUT", error="job timed out: its ttl ended before a worker was free")
            self._arm(job, self._retention.runsync if job.sync else self._retention.run)
        else:
            self._vanishes(job)

    def _vanishes(self, job: Job) -> None:
        was_over = job.over
        job.gone = True
        self._live.pop((job.endpoint, job.id), None)
        if job.clock is not None:
            job.clock.cancel()
        if not was_over:
            self._lands(job)

    def _arm(self, job: Job, seconds: float) -> None:
        if job.clock is not None:
            job.clock.cancel()
        job.clock = asyncio.get_running_loop().call_later(max(0.0, seconds), self._outlived, job)

    def _takes_off(self) -> None:
        self.flying += 1
        self.peak = max(self.peak, self.flying)

    def _lands(self, job: Job) -> None:
        self.flying -= 1
        job.done.set()
        job.pages.set()
        if self.outside is not None:
            self.outside.drop(job)
        if job.task is not None and job.task is not asyncio.current_task():
            job.task.cancel()


async def _until(moment: float) -> None:
    """Sleeps to a moment, not for a while: what was late before is made up for."""
    left = moment - asyncio.get_running_loop().time()
    if left > 0:
        await asyncio.sleep(left)
