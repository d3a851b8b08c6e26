"""The journal: whole lines in order, durable when it says so, readable after a crash."""

from __future__ import annotations

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
