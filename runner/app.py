"""Chooses the real things and connects them: files, catalogue, Runpod or the emulator, store, journal, reporter.

There is no decision about a step here; each function is one command's work, without its words on the screen.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypeAlias

from . import catalogue, masking, source
from . import check as checking
from . import pipeline as pipelines
from . import plan as planning
from .catalogue import Catalogue
from .check import Checked
from .errors import CannotStart, Mark, PipelineProblems, Problem, StepError, UsageError, nearest
from .events import RunState, Sink, fold
from .files import is_inline, is_url, place
from .known import models, text_of
from .model import JSON
from .pipeline import Pipeline
from .plan import Plan

if TYPE_CHECKING:
    from .emulator import Endpoint
    from .session import Done, Leave

Writer: TypeAlias = Literal["auto", "model", "emulator"]
"""Who writes the texts of a local run: the language model if it is there, or one of the two for certain."""
TEXT = "generate_text"
INSTALL = "pip install 'recipe-runner[local]'"
BASE_URL = "https://api.runpod.ai/v2"
NO_KEY = (
    "There is no RUNPOD_API_KEY, so nothing can be sent to Runpod. "
    "Set it (export RUNPOD_API_KEY=rpa_…), or add --local to run against the built-in emulator at no cost."
)


@dataclass(frozen=True, slots=True)
class Read:
    """A pipeline file, as far as it could be read, with everything that is wrong with it."""

    path: Path
    text: str
    pipeline: Pipeline | None
    checked: Checked | None
    problems: tuple[Problem, ...]
    secrets: frozenset[str] = frozenset()
    """Values of the variables with keys that it uses: hidden in all that is shown."""

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
    """Input values as the user gave them: ``typed`` on the command line, ``file`` by ``--inputs``."""

    typed: Mapping[str, str] = field(default_factory=dict)
    file: Path | None = None


@dataclass(frozen=True, slots=True)
class Options:
    """How to run."""

    out: Path | None = None
    local: bool = False
    weights: Path | None = None
    """The language model that writes the texts of a local run; None for the emulator's own words."""
    calls: int | None = None
    """Calls in flight at once; None for what the pipeline says, or 64."""
    fail_fast: bool = False
    cancel_on_interrupt: bool = False
    """Tell Runpod to stop the jobs of a run that is interrupted; else they go on, and a resumed run collects them."""
    env: Mapping[str, str] = field(default_factory=dict)
    catalogue: Path | None = None
    """A file of the author's own models."""

    @classmethod
    def of(cls, past: RunState, *, env: Mapping[str, str], cancel_on_interrupt: bool) -> Options:
        """How a run was started that is taken up again."""
        said = past.options
        return cls(
            out=Path(said["out"]) if said.get("out") else None,
            local=bool(said.get("local")),
            weights=writer("model", env) if said.get("model") else None,
            calls=said.get("calls"),
            fail_fast=bool(said.get("fail_fast")),
            cancel_on_interrupt=cancel_on_interrupt,
            env=env,
            catalogue=Path(said["catalogue"]) if said.get("catalogue") else None,
        )

    def kept(self) -> dict[str, JSON]:
        """What the journal keeps of it, for whoever takes the run up again."""
        paths = {"out": self.out, "catalogue": self.catalogue}
        kept: dict[str, JSON] = {name: str(path.resolve()) if path else None for name, path in paths.items()}
        kept |= {"local": self.local, "model": self.weights is not None}
        return {**kept, "calls": self.calls, "fail_fast": self.fail_fast}


