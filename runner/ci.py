"""What a CI server is told beside what people are: events as they happen, reports, annotations, masks, outputs."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self, TextIO

from . import source
from .checking import Checked
from .codes import called
from .errors import CannotStart, Mark, PipelineProblems, RunnerError, StoreFailed, UsageError
from .reports import github

if TYPE_CHECKING:
    from .events import Event
    from .session import Done

_MOST_SUMMARY = 1_000_000
"""Bytes that GitHub takes of a step's summary, a little less."""
_MOST_OUTPUT = 200_000
"""Characters of one output; GitHub takes a megabyte of a job."""


def on_github(env: Mapping[str, str]) -> bool:
    """Whether this is a step of GitHub Actions, or of what follows its conventions."""
    return env.get("GITHUB_ACTIONS") == "true"


def root(env: Mapping[str, str]) -> Path:
    """The folder from which a CI server names files; here, where there is none."""
    for name in ("GITHUB_WORKSPACE", "CI_PROJECT_DIR"):
        if (folder := env.get(name)) and Path.cwd().is_relative_to(Path(folder).resolve()):
            return Path(folder).resolve()
    return Path.cwd()


def secrets(env: Mapping[str, str], checked: Checked | None) -> list[str]:
    """The values of Runpod's key, and of the keys and headers of the servers that a pipeline names."""
    names = ["RUNPOD_API_KEY"]
    for model in checked.models() if checked else ():
        names += [model.api_key_env] if model.api_key_env else []
        names += [header["env"] for header in model.headers.values() if isinstance(header, Mapping)]
    return list(dict.fromkeys(value for name in names if (value := env.get(name, "").strip())))


@dataclass(frozen=True, slots=True)
class Wanted:
    """What ``run`` is to write for machines: a file of events or ``-``, and reports when it has ended."""

    events: str | None = None
    junit: Path | None = None
    summary: Path | None = None

    @property
    def files(self) -> dict[str, Path]:
        """The files that are to be written, by their options."""
        events = Path(self.events) if self.events not in (None, "-") else None
        named = {"--events": events, "--junit": self.junit, "--summary": self.summary}
        return {option: path for option, path in named.items() if path is not None}


class WouldOverwrite(UsageError):
    """A report is to be written over a file that is read, or over another report. Then none is written."""


def spare(read: Iterable[Path], written: Mapping[str, Path]) -> None:
    """See to it that none of the files that are ``written``, by their options, is ``read``, or written twice.

    `WouldOverwrite` says which is. No report is YAML: a file of that is somebody's source, whoever reads it.
    """
    files = {option: path for option, path in written.items() if not _is_special(path)}
    sources = set(map(_identity, read)) if files else set()
    options: dict[object, str] = {}
    for option, path in files.items():
        if (this := _identity(path)) in sources or (path.suffix in (".yaml", ".yml") and path.exists()):
            msg = f"{option} would write over {path}, which is no report but a source. Name another file."
            raise WouldOverwrite(msg)
        if (other := options.setdefault(this, option)) != option:
            msg = f"{other} and {option} both write {path}. Name two files."
            raise WouldOverwrite(msg)


def _identity(path: Path) -> object:
    """What a file is known by, whatever its path."""
    try:
        found = path.stat()
    except (OSError, ValueError):  # there is none, or it cannot be the name of one
        return str(path.absolute())
    return found.st_dev, found.st_ino


def _is_special(path: Path) -> bool:
    """Whether it is a device or a pipe, which is written into and never over."""
    return path.exists() and not path.is_file() and not path.is_dir()


