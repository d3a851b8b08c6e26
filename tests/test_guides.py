"""The examples of Runpod's own guides, each a pipeline by its name: what it sends, and what it makes."""

from __future__ import annotations

import base64
import json
import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

import httpx2 as httpx
import pytest
from PIL import Image

from runner import app, loading
from runner.emulator import Emulator, parse_latency
from runner.emulator.log import Request
from runner.events import Event, TextGrew
from runner.options import Options

from .conftest import REPO

GUIDES = sorted((REPO / "tests/pipelines/guides").glob("*.yaml"))
PICTURE = REPO / "pipelines/pictures/street.jpg"
LOOKED_ON = {"streaming"}

Body: TypeAlias = dict[str, Any]
QWEN = "qwen3-32b-awq/openai/v1/chat/completions"


@dataclass
class Ran:
    """What a guide's example did: its requests, its events, its outputs."""

    out: Path
    requests: Sequence[Request]
    events: list[Event] = field(default_factory=list)

    @property
    def sent(self) -> list[tuple[str, Body]]:
        """Where each POST went, and what it said."""
        return [(one.path.removeprefix("/v2/"), one.body) for one in self.requests if one.method == "POST"]

    def only(self) -> tuple[str, Body]:
        [one] = self.sent
        return one

    def text(self, name: str) -> str:
        return (self.out / name).read_text(encoding="utf-8")

    def data(self, name: str) -> Any:
        return json.loads(self.text(name))

    def size(self, name: str) -> tuple[int, int]:
        with Image.open(self.out / name) as picture:
            return picture.size


def chat(ran: Ran) -> None:
    assert ran.only() == (QWEN, {
        "model": "Qwen/Qwen3-32B-AWQ",
        "messages": [{"role": "system", "content": "You are a helpful assistant."},
                     {"role": "user", "content": "What is the capital of Germany?"}],
        "temperature": 0.7, "max_tokens": 500,
    })  # fmt: skip
    assert ran.text("answer.txt").strip()


def streaming(ran: Ran) -> None:
    assert ran.only() == (QWEN, {
        "model": "Qwen/Qwen3-32B-AWQ",
        "messages": [{"role": "user", "content": "Write a short poem about artificial intelligence."}],
        "temperature": 0.7, "max_tokens": 2048, "stream": True, "stream_options": {"include_usage": True},
    })  # fmt: skip
    grown = "".join(event.text for event in ran.events if isinstance(event, TextGrew))
    assert ran.text("poem.txt").strip()[:60] in grown


def tool_calling(ran: Ran) -> None:
    (where, first), (_, second) = ran.sent
    tool = {"type": "function", "function": {
        "name": "getWeather", "description": "Get weather information for a city",
        "parameters": {"type": "object", "properties": {"city": {"type": "string", "description": "The city name"}},
                       "required": ["city"]}}}  # fmt: skip
    assert where == "gpt-oss-120b/openai/v1/chat/completions"
    assert first["tools"] == second["tools"] == [tool]
    assert first["messages"] == second["messages"][:1]
    asked, told = second["messages"][1:]
    assert asked["tool_calls"][0]["function"]["name"] == "getWeather"
    assert told == {"role": "tool", "tool_call_id": asked["tool_calls"][0]["id"],
                    "content": "The weather in San Francisco is sunny."}  # fmt: skip
    assert ran.data("calls.json") == [{"name": "getWeather", "arguments": {"city": "San Francisco"}}]
    assert ran.data("results.json") == [{"name": "getWeather", "result": "The weather in San Francisco is sunny."}]
    assert ran.text("report.txt").strip()


def structured_output(ran: Ran) -> None:
    where, body = ran.only()
    schema = body["response_format"]["json_schema"]["schema"]
    assert where == QWEN
    assert body["response_format"]["type"] == "json_schema"
    assert list(schema["properties"]["recipe"]["properties"]) == ["name", "ingredients", "steps"]
    assert body["messages"][0]["content"].endswith(json.dumps(schema))
    assert body["messages"][1] == {"role": "user", "content": "Generate a lasagna recipe."}
    recipe = ran.data("recipe.json")
    assert recipe["name"]
    assert all(set(each) == {"name", "amount"} for each in recipe["ingredients"])
    assert recipe["steps"]


def image(ran: Ran) -> None:
    assert ran.only() == ("qwen-image-t2i/run", {"input": {
        "prompt": "A beautiful sunset over mountains", "size": "1328*1328", "seed": 42,
        "negative_prompt": "blurry, low quality", "enable_safety_checker": True,
    }})  # fmt: skip
    assert ran.size("sunset.png") == (1328, 1328)


