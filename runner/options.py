"""How a run is to be done: what the command line or a program says beside the pipeline and its inputs."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from . import locally
from .canned import Canned
from .errors import UsageError, enumerated
from .events import RunState
from .model import JSON
from .planning import Written

BASE_URL = "https://api.runpod.ai/v2"

MOST = 1000
"""Calls that may be in flight at once."""


@dataclass(frozen=True, slots=True)
class Options:
    """How to run."""

    out: Path | None = None
    local: bool = False
    weights: Path | None = None
    """The language model that writes the texts of a local run; None for the emulator's own words."""
    calls: int | None = None
    """Calls in flight at once; None for what the pipeline says, or 64."""
    fail_fast: bool = False
    budget: float | None = None
    """USD that the run may cost; None for what the pipeline says."""
    lock: bool = False
    """Write the lock beside the pipeline after a run that came to a good end."""
    only: Literal["world", "store", "lock"] = "world"
    """Where replies may come from: everywhere, the store, or what the lock allows of it."""
    cancel_on_interrupt: bool = False
    """Tell Runpod to stop the jobs of a run that is interrupted; else they go on, and a resumed run collects them."""
    fresh: tuple[str, ...] = ()
    """Steps and cells that are asked for anew, though the store has them."""
    no_cache: bool = False
    """Ask for everything anew; what is paid for is kept all the same."""
    metadata: bool = True
    """Write into each picture what made it."""
    offline: bool = False
    """Open no socket: everything must be in the store."""
    record: Path | None = None
    """A folder in which each exchange is kept."""
    replay: Path | None = None
    """A folder in which the answers are: no socket is opened."""
    env: Mapping[str, str] = field(default_factory=dict)
    catalogue: Path | None = None
    """A file of the author's own models."""
    profile: str | None = None
    """The profile that the pipeline was read in."""
    provider: str | None = None
    """Who answers the calls instead of Runpod, of an installed package."""
    reporters: tuple[str, ...] = ()
    """Whom the events are told as well, of installed packages."""
    home: Path | None = None
    """Where the store and the runs are; None for the project's own."""
    canned: Canned | None = None
    """Outputs that a test gives to steps: nobody is called, and no socket is opened."""
    pick_first: bool = False
    """Take the first candidate wherever a person would choose."""
    approve: bool | None = None
    """What to say wherever a person would be asked for yes or no; None to ask."""
    written: Written = "typed"
    """How whoever gives the options writes them, to say how others are given."""

    def __post_init__(self) -> None:
        """`UsageError` for a number that is none, and for two who are to answer."""
        who = [name for name in ("offline", "record", "replay", "provider") if getattr(self, name)]
        if len(who) == 1 and self.provider and self.local:
            who = ["local", *who]
        if len(who) > 1:
            msg = f"{enumerated([self.spelt(name) for name in who])} exclude each other. Write one of them."
            raise UsageError(msg)
        calls, budget = self.calls, self.budget
        if calls is not None and not (isinstance(calls, int) and not isinstance(calls, bool) and 1 <= calls <= MOST):
            msg = f"calls cannot be {calls!r}. Give a whole number from 1 to {MOST:,}."
            raise UsageError(msg)
        number = isinstance(budget, int | float) and not isinstance(budget, bool)
        if budget is not None and not (number and math.isfinite(budget) and budget > 0):
            msg = f"budget cannot be {budget!r}. Give an amount of USD above 0, such as 0.10."
            raise UsageError(msg)

    @classmethod
    def of(
        cls, past: RunState, *, env: Mapping[str, str], cancel_on_interrupt: bool, budget: float | None = None
    ) -> Options:
        """How a run was started that is taken up again."""
        said = past.options
        return cls(
            out=Path(said["out"]) if said.get("out") else None,
            local=bool(said.get("local")),
            weights=locally.writer("model", env) if said.get("model") else None,
            calls=said.get("calls"),
            fail_fast=bool(said.get("fail_fast")),
            lock=bool(said.get("lock")),
            only=said.get("only", "world"),
            budget=budget if budget is not None else said.get("budget"),
            cancel_on_interrupt=cancel_on_interrupt,
            fresh=tuple(said.get("fresh") or ()),
            no_cache=bool(said.get("no_cache")),
            metadata=bool(said.get("metadata", True)),
            offline=bool(said.get("offline")),
            record=Path(said["record"]) if said.get("record") else None,
            replay=Path(said["replay"]) if said.get("replay") else None,
            env=env,
            catalogue=Path(said["catalogue"]) if said.get("catalogue") else None,
            profile=said.get("profile"),
            provider=said.get("provider"),
            reporters=tuple(said.get("reporters") or ()),
            pick_first=bool(said.get("pick_first")),
            approve=said.get("approve"),
        )

    def spelt(self, name: str) -> str:
        """An option as whoever gives it writes it: ``--local`` for a command line, ``local=`` for a program."""
        return f"{name}=" if self.written == "python" else f"--{name.replace('_', '-')}"

    def giving(self, name: str, value: str) -> str:
        """``--fresh photo``, or ``fresh='photo'``."""
        return f"{name}={value!r}" if self.written == "python" else f"{self.spelt(name)} {value}"

    @property
    def base_url(self) -> str:
        """Where Runpod is, or what stands in for it."""
        return self.env.get("RUNPOD_BASE_URL", "").strip() or BASE_URL

    def kept(self) -> dict[str, JSON]:
        """What the journal keeps of it, for whoever takes the run up again."""
        paths = {"out": self.out, "catalogue": self.catalogue, "record": self.record, "replay": self.replay}
        kept: dict[str, JSON] = {name: str(path.resolve()) if path else None for name, path in paths.items()}
        kept |= {"local": self.local, "model": self.weights is not None}
        kept |= {"fresh": list(self.fresh), "no_cache": self.no_cache}
        kept |= {"budget": self.budget, "lock": self.lock, "only": self.only}
        kept |= {"metadata": self.metadata, "offline": self.offline, "profile": self.profile}
        kept |= {"provider": self.provider, "reporters": list(self.reporters)}
        kept |= {"pick_first": self.pick_first, "approve": self.approve}
        return {**kept, "calls": self.calls, "fail_fast": self.fail_fast}
