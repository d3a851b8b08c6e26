"""Runs that are recorded, and runs from a recording: how their requests travel, and what is to be said of it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from .model import JSON
from .options import Options

if TYPE_CHECKING:
    from .runpod.carrier import Carrier
    from .runpod.cassette import Cassette
    from .session import Done


def as_recorded(options: Options) -> Options:
    """A replay runs as its recording did."""
    if options.replay is None:
        return options
    from .runpod import cassette

    return replace(options, local=bool(cassette.about_of(options.replay).get("local")), weights=None)


@contextmanager
def conversation(
    options: Options, url: str, origin: str | None
) -> Iterator[tuple[Carrier, Callable[[Done], tuple[str, ...]], Mapping[str, JSON]]]:
    """How requests travel, what there is to say of it afterwards, and what persons said when it was recorded."""
    from .runpod import carrier, cassette

    plain = [v for k, v in options.env.items() if k.upper().endswith(("KEY", "TOKEN", "SECRET", "PASSWORD"))]
    secrets = [*plain, *(json.dumps(value)[1:-1] for value in plain)]  # also as JSON spells it
    if options.replay:
        tape = cassette.Cassette.to_replay(options.replay, secrets)
        yield carrier.replaying(tape), lambda done: _unused(tape, done), tape.choices()
    elif options.record:
        about = {"origin": origin or url.rstrip("/"), "base": urlsplit(url).path.rstrip("/"), "local": options.local}
        tape = cassette.Cassette.to_record(options.record, about, secrets)
        yield carrier.recording(tape), lambda done: _recorded(tape, done), {}
    else:
        yield carrier.NETWORK, lambda _: (), {}


def _unused(tape: Cassette, done: Done) -> tuple[str, ...]:
    unused, notes = tape.unused(), []
    if unanswered := ", ".join(cell.cell for cell in done.state.asking):
        notes.append(
            f"The recording {tape.folder} holds no answer for {unanswered}. Record it again and answer, or add "
            "--pick first or --approve yes."
        )
    if unused and not done.state.stopping:
        more = f" and {len(unused) - 5} more" if len(unused) > 5 else ""
        notes.append(f"Not used of the recording {tape.folder}: {', '.join(unused[:5])}{more}.")
    return tuple(notes)


def _recorded(tape: Cassette, done: Done) -> tuple[str, ...]:
    from .picking import answer_of

    for cell in done.state.cells.values():
        if cell.answer is not None and (answer := answer_of(cell)) is not None:
            tape.keep_choice(cell.cell, cell.answer.key, answer)
    cached = sum(cell.state == "cached" for cell in done.state.cells.values())
    notes = [f"Recorded in {tape.folder}: {tape.kept} exchanges."]
    if tape.broken:
        notes.append(f"The recording is not whole: {tape.broken}.")
    if cached:
        notes.append(
            f"{cached} {'cell' if cached == 1 else 'cells'} came from the store, so nothing was exchanged for them: "
            "a replay needs what was recorded of them before."
        )
    return tuple(notes)
