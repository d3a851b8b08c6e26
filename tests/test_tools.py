"""Tools as data: what a model is told of them, what it is answered, and how a conversation comes to its end."""

from __future__ import annotations

import json
import textwrap
from pathlib import Path
from typing import Any

import pytest

from runner import loading
from runner.catalogue import builtin, private
from runner.emulator import Emulator
from runner.errors import OutOfTurns, TemplateFailed
from runner.kinds import generate_text
from runner.kinds.nesting import Late
from runner.model import Chat, Output, Reply
from runner.templates import parse

from .conftest import Bench, planned
from .test_structured import USAGE

WRITER = builtin().models["qwen/qwen3-32b-awq"]
INPUT = {
    "type": "object",
    "required": ["city"],
    "properties": {"city": {"type": "string"}, "days": {"type": "integer"}},
}


def tool(returns: Any = "The weather in {{ args.city }} is {{ sky }}.") -> dict[str, Any]:
    written = parse(returns) if isinstance(returns, str) else returns
    return {"description": "Get the weather", "input": INPUT, "returns": Late(written, {"sky": "sunny"})}


def calling(*calls: tuple[str, Any], content: str | None = None, **more: Any) -> Reply:
    wire = [{"id": f"c{n}", "type": "function", "function": {"name": name, "arguments": arguments}}
            for n, (name, arguments) in enumerate(calls)]  # fmt: skip
    message = {"role": "assistant", "content": content, "tool_calls": wire, **more}
    return Reply({"choices": [{"message": message, "finish_reason": "tool_calls"}], "usage": USAGE}, (), 0.01)


def said(text: str) -> Reply:
    message = {"role": "assistant", "content": text}
    return Reply({"choices": [{"message": message, "finish_reason": "stop"}], "usage": USAGE}, (), 0.01)


def advance(*replies: Reply, **params: Any) -> Any:
    every: dict[str, Any] = {"model": WRITER, "prompt": "Weather?", "tools": {"get_weather": tool()}, **params}
    return generate_text.advance(every, replies)


def asked(*replies: Reply, **params: Any) -> Chat:
    call = advance(*replies, **params)
    assert isinstance(call, Chat)
    return call


PARIS = calling(("get_weather", '{"city": "Paris"}'))


def test_tools_go_out_as_openai_writes_them() -> None:
    call = asked()

    assert call.body["tools"] == [
        {
            "type": "function",
            "function": {"name": "get_weather", "description": "Get the weather", "parameters": INPUT},
        }
    ]


def test_a_call_is_answered_from_its_template_and_sent_back() -> None:
    call = asked(PARIS)

    assert call.body["messages"][1:] == [
        {
            "role": "assistant",
            "content": None,
            "tool_calls": [
                {
                    "id": "c0",
                    "type": "function",
                    "function": {"name": "get_weather", "arguments": '{"city": "Paris"}'},
                }
            ],
        },
        {"role": "tool", "tool_call_id": "c0", "content": "The weather in Paris is sunny."},
    ]


def test_the_answer_comes_with_what_was_called_and_what_it_cost_in_all() -> None:
    both = calling(("get_weather", '{"city": "Paris"}'), ("get_weather", '{"city": "Rome"}'))

    output = advance(both, said("Sunny."))

    assert isinstance(output, Output)
    assert output.values["text"] == "Sunny."
    assert output.values["tool_calls"] == [
        {"name": "get_weather", "arguments": {"city": "Paris"}},
        {"name": "get_weather", "arguments": {"city": "Rome"}},
    ]
    assert output.values["tool_results"] == [
        {"name": "get_weather", "result": "The weather in Paris is sunny."},
        {"name": "get_weather", "result": "The weather in Rome is sunny."},
    ]
    assert output.values["usage"]["total_tokens"] == 10
    assert output.cost == pytest.approx(0.02)


