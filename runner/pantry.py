"""The store of the project that we stand in: listed, weighed, verified, swept; and who in the project names what."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from . import cache, history, journal, lockfile, witness
from .errors import CannotStart, UsageError
from .loading import project
from .reports.cache import ago, asked, many, weight
from .reports.runs import table
from .store import DATABASE, Store

_DIGEST = re.compile(rb"[0-9a-f]{64}")
_SHOWN = 5
_UNITS = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9, "t": 10**12}


def _folder() -> Path:
    folder = history.home() / "store"
    if not folder.exists():
        msg = f"There is no store {folder}: nothing was run here."
        raise UsageError(msg)
    return folder


@contextmanager
def _store() -> Iterator[Store]:
    store = Store(_folder())
    try:
        yield store
    finally:
        store.close()


def listed(now: float, *, as_json: bool) -> str:
    """Every reply, the one used last first."""
    with _store() as store:
        entries = cache.entries(store)
        sizes = {blob.digest: blob.bytes for blob in cache.blobs(store)}
    weights = [entry.text + sum(sizes.get(digest, 0) for digest in entry.digests) for entry in entries]
    if as_json:
        rows = [
            {"key": e.key, "kept": e.kept or None, "used": e.used or None, "bytes": w, "files": list(e.digests),
             "request": history.request(e.request)}
            for e, w in zip(entries, weights, strict=True)
        ]  # fmt: skip
        return json.dumps(rows, ensure_ascii=False, indent=2)
    lines = [
        (e.key[:12], ago(e.kept, now), ago(e.used, now), weight(w), asked(e.request))
        for e, w in zip(entries, weights, strict=True)
    ]
    return "\n".join(table(("key", "kept", "used", "size", "what was asked"), lines))


def size() -> str:
    """How much there is, and how much of it cannot go."""
    with _store() as store:
        entries, replaced, blobs = cache.entries(store), cache.entries(store, "replaced"), cache.blobs(store)
    names = named(history.home())
    held = sum(e.held(names) for e in entries)
    text, files = sum(e.text for e in (*entries, *replaced)), sum(blob.bytes for blob in blobs)
    return (
        f"{weight(text + files)}: {many(len(entries), 'reply')} of {weight(text)}, {many(len(blobs), 'file')} of "
        f"{weight(files)}\n{many(held, 'reply')} named by lock files or unfinished runs"
    )


def verified(now: float, *, repair: bool) -> tuple[str, bool]:
    """What is damaged, as text, and whether all is sound now."""
    folder = _folder()
    damage = cache.damage(folder)
    lines = [f"damaged: {folder / DATABASE}: {damage}"] if damage else []
    if damage and not repair:
        return f"{lines[0]}\n1 fault: runner cache verify --repair keeps it aside and saves what is whole", False
    if damage:
        lines += _saved(cache.rebuild(folder, now))
    with _store() as store:
        found = list(cache.faults(store))
        if repair and found:
            cache.repair(store, found)
        if repair:
            lines += _told(store, rebuilt=bool(damage))
        count = f"{many(len(cache.entries(store)), 'reply')}, {many(len(cache.blobs(store)), 'file')}"
    if not found:
        return "\n".join([*lines, f"{count}: all sound"]), True
    lines += [f"{f.why}: {f.path or 'a reply'}{f', of the reply {f.key[:12]}' if f.key else ''}" for f in found]
    end = "taken out" if repair else "runner cache verify --repair takes it out"
    if repair:
        end += "; what is not found again above, the next run fetches, or asks anew"
    return "\n".join([*lines, f"{many(len(found), 'fault')}: {end}"]), repair


def _saved(saved: cache.Saved) -> list[str]:
    """What became of a damaged database, in lines."""
    kept = [f"  kept aside: {saved.aside}"] if saved.aside is not None else []
    return [*kept, f"  {_many(saved.replies, saved.jobs)} saved"]


def _many(replies: int, jobs: int) -> str:
    return many(replies, "reply") + (f" and {many(jobs, 'job')} in flight" if jobs else "")


def _told(store: Store, *, rebuilt: bool) -> list[str]:
    """Put back what the journals of runs tell and the store does not have; in lines, what it was, and what is lost."""
    told = witness.heard(history.home())
    replies, jobs = cache.put_back(store, told.rows)
    lines = [f"  {_many(replies, jobs)} found again in the journals of runs"] if replies or jobs else []
    lost = [cell for key, cell in told.calls.items() if rebuilt and store.asked(key) is None]
    shown = ", ".join(lost[:_SHOWN]) + (f" and {len(lost) - _SHOWN} more" if len(lost) > _SHOWN else "")
    return lines + [f"  {many(len(lost), 'reply')} of runs not found again, asked anew when wanted: {shown}"] * bool(
        lost
    )


def swept(keep: str | None, most: str | None, now: float, *, dry: bool) -> str:
    """Make room, and say how much."""
    older = now - history.seconds(keep, "--keep") if keep is not None else None
    limit = count(most) if most is not None else None
    with _store() as store:
        done = cache.sweep(store, lambda: named(history.home()), older=older, most=limit, dry=dry)
    what = f"{many(done.replies, 'reply')} and {many(done.files, 'file')}, {weight(done.bytes)}"
    lines = [f"{what}{' would go' if dry else ' removed'}; {weight(done.left)} left"]
    if done.stayed:
        lines.append(f"{many(done.stayed, 'reply')} stayed: lock files or unfinished runs name them")
    return "\n".join(lines)


def count(text: str) -> int:
    """Bytes of ``5GB``. `UsageError` for what is no size."""
    found = re.fullmatch(r"([0-9]+(?:\.[0-9]+)?) *([kmgt]?)b?", text.strip().lower())
    if found is None:
        msg = f"--max {text} is no size. Write 5GB, 500MB or a number of bytes."
        raise UsageError(msg)
    return int(float(found[1]) * _UNITS[found[2]])


def named(home: Path) -> frozenset[str]:
    """Keys and digests that somebody counts on: every one that a lock file, or an unfinished run's journal, holds.

    `CannotStart` if one of these cannot be read: then nobody knows what may go.
    """
    found: set[str] = set()
    files = [*_locks(project(home)), *(run.folder / journal.NAME for run in history.runs(home) if run.said != "done")]
    for path in files:
        try:
            digests = {digest.decode() for digest in _DIGEST.findall(path.read_bytes())}
            if not digests and path.name != journal.NAME:
                _holds_nothing(path)
            found |= digests
        except OSError as err:
            msg = f"{path} cannot be read: {err.strerror}. It may name what is in the store."
            raise CannotStart(msg) from err
    return frozenset(found)


def _holds_nothing(lock: Path) -> None:
    """`CannotStart` for the lock of a pipeline that names nothing because it is damaged."""
    if not lock.with_name(f"{lock.name.partition('.')[0]}.yaml").exists():
        return  # of another tool
    try:
        lockfile.read(lock.read_text(encoding="utf-8", errors="replace"), str(lock))
    except UsageError as err:
        msg = f"{err} It may name what is in the store, so nothing was removed."
        raise CannotStart(msg) from err


def _locks(folder: Path) -> Iterator[Path]:
    """The lock files of a project, wherever its pipelines are."""
    for where, folders, files in os.walk(folder):
        folders[:] = [name for name in folders if name not in (".git", ".runner", ".venv", "node_modules")]
        yield from (Path(where, name) for name in files if name.endswith(".lock.yaml"))
