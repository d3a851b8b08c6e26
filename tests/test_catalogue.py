"""The catalogue: what is known of each model, how it is sent, what it costs, what it refuses."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from runner.catalogue import Catalogue, Model, builtin, private, read
from runner.kinds import KINDS

FACTS = Path(__file__).parents[2] / "shared" / "runpod" / "models.yaml"
GUIDE = {
    "deep-cogito/deep-cogito-v2-llama-70b": "generate_text",
    "qwen/qwen3-32b-awq": "generate_text",
    "bytedance/seedream-3.0": "generate_image",
    "bytedance/seedream-4.0": "generate_image",
    "bytedance/seedream-4.0-edit": "edit_image",
    "black-forest-labs/flux-1-schnell": "generate_image",
    "black-forest-labs/flux-1-dev": "generate_image",
    "black-forest-labs/flux-1-kontext-dev": "edit_image",
    "qwen/qwen-image": "generate_image",
    "qwen/qwen-image-edit": "edit_image",
}
MODELS = {found.id: found.kind for found in builtin().models.values()}
KINDS_OF_FACTS = {"text": "generate_text", "image": "generate_image", "image-edit": "edit_image"}
OWN = {"prompt", "image", "images", "size", "width", "height", "aspect_ratio"}
BEYOND_THE_PAGE = {"seed", "presence_penalty", "frequency_penalty"}
"""Params of the OpenAI route, which the pages of text models do not list."""


def model(name: str) -> Model:
    found = builtin().find(name)
    assert found is not None
    return found


@pytest.fixture(scope="module")
def facts() -> dict[str, Any]:
    if not FACTS.exists():
        pytest.skip("the facts about Runpod are not part of the checkout")
    return {row["id"]: row for row in yaml.load(FACTS.read_text(encoding="utf-8"), yaml.CSafeLoader)["models"]}


def test_the_ten_models_of_the_guide_are_there() -> None:
    assert MODELS.items() >= GUIDE.items()


def test_every_model_that_is_documented_is_there(facts: dict[str, Any]) -> None:
    variants = {known.id for known in builtin().models.values() if known.variant_of}

    assert set(MODELS) - variants == set(facts)


@pytest.mark.parametrize("name", GUIDE)
def test_a_model_is_as_it_is_documented(name: str, facts: dict[str, Any]) -> None:
    row, known = facts[name], model(name)

    assert (known.endpoint, known.name, known.status) == (row["endpoint"], row["name"], row["status"])
    assert known.kind == KINDS_OF_FACTS[row["kind"]]
    assert (known.price.usd if known.price else None, known.price.per if known.price else None) == (
        row["price"]["amount"],
        row["price"]["unit"],
    )
    if row["text"]:
        assert (known.openai_model, known.context) == (row["text"]["openai_model"], row["text"]["context_length"])
    assert known.images.get("wire") == row["image_field"]
    assert known.images.get("maximum") == (row["max_input_images"] or None)


@pytest.mark.parametrize("name", GUIDE)
def test_the_params_of_a_model_are_those_of_its_page(name: str, facts: dict[str, Any]) -> None:
    documented = {row["name"]: row for row in facts[name]["input"] if row["name"] not in OWN}
    known = {str(rule.get("wire", word)): rule for word, rule in model(name).params.items() if word not in OWN}

    if facts[name]["kind"] == "text":
        known = {wire: rule for wire, rule in known.items() if wire not in BEYOND_THE_PAGE}

    assert set(known) == set(documented)
    for wire, rule in known.items():
        row = documented[wire]
        if wire in ("max_tokens", "top_p", "top_k", "stop"):
            continue  # bounds of the OpenAI route; its default of 512 is not used: generate_text sends its own
        limits = (rule.get("minimum"), rule.get("maximum"), rule.get("enum") and sorted(rule["enum"]))
        assert limits == (row["min"], row["max"], row["enum"] and sorted(row["enum"])), wire
        default = None if row["default"] == -1 else row["default"]
        assert rule.get("default") == default, wire


@pytest.mark.parametrize("name", [name for name, kind in GUIDE.items() if kind != "generate_text"])
def test_the_sizes_of_a_model_are_documented_or_what_the_provider_sends(name: str, facts: dict[str, Any]) -> None:
    sizes, rule = facts[name]["sizes"], model(name).params["size"]
    rows = {row["name"]: row for row in facts[name]["input"]}

    wire = rule["wire"] if isinstance(rule["wire"], str) else "+".join(rule["wire"])
    assert wire == sizes["wire_field"].removesuffix(" (provider only)")
    if "rule" in rule:
        page = rows["width"]
        assert rule["rule"] == {"minimum": page["min"], "maximum": page["max"], "multiple_of": page["multiple_of"]}
    else:
        assert {size.replace("x", "*") for size in rule["enum"]} == set(sizes["provider_options"])
    if sizes["docs_default"]:
        assert rule["default"].replace("x", "*") == sizes["docs_default"].replace("x", "*")


@pytest.mark.parametrize("name", [name for name, kind in GUIDE.items() if kind != "generate_text"])
def test_every_size_that_a_ratio_selects_is_one_that_the_model_has(name: str) -> None:
    known = model(name)

    for ratio in known.params["aspect_ratio"]["sizes"]:
        width, height = known.size({"aspect_ratio": ratio}) or (0, 0)
        across, down = map(int, ratio.split(":"))

        assert list(known.wrong({"size": f"{width}x{height}"})) == []
        assert width / height == pytest.approx(across / down, rel=0.04)


@pytest.mark.parametrize("name", ["black-forest-labs/flux-1-schnell", "black-forest-labs/flux-1-dev"])
def test_flux_takes_sizes_of_its_page_where_the_provider_sends_others(name: str) -> None:
    """The provider sends 1328*1328 for 1:1, which is no multiple of 64: the page wins."""
    assert model(name).size({"aspect_ratio": "1:1"}) == (1024, 1024)
    assert [wrong.param for wrong in model(name).wrong({"size": "1328x1328"})] == ["size"]


def test_the_chat_models_take_what_the_openai_route_takes_beyond_their_pages() -> None:
    assert set(model("qwen/qwen3-32b-awq").params) >= BEYOND_THE_PAGE


@pytest.mark.parametrize(
    ("name", "params", "sent"),
    [
        pytest.param(
            "black-forest-labs/flux-1-schnell",
            {"prompt": "tea", "size": "1024x768", "steps": 4, "guidance": 7, "seed": 7, "output_format": "png",
             "negative_prompt": "text"},
            {"prompt": "tea", "width": 1024, "height": 768, "num_inference_steps": 4, "guidance": 7, "seed": 7,
             "image_format": "png", "negative_prompt": "text"},
            id="flux-1-schnell",
        ),
        pytest.param(
            "black-forest-labs/flux-1-dev",
            {"prompt": "tea", "aspect_ratio": "3:4"},
            {"prompt": "tea", "width": 768, "height": 1024},
            id="flux-1-dev",
        ),
        pytest.param(
            "black-forest-labs/flux-1-kontext-dev",
            {"prompt": "tea", "size": "1024*1024", "output_format": "png", "safety_checker": False, "steps": 28},
            {"prompt": "tea", "size": "1024*1024", "output_format": "png", "enable_safety_checker": False,
             "num_inference_steps": 28},
            id="flux-1-kontext-dev",
        ),
        pytest.param(
            "qwen/qwen-image",
            {"prompt": "tea", "aspect_ratio": "4:3", "seed": 1},
            {"prompt": "tea", "size": "1472*1140", "seed": 1},
            id="qwen-image",
        ),
        pytest.param(
            "qwen/qwen-image-edit", {"prompt": "tea", "size": "768x512"}, {"prompt": "tea", "size": "768*512"},
            id="qwen-image-edit",
        ),
        pytest.param(
            "bytedance/seedream-3.0", {"prompt": "tea", "size": "1024*1024"}, {"prompt": "tea", "size": "1024x1024"},
            id="seedream-3.0",
        ),
        pytest.param(
            "bytedance/seedream-4.0", {"prompt": "tea", "safety_checker": True},
            {"prompt": "tea", "enable_safety_checker": True}, id="seedream-4.0",
        ),
        pytest.param(
            "bytedance/seedream-4.0-edit", {"prompt": "tea", "aspect_ratio": "1:1"},
            {"prompt": "tea", "size": "1328*1328"}, id="seedream-4.0-edit",
        ),
        pytest.param(
            "qwen/qwen3-32b-awq", {"max_tokens": 9, "temperature": 0.5, "stop": ["."]},
            {"max_tokens": 9, "temperature": 0.5, "stop": ["."]}, id="qwen3-32b-awq",
        ),
        pytest.param(
            "deep-cogito/deep-cogito-v2-llama-70b", {"top_k": 5}, {"top_k": 5}, id="deep-cogito",
        ),
    ],
)  # fmt: skip
def test_params_are_sent_in_the_words_of_the_model(name: str, params: dict[str, Any], sent: dict[str, Any]) -> None:
    assert list(model(name).wrong({k: v for k, v in params.items() if k != "prompt"})) == []
    assert model(name).wire(params) == sent


def test_an_unknown_model_takes_any_param_as_it_is() -> None:
    found = private("abc123def456", "generate_image")

    assert found is not None
    assert list(found.wrong({"anything": 1, "size": "huge"})) == []
    assert found.wire({"anything": 1, "size": "640x480", "aspect_ratio": "16:9"}) == {
        "anything": 1,
        "size": "640*480",
        "aspect_ratio": "16:9",
    }


@pytest.mark.parametrize(
    ("name", "params", "length", "usd"),
    [
        ("qwen/qwen-image", {}, 0, 0.02),
        ("qwen/qwen-image", {"size": "4096x4096"}, 0, 0.02),
        ("black-forest-labs/flux-1-schnell", {}, 0, 0.00251658),
        ("black-forest-labs/flux-1-schnell", {"size": "512x512"}, 0, 0.00062915),
        ("black-forest-labs/flux-1-schnell", {"aspect_ratio": "4:3"}, 0, 0.00188744),
        ("black-forest-labs/flux-1-schnell", {"options": {"width": 1536}}, 0, 0.00566231),
        ("black-forest-labs/flux-1-dev", {}, 0, 0.02097152),
        ("qwen/qwen3-32b-awq", {"max_tokens": 1000}, 0, 0.01),
        ("qwen/qwen3-32b-awq", {"max_tokens": 1000}, 3000, 0.02),
        ("deep-cogito/deep-cogito-v2-llama-70b", {"max_tokens": 1000}, 0, None),
    ],
)
def test_a_call_costs_at_most(name: str, params: dict[str, Any], length: int, usd: float | None) -> None:
    assert model(name).cost(params, length) == (None if usd is None else pytest.approx(usd, rel=1e-4))


@pytest.mark.parametrize(
    ("name", "usd"),
    [
        ("qwen/qwen-image", 0.02),
        ("black-forest-labs/flux-1-dev", 0.02 * 1536**2 / 1e6),
        ("qwen/qwen3-32b-awq", 10 * 32768 / 1e6),
        ("deep-cogito/deep-cogito-v2-llama-70b", None),
    ],
)
def test_any_call_costs_at_most(name: str, usd: float | None) -> None:
    assert model(name).most == (None if usd is None else pytest.approx(usd))


@pytest.mark.parametrize(
    ("name", "params", "param", "words"),
    [
        ("qwen/qwen-image", {"steps": 4}, "steps", "takes no steps. It takes: negative_prompt, size"),
        ("qwen/qwen-image", {"size": "1000x1000"}, "size", "no size 1000x1000. It has 1024x1024"),
        ("black-forest-labs/flux-1-dev", {"size": "1000x1000"}, "size", "256 to 1536 pixels, a multiple of 64"),
        ("black-forest-labs/flux-1-dev", {"size": "64x64"}, "size", "256 to 1536 pixels"),
        ("black-forest-labs/flux-1-dev", {"size": "wide"}, "size", "wide is not a size. Write WIDTHxHEIGHT"),
        ("black-forest-labs/flux-1-dev", {"aspect_ratio": "16:9"}, "aspect_ratio", "1:1, 4:3, 3:4. Or give a size."),
        ("qwen/qwen-image", {"aspect_ratio": "16:9"}, "aspect_ratio", "It has 1:1, 4:3, 3:4."),
        ("black-forest-labs/flux-1-dev", {"steps": 51}, "steps", "steps cannot be 51. It can be 1 to 50."),
        ("black-forest-labs/flux-1-dev", {"guidance": -1}, "guidance", "It can be 0 to 10."),
        ("black-forest-labs/flux-1-dev", {"output_format": "webp"}, "output_format", "It can be png, jpeg."),
        ("qwen/qwen3-32b-awq", {"temperature": 1.1}, "temperature", "It can be 0 to 1."),
        ("qwen/qwen3-32b-awq", {"max_tokens": 0}, "max_tokens", "It can be at least 1."),
        (
            "qwen/qwen-image", {"size": "1024x1024", "aspect_ratio": "1:1"}, "aspect_ratio", "Keep one of them.",
        ),
    ],
)  # fmt: skip
def test_a_model_says_what_it_does_not_take(name: str, params: dict[str, Any], param: str, words: str) -> None:
    found = list(model(name).wrong(params))

    assert [wrong.param for wrong in found] == [param]
    assert words in f"{found[0].message} {found[0].instead}"


@pytest.mark.parametrize(
    ("name", "model_id"),
    [
        ("qwen/qwen-image", "qwen/qwen-image"),
        ("qwen-image-t2i", "qwen/qwen-image"),
        ("Qwen/Qwen3-32B-AWQ", "qwen/qwen3-32b-awq"),
        ("qwen/qwen-imag", None),
    ],
)
def test_a_model_is_found_by_its_names(name: str, model_id: str | None) -> None:
    found = builtin().find(name)

    assert (found.id if found else None) == model_id


@pytest.mark.parametrize(
    ("name", "endpoint"),
    [
        ("abc123def456", "abc123def456"),
        ("https://console.runpod.io/serverless/user/endpoint/abc123def456", "abc123def456"),
        ("https://console.runpod.io/serverless/user/endpoint/abc123def456/?tab=logs", "abc123def456"),
        ("https://console.runpod.io.evil.com/serverless/user/endpoint/abc123def456", None),
        ("http://console.runpod.io/serverless/user/endpoint/abc123def456", None),
        ("https://example.com/v2/abc123def456/run", None),
        ("painter", None),
        ("../abc123def456", None),
        ("abc123def456/../x", None),
        ("abc123def456\n", None),
    ],
)
def test_only_an_endpoint_of_runpod_is_private(name: str, endpoint: str | None) -> None:
    found = private(name, "generate_image")

    assert (found.endpoint if found else None) == endpoint


def test_the_nearest_models_of_the_kind_come_first() -> None:
    near = builtin().near("flux-1-schnel", "generate_image")

    assert near[0] == "black-forest-labs/flux-1-schnell"
    assert all(model(name).serves("generate_image") for name in near)


def test_a_row_is_read() -> None:
    text = "a/b: {name: B, kind: generate_image, endpoint: b, price: {usd: 1, per: image}, aliases: [bee]}"
    (found,) = read(yaml.safe_load(text), "x.yaml")

    assert Catalogue({found.id: found}).find("bee") is found
    assert found.cost({}) == 1.0


@pytest.mark.parametrize("name", MODELS)
def test_every_param_of_a_model_is_one_that_its_kind_takes(name: str) -> None:
    known = model(name)

    assert {*known.params, *known.files} <= set(KINDS[known.kind].PARAMS)


@pytest.mark.parametrize("name", MODELS)
def test_what_replaces_a_removed_model_is_there(name: str) -> None:
    known = model(name)

    others = [other for other in builtin().of_kind(known.kind) if other.status == "listed"]
    assert (known.status == "removed" and others != []) == bool(known.successor)
    assert not known.successor or model(known.successor).status == "listed"


def test_no_code_knows_a_model_by_name() -> None:
    package = Path(__file__).parents[1] / "runner"
    names = {part for known in builtin().models.values() for part in (known.id, known.endpoint, known.openai_model)}

    found = [
        (path.name, name)
        for path in package.rglob("*.py")
        for name in names - {""}
        if name in path.read_text(encoding="utf-8")
    ]

    assert found == []
