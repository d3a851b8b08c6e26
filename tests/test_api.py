"""``import runner``: the same doors for programs and notebooks."""

from __future__ import annotations

import asyncio
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import anyio
import pytest

import runner
from runner.emulator import Emulator, parse_latency
from runner.events import CellDone, RunFinished

from .conftest import REPO

CUPS = """\
name: cups
inputs:
  colour: {type: string, pattern: "^[a-z]+$"}
steps:
  words: {kind: generate_text, model: qwen/qwen3-32b-awq, prompt: "Name a {{ inputs.colour }} cup", max_tokens: 50}
  photo: {kind: generate_image, model: pruna/p-image-t2i, prompt: "{{ steps.words.text }}"}
outputs:
  cup.png: "{{ steps.photo.image }}"
  words.txt: "{{ steps.words.text }} <b>"
"""


@pytest.fixture
def cups(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("RUNPOD_API_KEY", raising=False)
    (tmp_path / ".git").mkdir()
    path = tmp_path / "cups.yaml"
    path.write_text(CUPS)
    return path


@pytest.mark.anyio
async def test_a_pipeline_runs_on_both_event_loops_and_its_events_are_told(cups: Path) -> None:
    events: list[runner.Event] = []

    run = await runner.run(cups, {"colour": "red"}, local=True, on_event=events.append)

    assert (run.outcome, run.exit_code, set(run.outputs)) == ("done", 0, {"cup.png", "words.txt"})
    assert run.outputs["cup.png"].read_bytes().startswith(b"\x89PNG")
    assert run.value("words", "text") in run.outputs["words.txt"].read_text()
    assert run.cost == pytest.approx(sum(cell.cost for cell in run.cells.values()))
    assert run.cost > 0
    assert {event.cell for event in events if isinstance(event, CellDone)} == {"words", "photo"}
    assert isinstance(events[-1], RunFinished)
    assert str(run).startswith("cups: done in ")


@pytest.mark.anyio
async def test_an_error_of_a_run_is_not_taken_for_one_of_the_emulator(cups: Path) -> None:
    def tell(event: runner.Event) -> None:
        raise FileNotFoundError(event)

    with pytest.raises(FileNotFoundError):
        await runner.run(cups, {"colour": "red"}, local=True, on_event=tell)


def test_plan_says_the_price_and_sends_nothing(cups: Path) -> None:
    plan = runner.plan(cups, {"colour": "red"})

    assert [step.id for step in plan.steps] == ["words", "photo"]
    assert plan.usd is not None
    assert 0 < plan.usd < 0.1
    assert not (cups.parent / ".runner").exists()


@pytest.mark.anyio
async def test_an_input_that_is_missing_is_asked_for_as_a_program_gives_it(cups: Path) -> None:
    cups.write_text(CUPS.replace("  colour: {", "  size: {type: string}\n  colour: {"))

    with pytest.raises(runner.UsageError, match=re.escape("Write inputs={'size': …, 'colour': …}.")):
        await runner.run(cups, local=True)


def test_what_is_wrong_is_a_value_for_check_and_an_error_for_everything_else(cups: Path) -> None:
    cups.write_text(CUPS.replace('steps.words.text }}"}', 'steps.wrods.text }}"}'))

    (problem,) = runner.check(cups)

    assert (problem.mark.line, problem.instead) == (6, "Did you mean words?")
    for door in (runner.load, runner.plan, runner.run_sync):
        with pytest.raises(runner.PipelineProblems):
            door(cups)


def test_an_input_that_does_not_fit_is_an_error_before_anything_runs(cups: Path) -> None:
    with pytest.raises(runner.UsageError, match="colour"):
        runner.run_sync(cups, {"colour": "RED"}, local=True)


def test_the_sync_door_also_opens_where_a_loop_is_busy(cups: Path) -> None:
    """As in a notebook, whose cells run inside a loop."""

    async def cell() -> runner.Run:
        return runner.run_sync(cups, {"colour": "red"}, local=True)

    assert asyncio.run(cell()).outcome == "done"


def test_a_run_that_fails_is_no_exception_unless_asked_for(cups: Path) -> None:
    cups.write_text(CUPS.replace('"{{ steps.words.text }}"}', '"{{ steps.words.text[99999] }}"}'))

    run = runner.run_sync(cups, {"colour": "red"}, local=True)

    assert (run.outcome, run.exit_code) == ("failed", 1)
    assert "cup.png" in run.missing
    with pytest.raises(runner.RunFailed, match="cups: failed"):
        run.raise_for_failure()


def test_a_notebook_shows_the_pictures_and_no_markup_of_a_model(cups: Path) -> None:
    run = runner.run_sync(cups, {"colour": "red"}, local=True)

    page = run._repr_html_()

    assert 'src="data:image/png;base64,' in page
    assert "&lt;b&gt;" in page
    assert "<b>" not in page


@pytest.mark.anyio
async def test_a_run_that_is_cancelled_by_its_program_is_taken_up_by_the_command_line(
    cups: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Emulator(seed=1, latency=parse_latency("1")) as emulator:
        env = {"RUNPOD_API_KEY": "k", "RUNPOD_BASE_URL": emulator.url}
        with anyio.move_on_after(20) as scope:
            await runner.run(
                cups, {"colour": "red"}, env=env, on_event=lambda _: scope.cancel() if emulator.jobs else None
            )
        assert scope.cancelled_caught

        done = await anyio.run_process(
            [sys.executable, "-m", "runner", "resume", "--quiet"], env={**env, "PATH": ""}, check=False
        )

    assert done.returncode == 0, done.stderr
    assert len(emulator.jobs) == 1


def test_import_loads_nothing_until_a_name_is_used() -> None:
    said = subprocess.run(
        [sys.executable, "-c", "import sys, runner; print(len([m for m in sys.modules if m.startswith('runner.')]))"],
        check=True, capture_output=True, text=True,
    )  # fmt: skip

    assert said.stdout.strip() == "0"


def test_what_the_page_says_can_be_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (code,) = re.findall(r"```python\n(.*?)```", (REPO / "docs" / "python.md").read_text(), re.DOTALL)
    shutil.copytree(REPO / "pipelines", tmp_path / "pipelines")
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {}

    exec(code, names)  # noqa: S102 - our own page

    assert names["run"].outcome == "done"


def test_a_notebook_shows_what_a_run_waits_for_and_how_to_answer(cups: Path) -> None:
    cups.write_text(CUPS.replace('prompt: "{{ steps.words.text }}"', 'prompt: "{{ steps.words.text }}", pick: {of: 2}'))
    run = runner.run_sync(cups, {"colour": "red"}, local=True)

    page = run._repr_html_()

    assert run.outcome == "waiting"
    assert page.count('src="data:image/png;base64,') == 2
    assert f"<code>runner pick {run.state.run} photo N</code>" in page
    assert f"Go on with: runner resume {run.state.run}" in page


def test_a_notebook_shows_why_a_step_failed(cups: Path) -> None:
    cups.write_text(CUPS.replace('"{{ steps.words.text }}"}', '"{{ steps.words.text[99999] }}"}'))

    page = runner.run_sync(cups, {"colour": "red"}, local=True)._repr_html_()

    assert "photo: failed: " in page
    assert "99999" in page
    assert "<b>" not in page


def test_a_program_answers_what_a_person_would_be_asked(cups: Path) -> None:
    ask = '  fine: {kind: approve, question: Good?, show: ["{{ steps.photo.image }}"]}\noutputs:'
    text = CUPS.replace("outputs:", ask).replace('text }}"}', 'text }}", pick: {of: 2}}')
    cups.write_text(text)

    run = runner.run_sync(cups, {"colour": "red"}, local=True, pick="first", approve="yes")

    assert run.outcome == "done"
    assert run.value("fine", "approved") is True


def test_a_step_is_asked_for_anew_if_a_program_says_so(cups: Path) -> None:
    runner.run_sync(cups, {"colour": "red"}, local=True)

    run = runner.run_sync(cups, {"colour": "red"}, local=True, fresh="photo")

    assert {name: cell.state for name, cell in run.cells.items()} == {"words": "cached", "photo": "done"}


def test_a_profile_can_be_named_where_the_pipeline_is_a_path(cups: Path) -> None:
    cups.write_text(CUPS.replace("steps:", "profiles:\n  cheap:\n    budget: {usd: 0.5}\nsteps:", 1))

    run = runner.run_sync(cups, {"colour": "red"}, local=True, profile="cheap")

    assert run.state.options["profile"] == "cheap"
    assert runner.plan(cups, profile="cheap").profile == "cheap"
    with pytest.raises(runner.UsageError, match="was loaded without the profile cheap"):
        runner.run_sync(runner.load(cups), {"colour": "red"}, local=True, profile="cheap")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"pick": "last"}, "pick cannot be 'last'. It can be None, 'first'."),
        ({"approve": "maybe"}, "approve cannot be 'maybe'. It can be None, True, False, 'yes', 'no'."),
        ({"local": "auto"}, "local cannot be 'auto'."),
        ({"fresh": 5}, "fresh cannot be 5. Give a list of names: fresh=['…']."),
        ({"local": True, "fresh": "foto"}, "fresh='foto' names no step of the pipeline. Did you mean photo?"),
        ({"provider": "poet", "local": True}, "local= and provider= exclude each other."),
        ({"provider": "poet"}, "There is no provider poet."),
        ({"local": True, "reporters": ["told"]}, "There is no reporter told."),
    ],
)
def test_an_option_that_cannot_be_is_told_as_a_program_writes_it(
    cups: Path, options: dict[str, Any], words: str
) -> None:
    with pytest.raises(runner.UsageError, match=re.escape(words)):
        runner.run_sync(cups, {"colour": "red"}, **options)

    assert not cups.with_name(".runner").exists()


