"""How long jobs take: a text such as `0.2+1.5` or `0.1..0.4+1..2` in, seconds of one job out."""

import re
from dataclasses import dataclass
from random import Random

_SPAN = r"(\d+(?:\.\d+)?|\.\d+)(?:\.\.(\d+(?:\.\d+)?|\.\d+))?"
_TEXT = re.compile(rf"{_SPAN}(?:\+{_SPAN})?")

Span = float | tuple[float, float]


@dataclass(frozen=True, slots=True)
class Latency:
    """Seconds in the queue and seconds of work; a pair is a range, drawn anew for each job."""

    queue: Span = 0.0
    execution: Span = 0.0

    def __post_init__(self) -> None:
        """Refuses what no clock can do."""
        for span in (self.queue, self.execution):
            low, high = span if isinstance(span, tuple) else (span, span)
            if not 0 <= low <= high < float("inf"):
                raise ValueError(f"a latency is a number of seconds or a rising pair of them, not {span!r}")

    def draw(self, random: Random) -> tuple[float, float]:
        """The (queue, execution) seconds of one job."""
        return _drawn(self.queue, random), _drawn(self.execution, random)


def _drawn(span: Span, random: Random) -> float:
    return random.uniform(*span) if isinstance(span, tuple) else span


def parse_latency(text: str) -> Latency:
    """`EXECUTION` or `QUEUE+EXECUTION` in seconds, each a number or a range `LOW..HIGH`.

    Raises ValueError with a sentence when the text is neither.
    """
    found = _TEXT.fullmatch(text.replace(" ", ""))
    if found is None:
        raise ValueError(
            f"latency {text!r} is not understood; write seconds as 0.5, queue and work as 0.2+1.5, "
            "or ranges as 0.1..0.4+1..2"
        )
    first, second = _span(found[1], found[2]), _span(found[3], found[4])
    return Latency(execution=first or 0.0) if second is None else Latency(first or 0.0, second)


def _span(low: str | None, high: str | None) -> Span | None:
    if low is None:
        return None
    return float(low) if high is None else (float(low), float(high))
