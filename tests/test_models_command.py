"""`runner models`, and an author's own rows: models to read about, snippets to paste, rows that are told when wrong."""

from __future__ import annotations

import copy
import functools
import json
import operator
import random
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from runner import app, loading, rows, source
from runner.catalogue import Model, builtin
from runner.errors import PipelineProblems
from runner.price import Price, prices
from runner.reports import models as report

from .conftest import REPO, Cli
from .rows import MODELS

ROWS = sorted((Path(app.__file__).parent / "models").glob("*.yaml"))
ROW = """\
  acme/teapots:
    kind: generate_image
    endpoint: acme-teapots
    price: {usd: 0.5, per: image}
    params:
      seed: {type: integer}
      aspect_ratio: {enum: [1:1, 16:9], default: 1:1}
"""
PIPELINE = (
    "name: tea\nsteps:\n  photo: {kind: generate_image, model: acme/teapots, prompt: a pot, aspect_ratio: 16:9}\n"
)


@pytest.fixture
def tea(tmp_path: Path) -> Path:
    path = tmp_path / "tea.yaml"
    path.write_text(PIPELINE)
    return path


# -- the list and one model -------------------------------------------------------------------------


def test_every_model_is_listed_under_its_kind(cli: Cli) -> None:
    done = cli("models")

    assert done.code == 0
    assert [line.split()[0] for line in done.out.splitlines() if line.startswith("  ")] == [
        model.id for kind in ("generate_text", "generate_image", "edit_image", "generate_speech", "transcribe_audio",
                              "generate_video") for model in builtin().models.values() if model.kind == kind
    ]  # fmt: skip
    assert (
        "  black-forest-labs/flux-1-schnell  0.0024 USD a megapixel  1:1, 4:3, 3:4; each side 256 to 1536" in done.out
    )
    assert "0.024 to 0.052 USD a second  4 to 12 s; 480p, 720p;" in done.out
    assert "removed by Runpod; use bytedance/seedream-4.0" in done.out


def test_a_kind_has_also_the_models_of_another_that_serve_it(cli: Cli) -> None:
    done = cli("models", "--kind", "edit_image")

    assert "tongyi-mai/z-image-turbo" in done.out
    assert "qwen/qwen3-32b-awq" not in done.out


def test_the_list_is_there_for_programs(cli: Cli) -> None:
    rows = json.loads(cli("models", "--json").out)

    assert len(rows) == len(MODELS)
    assert {"id", "kind", "endpoint", "price", "status"} <= set(rows[0])
    assert "headers" not in rows[0]


def test_a_model_tells_all_about_itself(cli: Cli) -> None:
    said = cli("models", "seedance-v1-5-pro-i2v").out

    for words in (
        "bytedance/seedance-v1.5-pro-i2v  Seedance 1.5 Pro I2V",
        "price        0.024 USD a second with resolution 480p, 0.052 with resolution 720p",
        "duration      an integer, 4 to 12 s; 5 if you do not say",
        "camera_fixed  true or false; false if you do not say",
        "image       a picture; required",
        '    image: "{{ inputs.image }}"',
    ):
        assert words in said


def test_a_model_is_there_for_programs(cli: Cli) -> None:
    row = json.loads(cli("models", "openai/sora-2-i2v", "--json").out)

    assert row["params"]["duration"] == {"type": "integer", "enum": [4, 8, 12], "required": True}
    assert row["price"] == {"usd": 0.1, "per": "second"}
    assert row["snippet"].startswith("name: sora-2-i2v\n")


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.id)
def test_the_snippet_of_a_model_passes_check(cli: Cli, tmp_path: Path, model: Model) -> None:
    path = tmp_path / "it.yaml"
    path.write_text(report.snippet(model))

    done = cli("check", path)

    assert [problem for problem in loading.read(path).problems if not problem.warning] == []
    assert done.code == 0


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["models", "flux-1-shnell"], "no model flux-1-shnell. Nearest: black-forest-labs/flux-1-schnell, "),
        (["models", "seedance", "--kind", "edit_image"], "There is no model seedance. Nearest: "),
        (["kinds", "paint"], "There is no kind paint. Known here: generate_text, "),
        (["models", "--kind", "edit_picture"], "no kind edit_picture with models. Did you mean edit_image?"),
        (["models", "flux", "--kind", "edit_picture"], "no kind edit_picture with models. Did you mean edit_image?"),
        (["models", "--catalogue", "none.yaml"], "There is no file none.yaml."),
    ],
)
def test_what_is_not_there_is_told_with_what_is_near(cli: Cli, arguments: list[str], words: str) -> None:
    done = cli(*arguments)

    assert done.code == 2
    assert words in done.err


