"""`runner test` as a user and as CI meet it: what holds, what does not and where, and that nothing is left behind."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
from PIL import Image

from runner.emulator import Emulator

from .conftest import REPO, Cli

CARD = """\
name: card
inputs:
  product: {type: string, default: a teapot}
env: [SHOP]
steps:
  draft:
    kind: generate_text
    model: qwen/qwen3-32b-awq
    prompt: "{{ inputs.product }}{{ env.SHOP | default('') }}"
  facts:
    kind: parse_json
    text: "{{ steps.draft.text }}"
    schema: {type: object, required: [title], properties: {title: {type: string}, tags: {type: array}}}
  photo:
    kind: generate_image
    model: qwen/qwen-image
    prompt: "{{ steps.facts.data.title }}"
  line:
    kind: render_text
    text: "{{ steps.facts.data.title }} for {{ inputs.product }}"
outputs:
  card.json: "{{ steps.facts.data }}"
  line.txt: "{{ steps.line.text }}"
  photo.jpg: "{{ steps.photo.image }}"
  title: "{{ steps.facts.data.title }}"
"""
CANNED = """\
    mode:
      canned:
        draft: {text: '{"title": "A pot", "tags": ["red", "round"]}'}
        photo: {image: pot.png, seed: 7}
"""
NESTED = """\
name: both
steps:
  each:
    kind: run_pipeline
    foreach: [cup, pot]
    file: card.yaml
    inputs: {product: "{{ item }}"}
outputs:
  "{key}.txt": "{{ steps.each.outputs['line.txt'] }}"
