"""What was paid for: files by the SHA-256 of their bytes, replies by the key of their call.

::

    .runner/store/blobs/ab/cdef….png   bytes, named by their digest: written aside, synced, renamed
    .runner/store/replies.sqlite       one row a key: what the endpoint said, the digests of its files, and
                                       when it was kept and last used; beside them those that were replaced
    .runner/store/claims               a process that asks for a key holds that key's place in it, and whoever has
                                       the store open shares the place of all keys; one byte says that there is a
                                       database

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
from typing import IO, Literal, NamedTuple, TypeAlias

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
CREATE TABLE IF NOT EXISTS replaced
    (key TEXT, format INT, request TEXT, row TEXT, kept REAL, used REAL,
     PRIMARY KEY (key, format, request, row)) WITHOUT ROWID;
"""
Table: TypeAlias = Literal["replies", "unfetched", "replaced"]


class Row(NamedTuple):
    """A row as the database has it; ``table`` says in which. Times are seconds since the epoch."""

    table: Table
    key: str
    request: str
    row: str
    kept: float
    used: float


_PUT = {
    name: f"INSERT OR REPLACE INTO {name} (key, format, request, row, kept, used) VALUES (?, ?, ?, ?, ?, ?)"  # noqa: S608 - our own names
    for name in ("replies", "unfetched", "replaced")
}
_GET = {name: f"SELECT row, kept, used FROM {name} WHERE key = ? AND format = ?" for name in ("replies", "unfetched")}  # noqa: S608 - as above

_ADD = {name: put.replace("REPLACE", "IGNORE", 1) for name, put in _PUT.items()}

_REPLACE = "INSERT OR IGNORE INTO replaced SELECT * FROM replies WHERE key = ? AND format = ? AND row != ?"
_REPLACED = "SELECT row FROM replaced WHERE key = ? AND format = ? ORDER BY kept DESC"

_TIMES = ("kept", "used")
"""Columns that the first stores did not have: seconds since the epoch."""

_NO_KEY = "SELECT 1 FROM replies WHERE length(key) != 64 OR key GLOB '*[^0-9a-f]*' LIMIT 1"

USED_WITHIN = 1800.0
"""Seconds within which a reply that is used again is not noted again: a warm run must not write."""

EVERYTHING = 1 << 60
"""The place in ``claims`` that stands for the whole store: no key has it."""


DATABASE = "replies.sqlite"

LOOKED_AT = 64_000_000
"""Bytes of a database that is looked at as a whole before anything is paid for; that takes 0.1 s."""

_GONE = "its list of replies is gone, though it was in use before"
_REPAIR = "runner cache verify --repair keeps it aside and saves what is whole"
_BROKEN = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_FORMAT, sqlite3.SQLITE_ERROR)
"""What SQLite says of a damaged file. Our statements are right, so one that it does not understand is damage, too."""


class Damaged(CannotStart):
    """The database of the store is damaged, or gone: what is paid for could not be found and would be paid again."""

    def __init__(self, folder: Path, why: object) -> None:
        super().__init__(f"The store {folder} is damaged: {why}. Nothing was sent; {_REPAIR}.")
        self.why = str(why)


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


def row_of(key: str, said: Reply | Ticket, at: float) -> Row:
    """A row for what somebody still knows of a call, beside its request."""
    if isinstance(said, Ticket):
        return Row("unfetched", key, "", signed(key, _held(said)), at, at)
    return Row("replies", key, "", signed(key, _kept(replace(said, bare=True))), at, at)


def _kept(reply: Reply) -> JSON:
    files = [replace(file, path="") for file in reply.files]
    return {"data": reply.data, "files": files, "cost": reply.cost, **({"bare": True} if reply.bare else {})}


def _held(ticket: Ticket) -> JSON:
    return {"endpoint": ticket.endpoint, "job": ticket.job}


def _sum(key: str, text: str) -> str:
    return hashlib.sha256(f"{key}\n{text}".encode()).hexdigest()[:16]


