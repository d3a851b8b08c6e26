"""Budgets over real HTTP: what a run may spend, what it says when that is used up, and what it keeps."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pytest

from runner import loading
from runner.emulator import Emulator, Endpoint, Latency
from runner.events import BudgetTold, CallPaid, CallStarted, Event
from runner.reports import planned as report

from .conftest import Bench, Cli

TEXT = "kind: generate_text, model: qwen/qwen3-32b-awq"
PICTURE = "kind: generate_image, model: qwen/qwen-image, size: 512x512"
FIFTY = f"""
name: fifty
budget: {{usd: 1}}
steps:
  say: {{{TEXT}, max_tokens: 8000, foreach: "{{{{ range(50) | list }}}}", prompt: "word {{{{ item }}}}"}}
"""


@pytest.mark.anyio
async def test_fifty_cells_at_once_that_cost_less_than_their_bound_never_pass_a_dollar(
    bench: Bench, emulator: Emulator
) -> None:
    emulator.latency = Latency(execution=0.02)
    in_flight, highest = 0, 0

    def watch(event: Event) -> None:
        nonlocal in_flight, highest
        in_flight += isinstance(event, CallStarted) - isinstance(event, CallPaid)
        highest = max(highest, in_flight)

    ran = await bench.run(FIFTY, watch=watch)

    assert Counter(ran.ends().values()) == {"done": 50}
    assert ran.state.cost <= 1
    assert 2 <= highest <= 12  # each may cost 0.08 USD


@pytest.mark.anyio
@pytest.mark.parametrize("anyio_backend", ["asyncio", "trio"])
async def test_what_is_billed_above_its_bound_passes_the_budget_by_what_was_in_flight_and_is_told(
    tmp_path: Path,
) -> None:
    rows = {"qwen-image-t2i": Endpoint(kind="image", usd=0.05)}
    with Emulator(endpoints=rows, latency=Latency(execution=0.02)) as dear:
        ran = await Bench(tmp_path / ".runner", dear.url).run(
            f"name: dear\nbudget: {{usd: 0.32}}\nsteps:\n"
            f'  c: {{{PICTURE}, foreach: "{{{{ range(50) | list }}}}", prompt: "p {{{{ item }}}}"}}\n',
            calls=4,
        )
        peak = dear.peak

    assert 0.32 < ran.state.cost <= 0.32 + 0.05 * peak
    assert Counter(ran.ends().values()) == {"done": dear.paid, "cancelled": 50 - dear.paid}
    assert ran.state.told[-1].startswith(f"the budget of the run was passed by {ran.state.cost - 0.32:.4f} USD")


@pytest.mark.anyio
async def test_a_stop_keeps_what_is_in_flight_and_is_told_once(bench: Bench, emulator: Emulator) -> None:
    emulator.latency = Latency(execution=0.02)

    ran = await bench.run(
        "name: s\nbudget: {usd: 0.05}\nsteps:\n"
        f"  c: {{{PICTURE}, foreach: [1, 2, 3, 4, 5, 6], prompt: 'p {{{{ item }}}}'}}\n"
        "  t: {kind: generate_text, model: qwen/qwen3-32b-awq, prompt: hi, after: [c]}\n"
    )

    assert Counter(ran.ends().values()) == {"done": 2, "cancelled": 5}
    assert len(ran.said(BudgetTold)) == 1
    assert emulator.paid == 2


@pytest.mark.anyio
async def test_a_skip_leaves_out_the_cells_of_its_step_and_the_others_go_on(bench: Bench, emulator: Emulator) -> None:
    ran = await bench.run(
        f"name: s\nsteps:\n"
        f"  c: {{{PICTURE}, foreach: [1, 2, 3], prompt: 'p {{{{ item }}}}', budget: {{images: 2, on_exceed: skip}}}}\n"
        "  e: {kind: edit_image, model: qwen/qwen-image-edit, foreach: '{{ steps.c }}', image: '{{ item.image }}', "
        "prompt: x}\n"
    )

    assert Counter(ran.ends().values()) == {"done": 4, "skipped": 2}
    assert not ran.state.exceeded
    assert emulator.paid == 4


@pytest.mark.anyio
async def test_a_warning_is_said_once_and_nothing_is_left_out(bench: Bench) -> None:
    ran = await bench.run(
        "name: s\nbudget: {usd: 0.03, on_exceed: warn}\nsteps:\n"
        f"  c: {{{PICTURE}, foreach: [1, 2, 3], prompt: 'p {{{{ item }}}}'}}\n"
    )

    assert set(ran.ends().values()) == {"done"}
    assert [told.stop for told in ran.said(BudgetTold)] == [False]


@pytest.mark.anyio
async def test_tokens_count_as_the_server_counts_them(bench: Bench) -> None:
    ran = await bench.run(
        f"name: s\nbudget: {{tokens: 800, on_exceed: skip}}\nlimits: {{calls: 1}}\n"
        f"steps:\n  c: {{{TEXT}, foreach: [1, 2, 3], max_tokens: 600, prompt: 'p {{{{ item }}}}'}}\n"
    )

    ends = Counter(ran.ends().values())
    used = sum(units.get("tokens", 0) for units in ran.state.spent.values())
    assert ends["done"] >= 1
    assert 0 < used <= 800


@pytest.mark.anyio
async def test_seconds_count_as_long_as_the_file_is(bench: Bench) -> None:
    ran = await bench.run(
        "name: s\nbudget: {seconds: 11}\nlimits: {calls: 1}\nsteps:\n"
        "  c: {kind: generate_video, model: alibaba/wan-2.6-t2v, foreach: [1, 2, 3], duration: 5, "
        "prompt: 'p {{ item }}'}\n"
    )

    assert Counter(ran.ends().values()) == {"done": 2, "cancelled": 1}
    assert sum(units.get("seconds", 0) for units in ran.state.spent.values()) == pytest.approx(10, abs=0.5)


@pytest.fixture
def pots(tmp_path: Path) -> Path:
    path = tmp_path / "pots.yaml"
    path.write_text(
        f"name: pots\nsteps:\n  c: {{{PICTURE}, foreach: [1, 2, 3], prompt: 'p {{{{ item }}}}'}}\n"
        'outputs: {"{key}.png": "{{ steps.c.image }}"}\n'
    )
    return path


def test_the_command_line_gives_a_budget_that_ends_the_run_with_4_and_one_line(cli: Cli, pots: Path) -> None:
    done = cli("run", pots, "--local", "--budget", "0.03", "--concurrency", "1")

    assert done.code == 4
    assert done.err.count("the budget of the run is") == 1
    assert "2 cells" in done.out or done.out.count("c[") == 2
    assert "FAILED" not in done.err


def test_what_was_spent_before_a_resume_counts(cli: Cli, pots: Path) -> None:
    cli("run", pots, "--local", "--budget", "0.03", "--concurrency", "1")

    again = cli("resume", "--json")
    more = cli("resume", "--json", "--budget", "0.07")

    assert (again.code, json.loads(again.out)["cost"]) == (4, pytest.approx(0.02))
    assert (more.code, json.loads(more.out)["cost"]) == (0, pytest.approx(0.06))


def test_a_budget_of_the_command_line_wants_a_price_of_every_model(cli: Cli, pots: Path) -> None:
    pots.write_text(pots.read_text().replace("qwen/qwen-image", "abc123def456").replace(", size: 512x512", ""))

    done = cli("run", pots, "--local", "--budget", "1")

    assert done.code == 2
    assert "abc123def456 has no known price" in done.err


def test_an_unpriced_model_may_be_counted_as_something(cli: Cli, pots: Path) -> None:
    text = pots.read_text().replace("qwen/qwen-image", "abc123def456").replace(", size: 512x512", "")
    pots.write_text(text.replace("steps:", "budget: {usd: 0.1, unpriced: {count_as: 0.05}}\nsteps:", 1))

    assert loading.read(pots).problems == ()


def test_an_output_that_a_budget_leaves_out_is_wanting(cli: Cli, pots: Path) -> None:
    pots.write_text(
        f"name: pots\nsteps:\n  c: {{{PICTURE}, prompt: p, budget: {{usd: 0.0001, on_exceed: skip}}}}\n"
        "outputs: {c.png: '{{ steps.c.image }}'}\n"
    )

    ran = cli("run", pots, "--local")

    assert ran.code == 1
    assert "c.png       not made: c was skipped" in ran.out


def test_a_budget_that_cannot_pay_one_call_is_told_before_anything_runs(cli: Cli, pots: Path) -> None:
    pots.write_text(pots.read_text().replace("steps:", "budget: {usd: 0.01}\nsteps:", 1))

    checked, ran = cli("check", pots), cli("run", pots, "--local")

    assert checked.code == 0
    for said in (checked.err, ran.err):
        assert "A call of c may take 0.02 USD, and the budget is 0.01." in said


def test_a_plan_shows_the_budgets_beside_the_bound(pots: Path) -> None:
    text = pots.read_text().replace("steps:", "budget: {usd: 0.05, images: 9}\nsteps:", 1)
    pots.write_text(text.replace("{{ item }}'}", "{{ item }}', budget: {images: 2, on_exceed: skip}}"))

    lines = report.text(loading.plan(loading.read(pots), loading.Given(), {}, preview=True)).splitlines()

    assert "     budget: 2 images; a call that does not fit is skipped" in lines
    assert lines[-1] == "Budget: 0.0500 USD, 9 images; the run may stop before its end"
