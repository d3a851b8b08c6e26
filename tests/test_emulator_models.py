"""Every public endpoint against the emulator: the right input makes a real file, a wrong one is refused."""

import wave
from base64 import b64decode, b64encode
from collections.abc import Iterator
from io import BytesIO
from typing import Any

import httpx2 as httpx
import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from runner.emulator import Emulator, Endpoint
from runner.emulator.endpoints import Kind, public
from runner.emulator.mp4 import seconds
from runner.emulator.pictures import encoded, picture
from runner.emulator.speech import spoken
from runner.emulator.waves import read
from runner.emulator.work import WORK

from .conftest import SHARED

FACTS = SHARED / "runpod" / "models.yaml"
PHOTO = encoded(picture("a street", size=(96, 64), seed=1, signature="m"), "png")
VOICE = spoken("Hello, this is me.", "lucy")
ROWS = public()

SIZES = {  # of what is made when nothing is said about it; an edit is as large as its picture, a film as its page says
    "p-image-t2i": (1360, 768),
    "nano-banana-pro-edit": (2048, 2048),
    "google-nano-banana-2-edit": (1248, 832),
    "vidu-q3-t2v": (960, 720),
    "vidu-q3-i2v": (1080, 720),
    "kling-v2-6-std-motion-control": (1080, 720),
    "kling-v2-1-i2v-pro": (1080, 720),
    "wan-2-2-t2v-720-lora": (1080, 720),
    "sora-2-pro-i2v": (1080, 720),
    "sora-2-i2v": (1080, 720),
    "infinitetalk": (720, 480),
}
FORMS = {"nano-banana-pro-edit": "PNG", "google-nano-banana-2-edit": "PNG", "z-image-turbo": "PNG",
         "black-forest-labs-flux-1-kontext-dev": "PNG"}  # fmt: skip
WRONG = [
    ("black-forest-labs-flux-1-schnell", {"width": 1000}, "width must be a multiple of 64, not 1000"),
    ("black-forest-labs-flux-1-dev", {"height": 128}, "height must be between 256 and 1536, not 128"),
    ("black-forest-labs-flux-1-schnell", {"num_inference_steps": 28}, "num_inference_steps must be between 1 and 8"),
    ("black-forest-labs-flux-1-schnell", {"image_format": "webp"}, "image_format must be one of png, jpeg"),
    ("black-forest-labs-flux-1-kontext-dev", {"size": "big"}, "size must be in the format WIDTH*HEIGHT, not 'big'"),
    ("p-image-t2i", {"aspect_ratio": "2:1"}, "aspect_ratio must be one of 1:1, 16:9"),
    ("p-image-edit", {"images": ["AAAA"] * 6}, "images must have between 1 and 5 items, not 6"),
    ("p-image-edit", {"images": "AAAA"}, "images must be an array, not 'AAAA'"),
    ("qwen-image-edit-2511", {"size": "1328*1328"}, "size must be one of 1024*1024"),
    ("qwen-image-edit-2511-lora", {"loras": [{"path": "x"}]}, "loras[0].scale is required"),
    ("wan-2-6-t2i", {"size": "512*512"}, "size must have from 589824 to 2073600 pixels, not 262144"),
    ("z-image-turbo", {"strength": 1.5}, "strength must be between 0 and 1, not 1.5"),
    ("nano-banana-edit", {"images": ["AAAA"] * 5}, "images must have at most 4 items"),
    ("nano-banana-pro-edit", {"resolution": "8k"}, "resolution must be one of 1k, 2k, 4k"),
    ("qwen-image-t2i", {"seed": "seven"}, "seed must be an integer, not 'seven'"),
    ("qwen-image-t2i", {"enable_safety_checker": "yes"}, "enable_safety_checker must be a boolean"),
    ("qwen3-32b-awq", {"temperature": 2}, "temperature must be between 0 and 1, not 2"),
    ("moonshot-kimi", {"model": "kimi-k1"}, "model must be one of kimi-k2.6"),
    ("granite-4-0-h-small", {"messages": [{"role": "robot", "content": "hi"}]}, "messages[0].role must be one of"),
    ("seedance-v1-5-pro-i2v", {"duration": 3}, "duration must be between 4 and 12, not 3"),
    ("infinitetalk", {"size": "1080p"}, "size must be one of 480p, 720p"),
]


@pytest.fixture(scope="module")
def client() -> Iterator[httpx.Client]:
    with httpx.Client(headers={"Authorization": "Bearer rpa_test"}, timeout=20) as client:
        yield client


@pytest.fixture(scope="module")
def emulator() -> Iterator[Emulator]:
    with Emulator() as emulator:
        yield emulator


def address(data: bytes, media_type: str) -> str:
    return f"data:{media_type};base64,{b64encode(data).decode()}"


