"""Runs that were: found, listed, compared, explained, removed. Reads journals and the store; asks nobody."""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from . import journal, provenance
from .errors import RunnerError, StoreFailed, UsageError, nearest
from .events import CallDone, CallStarted, CellState, RunState
from .loading import project
from .locks import only
from .media import likeness
from .model import JSON, Artifact, step_of
from .pipeline import duration
from .publish import digest
from .reports import changes as difference
from .reports import runs as report
from .reports.changes import Change, changes
from .reports.money import cost, money
from .reports.questions import relative
from .runfolder import files_of, laid_out
from .store import Store


@dataclass(frozen=True, slots=True)
class Run:
    """A run of this project, as far as its journal can be read."""

    folder: Path
    state: RunState
    going: bool = False
    damage: str = ""

    @property
    def id(self) -> str:
        return self.folder.name

    @property
    def said(self) -> str:
        """How it stands: ``done``, ``failed``, ``cancelled``; ``running``; ``cut`` if it never came to an end."""
        return "damaged" if self.damage else "running" if self.going else self.state.outcome or "cut"

    @property
    def pending(self) -> int:
        """Jobs that may have been paid for and are not collected: removing the run would lose them."""
        return len(self.state.tickets) + len(self.state.unknown) if self.state.outcome != "done" else 0


_GOING = "it is still going"


class Refused(RunnerError):
    """Something that was asked for by name cannot be done."""

    exit_code = 1


def home() -> Path:
    """``.runner`` of the project that we stand in."""
    return project(Path.cwd() / "x") / ".runner"


def runs(at: Path) -> list[Run]:
    """All runs, the newest first."""
    return list(newest(at))


def newest(at: Path, largest: int | None = None) -> Iterator[Run]:
    """All runs, the newest first, each read when it is asked for. A journal of more than ``largest`` bytes is none."""
    for folder in _folders(at):
        if largest is None or (folder / journal.NAME).stat().st_size <= largest:
            yield _run(folder)


def _folders(at: Path) -> list[Path]:
    """The folders of runs, the newest first; of one second, the one that was made last."""
    found = [path for path in (at / "runs").glob("*") if (path / journal.NAME).is_file()]
    return sorted(found, key=lambda path: (path.name[:15], (path / "pipeline.yaml").stat().st_mtime_ns
                                           if (path / "pipeline.yaml").exists() else 0), reverse=True)  # fmt: skip


def _run(folder: Path) -> Run:
    state = RunState(run=folder.name)
    try:
        for event in journal.read(folder):
            state.add(event)
    except StoreFailed as err:
        return Run(folder, state, damage=str(err))
    return Run(folder, state, going=state.outcome is None and journal.going(folder))


def find(at: Path, name: str | None) -> Run:
    """A run by its id, or by the beginning or end of it if that says which; the last one if none is named."""
    names = [path.name for path in _folders(at)]
    if not names:
        msg = f"There are no runs in {at / 'runs'}."
        raise UsageError(msg)
    if name is None or name in names:
        return _run(at / "runs" / (name or names[0]))
    fits = [each for each in names if each.startswith(name) or each.endswith(name)] if name else []
    if len(fits) != 1:
        why = f"{len(fits)} runs are called like that: {', '.join(fits[:5])}." if fits else nearest(name, names)
        msg = f"There is no run {name} in {at / 'runs'}. {why}".rstrip()
        raise UsageError(msg)
    return _run(at / "runs" / fits[0])


def listed(at: Path, now: float) -> str:
    """All runs as a table."""
    found = runs(at)
    if not found:
        return f"There are no runs in {at / 'runs'}."
    return "\n".join(report.listed([report.row(run.state, run.said, now) for run in found]))


def as_json(at: Path, now: float) -> str:
    """All runs for machines."""
    rows = []
    for run in runs(at):
        state = run.state
        ended = state.ended or (now if run.going else None)
        rows.append({
            "run": run.id, "pipeline": state.pipeline, "version": state.version,
            "profile": state.options.get("profile"), "state": run.said,
            "cost": round(state.cost, 6), "paid": 0.0 if state.free else round(state.cost, 6),
            "started": state.started or None,
            "seconds": round(ended - state.started - state.paused, 3) if ended and state.started else None,
            "folder": str(run.folder),
        })  # fmt: skip
    return json.dumps(rows, ensure_ascii=False, indent=2)


