"""The worker's side of the queue, spoken over plain HTTP as the `runpod` package speaks it."""

import json
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import httpx2 as httpx
import pytest

from runner.emulator import Emulator, Endpoint, Retention, environment

HEADERS = {"Authorization": "Bearer rpa_test"}
INPUT = {"input": {"prompt": "a red teapot"}}
FORM = {"Content-Type": "application/x-www-form-urlencoded", "charset": "utf-8"}


@pytest.fixture(scope="module")
def client() -> Iterator[httpx.Client]:
    with httpx.Client(headers=HEADERS, timeout=5) as client:
        yield client


# One for all: a client of its own for each request would spend more time on certificates than on the request.
PLAIN = httpx.Client(timeout=5)


@dataclass
class Worker:
    """Sends what a `runpod` worker sends, without its Authorization: its environment had no key."""

    base: str
    name: str = "w1"

    def take(self, **query: Any) -> httpx.Response:
        return PLAIN.get(f"{self.base}/job-take/{self.name}", params={"gpu": "x", **query})

    def job(self) -> dict[str, Any]:
        taken: dict[str, Any] = self.take(job_in_progress=0).json()
        return taken

    def done(self, job: str, **said: Any) -> httpx.Response:
        return self._posts("job-done", job, said)

    def stream(self, job: str, piece: Any) -> httpx.Response:
        return self._posts("job-stream", job, {"output": piece})

    def ping(self, *jobs: str) -> httpx.Response:
        query = {"runpod_version": "1.12.0", **({"job_id": ",".join(jobs)} if jobs else {})}
        return PLAIN.get(f"{self.base}/ping/{self.name}", params=query)

    def stops(self) -> httpx.Response:
        return PLAIN.get(f"{self.base}/job-stop/{self.name}?gpu=x")

    def _posts(self, operation: str, job: str, said: Any) -> httpx.Response:
        url = f"{self.base}/{operation}/{self.name}/{job}?gpu=x&isStream=false"
        return PLAIN.post(url, content=json.dumps(said), headers=FORM)


def queued(client: httpx.Client, base: str, **more: Any) -> str:
    return str(client.post(f"{base}/run", json={**INPUT, **more}).json()["id"])


def status(client: httpx.Client, base: str, job: str) -> dict[str, Any]:
    said: dict[str, Any] = client.get(f"{base}/status/{job}").json()
    return said


def test_a_served_job_waits_for_a_worker_and_ends_as_it_says(client: httpx.Client) -> None:
    with Emulator(served=["private"]) as emulator:
        base = f"{emulator.url}/private"
        name = queued(client, base)
        time.sleep(0.05)
        waiting = status(client, base, name)
        worker = Worker(base)
        taken = worker.job()
        running = status(client, base, name)
        posted = worker.done(name, output={"answer": 42}).json()
        ended = client.get(f"{base}/status-sync/{name}").json()

    assert waiting == {"id": name, "status": "IN_QUEUE"}
    assert taken == {"id": name, **INPUT}
    assert (running["status"], running["workerId"]) == ("IN_PROGRESS", "w1")
    assert posted == {"status": "taken"}
    assert ended["status"] == "COMPLETED"
    assert ended["output"] == {"answer": 42}
    assert ended["delayTime"] >= 50
    assert emulator.paid == 1


def test_an_endpoint_is_served_from_the_moment_a_worker_asks_for_its_work(client: httpx.Client) -> None:
    with Emulator() as emulator:
        base = f"{emulator.url}/private"
        worker, jobs = Worker(base), list[Any]()
        thread = threading.Thread(target=lambda: jobs.append(worker.job()))
        thread.start()
        while emulator.count("job-take") == 0:
            pass
        client.get(f"{base}/health")  # answered after the worker's request, which came first
        name = queued(client, base)
        thread.join()
        other = client.post(f"{emulator.url}/other/runsync", json={"input": {"x": 1}}).json()

    assert [job["id"] for job in jobs] == [name]
    assert other["status"] == "COMPLETED"


def test_a_worker_is_told_of_the_webhook_and_of_the_bucket(client: httpx.Client) -> None:
    with Emulator(served=["private"]) as emulator:
        base = f"{emulator.url}/private"
        extras = {"webhook": "http://127.0.0.1:9/hook", "s3Config": {"bucketName": "b"}}
        name = queued(client, base, **extras)
        taken = Worker(base).job()

    assert taken == {"id": name, **INPUT, **extras}


