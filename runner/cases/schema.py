"""The JSON Schema of a test file: what ``runner schema test`` prints, editors read and `load` checks against."""

from __future__ import annotations

from typing import get_args

from ..events import State
from ..hints import hinted
from ..model import JSON

RUN_STATES = ("done", "failed")
OUTPUT_STATES = ("made", "missing")
CELL = r"^[a-z][a-z0-9_]*(\[[A-Za-z0-9._-]+\])?(/[a-z][a-z0-9_]*(\[[A-Za-z0-9._-]+\])?)*$"
"""A step, a cell of it, or one of a pipeline that it runs: ``photo``, ``photo[red]``, ``each/photo``."""

_NUMBER: JSON = {"type": "number"}
_TEXT: JSON = {"type": "string", "minLength": 1}
"""Every text contains an empty one, and an empty pattern fits all: it would assert nothing."""
_TEXTS: JSON = {"anyOf": [_TEXT, {"type": "array", "items": _TEXT, "minItems": 1}]}
RANGE: dict[str, JSON] = {
    "at_least": {**_NUMBER, "title": "At least", "description": "The smallest number that will do."},
    "at_most": {**_NUMBER, "title": "At most", "description": "The largest number that will do."},
    "above": {**_NUMBER, "title": "Above", "description": "It must be larger than this."},
    "below": {**_NUMBER, "title": "Below", "description": "It must be smaller than this."},
}
_BOUNDS: JSON = {"type": "object", "properties": RANGE, "minProperties": 1, "additionalProperties": False}
_COUNT: JSON = {"anyOf": [{"type": "integer", "minimum": 0}, _BOUNDS]}

VALUE: dict[str, JSON] = {
    "is": {"title": "Is", "description": "The very value, whatever it is.", "examples": ["A red teapot", 7]},
    "contains": {
        **_TEXTS,
        "title": "Contains",
        "description": "A text that stands in it, or several that all do; in a list, items that it has.",
        "examples": ["teapot", ["teapot", "red"]],
    },
    "lacks": {
        **_TEXTS,
        "title": "Lacks",
        "description": "A text that must not stand in it, or several.",
        "examples": ["As an AI"],
    },
    "matches": {
        **_TEXT,
        "title": "Matches",
        "description": "A regular expression that fits some part of it. (?i) at its start ignores capitals.",
        "examples": ["(?i)tea ?pot", r"^[A-Z].*\.$"],
    },
    "words": {**_COUNT, "title": "Words", "description": "How many words it has.", "examples": [{"at_most": 60}, 3]},
    "items": {**_COUNT, "title": "Items", "description": "How many items the list has.", "examples": [{"at_least": 1}]},
    "number": {**_BOUNDS, "title": "Number", "description": "How large it is.", "examples": [{"at_least": 1}]},
    "schema": {
        "type": "object",
        "minProperties": 1,
        "title": "Schema",
        "description": "A JSON Schema that it fits.",
        "examples": [{"type": "object", "required": ["title"]}],
    },
    "size": {
        "type": "string",
        "pattern": "^[1-9][0-9]{0,4}x[1-9][0-9]{0,4}$",
        "title": "Size",
        "description": "WIDTHxHEIGHT of the picture or the video, in pixels.",
        "examples": ["1024x768"],
    },
    "width": {**_COUNT, "title": "Width", "description": "How many pixels wide.", "examples": [{"at_least": 1024}]},
    "height": {**_COUNT, "title": "Height", "description": "How many pixels high.", "examples": [{"at_least": 768}]},
    "type": {
        "type": "string",
        "pattern": "^([a-z]+/)?[a-z0-9.+-]+$",
        "title": "Type",
        "description": "What kind of file it is, by its bytes: png, or image/png.",
        "examples": ["png", "jpeg", "audio/wav"],
    },
    "bytes": {**_COUNT, "title": "Bytes", "description": "How large the file is.", "examples": [{"below": 5000000}]},
    "seconds": {**_BOUNDS, "title": "Seconds", "description": "How long it plays.", "examples": [{"at_most": 10}]},
}
"""What can be said of a value. All that is said must hold."""

_COST: JSON = {
    **_BOUNDS,
    "title": "Cost",
    "description": "What it costs in USD: a recording's own figures, in the emulator those of the catalogue.",
    "examples": [{"below": 0.05}],
}
_VALUE: JSON = {
    "type": "object",
    "description": "What must hold of this value.",
    "properties": VALUE,
    "minProperties": 1,
    "additionalProperties": False,
    "examples": [{"contains": "teapot"}],
}
STEP: dict[str, JSON] = {
    "state": {
        "type": "string",
        "enum": [each for each in get_args(State) if each not in ("waiting", "running", "asking", "cached")],
        "title": "State",
        "description": "How the step ends; of a step with many cells, how each of them does.",
    },
    "cells": {**_COUNT, "title": "Cells", "description": "How many cells the step has.", "examples": [3]},
    "cost": _COST,
    "message": {
        "type": "object",
        "title": "Message",
        "description": "What must hold of the sentence that says why the step failed or was skipped.",
        "properties": {name: VALUE[name] for name in ("is", "contains", "lacks", "matches")},
        "minProperties": 1,
        "additionalProperties": False,
        "examples": [{"contains": "no JSON"}],
    },
}
"""What can be said of a step beside the values that it yields."""

