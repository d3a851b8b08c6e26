"""Recording and replaying: the same run again without a network, and a clear word where it is not the same."""

from __future__ import annotations

import json
import socket
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import pytest

from runner import app, loading
from runner.emulator import Emulator, parse_latency
from runner.errors import UsageError
from runner.model import Chat, Job, Reply
from runner.options import Options
from runner.runpod.carrier import Carrier, recording, replaying
from runner.runpod.cassette import Cassette, NotRecorded
from runner.runpod.provider import Runpod
from runner.store import Store

from .conftest import Cli
from .test_runpod import server

PIPELINE = """\
name: tiny
inputs:
  thing: {type: string, default: teapot}
steps:
  draft: {kind: generate_text, model: qwen/qwen3-32b-awq, prompt: "About a {{ inputs.thing }}"}
  photo: {kind: generate_image, model: qwen/qwen-image, prompt: "a {{ inputs.thing }}", size: 512x512}
  warm:
    kind: edit_image
    model: qwen/qwen-image-edit
    foreach: [red, blue]
    image: "{{ steps.photo.image }}"
    prompt: "{{ item }}"
outputs:
  draft.txt: "{{ steps.draft.text }}"
  photo.png: "{{ steps.photo.image }}"
  "{key}.png": "{{ steps.warm.image }}"
"""


@pytest.fixture
def pipeline(tmp_path: Path) -> Path:
    path = tmp_path / "tiny.yaml"
    path.write_text(PIPELINE)
    return path


@pytest.fixture
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever opens a connection, or looks a name up, fails the test."""

    def forbidden(*arguments: object) -> None:
        raise AssertionError(arguments)

    for name in ("connect", "connect_ex", "bind", "listen"):
        monkeypatch.setattr(socket.socket, name, forbidden)
    monkeypatch.setattr(socket, "getaddrinfo", forbidden)


def files(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture
def recorded(cli: Cli, pipeline: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A recording of the pipeline with a key and a server; its outputs are in ``first``."""
    with Emulator(seed=1, latency=parse_latency("0.02+0.05")) as emulator, monkeypatch.context() as patch:
        patch.setenv("RUNPOD_API_KEY", "rpa_very_secret")
        patch.setenv("RUNPOD_BASE_URL", emulator.url)
        done = cli("run", pipeline, "--record", "tape", "--out", "first")
        assert done.code == 0, done.err
    return Path("tape")


# -- the command ------------------------------------------------------------------------------------


def test_a_replay_needs_neither_key_nor_network_and_makes_the_same_bytes(
    cli: Cli, pipeline: Path, recorded: Path, no_network: None
) -> None:
    done = cli("run", pipeline, "--replay", recorded, "--out", "again")

    assert (done.code, "Not used" in done.err) == (0, False), done.out + done.err
    assert files(Path("again")) == files(Path("first"))


def test_a_replay_does_not_pass_for_paid(cli: Cli, pipeline: Path, recorded: Path) -> None:
    done = cli("run", pipeline, "--replay", recorded)

    listed, shown = cli("runs").out.splitlines(), cli("show").out
    newest, oldest = json.loads(cli("runs", "--json").out)

    assert all("0.00 USD (was 0.0609 when recorded" in said for said in (done.out, listed[1], shown))
    assert "recorded" not in listed[2]
    assert (newest["paid"], newest["cost"]) == (0.0, oldest["paid"])
    assert oldest["paid"] > 0


def test_a_replay_can_be_replayed_and_leaves_the_store_alone(cli: Cli, pipeline: Path, recorded: Path) -> None:
    before = files(Path(".runner/store"))
    for _ in range(2):
        done = cli("run", pipeline, "--replay", recorded, "--json")

    assert {cell["state"] for cell in json.loads(done.out)["cells"]} == {"done"}
    assert done.err == ""
    assert {name for name in files(Path(".runner/store")) if "sqlite" not in name} == {
        name for name in before if "sqlite" not in name
    }


def test_no_key_and_no_header_is_in_a_recording(recorded: Path) -> None:
    everything = b"".join(files(recorded).values())

    assert b"rpa_very_secret" not in everything
    assert b"uthorization" not in everything
    assert b"user-agent" not in everything.lower()


