"""Outputs in pieces: the input and the output of an emulated job in, what /stream hands out one by one."""

from collections.abc import Mapping

from .texts import pieces
from .values import JSON


def streamed(given: Mapping[str, JSON], output: JSON) -> list[JSON] | None:
    """The elements of an output that was asked for with `stream`, or None for one that comes whole.

    A text with `stream: true` is one element a batch of tokens, as the vLLM worker has it; a private
    endpoint is a generator over the list that it finds under `stream`.
    """
    asked = given.get("stream")
    if isinstance(asked, list) and isinstance(output, dict) and "echo" in output:
        return asked
    said = output[0] if isinstance(output, list) and output else output
    choices = said.get("choices") if asked is True and isinstance(said, dict) else None
    if not isinstance(choices, list) or not choices or "tokens" not in choices[0]:
        return None
    *parts, last = pieces("".join(choices[0]["tokens"])) or [""]
    # The bill comes with the last batch; a batch before it knows nothing of usage.
    return [*({"choices": [{"tokens": [part]}]} for part in parts), {**said, "choices": [{"tokens": [last]}]}]
