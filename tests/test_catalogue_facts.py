"""Every row of the catalogue against the facts about Runpod: what is documented is there, as it is documented.

Each exception stands in a table with its reason, and each must be one.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from runner.catalogue import Model, builtin
from runner.kinds import KINDS
from runner.model import Artifact

from .conftest import SHARED

FACTS = SHARED / "runpod" / "models.yaml"
pytestmark = pytest.mark.skipif(not FACTS.exists(), reason=f"the facts {FACTS} are not there")

KIND = {"text": "generate_text", "image": "generate_image", "image-edit": "edit_image", "video": "generate_video",
        "speech": "generate_speech", "transcription": "transcribe_audio"}  # fmt: skip
TEXTS = {"prompt", "messages", "messages[].role", "messages[].content"}
"""What a kind says itself: its text."""
LENGTHS = {
    said: Artifact("ef" * 32, "video/mp4", 3, "/a.mp4", seconds=float(said[-1])) for said in ("1-3", "4-6", "7-9")
}
OUR_FILES = {"audio", "video", "last_image", "voice_url"}
"""Fields of files: words of their own."""


@functools.cache
def facts() -> dict[str, dict[str, Any]]:
    if not FACTS.exists():
        return {}
    rows = yaml.load(FACTS.read_text(encoding="utf-8"), yaml.CSafeLoader)["models"]
    return {row["id"]: row for row in rows}


def model(name: str) -> Model:
    found = builtin().find(name)
    assert found is not None
    return found


MODELS = sorted(facts())
every_model = pytest.mark.parametrize("name", MODELS)

# -- which models there are -------------------------------------------------------------------------


def test_all_43_models_are_there_and_the_variants_of_one() -> None:
    variants = {known.id for known in builtin().models.values() if known.variant_of}
    listed = {v["model"] for row in facts().values() for v in (row["text"] or {}).get("variants") or ()}

    assert len(MODELS) == 43
    assert set(builtin().models) - variants == set(MODELS)
    assert variants == listed - {known.openai_model for known in builtin().models.values() if not known.variant_of}


@every_model
def test_a_model_has_its_documented_endpoint_name_status_and_kind(name: str) -> None:
    row, known = facts()[name], model(name)

    assert (known.endpoint, known.name, known.status) == (row["endpoint"], row["name"], row["status"])
    assert known.kind == KIND[row["kind"]]
    assert ("edit_image" in known.also) == (row["kind"] == "image" and row["image_field"] is not None)


@every_model
def test_a_model_is_found_by_each_of_its_documented_names(name: str) -> None:
    assert [builtin().find(alias) for alias in facts()[name]["aliases"]] == [model(name)] * len(
        facts()[name]["aliases"]
    )


@pytest.mark.parametrize("name", [name for name in MODELS if facts()[name]["text"]])
def test_a_text_model_can_do_what_is_documented(name: str) -> None:
    text, known = facts()[name]["text"], model(name)

    assert (known.openai_model, known.context) == (text["openai_model"], text["context_length"])
    assert ("tools" in known.abilities, "reasoning" in known.abilities) == (
        bool(text["tools"]),
        bool(text["reasoning"]),
    )
    for variant in text["variants"] or ():
        one = next(m for m in builtin().models.values() if m.openai_model == variant["model"])
        assert (one.endpoint, one.context) == (known.endpoint, variant["context_length"])
        assert ("pictures" in one.abilities) == bool(variant["multimodal_input"])


# -- prices -----------------------------------------------------------------------------------------

UNPRICED = {"pruna/whisper-v3-large": "by what it wrote, which nobody knows before; its page is gone"}


@pytest.mark.parametrize("name", [name for name in MODELS if name not in UNPRICED])
def test_a_model_has_its_documented_price(name: str) -> None:
    price, known = facts()[name]["price"], model(name).price

    if price["amount"] is None:
        assert (known is None) == (not price["table"])
        return
    assert known is not None
    each, unit = (5, "second") if price["unit"] == "5_seconds" else (1, price["unit"])
    assert known.usd * each == pytest.approx(price["amount"])
    assert known.per == unit


def test_the_models_without_a_price_have_a_reason() -> None:
    assert {m.id for m in builtin().models.values() if m.price is None and facts()[m.id]["price"]["unit"]} == set(
        UNPRICED
    )


def rows() -> Iterator[Any]:
    for name in MODELS:
        for row in facts()[name]["price"]["table"]:
            yield pytest.param(name, row["when"], row["amount"], row["unit"], id=f"{name} {row['when']}")


@pytest.mark.parametrize(("name", "when", "amount", "unit"), [*rows()])
def test_a_call_costs_what_the_table_of_its_page_says(
    name: str, when: dict[str, Any], amount: float, unit: str
) -> None:
    if "variant" in when:
        price = next(m for m in builtin().models.values() if m.openai_model == when["variant"]).price
        assert price is not None
        assert (price.input if when["direction"] == "input" else price.usd) == amount
        return
    params = {word: value for key, said in when.items() for word, value in asked(name, key, said).items()}

    cost = model(name).cost({**({"duration": 1} if unit == "second" else {}), **params})

    assert cost is not None
    assert round(cost, len(str(amount).partition(".")[2])) == pytest.approx(amount)


def asked(name: str, key: str, said: Any) -> dict[str, Any]:
    """A condition of a price table in our words."""
    match key:
        case "mode":
            return {"draft": said == "draft"}
        case "size":
            return {"size": said.replace("*", "x")}
        case "duration_s" if isinstance(said, str):  # of the video that goes in
            return {"video": LENGTHS[said]}
        case "duration_s":
            assert not list(model(name).wrong({"duration": said}))
            return {"duration": said}
        case _:
            assert not list(model(name).wrong({key: said}))
            return {key: said}


# -- pictures and other files -----------------------------------------------------------------------


@every_model
def test_a_model_takes_as_many_pictures_as_its_page_says(name: str) -> None:
    row, known = facts()[name], model(name)
    ends = "last_image" in known.files

    assert known.images.get("wire") == row["image_field"]
    assert known.images.get("minimum") == (row["min_input_images"] if row["image_field"] else None)
    assert known.images.get("maximum") == ((row["max_input_images"] - ends) if row["max_input_images"] else None)


@every_model
def test_a_model_takes_the_other_files_of_its_page(name: str) -> None:
    documented = {row["name"]: row["required"] for row in facts()[name]["input"] if row["name"] in OUR_FILES}
    known = {rule["wire"]: rule.get("required", False) for rule in model(name).files.values()}
    if name == "pruna/whisper-v3-large":
        documented["audio"] = True  # or audio_base64, which is the same file without a URL

    assert known == documented


# -- parameters -------------------------------------------------------------------------------------

NOT_OURS = {
    ("google/nano-banana-2-edit", "enable_base64_output"): "a file is fetched by its URL",
    ("minimax-speech-02-hd", "default_audio_url"): "a failure is told, not played",
    ("pruna/whisper-v3-large", "audio_base64"): "the file audio, where it has no URL",
    ("pruna/whisper-v3-large", "prompt"): "an older name for initial_prompt",
    ("moonshot-kimi", "model"): "each variant is a model of its own",
}
"""What a page documents and is no word of ours."""

BEYOND = {
    ("text", "seed"): "taken by the OpenAI route of every text model",
    ("text", "presence_penalty"): "as above",
    ("text", "frequency_penalty"): "as above",
    ("text", "stop"): "as above",
    (
        "image-edit",
        "size",
    ): "the provider always sends one to qwen-image-edit, and Runpod's table has sizes for it (003)",
}
"""What is a word of ours, and not on the page of a model of this kind."""

OTHERWISE = {
    ("max_tokens", "default"): "a chat sends its own: 512 cuts answers (002)",
    ("max_tokens", "min"): "less than one token is none",
    ("top_p", "min"): "a share", ("top_p", "max"): "a share",
    ("top_p", "default"): "1 changes nothing",
    ("top_k", "min"): "-1 means all",
    ("temperature", "min"): "vLLM's bounds, where the page has none", ("temperature", "max"): "as above",
    ("stop", "type"): "several, as the OpenAI route takes them",
}  # fmt: skip
"""Where a word of text models is not as on the page, which describes the endpoint's own route."""


