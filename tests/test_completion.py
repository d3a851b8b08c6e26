"""What the shell completes, through bash itself and click's own protocol for it."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from runner.catalogue import builtin
from runner.kinds import KINDS

from .conftest import REPO, Cli

BIN = Path(sys.executable).parent
Complete = Callable[..., list[str]]


@pytest.fixture(scope="session")
def script() -> str:
    """What `eval "$(_RUNNER_COMPLETE=bash_source runner)"` evaluates."""
    env = {**os.environ, "_RUNNER_COMPLETE": "bash_source"}
    done = subprocess.run([str(BIN / "runner")], env=env, capture_output=True, text=True, check=True)
    return done.stdout


@pytest.fixture
def complete(script: str, tmp_path: Path) -> Complete:
    """Presses Tab after some words, as bash has split them: `complete("run", "x.yaml", "-i", "")`."""
    (tmp_path / "runner.yaml").write_text("")
    (tmp_path / "pipelines").mkdir()
    for name in ("product-card.yaml", "product-card.test.yaml", "text-to-video.yaml"):
        (tmp_path / "pipelines" / name).write_bytes((REPO / "pipelines" / name).read_bytes())
    (tmp_path / "notes.yaml").write_text("no: pipeline\n")

    def pressed(*words: str) -> list[str]:
        typed = " ".join(shlex.quote(word) for word in ("runner", *words))
        program = (
            f"{script}\ncompopt() {{ local IFS=' '; OPTIONS+=(\"$*\"); }}\n"
            f"COMP_WORDS=({typed}); COMP_CWORD={len(words)}\n"
            '_runner_completion runner\nprintf "%s\\n" "${COMPREPLY[@]}" "${OPTIONS[@]/#/compopt }"\n'
        )
        done = subprocess.run(
            ["bash", "--norc", "-c", program], cwd=tmp_path, capture_output=True, text=True, timeout=30, check=True,
            env={**os.environ, "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}"},
        )  # fmt: skip
        assert done.stderr == ""
        return [line for line in done.stdout.splitlines() if line]

    return pressed


def test_commands_are_completed(complete: Complete) -> None:
    assert complete("mod") == ["models"]
    assert complete("cache", "ver") == ["verify"]


def test_pipelines_are_completed_and_tests_where_tests_are_meant(complete: Complete) -> None:
    assert complete("run", "pipe") == ["pipelines/product-card.yaml", "pipelines/text-to-video.yaml"]
    assert complete("test", "") == ["pipelines/product-card.test.yaml"]
    assert complete("run", "elsewhere/") == ["compopt -o default"]


def test_inputs_of_the_pipeline_that_is_typed_are_completed(complete: Complete) -> None:
    file = "pipelines/product-card.yaml"

    assert complete("run", file, "-i", "") == ["product=", "season=", "compopt -o nospace"]
    assert complete("run", file, "-i", "season", "=", "winter", "-i", "") == ["product=", "compopt -o nospace"]
    assert complete("plan", file, "--input", "se") == ["season=", "compopt -o nospace"]


def test_the_values_of_an_input_are_completed_though_bash_splits_them_off(complete: Complete) -> None:
    file = "pipelines/product-card.yaml"

    assert complete("run", file, "-i", "season", "=") == ["spring", "summer", "autumn", "winter"]
    assert complete("run", file, "-i", "season", "=", "s") == ["spring", "summer"]


def test_steps_of_the_pipeline_that_is_typed_are_completed(complete: Complete) -> None:
    assert complete("run", "pipelines/product-card.yaml", "--fresh", "") == ["draft", "facts", "photo", "seasonal"]


def test_profiles_of_the_pipeline_that_is_typed_are_completed(complete: Complete, tmp_path: Path) -> None:
    (tmp_path / "card.yaml").write_text("name: card\nprofiles:\n  draft: {deadline: 1m}\n  print: {deadline: 1h}\n")

    assert complete("run", "card.yaml", "--profile", "") == ["draft", "print"]
    assert complete("lock", "card.yaml", "--profile", "p") == ["print"]
    assert complete("check", "card.yaml", "--profile", "d") == ["draft"]
    assert complete("plan", "pipelines/product-card.yaml", "--profile", "") == []
    assert complete("verify", "--profile", "") == []


def test_runs_and_the_steps_of_the_last_are_completed(complete: Complete, cli: Cli) -> None:
    cli("run", "pipelines/product-card.yaml", "--local")
    (run,) = [path.name for path in Path(".runner/runs").iterdir()]

    assert complete("show", "") == [run]
    assert complete("diff", run, run[:4]) == [run]
    assert complete("why", "") == ["draft", "facts", "photo", "seasonal"]
    assert complete("why", "photo", "--run", "") == [run]


CHOSEN = """name: chosen
steps:
  photo:
    kind: generate_image
    model: black-forest-labs/flux-1-schnell
    prompt: a red ceramic teapot
    pick: {of: 3}
  fit: {kind: approve, question: Is it fit to print?}
  look: {kind: approve, question: Is the light right?}
