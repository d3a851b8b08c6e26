"""`runner doctor`: every way in which a run cannot start is told apart, and nothing but GETs is sent."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from runner import doctor
from runner.emulator import Emulator

from .conftest import Cli
from .test_runpod import server

PIPELINE = """\
name: tiny
models:
  mine: {{model: llama-3, base_url: "{url}", api_key_env: MINE_KEY}}
steps:
  draft: {{kind: generate_text, model: qwen/qwen3-32b-awq, prompt: hi}}
  photo: {{kind: generate_image, model: 4m7x2k9q1a, prompt: hi}}
  own: {{kind: generate_text, model: mine, prompt: hi}}
"""
KEY = "rpa_0123456789abcdef"


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "RUNPOD_LIMITS", "MINE_KEY"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)


def saying(body: Any, *, of: str, code: int = 200) -> dict[str, tuple[int, dict[str, str], bytes]]:
    return {f"/v2/{of}/health": (code, {}, json.dumps(body).encode())}


def health(queued: int, **workers: int) -> dict[str, dict[str, int]]:
    return {"jobs": {"inQueue": queued, "inProgress": 0}, "workers": {"idle": 0, "running": 0, **workers}}


def findings(out: str) -> dict[str, list[tuple[str, str]]]:
    """What `--json` says: state and sentence, by what was looked at."""
    found: dict[str, list[tuple[str, str]]] = {}
    for row in json.loads(out)["findings"]:
        found.setdefault(row["what"], []).append((row["state"], row["said"]))
    return found


def test_all_is_well_where_the_key_is_accepted(cli: Cli, emulator: Emulator, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RUNPOD_BASE_URL", emulator.url)
    monkeypatch.setenv("RUNPOD_API_KEY", KEY)

    done = cli("doctor")

    assert (done.code, done.err) == (0, "")
    assert "RUNPOD_API_KEY is accepted" in done.out
    assert "jobs in the queue; workers: 1 idle" in done.out
    assert done.out.endswith("nothing is wrong\n")
    assert KEY not in done.out
    assert not Path(".runner").exists()


def test_without_a_key_it_says_how_to_get_on(cli: Cli, emulator: Emulator, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RUNPOD_BASE_URL", emulator.url)

    done = cli("doctor")

    assert done.code == 5
    assert "wrong key" in done.out
    assert "export RUNPOD_API_KEY=rpa_" in done.out
    assert done.out.endswith("1 thing is wrong\n")


@pytest.mark.parametrize(
    ("key", "state", "said"),
    [
        ("rpa_…", "wrong", "characters"),
        ("rpa_a b", "wrong", "characters"),
        ("rps_0123456789", "wrong", "S3"),
        ("sk-0123456789", "note", "does not begin with rpa_"),
    ],
)
def test_a_key_of_the_wrong_shape_is_told_and_never_shown(
    cli: Cli, monkeypatch: pytest.MonkeyPatch, key: str, state: str, said: str
) -> None:
    monkeypatch.setenv("RUNPOD_BASE_URL", "http://no-such-host.invalid/v2")
    monkeypatch.setenv("RUNPOD_API_KEY", key)

    done = cli("doctor", "--json")

    assert findings(done.out)["key"][0][0] == state
    assert said in findings(done.out)["key"][0][1]
    assert key not in done.out


@pytest.mark.parametrize("code", [401, 403])
def test_a_key_that_is_refused_is_told_once(cli: Cli, monkeypatch: pytest.MonkeyPatch, code: int) -> None:
    slug = doctor._public()
    with server(saying({"error": "bad key"}, of=slug, code=code)) as (url, asked):
        monkeypatch.setenv("RUNPOD_BASE_URL", f"{url}/v2")
        monkeypatch.setenv("RUNPOD_API_KEY", KEY)
        done = cli("doctor", "--json")

    found = findings(done.out)
    assert done.code == 5
    assert found["key"] == [("wrong", "RUNPOD_API_KEY is refused.")]
    assert [state for rows in found.values() for state, _ in rows].count("wrong") == 1
    assert len(asked) == 1


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("http://no-such-host.invalid/v2", "DNS: the name no-such-host.invalid is not found."),
        ("http://127.0.0.1:{closed}/v2", "TCP: nobody listens at 127.0.0.1:"),
        ("https://127.0.0.1:{open}/v2", "TLS: no secure connection to 127.0.0.1:"),
        ("http://127.0.0.1:{open}/elsewhere", "HTTP: http://127.0.0.1:{open}/elsewhere answers, and knows none of"),
        ("http://127.0.0.1:{open}/broken", "HTTP: "),
        ("http://127.0.0.1:{open}/page", "HTTP: "),
        ("runpod.ai", "RUNPOD_BASE_URL is 'runpod.ai'."),
    ],
)
def test_an_address_is_told_by_where_the_way_to_it_ends(
    cli: Cli, monkeypatch: pytest.MonkeyPatch, url: str, words: str
) -> None:
    slug = doctor._public()
    answers: dict[str, tuple[int, dict[str, str], bytes]] = {
        f"/broken/{slug}/health": (502, {}, b"{}"),
        f"/page/{slug}/health": (200, {}, b"<html>"),
    }
    with socket.socket() as taken, server(answers) as (base, _):
        taken.bind(("127.0.0.1", 0))  # bound and not listening
        ports = {"closed": taken.getsockname()[1], "open": base.rpartition(":")[2]}
        monkeypatch.setenv("RUNPOD_BASE_URL", url.format(**ports))
        monkeypatch.setenv("RUNPOD_API_KEY", KEY)
        done = cli("doctor", "--json")

    state, said = findings(done.out)["address"][0]
    assert (done.code, state) == (5, "wrong")
    assert said.startswith(words.format(**ports))


def test_the_endpoints_and_servers_of_a_pipeline_are_asked(
    cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers = saying(health(0, idle=1, ready=1, running=1), of="qwen3-32b-awq") | {
        "/v1/models": (200, {}, b'{"data": [{"id": "llama-3"}]}')
    }
    with server(answers) as (url, asked):
        (tmp_path / "tiny.yaml").write_text(PIPELINE.format(url=f"{url}/v1"))
        monkeypatch.setenv("RUNPOD_BASE_URL", f"{url}/v2")
        monkeypatch.setenv("RUNPOD_API_KEY", KEY)
        monkeypatch.setenv("MINE_KEY", "mine")
        done = cli("doctor", "tiny.yaml", "--json")

    found = findings(done.out)
    keys = {path: headers["Authorization"] for path, headers in asked}
    assert done.code == 5
    assert found["qwen3-32b-awq"] == [("ok", "0 jobs in the queue; workers: 1 idle, 1 running")]
    assert found["4m7x2k9q1a"] == [("wrong", "There is no such endpoint (404).")]
    assert found[f"{url}/v1"] == [("ok", "has llama-3")]
    assert keys == {
        "/v2/qwen3-32b-awq/health": f"Bearer {KEY}",
        "/v2/4m7x2k9q1a/health": f"Bearer {KEY}",
        "/v1/models": "Bearer mine",
    }


@pytest.mark.parametrize(
    ("answer", "key", "state", "said"),
    [
        ((200, b'{"data": [{"id": "llama-3.1"}]}'), "mine", "wrong", "It has no llama-3."),
        ((200, b"{}"), "mine", "note", "is there, and lists no models"),
        ((404, b""), "mine", "note", "is there, and does not tell its models"),
        ((401, b""), "mine", "wrong", "It refuses the key in MINE_KEY."),
        ((401, b""), "", "wrong", "Its key is not set: MINE_KEY."),
        ((500, b""), "mine", "wrong", "answered 500"),
        ((200, b"hello"), "mine", "wrong", "is not JSON"),
    ],
)
def test_what_another_server_lacks_is_told(
    cli: Cli,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    answer: tuple[int, bytes],
    key: str,
    state: str,
    said: str,
) -> None:
    answers = saying(health(0, idle=1, ready=1, running=1), of="qwen3-32b-awq") | {
        "/v1/models": (answer[0], {}, answer[1])
    }
    with server(answers) as (url, _):
        (tmp_path / "tiny.yaml").write_text(PIPELINE.format(url=f"{url}/v1"))
        monkeypatch.setenv("RUNPOD_BASE_URL", f"{url}/v2")
        monkeypatch.setenv("RUNPOD_API_KEY", KEY)
        monkeypatch.setenv("MINE_KEY", key)
        done = cli("doctor", "tiny.yaml", "--json")

    rows = findings(done.out)[f"{url}/v1"]
    assert [row[0] for row in rows] == [state]
    assert said in rows[0][1]


@pytest.mark.parametrize(
    ("body", "code", "state", "said"),
    [
        (health(3, throttled=2), 200, "note", "3 jobs in the queue; workers: 2 throttled"),
        (health(0), 200, "ok", "0 jobs in the queue; workers: none is up"),
        (health(1, initializing=1), 200, "ok", "1 job in the queue; workers: 1 initializing"),
        ([], 200, "note", "answers, and says nothing of jobs and workers"),
        ({"error": "slow"}, 429, "note", "over its rate limit (429): somebody asks it a lot"),
        ({"error": "boom"}, 500, "wrong", "4m7x2k9q1a answered 500: boom."),
        ({"error": "no"}, 401, "wrong", "The key may not use it."),
    ],
)  # fmt: skip
def test_what_an_endpoint_says_of_itself_is_told(
    cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, body: Any, code: int, state: str, said: str
) -> None:
    (tmp_path / "one.yaml").write_text(
        "name: one\nsteps: {photo: {kind: generate_image, model: 4m7x2k9q1a, prompt: hi}}\n"
    )
    with server(
        saying(body, of="4m7x2k9q1a", code=code) | saying(health(0, idle=1, ready=1, running=1), of=doctor._public())
    ) as (url, _):
        monkeypatch.setenv("RUNPOD_BASE_URL", f"{url}/v2")
        monkeypatch.setenv("RUNPOD_API_KEY", KEY)
        done = cli("doctor", "one.yaml", "--json")

    assert findings(done.out)["4m7x2k9q1a"] == [(state, said)]
    assert done.code == (5 if state == "wrong" else 0)


def test_a_pipeline_with_problems_is_told_and_the_rest_is_still_looked_at(
    cli: Cli, tmp_path: Path, emulator: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "bad.yaml").write_text("name: bad\nsteps: {a: {kind: generate_txet, prompt: hi}}\n")
    monkeypatch.setenv("RUNPOD_BASE_URL", emulator.url)
    monkeypatch.setenv("RUNPOD_API_KEY", KEY)

    done = cli("doctor", "bad.yaml")

    assert done.code == 5
    assert "wrong bad.yaml" in done.out
    assert "= runner check bad.yaml" in done.out
    assert "RUNPOD_API_KEY is accepted" in done.out


def test_with_local_the_emulator_is_asked_and_no_key_is_needed(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "tiny.yaml").write_text(PIPELINE.format(url="http://127.0.0.1:9/v1"))

    done = cli("doctor", "tiny.yaml", "--local", "--json")

    found = findings(done.out)
    assert done.code == 0
    assert found["key"] == [("ok", "none is needed with --local")]
    assert {"qwen3-32b-awq", "4m7x2k9q1a"} <= set(found)
    assert "http://127.0.0.1:9/v1" not in found


ELSEWHERE = """\
name: elsewhere
models: {{mine: {{model: llama-3, base_url: "{url}"}}}}
steps:
  own: {{kind: generate_text, model: mine, prompt: hi}}
