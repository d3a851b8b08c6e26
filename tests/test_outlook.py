"""`runner plan`: what would run, what the store has of it, what it can cost."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from runner import loading, seeing
from runner.options import Options
from runner.reports import planned

from .conftest import REPO, Cli

CARD = REPO / "pipelines/product-card.yaml"
POTS = """
name: pots
inputs:
  names: {type: list, default: [red, blue]}
  mood: {type: string, default: warm}
steps:
  picture:
    kind: generate_image
    model: qwen/qwen-image
    foreach: "{{ inputs.names }}"
    prompt: "A {{ item }} pot."
  edit:
    kind: edit_image
    model: qwen/qwen-image-edit
    foreach: "{{ steps.picture }}"
    image: "{{ item.image }}"
    prompt: "{{ inputs.mood }}"
  note: {kind: generate_text, model: qwen/qwen3-32b-awq, prompt: A line., cache: false}
"""


@pytest.fixture
def card(tmp_path: Path) -> Path:
    path = tmp_path / "card.yaml"
    path.write_text(CARD.read_text())
    return path


@pytest.fixture
def pots(tmp_path: Path) -> Path:
    path = tmp_path / "pots.yaml"
    path.write_text(POTS)
    return path


def column(text: str, name: str) -> dict[str, str]:
    """A column of the table, by step."""
    head, *rows = text.partition("\n\n")[2].partition("\n\n")[0].splitlines()
    at = head.index(name)
    return {row.split()[0]: row[at : at + len(name) + 2].split("  ")[0].strip() for row in rows}


def test_a_plan_is_a_table_with_totals(cli: Cli, card: Path) -> None:
    done = cli("plan", card)

    assert done.out == (
        "product-card 1.2.0: 4 steps\n"
        "\n"
        "step      kind            model                             needs           cells  cached  expected  at most\n"
        "draft     generate_text   qwen/qwen3-32b-awq                                1      no      0.0046    0.0223\n"
        "facts     parse_json                                        draft (text)    1      local   free      free\n"
        "photo     generate_image  black-forest-labs/flux-1-schnell  facts (prompt)  1      no      0.0019    0.0019\n"
        "seasonal  edit_image      qwen/qwen-image-edit              photo (image)   1      no      0.0200    0.0200\n"
        "total                                                                                      0.0264    0.0442\n"
        "\n"
        "Expected: 0.0264 USD; where nothing was paid before, an answer is taken to be of 400 tokens\n"
        "At most, if nothing is stored or tried twice: 0.0442 USD\n"
        "Budget: 0.1000 USD\n"
    )


def test_a_plan_leaves_nothing_behind(cli: Cli, card: Path, tmp_path: Path) -> None:
    cli("plan", card)

    assert list(tmp_path.iterdir()) == [card]


def test_what_is_stored_is_not_expected_to_cost_again(cli: Cli, card: Path) -> None:
    cli("run", card, "--local")

    local, real = cli("plan", card, "--local").out, cli("plan", card).out

    assert column(local, "cached") == {"draft": "yes", "facts": "local", "photo": "yes", "seasonal": "yes", "total": ""}
    assert "Expected: 0.00 USD\n" in local
    assert "At most, if nothing is stored or tried twice: 0.00 USD (would be 0.0442 on Runpod)\n" in local
    assert column(real, "cached")["draft"] == "no"  # what the emulator made is never served for Runpod
    assert "Expected: 0.0239 USD, by earlier runs\n" in real


def test_only_what_is_asked_otherwise_is_missed(cli: Cli, card: Path) -> None:
    cli("run", card, "--local")

    out = cli("plan", card, "--local", "-i", "season=winter").out

    assert column(out, "cached") == {"draft": "yes", "facts": "local", "photo": "yes", "seasonal": "no", "total": ""}
    assert column(out, "expected")["total"] == "0.0200"


def test_what_a_step_asks_is_not_known_before_the_one_it_reads_has_run(cli: Cli, card: Path) -> None:
    cli("run", card, "--local")

    out = cli("plan", card, "--local", "-i", "product=a blue jug").out

    assert column(out, "cached") == {"draft": "no", "facts": "local", "photo": "?", "seasonal": "?", "total": ""}


def test_cells_are_found_one_by_one(cli: Cli, pots: Path) -> None:
    cli("run", pots, "--local")

    out = cli("plan", pots, "--local", "-i", "names=[red, blue, green]").out

    assert column(out, "cells") == {"picture": "3", "edit": "3", "note": "1", "total": ""}
    assert column(out, "cached") == {"picture": "2 of 3", "edit": "2 of 3", "note": "no", "total": ""}
    assert column(out, "expected")["edit"] == "0.0200"
    assert column(out, "at most")["edit"] == "0.0600"


def test_cells_that_an_earlier_step_makes_are_counted_when_that_step_is_stored(cli: Cli, tmp_path: Path) -> None:
    path = tmp_path / "story.yaml"
    path.write_text((REPO / "pipelines/narrated-story.yaml").read_text())
    before = cli("plan", path, "--local").out
    cli("run", path, "--local")

    after = cli("plan", path, "--local").out

    assert column(before, "cells")["picture"] == "?"
    assert "unknown: how many cells there are is only known in the run" in before
    assert column(after, "cells")["picture"] == "3"
    assert column(after, "cached")["picture"] == "yes"
    assert "unknown: what voice costs depends on what is only known in the run" in after


def test_a_pipeline_inside_is_stored_when_all_of_it_is(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "inner.yaml").write_text(
        "name: inner\ninputs: {who: {type: string}}\nsteps:\n"
        "  a: {kind: generate_text, model: qwen/qwen3-32b-awq, prompt: 'A line for {{ inputs.who }}.'}\n"
        "outputs: {a.txt: '{{ steps.a.text }}'}\n"
    )
    path = tmp_path / "outer.yaml"
    path.write_text(
        "name: outer\ninputs: {who: {type: list, default: [x, y]}}\nsteps:\n"
        "  each: {kind: run_pipeline, file: inner.yaml, foreach: '{{ inputs.who }}', inputs: {who: '{{ item }}'}}\n"
    )
    cli("run", path, "--local")

    same = cli("plan", path, "--local").out
    more = cli("plan", path, "--local", "-i", "who=[x, y, z]").out

    assert column(same, "cached")["each"] == "yes"
    assert column(more, "cached")["each"] == "2 of 3"


def test_without_its_inputs_a_plan_says_what_it_would_need_to_ask_the_store(cli: Cli, card: Path) -> None:
    card.write_text(card.read_text().replace(", default: a red ceramic teapot", ""))
    cli("run", card, "--local", "-i", "product=a jug")

    out = cli("plan", card, "--local").out

    assert column(out, "cached")["draft"] == "?"
    assert "What the store has depends on the inputs. Add -i product=….\n" in out


def test_a_store_that_cannot_be_read_is_said_and_the_plan_is_there(cli: Cli, card: Path, tmp_path: Path) -> None:
    cli("run", card, "--local")
    for path in (tmp_path / ".runner/store").glob("replies.sqlite*"):
        path.write_bytes(b"no database" * 1000)

    done = cli("plan", card, "--local")

    assert done.code == 0
    assert column(done.out, "cached")["draft"] == "?"
    assert "What is stored cannot be told: The store " in done.out


def test_on_a_narrow_terminal_nothing_is_wider_than_it(card: Path) -> None:
    found = seeing.outlook(loading.read(card), loading.Given(), Options())

    text = planned.overview(*found, 72)

    table = text.partition("\n\n")[2].partition("\n\n")[0].splitlines()
    assert max(map(len, table)) <= 72
    assert "  generate_image  black-forest-labs/flux-1-schnell" in table
    assert "  needs facts (prompt)" in table


def test_programs_read_the_same_plan_as_json(cli: Cli, card: Path) -> None:
    cli("run", card, "--local")

    said = json.loads(cli("plan", card, "--local", "-i", "season=winter", "--json").out)

    steps = {step["step"]: step for step in said["steps"]}
    assert steps["photo"]["needs"] == [{"step": "facts", "sort": "data", "why": "prompt reads facts"}]
    assert [step["cached"] for step in said["steps"]] == ["yes", "local", "yes", "no"]
    assert (said["expected_usd"], said["most_usd"]) == (0.02, 0.044177)
    assert steps["seasonal"]["call"]["input"]["image"] == {"file": "{{ steps.photo.image }}"}
    assert steps["seasonal"]["expected_from"] == "earlier runs"
    assert said["budget"] == {"usd": 0.1}


def test_the_calls_are_shown_in_full_or_as_json_and_not_both(cli: Cli, card: Path) -> None:
    full, both = cli("plan", card, "--calls"), cli("plan", card, "--calls", "--json")

    assert "     POST qwen-image-edit/run\n" in full.out
    assert both.code == 2
    assert both.err == "Error: --calls and --json exclude each other: the JSON holds the calls. Write one of them.\n"


def test_candidates_are_expected_to_cost_as_many_calls(cli: Cli, tmp_path: Path) -> None:
    path = tmp_path / "lines.yaml"
    path.write_text(
        "name: lines\nsteps:\n"
        "  one: {kind: generate_text, model: qwen/qwen3-32b-awq, prompt: A line., max_tokens: 400}\n"
        "  many: {kind: generate_text, model: qwen/qwen3-32b-awq, prompt: A line., max_tokens: 400, pick: {of: 3}}\n"
    )

    done = cli("plan", path, "--json")

    one, many = json.loads(done.out)["steps"]
    assert many["expected_usd"] == pytest.approx(3 * one["expected_usd"], abs=1e-5)  # each is rounded


def test_what_one_candidate_has_cost_is_expected_of_each(cli: Cli, tmp_path: Path) -> None:
    path = tmp_path / "pot.yaml"
    text = (
        "name: pot\ninputs: {thing: {type: string, default: pot}}\nsteps:\n"
        "  photo: {kind: generate_image, model: pruna/p-image-t2i, prompt: 'a {{ inputs.thing }}'PICK}\n"
    )
    path.write_text(text.replace("PICK", ""))
    cli("run", path, "--local")

    path.write_text(text.replace("PICK", ", pick: {of: 3}"))
    before = cli("plan", path, "--local", "-i", "thing=jug").out
    cli("run", path, "--local", "-i", "thing=jug")
    after = cli("plan", path, "--local", "-i", "thing=cup").out

    assert column(before, "expected") == column(after, "expected") == {"photo": "0.0150", "total": "0.0150"}


def test_a_text_that_can_cost_far_more_than_it_will_says_why_and_what_makes_it_less(cli: Cli, tmp_path: Path) -> None:
    path = tmp_path / "soap.yaml"
    path.write_text(
        "name: soap\nsteps:\n  words: {kind: generate_text, model: qwen/qwen3-32b-awq, prompt: two lines, "
        "schema: {type: object, properties: {a: {type: string}}}}\n"
    )

    out = cli("plan", path).out

    assert (
        "  words: with 3 answers of 2,048 tokens, for which all that was said before is sent again each time; " in out
    )
    assert "max_tokens: and reask: make it less\n" in out


def test_a_step_that_waits_for_a_choice_is_not_known_to_be_stored(cli: Cli, tmp_path: Path) -> None:
    path = tmp_path / "lines.yaml"
    path.write_text(
        "name: lines\nsteps:\n"
        "  many: {kind: generate_text, model: qwen/qwen3-32b-awq, prompt: A line., pick: {of: 3}}\n"
    )
    cli("run", path, "--local")

    before = column(cli("plan", path, "--local").out, "cached")
    cli("pick", "many", "2")
    after = column(cli("plan", path, "--local").out, "cached")

    assert (before["many"], after["many"]) == ("?", "yes")


OPEN = """\
name: open
inputs: {topic: {type: string}}
steps:
  draft: {kind: generate_text, model: qwen/qwen3-32b-awq, prompt: "About {{ inputs.topic }}"}
  short: {kind: generate_text, model: qwen/qwen3-32b-awq, prompt: "Shorten {{ steps.draft.text }}"}
