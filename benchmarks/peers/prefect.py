"""Prefect: a task a step, submitted in order to 64 threads, the futures of its needs passed in; its own server beside.

The server is started by a flow that does nothing, before the clock is.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from prefect import flow, task
from prefect.task_runners import ThreadPoolTaskRunner

from ..graphs import Graph
from .work import IN_FLIGHT, Work, leaves, main


def prepare(graph: Graph, work: Work) -> Callable[[], Any]:
    @task
    def step(name: str, values: list[int]) -> int:
        return work.step(name, values)

    @flow(task_runner=ThreadPoolTaskRunner(max_workers=IN_FLIGHT))
    def everything() -> dict[str, int]:
        made: dict[str, Any] = {}
        for name, needs in graph.items():
            made[name] = step.submit(name, [made[need] for need in needs])
        return {name: made[name].result() for name in leaves(graph)}

    @flow
    def nothing() -> None:
        """Starts the server."""

    nothing()
    return everything


if __name__ == "__main__":
    main(prepare)
