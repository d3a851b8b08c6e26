"""The published schemas in the server behind VS Code's YAML extension, in a project that `runner init` has made."""

from __future__ import annotations

import itertools
import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from runner import loading, source, starting
from runner.catalogue import builtin
from runner.errors import PipelineProblems
from runner.kinds import KINDS

from ..conftest import REPO
from .conftest import PEERS
from .lsp import Client

STEP = "name: tea\nsteps:\n  photo:\n"
IMAGE = f"{STEP}    kind: generate_image\n    model: tongyi-mai/z-image-turbo\n    prompt: a pot\n"
EDIT = f"{STEP}    kind: edit_image\n    model: qwen/qwen-image-edit\n    image: x\n    prompt: x\n"
NUMBERS = itertools.count()


@pytest.fixture(scope="module")
def editor(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    """An editor with the settings that `runner init` writes, and with nothing else that knows of pipelines."""
    folder = tmp_path_factory.mktemp("shop")
    starting.init(folder)
    settings = json.loads((folder / ".vscode" / "settings.json").read_text())
    yaml = {"schemas": settings["yaml.schemas"], "schemaStore": {"enable": False},
            **{word: settings[f"yaml.{word}"] for word in ("completion", "hover", "validate")}}  # fmt: skip
    server = PEERS / "npm/node_modules/yaml-language-server/bin/yaml-language-server"
    with Client([shutil.which("node") or "node", str(server), "--stdio"], folder, yaml) as client:
        yield client


def new(suffix: str = ".yaml") -> str:
    return f"pipelines/p{next(NUMBERS)}{suffix}"


# -- completion -------------------------------------------------------------------------------------


def test_kinds_are_completed_with_what_they_do(editor: Client) -> None:
    found = editor.completions(new(), f"{STEP}    kind: |")

    assert {label: said for label, (_, said) in found.items()} == {kind.NAME: kind.TITLE for kind in KINDS.values()}


@pytest.mark.parametrize("kind", [name for name, kind in KINDS.items() if builtin().of_kind(name)])
def test_models_of_the_kind_are_completed_with_their_prices(editor: Client, kind: str) -> None:
    found = editor.completions(new(), f"{STEP}    kind: {kind}\n    model: |")

    assert set(found) == {model.id for model in builtin().of_kind(kind) if model.status != "removed"}
    assert all(said for _, said in found.values())


@pytest.mark.parametrize(
    ("text", "offered"),
    [
        (f"{IMAGE}    aspect_ratio: |", {"1:1", "4:3", "3:4", "16:9", "9:16"}),
        (f"{IMAGE}    size: |", {"1024x1024", "512x512", "768x768", "1280x1280", "1024x768", "768x1024", "1280x720",
                                 "720x1280"}),
        (f"{EDIT}    output_format: |", {"jpeg", "png"}),
        (f"{IMAGE}    on_failure: |", {"continue", "stop"}),
        (f"{IMAGE}    cache: |", {"true", "false", "{for: 7d}"}),
        ("name: x\ninputs:\n  a:\n    type: |", {"string", "integer", "number", "boolean", "list", "object", "image",
                                                 "audio", "video", "file"}),
    ],
    ids=["ratio", "size", "format", "on_failure", "cache", "type"],
)  # fmt: skip
def test_values_are_completed(editor: Client, text: str, offered: set[str]) -> None:
    assert set(editor.completions(new(), text)) == offered


def test_voices_of_the_model_are_completed(editor: Client) -> None:
    text = f"{STEP}    kind: generate_speech\n    model: resembleai/chatterbox-turbo\n    text: x\n    voice: |"

    assert {"lucy", "aaron"} <= set(editor.completions(new(), text))


@pytest.mark.parametrize("kind", KINDS)
def test_the_keys_of_a_step_are_completed_each_with_its_help(editor: Client, kind: str) -> None:
    found = editor.completions(new(), f"{STEP}    kind: {kind}\n    |")

    keys = {*KINDS[kind].PARAMS, "needs", "when", "foreach", "retry", "timeout"}
    assert keys <= set(found)
    assert all(found[key][1] for key in keys)
    assert not any("[object Object]" in part for label, parts in found.items() for part in (label, *parts))


def test_what_is_inserted_is_an_example_to_change(editor: Client) -> None:
    found = editor.completions(new(), f"{STEP}    kind: generate_image\n    |")

    assert found["aspect_ratio"][0] == "aspect_ratio: ${1:4:3}"
    assert found["seed"][0] == "seed: ${1:7}"
    assert found["loras"][0].startswith("loras:\n  - path: ${1:https://")


FLUX = f"{STEP}    kind: generate_image\n    model: black-forest-labs/flux-1-schnell\n    prompt: x\n"
ALIAS = "name: tea\nmodels:\n  painter:\n    model: black-forest-labs/flux-1-schnell\n"
COMMON = ["needs", "after", "when", "foreach", "matrix", "key", "retry", "cache", "budget", "timeout", "pick"]


def places() -> Iterator[str]:
    """Where a pipeline is completed: at its top, in a step of each kind, and behind and below its keys."""
    yield "|"
    for key in ("inputs", "models", "env", "budget", "limits", "profiles", "steps", "outputs"):
        yield from (f"name: tea\n{key}: |", f"name: tea\n{key}:\n  |")
    yield f"{ALIAS}    |"
    for name, kind in KINDS.items():
        yield f"{STEP}    kind: {name}\n    |"
        keys = [*kind.PARAMS, *COMMON] if name in ("generate_text", "edit_image") else kind.PARAMS
        for key in keys:
            yield from (f"{STEP}    kind: {name}\n    {key}: |", f"{STEP}    kind: {name}\n    {key}:\n      |")


def completed(text: str, snippet: str) -> str:
    """A text with a snippet at its ``|``, nothing of which is changed, as an editor indents it."""
    before, _, after = text.partition("|")
    line = before.rpartition("\n")[2]
    indent = " " * (len(line) - len(line.lstrip()))
    plain = re.sub(r"\$\{\d+:((?:\\.|[^}\\])*)\}|\$\{\d+\}|\$\d+", lambda found: found[1] or "", snippet)
    return before + re.sub(r"\\([$}\\])", r"\1", plain).replace("\n", f"\n{indent}") + after


@pytest.fixture(scope="module")
def offered(editor: Client) -> list[tuple[str, str, str]]:
    """All that is offered anywhere: the place, the label, and what is inserted."""
    return [
        (place, label, snippet)
        for place in places()
        for label, (snippet, _) in editor.completions(new(), place).items()
    ]


def test_whatever_is_inserted_is_yaml(offered: list[tuple[str, str, str]]) -> None:
    wrong = []

    for place, _, snippet in offered:
        text = completed(place, snippet)
        try:
            source.parse(text, "inserted")
        except PipelineProblems as err:
            wrong.append((text, str(err.problems[0])))

    assert len(offered) > 500
    assert wrong == []


def test_labels_are_what_is_inserted_on_one_line(editor: Client, offered: list[tuple[str, str, str]]) -> None:
    assert [label for _, label, _ in offered if "object Object" in label] == []
    assert set(editor.completions(new(), f"{STEP}    kind: generate_image\n    pick: |")) == {"{of: 4}"}
    assert set(editor.completions(new(), f"{IMAGE}    retry: |")) == {"{attempts: 3, on: [busy]}"}
    assert set(editor.completions(new(), "limits: |")) == {"{calls: 8, per_model: {painter: 4}}"}


def test_a_whole_pipeline_is_offered_that_checks(editor: Client, tmp_path: Path) -> None:
    snippet, said = editor.completions(new(), "|")["Pipeline"]
    path = tmp_path / "new.yaml"

    path.write_text(completed("|", snippet) + "\n")

    assert not loading.read(path).problems
    assert "kind: generate_image" in said
    assert "${" not in said


def test_only_what_the_model_takes_is_completed(editor: Client) -> None:
    found = editor.completions(new(), f"{FLUX}    |")

    assert {"size", "aspect_ratio", "steps", "seed", "options", "retry"} <= set(found)
    assert not {"strength", "resolution", "safety_checker", "loras", "image"} & set(found)
    assert found["steps"][0] == "steps: ${1:4}"


def test_an_alias_is_completed_as_its_model_takes_it(editor: Client) -> None:
    found = editor.completions(new(), f"{ALIAS}    |")

    assert {"size", "aspect_ratio", "steps", "seed", "options", "policy"} <= set(found)
    assert not {"strength", "voice", "max_tokens"} & set(found)
    inline = "models: {painter: {model: black-forest-labs/flux-1-schnell, aspect_ratio: |}}"
    assert set(editor.completions(new(), inline)) == {"1:1", "4:3", "3:4"}


def test_where_the_model_is_an_alias_the_values_of_all_models_are_completed(editor: Client) -> None:
    found = editor.completions(new(), f"{STEP}    kind: edit_image\n    model: painter\n    aspect_ratio: |")

    assert {"1:1", "4:5", "21:9", "match_input_image"} <= set(found)


JSON_STEP = f"{STEP}    kind: generate_text\n    model: qwen/qwen3-32b-awq\n    prompt: x\n    schema:\n"


@pytest.mark.parametrize(
    ("text", "offered"),
    [
        (f"{JSON_STEP}      |", {"type", "properties", "required", "items", "enum"}),
        (f"{JSON_STEP}      type: |", {"string", "integer", "number", "boolean", "array", "object", '"null"'}),
        (f"{JSON_STEP}      properties:\n        title:\n          |", {"type", "description", "maxLength"}),
        (f"{JSON_STEP}      properties:\n        title: {{type: |}}", {"string", "array"}),
        (f"{JSON_STEP}      items:\n        items:\n          type: |", {"string", "array"}),
        ("name: x\ninputs:\n  a:\n    type: list\n    items:\n      type: |", {"string", "object"}),
    ],
)
def test_the_words_of_a_json_schema_are_completed_all_the_way_down(
    editor: Client, text: str, offered: set[str]
) -> None:
    assert offered <= set(editor.completions(new(), text))


def test_the_beginning_of_a_pipeline_is_completed(editor: Client) -> None:
    found = editor.completions(new(), "na|")

    assert {"name", "steps", "inputs", "models", "outputs", "budget"} <= set(found)
    assert found["inputs"][0].startswith("inputs:\n  ${1:product}:\n    type: ")


def test_tests_of_pipelines_are_completed(editor: Client) -> None:
    begin = "cases:\n  a card:\n"

    assert {
        label.strip("{").partition(":")[0] for label in editor.completions(new(".test.yaml"), f"{begin}    mode: |")
    } == {"emulator", "replay", "canned"}
    assert {"state", "cost", "steps", "outputs"} <= set(
        editor.completions(new(".test.yaml"), f"{begin}    expect:\n      |")
    )
    assert set(editor.completions(new(".test.yaml"), f"{begin}    expect:\n      state: |")) == {"done", "failed"}
    words = editor.completions(new(".test.yaml"), f"{begin}    expect:\n      outputs:\n        card.txt:\n          |")
    assert {"contains", "matches", "words"} <= set(words)


# -- hover ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (f"{STEP}    ki|nd: generate_image\n    model: x\n    prompt: x\n", ["#### Kind", "What the step does."]),
        (f"{IMAGE}    aspect_ra|tio: 16:9\n", ["#### Aspect ratio", "WIDTH:HEIGHT, instead of a size.", "`9:16`"]),
        (IMAGE.replace("model", "mo|del"), ["#### Model", "`qwen/qwen-image`: Qwen Image. 0.02 USD an image"]),
        (f"{IMAGE}    se|ed: 7\n", ["#### Seed", "Same seed, same result."]),
        (f"{IMAGE}    for|each: [a]\n", ["#### Foreach", "Run the step once for each item of a list"]),
        (f"bud|get: {{usd: 1}}\n{IMAGE}", ["#### Budget", "nothing is sent that could pass it"]),
        (f"budget: {{us|d: 1}}\n{IMAGE}", ["#### US dollars"]),
        (f"{FLUX}    si|ze: 512x512\n", ["#### Size", "WIDTHxHEIGHT", "256 to 1536 pixels, a multiple of 64"]),
        (f"{IMAGE}    si|ze: 512x512\n", ["#### Size", "`512x512`"]),
        (f"{STEP}    kind: generate_image\n    mod|el: painter\n    prompt: x\n", ["#### Model", "An alias from"]),
        (f"{STEP}    kind: generate_image\n    model: painter\n    si|ze: 9x9\n", ["#### Size", "WIDTHxHEIGHT"]),
        (f"{IMAGE}    pi|ck: {{of: 4}}\n", ["#### Pick", "Make several candidates"]),
    ],
    ids=[
        "kind",
        "aspect_ratio",
        "model",
        "seed",
        "foreach",
        "budget",
        "usd",
        "size",
        "sizes",
        "alias",
        "any-size",
        "pick",
    ],
)
def test_help_is_shown_over_a_key(editor: Client, text: str, said: list[str]) -> None:
    shown = editor.hover(new(), text)

    assert all(words in shown.replace("\\_", "_") for words in said), shown
    assert "||" not in shown