def read(path: Path, own: Path | None = None, env: Mapping[str, str] | None = None) -> Read:
    """Read and check a pipeline file; ``own`` is a catalogue of the author's. `UsageError` if there is no such file.

    The keys in ``env``, or else in the environment, are hidden in what the problems show.
    """
    text = text_of(path, "a pipeline file")
    try:
        known, wrong = models(project(path), own), []
    except PipelineProblems as err:
        known, wrong = catalogue.builtin(), list(err.problems)
    seen: set[str] = set()
    found, checked, problems = _checked(path, text, known, (path.resolve(),), os.environ if env is None else env, seen)
    if wrong:  # which models there are is not known then
        checked, problems = None, [*(p for p in problems if p.code != "unknown-model"), *wrong]
    problems.sort(key=lambda p: (p.mark.file != str(path), p.mark.line, p.mark.column))
    return Read(path, text, found, checked, tuple(masking.hidden(p, seen) for p in problems), frozenset(seen))


def _checked(
    path: Path, text: str, known: Catalogue, above: tuple[Path, ...], env: Mapping[str, str], secrets: set[str]
) -> tuple[Pipeline | None, Checked | None, list[Problem]]:
    """A pipeline and those that it runs. ``above`` are the files that run this one; ``secrets`` grows by theirs."""
    files = _Files(path)

    def nested(name: str) -> Checked | list[Problem]:
        inner = path.parent / name
        if inner.resolve() in above:
            return []
        try:
            text = files.text(name)
        except (OSError, ValueError) as err:
            why = "it is not a text file in UTF-8" if isinstance(err, UnicodeError) else str(err)
            return [Problem("file", f"{inner} cannot be read: {why}.", Mark(str(inner), 1, 1), "Name a pipeline file.")]
        _, checked, problems = _checked(inner, text, known, (*above, inner.resolve()), env, secrets)
        return checked or [problem for problem in problems if not problem.warning]

    found, problems = pipelines.load(text, str(path), files.text)
    secrets |= {value for name in _variables(found) if (value := env.get(name, "").strip())}
    documents = [(str(path), text), *((each.file, each.text) for each in (found.files.values() if found else ()))]
    problems = [*problems, *(warning for file, said in documents for warning in masking.warnings(file, said, secrets))]
    checked = None
    if found is not None:
        checked, more = checking.check(found, known, files.is_file, nested)
        problems = [*problems, *more]
    if any(not problem.warning for problem in problems):
        checked = None
    return found, checked, problems


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
    values = dict(_inputs_file(given.file)) if given.file else {}
    files = [name for name, d in declared.items() if "artifact" in d.schema]
    folders = {name: given.file.parent for name in values if given.file}
    folders |= dict.fromkeys(given.typed, Path())
    inputs = planning.read_inputs(declared, values, given.typed, preview=preview)
    for name in files:
        if inputs[name] is not None:
            inputs[name] = place(inputs[name], folders.get(name, read.path.parent))
            known = is_url(inputs[name]) or is_inline(inputs[name])
            if not known and not Path(inputs[name]).is_file():
                msg = f"The input {name} names the file {inputs[name]}, which is not there."
                raise UsageError(msg)
    return planning.plan(checked, inputs, env)


async def run(
    read: Read, given: Given, options: Options, reporter: Sink, leave: Leave, *, watched: bool = False
) -> Done:
    """Run a pipeline file to its end, or to the signal that stops it. Nothing is sent if it has problems.

    ``watched`` says that somebody looks on, so that texts are to be seen while they grow.
    """
    if options.local:
        read = replace(read, checked=_localised(read.whole(), one_by_one=options.weights is not None))
    return await _run(read, plan(read, given, options.env), options, reporter, leave, watched=watched)


async def resume(
    past: RunState, folder: Path, options: Options, reporter: Sink, leave: Leave, *, watched: bool = False
) -> Done:
    """Take up a run that has stopped, with its pipeline as the file says now and the inputs that it had."""
    found = read(Path(past.file), options.catalogue)
    if options.local:
        found = replace(found, checked=_localised(found.whole(), one_by_one=options.weights is not None))
    checked = found.whole()
    inputs = {name: value for name, value in past.inputs.items() if name in checked.pipeline.inputs}
    try:
        planned = planning.Nested(checked, options.env).plan(inputs)
    except StepError as err:
        msg = f"The inputs of the run {past.run} no longer fit its pipeline: {err}"
        raise UsageError(msg) from err
    return await _run(found, planned, options, reporter, leave, watched=watched, past=past, folder=folder)


