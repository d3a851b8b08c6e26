"""What is told of operators, filters and methods before a run fails in every run; and what works is not told."""

from itertools import product
from typing import Any

import pytest

from runner.errors import TemplateFailed
from runner.inference import infer
from runner.shape import Shape
from runner.templates import FILTERS, METHODS, parse

VALUES: dict[str, tuple[dict[str, Any], list[Any]]] = {
    "text": ({"type": "string"}, ["tea", "3"]),
    "count": ({"type": "integer"}, [3]),
    "price": ({"type": "number"}, [2.5, 2]),
    "flag": ({"type": "boolean"}, [True]),
    "none": ({"type": "null"}, [None]),
    "words": ({"type": "array", "items": {"type": "string"}}, [["tea", "pot"]]),
    "counts": ({"type": "array", "items": {"type": "integer"}}, [[1, 2]]),
    "facts": ({"type": "object", "properties": {"title": {"type": "string"}}}, [{"title": "tea"}]),
    "rows": ({"type": "array", "items": {"type": "object"}}, [[{"title": "tea", "price": 3}]]),
    "maybe": ({"type": ["string", "integer"]}, ["tea", 3]),
    "free": ({}, ["tea", 3, ["a"], {"a": 1}]),
}
NAMES = {"inputs": Shape.of({"type": "object", "properties": {name: schema for name, (schema, _) in VALUES.items()}})}
OPERATORS = ("+", "-", "*", "/", "//", "%", "**", "<", "<=", ">", ">=", "in", "not in")
ARGUMENTS = ("", "('a')", "(2)", "('a', 'b')", "(2, 3)", "(attribute='price')", "('title')", "(1.5)", "(none)",
             "('a', 'b', 3)", "(title=1)", "(inputs.words)", "(1, 2, 3, 4)")  # fmt: skip


def works(expression: str, names: list[str]) -> bool:
    """Whether there are values of these types with which it can be rendered."""
    for values in product(*(VALUES[name][1] for name in names)):
        given = {name: all_values[0] for name, (_, all_values) in VALUES.items()}
        try:
            parse(expression).render({"inputs": {**given, **dict(zip(names, values, strict=True))}})
        except TemplateFailed:
            continue
        return True
    return False


def told(expression: str) -> list[str]:
    """What is said of how its parts go together; that a field is not there is another matter."""
    findings = infer(parse(expression), NAMES).findings
    return [finding.message for finding in findings if finding.code in ("type", "template")]


def test_what_is_told_of_operators_works_with_no_value() -> None:
    wrong = []
    for left, right, sign in product(VALUES, VALUES, OPERATORS):
        expression = f"{{{{ inputs.{left} {sign} inputs.{right} }}}}"
        if told(expression) and works(expression, [left, right] if left != right else [left]):
            wrong.append(expression)

    assert wrong == []


@pytest.mark.parametrize("name", FILTERS)
def test_what_is_told_of_a_filter_works_with_no_value(name: str) -> None:
    expressions = {f"{{{{ inputs.{value} | {name}{given} }}}}": value for value in VALUES for given in ARGUMENTS}

    assert [text for text, value in expressions.items() if told(text) and works(text, [value])] == []


@pytest.mark.parametrize("name", [*METHODS[str], *METHODS[list]])
def test_what_is_told_of_a_method_works_with_no_value(name: str) -> None:
    values = ("text", "words", "free")
    expressions = {f"{{{{ inputs.{value}.{name}{given or '()'} }}}}": value for value in values for given in ARGUMENTS}

    assert [text for text, value in expressions.items() if told(text) and works(text, [value])] == []


