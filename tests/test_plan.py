"""A checked pipeline and its inputs in, a plan out; a plan in, text for people out."""

from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from runner import loading
from runner.errors import UsageError
from runner.kinds import KINDS
from runner.model import Artifact, Cell, Chat, Job
from runner.pipeline import Input
from runner.planning import Plan, derived_seed, read_inputs, render, with_seed
from runner.reports import planned as report

from .conftest import Cli

PIPELINES = Path(__file__).parents[1] / "pipelines"
WRITER, PAINTER = "qwen/qwen3-32b-awq", "black-forest-labs/flux-1-schnell"


def plan_of(path: Path, **typed: str) -> Plan:
    return loading.plan(loading.read(path), loading.Given(typed), {"SHOP": "Leaf & Co"}, preview=True)


def planned(folder: Path, text: str, **typed: str) -> Plan:
    path = folder / "tea.yaml"
    path.write_text("name: tea\n" + text)
    return plan_of(path, **typed)


def test_the_plan_of_the_product_card_is_what_its_author_expects() -> None:
    text = report.text(plan_of(PIPELINES / "product-card.yaml"))

    assert text == (
        "product-card 1.2.0: 4 steps\n"
        "\n"
        "  1. draft  generate_text  qwen/qwen3-32b-awq  at most 0.0223 USD\n"
        "     POST qwen3-32b-awq/openai/v1/chat/completions\n"
        "       model: Qwen/Qwen3-32B-AWQ\n"
        "       max_tokens: 2048\n"
        "       temperature: 0.7\n"
        "       system: Return ONLY valid JSON.\n"
        "       user: Describe a red ceramic teapot for a web shop as "
        '{ "title": string, "blurb": string, "keywords": [st…\n'
        "\n"
        "  2. facts  parse_json  local, free\n"
        "     needs draft: text reads steps.draft\n"
        "\n"
        "  3. photo  generate_image  black-forest-labs/flux-1-schnell  at most 0.0019 USD\n"
        "     needs facts: prompt reads steps.facts\n"
        "     POST black-forest-labs-flux-1-schnell/run\n"
        "       prompt: {{ steps.facts.data.picture }}, studio light, plain background\n"
        "       seed: 7\n"
        "       width: 1024\n"
        "       height: 768\n"
        "\n"
        "  4. seasonal  edit_image  qwen/qwen-image-edit  at most 0.0200 USD\n"
        "     needs photo: image reads steps.photo\n"
        "     POST qwen-image-edit/run\n"
        "       prompt: Put the product on a table in autumn. Keep the product unchanged.\n"
        "       seed: 55934549\n"
        "       image: <{{ steps.photo.image }}>\n"
        "\n"
        "At most, if nothing is tried twice: 0.0442 USD\n"
        "Budget: 0.1000 USD"
    )


def test_inputs_are_in_the_preview() -> None:
    step = plan_of(PIPELINES / "product-card.yaml", season="winter").steps[-1]

    assert isinstance(step.preview, Job)
    assert "in winter" in step.preview.input["prompt"]


@pytest.mark.parametrize("name", [path.stem for path in PIPELINES.glob("*.yaml") if ".test" not in path.suffixes])
def test_every_example_can_be_planned_and_priced(name: str) -> None:
    found = plan_of(PIPELINES / f"{name}.yaml")

    counted = all(step.count is not None for step in found.steps)
    assert (found.usd is not None) == counted
    assert found.usd is None or found.usd > 0
    assert report.text(found).startswith(name)


def test_the_order_of_a_plan_is_always_the_same() -> None:
    orders = {tuple(step.id for step in plan_of(PIPELINES / "blog-header.yaml").steps) for _ in range(5)}

    assert orders == {("outline", "alt", "header")}


