"""A run retold as a page: the journal says when, the store what was asked, the run's folder how the pipeline was.

What is no longer there is left out and said so. Nothing is sent, and nothing but the page is written.
"""

from __future__ import annotations

import json
import os
import re
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from urllib.parse import quote

import anyio

from . import app, journal, loading, reasons, seeing
from .errors import PipelineProblems, RunnerError, StoreFailed
from .events import AttemptFailed, CellAnswered, CellAsked, CellState, Event, RunResumed, RunStarted
from .history import Run, asked, counts, request, since
from .masking import masked
from .media import look, thumbnail
from .model import JSON, Artifact, step_of, titled
from .options import Options
from .places import innermost, of_cell
from .publish import write, written
from .reports import page
from .reports.changes import Change, changes
from .reports.changes import lines as diff_lines
from .reports.graph import Graph, Link, Node
from .reports.money import column, unpaid
from .reports.runs import left
from .reports.timeline import Timeline, timeline
from .runfolder import files_of
from .source import Document, parse
from .store import Store

NAME = "report.html"

EMBEDDED = 24_000_000
"""Bytes of files that a page holds. Pictures that would be more are all made smaller, so that they look alike."""

ONE = 12_000_000
"""Bytes of one piece of sound or video that a page holds; a larger one is a link."""

SMALL, PREVIEW = 768, 480
"""Pixels a side of a smaller picture, and of one among the outputs or the candidates."""

CELLS = 300
"""Cells that a page shows in full."""

PAIRS = 150
_TEXT, _LINES = 4000, 12


def write_page(
    run: Run, other: Run | None, home: Path, out: Path | None, env: Mapping[str, str], *, room: int = EMBEDDED
) -> Path:
    """Write the page of a run, beside ``other`` if there is one, and say where it is. ``room`` are bytes for files."""
    target = out or run.folder / NAME
    store = Store(home / "store")
    try:
        shelf = _Shelf(target.resolve().parent, home / "store" / "blobs", room)
        newer, older = (run, other) if other is None or other.state.started <= run.state.started else (other, run)
        told = {
            each.id: _retold(each, store, shelf, env, "" if each is newer else "b-") for each in (newer, older) if each
        }
        shelf.weigh(told.values())
        pages = {name: each.retell() for name, each in told.items()}
    finally:
        store.close()
    if older is None:
        made = page.html(pages[newer.id])
    else:
        pairs = list(_pairs(told[older.id], pages[older.id], told[newer.id], pages[newer.id]))
        inputs = list(changes(dict(older.state.inputs), dict(newer.state.inputs)))
        made = page.html(pages[newer.id], pages[older.id], pairs, inputs)
    made = masked(made.encode("utf-8", "replace").decode(), {env.get("RUNPOD_API_KEY", "").strip()})
    return write(target, made, verbatim=True)


# -- files ------------------------------------------------------------------------------------------


