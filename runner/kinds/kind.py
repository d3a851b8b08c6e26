"""The contract of a kind, and the words that several kinds share.

A kind is a module. Its one function is pure: given the params and the replies so far, it says the next call or
the output. Retry, timeout, store, budget, journal and resume are written once, elsewhere, around the one place
that waits.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from ..catalogue import Model
from ..errors import BadOutput, StepError, TemplateFailed
from ..model import JSON, Artifact, Call, Output, Reply
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

    def advance(self, params: Mapping[str, JSON], replies: Sequence[Reply]) -> Call | Output:
        """The next call, or the output. ``params["model"]`` is a `Model` where the kind ``CALLS``."""


class BadParams(StepError):
    """A value that was only known at run time is one that the model does not take. Nothing was sent."""

    fault = "params"


TEXT: JSON = {"type": "string"}
FLAG: JSON = {"type": "boolean"}
INTEGER: JSON = {"type": "integer"}
NUMBER: JSON = {"type": "number"}
IMAGE: JSON = {"artifact": "image"}

COST: JSON = {
    "model": {"type": "string", "description": "The model that made it."},
    "cost": {"type": "number", "description": "What it cost, in USD."},
}

SAMPLING: dict[str, JSON] = {
    "seed": {**INTEGER, "minimum": 0, "description": "Same seed, same picture. Chosen for you if you give none."},
    "options": {
        "type": "object",
        "description": "Anything else, sent to the model as it is, in its own words.",
        "examples": [{"loras": []}],
    },
}

COMMON = {"prompt", "system", "image", "images", "options", "schema", "reask", "strict"}
"""Params that are the kind's own: the catalogue's rows speak of all others."""

PICTURE: dict[str, JSON] = {
    "prompt": {**TEXT, "description": "What the picture shows.", "examples": ["a red ceramic teapot, studio light"]},
    "negative_prompt": {**TEXT, "description": "What the picture must not show.", "examples": ["text, watermark"]},
    "size": {
        **TEXT,
        "pattern": r"^[1-9][0-9]{0,4}[x*][1-9][0-9]{0,4}$",
        "description": "WIDTHxHEIGHT in pixels.",
        "examples": ["1024x1024"],
    },
    "aspect_ratio": {
        **TEXT,
        "pattern": "^([0-9]+:[0-9]+|[a-z_]+)$",
        "description": "WIDTH:HEIGHT, instead of a size.",
        "examples": ["4:3"],
    },
    "steps": {**INTEGER, "minimum": 1, "description": "Denoising steps: more is slower and finer."},
    "guidance": {**NUMBER, "description": "How closely the picture follows the prompt."},
    "output_format": {**TEXT, "enum": ["png", "jpeg", "webp"], "description": "The kind of file to make."},
    "safety_checker": {**FLAG, "description": "Refuse pictures that are not safe for work."},
    **SAMPLING,
}


def model_of(params: Mapping[str, JSON]) -> Model:
    model = params["model"]
    assert isinstance(model, Model)
    return model


def job_input(model: Model, params: Mapping[str, JSON]) -> dict[str, JSON]:
    """The ``input`` of a job for these params, in the model's own words. `BadParams` if it does not take them."""
    said = {k: v for k, v in params.items() if k not in ("model", "options", "image", "images") and v is not None}
    for wrong in model.wrong({k: v for k, v in said.items() if k not in COMMON}):
        msg = f"{wrong.message} {wrong.instead}"
        raise BadParams(msg)
    return {**model.wire(said), **(params.get("options") or {})}


def picture_output(params: Mapping[str, JSON], reply: Reply) -> Output:
    """The output of a step that made a picture."""
    pictures = [file for file in reply.files if file.media == "image"]
    if not pictures:
        msg = "the reply holds no picture"
        raise BadOutput(msg)
    values: dict[str, JSON] = {"image": pictures[0], "seed": params.get("seed")}
    return Output(values, model_of(params).id, reply.cost or 0.0)


def pictures_in(params: Mapping[str, JSON]) -> list[Artifact]:
    """The input pictures, in order, of ``image`` and ``images``."""
    many = params.get("images") or []
    one = params.get("image")
    return [*([one] if one is not None else []), *many]


PICTURE_OUTPUT: JSON = {
    "type": "object",
    "properties": {
        "image": {**IMAGE, "description": "The picture."},
        "seed": {"type": ["integer", "null"], "description": "The seed it was made with."},
        **COST,
    },
    "additionalProperties": False,
}


def fit(name: str, wanted: JSON, value: JSON) -> JSON:
    """A rendered value as the parameter wants it; `TemplateFailed` says why it cannot be.

    Text takes what has a text (lists and mappings as JSON); everything else must be what it is.
    """
    if "artifact" in wanted:
        if isinstance(value, Artifact) and wanted["artifact"] in (value.media, "file"):
            return value
        what = value.media_type if isinstance(value, Artifact) else f"{type(value).__name__} {str(value)[:60]!r}"
        raise TemplateFailed(f"{name} needs {_A[wanted['artifact']]}; the template yields {what}")
    kind: str = wanted["type"]
    if kind == "string":
        text = to_text(value)
        if "enum" in wanted and text not in wanted["enum"]:
            raise TemplateFailed(f"{name} cannot be {text[:60]!r}; it can be {', '.join(wanted['enum'])}")
        return text
    if kind == "array" and isinstance(value, list):
        return [fit(f"{name}[{i}]", wanted["items"], v) for i, v in enumerate(value)]
    if not isinstance(value, _PYTHON[kind]) or (isinstance(value, bool) and kind != "boolean"):
        raise TemplateFailed(f"{name} must be {kind}; the template yields {str(value)[:60]!r}")
    low, high = wanted.get("minimum"), wanted.get("maximum")
    if (low is not None and value < low) or (high is not None and value > high):
        raise TemplateFailed(f"{name} cannot be {value}; it must be {_bounds(low, high)}")
    return value


_PYTHON: Mapping[str, type | tuple[type, ...]] = {
    "integer": int, "number": (int, float), "boolean": bool, "array": list, "object": Mapping,
}  # fmt: skip
_A = {"image": "an image", "audio": "an audio file", "video": "a video", "file": "a file"}


def _bounds(low: float | None, high: float | None) -> str:
    if low is not None and high is not None:
        return f"{low} to {high}"
    return f"at least {low}" if low is not None else f"at most {high}"
