"""Video of the emulator: MP4 files whose every bit is read back, and a decoder of what the encoder may write."""

import struct
from base64 import b64encode
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import httpx2 as httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageChops, ImageOps, ImageStat

from runner.emulator import Emulator
from runner.emulator.films import canvas, film
from runner.emulator.h264 import Format
from runner.emulator.mp4 import seconds
from runner.emulator.pictures import encoded, picture

PARENTS = {b"moov", b"trak", b"mdia", b"minf", b"dinf", b"stbl", b"udta", b"ilst", b"\xa9cmt"}


@pytest.fixture(scope="module")
def client() -> Iterator[httpx.Client]:
    with httpx.Client(headers={"Authorization": "Bearer rpa_test"}, timeout=10) as client:
        yield client


@pytest.fixture(scope="module")
def emulator() -> Iterator[Emulator]:
    with Emulator() as emulator:
        yield emulator


def boxes(data: bytes, start: int = 0, end: int | None = None) -> dict[bytes, bytes]:
    """The bodies of all boxes by name. Every byte has to belong to one."""
    found: dict[bytes, bytes] = {}
    end = len(data) if end is None else end
    while start < end:
        size, name = struct.unpack_from(">I4s", data, start)
        assert 8 <= size <= end - start
        found[name] = data[start + 8 : start + size]
        if name in PARENTS:
            found |= boxes(data, start + 8, start + size)
        elif name == b"meta":
            found |= boxes(data, start + 12, start + size)
        elif name == b"stsd":
            found |= boxes(data, start + 16, start + size)
        elif name == b"avc1":
            found |= boxes(data, start + 8 + 78, start + size)
        start += size
    assert start == end
    return found


