"""Whose outputs lie in a folder: each run notes what it wrote there, so that no pipeline writes over another's unasked.

A note is a file of ``.runner/outputs`` for each folder: which pipeline files wrote into it, and under which names.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path

from . import source
from .checking import CELL_NAME
from .errors import PipelineProblems, StoreFailed, UsageError
from .planning import Plan
from .publish import REST, write
from .reports.questions import relative

_FORMAT = 1
_MOST = 4


def told(home: Path, out: Path, file: Path, plan: Plan, *, chosen: bool, again: bool) -> list[str]:
    """What is to be said of outputs that this run will write over, though another pipeline wrote them.

    `UsageError` where nobody has ``chosen`` the folder and both go there because they have the same name; a run that is
    taken up ``again`` cannot choose another.
    """
    said = []
    for other, names in _others(home, out, file, plan.outputs).items():
        what, where = f"{_listed(names)} of {relative(other)}", relative(out)
        if chosen or _name(other) not in (plan.pipeline, None):
            said.append(f"Written over in {where}: {what}.")
            continue
        cure = f"{'Give' if again else 'Write --out DIR, give'} one of them another name:, or move {where} away."
        msg = (
            f"{relative(file)} would write over {what} in {where}: both are called {plan.pipeline}. Nothing ran. {cure}"
        )
        raise UsageError(msg)
    return said


def note(home: Path, out: Path, file: Path, names: Collection[str]) -> None:
    """Note that a pipeline has written outputs into a folder. Without a note nothing is lost but a warning."""
    noted = {
        other: kept
        for other, theirs in _noted(home, out).items()
        if other != file and (kept := [name for name in theirs if not any(_alike(name, own) for own in names)])
    }
    noted[file] = sorted(set(map(_written_as, names)))
    data = {
        "format": _FORMAT,
        "folder": _from(out, home),
        "pipelines": {_from(other, home): theirs for other, theirs in noted.items()},
    }
    with contextlib.suppress(StoreFailed):
        write(_path(home, out), data)


def _others(home: Path, out: Path, file: Path, names: Iterable[str]) -> dict[Path, list[str]]:
    """The other pipelines that are still there and have outputs of these names in a folder, with these."""
    own = list(map(_written_as, names))
    found: dict[Path, list[str]] = {}
    for other, theirs in _noted(home, out).items():
        if other != file and other.is_file():
            shared = [name for name in theirs if any(_alike(name, each) for each in own) and _is_there(out, name)]
            if shared:
                found[other] = shared
    return found


def _noted(home: Path, out: Path) -> dict[Path, list[str]]:
    try:
        data = json.loads(_path(home, out).read_text(encoding="utf-8"))
        noted: Mapping[str, list[str]] = data["pipelines"] if data["format"] == _FORMAT else {}
        return {Path(os.path.normpath(home.resolve().parent / file)): names for file, names in noted.items()}
    except (OSError, ValueError, KeyError, TypeError):
        return {}


def _path(home: Path, out: Path) -> Path:
    return home / "outputs" / f"{hashlib.sha256(_from(out, home).encode()).hexdigest()[:16]}.json"


def _from(path: Path, home: Path) -> str:
    """A path as it is seen from the project, which may be moved as a whole."""
    try:
        return Path(os.path.relpath(path.resolve(), home.resolve().parent)).as_posix()
    except ValueError:  # on another drive
        return path.resolve().as_posix()


def _written_as(name: str) -> str:
    """The name of the file that an output goes to."""
    return name if Path(name).suffix else REST


def _alike(one: str, other: str) -> bool:
    """Whether two names may be one file. What cells are called is only known in a run."""
    one, other = _written_as(one), _written_as(other)
    if CELL_NAME.search(one) or CELL_NAME.search(other):
        return Path(one).suffix == Path(other).suffix
    return one == other


def _is_there(out: Path, name: str) -> bool:
    return any(out.glob(f"**/*{Path(name).suffix}")) if CELL_NAME.search(name) else (out / name).exists()


def _listed(names: list[str]) -> str:
    return (
        ", ".join(names)
        if len(names) <= _MOST
        else f"{', '.join(names[: _MOST - 1])} and {len(names) - _MOST + 1} more"
    )


def _name(file: Path) -> str | None:
    """What a pipeline is called now; None where that cannot be read."""
    try:
        data = source.parse(file.read_text(encoding="utf-8"), str(file)).data
    except (OSError, UnicodeError, PipelineProblems):
        return None
    return data.get("name") if isinstance(data, dict) else None
