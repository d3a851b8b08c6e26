"""Runs that were: a table of them, one of them cell by cell."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

from ..errors import counted
from ..events import CellState, OpenJob, RunState
from .money import column, cost, doubt, money
from .questions import LaidOut, answered, command, question

_WIDEST = 70


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """Rows in columns under their heads."""
    whole = [list(head), *map(list, rows)]
    widths = [max(len(row[column]) for row in whole) for column in range(len(head))]
    return ["  ".join(f"{cell:{width}}" for cell, width in zip(row, widths, strict=True)).rstrip() for row in whole]


def row(state: RunState, said: str, now: float) -> tuple[str, ...]:
    """One run in the table: id, pipeline, version, profile, how it stands, cost, duration."""
    profile = str(state.options.get("profile") or "")
    return state.run, state.pipeline, state.version or "", profile, said, cost(state), lasted(state, said, now)


HEAD = ("run", "pipeline", "version", "profile", "state", "cost", "duration")


def listed(rows: Sequence[Sequence[str]]) -> list[str]:
    """Runs in a table; without the profiles where no run has one."""
    at = HEAD.index("profile")
    if not any(row[at] for row in rows):
        return table((*HEAD[:at], *HEAD[at + 1 :]), [(*row[:at], *row[at + 1 :]) for row in rows])
    return table(HEAD, rows)


def left(job: OpenJob) -> str:
    """What became of a job that is not collected, as far as it is known."""
    if job.ended:
        return f"the job {job.job} on {job.endpoint} has ended and is paid for; its files are still to be fetched"
    return f"the job {job.job} on {job.endpoint} may still be running"


def lasted(state: RunState, said: str, now: float) -> str:
    """How long a run took, or has been going; nobody knows of one that was cut."""
    ended = state.ended or (now if said == "running" else None)
    return duration(ended - state.started - state.paused) if ended is not None and state.started else ""


def duration(seconds: float) -> str:
    """``0.4 s``, ``3 min 20 s``, ``2 h 5 min``, ``9 d``: two words are enough."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest} s"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours < 48 else f"{hours // 24} d"


def shown(state: RunState, said: str, now: float, where: Callable[[CellState], Sequence[str]], folder: Path,
          laid_out: LaidOut, since: Mapping[str, str]) -> str:  # fmt: skip
    """A run, cell by cell: how each stands, what it cost, how long it took, who answered, where its output is.

    ``since`` says what became of the outputs that are not as it wrote them.
    """
    name = state.title
    took = lasted(state, said, now)
    lines = [f"{name}: {said}{f' in {took}' if took else ''}, {cost(state)}", *doubt(state), ""]
    facts = {
        "run": state.run,
        "started": time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(state.started)) if state.started else "",
        "file": state.file,
        **{f"input {name}": _cut(str(getattr(value, "path", value))) for name, value in state.inputs.items()},
        "folder": str(folder),
        **{name: since.get(name) or path for name, path in state.outputs.items()},
    }
    width = max(map(len, facts))
    lines += [f"  {fact:{width}}  {value}" for fact, value in facts.items()]
    rows = []
    for cell in state.cells.values():
        seconds = duration(cell.ended - cell.started) if cell.started and cell.ended else ""
        model = (cell.output.model if cell.output else None) or cell.label
        rows.append(
            (cell.cell, cell.state, money(cell.paid) if cell.paid else "", seconds, str(cell.attempts or ""), model)
        )
    rows_of = table(("cell", "state", column(state), "time", "tries", "model"), rows)
    lines += ["", f"  {rows_of[0]}"]
    for cell, line in zip(state.cells.values(), rows_of[1:], strict=True):
        lines.append(f"  {line}")
        lines += [f"      {_cut(cell.message, 200)}"] if cell.message and cell.state != "asking" else []
        lines += _question(state.run, cell, laid_out)
        lines += [f"      {place}" for place in where(cell)]
        lines += [f"      {left(each)}" for each in cell.tickets.values()]
    if never := state.expected - len(state.cells):
        lines.append(f"  {counted(never, 'cell')} {'was' if never == 1 else 'were'} never started")
    return "\n".join(lines)


def _question(run: str, cell: CellState, laid_out: LaidOut) -> list[str]:
    """What a person was asked, and what they said."""
    asked, lines = cell.asked, list[str]()
    if asked is not None:
        head, *things = question(asked, laid_out(asked))
        lines += [head.removeprefix(f"{cell.cell}: "), *things]
    if cell.answer is not None or asked is not None:
        lines.append(answered(cell) or command(run, cell))
    return [f"      {line}" for line in lines]


def _cut(text: str, most: int = _WIDEST) -> str:
    text = " ".join(text.split())
    return text if len(text) <= most else f"{text[:most]}…"


def removed(gone: Sequence[str], stayed: Mapping[str, str]) -> str:
    """What became of the runs that were to be removed."""
    lines = [f"{len(gone)} run{'s' * (len(gone) != 1)} removed"]
    return "\n".join([*lines, *(f"{run} stays: {why}" for run, why in stayed.items())])
