"""The models that a project knows: ours, over them those of its ``runner.yaml``, over them those of a file."""

from __future__ import annotations

from difflib import get_close_matches
from pathlib import Path

from . import catalogue, rows, source
from .catalogue import Catalogue, Model
from .errors import PipelineProblems, UsageError, nearest
from .files import is_test, pipelines_and_tests

PIPELINE, TESTS = "a pipeline file", "a test file"
"""What a file is wanted as."""


def models(folder: Path, own: Path | None = None) -> Catalogue:
    """The models of the project in a folder; ``own`` is a file of rows. `PipelineProblems` for a row that is none."""
    known = catalogue.builtin()
    settings = folder / "runner.yaml"
    if settings.is_file():
        known = known.merged(_of_project(settings))
    if own is not None:
        known = known.merged(rows.read(source.parse(text_of(own, "a catalogue"), str(own))))
    return known


def of_kind(known: Catalogue, kind: str | None) -> list[Model]:
    """The models for a kind of step, or all of them, kind by kind. `UsageError` if no model is for that kind."""
    kinds = [kind] if kind else list(catalogue.KINDS)
    if kind and kind not in catalogue.KINDS:
        msg = f"There is no kind {kind} with models. {nearest(kind, catalogue.KINDS)}"
        raise UsageError(msg)
    return [model for each in kinds for model in known.of_kind(each) if kind or model.kind == each]


def text_of(path: Path, what: str) -> str:
    """The text of a file. `UsageError` says why there is none."""
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        msg = f"There is no file {path}.{_meant(path, what)}"
        raise UsageError(msg) from None
    except IsADirectoryError:
        msg = f"{path} is a folder; name {what} in it."
        raise UsageError(msg) from None
    except UnicodeDecodeError:
        msg = f"{path} is not a text file in UTF-8."
        raise UsageError(msg) from None
    except OSError as err:
        msg = f"{path} cannot be read: {err.strerror}."
        raise UsageError(msg) from None


def _meant(path: Path, what: str) -> str:
    """Which pipelines or tests somebody may have meant who named a file that is not there."""
    if what not in (PIPELINE, TESTS):
        return ""
    try:
        there = [each for each in pipelines_and_tests(Path()) if is_test(each) == (what == TESTS)]
    except OSError:
        return ""
    stem = _stem(path)
    same = [each.as_posix() for each in there if _stem(each) == stem]
    if same:
        return f" Did you mean {' or '.join(same[:3])}?"
    stems = {_stem(each): each.as_posix() for each in there}
    if near := get_close_matches(stem, stems, n=1, cutoff=0.6):
        return f" Did you mean {stems[near[0]]}?"
    return f" {nearest('', sorted(stems.values()))}" if stems else ""


def _stem(path: Path) -> str:
    return path.name.partition(".")[0]


def _of_project(settings: Path) -> list[Model]:
    here = Path.cwd()
    shown = settings.relative_to(here) if settings.is_relative_to(here) else settings
    try:
        document = source.parse(text_of(settings, "settings"), str(shown))
    except PipelineProblems as err:
        if err.problems[0].code == "empty":  # it only says where the project begins
            return []
        raise
    has_rows = isinstance(document.data, dict) and document.data.get("models") is not None
    return rows.read(document, ("models",)) if has_rows else []