"""


def test_what_runs_ask_is_completed_and_what_may_be_said_to_it(complete: Complete, cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "chosen.yaml").write_text(CHOSEN)
    cli("run", "chosen.yaml", "--local")
    (run,) = [path.name for path in Path(".runner/runs").iterdir()]

    assert complete("pick", "") == ["photo", run]
    assert complete("pick", run, "") == ["photo"]
    assert complete("pick", "photo", "") == ["1", "2", "3", "more"]
    assert complete("pick", run, "photo", "2", "") == []
    assert complete("approve", "") == ["fit", "look", run]
    assert complete("approve", "fit", "") == ["yes", "no"]
    assert complete("approve", run, "fit", "yes", "") == ["look"]
    assert complete("approve", "fit", "yes", "look", "n") == ["no"]
    cli("approve", "fit", "yes")
    assert complete("approve", "") == ["look", run]


def test_codes_are_completed_by_number_and_by_name(complete: Complete) -> None:
    assert {"E003", "E303", "E304"} <= set(complete("explain", "E"))
    assert complete("explain", "model-v") == ["model-value"]


def test_models_and_kinds_and_starters_are_completed(complete: Complete) -> None:
    assert complete("models", "") == list(builtin().models)
    assert complete("models", "--kind", "edit_image", "qwen") == [
        model.id for model in builtin().of_kind("edit_image") if model.id.startswith("qwen")
    ]
    assert complete("kinds", "generate_") == [name for name in KINDS if name.startswith("generate_")]
    assert "cyberpunk-edit" in complete("new", "tea", "--from", "")


@pytest.mark.parametrize(
    "words",
    [
        ("run", "broken.yaml", "-i", ""),
        ("run", "gone.yaml", "--fresh", ""),
        ("why", ""),
        ("show", ""),
        ("pick", ""),
        ("approve", "fit", ""),
    ],
    ids=lambda words: " ".join(words).strip(),
)
def test_what_cannot_be_read_completes_to_nothing_without_a_word(
    complete: Complete, tmp_path: Path, words: tuple[str, ...]
) -> None:
    (tmp_path / "broken.yaml").write_text("name: [\nsteps:\n")

    assert complete(*words) == []


@pytest.mark.parametrize("shell", ["zsh", "fish"])
def test_other_shells_have_their_script(shell: str) -> None:
    env = {**os.environ, "_RUNNER_COMPLETE": f"{shell}_source"}

    done = subprocess.run([str(BIN / "runner")], env=env, capture_output=True, text=True, check=True)

    assert f"_RUNNER_COMPLETE={shell}_complete" in done.stdout


def test_zsh_is_told_what_each_input_is(tmp_path: Path) -> None:
    (tmp_path / "card.yaml").write_bytes((REPO / "pipelines" / "product-card.yaml").read_bytes())
    words = {"COMP_WORDS": "runner run card.yaml -i pro", "COMP_CWORD": "4", "_RUNNER_COMPLETE": "zsh_complete"}

    done = subprocess.run(
        [str(BIN / "runner")], env={**os.environ, **words}, cwd=tmp_path, capture_output=True, text=True, check=True
    )

    assert done.stdout.splitlines() == ["plain", "product=", "What are we selling?"]
