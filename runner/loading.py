"""From a pipeline file to what can run: read, checked with all that it names, planned with its inputs."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

from . import catalogue, checking, doubts, lockfile, lookalikes, masking, planning, source
from . import pipeline as pipelines
from .catalogue import Catalogue
from .checking import Checked
from .errors import Mark, PipelineProblems, Problem, StepError, UsageError, nearest
from .files import is_inline, is_url, pipelines_and_tests, place
from .kinds import BROUGHT
from .known import PIPELINE, models, text_of
from .model import JSON
from .pipeline import Input, Pipeline
from .planning import Plan, Written
from .source import Document

TEXT = "generate_text"


@dataclass(frozen=True, slots=True)
class Read:
    """A pipeline file, as far as it could be read, with everything that is wrong with it."""

    path: Path
    text: str
    pipeline: Pipeline | None
    checked: Checked | None
    problems: tuple[Problem, ...]
    catalogue: Path | None = None
    """The author's own catalogue that it was read with."""
    secrets: frozenset[str] = frozenset()
    """Values of the variables with keys that it uses: hidden in all that is shown."""
    files: frozenset[Path] = frozenset()
    """The files that its text is in: its own, those of its prompts and schemas, the pipelines that it runs."""

    @property
    def writes(self) -> bool:
        """Whether a step of it asks a language model."""
        return self.checked is not None and any(model.kind == TEXT for model in self.checked.models())

    def whole(self) -> Checked:
        """The checked pipeline. Raises its problems."""
        if self.checked is None:
            raise PipelineProblems([p for p in self.problems if not p.warning])
        return self.checked


@dataclass(frozen=True, slots=True)
class Given:
    """Input values as they were given: ``typed`` on the command line, ``file`` by ``--inputs``, ``values`` in code or
    in a file of the folder ``beside``.
    """

    typed: Mapping[str, str] = field(default_factory=dict)
    file: Path | None = None
    values: Mapping[str, JSON] = field(default_factory=dict)
    beside: Path = Path()
    written: Written = "typed"
    """How whoever gives them writes inputs."""


def read(
    path: Path,
    own: Path | None = None,
    profile: str | None = None,
    env: Mapping[str, str] | None = None,
    text: str | None = None,
) -> Read:
    """Read and check a pipeline file, as it is in a profile; ``own`` is a catalogue of the author's, ``text`` what the
    file once held.

    Without a profile, all are checked. `UsageError` if there is no such file, or no such profile. The keys in ``env``,
    or else in the environment, are hidden in what the problems show.
    """
    text = text_of(path, PIPELINE) if text is None else text
    with source.collector_paused():
        return _read(path, own, profile, os.environ if env is None else env, text)


def _read(path: Path, own: Path | None, profile: str | None, env: Mapping[str, str], text: str) -> Read:
    if BROUGHT.faults:
        raise UsageError("\n".join(BROUGHT.faults.values()))
    try:
        known, wrong = models(project(path), own), []
    except PipelineProblems as err:
        known, wrong = catalogue.builtin(), list(err.problems)
    seen: set[str] = set()
    files = {path}
    check = partial(_checked, path, text, known, (path.resolve(),), env, seen, files)
    found, checked, problems = check(profile)
    if found is not None and profile is not None and found.profile is None:
        others = f" {near}" if (near := nearest(profile, found.profiles)) else ""
        msg = f"{path} has no profile {profile}.{others}"
        raise UsageError(msg)
    for name in found.profiles if found is not None and profile is None else ():
        told = {(p.code, p.mark, p.instead) for p in problems}
        own_problems = [p for p in check(name)[2] if (p.code, p.mark, p.instead) not in told]
        problems += [replace(p, message=f"In the profile {name}: {p.message}") for p in own_problems]
    if wrong:  # which models there are is not known then
        checked, problems = None, [*(p for p in problems if p.code != "unknown-model"), *wrong]
    problems = list(dict.fromkeys(problems))  # two steps of one alias have what is wrong with it in common
    problems.sort(key=lambda p: (p.mark.file != str(path), p.mark.line, p.mark.column))
    hidden = tuple(masking.hidden(p, seen) for p in _gathered(problems))
    return Read(path, text, found, checked, hidden, own, frozenset(seen), frozenset(files))


def of_all(found: Iterable[Read]) -> list[Problem]:
    """What is wrong with the pipelines of a project only if they are read together."""
    projects: dict[Path, list[Pipeline]] = {}
    for each in {each.path.resolve(): each for each in found}.values():
        if each.pipeline is not None and each.checked is not None:
            projects.setdefault(project(each.path), []).append(each.pipeline)
    return [problem for pipelines in projects.values() for problem in doubts.of_all(pipelines)]


