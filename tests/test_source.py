"""YAML in, data and marks out."""

import contextlib
import math
from collections.abc import Sequence
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from runner.errors import PipelineProblems
from runner.source import MAX_ALIASED, MAX_DEPTH, Document, parse, read, read_scalar

SCALARS: list[tuple[str, Any]] = [
    ("16:9", "16:9"),
    ("1:30:00", "1:30:00"),
    ("no", "no"),
    ("No", "No"),
    ("on", "on"),
    ("off", "off"),
    ("yes", "yes"),
    ("y", "y"),
    ("true", True),
    ("True", True),
    ("TRUE", True),
    ("tRUE", "tRUE"),
    ("false", False),
    ("FALSE", False),
    ("null", None),
    ("Null", None),
    ("NULL", None),
    ("~", None),
    ("", None),
    ("nil", "nil"),
    ("0", 0),
    ("-0", 0),
    ("+12", 12),
    ("-7", -7),
    ("007", 7),
    ("08", 8),
    ("0o7", 7),
    ("0o8", "0o8"),
    ("0x1F", 31),
    ("-0x1F", "-0x1F"),
    ("0b11", "0b11"),
    ("1_000", "1_000"),
    ("1.10", 1.1),
    ("1.", 1.0),
    (".5", 0.5),
    ("-.5", -0.5),
    (".", "."),
    ("-", "-"),
    ("+", "+"),
    (".e5", ".e5"),
    ("1e3", 1000.0),
    ("1E-3", 0.001),
    ("1e", "1e"),
    ("e5", "e5"),
    ("2026-08-20", "2026-08-20"),
    ("2026-08-20T10:00:00Z", "2026-08-20T10:00:00Z"),
    ("1.2.3", "1.2.3"),
    ("0.1.0-rc1", "0.1.0-rc1"),
    ("infinity", "infinity"),
    ("nan", "nan"),
    ("<<", "<<"),
    ("=", "="),
]


def values(text: str) -> Any:
    return parse(text, "f.yaml").data


def problems(text: str) -> list[tuple[str, int, int]]:
    with pytest.raises(PipelineProblems) as caught:
        parse(text, "f.yaml")
    return [(p.code, p.mark.line, p.mark.column) for p in caught.value.problems]


@pytest.mark.parametrize(("text", "value"), SCALARS, ids=[text or "empty" for text, _ in SCALARS])
def test_a_plain_scalar_is_read_as_yaml_1_2_says(text: str, value: Any) -> None:
    found = read_scalar(text)

    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize("text", [".inf", "-.Inf", ".NaN"])
def test_what_is_not_finite_is_no_json(text: str) -> None:
    assert math.isnan(read_scalar(text))
    assert problems(f"a: {text}") == [("number", 1, 4)]


@pytest.mark.parametrize("text", ["'5'", '"5"', "!!str 5", "|-\n  5", ">-\n  5"])
def test_a_quoted_or_block_scalar_is_text(text: str) -> None:
    assert values(f"a: {text}\n") == {"a": "5"}


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("a: 'it''s'", {"a": "it's"}),
        (r'a: "\x41\u00e9\U0001F600\t\n\\\""', {"a": 'A\u00e9😀\t\n\\"'}),
        (r'{"a": "x\/y"}', {"a": "x/y"}),
        ("a: |\n  x\n   y\n\n  z\n\n", {"a": "x\n y\n\nz\n"}),
        ("a: |+\n  x\n\n", {"a": "x\n\n"}),
        ("a: |2-\n    x\n", {"a": "  x"}),
        ("a: >\n  x\n  y\n\n  z\n", {"a": "x y\nz\n"}),
        ("a: x\n  y\n", {"a": "x y"}),
        ("1: a\nno: b\n", {"1": "a", "no": "b"}),
        ("\ufeffa: 1", {"a": 1}),
        ("a: &x [1]\nb: *x\n", {"a": [1], "b": [1]}),
        ("&k a: 1\nb: *k\n", {"a": 1, "b": "a"}),
        ("a: &x\nb: *x\n", {"a": None, "b": None}),
        ("a: 1\r\nb: |\r\n  x\r\n  y\r\n", {"a": 1, "b": "x\ny\n"}),
        ("--- \na: 1\n...\n", {"a": 1}),
        ("%YAML 1.1\n---\na: no\n", {"a": "no"}),
        ('{\n\t"a": [1,\n\t\t2]\n}', {"a": [1, 2]}),
        ("a: {b: {c: [1, {d: 2}]}}", {"a": {"b": {"c": [1, {"d": 2}]}}}),
    ],
)  # fmt: skip
def test_a_document_is_read_as_it_is_meant(text: str, value: Any) -> None:
    assert values(text) == value


