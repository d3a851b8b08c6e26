"""Which replies are too old to be used again: those that the user or the step wants anew."""

from __future__ import annotations

from dataclasses import dataclass, replace

from .model import Cell


@dataclass(frozen=True, slots=True)
class Fresh:
    """What a run asks for anew. Nothing that was kept before it ``began`` is used for these ``names``.

    So the run shares its own replies, and taken up again it does not pay for them twice.
    """

    names: frozenset[str] = frozenset()
    """Steps, and cells by their ids; in other pipelines that it runs as ``step/step``."""
    everything: bool = False
    began: float = 0.0
    above: tuple[str, ...] = ("",)
    """What stands before the names of a pipeline that a cell runs: the cell's step, or its id, and a slash."""

    def since(self, cell: Cell, keep: float | None, now: float) -> float:
        """The time before which a kept reply is too old for a cell; ``keep`` are the seconds that its step says."""
        old = min(now - keep, self.began or now) if keep is not None else 0.0  # what this run made is never too old
        return max(self.began if self._wants(cell) else 0.0, old)

    def inside(self, cell: Cell) -> Fresh:
        """The same for the pipeline that a cell runs: all of it, if the cell is wanted anew."""
        above = tuple(f"{above}{name}/" for above in self.above for name in {cell.step, cell.id})
        return replace(self, everything=self._wants(cell), above=above)

    def _wants(self, cell: Cell) -> bool:
        return self.everything or any(
            above + name in self.names for above in self.above for name in (cell.step, cell.id)
        )
