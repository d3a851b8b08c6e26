"""Pictures and edits of the emulator: real files of the right size, the same for the same request."""

import re
from base64 import b64encode
from collections.abc import Iterator
from io import BytesIO
from typing import Any

import httpx2 as httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageChops, ImageStat

from runner.emulator import Emulator, Endpoint
from runner.emulator.edits import edited
from runner.emulator.pictures import encoded, picture

SIZES = st.tuples(st.integers(1, 260), st.integers(1, 260))


@pytest.fixture(scope="module")
def client() -> Iterator[httpx.Client]:
    with httpx.Client(headers={"Authorization": "Bearer rpa_test"}, timeout=10) as client:
        yield client


@pytest.fixture(scope="module")
def emulator() -> Iterator[Emulator]:
    with Emulator() as emulator:
        yield emulator


def made(client: httpx.Client, emulator: Emulator, given: dict[str, Any]) -> tuple[bytes, Image.Image]:
    output = client.post(f"{emulator.url}/painter/runsync", json={"input": {"prompt": "a teapot", **given}}).json()[
        "output"
    ]
    data = httpx.get(output["image_url"]).content
    return data, Image.open(BytesIO(data))


def difference(one: Image.Image, other: Image.Image) -> float:
    """Mean distance of the pixels, 0..255."""
    gap = ImageChops.difference(one.convert("RGB"), other.convert("RGB"))
    return sum(ImageStat.Stat(gap).mean) / 3


@pytest.mark.parametrize(
    ("given", "size"),
    [
        ({}, (1024, 1024)),
        ({"width": 128, "height": 96}, (128, 96)),
        ({"size": "96*128"}, (96, 128)),
        ({"size": "96x128"}, (96, 128)),
        ({"aspect_ratio": "16:9"}, (1360, 768)),
        ({"width": 32, "height": 16, "size": "64*64"}, (32, 16)),
    ],
)
def test_a_picture_has_exactly_the_size_asked_for(
    client: httpx.Client, emulator: Emulator, given: dict[str, Any], size: tuple[int, int]
) -> None:
    assert made(client, emulator, given)[1].size == size


@pytest.mark.parametrize(
    ("given", "form"),
    [
        ({}, "JPEG"),
        ({"image_format": "png"}, "PNG"),
        ({"output_format": "png"}, "PNG"),
        ({"output_format": "jpeg"}, "JPEG"),
        ({"output_format": "webp"}, "WEBP"),
    ],
)
def test_a_picture_has_the_format_asked_for(
    client: httpx.Client, emulator: Emulator, given: dict[str, Any], form: str
) -> None:
    data, image = made(client, emulator, {"size": "64*64", **given})

    assert image.format == form
    assert len(data) > 300


def test_the_same_request_gives_the_same_bytes_and_another_seed_another_picture(
    client: httpx.Client, emulator: Emulator
) -> None:
    (first, one), (second, _), (_, other) = (
        made(client, emulator, {"size": "128*128", "seed": seed}) for seed in (7, 7, 8)
    )

    assert first == second
    assert difference(one, other) > 5


def test_a_random_seed_is_drawn_anew_for_each_job(client: httpx.Client, emulator: Emulator) -> None:
    first, second = (made(client, emulator, {"size": "64*64", "seed": -1})[0] for _ in range(2))

    assert first != second


@pytest.mark.parametrize(
    ("given", "hint"),
    [
        ({"size": "banana"}, "WIDTH\\*HEIGHT"),
        ({"width": "wide"}, "width must be an integer"),
        ({"width": 0}, "width must be an integer"),
        ({"aspect_ratio": "wide"}, "16:9"),
        ({"output_format": "bmp"}, "png, jpeg, webp"),
        ({"prompt": " "}, "prompt is required"),
        ({"image": "banana!"}, "base64"),
        ({"image": b64encode(b"no picture").decode()}, "cannot be decoded"),
        ({"image": "https://example.test/a.png"}, "fetches nothing"),
        ({"images": []}, "image is required"),
        ({"images": [3]}, "must be a URL"),
    ],
)
def test_a_request_that_makes_no_sense_fails_with_a_sentence(
    client: httpx.Client, emulator: Emulator, given: dict[str, Any], hint: str
) -> None:
    body = {"input": {"prompt": "a teapot", **given}}

    envelope = client.post(f"{emulator.url}/painter/runsync", json=body).json()

    assert envelope["status"] == "FAILED"
    assert re.search(hint, envelope["error"])


