"""The pages that people read, as what is in them: blocks of YAML, commands and Python, and what is done with each.

A comment above a block says what is special about it, and why::

    <!-- not run: it asks for a key -->                 neither checked nor run
    <!-- not compared: the ids are others each time --> run; what it prints is not compared with what is shown
    <!-- exit code: 2 -->                               how its last command ends, if not with 0
    <!-- by hand: sed -i s/4:3/2:1/ pipelines/x.yaml --> what the reader has been told to do before

``title="inputs.yaml"`` on the first line of a block is the file that it stands for. A pipeline without a title is
``pipelines/NAME.yaml``.
"""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from runner import catalogue, source
from runner.kinds import KINDS
from runner.schema import CONTROL, top_schema

from .conftest import REPO

NOT_HERE = {
    "decisions": "they say why, not how",
    "problems.md": "it is written from examples that have tests of their own, the wrong ones included",
}
"""Folders and pages whose blocks are not looked at here."""

PAGES = [
    REPO / "README.md",
    *sorted(path for path in (REPO / "docs").rglob("*.md") if not {path.name, path.parent.name} & NOT_HERE.keys()),
]

YAML = ("yaml", "yml")
COMMANDS = ("console", "shell", "bash", "sh")

_FENCE = re.compile(r"^( *)(`{3,})([a-z]*)(.*)$")
_MARK = re.compile(r"<!-- (not run|not compared|exit code|by hand): (.+?) -->")
_TITLE = re.compile(r'title="([^"]+)"')
_INPUT = re.compile(r"\binputs\.([a-z_]+)")
_FIELD = re.compile(r"\bsteps\.([a-z_]+)\.(image|text|data|audio|video)\b")


@dataclass(frozen=True)
class Block:
    """A fenced block: where, in which language, for which file, its text, what is said above it."""

    page: Path
    line: int
    language: str
    title: str
    text: str
    marks: Mapping[str, str]

    @property
    def place(self) -> str:
        return f"{self.page.relative_to(REPO)}:{self.line}"


@dataclass(frozen=True)
class Command:
    """A line after ``$``, and the lines that are shown under it."""

    text: str
    shown: tuple[str, ...]


def blocks(page: Path) -> list[Block]:
    """All blocks of YAML, of commands and of Python on a page, in order."""
    return [block for block in _fenced(page) if block.language in (*YAML, *COMMANDS, "python")]


def _fenced(page: Path) -> Iterator[Block]:
    lines = page.read_text(encoding="utf-8").splitlines()
    at = 0
    while at < len(lines):
        opened = _FENCE.match(lines[at])
        if opened is None:
            at += 1
            continue
        end = next(i for i in range(at + 1, len(lines)) if lines[i].strip() == opened[2])
        title = _TITLE.search(opened[4])
        text = "\n".join(line.removeprefix(opened[1]) for line in lines[at + 1 : end])
        yield Block(page, at + 1, opened[3], title[1] if title else "", text + "\n", _marks(lines[:at]))
        at = end + 1


def _marks(lines: list[str]) -> dict[str, str]:
    """What the comments right above a block say."""
    marks: dict[str, str] = {}
    for line in reversed(lines):
        if found := _MARK.fullmatch(line.strip()):
            marks[found[1]] = found[2]
        elif line.strip():
            break
    return marks


def commands(block: Block) -> list[Command]:
    """The commands of a block, each with what is shown under it. A command goes on after a backslash."""
    found: list[tuple[str, list[str]]] = []
    goes_on = False
    for line in block.text.splitlines():
        if goes_on:
            text, shown = found.pop()
            found.append((f"{text.removesuffix(chr(92)).rstrip()} {line.strip()}", shown))
        elif line.startswith("$ "):
            found.append((line.removeprefix("$ "), []))
        elif found:
            found[-1][1].append(line)
        goes_on = bool(found) and found[-1][0].endswith("\\") and not found[-1][1]
    return [Command(text, tuple(shown)) for text, shown in found]


def is_whole(data: Any) -> bool:
    """Whether it is a whole pipeline."""
    return isinstance(data, dict) and "name" in data and "steps" in data


def are_rows(data: Any) -> bool:
    """Whether it is what a ``runner.yaml`` says of models of one's own."""
    rows = data.get("models") if isinstance(data, dict) and set(data) == {"models"} else None
    return isinstance(rows, dict) and all(isinstance(row, dict) and "endpoint" in row for row in rows.values())


def others(data: Any) -> str:
    """Whose file it is, if it is another program's; these are read and not run."""
    if not isinstance(data, dict):
        return ""
    if "jobs" in data or "runs" in data:
        return "GitHub"
    if any(isinstance(job, dict) and "script" in job for job in data.values()):
        return "GitLab"
    return "pre-commit" if "repos" in data else ""


def whole(fragment: str) -> dict[str, Any] | None:
    """A pipeline around a piece of one: the piece as it is, and what it leaves out. None if it is no such piece.

    It may be keys of a pipeline, steps, or keys of a step. Inputs and steps that it reads are added, so are a model,
    a prompt or a text to a step that has none, and an alias of a model that is not defined.
    """
    data = source.parse(textwrap.dedent(fragment), "fragment").data
    if not isinstance(data, dict) or not data:
        return None
    top = set(top_schema()["properties"])
    if set(data) <= top:
        pipeline = dict(data)
    elif all(isinstance(step, dict) and "kind" in step for step in data.values()):
        pipeline = {"steps": data}
    elif set(data) <= set(CONTROL):
        pipeline = {"steps": {"step": {"kind": "generate_image", **data}}}
    else:
        return None
    given = dict(pipeline.get("steps") or {})
    steps = {name: _filled(step) for name, step in given.items()}
    makes = {"image": "generate_image", "audio": "generate_speech", "video": "generate_video"}
    for name, field in _FIELD.findall(fragment):
        if name not in steps:
            kind = makes.get(field, "generate_text")
            steps[name] = _filled({"kind": kind, **({"schema": {"type": "object"}} if field == "data" else {})})
    inputs = {name: {"type": _type(name, fragment)} for name in _INPUT.findall(fragment)}
    aliases = {
        step["model"]: {"model": _usual(step["kind"])}
        for step in given.values()
        if "model" in step and "/" not in step["model"] and catalogue.builtin().find(step["model"]) is None
    }
    return {
        "name": "fragment",
        **pipeline,
        "inputs": {**inputs, **pipeline.get("inputs", {})},
        "models": {**aliases, **pipeline.get("models", {})},
        "steps": steps or {"step": {"kind": "render_text", "text": "x"}},
    }


def _type(name: str, fragment: str) -> str:
    if re.search(rf"foreach: .*inputs\.{name}\b", fragment):
        return "list"
    return "image" if re.search(rf"images?: .*inputs\.{name}\b", fragment) else "string"


def _filled(step: Mapping[str, Any]) -> dict[str, Any]:
    if step["kind"] not in KINDS:
        return dict(step)
    kind = KINDS[step["kind"]]
    given = {"model": _usual(kind.NAME), **step} if kind.CALLS else dict(step)
    if kind.NAME == "generate_video":
        given.setdefault("prompt", "x")
    for group in kind.REQUIRED:
        if not set(group) & set(given):
            given[group[0]] = "x"
    return given


def _usual(kind: str) -> str:
    """A model that needs nothing but a prompt."""
    if kind == "call_endpoint":
        return "4m7x2k9q1a"
    return next(
        model.id
        for model in catalogue.builtin().of_kind(kind)
        if model.status == "listed" and not set(model.lacks(["prompt", "image"]))
    )
