"""Chats by a real model: how its process is asked, what comes back, and that it ends. A small program stands for it."""

from __future__ import annotations

import asyncio
import json
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2 as httpx
import pytest
from jsonschema import Draft202012Validator

from runner.emulator import Emulator
from runner.emulator.bounded import bounded
from runner.emulator.filling import filled
from runner.emulator.subjects import subject
from runner.emulator.texts import Reply
from runner.emulator.writer import Writer

PROGRAM = r"""
import http.server, json, os, sys, threading, time

class Answers(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def log_message(self, *_): pass
    def do_POST(self):
        asked = json.loads(self.rfile.read(int(self.headers["content-length"])))
        last = asked["messages"][-1]["content"]
        if self.headers["authorization"] != f"Bearer {key}" or last == "refuse":
            said = json.dumps({"error": {"message": "too long for me"}}).encode()
            self.send_response(400); self.send_header("content-length", str(len(said))); self.end_headers()
            self.wfile.write(said)
            return
        if last == "die":
            os._exit(3)
        self.send_response(200); self.send_header("connection", "close"); self.end_headers()
        for word in ["You ", "asked: ", last] * (1000 if last == "go on" else 1):
            self.event({"choices": [{"delta": {"content": word}, "finish_reason": None}]})
            time.sleep(0.01)
        self.event({"choices": [{"delta": {}, "finish_reason": "stop"}]})
        self.event({"choices": [], "usage": {"prompt_tokens": 5, "completion_tokens": 3, "total_tokens": 8}})
        self.wfile.write(b"data: [DONE]\n\n")
    def event(self, data):
        try:
            self.wfile.write(f"data: {json.dumps(data)}\n\n".encode()); self.wfile.flush()
        except OSError:
            print("hung up", file=open(sys.argv[1], "a")); sys.exit()

key = sys.stdin.readline().strip()
print(os.getpid(), file=open(f"{sys.argv[1]}.pid", "w"))
print("asked", file=open(sys.argv[1], "a"))
server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Answers)
server.daemon_threads = True
threading.Thread(target=server.serve_forever, daemon=True).start()
print(f"http://127.0.0.1:{server.server_port}", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    """A path, not of weights: what the program has to tell."""
    return tmp_path / "story"


@pytest.fixture
def program(tmp_path: Path) -> Path:
    path = tmp_path / "program.py"
    path.write_text(PROGRAM)
    return path


@pytest.fixture
def server(weights: Path, program: Path) -> Iterator[Emulator]:
    with Emulator(weights=weights, model=program) as emulator:
        yield emulator


def body(words: str = "hi", **more: Any) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": words}], **more}


def ask(server: Emulator, words: str = "hi", *, seconds: float = 20, **more: Any) -> httpx.Response:
    url = f"{server.url}/mine/openai/v1/chat/completions"
    return httpx.post(url, json=body(words, **more), headers={"Authorization": "Bearer k"}, timeout=seconds)


def test_a_chat_is_written_by_the_model(server: Emulator, weights: Path) -> None:
    answer = ask(server, "hello", model="m").json()

    assert answer["choices"][0]["message"] == {"role": "assistant", "content": "You asked: hello"}
    assert answer["choices"][0]["finish_reason"] == "stop"
    assert answer["usage"] == {"prompt_tokens": 5, "completion_tokens": 3, "total_tokens": 8}
    assert (answer["model"], answer["object"]) == ("m", "chat.completion")


def test_a_stream_comes_as_it_is_written(server: Emulator) -> None:
    lines = ask(server, "hello", stream=True, stream_options={"include_usage": True}).text.split("\n\n")

    chunks = [json.loads(line.removeprefix("data: ")) for line in lines if line.startswith("data: {")]
    pieces = [choice["delta"].get("content") for chunk in chunks for choice in chunk["choices"]]
    assert pieces == ["", "You ", "asked: ", "hello", None]
    assert chunks[-1]["usage"]["completion_tokens"] == 3
    assert lines[-2] == "data: [DONE]"


def test_one_process_writes_all_texts_and_starts_with_the_first(server: Emulator, weights: Path) -> None:
    assert not weights.exists()

    for words in ("one", "two"):
        assert ask(server, words).status_code == 200

    assert weights.read_text() == "asked\n"


@pytest.mark.parametrize(
    "more",
    [
        {"tools": [{"type": "function", "function": {"name": "look"}}]},
        {"n": 2},
        {"messages": [{"role": "user", "content": "hi"}, {"role": "tool", "content": "4", "tool_call_id": "1"}]},
    ],
    ids=["tools", "several answers", "what a tool said"],
)
def test_what_the_model_cannot_do_stays_with_the_emulator(
    server: Emulator, weights: Path, more: dict[str, Any]
) -> None:
    answer = ask(server, **more)

    assert answer.status_code == 200
    assert not weights.exists()


def test_a_fault_on_demand_stays_with_the_emulator(server: Emulator, weights: Path) -> None:
    server.fail("chat=badjson")

    assert ask(server).status_code == 200
    assert not weights.exists()


def test_what_the_model_refuses_is_refused_in_its_words(server: Emulator) -> None:
    for more in ({}, {"stream": True}):
        answer = ask(server, "refuse", **more)

        assert answer.status_code == 400
        assert answer.json()["error"]["message"] == "too long for me"


def test_a_model_that_dies_fails_one_chat_and_starts_again(server: Emulator, weights: Path) -> None:
    died, after = ask(server, "die"), ask(server)

    assert died.status_code == 500
    assert "the model stopped in the middle of a text" in died.json()["error"]["message"]
    assert after.status_code == 200
    assert weights.read_text() == "asked\nasked\n"


def gives_up_waiting(server: Emulator) -> None:
    with pytest.raises(httpx.ReadTimeout):
        ask(server, "go on", seconds=1)


def hangs_up_on_a_stream(server: Emulator) -> None:
    url, headers = f"{server.url}/mine/openai/v1/chat/completions", {"Authorization": "Bearer k"}
    with httpx.stream("POST", url, json=body("go on", stream=True), headers=headers) as response:
        next(response.iter_lines())


@pytest.mark.parametrize("stream", [False, True])
def test_the_model_stops_when_nobody_listens_any_more(server: Emulator, weights: Path, stream: bool) -> None:
    (hangs_up_on_a_stream if stream else gives_up_waiting)(server)

    deadline = time.monotonic() + 10
    while "hung up" not in weights.read_text():
        assert time.monotonic() < deadline
        time.sleep(0.02)
    assert ask(server).status_code == 200


def test_weights_that_cannot_be_loaded_are_a_sentence(program: Path, weights: Path) -> None:
    program.write_text("raise SystemExit(7)")

    with Emulator(weights=weights, model=program) as server:
        answer = ask(server)

    assert answer.status_code == 500
    assert f"the model could not be loaded from {weights}; its process ended with 7" in answer.text


def test_the_process_ends_with_its_writer(program: Path, weights: Path) -> None:
    async def story() -> None:
        writer = Writer(weights, program)
        said = [piece async for piece in writer.writes(body("x"))]
        assert said[-1] == Reply("You asked: x", "stop", 5, 3)
        await writer.close()

    asyncio.run(story())

    pid = int(weights.with_suffix(".pid").read_text())
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


NODE: dict[str, Any] = {
    "type": "object",
    "required": ["name"],
    "properties": {"name": {"type": "string"}, "kids": {"type": "array", "items": {"$ref": "#/$defs/node"}}},
}


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "object", "properties": {"title": {"type": "string"}, "text": {"type": ["string", "null"]}}},
        {"type": "array", "items": {"type": "string", "minLength": 500}, "minItems": 8},
        {"type": "object", "properties": {"kind": {"enum": ["a", "b"]}, "when": {"type": "string", "format": "date"}}},
        {"anyOf": [{"type": "string", "maxLength": 3}, {"type": "array", "items": {"type": "integer"}}]},
        {"type": "object", "properties": {"a": {"type": "string"}}, "anyOf": [{"properties": {"b": {"const": 1}}}]},
        {"$ref": "#/$defs/node", "$defs": {"node": NODE}},
        {"type": "array", "prefixItems": [{"type": "string"}] * 7, "items": False},
        {},
        {"type": "object"},
        {"type": "object", "properties": {}},
    ],
)
def test_what_fits_a_bounded_schema_fits_the_schema(schema: dict[str, Any]) -> None:
    from random import Random

    small = bounded(schema)
    Draft202012Validator.check_schema(small)

    for seed in range(20):
        value = filled(small, subject("a red teapot"), Random(seed))
        Draft202012Validator(small).validate(value)
        Draft202012Validator(schema).validate(value)


def test_nothing_in_a_bounded_schema_goes_on_for_ever() -> None:
    schema = {
        "type": "object",
        "properties": {"title": {"type": "string"}, "tags": {"type": "array", "items": {"type": "string"}}},
    }

    assert bounded(schema) == {
        "type": "object",
        "properties": {
            "title": {"type": "string", "minLength": 1, "maxLength": 60},
            "tags": {
                "type": "array", "minItems": 1, "maxItems": 5,
                "items": {"type": "string", "minLength": 1, "maxLength": 60},
            },
        },
        "required": ["title", "tags"],
        "additionalProperties": False,
    }  # fmt: skip
