"""The job API of the emulator, met over real HTTP."""

import time
from collections.abc import Iterator
from typing import Any

import httpx2 as httpx
import pytest

from runner.emulator import Emulator, Endpoint, Latency, Retention

PICTURE = {"input": {"prompt": "a red teapot", "width": 128, "height": 96, "seed": 7}}
ECHO = {"input": {"anything": 1}}


@pytest.fixture(scope="module")
def client() -> Iterator[httpx.Client]:
    with httpx.Client(headers={"Authorization": "Bearer rpa_test"}, timeout=5) as client:
        yield client


def ran(client: httpx.Client, base: str, body: dict[str, Any]) -> dict[str, Any]:
    job = client.post(f"{base}/run", json=body).json()
    envelope: dict[str, Any] = client.get(f"{base}/status-sync/{job['id']}").json()
    return envelope


def test_a_run_is_queued_at_once_and_completes(client: httpx.Client) -> None:
    with Emulator() as emulator:
        queued = client.post(f"{emulator.url}/any/run", json=PICTURE).json()
        ended = client.get(f"{emulator.url}/any/status-sync/{queued['id']}").json()
        again = client.post(f"{emulator.url}/any/status/{queued['id']}").json()

    assert queued == {"id": queued["id"], "status": "IN_QUEUE"}
    assert queued["id"].endswith("-u1")
    assert ended["status"] == "COMPLETED"
    assert ended == again
    assert {"delayTime", "executionTime", "workerId"} <= ended.keys()
    assert emulator.paid == 1


def test_runsync_answers_with_the_outcome_and_its_own_form_of_id(client: httpx.Client) -> None:
    with Emulator() as emulator:
        ended = client.post(f"{emulator.url}/any/runsync", json=PICTURE).json()

    assert ended["id"].startswith("sync-")
    assert ended["status"] == "COMPLETED"


def test_runsync_answers_with_the_state_when_its_wait_runs_out(client: httpx.Client) -> None:
    with Emulator(latency=Latency(execution=9)) as emulator:
        begun = time.monotonic()
        held = client.post(f"{emulator.url}/any/runsync?wait=1", json=ECHO).json()
        took = time.monotonic() - begun

    assert held["status"] == "IN_PROGRESS"
    assert "executionTime" not in held
    assert 0.9 < took < 2


def test_a_long_poll_wakes_the_moment_the_job_ends(client: httpx.Client) -> None:
    with Emulator(latency=Latency(queue=0.1, execution=0.2)) as emulator:
        begun = time.monotonic()
        ended = ran(client, f"{emulator.url}/any", ECHO)
        took = time.monotonic() - begun

    assert ended["status"] == "COMPLETED"
    assert 0.3 <= took < 0.45
    assert 100 <= ended["delayTime"] < 150
    assert 200 <= ended["executionTime"] < 250


def test_jobs_wait_for_one_of_the_workers(client: httpx.Client) -> None:
    with Emulator(workers=1, latency=Latency(execution=0.1)) as emulator:
        base = f"{emulator.url}/any"
        ids = [client.post(f"{base}/run", json=ECHO).json()["id"] for _ in range(3)]
        health = client.get(f"{base}/health").json()
        delays = [client.get(f"{base}/status-sync/{name}").json()["delayTime"] for name in ids]

    assert health["jobs"]["inProgress"] == 1
    assert health["jobs"]["inQueue"] == 2
    assert health["workers"]["running"] == 1
    assert delays == sorted(delays)
    assert delays[2] > 100  # two turns of 0.1 s before it, less what it took to hand them in
    assert emulator.peak == 3


def test_latency_can_differ_by_endpoint_and_change_while_it_runs(client: httpx.Client) -> None:
    with Emulator(latency={"slow": Latency(execution=0.2)}) as emulator:
        slow = ran(client, f"{emulator.url}/slow", ECHO)["executionTime"]
        fast = ran(client, f"{emulator.url}/fast", ECHO)["executionTime"]
        emulator.latency = Latency()
        changed = ran(client, f"{emulator.url}/slow", ECHO)["executionTime"]

    assert slow >= 200
    assert fast < 100
    assert changed < 100


