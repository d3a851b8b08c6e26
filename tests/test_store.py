"""The store: whole or not there, on a real disk."""

from __future__ import annotations

import re
import sqlite3
import subprocess
import sys
from collections.abc import AsyncGenerator
from contextlib import closing
from io import BytesIO
from pathlib import Path

import pytest
from PIL import Image

from runner.errors import BadReply, CannotStart
from runner.model import Finished, Job, Reply
from runner.store import Store

pytestmark = pytest.mark.anyio
KEY = "ab" * 32
CALL = Job(kind="generate_image@1", endpoint="flux", input={"prompt": "x"})


def picture(colour: str = "red") -> bytes:
    content = BytesIO()
    Image.new("RGB", (8, 6), colour).save(content, "PNG")
    return content.getvalue()


async def pieces(content: bytes, size: int = 50) -> AsyncGenerator[bytes, None]:
    for start in range(0, len(content), size):
        yield content[start : start + size]


async def test_a_file_is_known_by_its_bytes(tmp_path: Path) -> None:
    store = Store(tmp_path)

    artifact = await store.add(pieces(picture()), url="https://example.test/a.jpg")

    assert (artifact.media_type, artifact.width, artifact.height) == ("image/png", 8, 6)
    assert Path(artifact.path).read_bytes() == picture()
    assert Path(artifact.path).suffix == ".png"


async def test_the_same_bytes_are_kept_once(tmp_path: Path) -> None:
    store = Store(tmp_path)

    one, two = await store.add(pieces(picture())), await store.add(pieces(picture(), 7))

    assert one.path == two.path
    assert len(list((tmp_path / "blobs").rglob("*.png"))) == 1


async def test_a_kept_reply_is_given_back(tmp_path: Path) -> None:
    store = Store(tmp_path)
    reply = Reply({"cost": 0.1}, (await store.add(pieces(picture()), url="https://example.test/a"),), 0.1)
    await store.keep(KEY, CALL, reply)

    found = await Store(tmp_path).get(KEY)

    assert found is not None
    assert found.data == {"cost": 0.1}
    assert found.files[0].sha256 == reply.files[0].sha256
    assert found.files[0].url == "https://example.test/a"  # a prompt that holds it stays the same call


async def test_a_store_that_was_moved_still_serves(tmp_path: Path) -> None:
    store = Store(tmp_path / "here")
    await store.keep(KEY, CALL, Reply({}, (await store.add(pieces(picture())),)))
    (tmp_path / "here").rename(tmp_path / "there")

    found = await Store(tmp_path / "there").get(KEY)

    assert found is not None
    assert Path(found.files[0].path).is_file()


def damage_by_a_flipped_bit(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[-20] ^= 1
    path.write_bytes(content)


def damage_by_cutting(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-5])


@pytest.mark.parametrize("damage", [damage_by_a_flipped_bit, damage_by_cutting, Path.unlink])
async def test_a_damaged_file_is_never_served(tmp_path: Path, damage: object) -> None:
    assert callable(damage)
    store = Store(tmp_path)
    artifact = await store.add(pieces(picture()))
    await store.keep(KEY, CALL, Reply({}, (artifact,)))

    damage(Path(artifact.path))

    assert await store.get(KEY) is None


@pytest.mark.parametrize("text", ["", "{", "[]", "3"])
async def test_a_damaged_reply_is_never_served(tmp_path: Path, text: str) -> None:
    store = Store(tmp_path)
    await store.keep(KEY, CALL, Reply({}))

    with closing(sqlite3.connect(tmp_path / "replies.sqlite")) as rows, rows:
        rows.execute("UPDATE replies SET row = ?", (text,))

    assert await store.get(KEY) is None


async def test_a_reply_of_another_format_is_not_served(tmp_path: Path) -> None:
    store = Store(tmp_path)
    await store.keep(KEY, CALL, Reply({}))

    with closing(sqlite3.connect(tmp_path / "replies.sqlite")) as rows, rows:
        rows.execute("UPDATE replies SET format = 99")

    assert await store.get(KEY) is None


def test_a_database_that_is_none_is_told_before_anything_runs(tmp_path: Path) -> None:
    (tmp_path / "replies.sqlite").write_text("this is no database, and it is long enough to be looked at" * 20)

    with pytest.raises(CannotStart, match="not a database"):
        Store(tmp_path)


@pytest.mark.parametrize("cut", [20, 40, 50])
async def test_a_picture_that_cannot_be_decoded_is_refused_and_leaves_nothing(tmp_path: Path, cut: int) -> None:
    store = Store(tmp_path)

    with pytest.raises(BadReply, match="damaged"):
        await store.add(pieces(picture()[:cut]))

    assert list((tmp_path / "blobs").rglob("*.*")) == list((tmp_path / "new").iterdir()) == []


