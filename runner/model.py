"""The words of design.md as frozen values: artifacts, calls, replies, outputs. Stdlib only, pure."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from typing import Any, Literal, Protocol, TypeAlias

JSON: TypeAlias = Any
"""null, bool, int, float, str, list, dict with str keys; and `Artifact` where it is said so."""

Media: TypeAlias = Literal["image", "audio", "video", "file"]

UNITS = ("usd", "tokens", "images", "seconds")
"""What a budget counts: US dollars, tokens of chats, pictures made, seconds of sound and video made."""

Amounts: TypeAlias = Mapping[str, float | None]
"""So much by unit; None where nobody knows how much. A unit that is not there is none of it."""

KEY_FORMAT = 2
"""Changes when the same call would give another key; old entries of the store are then simply not found."""


@dataclass(frozen=True, slots=True)
class Ceiling:
    """The most that may be spent, by unit of `UNITS`, and what happens to a call that does not fit."""

    most: Mapping[str, float]
    on_exceed: Literal["stop", "skip", "warn"] = "stop"
    unpriced: Literal["refuse", "allow"] | float = "refuse"
    """What to do about a call without a price; a number is what it counts as, in USD."""

    @property
    def refuses(self) -> bool:
        """Whether a model without a price cannot be used under it."""
        return "usd" in self.most and self.unpriced == "refuse"


@dataclass(frozen=True, slots=True)
class Artifact:
    """A stored file. ``path`` is where its bytes are on this machine, ``url`` the remote one, which expires."""

    sha256: str
    media_type: str
    bytes: int
    path: str
    url: str | None = None
    width: int | None = None
    height: int | None = None
    seconds: float | None = None

    @property
    def media(self) -> Media:
        """``image`` for ``image/png``."""
        family = self.media_type.partition("/")[0]
        return family if family in ("image", "audio", "video") else "file"  # type: ignore[return-value] # narrowed by the tuple

    @property
    def suffix(self) -> str:
        """``.png`` for ``image/png``."""
        name = self.media_type.partition("/")[2]
        return "." + {"jpeg": "jpg", "octet-stream": "bin", "mpeg": "mp3", "x-wav": "wav"}.get(name, name)


@dataclass(frozen=True)
class Job:
    """A call of a Runpod queue endpoint. ``input`` is JSON with `Artifact` leaves.

    ``media`` says what kind of file its output must hold, if any; ``any`` takes what files there are. ``usd`` is the
    most it can cost, where the catalogue knows.
    """

    kind: str
    endpoint: str
    input: Mapping[str, JSON]
    media: Media | Literal["any"] | None = None
    usd: float | None = None
    label: str = ""
    policy: Mapping[str, JSON] = field(default_factory=dict)
    """``executionTimeout`` and ``ttl`` in ms, ``lowPriority``: how Runpod treats it, not what it makes."""
    headers: Mapping[str, JSON] = field(default_factory=dict)
    """Headers of its own: text, or ``{"env": NAME}`` for what must stand in no file."""
    raw: Mapping[str, str] = field(default_factory=dict)
    """Fields of the input whose files go out under another name, as bare base64, where they have no URL."""
    stream: bool = False
    """Whether its output is read in parts while it runs."""
    seconds: float | None = None
    """The most seconds of sound or video that it makes; None where nothing bounds them."""
    sample: int = 0
    """Which candidate it is for, where nothing in the request tells it from the others."""

    @property
    def most(self) -> Amounts:
        """The most that it takes of a budget."""
        lasts = self.media in ("audio", "video")
        return {"usd": self.usd, "images": float(self.media == "image"), "seconds": self.seconds if lasts else 0.0}

    @cached_property
    def request(self) -> JSON:
        operation = "stream" if self.stream else "run"
        return {"operation": operation, "endpoint": self.endpoint, "input": self.input}

    @cached_property
    def text(self) -> str:
        """The request in its one spelling."""
        return canonical(self.request)


@dataclass(frozen=True)
class Chat:
    """A call of an OpenAI-compatible chat route: a Runpod endpoint's, or that of ``base_url``.

    ``usd`` is the most that it can cost, ``usd_in_all`` the most that it and those that may follow it can, where the
    catalogue knows; ``calls`` says how many that are.
    """

    kind: str
    endpoint: str
    body: Mapping[str, JSON]
    base_url: str | None = None
    api_key_env: str | None = None
    usd: float | None = None
    usd_per_token: float | None = None
    """Of the tokens that it makes, and of those that go in where ``usd_per_token_in`` does not say otherwise."""
    usd_per_token_in: float | None = None
    label: str = ""
    headers: Mapping[str, JSON] = field(default_factory=dict)
    calls: int = 1
    usd_in_all: float | None = None
    may_refuse: str = ""
    """What in it an endpoint may not know (``response_format``): its 400 is then a reply, and not a failure."""
    sample: int = 0
    """As of a `Job`."""

    @cached_property
    def most(self) -> Amounts:
        """The most that it takes of a budget: ``max_tokens``, and a token for each byte of the request, because no text
        has more tokens than bytes.
        """
        answer = self.body.get("max_tokens", self.body.get("max_completion_tokens"))
        if not isinstance(answer, int):
            return {"usd": self.usd, "tokens": None}
        return {"usd": self.usd, "tokens": len(self.text.encode()) + answer * int(self.body.get("n") or 1)}

    @cached_property
    def request(self) -> JSON:
        return {"operation": "chat", "endpoint": self.base_url or self.endpoint, "body": self.body}

    @cached_property
    def text(self) -> str:
        """The request in its one spelling."""
        return canonical(self.request)


Call: TypeAlias = Job | Chat


@dataclass(frozen=True, slots=True)
class Question:
    """What a person is asked. ``about`` is all that it depends on: what was answered once is not asked again."""

    kind: str
    about: JSON

    @property
    def text(self) -> str:
        """The question in its one spelling."""
        return canonical({"operation": "ask", "endpoint": "a person", "input": self.about})


def prompt_of(request: JSON) -> str:
    """What a call's request asks for, in the author's words; empty if it has no such words."""
    said = request.get("input") or request.get("body") if isinstance(request, Mapping) else None
    if not isinstance(said, Mapping):
        return ""
    asked = [m.get("content") for m in said.get("messages") or () if isinstance(m, Mapping) and m.get("role") == "user"]
    found = said.get("prompt") or said.get("text") or (asked[-1] if asked else "")
    if isinstance(found, list):  # parts, of which some are pictures
        found = " ".join(str(part["text"]) for part in found if isinstance(part, Mapping) and part.get("text"))
    return found if isinstance(found, str) else ""


@dataclass(frozen=True, slots=True)
class Errand:
    """Another pipeline that must run before a kind can go on: what its inputs are, and which of the step's it is.

    Its calls are kept by their own keys, so it has none itself. The reply is its outputs.
    """

    tool: str
    number: int
    inputs: Mapping[str, JSON]

    @property
    def name(self) -> str:
        """``get_weather[0]``: what the cells of its steps begin with."""
        return f"{self.tool}[{self.number}]"


Next: TypeAlias = "Call | Errand | Output"
"""What a kind says after each reply."""


def key_of(call: Call | Question, origin: str) -> str:
    """The fingerprint of a call, 64 hex digits: equal for calls that must give the same output.

    ``origin`` is the provider's (`Provider.origin`): what the emulator made is never served for Runpod.
    Artifacts count by their bytes, never by path or URL; names, order and comments of the pipeline do not count.
    """
    sample = 0 if isinstance(call, Question) else call.sample
    return hashlib.sha256(f"{_head(origin, call.kind, sample)}\n{call.text}".encode()).hexdigest()


@lru_cache
def _head(origin: str, kind: str, sample: int) -> str:
    return canonical([KEY_FORMAT, origin, kind, *([sample] if sample else [])])


def canonical(value: JSON) -> str:
    """JSON with one spelling: sorted keys, no spaces, artifacts as their digest."""
    return _ENCODER.encode(value)


def _leaf(value: object) -> JSON:
    if isinstance(value, Artifact):
        return {"sha256": value.sha256}
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, Sequence):
        return list(value)
    msg = f"{type(value).__name__} is not JSON"
    raise TypeError(msg)


_ENCODER = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=False, default=_leaf)


@dataclass(frozen=True, slots=True)
class Ticket:
    """A paid call in flight: enough to ask for it later."""

    endpoint: str
    job: str
    stream: bool = False


class Moved(Protocol):
    """Is told each state of a job, and for how many seconds it was queued and ran, once that is known."""

    def __call__(self, status: str, queued: float | None = None, ran: float | None = None) -> None: ...


@dataclass(frozen=True, slots=True)
class Finished:
    """A job that has ended well: its output as it came, and what it cost in USD where it says so."""

    output: JSON
    cost: float | None = None


@dataclass(frozen=True, slots=True)
class Reply:
    """What the endpoint said, once its files are stored: ``data`` is JSON, ``files`` are in order of appearance.

    ``refused`` is why it would not take a `Chat` that it may refuse. Such a reply costs nothing and is never stored:
    the endpoint may learn what it does not know today.
    """

    data: JSON
    files: tuple[Artifact, ...] = ()
    cost: float | None = None
    refused: str = ""
    bare: bool = False
    """Whether the store does not know what it answers: a journal told it."""


@dataclass(frozen=True, slots=True)
class Output:
    """What a step yields to templates: ``values`` is JSON with `Artifact` leaves."""

    values: Mapping[str, JSON]
    model: str | None = None
    cost: float = 0.0

    def scope(self) -> dict[str, JSON]:
        """The mapping that ``steps.x`` is in templates."""
        return {**self.values, "model": self.model, "cost": self.cost}


def digests_of(values: Mapping[str, JSON]) -> tuple[str, ...]:
    """What tells the values of an output from others: the digests of its files; without one, that of all it says."""
    files = [value.sha256 for value in values.values() if isinstance(value, Artifact)]
    return tuple(files or [hashlib.sha256(canonical(values).encode()).hexdigest()])


def json_line(value: JSON) -> str:
    """A value as one line of text, its artifacts as mappings under ``$artifact``."""
    return _LINES.encode(value)


def _tagged(value: object) -> JSON:
    if not isinstance(value, Artifact):
        return _leaf(value)
    fields = {name: getattr(value, name) for name in Artifact.__slots__}
    return {"$artifact": {name: v for name, v in fields.items() if v is not None}}


_LINES = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), default=_tagged)


def from_json(value: JSON) -> JSON:
    """The value of a `json_line` that was read."""
    if isinstance(value, Mapping):
        if set(value) == {"$artifact"}:
            return Artifact(**value["$artifact"])
        return {k: from_json(v) for k, v in value.items()}
    if isinstance(value, list):
        return [from_json(v) for v in value]
    return value


@dataclass(frozen=True, slots=True)
class Cell:
    """One item of a step. A plain step is one cell with the step's id and no key."""

    step: str
    key: str | None = None
    index: int = 0
    item: JSON = field(default=None, compare=False)
    matrix: Mapping[str, JSON] | None = field(default=None, compare=False)
    source: int = 0
    """Which item it is of what the step is multiplied by; combinations of a matrix share one."""

    @property
    def id(self) -> str:
        """``photo`` for a plain step, ``photo[red-shoe]`` for a cell of a fanned-out one."""
        return self.step if self.key is None else f"{self.step}[{self.key}]"

    def within(self, step: str) -> str:
        """Its id, where its step is a ``step`` of a pipeline that another cell runs (``each[1]/photo``)."""
        return f"{step}{self.id.removeprefix(self.step)}"

    def scope(self, output: Output) -> dict[str, JSON]:
        """The mapping that a cell is in templates: its output, and what tells it from the others."""
        own = {"key": self.key, "index": self.index, "item": self.item, "matrix": self.matrix}
        return {**own, **output.scope()}


