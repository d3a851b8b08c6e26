"""A budget: never passed, never in the way of what fits, and nobody waits for it for ever."""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

import anyio
import anyio.lowlevel
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runner.budget import Budget, Held, scopes
from runner.errors import BudgetExceeded, NotAfforded, Unpriced
from runner.model import Ceiling

pytestmark = pytest.mark.anyio


@dataclass
class Heard:
    """What a budget says."""

    told: list[str] = field(default_factory=list)
    stopped: list[str] = field(default_factory=list)


def budget_of(
    heard: Heard | None = None, spent: Mapping[str, Mapping[str, float]] | None = None, **most: float
) -> Budget:
    heard = heard or Heard()
    budget = Budget(heard.told.append, heard.stopped.append, spent)
    budget.add("", Ceiling(most))
    return budget


def usd(amount: float | None) -> dict[str, float | None]:
    return {"usd": amount}


async def test_without_a_ceiling_everything_fits() -> None:
    budget = Budget(print, print)

    held = await budget.reserve("photo", usd(None))
    budget.settle(held, usd(3.0))

    assert held.usd == 0


async def test_what_does_not_fit_is_refused_and_told_once() -> None:
    heard = Heard()
    budget = budget_of(heard, usd=1.0)
    budget.settle(await budget.reserve("photo", usd(0.8)), usd(0.8))

    for _ in range(3):
        with pytest.raises(BudgetExceeded):
            await budget.reserve("photo", usd(0.3))

    said = (
        "the budget of the run is 1.0000 USD, of which 0.8000 USD are spent; the next call of photo may take "
        "0.3000 USD, so it was not sent, and nothing new is; raise budget: usd:, or give a higher --budget"
    )
    assert heard.stopped == [said]


async def test_a_ceiling_that_is_lower_than_what_was_spent_before_was_passed_by_no_call() -> None:
    heard = Heard()
    budget = budget_of(heard, spent={"photo": {"usd": 0.5}}, usd=0.2)

    with pytest.raises(BudgetExceeded):
        await budget.reserve("photo", usd(0.1))
    budget.report()

    assert heard.told == []
    assert "is 0.2000 USD, of which 0.5000 USD are spent" in heard.stopped[0]


async def test_a_call_without_a_price_is_refused() -> None:
    with pytest.raises(Unpriced, match="no known price"):
        await budget_of(usd=1.0).reserve("photo", usd(None))


async def test_a_call_without_a_price_counts_as_what_the_budget_says() -> None:
    budget = Budget(print, print)
    budget.add("", Ceiling({"usd": 0.09}, "skip", 0.05))
    held = await budget.reserve("photo", usd(None))
    budget.settle(held, usd(None))

    with pytest.raises(NotAfforded):
        await budget.reserve("photo", usd(None))


async def test_a_call_without_a_price_may_be_allowed() -> None:
    budget = Budget(print, print)
    budget.add("", Ceiling({"usd": 0.01}, "stop", "allow"))

    held = await budget.reserve("photo", usd(None))

    assert held.usd == 0


async def test_an_unknown_cost_counts_as_what_was_held() -> None:
    budget = budget_of(usd=1.0)

    budget.settle(await budget.reserve("photo", usd(0.4)), None)

    assert budget.fits("photo", usd(0.6))
    with pytest.raises(BudgetExceeded):
        await budget.reserve("photo", usd(0.61))


async def test_what_others_give_back_lets_the_next_one_go() -> None:
    budget = budget_of(usd=1.0)
    held = await budget.reserve("photo", usd(0.9))
    went = anyio.Event()

    async def other() -> None:
        budget.settle(await budget.reserve("photo", usd(0.5)), usd(0.5))
        went.set()

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(other)
        await anyio.wait_all_tasks_blocked()
        assert not went.is_set()
        budget.settle(held, usd(0.2))

    assert went.is_set()


async def test_units_are_settled_as_they_become_known() -> None:
    budget = budget_of(usd=1.0, seconds=20)
    held = await budget.reserve("clip", {"usd": 0.5, "seconds": 15.0})

    budget.settle(held, usd(0.1))
    assert not budget.fits("clip", {"usd": 0.9, "seconds": 10.0})
    budget.settle(held, {"seconds": 5.0})

    assert budget.fits("clip", {"usd": 0.9, "seconds": 15.0})


async def test_a_step_has_a_ceiling_of_its_own_under_that_of_the_run() -> None:
    budget = budget_of(usd=1.0)
    budget.add("photo", Ceiling({"images": 1}, "skip"))
    picture = {"usd": 0.1, "images": 1.0}
    budget.settle(await budget.reserve("photo", picture), picture)

    with pytest.raises(NotAfforded, match="the budget of photo"):
        await budget.reserve("photo", picture)

    assert await budget.reserve("edit", picture)


