"""What a call costs before it is made: a row's price table, and the most that any call can cost.

::

    price: {usd: 0.02, per: image}
    price: {per: second, usd: 0.052, rows: [{resolution: 480p, usd: 0.024}, {resolution: 720p, usd: 0.052}]}
    price: {usd: 0.07, per: second, step: 3}    # begun steps of three seconds count as whole ones

``usd`` is the dearest of the rows, and what counts where nobody knows which row it is. A row holds when each of its
words does: a value, a list of values, or ``side``, the most pixels that the shorter side of the size may have.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, TypeAlias

from .model import JSON

Unit: TypeAlias = Literal["image", "megapixel", "second", "video", "1k_characters", "1m_tokens"]

SLOWEST = 5.0
"""Characters a second of the slowest speech: what bounds the seconds of a text that is spoken."""


@dataclass(frozen=True, slots=True)
class Price:
    """USD per unit of what a call makes.

    ``input`` is the price of tokens that go in, where they are cheaper; ``step`` are the seconds that are paid at once.
    """

    usd: float
    per: Unit
    rows: tuple[Mapping[str, JSON], ...] = ()
    input: float | None = None
    step: float | None = None

    @property
    def names(self) -> frozenset[str]:
        """The parameters that it depends on."""
        words = {word for row in self.rows for word in row if word != "usd"}
        words |= {"size", "aspect_ratio", "resolution"} if "side" in words or self.per == "megapixel" else set()
        words |= {"second": {"duration", "text"}, "1k_characters": {"text"}, "1m_tokens": {"max_tokens"}}.get(
            self.per, set()
        )
        return frozenset(words)

    def rate(self, said: Mapping[str, JSON], size: tuple[int, int] | None) -> float:
        """USD a unit with these params, defaults filled in; the dearest where a param is not known."""
        for row in self.rows:
            if all(_holds(word, wanted, said, size) for word, wanted in row.items() if word != "usd"):
                return float(row["usd"])
        return self.usd

    def seconds(self, length: float) -> float:
        """The seconds that are paid for."""
        return math.ceil(length / self.step) * self.step if self.step else length

    def tokens(self, sent: float, made: float) -> float:
        """USD of a chat with so many tokens in and out."""
        return ((self.usd if self.input is None else self.input) * sent + self.usd * made) / 1e6


def _holds(word: str, wanted: JSON, said: Mapping[str, JSON], size: tuple[int, int] | None) -> bool:
    if word == "side":
        return size is not None and min(size) <= wanted
    return said.get(word) in wanted if isinstance(wanted, list) else said.get(word) == wanted


WORDS: Mapping[Unit, str] = {
    "image": "an image", "megapixel": "a megapixel", "second": "a second", "video": "a video",
    "1k_characters": "for 1,000 characters", "1m_tokens": "for a million tokens",
}  # fmt: skip
"""What a price is for, in words."""


def prices(price: Price | None) -> str:
    """A price in words: ``0.024 USD a second with resolution 480p, 0.052 with resolution 720p``."""
    if price is None:
        return "not known before the call"
    unit = WORDS[price.per]
    if price.input is not None:
        return f"{usd(price.input)} USD {unit} in, {usd(price.usd)} USD {unit} out"
    if price.step:
        return f"{usd(price.usd * price.step)} USD for every {usd(price.step)} seconds that are begun"
    if not price.rows:
        return f"{usd(price.usd)} USD {unit}"
    first, *rest = price.rows
    said = [f"{usd(first['usd'])} USD {unit} with {_when(first)}"]
    return ", ".join([*said, *(f"{usd(row['usd'])} with {_when(row)}" for row in rest)])


def usd(amount: float) -> str:
    return f"{amount:.6f}".rstrip("0").rstrip(".")


def _when(row: Mapping[str, JSON]) -> str:
    words = []
    for word, value in row.items():
        if word == "side":
            words.append(f"up to {value}p")
        elif isinstance(value, bool):
            words.append(word if value else f"no {word}")
        elif word != "usd":
            words.append(f"{word} {' or '.join(map(str, value)) if isinstance(value, list) else value}")
    return " and ".join(words)