@pytest.mark.parametrize(
    ("step", "usd"),
    [
        pytest.param(f"kind: generate_text, model: {WRITER}, prompt: abc, max_tokens: 100", 119 / 1e5, id="known"),
        pytest.param(f"kind: generate_text, model: {WRITER}, prompt: '{{{{ steps.first.text }}}}'", 0.32768,
                     id="a prompt that is not known"),
        pytest.param(f"kind: generate_text, model: {WRITER}, prompt: x, max_tokens: '{{{{ steps.first.text | int }}}}'",
                     0.32768, id="max_tokens that is not known"),
        pytest.param(f"kind: generate_image, model: {PAINTER}, prompt: '{{{{ steps.first.text }}}}'", 0.0024 * 1.048576,
                     id="a picture costs what its size costs"),
        pytest.param(f"kind: generate_image, model: {PAINTER}, prompt: x, size: '{{{{ steps.first.text }}}}'",
                     0.0024 * 1536**2 / 1e6, id="a size that is not known"),
        pytest.param("kind: generate_image, model: abc123def456, prompt: x", None, id="no price"),
        pytest.param("kind: generate_text, model: deep-cogito/deep-cogito-v2-llama-70b, prompt: x", None,
                     id="no price in the catalogue"),
    ],
)  # fmt: skip
def test_a_step_costs_at_most(tmp_path: Path, step: str, usd: float | None) -> None:
    first = f"steps:\n  first: {{kind: generate_text, model: {WRITER}, prompt: x}}\n"

    found = planned(tmp_path, first + f"  second: {{{step}}}\n")

    assert found.steps[1].usd == (None if usd is None else pytest.approx(usd))
    assert (found.usd is None) == (usd is None)
    assert ("unknown: not every model has a price" in report.text(found)) == (usd is None)


def test_a_plan_that_may_pass_its_budget_says_so(tmp_path: Path) -> None:
    found = planned(
        tmp_path, f"budget: {{usd: 0.001}}\nsteps:\n  a: {{kind: generate_text, model: {WRITER}, prompt: x}}\n"
    )

    assert report.text(found).endswith("Budget: 0.0010 USD; the run may stop before its end")


def test_a_value_that_a_step_will_yield_is_left_open(tmp_path: Path) -> None:
    found = planned(
        tmp_path,
        f"steps:\n  first: {{kind: generate_text, model: {WRITER}, prompt: x}}\n"
        f"  photo: {{kind: generate_image, model: {PAINTER}, prompt: 'a {{{{ steps.first.text }}}}', "
        "aspect_ratio: '{{ steps.first.text }}', seed: '{{ steps.first.usage.total_tokens }}'}\n",
    )

    preview = found.steps[1].preview
    assert isinstance(preview, Job)
    assert preview.input["prompt"] == "a {{ steps.first.text }}"
    assert "width" not in preview.input


def test_what_only_the_run_will_know_stands_as_its_template(tmp_path: Path) -> None:
    steps = """
inputs: {big: {type: string}}
steps:
  pick:
    kind: generate_text
    model: qwen/qwen3-32b-awq
    prompt: how large?
    schema: {type: object, required: [size, n], properties: {size: {type: string}, n: {type: integer}}}
  photo:
    kind: generate_image
    model: black-forest-labs/flux-1-schnell
    prompt: a teapot
    size: "{{ steps.pick.data.size }}"
    steps: "{{ steps.pick.data.n }}"
    seed: "{{ steps.pick.data.n }}"
  large: {kind: generate_image, model: black-forest-labs/flux-1-schnell, prompt: a teapot, size: "{{ inputs.big }}"}
"""

    unknown = report.text(planned(tmp_path, steps))
    known = report.text(planned(tmp_path, steps, big="512x768"))

    assert (
        "       prompt: a teapot\n"
        "       seed: {{ steps.pick.data.n }}\n"
        "       size: {{ steps.pick.data.size }}\n"
        "       num_inference_steps: {{ steps.pick.data.n }}\n"
    ) in unknown
    assert "       size: {{ inputs.big }}\n" in unknown
    assert "       width: 512\n       height: 768\n" in known


def test_one_is_one(tmp_path: Path) -> None:
    inner = tmp_path / "inner.yaml"
    inner.write_text("name: inner\nsteps: {a: {kind: render_text, text: hi}}\n")

    text = report.text(planned(tmp_path, "steps: {n: {kind: run_pipeline, file: inner.yaml}}\n"))

    assert text.startswith("tea: 1 step\n")
    assert f"runs {inner}: 1 step, see runner plan" in text


