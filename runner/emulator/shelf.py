"""Media: bytes in under a name, the same bytes out until their time or their room runs out."""

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Media:
    """A file that endpoints have made."""

    data: bytes
    media_type: str
    endpoint: str
    made: float


class Shelf:
    """Oldest files go first, by age and by room."""

    def __init__(self, *, room: int, seconds: float, clock: Callable[[], float]) -> None:
        self._room = room
        self._seconds = seconds
        self._clock = clock
        self._files: OrderedDict[str, Media] = OrderedDict()
        self._used = 0

    def put(self, name: str, data: bytes, media_type: str, *, endpoint: str) -> None:
        """Keeps the file, at the cost of the oldest ones when there is no room."""
        self._files[name] = Media(data, media_type, endpoint, self._clock())
        self._used += len(data)
        while self._files and (self._used > self._room or self._stale(next(iter(self._files.values())))):
            _, gone = self._files.popitem(last=False)
            self._used -= len(gone.data)

    def get(self, name: str) -> Media | None:
        """The file, unless it has expired."""
        found = self._files.get(name)
        return None if found is None or self._stale(found) else found

    def _stale(self, media: Media) -> bool:
        return self._clock() - media.made > self._seconds
