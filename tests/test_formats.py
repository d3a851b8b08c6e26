"""What is wrong with a pipeline, for machines."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from .conftest import Cli

PIPELINE = """\
name: tea
steps:
  draft:
    kind: generate_text
    model: deep-cogito/deep-cogito-v2-llama-70b
    prompt: "About {{ inputs.leaf }}: 100%"
"""


@pytest.fixture
def pipeline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("GITHUB_ACTIONS", "GITHUB_WORKSPACE", "CI_PROJECT_DIR"):
        monkeypatch.delenv(name, raising=False)
    path = tmp_path / "a, b" / "tea.yaml"
    path.parent.mkdir()
    path.write_text(PIPELINE)
    return path


def told(cli: Cli, *arguments: object) -> Any:
    done = cli("check", "--format", *arguments)
    assert (done.code, done.err) == (2, "")
    return json.loads(done.out)


def test_json_has_each_problem_with_its_place_and_its_cure(cli: Cli, pipeline: Path) -> None:
    said = told(cli, "json", pipeline)

    assert [row["code"] for row in said["problems"]] == ["W601", "E104"]
    assert said["problems"][1] == {
        "code": "E104",
        "name": "unknown-input",
        "warning": False,
        "message": "There is no input leaf.",
        "instead": "Declare it under inputs:.",
        "file": "a, b/tea.yaml",
        "line": 6,
        "column": 30,
        "end_column": 34,
        "text": '    prompt: "About {{ inputs.leaf }}: 100%"',
        "also": [],
    }


def test_json_of_a_good_pipeline_is_an_empty_list(cli: Cli, pipeline: Path) -> None:
    pipeline.write_text("name: tea\nsteps:\n  a: {kind: render_text, text: Tea.}\n")

    done = cli("check", pipeline, "--format", "json")

    assert (done.code, json.loads(done.out)) == (0, {"format": 1, "problems": []})


def test_sarif_names_the_rules_that_were_broken_and_where(cli: Cli, pipeline: Path) -> None:
    said = told(cli, "sarif", pipeline)

    run = said["runs"][0]
    rules, results = run["tool"]["driver"]["rules"], run["results"]
    assert said["version"] == "2.1.0"
    assert [rules[result["ruleIndex"]]["id"] for result in results] == [result["ruleId"] for result in results]
    assert [(result["ruleId"], result["level"]) for result in results] == [("W601", "warning"), ("E104", "error")]
    place = results[1]["locations"][0]["physicalLocation"]
    assert place["artifactLocation"] == {"uri": "a%2C%20b/tea.yaml"}
    assert {k: v for k, v in place["region"].items() if k != "snippet"} == {
        "startLine": 6, "startColumn": 30, "endColumn": 34,
    }  # fmt: skip


def test_gitlab_gets_a_code_quality_report(cli: Cli, pipeline: Path) -> None:
    said = told(cli, "gitlab", pipeline)

    assert [(row["check_name"], row["severity"]) for row in said] == [
        ("W601 removed-model", "minor"),
        ("E104 unknown-input", "critical"),
    ]
    assert said[1]["location"]["path"] == "a, b/tea.yaml"
    assert said[1]["location"]["lines"] == {"begin": 6}
    assert len({row["fingerprint"] for row in said}) == 2


def test_a_fingerprint_stays_when_lines_above_it_come_and_go(cli: Cli, pipeline: Path) -> None:
    before = told(cli, "gitlab", pipeline)
    pipeline.write_text("# about tea\n\n" + PIPELINE)

    after = told(cli, "gitlab", pipeline)

    assert [row["fingerprint"] for row in after] == [row["fingerprint"] for row in before]
    assert after[0]["location"]["lines"] != before[0]["location"]["lines"]


def test_the_same_problem_twice_has_two_fingerprints(cli: Cli, pipeline: Path) -> None:
    step = "kind: generate_text\n    model: qwen/qwen3-32b-awq\n    prompt: \"{{ 'tea' | uper }}\"\n"
    pipeline.write_text(f"name: tea\nsteps:\n  a:\n    {step}  b:\n    {step}")

    rows = told(cli, "gitlab", pipeline)

    assert len({row["description"] for row in rows}) == 1
    assert len({row["fingerprint"] for row in rows}) == 2


def test_a_name_that_is_read_in_many_places_and_is_in_none_is_one_problem_with_all_its_places(
    cli: Cli, pipeline: Path
) -> None:
    step = "kind: render_text\n    text: 'A {{ inputs.leaf }} and {{ inputs.leaf }}'\n"
    pipeline.write_text(f"name: tea\nsteps:\n  a:\n    {step}  b:\n    {step}  c:\n    {step}")

    as_json, sarif = told(cli, "json", pipeline)["problems"], told(cli, "sarif", pipeline)["runs"][0]["results"]
    text, gitlab = cli("check", pipeline).err, told(cli, "gitlab", pipeline)

    assert [(row["line"], [(at["line"], at["column"], at["end_column"]) for at in row["also"]]) for row in as_json] == [
        (5, [(8, 24, 28), (11, 24, 28)])
    ]
    assert [place["physicalLocation"]["region"] for place in sarif[0]["relatedLocations"]] == [
        {"startLine": 8, "startColumn": 24, "endColumn": 28},
        {"startLine": 11, "startColumn": 24, "endColumn": 28},
    ]
    assert "      = The same on lines 8 and 11.\n\n1 problem." in text
    assert [row["description"] for row in gitlab] == [
        "There is no input leaf. Declare it under inputs:. The same on lines 8 and 11."
    ]


def test_github_gets_a_command_a_problem_with_everything_escaped(cli: Cli, pipeline: Path) -> None:
    done = cli("check", "--format", "github", pipeline)

    first, second = done.out.splitlines()
    assert (done.code, done.err) == (2, "")
    assert first.startswith("::warning file=a%2C b/tea.yaml,line=5,col=12,")
    assert second == (
        "::error file=a%2C b/tea.yaml,line=6,col=30,endColumn=34,title=E104 unknown-input"
        "::There is no input leaf. Declare it under inputs:."
    )


@pytest.mark.parametrize("variable", ["GITHUB_WORKSPACE", "CI_PROJECT_DIR"])
def test_files_are_named_from_the_root_of_the_repository(
    cli: Cli, pipeline: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    monkeypatch.setenv(variable, str(tmp_path))
    monkeypatch.chdir(pipeline.parent)

    said = told(cli, "json", "tea.yaml")

    assert said["problems"][0]["file"] == "a, b/tea.yaml"


def test_a_problem_in_a_file_that_the_pipeline_names_is_placed_where_that_file_is(cli: Cli, pipeline: Path) -> None:
    (pipeline.parent / "brief.md").write_text("A line.\nAbout {{ inputs.leaf }}.\n")
    pipeline.write_text(
        "name: tea\nsteps:\n  a: {kind: generate_text, model: qwen/qwen3-32b-awq, prompt: {file: brief.md}}\n"
    )

    said = told(cli, "json", pipeline.relative_to(Path.cwd()))

    assert [(row["file"], row["line"]) for row in said["problems"]] == [("a, b/brief.md", 2)]


def test_on_github_the_text_is_followed_by_annotations(
    cli: Cli, pipeline: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GITHUB_ACTIONS", "true")

    done = cli("check", pipeline)

    assert done.code == 2
    assert "1 problem, 1 warning. What that means: runner explain W601\n::warning file=a%2C b/tea.yaml" in done.err
    assert "\n::error file=a%2C b/tea.yaml,line=6,col=30," in done.err


@pytest.mark.parametrize("form", ["text", "json", "sarif", "github", "gitlab"])
def test_a_file_that_cannot_be_read_stands_beside_the_problems_of_the_others(cli: Cli, form: str) -> None:
    Path("latin.yaml").write_bytes("name: tea\n# é caf".encode() + b"\xe9\nsteps: {}\n")
    Path("wrong.yaml").write_text("name: tea\nsteps:\n  line: {kind: render_txt, text: hi}\n")

    done = cli("check", "none.yaml", "latin.yaml", "wrong.yaml", "none.test.yaml", "--format", form)

    told = done.err if form == "text" else done.out
    assert done.code == 2
    assert all(each in told for each in ("none.yaml", "latin.yaml", "wrong.yaml", "none.test.yaml", "render_txt"))


def test_a_byte_that_is_not_utf_8_has_a_place(cli: Cli) -> None:
    Path("latin.yaml").write_bytes("name: tea\n# é caf".encode() + b"\xe9\nsteps: {}\n")

    done = cli("check", "latin.yaml", "none.yaml", "--format", "json")

    rows = json.loads(done.out)["problems"]
    assert [(row["code"], row["file"], row["line"], row["column"]) for row in rows] == [
        ("E211", "latin.yaml", 2, 8),
        ("E211", "none.yaml", 1, 1),
    ]
    assert rows[0]["text"] == "# é caf\ufffd"
