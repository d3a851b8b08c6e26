"""What tests share: a project folder, an emulator, and running a pipeline against it for real."""

from __future__ import annotations

import random
import textwrap
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

from runner import catalogue, checking, pipeline, planning
from runner.cli import main
from runner.desk import Desk
from runner.emulator import Emulator
from runner.events import Event, RunState, fold
from runner.execute import execute
from runner.journal import Journal
from runner.model import Artifact
from runner.planning import Plan
from runner.runpod.provider import Runpod
from runner.store import Store
from runner.templates import render_tree

REPO = Path(__file__).parent.parent
SHARED = REPO.parent / "shared"


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--peers", action="store_true", help="Run the tests with the official clients and worker too.")


settings.register_profile("patient", deadline=None)  # how fast it is, is measured elsewhere; machines are shared
settings.load_profile("patient")


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "peers: needs what scripts/peers installs; runs with --peers only")


def pytest_report_header(config: pytest.Config) -> str:
    return "peers: asked for" if config.getoption("--peers") else "peers: left out; scripts/peers, then pytest --peers"


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if config.getoption("--peers"):
        return
    left_out = [item for item in items if item.get_closest_marker("peers")]
    config.hook.pytest_deselected(items=left_out)
    items[:] = [item for item in items if item not in left_out]


@pytest.fixture(scope="session", autouse=True)
def no_models(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Whatever model this user has pulled: tests run without it, so that their texts are the emulator's."""
    with pytest.MonkeyPatch.context() as env:
        env.setenv("RUNNER_MODELS", str(tmp_path_factory.mktemp("models")))
        yield


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request: pytest.FixtureRequest) -> str:
    """Every test of something async runs on both."""
    return str(request.param)


@pytest.fixture
def emulator() -> Iterator[Emulator]:
    with Emulator(seed=1) as server:
        yield server


async def no_files(files: Mapping[str, str], pipeline: str) -> Mapping[str, Artifact]:
    """For runs of pipelines that name no files."""
    raise AssertionError(files, pipeline)


def planned(text: str, **inputs: Any) -> Plan:
    """The plan of a pipeline given as text. Fails the test if it has problems."""
    found, problems = pipeline.load(textwrap.dedent(text), "test.yaml", lambda name: Path(name).read_text())
    assert not problems
    assert found is not None
    checked, problems = checking.check(found, catalogue.builtin(), lambda name: Path(name).is_file())
    assert checked is not None, problems
    return planning.plan(checked, planning.read_inputs(found.inputs, inputs, {}), {})


@dataclass
class Ran:
    """What a run said and left behind."""

    events: list[Event]
    state: RunState
    plan: Plan
    names: dict[str, Any]
    kept: dict[str, str] = field(default_factory=dict)

    def ends(self) -> dict[str, str]:
        return {cell.cell: cell.state for cell in self.state.cells.values()}

    def said(self, kind: type[Any]) -> list[Any]:
        return [event for event in self.events if isinstance(event, kind)]

    def output(self, name: str) -> Any:
        return render_tree(self.plan.outputs[name], self.names)


class Bench:
    """Runs pipelines in one folder against one emulator, as often as a test likes."""

    def __init__(self, folder: Path, url: str) -> None:
        self.folder, self.url = folder, url
        self.events: list[Event] = []
        self.kept: dict[str, str] = {}

    async def run(
        self,
        text: str,
        *,
        calls: int | None = None,
        fail_fast: bool = False,
        key: str = "k",
        watch: Callable[[Event], None] = lambda _: None,
        inputs: Mapping[str, Any] | None = None,
        watched: bool = False,
        idle: float = 60.0,
        desk: Desk | None = None,
    ) -> Ran:
        self.events = []
        chosen = planned(text, **(inputs or {}))
        store = Store(self.folder / "store")
        with Journal(self.folder / "runs" / str(time.monotonic_ns())) as journal:

            def sink(event: Event) -> None:
                self.events.append(event)
                journal(event)
                watch(event)

            def keep(cell: str, paid: str) -> str:
                self.kept[cell] = paid
                return f"{cell}.paid.txt"

            async with Runpod(self.url, key, store, connections=calls or 64, origin="test", idle=idle) as provider:
                names = await execute(
                    chosen,
                    run_id="r",
                    provider=provider,
                    store=store,
                    sink=sink,
                    synced=journal.synced,
                    clock=time.time,
                    keep_text=keep,
                    load_files=no_files,
                    calls=calls,
                    fail_fast=fail_fast,
                    watched=watched,
                    jitter=random.Random(1),
                    desk=desk,
                )
        store.close()
        return Ran(self.events, fold(self.events), chosen, names, self.kept)


@pytest.fixture
def bench(tmp_path: Path, emulator: Emulator) -> Bench:
    return Bench(tmp_path / ".runner", emulator.url)


@dataclass
class Done:
    code: int
    out: str
    err: str


Cli = Callable[..., Done]


@pytest.fixture
def cli(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Cli:
    """Runs a command in this process, in a folder of its own, without a key."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("RUNPOD_API_KEY", raising=False)
    monkeypatch.delenv("RUNPOD_BASE_URL", raising=False)

    def run(*arguments: object) -> Done:
        try:
            main([str(argument) for argument in arguments])
            code = 0
        except SystemExit as ended:
            code = int(ended.code or 0)
        said = capsys.readouterr()
        return Done(code, said.out, said.err)

    return run
