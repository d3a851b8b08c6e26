"""Packages that bring kinds, providers and reporters: a real one is installed and used."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from .conftest import REPO

SHORT = """\
name: short
steps:
  draft: {kind: generate_text, model: qwen/qwen3-32b-awq, prompt: A red ceramic teapot on a linen cloth}
  short: {kind: shorten_text, text: "{{ steps.draft.text }}", at_most: 20}
outputs:
  short.txt: "{{ steps.short.text }}"
"""


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The example package, installed as pip installs it."""
    source = tmp_path_factory.mktemp("source") / "plugin"
    shutil.copytree(REPO / "examples" / "plugin", source)
    site = tmp_path_factory.mktemp("site")
    subprocess.run(
        [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-index", "--no-deps",
         "--no-build-isolation", "--target", str(site), str(source)],
        check=True, capture_output=True,
    )  # fmt: skip
    return site


def ran(folder: Path, site: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    env = {name: value for name, value in os.environ.items() if not name.startswith("RUNPOD_")}
    return subprocess.run(
        [sys.executable, "-m", "runner", *arguments], cwd=folder, text=True, capture_output=True, timeout=60,
        check=False, env={**env, "PYTHONPATH": f"{site}{os.pathsep}{REPO}", "RUNNER_MINUTES": "minutes.txt"},
    )  # fmt: skip


@pytest.fixture
def short(tmp_path: Path) -> Path:
    (tmp_path / ".git").mkdir()
    (tmp_path / "short.yaml").write_text(SHORT)
    return tmp_path


def test_a_kind_a_provider_and_a_reporter_of_a_package_run_a_pipeline(short: Path, installed: Path) -> None:
    done = ran(short, installed, "run", "short.yaml", "--provider", "echo", "--reporter", "minutes")

    assert done.returncode == 0, done.stderr
    assert (short / "out" / "short" / "short.txt").read_text().strip() == "A red ceramic…"
    assert sorted((short / "minutes.txt").read_text().splitlines()) == ["draft: done", "short: done"]


def test_schema_and_checks_know_the_kind_of_a_package(short: Path, installed: Path) -> None:
    (short / "short.yaml").write_text(SHORT.replace("at_most: 20", "at_most: 3, length: 4"))

    schema, found = ran(short, installed, "schema").stdout, ran(short, installed, "check", "short.yaml")

    assert '"shorten_text"' in schema
    assert "does not know the key length" in found.stderr
    assert "short.yaml:4:72: at_most cannot be 3" in found.stderr


def test_the_kind_of_a_package_is_told_with_a_step_to_start_from(short: Path, installed: Path) -> None:
    done = ran(short, installed, "kinds", "shorten_text")

    assert done.returncode == 0, done.stderr
    assert "A step to start from:\n\n  step:\n    kind: shorten_text\n" in done.stdout


def test_without_the_package_its_kind_is_unknown(short: Path, tmp_path: Path) -> None:
    found = ran(short, tmp_path, "check", "short.yaml")

    assert found.returncode == 2
    assert "shorten_text" in found.stderr


@pytest.mark.parametrize(
    ("group", "point", "words"),
    [
        (
            "runner.kinds",
            "generate_text = recipe_plugin.shorten_text",
            "brings a kind generate_text, and runner has one",
        ),
        (
            "runner.kinds",
            "cut = recipe_plugin.shorten_text",
            "brings a kind cut, which is none: its NAME is shorten_text",
        ),
        ("runner.kinds", "cut = recipe_plugin.minutes", "brings a kind cut, which is none: it has no NAME, VERSION"),
        (
            "runner.kinds",
            "cut = recipe_plugin.nothing",
            "brings a kind cut, which cannot be loaded: ModuleNotFoundError",
        ),
    ],
)
def test_a_package_that_brings_what_it_should_not_is_named(
    short: Path, installed: Path, tmp_path: Path, group: str, point: str, words: str
) -> None:
    site = tmp_path / "site"
    shutil.copytree(installed, site)
    (facts,) = site.glob("*.dist-info")
    (facts / "entry_points.txt").write_text(f"[{group}]\n{point}\n")

    done = ran(short, site, "run", "short.yaml", "--local")

    assert done.returncode == 2
    assert f"The installed package recipe-plugin {words}" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_reporter_that_two_packages_bring_is_neither(short: Path, installed: Path, tmp_path: Path) -> None:
    site = tmp_path / "site"
    shutil.copytree(installed, site)
    (facts,) = site.glob("*.dist-info")
    other = facts.with_name(f"other-{facts.name.partition('-')[2]}")
    shutil.copytree(facts, other)
    (other / "METADATA").write_text((facts / "METADATA").read_text().replace("recipe-plugin", "other"))
    (other / "entry_points.txt").write_text("[runner.reporters]\nminutes = recipe_plugin.minutes:reporter\n")

    done = ran(short, site, "run", "short.yaml", "--local", "--reporter", "minutes")

    assert done.returncode == 2
    assert "brings a reporter minutes, and so does" in done.stderr


def test_a_provider_that_no_package_brings_is_told_with_the_nearest(short: Path, installed: Path) -> None:
    done = ran(short, installed, "run", "short.yaml", "--provider", "ecco")

    assert done.returncode == 2
    assert "There is no provider ecco. Did you mean echo?" in done.stderr
