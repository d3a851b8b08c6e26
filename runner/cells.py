"""What a fanned-out step is multiplied by in, its cells out: each with a key that is unique and safe. Pure."""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Mapping, Sequence

from .errors import StepError, TemplateFailed
from .model import JSON, Artifact, Cell
from .templates import Template, to_text

LIMIT = 1000
"""Cells that a step may have where it does not say ``limit:``. A list that grew by mistake is found before it costs."""

SAFE_KEY = re.compile(r"[A-Za-z0-9._-]{1,80}\Z")


class BadCells(StepError):
    """A step could not be multiplied: no list, too many items, keys that clash."""

    fault = "cells"


def combinations(
    axes: Mapping[str, Sequence[JSON]], include: Sequence[JSON] = (), exclude: Sequence[JSON] = ()
) -> list[dict[str, JSON]]:
    """Every combination of a matrix, the last axis fastest, by the rules of GitHub Actions.

    ``exclude`` drops each combination that has all of an entry's values. An ``include`` entry adds its new fields to
    each combination whose values it does not change, and is a combination of its own where there is none.
    """
    for name, values in axes.items():
        if not isinstance(values, list | tuple):
            msg = f"matrix: {name} must be a list; it is {shown(values)}"
            raise BadCells(msg)
        if not values:
            msg = f"matrix: {name} is empty, so there is nothing to do"
            raise BadCells(msg)
    found = [dict(zip(axes, values, strict=True)) for values in itertools.product(*axes.values())] if axes else []
    found = [c for c in found if not any(_has(c, entry) for entry in exclude)]
    original = [dict(c) for c in found]
    for entry in include:
        if not isinstance(entry, Mapping):
            msg = f"matrix: include needs mappings; {shown(entry)} is none"
            raise BadCells(msg)
        fits = [i for i, c in enumerate(original) if all(c[k] == v for k, v in entry.items() if k in c)]
        for index in fits:
            found[index].update(entry)
        if not fits:
            found.append(dict(entry))
    if not found:
        msg = "matrix: exclude leaves no combination"
        raise BadCells(msg)
    return found


def cells(
    step: str,
    items: Sequence[JSON] | None,
    matrix: Sequence[Mapping[str, JSON]] | None,
    *,
    key: Template | None = None,
    keys: Sequence[str] | None = None,
    names: Mapping[str, JSON],
    limit: int = LIMIT,
) -> list[Cell]:
    """The cells of a step for these items times these combinations, items slowest.

    ``keys`` are those of the cells that the items are; ``key`` is the author's template. `BadCells` names both items
    of a clash.
    """
    count = (1 if items is None else len(items)) * (1 if matrix is None else len(matrix))
    if count > limit:
        msg = f"{count:,} cells are more than the limit of {limit:,}; write limit: {count} if they are meant"
        raise BadCells(msg)
    made: list[Cell] = []
    seen: dict[str, Cell] = {}
    for index, (number, combination) in enumerate(
        itertools.product(
            range(len(items)) if items is not None else (None,), matrix if matrix is not None else (None,)
        )
    ):
        item = items[number] if items is not None and number is not None else None
        name = _key(key, item, number, combination, index, keys, names)
        cell = Cell(step, name, index, item, combination, number or 0)
        if other := seen.get(name):
            msg = (
                f"items {other.index + 1} and {index + 1} have the same key {name}: {shown(_told(other))} and "
                f"{shown(_told(cell))}; write key: with a template that tells them apart"
            )
            raise BadCells(msg)
        seen[name] = cell
        made.append(cell)
    return made


def expand(
    step: str,
    items: Sequence[JSON] | None,
    matrix: Mapping[str, JSON] | None,
    *,
    key: Template | None = None,
    keys: Sequence[str] | None = None,
    limit: int = LIMIT,
    names: Mapping[str, JSON],
) -> list[Cell]:
    """The cells of a step: ``items`` of its ``foreach`` times its rendered ``matrix``; the one of a plain step."""
    if items is None and matrix is None:
        return [Cell(step)]
    axes = {name: values for name, values in (matrix or {}).items() if name not in ("include", "exclude")}
    found = None
    if matrix is not None:
        found = combinations(axes, matrix.get("include", ()), matrix.get("exclude", ()))
    return cells(step, items, found, key=key, keys=keys, names=names, limit=limit)


def items_of(value: JSON) -> Sequence[JSON]:
    """The items of what ``foreach:`` yielded. `BadCells` shows what it was, if it is no list."""
    if isinstance(value, list | tuple):
        return value
    msg = f"foreach needs a list; it is {shown(value)}"
    raise BadCells(msg)


def _key(
    template: Template | None,
    item: JSON,
    number: int | None,
    combination: Mapping[str, JSON] | None,
    index: int,
    keys: Sequence[str] | None,
    names: Mapping[str, JSON],
) -> str:
    if template is not None:
        seen: dict[str, JSON] = {"index": index, "matrix": combination}
        if keys is None:
            seen["item"] = item
        elif number is not None:
            seen["key"] = keys[number]  # of the cell that it follows, whose output is not there yet
        return _said(template, item, index, {**names, **seen})
    parts = []
    if number is not None:
        short = _slug(item) if keys is None and isinstance(item, str) and len(item) <= 80 else ""
        parts.append(keys[number] if keys is not None else short or str(number))
    if combination is not None:
        parts += [_slug(str(value)) for value in combination.values()]
    return "-".join(part for part in parts if part)[:80] or str(index)


def _said(template: Template, item: JSON, index: int, names: Mapping[str, JSON]) -> str:
    try:
        key = to_text(template.render(names))
    except TemplateFailed as err:
        msg = f"key: item {index + 1} ({shown(item)}): {err}"
        raise BadCells(msg) from err
    if not SAFE_KEY.match(key):
        msg = (
            f"key: {key[:90]!r} (item {index + 1}: {shown(item)}) is not a key; "
            "use letters, digits, dots, _ and -, at most 80"
        )
        raise BadCells(msg)
    return key


def _slug(value: JSON) -> str:
    return re.sub(r"[^A-Za-z0-9._-]+", "-", str(value)).strip("-.")[:80]


def _has(combination: Mapping[str, JSON], entry: JSON) -> bool:
    if not isinstance(entry, Mapping):
        msg = f"matrix: exclude needs mappings; {shown(entry)} is none"
        raise BadCells(msg)
    return all(name in combination and combination[name] == value for name, value in entry.items())


def _told(cell: Cell) -> JSON:
    return cell.item if cell.item is not None else cell.matrix


def shown(value: JSON) -> str:
    """A value for a message, cut."""
    if isinstance(value, Artifact):
        return f"a file ({value.media_type})"
    text = json.dumps(value, ensure_ascii=False, default=str)
    what = {str: "the text ", dict: "the mapping ", int: "the integer ", float: "the number "}.get(type(value), "")
    return what + (text if len(text) <= 80 else text[:79] + "…")
