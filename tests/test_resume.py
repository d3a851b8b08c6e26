"""Runs that are cut and taken up again: nothing is paid twice, nothing that was paid for is lost."""

from __future__ import annotations

import contextlib
import io
import json
import os
import random
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import anyio
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

import runner
from runner import app, history
from runner.cli import main
from runner.emulator import Emulator, Retention, parse_fault, parse_latency
from runner.events import CallDone, CellDone, JobSending, JobSubmitted
from runner.journal import NAME, read
from runner.options import Options

from .conftest import Cli

PIPELINE = """\
name: many
steps:
  words: {kind: generate_text, model: qwen/qwen3-32b-awq, prompt: "Name a teapot"}
  photo:
    kind: generate_image
    model: pruna/p-image-t2i
    foreach: [red, blue, green, black]
    prompt: "a {{ item }} teapot {{ steps.words.finish_reason }}"
    retry: {wait: 0.01}
  warm:
    kind: edit_image
    model: pruna/p-image-edit
    foreach: "{{ steps.photo }}"
    image: "{{ item.image }}"
    prompt: warmer
outputs:
  "{key}.png": "{{ steps.warm.image }}"
"""
JOBS = 8


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "many.yaml").write_text(PIPELINE)
    return tmp_path


@pytest.fixture
def emulator() -> Iterator[Emulator]:
    with Emulator(seed=1, latency=parse_latency("0.02+0.05..0.15")) as server:
        yield server


def begin(folder: Path, url: str, *arguments: str) -> subprocess.Popen[str]:
    env = {**os.environ, "RUNPOD_API_KEY": "k", "RUNPOD_BASE_URL": url}
    return subprocess.Popen(
        [sys.executable, "-m", "runner", *arguments], cwd=folder, env=env, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip


def ended(process: subprocess.Popen[str]) -> tuple[int, str]:
    out, err = process.communicate(timeout=60)
    assert "Traceback" not in out + err
    return process.returncode, out + err


def typed(folder: Path, url: str, *arguments: str) -> tuple[int, str]:
    """Runs a command to its end in this process, which needs no second to begin; gives its exit code and its words."""
    said = io.TextIOWrapper(io.BytesIO(), encoding="utf-8", write_through=True)
    with (
        contextlib.chdir(folder),
        mock.patch.dict(os.environ, {"RUNPOD_API_KEY": "k", "RUNPOD_BASE_URL": url}),
        contextlib.redirect_stdout(said),
        contextlib.redirect_stderr(said),
    ):
        try:
            main(list(arguments))
            code = 0
        except SystemExit as end:
            code = int(end.code or 0)
    said.seek(0)
    told = said.read()
    assert "Traceback" not in told
    return code, told


def inputs(emulator: Emulator) -> list[str]:
    """What each job that was accepted asked for; twice the same is paid twice."""
    return [f"{job.endpoint} {job.input['prompt']} {job.input.get('seed')}" for job in emulator.jobs]


def wait_for(true: Any) -> None:
    end = time.monotonic() + 10
    while not true():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.005)


def port_of(emulator: Emulator) -> int:
    return int(emulator.origin.rpartition(":")[2])


def files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in (folder / "out").rglob("*") if path.is_file()}


def test_an_interrupted_run_leaves_its_jobs_and_resume_collects_them(folder: Path) -> None:
    with Emulator(seed=1, latency=parse_latency("0.8")) as emulator:
        process = begin(folder, emulator.url, "run", "many.yaml")
        wait_for(lambda: emulator.count("run") == 4)
        time.sleep(0.1)
        process.send_signal(signal.SIGINT)
        code, said = ended(process)
        stopped = [job.status for job in emulator.jobs]

        again, told = typed(folder, emulator.url, "resume")

    assert (code, again) == (130, 0)
    assert "CANCELLED" not in stopped
    assert "Go on with: runner resume" in said
    assert "4 jobs still in flight" in said
    assert "many: done" in told
    assert Counter(inputs(emulator)).most_common(1)[0][1] == 1
    assert len(emulator.jobs) == JOBS


def test_plan_and_why_know_what_is_in_flight_and_that_it_costs_nothing_more(folder: Path) -> None:
    (folder / "many.yaml").write_text(
        "name: many\nsteps:\n  photo: {kind: generate_image, model: pruna/p-image-t2i, foreach: [a, b], "
        "prompt: 'a cup {{ item }}'}\n  late: {kind: generate_image, model: pruna/p-image-t2i, prompt: a pot, "
        "after: [photo]}\n"
    )
    with Emulator(seed=1, latency=parse_latency("30")) as emulator:
        process = begin(folder, emulator.url, "run", "many.yaml")
        wait_for(lambda: emulator.count("status-sync") == 2)
        process.send_signal(signal.SIGINT)
        ended(process)
        _, plan = typed(folder, emulator.url, "plan", "many.yaml", "--json")
        _, table = typed(folder, emulator.url, "plan", "many.yaml")
        _, why = typed(folder, emulator.url, "why", "photo")
        _, other = typed(folder, emulator.url, "why", "late")

    steps = {step["step"]: step for step in json.loads(plan)["steps"]}
    assert (steps["photo"]["in_flight"], steps["photo"]["expected_usd"]) == (2, 0.0)
    assert (steps["late"]["in_flight"], steps["late"]["expected_usd"] > 0) == (0, True)
    assert re.search(r"photo .* 2 +in flight +0\.0000", table)
    assert why.count("in flight; its job ") == 2
    assert "the next run waits for it, and pays nothing more" in why
    assert "in flight" not in other


def test_a_run_that_is_taken_up_is_the_same_run(folder: Path, emulator: Emulator) -> None:
    process = begin(folder, emulator.url, "run", "many.yaml")
    wait_for(lambda: emulator.count("status-sync") == 4)
    process.kill()
    process.communicate()

    code, _ = typed(folder, emulator.url, "run", "many.yaml", "--resume")

    assert code == 0
    assert len(list((folder / ".runner" / "runs").iterdir())) == 1


def test_without_a_run_to_take_up_it_says_so(folder: Path, emulator: Emulator) -> None:
    typed(folder, emulator.url, "run", "many.yaml")

    code, said = typed(folder, emulator.url, "resume")

    assert code == 2
    assert "no run here that could be taken up" in said


