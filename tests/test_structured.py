"""Data from a model: the schema sent where it is taken, answers checked, asked again, and paid for once."""

from __future__ import annotations

import json
from typing import Any

import pytest

from runner.catalogue import builtin
from runner.emulator import Emulator
from runner.errors import BadOutput, Truncated
from runner.events import CallPaid, CallStarted
from runner.kinds import generate_text
from runner.model import Chat, Output, Reply

from .conftest import Bench
from .test_kinds import chat

WRITER = builtin().models["qwen/qwen3-32b-awq"]
SCHEMA = {"type": "object", "required": ["title"], "properties": {"title": {"type": "string"}}}
PARAMS: dict[str, Any] = {"model": WRITER, "prompt": "Describe a teapot.", "schema": SCHEMA}
REFUSED = Reply(None, cost=0.0, refused="response_format is not supported")
USAGE = {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}

STRUCTURED = """
    name: data
    steps:
      facts:
        kind: generate_text
        model: qwen/qwen3-32b-awq
        prompt: Describe a red teapot.
        schema:
          type: object
          required: [title, price]
          properties: {title: {type: string}, price: {type: number}}
    outputs:
      title: "{{ steps.facts.data.title }}"
"""
MANY = """
    name: many
    steps:
      facts:
        kind: generate_text
        model: qwen/qwen3-32b-awq
        foreach: [red, green, blue, black, white, brown, grey, pink]
        prompt: Describe a {{ item }} teapot.
        schema: {type: object, required: [title], properties: {title: {type: string}}}
"""


def asked(*replies: Reply, **params: Any) -> Chat:
    call = generate_text.advance({**PARAMS, **params}, replies)
    assert isinstance(call, Chat)
    return call


def yielded(*replies: Reply, **params: Any) -> Output:
    output = generate_text.advance({**PARAMS, **params}, replies)
    assert isinstance(output, Output)
    return output


def test_a_schema_is_sent_as_response_format_and_in_words() -> None:
    call = asked(system="Be brief.")

    assert call.body["response_format"] == {
        "type": "json_schema",
        "json_schema": {"name": "answer", "schema": SCHEMA},
    }
    assert call.may_refuse == "response_format"
    assert call.body["messages"][0] == {
        "role": "system",
        "content": f"Be brief.\n\nAnswer with JSON only, that fits this JSON Schema: {json.dumps(SCHEMA)}",
    }


def test_an_endpoint_that_refuses_response_format_is_asked_without_it() -> None:
    first, second = asked(), asked(REFUSED)

    assert "response_format" not in second.body
    assert second.may_refuse == ""
    assert second.body["messages"] == first.body["messages"]


@pytest.mark.parametrize(
    ("answer", "params", "repairs"),
    [
        pytest.param('{"title": "tea"}', {}, [], id="as it is"),
        pytest.param('Here:\n```json\n{"title": "tea"}\n```', {}, ["took it out of a code fence"], id="fence"),
        pytest.param('{"title": "tea",}', {}, ["left out ,"], id="mended"),
        pytest.param('{"title": "tea"', {}, ["closed it with }"], id="a brace forgotten"),
        pytest.param('```\n{"title": "tea"}\n```', {"strict": True}, ["took it out of a code fence"], id="strict"),
    ],
)
def test_the_data_of_an_answer_is_found_and_mended(answer: str, params: Any, repairs: list[str]) -> None:
    output = yielded(chat(answer), **params)

    assert output.values["data"] == {"title": "tea"}
    assert output.values["repairs"] == repairs
    assert output.values["text"] == answer


@pytest.mark.parametrize(
    ("answer", "params", "words"),
    [
        pytest.param("Tea.", {}, "there is no JSON in the text", id="no JSON"),
        pytest.param('{"title": 5}', {}, "data.title: expected string, found 5", id="another shape"),
        pytest.param('{"title": "tea",}', {"strict": True}, "the text is not JSON at line 1", id="strict"),
    ],
)
def test_an_answer_that_does_not_fit_is_sent_back_with_what_is_wrong(answer: str, params: Any, words: str) -> None:
    call = asked(chat(answer), **params)

    told, complaint = call.body["messages"][-2:]
    assert told == {"role": "assistant", "content": answer}
    assert complaint["role"] == "user"
    assert words in complaint["content"]
    assert "response_format" in call.body


def test_what_was_asked_again_counts_in_the_cost_and_the_tokens() -> None:
    output = yielded(REFUSED, chat("Tea.", usage=USAGE), chat('{"title": "tea"}', usage=USAGE))

    assert output.cost == pytest.approx(0.02)
    assert output.values["usage"] == {"prompt_tokens": 6, "completion_tokens": 4, "total_tokens": 10}


@pytest.mark.parametrize(
    ("reask", "said"), [(None, ", though it was asked again 2 times"), (1, ", though it was asked again 1 time")]
)
def test_it_is_asked_again_so_often_and_no_more(reask: int | None, said: str) -> None:
    replies = [chat(f"Tea {n}.") for n in range((2 if reask is None else reask) + 1)]

    with pytest.raises(BadOutput) as caught:
        generate_text.advance({**PARAMS, "reask": reask}, replies)

    assert str(caught.value).endswith(said)
    assert caught.value.final
    assert caught.value.keep == f"Tea {len(replies) - 1}."


