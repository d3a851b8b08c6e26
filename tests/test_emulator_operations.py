"""The rarer operations of the emulator: retry, purge-queue, stream, and counters that stay true."""

import time
from collections.abc import Iterator
from typing import Any

import httpx2 as httpx
import pytest

from runner.emulator import Emulator, Endpoint, Latency, Retention

ECHO = {"input": {"anything": 1}}
PIECES = {"input": {"stream": ["a", {"b": 2}, 3]}}


@pytest.fixture(scope="module")
def client() -> Iterator[httpx.Client]:
    with httpx.Client(headers={"Authorization": "Bearer rpa_test"}, timeout=5) as client:
        yield client


def ran(client: httpx.Client, base: str, body: dict[str, Any]) -> dict[str, Any]:
    job = client.post(f"{base}/run", json=body).json()
    envelope: dict[str, Any] = client.get(f"{base}/status-sync/{job['id']}").json()
    return envelope


def streamed(client: httpx.Client, base: str, name: str) -> list[dict[str, Any]]:
    """Every answer of /stream up to the one that has a final state and nothing more."""
    said: list[dict[str, Any]] = []
    while not said or said[-1]["status"] in {"IN_QUEUE", "IN_PROGRESS"} or said[-1]["stream"]:
        said.append(client.get(f"{base}/stream/{name}").json())
    return said


@pytest.mark.parametrize("state", ["FAILED", "TIMED_OUT"])
def test_a_job_that_failed_is_retried_under_its_id_with_its_input(client: httpx.Client, state: str) -> None:
    with Emulator(faults=[f"job={state}"], latency=Latency(execution=0.05)) as emulator:
        base = f"{emulator.url}/any"
        failed = ran(client, base, ECHO)
        again = client.post(f"{base}/retry/{failed['id']}").json()
        waiting = client.get(f"{base}/status/{failed['id']}").json()
        ended = client.get(f"{base}/status-sync/{failed['id']}").json()

    assert failed["status"] == state
    assert again == {"id": failed["id"], "status": "IN_QUEUE"}
    assert "error" not in waiting
    assert ended["status"] == "COMPLETED"
    assert ended["output"] == {"echo": ECHO["input"]}
    assert ended["retries"] == 1
    assert emulator.paid == 1


def test_a_retried_job_is_paid_for_by_the_faults_still_to_come(client: httpx.Client) -> None:
    with Emulator(faults=["job=FAILED*2"]) as emulator:
        base = f"{emulator.url}/any"
        name = ran(client, base, ECHO)["id"]
        states = []
        for _ in range(2):
            client.post(f"{base}/retry/{name}")
            states.append(client.get(f"{base}/status-sync/{name}").json()["status"])

    assert states == ["FAILED", "COMPLETED"]


@pytest.mark.parametrize("state", ["IN_QUEUE", "IN_PROGRESS", "COMPLETED", "CANCELLED"])
def test_only_what_failed_can_be_retried_and_the_refusal_says_so(client: httpx.Client, state: str) -> None:
    slow = {"IN_QUEUE": Latency(queue=9), "IN_PROGRESS": Latency(execution=9), "CANCELLED": Latency(queue=9)}
    with Emulator(latency=slow.get(state, Latency())) as emulator:
        base = f"{emulator.url}/any"
        name = client.post(f"{base}/run", json=ECHO).json()["id"]
        if state == "CANCELLED":
            client.post(f"{base}/cancel/{name}")
        elif state == "COMPLETED":
            client.get(f"{base}/status-sync/{name}")
        refused = client.post(f"{base}/retry/{name}")

    assert refused.status_code == 400
    assert refused.json()["error"] == f"only FAILED and TIMED_OUT jobs can be retried; job {name} is {state}"


