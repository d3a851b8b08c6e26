"""Recorded requests of the official JavaScript provider, and ours for the same wishes.

A case of the corpus becomes a pipeline of one step in our words; the pipeline goes through all that `runner` does up to
the wire. What comes out is a `Request`, or the `Refusal` that `runner check` would print.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import anyio
import yaml

from runner import catalogue, checking, pipeline, planning
from runner.catalogue import Model
from runner.errors import StepError, UsageError
from runner.kinds import KINDS
from runner.model import Artifact, Chat, Job
from runner.runpod.provider import Runpod
from runner.store import Store

from .conftest import SHARED

CORPUS = SHARED / "oracle" / "corpus.jsonl"
FACTS = SHARED / "runpod" / "models.yaml"

PNG = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAIAAAACCAIAAAD91JpzAAAAEElEQVR4nGP8zwACLAwMDAANCgEBqSTPLQAAAABJRU5ErkJggg=="
)
WAV = base64.b64decode("UklGRiwAAABXQVZFZm10IBAAAAABAAEAQB8AAIA+AAACABAAZGF0YQgAAAAAAAAAAAAA")
FILES = {"png": ("a.png", "image/png", PNG), "wav": ("a.wav", "audio/wav", WAV), "mp4": ("a.mp4", "video/mp4", b"mp4")}
"""The files of the recording, by the word that cases use for them, and a video for those that need one."""

Words: TypeAlias = dict[str, Any]

KIND = {"text": "generate_text", "stream": "generate_text", "object": "generate_text", "image": "generate_image",
        "video": "generate_video", "speech": "generate_speech", "transcription": "transcribe_audio"}  # fmt: skip
WORDS = {"maxOutputTokens": "max_tokens", "topP": "top_p", "topK": "top_k", "presencePenalty": "presence_penalty",
         "frequencyPenalty": "frequency_penalty", "stopSequences": "stop", "aspectRatio": "aspect_ratio",
         "outputFormat": "output_format"}  # fmt: skip
"""The SDK's words, where ours are others."""
OPTIONS = {"reasoningEffort": "reasoning_effort", "voiceUrl": "voice_url"}
"""Options that the provider itself spells in another way on the wire."""
POLLING = {"pollIntervalMillis", "maxPollAttempts"}
"""How often the caller wants to look: says nothing about the job. We look as often as it takes."""


@dataclass(frozen=True)
class Case:
    """What the SDK was asked for, and the first request that it made; None if it made none."""

    id: str
    label: str
    kind: str
    model: str
    params: Words
    options: Words
    via: str
    theirs: Request | None
    bodies: tuple[Any, ...]

    def __str__(self) -> str:
        return f"{self.id} {self.label}, {self.model}"


@dataclass(frozen=True)
class Request:
    """Which endpoint, or which address, and the JSON that goes there."""

    where: str
    body: Words


@dataclass(frozen=True)
class Refusal:
    """Why nothing is sent: a sentence for each thing that is wrong."""

    sentences: tuple[str, ...]


def cases() -> Iterator[Case]:
    """The corpus, line by line."""
    for line in CORPUS.read_text(encoding="utf-8").splitlines():
        row = json.loads(line)
        case, sent = row["case"], [r for r in row["requests"] if r["method"] == "POST"]
        yield Case(
            id=case["id"],
            label=case["label"],
            kind=case["kind"],
            model=case["model"],
            params=case["params"],
            options=case.get("runpod") or {},
            via=case.get("via", ""),
            theirs=Request(_where(sent[0]["original_url"]), sent[0]["body"]) if sent else None,
            bodies=tuple(r["body"] for r in sent),
        )


def _where(url: str) -> str:
    found = re.fullmatch(r"https://api\.runpod\.ai/v2/(.+?)/(?:run|runsync|openai/v1/chat/completions)", url)
    return found[1] if found else url


def injected() -> dict[str, Words]:
    """What the provider adds to a request when the caller says nothing, by every name of a model; ``""``: any other."""
    rows = yaml.load(FACTS.read_text(encoding="utf-8"), yaml.CSafeLoader)["models"]
    found = {name: row["provider"]["injects"] for row in rows for name in (row["id"], *row["aliases"])}
    return {**found, "": found["qwen/qwen-image"]}


# -- the wish, in our words -------------------------------------------------------------------------


def wish(case: Case) -> Words:
    """The pipeline of one step that asks for the same."""
    kind = KIND[case.kind]
    known = catalogue.builtin().find(case.model)
    if known is not None and case.kind == "image":
        kind = known.kind
    step: Words = {"kind": kind, "model": case.model}
    step |= _said(case)
    if case.kind == "image" and ("images" in step if known else "image" in step) and _edits(known):
        step["kind"] = "edit_image"
    step |= _options(case, known, step)
    models: Words = {}
    if headers := step.pop("headers", None):
        models["one"] = {"model": step["model"], "headers": headers}
    if case.via == "baseURL" and case.kind in ("text", "stream"):
        models["one"] = {"model": step["model"], "base_url": "http://server/v1"}
    if models:
        step["model"] = "one"
    return {"name": "case", **({"models": models} if models else {}), "steps": {"one": step}}


def _edits(known: Model | None) -> bool:
    return known is None or known.serves("edit_image")


def completed(wanted: Words) -> tuple[Words, dict[str, str]]:
    """The same pipeline with what its model cannot do without, and the fields of the request that this adds.

    The recording asks many models for less than their pages require, and the provider sends it: what it does say can
    only be compared when our own request is one that can be sent.
    """
    step = dict(wanted["steps"]["one"])
    known = catalogue.builtin().find(step["model"])
    added: dict[str, str] = {}
    if known is None:
        return wanted, added
    for word in known.lacks([*step, "prompt"]):
        rule = {**known.params, **known.files}.get(word, known.images)
        files = {"image": "a.png", "audio": "a.wav", "video": "a.mp4"}
        step[word] = files.get(word) or rule["enum"][0]
        added[word] = rule.get("wire", word)
    return {**wanted, "steps": {"one": step}}, added


