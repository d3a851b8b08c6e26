"""Places for calls: who is let in, and that none stands empty while somebody could take it."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from runner.admission import Admission, Pass, Waiting


def entered(admission: Admission, inside: list[Pass], *wanted: Pass) -> None:
    for wants in wanted:
        admission.enter(Waiting(wants, lambda _, wants=wants: inside.append(wants)))  # type: ignore[misc]


def test_a_place_that_the_first_in_line_cannot_use_goes_to_the_next() -> None:
    admission, inside = Admission(9, {"model": 2, "step": 1}), []  # type: tuple[Admission, list[Pass]]
    deep, plain = Pass("deep", 1, ("model", "step")), Pass("plain", 0, ("model",))
    entered(admission, inside, deep, plain, deep, plain)

    admission.leave(plain)

    assert inside == [deep, plain, plain]


@given(
    st.lists(st.tuples(st.integers(0, 3), st.sets(st.sampled_from("abc"))), max_size=30),
    st.lists(st.integers(0, 29), max_size=60),
    st.integers(1, 4),
    st.fixed_dictionaries({name: st.integers(1, 3) for name in "abc"}),
)
def test_no_place_stands_empty_while_somebody_could_take_it(
    wanted: list[tuple[int, set[str]]], leaving: list[int], calls: int, limits: dict[str, int]
) -> None:
    admission, inside = Admission(calls, limits), []  # type: tuple[Admission, list[Pass]]
    passes = [Pass(str(number), depth, tuple(sorted(groups))) for number, (depth, groups) in enumerate(wanted)]
    entered(admission, inside, *passes)
    gone: list[Pass] = []

    for which in leaving:
        here = [each for each in inside if each not in gone]
        taken = {name: sum(name in each.groups for each in here) for name in limits}
        waiting = [each for each in passes if each not in inside]
        assert len(here) <= calls
        assert all(taken[name] <= most for name, most in limits.items())
        could = [each for each in waiting if all(taken[name] < limits[name] for name in each.groups)]
        assert len(here) == calls or not could
        if here:
            gone.append(here[which % len(here)])
            admission.leave(gone[-1])


def test_who_waits_no_more_takes_no_place() -> None:
    admission, inside = Admission(1), []  # type: tuple[Admission, list[str]]
    first, second, third = (Waiting(Pass(name, 0), lambda _, name=name: inside.append(name)) for name in "abc")  # type: ignore[misc]
    for each in (first, second, third):
        admission.enter(each)

    second.gone = True
    admission.leave(first.wants)

    assert inside == ["a", "c"]


def test_a_run_that_is_being_stopped_lets_nobody_in_and_tells_nobody() -> None:
    admission, inside = Admission(1), []  # type: tuple[Admission, list[Pass]]
    entered(admission, inside, Pass("a", 0), Pass("b", 0))

    admission.shut()
    admission.leave(Pass("a", 0))

    assert [each.step for each in inside] == ["a"]
