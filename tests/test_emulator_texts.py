"""Texts of the emulator: shapes read from prompts, schemas filled, chats answered."""

import json
import re
import time
from collections.abc import Iterator
from random import Random
from typing import Any

import httpx2 as httpx
import jsonschema
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from runner.emulator import Emulator, Endpoint
from runner.emulator.filling import filled
from runner.emulator.patterns import matching
from runner.emulator.shapes import shape
from runner.emulator.subjects import subject
from runner.emulator.texts import reply

CARD = """Describe a red ceramic teapot for a web shop as
{ "title": string, "blurb": string, "keywords": [string], "picture": string }"""
RECIPE = (
    'Write a recipe for lentil soup. Return ONLY valid JSON: {"name": string, "ingredients": '
    '[{"name": string, "amount": string}], "steps": [string]}'
)
NAMES = st.from_regex(r"[a-z][a-z_]{0,9}", fullmatch=True)
TYPES = st.sampled_from(["string", "number", "integer", "boolean"])


@pytest.fixture(scope="module")
def client() -> Iterator[httpx.Client]:
    with httpx.Client(headers={"Authorization": "Bearer rpa_test"}, timeout=5) as client:
        yield client


def asked(prompt: str, **more: object) -> str:
    return reply({"messages": [{"role": "user", "content": prompt}], **more}).content


def kinds(schema: dict[str, Any]) -> object:
    """A schema as a shape of bare types, to compare at a glance."""
    match schema["type"]:
        case "object":
            return {key: kinds(part) for key, part in schema["properties"].items()}
        case "array":
            return [kinds(schema["items"])]
        case kind:
            return schema.get("enum", kind)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (CARD, {"title": "string", "blurb": "string", "keywords": ["string"], "picture": "string"}),
        (
            RECIPE,
            {"name": "string", "ingredients": [{"name": "string", "amount": "string"}], "steps": ["string"]},
        ),
        ('Answer as JSON {"title": "...", "score": 0}', {"title": "string", "score": "integer"}),
        (
            "{a: str, b: int, c: bool, d: number}",
            {"a": "string", "b": "integer", "c": "boolean", "d": "number"},
        ),
        (
            '{\n  "a": string, // the name\n  "b": [number, ...], # many\n  "c"?: /* maybe */ string\n}',
            {"a": "string", "b": ["number"], "c": "string"},
        ),
        ('{"a": string\n "b": string\n}', {"a": "string", "b": "string"}),
        (
            '{"mood": "calm" | "bright", "size": "S|M|L"}',
            {"mood": ["calm", "bright"], "size": ["S", "M", "L"]},
        ),
        (
            '{"tags": string[], "rows": list of integers, "more": Array<number>}',
            {"tags": ["string"], "rows": ["integer"], "more": ["number"]},
        ),
        (
            '{"name": <the name>, "note": string | null, "x": string (max 20 characters)}',
            {"name": "string", "note": "string", "x": "string"},
        ),
        ("Return a list [{'q': string, 'a': string}, ...]", [{"q": "string", "a": "string"}]),
        (
            "as {\N{LEFT DOUBLE QUOTATION MARK}a\N{RIGHT DOUBLE QUOTATION MARK}: string}",
            {"a": "string"},
        ),
        ('From {"price": 3} make {"label": string}', {"label": "string"}),
        ('Fit this: {"type": "object", "properties": {"n": {"type": "integer"}}}', {"n": "integer"}),
    ],
)
def test_a_shape_is_read_from_prose(text: str, expected: object) -> None:
    found = shape(text)

    assert found is not None
    assert kinds(found) == expected


@pytest.mark.parametrize(
    "text",
    [
        "",
        "no shape",
        "{name}",
        "{}",
        "[]",
        "{ hello world }",
        "see [1] and [2]",
        "a {b: c} d",
        "{" * 300,
        "{{ x }}",
        "f(x) { return 1; }",
        'The product: {"price": 3}',
    ],
)
def test_what_only_looks_like_a_shape_is_prose(text: str) -> None:
    assert shape(text) is None


SHAPES = st.recursive(
    TYPES,
    lambda inner: st.one_of(
        st.dictionaries(NAMES, inner, min_size=1, max_size=4), st.lists(inner, min_size=1, max_size=1)
    ),
    max_leaves=8,
)