class Store:
    """A store in a folder. Several processes may use one: names stand for bytes, so the last writer changes nothing."""

    def __init__(self, folder: Path, clock: Callable[[], float] = time.time) -> None:
        """`CannotStart` if the disk says no, `Damaged` if the database cannot be trusted."""
        self.folder, self._clock = folder, clock
        self._torn: set[str] = set()
        self._unreadable: set[str] = set()
        self._looked_at = False
        self._blobs, self._new = folder / "blobs", folder / "new"
        try:
            for each in (self._blobs, self._new):
                each.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=self._new):
                pass
            self._claims = os.open(folder / "claims", os.O_RDWR | os.O_CREAT, 0o644)
            self._let_go = weakref.finalize(self, os.close, self._claims)
            try:
                self._rows = _opened(folder, self._claims)
            except BaseException:
                self._let_go()
                raise
            self._close = weakref.finalize(self, self._rows.close)
        except (OSError, sqlite3.Error, UnicodeDecodeError) as err:
            if broken(err):
                raise Damaged(folder, err) from err
            why = err.strerror if isinstance(err, OSError) else err
            msg = f"The store {folder} cannot be used: {why}. Free the disk, or allow writing there."
            raise CannotStart(msg) from err

    def close(self) -> None:
        """Let the database go, and the place in ``claims``. A store that is closed is not used again."""
        self._close()
        self._let_go()

    def damage(self) -> str:
        """What is wrong with the structure of the database or with a key; empty if what is there can be found."""
        with _disk(self.folder):
            try:
                (found,) = self._rows.execute("PRAGMA integrity_check(1)").fetchone()
                if found == "ok" and self._rows.execute(_NO_KEY).fetchone():
                    found = "the key of a reply is none"
            except (sqlite3.Error, UnicodeDecodeError) as err:
                if not broken(err):
                    raise
                found = err
        return "" if found == "ok" else " ".join(str(found).split())

    async def get(self, key: str, since: float = 0.0) -> Reply | None:
        """The reply to an earlier call; None if there is none kept ``since`` then, or if a part of it is damaged."""
        row = self._row("replies", key, since)
        reply = await self._whole(row) if row is not None else None
        if row is not None and reply is None:
            self._torn.add(key)
        return reply

    async def replaced(self, key: str) -> AsyncGenerator[Reply, None]:
        """What the store had under a key before it was asked for anew, the newest first, as far as it is whole."""
        with _disk(self.folder):
            found = self._rows.execute(_REPLACED, (key, FORMAT)).fetchall()
        for (said,) in found:
            row = read_row(key, said)
            if row is not None and (reply := await self._whole(row)) is not None:
                yield reply

    async def _whole(self, reply: Mapping[str, JSON]) -> Reply | None:
        """The reply of a row with its files; None if one of them is damaged or gone."""
        files: list[Artifact] = [from_json(file) for file in reply.get("files", [])]
        if files:
            there = await anyio.to_thread.run_sync(lambda: [self._there(file) for file in files])
            if None in there:
                return None
            files = [file for file in there if file is not None]
        return Reply(from_json(reply.get("data")), tuple(files), reply.get("cost"), bare=bool(reply.get("bare")))

    def finished(self, key: str, since: float = 0.0) -> Finished | None:
        """The job that an earlier run paid for under this key, and whose files it could not fetch, or fetched and
        they are damaged or gone: they may still be where they came from.
        """
        said = self._row("unfetched", key, since)
        if said is not None and "output" in said:
            return Finished(said["output"], said.get("cost"))
        return self.behind(key, since) if key in self._torn else None

    def behind(self, key: str, since: float = 0.0) -> Finished | None:
        """The job that a reply came from, if its files can be fetched again: each was at an address."""
        kept = self._row("replies", key, since)
        if kept is None or kept.get("bare"):
            return None
        urls = [from_json(file).url for file in kept.get("files", [])]
        return Finished(from_json(kept.get("data")), kept.get("cost")) if urls and all(urls) else None

    def ticket(self, key: str, since: float = 0.0) -> Ticket | None:
        """The job that was handed in under this key, by a process that did not live to see its end."""
        said = self._row("unfetched", key, since)
        return Ticket(said["endpoint"], said["job"]) if said is not None and "job" in said else None

    def left(self, key: str) -> tuple[Ticket | Finished, float] | None:
        """The job that an earlier run left under this key, in flight or with its files to be fetched, and when."""
        job = self.ticket(key) or self.finished(key)
        if job is None:
            return None
        with _disk(self.folder):
            rows = [self._rows.execute(_GET[table], (key, FORMAT)).fetchone() for table in ("unfetched", "replies")]
        return job, next((row[1] or 0.0 for row in rows if row), 0.0)

    def keep_ticket(self, key: str, ticket: Ticket) -> None:
        """Remember a job that was handed in, so that whoever wants the same waits for it. The journal is its proof."""
        with contextlib.suppress(StoreFailed):
            self._put("unfetched", key, _held(ticket), "")

    def doubted(self, key: str) -> tuple[str, float] | None:
        """Where a job was on its way to under this key, and since when, if nobody knows whether it was accepted."""
        said = self._row("unfetched", key, 0.0)
        if said is None or "sending" not in said:
            return None
        return said["endpoint"], said["sending"]

    def keep_doubt(self, key: str, endpoint: str) -> None:
        """Remember that a job is on its way: what comes next says what became of it. The journal is its proof."""
        with contextlib.suppress(StoreFailed):
            self._put("unfetched", key, {"endpoint": endpoint, "sending": self._clock()}, "")

    def unreadable(self, key: str) -> bool:
        """Whether that is the reply itself, so that nobody knows what it said; a journal may."""
        return key in self._unreadable

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
        the end of the machine cannot either. `StoreFailed` if the disk says no. Another one that was there stays,
        because a lock may name it.
        """
        row = _kept(reply)
        with _disk(self.folder):
            self._rows.execute(_REPLACE, (key, FORMAT, signed(key, row)))
        self._put("replies", key, row, call.text)
        if isinstance(call, Job):
            with _disk(self.folder):
                self._rows.execute("DELETE FROM unfetched WHERE key = ?", (key,))

    def note(self, key: str, call: Call, reply: Reply) -> None:
        """Write beside a reply what it answers, where that was not known."""
        row = signed(key, _kept(replace(reply, bare=False)))
        with contextlib.suppress(sqlite3.Error):  # it serves as well without
            self._rows.execute("UPDATE replies SET request = ?, row = ? WHERE key = ?", (call.text, row, key))

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
        if not self._looked_at:  # something is about to be paid for: what cannot be found must not be the reason
            self._look_at()
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

    def rows(self, table: Table = "replies") -> Iterator[tuple[str, int, str, str, float, float]]:
        """All that is kept, as it is: key, format, request, row, when it was kept, when it was last used."""
        with _disk(self.folder):
            for row in self._rows.execute(f"SELECT key, format, request, row, kept, used FROM {table}"):  # noqa: S608 - our own names
                key, form, request, text, kept, used = row
                yield key, form, request or "", text or "", kept or 0.0, used or kept or 0.0

    def add_rows(self, rows: Iterable[Row]) -> int:
        """Put rows where there are none under their keys, all or none; gives back how many there were."""
        before = self._rows.total_changes
        with self._at_once():
            for table, key, request, row, kept, used in rows:
                self._rows.execute(_ADD[table], (key, FORMAT, request, row, kept, used))
        return self._rows.total_changes - before

    def drop(self, keys: Iterable[str], table: Table = "replies") -> None:
        """Forget these keys, all or none. Their files stay until nothing names them."""
        with self._at_once():
            self._rows.executemany(f"DELETE FROM {table} WHERE key = ?", [(key,) for key in keys])  # noqa: S608 - our own names

    def drop_replaced(self, rows: Iterable[tuple[str, str]]) -> None:
        """Forget replies that were replaced, by key and row, all or none."""
        with self._at_once():
            self._rows.executemany("DELETE FROM replaced WHERE key = ? AND row = ?", rows)

    @contextmanager
    def _at_once(self) -> Iterator[None]:
        with _disk(self.folder):
            self._rows.execute("BEGIN IMMEDIATE")
            try:
                yield
            except BaseException:
                self._rows.execute("ROLLBACK")
                raise
            self._rows.execute("COMMIT")

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Be the only process that has the store open: what is removed now, nobody is about to use."""
        _for_itself(self.folder, self._claims)
        try:
            yield
        finally:
            share(self._claims, EVERYTHING)

    def shrink(self) -> None:
        """Give the room of what was dropped back to the disk."""
        with contextlib.suppress(sqlite3.Error):  # it needs room itself; without it the file is only larger
            self._rows.execute("VACUUM")
            self._rows.execute("PRAGMA wal_checkpoint(TRUNCATE)")

    def _put(self, table: Table, key: str, row: JSON, request: str) -> None:
        now = self._clock()
        with _disk(self.folder):
            self._rows.execute(_PUT[table], (key, FORMAT, request, signed(key, row), now, now))

    def _look_at(self) -> None:
        """`StoreFailed` if the structure is damaged: then a reply that is there may not be found, without an error."""
        with _disk(self.folder):
            small = _size(self.folder / DATABASE) <= LOOKED_AT
        if small and (why := self.damage()):
            raise StoreFailed(_damaged(self.folder, why))
        self._looked_at = True

    def _row(self, table: Table, key: str, since: float) -> Mapping[str, JSON] | None:
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
            self._unreadable.add(key)
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


