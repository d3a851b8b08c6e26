"""The official clients, as published, get what they ask for from the emulator."""

from __future__ import annotations

from base64 import b64decode, b64encode
from io import BytesIO
from typing import Any

import httpx2 as httpx
import pytest
from PIL import Image

from .conftest import Ask

QWEN = "qwen3-32b-awq"
FLUX = "black-forest-labs-flux-1-schnell"
SAY = "Write a slogan for a blue bicycle."
CHAT = {"model": "Qwen/Qwen3-32B-AWQ", "messages": [{"role": "user", "content": SAY}], "max_tokens": 200}
SIZE = (256, 320)


def png() -> str:
    drawn = BytesIO()
    Image.new("RGB", SIZE, "teal").save(drawn, "PNG")
    return b64encode(drawn.getvalue()).decode()


def fetched(url: str) -> bytes:
    answer = httpx.get(url)
    assert answer.status_code == 200
    return answer.content


def size(data: bytes) -> tuple[int, int]:
    return Image.open(BytesIO(data)).size


# -- @runpod/ai-sdk-provider with ai -------------------------------------------------------------------


def test_the_provider_generates_a_text(provider: Ask) -> None:
    said = provider("text", "qwen/qwen3-32b-awq", {"prompt": SAY, "maxOutputTokens": 200})

    assert "bicycle" in said["text"].lower()
    assert said["finish"] == "stop"
    assert said["usage"]["inputTokens"] > 0
    assert said["wanted"] == [f"https://api.runpod.ai/v2/{QWEN}/openai/v1/chat/completions"]


def test_the_provider_streams_a_text(provider: Ask) -> None:
    said = provider("stream", "qwen/qwen3-32b-awq", {"prompt": SAY, "system": "You are brief."})

    assert len(said["parts"]) > 2
    assert "".join(said["parts"]) == said["text"]
    assert said["finish"] == "stop"
    assert said["usage"]["outputTokens"] > 0


def test_the_provider_generates_an_image(provider: Ask) -> None:
    made = provider("image", "black-forest-labs/flux-1-schnell", {"prompt": "a red teapot", "size": "512x768"})

    assert size(b64decode(made["bytes"])) == (512, 768)
    assert made["mediaType"] == "image/png"
    assert "/media/" in made["told"]["images"][0]["url"]
    assert made["told"]["images"][0]["cost"] > 0


def test_the_provider_edits_an_image(provider: Ask) -> None:
    prompt = {"text": "the same at night", "images": [{"$bytes": png()}]}

    made = provider("image", "qwen/qwen-image-edit", {"prompt": prompt, "size": "1024x1024"})

    assert size(b64decode(made["bytes"])) == (1024, 1024)
    assert made["mediaType"] in {"image/jpeg", "image/png"}


def test_the_provider_speaks(provider: Ask) -> None:
    made = provider("speech", "resembleai/chatterbox-turbo", {"text": "Good morning.", "voice": "lucy"})

    assert b64decode(made["bytes"])[:4] == b"RIFF"
    assert made["mediaType"] == "audio/wav"
    assert made["told"]["audioUrl"].startswith("http")


def test_the_provider_makes_a_video(provider: Ask) -> None:
    made = provider(
        "video",
        "alibaba/wan-2.6-t2v",
        {"prompt": "a teapot turns", "resolution": "1280x720", "duration": 5},
        runpod={"pollIntervalMillis": 50},
    )

    assert b64decode(made["bytes"])[4:8] == b"ftyp"
    assert made["mediaType"] == "video/mp4"


def test_the_provider_transcribes_what_the_emulator_said(provider: Ask, sdk: Ask) -> None:
    spoken = sdk("runSync", "chatterbox-turbo", {"prompt": "Good morning.", "voice": "lucy"})["output"]["audio_url"]
    audio = {"$bytes": b64encode(fetched(spoken)).decode()}

    said = provider("transcription", "pruna/whisper-v3-large", {"audio": audio}, runpod={"pollIntervalMillis": 50})

    assert "good morning" in said["text"].lower()


def test_the_provider_calls_a_tool(provider: Ask) -> None:
    schema = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
    tools = {"weather": {"description": "The weather of a city.", "inputSchema": schema}}
    params = {"prompt": "What is the weather in Oslo?", "tools": tools, "toolChoice": "required"}

    said = provider("text", "qwen/qwen3-32b-awq", params)

    assert said["finish"] == "tool-calls"
    assert said["toolCalls"][0]["toolName"] == "weather"
    assert isinstance(said["toolCalls"][0]["input"]["city"], str)


def test_the_provider_is_told_why_an_image_failed(provider: Ask) -> None:
    made = provider("image", "black-forest-labs/flux-1-schnell", {"prompt": " "}, runpod={"width": 64})

    assert "prompt is required" in made["error"] or "width" in made["error"]


# -- runpod-sdk ----------------------------------------------------------------------------------------


def test_the_javascript_sdk_generates_a_text(sdk: Ask) -> None:
    said = sdk("runSync", QWEN, {"prompt": SAY, "max_tokens": 200})

    assert said["succeeded"]
    assert "bicycle" in said["output"][0]["choices"][0]["tokens"][0].lower()


def test_the_javascript_sdk_streams_a_text(sdk: Ask) -> None:
    said = sdk("stream", QWEN, {"prompt": SAY, "max_tokens": 200, "stream": True})

    assert len(said["pieces"]) > 2
    assert said["pieces"] == said["ended"]["output"]


