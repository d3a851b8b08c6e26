"""The calls of one cell, one after the other: each by its key from the store, or from the world and into the store."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Protocol

import anyio

from .admission import Place
from .attempts import Attempts, Tools
from .errors import BadOutput
from .events import CallDone
from .model import JSON, Call, Cell, Output, Reply, key_of
from .plan import PlannedStep

Read = Callable[[Reply], Call | Output]
"""What a reply leads to: the next call, or the output."""


class Store(Protocol):
    """Replies by key. A reply that is given back is whole: its files are there and are what they were."""

    def get(self, key: str) -> Reply | None: ...
    async def keep(self, key: str, call: Call, reply: Reply) -> None: ...


async def output_of(
    tools: Tools, store: Store, step: PlannedStep, cell: Cell, params: Mapping[str, JSON], place: Place
) -> tuple[Output, bool]:
    """The output of a cell, and whether every call of it came from the store."""
    replies: list[Reply] = []
    cached = True

    def read(reply: Reply) -> Call | Output:
        return step.kind.advance(params, (*replies, reply))

    found = step.kind.advance(params, ())
    while not isinstance(found, Output):
        reply, stored = await _reply(tools, store, step, cell, found, read, place)
        found = read(reply)
        replies.append(reply)
        cached = cached and stored
    return found, cached and bool(replies)


async def _reply(
    tools: Tools, store: Store, step: PlannedStep, cell: Cell, call: Call, read: Read, place: Place
) -> tuple[Reply, bool]:
    """The reply to a call, and whether the store had it."""
    key = key_of(call, tools.provider.origin)
    if step.cache and (stored := store.get(key)) and _holds(read, stored):
        tools.emit(CallDone(tools.clock(), cell.id, key, cached=True))
        return stored, True
    reply = await Attempts(tools, cell.id, key, call, step.retry, step.timeout, place, read).reply()
    with anyio.CancelScope(shield=True):  # it is paid for
        await store.keep(key, call, reply)
    tools.emit(CallDone(tools.clock(), cell.id, key, cached=False))
    return reply, False


def _holds(read: Read, reply: Reply) -> bool:
    """Whether the step can still read a stored reply; one that an older version kept may have to be made anew."""
    try:
        read(reply)
    except BadOutput:
        return False
    return True
