"""What the shell completes: pipelines, inputs and profiles of the pipeline that is typed, steps, runs and what they
ask, models, kinds, codes.

Each function has the form that click wants. Nothing of it may disturb who is typing: what cannot be read completes to
nothing, without a word.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

import click
from click.shell_completion import BashComplete, CompletionItem, add_completion_class, split_arg_string

from ..files import NEAR, is_test, pipelines_and_tests
from ..model import JSON, step_of

if TYPE_CHECKING:
    from ..events import CellAsked
    from .given import Completer


def _quiet(complete: Callable[[click.Context, str], Iterable[tuple[str, str]]]) -> Completer:
    """A completer of values and what is said of each; it completes to nothing where anything is wrong."""

    @functools.wraps(complete)
    def completed(context: click.Context, _parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
        try:
            found = [(value, help_) for value, help_ in complete(context, incomplete) if value.startswith(incomplete)]
        except Exception:  # noqa: BLE001 - a traceback in the middle of a line that is typed helps nobody
            return []
        return [CompletionItem(value, help=help_ or None) for value, help_ in found]

    return completed


def pipelines(_context: click.Context, _parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """The pipelines below this folder; other files as the shell knows them where no pipeline is meant."""
    return _files_or(incomplete, lambda path: not is_test(path))


def tests(_context: click.Context, _parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """The test files below this folder."""
    return _files_or(incomplete, is_test)


@_quiet
def inputs(context: click.Context, incomplete: str) -> Iterator[tuple[str, str]]:
    """``name=`` of each input of the pipeline that is typed; after the sign its values, if they are known."""
    declared = _data(_typed(context)).get("inputs") or {}
    given = {text.partition("=")[0] for text in context.params.get("typed") or ()}
    name, equals, _ = incomplete.partition("=")
    if equals:
        said = declared.get(name) or {}
        values = said.get("enum") or ([True, False] if said.get("type") == "boolean" else said.get("examples") or [])
        for value in values:
            yield f"{name}={str(value).lower() if isinstance(value, bool) else value}", ""
        return
    for each, said in declared.items():
        if each not in given:
            yield f"{each}=", str(said.get("description", ""))


@_quiet
def steps(context: click.Context, _incomplete: str) -> Iterator[tuple[str, str]]:
    """The steps of the pipeline that is typed, or of the last run where none is."""
    file = _typed(context)
    if file is None:
        file = next(iter(_run_folders())) / "pipeline.yaml"
    for name, step in (_data(file).get("steps") or {}).items():
        yield name, str(step.get("kind", ""))


@_quiet
def profiles(context: click.Context, _incomplete: str) -> Iterator[tuple[str, str]]:
    """The profiles of the pipeline that is typed."""
    for name, said in (_data(_typed(context)).get("profiles") or {}).items():
        yield name, str(said.get("description", ""))


@_quiet
def runs(_context: click.Context, _incomplete: str) -> Iterator[tuple[str, str]]:
    """The runs of this project, the newest first."""
    for folder in _run_folders():
        yield folder.name, _of_run(folder)


@_quiet
def choices(context: click.Context, _incomplete: str) -> Iterator[tuple[str, str]]:
    """For `runner pick`: steps that wait for a choice, and the numbers of their candidates."""
    yield from _answers(context, "pick", _candidates)


@_quiet
def approvals(context: click.Context, _incomplete: str) -> Iterator[tuple[str, str]]:
    """For `runner approve`: steps that ask for a yes or a no, and these."""
    yield from _answers(context, "approve", lambda _asked: ["yes", "no"])


@_quiet
def codes(_context: click.Context, _incomplete: str) -> Iterator[tuple[str, str]]:
    """The codes of problems, by number and by name."""
    from ..codes import CODES

    yield from ((code.number, code.name) for code in CODES)
    yield from ((code.name, code.number) for code in CODES)


@_quiet
def models(context: click.Context, _incomplete: str) -> Iterator[tuple[str, str]]:
    """The models that are known, of the kind that is typed if one is."""
    from ..catalogue import builtin

    kind = context.params.get("kind")
    for model in builtin().of_kind(kind) if kind else builtin().models.values():
        yield model.id, model.kind


@_quiet
def kinds(_context: click.Context, _incomplete: str) -> Iterator[tuple[str, str]]:
    """The kinds of steps."""
    from ..kinds import KINDS

    for kind in KINDS.values():
        yield kind.NAME, kind.TITLE


@_quiet
def starters(_context: click.Context, _incomplete: str) -> Iterator[tuple[str, str]]:
    """The pipelines to start from."""
    from ..starting import starters as all_of_them

    for each in all_of_them():
        yield each.name, each.description


class Bash(BashComplete):
    """Completion for bash, which takes ``season=au`` for three words and writes a blank after all that it completes."""

    source_template = BashComplete.source_template.replace(
        "    return 0\n", "    [[ ${COMPREPLY[0]} == *= ]] && compopt -o nospace\n\n    return 0\n"
    )

    def get_completion_args(self) -> tuple[list[str], str]:
        """The words as they were typed, and the one to complete."""
        words = split_arg_string(os.environ["COMP_WORDS"])
        at = int(os.environ["COMP_CWORD"])
        words = words[: at + 1] if at < len(words) else [*words, ""]
        joined: list[str] = []
        for word in words[1:]:
            if joined and (word == "=" or joined[-1].endswith("=")) and not joined[-1].startswith("--"):
                joined[-1] += word
            else:
                joined.append(word)
        return joined[:-1], joined[-1] if joined else ""

    def format_completion(self, item: CompletionItem) -> str:
        """One completion; of ``season=autumn`` only what bash takes for its last word."""
        _, incomplete = self.get_completion_args()
        name, equals, _ = incomplete.partition("=")
        value = item.value.removeprefix(f"{name}=") if equals else item.value
        return f"{item.type},{value}"


def register() -> None:
    """Have click use what is written here for bash; zsh and fish are as click has them."""
    add_completion_class(Bash)


def _typed(context: click.Context) -> Path | None:
    """The pipeline that is typed. Behind an option that waits for its value, click has not given it its name yet."""
    file: Path | None = context.params.get("file") or next(iter(context.params.get("files") or ()), None)
    return file or next((Path(word) for word in context.args if not word.startswith("-")), None)


def _files_or(incomplete: str, wanted: Callable[[Path], bool]) -> list[CompletionItem]:
    try:
        found = [
            path
            for path in pipelines_and_tests(Path(), NEAR)
            if wanted(path) and path.as_posix().startswith(incomplete)
        ]
    except OSError:
        found = []
    if not found:
        return [CompletionItem(incomplete, type="file")]
    return [CompletionItem(path.as_posix()) for path in found]


def _answers(
    context: click.Context, asks: str, answers: Callable[[CellAsked], Iterable[str]]
) -> Iterator[tuple[str, str]]:
    """In turns a step that asks and what may be said to it; before all of them, a run that asks."""
    words = list(context.params.get("words") or ())
    named = words.pop(0) if words and words[0][:1].isdigit() else None
    asking = list(_asking(named, asks))
    if len(words) % 2:
        asked = next(asked for _, asked in asking if words[-1] in (asked.cell, step_of(asked.cell)))
        yield from ((answer, "") for answer in answers(asked))
        return
    yield from {asked.cell: asked.question for _, asked in asking if asked.cell not in words[::2]}.items()
    if named is None and not words:
        yield from dict.fromkeys((run, "") for run, _ in asking)


def _candidates(asked: CellAsked) -> list[str]:
    return [*sorted(asked.shown, key=int), *(["more"] if asked.more else [])]


_RUNS, _BYTES = 50, 5_000_000
"""How many runs are looked through for what they ask, and how large their journals may be: Tab must not take long."""


def _asking(run: str | None, asks: str) -> Iterator[tuple[str, CellAsked]]:
    """What is open, in one run or in the newest ones."""
    from .. import choosing, history

    at = history.home()
    found = [history.find(at, run)] if run is not None else islice(history.newest(at, _BYTES), _RUNS)
    for each in found:
        for cell in each.state.asking:
            if cell.asked is not None and cell.asked.asks == asks and choosing.is_open(each, cell):
                yield each.id, cell.asked


def _data(file: Path | None) -> dict[str, JSON]:
    from .. import source

    if file is None:
        return {}
    data = source.parse(Path(file).read_text(encoding="utf-8"), str(file)).data
    return data if isinstance(data, dict) else {}


def _run_folders() -> list[Path]:
    """The runs of the project that we stand in, the newest first."""
    here = Path.cwd()
    for folder in (here, *here.parents):
        if (folder / ".runner").is_dir():
            return sorted((folder / ".runner" / "runs").iterdir(), reverse=True)
    return []


def _of_run(folder: Path) -> str:
    """Pipeline and outcome of a run, from the first lines of its state: there may be 100,000 more."""
    facts = {}
    try:
        with (folder / "state.json").open(encoding="utf-8") as file:
            for line, _ in zip(file, range(8), strict=False):
                name, _, value = line.strip().rstrip(",").partition(": ")
                facts[name.strip('"')] = value.strip('"')
    except OSError:
        return "not ended"
    return f"{facts.get('pipeline', '')}, {facts.get('outcome', '')}"
