"""One call, as often as it takes: submit once, wait for the job that is known, try again where that is safe.

Runpod takes no idempotency key. So a job whose submit was sent and not answered has an unknown fate and is not
sent again unless the step says so; and once a job's id is known, only the waiting and the download are repeated.
"""

from __future__ import annotations

import json
import random
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Protocol

import anyio

from .admission import Admission, Place
from .budget import Budget
from .errors import AttemptTimedOut, FateUnknown, JobCancelled, JobExpired, JobFailed, JobTimedOut, StepError
from .events import AttemptFailed, CallPaid, CallStarted, JobEnded, JobMoved, JobSubmitted, Sink
from .model import JSON, Call, Chat, Job, Reply, Ticket
from .pipeline import Retry

CANCEL_WITHIN = 5.0
"""Seconds that telling Runpod to stop a job may take while we are being stopped ourselves."""

_TRIES: Mapping[str, int] = {
    "network": 5, "busy": 8, "server": 5, "job_failed": 2, "download": 5,
    "bad_output": 1, "timeout": 1, "expired": 1, "unknown": 1,
}  # fmt: skip
"""Tries in all, by fault, where the step does not say. A fault that is not here is never tried again."""

_TRIES_OF_CHAT = {"unknown": 3, "bad_output": 2}
"""A chat costs little and leaves no job behind, so it may be asked again."""

_TRIES_WITH_TICKET = {"network": 12, "busy": 12, "server": 12}
"""Asking again for a job that is known costs nothing."""

_ENDS: Mapping[type[StepError], str] = {
    JobFailed: "FAILED", JobCancelled: "CANCELLED", JobTimedOut: "TIMED_OUT", JobExpired: "EXPIRED",
}  # fmt: skip


class Provider(Protocol):
    """Who answers calls. All of its errors are `CallFailed`."""

    origin: str
    """What makes its answers its own: part of every key."""

    async def submit(self, job: Job) -> Ticket: ...
    async def wait(self, ticket: Ticket, moved: Callable[[str], None]) -> JSON: ...
    async def collect(self, job: Job, said: JSON) -> Reply: ...
    async def chat(self, chat: Chat) -> Reply: ...
    async def cancel(self, ticket: Ticket) -> None: ...


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


