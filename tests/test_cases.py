"""Every mistake that a test file can have, and exactly what `runner test` says about it; what can be expected of a run.

A mistake is two files in ``tests/mistakes/of_tests``: ``NAME.yaml`` has one, as ``NAME.test.yaml`` beside the files in
``pipeline/``; ``NAME.txt`` is what is said.
``WRITE_MISTAKES=1 pytest tests/test_cases.py`` writes the texts anew; read the diff.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from runner import loading, testing
from runner.cases import case
from runner.cases.schema import cases_schema
from runner.model import Artifact
from runner.reports import problems as report
from runner.source import parse

from .conftest import REPO
from .test_schema import properties

MISTAKES = Path(__file__).parent / "mistakes" / "of_tests"
NAMES = sorted(path.stem for path in MISTAKES.glob("*.yaml"))


@pytest.fixture
def mistake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Path]:
    """A test file with a mistake, beside its pipeline."""
    shutil.copytree(MISTAKES / "pipeline", tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)

    def placed(name: str) -> Path:
        return Path(shutil.copy(MISTAKES / f"{name}.yaml", f"{name}.test.yaml"))

    return placed


@pytest.mark.parametrize("name", NAMES)
def test_a_mistake_in_a_test_file_is_told_in_exactly_these_words(name: str, mistake: Callable[[str], Path]) -> None:
    expected = MISTAKES / f"{name}.txt"

    said = report.text(testing.read(mistake(name)).problems) + "\n"

    if os.environ.get("WRITE_MISTAKES"):
        expected.write_text(said, encoding="utf-8")
    assert said == expected.read_text(encoding="utf-8")


@pytest.mark.parametrize("name", NAMES)
def test_a_mistake_in_a_test_file_is_one_problem_with_a_cure(name: str, mistake: Callable[[str], Path]) -> None:
    problems = testing.read(mistake(name)).problems

    assert len(problems) == 1
    assert problems[0].message.endswith(".")
    assert problems[0].instead


def test_every_text_belongs_to_a_mistake_in_a_test_file() -> None:
    assert {path.stem for path in MISTAKES.glob("*.txt")} == set(NAMES)


class NotAsked:
    """Whoever asks about files beside a test file."""

    def is_file(self, name: str) -> bool:
        raise AssertionError(name)

    def is_recording(self, name: str) -> bool:
        raise AssertionError(name)

    def artifact(self, name: str) -> Artifact:
        raise AssertionError(name)


def test_a_case_that_is_left_out_is_told_by_whoever_leaves_it_out(mistake: Callable[[str], Path]) -> None:
    path = mistake("size-is-a-number")
    document = parse(path.read_text(encoding="utf-8"), path.name)
    checked = loading.read(Path("card.yaml")).whole()

    found, problems = case.load(document, (), lambda _: checked, NotAsked())

    assert found == []
    assert [problem.code for problem in problems] == ["value"]


# -- the schema -------------------------------------------------------------------------------------


def test_the_published_schema_of_tests_is_the_one_that_the_code_makes() -> None:
    """When this fails: make schema"""
    published = (REPO / "schemas" / "test.schema.json").read_text(encoding="utf-8")

    assert published == json.dumps(cases_schema(), indent=2, ensure_ascii=False) + "\n"


def test_the_published_schema_of_tests_is_a_json_schema() -> None:
    jsonschema.Draft202012Validator.check_schema(cases_schema())


def test_every_word_of_a_test_file_has_a_title_and_is_described() -> None:
    bare = [p for p, schema in properties(cases_schema()) if not schema.get("description") or not schema.get("title")]

    assert bare == []


def test_every_example_in_the_schema_of_tests_is_valid() -> None:
    wrong = [
        (path, example)
        for path, inner in properties(cases_schema())
        for example in inner.get("examples", ())
        if list(jsonschema.Draft202012Validator(inner).iter_errors(example))
    ]

    assert wrong == []


@pytest.mark.parametrize("path", sorted((REPO / "pipelines").glob("*.test.yaml")), ids=lambda path: path.name)
def test_every_shipped_test_file_is_valid_for_an_editor(path: Path) -> None:
    text = path.read_text(encoding="utf-8")

    data: Any = parse(text, path.name).data

    assert text.startswith("# yaml-language-server: $schema=../schemas/test.schema.json\n")
    assert list(jsonschema.Draft202012Validator(cases_schema()).iter_errors(data)) == []