@pytest.mark.parametrize("pause", [0.005, 0.012, 0.018, 0.025, 0.04])
def test_a_second_interrupt_right_after_the_first_says_how_to_go_on_too(folder: Path, pause: float) -> None:
    with Emulator(seed=1, latency=parse_latency("0.8")) as emulator:
        process = begin(folder, emulator.url, "run", "many.yaml")
        wait_for(lambda: emulator.count("run") == 4)
        time.sleep(0.1)

        process.send_signal(signal.SIGINT)
        time.sleep(pause)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)  # Python may tell of one that came while it let go of something
        code, said = process.returncode, out + err

    assert code in (130, -signal.SIGINT)  # by the signal itself, where all was said and Python was about to end
    assert "Go on with: runner resume" in said


def test_a_run_of_which_only_fates_are_unknown_does_not_send_people_to_resume_it_as_it_is(
    folder: Path, emulator: Emulator
) -> None:
    emulator.fail("run=reset")

    code, said = typed(folder, emulator.url, "run", "many.yaml")

    assert code == 1
    assert "Go on with" not in said
    assert "retry: {on: [unknown]} on the step and runner resume " in said


def test_where_nothing_ran_there_is_nothing_to_take_up(folder: Path, emulator: Emulator) -> None:
    code, said = typed(folder, emulator.url, "resume")

    assert code == 2
    assert "There are no runs in " in said


def test_after_a_run_that_sent_nothing_it_says_which_that_is_and_a_new_one_is_told(
    folder: Path, emulator: Emulator
) -> None:
    failed, last = typed(folder, emulator.url, "run", "many.yaml", "--offline")

    code, said = typed(folder, emulator.url, "resume")
    begun, told = typed(folder, emulator.url, "run", "many.yaml", "--resume")

    (run,) = [path.name for path in (folder / ".runner" / "runs").iterdir() if path.name in last]
    assert (failed, code, begun) == (1, 2, 0)
    assert f"{run} ran --offline and did not come to a good end: runner resume {run} does the same again." in said
    assert f"runner resume {run} does the same again. A new one begins." in told


def test_a_run_that_is_still_going_is_not_taken_up(folder: Path) -> None:
    with Emulator(latency=parse_latency("2")) as emulator:
        process = begin(folder, emulator.url, "run", "many.yaml")
        wait_for(lambda: emulator.count("run") == 4)

        code, said = typed(folder, emulator.url, "resume")

        process.kill()
        process.communicate()
    assert code == 5
    assert "still going, in another process" in said


def test_only_what_was_edited_in_between_runs_again(folder: Path, emulator: Emulator) -> None:
    process = begin(folder, emulator.url, "run", "many.yaml")
    wait_for(lambda: emulator.count("status-sync") == JOBS)
    process.kill()
    process.communicate()
    (folder / "many.yaml").write_text(PIPELINE.replace("black", "white"))

    code, _ = typed(folder, emulator.url, "resume")

    made = Counter(inputs(emulator))
    assert code == 0
    assert made.most_common(1)[0][1] == 1
    assert len(made) == JOBS + 2


def test_a_submit_that_was_cut_is_never_sent_again_unasked(folder: Path) -> None:
    with Emulator(seed=1, faults=[parse_fault("p-image-t2i/run=hang*always")]) as emulator:
        process = begin(folder, emulator.url, "run", "many.yaml")
        wait_for(lambda: emulator.count("run") == 4)
        process.kill()
        process.communicate()
    with Emulator(seed=1, port=port_of(emulator)) as emulator:
        code, said = typed(folder, emulator.url, "resume")
        twice, _ = typed(folder, emulator.url, "resume")
        sent = emulator.count("run")
        fresh, _ = typed(folder, emulator.url, "run", "many.yaml")

    assert (code, twice, sent, fresh) == (1, 1, 0, 0)
    assert "may have been accepted" in said


def test_a_job_that_runpod_no_longer_knows_is_made_anew_and_that_is_said(folder: Path) -> None:
    with Emulator(latency=parse_latency("1.5")) as emulator:
        process = begin(folder, emulator.url, "run", "many.yaml")
        wait_for(lambda: emulator.count("run") == 4)
        time.sleep(0.1)
        process.kill()
        process.communicate()
    with Emulator(seed=1, port=port_of(emulator)) as other:  # begun anew: it has none of the jobs
        code, said = typed(folder, other.url, "resume")

    assert code == 0
    assert "it is made anew" in said


def test_what_was_paid_before_counts_against_the_budget(folder: Path) -> None:
    (folder / "many.yaml").write_text(PIPELINE.replace("steps:", "budget: {usd: 0.045}\nsteps:", 1))
    with Emulator(seed=1, faults=["p-image-edit/job=FAILED*always"]) as emulator:
        typed(folder, emulator.url, "run", "many.yaml")
    with Emulator(seed=1, port=port_of(emulator)) as emulator:
        code, _ = typed(folder, emulator.url, "resume")

    (run,) = (folder / ".runner" / "runs").iterdir()
    assert code == 4
    assert json.loads((run / "state.json").read_text())["cost"] <= 0.045


def test_two_processes_at_once_pay_once(folder: Path, emulator: Emulator) -> None:
    both = [begin(folder, emulator.url, "run", "many.yaml", "--out", f"out/{n}") for n in range(2)]

    codes = [ended(process)[0] for process in both]

    assert codes == [0, 0]
    assert len(emulator.jobs) == JOBS
    assert emulator.count("chat") == 1


@pytest.mark.parametrize("seed", range(int(os.environ.get("KILLS", "5"))))
def test_killed_at_any_moment_nothing_is_paid_twice_and_nothing_is_lost(
    folder: Path, emulator: Emulator, seed: int
) -> None:
    moments = random.Random(seed)
    process = begin(folder, emulator.url, "run", "many.yaml")
    for _ in range(3):
        time.sleep(moments.uniform(0.15, 0.9))
        process.kill()
        process.communicate()
        if not (folder / ".runner" / "runs").is_dir():
            process = begin(folder, emulator.url, "run", "many.yaml")
            continue
        process = begin(folder, emulator.url, "run", "many.yaml", "--resume")
    code, said = ended(process)

    made = Counter(inputs(emulator))
    runs = [path.parent for path in (folder / ".runner" / "runs").glob(f"*/{NAME}")]  # one may be cut before it has one
    known = {event.job for run in runs for event in read(run) if isinstance(event, JobSubmitted)}
    lost = [job for job in emulator.jobs if job.id not in known]
    if "may have been accepted" in said:  # the one window: killed between the first byte and the answer
        assert code == 1
        return
    assert made.most_common(1)[0][1] == 1, made
    assert lost == []
    assert code == 0
    assert files(folder) == files(undisturbed(folder / "whole", emulator))


