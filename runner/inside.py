"""Pipelines inside pipelines: which cell a plan runs in, and which limits count for its steps there."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from .planning import Plan, PlannedStep


@dataclass(frozen=True, slots=True)
class Inside:
    """Where a plan runs: by itself, or in a cell of another."""

    above: str = ""
    """The id of the cell that runs it, and a slash; empty for the run itself."""
    depth: int = 0
    models: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """The limits of the pipelines above that count for a model, by its id."""

    def group(self, plan: Plan, group: str) -> str:
        """What one of its limits is called in the whole run: all that run the same file share those of its models."""
        return f"{plan.file}: {group}" if self.above and group.startswith("model ") else f"{self.above}{group}"

    def groups(self, plan: Plan, step: PlannedStep) -> tuple[str, ...]:
        """The limits that count for a step."""
        above = self.models.get(step.model.id, ()) if step.model is not None else ()
        return (*(self.group(plan, group) for group in step.groups), *above)

    def into(self, plan: Plan, above: str, depth: int) -> Inside:
        """The same for a pipeline that a cell of this one's plan runs."""
        models = dict(self.models)
        for group in plan.limits:
            if group.startswith("model "):
                name = group.removeprefix("model ")
                models[name] = (*models.get(name, ()), self.group(plan, group))
        return Inside(f"{self.above}{above}/", self.depth + depth, models)
