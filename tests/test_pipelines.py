"""Every pipeline that we ship runs as it is."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from runner.media import look

from .conftest import REPO, Cli

PIPELINES = sorted(p for p in (REPO / "pipelines").glob("*.yaml") if ".test" not in p.suffixes)


@pytest.fixture
def shipped(tmp_path: Path) -> Path:
    return Path(shutil.copytree(REPO / "pipelines", tmp_path / "pipelines"))


def json_of(path: Path) -> object:
    return json.loads(path.read_text(encoding="utf-8"))


def card(out: Path) -> None:
    facts = json_of(out / "card.json")
    assert isinstance(facts, dict)
    assert facts["title"] == "Red Ceramic Teapot"
    with Image.open(out / "photo.png") as photo, Image.open(out / "card.png") as variant:
        assert photo.size == variant.size == (1024, 768)
        assert photo.tobytes() != variant.tobytes()


def recipe(out: Path) -> None:
    data = json_of(out / "recipe.json")
    assert isinstance(data, dict)
    assert "lasagna" in data["name"].lower()
    assert data["ingredients"][0]["amount"]
    assert data["ingredients"][0]["name"] in (out / "recipe.md").read_text()
    with Image.open(out / "dish.png") as dish:
        assert dish.size == (1472, 1140)


def edit(out: Path) -> None:
    with Image.open(out / "restyled.png") as restyled, Image.open(REPO / "pipelines/pictures/street.jpg") as street:
        assert restyled.size == street.size


def header(out: Path) -> None:
    found = json_of(out / "header.json")
    assert isinstance(found, dict)
    assert found["alt"]
    assert (out / "outline.md").read_text()
    with Image.open(out / "header.jpg") as picture:
        assert picture.size == (1536, 640)


def film(out: Path) -> None:
    assert (out / "prompt.txt").read_text().strip()
    with Image.open(out / "frame.png") as frame:
        assert frame.size == (1024, 1024)
    found = look(out / "film.mp4")
    assert (found.media_type, found.width, found.height, found.seconds) == ("video/mp4", 1280, 720, 5.0)


def story(out: Path) -> None:
    page = (out / "story.md").read_text()
    pictures, voices = sorted(out.glob("scene-*.png")), sorted(out.glob("scene-*.wav"))
    assert len(pictures) == len(voices) >= 1
    assert all(path.name in page for path in [*pictures, *voices])
    assert all((look(path).seconds or 0) > 0.3 for path in voices)


def weather(out: Path) -> None:
    calls = json_of(out / "calls.json")
    assert calls == [{"name": "get_weather", "arguments": {"city": "Paris"}}]
    assert "The weather in Paris is sunny." in (out / "report.txt").read_text()
    assert 'get_weather {"city": "Paris"}: The weather in Paris is sunny.' in (out / "log.txt").read_text()


def structured(out: Path) -> None:
    data = json_of(out / "recipe.json")
    assert isinstance(data, dict)
    assert "lasagna" in data["name"].lower()
    assert data["people"] >= 1
    assert data["steps"][0] in (out / "recipe.md").read_text()


LOOKS: dict[str, Callable[[Path], None]] = {
    "product-card": card,
    "lasagna-recipe": recipe,
    "cyberpunk-edit": edit,
    "blog-header": header,
    "text-to-video": film,
    "narrated-story": story,
    "weather-tools": weather,
    "structured-recipe": structured,
}


def test_every_shipped_pipeline_has_a_test() -> None:
    assert [path.stem for path in PIPELINES] == sorted(LOOKS)


@pytest.mark.parametrize("path", PIPELINES, ids=lambda path: path.stem)
def test_a_shipped_pipeline_makes_what_it_promises(cli: Cli, shipped: Path, path: Path) -> None:
    done = cli("run", shipped / path.name, "--local", "--out", shipped.parent / "out")

    assert done.code == 0, done.err
    LOOKS[path.stem](shipped.parent / "out")
