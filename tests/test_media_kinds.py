"""Speech, transcription, video, any endpoint, templates: params and replies in, the next call or the output out."""

from __future__ import annotations

from typing import Any

import pytest

from runner.catalogue import Model, builtin, private
from runner.errors import BadOutput
from runner.kinds import KINDS
from runner.kinds.kind import BadParams
from runner.model import Artifact, Job, Output, Reply

PHOTO = Artifact(sha256="ab" * 32, media_type="image/png", bytes=3, path="/a.png")
SOUND = Artifact(sha256="cd" * 32, media_type="audio/wav", bytes=3, path="/a.wav", seconds=7.5)
FILM = Artifact(sha256="ef" * 32, media_type="video/mp4", bytes=3, path="/a.mp4")


def model(name: str) -> Model:
    found = builtin().find(name)
    assert found is not None
    return found


def job(kind: str, name: str, **params: Any) -> Job:
    call = KINDS[kind].advance({"model": model(name), **params}, ())
    assert isinstance(call, Job)
    return call


@pytest.mark.parametrize(
    ("kind", "name", "params", "sent"),
    [
        pytest.param("generate_speech", "resembleai/chatterbox-turbo", {"text": "a\nb\r\n\nc", "voice": "lucy"},
                     {"prompt": "a b c", "voice": "lucy"}, id="line ends in speech"),
        pytest.param("generate_speech", "resembleai/chatterbox-turbo", {"text": "a", "voice_sample": SOUND},
                     {"prompt": "a", "voice_url": SOUND}, id="a sample of a voice"),
        pytest.param("generate_speech", "minimax-speech-02-hd", {"text": "a", "voice": "Calm", "normalize": True},
                     {"prompt": "a", "voice_id": "Calm", "english_normalization": True}, id="a voice by another name"),
        pytest.param("transcribe_audio", "pruna/whisper-v3-large", {"audio": SOUND, "prompt": "Ada", "vad": True},
                     {"initial_prompt": "Ada", "audio": SOUND, "enable_vad": True}, id="words to expect"),
        pytest.param("generate_video", "kwaivgi/kling-video-o1-r2v", {"prompt": "a", "image": PHOTO},
                     {"prompt": "a", "images": [PHOTO]}, id="one picture as a list"),
        pytest.param("generate_video", "openai/sora-2-pro-i2v",
                     {"prompt": "a", "image": PHOTO, "duration": 4, "resolution": "1080p"},
                     {"prompt": "a", "image": PHOTO, "duration": 4, "size": "1080p"}, id="a resolution called size"),
        pytest.param("generate_video", "alibaba/wan-2.5", {"prompt": "a", "image": PHOTO, "resolution": "480p"},
                     {"prompt": "a", "image": PHOTO, "size": "832*480"}, id="a resolution that selects a size"),
        pytest.param("generate_video", "bytedance/seedance-v1.5-pro-i2v",
                     {"prompt": "a", "image": PHOTO, "last_image": PHOTO},
                     {"prompt": "a", "image": PHOTO, "last_image": PHOTO}, id="a picture to end on"),
        pytest.param("generate_video", "kwaivgi/kling-v2.6-std-motion-control",
                     {"image": PHOTO, "video": FILM, "orientation": "image"},
                     {"image": PHOTO, "video": FILM, "character_orientation": "image"}, id="no prompt"),
    ],
)  # fmt: skip
def test_a_job_is_asked_for_in_the_words_of_the_model(
    kind: str, name: str, params: dict[str, Any], sent: dict[str, Any]
) -> None:
    assert job(kind, name, **params).input == sent


def test_a_recording_without_a_url_may_go_as_base64() -> None:
    assert job("transcribe_audio", "pruna/whisper-v3-large", audio=SOUND).raw == {"audio": "audio_base64"}


def test_a_video_is_as_long_as_its_sound() -> None:
    assert job("generate_video", "pruna/p-video", prompt="a", audio=SOUND).usd == pytest.approx(7.5 * 0.02)


