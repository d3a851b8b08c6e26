"""A pipeline in, its checked form out."""

import copy
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from runner.catalogue import builtin
from runner.checking import Checked, check, misfit
from runner.errors import Problem
from runner.pipeline import Input, Pipeline, duration, load

from .conftest import Cli

PIPELINES = sorted(p for p in (Path(__file__).parents[1] / "pipelines").glob("*.yaml") if ".test" not in p.suffixes)
DRAFT = "  draft: {kind: generate_text, model: qwen/qwen3-32b-awq, prompt: A line.}\n"
PHOTO = "  photo: {kind: generate_image, model: qwen/qwen-image, prompt: a teapot}\n"
FILES = {"brief.md": "A line about {{ inputs.leaf }}.", "facts.json": '{"type": "object", "properties": {"a": {}}}'}


def files(name: str) -> str:
    if name in FILES:
        return FILES[name]
    raise FileNotFoundError(2, "No such file or directory")


def read(text: str) -> tuple[Checked | None, list[Problem]]:
    pipeline, problems = load(text, "tea.yaml", files)
    if pipeline is None:
        return None, problems
    checked, more = check(pipeline, builtin(), lambda name: name == "street.jpg")
    return checked, [*problems, *more]


def checked(text: str) -> Checked:
    found, problems = read(text)
    assert problems == []
    assert found is not None
    return found


def loaded(text: str) -> Pipeline:
    return checked(text).pipeline


def steps(*rows: str) -> str:
    return "name: tea\nsteps:\n" + "".join(rows)


@pytest.mark.parametrize("path", PIPELINES, ids=lambda path: path.stem)
def test_the_example_pipelines_have_no_problem(path: Path) -> None:
    pipeline, problems = load(path.read_text(encoding="utf-8"), path.name, files)
    assert pipeline is not None

    _, more = check(pipeline, builtin(), lambda _: True)

    assert [*problems, *more] == []


def test_steps_come_in_the_order_of_the_file_unless_they_wait() -> None:
    text = steps(
        "  c: {kind: generate_text, model: qwen/qwen3-32b-awq, prompt: 'after {{ steps.b.text }}'}\n",
        "  a: {kind: generate_text, model: qwen/qwen3-32b-awq, prompt: x}\n",
        "  b: {kind: generate_text, model: qwen/qwen3-32b-awq, prompt: y}\n",
        "  d: {kind: generate_text, model: qwen/qwen3-32b-awq, prompt: z, after: [a]}\n",
    )

    assert list(checked(text).steps) == ["a", "b", "c", "d"]


def test_edges_say_why_they_are_there() -> None:
    text = steps(
        DRAFT,
        PHOTO,
        "  warm:\n    kind: edit_image\n    model: bytedance/seedream-4.0-edit\n"
        "    images: ['{{ steps.photo.image }}']\n    prompt: 'As {{ steps.draft.text }}'\n"
        "    needs: [draft, photo]\n",
        "  last: {kind: generate_text, model: qwen/qwen3-32b-awq, prompt: x, needs: [draft], after: [warm]}\n",
    )

    edges = {name: [(e.needs, e.why, e.after) for e in step.edges] for name, step in checked(text).steps.items()}

    assert edges == {
        "draft": [],
        "photo": [],
        "warm": [("photo", "images.0 reads steps.photo", False), ("draft", "prompt reads steps.draft", False)],
        "last": [("draft", "needs: [draft]", False), ("warm", "after: [warm]", True)],
    }


def test_params_of_an_alias_are_for_the_steps_that_use_it() -> None:
    text = (
        "name: tea\nmodels:\n  painter: {model: qwen/qwen-image, seed: 7, size: 512x512}\n"
        "steps:\n  photo: {kind: generate_image, model: painter, prompt: x, size: 768x768}\n"
    )

    step = checked(text).steps["photo"]

    assert (step.params["seed"], step.params["size"]) == (7, "768x768")
    assert step.model is not None
    assert step.model.id == "qwen/qwen-image"


def test_a_template_in_an_alias_makes_an_edge() -> None:
    text = (
        "name: tea\nmodels:\n  writer: {model: qwen/qwen3-32b-awq, system: 'As {{ steps.draft.text }}'}\n"
        f"steps:\n{DRAFT}  next: {{kind: generate_text, model: writer, prompt: x}}\n"
    )

    assert [edge.why for edge in checked(text).steps["next"].edges] == ["system reads steps.draft"]


