"""A run as it goes on: a live table on a terminal, one plain line an event anywhere else."""

from __future__ import annotations

import threading
from collections.abc import Callable
from types import TracebackType
from typing import Protocol, Self, TextIO

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from ..errors import counted, one_line
from ..events import (
    AttemptFailed,
    BudgetTold,
    CallStarted,
    CellAnswered,
    CellAsked,
    CellBlocked,
    CellCancelled,
    CellDone,
    CellFailed,
    CellSkipped,
    CellState,
    CellWaits,
    Event,
    JobEnded,
    JobMoved,
    JobSubmitted,
    RunStarted,
    RunState,
    RunStopping,
    State,
    StepOpened,
)
from .money import cost, money
from .questions import told

_LOOKS: dict[State, tuple[str, str]] = {
    "waiting": ("·", "dim"),
    "running": ("▸", "cyan"),
    "asking": ("?", "bold magenta"),
    "done": ("✓", "green"),
    "cached": ("=", "green"),
    "skipped": ("-", "dim"),
    "failed": ("✗", "bold red"),
    "blocked": ("✗", "yellow"),
    "cancelled": ("✗", "yellow"),
}
_MOST_ROWS = 20
_TAIL = 60


class Reporter(Protocol):
    """A sink that shows what it is told while its ``with`` block lasts."""

    live: bool
    """Whether it shows texts while they grow."""

    def say(self, text: str) -> None: ...
    def prompt(self, text: str | None) -> None: ...
    def __call__(self, event: Event) -> None: ...
    def __enter__(self) -> Self: ...
    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


def reporter(stream: TextIO, clock: Callable[[], float], *, quiet: bool) -> Reporter:
    """The one that fits the stream."""
    if quiet:
        return Silent()
    console = Console(file=stream, highlight=False, soft_wrap=True)
    return LiveTable(console, clock) if console.is_terminal and not console.is_dumb_terminal else Lines(stream)


