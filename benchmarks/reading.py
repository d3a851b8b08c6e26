"""What it costs to read and check a large pipeline, beside its parts done bare in the same process."""

from __future__ import annotations

import gc
import itertools
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

import jinja2
import yaml
from jsonschema import Draft202012Validator

from runner import catalogue, checking, pipeline, source
from runner.model import JSON
from runner.schema import pipeline_schema

from .figures import Figure, in_turns

PRODUCT = """
  draft_{n}:
    kind: generate_text
    model: writer
    system: Return ONLY valid JSON.
    temperature: 0.7
    prompt: |
      Describe the product number {n} of {{{{ inputs.shop }}}} for its web shop, in the voice of a friend who has had it
      for a year and uses it every morning. Say what it is made of and how it feels in the hand; no superlatives, no
      questions. Answer as {{ "title": string, "blurb": string, "picture": string }}

  facts_{n}:
    kind: parse_json
    text: "{{{{ steps.draft_{n}.text }}}}"
    schema:
      type: object
      required: [title, blurb, picture]
      properties:
        title: {{type: string, maxLength: 60}}
        blurb: {{type: string}}
        picture: {{type: string, description: what a photographer should shoot}}

  photo_{n}:
    kind: generate_image
    model: painter
    prompt: "{{{{ steps.facts_{n}.data.picture }}}}, studio light, plain background, titled {{{{ steps.facts_{n}.data.title }}}}"
    aspect_ratio: 4:3
    seed: {n}

  seasonal_{n}:
    kind: edit_image
    model: editor
    image: "{{{{ steps.photo_{n}.image }}}}"
    prompt: Put {{{{ steps.facts_{n}.data.title }}}} on a table in {{{{ inputs.season }}}}. Keep the product unchanged, and
      keep the light as it was; nobody may be seen.
"""  # noqa: E501 - as an author would write it
HEAD = """\
name: catalogue
inputs:
  shop: {type: string, default: a shop for tea}
  season: {type: string, enum: [spring, summer, autumn, winter], default: autumn}
models:
  writer: {model: qwen/qwen3-32b-awq, temperature: 0.7}
  painter: {model: black-forest-labs/flux-1-schnell}
  editor: {model: qwen/qwen-image-edit}
steps:"""


def figures() -> Iterator[Figure]:
    """A thousand steps and ten thousand; the second must cost ten times the first, and no more."""
    validator = Draft202012Validator(pipeline_schema())
    times = {}
    for steps, rounds in ((1000, 5), (10_000, 3)):
        text = written(steps)
        ours, theirs = in_turns(rounds, partial(checked, text, steps), partial(parts, text, validator))
        times[steps] = ours
        yield Figure(f"check of {steps:,} steps ({len(text) / steps:.0f} bytes each)", ours,
                     "its parts, bare", theirs, "≤ 2", ours <= 2 * theirs)  # fmt: skip
    yield Figure("check of 10,000 steps", times[10_000], "check of 1,000", times[1000], "≤ 12",
                 times[10_000] <= 12 * times[1000])  # fmt: skip


def written(steps: int) -> str:
    """A pipeline of four steps and an output a product."""
    products = range(steps // 4)
    made = "".join(f'\n  product/{n}.png: "{{{{ steps.seasonal_{n}.image }}}}"' for n in products)
    return f"{HEAD}{''.join(PRODUCT.format(n=n) for n in products)}outputs:{made}\n"


def checked(text: str, steps: int) -> float:
    """Seconds from the text to a checked pipeline."""
    gc.collect()
    start = time.perf_counter()
    found, problems = pipeline.load(text, "bench.yaml", lambda _: "")
    assert found is not None, problems
    whole, problems = checking.check(found, catalogue.builtin(), lambda _: False)
    seconds = time.perf_counter() - start
    assert whole is not None, problems
    assert not problems
    assert len(found.steps) == steps
    return seconds


def parts(text: str, validator: Draft202012Validator) -> float:
    """Seconds of what cannot be left out, each in one pass: nodes with marks, the schema, the templates."""
    data = source.parse(text, "bench.yaml").data
    environment = jinja2.Environment()  # noqa: S701 - nothing is rendered
    templates = [each for each in _texts(data) if "{{" in each or "{%" in each]
    with _uncollected():
        start = time.perf_counter()
        yaml.compose(text, Loader=yaml.CSafeLoader)
        faults = list(validator.iter_errors(data))
        for template in templates:
            environment.parse(template)
        seconds = time.perf_counter() - start
    assert not faults
    return seconds


def _texts(value: JSON) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list):
        yield from itertools.chain.from_iterable(map(_texts, value.values() if isinstance(value, dict) else value))


@contextmanager
def _uncollected() -> Iterator[None]:
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
