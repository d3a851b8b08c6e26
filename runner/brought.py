"""Providers and reporters of installed packages, held to what they promise.

A provider that raises what it should not, or answers what is no answer, fails the cell that asked. A reporter that
fails is told nothing more, and the run goes on. Both are told with the name of the package.
"""

from __future__ import annotations

import inspect
import json
import math
import traceback
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Any, Self

from . import plugins
from .errors import FateUnknown, PluginFailed, RunnerError, StepError, UsageError, capitalized
from .events import Event
from .kinds.brought import failed
from .model import JSON, Artifact, Call, Chat, Finished, Job, Reply, Ticket, canonical
from .plugins import Plugin, misfit, shown

_METHODS: Mapping[str, tuple[int, str]] = {
    "pause": (1, "a call"),
    "chat": (3, "a chat, what is told of its growing text or None, and what is told when it is sent"),
    "submit": (3, "a job, the seconds it may take, and what is told when it is sent"),
    "wait": (2, "a ticket, and what is told of its status"),
    "collect": (2, "a job, and how it finished"),
    "cancel": (1, "a ticket"),
    "artifact": (1, "a URL"),
}
"""What a provider must have, and with how many arguments it is called."""


class Brought:
    """The provider of a package. What it raises that is no `StepError`, and what it gives that is no answer, is told as
    a fault of its package.
    """

    def __init__(self, plugin: Plugin, notes: list[str], files: object, env: Mapping[str, str]) -> None:
        """``notes`` are told what it does wrong when all is done."""
        self._plugin, self._notes, self._files, self._env = plugin, notes, files, env
        self._inner: Any = None
        self._opened: Any = None
        self.origin = ""

    async def __aenter__(self) -> Self:
        self._opened = self._guarded(lambda: self._plugin.thing(self._files, self._env), "in its entry point")
        if not hasattr(self._opened, "__aenter__") or not hasattr(self._opened, "__aexit__"):
            raise self._unusable(f"its entry point gives {shown(self._opened)}, which async with cannot open")
        try:
            self._inner = await self._opened.__aenter__()
        except RunnerError:
            raise
        except Exception as err:
            raise self._unusable(self._plugin.raised(err, "in __aenter__")) from err
        if why := _unfit(self._inner):
            await self._closed(None, None, None)
            raise self._unusable(why)
        self.origin = self._inner.origin
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._closed(kind, error, trace)

    async def _closed(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            await self._opened.__aexit__(kind, error, trace)
        except Exception as err:  # noqa: BLE001 - all is done, and nothing of it must be lost
            if err is not error:
                self._notes.append(f"{capitalized(self._plugin.raised(err, 'in __aexit__'))}. Nothing is lost by it.")

    def _guarded(self, act: Callable[[], Any], doing: str) -> Any:
        try:
            return act()
        except RunnerError:
            raise
        except Exception as err:
            raise self._unusable(self._plugin.raised(err, doing)) from err

    def _unusable(self, why: str) -> UsageError:
        package = self._plugin.package
        told = capitalized(why if why.startswith(str(self._plugin)) else f"{self._plugin} cannot be used: {why}")
        return UsageError(f"{told}. Mend or uninstall {package}.")

    @property
    def sends(self) -> bool:
        """Whether it can be asked for what the store does not have."""
        return bool(getattr(self._inner, "sends", True))

    def origin_of(self) -> str:
        """What its answers are called in keys, without opening it. `UsageError` if it only says so when it is open."""
        made = self._guarded(lambda: self._plugin.thing(self._files, self._env), "in its entry point")
        if isinstance(origin := getattr(made, "origin", None), str) and origin:
            return origin
        raise self._unusable("it says its origin only when it is open, so nobody knows what the store has of it")

    def pause(self, call: Call) -> float:
        """Seconds until this call may go out."""
        try:
            found = self._inner.pause(call)
        except StepError:
            raise
        except Exception as err:
            raise self._raised(err, "pause") from err
        if isinstance(found, bool) or not isinstance(found, int | float) or not math.isfinite(found) or found < 0:
            raise self._gave(found, "pause", "seconds to wait")
        return found

    async def chat(self, chat: Chat, grew: Callable[[str], None] | None, sending: Callable[[], None]) -> Reply:
        """The reply to a chat."""
        return self._reply(await self._asked("chat", chat, grew, sending), "chat")

    async def submit(self, job: Job, within: float, sending: Callable[[], None]) -> Ticket:
        """The ticket of a job. `FateUnknown` for what goes wrong after it was sent: it may have been accepted."""
        sent = False

        def sends() -> None:
            nonlocal sent
            sent = True
            sending()

        try:
            found = await self._asked("submit", job, within, sends)
            if not isinstance(found, Ticket):
                raise self._gave(found, "submit", "a Ticket")
        except PluginFailed as err:
            if not sent:
                raise
            msg = f"{err}; the job was on its way to {job.endpoint}, so it may have been accepted"
            raise FateUnknown(msg, keep=err.keep) from err
        return found

    async def wait(self, ticket: Ticket, moved: Callable[[str], None]) -> Finished:
        """How a job ended."""
        found = await self._asked("wait", ticket, moved)
        return self._finished(found, "wait")

    async def collect(self, job: Job, finished: Finished) -> Reply:
        """The reply of a finished job."""
        try:
            return self._reply(await self._asked("collect", job, finished), "collect")
        except PluginFailed as err:
            paid = json.dumps(finished.output, ensure_ascii=False, indent=2)
            err.keep = f"{err.keep or ''}\nWhat was paid for:\n{paid}\n"
            raise

    async def cancel(self, ticket: Ticket) -> Finished | None:
        """Tell a job to stop; its output if it was faster."""
        found = await self._asked("cancel", ticket)
        return None if found is None else self._finished(found, "cancel")

    async def artifact(self, url: str) -> Artifact:
        """A file that an author names by its URL."""
        found = await self._asked("artifact", url)
        if not isinstance(found, Artifact):
            raise self._gave(found, "artifact", "an Artifact")
        return found

    async def _asked(self, method: str, *arguments: object) -> Any:
        """What a method gives. `PluginFailed` for what it must not raise."""
        try:
            found = getattr(self._inner, method)(*arguments)
            if inspect.isawaitable(found):
                return await found
        except StepError:
            raise
        except Exception as err:
            raise self._raised(err, method) from err
        raise self._gave(found, method, "what can be awaited (async def)")

    def _reply(self, found: object, method: str) -> Reply:
        if not isinstance(found, Reply):
            raise self._gave(found, method, "a Reply")
        if not all(isinstance(file, Artifact) for file in found.files):
            raise self._gave(found.files, method, "a Reply whose files are Artifacts")
        self._json(found.data, method)
        return found

    def _finished(self, found: object, method: str) -> Finished:
        if not isinstance(found, Finished):
            raise self._gave(found, method, "a Finished")
        self._json(found.output, method)
        return found

    def _json(self, value: JSON, method: str) -> None:
        try:
            canonical(value)
        except (TypeError, ValueError, RecursionError) as err:
            raise failed(self._plugin, f"{method} of {self._plugin} gives something that is no JSON ({err})") from err

    def _raised(self, err: Exception, method: str) -> PluginFailed:
        return failed(self._plugin, self._plugin.raised(err, f"in {method}"), err)

    def _gave(self, found: object, method: str, wanted: str) -> PluginFailed:
        return failed(self._plugin, f"{method} of {self._plugin} gives {shown(found)}, where it must give {wanted}")


class _NoFiles:
    """Where nothing is kept, because nothing is asked."""

    async def add(self, chunks: object) -> Artifact:
        """`StepError`: nobody is asked here."""
        del chunks
        msg = "nothing is fetched here"
        raise StepError(msg)


def origin(name: str, env: Mapping[str, str]) -> str:
    """What a provider's answers are called in keys; it is made for that, and not opened."""
    return Brought(plugins.named("runner.providers", name), [], _NoFiles(), env).origin_of()


def _unfit(provider: object) -> str:
    """Why something that was opened is no provider; empty if it is one."""
    if missing := [word for word in ("origin", *_METHODS) if not hasattr(provider, word)]:
        return f"{shown(provider)} has no {', '.join(missing)}"
    name = getattr(provider, "origin", None)
    if not isinstance(name, str) or not name:
        return f"its origin is {shown(name)}; it must be a text that no other provider has"
    faults = (misfit(f"its {word}", getattr(provider, word), *takes) for word, takes in _METHODS.items())
    return next(filter(None, faults), "")


# -- reporters --------------------------------------------------------------------------------------


class Reporter:
    """A reporter of a package, until it fails."""

    def __init__(self, plugin: Plugin) -> None:
        self.plugin = plugin
        self.failed = ""
        """What it did, if it failed; it is told nothing more."""
        self.trace = ""
        self._sink: Any = None
        self._leave: Callable[..., object] | None = None

    def begin(self) -> None:
        """Make it, and enter it if it is a context manager. `UsageError` if that fails: nothing has run yet."""
        doing = "in its entry point"
        try:
            made = self.plugin.thing()
            if hasattr(made, "__enter__") and hasattr(made, "__exit__"):
                doing = "in __enter__"
                self._leave = made.__exit__
                made = made.__enter__()
        except RunnerError:
            raise
        except Exception as err:
            msg = f"{capitalized(self.plugin.raised(err, doing))}, so it could not begin. {self._cure()}"
            raise UsageError(msg) from err
        if why := _no_sink(made):
            self.end(None, None, None)
            msg = f"{capitalized(str(self.plugin))} cannot be used: {why}. {self._cure()}"
            raise UsageError(msg)
        self._sink = made

    def _cure(self) -> str:
        return f"Leave out the reporter {self.plugin.name}, or mend {self.plugin.package}."

    def __call__(self, event: Event) -> None:
        if self._sink is None or self.failed:
            return
        try:
            self._sink(event)
        except Exception as err:  # noqa: BLE001 - whatever it does, the run goes on
            self._fails(err, f"on {type(event).__name__}")

    def end(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """Leave it."""
        try:
            if self._leave is not None:
                self._leave(kind, error, trace)
        except Exception as err:  # noqa: BLE001 - as above
            if err is not error:
                self._fails(err, "in __exit__")

    def _fails(self, err: Exception, doing: str) -> None:
        if not self.failed:
            self.failed = f"{capitalized(self.plugin.raised(err, doing))}. It was told nothing more; the run went on."
            self.trace = "".join(traceback.format_exception(err))


def _no_sink(sink: object) -> str:
    """Why something is no reporter; empty if it is one."""
    call = sink if inspect.isroutine(sink) else getattr(sink, "__call__", None)  # noqa: B004 - the method is looked at
    if inspect.iscoroutinefunction(call):
        return "it is async, and it is called, not awaited"
    return misfit("it", sink, 1, "an event")
