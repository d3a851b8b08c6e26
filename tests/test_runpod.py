"""The client: what Runpod's bodies mean, where the key goes, what is never fetched."""

from __future__ import annotations

import base64
import threading
from collections.abc import AsyncGenerator, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

from runner.emulator import Emulator
from runner.errors import BadReply, Busy, DownloadFailed, FateUnknown, JobFailed, NotSent, Rejected
from runner.model import Artifact, Chat, Finished, Job, Ticket
from runner.runpod import wire
from runner.runpod.client import Client
from runner.runpod.download import Downloader
from runner.runpod.provider import Runpod
from runner.runpod.times import Times
from runner.store import Store

from .conftest import Bench

pytestmark = pytest.mark.anyio


@contextmanager
def server(answers: dict[str, tuple[int, dict[str, str], bytes]]) -> Iterator[tuple[str, list[Any]]]:
    """A web server that is no Runpod: what it is asked is in the list."""
    asked: list[Any] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append((self.path, dict(self.headers)))
            length = int(self.headers.get("content-length") or 0)
            self.rfile.read(length)
            code, headers, body = answers.get(self.path, (404, {}, b""))
            self.send_response(code)
            for name, value in {"Content-Length": str(len(body)), **headers}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        do_POST = do_GET  # noqa: N815 - the name that http.server wants

        def log_message(self, *_: Any) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as web:
        thread = threading.Thread(target=web.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield f"http://127.0.0.1:{web.server_port}", asked
        finally:
            web.shutdown()
            thread.join()


ASKED = """
    name: one
    steps:
      a: {{kind: generate_text, model: qwen/qwen3-32b-awq, prompt: hi, retry: {retry}}}
"""


@pytest.mark.parametrize(
    ("body", "retry", "times"),
    [
        (b'{"answer": "Tea."}', "{wait: 0}", 1),
        (b'["Tea."]', "{wait: 0}", 1),
        (b'{"choices": []}', "{wait: 0}", 1),
        (b'{"choices": [{"text": "Tea."}]}', "{wait: 0}", 1),
        (b'{"answer": "Tea."}', "{wait: 0, on: [bad_output]}", 2),
        (b'{"error": "the worker is busy"}', "{wait: 0}", 2),
        (b'{"object": "error", "message": "the worker is busy"}', "{wait: 0}", 2),
        (b'{"choices": [{"message": {"content": ""}}]}', "{wait: 0}", 2),
    ],
)
async def test_an_answer_in_another_form_is_asked_for_once_and_kept(
    tmp_path: Path, body: bytes, retry: str, times: int
) -> None:
    with server({"/v2/qwen3-32b-awq/openai/v1/chat/completions": (200, {}, body)}) as (url, asked):
        ran = await Bench(tmp_path, f"{url}/v2").run(ASKED.format(retry=retry))

    assert ran.ends() == {"a": "failed"}
    assert ran.state.cells["a"].fault == "bad_output"
    assert len(asked) == times
    if b"Tea." in body:
        assert "no chat completion" in ran.state.cells["a"].message
        assert "Tea." in ran.kept["a"]


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({"error": "Invalid parameter: size"}, "Invalid parameter: size"),
        ({"message": "no"}, "no"),
        ({"error": {"message": "too long", "type": "x"}}, "too long"),
        ({"object": "error", "message": "flat", "code": 400}, "flat"),
        ({"error": '{"error_type": "<class \'ValueError\'>", "error_message": "bad seed"}'}, "bad seed"),
        ({"error": 'upstream said 400: {"code":400,"message":"nsfw"}'}, "upstream said 400: nsfw"),
        ({"error": "handler: it broke\ntraceback: File x"}, "it broke"),
        ({"output": {"error": "inside"}}, "inside"),
        ({}, ""),
        ("oops", "oops"),
    ],
)
def test_the_sentence_is_found_in_every_form_of_error(body: Any, said: str) -> None:
    assert wire.error_text(body) == said


PNG = base64.b64encode(b"\x89PNG\r\n\x1a\n" + bytes(60)).decode()


