"""Tools that a model may call, declared as data: what it is told of them, and what it is answered."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass

from ..errors import BadOutput, TemplateFailed
from ..model import JSON, Artifact
from ..templates import to_text
from .finding import described, find, mismatches
from .kind import TEXT

TOOLS: JSON = {
    "type": "object",
    "minProperties": 1,
    "description": "What the model may call before it answers, by name.",
    "propertyNames": {"pattern": "^[A-Za-z0-9_-]{1,64}$"},
    "examples": [
        {
            "get_weather": {
                "description": "Get the weather of a city",
                "input": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
                "returns": "The weather in {{ args.city }} is sunny.",
            }
        }
    ],
    "additionalProperties": {
        "type": "object",
        "properties": {
            "description": {**TEXT, "description": "What it does, for the model."},
            "input": {
                "type": "object",
                "description": "What it takes: the JSON Schema of a mapping.",
                "examples": [{"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}],
                "verbatim": True,
                "format": "json-schema",
            },
            "returns": {
                "type": ["string", "number", "boolean", "object", "array"],
                "description": "What it answers: a template that reads args, the arguments of the call.",
                "examples": ["The weather in {{ args.city }} is sunny."],
                "late": "input",
            },
            "pipeline": {
                "type": "string",
                "plain": True,
                "description": "Or the file of a pipeline that answers: its inputs are the arguments of the call.",
                "examples": ["weather.yaml"],
            },
        },
        "required": ["description", "input"],
        "additionalProperties": False,
    },
}


@dataclass(frozen=True, slots=True)
class ToolCall:
    """A call that a model asks for. ``said`` are its arguments as they came."""

    id: str
    name: str
    said: JSON

    @property
    def wire(self) -> JSON:
        text = self.said if isinstance(self.said, str) else json.dumps(self.said, ensure_ascii=False)
        return {"id": self.id, "type": "function", "function": {"name": self.name, "arguments": text}}


@dataclass(frozen=True, slots=True)
class Answered:
    """A call and what it was answered: ``text`` is what the model reads, ``result`` what the step yields."""

    call: ToolCall
    arguments: JSON
    result: JSON
    text: str

    @property
    def message(self) -> JSON:
        return {"role": "tool", "tool_call_id": self.call.id, "content": self.text}


def offered(tools: Mapping[str, JSON]) -> list[JSON]:
    """Tools as OpenAI writes them."""
    return [
        {"type": "function",
         "function": {"name": name, "description": tool["description"], "parameters": tool["input"]}}
        for name, tool in tools.items()
    ]  # fmt: skip


def called(message: Mapping[str, JSON], turn: int) -> list[ToolCall]:
    """The calls of a message, in order. Some servers give no ids, some give arguments as mappings."""
    found = []
    for number, call in enumerate(message.get("tool_calls") or ()):
        function = call.get("function") if isinstance(call, Mapping) else None
        if isinstance(function, Mapping):
            name = str(function.get("name") or "")
            found.append(ToolCall(call.get("id") or f"call_{turn}_{number}", name, function.get("arguments")))
    return found


@dataclass(frozen=True, slots=True)
class Asking:
    """A call that a pipeline answers, with these arguments."""

    call: ToolCall
    arguments: JSON

    def told(self, outputs: JSON) -> Answered:
        """What the pipeline made. Of a file the model reads what it is: nothing else of it is text."""
        return Answered(self.call, self.arguments, outputs, to_text(_readable(outputs)))


def _readable(value: JSON) -> JSON:
    if isinstance(value, Artifact):
        fields = ("media_type", "width", "height", "seconds")
        return {name: getattr(value, name) for name in fields if getattr(value, name) is not None}
    if isinstance(value, Mapping):
        return {name: _readable(inner) for name, inner in value.items()}
    return [_readable(inner) for inner in value] if isinstance(value, list) else value


def answered(tools: Mapping[str, JSON], call: ToolCall) -> Answered | Asking:
    """What a tool answers. What is wrong with a call is told to the model, which may do better."""
    tool = tools.get(call.name)
    if tool is None:
        wrong = f"There is no tool {call.name}. There are: {', '.join(tools)}."
        return Answered(call, call.said, wrong, wrong)
    try:
        arguments = _arguments(call.said, tool["input"])
    except BadOutput as err:
        wrong = f"{call.name} cannot be called so: {err}. Call it again with arguments that fit."
        return Answered(call, call.said, wrong, wrong)
    if "pipeline" in tool:
        return Asking(call, arguments)
    try:
        result = tool["returns"].render(arguments)
        return Answered(call, arguments, result, to_text(result))
    except TemplateFailed as err:
        msg = f"tools.{call.name}.returns: {err}; the arguments were {json.dumps(arguments, ensure_ascii=False)[:200]}"
        raise TemplateFailed(msg) from err


def _arguments(said: JSON, schema: Mapping[str, JSON]) -> JSON:
    """The arguments of a call. `BadOutput` says what is wrong with them."""
    text = said if isinstance(said, str) else json.dumps(said)
    value = said if isinstance(said, Mapping) else find(text).value if text.strip() and said is not None else {}
    if wrong := mismatches(value, schema, text):
        raise BadOutput(described(wrong, "args"))
    return value
