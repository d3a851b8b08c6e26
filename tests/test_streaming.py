"""Texts while they grow: events out of bytes however they are cut, answers out of chunks, and streams that fail."""

from __future__ import annotations

import io
import itertools
import json
import re
import socket
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from runner.emulator import Emulator, Latency
from runner.errors import AttemptTimedOut, BadRequest, Busy, FateUnknown, ServerFailed
from runner.events import AttemptFailed, CallStarted, CellCancelled, CellStarted, Event, RunStarted, TextGrew
from runner.journal import read
from runner.model import Artifact, Chat, Reply
from runner.reports.terminal import Lines, LiveTable
from runner.runpod.chunks import Completion
from runner.runpod.provider import Runpod
from runner.runpod.sse import Events
from runner.store import Store

from .conftest import Bench
from .test_structured import STRUCTURED
from .test_tools import SUNNY, WEATHER

# -- events -----------------------------------------------------------------------------------------


def events(*pieces: bytes) -> list[str]:
    found = Events()
    return [data for piece in pieces for data in found.feed(piece)] + list(found.end())


@pytest.mark.parametrize(
    ("stream", "found"),
    [
        pytest.param(b"data: a\n\ndata: b\n\n", ["a", "b"], id="two"),
        pytest.param(b"data: a\r\n\r\ndata: b\r\n\r\n", ["a", "b"], id="CRLF"),
        pytest.param(b"data: a\r\rdata: b\r\r", ["a", "b"], id="CR"),
        pytest.param(b"data: a\ndata: b\n\n", ["a\nb"], id="several lines"),
        pytest.param(b": ping\n\ndata: a\n: pong\n\n", ["a"], id="comments"),
        pytest.param(b"event: x\nid: 1\nretry: 5\ndata: a\n\n", ["a"], id="other fields"),
        pytest.param(b"data:a\n\n", ["a"], id="no space"),
        pytest.param(b"data:  a\n\n", [" a"], id="two spaces"),
        pytest.param(b"data\n\n", [""], id="no colon"),
        pytest.param(b"\n\n\ndata: a\n\n\n\n", ["a"], id="blank lines"),
        pytest.param(b"data: a", ["a"], id="no end"),
        pytest.param(b"data: a\r", ["a"], id="half an end"),
        pytest.param(b"\xef\xbb\xbfdata: \xc3\xa4\n\n", ["ä"], id="a mark of the byte order"),
        pytest.param(b"", [], id="nothing"),
    ],
)
def test_events_are_read_as_the_standard_says(stream: bytes, found: list[str]) -> None:
    assert events(stream) == found


LINE_ENDS = st.sampled_from(["\n", "\r\n", "\r"])


