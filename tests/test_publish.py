"""Outputs: each file whole, in the form that its name asks for."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml
from PIL import Image

from runner.model import Artifact
from runner.publish import publish

from .conftest import Cli


def artifact(folder: Path, suffix: str = "jpg") -> Artifact:
    path = folder / f"blob.{suffix}"
    Image.new("RGB", (8, 6), "red").save(path)
    return Artifact("0" * 64, {"jpg": "image/jpeg"}.get(suffix, f"image/{suffix}"), path.stat().st_size, str(path))


def test_a_picture_is_copied_byte_for_byte_where_the_name_agrees(tmp_path: Path) -> None:
    picture = artifact(tmp_path)

    written, _ = publish({"a.jpg": picture, "b.jpeg": picture}, tmp_path / "out", "r1")

    assert {path.read_bytes() for path in written.values()} == {Path(picture.path).read_bytes()}


@pytest.mark.parametrize(("name", "kind"), [("a.png", "PNG"), ("a.webp", "WEBP")])
def test_a_picture_is_converted_where_the_name_asks_for_another_kind(tmp_path: Path, name: str, kind: str) -> None:
    written, _ = publish({name: artifact(tmp_path)}, tmp_path / "out", "r1")

    with Image.open(written[name]) as picture:
        assert (picture.format, picture.size) == (kind, (8, 6))


def test_a_transparent_picture_becomes_a_jpeg(tmp_path: Path) -> None:
    path = tmp_path / "blob.png"
    Image.new("RGBA", (8, 6), (255, 0, 0, 0)).save(path)

    written, _ = publish({"a.jpg": Artifact("0" * 64, "image/png", 1, str(path))}, tmp_path / "out", "r1")

    with Image.open(written["a.jpg"]) as picture:
        assert picture.format == "JPEG"


def test_data_is_written_as_the_suffix_says_and_text_as_it_is(tmp_path: Path) -> None:
    data = {"b": "ä", "a": [1, None]}

    written, _ = publish({"d/a.json": data, "a.yaml": data, "a.txt": "hi", "n.txt": 3}, tmp_path / "out", "r1")

    assert json.loads(written["d/a.json"].read_text()) == yaml.safe_load(written["a.yaml"].read_text()) == data
    assert written["a.txt"].read_text() == "hi"
    assert written["n.txt"].read_text() == "3\n"


def test_names_without_a_suffix_land_in_outputs_json(tmp_path: Path) -> None:
    written, _ = publish({"title": "T", "picture": artifact(tmp_path)}, tmp_path / "out", "r1")

    found = json.loads(written["outputs.json"].read_text())
    assert found["title"] == "T"
    assert found["picture"]["media_type"] == "image/jpeg"


def test_an_output_that_cannot_be_written_leaves_nothing_half_done(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out/a.txt").mkdir()

    written, failed = publish({"a.txt": "hi", "b.txt": "there"}, tmp_path / "out", "r1")

    assert "kept in the store" in failed["a.txt"]
    assert list(written) == ["b.txt"]
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["a.txt", "b.txt"]


def test_a_name_that_leads_outside_is_not_written(tmp_path: Path) -> None:
    outside = str(tmp_path / "a.txt")

    written, failed = publish({"../a.txt": "hi", "b/../../a.txt": "hi", outside: "hi"}, tmp_path / "out", "r1")

    assert written == {}
    assert set(failed.values()) == {"it would lie outside the output folder; rename it"}
    assert list(tmp_path.iterdir()) == []


def test_names_that_differ_in_case_only_are_not_written_over_each_other(tmp_path: Path) -> None:
    written, failed = publish(
        {"Aa.txt": "one", "aA.txt": "two", "Outputs.json": "three", "title": "T"}, tmp_path / "out", "r1"
    )

    assert list(written) == ["Aa.txt", "outputs.json"]
    assert failed["aA.txt"].startswith("it and Aa.txt are one file on many disks")
    assert failed["Outputs.json"].startswith("it and outputs.json are one file on many disks")


def test_a_picture_whose_output_has_no_ending_is_told_to_lie_only_in_the_store(cli: Cli) -> None:
    Path("o.yaml").write_text(
        "name: o\nsteps:\n  p: {kind: generate_image, model: black-forest-labs/flux-1-schnell, prompt: x}\n"
        "outputs: {tin: '{{ steps.p.image }}', pot: '{{ steps.p.image }}', seed: '{{ steps.p.seed }}'}\n"
    )

    done = cli("run", "o.yaml", "--local")

    assert done.code == 0
    assert done.err.count("lies only in the store") == 1
    assert "tin lies only in the store: name the output tin.jpg, and it is a file beside the others." in done.err
