"""The JSON Schema of a pipeline, composed from the kinds: what ``runner schema`` prints and editors read."""

from __future__ import annotations

from collections.abc import Mapping

from . import offers
from .catalogue import builtin
from .hints import TEMPLATE, hinted
from .kinds import KINDS, Kind, makes
from .model import JSON, UNITS

PROFILE = "^[a-z][a-z0-9_-]*$"
STEP_ID = "^[a-z][a-z0-9_]*$"
INPUT_TYPES = ("string", "integer", "number", "boolean", "list", "object", "image", "audio", "video", "file")
FAULTS = ("network", "busy", "server", "job_failed", "bad_output", "truncated", "timeout", "expired", "unknown")

_FILE: JSON = {
    "type": "object",
    "description": "Read from a file beside the pipeline.",
    "properties": {
        "file": {
            "type": "string",
            "description": "Its path, from the folder of the pipeline.",
            "examples": ["prompts/brief.md"],
        }
    },
    "required": ["file"],
    "additionalProperties": False,
}
DURATION = r"^[0-9]+(\.[0-9]+)?(ms|s|m|h|d)$"
_DURATION: JSON = {
    "anyOf": [
        {"type": "number", "exclusiveMinimum": 0},
        {"type": "string", "pattern": DURATION},
    ]
}
_STEPS: JSON = {"type": "array", "items": {"type": "string"}, "examples": [["draft"]]}

BUDGET: JSON = {
    "type": "object",
    "description": "A ceiling: nothing is sent that could pass it.",
    "examples": [{"usd": 0.1}],
    "properties": {
        "usd": {"type": "number", "exclusiveMinimum": 0, "description": "US dollars."},
        "tokens": {"type": "integer", "minimum": 1, "description": "Tokens of chats, prompts included."},
        "images": {"type": "integer", "minimum": 1, "description": "Pictures made."},
        "seconds": {"type": "number", "exclusiveMinimum": 0, "description": "Seconds of sound and video made."},
        "on_exceed": {
            "type": "string",
            "enum": ["stop", "skip", "warn"],
            "description": "A call that does not fit ends the run, is left out, or is made all the same.",
        },
        "unpriced": {
            "anyOf": [
                {"enum": ["refuse", "allow"]},
                {
                    "type": "object",
                    "properties": {
                        "count_as": {"type": "number", "minimum": 0, "description": "US dollars for each call."}
                    },
                    "required": ["count_as"],
                    "additionalProperties": False,
                },
            ],
            "description": "Calls without a known price: refused, not counted, or counted as so many US dollars.",
            "examples": ["allow", {"count_as": 0.05}],
        },
    },
    "anyOf": [{"required": [unit]} for unit in UNITS],
    "additionalProperties": False,
}

CONTROL: dict[str, JSON] = {
    "needs": {**_STEPS, "description": "Steps that must succeed first, beyond those that templates read."},
    "after": {**_STEPS, "description": "Steps that must be finished first, however they ended."},
    "when": {
        "anyOf": [{"type": "boolean"}, TEMPLATE],
        "description": "Run the step only if this is true; else it is skipped, and so is what needs it.",
        "examples": ["{{ inputs.season == 'winter' }}"],
    },
    "foreach": {
        "anyOf": [{"type": "array"}, TEMPLATE],
        "description": "Run the step once for each item of a list: item, index and key in its templates.",
        "examples": [["red", "blue"], "{{ steps.ideas.data.names }}"],
    },
    "matrix": {
        "type": "object",
        "description": "Run the step once for each combination: matrix.NAME in its templates.",
        "properties": {
            "include": {"type": "array", "items": {"type": "object"}, "description": "Combinations to add to."},
            "exclude": {"type": "array", "items": {"type": "object"}, "description": "Combinations to leave out."},
        },
        "additionalProperties": {"anyOf": [{"type": "array", "minItems": 1}, TEMPLATE]},
        "minProperties": 1,
        "examples": [{"season": ["summer", "winter"], "light": ["day", "night"]}],
    },
    "key": {
        "type": "string",
        "description": "What each cell is called: a template that tells them apart.",
        "examples": ["{{ item.sku }}"],
    },
    "limit": {"type": "integer", "minimum": 1, "description": "How many cells the step may have. 1000 if not said."},
    "at_once": {"type": "integer", "minimum": 1, "description": "How many cells of the step may call at once."},
    "on_failure": {
        "type": "string",
        "enum": ["continue", "stop"],
        "description": "What a failed cell means for the step's other cells: nothing, or that no new one starts.",
    },
    "timeout": {
        **_DURATION,
        "description": "The longest that one attempt may take, time in the queue included.",
        "examples": ["5m", 90],
    },
    "retry": {
        "type": "object",
        "description": "When and how often to try again.",
        "examples": [{"attempts": 3, "on": ["busy"]}],
        "properties": {
            "attempts": {"type": "integer", "minimum": 1, "maximum": 100, "description": "Tries in all."},
            "wait": {"type": "number", "minimum": 0, "description": "Seconds before the second try, at most."},
            "factor": {"type": "number", "minimum": 1, "description": "How much longer each wait may be."},
            "max_wait": {"type": "number", "minimum": 0, "description": "The longest wait in seconds."},
            "on": {
                "type": "array",
                "items": {"type": "string", "enum": list(FAULTS)},
                "description": "Faults to try again after: these only. If none of the usual ones is among them "
                "(unknown, timeout), these too.",
            },
        },
        "additionalProperties": False,
    },
    "cache": {
        "anyOf": [
            {"type": "boolean"},
            {
                "type": "object",
                "properties": {
                    "for": {**_DURATION, "description": "How old a stored reply may be.", "examples": ["7d", "12h"]}
                },
                "minProperties": 1,
                "additionalProperties": False,
            },
        ],
        "description": "Use what an earlier run paid for. Always unless you say false, or for how long.",
        "examples": [False, {"for": "7d"}],
    },
    "budget": BUDGET,
}
"""Keys that a step of any kind may have."""

