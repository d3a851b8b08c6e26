"""Events and their fold."""

import json
from dataclasses import fields
from typing import Any, get_args, get_type_hints

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runner.events import (
    AttemptFailed,
    CallDone,
    CallPaid,
    CallStarted,
    CellAnswered,
    CellBlocked,
    CellCancelled,
    CellDone,
    CellFailed,
    CellSkipped,
    CellStarted,
    Event,
    JobEnded,
    JobMoved,
    JobSubmitted,
    OpenJob,
    RunFinished,
    RunResumed,
    RunStarted,
    RunState,
    decode,
    fold,
    line,
)
from runner.model import UNITS, Artifact

PHOTO = Artifact(sha256="ab" * 32, media_type="image/png", bytes=3, path="/a.png", width=4, height=3)
LEAVES = st.none() | st.booleans() | st.integers() | st.text(max_size=6) | st.just(PHOTO)
JSON = LEAVES | st.lists(LEAVES, max_size=3) | st.dictionaries(st.text("abc", max_size=3), LEAVES, max_size=3)
FIELDS: dict[str, st.SearchStrategy[Any]] = {
    "inputs": st.dictionaries(st.text("abc", max_size=3), JSON, max_size=3),
    "options": st.dictionaries(st.text("abc", max_size=3), JSON, max_size=3),
    "output": st.dictionaries(st.text("abc", max_size=3), JSON, max_size=3),
    "steps": st.dictionaries(st.text("abc", max_size=3), st.lists(st.text("abc", max_size=3)), max_size=3),
    "kinds": st.dictionaries(st.text("abc", max_size=3), st.text(max_size=4), max_size=3),
    "outputs": st.dictionaries(st.text("abc", max_size=3), st.text(max_size=4), max_size=3),
    "digests": st.dictionaries(st.text("abc", max_size=3), st.text(max_size=4), max_size=3),
    "values": st.dictionaries(st.text("abc", max_size=3), JSON, max_size=3),
    "most": st.dictionaries(st.sampled_from(UNITS), st.none() | st.floats(0, 9)),
    "outcome": st.sampled_from(["done", "failed", "cancelled", "waiting"]),
    "asks": st.sampled_from(["pick", "approve"]),
    "shown": st.dictionaries(st.text("abc", max_size=3), JSON, max_size=3),
    "answer": st.booleans() | st.integers(1, 16),
    "keys": st.lists(st.text("abc", max_size=3), max_size=3),
    "empty": st.lists(st.text("abc", max_size=3), max_size=3),
}
TYPES: dict[Any, st.SearchStrategy[Any]] = {
    float: st.floats(0, 2e9),
    int: st.integers(0, 99),
    str: st.text(max_size=8),
    bool: st.booleans(),
    str | None: st.none() | st.text(max_size=8),
    float | None: st.none() | st.floats(0, 9),
}


def built(cls: type[Any]) -> st.SearchStrategy[Event]:
    hints = get_type_hints(cls)
    return st.builds(cls, **{f.name: FIELDS[f.name] if f.name in FIELDS else TYPES[hints[f.name]] for f in fields(cls)})


EVENTS = st.one_of([built(cls) for cls in get_args(Event)])
STARTED = RunStarted(
    at=1.0, run="r1", pipeline="tea", version=None, file="tea.yaml", inputs={"leaf": "green"},
    steps={"draft": [], "photo": ["draft"], "warm": ["photo"]}, kinds={"draft": "generate_text"},
)  # fmt: skip


@pytest.mark.parametrize("cls", get_args(Event), ids=lambda cls: cls.__name__)
def test_an_event_of_each_sort_survives_its_encoding(cls: type[Any]) -> None:
    @settings(max_examples=15, deadline=None)
    @given(built(cls))
    def law(event: Event) -> None:
        assert decode(json.loads(line(event))) == event

    law()


@pytest.mark.parametrize(
    "value",
    [
        {},
        {"event": "CellStarted", "at": 1.0, "cell": "a"},
        {"event": "CellStarted", "format": 99, "at": 1.0, "cell": "a"},
        {"event": "Unheard", "format": 1},
        {"event": "CellStarted", "format": 1, "at": 1.0},
        {"event": ["CellStarted"], "format": 1},
    ],
)
def test_what_is_no_event_is_refused(value: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"event|without"):
        decode(value)


def test_a_field_of_a_later_version_is_left_out() -> None:
    value = {**json.loads(line(CellStarted(1.0, "a"))), "colour": "red"}

    assert decode(value) == CellStarted(1.0, "a")


