"""What tests with peers share: a real emulator, the official clients and the official worker, each its own process."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Self

import httpx2 as httpx
import pytest

from runner.emulator import environment

from ..conftest import REPO

HERE = Path(__file__).parent
PEERS = REPO / ".peers"
HEADERS = {"Authorization": "Bearer rpa_peer"}

Ask = Callable[..., Any]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if HERE in item.path.parents:
            item.add_marker("peers")


@pytest.fixture(scope="session", autouse=True)
def installed() -> None:
    """Skips with the reason that scripts/peers has left, when a registry was out of reach; never without one."""
    reason = PEERS / "unreachable"
    if reason.is_file():
        pytest.skip(reason.read_text().strip())
    if not (PEERS / "installed").is_file():
        pytest.fail("The peers are not installed. Run scripts/peers first.")


def started(*options: str, program: str | None = None, python: str = sys.executable) -> Iterator[str]:
    """An emulator in a process of its own: the command, or a program that prints where it is."""
    command = ["-m", "runner", "emulator", "--port", "0", *options] if program is None else ["-c", program, *options]
    with subprocess.Popen([python, *command], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield process.stdout.readline().split()[-1]
        finally:
            process.send_signal(signal.SIGINT)


@pytest.fixture(scope="session")
def url() -> Iterator[str]:
    """The address of `runner emulator`, as it stands for https://api.runpod.ai/v2."""
    yield from started()


def _answer(command: list[str], case: Mapping[str, Any], within: float = 60) -> Any:
    done = subprocess.run(command, input=json.dumps(case), capture_output=True, text=True, timeout=within, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def _script(name: str) -> str:
    """A script beside the packages that it imports: node looks for them from where the file is."""
    copy = PEERS / "npm" / name
    copy.write_bytes((HERE / name).read_bytes())
    return str(copy)


@pytest.fixture(scope="session")
def provider(url: str) -> Ask:
    """Calls @runpod/ai-sdk-provider: `provider("image", MODEL, {...}, runpod={...})`."""
    node, script = shutil.which("node") or "node", _script("provider.mjs")

    def ask(kind: str, model: str, params: Mapping[str, Any], runpod: Mapping[str, Any] | None = None) -> Any:
        case = {"server": url.removesuffix("/v2"), "kind": kind, "model": model, "params": params, "runpod": runpod}
        return _answer([node, script], case)

    return ask


@pytest.fixture(scope="session")
def sdk(url: str) -> Ask:
    """Calls runpod-sdk: `sdk("runSync", ENDPOINT, {...})`."""
    node, script = shutil.which("node") or "node", _script("sdk.mjs")

    def ask(do: str, endpoint: str, given: Mapping[str, Any], at: str = url) -> Any:
        return _answer([node, script], {"url": at, "endpoint": endpoint, "do": do, "body": {"input": given}})

    return ask


@pytest.fixture(scope="session")
def python(url: str) -> Iterator[Ask]:
    """Calls `runpod` or `openai` of PyPI: `python("run_sync", ENDPOINT, input={...})`."""
    command = [str(PEERS / "venv/bin/python"), str(HERE / "client.py")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        asked, answers = process.stdin, process.stdout

        def ask(do: str, endpoint: str, at: str = url, **more: Any) -> Any:
            asked.write(json.dumps({"url": at, "endpoint": endpoint, "do": do, **more}) + "\n")
            asked.flush()
            said = json.loads(answers.readline())
            assert "raised" not in said, said["raised"]
            return said

        yield ask


class Worker:
    """The official worker as a process, with the process of its pings."""

    def __init__(
        self, url: str, endpoint: str, name: str, folder: Path, *, handler: str = "generator", pings: bool = True
    ) -> None:
        """Without `pings` it knows no more than its five addresses: not its name, and no key."""
        self.log = folder / f"{name}.log"
        told = {**environment(url, endpoint, worker=name), "RUNPOD_PING_INTERVAL": "1000", "HANDLER": handler}
        if not pings:
            del told["RUNPOD_POD_ID"], told["RUNPOD_AI_API_KEY"]
        with self.log.open("w") as log:
            self._process = subprocess.Popen(
                [str(PEERS / "venv/bin/python"), str(HERE / "handler.py"), "--rp_log_level", "DEBUG"],
                env={**os.environ, **told},
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def signals(self, number: signal.Signals) -> None:
        """To the worker and its pings alike, as when a pod goes away."""
        os.killpg(self._process.pid, number)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.ends()

    def ends(self) -> None:
        if self._process.poll() is None:
            self.signals(signal.SIGKILL)
        self._process.wait(10)


@pytest.fixture(scope="module")
def private() -> Iterator[str]:
    """The base of one of three endpoints that only workers serve, on an emulator with little patience."""
    program = (
        "from runner.emulator import Emulator, serve_forever\n"
        "emulator = Emulator(served=['private', 'bare', 'many'], worker_patience=2.5)\n"
        "serve_forever(emulator, ready=lambda url: print(url, flush=True))\n"
    )
    for at in started(program=program):
        yield f"{at}/private"


@pytest.fixture(scope="module")
def worker(private: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Worker]:
    """A worker that has taken up its work."""
    with Worker(private.removesuffix("/private"), "private", "w1", tmp_path_factory.mktemp("worker")) as one:
        waited(lambda: health(private)["workers"]["idle"] == 1)
        yield one


def health(base: str) -> Any:
    return httpx.get(f"{base}/health", headers=HEADERS).json()


def waited(true: Callable[[], bool], seconds: float = 15) -> None:
    """Comes back when it is true; fails the test when it never is."""
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.02)