PICK: JSON = {
    "type": "object",
    "description": "Make several candidates, each with a seed of its own, and wait until a person chooses one.",
    "properties": {
        "of": {
            "type": "integer",
            "minimum": 2,
            "maximum": 16,
            "description": "How many to choose from.",
            "examples": [4],
        },
    },
    "minProperties": 1,  # not required: a misspelt one is one mistake and not two
    "additionalProperties": False,
    "examples": [{"of": 4}],
}

FORM = "json-schema"
"""The ``format`` of a value that is itself a JSON Schema."""
_FORM: JSON = {"$ref": f"#/$defs/{FORM}"}
_FORMS: JSON = {"type": "array", "items": _FORM, "examples": [[{"type": "string"}]]}
_SORTS = ["string", "integer", "number", "boolean", "array", "object", "null"]
JSON_SCHEMA: JSON = {
    "title": "JSON Schema",
    "type": ["object", "boolean"],
    "description": "What a value must look like. All that it may say: https://json-schema.org",
    "properties": {
        "type": {
            "anyOf": [{"enum": _SORTS}, {"type": "array", "items": {"enum": _SORTS}}],
            "description": "What sort of value it is: text is a string, a list an array, a mapping an object.",
            "examples": ["string"],
        },
        "description": {
            "type": "string",
            "description": "What it holds: the model reads it, too.",
            "examples": ["At most eight words."],
        },
        "properties": {
            "type": "object",
            "additionalProperties": _FORM,
            "description": "The fields of an object, each with what it must look like.",
            "examples": [{"title": {"type": "string"}}],
        },
        "required": {
            "type": "array",
            "items": {"type": "string"},
            "description": "The fields that an object must have.",
            "examples": [["title"]],
        },
        "additionalProperties": {**_FORM, "description": "Whether an object may have other fields.", "default": True},
        "items": {**_FORM, "description": "What each item of an array must look like."},
        "minItems": {"type": "integer", "minimum": 0, "description": "The fewest items.", "examples": [3]},
        "maxItems": {"type": "integer", "minimum": 0, "description": "The most items.", "examples": [5]},
        "uniqueItems": {"type": "boolean", "description": "Whether no two items may be the same."},
        "enum": {
            "type": "array",
            "description": "The only values that it may have.",
            "examples": [["spring", "autumn"]],
        },
        "const": {"description": "The only value that it may have.", "examples": ["recipe"]},
        "minLength": {"type": "integer", "minimum": 0, "description": "The fewest characters.", "examples": [1]},
        "maxLength": {"type": "integer", "minimum": 0, "description": "The most characters.", "examples": [80]},
        "pattern": {"type": "string", "description": "A regular expression that a text must match."},
        "format": {
            "type": "string",
            "description": "What a text must be, as date or email. Models are told; it is not checked.",
            "examples": ["date"],
        },
        "minimum": {"type": "number", "description": "The smallest number.", "examples": [1]},
        "maximum": {"type": "number", "description": "The largest number.", "examples": [10]},
        "exclusiveMinimum": {"type": "number", "description": "It must be more than this.", "examples": [0]},
        "exclusiveMaximum": {"type": "number", "description": "It must be less than this.", "examples": [100]},
        "multipleOf": {
            "type": "number",
            "exclusiveMinimum": 0,
            "description": "It must be a multiple of this.",
            "examples": [5],
        },
        "anyOf": {**_FORMS, "description": "It must look like at least one of these."},
        "oneOf": {**_FORMS, "description": "It must look like exactly one of these."},
        "allOf": {**_FORMS, "description": "It must look like all of these."},
    },
}
"""What is most used of JSON Schema 2020-12, for editors. Other words of it may be written as well."""

