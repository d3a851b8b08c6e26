"""What a CI server is told beside what people are: which one it is, and where its repository begins."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path


def on_github(env: Mapping[str, str]) -> bool:
    """Whether this is a step of GitHub Actions, or of what follows its conventions."""
    return env.get("GITHUB_ACTIONS") == "true"


def root(env: Mapping[str, str]) -> Path:
    """The folder from which a CI server names files; here, where there is none."""
    for name in ("GITHUB_WORKSPACE", "CI_PROJECT_DIR"):
        if (folder := env.get(name)) and Path.cwd().is_relative_to(Path(folder).resolve()):
            return Path(folder).resolve()
    return Path.cwd()
