"""Two pipelines of one name: the folder of one is not written over by the other unasked."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from .conftest import Cli, Done

PIPELINE = """\
name: {name}
steps:
  line: {{kind: render_text, text: "{text}"}}
outputs:
  {output}: "{{{{ steps.line.text }}}}"
"""
WAITS = """\
name: tea
steps:
  line: {kind: render_text, text: from waits}
  fit: {kind: approve, question: Is it fit?}
outputs:
  tea.txt: "{{ steps.line.text }}"
"""


def write(file: str, name: str = "tea", output: str = "tea.txt") -> str:
    Path(file).write_text(PIPELINE.format(name=name, text=f"from {file}", output=output))
    return file


def run(cli: Cli, file: str, *arguments: object) -> Done:
    return cli("run", file, *arguments)


@pytest.fixture
def both(cli: Cli) -> Cli:
    """Two pipelines of one name, of which the first was run."""
    write("black.yaml")
    write("green.yaml")
    assert run(cli, "black.yaml").code == 0
    return cli


def test_outputs_of_another_pipeline_of_the_same_name_are_not_written_over(both: Cli) -> None:
    done = run(both, "green.yaml")

    assert done.code == 2
    assert done.err == (
        "Error: green.yaml would write over tea.txt of black.yaml in out/tea: both are called tea. Nothing ran. "
        "Write --out DIR, give one of them another name:, or move out/tea away.\n"
    )
    assert Path("out/tea/tea.txt").read_text() == "from black.yaml"


def test_a_pipeline_writes_over_its_own_outputs(both: Cli) -> None:
    done = run(both, "black.yaml")

    assert done.code == 0
    assert "Written over" not in done.err


def test_another_folder_is_free(both: Cli) -> None:
    done = run(both, "green.yaml", "--out", "out/green")

    assert done.code == 0
    assert "Written over" not in done.err


def test_who_names_the_folder_is_told_what_was_written_over(both: Cli) -> None:
    done = run(both, "green.yaml", "--out", "out/tea")
    again = run(both, "green.yaml", "--out", "out/tea")

    assert done.code == 0
    assert done.err.endswith("Written over in out/tea: tea.txt of black.yaml.\n")
    assert "Written over" not in again.err


def test_another_name_for_the_other_pipeline_frees_the_folder(both: Cli) -> None:
    write("black.yaml", "black")

    done = run(both, "green.yaml")

    assert done.code == 0
    assert done.err.endswith("Written over in out/tea: tea.txt of black.yaml.\n")


@pytest.mark.parametrize("away", ["out/tea", "black.yaml"])
def test_what_is_moved_away_is_in_nobodys_way(both: Cli, away: str) -> None:
    shutil.move(away, "elsewhere")

    done = run(both, "green.yaml")

    assert done.code == 0
    assert "Written over" not in done.err


def test_a_pipeline_that_cannot_be_read_keeps_its_outputs(both: Cli) -> None:
    Path("black.yaml").write_text("name: [")

    done = run(both, "green.yaml")

    assert done.code == 2


def test_outputs_of_other_names_share_a_folder(both: Cli) -> None:
    write("green.yaml", output="green.txt")

    done = run(both, "green.yaml")

    assert done.code == 0
    assert run(both, "black.yaml").code == 0
    assert sorted(path.name for path in Path("out/tea").iterdir()) == ["green.txt", "tea.txt"]


@pytest.mark.parametrize(
    ("one", "other", "code"),
    [("'{key}.txt'", "tea.txt", 2), ("'{key}.txt'", "tea.json", 0), ("line", "words", 2), ("line", "tea.txt", 0)],
    ids=["a file that a cell may have", "another sort of file", "both in outputs.json", "not in outputs.json"],
)
def test_names_that_may_be_the_same_file_are_taken_for_it(cli: Cli, one: str, other: str, code: int) -> None:
    fanned_out = "kind: render_text, foreach: [tea], " if "key" in one else "kind: render_text, "
    Path(write("black.yaml", output=one)).write_text(
        Path("black.yaml").read_text().replace("kind: render_text, ", fanned_out)
    )
    write("green.yaml", output=other)
    assert run(cli, "black.yaml").code == 0

    done = run(cli, "green.yaml")

    assert done.code == code


def test_a_note_that_cannot_be_read_is_none(both: Cli) -> None:
    for note in Path(".runner/outputs").iterdir():
        note.write_text("[")

    done = run(both, "green.yaml")

    assert done.code == 0


def test_a_run_that_is_taken_up_again_does_not_write_over_them_either(cli: Cli, tmp_path: Path) -> None:
    Path("waits.yaml").write_text(WAITS)
    assert run(cli, "waits.yaml", "--quiet").code == 6
    shutil.move("out", "elsewhere")
    assert run(cli, write("green.yaml")).code == 0

    done = cli("resume", "--approve", "yes")

    assert done.code == 2
    assert done.err.endswith("Nothing ran. Give one of them another name:, or move out/tea away.\n")
    assert Path("out/tea/tea.txt").read_text() == "from green.yaml"


def test_pipelines_of_one_name_are_told_when_they_are_checked_together(cli: Cli) -> None:
    done = cli("check", write("black.yaml"), write("green.yaml"), write("mate.yaml", "mate"), "./black.yaml")

    assert done.code == 0
    assert done.err.count("[W609 same-name]") == 1
    assert "green.yaml:1:7: warning: black.yaml is called tea, too: both write into out/tea." in done.err


def test_problems_stand_in_the_order_in_which_their_files_are_named(cli: Cli) -> None:
    Path("mate.yaml").write_text(Path(write("green.yaml")).read_text() + "colour: red\n")

    done = cli("check", write("black.yaml"), "green.yaml", "mate.yaml")

    told = [line for line in done.err.splitlines() if ".yaml:" in line]
    assert "green.yaml:1:7: warning: black.yaml is called tea, too" in told[0]
    assert "mate.yaml" in told[1]


def test_pipelines_of_two_projects_may_have_one_name(cli: Cli) -> None:
    for project in ("one", "two"):
        Path(project).mkdir()
        Path(project, "runner.yaml").write_text("")

    done = cli("check", write("one/tea.yaml"), write("two/tea.yaml"))

    assert done.err == ""
