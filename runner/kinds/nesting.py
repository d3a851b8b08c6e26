"""Params that have parts, such as the messages of a conversation: their parts found, rendered and fitted one by one."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from ..model import JSON
from ..templates import Template, Tree, render_tree
from .kind import chosen, fit

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
    found = {where: rendered(_inside(name, where), inner, item, names) for where, inner, item in parts(wanted, tree)}
    if not found or isinstance(tree, Template):
        return fit(name, wanted, render_tree(tree, names))
    return list(found.values()) if isinstance(tree, list) else {**tree, **found}


def _inside(name: str, where: str | int) -> str:
    return f"{name}[{where}]" if isinstance(where, int) else f"{name}.{where}"
