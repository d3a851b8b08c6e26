"""Faults on demand: a text such as `run=429:2*3@1` in, the fault of each request as it comes out."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from threading import Lock

CODES = ("400", "401", "402", "404", "408", "413", "429", "500", "502", "503", "504")
ANSWERS = (*CODES, "html", "notjson", "empty", "cut", "reset", "hang", "slow")
ENDS = ("FAILED", "CANCELLED", "TIMED_OUT", "EXPIRED", "STUCK", "NOOUTPUT", "PROGRESS")
SHAPES = ("result", "images", "comfy", "base64", "datauri", "list", "string", "url")
ERRORS = ("error:json", "error:repr", "error:upstream")
MEDIA = ("notpicture", "huge", "huge:length")
MANNERS = (
    "badjson",
    "fenced",
    "length",
    "think",
    "unclosed",
    "reasoning",
    "noschema",
    "stall",
    "errorchunk",
    "chopped",
)
TIMED = ("slow", "stall")

# What workers ask for. `any` spares them: it is meant for clients, and would starve their worker.
WORKERS = ("job-take", "job-done", "job-stream", "job-stop", "ping")

# Which outcomes each operation can have. The sentence of a wrong word is made from this table.
OUTCOMES: dict[str, tuple[str, ...]] = {
    "run": ANSWERS,
    "runsync": ANSWERS,
    "status": ANSWERS,
    "status-sync": ANSWERS,
    "cancel": ANSWERS,
    "retry": ANSWERS,
    "purge-queue": ANSWERS,
    "stream": ANSWERS,
    "health": ANSWERS,
    "models": ANSWERS,
    "chat": (*ANSWERS, *MANNERS),
    "media": (*ANSWERS, *MEDIA),
    **dict.fromkeys(WORKERS, ANSWERS),
    "job": (*ENDS, *SHAPES, *ERRORS),
    "any": ANSWERS,
}
ALWAYS = 10**9
_TEXT = re.compile(
    r"(?:(?P<endpoint>[^/=\s]+)/)?(?P<operation>[a-z-]+)=(?P<outcome>[^*@\s]+)"
    r"(?:\*(?P<times>\d+|always))?(?:@(?P<skip>\d+))?"
)
_FORM = "[ENDPOINT/]OPERATION=OUTCOME[*TIMES][@SKIP]"


@dataclass(frozen=True, slots=True)
class Fault:
    """What goes wrong, with which operation, how often, and after how many that go well.

    `seconds` is the Retry-After of a status code, the delay of `slow` and the pause of `stall`, which
    without them never ends.
    """

    operation: str
    outcome: str
    endpoint: str | None = None
    times: int = 1
    skip: int = 0
    seconds: float | None = None

    def __post_init__(self) -> None:
        """Refuses words that no request could ever meet."""
        allowed = OUTCOMES.get(self.operation)
        if allowed is None:
            raise ValueError(f"no operation {self.operation!r}; the operations are {', '.join(OUTCOMES)}")
        if self.outcome not in allowed:
            words = ", ".join("slow:SECONDS" if word == "slow" else word for word in allowed)
            raise ValueError(f"{self.operation} cannot end in {self.outcome!r}; it can end in {words}")
        if self.outcome == "slow" and self.seconds is None:
            raise ValueError("slow wants its seconds, for example slow:1.5")
        if self.seconds is not None and self.outcome not in TIMED and not self.outcome.isdigit():
            raise ValueError(f"only status codes and slow take seconds after a colon, not {self.outcome}")

    def matches(self, endpoint: str | None, operation: str) -> bool:
        """Whether a request could meet this fault; `any` is every HTTP operation of a client, never `job`."""
        return (self.endpoint is None or self.endpoint == endpoint) and (
            self.operation == operation or (self.operation == "any" and operation not in {"job", *WORKERS})
        )


def parse_fault(text: str) -> Fault:
    """`run=500`, `status=429:2*3`, `slug/job=FAILED@1`, `chat=slow:0.5*always`; once unless it says.

    Raises ValueError with a sentence that names the words allowed in its place.
    """
    found = _TEXT.fullmatch(text.strip())
    if found is None:
        raise ValueError(f"fault {text!r} is not of the form {_FORM}, for example run=429:2*3")
    outcome, seconds = _outcome(found["outcome"])
    times = ALWAYS if found["times"] == "always" else int(found["times"] or 1)
    try:
        return Fault(found["operation"], outcome, found["endpoint"], times, int(found["skip"] or 0), seconds)
    except ValueError as err:
        raise ValueError(f"fault {text!r}: {err}") from None


def _outcome(word: str) -> tuple[str, float | None]:
    if word in (*ERRORS, *MEDIA):
        return word, None
    name, colon, number = word.partition(":")
    if not colon:
        return word, None
    if not re.fullmatch(r"\d+(\.\d+)?", number):
        return word, None
    return name, float(number)


class Script:
    """The faults still to come; asked once for every request and every job, from any thread."""

    def __init__(self, faults: Iterable[Fault | str] = ()) -> None:
        self._lock = Lock()
        self._lines: list[_Line] = []
        for fault in faults:
            self.add(fault)

    def add(self, fault: Fault | str) -> None:
        """One more fault, behind those already there."""
        line = _Line(parse_fault(fault) if isinstance(fault, str) else fault)
        with self._lock:
            self._lines.append(line)

    def clear(self) -> None:
        """From here on everything goes well."""
        with self._lock:
            self._lines.clear()

    def take(self, endpoint: str | None, operation: str) -> Fault | None:
        """The first fault that is due. Every matching one counts the request, so `@2` means what it says."""
        with self._lock:
            taken = None
            for line in self._lines:
                if not line.fault.matches(endpoint, operation):
                    continue
                line.seen += 1
                if taken is None and line.seen > line.fault.skip and line.used < line.fault.times:
                    line.used += 1
                    taken = line.fault
            return taken


@dataclass(slots=True)
class _Line:
    fault: Fault
    seen: int = 0
    used: int = 0
