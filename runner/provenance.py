"""What made a picture: noted while the run goes on, written into the pictures that it publishes, read back from them.

Events and stored requests in, `Facts` out. The blobs of the store stay as they were paid for.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from .events import CallDone, CellAnswered, CellDone, Event
from .model import JSON, Artifact, prompt_of
from .xmp import marked, note_in

FORMAT = 1

MOST_PROMPT = 8000
"""Characters of a prompt: with them the note fits a JPEG's segment of 64 KB, however they are escaped."""

_MOST_TITLE = 2000


@dataclass(frozen=True, slots=True)
class Facts:
    """What made a picture. ``step`` is the id of the cell; ``key`` names the call in store and journals."""

    pipeline: str
    version: str | None
    step: str
    model: str | None
    seed: int | None
    prompt: str
    key: str


Made = Callable[[Artifact], Facts | None]
"""Tells of a file what made it, if this run did."""


class Makers:
    """A sink that remembers which cell, by which call, made which picture."""

    def __init__(self) -> None:
        self._keys: dict[str, str] = {}
        self._made: dict[str, tuple[str, str, str | None, JSON]] = {}

    def __call__(self, event: Event) -> None:
        """Take one event into account."""
        match event:
            case CallDone():
                self._keys[event.cell] = event.key
            case CellAnswered(keys=[*_, chosen]):
                self._keys[event.cell] = chosen
            case CellDone():
                key = self._keys.pop(event.cell, None)
                for artifact in _pictures(event.output) if key else ():
                    made = (event.cell, str(key), event.model, event.output.get("seed"))
                    # Cells end in any order, and what is published must not depend on it.
                    self._made[artifact.sha256] = min(made, self._made.get(artifact.sha256, made), key=lambda m: m[:2])

    def facts(
        self, artifact: Artifact, pipeline: str, version: str | None, request: Callable[[str], JSON]
    ) -> Facts | None:
        """What made a picture; ``request`` gives what was sent under a key. None if no call of this run did."""
        if artifact.sha256 not in self._made:
            return None
        step, key, model, seed = self._made[artifact.sha256]
        sent = request(key)
        if seed is None and isinstance(sent, Mapping):
            said = sent.get("input")
            seed = said.get("seed") if isinstance(said, Mapping) else None
        prompt = prompt_of(sent)
        cut = prompt if len(prompt) <= MOST_PROMPT else prompt[: MOST_PROMPT - 1] + "…"
        return Facts(pipeline, version, step, model, seed if isinstance(seed, int) else None, cut, key)


def _pictures(value: JSON) -> Iterator[Artifact]:
    if isinstance(value, Artifact):
        if value.media == "image":
            yield value
    elif isinstance(value, Mapping | list | tuple):
        for inner in value.values() if isinstance(value, Mapping) else value:
            yield from _pictures(inner)


def mark(path: Path, facts: Facts) -> None:
    """Write the facts into a picture's file, if its format has a place for them."""
    picture = path.read_bytes()
    path.write_bytes(marked(picture, note(facts), facts.prompt[:_MOST_TITLE]))


def note(facts: Facts) -> str:
    """Facts as JSON; characters that XML cannot hold are escaped."""
    said = {"format": FORMAT, **{name: value for name, value in asdict(facts).items() if value is not None}}
    text = json.dumps(said, ensure_ascii=False)
    return "".join(c if c < "\ud800" or "\ue000" <= c < "\ufffe" or c > "\uffff" else f"\\u{ord(c):04x}" for c in text)


def facts_in(picture: bytes) -> Facts | None:
    """The facts that a picture carries; None if it carries none that can be read."""
    try:
        said = json.loads(note_in(picture) or "null")
    except ValueError:
        return None
    if not isinstance(said, dict) or said.get("format") != FORMAT:
        return None
    facts = {field.name: said.get(field.name) for field in fields(Facts)}
    texts = all(isinstance(facts[name], str) for name in ("pipeline", "step", "prompt", "key"))
    return Facts(**facts) if texts else None  # type: ignore[arg-type] # read from a file, and looked at above


def runs_with(key: str, runs: Path) -> list[Path]:
    """The folders of the runs whose journals name a key, oldest first."""
    named = f'"key":"{key}"'.encode()
    found = []
    for journal in sorted(runs.glob("*/events.jsonl")):
        with journal.open("rb") as file:
            if any(named in line for line in file):
                found.append(journal.parent)
    return found