def test_a_part_of_an_id_lists_the_models_that_have_it(cli: Cli) -> None:
    found = [model.id for model in builtin().models.values() if "flux" in model.id]

    said, painters = cli("models", "FLUX"), cli("models", "flux", "--kind", "generate_image").out
    rows = json.loads(cli("models", "flux", "--json").out)

    assert said.code == 0
    assert {line.split()[0] for line in said.out.splitlines() if line.startswith("  ")} == set(found)
    assert said.out.endswith("runner models ID tells all about one.\n")
    assert "black-forest-labs/flux-1-dev" in painters
    assert "flux-1-kontext-dev" not in painters
    assert {row["id"] for row in rows} == set(found)


def test_a_part_of_a_name_lists_the_kinds_that_have_it(cli: Cli) -> None:
    said, rows = cli("kinds", "image"), json.loads(cli("kinds", "image", "--json").out)

    assert said.code == 0
    assert [line.split()[0] for line in said.out.splitlines() if line.startswith("  ")] == [
        "generate_image", "edit_image",
    ]  # fmt: skip
    assert len(rows) == 2


@pytest.mark.parametrize(
    ("price", "words"),
    [
        (None, "not known before the call"),
        (Price(0.02, "image"), "0.02 USD an image"),
        (Price(4.0, "1m_tokens", input=0.95), "0.95 USD for a million tokens in, 4 USD for a million tokens out"),
        (Price(0.07, "second", step=3), "0.21 USD for every 3 seconds that are begun"),
        (Price(0.1, "second", ({"side": 480, "usd": 0.05}, {"side": 720, "usd": 0.1})),
         "0.05 USD a second with up to 480p, 0.1 with up to 720p"),
        (Price(0.2, "image", ({"resolution": ["1k", "2k"], "draft": True, "usd": 0.1}, {"draft": False, "usd": 0.2})),
         "0.1 USD an image with resolution 1k or 2k and draft, 0.2 with no draft"),
    ],
)  # fmt: skip
def test_a_price_is_said_in_words(price: Price | None, words: str) -> None:
    assert prices(price) == words


# -- rows of one's own ------------------------------------------------------------------------------


def test_a_project_knows_the_models_of_its_own(cli: Cli, tmp_path: Path, tea: Path) -> None:
    (tmp_path / "runner.yaml").write_text("models:\n" + ROW)

    assert cli("check", tea).code == 0
    assert "  acme/teapots  " in cli("models", "--kind", "generate_image").out
    assert "at most 0.5000 USD" in cli("plan", tea, "--calls").out


def test_a_file_of_rows_goes_over_those_of_the_project(cli: Cli, tmp_path: Path, tea: Path) -> None:
    (tmp_path / "runner.yaml").write_text("models:\n" + ROW)
    (tmp_path / "mine.yaml").write_text(ROW.replace("0.5", "0.25").replace("\n  ", "\n").removeprefix("  "))

    assert "at most 0.2500 USD" in cli("plan", tea, "--calls", "--catalogue", "mine.yaml").out


def test_a_row_of_ones_own_may_replace_one_of_ours(cli: Cli, tmp_path: Path) -> None:
    row = "qwen/qwen-image:\n  kind: generate_image\n  endpoint: my-copy\n  price: {usd: 9, per: image}\n"
    (tmp_path / "mine.yaml").write_text(row)

    assert "my-copy" in cli("models", "qwen/qwen-image", "--catalogue", "mine.yaml").out