def test_an_answer_that_was_cut_off_is_not_asked_for_again() -> None:
    with pytest.raises(Truncated, match=r"cut off at max_tokens, 9, .*; raise max_tokens") as caught:
        generate_text.advance({**PARAMS, "max_tokens": 9}, [chat('{"title": "te', finish_reason="length")])

    assert caught.value.keep == '{"title": "te'


def test_a_whole_answer_is_taken_though_it_ended_at_max_tokens() -> None:
    output = yielded(chat('{"title": "tea"}', finish_reason="length"))

    assert output.values["data"] == {"title": "tea"}


def test_the_most_that_a_step_can_cost_counts_what_may_be_asked_again() -> None:
    once, again = asked(reask=0, max_tokens=100), asked(reask=2, max_tokens=100)

    assert (once.calls, again.calls) == (1, 3)
    assert once.usd_in_all == once.usd == again.usd
    worst = [chat("x" * 300)] * 2
    assert again.usd_in_all is not None
    assert sum(asked(*worst[:n], max_tokens=100).usd or 1 for n in range(3)) < again.usd_in_all


@pytest.mark.anyio
async def test_data_comes_out_and_a_second_run_asks_nobody(bench: Bench, emulator: Emulator) -> None:
    first = await bench.run(STRUCTURED)
    requests = len(emulator.requests)

    second = await bench.run(STRUCTURED)

    assert first.ends() == {"facts": "done"}
    assert isinstance(first.output("title"), str)
    assert second.ends() == {"facts": "cached"}
    assert len(emulator.requests) == requests == 1


@pytest.mark.anyio
async def test_after_a_refusal_a_second_run_still_asks_nobody(bench: Bench, emulator: Emulator) -> None:
    emulator.fail("chat=noschema*always")
    first = await bench.run(STRUCTURED)
    requests = len(emulator.requests)

    second = await bench.run(STRUCTURED)

    assert first.ends() == {"facts": "done"}
    assert second.ends() == {"facts": "cached"}
    assert second.output("title") == first.output("title")
    assert len(emulator.requests) == requests == 2


@pytest.mark.anyio
async def test_an_endpoint_is_not_asked_twice_for_what_it_refused(bench: Bench, emulator: Emulator) -> None:
    emulator.fail("chat=noschema*always")

    ran = await bench.run(MANY, calls=1)

    assert set(ran.ends().values()) == {"done"}
    assert emulator.count("chat") == 8 + 1
    assert ran.state.cost > 0


@pytest.mark.anyio
async def test_cells_that_ask_the_same_share_one_refusal(bench: Bench, emulator: Emulator) -> None:
    emulator.fail("chat=noschema*always")

    ran = await bench.run(MANY.replace("{{ item }} ", ""))

    assert set(ran.ends().values()) <= {"done", "cached"}
    assert emulator.count("chat") == 2


@pytest.mark.anyio
async def test_a_400_for_another_reason_teaches_nothing(bench: Bench, emulator: Emulator) -> None:
    emulator.fail("chat=400*2")

    ran = await bench.run(MANY, calls=1)

    ends = list(ran.ends().values())
    assert ends == ["failed", *["done"] * 7]
    assert emulator.count("chat") == 2 + 7


@pytest.mark.anyio
async def test_prose_is_answered_with_what_was_expected(bench: Bench, emulator: Emulator) -> None:
    emulator.fail("chat=badjson")

    ran = await bench.run(STRUCTURED)

    assert ran.ends() == {"facts": "done"}
    assert [event.attempt for event in ran.said(CallStarted)] == [1, 1]
    assert ran.state.cost == sum(event.cost for event in ran.said(CallPaid)) > 0


@pytest.mark.anyio
async def test_a_model_that_never_says_json_is_paid_three_times_and_what_it_said_is_kept(
    bench: Bench, emulator: Emulator
) -> None:
    emulator.fail("chat=badjson*always")

    ran = await bench.run(STRUCTURED)

    assert ran.ends() == {"facts": "failed"}
    assert ran.state.cells["facts"].fault == "bad_output"
    assert emulator.count("chat") == 3
    assert "teapot" in ran.kept["facts"]


@pytest.mark.anyio
async def test_of_a_conversation_that_failed_only_the_end_is_paid_again(bench: Bench, emulator: Emulator) -> None:
    emulator.fail("chat=badjson*3")
    await bench.run(STRUCTURED)

    ran = await bench.run(STRUCTURED)

    assert ran.ends() == {"facts": "done"}
    assert emulator.count("chat") == 3 + 1


@pytest.mark.anyio
async def test_a_cut_answer_is_a_fault_of_its_own(bench: Bench, emulator: Emulator) -> None:
    emulator.fail("chat=length*always")

    ran = await bench.run(STRUCTURED)

    assert ran.state.cells["facts"].fault == "truncated"
    assert "raise max_tokens" in ran.state.cells["facts"].message
    assert emulator.count("chat") == 1
