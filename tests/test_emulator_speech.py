"""Speech and transcription of the emulator: real WAV files, and the words that were said in them."""

import re
import wave
from array import array
from base64 import b64encode
from collections.abc import Iterator
from io import BytesIO
from itertools import pairwise
from typing import Any

import httpx2 as httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.emulator import Emulator, Endpoint
from runner.emulator.speech import LONGEST, pitch_of, seconds, spoken
from runner.emulator.transcripts import transcript
from runner.emulator.waves import read, written

TEXT = "Welcome to the show. Today we talk about tea: how it is grown, and how it is poured."


@pytest.fixture(scope="module")
def client() -> Iterator[httpx.Client]:
    with httpx.Client(headers={"Authorization": "Bearer rpa_test"}, timeout=10) as client:
        yield client


@pytest.fixture(scope="module")
def emulator() -> Iterator[Emulator]:
    with Emulator() as emulator:
        yield emulator


def job(client: httpx.Client, emulator: Emulator, slug: str, given: dict[str, Any]) -> dict[str, Any]:
    envelope: dict[str, Any] = client.post(f"{emulator.url}/{slug}/runsync", json={"input": given}).json()
    return envelope


def said(client: httpx.Client, emulator: Emulator, **given: Any) -> bytes:
    output = job(client, emulator, "chatterbox-turbo", {"prompt": TEXT, **given})["output"]
    return httpx.get(output["audio_url"]).content


def samples(data: bytes) -> "array[int]":
    with wave.open(BytesIO(data)) as sound:
        return array("h", sound.readframes(sound.getnframes()))


def pitch(data: bytes) -> float:
    """Hz, by the distance at which the loudest part of a sound is most like itself."""
    heard = samples(data)
    loudest = max(range(0, len(heard) - 2400, 600), key=lambda at: sum(map(abs, heard[at : at + 1200])))
    part = heard[loudest : loudest + 2400]
    likeness = {
        lag: sum(a * b for a, b in zip(part, part[lag:], strict=False)) / (2400 - lag) for lag in range(70, 320)
    }
    most = max(likeness.values())
    return 24_000 / next(lag for lag, value in likeness.items() if value > 0.9 * most)


def test_speech_is_a_wav_file_as_long_as_its_text(client: httpx.Client, emulator: Emulator) -> None:
    output = job(client, emulator, "minimax-speech-02-hd", {"prompt": TEXT})["output"]
    answer = httpx.get(output["audio_url"])

    assert answer.headers["content-type"] == "audio/wav"
    assert output["audio_url"].endswith(".wav")
    assert output["cost"] == pytest.approx(0.05 * len(TEXT) / 1000)
    with wave.open(BytesIO(answer.content)) as sound:
        assert (sound.getnchannels(), sound.getsampwidth(), sound.getframerate()) == (1, 2, 24_000)
        assert sound.getnframes() / 24_000 == pytest.approx(len(TEXT) * 0.06, abs=0.001)


def test_speech_can_be_heard_and_is_not_clipped() -> None:
    heard = samples(spoken(TEXT, "lucy"))

    assert 8_000 < max(map(abs, heard)) < 32_000
    assert sum(abs(value) > 500 for value in heard) > len(heard) / 4


def test_the_same_words_sound_the_same_and_another_voice_is_higher_or_lower(
    client: httpx.Client, emulator: Emulator
) -> None:
    lucy, again, gavin = (said(client, emulator, voice=voice) for voice in ("lucy", "lucy", "gavin"))

    assert lucy == again
    assert pitch(lucy) == pytest.approx(pitch_of("lucy"), rel=0.15)
    assert pitch(gavin) == pytest.approx(pitch_of("gavin"), rel=0.15)
    assert abs(pitch_of("lucy") - pitch_of("gavin")) > 20


def test_a_voice_can_be_an_address_which_is_not_fetched(client: httpx.Client, emulator: Emulator) -> None:
    one, other = (said(client, emulator, voice_url=f"https://example.test/{n}.wav") for n in (1, 2))

    assert one != other


