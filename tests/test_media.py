"""What a file is, from its bytes alone."""

import struct
import wave
from pathlib import Path

import pytest
from PIL import Image

from runner.emulator.films import film
from runner.media import Looks, look


def sound(path: Path, seconds: float) -> Path:
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(8000)
        file.writeframes(bytes(int(8000 * seconds) * 2))
    return path


@pytest.fixture(scope="module")
def video() -> bytes:
    return film([Image.new("RGB", (640, 480), "teal")], size=(640, 480), seconds=2, fps=24, about="tea")


def test_a_recording_has_seconds(tmp_path: Path) -> None:
    path = sound(tmp_path / "any-name", 1.5)

    assert look(path) == Looks("audio/wav", seconds=1.5)


def test_a_video_has_pixels_and_seconds(tmp_path: Path, video: bytes) -> None:
    path = tmp_path / "any-name"
    path.write_bytes(video)

    assert look(path) == Looks("video/mp4", 640, 480, 2.0)


@pytest.mark.parametrize("kept", [12, 40, 200, 1000])
def test_a_cut_video_is_kept_without_what_it_does_not_tell(tmp_path: Path, video: bytes, kept: int) -> None:
    path = tmp_path / "cut.mp4"
    path.write_bytes(video[:kept])

    assert look(path).media_type == "video/mp4"


@pytest.mark.parametrize("size", [0, 1, 7, 2**31])
def test_boxes_that_lie_about_their_size_end_the_search(tmp_path: Path, size: int) -> None:
    path = tmp_path / "odd.mp4"
    path.write_bytes(struct.pack(">I4s8s", 16, b"ftyp", b"isom0000") + struct.pack(">I4s", size, b"moov") + bytes(64))

    assert look(path) == Looks("video/mp4")


def test_a_sound_that_nobody_can_read_is_still_a_sound(tmp_path: Path) -> None:
    path = tmp_path / "odd.mp3"
    path.write_bytes(b"ID3" + bytes(30))

    assert look(path).media_type == "audio/mpeg"