def written(held: object, quote: str) -> str:
    if isinstance(held, dict):
        return "{" + ", ".join(f"{quote}{key}{quote}: {written(v, quote)}" for key, v in held.items()) + "}"
    return f"[{written(held[0], quote)}]" if isinstance(held, list) else str(held)


@given(held=st.dictionaries(NAMES, SHAPES, min_size=1, max_size=4), quote=st.sampled_from(['"', "'", ""]))
def test_any_shape_that_is_written_down_is_read_back(held: dict[str, Any], quote: str) -> None:
    found = shape(f"Answer as {written(held, quote)} and nothing else.")

    assert found is not None
    assert kinds(found) == held


@given(st.text(alphabet='{}[]":,abc 1.<>|/*#\n', max_size=60))
def test_no_text_breaks_the_reader(text: str) -> None:
    found = shape(text)

    assert found is None or isinstance(json.loads(asked(text)), dict | list)


STRINGS = st.builds(
    lambda low, more: {"type": "string", "minLength": low, "maxLength": low + more},
    st.integers(0, 300),
    st.integers(0, 200),
)
NUMBERS = st.builds(
    lambda kind, low, more: {"type": kind, "minimum": low, "maximum": low + more},
    st.sampled_from(["integer", "number"]),
    st.integers(-1000, 1000),
    st.integers(0, 1000),
)
LEAVES = st.one_of(
    STRINGS,
    NUMBERS,
    st.just({"type": "boolean"}),
    st.just({"type": ["null", "string"]}),
    st.just({"exclusiveMinimum": 0, "exclusiveMaximum": 1, "type": "number"}),
    st.just({"type": "integer", "multipleOf": 7}),
    st.just({"enum": ["red", 2, None]}),
    st.just({"const": {"a": 1}}),
    st.sampled_from([{"type": "string", "format": f} for f in ("date", "date-time", "email", "uri", "uuid", "ipv4")]),
    st.sampled_from(
        [{"type": "string", "pattern": p} for p in ("^[A-Z]{3}-\\d{4}$", "^(red|blue)$", "^[a-z0-9-]+$", "\\w+@\\w+")]
    ),
)
SCHEMAS = st.recursive(
    LEAVES,
    lambda inner: st.one_of(
        st.dictionaries(NAMES, inner, max_size=4).map(
            lambda held: {"type": "object", "properties": held, "required": [*held, "extra"]}
        ),
        st.builds(
            lambda items, low, more: {
                "type": "array",
                "items": items,
                "minItems": low,
                "maxItems": low + more,
            },
            inner,
            st.integers(0, 5),
            st.integers(0, 5),
        ),
        st.lists(inner, min_size=1, max_size=3).map(lambda held: {"anyOf": held}),
    ),
    max_leaves=8,
)


@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(schema=SCHEMAS, seed=st.integers(0, 99))
def test_a_filled_schema_is_valid(schema: dict[str, Any], seed: int) -> None:
    value = filled(schema, subject("a red ceramic teapot"), Random(seed))

    jsonschema.Draft202012Validator(schema).validate(value)


def test_a_shape_is_found_before_a_long_document_and_brackets_cost_little_time() -> None:
    document = "[" * 60_000

    begun = time.monotonic()
    found = shape(f"{CARD}\n\n{document}")

    assert found is not None
    assert "title" in found["properties"]
    assert time.monotonic() - begun < 2


def test_references_unions_and_trees_are_filled() -> None:
    schema = {
        "$defs": {
            "Node": {
                "type": "object",
                "properties": {
                    "name": {"type": "string"},
                    "next": {"anyOf": [{"$ref": "#/$defs/Node"}, {"type": "null"}]},
                    "all": {"type": "array", "items": {"$ref": "#/$defs/Node"}, "maxItems": 1},
                },
                "required": ["name", "next"],
            }
        },
        "type": "object",
        "properties": {
            "tree": {"$ref": "#/$defs/Node"},
            "tags": {"type": "array", "items": {"enum": ["a", "b", "c"]}, "uniqueItems": True, "minItems": 3},
            "scores": {"type": "object", "additionalProperties": {"type": "integer"}},
            "both": {"allOf": [{"properties": {"x": {"type": "string"}}}, {"required": ["y"]}]},
            "pair": {
                "type": "array",
                "prefixItems": [{"type": "string"}, {"type": "integer"}],
                "items": False,
            },
        },
        "required": ["tree", "tags", "scores", "both", "pair"],
    }

    value = filled(schema, subject("a red ceramic teapot"), Random(1))

    jsonschema.Draft202012Validator(schema).validate(value)
    assert len(value["scores"]) == 2


