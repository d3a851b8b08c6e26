"""A provider: answers each chat with the words that it was asked, and makes no pictures. It is free."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Any, NoReturn, Self

from runner.errors import Rejected
from runner.model import Artifact, Call, Chat, Finished, Job, Reply, Ticket


class Echo:
    """All of its errors are of `runner.errors.CallFailed`: the cell that asked fails with what they say, or asks again.
    One that is `Rejected` would be refused again, so nobody tries.
    """

    origin = "echo"
    """Part of every key: what an echo said is not what Runpod would have said."""

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        return None

    def pause(self, call: Call) -> float:
        """Seconds to wait before this call may go out."""
        del call
        return 0.0

    async def chat(
        self, chat: Chat, grew: Callable[[str], None] | None = None, sending: Callable[[], None] | None = None
    ) -> Reply:
        """The last message, given back."""
        if sending is not None:
            sending()
        said = str(chat.body["messages"][-1]["content"])
        if grew is not None:
            grew(said)
        answer = {"choices": [{"message": {"role": "assistant", "content": said}, "finish_reason": "stop"}]}
        return Reply({**answer, "usage": {"total_tokens": len(said.split())}}, cost=0.0)

    async def submit(self, job: Job, within: float, sending: Callable[[], None]) -> Ticket:
        del within, sending
        _cannot(f"an echo has no {job.endpoint}")

    async def wait(self, ticket: Ticket, moved: Callable[[str], None]) -> Finished:
        del moved
        _cannot(f"an echo never had the job {ticket.job}")

    async def collect(self, job: Job, finished: Finished) -> Reply:
        del finished
        _cannot(f"an echo made nothing for {job.endpoint}")

    async def cancel(self, ticket: Ticket) -> Finished | None:
        del ticket
        return None

    async def artifact(self, url: str) -> Artifact:
        _cannot(f"an echo fetches nothing, so not {url}")


def _cannot(why: str) -> NoReturn:
    raise Rejected(why)


def open_provider(files: object, env: Mapping[str, str]) -> Any:
    """``files`` keeps what a provider fetches (``await files.add(chunks)``); ``env`` is where its key may be."""
    del files, env
    return Echo()
