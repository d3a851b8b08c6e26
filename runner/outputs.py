"""The outputs of a run, from what its steps yielded: values by name, and why each that is missing is."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from .checking import CELL_NAME, cell_name
from .errors import StepError
from .inference import steps_read
from .model import JSON, Cells, Outputs
from .templates import Tree, render_tree, templates_of


def outputs_of(outputs: Mapping[str, Tree], names: Mapping[str, JSON]) -> tuple[dict[str, JSON], dict[str, str]]:
    """Render what can be rendered. A name with ``{key}`` or ``{index}`` stands for one output of each cell."""
    values: dict[str, JSON] = {}
    missing: dict[str, str] = {}
    of: dict[str, str] = {}
    for name, tree in outputs.items():
        try:
            for one, seen in _each(name, tree, names):
                if one in of:
                    missing[name] = f"{one} is a name of {of[one]} too; rename one, which costs nothing"
                    continue
                of[one] = name
                values[one] = render_tree(tree, seen)
        except StepError as err:
            read = {step for _, template in templates_of(tree) for step in steps_read(template)}
            absent = sorted(read - set(names["steps"]))
            missing[name] = f"it needs {', '.join(absent)}" if absent else str(err)
    return values, missing


def _each(name: str, tree: Tree, names: Mapping[str, JSON]) -> Iterator[tuple[str, Mapping[str, JSON]]]:
    """The names of an output, each with what its templates may name: in a cell's, its steps are their cells."""
    if not CELL_NAME.search(name):
        yield name, names
        return
    steps = names["steps"]
    read = {step for _, template in templates_of(tree) for step in steps_read(template)}
    fanned_out = [step for step in read if isinstance(steps.get(step), Cells)]
    cells = min((steps[step] for step in fanned_out), key=len, default=())
    for cell in cells:
        own = {step: found for step in fanned_out if (found := _with_key(steps[step], cell["key"])) is not None}
        yield cell_name(name, cell["key"], cell["index"]), {**names, "steps": Outputs({**steps, **own}, steps.absent)}


def _with_key(cells: Cells, key: str) -> JSON:
    return next((cell for cell in cells if cell["key"] == key), None)