def _checked(
    path: Path,
    text: str,
    known: Catalogue,
    above: tuple[Path, ...],
    env: Mapping[str, str],
    secrets: set[str],
    texts: set[Path],
    profile: str | None,
) -> tuple[Pipeline | None, Checked | None, list[Problem]]:
    """A pipeline and those that it runs, in a profile where they have it.

    ``above`` are the files that run this one; ``secrets`` grows by theirs, ``texts`` by the files that are read.
    """
    files = _Files(path, texts)
    inside: list[Problem] = []
    """Warnings of the pipelines that it runs."""

    def nested(name: str) -> Checked | list[Problem]:
        inner = path.parent / name
        if inner.resolve() in above:
            return []
        try:
            text = files.text(name)
        except (OSError, ValueError) as err:
            why = "it is not a text file in UTF-8" if isinstance(err, UnicodeError) else str(err)
            return [Problem("file", f"{inner} cannot be read: {why}.", Mark(str(inner), 1, 1), "Name a pipeline file.")]
        _, checked, problems = _checked(inner, text, known, (*above, inner.resolve()), env, secrets, texts, profile)
        inside.extend(problem for problem in problems if problem.warning and problem not in inside)
        return checked or [problem for problem in problems if not problem.warning]

    found, problems = pipelines.load(text, str(path), files.text, profile)
    secrets |= {value for name in _variables(found) if (value := env.get(name, "").strip())}
    if found is not None:
        problems += [*doubts.quotes(found.document), *doubts.comments(found.document), *doubts.anchors(found.document)]
    documents = [(str(path), text), *((each.file, each.text) for each in (found.files.values() if found else ()))]
    problems = [*problems, *(warning for file, said in documents for warning in masking.warnings(file, said, secrets))]
    checked = None
    if found is not None:
        checked, more = checking.check(found, known, files.is_file, nested)
        problems = [*problems, *more]
    problems = [_with_lookalikes(problem) for problem in _without_echoes(problems)]
    if checked is not None and not any(problem.warning is False for problem in problems):
        problems += [*_too_small(checked), *doubts.of(checked, files.is_file), *inside]
    if any(not problem.warning for problem in problems):
        checked = None
    return found, checked, problems


def _without_echoes(problems: list[Problem]) -> list[Problem]:
    """A value in quotes that are none can be of the wrong type for that alone: then that is the one problem."""
    left = list(problems)
    for quotes in [problem for problem in problems if problem.code == "curly-quotes"]:
        at = quotes.mark
        columns = range(at.column, at.column + at.length)
        there = [p for p in left if (p.mark.file, p.mark.line) == (at.file, at.line) and p.mark.column in columns]
        echoes = [problem for problem in there if problem.code == "type"]
        if echoes:
            left = [p for p in left if p is not quotes and p not in echoes]
            left.append(replace(echoes[0], message=quotes.message, mark=quotes.mark, instead=quotes.instead))
    return left


def _with_lookalikes(problem: Problem) -> Problem:
    """A word that is wrong for a blank before or behind it that YAML takes for a letter."""
    mark = problem.mark
    word = mark.text[mark.column - 1 : mark.column - 1 + mark.length]
    strange = [each for each in lookalikes.around(word) if " " not in word]
    if not strange or problem.warning or problem.code == "yaml":
        return problem
    at = replace(mark, column=mark.column + strange[0].column, length=1)
    return replace(problem, message=strange[0].what, mark=at, instead="Remove it.")


_READ = {"unknown-name", "unknown-field", "unknown-step", "unknown-input", "unknown-env", "unknown-model"}
"""Codes of names that are declared in one place and read in many."""


def _gathered(problems: Iterable[Problem]) -> list[Problem]:
    """A name that was changed where it is declared is one mistake, however many read it."""
    found: dict[object, list[Problem]] = {}
    for number, problem in enumerate(problems):
        same = (problem.code, problem.mark.file, problem.message, problem.instead)
        found.setdefault(same if problem.code in _READ else number, []).append(problem)
    return [
        replace(first, also=(*first.also, *(replace(other.mark, text="") for other in others)))
        for first, *others in found.values()
    ]


