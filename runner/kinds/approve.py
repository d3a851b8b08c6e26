"""A person looks at what was made and says yes or no. Nothing is sent; what needs the step waits for the answer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ..errors import Refused
from ..model import JSON, Call, Output, Question, Reply
from .kind import COST, FLAG, TEXT

NAME = "approve"
VERSION = 1
TITLE = "Ask a person: yes or no."
CALLS = False
PARAMS: Mapping[str, JSON] = {
    "question": {**TEXT, "description": "What to ask.", "examples": ["Is this fit to print?"]},
    "show": {
        "anyOf": [{"type": "array", "items": {}}, {}],
        "description": "What to look at first: a value, a list of them, or each under a name.",
        "examples": ["{{ steps.photo.image }}", ["{{ steps.photo.image }}", "{{ steps.facts.data.title }}"]],
    },
}
REQUIRED: tuple[tuple[str, ...], ...] = (("question",),)
TIMEOUT = 86400.0


def output(params: Mapping[str, JSON]) -> JSON:
    """That a person said yes: after a no there is no output."""
    del params
    return {
        "type": "object",
        "properties": {"approved": {**FLAG, "description": "true: a person said yes."}, **COST},
        "additionalProperties": False,
    }


def question(params: Mapping[str, JSON]) -> Question:
    """What is asked: the words, and what is shown with them, files by their bytes."""
    return Question(f"{NAME}@{VERSION}", {"prompt": params["question"], "show": shown(params)})


def shown(params: Mapping[str, JSON]) -> dict[str, JSON]:
    """What is shown, each under its name; what has none is counted."""
    show = params.get("show")
    if isinstance(show, Mapping):
        return {str(name): value for name, value in show.items()}
    if show is None:
        return {}
    return {str(number): value for number, value in enumerate(show if isinstance(show, list) else [show], 1)}


def advance(params: Mapping[str, JSON], replies: Sequence[Reply]) -> Call | Output:
    """What a person said. `Refused` for a no."""
    if replies[0].data["answer"] is not True:
        msg = f"the answer to {params['question']!r} was no"
        raise Refused(msg)
    return Output({"approved": True})
