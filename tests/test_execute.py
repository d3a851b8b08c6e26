"""Running a plan against the emulator, over real HTTP, on asyncio and trio."""

from __future__ import annotations

import anyio
import pytest

from runner.emulator import Emulator, Latency
from runner.events import AttemptFailed, CallDone, CallPaid, CellStarted, Event, JobEnded, JobSubmitted

from .conftest import Bench

pytestmark = pytest.mark.anyio

ONE_PICTURE = """
    name: one
    steps:
      photo: {kind: generate_image, model: black-forest-labs/flux-1-schnell, prompt: a teapot, size: 256x256}
"""
SOON = ONE_PICTURE.replace("256x256", "256x256, retry: {wait: 0.01}")
ONE_TEXT = """
    name: one
    steps:
      draft: {kind: generate_text, model: qwen/qwen3-32b-awq, prompt: a teapot}
"""
CARD = """
    name: card
    steps:
      draft:
        kind: generate_text
        model: qwen/qwen3-32b-awq
        prompt: 'Describe a red teapot as {"title": string, "picture": string}'
      facts:
        kind: parse_json
        text: "{{ steps.draft.text }}"
        schema: {type: object, required: [title], properties: {title: {type: string}, picture: {type: string}}}
      photo:
        kind: generate_image
        model: black-forest-labs/flux-1-schnell
        prompt: "{{ steps.facts.data.picture }}"
        size: 320x256
      variant:
        kind: edit_image
        model: qwen/qwen-image-edit
        image: "{{ steps.photo.image }}"
        prompt: Put it on a winter table.
    outputs:
      title: "{{ steps.facts.data.title }}"
      width: "{{ steps.variant.image.width }}"
"""


async def test_a_chain_of_text_json_picture_and_edit_ends_with_the_edit(bench: Bench) -> None:
    ran = await bench.run(CARD)

    assert ran.ends() == dict.fromkeys(("draft", "facts", "photo", "variant"), "done")
    assert ran.output("title") == "Red Teapot"
    assert ran.output("width") == 320


async def test_steps_that_do_not_need_each_other_are_in_flight_together(bench: Bench, emulator: Emulator) -> None:
    emulator.latency = Latency(execution=0.2)

    await bench.run(
        """
        name: two
        steps:
          a: {kind: generate_text, model: qwen/qwen3-32b-awq, prompt: one}
          b: {kind: generate_text, model: qwen/qwen3-32b-awq, prompt: two}
        """
    )

    assert emulator.peak == 2


async def test_no_more_calls_are_in_flight_than_allowed(bench: Bench, emulator: Emulator) -> None:
    emulator.latency = Latency(execution=0.02)
    steps = "\n".join(
        f"          s{n}: {{kind: generate_text, model: qwen/qwen3-32b-awq, prompt: p{n}}}" for n in range(12)
    )

    await bench.run(f"        name: many\n        steps:\n{steps}\n", calls=3)

    assert emulator.peak == 3


async def test_a_failure_blocks_what_needs_it_and_nothing_else(bench: Bench, emulator: Emulator) -> None:
    emulator.fail("black-forest-labs-flux-1-schnell/run=400*always")

    ran = await bench.run(
        """
        name: partly
        steps:
          bad: {kind: generate_image, model: black-forest-labs/flux-1-schnell, prompt: x}
          edit: {kind: edit_image, model: qwen/qwen-image-edit, image: "{{ steps.bad.image }}", prompt: y}
          again: {kind: edit_image, model: qwen/qwen-image-edit, image: "{{ steps.edit.image }}", prompt: z}
          anyway: {kind: generate_text, model: qwen/qwen3-32b-awq, prompt: hi, after: [again]}
          good: {kind: generate_text, model: qwen/qwen3-32b-awq, prompt: hello}
        """
    )

    assert ran.ends() == {"bad": "failed", "edit": "blocked", "again": "blocked", "anyway": "done", "good": "done"}


async def test_needs_adds_an_edge_that_no_template_makes(bench: Bench) -> None:
    started: list[str] = []

    def watch(event: Event) -> None:
        if isinstance(event, CellStarted):
            started.append(event.cell)

    await bench.run(
        """
        name: order
        steps:
          second: {kind: generate_text, model: qwen/qwen3-32b-awq, prompt: b, needs: [first]}
          first: {kind: generate_text, model: qwen/qwen3-32b-awq, prompt: a}
        """,
        watch=watch,
    )

    assert started == ["first", "second"]


