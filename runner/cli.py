"""The command line: which commands there are, and what becomes of their errors.

Every error ends here as a sentence. A command is imported when it is called, and what it needs when it runs, so that
``--help`` is fast and ``check`` never loads the network.
"""

from __future__ import annotations

import contextlib
import errno
import os
import sys
from collections.abc import Sequence
from typing import NoReturn

import click

from . import __version__

BUG = 70

COMMANDS = {
    "approve": ("picking", "Say yes or no to a step that asks, or to several; the step alone shows what it asks."),
    "cache": ("cache", "Look after the store: what was paid for, and is not paid again."),
    "check": ("problems", "Check pipelines and their tests: every problem at once, with its place and its cure."),
    "diff": (
        "runs",
        "Compare two runs: inputs, what was asked, outputs, cost; pictures by size and how far they look apart.",
    ),
    "doctor": ("doctor", "Check key, network, endpoints and disk, and say what is wrong."),
    "emulator": ("emulator", "Be a local Runpod: the real API's behaviour, no key, no cost."),
    "explain": ("problems", "Tell what a code of `runner check` means, with a wrong and a right pipeline."),
    "graph": ("seeing", "Draw the steps and which waits for which."),
    "init": ("start", "Make a project: a pipeline with its test, help in VS Code, a workflow for CI."),
    "inspect": (
        "runs",
        "Show what made a picture: pipeline, step, model, seed, prompt, key, and the run if it is here.",
    ),
    "kinds": (
        "reference",
        "List the kinds of steps, or tell all about one: its params, what it yields, a step to start from.",
    ),
    "local": ("emulator", "A small language model on this machine, for the texts of `runner run --local`."),
    "lock": ("running", "Write NAME.lock.yaml: what each cell yields, from the store alone."),
    "models": (
        "reference",
        "List the models, or tell all about one: parameters, files, price, a pipeline to start from.",
    ),
    "new": ("start", "Write a new pipeline, with a test, from one that works."),
    "pick": (
        "picking",
        "Choose candidate N of a step that waits for a choice; the step alone lists them, nothing lists what waits.",
    ),
    "plan": ("seeing", "Show what would run: each step, why it waits, what the store has of it, what it can cost."),
    "report": ("seeing", "Write a run as a page to look at: one HTML file that needs no network."),
    "resume": (
        "running",
        "Take up a run that was stopped, that failed, or that waits: what is done stays, jobs in flight are collected.",
    ),
    "run": ("running", "Run a pipeline and write its outputs."),
    "runs": ("runs", "List the runs of this project, the newest first; runner runs rm removes old ones."),
    "schema": (
        "reference",
        "Print the JSON Schema of pipelines or of their tests, for editors; or of an event, a line of run --events.",
    ),
    "show": ("runs", "Show a run cell by cell: state, cost, time, tries, model, its outputs."),
    "test": ("test", "Run the cases of NAME.test.yaml files, or of all that the project has."),
    "verify": ("running", "Read again every file that NAME.lock.yaml names, and compare their digests."),
    "why": ("runs", "Say whether a step, or one cell of it, would be paid for if it ran again now, and why."),
}
"""By name: the file of ``commands`` that has it, and what it does in a line, so that a list of them imports none."""


