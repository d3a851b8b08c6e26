"""A person in the loop: candidates are paid once, a choice lasts, and what nobody has answered stays open."""

from __future__ import annotations

import json
import os
import pty
import re
import signal
import subprocess
import sys
import termios
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from runner import app, cache
from runner.desk import Answer, Desk
from runner.emulator import Emulator, parse_latency
from runner.events import (
    AttemptFailed,
    CallDone,
    CallStarted,
    CellAnswered,
    CellAsked,
    JobSending,
    RunStarted,
    decode,
    fold,
)
from runner.history import find
from runner.model import Artifact
from runner.provenance import facts_in
from runner.reports import planned as planned_report
from runner.store import Store

from .conftest import REPO, Bench, Cli, planned

POTS = """\
name: pots
steps:
  photo:
    kind: generate_image
    model: pruna/p-image-t2i
    prompt: a teapot
    pick: {of: 4}
  cup: {kind: generate_image, model: pruna/p-image-t2i, prompt: a cup}
  warm: {kind: edit_image, model: pruna/p-image-edit, image: "{{ steps.photo.image }}", prompt: warmer}
outputs:
  photo.jpg: "{{ steps.photo.image }}"
  warm.jpg: "{{ steps.warm.image }}"
"""
LOOK = """\
name: look
steps:
  photo: {kind: generate_image, model: pruna/p-image-t2i, prompt: a teapot}
  fit:
    kind: approve
    question: Is it fit to print?
    show: {picture: "{{ steps.photo.image }}", title: A pot}
  warm:
    kind: edit_image
    model: pruna/p-image-edit
    image: "{{ steps.photo.image }}"
    prompt: warmer
    when: "{{ steps.fit.approved }}"
  note: {kind: render_text, text: looked at, after: [fit]}
outputs:
  warm.jpg: "{{ steps.warm.image }}"
"""


@dataclass
class Someone:
    """A person who says what the test wants said, cell by cell; and nothing once that is said."""

    says: dict[str, list[Answer]]
    told_of: list[CellAsked] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)

    async def told(self, asked: CellAsked) -> None:
        self.told_of.append(asked)

    async def answer(self, asked: CellAsked, more: Callable[[], str]) -> Answer | None:
        left = self.says.get(asked.cell, [])
        if left and left[0].more and (why := more()):
            self.refused.append(why)
            left.pop(0)
        return left.pop(0) if left else None


def desk(**says: list[Answer]) -> Desk:
    return Desk(Someone({cell.replace("__", "/"): answers for cell, answers in says.items()}))


def takes(number: int) -> list[Answer]:
    return [Answer(number=number, where="terminal")]


def prompts(emulator: Emulator) -> list[tuple[str, Any]]:
    return [(str(job.input["prompt"]), job.input.get("seed")) for job in emulator.jobs]


# -- candidates -------------------------------------------------------------------------------------


@pytest.mark.anyio
async def test_each_candidate_has_a_seed_of_its_own_and_the_first_is_the_one_without_pick(
    bench: Bench, emulator: Emulator
) -> None:
    await bench.run(POTS.replace("    pick: {of: 4}\n", ""))
    alone = dict(prompts(emulator))["a teapot"]

    ran = await bench.run(POTS)

    seeds = [seed for prompt, seed in prompts(emulator) if prompt == "a teapot"]
    assert seeds[0] == alone
    assert len(seeds) == len(set(seeds)) == 4
    asked = ran.said(CellAsked)[0]
    assert next(values["seed"] for values in asked.shown.values()) == alone
    assert list(asked.shown) == ["1", "2", "3", "4"]


@pytest.mark.anyio
async def test_seeds_are_counted_up_from_the_one_that_is_given(bench: Bench, emulator: Emulator) -> None:
    await bench.run(POTS.replace("pick: {of: 4}", "pick: {of: 3}\n    seed: 2147483646"))

    assert sorted(s for p, s in prompts(emulator) if p == "a teapot") == [0, 2147483646, 2147483647]


@pytest.mark.anyio
async def test_texts_that_are_asked_for_in_the_same_words_are_calls_of_their_own(
    bench: Bench, emulator: Emulator
) -> None:
    text = "name: t\nsteps:\n  s: {kind: generate_text, model: qwen/qwen3-32b-awq, prompt: a slogan, pick: {of: 3}}\n"

    ran = await bench.run(text, desk=desk(s=takes(2)))
    again = await bench.run(text)

    keys = {event.key for event in ran.said(CallDone)}
    assert len(keys) == len(ran.said(CallStarted)) == 3
    assert (ran.ends(), again.ends()) == ({"s": "done"}, {"s": "cached"})
    assert again.state.cells["s"].keys == [ran.said(CellAnswered)[0].keys[0]]


@pytest.mark.anyio
async def test_what_does_not_need_the_choice_goes_on_and_what_does_stays_waiting(bench: Bench) -> None:
    ran = await bench.run(POTS)

    assert ran.ends() == {"photo": "asking", "cup": "done"}
    assert ran.names["steps"].keys() == {"cup"}


@pytest.mark.anyio
async def test_each_cell_asks_for_itself_and_what_follows_a_chosen_one_starts(bench: Bench) -> None:
    text = """\
    name: many
    steps:
      photo:
        kind: generate_image
        model: pruna/p-image-t2i
        foreach: [red, blue]
        prompt: "{{ item }}"
        pick: {of: 2}
      warm: {kind: edit_image, model: pruna/p-image-edit, foreach: "{{ steps.photo }}", image: "{{ item.image }}",
             prompt: warmer}
    """
    answers = Desk(Someone({"photo[blue]": takes(2)}))

    ran = await bench.run(text, desk=answers)

    assert ran.ends() == {"photo[red]": "asking", "photo[blue]": "done", "warm[blue]": "done"}
    assert ran.state.expected == 4


