"""The contract of a kind, and the words that several kinds share.

A kind is a module. Its one function is pure: given the params and the replies so far, it says the next call or
the output. Retry, timeout, store, budget, journal and resume are written once, elsewhere, around the one place
that waits.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Protocol

from ..catalogue import Model
from ..errors import BadOutput, StepError, TemplateFailed
from ..model import JSON, Artifact, Job, Media, Next, Output, Reply
from ..templates import to_text


class Kind(Protocol):
    """What `KINDS` holds. ``PARAMS`` maps a parameter to its JSON Schema, where ``{"artifact": "image"}`` is a file."""

    NAME: str
    VERSION: int
    """Part of every key: raise it when the same params must no longer give the stored output."""
    TITLE: str
    CALLS: bool
    """Whether it calls a model, so that a step of this kind has ``model:``."""
    PARAMS: Mapping[str, JSON]
    REQUIRED: tuple[tuple[str, ...], ...]
    """Groups of params of which at least one must be given."""
    TIMEOUT: float
    """Seconds that one attempt may take, time in the queue included, where the step does not say."""

    def output(self, params: Mapping[str, JSON]) -> JSON:
        """The JSON Schema of what the step yields, from its params as written."""

    def advance(self, params: Mapping[str, JSON], replies: Sequence[Reply]) -> Next:
        """The next call, or the output. ``params["model"]`` is a `Model` where the kind ``CALLS``."""


def makes(kind: Kind) -> str | None:
    """The one thing that a kind makes by calling a model (``image``, ``text``): what there can be candidates of.

    None for kinds that make nothing, or nobody knows how many things, and for what is there to be right.
    """
    if not kind.CALLS:
        return None
    files = [n for n, wanted in kind.output({})["properties"].items() if "artifact" in wanted]
    return files[0] if len(files) == 1 else "text" if kind.NAME == "generate_text" else None


class BadParams(StepError):
    """A value that was only known at run time is one that the model does not take. Nothing was sent."""

    fault = "params"


TEXT: JSON = {"type": "string"}
FLAG: JSON = {"type": "boolean"}
INTEGER: JSON = {"type": "integer"}
NUMBER: JSON = {"type": "number"}
IMAGE: JSON = {"artifact": "image"}
AUDIO: JSON = {"artifact": "audio"}
VIDEO: JSON = {"artifact": "video"}

COST: JSON = {
    "model": {"type": "string", "description": "The model that made it."},
    "cost": {"type": "number", "description": "What it cost, in USD."},
}

SEED: JSON = {**INTEGER, "minimum": 0, "description": "Same seed, same result. Chosen for you if you give none."}
OPTIONS: JSON = {
    "type": "object",
    "description": "Anything else, sent to the model as it is, in its own words.",
    "examples": [{"loras": []}],
}
SAMPLING: dict[str, JSON] = {"seed": SEED, "options": OPTIONS}
SIZE: JSON = {
    **TEXT,
    "pattern": r"^[1-9][0-9]{0,4}[x*][1-9][0-9]{0,4}$",
    "description": "WIDTHxHEIGHT in pixels.",
    "examples": ["1024x1024"],
}
RATIO: JSON = {
    **TEXT,
    "pattern": "^([0-9]+:[0-9]+|[a-z_]+)$",
    "description": "WIDTH:HEIGHT, instead of a size.",
    "examples": ["4:3"],
}
RESOLUTION: JSON = {**TEXT, "description": "How fine it is, in the model's steps.", "examples": ["720p"]}
LORAS: JSON = {
    "type": "array",
    "items": {
        "type": "object",
        "properties": {
            "path": {"type": "string", "description": "Where the weights are: a URL, or a name on Hugging Face."},
            "scale": {"type": "number", "description": "How strongly they count, usually 0 to 1."},
        },
        "required": ["path", "scale"],
    },
    "description": "Weights to lay over the model: path (a URL) and scale.",
    "examples": [[{"path": "https://huggingface.co/flymy-ai/qwen-image-realism-lora", "scale": 1}]],
}
PICTURES: JSON = {
    "type": "array",
    "items": IMAGE,
    "minItems": 1,
    "description": "Several pictures, for models that take them.",
}

COMMON = {
    "model",
    "prompt",
    "system",
    "text",
    "image",
    "images",
    "messages",
    "options",
    "schema",
    "reask",
    "strict",
    "tools",
    "max_turns",
}
"""Params that are the kind's own: the catalogue's rows speak of all others."""

PICTURE: dict[str, JSON] = {
    "prompt": {**TEXT, "description": "What the picture shows.", "examples": ["a red ceramic teapot, studio light"]},
    "negative_prompt": {**TEXT, "description": "What the picture must not show.", "examples": ["text, watermark"]},
    "size": SIZE,
    "aspect_ratio": RATIO,
    "resolution": {**RESOLUTION, "examples": ["2k"]},
    "steps": {**INTEGER, "minimum": 1, "description": "Denoising steps: more is slower and finer."},
    "guidance": {**NUMBER, "description": "How closely the picture follows the prompt."},
    "strength": {**NUMBER, "minimum": 0, "maximum": 1, "description": "How far it may leave the picture it is given."},
    "output_format": {**TEXT, "enum": ["png", "jpeg", "webp"], "description": "The kind of file to make."},
    "safety_checker": {**FLAG, "description": "Refuse pictures that are not safe for work."},
    "loras": LORAS,
    **SAMPLING,
}


def model_of(params: Mapping[str, JSON]) -> Model:
    model = params["model"]
    assert isinstance(model, Model)
    return model


def media_job(kind: str, params: Mapping[str, JSON], media: Media | None) -> Job:
    """The job for these params, in the model's own words. `BadParams` if the model does not take them."""
    model = model_of(params)
    given = {k: v for k, v in params.items() if v is not None}
    said = {k: v for k, v in given.items() if k not in COMMON and not _is_file(v)}
    for wrong in model.wrong(said):
        raise BadParams(f"{wrong.message} {wrong.instead}")
    if lacking := model.lacks(given):
        raise BadParams(f"{model.id} needs {' and '.join(lacking)}")
    text = given.get("prompt") if "prompt" in given else given.get("text")
    spoken = {model.params.get("prompt", {}).get("wire", "prompt"): text} if text is not None else {}
    return Job(
        kind=kind,
        endpoint=model.endpoint,
        input={**spoken, **model.wire(said), **_pictures(model, params), **_files(model, given),
               **(given.get("options") or {})},
        media=media,
        usd=model.cost(given, len(str(text or ""))),
        seconds=model.seconds(given, len(str(text or ""))) if media in ("audio", "video") else None,
        label=model.id,
        policy=model.policy,
        headers=model.headers,
        raw={rule["wire"]: rule["bytes"] for rule in model.files.values() if "bytes" in rule},
    )  # fmt: skip