async def _run(
    read: Read,
    planned: Plan,
    options: Options,
    reporter: Sink,
    leave: Leave,
    *,
    watched: bool,
    past: RunState | None = None,
    folder: Path | None = None,
) -> Done:
    from .session import Session

    base_url, key = _address(options, read.whole())
    with _provider_address(options, read.whole(), base_url) as (url, origin):
        session = Session(
            planned,
            home=folder.parent.parent if folder else project(read.path) / ".runner",
            base=read.path.resolve().parent,
            file=read.path.resolve(),
            text=read.text,
            out=options.out or Path("out") / planned.pipeline,
            address=(url, key, origin),
            options=options.kept(),
            env=options.env,
            calls=options.calls or planned.calls,
            fail_fast=options.fail_fast,
            cancel_on_interrupt=options.cancel_on_interrupt,
            reporter=reporter,
            leave=leave,
            watched=watched,
            past=past,
        )
        try:
            return await session.run()
        except PipelineProblems as err:
            raise PipelineProblems([masking.hidden(problem, read.secrets) for problem in err.problems]) from err


def find_run(name: str | None, pipeline: Path | None = None) -> tuple[RunState, Path] | None:
    """A run of this project by its id, or the last one that did not come to a good end; with its folder.

    `UsageError` for an id that there is not. ``pipeline`` asks for one of that file only.
    """
    from . import journal

    runs = project(pipeline or Path.cwd() / "x") / ".runner" / "runs"
    if name is not None:
        if not (runs / name / journal.NAME).is_file():
            known = sorted((p.name for p in runs.glob("*")), reverse=True)
            msg = f"There is no run {name} in {runs}. {nearest(name, known)}".rstrip()
            raise UsageError(msg)
        return fold(journal.read(runs / name)), runs / name
    for folder in sorted(runs.glob("*"), reverse=True):
        if (folder / journal.NAME).is_file():
            state = fold(journal.read(folder))
            if state.outcome != "done" and pipeline in (None, Path(state.file)):
                return state, folder
    return None


def _localised(checked: Checked, *, one_by_one: bool) -> Checked:
    """The same pipeline with other servers' models played by the emulator: a local run costs nobody anything.

    A model on this machine writes ``one_by_one``: what waits for it does not wait within its timeout.
    """
    steps = {}
    for name, step in checked.steps.items():
        model = step.model
        if model is not None and model.base_url:
            model = replace(model, base_url=None, api_key_env=None, headers={})
        nested = _localised(step.nested, one_by_one=one_by_one) if step.nested else None
        tools = {tool: _localised(inner, one_by_one=one_by_one) for tool, inner in step.tools.items()}
        steps[name] = replace(step, model=model, nested=nested, tools=tools)
    texts = [step.model.id for step in steps.values() if step.model and step.model.kind == TEXT and one_by_one]
    per_model = {**dict.fromkeys(texts, 2), **checked.pipeline.per_model}  # one is written, one is at hand
    return replace(checked, steps=steps, pipeline=replace(checked.pipeline, per_model=per_model))


def writer(wanted: Writer, env: Mapping[str, str]) -> Path | None:
    """The weights of the language model that writes the texts of a local run, or None for the emulator's own words."""
    from . import weights

    if wanted == "emulator":
        return None
    there, extra = weights.found(weights.folder(env)), has_extra()
    if there and extra:
        return there
    if wanted == "auto":
        return None
    cures = [*([] if extra else [INSTALL]), *([] if there else ["runner local pull"])]
    msg = f"There is no language model on this machine for --local=model. Get it: {', then '.join(cures)}."
    raise CannotStart(msg)


def has_extra() -> bool:
    """Whether what runs a language model is installed."""
    from importlib.util import find_spec

    return find_spec("xllamacpp") is not None


