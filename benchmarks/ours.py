"""Runs of ours, timed: the executor alone, and whole runs."""

from __future__ import annotations

import tempfile
import time
from collections.abc import AsyncIterator, Callable, Mapping
from pathlib import Path
from typing import Self

import anyio

from runner import app, catalogue, checking, loading, pipeline, planning
from runner.calls import Empty
from runner.execute import execute
from runner.journal import Journal
from runner.model import Artifact, Call, Chat, Finished, Job, Question, Reply, Ticket
from runner.options import Options
from runner.planning import Plan
from runner.runpod.provider import Runpod
from runner.store import Store

IN_FLIGHT = 64


def planned(text: str) -> Plan:
    found, problems = pipeline.load(text, "bench.yaml", lambda name: Path(name).read_text())
    assert found is not None, problems
    checked, problems = checking.check(found, catalogue.builtin(), lambda _: False)
    assert checked is not None, problems
    return planning.plan(checked, {}, {})


def alone(chosen: Plan) -> float:
    """Seconds that the executor takes for steps that call nobody, with nobody listening."""

    async def run() -> None:
        await execute(
            chosen, run_id="r", provider=Nobody(), store=Nobody(), sink=nothing, synced=anyio.sleep_forever,
            clock=time.time, keep_text=lambda *_: None, load_files=_no_files,
        )  # fmt: skip

    start = time.perf_counter()
    anyio.run(run)
    return time.perf_counter() - start


def once_alone(text: str) -> float:
    return alone(planned(text))


def whole(text: str, url: str, calls: int = IN_FLIGHT) -> float:
    """Seconds of a whole run after reading the file: plan, render, key, journal, store on disk, outputs."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "p.yaml")
        path.write_text(text)
        read = loading.read(path)
        options = Options(out=Path(folder, "out"), calls=calls, env={"RUNPOD_API_KEY": "k", "RUNPOD_BASE_URL": url})
        start = time.perf_counter()
        done = anyio.run(app.run, read, loading.Given(), options, nothing, nothing)
        seconds = time.perf_counter() - start
        assert done.exit_code == 0, done.missing
        return seconds


def kept(chosen: Plan, url: str, *, on_disk: bool) -> float:
    """Seconds of the calls of a plan, with journal and store on disk, or with both in memory."""

    async def run(folder: Path) -> None:
        store, writing = (Store(folder / "store"), Journal(folder)) if on_disk else (Memory(), Memory())
        with writing as journal:
            async with Runpod(url, "k", store, connections=IN_FLIGHT) as provider:
                await execute(
                    chosen, run_id="r", provider=provider, store=store, sink=journal, synced=journal.synced,
                    clock=time.time, keep_text=lambda *_: None, load_files=_no_files, calls=IN_FLIGHT,
                )  # fmt: skip
            await journal.synced()
        await store.synced()
        store.close()

    with tempfile.TemporaryDirectory() as folder:
        start = time.perf_counter()
        anyio.run(run, Path(folder))
        return time.perf_counter() - start


class Memory(Empty):
    """A store and a journal that forget everything with the process."""

    def __init__(self) -> None:
        self.replies: dict[str, Reply] = {}
        self.events: list[object] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        return None

    def __call__(self, event: object) -> None:
        self.events.append(event)

    async def synced(self) -> None:
        return None

    def close(self) -> None:
        return None

    async def get(self, key: str, since: float = 0.0) -> Reply | None:
        del since
        return self.replies.get(key)

    async def keep(self, key: str, call: Call | Question, reply: Reply) -> None:
        del call
        self.replies[key] = reply

    async def add(self, chunks: AsyncIterator[bytes], url: str | None = None) -> Artifact:
        raise AssertionError(chunks, url)


def nothing(_: object) -> None:
    """Whom an event tells nothing."""


async def _no_files(files: Mapping[str, str], pipeline: str) -> Mapping[str, Artifact]:
    raise AssertionError(files, pipeline)


class Nobody(Empty):
    """A provider and a store for runs that call nobody."""

    origin = "nobody"

    def pause(self, call: Call) -> float:
        raise AssertionError(call)

    async def submit(self, job: Job, within: float, sending: Callable[[], None]) -> Ticket:
        raise AssertionError(job, within, sending)

    async def wait(self, ticket: Ticket, moved: Callable[[str], None]) -> Finished:
        raise AssertionError(ticket, moved)

    async def collect(self, job: Job, finished: Finished) -> Reply:
        raise AssertionError(job, finished)

    async def chat(self, chat: Chat, grew: object, sending: object) -> Reply:
        raise AssertionError(chat, grew, sending)

    async def cancel(self, ticket: Ticket) -> Finished | None:
        raise AssertionError(ticket)