@dataclass(slots=True)
class Attempts:
    """The tries of one call of one cell."""

    tools: Tools
    cell: str
    key: str
    call: Call
    retry: Retry
    timeout: float
    place: Place
    read: Callable[[Reply], object]
    """Raises `BadOutput` where the reply is not what the step asked for."""
    ticket: Ticket | None = None
    said: JSON = None
    """The finished job's output, while its files are still to be fetched."""
    deadline: float = 0.0
    held: float = 0.0
    """USD of the budget that are reserved for it."""
    failed: dict[str, int] = field(default_factory=dict)

    async def reply(self) -> Reply:
        """The first reply that holds. Raises what the last try raised."""
        number = 1
        while True:
            try:
                return await self._try(number)
            except StepError as err:
                wait = self._wait_before_next(err)
                if wait is None:
                    raise self._last(err) from err.__cause__
                self.tools.emit(AttemptFailed(self.tools.clock(), self.cell, number, err.fault, str(err), wait))
            self.place.give_back()
            await anyio.sleep(wait)
            number += 1

    async def _try(self, number: int) -> Reply:
        if self.ticket is None:
            await self._reserve()
        try:
            await self.place.take()
            self.tools.emit(CallStarted(self.tools.clock(), self.cell, self.key, self.call.label, number))
            if self.ticket is None:
                self.deadline = anyio.current_time() + self.timeout
            with anyio.fail_after(max(self.deadline - anyio.current_time(), 0.01)):
                reply = await (self._job(self.call) if isinstance(self.call, Job) else self._chat(self.call))
            if reply.cost is None:  # the endpoint does not say: what the catalogue says, then
                reply = replace(reply, cost=self.call.usd)
            self.tools.emit(CallPaid(self.tools.clock(), self.cell, self.key, reply.cost))
            self._settle(reply.cost)
            self.read(reply)
            return reply
        except TimeoutError as err:
            await self._give_up()
            raise self._timed_out() from err
        except anyio.get_cancelled_exc_class():
            await self._give_up()
            self._settle(None)
            raise
        except FateUnknown:
            self._settle(None)
            raise
        except tuple(_ENDS) as err:
            self._ended(_ENDS[type(err)])
            raise
        except StepError:
            if self.ticket is None:
                self._settle(0.0)
            raise

    async def _reserve(self) -> None:
        # Who waits for money holds no place: those who hold the money may need one to give it back.
        if not self.tools.budget.fits(self.call.usd):
            self.place.give_back()
        self.held = await self.tools.budget.reserve(self.call.usd)

    def _settle(self, cost: float | None) -> None:
        """Give the reservation back. It is held as long as the job may still cost something."""
        self.tools.budget.settle(self.held, cost)
        self.held = 0.0

    def _last(self, err: StepError) -> StepError:
        """The error to end with: a finished job whose files did not come keeps its answer, with their URLs."""
        if self.said is not None and err.keep is None:
            err.keep = json.dumps(self.said, ensure_ascii=False, indent=2)
        if self.held:
            self._settle(None)
        return err

    async def _chat(self, chat: Chat) -> Reply:
        return await self.tools.provider.chat(chat)

    async def _job(self, job: Job) -> Reply:
        if self.ticket is None:
            await self._submit(job)
        assert self.ticket is not None
        ticket = self.ticket
        if self.said is None:
            self.said = await self.tools.provider.wait(ticket, lambda status: self._moved(ticket, status))
        return await self.tools.provider.collect(job, self.said)

    async def _submit(self, job: Job) -> None:
        # From the first byte sent until the ticket is on disk nothing may interrupt: the job would be paid and lost.
        with anyio.CancelScope(shield=True):
            self.ticket = ticket = await self.tools.provider.submit(job)
            self.tools.emit(JobSubmitted(self.tools.clock(), self.cell, self.key, ticket.endpoint, ticket.job))
            await self.tools.synced()

    def _moved(self, ticket: Ticket, status: str) -> None:
        self.tools.emit(JobMoved(self.tools.clock(), self.cell, ticket.job, status))

    def _ended(self, status: str) -> None:
        if self.ticket is not None:
            self.tools.emit(JobEnded(self.tools.clock(), self.cell, self.key, self.ticket.job, status))
        self.ticket, self.said = None, None
        self._settle(0.0)

    async def _give_up(self) -> None:
        """Tell Runpod that nobody waits for the job any more, so that it stops costing money."""
        if self.ticket is None or self.said is not None:
            return
        with anyio.move_on_after(CANCEL_WITHIN, shield=True):
            try:
                await self.tools.provider.cancel(self.ticket)
            except StepError:
                return  # it stays in the journal as an open ticket
            self._ended("CANCELLED")

    def _timed_out(self) -> AttemptTimedOut:
        what = f"the job {self.call.label}" if isinstance(self.call, Job) else f"the chat with {self.call.label}"
        done = "; it was cancelled on Runpod" if isinstance(self.call, Job) else ""
        return AttemptTimedOut(f"{what} had no result after {self.timeout:g} s{done}; raise timeout: to wait longer")

    def _wait_before_next(self, err: StepError) -> float | None:
        """Seconds to the next try, or None if there is none. Full jitter; what the server asks for wins."""
        fault = err.fault
        self.failed[fault] = times = self.failed.get(fault, 0) + 1
        if times >= self._tries(fault):
            return None
        if self.ticket is not None and anyio.current_time() >= self.deadline:
            return None
        if err.retry_after is not None:
            return err.retry_after
        first = 0.5 if self.retry.wait is None else self.retry.wait
        longest = 30.0 if self.retry.max_wait is None else self.retry.max_wait
        return self.tools.random.uniform(0.0, min(longest, first * (self.retry.factor or 2.0) ** (times - 1)))

    def _tries(self, fault: str) -> int:
        if self.ticket is not None and fault in _TRIES_WITH_TICKET:
            return _TRIES_WITH_TICKET[fault]
        usual = _TRIES.get(fault, 1)
        if isinstance(self.call, Chat):
            usual = _TRIES_OF_CHAT.get(fault, usual)
        if self.retry.on is not None:
            usual = max(usual, 2) if fault in self.retry.on else 1
        if self.retry.attempts is not None and usual > 1:
            return self.retry.attempts
        return usual