async def test_a_second_run_pays_nothing_and_yields_the_same(bench: Bench, emulator: Emulator) -> None:
    first = await bench.run(CARD)
    paid, asked = emulator.paid, len(emulator.requests)

    second = await bench.run(CARD)

    assert emulator.paid == paid
    assert len(emulator.requests) == asked
    assert second.state.cost == 0
    assert second.ends() == {"draft": "cached", "facts": "done", "photo": "cached", "variant": "cached"}
    assert second.output("title") == first.output("title")


async def test_only_what_changed_and_what_follows_from_it_is_paid_again(bench: Bench, emulator: Emulator) -> None:
    await bench.run(CARD)
    paid = emulator.paid

    ran = await bench.run(CARD.replace("winter", "summer"))

    assert emulator.paid == paid + 1
    assert [cell for cell, end in ran.ends().items() if end == "done"] == ["facts", "variant"]


async def test_a_step_that_wants_no_cache_asks_again(bench: Bench, emulator: Emulator) -> None:
    text = ONE_TEXT.replace("prompt: a teapot", "prompt: a teapot, cache: false")
    await bench.run(text)

    await bench.run(text)

    assert emulator.count("chat") == 2


async def test_another_timeout_is_not_another_call(bench: Bench, emulator: Emulator) -> None:
    await bench.run(ONE_PICTURE)

    await bench.run(ONE_PICTURE.replace("256x256", "256x256, timeout: 5m, retry: {attempts: 3}"))

    assert emulator.count("run") == 1


@pytest.mark.parametrize("fault", ["run=429:0*2", "run=500*2", "run=503", "run=html"])
async def test_a_submit_that_was_refused_is_sent_again(bench: Bench, emulator: Emulator, fault: str) -> None:
    emulator.fail(fault)

    ran = await bench.run(ONE_PICTURE.replace("256x256", "256x256, retry: {wait: 0.01}"))

    assert ran.ends() == {"photo": "done"}
    assert len(emulator.jobs) == 1


async def test_the_wait_that_a_server_asks_for_wins(bench: Bench, emulator: Emulator) -> None:
    emulator.fail("run=429:1")

    ran = await bench.run(ONE_PICTURE.replace("256x256", "256x256, retry: {wait: 0.01}"))

    assert [event.wait for event in ran.said(AttemptFailed)] == [1.0]


@pytest.mark.parametrize("code", [400, 401, 402, 404, 413])
async def test_a_submit_that_was_rejected_is_not_sent_again(bench: Bench, emulator: Emulator, code: int) -> None:
    emulator.fail(f"run={code}*always")

    ran = await bench.run(ONE_PICTURE)

    assert ran.ends() == {"photo": "failed"}
    assert emulator.count("run") == 1
    assert str(code) in ran.state.cells["photo"].message


@pytest.mark.parametrize("fault", ["run=reset", "run=notjson", "run=empty", "run=cut", "run=504", "run=408"])
async def test_a_job_that_may_have_been_taken_is_not_sent_again(bench: Bench, emulator: Emulator, fault: str) -> None:
    emulator.fail(fault)

    ran = await bench.run(ONE_PICTURE)

    assert ran.state.cells["photo"].fault == "unknown"
    assert "may have been accepted" in ran.state.cells["photo"].message
    assert emulator.count("run") == 1


async def test_a_job_that_may_have_been_taken_is_sent_again_where_the_step_says_so(
    bench: Bench, emulator: Emulator
) -> None:
    emulator.fail("run=reset")

    ran = await bench.run(ONE_PICTURE.replace("256x256", "256x256, retry: {on: [unknown], wait: 0.01}"))

    assert ran.ends() == {"photo": "done"}
    assert len(emulator.jobs) == 2


async def test_to_send_what_may_have_been_taken_again_turns_nothing_else_off(bench: Bench, emulator: Emulator) -> None:
    emulator.fail("run=503")

    ran = await bench.run(ONE_PICTURE.replace("256x256", "256x256, retry: {on: [unknown], wait: 0.01}"))

    assert ran.ends() == {"photo": "done"}


