"""What a person is asked, as text: the question, what it is about and where that lies, and what may be typed."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TypeAlias

from ..errors import one_line
from ..events import CellAnswered, CellAsked, CellState
from ..model import JSON, Artifact, json_line, step_of

_MOST = 60
_MOST_QUESTIONS = 10

LaidOut: TypeAlias = Callable[[CellAsked], Mapping[str, Path]]
"""Where what a question is about lies, each thing by its number or name."""


def nothing(asked: CellAsked) -> Mapping[str, Path]:
    """Nothing lies there."""
    del asked
    return {}


def question(asked: CellAsked, files: Mapping[str, Path]) -> list[str]:
    """The question and what it is about, a line each."""
    width = max(map(len, asked.shown), default=0)
    things = [f"  {name:>{width}}  {thing(value, files.get(name))}" for name, value in asked.shown.items()]
    return [f"{asked.cell}: {one_line(asked.question)}", *things]


def thing(value: JSON, file: Path | None) -> str:
    """``.runner/runs/…/photo.candidate-2.png  1024x768  seed 8``, or the beginning of a text."""
    values = value if isinstance(value, Mapping) else {"": value}
    artifact = next((inner for inner in values.values() if isinstance(inner, Artifact)), None)
    if artifact is None:
        said = values.get("text", values.get("", value))
        text = one_line(said if isinstance(said, str) else json_line(said))
        text = text if len(text) <= _MOST else f"{text[:_MOST]}…"
        return f"{relative(file)}  {text}" if file is not None and isinstance(value, Mapping) else text
    size = f"  {artifact.width}x{artifact.height}" if artifact.width else ""
    size += f"  {artifact.seconds:.1f} s" if artifact.seconds else ""
    seed = f"  seed {values['seed']}" if values.get("seed") is not None else ""
    return f"{relative(file) if file is not None else artifact.path}{size}{seed}"


def prompt(asked: CellAsked) -> str:
    """What may be typed."""
    if asked.asks == "approve":
        opens = "o opens it, " if any(_is_file(value) for value in asked.shown.values()) else ""
        return f"{asked.cell}: y or n, {opens}q leaves it open: "
    numbers = list(asked.shown)
    which = f"{numbers[0]}-{numbers[-1]}" if len(numbers) > 1 else numbers[0]
    return f"{asked.cell}: {which}, o opens them, a makes {asked.more} more, q leaves it open: "


def _is_file(value: JSON) -> bool:
    return isinstance(value, Artifact)


def understood(asked: CellAsked, typed: str) -> tuple[str, str] | str:
    """What was typed, as a word and what it is about (``pick 3``, ``open 2``); a sentence if it cannot be."""
    word = typed.strip().lower()
    if word in ("q", "quit"):
        return "leave", ""
    if found := re.fullmatch(r"(?:o|open)\s*(\S*)", word):
        if found[1] and found[1] not in asked.shown:
            return f"There is no {found[1]} here. {_known(asked)}"
        return "open", found[1]
    if asked.asks == "approve":
        if word in ("y", "yes", "n", "no"):
            return "say", "yes" if word[0] == "y" else "no"
        return "Type y for yes, n for no, or q to leave it open."
    if word in ("a", "again", "more"):
        return "more", ""
    if word not in asked.shown:
        return f"There is no candidate {word}. {_known(asked)}" if word else _known(asked)
    return "pick", word


def _known(asked: CellAsked) -> str:
    return f"Type one of {', '.join(asked.shown)}."


def command(run: str, cell: CellState) -> str:
    """The command that answers a question."""
    name = shlex.quote(cell.cell)
    if cell.asked is not None and cell.asked.asks == "approve":
        return f"runner approve {run} {name} yes   (or no)"
    return f"runner pick {run} {name} N"  # no |, which a shell would take for a pipe, and no number that chooses


def open_ones(run: str, cells: Sequence[CellState], laid_out: LaidOut) -> Iterator[str]:
    """The open questions of a run, each with the command that answers it."""
    for cell in cells[:_MOST_QUESTIONS]:
        if cell.asked is not None:
            yield from question(cell.asked, laid_out(cell.asked))
            yield f"  {command(run, cell)}"
    yield from _at_once(run, cells)
    if (more := len(cells) - _MOST_QUESTIONS) > 0:
        yield f"… and {more} more questions; runner show {run} lists them"


def _at_once(run: str, cells: Sequence[CellState]) -> Iterator[str]:
    """How several questions are answered by one command."""
    asked = [cell for cell in cells if cell.asked is not None]
    for step in dict.fromkeys(step_of(cell.cell) for cell in asked):
        of_step = [cell for cell in asked if step_of(cell.cell) == step]
        if len(of_step) > 1 and all(cell.asked is not None and cell.asked.asks == "approve" for cell in of_step):
            yield f"All of {step}: runner approve {run} {shlex.quote(step)} yes   (or no)"
        elif len(of_step) > 1:
            names = " ".join(f"{shlex.quote(cell.cell)} N" for cell in of_step[:2])
            yield f"Several at once: runner pick {run} {names}{' …' * (len(of_step) > 2)}"


def answered(cell: CellState) -> str:
    """``3 of 4, chosen at the terminal``; nothing if nobody has answered."""
    return told(cell.answer) if cell.answer is not None else ""


def told(answer: CellAnswered) -> str:
    """``3 of 4, chosen at the terminal``."""
    where = {"store": "earlier", "lock": "in the lock", "first": "by --pick first", "option": "by --approve",
             "terminal": "at the terminal"}.get(answer.where, f"by runner {answer.where}")  # fmt: skip
    if isinstance(answer.answer, bool):
        return f"{'yes' if answer.answer else 'no'}, said {where}"
    return f"{answer.answer} of {answer.of}, chosen {where}"


def relative(path: Path) -> str:
    """The path as one would type it from here."""
    try:
        return str(path.resolve().relative_to(Path.cwd()))
    except ValueError:
        return str(path)
