"""Answers to the open questions of runs, from outside: into the store, and into the journal of a run that has ended.

A run that is still going looks for answers in the store and notes them in its own journal.
"""

from __future__ import annotations

import contextlib
import itertools
import shlex
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TypeAlias

import anyio

from . import history
from .errors import CannotStart, UsageError, nearest
from .events import CellAnswered, CellAsked, CellState
from .history import Run
from .journal import Journal
from .model import JSON, Question, Reply, digests_of, step_of
from .picking import MOST, Choice
from .reports import questions
from .runfolder import laid_out
from .store import Store

Answers: TypeAlias = Sequence[tuple[str, str]]
"""Steps, or cells of them, each with what is said to it."""


@dataclass(frozen=True, slots=True)
class _Since:
    """What was answered to a question after it was asked here, in another run of the same."""

    answer: JSON
    of: int
    digests: Mapping[str, JSON]
    run: Run | None
    """Where it was answered, if that run is still here."""

    @property
    def said(self) -> str:
        """``which was chosen since in 20261122-042412-18e7``."""
        return f"{'said' if self.of == 0 else 'chosen'} since{f' in {self.run.id}' if self.run is not None else ''}"


def listed(name: str | None) -> str:
    """What waits for an answer, in one run or in all."""
    at = history.home()
    found = [history.find(at, name)] if name is not None else history.runs(at)
    lines = []
    for run in found:
        if cells := [cell for cell in run.state.asking if is_open(run, cell)]:
            told = questions.open_ones(run.id, cells, partial(laid_out, run.folder))
            lines += [f"{run.id}  {run.state.title}", *(f"  {line}" for line in told), ""]
    return "\n".join(lines[:-1]) if lines else "Nothing waits for an answer."


def is_open(run: Run, cell: CellState) -> bool:
    """Whether a cell waits for an answer that nobody has given since, in another run of the same."""
    return cell.state == "asking" and anyio.run(_answered_since, run, cell) is None


async def _answered_since(run: Run, cell: CellState) -> _Since | None:
    """What another run has been answered to the question that is open in this one: it goes on with that, too."""
    if cell.asked is None or cell.state != "asking":
        return None
    store = Store(_store(run))
    try:
        reply = await store.get(cell.asked.key, cell.asked.at)
    finally:
        store.close()
    choice = Choice.read(reply)
    answer = choice.number if cell.asked.asks == "pick" else reply.data["answer"] if reply is not None else None
    if answer is None:
        return None
    return _Since(answer, choice.of, choice.digests, _where(cell.asked))


def _where(asked: CellAsked) -> Run | None:
    """The run in which a person has answered a question after it was asked."""
    for run in history.runs(history.home()):
        for cell in run.state.cells.values():
            said = cell.answer
            if said is not None and said.key == asked.key and said.at >= asked.at and said.where in _BY_A_PERSON:
                return run
    return None


_BY_A_PERSON = ("terminal", "pick", "approve")


def shown(name: str | None, step: str) -> str:
    """What one cell asks, and what was answered."""
    run, cell = _one(_cells(name, step, ("pick", "approve")), step)
    told = questions.question(cell.asked, laid_out(run.folder, cell.asked)) if cell.asked is not None else []
    end = questions.answered(cell) or questions.command(run.id, cell)
    if (since := anyio.run(_answered_since, run, cell)) is not None:
        words = f"{since.answer} of {since.of}" if since.of else "yes" if since.answer else "no"
        end = f"{words}, {since.said}; go on with: runner resume {run.id}"
    return "\n".join([*told, f"  {end}"])


def pick(name: str | None, answers: Answers) -> list[str]:
    """Choose a candidate of each step, or ask for more of them: all of it, or nothing where one cannot be."""
    asked = [(*_one(_cells(name, step, ("pick",)), step), said) for step, said in answers]
    _once([cell for _, cell, _ in asked])
    return anyio.run(_picked, asked)


async def _picked(asked: Sequence[tuple[Run, CellState, str]]) -> list[str]:
    choices = [await _choice(run, cell, said) for run, cell, said in asked]
    return _told([(await _chosen(*each, *choice), each[0]) for each, choice in zip(asked, choices, strict=True)])


