"""A pipeline in which one line begins elsewhere, or is gone, in; one problem at that line out."""

import time

import pytest

from runner import outline
from runner.pipeline import load

from .conftest import REPO

STARTER = (REPO / "pipelines" / "product-card.yaml").read_text(encoding="utf-8")
LINES = STARTER.splitlines()
NAMES = [n for n, line in enumerate(LINES) if line in ("  draft:", "  facts:", "  photo:", "  seasonal:")]


def problems(text: str) -> list[tuple[str, int]]:
    _, found = load(text, "f.yaml", lambda name: name)
    return [(problem.code, problem.mark.line) for problem in found]


@pytest.mark.parametrize("columns", [0, 1, 3, 4, 5, 6])
@pytest.mark.parametrize("at", NAMES, ids=lambda at: LINES[at].strip(" :"))
def test_a_name_of_a_step_that_begins_elsewhere_is_told_at_its_line(at: int, columns: int) -> None:
    moved = [*LINES[:at], " " * columns + LINES[at].strip(), *LINES[at + 1 :]]

    assert problems("\n".join(moved)) == [("indentation", at + 1)]


@pytest.mark.parametrize("section", ["steps:", "inputs:", "outputs:"])
def test_a_section_that_is_gone_is_told_above_what_is_its(section: str) -> None:
    at = LINES.index(section)

    found = problems("\n".join([*LINES[:at], *LINES[at + 1 :]]))

    assert found == [("missing-key", at + 1)]


def test_what_else_is_wrong_is_told_with_it_at_its_own_place() -> None:
    text = STARTER.replace("steps:\n", "").replace("aspect_ratio", "aspect_ration").replace("{{ inputs.season }}", "{{")

    found = problems(text)

    lines = text.splitlines()
    assert [code for code, _ in found] == ["missing-key", "unknown-key", "template"]
    assert lines[found[1][1] - 1].strip().startswith("aspect_ration")


def test_lines_that_end_as_on_windows_are_told_at_their_place() -> None:
    assert problems(STARTER.replace("  photo:", "    photo:").replace("\n", "\r\n")) == [("indentation", NAMES[2] + 1)]


def test_a_pipeline_that_is_right_is_read_as_it_is() -> None:
    document, found = outline.read(STARTER, "f.yaml")

    assert found == []
    assert document is not None
    assert document.text == STARTER
    assert document.rewritings == ()


def test_an_output_that_looks_like_a_step_is_no_mistake() -> None:
    text = STARTER + "  steps.json: {kind: generate_image, model: any}\n"

    assert problems(text) == []


def test_a_large_pipeline_with_a_line_too_far_in_is_told_in_seconds() -> None:
    step = "  step_{}:\n    kind: render_text\n    text: hello\n\n"
    text = "name: many\nsteps:\n" + "".join(step.format(n) for n in range(400)).replace("  step_300", "    step_300")
    before = time.process_time()

    found = problems(text)

    assert found
    assert time.process_time() - before < 10
