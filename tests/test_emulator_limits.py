"""The rate limits of the emulator: the table by a clock of ours, then a few met over HTTP."""

import threading
from contextlib import ExitStack

import httpx2 as httpx
import pytest

from runner.emulator import Emulator, Latency
from runner.emulator.limits import DOCUMENTED, Limiter

HEADERS = {"Authorization": "Bearer rpa_test"}
ECHO = {"input": {"anything": 1}}


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def admitted(limiter: Limiter, operation: str, *, key: str = "k", endpoint: str = "e") -> bool:
    with limiter.admitted(key, endpoint, operation) as may:
        return may


@pytest.mark.parametrize(
    ("operation", "requests"),
    [("runsync", 2000), ("run", 1000), ("status", 2000), ("cancel", 100), ("purge-queue", 2), ("chat", 2000)],
)
def test_so_many_requests_fit_into_ten_seconds(operation: str, requests: int) -> None:
    clock = Clock()
    limiter = Limiter(DOCUMENTED, clock)

    first = [admitted(limiter, operation) for _ in range(requests)]
    clock.now = 9.9
    over = admitted(limiter, operation)
    clock.now = 10.0
    later = admitted(limiter, operation)

    assert all(first)
    assert not over
    assert later


@pytest.mark.parametrize(("operation", "at_once"), [("runsync", 400), ("run", 200), ("status", 400), ("cancel", 20)])
def test_so_many_requests_may_be_under_way_at_once(operation: str, at_once: int) -> None:
    limiter = Limiter(DOCUMENTED, Clock())

    with ExitStack() as held:
        first = [held.enter_context(limiter.admitted("k", "e", operation)) for _ in range(at_once)]
        over = admitted(limiter, operation)
    later = operation == "cancel" or admitted(limiter, operation)

    assert all(first)
    assert not over
    assert later


def test_status_and_stream_share_a_limit_and_keys_and_endpoints_do_not() -> None:
    limiter = Limiter(DOCUMENTED, Clock())
    for _ in range(1999):
        admitted(limiter, "status")

    assert admitted(limiter, "stream")
    assert not admitted(limiter, "status-sync")
    assert admitted(limiter, "status", key="other")
    assert admitted(limiter, "status", endpoint="other")


@pytest.mark.parametrize("operation", ["health", "retry"])
def test_what_is_not_in_the_table_is_not_limited(operation: str) -> None:
    limiter = Limiter(DOCUMENTED, Clock())

    assert all(admitted(limiter, operation) for _ in range(5000))


def test_over_the_limit_is_429_with_words_and_no_promise_when_to_come_back() -> None:
    with Emulator(limits="documented") as emulator, httpx.Client(headers=HEADERS) as client:
        answers = [client.post(f"{emulator.url}/any/purge-queue") for _ in range(3)]
        other = client.post(f"{emulator.url}/other/purge-queue")

    assert [answer.status_code for answer in answers] == [200, 200, 429]
    assert answers[2].json() == {"error": "too many requests"}
    assert "retry-after" not in answers[2].headers
    assert other.status_code == 200


def test_a_held_request_counts_until_it_is_answered() -> None:
    with Emulator(limits="documented", latency=Latency(execution=60)) as emulator:
        url = f"{emulator.url}/any"
        with httpx.Client(headers=HEADERS) as client:
            name = client.post(f"{url}/run", json=ECHO).json()["id"]
            emulator.fail("cancel=hang*20")

            def hang() -> None:
                with pytest.raises(httpx.TransportError):
                    httpx.post(f"{url}/cancel/{name}", headers=HEADERS, timeout=10)

            threads = [threading.Thread(target=hang) for _ in range(20)]
            for thread in threads:
                thread.start()
            while emulator.count("cancel") < 20:
                pass
            over = client.post(f"{url}/cancel/{name}").status_code
    for thread in threads:
        thread.join()

    assert over == 429


def test_nothing_is_limited_unless_it_was_asked_for() -> None:
    with Emulator() as emulator, httpx.Client(headers=HEADERS) as client:
        codes = {client.post(f"{emulator.url}/any/purge-queue").status_code for _ in range(5)}

    assert codes == {200}
