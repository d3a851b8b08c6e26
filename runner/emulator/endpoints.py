"""What is known of an endpoint: its kind and price in, the cost of one answer out."""

from dataclasses import dataclass
from typing import Literal

Kind = Literal["text", "image", "edit", "echo"]
Thinking = Literal["apart"] | bool | None
Per = Literal["image", "megapixel", "1m_tokens"]


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One row of the emulator's table.

    `kind` decides how its jobs are done; `echo` is a private worker that returns its own input.
    `usd` and `per` make the `cost` of an output; `model` is the one name its OpenAI route accepts
    (None: any), `models` are more of them; `think` puts a `<think>` block before every text, or the
    thought apart from it, under `reasoning_content`.
    """

    kind: Kind
    usd: float | None = None
    per: Per = "image"
    model: str | None = None
    think: Thinking = None
    models: tuple[str, ...] = ()

    def picture_cost(self, width: int, height: int) -> float | None:
        """USD of a picture of that size, when the price is known."""
        if self.usd is None:
            return None
        return round(self.usd * (width * height / 1e6 if self.per == "megapixel" else 1), 9)

    def text_cost(self, tokens: int) -> float | None:
        """USD of so many tokens, prompt and answer together, when the price is known."""
        if self.usd is None:
            return None
        return round(self.usd * (tokens / 1e6 if self.per == "1m_tokens" else 1), 9)
