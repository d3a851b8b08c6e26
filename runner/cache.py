"""The store as a whole: what is in it, how large it is, whether it is sound, what may go.

Nothing here is needed to run a pipeline. What goes is asked for anew when it is wanted again, so the caller says which
keys and digests are ``named`` by somebody who counts on them: those stay.
"""

from __future__ import annotations

import hashlib
import itertools
import shutil
import time
from collections import Counter
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from . import salvage
from .errors import StoreFailed
from .model import Artifact, from_json
from .store import DATABASE, FORMAT, Damaged, Row, Store, Table, nobody_has, read_row

_ASIDE = "replies.damaged-"


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

    def held(self, named: Collection[str]) -> bool:
        """Whether somebody who names it, or a file of it, counts on it."""
        return self.key in named or any(digest in named for digest in self.digests)


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


def entries(store: Store, table: Table = "replies") -> list[Entry]:
    """Every reply, the one that was used last first."""
    found = [_entry(*row) for row in store.rows(table)]
    return sorted(found, key=lambda entry: (-entry.used, entry.key))


def _entry(key: str, form: int, request: str, row: str, kept: float, used: float) -> Entry:
    text = len(row.encode()) + len(request.encode())
    digests = _digests(key, row)
    return Entry(key, request, kept, used, digests or (), text, sound=digests is not None, old=form < FORMAT)


def _digests(key: str, row: str) -> tuple[str, ...] | None:
    """The files of a reply; None if it cannot be read."""
    try:
        files: list[Artifact] = from_json((read_row(key, row) or {})["files"])
        return tuple(str(file.sha256) for file in files)
    except (ValueError, TypeError, KeyError, AttributeError):
        return None


def blobs(store: Store) -> list[Blob]:
    """Every file, whoever names it."""
    return _files(store.folder)


def _files(folder: Path) -> list[Blob]:
    return [Blob(path, path.stat().st_size) for path in sorted((folder / "blobs").glob("*/*")) if path.is_file()]


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
    """Take out what is damaged: the next run that wants it fetches its files again, or asks anew."""
    with store.alone():
        keys = {fault.key for fault in found if fault.key}
        jobs = {key: job for key in keys if (job := store.behind(key)) is not None}
        store.drop(keys)
        for key, job in jobs.items():
            store.keep_finished(key, job)
        for path in {fault.path for fault in found if fault.path is not None and fault.why == "torn"}:
            _unlink(path)


@dataclass(frozen=True, slots=True)
class Saved:
    """What became of a damaged database: where it is kept, if there was one, and what could still be read in it."""

    aside: Path | None
    replies: int
    jobs: int


def put_back(store: Store, told: Collection[Row]) -> tuple[int, int]:
    """Add what somebody still knows, where its files are here and the store has nothing; how many replies and jobs."""
    there = {blob.digest for blob in blobs(store)}
    whole = [row for row in told if there.issuperset(_digests(row.key, row.row) or ())]
    replies, jobs = ([row for row in whole if row.table == name] for name in ("replies", "unfetched"))
    return store.add_rows(replies), store.add_rows(jobs)


def damage(folder: Path) -> str:
    """What is wrong with the database as a whole, so that no reply in it can be relied on; empty if nothing is."""
    try:
        store = Store(folder)
    except Damaged as err:
        return err.why
    try:
        return store.damage()
    finally:
        store.close()


def rebuild(folder: Path, now: float) -> Saved:
    """Put a new database in the place of one that is damaged or gone, with every row that can still be read. The old
    one is kept beside it. Killed anywhere in between, it can be done again.
    """
    with nobody_has(folder):
        try:
            return _rebuilt(folder, folder / "rebuilt", now)
        except OSError as err:
            msg = f"the store {folder} cannot be mended: {err.strerror}; what is damaged is kept"
            raise StoreFailed(msg) from err


def _rebuilt(folder: Path, fresh: Path, now: float) -> Saved:
    old, aside = folder / DATABASE, _free(folder, time.strftime("%Y%m%d-%H%M%S", time.localtime(now)))
    before = folder.glob(f"{_ASIDE}*.sqlite")  # because the last time may have been cut
    known = salvage.ranked(row for path in (*before, old) for row in salvage.rows(path))
    there = {blob.digest for blob in _files(folder)}
    saved = [row for row in known if there.issuperset(_digests(row.key, row.row) or ())]
    shutil.rmtree(fresh, ignore_errors=True)
    store = Store(fresh)
    store.add_rows(saved)
    store.close()
    damaged = [path for path in (old, _log_of(old)) if path.is_file()]
    for path in damaged:
        _linked(path, aside if path == old else _log_of(aside))
    for path in (old, _log_of(old), old.with_name(f"{old.name}-shm")):  # what is gone is known to be damaged
        path.unlink(missing_ok=True)
    (fresh / DATABASE).replace(old)
    shutil.rmtree(fresh)
    many = Counter(row.table for row in saved)
    return Saved(aside if damaged else None, many["replies"], many["unfetched"])


def _log_of(database: Path) -> Path:
    return database.with_name(f"{database.name}-wal")


def _free(folder: Path, moment: str) -> Path:
    """A name that nothing has."""
    names = (folder / f"{_ASIDE}{moment}{f'-{n}' if n else ''}.sqlite" for n in itertools.count())
    return next(name for name in names if not name.exists() and not _log_of(name).exists())


def _linked(source: Path, target: Path) -> None:
    """Give a file a second name; where the disk knows no such thing, a copy."""
    try:
        target.hardlink_to(source)
    except OSError:
        shutil.copy2(source, target)


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
    held = {e.key: e.held(named) for e in everything}
    replaced, past = _replaced(store, named)
    gone = {
        entry.key for entry in everything if not entry.sound or entry.old or (older is not None and entry.used < older)
    }
    stayed = {key for key in gone if held[key]}
    gone -= stayed
    staying = [*(entry for entry in everything if entry.key not in gone), *replaced]
    users = Counter(digest for entry in staying for digest in set(entry.digests))
    left = sum(entry.text for entry in staying)
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
    freed += sum(len(row.encode()) for _, row in past)
    if not dry:
        store.drop_replaced(past)
        _remove(store, gone, away, named, older)
    return Swept(len(gone) + len(past), len(away), freed, left, len(stayed))


def _replaced(store: Store, named: Collection[str]) -> tuple[list[Entry], list[tuple[str, str]]]:
    """Replaced replies that stay because a lock may name them; and the others, by key and row: nobody finds them."""
    stay: list[Entry] = []
    past: list[tuple[str, str]] = []
    for found in store.rows("replaced"):
        entry = _entry(*found)
        if entry.sound and not entry.old and entry.held(named):
            stay.append(entry)
        else:
            past.append((entry.key, found[3]))
    return stay, past


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
