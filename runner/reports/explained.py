"""The codes of problems, one or all, for a terminal and as the page of the documentation."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping

from ..codes import CODES, Code

_GROUPS = {
    "E0": "The file, before it is a pipeline",
    "E1": "Names in templates",
    "E2": "The form of a pipeline",
    "E3": "Models",
    "E4": "The graph",
    "E5": "Safety",
    "E7": "Tests of pipelines",
    "W6": "Warnings: the pipeline runs all the same",
}
_HEAD = """\
# What `runner check` says

<!-- Written by runner explain --markdown; see runner/codes.py. -->

Every problem has a code, a number and a name that stay as they are from version to version: `E102 unknown-field`.
`runner check` shows it at the end of the first line, `runner explain E102` shows what stands here. Nothing runs while
a pipeline has a problem (E); with a warning (W) it does.
"""


def text(code: Code, said: str) -> str:
    """One code: what it means, a pipeline that has it, what is said about that, and how it is right."""
    parts = [f"{code}: {code.title}", textwrap.fill(code.why, 100)]
    for name, content in code.beside.items():
        parts += [f"{name}, beside the {_what(code)}:", _indented(content)]
    parts += ["Wrong:", _indented(code.wrong), "runner check says:", _indented(said), "Right:", _indented(code.right)]
    return "\n\n".join(parts)


def listed() -> str:
    """All codes, a line each."""
    width = max(len(code.name) for code in CODES)
    lines = [f"{code.number}  {code.name:{width}}  {code.title}" for code in CODES]
    return "\n".join([*lines, "", "runner explain CODE tells all about one."])


def markdown(said: Mapping[str, str]) -> str:
    """The page of all codes; ``said`` is what `runner check` says of each wrong example, by number."""
    parts = [_HEAD]
    group = ""
    for code in CODES:
        if code.number[:2] != group:
            group = code.number[:2]
            parts.append(f"## {_GROUPS[group]}\n")
        parts.append(f"### {code}\n\n**{code.title}.** {textwrap.fill(code.why, 118)}\n")
        for name, content in code.beside.items():
            parts.append(f"`{name}`, beside the {_what(code)}:\n\n{_fenced('yaml' * code.of_tests, content)}")
        parts.append(f"Wrong:\n\n{_fenced('yaml', code.wrong)}")
        parts.append(_fenced("text", said[code.number]))
        parts.append(f"Right:\n\n{_fenced('yaml', code.right)}")
    return "\n".join(parts)


def _what(code: Code) -> str:
    return "test file" if code.of_tests else "pipeline"


def _indented(text: str) -> str:
    return textwrap.indent(text.rstrip("\n"), "    ")


def _fenced(language: str, text: str) -> str:
    return f"```{language}\n{text.rstrip()}\n```\n"