def test_an_edit_shows_the_picture_that_was_sent_changed(client: httpx.Client, emulator: Emulator) -> None:
    sources = [Image.new("RGB", (320, 240), colour) for colour in ("black", "white")]

    results = []
    for source in sources:
        buffer = BytesIO()
        source.save(buffer, "PNG")
        uri = "data:image/png;base64," + b64encode(buffer.getvalue()).decode()
        results.append(made(client, emulator, {"image": uri, "seed": 7})[1])

    assert [image.size for image in results] == [(320, 240), (320, 240)]
    assert difference(*results) > 60
    assert all(difference(image, source) > 10 for image, source in zip(results, sources, strict=True))


def test_an_edit_takes_its_own_media_raw_base64_and_several_pictures(client: httpx.Client, emulator: Emulator) -> None:
    body = {"input": {"prompt": "a teapot", "size": "120*90", "seed": 1}}
    url = client.post(f"{emulator.url}/painter/runsync", json=body).json()["output"]["image_url"]
    raw = b64encode(httpx.get(url).content).decode()

    sizes = [
        made(client, emulator, given)[1].size
        for given in ({"image": url}, {"image": raw}, {"images": [url, raw]}, {"image": url, "size": "64*64"})
    ]

    assert sizes == [(120, 90), (120, 90), (120, 90), (64, 64)]
    assert emulator.leaks == ()


def test_an_edit_fetches_from_elsewhere_only_through_the_function_it_was_given(client: httpx.Client) -> None:
    source = encoded(Image.new("RGB", (40, 30), "red"), "png")
    asked: list[str] = []

    def fetch(url: str) -> bytes:
        asked.append(url)
        return source

    with Emulator({"painter": Endpoint("edit")}, fetch=fetch) as emulator:
        image = made(client, emulator, {"image": "https://example.test/a.png"})[1]

    assert image.size == (40, 30)
    assert asked == ["https://example.test/a.png"]


def test_media_gone_from_the_shelf_is_404(client: httpx.Client) -> None:
    with Emulator(media_room=4_000) as emulator:
        urls = []
        for seed in range(3):
            body = {"input": {"prompt": "a teapot", "size": "64*64", "seed": seed}}
            urls.append(client.post(f"{emulator.url}/any/runsync", json=body).json()["output"]["image_url"])
        codes = [httpx.get(url).status_code for url in urls]

    assert codes[0] == 404
    assert codes[-1] == 200


@settings(max_examples=15, deadline=None)
@given(prompt=st.text(max_size=300), size=SIZES, seed=st.integers(0, 2**31))
def test_any_prompt_at_any_size_draws_the_same_twice(prompt: str, size: tuple[int, int], seed: int) -> None:
    one, other = (encoded(picture(prompt, size=size, seed=seed, signature="m"), "png") for _ in range(2))

    assert one == other
    assert Image.open(BytesIO(one)).size == size


@settings(max_examples=15, deadline=None)
@given(prompt=st.text(max_size=300), sizes=st.lists(SIZES, min_size=1, max_size=3))
def test_any_pictures_can_be_edited_and_keep_the_size_of_the_first(prompt: str, sizes: list[tuple[int, int]]) -> None:
    sources = [Image.new("RGB", size, "teal") for size in sizes]

    assert edited(sources, prompt, size=None, seed=1, signature="m").size == sizes[0]
