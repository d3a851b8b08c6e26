"""Haystack: a component a step, its inputs named after the steps that it needs; 64 of them at once."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from haystack import Pipeline, component

from ..graphs import Graph
from .work import IN_FLIGHT, Work, leaves, main


@component
class Step:
    """Inputs are declared where the component is made, as prompt builders do with their variables."""

    def __init__(self, name: str, needs: tuple[str, ...], work: Work) -> None:
        self.name, self.work = name, work
        component.set_input_types(self, **dict.fromkeys(needs or ("seed",), int))

    @component.output_types(value=int)
    def run(self, **values: int) -> dict[str, int]:
        return {"value": self.work.step(self.name, list(values.values()))}

    @component.output_types(value=int)
    async def run_async(self, **values: int) -> dict[str, int]:
        return {"value": await self.work.step_async(self.name, list(values.values()))}


def prepare(graph: Graph, work: Work) -> Callable[[], Any]:
    pipeline = Pipeline()
    for name, needs in graph.items():
        pipeline.add_component(name, Step(name, tuple(needs), work))
    for name, needs in graph.items():
        for need in needs:
            pipeline.connect(f"{need}.value", f"{name}.{need}")
    seeds = {name: {"seed": 0} for name, needs in graph.items() if not needs}

    def run() -> dict[str, int]:
        said = pipeline.run(seeds)
        return {name: said[name]["value"] for name in leaves(graph)}

    async def run_async() -> dict[str, int]:
        said = await pipeline.run_async(seeds, concurrency_limit=IN_FLIGHT)
        return {name: said[name]["value"] for name in leaves(graph)}

    return run_async if work.url else run


if __name__ == "__main__":
    main(prepare)