def test_help_is_shown_in_tests_of_pipelines(editor: Client) -> None:
    shown = editor.hover(new(".test.yaml"), "cases:\n  a:\n    expect:\n      co|st: {below: 1}\n")

    assert "#### Cost" in shown
    assert "What it costs in USD" in shown


# -- what is underlined -----------------------------------------------------------------------------


@pytest.mark.parametrize("path", sorted((REPO / "pipelines").glob("*.yaml")), ids=lambda path: path.name)
def test_nothing_is_underlined_in_what_we_ship(editor: Client, path: Path) -> None:
    text = path.read_text(encoding="utf-8").partition("\n")[2]  # without the line that names our own schema

    assert editor.open(f"pipelines/shipped-{path.name}", text) == []


@pytest.mark.parametrize(
    ("text", "underlined"),
    [
        (f"{IMAGE}    sede: 7\n", ["7:5: Property sede is not allowed."]),
        (f"{IMAGE}    aspect_ratio: 21:9\n", ["7:19: Value is not accepted. Valid values:"]),
        (f"{STEP}    kind: generate_image\n    model: qwen/qwen-image\n    prompt: x\n    steps: 3\n",
         ["7:5: Property steps is not allowed."]),
        (f"{STEP}    kind: generate_picture\n", ["4:11: Value is not accepted. Valid values:"]),
        (f"{STEP}    kind: generate_image\n    model: my_own\n    prompt: x\n    aspect_ratio: 21:9\n", []),
        (STEP, ['3:9: Incorrect type. Expected "Step".']),
        (f"{JSON_STEP}      type: strng\n", ["8:13: Value is not accepted. Valid values:"]),
        (f"{JSON_STEP}      file: recipe.schema.json\n", []),
        (f"{FLUX}    size: 1000x1000\n", ["7:11: Width and height each are 256 to 1536 pixels, a multiple of 64."]),
        (f"{FLUX}    size: 512x512\n    aspect_ratio: 1:1\n", ["8:5: size and aspect_ratio both say how large it is."]),
        (f"{FLUX}    steps: 9\n", ["7:12: Value is above the maximum of 8."]),
        (FLUX.replace("black-forest-labs/flux-1-schnell", "qwen/qwen3-32b-awq"),
         ["5:12: It is a model for another kind of step, not for generate_image."]),
        (FLUX.replace("black-forest-labs/flux-1-schnell", "bytedance/seedream-3.0"),
         ["5:5: Runpod has removed bytedance/seedream-3.0 from its list; it may stop working. Use bytedance/seedream"]),
        (FLUX.replace("black-forest-labs/flux-1-schnell", "4m7x2k9q1a"), []),
        (f"{ALIAS}    aspect_ratio: 16:9\n{FLUX[10:]}", ["5:19: Value is not accepted. Valid values:"]),
        (f"{ALIAS}    strength: 0.5\n{FLUX[10:]}", ["5:5: Property strength is not allowed."]),
        (f"{ALIAS}    base_url: http://localhost:8000/v1\n    strength: 0.5\n{FLUX[10:]}", []),
    ],
    ids=["key", "ratio", "param", "kind", "alias", "step", "schema", "schema-file", "size", "two-sizes", "steps",
         "other-kind", "removed", "private", "alias-ratio", "alias-param", "elsewhere"],
)  # fmt: skip
def test_a_mistake_is_underlined_once_and_where_it_is(editor: Client, text: str, underlined: list[str]) -> None:
    found = editor.open(new(), text)

    assert len(found) == len(underlined), found
    assert all(one.startswith(start) for one, start in zip(found, underlined, strict=True)), found


def test_a_mistake_in_a_test_is_underlined_by_the_schema_of_tests(editor: Client) -> None:
    found = editor.open(new(".test.yaml"), "cases:\n  a:\n    expects: {state: done}\n")

    assert found == ["3:5: Property expects is not allowed."]


def test_the_first_line_of_a_file_names_its_schema_where_there_are_no_settings(tmp_path: Path) -> None:
    starting.init(tmp_path)
    server = PEERS / "npm/node_modules/yaml-language-server/bin/yaml-language-server"
    text = (tmp_path / "pipelines/product-card.yaml").read_text().replace("season:", "seson:")

    with Client(
        ["node", str(server), "--stdio"], tmp_path, {"validate": True, "schemaStore": {"enable": False}}
    ) as bare:
        plain = bare.open("pipelines/other.yaml", "sede: 7\n")
        named = bare.open("pipelines/product-card.yaml", text.replace("budget:", "budgets:"))

    assert plain == []
    assert [one.partition(": ")[2] for one in named] == ["Property budgets is not allowed."]
