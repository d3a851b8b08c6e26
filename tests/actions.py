"""A small stand-in for GitHub's runner: the shell steps of an action or a job, in bash, with what GitHub gives them.

Steps that use other actions are left out; of expressions it knows names with dots, ``always()``, ``==`` and ``&&``.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from .conftest import REPO

GITHUB = ("GITHUB_", "RUNNER_TEMP", "CI_PROJECT_DIR", "RUNPOD_")


@dataclass
class Job:
    """What a job left behind: how each shell step ended, what it said, its outputs and its summary."""

    codes: dict[str, int] = field(default_factory=dict)
    log: str = ""
    outputs: dict[str, dict[str, str]] = field(default_factory=dict)
    summary: str = ""

    @property
    def failed(self) -> bool:
        return any(self.codes.values())


def outputs_of(file: Path) -> dict[str, str]:
    """What GitHub reads in the file of outputs: a name and its value, or a name, a mark, and lines until that mark."""
    found: dict[str, str] = {}
    lines = iter(file.read_text(encoding="utf-8").split("\n"))
    for line in lines:
        if line:
            name, mark = re.split("<<|=", line, maxsplit=1)
            found[name] = mark if line.startswith(f"{name}=") else "\n".join(iter(lambda: next(lines), mark))
    return found


def action(**given: str) -> tuple[Sequence[Mapping[str, Any]], dict[str, str]]:
    """The steps of our action, and its inputs with their defaults."""
    read = yaml.safe_load((REPO / "action.yml").read_text(encoding="utf-8"))
    known = {name: declared.get("default", "") for name, declared in read["inputs"].items()}
    wanted = {name.replace("_", "-"): value for name, value in given.items()}
    assert set(wanted) <= set(known)
    return read["runs"]["steps"], {**known, **wanted}


def workflow(name: str, **given: str) -> tuple[Sequence[Mapping[str, Any]], dict[str, str]]:
    """The steps of the only job of a reusable workflow of ours, and its inputs with their defaults."""
    read = yaml.safe_load((REPO / ".github/workflows" / name).read_text(encoding="utf-8"))
    declared = read[True]["workflow_call"]["inputs"]  # YAML 1.1 reads on as true
    assert set(given) <= set(declared)
    (job,) = read["jobs"].values()
    return job["steps"], {**{n: d.get("default", "") for n, d in declared.items()}, **given}


def run(
    steps: Sequence[Mapping[str, Any]],
    inputs: Mapping[str, str],
    folder: Path,
    temp: Path,
    *,
    left_out: Sequence[str] = ("Install runner", "Name the store"),
    github: Mapping[str, Any] | None = None,
    secrets: Mapping[str, str] | None = None,
    env: Mapping[str, str] | None = None,
) -> Job:
    """Run the shell steps in a folder, one after the other; after one that failed only those with ``always()``."""
    temp.mkdir(exist_ok=True)
    job, added = Job(), [str(Path(sys.executable).parent)]
    known = {"inputs": inputs, "github": github or {}, "secrets": secrets or {}, "steps": {}}
    for step in steps:
        name = step.get("name", "")
        if "run" not in step or name in left_out or not _wanted(step.get("if", "success()"), known, job):
            continue
        files = {each: temp / each.lower() for each in ("GITHUB_OUTPUT", "GITHUB_STEP_SUMMARY", "GITHUB_PATH")}
        for file in files.values():
            file.write_text("")
        script = temp / "script.sh"
        script.write_text(step["run"])
        told = {key: _filled(str(value), known) for key, value in step.get("env", {}).items()}
        done = subprocess.run(
            ["bash", "--noprofile", "--norc", "-eo", "pipefail", str(script)],
            cwd=folder,
            env={
                **{key: value for key, value in os.environ.items() if not key.startswith(GITHUB)},
                "GITHUB_ACTIONS": "true", "GITHUB_WORKSPACE": str(folder), "RUNNER_TEMP": str(temp),
                "GITHUB_ACTION_PATH": str(REPO), "PATH": os.pathsep.join([*reversed(added), os.environ["PATH"]]),
                **{key: str(value) for key, value in files.items()}, **(env or {}), **told,
            },
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=300, check=False,
        )  # fmt: skip
        job.codes[name] = done.returncode
        job.log += done.stdout
        job.outputs[step.get("id", name)] = outputs_of(files["GITHUB_OUTPUT"])
        job.summary += files["GITHUB_STEP_SUMMARY"].read_text(encoding="utf-8")
        added += files["GITHUB_PATH"].read_text(encoding="utf-8").split()
    return job


def _wanted(condition: str, known: Mapping[str, Any], job: Job) -> bool:
    parts = [part.strip() for part in condition.split("&&")]
    if "always()" not in parts and job.failed:
        return False
    compared = [part.split("==") for part in parts if "==" in part]
    return all(_value(left.strip(), known) == right.strip().strip("'") for left, right in compared)


def _filled(text: str, known: Mapping[str, Any]) -> str:
    return re.sub(r"\$\{\{\s*([\w.-]+)\s*\}\}", lambda found: str(_value(found[1], known)), text)


def _value(name: str, known: Mapping[str, Any]) -> Any:
    value: Any = known
    for part in name.split("."):
        value = value.get(part, "") if isinstance(value, Mapping) else ""
    return value