@pytest.mark.parametrize(
    ("output", "found"),
    [
        ({"image_url": "https://a/b.png", "cost": 0.1}, ["https://a/b.png"]),
        ({"result": "https://a/r.png", "image_url": "https://a/b.png"}, ["https://a/r.png"]),
        ({"video_url": "https://a/v.mp4"}, ["https://a/v.mp4"]),
        ({"audio_url": "https://a/v.wav"}, ["https://a/v.wav"]),
        ("https://a/b.png", ["https://a/b.png"]),
        ([{"image": "https://a/1"}, {"image": "https://a/2"}], ["https://a/1", "https://a/2"]),
        ({"images": [{"image": PNG}]}, [PNG]),
        ({"images": [{"filename": "x", "type": "base64", "data": PNG}]}, [PNG]),
        ({"message": PNG, "status": "success"}, [PNG]),
        ({"status": "success", "output": {"image_url": "https://a/b"}}, ["https://a/b"]),
        ({"result": "data:image/png;base64," + PNG}, ["data:image/png;base64," + PNG]),
        ({"message": "a sentence that is long enough to look like something and is none at all, really"}, []),
        ({"text": "hello"}, []),
        (None, []),
        (17, []),
    ],
)
def test_files_are_found_in_every_form_of_output(output: Any, found: list[str]) -> None:
    assert wire.media(output) == found


@pytest.mark.parametrize(
    ("output", "cost"),
    [
        ({"cost": 0.02}, 0.02),
        ([{"cost": 1}], 1.0),
        ({"cost": "free"}, None),
        ({"cost": True}, None),
        ("x", None),
        ([], None),
    ],
)
def test_the_cost_is_what_the_output_says(output: Any, cost: float | None) -> None:
    assert wire.cost(output) == cost


@pytest.mark.parametrize(
    ("content", "body"),
    [
        (b'{"a": "\\ud83d\\ude00"}', {"a": "😀"}),
        (b'{"a": "x\\ud83d"}', {"a": "x\ufffd"}),
        ('{"a": "ä"}'.encode(), {"a": "ä"}),
    ],
)
def test_half_characters_are_replaced_and_whole_ones_kept(content: bytes, body: Any) -> None:
    assert wire.parsed(content) == body


@pytest.mark.parametrize("body", [None, [], "IN_QUEUE", {}, {"status": 3}])
def test_a_body_that_is_no_job_is_refused_and_shown(body: Any) -> None:
    with pytest.raises(BadReply, match="no job"):
        wire.envelope(body)


async def test_every_operation_reaches_its_route(emulator: Emulator) -> None:
    async with Client(emulator.url, "k") as client:
        submitted = await client.run("flux", b'{"input": {"prompt": "x", "size": "64*64"}}')
        held = await client.status_sync("flux", submitted["id"], 5)
        looked = await client.status("flux", submitted["id"])
        at_once = await client.runsync("flux", b'{"input": {"prompt": "y", "size": "64*64"}}', 5)
        health = await client.health("flux")

    assert [held["status"], looked["status"], at_once["status"]] == ["COMPLETED"] * 3
    assert health["jobs"]["completed"] == 2


async def test_cancelling_stops_the_job(emulator: Emulator) -> None:
    emulator.fail("job=STUCK")
    async with Client(emulator.url, "k") as client:
        job = await client.run("flux", b'{"input": {"prompt": "x"}}')
        await client.cancel("flux", job["id"])

    assert emulator.jobs[0].status == "CANCELLED"


async def test_a_public_job_that_failed_with_http_400_is_a_failed_job(tmp_path: Path) -> None:
    with Emulator(failures="http400") as emulator:
        async with Client(emulator.url, "k") as client:
            said = await client.runsync("flux", b'{"input": {"prompt": "x", "size": "banana"}}', 5)

    assert wire.envelope(said).status == "FAILED"
    assert wire.envelope(said).error


async def test_a_wrong_key_is_said_to_be_wrong() -> None:
    with Emulator(keys=["right"]) as emulator:
        async with Client(emulator.url, "wrong") as client:
            with pytest.raises(Rejected, match=r"refused the key.*RUNPOD_API_KEY"):
                await client.health("flux")


async def test_the_key_is_in_no_error(tmp_path: Path) -> None:
    async with Client("http://127.0.0.1:9/v2", "rpa_secret") as client:
        with pytest.raises(NotSent) as caught:
            await client.health("flux")

    assert "rpa_secret" not in str(caught.value)


async def test_a_redirect_is_not_followed_with_the_key() -> None:
    with server({"/elsewhere": (200, {}, b"{}")}) as (other, asked):
        answers = {"/v2/flux/health": (307, {"Location": f"{other}/elsewhere"}, b"")}
        with server(answers) as (url, _):
            async with Client(f"{url}/v2", "k") as client:
                with pytest.raises(Rejected, match="307"):
                    await client.health("flux")

    assert asked == []