def test_the_javascript_sdk_runs_polls_and_fetches_an_image(sdk: Ask) -> None:
    said = sdk("run", FLUX, {"prompt": "a red teapot", "width": 256, "height": 320})

    assert said["queued"]["status"] == "IN_QUEUE"
    assert said["ended"]["completed"]
    assert said["now"]["output"] == said["ended"]["output"]
    assert size(fetched(said["now"]["output"]["image_url"])) == SIZE


def test_the_javascript_sdk_edits_an_image(sdk: Ask) -> None:
    said = sdk("runSync", "qwen-image-edit", {"prompt": "at night", "image": f"data:image/png;base64,{png()}"})

    assert size(fetched(said["output"]["image_url"]))[0] > 0


def test_the_javascript_sdk_speaks_and_makes_a_video(sdk: Ask) -> None:
    speech = sdk("runSync", "chatterbox-turbo", {"prompt": "Good morning.", "voice": "lucy"})
    video = sdk("runSync", "wan-2-6-t2v", {"prompt": "a teapot turns", "size": "1280*720", "duration": 5})

    assert fetched(speech["output"]["audio_url"])[:4] == b"RIFF"
    assert fetched(video["output"]["video_url"])[4:8] == b"ftyp"


def test_the_javascript_sdk_cancels_and_purges(sdk: Ask, private: str) -> None:
    at = private.removesuffix("/private")

    cancelled = sdk("cancel", "private", {"x": 1}, at=at)
    purged = sdk("purge", "private", {"x": 1}, at=at)

    assert cancelled["cancelled"]["status"] == cancelled["ended"]["status"] == "CANCELLED"
    assert purged["before"]["jobs"]["inQueue"] == 1
    assert purged["purged"] == {"removed": 1, "status": "completed"}
    assert purged["after"]["jobs"]["inQueue"] == 0


# -- openai --------------------------------------------------------------------------------------------


def test_openai_generates_a_text(python: Ask) -> None:
    said = python("chat", QWEN, params=CHAT)

    assert "bicycle" in said["choices"][0]["message"]["content"].lower()
    assert said["choices"][0]["finish_reason"] == "stop"
    assert said["usage"]["total_tokens"] > 0


def test_openai_streams_a_text(python: Ask) -> None:
    said = python("chat_stream", QWEN, params=CHAT)

    assert len(said["parts"]) > 2
    assert "bicycle" in "".join(said["parts"]).lower()
    assert said["usage"]["completion_tokens"] > 0


def test_openai_lists_the_models(python: Ask) -> None:
    assert python("models", QWEN)["models"]


def test_openai_understands_a_refusal(python: Ask) -> None:
    said = python("refused", QWEN, params={**CHAT, "messages": []})

    assert (said["error"], said["status"]) == ("BadRequestError", 400)
    assert "messages must be a list" in said["message"]


# -- runpod of PyPI ------------------------------------------------------------------------------------


def test_the_python_client_generates_a_text(python: Ask) -> None:
    said = python("run_sync", QWEN, input={"prompt": SAY, "max_tokens": 200})

    assert "bicycle" in said["output"][0]["choices"][0]["tokens"][0].lower()


def test_the_python_client_streams_a_text(python: Ask) -> None:
    said = python("stream", QWEN, input={"prompt": SAY, "max_tokens": 200, "stream": True})

    assert len(said["pieces"]) > 2
    assert said["status"] == "COMPLETED"


def test_the_python_client_runs_polls_and_fetches_an_image(python: Ask) -> None:
    said = python("run", FLUX, input={"prompt": "a red teapot", "width": 256, "height": 320})

    assert said["status"] == "COMPLETED"
    assert size(fetched(said["output"]["image_url"])) == SIZE


def test_the_python_client_edits_an_image(python: Ask) -> None:
    given = {"prompt": "at night", "image": f"data:image/png;base64,{png()}"}

    said = python("run_sync", "qwen-image-edit", input=given)

    assert size(fetched(said["output"]["image_url"]))[0] > 0


def test_the_python_client_speaks_and_makes_a_video(python: Ask) -> None:
    speech = python("run_sync", "chatterbox-turbo", input={"prompt": "Good morning.", "voice": "lucy"})
    video = python("run_sync", "wan-2-6-t2v", input={"prompt": "a teapot turns", "size": "1280*720", "duration": 5})

    assert fetched(speech["output"]["audio_url"])[:4] == b"RIFF"
    assert fetched(video["output"]["video_url"])[4:8] == b"ftyp"


def test_the_asyncio_half_of_the_python_client_runs_a_job(python: Ask) -> None:
    said = python("run_async", "any", input={"x": 1})

    assert said["output"] == {"echo": {"x": 1}}
    assert said["health"]["jobs"]["completed"] >= 1


@pytest.mark.parametrize("do", ["cancel", "purge"])
def test_the_python_client_cancels_and_purges(python: Ask, private: str, do: str) -> None:
    said: dict[str, Any] = python(do, "private", at=private.removesuffix("/private"), input={"x": 1})

    if do == "cancel":
        assert said["cancelled"]["status"] == said["status"] == "CANCELLED"
    else:
        assert said["before"]["jobs"]["inQueue"] == 1
        assert said["purged"] == {"removed": 1, "status": "completed"}
        assert said["after"]["jobs"]["inQueue"] == 0
