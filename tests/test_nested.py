"""Pipelines in pipelines: their steps run with all others, under the id of the cell that runs them."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import anyio
import pytest

from runner import app, loading
from runner.options import Options

from .conftest import Cli

INNER = """\
name: inner
inputs:
  thing: {type: string}
  photo: {type: image, default: null}
steps:
  words: {kind: generate_text, model: qwen/qwen3-32b-awq, prompt: "Describe {{ inputs.thing }}"}
  picture: {kind: generate_image, model: pruna/p-image-t2i, prompt: "{{ inputs.thing }}"}
  warm:
    kind: edit_image
    model: qwen/qwen-image-edit
    when: "{{ inputs.photo is not none }}"
    image: "{{ inputs.photo }}"
    prompt: warmer
outputs:
  text: "{{ steps.words.text }}"
  picture.png: "{{ steps.picture.image }}"
"""
OUTER = """\
name: outer
steps:
  each:
    kind: run_pipeline
    foreach: [teapot, bicycle]
    file: parts/inner.yaml
    inputs: {thing: "{{ item }}"}
  edit:
    kind: edit_image
    foreach: "{{ steps.each }}"
    model: qwen/qwen-image-edit
    image: "{{ item.outputs['picture.png'] }}"
    prompt: in the snow
outputs:
  "{key}.png": "{{ steps.edit.image }}"
  words.json: "{{ steps.each | map(attribute='outputs') | map(attribute='text') | list }}"
