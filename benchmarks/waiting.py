"""How long we wait for what takes its time: two independent steps, and jobs of T seconds."""

from __future__ import annotations

import itertools
import tempfile
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import anyio

from runner import app, loading
from runner.options import Options

from .figures import Emulated, Figure, emulator, in_turns
from .ours import nothing

DIAMOND = """\
name: diamond
steps:
  top: {{kind: generate_text, model: qwen/qwen3-32b-awq, prompt: "top {n}"}}
  left: {{kind: generate_text, model: qwen/qwen3-32b-awq, prompt: "left {n} {{{{ steps.top.finish_reason }}}}"}}
  right: {{kind: generate_text, model: qwen/qwen3-32b-awq, prompt: "right {n} {{{{ steps.top.finish_reason }}}}"}}
  bottom:
    kind: generate_text
    model: qwen/qwen3-32b-awq
    prompt: "bottom {n} {{{{ steps.left.finish_reason }}}} {{{{ steps.right.finish_reason }}}}"
"""
PICTURE = """\
name: picture
steps:
  photo: {{kind: generate_image, model: qwen/qwen-image, prompt: "picture {n}", size: 512x512}}
"""

_numbers = itertools.count()


def figures() -> Iterator[Figure]:
    """Whole runs: read, check, plan, connect, ask, wait, download, store, journal, publish."""
    with emulator("1") as server:
        (seconds,) = in_turns(3, partial(once, DIAMOND, server.url))
        yield Figure("diamond of four calls of 1 s", seconds, "ideal", 3.0, "≤ 5 % + 0.3 s over", seconds <= 3.45)
    for latency, rounds in ((0.3, 5), (3.0, 3), (12.0, 1)):
        with emulator(str(latency), "status-sync=404*always") as server, tempfile.TemporaryDirectory() as home:
            once(PICTURE, server.url, home)  # how long jobs of this endpoint take is learned
            name, late = f"a job of {latency:g} s, by /status alone", max(0.2, 0.06 * latency)
            yield from job(name, latency, late, "≤ T + 0.2 s or 6 %", rounds, 8, server, home)
    for latency, rounds in ((0.3, 5), (3.0, 3), (12.0, 1)):
        with emulator(str(latency)) as server:
            once(PICTURE, server.url)
            yield from job(f"a job of {latency:g} s", latency, 0.1, "≤ T + 0.1 s", rounds, 3, server)


def job(
    name: str, latency: float, late: float, target: str, rounds: int, most: int, server: Emulated,
    home: str | None = None,
) -> Iterator[Figure]:  # fmt: skip
    """How long a run of one job takes, and how many requests it sends: the submit, the looks, the download."""
    before = server.requests()
    (seconds,) = in_turns(rounds, partial(once, PICTURE, server.url, home))
    asked = (server.requests() - before) / rounds
    yield Figure(name, seconds, "T", latency, target, seconds <= latency + late)
    yield Figure(f"{name}: requests", asked, "allowed", most, f"≤ {most}", asked <= most, unit="requests")


def once(pipeline: str, url: str, home: str | None = None) -> float:
    """Seconds from reading the file to the last output; another prompt each time, so nothing is cached."""
    with tempfile.TemporaryDirectory() as fresh:
        folder = home or fresh
        path = Path(folder, "p.yaml")
        path.write_text(pipeline.format(n=next(_numbers)))
        options = Options(out=Path(folder, "out"), env={"RUNPOD_API_KEY": "k", "RUNPOD_BASE_URL": url})
        start = time.perf_counter()
        done = anyio.run(app.run, loading.read(path), loading.Given(), options, nothing, nothing)
        seconds = time.perf_counter() - start
    assert done.exit_code == 0, done.state
    return seconds
