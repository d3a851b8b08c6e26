"""What a fanned-out step is multiplied by in, its cells out: each with a key that is unique and safe. Pure."""

from __future__ import annotations

import itertools
import json
import re
import unicodedata
from collections.abc import Mapping, Sequence

from .errors import StepError, TemplateFailed
from .model import JSON, Artifact, Cell, json_line
from .templates import Template, to_text

LIMIT = 1000
"""Cells that a step may have where it does not say ``limit:``. A list that grew by mistake is found before it costs."""

SAFE_KEY = re.compile(r"(?!\.+\Z)[A-Za-z0-9._-]{1,80}\Z")
"""Keys stand in the names of files, where one of dots only would be another folder."""


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
    axes: Mapping[str, Sequence[JSON]] | None = None,
) -> list[Cell]:
    """The cells of a step for these items times these combinations, items slowest.

    ``keys`` are those of the cells that the items are; ``key`` is the author's template; ``axes`` are what the
    combinations are of. `BadCells` names both items of a clash.
    """
    count = (1 if items is None else len(items)) * (1 if matrix is None else len(matrix))
    if count > limit:
        msg = f"{count:,} cells are more than the limit of {limit:,}; write limit: {count} if they are meant"
        raise BadCells(msg)
    made: list[Cell] = []
    seen: dict[str, Cell] = {}
    words = _words(axes or {}, matrix or ())
    for index, (number, combination) in enumerate(
        itertools.product(
            range(len(items)) if items is not None else (None,), matrix if matrix is not None else (None,)
        )
    ):
        item = items[number] if items is not None and number is not None else None
        if key is not None:
            own: dict[str, JSON] = {"index": index, "matrix": combination}
            if keys is None:
                own["item"] = item
            elif number is not None:
                own["key"] = keys[number]  # of the cell that it follows, whose output is not there yet
            name = _said(key, item, index, {**names, **own})
        else:
            told = [words[axis, json_line(value)] for axis, value in (combination or {}).items()]
            name = _key(item, number, keys, told) or str(index)
        cell = Cell(step, name, index, item, combination, number or 0)
        if other := seen.get(name.lower()):
            raise _clash(other, cell)
        seen[name.lower()] = cell
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
    return cells(step, items, found, key=key, keys=keys, names=names, limit=limit, axes=axes)


def items_of(value: JSON) -> Sequence[JSON]:
    """The items of what ``foreach:`` yielded. `BadCells` shows what it was, if it is no list."""
    if isinstance(value, list | tuple):
        return value
    msg = f"foreach needs a list; it is {shown(value)}"
    raise BadCells(msg)


def _key(item: JSON, number: int | None, keys: Sequence[str] | None, words: Sequence[tuple[str, str]]) -> str:
    """The key of a cell whose author gives none: what it is of in words, or by number where there are none.

    ``words`` are those of its combination. Where they are too long together, the longest give way to their numbers.
    """
    parts = list(words)
    if number is not None:
        own = keys[number] if keys is not None else _word(item, number) if isinstance(item, str) else str(number)
        parts.insert(0, (own, str(number)))
    told = [word for word, _ in parts]
    for longest in sorted(range(len(parts)), key=lambda n: -len(told[n])):
        if len("-".join(told)) > 80:
            told[longest] = parts[longest][1]
    return "-".join(told)[:80]


def _words(
    axes: Mapping[str, Sequence[JSON]], combinations: Sequence[Mapping[str, JSON]]
) -> dict[tuple[str, str], tuple[str, str]]:
    """What each value of a matrix is in keys, by axis and `json_line`: in a word, and by its place in the axis.

    What ``include:`` brings follows what the axis has.
    """
    values = [(name, value) for name, axis in axes.items() for value in axis]
    values += [pair for combination in combinations for pair in combination.items()]
    found: dict[tuple[str, str], tuple[str, str]] = {}
    places: dict[str, int] = {}
    for name, value in values:
        if (name, line := json_line(value)) not in found:
            place = places[name] = places.get(name, -1) + 1
            found[name, line] = (_word(value, place), str(place))
    return found


