"""Rows of the store's database that can still be read when its structure cannot: bytes in, rows out.

A row says itself whether it is whole (`store.read_row`), so no page has to be believed about what stands on it: every
place that looks like the beginning of a row is tried. Rows that were replaced or removed are found, too, as long as
nothing stands in their place; of several under one key the latest counts, and the others were replaced.

Source: https://www.sqlite.org/fileformat2.html
"""

from __future__ import annotations

import json
import mmap
import re
import struct
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeAlias

from .store import Row, Table, read_row

Bytes: TypeAlias = "bytes | mmap.mmap"


_BEGIN = re.compile(rb"[\x05-\x14]\x81\x0d", re.DOTALL)
"""The head of a row: how long the head is, and that its first column is a text of 64 characters."""

_USUAL = 4096
_LOG_HEAD, _FRAME_HEAD = 32, 24


def rows(database: Path) -> list[Row]:
    """Every whole row of a database and of the log beside it. Files that are not there have none."""
    with ExitStack() as stack:
        own, log = (_opened(path, stack) for path in (database, database.with_name(f"{database.name}-wal")))
        sizes = dict.fromkeys([*_sizes(own, log), _USUAL])
        return ranked(row for size in sizes for row in _Pages(own, log, size).rows())


def ranked(rows: Iterable[Row]) -> list[Row]:
    """Of each key the latest row; replies of before, which say something else, as those that were replaced."""
    found: dict[tuple[bool, str], dict[str, Row]] = {}
    for row in rows:
        same = found.setdefault((row.table == "unfetched", row.key), {})
        if row.row not in same or same[row.row].kept < row.kept:
            same[row.row] = row
    ranked = []
    for (job, _), same in found.items():
        latest = max(same.values(), key=lambda row: row.kept)
        ranked.append(latest if job else latest._replace(table="replies"))
        older = [] if job else [row for row in same.values() if row.kept < latest.kept]
        ranked += [row._replace(table="replaced") for row in older]
    return ranked


def _opened(path: Path, stack: ExitStack) -> Bytes:
    if not path.is_file() or not path.stat().st_size:
        return b""
    file = stack.enter_context(path.open("rb"))
    return stack.enter_context(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))


def _sizes(database: Bytes, log: Bytes) -> Iterator[int]:
    """How large the pages are, as far as the heads of the files can be believed."""
    said = [struct.unpack(">H", database[16:18])[0]] if len(database) >= 18 else []
    said += [struct.unpack(">I", log[8:12])[0]] if len(log) >= 12 else []
    for size in (65536 if each == 1 else each for each in said):
        if 512 <= size <= 65536 and size & (size - 1) == 0:
            yield size


@dataclass(slots=True)
class _Pages:
    """The pages of a database and of its log, of one size."""

    database: Bytes
    log: Bytes
    size: int
    newest: Mapping[int, int] = field(init=False)
    """Where in the log a page stands that was written there, by its number; the last time counts."""

    def __post_init__(self) -> None:
        step = _FRAME_HEAD + self.size
        frames = range(_LOG_HEAD, len(self.log) - step + 1, step)
        self.newest = {struct.unpack(">I", self.log[at : at + 4])[0]: at + _FRAME_HEAD for at in frames}

    def rows(self) -> Iterator[Row]:
        for part in (self.log, self.database):
            for found in _BEGIN.finditer(part):
                for logged in (True, False) if self.newest else (False,):
                    if (row := self._row(part, found.start(), logged=logged)) is not None:
                        yield row
                        break

    def _row(self, part: Bytes, at: int, *, logged: bool) -> Row | None:
        """The row that begins at a place; None if none does, or if it is not whole."""
        head = part[at]
        kinds = _varints(part[at + 1 : at + head])
        if not 4 <= len(kinds) <= 6:
            return None
        widths = [_width(kind) for kind in kinds]
        whole = head + sum(widths)
        if whole > len(self.database) + len(self.log):
            return None
        payload = self._payload(part, at, whole, logged=logged)
        if payload is None:
            return None
        values, begin = [], head
        for kind, width in zip(kinds, widths, strict=True):
            values.append(_value(kind, payload[begin : begin + width]))
            begin += width
        return _read(values)

    def _payload(self, part: Bytes, at: int, whole: int, *, logged: bool) -> bytes | None:
        """The bytes of a row: some stand where it begins, the rest on pages of their own, each naming the next."""
        here = self._here(whole)
        pieces, left = [part[at : at + here]], whole - here
        name = part[at + here : at + here + 4]
        while left:
            page = self._page(struct.unpack(">I", name)[0], logged=logged) if len(name) == 4 else b""
            if not page:
                return None
            name, piece = page[:4], page[4 : 4 + left]
            pieces.append(piece)
            left -= len(piece)
        return b"".join(pieces)

    def _here(self, whole: int) -> int:
        """How many bytes of a row stand on the page where it begins."""
        most, least = (self.size - 12) * 64 // 255 - 23, (self.size - 12) * 32 // 255 - 23
        if whole <= most:
            return whole
        here = least + (whole - least) % (self.size - 4)
        return here if here <= most else least

    def _page(self, number: int, *, logged: bool) -> bytes:
        """A page as the log has it, or as the database does; nothing if there is none."""
        if logged and (at := self.newest.get(number)) is not None:
            return self.log[at : at + self.size]
        page = self.database[(number - 1) * self.size : number * self.size] if number else b""
        return page if len(page) == self.size else b""


def _varints(said: bytes) -> list[int]:
    """Numbers as SQLite writes them: seven bits a byte, the highest says that more follows."""
    found, number = [], 0
    for byte in said:
        number = number << 7 | byte & 0x7F
        if not byte & 0x80:
            found.append(number)
            number = 0
    return found


_INTEGERS = {1: 1, 2: 2, 3: 3, 4: 4, 5: 6, 6: 8}
_REAL = 7


def _width(kind: int) -> int:
    """How many bytes a value takes."""
    if kind >= 12:
        return (kind - 12) // 2
    return _INTEGERS.get(kind, 8 if kind == _REAL else 0)


def _value(kind: int, said: bytes) -> str | float | None:
    """A value; None for NULL, and for bytes that are no text."""
    if kind >= 12:
        try:
            return said.decode()
        except UnicodeDecodeError:
            return None
    if kind in _INTEGERS:
        return float(int.from_bytes(said, "big", signed=True))
    if kind == _REAL:
        return float(struct.unpack(">d", said)[0]) if len(said) == 8 else None
    return {8: 0.0, 9: 1.0}.get(kind)


def _read(values: Sequence[str | float | None]) -> Row | None:
    """The row of these values, if its sum holds."""
    key, _, request, row, kept, used = (*values, None, None)[:6]
    if not isinstance(key, str) or not isinstance(row, str) or (said := read_row(key, row)) is None:
        return None
    table: Table = "unfetched" if said.keys() & {"job", "output", "sending"} else "replies"
    times = [each if isinstance(each, float) and 0 <= each < 1e11 else 0.0 for each in (kept, used)]
    return Row(table, key, _request(request), row, *times)


def _request(said: object) -> str:
    """What was sent, which no sum covers: it is for people, and is left out where it is not JSON any more."""
    try:
        json.loads(said if isinstance(said, str) else "")
    except ValueError:
        return ""
    return str(said)