@pytest.mark.anyio
async def test_one_place_is_enough_for_all_candidates(bench: Bench, emulator: Emulator) -> None:
    ran = await bench.run(POTS, calls=1, desk=desk(photo=takes(4)))

    assert set(ran.ends().values()) == {"done"}
    assert emulator.peak == 1


@pytest.mark.anyio
async def test_a_candidate_that_fails_is_left_out(bench: Bench, emulator: Emulator) -> None:
    emulator.fail("p-image-t2i/run=400*1")

    ran = await bench.run(POTS.replace("  cup: {kind: generate_image, model: pruna/p-image-t2i, prompt: a cup}\n", ""))

    asked = ran.said(CellAsked)[0]
    assert len(asked.shown) == 3
    assert re.match(r"Which of these 3\? Candidate \d failed: ", asked.question)


@pytest.mark.anyio
async def test_a_candidate_that_the_budget_leaves_out_is_told_as_that(bench: Bench) -> None:
    text = POTS.replace("  cup: {kind: generate_image, model: pruna/p-image-t2i, prompt: a cup}\n", "")

    ran = await bench.run("budget: {images: 3, on_exceed: skip}\n" + text)

    (asked,) = ran.said(CellAsked)
    words = r"Which of these 3\? Candidate \d was left out: the budget of .* 3 images are spent; .* may take 1 image\."
    assert re.fullmatch(words, asked.question)


@pytest.mark.anyio
async def test_a_cell_of_which_every_candidate_fails_has_failed(bench: Bench, emulator: Emulator) -> None:
    emulator.fail("p-image-t2i/run=400*9")

    ran = await bench.run(POTS)

    assert (ran.ends()["photo"], ran.ends()["warm"]) == ("failed", "blocked")
    assert not ran.said(CellAsked)


@pytest.mark.anyio
async def test_more_candidates_are_made_beside_those_that_are_there(bench: Bench, emulator: Emulator) -> None:
    answers = desk(photo=[Answer(more=True), *takes(6)])

    ran = await bench.run(POTS, desk=answers)

    assert [len(asked.shown) for asked in ran.said(CellAsked)] == [4, 8]
    assert len([p for p, _ in prompts(emulator) if p == "a teapot"]) == 8
    assert ran.said(CellAnswered)[0].answer == 6


@pytest.mark.anyio
async def test_more_than_the_budget_allows_are_not_made_and_the_run_goes_on(bench: Bench, emulator: Emulator) -> None:
    answers = desk(photo=[Answer(more=True), *takes(1)])

    ran = await bench.run(POTS.replace("steps:", "budget: {usd: 0.038}\nsteps:", 1), desk=answers)

    assert isinstance(answers.person, Someone)
    assert answers.person.refused == ["The budget does not allow 4 more."]
    assert set(ran.ends().values()) == {"done"}


@pytest.mark.anyio
async def test_candidates_count_in_the_budget_like_any_call(bench: Bench, emulator: Emulator) -> None:
    text = POTS.replace("    pick: {of: 4}", "    pick: {of: 4}\n    budget: {usd: 0.012}")

    ran = await bench.run(text)

    assert len([p for p, _ in prompts(emulator) if p == "a teapot"]) == 2
    assert ran.ends()["photo"] == "cancelled"


def test_the_plan_counts_every_candidate() -> None:
    plan = planned(POTS)

    assert plan.usd == pytest.approx(4 * 0.005 + 0.005 + 0.01)
    assert plan.most("images") == 6
    assert "pick: 4 candidates, of which a person chooses one" in planned_report.text(plan)


def test_a_job_of_unknown_fate_is_not_forgotten_because_another_candidate_is_tried_again() -> None:
    began = RunStarted(1.0, "r", "p", None, "p.yaml", {}, {"photo": []}, {})
    sending = JobSending(1.1, "photo", "k1", "flux", {"usd": 0.1})

    state = fold([began, sending, AttemptFailed(1.2, "photo", 1, "busy", "429", 0.1, "k2")])

    assert list(state.unknown) == ["k1"]


def test_journals_from_before_there_were_candidates_can_be_read() -> None:
    said = {"event": "CallDone", "format": 1, "at": 1.0, "cell": "photo", "key": "k", "cached": False}

    assert decode(said) == CallDone(1.0, "photo", "k", cached=False)


# -- the choice -------------------------------------------------------------------------------------


@pytest.mark.anyio
async def test_a_later_run_takes_the_same_choice_and_needs_no_other_candidate(bench: Bench, emulator: Emulator) -> None:
    first = await bench.run(POTS, desk=desk(photo=takes(3)))
    chosen = first.said(CellAnswered)[0]
    others = {event.key for event in first.said(CallDone) if event.candidate not in (0, 3)}
    store = Store(bench.folder / "store")
    store.drop(others)
    store.close()
    before = len(emulator.jobs)

    second = await bench.run(POTS)

    assert len(others) == 3
    assert set(second.ends().values()) == {"cached"}
    assert len(emulator.jobs) == before
    assert second.said(CellAnswered)[0].answer == chosen.answer == 3
    assert second.output("photo.jpg") == first.output("photo.jpg")