async def test_an_interrupted_file_leaves_nothing(tmp_path: Path) -> None:
    store = Store(tmp_path)

    async def breaks() -> AsyncGenerator[bytes, None]:
        yield picture()[:30]
        raise ConnectionError

    with pytest.raises(ConnectionError):
        await store.add(breaks())

    assert list((tmp_path / "blobs").rglob("*.*")) == list((tmp_path / "new").iterdir()) == []


def test_a_store_that_cannot_be_made_says_so_before_anything_runs(tmp_path: Path) -> None:
    (tmp_path / "store").write_text("a file stands here")

    with pytest.raises(CannotStart, match="cannot be used"):
        Store(tmp_path / "store")


FULL_DISK = """
import resource, signal, sys
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
from runner.cli import main
import atexit
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[1]), int(sys.argv[1])))
main(sys.argv[2:])
"""


@pytest.mark.parametrize("room", [45_000])
def test_a_full_disk_is_a_sentence_and_the_next_run_goes_on(tmp_path: Path, room: int) -> None:
    """A limit on the size of files is the nearest thing to a full disk that needs no privilege."""
    pipeline = tmp_path / "p.yaml"
    pipeline.write_text(
        "name: full\nsteps:\n"
        "  photo: {kind: generate_image, model: qwen/qwen-image, prompt: x, size: 512x512}\n"
        "  next: {kind: edit_image, model: qwen/qwen-image-edit, image: '{{ steps.photo.image }}', prompt: y}\n"
        "outputs: {a.png: '{{ steps.next.image }}'}\n"
    )
    command = [sys.executable, "-c", FULL_DISK, str(room), "run", "p.yaml", "--local"]

    full = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    after = subprocess.run(
        [sys.executable, "-m", "runner", "run", "p.yaml", "--local"],
        cwd=tmp_path, capture_output=True, text=True, check=False,
    )  # fmt: skip

    assert full.returncode == 1, full.stderr
    assert "Traceback" not in full.stderr
    assert re.search("File too large|disk I/O error", full.stdout + full.stderr)
    assert after.returncode == 0, after.stderr
    assert (tmp_path / "out/full/a.png").stat().st_size > room
    assert not list((tmp_path / ".runner/store/new").iterdir())


def test_nothing_is_written_outside_the_project_and_the_output_folder(tmp_path: Path) -> None:
    (tmp_path / "p.yaml").write_text(
        "name: tidy\nsteps:\n  a: {kind: generate_text, model: qwen/qwen3-32b-awq, prompt: hi}\n"
        "outputs: {a.txt: '{{ steps.a.text }}'}\n"
    )

    subprocess.run(
        [sys.executable, "-m", "runner", "run", "p.yaml", "--local", "--out", "made"], cwd=tmp_path, check=True,
        capture_output=True,
    )  # fmt: skip

    assert sorted(path.name for path in tmp_path.iterdir()) == [".runner", "made", "p.yaml"]
    assert [path.name for path in (tmp_path / "made").iterdir()] == ["a.txt"]


async def test_a_paid_job_whose_files_did_not_come_is_remembered_until_they_do(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.keep_finished(KEY, Finished({"image_url": "https://example.test/a"}, 0.1))

    remembered = Store(tmp_path).finished(KEY)
    await store.keep(KEY, CALL, Reply({}, (await store.add(pieces(picture())),)))

    assert remembered == Finished({"image_url": "https://example.test/a"}, 0.1)
    assert Store(tmp_path).finished(KEY) is None


async def test_a_store_of_the_first_form_is_completed_and_serves_what_it_has(tmp_path: Path) -> None:
    store = Store(tmp_path)
    await store.keep(KEY, CALL, Reply({"text": "old"}))
    store.close()
    with closing(sqlite3.connect(tmp_path / "replies.sqlite")) as rows, rows:
        for table in ("replies", "unfetched"):
            rows.execute(f"ALTER TABLE {table} DROP COLUMN kept")
            rows.execute(f"ALTER TABLE {table} DROP COLUMN used")

    found = await Store(tmp_path).get(KEY)

    assert found == Reply({"text": "old"})
    assert await Store(tmp_path).get(KEY, since=1.0) is None  # nobody knows how old it is


async def test_a_reply_knows_when_it_was_kept_and_what_it_answers(tmp_path: Path) -> None:
    store = Store(tmp_path, clock=lambda: 1000.0)
    await store.keep(KEY, CALL, Reply({}))

    assert store.asked(KEY) == (CALL.text, 1000.0)
    assert await store.get(KEY, since=1000.0) == Reply({})
    assert await store.get(KEY, since=1000.1) is None
