"""The kinds: given params and the replies so far, the next call or the output."""

import json
from typing import Any

import pytest

from runner.catalogue import Model, builtin, private
from runner.errors import BadOutput, StepError, TemplateFailed, Truncated
from runner.kinds import KINDS, edit_image, generate_image, generate_text, parse_json
from runner.kinds.kind import BadParams, fit
from runner.model import Artifact, Chat, Job, Output, Reply

PHOTO = Artifact(sha256="ab" * 32, media_type="image/png", bytes=3, path="/a.png")
SOUND = Artifact(sha256="cd" * 32, media_type="audio/mpeg", bytes=3, path="/a.mp3")


def model(name: str) -> Model:
    found = builtin().find(name)
    assert found is not None
    return found


WRITER, PAINTER = model("qwen/qwen3-32b-awq"), model("black-forest-labs/flux-1-schnell")
EDITOR, MIXER = model("qwen/qwen-image-edit"), model("bytedance/seedream-4.0-edit")


def chat(content: Any, **more: Any) -> Reply:
    message = {"role": "assistant", "content": content, **more.pop("message", {})}
    return Reply(
        {"choices": [{"message": message, "finish_reason": more.pop("finish_reason", "stop")}], **more}, (), 0.01
    )


# -- generate_text ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("params", "body"),
    [
        pytest.param(
            {"prompt": "Hi"},
            {"model": "Qwen/Qwen3-32B-AWQ", "max_tokens": 2048, "messages": [{"role": "user", "content": "Hi"}]},
            id="a prompt alone",
        ),
        pytest.param(
            {"prompt": "Hi", "system": "Be brief.", "temperature": 0, "max_tokens": 9, "stop": ["."], "seed": 1},
            {"model": "Qwen/Qwen3-32B-AWQ", "max_tokens": 9, "temperature": 0, "stop": ["."], "seed": 1,
             "messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hi"}]},
            id="everything",
        ),
        pytest.param(
            {"prompt": "Hi", "options": {"min_p": 0.1, "max_tokens": 5}},
            {"model": "Qwen/Qwen3-32B-AWQ", "max_tokens": 5, "min_p": 0.1,
             "messages": [{"role": "user", "content": "Hi"}]},
            id="options win",
        ),
    ],
)  # fmt: skip
def test_a_text_is_asked_for_in_one_chat(params: dict[str, Any], body: dict[str, Any]) -> None:
    call = generate_text.advance({"model": WRITER, **params}, ())

    assert isinstance(call, Chat)
    assert call.body == body
    assert (call.kind, call.endpoint, call.label) == ("generate_text@1", "qwen3-32b-awq", "qwen/qwen3-32b-awq")
    assert call.usd == pytest.approx((body["max_tokens"] + sum(16 + len(m["content"]) for m in body["messages"])) / 1e5)


def test_a_model_outside_the_catalogue_is_named_as_it_is() -> None:
    found = private("abc123def456", "generate_text")

    call = generate_text.advance({"model": found, "prompt": "Hi"}, ())

    assert isinstance(call, Chat)
    assert (call.endpoint, call.body["model"], call.usd) == ("abc123def456", "abc123def456", None)


