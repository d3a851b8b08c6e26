"""What a new project or a new pipeline is made of, and what to do next; the pipelines to start from."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

_LEFT = "there already, left as it was"


def project(folder: Path, made: Mapping[Path, str], left: Mapping[Path, str], example: str) -> str:
    """A project that was made, or what it was lacking."""
    here = folder.resolve() == Path.cwd()
    head = "Nothing was missing." if not made else f"Made {'here' if here else f'in {folder}'}:"
    parts = ["\n".join([head, *_columns(made)])]
    if left:
        parts.append("\n".join(["Left as it was:", *_columns(left)]))
    if made:
        go = [] if here else [(f"cd {folder}", "")]
        test = [("runner test", "run its test")] if any(path.name.endswith(".test.yaml") for path in made) else []
        steps = [*go, (f"runner run {example} --local", "run it: no key, no cost"), *test,
                 ("runner new my-card", "a pipeline of your own to change"),
                 ("runner new --list", "what else there is to start from")]  # fmt: skip
        parts.append("\n".join(["Next:", *_table(steps)]))
    return "\n\n".join(parts)


def pipeline(made: Sequence[Path], left: Sequence[Path]) -> str:
    """A pipeline that was made, first of the files made for it."""
    file = made[0]
    lines = ["Made:", *(f"  {path}" for path in made), *(f"  {path} ({_LEFT})" for path in left), "", "Next:"]
    steps = [(f"runner check {file}", "after each change: what is wrong, and what instead"),
             (f"runner plan {file}", "what would run, at what price"),
             (f"runner run {file} --local", "run it: no key, no cost")]  # fmt: skip
    if any(path.name.endswith(".test.yaml") for path in made):
        steps.append((f"runner test {file}", "run its test; change it with the pipeline"))
    return "\n".join([*lines, *_table(steps)])


def starters(found: Iterable[tuple[str, str, Sequence[str]]]) -> str:
    """The pipelines to start from: name, description, the kinds of their steps."""
    return "\n\n".join(f"{name}\n  {text}\n  {', '.join(kinds)}" for name, text, kinds in found)


def _columns(files: Mapping[Path, str]) -> list[str]:
    return _table([(str(path), what) for path, what in files.items()])


def _table(rows: Sequence[tuple[str, str]]) -> list[str]:
    wide = max((len(first) for first, _ in rows), default=0)
    return [f"  {first:{wide}}  {second}".rstrip() for first, second in rows]
