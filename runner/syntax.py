"""A template that Jinja cannot read: its error in plain words, at the very tag that it is about, with a cure."""

from __future__ import annotations

import re

import jinja2

from .braces import Half, in_fault
from .errors import nearest


class TemplateFault(ValueError):
    """A template that cannot be read: the sentence, where in the text the tag at fault is, what to write instead."""

    def __init__(self, message: str, instead: str, offset: int, length: int) -> None:
        super().__init__(message)
        self.instead, self.offset, self.length = instead, offset, length

    @property
    def sentence(self) -> str:
        """What is wrong, as one reads it alone."""
        return f"This template cannot be read: {self}."


class HalfTemplate(TemplateFault):
    """A text that is a template but for its braces."""

    def __init__(self, half: Half) -> None:
        super().__init__(half.what, half.instead, half.offset, half.length)

    @property
    def sentence(self) -> str:
        return f"This {self}."


_TAG = re.compile(r"\{[{%].*?(?:[}%]\}|\Z)", re.DOTALL)
_BLOCK = re.compile(r"\{%[-+]?\s*(end)?([a-z]+)")
_STATEMENTS = ("if", "elif", "else", "endif", "for", "endfor", "set", "endset", "with", "endwith", "filter",
               "endfilter", "raw", "endraw", "macro", "endmacro")  # fmt: skip
_BRACES = "Check the braces and the quotes."


_OTHERS = {"elseif": "elif", "elsif": "elif", "foreach": "for", "each": "for", "loop": "for", "unless": "if not",
           "switch": "if", "case": "elif", "let": "set", "var": "set", "const": "set", "assign": "set"}  # fmt: skip
"""Words of other languages, and ours."""
_CLOSING = ("end", "fi", "done", "next", "endforeach", "endeach", "endloop", "endunless")
_QUOTED = re.compile(r"'[^']*'|\"[^\"]*\"")
_SIGNS = (
    (re.compile(r"&&"), "Write and."),
    (re.compile(r"\|\|"), "Write or."),
    (re.compile(r"!=="), "Write !=."),
    (re.compile(r"==="), "Write ==."),
    (re.compile(r"!(?!=)"), "Write not, and a blank behind it."),
    (re.compile(r"\?"), "Write VALUE if CONDITION else OTHER."),
)
"""Signs of other languages, which stand nowhere in a template, and what is written here."""
_OF = re.compile(r"\{%[-+]?\s*for\s+\w+(?:\s*,\s*\w+)*\s+(of)\s")
_ELSE_IF = re.compile(r"\{%[-+]?\s*(else\s+if)\s")


def _foreign(text: str, message: str, start: int, length: int) -> TemplateFault | None:
    """What another language would write there: at the very sign, with what is written here."""
    tag = _QUOTED.sub(lambda quoted: " " * len(quoted[0]), text[start : start + length])
    if found := _OF.match(tag):
        return TemplateFault("of cannot stand here", "Write in.", start + found.start(1), 2)
    if found := _ELSE_IF.match(tag):
        at = start + found.start(1), len(found[1])
        return TemplateFault("there is no {% else if %}", "Write {% elif … %}.", *at)
    if re.search(r"got '='\Z", message) and (found := re.search(r"(?<![=!<>])=(?!=)", tag)):
        return TemplateFault("one = compares nothing", "Write ==.", start + found.start(), 1)
    for sign, cure in _SIGNS:
        if found := sign.search(tag):
            return TemplateFault(f"{found[0]} cannot stand here", cure, start + found.start(), len(found[0]))
    return None


def fault_of(text: str, err: jinja2.TemplateSyntaxError, environment: jinja2.Environment) -> TemplateFault:
    """Jinja's error in plain words, at the tag that it is about."""
    if half := in_fault(text):
        return HalfTemplate(half)
    message = (err.message or "it cannot be read").rstrip(".")
    if message == "Missing end of comment tag" and (begun := _open_comment(text)) is not None:
        cure = "Write {{ '{#' }} for these characters; a comment ends with #}."
        return TemplateFault("{# begins a comment that never ends", cure, begun, 2)
    if open_block := re.search(r"block that needs to be closed is '(\w+)'", message):
        word = open_block[1]
        instead = f"Write {{% end{word} %}} where it ends."
        if not message.startswith("Encountered"):
            return TemplateFault(f"{{% {word} %}} is never closed", instead, *_open_block(text, word))
    else:
        instead = "Remove it."
    if unknown := re.match(r"Encountered unknown tag '(\w+)'", message):
        at = _tag_at_fault(text, err, environment)
        if unknown[1] in _STATEMENTS:
            return TemplateFault(f"{{% {unknown[1]} %}} cannot stand here", instead, *at)
        if unknown[1] in _CLOSING and open_block:
            return TemplateFault(f"there is no {{% {unknown[1]} %}}", f"Write {{% end{open_block[1]} %}}.", *at)
        meant = f"Write {{% {_OTHERS[unknown[1]]} … %}}." if unknown[1] in _OTHERS else nearest(unknown[1], _STATEMENTS)
        return TemplateFault(f"there is no {{% {unknown[1]} %}}", meant, *at)
    at = _tag_at_fault(text, err, environment)
    return (
        _foreign(text, message, *at) or _at_the_sign(text, message, *at) or TemplateFault(_plain(message), _BRACES, *at)
    )