@dataclass(slots=True)
class _Shelf:
    """Puts files into a page as long as there is room."""

    folder: Path
    """Where the page will be: links are relative to it, so that a run folder can be moved."""
    blobs: Path
    left: int
    whole: bool = True
    """Whether pictures are in the page as they are."""

    def weigh(self, told: Iterable[_Told]) -> None:
        """Decide whether all pictures fit."""
        pictures = {file.sha256: file.bytes for each in told for file in each.pictures()}
        self.whole = sum(pictures.values()) <= self.left * 2 // 3

    def blob(self, digest: str) -> Path | None:
        """The stored file with these bytes."""
        if not re.fullmatch(r"[0-9a-f]{64}", digest):
            return None
        return next((self.blobs / digest[:2]).glob(f"{digest[2:]}.*"), None)

    def medium(
        self, name: str, file: Artifact, alt: str, path: Path | None = None, *, side: int = SMALL
    ) -> page.Medium:
        """A file for the page. ``path`` is a copy under a better name."""
        there = Path(file.path)
        facts = [f"{file.width}×{file.height}"] if file.width else []
        facts += [f"{file.seconds:.1f} s"] if file.seconds else []
        facts += [file.media_type.partition("/")[2].upper().removeprefix("X-"), page.size(file.bytes)]
        found = page.Medium(file.media, name, alt, ", ".join(facts), width=file.width, height=file.height)
        if not there.is_file():
            return replace(found, gone=True)
        found = replace(found, href=self.href(path or there))
        if file.media_type not in page.EMBEDDABLE:
            return found
        if file.media == "image":
            return self._picture(found, there, file, side)
        if file.bytes > min(ONE, self.left):
            return found
        return replace(found, src=self._taken(file.media_type, there.read_bytes()))

    def _picture(self, found: page.Medium, there: Path, file: Artifact, side: int) -> page.Medium:
        if self.whole and side == SMALL and file.bytes <= self.left:
            return replace(found, src=self._taken(file.media_type, there.read_bytes()))
        small = thumbnail(there, side)
        if small is None or len(small) > self.left:
            return found
        return replace(found, src=self._taken("image/webp", small), small=max(file.width or 0, file.height or 0) > side)

    def _taken(self, media_type: str, content: bytes) -> str:
        self.left -= len(content)
        return page.src(media_type, content)

    def href(self, path: Path) -> str:
        try:
            return quote(Path(os.path.relpath(path.resolve(), self.folder)).as_posix())
        except ValueError:  # another drive
            return path.resolve().as_uri()


# -- one run ----------------------------------------------------------------------------------------


def _retold(run: Run, store: Store, shelf: _Shelf, env: Mapping[str, str], prefix: str) -> _Told:
    events = list(_events(run))
    told = _Told(run, events, shelf, prefix)
    for number, call in enumerate(asked(run)):
        kept = store.asked(call.key)
        told.calls.setdefault(call.cell, []).append((call.key, kept[0] if kept else "", call.stored and not call.paid))
        told.lacking = told.lacking or (kept is None and number < CELLS)
    if told.lacking:
        told.unanswered = _unanswered(run, store, env)
    return told


def _events(run: Run) -> Iterator[Event]:
    try:
        yield from journal.read(run.folder)
    except StoreFailed:
        return  # what can be read is told


def _unanswered(run: Run, store: Store, env: Mapping[str, str]) -> dict[str, str]:
    """What calls that the store has no reply to ask, by key, as far as the pipeline still asks them."""
    try:
        options = Options.of(run.state, env=env, cancel_on_interrupt=False)
        _, planned = app.plan_again(run.state, options)
        ahead = anyio.run(reasons.ahead, planned, app.origin(options), store)
    except RunnerError:
        return {}
    return {key: call.text for key, call in ahead.lacking.items()}