@dataclass(slots=True)
class Records:
    """Writes what is wanted, in a ``with`` block. Where it cannot be written is told before anything is paid."""

    wanted: Wanted
    env: Mapping[str, str]
    stdout: TextIO
    stderr: TextIO
    _events: TextIO | None = field(default=None, init=False)

    def __enter__(self) -> Self:
        for path in (self.wanted.junit, self.wanted.summary):
            if path is not None:
                can_be_written(path)
        if self.wanted.events == "-":
            self._events = self.stdout
        elif self.wanted.events is not None:
            path = Path(self.wanted.events)
            can_be_written(path)
            self._events = path.open("w", encoding="utf-8")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._events is not None and self._events is not self.stdout:
            with suppress(OSError):  # what could not be written has been told
                self._events.close()

    def __call__(self, event: Event) -> None:
        """One event, on its line as soon as it has happened."""
        if self._events is None:
            return
        from .events import line

        try:
            self._events.write(f"{line(event)}\n")
            self._events.flush()
        except BrokenPipeError:  # whoever read them has gone, which is no reason to end a run that is paid for
            os.dup2(os.open(os.devnull, os.O_WRONLY), self._events.fileno())
            self._events = None
        except OSError as err:
            msg = f"The events cannot be written to {self.wanted.events}: {err.strerror}"
            raise StoreFailed(msg) from err

    def end(self, done: Done) -> None:
        """The reports of a run that has ended, and what GitHub shows of it."""
        from .reports import junit, markdown

        file, marks = _places(done, root(self.env))
        if self.wanted.junit is not None:
            write(self.wanted.junit, junit.xml(done.state, done.missing, done.differs, file, marks, done.waiting))
        wanted = [self.wanted.summary] if self.wanted.summary else []
        if wanted or on_github(self.env):
            text = markdown.text(done.state, done.outputs, done.missing, done.differs)
            for path in wanted:
                write(path, text)
            if on_github(self.env):
                self._github(done, text, file, marks)

    def _github(self, done: Done, summary: str, file: str, marks: Mapping[str, Mark]) -> None:
        from .places import before_colon
        from .reports.github import at, command

        def tell(name: str, sentence: str, title: str, place: str) -> None:
            mark = marks.get(place)
            where = at(mark) if mark is not None else {"line": 1}
            named = mark.file if mark is not None else file
            print(command(name, sentence, file=named, **where, title=title), file=self.stderr)

        for cell in map(done.state.cells.__getitem__, done.state.in_order(done.state.cells)):
            if cell.state == "failed":
                tell("error", cell.message, f"{cell.cell} failed", cell.cell)
        wrong = "error" if done.exit_code else "warning"
        for sentence in done.differs:
            tell(wrong, sentence, "not as it is locked", f"lock: {before_colon(sentence)}")
        for sentence in done.state.told:
            tell(wrong, sentence, "budget", "budget")
        told = done.state.outcome == "done" or done.state.told  # that a budget is used up is the one error
        for name, why in done.missing.items():
            later = done.state.outcome == "waiting" or name in done.waiting
            wrong = "notice" if later or told else "error"
            made = "is not made yet" if later else "was not made"
            tell(wrong, f"{name} {made}: {why}", name, f"output {name}")
        if path := self.env.get("GITHUB_STEP_SUMMARY"):
            write(Path(path), f"{_cut(summary)}\n", more=True)
        if path := self.env.get("GITHUB_OUTPUT"):
            write(Path(path), github.outputs(outputs(done)), more=True)


@contextmanager
def not_started(wanted: Wanted, name: str, env: Mapping[str, str]) -> Iterator[None]:
    """Write into the reports that are wanted why a run could not begin, or did not come to its end."""
    try:
        yield
    except WouldOverwrite:
        tell_outcome("not started", env)
        raise
    except (UsageError, PipelineProblems, CannotStart, StoreFailed) as err:
        from .reports import junit, markdown
        from .reports.formats import place
        from .reports.problems import one

        at = place(root(env))
        faults = [p for p in err.problems if not p.warning] if isinstance(err, PipelineProblems) else []
        told = [(called(p.code), one(p), at(p.mark.file), p.mark.line) for p in faults] or [("run", str(err), "", 0)]
        ended = "not ended" if isinstance(err, StoreFailed) else "not started"
        summary = markdown.not_started(f"{name}: {ended}", [*map(str, faults)] or [str(err)])
        tell_outcome(ended, env)
        with suppress(RunnerError):  # what went wrong first is told
            if wanted.junit is not None:
                write(wanted.junit, junit.not_started(name, told))
            if wanted.summary is not None:
                write(wanted.summary, summary)
            if on_github(env) and (path := env.get("GITHUB_STEP_SUMMARY")):
                write(Path(path), summary, more=True)
        raise