@pytest.mark.parametrize(
    ("text", "found"),
    [
        pytest.param("a: 1\nb: 2\na: 3\n", [("repeated-key", 3, 1)], id="repeated key"),
        pytest.param("{a: 1, a: 2, a: 3}", [("repeated-key", 1, 8), ("repeated-key", 1, 14)], id="twice repeated"),
        pytest.param("a: {b: 1}\nc:\n  b: 1\n  b: 2\n", [("repeated-key", 4, 3)], id="nested repeated key"),
        pytest.param("a: !x 1\nb: !!int 2\n", [("tag", 1, 4), ("tag", 2, 4)], id="tags"),
        pytest.param("a: 1\n---\nb: 2\n", [("documents", 2, 1)], id="two documents"),
        pytest.param("a: *b\n", [("alias", 1, 4)], id="unknown alias"),
        pytest.param("a: &a [*a]\n", [("alias", 1, 8)], id="alias of itself"),
        pytest.param("? {a: 1}\n: 1\n", [("key", 1, 3)], id="mapping as a key"),
        pytest.param("a: &x b\n*x : 1\n", [("key", 2, 1)], id="alias as a key"),
        pytest.param("a: {{ x }}\n", [("quotes", 1, 4)], id="template without quotes"),
        pytest.param("a:\n\tb: 1\n", [("tab", 2, 1)], id="tab"),
        pytest.param("a: '\n\n", [("yaml", 1, 4)], id="open quote"),
        pytest.param("a: é\nb: é\x07", [("yaml", 2, 5)], id="control character after letters of two bytes"),
        pytest.param("a: \ud800", [("yaml", 1, 4)], id="half a character"),
        pytest.param("a: \0", [("yaml", 1, 4)], id="NUL"),
        pytest.param("a: " + "9" * 5000, [("number", 1, 4)], id="a number of 5000 digits"),
        pytest.param("a: 1e999", [("number", 1, 4)], id="a number without end"),
        pytest.param("[" * 100_000, [("too-much", 1, MAX_DEPTH + 1)], id="deep list"),
        pytest.param("{a: " * 100_000, [("too-much", 1, 4 * MAX_DEPTH + 1)], id="deep mapping"),
        pytest.param("- " * 10_000, [("too-much", 1, 2 * MAX_DEPTH + 1)], id="deep block"),
        pytest.param("", [("empty", 1, 1)], id="nothing"),
        pytest.param("\ufeff", [("empty", 1, 1)], id="a byte order mark alone"),
        pytest.param("x" * 32_000_001, [("too-much", 1, 1)], id="too large"),
    ],
)
def test_a_mistake_has_its_place(text: str, found: list[tuple[str, int, int]]) -> None:
    assert problems(text) == found


def test_a_bomb_of_aliases_is_stopped_before_it_grows() -> None:
    rows = "".join(f"{b}: &{b} [{', '.join(['*' + a] * 9)}]\n" for a, b in zip("abcdefgh", "bcdefghi", strict=True))

    found = problems("a: &a [1, 1, 1, 1, 1, 1, 1, 1, 1]\n" + rows)

    assert found == [("alias", 5, found[0][2])]