def test_jobs_are_handed_out_once_each_in_order_and_in_batches_as_asked(client: httpx.Client) -> None:
    with Emulator(served=["private"]) as emulator:
        base = f"{emulator.url}/private"
        names = [queued(client, base) for _ in range(5)]
        first = Worker(base, "a").job()["id"]
        batch = httpx.get(f"{base}/job-take-batch/b?gpu=x&batch_size=3&job_in_progress=0").json()
        last = httpx.get(f"{base}/job-take-batch/a?gpu=x&batch_size=3&job_in_progress=1").json()
        health = client.get(f"{base}/health").json()

    assert [first, *(job["id"] for job in batch), *(job["id"] for job in last)] == names
    assert health["jobs"]["inProgress"] == 5
    assert (health["workers"]["running"], health["workers"]["idle"]) == (2, 0)


def test_an_address_without_a_query_is_understood_with_what_the_worker_adds_to_it(client: httpx.Client) -> None:
    with Emulator(served=["private"]) as emulator:
        base = f"{emulator.url}/private"
        name = queued(client, base)
        taken = httpx.get(f"{base}/job-take-batch/w1&batch_size=2&job_in_progress=0").json()
        posted = httpx.post(f"{base}/job-done/w1/{name}&isStream=false", content=b'{"output": 1}')

    assert [job["id"] for job in taken] == [name]
    assert posted.json() == {"status": "taken"}


def test_two_workers_that_wait_get_a_job_each(client: httpx.Client) -> None:
    with Emulator(served=["private"]) as emulator:
        base = f"{emulator.url}/private"
        taken: dict[str, str] = {}

        def asks(name: str) -> None:
            taken[name] = Worker(base, name).job()["id"]

        threads = [threading.Thread(target=asks, args=(name,)) for name in "ab"]
        for thread in threads:
            thread.start()
        while client.get(f"{base}/health").json()["workers"]["idle"] < 2:
            pass
        names = {queued(client, base) for _ in range(2)}
        for thread in threads:
            thread.join()

    assert set(taken.values()) == names


def test_many_workers_do_each_of_many_jobs_exactly_once(client: httpx.Client) -> None:
    with Emulator(served=["private"]) as emulator:
        base = f"{emulator.url}/private"
        done: list[str] = []

        def works(name: str) -> None:
            worker = Worker(base, name)
            with httpx.Client() as own:
                for _ in range(10):
                    job = own.get(f"{base}/job-take/{name}?gpu=x").json()["id"]
                    done.append(job)
                    own.post(f"{base}/job-done/{worker.name}/{job}?gpu=x", json={"output": name})

        threads = [threading.Thread(target=works, args=(f"w{number}",)) for number in range(8)]
        for thread in threads:
            thread.start()
        names = [queued(client, base) for _ in range(80)]
        for thread in threads:
            thread.join()
        health = client.get(f"{base}/health").json()["jobs"]

    assert sorted(done) == sorted(names)
    assert health == {"completed": 80, "failed": 0, "inProgress": 0, "inQueue": 0, "retried": 0}


def test_faults_of_jobs_are_kept_for_the_endpoints_that_the_emulator_plays(client: httpx.Client) -> None:
    with Emulator(served=["private"], faults=["job=FAILED"]) as emulator:
        queued(client, f"{emulator.url}/private")
        played = client.post(f"{emulator.url}/any/runsync", json={"input": {"x": 1}}).json()

    assert played["status"] == "FAILED"


def test_a_worker_that_hung_up_while_it_waited_is_given_nothing(client: httpx.Client) -> None:
    with Emulator(served=["private"]) as emulator:
        base = f"{emulator.url}/private"
        with pytest.raises(httpx.ReadTimeout):
            httpx.get(f"{base}/job-take/gone?gpu=x", timeout=0.1)
        while emulator.requests[0].status is None:
            pass
        name = queued(client, base)
        taken = Worker(base).job()

    assert taken["id"] == name


@pytest.mark.parametrize(
    ("said", "state", "output", "error"),
    [
        ({"output": "text"}, "COMPLETED", "text", None),
        ({"output": False}, "COMPLETED", False, None),
        ({}, "COMPLETED", None, None),
        ({"error": "no such file"}, "FAILED", None, "no such file"),
        ({"error": "half", "output": {"rest": 1}}, "FAILED", {"rest": 1}, "half"),
        ({"error": {"code": 7}, "output": {"rest": 1}}, "COMPLETED", None, None),
        ({"output": [], "stopPod": True}, "COMPLETED", [], None),
    ],
)
def test_what_a_worker_reports_decides_how_a_job_ends(
    client: httpx.Client, said: dict[str, Any], state: str, output: object, error: str | None
) -> None:
    with Emulator(served=["private"]) as emulator:
        base = f"{emulator.url}/private"
        name = queued(client, base)
        worker = Worker(base)
        worker.job()
        worker.done(name, **said)
        ended = status(client, base, name)

    assert (ended["status"], ended.get("output"), ended.get("error")) == (state, output, error)


