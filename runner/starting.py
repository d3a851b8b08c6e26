"""A new project, and a new pipeline from one that is shipped: files that are not there yet, and nothing overwritten."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from . import source
from .cases.case import SUFFIX
from .cases.schema import cases_schema
from .errors import UsageError, nearest
from .loading import project
from .model import JSON
from .schema import pipeline_schema

HERE = Path(__file__).parent / "starters"
"""Copies of the pipelines in ``pipelines/``, which a test keeps equal: they come with the package."""

FIRST = "product-card"
_ORIGIN = "git+https://github.com/OWNER/runner@v1"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,79}\Z")
_MODELINE = re.compile(r"\A# yaml-language-server: \$schema=\S+\n")
_PICTURE = re.compile(r"pictures/[A-Za-z0-9._-]+")
_SCHEMAS: Mapping[str, Callable[[], JSON]] = {"pipeline": pipeline_schema, "test": cases_schema}


@dataclass(frozen=True, slots=True)
class Starter:
    """A pipeline to start from."""

    name: str
    description: str
    kinds: tuple[str, ...]
    """The kinds of its steps, in order."""


@dataclass(frozen=True, slots=True)
class Made:
    """What was made, and what was there already and left as it was; each with what it is for or what it lacks."""

    folder: Path
    made: Mapping[Path, str]
    left: Mapping[Path, str]


def starters() -> list[Starter]:
    """The pipelines that there are to start from, by name."""
    found = []
    for path in sorted(HERE.glob("*.yaml")):
        if not path.name.endswith(SUFFIX):
            data = source.parse(path.read_text(encoding="utf-8"), path.name).data
            kinds = dict.fromkeys(step["kind"] for step in data["steps"].values())
            found.append(Starter(path.stem, data["description"], tuple(kinds)))
    return found


_SETTINGS = ".vscode/settings.json"
_SCHEMAS_OF_SETTINGS = (
    '"yaml.schemas": {".vscode/pipeline.schema.json": ["/pipelines/**/*.yaml", "!/pipelines/**/*.test.yaml"], '
    '".vscode/test.schema.json": ["/pipelines/**/*.test.yaml"]}'
)


def init(folder: Path) -> Made:
    """Make a folder a project: a pipeline and its test, settings of an editor, a workflow for CI."""
    if folder.exists() and not folder.is_dir():
        msg = f"{folder} is a file. Name a folder, which may be there or not."
        raise UsageError(msg)
    files: dict[str, tuple[bytes, str]] = {
        "runner.yaml": (_of_project("runner.yaml"), "says that a project begins here; models of your own"),
        ".gitignore": (_of_project("gitignore"), "what need not be kept in git"),
        _SETTINGS: (_of_project("settings.json"), "help and completion in VS Code"),
        ".vscode/extensions.json": (_of_project("extensions.json"), "the extension that does it: YAML by Red Hat"),
        **{f".vscode/{of}.schema.json": (_schema(of), "what the editor knows") for of in _SCHEMAS},
        ".github/workflows/pipelines.yaml": _workflow(),
    }
    example = dict(_files_of(FIRST, FIRST, "../.vscode"))
    if (folder / "pipelines" / f"{FIRST}.yaml").exists():  # the test is of ours, and would fail with another's
        example = {f"{FIRST}.yaml": b""}
    for path, content in example.items():
        what = {SUFFIX: "its test"}.get(path[path.find(".") :], "a pipeline: text, data, a picture, an edit of it")
        files[f"pipelines/{path}"] = content, "a picture for the test" if "/" in path else what
    made, left = {}, {}
    for name, (wanted, what) in files.items():
        if _written(folder / name, wanted):
            made[Path(name)] = what
        elif name == ".gitignore" and (lacks := _lacking(folder / name)):
            left[Path(name)] = f"add to it: {'  '.join(lacks)}"
        elif name == _SETTINGS and "yaml.schemas" not in (folder / name).read_text(encoding="utf-8", errors="replace"):
            left[Path(name)] = f"for help in the editor add to it: {_SCHEMAS_OF_SETTINGS}"
        else:
            left[Path(name)] = ""
    return Made(folder, made, left)


def new(name: str, starter: str) -> Made:
    """Write a pipeline of this name, from a starter, into ``pipelines/`` of the project or, without one, here."""
    known = [each.name for each in starters()]
    if starter not in known:
        msg = f"There is no pipeline called {starter} to start from. {nearest(starter, known)}"
        raise UsageError(msg)
    if not _NAME.match(name) or name.endswith((".yaml", ".yml")):
        shorter = name.rpartition("/")[2].removesuffix(".yaml").removesuffix(".yml")
        cure = f"Write {shorter}." if _NAME.match(shorter) else "Use letters, digits, dots, _ and -."
        msg = f"{name} cannot be the name of a pipeline. {cure}"
        raise UsageError(msg)
    root = project(Path.cwd() / "x")
    folder = next((each for each in (Path.cwd() / "pipelines", root / "pipelines") if each.is_dir()), Path.cwd())
    if (path := folder / f"{name}.yaml").exists():
        msg = f"{_shown(path)} is there already, and is not overwritten. Choose another name."
        raise UsageError(msg)
    made: dict[Path, str] = {}
    left: dict[Path, str] = {}
    for file, content in _files_of(starter, name, _schemas_of(root, folder)):
        (made if _written(folder / file, content) else left)[_shown(folder / file)] = ""
    return Made(folder, made, left)


def _files_of(starter: str, name: str, schemas: str) -> Iterator[tuple[str, bytes]]:
    """A starter under another name, its test, and the pictures that they name."""
    pictures: dict[str, None] = {}
    for suffix, of in ((".yaml", "pipeline"), (SUFFIX, "test")):
        path = HERE / f"{starter}{suffix}"
        if not path.is_file():
            continue
        modeline = f"# yaml-language-server: $schema={schemas}/{of}.schema.json\n" if schemas else ""
        text = _MODELINE.sub(modeline, path.read_text(encoding="utf-8"))
        pictures |= dict.fromkeys(_PICTURE.findall(text))
        yield f"{name}{suffix}", text.replace(f"name: {starter}\n", f"name: {name}\n", 1).encode()
    for picture in pictures:
        yield picture, (HERE / picture).read_bytes()


def _schemas_of(root: Path, folder: Path) -> str:
    """Where a pipeline in a folder finds the schemas of its project, or nothing if there are none."""
    for where in (".vscode", "schemas"):
        if (root / where / "pipeline.schema.json").is_file():
            return Path(os.path.relpath(root / where, folder)).as_posix()
    return ""


def _workflow() -> tuple[bytes, str]:
    """What checks the project in CI, with the runner that is here: known if pip had it from a repository (PEP 610)."""
    text, what = _of_project("workflow.yaml").decode(), "CI: check and test, without a key"
    origin = json.loads(metadata.distribution("recipe-runner").read_text("direct_url.json") or "{}")
    if commit := origin.get("vcs_info", {}).get("commit_id"):
        return text.replace(_ORIGIN, f"git+{origin['url']}@{commit}").encode(), what
    return text.encode(), f"{what}; say in it where runner comes from"


def _of_project(name: str) -> bytes:
    return (HERE / "project" / name).read_bytes()


def _schema(of: str) -> bytes:
    return (json.dumps(_SCHEMAS[of](), ensure_ascii=False) + "\n").encode()


def _written(path: Path, content: bytes) -> bool:
    """Whether a file could be made, which it cannot where one is."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("xb") as file:
            file.write(content)
    except FileExistsError:
        return False
    except OSError as err:
        msg = f"{path} cannot be written: {err.strerror}."
        raise UsageError(msg) from err
    return True


def _lacking(path: Path) -> list[str]:
    """The lines of our ``.gitignore`` that another one does not have."""
    try:
        there = {line.strip().strip("/") for line in path.read_text(encoding="utf-8", errors="replace").splitlines()}
    except OSError:
        return []
    lines = _of_project("gitignore").decode().splitlines()
    return [line for line in lines if not line.startswith("#") and line.strip("/") not in there]


def _shown(path: Path) -> Path:
    """A path as one would type it here."""
    return Path(os.path.relpath(path, Path.cwd()))
