"""Runs the cases of test files: each against the emulator, a recording or canned outputs, in a folder that goes away.

No key is read, no request leaves this machine for Runpod, and the project's own store is neither read nor written.
"""

from __future__ import annotations

import hashlib
import json
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from . import app, loading
from .canned import Canned
from .cases import case as cases
from .cases.case import SUFFIX, Case
from .cases.judging import CODE, Ended, Tried, judge
from .checking import Checked
from .errors import Mark, Problem, RunnerError, UsageError, nearest
from .files import is_test, is_url, pipelines_and_tests
from .known import TESTS, text_of
from .model import JSON, Artifact
from .options import Options
from .source import Document, parse


@dataclass(frozen=True, slots=True, eq=False)
class Tests:
    """A test file as far as it could be read, with everything that is wrong with it and with its pipeline."""

    path: Path
    pipeline: loading.Read | None
    cases: tuple[Case, ...]
    problems: tuple[Problem, ...]
    profiles: Mapping[str, loading.Read] = field(default_factory=dict)
    """The pipeline as it is in each profile that a case takes."""

    @property
    def wrong(self) -> list[Problem]:
        """What keeps its cases from being run."""
        return [problem for problem in self.problems if not problem.warning]

    def reads(self) -> Iterator[Path]:
        """The files that were read for it."""
        yield self.path
        if self.pipeline is not None:
            yield from loading.reads(self.pipeline, loading.Given())


def files(named: Sequence[Path]) -> list[Path]:
    """The test files that are meant: those named, those of pipelines or in folders named; else all of this project."""
    found: dict[Path, None] = {}
    for path in named:
        if path.is_dir():
            inside = list(_in(path))
            if not inside:
                msg = f"There is no *{SUFFIX} file in {path}. {_ONE_BESIDE}"
                raise UsageError(msg)
            found |= dict.fromkeys(inside)
        elif path.name.endswith(SUFFIX):
            found[path] = None
        else:
            text_of(path, TESTS)  # says why where there is no such file
            beside = path.with_name(path.stem + SUFFIX)
            if not beside.is_file():
                msg = f"{path} has no tests: there is no {beside}. Write some there, or name a *{SUFFIX} file."
                raise UsageError(msg)
            found[beside] = None
    if not named:
        found = dict.fromkeys(path for path in loading.of_project() if is_test(path))
        if not found:
            project = loading.project(Path.cwd() / "x")
            msg = f"There is no *{SUFFIX} file in {project}. {_ONE_BESIDE}"
            raise UsageError(msg)
    return list(found)


_ONE_BESIDE = f"Write one beside a pipeline: NAME{SUFFIX} for NAME.yaml."


def _in(folder: Path) -> Iterator[Path]:
    return (path for path in pipelines_and_tests(folder) if is_test(path))


def read(path: Path, own: Path | None = None) -> Tests:
    """Read a test file and its pipeline, and check both; ``own`` is a catalogue of the author's.

    `UsageError` if there is no such file.
    """
    document, problems = cases.read(text_of(path, TESTS), str(path))
    if document is None:
        return Tests(path, None, (), tuple(problems))
    pipeline = _pipeline_of(path, document, problems, own)
    if pipeline is None:
        return Tests(path, None, (), tuple(sorted(problems, key=_place)))
    found: list[Case] = []
    profiles: dict[str, loading.Read] = {}

    def read_in(profile: str | None) -> Checked | None:
        if profile is None:
            return pipeline.checked
        if profile not in profiles:
            profiles[profile] = loading.read(pipeline.path, own, profile)
        return profiles[profile].checked

    if pipeline.pipeline is not None and pipeline.checked is not None:
        found, more = cases.load(document, pipeline.pipeline.profiles, read_in, _Beside(path.parent))
        problems = list(dict.fromkeys([*problems, *more]))
    problems.sort(key=_place)
    return Tests(path, pipeline, tuple(found), (*problems, *pipeline.problems), profiles)


def _place(problem: Problem) -> tuple[int, int]:
    return problem.mark.line, problem.mark.column


