"""Text in, the JSON that stands in it out, checked against a schema. Local and free."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ..errors import BadOutput, Truncated
from ..model import JSON, Call, Output, Reply
from .finding import find
from .kind import COST, FLAG, TEXT

NAME = "parse_json"
VERSION = 1
TITLE = "Find JSON in text and check it against a schema."
CALLS = False
PARAMS: Mapping[str, JSON] = {
    "text": {**TEXT, "description": "The text that holds JSON.", "examples": ["{{ steps.draft.text }}"]},
    "schema": {
        "type": "object",
        "description": "What the JSON must look like: a JSON Schema.",
        "examples": [{"type": "object", "required": ["title"], "properties": {"title": {"type": "string"}}}],
        "verbatim": True,
        "format": "json-schema",
    },
    "strict": {**FLAG, "default": False, "description": "Refuse JSON whose punctuation would have to be mended."},
}
REQUIRED: tuple[tuple[str, ...], ...] = (("text",),)
TIMEOUT = 60.0

REPAIRS: JSON = {
    "type": "array",
    "items": TEXT,
    "description": "What stood around the JSON, and what in it was mended.",
}
_ANEW = ". To have the text written anew, change its prompt or say cache: false on the step that wrote it"


def output(params: Mapping[str, JSON]) -> JSON:
    """``data`` has the shape of the step's own schema."""
    schema = params.get("schema")
    said = {"description": "What the text holds, as the schema says."}
    return {
        "type": "object",
        "properties": {
            "data": {**said, **schema, "$root": True} if isinstance(schema, Mapping) else said,
            "repairs": REPAIRS,
            **COST,
        },
        "additionalProperties": False,
    }


def advance(params: Mapping[str, JSON], replies: Sequence[Reply]) -> Call | Output:
    """The output at once: nothing is asked of anybody."""
    del replies
    text: str = params["text"]
    try:
        found = find(text, params.get("schema"), strict=bool(params.get("strict")))
    except Truncated as err:
        msg = f"{err}; if the model was cut off, raise max_tokens of the step that wrote it{_ANEW}"
        raise Truncated(msg, keep=text) from err
    except BadOutput as err:
        msg = f"{err}{_ANEW}"
        raise BadOutput(msg, keep=text) from err
    return Output({"data": found.value, "repairs": list(found.repairs)})