def test_a_preview_needs_no_inputs(tmp_path: Path) -> None:
    text = (
        "inputs:\n  leaf: {type: string}\n  photo: {type: image}\n"
        f"steps:\n  a: {{kind: generate_text, model: {WRITER}, prompt: 'A line about {{{{ inputs.leaf }}}}.'}}\n"
        "  b: {kind: edit_image, model: qwen/qwen-image-edit, image: '{{ inputs.photo }}', prompt: warmer}\n"
    )

    found = planned(tmp_path, text)

    first, second = (step.preview for step in found.steps)
    assert isinstance(first, Chat)
    assert isinstance(second, Job)
    assert first.body["messages"][0]["content"] == "A line about {{ inputs.leaf }}."
    assert second.input["image"].path == "{{ inputs.photo }}"


def test_an_input_that_the_model_does_not_take_stops_before_anything_runs(tmp_path: Path) -> None:
    text = (
        "inputs:\n  size: {type: string}\n"
        f"steps:\n  photo: {{kind: generate_image, model: {PAINTER}, prompt: x, size: '{{{{ inputs.size }}}}'}}\n"
    )

    with pytest.raises(UsageError, match=r"The step photo cannot run with these inputs: .*has no size 9x9"):
        planned(tmp_path, text, size="9x9")


def test_only_listed_variables_are_read(tmp_path: Path) -> None:
    text = (
        "env: [SHOP, ABSENT]\nsteps:\n"
        f"  a: {{kind: generate_text, model: {WRITER}, prompt: 'For {{{{ env.SHOP }}}}.'}}\n"
    )

    found = planned(tmp_path, text)

    assert found.env == {"SHOP": "Leaf & Co"}
    assert isinstance(found.steps[0].preview, Chat)
    assert found.steps[0].preview.body["messages"][0]["content"] == "For Leaf & Co."


# -- seeds ------------------------------------------------------------------------------------------


def test_a_derived_seed_is_the_same_in_every_run() -> None:
    assert derived_seed("product-card", Cell("seasonal")) == 55934549


def test_every_cell_has_a_seed_of_its_own() -> None:
    seeds = {
        derived_seed(pipeline, Cell(step, key), sample)
        for pipeline in ("a", "b")
        for step in ("photo", "warm")
        for key in (None, "x", "y")
        for sample in (0, 1)
    }

    assert len(seeds) == 24
    assert all(0 <= seed < 2**31 for seed in seeds)


def test_a_seed_is_given_only_where_the_model_takes_one_and_the_author_gave_none(tmp_path: Path) -> None:
    found = planned(
        tmp_path,
        "steps:\n"
        f"  a: {{kind: generate_text, model: {WRITER}, prompt: x}}\n"
        "  b: {kind: generate_image, model: qwen/qwen-image, prompt: x}\n"
        "  c: {kind: generate_image, model: abc123def456, prompt: x}\n"
        "  d: {kind: edit_image, model: bytedance/seedream-4.0-edit, image: 'https://x.org/a.png', prompt: x}\n",
    )

    seeded = [step.id for step in found.steps if "seed" in with_seed("tea", step, Cell(step.id), {})]

    assert seeded == ["b"]
    assert with_seed("tea", found.steps[1], Cell("b"), {"seed": 7}) == {"seed": 7}


# -- rendering --------------------------------------------------------------------------------------


def test_a_step_is_rendered_with_what_is_there(tmp_path: Path) -> None:
    found = planned(
        tmp_path,
        f"steps:\n  first: {{kind: generate_text, model: {WRITER}, prompt: x}}\n"
        "  facts: {kind: parse_json, text: '{{ steps.first.text }}', schema: {const: '{{ not a template }}'}}\n",
    )

    params = render(found.steps[1], {**found.names("r1"), "steps": {"first": {"text": "42"}}})

    assert params == {"text": "42", "schema": {"const": "{{ not a template }}"}}


def test_pictures_are_put_in_their_places(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"x")
    photo = Artifact(sha256="ab" * 32, media_type="image/png", bytes=3, path="/store/a")
    found = planned(
        tmp_path,
        "inputs:\n  photo: {type: image, default: a.png}\n"
        "steps:\n  b: {kind: edit_image, model: bytedance/seedream-4.0-edit, images: [a.png], prompt: warmer}\n",
    )

    filled = found.with_files(dict.fromkeys(found.files, photo))

    assert set(found.files) == {"a.png", str(tmp_path / "a.png")}
    assert filled.inputs == {"photo": photo}
    assert filled.steps[0].params["images"] == [photo]
    assert filled.steps[0].kind is KINDS["edit_image"]


# -- inputs -----------------------------------------------------------------------------------------

