"""Tools: a chat request in, the calls that a sensible model would make out.

A tool is called when the last message is the user's and shares a word with the tool's name (or two
with its description), when the request insists on it, and never when the request forbids it.
"""

import json
import re
from dataclasses import dataclass
from random import Random
from typing import Any

from .arguments import arguments, calculates, others
from .shapes import Schema
from .subjects import content_words

_SAYS_NOTHING = """
    get got fetch find look lookup call tool function current currently given name return returns value
    values user data info information api run execute perform list set used new specific specified based
    provided string number time
"""
_COMMON = frozenset(_SAYS_NOTHING.split())


@dataclass(frozen=True, slots=True)
class ToolCall:
    """One call: its id, the tool, and the arguments as JSON text, as the wire has them."""

    id: str
    name: str
    arguments: str

    @property
    def wire(self) -> dict[str, Any]:
        """As OpenAI writes it in a message."""
        return {"id": self.id, "type": "function", "function": {"name": self.name, "arguments": self.arguments}}


@dataclass(frozen=True, slots=True)
class Tool:
    """A function that the request offers."""

    name: str
    description: str
    parameters: Schema

    def shared(self, text: str) -> frozenset[str]:
        """The words of the prompt that are about this tool; none when there are too few to mean it."""
        words = _stems(text)
        if calculates(text) and re.search(
            r"calculat|arithmetic|math", f"{self.name} {self.description}", re.IGNORECASE
        ):
            return words | {"sum"}
        named = _stems(re.sub(r"(?<=[a-z0-9])(?=[A-Z])|[_.-]", " ", self.name)) & words
        described = _stems(self.description) & words
        return named | described if 2 * len(named) + len(described) >= 2 else frozenset()


def offered(request: dict[str, Any]) -> list[Tool]:
    """The tools of a request; what is no function is passed over."""
    found = []
    for held in request.get("tools") or []:
        function = held.get("function") if isinstance(held, dict) else None
        if isinstance(function, dict) and isinstance(function.get("name"), str):
            parameters = function.get("parameters")
            schema = parameters if isinstance(parameters, dict) else {}
            found.append(Tool(function["name"], str(function.get("description") or ""), schema))
    return found


def calls(request: dict[str, Any], messages: list[tuple[str, str]], random: Random) -> tuple[ToolCall, ...]:
    """The calls that answer the request; none means that a text does."""
    tools = offered(request)
    if not tools or not messages:
        return ()
    role, last = messages[-1]
    text = last if role == "user" else next((said for who, said in reversed(messages) if who == "user"), "")
    choice = request.get("tool_choice", "auto")
    if choice == "none":
        return ()
    if isinstance(choice, dict):
        named = choice.get("function")
        name = named.get("name") if isinstance(named, dict) else choice.get("name")
        chosen = [tool for tool in tools if tool.name == name]
    elif choice == "required":
        chosen = _meant(tools, text)[:1] or tools[:1]
    else:
        chosen = _meant(tools, text) if role == "user" else []
    wanted = []
    for tool in chosen:
        made = arguments(tool.parameters, text, random)
        wanted += [(tool.name, each) for each in (made, *others(made, tool.parameters, text))]
    if request.get("parallel_tool_calls") is False:
        wanted = wanted[:1]
    return tuple(
        ToolCall(f"call_{random.getrandbits(96):024x}", name, json.dumps(made, ensure_ascii=False))
        for name, made in wanted
    )


def unknown(request: dict[str, Any]) -> str | None:
    """A function that `tool_choice` names and the request does not offer."""
    choice = request.get("tool_choice")
    named = choice.get("function") if isinstance(choice, dict) else None
    name = named.get("name") if isinstance(named, dict) else None
    return None if name is None or any(tool.name == name for tool in offered(request)) else str(name)


def told(request: dict[str, Any]) -> list[tuple[str, str]]:
    """The results that stand at the end of the conversation: each tool and what it said."""
    names: dict[str, str] = {}
    found: list[tuple[str, str]] = []
    for message in request.get("messages", []):
        if not isinstance(message, dict):
            continue
        if message.get("role") != "tool":
            found = []
        for call in message.get("tool_calls") or []:
            if isinstance(call, dict) and isinstance(call.get("function"), dict):
                names[str(call.get("id"))] = str(call["function"].get("name"))
        if message.get("role") == "tool":
            name = names.get(str(message.get("tool_call_id")), str(message.get("name") or "the tool"))
            content = message.get("content")
            found.append((name, content if isinstance(content, str) else json.dumps(content, ensure_ascii=False)))
    return found


def _meant(tools: list[Tool], text: str) -> list[Tool]:
    """The tools that the text is about, the closest first; each has to bring a word of its own."""
    used: frozenset[str] = frozenset()
    meant = []
    for tool in sorted(tools, key=lambda tool: -len(tool.shared(text))):
        shared = tool.shared(text)
        if shared - used:
            meant.append(tool)
            used |= shared
    return meant


def _stems(text: str) -> frozenset[str]:
    """Words without their endings, so that `prices` is `price` and `searching` is `search`."""
    words = (word for word in content_words(text.replace("'s", "")) if word not in _COMMON)
    return frozenset(re.sub(r"(?:ing|ors?|ers?|es|ed|s|e)$", "", word) if len(word) > 3 else word for word in words)
