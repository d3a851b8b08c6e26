"""Pictures say what made them: the note goes in and comes out, and no pixel changes."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from runner.provenance import MOST_PROMPT, Facts, facts_in, note
from runner.xmp import marked, note_in

from .conftest import Cli

FACTS = Facts("tiny", "1.10", "photo[red]", "qwen/qwen-image", 7, 'a "red" <teapot> & more\n', "ab" * 32)
FORMS = ["PNG", "JPEG", "WEBP", "lossless"]


def picture(form: str, size: tuple[int, int] = (21, 13), mode: str = "RGB", **options: Any) -> bytes:
    if form == "lossless":
        form, options = "WEBP", {"lossless": True, **options}
    shades = Image.linear_gradient("L").resize(size)
    image = Image.merge("RGB", (shades, shades.rotate(90), shades.rotate(180))).convert(mode)
    if mode == "RGBA":
        image.putalpha(shades)
    file = io.BytesIO()
    image.save(file, form, **options)
    return file.getvalue()


def pixels(content: bytes) -> tuple[str, tuple[int, int], bytes]:
    with Image.open(io.BytesIO(content)) as image:
        image.load()
        return image.mode, image.size, image.tobytes()


texts = st.text(st.characters(codec=None, categories=None), max_size=60)
all_facts = st.builds(
    Facts, texts, st.none() | texts, texts, st.none() | texts, st.none() | st.integers(0, 2**63), texts, texts
)


@settings(max_examples=60, deadline=None)
@given(
    facts=all_facts, form=st.sampled_from(FORMS), size=st.tuples(st.integers(1, 40), st.integers(1, 40)),
    mode=st.sampled_from(["RGB", "RGBA", "L"]),
)  # fmt: skip
def test_whatever_is_noted_comes_back_and_the_pixels_stay(
    facts: Facts, form: str, size: tuple[int, int], mode: str
) -> None:
    before = picture(form, size, "RGB" if form == "JPEG" and mode == "RGBA" else mode)

    after = marked(before, note(facts), facts.prompt)

    assert facts_in(after) == facts
    assert pixels(after) == pixels(before)


@pytest.mark.parametrize("form", FORMS)
def test_a_second_note_takes_the_place_of_the_first(form: str) -> None:
    before = picture(form)

    twice = marked(marked(before, "first"), "second")

    assert twice == marked(before, "second")
    assert note_in(twice) == "second"


@pytest.mark.parametrize("form", FORMS)
def test_other_programs_find_the_prompt_where_they_look_for_a_description(form: str) -> None:
    with Image.open(io.BytesIO(marked(picture(form), note(FACTS), FACTS.prompt))) as image:
        image.load()
        packet = image.info.get("xmp") or image.info["XML:com.adobe.xmp"].encode()

    assert b'a "red" &lt;teapot&gt; &amp; more' in packet
    assert b"dc:description" in packet


@pytest.mark.parametrize("form", ["PNG", "JPEG", "WEBP"])
def test_what_another_program_has_noted_stays(form: str) -> None:
    other = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF><other/></rdf:RDF></x:xmpmeta>'
    options: dict[str, Any] = {"xmp": other}
    if form == "PNG":
        from PIL.PngImagePlugin import PngInfo

        options = {"pnginfo": PngInfo()}
        options["pnginfo"].add_itxt("XML:com.adobe.xmp", other.decode(), zip=True)
    before = picture(form, **options)

    after = marked(before, note(FACTS))

    assert facts_in(after) == FACTS
    assert b"<other/>" in after
    assert pixels(after) == pixels(before)


def test_exif_and_icc_profiles_stay_where_decoders_look_for_them() -> None:
    exif = Image.Exif()
    exif[0x010E] = "as it was"
    for form in FORMS:
        after = marked(picture(form, exif=exif, icc_profile=b"profile" * 20), note(FACTS))

        with Image.open(io.BytesIO(after)) as image:
            assert image.getexif()[0x010E] == "as it was"
            assert image.info["icc_profile"] == b"profile" * 20


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("kept", [3, 14, 30, 60, 90])
def test_a_picture_that_is_cut_is_given_back_as_it_came(form: str, kept: int) -> None:
    cut = picture(form, (90, 90))[:kept]

    after = marked(cut, "note")

    assert after == cut or form == "JPEG"
    assert note_in(cut) is None


@pytest.mark.parametrize("form", ["GIF", "BMP", "TIFF"])
def test_a_format_without_a_place_for_it_is_given_back_as_it_came(form: str) -> None:
    before = picture(form)

    assert marked(before, "note") == before


def test_a_moving_picture_still_moves() -> None:
    frames = [Image.new("RGB", (9, 9), colour) for colour in ("red", "green", "blue")]
    for form in ("PNG", "WEBP"):
        file = io.BytesIO()
        frames[0].save(file, form, save_all=True, append_images=frames[1:], duration=100)

        with Image.open(io.BytesIO(marked(file.getvalue(), "note"))) as image:
            assert getattr(image, "n_frames", 1) == 3


def test_the_longest_prompt_fits_a_jpeg() -> None:
    facts = Facts("p", None, "s", None, None, "\x01" * MOST_PROMPT, "ab" * 32)

    after = marked(picture("JPEG"), note(facts), facts.prompt[:2000])

    assert facts_in(after) == facts


PIPELINE = """\
name: tiny
version: 1.10
steps:
  photo: {kind: generate_image, model: qwen/qwen-image, prompt: a teapot, size: 512x512, seed: 7}
  warm:
    kind: edit_image
    model: qwen/qwen-image-edit
    foreach: [red, blue]
    image: "{{ steps.photo.image }}"
    prompt: "{{ item }}"