@pytest.mark.parametrize(
    ("reply", "text", "reasoning", "reason"),
    [
        pytest.param(chat("Tea."), "Tea.", "", "stop", id="text"),
        pytest.param(chat("<think>\nhm\n</think>\n\nTea."), "Tea.", "hm", "stop", id="thought before"),
        pytest.param(chat("\n<think></think>Tea."), "Tea.", "", "stop", id="no thought"),
        pytest.param(chat("Tea <think>x</think>"), "Tea <think>x</think>", "", "stop", id="not at the beginning"),
        pytest.param(chat("Tea.", message={"reasoning_content": "hm"}), "Tea.", "hm", "stop", id="reasoning_content"),
        pytest.param(chat("Tea.", message={"reasoning": "hm"}), "Tea.", "hm", "stop", id="reasoning"),
        pytest.param(chat("Te", finish_reason="length"), "Te", "", "length", id="cut"),
        pytest.param(chat([{"type": "text", "text": "Tea"}, {"type": "text", "text": "."}]), "Tea.", "", "stop",
                     id="parts"),
        pytest.param(chat("Tea.", finish_reason=None), "Tea.", "", "stop", id="no reason"),
        pytest.param(chat("Tea.", usage=None), "Tea.", "", "stop", id="no usage"),
        pytest.param(chat("Tea.", usage={"prompt_tokens": "many"}), "Tea.", "", "stop", id="strange usage"),
        pytest.param(chat("Tea.", usage=[1]), "Tea.", "", "stop", id="usage that is a list"),
    ],
)  # fmt: skip
def test_a_text_is_split_from_its_reasoning(reply: Reply, text: str, reasoning: str, reason: str) -> None:
    output = generate_text.advance({"model": WRITER, "prompt": "Hi"}, (reply,))

    assert isinstance(output, Output)
    assert (output.values["text"], output.values["reasoning"], output.values["finish_reason"]) == (
        text,
        reasoning,
        reason,
    )
    assert output.scope()["cost"] == 0.01


def test_the_tokens_of_an_answer_are_counted() -> None:
    usage = {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5, "details": {}}

    output = generate_text.advance({"model": WRITER, "prompt": "Hi"}, (chat("Tea.", usage=usage),))

    assert isinstance(output, Output)
    assert output.values["usage"] == {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}


@pytest.mark.parametrize(
    ("reply", "words", "kept"),
    [
        pytest.param(chat(""), "no text: finish_reason is stop", None, id="empty"),
        pytest.param(chat(None), "no text: finish_reason is stop", None, id="null"),
        pytest.param(chat(" \n "), "no text", None, id="blank"),
        pytest.param(chat("<think>hm", finish_reason="length"), "all of max_tokens on thinking; raise max_tokens", "hm",
                     id="thinking cut"),
        pytest.param(chat("", finish_reason="content_filter"), "finish_reason is content_filter", None, id="filtered"),
        pytest.param(Reply({}), "no chat completion", "{}", id="not a completion"),
        pytest.param(Reply({"choices": []}), "no chat completion", "{'choices': []}", id="no choice"),
        pytest.param(Reply("tea"), "no chat completion", "tea", id="a text"),
        pytest.param(Reply(None), "no chat completion", "None", id="nothing"),
        pytest.param(Reply({"choices": [{"message": None}]}), "no chat completion", "{'choices': [{'message': None}]}",
                     id="no message"),
        pytest.param(chat(5), "no chat completion", None, id="a number"),
    ],
)  # fmt: skip
def test_an_answer_without_text_is_a_bad_output(reply: Reply, words: str, kept: str | None) -> None:
    with pytest.raises(BadOutput) as caught:
        generate_text.advance({"model": WRITER, "prompt": "Hi"}, (reply,))

    assert words in str(caught.value)
    assert kept is None or caught.value.keep == kept


# -- pictures ---------------------------------------------------------------------------------------


def test_a_picture_is_asked_for_in_one_job() -> None:
    params = {
        "model": PAINTER,
        "prompt": "tea",
        "aspect_ratio": "4:3",
        "seed": 7,
        "options": {"num_inference_steps": 2},
    }

    call = generate_image.advance(params, ())

    assert isinstance(call, Job)
    assert call.input == {"prompt": "tea", "width": 1024, "height": 768, "seed": 7, "num_inference_steps": 2}
    assert (call.kind, call.endpoint, call.media) == ("generate_image@1", "black-forest-labs-flux-1-schnell", "image")


