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


RATIO = f'{PICTURE}, prompt: x, aspect_ratio: "{{{{ %s }}}}"'


@pytest.mark.parametrize(
    "step",
    [
        RATIO % "matrix.r" + ', matrix: {r: ["1:1", "4:3"]}',
        RATIO % "matrix.r" + ', matrix: {r: ["1:1", "16:9"], exclude: [{r: "16:9"}]}',
        RATIO % "matrix.r" + """, when: "{{ matrix.r != '16:9' }}", matrix: {r: ["1:1", "16:9"]}""",
        RATIO % "'1:1' if item == 'a' else '4:3'" + ", foreach: [a, b]",
        RATIO % "inputs.words | first" + """, when: "{{ 'a' not in inputs.words }}\"""",
        "kind: render_text, foreach: [{a: x}, {b: y}], text: \"{{ item.a | d('z') }}{{ item.c | default('z') }}\"",
        'kind: render_text, foreach: [{a: x}, {b: y}], text: "{% if item.a is defined %}{{ item.a }}{% endif %}"',
        "kind: render_text, foreach: [{a: x}, {b: y}], text: \"{{ item.get('a', 'z') }}{{ item.a is none }}\"",
        'kind: render_text, foreach: [{a: x}, {b: y}], text: "{{ [item.a] | length }}{{ item.items() | list }}"',
        'kind: render_text, foreach: [ab, {a: x}], text: "{{ item[0] if item is string else item.a }}"',
        "kind: render_text, foreach: [a, null], text: \"{{ item | default('none', true) }}\"",
        "kind: render_text, matrix: {x: [a, b], include: [{x: a, y: c}]}, text: \"{{ matrix.y | default('d') }}\"",
        'kind: render_text, matrix: {x: [a], include: [{x: a, y: c}]}, text: "{{ matrix.y }}"',
        'kind: render_text, matrix: {x: [1, 2, a], exclude: [{x: 1.0}, {x: a}]}, text: "{{ matrix.x }}"',
        "kind: render_text, when: \"{{ inputs.words or 'b' in inputs.words }}\", text: \"{{ inputs.count or 'b' }}\"",
        "kind: render_text, text: \"{% for w in inputs.words %}{{ loop.cycle('a', 'b') }}{% endfor %}\"",
        'kind: render_text, text: "{% for w in [1, 2] %}{{ loop.nextitem if not loop.last }}{% endfor %}"',
        "kind: render_text, text: \"{% for k in steps.text %}{{ k }}{% endfor %}{{ steps.text['text'] }}\"",
        "kind: render_text, text: \"{# a comment #}{{ '{#' }} {count}\"",
    ],
)
def test_what_may_work_has_no_problem(cli: Cli, tmp_path: Path, step: str) -> None:
    assert problems(tmp_path, step) == []
    assert cli("run", tmp_path / "tea.yaml", "--local=emulator", "--quiet").code == 0 or "when:" in step


def test_a_null_that_is_needed_stops_a_run_before_anything_is_sent(cli: Cli, tmp_path: Path) -> None:
    path = tmp_path / "tea.yaml"
    for param, words in (
        ("seed: '{{ inputs.none }}'", "none is null. seed must be an integer; the template yields null."),
        ("negative_prompt: 'no {{ inputs.none }}'", "none is null. negative_prompt: the value is null"),
    ):
        path.write_text(
            "name: tea\ninputs: {none: {type: integer, default: null}}\nsteps:\n"
            f"  shot: {{{PICTURE}, prompt: x, {param}}}\n"
            f"  other: {{{PICTURE}, prompt: x, when: '{{{{ inputs.none is not none }}}}', {param}}}\n"
        )

        refused = cli("run", path, "--local=emulator", "--quiet")
        given = cli("run", path, "--local=emulator", "--quiet", "-i", "none=3")

        assert (refused.code, given.code) == (2, 0)
        assert f"The step shot cannot run with these inputs: {words}" in refused.err


def test_a_null_is_left_to_steps_that_are_skipped_with_what_they_need(cli: Cli, tmp_path: Path) -> None:
    path = tmp_path / "tea.yaml"
    path.write_text(
        "name: tea\ninputs: {photo: {type: image, default: null}}\nsteps:\n"
        "  first: {kind: render_text, when: '{{ inputs.photo is not none }}', text: x}\n"
        "  then: {kind: edit_image, model: qwen/qwen-image-edit, prompt: '{{ steps.first.text }}',"
        " image: '{{ inputs.photo }}'}\n  last: {kind: render_text, text: y}\n"
    )

    assert cli("run", path, "--local=emulator", "--quiet").code == 0


def test_steps_of_other_cells_are_told_as_the_reason_of_an_output_that_is_not_there(cli: Cli, tmp_path: Path) -> None:
    more = """\
  others: {kind: render_text, foreach: "{{ inputs.words + ['c'] }}", text: "{{ item }}"}
outputs: {"{key}.txt": "{{ steps.texts.text }} {{ steps.others.text }}"}
"""
    told = problems(tmp_path, "kind: render_text, text: x", more)

    whole = cli("run", tmp_path / "tea.yaml", "--local=emulator", "--out", tmp_path / "out")
    lacking = cli("run", tmp_path / "tea.yaml", "--local=emulator", "-i", "words=[a, d]")

    assert told == []
    assert whole.code == 0
    assert "not made: b.txt: others has no cell b; it has a, d, c" in lacking.out
