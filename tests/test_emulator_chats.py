"""Chats of the emulator: tools called, thoughts thought, pictures seen, and the ways a chat goes wrong."""

import json
from base64 import b64encode
from collections.abc import Iterator
from random import Random
from typing import Any

import httpx2 as httpx
import jsonschema
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from runner.emulator import Emulator, Endpoint
from runner.emulator.arguments import arguments
from runner.emulator.pictures import encoded, picture
from runner.emulator.texts import reply

from .test_emulator_texts import SCHEMAS

WEATHER = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "Get the current weather of a city",
        "parameters": {
            "type": "object",
            "properties": {
                "city": {"type": "string"},
                "unit": {"type": "string", "enum": ["celsius", "fahrenheit"]},
                "days": {"type": "integer", "minimum": 1, "maximum": 14},
            },
            "required": ["city"],
        },
    },
}
PRICE = {
    "type": "function",
    "function": {
        "name": "productPrice",
        "description": "Looks up what a product costs",
        "parameters": {"type": "object", "properties": {"name": {"type": "string"}}, "required": ["name"]},
    },
}
SCHEMA = {
    "type": "object",
    "properties": {"title": {"type": "string", "maxLength": 20}, "score": {"type": "integer", "minimum": 50}},
    "required": ["title", "score"],
    "additionalProperties": False,
}


@pytest.fixture(scope="module")
def client() -> Iterator[httpx.Client]:
    with httpx.Client(headers={"Authorization": "Bearer rpa_test"}, timeout=5) as client:
        yield client


@pytest.fixture(scope="module")
def emulator() -> Iterator[Emulator]:
    with Emulator() as emulator:
        yield emulator


def user(prompt: object, **more: object) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": prompt}], **more}


def posted(client: httpx.Client, emulator: Emulator, body: dict[str, Any], slug: str = "any") -> httpx.Response:
    return client.post(f"{emulator.url}/{slug}/openai/v1/chat/completions", json=body)


def chunks(answer: httpx.Response) -> list[dict[str, Any]]:
    events = [line.removeprefix("data: ") for line in answer.text.split("\n\n") if line]
    return [json.loads(event) for event in events if event != "[DONE]"]


def called(prompt: str, tools: list[dict[str, Any]], **more: object) -> list[tuple[str, Any]]:
    answer = reply(user(prompt, tools=tools, **more))
    assert answer.finish == ("tool_calls" if answer.calls else "stop")
    return [(call.name, json.loads(call.arguments)) for call in answer.calls]


@pytest.mark.parametrize(
    ("prompt", "arguments"),
    [
        ("What is the weather in Paris?", {"city": "Paris"}),
        ("Weather for New York, in fahrenheit please", {"city": "New York", "unit": "fahrenheit"}),
        ("What is the weather in San Francisco, CA?", {"city": "San Francisco, CA"}),
        ("how is the weather in São Paulo for the next 5 days?", {"city": "São Paulo", "days": 5}),
        ("Tell me the weather in Rome for 400 days", {"city": "Rome"}),
    ],
)
def test_a_tool_is_called_with_what_the_prompt_says(prompt: str, arguments: dict[str, Any]) -> None:
    assert called(prompt, [PRICE, WEATHER]) == [("get_weather", arguments)]


TOOLS = {
    "calculator": ("Evaluates a mathematical expression", ["expression"]),
    "web_search": ("Searches the web", ["query"]),
    "send_email": ("Sends an email", ["to_email", "subject"]),
    "book_flight": ("Books a flight", ["origin", "destination", "date"]),
    "translate": ("Translates a text", ["text", "target_language"]),
}