@pytest.mark.parametrize(("given", "share"), [({"speed": 2}, 0.5), ({"speed": 0.5}, 2), ({"pitch": 5}, 1)])
def test_speed_and_pitch_are_heard(
    client: httpx.Client, emulator: Emulator, given: dict[str, Any], share: float
) -> None:
    plain, other = (
        httpx.get(
            job(client, emulator, "minimax-speech-02-hd", {"prompt": TEXT, **more})["output"]["audio_url"]
        ).content
        for more in ({}, given)
    )

    assert read(other).seconds == pytest.approx(read(plain).seconds * share, abs=0.01)
    assert plain != other


def test_a_very_long_text_is_spoken_to_its_end_in_a_bounded_time() -> None:
    text = "A word. " * 2000

    assert seconds(text) == LONGEST
    assert seconds("") > 0


@pytest.mark.parametrize(
    ("slug", "given", "hint"),
    [
        ("chatterbox-turbo", {"prompt": " "}, "prompt is required"),
        ("chatterbox-turbo", {"prompt": TEXT, "voice": "nobody"}, "voice must be one of aaron, abigail"),
        ("chatterbox-turbo", {"prompt": TEXT, "format": "ogg"}, "WAV only"),
        ("minimax-speech-02-hd", {"prompt": TEXT, "speed": "fast"}, "speed must be a number"),
        ("minimax-speech-02-hd", {"prompt": TEXT, "emotion": "bored"}, "emotion must be one of happy"),
        ("any", {"prompt": TEXT, "voice": "x", "speed": True}, "speed must be a number"),
    ],
)
def test_speech_that_cannot_be_made_fails_with_a_sentence(
    client: httpx.Client, emulator: Emulator, slug: str, given: dict[str, Any], hint: str
) -> None:
    envelope = job(client, emulator, slug, given)

    assert envelope["status"] == "FAILED"
    assert hint in envelope["error"]


@pytest.mark.parametrize("way", ["address", "data URI", "base64", "audio_base64"])
def test_a_transcript_is_what_the_speech_said(client: httpx.Client, emulator: Emulator, way: str) -> None:
    url = job(client, emulator, "chatterbox-turbo", {"prompt": TEXT})["output"]["audio_url"]
    raw = b64encode(httpx.get(url).content).decode()
    given = {
        "address": {"audio": url},
        "data URI": {"audio": f"data:audio/wav;base64,{raw}"},
        "base64": {"audio": raw},
        "audio_base64": {"audio_base64": raw},
    }[way]

    output = job(client, emulator, "whisper-v3-large", given)["output"]

    assert output["text"] == TEXT
    assert output["language"] == "en"
    assert output["duration"] == pytest.approx(len(TEXT) * 0.06, abs=0.001)
    assert output["cost"] == pytest.approx(0.05 * len(TEXT) / 1000)
    assert " ".join(segment["text"] for segment in output["segments"]) == TEXT
    assert [segment["start"] for segment in output["segments"]] == [
        0,
        *(segment["end"] for segment in output["segments"][:-1]),
    ]
    assert output["segments"][-1]["end"] == pytest.approx(output["duration"], abs=0.01)
    assert emulator.leaks == ()


@given(st.text(min_size=1).filter(str.strip), st.sampled_from(["lucy", "Wise_Woman", "ünï"]))
def test_any_words_come_back(text: str, voice: str) -> None:
    found = read(spoken(text, voice))

    assert found.text == " ".join(text.split()).encode(errors="replace").decode().rstrip("\0")
    assert found.voice == voice


def test_words_have_times_when_they_are_asked_for() -> None:
    found = transcript(spoken(TEXT, "lucy"), language="fr", words=True, form="plain_text")

    words = [word for segment in found["segments"] for word in segment["words"]]
    assert [word["word"] for word in words] == TEXT.split()
    assert all(one["end"] <= other["start"] + 0.01 for one, other in pairwise(words))
    assert found["language"] == "fr"