def _at_the_sign(text: str, message: str, start: int, length: int) -> TemplateFault | None:
    """What cannot stand in any template: braces in braces, dots without a name between them, a sign of no language."""
    tag = _QUOTED.sub(lambda quoted: " " * len(quoted[0]), text[start : start + length])
    if tag.startswith("{{") and (at := tag.find("{{", 2)) > 0:
        return TemplateFault("{{ stands inside of {{", "Remove the inner braces.", start + at, 2)
    if found := re.search(r"\.\s*\.|\.(?=\s*[-+]?[}%]\})", tag):
        what, cure = "a name is missing behind the dot", "Write the name, or remove the dot."
        if len(found[0]) > 1:
            what, cure = "two dots stand where one must", "Write one dot."
        return TemplateFault(what, cure, start + found.start(), len(found[0]))
    sign = re.match(r"unexpected char [\"'](.)[\"'] at \d+", message)
    if sign is not None and not sign[1].isdigit() and sign[1] not in "'\"" and (at := tag.find(sign[1])) >= 0:
        return TemplateFault(f"the character {sign[1]} cannot stand here", "Remove it.", start + at, 1)
    if found := re.search(r"got ';'\Z", message) and re.search(";", tag):
        return TemplateFault("the character ; cannot stand here", "Remove it.", start + found.start(), 1)
    return None


def _tag_at_fault(text: str, err: jinja2.TemplateSyntaxError, environment: jinja2.Environment) -> tuple[int, int]:
    """Offset and length of the tag that cannot be read: the first after which the text reads no better than whole."""
    first = sum(len(line) + 1 for line in text.split("\n")[: err.lineno - 1])
    tags = [tag for tag in _TAG.finditer(text) if tag.end() >= first]
    for tag in tags[:50]:
        try:
            environment.parse(text[: tag.end()])
        except jinja2.TemplateSyntaxError as again:
            if again.message == err.message:
                return tag.start(), len(tag[0].split("\n")[0])
    start = tags[0].start() if tags else min(first, len(text) - 1)
    return start, len(text[start:].split("\n", 1)[0])


def _open_block(text: str, word: str) -> tuple[int, int]:
    """Where the last ``{% word %}`` without its end is."""
    begun: list[tuple[int, int]] = []
    for tag in _TAG.finditer(text):
        found = _BLOCK.match(tag[0])
        if found and found[2] == word and not found[1]:
            begun.append((tag.start(), len(tag[0].split("\n")[0])))
        elif found and found[2] == word and begun:
            begun.pop()
    return begun[-1] if begun else (0, 2)


def _open_comment(text: str) -> int | None:
    """Where the first ``{#`` is that has no ``#}``; None if there is none."""
    begun = text.find("{#")
    while begun >= 0 and (end := text.find("#}", begun)) >= 0:
        begun = text.find("{#", end)
    return begun if begun >= 0 else None


def _plain(message: str) -> str:
    """Jinja's sentence without its jargon."""
    for pattern, words in _PLAIN:
        if found := re.fullmatch(pattern, message, re.DOTALL):
            return words.format(*found.groups())
    return message.replace("'end of print statement'", "}}").replace("'end of statement block'", "%}")


_PLAIN = (
    (r"unexpected '?end of (?:print statement|template)'?(?:, expected .*)?", "something is missing before its }}}}"),
    (r"unexpected '?end of statement block'?", "something is missing before its %}}"),
    (r"Expected an expression, got '?end of print statement'?", "nothing stands between {{{{ and }}}}"),
    (r"Expected an expression, got '?end of statement block'?", "something is missing before its %}}"),
    (r"expected token 'end of print statement', got '(.*)'", "}}}} is missing before {}"),
    (r"expected token 'end of statement block', got '(.*)'", "%}} is missing before {}"),
    (r"unexpected '}'", "a single }} stands where }}}} must"),
    (r"unexpected char '(\d)' at \d+", "{} cannot stand here"),
    (r"unexpected char [\"']([\"'])[\"'] at \d+", "the quote {} is never closed"),
    (r"unexpected char [\"'](.*)[\"'] at \d+", "the character {} cannot stand here"),
    (r"expected token '(.*)', got '(.*)'", "{} is missing before {}"),
)
"""Jinja's sentences, and ours."""