@pytest.mark.parametrize(
    ("prompt", "name", "expected"),
    [
        ("What is 23 * (4 + 7)?", "calculator", ["23 * (4 + 7)"]),
        ("Search the web for the best espresso machines.", "web_search", ["the best espresso machines"]),
        ("Send an email to anna@example.com about the budget", "send_email", ["anna@example.com", "the budget"]),
        ("Book a flight from Oslo to New York on 2026-05-04", "book_flight", ["Oslo", "New York", "2026-05-04"]),
        ('Translate "good morning" into French', "translate", ["good morning", "French"]),
    ],
)
def test_the_usual_tools_get_what_they_need(prompt: str, name: str, expected: list[str]) -> None:
    tools = []
    for tool, (description, keys) in TOOLS.items():
        parameters = {"type": "object", "properties": {key: {"type": "string"} for key in keys}, "required": keys}
        function = {"name": tool, "description": description, "parameters": parameters}
        tools.append({"type": "function", "function": function})

    assert [(made, list(given.values())) for made, given in called(prompt, tools)] == [(name, expected)]


def test_several_things_in_one_breath_are_several_calls() -> None:
    found = called("Compare the weather in Paris, Tokyo and New York.", [WEATHER])

    assert [given["city"] for _, given in found] == ["Paris", "Tokyo", "New York"]
    assert len({call.id for call in reply(user("Weather in Rome and Oslo?", tools=[WEATHER])).calls}) == 2


def test_a_tool_that_the_prompt_is_not_about_is_not_called() -> None:
    assert called("Write a poem about the sea.", [WEATHER, PRICE]) == []


def test_a_prompt_about_two_tools_calls_both_unless_it_must_not() -> None:
    prompt = "What is the weather in Oslo, and the price of a red teapot?"

    both, one = called(prompt, [WEATHER, PRICE]), called(prompt, [WEATHER, PRICE], parallel_tool_calls=False)

    assert {name for name, _ in both} == {"get_weather", "productPrice"}
    assert len(one) == 1


@pytest.mark.parametrize(
    ("choice", "names"),
    [
        ("none", []),
        ("auto", []),
        ("required", ["get_weather"]),
        ({"type": "function", "function": {"name": "productPrice"}}, ["productPrice"]),
    ],
)
def test_a_choice_of_tools_is_obeyed(choice: object, names: list[str]) -> None:
    found = called("Write a poem about the sea.", [WEATHER, PRICE], tool_choice=choice)

    assert [name for name, _ in found] == names


@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(schema=SCHEMAS)
def test_arguments_are_valid_whatever_the_parameters_are(schema: dict[str, Any]) -> None:
    parameters = {"type": "object", "properties": {"city": schema, "count": schema}, "required": ["count"]}

    made = arguments(parameters, "Five tickets from Rome to New York at 12.5 EUR, with red seats", Random(1))

    jsonschema.Draft202012Validator(parameters).validate(made)


def test_results_of_tools_are_quoted_in_the_text_that_follows(client: httpx.Client, emulator: Emulator) -> None:
    body = user("What is the weather in Paris?", tools=[WEATHER])

    asked = posted(client, emulator, body).json()["choices"][0]
    call = asked["message"]["tool_calls"][0]
    body["messages"] += [
        asked["message"],
        {"role": "tool", "tool_call_id": call["id"], "content": '{"degrees": 18, "sky": "clear"}'},
    ]
    told = posted(client, emulator, body).json()["choices"][0]

    assert (asked["finish_reason"], asked["message"]["content"]) == ("tool_calls", None)
    assert call["type"] == "function"
    assert json.loads(call["function"]["arguments"]) == {"city": "Paris"}
    assert told["finish_reason"] == "stop"
    assert '{"degrees": 18, "sky": "clear"}' in told["message"]["content"]