@pytest.mark.parametrize(
    ("name", "arguments", "words"),
    [
        pytest.param("get_weather", '{"town": "Paris"}', "args: expected 'city', which is missing", id="missing"),
        pytest.param("get_weather", '{"city": 5}', "args.city: expected string, found 5", id="another type"),
        pytest.param("get_weather", "Paris", "there is no JSON in the text", id="no JSON"),
        pytest.param("get_weather", '{"city": "Pa', "ends in the middle of its JSON", id="cut"),
        pytest.param("get_weather", "", "expected 'city', which is missing", id="none"),
        pytest.param("get_weather", ["Paris"], "expected object", id="a list"),
        pytest.param("get_time", "{}", "There is no tool get_time. There are: get_weather.", id="unknown"),
    ],
)
def test_a_call_that_does_not_fit_is_answered_with_what_is_wrong(name: str, arguments: Any, words: str) -> None:
    call = asked(calling((name, arguments)))

    told = call.body["messages"][-1]
    assert told["role"] == "tool"
    assert words in told["content"]
    assert isinstance(call.body["messages"][-2]["tool_calls"][0]["function"]["arguments"], str)


@pytest.mark.parametrize(
    ("returns", "result", "text"),
    [
        pytest.param("{{ args.days + 1 }}", 4, "4", id="a value"),
        pytest.param({"city": parse("{{ args.city }}"), "sky": "grey"}, {"city": "Paris", "sky": "grey"},
                     '{"city": "Paris", "sky": "grey"}', id="a mapping"),
        pytest.param([1, parse("{{ args.days }}")], [1, 3], "[1, 3]", id="a list"),
        pytest.param(True, True, "true", id="a constant"),
    ],
)  # fmt: skip
def test_a_tool_may_answer_with_data(returns: Any, result: Any, text: str) -> None:
    first = calling(("get_weather", '{"city": "Paris", "days": 3}'))
    tools = {"get_weather": tool(returns)}

    call, output = asked(first, tools=tools), advance(first, said("Ok."), tools=tools)

    assert call.body["messages"][-1]["content"] == text
    assert output.values["tool_results"] == [{"name": "get_weather", "result": result}]


@pytest.mark.parametrize("arguments", ['{"city": "Paris",}', {"city": "Paris"}], ids=["mended", "a mapping"])
def test_arguments_are_taken_as_they_were_meant(arguments: Any) -> None:
    output = advance(calling(("get_weather", arguments)), said("Ok."))

    assert output.values["tool_calls"][0]["arguments"] == {"city": "Paris"}


def test_calls_without_an_id_get_one() -> None:
    reply = calling(("get_weather", '{"city": "Paris"}'))
    del reply.data["choices"][0]["message"]["tool_calls"][0]["id"]

    told = asked(reply).body["messages"]

    assert told[-2]["tool_calls"][0]["id"] == told[-1]["tool_call_id"] == "call_0_0"


def test_what_the_model_thought_before_a_call_is_sent_back_and_kept() -> None:
    thinking = calling(("get_weather", '{"city": "Paris"}'), content="<think>hm</think>Let me see.")
    apart = calling(("get_weather", '{"city": "Paris"}'), reasoning_content="so")

    call, output = asked(thinking, apart), advance(thinking, apart, said("Sunny."))

    spoken = [message for message in call.body["messages"] if message["role"] == "assistant"]
    assert [message["content"] for message in spoken] == ["Let me see.", None]
    assert spoken[1]["reasoning_content"] == "so"
    assert output.values["reasoning"] == "hm\n\nso"


def test_a_template_that_fails_says_of_which_tool_it_is() -> None:
    tools = {"get_weather": tool("{{ args.days }} days in {{ args.city }}")}

    with pytest.raises(TemplateFailed, match=r"^tools.get_weather.returns: the template reads .*days.*Paris"):
        advance(PARIS, tools=tools)


@pytest.mark.parametrize(("most", "turns"), [(None, 4), (2, 2), (1, 1)])
def test_a_model_that_never_answers_runs_out_of_turns(most: int | None, turns: int) -> None:
    for n in range(turns):
        assert isinstance(advance(*[PARIS] * n, max_turns=most), Chat)

    with pytest.raises(OutOfTurns, match=rf"the model spoke {turns} times? and wants to call get_weather") as caught:
        advance(*[PARIS] * turns, max_turns=most)

    kept = caught.value.keep or ""
    assert kept.count("The weather in Paris is sunny.") == turns - 1
    assert kept.endswith('get_weather({"city": "Paris"})')


