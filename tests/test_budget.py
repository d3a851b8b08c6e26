"""A budget: never passed, and never in the way of what fits."""

from __future__ import annotations

import random

import anyio
import anyio.lowlevel
import pytest

from runner.budget import Budget
from runner.errors import BudgetExceeded

pytestmark = pytest.mark.anyio


async def test_without_a_limit_everything_fits_and_is_added_up() -> None:
    budget = Budget()

    held = await budget.reserve(None)
    budget.settle(held, 3.0)

    assert budget.spent == 3.0


async def test_what_does_not_fit_is_refused_when_nobody_holds_anything() -> None:
    budget = Budget(1.0)
    budget.settle(await budget.reserve(0.8), 0.8)

    with pytest.raises(BudgetExceeded, match="was not sent"):
        await budget.reserve(0.3)


async def test_a_call_without_a_price_is_refused() -> None:
    with pytest.raises(BudgetExceeded, match="no known price"):
        await Budget(1.0).reserve(None)


async def test_an_unknown_cost_counts_as_what_was_held() -> None:
    budget = Budget(1.0)

    budget.settle(await budget.reserve(0.4), None)

    assert budget.spent == pytest.approx(0.4)
    assert budget.reserved == pytest.approx(0)


async def test_what_others_give_back_lets_the_next_one_go() -> None:
    budget = Budget(1.0)
    held = await budget.reserve(0.9)
    went = anyio.Event()

    async def other() -> None:
        budget.settle(await budget.reserve(0.5), 0.5)
        went.set()

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(other)
        await anyio.wait_all_tasks_blocked()
        assert not went.is_set()
        budget.settle(held, 0.2)

    assert budget.spent == pytest.approx(0.7)


async def test_fifty_calls_at_once_never_pass_the_limit() -> None:
    budget, costs = Budget(1.0), random.Random(4)
    highest = 0.0

    async def call() -> None:
        nonlocal highest
        try:
            held = await budget.reserve(0.05)
        except BudgetExceeded:
            return
        await anyio.lowlevel.checkpoint()
        budget.settle(held, costs.uniform(0, 0.05))
        highest = max(highest, budget.spent + budget.reserved)

    async with anyio.create_task_group() as tasks:
        for _ in range(50):
            tasks.start_soon(call)

    assert highest <= 1.0 + 1e-9
    assert budget.spent > 0.9