@pytest.mark.parametrize(
    ("found", "params", "sent"),
    [
        pytest.param(EDITOR, {"image": PHOTO}, {"image": PHOTO}, id="one for one"),
        pytest.param(EDITOR, {"images": [PHOTO]}, {"image": PHOTO}, id="a list of one for one"),
        pytest.param(MIXER, {"image": PHOTO}, {"images": [PHOTO]}, id="one for several"),
        pytest.param(MIXER, {"image": PHOTO, "images": [PHOTO]}, {"images": [PHOTO, PHOTO]}, id="both for several"),
        pytest.param(private("abc123def456", "edit_image"), {"image": PHOTO}, {"image": PHOTO}, id="private, one"),
        pytest.param(private("abc123def456", "edit_image"), {"images": [PHOTO, PHOTO]}, {"images": [PHOTO, PHOTO]},
                     id="private, several"),
    ],
)  # fmt: skip
def test_an_edit_sends_its_pictures_as_the_model_takes_them(found: Model, params: Any, sent: dict[str, Any]) -> None:
    call = edit_image.advance({"model": found, "prompt": "warmer", **params}, ())

    assert isinstance(call, Job)
    assert call.input == {"prompt": "warmer", **sent}


def test_an_edit_of_too_many_pictures_is_not_sent() -> None:
    with pytest.raises(BadParams, match="takes at most 1 picture, not 2"):
        edit_image.advance({"model": EDITOR, "prompt": "x", "images": [PHOTO, PHOTO]}, ())


@pytest.mark.parametrize("kind", [generate_image, edit_image], ids=lambda kind: kind.NAME)
def test_a_picture_comes_out(kind: Any) -> None:
    output = kind.advance({"model": PAINTER, "prompt": "x", "seed": 7}, (Reply({}, (SOUND, PHOTO), 0.02),))

    assert output.scope() == {"image": PHOTO, "seed": 7, "model": PAINTER.id, "cost": 0.02}


@pytest.mark.parametrize("files", [(), (SOUND,)], ids=["nothing", "a sound"])
def test_a_reply_without_a_picture_is_a_bad_output(files: tuple[Artifact, ...]) -> None:
    with pytest.raises(BadOutput, match="the reply holds no picture"):
        generate_image.advance({"model": PAINTER, "prompt": "x"}, (Reply({}, files),))


@pytest.mark.parametrize(
    ("kind", "params", "words"),
    [
        (generate_image, {"model": PAINTER, "prompt": "x", "steps": 99}, "steps cannot be 99. It can be 1 to 8."),
        (generate_image, {"model": PAINTER, "prompt": "x", "size": "7x7"}, "has no size 7x7"),
        (generate_text, {"model": WRITER, "prompt": "x", "temperature": 2}, "temperature cannot be 2."),
    ],
    ids=["steps", "size", "temperature"],
)
def test_a_value_known_only_at_run_time_is_checked_before_it_is_sent(kind: Any, params: Any, words: str) -> None:
    with pytest.raises(BadParams, match=words):
        kind.advance(params, ())


@pytest.mark.parametrize("param", ["size", "aspect_ratio", "output_format"])
def test_of_a_long_value_that_is_none_only_the_begin_is_told(param: str) -> None:
    with pytest.raises(BadParams) as raised:
        generate_image.advance({"model": PAINTER, "prompt": "x", param: "as wide as it is high " * 99}, ())

    assert "as wide as it is high as wide" in str(raised.value)
    assert len(str(raised.value)) < 250


