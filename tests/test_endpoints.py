"""Endpoints of one's own, and other servers: in their own words, with their own keys."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from runner.emulator import Emulator
from runner.model import Artifact, Job
from runner.runpod.provider import Runpod
from runner.store import Store

from .conftest import Cli

CALL = """\
name: call
steps:
  a: {kind: generate_text, model: qwen/qwen3-32b-awq, prompt: Name a teapot}
  p: {kind: generate_image, model: pruna/p-image-t2i, prompt: a teapot}
  c:
    kind: call_endpoint
    model: 4m7x2k9q1a
    input: {n: 1, text: "{{ steps.a.finish_reason }}", deep: [{img: "{{ steps.p.image }}"}]}
outputs:
  c.json: "{{ steps.c.data }}"
"""
SERVER = """\
name: mine
models:
  mine: {model: Qwen/Qwen3-32B-AWQ, base_url: "URL/qwen3-32b-awq/openai/v1"KEY}
steps:
  a: {kind: generate_text, model: mine, prompt: Name a teapot}
"""


def test_the_input_of_an_endpoint_is_planned_as_far_as_it_is_known(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "call.yaml").write_text(CALL)

    done = cli("plan", "call.yaml", "--calls")

    assert done.code == 0
    assert "text: {{ steps.a.finish_reason }}" in done.out
    assert 'deep: [{"img": "{{ steps.p.image }}"}]' in done.out


def test_the_input_of_an_endpoint_holds_what_steps_made(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "call.yaml").write_text(CALL)

    done = cli("run", "call.yaml", "--local")

    said = json.loads((tmp_path / "out/call/c.json").read_text())["echo"]
    assert done.code == 0
    assert (said["n"], said["text"]) == (1, "stop")
    assert said["deep"][0]["img"].startswith("http://127.0.0.1")


def test_an_endpoint_that_streams_nothing_gives_its_output(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "s.yaml").write_text(
        "name: s\nsteps:\n  c: {kind: call_endpoint, model: 4m7x2k9q1a, input: {x: 1}, stream: true}\n"
        'outputs: {c.json: "{{ steps.c.data }}"}\n'
    )

    cli("run", "s.yaml", "--local")

    assert json.loads((tmp_path / "out/s/c.json").read_text()) == {"echo": {"x": 1}}


@pytest.mark.parametrize("anyio_backend", ["asyncio", "trio"])
async def test_a_file_of_the_same_bytes_is_not_sent_as_somebody_elses_url(
    tmp_path: Path, emulator: Emulator, anyio_backend: str
) -> None:
    del anyio_backend
    store = Store(tmp_path)
    async with Runpod(emulator.url, "k", store) as runpod:
        made = await runpod.collect(job := Job("g@1", "pruna", {"prompt": "x"}), await runpod.wait(
            await runpod.submit(job, 30), lambda *_: None))  # fmt: skip
        del made
        png = tmp_path / "a.png"
        png.write_bytes(b"x" * 10)
        mine = Artifact("ab" * 32, "image/png", 10, str(png))
        named = Artifact("ab" * 32, "image/png", 10, str(png), url="http://elsewhere.example/a.png")
        runpod._named.add((named.sha256, named.url))
        runpod.client.local = False

        sent = [await runpod._encoded(artifact) for artifact in (mine, named)]

    store.close()
    assert sent[0].startswith("data:image/png;base64,")
    assert sent[1] == "http://elsewhere.example/a.png"


def test_a_server_of_ones_own_needs_no_key_of_runpod(cli: Cli, tmp_path: Path, emulator: Emulator) -> None:
    (tmp_path / "mine.yaml").write_text(SERVER.replace("URL", emulator.url).replace("KEY", ""))

    done = cli("run", "mine.yaml")

    assert "no RUNPOD_API_KEY" not in done.err


def test_a_key_that_is_not_set_stops_the_run_before_anything_is_sent(
    cli: Cli, tmp_path: Path, emulator: Emulator
) -> None:
    (tmp_path / "mine.yaml").write_text(SERVER.replace("URL", emulator.url).replace("KEY", ", api_key_env: MY_KEY"))

    done = cli("run", "mine.yaml")

    assert done.code == 5
    assert "needs the environment variable MY_KEY" in done.err
    assert emulator.requests == ()


def test_a_header_whose_variable_is_not_set_stops_the_run_before_anything_is_sent(
    cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, emulator: Emulator
) -> None:
    monkeypatch.setenv("RUNPOD_API_KEY", "k")
    monkeypatch.setenv("RUNPOD_BASE_URL", emulator.url)
    (tmp_path / "h.yaml").write_text(
        "name: h\nmodels:\n  mine: {model: 4m7x2k9q1a, headers: {X-Pass: {env: TEAM_PASS}}}\n"
        "steps:\n  c: {kind: call_endpoint, model: mine, input: {x: 1}}\n"
    )

    missing = cli("run", "h.yaml")
    monkeypatch.setenv("TEAM_PASS", "s3cret-pass")
    done = cli("run", "h.yaml")

    assert (missing.code, done.code) == (5, 0)
    kept = [path.read_bytes() for path in (tmp_path / ".runner").rglob("*") if path.is_file()]
    assert not any(b"s3cret-pass" in content for content in kept)


@pytest.mark.parametrize("ending", ["", "/", "/run", "/runsync", "/openai/v1"])
def test_an_endpoint_that_is_named_by_its_address_is_asked_at_the_configured_one(
    cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, emulator: Emulator, ending: str
) -> None:
    monkeypatch.setenv("RUNPOD_API_KEY", "k")
    monkeypatch.setenv("RUNPOD_BASE_URL", emulator.url)
    address = f"https://api.runpod.ai/v2/4m7x2k9q1a{ending}"
    (tmp_path / "a.yaml").write_text(
        f"name: a\nsteps:\n  c: {{kind: call_endpoint, model: '{address}', input: {{}}}}\n"
    )

    done = cli("run", "a.yaml")

    assert done.code == 0, done.err
    assert [one.path for one in emulator.requests if one.method == "POST"] == ["/v2/4m7x2k9q1a/run"]


@pytest.mark.parametrize("kind", ["call_endpoint, input: {}", "generate_text, prompt: hi"])
def test_any_other_address_as_a_model_is_refused_before_anything_is_sent(
    cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, emulator: Emulator, kind: str
) -> None:
    monkeypatch.setenv("RUNPOD_API_KEY", "k")
    monkeypatch.setenv("RUNPOD_BASE_URL", emulator.url)
    (tmp_path / "a.yaml").write_text(
        f"name: a\nsteps:\n  c: {{model: '{emulator.origin}/v2/4m7x2k9q1a/run', kind: {kind}}}\n"
    )

    done = cli("run", "a.yaml")

    assert done.code == 2
    assert "is no model: the key goes to no address that a pipeline names" in done.err
    assert emulator.requests == ()