def test_pieces_of_a_worker_are_streamed_and_progress_shows_in_status(client: httpx.Client) -> None:
    with Emulator(served=["private"]) as emulator:
        base = f"{emulator.url}/private"
        name = queued(client, base)
        worker = Worker(base)
        worker.job()
        worker.stream(name, "Hel")
        worker.stream(name, {"more": "lo"})
        first = client.get(f"{base}/stream/{name}").json()
        worker.done(name, status="IN_PROGRESS", output="50%")
        halfway = status(client, base, name)
        worker.stream(name, None)
        worker.done(name, output=["Hel", "lo"])
        last = client.get(f"{base}/stream/{name}").json()
        ended = status(client, base, name)

    assert first == {"status": "IN_PROGRESS", "stream": [{"output": "Hel"}, {"output": {"more": "lo"}}]}
    assert (halfway["status"], halfway["output"]) == ("IN_PROGRESS", "50%")
    assert last == {"status": "COMPLETED", "stream": [{"output": None}]}
    assert ended["output"] == ["Hel", "lo"]


def test_a_cancelled_job_is_named_to_its_worker_and_its_late_outcome_counts_for_nothing(client: httpx.Client) -> None:
    with Emulator(served=["private"]) as emulator:
        base = f"{emulator.url}/private"
        queued_only, name = queued(client, base), ""
        client.post(f"{base}/cancel/{queued_only}")
        name = queued(client, base)
        worker = Worker(base)
        worker.job()
        stops = list[Any]()
        thread = threading.Thread(target=lambda: stops.append(worker.stops().json()))
        thread.start()
        while emulator.count("job-stop") == 0:
            pass
        cancelled = client.post(f"{base}/cancel/{name}").json()
        thread.join()
        late = worker.done(name, output="too late")
        ended = status(client, base, name)

    assert cancelled == {"id": name, "status": "CANCELLED"}
    assert stops == [{"jobsToStop": [name]}]
    assert (late.status_code, late.json()) == (200, {"status": "late"})
    assert ended["status"] == "CANCELLED"
    assert "output" not in ended
    assert emulator.paid == 0


def test_a_worker_that_goes_on_with_what_nobody_wants_is_told_so_again_after_each_ping(client: httpx.Client) -> None:
    with Emulator(served=["private"]) as emulator:
        base = f"{emulator.url}/private"
        name = queued(client, base)
        worker = Worker(base)
        worker.job()
        client.post(f"{base}/cancel/{name}")
        first = worker.stops().json()
        worker.ping(name)
        worker.ping(name)
        second = worker.stops().json()

    assert first == second == {"jobsToStop": [name]}


def test_a_job_past_its_execution_timeout_is_taken_from_its_worker(client: httpx.Client) -> None:
    with Emulator(served=["private"]) as emulator:
        base = f"{emulator.url}/private"
        name = queued(client, base, policy={"executionTimeout": 50})
        worker = Worker(base)
        worker.job()
        ended = client.get(f"{base}/status-sync/{name}").json()
        stops = worker.stops().json()

    assert ended["status"] == "TIMED_OUT"
    assert stops == {"jobsToStop": [name]}


def test_a_retry_after_a_timeout_reaches_a_worker_who_is_not_told_to_stop_it(client: httpx.Client) -> None:
    with Emulator(served=["private"]) as emulator:
        base = f"{emulator.url}/private"
        name = queued(client, base, policy={"executionTimeout": 400})
        worker = Worker(base)
        worker.job()
        client.get(f"{base}/status-sync/{name}")
        client.post(f"{base}/retry/{name}")
        again = worker.job()
        worker.done(name, output="at last")
        ended = status(client, base, name)

    assert again["id"] == name
    assert (ended["status"], ended["output"], ended["retries"]) == ("COMPLETED", "at last", 1)


