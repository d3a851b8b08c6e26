"""Runs that were, as a user asks for them: runs, show, why, diff, runs rm."""

from __future__ import annotations

import json
import re
import signal
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from PIL import Image

from runner.emulator import Emulator, parse_fault, parse_latency
from runner.media import likeness

from .conftest import Cli
from .test_cli import started, until

PIPELINE = """\
name: tiny
version: 1.10
inputs:
  thing: {type: string, default: teapot}
steps:
  words: {kind: generate_text, model: qwen/qwen3-32b-awq, prompt: "Name a {{ inputs.thing }}"}
  photo:
    kind: generate_image
    model: qwen/qwen-image
    foreach: [red, blue]
    prompt: "a {{ item }} {{ inputs.thing }}"
    size: 512x512
  warm:
    kind: edit_image
    model: qwen/qwen-image-edit
    foreach: "{{ steps.photo }}"
    image: "{{ item.image }}"
    prompt: warmer
outputs:
  "{key}.png": "{{ steps.warm.image }}"
"""


@pytest.fixture
def pipeline(cli: Cli) -> Path:
    path = Path("tiny.yaml").resolve()
    path.write_text(PIPELINE)
    return path


def run(cli: Cli, *arguments: object) -> str:
    """Run the pipeline; gives back the run's id."""
    return str(json.loads(cli("run", "tiny.yaml", "--local", "--json", *arguments).out)["run"])


def edit(pipeline: Path, old: str, new: str) -> None:
    text = pipeline.read_text()
    assert old in text
    pipeline.write_text(text.replace(old, new))


def test_runs_are_listed_the_newest_first(cli: Cli, pipeline: Path) -> None:
    one, two = run(cli), run(cli, "-i", "thing=kettle")

    done = cli("runs")

    head, *rows = done.out.splitlines()
    assert head.split() == ["run", "pipeline", "version", "state", "cost", "duration"]
    assert [row.split()[:4] for row in rows] == [[two, "tiny", "1.10", "done"], [one, "tiny", "1.10", "done"]]


def test_runs_are_listed_for_machines_too(cli: Cli, pipeline: Path) -> None:
    one = run(cli)

    (row,) = json.loads(cli("runs", "--json").out)

    assert (row["run"], row["state"], row["version"]) == (one, "done", "1.10")
    assert row["cost"] > 0


def test_a_run_in_a_profile_is_listed_as_that(cli: Cli, pipeline: Path) -> None:
    pipeline.write_text(f"{pipeline.read_text()}profiles: {{draft: {{budget: {{usd: 1}}}}}}\n")
    plain, draft = run(cli), run(cli, "--profile", "draft")

    head, *rows = cli("runs").out.splitlines()
    machine = {row["run"]: row["profile"] for row in json.loads(cli("runs", "--json").out)}

    assert head.split() == ["run", "pipeline", "version", "profile", "state", "cost", "duration"]
    assert [row.split()[:5] for row in rows] == [[draft, "tiny", "1.10", "draft", "done"],
                                                 [plain, "tiny", "1.10", "done", "0.00"]]  # fmt: skip
    assert machine == {plain: None, draft: "draft"}


def test_what_a_local_run_would_be_is_told_as_that_wherever_runs_are(cli: Cli, pipeline: Path) -> None:
    one = run(cli)
    said = json.loads(cli("runs", "--json").out)[0]
    would_be = f"0.00 USD (would be {said['cost']:.4f} on Runpod)"

    listed, shown, compared = cli("runs"), cli("show"), cli("diff", one, run(cli))

    assert said["paid"] == 0
    assert would_be in listed.out
    assert would_be in shown.out.splitlines()[0]
    assert re.search(r"cell +state +on Runpod +time", shown.out)
    assert compared.out.endswith(f"cost: {would_be} → 0.00 USD\n")


def test_without_runs_it_says_so(cli: Cli) -> None:
    assert "There are no runs" in cli("runs").out
    assert cli("show").code == 2


def test_a_run_whose_journal_is_damaged_is_listed_as_that(cli: Cli, pipeline: Path) -> None:
    one = run(cli)
    journal = Path(".runner/runs", one, "events.jsonl")
    journal.write_text(journal.read_text().replace('"event":"CellDone"', '"event":"CellGone"', 1))

    listed, shown = cli("runs"), cli("show", one)

    assert "damaged" in listed.out
    assert "is damaged at line" in shown.out
    assert (listed.code, shown.code) == (0, 0)


