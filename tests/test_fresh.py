"""What is asked for anew though the store has it: --fresh, --no-cache, and how long a step trusts a stored reply."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from runner.emulator import Emulator, parse_fault

from .conftest import Bench, Cli

PIPELINE = """\
name: tiny
steps:
  words: {kind: generate_text, model: qwen/qwen3-32b-awq, prompt: "Name a teapot"}
  photo:
    kind: generate_image
    model: qwen/qwen-image
    foreach: [red, blue]
    prompt: "a {{ item }} teapot"
    size: 512x512
"""
OUTER = """\
name: outer
steps:
  both: {kind: run_pipeline, file: tiny.yaml}
"""
DAY = 86400.0


@pytest.fixture
def server(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> Iterator[Emulator]:
    Path("tiny.yaml").write_text(PIPELINE)
    Path("outer.yaml").write_text(OUTER)
    with Emulator(seed=1) as emulator:
        monkeypatch.setenv("RUNPOD_API_KEY", "k")
        monkeypatch.setenv("RUNPOD_BASE_URL", emulator.url)
        yield emulator


def asked(emulator: Emulator) -> list[str]:
    """What was paid for since the last look, by its prompt."""
    made = [str(job.input["prompt"]) for job in emulator.jobs] + ["words"] * emulator.count("chat")
    return sorted(made)


def ends(out: str) -> dict[str, str]:
    return {cell["cell"]: cell["state"] for cell in json.loads(out)["cells"]}


@pytest.mark.parametrize(
    ("arguments", "anew"),
    [
        ([], []),
        (["--fresh", "photo"], ["photo[blue]", "photo[red]"]),
        (["--fresh", "photo[blue]"], ["photo[blue]"]),
        (["--fresh", "photo[blue]", "--fresh", "words"], ["photo[blue]", "words"]),
        (["--no-cache"], ["photo[blue]", "photo[red]", "words"]),
    ],
)
def test_what_is_named_is_asked_anew_and_nothing_else(
    cli: Cli, server: Emulator, arguments: list[str], anew: list[str]
) -> None:
    cli("run", "tiny.yaml")

    done = cli("run", "tiny.yaml", "--json", *arguments)

    assert done.code == 0, done.err
    assert sorted(cell for cell, state in ends(done.out).items() if state == "done") == anew
    assert len(asked(server)) == 3 + len(anew)


@pytest.mark.parametrize(("name", "anew"), [("both", 3), ("both/photo", 2), ("both/photo[red]", 1), ("both/words", 1)])
def test_a_step_of_a_pipeline_that_a_step_runs_is_named_with_a_slash(
    cli: Cli, server: Emulator, name: str, anew: int
) -> None:
    cli("run", "outer.yaml")

    done = cli("run", "outer.yaml", "--fresh", name)

    assert done.code == 0, done.err
    assert len(asked(server)) == 3 + anew


def test_what_was_asked_anew_is_what_the_store_has_from_then_on(cli: Cli, server: Emulator) -> None:
    cli("run", "tiny.yaml")
    cli("run", "tiny.yaml", "--no-cache")

    done = cli("run", "tiny.yaml", "--json")

    assert set(ends(done.out).values()) == {"cached"}
    assert len(asked(server)) == 6


def test_a_fresh_run_that_is_taken_up_again_does_not_pay_twice(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    Path("tiny.yaml").write_text(PIPELINE)
    monkeypatch.setenv("RUNPOD_API_KEY", "k")
    with Emulator(seed=1) as emulator:
        monkeypatch.setenv("RUNPOD_BASE_URL", emulator.url)
        cli("run", "tiny.yaml")
        port = int(emulator.origin.rpartition(":")[2])
    with Emulator(seed=1, port=port, faults=[parse_fault("qwen-image-t2i/job=FAILED*2@1")]) as emulator:
        failed = cli("run", "tiny.yaml", "--no-cache", "--concurrency", "1")
        done = cli("resume")
        made = [job.input["prompt"] for job in emulator.jobs if job.status == "COMPLETED"]
        chats = emulator.count("chat")

    assert (failed.code, done.code) == (1, 0)
    assert sorted(made) == ["a blue teapot", "a red teapot"]
    assert chats == 1


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("foto", "Did you mean photo?"),
        ("foto[red]", "Did you mean photo?"),
        ("words[red]", "Write --fresh words."),
        ("photo[bleu]", "photo has no such cell. Did you mean blue?"),
        ("photo/x", "names no step"),
    ],
)
def test_a_name_that_is_no_step_is_wrong_usage(cli: Cli, server: Emulator, name: str, said: str) -> None:
    done = cli("run", "tiny.yaml", "--fresh", name)

    assert done.code == 2
    assert said in done.err
    assert asked(server) == []


@pytest.mark.anyio
@pytest.mark.parametrize(("days", "end"), [(6.9, "cached"), (7.1, "done"), (None, "done")])
async def test_a_reply_that_is_older_than_the_step_trusts_is_a_miss(bench: Bench, days: float | None, end: str) -> None:
    text = PIPELINE.replace('"Name a teapot"', '"Name a teapot", cache: {for: 7d}')
    first = await bench.run(text)
    kept = first.events[0].at - days * DAY if days else None  # None: kept before stores noted the time
    with closing(sqlite3.connect(bench.folder / "store/replies.sqlite")) as rows, rows:
        rows.execute("UPDATE replies SET kept = ?", (kept,))

    again = await bench.run(text)

    assert again.ends() == {"words": end, "photo[red]": "cached", "photo[blue]": "cached"}
