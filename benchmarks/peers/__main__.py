"""Measure us beside the peers, print a table, keep it in ``benchmarks/peers.md``."""

from __future__ import annotations

import os
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from .. import graphs, ours
from ..figures import Figure, Words, in_turns, server
from ..graphs import NOTHING, TEXT
from ..table import table

PYTHON = Path(".venv-peers/bin/python")
QUIET = {
    "DO_NOT_TRACK": "1",
    "DAGSTER_DISABLE_TELEMETRY": "true",
    "HAMILTON_TELEMETRY_ENABLED": "false",
    "HAYSTACK_TELEMETRY_ENABLED": "false",
    "LANGCHAIN_TRACING_V2": "false",
    "LANGSMITH_TRACING": "false",
    "PREFECT_LOGGING_LEVEL": "CRITICAL",
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "PREFECT_SERVER_LOGGING_LEVEL": "CRITICAL",
}
"""No peer may call home, or spend its time on saying so."""
SAYS = """\
Peers run the graphs that we run, each program as its documentation says it should be written, in a process of its own,
in turns with ours. Counted is the run alone: no imports, no building of the graph. A step that does nothing is the
scheduler alone, for us the executor alone; a step that chats asks the same loopback server through the same client
(httpx2), at most 64 at once. With chats ours is a whole run, which keeps a journal and a store; the peers keep nothing,
but for Prefect, whose server has a database. Seconds are those of one step: of all, divided by their number."""


@dataclass(frozen=True, slots=True)
class Peer:
    """One of them. The slow ones get fewer steps and fewer rounds."""

    name: str
    rounds: int
    width: int = 1000
    length: int = 100
    depth: int = 20
    remark: str = ""


PEERS = (
    Peer("hamilton", 3),
    Peer("haystack", 3),
    Peer("langgraph", 3),
    Peer("dagster", 1, remark=" (its executor within a process runs one step at a time)"),
    Peer("prefect", 1, width=100, length=20, depth=4, remark=" (fewer steps: 100 wide, 20 long, 4 × 25)"),
)


def figures() -> Iterator[Figure | Words]:
    """Each shape with each peer, first with steps that do nothing, then with steps that chat."""
    with server() as url, tempfile.TemporaryDirectory() as home:
        for peer in PEERS:
            for kind, address in ((NOTHING, ""), (TEXT, url)):
                for shape, name, sizes, theirs in (
                    ("fan-out", "fan-out of 1,000", (1000,), (peer.width,)),
                    ("chain", "chain of 100", (100,), (peer.length,)),
                    ("layered", "layered 20 × 25", (20, 25), (peer.depth, 25)),
                ):
                    if kind == NOTHING or shape != "chain":
                        does = "does nothing" if kind == NOTHING else "chats"
                        told = f"peer: {peer.name} {name}, each step {does}"
                        yield beside(peer, told, kind, shape, sizes, theirs, address, home)


def beside(
    peer: Peer, name: str, kind: str, shape: str, sizes: tuple[int, ...], theirs: tuple[int, ...], url: str, home: str
) -> Figure | Words:
    """One row: seconds a step of us and of a peer, or why there are none."""
    text = graphs.pipeline(graphs.SHAPES[shape](*sizes), kind)
    mine = partial(ours.whole, text, url) if url else partial(ours.once_alone, text)
    command = [str(PYTHON), "-m", f"benchmarks.peers.{peer.name}", shape, *map(str, theirs), *([url] if url else [])]
    env = {**os.environ, **QUIET, "PREFECT_HOME": home, "DAGSTER_HOME": home}
    try:
        seconds, other = in_turns(peer.rounds, mine, partial(peer_seconds, command, env))
    except (subprocess.CalledProcessError, subprocess.TimeoutExpired, OSError, ValueError) as err:
        said = getattr(err, "stderr", None) or str(err)
        said = said.decode(errors="replace") if isinstance(said, bytes) else said
        return Words(name, f"{peer.name} does not do the work: {said.strip().splitlines()[-1][:200]}")
    seconds /= len(graphs.SHAPES[shape](*sizes))
    other /= len(graphs.SHAPES[shape](*theirs))
    return Figure(name, seconds, f"{peer.name}{peer.remark}", other, "told", holds=True)


def peer_seconds(command: list[str], env: Mapping[str, str]) -> float:
    """What the peer says its run took."""
    time.sleep(0.2)  # those who were measured before have left
    done = subprocess.run(command, check=True, capture_output=True, text=True, timeout=120, env=env)
    return float(done.stdout.split()[-1])


if __name__ == "__main__":
    table("peers.md", "Results beside peers", SAYS, figures())