@dataclass(slots=True)
class _Told:
    """What was found of a run, on its way to a page."""

    run: Run
    events: list[Event]
    shelf: _Shelf
    prefix: str
    calls: dict[str, list[tuple[str, str, bool]]] = field(default_factory=dict)
    """By cell: key, request as text, whether the store answered."""
    unanswered: Mapping[str, str] = field(default_factory=dict)
    lacking: bool = False
    beside: dict[str, Document | None] = field(default_factory=dict)
    """Pipelines that its steps run, by their paths from its own folder."""
    changed: set[str] = field(default_factory=set)
    """Those of them that were written after the run."""
    picks: dict[str, tuple[CellAsked | None, CellAnswered | None]] = field(default_factory=dict)
    """The last question of each cell that has candidates, and its answer."""
    timeline: Timeline = field(default_factory=lambda: Timeline({}, []))

    def requests(self, cell: str) -> list[JSON]:
        """What a cell asked, as far as it is known."""
        state = self.run.state.cells.get(cell)
        found = (
            text or self.unanswered.get(key, "") for key, text, _ in self.calls.get(cell, ()) if counts(key, state)
        )
        return [request(text) for text in found if text]

    def pictures(self) -> Iterator[Artifact]:
        """The pictures of its cells, and its inputs."""
        for cell in self.run.state.cells.values():
            yield from (f for f in _files(cell.output.values if cell.output else {}) if f.media == "image")
        yield from (f for f in _files(dict(self.run.state.inputs)) if f.media == "image")

    def retell(self) -> page.Run:
        run, state = self.run, self.run.state
        self.timeline = timeline(self.events)
        text = self._text()
        document = _document(text, Path(state.file).name)
        graph = self._graph(text)
        kinds = dict(_nodes(graph, ""))
        groups = self._groups(kinds)
        room = max(24, CELLS // max(1, len(groups)))
        tries: dict[str, list[page.Try]] = {}
        for event in self.events:
            if isinstance(event, CellAsked) and event.asks == "pick":
                self.picks[event.cell] = event, None
            elif isinstance(event, CellAnswered) and event.of:
                self.picks[event.cell] = self.picks.get(event.cell, (None, None))[0], event
            elif isinstance(event, AttemptFailed):
                tried = page.Try(event.attempt, event.fault, event.message, event.wait)
                tries.setdefault(event.cell, []).append(tried)
        steps, number = [], 0
        for name, cells in groups.items():
            shown = sorted(cells, key=lambda cell: cell.state != "failed")[:room]
            shown = [cell for cell in cells if cell in shown] if len(cells) <= room else shown
            made = []
            for cell in shown:
                number += 1
                made.append(self._cell(cell, f"{self.prefix}cell-{number}", document, tries.get(cell.cell, ())))
            steps.append(self._step(name, kinds.get(name), cells, made, document))
        return page.Run(
            id=run.id,
            title=titled(state.pipeline, state.version, None) or run.id,
            profile=state.options.get("profile") or "",
            state=run.said,
            started=time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(state.started)) if state.started else "",
            seconds=state.seconds,
            cost=state.cost,
            file=_relative(Path(state.file)) if state.file else "",
            steps=steps,
            graph=graph,
            timeline=self.timeline,
            inputs={name: value for name, value in state.inputs.items() if value is not None},
            files={
                n: self.shelf.medium(n, v, f"The input {n}") for n, v in state.inputs.items() if isinstance(v, Artifact)
            },
            outputs=list(self._outputs()),
            source=text.splitlines(),
            notes=list(self._notes()),
            cells_shown=number,
            cells_all=max(state.expected, len(state.cells)),
            unpaid=unpaid(state),
            column=column(state),
            folder=_relative(run.folder),
        )

    def _text(self) -> str:
        try:
            return (self.run.folder / "pipeline.yaml").read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError):
            return ""

    def _graph(self, text: str) -> Graph:
        """The graph of the pipeline as it ran; from the journal alone, where that cannot be read any more."""
        state = self.run.state
        own = state.options.get("catalogue")
        try:
            read = loading.read(
                Path(state.file or "pipeline.yaml"), Path(own) if own else None, state.options.get("profile"), text=text
            )
            graph = seeing.graph_of(read.whole(), None)
            nodes = [replace(n, cells=state.opened.get(n.id)) if n.fanned_out else n for n in graph.nodes]
            return replace(graph, nodes=nodes)
        except RunnerError:
            needs: Mapping[str, list[str]] = {}
            for event in self.events:
                needs = event.steps if isinstance(event, RunStarted | RunResumed) else needs
            nodes = [Node(n, state.kinds.get(n, ""), "", n in state.opened, state.opened.get(n, 1)) for n in needs]
            return Graph(state.title, nodes, [Link(need, n, "needs") for n, all_of in needs.items() for need in all_of])

    def _groups(self, kinds: Mapping[str, Node]) -> dict[str, list[CellState]]:
        """The cells by step, those of a pipeline inside after the step that runs it."""
        found: dict[str, list[CellState]] = {name: [] for name in kinds if "/" not in name}
        inside: dict[str, list[CellState]] = {}
        for cell in self.run.state.cells.values():
            name = _group(cell.cell)
            (inside if "/" in name else found).setdefault(name, []).append(cell)
        ordered: dict[str, list[CellState]] = {}
        for name, cells in found.items():
            ordered[name] = cells
            ordered |= {inner: inside[inner] for inner in inside if inner.startswith(f"{name}/")}
        return ordered

    def _step(
        self,
        name: str,
        node: Node | None,
        cells: Sequence[CellState],
        made: Sequence[page.Cell],
        document: Document | None,
    ) -> page.Step:
        counts: dict[str, int] = {}
        for cell in cells:
            counts[cell.state] = counts.get(cell.state, 0) + 1
        opened = self.run.state.opened.get(name)
        if opened is not None and (rest := opened - len(cells)) > 0:
            counts["waiting"] = counts.get("waiting", 0) + rest  # they were never started
        kind = node.kind if node is not None else self.run.state.kinds.get(name, "")
        return page.Step(
            id=name,
            kind=kind,
            cells=made,
            fanned_out=bool(node is not None and node.fanned_out) or len(cells) > 1 or opened is not None,
            line=_line(document, ("steps", name)) if "/" not in name else None,
            of=max(len(cells), opened or 0),
            counts=counts,
            cost=sum(cell.paid for cell in cells),
            seconds=self.timeline.seconds(cell.cell for cell in cells),
        )

    def _cell(self, cell: CellState, anchor: str, document: Document | None, tries: Sequence[page.Try]) -> page.Cell:
        values = dict(cell.output.values) if cell.output else {}
        requests = self.requests(cell.cell)
        words = _prompt(requests)
        alt = f"{cell.cell}: {words}" if words else f"Made by {cell.cell}"
        named = [path for path in files_of(self.run.folder, cell.cell) if ".paid." not in path.name]
        files = list(_files({n: v for n, v in values.items() if n != "outputs"}))
        media = [
            self.shelf.medium(cell.cell, f, alt, next((p for p in named if p.suffix == f.suffix and n == 0), None))
            for n, f in enumerate(files)
        ]
        plain = {name for name, value in values.items() if isinstance(value, Artifact) or (not value and value != 0)}
        extra = {n: v for n, v in values.items() if n not in {"text", "data", *plain}}
        return page.Cell(
            id=cell.cell,
            anchor=anchor,
            state=cell.state,
            cost=cell.paid,
            seconds=self.timeline.seconds([cell.cell]),
            model=(cell.output.model if cell.output else None) or cell.label,
            message=cell.message,
            fault=cell.fault,
            place=self._place(document, cell) if document is not None and cell.state == "failed" else None,
            tries=tries,
            asked=[self._asked(cell, *call) for call in self.calls.get(cell.cell, ())],
            text=_said(values),
            data=values.get("data"),
            has_data=values.get("data") is not None,
            media=media,
            candidates=list(self._candidates(cell.cell)),
            picked=self._picked(cell.cell),
            before=self._before(requests) if any(f.media == "image" for f in files) else None,
            kept=_kept(self.run.folder, cell),
            extra=extra,
            open_jobs=[f"T{left(each)[1:]}." for each in cell.tickets.values()],
        )

    def _question(self, cell: str) -> tuple[CellAsked | None, CellAnswered | None]:
        """Which candidates of a cell were shown, and which of them was chosen, as far as the run knows."""
        asked, answer = self.picks.get(cell, (None, None))
        return asked, answer if asked is None or answer is None or answer.key == asked.key else None

    def _picked(self, cell: str) -> str:
        _, answer = self._question(cell)
        return f"{answer.answer} of {answer.of}" if answer is not None else ""

    def _candidates(self, cell: str) -> Iterator[page.Candidate]:
        """What a person could choose from, small, whether or not somebody has chosen yet."""
        asked, answer = self._question(cell)
        for number, values in asked.shown.items() if asked is not None else ():
            file = next(_files(values), None)
            name = f"candidate {number} of {cell}"
            medium = self.shelf.medium(name, file, f"{name[:1].upper()}{name[1:]}", side=PREVIEW) if file else None
            text = "" if file else _start(_said(values) or json.dumps(values.get("data"), ensure_ascii=False, indent=2))
            yield page.Candidate(number, answer is not None and str(answer.answer) == number, medium, text)

    def _place(self, document: Document, cell: CellState) -> page.Place | None:
        """Where a cell failed, in this pipeline or in one that a step of it runs, as that file is now."""
        there, name = innermost(document, cell.cell, self._beside)
        inside = there is not document
        note = "changed after the run" if inside and there.file in self.changed else ""
        return _place(there, replace(cell, cell=name), inside=inside, note=note)

    def _beside(self, name: str) -> Document | None:
        """A pipeline by its path from the folder of this one."""
        if name not in self.beside:
            path = Path(self.run.state.file).parent / name
            try:
                changed = path.stat().st_mtime > self.run.state.last
                self.beside[name] = _document(path.read_text(encoding="utf-8"), name)
            except (OSError, UnicodeDecodeError):
                self.beside[name], changed = None, False
            self.changed |= {name} if changed else set()
        return self.beside[name]

    def _asked(self, cell: CellState, key: str, text: str, stored: bool) -> page.Asked:  # noqa: FBT001 - as it is kept
        said = request(text or self.unanswered.get(key, ""))
        sent = (said.get("input") or said.get("body") or {}) if isinstance(said, dict) else {}
        if not isinstance(sent, dict) or not sent:
            return page.Asked(cell.label, cached=stored, kept=False)
        words = [(str(m.get("role", "")), _content(m.get("content"))) for m in sent.get("messages") or ()
                 if isinstance(m, dict)]  # fmt: skip
        words += [
            (n, sent[n]) for n in ("prompt", "text", "negative_prompt") if isinstance(sent.get(n), str) and sent[n]
        ]
        spoken = {"messages", "prompt", "text", "negative_prompt"}
        params = {n: v for n, v in sent.items() if n not in spoken and not list(_digests(v))}
        pictures = [self._sent(digest) for digest in dict.fromkeys(_digests(sent))]
        return page.Asked(cell.label, words, params, [each for each in pictures if each], stored)

    def _sent(self, digest: str) -> page.Medium | None:
        """A file that went along with a call, small."""
        file = self._stored(digest)
        return self.shelf.medium("sent along", file, f"Sent along: {file.media_type}", side=96) if file else None

    def _before(self, requests: Sequence[JSON]) -> page.Medium | None:
        """The picture that an edit began with."""
        digest = next((d for said in requests for d in _digests(said)), None)
        file = self._stored(digest) if digest else None
        if file is None or file.media != "image":
            return None
        return self.shelf.medium("before", file, "The picture before the edit")

    def _stored(self, digest: str) -> Artifact | None:
        path = self.shelf.blob(digest)
        if path is None:
            return None
        try:
            looks = look(path)
        except (OSError, ValueError):
            return None
        return Artifact(digest, looks.media_type, path.stat().st_size, str(path), None, looks.width, looks.height,
                        looks.seconds)  # fmt: skip

    def _outputs(self) -> Iterator[page.Output]:
        state, changed = self.run.state, since(self.run)
        for name, path in state.outputs.items():
            if name in changed:
                yield self._kept_output(name, path, changed[name])
            elif name != "lock":
                yield self._output(name, Path(path))

    def _kept_output(self, name: str, path: str, became: str) -> page.Output:
        """An output as the run made it, where its file is not that any more."""
        values = self.run.state.values
        value, note = values.get(name), f"{path} was {became}."
        if isinstance(value, Artifact):
            if not Path(value.path).is_file():
                return page.Output(name, path, "", note=f"{note} What this run made is no longer in the store.")
            side = PREVIEW if value.media == "image" else SMALL
            medium = self.shelf.medium(name, value, f"The output {name}", side=side)
            return page.Output(name, path, medium.href, medium, note=f"{note} This is what this run made.")
        if name not in values:
            return page.Output(name, path, "", note=f"{note} What this run made is among its cells, if it is kept.")
        return page.Output(
            name, path, "", text=_start(written(name, value)), note=f"{note} This is what this run made."
        )

    def _output(self, name: str, path: Path) -> page.Output:
        """A file that was written for the user, as it is now."""
        there = path.resolve() if path.is_file() else None
        if there is None:
            return page.Output(name, str(path), "", text="It is no longer there.")
        href = self.shelf.href(there)
        try:
            looks = look(there)
        except (OSError, ValueError):
            return page.Output(name, str(path), href)
        if looks.media_type.startswith(("image/", "audio/", "video/")):
            file = Artifact("", looks.media_type, there.stat().st_size, str(there), None, looks.width, looks.height,
                            looks.seconds)  # fmt: skip
            side = PREVIEW if file.media == "image" else SMALL
            return page.Output(name, str(path), href, self.shelf.medium(name, file, f"The output {name}", side=side))
        try:
            with there.open(encoding="utf-8") as opened:
                text = opened.read(601)
        except (OSError, UnicodeDecodeError):
            return page.Output(name, str(path), href)
        return page.Output(name, str(path), href, text=_start(text))

    def _notes(self) -> Iterator[str]:
        run = self.run
        if run.damage:
            yield run.damage
        if run.state.options.get("replay"):
            yield "This is from a recording, so nothing was paid: the costs are those of the run that was recorded."
        elif run.state.options.get("local"):
            yield "The emulator made this, so nothing was paid: the costs are those that Runpod would have charged."
        if run.going:
            yield "The run was still going when this page was written."
        elif run.said == "cut":
            yield "The run was cut before it came to an end: runner resume takes it up again."
        yield from run.state.told
        if not self.shelf.whole:
            yield "There are more pictures than fit into one file: they are smaller here, and each links to its file."