@pytest.mark.parametrize(
    ("form", "pattern"),
    [
        ("plain_text", re.escape(TEXT)),
        ("formatted_text", r"Welcome to the show\.\nToday .*"),
        ("srt", r"1\n00:00:00,000 --> 00:00:01,\d{3}\nWelcome to the show\.\n\n2\n.*"),
        ("vtt", r"WEBVTT\n\n00:00:00\.000 --> 00:00:01\.\d{3}\nWelcome to the show\.\n.*"),
    ],
)
def test_a_transcript_has_the_form_asked_for(form: str, pattern: str) -> None:
    found = transcript(spoken(TEXT, "lucy"), language=None, words=False, form=form)

    assert re.fullmatch(pattern, found["transcription"], re.DOTALL)
    assert found["text"] == TEXT


@pytest.mark.parametrize(("text", "language"), [("Der Tee ist nicht kalt.", "de"), ("Le thé est dans la tasse.", "fr")])
def test_the_language_is_the_one_that_was_spoken(text: str, language: str) -> None:
    assert transcript(spoken(text, "lucy"), language=None, words=False, form="plain_text")["language"] == language


def test_another_recording_gets_words_for_its_time_and_always_the_same() -> None:
    quiet = BytesIO()
    with wave.open(quiet, "wb") as sound:
        sound.setparams((2, 2, 8_000, 0, "NONE", ""))
        sound.writeframes(bytes(4 * 8_000 * 12))

    one, same = (transcript(quiet.getvalue(), language=None, words=False, form="plain_text") for _ in range(2))

    assert one == same
    assert one["duration"] == 12
    assert 20 < len(one["text"].split()) < 40


@pytest.mark.parametrize(
    ("given", "hint"),
    [
        ({}, "audio is required"),
        ({"audio": "banana!"}, "neither a URL nor valid base64"),
        ({"audio": b64encode(b"no recording").decode()}, "cannot be decoded: it is no recording"),
        ({"audio": b64encode(b"RIFFxxxxWAVE").decode()}, "without sound"),
        ({"audio": "https://example.test/a.wav"}, "fetches nothing from elsewhere"),
        ({"audio": "http://127.0.0.1:1/media/a.wav"}, "fetches nothing from elsewhere"),
        ({"audio": "AAAA", "transcription": "pdf"}, "must be one of plain_text"),
    ],
)
def test_what_is_no_recording_fails_with_a_sentence(
    client: httpx.Client, emulator: Emulator, given: dict[str, Any], hint: str
) -> None:
    envelope = job(client, emulator, "whisper-v3-large", given)

    assert envelope["status"] == "FAILED"
    assert hint in envelope["error"]


def test_a_recording_that_has_expired_cannot_be_transcribed(client: httpx.Client, emulator: Emulator) -> None:
    envelope = job(client, emulator, "whisper-v3-large", {"audio": f"{emulator.origin}/media/gone.wav"})

    assert envelope["status"] == "FAILED"
    assert "has expired" in envelope["error"]


@given(st.binary(max_size=200))
def test_bytes_are_a_recording_or_no_wav_file_and_nothing_else(data: bytes) -> None:
    for torn in (data, b"RIFF\0\0\0\0WAVE" + data, written(bytes(20), text="hi", voice="v")[: len(data)]):
        try:
            found = read(torn)
        except ValueError:
            continue
        assert found.seconds >= 0


@pytest.mark.parametrize(
    ("shape", "key"), [("result", "result"), ("url", "url"), ("base64", "audio_url"), ("datauri", "audio_url")]
)
def test_speech_comes_in_each_shape(client: httpx.Client, shape: str, key: str) -> None:
    with Emulator({"speaker": Endpoint("speech")}, faults=[f"job={shape}"]) as emulator:
        output = job(client, emulator, "speaker", {"prompt": TEXT})["output"]

    assert isinstance(output[key], str)
    assert output[key].startswith({"datauri": "data:audio/wav;base64,", "base64": "UklGR"}.get(shape, "http"))
