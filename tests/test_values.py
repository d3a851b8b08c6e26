"""What the checker knows of values: what works has no problem, and a list of pictures may come from one template."""

import json
from pathlib import Path

import pytest

from runner import loading

from .conftest import Cli

HEAD = """\
name: tea
inputs:
  count: {type: integer, default: 3}
  words: {type: list, default: [a, b]}
steps:
  text: {kind: render_text, text: "tea"}
  texts: {kind: render_text, foreach: [a, b], text: "{{ item }}"}
  shot: {kind: generate_image, model: qwen/qwen-image, prompt: a teapot}
  shots: {kind: generate_image, model: qwen/qwen-image, foreach: [a, b], prompt: "{{ item }}"}
  it: """
PICTURE = "kind: generate_image, model: qwen/qwen-image"
BLEND = "kind: edit_image, model: google/nano-banana-edit, prompt: Side by side."


def problems(folder: Path, step: str, more: str = "") -> list[str]:
    path = folder / "tea.yaml"
    path.write_text(f"{HEAD}{{{step}}}\n{more}")
    return [str(problem) for problem in loading.read(path).problems if not problem.warning]


@pytest.mark.parametrize(
    "seed",
    ["1 + 1", "100 + inputs.count", "inputs.count * 400", "inputs.words | length - 1", "7 // 2", "7 % 2", "3 - 1",
     "+inputs.count", "inputs.words[0] | int - 1"],
)  # fmt: skip
def test_whole_numbers_that_are_counted_with_stay_whole(tmp_path: Path, seed: str) -> None:
    assert problems(tmp_path, f'{PICTURE}, prompt: x, seed: "{{{{ {seed} }}}}"') == []


@pytest.mark.parametrize(
    "images",
    ["[steps.shot.image]", "[steps.shots[0].image, steps.shots['b'].image]",
     "steps.shots | map(attribute='image') | list"],
)  # fmt: skip
def test_a_list_of_pictures_may_come_from_one_template(cli: Cli, tmp_path: Path, images: str) -> None:
    step = f'{BLEND}, images: "{{{{ {images} }}}}"'

    told = problems(tmp_path, step, 'outputs: {a.png: "{{ steps.it.image }}"}')
    plan = json.loads(cli("plan", tmp_path / "tea.yaml", "--json").out)
    run = cli("run", tmp_path / "tea.yaml", "--local=emulator", "--quiet")

    assert told == []
    assert plan["steps"][-1]["call"]["input"]["images"]
    assert plan["steps"][-1]["most_usd"] == pytest.approx(0.038)
    assert run.code == 0


def test_as_many_pictures_are_planned_as_a_list_holds(cli: Cli, tmp_path: Path) -> None:
    problems(tmp_path, f'{BLEND}, images: "{{{{ [steps.shot.image, steps.shots[0].image] }}}}"')

    plan = json.loads(cli("plan", tmp_path / "tea.yaml", "--json").out)

    assert len(plan["steps"][-1]["call"]["input"]["images"]) == 2


def test_an_empty_list_of_pictures_is_not_sent(cli: Cli, tmp_path: Path) -> None:
    none = "steps.shots | selectattr('index', 'gt', 5) | map(attribute='image') | list"
    told = problems(tmp_path, f'{BLEND}, images: "{{{{ {none} }}}}"')

    run = cli("run", tmp_path / "tea.yaml", "--local=emulator", "--quiet")

    assert told == []
    assert "images needs an image or several; the template yields an empty list" in run.err


@pytest.mark.parametrize(
    "text",
    ["{{ steps.text | tojson }} {{ steps.texts | tojson }} {{ steps | tojson }}",
     "{{ steps.texts | map(attribute='text') | join(', ') }} {{ steps.texts | length }}",
     "{% for cell in steps.texts %}{{ cell.text }}{% endfor %} {{ steps.texts | map(attribute='key') | join }}",
     "{% set t = steps.text %}{{ t.text }} {{ 'a' if steps.text else 'b' }}"],
)  # fmt: skip
def test_what_reads_a_field_of_a_step_has_no_problem(tmp_path: Path, text: str) -> None:
    assert problems(tmp_path, f'kind: render_text, text: "{text}"') == []


def test_a_pattern_of_names_in_a_schema_is_what_the_names_of_fields_may_be(tmp_path: Path) -> None:
    schema = "{type: object, patternProperties: {'^x_': {type: string}}, additionalProperties: false}"
    more = f"""\
  facts: {{kind: parse_json, text: '{{}}', schema: {schema}}}
  read: {{kind: render_text, text: "{{{{ steps.facts.data.x_1 }}}}"}}
"""

    assert problems(tmp_path, "kind: render_text, text: x", more) == []
    assert len(problems(tmp_path, "kind: render_text, text: x", more.replace("x_1", "y_1"))) == 1


def test_outputs_named_by_cell_are_read_by_their_names(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "inner.yaml").write_text(
        "name: inner\ninputs: {words: {type: list}}\nsteps:\n"
        "  known: {kind: render_text, foreach: [a, b], text: '{{ item }}'}\n"
        "  some: {kind: render_text, foreach: '{{ inputs.words }}', text: '{{ item }}'}\n"
        "outputs:\n  'known/{key}.txt': '{{ steps.known.text }}'\n  'some-{index}-{key}.txt': '{{ steps.some.text }}'\n"
    )
    read = "{{ steps.it.outputs['known/b.txt'] }} {{ steps.it.outputs['some-0-q.txt'] }}"

    step = "kind: run_pipeline, file: inner.yaml, inputs: {words: [q]}"

    told = problems(tmp_path, step, f'outputs: {{a.txt: "{read}"}}')
    run = cli("run", tmp_path / "tea.yaml", "--local=emulator", "--quiet", "--out", tmp_path / "out")

    assert told == []
    assert run.code == 0
    assert (tmp_path / "out/a.txt").read_text() == "b q"
