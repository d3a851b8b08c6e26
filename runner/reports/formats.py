"""Problems for machines: JSON, SARIF 2.1.0, GitHub's annotations and GitLab's code quality report."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TypeAlias
from urllib.parse import quote

from .. import __version__
from ..codes import BY_NAME, CODES, PAGES, called
from ..errors import Mark, Problem
from ..model import JSON
from . import github, problems

Place: TypeAlias = Callable[[str], str]
"""A file as the reader of a report names it: from the root of the repository."""

_SARIF = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"


def place(root: Path) -> Place:
    """Files as they are named from ``root``, with slashes; one that is elsewhere by its whole path."""

    def named(file: str) -> str:
        path = Path(file).resolve()
        return path.relative_to(root).as_posix() if path.is_relative_to(root) else path.as_posix()

    return named


def _text(found: Sequence[Problem], _: Place) -> str:
    return problems.text(found)


def _json(found: Sequence[Problem], place: Place) -> str:
    """One object; its ``problems`` in the order of the files, columns counted from 1."""
    rows = [
        {
            "code": _number(problem.code),
            "name": problem.code,
            "warning": problem.warning,
            "message": problem.message,
            "instead": problem.instead,
            "file": place(problem.mark.file),
            "line": problem.mark.line,
            "column": problem.mark.column,
            "end_column": problem.mark.column + problem.mark.length,
            "text": problem.mark.text,
            "also": [
                {"line": mark.line, "column": mark.column, "end_column": mark.column + mark.length}
                for mark in problem.also
            ],
        }
        for problem in found
    ]
    return _dumped({"format": 1, "problems": rows})


def _sarif(found: Sequence[Problem], place: Place) -> str:
    """One run of one tool; GitHub's code scanning and most editors read it."""
    used = {problem.code for problem in found}
    rules = [code for code in CODES if code.name in used]
    index = {code.name: number for number, code in enumerate(rules)}
    marks = _fingerprints(found, place)
    return _dumped(
        {
            "$schema": _SARIF,
            "version": "2.1.0",
            "runs": [
                {
                    "tool": {
                        "driver": {
                            "name": "runner",
                            "version": __version__,
                            "rules": [
                                {
                                    "id": code.number,
                                    "name": "".join(part.title() for part in code.name.split("-")),
                                    "shortDescription": {"text": f"{code.title}."},
                                    "fullDescription": {"text": code.why},
                                    "help": {"text": f"runner explain {code.number}, or {PAGES}"},
                                    "defaultConfiguration": {"level": "warning" if code.warning else "error"},
                                }
                                for code in rules
                            ],
                        }
                    },
                    "columnKind": "unicodeCodePoints",
                    "results": [
                        {
                            "ruleId": _number(problem.code),
                            **({"ruleIndex": index[problem.code]} if problem.code in index else {}),
                            "level": "warning" if problem.warning else "error",
                            "message": {"text": _sentences(problem)},
                            "locations": [{"physicalLocation": _location(problem.mark, place)}],
                            "relatedLocations": [{"physicalLocation": _location(at, place)} for at in problem.also],
                            "partialFingerprints": {"problem/v1": mark},
                        }
                        for problem, mark in zip(found, marks, strict=True)
                    ],
                }
            ],
        }
    )


def _github(found: Sequence[Problem], place: Place) -> str:
    """A workflow command a problem: GitHub shows it at its line of the pull request."""
    return "\n".join(annotation(problem, place) for problem in found)


def _gitlab(found: Sequence[Problem], place: Place) -> str:
    """GitLab's code quality report, an issue a problem."""
    marks = _fingerprints(found, place)
    return _dumped(
        [
            {
                "description": _sentences(problem),
                "check_name": called(problem.code),
                "fingerprint": mark,
                "severity": "minor" if problem.warning else "critical",
                "location": {
                    "path": place(problem.mark.file),
                    "positions": {
                        "begin": {"line": problem.mark.line, "column": problem.mark.column},
                        "end": {"line": problem.mark.line, "column": problem.mark.column + problem.mark.length},
                    },
                    "lines": {"begin": problem.mark.line},
                },
            }
            for problem, mark in zip(found, marks, strict=True)
        ]
    )


def annotation(problem: Problem, place: Place) -> str:
    """A problem as GitHub's workflow command."""
    mark = problem.mark
    return github.command(
        "warning" if problem.warning else "error",
        _sentences(problem),
        file=place(mark.file),
        **github.at(mark),
        title=called(problem.code),
    )


FORMATS: Mapping[str, Callable[[Sequence[Problem], Place], str]] = {
    "text": _text,
    "json": _json,
    "sarif": _sarif,
    "github": _github,
    "gitlab": _gitlab,
}


def _sentences(problem: Problem) -> str:
    return " ".join(filter(None, (problem.message, problem.instead, problem.elsewhere)))


def _number(code: str) -> str:
    return BY_NAME[code].number if code in BY_NAME else code


def _location(mark: Mark, place: Place) -> JSON:
    region = {"startLine": mark.line, "startColumn": mark.column, "endColumn": mark.column + mark.length}
    snippet = {"snippet": {"text": mark.text}} if mark.text else {}
    return {"artifactLocation": {"uri": quote(place(mark.file))}, "region": {**region, **snippet}}


def _fingerprints(found: Sequence[Problem], place: Place) -> list[str]:
    """What tells a problem from all others and stays when lines above it come and go."""
    seen: dict[tuple[str, ...], int] = {}
    marks = []
    for problem in found:
        same = (place(problem.mark.file), problem.code, problem.message, problem.mark.text.strip())
        seen[same] = seen.get(same, 0) + 1
        marks.append(hashlib.sha256("\0".join([*same, str(seen[same])]).encode()).hexdigest()[:32])
    return marks


def _dumped(value: JSON) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False)
