"""The life of an emulator: its port, its thread, its end, and who can use it."""

import os
import signal
import socket
import subprocess
import sys
import threading
import time

import anyio
import httpx2 as httpx
import pytest

from runner.emulator import Emulator, Latency, parse_latency

HEADERS = {"Authorization": "Bearer rpa_test"}
ECHO = {"input": {"anything": 1}}


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_it_serves_clients_of_any_async_library(backend: str) -> None:
    async def talk(url: str) -> str:
        async with httpx.AsyncClient(headers=HEADERS) as client:
            answer = await client.post(f"{url}/any/runsync", json=ECHO)
            return str(answer.json()["status"])

    with Emulator() as emulator:
        status = anyio.run(talk, emulator.url, backend=backend)

    assert status == "COMPLETED"


def test_a_taken_port_is_an_error_where_the_block_is_entered() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]

        with pytest.raises(OSError, match="in use"), Emulator(port=port):
            pass


def test_a_chosen_port_can_be_used_again_at_once() -> None:
    with Emulator() as first:
        port = int(first.origin.rpartition(":")[2])
        httpx.get(f"{first.url}/any/health", headers=HEADERS)

    with Emulator(port=port) as second:
        assert httpx.get(f"{second.url}/any/health", headers=HEADERS).status_code == 200


def test_it_stops_at_once_with_hanging_requests_and_open_long_polls(
    capfd: pytest.CaptureFixture[str],
) -> None:
    before = threading.active_count()
    errors: list[Exception] = []

    def ask(method: str, url: str) -> None:
        try:
            httpx.request(method, url, headers=HEADERS, json=ECHO if method == "POST" else None, timeout=30)
        except httpx.TransportError as err:
            errors.append(err)

    with Emulator(latency=Latency(execution=60), faults=["health=hang"]) as emulator:
        base = f"{emulator.url}/any"
        job = httpx.post(f"{base}/run", headers=HEADERS, json=ECHO).json()["id"]
        clients = [
            threading.Thread(target=ask, args=args)
            for args in (
                ("GET", f"{base}/health"),
                ("GET", f"{base}/status-sync/{job}"),
                ("POST", f"{base}/runsync"),
            )
        ]
        for thread in clients:
            thread.start()
        while len(emulator.requests) < 4:
            time.sleep(0.005)
        begun = time.monotonic()
    took = time.monotonic() - begun
    for thread in clients:
        thread.join(5)

    assert took < 0.5
    assert len(errors) == 3
    assert threading.active_count() == before
    assert capfd.readouterr().err == ""


def test_two_hundred_requests_at_once_are_all_answered() -> None:
    async def talk(url: str) -> list[str]:
        said: list[str] = []

        async def one(client: httpx.AsyncClient) -> None:
            answer = await client.post(f"{url}/any/runsync", json=ECHO)
            said.append(answer.json()["status"])

        limits = httpx.Limits(max_connections=200)
        async with (
            httpx.AsyncClient(headers=HEADERS, limits=limits, timeout=30) as client,
            anyio.create_task_group() as group,
        ):
            for _ in range(200):
                group.start_soon(one, client)
        return said

    with Emulator(latency=Latency(execution=0.8)) as emulator:
        said = anyio.run(talk, emulator.url)

    assert said == ["COMPLETED"] * 200
    assert emulator.peak > 100


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_serve_forever_returns_on_a_signal_and_prints_nothing_itself(number: signal.Signals) -> None:
    program = (
        "from runner.emulator import Emulator, serve_forever\n"
        "serve_forever(Emulator(), ready=lambda url: print(url, flush=True))\n"
        "print('gone', flush=True)\n"
    )
    with subprocess.Popen(
        [sys.executable, "-W", "error", "-c", program],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        url = process.stdout.readline().strip()
        answer = httpx.get(f"{url}/any/health", headers=HEADERS)
        os.kill(process.pid, number)
        rest, errors = process.communicate(timeout=5)

    assert answer.status_code == 200
    assert rest == "gone\n"
    assert errors == ""
    assert process.returncode == 0


@pytest.mark.parametrize(
    ("text", "latency"),
    [
        ("0.5", Latency(0.0, 0.5)),
        ("0.2+1.5", Latency(0.2, 1.5)),
        ("0.1..0.4+1..2", Latency((0.1, 0.4), (1.0, 2.0))),
        (" .1 + 2 ", Latency(0.1, 2.0)),
    ],
)
def test_a_latency_is_read_from_text(text: str, latency: Latency) -> None:
    assert parse_latency(text) == latency


@pytest.mark.parametrize("text", ["", "fast", "-1", "1+2+3", "2..1", "1.."])
def test_a_latency_that_no_clock_can_do_is_refused_with_a_sentence(text: str) -> None:
    with pytest.raises(ValueError, match="latency"):
        parse_latency(text)


def test_an_address_is_not_known_before_the_block_is_entered() -> None:
    with pytest.raises(RuntimeError, match="enter it"):
        _ = Emulator().url


def test_equal_seeds_give_equal_ids_and_latencies() -> None:
    def ids() -> list[str]:
        with Emulator(seed=3, latency=parse_latency("0..0.01")) as emulator:
            for _ in range(3):
                httpx.post(f"{emulator.url}/any/runsync", headers=HEADERS, json=ECHO)
        return [job.id for job in emulator.jobs]

    assert ids() == ids()
