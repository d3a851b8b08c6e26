"""Server-sent events: bytes in, however they were cut, the data of each event out. Pure.

The form is that of https://html.spec.whatwg.org/multipage/server-sent-events.html: lines end in LF, CR or both, a
blank line ends an event, lines that begin with a colon are comments. Names and ids of events say nothing to us.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterator

_LINE_END = re.compile("\r\n|\n|\r")


class Events:
    """What is left of the bytes so far."""

    def __init__(self) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8-sig")("replace")
        self._rest = ""
        self._data: list[str] = []

    def feed(self, piece: bytes) -> Iterator[str]:
        """The data of the events that end in this piece."""
        text = self._rest + self._decoder.decode(piece)
        whole = text.removesuffix("\r")  # it may be half of a line end
        *lines, rest = _LINE_END.split(whole)
        self._rest = rest + text[len(whole) :]
        yield from self._taken(lines)

    def end(self) -> Iterator[str]:
        """The data of an event after which nothing came, not even a blank line: many servers leave that out."""
        *lines, rest = _LINE_END.split(self._rest + self._decoder.decode(b"", final=True))
        self._rest = ""
        yield from self._taken([*lines, rest, ""])

    def _taken(self, lines: list[str]) -> Iterator[str]:
        for line in lines:
            name, _, value = line.partition(":")
            if name == "data":
                self._data.append(value.removeprefix(" "))
            elif not line and self._data:
                yield "\n".join(self._data)
                self._data = []
