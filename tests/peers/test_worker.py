"""The official worker in production mode serves a private endpoint of the emulator."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx2 as httpx

from .conftest import HEADERS, Ask, Worker, health, waited


def asked(base: str, path: str, given: dict[str, Any] | None = None, **query: Any) -> Any:
    """POST with an input, GET without."""
    if given is not None:
        answer = httpx.post(f"{base}/{path}", json={"input": given}, params=query, headers=HEADERS, timeout=30)
    else:
        answer = httpx.get(f"{base}/{path}", params=query, headers=HEADERS, timeout=30)
    assert answer.status_code == 200
    return answer.json()


def test_a_job_waits_until_the_worker_takes_it_and_ends_with_what_the_handler_said(
    private: str, worker: Worker
) -> None:
    ended = asked(private, "runsync", {"say": "hello"})

    assert ended["status"] == "COMPLETED"
    assert ended["workerId"] == "w1"
    assert ended["output"] == [{"echo": {"say": "hello"}}]
    assert ended["executionTime"] >= 0


def test_what_the_handler_yields_can_be_read_while_it_yields(private: str, worker: Worker) -> None:
    name = asked(private, "run", {"do": "count", "to": 4, "pause": 0.3})["id"]
    said = [asked(private, f"stream/{name}")]
    while said[-1]["status"] in {"IN_QUEUE", "IN_PROGRESS"} or said[-1]["stream"]:
        said.append(asked(private, f"stream/{name}"))
    pieces = [piece["output"] for one in said for piece in one["stream"]]

    assert pieces == [{"number": number} for number in range(4)]
    assert any(one["status"] == "IN_PROGRESS" and one["stream"] for one in said)
    assert said[-1]["status"] == "COMPLETED"
    assert asked(private, f"status/{name}")["output"] == pieces


def test_a_handler_that_raises_fails_its_job_with_its_words(private: str, worker: Worker) -> None:
    ended = asked(private, "runsync", {"do": "fail", "why": "the kiln is cold"})
    again = httpx.post(f"{private}/retry/{ended['id']}", headers=HEADERS).json()
    failed = asked(private, f"status-sync/{ended['id']}")

    assert ended["status"] == failed["status"] == "FAILED"
    assert ended["error"].startswith("handler: the kiln is cold")
    assert again == {"id": ended["id"], "status": "IN_QUEUE"}
    assert failed["retries"] == 1


def test_progress_of_the_handler_shows_in_status_before_the_end(private: str, worker: Worker) -> None:
    name = asked(private, "run", {"do": "progress", "say": "half of it"})["id"]
    seen: list[Any] = []

    def over() -> bool:
        seen.append(asked(private, f"status/{name}"))
        return bool(seen[-1]["status"] == "COMPLETED")

    waited(over)

    assert {"status": "IN_PROGRESS", "output": "half of it"}.items() <= seen[-2].items()
    assert seen[-1]["output"] == ["done"]


def test_a_cancelled_job_ends_at_once_and_its_worker_is_free_for_the_next(private: str, worker: Worker) -> None:
    name = asked(private, "run", {"do": "sleep", "seconds": 60})["id"]
    waited(lambda: asked(private, f"status/{name}")["status"] == "IN_PROGRESS")
    cancelled = httpx.post(f"{private}/cancel/{name}", headers=HEADERS).json()
    ended = asked(private, "runsync", {"say": "next"})

    assert cancelled == {"id": name, "status": "CANCELLED"}
    assert ended["status"] == "COMPLETED"
    assert asked(private, f"status/{name}")["status"] == "CANCELLED"
    assert "Stopping job." in worker.log.read_text()


def test_a_job_past_its_time_is_taken_from_the_worker(private: str, worker: Worker) -> None:
    body = {"input": {"do": "sleep", "seconds": 60}, "policy": {"executionTimeout": 300}}
    ended = httpx.post(f"{private}/runsync", json=body, headers=HEADERS, timeout=30).json()
    following = asked(private, "runsync", {"say": "next"})

    assert ended["status"] == "TIMED_OUT"
    assert following["status"] == "COMPLETED"


def test_the_worker_says_which_jobs_it_has_and_keeps_them_longer_than_our_patience(
    private: str, worker: Worker
) -> None:
    ended = asked(private, "runsync", {"do": "sleep", "seconds": 3.5})

    assert ended["status"] == "COMPLETED"
    assert "retries" not in ended
    assert f"job_id={ended['id']}" in worker.log.read_text()


def test_the_python_client_runs_streams_and_cancels_on_the_worker(private: str, worker: Worker, python: Ask) -> None:
    at = private.removesuffix("/private")

    ran = python("run_sync", "private", at=at, input={"say": "hello"})
    streamed = python("stream", "private", at=at, input={"do": "count", "to": 3})
    cancelled = python("cancel", "private", at=at, input={"do": "sleep", "seconds": 60})

    assert ran["output"] == [{"echo": {"say": "hello"}}]
    assert streamed == {"pieces": [{"number": number} for number in range(3)], "status": "COMPLETED"}
    assert cancelled["status"] == "CANCELLED"


def test_the_javascript_sdk_runs_and_streams_on_the_worker(private: str, worker: Worker, sdk: Ask) -> None:
    at = private.removesuffix("/private")

    ran = sdk("runSync", "private", {"say": "hello"}, at=at)
    streamed = sdk("stream", "private", {"do": "count", "to": 3}, at=at)

    assert ran["output"] == [{"echo": {"say": "hello"}}]
    assert streamed["pieces"] == [{"number": number} for number in range(3)]


def test_a_worker_that_knows_its_addresses_and_nothing_else_serves_an_endpoint(private: str, tmp_path: Path) -> None:
    at = private.removesuffix("/private")
    base = f"{at}/bare"
    with Worker(at, "bare", "bare", tmp_path, handler="plain", pings=False):
        said = asked(base, "runsync", {"say": "hello"})
        long = asked(base, "runsync", {"say": "late", "seconds": 3})
        failed = asked(base, "runsync", {"why": "the kiln is cold"})

    assert (said["status"], said["output"]) == ("COMPLETED", "hello")
    assert (long["output"], long.get("retries")) == ("late", None)
    assert (failed["status"], failed["error"]) == ("FAILED", "the kiln is cold")


def test_a_worker_that_does_four_jobs_at_once_takes_them_in_batches(private: str, tmp_path: Path) -> None:
    at = private.removesuffix("/private")
    base = f"{at}/many"
    with Worker(at, "many", "many", tmp_path, handler="many") as worker:
        names = [asked(base, "run", {"seconds": 1})["id"] for _ in range(8)]
        ended = [asked(base, f"status-sync/{name}") for name in names]

    assert [one["output"] for one in ended] == [{"slept": 1}] * 8
    assert "/job-take-batch/many?gpu=emulated&batch_size=" in worker.log.read_text()


def test_a_job_of_a_worker_that_dies_goes_to_the_next_worker(private: str, worker: Worker, tmp_path: Path) -> None:
    at = private.removesuffix("/private")
    worker.ends()
    with Worker(at, "private", "dying", tmp_path) as dying:
        name = asked(private, "run", {"do": "sleep", "seconds": 2})["id"]
        waited(lambda: asked(private, f"status/{name}").get("workerId") == "dying")
        waited(lambda: f"job_id={name}" in dying.log.read_text())
    with Worker(at, "private", "heir", tmp_path):
        ended = asked(private, f"status-sync/{name}", wait=20_000)

    assert (ended["status"], ended["workerId"], ended["retries"]) == ("COMPLETED", "heir", 1)
    assert health(private)["jobs"]["retried"] >= 1
