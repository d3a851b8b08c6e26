"""What CI servers are told: events, JUnit, a summary; on GitHub annotations, masks and outputs."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import xml.etree.ElementTree as ET
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image

from runner.events import CellDone, CellStarted, Event, RunFinished, RunStarted, fold
from runner.model import Artifact
from runner.reports import github, junit, markdown

from .actions import outputs_of
from .conftest import Cli

PIPELINE = """\
name: tea
steps:
  words: {kind: parse_json, text: "no | json"}
  late: {kind: render_text, text: "{{ steps.words.data }}"}
  cups: {kind: render_text, text: "{{ item }}", foreach: [green, black]}
  poem:
    kind: render_text
    text: |
      one
      two
outputs:
  poem: "{{ steps.poem.text }}"
  tea.md: "{{ steps.late.text }}"
  "{key}.txt": "{{ steps.cups.text }}"
"""
RUNNERS = ("GITHUB_ACTIONS", "GITHUB_WORKSPACE", "GITHUB_OUTPUT", "GITHUB_STEP_SUMMARY", "CI_PROJECT_DIR")


@pytest.fixture
def pipeline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in RUNNERS:
        monkeypatch.delenv(name, raising=False)
    path = tmp_path / "tea.yaml"
    path.write_text(PIPELINE)
    return path


@pytest.fixture
def on_github(pipeline: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the files that GitHub names to a step."""
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    monkeypatch.setenv("GITHUB_WORKSPACE", str(tmp_path))
    monkeypatch.setenv("GITHUB_OUTPUT", str(tmp_path / "output"))
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(tmp_path / "summary.md"))
    return tmp_path


# -- for any server ------------------------------------------------------------------------------------


def test_junit_has_a_case_a_cell_with_its_place(cli: Cli, pipeline: Path, tmp_path: Path) -> None:
    done = cli("run", pipeline, "--local", "--quiet", "--junit", "reports/junit.xml")

    suite = ET.parse(tmp_path / "reports/junit.xml").getroot()[0]  # noqa: S314 - ours
    cases = {case.get("name"): case for case in suite}
    assert done.code == 1
    assert set(cases) == {"words", "late", "cups[green]", "cups[black]", "poem", "output tea.md"}
    assert (cases["words"].get("file"), cases["words"].get("line")) == ("tea.yaml", "3")
    assert cases["cups[black]"].get("line") == "5"
    assert [(name, case[0].tag) for name, case in cases.items() if len(case)] == [
        ("words", "failure"),
        ("late", "skipped"),
        ("output tea.md", "failure"),
    ]
    assert [suite.get(word) for word in ("tests", "failures", "skipped", "errors")] == ["6", "2", "1", "0"]


def test_junit_holds_no_character_that_xml_cannot() -> None:
    events: list[Event] = [
        RunStarted(1.0, "r", "te\x00a", None, "tea.yaml", {}, {"a": []}, {}),
        CellStarted(1.0, "a"),
        RunFinished(2.0, "failed"),
    ]

    said = junit.xml(fold(events), {"a\x1b.md": "no \ufffe"}, [], "tea.yaml", {})

    assert ET.fromstring(said)[0].get("name") == "te�a"  # noqa: S314 - ours


def test_a_summary_is_a_table_of_steps(cli: Cli, pipeline: Path, tmp_path: Path) -> None:
    cli("run", pipeline, "--local", "--quiet", "--summary", "summary.md")

    said = (tmp_path / "summary.md").read_text()
    rows = [[cell.strip() for cell in row.split("|")[1:3]] for row in said.splitlines() if row.startswith("| <code>")]
    assert said.startswith("### tea: failed in ")
    assert rows[:4] == [
        ["<code>words</code>", "❌ failed"],
        ["<code>late</code>", "⛔ blocked"],
        ["<code>cups</code>", "✅ 2 done"],
        ["<code>poem</code>", "✅ done"],
    ]
    assert "no &#124; json" in said
    assert "- output <code>tea.md</code> not made:" in said


