"""Outputs that a test gives to steps, so that nobody is called: by step, or by cell where one is to differ."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from .model import Cell, Output


@dataclass(frozen=True, slots=True)
class Canned:
    """Outputs by what they stand for: ``photo``, ``photo[red]``, ``each/photo`` of a pipeline that a step runs."""

    outputs: Mapping[str, Output]

    def of(self, cell: Cell) -> Output | None:
        """The output that a cell has without doing anything; its own goes before that of its step."""
        found = self.outputs.get(cell.id)
        return found if found is not None else self.outputs.get(cell.step)

    def inside(self, cell: Cell) -> Canned:
        """What it says of the steps of a pipeline that this cell runs."""
        found: dict[str, Output] = {}
        for above in (f"{cell.step}/", f"{cell.id}/"):
            found |= {name.removeprefix(above): o for name, o in self.outputs.items() if name.startswith(above)}
        return Canned(found)
