"""Templates: text with expressions in, values or text out, and nothing else."""

import contextlib
import time
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runner.errors import TemplateFailed
from runner.model import Artifact
from runner.syntax import TemplateFault
from runner.templates import (
    FILTERS,
    MAX_OUTPUT,
    anything,
    environment,
    is_template,
    parse,
    parse_tree,
    render_tree,
    templates_of,
)

PHOTO = Artifact(sha256="ab" * 32, media_type="image/png", bytes=3, path="p.png", width=4, height=3)
NAMES: dict[str, Any] = {
    "inputs": {"text": "tea", "count": 3, "answer": "42", "flag": True, "nothing": None, "empty": "", "price": 1.5},
    "steps": {
        "facts": {
            "data": {
                "title": "Tea",
                "items": ["a", "b"],
                "keys": "mine",
                "get": "it",
                "words": [{"w": "x", "n": 2}, {"w": "y", "n": 1}],
            }
        },
        "photo": {"image": PHOTO, "seed": 7},
    },
}


def render(text: str) -> Any:
    return parse(text).render(NAMES)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("{{ inputs.count }}", 3),
        ("  {{ inputs.count }}\n", 3),
        ("{{ inputs.answer }}", "42"),
        ("{{ inputs.flag }}", True),
        ("{{ inputs.nothing }}", None),
        ("{{ inputs.price }}", 1.5),
        ("{{ steps.facts.data.words }}", [{"w": "x", "n": 2}, {"w": "y", "n": 1}]),
        ("{{ steps.photo.image }}", PHOTO),
        ("{{ steps.facts.data.words | map(attribute='w') }}", ["x", "y"]),
        ("{{ range(3) }}", [0, 1, 2]),
        ("{{ inputs.count + 1 }}", 4),
        ("{{ 'a' if inputs.flag else 'b' }}", "a"),
        ("{{ [inputs.text, 'pot'] }}", ["tea", "pot"]),
        ("{{ {'a': inputs.count} }}", {"a": 3}),
        ("{# a comment #}{{ inputs.count }}", 3),
    ],
)
def test_an_expression_alone_yields_its_value(text: str, value: Any) -> None:
    found = render(text)

    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("no template", "no template"),
        ("{{ inputs.count }} pots", "3 pots"),
        ("{{ inputs.count }}{{ inputs.count }}", "33"),
        ("a {{ inputs.answer }}", "a 42"),
        ("a {{ inputs.flag }}", "a true"),
        ("a {{ inputs.price }}", "a 1.5"),
        ("a {{ inputs.empty }}b", "a b"),
        ("a {{ steps.facts.data.words[0] }}", 'a {"w": "x", "n": 2}'),
        ("a {{ ['é', none] }}", 'a ["é", null]'),
        ("a {{ steps.photo.image.sha256[:2] }}", "a ab"),
        ("a {{ steps.photo.image.width }}x{{ steps.photo.image.height }}", "a 4x3"),
        ("{% for w in steps.facts.data.words %}{{ loop.index }}{{ w.w }} {% endfor %}", "1x 2y "),
        ("{% set x = inputs.text %}{{ x | upper }}", "TEA"),
        ("{% if inputs.count > 2 %}many{% else %}few{% endif %}", "many"),
        ("{{ '<b>' }} & {{ '\"' }}", '<b> & "'),
        ("line\n", "line\n"),
        ("{% raw %}{{ no }}{% endraw %}", "{{ no }}"),
        ("a {{ inputs.nothing | default('none', true) }}", "a none"),
        ("a {{ inputs.flag | upper }}", "a TRUE"),
        ("a {{ ['é'] | truncate(4, true, '…', 0) }}", 'a ["é…'),
        ("a {{ inputs.flag | trim }}", "a true"),
        ("a {{ steps.facts.data.words | tojson }}", 'a [{"w": "x", "n": 2}, {"w": "y", "n": 1}]'),
    ],
)
def test_anything_else_is_text(text: str, value: str) -> None:
    assert render(text) == value


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("{{ steps.facts.data.items }}", ["a", "b"]),
        ("{{ steps.facts.data.keys }}", "mine"),
        ("{{ steps.facts.data.get }}", "it"),
        ("{{ steps.facts.data['items'] }}", ["a", "b"]),
        ("{{ inputs.items() | list | length }}", 7),
    ],
)
def test_a_field_comes_before_a_method_of_its_name(text: str, value: Any) -> None:
    assert render(text) == value


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{{ inputs.absent }}", "not there"),
        ("{{ [inputs.absent] }}", "not there"),
        ("{{ {'a': [inputs.absent]} }}", "not there"),
        ("a {{ inputs.absent }}", "not there"),
        ("{{ absent.deeper }}", "not there"),
        ("{{ steps.facts.data.words[9].w }}", "not there"),
        ("{{ [inputs.absent] }} x", "not there"),
        ("a {{ steps.photo.image }}", "a file has no text; write .path, .url or .sha256"),
        ("a {{ steps.photo }}", "a file has no JSON; write .path, .url or .sha256"),
        ("{{ steps.photo | tojson }}", "a file has no JSON"),
        ("{{ 'a' ~ steps.photo.image }}", "a file has no text"),
        ("a {{ inputs.nothing }}", "the value is null, which has no text; write | default("),
        ("{{ 'a' ~ inputs.nothing }}", "the value is null"),
        ("{{ inputs.nothing | string }}", "the value is null"),
        ("{{ 1 / 0 }}", "cannot be rendered"),
        ("{{ inputs.text + 1 }}", "cannot be rendered"),
        ("{{ inputs.count.real }}", "unsafe"),
        ("{{ 2 ** 9 }}", "** is not available"),
        ("{{ '%s' % 1 }}", "write the value into the text"),
    ],
)  # fmt: skip
def test_what_has_no_value_says_what_to_write(text: str, words: str) -> None:
    template = parse(text)

    with pytest.raises(TemplateFailed) as caught:
        template.render(NAMES)

    assert words in str(caught.value)