async def _choice(run: Run, cell: CellState, said: str) -> tuple[_Since | None, int, Choice]:
    """What was chosen since, how many candidates there were, and what is chosen now. `UsageError` if it cannot be."""
    since = await _answered_since(run, cell)
    if since is not None and (anew := _made_anew(cell, since, said)):
        raise UsageError(anew)
    store = Store(_store(run))
    try:
        known = Choice.read(await store.get(_key(cell)))
    finally:
        store.close()
    digests: dict[str, JSON] = dict(known.digests)
    if cell.asked is not None:
        digests |= {number: list(digests_of(values)) for number, values in cell.asked.shown.items()}
    of = max([known.of, *(int(number) for number in digests)])
    if said == "more":
        return since, of, _more(cell, of, digests, since)
    if said not in digests:
        known_here = f"It has {', '.join(sorted(digests, key=int))}" if digests else "Nobody was shown any"
        msg = f"{cell.cell} has no candidate {said}. {known_here}."
        raise UsageError(msg)
    return since, of, Choice(of, int(said), digests)


async def _chosen(run: Run, cell: CellState, said: str, since: _Since | None, of: int, choice: Choice) -> str:
    await _kept(run, cell, choice.reply)
    if choice.number is None:
        return f"{cell.cell}: {choice.of - of} more candidates are to be made."
    await _noted(run, cell, _key(cell), choice.number, choice.of)
    before = cell.answer.answer if cell.answer is not None else since.answer if since is not None else None
    instead = f", instead of {before}" if before not in (None, choice.number) else ""
    instead += f", {since.said}" if since is not None else ""
    file = laid_out(run.folder, cell.asked).get(said) if cell.asked is not None else None
    place = f" ({questions.relative(file)})" if file is not None else ""
    return f"{cell.cell}: {said} of {choice.of}{instead}{place}."


def _made_anew(cell: CellState, since: _Since, said: str) -> str:
    """Why a candidate cannot be chosen any more: what is there now is another one of that number."""
    shown = cell.asked.shown.get(said) if cell.asked is not None else None
    if shown is None or since.digests.get(said) == list(digests_of(shown)):
        return ""
    there = f" {since.run.id}" if since.run is not None else ""
    which = f"{since.answer} of {since.of} is {since.said}"
    cure = f"Choose among those: runner pick{there} {shlex.quote(cell.cell)} N"
    return f"The candidates of {cell.cell} were made anew, and {which}. {cure}"


def _more(cell: CellState, of: int, digests: Mapping[str, JSON], since: _Since | None) -> Choice:
    more = cell.asked.more if cell.asked is not None else 0
    if cell.state != "asking" or since is not None:
        msg = f"{cell.cell} is chosen. Choose another of its candidates, or run the pipeline with --fresh {cell.cell}."
        raise UsageError(msg)
    if not more or of + more > MOST:
        msg = f"{cell.cell} cannot have more than its {of} candidates. Choose one of them, or ask anew with --fresh."
        raise UsageError(msg)
    return Choice(of + more, None, digests)


_SAYS = {"yes": True, "y": True, "no": False, "n": False}


def approve(name: str | None, answers: Answers) -> list[str]:
    """Say yes or no to each step: to all its cells that ask, if none is named."""
    for step, said in answers:
        if said.lower() not in _SAYS:
            msg = f"{said} is neither yes nor no. Write: runner approve {step} yes"
            raise UsageError(msg)
    asked: list[tuple[Run, CellState, bool]] = []
    for step, said in answers:
        cells = _cells(name, step, ("approve",))
        if not is_open(*cells[0]):
            _one(cells, step)  # to change an answer, it must be named
        asked += [(run, cell, _SAYS[said.lower()]) for run, cell in cells]
    _once([cell for _, cell, _ in asked])
    return anyio.run(_approved, asked)


async def _approved(asked: Sequence[tuple[Run, CellState, bool]]) -> list[str]:
    return _told([(await _said(*each), each[0]) for each in asked])


def _told(said: Sequence[tuple[str, Run]]) -> list[str]:
    """What was said to each cell, and once, how its run goes on."""
    runs = {run.id: run for _, run in said}
    if len(said) == 1:
        return [f"{said[0][0]} {_on(said[0][1])}"]
    return [*(sentence for sentence, _ in said), *map(_on, runs.values())]


async def _said(run: Run, cell: CellState, answer: JSON) -> str:
    since = await _answered_since(run, cell)
    await _kept(run, cell, Reply({"answer": answer}))
    await _noted(run, cell, _key(cell), answer, 0)
    instead = f", instead of {'yes' if since.answer else 'no'}" if since is not None and since.answer != answer else ""
    instead += f", {since.said}" if since is not None else ""
    return f"{cell.cell}: {'yes' if answer else 'no'}{instead}."


