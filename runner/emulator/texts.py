"""Texts: an OpenAI chat request in, what a friendly model would have answered out.

The same messages, seed and model always give the same words; the temperature changes nothing but
that at zero the seed has no say.
"""

import json
import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from random import Random
from typing import Any, Literal

from .endpoints import Thinking
from .filling import filled
from .phrases import paragraph
from .shapes import Schema, shape
from .subjects import Subject, subject
from .tools import ToolCall, calls, told

Manner = Literal[
    "plain",
    "badjson",
    "fenced",
    "length",
    "think",
    "unclosed",
    "reasoning",
    "noschema",
    "stall",
    "errorchunk",
    "chopped",
]
Look = Callable[[object], str]
"""The address of a picture in, what it shows in words out; raises RefusedError for what is no picture."""
_TOKEN = re.compile(r"\w{1,6}|[^\w\s]")

_WORDS = re.compile(
    r"(?:,? ?\b(?:of|in|with|using)\b )?(?:at most|up to|no more than|under|about|exactly)? ?\b(\w+) words?\b",
    re.IGNORECASE,
)
"""``of at most eight words``, ``in 20 words``."""

_NUMBERS = {"one": 1, "two": 2, "three": 3, "four": 4, "five": 5, "six": 6, "seven": 7, "eight": 8, "nine": 9,
            "ten": 10, "twelve": 12, "fifteen": 15, "twenty": 20}  # fmt: skip
_SHORT = ("Come as you are: {phrase}", "All roads lead to {phrase}", "One evening, one {phrase}", "Here is to {phrase}")
_OPENINGS = (
    "{A} is one of those things that look simple and turn out to be full of small decisions.",
    "Think of {a} and you can almost see the light fall on it.",
    "What makes {the} worth a second look is how little it needs to explain itself.",
    "There are many ways to approach {the}, and the calm one is usually the best.",
)
_MIDDLES = (
    "The {first} gives it character, the {noun} gives it purpose, and together they feel effortless.",
    "Notice how {first} and {noun} work together: one draws the eye, the other holds it.",
    "Begin with the {noun}, keep what helps, and leave out whatever only makes noise.",
    "It suits a quiet morning as well as a full table, and it asks for very little care.",
)
_ENDINGS = (
    "Give it a good place and a little time, and it will repay you every day.",
    "In the end it is the details that stay with you.",
    "That is all it takes to make something ordinary feel considered.",
    "Keep it simple, keep it honest, and let the {noun} speak for itself.",
)


@dataclass(frozen=True, slots=True)
class Reply:
    """What the model said, why it stopped, and how much it read and wrote."""

    content: str
    finish: Literal["stop", "length", "tool_calls"]
    prompt_tokens: int
    completion_tokens: int
    reasoning: str = ""
    calls: tuple[ToolCall, ...] = ()

    @property
    def usage(self) -> dict[str, Any]:
        """As OpenAI names it."""
        return usage([self])


def usage(replies: list[Reply]) -> dict[str, Any]:
    """What several answers to one prompt have used: the prompt is read once."""
    read, written = replies[0].prompt_tokens, sum(one.completion_tokens for one in replies)
    said: dict[str, Any] = {"prompt_tokens": read, "completion_tokens": written, "total_tokens": read + written}
    thought = sum(len(_TOKEN.findall(one.reasoning)) for one in replies)
    return said | ({"completion_tokens_details": {"reasoning_tokens": thought}} if thought else {})