def documented(name: str) -> dict[str, dict[str, Any]]:
    """The parameters of a page, by field: no texts, no pictures, no sides of a size, no parts of a list."""
    row = facts()[name]
    left_out = TEXTS | OUR_FILES | {row["image_field"], "width", "height"}
    if row["kind"] == "transcription":
        left_out = {"audio"}
    return {
        one["name"].removeprefix("sampling_params."): one
        for one in row["input"]
        if one["name"] not in left_out and "[]" not in one["name"]
    }


def ours(name: str) -> dict[str, tuple[str, dict[str, Any]]]:
    """Our word and rule for each field; a ratio or a resolution that only selects a size is no field."""
    return {
        str(rule.get("wire", word)): (word, dict(rule))
        for word, rule in model(name).params.items()
        if "sizes" not in rule and not isinstance(rule.get("wire"), list)
    }


def undocumented(name: str) -> set[str]:
    return set(ours(name)) - set(documented(name))


@every_model
def test_every_documented_parameter_has_a_word_and_every_word_is_documented(name: str) -> None:
    beyond = {field for kind, field in BEYOND if kind == facts()[name]["kind"]}

    assert set(documented(name)) - set(ours(name)) == {field for known, field in NOT_OURS if known == name}
    assert undocumented(name) <= beyond
    assert facts()[name]["kind"] == "text" or not undocumented(name) or name == "qwen/qwen-image-edit"


