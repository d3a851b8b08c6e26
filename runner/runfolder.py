"""The folder of one run, for people: what was asked, what came of it, and what must not be lost.

::

    .runner/runs/20261121-213000-1f3a/
      pipeline.yaml    the file as it was run
      events.jsonl     the journal
      state.json       where it ended
      draft.txt        the output of each step: text, JSON, picture
      draft.paid.txt   text that was paid for and that a step could not use
"""

from __future__ import annotations

import contextlib
import json
import re
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path

from .errors import CannotStart, StoreFailed
from .events import CellAsked, CellState, RunState
from .model import JSON, Artifact, Output, step_of
from .provenance import Made, mark
from .publish import plain, write, write_lines

_LAID_OUT = {"pick": "candidate", "approve": "shown"}
"""What a file that a person is asked about is called behind the name of its cell, by what asks."""

MOST_FILES = 100
"""Cells of which each leaves a file. In a larger run nobody leafs through them: ``state.json`` holds all outputs."""


class RunFolder:
    """A run's folder, made when the run starts; there already when it is taken up again."""

    def __init__(self, runs: Path, run_id: str, pipeline: str) -> None:
        self.path = runs / run_id
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            write(self.path / "pipeline.yaml", pipeline, verbatim=True)
        except (OSError, StoreFailed) as err:
            msg = f"The run folder {self.path} cannot be written: {getattr(err, 'strerror', None) or err}."
            raise CannotStart(msg) from err

    def keep_text(self, cell: str, text: str) -> str | None:
        """Keep text that was paid for; gives back the file's name, None if the disk said no."""
        path = self.path / f"{_name(cell)}.paid.txt"
        try:
            write(path, text)
        except StoreFailed:
            return None
        return path.name

    def lay_out(self, asked: CellAsked) -> None:
        """Write what a question is about, each thing as a file: see `laid_out`."""
        for name, value in asked.shown.items():
            _lay(self.path / _laid_out(asked, name), value)

    def leave(self, state: RunState, made: Made | None = None) -> None:
        """Write where the run ended, and each output as a file; pictures carry what ``made`` them."""
        try:
            for cell in state.cells.values():
                if cell.output is not None and len(state.cells) <= MOST_FILES:
                    self._output(_name(cell.cell), cell.output, made)
        except OSError as err:
            msg = f"the run folder {self.path} cannot be filled: {err.strerror}; what was made is in the store"
            raise StoreFailed(msg) from err
        write_lines(self.path / "state.json", state_lines(state))

    def _output(self, name: str, output: Output, made: Made | None) -> None:
        """One output as a file. Written plainly, because there may be thousands: ``state.json`` comes last."""
        for value in output.values.values():
            if isinstance(value, Artifact):
                target = self.path / f"{name}{value.suffix}"
                shutil.copyfile(value.path, target)
                if value.media == "image" and made is not None and (facts := made(value)) is not None:
                    mark(target, facts)
                return
        if "data" in output.values:
            (self.path / f"{name}.json").write_text(_pretty(output.values["data"]), encoding="utf-8")
        elif isinstance(output.values.get("text"), str):
            (self.path / f"{name}.txt").write_text(output.values["text"], encoding="utf-8")


def _lay(path: Path, value: JSON) -> None:
    """One thing as a file: the file itself, or text. If the disk says no, it can be answered all the same."""
    values = value if isinstance(value, Mapping) else {"data": value}
    file = next((inner for inner in values.values() if isinstance(inner, Artifact)), None)
    with contextlib.suppress(OSError):
        if file is not None:
            shutil.copyfile(file.path, path.with_name(f"{path.name}{file.suffix}"))
            return
        said = values.get("data", values.get("text", value))
        suffix, text = ("txt", said) if isinstance(said, str) else ("json", _pretty(said))
        path.with_name(f"{path.name}.{suffix}").write_text(text, encoding="utf-8")


def laid_out(folder: Path, asked: CellAsked) -> dict[str, Path]:
    """Where what a question is about lies in the folder of its run: each thing by its number or name."""
    found = {}
    for name in asked.shown:
        if path := next(folder.glob(f"{_laid_out(asked, name)}.*"), None):
            found[name] = path
    return found


def _laid_out(asked: CellAsked, name: str) -> str:
    return f"{_name(asked.cell)}.{_LAID_OUT.get(asked.asks, 'shown')}-{_name(name)}"


def files_of(folder: Path, cell: str) -> list[Path]:
    """What a cell has left in its run's folder."""
    name = _name(cell)
    return sorted(path for path in folder.glob(f"{name}.*") if path.stem in (name, f"{name}.paid"))


def state_lines(state: RunState, since: Mapping[str, str] | None = None) -> Iterator[str]:
    """A run's state as JSON, one line a cell: what ``runner run --json`` prints. There may be 100,000 of them.

    ``since`` says what became of outputs whose files are no longer as the run wrote them.
    """
    facts = {
        "run": state.run,
        "pipeline": state.pipeline,
        "version": state.version,
        **({"profile": state.options["profile"]} if state.options.get("profile") else {}),
        "outcome": state.outcome,
        "cost": round(state.cost, 6),
        "paid": 0.0 if state.free else round(state.cost, 6),
        "seconds": round(state.seconds, 3) if state.seconds is not None else None,
        "inputs": state.inputs,
        "outputs": dict(state.outputs),
        **({"since": dict(since)} if since else {}),
        **({"budget": state.told} if state.told else {}),
    }
    yield "{\n"
    for name, value in facts.items():
        yield f"  {_line(name)}: {_line(value)},\n"
    yield '  "cells": ['
    for index, cell in enumerate(state.cells.values()):
        yield f"{',' if index else ''}\n    {_line(_cell(state, cell))}"
    yield "\n  ]\n}\n"


def _cell(state: RunState, cell: CellState) -> JSON:
    return {
        "cell": cell.cell,
        "kind": state.kinds.get(step_of(cell.cell)),
        "state": cell.state,
        "cost": round(cell.paid, 6),
        "seconds": round(cell.ended - cell.started, 3) if cell.started and cell.ended else None,
        "attempts": cell.attempts,
        **({"model": cell.label} if cell.label else {}),
        **({"message": cell.message, "fault": cell.fault} if cell.message else {}),
        **({"kept": cell.keep} if cell.keep else {}),
        **({"question": cell.asked.question, "candidates": dict(cell.asked.shown)} if cell.asked else {}),
        **({"answer": cell.answer.answer} if cell.answer else {}),
        **({"output": cell.output.scope()} if cell.output else {}),
    }


def _line(value: JSON) -> str:
    return json.dumps(value, ensure_ascii=False, default=plain)


def _name(cell: str) -> str:
    return re.sub(r"[^A-Za-z0-9._-]+", "-", cell).strip("-")


def _pretty(value: JSON) -> str:
    return json.dumps(value, ensure_ascii=False, indent=2, default=plain) + "\n"