def _pipeline_of(path: Path, document: Document, problems: list[Problem], own: Path | None) -> loading.Read | None:
    """The pipeline that a test file is of. That there is none is a problem of the test file."""
    said = document.data.get("pipeline")
    if said is not None and not isinstance(said, str):
        return None
    name = said or path.name.removesuffix(SUFFIX) + ".yaml"
    file = path.parent / name
    if file.is_file():
        return loading.read(file, own)
    known = sorted(p.name for p in path.parent.glob("*.yaml") if not p.name.endswith((SUFFIX, ".lock.yaml")))
    mark = document.mark(("pipeline",)) if said else Mark(document.file, 1, 1, 1, document.mark().text)
    cure = nearest(name, known) if said else f"Write pipeline: FILE. {nearest(name, known)}".rstrip()
    problems.append(Problem("file", f"There is no pipeline {file}.", mark, cure or "Name a pipeline's file."))
    return None


@dataclass(frozen=True, slots=True)
class _Beside:
    """The files beside a test file."""

    folder: Path

    def is_file(self, name: str) -> bool:
        return is_url(name) or (self.folder / name).is_file()

    def is_recording(self, name: str) -> bool:
        from .runpod.cassette import ABOUT  # noqa: PLC0415 - tests without one need nothing of the world

        return (self.folder / name / ABOUT).is_file()

    def artifact(self, name: str) -> Artifact:
        path = self.folder / name
        if not path.is_file():
            msg = f"there is no file {path}"
            raise ValueError(msg)
        return _artifact(path)


async def run(tests: Tests, case: Case) -> Tried:
    """Run a case and judge what came of it. KeyboardInterrupt if a signal stopped it."""
    pipeline = tests.profiles[case.profile] if case.profile is not None else tests.pipeline
    assert pipeline is not None
    began = time.perf_counter()
    with tempfile.TemporaryDirectory(prefix="runner-test-") as folder:
        options = Options(
            out=Path(folder) / "out",
            home=Path(folder) / ".runner",
            local=case.replay is None and case.canned is None,
            offline=case.canned is not None,
            canned=Canned(case.canned) if case.canned is not None else None,
            replay=tests.path.parent / case.replay if case.replay is not None else None,
            env=case.env,
            profile=case.profile,
            pick_first=True,
            approve=True,
        )
        given = loading.Given(values=case.inputs, beside=tests.path.parent, written="yaml")
        try:
            done = await app.run(pipeline, given, options, lambda _: None, lambda _: None)
        except RunnerError as err:
            fault = Problem(CODE, f"The case cannot run. {err}", case.document.mark(case.path, key=True))
            return Tried(case, (fault,), time.perf_counter() - began, 0.0)
        if done.state.stopping:
            raise KeyboardInterrupt
        ended = Ended(done.state, dict(_outputs(done.outputs)), done.missing)
        faults = tuple(judge(case, ended))
    return Tried(case, faults, time.perf_counter() - began, done.state.cost, done.notes)


def _outputs(written: Mapping[str, Path]) -> Iterator[tuple[str, JSON]]:
    """The outputs of a run as their files hold them."""
    from .publish import REST  # noqa: PLC0415 - as above

    for name, path in written.items():
        suffix = path.suffix.lower()
        if name == REST:
            yield from json.loads(path.read_text(encoding="utf-8")).items()
        elif suffix == ".json":
            yield name, json.loads(path.read_text(encoding="utf-8"))
        elif suffix in (".yaml", ".yml"):
            yield name, parse(path.read_text(encoding="utf-8"), str(path)).data
        else:
            artifact = _artifact(path)
            is_text = artifact.media == "file"
            yield name, path.read_text(encoding="utf-8", errors="replace") if is_text else artifact


def _artifact(path: Path) -> Artifact:
    """A file as what it is. ValueError for a picture that is damaged."""
    from .media import look  # noqa: PLC0415 - as above

    looks = look(path)
    content = path.read_bytes()
    return Artifact(
        sha256=hashlib.sha256(content).hexdigest(),
        media_type=looks.media_type,
        bytes=len(content),
        path=str(path.resolve()),
        width=looks.width,
        height=looks.height,
        seconds=looks.seconds,
    )