def test_a_result_that_has_expired_cannot_be_retried(client: httpx.Client) -> None:
    with Emulator(faults=["job=FAILED"], retention=Retention(run=0.15)) as emulator:
        base = f"{emulator.url}/any"
        name = ran(client, base, ECHO)["id"]
        time.sleep(0.2)
        answer = client.post(f"{base}/retry/{name}")

    assert answer.status_code == 404


def test_a_retry_outlives_the_clock_of_the_failure_before_it(client: httpx.Client) -> None:
    with Emulator(
        faults=["job=FAILED"], retention=Retention(run=0.4), latency={"any": Latency(execution=0.3)}
    ) as emulator:
        base = f"{emulator.url}/any"
        name = ran(client, base, ECHO)["id"]
        time.sleep(0.15)
        client.post(f"{base}/retry/{name}")
        ended = client.get(f"{base}/status-sync/{name}")

    assert ended.status_code == 200
    assert ended.json()["status"] == "COMPLETED"


def test_a_purge_removes_what_waits_and_leaves_what_runs(client: httpx.Client) -> None:
    with Emulator(workers=1, latency=Latency(execution=0.2)) as emulator:
        base = f"{emulator.url}/any"
        ids = [client.post(f"{base}/run", json=ECHO).json()["id"] for _ in range(3)]
        other = client.post(f"{emulator.url}/other/run", json=ECHO).json()["id"]
        while client.get(f"{base}/health").json()["jobs"]["inProgress"] == 0:
            pass
        purged = client.post(f"{base}/purge-queue", json={}).json()
        again = client.post(f"{base}/purge-queue").json()
        codes = [client.get(f"{base}/status-sync/{name}").status_code for name in ids]
        spared = client.get(f"{emulator.url}/other/status-sync/{other}").json()["status"]

    assert purged == {"removed": 2, "status": "completed"}
    assert again == {"removed": 0, "status": "completed"}
    assert codes == [200, 404, 404]
    assert spared == "COMPLETED"


def test_a_purge_wakes_who_waits_for_a_purged_job(client: httpx.Client) -> None:
    with Emulator(latency=Latency(queue=60)) as emulator, httpx.Client(headers=client.headers) as other:
        base = f"{emulator.url}/any"
        name = client.post(f"{base}/run", json=ECHO).json()["id"]
        other.post(f"{base}/purge-queue")
        answer = client.get(f"{base}/status-sync/{name}")

    assert answer.status_code == 404


def test_a_stream_hands_out_each_piece_once_and_then_the_end(client: httpx.Client) -> None:
    with Emulator(latency=Latency(execution=0.2)) as emulator:
        base = f"{emulator.url}/any"
        name = client.post(f"{base}/run", json=PIECES).json()["id"]
        said = streamed(client, base, name)
        ended = client.get(f"{base}/status/{name}").json()
        nothing = client.post(f"{base}/stream/{name}").json()

    assert [piece["output"] for one in said for piece in one["stream"]] == ["a", {"b": 2}, 3]
    assert said[0]["status"] == "IN_PROGRESS"
    assert said[-1] == {"status": "COMPLETED", "stream": []}
    assert ended["output"] == ["a", {"b": 2}, 3]
    assert nothing == {"status": "COMPLETED", "stream": []}


def test_a_native_text_streams_in_batches_of_tokens_with_the_bill_last(client: httpx.Client) -> None:
    body = {"input": {"prompt": "Write about a blue bicycle.", "stream": True}}
    with Emulator({"writer": Endpoint("text", usd=10.0, per="1m_tokens")}) as emulator:
        base = f"{emulator.url}/writer"
        name = client.post(f"{base}/run", json=body).json()["id"]
        parts = [piece["output"] for one in streamed(client, base, name) for piece in one["stream"]]
        ended = client.get(f"{base}/status/{name}").json()

    assert len(parts) > 3
    assert "bicycle" in "".join(part["choices"][0]["tokens"][0] for part in parts)
    assert ["cost" in part for part in parts] == [False] * (len(parts) - 1) + [True]
    assert parts[-1]["usage"]["output"] > 0
    assert ended["output"] == parts