def test_aliases_that_people_use_are_fine() -> None:
    text = "a: &a {b: 1}\nc: [" + ", ".join(["*a"] * (MAX_ALIASED // 2)) + "]\n"

    assert len(values(text)["c"]) == MAX_ALIASED // 2


@pytest.mark.parametrize(("break_", "line"), [("\n", 2), ("\r\n", 2), ("\r", 2), ("\u2028", 2), ("\x85", 2)], ids=repr)
def test_lines_are_counted_as_the_parser_counts_them(break_: str, line: int) -> None:
    document = parse(f"a: 1{break_}b: here{break_}", "f.yaml")

    mark = document.mark(("b",))

    assert (mark.line, mark.column, mark.length, mark.text) == (line, 4, 4, "b: here")


@pytest.mark.parametrize(
    ("path", "key", "place"),
    [
        ((), False, "1:1"),
        (("steps", "photo", "prompt"), False, "4:13"),
        (("steps", "photo", "prompt"), True, "4:5"),
        (("steps", "photo", "stop", 1), False, "5:15"),
        (("steps", "photo"), True, "2:3"),
        (("steps", "photo", "absent", "deeper"), False, "2:3"),
        (("absent",), False, "1:1"),
        (("steps", "photo", "stop", 9), False, "5:5"),
    ],
)
def test_a_path_has_a_mark(path: Sequence[str | int], key: bool, place: str) -> None:
    document = parse("steps:\n  photo:\n    kind: x\n    prompt: tea\n    stop: [a, bc]\n", "f.yaml")

    mark = document.mark(path, key=key)

    assert str(mark) == f"f.yaml:{place}"


def test_the_mark_of_a_collection_covers_it() -> None:
    document = parse("a: [x, y]\nb: {c: 1}\n", "f.yaml")

    assert document.mark(("a",)).length == len("[x, y]")
    assert document.mark(("b",)).length == len("{c: 1}")


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("a: 1.10", "1.10"),
        ("a: 'x'", "x"),
        ("a: [1]", None),
        ("b: 1", None),
    ],
)
def test_a_scalar_is_there_as_it_was_written(text: str, value: str | None) -> None:
    assert parse(text, "f.yaml").raw(("a",)) == value


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("a: some {{ HERE }} more\n", id="plain"),
        pytest.param("a: some\n  text {{ HERE }} more\n", id="plain on two lines"),
        pytest.param("a: some\n\n\n  text {{ HERE }} more\n", id="plain with empty lines"),
        pytest.param("a: 'it''s {{ HERE }} more'\n", id="single quotes"),
        pytest.param("a: 'it''s\n  on {{ HERE }}\n\n  more'\n", id="single quotes on lines"),
        pytest.param('a: "it \\"is\\" \\u00e9\\x41 \\\\ {{ HERE }} more"\n', id="double quotes with escapes"),
        pytest.param('a: "it \\\n  goes \\\n  on {{ HERE }}"\n', id="double quotes with escaped breaks"),
        pytest.param('a: "x\\ty\\nz {{ HERE }}"\n', id="double quotes with escaped spaces"),
        pytest.param("a: |\n  some\n   text\n\n  {{ HERE }}\n", id="literal"),
        pytest.param("a: |2\n    some\n  {{ HERE }}\n", id="literal with an indentation"),
        pytest.param("a: |-\n  {{ HERE }}\n\n\n", id="literal, chomped"),
        pytest.param("a: |+\n\n  {{ HERE }}\n\n\n", id="literal, kept"),
        pytest.param("a: | # a comment\n  {{ HERE }}\n", id="literal with a comment"),
        pytest.param("a: >\n  some\n  text\n\n  {{ HERE }}\n  more\n", id="folded"),
        pytest.param("a: >-\n  some\n    more\n    much\n  {{ HERE }}\n", id="folded with deeper lines"),
        pytest.param("a: |\r\n  some\r\n  {{ HERE }}\r\n", id="CRLF"),
        pytest.param("a: >\r\n  some\r\n  text {{ HERE }}\r\n", id="CRLF, folded"),
        pytest.param("a: 日本語 😀 {{ HERE }}\n", id="letters of many bytes"),
        pytest.param("x: [1, {a: 'b {{ HERE }}'}]\n", id="nested"),
        pytest.param("a: &x !!str 'b {{ HERE }}'\n", id="with an anchor and a tag"),
    ],
)
def test_a_place_inside_a_text_is_marked(text: str) -> None:
    document = parse(text, "f.yaml")
    path: tuple[str | int, ...] = ("x", 1, "a") if text.startswith("x") else ("a",)
    value = document.data["x"][1]["a"] if text.startswith("x") else document.data["a"]

    mark = document.mark_inside(path, value.index("HERE"), 4)

    assert mark.text[mark.column - 1 : mark.column - 1 + mark.length] == "HERE"
    assert mark.line == text[: text.index("HERE")].count("\n") + 1


