"""Tools that another pipeline answers: its inputs are the arguments of the call, its outputs what the model reads."""

from __future__ import annotations

import json
import signal
from pathlib import Path
from typing import Any

import anyio
import pytest

from runner import app, loading
from runner.emulator import Emulator, parse_latency
from runner.errors import OutOfTurns
from runner.events import Event, JobSubmitted
from runner.kinds import generate_text
from runner.model import Artifact, Chat, Errand, Output, Reply
from runner.options import Options

from .conftest import Cli
from .test_resume import begin, ended, wait_for
from .test_tools import INPUT, WRITER, calling, said, tool

PHOTO = Artifact("ab" * 32, "image/png", 10, "/somewhere/a.png", url="https://image.example/a.png", width=4, height=3)
BY_PIPELINE: dict[str, Any] = {"description": "Ask the station", "input": INPUT, "pipeline": "station.yaml"}
PARIS = calling(("station", '{"city": "Paris"}'))


def advance(*replies: Reply, **params: Any) -> Any:
    tools = {"get_weather": tool(), "station": BY_PIPELINE}
    return generate_text.advance({"model": WRITER, "prompt": "Weather?", "tools": tools, **params}, replies)


def told(call: Chat) -> list[tuple[str, str]]:
    """What each tool was said to have answered."""
    return [(each["tool_call_id"], each["content"]) for each in call.body["messages"] if each["role"] == "tool"]


# -- what the kind asks for -------------------------------------------------------------------------


def test_the_pipeline_runs_before_the_model_is_asked_again() -> None:
    first, then = advance(PARIS), advance(PARIS, Reply({"sky": "sunny"}, cost=0.5))

    assert first == Errand("station", 0, {"city": "Paris"})
    assert isinstance(then, Chat)
    assert told(then) == [("c0", '{"sky": "sunny"}')]


def test_calls_are_answered_in_their_order_whoever_answers() -> None:
    many = calling(
        ("get_weather", '{"city": "Rome"}'), ("station", '{"city": "Oslo"}'), ("nobody", "{}"),
        ("station", '{"city": "Bonn"}'), ("get_weather", '{"city": "Kyiv"}'),
    )  # fmt: skip
    oslo, bonn = Reply({"sky": "grey"}), Reply({"sky": "blue"})

    asked = [advance(many), advance(many, oslo), advance(many, oslo, bonn)]

    assert asked[:2] == [Errand("station", 1, {"city": "Oslo"}), Errand("station", 3, {"city": "Bonn"})]
    assert told(asked[2]) == [
        ("c0", "The weather in Rome is sunny."),
        ("c1", '{"sky": "grey"}'),
        ("c2", "There is no tool nobody. There are: get_weather, station."),
        ("c3", '{"sky": "blue"}'),
        ("c4", "The weather in Kyiv is sunny."),
    ]


def test_a_later_turn_may_ask_again() -> None:
    sunny = Reply({"sky": "sunny"})

    again = advance(PARIS, sunny, PARIS)

    assert again == Errand("station", 1, {"city": "Paris"})


def test_arguments_that_do_not_fit_run_nothing() -> None:
    call = advance(calling(("station", '{"town": "Paris"}')))

    assert isinstance(call, Chat)
    assert told(call)[0][1].startswith("station cannot be called so: ")


def test_without_a_turn_left_nothing_is_run() -> None:
    with pytest.raises(OutOfTurns, match="spoke 1 time and wants to call station again"):
        advance(PARIS, max_turns=1)


def test_the_step_yields_the_outputs_and_counts_what_they_cost() -> None:
    output = advance(PARIS, Reply({"sky": "sunny", "map": PHOTO}, cost=0.5), said("Sunny."))

    assert isinstance(output, Output)
    assert output.values["tool_results"] == [{"name": "station", "result": {"sky": "sunny", "map": PHOTO}}]
    assert output.values["tool_calls"] == [{"name": "station", "arguments": {"city": "Paris"}}]
    assert output.cost == pytest.approx(0.52)