def test_events_to_the_standard_output_stand_alone_there(cli: Cli, pipeline: Path) -> None:
    done = cli("run", pipeline, "--local", "--events", "-")

    assert [json.loads(line)["event"] for line in done.out.splitlines()][::-1][0] == "RunFinished"
    assert "tea: failed in" in done.err


def test_a_run_goes_on_when_nobody_reads_its_events_any_more(pipeline: Path, tmp_path: Path) -> None:
    pipeline.write_text(PIPELINE.replace('"no | json"', "'[1]'").replace("{{ steps.words.data }}", "Tea."))
    program = f"{sys.executable} -m runner run tea.yaml --local --lock --events - | head -1; exit ${{PIPESTATUS[0]}}"

    done = subprocess.run(["bash", "-c", program], cwd=tmp_path, capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["event"] == "RunStarted"
    assert "tea: done in" in done.stderr
    assert (tmp_path / "tea.lock.yaml").is_file()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--events", "-", "--json"], "--json and --events - both write to the standard output. Name a file"),
        (["--junit", "tea.yaml/x.xml"], "tea.yaml/x.xml cannot be written: "),
        (["--summary", "."], ". cannot be written: Is a directory. Name another file."),
        (["--events", "tea.yaml/x"], "tea.yaml/x cannot be written: "),
    ],
)
def test_what_cannot_be_written_is_told_before_anything_runs(
    cli: Cli, pipeline: Path, tmp_path: Path, arguments: list[str], words: str
) -> None:
    done = cli("run", pipeline, "--local", *arguments)

    assert done.code == 2
    assert words in done.err
    assert not (tmp_path / ".runner").exists()


@pytest.mark.parametrize("option", ["--junit", "--summary"])
def test_a_report_is_a_file_and_not_the_standard_output(cli: Cli, pipeline: Path, option: str) -> None:
    done = cli("run", pipeline, "--local", option, "-")

    assert done.code == 2
    assert "It is written into a file. Name one." in done.err
    assert not Path("-").exists()


READS = """\
name: reads
inputs: {colour: {type: string, default: red}, photo: {type: image}}
steps:
  tea: {kind: render_text, text: {file: tea.md}}
  inner: {kind: run_pipeline, file: inner.yaml}
  edit: {kind: edit_image, model: qwen/qwen-image-edit, image: "{{ inputs.photo }}", prompt: "{{ inputs.colour }}"}
outputs: {tea.txt: "{{ steps.tea.text }}", edit.png: "{{ steps.edit.image }}"}
"""


@pytest.fixture
def sources(pipeline: Path, tmp_path: Path) -> dict[str, bytes]:
    """A pipeline with all that it reads: the files and what is in them."""
    (tmp_path / "reads.yaml").write_text(READS)
    (tmp_path / "inner.yaml").write_text("name: inner\nsteps:\n  a: {kind: render_text, text: a}\n")
    (tmp_path / "tea.md").write_text("Tea.")
    (tmp_path / "in.json").write_text('{"colour": "blue"}')
    Image.new("RGB", (8, 8)).save(tmp_path / "cup.png")
    (tmp_path / "linked.xml").hardlink_to(tmp_path / "reads.yaml")
    return {path.name: path.read_bytes() for path in tmp_path.iterdir()}


@pytest.mark.parametrize("option", ["--junit", "--summary", "--events"])
@pytest.mark.parametrize(
    "name", ["reads.yaml", "inner.yaml", "./tea.md", "in.json", "cup.png", "linked.xml", "reads.lock.yaml"]
)
def test_no_report_is_written_over_what_is_read(
    cli: Cli, sources: dict[str, bytes], tmp_path: Path, option: str, name: str
) -> None:
    done = cli("run", "reads.yaml", "--local", "--inputs", "in.json", "-i", "photo=cup.png", option, name)

    assert done.code == 2
    assert done.err == (
        f"Error: {option} would write over {Path(name)}, which is no report but a source. Name another file.\n"
    )
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == sources