def project(path: Path) -> Path:
    """The project of a pipeline: the nearest folder above it that is one, else the pipeline's own folder."""
    folder = path.resolve().parent
    for each in (folder, *folder.parents):
        if any((each / mark).exists() for mark in (".git", "runner.yaml")):
            return each
    return folder


def endpoints(checked: Checked) -> dict[str, Endpoint]:
    """Runpod's public endpoints, and what the emulator cannot know: private ones, other servers', an author's own."""
    from .emulator import Endpoint, public

    kinds = {TEXT: "text", "generate_image": "image", "edit_image": "edit", "generate_speech": "speech",
             "transcribe_audio": "transcription", "generate_video": "video", "call_endpoint": "echo"}  # fmt: skip
    own = [
        m
        for m in checked.models()
        if m.endpoint not in {known.endpoint for known in catalogue.builtin().models.values()}
    ]
    return {**public(), **{m.endpoint: Endpoint(kind=kinds[m.kind]) for m in own}}  # type: ignore[arg-type] # its own words


class _Files:
    """Reads beside a pipeline, and nothing outside its project."""

    def __init__(self, path: Path) -> None:
        self.folder = path.resolve().parent
        self.project = project(path)

    def text(self, name: str) -> str:
        path = self._inside(name)
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


def _address(options: Options, checked: Checked) -> tuple[str, str]:
    """Runpod's address, and the key; none is needed where no model is Runpod's."""
    if options.local:
        return "", "local"
    models = list(checked.models())
    for model in models:
        named = [value["env"] for value in model.headers.values() if isinstance(value, Mapping)]
        for name in [*([model.api_key_env] if model.api_key_env else []), *named]:
            if not options.env.get(name):
                msg = f"{model.id} needs the environment variable {name}, which is not set. Set it (export {name}=…)."
                raise CannotStart(msg)
    key = options.env.get("RUNPOD_API_KEY", "").strip()
    if not key and all(model.base_url for model in models):
        return BASE_URL, ""
    if not key:
        raise CannotStart(NO_KEY)
    if not key.isascii() or not key.isprintable() or " " in key:
        msg = (
            "RUNPOD_API_KEY is no key: it holds characters that a key cannot have. Copy it again from Runpod's console."
        )
        raise CannotStart(msg)
    base_url = options.env.get("RUNPOD_BASE_URL", "").strip() or BASE_URL
    if not is_url(base_url):
        msg = f"RUNPOD_BASE_URL is {base_url!r}, which is no http address."
        raise CannotStart(msg)
    return base_url, key


@contextmanager
def _provider_address(options: Options, checked: Checked, base_url: str) -> Iterator[tuple[str, str | None]]:
    """The base URL, and what it is called in keys; the emulator runs as long as the run does."""
    if not options.local:
        yield base_url, None
        return
    from .emulator import Emulator

    try:
        emulator = Emulator(endpoints(checked), weights=options.weights)
        with emulator:
            yield emulator.url, "local-model" if options.weights else "emulator"
    except OSError as err:
        msg = f"The emulator cannot start: {err.strerror or err}."
        raise CannotStart(msg) from err


def _inputs_file(path: Path) -> Mapping[str, JSON]:
    try:
        text = path.read_text(encoding="utf-8")
        data = json.loads(text) if path.suffix.lower() == ".json" else source.parse(text, str(path)).data
    except json.JSONDecodeError as err:
        msg = f"The inputs file {path} is not JSON: {err.msg}, line {err.lineno}, column {err.colno}."
        raise UsageError(msg) from err
    except (OSError, UnicodeDecodeError) as err:
        msg = f"The inputs file {path} cannot be read: {getattr(err, 'strerror', None) or 'it is not UTF-8'}."
        raise UsageError(msg) from err
    if not isinstance(data, dict):
        msg = f"The inputs file {path} must be a mapping of input names to values."
        raise UsageError(msg)
    return data
