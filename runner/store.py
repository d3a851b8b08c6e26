"""What was paid for: files by the SHA-256 of their bytes, replies by the key of their call.

::

    .runner/store/blobs/ab/cdef….png   bytes, named by their digest: written aside, synced, renamed
    .runner/store/replies.sqlite       one row a key: what the endpoint said, the digests of its files, and
                                       when it was kept and last used
    .runner/store/claims               empty; a process that asks for a key holds that key's place in it, and
                                       whoever has the store open shares the place of all keys

A reply is in the database before its cell is done, so that the end of this process cannot lose it; `Store.synced`
makes sure that the end of the machine cannot either. What is read back is checked, files against their digest: a torn
one is never served.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import sqlite3
import tempfile
import time
import weakref
from collections.abc import AsyncGenerator, Callable, Iterable, Iterator, Mapping
from contextlib import aclosing, asynccontextmanager, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import IO, Literal

import anyio

from .errors import BadReply, CannotStart, StoreFailed
from .locks import claim, release, share
from .media import NotWhole, look
from .model import JSON, Artifact, Call, Finished, Job, Question, Reply, Ticket, from_json, json_line

FORMAT = 2

PIECE = 4_000_000
"""Bytes of a file that are held in memory before they are written."""

_TABLES = """
PRAGMA journal_mode = WAL;
PRAGMA synchronous = NORMAL;
PRAGMA wal_autocheckpoint = 10000;
CREATE TABLE IF NOT EXISTS replies
    (key TEXT PRIMARY KEY, format INT, request TEXT, row TEXT, kept REAL, used REAL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS unfetched
    (key TEXT PRIMARY KEY, format INT, request TEXT, row TEXT, kept REAL, used REAL) WITHOUT ROWID;
"""
_PUT = {
    name: f"INSERT OR REPLACE INTO {name} (key, format, request, row, kept, used) VALUES (?, ?, ?, ?, ?, ?)"  # noqa: S608 - our own names
    for name in ("replies", "unfetched")
}
_GET = {name: f"SELECT row, kept, used FROM {name} WHERE key = ? AND format = ?" for name in ("replies", "unfetched")}  # noqa: S608 - as above

_TIMES = ("kept", "used")
"""Columns that the first stores did not have: seconds since the epoch."""

USED_WITHIN = 1800.0
"""Seconds within which a reply that is used again is not noted again: a warm run must not write."""

EVERYTHING = 1 << 60
"""The place in ``claims`` that stands for the whole store: no key has it."""


_RECOVER = "Keep a copy of it; `sqlite3 replies.sqlite .recover` reads what is whole. A new one is made if it is away."


def signed(key: str, row: JSON) -> str:
    """A row as it is kept: its JSON, and a sum that tells whether a bit of it has changed since."""
    text = json_line(row)
    return f"{text}\n{_sum(key, text)}"


def read_row(key: str, kept: str) -> dict[str, JSON] | None:
    """What was kept under a key; None if it is damaged."""
    text, _, said = kept.rpartition("\n")
    try:
        row = json.loads(text) if said == _sum(key, text) else None
    except ValueError:
        return None
    return row if isinstance(row, dict) else None


def _sum(key: str, text: str) -> str:
    return hashlib.sha256(f"{key}\n{text}".encode()).hexdigest()[:16]


class Store:
    """A store in a folder. Several processes may use one: names stand for bytes, so the last writer changes nothing."""

    def __init__(self, folder: Path, clock: Callable[[], float] = time.time) -> None:
        self.folder, self._clock = folder, clock
        self._torn: set[str] = set()
        self._blobs, self._new = folder / "blobs", folder / "new"
        try:
            for each in (self._blobs, self._new):
                each.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=self._new):
                pass
            self._rows = sqlite3.connect(
                folder / "replies.sqlite",
                timeout=10,
                isolation_level=None,
                check_same_thread=False,  # used in one thread; let go of in whichever the collector runs
            )
            weakref.finalize(self, self._rows.close)
            self._claims = os.open(folder / "claims", os.O_RDWR | os.O_CREAT, 0o644)
            weakref.finalize(self, os.close, self._claims)
            try:
                _made(self._rows)
                self._complete()
            except sqlite3.Error:
                self._rows.close()
                raise
        except (OSError, sqlite3.Error) as err:
            why = err.strerror if isinstance(err, OSError) else err
            broken = isinstance(err, sqlite3.DatabaseError) and not isinstance(err, sqlite3.OperationalError)
            instead = _RECOVER if broken else "Free the disk, or allow writing there."
            msg = f"The store {folder} cannot be used: {why}. {instead}"
            raise CannotStart(msg) from err
        if not share(self._claims, EVERYTHING):
            self._rows.close()
            msg = f"The store {folder} is being cleaned by another process. Try again when it is done."
            raise CannotStart(msg)

    def close(self) -> None:
        """Let the database go. A store that is closed is not used again."""
        self._rows.close()

    async def get(self, key: str, since: float = 0.0) -> Reply | None:
        """The reply to an earlier call; None if there is none kept ``since`` then, or if a part of it is damaged."""
        reply = self._row("replies", key, since)
        if reply is None:
            return None
        files: list[Artifact] = [from_json(file) for file in reply.get("files", [])]
        if files:
            there = await anyio.to_thread.run_sync(lambda: [self._there(file) for file in files])
            if None in there:
                self._torn.add(key)
                return None
            files = [file for file in there if file is not None]
        return Reply(data=from_json(reply.get("data")), files=tuple(files), cost=reply.get("cost"))

    def finished(self, key: str, since: float = 0.0) -> Finished | None:
        """The job that an earlier run paid for under this key, and whose files it could not fetch."""
        said = self._row("unfetched", key, since)
        return Finished(said.get("output"), said.get("cost")) if said is not None and "output" in said else None

    def ticket(self, key: str, since: float = 0.0) -> Ticket | None:
        """The job that was handed in under this key, by a process that did not live to see its end."""
        said = self._row("unfetched", key, since)
        return Ticket(said["endpoint"], said["job"]) if said is not None and "job" in said else None

    def keep_ticket(self, key: str, ticket: Ticket) -> None:
        """Remember a job that was handed in, so that whoever wants the same waits for it. The journal is its proof."""
        with contextlib.suppress(StoreFailed):
            self._put("unfetched", key, {"endpoint": ticket.endpoint, "job": ticket.job}, "")

    def torn(self, key: str) -> bool:
        """Whether `get` has found a reply under this key that is damaged, or lacks a file."""
        return key in self._torn

    def keep_finished(self, key: str, finished: Finished) -> None:
        """Remember a job that is paid for: its files can be fetched as long as Runpod has them."""
        with contextlib.suppress(StoreFailed):  # on the way out with an error already
            self._put("unfetched", key, {"output": finished.output, "cost": finished.cost}, "")

    def forget(self, key: str) -> None:
        """A job whose output is no use is not remembered: it is made anew."""
        with contextlib.suppress(sqlite3.Error):  # on the way out with an error already
            self._rows.execute("DELETE FROM unfetched WHERE key = ?", (key,))

    async def keep(self, key: str, call: Call | Question, reply: Reply) -> None:
        """Write a reply under its key: from here on the end of this process cannot lose it. `synced` makes sure that
        the end of the machine cannot either. `StoreFailed` if the disk says no.
        """
        files = [replace(file, path="") for file in reply.files]
        row = {"data": reply.data, "files": files, "cost": reply.cost}
        self._put("replies", key, row, call.text)
        if isinstance(call, Job):
            with _disk(self.folder):
                self._rows.execute("DELETE FROM unfetched WHERE key = ?", (key,))

    def asked(self, key: str) -> tuple[str, float] | None:
        """The request that a kept reply answers, in its one spelling, and when the reply was kept; 0 if long ago."""
        with _disk(self.folder):
            found = self._rows.execute("SELECT request, kept FROM replies WHERE key = ?", (key,)).fetchone()
        return (found[0], found[1] or 0.0) if found else None

    def request(self, key: str) -> JSON:
        """What was sent under a key; None if nothing was."""
        found = self.asked(key)
        try:
            return json.loads(found[0]) if found else None
        except ValueError:
            return None

    @asynccontextmanager
    async def claimed(self, key: str, waits: Callable[[], None]) -> AsyncGenerator[bool, None]:
        """Be the only process that asks for a key: one pays, the others wait and find it in the store.

        ``waits`` is called before waiting. Yields whether another process had it, so that it is worth looking again.
        """
        place = int(key[:15], 16)
        waited = False
        pause = 0.05
        while not claim(self._claims, place):
            if not waited:
                waits()
            waited, pause = True, min(pause * 1.5, 1.0)
            await anyio.sleep(pause)
        try:
            yield waited
        finally:
            release(self._claims, place)

    async def add(self, chunks: AsyncGenerator[bytes, None], *, url: str | None = None) -> Artifact:
        """Keep a file. The artifact says what its bytes are. `BadReply` for a picture that is damaged."""
        incoming, pieces, held = _Incoming(self._new, self.folder), list[bytes](), 0
        try:
            async with aclosing(chunks):
                async for chunk in chunks:
                    pieces.append(chunk)
                    held += len(chunk)
                    if held >= PIECE:
                        await anyio.to_thread.run_sync(incoming.write, pieces)
                        pieces, held = [], 0
            return await anyio.to_thread.run_sync(self._finish, incoming, pieces, url)
        finally:
            incoming.close()

    def _finish(self, incoming: _Incoming, pieces: list[bytes], url: str | None) -> Artifact:
        incoming.write(pieces)
        path = incoming.synced()
        try:
            looks = look(path)
        except NotWhole as err:
            msg = f"the file {url or 'in the reply'} is damaged: {err}"
            raise BadReply(msg) from err
        artifact = Artifact(
            incoming.digest.hexdigest(), looks.media_type, incoming.size, "", url, looks.width, looks.height,
            looks.seconds,
        )  # fmt: skip
        target = self._blob(artifact)
        with _disk(self.folder):
            _rename(path, target)
        return replace(artifact, path=str(target))

    async def synced(self) -> None:
        """Return when all that was kept is on the platter."""
        with _disk(self.folder):
            self._rows.execute("PRAGMA wal_checkpoint(FULL)")

    def rows(
        self, table: Literal["replies", "unfetched"] = "replies"
    ) -> Iterator[tuple[str, int, str, str, float, float]]:
        """All that is kept, as it is: key, format, request, row, when it was kept, when it was last used."""
        with _disk(self.folder):
            for row in self._rows.execute(f"SELECT key, format, request, row, kept, used FROM {table}"):  # noqa: S608 - our own names
                key, form, request, text, kept, used = row
                yield key, form, request or "", text or "", kept or 0.0, used or kept or 0.0

    def drop(self, keys: Iterable[str], table: Literal["replies", "unfetched"] = "replies") -> None:
        """Forget these keys, all or none. Their files stay until nothing names them."""
        with _disk(self.folder):
            self._rows.execute("BEGIN IMMEDIATE")
            try:
                self._rows.executemany(f"DELETE FROM {table} WHERE key = ?", [(key,) for key in keys])  # noqa: S608 - our own names
            except BaseException:
                self._rows.execute("ROLLBACK")
                raise
            self._rows.execute("COMMIT")

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Be the only process that has the store open: what is removed now, nobody is about to use."""
        if not claim(self._claims, EVERYTHING):
            msg = f"The store {self.folder} is in use by another process. Let its run end, and try again."
            raise CannotStart(msg)
        try:
            yield
        finally:
            share(self._claims, EVERYTHING)

    def shrink(self) -> None:
        """Give the room of what was dropped back to the disk."""
        with contextlib.suppress(sqlite3.Error):  # it needs room itself; without it the file is only larger
            self._rows.execute("VACUUM")
            self._rows.execute("PRAGMA wal_checkpoint(TRUNCATE)")

    def _put(self, table: Literal["replies", "unfetched"], key: str, row: JSON, request: str) -> None:
        now = self._clock()
        with _disk(self.folder):
            self._rows.execute(_PUT[table], (key, FORMAT, request, signed(key, row), now, now))

    def _complete(self) -> None:
        """Add what the tables of an older store lack. Its replies are as good as ever, and of unknown age."""
        for table in _PUT:
            there = {column[1] for column in self._rows.execute(f"PRAGMA table_info({table})")}
            for name in _TIMES:
                if name not in there:
                    with contextlib.suppress(sqlite3.OperationalError):  # another process was faster
                        self._rows.execute(f"ALTER TABLE {table} ADD COLUMN {name} REAL")

    def _row(self, table: Literal["replies", "unfetched"], key: str, since: float) -> Mapping[str, JSON] | None:
        """What was put under a key ``since`` then; None if nothing was, or if it cannot be read."""
        with _disk(self.folder):
            found = self._rows.execute(_GET[table], (key, FORMAT)).fetchone()
            if found and (found[1] or 0.0) < since:
                return None
            if found and (found[2] or 0.0) < (now := self._clock()) - USED_WITHIN:
                self._rows.execute(f"UPDATE {table} SET used = ? WHERE key = ?", (now, key))  # noqa: S608 - our own names
        row = read_row(key, found[0]) if found else None
        if found and row is None:
            self._torn.add(key)
        return row

    def _there(self, file: Artifact) -> Artifact | None:
        path = self._blob(file)
        try:
            with path.open("rb") as opened:
                digest = hashlib.file_digest(opened, "sha256").hexdigest()
        except OSError:
            return None
        return replace(file, path=str(path)) if digest == file.sha256 else None

    def _blob(self, file: Artifact) -> Path:
        return self._blobs / file.sha256[:2] / f"{file.sha256[2:]}{file.suffix}"


def _made(rows: sqlite3.Connection) -> None:
    """Make the tables. Two processes that make them at once: SQLite does not wait for the change to WAL, so we do."""
    for wait in (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0):
        try:
            rows.executescript(_TABLES)
        except sqlite3.OperationalError as err:
            if "locked" not in str(err):
                raise
            time.sleep(wait)
        else:
            return
    rows.executescript(_TABLES)


class _Incoming:
    """A file on its way in: written aside, in a thread, because disks are slow and hashing is work."""

    def __init__(self, aside: Path, folder: Path) -> None:
        self._aside, self._folder = aside, folder
        self._file: IO[bytes] | None = None
        self.digest, self.size = hashlib.sha256(), 0

    def write(self, pieces: list[bytes]) -> None:
        content = b"".join(pieces)
        self.digest.update(content)
        self.size += len(content)
        with _disk(self._folder):
            if self._file is None:
                handle, name = tempfile.mkstemp(dir=self._aside)
                os.close(handle)
                self._file = Path(name).open("wb", buffering=0)  # noqa: SIM115 - open until it has its name
            rest = memoryview(content)
            while rest:
                rest = rest[self._file.write(rest) :]

    def synced(self) -> Path:
        """Where its bytes are, for good."""
        assert self._file is not None
        with _disk(self._folder):
            os.fsync(self._file.fileno())
        return Path(self._file.name)

    def close(self) -> None:
        """Leave nothing aside."""
        if self._file is not None:
            self._file.close()
            Path(self._file.name).unlink(missing_ok=True)


def _rename(source: Path, target: Path) -> None:
    try:
        source.replace(target)
    except FileNotFoundError:
        target.parent.mkdir(exist_ok=True)
        source.replace(target)


@contextmanager
def _disk(folder: Path) -> Iterator[None]:
    """The disk's own words become ours."""
    try:
        yield
    except (OSError, sqlite3.Error) as err:
        why = err.strerror if isinstance(err, OSError) else err
        msg = f"the store {folder} cannot be used: {why}; free the disk and run it again"
        raise StoreFailed(msg) from err