def tell_outcome(outcome: str, env: Mapping[str, str]) -> None:
    """Tell later steps of a job how a run ended that leaves nothing else: ``not started``, or ``not ended``."""
    if on_github(env) and (path := env.get("GITHUB_OUTPUT")):
        with suppress(RunnerError):  # what went wrong first is told
            write(Path(path), github.outputs({"outcome": outcome}), more=True)


def outputs(done: Done) -> dict[str, str]:
    """What later steps of a job can read: how the run ended, and each output, a file by its path."""
    from .publish import REST

    state = done.state
    named: dict[str, str] = {name: str(path) for name, path in done.outputs.items() if name != REST}
    if REST in done.outputs:
        values = json.loads(done.outputs[REST].read_text(encoding="utf-8"))
        named |= {k: v if isinstance(v, str) else json.dumps(v, ensure_ascii=False) for k, v in values.items()}
    small = {name: value for name, value in named.items() if len(value) <= _MOST_OUTPUT}
    own = {
        "run": state.run,
        "outcome": str(state.outcome),
        "cost": f"{state.cost:.6f}",
        "paid": f"{0.0 if state.free else state.cost:.6f}",
        "folder": str(done.folder),
        "outputs": json.dumps(small, ensure_ascii=False),
    }
    return {**{github.output_name(name): value for name, value in small.items()}, **own}


def _places(done: Done, base: Path) -> tuple[str, dict[str, Mark]]:
    """The pipeline's file as its repository names it, and where in it belongs what there is to tell."""
    from .places import places

    top = Path(done.state.file)

    @cache
    def read(name: str) -> source.Document | None:
        """A pipeline beside the one that was run; None if it was edited since."""
        path = (top.parent / name).resolve()
        try:
            return source.parse(path.read_text(encoding="utf-8"), _within(base, path))
        except (OSError, UnicodeDecodeError, PipelineProblems):
            return None

    document = read(top.name)
    found = places(done.state, done.differs, done.missing, document, read) if document is not None else {}
    return _within(base, top), found  # without places the file is all that can be named


def _within(base: Path, path: Path) -> str:
    return path.relative_to(base).as_posix() if path.is_relative_to(base) else str(path)


def can_be_written(path: Path) -> None:
    """See to it that there can be a file. `UsageError` says why there cannot."""
    if _is_special(path):  # somebody may read it: to open it once more would be the end of it for them
        return
    there = path.exists()
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("a", encoding="utf-8"):
            pass
    except OSError as err:
        msg = f"{path} cannot be written: {err.strerror}. Name another file."
        raise UsageError(msg) from err
    if not there:
        path.unlink(missing_ok=True)


RUN_HAS_ENDED = "The run itself has ended; see runner show."


def write(path: Path, text: str, *, more: bool = False, instead: str = RUN_HAS_ENDED) -> None:
    """Write a report into a file, a device or a pipe. `RunnerError` if it cannot be, with what is good to know then."""
    try:
        with path.open("a" if more else "w", encoding="utf-8") as file:
            file.write(text)
    except OSError as err:
        msg = f"{path} cannot be written: {err.strerror}. {instead}"
        raise RunnerError(msg) from err


def _cut(text: str) -> str:
    """As much as GitHub takes, in whole lines."""
    encoded = text.encode()
    if len(encoded) <= _MOST_SUMMARY:
        return text
    return (
        encoded[:_MOST_SUMMARY].decode(errors="ignore").rpartition("\n")[0] + "\n\n… cut here: too long for GitHub.\n"
    )