def _too_small(checked: Checked) -> list[Problem]:
    """Warnings of budgets that cannot pay one call, as far as can be told without the inputs of a run."""
    pipeline = checked.pipeline
    if pipeline.budget is None and all(step.budget is None for step in pipeline.steps.values()):
        return []
    try:
        found = list(planning.Nested(checked, {}).plan({}, preview=True).too_small())
    except (StepError, UsageError):
        return []
    told: dict[str, list[str]] = {}
    for scope, step, message in found:
        others = told.setdefault(scope, [message])
        others += [step] if message not in others and step not in others else []
    return [
        Problem(
            "small-budget",
            message if not others else f"{message[:-1]}; it is too small for {' and '.join(others)}, too.",
            pipeline.document.mark(("steps", scope, "budget") if scope else ("budget",)),
            "Raise it, or make the call smaller.",
            warning=True,
        )
        for scope, (message, *others) in told.items()
    ]


def _variables(found: Pipeline | None) -> Iterator[str]:
    """The variables that hold the keys which a pipeline uses."""
    yield "RUNPOD_API_KEY"
    for alias in found.models.values() if found else ():
        yield from [str(alias.api_key_env)] if alias.api_key_env else []
        yield from (str(value["env"]) for value in alias.headers.values() if isinstance(value, Mapping))


def plan(read: Read, given: Given, env: Mapping[str, str], *, preview: bool = False) -> Plan:
    """The plan of a pipeline with these inputs. A ``preview`` may leave inputs out."""
    checked = read.whole()
    declared = checked.pipeline.inputs
    values: dict[str, JSON] = {}
    if given.file:
        document = _inputs_file(given.file, declared)
        values = dict(document.data)
        if wrong := list(_misfits(document, declared, given)):
            raise PipelineProblems(wrong)
    files = [name for name, d in declared.items() if "artifact" in d.schema]
    folders = {name: given.file.parent for name in values if given.file}
    folders |= dict.fromkeys(given.values, given.beside)
    folders |= dict.fromkeys(given.typed, Path())
    values |= given.values
    for name, text in given.typed.items():
        if name in declared and declared[name].type == "list" and (cure := _named(text)):
            msg = (
                f"The input {name} is a list, and {text} names a file. {cure}, in which {name}: stands above the list."
            )
            raise UsageError(msg)
    inputs = planning.read_inputs(declared, values, given.typed, preview=preview, written=given.written)
    for name in files:
        if inputs[name] is not None:
            inputs[name] = place(inputs[name], folders.get(name, read.path.parent))
            known = is_url(inputs[name]) or is_inline(inputs[name])
            if not known and not Path(inputs[name]).is_file():
                msg = f"The input {name} names the file {inputs[name]}, which is not there."
                raise UsageError(msg)
    planned = planning.plan(checked, inputs, env, preview=preview)
    mark = checked.pipeline.document.mark
    named = {inputs[n]: mark(("inputs", n, "default")) for n in files if n not in folders and inputs[n] is not None}
    return replace(planned, named={**named, **planned.named})


_INPUTS = (".yaml", ".yml", ".json")


def _named(text: str) -> str:
    """How a file is given whose name stands where a list should; empty if it is no such name."""
    suffix = Path(text).suffix.lower() if "\n" not in text else ""
    if suffix in _INPUTS:
        return f"--inputs {text} reads inputs from a file"
    there = suffix in (".csv", ".txt") or os.path.isfile(text)  # noqa: PTH113 - any text, however long
    return "--inputs FILE reads inputs from a file in YAML or JSON" if there else ""


def _inputs_file(path: Path, declared: Mapping[str, Input]) -> Document:
    """The document of a file of inputs, which is a mapping. JSON is read as such, and has no marks."""
    table = path.suffix.lower() in (".csv", ".tsv")
    try:
        text = path.read_text(encoding="utf-8")
        if path.suffix.lower() == ".json":
            document = Document(str(path), text, json.loads(text), None)
        else:
            document = source.parse(text, str(path))
    except json.JSONDecodeError as err:
        msg = f"The inputs file {path} is not JSON: {err.msg}, line {err.lineno}, column {err.colno}."
        raise UsageError(msg) from err
    except PipelineProblems as err:
        if table:
            raise UsageError(_no_mapping(path, "", declared, table=True)) from err
        raise
    except (OSError, UnicodeDecodeError) as err:
        msg = f"The inputs file {path} cannot be read: {getattr(err, 'strerror', None) or 'it is not UTF-8'}."
        raise UsageError(msg) from err
    if not isinstance(document.data, dict):
        raise UsageError(_no_mapping(path, document.data, declared, table=table))
    return document