@pytest.mark.parametrize("arguments", [["resume"], ["run", "reads.yaml", "--profile", "none"], ["run", "none.yaml"]])
def test_no_report_of_what_cannot_begin_is_written_over_a_source(
    cli: Cli, sources: dict[str, bytes], tmp_path: Path, arguments: list[str]
) -> None:
    done = cli(*arguments, "--junit", "inner.yaml")

    assert done.code == 2
    assert (tmp_path / "inner.yaml").read_bytes() == sources["inner.yaml"]


def test_a_resumed_run_writes_no_report_over_what_it_reads(cli: Cli, pipeline: Path, tmp_path: Path) -> None:
    pipeline.write_text(PIPELINE.replace("text: |\n      one\n      two\n", "text: {file: poem.md}\n"))
    (tmp_path / "poem.md").write_text("one")
    cli("run", pipeline, "--local")

    done = cli("resume", "--summary", "poem.md")

    assert done.code == 2
    assert (tmp_path / "poem.md").read_text() == "one"


def test_two_reports_are_two_files(cli: Cli, pipeline: Path, tmp_path: Path) -> None:
    done = cli("run", pipeline, "--local", "--junit", "report", "--summary", tmp_path / "report")

    assert done.code == 2
    assert "--junit and --summary both write " in done.err


@pytest.mark.parametrize("option", ["--junit", "--summary", "--events"])
def test_a_pipe_is_written_into(cli: Cli, pipeline: Path, tmp_path: Path, option: str) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    with subprocess.Popen(["cat", pipe], stdout=subprocess.PIPE) as reader:
        cli("run", pipeline, "--local", option, pipe)
        said = reader.communicate(timeout=30)[0]

    assert b"poem" in said
    assert pipe.is_fifo()


ASKS = "name: tea\nsteps:\n  a: {kind: generate_text, model: qwen/qwen3-32b-awq, prompt: Tea.}\n"
REPORTS = ("--junit", "junit.xml", "--summary", "summary.md")


def test_a_run_that_lacks_its_key_leaves_reports_that_say_so(cli: Cli, pipeline: Path, tmp_path: Path) -> None:
    pipeline.write_text(ASKS)

    done = cli("run", "tea.yaml", *REPORTS)

    suite = ET.parse(tmp_path / "junit.xml").getroot()[0]  # noqa: S314 - ours
    assert done.code == 5
    assert (suite.get("name"), suite.get("errors"), suite.get("failures")) == ("tea.yaml", "1", "0")
    assert suite.findall("testcase/error")[0].get("message", "").startswith("There is no RUNPOD_API_KEY")
    assert (tmp_path / "summary.md").read_text().startswith("### tea.yaml: not started\n\n- There is no RUNPOD")


def test_the_problems_of_a_pipeline_are_errors_at_their_lines(cli: Cli, pipeline: Path, tmp_path: Path) -> None:
    pipeline.write_text(ASKS.replace("prompt: Tea.", "prompt: '{{ inputs.leaf }}', sed: 1"))

    done = cli("run", "tea.yaml", *REPORTS)

    cases = ET.parse(tmp_path / "junit.xml").getroot()[0].findall("testcase")  # noqa: S314 - ours
    assert done.code == 2
    assert [(case.get("name"), case.get("file"), case.get("line")) for case in cases] == [
        ("E104 unknown-input", "tea.yaml", "3"),
        ("E201 unknown-key", "tea.yaml", "3"),
    ]
    assert "There is no input leaf" in (tmp_path / "summary.md").read_text()