ESCAPES = [
    "{{ ''.__class__.__mro__ }}",
    "{{ inputs.__class__ }}",
    "{{ inputs['__class__'] }}",
    "{{ inputs | attr('__class__') }}",
    "{{ steps.photo.image.__class__ }}",
    "{{ steps.photo.image.__init__.__globals__ }}",
    "{{ (1).__class__.__base__.__subclasses__() }}",
    "{{ cycler.__init__.__globals__.os.popen('id').read() }}",
    "{{ joiner }}",
    "{{ lipsum.__globals__ }}",
    "{{ self._TemplateReference__context }}",
    "{{ self.__init__ }}",
    "{{ '{0.__class__}'.format(1) }}",
    "{{ '{a}'.format_map({'a': 1}) }}",
    "{{ ['{0.__class__}', 1] | map('format') | list }}",
    "{{ '%s' | format(1) }}",
    "{{ range.__init__ }}",
    "{{ dict.__mro__ }}",
    "{{ namespace.__init__.__globals__ }}",
    "{% set x = namespace() %}{{ x.__class__ }}",
    "{{ inputs.update({'a': 1}) }}",
    "{{ inputs.pop('text') }}",
    "{{ steps.facts.data.words.append(1) }}",
    "{{ steps.facts.data.words.clear() }}",
    "{{ inputs.text.encode() }}",
    "{{ inputs.text.translate({}) }}",
    "{{ inputs.text.zfill(10) }}",
    "{{ inputs.text.center(10) }}",
    "{% include '/etc/passwd' %}",
    "{% import 'os' as os %}{{ os }}",
    "{% extends 'x' %}",
    "{{ inputs | pprint }}",
    "{{ inputs.text | center(9) }}",
    "{{ inputs.text | indent(9) }}",
    "{{ inputs | map(attribute='__class__') | list }}",
    "{{ '{:>99}'['format'](1) }}",
    "{{ 'x'['__class__'] }}",
    "{{ [inputs] | map(attribute='__class__.__name__') | list }}",
    "{{ [inputs] | map(attribute='text.__class__') | list }}",
    "{{ (x for x in []).gi_frame }}",
    "{% macro m() %}{% endmacro %}{{ m.__globals__ }}",
]


@pytest.mark.parametrize("text", ESCAPES)
def test_there_is_no_way_out_of_the_sandbox(text: str) -> None:
    before = repr(NAMES)

    with pytest.raises((TemplateFailed, TemplateFault)):
        render(text)

    assert repr(NAMES) == before


