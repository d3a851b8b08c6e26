"""The store as a whole: listed, weighed, verified, and swept without taking what somebody counts on."""

from __future__ import annotations

import json
import signal
import sqlite3
import tempfile
from collections.abc import AsyncGenerator, Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import anyio
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from runner import cache
from runner.emulator import Emulator, Latency
from runner.model import Artifact, Job, Reply
from runner.store import Store

from .conftest import Cli
from .test_cli import started, until

PIPELINE = """\
name: tiny
steps:
  words: {kind: generate_text, model: qwen/qwen3-32b-awq, prompt: "Name a teapot"}
  photo:
    kind: generate_image
    model: qwen/qwen-image
    foreach: [red, blue]
    prompt: "a {{ item }} teapot"
    size: 512x512
"""
CALL = Job(kind="generate_image@1", endpoint="flux", input={"prompt": "x"})


@pytest.fixture
def pipeline(cli: Cli) -> Path:
    path = Path("tiny.yaml").resolve()
    path.write_text(PIPELINE)
    assert cli("run", "tiny.yaml", "--local", "--quiet").code == 0
    return path


def blobs() -> list[Path]:
    return sorted(path for path in Path(".runner/store/blobs").rglob("*") if path.is_file())


def listed(cli: Cli) -> list[dict[str, object]]:
    found: list[dict[str, object]] = json.loads(cli("cache", "ls", "--json").out)
    return found


def test_what_is_stored_is_listed_with_what_was_asked(cli: Cli, pipeline: Path) -> None:
    done = cli("cache", "ls")

    assert done.code == 0
    assert "qwen-image-t2i: a red teapot" in done.out
    assert "qwen3-32b-awq: Name a teapot" in done.out


def test_the_store_is_weighed(cli: Cli, pipeline: Path) -> None:
    done = cli("cache", "size")

    assert "3 replies of " in done.out
    assert "2 files of " in done.out
    assert "0 replies named" in done.out


def test_without_a_store_it_says_so(cli: Cli) -> None:
    done = cli("cache", "ls")

    assert (done.code, "nothing was run here" in done.err) == (2, True)
    assert not Path(".runner").exists()


# -- verify -----------------------------------------------------------------------------------------


def flip(blob: Path) -> None:
    content = bytearray(blob.read_bytes())
    content[-9] ^= 1
    blob.write_bytes(content)


def cut(blob: Path) -> None:
    blob.write_bytes(blob.read_bytes()[:-1])


def replaced_by_a_folder(blob: Path) -> None:
    blob.unlink()
    blob.mkdir()


def test_a_sound_store_is_sound(cli: Cli, pipeline: Path) -> None:
    done = cli("cache", "verify")

    assert (done.code, done.out) == (0, "3 replies, 2 files: all sound\n")


@pytest.mark.parametrize(
    ("damage", "why"), [(flip, "torn"), (cut, "torn"), (Path.unlink, "missing"), (replaced_by_a_folder, "missing")]
)
def test_damage_is_told_and_nothing_is_deleted(
    cli: Cli, pipeline: Path, damage: Callable[[Path], None], why: str
) -> None:
    damage(blobs()[0])
    left = blobs()

    done = cli("cache", "verify")

    assert done.code == 1
    assert f"{why}: " in done.out
    assert blobs()[: len(left)] == left
    assert len(listed(cli)) == 3


@pytest.mark.parametrize("damage", [flip, Path.unlink])
def test_repair_takes_out_what_is_damaged_and_the_next_run_asks_for_it(
    cli: Cli, pipeline: Path, damage: Callable[[Path], None]
) -> None:
    damage(blobs()[0])

    repaired = cli("cache", "verify", "--repair")
    after = cli("cache", "verify")
    again = json.loads(cli("run", "tiny.yaml", "--local", "--json").out)

    assert (repaired.code, after.code) == (0, 0)
    assert sorted(cell["state"] for cell in again["cells"]) == ["cached", "cached", "done"]
    assert cli("cache", "verify").out == "3 replies, 2 files: all sound\n"


