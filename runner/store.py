"""What was paid for: files by the SHA-256 of their bytes, replies by the key of their call.

::

    .runner/store/blobs/ab/cdef….png   bytes, named by their digest: written aside, synced, renamed
    .runner/store/replies.sqlite       one row a key: what the endpoint said, and the digests of its files
    .runner/store/claims               empty; a process that asks for a key holds that key's place in it

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
import weakref
from collections.abc import AsyncGenerator, Callable, Iterator, Mapping
from contextlib import aclosing, asynccontextmanager, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import IO, Literal

import anyio

from .errors import BadReply, CannotStart, StoreFailed
from .locks import claim, release
from .media import NotWhole, look
from .model import JSON, Artifact, Call, Finished, Reply, from_json, json_line

FORMAT = 1

PIECE = 4_000_000
"""Bytes of a file that are held in memory before they are written."""

_TABLES = """
PRAGMA journal_mode = WAL;
PRAGMA synchronous = NORMAL;
PRAGMA wal_autocheckpoint = 10000;
CREATE TABLE IF NOT EXISTS replies (key TEXT PRIMARY KEY, format INT, request TEXT, row TEXT) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS unfetched (key TEXT PRIMARY KEY, format INT, request TEXT, row TEXT) WITHOUT ROWID;
"""
_PUT = {name: f"INSERT OR REPLACE INTO {name} VALUES (?, ?, ?, ?)" for name in ("replies", "unfetched")}  # noqa: S608 - our own names
_GET = {name: f"SELECT row FROM {name} WHERE key = ? AND format = ?" for name in ("replies", "unfetched")}  # noqa: S608 - as above


class Store:
    """A store in a folder. Several processes may use one: names stand for bytes, so the last writer changes nothing."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
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
                self._rows.executescript(_TABLES)
            except sqlite3.Error:
                self._rows.close()
                raise
        except (OSError, sqlite3.Error) as err:
            why = err.strerror if isinstance(err, OSError) else err
            broken = isinstance(err, sqlite3.DatabaseError) and not isinstance(err, sqlite3.OperationalError)
            instead = "Move it away; a new one is made." if broken else "Free the disk, or allow writing there."
            msg = f"The store {folder} cannot be used: {why}. {instead}"
            raise CannotStart(msg) from err

    def close(self) -> None:
        """Let the database go. A store that is closed is not used again."""
        self._rows.close()

    async def get(self, key: str) -> Reply | None:
        """The reply to an earlier call; None if there is none, or if a part of it is damaged."""
        reply = self._row("replies", key)
        if reply is None:
            return None
        files: list[Artifact] = [from_json(file) for file in reply.get("files", [])]
        if files:
            there = await anyio.to_thread.run_sync(lambda: [self._there(file) for file in files])
            if None in there:
                return None
            files = [file for file in there if file is not None]
        return Reply(data=from_json(reply.get("data")), files=tuple(files), cost=reply.get("cost"))

    def request(self, key: str) -> JSON:
        """What was sent under a key; None if nothing was."""
        with _disk(self.folder):
            found = self._rows.execute("SELECT request FROM replies WHERE key = ?", (key,)).fetchone()
        try:
            return json.loads(found[0]) if found else None
        except ValueError:
            return None

    def finished(self, key: str) -> Finished | None:
        """The job that an earlier run paid for under this key, and whose files it could not fetch."""
        said = self._row("unfetched", key)
        return Finished(said.get("output"), said.get("cost")) if said is not None else None

    def keep_finished(self, key: str, finished: Finished) -> None:
        """Remember a job that is paid for: its files can be fetched as long as Runpod has them."""
        with contextlib.suppress(StoreFailed):  # on the way out with an error already
            self._put("unfetched", key, {"output": finished.output, "cost": finished.cost}, "")

    async def keep(self, key: str, call: Call, reply: Reply) -> None:
        """Write a reply under its key: from here on the end of this process cannot lose it. `synced` makes sure that
        the end of the machine cannot either. `StoreFailed` if the disk says no.
        """
        files = [replace(file, path="") for file in reply.files]
        row = {"data": reply.data, "files": files, "cost": reply.cost}
        self._put("replies", key, row, call.text)
        if reply.files:
            self._rows.execute("DELETE FROM unfetched WHERE key = ?", (key,))

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

    def _put(self, table: Literal["replies", "unfetched"], key: str, row: JSON, request: str) -> None:
        with _disk(self.folder):
            self._rows.execute(_PUT[table], (key, FORMAT, request, json_line(row)))

    def _row(self, table: Literal["replies", "unfetched"], key: str) -> Mapping[str, JSON] | None:
        """What was put under a key; None if nothing was, or if it cannot be read."""
        with _disk(self.folder):
            found = self._rows.execute(_GET[table], (key, FORMAT)).fetchone()
        try:
            row = json.loads(found[0]) if found else None
        except ValueError:
            return None
        return row if isinstance(row, dict) else None

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