@pytest.mark.anyio
async def test_other_candidates_are_another_question(bench: Bench) -> None:
    await bench.run(POTS, desk=desk(photo=takes(3)))

    ran = await bench.run(POTS.replace("a teapot", "a blue teapot"))

    assert ran.ends()["photo"] == "asking"


@pytest.mark.anyio
async def test_a_choice_does_not_hold_for_what_is_made_in_the_place_of_the_chosen(
    bench: Bench, emulator: Emulator
) -> None:
    first = await bench.run(POTS, desk=desk(photo=takes(3)))
    picture = first.output("photo.jpg")
    assert isinstance(picture, Artifact)
    Path(picture.path).unlink()
    store = Store(bench.folder / "store")
    other = first.said(CellAsked)[0].shown["1"]["image"]
    answered = first.said(CellAnswered)[0]
    row = next(row for row in store.rows() if row[0] == answered.keys[0])
    store._put("replies", row[0], json.loads(row[3].partition("\n")[0].replace(picture.sha256, other.sha256)), row[2])
    store.close()

    ran = await bench.run(POTS)

    assert ran.ends()["photo"] == "asking"


@pytest.mark.anyio
async def test_the_first_is_taken_where_nobody_is_to_be_asked_and_no_other_is_made(
    bench: Bench, emulator: Emulator
) -> None:
    ran = await bench.run(POTS, desk=Desk(first=True))
    asks_again = await bench.run(POTS)

    assert set(ran.ends().values()) == {"done"}
    assert ran.said(CellAnswered)[0].where == "first"
    assert asks_again.ends()["photo"] == "asking"  # it was nobody's choice


# -- yes or no --------------------------------------------------------------------------------------


@pytest.mark.anyio
async def test_after_a_yes_it_goes_on_and_the_same_is_not_asked_again(bench: Bench) -> None:
    answers = desk(fit=[Answer(yes=True, where="terminal")])

    first = await bench.run(LOOK, desk=answers)
    second = await bench.run(LOOK)
    other = await bench.run(LOOK.replace("A pot", "Another pot"))

    assert isinstance(answers.person, Someone)
    assert list(answers.person.told_of[0].shown) == ["picture", "title"]
    assert set(first.ends().values()) == {"done"}
    assert (second.ends()["fit"], second.ends()["warm"]) == ("cached", "cached")
    assert other.ends() == {"photo": "cached", "fit": "asking"}


@pytest.mark.anyio
async def test_after_a_no_what_needs_it_is_blocked(bench: Bench) -> None:
    ran = await bench.run(LOOK, desk=desk(fit=[Answer(yes=False, where="terminal")]))
    again = await bench.run(LOOK)

    assert ran.ends() == {"photo": "done", "fit": "failed", "warm": "blocked", "note": "done"}
    assert ran.state.cells["fit"].message == (
        "the answer to 'Is it fit to print?' was no; runner approve fit yes changes it"
    )
    assert again.ends()["fit"] == "failed"


# -- the command line -------------------------------------------------------------------------------


@pytest.fixture
def pots(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, emulator: Emulator, cli: Cli) -> Path:
    del cli  # it has left the key out of the environment
    monkeypatch.setenv("RUNPOD_BASE_URL", emulator.url)
    monkeypatch.setenv("RUNPOD_API_KEY", "k")
    path = tmp_path / "pots.yaml"
    path.write_text(POTS)
    return path


def state(run: str | None = None) -> Any:
    return find(Path(".runner"), run).state


def test_a_run_that_waits_says_how_to_choose_and_ends_with_6(cli: Cli, pots: Path) -> None:
    done = cli("run", pots)

    run = state().run
    assert done.code == 6
    assert "pots: waiting in" in done.out
    assert f"runner pick {run} photo N" in done.out
    assert f"Go on with: runner resume {run}" in done.out
    for number in range(1, 5):
        assert Path(f".runner/runs/{run}/photo.candidate-{number}.jpg").read_bytes()
        assert f"photo.candidate-{number}.jpg" in done.out


def test_what_is_chosen_from_elsewhere_is_what_the_resumed_run_goes_on_with(
    cli: Cli, pots: Path, emulator: Emulator
) -> None:
    cli("run", pots)
    before = len(emulator.jobs)

    chosen = cli("pick", "photo", "3")
    resumed = cli("resume")

    run = state().run
    assert (chosen.code, resumed.code) == (0, 0)
    assert f"photo: 3 of 4 (.runner/runs/{run}/photo.candidate-3.jpg). Go on with: runner resume {run}" in chosen.out
    assert len(emulator.jobs) == before + 1  # the edit
    assert Path(f".runner/runs/{run}/photo.jpg").read_bytes()
    facts = facts_in(Path("out/pots/photo.jpg").read_bytes())
    assert facts is not None
    assert facts.key == state().cells["photo"].answer.keys[0]


def test_show_lists_candidates_and_choice(cli: Cli, pots: Path) -> None:
    cli("run", pots)
    waiting = cli("show").out
    run = state().run
    cli("pick", "photo", "2")

    chosen = cli("show", run).out

    assert f"runner pick {run} photo N" in waiting
    assert "photo.candidate-4.jpg" in waiting
    assert "2 of 4, chosen by runner pick" in chosen


def test_why_tells_of_each_candidate_and_of_the_choice(cli: Cli, pots: Path) -> None:
    cli("run", pots)

    waiting, after = cli("why", "photo").out, cli("why", "warm").out
    cli("pick", "photo", "2")
    chosen = cli("why", "photo").out

    assert "photo, candidate 3: hit; in the store, paid for" in waiting
    assert "photo: not known; a person has not answered" in waiting
    assert "warm: not known; what it asks cannot be known yet: what it needs waits for a person" in after
    assert "photo: hit; 2 of 4, chosen earlier" in chosen
    assert "candidate 3" not in chosen


