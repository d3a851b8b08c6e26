"""The provider of a run that may not use the network: nobody answers; each call that would go out says what it is."""

from __future__ import annotations

from collections.abc import Callable
from types import TracebackType
from typing import NoReturn, Self

from ..errors import CallFailed
from ..model import Artifact, Call, Chat, Finished, Job, Reply, Ticket, prompt_of

_SHOWN = 60


class NotStored(CallFailed):
    """The store has no answer, and the run is to send nothing."""

    fault = "offline"


class Offline:
    """Answers nothing. ``origin`` is that of the provider whose replies the store is asked for."""

    sends = False

    def __init__(self, origin: str) -> None:
        self.origin = origin

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        return None

    def pause(self, call: Call) -> float:
        """Asked before a call counts as sent and its money is held: the place to refuse it."""
        prompt = prompt_of(call.request)
        shown = f" “{prompt if len(prompt) <= _SHOWN else prompt[:_SHOWN] + '…'}”" if prompt else ""
        msg = f"the store holds nothing that answers this call of {call.label or call.request['endpoint']}{shown}"
        _refuse(msg)

    async def submit(self, job: Job, within: float, sending: Callable[[], None]) -> Ticket:
        del within, sending
        _refuse(f"the job for {job.endpoint} is not handed in")

    async def wait(self, ticket: Ticket, moved: Callable[[str], None]) -> Finished:
        del moved
        _refuse(f"the job {ticket.job} on {ticket.endpoint} was in flight, and its output is not in the store")

    async def collect(self, job: Job, finished: Finished) -> Reply:
        del finished
        _refuse(f"a job of {job.endpoint} was paid for, and its file is not in the store")

    async def chat(self, chat: Chat, grew: Callable[[str], None] | None, sending: Callable[[], None]) -> Reply:
        del grew, sending
        _refuse(f"the chat with {chat.label} is not sent")

    async def cancel(self, ticket: Ticket) -> Finished | None:
        _refuse(f"the job {ticket.job} on {ticket.endpoint} is left as it is")

    async def artifact(self, url: str) -> Artifact:
        _refuse(f"the file {url} is not fetched; give it as a file")


def _refuse(what: str) -> NoReturn:
    msg = f"{what}, and --offline sends nothing. Run it without --offline"
    raise NotStored(msg)