def kontext_by_url(ran: Ran) -> None:
    where, body = ran.sent[-1]
    url = body["input"].pop("image")
    seed = body["input"].pop("seed")
    assert where == "black-forest-labs-flux-1-kontext-dev/run"
    assert url.startswith("http://127.0.0.1")
    assert isinstance(seed, int)
    assert body == {"input": {"prompt": "Transform this into a cyberpunk style with neon lights", "size": "1328*1328"}}
    assert ran.size("neon.png") == (1328, 1328)


def kontext_by_base64(ran: Ran) -> None:
    where, body = ran.only()
    assert where == "black-forest-labs-flux-1-kontext-dev/run"
    assert f"image: {body['input']['image']}\n" in (REPO / "tests/pipelines/guides/kontext-by-base64.yaml").read_text()
    assert body["input"]["prompt"] == "Make this image look like a painting"
    assert ran.size("painting.png")


def kontext_by_file(ran: Ran) -> None:
    where, body = ran.only()
    head, _, encoded = body["input"]["image"].partition(",")
    assert where == "black-forest-labs-flux-1-kontext-dev/run"
    assert head == "data:image/jpeg;base64"
    assert base64.b64decode(encoded) == PICTURE.read_bytes()
    assert body["input"]["prompt"] == "Make this image look like a painting"
    assert ran.size("painting.png")


def flux_dev_advanced(ran: Ran) -> None:
    assert ran.only() == ("black-forest-labs-flux-1-dev/run", {"input": {
        "prompt": "A majestic dragon breathing fire in a medieval castle", "width": 1344, "height": 1344, "seed": 42,
        "negative_prompt": "blurry, low quality, distorted, ugly, bad anatomy", "num_inference_steps": 50,
        "guidance": 3.5, "image_format": "png",
    }})  # fmt: skip
    assert ran.size("dragon.png") == (1344, 1344)


def flux_schnell_advanced(ran: Ran) -> None:
    where, body = ran.only()
    assert where == "black-forest-labs-flux-1-schnell/run"
    assert isinstance(body["input"].pop("seed"), int)
    assert body == {"input": {"prompt": "A simple red apple", "width": 1024, "height": 1024, "num_inference_steps": 2,
                              "guidance": 1.0, "image_format": "jpeg"}}  # fmt: skip
    assert ran.size("apple.jpg") == (1024, 1024)


def poll_settings(ran: Ran) -> None:
    assert ran.only() == ("black-forest-labs-flux-1-dev/run", {
        "input": {"prompt": "A medieval castle", "seed": 7}, "policy": {"executionTimeout": 120000, "ttl": 600000},
    })  # fmt: skip
    asked = [one for one in ran.requests if one.operation in ("status", "status-sync")]
    assert 1 <= len(asked) <= 3  # it is held until there is something to say
    assert ran.size("castle.jpg") == (1024, 1024)


LOOKS: dict[str, Callable[[Ran], None]] = {
    "chat": chat,
    "streaming": streaming,
    "tool-calling": tool_calling,
    "structured-output": structured_output,
    "image": image,
    "kontext-by-url": kontext_by_url,
    "kontext-by-base64": kontext_by_base64,
    "kontext-by-file": kontext_by_file,
    "flux-dev-advanced": flux_dev_advanced,
    "flux-schnell-advanced": flux_schnell_advanced,
    "poll-settings": poll_settings,
}


@pytest.fixture
def emulator() -> Iterator[Emulator]:
    with Emulator(seed=1, latency=parse_latency("0.05+0.1")) as server:
        yield server


def a_picture_on_the_web(url: str) -> str:
    """The URL of a picture that was made before, by another program."""
    job = {"input": {"prompt": "a street", "width": 512, "height": 512}}
    answer = httpx.post(f"{url}/black-forest-labs-flux-1-schnell/runsync", json=job, headers={"Authorization": "k"})
    found: str = answer.json()["output"]["image_url"]
    return found


def test_every_example_has_a_test() -> None:
    assert [path.stem for path in GUIDES] == sorted(LOOKS)


@pytest.mark.anyio
@pytest.mark.parametrize("path", GUIDES, ids=lambda path: path.stem)
async def test_an_example_of_a_guide_sends_what_the_guide_says(path: Path, tmp_path: Path, emulator: Emulator) -> None:
    copy = Path(shutil.copy(path, tmp_path))
    shutil.copy(PICTURE, tmp_path)
    read = loading.read(copy)
    assert read.problems == ()
    env = {**os.environ, "RUNPOD_API_KEY": "rpa_guide", "RUNPOD_BASE_URL": emulator.url}
    assert read.pipeline is not None
    typed = {name: a_picture_on_the_web(emulator.url) for name in read.pipeline.inputs}
    events: list[Event] = []

    done = await app.run(
        read, loading.Given(typed), Options(out=tmp_path / "out", env=env), events.append, lambda _: None,
        watched=path.stem in LOOKED_ON,
    )  # fmt: skip

    assert done.exit_code == 0, done.missing
    assert emulator.leaks == ()
    LOOKS[path.stem](Ran(tmp_path / "out", emulator.requests, events))