def test_pick_alone_lists_what_waits(cli: Cli, pots: Path) -> None:
    cli("run", pots)

    listed, one = cli("pick"), cli("pick", "photo")
    cli("pick", "photo", "1")
    cli("resume")

    assert "photo: Which of these 4?" in listed.out
    assert "photo.candidate-2.jpg  1360x768  seed " in one.out
    assert cli("pick").out == "Nothing waits for an answer.\n"


def test_an_answer_can_be_changed(cli: Cli, pots: Path) -> None:
    cli("run", pots)
    cli("pick", "photo", "3")
    cli("resume")
    third = Path("out/pots/photo.jpg").read_bytes()

    changed = cli("pick", "photo", "1")
    cli("run", pots)

    assert "photo: 1 of 4, instead of 3" in changed.out
    assert Path("out/pots/photo.jpg").read_bytes() != third
    assert state().cells["photo"].answer.answer == 1


def test_a_question_that_a_later_run_was_answered_waits_no_more(cli: Cli, pots: Path) -> None:
    cli("run", pots)
    first = state().run
    cli("run", pots)
    later = state().run
    cli("pick", later, "photo", "3")

    listed, shown = cli("pick"), cli("pick", first, "photo")

    assert listed.out == "Nothing waits for an answer.\n"
    assert shown.out.endswith(f"  3 of 4, chosen since in {later}; go on with: runner resume {first}\n")


def test_who_answers_an_older_question_is_told_that_it_has_been_answered_since(cli: Cli, pots: Path) -> None:
    cli("run", pots)
    first = state().run
    cli("run", pots)
    later = state().run
    cli("pick", later, "photo", "3")

    unnamed, more = cli("pick", "photo", "2"), cli("pick", first, "photo", "more")
    named = cli("pick", first, "photo", "1")

    assert f"photo: 2 of 4, instead of 3 (.runner/runs/{later}/" in unnamed.out
    assert more.err.startswith("Error: photo is chosen.")
    assert f"photo: 1 of 4, instead of 2, chosen since in {later} (.runner/runs/{first}/" in named.out


def test_a_run_of_which_an_answer_was_changed_goes_on_before_an_older_one_that_waits(cli: Cli, pots: Path) -> None:
    pots.write_text(LOOK)
    cli("run", pots)
    waits = state().run
    pots.write_text(LOOK.replace("a teapot", "a cup"))
    cli("run", pots)
    cli("approve", "fit", "yes")
    done = cli("resume")

    changed = cli("approve", state().run, "fit", "no")
    resumed = cli("resume")

    assert (done.code, changed.code, resumed.code) == (0, 0, 1)
    assert waits not in resumed.out


def test_an_older_question_is_not_answered_for_a_later_run_that_has_not_asked_yet(cli: Cli, pots: Path) -> None:
    pots.write_text(LOOK)
    cli("run", pots)
    older = state().run
    pots.write_text(LOOK.replace("a teapot", "a cup").replace("cup}", "cup, pick: {of: 2}}"))
    cli("run", pots)
    later = state().run

    refused, named = cli("approve", "fit", "yes"), cli("approve", older, "fit", "yes")

    assert refused.code == 2
    assert f"fit was asked in the run {older}, and {later} is a later one of look" in refused.err
    assert f"runner approve {older} fit" in refused.err
    assert named.out.startswith("fit: yes.")


def test_candidates_that_were_made_anew_since_are_chosen_where_they_are_seen(cli: Cli, pots: Path) -> None:
    cli("run", pots)
    first = state().run
    journal = Path(".runner/runs", first, "events.jsonl")
    was = state().cells["photo"].asked.shown["1"]["image"].sha256
    journal.write_text(journal.read_text().replace(was, "0" * 64))  # the emulator would paint the same again
    cli("run", pots, "--fresh", "photo")
    later = state().run
    cli("pick", later, "photo", "3")

    done = cli("pick", first, "photo", "1")

    assert done.code == 2
    assert done.err == (
        f"Error: The candidates of photo were made anew, and 3 of 4 is chosen since in {later}. "
        f"Choose among those: runner pick {later} photo N\n"
    )


def test_a_yes_that_was_said_since_is_told_to_who_answers_the_older_question(cli: Cli, pots: Path) -> None:
    pots.write_text(LOOK)
    cli("run", pots)
    first = state().run
    cli("run", pots)
    later = state().run
    cli("approve", later, "fit", "no")

    listed, changed = cli("pick"), cli("approve", first, "fit", "yes")

    assert listed.out == "Nothing waits for an answer.\n"
    assert changed.out == f"fit: yes, instead of no, said since in {later}. Go on with: runner resume {first}\n"


def test_more_can_be_asked_for_from_elsewhere(cli: Cli, pots: Path, emulator: Emulator) -> None:
    cli("run", pots)

    more = cli("pick", "photo", "more")
    resumed = cli("resume")

    assert "photo: 4 more candidates are to be made" in more.out
    assert resumed.code == 6
    assert "photo: Which of these 8?" in resumed.out
    assert len(emulator.jobs) == 9


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["photo", "9"], "photo has no candidate 9. It has 1, 2, 3, 4."),
        (["foto", "1"], "No run here has a foto that waits for a choice. Did you mean photo?"),
        (["nosuchrun", "photo", "1"], "There is no run nosuchrun"),
        (["more"], "more is not a step and an answer. Write: runner pick photo 3"),
    ],
)
def test_a_choice_that_cannot_be_is_told(cli: Cli, pots: Path, words: list[str], said: str) -> None:
    cli("run", pots)

    done = cli("pick", *words)

    assert done.code == 2
    assert said in done.err


