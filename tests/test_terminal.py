"""What a run looks like while it goes on, and when it has ended."""

from __future__ import annotations

import io
import os
import pty
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from runner.events import (
    AttemptFailed,
    CallPaid,
    CallStarted,
    CellBlocked,
    CellDone,
    CellFailed,
    CellStarted,
    Event,
    JobSubmitted,
    RunFinished,
    RunStarted,
    fold,
)
from runner.reports import summary
from runner.reports.terminal import Lines, LiveTable, Silent, reporter

STORY: list[Event] = [
    RunStarted(10.0, "r1", "card", "1.0", "card.yaml", {}, {"draft": [], "photo": ["draft"], "edit": ["photo"]}, {}),
    CellStarted(10.0, "draft"),
    CallStarted(10.1, "draft", "k1", "writer", 1),
    AttemptFailed(10.2, "draft", 1, "busy", "over its rate limit (429)", 0.5),
    CallStarted(10.7, "draft", "k1", "writer", 2),
    CallPaid(11.0, "draft", "k1", 0.002, 100),
    CellDone(11.0, "draft", cached=False, output={"text": "x"}, model="writer", cost=0.002),
    CellStarted(11.0, "photo"),
    JobSubmitted(11.1, "photo", "k2", "flux", "j1"),
    CellFailed(12.0, "photo", "job_failed", "the job failed: no luck", "photo.paid.txt"),
    CellBlocked(12.0, "edit", "photo"),
    RunFinished(12.5, "failed", {}),
]


def test_lines_tell_what_happened_when() -> None:
    stream = io.StringIO()

    with Lines(stream) as lines:
        for event in STORY:
            lines(event)

    assert stream.getvalue().splitlines() == [
        "    0.1s  draft: asks writer",
        "    0.2s  draft: try 1 failed (busy): over its rate limit (429); next in 0.5 s",
        "    0.7s  draft: asks writer, try 2",
        "    1.0s  draft: done, 0.0020 USD",
        "    1.1s  photo: job j1 on flux",
        "    2.0s  photo: FAILED: the job failed: no luck",
        "    2.0s  edit: blocked, it needs photo",
    ]


def test_the_table_shows_every_cell_and_its_end() -> None:
    stream = io.StringIO()
    console = Console(file=stream, force_terminal=True, width=100)

    with LiveTable(console, lambda: 12.0) as table:
        for event in STORY:
            table(event)

    text = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", stream.getvalue())
    assert re.search(r"✓ +draft +done +1\.0 s", text)
    assert re.search(r"✗ +photo +failed +1\.0 s +the job failed: no luck", text)
    assert re.search(r"✗ +edit +blocked +needs photo", text)


def test_a_run_of_many_cells_shows_those_in_which_something_happens() -> None:
    stream = io.StringIO()
    console = Console(file=stream, force_terminal=True, width=100)
    steps: dict[str, list[str]] = {f"s{n}": [] for n in range(500)}

    with LiveTable(console, lambda: 12.0) as table:
        table(RunStarted(10.0, "r1", "many", None, "m.yaml", {}, steps, {}))
        table(CellStarted(11.0, "s77"))

    text = stream.getvalue()
    assert "s77" in text
    assert "s78" not in text
    assert "of 500 ended" in text


@pytest.mark.parametrize(("quiet", "kind"), [(True, Silent), (False, Lines)])
def test_a_pipe_gets_lines_and_a_quiet_run_nothing(quiet: bool, kind: type) -> None:
    assert type(reporter(io.StringIO(), lambda: 0.0, quiet=quiet)) is kind


def test_the_summary_says_what_failed_and_where_the_paid_text_is(tmp_path: Path) -> None:
    text = summary.text(fold(STORY), tmp_path, {}, {})

    assert text.startswith("card 1.0: failed in 2.5 s, 0.0020 USD (3 steps)")
    assert "photo: failed: the job failed: no luck" in text
    assert f"kept in {tmp_path}/photo.paid.txt" in text
    assert "the job j1 on flux may still be running" in text
    assert "edit: blocked: needs photo" in text


def test_a_local_run_says_that_nothing_is_paid_and_what_it_would_be() -> None:
    stream = io.StringIO()

    with Lines(stream) as lines:
        lines(RunStarted(10.0, "r1", "card", "1.0", "card.yaml", {}, {"draft": []}, {}, {"local": True}))
        lines(CallPaid(11.0, "draft", "k1", 0.002, 100))
        lines(CellDone(11.0, "draft", cached=False, output={"text": "x"}, model="writer", cost=0.002))

    assert stream.getvalue() == "    1.0s  draft: done, would be 0.0020 USD\n"


@pytest.mark.parametrize(
    ("options", "cost", "said"),
    [
        ({}, 0.0021, "0.0021 USD (1 step)"),
        ({}, 0.0, "0.0000 USD (1 step)"),
        ({"local": True}, 0.0021, "0.00 USD (would be 0.0021 on Runpod; 1 step)"),
        ({"local": True}, 0.0, "0.00 USD (1 step)"),
        ({"replay": "cassettes/card", "local": True}, 0.0021, "0.00 USD (was 0.0021 when recorded; 1 step)"),
    ],
)
def test_the_last_line_tells_what_was_paid(options: dict[str, Any], cost: float, said: str) -> None:
    events: list[Event] = [
        RunStarted(10.0, "r1", "card", "1.0", "card.yaml", {}, {"draft": []}, {}, options),
        CallPaid(10.5, "draft", "k1", cost),
        RunFinished(12.5, "done", {}),
    ]

    assert summary.headline(fold(events)) == f"card 1.0: done in 2.5 s, {said}"


def test_on_a_terminal_the_table_is_redrawn_and_the_summary_follows(tmp_path: Path) -> None:
    (tmp_path / "p.yaml").write_text(
        "name: p\nsteps: {a: {kind: generate_text, model: qwen/qwen3-32b-awq, prompt: hi}}\n"
    )
    ours, theirs = pty.openpty()

    process = subprocess.Popen(
        [sys.executable, "-m", "runner", "run", "p.yaml", "--local"],
        cwd=tmp_path, stdout=theirs, stderr=theirs, stdin=theirs, env={**os.environ, "TERM": "xterm-256color"},
    )  # fmt: skip
    os.close(theirs)
    said = b""
    try:
        while chunk := os.read(ours, 4096):
            said += chunk
    except OSError:
        pass  # how Linux says that the other side of a terminal has gone
    finally:
        os.close(ours)

    assert process.wait() == 0
    assert b"\x1b[" in said
    assert "✓" in said.decode()
    assert b"p: done in" in said
