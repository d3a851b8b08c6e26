"""Problems as text: where, what, the line with a caret under the very characters, what instead."""

from __future__ import annotations

from collections.abc import Sequence

from ..codes import BY_NAME, called
from ..errors import Problem, counted

_WIDEST = 110


def text(problems: Sequence[Problem]) -> str:
    """All problems, one paragraph each, then how many and where there is more about the first."""
    parts = [one(problem) for problem in problems]
    errors = sum(not problem.warning for problem in problems)
    warnings = len(problems) - errors
    counts = [counted(errors, "problem")] if errors else []
    counts += [counted(warnings, "warning")] if warnings else []
    more = next(
        (f". What that means: runner explain {BY_NAME[p.code].number}" for p in problems if p.code in BY_NAME), ""
    )
    return "\n\n".join([*parts, ", ".join(counts) + more]) if parts else ""


def one(problem: Problem) -> str:
    """One problem::

    pipelines/card.yaml:31:19: flux-1-schnell has no aspect ratio 16:9. [E303 model-value]
       31 |     aspect_ratio: 16:9
          |                   ^^^^
          = It has 1:1, 4:3, 3:4.
    """
    mark = problem.mark
    word = "warning: " if problem.warning else ""
    code = f" [{called(problem.code)}]" if problem.code in BY_NAME else ""  # there is no more to be told of others
    lines = [f"{mark}: {word}{problem.message}{code}"]
    if mark.text.strip():
        line, column = _window(mark.text, mark.column - 1)
        length = max(1, min(mark.length, len(line) - column))
        lines.append(f"{mark.line:5} | {line}")
        lines.append(f"      | {' ' * column}{'^' * length}")
    lines += [f"      = {said}" for said in (problem.instead, problem.elsewhere) if said]
    return "\n".join(map(_printable, lines))


def _printable(line: str) -> str:
    """A line that cannot steer the terminal it is shown on: every control character is a space or a ``�``."""
    return "".join(c if c.isprintable() else " " if c.isspace() else "�" for c in line)


def _window(line: str, column: int) -> tuple[str, int]:
    """A long line, cut so that the place stays in sight."""
    if len(line) <= _WIDEST:
        return line, column
    start = max(0, min(column - _WIDEST // 3, len(line) - _WIDEST))
    shown = ("…" if start else "") + line[start + bool(start) : start + _WIDEST]
    return shown + ("…" if start + _WIDEST < len(line) else ""), column - start