async def test_only_the_last_word_on_an_unknown_fate_says_that_it_is_not_sent_again(
    bench: Bench, emulator: Emulator
) -> None:
    emulator.fail("run=reset*always")

    ran = await bench.run(ONE_PICTURE.replace("256x256", "256x256, retry: {on: [unknown], wait: 0.01}"))

    assert ["not sent again" in each.message for each in ran.said(AttemptFailed)] == [False]
    assert "not sent again" in ran.state.cells["photo"].message


async def test_a_chat_that_is_not_answered_in_time_is_asked_once_more(bench: Bench, emulator: Emulator) -> None:
    emulator.fail("chat=hang")

    ran = await bench.run(ONE_TEXT.replace("teapot}", "teapot, timeout: 0.5, retry: {wait: 0}}"))

    assert ran.ends() == {"draft": "done"}
    assert emulator.count("chat") == 2


async def test_a_chat_that_got_no_answer_is_asked_again(bench: Bench, emulator: Emulator) -> None:
    emulator.fail("chat=reset")

    ran = await bench.run(ONE_TEXT)

    assert ran.ends() == {"draft": "done"}
    assert emulator.count("chat") == 2


@pytest.mark.parametrize(
    "fault",
    [
        "status-sync=reset*2",
        "status-sync=500*2",
        "status-sync=429:0",
        "status-sync=cut",
        "status-sync=400*always",
        "status-sync=notjson*3",
        "status-sync=empty*2",
        "status-sync=500*20",
    ],
)
async def test_with_a_job_known_only_the_waiting_is_repeated(bench: Bench, emulator: Emulator, fault: str) -> None:
    emulator.latency = Latency(execution=0.05)
    emulator.fail(fault)

    ran = await bench.run(ONE_PICTURE.replace("256x256", "256x256, retry: {wait: 0.01, factor: 1}"))

    assert ran.ends() == {"photo": "done"}
    assert emulator.count("run") == 1


async def test_without_long_polling_the_job_is_looked_at_until_it_ends(tmp_path: object, bench: Bench) -> None:
    with Emulator(long_polling=False, latency=Latency(queue=0.1, execution=0.2)) as emulator:
        bench.url = emulator.url
        ran = await bench.run(ONE_PICTURE)

    assert ran.ends() == {"photo": "done"}
    assert emulator.count("status-sync") == 1
    assert emulator.count("run") == 1


async def test_a_job_that_fails_is_tried_once_more(bench: Bench, emulator: Emulator) -> None:
    emulator.fail("job=FAILED")

    ran = await bench.run(ONE_PICTURE.replace("256x256", "256x256, retry: {wait: 0.01}"))

    assert ran.ends() == {"photo": "done"}
    assert [event.status for event in ran.said(JobEnded)] == ["FAILED"]


@pytest.mark.parametrize(
    ("end", "fault", "submits"),
    [
        ("FAILED", "job_failed", 2),
        ("TIMED_OUT", "job_failed", 2),
        ("CANCELLED", "cancelled", 1),
        ("EXPIRED", "expired", 1),
    ],
)
async def test_a_job_that_ends_badly_fails_its_step(
    bench: Bench, emulator: Emulator, end: str, fault: str, submits: int
) -> None:
    emulator.fail(f"job={end}*always")

    ran = await bench.run(ONE_PICTURE.replace("256x256", "256x256, retry: {wait: 0.01}"))

    assert ran.state.cells["photo"].fault == fault
    assert emulator.count("run") == submits
    assert {event.status for event in ran.said(JobEnded)} == {end}
    assert not ran.state.cells["photo"].tickets


@pytest.mark.parametrize("form", ["error:json", "error:repr", "error:upstream"])
async def test_the_workers_own_words_are_shown(bench: Bench, emulator: Emulator, form: str) -> None:
    emulator.fail(f"job={form}*always")

    ran = await bench.run(ONE_PICTURE.replace("256x256", "256x256, retry: {wait: 0}"))

    message = ran.state.cells["photo"].message
    assert "failed on black-forest-labs-flux-1-schnell" in message
    assert "Traceback" not in message
    assert "gives no reason" not in message


