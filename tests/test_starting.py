"""A project from nothing, a pipeline from one that works, and what `runner kinds` tells."""

from __future__ import annotations

import json
import shlex
from pathlib import Path

import jsonschema
import pytest
import yaml

from runner import source, starting
from runner.cases.schema import cases_schema
from runner.kinds import KINDS, makes
from runner.schema import pipeline_schema

from .conftest import REPO, Cli

SHIPPED = sorted(p.stem for p in (REPO / "pipelines").glob("*.yaml") if ".test" not in p.suffixes)


def files(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


# -- runner init ------------------------------------------------------------------------------------


def test_a_new_project_says_what_it_is_made_of_and_what_to_do_next(cli: Cli) -> None:
    done = cli("init", "shop")

    assert done.code == 0, done.err
    made = files(Path("shop"))
    said = [line.split()[0] for line in done.out.partition("\n\n")[0].splitlines()[1:]]
    assert sorted(said) == sorted(made)
    assert {"runner.yaml", ".gitignore", ".vscode/settings.json", "pipelines/product-card.yaml",
            "pipelines/product-card.test.yaml", ".github/workflows/pipelines.yaml"} <= set(made)  # fmt: skip
    assert "Next:\n  cd shop\n" in done.out


def test_what_is_to_be_done_next_works_as_it_is_said(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    told = cli("init", "shop").out
    monkeypatch.chdir("shop")
    commands = [line.split("  ")[1] for line in told.splitlines() if line.startswith("  runner ")]

    done = {command: cli(*shlex.split(command)[1:]) for command in commands}

    assert len(done) == 4
    assert {command: each.code for command, each in done.items()} == dict.fromkeys(done, 0)
    assert Path("out/product-card/card.png").is_file()


def test_the_workflow_of_a_new_project_runs_commands_that_pass(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    cli("init")
    workflow = yaml.safe_load(Path(".github/workflows/pipelines.yaml").read_text())
    lines = [step["run"] for step in workflow["jobs"]["test"]["steps"] if "run" in step]
    monkeypatch.setenv("GITHUB_ACTIONS", "true")

    done = [
        cli(*(file for word in line.split()[1:] for file in (sorted(Path().glob(word)) if "*" in word else [word])))
        for line in lines
        if line.startswith("runner ")
    ]

    assert lines[0] == "pip install git+https://github.com/OWNER/runner@v1"
    assert [each.code for each in done] == [0, 0]
    assert "3 cases: all passed" in done[1].out
    assert Path("junit.xml").is_file()


def test_the_workflow_of_a_new_project_installs_the_runner_that_pip_had_from_a_repository(
    cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    # What pip writes beside a package it installs from a repository: packaging.python.org, "Direct URL Data Structure".
    origin = {"url": "https://example.org/us/runner", "vcs_info": {"vcs": "git", "commit_id": "c0ffee"}}
    written = Path("recipe_runner-1.0.dist-info")
    written.mkdir()
    (written / "METADATA").write_text("Metadata-Version: 2.1\nName: recipe-runner\nVersion: 1.0\n")
    (written / "direct_url.json").write_text(json.dumps(origin))
    monkeypatch.syspath_prepend(str(Path.cwd()))

    done = cli("init", "shop")

    workflow = Path("shop/.github/workflows/pipelines.yaml").read_text()
    assert "pip install git+https://example.org/us/runner@c0ffee" in workflow
    assert "say in it where runner comes from" not in done.out


def test_a_project_that_is_there_is_completed_and_nothing_of_it_is_changed(cli: Cli) -> None:
    Path(".gitignore").write_text("out/\n*.log\n")
    Path("pipelines").mkdir()
    Path("pipelines/product-card.yaml").write_text("mine\n")

    done = cli("init")

    assert done.code == 0
    assert Path(".gitignore").read_text() == "out/\n*.log\n"
    assert Path("pipelines/product-card.yaml").read_text() == "mine\n"
    assert "  .gitignore                   add to it: .runner/  .env\n" in done.out.partition("Left as it was:")[2]
    assert "  pipelines/product-card.yaml\n" in done.out.partition("Left as it was:")[2]


def test_making_a_project_twice_changes_nothing(cli: Cli) -> None:
    cli("init")
    before = files(Path())

    done = cli("init")

    assert done.code == 0
    assert done.out.startswith("Nothing was missing.")
    assert files(Path()) == before


def test_a_project_cannot_be_made_of_a_file(cli: Cli) -> None:
    Path("shop").write_text("")

    done = cli("init", "shop")

    assert (done.code, done.err) == (2, "Error: shop is a file. Name a folder, which may be there or not.\n")


def test_the_schemas_of_a_new_project_are_those_of_this_version(cli: Cli) -> None:
    cli("init")

    assert json.loads(Path(".vscode/pipeline.schema.json").read_text()) == pipeline_schema()
    assert json.loads(Path(".vscode/test.schema.json").read_text()) == cases_schema()


# -- runner new -------------------------------------------------------------------------------------


def test_what_there_is_to_start_from_is_what_we_ship(cli: Cli) -> None:
    done = cli("new", "--list")

    assert [line for line in done.out.splitlines() if line and not line.startswith(" ")] == SHIPPED
    assert "A product card with copy, a hero picture and a seasonal variant." in done.out


def test_the_starters_in_the_package_are_the_pipelines_that_we_ship() -> None:
    """When this fails: make starters"""
    ours = {name: content for name, content in files(REPO / "pipelines").items() if not name.endswith(".lock.yaml")}

    packaged = {name: content for name, content in files(starting.HERE).items() if not name.startswith("project/")}

    assert packaged == ours


@pytest.mark.parametrize("starter", SHIPPED)
def test_a_pipeline_from_each_starter_has_its_name_passes_the_check_and_its_tests(cli: Cli, starter: str) -> None:
    done = cli("new", "mine", "--from", starter)

    assert done.code == 0, done.err
    assert "name: mine\n" in Path("mine.yaml").read_text()
    assert "$schema" not in Path("mine.yaml").read_text()  # there is none here
    assert cli("check", *Path().glob("*.yaml")).code == 0
    if Path("mine.test.yaml").exists():
        assert cli("test", "mine.yaml").code == 0


@pytest.mark.parametrize("at", [".", "pipelines", "pictures/raw"])
def test_in_a_project_a_new_pipeline_goes_to_its_pipelines_and_knows_its_schema(
    cli: Cli, monkeypatch: pytest.MonkeyPatch, at: str
) -> None:
    cli("init")
    project = Path.cwd()
    Path(at).mkdir(parents=True, exist_ok=True)
    monkeypatch.chdir(at)

    done = cli("new", "tea")

    assert done.code == 0, done.err
    first = (project / "pipelines/tea.yaml").read_text().partition("\n")[0]
    assert first == "# yaml-language-server: $schema=../.vscode/pipeline.schema.json"
    assert (project / "pipelines" / first.partition("=")[2]).is_file()
    assert Path(done.out.splitlines()[1].strip()).is_file()


def test_a_pipeline_that_is_there_is_not_overwritten(cli: Cli) -> None:
    cli("new", "tea")
    Path("tea.yaml").write_text("mine")

    done = cli("new", "tea")

    assert (done.code, Path("tea.yaml").read_text()) == (2, "mine")
    assert done.err == "Error: tea.yaml is there already, and is not overwritten. Choose another name.\n"


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (
            ["tea", "--from", "product-crad"],
            "There is no pipeline called product-crad to start from. Did you mean product-card?",
        ),
        (["pipelines/tea.yaml"], "pipelines/tea.yaml cannot be the name of a pipeline. Write tea."),
        (["a tea"], "a tea cannot be the name of a pipeline. Use letters, digits, dots, _ and -."),
        ([], "Say what the pipeline is called: runner new NAME. --list shows what to start from."),
    ],
)
def test_a_pipeline_that_cannot_be_made_is_told_why(cli: Cli, words: list[str], told: str) -> None:
    done = cli("new", *words)

    assert (done.code, done.err) == (2, f"Error: {told}\n")
    assert list(Path().iterdir()) == []


# -- runner kinds -----------------------------------------------------------------------------------


def test_every_kind_is_listed_with_what_it_does(cli: Cli) -> None:
    done = cli("kinds")

    assert [line.split()[0] for line in done.out.splitlines() if line.startswith("  ")] == list(KINDS)
    assert all(kind.TITLE in done.out for kind in KINDS.values())
    assert "Every step may also have needs, after, when, foreach, " in done.out
    assert "also pick." in " ".join(done.out.split())


@pytest.mark.parametrize("kind", KINDS)
def test_one_kind_tells_its_params_and_what_it_yields(cli: Cli, kind: str) -> None:
    done = cli("kinds", kind)

    assert done.code == 0, done.err
    told = [line.split()[0] for line in done.out.splitlines() if line.startswith("  ")]
    assert set(KINDS[kind].PARAMS) <= set(told)
    assert {".model", ".cost", "foreach", "retry"} <= set(told)
    assert ("pick" in told) == (makes(KINDS[kind]) is not None)


@pytest.mark.parametrize("kind", KINDS)
def test_the_step_to_start_from_is_valid_for_an_editor(cli: Cli, kind: str) -> None:
    step = cli("kinds", kind).out.partition("A step to start from:\n\n")[2]

    errors = list(jsonschema.Draft202012Validator(pipeline_schema()).iter_errors(
        {"name": "p", "steps": source.parse(step, "a step").data}
    ))  # fmt: skip

    assert errors == []


def test_a_kind_as_json_has_the_schemas_of_its_params(cli: Cli) -> None:
    one, everything = cli("kinds", "parse_json", "--json"), cli("kinds", "--json")

    said = json.loads(one.out)
    assert said["required"] == [["text"]]
    assert said["params"]["schema"]["type"] == "object"
    assert "foreach" in said["also"]
    assert [each["kind"] for each in json.loads(everything.out)] == list(KINDS)


def test_an_unknown_kind_is_told_with_the_nearest(cli: Cli) -> None:
    done = cli("kinds", "generate_images")

    assert (done.code, done.err) == (2, "Error: There is no kind generate_images. Did you mean generate_image?\n")


# -- the pages about it -----------------------------------------------------------------------------


def test_the_settings_that_the_docs_show_are_those_of_a_new_project(cli: Cli) -> None:
    shown = (REPO / "docs" / "editor.md").read_text().split("```json\n")[1].split("```")[0]
    cli("init")

    assert json.loads(f"{{{shown}}}").items() <= json.loads(Path(".vscode/settings.json").read_text()).items()


def test_the_docs_show_every_starter() -> None:
    page = (REPO / "docs" / "starting.md").read_text()

    assert all(f"| `{name}` |" in page for name in SHIPPED)
    pictures = {line.partition("](")[2].partition(")")[0] for line in page.splitlines() if line.startswith("| ![")}
    assert pictures
    assert all((REPO / "docs" / picture).is_file() for picture in pictures)


@pytest.mark.parametrize("page", ["starting", "testing", "editor"])
def test_links_in_the_docs_lead_somewhere(page: str) -> None:
    text = (REPO / "docs" / f"{page}.md").read_text()

    links = [part.partition(")")[0] for part in text.split("](")[1:]]

    assert [link for link in links if not link.startswith("http") and not (REPO / "docs" / link).exists()] == []


def test_an_example_that_is_another_ones_gets_no_test_of_ours(cli: Cli) -> None:
    Path("pipelines").mkdir()
    Path("pipelines/product-card.yaml").write_text("name: mine\nsteps:\n  a: {kind: render_text, text: x}\n")

    done, checked = cli("init"), cli("check")

    assert not Path("pipelines/product-card.test.yaml").exists()
    assert "runner test" not in done.out
    assert checked.code == 0


def test_settings_that_are_kept_are_told_what_an_editor_lacks(cli: Cli) -> None:
    Path(".vscode").mkdir()
    Path(".vscode/settings.json").write_text("{}\n")

    done = cli("init")

    said = done.out.partition("for help in the editor add to it: ")[2].splitlines()[0]
    assert set(json.loads(f"{{{said}}}")["yaml.schemas"]) == {
        ".vscode/pipeline.schema.json",
        ".vscode/test.schema.json",
    }
    assert Path(".vscode/settings.json").read_text() == "{}\n"
