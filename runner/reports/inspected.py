"""What a picture says of itself, for people."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from ..errors import one_line
from ..model import JSON
from .questions import relative


def text(file: Path, facts: Mapping[str, JSON], runs: Sequence[Path]) -> str:
    """The facts, one a line, and where the runs are that made the picture or used it."""
    version = facts.get("version")
    shown = {**facts, "pipeline": f"{facts['pipeline']} {version}" if version else facts["pipeline"]}
    shown.pop("version", None)
    # A picture may come from anywhere: what it says must not move the cursor.
    lines = [f"  {name:8}  {one_line(str(value))}" for name, value in shown.items() if value is not None]
    where = [f"  {'run' if index == 0 else '':8}  {relative(run)}" for index, run in enumerate(runs)]
    return "\n".join([str(file), *lines, *(where or [f"  {'run':8}  not in this project"])])


def as_json(facts: Mapping[str, JSON], runs: Sequence[Path]) -> str:
    """The same for machines."""
    return json.dumps({**facts, "runs": [str(run) for run in runs]}, ensure_ascii=False, indent=2)