def test_cancel_ends_a_running_job_and_leaves_a_finished_one(client: httpx.Client) -> None:
    with Emulator(latency={"slow": Latency(execution=9)}) as emulator:
        running = client.post(f"{emulator.url}/slow/run", json=ECHO).json()["id"]
        finished = ran(client, f"{emulator.url}/fast", ECHO)["id"]
        cancelled = client.post(f"{emulator.url}/slow/cancel/{running}").json()
        kept = client.post(f"{emulator.url}/fast/cancel/{finished}").json()
        state = client.get(f"{emulator.url}/slow/status-sync/{running}").json()["status"]

    assert cancelled == {"id": running, "status": "CANCELLED"}
    assert kept["status"] == "COMPLETED"
    assert state == "CANCELLED"
    assert emulator.paid == 1


@pytest.mark.parametrize("header", ["Bearer rpa_good", "rpa_good"])
def test_a_key_is_accepted_with_and_without_bearer(header: str) -> None:
    with Emulator(keys=["rpa_good"]) as emulator:
        answer = httpx.get(f"{emulator.url}/any/health", headers={"Authorization": header})

    assert answer.status_code == 200


@pytest.mark.parametrize("headers", [{}, {"Authorization": "Bearer"}, {"Authorization": "Bearer rpa_bad"}])
def test_a_missing_or_wrong_key_is_401(headers: dict[str, str]) -> None:
    with Emulator(keys=["rpa_good"]) as emulator:
        answer = httpx.post(f"{emulator.url}/any/run", json=ECHO, headers=headers)

    assert answer.status_code == 401
    assert emulator.jobs == ()


def test_an_endpoint_that_is_not_in_the_table_is_404(client: httpx.Client) -> None:
    with Emulator({"known": Endpoint("echo")}) as emulator:
        known = client.post(f"{emulator.url}/known/run", json=ECHO)
        unknown = client.post(f"{emulator.url}/unknown/run", json=ECHO)

    assert known.status_code == 200
    assert unknown.status_code == 404


@pytest.mark.parametrize("body", [b"", b"not json", b"[]", b"{}", b'{"input": 3}'])
def test_a_body_without_an_input_object_is_400(client: httpx.Client, body: bytes) -> None:
    with Emulator() as emulator:
        answer = client.post(f"{emulator.url}/any/run", content=body)

    assert answer.status_code == 400
    assert "input" in answer.json()["error"]


@pytest.mark.parametrize(
    ("operation", "megabytes", "status"), [("run", 11, 413), ("runsync", 11, 200), ("runsync", 21, 413)]
)
def test_a_body_over_the_limit_is_413(client: httpx.Client, operation: str, megabytes: int, status: int) -> None:
    body = b'{"input": {"padding": "' + b"x" * megabytes * 1_000_000 + b'"}}'

    with Emulator() as emulator:
        answer = client.post(f"{emulator.url}/any/{operation}", content=body)

    assert answer.status_code == status


def test_outcomes_are_forgotten_when_their_retention_ends(client: httpx.Client) -> None:
    with Emulator(retention=Retention(run=0.4, runsync=0.05)) as emulator:
        base = f"{emulator.url}/any"
        lasting, brief = ran(client, base, ECHO)["id"], client.post(f"{base}/runsync", json=ECHO).json()["id"]
        time.sleep(0.1)
        early = [client.get(f"{base}/status/{name}").status_code for name in (lasting, brief)]
        time.sleep(0.4)
        late = client.get(f"{base}/status-sync/{lasting}").status_code

    assert early == [200, 404]
    assert late == 404


def test_ttl_on_status_shortens_what_is_left(client: httpx.Client) -> None:
    with Emulator() as emulator:
        name = ran(client, f"{emulator.url}/any", ECHO)["id"]
        client.get(f"{emulator.url}/any/status/{name}?ttl=20")
        time.sleep(0.06)
        answer = client.get(f"{emulator.url}/any/status/{name}")

    assert answer.status_code == 404