def _said(case: Case) -> Words:
    """The params of the SDK's call."""
    said: Words = {}
    for name, value in case.params.items():
        match name:
            case "prompt" if isinstance(value, dict):
                said["prompt"] = value.get("text", "")
                pictures = [_file(one) for one in value.get("images", ())]
                said |= {"image": _file(value["image"])} if "image" in value else {}
                said |= {"image": pictures[0]} if len(pictures) == 1 else {"images": pictures} if pictures else {}
                said |= {"mask": _file(value["mask"])} if "mask" in value else {}
            case "audio":
                said["audio"] = _file(value)
            case "resolution":
                said["size"] = value  # the SDK's resolution is WIDTHxHEIGHT
            case "tools":
                said["tools"] = {tool: {"description": told["description"], "input": told["schema"], "returns": "…"}
                                 for tool, told in value.items()}  # fmt: skip
            case "toolChoice":  # of which we have no word, because our steps go on until the model answers
                named = isinstance(value, dict)
                chosen = {"type": "function", "function": {"name": value["toolName"]}} if named else value
                said["options"] = {"tool_choice": chosen}
            case "messages":
                said["messages"] = [{**message, "content": _content(message["content"])} for message in value]
            case "output":
                said["options"] = {"response_format": {"type": "json_object"}}
            case "schema" if value is None:
                pass
            case "n":
                pass  # a foreach: the same request, once for each cell
            case _:
                said[WORDS.get(name, name)] = value
    return said


def _options(case: Case, known: Model | None, step: Words) -> Words:
    """The provider's options: our word where the model has one for the field, ``options:`` as it is elsewhere."""
    given = {OPTIONS.get(name, name): value for name, value in case.options.items() if name not in POLLING}
    found: Words = {}
    if known is not None:
        plain = {word: rule for word, rule in known.params.items() if word != "size" and "sizes" not in rule}
        words = {rule.get("wire", word): word for word, rule in plain.items()}
        words |= {"prompt": "prompt"} if "prompt" in words.values() else {}
        inverted = {rule["wire"] for rule in plain.values() if rule.get("invert")}
        for wire in [wire for wire in given if wire in words]:
            found[words[wire]] = not given[wire] if wire in inverted else given[wire]
            del given[wire]
        for word, rule in known.files.items():
            if rule["wire"] in given:
                found[word] = given.pop(rule["wire"])
        if known.images.get("wire") in given and "image" not in step:
            value = given.pop(known.images["wire"])
            found |= {"images": value} if isinstance(value, list) else {"image": value}
        sides = known.params.get("size", {}).get("wire")
        if isinstance(sides, list) and set(sides) <= set(given):
            found["size"] = "x".join(str(given.pop(side)) for side in sides)
    return {**found, **({"options": given} if given else {})}


def _content(value: Any) -> Any:
    """What a message says: a text, or parts in our words."""
    if isinstance(value, str):
        return value
    return [{"text": part["text"]} if part["type"] == "text" else {"image": part["image"]["$url"]} for part in value]


def _file(value: Any) -> str:
    return value if isinstance(value, str) else FILES[next(iter(value.values()))][0]


# -- our request ------------------------------------------------------------------------------------


async def requests(wishes: Mapping[str, Words], folder: Path) -> dict[str, Request | Refusal]:
    """What `runner` would send for each of these pipelines."""
    files = _artifacts(folder)
    urls = {url for wanted in wishes.values() for url in re.findall(r"https://[^\"]*\.(?:png|wav)", json.dumps(wanted))}
    files |= {url: Artifact(url, "audio/wav" if url.endswith("wav") else "image/png", 1, url) for url in urls}
    provider = Runpod("http://127.0.0.1:1", "key", Store(folder / "store"))
    provider._urls.update({url: url for url in urls})
    return {name: await _request(wanted, files, provider) for name, wanted in wishes.items()}


def sent(wishes: Mapping[str, Words], folder: Path) -> dict[str, Request | Refusal]:
    return anyio.run(requests, wishes, folder)


def _artifacts(folder: Path) -> dict[str, Artifact]:
    made = {}
    for name, media_type, content in FILES.values():
        path = folder / name
        path.write_bytes(content)
        made[name] = Artifact(name, media_type, len(content), str(path))
    return made


async def _request(wanted: Words, files: Mapping[str, Artifact], provider: Runpod) -> Request | Refusal:
    found, problems = pipeline.load(json.dumps(wanted), "case.yaml", lambda name: Path(name).read_text())
    checked = None
    if found is not None and not problems:
        checked, problems = checking.check(found, catalogue.builtin(), lambda _: True)
    if checked is None:
        return Refusal(tuple(problem.message for problem in problems if not problem.warning))
    try:
        step = planning.plan(checked, {}, {}).with_files(files).steps[0]
        call = KINDS[step.kind.NAME].advance(planning.render(step, {}), ())
    except (StepError, UsageError) as err:
        return Refusal((str(err),))
    if isinstance(call, Job):
        policy = {"policy": call.policy} if call.policy else {}
        return Request(call.endpoint, {"input": await provider._input(call), **policy})
    assert isinstance(call, Chat)
    where = f"{call.base_url}/chat/completions".replace("http://server", "{server}") if call.base_url else call.endpoint
    return Request(where, dict(call.body))