def _pictures(model: Model, params: Mapping[str, JSON]) -> dict[str, JSON]:
    """The input pictures under the model's own field."""
    pictures = pictures_in(params)
    if not pictures:
        return {}
    most = model.most_pictures
    if most is not None and len(pictures) > most:
        raise BadParams(f"{model.id} takes {_how_many(most, len(pictures))}")
    field = model.images.get("wire") or ("image" if len(pictures) == 1 else "images")
    return {field: pictures if field.endswith("s") else pictures[0]}


def _files(model: Model, given: Mapping[str, JSON]) -> dict[str, JSON]:
    """The other files under the model's own fields."""
    files = {k: v for k, v in given.items() if k not in COMMON and _is_file(v)}
    for name in files:
        if model.known and name not in model.files:
            raise BadParams(f"{model.id} takes no {name}. It takes: {', '.join(model.words)}.")
    return {model.files.get(name, {}).get("wire", name): file for name, file in files.items()}


def _is_file(value: JSON) -> bool:
    return isinstance(value, Artifact)


def _how_many(most: int, given: int) -> str:
    return f"at most {most} picture{'s' * (most != 1)}, not {given}" if most else "no picture"


def made(params: Mapping[str, JSON], reply: Reply, media: Media, **more: JSON) -> Output:
    """The output of a step that made a file."""
    files = [file for file in reply.files if file.media == media]
    if not files:
        raise BadOutput(f"the reply holds no {_NAMES[media]}")
    return Output({media: files[0], **more}, model_of(params).id, reply.cost or 0.0)


def pictures_in(params: Mapping[str, JSON]) -> list[Artifact]:
    """The input pictures, in order, of ``image`` and ``images``."""
    many = params.get("images") or []
    one = params.get("image")
    return [*([one] if one is not None else []), *many]