# -- parse_json -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "data", "repairs"),
    [
        pytest.param('{"a": 1}', {"a": 1}, [], id="object"),
        pytest.param(" \n[1, 2]\n", [1, 2], [], id="list"),
        pytest.param("42", 42, [], id="number"),
        pytest.param('"tea"', "tea", [], id="text"),
        pytest.param("null", None, [], id="null"),
        pytest.param('```json\n{"a": 1}\n```', {"a": 1}, ["took it out of a code fence"], id="fence"),
        pytest.param("Here:\n```\n[1]\n```\nEnjoy!", [1], ["took it out of a code fence"], id="fence in prose"),
        pytest.param('<think>{"b": 2}</think>{"a": 1}', {"a": 1}, ["left out what the model thought"], id="think"),
        pytest.param('Sure! {"a": 1} Enjoy.', {"a": 1}, ["left out the text around it"], id="prose"),
        pytest.param('Use {x} like {"a": 1}', {"a": 1}, ["left out the text around it"], id="a brace in prose"),
        pytest.param('{"a": "```json\\n1\\n```"}', {"a": "```json\n1\n```"}, [], id="a fence in a text"),
        pytest.param('{"a": "<think>x</think>"}', {"a": ""}, ["left out what the model thought"], id="think in a text"),
        pytest.param('{"a": 1.50, "é": "日本"}', {"a": 1.5, "é": "日本"}, [], id="letters"),
        pytest.param('{"a": "\\ud83d\\ude00"}', {"a": "😀"}, [], id="surrogates in pairs"),
        pytest.param('hm </think> {"a": 1}', {"a": 1}, ["left out what the model thought"], id="think closed only"),
        pytest.param('{"a": 1,}', {"a": 1}, ["left out ,"], id="a comma too many"),
        pytest.param('{"a": 1 "b": 2}', {"a": 1, "b": 2}, ["added ,"], id="a comma too few"),
        pytest.param("{'a': 1}", {"a": 1}, ['put "a" for \'a\''], id="single quotes"),
        pytest.param("{a: True}", {"a": True}, ['put "a" for a', "put true for True"], id="Python"),
        pytest.param('{"a": 1 // one\n}', {"a": 1}, ["left out a comment"], id="a comment"),
        pytest.param('{"a": "say "hi", ok"}', {"a": 'say "hi", ok'},
                     ['put "say \\"hi\\", ok" for "say "hi", ok"'], id="quotes in a text"),
        pytest.param("```json\n[1,]\n```", [1], ["took it out of a code fence", "left out ,"], id="mended in a fence"),
        pytest.param('So: {"a": [1],} [x]', {"a": [1]}, ["left out the text around it", "left out ,"],
                     id="mended in prose"),
        pytest.param("[" + ",".join(f"{{k{n}: 1}}" for n in range(8)) + "]", [{f"k{n}": 1} for n in range(8)],
                     [*(f'put "k{n}" for k{n}' for n in range(5)), "mended 3 more"], id="much to mend"),
        pytest.param(str([{"a": n} for n in range(3000)]), [{"a": n} for n in range(3000)],
                     ["mended its punctuation"], id="very much to mend"),
    ],
)  # fmt: skip
def test_json_is_found_in_a_text(text: str, data: Any, repairs: list[str]) -> None:
    output = parse_json.advance({"text": text}, ())

    assert isinstance(output, Output)
    assert output.values == {"data": data, "repairs": repairs}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        pytest.param("", "there is no JSON: the text is empty", id="empty"),
        pytest.param("<think>hm</think>", "the text is empty", id="only a thought"),
        pytest.param("Sorry, no.", "there is no JSON in the text, which begins: 'Sorry, no.'", id="prose"),
        pytest.param('{"a": NaN}', "NaN is not JSON", id="NaN"),
        pytest.param('{"a": -Infinity}', "is not JSON", id="infinity"),
        pytest.param('{"a": [1, 2', "ends in the middle of its JSON", id="cut"),
        pytest.param('{"a": "te', "ends in the middle of its JSON", id="cut in a text"),
        pytest.param('```json\n{"a": 1,\n```', "ends in the middle of its JSON", id="cut in a fence"),
        pytest.param('{"a": "b" "c"}', "▶ '\"c\"}'", id="two values"),
        pytest.param('{"a": [1, 2, ...]}', "line 1, column 14", id="something left out"),
        pytest.param("[see below] {'a': 1, ...}", "line 1, column 14", id="a bracket in prose before it"),
        pytest.param("[" * 100_000, "nested too deeply", id="deep"),
        pytest.param('{"a":' * 5000 + "1" + "}" * 5000, "nested too deeply", id="deep and closed"),
        pytest.param('{"a": ' + "9" * 5000 + "}", "a number is too long", id="a long number"),
        pytest.param('{"a": "\\ud83d"}', "half of a character", id="half a character"),
    ],
)  # fmt: skip
def test_what_is_no_json_is_shown_where_it_stops(text: str, words: str) -> None:
    with pytest.raises(BadOutput) as caught:
        parse_json.advance({"text": text}, ())

    assert words in str(caught.value)
    assert caught.value.keep == text