def test_the_row_of_the_docs_is_one(cli: Cli, tmp_path: Path) -> None:
    row = re.search(
        r"```yaml title=\"runner.yaml\"\n(models:\n.*?)```", (REPO / "docs/endpoints.md").read_text(), re.DOTALL
    )
    assert row is not None
    (tmp_path / "runner.yaml").write_text(row[1])

    said = cli("models", "acme/teapots").out

    assert "0.01 USD an image" in said
    assert "steps         an integer, 1 to 8; 4 if you do not say" in said


def test_a_model_that_serves_two_kinds_has_params_of_both(cli: Cli, tmp_path: Path) -> None:
    row = "a/b: {kind: generate_speech, also: [generate_image], endpoint: b, price: {usd: 0, per: image}, "
    (tmp_path / "mine.yaml").write_text(row + "params: {steps: {minimum: 1, required: true}, voice: {}}}\n")

    said = cli("models", "a/b", "--catalogue", "mine.yaml").out

    assert "steps  an integer, at least 1; required" in said
    assert "price        0 USD an image" in said


def test_a_text_model_of_ones_own_takes_what_chats_take(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text("a/b: {kind: generate_text, endpoint: b, openai_model: b}\n")
    path = tmp_path / "it.yaml"
    path.write_text("name: t\nsteps:\n  a: {kind: generate_text, model: a/b, prompt: x, temperature: 2, top_p: 0.5}\n")

    assert "temperature: 2" in cli("plan", path, "--calls", "--catalogue", "mine.yaml").out


def test_rows_stand_under_models_or_are_all_that_a_file_has(cli: Cli, tmp_path: Path) -> None:
    row = "a/b: {kind: edit_image, endpoint: b}"
    for text in (f"{row}\n", f"models:\n  {row}\n"):
        for name in ("runner.yaml", "mine.yaml"):
            (tmp_path / name).write_text(text)

            said = cli("models", "a/b", *(["--catalogue", name] if name == "mine.yaml" else [])).out

            (tmp_path / name).unlink()
            assert "kind         edit_image" in said


def test_a_model_of_ones_own_runs(cli: Cli, tmp_path: Path, tea: Path) -> None:
    (tmp_path / "runner.yaml").write_text("models:\n" + ROW)
    tea.write_text(PIPELINE + 'outputs:\n  pot.png: "{{ steps.photo.image }}"\n')

    assert cli("run", tea, "--local", "--quiet").code == 0
    assert (tmp_path / "out/tea/pot.png").stat().st_size > 1000


def test_a_run_that_is_taken_up_again_knows_its_models(cli: Cli, tmp_path: Path, tea: Path) -> None:
    (tmp_path / "mine.yaml").write_text(ROW.replace("\n  ", "\n").removeprefix("  "))
    fails = "{kind: render_text, text: '{{ steps.photo.seed / (1 - 1) }}'}"
    tea.write_text(f"{PIPELINE}  more: {fails}\n")

    first = cli("run", tea, "--local", "--quiet", "--catalogue", "mine.yaml")
    again = cli("resume", "--quiet")

    assert (first.code, again.code) == (1, 1)
    assert "acme/teapots" not in again.err


def test_a_project_file_without_models_is_no_matter(cli: Cli, tmp_path: Path) -> None:
    for text in ("", "# mine\n", "models:\n", "models: {}\n"):
        (tmp_path / "runner.yaml").write_text(text)

        assert cli("models").code == 0


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("models: [a]", "runner.yaml:1:9: A catalogue is a mapping of model ids to rows; this is none."),
        ("models:\n  a/b: {kind: generate_image}", "runner.yaml:2:3: The model a/b has no endpoint."),
        ("models:\n  a/b: {kind: make_image, endpoint: b}", "runner.yaml:2:15: There is no kind make_image."),
        ("models:\n  a/b: {kind: edit_image, endpoint: b/c}", "runner.yaml:2:37: b/c is not a valid endpoint."),
        ("models:\n  a/b: {kind: edit_image, endpoint: b, prize: 1}",
         "runner.yaml:2:40: The model a/b does not know the key prize."),
        ("models:\n  a/b: {kind: edit_image, endpoint: b, price: 1}",
         "runner.yaml:2:47: price must be a mapping; this is the integer 1."),
        ("models:\n  a/b: {kind: edit_image, endpoint: b, price: {usd: 1, per: picture}}",
         "runner.yaml:2:61: per cannot be picture."),
        ("models:\n  a/b: {kind: edit_image, endpoint: b, params: {seed: 1}}",
         "runner.yaml:2:55: seed must be a mapping; this is the integer 1."),
        ("models:\n  a/b: {kind: edit_image, endpoint: b, params: {stepz: {}}}",
         "runner.yaml:2:49: edit_image has no param stepz."),
        ("models:\n  a/b: {kind: edit_image, endpoint: b, params: {steps: {minimun: 1}}}",
         "runner.yaml:2:57: steps does not know the key minimun."),
        ("models:\n  a/b: {kind: edit_image, endpoint: b, files: {audio: {wire: a}}}",
         "runner.yaml:2:48: edit_image has no file audio."),
        ("models:\n  a/b: {kind: edit_image, endpoint: b, params: {steps: {enum: [four]}}}",
         "runner.yaml:2:64: enum must be an integer; this is the text four."),
        ("models:\n  a/b: {kind: edit_image, endpoint: b, price: {usd: 1, per: image, rows: [{usd: x}]}}",
         "runner.yaml:2:81: usd must be a number; this is the text x."),
        ("models:\n a: b: c", "runner.yaml:2:6:"),
        ("modells: {}", "runner.yaml:1:1: runner.yaml does not know the key modells."),
        ("models: {}\nbudgt: 1", "runner.yaml:2:1: runner.yaml does not know the key budgt."),
        ("models: {}\na/b: {kind: edit_image, endpoint: b}", "runner.yaml:2:1: runner.yaml does not know the key a/b."),
        ("a/b: {kind: edit_image}", "runner.yaml:1:1: a/b has no endpoint."),
    ],
)  # fmt: skip
def test_a_row_that_is_none_is_told_with_its_place(cli: Cli, tmp_path: Path, tea: Path, text: str, told: str) -> None:
    (tmp_path / "runner.yaml").write_text(text + "\n")

    for command in (["models"], ["check", tea]):
        done = cli(*command)

        assert done.code == 2
        assert done.err.startswith(told), done.err
        assert done.err.count("[") >= 1