def since(run: Run) -> dict[str, str]:
    """What became of the outputs whose files are not as the run wrote them: written over, or changed by hand.

    Journals from before digests were kept tell it only by the later runs that wrote to the same place.
    """
    kept, found = run.state.digests, dict[str, str]()
    doubted = [name for name, path in run.state.outputs.items()
               if Path(path).is_file() and not (name in kept and digest(Path(path)) == kept[name])]  # fmt: skip
    later = _later(run) if doubted else {}
    for name in doubted:
        if by := later.get(Path(run.state.outputs[name]).resolve()):
            found[name] = f"written over since by run {by}"
        elif name in kept:
            found[name] = "changed since"
    return found


def _later(run: Run) -> dict[Path, str]:
    """Which run wrote last to each place, of those that ended after this one."""
    found: dict[Path, str] = {}
    ended = run.state.ended or 0.0
    for other in sorted(newest(run.folder.parent.parent), key=lambda each: each.state.ended or 0.0):
        if other.id != run.id and (other.state.ended or 0.0) > ended:
            found |= {Path(path).resolve(): other.id for path in other.state.outputs.values()}
    return found


def shown(run: Run, now: float) -> str:
    """One run, cell by cell."""

    def where(cell: CellState) -> list[str]:
        return [relative(path) for path in files_of(run.folder, cell.cell)] or stored(cell.output)

    text = report.shown(run.state, run.said, now, where, Path(relative(run.folder)),
                        partial(laid_out, run.folder), since(run))  # fmt: skip
    return f"{text}\n\n{run.damage}" if run.damage else text


def stored(output: object) -> list[str]:
    """Where the store has the files of an output."""
    values = getattr(output, "values", None) or {}
    return [relative(Path(value.path)) for value in values.values() if isinstance(value, Artifact)]


# -- what was asked ---------------------------------------------------------------------------------


@dataclass(slots=True)
class Asked:
    """A call of a cell in a run: paid for there, found in the store, or never answered."""

    run: str
    local: bool
    cell: str
    kind: str
    key: str
    began: float
    """When its run began."""
    paid: bool = False
    stored: bool = False
    candidate: int = 0
    """Which candidate of its cell it was for, from 1; 0 where there was only one thing to make."""

    @property
    def paid_for(self) -> str:
        """What is said of a call that was answered: the emulator is not paid."""
        return "made" if self.local else "paid for"


def asked(run: Run) -> list[Asked]:
    """The calls of a run's cells in order, each once, however often it was tried."""
    found: dict[tuple[str, str], Asked] = {}
    local = bool(run.state.options.get("local"))
    try:
        for event in journal.read(run.folder):
            if isinstance(event, CallStarted | CallDone):
                kind = run.state.kinds.get(step_of(event.cell), "")
                new = Asked(run.id, local, event.cell, kind, event.key, run.state.started,
                            candidate=event.candidate)  # fmt: skip
                call = found.setdefault((event.cell, event.key), new)
                if isinstance(event, CallDone):
                    call.paid, call.stored = call.paid or not event.cached, True
    except StoreFailed:
        pass  # what can be read is told
    return list(found.values())


# -- two runs ---------------------------------------------------------------------------------------


def compared(one: Run, other: Run, store: Store) -> str:
    """What differs between two runs: inputs, cost, and cell by cell what was asked and what came of it."""
    lines = [f"{name} {report.row(run.state, run.said, 0.0)[0]}  {run.state.title}: {run.said}, "
             f"{cost(run.state)}" for name, run in (("-", one), ("+", other))]  # fmt: skip
    if found := list(changes(dict(one.state.inputs), dict(other.state.inputs))):
        lines += ["", "inputs", *_indented(difference.lines(found, _apart))]
    prompts = [_requests(run, store) for run in (one, other)]
    cells = [*one.state.cells, *(cell for cell in other.state.cells if cell not in one.state.cells)]
    same = 0
    for cell in cells:
        was, now = (run.state.cells.get(cell) for run in (one, other))
        told = _cell_compared(was, now, prompts[0].get(cell, []), prompts[1].get(cell, []))
        same += not told
        lines += ["", cell, *_indented(told)] if told else []
    if same:
        lines += ["", f"{same} cell{'s are' if same != 1 else ' is'} the same"]
    spent = [cost(run.state) for run in (one, other)]
    lines += ["", f"cost: {spent[0]} → {spent[1]}"]
    return "\n".join(lines)