def test_a_recording_is_json_to_read_with_pictures_beside(recorded: Path) -> None:
    names = sorted(files(recorded))
    run = json.loads(next(recorded.glob("v2-qwen-image-t2i-run-*-1.json")).read_text())

    assert sum(name.startswith("files/") for name in names) == 3
    assert all(name.endswith(".json") for name in names if not name.startswith("files/"))
    assert run["request"]["body"]["input"]["prompt"] == "a teapot"
    assert run["response"]["json"]["status"] == "IN_QUEUE"


def test_a_picture_counts_by_its_bytes_whether_it_was_sent_by_address_or_not(
    cli: Cli, pipeline: Path, recorded: Path
) -> None:
    edits = [json.loads(path.read_text()) for path in recorded.glob("v2-qwen-image-edit-run-*.json")]

    assert {edit["request"]["body"]["input"]["image"][:7] for edit in edits} == {"sha256:"}


def test_a_request_without_a_recording_names_the_nearest_and_the_difference(
    cli: Cli, pipeline: Path, recorded: Path, no_network: None
) -> None:
    done = cli("run", pipeline, "--replay", recorded, "-i", "thing=kettle", "--json")

    cells = {cell["cell"]: cell for cell in json.loads(done.out)["cells"]}
    assert done.code == 1
    assert "input.prompt: recorded 'a teapot', asked 'a kettle'" in cells["photo"]["message"]
    assert "The nearest is v2-qwen-image-t2i-run-" in cells["photo"]["message"]


def test_recordings_that_nobody_asked_for_are_reported_in_quiet_too(cli: Cli, pipeline: Path, recorded: Path) -> None:
    pipeline.write_text(PIPELINE.replace("[red, blue]", "[red]"))

    done = cli("run", pipeline, "--replay", recorded, "--quiet")

    assert (done.code, done.out) == (0, "")
    assert "Not used of the recording tape: " in done.err


def test_recordings_that_nobody_asked_for_are_reported(cli: Cli, pipeline: Path, recorded: Path) -> None:
    pipeline.write_text(PIPELINE.replace("[red, blue]", "[red]"))

    done = cli("run", pipeline, "--replay", recorded)

    assert done.code == 0
    assert "Not used of the recording tape: " in done.err
    assert "v2-qwen-image-edit-run-" in done.err


def test_recording_again_adds_what_is_new_and_says_what_came_from_the_store(cli: Cli, pipeline: Path) -> None:
    cli("run", pipeline, "--local", "--record", "tape", "--out", "first")
    pipeline.write_text(PIPELINE.replace("[red, blue]", "[red, blue, green]"))

    again = cli("run", pipeline, "--local", "--record", "tape", "--out", "second")
    replay = cli("run", pipeline, "--replay", "tape", "--out", "third")

    assert "4 cells came from the store" in again.err
    assert (replay.code, "Not used" in replay.err) == (0, False), replay.out + replay.err
    assert files(Path("third")) == files(Path("second"))


def test_a_run_that_failed_is_replayed_with_its_failures(cli: Cli, pipeline: Path) -> None:
    with Emulator(seed=1) as emulator:
        emulator.fail("qwen-image/run=429:1*2")
        emulator.fail("qwen-image-edit/job=FAILED*9")
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("RUNPOD_API_KEY", "k")
            patch.setenv("RUNPOD_BASE_URL", emulator.url)
            first = cli("run", pipeline, "--record", "tape", "--json")

    again = cli("run", pipeline, "--replay", "tape", "--json")

    first_cells, cells = ({c["cell"]: c for c in json.loads(done.out)["cells"]} for done in (first, again))
    assert (first.code, again.code) == (1, 1)
    assert cells["warm[red]"]["message"] == first_cells["warm[red]"]["message"]
    assert cells["photo"]["state"] == "done"
    assert cells["photo"]["seconds"] < 1