@pytest.mark.parametrize("shape", ["result", "images", "comfy", "base64", "datauri", "list", "string"])
async def test_a_picture_is_found_in_every_shape_of_output(bench: Bench, emulator: Emulator, shape: str) -> None:
    emulator.fail(f"job={shape}")

    ran = await bench.run(ONE_PICTURE)

    assert ran.state.cells["photo"].output is not None, ran.state.cells["photo"].message
    assert ran.state.cells["photo"].output.values["image"].width == 256


async def test_an_output_without_a_picture_is_shown_and_not_paid_twice(bench: Bench, emulator: Emulator) -> None:
    emulator.fail("job=NOOUTPUT*always")

    ran = await bench.run(ONE_PICTURE)

    assert "holds no image" in ran.state.cells["photo"].message
    assert emulator.count("run") == 1


@pytest.mark.parametrize("fault", ["media=404*2", "media=cut*2", "media=reset", "media=500"])
async def test_a_file_that_does_not_arrive_is_fetched_again_and_not_made_again(
    bench: Bench, emulator: Emulator, fault: str
) -> None:
    emulator.fail(fault)

    ran = await bench.run(ONE_PICTURE.replace("256x256", "256x256, retry: {wait: 0.01}"))

    assert ran.ends() == {"photo": "done"}
    assert emulator.count("run") == 1


async def test_a_paid_picture_that_never_arrives_leaves_its_address(bench: Bench, emulator: Emulator) -> None:
    emulator.fail("media=404*always")

    ran = await bench.run(ONE_PICTURE.replace("256x256", "256x256, retry: {wait: 0}"))

    assert ran.state.cells["photo"].fault == "download"
    assert "/media/" in ran.kept["photo"]
    assert ran.state.cost > 0
    emulator.heal()
    again = await bench.run(SOON)
    assert again.ends() == {"photo": "done"}
    assert again.state.cost == 0
    assert emulator.count("run") == 1


async def test_a_picture_that_is_none_is_refused_and_never_stored(bench: Bench, emulator: Emulator) -> None:
    emulator.fail("media=notpicture*always")

    ran = await bench.run(SOON)
    emulator.heal()
    again = await bench.run(SOON)

    assert "text/html where image was expected" in ran.state.cells["photo"].message
    assert again.ends() == {"photo": "done"}
    assert again.state.cost == 0  # it is fetched: a page that somebody put in between is no reason to pay again
    assert emulator.count("run") == 1


async def test_the_key_goes_to_no_media_host(bench: Bench, emulator: Emulator) -> None:
    await bench.run(CARD)

    assert emulator.count("media") == 2
    assert emulator.leaks == ()


async def test_a_connection_that_nobody_answers_is_tried_again_and_told(bench: Bench) -> None:
    bench.url = "http://127.0.0.1:9/v2"

    ran = await bench.run(ONE_PICTURE.replace("256x256", "256x256, retry: {attempts: 2, wait: 0}"))

    assert ran.state.cells["photo"].fault == "network"
    assert "nothing was sent" in ran.state.cells["photo"].message
    assert len(ran.said(AttemptFailed)) == 1


async def test_json_that_does_not_match_shows_the_path_and_keeps_the_text(bench: Bench) -> None:
    ran = await bench.run(CARD.replace("title: {type: string}", "title: {type: integer}"))

    message = ran.state.cells["facts"].message
    assert "data.title: expected integer, found" in message
    assert "Red Teapot" in message
    assert "Red Teapot" in ran.kept["facts"]


async def test_json_that_does_not_parse_shows_where_and_keeps_the_text(bench: Bench, emulator: Emulator) -> None:
    emulator.fail("chat=badjson")

    ran = await bench.run(CARD)

    assert ran.ends()["facts"] == "failed"
    assert "JSON" in ran.state.cells["facts"].message
    assert ran.kept["facts"]


async def test_json_that_was_cut_says_so(bench: Bench, emulator: Emulator) -> None:
    emulator.fail("chat=length")

    ran = await bench.run(CARD)

    assert "raise max_tokens" in ran.state.cells["facts"].message


