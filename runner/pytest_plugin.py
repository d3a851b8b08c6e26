"""The plugin that pytest finds by itself: every ``*.test.yaml`` is a file of tests, every case of it an item."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from _pytest._code.code import TerminalRepr

    from . import testing
    from .cases.case import Case

SUFFIX = ".test.yaml"


def pytest_collect_file(file_path: Path, parent: pytest.Collector) -> pytest.Collector | None:
    """Collect a test file of a pipeline."""
    return CaseFile.from_parent(parent, path=file_path) if file_path.name.endswith(SUFFIX) else None


class CaseFailed(Exception):
    """What a case expects does not hold: the sentences that `runner test` would print."""


class CaseFile(pytest.File):
    """A ``*.test.yaml`` file. With a problem in it, or in its pipeline, none of its cases is run."""

    def collect(self) -> Iterator[CaseItem]:
        from . import testing  # noqa: PLC0415 - a session without such files pays for none of it
        from .reports import problems as report  # noqa: PLC0415

        tests = testing.read(_shown(self.path))
        if tests.wrong:
            raise self.CollectError(report.text(tests.wrong))
        for case in tests.cases:
            yield CaseItem.from_parent(self, name=case.name, tests=tests, case=case)


class CaseItem(pytest.Item):
    """One case."""

    def __init__(self, *, tests: testing.Tests, case: Case, **more: object) -> None:
        super().__init__(**more)  # type: ignore[arg-type] # what pytest hands its own class
        self.tests, self.case = tests, case

    def runtest(self) -> None:
        from functools import partial  # noqa: PLC0415 - as above

        import anyio  # noqa: PLC0415

        from . import testing  # noqa: PLC0415
        from .reports import tested  # noqa: PLC0415

        tried = anyio.run(partial(testing.run, self.tests, self.case))
        self.user_properties.append(("usd", round(tried.cost, 6)))
        for note in tried.notes:
            self.add_report_section("call", "runner", note)
        if tried.faults:
            raise CaseFailed(tested.faults(tried))

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], style: Any = None) -> str | TerminalRepr:
        if isinstance(excinfo.value, CaseFailed):
            return str(excinfo.value)
        return super().repr_failure(excinfo, style)

    def reportinfo(self) -> tuple[Path, int, str]:
        return self.path, self.case.document.mark(self.case.path, key=True).line - 1, self.name


def _shown(path: Path) -> Path:
    """A path as one would type it here."""
    here = Path.cwd()
    return path.relative_to(here) if path.is_relative_to(here) else path
