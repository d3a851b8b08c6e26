"""Everything that can go wrong, in one place: problems (values, gathered) and errors (exceptions, raised).

RunnerError                     a sentence for the user and an exit code
├── UsageError                  2   wrong usage of the command line or of the library
├── PipelineProblems            2   the pipeline has problems; nothing ran
├── CannotStart                 5   no key, no store, no endpoint; nothing ran
└── StepError                   1   a cell failed while it ran
    ├── TemplateFailed              a template could not be rendered with these values
    ├── BadOutput                   what a model said is not what the step asked for
    │   └── Truncated               it ends before it is finished
    ├── OutOfTurns                  the model calls tools and does not come to an answer
    ├── BadFile                     a file that the pipeline or an input names cannot be used
    ├── StoreFailed                 the disk said no
    ├── NotAdmitted                 the run lets nobody in any more
    ├── Bug                     70  an exception that nobody expected
    ├── PluginFailed                what an installed package brings did not do what it promises
    ├── BudgetExceeded          4   the next call would not fit the budget, which ends the run
    ├── NotAfforded                 the next call would not fit the budget, which leaves its cell out
    ├── NotLocked               3   the store or the lock does not hold what the next call would yield
    ├── NotCanned                   a test gives a step no output, and nobody may be called
    ├── Unpriced                    the next call has no price, and the budget wants one
    ├── Refused                     a person was asked, and said no
    ├── LeftOpen                6   a person has to answer first, and nobody did
    └── CallFailed                  the outside world said no
        ├── NotSent                 the connection never opened: nothing was asked for
        ├── ConnectionLost          the connection broke while an answer was read
        ├── FateUnknown             sent, no answer: it may or may not have been accepted
        ├── Busy                    429
        ├── ServerFailed            5xx
        ├── Rejected                any other 4xx
        │   └── BadRequest          400 or 422: it does not know what the request says
        ├── BadReply                an answer that cannot be read
        ├── DownloadFailed          the call is paid for, its file did not arrive
        ├── AttemptTimedOut         no outcome in time
        ├── JobFailed               FAILED
        ├── JobCancelled            CANCELLED
        ├── JobTimedOut             TIMED_OUT
        └── JobExpired              404 for a job that was there
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import chain
from typing import ClassVar


@dataclass(frozen=True, slots=True)
class Mark:
    """A place in a file: 1-based line and column, how many characters it spans, and the line itself."""

    file: str
    line: int
    column: int
    length: int = 1
    text: str = ""

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}"


@dataclass(frozen=True, slots=True)
class Problem:
    """A fault that was found by reading: what, where, what instead. ``code`` is stable, for machines."""

    code: str
    message: str
    mark: Mark
    instead: str = ""
    warning: bool = False
    """Worth saying, and no reason not to run."""
    also: tuple[Mark, ...] = ()
    """Where else the same is wrong: a name that is read in several places and is in none."""

    @property
    def elsewhere(self) -> str:
        """``The same on lines 17 and 20.`` Empty if it is on no other line."""
        lines = sorted({mark.line for mark in self.also} - {self.mark.line})
        shown = [str(line) for line in lines[:9]] + [f"{len(lines) - 9} more"] * (len(lines) > 9)
        return f"The same on line{'s' * (len(lines) > 1)} {enumerated(shown)}." if lines else ""

    def __str__(self) -> str:
        return " ".join(filter(None, (f"{self.mark}: {self.message}", self.instead, self.elsewhere)))


def nearest(word: str, known: Sequence[str]) -> str:
    """``Did you mean title?`` where one of the known words is near, else the known words, else nothing."""
    known = tuple(dict.fromkeys(known))
    if near := _most_alike(word, known):
        return f"Did you mean {near}?"
    if not known:
        return ""
    shown = ", ".join(known[:12]) + (", …" if len(known) > 12 else "")
    return f"Known here: {shown}."


_ALIKE = 0.6
"""How much two words have in common, of 1, of which one may be meant by the other."""


@lru_cache(maxsize=1024)
def _most_alike(word: str, known: tuple[str, ...]) -> str | None:
    """What `difflib.get_close_matches` would find first. It compares a word with each other one, which takes a minute
    for thousands and thousands; this compares it with those that have letters enough in common to be better.
    """
    from difflib import SequenceMatcher  # noqa: PLC0415 - only on the way to a problem; --help is faster without

    spelt = _spelt(known)
    shared = Counter(chain.from_iterable(spelt.get(letter, ()) for letter in _letters(word)))
    sizes = ((count, len(word) + len(known[index]), known[index]) for index, count in shared.items())
    enough = sorted(
        ((2 * count / size, each) for count, size, each in sizes if 2 * count >= _ALIKE * size), reverse=True
    )
    matcher = SequenceMatcher()
    matcher.set_seq2(word)
    best: tuple[float, str] = (0.0, "")
    for at_most, each in enough:
        if at_most < best[0]:
            break
        matcher.set_seq1(each)
        best = max(best, (matcher.ratio(), each))
    return best[1] if best[0] >= _ALIKE else None


@lru_cache(maxsize=8)
def _spelt(known: tuple[str, ...]) -> Mapping[tuple[str, int], Sequence[int]]:
    """By letter, which of these words have it: those that have it twice stand under its second time as well."""
    found: dict[tuple[str, int], list[int]] = {}
    for index, word in enumerate(known):
        for letter in _letters(word):
            found.setdefault(letter, []).append(index)
    return found


def _letters(word: str) -> Iterator[tuple[str, int]]:
    """Each letter of a word, and for the how manieth time it stands there."""
    times: dict[str, int] = {}
    for letter in word:
        times[letter] = times.get(letter, 0) + 1
        yield letter, times[letter]


def cut(text: str, most: int = 60) -> str:
    """A value for a sentence: as it is, or its begin."""
    return text if len(text) <= most else text[: most - 1] + "…"


def counted(number: int, word: str) -> str:
    """``1 step``, ``2 steps``."""
    return f"{number} {word}{'s' * (number != 1)}"


def enumerated(words: Sequence[str]) -> str:
    """``a``, ``a and b``, ``a, b and c``."""
    return " and ".join(filter(None, (", ".join(words[:-1]), *words[-1:])))


def capitalized(text: str) -> str:
    """The text with a capital letter at its begin, and otherwise as it is."""
    return text[:1].upper() + text[1:]


def one_line(text: str, most: int = 1500) -> str:
    """Text of a server, or of a file, on one line without control characters, cut."""
    visible = text if text.isprintable() else "".join(c if c.isprintable() else " " for c in text)
    line = " ".join(visible.split())
    return line if len(line) <= most else line[: most - 1] + "…"


class RunnerError(Exception):
    """A sentence for the user. Everything the user can see go wrong is one of these."""

    exit_code: ClassVar[int] = 1


class UsageError(RunnerError):
    """Wrong usage: an input that is not declared, a value of the wrong type, a file that is not there."""

    exit_code = 2


class PipelineProblems(RunnerError):
    """The pipeline has problems. Nothing ran."""

    exit_code = 2

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems = tuple(sorted(problems, key=lambda p: (p.mark.file, p.mark.line, p.mark.column)))
        super().__init__("\n".join(map(str, self.problems)))


class CannotStart(RunnerError):
    """No key, no store, no endpoint. Nothing ran."""

    exit_code = 5


class StepError(RunnerError):
    """A cell failed while it ran. ``fault`` is the class that ``retry: {on: [...]}`` names."""

    fault: ClassVar[str] = "step"
    retry_after: float | None = None
    final = False
    """The same call once more is of no use, and would be paid again."""

    def __init__(self, message: str, *, keep: str | None = None) -> None:
        """``keep`` is text that was paid for and must be kept in the run folder."""
        super().__init__(one_line(message))
        self.keep = keep


class TemplateFailed(StepError):
    """A template could not be rendered with these values."""

    fault = "template"


class BadOutput(StepError):
    """What a model said is not what the step asked for."""

    fault = "bad_output"


class Truncated(BadOutput):
    """What a model said ends before it is finished: there is nothing wrong with it but that the rest is missing."""

    fault = "truncated"


class OutOfTurns(StepError):
    """The model calls tools and does not come to an answer. What it said is kept: with more turns it goes on there."""

    fault = "turns"


class BadFile(StepError):
    """A file that the pipeline or an input names cannot be used. ``name`` is its path or URL, as it was written."""

    fault = "params"

    def __init__(self, message: str, name: str) -> None:
        super().__init__(message)
        self.name = name


class StoreFailed(StepError):
    """The disk said no: full, read-only, gone."""

    fault = "store"


class BudgetExceeded(StepError):
    """The next call would not fit the budget. It was not sent, and nothing more is."""

    fault = "budget"
    exit_code = 4


USED_UP = "the budget is used up"
"""Why a cell is not let in after a call did not fit."""


class NotAfforded(StepError):
    """The next call would not fit the budget. It was not sent; its cell is skipped."""

    fault = "budget"


class NotCanned(StepError):
    """A step would call a model, and its test gives it no output. Nothing was sent."""

    fault = "canned"


class NotLocked(StepError):
    """Only what is locked, or what the store has, may be used, and this call is not. It was not sent."""

    fault = "locked"
    exit_code = 3


class Unpriced(StepError):
    """The next call has no known price, so a budget could not be kept. It was not sent."""

    fault = "unpriced"


class Refused(StepError):
    """A person was asked whether the run may go on from here, and said no."""

    fault = "refused"


class LeftOpen(StepError):
    """A person has to answer first, and nobody did: the cell has not ended, a resumed run goes on with it."""

    fault = "open"
    exit_code = 6


class Bug(StepError):
    """An exception that nobody expected: ours. The cell fails, the run goes on, the exit code says so."""

    fault = "bug"
    exit_code = 70


class PluginFailed(StepError):
    """A kind or a provider of an installed package did not do what it promises: a fault of that package."""

    fault = "plugin"


class NotAdmitted(StepError):
    """The run lets nobody in any more: the cell ends cancelled, nothing was sent."""

    fault = "admission"


class CallFailed(StepError):
    """The outside world said no."""

    fault = "call"


class NotSent(CallFailed):
    """The connection never opened, so nothing was asked for."""

    fault = "network"


class ConnectionLost(CallFailed):
    """The connection broke while an answer was read; asking again changes nothing on the other side."""

    fault = "network"


class FateUnknown(CallFailed):
    """The request was sent and no answer came: it may or may not have been accepted."""

    fault = "unknown"


class Busy(CallFailed):
    """429. ``retry_after`` holds the seconds that the server asked for."""

    fault = "busy"


class ServerFailed(CallFailed):
    """5xx, as an answer."""

    fault = "server"


class Rejected(CallFailed):
    """Any other 4xx: the same request will be refused again."""

    fault = "rejected"


class BadRequest(Rejected):
    """400 or 422: the request says something that the server does not know, or does not take."""


class BadReply(CallFailed):
    """An answer that cannot be read, or not what was asked for."""

    fault = "bad_output"


class DownloadFailed(CallFailed):
    """The call is paid for and its file did not arrive; asking for the file again costs nothing."""

    fault = "download"
    gone = False
    """Nobody has the file any more: asking again is of no use."""


class AttemptTimedOut(CallFailed):
    """No outcome within the step's timeout."""

    fault = "timeout"


class JobFailed(CallFailed):
    """The job ended FAILED."""

    fault = "job_failed"


class JobCancelled(CallFailed):
    """The job ended CANCELLED, not by us."""

    fault = "cancelled"


class JobTimedOut(CallFailed):
    """The job ended TIMED_OUT."""

    fault = "job_failed"


class JobExpired(CallFailed):
    """Runpod no longer knows the job (404), so its output is gone."""

    fault = "expired"