@pytest.mark.parametrize(
    ("said", "seconds"),
    [
        ("7", 7),
        ("100000", 120),
        ("-3", 0),
        ("Sun, 06 Nov 1994 08:49:37 GMT", 0),
        ("Fri, 01 Jan 2100 00:00:00 GMT", 120),
    ],
)
async def test_a_server_says_when_to_ask_again_in_seconds_or_with_a_date(said: str, seconds: float) -> None:
    with server({"/v2/flux/run": (429, {"Retry-After": said}, b"{}")}) as (url, _):
        async with Client(f"{url}/v2", "the-key") as client:
            with pytest.raises(Busy) as caught:
                await client.run("flux", b"{}")

    assert caught.value.retry_after == seconds


@pytest.mark.parametrize("said", ["nan", "inf", "soon", "", "Wed, 99 Foo 2026 10:00:00 GMT"])
async def test_a_time_to_ask_again_that_is_none_is_left_alone(said: str) -> None:
    with server({"/v2/flux/run": (429, {"Retry-After": said}, b"{}")}) as (url, _):
        async with Client(f"{url}/v2", "the-key") as client:
            with pytest.raises(Busy) as caught:
                await client.run("flux", b"{}")

    assert caught.value.retry_after is None


async def test_a_job_counts_as_sent_from_its_first_byte_and_not_while_there_is_no_connection() -> None:
    order: list[str] = []

    with server({"/v2/flux/run": (200, {}, b'{"id": "j"}')}) as (url, asked):
        async with Client(f"{url}/v2", "k") as client:
            await client.run("flux", b"{}", sending=lambda: order.append(f"{len(asked)} asked before"))
            await client.run("flux", b"{}", sending=lambda: order.append(f"{len(asked)} asked before"))
    async with Client(f"{url}/v2", "k") as client:  # it is gone
        with pytest.raises(NotSent):
            await client.run("flux", b"{}", sending=lambda: order.append("sent to nobody"))

    assert order == ["0 asked before", "1 asked before"]


async def test_a_job_whose_id_is_a_path_is_asked_for_as_a_job() -> None:
    with server({}) as (url, asked):
        async with Client(f"{url}/v2", "k") as client:
            with pytest.raises(Rejected):
                await client.status("flux", "../../etc/passwd")

    assert [path for path, _ in asked] == ["/v2/flux/status/..%2F..%2Fetc%2Fpasswd"]