_INPUT: JSON = {
    "type": "object",
    "examples": [{"type": "string"}],
    "properties": {
        "type": {"type": "string", "enum": list(INPUT_TYPES), "description": "What kind of value it is."},
        "description": {"type": "string", "description": "What to give, for the person who runs the pipeline."},
        "default": {"description": "The value when none is given. Without a default, one must be given."},
        "enum": {"type": "array", "minItems": 1, "description": "The only values allowed."},
        "examples": {"type": "array", "description": "Values to show to the person who runs the pipeline."},
        "minimum": {"type": "number", "description": "The smallest number allowed."},
        "maximum": {"type": "number", "description": "The largest number allowed."},
        "minLength": {"type": "integer", "minimum": 0, "description": "The fewest characters allowed."},
        "maxLength": {"type": "integer", "minimum": 0, "description": "The most characters allowed."},
        "pattern": {"type": "string", "description": "A regular expression that a text must match."},
        "items": {
            "type": "object",
            "format": "json-schema",
            "description": "What each item of a list must be: a JSON Schema.",
        },
        "properties": {
            "type": "object",
            "additionalProperties": {"format": "json-schema"},
            "description": "The fields of an object, each a JSON Schema.",
        },
        "required": {"type": "array", "items": {"type": "string"}, "description": "Fields that an object must have."},
    },
    "required": ["type"],
    "additionalProperties": False,
}


def published(schema: JSON) -> JSON:
    """How a parameter may be written in YAML: as its value, as a template that yields it, or in a file."""
    if not schema:
        return schema
    if "artifact" in schema:
        return {**_without(schema, "artifact"), "type": "string"}
    if schema.get("verbatim"):
        return {"anyOf": [_without(schema, "verbatim", "description"), _FILE], "description": schema["description"]}
    if "late" in schema or schema.get("plain"):
        return _without(schema, "late", "plain")
    words = {k: schema[k] for k in ("description", "examples", "default") if k in schema}
    bare = _without(schema, *words)
    if bare == {"type": "string"}:
        return {"anyOf": [bare, _FILE], **words}
    if bare == {"type": "object"}:
        return {**bare, **words}
    if "items" in bare:
        bare = {**bare, "items": published(bare["items"])}
    if "properties" in bare:
        inside = bare["properties"]
        bare = {**bare, "properties": {name: published(inner) for name, inner in inside.items()}}
        if any("verbatim" in inner or "late" in inner for inner in inside.values()):
            return {**bare, **words}  # what is not rendered with the rest must be written out
    if isinstance(bare.get("additionalProperties"), dict):
        return {**bare, "additionalProperties": published(bare["additionalProperties"]), **words}
    if "anyOf" in bare:
        ways = [published(inner) for inner in bare["anyOf"]]
        return {"anyOf": [each for way in ways for each in way.get("anyOf", [way])], **words}
    return {"anyOf": [bare, TEMPLATE], **words}


def step_schema(kind: Kind) -> JSON:
    """What a step of one kind may say."""
    model = {
        "type": "string",
        "description": "An alias from models:, a Runpod model, or a private endpoint's id, console URL or address.",
        "examples": [m.id for m in builtin().of_kind(kind.NAME) if m.status != "removed"] or ["4m7x2k9q"],
    }
    required = ["kind", *(["model"] if kind.CALLS else []), *(g[0] for g in kind.REQUIRED if len(g) == 1)]
    groups = [{"anyOf": [{"required": [name]} for name in group]} for group in kind.REQUIRED if len(group) > 1]
    return {
        "title": kind.NAME,
        "description": kind.TITLE,
        "type": "object",
        "properties": {
            "kind": {"const": kind.NAME, "description": kind.TITLE},
            **({"model": model} if kind.CALLS else {}),
            **{name: published(schema) for name, schema in kind.PARAMS.items()},
            **({"pick": PICK} if makes(kind) else {}),
            **CONTROL,
        },
        "required": required,
        **({"allOf": groups} if groups else {}),
        "additionalProperties": False,
    }