@pytest.mark.parametrize("arguments", [["run", "none.yaml"], ["run", "tea.yaml", "-i", "x=1"], ["resume"]])
def test_wrong_usage_is_in_the_reports_too(cli: Cli, pipeline: Path, tmp_path: Path, arguments: list[str]) -> None:
    done = cli(*arguments, *REPORTS)

    assert done.code == 2
    assert '<error type="run"' in (tmp_path / "junit.xml").read_text()
    assert ": not started" in (tmp_path / "summary.md").read_text()


def test_a_report_that_cannot_be_written_does_not_hide_why_a_run_cannot_start(cli: Cli, pipeline: Path) -> None:
    pipeline.write_text(ASKS)

    done = cli("run", "none.yaml", "--junit", "tea.yaml/x.xml")

    assert done.err.startswith("Error: There is no file none.yaml.")


def test_the_outputs_of_a_run_that_waits_are_left_out_and_no_failures(
    cli: Cli, pipeline: Path, tmp_path: Path, on_github: Path
) -> None:
    pipeline.write_text(
        "name: tea\nsteps:\n  fit: {kind: approve, question: Is it fit?}\n"
        "  line: {kind: render_text, text: Tea., needs: [fit]}\noutputs: {tea.txt: '{{ steps.line.text }}'}\n"
    )

    done = cli("run", "tea.yaml", "--quiet", *REPORTS)

    suite = ET.parse(tmp_path / "junit.xml").getroot()[0]  # noqa: S314 - ours
    assert done.code == 6
    assert (suite.get("failures"), suite.get("errors"), suite.get("skipped")) == ("0", "0", "3")
    assert suite.findall("testcase/skipped")[-1].get("message") == (
        "not made yet: it needs line; a person has to answer first"
    )
    assert (
        "::notice file=tea.yaml,line=5,col=11,endColumn=18,title=tea.txt::tea.txt is not made yet: it needs line"
        in done.err
    )
    assert "::error" not in done.err


def test_an_output_that_is_not_made_again_is_told_to_be_older_where_it_is_there(cli: Cli, pipeline: Path) -> None:
    text = (
        "name: tea\nsteps:\n  cake: {kind: render_text, when: WHEN, text: Cake.}\n"
        "outputs: {cake.txt: '{{ steps.cake.text }}'}\n"
    )
    pipeline.write_text(text.replace("WHEN", "true"))
    cli("run", "tea.yaml")
    pipeline.write_text(text.replace("WHEN", "false"))

    done = cli("run", "tea.yaml")

    assert done.code == 0
    assert "cake.txt    not made: cake was skipped; the file that is there is older" in done.out
    assert Path("out/tea/cake.txt").is_file()


def test_an_output_of_what_was_skipped_is_not_there_and_no_failure(
    cli: Cli, pipeline: Path, tmp_path: Path, on_github: Path
) -> None:
    pipeline.write_text(
        "name: tea\nsteps:\n  cake: {kind: render_text, when: false, text: Cake.}\n"
        "  cups: {kind: render_text, foreach: [1, 2], when: '{{ item > 1 }}', text: Cup.}\n"
        "  both: {kind: render_text, text: 'Tea and {{ steps.cake.text }}'}\n"
        "outputs:\n  cake.txt: '{{ steps.cake.text }}'\n  both.txt: '{{ steps.both.text }}'\n"
        "  cup.txt: \"{{ steps.cups['0'].text }}\"\n  '{key}.txt': '{{ steps.cups.text }}'\n"
        "  other.txt: \"{{ steps.cake.text | default('None.') }}\"\n"
    )

    done = cli("run", "tea.yaml", *REPORTS)

    suite = ET.parse(tmp_path / "junit.xml").getroot()[0]  # noqa: S314 - ours
    assert done.code == 0
    assert {path.name for path in (tmp_path / "out/tea").iterdir()} == {"1.txt", "other.txt"}
    assert "cake.txt    not made: cake was skipped" in done.out
    assert "both.txt    not made: both was skipped" in done.out
    assert "cup.txt     not made: cups['0'] was skipped" in done.out
    assert "Go on with" not in done.out
    assert (suite.get("failures"), suite.get("errors")) == ("0", "0")
    assert (
        "::notice file=tea.yaml,line=7,col=3,endColumn=11,title=cake.txt::cake.txt was not made: cake was skipped"
        in done.err
    )
    assert "::error" not in done.err


