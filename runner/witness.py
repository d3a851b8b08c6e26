"""What the journals of runs still know of what the store has lost: replies, choices of people, jobs in flight.

A journal tells what each cell yielded, and by which calls. Where it was one call, that tells its reply, as far as a
step reads it. What several calls of a cell said on the way to its output is in no journal.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from . import history, journal
from .errors import BadOutput, StoreFailed
from .events import (
    CallDone,
    CallPaid,
    CellAnswered,
    CellAsked,
    CellDone,
    Event,
    JobSubmitted,
    RunResumed,
    RunStarted,
    RunState,
)
from .kinds.answers import COUNTS, answer
from .model import JSON, Artifact, Reply, Ticket, digests_of
from .store import Row, row_of

_KEPT = ("terminal", "pick", "approve", "store")
"""From where answers come that are kept in the store."""


@dataclass(slots=True)
class Witness:
    """What the journals of a project tell."""

    rows: list[Row] = field(default_factory=list)
    calls: dict[str, str] = field(default_factory=dict)
    """Keys of replies that runs had, each with the cell and the run."""


def heard(home: Path) -> Witness:
    """What all journals tell, the newest first. A replay paid nothing, and says nothing here."""
    found = Witness()
    for run in history.runs(home):
        if run.state.options.get("replay"):
            continue
        one = _Run()
        try:
            for event in journal.read(run.folder):
                found.rows += one.rows(event)
        except StoreFailed:
            pass  # what can be read is told
        found.rows += one.jobs(run.state)
        for key, cell in one.cells.items():
            found.calls.setdefault(key, f"{cell} in {run.id}")
    return found


@dataclass(slots=True)
class _Run:
    """A run as far as it has been read."""

    cells: dict[str, str] = field(default_factory=dict)
    """The cell of each call whose reply was kept."""
    times: dict[str, float] = field(default_factory=dict)
    sent: dict[str, float] = field(default_factory=dict)
    costs: dict[str, float | None] = field(default_factory=dict)
    calls: dict[tuple[str, int], list[str]] = field(default_factory=dict)
    """By cell and number of the candidate."""
    chosen: dict[str, CellAnswered] = field(default_factory=dict)

    def rows(self, event: Event) -> Iterator[Row]:
        """What one event more makes known."""
        match event:
            case RunStarted() | RunResumed():
                self.calls.clear()
                self.chosen.clear()
            case JobSubmitted():
                self.sent[event.key] = event.at
            case CallPaid():
                self.costs[event.key] = event.cost
            case CallDone():
                self.cells.setdefault(event.key, event.cell)
                self.times.setdefault(event.key, event.at)
                keys = self.calls.setdefault((event.cell, event.candidate), [])
                keys += [event.key] if event.key not in keys else []
            case CellAsked(asks="pick"):
                for number, values in event.shown.items():
                    keys = self.calls.get((event.cell, int(number)), [])
                    yield from self._reply(keys, values, self.costs.get(keys[0]) if keys else None)
            case CellAnswered():
                self.chosen[event.cell] = event
                if not event.of and event.where in _KEPT:
                    yield row_of(event.key, Reply({"answer": event.answer}), event.at)
            case CellDone():
                yield from self._done(event)

    def jobs(self, state: RunState) -> Iterator[Row]:
        """Jobs that may still be collected."""
        for key, job in state.tickets if state.outcome != "done" else ():
            yield row_of(key, Ticket(job.endpoint, job.job), self.sent.get(key, state.started))

    def _done(self, event: CellDone) -> Iterator[Row]:
        answered = self.chosen.get(event.cell)
        if answered is None:
            yield from self._reply(self.calls.get((event.cell, 0), []), event.output, event.cost)
        elif answered.of:
            yield from self._reply(answered.keys, event.output, event.cost)
            if answered.where in _KEPT:
                choice = {"of": answered.of, "number": answered.answer,
                          "digests": {str(answered.answer): list(digests_of(event.output))}}  # fmt: skip
                yield row_of(answered.key, Reply(choice), answered.at)

    def _reply(self, keys: Iterable[str], values: Mapping[str, JSON], cost: float | None) -> Iterator[Row]:
        """The row of a cell's only call, if its output tells what the reply was."""
        only = list(keys)
        if len(only) == 1 and (reply := reply_of(values, cost)) is not None:
            yield row_of(only[0], reply, self.times[only[0]])


_MADE = ({"image", "seed"}, {"video", "seed"}, {"audio"})
_HEARD = {"text", "segments", "language"}
_ANSWERED = {"data", "files"}
_SAID = {"text", "reasoning", "finish_reason", "usage"}
_SAID_TOO = {"data", "repairs", "tool_calls", "tool_results"}


def reply_of(values: Mapping[str, JSON], cost: float | None) -> Reply | None:
    """The reply of which a step has made these values, by itself; None where they do not tell."""
    names = set(values)
    if names in _MADE:
        files = [value for value in values.values() if isinstance(value, Artifact)]
        return Reply({}, tuple(files), cost) if len(files) == 1 else None
    if names == _HEARD:
        return Reply(dict(values), cost=cost)
    if names == _ANSWERED:
        return Reply(values["data"], tuple(values["files"]), cost)
    if _SAID <= names <= _SAID | _SAID_TOO and not values.get("tool_calls"):
        return _chat(values, cost)
    return None


def _chat(values: Mapping[str, JSON], cost: float | None) -> Reply | None:
    """The completion in which a model said this; None if it would be read as something else."""
    thought = {"reasoning": values["reasoning"]} if values["reasoning"] else {}
    choice = {"message": {"content": values["text"], **thought}, "finish_reason": values["finish_reason"]}
    reply = Reply({"choices": [choice], "usage": values["usage"]}, cost=cost)
    try:
        said = answer(reply)
    except BadOutput:
        return None
    told = {"text": said.text, "reasoning": said.reasoning, "finish_reason": said.finish_reason,
            "usage": {name: said.usage[name] for name in COUNTS}}  # fmt: skip
    return reply if told == {name: values[name] for name in _SAID} else None