_NOT_SHARED = ("prompt", "negative_prompt", "text", "messages", "image", "images", "last_image", "video", "audio",
               "voice_sample", "input", "stream", "files", "policy", "schema", "reask", "strict", "tools",
               "max_turns")  # fmt: skip
"""Params that are a step's own, and not of all steps that use a model."""

_ENV: JSON = {
    "type": "object",
    "properties": {"env": {"type": "string", "description": "The variable's name."}},
    "required": ["env"],
    "additionalProperties": False,
}


def model_schema() -> JSON:
    """What an entry of ``models:`` may say: where the model is, and params for every step that uses it."""
    shared: dict[str, JSON] = {}
    for kind in KINDS.values():
        for name, schema in kind.PARAMS.items() if kind.CALLS else ():
            if name not in _NOT_SHARED:  # pictures and sound have formats of their own; which model, checks know
                words = dict.fromkeys([*shared.get(name, {}).get("enum", ()), *schema.get("enum", ())])
                shared[name] = {**schema, "enum": list(words)} if words else schema
    params = {name: published(schema) for name, schema in shared.items()}
    where = {
        "model": {"type": "string", "description": "A Runpod model, or a private endpoint's id or console URL.",
                  "examples": [m.id for m in builtin().models.values() if m.status != "removed"]},
        "base_url": {"type": "string", "pattern": "^https?://", "description": "An OpenAI-compatible server.",
                     "examples": ["http://localhost:8000/v1"]},
        "api_key_env": {"type": "string", "description": "The environment variable that holds that server's key."},
        "headers": {"type": "object", "description": "Headers to send: text, or the environment variable it is in.",
                    "additionalProperties": {"anyOf": [{"type": "string"}, _ENV]},
                    "propertyNames": {"pattern": "^[A-Za-z0-9-]+$", "not": {"pattern": "^(?i:authorization)$"}},
                    "examples": [{"X-Team": "content", "X-Pass": {"env": "TEAM_PASS"}}]},
        "policy": KINDS["call_endpoint"].PARAMS["policy"],
    }  # fmt: skip
    return {"type": "object", "properties": {**where, **params}, "required": ["model"], "additionalProperties": False}


_DEADLINE: JSON = {
    **_DURATION, "description": "No step starts later than this after the run began.", "examples": ["30m"],
}  # fmt: skip
_LIMITS: JSON = {
    "type": "object",
    "description": "How many calls may be in flight at once.",
    "properties": {
        "calls": {"type": "integer", "minimum": 1, "description": "In all. 64 if not said."},
        "per_model": {
            "type": "object",
            "description": "By alias or model id.",
            "additionalProperties": {"type": "integer", "minimum": 1},
            "examples": [{"painter": 4}],
        },
    },
    "additionalProperties": False,
}


def _cheaper() -> JSON:
    return {"painter": {"model": builtin().of_kind("generate_image")[0].id}}


def _profile() -> JSON:
    """What a profile may say: what takes the place of the pipeline's own."""
    return {
        "type": "object",
        "description": "What takes the place of the pipeline's own in a run of this profile.",
        "properties": {
            "description": {"type": "string", "description": "What it is for, in a sentence."},
            "models": {
                "type": "object",
                "description": "Entries of models: that are others here.",
                "examples": [_cheaper()],
                "patternProperties": {STEP_ID: model_schema()},
                "additionalProperties": False,
            },
            "budget": BUDGET,
            "deadline": _DEADLINE,
            "limits": _LIMITS,
        },
        "additionalProperties": False,
    }