DECLARED = {
    "text": Input("text", "string", {"type": "string"}, "What to say", required=True),
    "season": Input("season", "string", {"enum": ["spring", "autumn"]}, default="autumn", required=False),
    "count": Input("count", "integer", {"type": "integer", "maximum": 9}, default=3, required=False),
    "price": Input("price", "number", {"type": "number"}, default=None, required=False),
    "flag": Input("flag", "boolean", {"type": "boolean"}, default=False, required=False),
    "words": Input("words", "list", {"type": "array", "items": {"type": "string"}}, default=[], required=False),
    "data": Input("data", "object", {"type": "object"}, default={}, required=False),
    "photo": Input("photo", "image", {"artifact": "image"}, default=None, required=False),
}  # fmt: skip


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("text", "16:9", "16:9"),
        ("text", "3", "3"),
        ("text", "", ""),
        ("text", "a=b=c", "a=b=c"),
        ("text", "{{ inputs.x }}", "{{ inputs.x }}"),
        ("season", "spring", "spring"),
        ("count", "7", 7),
        ("count", "0x7", 7),
        ("price", "7", 7),
        ("price", "1.10", 1.1),
        ("price", "1e3", 1000.0),
        ("flag", "true", True),
        ("flag", "False", False),
        ("words", '["a", "b"]', ["a", "b"]),
        ("words", "[a, b]", ["a", "b"]),
        ("words", "[]", []),
        ("data", '{"a": [1, null]}', {"a": [1, None]}),
        ("data", "a: 1", {"a": 1}),
        ("photo", "pictures/a.png", "pictures/a.png"),
    ],
)
def test_a_typed_value_is_of_the_type_that_is_declared(name: str, text: str, value: Any) -> None:
    found = read_inputs(DECLARED, {"text": "x"} if name != "text" else {}, {name: text})[name]

    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize(
    ("typed", "words"),
    [
        ({}, "The pipeline needs an input: text (What to say). Write -i text=…."),
        ({"text": "x", "seasn": "spring"}, "The pipeline has no input seasn. Did you mean season?"),
        ({"text": "x", "zzz": "1"}, "The pipeline has no input zzz. Known here: text, season"),
        (
            {"text": "x", "season": "autum"},
            "The input season does not fit. season cannot be autum. Did you mean autumn?",
        ),
        ({"text": "x", "count": "many"}, "The input count must be an integer, not 'many'."),
        ({"text": "x", "count": "2.5"}, "The input count must be an integer, not '2.5'."),
        ({"text": "x", "count": "true"}, "The input count must be an integer, not 'true'."),
        ({"text": "x", "count": ""}, "The input count must be an integer, not ''."),
        ({"text": "x", "count": "10"}, "count cannot be 10. It must be at most 9."),
        ({"text": "x", "count": "9" * 5000}, "The input count must be an integer"),
        ({"text": "x", "price": "free"}, "The input price must be a number, not 'free'."),
        ({"text": "x", "price": ".inf"}, "The input price must be a number, not '.inf'."),
        ({"text": "x", "price": "1e999"}, "The input price must be a number, not '1e999'."),
        ({"text": "x", "flag": "yes"}, "The input flag must be true or false, not 'yes'."),
        ({"text": "x", "words": "a"}, "words must be a list; this is the text a. Write -i 'words=[a]'."),
        ({"text": "x", "words": "[1]"}, "words[0] must be text; this is the integer 1."),
        ({"text": "x", "words": "[a"}, "The input words must be a list as JSON or YAML: This [ is not closed"),
        ({"text": "x", "data": "[1]"}, "data must be a mapping; this is a list."),
        ({"text": "x", "data": ""}, "The input data must be a mapping as JSON or YAML: nothing is given."),
        ({"text": "\ud800"}, "The input text is not text in UTF-8."),
    ],
)
def test_a_typed_value_that_does_not_fit_says_why(typed: dict[str, str], words: str) -> None:
    with pytest.raises(UsageError) as caught:
        read_inputs(DECLARED, {}, typed)

    assert words in str(caught.value)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"text": 3}, "text must be text; this is the integer 3."),
        ({"text": "x", "count": "3"}, "count must be an integer; this is the text 3. Remove the quotes."),
        ({"text": "x", "photo": 3}, "photo is a file. Write its path or its URL."),
        ({"text": None}, "text is empty."),
        ({"text": "x", "other": 1}, "The pipeline has no input other."),
    ],
)
def test_a_value_of_an_inputs_file_that_does_not_fit_says_why(given: dict[str, Any], words: str) -> None:
    with pytest.raises(UsageError) as caught:
        read_inputs(DECLARED, given, {})

    assert words in str(caught.value)