"""


def test_a_most_that_is_far_too_much_says_why(cli: Cli, tmp_path: Path) -> None:
    path = tmp_path / "open.yaml"
    path.write_text(OPEN)

    without, given = cli("plan", path), cli("plan", path, "-i", "topic=tea")
    calls, said = cli("plan", path, "--calls"), json.loads(cli("plan", path, "--json").out)

    why = (
        "  draft: with the longest prompt that its model takes, because not all inputs are given\n"
        "  short: with the longest prompt that its model takes, because what it asks is only known in the run\n"
    )
    assert f"At most, if nothing is stored or tried twice: 0.6554 USD\n{why}" in without.out
    assert f"At most, if nothing is tried twice: 0.6554 USD\n{why}" in calls.out
    assert "  draft: with" not in given.out
    assert "  short: with" in given.out
    assert len(said["notes"]) == 3


def test_what_a_pipeline_inside_asks_is_only_known_in_the_run(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "open.yaml").write_text(OPEN)
    path = tmp_path / "outer.yaml"
    path.write_text("name: outer\nsteps:\n  tea: {kind: run_pipeline, file: open.yaml, inputs: {topic: tea}}\n")

    done = cli("plan", path)

    why = "because what its pipeline asks is only known in the run"
    assert done.out.endswith(f"  tea: with the most that it can be, {why}\n")


def test_a_price_that_depends_on_inputs_is_not_said_to_be_unknown_to_the_catalogue(cli: Cli, tmp_path: Path) -> None:
    path = tmp_path / "voice.yaml"
    path.write_text(
        "name: voice\ninputs: {line: {type: string}}\nsteps:\n"
        "  speech: {kind: generate_speech, model: minimax-speech-02-hd, text: '{{ inputs.line }}'}\n"
    )

    table, calls = cli("plan", path), cli("plan", path, "--calls")

    why = "unknown: what speech costs depends on inputs that are not given\n"
    assert table.out.endswith(f"At most, if nothing is stored or tried twice: {why}")
    assert calls.out.endswith(f"At most, if nothing is tried twice: {why}")


def test_a_pipeline_inside_that_lacks_a_call_is_not_stored_though_nothing_is_made_of_it(
    cli: Cli, tmp_path: Path
) -> None:
    (tmp_path / "open.yaml").write_text(OPEN)
    path = tmp_path / "outer.yaml"
    path.write_text("name: outer\nsteps:\n  tea: {kind: run_pipeline, file: open.yaml, inputs: {topic: tea}}\n")
    cli("run", tmp_path / "open.yaml", "--local", "-i", "topic=coffee")

    done = cli("plan", path, "--local")

    assert column(done.out, "cached")["tea"] == "no"


def test_candidates_are_counted_beside_the_cells(cli: Cli, tmp_path: Path) -> None:
    path = tmp_path / "pots.yaml"
    one = "kind: generate_image, model: qwen/qwen-image, prompt: a pot, pick: {of: 4}"
    path.write_text(
        f"name: pots\ninputs: {{names: {{type: list}}}}\nsteps:\n  one: {{{one}}}\n"
        f"  two: {{{one}, foreach: [1, 2]}}\n  any: {{{one}, foreach: '{{{{ inputs.names }}}}'}}\n"
    )

    done, said = cli("plan", path), json.loads(cli("plan", path, "--json").out)

    assert "  4 candidates      ?       0.0800    0.0800\n" in done.out
    assert "  2 × 4 candidates  " in done.out
    assert "  ? × 4 candidates  " in done.out
    assert [step["candidates"] for step in said["steps"]] == [4, 4, 4]
