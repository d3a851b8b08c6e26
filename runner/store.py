"""What was paid for: files by the SHA-256 of their bytes, replies by the key of their call.

::

    .runner/store/blobs/ab/cdef….png     bytes, named by their digest
    .runner/store/replies/ab/cdef….json  one manifest a key

Everything is written to a temporary file, synced and renamed, so that a name stands for whole bytes or is not
there. What is read back is checked against its digest: a torn file is never served.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import tempfile
from collections.abc import AsyncGenerator, Iterator, Mapping
from contextlib import aclosing, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import IO

import anyio

from .errors import BadReply, CannotStart, StoreFailed
from .media import NotWhole, look
from .model import JSON, Artifact, Call, Finished, Reply, canonical, from_json, to_json

FORMAT = 1


class Store:
    """A store in a folder. Several processes may use one: names stand for bytes, so the last writer changes nothing."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._blobs, self._replies, self._new = folder / "blobs", folder / "replies", folder / "new"
        try:
            for each in (self._blobs, self._replies, self._new):
                each.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=self._new):
                pass
        except OSError as err:
            msg = f"The store {folder} cannot be written: {err.strerror}. Free the disk, or allow writing there."
            raise CannotStart(msg) from err

    async def get(self, key: str) -> Reply | None:
        """The reply to an earlier call; None if there is none, or if a part of it is damaged."""
        manifest = self._read(self._manifest(key))
        if manifest.get("key") != key or not isinstance(manifest.get("reply"), dict):
            return None
        reply = manifest["reply"]
        files: list[Artifact] = [from_json(file) for file in reply.get("files", [])]
        if files:
            there = await anyio.to_thread.run_sync(lambda: [self._there(file) for file in files])
            if None in there:
                return None
            files = [file for file in there if file is not None]
        return Reply(data=from_json(reply.get("data")), files=tuple(files), cost=reply.get("cost"))

    def finished(self, key: str) -> Finished | None:
        """The job that an earlier run paid for under this key, and whose files it could not fetch."""
        manifest = self._read(self._unfetched(key))
        return Finished(manifest.get("output"), manifest.get("cost")) if manifest.get("key") == key else None

    def keep_finished(self, key: str, finished: Finished) -> None:
        """Remember a job that is paid for: its files can be fetched as long as Runpod has them."""
        manifest = {"format": FORMAT, "key": key, "output": finished.output, "cost": finished.cost}
        with contextlib.suppress(StoreFailed):  # on the way out with an error already
            self._write(self._unfetched(key), manifest)

    async def keep(self, key: str, call: Call, reply: Reply) -> None:
        """Make a reply durable under its key. `StoreFailed` if the disk says no."""
        files = [to_json(replace(file, path="")) for file in reply.files]
        manifest = {
            "format": FORMAT,
            "key": key,
            "request": json.loads(canonical(call.request)),
            "reply": {"data": to_json(reply.data), "files": files, "cost": reply.cost},
        }
        await anyio.to_thread.run_sync(self._write, self._manifest(key), manifest)
        if reply.files:
            self._unfetched(key).unlink(missing_ok=True)

    async def add(self, chunks: AsyncGenerator[bytes, None], *, url: str | None = None) -> Artifact:
        """Keep a file. The artifact says what its bytes are. `BadReply` for a picture that is damaged."""
        digest, size = hashlib.sha256(), 0
        with self._temporary() as file:
            async with aclosing(chunks):
                async for chunk in chunks:
                    digest.update(chunk)
                    size += len(chunk)
                    with _disk(self.folder):
                        file.write(chunk)
            return await anyio.to_thread.run_sync(self._finish, file, digest.hexdigest(), size, url)

    def _finish(self, file: IO[bytes], sha256: str, size: int, url: str | None) -> Artifact:
        with _disk(self.folder):
            file.flush()
            os.fsync(file.fileno())
        path = Path(file.name)
        try:
            looks = look(path)
        except NotWhole as err:
            msg = f"the file {url or 'in the reply'} is damaged: {err}"
            raise BadReply(msg) from err
        artifact = Artifact(sha256, looks.media_type, size, "", url, looks.width, looks.height)
        target = self._blob(artifact)
        with _disk(self.folder):
            _rename(path, target)
        return replace(artifact, path=str(target))

    @contextmanager
    def _temporary(self) -> Iterator[IO[bytes]]:
        with _disk(self.folder):
            file = tempfile.NamedTemporaryFile(dir=self._new, delete=False)  # noqa: SIM115 - closed below, renamed before
        try:
            yield file
        finally:
            file.close()
            Path(file.name).unlink(missing_ok=True)

    def _write(self, target: Path, value: JSON) -> None:
        with self._temporary() as file, _disk(self.folder):
            file.write(json.dumps(value, ensure_ascii=False, indent=1).encode())
            file.flush()
            os.fsync(file.fileno())
            _rename(Path(file.name), target)

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

    def _read(self, path: Path) -> Mapping[str, JSON]:
        """A manifest; empty if there is none that can be read."""
        try:
            manifest = json.loads(path.read_bytes())
        except (OSError, ValueError):
            return {}
        return manifest if isinstance(manifest, dict) and manifest.get("format") == FORMAT else {}

    def _unfetched(self, key: str) -> Path:
        return self._manifest(key).with_suffix(".unfetched.json")

    def _manifest(self, key: str) -> Path:
        return self._replies / key[:2] / f"{key[2:]}.json"


def _rename(source: Path, target: Path) -> None:
    target.parent.mkdir(exist_ok=True)
    source.replace(target)


@contextmanager
def _disk(folder: Path) -> Iterator[None]:
    """The disk's own words become ours."""
    try:
        yield
    except OSError as err:
        msg = f"the store {folder} cannot be written: {err.strerror or err}; free the disk and run it again"
        raise StoreFailed(msg) from err