@pytest.mark.parametrize(
    ("model", "endpoint"),
    [
        ("qwen/qwen3-32b-awq", "qwen3-32b-awq"),
        ("qwen3-32b-awq", "qwen3-32b-awq"),
        ("abc123def456", "abc123def456"),
        ("https://console.runpod.io/serverless/user/endpoint/abc123def456", "abc123def456"),
        ("https://api.runpod.ai/v2/abc123def456/openai/v1", "abc123def456"),
        ("https://api.runpod.ai/v2/qwen3-32b-awq/openai/v1", "qwen3-32b-awq"),
        ("writer", "qwen3-32b-awq"),
        ("mine", "mine"),
    ],
)
def test_a_model_is_named_in_each_of_its_ways(model: str, endpoint: str) -> None:
    text = (
        "name: tea\nmodels:\n  writer: {model: qwen/qwen3-32b-awq}\n"
        "  mine: {base_url: 'http://localhost:8000/v1/', model: llama, api_key_env: MY_KEY}\n"
        f"steps:\n  draft: {{kind: generate_text, model: '{model}', prompt: x}}\n"
    )

    found = checked(text).steps["draft"].model

    assert found is not None
    assert found.endpoint == endpoint
    assert (found.base_url, found.api_key_env) == (
        ("http://localhost:8000/v1", "MY_KEY") if model == "mine" else (None, None)
    )


def test_a_prompt_may_live_in_a_file() -> None:
    text = "name: tea\ninputs: {leaf: {type: string}}\n" + steps(DRAFT.replace("A line.", "{file: brief.md}"))[10:]

    assert checked(text).steps["draft"].params["prompt"].text == FILES["brief.md"]


def test_a_schema_may_live_in_a_file() -> None:
    text = steps(DRAFT, "  facts: {kind: parse_json, text: '{{ steps.draft.text }}', schema: {file: facts.json}}\n")

    assert checked(text).steps["facts"].params["schema"] == {"type": "object", "properties": {"a": {}}}


@pytest.mark.parametrize(
    ("text", "written"),
    [("1.10", "1.10"), ("0x1F", "0x1F"), ("007", "007"), ("true", "true"), ("'1.10'", "1.10"), ("1e3", "1e3")],
)
def test_a_bare_number_where_text_is_wanted_stays_as_it_was_written(text: str, written: str) -> None:
    pipeline = loaded(f"name: tea\nversion: {text}\n" + steps(DRAFT)[10:])

    assert pipeline.version == written


@pytest.mark.parametrize(
    ("declared", "default"),
    [
        ("{type: string, default: 1.10}", "1.10"),
        ("{type: string, default: no}", "no"),
        ("{type: string, enum: [1.10, 2], default: 1.10}", "1.10"),
        ("{type: integer, default: 3}", 3),
        ("{type: number, default: 3}", 3),
        ("{type: boolean, default: false}", False),
        ("{type: list, default: [1, a]}", [1, "a"]),
        ("{type: object, default: {a: 1}}", {"a": 1}),
        ("{type: image, default: street.jpg}", "street.jpg"),
        ("{type: image, default: 'https://example.com/a.jpg'}", "https://example.com/a.jpg"),
    ],
)
def test_a_default_is_of_its_type(declared: str, default: Any) -> None:
    found = loaded(f"name: tea\ninputs:\n  a: {declared}\n" + steps(DRAFT)[10:]).inputs["a"]

    assert (found.default, found.required) == (default, False)


@pytest.mark.parametrize(
    ("schema", "value", "said"),
    [
        ({"type": "integer"}, 3, None),
        ({"type": "integer"}, "3", "count must be an integer; this is the text 3. Remove the quotes."),
        ({"type": "integer"}, 2.5, "count must be an integer; this is the number 2.5. Write an integer."),
        ({"type": "integer"}, True, "count must be an integer; this is true or false. Write an integer."),
        ({"type": "boolean"}, "yes", "count must be true or false; this is the text yes. Write true, without quotes."),
        ({"type": "string", "enum": ["a", "bee"]}, "be", "count cannot be be. Did you mean bee?"),
        ({"type": "integer", "maximum": 5}, 9, "count cannot be 9. It must be at most 5."),
        ({"type": "string", "pattern": "^a"}, "b", "b is not a valid count. It must match ^a."),
        ({"type": "array", "items": {"type": "string"}}, ["a", 1], "count[1] must be text; this is the integer 1."),
        ({"type": "object", "required": ["a"]}, {}, "count has no a. Add a:."),
        ({"artifact": "image"}, "a.png", None),
        ({"artifact": "image"}, 3, "count is a file. Write its path or its URL."),
    ],
)
def test_a_value_that_does_not_fit_its_input_says_why(schema: Any, value: Any, said: str | None) -> None:
    why = misfit(Input("count", "x", schema), value)

    assert (why is None) == (said is None)
    assert said is None or str(why).startswith(said)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("90", 90), ("90s", 90), ("5m", 300), ("1.5h", 5400), ("250ms", 0.25), ("2d", 172800)],
)
def test_a_duration_is_read(text: str, seconds: float) -> None:
    found = loaded(steps(DRAFT.replace("}", f", timeout: {text}}}")))

    assert found.steps["draft"].timeout == seconds
    assert duration(None) is None


