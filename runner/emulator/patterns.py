"""Text for simple regular expressions: a pattern in, a text that matches it out, or None.

Understood: literals, classes, `\\d \\w \\s .`, groups, alternatives and counts; nothing that looks around.
"""

import re
import string

_WORDS = string.ascii_lowercase
_CLASSES = {"d": "4827", "w": _WORDS, "s": " ", "D": _WORDS, "W": "-", "S": _WORDS}
_COUNT = re.compile(r"\{(\d+)(,?)(\d*)\}")


def matching(pattern: str) -> str | None:
    """The shortest pleasant match, or None when the pattern is beyond this reader."""
    try:
        text, at = _alternatives(pattern, 0)
    except (IndexError, ValueError):
        return None
    found = re.search(pattern, text) if at == len(pattern) else None
    return text if found else None


def _alternatives(pattern: str, at: int) -> tuple[str, int]:
    """The first of the alternatives up to a closing parenthesis or the end."""
    first: str | None = None
    while True:
        text, at = _sequence(pattern, at)
        first = text if first is None else first
        if at < len(pattern) and pattern[at] == "|":
            at += 1
            continue
        return first, at


def _sequence(pattern: str, at: int) -> tuple[str, int]:
    out: list[str] = []
    while at < len(pattern) and pattern[at] not in "|)":
        choices, at = _atom(pattern, at)
        times, at = _times(pattern, at)
        # A class of characters walks through its members, so that \w{6} is a word and not aaaaaa.
        out += [choices[(turn * 7) % len(choices)] for turn in range(times)] if choices else []
    return "".join(out), at


def _atom(pattern: str, at: int) -> tuple[list[str], int]:
    match pattern[at]:
        case "(":
            inner = at + 1
            if pattern.startswith("?:", inner):
                inner += 2
            elif pattern.startswith("?", inner):
                raise ValueError(pattern)
            text, end = _alternatives(pattern, inner)
            if pattern[end] != ")":
                raise ValueError(pattern)
            return [text], end + 1
        case "[":
            return _class(pattern, at + 1)
        case "\\":
            sign = pattern[at + 1]
            if sign in "bB":
                return [], at + 2
            if sign.isdigit():
                raise ValueError(pattern)
            return list(_CLASSES.get(sign, sign)), at + 2
        case "^" | "$":
            return [], at + 1
        case ".":
            return list(_WORDS), at + 1
        case sign:
            return [sign], at + 1


def _class(pattern: str, at: int) -> tuple[list[str], int]:
    negated = pattern[at] == "^"
    at += negated
    members: list[str] = []
    start = at
    while pattern[at] != "]" or at == start:
        if pattern[at] == "\\":
            members += _CLASSES.get(pattern[at + 1], pattern[at + 1])
            at += 2
        elif pattern[at + 1] == "-" and pattern[at + 2] != "]":
            members += [chr(code) for code in range(ord(pattern[at]), ord(pattern[at + 2]) + 1)]
            at += 3
        else:
            members.append(pattern[at])
            at += 1
    if negated:
        members = [sign for sign in string.ascii_letters + string.digits + "-_ " if sign not in members]
    letters = [sign for sign in members if sign.isalnum()]
    return letters or members, at + 1


def _times(pattern: str, at: int) -> tuple[int, int]:
    if at >= len(pattern):
        return 1, at
    count = _COUNT.match(pattern, at)
    if count:
        low = int(count[1])
        high = low if not count[2] else int(count[3] or max(low, 6))
        times, end = min(max(low, 4), high), count.end()
    elif pattern[at] in "*+?":
        times, end = {"*": 4, "+": 5, "?": 1}[pattern[at]], at + 1
    else:
        return 1, at
    return times, end + (end < len(pattern) and pattern[end] == "?")
