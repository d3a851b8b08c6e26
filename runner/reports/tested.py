"""Cases that were run, as text and as JUnit XML: which hold, and of those that do not, where and what came instead."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from xml.etree import ElementTree as ET

from ..cases.judging import Tried
from ..errors import Problem
from . import problems as problems_report
from .money import money

_NOT_XML = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def line(tried: Tried, width: int = 40) -> str:
    """One case::

    ok      a card for autumn                         0.4 s  would be 0.0239 USD
    failed  the writer answers no JSON                0.1 s
    """
    word = "failed" if tried.faults else "ok"
    cost = f"  would be {money(tried.cost)}" if tried.cost else ""
    return f"  {word:6}  {tried.case.name:{width}}  {tried.seconds:5.1f} s{cost}"


def faults(tried: Tried) -> str:
    """What does not hold of a case, each with its place in the test file."""
    return "\n\n".join(problems_report.one(fault) for fault in tried.faults)


def total(tried: Sequence[Tried]) -> str:
    """``3 cases: 2 passed, 1 failed``."""
    failed = sum(bool(each.faults) for each in tried)
    word = "case" if len(tried) == 1 else "cases"
    return f"{len(tried)} {word}: " + (f"{len(tried) - failed} passed, {failed} failed" if failed else "all passed")


def junit(tried: Mapping[str, Sequence[Tried]], problems: Mapping[str, Sequence[Problem]]) -> str:
    """All cases as JUnit XML, a suite for each file. A file with problems is an error, and none of its cases ran."""
    root = ET.Element("testsuites", name="runner test")
    for file in dict.fromkeys([*tried, *problems]):
        cases, wrong = tried.get(file, ()), problems.get(file, ())
        suite = ET.SubElement(
            root,
            "testsuite",
            name=file,
            tests=str(len(cases) + bool(wrong)),
            failures=str(sum(bool(each.faults) for each in cases)),
            errors=str(int(bool(wrong))),
            skipped="0",
            time=f"{sum(each.seconds for each in cases):.3f}",
        )
        if wrong:
            _said(_case(suite, file, "check", wrong[0].mark.line), "error", wrong)
        for each in cases:
            place = each.case.document.mark(each.case.path, key=True)
            element = _case(suite, file, each.case.name, place.line, each.seconds)
            if each.faults:
                _said(element, "failure", each.faults)
    _count(root)
    ET.indent(root)
    return f'<?xml version="1.0" encoding="utf-8"?>\n{ET.tostring(root, encoding="unicode")}\n'


def _case(suite: ET.Element, file: str, name: str, line: int, seconds: float = 0.0) -> ET.Element:
    where = file.removesuffix(".yaml").replace("/", ".").replace("\\", ".").strip(".")
    words = {"classname": where, "name": name, "file": file, "line": str(line), "time": f"{seconds:.3f}"}
    return ET.SubElement(suite, "testcase", {word: _clean(value) for word, value in words.items()})


def _said(element: ET.Element, word: str, problems: Iterable[Problem]) -> None:
    told = list(problems)
    said = ET.SubElement(element, word, message=_clean(told[0].message), type=told[0].code)
    said.text = _clean("\n\n".join(problems_report.one(problem) for problem in told))


def _count(root: ET.Element) -> None:
    for word in ("tests", "failures", "errors"):
        root.set(word, str(sum(int(suite.get(word, "0")) for suite in root)))
    root.set("time", f"{sum(float(suite.get('time', '0')) for suite in root):.3f}")


def _clean(text: str) -> str:
    """Text without the characters that XML cannot hold."""
    return _NOT_XML.sub("�", text)
