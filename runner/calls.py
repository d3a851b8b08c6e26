"""The calls of one cell, one after the other: each by its key from the store, or from the world and into the store."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from functools import partial
from typing import Protocol

import anyio

from .admission import Place
from .attempts import RESCUE_WITHIN, Attempts, Flight, Tools, made
from .errors import BadOutput, NotLocked, StepError
from .events import CallDone
from .lockfile import Locked
from .model import JSON, Call, Cell, Finished, Job, Output, Reply, key_of
from .plan import PlannedStep


class Store(Protocol):
    """Replies by key. A reply that is given back is whole: its files are there and are what they were."""

    async def get(self, key: str) -> Reply | None: ...
    def claimed(self, key: str, waits: Callable[[], None]) -> AbstractAsyncContextManager[bool]: ...
    async def keep(self, key: str, call: Call, reply: Reply) -> None: ...
    def finished(self, key: str) -> Finished | None: ...
    def keep_finished(self, key: str, finished: Finished) -> None: ...


@dataclass(slots=True, eq=False)
class Calls:
    """The calls of one cell."""

    tools: Tools
    store: Store
    step: PlannedStep
    cell: Cell
    params: Mapping[str, JSON]
    place: Place
    replies: tuple[Reply, ...] = ()
    last: tuple[Reply, Call | Output] | None = None
    """What the newest reply was read as: the try that got it has read it already."""

    async def output(self) -> tuple[Output, bool]:
        """The output of the cell, and whether every call of it came from the store."""
        cached = True
        found = self.step.kind.advance(self.params, ())
        while not isinstance(found, Output):
            reply, stored = await self._reply(found)
            found = self._read(reply)
            self.replies = (*self.replies, reply)
            cached = cached and stored
        return found, cached and bool(self.replies)

    def _read(self, reply: Reply) -> Call | Output:
        if self.last is None or self.last[0] is not reply:
            self.last = reply, self.step.kind.advance(self.params, (*self.replies, reply))
        return self.last[1]

    async def _reply(self, call: Call) -> tuple[Reply, bool]:
        """The reply to a call, and whether the store had it. The same call at once is made once."""
        key = key_of(call, self.tools.provider.origin)
        if self.tools.locked is not None:
            return await self._locked(key, self.tools.locked), True
        if not self.step.cache:
            return await self._asked(key, call), False
        flights = self.tools.flights
        while (flight := flights.get(key)) is not None:
            self.place.give_back()
            await flight.landed.wait()
            await self.place.take()
            if flight.failed is not None:
                raise flight.failed
        if (stored := await self.store.get(key)) and self._holds(stored):
            self.tools.emit(CallDone(self.tools.clock(), self.cell.id, key, cached=True))
            return stored, True
        if key in flights:  # somebody was faster while the store was asked
            return await self._reply(call)
        flight = flights[key] = Flight(anyio.Event())
        try:
            async with self.store.claimed(key, self.place.give_back) as waited:
                if waited and (stored := await self.store.get(key)) and self._holds(stored):
                    self.tools.emit(CallDone(self.tools.clock(), self.cell.id, key, cached=True))
                    return stored, True
                return await self._asked(key, call), False
        except StepError as err:
            flight.failed = err
            raise
        finally:
            del flights[key]
            flight.landed.set()

    async def _asked(self, key: str, call: Call) -> Reply:
        """The reply from the world, kept. What an earlier run paid for and could not fetch is fetched."""
        attempts = Attempts(
            self.tools,
            self.cell.id,
            key,
            call,
            self.step.retry,
            self.step.timeout,
            self.place,
            self._read,
            keep=partial(self.store.keep_finished, key),
            finished=self.store.finished(key) if isinstance(call, Job) else None,
        )
        try:
            reply = await attempts.reply()
        except anyio.get_cancelled_exc_class():
            with anyio.move_on_after(RESCUE_WITHIN, shield=True):
                await self._rescued(key, call, attempts)
            raise
        with anyio.CancelScope(shield=True):  # it is paid for
            await self.store.keep(key, call, reply)
        self._kept(key, call, reply)
        return reply

    async def _locked(self, key: str, locked: Locked) -> Reply:
        """The reply that is locked, from the store. `NotLocked` where it is another or none: nothing is sent."""
        cell = f"{self.place.wants.step}{self.cell.id.removeprefix(self.cell.step)}"
        model = self.step.model.id if self.step.model else None
        if why := locked.refusal(cell, key, model, self.params.get("seed")):
            raise NotLocked(why)
        stored = await self.store.get(key)
        if stored is None or not self._holds(stored):
            raise NotLocked("what it yields is not in the store, and nothing may be sent")
        self.tools.emit(CallDone(self.tools.clock(), self.cell.id, key, cached=True))
        return stored

    def _kept(self, key: str, call: Call, reply: Reply) -> None:
        """A reply of the world is in the store: that is when what it holds counts."""
        took = {unit: amount if amount is not None else call.most.get(unit) for unit, amount in made(reply).items()}
        images, seconds = took["images"] or 0.0, took["seconds"] or 0.0
        self.tools.emit(CallDone(self.tools.clock(), self.cell.id, key, cached=False, images=images, seconds=seconds))

    async def _rescued(self, key: str, call: Call, attempts: Attempts) -> None:
        """What was paid for is kept, though the run is being stopped."""
        try:
            reply = await attempts.rescue()
            if reply is not None:
                await self.store.keep(key, call, reply)
                self._kept(key, call, reply)
        except StepError:
            return  # the job is remembered: the next run fetches its files

    def _holds(self, reply: Reply) -> bool:
        """Whether the step can still read a stored reply; one that an older version kept may have to be made anew."""
        try:
            self._read(reply)
        except BadOutput:
            return False
        return True