BOMBS = [
    "{% for i in range(99999) %}{{ 'x' * 99999 }}{% endfor %}",
    "{{ 'x' * 99999999 }}",
    "{{ 99999999 * 'x' }}",
    "{{ ['x'] * 99999999 }}",
    "{{ range(99999999) | list }}",
    "{{ range(99999999) | join('x') }}",
    "{{ ('x' * 999999).replace('x', 'y' * 999999) }}",
    "{{ 'x' * 999999 | replace('x', 'y' * 999999) }}",
    "{{ 9 ** 99999999 }}",
    "{{ 'x' | wordwrap(99999999, true, 'y' * 99999) | replace('', 'y' * 99999) }}",
    "{% set n = namespace(s='x') %}{% for i in range(40) %}{% set n.s = n.s ~ n.s %}{% endfor %}{{ n.s }}",
    "{% set n = namespace(s='x') %}{% for i in range(40) %}{% set n.s = n.s + n.s %}{% endfor %}{{ n.s }}",
    "{% set n = namespace(s=['x']) %}{% for i in range(40) %}{% set n.s = n.s + n.s %}{% endfor %}{{ n.s }}",
    "{% set n = namespace(s=9) %}{% for i in range(40) %}{% set n.s = n.s * n.s %}{% endfor %}{{ n.s }}",
    "{% set n = namespace(s='x' * 9999) %}{% for i in range(20) %}{% set n.s = n.s.replace('x', 'xx') %}{% endfor %}x",
    "{% set n = namespace(s=['x' * 9999]) %}{% for i in range(30) %}{% set n.s = [n.s | join] * 2 %}{% endfor %}x",
    "{% set n = namespace(s=[1]) %}{% for i in range(40) %}{% set n.s = [n.s, n.s] %}{% endfor %}{{ n.s }}",
    "{% set n = namespace(s='&' * 9999) %}{% for i in range(20) %}{% set n.s = n.s | urlencode %}{% endfor %}{{ n.s }}",
    "{% set n = namespace(s='<' * 9999) %}{% for i in range(20) %}{% set n.s = n.s | escape ~ '' %}{% endfor %}x",
    "{% macro m(n) %}{{ m(n) }}{{ m(n) }}{% endmacro %}{{ m(1) }}",
    "{% for a in range(9999) %}{% for b in range(9999) %}{% endfor %}{% endfor %}x",
    "{{ [1] | slice(99999999) | list }}",
    "{{ [1] | batch(99999999, 1) | list }}",
    "{{ 'x' | truncate(99999999, true, 'y' * 999999) | replace('y', 'z' * 999) }}",
]


@pytest.mark.parametrize("text", BOMBS)
def test_no_template_grows_without_bound(text: str) -> None:
    began = time.thread_time()

    try:
        found = len(render(text))
    except (TemplateFailed, TemplateFault):
        found = 0

    assert found <= MAX_OUTPUT
    assert time.thread_time() - began < 10  # of its own work, however busy the machine is


def test_a_text_may_be_as_long_as_the_bound() -> None:
    almost = "{% for i in range(1000) %}{{ 'x' * 999 }}{% endfor %}"

    assert len(render(almost)) < MAX_OUTPUT


@pytest.mark.parametrize("name", FILTERS)
def test_every_filter_that_is_named_is_there(name: str) -> None:
    assert name in environment().filters


def test_a_tree_is_rendered_leaf_by_leaf() -> None:
    faults: list[Any] = []
    tree = parse_tree({"a": ["{{ inputs.count }}", "x"], "b": {"c": "n {{ inputs.text }}"}, "d": 1}, faults.append)  # type: ignore[arg-type] # no fault is told

    found = [path for path, _ in templates_of(tree)]

    assert found == [("a", 0), ("b", "c")]
    assert render_tree(tree, NAMES) == {"a": [3, "x"], "b": {"c": "n tea"}, "d": 1}


def test_faults_of_a_tree_are_told_with_their_path() -> None:
    faults: list[tuple[tuple[str | int, ...], str]] = []

    tree = parse_tree({"a": ["x", "{{ }}"]}, lambda path, fault: faults.append((path, str(fault))))

    assert faults == [(("a", 1), "nothing stands between {{ and }}")]
    assert tree == {"a": ["x", anything()]}