def test_a_full_disk_is_a_sentence(cli: Cli, pipeline: Path) -> None:
    done = cli("run", pipeline, "--local", "--quiet", "--events", "/dev/full")

    assert done.code == 1
    assert done.err.startswith("Error: The events cannot be written to /dev/full: No space left on device")


def test_resume_writes_them_too(cli: Cli, pipeline: Path, tmp_path: Path) -> None:
    cli("run", pipeline, "--local", "--quiet")
    pipeline.write_text(PIPELINE.replace('"no | json"', "'[1]'").replace("{{ steps.words.data }}", "Tea."))

    done = cli("resume", "--quiet", "--events", "events.jsonl", "--junit", "junit.xml", "--summary", "summary.md")

    first = (tmp_path / "events.jsonl").read_text().splitlines()[0]
    assert done.code == 0
    assert json.loads(first)["event"] == "RunResumed"
    assert "<failure" not in (tmp_path / "junit.xml").read_text()
    assert "### tea: done in" in (tmp_path / "summary.md").read_text()


# -- pictures ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("url", "public"),
    [
        ("https://image.runpod.ai/a.png?sig=1", True),
        ("http://203.0.114.7/a.png", True),
        ("http://127.0.0.1:4000/a.png", False),
        ("http://192.168.1.2/a.png", False),
        ("http://[::1]/a.png", False),
        ("http://localhost:9/a.png", False),
        ("https://nas.local/a.png", False),
        ("data:image/png;base64,AAAA", False),
        ("file:///a.png", False),
    ],
)
def test_a_picture_is_shown_where_anybody_can_fetch_it(url: str, public: bool) -> None:
    assert markdown.is_public(url) is public


def test_pictures_are_small_and_their_addresses_cannot_break_out() -> None:
    photo = Artifact("ab" * 32, "image/png", 3, "/a.png", url='https://images.example.com/a.png?a=1&b="><script>|')
    events: list[Event] = [
        RunStarted(1.0, "r", "tea", None, "tea.yaml", {}, {"photo": [], "voice": []}, {}),
        CellDone(2.0, "photo", cached=False, output={"image": photo}, model="m", cost=0.02),
        CellDone(
            2.0, "voice", cached=False, output={"audio": replace(photo, media_type="audio/wav")}, model="m", cost=0
        ),
        RunFinished(3.0, "done"),
    ]

    said = markdown.text(fold(events), {}, {}, [])

    shown = "https://images.example.com/a.png?a=1&amp;b=&quot;&gt;&lt;script&gt;%7C"
    assert f'<a href="{shown}"><img src="{shown}" alt="photo" height="96"></a>' in said
    assert said.count("<img") == 1


# -- GitHub --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("message", "properties", "line"),
    [
        ("No.", {}, "::error::No."),
        ("50% is\r\nmuch: a, b", {}, "::error::50%25 is%0D%0Amuch: a, b"),
        ("No.", {"file": "a:b,c%.yaml", "line": 3}, "::error file=a%3Ab%2Cc%25.yaml,line=3::No."),
        ("No.", {"title": "x::error::y\n"}, "::error title=x%3A%3Aerror%3A%3Ay%0A::No."),
    ],
)
def test_a_command_is_escaped_as_github_reads_it(message: str, properties: Mapping[str, str | int], line: str) -> None:
    assert github.command("error", message, **properties) == line


def test_a_value_cannot_end_its_output_and_begin_another(tmp_path: Path) -> None:
    values = {"text": "a\nrunner_0\nsecret<<x\nstolen\nx\n", "empty": "", "next": "b"}
    file = tmp_path / "output"

    file.write_text(github.outputs(values))

    assert outputs_of(file) == values


