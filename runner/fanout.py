"""What a fanned-out step is to templates: the shape of its cells, the names that they see, the step they follow."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from jinja2 import nodes

from .cells import LIMIT, expand, items_of
from .errors import StepError
from .inference import CELL_NAMES, infer
from .model import JSON, Cell
from .pipeline import Step
from .shape import ANY, Shape
from .templates import Template, Tree, templates_of

CLOSED: JSON = {"type": "object", "additionalProperties": False}
"""The schema of a mapping that has no other fields than those it lists."""


def cells_shape(output: JSON, names: Mapping[str, Shape], keys: Sequence[str] | None = None) -> JSON:
    """The shape of ``steps.x`` for a fanned-out step, of which ``keys`` are known or not."""
    own = {name: names[name].alone if name in names else {"type": "null"} for name in CELL_NAMES}
    cell = {**output, "properties": {**output["properties"], **own}} if "properties" in output else {}
    return {"type": "array", "items": cell, "$cells": True, **({"$keys": keys} if keys is not None else {})}


def known_cells(steps: Mapping[str, Step]) -> dict[str, list[Cell] | None]:
    """The cells of the fanned-out steps, where the file says all of them; None where only a run will know."""
    known: dict[str, list[Cell] | None] = {}
    for step in steps.values():
        chain = [step]  # each follows the one after it, as far as that is not known yet
        while (source := followed(chain[-1], steps)) is not None and source not in known:
            if steps[source] in chain:
                break
            chain.append(steps[source])
        for each in reversed(chain):
            if each.fanned_out and each.id not in known:
                known[each.id] = _known_cells(each, steps, known)
    return known


def _known_cells(step: Step, steps: Mapping[str, Step], known: Mapping[str, list[Cell] | None]) -> list[Cell] | None:
    source = followed(step, steps)
    keys: list[str] | None = None
    items = step.foreach
    if source is not None:
        found = known.get(source)
        if found is None or step.key is not None or source in (*step.needs, *step.after):
            return None
        keys, items = [str(cell.key) for cell in found], [None] * len(found)
    if any(True for tree in (items, step.matrix) for _ in templates_of(tree)):
        return None
    try:
        items = items_of(items) if items is not None else None
        return expand(step.id, items, step.matrix, key=step.key, keys=keys, limit=step.limit or LIMIT, names={})
    except (StepError, TypeError, ValueError):
        return None  # which is told where it is checked, or what the key reads only a run will know


def cell_names(step: Step, names: Mapping[str, Shape]) -> dict[str, Shape]:
    """What the templates of a fanned-out step may name besides."""
    matrix = step.matrix or {}
    combination = {n: _items(tree, names).alone for n, tree in matrix.items() if n not in ("include", "exclude")}
    include = matrix.get("include", [])
    included = not isinstance(include, list) or not all(isinstance(entry, dict) for entry in include)
    for entry in [] if included else include:
        for name, tree in entry.items():
            shape = {} if any(True for _ in templates_of(tree)) else _shape_of(tree)
            combination[name] = shape if combination.get(name, shape) == shape else {}
    return {
        **({"item": _items(step.foreach, names)} if step.foreach is not None else {}),
        "index": Shape({"type": "integer"}),
        "key": Shape({"type": "string"}),
        "matrix": Shape({**CLOSED, "properties": combination, "additionalProperties": included}),
    }


def _items(tree: Tree, names: Mapping[str, Shape]) -> Shape:
    """The shape of the items of a list, as far as it is known."""
    if isinstance(tree, Template):
        shape = infer(tree, names).shape
        return shape.items if "array" in shape.types else ANY  # which is no list, and told
    if not isinstance(tree, list) or any(True for _ in templates_of(tree)):
        return ANY
    shapes = [_shape_of(value) for value in tree]
    if shapes and all(isinstance(value, dict) for value in tree):
        return Shape(_rows_shape(shapes))
    return Shape(shapes[0]) if shapes and all(shape == shapes[0] for shape in shapes) else ANY


def _rows_shape(shapes: Sequence[JSON]) -> JSON:
    """Of rows that are mappings: a field of one may be read, and whether each has it is told at the rows."""
    found: dict[str, JSON] = {}
    for name, shape in [pair for each in shapes for pair in each["properties"].items()]:
        found[name] = shape if found.get(name, shape) == shape else {}
    return {**CLOSED, "properties": found, "$rows": True}


def _shape_of(value: JSON) -> JSON:
    if isinstance(value, dict):
        return {**CLOSED, "properties": {name: _shape_of(inner) for name, inner in value.items()}}
    return {"type": next(iter(Shape({"const": value}).types))}


def followed(step: Step, steps: Mapping[str, Step]) -> str | None:
    """The step whose cells this one follows: ``foreach`` is that fanned-out step and nothing else."""
    expression = step.foreach.expression if isinstance(step.foreach, Template) else None
    match expression:
        case nodes.Getattr(node=nodes.Name(name="steps"), attr=name):
            pass
        case nodes.Getitem(node=nodes.Name(name="steps"), arg=nodes.Const(value=name)):
            pass
        case _:
            return None
    return name if name in steps and steps[name].fanned_out and name != step.id else None
