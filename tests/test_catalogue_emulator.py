"""Two tables, written one after the other from the same pages: the catalogue's, and the emulator's.

What the one sends with any value that it documents, the other does not refuse; what the emulator refuses has been
refused by `runner check` before.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from runner.catalogue import Model
from runner.emulator.endpoints import public
from runner.kinds import KINDS
from runner.model import Artifact, Chat, Job

from . import oracle
from .oracle import Refusal
from .rows import FILES, MODELS, Words, least, values

PHOTO = Artifact(sha256="ab" * 32, media_type="image/png", bytes=3, path="/a.png")
SOUND = Artifact(sha256="cd" * 32, media_type="audio/wav", bytes=3, path="/a.wav")
FILM = Artifact(sha256="ef" * 32, media_type="video/mp4", bytes=3, path="/a.mp4")
ARTIFACTS = {"a.png": PHOTO, "a.wav": SOUND, "a.mp4": FILM}


def sent(model: Model, params: Words) -> Words:
    """The input of the job, or the body of the chat, with addresses for files."""
    given = {name: ARTIFACTS.get(value, value) for name, value in least(model).items()}
    call = KINDS[model.kind].advance({**given, **params, "model": model}, ())
    if isinstance(call, Chat):
        return dict(call.body)
    assert isinstance(call, Job)
    return {name: address(value) for name, value in call.input.items()}


def address(value: Any) -> Any:
    if isinstance(value, list):
        return [address(one) for one in value]
    return "https://example.com/a" if isinstance(value, Artifact) else value


def test_both_tables_hold_the_same_endpoints() -> None:
    assert {model.endpoint for model in MODELS} == set(public())


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.id)
def test_the_emulator_takes_what_the_catalogue_sends(model: Model) -> None:
    asked = [{}, *({word: value} for word, rule in model.params.items() for value in values(dict(rule)))]
    asked += [{word: ARTIFACTS[FILES[word]]} for word in model.files]
    most = model.most_pictures or 3
    asked += [{"image": PHOTO}, {"images": [PHOTO] * most}] if model.images and not model.lacks(()) else []

    refused = {str(params): public()[model.endpoint].refusal(sent(model, params)) for params in asked}

    assert {params: said for params, said in refused.items() if said} == {}


@pytest.mark.parametrize("model", [m for m in MODELS if not m.variant_of], ids=lambda model: model.id)
def test_the_catalogue_knows_the_defaults_of_the_emulator(model: Model) -> None:
    rules = public()[model.endpoint].inputs
    ours = {str(r.get("wire", word)): r for word, r in model.params.items() if not isinstance(r.get("wire"), list)}
    theirs = {name: rule["default"] for name, rule in rules.items() if "default" in rule and name in ours}
    theirs.pop("max_tokens", None)

    known: Words = {name: ours[name].get("default") for name in theirs}
    if "join" in ours.get("size", {}) and known.get("size"):
        known["size"] = known["size"].replace("x", ours["size"]["join"])

    assert known == theirs


def wrong(rule: Words) -> Iterator[Any]:
    """Values that break a rule, each in one way."""
    if "enum" in rule:
        yield "none of these" if isinstance(rule["enum"][0], str) else max(rule["enum"]) + 1
    if "minimum" in rule:
        yield rule["minimum"] - 1
    if "maximum" in rule:
        yield rule["maximum"] + 1
    if rule.get("type") == "integer":
        yield 1.5
    if rule.get("type") in ("integer", "number", "boolean", "array"):
        yield "none of these"
    if rule.get("type") == "array" and rule["items"].get("required"):
        yield [{"path": "https://example.com/l.safetensors"}]


FREE = {"audio_base64", "prompt", "image", "images", "audio", "video", "last_image", "voice_url"}
"""Texts and files: what can be wrong with them is below."""


def mistakes() -> Iterator[tuple[str, Words]]:
    """Steps that the emulator would refuse, by what is wrong with them."""
    for model in MODELS:
        rules = public()[model.endpoint].inputs
        words = {str(rule.get("wire", word)): word for word, rule in model.params.items() if "sizes" not in rule}
        step = {"kind": model.kind, "model": model.id, **least(model)}
        for name, rule in rules.items():
            if name in words and name not in FREE:
                for value in wrong(dict(rule)):
                    yield f"{model.id} {words[name]}: {value}", {**step, words[name]: value}
            if rule.get("required"):
                own = {"images": "image", "prompt": "text" if model.kind == "generate_speech" else "prompt"}
                without = own.get(name) or words.get(name, name)
                yield f"{model.id} without {name}", {k: v for k, v in step.items() if k != without}
            if name == "images" and "maxItems" in rule:
                yield f"{model.id} with too many pictures", {**step, "images": ["a.png"] * rule["maxItems"]}
        if isinstance(model.params.get("size", {}).get("wire"), list):
            for size in ("1000x1000", "128x1024", "1024x4096"):
                yield f"{model.id} size: {size}", {**step, "size": size}


def test_what_the_emulator_refuses_check_has_refused(tmp_path_factory: pytest.TempPathFactory) -> None:
    steps = dict(mistakes())

    answers = oracle.sent(
        {name: {"name": "case", "steps": {"one": step}} for name, step in steps.items()},
        tmp_path_factory.mktemp("wrong"),
    )

    assert len(steps) > 300
    assert [name for name, answer in answers.items() if not isinstance(answer, Refusal)] == []