"""


@pytest.fixture
def card(tmp_path: Path) -> Path:
    """A project with a pipeline and a picture, and where its tests are."""
    (tmp_path / "runner.yaml").write_text("")
    (tmp_path / "card.yaml").write_text(CARD)
    Image.new("RGB", (64, 48), "red").save(tmp_path / "pot.png")
    return tmp_path / "card.test.yaml"


def cases(path: Path, body: str, mode: str = CANNED) -> Path:
    path.write_text(f"cases:\n  a card:\n{mode}{body}")
    return path


# -- what holds -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "expect",
    [
        "{state: done}",
        "{cost: {at_most: 0}}",
        "{steps: {draft: {state: done, text: {contains: title, lacks: [cup, jug], matches: 'title.: .A'}}}}",
        "{steps: {draft: {text: {matches: 'A pot'}, model: {is: qwen/qwen3-32b-awq}}}}",
        "{steps: {facts: {data.title: {is: A pot, words: 2}, data.tags: {items: 2, contains: red, lacks: blue}}}}",
        "{steps: {facts: {data: {schema: {required: [title]}, contains: round}, 'data.tags[1]': {is: round}}}}",
        "{steps: {photo: {cost: {below: 0.1}, image: {size: 64x48, width: 64, height: {above: 47}, type: png}}}}",
        "{steps: {photo: {seed: {is: 7, number: {at_least: 7}}, image.width: {is: 64}}}}",
        "{outputs: {card.json: {is: {title: A pot, tags: [red, round]}}, title: {is: A pot}}}",
        "{outputs: {photo.jpg: {type: jpeg, bytes: {above: 100}, size: 64x48}, line.txt: {words: {at_most: 5}}}}",
    ],
)
def test_what_is_expected_and_holds_passes(cli: Cli, card: Path, expect: str) -> None:
    cases(card, f"    expect: {expect}\n")

    done = cli("test")

    assert done.code == 0, done.out + done.err
    assert "card.test.yaml\n  ok      a card" in done.out
    assert done.out.endswith("1 case: all passed\n")


@pytest.mark.parametrize(
    ("expect", "told"),
    [
        ("{state: failed}", "The run is done, not failed."),
        ("{cost: {above: 0}}", "The run costs 0 USD, not above 0."),
        ("{steps: {draft: {state: skipped}}}", "draft is done, not skipped."),
        ("{steps: {draft: {text: {contains: cup}}}}", 'draft.text does not contain "cup".'),
        ("{steps: {draft: {text: {lacks: pot}}}}", 'draft.text contains "pot", and is not to.'),
        ("{steps: {draft: {text: {matches: '^pot'}}}}", "draft.text does not match ^pot."),
        ("{steps: {facts: {data.title: {words: 3}}}}", "facts.data.title has 2 words, not 3."),
        ("{steps: {facts: {data.title: {words: {above: 2}}}}}", "facts.data.title has 2 words, not above 2."),
        ("{steps: {facts: {data.title: {is: a pot}}}}", 'facts.data.title is not "a pot".'),
        ("{steps: {facts: {data.tags: {items: {at_least: 3}}}}}", "facts.data.tags has 2 items, not at least 3."),
        ("{steps: {facts: {data.tags: {contains: [red, blue]}}}}", 'facts.data.tags does not contain "blue".'),
        ("{steps: {facts: {data.tags: {lacks: red}}}}", 'facts.data.tags contains "red", and is not to.'),
        ("{steps: {facts: {data: {schema: {required: [price]}}}}}", "facts.data has no price."),
        ("{steps: {facts: {'data.tags[5]': {is: x}}}}", "facts has no data.tags[5]."),
        ("{steps: {photo: {image: {size: 10x10}}}}", "photo.image is 64x48, not 10x10."),
        ("{steps: {photo: {image: {width: {at_least: 512}}}}}", "photo.image is 64 pixels wide, not at least 512."),
        ("{steps: {photo: {image: {type: jpeg}}}}", "photo.image is image/png, not jpeg."),
        ("{steps: {photo: {cost: {at_least: 0.1}}}}", "photo costs 0 USD, not at least 0.1."),
        ("{steps: {photo: {seed: {number: {below: 7}}}}}", "photo.seed is 7, not below 7."),
        ("{outputs: {photo.jpg: {bytes: 1}}}", "photo.jpg has "),
        ("{outputs: {line.txt: {contains: tea}}}", ""),
        ("{outputs: {line.txt: {contains: cup}}}", 'line.txt does not contain "cup".'),
        ("{outputs: {title: {is: A cup}}}", 'title is not "A cup".'),
        ("{outputs: {card.json: {state: missing}}}", "card.json is made, and is not to be."),
    ],
)
def test_what_does_not_hold_fails_where_it_is_expected(cli: Cli, card: Path, expect: str, told: str) -> None:
    cases(card, f"    expect: {expect}\n")

    done = cli("test")

    assert done.code == (1 if told else 0), done.out + done.err
    assert told in done.out
    assert not told or "card.test.yaml:7:" in done.out


def test_a_fault_stands_under_its_expectation_with_what_came_instead(cli: Cli, card: Path) -> None:
    cases(card, "    expect:\n      steps:\n        facts:\n          data.title: {contains: cup}\n")

    done = cli("test")

    assert (
        'card.test.yaml:10:34: facts.data.title does not contain "cup".\n'
        "   10 |           data.title: {contains: cup}\n"
        "      |                                  ^^^\n"
        '      = It is "A pot".\n'
    ) in done.out


def test_a_value_that_does_not_fit_its_schema_is_told_with_what_came(cli: Cli, card: Path) -> None:
    cases(card, "    expect:\n      outputs:\n        card.json: {schema: {required: [price]}}\n")

    done = cli("test")

    assert "card.json has no price." in done.out
    assert '= It is {"title": "A pot"' in done.out


def test_problems_of_a_test_file_without_a_pipeline_stand_in_its_order(cli: Cli, card: Path) -> None:
    card.with_name("card.test.yaml").write_text(
        "pipeline: tea.yaml\ncases:\n  a card:\n    expct: {state: done}\n  another:\n    colour: red\n"
    )

    done = cli("check", "card.test.yaml")

    assert [line.split(":")[1] for line in done.err.splitlines() if line.startswith("card.test.yaml:")] == [
        "1",
        "4",
        "6",
    ]


def test_a_run_that_fails_unexpectedly_fails_its_case_and_says_why(cli: Cli, card: Path) -> None:
    mode = "    mode: {canned: {draft: {text: no}, photo: {image: pot.png}}}\n"
    cases(card, "    expect: {cost: {below: 1}}\n", mode)

    done = cli("test")

    assert done.code == 1
    assert "card.test.yaml:2:3: The run failed, and the case does not expect that." in done.out
    assert "= facts: there is no JSON in the text" in done.out


def test_a_failure_can_be_what_is_expected(cli: Cli, card: Path) -> None:
    mode = "    mode: {canned: {draft: {text: no}}}\n"
    expect = (
        "    expect:\n      steps: {facts: {state: failed, message: {contains: no JSON}}, photo: {state: blocked}}\n"
        "      outputs: {photo.jpg: {state: missing}}\n"
    )
    cases(card, expect, mode)

    done = cli("test")

    assert done.code == 0, done.out + done.err


def test_a_file_with_problems_runs_no_case_and_the_others_run(cli: Cli, card: Path) -> None:
    cases(card, "    expect: {steps: {phto: {state: done}}}\n")
    cases(card.with_name("other.test.yaml"), "    expect: {state: done}\n")
    (card.parent / "other.yaml").write_text(CARD)

    done = cli("test")

    assert done.code == 2
    assert "Did you mean photo?" in done.err
    assert "  ok      a card" in done.out
    assert "1 case: all passed" in done.out


def test_problems_of_the_pipeline_are_told_with_those_of_its_tests(cli: Cli, card: Path) -> None:
    cases(card, "    expect: {state: done}\n")
    (card.parent / "card.yaml").write_text(CARD.replace("title }} for", "titel }} for"))

    done = cli("test")

    assert done.code == 2
    assert "steps.facts.data has no field titel" in done.err


# -- canned outputs ---------------------------------------------------------------------------------


def test_a_cell_can_have_an_output_of_its_own(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "cups.yaml").write_text(
        "name: cups\nsteps:\n  each: {kind: generate_text, model: qwen/qwen3-32b-awq, foreach: [red, blue], "
        'prompt: "{{ item }}"}\noutputs: {"{key}.txt": "{{ steps.each.text }}"}\n'
    )
    (tmp_path / "cups.test.yaml").write_text(
        "cases:\n  cups:\n    mode: {canned: {each: {text: a cup}, 'each[blue]': {text: a blue cup}}}\n"
        "    expect:\n      steps: {each: {cells: 2, text: {contains: cup}}, 'each[red]': {text: {is: a cup}}}\n"
        "      outputs: {'{key}.txt': {contains: cup}, blue.txt: {is: a blue cup}}\n"
    )

    done = cli("test")

    assert done.code == 0, done.out + done.err


def test_steps_of_a_pipeline_that_a_step_runs_are_canned_and_judged(cli: Cli, card: Path) -> None:
    (card.parent / "both.yaml").write_text(NESTED)
    (card.parent / "both.test.yaml").write_text(
        'cases:\n  both:\n    mode:\n      canned:\n        each/draft: {text: \'{"title": "A thing"}\'}\n'
        "        each/photo: {image: pot.png}\n        'each[pot]/draft': {text: '{\"title\": \"A pot\"}'}\n"
        "    expect:\n      steps:\n        each/line: {text: {contains: for}}\n"
        "        'each[pot]/line': {text: {is: A pot for pot}}\n"
        "      outputs: {cup.txt: {is: A thing for cup}}\n"
    )

    done = cli("test")

    assert done.code == 0, done.out + done.err


def test_a_whole_pipeline_of_a_step_can_be_canned(cli: Cli, card: Path) -> None:
    (card.parent / "both.yaml").write_text(NESTED)
    (card.parent / "both.test.yaml").write_text(
        "cases:\n  both:\n    mode: {canned: {each: {outputs: {line.txt: the line}}}}\n"
        "    expect: {outputs: {pot.txt: {is: the line}}}\n"
    )

    done = cli("test")

    assert done.code == 0, done.out + done.err


def test_a_field_that_a_template_has_a_default_for_need_not_be_canned(cli: Cli, card: Path) -> None:
    line = "{{ steps.photo.seed | default('none') }} {{ steps.draft.reasoning | default('', true) }}"
    (card.parent / "card.yaml").write_text(CARD.replace("{{ steps.facts.data.title }} for {{ inputs.product }}", line))
    mode = CANNED.replace(", seed: 7", "")
    cases(card, "    expect: {outputs: {line.txt: {is: 'none '}}}\n", mode)

    done = cli("test")

    assert done.code == 0, done.out + done.err


def test_a_step_that_calls_after_all_fails_and_is_not_called(cli: Cli, card: Path) -> None:
    mode = """    mode: {canned: {draft: {text: '{"title": "A pot"}'}}}\n"""
    cases(card, "    expect: {state: failed, steps: {line: {state: done}}}\n", mode)

    done = cli("test")

    assert done.code == 1
    assert "photo would call qwen/qwen-image, and no output is canned for it." in done.out
    assert "= Add photo: with its output under canned:." in done.out


def test_a_canned_step_still_refuses_what_its_model_does_not_take(cli: Cli, card: Path) -> None:
    text = CARD.replace(
        "model: qwen/qwen-image\n", 'model: tongyi-mai/z-image-turbo\n    aspect_ratio: "{{ steps.draft.text }}"\n'
    )
    (card.parent / "card.yaml").write_text(text)
    cases(card, "    expect: {state: done}\n")

    done = cli("test")

    assert done.code == 1
    assert "= photo: tongyi-mai/z-image-turbo has no aspect ratio {" in done.out


def test_the_environment_is_what_the_case_says(cli: Cli, card: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHOP", "from outside")
    (card.parent / "card.yaml").write_text(CARD.replace("for {{ inputs.product }}", "of {{ env.SHOP }}"))
    cases(card, "    env: {SHOP: Tea & Co}\n    expect: {outputs: {line.txt: {is: A pot of Tea & Co}}}\n")

    done = cli("test")

    assert done.code == 0, done.out + done.err


def test_a_case_takes_the_pipeline_as_it_is_in_its_profile(cli: Cli, card: Path) -> None:
    (card.parent / "card.yaml").write_text(
        CARD.replace("model: qwen/qwen-image", "model: painter")
        + "models: {painter: {model: qwen/qwen-image}}\n"
        + "profiles: {draft: {models: {painter: {model: black-forest-labs/flux-1-schnell}}}}\n"
    )
    card.write_text(
        f"cases:\n  a draft:\n    profile: draft\n{CANNED}"
        "    expect: {steps: {photo: {model: {is: black-forest-labs/flux-1-schnell}}}}\n"
        f"  a card:\n{CANNED}    expect: {{steps: {{photo: {{model: {{is: qwen/qwen-image}}}}}}}}\n"
    )

    done = cli("test")

    assert done.code == 0, done.out + done.err
    assert done.out.endswith("2 cases: all passed\n")


# -- the emulator and recordings --------------------------------------------------------------------


def test_the_pipelines_that_we_ship_pass_their_tests(cli: Cli) -> None:
    done = cli("test", REPO / "pipelines")

    assert done.code == 0, done.out + done.err
    assert done.out.endswith("8 cases: all passed\n")


def test_a_test_asks_nobody_with_the_key_and_leaves_nothing_behind(
    cli: Cli, card: Path, emulator: Emulator, monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    temporary = tmp_path_factory.mktemp("temporary")
    monkeypatch.setattr("tempfile.tempdir", str(temporary))
    monkeypatch.setenv("RUNPOD_API_KEY", "rpa_key")
    monkeypatch.setenv("RUNPOD_BASE_URL", emulator.url)
    cases(card, "    expect: {steps: {draft: {state: done}}, state: failed}\n", "")
    before = {path: path.read_bytes() for path in card.parent.rglob("*") if path.is_file()}

    done = cli("test")

    after = {path: path.read_bytes() for path in card.parent.rglob("*") if path.is_file()}
    assert done.out.startswith("card.test.yaml\n")
    assert after == before
    assert not (card.parent / ".runner").exists()
    assert not (card.parent / "out").exists()
    assert list(temporary.iterdir()) == []
    assert emulator.requests == ()


def test_a_recording_answers_and_what_it_does_not_hold_is_told(cli: Cli, card: Path) -> None:
    text = CARD.replace("    schema: {type: object, required: [title], properties: "
                        "{title: {type: string}, tags: {type: array}}}\n", "")  # fmt: skip
    text = text.replace("facts.data.title", "draft.text | length")
    text = text[: text.index("  facts:")] + text[text.index("  photo:") :]
    text = text.replace('  card.json: "{{ steps.facts.data }}"\n', "").replace(
        '  title: "{{ steps.draft.text | length }}"\n', ""
    )
    (card.parent / "card.yaml").write_text(text)
    cli("run", "card.yaml", "--local", "--record", "tapes/card")
    shutil.rmtree(card.parent / ".runner")
    replay = "    mode: {replay: tapes/card}\n"
    cases(card, "    expect: {state: done, cost: {above: 0}}\n", replay)

    whole = cli("test")
    cases(card, "    inputs: {product: a cup}\n    expect: {state: done}\n", replay)
    changed = cli("test")

    assert whole.code == 0, whole.out + whole.err
    assert changed.code == 1
    assert "a cup" in changed.out
    assert not (card.parent / ".runner").exists()


def test_ctrl_c_stops_the_tests_and_leaves_nothing_behind(tmp_path: Path) -> None:
    (tmp_path / "many.yaml").write_text(
        "name: many\nsteps:\n  each: {kind: generate_image, model: qwen/qwen-image, matrix: {a: "
        f'{list(range(10))}, b: {list(range(10))}}}, prompt: "{{{{ matrix.a }}}} {{{{ matrix.b }}}}"}}\n'
    )
    (tmp_path / "many.test.yaml").write_text("cases:\n  many: {expect: {state: done}}\n")
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    with subprocess.Popen(
        [sys.executable, "-u", "-m", "runner", "test"], cwd=tmp_path, text=True,
        env={**os.environ, "TMPDIR": str(temporary)}, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    ) as process:  # fmt: skip
        assert process.stdout is not None
        process.stdout.readline()
        while not list(temporary.rglob("events.jsonl")):
            assert process.poll() is None
            time.sleep(0.02)
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=30)

    assert (process.returncode, err) == (130, "\nStopped.\n")
    assert list(temporary.iterdir()) == []


# -- which files, and what is written ----------------------------------------------------------------


def test_a_pipeline_a_folder_or_nothing_names_the_tests(cli: Cli, card: Path) -> None:
    cases(card, "    expect: {state: done}\n")
    hidden = card.parent / ".venv"
    hidden.mkdir()
    shutil.copy(card, hidden / "x.test.yaml")

    done = [cli("test", *named) for named in ([], ["card.yaml"], ["card.test.yaml"], ["."])]

    assert [each.code for each in done] == [0, 0, 0, 0]
    assert all(each.out.endswith("1 case: all passed\n") for each in done)


@pytest.mark.parametrize(
    ("named", "told"),
    [
        ([], "There is no *.test.yaml file in"),
        (["empty"], "There is no *.test.yaml file in empty. Write one beside a pipeline"),
        (["card.yaml"], "card.yaml has no tests: there is no card.test.yaml."),
        (["cart.yaml"], "There is no file cart.yaml."),
        (["cart.test.yaml"], "There is no file cart.test.yaml.\n"),
    ],
)
def test_where_there_are_no_tests_that_is_said(cli: Cli, card: Path, named: list[str], told: str) -> None:
    card.with_name("empty").mkdir()

    done = cli("test", *named)

    assert done.code == 2
    assert told in done.err


def test_junit_has_every_case_and_every_fault(cli: Cli, card: Path) -> None:
    card.write_text(
        f"cases:\n  <one>:\n{CANNED}    expect: {{state: done}}\n  two:\n{CANNED}    expect:\n"
        '      cost: {above: 0.1}\n      steps: {facts: {data.title: {is: "A \\u0007 cup"}}}\n'
    )
    card.with_name("broken.test.yaml").write_text("pipeline: card.yaml\ncases: {x: {}}\n")

    done = cli("test", "--junit", "reports/junit.xml")

    root = ET.parse("reports/junit.xml").getroot()  # noqa: S314 - our own
    assert done.code == 2
    assert (root.tag, root.get("tests"), root.get("failures"), root.get("errors")) == ("testsuites", "3", "1", "1")
    found = {(case.get("file"), case.get("name")): case for case in root.iter("testcase")}
    assert list(found) == [("card.test.yaml", "<one>"), ("card.test.yaml", "two"), ("broken.test.yaml", "check")]
    assert list(found["card.test.yaml", "<one>"]) == []
    failure = found["card.test.yaml", "two"].find("failure")
    assert failure is not None
    assert failure.get("message") == "The run costs 0 USD, not above 0.1."
    assert "card.test.yaml:15:" in (failure.text or "")
    error = found["broken.test.yaml", "check"].find("error")
    assert error is not None
    assert error.get("type") == "asserts-nothing"
    assert found["card.test.yaml", "two"].get("line") == "8"


def test_a_junit_file_that_cannot_be_written_is_told(cli: Cli, card: Path) -> None:
    cases(card, "    expect: {state: done}\n")

    done = cli("test", "--junit", "pot.png/junit.xml")

    assert done.code == 2
    assert "pot.png/junit.xml cannot be written" in done.err
    assert "store" not in done.err
    assert done.out == ""


@pytest.mark.parametrize(
    ("name", "told"),
    [
        (".", ". cannot be written: Is a directory. Name another file."),
        ("-", "It is written into a file. Name one."),
        ("card.test.yaml", "--junit would write over card.test.yaml, which is no report but a source."),
        ("card.yaml", "--junit would write over card.yaml, which is no report but a source."),
    ],
)
def test_a_file_that_is_none_or_is_read_is_no_place_for_junit(cli: Cli, card: Path, name: str, told: str) -> None:
    cases(card, "    expect: {state: done}\n")
    before = card.read_text()

    done = cli("test", "--junit", name)

    assert done.code == 2
    assert told in done.err
    assert (card.read_text(), (card.parent / "card.yaml").read_text()) == (before, CARD)


def test_junit_is_written_into_a_pipe(cli: Cli, card: Path) -> None:
    cases(card, "    expect: {state: done}\n")
    pipe = card.with_name("pipe")
    os.mkfifo(pipe)

    with subprocess.Popen(["cat", pipe], stdout=subprocess.PIPE) as reader:
        done = cli("test", "--junit", pipe)
        said = reader.communicate(timeout=30)[0]

    assert done.code == 0
    assert b'tests="1"' in said
    assert pipe.is_fifo()


# -- pytest -----------------------------------------------------------------------------------------


def pytest_in(folder: Path, *options: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-W", "error", *options]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=60, check=False)


def test_pytest_finds_the_cases_by_itself(card: Path) -> None:
    card.write_text(
        f"cases:\n  one:\n{CANNED}    expect: {{state: done}}\n  two:\n{CANNED}    expect: {{cost: {{above: 0.1}}}}\n"
    )
    before = sorted(card.parent.rglob("*"))

    done = pytest_in(card.parent, "-v")

    assert done.returncode == 1
    assert "card.test.yaml::one PASSED" in done.stdout
    assert "card.test.yaml::two FAILED" in done.stdout
    assert "card.test.yaml:13:28: The run costs 0 USD, not above 0.1." in done.stdout
    assert "Traceback" not in done.stdout
    assert sorted(card.parent.rglob("*")) == before


def test_pytest_tells_a_problem_where_it_collects(card: Path) -> None:
    cases(card, "    expect: {steps: {phto: {state: done}}}\n")

    done = pytest_in(card.parent)

    assert done.returncode == 2
    assert "card has no step phto. [E103 unknown-step]" in done.stdout
    assert "Traceback" not in done.stdout


# -- the page about it ------------------------------------------------------------------------------


def test_the_cases_in_the_docs_pass(cli: Cli) -> None:
    shutil.copytree(REPO / "pipelines", "pipelines", ignore=shutil.ignore_patterns("*.test.yaml"))
    page = (REPO / "docs" / "testing.md").read_text()
    examples = [each.split("```")[0] for each in page.split('```yaml title="pipelines/product-card.test.yaml"\n')[1:]]
    for number, text in enumerate(examples):
        Path(f"pipelines/{number}.test.yaml").write_text(f"pipeline: product-card.yaml\n{text}")

    done = cli("test")

    assert done.code == 0, done.out + done.err
    assert done.out.count("  ok  ") == len(examples) == 2


# -- a person in the loop ---------------------------------------------------------------------------

ASKS = """\
name: asks
steps:
  photo: {kind: generate_image, model: pruna/p-image-t2i, prompt: a teapot, pick: {of: 4}}
  fit: {kind: approve, question: Is it fit to print?, show: "{{ steps.photo.image }}"}
  warm:
    kind: edit_image
    model: pruna/p-image-edit
    image: "{{ steps.photo.image }}"
    prompt: warmer
    when: "{{ steps.fit.approved }}"
outputs:
  warm.jpg: "{{ steps.warm.image }}"
"""


@pytest.mark.parametrize(
    "mode",
    [
        "",
        "    mode: {canned: {photo: {image: pot.png}, warm: {image: pot.png}}}\n",
        "    mode: {canned: {photo: {image: pot.png}, fit: {approved: true}, warm: {image: pot.png}}}\n",
    ],
    ids=["emulator", "canned", "canned with an answer"],
)
def test_a_test_asks_nobody(cli: Cli, card: Path, mode: str) -> None:
    card.with_name("card.yaml").write_text(ASKS)
    cases(card, "    expect: {steps: {fit: {approved: {is: true}}}, outputs: {warm.jpg: {state: made}}}\n", mode)

    done = cli("test")

    assert done.code == 0, done.out + done.err
    assert "1 case: all passed" in done.out