def test_the_deltas_of_a_call_add_up_to_it(client: httpx.Client, emulator: Emulator) -> None:
    body = user("What is the weather in Paris and the price of a red ceramic teapot?", tools=[WEATHER, PRICE])

    whole = posted(client, emulator, body).json()["choices"][0]["message"]["tool_calls"]
    deltas = [c["choices"][0]["delta"] for c in chunks(posted(client, emulator, {**body, "stream": True}))]

    parts = [part for delta in deltas for part in delta.get("tool_calls", [])]
    firsts = [part for part in parts if "id" in part]
    assert [part["function"]["name"] for part in firsts] == [call["function"]["name"] for call in whole]
    assert all(part["function"]["arguments"] == "" for part in firsts)
    for index, call in enumerate(whole):
        assert firsts[index]["id"] == call["id"]
        pieces = [part["function"]["arguments"] for part in parts if part["index"] == index]
        assert len(pieces) > 2
        assert "".join(pieces) == call["function"]["arguments"]


def test_a_named_function_that_is_not_offered_is_400(client: httpx.Client, emulator: Emulator) -> None:
    choice = {"type": "function", "function": {"name": "fly"}}

    answer = posted(client, emulator, user("hi", tools=[WEATHER], tool_choice=choice))

    assert answer.status_code == 400
    assert "'fly'" in answer.json()["error"]["message"]


def test_a_thought_stands_before_the_text_or_apart_from_it(client: httpx.Client) -> None:
    table = {"inline": Endpoint("text", think=True), "apart": Endpoint("text", think="apart"), "no": Endpoint("text")}
    with Emulator(table) as emulator:
        inline, apart, no = (
            posted(client, emulator, user("Describe a teapot."), slug).json()["choices"][0]["message"] for slug in table
        )
        stream = chunks(posted(client, emulator, user("Describe a teapot.", stream=True), "apart"))

    deltas = [chunk["choices"][0]["delta"] for chunk in stream]
    assert inline["content"] == f"<think>\n{apart['reasoning_content']}\n</think>\n\n{apart['content']}"
    assert no["content"] == apart["content"]
    assert "reasoning_content" not in no | inline
    assert "".join(d.get("reasoning_content", "") for d in deltas) == apart["reasoning_content"]
    assert "".join(d.get("content", "") for d in deltas) == apart["content"]


@pytest.mark.parametrize(
    ("body", "thinks"),
    [
        (user("Describe a teapot."), True),
        (user("Describe a teapot.", chat_template_kwargs={"enable_thinking": False}), False),
        (user("Describe a teapot.", chat_template_kwargs={"enable_thinking": True}), True),
        (user("Describe a teapot. /no_think"), False),
        (user("Describe a teapot. /no_think /think"), True),
        (user("Describe a teapot.", reasoning_effort="none"), False),
    ],
)
def test_thinking_can_be_switched_off(body: dict[str, Any], thinks: bool) -> None:
    answer = reply(body, think="apart")

    assert bool(answer.reasoning) is thinks
    assert ("completion_tokens_details" in answer.usage) is thinks


def test_tokens_are_spent_on_the_thought_first() -> None:
    body = user("Describe a teapot.", max_tokens=5)

    inline, apart = reply(body, think=True), reply(body, think="apart")

    assert inline.content.startswith("<think>")
    assert "</think>" not in inline.content
    assert (apart.content, apart.finish, apart.completion_tokens) == ("", "length", 5)
    assert apart.reasoning.startswith("The user asks")


def test_a_json_schema_is_kept_to_in_every_choice(client: httpx.Client, emulator: Emulator) -> None:
    form = {"type": "json_schema", "json_schema": {"name": "card", "strict": True, "schema": SCHEMA}}

    answer = posted(client, emulator, user("Rate a red teapot.", response_format=form, n=3)).json()

    assert [choice["index"] for choice in answer["choices"]] == [0, 1, 2]
    for choice in answer["choices"]:
        jsonschema.validate(json.loads(choice["message"]["content"]), SCHEMA)