@pytest.mark.parametrize(("kind", "field"), BEYOND)
def test_every_word_beyond_the_pages_is_one(kind: str, field: str) -> None:
    assert any(field in undocumented(name) for name in MODELS if facts()[name]["kind"] == kind)


def parameters() -> Iterator[Any]:
    for name in MODELS:
        for field, row in documented(name).items():
            if field in ours(name):
                yield pytest.param(name, field, row, id=f"{name} {field}")


@pytest.mark.parametrize(("name", "field", "row"), [*parameters()])
def test_a_parameter_is_as_it_is_documented(name: str, field: str, row: dict[str, Any]) -> None:
    word, rule = ours(name)[field]
    page = {"type": row["type"], "min": row["min"], "max": row["max"], "default": row["default"],
            "enum": sorted(map(str, row["enum"] or priced(name, field, row) or provided(name, field))),
            "required": row["required"]}  # fmt: skip
    page["default"] = None if page["default"] == -1 else page["default"]

    known = {"type": rule.get("type") or KINDS[model(name).kind].PARAMS[word]["type"],
             "min": rule.get("minimum"), "max": rule.get("maximum"), "default": rule.get("default"),
             "enum": sorted(map(str, rule.get("enum", []))), "required": rule.get("required", False)}  # fmt: skip
    if rule.get("invert"):
        known["default"] = not known["default"]
    if word == "size":
        known["default"] = known["default"] and known["default"].replace("x", rule["join"])
        known["enum"] = [size.replace("x", "*") for size in known["enum"]]
    if facts()[name]["kind"] == "text":
        same = {key for key in page if (field, key) in OTHERWISE}
        page, known = ({k: v for k, v in one.items() if k not in same} for one in (page, known))

    assert known == page


@every_model
def test_each_of_several_weights_has_the_fields_of_its_page(name: str) -> None:
    parts = [row for row in facts()[name]["input"] if "loras[]." in row["name"]]

    for part in parts:
        word, _, field = part["name"].partition("[].")
        rule = KINDS[model(name).kind].PARAMS[word]["items"]
        assert (rule["properties"][field]["type"], field in rule["required"]) == (part["type"], part["required"])
    assert {part["name"].partition("[]")[0] for part in parts} == {w for w in model(name).params if "loras" in w}


def priced(name: str, field: str, row: dict[str, Any]) -> list[Any]:
    """The values that the price table names, where the page has no other list of them."""
    key = {"duration": "duration_s", "size": "resolution"}.get(field, "")
    if key == "resolution" and ours(name)[field][0] != "resolution":
        return []
    said = (one["when"].get(key) for one in facts()[name]["price"]["table"])
    return sorted({value for value in said if value is not None}) if row["min"] is None else []


def provided(name: str, field: str) -> list[str]:
    """The sizes that the provider knows, where the page names none."""
    return (facts()[name]["sizes"].get("provider_options") or []) if field == "size" else []


@pytest.mark.parametrize("word_and_key", OTHERWISE, ids=" ".join)
def test_every_exception_of_the_text_models_is_one(word_and_key: tuple[str, str]) -> None:
    field, key = word_and_key
    names = {"min": "minimum", "max": "maximum"}
    differs = [
        name
        for name in MODELS
        if facts()[name]["kind"] == "text" and field in documented(name) and field in ours(name)
        and ours(name)[field][1].get(names.get(key, key)) != documented(name)[field][key]
    ]  # fmt: skip

    assert differs


# -- sizes ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name", [name for name in MODELS if isinstance(model(name).params.get("size", {}).get("wire"), list)]
)
def test_a_size_of_two_fields_keeps_the_rule_of_its_page(name: str) -> None:
    page, rule = {row["name"]: row for row in facts()[name]["input"]}, model(name).params["size"]

    assert rule["wire"] == ["width", "height"]
    for side in rule["wire"]:
        limits = (page[side]["min"], page[side]["max"], page[side]["multiple_of"], page[side]["default"])
        assert (*rule["rule"].values(), int(rule["default"].split("x")[0])) == limits


@every_model
def test_every_size_that_a_ratio_or_a_resolution_selects_is_one_that_the_model_has(name: str) -> None:
    known = model(name)

    for word in ("aspect_ratio", "resolution"):
        for said in known.params.get(word, {}).get("sizes", {}):
            width, height = known.size({word: said}) or (0, 0)
            assert list(known.wrong({"size": f"{width}x{height}"})) == []
            if word == "resolution":
                assert f"{min(width, height)}p" == said
            else:
                across, down = map(int, said.split(":"))
                assert width / height == pytest.approx(across / down, rel=0.04)