def _opened(folder: Path, claims: int) -> sqlite3.Connection:
    """The database of a store, with its tables. `Damaged` if there were some before, which is noted in ``claims``."""
    if not share(claims, EVERYTHING):
        msg = f"The store {folder} is being cleaned by another process. Try again when it is done."
        raise CannotStart(msg)
    expected = os.fstat(claims).st_size > 0 or any((folder / "blobs").glob("*/*"))
    if expected and not _size(folder / DATABASE):  # opened without it, SQLite would remove its log
        raise Damaged(folder, _GONE)
    rows = sqlite3.connect(
        folder / DATABASE,
        timeout=10,
        isolation_level=None,
        check_same_thread=False,  # used in one thread; let go of in whichever the collector runs
    )
    rows.text_factory = _text
    try:
        if expected:
            _there(rows, folder)
        _made(rows)
        _complete(rows)
        if not expected:
            os.write(claims, b"1")
    except BaseException:
        rows.close()
        raise
    return rows


def _there(rows: sqlite3.Connection, folder: Path) -> None:
    if not rows.execute("SELECT 1 FROM sqlite_master WHERE name = 'replies'").fetchone():
        raise Damaged(folder, _GONE)


def _complete(rows: sqlite3.Connection) -> None:
    """Add what the tables of an older store lack. Its replies are as good as ever, and of unknown age."""
    for table in _PUT:
        there = {column[1] for column in rows.execute(f"PRAGMA table_info({table})")}
        for name in _TIMES:
            if name not in there:
                with contextlib.suppress(sqlite3.OperationalError):  # another process was faster
                    rows.execute(f"ALTER TABLE {table} ADD COLUMN {name} REAL")


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