class Commands(click.Group):
    """The group of all commands."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Their names."""
        del ctx
        return sorted(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command, imported now; None if there is none of this name."""
        from importlib import import_module

        del ctx
        if cmd_name not in COMMANDS:
            return None
        module = import_module(f"{__package__}.commands.{COMMANDS[cmd_name][0]}")
        command: click.Command = getattr(module, cmd_name)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """The command that the first word names. Wrong usage if there is none."""
        if args[0] not in COMMANDS:
            from .commands.groups import not_there

            not_there(self, ctx, args[0])
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """As click lists them."""
        room = formatter.width - 6 - max(map(len, COMMANDS))
        told = [click.Command(name, help=COMMANDS[name][1]) for name in self.list_commands(ctx)]
        with formatter.section("Commands"):
            formatter.write_dl([(each.name or "", each.get_short_help_str(room)) for each in told])


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="runner", message="%(prog)s %(version)s")
def cli() -> None:
    """Run pipelines: YAML files that say how a piece of content is made.

    \b
    runner init, runner new  begin a project, or a pipeline
    runner check FILE        what is wrong with it, before anything runs; runner explain tells more
    runner plan FILE         what would run, in what order, at what price
    runner graph FILE        the same as a picture
    runner run FILE          run it
    runner resume            take up the last run that was stopped or failed
    runner pick              what waits for a choice; runner pick STEP N chooses
    runner kinds             which kinds of steps there are, what each takes and yields
    runner models            which models there are, what each takes and costs
    runner lock FILE         write down what each cell yields, for run --locked
    runner inspect FILE      what made this picture
    runner doctor [FILE...]  what is wrong with key, network, endpoints or disk
    runner test              run the cases of *.test.yaml, at no cost
    runner runs              what was run; runner show, why and diff say more of it
    runner report            a run as a page to look at, in one file
    runner cache             what is stored: how much, whether it is whole; and make room
    """


def main(args: Sequence[str] | None = None) -> None:
    """Run the command line; the one place where exceptions become sentences and exit codes."""
    if "_RUNNER_COMPLETE" in os.environ:
        from .commands import completion

        completion.register()
    try:
        cli(args, standalone_mode=False)
    except click.exceptions.Exit as err:
        sys.exit(err.exit_code)
    except click.ClickException as err:
        if isinstance(err, click.NoSuchOption):
            err = _with_two_dashes(err, args if args is not None else sys.argv[1:])
        err.show()
        _not_run(err)
        sys.exit(2)
    except (click.Abort, KeyboardInterrupt):
        click.echo("Stopped.", err=True)
        sys.exit(130)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # the reader of our output has gone
        sys.exit(0)
    except OSError as err:
        if err.filename is not None or err.errno not in _UNWRITABLE:
            sys.exit(_told(err))
        _unwritable(err)
    except Exception as err:  # noqa: BLE001 - the program's one boundary
        sys.exit(_told(err))


def _with_two_dashes(err: click.NoSuchOption, args: Sequence[str]) -> click.NoSuchOption:
    """``-local`` is read as ``-l -o …``; what is meant has two dashes."""
    known = {name for param in err.ctx.command.params for name in param.opts} if err.ctx is not None else set()
    meant = next((arg for arg in args if not arg.startswith("--") and f"-{arg.partition('=')[0]}" in known), None)
    if meant is None:
        return err
    return click.NoSuchOption(meant, f"No such option '{meant}'.", [f"-{meant.partition('=')[0]}"], err.ctx)


_UNWRITABLE = (errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EBADF)


def _unwritable(err: OSError) -> NoReturn:
    """Nobody can be told on the standard output; all other files say what is wrong with them where they are written."""
    with contextlib.suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    with contextlib.suppress(OSError):
        click.echo(f"Error: the standard output cannot be written: {err.strerror}. Free the disk, or write elsewhere. "
                   "A run that was going has ended; see runner show.", err=True)  # fmt: skip
    sys.exit(1)


def _told(err: Exception) -> int:
    """Say what went wrong; the exit code. What is no error of a user's is a bug of ours."""
    from .errors import PipelineProblems, RunnerError

    if isinstance(err, PipelineProblems):
        from .commands.problems import show

        show(err.problems)
        return err.exit_code
    if isinstance(err, RunnerError):
        click.echo(f"Error: {err}", err=True)
        _annotate(str(err))
        return err.exit_code
    import traceback

    traceback.print_exception(err)
    click.echo("This is a bug in runner, not in your pipeline. Please report it with the lines above.", err=True)
    return BUG


def _not_run(err: click.ClickException) -> None:
    """Show wrong usage on the page of the job as well, and tell later steps of a run that it has not begun."""
    from .ci import tell_outcome

    _annotate(err.format_message())
    if isinstance(err, click.UsageError) and err.ctx is not None and err.ctx.info_name in ("run", "resume"):
        tell_outcome("not started", os.environ)


def _annotate(said: str) -> None:
    """Show an error on the page of the job, too, where GitHub runs the command."""
    from .ci import on_github
    from .reports import github

    if on_github(os.environ):
        click.echo(github.command("error", said, title="runner"), err=True)
