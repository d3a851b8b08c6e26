"""``runner test``: the cases of test files, run without a key, without cost and without leaving anything behind."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from ..errors import PipelineProblems
from .given import PATH, REPORT, catalogue_option, completed
from .problems import show

if TYPE_CHECKING:
    from pathlib import Path


@click.command()
@click.argument("files", type=PATH, nargs=-1, metavar="[FILE...]", shell_complete=completed("tests"))
@catalogue_option
@click.option("--junit", type=REPORT, metavar="FILE", help="Write what came of it as JUnit XML, too.")
def test(files: tuple[Path, ...], catalogue: Path | None, junit: Path | None) -> None:
    """Run the cases of NAME.test.yaml files, or of all that the project has. Nothing is paid, nothing is kept.

    Exits with 0 if all hold, with 1 if one does not, with 2 if a file has problems: then none of its cases runs.
    """
    from functools import partial

    import anyio

    from .. import ci, testing
    from ..cases.judging import Tried
    from ..reports import tested

    found = [testing.read(path, catalogue) for path in testing.files(files)]
    if junit is not None:
        ci.spare((path for tests in found for path in tests.reads()), {"--junit": junit})
        ci.can_be_written(junit)
    told = list(dict.fromkeys(problem for tests in found for problem in tests.problems))
    show(told)
    tried: dict[str, list[Tried]] = {}
    for tests in found:
        if tests.wrong:
            continue
        click.echo(tests.path)
        width = max((len(case.name) for case in tests.cases), default=0)
        for case in tests.cases:
            done = anyio.run(partial(testing.run, tests, case))
            tried.setdefault(str(tests.path), []).append(done)
            click.echo(tested.line(done, width))
            for note in done.notes:
                click.echo(f"          {note}")
            if done.faults:
                click.echo(f"\n{tested.faults(done)}\n")
    wrong = {str(tests.path): tests.wrong for tests in found if tests.wrong}
    if junit is not None:
        ci.write(junit, tested.junit(tried, wrong), instead="The tests have run.")
    everything = [each for cases in tried.values() for each in cases]
    if everything:
        click.echo(tested.total(everything))
    if wrong:
        sys.exit(PipelineProblems.exit_code)
    if any(each.faults for each in everything):
        sys.exit(1)
