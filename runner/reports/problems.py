"""Problems as text: where, what, the line with a caret under the very characters, what instead."""

from __future__ import annotations

from collections.abc import Sequence

from ..errors import Problem

_WIDEST = 110


def text(problems: Sequence[Problem]) -> str:
    """All problems, one paragraph each, then how many."""
    parts = [one(problem) for problem in problems]
    errors = sum(not problem.warning for problem in problems)
    warnings = len(problems) - errors
    counts = [_count(errors, "problem")] if errors else []
    counts += [_count(warnings, "warning")] if warnings else []
    return "\n\n".join([*parts, ", ".join(counts)]) if parts else ""


def one(problem: Problem) -> str:
    """One problem::

    pipelines/card.yaml:31:19: flux-1-schnell has no aspect ratio 16:9. [value]
       31 |     aspect_ratio: 16:9
          |                   ^^^^
          = It has 1:1, 4:3, 3:4.
    """
    mark = problem.mark
    word = "warning: " if problem.warning else ""
    lines = [f"{mark}: {word}{problem.message} [{problem.code}]"]
    if mark.text.strip():
        line, column = _window(mark.text.replace("\t", " "), mark.column - 1)
        length = max(1, min(mark.length, len(line) - column))
        lines.append(f"{mark.line:5} | {line}")
        lines.append(f"      | {' ' * column}{'^' * length}")
    if problem.instead:
        lines.append(f"      = {problem.instead}")
    return "\n".join(lines)


def _window(line: str, column: int) -> tuple[str, int]:
    """A long line, cut so that the place stays in sight."""
    if len(line) <= _WIDEST:
        return line, column
    start = max(0, min(column - _WIDEST // 3, len(line) - _WIDEST))
    shown = ("…" if start else "") + line[start + bool(start) : start + _WIDEST]
    return shown + ("…" if start + _WIDEST < len(line) else ""), column - start


def _count(number: int, word: str) -> str:
    return f"{number} {word}{'s' * (number != 1)}"
