"""A run as JUnit's XML, which every CI server shows: a test case a cell."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from xml.etree.ElementTree import Element, SubElement, indent, tostring

from ..errors import Mark
from ..events import CellState, RunState

_NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_FAILED = ("failed",)
_LEFT_OUT = ("skipped", "blocked", "cancelled", "waiting", "running", "asking")


def xml(
    state: RunState,
    missing: Mapping[str, str],
    differs: Sequence[str],
    file: str,
    marks: Mapping[str, Mark],
    waiting: Collection[str] = (),
) -> str:
    """The run. ``file`` is the pipeline as its repository names it, ``marks`` where in it each test case belongs; of
    what is ``missing`` those that are ``waiting`` lack nothing but the answer of a person.
    """
    suite = Element("testsuite", name=_clean(state.pipeline), timestamp=_when(state.started))

    def placed(name: str, seconds: float = 0.0) -> Element:
        case = _case(suite, state.pipeline, name, seconds)
        mark = marks.get(name)
        case.set("file", _clean(mark.file if mark is not None else file))
        case.set("line", str(mark.line if mark is not None else 1))
        return case

    for cell in map(state.cells.__getitem__, state.in_order(state.cells)):
        _end(placed(cell.cell, _seconds(cell)), cell)
    if state.exceeded:
        _failure(placed("budget"), "budget", " ".join(state.told))
    for name, why in missing.items():
        case = placed(f"output {name}")
        if state.outcome == "waiting" or name in waiting:
            SubElement(case, "skipped", message=_clean(f"not made yet: {why}; a person has to answer first"))
        elif state.outcome == "done":
            SubElement(case, "skipped", message=_clean(f"not made: {why}"))
        else:
            _failure(case, "output", f"not made: {why}")
    for what in differs:
        _failure(placed(f"lock: {what.partition(':')[0]}"), "locked", what)
    return _whole(suite, state.seconds or 0.0)


def not_started(name: str, told: Sequence[tuple[str, str, str, int]]) -> str:
    """A run that has not begun: of each reason its name, what is said of it, and its file and line if it has one."""
    suite = Element("testsuite", name=_clean(name))
    for title, said, file, line in told:
        case = _case(suite, name, title, 0.0)
        if file:
            case.set("file", _clean(file))
            case.set("line", str(line))
        SubElement(case, "error", type=_clean(title), message=_clean(said.partition("\n")[0])).text = _clean(said)
    return _whole(suite, 0.0)


def _whole(suite: Element, seconds: float) -> str:
    """The document of a suite, with what it counts."""
    suite.set("tests", str(len(suite)))
    for word, kind in (("failures", "failure"), ("errors", "error"), ("skipped", "skipped")):
        suite.set(word, str(len(suite.findall(f"testcase/{kind}"))))
    suite.set("time", f"{seconds:.3f}")
    root = Element("testsuites")
    root.append(suite)
    indent(root)
    return '<?xml version="1.0" encoding="utf-8"?>\n' + tostring(root, encoding="unicode") + "\n"


def _case(suite: Element, pipeline: str, name: str, seconds: float) -> Element:
    return SubElement(suite, "testcase", classname=_clean(pipeline), name=_clean(name), time=f"{seconds:.3f}")


def _end(case: Element, cell: CellState) -> None:
    if cell.state in _FAILED:
        _failure(case, cell.fault or "step", cell.message)
    elif cell.state in _LEFT_OUT:
        SubElement(case, "skipped", message=_clean(f"{cell.state}: {cell.message}".rstrip(": ")))


def _failure(case: Element, fault: str, message: str) -> None:
    SubElement(case, "failure", type=fault, message=_clean(message)).text = _clean(message)


def _seconds(cell: CellState) -> float:
    return cell.ended - cell.started if cell.started and cell.ended else 0.0


def _when(seconds: float) -> str:
    from datetime import UTC, datetime  # noqa: PLC0415 - for who asks for this report only

    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _clean(text: str) -> str:
    """Text without the characters that XML cannot hold."""
    return _NOT_XML.sub("�", text)