def undisturbed(folder: Path, emulator: Emulator) -> Path:
    """The same run from start to end, at the same address: pictures carry the key, and the key counts the address."""
    folder.mkdir()
    (folder / "many.yaml").write_text(PIPELINE)
    typed(folder, emulator.url, "run", "many.yaml")
    return folder


def test_a_journal_cut_at_any_byte_of_its_last_line_is_read_and_taken_up(folder: Path, emulator: Emulator) -> None:
    typed(folder, emulator.url, "run", "many.yaml")
    (run,) = (folder / ".runner" / "runs").iterdir()
    whole = (run / NAME).read_bytes()
    last = whole.rindex(b"\n", 0, -1) + 1

    for cut in {last, last + 1, (last + len(whole)) // 2, len(whole) - 1}:
        (run / NAME).write_bytes(whole[:cut])
        code, _ = typed(folder, emulator.url, "resume", run.name)

        assert code == 0
        assert len(emulator.jobs) == JOBS


@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_taken_up_after_any_beginning_of_its_journal_a_run_ends_the_same(
    cli: Cli, monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    """As if the machine had gone at that line: the store holds what the journal says was kept until then."""
    folder = tmp_path_factory.mktemp("law")
    (folder / ".git").mkdir()
    (folder / "many.yaml").write_text(PIPELINE.replace("[red, blue, green, black]", "[red, blue]"))
    with Emulator(seed=1) as emulator:
        monkeypatch.chdir(folder)
        monkeypatch.setenv("RUNPOD_API_KEY", "k")
        monkeypatch.setenv("RUNPOD_BASE_URL", emulator.url)
        assert cli("run", "many.yaml").code == 0
        whole = files(folder)
        (run,) = (folder / ".runner" / "runs").iterdir()
        lines = (run / NAME).read_bytes().splitlines(keepends=True)
        cut = data.draw(st.integers(2, len(lines)), label="lines of the journal that are left")
        (run / NAME).write_bytes(b"".join(lines[:cut]))
        events = list(read(run))
        forget(folder / ".runner" / "store", kept={event.key for event in events if isinstance(event, CallDone)})
        shutil.rmtree(folder / "out")
        sent = {event.key for event in events if isinstance(event, JobSubmitted)}
        unknown = {event.key for event in events if isinstance(event, JobSending)} - sent
        before = Counter(inputs(emulator))

        done = cli("resume", run.name)

        made = Counter(inputs(emulator)) - before
        assert done.code == (1 if unknown else 0), done.err
        assert made.total() <= 4 - len(sent) - len(unknown)
        if not unknown:
            assert files(folder) == whole


def forget(store: Path, kept: set[str]) -> None:
    """Make a store as it was when only these replies were in it."""
    with contextlib.closing(sqlite3.connect(store / "replies.sqlite")) as rows:
        for (key,) in rows.execute("SELECT key FROM replies").fetchall():
            if key not in kept:
                rows.execute("DELETE FROM replies WHERE key = ?", (key,))
        rows.commit()


def test_an_item_of_a_hundred_that_is_edited_runs_again_and_what_follows_from_it(
    cli: Cli, tmp_path: Path, emulator: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / ".git").mkdir()
    items = [f"thing {number}" for number in range(100)]
    text = (
        "name: many\nsteps:\n"
        f"  draft: {{kind: generate_text, model: qwen/qwen3-32b-awq, foreach: {json.dumps(items)}, "
        'prompt: "Name the {{ item }}"}\n'
        "  better: {kind: generate_text, model: qwen/qwen3-32b-awq, foreach: '{{ steps.draft }}', "
        'prompt: "Shorter: {{ item.text }}"}\n'
    )
    (tmp_path / "many.yaml").write_text(text)
    monkeypatch.setenv("RUNPOD_API_KEY", "k")
    monkeypatch.setenv("RUNPOD_BASE_URL", emulator.url)
    assert cli("run", "many.yaml").code == 0
    before = emulator.count("chat")
    (tmp_path / "many.yaml").write_text(text.replace("thing 17", "teapot 17"))

    done = cli("run", "many.yaml", "--json")

    paid = [cell["cell"] for cell in json.loads(done.out)["cells"] if cell["state"] == "done"]
    assert paid == ["draft[teapot-17]", "better[teapot-17]"]
    assert emulator.count("chat") - before == 2


@pytest.mark.parametrize("what", ["store", "runs"])
def test_a_folder_that_cannot_be_written_is_told_and_the_run_goes_on_when_it_can(
    folder: Path, emulator: Emulator, what: str
) -> None:
    """Root may write everywhere, so the folder's place is taken by a file instead of its rights."""
    (folder / ".runner").mkdir()
    (folder / ".runner" / what).write_text("in the way")

    code, said = typed(folder, emulator.url, "run", "many.yaml")

    assert (code, len(emulator.jobs)) == (5, 0)
    assert str(folder / ".runner" / what) in said
    (folder / ".runner" / what).unlink()
    assert typed(folder, emulator.url, "run", "many.yaml")[0] == 0


def blob_of(folder: Path, cell: str) -> Path:
    """Where the store has the picture of a cell."""
    (run,) = (folder / ".runner" / "runs").iterdir()
    (digest,) = (
        event.output["image"].sha256 for event in read(run) if isinstance(event, CellDone) and event.cell == cell
    )
    found = (folder / ".runner" / "store" / "blobs" / digest[:2]).glob(f"{digest[2:]}*")
    return Path(next(found))


def test_files_that_are_gone_or_damaged_are_fetched_again(folder: Path, emulator: Emulator) -> None:
    typed(folder, emulator.url, "run", "many.yaml")
    outputs = files(folder)
    flipped = blob_of(folder, "photo[blue]")
    content = bytearray(flipped.read_bytes())
    content[len(content) // 2] ^= 1
    flipped.chmod(0o644)
    flipped.write_bytes(content)
    blob_of(folder, "photo[red]").unlink()

    code, said = typed(folder, emulator.url, "run", "many.yaml")

    assert (code, len(emulator.jobs), files(folder)) == (0, JOBS, outputs)
    assert said.count("its files are fetched again") == 2


def test_a_file_that_is_gone_everywhere_is_made_again_and_no_other(folder: Path, emulator: Emulator) -> None:
    typed(folder, emulator.url, "run", "many.yaml")
    blob_of(folder, "photo[red]").unlink()
    emulator.fail("media=404*5")

    code, said = typed(folder, emulator.url, "run", "many.yaml")

    twice = [asked for asked, times in Counter(inputs(emulator)).items() if times == 2]
    assert code == 0
    assert "it is made anew" in said
    assert [asked for asked in twice if "p-image-t2i" in asked] == [asked for asked in twice if "red" in asked]
    assert len(twice) == 1


def test_open_jobs_count_against_the_budget_of_a_run_that_is_taken_up(folder: Path) -> None:
    """One job of 0.005 is in flight: a new one of 0.005 does not fit under 0.006 beside it, and it is collected."""
    step = "  photo: {kind: generate_image, model: pruna/p-image-t2i, foreach: [ITEMS], prompt: 'a {{ item }} cup'}\n"
    (folder / "many.yaml").write_text("name: many\nbudget: {usd: 0.006}\nsteps:\n" + step.replace("ITEMS", "a"))
    with Emulator(seed=1, latency=parse_latency("1.5")) as emulator:
        process = begin(folder, emulator.url, "run", "many.yaml")
        wait_for(lambda: emulator.count("status-sync") == 1)
        process.send_signal(signal.SIGINT)
        ended(process)
        (folder / "many.yaml").write_text(
            "name: many\nbudget: {usd: 0.006}\nsteps:\n" + step.replace("ITEMS", "new, a")
        )
        code, _ = typed(folder, emulator.url, "resume")

    (run,) = (folder / ".runner" / "runs").iterdir()
    cells = {cell["cell"]: cell["state"] for cell in json.loads((run / "state.json").read_text())["cells"]}
    assert code == 4
    assert cells == {"photo[new]": "cancelled", "photo[a]": "done"}
    assert len(emulator.jobs) == 1


def test_jobs_that_expired_may_have_been_paid_and_count_against_the_budget(folder: Path) -> None:
    """Two jobs of 0.005 have ended and are forgotten: that leaves no room for a third under 0.012."""
    (folder / "many.yaml").write_text(
        "name: many\nbudget: {usd: 0.012}\nsteps:\n  photo: {kind: generate_image, model: pruna/p-image-t2i, "
        "foreach: [a, b], prompt: 'a {{ item }} cup'}\n"
    )
    with Emulator(seed=1, latency=parse_latency("0.6"), retention=Retention(run=0.1)) as emulator:
        process = begin(folder, emulator.url, "run", "many.yaml")
        wait_for(lambda: emulator.count("status-sync") == 2)
        process.send_signal(signal.SIGINT)
        ended(process)
        wait_for(lambda: all(job.gone for job in emulator.jobs))
        code, said = typed(folder, emulator.url, "resume")
        again, _ = typed(folder, emulator.url, "resume")
        more, told = typed(folder, emulator.url, "resume", "--budget", "0.1")

    assert (code, again, more) == (4, 4, 0)
    assert len(emulator.jobs) == 4
    assert "it is made anew, though it may have been paid for" in said
    assert "the budget of the run is 0.0120 USD, of which 0.0100 USD are spent" in said
    assert "may have cost up to 0.0100 USD more: calls of whose end nobody knows" in told
    assert "may have cost up to 0.0100 USD more" in typed(folder, emulator.url, "show")[1]


def test_a_run_that_waits_for_another_does_not_send_again_what_that_one_may_have_sent(folder: Path) -> None:
    step = "steps:\n  photo: {kind: generate_image, model: pruna/p-image-t2i, prompt: a cup, seed: 7}\n"
    (folder / "one.yaml").write_text(f"name: one\n{step}")
    (folder / "two.yaml").write_text(f"name: two\n{step}")
    with Emulator(seed=1, faults=["run=slow:8*1"]) as emulator:
        first = begin(folder, emulator.url, "run", "one.yaml")
        wait_for(lambda: emulator.count("run") == 1)
        second = begin(folder, emulator.url, "run", "two.yaml")
        wait_for(lambda: len(list((folder / ".runner" / "runs").glob(f"*/{NAME}"))) == 2)
        time.sleep(0.5)
        first.kill()
        first.communicate()
        code, said = ended(second)
        sent = emulator.count("run")
        _, why = typed(folder, emulator.url, "why", "photo")
        new, told = typed(folder, emulator.url, "run", "two.yaml")

    assert (code, sent) == (1, 1)
    assert "it may have been accepted and may cost money" in said
    assert "it is not sent again" in said
    assert "so it may have been accepted and paid for; a new run sends it again" in why
    assert (new, emulator.count("run")) == (0, 2)
    assert "so it may have been accepted and paid for; it is sent again" in told


def test_a_file_that_is_gone_when_its_job_is_collected_is_made_anew_once(folder: Path) -> None:
    (folder / "many.yaml").write_text(
        "name: many\nsteps:\n  photo: {kind: generate_image, model: pruna/p-image-t2i, prompt: a cup}\n"
    )
    with Emulator(seed=1, latency=parse_latency("0.3"), faults=["media=404*5"]) as emulator:
        process = begin(folder, emulator.url, "run", "many.yaml")
        wait_for(lambda: emulator.count("status-sync") == 1)
        process.kill()
        process.communicate()
        time.sleep(0.4)
        code, said = typed(folder, emulator.url, "resume")

    assert code == 0
    assert "it is made anew" in said
    assert len(emulator.jobs) == 2


def test_a_job_whose_file_did_not_come_is_told_as_ended_and_its_file_is_fetched_later(folder: Path) -> None:
    (folder / "many.yaml").write_text(
        "name: many\nsteps:\n  photo: {kind: generate_image, model: pruna/p-image-t2i, prompt: a cup, "
        "retry: {attempts: 1}}\n"
    )
    with Emulator(seed=1, faults=["media=500*1"]) as emulator:
        code, said = typed(folder, emulator.url, "run", "many.yaml")
        _, shown = typed(folder, emulator.url, "show")
        again, _ = typed(folder, emulator.url, "resume")

    assert (code, again, len(emulator.jobs)) == (1, 0, 1)
    for told in (said, shown):
        assert "has ended and is paid for; its files are still to be fetched" in told
        assert "may still be running" not in told
    assert "the files of 1 finished job still to be fetched: it collects them." in said


def test_a_job_that_was_faster_than_its_cancellation_is_kept(folder: Path) -> None:
    (folder / "many.yaml").write_text(
        "name: many\nsteps:\n  photo: {kind: generate_image, model: pruna/p-image-t2i, prompt: a cup}\n"
    )
    with Emulator(seed=1, latency=parse_latency("0.6"), long_polling=False) as emulator:
        process = begin(folder, emulator.url, "run", "many.yaml", "--cancel-on-interrupt")
        wait_for(lambda: len(emulator.jobs) == 1 and emulator.jobs[0].status == "COMPLETED")
        process.send_signal(signal.SIGINT)
        ended(process)
        code, _ = typed(folder, emulator.url, "run", "many.yaml")

    assert code == 0
    assert len(emulator.jobs) == 1


# -- what a reviewer found --------------------------------------------------------------------------


MANY = """\
name: many
steps:
  photo: {kind: generate_image, model: pruna/p-image-t2i, foreach: "{{ range(30) | list }}", prompt: "cup {{ item }}",
          retry: {wait: 0.01}}
"""


@pytest.mark.parametrize("arguments", [(), ("--cancel-on-interrupt",)])
def test_a_signal_lets_nothing_new_start(folder: Path, arguments: tuple[str, ...]) -> None:
    (folder / "many.yaml").write_text(MANY)
    with Emulator(seed=1, latency=parse_latency("5")) as emulator:
        process = begin(folder, emulator.url, "run", "many.yaml", "--concurrency", "2", *arguments)
        wait_for(lambda: len(emulator.jobs) == 2)
        process.send_signal(signal.SIGINT)
        code, _ = ended(process)

    assert code == 130
    assert len(emulator.jobs) == 2


@pytest.mark.parametrize("end", ["interrupted", "killed"])
def test_a_new_run_waits_for_the_jobs_that_another_left_in_flight(folder: Path, end: str) -> None:
    step = MANY.replace("range(30)", "range(3)")
    (folder / "many.yaml").write_text(step)
    with Emulator(seed=1, latency=parse_latency("2")) as emulator:
        first = begin(folder, emulator.url, "run", "many.yaml")
        wait_for(lambda: emulator.count("status-sync") >= 3)
        first.send_signal(signal.SIGINT if end == "interrupted" else signal.SIGKILL)
        first.communicate()
        code, _ = typed(folder, emulator.url, "run", "many.yaml")
        again, said = typed(folder, emulator.url, "resume")

    assert (code, len(emulator.jobs)) == (0, 3)
    assert again == 0, said


def test_a_run_that_was_to_send_nothing_does_not_stand_before_one_with_jobs(folder: Path) -> None:
    with Emulator(seed=1, latency=parse_latency("1.5")) as emulator:
        first = begin(folder, emulator.url, "run", "many.yaml")
        wait_for(lambda: emulator.count("status-sync") >= 1)
        first.send_signal(signal.SIGINT)
        ended(first)
        typed(folder, emulator.url, "run", "many.yaml", "--offline")
        code, said = typed(folder, emulator.url, "resume")

    assert code == 0, said
    assert len(emulator.jobs) == JOBS


@pytest.mark.parametrize("cache", ["false", "{for: 1ms}"])
def test_what_a_run_has_made_is_not_made_again_when_it_is_taken_up(
    folder: Path, emulator: Emulator, cache: str
) -> None:
    step = "kind: generate_image, model: pruna/p-image-t2i, prompt: a cup"
    text = (
        f"name: once\nsteps:\n  photo: {{{step}, cache: {cache}}}\n"
        '  size: {kind: render_text, text: "{{ steps.photo.image.width // DIVISOR }}"}\n'
    )
    (folder / "many.yaml").write_text(text.replace("DIVISOR", "(1 - 1)"))
    assert typed(folder, emulator.url, "run", "many.yaml")[0] == 1
    (folder / "many.yaml").write_text(text.replace("DIVISOR", "2"))

    code, said = typed(folder, emulator.url, "resume")

    assert code == 0, said
    assert len(emulator.jobs) == 1


def test_a_run_that_is_taken_up_keeps_its_options(folder: Path, emulator: Emulator) -> None:
    (folder / "many.yaml").write_text("budget: {usd: 0.5}\n" + MANY)
    assert typed(folder, emulator.url, "run", "many.yaml", "--budget", "0.007", "--out", "here")[0] == 4

    other, said = typed(folder, emulator.url, "run", "many.yaml", "--resume", "--out", "there", "--offline")
    code, _ = typed(folder, emulator.url, "run", "many.yaml", "--resume")
    spent = len(emulator.jobs)
    raised, _ = typed(folder, emulator.url, "resume", "--budget", "0.012")
    then = len(emulator.jobs)
    last, _ = typed(folder, emulator.url, "resume")

    assert (other, code, raised, last) == (1, 4, 4, 4)
    assert "was started otherwise: a new one begins. runner resume" in said
    assert spent == 1
    assert len(emulator.jobs) == then


def test_chats_that_were_not_answered_count_against_the_budget_of_a_run_that_is_taken_up(folder: Path) -> None:
    """Each may have been billed: the budget pays one and a half."""
    (folder / "many.yaml").write_text(
        "name: many\nbudget: {usd: 0.03}\nsteps:\n"
        "  words: {kind: generate_text, model: qwen/qwen3-32b-awq, prompt: hi, max_tokens: 2000}\n"
    )
    with Emulator(seed=1, latency=parse_latency("5")) as emulator:
        process = begin(folder, emulator.url, "run", "many.yaml")
        wait_for(lambda: emulator.count("chat") == 1)
        process.kill()
        process.communicate()
        code, said = typed(folder, emulator.url, "resume")

    assert code == 4, said
    assert emulator.count("chat") == 1


def test_a_journal_that_was_cut_before_it_began_stands_in_nobodys_way(folder: Path, emulator: Emulator) -> None:
    typed(folder, emulator.url, "run", "many.yaml")
    empty = folder / ".runner" / "runs" / "29991231-235959-ffff"
    empty.mkdir()
    (empty / NAME).write_bytes(b'{"event": "RunSta')

    code, said = typed(folder, emulator.url, "resume", empty.name)

    assert code == 2
    assert "was cut before it began" in said
    assert "There is no run here" in typed(folder, emulator.url, "resume")[1]


def test_in_a_folder_that_is_no_project_a_run_is_found_from_where_it_was_started(
    folder: Path, emulator: Emulator
) -> None:
    (folder / "recipes").mkdir()
    (folder / "many.yaml").rename(folder / "recipes" / "many.yaml")

    typed(folder, emulator.url, "run", "recipes/many.yaml")

    assert "many" in typed(folder, emulator.url, "runs")[1]
    assert (folder / ".runner" / "store").is_dir()


def test_a_run_is_named_by_a_part_of_its_id(folder: Path, emulator: Emulator) -> None:
    typed(folder, emulator.url, "run", "many.yaml")
    (run,) = (folder / ".runner" / "runs").iterdir()

    assert typed(folder, emulator.url, "resume", run.name[-4:])[0] == 0


@pytest.mark.anyio
async def test_two_runs_of_one_program_pay_once(folder: Path, emulator: Emulator) -> None:
    env = {"RUNPOD_API_KEY": "k", "RUNPOD_BASE_URL": emulator.url}
    ends: list[int] = []

    async def one(number: int) -> None:
        run = await runner.run(folder / "many.yaml", env=env, out=folder / f"out{number}")
        ends.append(run.exit_code)

    async with anyio.create_task_group() as tasks:
        for number in range(2):
            tasks.start_soon(one, number)

    assert ends == [0, 0]
    assert len(emulator.jobs) == JOBS


def test_a_bit_of_a_text_that_has_flipped_in_the_store_is_never_served(folder: Path, emulator: Emulator) -> None:
    typed(folder, emulator.url, "run", "many.yaml")
    with contextlib.closing(sqlite3.connect(folder / ".runner" / "store" / "replies.sqlite")) as rows:
        for key, row in rows.execute("SELECT key, row FROM replies").fetchall():
            rows.execute(
                "UPDATE replies SET row = ? WHERE key = ?", (row.replace('"content":"', '"content":"x', 1), key)
            )
        rows.commit()

    damaged, said = typed(folder, emulator.url, "cache", "verify")
    code, told = typed(folder, emulator.url, "run", "many.yaml")

    assert damaged == 1, said
    assert (code, emulator.count("chat"), len(emulator.jobs)) == (0, 2, JOBS)
    assert "words: what the store has for it is damaged" in told


def test_a_picture_whose_row_is_damaged_is_not_paid_again_but_found_by_a_repair(
    folder: Path, emulator: Emulator
) -> None:
    typed(folder, emulator.url, "run", "many.yaml")
    outputs = files(folder)
    with contextlib.closing(sqlite3.connect(folder / ".runner" / "store" / "replies.sqlite")) as rows:
        rows.execute("UPDATE replies SET row = replace(row, '\"cost\"', '\"cosu\"') WHERE row LIKE '%jpeg%'")
        rows.commit()

    damaged, said = typed(folder, emulator.url, "run", "many.yaml")
    repaired, _ = typed(folder, emulator.url, "cache", "verify", "--repair")
    code, _ = typed(folder, emulator.url, "run", "many.yaml")

    assert (damaged, repaired, code) == (1, 0, 0)
    assert "it would be paid again. runner cache verify --repair finds it" in said
    assert (len(emulator.jobs), files(folder)) == (JOBS, outputs)


def test_a_job_without_an_output_is_over_and_made_anew_when_the_run_is_taken_up(folder: Path) -> None:
    (folder / "many.yaml").write_text(
        "name: many\nsteps:\n  photo: {kind: generate_image, model: pruna/p-image-t2i, prompt: a cup}\n"
    )
    with Emulator(seed=1, faults=["job=NOOUTPUT*1"]) as emulator:
        failed, said = typed(folder, emulator.url, "run", "many.yaml")
        code, _ = typed(folder, emulator.url, "resume")

    assert (failed, code, len(emulator.jobs)) == (1, 0, 2)
    assert "still to be fetched" not in said


def test_a_line_of_a_script_with_an_input_takes_up_its_own_run_and_no_other(folder: Path) -> None:
    (folder / "many.yaml").write_text(
        "name: many\ninputs: {thing: {type: string}}\nsteps:\n  photo: {kind: generate_image, "
        "model: pruna/p-image-t2i, prompt: 'a {{ inputs.thing }}'}\n"
    )
    line = ("run", "many.yaml", "--resume", "--no-metadata", "-i")
    with Emulator(seed=1, latency=parse_latency("1")) as emulator:
        process = begin(folder, emulator.url, *line, "thing=cup")
        wait_for(lambda: emulator.count("status-sync") == 1)
        process.kill()
        process.communicate()
        code, _ = typed(folder, emulator.url, *line, "thing=cup")
        runs = len(list((folder / ".runner" / "runs").iterdir()))
        jobs = len(emulator.jobs)
        other, _ = typed(folder, emulator.url, *line, "thing=jug")

    assert (code, runs, jobs) == (0, 1, 1)
    assert (other, len(emulator.jobs)) == (0, 2)


def test_a_run_that_failed_before_a_later_one_was_done_is_of_the_past(folder: Path) -> None:
    text = "name: many\ninputs: {n: {type: integer}}\nsteps: {a: {kind: render_text, text: '{{ 6 / inputs.n }}'}}\n"
    (folder / "many.yaml").write_text(text)
    with Emulator() as emulator:
        typed(folder, emulator.url, "run", "many.yaml", "-i", "n=0")
        typed(folder, emulator.url, "run", "many.yaml", "-i", "n=2")

        code, said = typed(folder, emulator.url, "run", "many.yaml", "--resume", "-i", "n=3")

    assert code == 0
    assert "the last one came to a good end. A new one begins." in said


def test_a_disk_that_takes_nothing_more_stops_what_is_sent(tmp_path: Path) -> None:
    limited = (
        "import resource, signal, sys\nsignal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (100000, 100000))\nfrom runner.cli import main\nmain(sys.argv[1:])\n"
    )
    (tmp_path / "many.yaml").write_text(MANY)
    with Emulator(seed=1, latency=parse_latency("0.1")) as emulator:
        env = {**os.environ, "RUNPOD_API_KEY": "k", "RUNPOD_BASE_URL": emulator.url}
        full = subprocess.run(
            [sys.executable, "-c", limited, "run", "many.yaml", "--concurrency", "3"],
            cwd=tmp_path, env=env, capture_output=True, text=True, check=False, timeout=60,
        )  # fmt: skip

    assert full.returncode == 1, full.stderr
    assert "Traceback" not in full.stderr
    assert len(emulator.jobs) <= 15


def test_a_journal_that_cannot_grow_ends_the_run_with_a_sentence_and_it_goes_on_later(
    folder: Path, emulator: Emulator
) -> None:
    limited = (
        "import resource, signal, sys\nsignal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (150000, 150000))\nfrom runner.cli import main\nmain(sys.argv[1:])\n"
    )
    words = '  each: {kind: render_text, foreach: "{{ range(1000) | list }}", text: "{{ item }} cups of tea"}\n'
    (folder / "many.yaml").write_text("name: many\nsteps:\n" + words)

    full = subprocess.run(
        [sys.executable, "-c", limited, "run", "many.yaml", "--local"],
        cwd=folder, capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip

    assert full.returncode == 1, full.stderr
    assert "Traceback" not in full.stderr
    assert "events.jsonl cannot be written: File too large" in full.stderr
    assert "Go on with: runner resume" in full.stderr
    assert typed(folder, emulator.url, "resume")[0] == 0


@pytest.mark.parametrize("words", [("resume",), ("run", "many.yaml", "--resume")])
def test_a_run_that_waits_for_a_choice_is_taken_up_with_one_either_way(
    folder: Path, emulator: Emulator, words: tuple[str, ...]
) -> None:
    (folder / "many.yaml").write_text(
        "name: many\nsteps:\n  photo: {kind: generate_image, model: pruna/p-image-t2i, prompt: a cup, pick: {of: 2}}\n"
    )
    waits, _ = typed(folder, emulator.url, "run", "many.yaml")

    code, said = typed(folder, emulator.url, *words, "--pick", "first")

    assert (waits, code, len(emulator.jobs)) == (6, 0, 2), said


@pytest.mark.parametrize(("end", "cache"), [("interrupted", "true"), ("killed", "false")])
def test_a_run_is_taken_up_though_its_pipeline_has_another_name_now(folder: Path, end: str, cache: str) -> None:
    text = MANY.replace("range(30)", "range(3)").replace("photo: {", f"photo: {{cache: {cache}, ")
    (folder / "many.yaml").write_text(text)
    with Emulator(seed=1, latency=parse_latency("2")) as emulator:
        first = begin(folder, emulator.url, "run", "many.yaml", "--out", "here")
        wait_for(lambda: emulator.count("status-sync") >= 3)
        first.send_signal(signal.SIGINT if end == "interrupted" else signal.SIGKILL)
        first.communicate()
        (folder / "many.yaml").rename(folder / "more.yaml")

        lost, told = typed(folder, emulator.url, "resume")
        code, said = typed(folder, emulator.url, "run", "more.yaml", "--resume")
        again, _ = typed(folder, emulator.url, "resume", next((folder / ".runner" / "runs").iterdir()).name)

    assert (lost, code, again) == (2, 0, 0), said
    assert "If it has another name now: runner run FILE --resume" in told
    assert len(emulator.jobs) == 3
    assert len(list((folder / ".runner" / "runs").iterdir())) == 1


def test_a_pipeline_that_has_changed_since_is_told_when_its_run_is_taken_up(folder: Path, emulator: Emulator) -> None:
    (folder / "many.yaml").write_text("budget: {usd: 0.001}\n" + MANY.replace("range(30)", "range(2)"))
    typed(folder, emulator.url, "run", "many.yaml")

    same = typed(folder, emulator.url, "resume")
    (folder / "many.yaml").write_text(MANY.replace("range(30)", "range(2)"))
    other = typed(folder, emulator.url, "resume")

    assert "has changed since" not in same[1]
    assert "many has changed since the run" in other[1]
    assert (same[0], other[0]) == (4, 0)


def test_a_local_run_that_is_stopped_leaves_no_jobs_for_its_emulator_ends_with_it(folder: Path) -> None:
    (folder / "many.yaml").write_text(MANY)
    process = begin(folder, "http://127.0.0.1:9/v2", "run", "many.yaml", "--local")
    journals = folder / ".runner" / "runs"
    wait_for(lambda: any("JobSubmitted" in each.read_text() for each in journals.glob("*/events.jsonl")))
    process.send_signal(signal.SIGINT)

    _, said = ended(process)
    code, resumed = typed(folder, "http://127.0.0.1:9/v2", "resume")

    assert "still in flight" not in said
    assert code == 0
    assert "no longer knows" not in resumed


def test_a_run_of_another_pipeline_is_not_taken_up_for_one_that_is_new(folder: Path, emulator: Emulator) -> None:
    (folder / "many.yaml").write_text("name: other\nbudget: {usd: 0.001}\n" + MANY.partition("\n")[2])
    typed(folder, emulator.url, "run", "many.yaml")
    (folder / "many.yaml").unlink()
    (folder / "new.yaml").write_text(MANY.replace("range(30)", "range(2)"))

    code, said = typed(folder, emulator.url, "run", "new.yaml", "--resume")

    assert code == 0, said
    assert len(list((folder / ".runner" / "runs").iterdir())) == 2


@pytest.mark.anyio
async def test_of_two_that_take_up_a_run_the_second_knows_what_the_first_has_paid(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both have read its journal; while the second still reads the pipeline, the first goes on and comes to its end."""
    (folder / ".git").mkdir()
    (folder / "many.yaml").write_text(
        MANY.replace("range(30)", "range(2)").replace("photo: {", "photo: {cache: false, ")
    )
    monkeypatch.chdir(folder)
    with Emulator(seed=1, faults=["run=400*always"]) as emulator:
        ended(begin(folder, emulator.url, "run", "many.yaml"))
    with Emulator(seed=1, port=port_of(emulator)) as emulator:
        found = history.find_run(None)
        assert found is not None
        first, _ = ended(begin(folder, emulator.url, "resume"))
        env = {"RUNPOD_API_KEY": "k", "RUNPOD_BASE_URL": emulator.url}
        options = Options.of(found[0], env=env, cancel_on_interrupt=False)

        second = await app.resume(*found, options, lambda _: None, None)

    assert (first, second.exit_code, len(emulator.jobs)) == (0, 0, 2)
    assert second.state.cost == pytest.approx(0.01)


def test_a_run_with_a_damaged_journal_is_told_with_what_to_do_and_stands_in_nobody_elses_way(
    folder: Path, emulator: Emulator
) -> None:
    (folder / "other.yaml").write_text(PIPELINE.replace("name: many", "name: other"))
    with Emulator(seed=1, faults=["p-image-edit/run=400*always"]) as failing:
        typed(folder, failing.url, "run", "many.yaml")
    sound = next((folder / ".runner" / "runs").iterdir())
    typed(folder, emulator.url, "run", "other.yaml")
    damaged = next(run for run in (folder / ".runner" / "runs").iterdir() if run != sound)
    lines = (damaged / NAME).read_bytes().splitlines(keepends=True)
    (damaged / NAME).write_bytes(b"".join([*lines[:4], b"3\n", *lines[4:]]))

    code, said = typed(folder, emulator.url, "resume")
    again, _ = typed(folder, emulator.url, "run", "many.yaml", "--resume")

    assert code == 1
    assert "is damaged at line 5" in said
    assert f"runner runs rm {damaged.name} --force" in said
    assert again == 0


WHILE_IT_LOADS = """
import os, signal, sys

class Finder:
    def find_spec(self, name, path=None, target=None):
        if name == "runner.cli":
            os.kill(os.getpid(), signal.SIGINT)

sys.meta_path.insert(0, Finder())
from runner.__main__ import main
main()
"""


def test_a_signal_while_the_program_still_loads_is_a_word_and_no_traceback(folder: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", WHILE_IT_LOADS, "run", "many.yaml"], cwd=folder, capture_output=True, text=True,
        check=False,
    )  # fmt: skip

    assert (done.returncode, done.stderr) == (130, "Stopped.\n")


def test_a_run_whose_folder_cannot_be_filled_is_done_and_says_so(folder: Path, emulator: Emulator) -> None:
    with Emulator(seed=1, faults=["p-image-edit/run=400*always"]) as failing:
        typed(folder, failing.url, "run", "many.yaml")
    (run,) = (folder / ".runner" / "runs").iterdir()
    (run / "state.json").unlink()
    (run / "state.json").mkdir()

    code, said = typed(folder, emulator.url, "resume")

    assert code == 0
    assert "many: done" in said
    assert "state.json cannot be written: Is a directory" in said
    assert len(files(folder)) == 4


# -- the end of a run -------------------------------------------------------------------------------

WRITTEN = 20


@pytest.fixture
def large(folder: Path) -> Path:
    """A pipeline whose outputs take seconds to be written: each is another kind of picture than its model makes."""
    outputs = "".join(f'  a{n}.webp: "{{{{ steps.photo.image }}}}"\n' for n in range(WRITTEN))
    (folder / "many.yaml").write_text(
        "name: many\nsteps:\n  photo: {kind: generate_image, model: qwen/qwen-image, prompt: a cup, size: 1472x1140}\n"
        f"outputs:\n{outputs}"
    )
    return folder / "out" / "many"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_while_outputs_are_written_leaves_whole_files_and_says_how_to_go_on(
    folder: Path, emulator: Emulator, large: Path, number: signal.Signals
) -> None:
    process = begin(folder, emulator.url, "run", "many.yaml")
    wait_for(lambda: large.is_dir() and len(list(large.glob("a*"))) > 1)
    process.send_signal(number)
    code, said = ended(process)
    written = list(large.iterdir())

    again, _ = typed(folder, emulator.url, "resume")

    assert code == 128 + number
    assert "Go on with: runner resume" in said
    assert 1 < len(written) < WRITTEN
    for path in written:
        Image.open(path).load()
    assert (again, len(list(large.iterdir())), len(emulator.jobs)) == (0, WRITTEN, 1)


def test_a_second_signal_while_outputs_are_written_leaves_at_once(
    folder: Path, emulator: Emulator, large: Path
) -> None:
    process = begin(folder, emulator.url, "run", "many.yaml")
    wait_for(lambda: large.is_dir() and len(list(large.glob("a*"))) > 1)
    process.send_signal(signal.SIGTERM)
    process.send_signal(signal.SIGINT)
    code, said = ended(process)

    again, _ = typed(folder, emulator.url, "resume")

    assert code in (130, 143)  # two signals at once come in any order
    assert "Go on with: runner resume" in said
    for path in large.glob("a*"):
        Image.open(path).load()
    assert (again, len(list(large.iterdir()))) == (0, WRITTEN)


def test_a_run_counts_as_done_when_its_lock_is_there(folder: Path, emulator: Emulator) -> None:
    lock = folder / "many.lock.yaml"
    lock.mkdir()

    code, said = typed(folder, emulator.url, "run", "many.yaml", "--lock")
    lock.rmdir()
    again, _ = typed(folder, emulator.url, "resume")

    assert (code, again) == (1, 0)
    assert "lock        not made: " in said
    assert "Go on with: runner resume" in said
    assert lock.is_file()
    assert len(emulator.jobs) == JOBS


def test_a_run_that_is_killed_before_its_last_word_writes_its_lock_when_it_is_taken_up(
    folder: Path, emulator: Emulator
) -> None:
    typed(folder, emulator.url, "run", "many.yaml", "--lock")
    (run,) = (folder / ".runner" / "runs").iterdir()
    lock = folder / "many.lock.yaml"
    locked, journal = lock.read_text(), (run / NAME).read_bytes().splitlines(keepends=True)
    lock.unlink()
    (run / NAME).write_bytes(b"".join(journal[:-1]))

    code, _ = typed(folder, emulator.url, "resume")

    assert b"RunFinished" in journal[-1]
    assert code == 0
    assert lock.read_text() == locked


def test_a_reply_that_the_store_has_lost_is_fetched_again_from_runpod_as_long_as_that_has_it(folder: Path) -> None:
    """As after a power cut: the journal came to the disk, the last rows of the store did not."""
    with Emulator(seed=1, faults=["p-image-edit/run=400*4"]) as emulator:
        typed(folder, emulator.url, "run", "many.yaml")
        forget(folder / ".runner" / "store", kept=set())

        code, said = typed(folder, emulator.url, "resume")

    (run,) = (folder / ".runner" / "runs").iterdir()
    assert code == 0, said
    assert len(emulator.jobs) == JOBS
    assert json.loads((run / "state.json").read_text())["cost"] < 0.07  # 4 x 0.005 and 4 x 0.01, and two chats


def test_a_reply_that_nobody_has_any_more_is_made_anew(folder: Path) -> None:
    with Emulator(seed=1, faults=["p-image-edit/run=400*4"]) as emulator:
        typed(folder, emulator.url, "run", "many.yaml")
    forget(folder / ".runner" / "store", kept=set())
    with Emulator(seed=1, port=port_of(emulator)) as emulator:
        code, said = typed(folder, emulator.url, "resume")

    assert code == 0
    assert len(emulator.jobs) == JOBS
    assert "it is made anew" in said