def test_a_job_that_its_worker_no_longer_mentions_goes_to_another_one_and_then_times_out(client: httpx.Client) -> None:
    with Emulator(served=["private"], worker_patience=0.4) as emulator:
        base = f"{emulator.url}/private"
        name = queued(client, base)
        first, second = Worker(base, "a"), Worker(base, "b")
        first.job()
        first.stream(name, "half of it")
        for _ in range(4):
            first.ping(name)
            time.sleep(0.15)
        held = status(client, base, name)
        again = second.job()
        second.ping(name)
        health = client.get(f"{base}/health").json()["jobs"]
        late = first.done(name, output="back from the dead").json()
        told = first.stops().json()
        ended = client.get(f"{base}/status-sync/{name}").json()
        stream = client.get(f"{base}/stream/{name}").json()

    assert held["workerId"] == "a"
    assert again["id"] == name
    assert late == {"status": "late"}
    assert told == {"jobsToStop": [name]}
    assert (health["inProgress"], health["retried"]) == (1, 1)
    assert ended["status"] == "TIMED_OUT"
    assert ended["error"] == "job timed out after 1 retries: its worker fell silent"
    assert stream["stream"] == []


def test_a_worker_without_a_key_sends_no_pings_and_keeps_its_job(client: httpx.Client) -> None:
    with Emulator(served=["private"], worker_patience=0.05) as emulator:
        base = f"{emulator.url}/private"
        name = queued(client, base)
        worker = Worker(base)
        worker.job()
        time.sleep(0.15)
        worker.done(name, output="still here")
        ended = status(client, base, name)

    assert ended["output"] == "still here"


def test_a_served_job_that_nobody_takes_times_out_with_its_ttl(client: httpx.Client) -> None:
    with Emulator(served=["private"]) as emulator:
        base = f"{emulator.url}/private"
        name = queued(client, base, policy={"ttl": 50})
        ended = client.get(f"{base}/status-sync/{name}").json()
        queued(client, base)
        taken = Worker(base).job()

    assert ended["status"] == "TIMED_OUT"
    assert taken["id"] != name


def test_a_purge_empties_the_line_of_a_served_endpoint(client: httpx.Client) -> None:
    with Emulator(served=["private"]) as emulator:
        base = f"{emulator.url}/private"
        running = queued(client, base)
        worker = Worker(base)
        worker.job()
        queued(client, base)
        purged = client.post(f"{base}/purge-queue").json()
        worker.done(running, output=1)
        kept = status(client, base, running)["status"]
        fresh = queued(client, base)
        taken = worker.job()["id"]

    assert purged["removed"] == 1
    assert kept == "COMPLETED"
    assert taken == fresh


def test_what_a_worker_says_of_a_job_that_never_was_is_404(client: httpx.Client) -> None:
    with Emulator(served=["private"]) as emulator:
        worker = Worker(f"{emulator.url}/private")
        codes = [worker.done("x", output=1).status_code, worker.stream("x", 1).status_code]

    assert codes == [404, 404]


def test_an_outcome_of_somebody_else_counts_for_nothing(client: httpx.Client) -> None:
    with Emulator(served=["private", "other"]) as emulator:
        base = f"{emulator.url}/private"
        name = queued(client, base)
        Worker(base, "a").job()
        thief = Worker(base, "b").done(name, output="stolen").json()
        stranger = Worker(f"{emulator.url}/other", "a").done(name, output="stolen").status_code
        running = status(client, base, name)["status"]

    assert thief == {"status": "late"}
    assert stranger == 404
    assert running == "IN_PROGRESS"


def test_a_worker_needs_a_key_only_where_clients_need_a_certain_one(client: httpx.Client) -> None:
    with Emulator(keys=["rpa_good"], served=["private"]) as emulator:
        url = f"{emulator.url}/private/ping/w1"
        codes = [httpx.get(url, headers={"Authorization": key}).status_code for key in ("", "rpa_bad", "rpa_good")]

    assert codes == [401, 401, 200]


def test_a_served_endpoint_need_not_be_in_the_table(client: httpx.Client) -> None:
    with Emulator({"known": Endpoint("echo")}, served=["private"]) as emulator:
        served = client.post(f"{emulator.url}/private/run", json=INPUT).status_code
        unknown = httpx.get(f"{emulator.url}/unknown/job-take/w1?gpu=x").status_code

    assert (served, unknown) == (200, 404)


def test_faults_for_any_operation_spare_the_worker_unless_it_is_named(client: httpx.Client) -> None:
    with Emulator(faults=["any=500*always", "job-take=429"], served=["private"]) as emulator:
        worker = Worker(f"{emulator.url}/private")
        codes = [client.get(f"{worker.base}/health").status_code, worker.ping().status_code, worker.take().status_code]

    assert codes == [500, 200, 429]