async def test_json_in_a_fence_and_after_thinking_is_found(bench: Bench, emulator: Emulator) -> None:
    emulator.fail("chat=fenced")
    fenced = await bench.run(CARD)
    emulator.fail("chat=think")

    thought = await bench.run(CARD.replace("red", "blue"))

    assert fenced.ends()["facts"] == thought.ends()["facts"] == "done"
    assert thought.state.cells["draft"].output is not None
    assert thought.state.cells["draft"].output.values["reasoning"]


async def test_a_step_that_takes_too_long_fails_and_its_job_is_cancelled(bench: Bench, emulator: Emulator) -> None:
    emulator.latency = Latency(execution=30)

    ran = await bench.run(ONE_PICTURE.replace("256x256", "256x256, timeout: 0.2"))

    assert "no result after 0.2 s" in ran.state.cells["photo"].message
    assert [job.status for job in emulator.jobs] == ["CANCELLED"]


async def test_a_cancelled_run_leaves_nothing_running(bench: Bench, emulator: Emulator) -> None:
    emulator.latency = Latency(execution=30)
    submitted = anyio.Event()

    def watch(event: Event) -> None:
        if isinstance(event, JobSubmitted):
            submitted.set()

    async with anyio.create_task_group() as tasks:

        async def run() -> None:
            await bench.run(ONE_PICTURE, watch=watch)

        tasks.start_soon(run)
        await submitted.wait()
        tasks.cancel_scope.cancel()

    assert [job.status for job in emulator.jobs] == ["CANCELLED"]
    assert type(bench.events[-1]).__name__ == "CellCancelled"


async def test_a_call_that_may_pass_the_budget_is_not_sent(bench: Bench, emulator: Emulator) -> None:
    ran = await bench.run("    budget: {usd: 0.0001}\n" + ONE_PICTURE)

    assert ran.ends() == {"photo": "cancelled"}
    assert ran.state.exceeded
    assert emulator.requests == ()


async def test_calls_wait_for_the_money_that_others_hold(bench: Bench, emulator: Emulator) -> None:
    emulator.latency = Latency(execution=0.02)
    steps = "\n".join(
        f"  s{n}: {{kind: generate_image, model: qwen/qwen-image, prompt: p{n}, size: 512x512}}" for n in range(4)
    )

    ran = await bench.run(f"name: b\nbudget: {{usd: 0.05}}\nsteps:\n{steps}\n")

    assert sorted(ran.ends().values()) == ["cancelled", "cancelled", "done", "done"]
    assert ran.state.cost <= 0.05
    assert emulator.peak == 2


async def test_what_a_call_cost_is_told_even_if_its_reply_is_no_use(bench: Bench, emulator: Emulator) -> None:
    emulator.fail("media=notpicture*always")

    ran = await bench.run(SOON)

    assert ran.state.cost > 0
    assert len(ran.said(CallPaid)) == 1
    assert not ran.said(CallDone)


async def test_a_template_that_fails_at_run_time_names_its_parameter(bench: Bench) -> None:
    ran = await bench.run(
        """
        name: late
        steps:
          draft: {kind: generate_text, model: qwen/qwen3-32b-awq, prompt: 'As {"words": [string]}'}
          facts: {kind: parse_json, text: "{{ steps.draft.text }}"}
          photo: {kind: generate_image, model: qwen/qwen-image, prompt: "{{ steps.facts.data.nothing.here }}"}
        """
    )

    assert ran.ends()["photo"] == "failed"
    assert ran.state.cells["photo"].message.startswith("prompt: ")


async def test_a_value_that_only_the_run_knows_is_checked_before_it_is_sent(bench: Bench, emulator: Emulator) -> None:
    ran = await bench.run(
        """
        name: late
        inputs: {ratio: {type: string, default: "16:9"}}
        steps:
          a: {kind: generate_text, model: qwen/qwen3-32b-awq, prompt: hi}
          photo:
            kind: generate_image
            model: black-forest-labs/flux-1-schnell
            prompt: x
            aspect_ratio: "{{ inputs.ratio if steps.a.text else '1:1' }}"
        """
    )

    assert "has no aspect ratio 16:9" in ran.state.cells["photo"].message
    assert emulator.count("run") == 0


async def test_a_chat_that_times_out_gives_its_money_back(bench: Bench, emulator: Emulator) -> None:
    emulator.latency = Latency(execution=0.4)

    ran = await bench.run(
        "    budget: {usd: 0.03}\n"
        + ONE_TEXT.replace("teapot}", "teapot, timeout: 0.1, retry: {on: [timeout], wait: 0}}")
    )

    assert ran.state.cells["draft"].fault == "timeout"