def sample(slug: str) -> dict[str, Any]:
    """The least input that an endpoint takes, made from its rules."""
    given: dict[str, Any] = {}
    for name, rule in ROWS[slug].inputs.items():
        if rule.get("required"):
            match name:
                case "image":
                    given[name] = address(PHOTO, "image/png")
                case "images":
                    given[name] = [address(PHOTO, "image/png")]
                case "audio":
                    given[name] = address(VOICE, "audio/wav")
                case _:
                    given[name] = rule["enum"][0] if "enum" in rule else "a red teapot"
    match ROWS[slug].kind:
        case "text":
            says = [{"role": "user", "content": "Describe a red teapot."}]
            given |= {"messages": says} if "messages" in ROWS[slug].inputs else {"prompt": says[0]["content"]}
        case "transcription":
            given["audio_base64"] = b64encode(VOICE).decode()
    return given


def done(client: httpx.Client, emulator: Emulator, slug: str, given: dict[str, Any]) -> dict[str, Any]:
    envelope: dict[str, Any] = client.post(f"{emulator.url}/{slug}/runsync", json={"input": given}).json()
    return envelope


def slugs(*kinds: str) -> list[str]:
    return [slug for slug, row in ROWS.items() if row.kind in kinds]


def test_all_43_endpoints_are_known() -> None:
    assert len(ROWS) == 43


@pytest.mark.parametrize("slug", slugs("image", "edit"))
def test_a_picture_is_made_by(client: httpx.Client, emulator: Emulator, slug: str) -> None:
    envelope = done(client, emulator, slug, sample(slug))

    assert envelope["status"] == "COMPLETED", envelope
    assert set(envelope["output"]) == {"image_url", "cost"}
    with Image.open(BytesIO(httpx.get(envelope["output"]["image_url"]).content)) as image:
        assert image.size == SIZES.get(slug, (1024, 1024) if ROWS[slug].kind == "image" else (96, 64))
        assert image.format == FORMS.get(slug, "JPEG")


@pytest.mark.parametrize("slug", slugs("video"))
def test_a_video_is_made_by(client: httpx.Client, emulator: Emulator, slug: str) -> None:
    given = sample(slug)
    if "video" in given:
        film = done(client, emulator, "vidu-q3-t2v", {"prompt": "a dance", "duration": 2, "resolution": "540p"})
        given["video"] = film["output"]["video_url"]

    submitted = client.post(f"{emulator.url}/{slug}/run", json={"input": given}).json()
    envelope = client.get(f"{emulator.url}/{slug}/status-sync/{submitted['id']}").json()

    assert envelope["status"] == "COMPLETED", envelope
    assert set(envelope["output"]) == {"video_url", "cost"}
    data = httpx.get(envelope["output"]["video_url"]).content
    length = 2 if "video" in given else read(VOICE).seconds if "audio" in given else given.get("duration", 5)
    assert seconds(data) == pytest.approx(length, abs=0.05)
    at = data.index(b"avc1", data.index(b"stsd")) + 28
    size = int.from_bytes(data[at : at + 2], "big"), int.from_bytes(data[at + 2 : at + 4], "big")
    assert size == SIZES.get(slug, (1280, 720))


@pytest.mark.parametrize("slug", slugs("speech"))
def test_speech_is_made_by(client: httpx.Client, emulator: Emulator, slug: str) -> None:
    envelope = done(client, emulator, slug, sample(slug))

    data = httpx.get(envelope["output"]["audio_url"]).content
    with wave.open(BytesIO(data)) as sound:
        assert sound.getnframes() > 10_000
    assert read(data).text == "a red teapot"
    assert ("cost" in envelope["output"]) == (slug != "chatterbox-turbo")


@pytest.mark.parametrize("slug", slugs("transcription"))
def test_a_recording_is_understood_by(client: httpx.Client, emulator: Emulator, slug: str) -> None:
    assert done(client, emulator, slug, sample(slug))["output"]["text"] == "Hello, this is me."


@pytest.mark.parametrize("slug", slugs("text"))
def test_a_text_is_written_by(client: httpx.Client, emulator: Emulator, slug: str) -> None:
    base = f"{emulator.url}/{slug}/openai/v1"
    names = [model["id"] for model in client.get(f"{base}/models").json()["data"]]
    body = {"messages": [{"role": "user", "content": "Describe a red teapot."}]}

    output = done(client, emulator, slug, sample(slug))["output"]
    chats = [client.post(f"{base}/chat/completions", json={**body, "model": name}) for name in names]
    wrong = client.post(f"{base}/chat/completions", json={**body, "model": "another"})

    native = output if ROWS[slug].native == "object" else output[0]
    assert "teapot" in native["choices"][0]["tokens"][0]
    assert set(native["usage"]) == {"input", "output"}
    assert ("cost" in native) == (slug != "deep-cogito-v2-llama-70b")
    for chat in chats:
        message = chat.json()["choices"][0]["message"]
        assert "teapot" in message["content"]
        assert ("reasoning_content" in message) == (ROWS[slug].think == "apart")
        assert message["content"].startswith("<think>") == (ROWS[slug].think is True)
    assert wrong.status_code == 404