@pytest.mark.parametrize(
    "text",
    ['{"a": 1,}', "```json\n{'a': 1}\n```", 'So: {"a": [1],}'],
    ids=["a comma", "quotes in a fence", "a list inside"],
)
def test_a_strict_step_mends_nothing(text: str) -> None:
    with pytest.raises(BadOutput, match="the text is not JSON at line"):
        parse_json.advance({"text": text, "strict": True}, ())


def test_a_strict_step_still_finds_json_in_a_fence_and_in_prose() -> None:
    output = parse_json.advance({"text": 'So:\n```json\n{"a": 1}\n```', "strict": True}, ())

    assert isinstance(output, Output)
    assert output.values["data"] == {"a": 1}


def test_of_several_values_in_a_text_the_one_that_fits_the_schema_is_meant() -> None:
    text = 'For example {"title": 5}. Here: {"title": "tea"}'

    output = parse_json.advance({"text": text, "schema": {"properties": {"title": {"type": "string"}}}}, ())

    assert isinstance(output, Output)
    assert output.values["data"] == {"title": "tea"}


def test_what_was_cut_off_is_told_apart_from_what_is_wrong() -> None:
    with pytest.raises(Truncated, match=r"raise max_tokens of the step that wrote it\. To have"):
        parse_json.advance({"text": "{'a': [1, 2"}, ())


SCHEMA = {
    "type": "object",
    "required": ["title", "parts"],
    "properties": {
        "title": {"type": "string", "maxLength": 5, "minLength": 1},
        "leaf": {"enum": ["green", "black"]},
        "count": {"type": ["integer", "null"], "minimum": 1},
        "parts": {"type": "array", "minItems": 1, "maxItems": 2, "items": {
            "type": "object", "required": ["name"], "properties": {"name": {"type": "string"}}}},
    },
}  # fmt: skip


@pytest.mark.parametrize(
    ("data", "words"),
    [
        ([], "data: expected object, found []"),
        ({"parts": [{"name": "a"}]}, "data: expected 'title', which is missing"),
        ({"title": "teapot", "parts": [{"name": "a"}]}, 'data.title: expected at most 5 characters, found 6: "teapot"'),
        ({"title": "", "parts": [{"name": "a"}]}, "data.title: expected at least 1 character, found 0"),
        ({"title": 5, "parts": [{"name": "a"}]}, "data.title: expected string, found 5"),
        ({"title": "a", "parts": []}, "data.parts: expected at least 1 item, found 0"),
        ({"title": "a", "parts": [{"name": "a"}] * 3}, "data.parts: expected at most 2 items, found 3"),
        ({"title": "a", "parts": [{"name": "a"}, {}]}, "data.parts[1]: expected 'name', which is missing"),
        ({"title": "a", "parts": [{"name": 1}]}, "data.parts[0].name: expected string, found 1, near '\"name\": 1"),
        ({"title": "a", "parts": [{"name": "a"}], "leaf": "red"}, "data.leaf: expected one of ['green', 'black']"),
        ({"title": "a", "parts": [{"name": "a"}], "count": "x"}, 'data.count: expected integer or null, found "x"'),
        ({"title": "a", "parts": [{"name": "a"}], "count": 0}, "0 is less than the minimum of 1"),
        ({"title": 1, "leaf": 2, "count": 0, "parts": 3}, "(and 1 more)"),
    ],
)  # fmt: skip
def test_a_mismatch_names_the_path_and_what_was_expected(data: Any, words: str) -> None:
    text = json.dumps(data)

    with pytest.raises(BadOutput) as caught:
        parse_json.advance({"text": text, "schema": SCHEMA}, ())

    assert str(caught.value).startswith("the JSON does not match the schema: ")
    assert words in str(caught.value)
    assert caught.value.keep == text


