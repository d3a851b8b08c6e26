"""One call, as often as it takes: submit once, wait for the job that is known, try again where that is safe.

Runpod takes no idempotency key. So a job whose submit was sent and not answered has an unknown fate and is not
sent again unless the step says so; and once a job's id is known, only the waiting and the download are repeated.
"""

from __future__ import annotations

import json
import random
from collections.abc import Awaitable, Callable, Collection, Mapping
from dataclasses import dataclass, field, replace
from typing import Protocol

import anyio
import anyio.lowlevel

from .admission import Admission, Place
from .budget import Budget, Held
from .desk import Desk
from .errors import (
    AttemptTimedOut,
    BadOutput,
    BadReply,
    BudgetExceeded,
    DownloadFailed,
    FateUnknown,
    JobCancelled,
    JobExpired,
    JobFailed,
    JobTimedOut,
    NotAdmitted,
    NotAfforded,
    StepError,
    StoreFailed,
)
from .events import AttemptFailed, CallPaid, CallStarted, JobEnded, JobMoved, JobSending, JobSubmitted, Sink, TextGrew
from .fresh import Fresh
from .lockfile import Locked
from .model import JSON, Call, Chat, Finished, Job, Moved, Reply, Ticket
from .pipeline import Retry

RESCUE_WITHIN = 5.0
"""Seconds that stopping a job, or fetching a file that is paid for, may take while we are being stopped ourselves."""

SHOWN_EVERY = 0.1
"""Seconds between two events that tell of a growing text."""

_TRIES: Mapping[str, int] = {"network": 5, "busy": 8, "server": 5, "job_failed": 2, "download": 5}
"""Tries in all, by fault, where the step does not say. A fault that is not here is not tried again."""

_TRIES_OF_CHAT: Mapping[str, int] = {"unknown": 3, "timeout": 2, "bad_output": 2}
"""A chat costs little and leaves no job behind, so it may be asked again."""

_FREE = ("network", "busy", "server")
"""Asking for a job that is known costs nothing: after these it is asked for until the step's timeout."""

LOOK = (
    "it is not sent again. Look in Runpod's console whether it ran; retry: {on: [unknown]} sends again, and so does a "
    "new run"
)

_ENDS: Mapping[type[StepError], str] = {
    JobFailed: "FAILED", JobCancelled: "CANCELLED", JobTimedOut: "TIMED_OUT", JobExpired: "EXPIRED",
}  # fmt: skip


class Provider(Protocol):
    """Who answers calls. All of its errors are `CallFailed`."""

    origin: str
    """What makes its answers its own: part of every key."""

    def pause(self, call: Call) -> float: ...
    async def submit(self, job: Job, within: float, sending: Callable[[], None]) -> Ticket: ...
    async def wait(self, ticket: Ticket, moved: Moved) -> Finished: ...
    async def collect(self, job: Job, finished: Finished) -> Reply: ...
    async def chat(self, chat: Chat, grew: Callable[[str], None] | None, sending: Callable[[], None]) -> Reply: ...
    async def cancel(self, ticket: Ticket) -> Finished | None: ...


@dataclass(slots=True, eq=False)
class Flight:
    """A call under way that others may wait for."""

    landed: anyio.Event
    failed: StepError | None = None
    refused: Reply | None = None
    """What it was answered, if that is not in the store."""


@dataclass(slots=True, eq=False)
class Past:
    """What a run that is taken up again has left: open jobs by key, each with what it holds; what was spent.

    ``unknown`` are jobs of an unknown fate by key, also those of this run: nobody sends them again unasked.
    """

    tickets: dict[str, list[tuple[Ticket, Held]]] = field(default_factory=dict)
    unknown: dict[str, str] = field(default_factory=dict)
    spent: dict[str, dict[str, float]] = field(default_factory=dict)
    """By step and unit."""
    made: Mapping[str, Collection[str]] = field(default_factory=dict)
    """Keys of the replies that its cells have in the store already: a step that asks each time has asked."""

    @property
    def held(self) -> list[Held]:
        """What its open jobs hold of budgets."""
        return [held for tickets in self.tickets.values() for _, held in tickets]


