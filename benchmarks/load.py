"""How much we cost beside the requests themselves, and beside nothing: many steps, many cells, many pictures."""

from __future__ import annotations

import itertools
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import anyio
import httpx2 as httpx

from runner import app, catalogue, check, pipeline, plan
from runner.execute import execute
from runner.model import Call, Chat, Finished, Job, Reply, Ticket
from runner.plan import Plan

from .figures import Figure, in_turns

TEXT = "kind: generate_text, model: qwen/qwen3-32b-awq"
IN_FLIGHT = 64

_numbers = itertools.count()


def figures() -> Iterator[Figure]:
    """The executor alone, then whole runs beside a bare scheduler that sends the same requests."""
    for name, text, steps in (
        ("fan-out of 1,000", fan_out(1000, "kind: parse_json", "text"), 1002),
        ("chain of 100", chain(100), 100),
        ("layered 20 × 25", layered(20, 25, "kind: parse_json", "text"), 500),
        ("foreach of 5,000", foreach(5000, "kind: parse_json", "text"), 5000),
    ):
        (seconds,) = in_turns(5, partial(once_alone, text))
        a_step = seconds / steps
        yield Figure(f"executor alone, a step: {name}", a_step, "target", 0.12e-3, "≤ 0.12 ms", a_step <= 0.12e-3)
    with server() as url:
        for name, text, graph in (
            ("fan-out of 1,000", fan_out(1000, TEXT, "prompt"), graph_of_fan_out(1000)),
            ("layered 20 × 25", layered(20, 25, TEXT, "prompt"), graph_of_layers(20, 25)),
            ("foreach of 5,000", foreach(5000, TEXT, "prompt"), graph_of_cells(5000)),
        ):
            ours, bare = in_turns(
                3,
                partial(whole, text, url),
                partial(requests, graph, url),
            )
            yield Figure(f"whole run: {name}", ours, "bare scheduler", bare, "≤ 1.25", ours <= 1.25 * bare)
    before, after = memory(1), memory(5000)
    yield Figure("memory of foreach of 5,000, MB more", after - before, "one step", before, "≤ 30 MB more",
                 after - before <= 30, unit="MB")  # fmt: skip


# -- pipelines, and the same graphs for the bare scheduler -------------------------------------------


def fan_out(width: int, kind: str, word: str) -> str:
    """1 → width → 1."""
    middle = [f'  m{n}: {{{kind}, {word}: "{n} {{{{ steps.a.{_field(kind)} }}}}"}}' for n in range(width)]
    last = f'  z: {{{kind}, {word}: "0", needs: [{", ".join(f"m{n}" for n in range(width))}]}}'
    return "\n".join(["name: fan-out", "steps:", f'  a: {{{kind}, {word}: "1"}}', *middle, last])


def chain(length: int) -> str:
    links = [f'  s{n}: {{kind: parse_json, text: "{{{{ steps.s{n - 1}.data }}}}"}}' for n in range(1, length)]
    return "\n".join(["name: chain", "steps:", '  s0: {kind: parse_json, text: "1"}', *links])


def layered(depth: int, width: int, kind: str, word: str) -> str:
    """Each step reads two of the layer above."""
    lines = ["name: layered", "steps:"]
    for level, n in itertools.product(range(depth), range(width)):
        reads = "" if level == 0 else f"{{{{ steps.l{level - 1}_{n}.{_field(kind)} }}}}"
        needs = "" if level == 0 else f", needs: [l{level - 1}_{(n + 1) % width}]"
        start = (
            "1"
            if kind.endswith("parse_json") and level == 0
            else ""
            if kind.endswith("parse_json")
            else f"{level} {n} "
        )
        lines.append(f'  l{level}_{n}: {{{kind}, {word}: "{start}{reads}"{needs}}}')
    return "\n".join(lines)


def foreach(count: int, kind: str, word: str) -> str:
    many = f'foreach: "{{{{ range({count}) | list }}}}", limit: {count}'
    return f'name: cells\nsteps:\n  a: {{{kind}, {many}, {word}: "{{{{ item }}}}"}}'


def graph_of_fan_out(width: int) -> dict[object, Sequence[object]]:
    return {"a": (), **dict.fromkeys(range(width), ("a",)), "z": tuple(range(width))}


def graph_of_cells(count: int) -> dict[object, Sequence[object]]:
    return dict.fromkeys(range(count), ())