def titled(pipeline: str, version: str | None, profile: str | None) -> str:
    """What a run is of, for people: ``product-card 1.2.0, profile draft``."""
    return f"{pipeline}{f' {version}' if version else ''}{f', profile {profile}' if profile else ''}"


def step_of(cell: str) -> str:
    """The step of a cell, from its id: ``photo`` of ``photo[red-shoe]``, ``each[1]/photo`` of ``each[1]/photo[a]``."""
    return cell.rpartition("[")[0] if cell.endswith("]") else cell


class Cells(list[dict[str, JSON]]):
    """What ``steps.x`` is for a fanned-out step: its done cells in order, each also there by its key."""

    def __init__(
        self, done: Iterable[dict[str, JSON]] = (), step: str = "", absent: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(done)
        self.step = step
        self.absent = absent or {}
        """How each of its other cells ended, by key."""

    @property
    def keys(self) -> list[str]:
        """What its cells are called, those that are done first."""
        return [*(str(cell["key"]) for cell in self), *self.absent]

    def __getitem__(self, wanted: Any) -> Any:
        if isinstance(wanted, str):
            for cell in self:
                if cell["key"] == wanted:
                    return cell
            raise KeyError(wanted)
        return super().__getitem__(wanted)


class Outputs(dict[str, Any]):
    """What ``steps`` is: what the steps that are done yielded, by step."""

    def __init__(self, done: Mapping[str, JSON] | None = None, absent: Mapping[str, str] | None = None) -> None:
        super().__init__(done or {})
        self.absent = dict(absent or {})
        """How each step ended that yielded nothing."""