def test_a_text_model_whose_output_is_an_object_streams_too(client: httpx.Client) -> None:
    body = {"input": {"messages": [{"role": "user", "content": "Write about a blue bicycle."}], "stream": True}}
    with Emulator() as emulator:
        base = f"{emulator.url}/granite-4-0-h-small"
        name = client.post(f"{base}/run", json=body).json()["id"]
        parts = [piece["output"] for one in streamed(client, base, name) for piece in one["stream"]]

    assert "bicycle" in "".join(part["choices"][0]["tokens"][0] for part in parts)


def test_a_stream_of_a_job_that_does_not_stream_is_empty_and_held_no_longer_than_asked(client: httpx.Client) -> None:
    with Emulator(latency=Latency(execution=9)) as emulator:
        base = f"{emulator.url}/any"
        name = client.post(f"{base}/run", json=ECHO).json()["id"]
        begun = time.monotonic()
        said = client.get(f"{base}/stream/{name}?wait=50").json()
        took = time.monotonic() - begun

    assert said == {"status": "IN_PROGRESS", "stream": []}
    assert 0.05 <= took < 0.5


def test_a_stream_can_be_the_bare_array_of_the_docs(client: httpx.Client) -> None:
    with Emulator(streams="array") as emulator:
        base = f"{emulator.url}/any"
        name = ran(client, base, PIECES)["id"]
        said = client.get(f"{base}/stream/{name}").json()

    assert said == [{"metrics": {}, "output": piece} for piece in ("a", {"b": 2}, 3)]


@pytest.mark.parametrize("path", ["status/x", "status-sync/x", "stream/x", "cancel/x", "retry/x"])
def test_a_job_that_never_was_is_404_everywhere(client: httpx.Client, path: str) -> None:
    with Emulator() as emulator:
        answer = client.post(f"{emulator.url}/any/{path}")

    assert answer.status_code == 404
    assert answer.json() == {"error": "job not found"}


def test_health_counts_what_has_ended_even_after_it_is_forgotten(client: httpx.Client) -> None:
    with Emulator(faults=["job=FAILED", "job=TIMED_OUT@1"], retention=Retention(run=0.3)) as emulator:
        base = f"{emulator.url}/any"
        name = ran(client, base, ECHO)["id"]
        client.post(f"{base}/retry/{name}")
        for _ in range(3):
            ran(client, base, ECHO)
        time.sleep(0.35)
        health = client.get(f"{base}/health").json()
        other = client.get(f"{emulator.url}/other/health").json()

    assert health["jobs"] == {"completed": 3, "failed": 2, "inProgress": 0, "inQueue": 0, "retried": 1}
    assert other["jobs"] == {"completed": 0, "failed": 0, "inProgress": 0, "inQueue": 0, "retried": 0}


def test_a_policy_and_s3_credentials_are_kept_with_the_job(client: httpx.Client) -> None:
    s3 = {"accessId": "a", "accessSecret": "b", "bucketName": "c", "endpointUrl": "https://s3.test"}
    body = {**ECHO, "policy": {"lowPriority": True, "ttl": 20_000, "executionTimeout": 7_000}, "s3Config": s3}
    with Emulator() as emulator:
        client.post(f"{emulator.url}/any/runsync", json=body)
        job = emulator.jobs[0]

    assert (job.policy.low, job.policy.ttl, job.policy.execution) == (True, 20.0, 7.0)
    assert job.s3 == s3


@pytest.mark.parametrize("operation", ["retry", "stream", "purge-queue"])
def test_the_rarer_operations_can_go_wrong_on_purpose_too(client: httpx.Client, operation: str) -> None:
    path = operation if operation == "purge-queue" else f"{operation}/x"
    with Emulator(faults=[f"{operation}=503"]) as emulator:
        answer = client.post(f"{emulator.url}/any/{path}")

    assert answer.status_code == 503
