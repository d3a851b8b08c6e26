"""The calls of one cell, one after the other: each by its key from the store, or from the world and into the store."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

import anyio

from .admission import Place
from .attempts import RESCUE_WITHIN, Attempts, Tools
from .errors import BadOutput, StepError
from .events import CallDone
from .model import JSON, Call, Cell, Finished, Output, Reply, key_of
from .plan import PlannedStep


class Store(Protocol):
    """Replies by key. A reply that is given back is whole: its files are there and are what they were."""

    async def get(self, key: str) -> Reply | None: ...
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
        return self.step.kind.advance(self.params, (*self.replies, reply))

    async def _reply(self, call: Call) -> tuple[Reply, bool]:
        """The reply to a call, and whether the store had it. The same call at once is made once."""
        key = key_of(call, self.tools.provider.origin)
        if not self.step.cache:
            return await self._asked(key, call, None), False
        flights = self.tools.flights
        while (flight := flights.get(key)) is not None:
            self.place.give_back()
            await flight.wait()
            await self.place.take()
        if (stored := await self.store.get(key)) and self._holds(stored):
            self.tools.emit(CallDone(self.tools.clock(), self.cell.id, key, cached=True))
            return stored, True
        if (flight := flights.get(key)) is not None:  # somebody was faster while the store was asked
            return await self._reply(call)
        flights[key] = anyio.Event()
        try:
            return await self._asked(key, call, self.store.finished(key)), False
        finally:
            flights.pop(key).set()

    async def _asked(self, key: str, call: Call, finished: Finished | None) -> Reply:
        """The reply from the world, kept."""
        step = self.step
        attempts = Attempts(
            self.tools, self.cell.id, key, call, step.retry, step.timeout, self.place, self._read, finished
        )
        try:
            reply = await attempts.reply()
        except StepError:
            if attempts.finished is not None:
                self.store.keep_finished(key, attempts.finished)
            raise
        except anyio.get_cancelled_exc_class():
            with anyio.move_on_after(RESCUE_WITHIN, shield=True):
                await self._rescued(key, call, attempts)
            raise
        with anyio.CancelScope(shield=True):  # it is paid for
            await self.store.keep(key, call, reply)
        self.tools.emit(CallDone(self.tools.clock(), self.cell.id, key, cached=False))
        return reply

    async def _rescued(self, key: str, call: Call, attempts: Attempts) -> None:
        """What was paid for is kept, though the run is being stopped."""
        try:
            reply = await attempts.rescue()
            if reply is not None:
                await self.store.keep(key, call, reply)
                self.tools.emit(CallDone(self.tools.clock(), self.cell.id, key, cached=False))
        except StepError:
            if attempts.finished is not None:
                self.store.keep_finished(key, attempts.finished)

    def _holds(self, reply: Reply) -> bool:
        """Whether the step can still read a stored reply; one that an older version kept may have to be made anew."""
        try:
            self._read(reply)
        except BadOutput:
            return False
        return True
