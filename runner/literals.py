"""Rows and values that are written in a pipeline in, what is certain to fail of them out, each at its own place.

Only what every rendering of a template reads counts: what stands behind an ``if``, an ``or`` or a ``default`` may never
be asked for.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches

from jinja2 import nodes

from .catalogue import Model
from .errors import TemplateFailed
from .inference import CELL_NAMES, Inference
from .kinds.kind import COMMON
from .model import JSON, Cell
from .pipeline import Input, Step
from .shape import Shape
from .templates import METHODS, Template, Tree, templates_of

Path = tuple[str | int, ...]
Chain = tuple[str | int, ...]


@dataclass(frozen=True, slots=True)
class Fault:
    """What is wrong with a value, and its place in the pipeline."""

    code: str
    message: str
    path: Path
    instead: str


def reads(template: Template, *, text: bool) -> list[tuple[Chain, bool]]:
    """The names and fields that every rendering reads (``("item", "title")``), and whether each is put into text.

    ``text`` says whether that is what the value of the template is for.
    """
    if any(node.ctx != "load" for node in template.tree.find_all(nodes.Name)):
        return []  # a name that is set here may be one of these
    found: dict[tuple[Chain, bool], None] = {}
    for node in template.tree.body:
        match node:
            case nodes.Output():
                for part in node.nodes:
                    in_text = text or template.expression is None
                    found |= {(chain, in_text and chain == fields_of(part)): None for chain in _read(part)}
            case nodes.If():
                found |= {(chain, False): None for chain in _read(node.test)}
    return list(found)


def steps_needed(tree: Tree) -> list[str]:
    """The steps that every rendering of the templates of a value reads."""
    found = [chain for _, template in templates_of(tree) for chain, _ in reads(template, text=False)]
    return list(dict.fromkeys(str(chain[1]) for chain in found if chain[0] == "steps" and len(chain) > 1))


def _read(node: nodes.Node | None) -> Iterator[Chain]:
    if (chain := fields_of(node)) is not None:
        yield chain
        return
    match node:
        case nodes.CondExpr():
            yield from _read(node.test)
        case nodes.And() | nodes.Or():
            yield from _read(node.left)
        case nodes.Filter():
            yield from _read(node.node) if node.name not in ("default", "d", "items") else ()
        case nodes.Call(node=nodes.Getattr(node=owner)):
            yield from _read(owner)
        case nodes.Compare():
            yield from _read(node.expr) if node.ops[0].op not in ("in", "notin") else ()
            yield from _read(node.ops[0].expr)
        case nodes.BinExpr() | nodes.UnaryExpr() | nodes.Concat():
            for child in node.iter_child_nodes():
                yield from _read(child)


# -- rows -----------------------------------------------------------------------------------------------


def rows(step: Step, templates: Sequence[tuple[Template, bool]], cells: Sequence[Cell] | None) -> Iterator[Fault]:
    """Rows of ``foreach:`` and combinations of ``matrix:`` that lack what the templates of their step read.

    Beside each template stands whether a text is made of it.
    """
    chains = list(dict.fromkeys(read for template, text in templates for read in reads(template, text=text)))
    listed = step.foreach if isinstance(step.foreach, list) and not any(templates_of(step.foreach)) else []
    told: set[Path] = set()
    for (root, *fields), in_text in chains:
        if root != "item":
            continue
        faults = [
            fault for number, row in enumerate(listed) if (fault := _lacks(step, number, row, fields, in_text=in_text))
        ]
        for fault in faults[:1] if len(faults) == len(listed) else faults:
            if fault.path not in told:
                told.add(fault.path)
                yield fault
    if cells is None:
        return
    for field in dict.fromkeys(chain[1] for chain, _ in chains if chain[0] == "matrix" and len(chain) > 1):
        lacking = [cell for cell in cells if cell.matrix is not None and field not in cell.matrix]
        where = [n for n, entry in enumerate((step.matrix or {}).get("include", ())) if field in entry]
        if lacking and where:
            message = f"The cell {lacking[0].key} has no matrix.{field}: it is not in every combination."
            cure = f"Write matrix.{field} | default('…') where it is read, or give each combination one."
            yield Fault("unknown-field", message, ("steps", step.id, "matrix", "include", where[0], field), cure)


def _lacks(step: Step, number: int, row: JSON, fields: Sequence[str | int], *, in_text: bool) -> Fault | None:
    """Why a row has not what is read of it."""
    path: Path = ("steps", step.id, "foreach", number)
    if row is None and (fields or in_text):
        return Fault("value", "This row is empty.", path, "Write its value, or remove it.")
    for field in fields:
        if isinstance(row, Mapping) and field in row:
            path, row = (*path, field), row[field]
        elif isinstance(row, Mapping):
            if field in METHODS[dict]:
                return None
            near = get_close_matches(str(field), list(row), n=1)
            cure = f"Write {field}: for {near[0]}:." if near else f"Add {field}:."
            return Fault("unknown-field", f"{_owner(path)} has no {field}, which the step reads.", path, cure)
        elif isinstance(row, list | str) and isinstance(field, int):
            return None
        else:
            message = f"{_owner(path)} is {Shape({'const': row})}; the step reads its {field}."
            return Fault("unknown-field", message, path, f"Write {{{field}: …}}.")
    return None


def _owner(path: Path) -> str:
    return "This row" if len(path) == 4 else str(path[-1])


# -- values for models ----------------------------------------------------------------------------------


def misfits(
    step: Step,
    model: Model,
    params: Mapping[str, tuple[Tree, Path]],
    inferred: Mapping[int, Inference],
    cells: Sequence[Cell] | None,
    inputs: Mapping[str, Input],
) -> Iterator[Fault]:
    """Values of lists, of axes and of defaults that the model does not take. ``params`` have their places."""
    defaults = {name: each.default for name, each in inputs.items() if not each.required and each.default is not None}
    known = {"inputs", *CELL_NAMES} - ({"item"} if isinstance(step.foreach, Template) else set())
    found: dict[Path, Fault] = {}
    for name, (tree, place) in params.items():
        if not isinstance(tree, Template) or name in COMMON or not model.takes(name):
            continue
        inference = inferred[id(tree)]
        if inference.findings or inference.all_inputs or not inference.names <= known:
            continue
        by_cell = not inference.names.isdisjoint(CELL_NAMES)
        for cell in (cells or ()) if by_cell else (Cell(step.id),):
            own = {"item": cell.item, "index": cell.index, "key": cell.key, "matrix": cell.matrix} if by_cell else {}
            try:
                value = tree.render({"inputs": defaults, **own})
            except TemplateFailed:
                continue
            at = _place(step, tree, cell) or place
            for wrong in model.wrong({name: value}) if value is not None else ():
                found.setdefault(at, Fault("model-value", wrong.message, at, wrong.instead))
    yield from found.values()


def _place(step: Step, template: Template, cell: Cell) -> Path | None:
    """Where the value is written that a template reads for a cell; None where it makes one itself."""
    match fields_of(template.expression):
        case ("item", *fields):
            return ("steps", step.id, "foreach", cell.source, *fields)
        case ("inputs", str() as name):
            return ("inputs", name, "default")
        case ("matrix", str() as axis):
            matrix, value = step.matrix or {}, (cell.matrix or {})[axis]
            if value in matrix.get(axis, ()):
                return ("steps", step.id, "matrix", axis, matrix[axis].index(value))
            entries = [n for n, entry in enumerate(matrix.get("include", ())) if entry.get(axis) == value]
            return ("steps", step.id, "matrix", "include", entries[0], axis)
    return None


def fields_of(node: nodes.Node | None) -> Chain | None:
    """A name and the fields and items that are read from it: ``("item", "title")``; None if it is anything else."""
    match node:
        case nodes.Name():
            return (node.name,)
        case (
            nodes.Getattr(node=owner, attr=field)
            | nodes.Getitem(node=owner, arg=nodes.Const(value=str() | int() as field))
        ):
            before = fields_of(owner)
            return (*before, field) if before is not None else None
    return None