def _word(value: JSON, place: int) -> str:
    """A text, a number, true, false or null as it stands in a key; anything else, or what is long, is its place."""
    if isinstance(value, str | int | float) or value is None:
        text = _plain(value) if isinstance(value, str) else json.dumps(value)
        if len(text) <= 80 and (word := re.sub(r"[^A-Za-z0-9._-]+", "-", text).strip("-.")):
            return word
    return str(place)


_LETTERS = str.maketrans(
    {"ß": "ss", "æ": "ae", "Æ": "Ae", "ø": "o", "Ø": "O", "œ": "oe", "Œ": "Oe", "ł": "l", "Ł": "L"}
)


def _plain(text: str) -> str:
    """Latin letters without what stands above and below them: ``grun`` for ``grün``. Others stay as they are."""
    return "".join(c for c in unicodedata.normalize("NFKD", text.translate(_LETTERS)) if not unicodedata.combining(c))


def _said(template: Template, item: JSON, index: int, names: Mapping[str, JSON]) -> str:
    try:
        key = to_text(template.render(names))
    except TemplateFailed as err:
        msg = f"key: item {index + 1} ({shown(item)}): {err}"
        raise BadCells(msg) from err
    if not SAFE_KEY.match(key):
        cure = "use letters, digits, dots, _ and -, at most 80"
        if SAFE_KEY.match(f"{key}x"):
            cure = "add a letter or a digit: dots alone are another folder"
        msg = f"key: {key[:90]!r} (item {index + 1}: {shown(item)}) is not a key; {cure}"
        raise BadCells(msg)
    return key


def _has(combination: Mapping[str, JSON], entry: JSON) -> bool:
    if not isinstance(entry, Mapping):
        msg = f"matrix: exclude needs mappings; {shown(entry)} is none"
        raise BadCells(msg)
    return all(name in combination and combination[name] == value for name, value in entry.items())


def _clash(one: Cell, other: Cell) -> BadCells:
    which = f"items {one.index + 1} and {other.index + 1}"
    apart = "write key: with a template that tells them apart, such as {{ index }}"
    if _told(one) == _told(other):
        return BadCells(f"{which} are both {shown(_told(one))}; remove one, or {apart}")
    what = f"{shown(_told(one))} and {shown(_told(other))}; {apart}"
    if one.key == other.key:
        return BadCells(f"{which} have the same key {one.key}: {what}")
    return BadCells(f"{which} have keys that are one file on many disks, {one.key} and {other.key}: {what}")


def _told(cell: Cell) -> JSON:
    return cell.item if cell.item is not None else cell.matrix


def of(cell: Cell, *, multiplied: bool, follows: bool) -> str:
    """What a cell is of, for the end of a message: its item where its step is ``multiplied`` by some, and its matrix.

    Of one that ``follows`` another's cell, whose output may be long, its key.
    """
    parts = [f"key: {cell.key}"] if follows else [f"item: {shown(cell.item)}"] if multiplied else []
    if cell.matrix is not None:
        parts.append(f"matrix: {shown(cell.matrix).removeprefix('the mapping ')}")
    return f" ({', '.join(parts)})" if parts else ""


def shown(value: JSON) -> str:
    """A value for a message, cut."""
    if isinstance(value, Artifact):
        return f"a file ({value.media_type})"
    text = json.dumps(value, ensure_ascii=False, default=_file)
    what = {str: "the text ", dict: "the mapping ", int: "the integer ", float: "the number "}.get(type(value), "")
    return what + (text if len(text) <= 80 else text[:79] + "…")


def _file(value: object) -> str:
    return f"a file ({value.media_type})" if isinstance(value, Artifact) else str(value)
