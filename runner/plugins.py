"""What other packages bring by entry points: kinds, providers and reporters.

::

    [project.entry-points."runner.kinds"]
    shorten_text = "recipe_plugin.shorten_text"      # a module that is a `Kind`

    [project.entry-points."runner.providers"]
    echo = "recipe_plugin.echo:open_provider"        # a function that gives a `Provider`

    [project.entry-points."runner.reporters"]
    lines = "recipe_plugin.lines:reporter"           # a function that gives a sink of events

A package that cannot be loaded, or that brings a name which there is already, is a fault: who checks or runs a pipeline
is told, and so is who asks for a provider or a reporter of that name. Help and lists do without it.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from .errors import UsageError, nearest

Group = Literal["runner.kinds", "runner.providers", "runner.reporters"]

_KIND = ("NAME", "VERSION", "TITLE", "CALLS", "PARAMS", "REQUIRED", "TIMEOUT", "output", "advance")


@dataclass(frozen=True, slots=True)
class Found:
    """What the installed packages bring of one group, by name, and what is wrong with the rest."""

    things: Mapping[str, Any] = field(default_factory=dict)
    faults: tuple[str, ...] = ()


@functools.cache
def found(group: Group, ours: frozenset[str] = frozenset()) -> Found:
    """All of a group. ``ours`` are names that nobody else may bring."""
    from importlib.metadata import entry_points  # noqa: PLC0415 - only where a pipeline is read

    things: dict[str, Any] = {}
    brought: dict[str, str] = {}
    faults = []
    for point in sorted(entry_points(group=group), key=lambda point: (point.name, point.value)):
        package = point.dist.name if point.dist is not None else point.module
        what = f"The installed package {package} brings {_WORDS[group]} {point.name}"
        if point.name in ours:
            faults.append(f"{what}, and runner has one of that name. Rename it there, or uninstall {package}.")
            continue
        if point.name in things:
            faults.append(f"{what}, and so does {brought[point.name]}. Uninstall one of the two.")
            continue
        try:
            thing = point.load()
        except Exception as err:  # noqa: BLE001 - whatever somebody else's module does when it is imported
            faults.append(f"{what}, which cannot be loaded: {type(err).__name__}: {err}. Mend or uninstall {package}.")
            continue
        if why := _unfit(group, point.name, thing):
            faults.append(f"{what}, which is none: {why}. Mend or uninstall {package}.")
            continue
        things[point.name], brought[point.name] = thing, package
    return Found(things, tuple(faults))


_WORDS: Mapping[Group, str] = {
    "runner.kinds": "a kind",
    "runner.providers": "a provider",
    "runner.reporters": "a reporter",
}


_OURS: Mapping[Group, frozenset[str]] = {"runner.providers": frozenset({"runpod", "emulator"})}


def _unfit(group: Group, name: str, thing: Any) -> str:
    """Why a thing is not what its group wants; empty if it is."""
    if group != "runner.kinds":
        return "" if callable(thing) else "it cannot be called"
    if missing := [word for word in _KIND if not hasattr(thing, word)]:
        return f"it has no {', '.join(missing)}"
    return "" if name == thing.NAME else f"its NAME is {thing.NAME}"


def named(group: Group, name: str) -> Any:
    """One thing by its name. `UsageError` with the nearest if there is none, or if it cannot be used."""
    all_of_them = found(group, _OURS.get(group, frozenset()))
    for fault in all_of_them.faults:
        if f" {name}, " in fault:
            raise UsageError(fault)
    if name in all_of_them.things:
        return all_of_them.things[name]
    what = _WORDS[group].partition(" ")[2]
    near = nearest(name, list(all_of_them.things)) or "No installed package brings one."
    msg = f"There is no {what} {name}. {near}"
    raise UsageError(msg)