def test_the_lock_names_the_choice_and_a_locked_run_keeps_to_it(cli: Cli, pots: Path) -> None:
    cli("run", pots)
    cli("pick", "photo", "3")
    cli("resume")
    cli("run", pots, "--lock")
    entry = app.read_lock(pots).cells["photo"]
    third = Path("out/pots/photo.jpg").read_bytes()
    cli("pick", "photo", "1")

    locked = cli("run", pots, "--locked")

    assert locked.code == 0
    assert {"pick": 3, "of": 4}.items() <= entry.facts.items()
    assert Path("out/pots/photo.jpg").read_bytes() == third
    assert "photo: 3 of 4, chosen in the lock" in locked.err


def test_a_lock_is_not_written_of_what_nobody_has_chosen(cli: Cli, pots: Path) -> None:
    cli("run", pots)

    done = cli("lock", pots)

    assert done.code == 3
    assert "photo: failed: none of its candidates is chosen in the store, and nobody is asked now" in done.out


def test_what_a_locked_choice_needs_is_never_swept(cli: Cli, pots: Path) -> None:
    cli("run", pots)
    cli("pick", "photo", "3")
    cli("resume", "--quiet")
    cli("run", pots, "--lock")

    cli("cache", "gc", "--max", "1B")
    again = cli("run", pots)

    assert again.code == 0
    assert "photo: 3 of 4, chosen earlier" in again.err
    store = Store(Path(".runner/store"))
    assert len(cache.entries(store)) == 4  # cup, warm, the third, and that it is the third
    store.close()


def test_fresh_makes_others_and_asks_again(cli: Cli, pots: Path, emulator: Emulator) -> None:
    cli("run", pots)
    cli("pick", "photo", "3")
    cli("resume")
    before = len(emulator.jobs)

    fresh = cli("run", pots, "--fresh", "photo")

    assert fresh.code == 6
    assert len(emulator.jobs) == before + 4


def test_pick_first_and_approve_ask_nobody(cli: Cli, pots: Path, emulator: Emulator) -> None:
    first = cli("run", pots, "--pick", "first")
    pots.write_text(LOOK)

    yes, no = cli("run", pots, "--approve", "yes"), cli("run", pots, "--approve", "no")

    assert (first.code, yes.code, no.code) == (0, 0, 1)
    assert [p for p, _ in prompts(emulator)].count("a teapot") == 2  # one of each pipeline
    assert "fit: no, said by --approve" in no.err


@pytest.mark.parametrize(("said", "code"), [("yes", 0), ("no", 1)])
def test_an_output_that_reads_whether_it_was_approved_is_written_after_a_yes_only(
    cli: Cli, pots: Path, said: str, code: int
) -> None:
    pots.write_text(ALL)
    cure = cli("check", pots).err.partition("An output waits as ")[2].partition(".\n")[0]
    pots.write_text(ALL.partition("outputs:")[0] + f"outputs:\n  {cure}\n")

    done = cli("run", pots, "--pick", "first", "--approve", said)

    assert cure == 'photo.jpg: "{{ steps.photo.image if steps.fit.approved }}"'
    assert done.code == code
    assert Path("out/all/photo.jpg").exists() == (said == "yes")


ALL = """\
name: all
steps:
  photo: {kind: generate_image, model: pruna/p-image-t2i, prompt: a teapot, pick: {of: 4}}
  fit: {kind: approve, question: Is it fit?, show: "{{ steps.photo.image }}"}
outputs:
  photo.jpg: "{{ steps.photo.image }}"
"""


def test_a_replay_takes_the_choices_that_were_recorded_and_asks_nobody(cli: Cli, pots: Path) -> None:
    pots.write_text(ALL)
    cli("run", pots, "--record", "tape")
    cli("pick", "photo", "3")
    cli("resume")
    cli("approve", "fit", "yes")
    cli("resume")
    third = Path("out/all/photo.jpg").read_bytes()

    done = cli("run", pots, "--replay", "tape", "--out", "again")

    assert done.code == 0
    assert (state().cells["photo"].answer.answer, state().cells["fit"].answer.answer) == (3, True)
    assert Path("again/photo.jpg").read_bytes() == third
    assert "Not used" not in done.err


def test_a_choice_that_nobody_made_is_recorded_like_any(cli: Cli, pots: Path) -> None:
    cli("run", pots, "--record", "tape", "--pick", "first")

    done = cli("run", pots, "--replay", "tape")

    assert done.code == 0
    assert state().cells["photo"].answer.answer == 1


def test_a_question_that_was_not_recorded_stays_open_and_says_what_to_do(cli: Cli, pots: Path) -> None:
    cli("run", pots, "--record", "tape")

    done = cli("run", pots, "--replay", "tape")

    assert done.code == 6
    assert "The recording tape holds no answer for photo. Record it again and answer, or add --pick" in done.err


def test_the_cases_of_a_recording_take_its_choices_and_not_the_first(cli: Cli, pots: Path) -> None:
    cli("run", pots, "--record", "tape")
    cli("pick", "photo", "3")
    cli("resume")
    third = state().cells["photo"].output.values["seed"]
    Path("pots.test.yaml").write_text(
        f"cases:\n  chosen: {{mode: {{replay: tape}}, expect: {{steps: {{photo: {{seed: {{is: {third}}}}}}}}}}}\n"
    )

    done = cli("test")

    assert done.code == 0, done.out + done.err