def test_a_reply_that_cannot_be_read_is_told(cli: Cli, pipeline: Path) -> None:
    with closing(sqlite3.connect(".runner/store/replies.sqlite")) as rows, rows:
        rows.execute("UPDATE replies SET row = '{' WHERE request LIKE '%red%'")

    done = cli("cache", "verify")

    assert done.code == 1
    assert "unreadable: a reply" in done.out


# -- gc ---------------------------------------------------------------------------------------------


def age(days: float) -> None:
    """Let all that is stored have been used some days ago."""
    with closing(sqlite3.connect(".runner/store/replies.sqlite")) as rows, rows:
        rows.execute("UPDATE replies SET used = used - ?, kept = kept - ?", (days * 86400, days * 86400))


def test_gc_without_words_takes_only_what_nothing_can_find(cli: Cli, pipeline: Path) -> None:
    stray = Path(".runner/store/blobs/ab") / ("cd" * 31 + ".png")
    stray.parent.mkdir(exist_ok=True)
    stray.write_bytes(b"nobody names this")
    Path(".runner/store/new/half").write_bytes(b"of a killed process")

    done = cli("cache", "gc")

    assert done.out.startswith("0 replies and 1 file, 17 B removed")
    assert not stray.exists()
    assert list(Path(".runner/store/new").iterdir()) == []
    assert cli("cache", "verify").out == "3 replies, 2 files: all sound\n"


def test_what_was_not_used_for_long_goes(cli: Cli, pipeline: Path) -> None:
    age(31)
    Path("tiny.yaml").write_text(PIPELINE.replace("[red, blue]", "[red]"))
    cli("run", "tiny.yaml", "--local", "--quiet")

    done = cli("cache", "gc", "--keep", "30d")

    assert done.out.startswith("1 reply and 1 file, ")
    assert cli("cache", "verify").out == "2 replies, 1 file: all sound\n"


def test_what_was_used_longest_ago_goes_until_the_rest_fits(cli: Cli, pipeline: Path) -> None:
    age(1)
    Path("tiny.yaml").write_text(PIPELINE.replace("[red, blue]", "[blue]"))
    cli("run", "tiny.yaml", "--local", "--quiet")

    cli("cache", "gc", "--max", f"{sum(path.stat().st_size for path in blobs()) * 0.7:.0f}")

    again = json.loads(cli("run", "tiny.yaml", "--local", "--json").out)
    assert [cell["state"] for cell in again["cells"]] == ["cached", "cached"]
    assert cli("cache", "verify").out == "2 replies, 1 file: all sound\n"


def test_a_dry_run_removes_nothing(cli: Cli, pipeline: Path) -> None:
    done = cli("cache", "gc", "--max", "0", "--dry-run")

    assert "3 replies and 2 files" in done.out
    assert "would go" in done.out
    assert len(listed(cli)) == 3
    assert len(blobs()) == 2


def test_what_a_lock_file_names_stays(cli: Cli, pipeline: Path) -> None:
    red, blue = (next(row for row in listed(cli) if colour in str(row["request"])) for colour in ("red", "blue"))
    Path("pipelines").mkdir()
    Path("pipelines/a.lock.yaml").write_text(f"cells:\n  photo[red]: {{key: {red['key']}}}\n")
    Path("tiny.lock.yaml").write_text(f"cells:\n  photo[blue]: {{files: ['sha256:{blue['files'][0]}']}}\n")  # type: ignore[index]

    done = cli("cache", "gc", "--max", "0")

    assert "2 replies stayed" in done.out
    assert {row["key"] for row in listed(cli)} == {red["key"], blue["key"]}
    assert cli("cache", "verify").code == 0


def test_what_an_unfinished_run_names_stays_until_the_run_is_removed(tmp_path: Path, cli: Cli) -> None:
    Path("tiny.yaml").write_text(PIPELINE)
    with Emulator(latency={"qwen-image-t2i": Latency(execution=30)}) as emulator:
        process = started("run", "tiny.yaml", folder=tmp_path, RUNPOD_API_KEY="k", RUNPOD_BASE_URL=emulator.url)
        until(lambda: emulator.count("status-sync") == 2)
        going = cli("cache", "gc", "--max", "0")
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=10)

    kept = cli("cache", "gc", "--max", "0")
    cli("runs", "rm", "--all-but", "0", "--force")
    gone = cli("cache", "gc", "--max", "0")

    assert (going.code, "in use by another process" in going.err) == (5, True)
    assert "1 reply stayed" in kept.out
    assert gone.out.startswith("1 reply and 0 files")


