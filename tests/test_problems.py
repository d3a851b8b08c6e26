"""Every mistake an author can make, and exactly what `runner check` says about it.

A case is two files in ``tests/mistakes``: ``NAME.yaml`` has one mistake, ``NAME.txt`` is what is said.
``WRITE_MISTAKES=1 pytest tests/test_problems.py`` writes the texts anew; read the diff.
"""

import functools
import os
import re
import time
from difflib import get_close_matches
from pathlib import Path
from random import Random

import jsonschema
import pytest

from runner import loading, source
from runner.errors import Mark, PipelineProblems, Problem, nearest
from runner.reports import problems as report
from runner.schema import pipeline_schema
from runner.validate import validate

MISTAKES = Path(__file__).parent / "mistakes"
NAMES = sorted(path.stem for path in MISTAKES.glob("*.yaml"))


def is_yaml(name: str) -> bool:
    try:
        source.parse((MISTAKES / f"{name}.yaml").read_text(encoding="utf-8"), name)
    except PipelineProblems:
        return False
    return True


@pytest.fixture
def folder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(MISTAKES)


def told(name: str) -> str:
    path = Path(f"{name}.yaml")
    return report.text(loading.read(path).problems).replace(str(loading.project(path)), "PROJECT") + "\n"


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.usefixtures("folder")
def test_a_mistake_is_told_in_exactly_these_words(name: str) -> None:
    expected = Path(f"{name}.txt")

    said = told(name)

    if os.environ.get("WRITE_MISTAKES"):
        expected.write_text(said, encoding="utf-8")
    assert said == expected.read_text(encoding="utf-8")


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.usefixtures("folder")
def test_a_mistake_is_one_problem_with_a_cure(name: str) -> None:
    problems = loading.read(Path(f"{name}.yaml")).problems

    assert len(problems) == 1
    assert problems[0].message.endswith(".")
    assert problems[0].instead


@functools.cache
def published(*, models: bool) -> jsonschema.Draft202012Validator:
    return jsonschema.Draft202012Validator(pipeline_schema(models=models))


@pytest.mark.parametrize("name", [name for name in NAMES if is_yaml(name)])
def test_the_published_schema_refuses_what_we_refuse_for_its_form(name: str) -> None:
    text = (MISTAKES / f"{name}.yaml").read_text(encoding="utf-8")
    ours, data = source.parse(text, name), source.parse(text, name).data

    found = validate(ours)

    assert bool(found) != published(models=False).is_valid(data)


@pytest.mark.parametrize("name", [name for name in NAMES if is_yaml(name)])
def test_what_each_model_takes_is_demanded_beside_the_form(name: str) -> None:
    data = source.parse((MISTAKES / f"{name}.yaml").read_text(encoding="utf-8"), name).data

    assert not published(models=True).is_valid(data) or published(models=False).is_valid(data)


def test_every_text_belongs_to_a_mistake() -> None:
    texts = {path.stem for path in MISTAKES.glob("*.txt")}

    assert texts == set(NAMES)
    assert len(NAMES) >= 40


def test_many_mistakes_are_told_at_once_in_the_order_of_the_file(tmp_path: Path) -> None:
    file = tmp_path / "many.yaml"
    file.write_text(
        "name: tea & cake\n"
        "colour: red\n"
        "inputs:\n"
        "  count: {type: integer, default: many}\n"
        "models:\n"
        "  painter: {model: black-forest-labs/flux-9}\n"
        "steps:\n"
        "  draft:\n"
        "    kind: generate_text\n"
        "    model: qwen/qwen3-32b-awq\n"
        "    prompt: A line about {{ inputs.leaf }} and {{ steps.nothing.text }}.\n"
        "    temperature: 9\n"
        "  photo:\n"
        "    kind: generate_image\n"
        "    model: qwen/qwen-image\n"
        "    prompt: '{{ steps.draft.txt }}'\n"
        "    aspect_ratio: 16:9\n"
        "    sede: 7\n"
        "  warm:\n"
        "    kind: edit_image\n"
        "    model: qwen/qwen-image-edit\n"
        "    image: '{{ steps.draft.text }}'\n"
        "    prompt: Make it {{ inputs.count + }}.\n"
        "outputs:\n"
        "  ../tea.txt: '{{ steps.draft.text }}'\n"
        "  tea.png: '{{ steps.draft.text }}'\n"
    )

    problems = loading.read(file).problems

    assert [(p.code, p.mark.line) for p in problems] == [
        ("value", 1),
        ("unknown-key", 2),
        ("input", 4),
        ("unknown-model", 6),
        ("unknown-input", 11),
        ("unknown-step", 11),
        ("model-value", 12),
        ("unknown-field", 16),
        ("model-value", 17),
        ("unknown-key", 18),
        ("type", 22),
        ("template", 23),
        ("output", 25),
        ("type", 26),
    ]


def test_each_key_that_is_missing_is_told_once(tmp_path: Path) -> None:
    path = tmp_path / "tea.yaml"
    path.write_text(
        "name: tea\nsteps:\n  a:\n    kind: generate_text\n    model: qwen/qwen3-32b-awq\n    prompt: hi\n"
        "    tools: {price: {returns: 1}, colour: {}}\n"
    )

    messages = [problem.message for problem in loading.read(path).problems]

    assert sorted(messages) == [
        "colour has no description.", "colour has no input.", "colour has no returns.",
        "price has no description.", "price has no input.",
    ]  # fmt: skip