def test_a_place_in_a_plain_text_file_is_marked() -> None:
    document = Document("brief.md", "one\ntwo HERE\n", "one\ntwo HERE\n", None)

    mark = document.mark_inside((), 8, 4)

    assert (str(mark), mark.length, mark.text) == ("brief.md:2:5", 4, "two HERE")


# -- laws -------------------------------------------------------------------------------------------

TEXTS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\ufeff"), max_size=12)
JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**18), 10**18)
    | st.floats(-1e9, 1e9).map(lambda x: round(x, 3))
    | TEXTS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=4),
    max_leaves=12,
)


def quoted(value: Any) -> str:
    """YAML in which every text is quoted, as one must for what 1.2 and 1.1 read differently."""

    class Dumper(yaml.SafeDumper):
        pass

    def text(dumper: yaml.SafeDumper, found: str) -> yaml.ScalarNode:
        return dumper.represent_scalar("tag:yaml.org,2002:str", found, style='"')

    Dumper.add_representer(str, text)
    return yaml.dump(value, Dumper=Dumper, allow_unicode=True)


@settings(max_examples=150, deadline=None)
@given(st.dictionaries(TEXTS, JSON, max_size=5))
def test_what_pyyaml_writes_is_read_back(value: dict[str, Any]) -> None:
    assert parse(quoted(value), "f.yaml").data == value


@settings(max_examples=100, deadline=None)
@given(st.dictionaries(TEXTS, JSON, min_size=1, max_size=5))
def test_every_mark_points_at_its_key(value: dict[str, Any]) -> None:
    document = parse(quoted(value), "f.yaml")

    for key in value:
        mark = document.mark((key,), key=True)
        shown = mark.text[mark.column - 1 :]

        assert shown.startswith(('"', "? ")) or not shown


NAMES = st.text("abcdefgh_", min_size=1, max_size=8)


@settings(max_examples=100, deadline=None)
@given(st.dictionaries(NAMES, st.dictionaries(NAMES, NAMES | st.integers(), min_size=1), min_size=1))
def test_plain_keys_and_values_are_under_their_marks(value: dict[str, dict[str, Any]]) -> None:
    document = parse(yaml.safe_dump(value), "f.yaml")

    for outer, inner in value.items():
        for key, leaf in inner.items():
            name, mark = document.mark((outer, key), key=True), document.mark((outer, key))

            assert name.text[name.column - 1 : name.column - 1 + name.length].strip("'") == key
            assert mark.text[mark.column - 1 : mark.column - 1 + mark.length].strip("'") == str(leaf)


@settings(max_examples=300, deadline=None)
@given(st.text(st.characters() | st.sampled_from("{}[]:,-?&*!|>'\"%@`#\n\t \r\u2028\ufeff\0"), max_size=60))
def test_no_text_raises_anything_but_problems(text: str) -> None:
    with contextlib.suppress(PipelineProblems):
        assert parse(text, "f.yaml").mark().line >= 1


@settings(max_examples=150, deadline=None)
@given(st.text(st.sampled_from("ab {}\"'\\\n: -|>&*#é😀\r"), max_size=40), st.data())
def test_a_place_in_any_text_has_a_mark(text: str, data: st.DataObject) -> None:
    try:
        document = parse("k: " + text, "f.yaml")
    except PipelineProblems:
        return
    value = document.data["k"]
    if not isinstance(value, str) or not value:
        return
    offset = data.draw(st.integers(0, len(value) - 1))

    mark = document.mark_inside(("k",), offset, 1)

    shown = mark.text[mark.column - 1 : mark.column]
    assert value[offset].isspace() or shown in (value[offset], "\\")


def told(text: str) -> list[tuple[str, int, int]]:
    """What is wrong with a text that is still read."""
    document, found = read(text, "f.yaml")
    assert document is not None
    return [(p.code, p.mark.line, p.mark.column) for p in found]


def test_what_is_surely_meant_is_read_and_all_slips_are_told_at_once() -> None:
    text = "a {{ x }}\nb: {{ y }} and {{ z }}\nc:\n  d:e\n  f: {{ y }}\n"

    document, found = read(text, "f.yaml")

    assert document is not None
    assert document.data == {"a": "{{ x }}", "b": "{{ y }} and {{ z }}", "c": {"d": "e", "f": "{{ y }}"}}
    assert [p.mark.line for p in found] == [1, 1, 2, 4, 5]