async def test_a_ceiling_that_only_warns_lets_all_pass_and_says_so_once() -> None:
    heard = Heard()
    budget = Budget(heard.told.append, heard.stopped.append)
    budget.add("", Ceiling({"usd": 0.1}, "warn"))

    for _ in range(5):
        budget.settle(await budget.reserve("photo", usd(0.06)), usd(0.06))
    budget.report()

    assert heard.told == [
        "the budget of the run, 0.1000 USD, is passed; the run goes on, because it says on_exceed: warn"
    ]


async def test_what_was_spent_before_a_resume_counts_for_the_run_and_its_steps() -> None:
    budget = budget_of(spent={"photo": {"usd": 0.7, "images": 3}, "edit": {"usd": 0.2}}, usd=1.0)
    budget.add("photo", Ceiling({"images": 3}, "skip"))

    with pytest.raises(NotAfforded):
        await budget.reserve("photo", {"usd": 0.01, "images": 1.0})
    with pytest.raises(BudgetExceeded):
        await budget.reserve("edit", usd(0.11))


def test_a_step_of_a_pipeline_in_a_pipeline_stands_under_all_that_is_above_it() -> None:
    assert list(scopes("each[1]/photo")) == ["", "each", "each[1]/", "each[1]/photo"]


Ends = Literal["paid", "failed", "unknown"]
CALLS = st.lists(
    st.tuples(
        st.sampled_from(["a", "b"]),
        st.integers(1, 40),
        st.integers(0, 3),
        st.floats(0, 1),
        st.sampled_from(["paid", "failed", "unknown"]),
        st.integers(0, 3),
    ),
    max_size=25,
)


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
@settings(max_examples=60, deadline=None)
@given(calls=CALLS, most=st.integers(1, 100), images=st.integers(1, 12), skip=st.booleans())
def test_in_any_order_no_ceiling_is_passed_and_nobody_waits_for_ever(
    backend: str, calls: list[tuple[str, int, int, float, Ends, int]], most: int, images: int, skip: bool
) -> None:
    budget = budget_of(usd=most / 100, images=images)
    step_ceiling = Ceiling({"usd": most / 150}, "skip" if skip else "stop")
    budget.add("a", step_ceiling)
    tops = {"": (most / 100, images), "a": (most / 150, None)}

    def within() -> None:
        for scope, (dollars, pictures) in tops.items():
            pot = budget._pots[scope]
            assert pot.spent.get("usd", 0) + pot.held.get("usd", 0) <= dollars + 1e-6
            assert pictures is None or pot.spent.get("images", 0) + pot.held.get("images", 0) <= pictures + 1e-6

    async def call(step: str, cents: int, pictures: int, share: float, end: Ends, steps: int) -> None:
        worst = {"usd": cents / 100, "images": float(pictures)}
        try:
            held = await budget.reserve(step, worst)
        except (BudgetExceeded, NotAfforded):
            return
        within()
        for _ in range(steps):
            await anyio.lowlevel.checkpoint()
        if end == "paid":
            budget.settle(held, usd(cents / 100 * share))
            within()
            await anyio.lowlevel.checkpoint()
            budget.settle(held, {"images": float(int(pictures * share))})
        elif end == "failed":
            budget.release(held)
        else:
            budget.settle(held, None)
        within()

    async def all_of_them() -> None:
        with anyio.fail_after(20):
            async with anyio.create_task_group() as tasks:
                for each in calls:
                    tasks.start_soon(call, *each)

    anyio.run(all_of_them, backend=backend)

    for pot in budget._pots.values():
        assert all(abs(amount) < 1e-6 for amount in pot.held.values())


async def test_fifty_calls_at_once_never_pass_the_limit_and_use_most_of_it() -> None:
    budget, costs = budget_of(usd=1.0), random.Random(4)

    async def call() -> None:
        try:
            held = await budget.reserve("photo", usd(0.05))
        except BudgetExceeded:
            return
        await anyio.lowlevel.checkpoint()
        budget.settle(held, usd(costs.uniform(0, 0.05)))

    async with anyio.create_task_group() as tasks:
        for _ in range(50):
            tasks.start_soon(call)

    assert 0.9 < budget._pots[""].spent["usd"] <= 1.0 + 1e-9


async def test_jobs_from_before_hold_their_share_until_somebody_comes_for_them() -> None:
    before = Held([], "photo", usd(0.8))
    budget = Budget(print, print, held=[before])
    budget.add("", Ceiling({"usd": 1.0}))

    assert not budget.fits("clip", usd(0.3))

    budget.taken(before)
    budget.settle(before, usd(0.1))
    held = await budget.reserve("clip", usd(0.3))
    assert held.usd == 0.3


async def test_a_call_does_not_wait_for_ever_for_what_nobody_comes_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """The pipeline was edited, so that no cell asks for the job from before any more."""
    monkeypatch.setattr("runner.budget.TAKEN_WITHIN", 0.05)
    budget = Budget(print, print, held=[Held([], "photo", usd(0.8))])
    budget.add("", Ceiling({"usd": 1.0}))

    with anyio.fail_after(5), pytest.raises(BudgetExceeded, match="jobs from before"):
        await budget.reserve("clip", usd(0.3))