JUNK: tuple[Any, ...] = (None, -1, 0, 1.5, "x", "", [], {}, ["a"], {"a": 1}, True, "1x1", "{{ x }}", [None])


def places(value: Any, at: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    yield at
    for key, inner in value.items() if isinstance(value, dict) else enumerate(value if isinstance(value, list) else ()):
        yield from places(inner, (*at, key))


def test_no_row_breaks_what_reads_it() -> None:
    chosen = random.Random(1)
    ours = [row for path in ROWS for row in source.parse(path.read_text(encoding="utf-8"), path.name).data.items()]

    for _ in range(300):
        name, row = copy.deepcopy(chosen.choice(ours))
        *most, last = chosen.choice(list(places(row))[1:])
        functools.reduce(operator.getitem, most, row)[last] = copy.deepcopy(chosen.choice(JUNK))
        try:
            (model,) = rows.read(source.parse(json.dumps({name: row}), "mine.yaml"))
        except PipelineProblems:
            continue
        assert report.one(model)
        assert report.text([model])
        assert json.dumps(report.data(model))
        assert report.snippet(model)
        assert model.cost({"duration": 5}) is None or model.most is None or model.price


def test_our_own_rows_have_the_form_that_is_asked_of_others() -> None:
    for path in ROWS:
        assert rows.read(source.parse(path.read_text(encoding="utf-8"), path.name))