@pytest.mark.parametrize(
    ("kind", "name", "params", "words"),
    [
        ("generate_video", "openai/sora-2-i2v", {"prompt": "a", "image": PHOTO}, "needs duration"),
        ("generate_video", "infinitetalk", {"prompt": "a", "image": PHOTO, "resolution": "480p"}, "needs audio"),
        ("generate_video", "alibaba/wan-2.6-t2v", {"prompt": "a", "image": PHOTO}, r"takes no picture$"),
        ("generate_video", "vidu/q3-t2v", {"prompt": "a", "audio": SOUND}, "takes no audio"),
        ("generate_speech", "resembleai/chatterbox-turbo", {"text": "a", "voice": "lucie"}, "voice cannot be lucie"),
    ],
)
def test_what_a_model_does_not_take_is_not_sent(kind: str, name: str, params: dict[str, Any], words: str) -> None:
    with pytest.raises(BadParams, match=words):
        job(kind, name, **params)


def output(kind: str, name: str, reply: Reply, **params: Any) -> dict[str, Any]:
    made = KINDS[kind].advance({"model": model(name), **params}, (reply,))
    assert isinstance(made, Output)
    return made.scope()


@pytest.mark.parametrize(
    ("kind", "name", "file", "made"),
    [
        ("generate_speech", "minimax-speech-02-hd", SOUND, {"audio": SOUND}),
        ("generate_video", "openai/sora-2-i2v", FILM, {"video": FILM, "seed": None}),
    ],
)
def test_a_file_comes_out(kind: str, name: str, file: Artifact, made: dict[str, Any]) -> None:
    assert output(kind, name, Reply({}, (file,), 0.5), text="a") == {**made, "model": name, "cost": 0.5}


@pytest.mark.parametrize(
    ("said", "text", "segments", "language"),
    [
        pytest.param({"text": " Hi. ", "language": "en"}, "Hi.", 0, "en", id="a text"),
        pytest.param({"result": "Hi."}, "Hi.", 0, None, id="a result"),
        pytest.param(["Hi."], "Hi.", 0, None, id="a list of one"),
        pytest.param("Hi.", "Hi.", 0, None, id="a bare text"),
        pytest.param({"transcription": "Hi.", "segments": [{"text": "Hi.", "end": 1}], "detected_language": "de"},
                     "Hi.", 1, "de", id="segments"),
    ],
)  # fmt: skip
def test_a_transcript_is_read(said: Any, text: str, segments: int, language: str | None) -> None:
    values = output("transcribe_audio", "pruna/whisper-v3-large", Reply(said))

    assert (values["text"], len(values["segments"]), values["language"]) == (text, segments, language)


def test_a_reply_without_a_transcript_is_a_bad_output() -> None:
    with pytest.raises(BadOutput, match="the reply holds no text"):
        output("transcribe_audio", "pruna/whisper-v3-large", Reply({"words": []}))


def test_any_endpoint_is_asked_in_its_own_words() -> None:
    endpoint = private("abc123def456", "call_endpoint")
    params = {"model": endpoint, "input": {"x": [1, PHOTO]}, "stream": True, "policy": {"ttl": 60000}, "files": False}

    call = KINDS["call_endpoint"].advance(params, ())
    made = KINDS["call_endpoint"].advance(params, (Reply([1, 2], (PHOTO,)),))

    assert isinstance(call, Job)
    assert (call.input, call.stream, call.policy, call.media) == ({"x": [1, PHOTO]}, True, {"ttl": 60000}, None)
    assert isinstance(made, Output)
    assert made.values == {"data": [1, 2], "files": [PHOTO]}


def test_a_template_is_a_step_at_no_cost() -> None:
    assert KINDS["render_text"].advance({"text": "# Tea"}, ()) == Output({"text": "# Tea"})