def reply(
    request: dict[str, Any],
    *,
    manner: Manner = "plain",
    think: Thinking = False,
    look: Look | None = None,
    turn: int = 0,
) -> Reply:
    """The answer to a chat request; `manner` is a scripted way of answering badly, `turn` counts those of `n`."""
    messages = _messages(request)
    asked = next((text for role, text in messages if role == "user" and text.strip()), "")
    about = subject(_WORDS.sub("", asked))
    seed = None if request.get("temperature") == 0 else request.get("seed")
    drawn = [messages, seed, request.get("model"), *([turn] if turn and request.get("temperature") != 0 else [])]
    random = Random(json.dumps(drawn))
    schema = wanted(request)
    called = calls(request, messages, random)
    content = "" if called else _answer(schema, about, random, manner)
    if schema is None and not called:
        content = _brief(content, asked, about, random)
        content = " ".join([*_reports(request), *_sights(request, look), content])
    content = _stopped(content, request.get("stop"))
    reasoning = ""
    if (mode := _thinks(request, messages, think, manner)) is not False:
        reasoning = _thought(about, called, json_wanted=schema is not None)
        if mode is True:
            content, reasoning = f"<think>\n{reasoning}\n</think>\n\n{content}", ""
    if manner == "unclosed":
        content = content.partition("\n</think>")[0]
    most = request.get("max_completion_tokens") or request.get("max_tokens")
    limit = most if isinstance(most, int) and most > 0 else None
    if manner == "length":
        limit = max(1, min(limit or 10**9, len(_TOKEN.findall(content)) * 2 // 3))
    read = sum(len(_TOKEN.findall(text)) + 4 for _, text in messages)
    return _bounded(Reply(content, "stop", read, 0, reasoning, called), limit, cut=manner == "unclosed")


def pieces(content: str) -> list[str]:
    """The content in the bites of a stream: a word and the space before it."""
    return re.findall(r"\s*\S+\s*$|\s*\S+", content) or [content]


def said(message: dict[str, Any]) -> str:
    """The text of a message, whose content may be a list of parts."""
    content = message.get("content")
    if isinstance(content, list):
        return "\n".join(str(p["text"]) for p in content if isinstance(p, dict) and isinstance(p.get("text"), str))
    return content if isinstance(content, str) else ""


def insists(request: dict[str, Any]) -> Schema | None:
    """The schema that a response format demands; an empty one is any value."""
    form = request.get("response_format")
    if not isinstance(form, dict) or form.get("type") != "json_schema":
        return None
    held = form.get("json_schema")
    schema = held.get("schema", held) if isinstance(held, dict) else {}
    return schema if isinstance(schema, dict) else {}


def wanted(request: dict[str, Any]) -> Schema | None:
    """What the request insists on, else the last shape that somebody described."""
    if (insisted := insists(request)) is not None:
        return insisted
    form = request.get("response_format")
    shapes = (shape(text) for role, text in reversed(_messages(request)) if role != "assistant")
    described = next((found for found in shapes if found is not None), None)
    if described is None and isinstance(form, dict) and form.get("type") == "json_object":
        return {"type": "object", "properties": {"title": {"type": "string"}, "text": {"type": "string"}}}
    return described


def _messages(request: dict[str, Any]) -> list[tuple[str, str]]:
    """Who said what, as text."""
    return [(str(m.get("role", "user")), said(m)) for m in request.get("messages", []) if isinstance(m, dict)]


def _answer(schema: Schema | None, about: Subject, random: Random, manner: Manner) -> str:
    if schema is None or manner == "badjson":
        return _prose(about, random)
    value = json.dumps(filled(schema, about, random), ensure_ascii=False, indent=2)
    if manner == "fenced":
        return f"Here is the JSON for {about.a}:\n\n```json\n{value}\n```"
    return value


def _prose(about: Subject, random: Random) -> str:
    parts = {
        "a": about.a,
        "A": about.a[:1].upper() + about.a[1:],
        "the": f"the {about.phrase}",
        "first": about.words[0] if len(about.words) > 1 else "form",
        "noun": about.noun,
    }
    lines = [random.choice(bank).format_map(parts) for bank in (_OPENINGS, _MIDDLES, _ENDINGS)]
    if "paragraphs" in about.text or "essay" in about.text or "article" in about.text:
        lines += ["\n\n" + paragraph(about, random)]
    return " ".join(lines).replace(" \n\n", "\n\n")


def _brief(content: str, asked: str, about: Subject, random: Random) -> str:
    """As short as the prompt wants it: so many words, or one sentence."""
    if found := _WORDS.search(asked):
        word = found[1].lower()
        most = int(word) if word.isdigit() else _NUMBERS.get(word, 0)
        if 0 < most < len(content.split()):
            short = random.choice(_SHORT).format(phrase=about.phrase, noun=about.noun) if most < 20 else content
            return " ".join(short.split()[:most]).rstrip(",;:")
    if re.search(r"\b(one|a single) (sentence|line)\b", asked, re.IGNORECASE):
        return content.split(". ", maxsplit=1)[0].rstrip(".") + "."
    return content


def _reports(request: dict[str, Any]) -> list[str]:
    """What the tools said, in their own words."""
    return [f"According to {name}: {content.strip()[:2000]}." for name, content in told(request)]


def _sights(request: dict[str, Any], look: Look | None) -> list[str]:
    """What can be seen in the pictures of the messages."""
    if look is None:
        return []
    parts = [
        part
        for message in request.get("messages", [])
        if isinstance(message, dict) and isinstance(message.get("content"), list)
        for part in message["content"]
        if isinstance(part, dict) and part.get("type") == "image_url"
    ]
    sources = (part.get("image_url") for part in parts)
    return [f"I see {look(one.get('url') if isinstance(one, dict) else one)}." for one in sources]


def _stopped(content: str, stop: object) -> str:
    """The text before the first of the sequences that end it."""
    words = [stop] if isinstance(stop, str) else stop if isinstance(stop, list) else []
    ends = [at for word in words if isinstance(word, str) and word and (at := content.find(word)) >= 0]
    return content[: min(ends)] if ends else content


def _thinks(
    request: dict[str, Any], messages: list[tuple[str, str]], think: Thinking, manner: Manner
) -> Literal[True, False, "apart"]:
    """How the model thinks aloud: a scripted manner, then what the request says, then its habit."""
    if manner in {"think", "unclosed"}:
        return True
    if manner == "reasoning":
        return "apart"
    options = request.get("chat_template_kwargs")
    options = options if isinstance(options, dict) else {}
    wish = options.get("enable_thinking", options.get("thinking"))
    signs = re.findall(r"/(no_)?think\b", "\n".join(text for role, text in messages if role in {"system", "user"}))
    if wish is None and signs:
        wish = not signs[-1]  # the last one counts, as in Qwen's template
    if wish is False or request.get("reasoning_effort") == "none":
        return False
    return think or False


def _thought(about: Subject, called: tuple[ToolCall, ...], *, json_wanted: bool) -> str:
    ask = (
        f"To know that I call {' and '.join(call.name for call in called)}."
        if called
        else "They want JSON of a given shape, so I answer with nothing else."
        if json_wanted
        else "A few sentences will do."
    )
    return f"The user asks about {about.a}. {ask} Let me keep it warm and concrete."


def _bounded(whole: Reply, limit: int | None, *, cut: bool) -> Reply:
    """As much as the limit allows: what is thought comes first, what is called is not cut."""
    thought = [found.end() for found in _TOKEN.finditer(whole.reasoning)]
    ends = [found.end() for found in _TOKEN.finditer(whole.content)]
    count = len(thought) + len(ends) + sum(len(_TOKEN.findall(call.arguments)) + 4 for call in whole.calls)
    if limit is None or count <= limit:
        return replace(
            whole, finish="length" if cut else "tool_calls" if whole.calls else "stop", completion_tokens=count
        )
    left = limit - len(thought)
    return replace(
        whole,
        reasoning=whole.reasoning if left >= 0 else whole.reasoning[: thought[limit - 1]],
        content=whole.content[: ends[left - 1]] if 0 < left <= len(ends) else "" if left <= 0 else whole.content,
        calls=(),
        finish="length",
        completion_tokens=limit,
    )
