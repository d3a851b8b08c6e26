"""The published schema: generated, valid, complete, and in agreement with what `runner check` says."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from runner import source
from runner.kinds import KINDS
from runner.schema import pipeline_schema

ROOT = Path(__file__).parents[1]
PIPELINES = sorted(p for p in (ROOT / "pipelines").glob("*.yaml") if ".test" not in p.suffixes)


def validator() -> jsonschema.Draft202012Validator:
    return jsonschema.Draft202012Validator(pipeline_schema())


def properties(schema: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Every property that the schema declares, with its path; what examples hold is not declared."""
    if isinstance(schema, list):
        for index, inner in enumerate(schema):
            yield from properties(inner, f"{path}/{index}")
    if not isinstance(schema, dict):
        return
    for word, inner in schema.items():
        if word == "properties":
            for name, declared in inner.items():
                yield f"{path}/{name}", declared
                yield from properties(declared, f"{path}/{name}")
        elif word in ("patternProperties", "$defs"):
            for name, declared in inner.items():
                yield from properties(declared, f"{path}/{name}")
        elif word not in ("examples", "enum", "const", "default", "required", "if", "then"):
            yield from properties(inner, f"{path}/{word}")


def test_the_published_schema_is_the_one_that_the_code_makes() -> None:
    """When this fails: runner schema > schemas/pipeline.schema.json"""
    published = (ROOT / "schemas" / "pipeline.schema.json").read_text(encoding="utf-8")

    assert published == json.dumps(pipeline_schema(), indent=2, ensure_ascii=False) + "\n"


def test_the_published_schema_is_a_json_schema() -> None:
    jsonschema.Draft202012Validator.check_schema(pipeline_schema())


@pytest.mark.parametrize("path", PIPELINES, ids=lambda path: path.stem)
def test_every_pipeline_is_valid_for_an_editor(path: Path) -> None:
    data = source.parse(path.read_text(encoding="utf-8"), path.name).data

    assert list(validator().iter_errors(data)) == []


@pytest.mark.parametrize("path", PIPELINES, ids=lambda path: path.stem)
def test_every_pipeline_names_the_schema_for_its_editor(path: Path) -> None:
    first = path.read_text(encoding="utf-8").split("\n")[0]

    assert first == "# yaml-language-server: $schema=../schemas/pipeline.schema.json"


def test_every_property_is_described() -> None:
    bare = [path for path, schema in properties(pipeline_schema()) if not schema.get("description")]

    assert bare == []


def test_every_example_is_valid() -> None:
    schema = pipeline_schema()
    wrong = [
        (path, example)
        for path, inner in properties(schema)
        for example in inner.get("examples", ())
        if list(jsonschema.Draft202012Validator({**inner, "$defs": schema["$defs"]}).iter_errors(example))
    ]

    assert wrong == []


@pytest.mark.parametrize("kind", KINDS)
def test_a_step_of_each_kind_has_its_own_keys(kind: str) -> None:
    step = pipeline_schema()["$defs"][kind]

    assert set(KINDS[kind].PARAMS) < set(step["properties"])
    assert ("model" in step["properties"]) == KINDS[kind].CALLS
    assert step["additionalProperties"] is False


def test_a_mistake_in_a_step_is_one_error() -> None:
    step = {"kind": "generate_image", "model": "qwen/qwen-image", "prompt": "tea", "sede": 7}

    errors = list(validator().iter_errors({"name": "tea", "steps": {"photo": step}}))

    assert len(errors) == 1
    assert "'sede' was unexpected" in errors[0].message


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("seed", 7),
        ("seed", "{{ inputs.seed }}"),
        ("prompt", {"file": "prompts/brief.md"}),
        ("timeout", "5m"),
        ("timeout", 90),
        ("retry", {"attempts": 2, "on": ["busy"]}),
        ("cache", False),
        ("needs", ["draft"]),
        ("options", {"loras": []}),
    ],
)
def test_a_value_may_be_written_in_each_of_its_ways(key: str, value: Any) -> None:
    step = {"kind": "generate_image", "model": "qwen/qwen-image", "prompt": "tea", key: value}

    assert list(validator().iter_errors({"name": "tea", "steps": {"photo": step}})) == []


@pytest.mark.parametrize(
    ("step", "fits"),
    [
        ({"kind": "generate_image", "model": "tongyi-mai/z-image-turbo", "aspect_ratio": "16:9"}, True),
        ({"kind": "generate_image", "model": "tongyi-mai/z-image-turbo", "aspect_ratio": "{{ inputs.ratio }}"}, True),
        ({"kind": "generate_image", "model": "tongyi-mai/z-image-turbo", "aspect_ratio": "21:9"}, False),
        ({"kind": "generate_image", "model": "qwen/qwen-image", "steps": 3}, False),
        ({"kind": "generate_speech", "model": "chatterbox-turbo", "voice": "lucy"}, True),
        ({"kind": "generate_speech", "model": "chatterbox-turbo", "voice": "Lucy"}, False),
        ({"kind": "generate_video", "model": "openai/sora-2-i2v", "duration": 5}, False),
        ({"kind": "generate_image", "model": "my_alias", "aspect_ratio": "21:9"}, True),
    ],
)
def test_the_published_schema_knows_what_each_model_takes(step: dict[str, Any], fits: bool) -> None:
    words = {"generate_speech": {"text": "x"}}.get(step["kind"], {"prompt": "x"})

    data = {"name": "p", "steps": {"a": {**step, **words}}}

    assert validator().is_valid(data) == fits