@pytest.mark.parametrize(
    "text",
    [
        "{{ inputs.text ~ 3 }} {{ inputs.text * 3 }} {{ inputs.count + 1.5 }} {{ inputs.words + ['a'] }}",
        "{% set n = 'a' %}{% if inputs.flag %}{% set n = 1 %}{% endif %}{{ n + 1 }}",
        "{% set n = 1 %}{% if inputs.flag %}{% set n = 'a' %}{% endif %}{{ n + 1 }}",
        "{% if inputs.flag %}{% set n = 'a' %}{% elif inputs.count %}{% set n = 1 %}{% endif %}{{ n + 1 }}",
        "{{ inputs.free + 1 }} {{ inputs.maybe + 1 }} {{ inputs.free | round }} {{ inputs.maybe < 3 }}",
        "{{ inputs.none | default(inputs.free, true) + 1 }} {{ inputs.text | int + 1 }}",
        "{{ inputs.text | default('x', true) | truncate(10, true, '…') }} {{ inputs.count | string | truncate(3) }}",
        "{% for a, b in inputs.facts.items() %}{{ a }}{% endfor %}{% for a, b in inputs.rows %}{{ a }}{% endfor %}",
        "{% for i in range(inputs.count) %}{{ i + 1 }}{% endfor %}{% for i in range(1, 9, 2) %}{{ i }}{% endfor %}",
        "{{ inputs.rows | sum(attribute='price') }} {{ inputs.rows | map(attribute='price') | sum }}",
        "{{ inputs.text in inputs.words }} {{ 't' in inputs.text }} {{ 3 in inputs.counts }} {{ 'a' in inputs.facts }}",
    ],
)
def test_what_may_work_is_not_told(text: str) -> None:
    assert told(text) == []


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{{ 2 ** inputs.count }}", "** is not available."),
        ("{{ inputs.count % 0 }}", "This divides by 0."),
        ("{{ inputs.words + 'a' }}", "A list and text do not go together with +."),
        ("{{ inputs.facts * 2 }}", "A mapping and an integer do not go together with *."),
        ("{{ inputs.count > '3' }}", "An integer and text do not go together with >."),
        ("{{ inputs.facts < inputs.facts }}", "A mapping and a mapping do not go together with <."),
        ("{{ inputs.count == '3' }}", "An integer and text are never the same."),
        ("{{ inputs.flag != 'true' }}", "True or false and text are never the same."),
        ("{{ 3 in inputs.text }}", "An integer cannot stand in text."),
        ("{{ 'a' in inputs.count }}", "Text cannot stand in an integer."),
        (
            "{% for a, b in inputs.counts %}{% endfor %}",
            "Each item of this list is an integer, and 2 names stand for it.",
        ),
        ("{% for a, b in inputs.facts %}{% endfor %}", "A loop over a mapping has its names only."),
        ("{% for a in range() %}{% endfor %}", "range() gets 0 values."),
        ("{% for a in range(inputs.text) %}{% endfor %}", "range() counts numbers; this is text."),
        ("{% for a in range(inputs.words) %}{% endfor %}", "range() counts numbers; this is a list."),
        ("{{ inputs.rows | sum }}", "sum adds numbers; this is a list in which each item is a mapping."),
        ("{{ inputs.text | sum }}", "sum adds numbers; this is text."),
        ("{{ inputs.words | abs }}", "abs needs a number; this is a list."),
        ("{{ inputs.text | items | list }}", "items needs a mapping; this is text."),
        ("{{ inputs.none | truncate }}", "truncate needs text; this is null."),
        ("{{ inputs.words | upper }}", "upper needs text; this is a list."),
        ("{{ inputs.facts | title }}", "title needs text; this is a mapping."),
        ("{{ inputs.rows | map }}", "map does not say of which field."),
        ("{{ inputs.text | truncate(len=3) }}", "The filter truncate knows no len=."),
        ("{{ inputs.text | upper(1) }}", "The filter upper takes none in its brackets, and this has 1."),
        (
            "{{ inputs.text | truncate(1, 2, 3, 4, 5) }}",
            "The filter truncate takes 0 to 4 in its brackets, and this has 5.",
        ),
        ("{{ inputs.text.upper('a') }}", "upper() takes none in its brackets, and this has 1."),
        ("{{ inputs.words.count() }}", "count() takes 1 in its brackets, and this has 0."),
    ],
)
def test_what_cannot_work_is_told(text: str, message: str) -> None:
    assert told(text) == [message]