def test_a_job_past_its_execution_timeout_times_out(client: httpx.Client) -> None:
    with Emulator(latency=Latency(execution=9)) as emulator:
        ended = ran(client, f"{emulator.url}/any", {**ECHO, "policy": {"executionTimeout": 50}})

    assert ended["status"] == "TIMED_OUT"
    assert emulator.paid == 0


def test_a_ttl_that_ends_in_the_queue_times_out_and_one_that_ends_later_vanishes(
    client: httpx.Client,
) -> None:
    with Emulator(latency={"queued": Latency(queue=9), "running": Latency(execution=9)}) as emulator:
        body = {**ECHO, "policy": {"ttl": 50}}
        queued = ran(client, f"{emulator.url}/queued", body)
        name = client.post(f"{emulator.url}/running/run", json=body).json()["id"]
        vanished = client.get(f"{emulator.url}/running/status-sync/{name}")

    assert queued["status"] == "TIMED_OUT"
    assert "delayTime" not in queued
    assert vanished.status_code == 404


def test_without_long_polling_status_sync_does_not_exist(client: httpx.Client) -> None:
    with Emulator(long_polling=False) as emulator:
        name = client.post(f"{emulator.url}/any/run", json=ECHO).json()["id"]
        sync = client.get(f"{emulator.url}/any/status-sync/{name}")
        plain = client.get(f"{emulator.url}/any/status/{name}")

    assert sync.status_code == 404
    assert plain.status_code == 200


def test_a_failed_job_is_an_envelope_or_http_400_as_asked(client: httpx.Client) -> None:
    body = {"input": {"prompt": "a teapot", "size": "banana"}}
    with Emulator() as usual, Emulator(failures="http400") as public:
        answers = [client.post(f"{one.url}/any/runsync", json=body) for one in (usual, public)]

    assert [answer.status_code for answer in answers] == [200, 400]
    assert all(answer.json()["status"] == "FAILED" for answer in answers)
    assert all("size must be in the format WIDTH*HEIGHT, not 'banana'" in a.json()["error"] for a in answers)


@pytest.mark.parametrize(
    ("endpoint", "cost"),
    [
        (Endpoint("image"), None),
        (Endpoint("image", usd=0.02), 0.02),
        (Endpoint("image", usd=0.0024, per="megapixel"), round(0.0024 * 128 * 96 / 1e6, 9)),
    ],
)
def test_the_cost_of_a_picture_follows_from_the_table(
    client: httpx.Client, endpoint: Endpoint, cost: float | None
) -> None:
    with Emulator({"painter": endpoint}) as emulator:
        output = ran(client, f"{emulator.url}/painter", PICTURE)["output"]

    assert output.get("cost") == cost


def test_a_native_text_job_answers_in_tokens_with_usage_and_cost(client: httpx.Client) -> None:
    with Emulator({"writer": Endpoint("text", usd=10.0, per="1m_tokens")}) as emulator:
        output = ran(client, f"{emulator.url}/writer", {"input": {"prompt": "Write about a blue bicycle."}})["output"]

    assert "bicycle" in output[0]["choices"][0]["tokens"][0]
    usage = output[0]["usage"]
    assert output[0]["cost"] == pytest.approx((usage["input"] + usage["output"]) * 1e-5)


def test_every_request_is_in_the_log_and_keys_sent_to_media_are_leaks(client: httpx.Client) -> None:
    with Emulator() as emulator:
        url = ran(client, f"{emulator.url}/any", PICTURE)["output"]["image_url"]
        httpx.get(url)
        client.get(url)
        client.get(f"{emulator.url}/any/nonsense?x=1")

    assert [request.operation for request in emulator.requests] == [
        "run",
        "status-sync",
        "media",
        "media",
        None,
    ]
    first = emulator.requests[0]
    assert (first.method, first.endpoint, first.has_key, first.body) == ("POST", "any", True, PICTURE)
    assert first.status == 200
    assert first.answered is not None
    assert first.answered >= first.started
    assert emulator.count("media") == 2
    assert [request.has_key for request in emulator.leaks] == [True]
    assert emulator.leaks[0].endpoint == "any"
    assert emulator.jobs[0].input == PICTURE["input"]