def test_a_run_is_shown_cell_by_cell(cli: Cli, pipeline: Path) -> None:
    one = run(cli)

    done = cli("show")

    assert "tiny 1.10: done" in done.out
    assert one in done.out
    assert "photo[red]" in done.out
    assert f".runner/runs/{one}/photo-red.jpg" in done.out
    assert "out/tiny/blue.png" in done.out


def test_a_failed_cell_is_shown_with_its_message(cli: Cli, pipeline: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with Emulator(seed=1, faults=[parse_fault("qwen-image-t2i/job=FAILED*always")]) as emulator:
        monkeypatch.setenv("RUNPOD_API_KEY", "k")
        monkeypatch.setenv("RUNPOD_BASE_URL", emulator.url)
        cli("run", "tiny.yaml")

    text, state = cli("show").out, json.loads(cli("show", "--json").out)

    failed = next(cell for cell in state["cells"] if cell["cell"] == "photo[red]")
    assert "tiny 1.10: failed" in text
    assert failed["message"] in " ".join(text.split())
    assert (failed["state"], failed["attempts"], failed["model"]) == ("failed", 2, "qwen/qwen-image")


def test_a_run_is_found_by_a_part_of_its_id_that_says_which(cli: Cli, pipeline: Path) -> None:
    one = run(cli)

    assert one in cli("show", one[-4:]).out
    assert "There is no run nope" in cli("show", "nope").err


# -- why --------------------------------------------------------------------------------------------


def test_what_would_be_found_is_a_hit_and_says_who_paid(cli: Cli, pipeline: Path) -> None:
    one = run(cli)

    done = cli("why", "photo[red]")

    assert done.code == 0
    assert re.search(rf"photo\[red\]: hit; in the store, made .* ago by {one}\n", done.out)
    assert "that run had to ask: no earlier call of this step is known here" in done.out
    assert "photo[blue]" not in done.out


def test_an_edited_prompt_is_shown_as_a_diff_of_what_is_asked(cli: Cli, pipeline: Path) -> None:
    one = run(cli)
    edit(pipeline, "a {{ item }} {{", "one {{ item }} {{")

    done = cli("why", "photo[red]")

    assert f"photo[red]: miss; compared with photo[red] in {one}" in done.out
    assert "input.prompt\n      - a red teapot\n      + one red teapot" in done.out


def test_another_model_is_what_differs(cli: Cli, pipeline: Path) -> None:
    run(cli)
    edit(pipeline, "model: qwen/qwen-image\n", "model: black-forest-labs/flux-1-schnell\n")

    done = cli("why", "photo[blue]")

    assert "endpoint\n      - qwen-image-t2i\n      + black-forest-labs-flux-1-schnell" in done.out


def test_a_new_cell_is_compared_with_the_cell_that_is_most_like_it(cli: Cli, pipeline: Path) -> None:
    run(cli)
    edit(pipeline, "[red, blue]", "[red, blue, bluish]")

    done = cli("why", "photo[bluish]")

    assert "photo[bluish]: miss; compared with photo[" in done.out


def test_what_depends_on_a_step_that_has_not_run_cannot_be_known(cli: Cli, pipeline: Path) -> None:
    run(cli)
    edit(pipeline, "a {{ item }} {{", "one {{ item }} {{")

    done = cli("why", "warm[red]")

    assert "warm[red]: not known; what it asks cannot be known yet: it needs photo[red]" in done.out


def test_asking_why_pays_nothing_and_changes_nothing(cli: Cli, pipeline: Path) -> None:
    run(cli)
    edit(pipeline, "warmer", "colder")
    before = sorted(path for path in Path(".runner").rglob("*") if "sqlite" not in path.name)

    done = cli("why", "warm")

    assert "- warmer" in done.out
    assert sorted(path for path in Path(".runner").rglob("*") if "sqlite" not in path.name) == before


def test_a_step_that_was_renamed_is_compared_with_what_it_was(cli: Cli, pipeline: Path) -> None:
    one = run(cli)
    edit(pipeline, "photo", "picture")

    done = cli("why", "picture[red]", "--run", run(cli))

    assert f"picture[red]: miss; compared with photo[red] in {one}; only the seed differs" in done.out


def test_a_past_run_says_why_it_paid(cli: Cli, pipeline: Path) -> None:
    one = run(cli)
    edit(pipeline, "a {{ item }} {{", "one {{ item }} {{")
    two = run(cli)

    then, first, words = cli("why", "photo[red]", "--run", two), cli("why", "photo", "--run", one), cli("why", "words")

    assert "+ one red teapot" in then.out
    assert "no earlier call of this step is known here" in first.out
    assert "words: hit; in the store, made" in words.out
    assert cli("why", "words", "--run", two).out.strip().endswith(f"words: hit; it was in the store, made by {one}")


def test_a_step_that_is_never_cached_says_so(cli: Cli, pipeline: Path) -> None:
    edit(pipeline, '{{ inputs.thing }}"}', '{{ inputs.thing }}", cache: false}')
    run(cli)

    assert "the step says cache: false" in cli("why", "words").out


def test_a_missing_file_is_why(cli: Cli, pipeline: Path) -> None:
    run(cli)
    for blob in Path(".runner/store/blobs").rglob("*.jpg"):
        blob.unlink()

    assert "photo[red]: to be fetched; a file of its reply is missing or damaged" in cli("why", "photo[red]").out


def test_why_of_no_step_is_wrong_usage_with_the_nearest_name(cli: Cli, pipeline: Path) -> None:
    one = run(cli)

    done = cli("why", "foto")

    assert done.code == 2
    assert f"The last run {one} is of tiny, which has no step foto. Did you mean photo? No other run" in done.err


def test_why_is_of_the_last_run_that_has_the_step_and_one_that_is_named_says_which_has_it(
    cli: Cli, pipeline: Path
) -> None:
    one = run(cli)
    Path("other.yaml").write_text("name: other\nsteps: {line: {kind: render_text, text: hi}}\n")
    other = json.loads(cli("run", "other.yaml", "--json").out)["run"]

    last, named, none = cli("why", "photo[red]"), cli("why", "line", "--run", one), cli("why", "nothing")

    assert last.code == 0
    assert last.out.startswith(f"The next run of tiny, with the inputs of {one}:\n\nphoto[red]: hit; ")
    assert none.err.startswith(f"Error: The last run {other} is of other, which has no step nothing. ")
    assert named.err.startswith(f"Error: The run {one} is of tiny, which has no step line. ")
    assert named.err.endswith(f"The last run that has one is of other: runner why line --run {other}\n")


def test_why_of_a_step_that_runs_a_pipeline_leads_to_the_steps_that_ask(cli: Cli, pipeline: Path) -> None:
    Path("outer.yaml").write_text(
        "name: outer\nsteps:\n  each: {kind: run_pipeline, file: tiny.yaml, foreach: [1, 2], key: 'n{{ item }}'}\n"
    )
    cli("run", "outer.yaml", "--local", "--quiet")

    step, inner = cli("why", "each[n1]"), cli("why", "each[n1]/photo[red]")

    assert step.out.endswith(
        "each[n1]: a pipeline; not it but the steps of its pipeline ask: "
        "runner why 'each[n1]/words', runner why 'each[n1]/photo', runner why 'each[n1]/warm'\n"
    )
    assert "each[n1]/photo[red]: hit; in the store, made" in inner.out


# -- diff -------------------------------------------------------------------------------------------


def test_two_runs_differ_in_what_was_asked_and_in_what_came_of_it(cli: Cli, pipeline: Path) -> None:
    one = run(cli)
    edit(pipeline, "a {{ item }} {{", "one {{ item }} {{")
    edit(pipeline, "size: 512x512", "size: 768x768")
    two = run(cli)

    done = cli("diff", one, two)

    assert done.code == 0
    assert "- a red teapot" in done.out
    assert "+ one red teapot" in done.out
    assert "- image/jpeg 512×512" in done.out
    assert "+ image/jpeg 768×768" in done.out
    assert "they look" in done.out
    assert "1 cell is the same" in done.out
    assert "cost: " in done.out


def test_a_run_is_like_itself(cli: Cli, pipeline: Path) -> None:
    one, two = run(cli), run(cli)

    done = cli("diff", one, two)

    assert "5 cells are the same" in done.out


def test_pictures_that_look_alike_are_near_and_others_are_far(tmp_path: Path) -> None:
    ramp = Image.linear_gradient("L").rotate(90)
    ramp.save(tmp_path / "a.png")
    ramp.resize((128, 128)).save(tmp_path / "b.jpg")
    ramp.rotate(180).save(tmp_path / "c.png")
    (tmp_path / "d.png").write_text("no picture")

    a, b, c, d = (likeness(tmp_path / name) for name in ("a.png", "b.jpg", "c.png", "d.png"))

    assert a is not None
    assert b is not None
    assert c is not None
    assert (a ^ b).bit_count() <= 4
    assert (a ^ c).bit_count() >= 60
    assert d is None


# -- runs rm ----------------------------------------------------------------------------------------


def ids() -> list[str]:
    return sorted(path.name for path in Path(".runner/runs").iterdir())


def test_runs_are_removed_by_name_and_what_was_paid_for_stays(cli: Cli, pipeline: Path) -> None:
    one, two = run(cli), run(cli)

    done = cli("runs", "rm", one)

    assert done.out == "1 run removed\n"
    assert ids() == [two]
    assert cli("run", "tiny.yaml", "--local").out.count("5 cached") == 1


def test_all_but_the_newest_are_removed(cli: Cli, pipeline: Path) -> None:
    *_, last = [run(cli) for _ in range(3)]

    cli("runs", "rm", "--all-but", "1")

    assert ids() == [last]


def age(run_id: str, days: float) -> None:
    """Let a run have happened some days ago."""
    journal = Path(".runner/runs", run_id, "events.jsonl")
    lines = [json.loads(line) for line in journal.read_text().splitlines()]
    journal.write_text("".join(json.dumps({**said, "at": said["at"] - days * 86400}) + "\n" for said in lines))


def test_old_runs_are_removed(cli: Cli, pipeline: Path) -> None:
    one, two, three = (run(cli) for _ in range(3))
    age(one, 31)
    age(two, 29)

    done = cli("runs", "rm", "--keep", "30d")

    assert done.code == 0
    assert ids() == sorted([two, three])


def test_a_run_that_is_still_going_is_never_removed(tmp_path: Path, cli: Cli, pipeline: Path) -> None:
    with Emulator(latency=parse_latency("30")) as emulator:
        process = started("run", pipeline, folder=tmp_path, RUNPOD_API_KEY="k", RUNPOD_BASE_URL=emulator.url)
        until(lambda: emulator.count("run") == 2)
        listed = cli("runs")
        named, forced = cli("runs", "rm", ids()[0]), cli("runs", "rm", ids()[0], "--force")
        left = ids()
        process.kill()
        process.communicate()
    cut = cli("runs")

    assert " running " in listed.out
    assert (named.code, forced.code) == (1, 1)
    assert "it is still going" in named.out
    assert "it is still going" in forced.out
    assert len(left) == 1
    assert " cut " in cut.out


def test_a_run_with_jobs_to_collect_is_removed_by_force_only(tmp_path: Path, cli: Cli, pipeline: Path) -> None:
    with Emulator(latency=parse_latency("30")) as emulator:
        process = started("run", pipeline, folder=tmp_path, RUNPOD_API_KEY="k", RUNPOD_BASE_URL=emulator.url)
        until(lambda: emulator.count("status-sync") == 2)
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=10)
    (one,) = ids()

    kept = cli("runs", "rm", "--all-but", "0")
    named = cli("runs", "rm", one)
    left = ids()
    forced = cli("runs", "rm", one, "--force")

    assert (kept.code, named.code, forced.code) == (0, 1, 0)
    assert "2 jobs may have been paid for" in kept.out
    assert left == [one]
    assert ids() == []