@settings(max_examples=40, deadline=None)
@given(st.lists(EVENTS, max_size=12))
def test_any_events_add_up(events: list[Event]) -> None:
    state = RunState()
    for event in events:
        state.add(event)

    assert fold(events) == state
    assert fold(decode(json.loads(line(event))) for event in events) == state


def test_a_run_that_goes_well_adds_up() -> None:
    state = fold(
        [
            STARTED,
            CellStarted(2.0, "photo"),
            CallStarted(2.1, "photo", "k1", "flux", 1),
            JobSubmitted(2.2, "photo", "k1", "flux-endpoint", "job-1"),
            JobMoved(3.0, "photo", "job-1", "IN_PROGRESS"),
            CallPaid(4.0, "photo", "k1", 0.02),
            CallDone(4.0, "photo", "k1", cached=False),
            CellDone(4.1, "photo", cached=False, output={"image": PHOTO}, model="flux", cost=0.02),
            RunFinished(5.0, "done", {"card.png": "out/card.png"}),
        ]
    )

    photo = state.cells["photo"]
    assert (state.run, state.outcome, state.started, state.ended, state.cost) == ("r1", "done", 1.0, 5.0, 0.02)
    assert (photo.state, photo.started, photo.ended, photo.calls, photo.tickets) == ("done", 2.0, 4.1, 1, {})
    assert photo.output is not None
    assert photo.output.scope() == {"image": PHOTO, "model": "flux", "cost": 0.02}
    assert state.cells["warm"].state == "waiting"


def test_a_job_in_flight_leaves_a_ticket() -> None:
    state = fold([STARTED, CellStarted(2.0, "photo"), JobSubmitted(2.2, "photo", "k1", "flux", "job-1", {"usd": 0.02})])

    assert state.cells["photo"].tickets == {"k1": OpenJob("flux", "job-1", "photo", {"usd": 0.02})}
    assert state.cells["photo"].status == "IN_QUEUE"


@pytest.mark.parametrize(
    ("event", "state", "message"),
    [
        (CellFailed(3.0, "photo", "busy", "no room", "kept.txt"), "failed", "no room"),
        (CellBlocked(3.0, "photo", "draft"), "blocked", "needs draft"),
        (CellSkipped(3.0, "photo", "when is false"), "skipped", "when is false"),
        (CellCancelled(3.0, "photo"), "cancelled", ""),
        (CellDone(3.0, "photo", cached=True, output={}, model=None, cost=0.0), "cached", ""),
    ],
)
def test_a_cell_ends(event: Event, state: str, message: str) -> None:
    cell = fold([STARTED, CellStarted(2.0, "photo"), event]).cells["photo"]

    assert (cell.state, cell.message, cell.ended) == (state, message, 3.0)


def test_a_failed_try_says_what_comes_next() -> None:
    events: list[Event] = [
        STARTED,
        CallStarted(2.0, "photo", "k", "flux", 2),
        AttemptFailed(3.0, "photo", 2, "busy", "429", 1.25),
    ]

    cell = fold(events).cells["photo"]

    assert (cell.attempts, cell.status, cell.message) == (2, "waits 1.2 s to try again", "429")


def test_a_job_that_ended_badly_leaves_no_ticket_and_its_cost_counts() -> None:
    events: list[Event] = [
        STARTED,
        JobSubmitted(2.2, "photo", "k1", "flux", "job-1"),
        JobEnded(3.0, "photo", "k1", "job-1", "FAILED"),
        CallPaid(3.0, "photo", "k1", 0.01),
        CallPaid(4.0, "photo", "k1", None),
        CellFailed(4.0, "photo", "job_failed", "FAILED"),
    ]

    state = fold(events)

    assert state.cells["photo"].tickets == {}
    assert state.cost == 0.01


def test_the_time_between_being_stopped_and_taken_up_again_is_no_part_of_a_run() -> None:
    state = fold([
        RunStarted(100.0, "r", "p", None, "p.yaml", {}, {"a": []}, {"a": "wait"}),
        RunFinished(103.0, "cancelled", {}),
        RunResumed(5000.0, "r", "p", None, {"a": []}, {"a": "wait"}),
        RunFinished(5002.0, "done", {}),
    ])  # fmt: skip

    assert state.seconds == 5.0


def test_the_time_until_a_person_answers_is_no_part_of_a_run() -> None:
    state = fold([
        RunStarted(100.0, "r", "p", None, "p.yaml", {}, {"a": []}, {"a": "wait"}),
        RunFinished(103.0, "waiting", {}),
        CellAnswered(4000.0, "a", "k", 1, 2, "pick"),
        RunResumed(5000.0, "r", "p", None, {"a": []}, {"a": "wait"}),
        RunFinished(5002.0, "done", {}),
    ])  # fmt: skip

    assert state.seconds == 5.0
