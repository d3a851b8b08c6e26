"""A text in; where in it a template lacks a brace, and what it must be, out.

``{steps.photo.image}`` is no template, so a model would be sent these very characters. Braces that hold anything else,
as in JSON and CSS, are what they are.
"""

from __future__ import annotations

import re
from collections.abc import Container, Iterator
from dataclasses import dataclass, replace

ROOTS = ("inputs", "steps", "env", "run")
"""What every template may name."""
CELL_ROOTS = ("item", "index", "key", "matrix")
"""What only the templates of a step with many cells may name."""
NAMES = (*ROOTS, *CELL_ROOTS)

CHAIN = rf"(?:{'|'.join(NAMES)})(?:\.\w+|\[[^\[\]{{}}\n]{{1,80}}\])*+(?![\w:]|\s*:)"
"""A name of templates and the fields that are read from it; what a colon follows is a key."""

_EXPRESSION = rf"(?P<all>(?P<chain>{CHAIN})[^{{}}\n]{{0,200}})"
_HALF = re.compile(rf"\$?(?P<open>\{{(?:\s*\{{)?)\s*{_EXPRESSION}(?P<close>\}}(?:\s*\}})?)?")
"""Braces, of which at least one is missing or stands alone, around an expression."""
_ENDS = re.compile(r"(?<![\w.])(?P<chain>(?:inputs|steps)(?:\.\w+|\[[^\[\]{}\n]{1,80}\])+)\s*\}\}")
_THRICE = re.compile(rf"(?<!\{{)\{{{{3,9}}\s*{_EXPRESSION}\}}{{3,}}")
_TAGS = re.compile(
    r"\{%[-+]?\s*raw\b.*?\bendraw\s*[-+]?%\}|\{#.*?#\}|\{%.*?%\}"
    r"""|\{\{(?:'(?:\\.|[^'\\])*'|"(?:\\.|[^"\\])*"|[^'"])*?\}\}""",
    re.DOTALL,
)
_DOLLAR = re.compile(r"\$(?:\{\s*(?P<inside>\w+)\s*\}|(?P<name>[A-Za-z]\w*))")
_SINGLE = re.compile(r"(?<![{}$\w\\])\{([a-z]\w*)\}(?!\})")
_WHOLE = re.compile(rf"\{{\{{\s*(?P<chain>{CHAIN})[^{{}}]*\}}\}}")
_TAG = "\0"
"""What stands for each character of a tag that can be read."""


@dataclass(frozen=True, slots=True)
class Half:
    """A template with too few braces, or too many: where it is, and the expression in it."""

    offset: int
    length: int
    expression: str
    what: str = "looks like a template with a brace missing"

    @property
    def instead(self) -> str:
        """The template that it must be, and how braces are written that are meant."""
        return f"Write {{{{ {self.expression} }}}}. For a brace in the text itself write {{{{ '{{' }}}}."


def in_text(text: str, bare: Container[str] = ROOTS) -> Half | None:
    """The first of a text whose whole templates can be read. Names of ``bare`` count without a field, too."""
    if "{" not in text and "}}" not in text:
        return None
    text = _without_tags(text)
    for found in _HALF.finditer(text):
        is_bare = found["chain"].isalpha()
        if found["close"] and (found["all"].strip() in bare if is_bare else True):
            return _half(found)
        if found["close"] is None and not is_bare:
            return _open(found)
    for found in _ENDS.finditer(text):
        if not text[max(found.start() - 9, 0) : found.start()].rstrip().endswith(("{", _TAG)):
            return Half(found.start(), found.end() - found.start(), found["chain"])
    return None


def in_fault(text: str) -> Half | None:
    """The first of a text that Jinja cannot read."""
    if found := _THRICE.search(text):
        return Half(found.start(), len(found[0]), found["all"].strip(), "is a template with a brace too many")
    for found in _HALF.finditer(text):
        whole = found["open"] == "{{" and found["close"] == "}}"
        if found["close"] and not whole:
            return _half(found)
        after = text.find("{{", found.end())
        if found["close"] is None and text.find("}}", found.end(), after if after >= 0 else None) < 0:
            return _open(found)
    return None


def dollars(text: str) -> Iterator[tuple[int, int, str]]:
    """``$product`` and ``${product}`` in a text whose templates can be read: offset, length and name of each."""
    for found in _DOLLAR.finditer(_without_tags(text)) if "$" in text else ():
        yield found.start(), len(found[0]), found["inside"] or found["name"]


def singles(text: str) -> Iterator[tuple[int, int, str]]:
    """``{product}`` in a text whose templates can be read: offset, length and name of each."""
    for found in _SINGLE.finditer(_without_tags(text)) if "{" in text else ():
        yield found.start(), len(found[0]), found[1]


def templates(text: str) -> Iterator[re.Match[str]]:
    """``{{ inputs.product }}`` in a text; the group ``chain`` is what it reads."""
    return _WHOLE.finditer(text)


def apart(text: str, at: int) -> Half | None:
    """``{ { inputs.product } }`` whose inner brace stands at ``at``; None if that is anything else."""
    before = text[:at].rstrip(" ")
    found = _HALF.match(text, len(before) - 1) if before.endswith("{") and before != text[:at] else None
    return _half(found) if found is not None and found["close"] else None


def unquoted(text: str, at: int) -> Half | None:
    """``{{ inputs.product }`` in a line that has no other brace behind it; None if anything else begins at ``at``."""
    line = text[at:].partition("\n")[0]
    found = _HALF.match(line)
    if found is None or found["open"] != "{{" or found["close"] != "}" or "}" in line[found.end() :]:
        return None
    half = _half(found)
    return replace(half, offset=half.offset + at)


def names(text: str, bare: Container[str] = ROOTS) -> bool:
    """Whether a text is nothing but a name of templates and fields that are read from it."""
    return re.fullmatch(CHAIN, text) is not None and (not text.isalpha() or text in bare)


def _without_tags(text: str) -> str:
    """The text with nothing to be read where its tags are, each character in its place."""
    return _TAGS.sub(lambda tag: _TAG * len(tag[0]), text)


def _half(found: re.Match[str]) -> Half:
    apart = re.sub(r"\s", "", found["open"] + found["close"]) == "{{}}"
    what = "looks like a template, with its braces apart" if apart else "looks like a template with a brace missing"
    return Half(found.start(), len(found[0]), found["all"].strip(), what)


def _open(found: re.Match[str]) -> Half:
    return Half(found.start(), found.end("chain") - found.start(), found["chain"])
