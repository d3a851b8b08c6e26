"""A plan as text: the order, each edge and why it is there, each call, what it can cost."""

from __future__ import annotations

import json
from collections.abc import Mapping

from ..model import JSON, Artifact, Call, Ceiling, Chat
from ..plan import Plan, PlannedStep

_WIDEST = 100


def text(plan: Plan) -> str:
    """The plan, step by step, with the total."""
    lines = [f"{plan.title}: {len(plan.steps)} steps", ""]
    for number, step in enumerate(plan.steps, 1):
        lines += [*_step(number, step), ""]
    total = plan.usd
    price = money(total) if total is not None else _unknown(plan)
    lines.append(f"At most, if nothing is tried twice: {price}")
    if plan.budget is not None:
        lines.append(f"Budget: {ceiling(plan.budget)}" + _over(plan, plan.budget))
    return "\n".join(lines)


def money(usd: float) -> str:
    """``0.0016 USD``."""
    return f"{usd:.4f} USD"


def _unknown(plan: Plan) -> str:
    if any(step.count is None and step.kind.CALLS for step in plan.steps):
        return "unknown: how many cells there are is only known in the run"
    return "unknown: not every model has a price in the catalogue"


def ceiling(budget: Ceiling) -> str:
    """``0.1000 USD, 20 images; a call that does not fit is skipped``."""
    amounts = [money(most) if unit == "usd" else f"{most:g} {unit}" for unit, most in budget.most.items()]
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
        lines += _call(step.preview)
    if step.nested is not None:
        inner = step.nested.checked.pipeline
        lines.append(
            f"     runs {inner.document.file}: {len(inner.steps)} steps, see runner plan {inner.document.file}"
        )
    return lines


def _cells(step: PlannedStep) -> str:
    if not step.fanned_out:
        return ""
    if step.count is None:
        return f"  × cells that the run will know, {step.limit:,} at most"
    return f"  × {step.count} cell{'s' * (step.count != 1)}"


def _call(call: Call) -> list[str]:
    if isinstance(call, Chat):
        where = call.base_url or f"{call.endpoint}/openai/v1"
        fields = {name: value for name, value in call.body.items() if name != "messages"}
        said = [f"       {message['role']}: {_said(message['content'])}" for message in call.body["messages"]]
        return [f"     POST {where}/chat/completions", *_fields(fields), *said]
    return [f"     POST {call.endpoint}/run", *_fields(call.input)]


def _fields(values: Mapping[str, JSON]) -> list[str]:
    return [f"       {name}: {_short(value)}" for name, value in values.items()]


def _said(content: JSON) -> str:
    """What a message says, its pictures by their names."""
    if not isinstance(content, list):
        return _short(content)
    return " ".join(_short(part["text"] if "text" in part else part["image_url"]["url"]) for part in content)


def _short(value: JSON) -> str:
    if isinstance(value, Artifact):
        return f"<{value.path}>"
    if isinstance(value, list) and any(isinstance(v, Artifact) for v in value):
        return f"[{', '.join(_short(v) for v in value)}]"
    line = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    line = " ".join(line.split())
    return line if len(line) <= _WIDEST else line[: _WIDEST - 1] + "…"
