"""What a text step says that cannot be meant: pure, from its params as written, before anything is asked."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from .catalogue import Catalogue, Model
from .templates import Template, Tree


@dataclass(frozen=True, slots=True)
class Fault:
    """A contradiction: the param where it is and the way to its place, a sentence, what instead."""

    path: tuple[str, *tuple[str | int, ...]]
    message: str
    instead: str
    key: bool = False
    """Whether the name is marked, and not the value."""
    code: str = "contradiction"
    warning: bool = False


def contradictions(params: Mapping[str, Tree], model: Model | None, known: Catalogue) -> Iterator[Fault]:
    """All of them, in no particular order."""
    yield from _said_twice(params)
    yield from _about_nothing(params)
    if model is not None and model.known and "pictures" not in model.abilities:
        for path in _pictures(params):
            able = [each.id for each in known.of_kind("generate_text") if "pictures" in each.abilities]
            instead = f"Remove it, or choose a model that sees: {', '.join(able)}."
            yield Fault(path, f"{model.id} sees no pictures.", instead, key=True, code="unknown-parameter")
            break
    if "tools" in params:
        yield from _tools(params["tools"])
        if model is not None and model.known and "tools" not in model.abilities:
            able = [each.id for each in known.of_kind("generate_text") if "tools" in each.abilities]
            yield Fault(("tools",), f"Nobody says that {model.id} can call tools.",
                        f"These can: {', '.join(able)}.", key=True, code="doubtful-tools", warning=True)  # fmt: skip


def _said_twice(params: Mapping[str, Tree]) -> Iterator[Fault]:
    if "messages" not in params:
        return
    if "prompt" in params:
        yield Fault(("messages",), "The step says prompt and messages.",
                    "Keep one: a prompt is the same as one message of the user.", key=True)  # fmt: skip
        return
    for word in ("image", "images"):
        if word in params:
            yield Fault((word,), f"{word} belongs to a prompt, and the step has messages.",
                        "Write content: [{text: …}, {image: …}] in a message of the user.", key=True)  # fmt: skip
    for index, message in enumerate(_messages(params)):
        role = message.get("role")
        if role == "system" and index:
            yield Fault(("messages", index, "role"), "The system speaks first, and once.",
                        "Make it the first message, or give it another role.")  # fmt: skip
        elif role == "system" and "system" in params:
            yield Fault(("messages", index, "role"), "The step says system and has a message of the system.",
                        "Keep one of them.")  # fmt: skip
        if role in ("system", "assistant"):
            for path in _pictures_of(index, message):
                yield Fault(path, "Only the user shows pictures.", "Put it into a message of the user.", key=True)


def _about_nothing(params: Mapping[str, Tree]) -> Iterator[Fault]:
    if "schema" not in params:
        for word in ("reask", "strict"):
            if word in params:
                yield Fault((word,), f"{word} says something about a schema, and the step has none.",
                            "Add schema:, or remove it.", key=True)  # fmt: skip
    if "max_turns" in params and "tools" not in params:
        yield Fault(("max_turns",), "max_turns says something about tools, and the step has none.",
                    "Add tools:, or remove it.", key=True)  # fmt: skip
    options = params.get("options")
    if isinstance(options, dict):
        for word in ("stream", "n"):
            if word in options:
                instead = "Remove it." if word == "stream" else "Write foreach: to have several."
                yield Fault(("options", word), f"{word} cannot be chosen: runner reads one answer, as it comes.",
                            instead, key=True)  # fmt: skip


def _tools(tools: Tree) -> Iterator[Fault]:
    for name, tool in tools.items() if isinstance(tools, dict) else ():
        path = ("tools", name)
        if not isinstance(tool, dict):
            continue
        if "pipeline" in tool and "returns" in tool:
            yield Fault((*path, "pipeline"), f"{name} is answered by returns and by a pipeline.",
                        "Keep one of them.", key=True, code="tools")  # fmt: skip
        elif "pipeline" not in tool and "returns" not in tool:
            yield Fault(path, f"{name} has no returns.",
                        "Add returns: with what it answers, or pipeline: with the file that answers.", key=True,
                        code="missing-key")  # fmt: skip
        takes = tool.get("input")
        if isinstance(takes, dict) and takes and takes.get("type") != "object":
            yield Fault((*path, "input"), "The input of a tool is a mapping of its arguments.",
                        "Write {type: object, properties: {…}}.", code="tools")  # fmt: skip


def _pictures(params: Mapping[str, Tree]) -> Iterator[tuple[str, *tuple[str | int, ...]]]:
    """Where there are pictures."""
    yield from ((word,) for word in ("image", "images") if word in params)
    for index, message in enumerate(_messages(params)):
        yield from _pictures_of(index, message)


def _pictures_of(index: int, message: Mapping[str, Tree]) -> Iterator[tuple[str, *tuple[str | int, ...]]]:
    content = message.get("content")
    for number, part in enumerate(content if isinstance(content, list) else ()):
        if isinstance(part, dict) and "image" in part:
            yield ("messages", index, "content", number, "image")


def _messages(params: Mapping[str, Tree]) -> list[Mapping[str, Tree]]:
    """The messages that are written out."""
    found = params.get("messages")
    if isinstance(found, Template) or not isinstance(found, list):
        return []
    return [message if isinstance(message, dict) else {} for message in found]