def test_a_recorded_choice_that_is_damaged_is_told_before_anything_runs(cli: Cli, pots: Path) -> None:
    cli("run", pots, "--record", "tape", "--pick", "first")
    (damaged,) = Path("tape/choices").iterdir()
    damaged.write_text("{")

    done = cli("run", pots, "--replay", "tape")

    assert done.code == 5
    assert f"The recording {damaged} cannot be read" in done.err


def test_approve_says_yes_from_elsewhere(cli: Cli, pots: Path) -> None:
    pots.write_text(LOOK)
    waiting = cli("run", pots, "--json")

    wrong, said = cli("approve", "fit", "perhaps"), cli("approve", "fit", "yes")
    resumed = cli("resume", "--json")

    cells = {cell["cell"]: cell for cell in json.loads(waiting.out)["cells"]}
    assert (waiting.code, wrong.code, said.code, resumed.code) == (6, 2, 0, 0)
    assert json.loads(waiting.out)["outcome"] == "waiting"
    assert cells["fit"]["question"] == "Is it fit to print?"
    assert "perhaps is neither yes nor no" in wrong.err
    assert Path("out/look/warm.jpg").exists()


def test_a_no_can_become_a_yes(cli: Cli, pots: Path) -> None:
    pots.write_text(LOOK)
    cli("run", pots)
    cli("approve", "fit", "no")
    refused = cli("resume")

    changed = cli("approve", "fit", "yes")
    resumed = cli("resume")

    assert (refused.code, changed.code, resumed.code) == (1, 0, 0)
    assert "runner approve fit yes changes it" in refused.out


def test_a_pipeline_in_a_pipeline_waits_and_goes_on(cli: Cli, pots: Path, emulator: Emulator) -> None:
    outer = pots.with_name("outer.yaml")
    outer.write_text(
        "name: outer\nsteps:\n  inner: {kind: run_pipeline, file: pots.yaml}\n"
        "  last: {kind: edit_image, model: pruna/p-image-edit, image: \"{{ steps.inner.outputs['warm.jpg'] }}\", "
        "prompt: colder}\n"
    )

    waiting = cli("run", outer)
    ends = {cell.cell: cell.state for cell in state().cells.values()}
    before = len(emulator.jobs)
    chosen = cli("pick", "inner/photo", "2")
    resumed = cli("resume")

    assert (waiting.code, chosen.code, resumed.code) == (6, 0, 0)
    assert (ends["inner"], ends["inner/photo"], ends["last"]) == ("waiting", "asking", "waiting")
    assert len(emulator.jobs) == before + 2


def two_looks(pots: Path) -> None:
    text = LOOK.replace("    kind: approve", "    kind: approve\n    foreach: [red, blue]")
    text = text.replace('    when: "{{ steps.fit.approved }}"\n', "    needs: [fit]\n")
    pots.write_text(text.replace("title: A pot", "a title: '{{ item }}'"))


def test_a_cell_of_several_that_ask_is_answered_by_its_name(cli: Cli, pots: Path, emulator: Emulator) -> None:
    two_looks(pots)
    cli("run", pots)

    several, one = cli("approve", "fit"), cli("approve", "fit[red]", "yes")
    halfway = cli("resume")
    other = cli("approve", "fit", "yes")
    whole = cli("resume")

    assert (several.code, one.code, other.code) == (2, 0, 0)
    assert "Several cells of fit ask: fit[red], fit[blue]. Name one of them." in several.err
    assert (halfway.code, whole.code) == (6, 0)
    assert "fit[blue]: Is it fit to print?" in halfway.out
    assert len(emulator.jobs) == 2


def test_a_step_without_a_key_is_every_cell_of_it_that_asks(cli: Cli, pots: Path) -> None:
    two_looks(pots)

    waiting = cli("run", pots)
    both = cli("approve", "fit", "yes")
    whole = cli("resume")
    changed = cli("approve", "fit", "no")

    run = state().run
    assert f"  All of fit: runner approve {run} fit yes   (or no)" in waiting.out
    assert both.out == f"fit[red]: yes.\nfit[blue]: yes.\nGo on with: runner resume {run}\n"
    assert (both.code, whole.code, changed.code) == (0, 0, 2)
    assert "Several cells of fit ask: fit[red], fit[blue]. Name one of them." in changed.err


def test_several_questions_are_answered_at_once_or_not_at_all(cli: Cli, pots: Path) -> None:
    pots.write_text(
        "name: pots\nsteps:\n  photo:\n    kind: generate_image\n    model: pruna/p-image-t2i\n"
        "    foreach: [red, blue]\n    prompt: A {{ item }} pot\n    pick: {of: 2}\n"
        "outputs:\n  '{key}.jpg': '{{ steps.photo.image }}'\n"
    )
    waiting = cli("run", pots)
    run = state().run

    wrong = cli("pick", "photo[red]", "2", "photo[blue]", "7")
    twice = cli("pick", "photo[red]", "2", "photo[red]", "1")
    odd = cli("pick", run, "photo[red]", "2", "photo[blue]")
    before = [cell.cell for cell in state().asking]
    both = cli("pick", "photo[red]", "2", "photo[blue]", "1")
    whole = cli("resume")

    assert f"  Several at once: runner pick {run} 'photo[red]' N 'photo[blue]' N\n" in waiting.out
    assert (wrong.code, wrong.err) == (2, "Error: photo[blue] has no candidate 7. It has 1, 2.\n")
    assert (twice.code, twice.err) == (2, "Error: photo[red] is answered twice. Answer it once.\n")
    assert (odd.code, "is not a step and an answer" in odd.err) == (2, True)
    assert before == ["photo[red]", "photo[blue]"]
    assert [line.partition(" (")[0] for line in both.out.splitlines()] == [
        "photo[red]: 2 of 2", "photo[blue]: 1 of 2", f"Go on with: runner resume {run}",
    ]  # fmt: skip
    assert (both.code, whole.code) == (0, 0)


