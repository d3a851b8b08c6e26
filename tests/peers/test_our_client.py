"""Our own client, as `call_endpoint` uses it, on a private endpoint that the official worker serves."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeAlias

import httpx2 as httpx
import pytest

from runner.events import JobEnded, JobSubmitted
from runner.journal import read

from .conftest import HEADERS, Worker, waited

Begun: TypeAlias = Callable[..., subprocess.Popen[str]]


@pytest.fixture
def begun(private: str) -> Iterator[Begun]:
    """`runner run` with a step that calls the endpoint, and `runner resume`."""
    processes = []

    def begin(folder: Path, *arguments: str) -> subprocess.Popen[str]:
        env = {**os.environ, "RUNPOD_API_KEY": "rpa_peer", "RUNPOD_BASE_URL": private.removesuffix("/private")}
        process = subprocess.Popen(
            [sys.executable, "-m", "runner", *arguments],
            cwd=folder, env=env, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip
        processes.append(process)
        return process

    yield begin
    for process in processes:
        process.kill()
        process.communicate()


def with_step(folder: Path, step: str) -> Path:
    """A folder with a pipeline whose step calls the endpoint."""
    folder.mkdir(exist_ok=True)
    (folder / "p.yaml").write_text(
        f"""
        name: mine
        steps:
          ask: {{kind: call_endpoint, model: "https://console.runpod.io/serverless/user/endpoint/private", {step}}}
        outputs: {{said.json: "{{{{ steps.ask.data }}}}"}}
        """
    )
    return folder


def ended(process: subprocess.Popen[str]) -> tuple[int, str]:
    out, err = process.communicate(timeout=60)
    assert "Traceback" not in out + err
    return process.returncode, out + err


def said(folder: Path) -> Any:
    return json.loads((folder / "out/mine/said.json").read_text())


def events(folder: Path, kind: type[Any]) -> list[Any]:
    """What the journal holds so far of the one run that there is."""
    runs = list((folder / ".runner/runs").glob("*/events.jsonl"))
    return [event for path in runs for event in read(path.parent) if isinstance(event, kind)]


def status(private: str, job: str) -> Any:
    return httpx.get(f"{private}/status/{job}", headers=HEADERS).json()


def test_a_step_has_what_the_handler_said(begun: Begun, worker: Worker, tmp_path: Path) -> None:
    with_step(tmp_path, "input: {say: hello, deep: [{n: 1}]}")

    code, told = ended(begun(tmp_path, "run", "p.yaml"))

    assert code == 0, told
    assert said(tmp_path) == [{"echo": {"say": "hello", "deep": [{"n": 1}]}}]


def test_a_step_that_streams_has_the_pieces_in_order(begun: Begun, worker: Worker, tmp_path: Path) -> None:
    with_step(tmp_path, "input: {do: count, to: 5, pause: 0.2}, stream: true")

    code, told = ended(begun(tmp_path, "run", "p.yaml"))

    assert code == 0, told
    assert said(tmp_path) == [{"number": number} for number in range(5)]


def test_a_step_fails_with_the_words_of_the_handler_and_its_job_is_tried_once_more(
    begun: Begun, worker: Worker, tmp_path: Path
) -> None:
    with_step(tmp_path, "input: {do: fail, why: the kiln is cold}")

    code, told = ended(begun(tmp_path, "run", "p.yaml"))

    assert code == 1
    assert "the kiln is cold" in told
    assert len(events(tmp_path, JobSubmitted)) == 2


def test_an_interrupt_that_cancels_takes_the_job_from_the_worker(
    begun: Begun, private: str, worker: Worker, tmp_path: Path
) -> None:
    process = begun(with_step(tmp_path, "input: {do: sleep, seconds: 60}"), "run", "p.yaml", "--cancel-on-interrupt")
    waited(lambda: bool(events(tmp_path, JobSubmitted)))
    job = events(tmp_path, JobSubmitted)[0].job
    waited(lambda: bool(status(private, job)["status"] == "IN_PROGRESS"))
    before = worker.log.read_text().count("Stopping job.")

    process.send_signal(signal.SIGINT)
    code, _ = ended(process)

    assert code == 130
    assert status(private, job)["status"] == "CANCELLED"
    assert [event.status for event in events(tmp_path, JobEnded)] == ["CANCELLED"]
    waited(lambda: worker.log.read_text().count("Stopping job.") == before + 1)


def test_an_interrupt_leaves_the_job_to_the_worker_and_resume_collects_it(
    begun: Begun, worker: Worker, tmp_path: Path
) -> None:
    process = begun(with_step(tmp_path, "input: {do: sleep, seconds: 2}"), "run", "p.yaml")
    waited(lambda: bool(events(tmp_path, JobSubmitted)))

    process.send_signal(signal.SIGINT)
    stopped, _ = ended(process)
    done, told = ended(begun(tmp_path, "resume"))

    assert (stopped, done) == (130, 0), told
    assert said(tmp_path) == ["slept"]
    assert len(events(tmp_path, JobSubmitted)) == 1


def test_a_job_past_the_timeout_of_its_step_is_cancelled_and_the_worker_is_free_for_the_next(
    begun: Begun, private: str, worker: Worker, tmp_path: Path
) -> None:
    late = with_step(tmp_path / "late", "input: {do: sleep, seconds: 60}, timeout: 1.5")
    following = with_step(tmp_path / "following", "input: {say: next}")

    failed, told = ended(begun(late, "run", "p.yaml"))
    done, _ = ended(begun(following, "run", "p.yaml"))

    assert (failed, done) == (1, 0)
    assert "it was told to stop" in told
    assert status(private, events(late, JobSubmitted)[0].job)["status"] == "CANCELLED"
    assert said(following) == [{"echo": {"say": "next"}}]