@contextmanager
def nobody_has(folder: Path) -> Iterator[None]:
    """Keep everybody out of a store that cannot be opened. `CannotStart` if a process has it open."""
    with _disk(folder):
        claims = os.open(folder / "claims", os.O_RDWR | os.O_CREAT, 0o644)
    try:
        _for_itself(folder, claims)
        yield
    finally:
        os.close(claims)


def _for_itself(folder: Path, claims: int) -> None:
    if not claim(claims, EVERYTHING):
        msg = f"The store {folder} is in use by another process. Let its run end, and try again."
        raise CannotStart(msg)


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
    except (OSError, sqlite3.Error, UnicodeDecodeError) as err:
        if broken(err):
            raise StoreFailed(_damaged(folder, err)) from err
        why = err.strerror if isinstance(err, OSError) else err
        msg = f"the store {folder} cannot be used: {why}; free the disk and run it again"
        raise StoreFailed(msg) from err


def broken(err: Exception) -> bool:
    """Whether an error says that the database is damaged, and not that the disk or another process is in the way."""
    if isinstance(err, UnicodeDecodeError):  # of SQLite's own words, which quote what it cannot read
        return True
    return getattr(err, "sqlite_errorcode", 0) & 0xFF in _BROKEN


def _damaged(folder: Path, why: object) -> str:
    return f"the store {folder} is damaged: {why}; {_REPAIR}"


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _text(said: bytes) -> str:
    """Text as it is kept. What is no text any more is damaged, which its sum says."""
    return said.decode(errors="replace")