outputs:
  photo.png: "{{ steps.photo.image }}"
  photo.jpg: "{{ steps.photo.image }}"
  photo.webp: "{{ steps.photo.image }}"
  "{key}.png": "{{ steps.warm.image }}"
"""


@pytest.fixture
def pipeline(tmp_path: Path) -> Path:
    path = tmp_path / "tiny.yaml"
    path.write_text(PIPELINE)
    return path


@pytest.mark.parametrize("name", ["photo.png", "photo.jpg", "photo.webp"])
def test_inspect_says_what_made_an_output_and_finds_the_run(cli: Cli, pipeline: Path, name: str) -> None:
    cli("run", pipeline, "--local")

    done = cli("inspect", f"out/tiny/{name}", "--json")

    said = json.loads(done.out)
    key = said.pop("key")
    runs = said.pop("runs")
    assert said == {"pipeline": "tiny", "version": "1.10", "step": "photo", "model": "qwen/qwen-image", "seed": 7,
                    "prompt": "a teapot"}  # fmt: skip
    assert [Path(run) for run in runs] == [folder.resolve() for folder in Path(".runner/runs").iterdir()]
    assert key in (Path(runs[0]) / "events.jsonl").read_text()


def test_each_cell_and_each_copy_in_the_run_folder_says_its_own(cli: Cli, pipeline: Path) -> None:
    cli("run", pipeline, "--local")

    folder = next(Path(".runner/runs").iterdir())
    of_cells = {name: facts_in(Path(f"out/tiny/{name}.png").read_bytes()) for name in ("red", "blue")}
    in_folder = facts_in((folder / "warm-red.jpg").read_bytes())

    assert {name: facts and (facts.step, facts.prompt) for name, facts in of_cells.items()} == {
        "red": ("warm[red]", "red"), "blue": ("warm[blue]", "blue"),
    }  # fmt: skip
    assert in_folder == of_cells["red"]


def test_a_run_from_the_store_writes_the_same_bytes(cli: Cli, pipeline: Path) -> None:
    cli("run", pipeline, "--local")
    cli("run", pipeline, "--local", "--out", "again")

    first, again = ({p.name: p.read_bytes() for p in Path(name).iterdir()} for name in ("out/tiny", "again"))
    assert first == again


def test_the_store_keeps_the_bytes_that_were_paid_for(cli: Cli, pipeline: Path) -> None:
    cli("run", pipeline, "--local")

    blobs = [path for path in Path(".runner/store/blobs").rglob("*") if path.is_file()]
    assert len(blobs) == 3
    assert [facts_in(blob.read_bytes()) for blob in blobs] == [None] * 3


def test_without_metadata_nothing_is_written_into_pictures(cli: Cli, pipeline: Path) -> None:
    cli("run", pipeline, "--local", "--no-metadata")

    done = cli("inspect", "out/tiny/photo.jpg")

    assert done.code == 1
    assert "does not say what made it" in done.err


def test_inspect_shows_one_fact_a_line(cli: Cli, pipeline: Path) -> None:
    cli("run", pipeline, "--local")

    done = cli("inspect", "out/tiny/red.png")

    words = [line.split()[0] for line in done.out.splitlines()]
    assert words == ["out/tiny/red.png", "pipeline", "step", "model", "seed", "prompt", "key", "run"]


def test_a_picture_from_elsewhere_cannot_move_the_cursor(cli: Cli, tmp_path: Path) -> None:
    facts = Facts("p", None, "s", None, None, "\x1b[2J gone", "ab" * 32)
    Path("odd.png").write_bytes(marked(picture("PNG"), note(facts)))

    done = cli("inspect", "odd.png")

    assert "\x1b" not in done.out
    assert "not in this project" in done.out


def test_a_file_that_is_not_there_is_told(cli: Cli) -> None:
    done = cli("inspect", "nothing.png")

    assert (done.code, "cannot be read" in done.err) == (2, True)
