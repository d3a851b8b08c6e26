"""Files that a pipeline or a user names and that cannot be had: told before anything is paid, with their place."""

from __future__ import annotations

import base64
import io
import re
from pathlib import Path

import pytest
from PIL import Image

from runner.emulator import Emulator

from .conftest import Cli

GONE = "http://127.0.0.1:9/b.png"
PARAM = """\
name: param
steps:
  a:
    kind: edit_image
    model: qwen/qwen-image-edit
    image: URL
    prompt: hi
"""
AMONG_OTHERS = """\
name: among
steps:
  a:
    kind: edit_image
    model: google/nano-banana-edit
    images: [a.png, URL]
    prompt: hi
"""
DEFAULT = """\
name: default
inputs:
  picture:
    type: image
    default: URL
steps:
  a: {kind: edit_image, model: qwen/qwen-image-edit, image: "{{ inputs.picture }}", prompt: hi}
"""


@pytest.fixture(autouse=True)
def _real(emulator: Emulator, monkeypatch: pytest.MonkeyPatch, cli: Cli) -> None:
    del cli  # which forgets the address that there may be
    monkeypatch.setenv("RUNPOD_API_KEY", "rpa_x")
    monkeypatch.setenv("RUNPOD_BASE_URL", emulator.url)


@pytest.mark.parametrize(
    ("pipeline", "place", "marked"),
    [(PARAM, "6:12", f"    6 |     image: {GONE}"), (AMONG_OTHERS, "6:21", f"    6 |     images: [a.png, {GONE}]"),
     (DEFAULT, "5:14", f"    5 |     default: {GONE}")],
    ids=["a param", "one of several", "a default"],
)  # fmt: skip
def test_a_url_that_cannot_be_fetched_is_a_problem_where_it_is_named(
    cli: Cli, tmp_path: Path, emulator: Emulator, pipeline: str, place: str, marked: str
) -> None:
    (tmp_path / "p.yaml").write_text(pipeline.replace("URL", GONE))
    Image.new("RGB", (8, 8)).save(tmp_path / "a.png")

    done = cli("run", "p.yaml")

    assert done.code == 2
    assert f"p.yaml:{place}: The file {GONE} did not arrive" in done.err
    assert marked in done.err
    assert "= Check the address, or name another file." in done.err
    assert emulator.count("run") == 0


def test_a_file_of_another_sort_is_a_problem_where_it_is_named(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "p.yaml").write_text(PARAM.replace("URL", "notes.txt"))
    (tmp_path / "notes.txt").write_text("no picture")

    done = cli("run", "p.yaml")

    assert done.code == 2
    assert "p.yaml:6:12: notes.txt is application/octet-stream; image is needed here." in done.err


def test_a_default_of_another_sort_is_a_problem_where_it_stands(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "p.yaml").write_text(DEFAULT.replace("URL", "notes.txt"))
    (tmp_path / "notes.txt").write_text("no picture")

    done, named = cli("run", "p.yaml", "--local"), cli("run", "p.yaml", "--local", "-i", "picture=./notes.txt")

    assert done.code == 2
    assert re.search(r"^p\.yaml:\d+:\d+: .*notes\.txt is application/octet-stream; image is needed here\.", done.err)
    assert named.err.startswith("Error: The input picture cannot be used. ")


def test_a_picture_that_is_written_out_is_one_for_a_step_and_for_an_input(cli: Cli, tmp_path: Path) -> None:
    buffer = io.BytesIO()
    Image.new("RGB", (64, 64)).save(buffer, "PNG")
    uri = f"data:image/png;base64,{base64.b64encode(buffer.getvalue()).decode()}"
    (tmp_path / "a.yaml").write_text(PARAM.replace("URL", uri))
    (tmp_path / "b.yaml").write_text(DEFAULT.replace("URL", GONE).replace("name: default", "name: param"))

    planned = cli("plan", "a.yaml", "--calls").out
    done = [cli("run", "a.yaml"), cli("run", "b.yaml", "-i", f"picture={uri}")]

    assert [each.code for each in done] == [0, 0]
    assert "1 cached" in done[1].out
    assert "image: <data:image/png;base64,iVBOR" in planned
    assert max(map(len, planned.splitlines())) < 120


@pytest.mark.parametrize(
    ("uri", "told"),
    [("data:image/png,abc", "This data URI cannot be read."), ("data:image/png;base64,a§", "This data URI cannot be"),
     ("data:image/png;base64,YWJj", "is application/octet-stream; image is needed here."),
     ("data:image/png;base64,YWJ", "cannot be used: it is no base64.")],
)  # fmt: skip
def test_a_picture_that_is_written_out_wrongly_is_a_problem_where_it_stands(
    cli: Cli, tmp_path: Path, uri: str, told: str
) -> None:
    (tmp_path / "a.yaml").write_text(PARAM.replace("URL", uri))

    done = cli("run", "a.yaml")

    assert done.code == 2
    assert "a.yaml:6:12: " in done.err
    assert told in done.err


def test_what_a_user_names_is_told_by_the_input(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "p.yaml").write_text(DEFAULT.replace("URL", GONE))

    done = cli("run", "p.yaml", "-i", "picture=http://127.0.0.1:9/mine.png")

    assert done.code == 2
    assert "The input picture cannot be used. The file http://127.0.0.1:9/mine.png did not arrive" in done.err
    assert "p.yaml:" not in done.err


def test_in_a_pipeline_that_a_step_runs_the_place_is_in_its_file(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "p.yaml").write_text(PARAM.replace("URL", GONE))
    (tmp_path / "outer.yaml").write_text("name: outer\nsteps: {n: {kind: run_pipeline, file: p.yaml}}\n")

    done = cli("run", "outer.yaml")

    assert done.code == 2
    assert f"p.yaml:6:12: The file {GONE} did not arrive" in done.err


STEP = "  line: {kind: render_text, text: tea}\n"


@pytest.mark.parametrize(
    "text",
    [
        f"name: tea\nstep:\n{STEP}",
        f"name: tea\nSteps:\n{STEP}",
        f"name: tea\n steps:\n{STEP}",
        f"name: tea\nsteps\n{STEP}",
        f"name: tea\nparts:\n{STEP}",
        "name: tea\nparts:\n  line:\n    kind: render_text\n    text: tea\n",
        "",
        "# nothing yet\n",
    ],
)
def test_a_pipeline_whose_steps_are_not_called_so_is_checked_with_its_project(cli: Cli, text: str) -> None:
    Path("pipelines").mkdir()
    Path("pipelines/good.yaml").write_text(f"name: good\nsteps:\n{STEP}")
    Path("pipelines/tea.yaml").write_text(text)

    done = cli("check")

    assert done.code == 2
    assert "tea.yaml:" in done.err


@pytest.mark.parametrize(
    "text",
    [
        "products: [a, b]\n",
        "type: object\nproperties: {kind: {type: string}}\n",
        "models:\n  acme/teapots: {kind: generate_image, endpoint: acme-teapots}\n",
        "on: push\nname: build\njobs:\n  a:\n    steps:\n      - run: make\n",
        "apiVersion: v1\nkind: Pod\nmetadata: {name: tea}\n",
    ],
)
def test_other_yaml_of_a_project_is_not_checked_as_a_pipeline(cli: Cli, text: str) -> None:
    Path("pipelines").mkdir()
    Path("pipelines/good.yaml").write_text(f"name: good\nsteps:\n{STEP}")
    Path("pipelines/other.yaml").write_text(text)

    done = cli("check")

    assert (done.code, done.out) == (0, "1 pipeline: no problems\n")
