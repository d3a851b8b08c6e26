"""Politeness: never more than the limits, less after a 429, everything in order, nobody lost."""

from __future__ import annotations

import itertools
import json
import math
import random
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar

import anyio
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runner.emulator import Emulator
from runner.errors import Busy, CannotStart
from runner.events import Event, JobSubmitted, RunState
from runner.execute import execute
from runner.journal import Journal
from runner.model import Chat, Job
from runner.runpod.client import Client
from runner.runpod.pace import DOCUMENTED, FIRST, FLOOR, UNLIMITED, Law, Limit, Pace, Paces
from runner.runpod.provider import Runpod
from runner.store import Store

from .conftest import REPO, no_files, planned

pytestmark = pytest.mark.anyio

PNG = (REPO / "pipelines/pictures/street.jpg").read_bytes()


class Limited:
    """A Runpod that lets ``most`` requests of an operation in within ``window`` seconds and refuses the others."""

    def __init__(self, most: int, window: float, retry_after: str | None = None) -> None:
        self.most, self.window, self.retry_after = most, window, retry_after
        self.asked: dict[str, list[float]] = defaultdict(list)
        self.let_in: dict[str, list[float]] = defaultdict(list)
        self.refused: dict[str, list[float]] = defaultdict(list)
        self.jobs: list[str] = []
        self.lock = threading.Lock()
        self.url = ""

    def admits(self, operation: str) -> bool:
        with self.lock:
            now = time.monotonic()
            self.asked[operation].append(now)
            past = [start for start in self.let_in[operation] if start > now - self.window]
            admitted = len(past) < self.most
            (self.let_in if admitted else self.refused)[operation].append(now)
            return admitted

    def answer(self, path: str) -> tuple[int, bytes]:
        operation = path.split("/")[3].partition("?")[0] if path.startswith("/v2/") else "media"
        if operation != "media" and not self.admits(operation + ("" if "/other/" not in path else "-other")):
            return 429, b'{"error": "too many requests"}'
        match operation:
            case "media":
                return 200, PNG
            case "run":
                with self.lock:
                    self.jobs.append(f"j{len(self.jobs)}")
                    return 200, json.dumps({"id": self.jobs[-1], "status": "IN_QUEUE"}).encode()
            case "openai":
                return 200, b'{"choices": [{"message": {"content": "hi"}}]}'
        done = {"id": path.split("/")[4], "status": "COMPLETED", "output": {"image_url": f"{self.url}/x.jpg"}}
        return 200, json.dumps(done).encode()


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = -1  # one packet an answer
    disable_nagle_algorithm = True
    limited: ClassVar[Limited]

    def do_GET(self) -> None:
        self.rfile.read(int(self.headers.get("content-length") or 0))
        code, body = self.limited.answer(self.path)
        self.send_response(code)
        self.send_header("Content-Length", str(len(body)))
        if code == 429 and self.limited.retry_after is not None:
            self.send_header("Retry-After", self.limited.retry_after)
        self.end_headers()
        self.wfile.write(body)

    do_POST = do_GET  # noqa: N815 - the name that http.server wants

    def log_message(self, *_: Any) -> None:
        pass


