"""The architecture as a table: who may import whom. A new arrow fails here first."""

from __future__ import annotations

import ast
import functools
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from .conftest import REPO

PACKAGE = REPO / "runner"

WORDS = {"errors", "codes", "model", "events"}
READING = {"source", "misreading", "lookalikes", "outline", "syntax", "missing", "templates", "shape", "keywords",
           "operands", "inference", "catalogue", "kinds", "schema", "hints", "meant", "slips", "validate", "masking",
           "cells", "pipeline", "fanout", "fitting", "price", "rows", "conversation", "checking", "doubts",
           "planning", "event_schema", "outputs", "lockfile", "plugins", "cases", "braces",
           "synonyms", "offers", "literals"}  # fmt: skip
DOING = {"fresh", "canned", "desk", "picking", "budget", "admission", "attempts", "calls", "work", "inside", "execute"}
WORLD = {"runpod", "store", "cache", "journal", "media", "publish", "runfolder", "locks", "weights", "provenance",
         "xmp", "salvage"}  # fmt: skip
SHOWING = {"reports"}
EDGES = {"app", "api", "brought", "ci", "known", "session", "doctor", "files", "cli", "commands", "history", "loading",
         "locally", "options", "owners", "pantry", "places", "reasons", "recording", "retelling", "seeing", "testing",
         "starting", "examples", "asking", "choosing", "witness", "pytest_plugin", "__main__", "__init__"}  # fmt: skip

BELOW = {
    "store": {"media", "locks"},
    "cache": {"store", "salvage"},
    "salvage": {"store"},
    "journal": {"locks"},
    "provenance": {"xmp"},
    "publish": {"media", "provenance"},
    "runfolder": {"publish", "provenance"},
}
"""What a part of the world stands on. Nothing else in it knows another part."""

MAY_IMPORT = {
    **dict.fromkeys(WORDS, WORDS),
    **dict.fromkeys(READING, WORDS | READING),
    **dict.fromkeys(DOING, WORDS | READING | DOING),
    **{name: WORDS | {name} | BELOW.get(name, set()) for name in WORLD},
    **dict.fromkeys(SHOWING, WORDS | {"catalogue", "kinds", "price", "planning", "cases", "schema", "reports"}),
    "emulator": {"emulator"},
    **dict.fromkeys(EDGES, WORDS | READING | DOING | WORLD | SHOWING | EDGES | {"emulator"}),
}

ALONE = {"errors": set(), "codes": set(), "model": set(), "events": {"model"}, "braces": set(),
         "lookalikes": set(), "misreading": {"braces", "errors", "lookalikes"},
         "source": {"braces", "errors", "lookalikes", "misreading", "model"},
         "price": {"model"}, "kinds": {"catalogue", "errors", "model", "templates", "kinds", "plugins"}}  # fmt: skip
"""Files whose arrows are counted one by one: the words and the bottom of reading."""


def part(path: Path) -> str:
    """The module or the sub-package of ``runner`` that a file belongs to."""
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


@functools.cache
def imports(path: Path) -> set[str]:
    """The parts of ``runner`` that a file imports, at its top or anywhere else."""
    depth = len(path.relative_to(PACKAGE).parts) - 1
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom):
            if node.level == 0 and (node.module or "").split(".")[0] == "runner":
                found.add((node.module or "").split(".")[1])
            elif node.level == depth + 1:
                found |= {node.module.split(".")[0]} if node.module else {alias.name for alias in node.names}
            elif node.level:
                found.add(part(path))
        elif isinstance(node, ast.Import):
            found |= {a.name.split(".")[1] for a in node.names if a.name.startswith("runner.")}
    return found - {"__version__"}


FILES = sorted(PACKAGE.rglob("*.py"))


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_only_point_downwards(path: Path) -> None:
    assert imports(path) <= MAY_IMPORT[part(path)]


@pytest.mark.parametrize("name", ALONE)
def test_the_bottom_knows_nobody_above_it(name: str) -> None:
    files = [path for path in FILES if part(path) == name]

    found = set().union(*(imports(path) for path in files))

    assert found <= ALONE[name]


def test_the_words_are_stdlib_only() -> None:
    for name in WORDS:
        tree = ast.parse((PACKAGE / f"{name}.py").read_text())
        modules = {n.names[0].name for n in ast.walk(tree) if isinstance(n, ast.Import)}
        modules |= {n.module or "" for n in ast.walk(tree) if isinstance(n, ast.ImportFrom) and n.level == 0}

        assert {module.split(".")[0] for module in modules} <= sys.stdlib_module_names


def test_there_is_no_circle() -> None:
    seen = {name: set().union(*(imports(p) for p in FILES if part(p) == name)) - {name} for name in map(part, FILES)}

    def walk(name: str, path: tuple[str, ...]) -> None:
        assert name not in path, " → ".join((*path, name))
        for needed in seen.get(name, ()):
            walk(needed, (*path, name))

    for name in seen:
        walk(name, ())


HEAVY = {"httpx2", "uvicorn", "starlette", "PIL", "rich", "anyio", "asyncio", "ssl"}
NOT_READING = {"json_repair", "httpx2", "uvicorn", "starlette", "PIL", "rich", "anyio"}


@pytest.mark.parametrize(
    ("arguments", "never"),
    [
        (["--version"], HEAVY | {"click", "yaml", "jinja2", "jsonschema"}),
        (["--help"], HEAVY | {"yaml", "jinja2", "jsonschema"}),
        (["check", "pipelines/product-card.yaml"], NOT_READING),
        (["plan", "pipelines/product-card.yaml"], {"httpx2", "uvicorn", "starlette", "rich"}),  # it may ask the store
        (["plan", "pipelines/product-card.yaml", "--calls"], NOT_READING),
        (["graph", "pipelines/product-card.yaml"], NOT_READING),
        (["models"], NOT_READING),
        (["kinds"], NOT_READING),
        (["new", "--list"], NOT_READING),
    ],
    ids=["version", "help", "check", "plan", "plan --calls", "graph", "models", "kinds", "new"],
)
def test_a_command_loads_only_what_it_needs(arguments: list[str], never: set[str]) -> None:
    assert not loaded(arguments, REPO) & never


def test_a_plan_that_asks_the_store_of_an_earlier_run_loads_no_client(tmp_path: Path) -> None:
    shutil.copy(REPO / "pipelines/blog-header.yaml", tmp_path)
    loaded(["run", "--local", "blog-header.yaml"], tmp_path)

    modules = loaded(["plan", "--local", "blog-header.yaml"], tmp_path)

    assert "runner.store" in modules
    assert not modules & {"httpx2", "uvicorn", "starlette", "rich"}


def loaded(arguments: list[str], folder: Path) -> set[str]:
    """The modules that a command has imported at its end."""
    program = (
        "import sys\nfrom runner.__main__ import main\n"
        "try:\n    main()\nexcept SystemExit as end:\n    assert not end.code\n"
        "print('\\n'.join(sys.modules), file=sys.stderr)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, *arguments], cwd=folder, capture_output=True, text=True, check=True
    )
    return set(done.stderr.split())
