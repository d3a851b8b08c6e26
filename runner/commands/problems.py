"""What is wrong with a pipeline, and what that means: runner check, runner explain."""

from __future__ import annotations

import os
import sys
from bisect import insort
from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from ..errors import PipelineProblems, Problem, UsageError, counted
from .given import PATH, catalogue_option, completed, profile_option

if TYPE_CHECKING:
    from pathlib import Path

_FORMATS = ("text", "json", "sarif", "github", "gitlab")


@click.command()
@click.argument("files", type=PATH, nargs=-1, metavar="[FILE...]", shell_complete=completed("pipelines"))
@catalogue_option
@profile_option
@click.option(
    "--format", "form", type=click.Choice(_FORMATS), default="text", show_default=True,
    help="For people; as JSON; for code scanning; as GitHub's annotations; as GitLab's code quality report.",
)  # fmt: skip
def check(files: Sequence[Path], catalogue: Path | None, profile: str | None, form: str) -> None:
    """Check pipelines and their tests: every problem at once, with its place and its cure. Nothing runs.

    Without FILE, all of the project; of a folder, all that are in it. The profiles of pipelines are checked, too; with
    --profile only that one is.
    """
    from .. import ci, loading
    from ..files import is_test
    from ..known import Unreadable

    files = _meant(files)
    tests = [file for file in files if is_test(file)]
    pipelines: list[loading.Read] = []
    found: dict[str, list[Problem]] = {str(file): [] for file in files}
    for file in dict.fromkeys(file for file in files if file not in tests):
        try:
            pipelines.append(loading.read(file, catalogue, profile))
            found[str(file)] += pipelines[-1].problems
        except Unreadable as err:  # the others are checked all the same
            found[str(file)].append(err.problem)
    for problem in loading.of_all(pipelines):
        insort(found[problem.mark.file], problem, key=lambda p: (p.mark.file != problem.mark.file, p.mark.line))
    if tests:
        from .. import testing

        for file in tests:
            try:
                found[str(file)] += testing.read(file, catalogue).problems
            except Unreadable as err:
                found[str(file)].append(err.problem)
    problems = list(dict.fromkeys(problem for each in found.values() for problem in each))  # one may run another
    wrong = any(not problem.warning for problem in problems)
    if form == "text":
        show(problems)
        if not wrong:
            counts = [(len(files) - len(tests), "pipeline"), (len(tests), "test file")]
            said = [f"{count} {word}{'s' * (count != 1)}" for count, word in counts if count]
            warned = f", {counted(len(problems), 'warning')}" if problems else ""
            click.echo(f"{', '.join(said)}: no problems{warned}")
    else:
        from ..reports import formats

        click.echo(formats.FORMATS[form](problems, formats.place(ci.root(os.environ))))
    if wrong:
        sys.exit(PipelineProblems.exit_code)


def _meant(named: Sequence[Path]) -> list[Path]:
    """The files that are to be checked: those named, those in folders named; else all of the project."""
    from pathlib import Path

    from .. import loading
    from ..files import pipelines_and_tests

    found: dict[Path, None] = {}
    for path in named:
        inside = list(pipelines_and_tests(path)) if path.is_dir() else [path]
        if not inside:
            raise UsageError(f"There is no pipeline in {path}: no YAML file that has steps. Name one.")
        found |= dict.fromkeys(inside)
    if not named and not (found := dict.fromkeys(loading.of_project())):
        where = loading.project(Path.cwd() / "x")
        raise UsageError(f"There is no pipeline in {where}. Name one: runner check FILE. runner new writes one.")
    return list(found)


@click.command()
@click.argument("word", metavar="[CODE]", required=False, shell_complete=completed("codes"))
@click.option("--markdown", is_flag=True, help="All of them as the page docs/problems.md.")
def explain(word: str | None, markdown: bool) -> None:
    """Tell what a code of `runner check` means, with a wrong and a right pipeline. Without one, list them all."""
    from ..codes import CODES, find
    from ..errors import nearest
    from ..examples import said_of
    from ..reports import explained

    if markdown:
        click.echo(explained.markdown({code.number: said_of(code) for code in CODES}), nl=False)
    elif word is None:
        click.echo(explained.listed())
    elif code := find(word):
        click.echo(explained.text(code, said_of(code)))
    else:
        near = nearest(word, [known for each in CODES for known in (each.name, each.number)])
        near = f" {near}" if near.startswith("Did") else ""
        msg = f"There is no code {word}.{near} runner explain lists them all."
        raise UsageError(msg)


def show(problems: Sequence[Problem]) -> None:
    """Tell problems to who started a command, and to GitHub if that is where it runs."""
    from .. import ci
    from ..masking import hidden
    from ..reports.problems import text

    if not problems:
        return
    problems = [hidden(problem, {os.environ.get("RUNPOD_API_KEY", "").strip()}) for problem in problems]
    click.echo(text(problems), err=True)
    if ci.on_github(os.environ):
        from ..reports import formats

        click.echo(formats.FORMATS["github"](problems, formats.place(ci.root(os.environ))), err=True)