def test_a_question_without_cache_is_asked_by_each_run_and_not_again_by_a_resumed_one(cli: Cli, pots: Path) -> None:
    pots.write_text(LOOK.replace("kind: approve", "kind: approve\n    cache: false"))
    cli("run", pots)
    cli("approve", "fit", "yes")

    resumed, again = cli("resume"), cli("run", pots)

    assert (resumed.code, again.code) == (0, 6)


def test_a_failure_besides_is_what_the_run_ends_with(cli: Cli, pots: Path, emulator: Emulator) -> None:
    pots.write_text(POTS.replace("model: pruna/p-image-t2i, prompt: a cup", "model: qwen/qwen-image, prompt: a cup"))
    emulator.fail("qwen-image-t2i/run=400")

    done = cli("run", pots)

    assert done.code == 1
    assert "pots: failed in" in done.out
    assert "photo: Which of these 4?" in done.out


def test_nobody_is_asked_after_the_run_was_closed(cli: Cli, pots: Path, emulator: Emulator) -> None:
    pots.write_text(LOOK.replace("steps:", "steps:\n  bad: {kind: parse_json, text: x, schema: {}}", 1))

    done = cli("run", pots, "--fail-fast")

    assert done.code == 1
    assert "Waiting for a person" not in done.out


def test_what_the_documentation_shows_runs(cli: Cli, pots: Path) -> None:
    blocks = re.findall(r"```yaml\n(.*?)```", (REPO / "docs/picking.md").read_text(), re.DOTALL)

    codes = []
    for block in blocks:
        pots.write_text(block)
        codes.append((cli("run", pots, "--local").code, cli("run", pots, "--local", "--approve", "yes",
                                                            "--pick", "first").code))  # fmt: skip

    assert codes == [(6, 0), (6, 0)]


# -- real processes ---------------------------------------------------------------------------------


def begin(folder: Path, url: str, *arguments: str, **streams: Any) -> subprocess.Popen[bytes]:
    env = {name: value for name, value in os.environ.items() if name != "CI"}
    env |= {"RUNPOD_API_KEY": "k", "RUNPOD_BASE_URL": url, "TERM": "xterm-256color", **streams.pop("env", {})}
    return subprocess.Popen([sys.executable, "-m", "runner", *arguments], cwd=folder, env=env, **streams)


def wait_for(true: Callable[[], object]) -> None:
    end = time.monotonic() + 20
    while not true():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.01)


def journal(folder: Path) -> str:
    return "".join(path.read_text() for path in folder.glob(".runner/runs/*/events.jsonl"))


def test_a_run_that_goes_on_takes_a_choice_up(cli: Cli, pots: Path) -> None:
    edit = "  {}: {{kind: edit_image, model: pruna/p-image-edit, image: '{{{{ steps.{}.image }}}}', prompt: on}}\n"
    chain = "".join(edit.format(*pair) for pair in [("e1", "cup"), ("e2", "e1"), ("e3", "e2"), ("e4", "e3")])
    pots.write_text(POTS.replace("outputs:", f"{chain}outputs:"))
    with Emulator(seed=1, latency=parse_latency("0+0.4")) as emulator:
        process = begin(pots.parent, emulator.url, "run", "pots.yaml", "--quiet", stdin=subprocess.DEVNULL)
        wait_for(lambda: '"CellAsked"' in journal(pots.parent))

        chosen = cli("pick", "photo", "2")

        assert "The run goes on with it." in chosen.out
        assert process.wait(timeout=30) == 0
    assert '"where":"pick"' in journal(pots.parent)
    assert journal(pots.parent).count('"RunFinished"') == 1


@dataclass
class Terminal:
    """A run at a terminal: what it says, and what is typed."""

    process: subprocess.Popen[bytes]
    side: int
    said: str = ""

    def sees(self, words: str) -> None:
        end = time.monotonic() + 20
        while words not in self.said:
            assert time.monotonic() < end, self.said
            self.said += os.read(self.side, 65536).decode(errors="replace")
        self.said = self.said.partition(words)[2]

    def types(self, keys: str) -> None:
        os.write(self.side, keys.encode())

    def ends(self) -> int:
        try:
            while piece := os.read(self.side, 65536):
                self.said += piece.decode(errors="replace")
        except OSError:
            pass  # how Linux says that the other side of a terminal has gone
        finally:
            os.close(self.side)
        return self.process.wait(timeout=20)


def at_terminal(folder: Path, url: str, *arguments: str, **env: str) -> Terminal:
    ours, theirs = pty.openpty()
    termios.tcsetwinsize(theirs, (50, 160))
    process = begin(folder, url, *arguments, stdin=theirs, stdout=theirs, stderr=theirs, env=env,
                    preexec_fn=lambda: os.login_tty(theirs))  # fmt: skip
    os.close(theirs)
    return Terminal(process, ours)