@pytest.mark.parametrize(
    ("text", "words", "shown"),
    [
        ("a {{ b + }} c", "something is missing before its }}", "{{ b + }}"),
        ("{{ a }} {{ }} {{ b }}", "nothing stands between {{ and }}", "{{ }}"),
        ("{{ a + }} {{ b }}", "something is missing before its }}", "{{ a + }}"),
        ("x\n{{ a }}\n{{ b c }}", "}} is missing before c", "{{ b c }}"),
        ("x {% if a %}b", "{% if %} is never closed", "{% if a %}"),
        ("{% for a in b %}{% if a %}{% endif %}", "{% for %} is never closed", "{% for a in b %}"),
        ("{% if %}a{% endif %}", "something is missing before its %}", "{% if %}"),
        ("{% fro a in b %}{% endfor %}", "there is no {% fro %}", "{% fro a in b %}"),
        ("a {{ 'b }}", "the quote ' is never closed", "{{ 'b }}"),
        ("a {{ b", "something is missing before its }}", "{{ b"),
        ("a {% else %}", "{% else %} cannot stand here", "{% else %}"),
        ("{{ " + "(" * 5000 + " }}", "nested too deeply", "{{"),
    ],
)
def test_a_template_that_cannot_be_read_says_where(text: str, words: str, shown: str) -> None:
    with pytest.raises(TemplateFault) as caught:
        parse(text)

    fault = caught.value
    assert words in str(fault)
    assert text[fault.offset : fault.offset + fault.length] == shown


@pytest.mark.parametrize(
    ("text", "words", "line", "shown"),
    [
        ("{{ steps.a.b }} {{ steps.a.c }}", ("steps", "a", "c"), 1, "c"),
        ("{{ steps.a.b }}\n{{ steps.a.b }}", ("steps", "a", "b"), 2, "b"),
        ("{{ steps['a'].b }}", ("steps", "a"), 1, "'a'"),
        ("a\nb {{ x }}\nc", ("absent",), 2, "b {{ x }}"),
        ("a {{ x.y }}", ("z", "y"), 1, "y"),
    ],
)
def test_a_chain_of_names_is_found_in_its_text(text: str, words: tuple[str, ...], line: int, shown: str) -> None:
    offset, length = parse(text).locate(words, line)

    assert text[offset : offset + length] == shown


@pytest.mark.parametrize("text", ["{{ a }}", "{% if a %}{% endif %}", "{# a #}"])
def test_a_text_with_braces_is_a_template(text: str) -> None:
    assert is_template(text)
    assert not is_template(text.replace("{", "(").replace("}", ")"))


PIECES = st.lists(
    st.sampled_from(
        [
            *("{{", "}}", "{%", "%}", "{#", "#}", "{", "}", " ", "\n", ".", "[", "]", "(", ")", "|", ",", "é", '"'),
            *("inputs", "text", "count", "steps", "photo", "image", "x", "range", "loop", "dict", "namespace", "none"),
            *("upper", "join", "map", "attribute=", "'w'", "1", "0", "-", "+", "*", "~", "/", "//", "%", "==", "="),
            *("in", "is", "not", "defined", "for", "endfor", "if", "endif", "set", "with", "endwith", "macro"),
            *("endmacro", "call", "filter", ":"),
        ]
    ),
    max_size=24,
).map("".join)  # fmt: skip


@settings(max_examples=300, deadline=None)
@given(st.text(max_size=30) | PIECES | PIECES.map(lambda inner: "{{ " + inner + " }}"))
def test_no_template_raises_anything_but_its_own_errors(text: str) -> None:
    with contextlib.suppress(TemplateFault, TemplateFailed):
        parse(text).render(NAMES)


EXPRESSIONS = st.recursive(
    st.sampled_from(["inputs", "steps", "1", "'x'", "none", "true", "inputs.text", "steps.facts.data.words", "absent"]),
    lambda inner: st.one_of(
        st.tuples(inner, st.sampled_from(FILTERS)).map(lambda t: f"({t[0]} | {t[1]})"),
        st.tuples(inner, st.sampled_from(["+", "-", "*", "~", "/", "and", "or", "==", "<", "in"]), inner).map(
            lambda t: f"({t[0]} {t[1]} {t[2]})"
        ),
        st.tuples(inner, st.sampled_from(["a", "items", "keys()", "upper()", "image", "0"])).map(
            lambda t: f"{t[0]}.{t[1]}"
        ),
        inner.map(lambda e: f"[{e}]"),
        st.tuples(inner, inner).map(lambda t: f"{t[0]}[{t[1]}]"),
    ),
    max_leaves=6,
)


@settings(max_examples=300, deadline=None)
@given(EXPRESSIONS, st.booleans())
def test_no_expression_raises_anything_but_its_own_errors(expression: str, alone: bool) -> None:
    text = f"{{{{ {expression} }}}}" + ("" if alone else " .")
    with contextlib.suppress(TemplateFault, TemplateFailed):
        parse(text).render(NAMES)