async def test_the_same_call_at_once_is_paid_once(bench: Bench, emulator: Emulator) -> None:
    emulator.latency = Latency(execution=0.1)

    ran = await bench.run(
        """
        name: twins
        steps:
          a: {kind: generate_image, model: qwen/qwen-image, prompt: x, seed: 3, size: 512x512}
          b: {kind: generate_image, model: qwen/qwen-image, prompt: x, seed: 3, size: 512x512}
        """
    )

    assert sorted(ran.ends().values()) == ["cached", "done"]
    assert emulator.count("run") == 1


async def test_a_slow_download_is_not_a_job_that_is_late(bench: Bench, emulator: Emulator) -> None:
    emulator.fail("media=slow:0.6")

    ran = await bench.run(ONE_PICTURE.replace("256x256", "256x256, timeout: 0.4"))

    assert ran.ends() == {"photo": "done"}


async def test_what_is_paid_for_is_fetched_even_while_the_run_is_stopped(bench: Bench, emulator: Emulator) -> None:
    emulator.fail("media=slow:0.3")
    stopped = anyio.CancelScope()

    def watch(event: Event) -> None:
        if isinstance(event, CallPaid):
            stopped.cancel()

    with stopped:
        await bench.run(ONE_PICTURE, watch=watch)
    again = await bench.run(ONE_PICTURE)

    assert again.ends() == {"photo": "cached"}
    assert emulator.count("run") == 1


async def test_an_exception_that_nobody_expected_fails_its_cell_and_no_other(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The one place where a test breaks our own code: a bug cannot be ordered from the emulator."""

    async def broken(*_: object) -> None:
        raise ZeroDivisionError("oops")

    monkeypatch.setattr("runner.runpod.provider.Runpod.collect", broken)

    ran = await bench.run(
        ONE_PICTURE.rstrip() + "\n      draft: {kind: generate_text, model: qwen/qwen3-32b-awq, prompt: x}\n"
    )

    assert ran.ends() == {"photo": "failed", "draft": "done"}
    assert ran.state.cells["photo"].fault == "bug"
    assert "ZeroDivisionError" in ran.kept["photo"]


async def test_words_of_a_server_stay_on_one_line(bench: Bench, emulator: Emulator) -> None:
    emulator.fail("job=error:repr*always")

    ran = await bench.run(ONE_PICTURE.replace("256x256", "256x256, retry: {wait: 0}"))

    assert ran.state.cells["photo"].message.isprintable()


async def test_a_stop_in_a_long_download_loses_nothing(
    bench: Bench, emulator: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("runner.calls.RESCUE_WITHIN", 0.1)
    emulator.fail("media=slow:3")
    stopped = anyio.CancelScope()

    def watch(event: Event) -> None:
        if isinstance(event, CallPaid):
            stopped.cancel()

    with stopped:
        await bench.run(ONE_PICTURE, watch=watch)
    again = await bench.run(ONE_PICTURE)

    assert again.ends() == {"photo": "done"}
    assert again.state.cost == 0
    assert emulator.count("run") == 1


async def test_the_same_call_of_unknown_fate_is_not_sent_by_its_twin(bench: Bench, emulator: Emulator) -> None:
    emulator.fail("run=cut")

    ran = await bench.run(
        """
        name: twins
        steps:
          a: {kind: generate_image, model: qwen/qwen-image, prompt: x, seed: 3, size: 512x512}
          b: {kind: generate_image, model: qwen/qwen-image, prompt: x, seed: 3, size: 512x512}
        """
    )

    assert ran.ends() == {"a": "failed", "b": "failed"}
    assert emulator.count("run") == 1


async def test_a_picture_that_did_not_come_is_fetched_even_without_a_cache(bench: Bench, emulator: Emulator) -> None:
    text = ONE_PICTURE.replace("256x256", "256x256, cache: false, retry: {on: []}")
    emulator.fail("media=404")
    await bench.run(text)

    again = await bench.run(text)

    assert again.ends() == {"photo": "done"}
    assert emulator.count("run") == 1