@given(st.lists(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\r\n"), max_size=9), max_size=5),
       LINE_ENDS, st.lists(st.integers(0, 200), max_size=8))  # fmt: skip
def test_where_the_bytes_are_cut_makes_no_difference(texts: list[str], end: str, cuts: list[int]) -> None:
    stream = "".join(f"data: {text}{end}: note{end}{end}" for text in texts).encode()
    places = sorted({min(cut, len(stream)) for cut in cuts} | {0, len(stream)})

    found = events(*(stream[a:b] for a, b in itertools.pairwise(places)))

    assert found == texts


@given(st.binary(max_size=60), st.integers(1, 7))
def test_any_bytes_are_some_events(stream: bytes, size: int) -> None:
    pieces = [stream[at : at + size] for at in range(0, len(stream), size)]

    assert events(*pieces) == events(stream)


# -- chunks -----------------------------------------------------------------------------------------


def chunk(delta: Any, finish_reason: str | None = None, index: int = 0, **more: Any) -> dict[str, Any]:
    return {
        "id": "c",
        "model": "m",
        "choices": [{"index": index, "delta": delta, "finish_reason": finish_reason}],
        **more,
    }


def call(index: int | None = None, **fields: Any) -> dict[str, Any]:
    function = {name: fields.pop(name) for name in ("name", "arguments") if name in fields}
    place = {} if index is None else {"index": index}
    return {"tool_calls": [{**place, **fields, "function": function}]}


def tool(number: str, name: str, arguments: str) -> dict[str, Any]:
    return {"id": number, "type": "function", "function": {"name": name, "arguments": arguments}}


@pytest.mark.parametrize(
    ("chunks", "message"),
    [
        pytest.param([chunk({"role": "assistant", "content": ""}), chunk({"content": "Te"}), chunk({"content": "a."})],
                     {"role": "assistant", "content": "Tea."}, id="a text"),
        pytest.param([chunk({"reasoning_content": "h"}), chunk({"reasoning_content": "m"}), chunk({"content": "Tea."})],
                     {"role": "assistant", "content": "Tea.", "reasoning_content": "hm"}, id="a thought"),
        pytest.param([chunk({"content": None}), chunk({"content": "Tea."}), chunk(None), chunk({"content": "Ale."},
                                                                                            index=1)],
                     {"role": "assistant", "content": "Tea."}, id="nothing and another choice"),
        pytest.param([chunk(call(0, id="a", name="f", arguments="")), chunk(call(0, arguments='{"x"')),
                      chunk(call(0, arguments=": 1}")), chunk(call(1, id="b", name="g", arguments="{}"))],
                     {"role": "assistant", "content": "",
                      "tool_calls": [tool("a", "f", '{"x": 1}'), tool("b", "g", "{}")]}, id="calls"),
        pytest.param([chunk(call(id="a", name="f", arguments='{"x"')), chunk(call(arguments=": 1}")),
                      chunk(call(id="b", name="g", arguments="{}")), chunk(call(id="a", arguments=" "))],
                     {"role": "assistant", "content": "",
                      "tool_calls": [tool("a", "f", '{"x": 1} '), tool("b", "g", "{}")]}, id="calls without places"),
    ],
)  # fmt: skip
def test_chunks_add_up_to_an_ordinary_answer(chunks: list[Any], message: dict[str, Any]) -> None:
    completion = Completion()

    said = "".join(completion.add(each) for each in [*chunks, chunk({}, "stop"), {"choices": [], "usage": {"a": 1}}])

    body = completion.body()
    assert body["choices"][0] == {"index": 0, "message": message, "finish_reason": "stop"}
    assert body["usage"] == {"a": 1}
    assert said == message.get("reasoning_content", "") + message["content"]


@given(st.recursive(st.none() | st.booleans() | st.integers(-1, 3) | st.text(max_size=3),
                    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(
                        st.sampled_from(["choices", "delta", "index", "content", "tool_calls", "function", "id", "name",
                                         "arguments", "message", "usage", "finish_reason"]), inner, max_size=4),
                    max_leaves=12).filter(lambda value: isinstance(value, dict)))  # fmt: skip
def test_no_chunk_is_too_strange(strange: Any) -> None:
    completion = Completion()

    completion.add(strange)

    json.dumps(completion.body())


# -- real streams -----------------------------------------------------------------------------------

Says = Callable[[Any, dict[str, Any]], None]


@contextmanager
def server(says: Says) -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """A chat server that answers as it is told, and the bodies that it was sent."""
    bodies: list[dict[str, Any]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            bodies.append(json.loads(self.rfile.read(int(self.headers["content-length"]))))
            says(self, bodies[-1])

        def log_message(self, *_: Any) -> None:
            pass

    web = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    web.daemon_threads = True
    thread = threading.Thread(target=web.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield f"http://127.0.0.1:{web.server_port}/v1", bodies
    finally:
        web.shutdown()
        thread.join()
        web.server_close()


def streams(*lines: str, then: Callable[[Any], object] = lambda _: None) -> Says:
    """Answers with these events, and then something, and then the end."""

    def says(handler: Any, body: dict[str, Any]) -> None:
        handler.send_response(200)
        handler.send_header("Content-Type", "text/event-stream; charset=utf-8")
        handler.end_headers()
        for line in lines:
            handler.wfile.write(f"data: {line}\n\n".encode())
        handler.wfile.flush()
        then(handler)

    return says


def answers(code: int, body: Any) -> Says:
    def says(handler: Any, _: Any) -> None:
        content = json.dumps(body).encode()
        handler.send_response(code)
        handler.send_header("Content-Type", "application/json")
        handler.send_header("Content-Length", str(len(content)))
        handler.end_headers()
        handler.wfile.write(content)

    return says


async def chat(says: Says, folder: Path, *, idle: float = 5.0, **fields: Any) -> tuple[Reply, list[str], list[Any]]:
    """The reply of one chat, the pieces of it, and what was sent."""
    grown: list[str] = []
    with server(says) as (url, bodies):
        async with Runpod("http://127.0.0.1:9/v2", "k", Store(folder), idle=idle) as runpod:
            try:
                asked = Chat(
                    "t@1", "x", {"messages": [], **fields.pop("body", {})}, base_url=url, label="tea", **fields
                )
                return await runpod.chat(asked, grown.append), grown, bodies
            except BaseException as err:
                err.args = (*err.args, grown, bodies)
                raise


TEA = json.dumps(chunk({"content": "Tea"}))
END = json.dumps(chunk({}, "stop"))
USED = json.dumps({"choices": [], "usage": {"prompt_tokens": 2, "completion_tokens": 3, "total_tokens": 5}})


@pytest.mark.anyio
async def test_a_text_grows_and_its_tokens_are_paid(tmp_path: Path) -> None:
    says = streams(TEA, json.dumps(chunk({"content": " for two."})), END, USED, "[DONE]")

    reply, grown, bodies = await chat(says, tmp_path, usd_per_token=0.5)

    assert grown == ["Tea", " for two."]
    assert reply.data["choices"][0]["message"]["content"] == "Tea for two."
    assert reply.cost == 2.5
    assert bodies[0]["stream"] is True
    assert bodies[0]["stream_options"] == {"include_usage": True}


@pytest.mark.anyio
async def test_a_server_that_does_not_stream_is_understood(tmp_path: Path) -> None:
    body = {"choices": [{"message": {"content": "Tea."}, "finish_reason": "stop"}]}

    reply, grown, _ = await chat(answers(200, body), tmp_path)

    assert reply.data == body
    assert grown == []


@pytest.mark.anyio
async def test_a_stream_needs_no_done_if_it_says_why_it_ended(tmp_path: Path) -> None:
    reply, _, _ = await chat(streams(TEA, END), tmp_path)

    assert reply.data["choices"][0]["finish_reason"] == "stop"


@pytest.mark.anyio
async def test_a_server_that_knows_no_options_of_streams_is_asked_for_a_whole_answer(tmp_path: Path) -> None:
    def says(handler: Any, body: dict[str, Any]) -> None:
        refused = (400, {"error": {"message": "stream_options: extra fields not permitted"}})
        answers(*(refused if "stream" in body else (200, {"choices": [{"message": {"content": "Tea."}}]})))(
            handler, body
        )

    reply, _, bodies = await chat(says, tmp_path)

    assert reply.data["choices"][0]["message"]["content"] == "Tea."
    assert [body.get("stream") for body in bodies] == [True, None]


@pytest.mark.anyio
async def test_a_picture_goes_out_as_a_data_uri(tmp_path: Path) -> None:
    picture = tmp_path / "a.png"
    picture.write_bytes(b"123")
    artifact = Artifact(sha256="ab" * 32, media_type="image/png", bytes=3, path=str(picture))
    message = {"role": "user", "content": [{"type": "image_url", "image_url": {"url": artifact}}]}

    _, _, bodies = await chat(streams(TEA, END), tmp_path, body={"messages": [message]})

    assert bodies[0]["messages"][0]["content"][0]["image_url"]["url"] == "data:image/png;base64,MTIz"


def reset(handler: Any) -> None:
    handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    handler.connection.close()


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("says", "error", "words"),
    [
        pytest.param(streams(TEA), FateUnknown, "in the middle of its answer ended before the answer did", id="cut"),
        pytest.param(streams(), FateUnknown, "its stream ended before the answer did", id="empty"),
        pytest.param(streams("[DONE]"), FateUnknown, "its stream ended before the answer did", id="only done"),
        pytest.param(streams(TEA, then=reset), FateUnknown, "in the middle of its answer", id="reset"),
        pytest.param(streams(TEA, "{"), FateUnknown, "holds something that is not JSON: '{'", id="no JSON"),
        pytest.param(streams(TEA, "[]"), FateUnknown, "holds something that is no chunk", id="no chunk"),
        pytest.param(streams(TEA, '{"error": {"message": "it died", "code": 500}}'), FateUnknown,
                     "in the middle of its answer told of an error: it died", id="an error in the middle"),
        pytest.param(streams('{"error": {"message": "no", "code": 400}}'), BadRequest, r"\(400\): no", id="400"),
        pytest.param(streams('{"object": "error", "message": "no", "code": 422}'), BadRequest, "no", id="flat"),
        pytest.param(streams('{"error": {"message": "slow down", "code": 429}}'), Busy, "slow down", id="429"),
        pytest.param(streams('{"error": "it died"}'), ServerFailed, "tea failed: it died", id="an error at once"),
        pytest.param(answers(429, {"error": "later"}), Busy, "later", id="429 without a stream"),
        pytest.param(answers(500, {"error": "no"}), ServerFailed, "no", id="500 without a stream"),
    ],
)  # fmt: skip
async def test_a_stream_that_fails_says_how(tmp_path: Path, says: Says, error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        await chat(says, tmp_path)


@pytest.mark.anyio
async def test_a_stream_that_says_nothing_more_is_given_up(tmp_path: Path) -> None:
    gone = threading.Event()

    try:
        with pytest.raises(AttemptTimedOut, match=r"said nothing for 0.2 s in the middle") as caught:
            await chat(streams(TEA, then=lambda _: gone.wait(5)), tmp_path, idle=0.2)
    finally:
        gone.set()

    assert caught.value.args[1] == ["Tea"]


@pytest.mark.anyio
async def test_a_stream_may_begin_late(tmp_path: Path) -> None:
    def says(handler: Any, body: dict[str, Any]) -> None:
        threading.Event().wait(0.4)
        streams(TEA, END)(handler, body)

    reply, _, _ = await chat(says, tmp_path, idle=0.2)

    assert reply.data["choices"][0]["message"]["content"] == "Tea"


# -- runs that somebody watches ---------------------------------------------------------------------

DRAFT = """
    name: one
    steps:
      draft: {kind: generate_text, model: qwen/qwen3-32b-awq, prompt: a teapot, retry: {wait: 0.01}}
    outputs: {text: "{{ steps.draft.text }}"}
"""


@pytest.mark.anyio
@pytest.mark.parametrize("text", [DRAFT, STRUCTURED, WEATHER.format(returns=SUNNY, turns=4)],
                         ids=["a text", "data", "tools"])  # fmt: skip
async def test_a_watched_run_ends_as_any_other_and_shares_its_store(
    bench: Bench, emulator: Emulator, text: str
) -> None:
    watched = await bench.run(text, watched=True)

    again = await bench.run(text)

    assert watched.said(TextGrew)
    assert set(watched.ends().values()) == {"done"}
    assert watched.state.cost > 0
    assert "cached" in again.ends().values()
    assert again.state.cost == 0
    output = next(name for name in ("text", "title") if name in watched.plan.outputs)
    assert again.output(output) == watched.output(output)


@pytest.mark.anyio
async def test_nobody_watches_so_nothing_is_streamed(bench: Bench) -> None:
    ran = await bench.run(DRAFT)

    assert ran.said(TextGrew) == []


@pytest.mark.anyio
async def test_the_pieces_that_are_told_are_the_text_and_stand_in_no_journal(bench: Bench, emulator: Emulator) -> None:
    emulator.latency = Latency(execution=0.8)

    ran = await bench.run(DRAFT, watched=True)

    thought, _, answer = "".join(event.text for event in ran.said(TextGrew)).partition("</think>")
    assert thought.startswith("<think>")
    assert len(answer.split()) > 3
    assert ran.output("text").startswith(answer.strip())
    assert 3 < len(ran.said(TextGrew)) < 12
    folder = next((bench.folder / "runs").iterdir())
    assert [event for event in read(folder) if isinstance(event, TextGrew)] == []
    assert len(list(read(folder))) == len(ran.events) - len(ran.said(TextGrew))


@pytest.mark.anyio
async def test_however_a_stream_is_cut_the_answer_is_the_same(bench: Bench, emulator: Emulator) -> None:
    emulator.fail("chat=chopped")

    ran = await bench.run(DRAFT, watched=True)

    assert ran.ends() == {"draft": "done"}


@pytest.mark.anyio
async def test_a_stream_that_breaks_is_asked_for_once_more_and_whole(bench: Bench, emulator: Emulator) -> None:
    emulator.fail("chat=errorchunk")

    ran = await bench.run(DRAFT, watched=True)

    assert ran.ends() == {"draft": "done"}
    assert [event.fault for event in ran.said(AttemptFailed)] == ["unknown"]
    after = ran.events[ran.events.index(ran.said(AttemptFailed)[0]) :]
    assert [event for event in after if isinstance(event, TextGrew)] == []


@pytest.mark.anyio
async def test_a_stream_that_stalls_fails_in_time_and_what_came_is_kept(bench: Bench, emulator: Emulator) -> None:
    emulator.fail("chat=stall*always")

    ran = await bench.run(DRAFT, watched=True, idle=0.2)

    assert ran.state.cells["draft"].fault == "timeout"
    assert "said nothing for 0.2 s" in ran.state.cells["draft"].message
    assert "teapot" in ran.kept["draft"]
    assert emulator.count("chat") == 2


@pytest.mark.anyio
async def test_what_came_before_the_steps_own_timeout_is_kept(bench: Bench, emulator: Emulator) -> None:
    emulator.fail("chat=stall*always")

    ran = await bench.run(DRAFT.replace("prompt", "timeout: 0.5, prompt"), watched=True)

    assert "no answer after 0.5 s" in ran.state.cells["draft"].message
    assert "teapot" in ran.kept["draft"]


@pytest.mark.anyio
async def test_a_run_that_is_stopped_in_the_middle_of_a_stream_leaves_nothing_running(
    bench: Bench, emulator: Emulator
) -> None:
    emulator.fail("chat=stall*always")

    with anyio.move_on_after(0.5) as scope:
        await bench.run(DRAFT, watched=True)

    assert scope.cancelled_caught
    assert [type(event) for event in bench.events][-1] is CellCancelled


@pytest.mark.anyio
async def test_a_refused_schema_is_understood_in_a_stream_too(bench: Bench, emulator: Emulator) -> None:
    emulator.fail("chat=noschema*always")

    ran = await bench.run(STRUCTURED, watched=True)

    assert ran.ends() == {"facts": "done"}
    assert emulator.count("chat") == 2


def drawn(events: list[Event], until: float = 12.0) -> str:
    stream = io.StringIO()
    console = Console(file=stream, force_terminal=True, width=120)
    with LiveTable(console, lambda: until) as table:
        for event in events:
            table(event)
    return re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", stream.getvalue())


BEGUN: list[Event] = [
    RunStarted(10.0, "r1", "card", "1.0", "card.yaml", {}, {"draft": []}, {}),
    CellStarted(10.0, "draft"),
    CallStarted(10.1, "draft", "k1", "writer", 1),
]


@pytest.mark.parametrize(
    ("pieces", "shown"),
    [
        pytest.param([], r"draft +running +2\.0 s +sent", id="nothing yet"),
        pytest.param(["Once upon", " a\n\ntime"], r"2\.0 s +Once upon a time\s", id="a text"),
        pytest.param(["x" * 300, "the end"], r"2\.0 s +…x{53}the end\s", id="the end of a long text"),
        pytest.param(["\x1b[31mred"], r"2\.0 s +\[31mred\s", id="control characters"),
    ],
)
def test_the_table_shows_the_end_of_a_growing_text(pieces: list[str], shown: str) -> None:
    text = drawn([*BEGUN, *(TextGrew(11.0, "draft", piece) for piece in pieces)])

    assert re.search(shown, text)


def test_a_text_that_is_asked_for_anew_grows_from_its_beginning() -> None:
    text = drawn([*BEGUN, TextGrew(11.0, "draft", "Once"), CallStarted(11.5, "draft", "k1", "writer", 2)])

    assert "Once" not in text


def test_lines_do_not_tell_of_every_piece() -> None:
    stream = io.StringIO()

    with Lines(stream) as lines:
        for event in [*BEGUN, TextGrew(11.0, "draft", "Once")]:
            lines(event)

    assert stream.getvalue() == "    0.1s  draft: asks writer\n"


def test_only_a_table_is_watched() -> None:
    looks: Mapping[str, bool] = {kind.__name__: kind.live for kind in (Lines, LiveTable)}

    assert looks == {"Lines": False, "LiveTable": True}
