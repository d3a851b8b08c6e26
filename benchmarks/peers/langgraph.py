"""LangGraph: a node a step, values in a state that a reducer merges, ``max_concurrency`` 64."""

from __future__ import annotations

import operator
from collections.abc import Callable
from functools import partial
from typing import Annotated, Any, TypedDict

from langgraph.graph import END, START, StateGraph

from ..graphs import Graph
from .work import IN_FLIGHT, Work, leaves, main


class State(TypedDict):
    """What the nodes have yielded so far, by name."""

    values: Annotated[dict[str, int], operator.or_]


def prepare(graph: Graph, work: Work) -> Callable[[], Any]:
    def step(name: str, state: State) -> dict[str, dict[str, int]]:
        return {"values": {name: work.step(name, [state["values"][need] for need in graph[name]])}}

    async def step_async(name: str, state: State) -> dict[str, dict[str, int]]:
        return {"values": {name: await work.step_async(name, [state["values"][need] for need in graph[name]])}}

    builder = StateGraph(State)
    for name, needs in graph.items():
        builder.add_node(name, partial(step_async if work.url else step, name))
        builder.add_edge(list(needs) if needs else START, name)
    for name in leaves(graph):
        builder.add_edge(name, END)
    compiled = builder.compile()
    config: Any = {"max_concurrency": IN_FLIGHT, "recursion_limit": len(graph) + 10}

    def run() -> dict[str, int]:
        said = compiled.invoke({"values": {}}, config)["values"]
        return {name: said[name] for name in leaves(graph)}

    async def run_async() -> dict[str, int]:
        said = (await compiled.ainvoke({"values": {}}, config))["values"]
        return {name: said[name] for name in leaves(graph)}

    return run_async if work.url else run


if __name__ == "__main__":
    main(prepare)