@pytest.mark.parametrize(
    "pattern", ["^[A-Z]{3}-\\d{4}$", "^(?:ab|cd)+$", "^#[0-9a-f]{6}$", "^\\d{4}-\\d{2}$", "x{2,}", "[^a]b?"]
)
def test_a_simple_pattern_gets_a_match(pattern: str) -> None:
    text = matching(pattern)

    assert text is not None
    assert re.search(pattern, text)


@pytest.mark.parametrize("pattern", ["(?=a)b", "(a", "[a", "\\1"])
def test_a_pattern_beyond_the_reader_gets_none(pattern: str) -> None:
    assert matching(pattern) is None


@pytest.mark.parametrize(
    ("prompt", "phrase"),
    [
        (CARD, "red ceramic teapot"),
        (RECIPE, "lentil soup"),
        ("Give me an outline of an article about urban beekeeping", "urban beekeeping"),
        ("Write two sentences about a blue bicycle.", "blue bicycle"),
        ("What is the capital of France?", "capital of France"),
        ("The product is a wool scarf.", "wool scarf"),
        ("Product: a wool scarf", "wool scarf"),
        ("Write a two-sentence advertisement for lavender soap, and describe a photo for it.", "lavender soap"),
        ("You are a copywriter. The product is lavender soap. Write two lines.", "lavender soap"),
        ("Write an Instagram caption for lavender soap", "lavender soap"),
        ("In two sentences, sell lavender soap.", "lavender soap"),
        ("Write a song for small children about the sea.", "sea"),
        ("Write one paragraph that tells a child about a red teapot.", "red teapot"),
        ("Write about a cup of tea", "cup of tea"),
    ],
)
def test_the_subject_of_a_prompt_is_found(prompt: str, phrase: str) -> None:
    assert subject(prompt).phrase == phrase


def test_a_product_card_reads_well() -> None:
    card = json.loads(asked(CARD, seed=1))

    assert card["title"] == "Red Ceramic Teapot"
    assert card["keywords"][:3] == ["red", "ceramic", "teapot"]
    assert "teapot" in card["blurb"]
    assert card["picture"].startswith("A red ceramic teapot on a linen cloth")


def test_a_recipe_has_ingredients_and_steps() -> None:
    recipe = json.loads(asked(RECIPE))

    assert recipe["name"] == "Lentil Soup"
    assert [item["name"] for item in recipe["ingredients"]][:2] == ["lentil", "olive oil"]
    assert len(set(recipe["steps"])) == len(recipe["steps"]) == 4


def test_prose_is_about_the_subject_and_the_same_each_time() -> None:
    one, same, other = (asked("Describe a blue bicycle.", seed=seed) for seed in (1, 1, 2))

    assert "bicycle" in one
    assert one == same
    assert one != other


def test_the_shape_is_found_in_any_message_and_the_subject_in_the_first() -> None:
    messages = [
        {"role": "system", "content": 'Return ONLY JSON: {"title": string}'},
        {"role": "user", "content": [{"type": "text", "text": "Describe a wool scarf."}]},
        {"role": "assistant", "content": '{"titel": string}'},
        {"role": "user", "content": "That was not valid: titel is unknown. Answer again."},
    ]

    assert json.loads(reply({"messages": messages}).content) == {"title": "Wool Scarf"}


def test_a_response_format_is_obeyed() -> None:
    schema = {"type": "object", "properties": {"n": {"type": "integer", "minimum": 50}}, "required": ["n"]}
    formats = [
        {"type": "json_schema", "json_schema": {"name": "n", "schema": schema}},
        {"type": "json_object"},
    ]

    strict, loose = (json.loads(asked("Count my teapots.", response_format=form)) for form in formats)

    assert strict == {"n": 50}
    assert isinstance(loose, dict)


