"""The catalogue: how a model is asked, what it costs, what it refuses. What it is: tests/test_catalogue_facts.py."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from runner.catalogue import Catalogue, Model, builtin, private, read
from runner.kinds import KINDS

MODELS = {found.id: found.kind for found in builtin().models.values()}


def model(name: str) -> Model:
    found = builtin().find(name)
    assert found is not None
    return found


@pytest.mark.parametrize("name", ["black-forest-labs/flux-1-schnell", "black-forest-labs/flux-1-dev"])
def test_flux_takes_sizes_of_its_page_where_the_provider_sends_others(name: str) -> None:
    """The provider sends 1328*1328 for 1:1, which is no multiple of 64: the page wins."""
    assert model(name).size({"aspect_ratio": "1:1"}) == (1024, 1024)
    assert [wrong.param for wrong in model(name).wrong({"size": "1328x1328"})] == ["size"]


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
        ("qwen/qwen3-32b-awq", {"max_tokens": 1000}, 1000, 0.02),
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
        ("https://api.runpod.ai/v2/qwen3-32b-awq/openai/v1", "qwen/qwen3-32b-awq"),
        ("https://api.runpod.ai/v2/black-forest-labs-flux-1-schnell/run", "black-forest-labs/flux-1-schnell"),
        ("https://example.com/v2/qwen3-32b-awq", None),
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
        ("https://api.runpod.ai/v2/abc123def456", "abc123def456"),
        ("https://api.runpod.ai/v2/abc123def456/", "abc123def456"),
        ("https://api.runpod.ai/v2/abc123def456/run", "abc123def456"),
        ("https://api.runpod.ai/v2/abc123def456/runsync", "abc123def456"),
        ("https://api.runpod.ai/v2/abc123def456/openai/v1", "abc123def456"),
        ("https://api.runpod.ai/v2/abc123def456/openai/v1/chat/completions", "abc123def456"),
        ("https://api.runpod.ai/v2/abc123def456/status/1", None),
        ("https://api.runpod.ai/v2/abc123def456/../x", None),
        ("https://api.runpod.ai.evil.com/v2/abc123def456/run", None),
        ("https://api.runpod.ai@evil.com/v2/abc123def456", None),
        ("http://api.runpod.ai/v2/abc123def456", None),
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
    (found,) = read(yaml.safe_load(text))

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
        if path.name != "codes.py"  # its examples are pipelines, which name models
        for name in names - {""}
        if name in path.read_text(encoding="utf-8")
    ]

    assert found == []
