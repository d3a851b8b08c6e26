"""How a run ended, in a few lines: what is where, what it cost, what failed and why."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from pathlib import Path

from ..errors import USED_UP, BadFile, Bug, FateUnknown, PluginFailed, Refused, TemplateFailed, counted
from ..events import CellState, RunState
from .money import cost, doubt
from .questions import LaidOut, nothing, open_ones, relative
from .runs import left

_ENDED_BADLY = ("failed", "running", "blocked", "cancelled", "waiting", "skipped")
_UNDONE = ("running", "cancelled", "waiting", "asking")
_SETTLED = {TemplateFailed.fault, BadFile.fault, Refused.fault}
"""Faults that come again as long as nobody changes the pipeline, or the answer."""
_MOST_ALIKE = 5
_MOST_LINES = 40
_MOST_OUTPUTS = 14


def text(state: RunState, folder: Path, outputs: Mapping[str, Path], missing: Mapping[str, str],
         laid_out: LaidOut = nothing) -> str:  # fmt: skip
    """The summary::

    product-card 1.2.0: done in 2.1 s, 0.0258 USD (4 steps, 1 cached)

      card.json  out/product-card/card.json
      run        .runner/runs/20261121-213000-1f3a
    """
    lines = [headline(state), *(f"  {told}" for told in [*state.told, *doubt(state)])]
    lines += not_done(state, folder)
    names = [*outputs, *missing, "run folder"]
    width = max(map(len, names))
    lines.append("")
    shown = list(outputs.items())
    if len(shown) > _MOST_OUTPUTS:
        del shown[_MOST_OUTPUTS - 2 :]
    lines += [f"  {name:{width}}  {relative(path)}" for name, path in shown]
    if more := len(outputs) - len(shown):
        lines.append(f"  … and {more} more in {relative(shown[0][1].parent)}")
    lines += [f"  {name:{width}}  not made: {why}" for name, why in missing.items()]
    lines.append(f"  {'run folder':{width}}  {relative(folder)}")
    if state.outcome == "done" and state.left:
        lines += ["", "From before, and no longer wanted:", *(f"  {left(each)}" for _, each in state.left)]
    if state.asking:
        lines += ["", "Waiting for a person:", *(f"  {line}" for line in open_ones(state.run, state.asking, laid_out))]
    if goes_on(state):
        lines += ["", again(state)]
    return "\n".join(lines)


def goes_on(state: RunState) -> bool:
    """Whether a run that has ended can be taken up again."""
    return state.outcome != "done" and state.options.get("only", "world") == "world"


def not_done(state: RunState, folder: Path) -> list[str]:
    """What is not done and why, a line each; first an empty one."""
    bad = [cell for cell in state.cells.values() if cell.state in _ENDED_BADLY]
    empty = [f"  {step}: an empty list, so there was nothing to do" for step, n in state.opened.items() if n == 0]
    lines = ["", *empty, *_table(bad, folder)] if bad or empty else []
    if never := state.expected - len(state.cells):
        lines.append(f"  {counted(never, 'cell')} {'was' if never == 1 else 'were'} never started")
    return lines


def again(state: RunState) -> str:
    """How to go on, and what is still in flight: the last line of a run that did not come to a good end."""
    ended = sum(job.ended for _, job in state.tickets)
    flying = len(state.tickets) - ended
    faults = {cell.fault for cell in state.cells.values() if cell.state == "failed"}
    cut = state.expected > len(state.cells) or any(cell.state in _UNDONE for cell in state.cells.values())
    if faults == {FateUnknown.fault} and not state.tickets and not cut:
        return (
            "Nothing to go on with: nobody knows what became of what was sent. Look in Runpod's console; "
            "retry: {on: [unknown]} on the step and runner resume "
            f"{state.run}, or a new run, send it again."
        )
    jobs = [f"{counted(flying, 'job')} still in flight"] if flying else []
    jobs += [f"the files of {counted(ended, 'finished job')} still to be fetched"] if ended else []
    if faults and faults <= _SETTLED and not state.tickets and not cut:
        return f"Change what failed, then go on with: runner resume {state.run}"
    more = " --budget USD" if any(cell.message == USED_UP for cell in state.cells.values()) else ""
    collects = f"   {' and '.join(jobs)}: it collects them." if jobs else ""
    return f"Go on with: runner resume {state.run}{more}{collects}"


def headline(state: RunState) -> str:
    """One line: how it ended, how long it took, what it cost."""
    name = state.title
    cells = state.cells.values()
    cached = sum(cell.state == "cached" for cell in cells)
    many = "cell" if state.opened else "step"
    counts = [f"{state.expected} {many}{'s' * (state.expected != 1)}"] + ([f"{cached} cached"] if cached else [])
    return f"{name}: {state.outcome} in {state.seconds or 0.0:.1f} s, {cost(state, ', '.join(counts))}"


def open_tickets(state: RunState) -> str:
    """What may still be running on Runpod, for somebody who will not wait."""
    if state.outcome == "done":
        return f"Left at once. All is done; the folder of the run {state.run} may lack some copies."
    lines = [line for cell in state.cells.values() for line in _tickets(cell)]
    return "\n".join(["Left at once.", *lines, again(state)])


def _tickets(cell: CellState) -> list[str]:
    return [f"    {left(each)}" for each in cell.tickets.values()]


def _table(bad: Sequence[CellState], folder: Path) -> list[str]:
    """What is not done and why: failures first, long lists cut, those with the same reason together."""
    order = sorted(bad, key=lambda cell: _ENDED_BADLY.index(cell.state))
    lines: list[str] = []
    for (state, message), cells in itertools.groupby(order, key=lambda cell: (cell.state, cell.message)):
        same = list(cells)
        if len(same) > _MOST_ALIKE:
            names = ", ".join(cell.cell for cell in same[:3])
            lines.append(f"  {len(same)} cells {state}" + (f": {message}" if message else "") + f" ({names}, …)")
        else:
            lines += [line for cell in same for line in _bad(cell, folder)]
    return lines[:_MOST_LINES] + (
        [f"  … and {len(lines) - _MOST_LINES} lines more"] if len(lines) > _MOST_LINES else []
    )


def _bad(cell: CellState, folder: Path) -> list[str]:
    lines = [f"  {cell.cell}: {cell.state}" + (f": {cell.message}" if cell.message else "")]
    if cell.keep:
        traced = cell.fault in (Bug.fault, PluginFailed.fault)
        what = "the traceback" if traced else "what was paid for" if cell.calls else "the text"
        lines.append(f"    {what} is kept in {relative(folder / cell.keep)}")
    lines += _tickets(cell)
    return lines