class Web(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 256


@contextmanager
def serving(limited: Limited) -> Iterator[Limited]:
    """The limited server on a real port."""
    with Web(("127.0.0.1", 0), type("Handler", (Handler,), {"limited": limited})) as web:
        limited.url = f"http://127.0.0.1:{web.server_port}"
        thread = threading.Thread(target=web.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield limited
        finally:
            web.shutdown()
            thread.join()


async def pictures(
    server: Limited,
    folder: Path,
    paces: Paces,
    count: int = 200,
    calls: int = 32,
    watch: Callable[[str], None] = lambda _: None,
) -> RunState:
    """A run of so many pictures, one job each."""
    text = f"""
        name: many
        steps:
          picture:
            kind: generate_image
            model: qwen/qwen-image
            foreach: "{{{{ range({count}) | list }}}}"
            limit: {count}
            prompt: "picture {{{{ item }}}}"
        outputs:
          count: "{{{{ steps.picture | length }}}}"
    """
    return await ran(text, server, folder, paces, calls, watch)


async def ran(
    text: str,
    server: Limited,
    folder: Path,
    paces: Paces,
    calls: int = 32,
    watch: Callable[[str], None] = lambda _: None,
) -> RunState:
    """A run of a pipeline at this pace."""
    state = RunState()
    store = Store(folder / "store")

    def sink(event: Event) -> None:
        state.add(event)
        if isinstance(event, JobSubmitted):
            watch(event.job)

    with Journal(folder / "runs") as journal:
        async with Runpod(f"{server.url}/v2", "k", store, connections=calls, paces=paces) as provider:
            await execute(
                planned(text), run_id="r", provider=provider, store=store, sink=sink, synced=journal.synced,
                clock=time.time, keep_text=lambda *_: None, load_files=no_files, calls=calls, jitter=random.Random(1),
            )  # fmt: skip
    store.close()
    return state


def most_within(starts: list[float], window: float) -> int:
    """The largest number of starts in any half-open window."""
    return max(sum(start - window < s <= start for s in starts) for start in starts)


# -- against a server that refuses ------------------------------------------------------------------


async def test_two_hundred_jobs_meet_a_known_limit_without_being_refused(tmp_path: Path) -> None:
    limits = {"run": Limit(50, 20, window=0.7), "status": Limit(50, 40, window=0.7)}
    with serving(Limited(50, 0.5)) as server:
        state = await pictures(server, tmp_path, Paces(limits))

    assert {cell.state for cell in state.cells.values()} == {"done"}
    assert len(server.jobs) == 200
    assert sum(map(len, server.refused.values())) <= 3


async def test_a_run_finds_a_limit_that_nobody_told(tmp_path: Path) -> None:
    with serving(Limited(40, 0.5)) as server:
        state = await pictures(server, tmp_path, Paces(UNLIMITED), count=120, calls=8)

    assert {cell.state for cell in state.cells.values()} == {"done"}
    assert len(server.jobs) == 120
    assert sum(map(len, server.refused.values())) <= 40


async def test_after_a_retry_after_nobody_asks_that_operation_before() -> None:
    with serving(Limited(1, 0.2, retry_after="1")) as server:
        async with Client(f"{server.url}/v2", "k") as client:
            await client.run("flux", b"{}")
            with pytest.raises(Busy) as caught:
                await client.run("flux", b"{}")
            refused = server.refused["run"][0]
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(client.run, "flux", b"{}")
                await client.run("other", b"{}")
                await client.status("flux", "j0")
                others = time.monotonic()

    assert caught.value.retry_after == 1
    assert others - refused < 0.9
    assert server.asked["run"][-1] - refused >= 1.0


async def test_a_chat_whose_turn_does_not_come_was_not_sent_and_counts_for_nothing(tmp_path: Path) -> None:
    """The budget pays two chats at their most, and three tries of `later` were it charged for each."""
    chat = "{kind: generate_text, model: qwen/qwen3-32b-awq, max_tokens: 200"
    text = f"""
        name: two
        budget: {{usd: 0.005}}
        steps:
          first: {chat}, prompt: one}}
          later: {chat}, prompt: two, needs: [first], timeout: 0.2, retry: {{on: [timeout], attempts: 3, wait: 0}}}}
    """
    with serving(Limited(99, 1.0)) as server:
        state = await ran(text, server, tmp_path, Paces({"openai": Limit(1, window=60)}))

    later = state.cells["later"]
    assert (state.cells["first"].state, later.state, later.fault) == ("done", "failed", "timeout")
    assert "so it was not sent" in later.message
    assert not state.exceeded
    assert len(server.asked["openai"]) == 1


async def test_a_call_whose_endpoint_wants_a_pause_gives_its_place_to_others(tmp_path: Path) -> None:
    text = """
        name: two
        steps:
          picture:
            kind: generate_image
            model: qwen/qwen-image
            foreach: "{{ range(6) | list }}"
            prompt: "picture {{ item }}"
          text: {kind: generate_text, model: qwen/qwen3-32b-awq, prompt: "x"}
    """
    state, started = RunState(), time.time()
    store = Store(tmp_path / "store")
    with Emulator(faults=["run=429:1*1"]) as emulator, Journal(tmp_path / "runs") as journal:
        async with Runpod(emulator.url, "k", store, connections=1) as provider:
            await execute(
                planned(text), run_id="r", provider=provider, store=store, sink=state.add, synced=journal.synced,
                clock=time.time, keep_text=lambda *_: None, load_files=no_files, calls=1, jitter=random.Random(1),
            )  # fmt: skip
    store.close()

    assert {cell.state for cell in state.cells.values()} == {"done"}
    assert (state.cells["text"].ended or math.inf) - started < 0.9


async def test_who_waits_for_a_turn_can_be_stopped_and_has_sent_nothing(tmp_path: Path) -> None:
    limits = {"run": Limit(1, window=60)}
    with serving(Limited(99, 1.0)) as server:
        with anyio.move_on_after(0.5) as scope:
            await pictures(server, tmp_path, Paces(limits), count=3)

        assert scope.cancelled_caught
        assert len(server.asked["run"]) == 1


@pytest.mark.parametrize("seconds", [0.05, 0.11, 0.17, 0.23, 0.29, 0.35])
async def test_a_run_that_is_stopped_while_many_wait_knows_every_job_that_was_taken(
    tmp_path: Path, seconds: float
) -> None:
    limits = {"run": Limit(4, 2, window=0.02), "status": Limit(2, window=0.05), "cancel": Limit(200, 20)}
    known: list[str] = []
    with serving(Limited(999, 1.0)) as server:
        with anyio.move_on_after(seconds):
            await pictures(server, tmp_path, Paces(limits), watch=known.append)

        assert sorted(known) == sorted(server.jobs)


async def test_requests_of_other_servers_and_of_loopback_are_not_limited_in_advance(tmp_path: Path) -> None:
    with serving(Limited(5000, 1.0)) as server:
        async with Runpod(f"{server.url}/v2", "k", Store(tmp_path)) as local:
            assert local.client.paces.of("q", "openai").law.wait(0) == 0
        async with Runpod("https://api.runpod.ai/v2", "k", Store(tmp_path)) as runpod:
            for _ in range(3):
                await runpod.chat(Chat("t@1", "q", {"messages": []}, base_url=f"{server.url}/v2/q/openai/v1"))
            documented = runpod.client.paces.of("flux", "run").law
            other = runpod.client.paces.of(f"{server.url}/v2/q/openai/v1", "").law

    assert (documented._limit, other._limit) == (DOCUMENTED["run"], None)
    assert len(server.let_in["openai"]) == 3


async def test_each_operation_of_each_endpoint_counts_by_itself() -> None:
    with serving(Limited(99, 1.0)) as server:
        async with Client(f"{server.url}/v2", "k") as client:
            await client.run("flux", b"{}")
            await client.status("flux", "j")
            await client.status_sync("flux", "j", 1)
            await client.status("other", "j")
            await client.cancel("flux", "j")
            await client.chat("flux", b"{}")
            counted = {key: len(pace.law._starts) for key, pace in client.paces._paces.items()}

    assert counted == {("flux", "run"): 1, ("flux", "status"): 2, ("other", "status"): 1, ("flux", "cancel"): 1,
                       ("flux", "openai"): 1}  # fmt: skip
    assert all(pace.law.running == 0 for pace in client.paces._paces.values())


async def test_status_requests_are_held_briefly_where_many_are_held() -> None:
    paths: list[str] = []
    server = Limited(99, 1.0)
    with serving(server):
        answer = server.answer

        def noted(path: str) -> tuple[int, bytes]:
            paths.append(path)
            return answer(path)

        server.answer = noted  # type: ignore[method-assign]
        async with Client(f"{server.url}/v2", "k", paces=Paces({"status": Limit(99, 4)})) as client:
            await client.status_sync("flux", "j", 60)
            client.paces.of("flux", "status").law.running = 3
            await client.status_sync("flux", "j", 60)

    assert [path.partition("=")[2] for path in paths] == ["60000", "3000"]


@pytest.mark.parametrize(("said", "limits"), [("documented", DOCUMENTED), ("none", UNLIMITED)])
async def test_limits_are_chosen_by_the_environment(tmp_path: Path, said: str, limits: Any) -> None:
    for url in ("http://127.0.0.1:9/v2", "https://api.runpod.ai/v2"):
        runpod = Runpod(url, "k", Store(tmp_path), env={"RUNPOD_LIMITS": said})

        assert runpod.client.paces._limits is limits


async def test_a_wrong_choice_of_limits_is_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(CannotStart, match="documented or none"):
        Runpod("http://127.0.0.1:9", "k", Store(tmp_path), env={"RUNPOD_LIMITS": "off"})


async def test_a_pause_is_asked_for_by_what_the_call_would_send(tmp_path: Path) -> None:
    async with Runpod("https://api.runpod.ai/v2", "k", Store(tmp_path)) as runpod:
        for endpoint, operation in (("flux", "run"), ("q", "openai"), ("https://other/v1", "")):
            runpod.client.paces.of(endpoint, operation).law.refused(time.monotonic(), 0, 30)
        held = [Job("g@1", "flux", {}), Chat("t@1", "q", {}), Chat("t@1", "x", {}, base_url="https://other/v1")]
        free = [Job("g@1", "q", {}), Chat("t@1", "flux", {}), Chat("t@1", "q", {}, base_url="https://third/v1")]

        assert [round(runpod.pause(call)) for call in held] == [30, 30, 30]  # type: ignore[arg-type]
        assert [runpod.pause(call) for call in free] == [0, 0, 0]  # type: ignore[arg-type]


# -- the queue --------------------------------------------------------------------------------------


async def test_turns_come_in_order() -> None:
    pace = Pace(Law(Limit(2, window=0.1)), time.monotonic)
    order: list[int] = []

    async def one(number: int) -> None:
        await pace.turn()
        order.append(number)
        pace.leave()

    async with anyio.create_task_group() as tasks:
        for number in range(8):
            tasks.start_soon(one, number)
            await anyio.sleep(0.001)

    assert order == list(range(8))


async def test_who_is_stopped_while_waiting_leaves_nothing_behind() -> None:
    pace = Pace(Law(Limit(99, at_once=1)), time.monotonic)
    await pace.turn()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(pace.turn)
        tasks.start_soon(pace.turn)
        await anyio.sleep(0.01)
        tasks.cancel_scope.cancel()

    pace.leave()
    with anyio.fail_after(1):
        await pace.turn()

    assert not pace._queue
    assert pace.law.running == 1


async def test_the_next_takes_the_turn_of_one_who_was_stopped() -> None:
    pace = Pace(Law(Limit(99, at_once=1)), time.monotonic)
    had: list[str] = []
    await pace.turn()

    async def waits(name: str, scope: anyio.CancelScope) -> None:
        with scope:
            await pace.turn()
            had.append(name)

    first = anyio.CancelScope()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(waits, "first", first)
        await anyio.sleep(0.01)
        tasks.start_soon(waits, "second", anyio.CancelScope())
        await anyio.sleep(0.01)
        first.cancel()
        pace.leave()

    assert had == ["second"]


async def test_a_longer_pause_holds_those_who_sleep_already() -> None:
    pace = Pace(Law(), time.monotonic)
    started = time.monotonic()
    pace.heard(await pace.turn(), 429, 0.1)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(pace.turn)
        await anyio.sleep(0.05)
        pace.law.refused(time.monotonic(), -1, 0.4)

    assert time.monotonic() - started >= 0.45


# -- the law ----------------------------------------------------------------------------------------


@given(
    most=st.integers(1, 6),
    at_once=st.none() | st.integers(1, 4),
    window=st.floats(0.5, 20),
    moves=st.lists(st.tuples(st.floats(0, 8), st.sampled_from(["start", "start", "start", "end", "refused", "well"]),
                             st.none() | st.floats(0, 30)), max_size=80),
)  # fmt: skip
@settings(max_examples=300, deadline=None)
def test_never_more_starts_than_the_limit_in_any_window_whatever_happens(
    most: int, at_once: int | None, window: float, moves: list[tuple[float, str, float | None]]
) -> None:
    law = Law(Limit(most, at_once, window))
    now, starts, running, held = 0.0, [], 0, -math.inf
    for passes, move, retry_after in moves:
        now += passes
        if move == "start":
            if law.wait(now) == 0:
                assert now >= held
                law.start(now)
                starts.append(now)
                running += 1
        elif move == "end" and running:
            law.end()
            running -= 1
        elif move == "refused":
            law.refused(now, law.cuts, retry_after)
            held = max(held, now + retry_after) if retry_after is not None else held
        elif move == "well":
            law.went_well()
        assert at_once is None or running <= at_once
        assert law.rate >= FLOOR

    assert not starts or most_within(starts, window * (1 - 1e-9)) <= most


@given(st.floats(0.5, 20), st.integers(1, 6), st.integers(1, 60))
def test_who_waits_as_long_as_told_may_start(window: float, most: int, count: int) -> None:
    law, now = Law(Limit(most, window=window)), 0.0

    for _ in range(count):
        now += law.wait(now)
        assert law.wait(now) <= 1e-9
        law.start(now)
        law.end()

    assert now == pytest.approx((count - 1) // most * window)


def test_a_refusal_halves_the_pace_once_for_all_that_were_under_way() -> None:
    law = Law()
    turns = [law.start(now=n / 100) for n in range(64)]

    for turn in turns:
        law.refused(0.7, turn, None)

    assert law.rate == 32
    assert law.wait(0.7) == pytest.approx(1 / 32)


def test_refusals_one_after_the_other_halve_it_down_to_a_floor() -> None:
    law, rates = Law(), []

    for number in range(9):
        law.refused(100.0 * number, law.start(100.0 * number), None)
        rates.append(law.rate)

    assert rates[:3] == [FIRST, FIRST / 2, FIRST / 4]
    assert rates[-1] == FLOOR


def test_the_pace_grows_again_by_the_same_for_each_answer_until_it_is_free() -> None:
    law = Law(Limit(100, window=10))
    law.refused(0.0, law.start(0.0), None)
    seen, now = [law.rate], 0.0
    while law.rate < math.inf:
        now += law.wait(now)
        law.start(now)
        law.end()
        law.went_well()
        seen.append(law.rate)

    steps = [after - before for before, after in itertools.pairwise(seen[:-1])]
    assert steps == pytest.approx([steps[0]] * len(steps))
    assert 2 < now < 10


def test_after_a_cut_requests_are_spread_evenly() -> None:
    law, starts, now = Law(), [], 0.0
    law.refused(0.0, law.start(0.0), None)

    for _ in range(10):
        now += law.wait(now)
        law.start(now)
        starts.append(now)

    assert most_within(starts, 1.0 - 1e-6) <= FIRST + 1
