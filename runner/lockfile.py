"""The lock of a pipeline: what each of its cells yields, as text that people review and git merges.

::

    cells:
      photo[red]:
        {key: "3f2a…", output: "9bc1…", media_type: "image/jpeg", size: "512x512", model: "vendor/model", seed: 7,
         cost: 0.02}                                                              # on one line

The id of a cell has a line of its own, and a blank one follows each cell: lines that stay as they are between cells
that change, so that git takes changes of neighbours from two branches without a conflict.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from . import source
from .errors import PipelineProblems, UsageError
from .model import JSON, Artifact, Call, Errand, Next, Output, digests_of

if TYPE_CHECKING:
    from .events import CellState, RunState  # a check reads the name of a lock, and no run

SUFFIX = ".lock.yaml"
FORMAT = 1

_HEAD = """\
# What each cell of this pipeline yields. Written by runner run --lock and runner lock;
# runner run --locked makes exactly this, and sends nothing.
"""


@dataclass(frozen=True, slots=True)
class Entry:
    """One cell: the keys of its calls, the digest of what it yields, and for readers what that is."""

    keys: tuple[str, ...]
    output: tuple[str, ...]
    """Of its files; without one, the one of all its values."""
    facts: Mapping[str, JSON] = field(default_factory=dict)

    @property
    def files(self) -> tuple[str, ...]:
        """The digests of its files."""
        return self.output if "media_type" in self.facts else ()

    def line(self) -> str:
        """``{key: "3f2a…", output: "9bc1…", model: "vendor/model"}``."""
        said = {
            **({"key": self.keys[0]} if len(self.keys) == 1 else {"keys": list(self.keys)}),
            "output": self.output[0] if len(self.output) == 1 else list(self.output),
            **self.facts,
        }
        return "{" + ", ".join(f"{name}: {json.dumps(value, ensure_ascii=False)}" for name, value in said.items()) + "}"


@dataclass(frozen=True, slots=True)
class Answered:
    """Who answered a run, if not Runpod. As text it is what a sentence calls such a run."""

    local: str | None = None
    """``emulator`` or ``model``, as ``--local`` names them."""
    provider: str | None = None
    """The provider of a package, as ``--provider`` names it."""

    @property
    def option(self) -> str:
        """How such a run is asked for; empty where Runpod answers."""
        if self.provider:
            return f"--provider={self.provider}"
        return f"--local={self.local}" if self.local else ""

    def __str__(self) -> str:
        if self.provider:
            return f"a run that another provider answers ({self.option})"
        return f"a local run ({self.option})" if self.local else "a run that is not local"


@dataclass(frozen=True, slots=True)
class Lock:
    """What a lock file says: its cells, of which profile, and who answered the run that wrote it."""

    cells: Mapping[str, Entry]
    profile: str | None = None
    by: Answered = Answered()


@dataclass(frozen=True, slots=True)
class Locked:
    """What a run that sends nothing may use of the store: what a lock names, or all of it."""

    entries: Mapping[str, Entry] | None = None

    def refusal(self, cell: str, key: str, model: str | None, seed: JSON) -> str:
        """Why a call is not the one that is locked; empty if it is."""
        if self.entries is None:
            return ""
        entry = self.entries.get(cell)
        if entry is None:
            return "the lock does not have it"
        if key in entry.keys:
            return ""
        named = (("model", model), ("seed", seed))
        changed = [
            f"{name} {entry.facts[name]} is now {now}"
            for name, now in named
            if name in entry.facts and now != entry.facts[name]
        ]
        return f"it would be another call: {' and '.join(changed) or 'what is sent is not what was sent'}"

    def leads(self, cell: str, found: Next, key: Callable[[Call], str]) -> bool:
        """Whether what follows from a reply is what is locked: the output itself, or a call of the same cell."""
        entry = (self.entries or {}).get(cell)
        if entry is None:
            return True
        if isinstance(found, Output):
            return digests_of(found.values) == entry.output
        return isinstance(found, Errand) or key(found) in entry.keys

    def picked(self, cell: str) -> int | None:
        """The number of the candidate that is locked; None if the lock names none."""
        entry = (self.entries or {}).get(cell)
        number = entry.facts.get("pick") if entry is not None else None
        return number if isinstance(number, int) else None

    def differences(self, state: RunState) -> Iterator[str]:
        """What is not as locked, a line a cell."""
        if self.entries is None:
            return
        made = entries(state)
        for cell in sorted({*self.entries, *made, *(c.cell for c in state.cells.values() if c.fault == "locked")}):
            said = state.cells.get(cell)
            if said is not None and said.fault:
                yield f"{cell}: {said.message}"
            elif cell not in made:
                yield f"{cell}: is locked, and this run does not make it{_why(said)}"
            elif cell not in self.entries:
                yield f"{cell}: the lock does not have it"
            elif made[cell].keys != self.entries[cell].keys:
                yield f"{cell}: its calls are not those that are locked"
            elif (now := made[cell].output) != (was := self.entries[cell].output):
                yield f"{cell}: yields something else: {now[0][:12]}, not {was[0][:12]}"


def _why(cell: CellState | None) -> str:
    return f": {cell.state}, {cell.message}" if cell is not None and cell.message else ""


def beside(pipeline: Path, profile: str | None = None) -> Path:
    """Where the lock of a pipeline file is: ``pots.lock.yaml`` beside ``pots.yaml``, ``pots.draft.lock.yaml`` for a
    profile.
    """
    return pipeline.with_name(f"{pipeline.stem}{f'.{profile}' if profile else ''}{SUFFIX}")


def entries(state: RunState) -> dict[str, Entry]:
    """The cells of a run that called somebody and are done."""
    return {cell.cell: _entry(cell) for cell in state.cells.values() if cell.keys and cell.output is not None}


def _entry(cell: CellState) -> Entry:
    assert cell.output is not None
    values = cell.output.values
    files = [value for value in values.values() if isinstance(value, Artifact)]
    facts: dict[str, JSON] = {}
    if files:
        first = files[0]
        facts["media_type"] = first.media_type
        if first.width and first.height:
            facts["size"] = f"{first.width}x{first.height}"
        if first.seconds is not None:
            facts["seconds"] = first.seconds
    facts["model"] = cell.output.model
    if values.get("seed") is not None:
        facts["seed"] = values["seed"]
    facts["cost"] = round(cell.output.cost, 9)
    if (answer := cell.answer) is not None:
        picked = {"pick": answer.answer, "of": answer.of, "question": answer.key}
        facts |= picked if answer.of else {"approved": answer.answer}
    return Entry(tuple(cell.keys), digests_of(values), facts)


def text(pipeline: str, profile: str | None, state: RunState, by: Answered = Answered()) -> str:
    """The lock of what a run made: the same run, the same text."""
    cells = [f"  {json.dumps(cell)}:\n    {entry.line()}\n" for cell, entry in sorted(entries(state).items())]
    head = f"{_HEAD}format: {FORMAT}\npipeline: {json.dumps(pipeline)}\n"
    head += f"profile: {json.dumps(profile)}\n" if profile else ""
    head += f"local: {by.local}\n" if by.local else ""
    head += f"provider: {json.dumps(by.provider)}\n" if by.provider else ""
    return f"{head}cells:\n" + "\n".join(cells) if cells else f"{head}cells: {{}}\n"


def read(said: str, file: str) -> Lock:
    """A lock. `UsageError` if it is none."""
    again = "Write it anew with runner lock."
    try:
        data = source.parse(said, file).data
    except PipelineProblems as err:
        first = err.problems[0]
        msg = f"The lock {file} cannot be read: line {first.mark.line}: {first.message} {again}"
        raise UsageError(msg) from err
    if not isinstance(data, dict) or data.get("format") != FORMAT or not isinstance(data.get("cells"), dict):
        msg = f"{file} is no lock of format {FORMAT}. {again}"
        raise UsageError(msg)
    try:
        cells = {cell: _read(dict(row)) for cell, row in data["cells"].items()}
        return Lock(cells, data.get("profile"), Answered(data.get("local"), data.get("provider")))
    except (KeyError, TypeError, ValueError) as err:
        msg = f"The lock {file} has a cell without key or output. {again}"
        raise UsageError(msg) from err


def _read(row: dict[str, JSON]) -> Entry:
    keys = row.pop("keys", None) or [row.pop("key")]
    output = row.pop("output")
    return Entry(tuple(map(str, keys)), tuple(output) if isinstance(output, list) else (str(output),), row)