@pytest.mark.parametrize("key", ["headers: {X-Team: a}", "policy: {ttl: 60000}", "base_url: 'http://localhost'"])
def test_what_belongs_to_a_model_is_told_where_it_belongs(tmp_path: Path, key: str) -> None:
    path = tmp_path / "tea.yaml"
    path.write_text(
        f"name: tea\nsteps:\n  a: {{kind: generate_image, model: qwen/qwen-image, prompt: hi, {key}}}\n"
        f"  b: {{kind: render_text, text: hi, {key}}}\n"
    )

    called, local = loading.read(path).problems

    assert called.instead.startswith("It belongs under models:, as mine: {model: …, " + key.split(":", maxsplit=1)[0])
    assert local.instead.startswith("Known here: ")


def test_a_warning_is_told_and_does_not_stop(tmp_path: Path) -> None:
    file = tmp_path / "old.yaml"
    model = "deep-cogito/deep-cogito-v2-llama-70b"
    file.write_text(f"name: tea\nsteps:\n  draft: {{kind: generate_text, model: {model}, prompt: A line.}}\n")

    read = loading.read(file)

    assert read.checked is not None
    assert [problem.warning for problem in read.problems] == [True]
    assert report.text(read.problems).endswith("\n\n1 warning. What that means: runner explain W601")
    assert "warning: Runpod has removed" in report.text(read.problems)


@pytest.mark.parametrize(
    ("problem", "said"),
    [
        pytest.param(
            Problem("value", "No.", Mark("a.yaml", 3, 5, 2, "key: no"), "Yes."),
            "a.yaml:3:5: No. [E206 value]\n    3 | key: no\n      |     ^^\n      = Yes.",
            id="a line with a caret",
        ),
        pytest.param(
            Problem("value", "No.", Mark("a.yaml", 1, 1)),
            "a.yaml:1:1: No. [E206 value]",
            id="a file without lines",
        ),
        pytest.param(
            Problem("value", "No.", Mark("a.yaml", 1, 3, 1, "\tx: \x1b[31mred"), ""),
            "a.yaml:1:3: No. [E206 value]\n    1 |  x: �[31mred\n      |   ^",
            id="control characters",
        ),
        pytest.param(
            Problem("value", "No \x1b[31mred.", Mark("a.yaml", 1, 1)),
            "a.yaml:1:1: No �[31mred. [E206 value]",
            id="control characters in the message",
        ),
    ],
)
def test_a_problem_is_shown_with_its_line(problem: Problem, said: str) -> None:
    assert report.one(problem) == said


@pytest.mark.parametrize("column", [1, 2, 36, 37, 38, 100, 109, 110, 111, 150, 363, 399, 400])
def test_a_long_line_is_cut_around_the_caret(column: int) -> None:
    line = "".join(chr(0x4E00 + i) for i in range(400))
    problem = Problem("value", "No.", Mark("a.yaml", 1, column, 1, line))

    _, shown, caret = report.one(problem).split("\n")

    assert len(shown) < 125
    assert shown[caret.index("^")] == line[column - 1]


def test_counts_are_told_apart() -> None:
    mark = Mark("a.yaml", 1, 1)
    found = [Problem("a", "A.", mark), Problem("b", "B.", mark), Problem("c", "C.", mark, warning=True)]

    assert report.text(found).endswith("2 problems, 1 warning")
    assert report.text([]) == ""


@pytest.mark.parametrize(
    ("word", "known", "said"),
    [
        ("titel", ["title", "blurb"], "Did you mean title?"),
        ("zzz", ["title", "blurb"], "Known here: title, blurb."),
        ("zzz", ["title", "blurb", "title"], "Known here: title, blurb."),
        ("zzz", [], ""),
        ("zzz", [f"k{i}" for i in range(20)], "Known here: " + ", ".join(f"k{i}" for i in range(12)) + ", …."),
    ],
)
def test_the_nearest_word_is_suggested(word: str, known: list[str], said: str) -> None:
    assert nearest(word, known) == said


def test_problems_as_an_error_are_in_file_order() -> None:
    late, early = (Problem("a", f"{n}.", Mark("a.yaml", n, 1)) for n in (9, 2))

    error = PipelineProblems([late, early])

    assert error.problems == (early, late)
    assert str(error) == "a.yaml:2:1: 2.\na.yaml:9:1: 9."
    assert re.match(r"a\.yaml:2:1", str(early))


def test_the_nearest_name_is_the_one_that_comparing_with_each_would_find() -> None:
    random = Random(1)
    words = ["".join(random.choice("abct_1") for _ in range(random.randint(1, 8))) for _ in range(600)]

    for _ in range(300):
        word, known = random.choice(words), random.sample(words, 20)
        alike = get_close_matches(word, known, n=1, cutoff=0.6)
        assert nearest(word, known).startswith(f"Did you mean {alike[0]}?" if alike else "Known here: ")


def test_thousands_of_unknown_names_are_told_in_seconds() -> None:
    known = [f"step_{number:04}" for number in range(2000)]
    before = time.process_time()

    told = [nearest(f"unknown_{number:04}", known) for number in range(2000)]

    assert told == [f"Known here: {', '.join(known[:12])}, …."] * 2000
    assert time.process_time() - before < 8  # it takes two; comparing each with each takes fifteen
