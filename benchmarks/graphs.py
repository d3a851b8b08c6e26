"""The graphs that are measured: as pipelines for us, and as plain needs for whoever else runs them."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from typing import TypeAlias

Graph: TypeAlias = Mapping[str, Sequence[str]]
"""Each step with the steps that it needs; those come before it."""

TEXT = "kind: generate_text, model: qwen/qwen3-32b-awq"
NOTHING = "kind: parse_json"


def fan_out(width: int) -> Graph:
    """1 → width → 1."""
    middle = [f"m{n}" for n in range(width)]
    return {"a": (), **dict.fromkeys(middle, ("a",)), "z": tuple(middle)}


def chain(length: int) -> Graph:
    """One after the other."""
    return {f"s{n}": (f"s{n - 1}",) if n else () for n in range(length)}


def layered(depth: int, width: int) -> Graph:
    """Each step reads two of the layer above."""
    return {
        f"l{level}_{n}": (f"l{level - 1}_{n}", f"l{level - 1}_{(n + 1) % width}") if level else ()
        for level, n in itertools.product(range(depth), range(width))
    }


def cells(count: int) -> Graph:
    """As many that need nothing."""
    return {f"c{n}": () for n in range(count)}


SHAPES: Mapping[str, Callable[..., Graph]] = {"fan-out": fan_out, "chain": chain, "layered": layered}


def pipeline(graph: Graph, kind: str) -> str:
    """A graph as a pipeline of steps of one kind: each reads the first step that it needs, and needs the others."""
    word, field = ("text", "data") if kind == NOTHING else ("prompt", "finish_reason")
    lines = ["name: graph", "steps:"]
    for number, (name, needs) in enumerate(graph.items()):
        start = f"{number} " if kind != NOTHING else "" if needs else "1"
        reads = f"{{{{ steps.{needs[0]}.{field} }}}}" if needs else ""
        more = f", needs: [{', '.join(needs[1:])}]" if needs[1:] else ""
        lines.append(f'  {name}: {{{kind}, {word}: "{start}{reads}"{more}}}')
    return "\n".join(lines)


def foreach(count: int, kind: str) -> str:
    """One step with as many cells."""
    many = f'foreach: "{{{{ range({count}) | list }}}}", limit: {count}'
    word = "text" if kind == NOTHING else "prompt"
    return f'name: cells\nsteps:\n  a: {{{kind}, {many}, {word}: "{{{{ item }}}}"}}'
