"""The store as a whole: what is in it, how large it is, whether it is sound, what may go.

Nothing here is needed to run a pipeline. What goes is asked for anew when it is wanted again, so the caller says which
keys and digests are ``named`` by somebody who counts on them: those stay.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from .errors import StoreFailed
from .model import Artifact, from_json
from .store import FORMAT, Store, read_row


@dataclass(frozen=True, slots=True)
class Entry:
    """A reply in the store. Times are seconds since the epoch, 0 where nobody noted them."""

    key: str
    request: str
    kept: float
    used: float
    digests: tuple[str, ...]
    text: int
    """Bytes of what the endpoint said and of what it was asked."""
    sound: bool = True
    """Whether it can be read at all."""
    old: bool = False
    """Whether an older version kept it in a form that is not served any more."""


@dataclass(frozen=True, slots=True)
class Blob:
    """A file of the store; its name is the digest that its bytes must have."""

    path: Path
    bytes: int

    @property
    def digest(self) -> str:
        return self.path.parent.name + self.path.name.partition(".")[0]


@dataclass(frozen=True, slots=True)
class Fault:
    """Something in the store that is not as it was kept: the reply ``key``, or a file that no reply has."""

    why: Literal["torn", "missing", "unreadable"]
    key: str
    path: Path | None = None


@dataclass(frozen=True, slots=True)
class Swept:
    """What went, and how much room is taken now."""

    replies: int
    files: int
    bytes: int
    left: int
    stayed: int
    """Replies that would have gone if nobody had named them."""


def entries(store: Store) -> list[Entry]:
    """Every reply, the one that was used last first."""
    found = [_entry(*row) for row in store.rows()]
    return sorted(found, key=lambda entry: (-entry.used, entry.key))


def _entry(key: str, form: int, request: str, row: str, kept: float, used: float) -> Entry:
    text = len(row.encode()) + len(request.encode())
    try:
        files: list[Artifact] = from_json((read_row(key, row) or {})["files"])
        digests = tuple(str(file.sha256) for file in files)
    except (ValueError, TypeError, KeyError, AttributeError):
        return Entry(key, request, kept, used, (), text, sound=False, old=form < FORMAT)
    return Entry(key, request, kept, used, digests, text, old=form < FORMAT)


def blobs(store: Store) -> list[Blob]:
    """Every file, whoever names it."""
    return [Blob(path, path.stat().st_size) for path in sorted((store.folder / "blobs").glob("*/*")) if path.is_file()]


def faults(store: Store) -> Iterator[Fault]:
    """Hash every file, and look for every file that a reply names. Damage is told once a reply."""
    found = {blob.digest: blob for blob in blobs(store)}
    torn = {digest for digest, blob in found.items() if _digest(blob.path) != digest}
    told: set[str] = set()
    for entry in entries(store):
        if not entry.sound and not entry.old:
            yield Fault("unreadable", entry.key)
        for digest in entry.digests:
            if digest not in found:
                yield Fault("missing", entry.key, store.folder / "blobs" / digest[:2] / digest[2:])
            elif digest in torn:
                told.add(digest)
                yield Fault("torn", entry.key, found[digest].path)
    for digest in sorted(torn - told):
        yield Fault("torn", "", found[digest].path)


def repair(store: Store, found: Collection[Fault]) -> None:
    """Take out what is damaged: the next run that wants it asks anew."""
    with store.alone():
        store.drop({fault.key for fault in found if fault.key})
        for path in {fault.path for fault in found if fault.path is not None and fault.why == "torn"}:
            _unlink(path)


def sweep(
    store: Store,
    named: Callable[[], Collection[str]],
    *,
    older: float | None = None,
    most: int | None = None,
    dry: bool = False,
) -> Swept:
    """Make room: replies that were last used before ``older``; then, those used longest ago until all the rest takes
    ``most`` bytes. Files that no reply has go in any case. What is ``named``, keys or digests, stays; that is
    asked when no run can begin any more.

    A ``dry`` sweep only says what would go.
    """
    with store.alone():
        return _sweep(store, frozenset(named()), older, most, dry=dry)


def _sweep(store: Store, named: Collection[str], older: float | None, most: int | None, *, dry: bool) -> Swept:
    everything, there = entries(store), blobs(store)
    sizes = Counter[str]()
    for blob in there:
        sizes[blob.digest] += blob.bytes
    held = {e.key: e.key in named or any(digest in named for digest in e.digests) for e in everything}
    gone = {
        entry.key for entry in everything if not entry.sound or entry.old or (older is not None and entry.used < older)
    }
    stayed = {key for key in gone if held[key]}
    gone -= stayed
    users = Counter(digest for entry in everything if entry.key not in gone for digest in set(entry.digests))
    left = sum(entry.text for entry in everything if entry.key not in gone)
    left += sum(size for digest, size in sizes.items() if users[digest] or digest in named)
    for entry in reversed(everything):
        if most is None or left <= most:
            break
        if entry.key in gone or entry.key in stayed:
            continue
        if held[entry.key]:
            stayed.add(entry.key)
            continue
        gone.add(entry.key)
        left -= entry.text
        users.subtract(set(entry.digests))
        left -= sum(sizes[digest] for digest in set(entry.digests) if not users[digest] and digest not in named)
    away = [blob for blob in there if not users[blob.digest] and blob.digest not in named]
    freed = sum(blob.bytes for blob in away) + sum(entry.text for entry in everything if entry.key in gone)
    if not dry:
        _remove(store, gone, away, named, older)
    return Swept(len(gone), len(away), freed, left, len(stayed))


def _remove(
    store: Store, gone: Collection[str], away: Collection[Blob], named: Collection[str], older: float | None
) -> None:
    """Replies first: ended in between, it leaves files that nobody has, and the next sweep takes those."""
    store.drop(gone)
    if older is not None:
        old = [key for key, *_, used in store.rows("unfetched") if used < older and key not in named]
        store.drop(old, "unfetched")
    for blob in away:
        _unlink(blob.path)
    for path in (store.folder / "new").iterdir():  # what killed processes have left half written
        _unlink(path)
    if gone:
        store.shrink()


def _digest(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:
        return ""


def _unlink(path: Path) -> None:
    try:
        path.unlink(missing_ok=True)
    except OSError as err:
        msg = f"{path} cannot be removed: {err.strerror}"
        raise StoreFailed(msg) from err
