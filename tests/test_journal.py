"""The journal: whole lines in order, durable when it says so, readable after a crash."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import anyio
import pytest

from runner.errors import CannotStart, StoreFailed
from runner.events import CellDone, CellStarted, Event
from runner.journal import NAME, Journal, read

EVENTS: list[Event] = [
    CellStarted(1.0, "draft"),
    CellDone(2.0, "draft", cached=False, output={"text": "ä ☃ \n"}, model="m", cost=0.1),
    CellStarted(3.0, "photo"),
]


def written(folder: Path) -> Path:
    with Journal(folder) as journal:
        for event in EVENTS:
            journal(event)
    return folder / NAME


def test_events_come_back_as_they_went(tmp_path: Path) -> None:
    written(tmp_path)

    found = list(read(tmp_path))

    assert found == EVENTS


def test_a_last_line_that_was_cut_at_any_byte_is_left_out(tmp_path: Path) -> None:
    path = written(tmp_path)
    whole = path.read_bytes()
    start = whole[:-1].rfind(b"\n") + 1

    for length in range(start, len(whole)):
        path.write_bytes(whole[:length])

        assert list(read(tmp_path)) == EVENTS[:2]


def test_damage_in_the_middle_is_told_and_never_guessed_at(tmp_path: Path) -> None:
    path = written(tmp_path)
    path.write_bytes(path.read_bytes().replace(b'"draft"', b"draft", 1))

    with pytest.raises(StoreFailed, match="damaged at line 1"):
        list(read(tmp_path))


@pytest.mark.parametrize(
    "line", [b"3", b"[]", b'{"event":"CellStarted","format":1,"at":1.0,"cell":{"$artifact":{"bytes":1}}}']
)
def test_a_line_that_is_no_event_is_damage(tmp_path: Path, line: bytes) -> None:
    path = written(tmp_path)
    path.write_bytes(path.read_bytes() + line + b"\n")

    with pytest.raises(StoreFailed, match="damaged at line 4"):
        list(read(tmp_path))


PART_OF_A_LINE = """
import resource, signal, sys
from pathlib import Path
from runner.errors import StoreFailed
from runner.events import CellStarted
from runner.journal import Journal
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
with Journal(Path(sys.argv[1])) as journal:
    journal(CellStarted(1.0, "draft"))
    resource.setrlimit(resource.RLIMIT_FSIZE, (90, resource.RLIM_INFINITY))
    try:
        journal(CellStarted(2.0, "too long for what is left" * 9))
    except StoreFailed:
        resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        journal(CellStarted(3.0, "photo"))
"""


def test_a_line_that_a_full_disk_took_in_part_is_taken_back(tmp_path: Path) -> None:
    """There is room again a moment later, because something else was removed: the next line begins on its own."""
    subprocess.run([sys.executable, "-c", PART_OF_A_LINE, str(tmp_path)], check=True)

    assert list(read(tmp_path)) == [CellStarted(1.0, "draft"), CellStarted(3.0, "photo")]


@pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="this system does not show what is open")
def test_a_journal_that_is_removed_while_it_is_opened_is_not_written(tmp_path: Path) -> None:
    with (tmp_path / "gone").open("w") as gone:
        (tmp_path / "gone").unlink()
        (tmp_path / NAME).symlink_to(f"/proc/self/fd/{gone.fileno()}")

        with pytest.raises(CannotStart, match="was removed just now"):
            Journal(tmp_path)


def test_another_format_is_refused(tmp_path: Path) -> None:
    path = written(tmp_path)
    path.write_bytes(path.read_bytes().replace(b'"format":1', b'"format":2'))

    with pytest.raises(StoreFailed, match="format"):
        list(read(tmp_path))


@pytest.mark.anyio
async def test_syncs_at_once_share_one_sync(tmp_path: Path) -> None:
    with Journal(tmp_path) as journal:
        syncs = 0
        sync = journal._sync

        def counted() -> None:
            nonlocal syncs
            syncs += 1
            sync()

        journal._sync = counted  # type: ignore[method-assign] # counted, still done
        async with anyio.create_task_group() as tasks:
            for _ in range(50):
                journal(EVENTS[0])
                tasks.start_soon(journal.synced)

    assert syncs <= 2


def test_a_full_disk_stops_the_run_with_a_sentence(tmp_path: Path) -> None:
    (tmp_path / NAME).symlink_to("/dev/full")

    with Journal(tmp_path) as journal, pytest.raises(StoreFailed, match="No space left"):
        journal(EVENTS[0])


def test_a_folder_that_cannot_be_made_says_so(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")

    with pytest.raises(CannotStart, match="cannot be written"):
        Journal(tmp_path / "file" / "run")
