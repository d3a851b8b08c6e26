"""Texts that are templates but for their braces, and texts with braces that are meant."""

import time

import pytest

from runner import braces
from runner.templates import parse

NAMES = {"inputs": {"leaf": "oolong"}}


@pytest.mark.parametrize(
    "text",
    [
        "no brace",
        '{"a": {"b": 1}}',
        "{name} and {product}",
        "p { color: red }",
        "{inputs.leaf: string}",
        "{items.first}",
        "{inputs, steps}",
        "{key} and {item} of no cell",
        "{}",
        "{{ '{' }}inputs.leaf}",
        "{{ '{{' }} inputs.leaf }}",
        "{{ '{inputs.leaf}' }}",
        "{% raw %}{inputs.leaf} {{ inputs.leaf }}{% endraw %}",
        "{# {inputs.leaf} #}",
        '{"a": {"b": {{ inputs.leaf }}}}',
        "{{ {'a': inputs.leaf}.a }}",
        "{% for item in [1] %}{{ item }}{% endfor %}",
    ],
)
def test_braces_that_are_meant_stay_as_they_are(text: str) -> None:
    assert braces.in_text(text) is None
    parse(text)


@pytest.mark.parametrize(
    ("text", "shown", "expression"),
    [
        ("a {inputs.leaf} b", "{inputs.leaf}", "inputs.leaf"),
        ("{ inputs.leaf | upper }", "{ inputs.leaf | upper }", "inputs.leaf | upper"),
        ("{inputs['leaf'].a[0]}", "{inputs['leaf'].a[0]}", "inputs['leaf'].a[0]"),
        ("{{ inputs.leaf }} {inputs.leaf}}", "{inputs.leaf}}", "inputs.leaf"),
        ("{ { inputs.leaf }}", "{ { inputs.leaf }}", "inputs.leaf"),
        ("inputs.leaf }}", "inputs.leaf }}", "inputs.leaf"),
        ("{inputs.leaf, now", "{inputs.leaf", "inputs.leaf"),
        ("${inputs.leaf}", "${inputs.leaf}", "inputs.leaf"),
        ("{ run }", "{ run }", "run"),
        ("{ item.name }", "{ item.name }", "item.name"),
    ],
)
def test_a_brace_that_is_missing_is_found(text: str, shown: str, expression: str) -> None:
    half = braces.in_text(text)

    assert half is not None
    assert text[half.offset : half.offset + half.length] == shown
    assert half.expression == expression


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("{{ inputs.leaf }", "{{ inputs.leaf }"),
        ("{{ inputs.leaf } and {{ inputs.leaf }}", "{{ inputs.leaf }"),
        ("{{ inputs.leaf, and {{ inputs.leaf }}", "{{ inputs.leaf"),
        ("{{{ inputs.leaf }}}", "{{{ inputs.leaf }}}"),
        ("{{ inputs.leaf } }", "{{ inputs.leaf } }"),
        ("{{ inputs.leaf\n more }}", None),
        ("{{ inputs.leaf more }}", None),
        ("{{ }}", None),
    ],
)
def test_a_template_that_cannot_be_read_may_lack_a_brace(text: str, shown: str | None) -> None:
    half = braces.in_fault(text)

    assert (half and text[half.offset : half.offset + half.length]) == shown


@pytest.mark.parametrize(
    "piece",
    ["{", "{ ", "{{", "{{{ ", "{inputs.", "{{ inputs.a\n}} ", "inputs.a[1]", "{{'{'}} inputs.a }}", "${ ", "$a"],
)
def test_no_text_takes_long(piece: str) -> None:
    text = piece * (100_000 // len(piece))
    before = time.process_time()

    braces.in_fault(text)
    if text.count("{{") == text.count("}}"):
        braces.in_text(text)
        list(braces.dollars(text))

    assert time.process_time() - before < 2  # it takes hundredths


def test_a_name_of_cells_alone_counts_where_there_are_cells() -> None:
    assert braces.in_text("{item}") is None
    assert braces.in_text("{item}", braces.NAMES) is not None


def test_a_brace_is_written_as_the_cure_says() -> None:
    text = parse("{{ '{' }}inputs.leaf} {{ inputs.leaf }}")

    assert text.render(NAMES) == "{inputs.leaf} oolong"


def test_a_dollar_before_a_name_is_found_outside_of_templates() -> None:
    text = "$leaf, ${ leaf }, $5, $Leaf, {{ '$leaf' }}"

    assert [(text[at : at + length], name) for at, length, name in braces.dollars(text)] == [
        ("$leaf", "leaf"),
        ("${ leaf }", "leaf"),
        ("$Leaf", "Leaf"),
    ]


def test_a_name_in_single_braces_is_found_outside_of_templates() -> None:
    text = "{leaf}, {{leaf}}, ${leaf}, \\frac{leaf}{leaf}, { leaf }, {leaf: 1}, {{ {leaf} }}, {% set a = '{leaf}' %}"

    assert [text[at : at + length] for at, length, _ in braces.singles(text)] == ["{leaf}"]