def test_choices_differ_and_a_temperature_of_zero_makes_them_one(client: httpx.Client, emulator: Emulator) -> None:
    body = user("Describe a teapot.", n=4, seed=1)

    warm, cold = (
        {c["message"]["content"] for c in posted(client, emulator, {**body, "temperature": t}).json()["choices"]}
        for t in (1, 0)
    )
    streamed = chunks(posted(client, emulator, {**body, "temperature": 1, "stream": True}))

    texts = dict.fromkeys(range(4), "")
    for chunk in streamed:
        choice = chunk["choices"][0]
        texts[choice["index"]] += choice["delta"].get("content", "")
    assert len(warm) > 1
    assert set(texts.values()) == warm
    assert len(cold) == 1
    assert cold == {reply(user("Describe a teapot.", temperature=0, seed=7)).content}


@pytest.mark.parametrize("n", [0, 129, "two", True])
def test_a_number_of_choices_that_makes_no_sense_is_400(client: httpx.Client, emulator: Emulator, n: object) -> None:
    assert posted(client, emulator, user("hi", n=n)).status_code == 400


def test_a_text_ends_before_the_sequence_that_stops_it() -> None:
    whole = reply(user("Describe a blue bicycle.")).content

    one, many = (reply(user("Describe a blue bicycle.", stop=stop)) for stop in (".", ["###", "bicycle"]))

    assert one.content == whole.partition(".")[0]
    assert many.content == whole.partition("bicycle")[0]
    assert one.finish == many.finish == "stop"


@pytest.mark.parametrize("form", ["png", "jpeg", "webp"])
def test_a_picture_in_a_message_is_seen(client: httpx.Client, emulator: Emulator, form: str) -> None:
    data = encoded(picture("x", size=(64, 48), seed=1, signature="m"), form, "a café at “night”")
    uri = f"data:image/{form};base64,{b64encode(data).decode()}"
    parts = [{"type": "text", "text": "What is this?"}, {"type": "image_url", "image_url": {"url": uri}}]

    text = posted(client, emulator, user(parts)).json()["choices"][0]["message"]["content"]

    assert "64 by 48 pixels" in text
    assert "a café at “night”" in text


def test_a_picture_that_the_emulator_made_is_seen_by_its_address(client: httpx.Client, emulator: Emulator) -> None:
    job = {"input": {"prompt": "a red teapot", "size": "64*48"}}
    url = client.post(f"{emulator.url}/painter/runsync", json=job).json()["output"]["image_url"]

    answers = [
        posted(client, emulator, user([{"type": "image_url", "image_url": {"url": one}}]))
        for one in (url, "https://example.test/a.png", "data:image/png;base64,AAAA")
    ]

    assert "a red teapot" in answers[0].json()["choices"][0]["message"]["content"]
    assert [answer.status_code for answer in answers] == [200, 400, 400]
    assert "fetches nothing" in answers[1].json()["error"]["message"]


def test_a_thought_can_be_left_open(client: httpx.Client) -> None:
    with Emulator(faults=["chat=unclosed", "chat=reasoning"]) as emulator:
        open_, apart = (posted(client, emulator, user("Describe a teapot.")).json()["choices"][0] for _ in range(2))

    assert open_["message"]["content"].startswith("<think>\n")
    assert "</think>" not in open_["message"]["content"]
    assert open_["finish_reason"] == "length"
    assert apart["message"]["reasoning_content"]
    assert apart["finish_reason"] == "stop"


def test_an_endpoint_can_refuse_schemas_and_nothing_else(client: httpx.Client) -> None:
    form = {"type": "json_schema", "json_schema": {"name": "card", "schema": SCHEMA}}
    with Emulator(faults=["chat=noschema*always"]) as emulator:
        refused = posted(client, emulator, user("Rate a teapot.", response_format=form))
        others = [
            posted(client, emulator, user("Rate a teapot.", **more)).status_code
            for more in ({}, {"response_format": {"type": "json_object"}})
        ]

    assert refused.status_code == 400
    assert "json_schema" in refused.json()["error"]["message"]
    assert others == [200, 200]