"""


@pytest.fixture
def outer(tmp_path: Path) -> Path:
    (tmp_path / ".git").mkdir()
    (tmp_path / "parts").mkdir()
    (tmp_path / "parts" / "inner.yaml").write_text(INNER)
    path = tmp_path / "outer.yaml"
    path.write_text(OUTER)
    return path


def state(cli: Cli, *arguments: object) -> dict[str, Any]:
    done = cli("run", *arguments, "--local", "--json")
    found: dict[str, Any] = json.loads(done.out)
    return found


def ends(said: dict[str, Any]) -> dict[str, str]:
    return {cell["cell"]: cell["state"] for cell in said["cells"]}


def test_each_cell_runs_the_pipeline_and_what_follows_it_reads_its_outputs(cli: Cli, outer: Path) -> None:
    said = state(cli, outer)

    assert said["outcome"] == "done"
    assert ends(said) == {
        "each[teapot]": "done", "each[teapot]/words": "done", "each[teapot]/picture": "done",
        "each[teapot]/warm": "skipped", "edit[teapot]": "done",
        "each[bicycle]": "done", "each[bicycle]/words": "done", "each[bicycle]/picture": "done",
        "each[bicycle]/warm": "skipped", "edit[bicycle]": "done",
    }  # fmt: skip
    assert len(json.loads(Path("out/outer/words.json").read_text())) == 2
    assert Path("out/outer/bicycle.png").stat().st_size > 1000


def test_what_the_pipeline_cost_is_counted_once(cli: Cli, outer: Path) -> None:
    said = state(cli, outer)

    inside = sum(cell["cost"] for cell in said["cells"] if "/" in cell["cell"])
    around = sum(cell["cost"] for cell in said["cells"] if cell["cell"].startswith("edit"))
    assert said["cost"] == pytest.approx(inside + around, abs=1e-5)
    each = next(cell for cell in said["cells"] if cell["cell"] == "each[teapot]")
    assert each["output"]["cost"] > 0


def test_what_the_pipeline_made_on_its_own_is_not_paid_again_inside_another(cli: Cli, outer: Path) -> None:
    cli("run", "parts/inner.yaml", "--local", "-i", "thing=teapot")

    said = ends(state(cli, outer))

    assert said["each[teapot]/picture"] == said["each[teapot]/words"] == "cached"
    assert said["each[bicycle]/picture"] == "done"


def test_a_file_of_a_step_is_an_input_of_the_pipeline(cli: Cli, outer: Path) -> None:
    outer.write_text(
        "name: outer\nsteps:\n"
        "  first: {kind: generate_image, model: pruna/p-image-t2i, prompt: a teapot}\n"
        "  each: {kind: run_pipeline, file: parts/inner.yaml, "
        'inputs: {thing: cup, photo: "{{ steps.first.image }}"}}\n'
    )

    said = ends(state(cli, outer))

    assert said["each/warm"] == "done"


def test_a_step_that_fails_inside_fails_the_cell_and_nothing_beside_it(cli: Cli, outer: Path) -> None:
    inner = outer.parent / "parts" / "inner.yaml"
    inner.write_text(
        INNER.replace("a.b", "").replace(
            'prompt: "{{ inputs.thing }}"}', 'prompt: "{{ 1 // (inputs.thing|length - 7) }}"}'
        )
    )

    said = state(cli, outer)

    found = ends(said)
    assert (found["each[bicycle]"], found["edit[bicycle]"]) == ("failed", "blocked")
    assert (found["each[teapot]"], found["edit[teapot]"]) == ("done", "done")
    told = next(cell["message"] for cell in said["cells"] if cell["cell"] == "each[bicycle]")
    assert "parts/inner.yaml did not make picture.png: it needs picture" in told


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_it_runs_on_both_event_loops(outer: Path, tmp_path: Path, backend: str) -> None:
    options = Options(local=True, out=tmp_path / "out")

    done = anyio.run(app.run, loading.read(outer), loading.Given(), options, _nothing, _nothing, backend=backend)

    assert done.exit_code == 0


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ("{kind: run_pipeline, file: parts/none.yaml}", 3, "There is no file parts/none.yaml"),
        ("{kind: run_pipeline, file: parts/inner.yaml}", 3, "inner needs the input thing"),
        ("{kind: run_pipeline, file: parts/inner.yaml, inputs: {thing: x, thng: y}}", 3, "inner has no input thng"),
        ("{kind: run_pipeline, file: parts/inner.yaml, inputs: {thing: [1]}}", 3, "thing"),
        ("{kind: run_pipeline, file: parts/inner.yaml, inputs: {thing: x, photo: a.png}}", 3, "photo needs a file"),
        ("{kind: run_pipeline, file: outer.yaml}", 3, "outer.yaml runs this pipeline"),
    ],
)
def test_what_is_wrong_is_told_before_anything_runs(outer: Path, text: str, line: int, words: str) -> None:
    outer.write_text(f"name: outer\nsteps:\n  a: {text}\n")

    problems = loading.read(outer).problems

    assert [problem.mark.line for problem in problems] == [line]
    assert words in problems[0].message


def test_a_problem_of_the_other_pipeline_is_told_where_it_is(outer: Path) -> None:
    inner = outer.parent / "parts" / "inner.yaml"
    inner.write_text(INNER.replace("steps.words.text", "steps.words.txt"))

    problems = loading.read(outer).problems

    assert [(Path(problem.mark.file).name, problem.mark.line) for problem in problems] == [("inner.yaml", 15)]


def test_pipelines_that_run_each_other_are_a_loop(outer: Path) -> None:
    inner = outer.parent / "parts" / "inner.yaml"
    inner.write_text("name: inner\nsteps:\n  a: {kind: run_pipeline, file: ../outer.yaml}\n")

    problems = loading.read(outer).problems

    assert len(problems) == 1
    assert "runs this pipeline" in problems[0].message


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ("foreach: [teapot, [a]]\n    inputs: {thing: '{{ item }}'}", r'this is a list.*\(item: \["a"\]\)'),
        ("inputs: {thing: '{{ inputs.what }}'}", "thing must be text; this is the integer 3"),
    ],
)
def test_an_input_that_is_known_and_does_not_fit_is_told_before_anything_is_sent(
    cli: Cli, outer: Path, given: str, words: str
) -> None:
    """The first step would cost something, and only then the pipeline would refuse what it is given."""
    outer.write_text(
        "name: outer\ninputs: {what: {type: integer, default: 3}}\nsteps:\n"
        "  first: {kind: generate_text, model: qwen/qwen3-32b-awq, prompt: hi}\n"
        f"  each:\n    kind: run_pipeline\n    file: parts/inner.yaml\n    needs: [first]\n    {given}\n"
    )

    done = cli("run", outer, "--local")

    assert done.code == 2
    assert re.search(words, done.err)
    assert not (outer.parent / ".runner" / "runs").exists()


def test_what_only_the_run_will_know_does_not_stop_it(cli: Cli, outer: Path) -> None:
    outer.write_text(
        "name: outer\nsteps:\n  first: {kind: generate_text, model: qwen/qwen3-32b-awq, prompt: hi}\n"
        "  each:\n    kind: run_pipeline\n    file: parts/inner.yaml\n    inputs: {thing: '{{ steps.first.text }}'}\n"
    )

    assert cli("run", outer, "--local").code == 0


def test_a_file_of_the_other_pipeline_that_cannot_be_used_is_told_before_anything_is_sent(
    cli: Cli, outer: Path
) -> None:
    inner = outer.parent / "parts" / "inner.yaml"
    inner.write_text(INNER.replace('image: "{{ inputs.photo }}"', "image: notes.png"))
    (outer.parent / "parts" / "notes.png").write_text("not a picture")

    done = cli("run", outer, "--local")

    assert done.code == 2
    assert "notes.png" in done.err
    assert not (outer.parent / ".runner" / "runs").exists()


def test_warnings_of_the_other_pipeline_are_told_once_and_where_they_are(
    cli: Cli, outer: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    inner = outer.parent / "parts" / "inner.yaml"
    inner.write_text(INNER.replace("inputs:\n", "inputs:\n  unread: {type: string, default: x}\n", 1))
    outer.write_text(
        OUTER.replace(
            "outputs:\n", "  one: {kind: run_pipeline, file: parts/inner.yaml, inputs: {thing: x}}\noutputs:\n"
        )
    )
    monkeypatch.chdir(outer.parent)

    alone, both = cli("check", "outer.yaml"), cli("check", "outer.yaml", "parts/inner.yaml")

    for done in (alone, both):
        assert done.code == 0
        assert done.err.count("parts/inner.yaml:3:3: warning: Nothing reads the input unread.") == 1


def test_a_name_that_the_pipeline_does_not_make_is_found_before_anything_runs(outer: Path) -> None:
    outer.write_text(OUTER.replace("item.outputs['picture.png']", "steps.each['teapot'].outputs['pictur.png']"))

    problems = loading.read(outer).problems

    assert len(problems) == 1
    assert "pictur.png" in problems[0].message


def test_a_budget_also_counts_what_is_paid_inside(cli: Cli, outer: Path) -> None:
    outer.write_text(OUTER.replace("name: outer\n", "name: outer\nbudget: {usd: 0.006}\n"))

    done = cli("run", outer, "--local", "--json")

    assert done.code == 4
    assert json.loads(done.out)["cost"] <= 0.006


def test_a_cell_that_fails_stops_its_step_where_that_is_said(cli: Cli, outer: Path) -> None:
    outer.write_text(
        "name: outer\nsteps:\n  each:\n    kind: run_pipeline\n    foreach: [1, 0, 2, 3]\n    at_once: 1\n"
        '    on_failure: stop\n    file: parts/inner.yaml\n    inputs: {thing: "{{ (4 // (item - 1)) | string }}"}\n'
    )

    said = ends(state(cli, outer))

    assert said["each[0]"] == "failed"
    assert [said[f"each[{n}]"] for n in (1, 2, 3)] == ["cancelled"] * 3


def test_a_pipeline_in_a_pipeline_keeps_its_own_budget_in_each_cell(cli: Cli, outer: Path) -> None:
    inner = outer.parent / "parts" / "inner.yaml"
    inner.write_text(INNER.replace("name: inner\n", "name: inner\nbudget: {images: 1, on_exceed: skip}\n"))

    said = state(cli, outer)

    assert {end for cell, end in ends(said).items() if cell.endswith("picture")} == {"done"}


def test_an_output_that_the_pipeline_itself_leaves_out_fails_nothing(cli: Cli, outer: Path) -> None:
    inner = outer.parent / "parts" / "inner.yaml"
    inner.write_text(f'{INNER}  warm.png: "{{{{ steps.warm.image }}}}"\n')
    outer.write_text(f"{OUTER}  one: \"{{{{ steps.each[0].outputs['warm.png'] | default('none') }}}}\"\n")

    said = state(cli, outer)

    assert {ends(said)[f"each[{key}]"] for key in ("teapot", "bicycle")} == {"done"}
    assert said["outcome"] == "done"


def test_an_output_that_a_budget_leaves_out_fails_the_pipeline(cli: Cli, outer: Path) -> None:
    outer.write_text(OUTER.replace("inputs: {thing", "budget: {images: 1, on_exceed: skip}\n    inputs: {thing"))

    said = state(cli, outer)

    assert sorted(ends(said)[f"each[{key}]"] for key in ("teapot", "bicycle")) == ["done", "failed"]
    assert said["outcome"] == "failed"


def test_a_budget_of_a_step_counts_all_that_its_pipelines_do(cli: Cli, outer: Path) -> None:
    outer.write_text(OUTER.replace("inputs: {thing", "budget: {images: 1, on_exceed: skip}\n    inputs: {thing"))

    said = state(cli, outer)

    assert sorted(end for cell, end in ends(said).items() if cell.endswith("picture")) == ["done", "skipped"]


def test_cells_of_a_pipeline_in_a_pipeline_are_locked_too(cli: Cli, outer: Path) -> None:
    cli("run", outer, "--local", "--lock")

    done = cli("run", outer, "--local", "--locked")

    assert done.code == 0
    assert "each[teapot]/picture" in app.read_lock(outer).cells


def _nothing(_: object) -> None:
    pass
