"""How a run ended, in a few lines: what is where, what it cost, what failed and why."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from ..events import CellState, RunState

_ENDED_BADLY = ("failed", "blocked", "skipped", "cancelled", "waiting", "running")


def text(state: RunState, folder: Path, outputs: Mapping[str, Path], missing: Mapping[str, str]) -> str:
    """The summary::

    product-card 1.2.0: done in 2.1 s, 0.0258 USD (4 steps, 1 cached)

      card.json  out/product-card/card.json
      run        .runner/runs/20261121-213000-1f3a
    """
    lines = [headline(state)]
    bad = [cell for cell in state.cells.values() if cell.state in _ENDED_BADLY]
    if bad:
        lines += ["", *(line for cell in bad for line in _bad(cell, folder))]
    names = [*outputs, "run folder"]
    width = max(map(len, names))
    lines.append("")
    lines += [f"  {name:{width}}  {_relative(path)}" for name, path in outputs.items()]
    lines += [f"  {name:{width}}  not made: {why}" for name, why in missing.items() if not bad]
    lines.append(f"  {'run folder':{width}}  {_relative(folder)}")
    return "\n".join(lines)


def headline(state: RunState) -> str:
    """One line: how it ended, how long it took, what it cost."""
    name = f"{state.pipeline} {state.version}" if state.version else state.pipeline
    cells = state.cells.values()
    cached = sum(cell.state == "cached" for cell in cells)
    counts = [f"{len(cells)} step{'s' * (len(cells) != 1)}"] + ([f"{cached} cached"] if cached else [])
    seconds = (state.ended or state.started) - state.started
    return f"{name}: {state.outcome} in {seconds:.1f} s, {state.cost:.4f} USD ({', '.join(counts)})"


def _bad(cell: CellState, folder: Path) -> list[str]:
    lines = [f"  {cell.cell}: {cell.state}" + (f": {cell.message}" if cell.message else "")]
    if cell.keep:
        lines.append(f"    what was paid for is kept in {_relative(folder / cell.keep)}")
    for endpoint, job in cell.tickets.values():
        lines.append(f"    the job {job} on {endpoint} may still be running")
    return lines


def _relative(path: Path) -> str:
    """The path as one would type it from here."""
    try:
        return str(path.resolve().relative_to(Path.cwd()))
    except ValueError:
        return str(path)