def test_a_stream_can_stall_and_go_on(client: httpx.Client) -> None:
    with Emulator(faults=["chat=stall:0.1", "chat=stall"], workers=1) as emulator:
        late = posted(client, emulator, user("Describe a teapot.", stream=True))
        url = f"{emulator.url}/any/openai/v1/chat/completions"
        with pytest.raises(httpx.ReadTimeout):
            client.post(url, json=user("Describe a teapot.", stream=True), timeout=0.3)
        after = posted(client, emulator, user("Describe a teapot."))

    assert late.text.endswith("[DONE]\n\n")
    assert after.status_code == 200


def test_a_stream_can_end_in_an_error(client: httpx.Client) -> None:
    with Emulator(faults=["chat=errorchunk"]) as emulator:
        found = chunks(answer := posted(client, emulator, user("Describe a teapot.", stream=True)))

    assert "message" in found[-1]["error"]
    assert found[0]["choices"]
    assert "[DONE]" not in answer.text


def test_the_portions_of_a_stream_need_not_be_its_events(client: httpx.Client) -> None:
    body = user("Describe a teapot.", stream=True)
    with Emulator(faults=["chat=chopped"]) as emulator:
        url = f"{emulator.url}/any/openai/v1/chat/completions"
        with client.stream("POST", url, json=body) as answer:
            portions = list(answer.iter_raw())
        plain = posted(client, emulator, body)

    told = [json.loads(line[6:]) for line in b"".join(portions).decode().split("\n\n") if line.startswith("data: {")]
    assert [c["choices"] for c in told] == [c["choices"] for c in chunks(plain)]
    assert any(not portion.endswith(b"\n\n") for portion in portions)


@pytest.mark.parametrize(
    ("more", "hint"),
    [
        ({"tools": [{"function": {"name": "f", "parameters": {"type": "banana"}}}]}, "the parameters of f is no JSON"),
        ({"response_format": {"type": "json_schema", "json_schema": {"schema": {"type": 3}}}}, "is no JSON Schema"),
        ({"tools": [{"type": "function"}]}, "tools[0].function is required"),
        ({"temperature": 3}, "temperature must be between 0 and 2"),
        ({"stop": 7}, "stop must be a string or array"),
    ],
)
def test_a_request_that_makes_no_sense_is_400(
    client: httpx.Client, emulator: Emulator, more: dict[str, Any], hint: str
) -> None:
    answer = posted(client, emulator, user("hi", **more))

    assert answer.status_code == 400
    assert hint in answer.json()["error"]["message"]


JSONS = st.recursive(
    st.one_of(
        st.none(), st.booleans(), st.integers(-5, 5), st.text(max_size=8), st.sampled_from(["user", "tool", "string"])
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(
            st.sampled_from(["type", "role", "content", "text", "function", "name", "parameters", "properties", "url"])
            | st.sampled_from(
                ["image_url", "tool_calls", "enum", "items", "anyOf", "required", "json_schema", "schema"]
            ),
            inner,
            max_size=4,
        ),
    ),
    max_leaves=12,
)
WORDS = ("tools", "tool_choice", "response_format", "stop", "n", "seed", "temperature", "max_tokens", "model",
         "chat_template_kwargs", "reasoning_effort", "stream_options", "parallel_tool_calls")  # fmt: skip
BODIES = st.builds(
    lambda messages, more: {**more, "messages": messages},
    st.lists(
        st.dictionaries(st.sampled_from(["role", "content", "tool_calls", "tool_call_id"]), JSONS),
        min_size=1,
        max_size=3,
    ),
    st.dictionaries(st.sampled_from(WORDS), JSONS, max_size=4),
)


@settings(max_examples=60, suppress_health_check=list(HealthCheck), deadline=None)
@given(body=BODIES)
def test_no_request_breaks_a_chat(client: httpx.Client, emulator: Emulator, body: dict[str, Any]) -> None:
    answer = posted(client, emulator, body)

    assert answer.status_code in {200, 400}, body
    assert "error" in answer.json() or answer.json()["choices"]
