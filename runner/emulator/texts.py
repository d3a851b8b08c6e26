"""Texts: an OpenAI chat request in, what a friendly model would have answered out.

The same messages, seed and model always give the same words; the temperature changes nothing.
"""

import json
import re
from dataclasses import dataclass
from random import Random
from typing import Any, Literal

from .filling import filled
from .phrases import paragraph
from .shapes import Schema, shape
from .subjects import Subject, subject

Manner = Literal["plain", "badjson", "fenced", "length", "think"]
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
    finish: Literal["stop", "length"]
    prompt_tokens: int
    completion_tokens: int

    @property
    def usage(self) -> dict[str, int]:
        """As OpenAI names it."""
        return {
            "prompt_tokens": self.prompt_tokens,
            "completion_tokens": self.completion_tokens,
            "total_tokens": self.prompt_tokens + self.completion_tokens,
        }


def reply(request: dict[str, Any], *, manner: Manner = "plain", think: bool = False) -> Reply:
    """The answer to a chat request; `manner` is a scripted way of answering badly."""
    messages = [(str(m.get("role", "user")), said(m)) for m in request.get("messages", []) if isinstance(m, dict)]
    asked = next((text for role, text in messages if role == "user" and text.strip()), "")
    about = subject(_WORDS.sub("", asked))
    random = Random(json.dumps([messages, request.get("seed"), request.get("model")]))
    wanted = _schema(request, messages)
    content = _answer(wanted, about, random, manner)
    if wanted is None:
        content = _brief(content, asked, about, random)
    if think or manner == "think":
        content = f"<think>\n{_thought(about, json_wanted=wanted is not None)}\n</think>\n\n{content}"
    most = request.get("max_completion_tokens") or request.get("max_tokens")
    limit = most if isinstance(most, int) and most > 0 else None
    if manner == "length":
        limit = max(1, min(limit or 10**9, len(_TOKEN.findall(content)) * 2 // 3))
    return _bounded(content, limit, sum(len(_TOKEN.findall(text)) + 4 for _, text in messages))


def pieces(content: str) -> list[str]:
    """The content in the bites of a stream: a word and the space before it."""
    return re.findall(r"\s*\S+\s*$|\s*\S+", content) or [content]


def said(message: dict[str, Any]) -> str:
    """The text of a message, whose content may be a list of parts."""
    content = message.get("content")
    if isinstance(content, list):
        return "\n".join(str(p["text"]) for p in content if isinstance(p, dict) and isinstance(p.get("text"), str))
    return content if isinstance(content, str) else ""


def _schema(request: dict[str, Any], messages: list[tuple[str, str]]) -> Schema | None:
    """What the request insists on, else the last shape that somebody described."""
    form = request.get("response_format")
    form = form if isinstance(form, dict) else {}
    if form.get("type") == "json_schema":
        held = form.get("json_schema")
        schema = held.get("schema", held) if isinstance(held, dict) else {}
        return schema if isinstance(schema, dict) else {}
    shapes = (shape(text) for role, text in reversed(messages) if role != "assistant")
    described = next((found for found in shapes if found is not None), None)
    if described is None and form.get("type") == "json_object":
        return {"type": "object", "properties": {"title": {"type": "string"}, "text": {"type": "string"}}}
    return described


def _answer(wanted: Schema | None, about: Subject, random: Random, manner: Manner) -> str:
    if wanted is None or manner == "badjson":
        return _prose(about, random)
    value = json.dumps(filled(wanted, about, random), ensure_ascii=False, indent=2)
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


def _thought(about: Subject, *, json_wanted: bool) -> str:
    ask = (
        "They want JSON of a given shape, so I answer with nothing else." if json_wanted else "A few sentences will do."
    )
    return f"The user asks about {about.a}. {ask} Let me keep it warm and concrete."


def _bounded(content: str, limit: int | None, prompt_tokens: int) -> Reply:
    ends = [found.end() for found in _TOKEN.finditer(content)]
    if limit is None or len(ends) <= limit:
        return Reply(content, "stop", prompt_tokens, len(ends))
    return Reply(content[: ends[limit - 1]], "length", prompt_tokens, limit)
