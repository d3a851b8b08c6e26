"""The examples of the registry of codes, checked: what `runner check` says of each."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

from . import app, testing
from .codes import Code
from .errors import Problem
from .reports.problems import one


def check(code: Code, text: str) -> tuple[Problem, ...]:
    """What a check finds in an example of a code, in a folder with what lies beside it."""
    with TemporaryDirectory() as name:
        folder = Path(name)
        for file, content in {"runner.yaml": "", **code.beside, code.file: text}.items():
            (folder / file).write_text(content, encoding="utf-8")
        path = folder / code.file
        found = testing.read(path).problems if code.of_tests else app.read(path).problems
        return tuple(
            replace(problem, mark=replace(problem.mark, file=str(Path(problem.mark.file).relative_to(folder))))
            for problem in found
        )


def said_of(code: Code) -> str:
    """What a check says about the wrong example of a code."""
    return "\n".join(map(one, check(code, code.wrong)))