async def _kept(run: Run, cell: CellState, reply: Reply) -> None:
    """Keep an answer under the key of its question. What the question is about was kept before, or is told in words."""
    key = _key(cell)
    store = Store(_store(run))
    try:
        known = store.asked(key)
        about = history.request(known[0]).get("input") if known else None
        await store.keep(key, Question("", about or {"prompt": cell.asked.question if cell.asked else ""}), reply)
        await store.synced()
    finally:
        store.close()


async def _noted(run: Run, cell: CellState, key: str, answer: JSON, of: int) -> None:
    """Write the answer into the journal, unless the run is going: then it does so itself."""
    if run.going:
        return
    where = "pick" if of else "approve"
    keys = [] if of else [key]  # which calls made the candidate, the run knows that goes on with it
    with contextlib.suppress(CannotStart), Journal(run.folder) as journal:  # it may go on again by now
        journal(CellAnswered(time.time(), cell.cell, key, answer, of, where, keys))
        await journal.synced()


def _on(run: Run) -> str:
    if run.going:
        return "The run goes on with it."
    if run.state.options.get("only") == "lock":
        return f"This run keeps to its lock; a new one takes it: runner run {questions.relative(Path(run.state.file))}"
    return f"Go on with: runner resume {run.id}"


def _key(cell: CellState) -> str:
    if cell.asked is not None:
        return cell.asked.key
    assert cell.answer is not None
    return cell.answer.key


def _store(run: Run) -> Path:
    """The store that a run has its replies in: a replay has one of its own."""
    return (run.folder if run.state.options.get("replay") else history.home()) / "store"


def _once(cells: Sequence[CellState]) -> None:
    """`UsageError` if one of them is answered twice."""
    if twice := [name for name, times in Counter(cell.cell for cell in cells).items() if times > 1]:
        msg = f"{twice[0]} is answered twice. Answer it once."
        raise UsageError(msg)


def _one(cells: Sequence[tuple[Run, CellState]], step: str) -> tuple[Run, CellState]:
    """The one cell that is meant. `UsageError` if there are several."""
    if len(cells) > 1:
        names = ", ".join(cell.cell for _, cell in cells)
        msg = f"Several cells of {step} ask: {names}. Name one of them."
        raise UsageError(msg)
    return cells[0]


def _cells(name: str | None, step: str, asks: tuple[str, ...]) -> Sequence[tuple[Run, CellState]]:
    """The cells that are meant, in the run that is named, or in the last one in which a question of theirs is open.

    Where none is open those that were answered are found: an answer can be changed. `UsageError` if there is none.
    """
    at = history.home()
    found = [history.find(at, name)] if name is not None else history.runs(at)
    cells = [(run, cell) for run in found for cell in _asked(run, step, asks)]
    cells = [each for each in cells if is_open(*each)] or cells
    cells = [each for each in cells if each[0].id == cells[0][0].id]
    if name is None and cells and (later := _later(found, cells[0][0])):
        word = "pick" if asks == ("pick",) else "approve"
        msg = (
            f"{step} was asked in the run {cells[0][0].id}, and {later} is a later one of {cells[0][0].state.title}, "
            f"which does not ask that yet. Name the run that you mean: runner {word} {cells[0][0].id} {step} …"
        )
        raise UsageError(msg)
    if not cells:
        known = [cell.cell for run in found for cell in _asked(run, "", asks)]
        word = "waits for a choice" if asks == ("pick",) else "asks for yes or no" if len(asks) == 1 else "asks"
        none = "No run here has a" if name is None else f"The run {found[0].id} has no"
        msg = f"{none} {step} that {word}. {nearest(step, list(dict.fromkeys(known)))}".rstrip()
        raise UsageError(msg)
    return cells


def _later(runs: Sequence[Run], asked: Run) -> str | None:
    """A later run of the same pipeline that has not come to its end: its pictures are others."""
    later = itertools.takewhile(lambda run: run.id != asked.id, runs)  # the newest comes first
    return next((r.id for r in later if r.state.file == asked.state.file and r.state.outcome != "done"), None)


def _asked(run: Run, step: str, asks: tuple[str, ...]) -> list[CellState]:
    """The cells of a step, or the one of that id, that have asked a person; all of them for no step."""
    return [
        cell
        for cell in run.state.cells.values()
        if (cell.asked is not None or cell.answer is not None)
        and _kind(cell) in asks
        and step in ("", cell.cell, step_of(cell.cell))
    ]


def _kind(cell: CellState) -> str:
    if cell.asked is not None:
        return cell.asked.asks
    return "pick" if cell.answer is not None and cell.answer.of else "approve"