def test_of_a_file_the_model_reads_what_it_is_and_not_where() -> None:
    call = advance(PARIS, Reply({"maps": [PHOTO]}))

    assert json.loads(told(call)[0][1]) == {"maps": [{"media_type": "image/png", "width": 4, "height": 3}]}


# -- runs -------------------------------------------------------------------------------------------

STATION = """\
name: station
inputs: {city: {type: string}}
steps:
  say: {kind: generate_text, model: qwen/qwen3-32b-awq, prompt: "The sky of {{ inputs.city }}"}
  photo:
    kind: generate_image
    model: pruna/p-image-t2i
    foreach: [day, night]
    prompt: "{{ inputs.city }}, {{ item }}"
outputs:
  sky: "{{ steps.say.text }}"
  day.png: "{{ steps.photo['day'].image }}"
"""
REPORT = """\
name: report
limits: {calls: 1}
steps:
  report:
    kind: generate_text
    model: qwen/qwen3-32b-awq
    prompt: What does the station say of the weather in Paris?
    tools:
      station:
        description: Ask the station about a city
        input: {type: object, properties: {city: {type: string}}, required: [city]}
        pipeline: parts/station.yaml
  snow:
    kind: edit_image
    model: qwen/qwen-image-edit
    image: "{{ steps.report.tool_results[0].result['day.png'] }}"
    prompt: in the snow
outputs:
  report.txt: "{{ steps.report.text }}"
  snow.png: "{{ steps.snow.image }}"
"""


@pytest.fixture
def report(tmp_path: Path) -> Path:
    (tmp_path / ".git").mkdir()
    (tmp_path / "parts").mkdir()
    (tmp_path / "parts/station.yaml").write_text(STATION)
    path = tmp_path / "report.yaml"
    path.write_text(REPORT)
    return path


def state(cli: Cli, *arguments: object) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(cli("run", *arguments, "--local", "--json").out)
    return found


def ends(state: dict[str, Any]) -> dict[str, str]:
    return {cell["cell"]: cell["state"] for cell in state["cells"]}


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_the_tool_runs_the_pipeline_even_where_one_call_may_be_in_flight(
    report: Path, tmp_path: Path, emulator: Emulator, backend: str
) -> None:
    env = {"RUNPOD_API_KEY": "k", "RUNPOD_BASE_URL": emulator.url}
    events: list[Event] = []
    options = Options(out=tmp_path / "out", env=env)

    done = anyio.run(
        app.run, loading.read(report), loading.Given(), options, events.append, lambda _: None, backend=backend
    )

    sent = [one.body["messages"] for one in emulator.requests if one.operation == "chat"]
    read = json.loads(sent[-1][-1]["content"])
    assert done.exit_code == 0
    assert emulator.peak == 1
    assert list(read) == ["sky", "day.png"]
    assert read["day.png"]["media_type"].startswith("image/")
    assert sent[1][-1]["content"] == "The sky of Paris"
    assert (tmp_path / "out/snow.png").is_file()
    assert [event.cell for event in events if isinstance(event, JobSubmitted)] == [
        "report/station[0]/photo[day]", "report/station[0]/photo[night]", "snow",
    ]  # fmt: skip


def test_what_was_paid_is_not_paid_again_and_is_counted_once(cli: Cli, report: Path) -> None:
    first, second = state(cli, report), state(cli, report)

    cells = {cell["cell"]: cell for cell in first["cells"]}
    assert set(ends(first).values()) == {"done"}
    assert cells["report"]["output"]["cost"] > sum(c["cost"] for n, c in cells.items() if n.startswith("report/"))
    assert first["cost"] == pytest.approx(sum(cell["cost"] for cell in first["cells"]), abs=1e-5)
    assert set(ends(second).values()) == {"cached"}
    assert second["cost"] == 0


def test_a_run_that_is_cut_inside_the_pipeline_goes_on_there(report: Path) -> None:
    with Emulator(seed=1, latency=parse_latency("0.5")) as slow:
        process = begin(report.parent, slow.url, "run", "report.yaml")
        wait_for(lambda: slow.count("run") == 1)
        process.send_signal(signal.SIGINT)
        code, _ = ended(process)
        chats = slow.count("chat")

        again, said = ended(begin(report.parent, slow.url, "resume"))

        assert (code, again) == (130, 0), said
        assert slow.count("chat") == chats + 1
        assert [job.endpoint for job in slow.jobs] == ["p-image-t2i", "p-image-t2i", "qwen-image-edit"]


