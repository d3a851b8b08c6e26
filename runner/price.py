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