def _cell_compared(one: CellState | None, other: CellState | None, was: list[JSON], now: list[JSON]) -> list[str]:
    if one is None or other is None:
        return ["only in the second run" if one is None else "only in the first run"]
    lines = [f"state: {one.state} → {other.state}"] if _end(one) != _end(other) else []
    if found := list(changes(was, now)) if was and now else []:
        plain = [Change(re.sub(r"^\[0\]\.", "", each.path), each.old, each.new) for each in found]
        lines += ["asked", *_indented(difference.lines(plain))]
    before, after = (dict(cell.output.values) if cell.output else {} for cell in (one, other))
    if found := [each for each in changes(before, after) if each.path.partition(".")[0] != "usage"]:
        lines += ["output", *_indented(difference.lines(found, _apart))]
    if lines and one.paid != other.paid:
        lines.append(f"cost: {money(one.paid)} → {money(other.paid)}")
    return lines


def _end(cell: CellState) -> str:
    return "done" if cell.state == "cached" else cell.state


def _requests(run: Run, store: Store) -> dict[str, list[JSON]]:
    """What each cell of a run asked for, as far as the store still knows."""
    found: dict[str, list[JSON]] = {}
    for call in asked(run):
        if counts(call.key, run.state.cells.get(call.cell)) and (kept := store.asked(call.key)):
            found.setdefault(call.cell, []).append(request(kept[0]))
    return found


def counts(key: str, cell: CellState | None) -> bool:
    """Whether a call has led to what its cell yields: those for candidates that nobody chose have not."""
    return cell is None or cell.answer is None or not cell.answer.of or key in cell.keys


def request(text: str) -> JSON:
    """A request as it is read by people: what is asked before where."""
    try:
        said = json.loads(text)
    except ValueError:
        return {}
    return said if isinstance(said, dict) else {}


def _apart(one: Artifact, other: Artifact) -> int | None:
    looks = [likeness(Path(each.path)) for each in (one, other)]
    return None if None in looks else ((looks[0] or 0) ^ (looks[1] or 0)).bit_count()


# -- away with them ---------------------------------------------------------------------------------


@dataclass(slots=True)
class Removed:
    """Runs that are gone, and those that stayed with the reason."""

    gone: list[str] = field(default_factory=list)
    stayed: dict[str, str] = field(default_factory=dict)


def remove(found: Sequence[Run], *, force: bool) -> Removed:
    """Remove run folders. Never one that is still going; with jobs to collect, or damaged, only by ``force``."""
    removed = Removed()
    for run in found:
        why = "" if force else _to_lose(run)
        why = why or _removed(run)
        if why:
            removed.stayed[run.id] = why
        else:
            removed.gone.append(run.id)
    return removed


def chosen(at: Path, names: Sequence[str], *, older: float | None, all_but: int | None, now: float) -> list[Run]:
    """The runs that are named; or those that ended ``older`` seconds ago or more; or all but the newest."""
    if names:
        return list({run.id: run for run in (find(at, name) for name in names)}.values())
    found = runs(at)
    if older is not None:
        found = [run for run in found if (run.state.ended or run.state.started) <= now - older]
    return found[all_but:] if all_but is not None else found


def _to_lose(run: Run) -> str:
    if run.going:
        return _GOING
    if run.damage:
        return "its journal is damaged, so nobody knows whether jobs are open; --force removes it"
    if run.pending:
        jobs = f"{run.pending} job{'s' * (run.pending != 1)}"
        return f"{jobs} may have been paid for: runner resume {run.id} collects, --force removes it"
    return ""


def _removed(run: Run) -> str:
    """Remove one folder while nobody else can begin to write it; why not, if not."""
    path = run.folder / journal.NAME
    if run.going:
        return _GOING
    try:
        file = os.open(path, os.O_RDWR)
        try:
            if not only(file):
                return _GOING
            path.unlink()  # from here on it is no run, whatever happens to the rest
            shutil.rmtree(run.folder)
        finally:
            os.close(file)
    except OSError as err:
        return f"it cannot be removed: {err.strerror}"
    return ""


