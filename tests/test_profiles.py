"""Profiles: one file, cheap while it is written, good in production."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from runner import loading
from runner.errors import UsageError

from .conftest import Cli

CUPS = """\
name: cups
models:
  writer: {model: qwen/qwen3-32b-awq, max_tokens: 500}
  painter: {model: black-forest-labs/flux-1-dev, steps: 28}
budget: {usd: 1}
limits: {calls: 8}
profiles:
  draft:
    description: Cheap and fast
    models: {painter: {model: black-forest-labs/flux-1-schnell}}
    budget: {usd: 0.1}
steps:
  words: {kind: generate_text, model: writer, prompt: Name a cup}
  photo: {kind: generate_image, model: painter, prompt: "{{ steps.words.text }}"}
outputs:
  cup.png: "{{ steps.photo.image }}"
"""


@pytest.fixture
def cups(tmp_path: Path) -> Path:
    (tmp_path / ".git").mkdir()
    path = tmp_path / "cups.yaml"
    path.write_text(CUPS)
    return path


def test_a_profile_takes_the_place_of_what_it_names_and_of_nothing_else(cups: Path) -> None:
    whole, draft = loading.read(cups).whole(), loading.read(cups, profile="draft").whole()

    models = [[str(step.model and step.model.id) for step in each.steps.values()] for each in (whole, draft)]
    assert models == [["qwen/qwen3-32b-awq", "black-forest-labs/flux-1-dev"],
                      ["qwen/qwen3-32b-awq", "black-forest-labs/flux-1-schnell"]]  # fmt: skip
    assert (draft.steps["words"].params["max_tokens"], "steps" in draft.steps["photo"].params) == (500, False)
    assert (draft.pipeline.calls, dict(draft.pipeline.budget.most) if draft.pipeline.budget else None) == (
        8,
        {"usd": 0.1},
    )


def test_a_profile_that_there_is_not_is_told_with_the_nearest(cups: Path) -> None:
    with pytest.raises(UsageError, match=r"has no profile drat\. Did you mean draft\?"):
        loading.read(cups, profile="drat")


def test_check_looks_at_every_profile_and_says_in_which_it_found_what(cli: Cli, cups: Path) -> None:
    cups.write_text(CUPS.replace("flux-1-schnell}}", "flux-1-schnel}}"))

    done = cli("check", cups)

    assert done.code == 2
    assert done.err.count("unknown-model") == 1
    assert "cups.yaml:10:31: In the profile draft: There is no model black-forest-labs/flux-1-schnel." in done.err


def test_what_is_wrong_with_a_step_in_a_profile_only_is_told_at_the_step(cli: Cli, cups: Path) -> None:
    """The model of the profile takes fewer steps."""
    cups.write_text(CUPS.replace(", steps: 28}", "}").replace('text }}"}', 'text }}", steps: 28}'))

    whole, alone = cli("check", cups), cli("check", cups, "--profile", "draft")

    assert (whole.code, alone.code) == (2, 2)
    assert "cups.yaml:14:90: In the profile draft: steps cannot be 28" in whole.err
    assert "cups.yaml:14:90: steps cannot be 28" in alone.err


def test_a_profile_that_is_broken_does_not_stop_a_run_without_it(cli: Cli, cups: Path) -> None:
    cups.write_text(CUPS.replace("flux-1-schnell}}", "flux-1-schnel}}"))

    assert cli("run", cups, "--local").code == 0
    assert cli("run", cups, "--local", "--profile", "draft").code == 2


def test_plan_run_runs_and_lock_say_the_profile(cli: Cli, cups: Path) -> None:
    assert "cups, profile draft: 2 steps" in cli("plan", cups, "--profile", "draft").out

    done = cli("run", cups, "--local", "--profile", "draft", "--lock")

    assert "cups, profile draft: done" in done.out
    assert "cups, profile draft" in cli("show").out
    assert 'profile: "draft"' in cups.with_name("cups.draft.lock.yaml").read_text()
    assert not cups.with_name("cups.lock.yaml").exists()
    assert cli("run", cups, "--local", "--profile", "draft", "--locked").code == 0
    assert cli("verify", cups, "--profile", "draft").code == 0


def test_a_run_is_taken_up_in_its_profile(cli: Cli, cups: Path) -> None:
    cups.write_text(CUPS.replace("{{ steps.words.text }}", "{{ 1 // (steps.words.cost | int) }}"))
    cli("run", cups, "--local", "--profile", "draft")
    cups.write_text(CUPS)

    done = cli("resume", "--json")

    photo = next(cell for cell in json.loads(done.out)["cells"] if cell["cell"] == "photo")
    assert done.code == 0
    assert photo["output"]["model"] == "black-forest-labs/flux-1-schnell"


def test_a_pipeline_that_a_step_runs_is_in_the_profile_where_it_has_it(cups: Path) -> None:
    outer = cups.with_name("outer.yaml")
    outer.write_text("name: outer\nprofiles: {draft: {}}\nsteps: {each: {kind: run_pipeline, file: cups.yaml}}\n")

    nested = loading.read(outer, profile="draft").whole().steps["each"].nested

    assert nested is not None
    assert nested.pipeline.profile == "draft"


def test_pictures_and_sound_have_formats_of_their_own_under_models_too(cli: Cli, tmp_path: Path) -> None:
    text = (
        "name: f\nmodels:\n  painter: {model: qwen/qwen-image-edit-2511, output_format: png}\n"
        "  speaker: {model: resembleai/chatterbox-turbo, output_format: FORMAT}\nsteps:\n"
        "  say: {kind: generate_speech, model: speaker, text: hi}\n"
        "  edit: {kind: edit_image, model: painter, prompt: warmer, image: a.png}\n"
        'outputs: {a.png: "{{ steps.edit.image }}", a.wav: "{{ steps.say.audio }}"}\n'
    )
    (tmp_path / "a.png").write_bytes(b"")
    (tmp_path / "right.yaml").write_text(text.replace("FORMAT", "flac"))
    (tmp_path / "wrong.yaml").write_text(text.replace("FORMAT", "png"))

    right, wrong = cli("check", "right.yaml"), cli("check", "wrong.yaml")

    assert right.code == 0, right.err
    assert "wrong.yaml:4:64: output_format cannot be png" in wrong.err
