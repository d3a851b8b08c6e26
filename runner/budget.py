"""A ceiling in USD: reserve the worst case before a call, settle what it really cost after it."""

from __future__ import annotations

import anyio

from .errors import BudgetExceeded


class Budget:
    """Money of one run. Without a limit everything fits and is only added up."""

    def __init__(self, limit: float | None = None, *, spent: float = 0.0, held: float = 0.0) -> None:
        """``spent`` is what the run had paid before it was taken up again, ``held`` what its open jobs may cost."""
        self.limit = limit
        self.spent = spent
        self.reserved = held
        self._changed = anyio.Event()

    def fits(self, usd: float | None) -> bool:
        """Whether `reserve` would answer at once, with yes or with an error."""
        return self.limit is None or usd is None or self.reserved <= 1e-9 or self._leaves_room(usd)

    def _leaves_room(self, usd: float) -> bool:
        return self.limit is None or self.spent + self.reserved + usd <= self.limit + 1e-9

    async def reserve(self, usd: float | None) -> float:
        """Hold the most that a call can cost; gives back what is held, for `settle`.

        Waits while other calls hold what would make it fit. `BudgetExceeded` when nobody holds anything more.
        """
        if self.limit is None:
            return 0.0
        if usd is None:
            msg = "this call has no known price, so the budget cannot be kept; it was not sent"
            raise BudgetExceeded(msg)
        while not self._leaves_room(usd):
            if self.reserved <= 1e-9:
                msg = (
                    f"this call may cost {usd:.4f} USD; {self.spent:.4f} of the budget of {self.limit:.4f} USD "
                    "are spent, so it was not sent; raise budget: usd:"
                )
                raise BudgetExceeded(msg)
            await self._changed.wait()
        self.reserved += usd
        return usd

    def settle(self, held: float, cost: float | None) -> None:
        """Give back what was held and note what was paid. An unknown cost counts as what was held."""
        self.reserved -= held
        self.spent += held if cost is None else cost
        self._changed.set()
        self._changed = anyio.Event()
