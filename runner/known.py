"""The models that a project knows: ours, over them those of its ``runner.yaml``, over them those of a file."""

from __future__ import annotations

from difflib import get_close_matches
from pathlib import Path

from . import catalogue, rows, source
from .catalogue import Catalogue, Model
from .errors import Mark, PipelineProblems, Problem, UsageError, nearest
from .files import NEAR, is_test, pipelines_and_tests

PIPELINE, TESTS = "a pipeline file", "a test file"
"""What a file is wanted as."""


def models(folder: Path, own: Path | None = None) -> Catalogue:
    """The models of the project in a folder; ``own`` is a file of rows. `PipelineProblems` for a row that is none."""
    known = catalogue.builtin()
    settings = folder / "runner.yaml"
    if settings.is_file():
        known = known.merged(_of_project(settings))
    if own is not None:
        known = known.merged(rows.of_file(source.parse(text_of(own, "a catalogue"), str(own))))
    return known


def of_kind(known: Catalogue, kind: str | None) -> list[Model]:
    """The models for a kind of step, or all of them, kind by kind. `UsageError` if no model is for that kind."""
    kinds = [kind] if kind else list(catalogue.KINDS)
    if kind and kind not in catalogue.KINDS:
        msg = f"There is no kind {kind} with models. {nearest(kind, catalogue.KINDS)}"
        raise UsageError(msg)
    return [model for each in kinds for model in known.of_kind(each) if kind or model.kind == each]


class Unreadable(UsageError):
    """A file that was named has no text; as a ``problem`` it can stand beside those of other files."""

    def __init__(self, message: str, mark: Mark, instead: str = "") -> None:
        self.problem = Problem("file", message, mark, instead)
        super().__init__(f"{message} {instead}".rstrip())


def text_of(path: Path, what: str) -> str:
    """The text of a file. `Unreadable` says why there is none, and where."""
    start = Mark(str(path), 1, 1)
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise Unreadable(f"There is no file {path}.", start, _meant(path, what)) from None
    except IsADirectoryError:
        raise Unreadable(f"{path} is a folder; name {what} in it.", start) from None
    except UnicodeDecodeError as err:
        if (other := _media(path)) is not None:
            raise Unreadable(f"{path} is {other}, and no text.", start, f"Name {what}.") from err
        raise Unreadable(f"{path} is not a text file in UTF-8.", _stray(path), "Save it as UTF-8.") from err
    except OSError as err:
        raise Unreadable(f"{path} cannot be read: {err.strerror}.", start) from None


def _media(path: Path) -> str | None:
    """What a file is that is a picture, a sound or a video."""
    from .media import media_type  # noqa: PLC0415 - only on the way to a problem; --help is faster without

    with path.open("rb") as file:
        family = media_type(file.read(512)).partition("/")[0]
    return {"image": "a picture", "audio": "a sound", "video": "a video"}.get(family)


def _stray(path: Path) -> Mark:
    """Where the first byte of a file stands that is not UTF-8."""
    content = path.read_bytes()
    try:
        content.decode("utf-8")
    except UnicodeDecodeError as err:
        begin = content.rfind(b"\n", 0, err.start) + 1
        column = len(content[begin : err.start].decode("utf-8")) + 1
        line = content[begin:].partition(b"\n")[0].decode("utf-8", "replace").rstrip("\r")
        shown = "".join(c if c.isprintable() or c == "\t" else "\ufffd" for c in line)
        return Mark(str(path), content.count(b"\n", 0, err.start) + 1, column, text=shown)
    return Mark(str(path), 1, 1)  # somebody has mended it meanwhile


def _meant(path: Path, what: str) -> str:
    """Which pipelines or tests somebody may have meant who named a file that is not there."""
    if what not in (PIPELINE, TESTS):
        return ""
    try:
        there = [each for each in pipelines_and_tests(Path(), NEAR) if is_test(each) == (what == TESTS)]
    except OSError:
        return ""
    stem = _stem(path)
    same = [each.as_posix() for each in there if _stem(each) == stem]
    if same:
        return f"Did you mean {' or '.join(same[:3])}?"
    stems = {_stem(each): each.as_posix() for each in there}
    if near := get_close_matches(stem, stems, n=1, cutoff=0.6):
        return f"Did you mean {stems[near[0]]}?"
    return nearest("", sorted(stems.values())) if stems else ""


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
    return rows.of_file(document)
