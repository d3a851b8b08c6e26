"""Warnings: what is right as it stands and perhaps not meant; and never where it is."""

from __future__ import annotations

from pathlib import Path

import pytest

from runner import loading

from .conftest import REPO

LOCK = "format: 1\npipeline: tea\ncells: {}\n"
HEAD = """\
name: tea
inputs:
  leaf: {type: string, default: oolong}
steps:
  photo: {kind: generate_image, model: qwen/qwen-image, prompt: "A cup of {{ inputs.leaf }}."}
"""


def doubts(folder: Path, text: str) -> list[tuple[str, str]]:
    file = folder / "tea.yaml"
    file.write_text(text)
    found = loading.read(file).problems
    assert all(problem.warning for problem in found), found
    return [(problem.code, problem.mark.text[problem.mark.column - 1 :][: problem.mark.length]) for problem in found]


@pytest.mark.parametrize(
    "more",
    [
        pytest.param('outputs:\n  tea.png: "{{ steps.photo.image }}"\n', id="an output"),
        pytest.param("", id="no outputs at all"),
        pytest.param('outputs:\n  all: "{{ steps | length }}"\n', id="all steps at once"),
        pytest.param(
            '  night: {kind: edit_image, model: qwen/qwen-image-edit, image: "{{ steps.photo.image }}", prompt: Dusk}\n'
            'outputs:\n  night.png: "{{ steps.night.image }}"\n',
            id="read by another",
        ),
        pytest.param(
            "  draft: {kind: generate_text, model: qwen/qwen3-32b-awq, prompt: A line., after: [photo]}\n"
            'outputs:\n  tea.txt: "{{ steps.draft.text }}"\n',
            id="awaited by another",
        ),
        pytest.param(
            "  draft: {kind: generate_text, model: qwen/qwen3-32b-awq, prompt: A line., "
            "when: \"{{ steps.photo.seed == 1 }}\"}\noutputs:\n  tea.txt: '{{ steps.draft.text }}'\n",
            id="read by a condition",
        ),
        pytest.param(
            "  told: {kind: call_endpoint, model: abc123def456gh, input: {done: true}}\n"
            'outputs:\n  tea.png: "{{ steps.photo.image }}"\n',
            id="a step that acts elsewhere",
        ),
    ],
)
def test_a_step_that_something_comes_of_is_no_doubt(tmp_path: Path, more: str) -> None:
    assert doubts(tmp_path, HEAD + more) == []


def test_a_step_that_nothing_comes_of_is_named(tmp_path: Path) -> None:
    text = HEAD + (
        "  draft: {kind: generate_text, model: qwen/qwen3-32b-awq, prompt: A line.}\n"
        'outputs:\n  tea.txt: "{{ steps.draft.text }}"\n'
    )

    assert doubts(tmp_path, text) == [("unused-step", "photo")]


@pytest.mark.parametrize(
    "read", ["{{ inputs['leaf'] }}", "{{ inputs | tojson }}", "{% for n in inputs %}{{ inputs[n] }}{% endfor %}"]
)
def test_an_input_may_be_read_in_any_way(tmp_path: Path, read: str) -> None:
    assert doubts(tmp_path, HEAD.replace("{{ inputs.leaf }}", read)) == []


def test_an_input_may_be_read_by_a_file_an_alias_or_an_output(tmp_path: Path) -> None:
    (tmp_path / "brief.md").write_text("A line on {{ inputs.leaf }}.\n")
    text = (
        "name: tea\ninputs:\n  leaf: {type: string}\n  tone: {type: string}\n  shop: {type: string}\n"
        "models:\n  writer: {model: qwen/qwen3-32b-awq, system: 'Be {{ inputs.tone }}.'}\n"
        "steps:\n  draft: {kind: generate_text, model: writer, prompt: {file: brief.md}}\n"
        "outputs:\n  tea.txt: '{{ steps.draft.text }} by {{ inputs.shop }}'\n"
    )

    assert doubts(tmp_path, text) == []


def test_an_input_that_nothing_reads_is_named(tmp_path: Path) -> None:
    text = HEAD.replace("steps:", "  season: {type: string, default: winter}\nsteps:")

    assert doubts(tmp_path, text) == [("unused-input", "season")]


def test_a_seed_is_in_doubt_only_where_there_is_a_lock(tmp_path: Path) -> None:
    without = doubts(tmp_path, HEAD)
    (tmp_path / "tea.lock.yaml").write_text(LOCK)

    assert without == []
    assert doubts(tmp_path, HEAD) == [("open-seed", "photo")]


def test_the_lock_of_a_profile_is_a_lock(tmp_path: Path) -> None:
    text = HEAD.replace("steps:", "profiles: {draft: {deadline: 60}, final: {deadline: 90}}\nsteps:")
    (tmp_path / "tea.draft.lock.yaml").write_text(LOCK)

    of_one = doubts(tmp_path, text)
    (tmp_path / "tea.lock.yaml").write_text(LOCK)

    assert of_one == [("open-seed", "photo")]
    assert doubts(tmp_path, text) == [("open-seed", "photo")]


@pytest.mark.parametrize(
    "step",
    [
        pytest.param("{kind: generate_image, model: qwen/qwen-image, prompt: Tea., seed: 7}", id="fixed"),
        pytest.param("{kind: generate_image, model: mine, prompt: Tea.}", id="fixed by its alias"),
        pytest.param("{kind: generate_text, model: qwen/qwen3-32b-awq, prompt: A line.}", id="a text has none"),
        pytest.param("{kind: generate_image, model: abc123def456gh, prompt: Tea.}", id="a private endpoint has none"),
    ],
)
def test_a_seed_is_in_doubt_only_where_one_is_derived(tmp_path: Path, step: str) -> None:
    (tmp_path / "tea.lock.yaml").write_text(LOCK)

    assert (
        doubts(tmp_path, f"name: tea\nmodels: {{mine: {{model: qwen/qwen-image, seed: 3}}}}\nsteps:\n  a: {step}\n")
        == []
    )


def test_what_is_read_is_not_told_while_there_are_problems(tmp_path: Path) -> None:
    file = tmp_path / "tea.yaml"
    file.write_text(HEAD.replace("inputs.leaf }}", "inputs.laef }}"))

    assert [problem.code for problem in loading.read(file).problems] == ["unknown-input"]


PIPELINES = sorted(p for p in (REPO / "pipelines").glob("*.yaml") if ".test" not in p.suffixes)


@pytest.mark.parametrize("path", PIPELINES, ids=lambda path: path.name)
def test_a_pipeline_that_we_ship_leaves_no_doubt(path: Path) -> None:
    assert loading.read(path).problems == ()