def graph_of_layers(depth: int, width: int) -> dict[object, Sequence[object]]:
    return {
        (level, n): () if level == 0 else ((level - 1, n), (level - 1, (n + 1) % width))
        for level, n in itertools.product(range(depth), range(width))
    }


def _field(kind: str) -> str:
    return "data" if kind.endswith("parse_json") else "finish_reason"


# -- what is measured --------------------------------------------------------------------------------


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
            chosen, run_id="r", provider=Nobody(), store=Nobody(), sink=lambda _: None, synced=anyio.sleep_forever,
            clock=time.time, keep_text=lambda *_: None,
        )  # fmt: skip

    start = time.perf_counter()
    anyio.run(run)
    return time.perf_counter() - start


def once_alone(text: str) -> float:
    return alone(planned(text))


def whole(text: str, url: str) -> float:
    """Seconds of a whole run after reading the file: plan, render, key, journal, store on disk, outputs."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "p.yaml")
        path.write_text(text)
        read = app.read(path)
        options = app.Options(
            out=Path(folder, "out"), calls=IN_FLIGHT, env={"RUNPOD_API_KEY": "k", "RUNPOD_BASE_URL": url}
        )
        start = time.perf_counter()
        done = anyio.run(app.run, read, app.Given(), options, _nothing, _nothing)
        seconds = time.perf_counter() - start
        assert done.exit_code == 0
        return seconds


def requests(graph: Mapping[object, Sequence[object]], url: str) -> float:
    """Seconds of a counter scheduler that sends the same requests with the same client and keeps nothing."""
    left = {node: len(needs) for node, needs in graph.items()}
    readers: dict[object, list[object]] = {node: [] for node in graph}
    for node, needs in graph.items():
        for needed in needs:
            readers[needed].append(node)

    async def run() -> None:
        limits = httpx.Limits(max_connections=IN_FLIGHT, max_keepalive_connections=IN_FLIGHT)
        places = anyio.CapacityLimiter(IN_FLIGHT)
        async with (
            httpx.AsyncClient(limits=limits, verify=False, trust_env=False, timeout=None) as client,
            anyio.create_task_group() as tasks,
        ):

            async def step(node: object) -> None:
                async with places:
                    body = {"model": "x", "max_tokens": 2048, "messages": [{"role": "user", "content": str(node)}]}
                    address = f"{url}/qwen3-32b-awq/openai/v1/chat/completions"
                    reply = await client.post(address, json=body, headers={"Authorization": "Bearer k"})
                assert reply.json()["choices"][0]["message"]["content"]
                for reader in readers[node]:
                    left[reader] -= 1
                    if not left[reader]:
                        tasks.start_soon(step, reader)

            for node, count in left.items():
                if not count:
                    tasks.start_soon(step, node)

    start = time.perf_counter()
    anyio.run(run)
    return time.perf_counter() - start


def memory(cells: int) -> float:
    """The most MB that a process takes for a run of so many cells."""
    program = (
        f"from benchmarks import load; load.alone(load.planned(load.foreach({cells}, 'kind: parse_json', 'text')))"
    )
    tail = "; import resource; print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)"
    done = subprocess.run([sys.executable, "-c", program + tail], check=True, capture_output=True, text=True)
    scale = 1024 if resource.getpagesize() and sys.platform != "darwin" else 1024 * 1024
    return int(done.stdout) / scale


@contextmanager
def server() -> Iterator[str]:
    """The fast server in a process of its own. Yields its base URL."""
    with subprocess.Popen([sys.executable, "-m", "benchmarks.server"], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield f"http://127.0.0.1:{process.stdout.readline().strip()}/v2"
        finally:
            process.terminate()


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

    async def chat(self, chat: Chat) -> Reply:
        raise AssertionError(chat)

    async def cancel(self, ticket: Ticket) -> Finished | None:
        raise AssertionError(ticket)

    async def get(self, key: str) -> Reply | None:
        raise AssertionError(key)

    async def keep(self, key: str, call: Call, reply: Reply) -> None:
        raise AssertionError(key, call, reply)

    def finished(self, key: str) -> Finished | None:
        raise AssertionError(key)

    def keep_finished(self, key: str, finished: Finished) -> None:
        raise AssertionError(key, finished)


def _nothing(_: object) -> None:
    pass