def test_a_run_that_somebody_watches_is_recorded_as_one_that_nobody_does(cli: Cli, pipeline: Path) -> None:
    options = Options(local=True, record=Path("tape"))
    watched = partial(app.run, loading.read(pipeline), loading.Given(), options, watched=True)

    anyio.run(watched, lambda _: None, lambda _: None)

    chat = json.loads(next(Path("tape").glob("*chat-completions*")).read_text())
    assert "stream" not in chat["request"]["body"]
    assert cli("run", pipeline, "--replay", "tape").code == 0


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--replay", "nowhere"], "There is no recording in nowhere"),
        (["--replay", "tape", "--offline"], "exclude each other"),
        (["--record", "tape", "--replay", "tape"], "exclude each other"),
        (["--replay", "old"], "has format 99"),
    ],
)
def test_a_wrong_use_is_a_sentence(cli: Cli, pipeline: Path, arguments: list[str], words: str) -> None:
    Path("old").mkdir()
    Path("old/cassette.json").write_text('{"format": 99}')

    done = cli("run", pipeline, *arguments)

    assert (done.code, words in done.err) == (2, True), done.err
    assert not Path(".runner").exists()


def test_a_recording_that_is_damaged_is_told_before_anything_runs(cli: Cli, pipeline: Path, recorded: Path) -> None:
    next(recorded.glob("v2-*.json")).write_text("{")

    done = cli("run", pipeline, "--replay", recorded)

    assert (done.code, "cannot be read" in done.err) == (5, True)


def test_a_recorded_file_of_which_a_bit_has_flipped_is_not_served(cli: Cli, pipeline: Path, recorded: Path) -> None:
    file = next((recorded / "files").glob("*.jpg"))
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)

    done = cli("run", pipeline, "--replay", recorded, "--out", "again")

    assert done.code == 1
    assert f"{file} has changed since it was recorded; bring it back, or record it again" in done.out


def test_a_recording_of_another_server_is_not_added_to(cli: Cli, pipeline: Path, recorded: Path) -> None:
    done = cli("run", pipeline, "--local", "--record", recorded)

    assert (done.code, "another server" in done.err) == (2, True)


# -- offline ----------------------------------------------------------------------------------------


def test_offline_takes_everything_from_the_store(cli: Cli, pipeline: Path, request: pytest.FixtureRequest) -> None:
    cli("run", pipeline, "--local", "--out", "first")
    request.getfixturevalue("no_network")

    done = cli("run", pipeline, "--local", "--offline", "--out", "again")

    assert done.code == 0, done.out
    assert files(Path("again")) == files(Path("first"))


def test_offline_says_which_answer_is_damaged(cli: Cli, pipeline: Path) -> None:
    cli("run", pipeline, "--local")
    for blob in [path for path in Path(".runner/store/blobs").rglob("*") if path.is_file()]:
        blob.unlink()

    done = cli("run", pipeline, "--local", "--offline", "--json")

    cells = {cell["cell"]: cell for cell in json.loads(done.out)["cells"]}
    assert "is damaged, or a file of it is gone" in cells["photo"]["message"]
    assert "runner cache verify --repair" in cells["photo"]["message"]


def test_offline_without_a_key_says_what_is_missing(cli: Cli, pipeline: Path, no_network: None) -> None:
    done = cli("run", pipeline, "--offline", "--json")

    cells = {cell["cell"]: cell for cell in json.loads(done.out)["cells"]}
    assert done.code == 1
    assert cells["photo"]["state"] == "failed"
    assert "nothing that answers this call of qwen/qwen-image “a teapot”, and --offline" in cells["photo"]["message"]
    assert "“About a teapot”" in cells["draft"]["message"]
    assert json.loads(done.out)["cost"] == 0
    events = next(Path(".runner/runs").glob("*/events.jsonl")).read_text()
    assert "CallStarted" not in events
    assert "JobSending" not in events


def test_a_budget_is_no_reason_for_an_offline_run_to_stop(cli: Cli, pipeline: Path, no_network: None) -> None:
    pipeline.write_text(PIPELINE.replace("steps:", "budget: {usd: 0.0001}\nsteps:", 1))

    done = cli("run", pipeline, "--offline")

    assert done.code == 1