"""
AROUND = "name: around\nsteps: {other: {kind: run_pipeline, file: elsewhere.yaml}}\n"


@pytest.mark.parametrize("key", [None, KEY], ids=["no key", "a key"])
@pytest.mark.parametrize("file", ["elsewhere.yaml", "around.yaml"])
def test_pipelines_that_ask_other_servers_only_need_no_key_and_runpod_is_not_asked(
    cli: Cli, tmp_path: Path, emulator: Emulator, monkeypatch: pytest.MonkeyPatch, file: str, key: str | None
) -> None:
    (tmp_path / "around.yaml").write_text(AROUND)
    monkeypatch.setenv("RUNPOD_BASE_URL", emulator.url)
    if key:
        monkeypatch.setenv("RUNPOD_API_KEY", key)

    with server({"/v1/models": (200, {}, b'{"data": [{"id": "llama-3"}]}')}) as (url, _):
        (tmp_path / "elsewhere.yaml").write_text(ELSEWHERE.format(url=f"{url}/v1"))
        done = cli("doctor", file, "--json")

    found = findings(done.out)
    assert done.code == 0, done.out
    assert found["key"] == [("ok", "none is needed: nothing here asks Runpod")]
    assert found[f"{url}/v1"] == [("ok", "has llama-3")]
    assert "address" not in found
    assert emulator.requests == ()


@pytest.mark.parametrize("files", [[], ["elsewhere.yaml"]], ids=["no pipeline", "other servers only"])
def test_with_local_no_endpoint_is_asked_that_nobody_uses(cli: Cli, tmp_path: Path, files: list[str]) -> None:
    (tmp_path / "elsewhere.yaml").write_text(ELSEWHERE.format(url="http://127.0.0.1:9/v1"))

    done = cli("doctor", "--local", "--json", *files)

    found = findings(done.out)
    assert done.code == 0
    assert list(found) == ["python", "packages", "store", "disk", *files, "key", "emulator"]


@pytest.mark.parametrize("broken", ["a file", "a store that is none"])
def test_a_store_that_cannot_be_used_is_told(cli: Cli, broken: str) -> None:
    if broken == "a file":
        Path(".runner").write_text("")
    else:
        Path(".runner/store").mkdir(parents=True)
        Path(".runner/store/replies.sqlite").write_bytes(b"this is no database" * 100)

    done = cli("doctor", "--local")

    assert done.code == 5
    assert "wrong store" in done.out


def test_a_store_that_is_there_is_opened(cli: Cli, tmp_path: Path) -> None:
    Path(".runner").mkdir()

    done = cli("doctor", "--local", "--json")

    assert findings(done.out)["store"] == [("ok", str(tmp_path / ".runner"))]


def test_a_full_disk_is_told(tmp_path: Path) -> None:
    store, disk = doctor._disk(tmp_path / ".runner", least=10**18)

    assert (store.state, disk.state) == ("ok", "wrong")
    assert "MB are free at" in disk.said


@pytest.mark.parametrize(
    ("older", "newer"), [("4.8", "4.16.0"), ("3.1.5", "3.1.6"), ("2", "2.0.1"), ("13.0rc1", "13.1")]
)
def test_versions_are_compared_as_numbers(older: str, newer: str) -> None:
    assert doctor._numbers(older) < doctor._numbers(newer)


def test_a_wrong_choice_of_limits_is_told(cli: Cli, emulator: Emulator, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RUNPOD_BASE_URL", emulator.url)
    monkeypatch.setenv("RUNPOD_API_KEY", KEY)
    monkeypatch.setenv("RUNPOD_LIMITS", "off")

    done = cli("doctor")

    assert done.code == 5
    assert "Write documented or none" in done.out


def test_only_what_is_free_is_asked(cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "tiny.yaml").write_text(PIPELINE.format(url="http://127.0.0.1:9/v1"))
    with Emulator(history=100) as emulator:
        monkeypatch.setenv("RUNPOD_BASE_URL", emulator.url)
        monkeypatch.setenv("RUNPOD_API_KEY", KEY)
        cli("doctor", "tiny.yaml")

        assert {(request.method, request.operation) for request in emulator.requests} == {("GET", "health")}
        assert emulator.paid == 0


def test_a_real_process_says_it_in_words_and_ends_with_its_code(tmp_path: Path, emulator: Emulator) -> None:
    env = {**os.environ, "RUNPOD_API_KEY": KEY, "RUNPOD_BASE_URL": emulator.url}

    well = subprocess.run(
        [sys.executable, "-m", "runner", "doctor"], cwd=tmp_path, env=env, capture_output=True, text=True, check=False
    )
    env["RUNPOD_API_KEY"] = ""
    ill = subprocess.run(
        [sys.executable, "-m", "runner", "doctor"], cwd=tmp_path, env=env, capture_output=True, text=True, check=False
    )

    assert (well.returncode, ill.returncode) == (0, 5)
    assert well.stdout.startswith("ok    python")
    assert well.stderr == ill.stderr == ""


def test_a_terminal_gets_marks_and_colours() -> None:
    shown = doctor.text([doctor.Finding("key", "wrong", "No key.", "Set it."), doctor.Finding("disk", "ok", "fine")],
                        fancy=True)  # fmt: skip

    assert shown.splitlines() == [
        "\033[31m✗\033[0m key   No key.",
        "        = Set it.",
        "\033[32m✓\033[0m disk  fine",
        "1 thing is wrong",
    ]
