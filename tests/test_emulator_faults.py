"""Faults on demand: each word, met over real HTTP, and what had happened by then."""

import time
from base64 import b64decode
from collections.abc import Iterator
from io import BytesIO
from typing import Any

import httpx2 as httpx
import pytest
from PIL import Image

from runner.emulator import OUTCOMES, Emulator, Fault, parse_fault

PICTURE = {"input": {"prompt": "a red teapot", "size": "64*48", "seed": 7}}
ECHO = {"input": {"anything": 1}}
CHAT = {"messages": [{"role": "user", "content": 'Describe a teapot as JSON {"title": string, "tags": [string]}'}]}


@pytest.fixture(scope="module")
def client() -> Iterator[httpx.Client]:
    with httpx.Client(headers={"Authorization": "Bearer rpa_test"}, timeout=5) as client:
        yield client


def outcome(client: httpx.Client, fault: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
    with Emulator(faults=[fault]) as emulator:
        envelope: dict[str, Any] = client.post(f"{emulator.url}/any/runsync", json=body or PICTURE).json()
        return envelope


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("run=500", Fault("run", "500")),
        ("run=429:2*3@1", Fault("run", "429", None, 3, 1, 2.0)),
        ("my-slug/status-sync=slow:0.5", Fault("status-sync", "slow", "my-slug", seconds=0.5)),
        ("job=error:json", Fault("job", "error:json")),
        ("any=cut*2", Fault("any", "cut", times=2)),
        ("media=huge:length", Fault("media", "huge:length")),
    ],
)
def test_a_fault_is_read_from_text(text: str, fault: Fault) -> None:
    assert parse_fault(text) == fault


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("", "OPERATION=OUTCOME"),
        ("run", "OPERATION=OUTCOME"),
        ("walk=500", "the operations are run, runsync"),
        ("run=418", "it can end in 400, 401"),
        ("run=badjson", "it can end in 400, 401"),
        ("job=500", "it can end in FAILED"),
        ("run=slow", "slow:1.5"),
        ("run=cut:3", "take seconds"),
    ],
)
def test_a_fault_that_cannot_be_is_refused_with_the_words_that_can(text: str, hint: str) -> None:
    with pytest.raises(ValueError, match=hint):
        parse_fault(text)


def test_every_word_of_the_table_can_be_written() -> None:
    for operation, words in OUTCOMES.items():
        for word in words:
            assert parse_fault(f"{operation}={word}{':1' if word == 'slow' else ''}").outcome == word


@pytest.mark.parametrize("code", ["400", "401", "402", "404", "408", "413", "429", "500", "502", "503", "504"])
def test_a_status_code_strikes_before_anything_happens(client: httpx.Client, code: str) -> None:
    with Emulator(faults=[f"run={code}"]) as emulator:
        refused = client.post(f"{emulator.url}/any/run", json=ECHO)
        accepted = client.post(f"{emulator.url}/any/run", json=ECHO)

    assert refused.status_code == int(code)
    assert refused.json()["error"]
    assert accepted.status_code == 200
    assert len(emulator.jobs) == 1
    assert [request.fault for request in emulator.requests] == [code, None]


def test_times_and_skip_count_the_requests_that_match(client: httpx.Client) -> None:
    with Emulator(faults=["any/health=503*2@1", "other/health=500*always"]) as emulator:
        codes = [client.get(f"{emulator.url}/any/health").status_code for _ in range(5)]

    assert codes == [200, 503, 503, 200, 200]


def test_retry_after_is_sent_only_when_it_was_asked_for(client: httpx.Client) -> None:
    with Emulator(faults=["run=429:2", "run=429"]) as emulator:
        waits = [client.post(f"{emulator.url}/any/run", json=ECHO).headers.get("retry-after") for _ in range(2)]

    assert waits == ["2", None]


@pytest.mark.parametrize(
    ("word", "status", "start"),
    [("html", 502, "<!DOCTYPE"), ("notjson", 200, "upstream"), ("empty", 200, "")],
)
def test_an_answer_can_be_something_else_than_json(client: httpx.Client, word: str, status: int, start: str) -> None:
    with Emulator(faults=[f"status={word}"]) as emulator:
        answer = client.get(f"{emulator.url}/any/status/x")

    assert answer.status_code == status
    assert answer.text[:9] == start[:9] or answer.text.startswith(start)


@pytest.mark.parametrize("word", ["cut", "reset"])
def test_a_connection_that_dies_leaves_a_job_of_unknown_fate_that_runs(client: httpx.Client, word: str) -> None:
    with Emulator(faults=[f"run={word}"]) as emulator:
        with pytest.raises(httpx.TransportError):
            client.post(f"{emulator.url}/any/run", json=ECHO)
        state = client.get(f"{emulator.url}/any/status-sync/{emulator.jobs[0].id}").json()["status"]

    assert state == "COMPLETED"
    assert emulator.paid == 1


def test_a_hanging_answer_comes_never_though_the_job_exists(client: httpx.Client) -> None:
    with Emulator(faults=["run=hang"]) as emulator:
        with pytest.raises(httpx.ReadTimeout):
            client.post(f"{emulator.url}/any/run", json=ECHO, timeout=0.2)

        assert len(emulator.jobs) == 1
        assert emulator.requests[0].status is None


def test_a_slow_answer_is_late_and_right(client: httpx.Client) -> None:
    with Emulator(faults=["health=slow:0.2"]) as emulator:
        begun = time.monotonic()
        answer = client.get(f"{emulator.url}/any/health")

    assert answer.status_code == 200
    assert time.monotonic() - begun >= 0.2


