"""Two tables, written one after the other from the same pages: the catalogue's, and the emulator's.

What the one sends with any value that it documents, the other does not refuse; what the emulator refuses has been
refused by `runner check` before.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from runner.catalogue import Model, builtin
from runner.emulator.endpoints import public
from runner.kinds import KINDS
from runner.model import Artifact, Chat, Job

from . import oracle
from .oracle import Refusal, Words

PHOTO = Artifact(sha256="ab" * 32, media_type="image/png", bytes=3, path="/a.png")
SOUND = Artifact(sha256="cd" * 32, media_type="audio/wav", bytes=3, path="/a.wav")
FILM = Artifact(sha256="ef" * 32, media_type="video/mp4", bytes=3, path="/a.mp4")
FILES = {"audio": SOUND, "video": FILM, "image": PHOTO, "last_image": PHOTO, "voice_sample": SOUND}
MODELS = sorted(builtin().models.values(), key=lambda model: model.id)


def least(model: Model) -> Words:
    """The params that a model cannot do without, and nothing else."""
    found: Words = {"model": model, ("text" if model.kind == "generate_speech" else "prompt"): "a red teapot"}
    for word in model.lacks(["prompt"]):
        found[word] = FILES[word] if word in FILES else model.params[word]["enum"][0]
    return found


def values(rule: Words) -> list[Any]:
    """The values that a rule names: all of a list, both ends of a range, what holds if nothing is said."""
    if "sizes" in rule:
        return list(rule["sizes"])
    if "rule" in rule:
        low, high = rule["rule"]["minimum"], rule["rule"]["maximum"]
        return [f"{low}x{high}", f"{high}x{low}"]
    if rule.get("type") == "boolean":
        return [True, False]
    if rule.get("type") == "array":
        return [["END"] if "items" in rule else [{"path": "https://example.com/l.safetensors", "scale": 1}]]
    named = [*rule.get("enum", ()), *(rule[end] for end in ("minimum", "maximum", "default") if end in rule)]
    return list(dict.fromkeys([*named, *rule.get("examples", ())])) or [
        7 if rule.get("type") in ("integer", "number") else "en"
    ]


def sent(model: Model, **params: Any) -> Words:
    """The input of the job, or the body of the chat, with addresses for files."""
    call = KINDS[model.kind].advance({**least(model), **params}, ())
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
    asked += [{word: FILES[word]} for word in model.files]
    most = model.most_pictures or 3
    asked += [{"image": PHOTO}, {"images": [PHOTO] * most}] if model.images and not model.lacks(()) else []

    refused = {str(params): public()[model.endpoint].refusal(sent(model, **params)) for params in asked}

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


FILES_BY_NAME = {"image": "a.png", "audio": "a.wav", "video": "a.mp4", "last_image": "a.png", "voice_sample": "a.wav"}


def mistakes() -> Iterator[tuple[str, Words]]:
    """Steps that the emulator would refuse, by what is wrong with them."""
    for model in MODELS:
        rules = public()[model.endpoint].inputs
        words = {str(rule.get("wire", word)): word for word, rule in model.params.items() if "sizes" not in rule}
        step = {"kind": model.kind, **{k: FILES_BY_NAME.get(k, v) for k, v in least(model).items()}, "model": model.id}
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