def seconds(text: str, option: str) -> float:
    """Seconds of ``30d``. `UsageError` for what is no duration."""
    found = duration(text)
    if found is None:
        msg = f"{option} {text} is no duration. Write 30d, 12h or 90s."
        raise UsageError(msg)
    return found


def _indented(lines: Sequence[str]) -> list[str]:
    return [f"  {line}" for line in lines]


def find_run(name: str | None, pipeline: Path | None = None, called: str | None = None) -> tuple[RunState, Path] | None:
    """A run of this project by its id, or the last one that can go on; with its folder.

    That is one that did not come to a good end, or one that a person has answered otherwise since; the one to which
    something happened last. `UsageError` for an id that there is not. ``pipeline`` asks for the last that was begun of
    that file only, or of one that is gone and held the pipeline that is ``called`` so.
    """
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
    folders = _folders(runs.parent)
    if pipeline is None:
        folders.sort(key=lambda folder: (folder / journal.NAME).stat().st_mtime_ns, reverse=True)
    for folder in folders:
        state = _folded(folder, pipeline, called)
        if not state.file or not _sends(state) or not _is_of(state, pipeline, called):
            continue
        if pipeline is None and answered_since(state):
            return state, folder
        if state.outcome != "done" and (state.outcome is not None or not journal.going(folder)):
            return state, folder
        if pipeline is not None and state.outcome == "done":
            break  # what did not end well before it is of the past
        going = going or ((state, folder) if state.outcome != "done" else None)
    return going  # which cannot be taken up, as will be told


def changed(state: RunState, folder: Path) -> str | None:
    """That the pipeline of a run is another one than when it was begun, or taken up last."""
    try:
        then, now = (path.read_text(encoding="utf-8") for path in (folder / "pipeline.yaml", Path(state.file)))
    except (OSError, UnicodeError):
        return None
    if then == now:
        return None
    return f"{state.title} has changed since the run {state.run} began: it goes on as the file is now."


def answered_since(state: RunState) -> bool:
    """Whether a person has answered a question of a run that is done, so that it would end otherwise now."""
    answers = [cell.answer for cell in state.cells.values() if cell.answer is not None]
    return state.outcome == "done" and any(state.ended is not None and said.at > state.ended for said in answers)


def _folded(folder: Path, pipeline: Path | None = None, called: str | None = None) -> RunState:
    """A run as its journal tells it. `StoreFailed` if that is damaged, unless it is seen to be of another pipeline."""
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


def none_to_take_up(pipeline: Path | None = None) -> str:
    """Why `find_run` finds nothing to take up, in a sentence."""
    at = project(pipeline or Path.cwd() / "x") / ".runner"
    of = f" of {relative(pipeline)}" if pipeline is not None else ""
    found = [run for run in newest(at) if run.state.file and pipeline in (None, Path(run.state.file))]
    if not found:
        return f"There are no runs{of} in {at / 'runs'}"
    ended = [run for run in found if run.state.outcome != "done" and not _sends(run.state)]
    if not ended:
        which = "the last one" if pipeline is not None else "all"
        return f"There is no run{of} here that could be taken up again: {which} came to a good end"
    said = ended[0].state.options
    how = "--offline" if said.get("offline") else "--replay" if said.get("replay") else "from the store alone"
    return (
        f"There is no run{of} here that asked anybody and could be taken up again. {ended[0].id} ran {how} and did not "
        f"come to a good end: runner resume {ended[0].id} does the same again"
    )


def _sends(state: RunState) -> bool:
    """Whether a run asks anybody; else there is nothing to go on with."""
    said = state.options
    return said.get("only", "world") == "world" and not said.get("offline") and not said.get("replay")


def inspect(file: Path) -> tuple[provenance.Facts, list[Path]]:
    """What a picture says made it, and the folders of the runs that know of it: beside it or above, or in this project.

    `NoFacts` if it says nothing.
    """
    if file.exists() and not file.is_file():
        msg = f"{file} is no file of a picture. Name one."
        raise UsageError(msg)
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