@pytest.mark.parametrize(
    "arguments", [[], ["x", "--keep", "30d"], ["--keep", "soon"], ["nope"]], ids=["none", "both", "no age", "unknown"]
)
def test_rm_without_clear_words_removes_nothing(cli: Cli, pipeline: Path, arguments: list[str]) -> None:
    run(cli)

    done = cli("runs", "rm", *arguments)

    assert done.code == 2
    assert len(ids()) == 1


def test_a_step_of_a_pipeline_that_a_step_runs_is_asked_for_with_a_slash(cli: Cli, pipeline: Path) -> None:
    edit(pipeline, '{{ inputs.thing }}"}', '{{ inputs.thing }}", cache: {for: 7d}}')
    Path("outer.yaml").write_text("name: outer\nsteps:\n  both: {kind: run_pipeline, file: tiny.yaml}\n")
    cli("run", "outer.yaml", "--local")
    edit(pipeline, "a {{ item }} {{", "one {{ item }} {{")

    photo, words = cli("why", "both/photo[red]"), cli("why", "both/words")

    assert "+ one red teapot" in photo.out
    assert "both/words: hit" in words.out


def test_a_reply_that_is_too_old_for_the_step_is_why(cli: Cli, pipeline: Path) -> None:
    edit(pipeline, '{{ inputs.thing }}"}', '{{ inputs.thing }}", cache: {for: 7d}}')
    run(cli)
    with closing(sqlite3.connect(".runner/store/replies.sqlite")) as rows, rows:
        rows.execute("UPDATE replies SET kept = kept - 8 * 86400")

    done = cli("why", "words")

    assert "words: miss; its reply was kept 8 d ago, longer ago than cache: for: allows" in done.out