class Bits:
    """A reader of the bits of a unit, escapes taken out."""

    def __init__(self, unit: bytes) -> None:
        self.kind = unit[0]
        plain = bytearray()
        zeros = 0
        for byte in unit[1:]:
            if zeros == 2 and byte == 3:
                zeros = 0
                continue
            assert zeros < 2 or byte > 3, "what looks like a start code"
            plain.append(byte)
            zeros = zeros + 1 if byte == 0 else 0
        self.data = bytes(plain)
        self.at = 0

    def u(self, count: int) -> int:
        value = 0
        for _ in range(count):
            value = value << 1 | self.data[self.at // 8] >> 7 - self.at % 8 & 1
            self.at += 1
        return value

    def ue(self) -> int:
        zeros = 0
        while not self.u(1):
            zeros += 1
        return (1 << zeros) - 1 + self.u(zeros)

    def se(self) -> int:
        code = self.ue()
        return (code + 1) // 2 if code % 2 else -code // 2

    def take(self, count: int) -> bytes:
        assert self.at % 8 == 0
        taken = self.data[self.at // 8 :][:count]
        self.at += 8 * count
        return taken

    def over(self) -> bool:
        """At the bit that ends a unit, with nothing but zeros behind it."""
        rest = len(self.data) * 8 - self.at
        return 1 <= rest <= 8 and self.u(rest) == 1 << rest - 1


@dataclass
class Video:
    """A file, read: its boxes, the pixels that are coded, each frame as its brightness or its vector."""

    boxes: dict[bytes, bytes]
    coded: tuple[int, int]
    shown: tuple[int, int]
    fps: int
    frames: list[Image.Image | tuple[int, int]]

    def shot(self, number: int) -> Image.Image:
        """The brightness of a key picture, as it is shown."""
        keys = [frame for frame in self.frames if isinstance(frame, Image.Image)]
        return keys[number].crop((0, 0, *self.shown))

    @property
    def comment(self) -> str:
        return self.boxes[b"data"][8:].decode()


def played(data: bytes) -> Video:
    """Decodes a file by the letter of the standard, as far as the encoder goes."""
    found = boxes(data)
    sequence, picture_ = sets(found[b"avcC"])
    coded, shown, fps = read_sequence(Bits(sequence))
    read_picture(Bits(picture_))
    count = struct.unpack_from(">I", found[b"stsz"], 8)[0]
    sizes = struct.unpack_from(f">{count}I", found[b"stsz"], 12)
    at = struct.unpack_from(">I", found[b"stco"], 8)[0]
    frames: list[Image.Image | tuple[int, int]] = []
    since = 0
    for size in sizes:
        assert struct.unpack_from(">I", data, at)[0] == size - 4
        bits = Bits(data[at + 4 : at + size])
        since = 0 if bits.kind == 0x65 else since + 1
        frames.append(key(bits, coded) if bits.kind == 0x65 else moved(bits, coded, since))
        at += size
    assert at == len(data)
    keys = struct.unpack_from(f">{len(found[b'stss']) // 4 - 2}I", found[b"stss"], 8)
    assert [key - 1 for key in keys] == [n for n, frame in enumerate(frames) if isinstance(frame, Image.Image)]
    return Video(found, coded, shown, fps, frames)


def sets(config: bytes) -> tuple[bytes, bytes]:
    length = struct.unpack_from(">H", config, 6)[0]
    sequence = config[8 : 8 + length]
    other = struct.unpack_from(">H", config, 9 + length)[0]
    assert config[:4] == b"\x01" + sequence[1:4]
    assert len(config) == 11 + length + other
    return sequence, config[11 + length :]


def read_sequence(bits: Bits) -> tuple[tuple[int, int], tuple[int, int], int]:
    assert (bits.kind, bits.u(8), bits.u(8)) == (0x67, 66, 0xC0)
    level = bits.u(8)
    assert [bits.ue() for _ in range(5)] == [0, 0, 0, 12, 1]
    assert bits.u(1) == 0
    wide, high = bits.ue() + 1, bits.ue() + 1
    assert [bits.u(1) for _ in range(3)] == [1, 0, 1]
    left, right, top, bottom = (bits.ue() * 2 for _ in range(4))
    assert (left, top) == (0, 0)
    assert wide * high <= {10: 99, 20: 396, 21: 792, 30: 1620, 31: 3600, 32: 5120, 40: 8192, 42: 8704, 50: 22080}.get(
        level, 36864
    )
    assert [bits.u(n) for n in (1, 1, 1, 1, 3, 1, 1, 8, 8, 8, 1, 1)] == [1, 0, 0, 1, 5, 0, 1, 1, 1, 6, 0, 1]
    tick, scale = bits.u(32), bits.u(32)
    assert [bits.u(1) for _ in range(6)] == [1, 0, 0, 0, 1, 1]
    assert [bits.ue() for _ in range(6)] == [0, 0, 16, 16, 0, 1]
    assert bits.over()
    return (wide * 16, high * 16), (wide * 16 - right, high * 16 - bottom), scale // tick // 2


def read_picture(bits: Bits) -> None:
    assert bits.kind == 0x68
    assert [bits.ue(), bits.ue(), bits.u(2), bits.ue(), bits.ue(), bits.ue(), bits.u(3)] == [0] * 7
    assert [bits.se() for _ in range(3)] == [0, 0, 0]
    assert bits.u(3) == 0b100
    assert bits.over()


def key(bits: Bits, coded: tuple[int, int]) -> Image.Image:
    """The brightness of a picture of raw samples."""
    assert [bits.ue(), bits.ue(), bits.ue(), bits.u(4)] == [0, 7, 0, 0]
    assert bits.ue() in {0, 1}
    assert [bits.u(16), bits.u(2), bits.se(), bits.ue()] == [0, 0, 0, 1]
    whole = Image.new("L", coded)
    for top in range(0, coded[1], 16):
        for left in range(0, coded[0], 16):
            assert bits.ue() == 25
            while bits.at % 8:
                assert bits.u(1) == 0
            whole.paste(Image.frombytes("L", (16, 16), bits.take(256)), (left, top))
            assert 0 not in bits.take(128)
    assert bits.over()
    assert whole.getextrema()[0] != 0
    return whole


def moved(bits: Bits, coded: tuple[int, int], order: int) -> tuple[int, int]:
    """The vector of a picture, the same for each of its blocks by the rules of 8.4.1."""
    assert bits.kind == 0x01
    assert [bits.ue(), bits.ue(), bits.ue(), bits.u(4), bits.u(16)] == [0, 5, 0, 1, 2 * order]
    assert [bits.u(2), bits.se(), bits.ue()] == [0, 0, 1]
    wide, high = coded[0] // 16, coded[1] // 16
    vectors: dict[tuple[int, int], tuple[int, int]] = {}
    places = [(x, y) for y in range(high) for x in range(wide)]
    at = 0
    while at < len(places):
        skipped = bits.ue()
        for place in places[at : at + skipped]:
            near = neighbours(vectors, place)
            stays = near[0] in {None, (0, 0)} or near[1] in {None, (0, 0)}
            vectors[place] = (0, 0) if stays else predicted(near)
        at += skipped
        if at < len(places):
            assert bits.ue() == 0
            guess = predicted(neighbours(vectors, places[at]))
            vectors[places[at]] = (guess[0] + bits.se(), guess[1] + bits.se())
            assert bits.ue() == 0
            at += 1
            if at == len(places):
                break
    assert bits.over()
    assert len(set(vectors.values())) == 1
    return vectors[0, 0]


Vector = tuple[int, int] | None


def neighbours(vectors: dict[tuple[int, int], tuple[int, int]], place: tuple[int, int]) -> list[Vector]:
    """Left, above, above to the right, or above to the left where there is none."""
    x, y = place
    corner = vectors.get((x + 1, y - 1), vectors.get((x - 1, y - 1)))
    return [vectors.get((x - 1, y)), vectors.get((x, y - 1)), corner]


def predicted(near: list[Vector]) -> tuple[int, int]:
    if near[0] is not None and near[1] is None and near[2] is None:
        return near[0]
    known = [one for one in near if one is not None]
    if len(known) == 1:
        return known[0]
    across, down = (sorted((one or (0, 0))[axis] for one in near)[1] for axis in (0, 1))
    return across, down


def made(client: httpx.Client, emulator: Emulator, slug: str, **given: Any) -> tuple[bytes, dict[str, Any]]:
    envelope = client.post(f"{emulator.url}/{slug}/runsync", json={"input": {"prompt": "a red teapot", **given}}).json()
    assert envelope["status"] == "COMPLETED", envelope
    answer = httpx.get(envelope["output"]["video_url"])
    assert answer.headers["content-type"] == "video/mp4"
    return answer.content, envelope["output"]


def uri(image: Image.Image) -> str:
    return "data:image/png;base64," + b64encode(encoded(image, "png")).decode()


def size_of(data: bytes) -> tuple[int, int]:
    wide, high = struct.unpack_from(">HH", boxes(data)[b"avc1"], 24)
    return wide, high


def test_a_video_is_as_long_and_as_large_as_was_asked_for_and_says_its_prompt(
    client: httpx.Client, emulator: Emulator
) -> None:
    data, output = made(client, emulator, "any", size="128*96", duration=2, fps=12)

    video = played(data)
    assert video.shown == size_of(data) == (128, 96)
    assert (video.fps, len(video.frames), seconds(data)) == (12, 24, 2.0)
    assert video.comment == "a red teapot"
    assert data.find(b"moov") < data.find(b"mdat")
    assert output["video_url"].endswith(".mp4")


@pytest.mark.parametrize(
    ("slug", "given", "size"),
    [
        ("vidu-q3-t2v", {}, (960, 720)),
        ("vidu-q3-t2v", {"aspect_ratio": "16:9"}, (1280, 720)),
        ("vidu-q3-t2v", {"aspect_ratio": "9:16", "resolution": "540p"}, (540, 960)),
        ("p-video", {"aspect_ratio": "1:1"}, (720, 720)),
        ("wan-2-6-t2v", {"size": "1080*1920"}, (1080, 1920)),
    ],
)
def test_size_resolution_and_ratio_are_kept_to(
    client: httpx.Client, emulator: Emulator, slug: str, given: dict[str, Any], size: tuple[int, int]
) -> None:
    assert size_of(made(client, emulator, slug, **given)[0]) == size


def test_a_video_from_a_picture_begins_with_it_and_has_its_shape(client: httpx.Client, emulator: Emulator) -> None:
    source = picture("a red teapot", size=(300, 200), seed=1, signature="m")

    data, _ = made(client, emulator, "vidu-q3-i2v", image=uri(source), duration=1, resolution="540p")

    video = played(data)
    assert video.shown == (810, 540)
    first = ImageOps.fit(source, video.coded).crop((0, 0, *video.shown)).convert("L")
    assert ImageStat.Stat(ImageChops.difference(first, video.shot(0))).mean[0] < 12


def test_a_video_moves_and_stays_within_what_is_coded() -> None:
    video = played(film([Image.new("RGB", (64, 48), "teal")], size=(64, 48), seconds=2, fps=24, about=""))

    across = [0 if isinstance(frame, Image.Image) else frame[0] for frame in video.frames]
    assert across == sorted(across)
    assert 4 * 16 < across[-1] <= 4 * (video.coded[0] - video.shown[0])
    assert all(isinstance(frame, Image.Image) or frame[1] == 0 for frame in video.frames)


def test_a_last_picture_and_several_pictures_are_shots_of_their_own(client: httpx.Client, emulator: Emulator) -> None:
    black, white = (uri(Image.new("RGB", (96, 54), colour)) for colour in ("black", "white"))

    dawn, _ = made(
        client, emulator, "seedance-v1-5-pro-i2v", image=black, last_image=white, duration=4, resolution="480p"
    )
    many, _ = made(client, emulator, "kling-video-o1-r2v", images=[black, white, black], duration=3)

    assert [played(dawn).shot(n).getpixel((0, 0)) for n in (0, 1)] == [16, 235]
    assert struct.unpack_from(">I3I", boxes(many)[b"stss"], 4) == (3, 1, 25, 49)


def test_a_talking_video_is_as_long_as_what_is_said(client: httpx.Client, emulator: Emulator) -> None:
    speech = {"prompt": "Hello, my name is Lucy and I live in this machine."}
    url = client.post(f"{emulator.url}/chatterbox-turbo/runsync", json={"input": speech}).json()["output"]["audio_url"]
    face = uri(Image.new("RGB", (60, 80), "tan"))

    data, output = made(client, emulator, "infinitetalk", image=face, audio=url, size="480p")
    other, _ = made(client, emulator, "p-video", audio=url, duration=10)
    dance, cost = made(
        client,
        emulator,
        "kling-v2-6-std-motion-control",
        image=face,
        video=output["video_url"],
        character_orientation="image",
    )

    assert size_of(data) == (480, 640)
    assert seconds(data) == pytest.approx(len(speech["prompt"]) * 0.06, abs=0.05)
    assert seconds(data) == seconds(other) == seconds(dance)
    assert (output["cost"], cost["cost"]) == (0.25, 0.21)


def test_the_same_request_gives_the_same_bytes(client: httpx.Client, emulator: Emulator) -> None:
    one, same, other = (made(client, emulator, "any", size="64*64", duration=1, seed=seed)[0] for seed in (1, 1, 2))

    assert one == same != other


@pytest.mark.parametrize(
    ("slug", "given", "cost"),
    [
        ("p-video", {}, 0.1),
        ("p-video", {"draft": True, "resolution": "1080p", "duration": 2}, 0.02),
        ("vidu-q3-t2v", {"duration": 10}, 1.5),
        ("wan-2-6-t2v", {"size": "1920*1080"}, 0.75),
        ("wan-2-1-i2v-720", {"duration": 10, "size": "64*64"}, 0.6),
    ],
)
def test_a_video_costs_what_its_page_says(
    client: httpx.Client, emulator: Emulator, slug: str, given: dict[str, Any], cost: float
) -> None:
    image = {"image": uri(Image.new("RGB", (64, 64), "tan"))} if "i2v" in slug else {}

    assert made(client, emulator, slug, **image, **given)[1]["cost"] == pytest.approx(cost)


@pytest.mark.parametrize(
    ("slug", "given", "hint"),
    [
        ("wan-2-6-t2v", {"duration": 7}, "duration must be one of 5, 10, 15, not 7"),
        ("vidu-q3-t2v", {"duration": 17}, "duration must be between 1 and 16, not 17"),
        ("vidu-q3-i2v", {}, "image is required"),
        ("sora-2-i2v", {"image": "https://example.test/a.png", "duration": 4}, "fetches nothing"),
        ("sora-2-pro-i2v", {"image": "AAAA", "duration": 4, "size": "1280*720"}, "size must be one of 720p, 1080p"),
        ("infinitetalk", {"image": "AAAA", "audio": "AAAA", "size": "480p"}, "audio cannot be decoded"),
        ("p-video", {"image": "AAAA"}, "image cannot be decoded"),
        ("p-video", {"prompt": ""}, "prompt is required"),
        ("any", {"duration": 1000}, "duration must be at most 300 seconds"),
        ("any", {"duration": 1, "fps": 0}, "fps must be between 1 and 60"),
        ("any", {"duration": 1, "size": "4096*4096"}, "at most 8847360 pixels"),
        ("any", {"duration": 1, "video": "AAAA"}, "video cannot be decoded: it is no MP4 file"),
    ],
)
def test_a_video_that_cannot_be_made_fails_with_a_sentence(
    client: httpx.Client, emulator: Emulator, slug: str, given: dict[str, Any], hint: str
) -> None:
    body = {"input": {"prompt": "a red teapot", **given}}

    envelope = client.post(f"{emulator.url}/{slug}/runsync", json=body).json()

    assert envelope["status"] == "FAILED"
    assert hint in envelope["error"]


@settings(max_examples=25, deadline=None)
@given(
    size=st.tuples(st.integers(8, 60), st.integers(8, 60)).map(lambda pair: (2 * pair[0], 2 * pair[1])),
    shots=st.lists(st.sampled_from(["black", "white", "#ff00ff"]), min_size=1, max_size=3),
    frames=st.integers(1, 12),
    about=st.text(max_size=40),
)
def test_any_film_can_be_decoded(size: tuple[int, int], shots: list[str], frames: int, about: str) -> None:
    images = [Image.new("RGB", (20, 30), colour) for colour in shots]

    data = film(images, size=size, seconds=frames / 8, fps=8, about=about)

    video = played(data)
    assert video.shown == size
    assert video.coded == canvas(size).coded
    assert len(video.frames) == max(frames, len(shots))
    assert video.comment == about.encode(errors="replace").decode()


@pytest.mark.parametrize(("size", "level"), [((64, 64), 10), ((1280, 720), 32), ((1920, 1080), 42), ((4096, 2160), 52)])
def test_the_level_is_that_of_the_pixels(size: tuple[int, int], level: int) -> None:
    form = canvas(size)

    assert form.level == level
    assert isinstance(form, Format)


def test_a_film_is_quick_and_no_larger_than_its_key_picture(client: httpx.Client, emulator: Emulator) -> None:
    data, _ = made(client, emulator, "wan-2-6-t2v")

    assert len(data) < 1_600_000
    assert seconds(data) == 5


@given(st.binary(max_size=100))
def test_what_is_no_film_is_said_to_be_none(data: bytes) -> None:
    with pytest.raises(ValueError, match="no MP4 file"):
        seconds(data)
