"""A graph as SVG: one file with nothing outside it, for light and dark, alone or inside a page."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from xml.sax.saxutils import escape

from .graph import Graph, Link, Node, cells_wide
from .layout import Layout, Point, layout

_WIDEST = 40
"""Columns of a name before it is cut."""
_PAD, _HEAD, _LINE = 14.0, 34.0, 18.0

STYLE = """
.graph{--box:#fff;--line:#c9d1dc;--ink:#18202b;--dim:#5a6675;--wire:#7b8796;--group:#f5f7fa;--ok:#177245;--bad:#b42318;
--quiet:#5a6675;--kept:#2458a6;font-family:system-ui,-apple-system,"Segoe UI",Roboto,"Liberation Sans",sans-serif}
@media (prefers-color-scheme:dark){.graph{--box:#1b222c;--line:#3c4756;--ink:#e8edf3;--dim:#a3afbd;--wire:#8291a3;
--group:#151b23;--ok:#5fce95;--bad:#ff8a7d;--quiet:#a3afbd;--kept:#8db8f5}}
.graph .box{fill:var(--box);stroke:var(--line);stroke-width:1.2}
.graph .group{fill:var(--group);stroke:var(--line);stroke-width:1.2}
.graph .name{fill:var(--ink);font-size:14px;font-weight:600}
.graph .sub{fill:var(--dim);font-size:12px}
.graph .state{font-size:12px;font-weight:600;fill:var(--quiet)}
.graph .done .state{fill:var(--ok)}.graph .cached .state{fill:var(--kept)}.graph .failed .state{fill:var(--bad)}
.graph .done .bar{fill:var(--ok)}.graph .cached .bar{fill:var(--kept)}.graph .failed .bar{fill:var(--bad)}
.graph .bar{fill:var(--wire)}.graph .failed .box{stroke:var(--bad)}
.graph .wire{fill:none;stroke:var(--wire);stroke-width:1.6}
.graph .needs{stroke-dasharray:7 4}.graph .after{stroke-dasharray:2 4;stroke-linecap:round}
.graph .tip{fill:var(--wire)}
.graph a:focus-visible .box,.graph a:hover .box{stroke:var(--kept);stroke-width:2.5}
.graph a{outline:none}
""".strip()
"""What it looks like; a page that holds drawings has it once."""


@dataclass(frozen=True, slots=True)
class Stamp:
    """How a step stands in a run: its state, for the colour, and that in words."""

    state: str
    words: str


def svg(
    graph: Graph,
    *,
    stamps: Mapping[str, Stamp] | None = None,
    href: str = "",
    sideways: bool = False,
    alone: bool = True,
    prefix: str = "g",
) -> str:
    """The drawing. ``stamps`` say by step how it stands, ``href`` begins the address that each step links to.

    One that stands ``alone`` is a file and brings its style and a legend; ``prefix`` begins the ids of one in a page.
    """
    pen = _Pen(stamps or {}, href, prefix, sideways=sideways)
    body, width, height = pen.graph(graph, "")
    legend = list(_legend(graph)) if alone else []
    margin = 16.0 if alone else 2.0
    top = margin + (30.0 if alone else 0.0)
    wide = max(width, 460.0 if legend else 0.0, _long(graph.title, 8.5) if alone else 0.0) + 2 * margin
    high = top + height + margin + (26.0 if legend else 0.0)
    view = f'viewBox="0 0 {wide:.0f} {high:.0f}" width="{wide:.0f}" height="{high:.0f}"'
    out = [f'<svg xmlns="http://www.w3.org/2000/svg" class="graph" {view} {_named(graph, prefix, alone=alone)}>']
    out.append(f'<title id="{prefix}-title">{_safe(_summary(graph))}</title>')
    if alone:
        out.append(f"<style>svg{{color-scheme:light dark}}{STYLE}</style>")
        out.append(f'<text class="name" x="{margin:.0f}" y="{margin + 10:.0f}">{_safe(graph.title)}</text>')
    out.append(
        f'<defs><marker id="{prefix}-tip" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" '
        'orient="auto-start-reverse"><path class="tip" d="M0 0.5 L8 4 L0 7.5 z"/></marker></defs>'
    )
    shift = (wide - 2 * margin - width) / 2 if alone else 0.0
    out.append(f'<g transform="translate({margin + shift:.1f} {top:.1f})">{"".join(body)}</g>')
    if legend:
        out.append(f'<g transform="translate({margin:.0f} {high - 18:.0f})">{"".join(legend)}</g>')
    return "\n".join([*out, "</svg>"])


def _named(graph: Graph, prefix: str, *, alone: bool) -> str:
    """How it is told to who does not see it. One with links in it is no single picture."""
    role = 'role="img"' if alone else 'role="group"'
    return f'{role} aria-labelledby="{prefix}-title"' if graph.nodes else 'role="img"'


def _summary(graph: Graph) -> str:
    steps = f"{len(graph.nodes)} step{'s' * (len(graph.nodes) != 1)}"
    waits = "; ".join(f"{name}: {', '.join(link.sentence for link in links)}"
                      for name, links in graph.into().items() if links)  # fmt: skip
    return f"{graph.title}, {steps}. {waits}".strip()


def _legend(graph: Graph) -> Iterator[str]:
    x = 0.0
    words = {"data": "reads its output", "needs": "needs it to succeed", "after": "waits for its end"}
    for sort in [sort for sort in words if any(link.sort == sort for link in _all_links(graph))]:
        yield f'<path class="wire {sort}" d="M{x:.0f} 4 h30"/>'
        yield f'<text class="sub" x="{x + 36:.0f}" y="8">{words[sort]}</text>'
        x += 48 + _long(words[sort], 7.2)


def _all_links(graph: Graph) -> Iterator[Link]:
    yield from graph.links
    for node in graph.nodes:
        if node.inner is not None:
            yield from _all_links(node.inner)


@dataclass(frozen=True, slots=True)
class _Pen:
    stamps: Mapping[str, Stamp]
    href: str
    prefix: str
    sideways: bool

    def graph(self, graph: Graph, above: str) -> tuple[list[str], float, float]:
        """The parts of a drawing, its width and its height. ``above`` are the steps that it stands in."""
        inner = {node.id: self.graph(node.inner, f"{above}{node.id}/") for node in graph.nodes if node.inner}
        sizes = {node.id: self._size(node, above, inner.get(node.id)) for node in graph.nodes}
        placed = layout(sizes, [(link.source, link.target) for link in graph.links], sideways=self.sideways)
        out = [self._wire(link, path) for link, path in zip(graph.links, placed.paths, strict=True)]
        for node in graph.nodes:
            out += self._node(node, above, placed, sizes[node.id], inner.get(node.id))
        return out, placed.width, placed.height

    def _lines(self, node: Node, above: str) -> list[tuple[str, str]]:
        """What a box says, line by line, and how each looks."""
        stamp = self.stamps.get(f"{above}{node.id}")
        lines = [("name", node.name), ("sub", node.kind), ("sub", node.model), ("state", stamp.words if stamp else "")]
        if node.inner is not None:
            lines = [("name", node.name), ("sub", f"runs {node.inner.title}"), lines[-1]]
        return [(style, _cut(said)) for style, said in lines if said]

    def _size(self, node: Node, above: str, inner: tuple[list[str], float, float] | None) -> tuple[float, float]:
        lines = self._lines(node, above)
        wide = max(_long(said, 8.8 if style == "name" else 7.5) for style, said in lines) + 2 * _PAD
        high = _LINE * len(lines) + 16
        wide, high = max(wide, 132.0) + _stack(node), high + _stack(node)
        return (max(wide, inner[1] + 2 * _PAD), high + inner[2] + _PAD) if inner else (wide, high)

    def _node(
        self,
        node: Node,
        above: str,
        placed: Layout,
        size: tuple[float, float],
        inner: tuple[list[str], float, float] | None,
    ) -> Iterator[str]:
        (x, y), (w, h) = placed.places[node.id], (size[0] - _stack(node), size[1] - _stack(node))
        stamp = self.stamps.get(f"{above}{node.id}")
        yield f'<g class="node {_safe(stamp.state) if stamp else ""}" transform="translate({x:.1f} {y:.1f})">'
        link = self.href and not above
        if link:
            yield f'<a href="{_safe(self.href)}{_safe(node.id)}">'
        if node.fanned_out:
            yield f'<rect class="box" x="5" y="5" width="{w:.1f}" height="{h:.1f}" rx="9"/>'
        style = "group" if inner else "box"
        yield f'<rect class="{style}" width="{w:.1f}" height="{h:.1f}" rx="9"/>'
        lines = self._lines(node, above)
        if stamp:
            high = _LINE * len(lines) + 4
            yield f'<rect class="bar" x="5" y="6" width="3.5" height="{high:.0f}" rx="1.7"/>'
        for number, (look, said) in enumerate(lines):
            yield f'<text class="{look}" x="{_PAD:.0f}" y="{8 + 14 + _LINE * number:.0f}">{_safe(said)}</text>'
        if link:
            yield "</a>"
        yield "</g>"
        if inner:  # beside its group and not in it, whose state is not that of each of its steps
            left, top = x + (w - inner[1]) / 2, y + h - inner[2] - _PAD
            yield f'<g transform="translate({left:.1f} {top:.1f})">{"".join(inner[0])}</g>'

    def _wire(self, link: Link, path: Sequence[Point]) -> str:
        """A curve through its corners that leaves and arrives along the ranks."""
        said = f"M{path[0][0]:.1f} {path[0][1]:.1f}"
        for (x, y), (to_x, to_y) in pairwise(path):
            straight = (y == to_y) if self.sideways else (x == to_x)
            if straight:
                said += f" L{to_x:.1f} {to_y:.1f}"
            elif self.sideways:
                said += f" C{(x + to_x) / 2:.1f} {y:.1f} {(x + to_x) / 2:.1f} {to_y:.1f} {to_x:.1f} {to_y:.1f}"
            else:
                said += f" C{x:.1f} {(y + to_y) / 2:.1f} {to_x:.1f} {(y + to_y) / 2:.1f} {to_x:.1f} {to_y:.1f}"
        why = _safe(f"{link.target}: {link.sentence}")
        tip = f"url(#{self.prefix}-tip)"
        return f'<path class="wire {link.sort}" d="{said}" marker-end="{tip}"><title>{why}</title></path>'


def _stack(node: Node) -> float:
    """What the card behind a step of several cells sticks out."""
    return 5.0 if node.fanned_out else 0.0


def _cut(text: str) -> str:
    return text if len(text) <= _WIDEST else f"{text[: _WIDEST - 1]}…"


def _long(text: str, wide: float) -> float:
    """About how many pixels a text takes."""
    return cells_wide(text) * wide


def _safe(text: str) -> str:
    """Text that may stand anywhere in XML."""
    return escape("".join(c if c.isprintable() else " " for c in text), {'"': "&quot;", "'": "&#39;"})
