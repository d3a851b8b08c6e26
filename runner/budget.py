"""Ceilings over a run, its steps and the pipelines that it runs: hold the worst case of a call before it, settle what
it really took after it.

A call holds its share of every ceiling above it, of all or of none, so nobody holds one while waiting for another.
What does not fit beside what others hold waits for them; what does not fit beside what is spent never will.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field

import anyio

from .errors import BudgetExceeded, NotAfforded, Unpriced
from .model import Amounts, Ceiling, step_of

NOTHING = 1e-9
"""Amounts are sums of floats: what is less than this is nothing."""

TAKEN_WITHIN = 5.0
"""Seconds that a call waits for what only jobs from before hold: nobody may come for them, if the pipeline changed."""

RUN = "the run"
"""What a budget is of that is over all."""


@dataclass(slots=True, eq=False)
class Pot:
    """One ceiling, and what is spent and held of it by unit. ``name`` is what it is the budget of."""

    name: str
    ceiling: Ceiling
    spent: dict[str, float] = field(default_factory=dict)
    held: dict[str, float] = field(default_factory=dict)
    before: dict[str, float] = field(default_factory=dict)
    """What of it was spent before the run was taken up again."""
    told: bool = False

    def worst(self, most: Amounts) -> dict[str, float]:
        """What to hold of it for a call. `Unpriced` where nobody knows, and it wants to know."""
        counted = self.ceiling.unpriced
        found = {}
        for unit in self.ceiling.most:
            amount = most.get(unit, 0.0)
            if amount is None:
                if counted == "refuse":
                    what = "price" if unit == "usd" else f"bound of its {unit}"
                    raise Unpriced(f"this call has no known {what}, so {self} cannot be kept; it was not sent")
                amount = counted if unit == "usd" and isinstance(counted, float | int) else 0.0
            found[unit] = amount
        return found

    def known(self, most: Amounts) -> dict[str, float]:
        """What to hold of it for a call that is in flight already, whether it has a price or not."""
        try:
            return self.worst(most)
        except Unpriced:
            return {unit: most.get(unit, 0.0) or 0.0 for unit in self.ceiling.most}

    def hold(self, share: Mapping[str, float]) -> None:
        for unit, amount in share.items():
            self.held[unit] = self.held.get(unit, 0.0) + amount

    def tight(self, wanted: Mapping[str, float]) -> str | None:
        """The unit of which there is not enough beside what is spent and held; None if all fits."""
        if self.ceiling.on_exceed == "warn":
            return None
        return next((unit for unit, amount in wanted.items() if self.free(unit) < amount - NOTHING), None)

    def free(self, unit: str) -> float:
        return self.ceiling.most[unit] - self.spent.get(unit, 0.0) - self.held.get(unit, 0.0)

    def never(self, unit: str, amount: float) -> bool:
        """Whether so much would not even fit if all that is held were given back, or nobody holds anything."""
        held = self.held.get(unit, 0.0)
        return held <= NOTHING or self.free(unit) + held < amount - NOTHING

    def over(self) -> Iterator[tuple[str, float]]:
        """The units of which more is spent than there was, and how much more."""
        for unit, most in self.ceiling.most.items():
            if (more := self.spent.get(unit, 0.0) - most) > NOTHING:
                yield unit, more

    def cure(self, unit: str) -> str:
        """How there would be more of it."""
        if self.name != RUN:
            return f"raise budget: {unit}: of {self.name}"
        return f"raise budget: {unit}:" + (", or give a higher --budget" if unit == "usd" else "")

    def __str__(self) -> str:
        return f"the budget of {self.name}"


@dataclass(slots=True, eq=False)
class Held:
    """What one call holds: the worst case by unit, of each pot above it."""

    shares: list[tuple[Pot, dict[str, float]]]
    step: str = ""
    most: Amounts = field(default_factory=dict)

    @property
    def usd(self) -> float:
        """What it counts as in USD, where nobody says what it cost."""
        return max((share.get("usd", 0.0) for _, share in self.shares), default=0.0)


class Budget:
    """All ceilings of one run, by what they are over. Without one everything fits."""

    def __init__(
        self,
        tell: Callable[[str], None],
        stop: Callable[[str], None],
        spent: Mapping[str, Mapping[str, float]] | None = None,
        held: Iterable[Held] = (),
    ) -> None:
        """``tell`` hears what is to be said once, ``stop`` why nothing new may be sent from there on. ``spent`` is what
        steps had spent before the run was taken up again, ``held`` is of jobs that were in flight then.
        """
        self._tell, self._stop = tell, stop
        self._spent = spent or {}
        self._before = list(held)
        self._pots: dict[str, Pot] = {}
        self._changed = anyio.Event()

    def add(self, scope: str, ceiling: Ceiling | None) -> None:
        """A ceiling over the run (an empty scope), over a step, or over a pipeline that a cell runs (``each[1]/``)."""
        if ceiling is None:
            return
        pot = self._pots[scope] = Pot(scope.rstrip("/") or RUN, ceiling)
        for step, units in self._spent.items():
            if scope in scopes(step):
                for unit, amount in units.items():
                    pot.spent[unit] = pot.spent.get(unit, 0.0) + amount
        pot.before = dict(pot.spent)
        for held in self._before:
            if scope in scopes(held.step):
                pot.hold(share := pot.known(held.most))
                held.shares.append((pot, share))

    def taken(self, held: Held) -> None:
        """A job from before is waited for: from here on it is a call of this run."""
        self._before.remove(held)

    def fits(self, step: str, most: Amounts) -> bool:
        """Whether `reserve` would answer at once, with yes or with an error."""
        try:
            tight = self._tight(self._shares(step, most))
        except Unpriced:
            return True
        if tight is None:
            return True
        return tight[0].never(*tight[1:]) and not self._only_before(*tight[:2])

    def affords(self, step: str, most: Amounts) -> bool:
        """Whether there is room for a call now, beside all that is spent and held."""
        try:
            return self._tight(self._shares(step, most)) is None
        except Unpriced:
            return False

    async def reserve(self, step: str, most: Amounts) -> Held:
        """Hold the most that a call can take, for `settle`. Waits while others hold what would make it fit.

        `BudgetExceeded` or `NotAfforded`, as the ceiling says, when it never will.
        """
        while (tight := self._tight(shares := self._shares(step, most))) is not None:
            pot, unit, amount = tight
            if pot.never(unit, amount):
                raise self._refused(step, pot, unit, amount)
            if not self._only_before(pot, unit):
                await self._changed.wait()
                continue
            with anyio.move_on_after(TAKEN_WITHIN) as waiting:
                await self._changed.wait()
            if waiting.cancelled_caught and self._only_before(pot, unit):
                raise self._refused(step, pot, unit, amount)
        return self._hold(shares)

    def hold(self, step: str, most: Amounts) -> Held:
        """Hold it whether it fits or not: the call is in flight already."""
        return self._hold([(pot, pot.known(most)) for pot in self._over(step)])

    def settle(self, held: Held, took: Amounts | None) -> None:
        """Note what a call took and give back what was held for it, of these units; of all units if it is None, which
        counts as what was held. So does an amount that is None.
        """
        if not self._pots:
            return
        for pot, share in held.shares:
            for unit in list(share) if took is None else took:
                if unit not in pot.ceiling.most:
                    continue
                worst = share.pop(unit, 0.0)
                amount = None if took is None else took[unit]
                pot.held[unit] = pot.held.get(unit, 0.0) - worst
                pot.spent[unit] = pot.spent.get(unit, 0.0) + (worst if amount is None else amount)
            self._warn(pot)
        self._changed.set()
        self._changed = anyio.Event()

    def release(self, held: Held) -> None:
        """Give back what is still held: it costs nothing."""
        self.settle(held, dict.fromkeys((unit for _, share in held.shares for unit in share), 0.0))

    def report(self) -> None:
        """At the end: tell which ceilings were passed, though every call would have fitted."""
        for pot in self._pots.values():
            for unit, more in pot.over():
                was_over = pot.before.get(unit, 0.0) > pot.ceiling.most[unit] + NOTHING  # it is a lower one now
                if pot.ceiling.on_exceed != "warn" and not was_over:
                    self._tell(
                        f"{pot} was passed by {_say(unit, more)}: {_say(unit, pot.spent[unit])} of "
                        f"{_say(unit, pot.ceiling.most[unit])}, because calls took more than the most they should"
                    )

    def _shares(self, step: str, most: Amounts) -> list[tuple[Pot, dict[str, float]]]:
        return [(pot, pot.worst(most)) for pot in self._over(step)]

    def _over(self, step: str) -> list[Pot]:
        return [self._pots[scope] for scope in scopes(step) if scope in self._pots] if self._pots else []

    def _only_before(self, pot: Pot, unit: str) -> bool:
        """Whether all that is held of a pot is held by jobs from before that nobody has come for yet."""
        before = sum(share.get(unit, 0.0) for held in self._before for of, share in held.shares if of is pot)
        return before > NOTHING and pot.held.get(unit, 0.0) <= before + NOTHING

    def _tight(self, shares: list[tuple[Pot, dict[str, float]]]) -> tuple[Pot, str, float] | None:
        """What a call has to wait for; first what it waits for in vain."""
        found = [(pot, unit, share[unit]) for pot, share in shares if (unit := pot.tight(share)) is not None]
        return next((each for each in found if each[0].never(*each[1:])), found[0] if found else None)

    def _hold(self, shares: list[tuple[Pot, dict[str, float]]]) -> Held:
        for pot, share in shares:
            pot.hold(share)
        return Held(shares)

    def _refused(self, step: str, pot: Pot, unit: str, amount: float) -> BudgetExceeded | NotAfforded:
        said = (
            f"{pot} is {_say(unit, pot.ceiling.most[unit])}, of which {_say(unit, pot.spent.get(unit, 0.0))} are "
            f"spent; the next call of {step} may take {_say(unit, amount)}"
        )
        if self._only_before(pot, unit):
            said += f"; jobs from before the run was taken up again may still take {_say(unit, pot.held[unit])}"
        if pot.ceiling.on_exceed == "skip":
            return NotAfforded(said)
        if not pot.told:
            pot.told = True
            self._stop(f"{said}, so it was not sent, and nothing new is; {pot.cure(unit)}")
        return BudgetExceeded(said)

    def _warn(self, pot: Pot) -> None:
        if pot.ceiling.on_exceed == "warn" and not pot.told:
            for unit, _ in pot.over():
                pot.told = True
                most = _say(unit, pot.ceiling.most[unit])
                self._tell(f"{pot}, {most}, is passed; the run goes on, because it says on_exceed: warn")
                return


def scopes(step: str) -> Iterator[str]:
    """What a step stands under, itself included: ``each[1]/photo`` under the run, each, each[1]/ and each[1]/photo."""
    yield ""
    above = ""
    *outer, _ = step.split("/")
    for cell in outer:
        yield above + step_of(cell)
        above += f"{cell}/"
        yield above
    yield step


def _say(unit: str, amount: float) -> str:
    if unit == "usd":
        return f"{amount:.4f} USD"
    return f"{amount:,.0f} {unit if f'{amount:.0f}' != '1' else unit[:-1]}"
