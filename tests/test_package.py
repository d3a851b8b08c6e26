"""What we ship is what we tested: the built wheel, in an empty environment, away from the checkout."""

from __future__ import annotations

import subprocess
import sys
import tarfile
import venv
import zipfile
from pathlib import Path

import pytest

from .conftest import REPO


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The sdist, and the wheel that is built from that sdist and from nothing else."""
    dist = tmp_path_factory.mktemp("dist")
    subprocess.run(
        [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(dist), str(REPO)],
        check=True,
        capture_output=True,
    )
    return dist


def wheel(dist: Path) -> Path:
    return next(dist.glob("*.whl"))


def test_the_wheel_holds_the_package_and_nothing_else(built: Path) -> None:
    with zipfile.ZipFile(wheel(built)) as archive:
        names = archive.namelist()

    assert {name.split("/")[0].split("-")[0] for name in names} == {"runner", "recipe_runner"}
    assert {
        "runner/py.typed",
        "runner/models/image.yaml",
        "runner/emulator/server.py",
        "runner/starters/product-card.yaml",
        "runner/starters/project/gitignore",
    } <= set(names)
    assert any(name.endswith("licenses/LICENSE") for name in names)


def test_the_sdist_holds_what_its_readers_need(built: Path) -> None:
    with tarfile.open(next(built.glob("*.tar.gz"))) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}

    wanted = {"README.md", "LICENSE", "CHANGELOG.md", "Makefile", "pipelines/product-card.yaml",
              "pipelines/pictures/street.jpg", "schemas/pipeline.schema.json", "tests/conftest.py"}  # fmt: skip
    assert wanted <= names


def test_the_demo_runs_from_the_wheel_in_an_empty_environment(built: Path, tmp_path: Path) -> None:
    venv.create(tmp_path / "venv", with_pip=True)
    python = tmp_path / "venv/bin/python"
    installed = subprocess.run(
        [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", str(wheel(built))],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    if installed.returncode and "No matching distribution" in installed.stderr + installed.stdout:
        pytest.skip("the package registry is out of reach, so the wheel's dependencies cannot be installed")
    assert installed.returncode == 0, installed.stderr
    (tmp_path / "product-card.yaml").write_bytes((REPO / "pipelines/product-card.yaml").read_bytes())

    done = subprocess.run(
        [str(tmp_path / "venv/bin/runner"), "run", "product-card.yaml", "--local"],
        cwd=tmp_path, capture_output=True, text=True, check=False,
    )  # fmt: skip

    assert done.returncode == 0, done.stderr
    assert (tmp_path / "out/product-card/card.png").stat().st_size > 10_000


def test_the_docs_show_the_pipeline_that_the_demo_runs() -> None:
    card = (REPO / "pipelines/product-card.yaml").read_text().partition("\n")[2].strip()

    assert f"```yaml\n{card}\n```" in (REPO / "docs/starting.md").read_text()
    assert "](pipelines/product-card.yaml)" in (REPO / "README.md").read_text()


def test_the_readme_is_short_enough_to_be_read() -> None:
    assert len((REPO / "README.md").read_text().split()) < 2500


def test_the_readmes_own_pipeline_runs_as_it_says(tmp_path: Path) -> None:
    readme = (REPO / "README.md").read_text()
    poster = readme.partition("Save this as `pipelines/poster.yaml`:")[2].split("```yaml\n")[1].split("```")[0]
    (tmp_path / "poster.yaml").write_text(poster)

    done = subprocess.run(
        [sys.executable, "-m", "runner", "run", "poster.yaml", "-i", "event=a jazz festival", "--local"],
        cwd=tmp_path, capture_output=True, text=True, check=False,
    )  # fmt: skip

    assert done.returncode == 0, done.stderr
    assert sorted(p.name for p in (tmp_path / "out/poster").iterdir()) == ["day.png", "night.png", "slogan.txt"]


def test_the_docs_pipeline_of_many_cells_runs(tmp_path: Path) -> None:
    batch = (REPO / "docs/batch.md").read_text()
    pots = batch.partition('```yaml title="pipelines/lit-pots.yaml"\n')[2].split("```")[0]
    (tmp_path / "pots.yaml").write_text(pots)

    done = subprocess.run(
        [sys.executable, "-m", "runner", "run", "pots.yaml", "--local"],
        cwd=tmp_path, capture_output=True, text=True, check=False,
    )  # fmt: skip

    assert done.returncode == 0, done.stderr
    assert len(list((tmp_path / "out/lit-pots").glob("*-day.png"))) >= 2
    assert not list((tmp_path / "out/lit-pots").glob("*-night.png"))


@pytest.mark.parametrize("target", ["demo", "test", "bench", "check"])
def test_every_make_target_that_is_named_in_the_docs_is_there(target: str) -> None:
    makefile = (REPO / "Makefile").read_text()

    assert f"\n{target}:" in makefile
    assert f"make {target}" in (REPO / "README.md").read_text()
