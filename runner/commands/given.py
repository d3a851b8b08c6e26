"""Options that several commands share, and what they come to."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Sequence
from itertools import takewhile
from typing import TYPE_CHECKING

import click

from ..errors import UsageError

if TYPE_CHECKING:
    from pathlib import Path

    from click.shell_completion import CompletionItem

    from ..loading import Given

    Completer = Callable[[click.Context, click.Parameter, str], list[CompletionItem]]


class File(click.Path):
    """A path. The module for paths takes a tenth of the time that ``--help`` takes, so it waits for one."""

    def convert(self, value: str | os.PathLike[str], param: click.Parameter | None, ctx: click.Context | None) -> Path:
        """The path, as `Path`."""
        from pathlib import Path

        return Path(os.fsdecode(super().convert(value, param, ctx)))


class Report(File):
    """The path of a report. ``-`` is none: what is said to people goes to the standard output."""

    def convert(self, value: str | os.PathLike[str], param: click.Parameter | None, ctx: click.Context | None) -> Path:
        """The path, as `Path`."""
        if value == "-":
            self.fail("It is written into a file. Name one.", param, ctx)
        return super().convert(value, param, ctx)


class Usd(click.ParamType[float]):
    """An amount of money above 0; infinity and "not a number" are none."""

    name = "usd"

    def convert(self, value: float, param: click.Parameter | None, ctx: click.Context | None) -> float:
        try:
            amount = float(value)
        except ValueError:
            amount = math.nan
        if not math.isfinite(amount):
            self.fail(f"{value or 'Nothing'} is no amount of USD. Write 0.10, or leave it out for none.", param, ctx)
        if amount <= 0:
            cure = "Write an amount above 0; or --offline, which takes what is in the store and pays for nothing."
            self.fail(f"{value} USD pays for no call. {cure}", param, ctx)
        return amount


PATH = File()
REPORT = Report()


def completed(what: str) -> Completer:
    """What the shell completes, by the name of its function in `completion`, which only a shell that asks loads."""

    def complete(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
        from . import completion

        completer: Completer = getattr(completion, what)
        return completer(context, parameter, incomplete)

    return complete


def inputs_options(command: click.decorators.FC) -> click.decorators.FC:
    """``-i name=value`` and ``--inputs FILE``."""
    command = click.option(
        "--inputs", "inputs_file", type=PATH, metavar="FILE", help="Input values from a YAML or JSON file."
    )(command)
    return click.option(
        "-i", "--input", "typed", multiple=True, metavar="NAME=VALUE", shell_complete=completed("inputs"),
        help="An input; repeat for more.",
    )(command)  # fmt: skip


def catalogue_option(command: click.decorators.FC) -> click.decorators.FC:
    """``--catalogue FILE``."""
    return click.option(
        "--catalogue", type=PATH, metavar="FILE", help="Rows of models of your own, over those that are known."
    )(command)


def profile_option(command: click.decorators.FC) -> click.decorators.FC:
    """``--profile NAME``."""
    return click.option(
        "--profile", metavar="NAME", shell_complete=completed("profiles"),
        help="The profile to take: what profiles: says under this name.",
    )(command)  # fmt: skip


def local_option(command: click.decorators.FC) -> click.decorators.FC:
    """``--local``, for a `Local` command."""
    return click.option(
        "--local", type=click.Choice(["auto", "model", "emulator"]), metavar="[=model|=emulator]",
        help="Run against the built-in emulator: no key, no cost. Texts are by the model of `runner local pull` if it "
        "is there; =model insists on it, =emulator does without.",
    )(command)  # fmt: skip


def provider_option(command: click.decorators.FC) -> click.decorators.FC:
    """``--provider NAME``."""
    return click.option(
        "--provider", metavar="NAME", help="Who answers the calls instead of Runpod: of an installed package."
    )(command)


class Inputs(click.Command):
    """A command of one pipeline with ``-i``: a word that is left over is mostly a part of an input."""

    allow_extra_args = True

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Wrong usage for what is left over, with what was meant."""
        typed = list(args)  # click takes them away
        left = super().parse_args(ctx, args)
        if left and not ctx.resilient_parsing:
            ctx.fail(_left_over(typed, left, str(ctx.params.get("file")), ctx.command_path))
        return left


def _left_over(typed: Sequence[str], left: Sequence[str], file: str, command: str) -> str:
    """What is left over of the words that were ``typed``, and how it is written.

    Of ``-i product=red soap`` it is ``soap``; of ``product=soap`` and ``-i product = soap`` an input in other words.
    """
    named = [word for word in left if word.endswith(_PIPELINES)]
    if (
        named and file in typed and not file.endswith(_PIPELINES)
    ):  # the pipeline stands behind an input in several words
        left = [file, *(word for word in left if word != named[0])]
    at = typed.index(left[0])
    said = " ".join(takewhile(left.__contains__, typed[at:]))
    begun = typed[at - 1] if typed[max(at - 2, 0)] in ("-i", "--input") and "=" not in left[0].strip("=") else ""
    name, equals, value = (part.strip() for part in f"{begun} {said}".partition("="))
    if not equals or not name.isidentifier():
        return f"{said} is left over: {command} takes one pipeline. An input is written -i name=value."
    wanted = typed_as(name, value)
    if "'" in wanted:
        return f"{said} is left over. Put quotes around a value with spaces: {wanted}"
    return f"{said} is left over. Write {wanted}."


_PIPELINES = (".yaml", ".yml")


def typed_as(name: str, value: str) -> str:
    """``-i 'products=[a, b]'``: an input as a shell takes it."""
    from shlex import quote

    return f"-i {quote(f'{name}={value}')}"


class Local(Inputs):
    """A command with ``--local``."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """``--local`` alone is ``--local=auto``: click would take what follows it for its value."""
        return super().parse_args(ctx, ["--local=auto" if arg == "--local" else arg for arg in args])


def given(typed: Sequence[str], inputs_file: Path | None) -> Given:
    """The inputs of a command line. `UsageError` for one that names no value, or is there twice."""
    from ..loading import Given

    values: dict[str, str] = {}
    for text in typed:
        name, equals, value = text.partition("=")
        if not equals or not name:
            file = text.endswith((".yaml", ".yml", ".json"))
            cure = f"To read inputs from a file: --inputs {text}" if file else "Write -i name=value."
            msg = f"-i {text} names no value. {cure}"
            raise UsageError(msg)
        if name in values:
            both = ", ".join(each.partition("=")[2].strip("[] ") for each in typed if each.startswith(f"{name}="))
            msg = f"-i {name} is given twice. Keep one of them; if it is a list: {typed_as(name, f'[{both}]')}"
            raise UsageError(msg)
        values[name] = value
    return Given(values, inputs_file)