def test_a_failed_step_is_an_error_at_its_name_and_an_output_at_its_own(
    cli: Cli, pipeline: Path, on_github: Path
) -> None:
    done = cli("run", pipeline, "--local", "--quiet")

    first = r"^::error file=tea\.yaml,line=3,col=3,endColumn=8,title=words failed::.*no \| json"
    assert re.search(first, done.err, re.MULTILINE)
    assert "::error file=tea.yaml,line=13,col=3,endColumn=9,title=tea.md::tea.md was not made: " in done.err


FAILING = """\
name: tea
inputs: {data: {type: object, default: {}}}
models:
  writer: {model: qwen/qwen3-32b-awq, system: "{{ inputs.data.role }}"}
profiles:
  draft: {models: {writer: {model: qwen/qwen3-32b-awq, system: "As a {{ inputs.data.role }}"}}}
steps:
  block:
    kind: render_text
    text: |
      Tea, and
      {{ inputs.data.cake }} with it.
  two: {kind: render_text, text: "{{ inputs.data.a }} {{ inputs.data.b }}"}
  part:
    kind: generate_text
    model: qwen/qwen3-32b-awq
    messages: [{role: system, content: Tea.}, {role: user, content: "{{ inputs.data.c }}"}]
  cups: {kind: render_text, foreach: "{{ inputs.data.cups }}", text: A cup.}
  only: {kind: render_text, when: "{{ inputs.data.when }}", text: A cup.}
  alias: {kind: generate_text, model: writer, prompt: Tea.}
outputs:
  two.txt: "{{ steps.two.text }}"
  "{key}.txt": "{{ steps.cups.text }}"
"""


@pytest.mark.parametrize(
    ("cell", "options", "place"),
    [
        ("block failed", [], "line=12,col=7,endColumn=29"),
        ("two failed", [], "line=13,col=35,endColumn=54"),
        ("part failed", [], "line=17,col=70,endColumn=89"),
        ("cups failed", [], "line=18,col=39,endColumn=61"),
        ("only failed", [], "line=19,col=36,endColumn=58"),
        ("alias failed", [], "line=4,col=48,endColumn=70"),
        ("alias failed", ["--profile", "draft"], "line=6,col=70,endColumn=92"),
        ("two.txt", [], "line=22,col=3,endColumn=10"),
        ("{key}.txt", [], "line=23,col=3,endColumn=14"),
    ],
)  # fmt: skip
def test_what_failed_is_told_where_the_param_or_the_template_of_it_stands(
    cli: Cli, pipeline: Path, on_github: Path, cell: str, options: list[str], place: str
) -> None:
    pipeline.write_text(FAILING)

    done = cli("run", pipeline, "--local", "--quiet", "--junit", "junit.xml", *options)

    assert f"::error file=tea.yaml,{place},title={cell}::" in done.err
    lines = {case.get("name"): case.get("line") for case in ET.parse("junit.xml").getroot()[0]}  # noqa: S314 - ours
    name = cell.removesuffix(" failed") if " " in cell else f"output {cell}"
    assert f"line={lines[name]}," in place


def test_cells_are_in_the_order_of_the_file(cli: Cli, pipeline: Path, tmp_path: Path) -> None:
    cli("run", pipeline, "--local", "--quiet", "--junit", "junit.xml")

    names = [case.get("name", "") for case in ET.parse("junit.xml").getroot()[0]]  # noqa: S314 - ours
    assert [name.partition("[")[0] for name in names[:5]] == ["words", "late", "cups", "cups", "poem"]


INSIDE = (
    "name: inside\nsteps:\n  bad:\n    kind: parse_json\n    text: nonsense\noutputs: {a: '{{ steps.bad.data }}'}\n"
)