def top_schema() -> JSON:
    return {
        "type": "object",
        "properties": {
            "name": {"type": "string", "pattern": "^[A-Za-z0-9][A-Za-z0-9._-]{0,79}$",
                     "description": "The pipeline's name; its outputs go to out/NAME.", "examples": ["product-card"]},
            "version": {"type": "string", "description": "The pipeline's own version.", "examples": ["1.2.0"]},
            "description": {"type": "string", "description": "What it makes, in a sentence."},
            "inputs": {"type": "object", "description": "What changes from run to run.",
                       "examples": [{"product": {"type": "string"}}],
                       "patternProperties": {STEP_ID: _INPUT}, "additionalProperties": False},
            "models": {"type": "object", "description": "Short names for models: change a model here, nowhere else.",
                       "examples": [{"writer": {"model": builtin().of_kind("generate_text")[0].id}}],
                       "patternProperties": {STEP_ID: model_schema()}, "additionalProperties": False},
            "env": {"type": "array", "items": {"type": "string"},
                    "description": "Environment variables that templates may read as env.NAME.",
                    "examples": [["SHOP"]]},
            "budget": BUDGET,
            "deadline": _DEADLINE,
            "limits": _LIMITS,
            "profiles": {"type": "object",
                         "description": "What is otherwise under another name: runner run --profile draft.",
                         "examples": [{"draft": {"models": _cheaper()}}],
                         "patternProperties": {PROFILE: _profile()}, "additionalProperties": False},
            "steps": {"type": "object", "minProperties": 1,
                      "description": "What is done, by id. Order does not matter.",
                      "examples": [{"facts": {"kind": "parse_json", "text": "{{ inputs.answer }}"}}],
                      "patternProperties": {STEP_ID: True}, "additionalProperties": False},
            "outputs": {"type": "object", "description": "What is kept: names with a suffix become files.",
                        "examples": [{"card.png": "{{ steps.photo.image }}"}]},
        },
        "patternProperties": {"^x-": {"description": "Yours: a place for anchors. Not read."}},
        "required": ["name", "steps"],
        "additionalProperties": False,
    }  # fmt: skip


def _which_kind() -> JSON:
    """The names of all kinds, with what each is for: an editor shows it where one stands, and beside each it offers."""
    told = "\n".join(f"{name}: {kind.TITLE}" for name, kind in KINDS.items())
    return {
        "type": "string",
        "enum": list(KINDS),
        "enumDescriptions": [kind.TITLE for kind in KINDS.values()],  # what VS Code reads beside the standard
        "description": f"What the step does.\n\n{told}",
    }


def pipeline_schema(*, models: bool = True) -> JSON:
    """The whole schema, for editors: the form of a pipeline and, with ``models``, what each model takes and what a JSON
    Schema may say.
    """
    top = top_schema()
    defined = {name: step_schema(kind) for name, kind in KINDS.items()}
    step = {
        "title": "Step",
        "type": "object",
        "properties": {"kind": _which_kind()},
        "required": ["kind"],
        "allOf": [
            {
                "if": {"type": "object", "properties": {"kind": {"const": name}}, "required": ["kind"]},
                "then": {"$ref": f"#/$defs/{name}"},
            }
            for name in KINDS
        ],
    }
    top["properties"]["steps"]["patternProperties"][STEP_ID] = step
    top["properties"]["steps"]["examples"] = [{"photo": _first_step()}]
    if models:
        defined = {**offers.definitions(defined, model_schema()), FORM: JSON_SCHEMA}
        for named in (top, _profile_of(top)):
            named["properties"]["models"]["patternProperties"] = {STEP_ID: {"$ref": f"#/$defs/{offers.ALIAS}"}}
        top, defined = _with_forms(top), _with_forms(defined)
    return hinted({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Pipeline",
        "description": "How a piece of content is made. https://json-schema.org; generated by `runner schema`.",
        **top,
        "$defs": defined,
    })  # fmt: skip


def _first_step() -> JSON:
    """A step that needs nothing else in the file: with it and a name, a pipeline can run."""
    model = builtin().of_kind("generate_image")[0].id
    return {"kind": "generate_image", "model": model, "prompt": "a red ceramic teapot, studio light"}


def _profile_of(top: JSON) -> JSON:
    return top["properties"]["profiles"]["patternProperties"][PROFILE]


def _with_forms(schema: JSON) -> JSON:
    """The same, and where a JSON Schema is written, what one may say: editors complete it all the way down."""
    if isinstance(schema, list):
        return [_with_forms(each) for each in schema]
    if not isinstance(schema, Mapping):
        return schema
    found = {word: _with_forms(inner) for word, inner in schema.items()}
    if found.get("format") != FORM:
        return found
    return {"$ref": _FORM["$ref"], **_without(found, "format")}


def _without(schema: JSON, *names: str) -> dict[str, JSON]:
    return {k: v for k, v in schema.items() if k not in names}
