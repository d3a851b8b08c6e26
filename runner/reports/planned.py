"""A plan as text: what would run, why it waits, what the store has of it, what it can cost; or each call in full."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

from ..errors import counted, cut
from ..model import JSON, Artifact, Call, Ceiling, Chat
from ..planning import Nested, Plan, PlannedStep
from .graph import Link
from .money import NOTHING, money, would_be
from .runs import table

_WIDEST = 100

_FRIGHTENS = 0.05
"""USD that a text can cost at most from which it is said why: answers are usually far shorter."""

Basis: TypeAlias = Literal["price", "earlier runs", "guess", ""]
"""What an expected price rests on: a price that is certain, what earlier runs paid, an answer of usual length."""


@dataclass(frozen=True, slots=True)
class Outlook:
    """What is known of a step before it runs."""

    links: Sequence[Link] = ()
    cells: int | None = None
    """How many; None where only the run will know."""
    stored: int = 0
    """Cells that the store has whole."""
    in_flight: int = 0
    """Cells that wait for nothing but jobs which an earlier run handed in: they cost nothing more."""
    skipped: int = 0
    unknown: bool = False
    """Whether what it would ask of the store cannot be told yet."""
    each: float | None = None
    """USD that a cell is expected to cost if it is not stored; None where nobody knows."""
    basis: Basis = ""

    @property
    def expected(self) -> float | None:
        """USD that it is expected to cost."""
        known = self.stored + self.in_flight + self.skipped
        if self.cells is not None and known >= self.cells:
            return 0.0
        if self.each is None or self.cells is None:
            return None
        return self.each * (self.cells - known)


def overview(
    plan: Plan, seen: Mapping[str, Outlook], notes: Sequence[str] = (), wide: int | None = None, *, local: bool = False
) -> str:
    """The plan as a table, a row a step, with the totals. One that would be wider than ``wide`` says less in a row.

    A ``local`` run pays nobody.
    """
    lines = [f"{plan.title}: {counted(len(plan.steps), 'step')}", ""]
    rows = [_row(step, seen[step.id]) for step in plan.steps]
    expected = _sum([look.expected for look in seen.values()])
    most = _sum([_most(step, seen[step.id]) for step in plan.steps])
    total = ["total", "", "", "", "", "", _price(expected), _price(most)]
    whole = table(_HEAD, [*rows, total])
    if wide is not None and max(map(len, whole)) > wide:
        lines += _narrow([*rows, total])
    else:
        lines += whole
    lines += ["", *notes] if notes else [""]
    lines.append(f"Expected: {_said(expected, 'unknown', local=local)}{_rests(seen)}")
    why = _why_unknown(plan, {name: look.cells for name, look in seen.items()}) if most is None else ""
    lines.append(f"At most, if nothing is stored or tried twice: {_said(most, why, local=local)}")
    lines += bounds(plan)
    if plan.budget is not None:
        lines.append(f"Budget: {ceiling(plan.budget)}" + _over(plan, plan.budget))
    return "\n".join(lines)


_HEAD = ("step", "kind", "model", "needs", "cells", "cached", "expected", "at most")


def _row(step: PlannedStep, look: Outlook) -> list[str]:
    needs = ", ".join(_need(each) for each in look.links)
    return [
        step.id,
        step.kind.NAME,
        step.model.id if step.model else "",
        needs,
        _cells_of(step, look),
        cached(step, look),
        _price(look.expected) if _pays(step) else "free",
        _price(_most(step, look)) if _pays(step) else "free",
    ]


def _cells_of(step: PlannedStep, look: Outlook) -> str:
    """``1``, ``60``, ``?``; with what a person chooses from, ``4 candidates``, ``60 × 4 candidates``."""
    cells = "?" if look.cells is None else str(look.cells)
    if step.pick is None:
        return cells
    return f"{cells} × {step.pick} candidates" if step.fanned_out else f"{step.pick} candidates"


def _most(step: PlannedStep, look: Outlook) -> float | None:
    """USD that a step can cost at most if nothing is stored and nothing tried twice."""
    if not _pays(step):
        return 0.0
    return None if step.usd is None or look.cells is None else step.usd * look.cells


def bounds(plan: Plan) -> list[str]:
    """Why the most that some steps can cost is far more than they will: a line for those with the same reason."""
    found: dict[str, list[str]] = {}
    for step in plan.steps:
        if step.dearest:
            chat = isinstance(step.preview, Chat)
            most = "with the longest prompt that its model takes" if chat else "with the most that it can be"
            found.setdefault(f"{most}, because {_open_until(step)}", []).append(step.id)
        elif isinstance(step.preview, Chat) and (step.usd or 0.0) >= _FRIGHTENS:
            found.setdefault(_longest(step.preview), []).append(step.id)
    return [f"  {', '.join(steps)}: {why}" for why, steps in found.items()]


def _longest(call: Chat) -> str:
    """What a text would have to be to cost the most, and what makes that less."""
    limit = call.body.get("max_tokens") or call.body.get("max_completion_tokens")
    length = f"of {limit:,} tokens" if isinstance(limit, int) else "as long as its model writes"
    if call.calls == 1:
        return f"with an answer {length}; max_tokens: makes it less"
    again = "all that was said before is sent again each time"
    return f"with {call.calls} answers {length}, for which {again}; max_tokens: and reask: make it less"


def _open_until(step: PlannedStep) -> str:
    """Why it is not known yet what a step asks."""
    if step.nested is not None:
        return "what its pipeline asks is only known in the run"
    late = any(edge.template is not None for edge in step.edges) or step.count is None
    return "what it asks is only known in the run" if late else "not all inputs are given"


def _why_unknown(plan: Plan, cells: Mapping[str, int | None]) -> str:
    """Why the most cannot be told; ``cells`` says how many each step has."""
    if any(cells[step.id] is None for step in plan.steps if _pays(step)):
        return "unknown: how many cells there are is only known in the run"
    if any(step.usd is None and step.tools for step in plan.steps):
        return "unknown: how often a model calls a pipeline is only known in the run"
    open_ended = [step for step in plan.steps if _pays(step) and step.usd is None]
    if any(step.model is not None and step.model.price is None for step in open_ended):
        return "unknown: not every model has a price in the catalogue"
    names = ", ".join(step.id for step in open_ended)
    given = all(_open_until(step) == "not all inputs are given" for step in open_ended)
    on = "inputs that are not given" if given else "what is only known in the run"
    return f"unknown: what {names} costs depends on {on}"


def _need(link: Link) -> str:
    return f"{link.source} ({link.why})" if link.sort == "data" else f"{link.sort} {link.source}"


def _narrow(rows: Sequence[Sequence[str]]) -> list[str]:
    """The rows with what is long below each."""
    short = table([_HEAD[0], *_HEAD[4:]], [[row[0], *row[4:]] for row in rows])
    lines = short[:1]
    for row, line in zip(rows, short[1:], strict=True):
        more = ["  ".join(word for word in row[1:3] if word), f"needs {row[3]}" if row[3] else ""]
        lines += [line, *(f"  {each}" for each in more if each)]
    return lines


def cached(step: PlannedStep, look: Outlook) -> str:
    """``yes``, ``no``, ``3 of 60``, ``in flight``; ``?`` where what it asks depends on a step that has to run first."""
    if not _pays(step):
        return "local"
    if look.unknown or look.cells is None:
        return "?"
    if look.skipped and look.skipped == look.cells:
        return "skipped"
    wanted = look.cells - look.skipped
    flying = look.in_flight and (f"{look.in_flight} in flight" if look.in_flight < wanted else "in flight")
    kept = "yes" if look.stored == wanted else f"{look.stored} of {wanted}" if look.stored else ""
    return ", ".join(part for part in (kept, flying) if part) or "no"


def _pays(step: PlannedStep) -> bool:
    return step.kind.CALLS or step.nested is not None


def _sum(amounts: Sequence[float | None]) -> float | None:
    return None if None in amounts else sum(amount or 0.0 for amount in amounts)


def _price(usd: float | None) -> str:
    return "?" if usd is None else f"{usd:.4f}"


def _said(usd: float | None, why: str, *, local: bool) -> str:
    """An amount, or why there is none."""
    if not local:
        return why if usd is None else money(usd)
    on_runpod = f"on Runpod {why}" if usd is None else would_be(usd)
    return f"{NOTHING} ({on_runpod})" if usd != 0 else NOTHING


def _rests(seen: Mapping[str, Outlook]) -> str:
    """What the expectation rests on."""
    bases = {look.basis for look in seen.values() if look.expected}
    if "guess" in bases:
        return "; where nothing was paid before, an answer is taken to be of 400 tokens"
    return ", by earlier runs" if "earlier runs" in bases else ""


def as_json(plan: Plan, seen: Mapping[str, Outlook], notes: Sequence[str] = (), *, local: bool = False) -> str:
    """The plan for machines. Money is USD, null where it is not known; a ``local`` run pays none of it."""
    steps = []
    for step in plan.steps:
        look = seen[step.id]
        steps.append({
            "step": step.id,
            "kind": step.kind.NAME,
            "model": step.model.id if step.model else None,
            "needs": [{"step": each.source, "sort": each.sort, "why": each.sentence} for each in look.links],
            "cells": look.cells,
            "candidates": step.pick,
            "cached": cached(step, look),
            "stored": None if look.unknown else look.stored,
            "in_flight": None if look.unknown else look.in_flight,
            "expected_usd": _rounded(look.expected) if _pays(step) else 0.0,
            "expected_from": look.basis or None,
            "most_usd": _rounded(_most(step, look)),
            "call": step.preview.request if step.preview is not None else None,
        })  # fmt: skip
    said = {
        "pipeline": plan.pipeline,
        "version": plan.version,
        "profile": plan.profile,
        "local": local,
        "file": plan.file,
        "steps": steps,
        "expected_usd": _rounded(_sum([look.expected for look in seen.values()])),
        "most_usd": _rounded(_sum([_most(step, seen[step.id]) for step in plan.steps])),
        "budget": dict(plan.budget.most) if plan.budget is not None else None,
        "notes": [*notes, *(line.strip() for line in bounds(plan))],
    }
    return json.dumps(said, ensure_ascii=False, indent=2, default=_plain)


def _rounded(usd: float | None) -> float | None:
    return None if usd is None else round(usd, 6)


def _plain(value: object) -> JSON:
    """A file that is not there yet as its template or its path."""
    if isinstance(value, Artifact):
        return {"file": value.path}
    if isinstance(value, Mapping):
        return dict(value)
    return list(value) if isinstance(value, tuple) else str(value)


def text(plan: Plan, *, local: bool = False) -> str:
    """The plan, step by step with the call of each, and the total. A ``local`` run pays nobody."""
    lines = [f"{plan.title}: {counted(len(plan.steps), 'step')}", ""]
    for number, step in enumerate(plan.steps, 1):
        lines += [*_step(number, step), ""]
    total = plan.usd
    why = _why_unknown(plan, {step.id: step.count for step in plan.steps}) if total is None else ""
    lines.append(f"At most, if nothing is tried twice: {_said(total, why, local=local)}")
    lines += bounds(plan)
    if plan.budget is not None:
        lines.append(f"Budget: {ceiling(plan.budget)}" + _over(plan, plan.budget))
    return "\n".join(lines)


def ceiling(budget: Ceiling) -> str:
    """``0.1000 USD, 20 images; a call that does not fit is skipped``."""
    amounts = [money(most) if unit == "usd" else f"{most:g} {unit if most != 1 else unit[:-1]}"
               for unit, most in budget.most.items()]  # fmt: skip
    ends = {"stop": "", "skip": "; a call that does not fit is skipped", "warn": "; only warns"}
    return ", ".join(amounts) + ends[budget.on_exceed]


def _over(plan: Plan, budget: Ceiling) -> str:
    """What a run may come to that cannot be told from the budget alone."""
    totals = {unit: plan.most(unit) for unit in budget.most}
    passed = any(total is not None and total > budget.most[unit] for unit, total in totals.items())
    return "; the run may stop before its end" if passed and budget.on_exceed == "stop" else ""


def _step(number: int, step: PlannedStep) -> list[str]:
    model = f"  {step.model.id}" if step.model else ""
    if step.kind.CALLS or step.nested is not None:
        price = f"  at most {money(step.usd)}" if step.usd is not None else "  price unknown"
        price += " a cell" if step.fanned_out else ""
    else:
        price = "  asks a person, free" if step.asks else "  local, free"
    lines = [f"{number:3}. {step.id}  {step.kind.NAME}{model}{price}{_cells(step)}"]
    lines += [f"     {'after' if edge.after else 'needs'} {edge.needs}: {edge.why}" for edge in step.edges]
    lines += [f"     pick: {step.pick} candidates, of which a person chooses one"] if step.pick else []
    lines += [f"     budget: {ceiling(step.budget)}"] if step.budget is not None else []
    if step.preview is not None:
        lines += _call(step.preview, step.open)
    lines += [f"     {name} runs {_another(tool)}" for name, tool in step.tools.items()]
    if step.nested is not None:
        lines.append(f"     runs {_another(step.nested)}")
    return lines


def _another(nested: Nested) -> str:
    inner = nested.checked.pipeline
    file = inner.document.file
    return f"{file}: {counted(len(inner.steps), 'step')}, see runner plan {file}"


def _cells(step: PlannedStep) -> str:
    if not step.fanned_out:
        return ""
    if step.count is None:
        return f"  × cells that the run will know, {step.limit:,} at most"
    return f"  × {counted(step.count, 'cell')}"


def _call(call: Call, unknown: Mapping[str, str]) -> list[str]:
    """A call, with the templates of what only the run will know."""
    if isinstance(call, Chat):
        where = call.base_url or f"{call.endpoint}/openai/v1"
        fields = {name: value for name, value in call.body.items() if name != "messages"}
        said = [f"       {message['role']}: {_message(message['content'])}" for message in call.body["messages"]]
        return [f"     POST {where}/chat/completions", *_fields({**fields, **unknown}), *said]
    return [f"     POST {call.endpoint}/run", *_fields({**call.input, **unknown})]


def _fields(values: Mapping[str, JSON]) -> list[str]:
    return [f"       {name}: {_short(value)}" for name, value in values.items()]


def _message(content: JSON) -> str:
    """What a message says, its pictures by their names."""
    if not isinstance(content, list):
        return _short(content)
    return " ".join(_short(part["text"] if "text" in part else part["image_url"]["url"]) for part in content)


def _short(value: JSON) -> str:
    if isinstance(value, Artifact):
        return f"<{cut(value.path, _WIDEST)}>"
    if isinstance(value, list) and any(isinstance(v, Artifact) for v in value):
        return f"[{', '.join(_short(v) for v in value)}]"
    line = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    line = " ".join(line.split())
    return line if len(line) <= _WIDEST else line[: _WIDEST - 1] + "…"
