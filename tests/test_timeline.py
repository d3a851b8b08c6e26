"""When each cell waited, was queued, ran and downloaded, from a run's events."""

from __future__ import annotations

from dataclasses import replace

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


def test_what_runpod_says_of_a_job_that_nobody_saw_move_is_told() -> None:
    end = JobMoved(107.0, "a", "j", "COMPLETED", queued=3.0, ran=2.5)

    found = timeline([START, *JOB[:4], end, *JOB[6:]])

    assert spans(found)[1:] == [("queued", 101.0, 104.2), ("runs", 104.2, 106.7), ("downloads", 106.7, 109.0)]


def test_a_replay_is_faster_than_the_times_that_were_recorded() -> None:
    end = JobMoved(107.0, "a", "j", "COMPLETED", queued=20.0, ran=40.0)

    found = timeline([START, *JOB[:4], end, *JOB[6:]])

    assert spans(found)[1:] == [("queued", 101.0, 103.0), ("runs", 103.0, 107.0), ("downloads", 107.0, 109.0)]


def test_a_job_that_failed_was_queued_and_ran_too() -> None:
    end = JobMoved(104.2, "a", "j", "FAILED", queued=1.0, ran=2.0)
    failed = AttemptFailed(104.2, "a", 1, "job_failed", "no", 1.0, "k")

    found = timeline(
        [START, *JOB[:4], end, failed, CallStarted(106.0, "a", "k", "m", 2), CellFailed(107.0, "a", "x", "")]
    )

    assert spans(found)[1:] == [
        ("queued", 101.0, 102.2),
        ("runs", 102.2, 104.2),
        ("pauses", 104.2, 105.2),
        ("waits", 105.2, 106.0),
        ("runs", 106.0, 107.0),
    ]


def test_a_job_that_is_collected_later_is_told_in_both_parts_of_the_run() -> None:
    end = JobMoved(504.0, "a", "j", "COMPLETED", queued=1.0, ran=400.8)

    found = timeline([START, *JOB[:5], AGAIN, CellStarted(500.0, "a"), end, CallPaid(504.0, "a", "k", 0.1)])

    assert spans(found)[1:] == [("queued", 101.0, 101.2), ("runs", 500.0, 503.0), ("downloads", 503.0, 504.0)]


def test_candidates_that_overlap_have_a_row_each_and_their_cell_shows_what_goes_on() -> None:
    chats: list[Event] = [
        CellStarted(100.0, "a"),
        CallStarted(101.0, "a", "one", "m", 1, 1),
        CallStarted(102.0, "a", "two", "m", 1, 2),
        CallPaid(103.0, "a", "one", 0.1),
        CallDone(103.0, "a", "one", cached=False, candidate=1),
        AttemptFailed(104.0, "a", 1, "busy", "429", 1.0, "two"),
        CallStarted(105.0, "a", "two", "m", 2, 2),
        CallPaid(108.0, "a", "two", 0.1),
        CallDone(108.0, "a", "two", cached=False, candidate=2),
        CellAsked(108.0, "a", "q", "pick", "Which of these 2?", {}, 2),
    ]

    found = timeline([START, *chats, RunFinished(109.0, "waiting")])

    calls = {n: [(span.phase, span.start, span.end) for span in call] for n, call in found.tracks["a"].calls.items()}
    assert calls == {
        1: [("waits", 100.0, 101.0), ("runs", 101.0, 103.0)],
        2: [("waits", 100.0, 102.0), ("runs", 102.0, 104.0), ("pauses", 104.0, 105.0), ("runs", 105.0, 108.0)],
    }
    assert spans(found) == [
        ("waits", 100.0, 101.0),
        ("runs", 101.0, 104.0),
        ("pauses", 104.0, 105.0),
        ("runs", 105.0, 108.0),
        ("asks", 108.0, 109.0),
    ]
    assert found.seconds(["a"]) == 9.0


def test_an_answer_after_the_end_of_a_run_is_no_part_of_it() -> None:
    asked: list[Event] = [
        CellStarted(100.0, "a"),
        CellAsked(101.0, "a", "q", "approve", "Fit?"),
        RunFinished(102.0, "waiting"),
    ]

    found = timeline([START, *asked, CellAnswered(300.0, "a", "q", True, 0, "approve"), AGAIN])  # noqa: FBT003

    assert found.sessions == [(100.0, 102.0), (500.0, 500.0)]
    assert spans(found) == [("waits", 100.0, 101.0), ("asks", 101.0, 102.0)]


def test_the_axis_of_a_run_that_was_taken_up_again_counts_on() -> None:
    found = Timeline({}, [(100.0, 102.5), (500.0, 500.01), (600.0, 602.0)])

    assert [at for at, _ in found.ticks()] == [0, 1, 2, 3, 4]
    places = [place for _, place in found.ticks()]
    assert places == sorted(places)
    assert places[3] == pytest.approx(found.place(600.49))


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

    found = timeline(
        [START, *killed, AGAIN, CellStarted(500.0, "a"), CallPaid(504.0, "a", "k", 0.1), replace(JOB[-1], at=504.0)]
    )

    assert found.sessions[0] == (100.0, 103.0)
    assert spans(found) == [("waits", 100.0, 101.0), ("queued", 101.0, 103.0), ("runs", 500.0, 504.0)]
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