@dataclass(frozen=True, slots=True)
class Tools:
    """What a call needs of the outside, handed down by `execute`."""

    provider: Provider
    budget: Budget
    emit: Sink
    synced: Callable[[], Awaitable[None]]
    clock: Callable[[], float]
    random: random.Random
    admission: Admission
    flights: dict[str, Flight] = field(default_factory=dict)
    """Calls under way, by key: who wants the same waits for the one, and fails with it."""
    refusals: dict[tuple[str, str, str], str] = field(default_factory=dict)
    """What an endpoint was found not to take (`Chat.may_refuse`), in its words: not asked for again in this run."""
    watched: bool = False
    """Somebody looks on: chats are streamed."""
    past: Past = field(default_factory=Past)
    fresh: Fresh = field(default_factory=Fresh)
    """What is asked for anew, though the store has it."""
    locked: Locked | None = None
    """Set where nothing may be sent: calls are answered by the store, and by what a lock allows of it."""
    desk: Desk = field(default_factory=Desk)
    """Where a person is asked."""
    cancel_jobs: bool = True
    """Whether jobs in flight are told to stop when the run is stopped; else they go on, as open tickets."""


@dataclass(slots=True)
class Attempts:
    """The tries of one call of one cell. ``finished`` is given where an earlier run paid and could not fetch."""

    tools: Tools
    cell: str
    key: str
    call: Call
    retry: Retry
    timeout: float
    place: Place
    read: Callable[[Reply], object]
    """Raises `BadOutput` where the reply is not what the step asked for."""
    keep: Callable[[Finished], None]
    """Remembers a job that is paid for, until its files are here."""
    forget: Callable[[], None]
    """Forgets it: what it made is no use."""
    hold: Callable[[Ticket], None]
    """Remembers a job that was handed in, until it has ended."""
    doubt: Callable[[str], None]
    """Remembers that a job is on its way to an endpoint, until its id is known."""
    finished: Finished | None = None
    """The finished job, while its files are still to be fetched."""
    open: Ticket | None = None
    """The same job, handed in by another run that did not see its end."""
    ticket: Ticket | None = None
    deadline: float = 0.0
    """When a job is given up."""
    past: bool = False
    """Whether the ticket is one of the run before it was taken up again."""
    settled: bool = False
    """Whether it was paid before the run was taken up again, so that only its files are missing."""
    held: Held | None = None
    """What it holds of budgets."""
    sent: int = 0
    """How often it was sent: tries that may cost."""
    doubted: bool = False
    """Whether this try has begun to hand in a job."""
    failed: dict[str, int] = field(default_factory=dict)
    grown: list[str] = field(default_factory=list)
    """The answer of this try so far, where it is streamed."""
    shown: int = 0
    """How many pieces of it were told."""
    show_at: float = 0.0

    async def reply(self) -> Reply:
        """The first reply that holds. Raises what the last try raised."""
        tried: StepError | None = None
        while True:
            try:
                return await self._try()
            except (BudgetExceeded, NotAfforded) as err:
                if tried is None:
                    raise
                raise self._last(tried) from err  # why it had to be tried again says more
            except StepError as err:
                tried = err
                wait = self._wait_before_next(err)
                if wait is None:
                    raise self._last(err) from err.__cause__
                number = max(self.sent, 1)
                self.tools.emit(
                    AttemptFailed(self.tools.clock(), self.cell, number, err.fault, str(err), wait, self.key)
                )
            self.place.give_back()
            await anyio.sleep(wait)

    def __post_init__(self) -> None:
        if tickets := self.tools.past.tickets.get(self.key):
            ticket, self.held = tickets.pop()
            self.tools.budget.taken(self.held)
            self.settled = not self.held.most
            self.ticket = replace(ticket, stream=isinstance(self.call, Job) and self.call.stream)
            self.past = True
        elif self.open is not None and isinstance(self.call, Job) and self.finished is None:
            self.ticket, self.past = replace(self.open, stream=self.call.stream), True
            self.held = self.tools.budget.hold(self.place.wants.step, self.call.most)
            self.tools.emit(  # from here on it is a job of this run, too
                JobSubmitted(self.tools.clock(), self.cell, self.key, self.open.endpoint, self.open.job, self.call.most)
            )
        if isinstance(self.call, Job):
            self.deadline = anyio.current_time() + self.timeout

    async def rescue(self) -> Reply | None:
        """While being stopped: stop the job where that is wanted, so that it stops costing money; else it goes on, and
        a resumed run collects it. What is done already is fetched.
        """
        job = self.call
        if not isinstance(job, Job):
            self._settle()
            return None
        if self.finished is None and self.ticket is not None and self.tools.cancel_jobs:
            found = await self._cancel()
            if found is not None:
                self.finished = replace(found, cost=self._paid(found.cost))
        self._settle()
        return await self.tools.provider.collect(job, self.finished) if self.finished is not None else None

    async def _try(self) -> Reply:
        try:
            reply = await (self._job(self.call) if isinstance(self.call, Job) else self._chat(self.call))
            self.read(reply)
            return reply
        except FateUnknown:
            if isinstance(self.call, Job):
                self.tools.past.unknown.setdefault(self.key, self.call.endpoint)
            self._settle()
            raise
        except tuple(_ENDS) as err:
            self._ended(_ENDS[type(err)])
            raise
        except (BadReply, BadOutput):
            if self.ticket is not None:  # nothing of it is left to be collected
                self.tools.emit(JobEnded(self.tools.clock(), self.cell, self.key, self.ticket.job, "UNUSABLE"))
            self.ticket = self.finished = None  # the same answer would be as bad
            self.forget()
            self._settle()
            raise
        except StepError:
            if self.ticket is None:
                self._release()
                if self.doubted:  # it was refused: there is no doubt
                    self.forget()
            raise
        finally:
            self.doubted = False

    async def _chat(self, chat: Chat) -> Reply:
        await self._admitted()
        self.grown.clear()
        self.shown = 0
        sent = False
        try:
            with anyio.fail_after(self.timeout) as scope:

                def sending() -> None:  # waiting for a turn is no part of the timeout
                    nonlocal sent
                    sent, scope.deadline = True, anyio.current_time() + self.timeout

                reply = await self.tools.provider.chat(chat, self._grew if self.tools.watched else None, sending)
        except TimeoutError as err:
            if not sent:
                self._release()
                msg = f"it was not the turn of the chat with {chat.label} within {self.timeout:g} s, so it was not sent"
                raise AttemptTimedOut(msg) from err
            self._settle()
            msg = f"the chat with {chat.label} had no answer after {self.timeout:g} s; raise timeout: to wait longer"
            raise AttemptTimedOut(msg, keep="".join(self.grown) or None) from err
        except StepError as err:
            if self.grown or isinstance(err, AttemptTimedOut):
                self._settle()
                err.keep = err.keep or "".join(self.grown) or None
            raise
        if reply.refused:
            self._release()
            return reply
        cost = self._paid(reply.cost, _tokens(reply.data))
        return reply if cost == reply.cost else replace(reply, cost=cost)

    def _grew(self, piece: str) -> None:
        """A piece of an answer is here. Who watches is told so often that it looks alive, and no more often."""
        self.grown.append(piece)
        now = anyio.current_time()
        if now >= self.show_at:
            self.show_at = now + SHOWN_EVERY
            self.tools.emit(TextGrew(self.tools.clock(), self.cell, "".join(self.grown[self.shown :])))
            self.shown = len(self.grown)

    async def _job(self, job: Job) -> Reply:
        if self.finished is None:
            if self.ticket is None:
                self._known_fate()
                await self._admitted()
                await self._submit(job)
            else:
                await self.place.take()
            assert self.ticket is not None
            try:
                self.finished = await self._wait(self.ticket)
            except JobExpired as err:
                if not self.past:
                    raise
                self.past = False
                self._ended("EXPIRED")
                self.tools.emit(
                    AttemptFailed(
                        self.tools.clock(), self.cell, 0, err.fault,
                        f"{err}; it is made anew, though it may have been paid for", 0.0, self.key,
                    )
                )  # fmt: skip
                return await self._job(job)
            self.finished = replace(self.finished, cost=self._paid(self.finished.cost))
            if job.media is not None:
                self.keep(self.finished)
        await self.place.take()
        try:
            reply = await self.tools.provider.collect(job, self.finished)
        except DownloadFailed as err:
            # Right after its job has ended a file may not be there yet: only what stays gone is made anew.
            if not (err.gone and self.sent == 0) or self.failed.get(err.fault, 0) + 1 < self._tries(err.fault):
                raise
            self.finished, self.past = None, False  # it was paid for earlier, and nobody has it any more
            self._ended("GONE")
            self.tools.emit(
                AttemptFailed(self.tools.clock(), self.cell, 0, err.fault, f"{err}; it is made anew", 0.0, self.key)
            )
            return await self._job(job)
        self._made(reply)
        return reply if reply.cost == self.finished.cost else replace(reply, cost=self.finished.cost)

    async def _admitted(self) -> None:
        """Hold the money and a place, and say that the call goes out."""
        while pause := self.tools.provider.pause(self.call):
            self.place.give_back()  # others may want another endpoint
            await anyio.sleep(pause)
        # Who waits for money holds no place: those who hold the money may need one to give it back.
        step = self.place.wants.step
        if not self.tools.budget.fits(step, self.call.most):
            self.place.give_back()
        self.held = await self.tools.budget.reserve(step, self.call.most)
        await self.place.take()
        await anyio.lowlevel.checkpoint_if_cancelled()  # a place that was free is taken without looking up
        if self.sent == 0 and (reason := self.tools.admission.refusal(step)):
            self._release()  # while it waited for money, the run stopped letting anybody in
            raise NotAdmitted(reason)
        self.sent += 1
        most = self.call.most if isinstance(self.call, Chat) else {}  # a job is told of when it is handed in
        self.tools.emit(CallStarted(self.tools.clock(), self.cell, self.key, self.call.label, self.sent, most=most))

    def _known_fate(self) -> None:
        """A submit that the run was cut in, before it was taken up again, may have been accepted: ask first."""
        endpoint = self.tools.past.unknown.get(self.key)
        if endpoint is not None and "unknown" not in (self.retry.on or ()):
            raise FateUnknown(
                f"this job was handed to {endpoint} before the run was taken up again and got no answer, so it may "
                "have been accepted and may cost money"
            )

    async def _submit(self, job: Job) -> None:
        # From the first byte sent until the ticket is on disk nothing may interrupt: the job would be paid and lost.
        with anyio.CancelScope() as scope:

            def sending() -> None:
                scope.shield = True
                self.tools.emit(JobSending(self.tools.clock(), self.cell, self.key, job.endpoint, job.most))
                self.doubt(job.endpoint)
                self.doubted = True
                self.deadline = anyio.current_time() + self.timeout

            self.ticket = ticket = await self.tools.provider.submit(job, self.timeout, sending)
            try:
                self.tools.emit(
                    JobSubmitted(self.tools.clock(), self.cell, self.key, ticket.endpoint, ticket.job, job.most)
                )
                self.hold(ticket)
                await self.tools.synced()
            except StoreFailed as err:
                await self._cancel()
                msg = f"{err}; the job {ticket.job} on {ticket.endpoint} was just submitted and was told to stop"
                raise StoreFailed(msg) from err

    async def _wait(self, ticket: Ticket) -> Finished:
        try:
            with anyio.fail_after(max(self.deadline - anyio.current_time(), 0.01)):
                return await self.tools.provider.wait(ticket, self._moved)
        except TimeoutError as err:
            finished = await self._cancel()
            if finished is not None:
                return finished
            msg = (
                f"the job {ticket.job} on {ticket.endpoint} had no result after {self.timeout:g} s, queue included; "
                "it was told to stop; raise timeout: to wait longer"
            )
            raise AttemptTimedOut(msg) from err

    async def _cancel(self) -> Finished | None:
        """Tell Runpod to stop the job. Gives back its output if it was faster."""
        assert self.ticket is not None
        with anyio.move_on_after(RESCUE_WITHIN, shield=True):
            try:
                self.finished = await self.tools.provider.cancel(self.ticket)
            except StepError:
                return None  # it stays in the journal as an open ticket
            if self.finished is None:
                self._ended("CANCELLED")
        return self.finished

    def _moved(self, status: str, queued: float | None = None, ran: float | None = None) -> None:
        for fault in _FREE:  # it goes on: what stood between us and the job is over
            self.failed.pop(fault, None)
        assert self.ticket is not None
        self.tools.emit(JobMoved(self.tools.clock(), self.cell, self.ticket.job, status, queued, ran))

    def _ended(self, status: str) -> None:
        if self.ticket is not None:
            self.tools.emit(JobEnded(self.tools.clock(), self.cell, self.key, self.ticket.job, status))
            self.forget()
        self.ticket, self.settled = None, False
        if status == "EXPIRED":
            self._settle()  # it may well have run, and have been billed
        else:
            self._release()

    def _paid(self, cost: float | None, tokens: float | None = 0.0) -> float | None:
        """Note what an answer cost: what it says, else what the catalogue says, else what the budget counts it as."""
        if cost is None:
            cost = self.call.usd if self.call.usd is not None else (self.held and self.held.usd) or None
        if self.settled:
            return cost
        if tokens is None:
            tokens = self.call.most.get("tokens")
        self.tools.emit(CallPaid(self.tools.clock(), self.cell, self.key, cost, tokens or 0.0))
        if self.held is not None:
            self.tools.budget.settle(self.held, {"usd": cost, "tokens": tokens})
        return cost

    def _made(self, reply: Reply) -> None:
        """Note what the files of a job took of budgets. One that was paid by an earlier run counts here, too."""
        if self.held is None:
            self.held = self.tools.budget.hold(self.place.wants.step, {})
        self.tools.budget.settle(self.held, made(reply))
        self._release()

    def _settle(self) -> None:
        """Count what is still held as spent: the job may cost it."""
        if self.held is not None:
            self.tools.budget.settle(self.held, None)
            self.held = None

    def _release(self) -> None:
        """Give back what is held: nothing was made."""
        if self.held is not None:
            self.tools.budget.release(self.held)
            self.held = None

    def _last(self, err: StepError) -> StepError:
        """The error to end with: a finished job whose files did not come keeps its answer, with their URLs."""
        if self.finished is not None and err.keep is None:
            err.keep = json.dumps(self.finished.output, ensure_ascii=False, indent=2)
        self._settle()
        if isinstance(err, FateUnknown) and isinstance(self.call, Job):
            return FateUnknown(f"{err}; {LOOK}", keep=err.keep)
        return err

    def _wait_before_next(self, err: StepError) -> float | None:
        """Seconds to the next try, or None if there is none. Full jitter; what the server asks for wins."""
        fault = err.fault
        if err.final and fault not in (self.retry.on or ()):
            return None
        self.failed[fault] = times = self.failed.get(fault, 0) + 1
        if self.ticket is not None and self.finished is None and fault in _FREE:
            if anyio.current_time() >= self.deadline:
                return None
        elif times >= self._tries(fault):
            return None
        if err.retry_after is not None:
            late = self.ticket is not None and self.finished is None  # its job has a time at which it is given up
            return min(err.retry_after, max(self.deadline - anyio.current_time(), 0.0)) if late else err.retry_after
        first = 0.5 if self.retry.wait is None else self.retry.wait
        longest = 30.0 if self.retry.max_wait is None else self.retry.max_wait
        factor = 2.0 if self.retry.factor is None else self.retry.factor
        return self.tools.random.uniform(0.0, min(longest, first * factor ** min(times - 1, 30)))

    def _tries(self, fault: str) -> int:
        usual = _TRIES.get(fault, 1)
        if isinstance(self.call, Chat):
            usual = _TRIES_OF_CHAT.get(fault, usual)
        if self.retry.on is not None and fault in self.retry.on:
            usual = max(usual, 2)
        elif self.retry.on is not None and (not self.retry.on or any(name in _TRIES for name in self.retry.on)):
            usual = 1  # only those that it names; one that names none of the usual faults adds to them
        if self.retry.attempts is not None and usual > 1:
            return self.retry.attempts
        return usual


def made(reply: Reply) -> dict[str, float | None]:
    """The pictures, and the seconds of sound and video, that a reply holds; None for a length that no file says."""
    lengths = [file.seconds for file in reply.files if file.media in ("audio", "video")]
    known = [seconds for seconds in lengths if seconds is not None]
    images = float(sum(file.media == "image" for file in reply.files))
    return {"images": images, "seconds": sum(known) if len(known) == len(lengths) else None}


def _tokens(said: JSON) -> float | None:
    """The tokens of a chat, those that went in and those that came out; None where the server does not say."""
    usage = said.get("usage") if isinstance(said, Mapping) else None
    total = usage.get("total_tokens") if isinstance(usage, Mapping) else None
    return float(total) if isinstance(total, int | float) else None
