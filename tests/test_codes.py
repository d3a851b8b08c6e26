"""Every code of a problem is in one registry, explained by a pipeline that has it and one that has not."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from runner import examples
from runner.codes import BY_NAME, CODES, Code, called, find
from runner.reports import explained

from .conftest import REPO, Cli
from .test_layers import READING

TELLERS = {"Problem", "Finding", "Fault", "add", "warn", "_add"}
"""What is called with the name of a code as its first argument, or as ``code=``."""


def names_in(path: Path) -> Iterator[str]:
    """The codes that a file of ours gives to problems, as far as they are written out."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        match node:
            case ast.Call(func=ast.Name(id=name) | ast.Attribute(attr=name)) if name in TELLERS:
                values = [*node.args[:1], *(k.value for k in node.keywords if k.arg == "code")]
            case ast.Assign(targets=[ast.Name(id="code")], value=value):
                values = [value]
            case ast.AnnAssign(target=ast.Name(id="code"), value=ast.expr() as value):
                values = [value]
            case _:
                continue
        for value in values:
            options = [value.body, value.orelse] if isinstance(value, ast.IfExp) else [value]
            yield from (o.value for o in options if isinstance(o, ast.Constant) and isinstance(o.value, str))


FILES = [path for path in sorted((REPO / "runner").glob("*.py")) if path.stem in READING | {"loading", "testing"}]
FILES += sorted((REPO / "runner" / "cases").glob("*.py"))
USED = {name for path in FILES for name in names_in(path)}


def test_every_code_that_the_sources_use_is_in_the_registry_and_every_one_there_is_used() -> None:
    assert set(BY_NAME) == USED


def test_no_number_and_no_name_is_given_twice() -> None:
    numbers = [code.number for code in CODES]

    assert numbers == sorted(set(numbers))
    assert len(BY_NAME) == len(CODES)
    assert all(re.fullmatch(r"[EW]\d{3}", number) for number in numbers)


@pytest.mark.parametrize("code", CODES, ids=str)
def test_the_wrong_example_has_exactly_this_problem_with_a_cure(code: Code) -> None:
    found = examples.check(code, code.wrong)

    assert [(problem.code, problem.warning) for problem in found] == [(code.name, code.warning)]
    assert found[0].instead


@pytest.mark.parametrize("code", CODES, ids=str)
def test_the_right_example_has_no_problem(code: Code) -> None:
    assert examples.check(code, code.right) == ()


@pytest.mark.parametrize("code", CODES, ids=str)
def test_a_page_says_one_thing_in_sentences(code: Code) -> None:
    assert code.title[0].isupper()
    assert not code.title.endswith(".")
    assert code.why.endswith(".")
    assert code.wrong != code.right


def test_the_published_page_is_the_one_that_the_registry_makes(cli: Cli) -> None:
    done = cli("explain", "--markdown")

    assert done.code == 0
    assert done.out == (REPO / "docs/problems.md").read_text(encoding="utf-8"), "run make schema"


@pytest.mark.parametrize("word", ["E102", "e102", "unknown-field", "E102 unknown-field", "[E102 unknown-field]"])
def test_a_code_is_explained_by_its_number_its_name_or_both(cli: Cli, word: str) -> None:
    done = cli("explain", word)

    assert done.code == 0
    assert done.out.startswith("E102 unknown-field: A template reads a field that is not there\n")
    assert "pipeline.yaml:8:28: steps.draft has no field txt. [E102 unknown-field]" in done.out
    assert done.out.rstrip().endswith('tea.txt: "{{ steps.draft.text }}"')


def test_what_lies_beside_an_example_is_shown(cli: Cli) -> None:
    done = cli("explain", "open-seed")

    assert "pipeline.lock.yaml, beside the pipeline:" in done.out


def test_all_codes_are_listed(cli: Cli) -> None:
    done = cli("explain")

    assert [line.split()[0] for line in done.out.splitlines()[: len(CODES)]] == [code.number for code in CODES]


def test_a_code_that_there_is_not_is_a_sentence_with_the_nearest(cli: Cli) -> None:
    done = cli("explain", "unknown-feild")

    assert done.code == 2
    assert done.err == (
        "Error: There is no code unknown-feild. Did you mean unknown-field? runner explain lists them all.\n"
    )


def test_a_code_that_is_like_no_other_is_not_told_with_a_mixture_of_them(cli: Cli) -> None:
    done = cli("explain", "zzzzzz")

    assert done.err == "Error: There is no code zzzzzz. runner explain lists them all.\n"


def test_a_name_that_is_not_in_the_registry_stands_for_itself() -> None:
    assert called("of-a-plugin") == "of-a-plugin"
    assert find("") is None


def test_the_page_has_every_code_once() -> None:
    page = explained.markdown({code.number: "said" for code in CODES})

    assert re.findall(r"^### (.*)$", page, re.MULTILINE) == [str(code) for code in CODES]
