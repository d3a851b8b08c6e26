"""The published schema: generated, valid, complete, and in agreement with what `runner check` says."""

import functools
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from runner import source
from runner.catalogue import Model, builtin
from runner.hints import shows
from runner.kinds import KINDS
from runner.kinds.kind import COMMON
from runner.schema import model_schema, pipeline_schema, step_schema

ROOT = Path(__file__).parents[1]
PIPELINES = sorted(p for p in (ROOT / "pipelines").glob("*.yaml") if ".test" not in p.suffixes)


@functools.cache
def validator() -> jsonschema.Draft202012Validator:
    return jsonschema.Draft202012Validator(pipeline_schema())


MESSAGES = {"deprecationMessage", "patternErrorMessage"}


def properties(schema: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Every property that the schema declares, with its path; what examples hold is not declared, and what only says
    that a value is wrong.
    """
    if isinstance(schema, list):
        for index, inner in enumerate(schema):
            yield from properties(inner, f"{path}/{index}")
    if not isinstance(schema, dict):
        return
    for word, inner in schema.items():
        if word == "properties":
            for name, declared in inner.items():
                if isinstance(declared, dict) and not (MESSAGES & declared.keys() and "type" not in declared):
                    yield f"{path}/{name}", declared
                    yield from properties(declared, f"{path}/{name}")
        elif word in ("patternProperties", "$defs"):
            for name, declared in inner.items():
                yield from properties(declared, f"{path}/{name}")
        elif word not in ("examples", "enum", "const", "default", "defaultSnippets", "required", "if", "not"):
            yield from properties(inner, f"{path}/{word}")


def written_out(schema: Any) -> Iterator[tuple[str, Any]]:
    """Every property, with what stands where it refers to."""
    for path, inner in properties(schema):
        found = schema
        for part in inner["$ref"].split("/")[1:] if "$ref" in inner else ():
            found = found[part.replace("~1", "/")]
        yield path, {**(found if "$ref" in inner else {}), **inner}


def inserted(body: Any) -> Any:
    """What a snippet's body comes to when nothing in it is changed."""
    if isinstance(body, dict):
        return {unchanged(name): inserted(inner) for name, inner in body.items()}
    if isinstance(body, list):
        return [inserted(each) for each in body]
    return source.parse(f"x: {unchanged(body)}", "snippet").data["x"]


def unchanged(text: str) -> str:
    return re.sub(r"\\([$}\\])", r"\1", re.sub(r"\$\{\d+:((?:\\.|[^}])*)\}", r"\1", text))


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
    bare = [path for path, schema in written_out(pipeline_schema()) if not schema.get("description")]

    assert bare == []


def test_every_property_has_a_title_and_shows_what_may_be_written() -> None:
    bare = [path for path, inner in written_out(pipeline_schema()) if not inner.get("title") or not shows(inner)]

    assert bare == []


@pytest.mark.parametrize(
    ("step", "fits"),
    [
        ({"seed": 7}, True),
        ({"seed": "{{ inputs.seed }}"}, True),
        ({"seed": "seven"}, False),
        ({"seed": -1}, False),
        ({"foreach": ["a"]}, True),
        ({"foreach": "{{ inputs.names }}"}, True),
        ({"foreach": "a"}, False),
        ({"when": True}, True),
        ({"when": "{{ inputs.wanted }}"}, True),
        ({"when": 1}, False),
        ({"budget": {"images": 3}}, True),
        ({"budget": {"on_exceed": "skip"}}, False),
        ({"budget": {}}, False),
    ],
)
def test_what_editors_are_told_beside_the_schema_changes_nothing_that_it_demands(step: Any, fits: bool) -> None:
    said = {"kind": "generate_image", "model": "qwen/qwen-image", "prompt": "tea", **step}
    bare = jsonschema.Draft202012Validator(step_schema(KINDS["generate_image"]))

    assert bare.is_valid(said) == fits
    assert validator().is_valid({"name": "tea", "steps": {"photo": said}}) == fits


def test_every_example_default_and_snippet_is_valid() -> None:
    schema = pipeline_schema()
    wrong = [
        (path, example)
        for path, inner in properties(schema)
        for example in [
            *inner.get("examples", ()),
            *([inner["default"]] if "default" in inner and path != "/inputs/^[a-z][a-z0-9_]*$/default" else ()),
            *(inserted(snippet["body"]) for snippet in inner.get("defaultSnippets", ())),
        ]
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


def params(kind: str) -> list[str]:
    """The params of a kind that hold no files: of these the catalogue's rows speak."""
    of_files = {name for name, schema in KINDS[kind].PARAMS.items() if "artifact" in str(schema)}
    return [name for name in KINDS[kind].PARAMS if name not in COMMON | of_files | {"prompt"}]


def values(model: Model, name: str) -> list[Any]:
    """What may be tried of a param: all that the model takes, a little more, and what others take."""
    own, *others = (each.params.get(name, {}) for each in [model, *builtin().of_kind(model.kind)])
    known = [*own.get("enum", ()), *own.get("sizes", ())]
    foreign = [value for rule in others for value in [*rule.get("enum", ()), *rule.get("sizes", ())]]
    bounds = [own[word] + step for word in ("minimum", "maximum") if word in own for step in (-1, 0, 1)]
    more = ["1024*1024", "1000x1000", "1536x256", "none", 1, 0.5, True, "{{ inputs.given }}"]
    return [*known, *[value for value in foreign if value not in known][:3], *bounds, *more]


@functools.cache
def validator_of(name: str) -> jsonschema.Draft202012Validator:
    """What the published schema defines under a name."""
    return jsonschema.Draft202012Validator({"$ref": f"#/$defs/{name}", "$defs": pipeline_schema()["$defs"]})


@pytest.mark.parametrize("model", builtin().models.values(), ids=lambda model: model.id)
def test_what_a_model_takes_is_the_same_in_an_editor_and_for_check(model: Model) -> None:
    form = jsonschema.Draft202012Validator(step_schema(KINDS[model.kind]))
    step, alias = validator_of(model.kind), validator_of("alias")
    shared = model_schema()["properties"]
    needed = [name for name in ("prompt", "text", *model.lacks(())) if name in KINDS[model.kind].PARAMS]
    words = dict.fromkeys([name for name in needed if name not in params(model.kind)], "x")
    said = {"kind": model.kind, "model": model.id, **words}

    for name in params(model.kind):
        for value in values(model, name):
            known = {name: value} if "{{" not in str(value) else {}
            taken = model.takes(name) and not list(model.wrong(known))
            fits = form.is_valid({**said, name: value}) and taken
            assert step.is_valid({**said, name: value}) == fits, (name, value)
            if name in shared:
                assert alias.is_valid({"model": model.id, name: value}) == fits, (name, value)


def test_two_params_that_say_how_large_it_is_are_one_mistake_unless_they_are_templates() -> None:
    step = {"kind": "generate_image", "model": "black-forest-labs/flux-1-schnell", "prompt": "x", "size": "512x512"}

    def errors(**more: str) -> int:
        return len(list(validator().iter_errors({"name": "p", "steps": {"a": {**step, **more}}})))

    assert errors(aspect_ratio="1:1") == 1
    assert errors(aspect_ratio="{{ inputs.ratio }}") == 0
    assert errors(aspect_ratio="1:1", model="painter") == 0


@pytest.mark.parametrize(
    ("model", "fits"),
    [
        ("qwen/qwen3-32b-awq", False),
        ("Qwen/Qwen3-32B-AWQ", False),
        ("qwen/qwen-image-edit", False),
        ("bytedance/seedream-3.0", True),
        ("infinitetalk", True),
        ("4m7x2k9q1a", True),
        ("https://console.runpod.io/serverless/user/endpoint/4m7x2k9q1a", True),
    ],
    ids=["text", "its-other-name", "edit", "removed", "may-be-an-alias", "private", "console"],
)
def test_a_model_for_another_kind_of_step_is_refused(model: str, fits: bool) -> None:
    data = {"name": "p", "steps": {"a": {"kind": "generate_image", "model": model, "prompt": "x"}}}

    assert validator().is_valid(data) == fits


@pytest.mark.parametrize(
    ("alias", "fits"),
    [
        ({"model": "black-forest-labs/flux-1-schnell", "aspect_ratio": "4:3"}, True),
        ({"model": "black-forest-labs/flux-1-schnell", "aspect_ratio": "16:9"}, False),
        ({"model": "black-forest-labs/flux-1-schnell", "strength": 0.5}, False),
        ({"model": "black-forest-labs/flux-1-schnell", "max_tokens": 9}, True),
        ({"model": "4m7x2k9q1a", "aspect_ratio": "16:9", "strength": 0.5}, True),
        ({"model": "qwen/qwen3-32b-awq", "min_p": 0.1}, False),
        ({"model": "qwen/qwen3-32b-awq", "min_p": 0.1, "base_url": "http://localhost:8000/v1"}, True),
        ({"model": "4m7x2k9q1a", "seed": -1}, False),
        ({"model": "4m7x2k9q1a", "sede": 1}, False),
    ],
)
def test_an_alias_takes_what_its_model_takes(alias: dict[str, Any], fits: bool) -> None:
    top = {"name": "p", "models": {"mine": alias}, "steps": {"a": {"kind": "render_text", "text": "x"}}}
    profile = {**top, "models": {}, "profiles": {"draft": {"models": {"mine": alias}}}}

    assert validator().is_valid(top) == fits
    assert validator().is_valid(profile) == fits


def test_each_model_that_is_completed_says_what_it_is_and_costs() -> None:
    model = pipeline_schema()["$defs"]["generate_image"]["properties"]["model"]["anyOf"][0]

    said = dict(zip(model["enum"], model["enumDescriptions"], strict=True))

    assert said["black-forest-labs/flux-1-schnell"] == "Flux Schnell. 0.0024 USD a megapixel"
    assert set(said) == {m.id for m in builtin().of_kind("generate_image") if m.status != "removed"}


def test_any_other_text_may_be_a_model() -> None:
    data = {"name": "p", "steps": {"a": {"kind": "generate_image", "model": "4m7x2k9q1a", "prompt": "x"}}}

    assert validator().is_valid(data)
