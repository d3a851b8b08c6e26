"""When each cell waited, was queued, ran and downloaded, from a run's events."""

from __future__ import annotations

import pytest

from runner.events import (
    AttemptFailed,
    CallDone,
    CallPaid,
    CallStarted,
    CellAnswered,
    CellAsked,
    CellDone,
    CellFailed,
    CellStarted,
    Event,
    JobMoved,
    JobSending,
    JobSubmitted,
    RunFinished,
    RunResumed,
    RunStarted,
)
from runner.reports.timeline import Timeline, lasted, timeline

START = RunStarted(100.0, "r", "p", None, "p.yaml", {}, {"a": []}, {"a": "generate_image"})
AGAIN = RunResumed(500.0, "r", "p", None, {"a": []}, {"a": "generate_image"})
JOB: list[Event] = [
    CellStarted(100.0, "a"),
    CallStarted(101.0, "a", "k", "m", 1),
    JobSending(101.0, "a", "k", "e"),
    JobSubmitted(101.2, "a", "k", "e", "j"),
    JobMoved(101.2, "a", "j", "IN_QUEUE"),
    JobMoved(103.0, "a", "j", "IN_PROGRESS"),
    CallPaid(107.0, "a", "k", 0.1),
    CallDone(109.0, "a", "k", cached=False),
    CellDone(109.0, "a", cached=False, output={}, model="m", cost=0.1),
]


def spans(found: Timeline, cell: str = "a") -> list[tuple[str, float, float]]:
    return [(span.phase, span.start, span.end) for span in found.tracks[cell].spans]


def test_a_job_waits_is_queued_runs_and_is_downloaded() -> None:
    found = timeline([START, *JOB, RunFinished(110.0, "done")])

    assert spans(found) == [
        ("waits", 100.0, 101.0),
        ("queued", 101.0, 103.0),
        ("runs", 103.0, 107.0),
        ("downloads", 107.0, 109.0),
    ]
    assert lasted(found.tracks["a"].took()) == "waited 1.0 s, was queued 2.0 s, ran 4.0 s, downloaded 2.0 s"
    assert found.tracks["a"].seconds == 9.0


def test_a_job_that_nobody_saw_run_ran() -> None:
    found = timeline([START, *(event for event in JOB if not isinstance(event, JobMoved))])

    assert [phase for phase, _, _ in spans(found)] == ["waits", "runs", "downloads"]


def test_a_chat_is_not_downloaded() -> None:
    chat = [event for event in JOB if not isinstance(event, JobMoved | JobSending | JobSubmitted)]

    found = timeline([START, *chat])

    assert spans(found) == [("waits", 100.0, 101.0), ("runs", 101.0, 107.0), ("waits", 107.0, 109.0)]


def test_between_two_tries_it_pauses() -> None:
    found = timeline([
        START,
        CellStarted(100.0, "a"),
        CallStarted(100.0, "a", "k", "m", 1),
        AttemptFailed(101.0, "a", 1, "busy", "429", 2.0),
        CallStarted(103.0, "a", "k", "m", 2),
        CellFailed(104.0, "a", "busy", "429"),
    ])  # fmt: skip

    assert spans(found)[-3:] == [("runs", 100.0, 101.0), ("pauses", 101.0, 103.0), ("runs", 103.0, 104.0)]


def test_while_somebody_chooses_it_waits_for_a_person() -> None:
    found = timeline([
        START,
        CellStarted(100.0, "a"),
        CellAsked(101.0, "a", "k", "pick", "Which of these 2?", {}, 2),
        CellAnswered(108.0, "a", "k", 1, 2, "terminal"),
        CellDone(108.5, "a", False, {}, None, 0.0),  # noqa: FBT003
    ])  # fmt: skip

    assert spans(found) == [("waits", 100.0, 101.0), ("asks", 101.0, 108.0), ("waits", 108.0, 108.5)]
    assert "waited for a person 7.0 s" in lasted(found.tracks["a"].took())


def test_a_step_that_asks_nobody_runs() -> None:
    found = timeline([START, CellStarted(100.0, "a"), CellDone(100.5, "a", False, {}, None, 0.0)])  # noqa: FBT003

    assert spans(found) == [("runs", 100.0, 100.5)]


def test_a_run_that_was_killed_and_taken_up_again_has_two_sessions_on_one_axis() -> None:
    killed = JOB[:6]  # the last thing known is that it was in progress at 103

    found = timeline([START, *killed, AGAIN, CellStarted(500.0, "a"), CallPaid(504.0, "a", "k", 0.1), JOB[-1]])

    assert found.sessions[0] == (100.0, 103.0)
    assert spans(found) == [("waits", 100.0, 101.0), ("queued", 101.0, 103.0), ("waits", 500.0, 504.0)]
    (left, right, gap) = next(found.breaks())
    assert gap == 397.0
    assert (right - left) == pytest.approx(0.05)
    assert found.place(100.0) == 0.0
    assert found.place(103.0) == pytest.approx(left)
    assert found.place(500.0) == pytest.approx(right)
    assert found.place(504.0) == 1.0


@pytest.mark.parametrize(
    ("seconds", "ticks"),
    [
        (0.4, [0, 0.1, 0.2, 0.3, 0.4]),
        (9.0, [0, 2, 4, 6, 8]),
        (500.0, [0, 120, 240, 360, 480]),
        (0.0, [0.0]),
    ],
)
def test_the_axis_has_round_numbers(seconds: float, ticks: list[float]) -> None:
    found = Timeline({}, [(100.0, 100.0 + seconds)])

    assert [at for at, _ in found.ticks()] == pytest.approx(ticks)