def made_output(media: Media, **more: JSON) -> JSON:
    """The JSON Schema of what such a step yields."""
    return {
        "type": "object",
        "properties": {media: {"artifact": media, "description": f"The {_NAMES[media]}."}, **more, **COST},
        "additionalProperties": False,
    }


_NAMES: Mapping[str, str] = {"image": "picture", "audio": "audio", "video": "video", "file": "file"}
SEED_OUTPUT: JSON = {"type": ["integer", "null"], "description": "The seed it was made with."}
PICTURE_OUTPUT: JSON = made_output("image", seed=SEED_OUTPUT)


def fit(name: str, wanted: JSON, value: JSON) -> JSON:
    """A rendered value as the parameter wants it; `TemplateFailed` says why it cannot be.

    Text takes what has a text (lists and mappings as JSON); everything else must be what it is.
    """
    if "artifact" in wanted:
        if isinstance(value, Artifact) and wanted["artifact"] in (value.media, "file"):
            return value
        raise TemplateFailed(f"{name} needs {_A[wanted['artifact']]}; the template yields {_said(value)}")
    wanted = chosen(wanted, value)
    if "type" not in wanted:
        return value
    kind: str = wanted["type"]
    if kind == "string":
        text = to_text(value)
        if "enum" in wanted and text not in wanted["enum"]:
            raise TemplateFailed(f"{name} cannot be {text[:60]!r}; it can be {', '.join(wanted['enum'])}")
        return text
    if kind == "array" and isinstance(value, list):
        if not value and wanted.get("minItems"):
            raise TemplateFailed(f"{name} needs {_some(wanted)}; the template yields an empty list")
        return [fit(f"{name}[{i}]", wanted.get("items", {}), v) for i, v in enumerate(value)]
    if not isinstance(value, _PYTHON[kind]) or (isinstance(value, bool) and kind != "boolean"):
        raise TemplateFailed(f"{name} must be {_WORDS[kind]}; the template yields {_said(value)}")
    low, high = wanted.get("minimum"), wanted.get("maximum")
    if (low is not None and value < low) or (high is not None and value > high):
        raise TemplateFailed(f"{name} cannot be {value}; it must be {_bounds(low, high)}")
    return _fields(name, wanted, value) if isinstance(value, Mapping) and "properties" in wanted else value


def _fields(name: str, wanted: JSON, value: Mapping[str, JSON]) -> JSON:
    """A mapping of which the schema says what its fields are."""
    if missing := next((field for field in wanted.get("required", ()) if field not in value), None):
        raise TemplateFailed(f"{name} has no {missing}; the template yields {_said(value)}")
    known: Mapping[str, JSON] = wanted["properties"]
    closed = wanted.get("additionalProperties") is False
    if closed and (unknown := next((field for field in value if field not in known), None)):
        raise TemplateFailed(f"{name} knows no {unknown[:60]!r}; it knows {', '.join(known)}")
    return {field: fit(f"{name}.{field}", known.get(field, {}), inner) for field, inner in value.items()}


def chosen(wanted: JSON, value: JSON) -> JSON:
    """Of two ways to write a param, a list or anything else, the one that was taken."""
    ways = wanted.get("anyOf", ())
    return next((way for way in ways if (way.get("type") == "array") == isinstance(value, list)), wanted)


_PYTHON: Mapping[str, type | tuple[type, ...]] = {
    "integer": int, "number": (int, float), "boolean": bool, "array": list, "object": Mapping,
}  # fmt: skip
_WORDS: Mapping[str, str] = {
    "integer": "an integer", "number": "a number", "boolean": "true or false", "array": "a list", "object": "a mapping",
}  # fmt: skip
_A = {"image": "an image", "audio": "an audio file", "video": "a video", "file": "a file"}


def _said(value: JSON) -> str:
    """A value in the words of pipelines, cut."""
    if isinstance(value, Artifact):
        return value.media_type
    text: str = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
    what = "the text " if isinstance(value, str) else "the mapping " if isinstance(value, Mapping) else ""
    return what + (text if len(text) <= 60 else text[:59] + "…")


def _some(wanted: JSON) -> str:
    """``an image or several``, of a list."""
    return f"{_A.get(wanted.get('items', {}).get('artifact'), 'an item')} or several"


def _bounds(low: float | None, high: float | None) -> str:
    if low is not None and high is not None:
        return f"{low} to {high}"
    return f"at least {low}" if low is not None else f"at most {high}"