class Silent:
    """Says nothing."""

    live = False

    def __call__(self, event: Event) -> None:
        pass

    def say(self, text: str) -> None:
        """Show lines that stay."""

    def prompt(self, text: str | None) -> None:
        """Show the line that a person types in, as far as it has come; None when there is none any more."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        pass


class Lines(Silent):
    """One line an event, in the order they happened, with the seconds since the run began."""

    def __init__(self, stream: TextIO) -> None:
        self.stream = stream
        self.state = RunState()
        self._typed_in = ""

    def say(self, text: str) -> None:
        self.stream.write(f"{text}\n")
        self.stream.flush()

    def prompt(self, text: str | None) -> None:
        if text is not None and text != self._typed_in:  # the terminal itself shows what is typed
            self.stream.write(text)
            self.stream.flush()
        self._typed_in = text or ""

    def __call__(self, event: Event) -> None:
        self.state.add(event)
        if isinstance(event, RunStarted):
            for name in event.empty:
                self.say(_empty(name))
        if isinstance(event, CellCancelled) and self.state.exceeded:
            return  # one line has told it for all of them
        paid = self.state.cell(event.cell).cost if isinstance(event, CellDone) else None
        if line := line_of(event, free=self.state.free, paid=paid):
            self.stream.write(f"{event.at - self.state.started:7.1f}s  {line}\n")
            self.stream.flush()


class LiveTable(Silent):
    """A table that is redrawn as cells move; what failed stays on the screen above it."""

    live = True

    def __init__(self, console: Console, clock: Callable[[], float]) -> None:
        self.console, self.clock = console, clock
        self.state = RunState()
        self._prompt: str | None = None
        self._lock = threading.Lock()  # rich redraws from a thread of its own
        self._live = Live(get_renderable=self._table, console=console, refresh_per_second=8, transient=False)

    def __call__(self, event: Event) -> None:
        with self._lock:
            self.state.add(event)
        if isinstance(event, RunStarted):
            for name in event.empty:
                self._live.console.print(Text(_empty(name), style="yellow"))
        elif isinstance(event, AttemptFailed | BudgetTold | RunStopping):
            self._live.console.print(Text(line_of(event), style="yellow"))
        elif isinstance(event, CellAnswered) and event.where in ("terminal", "pick", "approve"):
            self._live.console.print(Text(line_of(event), style="green"))

    def say(self, text: str) -> None:
        self._live.console.print(Text(text))

    def prompt(self, text: str | None) -> None:
        self._prompt = text
        self._live.refresh()

    def __enter__(self) -> Self:
        self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._live.refresh()
        self._live.stop()

    def _table(self) -> RenderableType:
        with self._lock:
            cells = list(self.state.cells.values())
            shown = _shown(cells)
            table = Table.grid(padding=(0, 2))
            for cell in shown:
                table.add_row(*_row(cell, self.clock(), free=self.state.free))
            counts = Text(_counts(cells, self.state), style="dim")
        typed = [Text(f"{self._prompt}▏", style="bold", overflow="fold")] if self._prompt is not None else []
        return Group(*typed, table, counts)


def line_of(event: Event, *, free: bool = False, paid: float | None = None) -> str:
    """An event as a line; empty for those that only matter to the journal. In a ``free`` run nothing is paid; ``paid``
    is what a cell that is done has cost in this run, which may have fetched what another one paid for.
    """
    match event:
        case StepOpened(cells=0):
            return f"{event.step}: an empty list, so there is nothing to do"
        case StepOpened():
            return f"{event.step}: {counted(event.cells, 'cell')}"
        case CallStarted():
            tries = f", try {event.attempt}" if event.attempt > 1 else ""
            tries = f", candidate {event.candidate}{tries}" if event.candidate else tries
            return f"{event.cell}: asks {event.label}{tries}"
        case JobSubmitted():
            return f"{event.cell}: job {event.job} on {event.endpoint}"
        case JobMoved(status="COMPLETED" | "FAILED" | "CANCELLED" | "TIMED_OUT"):
            return ""  # what came of it is told next
        case JobMoved():
            return f"{event.cell}: {event.status}"
        case JobEnded():
            return f"{event.cell}: job {event.job} ended {event.status}"
        case AttemptFailed(attempt=0):  # nothing was sent for it yet
            return f"{event.cell}: {event.message}"
        case AttemptFailed():
            return (
                f"{event.cell}: try {event.attempt} failed ({event.fault}): {event.message}; next in {event.wait:.1f} s"
            )
        case CellDone():
            if event.cached:
                return f"{event.cell}: cached, nothing paid"
            usd = event.cost if paid is None else paid
            price = f"{'would be ' * free}{money(usd)}" if usd or not event.cost else "paid for earlier"
            return f"{event.cell}: done" + (f", {price}" if event.model else "")
        case CellFailed():
            return f"{event.cell}: FAILED: {event.message}"
        case CellBlocked():
            return f"{event.cell}: blocked, it needs {event.by}"
        case CellSkipped():
            return f"{event.cell}: skipped, {event.why}"
        case CellAsked():
            return f"{event.cell}: waits for a person: {event.question}"
        case CellAnswered():
            return f"{event.cell}: {said}" if (said := told(event)) else ""
        case CellWaits():
            return f"{event.cell}: waits for {event.by}"
        case BudgetTold():
            return event.message
        case RunStopping():
            return "Stopping: nothing new starts. Once more to leave at once."
        case CellCancelled():
            return f"{event.cell}: cancelled" + (f", {event.why}" if event.why else "")
    return ""


def _empty(name: str) -> str:
    return f"The input {name} is empty."


def _shown(cells: list[CellState]) -> list[CellState]:
    """All cells if they fit, else those in which something happens or went wrong."""
    if len(cells) <= _MOST_ROWS:
        return cells
    return [c for c in cells if c.state in ("running", "asking", "failed")][-_MOST_ROWS:]


def _row(cell: CellState, now: float, *, free: bool) -> tuple[Text, Text, Text, Text, Text]:
    mark, style = _LOOKS[cell.state]
    seconds = (cell.ended or now) - cell.started if cell.started else None
    said = cell.message or (_growing(cell) if cell.state == "running" else "")
    return (
        Text(mark, style=style),
        Text(cell.cell, style=style if cell.state == "failed" else ""),
        Text(cell.state, style=style),
        Text(f"{seconds:.1f} s" if seconds is not None else "", style="dim", justify="right"),
        Text(said or (f"{'would be ' * free}{money(cell.cost)}" if cell.cost else ""), style="dim", overflow="fold"),
    )


def _growing(cell: CellState) -> str:
    """The end of a text that is growing, on one line; what is known of the call while there is none."""
    tail = one_line(cell.tail)
    return f"…{tail[-_TAIL:]}" if len(tail) > _TAIL else tail or cell.status


def _counts(cells: list[CellState], state: RunState) -> str:
    ended = sum(cell.ended is not None for cell in cells)
    if not cells:
        return "starting"
    last = "; writing the outputs" if ended == state.expected else ""
    return f"{ended} of {state.expected} ended, {cost(state)}{last}"
