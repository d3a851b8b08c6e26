"""A run as Markdown: a table of its steps, for the summary of a CI job, a comment or a page."""

from __future__ import annotations

import html
import ipaddress
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from urllib.parse import urlsplit

from ..events import CellState, RunState
from ..model import JSON, Artifact, step_of
from .money import column
from .questions import relative
from .summary import headline

_MOST_STEPS = 200
_MOST_PICTURES = 4
_MOST_FAILURES = 20
_HEIGHT = 96
_MARKS = {"done": "✅", "cached": "✅", "failed": "❌", "blocked": "⛔", "cancelled": "⛔", "skipped": "⚪"}


def text(state: RunState, outputs: Mapping[str, Path], missing: Mapping[str, str], differs: Sequence[str]) -> str:
    """The run: its headline, a row a step, what went wrong, where the outputs are."""
    lines = [f"### {_said(headline(state))}", ""]
    lines += [f"- {_said(told)}" for told in [*state.told, *differs]]
    lines += [""] if state.told or differs else []
    rows = list(_rows(state))
    pictures = any(row[-1] for row in rows)
    lines += [
        f"| step | state | {column(state)}, USD | seconds |{' pictures |' * pictures}",
        f"|---|---|--:|--:|{'---|' * pictures}",
    ]
    lines += [f"| {' | '.join(row if pictures else row[:-1])} |" for row in rows[:_MOST_STEPS]]
    if len(rows) > _MOST_STEPS:
        lines += ["", f"… and {len(rows) - _MOST_STEPS} steps more."]
    cells = map(state.cells.__getitem__, state.in_order(state.cells))
    bad = [cell for cell in cells if cell.state == "failed" or (cell.message and cell.state != "done")]
    if bad or missing:
        lines += ["", *(f"- {_code(cell.cell)} {cell.state}: {_said(cell.message)}" for cell in bad[:_MOST_FAILURES])]
        lines += [f"- … and {len(bad) - _MOST_FAILURES} more"] if len(bad) > _MOST_FAILURES else []
        lines += [f"- output {_code(name)} not made: {_said(why)}" for name, why in missing.items()]
    if outputs:
        lines += ["", "| output | file |", "|---|---|"]
        lines += [f"| {_code(name)} | {_code(relative(path))} |" for name, path in list(outputs.items())[:_MOST_STEPS]]
    return "\n".join(lines) + "\n"


def not_started(headline: str, told: Sequence[str]) -> str:
    """A run that has not begun, and why."""
    return "\n".join([f"### {_said(headline)}", "", *(f"- {_said(each)}" for each in told)]) + "\n"


def _rows(state: RunState) -> Iterator[tuple[str, ...]]:
    steps: dict[str, list[CellState]] = {step: [] for step, cells in state.opened.items() if cells == 0}
    for cell in state.cells.values():
        steps.setdefault(step_of(cell.cell), []).append(cell)
    for step in state.in_order(steps):
        cells = steps[step]
        began = [cell.started for cell in cells if cell.started]
        ended = [cell.ended for cell in cells if cell.ended]
        cost = sum(cell.paid for cell in cells)
        yield (
            _code(step),
            _states(cells),
            f"{cost:.4f}" if cost else "",
            f"{max(ended) - min(began):.1f}" if began and ended else "",
            "".join(_pictures(cells)),
        )


def _states(cells: Sequence[CellState]) -> str:
    """``✅ done`` of a step, ``✅ 7 done, ❌ 1 failed`` of one with many cells."""
    counts = Counter(cell.state for cell in cells)
    many = len(cells) > 1
    said = [f"{_MARKS.get(state, '⏳')} {f'{count} ' * many}{state}" for state, count in counts.items()]
    return ", ".join(said) or "⚪ nothing to do"


def _pictures(cells: Sequence[CellState]) -> Iterator[str]:
    """The first few pictures that anybody can fetch, as long as their address lasts."""
    found = [
        (cell.cell, artifact.url)
        for cell in cells
        if cell.output is not None
        for artifact in _artifacts(cell.output.values)
        if artifact.media == "image" and artifact.url and is_public(artifact.url)
    ]
    for name, url in found[:_MOST_PICTURES]:
        quoted = html.escape(url).replace("|", "%7C")
        yield f'<a href="{quoted}"><img src="{quoted}" alt="{_said(name)}" height="{_HEIGHT}"></a> '
    if len(found) > _MOST_PICTURES:
        yield f"… {len(found) - _MOST_PICTURES} more"


def is_public(url: str) -> bool:
    """Whether others can fetch it: not from this machine or its network."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    if parts.scheme not in ("http", "https") or "." not in host:
        return False
    try:
        return ipaddress.ip_address(host).is_global
    except ValueError:
        return not host.endswith((".local", ".internal", ".localhost"))


def _artifacts(value: JSON) -> Iterator[Artifact]:
    if isinstance(value, Artifact):
        yield value
    elif isinstance(value, Mapping):
        for inner in value.values():
            yield from _artifacts(inner)
    elif isinstance(value, list | tuple):
        for inner in value:
            yield from _artifacts(inner)


def _said(text: str) -> str:
    """Text that stays text: no mark of Markdown or HTML in it means anything, and it stays on its line."""
    return re.sub(r"[\\`*_\[\]<>|&!~#@]", lambda found: f"&#{ord(found[0])};", " ".join(text.split()))


def _code(text: str) -> str:
    return f"<code>{_said(text)}</code>"
