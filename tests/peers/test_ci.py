"""What CI servers and their tools make of ours: the official SARIF validator, GitHub's schemas, pre-commit, pip."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from ..actions import action, run
from ..conftest import REPO
from .conftest import PEERS

BIN = PEERS / "venv/bin"
MULTITOOL = PEERS / "npm/node_modules/@microsoft/sarif-multitool-linux/Sarif.Multitool"
MISTAKES = [
    f"tests/mistakes/{name}.yaml" for name in ("aspect-ratio", "tab", "five-stops", "template-in-block", "after-itself")
]


def runs(*command: object, folder: Path = REPO, **env: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(word) for word in command], cwd=folder, capture_output=True, text=True, timeout=280, check=False,
        env={**os.environ, **env},
    )  # fmt: skip


def git(folder: Path, *arguments: str) -> None:
    who = ("-c", "user.name=t", "-c", "user.email=t@example.com", "-c", "commit.gpgsign=false")
    done = runs("git", *who, *arguments, folder=folder)
    assert done.returncode == 0, done.stderr


def errors_in(report: Path) -> list[Any]:
    """What the official validator finds wrong with a SARIF file, by its own rules and GitHub's."""
    found = report.with_suffix(".found")
    done = runs(
        MULTITOOL, "validate", report, "--output", found, "--rule-kind", "Sarif;Ghas",
        DOTNET_SYSTEM_GLOBALIZATION_INVARIANT="1",
    )  # fmt: skip
    assert done.returncode == 0, done.stdout
    results = json.loads(found.read_text(encoding="utf-8-sig"))["runs"][0]["results"]
    return [result for result in results if result.get("level") == "error"]


@pytest.mark.skipif(sys.platform != "linux", reason="this build of the SARIF Multitool is for Linux")
def test_the_official_validator_accepts_our_sarif(tmp_path: Path) -> None:
    said = runs(sys.executable, "-m", "runner", "check", "--format", "sarif", *MISTAKES)
    ours, broken = tmp_path / "ours.sarif", tmp_path / "broken.sarif"
    ours.write_text(said.stdout, encoding="utf-8")
    broken.write_text(said.stdout.replace('"startLine": ', '"startLine": -'), encoding="utf-8")

    assert len(json.loads(said.stdout)["runs"][0]["results"]) == len(MISTAKES)
    assert errors_in(ours) == []
    assert errors_in(broken) != []


@pytest.mark.parametrize(
    ("schema", "path"),
    [
        ("github-actions", "action.yml"),
        *[("github-workflows", f".github/workflows/{p.name}") for p in (REPO / ".github/workflows").glob("*.yml")],
    ],
)
def test_github_would_accept_it(schema: str, path: str) -> None:
    done = runs(BIN / "check-jsonschema", "--builtin-schema", f"vendor.{schema}", path)

    assert done.returncode == 0, done.stdout


def workflows() -> list[Any]:
    page = (REPO / "docs/ci.md").read_text(encoding="utf-8")
    blocks = [block.partition("```")[0] for block in page.split("```yaml\n")[1:]]
    read = [(yaml.safe_load(block), block) for block in blocks]
    return [pytest.param("github-workflows", text, id=data["name"]) for data, text in read if "jobs" in data] + [
        pytest.param("gitlab-ci", text, id="GitLab") for data, text in read if "pipelines" in data
    ]


@pytest.mark.parametrize(("schema", "text"), workflows())
def test_what_the_documentation_shows_would_be_accepted(tmp_path: Path, schema: str, text: str) -> None:
    file = tmp_path / "shown.yml"
    file.write_text(text)

    done = runs(BIN / "check-jsonschema", "--builtin-schema", f"vendor.{schema}", file)

    assert done.returncode == 0, done.stdout


def test_pre_commit_installs_the_hook_and_it_finds_a_mistake(tmp_path: Path) -> None:
    folder = tmp_path / "project"
    pipelines = folder / "pipelines"
    pipelines.mkdir(parents=True)
    (pipelines / "good.yaml").write_text("name: good\nsteps:\n  a: {kind: render_text, text: Tea.}\n")
    (pipelines / "good.lock.yaml").write_text("format: 1\npipeline: good\ncells: {}\n")
    git(folder, "init", "-q")
    git(folder, "add", "-A")
    command = (BIN / "pre-commit", "try-repo", REPO, "runner-check", "--all-files", "--verbose")
    home = {"PRE_COMMIT_HOME": str(tmp_path / "home")}

    good = runs(*command, folder=folder, **home)
    (pipelines / "wrong.yaml").write_text("name: wrong\nsteps:\n  a: {kind: render_text, text: '{{ steps.b.text }}'}\n")
    git(folder, "add", "-A")
    wrong = runs(*command, folder=folder, **home)

    assert good.returncode == 0, good.stdout + good.stderr
    assert "1 pipeline: no problems" in good.stdout
    assert wrong.returncode == 1
    assert "pipelines/wrong.yaml:3:42: There is no step b. [E103 unknown-step]" in wrong.stdout


def test_the_action_installs_runner_and_runs_it(tmp_path: Path) -> None:
    pipelines = tmp_path / "project/pipelines"
    pipelines.mkdir(parents=True)
    (pipelines / "tea.yaml").write_text("name: tea\nsteps:\n  a: {kind: render_text, text: Tea.}\n")

    job = run(
        *action(command="run", arguments="--local"), pipelines.parent, tmp_path / "temp", left_out=(),
        env={"PYTHONDONTWRITEBYTECODE": "1"},
    )  # fmt: skip

    assert job.codes == {"Install runner": 0, "Name the store": 0, "runner": 0}, job.log
    assert job.outputs["command"]["outcome"] == "done"
    assert (tmp_path / "temp/runner-venv").is_dir()