def test_a_pipeline_that_fails_fails_the_step_that_called_it(cli: Cli, report: Path) -> None:
    inner = report.parent / "parts/station.yaml"
    inner.write_text(STATION.replace("{{ inputs.city }}, {{ item }}", "{{ 1 // (inputs.city | length - 5) }}"))

    found = state(cli, report)

    told = next(cell["message"] for cell in found["cells"] if cell["cell"] == "report")
    assert ends(found)["report"] == "failed"
    assert ends(found)["snow"] == "blocked"
    assert "parts/station.yaml did not make day.png" in told


def test_the_budget_counts_what_the_pipeline_pays(cli: Cli, report: Path) -> None:
    report.write_text(REPORT.replace("name: report\n", "name: report\nbudget: {usd: 0.33}\n"))
    plan, calls = cli("plan", report), cli("plan", report, "--calls")
    done = cli("run", report, "--local", "--json")

    for shown in (plan.out, calls.out):
        assert "unknown: how often a model calls a pipeline is only known in the run" in shown
    assert "station runs " in calls.out
    assert json.loads(done.out)["cost"] <= 0.33


def test_under_a_budget_its_models_must_have_a_price(report: Path) -> None:
    report.write_text(REPORT.replace("name: report\n", "name: report\nbudget: {usd: 1}\n"))
    inner = report.parent / "parts/station.yaml"
    inner.write_text(STATION.replace("pruna/p-image-t2i", "abc123def456"))

    problems = loading.read(report).problems

    assert [(p.code, p.mark.line) for p in problems] == [("unpriced", 13)]


def test_a_problem_of_the_pipeline_is_told_where_it_is(report: Path) -> None:
    (report.parent / "parts/station.yaml").write_text(STATION.replace("steps.say.text", "steps.say.txt"))

    problems = loading.read(report).problems

    assert [(Path(p.mark.file).name, p.mark.line) for p in problems] == [("station.yaml", 11)]


def test_models_of_the_pipeline_are_played_by_the_emulator_in_a_local_run(cli: Cli, report: Path) -> None:
    inner = report.parent / "parts/station.yaml"
    inner.write_text(
        STATION.replace("qwen/qwen3-32b-awq", "mine").replace(
            "steps:\n",
            'models: {mine: {model: llama, base_url: "http://127.0.0.1:9/v1", api_key_env: MINE}}\nsteps:\n',
            1,
        )
    )

    found = state(cli, report)

    assert ends(found)["report/station[0]/say"] == "done"


LOOKED = """\
name: station
inputs: {city: {type: string}}
steps:
  say: {kind: generate_text, model: qwen/qwen3-32b-awq, prompt: "The sky of {{ inputs.city }}"}
  fit: {kind: approve, question: "May {{ inputs.city }} know?", show: "{{ steps.say.text }}"}
  photo:
    kind: generate_image
    model: pruna/p-image-t2i
    prompt: "{{ inputs.city }}"
    when: "{{ steps.fit.approved }}"
outputs:
  sky: "{{ steps.say.text }}"
  day.png: "{{ steps.photo.image }}"
"""


def test_a_pipeline_for_a_tool_that_asks_a_person_leaves_the_run_waiting_and_goes_on_with_the_answer(
    cli: Cli, report: Path
) -> None:
    (report.parent / "parts/station.yaml").write_text(LOOKED)

    first = cli("run", report, "--local", "--json")
    question = next(cell for cell, end in ends(json.loads(first.out)).items() if end == "asking")
    said = cli("approve", question, "yes")
    again = cli("resume", "--json")

    assert (first.code, json.loads(first.out)["outcome"]) == (6, "waiting")
    assert question == "report/station[0]/fit"
    assert said.code == 0, said.err
    assert (again.code, json.loads(again.out)["outcome"]) == (0, "done")
    assert json.loads(again.out)["cost"] > json.loads(first.out)["cost"]