def test_marks_are_of_the_file_as_it_is_and_not_as_it_was_meant() -> None:
    document, _ = read("a: {{ x }} # why\nb: [c]\nd:\u00a0e\n", "f.yaml")

    assert document is not None
    assert (document.mark(("a",)).line, document.mark(("a",)).column, document.mark(("a",)).length) == (1, 4, 7)
    assert document.mark(("a",)).text == "a: {{ x }} # why"
    assert document.mark_inside(("a",), 3, 1).column == 7
    assert document.mark(("b", 0)).line == 2
    assert document.mark(("d",)).text == "d:\u00a0e"


@pytest.mark.parametrize(
    ("text", "data"),
    [
        pytest.param("a:\n- b\n - c\n - d\n", {"a": ["b", "c", "d"]}, id="the first item too far left"),
        pytest.param("a:\n  - b\n  - c\n    - d\n", {"a": ["b", "c", "d"]}, id="the last item too far in"),
        pytest.param("- a\n - b\n", ["a", "b"], id="a list that is the file"),
        pytest.param("- - a\n   - b\n", [["a", "b"]], id="a list in a list"),
    ],
)
def test_an_item_that_begins_too_far_in_is_no_text_of_the_one_above(text: str, data: Any) -> None:
    document, found = read(text, "f.yaml")

    assert document is not None
    assert document.data == data
    assert [p.code for p in found] == ["indentation"]


LONG = "a line that some program has broken where it is too long for one line"


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("a: b\n  - c\n", id="a dash in a text that is no item"),
        pytest.param(f"- {LONG}\n  - like this\n", id="a dash where a program breaks lines"),
        pytest.param("- b\n  -c\n", id="a dash with a letter behind it"),
        pytest.param("- |\n  b\n   - c\n", id="a dash in a block"),
        pytest.param("- 'b\n   - c'\n", id="a dash in quotes"),
        pytest.param("- b\n  c\n", id="a text of two lines"),
        pytest.param("a: Prix\u00a0:\u00a03\u00a0€\n", id="no-break spaces in a text"),
        pytest.param("a: \u00a0b\n", id="a no-break space that begins a text"),
        pytest.param("a: |\n  \u00a0\u00a0b:\u00a0c\n", id="no-break spaces in a block"),
        pytest.param("Prix\u00a0net: 3\n", id="a no-break space in a name"),
        pytest.param("\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645: 3\n", id="a joiner in a Persian name"),
        pytest.param("a: \uff1ab\n", id="a full-width colon in a text"),
        pytest.param("a: &b c d\n", id="an anchor that nothing uses"),
        pytest.param("{a: b, c}\n", id="a name without a value"),
        pytest.param("a: {b: 'c: d'}\n", id="a colon in quotes in braces"),
    ],
)
def test_what_is_right_stays_right(text: str) -> None:
    assert told(text) == []


@pytest.mark.parametrize(
    ("text", "place"),
    [
        pytest.param("a:\n  b: c\n\u00a0 d: e\n", (3, 1), id="before a key"),
        pytest.param("a:\n  b:\u00a0c\n  d: e\n", (2, 5), id="behind the colon of a first key"),
        pytest.param("a:\n  b: c\n\u3000\n  d: e\n", (3, 1), id="alone on a line"),
        pytest.param("{a:\u00a0b, c: d}\n", (1, 4), id="in braces"),
        pytest.param("a\u200b: b\n", (1, 2), id="before a colon"),
        pytest.param("a:\n  b\uff1ac\n  d: e\n", (2, 4), id="for a colon"),
    ],
)
def test_a_character_that_looks_like_a_blank_is_told_where_it_stands(text: str, place: tuple[int, int]) -> None:
    document, found = read(text, "f.yaml")

    assert document is not None
    assert [(p.mark.line, p.mark.column) for p in found] == [place]
    assert "U+" in found[0].message


def test_what_is_not_sure_is_told_and_not_read() -> None:
    document, found = read("a: {b: c\nd: e\n", "f.yaml")

    assert document is None
    assert len(found) == 1