def test_an_option_that_there_is_not_is_an_error_of_the_program(cups: Path) -> None:
    options: dict[str, Any] = {"budgte": 1}

    with pytest.raises(TypeError, match=re.escape("run() has no option budgte. Did you mean budget?")):
        runner.run_sync(cups, {"colour": "red"}, **options)


def test_a_program_without_a_key_is_told_of_its_own_words(cups: Path) -> None:
    with pytest.raises(runner.CannotStart, match="or add local=True to run against the built-in emulator"):
        runner.run_sync(cups, {"colour": "red"})


@pytest.mark.parametrize("door", [runner.plan, runner.run_sync])
@pytest.mark.parametrize(
    ("inputs", "words"),
    [
        (["red"], "inputs cannot be ['red']. Give a mapping"),
        ("red", "inputs cannot be 'red'. Give a mapping"),
        ({1: "red"}, "inputs cannot have the name 1. The name of an input is a text."),
    ],
    ids=["list", "text", "number"],
)
def test_inputs_that_are_no_mapping_of_names_are_refused_in_a_sentence(
    cups: Path, door: Any, inputs: Any, words: str
) -> None:
    with pytest.raises(runner.UsageError, match=re.escape(words)):
        door(cups, inputs)


@pytest.mark.parametrize(
    "options", [{"calls": 0}, {"calls": -1}, {"calls": 2.5}, {"budget": 0}, {"budget": -1}, {"budget": float("nan")},
                {"budget": "x"}],
)  # fmt: skip
def test_a_number_that_is_none_is_refused_before_anything_runs(cups: Path, options: dict[str, Any]) -> None:
    with pytest.raises(runner.UsageError, match=f"{next(iter(options))} cannot be .* Give "):
        runner.run_sync(cups, local=True, **options)

    assert not cups.with_name(".runner").exists()


def test_what_a_run_did_not_yield_is_told_with_the_nearest_name(cups: Path) -> None:
    run = runner.run_sync(cups, {"colour": "red"}, local=True)

    with pytest.raises(KeyError, match="Did you mean photo"):
        run.value("foto", "image")
    with pytest.raises(KeyError, match="photo yields no imag"):
        run.value("photo", "imag")