async def test_the_proxy_of_the_environment_carries_what_is_not_on_this_machine(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    wanted = "http://api.runpod.invalid/v2/flux/run"

    with server({wanted: (200, {}, b'{"id": "j"}')}) as (proxy, asked):
        monkeypatch.setenv("HTTP_PROXY", proxy)
        async with Client("http://api.runpod.invalid/v2", "the-key") as client:
            said = await client.run("flux", b"{}")

    assert said == {"id": "j"}
    assert [path for path, _ in asked] == [wanted]


async def test_another_chat_server_gets_its_own_key_and_never_runpods(
    tmp_path: Path,
) -> None:
    reply = b'{"choices": [{"message": {"content": "hi"}}], "usage": {"total_tokens": 3}}'
    env = {"OTHER_KEY": "other"}
    with server({"/v1/chat/completions": (200, {"Content-Type": "application/json"}, reply)}) as (url, asked):
        async with Runpod("http://127.0.0.1:9/v2", "rpa_secret", Store(tmp_path), env=env) as runpod:
            await runpod.chat(Chat("t@1", "x", {"messages": []}, base_url=f"{url}/v1", api_key_env="OTHER_KEY"))
            await runpod.chat(Chat("t@1", "x", {"messages": []}, base_url=f"{url}/v1"))

    assert asked[0][1]["Authorization"] == "Bearer other"
    assert "Authorization" not in asked[1][1]


async def collected(chunks: AsyncGenerator[bytes, None]) -> bytes:
    return b"".join([chunk async for chunk in chunks])


@pytest.mark.parametrize(
    "url",
    ["http://127.0.0.1/x", "http://localhost/x", "http://10.0.0.1/x", "http://169.254.169.254/meta", "http://[::1]/x",
     "http://192.168.1.1/x", "file:///etc/passwd", "ftp://example.test/x", "http:///x", "data:text/plain,hi"],
)  # fmt: skip
async def test_private_addresses_and_other_schemes_are_not_fetched(url: str) -> None:
    async with Downloader() as downloader:
        with pytest.raises(DownloadFailed):
            await collected(downloader.chunks(url))


async def test_a_redirect_into_this_machine_is_not_followed() -> None:
    answers = {"/a": (302, {"Location": "file:///etc/passwd"}, b"")}
    with server(answers) as (url, _):
        async with Downloader(local=True) as downloader:
            with pytest.raises(DownloadFailed, match="no http address"):
                await collected(downloader.chunks(f"{url}/a"))


async def test_redirects_are_followed_and_do_not_go_on_for_ever() -> None:
    answers = {"/a": (302, {"Location": "/b"}, b""), "/b": (200, {}, b"hi"), "/c": (302, {"Location": "/c"}, b"")}
    with server(answers) as (url, _):
        async with Downloader(local=True) as downloader:
            content = await collected(downloader.chunks(f"{url}/a"))
            with pytest.raises(DownloadFailed, match="more than 5"):
                await collected(downloader.chunks(f"{url}/c"))

    assert content == b"hi"


@pytest.mark.parametrize(
    ("code", "body", "gone"),
    [
        (404, b"", True),
        (410, b"", True),
        (403, b"<Error><Code>AccessDenied</Code><Message>Request has expired</Message></Error>", True),
        (403, b"<Error><Code>AccessDenied</Code></Error>", False),
        (500, b"expired", False),
    ],
)
async def test_a_file_is_gone_where_its_server_says_so(code: int, body: bytes, gone: bool) -> None:
    with server({"/a.png": (code, {}, body)}) as (url, _):
        async with Downloader(local=True) as downloader:
            with pytest.raises(DownloadFailed) as caught:
                await collected(downloader.chunks(f"{url}/a.png"))

    assert caught.value.gone is gone


async def test_a_file_without_end_is_cut_off(emulator: Emulator) -> None:
    emulator.fail("media=huge")
    async with Downloader(local=True, most=1_000_000) as downloader:
        with pytest.raises(DownloadFailed, match="larger than"):
            await collected(downloader.chunks(f"{emulator.origin}/media/x.png"))


async def test_a_request_that_is_too_large_is_refused_before_it_is_sent(tmp_path: Path, emulator: Emulator) -> None:
    big = tmp_path / "big.png"
    big.write_bytes(bytes(16_000_000))
    picture = Artifact("0" * 64, "image/png", 16_000_000, str(big))
    async with Runpod(emulator.url, "k", Store(tmp_path / "store")) as runpod:
        with pytest.raises(Rejected, match=r"21\.3 MB; Runpod takes 20 MB"):
            await runpod.submit(Job("e@1", "qwen-image-edit", {"prompt": "x", "image": picture}), 30)

    assert emulator.requests == ()


async def test_what_is_too_large_for_run_goes_out_by_runsync(tmp_path: Path, emulator: Emulator) -> None:
    big = tmp_path / "big.bin"
    big.write_bytes(bytes(8_000_000))
    file = Artifact("0" * 64, "application/octet-stream", 8_000_000, str(big))
    async with Runpod(emulator.url, "k", Store(tmp_path / "store")) as runpod:
        await runpod.submit(Job("c@1", "mine", {"file": file}), 30)

    assert emulator.requests[0].operation == "runsync"
    assert len(emulator.jobs[0].input["file"]) > 10_000_000


async def test_a_picture_of_this_run_is_sent_as_its_url_and_an_older_one_as_its_bytes(
    tmp_path: Path, emulator: Emulator
) -> None:
    store = Store(tmp_path)
    job = Job("g@1", "flux", {"prompt": "x", "size": "64*64"}, media="image")
    async with Runpod(emulator.url, "k", store) as runpod:
        reply = await runpod.collect(job, await runpod.wait(await runpod.submit(job, 30), lambda *_: None))
        await runpod.submit(Job("e@1", "edit", {"prompt": "x", "image": reply.files[0]}), 30)
    async with Runpod(emulator.url, "k", store) as runpod:
        await runpod.submit(Job("e@1", "edit", {"prompt": "x", "image": reply.files[0]}), 30)

    sent = [job.input["image"] for job in emulator.jobs[1:]]
    assert sent[0].startswith("http://127.0.0.1")
    assert sent[1].startswith("data:image/")


async def test_a_job_that_failed_at_once_is_told_by_the_submit(tmp_path: Path) -> None:
    body = b'{"id": "j1", "status": "FAILED", "error": "Invalid parameter: seed"}'
    with server({"/v2/flux/run": (400, {"Content-Type": "application/json"}, body)}) as (url, _):
        async with Runpod(f"{url}/v2", "k", Store(tmp_path)) as runpod:
            with pytest.raises(JobFailed, match="Invalid parameter: seed"):
                await runpod.submit(Job("g@1", "flux", {"prompt": "x"}), 30)


@pytest.mark.parametrize(
    ("body", "status"),
    [(b'{"id": "j1"}', 200), (b'{"id": "j1", "status": "IN_QUEUE"}', 200), (b'{"id": "j1", "status": "ODD"}', 200)],
)
async def test_a_submit_that_says_an_id_is_a_ticket(tmp_path: Path, body: bytes, status: int) -> None:
    with server({"/v2/flux/run": (status, {}, body)}) as (url, _):
        async with Runpod(f"{url}/v2", "k", Store(tmp_path)) as runpod:
            ticket = await runpod.submit(Job("g@1", "flux", {"prompt": "x"}), 30)

    assert ticket.job == "j1"


@pytest.mark.parametrize("body", [b"{}", b"[]", b"[" * 200_000, b'{"id": ""}', b'"x"'])
async def test_a_submit_that_says_no_id_is_of_unknown_fate(tmp_path: Path, body: bytes) -> None:
    with server({"/v2/flux/run": (200, {}, body)}) as (url, _):
        async with Runpod(f"{url}/v2", "k", Store(tmp_path)) as runpod:
            with pytest.raises(FateUnknown):
                await runpod.submit(Job("g@1", "flux", {"prompt": "x"}), 30)


async def test_a_refused_job_without_an_id_is_a_failed_job(tmp_path: Path) -> None:
    with server({"/v2/flux/run": (400, {}, b'{"status": "FAILED", "error": "bad seed"}')}) as (url, _):
        async with Runpod(f"{url}/v2", "k", Store(tmp_path)) as runpod:
            with pytest.raises(JobFailed, match="bad seed"):
                await runpod.submit(Job("g@1", "flux", {"prompt": "x"}), 30)


@pytest.mark.parametrize("usage", ["null", "[]", '"many"', '{"total_tokens": "7"}'])
async def test_an_odd_usage_is_no_reason_to_lose_the_answer(tmp_path: Path, usage: str) -> None:
    body = f'{{"choices": [{{"message": {{"content": "hi"}}}}], "usage": {usage}}}'.encode()
    with server({"/v2/q/openai/v1/chat/completions": (200, {}, body)}) as (url, _):
        async with Runpod(f"{url}/v2", "k", Store(tmp_path)) as runpod:
            reply = await runpod.chat(Chat("t@1", "q", {"messages": []}, usd_per_token=1.0))

    assert reply.data["choices"][0]["message"]["content"] == "hi"


async def test_a_server_that_repeats_the_key_does_not_make_us_repeat_it(tmp_path: Path) -> None:
    body = b'{"error": "no such key: rpa_secret123"}'
    with server({"/v2/flux/health": (401, {}, body)}) as (url, _):
        async with Client(f"{url}/v2", "rpa_secret123") as client:
            with pytest.raises(Rejected) as caught:
                await client.health("flux")

    assert "rpa_secret123" not in str(caught.value)
    assert "[key]" in str(caught.value)


async def test_the_end_of_a_job_says_for_how_long_it_was_queued_and_ran(tmp_path: Path) -> None:
    body = b'{"id": "j", "status": "FAILED", "error": "no", "delayTime": 1500, "executionTime": 250}'
    told: list[tuple[str, float | None, float | None]] = []
    with server({"/v2/flux/status/j": (200, {}, body)}) as (url, _):
        async with Runpod(f"{url}/v2", "k", Store(tmp_path)) as runpod:
            with pytest.raises(JobFailed):
                await runpod.wait(Ticket("flux", "j"), lambda *said: told.append(said))

    assert told == [("FAILED", 1.5, 0.25)]


async def test_a_job_that_was_faster_than_its_cancellation_is_not_lost(tmp_path: Path) -> None:
    body = b'{"id": "j", "status": "COMPLETED", "output": {"image_url": "https://a/b", "cost": 0.5}}'
    with server({"/v2/flux/cancel/j": (200, {}, body)}) as (url, _):
        async with Runpod(f"{url}/v2", "k", Store(tmp_path)) as runpod:
            finished = await runpod.cancel(Ticket("flux", "j"))

    assert finished == Finished({"image_url": "https://a/b", "cost": 0.5}, 0.5)


def test_past_jobs_tell_when_to_look(tmp_path: Path) -> None:
    times = Times(tmp_path / "times.json")
    for seconds in (11.9, 12.0, 12.1):
        times.took("flux", seconds)
    times.save()

    learned = Times(tmp_path / "times.json")

    assert learned.first("flux") == pytest.approx(11.64)
    assert learned.looks("flux")(11.64) < 0.36
    assert learned.first("other") == 0


@pytest.mark.parametrize("content", ["", "[]", '{"a": 3}', '{"a": ["x"]}'])
def test_damaged_times_are_forgotten(tmp_path: Path, content: str) -> None:
    (tmp_path / "times.json").write_text(content)

    assert Times(tmp_path / "times.json").first("a") == 0
