"""The store as text: what is in it, what is wrong with it, what went."""

from __future__ import annotations

import json

from .runs import duration

_UNITS = ("B", "kB", "MB", "GB", "TB")


def weight(count: float) -> str:
    """``77.6 kB``."""
    for unit in _UNITS[:-1]:
        if count < 1000:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:.1f} {_UNITS[-1]}"


def many(count: int, what: str) -> str:
    """``1 reply``, ``2 replies``."""
    plural = f"{what[:-1]}ies" if what.endswith("y") else f"{what}s"
    return f"{count} {what if count == 1 else plural}"


def ago(at: float, now: float) -> str:
    """``3 min 20 s``; nothing where nobody noted it."""
    return duration(max(0.0, now - at)) if at else "?"


def asked(request: str) -> str:
    """What a request asks whom, on one line: the endpoint, and the text that a person wrote."""
    try:
        said = json.loads(request)
        body = said.get("input") or said.get("body") or {}
        text = body.get("prompt") or (body.get("messages") or [{}])[-1].get("content") or json.dumps(body)
        line = f"{said.get('endpoint')}: {text}"
    except (ValueError, AttributeError, TypeError):
        line = request
    line = " ".join(line.split())
    return line if len(line) <= 80 else f"{line[:80]}…"
