"""The examples of the registry of codes, checked: what `runner check` says of each."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

from . import loading, testing
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
        found = testing.read(path).problems if code.of_tests else _of_pipeline(folder, code)
        return tuple(
            replace(
                problem,
                message=problem.message.replace(f"{folder}{os.sep}", ""),
                mark=replace(problem.mark, file=str(Path(problem.mark.file).relative_to(folder))),
            )
            for problem in found
        )


def _of_pipeline(folder: Path, code: Code) -> list[Problem]:
    """What is found in the pipeline of an example, also beside the other pipelines in its folder."""
    others = [loading.read(folder / name) for name in code.beside if "\noutputs:" in code.beside[name]]
    own = loading.read(folder / code.file)
    return [*own.problems, *loading.of_all([*others, own])]


def said_of(code: Code) -> str:
    """What a check says about the wrong example of a code."""
    return "\n".join(map(one, check(code, code.wrong)))
