"""Webhooks of the emulator, received by a real server."""

import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import pairwise
from typing import Any

import httpx2 as httpx
import pytest

from runner.emulator import Emulator, Latency

HEADERS = {"Authorization": "Bearer rpa_test"}
ECHO = {"input": {"anything": 1}}


class Receiver(ThreadingHTTPServer):
    """Takes webhooks; answers with the codes it was told, then with 200."""

    def __init__(self) -> None:
        self.codes: list[int] = []
        self.bodies: list[Any] = []
        self.paths: list[str] = []
        self.arrived = threading.Condition()
        super().__init__(("127.0.0.1", 0), _Handler)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/hook?run=7"

    def wait_for(self, count: int) -> bool:
        with self.arrived:
            return self.arrived.wait_for(lambda: len(self.bodies) >= count, timeout=5)


class _Handler(BaseHTTPRequestHandler):
    server: Receiver

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        self.send_response(self.server.codes.pop(0) if self.server.codes else 200)
        self.send_header("content-length", "0")
        self.send_header("location", self.server.url)
        self.end_headers()
        with self.server.arrived:
            self.server.bodies.append(httpx.Response(200, content=body).json())
            self.server.paths.append(self.path)
            self.server.arrived.notify_all()

    def log_message(self, *_: Any) -> None:
        """Says nothing."""


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def test_a_webhook_gets_what_status_says_once_the_job_is_over(receiver: Receiver) -> None:
    with Emulator(latency=Latency(execution=0.05)) as emulator:
        base = f"{emulator.url}/any"
        name = httpx.post(f"{base}/run", json={**ECHO, "webhook": receiver.url}, headers=HEADERS).json()["id"]
        assert receiver.wait_for(1)
        said = httpx.get(f"{base}/status/{name}", headers=HEADERS).json()

    assert receiver.bodies == [said]
    assert receiver.paths == ["/hook?run=7"]
    assert said["status"] == "COMPLETED"


@pytest.mark.parametrize("state", ["FAILED", "TIMED_OUT", "CANCELLED"])
def test_a_webhook_is_told_of_unhappy_ends_too_also_of_runsync(receiver: Receiver, state: str) -> None:
    with Emulator(faults=[f"job={state}"]) as emulator:
        httpx.post(f"{emulator.url}/any/runsync", json={**ECHO, "webhook": receiver.url}, headers=HEADERS)
        assert receiver.wait_for(1)

    assert receiver.bodies[0]["status"] == state


def test_a_webhook_that_is_not_answered_with_200_is_tried_three_times_with_pauses(receiver: Receiver) -> None:
    receiver.codes = [500, 302, 204]
    with Emulator(webhook_pause=0.1) as emulator:
        httpx.post(f"{emulator.url}/any/runsync", json={**ECHO, "webhook": receiver.url}, headers=HEADERS)
        assert receiver.wait_for(3)
        time.sleep(0.15)
        deliveries = emulator.webhooks

    assert [(one.attempt, one.status) for one in deliveries] == [(1, 500), (2, 302), (3, 204)]
    assert len(receiver.bodies) == 3
    assert all(later.at - earlier.at >= 0.1 for earlier, later in pairwise(deliveries))


def test_the_attempts_end_with_the_first_200(receiver: Receiver) -> None:
    receiver.codes = [503]
    with Emulator(webhook_pause=0.02) as emulator:
        httpx.post(f"{emulator.url}/any/runsync", json={**ECHO, "webhook": receiver.url}, headers=HEADERS)
        assert receiver.wait_for(2)
        time.sleep(0.06)
        statuses = [one.status for one in emulator.webhooks]

    assert statuses == [503, 200]


def test_a_webhook_that_nobody_answers_harms_nobody() -> None:
    with Emulator(webhook_pause=0) as emulator:
        body = {**ECHO, "webhook": "http://127.0.0.1:9/nobody"}
        ended = httpx.post(f"{emulator.url}/any/runsync", json=body, headers=HEADERS).json()
        while len(emulator.webhooks) < 3:
            time.sleep(0.005)

    assert ended["status"] == "COMPLETED"
    assert [one.status for one in emulator.webhooks] == [None] * 3


def test_the_emulator_stops_at_once_between_two_attempts(receiver: Receiver) -> None:
    receiver.codes = [500]
    with Emulator(webhook_pause=60) as emulator:
        httpx.post(f"{emulator.url}/any/runsync", json={**ECHO, "webhook": receiver.url}, headers=HEADERS)
        assert receiver.wait_for(1)
        begun = time.monotonic()
    took = time.monotonic() - begun

    assert took < 0.5


@pytest.mark.parametrize("webhook", [7, "", "example.test/hook", "ftp://example.test"])
def test_a_webhook_that_is_no_address_is_400_before_anything_runs(webhook: object) -> None:
    with Emulator() as emulator:
        answer = httpx.post(f"{emulator.url}/any/run", json={**ECHO, "webhook": webhook}, headers=HEADERS)

    assert answer.status_code == 400
    assert "webhook" in answer.json()["error"]
    assert emulator.jobs == ()
