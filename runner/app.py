"""Chooses the real things and connects them: files, catalogue, Runpod or the emulator, store, journal, reporter.

There is no decision about a step here; each function is one command's work, without its words on the screen.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypeAlias
from urllib.parse import urlsplit

from . import catalogue, checking, doubts, lockfile, masking, owners, planning, plugins, source
from . import pipeline as pipelines
from .canned import Canned
from .catalogue import Catalogue
from .checking import Checked
from .errors import (
    CannotStart,
    Mark,
    PipelineProblems,
    Problem,
    RunnerError,
    StepError,
    StoreFailed,
    UsageError,
    nearest,
)
from .events import Event, RunState, Sink
from .files import is_inline, is_url, place
from .fresh import Fresh
from .kinds import BROUGHT
from .known import PIPELINE, models, text_of
from .model import JSON
from .pipeline import Pipeline
from .planning import Plan, Written

if TYPE_CHECKING:
    from .asking import Screen
    from .emulator import Endpoint
    from .provenance import Facts
    from .runpod.carrier import Carrier
    from .runpod.cassette import Cassette
    from .session import Done, Leave

Writer: TypeAlias = Literal["auto", "model", "emulator"]
"""Who writes the texts of a local run: the language model if it is there, or one of the two for certain."""
TEXT = "generate_text"
INSTALL = "pip install 'recipe-runner[local]'"
BASE_URL = "https://api.runpod.ai/v2"
_REPLAYED = "http://recording.invalid"
_RENAMED = "runner run FILE --resume"
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
    catalogue: Path | None = None
    """The author's own catalogue that it was read with."""
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
    """Input values as they were given: ``typed`` on the command line, ``file`` by ``--inputs``, ``values`` in code or
    in a file of the folder ``beside``.
    """

    typed: Mapping[str, str] = field(default_factory=dict)
    file: Path | None = None
    values: Mapping[str, JSON] = field(default_factory=dict)
    beside: Path = Path()
    written: Written = "typed"
    """How whoever gives them writes inputs."""


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
    budget: float | None = None
    """USD that the run may cost; None for what the pipeline says."""
    lock: bool = False
    """Write the lock beside the pipeline after a run that came to a good end."""
    only: Literal["world", "store", "lock"] = "world"
    """Where replies may come from: everywhere, the store, or what the lock allows of it."""
    cancel_on_interrupt: bool = False
    """Tell Runpod to stop the jobs of a run that is interrupted; else they go on, and a resumed run collects them."""
    fresh: tuple[str, ...] = ()
    """Steps and cells that are asked for anew, though the store has them."""
    no_cache: bool = False
    """Ask for everything anew; what is paid for is kept all the same."""
    metadata: bool = True
    """Write into each picture what made it."""
    offline: bool = False
    """Open no socket: everything must be in the store."""
    record: Path | None = None
    """A folder in which each exchange is kept."""
    replay: Path | None = None
    """A folder in which the answers are: no socket is opened."""
    env: Mapping[str, str] = field(default_factory=dict)
    catalogue: Path | None = None
    """A file of the author's own models."""
    profile: str | None = None
    """The profile that the pipeline was read in."""
    provider: str | None = None
    """Who answers the calls instead of Runpod, of an installed package."""
    reporters: tuple[str, ...] = ()
    """Whom the events are told as well, of installed packages."""
    home: Path | None = None
    """Where the store and the runs are; None for the project's own."""
    canned: Canned | None = None
    """Outputs that a test gives to steps: nobody is called, and no socket is opened."""
    pick_first: bool = False
    """Take the first candidate wherever a person would choose."""
    approve: bool | None = None
    """What to say wherever a person would be asked for yes or no; None to ask."""

    @classmethod
    def of(
        cls, past: RunState, *, env: Mapping[str, str], cancel_on_interrupt: bool, budget: float | None = None
    ) -> Options:
        """How a run was started that is taken up again."""
        said = past.options
        return cls(
            out=Path(said["out"]) if said.get("out") else None,
            local=bool(said.get("local")),
            weights=writer("model", env) if said.get("model") else None,
            calls=said.get("calls"),
            fail_fast=bool(said.get("fail_fast")),
            lock=bool(said.get("lock")),
            only=said.get("only", "world"),
            budget=budget if budget is not None else said.get("budget"),
            cancel_on_interrupt=cancel_on_interrupt,
            fresh=tuple(said.get("fresh") or ()),
            no_cache=bool(said.get("no_cache")),
            metadata=bool(said.get("metadata", True)),
            offline=bool(said.get("offline")),
            record=Path(said["record"]) if said.get("record") else None,
            replay=Path(said["replay"]) if said.get("replay") else None,
            env=env,
            catalogue=Path(said["catalogue"]) if said.get("catalogue") else None,
            profile=said.get("profile"),
            provider=said.get("provider"),
            reporters=tuple(said.get("reporters") or ()),
            pick_first=bool(said.get("pick_first")),
            approve=said.get("approve"),
        )

    @property
    def base_url(self) -> str:
        """Where Runpod is, or what stands in for it."""
        return self.env.get("RUNPOD_BASE_URL", "").strip() or BASE_URL

    def kept(self) -> dict[str, JSON]:
        """What the journal keeps of it, for whoever takes the run up again."""
        paths = {"out": self.out, "catalogue": self.catalogue, "record": self.record, "replay": self.replay}
        kept: dict[str, JSON] = {name: str(path.resolve()) if path else None for name, path in paths.items()}
        kept |= {"local": self.local, "model": self.weights is not None}
        kept |= {"fresh": list(self.fresh), "no_cache": self.no_cache}
        kept |= {"budget": self.budget, "lock": self.lock, "only": self.only}
        kept |= {"metadata": self.metadata, "offline": self.offline, "profile": self.profile}
        kept |= {"provider": self.provider, "reporters": list(self.reporters)}
        kept |= {"pick_first": self.pick_first, "approve": self.approve}
        return {**kept, "calls": self.calls, "fail_fast": self.fail_fast}


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
    if BROUGHT.faults:
        raise UsageError("\n".join(BROUGHT.faults))
    try:
        known, wrong = models(project(path), own), []
    except PipelineProblems as err:
        known, wrong = catalogue.builtin(), list(err.problems)
    seen: set[str] = set()
    env = os.environ if env is None else env
    check = partial(_checked, path, text, known, (path.resolve(),), env, seen)
    found, checked, problems = check(profile)
    if found is not None and profile is not None and found.profile is None:
        others = f" {near}" if (near := nearest(profile, found.profiles)) else ""
        msg = f"{path} has no profile {profile}.{others}"
        raise UsageError(msg)
    for name in found.profiles if found is not None and profile is None else ():
        own_problems = [p for p in check(name)[2] if p not in problems]
        problems += [replace(p, message=f"In the profile {name}: {p.message}") for p in own_problems]
    if wrong:  # which models there are is not known then
        checked, problems = None, [*(p for p in problems if p.code != "unknown-model"), *wrong]
    problems.sort(key=lambda p: (p.mark.file != str(path), p.mark.line, p.mark.column))
    hidden = tuple(masking.hidden(p, seen) for p in problems)
    return Read(path, text, found, checked, hidden, own, frozenset(seen))


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
    profile: str | None,
) -> tuple[Pipeline | None, Checked | None, list[Problem]]:
    """A pipeline and those that it runs, in a profile where they have it.

    ``above`` are the files that run this one; ``secrets`` grows by theirs.
    """
    files = _Files(path)
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
        _, checked, problems = _checked(inner, text, known, (*above, inner.resolve()), env, secrets, profile)
        inside.extend(problem for problem in problems if problem.warning and problem not in inside)
        return checked or [problem for problem in problems if not problem.warning]

    found, problems = pipelines.load(text, str(path), files.text, profile)
    secrets |= {value for name in _variables(found) if (value := env.get(name, "").strip())}
    problems += doubts.quotes(found.document) if found is not None else ()
    documents = [(str(path), text), *((each.file, each.text) for each in (found.files.values() if found else ()))]
    problems = [*problems, *(warning for file, said in documents for warning in masking.warnings(file, said, secrets))]
    checked = None
    if found is not None:
        checked, more = checking.check(found, known, files.is_file, nested)
        problems = [*problems, *more]
    if checked is not None and not any(problem.warning is False for problem in problems):
        problems += [*_too_small(checked), *doubts.of(checked, files.is_file), *inside]
    if any(not problem.warning for problem in problems):
        checked = None
    return found, checked, problems