def test_a_person_at_the_terminal_chooses(pots: Path, emulator: Emulator) -> None:
    folder = pots.parent
    there = folder / "bin"
    there.mkdir()
    (there / "xdg-open").write_text(f"#!/bin/sh\necho $1 >> {folder}/opened\n")
    (there / "xdg-open").chmod(0o755)
    screen = at_terminal(pots.parent, emulator.url, "run", "pots.yaml", PATH=f"{there}:{os.environ['PATH']}")

    screen.sees("photo: Which of these 4?")
    screen.sees("photo.candidate-4.jpg")
    screen.types("17\r")
    screen.sees("There is no candidate 17. Type one of 1, 2, 3, 4.")
    screen.types("o 2\r")
    wait_for(lambda: (folder / "opened").exists() and (folder / "opened").read_text().endswith("\n"))
    screen.types("a\r")
    screen.sees("photo: Which of these 8?")
    screen.types("4\x7f6\r")
    screen.sees("photo: 6 of 8, chosen at the terminal")

    assert screen.ends() == 0
    assert (folder / "opened").read_text().strip().endswith("photo.candidate-2.jpg")
    assert len(emulator.jobs) == 10


@pytest.mark.parametrize("signalled", [False, True], ids=["q", "ctrl-c"])
def test_a_question_can_be_left_open(cli: Cli, pots: Path, emulator: Emulator, signalled: bool) -> None:
    screen = at_terminal(pots.parent, emulator.url, "run", "pots.yaml")
    modes = termios.tcgetattr(screen.side)[3]
    screen.sees("q leaves it open")
    wait_for(lambda: '"CellDone"' in journal(pots.parent))
    assert not termios.tcgetattr(screen.side)[3] & termios.ECHO

    screen.types("\x03" if signalled else "q\r")

    screen.sees("Waiting for a person")
    after = termios.tcgetattr(screen.side)[3]
    assert screen.ends() == (130 if signalled else 6)
    assert after == modes
    assert "runner pick" in screen.said
    assert cli("pick", "photo", "2").code == cli("resume").code == 0
    assert len(emulator.jobs) == 6


def test_a_run_that_is_killed_while_it_asks_is_taken_up_without_paying_again(
    cli: Cli, pots: Path, emulator: Emulator
) -> None:
    screen = at_terminal(pots.parent, emulator.url, "run", "pots.yaml")
    screen.sees("q leaves it open")
    wait_for(lambda: '"CellDone"' in journal(pots.parent))
    screen.process.send_signal(signal.SIGKILL)
    assert screen.ends() == -signal.SIGKILL

    chosen, resumed = cli("pick", "photo", "2"), cli("resume")

    assert (chosen.code, resumed.code) == (0, 0)
    assert len(emulator.jobs) == 6


@pytest.mark.parametrize("how", ["ci", "quiet", "json"])
def test_nobody_is_asked_in_ci_or_where_the_run_is_to_be_silent(pots: Path, emulator: Emulator, how: str) -> None:
    arguments = [] if how == "ci" else [f"--{how}"]
    screen = at_terminal(
        pots.parent, emulator.url, "run", "pots.yaml", *arguments, **({"CI": "true"} if how == "ci" else {})
    )

    code = screen.ends()

    assert code == 6
    assert "q leaves it open" not in screen.said


def test_what_was_typed_before_the_question_is_no_answer(pots: Path, emulator: Emulator) -> None:
    pots.write_text(LOOK)
    emulator.fail("p-image-t2i/run=429*1")  # so that there is time to type
    screen = at_terminal(pots.parent, emulator.url, "run", "pots.yaml")
    screen.sees("over its rate limit")
    screen.types("y\r")

    screen.sees("fit: y or n")
    time.sleep(0.3)
    screen.types("q\r")

    assert screen.ends() == 6
    assert '"CellAnswered"' not in journal(pots.parent)


def test_a_terminal_that_draws_nothing_is_asked_line_by_line(pots: Path, emulator: Emulator) -> None:
    pots.write_text(LOOK)
    screen = at_terminal(pots.parent, emulator.url, "run", "pots.yaml", TERM="dumb")

    screen.sees("fit: y or n, o opens it, q leaves it open: ")
    screen.types("what\r")
    screen.sees("Type y for yes")
    screen.types("n\r")

    assert screen.ends() == 1
    assert "fit: no, said at the terminal" in screen.said


def test_what_a_run_paid_before_it_was_taken_up_again_is_told_at_the_cell(cli: Cli, pots: Path) -> None:
    waits = json.loads(cli("run", pots, "--json").out)
    cli("pick", "photo", "2")
    cli("resume")

    cells = {cell["cell"]: cell for cell in json.loads(cli("show", "--json").out)["cells"]}
    total = json.loads(cli("show", "--json").out)["cost"]

    assert sum(cell["cost"] for cell in cells.values()) == pytest.approx(total)
    assert cells["photo"]["cost"] == pytest.approx(4 * 0.005)
    assert {cell["state"] for cell in cells.values()} == {"done"}
    assert waits["cost"] < total


def test_a_choice_in_a_run_that_keeps_to_its_lock_names_a_run_that_takes_it(cli: Cli, pots: Path) -> None:
    cli("run", pots, "--json")
    cli("pick", "photo", "1")
    cli("run", pots, "--lock")
    assert cli("run", pots, "--locked").code == 0

    told = cli("pick", "photo", "2")
    again = cli("run", pots, "--json")

    assert "This run keeps to its lock; a new one takes it: runner run pots.yaml" in told.out
    assert {c["cell"]: c for c in json.loads(again.out)["cells"]}["photo"]["answer"] == 2