@pytest.mark.parametrize("words", [["--max", "much"], ["--keep", "long"]])
def test_a_size_or_an_age_that_is_none_is_wrong_usage(cli: Cli, pipeline: Path, words: list[str]) -> None:
    done = cli("cache", "gc", *words)

    assert done.code == 2
    assert "Write " in done.err
    assert len(listed(cli)) == 3


def test_a_file_that_cannot_be_removed_is_a_sentence(cli: Cli, pipeline: Path) -> None:
    Path(".runner/store/new/a folder").mkdir()

    done = cli("cache", "gc")

    assert done.code == 1
    assert "cannot be removed" in done.err
    assert cli("cache", "verify").code == 0


def test_a_lock_file_that_cannot_be_read_stops_gc(cli: Cli, pipeline: Path) -> None:
    Path("tiny.lock.yaml").symlink_to("nowhere.yaml")

    done = cli("cache", "gc", "--max", "0")

    assert done.code == 5
    assert "may name what is in the store" in done.err
    assert len(listed(cli)) == 3


# -- laws -------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Kept:
    """A reply of the random store: when it was used last, and which of five files it has."""

    used: int
    files: frozenset[int]


KEYS = [f"{number:064x}" for number in range(1, 8)]


async def _bytes(number: int) -> AsyncGenerator[bytes, None]:
    yield bytes([number]) * (100 * (number + 1))


def filled(folder: Path, replies: list[Kept]) -> tuple[Store, list[Artifact]]:
    """A real store with these replies, whose clock stands at the last of them."""
    now = [0.0]
    store = Store(folder, clock=lambda: now[0])

    async def fill() -> list[Artifact]:
        files = [await store.add(_bytes(number)) for number in range(5)]
        for key, reply in zip(KEYS, replies, strict=False):
            now[0] = float(reply.used)
            await store.keep(key, CALL, Reply({}, tuple(files[number] for number in sorted(reply.files))))
        return files

    return store, anyio.run(fill)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    replies=st.lists(st.builds(Kept, st.integers(1, 9), st.frozensets(st.integers(0, 4), max_size=3)), max_size=7),
    keys=st.frozensets(st.integers(0, 6), max_size=3),
    digests=st.frozensets(st.integers(0, 4), max_size=2),
    older=st.none() | st.integers(0, 10),
    most=st.none() | st.integers(0, 3000),
)
def test_gc_never_takes_what_is_named_and_leaves_a_sound_store(
    replies: list[Kept], keys: frozenset[int], digests: frozenset[int], older: int | None, most: int | None
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        store, files = filled(Path(folder), replies)
        named = {KEYS[number] for number in keys} | {files[number].sha256 for number in digests}
        before = {entry.key: entry for entry in cache.entries(store)}
        told = cache.sweep(store, lambda: named, older=older, most=most, dry=True)

        done = cache.sweep(store, lambda: named, older=older, most=most)

        after = {entry.key: entry for entry in cache.entries(store)}
        there = {blob.digest for blob in cache.blobs(store)}
        again = cache.sweep(store, lambda: named, older=older, most=most)
        faults = list(cache.faults(store))
        store.close()

    held = {key for key, entry in before.items() if key in named or named & set(entry.digests)}
    assert held <= set(after)
    assert {files[number].sha256 for number in digests} <= there
    assert faults == []
    assert told == done
    assert (again.replies, again.files) == (0, 0)
    gone = [before[key] for key in before.keys() - after.keys()]
    if older is not None:
        assert all(entry.used >= older for key, entry in after.items() if key not in held)
    if most is not None:
        assert done.left <= most or set(after) <= held
    if older is None and most is None:
        assert gone == []
    for key, entry in after.items():  # of two that may go, the one that was used longer ago goes first
        assert key in held or all(other.used <= entry.used for other in gone)
