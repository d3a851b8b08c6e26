"""The outputs of a run, from what its steps yielded: values by name, and why each that is missing is."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from .checking import CELL_NAME, cell_name
from .errors import StepError
from .inference import steps_read
from .missing import SkippedRead, listed
from .model import JSON, Cells, Outputs
from .templates import Tree, render_tree, templates_of


def outputs_of(
    outputs: Mapping[str, Tree], names: Mapping[str, JSON]
) -> tuple[dict[str, JSON], dict[str, str], frozenset[str]]:
    """Render what can be rendered. A name with ``{key}`` or ``{index}`` stands for one output of each cell.

    Gives back the values, why each of the others is not there, and which of those are not because steps were skipped.
    """
    values: dict[str, JSON] = {}
    missing: dict[str, str] = {}
    skipped: set[str] = set()
    of: dict[str, str] = {}
    for name, tree in outputs.items():
        wrong: list[_Wrong] = []
        for one, seen, other in _each(name, tree, names):
            if one in of:
                wrong.append(_Wrong(one, f"it is a name of {of[one]} too; rename one, which costs nothing"))
                continue
            of[one] = name
            try:
                value = render_tree(tree, seen)
                if not CELL_NAME.search(one):  # else there are no cells, and nothing to be made
                    values[one] = value
            except StepError as err:
                why = _why(one, err, _read(tree), seen["steps"])
                wrong.append(replace(why, why=other) if other and not why.skipped else why)
        if wrong:
            told = next((each for each in wrong if not each.skipped), wrong[0])
            more = f" and {len(wrong) - 1} more" if len(wrong) > 1 else ""
            missing[name] = f"{told.one}{more}: {told.why}" if told.one != name else told.why
            skipped |= {name} if told.skipped else set()
    return values, missing, frozenset(skipped)


def unended(outputs: Mapping[str, Tree], names: Mapping[str, JSON]) -> dict[str, set[str]]:
    """The outputs that lack nothing but steps which have not ended, and those steps."""
    steps: Outputs = names["steps"]
    found = {}
    for name, tree in outputs.items():
        lacking = {step for step in _read(tree) if step not in steps and steps.absent.get(step) != "skipped"}
        if lacking and not lacking & steps.absent.keys():
            found[name] = lacking
    return found


@dataclass(frozen=True, slots=True)
class _Wrong:
    """Why an output, or that of one cell, is not there."""

    one: str
    why: str
    skipped: bool = False


def _why(one: str, err: StepError, read: Sequence[str], steps: Outputs) -> _Wrong:
    if isinstance(err.__cause__, SkippedRead):
        return _Wrong(one, str(err.__cause__).partition("; ")[0].removeprefix("steps."), skipped=True)
    absent = sorted(step for step in read if step not in steps and steps.absent.get(step) != "skipped")
    return _Wrong(one, f"it needs {', '.join(absent)}" if absent else str(err))


def _each(name: str, tree: Tree, names: Mapping[str, JSON]) -> Iterator[tuple[str, Mapping[str, JSON], str]]:
    """The names of an output, each with what its templates may name: in a cell's, its steps are their cells.

    The third says which of its steps has no cell of that key; it is empty where each has one, however it ended.
    Of what yielded nothing only what was skipped has a default: what failed is wanting.
    """
    steps: Outputs = names["steps"]
    skipped = {step: end for step, end in steps.absent.items() if end == "skipped"}
    fanned_out = [step for step in _read(tree) if isinstance(steps.get(step), Cells)]
    if not CELL_NAME.search(name) or not fanned_out:
        yield name, {**names, "steps": Outputs(steps, skipped)}, ""
        return
    for cell in min((steps[step] for step in fanned_out), key=len):
        key = cell["key"]
        own = {step: _with_key(steps[step], key) for step in fanned_out}
        there = {step: found for step, found in own.items() if found is not None}
        others = {step: found for step, found in steps.items() if step not in own}
        ends = {step: "skipped" for step in own if steps[step].absent.get(key) == "skipped"}
        lacking = next((step for step in own if key not in steps[step].keys), None)
        why = f"{lacking} has no cell {key}; {listed('it has', steps[lacking].keys)}" if lacking is not None else ""
        seen = {**names, "steps": Outputs({**others, **there}, {**skipped, **ends})}
        yield cell_name(name, key, cell["index"]), seen, why


def _read(tree: Tree) -> list[str]:
    """The steps that the templates of an output read."""
    return sorted({step for _, template in templates_of(tree) for step in steps_read(template)})


def _with_key(cells: Cells, key: str) -> JSON:
    return next((cell for cell in cells if cell["key"] == key), None)