def _too_small(checked: Checked) -> list[Problem]:
    """Warnings of budgets that cannot pay one call, as far as can be told without the inputs of a run."""
    pipeline = checked.pipeline
    if pipeline.budget is None and all(step.budget is None for step in pipeline.steps.values()):
        return []
    try:
        found = list(planning.Nested(checked, {}).plan({}, preview=True).too_small())
    except (StepError, UsageError):
        return []
    return [
        Problem(
            "small-budget",
            message,
            pipeline.document.mark(("steps", scope, "budget") if scope else ("budget",)),
            "Raise it, or make the call smaller.",
            warning=True,
        )
        for scope, message in found
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
    values = dict(_inputs_file(given.file)) if given.file else {}
    files = [name for name, d in declared.items() if "artifact" in d.schema]
    folders = {name: given.file.parent for name in values if given.file}
    folders |= dict.fromkeys(given.values, given.beside)
    folders |= dict.fromkeys(given.typed, Path())
    values |= given.values
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


async def run(
    read: Read,
    given: Given,
    options: Options,
    reporter: Sink,
    leave: Leave | None,
    *,
    watched: bool = False,
    screen: Screen | None = None,
) -> Done:
    """Run a pipeline file to its end, or to the signal that stops it. Nothing is sent if it has problems.

    ``watched`` says that somebody looks on, so that texts are to be seen while they grow; ``screen`` is where somebody
    sits who can be asked.
    """
    options = _as_recorded(options)
    read = localised(read, options)
    return await _run(read, plan(read, given, options.env), options, reporter, leave, watched=watched, screen=screen)


async def resume(
    past: RunState,
    folder: Path,
    options: Options,
    reporter: Sink,
    leave: Leave | None,
    *,
    watched: bool = False,
    screen: Screen | None = None,
) -> Done:
    """Take up a run that has stopped, with its pipeline as the file says now and the inputs that it had."""
    options = _as_recorded(options)
    found, planned = plan_again(past, options)
    return await _run(
        found, planned, options, reporter, leave, watched=watched, screen=screen, past=past, folder=folder
    )


def plan_again(past: RunState, options: Options) -> tuple[Read, Plan]:
    """The plan of a run's pipeline as its file says now, with the inputs that the run had."""
    if not Path(past.file).exists():
        msg = f"The pipeline {past.file} of the run {past.run} is gone. If it has another name now: {_RENAMED}."
        raise UsageError(msg)
    found = localised(read(Path(past.file), options.catalogue, options.profile), options)
    checked = found.whole()
    inputs = {name: value for name, value in past.inputs.items() if name in checked.pipeline.inputs}
    try:
        return found, planning.Nested(checked, options.env).plan(inputs)
    except StepError as err:
        msg = f"The inputs of the run {past.run} no longer fit its pipeline: {err}"
        raise UsageError(msg) from err


async def _run(
    read: Read,
    planned: Plan,
    options: Options,
    reporter: Sink,
    leave: Leave | None,
    *,
    watched: bool,
    screen: Screen | None,
    past: RunState | None = None,
    folder: Path | None = None,
) -> Done:
    from .session import Session

    if past is None:
        _known_steps(options.fresh, read.whole(), planned)
    if options.budget is not None:
        planned = planned.with_budget(options.budget)
    home = folder.parent.parent if folder else options.home or project(read.path) / ".runner"
    file, out = read.path.resolve(), options.out or Path("out") / planned.pipeline
    told_of_out = owners.told(home, out, file, planned, chosen=options.out is not None, again=past is not None)
    base_url, key = _address(options, read.whole())
    opener = plugins.named("runner.providers", options.provider) if options.provider else None
    with (
        _told_too(options, reporter) as told,
        _provider_address(options, read.whole(), base_url) as (url, origin),
        _conversation(options, url, origin) as (carrier, notes, choices),
    ):
        session = Session(
            planned,
            home=home,
            base=file.parent,
            file=file,
            text=read.text,
            out=out,
            address=(url, key, origin),
            options=options.kept(),
            env=options.env,
            calls=options.calls or planned.calls,
            fail_fast=options.fail_fast,
            cancel_on_interrupt=options.cancel_on_interrupt,
            fresh=Fresh(frozenset(options.fresh), options.no_cache),
            reporter=told,
            leave=leave,
            open_provider=opener,
            metadata=options.metadata,
            offline=options.offline,
            canned=options.canned,
            carrier=carrier,
            choices=choices,
            # A stream is another request: one that is watched could not be replayed where nobody looks on.
            watched=watched and options.record is None and options.replay is None,
            screen=screen,
            pick_first=options.pick_first,
            approve=options.approve,
            locked=_locked(read.path, options),
            lock=partial(_lock, read.path, planned.pipeline, options.profile) if options.lock else None,
            past=past,
        )
        try:
            done = await session.run()
        except PipelineProblems as err:
            raise PipelineProblems([masking.hidden(problem, read.secrets) for problem in err.problems]) from err
    if done.outputs:
        owners.note(home, out, file, planned.outputs)
    return replace(done, notes=(*(told_of_out if done.outputs else ()), *done.notes, *notes(done)))


def _lock(path: Path, pipeline: str, profile: str | None, state: RunState) -> Path:
    """Write the lock of what a run has made. `StoreFailed` if the disk says no."""
    from .publish import write

    return write(lockfile.beside(path, profile), lockfile.text(pipeline, profile, state), verbatim=True)


def _locked(path: Path, options: Options) -> lockfile.Locked | None:
    """What a run that sends nothing may use. `UsageError` if there is no lock where it is to keep to one."""
    if options.only == "world":
        return None
    return lockfile.Locked(read_lock(path, options.profile) if options.only == "lock" else None)


def read_lock(path: Path, profile: str | None = None) -> dict[str, lockfile.Entry]:
    """The lock of a pipeline, by cell; ``path`` may be that of the lock itself."""
    file = path if path.name.endswith(lockfile.SUFFIX) else lockfile.beside(path, profile)
    try:
        text = file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as err:
        msg = f"There is no lock {file}. Write it with: runner lock {path}{f' --profile {profile}' if profile else ''}"
        raise UsageError(msg) from err
    return lockfile.read(text, str(file))


async def verify(path: Path, profile: str | None = None) -> tuple[int, list[str]]:
    """Read again what a lock names: how many cells, and what of them the store no longer has as it was."""
    from .store import Store

    entries = read_lock(path, profile)
    store = Store(project(path) / ".runner" / "store")
    wrong = []
    try:
        for cell, entry in entries.items():
            files: set[str] = set()
            for key in entry.keys:
                reply = await store.get(key)
                if reply is None:
                    wrong.append(f"{cell}: the reply {key[:12]} is not in the store, or a file of it is damaged")
                    break
                files |= {file.sha256 for file in reply.files}
            else:
                if entry.files and not set(entry.files) <= files:
                    wrong.append(f"{cell}: the store holds another file than the lock names")
    finally:
        store.close()
    return len(entries), wrong


@contextmanager
def _told_too(options: Options, reporter: Sink) -> Iterator[Sink]:
    """A sink that also tells the reporters of installed packages. One that is a context manager is entered and left."""
    with ExitStack() as stack:
        sinks = [reporter]
        for name in options.reporters:
            sink = plugins.named("runner.reporters", name)()
            sinks.append(stack.enter_context(sink) if hasattr(sink, "__exit__") else sink)

        def tell(event: Event) -> None:
            for sink in sinks:
                sink(event)

        yield tell if options.reporters else reporter


def inspect(file: Path) -> tuple[Facts, list[Path]]:
    """What a picture says made it, and the folders of the runs that know of it: beside it or above, or in this project.

    `NoFacts` if it says nothing.
    """
    from . import provenance

    try:
        facts = provenance.facts_in(file.read_bytes())
    except OSError as err:
        msg = f"{file} cannot be read: {err.strerror}."
        raise UsageError(msg) from err
    if facts is None:
        msg = (
            f"{file} does not say what made it. Pictures (PNG, JPEG, WebP) that runner run wrote do, unless "
            "--no-metadata was given or another program has taken it out."
        )
        raise NoFacts(msg)
    homes = dict.fromkeys([*file.resolve().parents, project(Path.cwd() / "x")])
    return facts, [run for home in homes for run in provenance.runs_with(facts.key, home / ".runner" / "runs")]


class NoFacts(RunnerError):
    """A file does not say what made it."""


def find_run(name: str | None, pipeline: Path | None = None, called: str | None = None) -> tuple[RunState, Path] | None:
    """A run of this project by its id, or the last one that did not come to a good end; with its folder.

    `UsageError` for an id that there is not. ``pipeline`` asks for one of that file only, or of one that is gone and
    held the pipeline that is ``called`` so.
    """
    from . import journal

    runs = project(pipeline or Path.cwd() / "x") / ".runner" / "runs"
    if name is not None:
        known = sorted((p.name for p in runs.glob("*") if (p / journal.NAME).is_file()), reverse=True)
        fits = [name] if name in known else [each for each in known if each.startswith(name) or each.endswith(name)]
        if not name or len(fits) != 1:
            why = f"{len(fits)} runs are called like that." if fits and name else nearest(name, known)
            msg = f"There is no run {name} in {runs}. {why}".rstrip()
            raise UsageError(msg)
        state = _folded(runs / fits[0])
        if not state.file:
            msg = f"The run {fits[0]} was cut before it began: there is nothing to go on with."
            raise UsageError(msg)
        return state, runs / fits[0]
    going: tuple[RunState, Path] | None = None
    for folder in sorted(runs.glob("*"), reverse=True):
        if (folder / journal.NAME).is_file():
            state = _folded(folder, pipeline, called)
            if state.file and state.outcome != "done" and _sends(state) and _is_of(state, pipeline, called):
                if state.outcome is not None or not journal.going(folder):
                    return state, folder
                going = going or (state, folder)
    return going  # which cannot be taken up, as will be told


def _folded(folder: Path, pipeline: Path | None = None, called: str | None = None) -> RunState:
    """A run as its journal tells it. `StoreFailed` if that is damaged, unless it is seen to be of another pipeline."""
    from . import journal

    state = RunState()
    try:
        for event in journal.read(folder):
            state.add(event)
    except StoreFailed as err:
        if state.file and not _is_of(state, pipeline, called):
            return state
        msg = (
            f"{err}. So the run {folder.name} cannot be taken up. A new one (runner run) pays for nothing that the "
            f"store has, and waits for jobs in flight; runner runs rm {folder.name} --force removes the old one"
        )
        raise StoreFailed(msg) from err
    return state


def _is_of(state: RunState, pipeline: Path | None, called: str | None) -> bool:
    """Whether a run is of a pipeline file, under whichever name it was then."""
    if pipeline in (None, Path(state.file)):
        return True
    return state.pipeline == called and not Path(state.file).exists()


def _sends(state: RunState) -> bool:
    """Whether a run asks anybody; else there is nothing to go on with."""
    said = state.options
    return said.get("only", "world") == "world" and not said.get("offline") and not said.get("replay")


def _known_steps(names: Sequence[str], checked: Checked, planned: Plan) -> None:
    """`UsageError` for a ``--fresh`` that names no step, or no cell as far as these are known before the run."""
    keys = {step.id: step.keys for step in planned.steps}
    for name in names:
        inner: Checked | None = checked
        for part in name.split("/"):
            step = part.partition("[")[0]
            if inner is None or step not in inner.steps:
                known = list(inner.steps) if inner is not None else []
                msg = f"--fresh {name} names no step of the pipeline. {nearest(step, known)}".rstrip()
                raise UsageError(msg)
            if "[" in part and not inner.steps[step].step.fanned_out:
                msg = f"--fresh {name}: {step} is one cell and has no keys. Write --fresh {name.partition('[')[0]}."
                raise UsageError(msg)
            inner = inner.steps[step].nested
        step, bracket, key = name.partition("/")[0].partition("[")
        known_keys = keys.get(step)
        if bracket and known_keys is not None and key.removesuffix("]") not in known_keys:
            msg = f"--fresh {name}: {step} has no such cell. {nearest(key.removesuffix(']'), sorted(known_keys))}"
            raise UsageError(msg)


def localised(read: Read, options: Options) -> Read:
    """The pipeline as such a run has it."""
    if not options.local:
        return read
    return replace(read, checked=_localised(read.whole(), one_by_one=options.weights is not None))


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
    """The project of a pipeline: the nearest folder above it that is one; else where we stand, if it lies below; else
    its own folder.
    """
    folder, here = path.resolve().parent, Path.cwd()
    for each in (folder, *folder.parents):
        if any((each / mark).exists() for mark in (".git", "runner.yaml")):
            return each
    return here if here in folder.parents else folder


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


def _as_recorded(options: Options) -> Options:
    """A replay runs as its recording did."""
    if options.replay is None:
        return options
    from .runpod import cassette

    return replace(options, local=bool(cassette.about_of(options.replay).get("local")), weights=None)


@contextmanager
def _conversation(
    options: Options, url: str, origin: str | None
) -> Iterator[tuple[Carrier, Callable[[Done], tuple[str, ...]], Mapping[str, JSON]]]:
    """How requests travel, what there is to say of it afterwards, and what persons said when it was recorded."""
    from .runpod import carrier, cassette

    plain = [v for k, v in options.env.items() if k.upper().endswith(("KEY", "TOKEN", "SECRET", "PASSWORD"))]
    secrets = [*plain, *(json.dumps(value)[1:-1] for value in plain)]  # also as JSON spells it
    if options.replay:
        tape = cassette.Cassette.to_replay(options.replay, secrets)
        yield carrier.replaying(tape), lambda done: _unused(tape, done), tape.choices()
    elif options.record:
        about = {"origin": origin or url.rstrip("/"), "base": urlsplit(url).path.rstrip("/"), "local": options.local}
        tape = cassette.Cassette.to_record(options.record, about, secrets)
        yield carrier.recording(tape), lambda done: _recorded(tape, done), {}
    else:
        yield carrier.NETWORK, lambda _: (), {}


def _unused(tape: Cassette, done: Done) -> tuple[str, ...]:
    unused, notes = tape.unused(), []
    if unanswered := ", ".join(cell.cell for cell in done.state.asking):
        notes.append(
            f"The recording {tape.folder} holds no answer for {unanswered}. Record it again and answer, or add "
            "--pick first or --approve yes."
        )
    if unused and not done.state.stopping:
        more = f" and {len(unused) - 5} more" if len(unused) > 5 else ""
        notes.append(f"Not used of the recording {tape.folder}: {', '.join(unused[:5])}{more}.")
    return tuple(notes)


def _recorded(tape: Cassette, done: Done) -> tuple[str, ...]:
    from .picking import answer_of

    for cell in done.state.cells.values():
        if cell.answer is not None and (answer := answer_of(cell)) is not None:
            tape.keep_choice(cell.cell, cell.answer.key, answer)
    cached = sum(cell.state == "cached" for cell in done.state.cells.values())
    notes = [f"Recorded in {tape.folder}: {tape.kept} exchanges."]
    if tape.broken:
        notes.append(f"The recording is not whole: {tape.broken}.")
    if cached:
        notes.append(
            f"{cached} {'cell' if cached == 1 else 'cells'} came from the store, so nothing was exchanged for them: "
            "a replay needs what was recorded of them before."
        )
    return tuple(notes)


def _address(options: Options, checked: Checked) -> tuple[str, str]:
    """Runpod's address, and the key; none is needed where no model is Runpod's."""
    if options.replay:
        return _REPLAYED, ""
    if options.provider:
        return options.base_url, ""
    if options.local:
        return "", "local"
    if options.only != "world" or options.offline:
        return options.base_url, "unused"
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
    base_url = options.base_url
    if not is_url(base_url):
        msg = f"RUNPOD_BASE_URL is {base_url!r}, which is no http address."
        raise CannotStart(msg)
    return base_url, key


@contextmanager
def _provider_address(options: Options, checked: Checked, base_url: str) -> Iterator[tuple[str, str | None]]:
    """The base URL, and what it is called in keys; the emulator runs as long as the run does."""
    if options.replay:
        from .runpod import cassette

        about = cassette.about_of(options.replay)
        yield f"{_REPLAYED}{about.get('base', '')}", about.get("origin")
        return
    if not options.local or options.offline:
        yield base_url, _played_by(options) if options.local else None
        return
    from .emulator import Emulator

    with ExitStack() as stack:
        try:
            emulator = stack.enter_context(Emulator(endpoints(checked), weights=options.weights))
        except OSError as err:
            msg = f"The emulator cannot start: {err.strerror or err}."
            raise CannotStart(msg) from err
        yield emulator.url, _played_by(options)


def origin(options: Options) -> str:
    """What the provider of such a run is called in keys."""
    return _played_by(options) if options.local else options.base_url.rstrip("/")


def _played_by(options: Options) -> str:
    """What a local run's provider is called in keys: two that say other things are kept apart."""
    return "local-model" if options.weights else "emulator"


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
