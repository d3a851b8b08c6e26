"""Laws of the finder: JSON is found as it is, what is mended keeps its words, and no text makes it fail oddly."""

from __future__ import annotations

import contextlib
import json
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runner.errors import BadOutput, Truncated
from runner.kinds.finding import find

LETTERS = st.characters(exclude_categories=["Cs", "Cc"])
SCALARS = st.none() | st.booleans() | st.integers(-(10**9), 10**9) | st.floats(allow_nan=False, allow_infinity=False)
VALUES = st.recursive(
    SCALARS | st.text(LETTERS, max_size=8).filter(lambda text: "think>" not in text and "```" not in text),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text("abcdé ", min_size=1, max_size=4), inner, max_size=4)
    ),
    max_leaves=12,
)
WHOLES = VALUES.filter(lambda value: isinstance(value, dict | list))
PROSE = st.text("Sure, here it is:\n.!", max_size=30)


@given(VALUES, st.sampled_from([None, 2]))
def test_json_is_what_it_says(value: object, indent: int | None) -> None:
    found = find(json.dumps(value, ensure_ascii=False, indent=indent))

    assert found.value == value
    assert found.repairs == ()


@given(WHOLES, PROSE, PROSE)
def test_an_object_or_a_list_is_found_in_prose(value: object, before: str, after: str) -> None:
    found = find(f"{before} {json.dumps(value)} {after}")

    assert found.value == value


@given(VALUES, PROSE, PROSE)
def test_any_value_is_found_in_a_fence(value: object, before: str, after: str) -> None:
    found = find(f"{before}\n```json\n{json.dumps(value)}\n```\n{after}")

    assert found.value == value


@given(st.dictionaries(st.sampled_from("abc"), st.lists(SCALARS | st.text("tea é")), min_size=1))
def test_a_comma_too_many_is_left_out(value: object) -> None:
    text = json.dumps(value)

    found = find(f"{text[:-1]},{text[-1]}")

    assert found.value == value
    assert found.repairs == ("left out ,",)


@given(WHOLES.filter(bool))
def test_mending_gives_what_was_meant_or_nothing(value: object) -> None:
    text = json.dumps(value)

    with contextlib.suppress(BadOutput):
        assert find(f"{text[:-1]},{text[-1]}").value == value


@given(WHOLES.filter(bool))
def test_what_was_cut_off_is_never_closed_unless_its_writer_had_finished(value: object) -> None:
    text = json.dumps(value)

    with pytest.raises(Truncated):
        find(text[:-1])
    with contextlib.suppress(Truncated):  # where it is to be closed cannot always be said
        assert find(text[:-1], ended=True).value == value


@settings(max_examples=400)
@given(st.text("{}[]:,\"'/*#\\ntrue1.e-x N\n`<think>…é", max_size=60), st.booleans(), st.booleans())
def test_any_text_is_json_or_a_bad_output(text: str, strict: bool, ended: bool) -> None:
    kept = None
    try:
        json.dumps(find(text, strict=strict, ended=ended).value, allow_nan=False)
    except BadOutput as err:
        kept = err.keep

    assert kept in (None, text)


@settings(max_examples=300)
@given(st.text("{}[]:,\"' ab1", min_size=2, max_size=40).map(lambda text: "{" + text + "}"))
def test_mending_keeps_every_letter_and_adds_none(text: str) -> None:
    try:
        found = find(text, ended=True)
    except BadOutput:
        return

    if "left out the text around it" not in found.repairs:
        kept = [sign for sign in json.dumps(found.value) if sign.isalnum() or sign in "{["]
        assert kept == [sign for sign in text if sign.isalnum() or sign in "{["]


@pytest.mark.parametrize(
    ("text", "value", "repair"),
    [
        ('{"a": {"b": [1]}', {"a": {"b": [1]}}, "closed it with }"),
        ('[{"a": 1}, {"b": null}', [{"a": 1}, {"b": None}], "closed it with ]"),
        ('{"a": "b", "c": "d', {"a": "b", "c": "d"}, 'put "d"} for "d'),
    ],
    ids=["a brace", "a bracket", "a quote"],
)
def test_what_a_writer_who_had_finished_forgot_to_close_is_closed(text: str, value: object, repair: str) -> None:
    found = find(text, ended=True)

    assert found.value == value
    assert found.repairs == (repair,)


@pytest.mark.parametrize(
    "text",
    ["[" * 100_000, '{"a": "' + 'x"' * 50_000, "{'a': " * 20_000, '[{"a": "b" c},' * 5_000, "{a:" * 5_000 + "}" * 5_000,
     "[" + "'a' " * 20_000 + "]", '{"a": "' + "\\" * 50_000, "{x} " * 50_000, "```\n[1,\n```\n" * 5_000],
    ids=range(9),
)  # fmt: skip
def test_no_text_takes_long(text: str) -> None:
    started = time.perf_counter()

    for ended in (True, False):
        with contextlib.suppress(BadOutput):
            find(text, ended=ended)

    assert time.perf_counter() - started < 5
