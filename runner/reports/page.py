"""A run, or two beside each other, as one HTML file that needs nothing but itself.

What a run holds was said by models and is trusted in nothing: the template escapes all of it, only raster pictures,
sound and video are embedded, and a content security policy lets no script run but the page's own.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files
from typing import Literal, TypeAlias

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from .. import __version__
from ..model import JSON, Artifact, titled
from . import drawing
from .changes import Change
from .changes import lines as diff_lines
from .graph import Graph
from .runs import duration
from .timeline import WORDS, Phase, Span, Timeline, lasted, lasting, took

EMBEDDABLE = frozenset({
    "image/png", "image/jpeg", "image/gif", "image/webp", "image/avif", "image/bmp", "audio/wav", "audio/x-wav",
    "audio/mpeg", "audio/ogg", "audio/flac", "audio/mp4", "video/mp4", "video/webm",
})  # fmt: skip
"""What a browser shows or plays and never runs."""

GLYPHS = {"done": "✓", "cached": "◆", "failed": "✗", "blocked": "■", "skipped": "–", "cancelled": "○", "running": "▶",
          "waiting": "…", "asking": "?", "cut": "✂", "damaged": "✗"}  # fmt: skip
SAID = {"cached": "from the store"}

_OF_CELL = re.compile(r" \((?:item|key|matrix): .*\)\Z", re.DOTALL)
"""The end of a message that says of which item its cell is."""

_WIDE, _NARROW = 980.0, 330.0
"""Pixels that a drawing has beside the margins of a page on a desk, and on a telephone."""


@dataclass(frozen=True, slots=True)
class Medium:
    """A file to look at or to listen to. ``src`` holds its bytes, or those of a smaller picture of it (``small``)."""

    media: str
    name: str
    alt: str
    facts: str
    src: str = ""
    href: str = ""
    """Where the whole file is on this machine."""
    small: bool = False
    gone: bool = False
    width: int | None = None
    height: int | None = None


@dataclass(frozen=True, slots=True)
class Asked:
    """A call as it was sent: what was asked in words, the other parameters, the pictures that went along."""

    label: str
    words: Sequence[tuple[str, str]] = ()
    params: Mapping[str, JSON] = field(default_factory=dict)
    files: Sequence[Medium] = ()
    cached: bool = False
    kept: bool = True
    """Whether it is still known what was asked."""


@dataclass(frozen=True, slots=True)
class Try:
    """A try that failed, after which another followed."""

    number: int
    fault: str
    message: str
    wait: float


@dataclass(frozen=True, slots=True)
class Place:
    """Where in the pipeline something is, with the lines around it: number, text, whether it is the one."""

    file: str
    line: int
    lines: Sequence[tuple[int, str, bool]]
    inside: bool = False
    """Whether it is in another pipeline, which a step of this one runs: that is not in the page."""
    note: str = ""
    """What there is to know of the file."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """One of several outputs of a cell, of which a person chooses one."""

    number: str
    chosen: bool
    medium: Medium | None = None
    text: str = ""


@dataclass(frozen=True, slots=True)
class Cell:
    id: str
    anchor: str
    state: str
    cost: float = 0.0
    seconds: float | None = None
    model: str = ""
    message: str = ""
    fault: str = ""
    place: Place | None = None
    tries: Sequence[Try] = ()
    asked: Sequence[Asked] = ()
    text: str | None = None
    data: JSON = None
    has_data: bool = False
    media: Sequence[Medium] = ()
    candidates: Sequence[Candidate] = ()
    picked: str = ""
    """Which of how many was chosen: ``2 of 3``."""
    before: Medium | None = None
    """The picture that was edited."""
    kept: str = ""
    """Text that was paid for and could not be used."""
    extra: Mapping[str, JSON] = field(default_factory=dict)
    open_jobs: Sequence[str] = ()

    @property
    def key(self) -> str:
        return self.id.rpartition("[")[2].removesuffix("]") if self.id.endswith("]") else self.id


@dataclass(frozen=True, slots=True)
class Failure:
    """What went wrong in one or more cells at one place, for one reason."""

    cells: Sequence[Cell]

    @property
    def message(self) -> str:
        """What is said of all of them; nothing where each has words of its own."""
        if len(self.cells) == 1:
            return self.cells[0].message
        said = {_OF_CELL.sub("", cell.message) for cell in self.cells}
        return said.pop() if len(said) == 1 else ""


@dataclass(frozen=True, slots=True)
class Step:
    id: str
    kind: str
    cells: Sequence[Cell]
    fanned_out: bool
    line: int | None = None
    of: int = 0
    """How many cells it has, of which ``cells`` are shown."""
    counts: Mapping[str, int] = field(default_factory=dict)
    cost: float = 0.0
    seconds: float | None = None

    @property
    def state(self) -> str:
        """The worst end of its cells."""
        order = ("failed", "running", "asking", "cancelled", "blocked", "waiting", "done", "cached", "skipped")
        return next((state for state in order if self.counts.get(state)), "waiting")

    @property
    def said(self) -> str:
        """``done``; ``58 done, 2 failed``."""
        if not self.fanned_out:
            return SAID.get(self.state, self.state)
        return ", ".join(f"{n} {SAID.get(state, state)}" for state, n in self.counts.items()) or "no cells"

    @property
    def model(self) -> str:
        return next((cell.model for cell in self.cells if cell.model), "")


@dataclass(frozen=True, slots=True)
class Output:
    """A file that the run wrote for its user."""

    name: str
    path: str
    href: str
    medium: Medium | None = None
    text: str = ""
    note: str = ""
    """What became of it since."""


@dataclass(frozen=True, slots=True)
class Run:
    """All that a page shows of a run."""

    id: str
    title: str
    state: str
    started: str
    seconds: float | None
    cost: float
    file: str
    steps: Sequence[Step]
    graph: Graph
    timeline: Timeline
    inputs: Mapping[str, JSON]
    files: Mapping[str, Medium]
    """Inputs that are files."""
    outputs: Sequence[Output]
    source: Sequence[str]
    notes: Sequence[str] = ()
    cells_shown: int = 0
    cells_all: int = 0
    unpaid: str = ""
    """What it would have cost, if nothing was paid: ``would be 0.0239 on Runpod``."""
    column: str = "cost"
    """What its money is by cell: ``cost``, or what it would be."""
    folder: str = ""
    profile: str = ""
    """The profile that it took; none where it is empty."""

    @property
    def name(self) -> str:
        """What it is called beside another run: ``20261121-213000-1f3a, profile draft``."""
        return titled(self.id, None, self.profile)

    @property
    def headline(self) -> str:
        """What it is called alone: ``pots 1.0.0, profile draft``."""
        return titled(self.title, None, self.profile)

    def counts(self) -> dict[str, int]:
        found: dict[str, int] = {}
        for step in self.steps:
            for state, number in step.counts.items():
                found[state] = found.get(state, 0) + number
        return found

    def failures(self) -> list[Failure]:
        """What went wrong, the cells together that failed at one line for one reason."""
        found: dict[tuple[str, str, Place | None], list[Cell]] = {}
        for step in self.steps:
            for cell in step.cells:
                if cell.state == "failed":
                    found.setdefault((step.id, cell.fault, cell.place), []).append(cell)
        return [Failure(cells) for cells in found.values()]

    def cells(self) -> dict[str, Cell]:
        return {cell.id: cell for step in self.steps for cell in step.cells}

    @property
    def retried(self) -> int:
        return sum(len(cell.tries) for step in self.steps for cell in step.cells)


@dataclass(frozen=True, slots=True)
class Pair:
    """A cell in two runs; ``changed`` are the parts of it that are not the same."""

    id: str
    step: str
    one: Cell | None
    other: Cell | None
    changed: Sequence[str] = ()
    diff: Sequence[str] = ()


def html(run: Run, other: Run | None = None, pairs: Sequence[Pair] = (), inputs: Sequence[Change] = ()) -> str:
    """The page. With ``other`` the two are beside each other, ``run`` being the newer."""
    style, script = _asset("report.css") + drawing.STYLE, _asset("report.js")
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    policy = (
        f"default-src 'none'; img-src data:; media-src data:; style-src 'unsafe-inline'; script-src 'sha256-{digest}'; "
        "base-uri 'none'; form-action 'none'"
    )
    return _environment().get_template("report.html").render(
        run=run, other=other, pairs=pairs, input_diff=diff_lines(inputs), policy=policy,
        style=Markup(style), script=Markup(script), version=__version__,  # noqa: S704 - our own files
    )  # fmt: skip


def src(media_type: str, content: bytes) -> str:
    """A file as an address that holds it."""
    return f"data:{media_type};base64,{base64.b64encode(content).decode()}"


def size(count: int) -> str:
    """``312 kB``, ``1.4 MB``, on one line."""
    number, unit = (f"{count / 1e6:.1f}", "MB") if count >= 1e6 else (str(max(1, round(count / 1e3))), "kB")
    return f"{number}\N{NO-BREAK SPACE}{unit}"


@cache
def _environment() -> Environment:
    env = Environment(
        loader=PackageLoader("runner.reports", "page"), autoescape=True, undefined=StrictUndefined,
        trim_blocks=True, lstrip_blocks=True,
    )  # fmt: skip
    filters = {
        "duration": _lasts,
        "money": _money,
        "json": _tokens,
        "lasted": lasted,
        "percent": _percent,
        "lasting": lasting,
        "took": took,
    }
    env.filters.update(filters)
    env.globals |= {"glyphs": GLYPHS, "said": SAID, "phases": WORDS, "drawings": _drawings, "spans": _spans,
                    "tick": _tick}  # fmt: skip
    return env


def _asset(name: str) -> str:
    return files("runner.reports").joinpath("page", name).read_text(encoding="utf-8")


def _money(usd: float) -> str:
    return f"{usd:.4f}"


def _percent(part: float) -> str:
    return f"{100 * part:.3f}%"


def _lasts(seconds: float | None) -> str:
    if seconds is None:
        return ""
    return f"{seconds * 1000:.0f} ms" if seconds < 0.1 else duration(seconds)


def _tick(seconds: float) -> str:
    if seconds >= 60:
        minutes, rest = divmod(round(seconds), 60)
        return f"{minutes} min" + (f" {rest} s" if rest else "")
    return f"{seconds:g} s"


@dataclass(frozen=True, slots=True)
class Drawing:
    """A graph as it is shown where there is so much room."""

    wide: bool
    narrow: bool
    svg: Markup


def _drawings(run: Run, prefix: str) -> Iterator[Drawing]:
    """The graph for a desk, where chains go to the right, and for a telephone, where they go down."""
    stamps = {
        step.id: drawing.Stamp(step.state, f"{GLYPHS[step.state]} {step.said}{_after(step)}") for step in run.steps
    }

    def drawn(*, sideways: bool) -> tuple[float, str]:
        way = "s" if sideways else "d"
        made = drawing.svg(run.graph, stamps=stamps, href=f"#{prefix}step-", sideways=sideways, alone=False,
                           prefix=f"{prefix}{way}")  # fmt: skip
        return float(made.partition('viewBox="0 0 ')[2].partition(" ")[0]), made

    down, right = drawn(sideways=False), drawn(sideways=True)
    wide = right if right[0] <= _WIDE or right[0] <= down[0] else down
    narrow = down if down[0] <= _NARROW or down[0] <= right[0] else right
    if wide is narrow:
        yield Drawing(wide=True, narrow=True, svg=Markup(wide[1]))  # noqa: S704 - escaped where it is drawn
    else:
        yield Drawing(wide=True, narrow=False, svg=Markup(wide[1]))  # noqa: S704 - as above
        yield Drawing(wide=False, narrow=True, svg=Markup(narrow[1]))  # noqa: S704 - as above


def _after(step: Step) -> str:
    return f" · {_lasts(step.seconds)}" if step.seconds else ""


def _spans(run: Run, spans: Sequence[Span]) -> list[tuple[Phase, str, str, str]]:
    """What a row of the timeline is made of: phase, left edge, width, in words."""
    found = []
    for span in spans:
        left, right = run.timeline.place(span.start), run.timeline.place(span.end)
        words = f"{WORDS[span.phase]}, {_lasts(span.end - span.start)}"
        found.append((span.phase, f"{100 * left:.3f}%", f"{100 * (right - left):.3f}%", words))
    return found


Token: TypeAlias = tuple[Literal["key", "text", "number", "word", ""], str]


def _tokens(value: JSON) -> list[Token]:
    """JSON as people read it, word by word with what each is."""
    return list(_told(value, "\n"))


def _told(value: JSON, line: str) -> Iterator[Token]:
    if isinstance(value, Artifact):
        yield "word", f"a file, {value.media_type}, {size(value.bytes)}"
    elif isinstance(value, Mapping) and value:
        yield "", "{"
        for number, (name, inner) in enumerate(value.items()):
            yield "", ("," if number else "") + line + "  "
            yield "key", json.dumps(str(name), ensure_ascii=False)
            yield "", ": "
            yield from _told(inner, line + "  ")
        yield "", line + "}"
    elif isinstance(value, list | tuple) and value:
        yield "", "["
        for number, inner in enumerate(value):
            yield "", ("," if number else "") + line + "  "
            yield from _told(inner, line + "  ")
        yield "", line + "]"
    elif isinstance(value, str):
        yield "text", json.dumps(value, ensure_ascii=False)
    else:
        yield "number" if isinstance(value, int | float) else "word", json.dumps(value, default=str)