def test_a_job_that_is_gone_while_a_worker_has_it_is_gone_for_good(client: httpx.Client) -> None:
    with Emulator(served=["private"], retention=Retention(run=0.05)) as emulator:
        base = f"{emulator.url}/private"
        name = queued(client, base)
        worker = Worker(base)
        worker.job()
        client.get(f"{base}/status/{name}?ttl=20")
        stops = worker.stops().json()
        code = worker.done(name, output=1).status_code

    assert stops == {"jobsToStop": [name]}
    assert code == 404


def test_the_emulator_stops_at_once_while_workers_wait(client: httpx.Client) -> None:
    with Emulator(served=["private"]) as emulator:
        worker = Worker(f"{emulator.url}/private")

        def waits(ask: Any) -> None:
            with pytest.raises(httpx.TransportError):
                ask()

        threads = [threading.Thread(target=waits, args=(ask,)) for ask in (worker.take, worker.stops)]
        for thread in threads:
            thread.start()
        while emulator.count("job-take") + emulator.count("job-stop") < 2:
            pass
        begun = time.monotonic()
    took = time.monotonic() - begun
    for thread in threads:
        thread.join()

    assert took < 0.5


def test_the_environment_of_a_worker_names_every_address_of_its_endpoint() -> None:
    found = environment("http://127.0.0.1:8787/v2", "private")

    assert found["RUNPOD_WEBHOOK_GET_JOB"] == "http://127.0.0.1:8787/v2/private/job-take/$ID?gpu=emulated"
    assert found["RUNPOD_SKIP_AUTO_SYSTEM_CHECKS"] == "true"
    assert all("?" in value for name, value in found.items() if name.startswith("RUNPOD_WEBHOOK"))


CHAT = {"model": "mine", "messages": [{"role": "user", "content": "Hello?"}]}
BODY = {"object": "chat.completion", "choices": [{"index": 0, "message": {"role": "assistant", "content": "Hello!"}}]}


def relayed(emulator: Emulator, act: Any, body: dict[str, Any]) -> tuple[httpx.Response, dict[str, Any]]:
    """A chat with a served endpoint, and the job that its worker was given; `act` is what the worker does with it."""
    worker, given = Worker(f"{emulator.url}/private"), list[dict[str, Any]]()

    def works() -> None:
        given.append(worker.job())
        act(worker, given[0]["id"])

    thread = threading.Thread(target=works)
    thread.start()
    url = f"{emulator.url}/private/openai/v1/chat/completions"
    answer = httpx.post(url, json=body, headers=HEADERS, timeout=10)
    thread.join()
    return answer, given[0]


def test_a_chat_with_a_served_endpoint_is_a_job_for_its_worker() -> None:
    with Emulator(served=["private"]) as emulator:
        answer, given = relayed(emulator, lambda worker, job: worker.done(job, output=[BODY]), CHAT)

    assert given["input"] == {"openai_route": "/v1/chat/completions", "openai_input": CHAT}
    assert (answer.status_code, answer.json()) == (200, BODY)
    assert emulator.paid == 1


def test_events_that_a_worker_streams_reach_the_chat_as_they_are() -> None:
    raw = ['data: {"choices":[{"delta":{"content":"Hel', 'lo"}}]}\n\ndata: [DONE]\n\n']

    def streams(worker: Worker, job: str) -> None:
        for piece in raw:
            worker.stream(job, piece)
        worker.done(job, output=[])

    with Emulator(served=["private"]) as emulator:
        answer, _ = relayed(emulator, streams, {**CHAT, "stream": True})

    assert answer.headers["content-type"].startswith("text/event-stream")
    assert answer.text == "".join(raw)


@pytest.mark.parametrize("stream", [False, True])
def test_a_worker_that_fails_fails_the_chat_with_its_words(stream: bool) -> None:
    with Emulator(served=["private"]) as emulator:
        body = {**CHAT, "stream": stream}
        answer, _ = relayed(emulator, lambda worker, job: worker.done(job, error="out of memory"), body)

    assert answer.status_code == (200 if stream else 500)
    assert "out of memory" in answer.text


def test_a_chat_that_hangs_up_while_it_is_streamed_cancels_its_job() -> None:
    with Emulator(served=["private"]) as emulator:
        worker = Worker(f"{emulator.url}/private")
        url = f"{emulator.url}/private/openai/v1/chat/completions"
        with httpx.stream("POST", url, json={**CHAT, "stream": True}, headers=HEADERS) as answer:
            job = worker.job()["id"]
            worker.stream(job, "data: {}\n\n")
            next(answer.iter_raw())
        stops = worker.stops().json()

    assert stops == {"jobsToStop": [job]}
