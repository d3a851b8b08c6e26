"""Money in words. A run against the emulator or from a recording pays nobody: what it would be stands behind that."""

from __future__ import annotations

from ..events import RunState


def money(usd: float) -> str:
    """``0.0016 USD``."""
    return f"{usd:.4f} USD"


def cost(state: RunState, *more: str) -> str:
    """What a run cost, with ``more`` in brackets.

    ``0.0239 USD (4 steps)``; where nothing is paid, ``0.00 USD (would be 0.0239 on Runpod; 4 steps)``.
    """
    said = "; ".join(each for each in (unpaid(state), *more) if each)
    brackets = f" ({said})" if said else ""
    return f"{NOTHING if state.free else money(state.cost)}{brackets}"


NOTHING = "0.00 USD"


def unpaid(state: RunState) -> str:
    """What a run would have cost that pays nobody; nothing if that is nothing, or if it pays."""
    if not state.free or not state.cost:
        return ""
    return f"was {state.cost:.4f} when recorded" if state.options.get("replay") else would_be(state.cost)


def would_be(usd: float) -> str:
    """``would be 0.0239 on Runpod``."""
    return f"would be {usd:.4f} on Runpod"


def column(state: RunState) -> str:
    """The head of a column of USD, cell by cell."""
    return "when recorded" if state.options.get("replay") else "on Runpod" if state.free else "cost"


def doubt(state: RunState) -> list[str]:
    """What may have been billed beside what was: a line, or none."""
    usd = state.doubt + sum(job.most.get("usd") or 0.0 for job in state.unknown.values())
    return [f"may have cost up to {money(usd)} more: calls of whose end nobody knows"] if usd and not state.free else []
