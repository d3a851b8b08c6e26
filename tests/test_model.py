"""The words: what makes two calls the same, and what survives JSON."""

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runner.model import Artifact, Cell, Chat, Job, Output, from_json, json_line, key_of

PHOTO = Artifact(sha256="ab" * 32, media_type="image/png", bytes=3, path="/a.png", url="https://x/a.png", width=4)
JOB = Job(kind="edit_image@1", endpoint="editor", input={"prompt": "tea", "image": PHOTO, "seed": 7})
CHAT = Chat(kind="generate_text@1", endpoint="writer", body={"model": "m", "messages": [{"content": "é"}]})

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5).filter("$artifact".__ne__), inner, max_size=3)
    ),
    max_leaves=8,
)
ARTIFACTS = st.builds(
    Artifact,
    sha256=st.text("0123456789abcdef", min_size=64, max_size=64),
    media_type=st.sampled_from(["image/png", "audio/mpeg"]),
    bytes=st.integers(0, 10**9),
    path=st.text(max_size=9),
    url=st.none() | st.text(max_size=9),
    width=st.none() | st.integers(1, 9999),
)


def reversed_keys(value: Any) -> Any:
    if isinstance(value, dict):
        return {k: reversed_keys(v) for k, v in reversed(value.items())}
    return [reversed_keys(v) for v in value] if isinstance(value, list) else value


@settings(max_examples=60)
@given(st.dictionaries(st.text(max_size=5), VALUES, max_size=4))
def test_the_order_of_keys_does_not_change_a_key(values: dict[str, Any]) -> None:
    call = replace(JOB, input=values)
    other = replace(JOB, input=reversed_keys(values))

    assert key_of(call, "runpod") == key_of(other, "runpod")


@pytest.mark.parametrize(
    "call",
    [
        pytest.param(replace(JOB, input={**JOB.input, "image": replace(PHOTO, path="/b.png")}), id="path"),
        pytest.param(replace(JOB, input={**JOB.input, "image": replace(PHOTO, url=None)}), id="url"),
        pytest.param(replace(JOB, label="another"), id="label"),
        pytest.param(replace(JOB, usd=9.0), id="price"),
        pytest.param(replace(JOB, media="image"), id="media"),
    ],
)
def test_what_gives_the_same_output_has_the_same_key(call: Job) -> None:
    assert key_of(call, "runpod") == key_of(JOB, "runpod")


@pytest.mark.parametrize(
    "call",
    [
        pytest.param(replace(JOB, input={**JOB.input, "image": replace(PHOTO, sha256="cd" * 32)}), id="digest"),
        pytest.param(replace(JOB, input={**JOB.input, "seed": 8}), id="seed"),
        pytest.param(replace(JOB, input={**JOB.input, "seed": "7"}), id="type"),
        pytest.param(replace(JOB, endpoint="other"), id="endpoint"),
        pytest.param(replace(JOB, kind="edit_image@2"), id="version of the kind"),
        pytest.param(CHAT, id="another sort of call"),
    ],
)
def test_what_can_give_another_output_has_another_key(call: Job | Chat) -> None:
    assert key_of(call, "runpod") != key_of(JOB, "runpod")


def test_what_the_emulator_made_is_never_served_for_runpod() -> None:
    assert key_of(JOB, "emulator") != key_of(JOB, "runpod")


def test_a_chat_at_another_server_has_another_key() -> None:
    local = replace(CHAT, base_url="http://localhost:8000/v1")

    assert key_of(local, "runpod") != key_of(CHAT, "runpod")


def test_the_key_of_a_call_stays_what_it_was() -> None:
    """When this fails, every stored output is lost: raise KEY_FORMAT only on purpose."""
    assert key_of(JOB, "runpod") == "6b06e798039c6a82e0890abe46ceb31e78a95e8a08ab1366d09c3b41f4ae6ddc"
    assert key_of(CHAT, "runpod") == "5cfe3811c3924887af54a811c274272446ef96666a83ab67b39d3afd31dc6759"


@settings(max_examples=80)
@given(st.recursive(VALUES | ARTIFACTS, lambda inner: st.lists(inner, max_size=3), max_leaves=5))
def test_a_value_with_artifacts_survives_json(value: Any) -> None:
    assert from_json(json.loads(json_line(value))) == value


@pytest.mark.parametrize(
    ("media_type", "media", "suffix"),
    [
        ("image/png", "image", ".png"),
        ("image/jpeg", "image", ".jpg"),
        ("audio/mpeg", "audio", ".mp3"),
        ("audio/x-wav", "audio", ".wav"),
        ("video/mp4", "video", ".mp4"),
        ("application/octet-stream", "file", ".bin"),
    ],
)
def test_an_artifact_knows_its_media_and_suffix(media_type: str, media: str, suffix: str) -> None:
    artifact = replace(PHOTO, media_type=media_type)

    assert (artifact.media, artifact.suffix) == (media, suffix)


def test_a_cell_is_named_by_its_step_and_key() -> None:
    assert Cell("photo").id == "photo"
    assert Cell("photo", "red-shoe").id == "photo[red-shoe]"


def test_an_output_is_seen_with_its_model_and_cost() -> None:
    assert Output({"text": "tea"}, "m", 0.5).scope() == {"text": "tea", "model": "m", "cost": 0.5}
