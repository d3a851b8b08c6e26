"""What other packages bring by entry points: kinds, providers and reporters.

::

    [project.entry-points."runner.kinds"]
    shorten_text = "recipe_plugin.shorten_text"      # a module that is a `Kind`

    [project.entry-points."runner.providers"]
    echo = "recipe_plugin.echo:open_provider"        # a function that gives a `Provider`

    [project.entry-points."runner.reporters"]
    lines = "recipe_plugin.lines:reporter"           # a function that gives a sink of events

A package that cannot be loaded, that brings a name which there is already, or a thing that is not what it should be, is
a fault: who checks or runs a pipeline is told, and so is who asks for a provider or a reporter of that name. Help and
lists do without it. What a package does wrong later, while it is used, is told as its fault, too: `Plugin.raised`.
"""

from __future__ import annotations

import functools
import inspect
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

from .errors import UsageError, cut, nearest, one_line

Group = Literal["runner.kinds", "runner.providers", "runner.reporters"]


@dataclass(frozen=True, slots=True)
class Plugin:
    """A thing that an installed package brings. As text it is what a sentence calls it."""

    group: Group
    name: str
    package: str
    thing: Any

    def __str__(self) -> str:
        return f"the {_WORDS[self.group]} {self.name} of the installed package {self.package}"

    def raised(self, err: BaseException, doing: str = "") -> str:
        """``the kind x of the installed package y raised KeyError: 'text' (x.py, line 7) in advance``."""
        said = one_line(str(err), 300)
        return (
            f"{self} raised {type(err).__name__}{f': {said}' if said else ''}{self._place(err)}"
            f"{f' {doing}' if doing else ''}"
        )

    def _place(self, err: BaseException) -> str:
        """Where in the package it happened: the innermost line of its own."""
        own = str(getattr(self.thing, "__module__", None) or getattr(self.thing, "__name__", "")).partition(".")[0]
        frames = [(frame, line) for frame, line in traceback.walk_tb(err.__traceback__)]
        lines = [
            f" ({frame.f_code.co_filename.replace(chr(92), '/').rpartition('/')[2]}, line {line})"
            for frame, line in frames
            if str(frame.f_globals.get("__name__", "")).partition(".")[0] == own
        ]
        return lines[-1] if lines else ""


Unfit: TypeAlias = Callable[[str, Any], str]
"""Why the thing of this name is not what its group wants; empty if it is."""


@dataclass(frozen=True, slots=True)
class Found:
    """What the installed packages bring of one group, by name, and what is wrong with the rest."""

    things: Mapping[str, Plugin] = field(default_factory=dict)
    faults: Mapping[str, str] = field(default_factory=dict)


@functools.cache
def found(group: Group, ours: frozenset[str], unfit: Unfit) -> Found:
    """All of a group. ``ours`` are names that nobody else may bring."""
    from importlib.metadata import entry_points  # noqa: PLC0415 - only where a pipeline is read

    things: dict[str, Plugin] = {}
    faults: dict[str, str] = {}
    for point in sorted(entry_points(group=group), key=lambda point: (point.name, point.value)):
        package = point.dist.name if point.dist is not None else point.module
        what = f"The installed package {package} brings a {_WORDS[group]} {point.name}"
        if point.name in ours:
            faults[point.name] = f"{what}, and runner has one of that name. Rename it there, or uninstall {package}."
            continue
        if point.name in things:
            other = things[point.name].package
            faults[point.name] = f"{what}, and so does {other}. Uninstall one of the two."
            continue
        try:
            plugin = Plugin(group, point.name, package, point.load())
            why = unfit(point.name, plugin.thing)
        except Exception as err:  # noqa: BLE001 - whatever somebody else's module does when it is imported
            said = f"{type(err).__name__}: {one_line(str(err), 300)}"
            faults[point.name] = f"{what}, which cannot be loaded: {said}. Mend or uninstall {package}."
            continue
        if why:
            faults[point.name] = f"{what}, which is none: {why}. Mend or uninstall {package}."
            continue
        things[point.name] = plugin
    return Found(things, faults)


_WORDS: Mapping[Group, str] = {
    "runner.kinds": "kind",
    "runner.providers": "provider",
    "runner.reporters": "reporter",
}
_OURS: Mapping[Group, frozenset[str]] = {"runner.providers": frozenset({"runpod", "emulator"})}


def named(group: Group, name: str) -> Plugin:
    """A provider or a reporter by its name. `UsageError` with the nearest if there is none, or if it cannot be used."""
    unfit = _no_provider if group == "runner.providers" else _no_reporter
    brought = found(group, _OURS.get(group, frozenset()), unfit)
    if name in brought.faults:
        raise UsageError(brought.faults[name])
    if name in brought.things:
        return brought.things[name]
    near = nearest(name, list(brought.things)) or "No installed package brings one."
    msg = f"There is no {_WORDS[group]} {name}. {near}"
    raise UsageError(msg)


def _no_provider(_: str, thing: Any) -> str:
    return misfit("its entry point", thing, 2, "where files are kept and the environment")


def _no_reporter(_: str, thing: Any) -> str:
    return misfit("its entry point", thing, 0, "nothing")


def misfit(what: str, function: Any, count: int, of: str) -> str:
    """Why something cannot be called with so many arguments, which ``of`` names; empty if it can."""
    if not callable(function):
        return f"{what} is {shown(function)}, which cannot be called"
    try:
        inspect.signature(function).bind(*[None] * count)
    except ValueError:  # written in C, and says nothing of its arguments
        return ""
    except TypeError as err:
        told = f"{count} argument{'s' * (count != 1)}: {of}" if count else "no arguments"
        return f"{what} is called with {told} ({err})"
    return ""


def shown(value: object) -> str:
    """A value for a sentence: ``None``, ``the text 'title'``, ``[1, 2]``, ``an object of the class Echo``."""
    if type(value).__repr__ is object.__repr__:
        return f"an object of the class {type(value).__name__}"
    said = cut(one_line(repr(value)))
    return f"the text {said}" if isinstance(value, str) else said
