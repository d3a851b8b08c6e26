"""The command line as a user meets it: words in, sentences and exit codes out."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import click
import pytest

from runner.cli import COMMANDS
from runner.cli import cli as root
from runner.emulator import Emulator, Latency

from .conftest import REPO, Cli

PIPELINE = """\
name: tiny
version: 1.10
inputs:
  thing: {type: string, default: teapot}
  count: {type: integer, default: 2}
steps:
  draft: {kind: generate_text, model: qwen/qwen3-32b-awq, prompt: "{{ inputs.count }} words on a {{ inputs.thing }}"}
  photo: {kind: generate_image, model: qwen/qwen-image, prompt: "a {{ inputs.thing }}", size: 512x512}
outputs:
  draft.txt: "{{ steps.draft.text }}"
  photo.png: "{{ steps.photo.image }}"
"""


@pytest.fixture
def pipeline(tmp_path: Path) -> Path:
    path = tmp_path / "tiny.yaml"
    path.write_text(PIPELINE)
    return path


def test_a_run_says_where_everything_is(cli: Cli, pipeline: Path) -> None:
    done = cli("run", pipeline, "--local")

    assert done.code == 0
    assert "tiny 1.10: done in" in done.out
    assert "out/tiny/photo.png" in done.out
    assert re.search(r"run folder +\.runner/runs/\d{8}-\d{6}-[0-9a-f]{4}\n", done.out)
    assert Path("out/tiny/draft.txt").read_text()


@pytest.mark.parametrize("value", ["", "  "])
def test_a_run_says_before_it_begins_that_an_input_is_empty(cli: Cli, pipeline: Path, value: str) -> None:
    pipeline.write_text(
        "name: tea\ninputs:\n  leaf: {type: string}\n  more: {type: string, default: ''}\n"
        "steps: {a: {kind: render_text, text: 'x{{ inputs.leaf }}{{ inputs.more }}'}}\n"
    )

    empty, quiet = cli("run", pipeline, "-i", f"leaf={value}"), cli("run", pipeline, "-i", f"leaf={value}", "--quiet")
    full = cli("run", pipeline, "-i", "leaf=green")

    assert (empty.code, quiet.code, full.code) == (0, 0, 0)
    assert empty.err.splitlines()[0] == "The input leaf is empty."
    assert empty.err.count("is empty") == 1
    assert "is empty" not in quiet.err + full.err


def test_a_run_in_a_pipe_says_one_plain_line_an_event(cli: Cli, pipeline: Path) -> None:
    done = cli("run", pipeline, "--local")

    assert "draft: asks qwen/qwen3-32b-awq" in done.err
    assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f]", done.err + done.out)


def test_quiet_says_nothing(cli: Cli, pipeline: Path) -> None:
    done = cli("run", pipeline, "--local", "--quiet")

    assert (done.code, done.out, done.err) == (0, "", "")


def test_quiet_still_says_what_went_wrong(cli: Cli, pipeline: Path) -> None:
    pipeline.write_text(PIPELINE.replace("steps:", "budget: {usd: 0.001}\nsteps:", 1))

    done = cli("run", pipeline, "--local", "--quiet")

    assert done.code == 4
    assert "was not sent" in done.err


def test_json_is_the_final_state_and_nothing_else(cli: Cli, pipeline: Path) -> None:
    done = cli("run", pipeline, "--local", "--json")

    state = json.loads(done.out)
    assert done.err == ""
    assert state["outcome"] == "done"
    assert state["version"] == "1.10"
    assert [cell["state"] for cell in state["cells"]] == ["done", "done"]
    assert Path(state["outputs"]["photo.png"]).is_file()


def test_the_run_folder_holds_the_pipeline_the_events_and_each_output(cli: Cli, pipeline: Path) -> None:
    cli("run", pipeline, "--local")

    folder = next(Path(".runner/runs").iterdir())
    names = sorted(path.name for path in folder.iterdir())
    assert names == ["draft.txt", "events.jsonl", "photo.jpg", "pipeline.yaml", "state.json"]
    assert (folder / "pipeline.yaml").read_text() == PIPELINE


def test_inputs_are_typed_as_the_pipeline_says(cli: Cli, pipeline: Path) -> None:
    done = cli("run", pipeline, "--local", "--json", "-i", "count=3", "-i", "thing=3")

    assert json.loads(done.out)["inputs"] == {"thing": "3", "count": 3}


@pytest.mark.parametrize("suffix", ["yaml", "json"])
def test_inputs_come_from_a_file_and_the_command_line_wins(cli: Cli, pipeline: Path, suffix: str) -> None:
    values = pipeline.with_name(f"inputs.{suffix}")
    values.write_text('{"count": 5, "thing": "kettle"}')

    done = cli("run", pipeline, "--local", "--json", "--inputs", values, "-i", "thing=pan")

    assert json.loads(done.out)["inputs"] == {"thing": "pan", "count": 5}


def test_inputs_in_json_may_be_escaped_as_json_is(cli: Cli, pipeline: Path) -> None:
    values = pipeline.with_name("inputs.json")
    values.write_text(json.dumps({"thing": "teapot 😀"}))

    done = cli("run", pipeline, "--local", "--json", "--inputs", values)

    assert json.loads(done.out)["inputs"]["thing"] == "teapot 😀"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["-i", "count=three"], "count must be an integer, not 'three'"),
        (["-i", "cuont=3"], "no input cuont. Did you mean count?"),
        (["-i", "count"], "Write -i name=value"),
        (["-i", "count=1", "-i", "count=2"], "given twice"),
        (["--inputs", "nothing.yaml"], "nothing.yaml cannot be read"),
        (["--quiet", "--json"], "exclude each other"),
        (["--concurrency", "0"], "Invalid value"),
        (["--wrong"], "No such option"),
    ],
)
def test_wrong_usage_is_a_sentence_and_exit_code_2(cli: Cli, pipeline: Path, arguments: list[str], words: str) -> None:
    done = cli("run", pipeline, "--local", *arguments)

    assert done.code == 2
    assert words in done.err
    assert not Path(".runner").exists()


LISTS = """\
name: many
inputs: {things: {type: list}, thing: {type: string, default: x}}
steps: {a: {kind: render_text, foreach: "{{ inputs.things }}", text: "{{ item }} {{ inputs.thing }}"}}
"""


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("-i|thing=red|soap", "soap is left over. Put quotes around a value with spaces: -i 'thing=red soap'"),
        ("-i|thing=red|soap|-i|things=[a]", "soap is left over. Put quotes around a value with spaces: -i 'thing=red"),
        ("-i|things=[red|soap,|olive|soap]", "quotes around a value with spaces: -i 'things=[red soap, olive soap]'"),
        ("thing=soap", "thing=soap is left over. Write -i thing=soap."),
        ("-i|things=[a]|thing=soap", "thing=soap is left over. Write -i thing=soap."),
        ("thing=red|soap", "Put quotes around a value with spaces: -i 'thing=red soap'"),
        ("-i|thing|=|soap", "Write -i thing=soap."),
        ("-i|thing=|soap", "Write -i thing=soap."),
        ("other.yaml", "other.yaml is left over: "),
        ("-i|l.yaml", "-i l.yaml names no value. To read inputs from a file: --inputs l.yaml"),
        ("-fresh", "No such option '-fresh'."),
        ("-fresh", "Did you mean '--fresh'?"),
        ("-i|things=l.yaml", "things is a list, and l.yaml names a file. --inputs l.yaml reads inputs from a"),
        ("-i|things=l.csv", "--inputs FILE reads inputs from a file in YAML or JSON, in which things: stands above"),
        ("--inputs|bare.yaml", "a mapping of input names to values. Write things: above the list."),
        ("-i|things=a|-i|things=b", "-i things is given twice. Keep one of them; if it is a list: -i 'things=[a, b]'"),
        ("-i|things=a,b", "things must be a list; this is the text a,b. Write -i 'things=[a, b]'."),
        ("-i|things=[a", "This [ is not closed, or a comma is missing in it. Write -i 'things=[…, …]'."),
        ("", "The pipeline needs an input: things (list). Write -i 'things=[…, …]'."),
        ("--budget|0", "0 USD pays for no call. Write an amount above 0; or --offline"),
        ("--budget|$1", "$1 is no amount of USD. Write 0.10, or leave it out for none."),
        ("--budget|1,00", "1,00 is no amount of USD. Write 0.10"),
        ("--budget|", "Nothing is no amount of USD. Write 0.10"),
    ],
)  # fmt: skip
def test_what_was_typed_otherwise_than_it_is_written_is_told_with_what_to_write(
    cli: Cli, pipeline: Path, words: str, said: str
) -> None:
    pipeline.write_text(LISTS)
    pipeline.with_name("bare.yaml").write_text("- a\n- b\n")

    done = cli("run", pipeline, "--local", *([*words.split("|")] if words else []))

    assert done.code == 2
    assert said in done.err
    assert not Path(".runner").exists()


@pytest.mark.parametrize("command", ["run", "plan", "graph", "lock"])
def test_a_pipeline_behind_a_value_in_several_words_is_still_the_pipeline(
    cli: Cli, pipeline: Path, command: str
) -> None:
    done = cli(command, "-i", "thing=red", "soap", pipeline)

    assert done.code == 2
    assert "Error: soap is left over. Put quotes around a value with spaces: -i 'thing=red soap'\n" in done.err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["chek", "x.yaml"], "There is no command chek. Did you mean check?"),
        (["zebra"], "There is no command zebra. Known here: approve, cache, check, "),
        (["card.yaml"], "There is no command card.yaml. Write runner run card.yaml, or check, plan or graph for run."),
        (["cache", "sise"], "There is no command cache sise. Did you mean size?"),
        (["runs", "remove"], "There is no command runs remove. Known here: rm."),
        (["local", "pul"], "There is no command local pul. Did you mean pull?"),
        (["cache", "--dry"], "No such option"),
    ],
)
def test_a_command_that_there_is_not_is_told_with_the_one_that_is_near(cli: Cli, words: list[str], said: str) -> None:
    done = cli(*words)

    assert done.code == 2
    assert said in done.err


def test_on_github_a_word_that_is_left_over_is_an_annotation_and_the_run_has_not_begun(
    cli: Cli, pipeline: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    monkeypatch.setenv("GITHUB_OUTPUT", str(tmp_path / "outputs"))

    done = cli("run", pipeline, "--local", "-i", "thing=red", "soap")

    assert done.code == 2
    assert "::error title=runner::soap is left over." in done.err
    assert "not started" in (tmp_path / "outputs").read_text()


@pytest.mark.parametrize(
    ("named", "meant"),
    [
        ("bookcover", "Did you mean pipelines/bookcover.yaml?"),
        ("bookcver.yaml", "Did you mean pipelines/bookcover.yaml?"),
        ("pipelines/cards.yaml", "Did you mean card.yaml?"),
        ("zebra.yaml", "Known here: card.yaml, pipelines/bookcover.yaml."),
    ],
)
def test_a_pipeline_that_is_not_there_is_told_with_those_that_are(cli: Cli, named: str, meant: str) -> None:
    Path("pipelines").mkdir()
    for name in ("card.yaml", "pipelines/bookcover.yaml", "pipelines/bookcover.test.yaml"):
        Path(name).write_text("name: any\nsteps:\n  line: {kind: render_text, text: hi}\n")

    done = cli("run", named)

    assert (done.code, done.err) == (2, f"Error: There is no file {named}. {meant}\n")


@pytest.mark.parametrize("command", ["run", "check", "plan"])
@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, "There is no file"),
        (b"\xff\xfe", "not a text file"),
        (b"", "The file is empty"),
        (b"steps: [", "not YAML"),
        (b"name: a\nname: b\n", "stands twice"),
    ],
    ids=["missing", "binary", "empty", "broken", "repeated"],
)
def test_a_file_that_is_no_pipeline_is_exit_code_2_and_nothing_is_written(
    cli: Cli, tmp_path: Path, command: str, content: bytes | None, words: str
) -> None:
    path = tmp_path / "bad.yaml"
    if content is not None:
        path.write_bytes(content)

    done = cli(command, path, *(["--local"] if command == "run" else []))

    assert done.code == 2
    assert words in done.err
    assert not Path(".runner").exists()
    assert not Path("out").exists()


def test_a_folder_in_place_of_a_file_is_told(cli: Cli, tmp_path: Path) -> None:
    assert "is a folder" in cli("plan", tmp_path).err


def test_without_a_key_both_ways_out_are_named(cli: Cli, pipeline: Path) -> None:
    done = cli("run", pipeline)

    assert done.code == 5
    assert "RUNPOD_API_KEY" in done.err
    assert "--local" in done.err
    assert not Path(".runner").exists()


def test_key_and_base_url_come_from_the_environment(cli: Cli, pipeline: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with Emulator(keys=["rpa_test"]) as emulator:
        monkeypatch.setenv("RUNPOD_API_KEY", "rpa_test")
        monkeypatch.setenv("RUNPOD_BASE_URL", emulator.url)
        done = cli("run", pipeline)

    assert done.code == 0
    assert emulator.paid == 2
    assert "rpa_test" not in "".join(p.read_text() for p in Path(".runner").rglob("*.json*"))


def test_a_store_that_cannot_be_written_is_exit_code_5_before_anything_runs(cli: Cli, pipeline: Path) -> None:
    Path(".runner").mkdir()
    Path(".runner/store").write_text("")

    done = cli("run", pipeline, "--local")

    assert done.code == 5
    assert "cannot be used" in done.err


@pytest.mark.parametrize("amount", ["nan", "inf", "1e400", "0", "-1", "much"])
def test_a_budget_that_is_no_amount_is_refused(cli: Cli, pipeline: Path, amount: str) -> None:
    done = cli("run", pipeline, "--local", "--budget", amount)

    assert done.code == 2
    assert "--budget" in done.err
    assert not Path(".runner").exists()


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no disk that is always full")
@pytest.mark.parametrize("arguments", [["--json"], []])
def test_an_output_that_cannot_be_written_is_told_and_is_no_bug(
    pipeline: Path, tmp_path: Path, arguments: list[str]
) -> None:
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "runner", "run", pipeline, "--local", "--quiet" if not arguments else "--json"],
            cwd=tmp_path, stdout=full, stderr=subprocess.PIPE, text=True, check=False,
        )  # fmt: skip
    told = subprocess.run([sys.executable, "-m", "runner", "runs"], cwd=tmp_path, stdout=subprocess.PIPE, text=True,
                          check=False)  # fmt: skip

    assert (done.returncode, "Traceback" in done.stderr) == ((1, False) if arguments else (0, False)), done.stderr
    assert ("the standard output cannot be written" in done.stderr) == bool(arguments)
    assert " done " in told.stdout


def test_a_failed_step_is_exit_code_1_and_what_could_be_made_is_there(
    cli: Cli, pipeline: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Emulator(faults=["run=400*always"]) as emulator:
        monkeypatch.setenv("RUNPOD_API_KEY", "k")
        monkeypatch.setenv("RUNPOD_BASE_URL", emulator.url)
        done = cli("run", pipeline)

    assert done.code == 1
    assert "photo: failed: qwen-image-t2i refused the request (400)" in done.out
    assert Path("out/tiny/draft.txt").is_file()
    assert not Path("out/tiny/photo.png").exists()


def test_check_tells_all_problems_of_all_files(cli: Cli, pipeline: Path, tmp_path: Path) -> None:
    bad = tmp_path / "bad.yaml"
    bad.write_text(PIPELINE.replace("512x512", "513x513").replace("inputs.thing", "inputs.thnig", 1))

    done = cli("check", pipeline, bad)

    assert done.code == 2
    assert done.err.count("bad.yaml:") == 2
    assert "Did you mean thing?" in done.err
    assert done.out == ""


def test_check_of_a_good_file_says_so(cli: Cli, pipeline: Path) -> None:
    done = cli("check", pipeline)

    assert (done.code, done.out, done.err) == (0, "1 pipeline: no problems\n", "")


@pytest.mark.parametrize(("at", "named"), [(".", []), ("pipelines", []), (".", ["pipelines"])])
def test_check_of_no_file_is_of_the_project_and_of_a_folder_of_all_in_it(
    cli: Cli, monkeypatch: pytest.MonkeyPatch, at: str, named: list[str]
) -> None:
    cli("init")
    Path("pipelines/more").mkdir()
    Path("pipelines/more/wrong.yml").write_text("name: wrong\nsteps: {a: {kind: generate_txt}}\n")
    Path("pipelines/.old").mkdir()
    Path("pipelines/.old/hidden.yaml").write_text("steps: 1\n")
    Path("pipelines/settings.yaml").write_text("no: pipeline\n")
    monkeypatch.chdir(at)

    wrong = cli("check", *named)
    Path("more/wrong.yml" if at == "pipelines" else "pipelines/more/wrong.yml").unlink()
    right = cli("check", *named)

    assert wrong.code == 2
    assert wrong.err.startswith(f"{Path('more') if at == 'pipelines' else Path('pipelines/more')}/wrong.yml:2:")
    assert wrong.err.count("wrong.yml:") == 1
    assert (right.code, right.out) == (0, "1 pipeline, 1 test file: no problems\n")


@pytest.mark.parametrize("named", [[], ["."]])
def test_check_where_there_is_no_pipeline_says_so(cli: Cli, named: list[str]) -> None:
    Path("settings.yaml").write_text("no: pipeline\n")

    done = cli("check", *named)

    assert done.code == 2
    assert "There is no pipeline in " in done.err
    assert "Name one" in done.err


def test_a_removed_model_is_a_warning_and_no_reason_to_stop(cli: Cli, pipeline: Path) -> None:
    pipeline.write_text(PIPELINE.replace("qwen/qwen-image,", "bytedance/seedream-3.0,"))

    done = cli("check", pipeline)

    assert (done.code, done.out) == (0, "1 pipeline: no problems, 1 warning\n")
    assert "warning" in done.err
    assert "bytedance/seedream-4.0" in done.err


def test_plan_shows_order_edges_calls_and_price(cli: Cli) -> None:
    done = cli("plan", REPO / "pipelines/product-card.yaml", "--calls")

    assert done.code == 0
    assert done.out.index("1. draft") < done.out.index("2. facts") < done.out.index("3. photo")
    assert "needs facts: prompt reads steps.facts" in done.out
    assert "POST qwen-image-edit/run" in done.out
    assert "At most, if nothing is tried twice: 0.0442 USD" in done.out


def test_plan_of_a_pipeline_whose_inputs_are_not_given_yet(cli: Cli, pipeline: Path) -> None:
    pipeline.write_text(PIPELINE.replace("{type: string, default: teapot}", "{type: string}"))

    done = cli("plan", pipeline, "--calls")

    assert done.code == 0
    assert "prompt: a {{ inputs.thing }}" in done.out


def test_a_missing_input_is_named_with_how_to_give_it(cli: Cli, pipeline: Path) -> None:
    pipeline.write_text(PIPELINE.replace("{type: string, default: teapot}", "{type: string, description: What?}"))

    done = cli("run", pipeline, "--local")

    assert done.code == 2
    assert "thing (What?). Write -i thing=…" in done.err


def test_schema_prints_what_is_published(cli: Cli) -> None:
    done = cli("schema")

    assert json.loads(done.out) == json.loads((REPO / "schemas/pipeline.schema.json").read_text())


@pytest.mark.parametrize("arguments", [["--fail", "run=banana"], ["--fail", "x"], ["--latency", "soon"]])
def test_the_emulator_explains_words_it_does_not_know(cli: Cli, arguments: list[str]) -> None:
    done = cli("emulator", "--port", "0", *arguments)

    assert done.code == 2
    assert done.err.startswith("Error: ")


def test_an_input_picture_is_read_from_where_the_user_is(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere/p.yaml").write_text(
        "name: e\ninputs: {picture: {type: image}}\n"
        "steps: {e: {kind: edit_image, model: qwen/qwen-image-edit, image: '{{ inputs.picture }}', prompt: x}}\n"
    )
    (tmp_path / "mine.jpg").write_bytes((REPO / "pipelines/pictures/street.jpg").read_bytes())

    done = cli("run", "elsewhere/p.yaml", "--local", "-i", "picture=mine.jpg")

    assert done.code == 0, done.err


@pytest.mark.parametrize(("content", "words"), [(None, "not there"), (b"hello", "image is needed here")])
def test_an_input_that_is_no_picture_is_told_before_anything_is_sent(
    cli: Cli, tmp_path: Path, content: bytes | None, words: str
) -> None:
    (tmp_path / "p.yaml").write_text(
        "name: e\ninputs: {picture: {type: image}}\n"
        "steps: {e: {kind: edit_image, model: qwen/qwen-image-edit, image: '{{ inputs.picture }}', prompt: x}}\n"
    )
    if content is not None:
        (tmp_path / "mine.jpg").write_bytes(content)

    done = cli("run", "p.yaml", "--local", "-i", "picture=mine.jpg")

    assert done.code == 2
    assert words in done.err


def test_a_literal_picture_of_a_step_is_found_beside_the_pipeline(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "p.yaml").write_text(
        "name: e\nsteps: {e: {kind: edit_image, model: qwen/qwen-image-edit, image: a.jpg, prompt: {file: brief.md}}}\n"
    )
    (tmp_path / "brief.md").write_text("Make it blue.")
    (tmp_path / "a.jpg").write_bytes((REPO / "pipelines/pictures/street.jpg").read_bytes())

    done = cli("run", "p.yaml", "--local")

    assert done.code == 0, done.err


# -- real processes ---------------------------------------------------------------------------------


def started(*arguments: object, folder: Path, **env: str) -> subprocess.Popen[str]:
    """A real process of our program."""
    return subprocess.Popen(
        [sys.executable, "-m", "runner", *map(str, arguments)],
        cwd=folder, env={**os.environ, **env}, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip


def until(true: Callable[[], bool], seconds: float = 10) -> None:
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.01)


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_ends_the_run_and_if_asked_its_jobs(
    tmp_path: Path, pipeline: Path, number: signal.Signals, code: int
) -> None:
    with Emulator(latency={"qwen-image-t2i": Latency(execution=60)}) as emulator:
        arguments = ("run", pipeline, "--cancel-on-interrupt")
        process = started(*arguments, folder=tmp_path, RUNPOD_API_KEY="k", RUNPOD_BASE_URL=emulator.url)
        until(lambda: emulator.count("status-sync") == 1)
        process.send_signal(number)
        out, err = process.communicate(timeout=10)

    assert process.returncode == code
    assert "Traceback" not in err
    assert "tiny 1.10: cancelled" in out
    assert [job.status for job in emulator.jobs] == ["CANCELLED"]
    assert not Path(tmp_path, "out/tiny/photo.png").exists()
    last = Path(next(Path(tmp_path, ".runner/runs").iterdir()), "events.jsonl").read_text().splitlines()[-1]
    assert json.loads(last)["outcome"] == "cancelled"


def test_a_second_signal_ends_it_at_once(tmp_path: Path, pipeline: Path) -> None:
    latency = {"qwen-image-t2i": Latency(execution=60)}
    with Emulator(latency=latency, faults=["cancel=hang*always"]) as emulator:
        arguments = ("run", pipeline, "--cancel-on-interrupt")
        process = started(*arguments, folder=tmp_path, RUNPOD_API_KEY="k", RUNPOD_BASE_URL=emulator.url)
        until(lambda: emulator.count("status-sync") == 1)
        process.send_signal(signal.SIGINT)
        until(lambda: emulator.count("cancel") == 1)
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=3)

    assert process.returncode == 130


def test_the_emulator_command_serves_until_it_is_told_to_stop(tmp_path: Path, pipeline: Path) -> None:
    server = started("emulator", "--port", "0", "--latency", "0.01", folder=tmp_path)
    assert server.stdout is not None
    url = re.search(r"http://\S+", server.stdout.readline())
    assert url is not None

    client = started("run", pipeline, folder=tmp_path, RUNPOD_API_KEY="local", RUNPOD_BASE_URL=url[0])
    client.communicate(timeout=20)
    server.send_signal(signal.SIGTERM)
    server.communicate(timeout=5)

    assert (client.returncode, server.returncode) == (0, 0)


def test_a_port_that_is_taken_is_a_sentence(tmp_path: Path) -> None:
    with Emulator() as emulator:
        port = emulator.origin.rpartition(":")[2]
        taken = started("emulator", "--port", port, folder=tmp_path)
        _, err = taken.communicate(timeout=10)

    assert taken.returncode == 2
    assert "cannot listen" in err
    assert "Traceback" not in err


def test_a_reader_that_goes_away_is_no_bug(tmp_path: Path) -> None:
    done = subprocess.run(
        ["bash", "-c", f"{sys.executable} -m runner schema | head -1"], cwd=tmp_path,
        capture_output=True, text=True, check=False,
    )  # fmt: skip

    assert done.stdout == "{\n"
    assert done.stderr == ""


@pytest.mark.parametrize("name", COMMANDS)
def test_the_list_of_commands_says_what_each_says_itself(name: str) -> None:
    command = root.get_command(click.Context(root), name)

    assert command is not None
    assert command.get_short_help_str(300) == COMMANDS[name][1]


def test_the_list_of_commands_is_laid_out_as_click_does(cli: Cli) -> None:
    context = click.Context(root, info_name="runner", **root.context_settings)
    by_click = context.make_formatter()
    click.Group.format_commands(root, context, by_click)

    assert by_click.getvalue() in cli("--help").out
