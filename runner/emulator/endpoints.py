"""What is known of an endpoint: its kind, price and rules in, the cost of one answer out."""

import functools
import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from importlib import resources
from typing import Any, Literal

import yaml

from .rules import Rule, missing, wrong
from .values import JSON

Kind = Literal["text", "image", "edit", "speech", "transcription", "video", "echo"]
Thinking = Literal["apart"] | bool | None
Per = Literal["image", "megapixel", "1m_tokens", "second", "3_seconds", "5_seconds", "video", "1k_characters"]


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One row of the emulator's table.

    `kind` decides how its jobs are done; `echo` is a private worker that returns its own input.
    `usd` and `per` make the `cost` of an output, `rates` differ by resolution or by model and
    direction; `model` is the one name its OpenAI route accepts (None: any), `models` are more of them;
    `think` puts a `<think>` block before every text, or the thought apart from it, under
    `reasoning_content`; `inputs` are the rules of what a job is given, by name; `native` is the form of
    a text job's output.
    """

    kind: Kind
    usd: float | None = None
    per: Per = "image"
    model: str | None = None
    think: Thinking = None
    models: tuple[str, ...] = ()
    inputs: Mapping[str, Rule] = field(default_factory=dict)
    rates: Mapping[str, float] = field(default_factory=dict)
    native: Literal["list", "object"] = "list"

    def completed(self, public: "Endpoint") -> "Endpoint":
        """This row, and what is known of the public endpoint wherever it says nothing itself."""
        own = self.usd is not None
        return replace(
            self,
            usd=self.usd if own else public.usd,
            per=self.per if own else public.per,
            rates=self.rates if own or self.rates else public.rates,
            model=self.model or public.model,
            models=self.models or public.models,
            think=public.think if self.think is None else self.think,
            inputs=self.inputs or public.inputs,
            native=public.native,
        )

    def refusal(self, given: Mapping[str, JSON]) -> str | None:
        """The first thing that is wrong with an input; a null counts as not sent, other names are tolerated."""
        if (name := missing(given, self.inputs)) is not None:
            return f"{name} is required"
        named = ((name, value) for name, value in given.items() if name in self.inputs and value is not None)
        return next((said for name, value in named if (said := wrong(name, value, self.inputs[name]))), None)

    def understood(self, given: Mapping[str, JSON]) -> dict[str, JSON]:
        """What is sent, with the server's defaults, without nulls and what counts for nothing beside something else."""
        sent = {name: value for name, value in given.items() if value is not None}
        usual = {name: rule["default"] for name, rule in self.inputs.items() if "default" in rule}
        void = {name for name, rule in self.inputs.items() if rule.get("unless") in sent}
        return {name: value for name, value in (usual | sent).items() if name not in void}

    def cost(self, label: str = "", **amounts: float) -> float | None:
        """USD of so many pixels, tokens, seconds or characters, when the price is known."""
        usd = self.rates.get(label, self.usd)
        if usd is None:
            return None
        units: dict[str, float] = {
            "megapixel": amounts.get("pixels", 0) / 1e6,
            "1m_tokens": amounts.get("tokens", 0) / 1e6,
            "second": amounts.get("seconds", 0),
            "3_seconds": math.ceil(amounts.get("seconds", 0) / 3),
            "5_seconds": amounts.get("seconds", 0) / 5,
            "1k_characters": amounts.get("characters", 0) / 1000,
        }
        return round(usd * units.get(self.per, 1), 9)


@functools.lru_cache(maxsize=1)
def public() -> Mapping[str, Endpoint]:
    """Runpod's public endpoints by slug, as their pages describe them."""
    text = resources.files(__package__).joinpath("public.yaml").read_text(encoding="utf-8")
    return {slug: _row(row) for slug, row in yaml.load(text, getattr(yaml, "CSafeLoader", yaml.SafeLoader)).items()}  # noqa: S506 - safe ones


def _row(row: dict[str, Any]) -> Endpoint:
    price, names = row.get("price", {}), row.get("models", [None])
    return Endpoint(
        row["kind"],
        usd=price.get("usd"),
        per=price.get("per", "image"),
        rates=price.get("rates", {}),
        model=names[0],
        models=tuple(names[1:]),
        think=row.get("think"),
        inputs=row["inputs"],
        native=row.get("native", "list"),
    )