def test_tools_and_a_schema_go_together_without_response_format() -> None:
    schema = {"type": "object", "required": ["sky"]}

    first, again = asked(schema=schema), asked(PARIS, said("Sunny."), schema=schema)
    output = advance(PARIS, said("Sunny."), said('{"sky": "sunny"}'), schema=schema)

    assert "response_format" not in first.body
    assert "'sky', which is missing" not in json.dumps(again.body)
    assert "there is no JSON" in again.body["messages"][-1]["content"]
    assert output.values["data"] == {"sky": "sunny"}
    assert output.values["tool_calls"][0]["name"] == "get_weather"


def test_the_most_that_a_step_with_tools_can_cost_counts_its_turns() -> None:
    call, free = asked(), asked(model=private("abc123def456", "generate_text"))

    assert WRITER.most is not None
    assert call.usd is not None
    assert call.calls == 4
    assert call.usd_in_all == pytest.approx(call.usd + 3 * WRITER.most)
    assert (free.calls, free.usd_in_all) == (4, None)


WEATHER = """
    name: weather
    inputs: {{sky: {{type: string, default: sunny}}}}
    steps:
      style: {{kind: render_text, text: warm}}
      report:
        kind: generate_text
        model: qwen/qwen3-32b-awq
        prompt: What is the weather in Paris?
        tools:
          get_weather:
            description: Get weather information for a city
            input: {{type: object, properties: {{city: {{type: string}}}}, required: [city]}}
            returns: "{returns}"
        max_turns: {turns}
    outputs:
      text: "{{{{ steps.report.text }}}}"
      city: "{{{{ steps.report.tool_calls[0].arguments.city }}}}"
"""
SUNNY = "The weather in {{ args.city }} is {{ inputs.sky }} and {{ steps.style.text }}."


@pytest.mark.anyio
async def test_a_model_calls_a_tool_and_tells_what_it_said(bench: Bench, emulator: Emulator) -> None:
    text = WEATHER.format(returns=SUNNY, turns=4)

    first, second = await bench.run(text), await bench.run(text)

    assert first.ends()["report"] == "done"
    assert "The weather in Paris is sunny and warm." in first.output("text")
    assert first.output("city") == "Paris"
    assert second.ends()["report"] == "cached"
    assert emulator.count("chat") == 2


@pytest.mark.anyio
async def test_a_conversation_goes_on_where_it_failed(bench: Bench, emulator: Emulator) -> None:
    failed = await bench.run(WEATHER.format(returns=SUNNY, turns=1))

    ran = await bench.run(WEATHER.format(returns=SUNNY, turns=2))

    assert failed.ends()["report"] == "failed"
    assert failed.state.cells["report"].fault == "turns"
    assert "get_weather" in failed.kept["report"]
    assert ran.ends()["report"] == "done"
    assert emulator.count("chat") == 2


@pytest.mark.anyio
async def test_a_template_that_failed_can_be_mended_without_paying_again(bench: Bench, emulator: Emulator) -> None:
    failed = await bench.run(WEATHER.format(returns="{{ 7 // (args.city | length - 5) }} degrees", turns=4))

    ran = await bench.run(WEATHER.format(returns=SUNNY, turns=4))

    assert failed.state.cells["report"].fault == "template"
    assert "tools.get_weather.returns" in failed.state.cells["report"].message
    assert ran.ends()["report"] == "done"
    assert emulator.count("chat") == 2


def test_tools_for_a_model_of_which_nobody_says_that_it_calls_them_are_a_warning(tmp_path: Path) -> None:
    text = textwrap.dedent(WEATHER.format(returns=SUNNY, turns=4))
    (tmp_path / "weather.yaml").write_text(text.replace("qwen/qwen3-32b-awq", "ibm-granite/granite-4.0-h-small"))

    found = loading.read(tmp_path / "weather.yaml")

    assert found.checked is not None
    assert [(problem.code, problem.warning, problem.mark.line) for problem in found.problems] == [
        ("doubtful-tools", True, 10)
    ]
    assert found.problems[0].message == "Nobody says that ibm-granite/granite-4.0-h-small can call tools."


def test_a_tool_makes_an_edge_to_the_step_that_it_reads() -> None:
    plan = planned(WEATHER.format(returns=SUNNY, turns=4))

    edges = [(edge.needs, edge.why) for step in plan.steps for edge in step.edges]

    assert edges == [("style", "tools.get_weather.returns reads steps.style")]