def test_max_tokens_cuts_the_text_and_says_so() -> None:
    cut = reply({"messages": [{"role": "user", "content": "Describe a teapot."}], "max_tokens": 5})

    assert cut.finish == "length"
    assert cut.completion_tokens == 5
    assert cut.usage["total_tokens"] == cut.prompt_tokens + 5


def test_a_chat_is_answered_whole(client: httpx.Client) -> None:
    with Emulator({"writer": Endpoint("text", model="Some/Model")}) as emulator:
        base = f"{emulator.url}/writer/openai/v1"
        name = client.get(f"{base}/models").json()["data"][0]["id"]
        body = {"model": name, "messages": [{"role": "user", "content": "Describe a teapot."}]}
        answer = client.post(f"{base}/chat/completions", json=body).json()
        wrong = client.post(f"{base}/chat/completions", json={**body, "model": "some/model"})

    assert name == answer["model"] == "Some/Model"
    assert answer["object"] == "chat.completion"
    assert "teapot" in answer["choices"][0]["message"]["content"]
    assert answer["usage"]["total_tokens"] > 0
    assert wrong.status_code == 404
    assert emulator.paid == 1


@pytest.mark.parametrize("usage", [True, False])
def test_a_chat_is_streamed_as_events_with_usage_when_asked(client: httpx.Client, usage: bool) -> None:
    with Emulator() as emulator:
        url = f"{emulator.url}/any/openai/v1/chat/completions"
        body = {"messages": [{"role": "user", "content": "Describe a teapot."}]}
        whole = client.post(url, json=body).json()
        options = {"stream": True, "stream_options": {"include_usage": usage}}
        answer = client.post(url, json={**body, **options})

    events = [line.removeprefix("data: ") for line in answer.text.split("\n\n") if line]
    chunks = [json.loads(event) for event in events[:-1]]
    deltas = [chunk["choices"][0] for chunk in chunks if chunk["choices"]]
    assert answer.headers["content-type"].startswith("text/event-stream")
    assert events[-1] == "[DONE]"
    assert "".join(d["delta"].get("content", "") for d in deltas) == whole["choices"][0]["message"]["content"]
    assert deltas[-1]["finish_reason"] == "stop"
    assert [chunk["usage"] for chunk in chunks if not chunk["choices"]] == ([whole["usage"]] if usage else [])


def test_a_thinking_endpoint_thinks_before_it_answers(client: httpx.Client) -> None:
    with Emulator({"writer": Endpoint("text", think=True)}) as emulator:
        body = {"messages": [{"role": "user", "content": CARD}]}
        answer = client.post(f"{emulator.url}/writer/openai/v1/chat/completions", json=body).json()

    thought, _, rest = answer["choices"][0]["message"]["content"].partition("</think>")
    assert thought.startswith("<think>")
    assert json.loads(rest)["title"] == "Red Ceramic Teapot"


@pytest.mark.parametrize("body", [[], {}, {"messages": []}, {"messages": "hi"}])
def test_a_chat_without_messages_is_400(client: httpx.Client, body: object) -> None:
    with Emulator() as emulator:
        answer = client.post(f"{emulator.url}/any/openai/v1/chat/completions", json=body)

    assert answer.status_code == 400
    assert "message" in answer.json()["error"]


@pytest.mark.parametrize(
    ("prompt", "most"),
    [
        ("Write a slogan of at most eight words for a jazz festival. Answer with the slogan only.", 8),
        ("Describe a red teapot in 5 words", 5),
        ("A headline of up to ten words about bread", 10),
    ],
)
def test_a_limit_of_words_is_kept_and_is_not_the_subject(prompt: str, most: int) -> None:
    text = reply({"messages": [{"role": "user", "content": prompt}]}).content

    assert 1 < len(text.split()) <= most
    assert "words" not in text


def test_one_sentence_is_one_sentence() -> None:
    text = reply(
        {"messages": [{"role": "user", "content": "Write the alt text, one sentence, for a picture."}]}
    ).content

    assert text.count(".") == 1