def _no_mapping(path: Path, data: JSON, declared: Mapping[str, Input], *, table: bool) -> str:
    """What to say of a file of inputs that is no mapping, with an example of one."""
    if table:
        return (
            f"The inputs file {path} is a table. Inputs are read from YAML or JSON: docs/batch.md has the line that "
            "makes such a file of a table."
        )
    lists = [name for name, each in declared.items() if each.type == "list"]
    name = next(iter([*lists, *declared]), "")
    if lists and isinstance(data, list):
        cure = f" Write {name}: above the list."
    elif lists:
        cure = f" Write {name}: and under it the items, each on a line of its own behind a dash."
    else:
        cure = f" Write {name}: and its value." if name else ""
    return f"The inputs file {path} must be a mapping of input names to values.{cure}"


def _misfits(document: Document, declared: Mapping[str, Input], given: Given) -> Iterator[Problem]:
    """What is wrong with the inputs of a file, each in its place; what is given elsewhere counts there."""
    placed: Document | None = None

    def mark(path: tuple[str | int, ...], *, key: bool = False) -> Mark:
        nonlocal placed
        if placed is None:
            placed = document
            if document.root is None:  # of JSON, which nearly always is YAML
                with suppress(PipelineProblems):
                    placed = source.parse(document.text, document.file)
        return placed.mark(path, key=key) if placed.root is not None else Mark(document.file, 1, 1)

    for name, value in document.data.items():
        if name not in declared:
            cure = nearest(name, list(declared)) or "It has none: remove it."
            yield Problem("unknown-input", f"The pipeline has no input {name}.", mark((name,), key=True), cure)
        elif name in given.values or name in given.typed:
            continue
        elif why := checking.misfit(declared[name], value):
            dashes = _without_dashes(document, name) if declared[name].type == "list" else ""
            yield Problem("input", why.message, mark((name, *why.path)), dashes or why.instead)
        elif "artifact" in declared[name].schema and not (is_url(value) or is_inline(value)):
            file = place(value, Path(document.file).parent)
            if not Path(file).is_file():
                cure = "Name a file by its path from this file's folder, or write a URL."
                yield Problem("file", f"There is no file {value}.", mark((name,)), cure)


def _without_dashes(document: Document, name: str) -> str:
    """How the lines under an input are written as a list; empty if it has not several."""
    node = document.node((name,))
    if node is None or node.children is not None or node.start.style:
        return ""
    lines = document.text[node.start.start_mark.index : node.end.end_mark.index].splitlines()
    items = [line.strip() for line in lines if line.strip()]
    return f"Write a dash before each line, - {items[0]}, or [{', '.join(items)}]." if len(items) > 1 else ""


def reads(read: Read, given: Given) -> Iterator[Path]:
    """The files that a run with these inputs reads, as far as they can be told before it."""
    yield from read.files
    yield project(read.path) / "runner.yaml"
    yield from filter(None, (read.catalogue, given.file))
    if read.pipeline is None:
        return
    yield lockfile.beside(read.path, read.pipeline.profile)
    inputs = read.pipeline.inputs
    for name, text in given.typed.items():
        if name in inputs and "artifact" in inputs[name].schema and not is_inline(text):
            yield Path(text)
    for file, named, _ in planning.Nested(read.checked, {}).files() if read.checked is not None else ():
        yield from (Path(file).parent / name for name in named if not is_inline(name))


def project(path: Path) -> Path:
    """The project of a pipeline: the nearest folder above it that is one; else where we stand, if it lies below; else
    its own folder.
    """
    folder, here = path.resolve().parent, Path.cwd()
    for each in (folder, *folder.parents):
        if any((each / mark).exists() for mark in (".git", "runner.yaml")):
            return each
    return here if here in folder.parents else folder


def of_project() -> Iterator[Path]:
    """The pipelines and tests of the project that we stand in, as one would type them."""
    here = Path.cwd()
    return (Path(os.path.relpath(path, here)) for path in pipelines_and_tests(project(here / "x")))


class _Files:
    """Reads beside a pipeline, and nothing outside its project; notes the ``texts`` that were read."""

    def __init__(self, path: Path, texts: set[Path]) -> None:
        self.folder = path.resolve().parent
        self.project = project(path)
        self.texts = texts

    def text(self, name: str) -> str:
        path = self._inside(name)
        self.texts.add(path)
        return path.read_text(encoding="utf-8")

    def is_file(self, name: str) -> bool:
        try:
            return self._inside(name).is_file()
        except ValueError:
            return False

    def _inside(self, name: str) -> Path:
        path = (self.folder / name).resolve()
        if not path.is_relative_to(self.project):
            msg = f"it is outside the project {self.project}"
            raise ValueError(msg)
        return path
