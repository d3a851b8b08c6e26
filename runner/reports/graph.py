"""A pipeline as a graph: what its steps are and which waits for which; drawn as text or as Mermaid.

`drawing` draws the same graph as SVG.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

Sort: TypeAlias = Literal["data", "needs", "after"]
"""Why a step waits: it reads what the other yields, the other must have succeeded, the other must be over."""


@dataclass(frozen=True, slots=True)
class Link:
    """``target`` waits for ``source``; ``why`` in a few words: the parameter that reads it, or nothing."""

    source: str
    target: str
    sort: Sort = "data"
    why: str = ""

    @property
    def sentence(self) -> str:
        """``prompt reads facts``, ``needs facts``, ``after facts``."""
        return f"{self.why} reads {self.source}" if self.sort == "data" else f"{self.sort} {self.source}"


@dataclass(frozen=True, slots=True)
class Node:
    """A step. ``cells`` is how many it has: 1 for a plain step, None where only the run will know."""

    id: str
    kind: str
    model: str = ""
    fanned_out: bool = False
    cells: int | None = 1
    inner: Graph | None = None
    """The pipeline that it runs."""

    @property
    def count(self) -> str:
        """``× 60``, ``× ?`` where only the run will know; empty for a plain step."""
        return f"× {self.cells if self.cells is not None else '?'}" if self.fanned_out else ""

    @property
    def name(self) -> str:
        return f"{self.id} {self.count}".rstrip()


@dataclass(frozen=True, slots=True)
class Graph:
    """The steps of a pipeline in an order in which each comes after what it waits for."""

    title: str
    nodes: Sequence[Node]
    links: Sequence[Link] = field(default_factory=tuple)

    def into(self) -> dict[str, list[Link]]:
        """The links of each step that waits."""
        found: dict[str, list[Link]] = {node.id: [] for node in self.nodes}
        for link in self.links:
            found[link.target].append(link)
        return found


def cells_wide(text: str) -> int:
    """How many columns a terminal gives to a text."""
    return sum(0 if unicodedata.combining(c) else 2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in text)


# -- Mermaid ----------------------------------------------------------------------------------------


def mermaid(graph: Graph) -> str:
    """A flowchart for Markdown on GitHub and GitLab: solid arrows are data, dotted ones only order."""
    lines = ["---", f"title: {_yaml(graph.title)}", "---", "flowchart TD"]
    return "\n".join([*lines, *_mermaid(graph, "", "  ")])


def _mermaid(graph: Graph, above: str, indent: str) -> Iterator[str]:
    for node in graph.nodes:
        name = f"{above}{node.id}"
        said = "<br>".join(_quoted(line) for line in (node.name, node.kind, node.model) if line)
        if node.inner is not None:
            # A name of its own keeps Mermaid from taking a word of its language (end, style, graph) for the step.
            yield f'{indent}subgraph s_{name}["{_quoted(node.name)}: {_quoted(node.inner.title)}"]'
            yield from _mermaid(node.inner, f"{name}__", f"{indent}  ")
            yield f"{indent}end"
        elif node.fanned_out:
            yield f'{indent}s_{name}[["{said}"]]'
        else:
            yield f'{indent}s_{name}["{said}"]'
    for link in graph.links:
        arrow = "-->" if link.sort == "data" else "-.->"
        label = link.why if link.sort == "data" else link.sort
        said = f'|"{_quoted(label)}"|' if label else ""
        yield f"{indent}s_{above}{link.source} {arrow}{said} s_{above}{link.target}"


_ENTITIES = {"&": "#amp;", "<": "#lt;", ">": "#gt;", '"': "#quot;", "#": "#35;", "`": "#96;"}


def _quoted(text: str) -> str:
    """Text that stands in quotes in Mermaid, which has entities of its own."""
    return "".join(_ENTITIES.get(c, c if c.isprintable() else " ") for c in text)


def _yaml(text: str) -> str:
    inside = "".join(c if c.isprintable() else " " for c in text).replace("\\", "\\\\").replace('"', '\\"')
    return f'"{inside}"'


# -- text -------------------------------------------------------------------------------------------

_NORTH, _SOUTH, _EAST, _WEST = 1, 2, 4, 8
_LINES = {
    0: " ", _NORTH | _SOUTH: "│", _EAST | _WEST: "─", _NORTH | _EAST: "╰", _NORTH | _WEST: "╯", _SOUTH | _EAST: "╭",
    _SOUTH | _WEST: "╮", _NORTH | _SOUTH | _EAST: "├", _NORTH | _SOUTH | _WEST: "┤", _NORTH | _EAST | _WEST: "┴",
    _SOUTH | _EAST | _WEST: "┬", _NORTH | _SOUTH | _EAST | _WEST: "┼",
}  # fmt: skip
_PLAIN = str.maketrans({"│": "|", "┆": ":", "─": "-", "┄": ".", "●": "o", "×": "x", "·": "-", "…": "~",
                        **dict.fromkeys("╰╯╭╮├┤┴┬┼┌└", "+")})  # fmt: skip


def text(graph: Graph, *, plain: bool = False) -> str:
    """The graph for a terminal: a step a line, rails from each to those that wait for it, and above each why.

    Dotted rails are only order. ``plain`` keeps to ASCII.
    """
    lines = [graph.title, "", *_rails(graph)]
    drawn = "\n".join(line.rstrip() for line in lines)
    return drawn.translate(_PLAIN) if plain else drawn


def _rails(graph: Graph) -> Iterator[str]:
    """Each step has a lane, which others may use again once nobody waits for it any more."""
    waits = graph.into()
    left = _counts(graph)
    lanes: list[str | None] = []
    rows: list[tuple[str, str, Node | None]] = []
    for node in graph.nodes:
        links = waits[node.id]
        at = {link.source: lanes.index(link.source) for link in links}
        for link in links:
            left[link.source] -= 1
        ends = [place for source, place in at.items() if not left[source]]
        own = min(ends) if ends else next((i for i, lane in enumerate(lanes) if lane is None), len(lanes))
        if own == len(lanes):
            lanes.append(None)
        if links:
            rows.append((_joint(lanes, at, left, own, links), "; ".join(link.sentence for link in links), None))
        for place in ends:
            lanes[place] = None
        lanes[own] = node.id
        while lanes and lanes[-1] is None:
            lanes.pop()
        marks = [("●" if i == own else "│" if lane else " ") for i, lane in enumerate(lanes)]
        rows.append((" ".join(marks), "", node))
        if not left[node.id]:
            lanes[own] = None
        rest = " ".join("│" if lane else " " for lane in lanes)
        rows += [(rest, f"  {line}", None) for line in _inner(node)]
    width = max((len(rail) for rail, _, _ in rows), default=0)
    names = max((cells_wide(node.name) for node in graph.nodes), default=0)
    for rail, said, of in rows:
        if of is None:
            yield f"{rail:{width}}  {said}"
        else:
            what = " · ".join(word for word in (of.kind, of.model) if word)
            yield f"{rail:{width}}  {of.name}{' ' * (names - cells_wide(of.name))}  {what}"


def _counts(graph: Graph) -> dict[str, int]:
    found = {node.id: 0 for node in graph.nodes}
    for link in graph.links:
        found[link.source] += 1
    return found


def _joint(
    lanes: Sequence[str | None], at: Mapping[str, int], left: Mapping[str, int], own: int, links: Sequence[Link]
) -> str:
    """The row in which the rails of what a step waits for come together in its lane."""
    reach = [_NORTH | _SOUTH if lane else 0 for lane in lanes]
    reach[own] = _SOUTH
    for source, place in at.items():
        reach[place] = _NORTH | (_SOUTH if left[source] or place == own else 0)
    between = [""] * len(lanes)
    dotted = {place for source, place in at.items() if all(k.sort != "data" for k in links if k.source == source)}
    for place in at.values():
        if place != own:
            first, last = sorted((place, own))
            reach[first] |= _EAST
            reach[last] |= _WEST
            for i in range(first, last):
                between[i] = "┄" if place in dotted and between[i] != "─" else "─"
    for i in range(1, len(lanes)):
        if between[i - 1] and between[i]:
            joined = i in at.values() or i == own or not reach[i]
            reach[i] |= _EAST | _WEST if joined else 0  # a rail that is only crossed stays as it is
    chars = [_LINES[each] for each in reach]
    if own in dotted:
        chars[own] = "┆" if chars[own] == "│" else chars[own]
    return "".join(f"{char}{between[i] or ' '}" for i, char in enumerate(chars)).rstrip()


def _inner(node: Node) -> Iterator[str]:
    if node.inner is None:
        return
    yield f"┌ {node.inner.title}"
    for line in _rails(node.inner):
        yield f"│ {line}"
    yield "└"
