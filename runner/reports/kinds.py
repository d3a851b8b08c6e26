"""Kinds of steps as text or as data: a list of all of them, or one with its params, what it yields and a step."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Iterator, Mapping

from ..catalogue import builtin
from ..kinds import Kind, makes
from ..model import JSON
from ..schema import CONTROL, PICK
from . import models

_TYPES = {"string": "text", "integer": "an integer", "number": "a number", "boolean": "true or false",
          "array": "a list", "object": "a mapping", "null": "nothing"}  # fmt: skip
_FILES = {"image": "a picture", "audio": "sound", "video": "a video", "file": "a file"}
_STEPS: Mapping[str, str] = {
    "parse_json": """\
  facts:
    kind: parse_json
    text: "{{ steps.draft.text }}"
    schema: {type: object, required: [title], properties: {title: {type: string}}}
""",
    "call_endpoint": """\
  upscaled:
    kind: call_endpoint
    model: 4m7x2k9q1a            # a private endpoint, by its id or the address of its page in the console
    input: {image: "{{ steps.photo.image.url }}", scale: 2}
""",
    "render_text": """\
  page:
    kind: render_text
    text: |
      # {{ steps.facts.data.title }}
""",
    "approve": """\
  fit:
    kind: approve
    question: Is this fit to print?
    show: "{{ steps.photo.image }}"
""",
    "run_pipeline": """\
  card:
    kind: run_pipeline
    file: product-card.yaml
    inputs: {product: a red teapot}
""",
}
"""Steps of the kinds that no model of the catalogue has."""


def text(kinds: Iterable[Kind]) -> str:
    """The list, one line a kind, and where to read on."""
    rows = [(kind.NAME, kind.TITLE) for kind in kinds]
    also = f"Every step may also have {', '.join(CONTROL)}; one that makes a text, picture, sound or video also pick."
    more = "runner kinds KIND tells all about one; runner models which models there are."
    return "\n".join([*_table(rows), "", *textwrap.wrap(also, 100), more])


def one(kind: Kind) -> str:
    """All about a kind."""
    params = [(name, _said(schema, name in _needed(kind))) for name, schema in kind.PARAMS.items()]
    if kind.CALLS:
        params.insert(0, ("model", "text; required. An alias of models:, a model, or a private endpoint."))
    parts = [f"{kind.NAME}\n  {kind.TITLE}", "\n".join(["Params", *_table(params)])]
    if groups := [" or ".join(group) for group in kind.REQUIRED if len(group) > 1]:
        parts[-1] += "".join(f"\n  It needs {group}." for group in groups)
    output = [(f".{name}", _said(schema, needed=False)) for name, schema in yields(kind).items()]
    parts.append("\n".join(["What steps.NAME has then", *_table(output)]))
    parts.append("\n".join(["It may also have", *_table([(n, _sentence(s)) for n, s in also(kind).items()])]))
    if found := [m.id for m in builtin().of_kind(kind.NAME)]:
        parts.append(f"{len(found)} model{'s' * (len(found) != 1)}: runner models --kind {kind.NAME}")
    return "\n\n".join([*parts, f"A step to start from:\n\n{step(kind).rstrip()}"])


def data(kind: Kind) -> dict[str, JSON]:
    """A kind as plain data: JSON Schemas of its params and of what it yields."""
    return {
        "kind": kind.NAME,
        "title": kind.TITLE,
        "calls": kind.CALLS,
        "required": [list(group) for group in kind.REQUIRED],
        "params": dict(kind.PARAMS),
        "also": also(kind),
        "output": yields(kind),
        "models": [model.id for model in builtin().of_kind(kind.NAME)],
    }


def also(kind: Kind) -> Mapping[str, JSON]:
    """The keys that a step of the kind may have beside its params, as JSON Schema."""
    return {**({"pick": PICK} if makes(kind) else {}), **CONTROL}


def yields(kind: Kind) -> Mapping[str, JSON]:
    """The fields of what a step of the kind yields, where it says all that a step can."""
    params = {name: _example(schema) for name, schema in kind.PARAMS.items() if name in ("schema", "tools")}
    found: Mapping[str, JSON] = kind.output(params)["properties"]
    return found


def step(kind: Kind) -> str:
    """A step of the kind, to paste under ``steps:`` and to change."""
    if kind.NAME in _STEPS:
        return _STEPS[kind.NAME]
    known = builtin().of_kind(kind.NAME)
    if not known:  # one that a package brings
        params = [*(["model"] if kind.CALLS else []), *(group[0] for group in kind.REQUIRED)]
        return "\n".join(["  step:", f"    kind: {kind.NAME}", *(f"    {name}: …" for name in params)]) + "\n"
    lines = models.snippet(known[0]).splitlines()
    return "\n".join(lines[lines.index("steps:") + 1 : lines.index("outputs:")]) + "\n"


def _needed(kind: Kind) -> set[str]:
    return {group[0] for group in kind.REQUIRED if len(group) == 1}


def _example(schema: JSON) -> JSON:
    return next(iter(schema.get("examples", ())), None)


def _said(schema: JSON, needed: bool) -> str:  # noqa: FBT001 - of one param
    """What a value is, in words: ``an integer from 1, 4 if not said. Denoising steps: more is slower and finer.``"""
    words = ", ".join(_rules(schema))
    told = _sentence(schema)
    return f"{words}{'; required' * needed}{'. ' * bool(words and told)}{told}".strip()


def _rules(schema: JSON) -> Iterator[str]:
    if "artifact" in schema:
        yield _FILES.get(schema["artifact"], "a file")
    elif "enum" in schema:
        yield " | ".join(map(str, schema["enum"]))
    elif isinstance(schema.get("type"), str):
        yield _TYPES[schema["type"]]
    elif isinstance(schema.get("type"), list):
        yield " or ".join(_TYPES[each] for each in schema["type"])
    elif ways := schema.get("anyOf"):
        yield " or ".join(dict.fromkeys(word for way in ways for word in _rules(way)))
    low, high = schema.get("minimum"), schema.get("maximum")
    if low is not None or high is not None:
        yield (
            f"{low} to {high}" if None not in (low, high) else f"at least {low}" if high is None else f"at most {high}"
        )
    if "default" in schema:
        value = schema["default"]
        yield f"{str(value).lower() if isinstance(value, bool) else value} if not said"


def _sentence(schema: JSON) -> str:
    return str(schema.get("description", ""))


def _table(rows: Iterable[tuple[str, str]]) -> list[str]:
    rows = list(rows)
    wide = max(len(name) for name, _ in rows)
    return [f"  {name:{wide}}  {said}".rstrip() for name, said in rows]
