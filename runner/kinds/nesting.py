"""Params that have parts, such as the messages of a conversation: their parts found, rendered and fitted one by one."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from ..model import JSON
from ..templates import Template, Tree, render_tree
from .kind import chosen, fit

ARGS = "args"
"""The name that templates have which are rendered late."""

Part = tuple[str | int, JSON, Tree]
"""Where in its whole a part stands, what is wanted there, and what was written."""


def parts(wanted: JSON, tree: Tree) -> Iterator[Part]:
    """The parts of a list or a mapping of which the schema says what each must be."""
    if isinstance(tree, list | dict):
        wanted = chosen(wanted, tree)
    if isinstance(tree, list) and "items" in wanted:
        yield from ((index, wanted["items"], item) for index, item in enumerate(tree))
    elif isinstance(tree, dict):
        named, others = wanted.get("properties", {}), wanted.get("additionalProperties")
        if named or isinstance(others, Mapping):
            yield from ((name, named.get(name, others or {}), item) for name, item in tree.items())


def mapped(wanted: JSON, tree: Tree, change: Callable[[JSON, Tree], Tree]) -> Tree:
    """The same list or mapping with each of its parts changed; anything else as it is."""
    changed = {where: change(inner, item) for where, inner, item in parts(wanted, tree)}
    if isinstance(tree, list):
        return [changed.get(index, item) for index, item in enumerate(tree)]
    return {**tree, **changed} if isinstance(tree, dict) else tree


def rendered(name: str, wanted: JSON, tree: Tree, names: Mapping[str, JSON]) -> JSON:
    """A param with its templates rendered, each part as it is wanted. `TemplateFailed` names the part."""
    if wanted.get("verbatim"):
        return tree
    if "late" in wanted:
        return Late(tree, names)
    found = {where: rendered(_inside(name, where), inner, item, names) for where, inner, item in parts(wanted, tree)}
    if not found or isinstance(tree, Template):
        return fit(name, wanted, render_tree(tree, names))
    return list(found.values()) if isinstance(tree, list) else {**tree, **found}


@dataclass(frozen=True, slots=True, eq=False)
class Late:
    """A part that is rendered when a model has called: its templates then read ``args`` besides."""

    tree: Tree
    names: Mapping[str, JSON]

    def render(self, args: JSON) -> JSON:
        """The value for these arguments."""
        return render_tree(self.tree, {**self.names, ARGS: args})


Scope = tuple[tuple[str | int, ...], Tree, JSON]
"""Where a part stands, what was written, and the JSON Schema of ``args`` where its templates read it, else None."""


def scopes(wanted: JSON, tree: Tree, path: tuple[str | int, ...] = ()) -> Iterator[Scope]:
    """The parts of a param, each with the names that its templates have besides those of the step."""
    found = list(parts(wanted, tree))
    for where, inner, item in found:
        if "late" in inner:
            yield (*path, where), item, tree.get(inner["late"], {})
        else:
            yield from scopes(inner, item, (*path, where))
    if not found:
        yield path, tree, None


def _inside(name: str, where: str | int) -> str:
    return f"{name}[{where}]" if isinstance(where, int) else f"{name}.{where}"