@pytest.mark.parametrize("state", ["FAILED", "CANCELLED", "TIMED_OUT"])
def test_a_job_can_end_in_each_unhappy_state(client: httpx.Client, state: str) -> None:
    envelope = outcome(client, f"job={state}")

    assert envelope["status"] == state
    assert "output" not in envelope


def test_a_job_can_vanish_stay_stuck_or_complete_with_nothing(client: httpx.Client) -> None:
    with Emulator(faults=["job=EXPIRED", "job=STUCK", "job=NOOUTPUT", "job=PROGRESS"]) as emulator:
        base = f"{emulator.url}/any"
        ids = [client.post(f"{base}/run", json=ECHO).json()["id"] for _ in range(4)]
        expired = client.get(f"{base}/status-sync/{ids[0]}")
        stuck = client.get(f"{base}/status-sync/{ids[1]}?wait=1000").json()
        nothing = client.get(f"{base}/status-sync/{ids[2]}").json()
        progressed = client.get(f"{base}/status-sync/{ids[3]}").json()

    assert expired.status_code == 404
    assert stuck["status"] == "IN_PROGRESS"
    assert nothing["status"] == "COMPLETED"
    assert "output" not in nothing
    assert progressed["output"] == {"echo": ECHO["input"]}


@pytest.mark.parametrize(
    ("form", "start"), [("json", '{"error_type"'), ("repr", "{'message'"), ("upstream", "the upstream")]
)
def test_the_error_of_a_job_can_take_each_known_form(client: httpx.Client, form: str, start: str) -> None:
    envelope = outcome(client, f"job=error:{form}")

    assert envelope["status"] == "FAILED"
    assert envelope["error"].startswith(start)


@pytest.mark.parametrize(
    ("shape", "path"),
    [
        ("images", ("images", 0, "image")),
        ("comfy", ("images", 0, "data")),
        ("base64", ("image_url",)),
        ("datauri", ("image_url",)),
    ],
)
def test_an_output_can_carry_the_picture_itself(client: httpx.Client, shape: str, path: tuple[str | int, ...]) -> None:
    held = outcome(client, f"job={shape}")["output"]
    for step in path:
        held = held[step]

    assert Image.open(BytesIO(b64decode(held.rpartition(",")[2]))).size == (64, 48)
    assert held.startswith("data:image/jpeg;base64,") == (shape == "datauri")


def test_an_output_can_be_another_key_a_list_or_a_bare_address(client: httpx.Client) -> None:
    outputs = [outcome(client, f"job={shape}")["output"] for shape in ("result", "list", "string")]

    assert "/media/" in outputs[0]["result"]
    assert outputs[1][0]["seed"] == 7
    assert "/media/" in outputs[2]


def test_a_media_answer_can_be_no_picture_endless_or_cut(client: httpx.Client) -> None:
    with Emulator(faults=["media=notpicture", "media=huge", "media=huge:length", "any/media=cut"]) as emulator:
        url = client.post(f"{emulator.url}/any/runsync", json=PICTURE).json()["output"]["image_url"]
        page = httpx.get(url)
        lengths = []
        for _ in range(2):
            with httpx.stream("GET", url) as endless:
                lengths.append(endless.headers.get("content-length"))
                read = 0
                for chunk in endless.iter_raw():
                    read += len(chunk)
                    if read > 2_000_000:
                        break
        with pytest.raises(httpx.RemoteProtocolError):
            httpx.get(url)
        whole = httpx.get(url)

    assert page.headers["content-type"] == "image/png"
    assert page.text.startswith("<!DOCTYPE html>")
    assert lengths == [None, str(2**40)]
    assert Image.open(BytesIO(whole.content)).size == (64, 48)


@pytest.mark.parametrize(
    ("word", "starts", "finish"),
    [
        ("badjson", "", "stop"),
        ("fenced", "Here is", "stop"),
        ("length", "{", "length"),
        ("think", "<think>", "stop"),
    ],
)
def test_a_chat_can_answer_badly_in_each_known_manner(
    client: httpx.Client, word: str, starts: str, finish: str
) -> None:
    with Emulator(faults=[f"chat={word}"]) as emulator:
        choice = client.post(f"{emulator.url}/any/openai/v1/chat/completions", json=CHAT).json()["choices"][0]

    assert choice["message"]["content"].startswith(starts)
    assert choice["finish_reason"] == finish
    assert ("{" in choice["message"]["content"]) == (word != "badjson")


def test_a_refused_chat_speaks_the_form_of_openai(client: httpx.Client) -> None:
    with Emulator(faults=["chat=429:1"]) as emulator:
        answer = client.post(f"{emulator.url}/any/openai/v1/chat/completions", json=CHAT)

    assert answer.status_code == 429
    assert answer.headers["retry-after"] == "1"
    assert answer.json()["error"]["message"] == "too many requests"
    assert emulator.paid == 0


@pytest.mark.parametrize("word", ["cut", "reset"])
def test_a_stream_that_dies_gives_its_worker_back(client: httpx.Client, word: str) -> None:
    with Emulator(workers=1, faults=[f"chat={word}"]) as emulator:
        url = f"{emulator.url}/any/openai/v1/chat/completions"
        with pytest.raises(httpx.TransportError):
            client.post(url, json={**CHAT, "stream": True})
        answer = client.post(url, json=CHAT)

    assert answer.status_code == 200
    assert emulator.paid == 2


def test_faults_can_be_added_and_forgotten_while_it_runs(client: httpx.Client) -> None:
    with Emulator() as emulator:
        emulator.fail("health=500*always")
        broken = client.get(f"{emulator.url}/any/health").status_code
        emulator.heal()
        healed = client.get(f"{emulator.url}/any/health").status_code

    assert (broken, healed) == (500, 200)
