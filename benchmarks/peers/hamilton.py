"""Hamilton: a function a step, its parameters named after the steps that it needs; the async driver for calls.

It has no limit of calls in flight: the functions share one.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from hamilton import ad_hoc_utils, async_driver, driver

from ..graphs import Graph
from .work import Work, leaves, main


def prepare(graph: Graph, work: Work) -> Any:
    """The module that an author would write by hand, and its driver."""
    lines = []
    for name, needs in graph.items():
        head = f"def {name}({', '.join(f'{need}: int' for need in needs)}) -> int"
        values = f"[{', '.join(needs)}]"
        lines.append(
            f"async {head}: return await work.step_async('{name}', {values})"
            if work.url
            else f"{head}: return work.step('{name}', {values})"
        )
    module = ad_hoc_utils.module_from_source("\n".join(lines))
    module.work = work
    if work.url:
        return prepare_async(module, leaves(graph))
    built = driver.Builder().with_modules(module).build()
    return lambda: built.execute(leaves(graph))


async def prepare_async(module: Any, wanted: list[str]) -> Callable[[], Any]:
    built = await async_driver.Builder().with_modules(module).build()
    return lambda: built.execute(wanted)


if __name__ == "__main__":
    main(prepare)