def _nodes(graph: Graph, above: str) -> Iterator[tuple[str, Node]]:
    for node in graph.nodes:
        yield f"{above}{node.id}", node
        if node.inner is not None:
            yield from _nodes(node.inner, f"{above}{node.id}/")


def _files(value: JSON) -> Iterator[Artifact]:
    if isinstance(value, Artifact):
        yield value
    elif isinstance(value, Mapping):
        for inner in value.values():
            yield from _files(inner)
    elif isinstance(value, list | tuple):
        for inner in value:
            yield from _files(inner)


def _digests(value: JSON) -> Iterator[str]:
    """The files in a request, which holds them by their digests."""
    if isinstance(value, Mapping):
        if set(value) == {"sha256"} and isinstance(value["sha256"], str):
            yield value["sha256"]
            return
        for inner in value.values():
            yield from _digests(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _digests(inner)


def _said(values: Mapping[str, JSON]) -> str | None:
    """The text of a cell, unless it is nothing but the JSON that is shown as such."""
    text = values.get("text")
    if not isinstance(text, str):
        return None
    try:
        return None if values.get("data") is not None and json.loads(text) == values["data"] else text
    except ValueError:
        return text


def _prompt(requests: Sequence[JSON]) -> str:
    """What a cell asked for in words, short enough to stand for a picture."""
    for said in requests:
        sent = said.get("input") if isinstance(said, dict) else None
        words = sent.get("prompt") or sent.get("text") if isinstance(sent, dict) else None
        if isinstance(words, str):
            line = " ".join(words.split())
            return line if len(line) <= 200 else f"{line[:199]}…"
    return ""


def _content(content: JSON) -> str:
    """What a message says; pictures among it are shown below it."""
    if isinstance(content, list):
        return " ".join(
            str(part["text"]) if "text" in part else "[picture]" for part in content if isinstance(part, dict)
        )
    return content if isinstance(content, str) else ""


def _start(text: str) -> str:
    return f"{text[:600].rstrip()}…" if len(text) > 600 else text


def _kept(folder: Path, cell: CellState) -> str:
    if not cell.keep:
        return ""
    try:
        return (folder / Path(cell.keep).name).read_text(encoding="utf-8")[:_TEXT]
    except (OSError, UnicodeDecodeError):
        return ""


# -- the pipeline -----------------------------------------------------------------------------------


def _document(text: str, file: str) -> Document | None:
    try:
        return parse(text, file) if text else None
    except PipelineProblems:
        return None


def _line(document: Document | None, path: tuple[str | int, ...]) -> int | None:
    node = document.node(path) if document is not None else None
    return document.mark(path, key=True).line if document is not None and node is not None else None


def _place(document: Document, cell: CellState, *, inside: bool, note: str) -> page.Place | None:
    """Where in its pipeline a cell failed: the parameter that its message begins with, else its step."""
    step = step_of(cell.cell.partition("/")[0])
    if (begin := _line(document, ("steps", step))) is None:
        return None
    lines = document.text.splitlines()
    indent = len(lines[begin - 1]) - len(lines[begin - 1].lstrip())
    end = begin
    while end < len(lines) and (not lines[end].strip() or len(lines[end]) - len(lines[end].lstrip()) > indent):
        end += 1
    mark = of_cell(document, cell)
    hot = mark.line if mark is not None and begin <= mark.line <= end else begin
    first = max(begin, min(hot - _LINES // 2, end - _LINES + 1))
    shown = range(first, min(end, first + _LINES - 1) + 1)
    numbered = [(n, lines[n - 1], n == hot) for n in shown]
    while numbered and not numbered[-1][1].strip():
        numbered.pop()
    return page.Place(document.file, hot, tuple(numbered), inside, note)


def _relative(path: Path) -> str:
    try:
        return str(path.resolve().relative_to(Path.cwd()))
    except ValueError:
        return str(path)


# -- two runs ---------------------------------------------------------------------------------------


def _pairs(one: _Told, was: page.Run, other: _Told, now: page.Run) -> Iterator[page.Pair]:
    """The cells of two runs, side by side; those that differ first where there are too many."""
    before, after = was.cells(), now.cells()
    names = [*after, *(name for name in before if name not in after)]
    pairs = [_pair(name, one, before.get(name), other, after.get(name)) for name in names]
    if len(pairs) > PAIRS:
        pairs = sorted(pairs, key=lambda pair: not pair.changed)[:PAIRS]
    yield from pairs


def _pair(name: str, one: _Told, was: page.Cell | None, other: _Told, now: page.Cell | None) -> page.Pair:
    if was is None or now is None:
        return page.Pair(name, _group(name), was, now, ["only in one of them"])
    asked_then, asked_now = one.requests(name), other.requests(name)
    found = list(changes(asked_then, asked_now)) if asked_then and asked_now else []
    outputs = [each.run.state.cells[name].output for each in (one, other)]
    values = [dict(output.values) if output else {} for output in outputs]
    shas = [[file.sha256 for file in _files(each)] for each in values]
    parts = {
        "state": _end(was) != _end(now),
        "what was asked": bool(found),
        "text": was.text != now.text,
        "data": bool(list(changes(was.data, now.data))),
        "pictures": shas[0] != shas[1] and all(m.media == "image" for m in (*was.media, *now.media)),
        "files": shas[0] != shas[1] and any(m.media != "image" for m in (*was.media, *now.media)),
    }
    changed = [part for part, differs in parts.items() if differs]
    return page.Pair(name, _group(name), was, now, changed, diff_lines([_readable(each) for each in found]))


def _group(cell: str) -> str:
    """The step of a cell, without the keys of what it stands in: ``each/photo`` of ``each[1]/photo[a]``."""
    return re.sub(r"\[[^\]]*\]", "", cell)


def _readable(change: Change) -> Change:
    """A change of a request as an author reads it: the parameter, and a file as a file."""
    path = re.sub(r"^\[\d+\]\.((input|body)\.)?", "", change.path)
    if not path.endswith(".sha256"):
        return Change(path, change.old, change.new)
    return Change(path.removesuffix(".sha256"), {"sha256": change.old}, {"sha256": change.new})


def _end(cell: page.Cell) -> str:
    return "done" if cell.state == "cached" else cell.state