def test_what_is_typed_wins_over_the_file_and_the_file_over_the_default() -> None:
    found = read_inputs(DECLARED, {"text": "file", "count": 5, "season": "spring"}, {"text": "typed"})

    assert found == {
        "text": "typed",
        "season": "spring",
        "count": 5,
        "price": None,
        "flag": False,
        "words": [],
        "data": {},
        "photo": None,
    }


# -- inputs in a file -------------------------------------------------------------------------------

OF_A_SHOP = """\
name: shop
inputs:
  season: {type: string, enum: [winter, spring]}
  teas: {type: list, default: []}
  photo: {type: image, default: cup.png}
steps:
  edit: {kind: edit_image, model: qwen/qwen-image-edit, image: "{{ inputs.photo }}", prompt: "{{ inputs.season }}"}
  line: {kind: render_text, text: "{{ inputs.teas | join(', ') }}"}
outputs: {edit.png: "{{ steps.edit.image }}", line.txt: "{{ steps.line.text }}"}
"""


SESAON = """\
in.yaml:1:1: The pipeline has no input sesaon. [E104 unknown-input]
    1 | sesaon: winter
      | ^^^^^^
      = Did you mean season?
"""


@pytest.fixture
def shop(cli: Cli, tmp_path: Path) -> Path:
    (tmp_path / "shop.yaml").write_text(OF_A_SHOP)
    Image.new("RGB", (8, 8)).save(tmp_path / "cup.png")
    return tmp_path


@pytest.mark.parametrize(
    ("name", "text", "told"),
    [
        ("in.yaml", "sesaon: winter\n", SESAON),
        ("in.yaml", "# of May\nseason: summer\n", "in.yaml:2:9: season cannot be summer. [E209 input]\n"),
        ("in.json", '{\n"season": "summer"\n}', "in.json:2:11: season cannot be summer. [E209 input]\n"),
        ("in.json", '{\n\t"season": "summer"\n}', ": season cannot be summer. [E209 input]\n"),
        ("in.yaml", "season: winter\nphoto: jug.png\n", "in.yaml:2:8: There is no file jug.png. [E211 file]\n"),
        ("in.yaml", "season: winter\nteas:\n  earl grey\n  sencha\n",
         "      = Write a dash before each line, - earl grey, or [earl grey, sencha].\n"),
    ],
)  # fmt: skip
def test_a_mistake_in_a_file_of_inputs_is_told_in_its_place(
    cli: Cli, shop: Path, name: str, text: str, told: str
) -> None:
    (shop / name).write_text(text)

    done = cli("plan", "shop.yaml", "--inputs", name)

    assert done.code == 2
    assert told in done.err
    assert "\n1 problem. " in done.err


@pytest.mark.parametrize(
    ("name", "text", "told"),
    [
        ("teas.txt", "earl grey\nsencha\n", "Write teas: and under it the items, each on a line of its own behind"),
        (
            "teas.csv",
            "name,price\nsencha,7\n",
            "The inputs file teas.csv is a table. Inputs are read from YAML or JSON",
        ),
        (
            "teas.csv",
            "name, 'price'\n\"a\"b\n",
            "The inputs file teas.csv is a table. Inputs are read from YAML or JSON",
        ),
        ("teas.yaml", "- sencha\n", "Write teas: above the list."),
    ],
)
def test_a_file_that_is_no_mapping_of_inputs_is_told_with_what_to_write(
    cli: Cli, shop: Path, name: str, text: str, told: str
) -> None:
    (shop / name).write_text(text)

    done = cli("plan", "shop.yaml", "--inputs", name)

    assert done.code == 2
    assert told in done.err


def test_what_is_typed_counts_in_place_of_what_a_file_of_inputs_says(cli: Cli, shop: Path) -> None:
    (shop / "in.yaml").write_text("season: summer\nphoto: jug.png\n")

    done = cli("plan", "shop.yaml", "--inputs", "in.yaml", "-i", "season=winter", "-i", "photo=cup.png")

    assert done.code == 0