def test_what_failed_in_a_pipeline_inside_is_told_in_its_own_file(cli: Cli, pipeline: Path, on_github: Path) -> None:
    Path("parts").mkdir()
    Path("parts/inside.yaml").write_text(INSIDE)
    Path("parts/between.yaml").write_text(
        "name: between\nsteps:\n  in: {kind: run_pipeline, file: inside.yaml}\n"
        "outputs: {a: '{{ steps.in.outputs.a }}'}\n"
    )
    pipeline.write_text("name: tea\nsteps:\n  each: {kind: run_pipeline, file: parts/between.yaml, foreach: [a/b]}\n")

    done = cli("run", pipeline, "--local", "--quiet", "--junit", "junit.xml")

    assert "::error file=parts/inside.yaml,line=3,col=3,endColumn=6,title=each[a-b]/in/bad failed::" in done.err
    case = next(case for case in ET.parse("junit.xml").getroot()[0] if str(case.get("name")).endswith("bad"))  # noqa: S314 - ours
    assert (case.get("file"), case.get("line")) == ("parts/inside.yaml", "3")


def test_what_waits_for_a_person_is_no_failure_beside_one(cli: Cli, pipeline: Path, on_github: Path) -> None:
    picture = "kind: generate_image, model: black-forest-labs/flux-1-schnell, prompt: tea, size: 512x512"
    edit = "kind: edit_image, model: qwen/qwen-image-edit, prompt: warm"
    pipeline.write_text(
        "name: tea\nsteps:\n  bad: {kind: parse_json, text: nonsense}\n"
        f"  photo: {{{picture}, pick: {{of: 2}}}}\n  late: {{{edit}, image: '{{{{ steps.photo.image }}}}'}}\n"
        "outputs: {bad: '{{ steps.bad.data }}', late.png: '{{ steps.late.image }}'}\n"
    )

    done = cli("run", pipeline, "--local", "--quiet", "--junit", "junit.xml")

    ends = {case.get("name"): [each.tag for each in case] for case in ET.parse("junit.xml").getroot()[0]}  # noqa: S314 - ours
    assert (done.code, ends["output bad"], ends["output late.png"]) == (1, ["failure"], ["skipped"])
    assert "late.png is not made yet: it needs late" in done.err
    assert "::error file=tea.yaml,line=6,col=11,endColumn=14,title=bad::bad was not made: it needs bad" in done.err


def test_what_a_budget_says_is_told_where_it_stands(cli: Cli, pipeline: Path, on_github: Path) -> None:
    pipeline.write_text(f"{ASKS}budget: {{usd: 0.000001}}\n")

    done = cli("run", pipeline, "--local", "--quiet")

    assert "::error file=tea.yaml,line=4,col=1,endColumn=7,title=budget::" in done.err


def test_a_budget_that_is_used_up_is_one_error_and_what_it_leaves_out_is_none(
    cli: Cli, pipeline: Path, on_github: Path
) -> None:
    outputs = "outputs: {a.txt: '{{ steps.a.text }}', b.txt: '{{ steps.a.text }}'}\n"
    pipeline.write_text(f"{ASKS}budget: {{usd: 0.000001}}\n{outputs}")

    done = cli("run", pipeline, "--local", "--quiet")

    assert done.code == 4
    assert done.err.count("::error ") == 1
    assert done.err.count("::notice ") == 2


def test_later_steps_read_how_it_ended_and_each_output(cli: Cli, pipeline: Path, on_github: Path) -> None:
    cli("run", pipeline, "--local", "--quiet")

    said = outputs_of(on_github / "output")
    assert said["outcome"] == "failed"
    assert said["poem"] == "one\ntwo\n"
    assert Path(said["green_txt"]).read_text() == "green"
    assert json.loads(said["outputs"])["green.txt"] == said["green_txt"]
    assert (on_github / ".runner/runs" / said["run"]).is_dir()
    assert Path(said["folder"]).is_dir()


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["run", "wrong.yaml"], 2),
        (["run", "asks.yaml"], 5),
        (["run", "tea.yaml", "--offline", "--record", "x"], 2),
        (["run", "tea.yaml", "--budget", "none"], 2),
        (["run", "tea.yaml", "--bugdet", "1"], 2),
        (["resume", "--approve", "perhaps"], 2),
    ],
)
def test_later_steps_read_that_a_run_could_not_begin(
    cli: Cli, pipeline: Path, on_github: Path, arguments: list[str], code: int
) -> None:
    (on_github / "asks.yaml").write_text(ASKS)
    (on_github / "wrong.yaml").write_text(ASKS.replace("Tea.", "'{{ inputs.leaf }}'"))

    done = cli(*arguments)

    assert done.code == code
    assert outputs_of(on_github / "output") == {"outcome": "not started"}
    assert "::error " in done.err


