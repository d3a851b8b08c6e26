"""Text in, the secrets that stand in it out: found for a warning, hidden in everything that is shown.

A secret is the value of a variable that holds a key, or what by its form can only be one. It is hidden by as many
dots as it has characters, so that a caret under the line still points at its place.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from dataclasses import replace

from .errors import Mark, Problem

SHORTEST = 8
"""Characters of a variable's value that is looked for: a shorter one would be found in ordinary words."""

_KEY = re.compile(
    r"(?<![A-Za-z0-9_-])(?:(?P<head>rp[as]_|hf_|gh[po]_)[A-Za-z0-9]{16,}"
    r"|(?P<openai>sk-)(?=[A-Za-z0-9_-]*[0-9])[A-Za-z0-9_-]{16,})(?![A-Za-z0-9])"
)
"""Keys of Runpod (rpa_, rps_), Hugging Face, GitHub, and OpenAI and those who copied its form (sk-)."""


def spans(text: str, values: Collection[str] = ()) -> Iterator[tuple[int, int, int]]:
    """Where secrets stand: begin, how many characters of it may be shown, end. In order; none overlaps another."""
    found = [(at.start(), len(at["head"] or at["openai"]), at.end()) for at in _KEY.finditer(text)]
    for value in values:
        if len(value) >= SHORTEST:
            found += [(at.start(), 0, at.end()) for at in re.finditer(re.escape(value), text)]
    last = 0
    for begin, shown, end in sorted(found):
        if end > last:
            yield max(begin, last), shown if begin >= last else 0, end
            last = end


def masked(text: str, values: Collection[str] = ()) -> str:
    """The text with its secrets hidden, as long as it was."""
    for begin, shown, end in spans(text, values):
        text = text[: begin + shown] + "•" * (end - begin - shown) + text[end:]
    return text


def hidden(problem: Problem, values: Collection[str] = ()) -> Problem:
    """The problem as it may be shown."""
    mark = replace(problem.mark, text=masked(problem.mark.text, values))
    message, instead = masked(problem.message, values), masked(problem.instead, values)
    return replace(problem, message=message, mark=mark, instead=instead)


def warnings(file: str, text: str, values: Collection[str] = ()) -> Iterator[Problem]:
    """A warning for each secret in a file."""
    if not any(True for _ in spans(text, values)):
        return
    for number, line in enumerate(text.splitlines(), 1):
        for begin, _, end in spans(line, values):
            yield Problem(
                "written-key",
                "This looks like a key: whoever reads the file can use it.",
                Mark(file, number, begin + 1, end - begin, masked(line, values)),
                "Take it out, and have a new one made. RUNPOD_API_KEY is read from the environment, and so is another "
                "server's key, from the variable that api_key_env: names.",
                warning=True,
            )