def test_offline_a_step_that_asks_each_time_has_what_it_was_answered_last(
    cli: Cli, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    (tmp_path / ".git").mkdir(exist_ok=True)
    (tmp_path / "each.yaml").write_text(
        "name: each\nsteps:\n  words: {kind: generate_text, model: qwen/qwen3-32b-awq, prompt: hi, cache: false}\n"
        'outputs: {words.txt: "{{ steps.words.text }}"}\n'
    )
    assert cli("run", "each.yaml", "--local").code == 0
    request.getfixturevalue("no_network")

    assert cli("run", "each.yaml", "--local", "--offline").code == 0


def test_an_offline_run_is_taken_up_offline(cli: Cli, pipeline: Path, no_network: None) -> None:
    cli("run", pipeline, "--offline")
    (run,) = (pipeline.parent / ".runner" / "runs").iterdir()

    done = cli("resume", run.name)

    assert cli("resume").code == 2  # where nothing was sent there is nothing to collect, so it is not taken up unnamed
    assert (done.code, "--offline sends nothing" in done.out) == (1, True)


# -- the transports, on both event loops ------------------------------------------------------------

anyio_only = pytest.mark.anyio


async def asked(runpod: Runpod, job: Job) -> Reply:
    return await runpod.collect(job, await runpod.wait(await runpod.submit(job, 30), lambda *_: None))


FLUX = Job("g@1", "flux", {"prompt": "x", "size": "64*64"}, media="image")


@anyio_only
@pytest.mark.parametrize("fault", ["", "status-sync=404*9"])
async def test_jobs_are_replayed_without_waiting_however_they_were_looked_at(tmp_path: Path, fault: str) -> None:
    with Emulator(seed=1, latency=parse_latency("0.1+0.4")) as emulator:
        if fault:
            emulator.fail(fault)
        tape = Cassette.to_record(tmp_path / "tape", {}, ())
        async with Runpod(emulator.url, "k", Store(tmp_path / "a"), carrier=recording(tape)) as runpod:
            first = await asked(runpod, FLUX)
    tape = Cassette.to_replay(tmp_path / "tape")
    async with Runpod("http://elsewhere.invalid/v2", "", Store(tmp_path / "b"), carrier=replaying(tape)) as runpod:
        with anyio.fail_after(0.3):
            again = await asked(runpod, FLUX)

    assert again.files[0].sha256 == first.files[0].sha256
    assert tape.unused() == []


@anyio_only
async def test_a_job_that_had_not_ended_is_not_waited_for_for_ever(tmp_path: Path) -> None:
    answers: dict[str, Any] = {
        "/v2/flux/run": (200, {}, b'{"id": "j", "status": "IN_QUEUE"}'),
        "/v2/flux/status-sync/j?wait=60000": (200, {}, b'{"id": "j", "status": "IN_PROGRESS"}'),
    }
    with server(answers) as (url, _):
        tape = Cassette.to_record(tmp_path / "tape", {}, ())
        async with Runpod(f"{url}/v2", "k", Store(tmp_path / "a"), carrier=recording(tape)) as runpod:
            ticket = await runpod.submit(FLUX, 30)
            with anyio.move_on_after(0.5):
                await runpod.wait(ticket, lambda *_: None)
    looks = list((tmp_path / "tape").glob("*status-sync*"))

    async with Runpod(
        "http://x.invalid/v2", "", Store(tmp_path / "b"), carrier=replaying(Cassette.to_replay(tmp_path / "tape"))
    ) as runpod:
        ticket = await runpod.submit(FLUX, 30)
        with pytest.raises(NotRecorded, match="has not ended there"):
            await runpod.wait(ticket, lambda *_: None)

    assert len(looks) == 1


CHAT = Chat("t@1", "q", {"messages": [{"role": "user", "content": "hi"}]}, label="q")


async def texts(runpod: Runpod, times: int) -> list[str]:
    return [(await runpod.chat(CHAT)).data["choices"][0]["message"]["content"] for _ in range(times)]


def chatting(text: str) -> dict[str, tuple[int, dict[str, str], bytes]]:
    body = json.dumps({"choices": [{"message": {"content": text}}]}).encode()
    return {"/v2/q/openai/v1/chat/completions": (200, {"Content-Type": "application/json"}, body)}


@anyio_only
async def test_the_same_request_is_answered_in_the_order_of_the_recording_and_not_more_often(tmp_path: Path) -> None:
    answers = chatting("one")
    with server(answers) as (url, _):
        tape = Cassette.to_record(tmp_path, {}, ())
        async with Runpod(f"{url}/v2", "k", Store(tmp_path / "a"), carrier=recording(tape)) as runpod:
            first = await texts(runpod, 1)
            answers.update(chatting("two"))
            first += await texts(runpod, 1)

    async with Runpod(
        "http://x.invalid/v2", "", Store(tmp_path / "b"), carrier=replaying(Cassette.to_replay(tmp_path))
    ) as runpod:
        again = await texts(runpod, 2)
        with pytest.raises(NotRecorded, match="once more"):
            await texts(runpod, 1)

    assert again == first == ["one", "two"]


@anyio_only
async def test_what_is_asked_again_takes_the_place_of_the_older_recording(tmp_path: Path) -> None:
    for text in ("old", "new"):
        with server(chatting(text)) as (url, _):
            tape = Cassette.to_record(tmp_path / "tape", {}, ())
            async with Runpod(f"{url}/v2", "k", Store(tmp_path / "a"), carrier=recording(tape)) as runpod:
                await texts(runpod, 1)

    exchanges = list((tmp_path / "tape").glob("v2-*.json"))
    assert len(exchanges) == 1
    assert '"new"' in exchanges[0].read_text()


@anyio_only
async def test_a_secret_that_a_server_repeats_is_not_recorded(tmp_path: Path) -> None:
    chat = Chat("t@1", "q", {"messages": []}, headers={"X-Team": {"env": "TEAM"}}, label="q")
    with server(chatting("you are rpa_very_secret of team-of-ours")) as (url, _):
        tape = Cassette.to_record(tmp_path / "tape", {}, ())
        async with Runpod(
            f"{url}/v2", "rpa_very_secret", Store(tmp_path / "a"), env={"TEAM": "team-of-ours"}, carrier=recording(tape)
        ) as runpod:
            said = await runpod.chat(chat)

    async with Runpod(
        "http://x.invalid/v2", "", Store(tmp_path / "b"), carrier=replaying(Cassette.to_replay(tmp_path / "tape"))
    ) as runpod:
        again = await runpod.chat(chat)

    assert said.data["choices"][0]["message"]["content"] == "you are rpa_very_secret of team-of-ours"
    assert again.data["choices"][0]["message"]["content"] == "you are [secret] of [secret]"


@anyio_only
@pytest.mark.parametrize(
    ("kind", "body"),
    [
        ("application/json", b'{"choices": [], "big": "' + b"QUJD" * 400 + b'"}'),
        ("text/event-stream", b'data: {"a": 1}\n\ndata: [DONE]\n\n'),
        ("image/png", bytes(range(256)) * 9),
        ("application/octet-stream", b"\xff\xfe\x00"),
        ("text/plain", b""),
    ],
)
async def test_every_body_comes_back(tmp_path: Path, kind: str, body: bytes) -> None:
    async def fetched(carrier: Carrier, url: str) -> tuple[int, str | None, bytes]:
        async with carrier.client() as client:
            response = await client.get(f"{url}/a")
            return response.status_code, response.headers.get("content-type"), response.content

    with server({"/a": (200, {"Content-Type": kind}, body)}) as (url, _):
        first = await fetched(recording(Cassette.to_record(tmp_path, {}, ())), url)

    again = await fetched(replaying(Cassette.to_replay(tmp_path)), "http://x.invalid")

    same: Any = json.loads if kind == "application/json" else bytes
    assert (*again[:2], same(again[2])) == (*first[:2], same(first[2])) == (200, kind, same(body))


@anyio_only
async def test_an_answer_that_was_cut_is_not_recorded(tmp_path: Path, emulator: Emulator) -> None:
    emulator.fail("media=huge")
    tape = Cassette.to_record(tmp_path / "tape", {}, ())
    runpod = Runpod(emulator.url, "k", Store(tmp_path / "a"), carrier=recording(tape))
    runpod.downloader.most = 1_000_000
    async with runpod:
        with pytest.raises(Exception, match="larger than"):
            await runpod.artifact(f"{emulator.origin}/media/x.png")

    assert tape.kept == 0


@anyio_only
async def test_a_disk_that_is_full_is_no_reason_to_lose_an_answer(tmp_path: Path) -> None:
    tape = Cassette.to_record(tmp_path / "tape", {}, ())
    (tmp_path / "tape").rename(tmp_path / "gone")
    with server(chatting("hi")) as (url, _):
        async with Runpod(f"{url}/v2", "k", Store(tmp_path / "a"), carrier=recording(tape)) as runpod:
            said = await texts(runpod, 1)

    assert said == ["hi"]
    assert "cannot be written" in tape.broken


def test_a_cassette_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="There is no recording"):
        Cassette.to_replay(tmp_path)
