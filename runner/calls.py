"""The calls of one cell, one after the other: each by its key from the store, or from the world and into the store.

What an endpoint may refuse to understand (`Chat.may_refuse`) is asked first, and what follows from its refusal is a
call like any other. Refusals are not stored: the endpoint may learn. A cell that went on after one in an earlier run
is still found, because the kind says what it would ask then, and that is in the store. Within a run an endpoint that
refused something and then answered without it is not asked for it again.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager, aclosing, asynccontextmanager
from dataclasses import dataclass, replace
from functools import partial
from typing import Protocol

import anyio

from .admission import Place
from .attempts import LOOK, RESCUE_WITHIN, Attempts, Flight, Tools, made
from .errors import BadOutput, FateUnknown, NotAdmitted, NotLocked, StepError
from .events import AttemptFailed, CallDone
from .lockfile import Locked
from .model import JSON, Call, Cell, Chat, Errand, Finished, Job, Next, Output, Question, Reply, Ticket, key_of
from .planning import PlannedStep


class Store(Protocol):
    """Replies by key. A reply that is given back is whole: its files are there and are what they were."""

    async def get(self, key: str, since: float = 0.0) -> Reply | None: ...
    def replaced(self, key: str) -> AsyncGenerator[Reply, None]: ...
    def claimed(self, key: str, waits: Callable[[], None]) -> AbstractAsyncContextManager[bool]: ...
    async def keep(self, key: str, call: Call | Question, reply: Reply) -> None: ...
    def finished(self, key: str, since: float = 0.0) -> Finished | None: ...
    def keep_finished(self, key: str, finished: Finished) -> None: ...
    def forget(self, key: str) -> None: ...
    def ticket(self, key: str, since: float = 0.0) -> Ticket | None: ...
    def keep_ticket(self, key: str, ticket: Ticket) -> None: ...
    def doubted(self, key: str) -> tuple[str, float] | None: ...
    def keep_doubt(self, key: str, endpoint: str) -> None: ...
    def torn(self, key: str) -> bool: ...
    def unreadable(self, key: str) -> bool: ...
    def note(self, key: str, call: Call, reply: Reply) -> None: ...


class Empty:
    """A store that has nothing and is never written, for who only looks, and to build others on."""

    async def get(self, key: str, since: float = 0.0) -> Reply | None:
        del key, since
        return None

    async def replaced(self, key: str) -> AsyncGenerator[Reply, None]:
        del key
        nothing: tuple[Reply, ...] = ()
        for reply in nothing:
            yield reply

    @asynccontextmanager
    async def claimed(self, key: str, waits: Callable[[], None]) -> AsyncGenerator[bool, None]:
        del key, waits  # nobody else is there
        yield False

    async def keep(self, key: str, call: Call | Question, reply: Reply) -> None:
        raise AssertionError(key, call, reply)

    def finished(self, key: str, since: float = 0.0) -> Finished | None:
        del key, since
        return None

    def keep_finished(self, key: str, finished: Finished) -> None:
        raise AssertionError(key, finished)

    def forget(self, key: str) -> None:
        raise AssertionError(key)

    def ticket(self, key: str, since: float = 0.0) -> Ticket | None:
        del key, since
        return None

    def keep_ticket(self, key: str, ticket: Ticket) -> None:
        raise AssertionError(key, ticket)

    def doubted(self, key: str) -> tuple[str, float] | None:
        del key
        return None

    def keep_doubt(self, key: str, endpoint: str) -> None:
        raise AssertionError(key, endpoint)

    def torn(self, key: str) -> bool:
        del key
        return False

    def unreadable(self, key: str) -> bool:
        del key
        return False

    def note(self, key: str, call: Call, reply: Reply) -> None:
        del key, call, reply


@dataclass(slots=True, eq=False)
class Calls:
    """The calls of one cell."""

    tools: Tools
    store: Store
    step: PlannedStep
    cell: Cell
    params: Mapping[str, JSON]
    place: Place
    run: Callable[[Errand], Awaitable[Reply]]
    """Runs another pipeline, which the kind needs before it can go on."""
    sample: int = 0
    """Which candidate they make, where nothing that is sent tells it from the others."""
    replies: tuple[Reply, ...] = ()
    unread: bool = False
    """Whether the store had a reply that the step reads no longer."""
    last: tuple[Reply, Next] | None = None
    """What the newest reply was read as: the try that got it has read it already."""

    @property
    def name(self) -> str:
        """The cell's id in the whole run: ``each[1]/photo[red]``."""
        return self.cell.within(self.place.wants.step)

    async def output(self) -> tuple[Output, bool]:
        """The output of the cell, and whether every call of it came from the store."""
        cached = True
        refused: tuple[tuple[str, str, str], str] | None = None
        found = self.next(())
        while not isinstance(found, Output):
            reply, stored = await (self._errand(found) if isinstance(found, Errand) else self._reply(found))
            if reply.refused and not stored:
                assert isinstance(found, Chat)
                refused = _of(found), reply.refused
            elif refused is not None:
                self.tools.refusals[refused[0]] = refused[1]  # without it the endpoint answers: that was the reason
                refused = None
            found = self._read(reply)
            self.replies = (*self.replies, reply)
            cached = cached and stored
        return found, cached and bool(self.replies)

    async def _errand(self, errand: Errand) -> tuple[Reply, bool]:
        """What another pipeline made, and whether that cost nothing. Its calls need places: this one is given up."""
        self.place.give_back()
        with self.tools.desk.resting():
            reply = await self.run(errand)
        await self.place.take()
        return reply, not reply.cost

    def next(self, replies: tuple[Reply, ...]) -> Next:
        """What the kind asks for after these replies, or what it makes of them."""
        found = self.step.kind.advance(self.params, replies)
        return replace(found, sample=self.sample) if self.sample and isinstance(found, Call) else found

    def _read(self, reply: Reply) -> Next:
        if self.last is None or self.last[0] is not reply:
            self.last = reply, self.next((*self.replies, reply))
        return self.last[1]

    async def _reply(self, call: Call) -> tuple[Reply, bool]:
        """The reply to a call, and whether the store had it. The same call at once is made once."""
        key = key_of(call, self.tools.provider.origin)
        if isinstance(call, Chat) and call.may_refuse and (words := await self._refusal(key, call)):
            return Reply(None, cost=0.0, refused=words), True
        if self.tools.locked is not None:
            return await self._locked(key, call, self.tools.locked), True
        if not self.step.cache:
            made = key in self.tools.past.made.get(self.name, ())  # by this run, before it was taken up again
            alone = not getattr(self.tools.provider, "sends", True)  # what is kept is all there is
            if (made or alone) and (stored := await self._stored(key, call)):
                self.tools.emit(CallDone(self.tools.clock(), self.cell.id, key, cached=True))
                return stored, True
            return await self._asked(key, call), False
        flights = self.tools.flights
        while (flight := flights.get(key)) is not None:
            self.place.give_back()
            await flight.landed.wait()
            await self.place.take()
            if flight.failed is not None:
                raise flight.failed
            if flight.refused is not None:
                return flight.refused, False
        if stored := await self._stored(key, call):
            self.tools.emit(CallDone(self.tools.clock(), self.cell.id, key, cached=True))
            return stored, True
        if key in flights:  # somebody was faster while the store was asked
            return await self._reply(call)
        flight = flights[key] = Flight(anyio.Event())
        try:
            async with self.store.claimed(key, self.place.give_back) as waited:
                if waited and (stored := await self._stored(key, call)):
                    self.tools.emit(CallDone(self.tools.clock(), self.cell.id, key, cached=True))
                    return stored, True
                if waited and "unknown" not in (self.step.retry.on or ()):
                    self._shared_fate(key)
                reply = await self._asked(key, call)
                flight.refused = reply if reply.refused else None
                return reply, False
        except NotAdmitted:
            raise  # a matter of this step: who waits for the same call tries for itself
        except StepError as err:
            flight.failed = err
            raise
        finally:
            del flights[key]
            flight.landed.set()

    def _shared_fate(self, key: str) -> None:
        """`FateUnknown` where another run, which this one has waited for, does not know what became of the same job."""
        if (doubt := self.store.doubted(key)) is not None:
            raise FateUnknown(
                f"another run, which this one has waited for, handed this job to {doubt[0]} and got no answer, so it "
                f"may have been accepted and may cost money; {LOOK}"
            )

    async def _refusal(self, key: str, call: Chat) -> str:
        """Why a call need not be sent: it would be refused, or an earlier run has an answer from after a refusal."""
        if known := self.tools.refusals.get(_of(call)):
            return known
        stored = self.step.cache or self.tools.locked is not None
        if not stored or await self.store.get(key, self._since()) is not None:
            return ""
        refused = f"an earlier run was answered without {call.may_refuse}"
        after = self.next((*self.replies, Reply(None, refused=refused)))
        if not isinstance(after, Chat):
            return ""
        there = await self.store.get(key_of(after, self.tools.provider.origin), self._since()) is not None
        return refused if there else ""

    async def _asked(self, key: str, call: Call) -> Reply:
        """The reply from the world, kept. What an earlier run paid for and could not fetch is fetched."""
        finished = self.store.finished(key, self._since()) if isinstance(call, Job) else None
        if self.step.cache and not self.unread and self.store.torn(key):
            if not getattr(self.tools.provider, "sends", True):
                raise Damaged(
                    "what the store has for it is damaged, or a file of it is gone, and nothing may be sent; "
                    "runner cache verify --repair saves what can be read"
                )
            if isinstance(call, Job) and finished is None and self.store.unreadable(key):
                raise Unreadable(
                    "what the store has for it is damaged, so it was not sent: it would be paid again. runner cache "
                    "verify --repair finds it in the journals of runs, or takes it out so that the next run asks anew"
                )
            cure = "its files are fetched again" if finished is not None else "it is asked for again"
            told = f"what the store has for it is damaged, or a file of it is gone; {cure}"
            self.tools.emit(AttemptFailed(self.tools.clock(), self.cell.id, 0, "store", told, 0.0, key))
        doubt = self.store.doubted(key) if isinstance(call, Job) and self.step.cache else None
        if doubt is not None and key not in self.tools.past.unknown:
            told = (
                f"an earlier run handed this job to {doubt[0]} and got no answer, so it may have been accepted and "
                "paid for; it is sent again"
            )
            self.tools.emit(AttemptFailed(self.tools.clock(), self.cell.id, 0, FateUnknown.fault, told, 0.0, key))
        attempts = Attempts(
            self.tools,
            self.cell.id,
            key,
            call,
            self.step.retry,
            self.step.timeout,
            self.place,
            self._judge,
            keep=partial(self.store.keep_finished, key),
            forget=partial(self.store.forget, key),
            hold=partial(self.store.keep_ticket, key) if self.step.cache else _nothing,
            doubt=partial(self.store.keep_doubt, key) if self.step.cache else _nothing,
            finished=finished,
            open=self.store.ticket(key, self._since()) if isinstance(call, Job) and self.step.cache else None,
        )
        try:
            reply = await attempts.reply()
        except anyio.get_cancelled_exc_class():
            with anyio.move_on_after(RESCUE_WITHIN, shield=True):
                await self._rescued(key, call, attempts)
            raise
        if reply.refused:
            return reply
        with anyio.CancelScope(shield=True):  # it is paid for
            await self.store.keep(key, call, reply)
        self._kept(key, call, reply)
        return reply

    async def _stored(self, key: str, call: Call) -> Reply | None:
        """The reply that the store has, if it is not too old for this cell and the step can still read it."""
        stored = await self.store.get(key, self._since())
        self.unread = stored is not None
        if stored is None or not self._holds(stored):
            return None
        if stored.bare:
            self.store.note(key, call, stored)
        return stored

    def _since(self) -> float:
        return self.tools.fresh.since(self.cell, self.step.cache_for, self.tools.clock())

    async def _locked(self, key: str, call: Call, locked: Locked) -> Reply:
        """The reply that is locked, from the store. `NotLocked` where it is another or none: nothing is sent."""
        model = self.step.model.id if self.step.model else None
        if why := locked.refusal(self.name, key, model, self.params.get("seed")):
            raise NotLocked(why)
        stored = newest = await self.store.get(key)
        if stored is None or not self._leads(stored, locked):
            async with aclosing(self.store.replaced(key)) as earlier:
                stored = await anext((each async for each in earlier if self._leads(each, locked)), newest)
        if stored is None or not self._holds(stored):
            raise NotLocked("what it yields is not in the store, and nothing may be sent")
        if stored.bare and stored is newest:
            self.store.note(key, call, stored)
        self.tools.emit(CallDone(self.tools.clock(), self.cell.id, key, cached=True))
        return stored

    def _leads(self, reply: Reply, locked: Locked) -> bool:
        """Whether a reply is the one that a lock was written of, as far as that can be told from what follows."""
        try:
            found = self._read(reply)
        except StepError:
            return False
        return locked.leads(self.name, found, lambda call: key_of(call, self.tools.provider.origin))

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

    def _judge(self, reply: Reply) -> None:
        """`BadOutput` for a reply that is not what the step asked for. Whatever else keeps the step from going on (a
        template of its own that fails, too few turns) is no fault of the reply, which is paid for and kept.
        """
        try:
            self._read(reply)
        except BadOutput:
            raise
        except StepError:
            return  # raised again when the reply is read for good

    def _holds(self, reply: Reply) -> bool:
        """Whether the step can still read a stored reply; one that an older version kept may have to be made anew."""
        try:
            self._judge(reply)
        except BadOutput:
            return False
        return True


def _of(call: Chat) -> tuple[str, str, str]:
    """Who may refuse what."""
    return call.base_url or call.endpoint, str(call.body.get("model")), call.may_refuse


def _nothing(_: object) -> None:
    """A step that asks each time leaves no job for others."""


class Unreadable(StepError):
    """The store had the answer to something dear, and what it was may still be found."""

    fault = "store"


class Damaged(StepError):
    """The store had the answer and it is damaged, where nobody else may be asked."""

    fault = "offline"
