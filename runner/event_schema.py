"""The published JSON Schema of an event, a line of ``run --events`` and of a journal: made from the event classes."""

from __future__ import annotations

import collections.abc
import inspect
from dataclasses import fields
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from .events import EVENT_FORMAT, LATER, Event
from .model import JSON

_ID = "https://json-schema.org/draft/2020-12/schema"
_NAMES: dict[type, str] = {str: "string", int: "integer", float: "number", bool: "boolean", NoneType: "null"}

FIELDS = {
    "at": "When, in seconds since 1970-01-01 UTC.",
    "run": "The run's id, the name of its folder under .runner/runs.",
    "pipeline": "The name of the pipeline.",
    "version": "The version that the pipeline says of itself.",
    "file": "The pipeline's file.",
    "inputs": "The values of its inputs.",
    "steps": "Each step, in the order of the plan, with the steps that it waits for.",
    "kinds": "The kind of each step.",
    "options": "How the run was started.",
    "empty": "Inputs that must be given, and were given as a text with nothing in it.",
    "step": "The id of the step.",
    "cells": "How many cells it has.",
    "cell": "The id of the cell: photo, or photo[red-shoe] of a step with foreach or matrix.",
    "key": "The fingerprint of the call or the question: the store's name for its reply.",
    "label": "The model or the endpoint that is asked.",
    "attempt": "Which try of the call this is, from 1.",
    "endpoint": "Runpod's name for the endpoint.",
    "job": "Runpod's id of the job.",
    "most": "The most that it takes of each budget, in usd, tokens, images and seconds; null where nobody can tell.",
    "status": "Runpod's word for the state of the job.",
    "queued": "Seconds for which the job waited for a worker, as Runpod says; null where it does not.",
    "ran": "Seconds for which a worker had the job, as Runpod says when it has ended; null where it does not.",
    "text": "What has been said since the last such event.",
    "fault": "What went wrong, in a word, as retry: {on: […]} names it.",
    "message": "What went wrong or what there is to know, in a sentence.",
    "wait": "Seconds until the next try.",
    "cost": "US dollars; null where nobody says how much.",
    "tokens": "Tokens that were asked and answered.",
    "cached": "Whether it came from the store, so that nothing was paid.",
    "images": "How many pictures the reply holds.",
    "seconds": "How many seconds of sound and film the reply holds.",
    "output": "What the cell yields to templates; a file is a mapping under $artifact.",
    "model": "The model that answered.",
    "keep": "The file in the run's folder with text that was paid for and could not be used.",
    "candidate": "Which candidate of its cell it is for, from 1; 0 where there is only one thing to make.",
    "asks": "What a person is asked for: to pick a candidate, or to approve with yes or no.",
    "question": "The question, in words.",
    "shown": "What it is about: the values of each candidate by its number, or what the step shows by its name.",
    "more": "How many candidates are made where somebody asks for more.",
    "answer": "The number of a candidate; or true for yes and false for no.",
    "of": "Of how many candidates it is the number; 0 where the answer is yes or no.",
    "where": "Where the answer came from: terminal, pick, approve, store, lock, first or option.",
    "keys": "The fingerprints of the calls of what was chosen: no others count as the cell's from here on.",
    "by": "The step or the cell that it needed.",
    "why": "Why, in a few words.",
    "stop": "Whether nothing new is sent from here on.",
    "signal": "The number of the signal.",
    "outcome": "How the run ended.",
    "outputs": "Where each output was written, by its name.",
    "digests": "The SHA-256 of each output's file as it was written, by its name.",
    "values": "What each output is, by its name, but for what is very long; a file is a mapping under $artifact.",
}
"""What each field says, whichever event it is of."""


def event_schema() -> dict[str, JSON]:
    """One event. Fields may come to an event and events to the format: readers leave out what they do not know."""
    classes = get_args(Event)
    return {
        "$schema": _ID,
        "title": "An event of a run",
        "description": "A line of runner run --events, and of events.jsonl in the folder of a run.",
        "type": "object",
        "properties": {
            "event": {"description": "What happened.", "enum": [cls.__name__ for cls in classes]},
            "format": {"description": "The version of this schema.", "const": EVENT_FORMAT},
        },
        "required": ["event", "format"],
        "allOf": [
            {"if": {"properties": {"event": {"const": cls.__name__}}}, "then": {"$ref": f"#/$defs/{cls.__name__}"}}
            for cls in classes
        ],
        "$defs": {cls.__name__: _event(cls) for cls in classes},
    }


def _event(cls: type[Any]) -> JSON:
    hints = get_type_hints(cls)
    names = [field.name for field in fields(cls)]
    return {
        "description": " ".join(inspect.getdoc(cls).replace("``", "").split()),  # type: ignore[union-attr] # all have one
        "type": "object",
        "properties": {name: {"description": FIELDS[name], **_type(hints[name])} for name in names},
        "required": [name for name in names if (cls.__name__, name) not in LATER],
    }


def _type(hint: Any) -> dict[str, JSON]:
    """The schema of a field's type, of those that events have."""
    if hint in _NAMES:
        return {"type": _NAMES[hint]}
    if hint is Any:
        return {}
    origin, inner = get_origin(hint), get_args(hint)
    if origin is Literal:
        return {"enum": list(inner)}
    if origin is list:
        return {"type": "array", "items": _type(inner[0])}
    if origin is collections.abc.Mapping:
        return {"type": "object", "additionalProperties": _type(inner[1]) or True}
    assert origin in (UnionType, Union), hint
    return {"type": [_NAMES[one] for one in inner]}
