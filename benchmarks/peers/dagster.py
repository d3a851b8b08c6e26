"""Dagster: an op a step, one job, run in this process on an instance in memory. Its executor here runs one op a time;
the one that runs several starts a process for each.
"""

from collections.abc import Callable
from typing import Any

from dagster import DagsterInstance, In, OpExecutionContext, Out, job, op

from ..graphs import Graph
from .work import Work, leaves, main

QUIET = {"loggers": {"console": {"config": {"log_level": "ERROR"}}}}


def prepare(graph: Graph, work: Work) -> Callable[[], Any]:
    @op(out=Out(int))
    def first(context: OpExecutionContext) -> int:
        return work.step(context.op_handle.name, ())

    @op(ins={"values": In(list[int])}, out=Out(int))
    def later(context: OpExecutionContext, values: list[int]) -> int:
        return work.step(context.op_handle.name, values)

    @job
    def everything() -> None:
        made: dict[str, Any] = {}
        for name, needs in graph.items():
            made[name] = later.alias(name)([made[need] for need in needs]) if needs else first.alias(name)()

    instance = DagsterInstance.ephemeral(settings={"telemetry": {"enabled": False}})

    def run() -> dict[str, int]:
        said = everything.execute_in_process(run_config=QUIET, instance=instance)
        return {name: said.output_for_node(name) for name in leaves(graph)}

    return run


if __name__ == "__main__":
    main(prepare)
