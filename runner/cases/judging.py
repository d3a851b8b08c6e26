"""What came of a run in, every expectation that does not hold out: where it stands, what came instead."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from jsonschema import Draft202012Validator

from ..errors import NotCanned, Problem, StepError, one_line
from ..events import CellState, RunState
from ..model import JSON, Artifact, json_line, step_of
from ..templates import to_text
from ..validate import explain
from .case import Case, Path, output_named
from .schema import STEP

CODE = "expected"
_MOST = 200
"""Characters of a value that are shown."""
_RUN_FAILED = ("failed", "blocked", "cancelled")


@dataclass(frozen=True, slots=True)
class Ended:
    """A run that has ended: its state, its outputs by name (files as `Artifact`), why each missing one is."""

    state: RunState
    outputs: Mapping[str, JSON]
    missing: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Tried:
    """A case that was run: every expectation that does not hold, and what the run took."""

    case: Case
    faults: tuple[Problem, ...]
    seconds: float
    cost: float
    notes: tuple[str, ...] = ()
    """What else is to be said of the run, a sentence each."""


@dataclass(frozen=True, slots=True)
class _Fault:
    """Something that does not hold, of the expectation at ``path`` in what is said of a value."""

    path: Path
    message: str
    got: str = ""


def judge(case: Case, ended: Ended) -> list[Problem]:
    """Every expectation of a case that does not hold, in the order of the file."""
    faults = list(_not_canned(ended.state)) or [
        *_run(case, ended),
        *_steps(case, ended.state),
        *_outputs(case, ended),
    ]
    return [
        Problem(
            CODE,
            fault.message,
            case.document.mark((*case.path, *fault.path), key=len(fault.path) < 3 and fault.path[:1] != ("expect",)),
            fault.got,
        )
        for fault in faults
    ]


def _not_canned(state: RunState) -> Iterator[_Fault]:
    """Steps that would have called somebody: what came of the run then says nothing."""
    for cell in state.cells.values():
        if cell.fault == NotCanned.fault:
            cure = f"Add {step_of(cell.cell)}: with its output under canned:."
            yield _Fault(("mode", "canned"), _sentence(cell.message.replace("it would", f"{cell.cell} would", 1)), cure)


def _run(case: Case, ended: Ended) -> Iterator[_Fault]:
    state = ended.state
    wanted = case.expect.get("state")
    outcome = "done" if state.outcome == "done" else "failed"
    expects_failure = any(said.get("state") in _RUN_FAILED for said in case.expect.get("steps", {}).values())
    lacks = any(said.get("state") == "missing" for said in case.expect.get("outputs", {}).values())
    if wanted is None and outcome == "failed" and not expects_failure and not lacks:
        yield _Fault((), "The run failed, and the case does not expect that.", _why(ended))
    elif wanted is not None and wanted != outcome:
        yield _Fault(("expect", "state"), f"The run is {outcome}, not {wanted}.", _why(ended))
    yield from _under(("expect", "cost"), _range("The run costs", state.cost, case.expect.get("cost"), " USD"))


def _why(ended: Ended) -> str:
    """What went wrong in a run, from the first cell that failed."""
    for cell in ended.state.cells.values():
        if cell.state == "failed":
            return f"{cell.cell}: {cell.message}."
    for name, why in ended.missing.items():
        return f"{name} was not made: {why}."
    return ""


# -- steps ------------------------------------------------------------------------------------------


def _steps(case: Case, state: RunState) -> Iterator[_Fault]:
    for name, said in case.expect.get("steps", {}).items():
        path: Path = ("expect", "steps", name)
        cells = [cell for cell in state.cells.values() if _names(name, cell.cell)]
        if "cells" in said:
            count = len(cells) if any(cell.cell.endswith("]") for cell in cells) else 0
            yield from _under((*path, "cells"), _count(name, count, said["cells"], "cell"))
        cost = sum(cell.cost for cell in cells)
        yield from _under((*path, "cost"), _range(f"{name} costs", cost, said.get("cost"), " USD"))
        others = {word: wanted for word, wanted in said.items() if word not in ("cells", "cost")}
        if others and not cells:
            there = ", ".join(cell.cell for cell in state.cells.values() if step_of(cell.cell) == step_of(name))
            yield _Fault(path, f"{name} did not run.", f"There are {there}." if there else "")
        for cell in cells:
            yield from _under(path, _cell(case, name, cell, others))


def _names(name: str, cell: str) -> bool:
    """Whether a cell is meant by a name that may leave out keys: ``photo[red]`` by ``photo``."""
    wanted, parts = name.split("/"), cell.split("/")
    return len(wanted) == len(parts) and all(w in (p, step_of(p)) for w, p in zip(wanted, parts, strict=True))


def _cell(case: Case, name: str, cell: CellState, said: Mapping[str, JSON]) -> Iterator[_Fault]:
    state = "done" if cell.state == "cached" else cell.state
    if "state" in said and state != said["state"]:
        yield _Fault(("state",), f"{cell.cell} is {state}, not {said['state']}.", _sentence(cell.message))
        return
    if "message" in said:
        yield from _under(("message",), _value(f"The message of {cell.cell}", cell.message, said["message"]))
    for word, wanted in said.items():
        if word in STEP:
            continue
        if cell.output is None:
            yield _Fault((word,), f"{cell.cell} is {state} and has no {word}.", _sentence(cell.message))
            continue
        try:
            scope = {"steps": {step_of(cell.cell.rpartition("/")[2]): cell.output.scope()}}
            value = case.fields[f"{name}.{word}"].render(scope)
        except StepError as err:
            yield _Fault((word,), f"{cell.cell} has no {word}.", _sentence(str(err)))
            continue
        yield from _under((word,), _value(f"{cell.cell}.{word}", value, wanted))


# -- outputs ----------------------------------------------------------------------------------------


def _outputs(case: Case, ended: Ended) -> Iterator[_Fault]:
    for name, said in case.expect.get("outputs", {}).items():
        path: Path = ("expect", "outputs", name)
        made = {each: value for each, value in ended.outputs.items() if output_named(each, [name]) is not None}
        wanted = {word: value for word, value in said.items() if word != "state"}
        if said.get("state") == "missing":
            if made:
                yield _Fault((*path, "state"), f"{name} is made, and is not to be.")
        elif not made:
            why = f"{name}: {ended.missing[name]}" if name in ended.missing else _there_are(ended)
            yield _Fault(path, f"{name} was not made.", _sentence(why))
        for each, value in made.items() if said.get("state") != "missing" else ():
            yield from _under(path, _value(each, value, wanted))


def _there_are(ended: Ended) -> str:
    return f"There are {', '.join(ended.outputs)}" if ended.outputs else "There are no outputs"


# -- values -----------------------------------------------------------------------------------------


def _under(path: Path, faults: Iterator[_Fault]) -> Iterator[_Fault]:
    for fault in faults:
        yield _Fault((*path, *fault.path), fault.message, fault.got)


def _value(name: str, value: JSON, said: Mapping[str, JSON]) -> Iterator[_Fault]:
    """What is said of a value and does not hold. That it can be said of it at all was checked when it was read."""
    if said.keys() & {"size", "width", "height", "type", "bytes", "seconds"} and not isinstance(value, Artifact):
        yield _Fault((), f"{name} is no file.", f"It is {_shown(value)}.")
        return
    for word, wanted in said.items():
        yield from _under((word,), _WORDS[word](name, value, wanted))


def _is(name: str, value: JSON, wanted: JSON) -> Iterator[_Fault]:
    if value != wanted or isinstance(value, bool) != isinstance(wanted, bool):
        yield _Fault((), f"{name} is not {_shown(wanted)}.", f"It is {_shown(value)}.")


def _contains(name: str, value: JSON, wanted: JSON) -> Iterator[_Fault]:
    for each in _list(wanted):
        if not _holds(value, each):
            yield _Fault((), f"{name} does not contain {_shown(each)}.", f"It is {_shown(value)}.")


def _lacks(name: str, value: JSON, wanted: JSON) -> Iterator[_Fault]:
    for each in _list(wanted):
        if _holds(value, each):
            yield _Fault((), f"{name} contains {_shown(each)}, and is not to.", f"It is {_shown(value)}.")


def _holds(value: JSON, part: str) -> bool:
    if isinstance(value, list):
        return any(item == part or str(item) == part for item in value)
    return part in _text(value)


def _matches(name: str, value: JSON, wanted: str) -> Iterator[_Fault]:
    if re.search(wanted, _text(value)) is None:
        yield _Fault((), f"{name} does not match {wanted}.", f"It is {_shown(value)}.")


def _words(name: str, value: JSON, wanted: JSON) -> Iterator[_Fault]:
    yield from _count(name, len(_text(value).split()), wanted, "word")


def _items(name: str, value: JSON, wanted: JSON) -> Iterator[_Fault]:
    if not isinstance(value, list):
        yield _Fault((), f"{name} is no list.", f"It is {_shown(value)}.")
        return
    yield from _count(name, len(value), wanted, "item")


def _number(name: str, value: JSON, wanted: Mapping[str, float]) -> Iterator[_Fault]:
    if isinstance(value, bool) or not isinstance(value, int | float):
        yield _Fault((), f"{name} is no number.", f"It is {_shown(value)}.")
        return
    yield from _range(f"{name} is", value, wanted)


def _schema(name: str, value: JSON, wanted: JSON) -> Iterator[_Fault]:
    for error in Draft202012Validator(wanted).iter_errors(value):
        where = name + "".join(f"[{p}]" if isinstance(p, int) else f".{p}" for p in error.absolute_path)
        message, _ = explain(error, where)
        yield _Fault((), message, f"It is {_shown(error.instance)}.")


def _size(name: str, value: Artifact, wanted: str) -> Iterator[_Fault]:
    if (size := f"{value.width}x{value.height}") != wanted:
        yield _Fault((), f"{name} is {size}, not {wanted}.")


def _width(name: str, value: Artifact, wanted: JSON) -> Iterator[_Fault]:
    yield from _count(name, value.width or 0, wanted, "pixel", "wide")


def _height(name: str, value: Artifact, wanted: JSON) -> Iterator[_Fault]:
    yield from _count(name, value.height or 0, wanted, "pixel", "high")


def _bytes(name: str, value: Artifact, wanted: JSON) -> Iterator[_Fault]:
    yield from _count(name, value.bytes, wanted, "byte")


def _type(name: str, value: Artifact, wanted: str) -> Iterator[_Fault]:
    family, _, kind = value.media_type.partition("/")
    alike = {value.media_type, kind, value.suffix[1:], f"{family}/{value.suffix[1:]}"}
    if wanted not in alike:
        yield _Fault((), f"{name} is {value.media_type}, not {wanted}.")


def _seconds(name: str, value: Artifact, wanted: Mapping[str, float]) -> Iterator[_Fault]:
    if value.seconds is None:
        yield _Fault((), f"How long {name} plays is not known.")
        return
    yield from _range(f"{name} plays", value.seconds, wanted, " s")


def _count(name: str, count: int, wanted: JSON, unit: str, how: str = "") -> Iterator[_Fault]:
    """A count that is said, or bounds of it."""
    has = f"{name} is" if how else f"{name} has"
    told = f"{count} {unit}{'s' * (count != 1)}{f' {how}' * bool(how)}"
    if isinstance(wanted, Mapping):
        for word, holds in _bounds(count, wanted):
            if not holds:
                yield _Fault((word,), f"{has} {told}, not {word.replace('_', ' ')} {wanted[word]:g}.")
    elif count != wanted:
        yield _Fault((), f"{has} {told}, not {wanted}.")


def _range(what: str, value: float, wanted: Mapping[str, float] | None, unit: str = "") -> Iterator[_Fault]:
    for word, holds in _bounds(value, wanted or {}):
        if not holds:
            assert wanted is not None
            yield _Fault((word,), f"{what} {value:.6g}{unit}, not {word.replace('_', ' ')} {wanted[word]:g}.")


def _bounds(value: float, wanted: Mapping[str, float]) -> Iterator[tuple[str, bool]]:
    holds = {"at_least": float.__ge__, "at_most": float.__le__, "above": float.__gt__, "below": float.__lt__}
    for word, bound in wanted.items():
        yield word, holds[word](float(value), float(bound))


_WORDS = {"is": _is, "contains": _contains, "lacks": _lacks, "matches": _matches, "words": _words, "items": _items,
          "number": _number, "schema": _schema, "size": _size, "width": _width, "height": _height, "type": _type,
          "bytes": _bytes, "seconds": _seconds}  # fmt: skip


def _text(value: JSON) -> str:
    """The text of a value as templates would write it, and a text for what they would refuse."""
    if value is None:
        return ""
    try:
        return to_text(value)
    except StepError:
        return json_line(value)


def _shown(value: JSON) -> str:
    if value is None:
        return "empty"
    if isinstance(value, Artifact):
        return f"a file, {value.media_type}"
    text = one_line(_text(value), _MOST)
    return f'"{text}"' if isinstance(value, str) else text


def _sentence(text: str) -> str:
    return f"{text}." if text and not text.endswith(".") else text


def _list(value: JSON) -> Sequence[JSON]:
    return value if isinstance(value, list) else [value]
