"""What a fanned-out step is to templates: the shape of its cells, the names that they see, the step they follow."""

from __future__ import annotations

from collections.abc import Mapping

from jinja2 import nodes

from .inference import CELL_NAMES, infer
from .model import JSON
from .pipeline import Step
from .shape import ANY, Shape
from .templates import Template, Tree, templates_of

CLOSED: JSON = {"type": "object", "additionalProperties": False}
"""The schema of a mapping that has no other fields than those it lists."""


def cells_shape(output: JSON, names: Mapping[str, Shape]) -> JSON:
    """The shape of ``steps.x`` for a fanned-out step."""
    own = {name: names[name].alone for name in CELL_NAMES}
    cell = {**output, "properties": {**output["properties"], **own}} if "properties" in output else {}
    return {"type": "array", "items": cell, "$cells": True}


def cell_names(step: Step, names: Mapping[str, Shape]) -> dict[str, Shape]:
    """What the templates of a fanned-out step may name besides."""
    axes = {name: _items(tree, names).alone for name, tree in (step.matrix or {}).items()}
    included = any(name in axes for name in ("include", "exclude"))
    combination = {n: s for n, s in axes.items() if n not in ("include", "exclude")}
    return {
        "item": _items(step.foreach, names),
        "index": Shape({"type": "integer"}),
        "key": Shape({"type": "string"}),
        "matrix": Shape({**CLOSED, "properties": combination, "additionalProperties": included}),
    }


def _items(tree: Tree, names: Mapping[str, Shape]) -> Shape:
    """The shape of the items of a list, as far as it is known."""
    if isinstance(tree, Template):
        return infer(tree, names).shape.items
    if not isinstance(tree, list) or any(True for _ in templates_of(tree)):
        return ANY
    shapes = [_shape_of(value) for value in tree]
    return Shape(shapes[0]) if shapes and all(shape == shapes[0] for shape in shapes) else ANY


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