@pytest.mark.parametrize(("slug", "given", "hint"), WRONG, ids=lambda value: value if isinstance(value, str) else "")
def test_a_wrong_input_is_refused_by(
    client: httpx.Client, emulator: Emulator, slug: str, given: dict[str, Any], hint: str
) -> None:
    envelope = done(client, emulator, slug, sample(slug) | given)

    assert envelope["status"] == "FAILED"
    assert envelope["error"].startswith(f"Invalid parameter: {hint}")


@pytest.mark.parametrize(
    "slug", [slug for slug, row in ROWS.items() if any(r.get("required") for r in row.inputs.values())]
)
def test_nothing_is_made_of_nothing_by(client: httpx.Client, emulator: Emulator, slug: str) -> None:
    envelope = done(client, emulator, slug, {})

    assert envelope["status"] == "FAILED"
    assert "is required" in envelope["error"]


def test_unknown_names_and_nulls_are_tolerated(client: httpx.Client, emulator: Emulator) -> None:
    more = {"negative_prompt": None, "size": None, "pollIntervalMillis": 5, "style": "oil"}

    assert done(client, emulator, "qwen-image-t2i", sample("qwen-image-t2i") | more)["status"] == "COMPLETED"


def test_a_picture_can_come_as_base64(client: httpx.Client, emulator: Emulator) -> None:
    slug = "google-nano-banana-2-edit"

    output = done(client, emulator, slug, sample(slug) | {"enable_base64_output": True})["output"]

    with Image.open(BytesIO(b64decode(output["image_url"]))) as image:
        assert image.size == (1248, 832)
    assert output["cost"] == 0.0875


def test_a_picture_of_another_picture_is_made_where_it_is_known_to_be(client: httpx.Client, emulator: Emulator) -> None:
    drawn, redrawn = (
        done(client, emulator, "z-image-turbo", {"prompt": "a cat", "size": "512*512", "seed": 1, **more})["output"]
        for more in ({}, {"image": address(PHOTO, "image/png")})
    )

    one, other = (httpx.get(output["image_url"]).content for output in (drawn, redrawn))
    assert one != other


ODD = st.one_of(
    st.none(), st.booleans(), st.integers(-3, 70), st.floats(allow_nan=False, allow_infinity=False),
    st.text(max_size=6), st.sampled_from([address(PHOTO, "image/png"), address(VOICE, "audio/wav")]),
    st.sampled_from(["16:9", "64*64", "480p", "wav", [], {}, [None], [3], {"a": 1}, "http://[", "https://e.test/x"]),
)  # fmt: skip
NAMES = ["prompt", "image", "images", "last_image", "audio", "audio_base64", "video", "size", "width", "height", "fps",
         "aspect_ratio", "resolution", "duration", "seed", "voice", "voice_url", "speed", "pitch", "format", "language",
         "output_format", "transcription", "word_timestamps", "messages", "sampling_params", "max_tokens"]  # fmt: skip


@settings(max_examples=60, suppress_health_check=list(HealthCheck), deadline=None)
@given(given=st.dictionaries(st.sampled_from(NAMES), ODD, max_size=6), kind=st.sampled_from(sorted(WORK)))
def test_no_input_breaks_a_worker(client: httpx.Client, given: dict[str, Any], kind: Kind) -> None:
    with Emulator({"any": Endpoint(kind)}) as emulator:
        envelope = done(client, emulator, "any", {"prompt": "a cat", "size": "32*32", **given})

    failed = envelope["status"] == "FAILED"
    assert failed or envelope["status"] == "COMPLETED"
    assert not failed or envelope["error"].startswith(("Invalid parameter", "Failed to download", "the emulator")), (
        given
    )


@pytest.fixture(scope="module")
def facts() -> dict[str, Any]:
    if not FACTS.exists():
        pytest.skip("the facts about Runpod are not part of the checkout")
    rows = yaml.load(FACTS.read_text(encoding="utf-8"), yaml.CSafeLoader)["models"]
    return {row["endpoint"]: row for row in rows}


@pytest.mark.parametrize("slug", ROWS)
def test_the_rules_are_those_of_the_page(slug: str, facts: dict[str, Any]) -> None:
    known, row = ROWS[slug], facts[slug]

    pages = {one["name"]: one for one in row["input"] if not {"[", "."} & set(one["name"]) and one["name"] != "stop"}
    own = {"sampling_params"} if "sampling_params.max_tokens" in {one["name"] for one in row["input"]} else set()
    assert known.kind == {"image-edit": "edit"}.get(row["kind"], row["kind"])
    assert known.inputs.keys() == pages.keys() | own
    for name, page in pages.items():
        rule = known.inputs[name]
        assert rule["type"] == page["type"]
        assert rule.get("required", False) == (page["required"] and row["kind"] != "text")
        assert (page["multiple_of"], page["max"]) == (
            rule.get("multipleOf"),
            rule.get("maxItems" if page["type"] == "array" else "maximum"),
        )
        assert set(page["enum"] or ()) <= set(rule.get("enum", ())) or (slug, name) == ("wan-2-6-t2i", "size")
    if row["text"]:
        assert [known.model, *known.models] == row["text"]["openai_model_names_seen"]
