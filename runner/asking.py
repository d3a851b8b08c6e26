"""A person at the terminal: what is asked is shown there, one question after the other, and what is typed is read.

The run goes on meanwhile. Keys are read one by one, because the table above is drawn again and again; the terminal
makes signals of them as ever, so that Ctrl-C stops the run and leaves the question open.
"""

from __future__ import annotations

import codecs
import os
import shutil
import subprocess
import sys
from collections.abc import AsyncGenerator, Callable, Iterator, Mapping
from contextlib import aclosing, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import anyio

from .desk import Answer
from .events import CellAsked
from .reports import questions
from .runfolder import RunFolder, laid_out


class Display(Protocol):
    """Where it is shown."""

    def say(self, text: str) -> None:
        """Lines that stay."""

    def prompt(self, text: str | None) -> None:
        """The line that is typed in; None when there is none."""


@dataclass(frozen=True, slots=True)
class Screen:
    """A terminal with somebody before it."""

    display: Display
    keys: int = 0
    """The file that keys come from."""
    raw: bool = True
    """Whether keys are read one by one and shown by the display; else the terminal gives whole lines."""


def somebody(env: Mapping[str, str]) -> bool:
    """Whether a person can be asked: stdin and stderr are a terminal that is ours now, and this is no CI."""
    if env.get("CI", "").lower() not in ("", "0", "false") or sys.platform == "win32":
        return False
    try:
        ours = os.tcgetpgrp(0) == os.getpgrp()
    except OSError:
        return False
    return ours and sys.stdin.isatty() and sys.stderr.isatty()


@dataclass(slots=True, eq=False)
class Asker:
    """Lays out what is asked about in the run's folder, and asks at the terminal where there is one."""

    folder: RunFolder
    screen: Screen | None
    _turn: anyio.Lock = field(default_factory=anyio.Lock)

    async def told(self, asked: CellAsked) -> None:
        """Put the files where they can be looked at from anywhere."""
        await anyio.to_thread.run_sync(self.folder.lay_out, asked)

    async def answer(self, asked: CellAsked, more: Callable[[], str]) -> Answer | None:
        """Ask, when it is this question's turn. A terminal that goes away leaves it open."""
        if self.screen is None:
            return None
        async with self._turn:
            try:
                with _keys(self.screen):
                    return await self._asked(asked, self.screen, more)
            except OSError:
                return None
            finally:
                with suppress(OSError):
                    self.screen.display.prompt(None)

    async def _asked(self, asked: CellAsked, screen: Screen, more: Callable[[], str]) -> Answer | None:
        files = laid_out(self.folder.path, asked)
        screen.display.say("\n".join(questions.question(asked, files)))
        async with aclosing(_lines(screen, questions.prompt(asked))) as typed:
            async for text in typed:
                match questions.understood(asked, text):
                    case ("pick", number):
                        return Answer(number=int(number), where="terminal")
                    case ("say", said):
                        return Answer(yes=said == "yes", where="terminal")
                    case ("leave", _):
                        return None
                    case ("open", name):
                        for each in [name] if name else list(asked.shown):
                            await self._open(files.get(each), screen)
                    case ("more", _):
                        if why := more():
                            screen.display.say(why)
                        else:
                            return Answer(more=True, where="terminal")
                    case wrong:
                        screen.display.say(str(wrong))
        return None  # the terminal has gone

    async def _open(self, file: Path | None, screen: Screen) -> None:
        """Show a file in whatever this machine shows such files with."""
        if file is None or not await anyio.to_thread.run_sync(_opened, file):
            name = file or "that, which is not a file"
            screen.display.say(f"Nothing here can open {name}.")


def _opened(file: Path) -> bool:
    """Hand a file to the desktop, which must not write on our terminal nor hear its Ctrl-C."""
    program = shutil.which("open" if sys.platform == "darwin" else "xdg-open")
    if program is None:
        return False
    nowhere = subprocess.DEVNULL
    try:
        subprocess.Popen([program, str(file)], stdin=nowhere, stdout=nowhere, stderr=nowhere, start_new_session=True)  # noqa: S603 - a file of ours
    except OSError:
        return False
    return True


async def _lines(screen: Screen, prompt: str) -> AsyncGenerator[str, None]:
    """What is typed, line by line, shown after the prompt while it is typed. Ends when the terminal has gone."""
    decoder = codecs.getincrementaldecoder("utf-8")("replace")
    line = ""
    screen.display.prompt(prompt)
    while True:
        await anyio.wait_readable(screen.keys)
        try:
            piece = os.read(screen.keys, 1024)
        except OSError:
            return
        if not piece:
            return
        for key in decoder.decode(piece):
            if key in "\r\n":
                whole, line = line, ""
                screen.display.prompt(prompt)
                yield whole
                screen.display.prompt(prompt)
            elif key == "\x04" and not line:  # Ctrl-D, as everywhere: that is all
                return
            elif key in "\x7f\b":
                line = line[:-1]
            elif key == "\x15":
                line = ""
            elif key.isprintable():
                line += key
        screen.display.prompt(prompt + line)


@contextmanager
def _keys(screen: Screen) -> Iterator[None]:
    """Keys come one by one, unseen, while it lasts; afterwards the terminal is as it was.

    What was typed before is no answer to a question that nobody had seen.
    """
    import termios  # noqa: PLC0415 - not everywhere

    try:
        termios.tcflush(screen.keys, termios.TCIFLUSH)
        before, now = termios.tcgetattr(screen.keys), termios.tcgetattr(screen.keys)
        if screen.raw:
            now[3] &= ~(termios.ECHO | termios.ICANON)
            now[6][termios.VMIN], now[6][termios.VTIME] = 1, 0
        termios.tcsetattr(screen.keys, termios.TCSADRAIN, now)
        try:
            yield
        finally:
            termios.tcsetattr(screen.keys, termios.TCSADRAIN, before)
    except termios.error as err:
        raise OSError(*err.args) from err