_EXPECT: JSON = {
    "type": "object",
    "title": "Expect",
    "description": "What must hold when the run has ended.",
    "examples": [{"steps": {"draft": {"text": {"words": {"at_most": 60}}}}}],
    "properties": {
        "state": {
            "type": "string",
            "enum": list(RUN_STATES),
            "default": "done",
            "title": "State",
            "description": "How the run ends: done, or failed. A case that does not say it expects done.",
        },
        "cost": _COST,
        "steps": {
            "type": "object",
            "title": "Steps",
            "description": "By step, or by one cell of it (photo[red]): its state, its cost, and what it yields.",
            "examples": [{"facts": {"data.title": {"words": {"at_most": 8}}}}],
            "minProperties": 1,
            "additionalProperties": {
                "type": "object",
                "description": "state, cells, cost, message, and fields of what it yields: text, data.title, image.",
                "properties": STEP,
                "additionalProperties": _VALUE,
                "minProperties": 1,
            },
        },
        "outputs": {
            "type": "object",
            "title": "Outputs",
            "description": "By the name of an output. Files are looked at as they were written.",
            "examples": [{"card.png": {"size": "1024x768", "type": "png"}}],
            "minProperties": 1,
            "additionalProperties": {
                "type": "object",
                "description": "Whether it is made, and what must hold of it.",
                "properties": {
                    "state": {
                        "type": "string",
                        "enum": list(OUTPUT_STATES),
                        "default": "made",
                        "title": "State",
                        "description": "Whether the output can be had after the run.",
                    },
                    **VALUE,
                },
                "additionalProperties": False,
                "minProperties": 1,
            },
        },
    },
    "additionalProperties": False,
}

MODE: JSON = {
    "title": "Mode",
    "description": "Who answers: the emulator, a recording, or the outputs that are written here. Nothing is paid.",
    "default": "emulator",
    "examples": ["emulator", {"replay": "cassettes/card"}, {"canned": {"draft": {"text": "A red teapot."}}}],
    "anyOf": [
        {"type": "string", "enum": ["emulator"], "description": "The built-in emulator of Runpod answers."},
        {
            "type": "object",
            "properties": {
                "replay": {
                    "type": "string",
                    "title": "Replay",
                    "description": "A recording of runner run --record: a folder, from the folder of this file.",
                    "examples": ["cassettes/card"],
                },
                "canned": {
                    "type": "object",
                    "title": "Canned",
                    "description": "What steps yield, by step or by cell, without calling anybody.",
                    "examples": [{"draft": {"text": "A red teapot."}, "photo": {"image": "pictures/teapot.png"}}],
                    "additionalProperties": {
                        "type": "object",
                        "description": "The step's output, field by field. Files by their paths from this file.",
                    },
                },
            },
            "minProperties": 1,
            "maxProperties": 1,
            "additionalProperties": False,
        },
    ],
}

_CASE: JSON = {
    "type": "object",
    "description": "One run of the pipeline, and what must come of it.",
    "examples": [{"expect": {"state": "done"}}],
    "properties": {
        "inputs": {
            "type": "object",
            "title": "Inputs",
            "description": "Values for the pipeline's inputs. Files by their paths from this file.",
            "examples": [{"product": "a red teapot"}],
        },
        "env": {
            "type": "object",
            "title": "Environment",
            "description": "Values for what the pipeline lists under env:. Nothing else of your environment is seen.",
            "additionalProperties": {"type": "string"},
            "examples": [{"SHOP": "Tea & Co"}],
        },
        "profile": {
            "type": "string",
            "title": "Profile",
            "description": "The profile that the pipeline takes: what it says under profiles: under this name.",
            "examples": ["draft"],
        },
        "mode": MODE,
        "expect": _EXPECT,
    },
    "additionalProperties": False,
}


def cases_schema() -> JSON:
    """The whole schema, for editors."""
    return hinted(form())


def form() -> JSON:
    """What a test file must look like."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Test of a pipeline",
        "description": "Cases of a pipeline, each with what must come of it. Generated by `runner schema test`.",
        "type": "object",
        "properties": {
            "pipeline": {
                "type": "string",
                "title": "Pipeline",
                "description": "The pipeline's file, from the folder of this one. NAME.yaml for NAME.test.yaml if not "
                "said.",
                "examples": ["product-card.yaml"],
            },
            "cases": {
                "type": "object",
                "title": "Cases",
                "description": "By name; a name is a sentence that says what holds.",
                "examples": [{"a card is made": {"expect": {"state": "done"}}}],
                "minProperties": 1,
                "additionalProperties": _CASE,
            },
        },
        "patternProperties": {"^x-": {"description": "Yours: a place for anchors. Not read."}},
        "required": ["cases"],
        "additionalProperties": False,
    }
