"""Reports in a real browser, checked by axe-core; flowcharts drawn by Mermaid."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from ..conftest import REPO
from .conftest import _answer, _script

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome", "microsoft-edge")
EVIL = "<script>window.ran = 1</script><img src=x onerror='window.ran = 2'><svg onload='window.ran = 3'>"
BROKEN = """\
name: broken
inputs: {mood: {type: string}}
steps:
  draft: {kind: generate_text, model: qwen/qwen3-32b-awq, prompt: "A pot {{ inputs.mood }}"}
  facts: {kind: parse_json, text: "{{ steps.draft.text }}", schema: {type: object, required: [title]}}
  cup:
    kind: generate_image
    model: black-forest-labs/flux-1-schnell
    foreach: [red, blue, green, grey, pink, brown]
    matrix: {thing: [cup, bowl, jug, vase, plate, pot, tray, dish, urn, box]}
    size: 512x512
    prompt: "a {{ item }} {{ matrix.thing }} {{ inputs.mood }}"
  last: {kind: render_text, text: "{{ steps.facts.data.title }}", after: [cup]}
"""


def runner(folder: Path, *arguments: str) -> str:
    env = {name: value for name, value in os.environ.items() if not name.startswith("RUNPOD_")}
    done = subprocess.run(
        [sys.executable, "-m", "runner", *arguments], cwd=folder, capture_output=True, text=True, check=False, env=env
    )
    assert done.returncode in (0, 1), done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def seen(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What a browser sees of four pages, and what Mermaid says of the graphs of all examples."""
    browser = next(filter(None, map(shutil.which, BROWSERS)), None)
    if browser is None:
        pytest.skip(f"there is no browser on this machine; install one of {', '.join(BROWSERS)}")
    folder = tmp_path_factory.mktemp("pages")
    shutil.copytree(REPO / "pipelines", folder, dirs_exist_ok=True)
    (folder / "runner.yaml").touch()
    (folder / "broken.yaml").write_text(BROKEN)
    ran = {}
    for name, *more in (
        ("card", "product-card.yaml"),
        ("winter", "product-card.yaml", "-i", "season=winter"),
        ("story", "narrated-story.yaml"),
        ("film", "text-to-video.yaml"),
        ("broken", "broken.yaml", "-i", f"mood={EVIL}"),
    ):
        ran[name] = json.loads(runner(folder, "run", *more, "--local", "--json"))["run"]
    for name in ("story", "film", "broken"):
        runner(folder, "report", ran[name], "--out", f"{name}.html")
    runner(folder, "report", ran["card"], "--compare", ran["winter"], "--out", "card.html")
    pages = [str(folder / f"{name}.html") for name in ("card", "story", "film", "broken")]
    files = sorted(path for path in folder.glob("*.yaml") if not path.name.endswith(".test.yaml"))
    flowcharts = {
        path.stem: runner(folder, "graph", str(path), "--format", "mermaid")
        for path in files
        if path.name != "runner.yaml"
    }
    case = {"browser": browser, "pages": pages, "flowcharts": list(flowcharts.values())}
    found = _answer([shutil.which("node") or "node", _script("browser.mjs")], case, within=240)
    return {
        "pages": {Path(path).stem: ways for path, ways in found["pages"].items()},
        "flowcharts": dict(zip(flowcharts, found["flowcharts"], strict=True)),
    }


def every(seen: dict[str, Any], name: str) -> dict[tuple[str, int], Any]:
    """One thing of each page, at each width."""
    return {(page, way["width"]): way[name] for page, ways in seen["pages"].items() for way in ways if name in way}


def test_a_page_says_nothing_on_the_console_and_asks_nobody(seen: dict[str, Any]) -> None:
    assert not any(every(seen, "said").values())
    assert not any(every(seen, "asked").values())


def test_all_pictures_are_shown_and_nothing_is_wider_than_a_telephone(seen: dict[str, Any]) -> None:
    assert not any(every(seen, "broken").values())
    assert all(wide <= width for (_, width), wide in every(seen, "wide").items())


def test_axe_finds_nothing_to_complain_about(seen: dict[str, Any]) -> None:
    assert not any(every(seen, "violations").values()), every(seen, "violations")


def test_nothing_that_a_model_said_has_run(seen: dict[str, Any]) -> None:
    assert set(every(seen, "ran").values()) == {None}


def test_the_page_can_be_used_without_a_mouse(seen: dict[str, Any]) -> None:
    assert set(every(seen, "first").values()) == {"Skip to the content"}
    assert every(seen, "cut")["card", 375] == "40%"
    assert every(seen, "slider")["card", 1280] == "Earlier and later, seasonal"
    assert all(every(seen, "larger").values())
    assert all(every(seen, "closed").values())


def test_sound_and_video_play_from_the_page(seen: dict[str, Any]) -> None:
    seconds = every(seen, "seconds")

    assert seconds["film", 1280] == pytest.approx(5, abs=0.1)
    assert seconds["story", 1280] > 1


def test_mermaid_draws_the_graph_of_every_example(seen: dict[str, Any]) -> None:
    nodes = seen["flowcharts"]

    assert nodes["product-card"] == 4
    assert nodes["broken"] == 4
    assert all(isinstance(count, int) and count for count in nodes.values()), nodes
