"""Runs of ours, timed: the executor alone, and whole runs."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager
from pathlib import Path

import anyio

from runner import app, catalogue, check, pipeline, plan
from runner.execute import execute
from runner.model import Artifact, Call, Chat, Finished, Job, Reply, Ticket
from runner.plan import Plan

IN_FLIGHT = 64


def planned(text: str) -> Plan:
    found, problems = pipeline.load(text, "bench.yaml", lambda name: Path(name).read_text())
    assert found is not None, problems
    checked, problems = check.check(found, catalogue.builtin(), lambda _: False)
    assert checked is not None, problems
    return plan.plan(checked, {}, {})


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
        read = app.read(path)
        options = app.Options(out=Path(folder, "out"), calls=calls, env={"RUNPOD_API_KEY": "k", "RUNPOD_BASE_URL": url})
        start = time.perf_counter()
        done = anyio.run(app.run, read, app.Given(), options, nothing, nothing)
        seconds = time.perf_counter() - start
        assert done.exit_code == 0, done.missing
        return seconds


def nothing(_: object) -> None:
    """Whom an event tells nothing."""


async def _no_files(files: Mapping[str, str], pipeline: str) -> Mapping[str, Artifact]:
    raise AssertionError(files, pipeline)


class Nobody:
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

    async def get(self, key: str, since: float = 0.0) -> Reply | None:
        raise AssertionError(key, since)

    def claimed(self, key: str, waits: Callable[[], None]) -> AbstractAsyncContextManager[bool]:
        raise AssertionError(key, waits)

    async def keep(self, key: str, call: Call, reply: Reply) -> None:
        raise AssertionError(key, call, reply)

    def finished(self, key: str, since: float = 0.0) -> Finished | None:
        raise AssertionError(key, since)

    def forget(self, key: str) -> None:
        raise AssertionError(key)

    def keep_finished(self, key: str, finished: Finished) -> None:
        raise AssertionError(key, finished)