def test_json_too_deep_for_its_schema_is_a_bad_output() -> None:
    text = "[" * 300 + "]" * 300

    with pytest.raises(StepError, match="nested too deeply"):
        parse_json.advance({"text": text, "schema": {"items": {"$ref": "#"}}}, ())


# -- all of them ------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", KINDS)
def test_a_kind_keeps_its_contract(name: str) -> None:
    kind = KINDS[name]

    shape = kind.output({})

    assert name == kind.NAME
    assert {"model", "cost"} <= set(shape["properties"])
    assert all(schema.get("description") for schema in kind.PARAMS.values())
    assert {param for group in kind.REQUIRED for param in group} <= set(kind.PARAMS)


@pytest.mark.parametrize(
    ("wanted", "value", "fitted"),
    [
        ({"type": "string"}, 5, "5"),
        ({"type": "string"}, ["a"], '["a"]'),
        ({"type": "integer"}, 5, 5),
        ({"type": "number"}, 5, 5),
        ({"type": "boolean"}, True, True),
        ({"type": "array", "items": {"type": "string"}}, [1, "a"], ["1", "a"]),
        ({"type": "object"}, {"a": 1}, {"a": 1}),
        ({"artifact": "image"}, PHOTO, PHOTO),
        ({"artifact": "file"}, SOUND, SOUND),
    ],
)
def test_a_rendered_value_is_fitted(wanted: Any, value: Any, fitted: Any) -> None:
    assert fit("seed", wanted, value) == fitted


@pytest.mark.parametrize(
    ("wanted", "value", "words"),
    [
        ({"type": "integer"}, "5", "seed must be an integer; the template yields the text 5"),
        ({"type": "integer"}, True, "seed must be an integer"),
        ({"type": "integer"}, 1.5, "seed must be an integer"),
        ({"type": "integer", "minimum": 1, "maximum": 8}, 9, "seed cannot be 9; it must be 1 to 8"),
        ({"type": "integer", "minimum": 1}, 0, "it must be at least 1"),
        ({"type": "boolean"}, 1, "seed must be true or false"),
        ({"type": "array", "items": {"type": "string"}}, "a", "seed must be a list"),
        ({"type": "array", "items": {"type": "integer"}}, ["a"], "seed[0] must be an integer"),
        ({"type": "string", "enum": ["png"]}, "gif", "seed cannot be 'gif'; it can be png"),
        ({"type": "string"}, None, "the value is null"),
        ({"type": "string"}, PHOTO, "a file has no text"),
        ({"artifact": "image"}, "a.png", "seed needs an image; the template yields the text a.png"),
        ({"artifact": "image"}, None, "seed needs an image; the template yields null"),
        ({"type": "integer"}, None, "seed must be an integer; the template yields null"),
        ({"type": "array", "items": {"artifact": "image"}, "minItems": 1}, [], "seed needs an image or several"),
        ({"artifact": "image"}, SOUND, "seed needs an image; the template yields audio/mpeg"),
    ],
)
def test_a_value_that_does_not_fit_says_why(wanted: Any, value: Any, words: str) -> None:
    with pytest.raises(TemplateFailed) as caught:
        fit("seed", wanted, value)

    assert words in str(caught.value)