def test_a_retry_is_read() -> None:
    found = loaded(steps(DRAFT.replace("}", ", retry: {attempts: 3, on: [busy, network]}, cache: false}")))

    draft = found.steps["draft"]
    assert (draft.retry.attempts, draft.retry.on, draft.retry.wait, draft.cache) == (
        3,
        ("busy", "network"),
        None,
        False,
    )


@pytest.mark.parametrize(
    "text",
    [
        "name: tea\ncolour: 1\n" + steps(DRAFT)[10:],
        steps(DRAFT.replace("A line.", "'{{ steps.draft.text }}'")),
        steps(
            "  a: {kind: parse_json, text: '{{ steps.b.data }}'}\n  b: {kind: parse_json, text: '{{ steps.a.data }}'}\n"
        ),
    ],
)
def test_with_a_problem_there_is_no_checked_pipeline(text: str) -> None:
    _, problems = read(text)

    assert len(problems) == 1


# -- whatever an author writes, there are problems and nothing else ---------------------------------

SOURCE = yaml.load((PIPELINES[-1]).read_text(encoding="utf-8"), yaml.CSafeLoader)
JUNK: list[Any] = [
    *(None, True, 0, -1, 1.5, 10**30, "", "x", "7", "16:9", "../x", "x" * 200, [], {}, [[]], [None], {"": ""}),
    *("generate_text", "parse_json", "qwen/qwen-image", ["draft"], ["draft", 5], {"usd": 0}, {"attempts": {}}),
    *(
        {"file": "brief.md"},
        {"file": 3},
        {"file": "none.md"},
        {"kind": "edit_image"},
        {"type": "integer", "default": "x"},
    ),
    *("{{ steps.draft.text }}", "{{ steps.photo.image }}", "{{ inputs.nothing }}", "{{ }}", "{{ steps }}"),
    *("{% for x in y %}", "a {{ steps.photo }} b", "{{ steps.facts.data.title.x }}"),
    *({"type": "object"}, {"type": "objekt"}, {"$ref": "#"}, {"$ref": 5}, {"anyOf": [{"$ref": "#/anyOf/0"}]}),
    *({"properties": 5}, {"properties": {"a": True}}, {"items": [1]}, {"enum": []}),
]


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    yield path
    if isinstance(value, dict | list):
        for key, inner in value.items() if isinstance(value, dict) else enumerate(value):
            yield from places(inner, (*path, key))


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_no_change_to_a_pipeline_raises_anything(data: st.DataObject) -> None:
    tree = {"pipeline": copy.deepcopy(SOURCE)}
    for _ in range(data.draw(st.integers(1, 3))):
        path = data.draw(st.sampled_from([p for p in places(tree) if p]))
        parent: Any = tree
        for key in path[:-1]:
            parent = parent[key]
        parent[data.draw(st.sampled_from([path[-1], "extra"])) if isinstance(parent, dict) else path[-1]] = (
            copy.deepcopy(data.draw(st.sampled_from(JUNK)))
        )
    text = yaml.safe_dump(tree["pipeline"], sort_keys=False)

    _, problems = read(text)

    for problem in problems:
        assert problem.message.endswith("."), problem
        assert problem.mark.line >= 1


@pytest.mark.parametrize("suffix", [".gif", ".tiff", ".xyz"])
def test_what_no_writer_knows_is_told_of_what_a_model_makes_and_not_of_the_authors_files(
    cli: Cli, tmp_path: Path, suffix: str
) -> None:
    head = "name: card\ninputs: {own: {type: image}}\nsteps:\n"
    step = "  photo: {kind: generate_image, model: qwen/qwen-image, prompt: a pot}\n"
    path = tmp_path / "card.yaml"
    path.write_text(f"{head}{step}outputs:\n  p{suffix}: '{{{{ steps.photo.image }}}}'\n")
    made = cli("check", path)
    path.write_text(
        f"{head}{step}outputs:\n  p{suffix}: '{{{{ inputs.own }}}}'\n  p.png: '{{{{ steps.photo.image }}}}'\n"
    )

    own = cli("check", path)

    assert (made.code, own.code) == (2, 0)
    assert f"none is written as {suffix}. [E210 output]" in made.err
    assert "Name it .png, .jpg, .jpeg or .webp." in made.err