def test_a_check_that_is_typed_wrong_is_an_annotation_and_no_outcome(cli: Cli, pipeline: Path, on_github: Path) -> None:
    done = cli("check", "tea.yaml", "--fromat", "json")

    assert done.code == 2
    assert "::error title=runner::No such option" in done.err
    assert not (on_github / "output").exists()


def test_the_summary_is_added_to_what_stands_there(cli: Cli, pipeline: Path, on_github: Path) -> None:
    (on_github / "summary.md").write_text("# Before\n")

    cli("run", pipeline, "--local", "--quiet")

    assert (on_github / "summary.md").read_text().startswith("# Before\n### tea: failed in ")


def test_keys_in_use_are_masked_line_by_line_and_others_are_not(
    cli: Cli, pipeline: Path, on_github: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pipeline.write_text(
        "name: tea\nmodels:\n  mine: {base_url: 'http://localhost:1/v1', model: m, api_key_env: MINE, "
        "headers: {X-Team: {env: TEAM}}}\nsteps:\n  a: {kind: generate_text, model: mine, prompt: Tea.}\n"
    )
    secrets = {"RUNPOD_API_KEY": "rpa_1%", "MINE": "first\nsecond", "TEAM": "blue", "OTHER_API_KEY": "unused"}
    for name, value in secrets.items():
        monkeypatch.setenv(name, value)

    done = cli("run", pipeline, "--local", "--quiet")

    masked = [line for line in done.err.splitlines() if line.startswith("::add-mask::")]
    assert masked == [f"::add-mask::{word}" for word in ("rpa_1%25", "first", "second", "blue")]


def test_an_error_that_ends_a_command_is_an_annotation(cli: Cli, pipeline: Path, on_github: Path) -> None:
    done = cli("run", "nothing.yaml", "--local")

    assert done.code == 2
    assert "::error title=runner::There is no file nothing.yaml." in done.err


def test_away_from_github_none_of_it_is_said(cli: Cli, pipeline: Path, tmp_path: Path) -> None:
    done = cli("run", pipeline, "--local")

    assert "::" not in done.err + done.out
    assert not (tmp_path / "output").exists()


def test_a_step_in_a_real_process_says_it_all(pipeline: Path, tmp_path: Path) -> None:
    env = {
        **{name: value for name, value in os.environ.items() if name not in RUNNERS},
        "GITHUB_ACTIONS": "true", "GITHUB_WORKSPACE": str(tmp_path), "RUNPOD_API_KEY": "rpa_secret",
        "GITHUB_OUTPUT": str(tmp_path / "output"), "GITHUB_STEP_SUMMARY": str(tmp_path / "summary.md"),
    }  # fmt: skip

    done = subprocess.run(
        [sys.executable, "-m", "runner", "run", "tea.yaml", "--local", "--events", "-"],
        cwd=tmp_path, env=env, capture_output=True, text=True, check=False,
    )  # fmt: skip

    assert done.returncode == 1
    assert done.stderr.startswith("::add-mask::rpa_secret\n")
    assert all(json.loads(line)["format"] == 1 for line in done.stdout.splitlines())
    assert outputs_of(tmp_path / "output")["outcome"] == "failed"
