"""Where a run asks a person: what is open, who is there to answer, and how long an answer from elsewhere can count.

A question has two doors. The person at the terminal, if there is one, answers here. Everybody else writes the answer
into the store (``runner pick``), where it is looked for as long as the run goes on with anything at all. A run that
has nothing else to do and nobody to ask leaves its questions open and ends.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Protocol

import anyio

from .errors import StepError
from .events import CellAsked

LOOK_EVERY = 0.25
"""Seconds between two looks for an answer from elsewhere, while few questions are open."""

FEW = 20
"""Questions that are open at once before each is looked for less often."""

SETTLED = 0.02
"""Seconds in which what has just ended may start something else."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What a person said: the ``number`` of a candidate, or that there are to be more of them; or yes or no."""

    number: int | None = None
    more: bool = False
    yes: bool | None = None
    where: str = ""
    """From where it came."""


class Person(Protocol):
    """Who may be there to answer."""

    async def told(self, asked: CellAsked) -> None:
        """A question is open: lay out what it is about, so that it can be looked at from anywhere."""

    async def answer(self, asked: CellAsked, more: Callable[[], str]) -> Answer | None:
        """What the person at the terminal says; None if nobody is there, or if the question is to stay open.

        ``more`` says why there cannot be more candidates; nothing if there can.
        """


@dataclass(slots=True, eq=False)
class Desk:
    """The open questions of one run, those of the pipelines that it runs included."""

    person: Person | None = None
    first: bool = False
    """Nobody is asked which: the first candidate is taken, and no other is made."""
    yes: bool | None = None
    """What is said to every question of yes or no."""
    recorded: frozenset[str] = frozenset()
    """The questions, by key, whose answers come from a recording: these win over what is said to all."""
    open: set[str] = field(default_factory=set)
    """The cells whose questions are open, by their whole ids."""
    _busy: int = 0
    _quiet: anyio.Event = field(default_factory=anyio.Event)

    @contextmanager
    def working(self) -> Iterator[None]:
        """While it lasts the run has something else to do than to wait for a person."""
        self._busy += 1
        try:
            yield
        finally:
            self._busy -= 1
            if not self._busy:
                self._quiet.set()
                self._quiet = anyio.Event()

    @contextmanager
    def resting(self) -> Iterator[None]:
        """While it lasts, what is `working` waits for work that says so itself, and may itself wait for a person."""
        self._busy -= 1
        try:
            yield
        finally:
            self._busy += 1

    async def ask(
        self, asked: CellAsked, elsewhere: Callable[[], Awaitable[Answer | None]], more: Callable[[], str]
    ) -> Answer | None:
        """The answer to a question, from whichever door it comes; None if it stays open.

        An interrupt leaves it open, too.
        """
        self.open.add(asked.cell)
        if self.person is not None:
            await self.person.told(asked)
        found: list[Answer] = []
        failed: list[StepError] = []
        alone = anyio.Event()
        async with anyio.create_task_group() as doors:

            async def here() -> None:
                answer = await self.person.answer(asked, more) if self.person is not None else None
                if answer is None:
                    alone.set()
                    return
                found.append(answer)
                doors.cancel_scope.cancel()

            async def there() -> None:
                try:
                    if (answer := await self._from(elsewhere, alone)) is not None:
                        found.append(answer)
                except StepError as err:
                    failed.append(err)
                doors.cancel_scope.cancel()

            doors.start_soon(here)
            doors.start_soon(there)
        if failed:
            raise failed[0]
        if not found:
            return None
        self.open.discard(asked.cell)
        return found[0]

    async def _from(self, elsewhere: Callable[[], Awaitable[Answer | None]], alone: anyio.Event) -> Answer | None:
        """Look for an answer from elsewhere; None when nobody is here to answer and nothing else goes on."""
        while (answer := await elsewhere()) is None:
            if alone.is_set() and not self._busy:
                await anyio.sleep(SETTLED)
                if not self._busy:
                    return await elsewhere()
            with anyio.move_on_after(LOOK_EVERY * max(1.0, len(self.open) / FEW)):
                await (self._quiet if alone.is_set() else alone).wait()
        return answer
