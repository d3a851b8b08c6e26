"""What was asked: every request in as it comes, counts and copies out for whoever looks on."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from time import monotonic
from typing import Any


@dataclass(slots=True)
class Request:
    """One request as the emulator saw it.

    `status` is the code it was answered with, None while it waits or when the connection just died;
    `fault` is the outcome of the fault that it met.
    """

    method: str
    path: str
    endpoint: str | None = None
    operation: str | None = None
    query: Mapping[str, str] = field(default_factory=dict)
    has_key: bool = False
    body: Any = None
    fault: str | None = None
    status: int | None = None
    started: float = field(default_factory=monotonic)
    answered: float | None = None


class Log:
    """Requests in order of arrival, the newest `history` of them."""

    def __init__(self, history: int) -> None:
        self._history = history
        self._requests: list[Request] = []

    def keep(self, request: Request) -> Request:
        """Written before the request is answered, so that whoever has the answer finds it here."""
        self._requests.append(request)
        if len(self._requests) > 2 * self._history:
            del self._requests[: -self._history]
        return request

    @property
    def requests(self) -> tuple[Request, ...]:
        """A copy: safe to walk through while requests come in."""
        return tuple(self._requests)[-self._history :]
