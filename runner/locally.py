"""Runs on this machine alone: who plays Runpod, and who writes the texts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypeAlias

from . import catalogue
from .checking import Checked
from .errors import CannotStart
from .loading import TEXT, Read

if TYPE_CHECKING:
    from .emulator import Endpoint

Writer: TypeAlias = Literal["auto", "model", "emulator"]
"""Who writes the texts of a local run: the language model if it is there, or one of the two for certain."""
INSTALL = "pip install 'recipe-runner[local]'"


def localised(read: Read, *, one_by_one: bool) -> Read:
    """The same pipeline as a local run has it; ``one_by_one`` says that a model on this machine writes its texts."""
    return replace(read, checked=_localised(read.whole(), one_by_one=one_by_one))


def _localised(checked: Checked, *, one_by_one: bool) -> Checked:
    """The same pipeline with other servers' models played by the emulator: a local run costs nobody anything.

    A model on this machine writes ``one_by_one``: what waits for it does not wait within its timeout.
    """
    steps = {}
    for name, step in checked.steps.items():
        model = step.model
        if model is not None and model.base_url:
            model = replace(model, base_url=None, api_key_env=None, headers={})
        nested = _localised(step.nested, one_by_one=one_by_one) if step.nested else None
        tools = {tool: _localised(inner, one_by_one=one_by_one) for tool, inner in step.tools.items()}
        steps[name] = replace(step, model=model, nested=nested, tools=tools)
    texts = [step.model.id for step in steps.values() if step.model and step.model.kind == TEXT and one_by_one]
    per_model = {**dict.fromkeys(texts, 2), **checked.pipeline.per_model}  # one is written, one is at hand
    return replace(checked, steps=steps, pipeline=replace(checked.pipeline, per_model=per_model))


def writer(wanted: Writer, env: Mapping[str, str]) -> Path | None:
    """The weights of the language model that writes the texts of a local run, or None for the emulator's own words."""
    from . import weights

    if wanted == "emulator":
        return None
    there, extra = weights.found(weights.folder(env)), has_extra()
    if there and extra:
        return there
    if wanted == "auto":
        return None
    cures = [*([] if extra else [INSTALL]), *([] if there else ["runner local pull"])]
    msg = f"There is no language model on this machine for --local=model. Get it: {', then '.join(cures)}."
    raise CannotStart(msg)


def has_extra() -> bool:
    """Whether what runs a language model is installed."""
    from importlib.util import find_spec

    return find_spec("xllamacpp") is not None


def endpoints(checked: Checked) -> dict[str, Endpoint]:
    """Runpod's public endpoints, and what the emulator cannot know: private ones, other servers', an author's own."""
    from .emulator import Endpoint, public

    kinds = {TEXT: "text", "generate_image": "image", "edit_image": "edit", "generate_speech": "speech",
             "transcribe_audio": "transcription", "generate_video": "video", "call_endpoint": "echo"}  # fmt: skip
    own = [
        m
        for m in checked.models()
        if m.endpoint not in {known.endpoint for known in catalogue.builtin().models.values()}
    ]
    return {**public(), **{m.endpoint: Endpoint(kind=kinds.get(m.kind, "echo")) for m in own}}  # type: ignore[arg-type] # its own words
