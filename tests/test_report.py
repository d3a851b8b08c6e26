"""`runner report`: a run as one HTML file that needs nothing but itself."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote

import pytest

from runner import history, retelling
from runner.emulator import Emulator, Latency, parse_fault

from .conftest import REPO, Cli
from .test_cli import started, until

VOID = {"meta", "link", "img", "input", "br", "hr", "path", "rect"}
POTS = """\
name: pots
version: 1.0.0
inputs:
  mood: {type: string, default: at dawn}
steps:
  draft: {kind: generate_text, model: qwen/qwen3-32b-awq, prompt: "A pot {{ inputs.mood }}."}
  pot:
    kind: generate_image
    model: qwen/qwen-image
    foreach: [red, blue]
    prompt: "a {{ item }} pot {{ inputs.mood }}"
    size: 512x512
  edit:
    kind: edit_image
    model: qwen/qwen-image-edit
    foreach: "{{ steps.pot }}"
    image: "{{ item.image }}"
    prompt: warmer
outputs:
  "{key}.png": "{{ steps.edit.image }}"
  draft.txt: "{{ steps.draft.text }}"
"""


@dataclass
class Page(HTMLParser):
    """A page as a browser would take it apart: elements with their attributes, and the text of each."""

    path: Path
    elements: list[tuple[str, dict[str, str]]] = field(default_factory=list)
    texts: list[tuple[str, str]] = field(default_factory=list)
    open: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.feed(self.path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, {name: value or "" for name, value in attrs}))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, {name: value or "" for name, value in attrs}))

    def handle_endtag(self, tag: str) -> None:
        if tag not in VOID:
            assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.texts.append((self.open[-1] if self.open else "", data))

    @property
    def text(self) -> str:
        """All that is read, in one line."""
        return " ".join(" ".join(text for tag, text in self.texts if tag not in ("style", "script", "title")).split())

    def all(self, tag: str, name: str) -> list[str]:
        return [attrs[name] for each, attrs in self.elements if each == tag and name in attrs]

    def sound(self) -> Page:
        """Fails the test unless the page needs nothing else, can be read by all, and runs no script but its own."""
        assert self.open == []
        ids = [attrs["id"] for _, attrs in self.elements if "id" in attrs]
        assert len(ids) == len(set(ids))
        for tag, attrs in self.elements:
            assert not [name for name in attrs if name.startswith("on")], (tag, attrs)
            for place in (attrs.get("src"), attrs.get("href"), attrs.get("poster")):
                if place is None or place.startswith("data:"):
                    continue
                if place.startswith("#"):
                    assert place == "#" or unquote(place[1:]) in ids, place
                else:
                    assert (self.path.parent / unquote(place)).is_file(), place
        assert all(alt for alt in self.all("img", "alt")[:-1])  # the last is the larger view, which is empty yet
        assert len(self.all("img", "alt")) == sum(tag == "img" for tag, _ in self.elements)
        assert [tag for tag, _ in self.elements if tag in ("main", "nav", "h1")] == ["h1", "nav", "main"]
        scripts = [text for tag, text in self.texts if tag == "script"]
        digest = base64.b64encode(hashlib.sha256("".join(scripts).encode()).digest()).decode()
        assert sum(tag == "script" for tag, _ in self.elements) == 1
        policy = next(attrs["content"] for tag, attrs in self.elements if attrs.get("http-equiv"))
        assert policy.startswith("default-src 'none'; img-src data:; media-src data:; style-src 'unsafe-inline'; ")
        assert f"script-src 'sha256-{digest}'; " in policy
        return self


Report = Callable[..., Page]


@pytest.fixture
def report(cli: Cli, tmp_path: Path) -> Report:
    """Writes the page of a run and reads it."""

    def write(*arguments: object) -> Page:
        done = cli("report", *arguments)
        assert done.code == 0, done.err
        return Page((tmp_path / done.out.strip()).resolve()).sound()

    return write


def example(name: str) -> Path:
    """A copy of one of our pipelines, in a project of its own."""
    path = Path(f"{name}.yaml").resolve()
    path.write_text((REPO / f"pipelines/{name}.yaml").read_text())
    return path


def run(cli: Cli, *arguments: object) -> str:
    done = cli("run", *arguments, "--json")
    assert done.out, done.err
    return str(json.loads(done.out)["run"])


def test_a_page_tells_all_of_a_run(cli: Cli, report: Report, tmp_path: Path) -> None:
    name = run(cli, example("product-card"), "--local")

    page = report()

    assert page.path == tmp_path / ".runner/runs" / name / "report.html"
    assert "product-card 1.2.0 ✓ done" in page.text
    assert "Cost 0.00 USD, would be 0.0239 on Runpod" in page.text
    assert "USD on Runpod" in page.text
    assert "Describe a red ceramic teapot for a web shop as" in page.text  # the prompt as it was rendered
    assert '"title": "Red Ceramic Teapot"' in page.text
    assert "max_tokens 2048" in page.text
    assert "season autumn" in page.text
    assert "black-forest-labs/flux-1-schnell" in page.text
    assert "The emulator made this, so nothing was paid" in page.text
    assert page.all("span", "id")[0] == "line-1"  # the pipeline, line by line
    pictures = page.all("img", "alt")
    assert "photo: A red ceramic teapot on a linen cloth" in " ".join(pictures)
    assert "The picture before the edit" in pictures
    assert "Before and after, seasonal" in page.all("div", "data-slider")
    assert {"../../../out/product-card/card.json", "photo.jpg"} <= set(page.all("a", "href"))


def test_each_picture_is_in_the_page_byte_for_byte(cli: Cli, report: Report, tmp_path: Path) -> None:
    run(cli, example("product-card"), "--local")

    found = {hashlib.sha256(base64.b64decode(src.partition(",")[2])).hexdigest() for src in report().all("img", "src")}

    stored = {path.parent.name + path.stem for path in (tmp_path / ".runner/store/blobs").rglob("*.jpg")}
    assert len(stored) == 2
    assert stored <= found


def test_sound_and_video_can_be_played(cli: Cli, report: Report) -> None:
    voice = run(cli, example("narrated-story"), "--local")
    film = run(cli, example("text-to-video"), "--local")

    sounds, films = report(voice).all("audio", "src"), report(film).all("video", "src")

    assert len(sounds) == 6  # three cells, three outputs
    assert all(src.startswith("data:audio/") for src in sounds)
    assert len(films) == 2
    assert all(src.startswith("data:video/mp4;base64,") for src in films)


def test_what_a_model_says_is_never_markup(cli: Cli, report: Report) -> None:
    evil = "<script>alert(1)</script><img src=x onerror=alert(2)>\"'><a href=javascript:alert(3)>{{ 7 * 7 }}"
    Path("pots.yaml").write_text(POTS)
    run(cli, "pots.yaml", "--local", "-i", f"mood={evil}")

    page = report()  # sound() sees that there is one script, ours, no handler of an event and no foreign address

    assert evil in page.text
    assert any(evil in alt for alt in page.all("img", "alt"))


def test_a_failure_shows_its_line_and_what_was_asked_in_vain(
    cli: Cli, report: Report, monkeypatch: pytest.MonkeyPatch
) -> None:
    Path("pots.yaml").write_text(POTS)
    with Emulator(seed=1, faults=[parse_fault("qwen-image-edit/run=500*always")]) as server:
        monkeypatch.setenv("RUNPOD_BASE_URL", server.url)
        monkeypatch.setenv("RUNPOD_API_KEY", "k")
        path = Path("pots.yaml")
        path.write_text(POTS.replace("    prompt: warmer", "    prompt: warmer\n    retry: {attempts: 2, wait: 0.05}"))
        run(cli, path)

    page = report()

    assert re.search(r"edit\[\w+\] , edit\[\w+\] failed \( server \): qwen-image-edit answered 500", page.text)
    assert "pots.yaml, line 13" in page.text
    hot = [attrs["class"] for tag, attrs in page.elements if tag == "span" and attrs.get("class") == "l hot"]
    assert len(hot) == 1  # one mistake, however many cells it is made in
    assert page.text.count("Tried again 1×") == 2
    assert "try 1 failed ( server ): qwen-image-edit answered 500" in page.text
    assert "2 failed" in page.text
    assert page.text.count("prompt warmer") == 2  # the store has no reply to it: it is what the pipeline asks


def test_the_parameter_that_a_failure_names_is_the_line_that_is_shown(cli: Cli, report: Report) -> None:
    Path("t.yaml").write_text(
        "name: t\ninputs: {n: {type: list, default: []}}\nsteps:\n  a:\n    kind: render_text\n"
        "    text: '{{ inputs.n[3] }}'\n"
    )
    run(cli, "t.yaml", "--local")

    page = report()

    assert "t.yaml, line 6" in page.text


def test_the_template_that_failed_in_a_long_text_is_the_line_that_is_shown(cli: Cli, report: Report) -> None:
    Path("t.yaml").write_text(
        "name: t\ninputs: {n: {type: object, default: {tea: 1}}}\nsteps:\n  a:\n    kind: render_text\n"
        "    text: |\n      {{ inputs.n.tea }} pots\n      and {{ inputs.n.cake }}.\n"
    )
    run(cli, "t.yaml", "--local")

    page = report()

    assert "t.yaml, line 8" in page.text


def test_a_run_that_was_killed_and_taken_up_again_is_told_in_two_parts(
    cli: Cli, report: Report, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Path("pots.yaml").write_text(POTS)
    with Emulator(seed=1, latency={"qwen-image-edit": Latency(execution=0.7)}) as server:
        process = started("run", "pots.yaml", folder=tmp_path, RUNPOD_API_KEY="k", RUNPOD_BASE_URL=server.url)
        until(lambda: server.count("status-sync") == 4)
        process.kill()
        process.communicate()
        cut = report()
        monkeypatch.setenv("RUNPOD_BASE_URL", server.url)
        monkeypatch.setenv("RUNPOD_API_KEY", "k")
        cli("resume")

    page = report()

    assert "pots 1.0.0 ✂ cut" in cut.text
    assert "runner resume takes it up again" in cut.text
    assert re.search(r"The run was taken up again [0-9.]+ m?s after it had stopped; that time is cut out.", page.text)
    assert "edit ✓ 2 done" in page.text
    assert "pot ✓ 2 done" in page.text  # by this run, though it found them in the store when it was taken up again


def test_sixty_cells_are_a_gallery_and_a_short_timeline(cli: Cli, report: Report) -> None:
    items = ", ".join(f"n{i}" for i in range(60))
    Path("many.yaml").write_text(
        f"name: many\nsteps:\n  note: {{kind: render_text, foreach: [{items}], text: 'note {{{{ item }}}}'}}\n"
    )
    run(cli, "many.yaml", "--local")

    page = report()

    assert "✓ 60 done" in page.text
    assert "48 more cells of note" in page.text
    assert page.text.count("note n59") == 1


def test_more_cells_than_fit_are_left_out_and_counted(cli: Cli, report: Report) -> None:
    Path("many.yaml").write_text(
        "name: many\nsteps:\n  note: {kind: render_text, limit: 400, foreach: '{{ range(400) | list }}', "
        "text: 'note {{ item }}'}\n"
    )
    run(cli, "many.yaml", "--local")

    page = report()

    assert "300 of 400 cells are shown, those that failed first." in page.text


def test_pictures_that_do_not_fit_are_smaller_and_link_to_their_files(cli: Cli, tmp_path: Path) -> None:
    run(cli, example("product-card"), "--local")
    home = tmp_path / ".runner"

    path = retelling.write_page(history.find(home, None), None, home, tmp_path / "small.html", {}, room=100_000)

    page = Page(path).sound()
    assert "There are more pictures than fit into one file" in page.text
    assert path.stat().st_size < 240_000
    assert any(src.startswith("data:image/webp") for src in page.all("img", "src"))
    assert f".runner/runs/{next((home / 'runs').iterdir()).name}/photo.jpg" in page.all("a", "href")


def test_sound_that_does_not_fit_is_a_link(cli: Cli, tmp_path: Path) -> None:
    run(cli, example("narrated-story"), "--local")
    home = tmp_path / ".runner"

    path = retelling.write_page(history.find(home, None), None, home, tmp_path / "small.html", {}, room=300_000)

    page = Page(path).sound()
    assert len(page.all("audio", "src")) < 6
    assert "too large to be in this page" in page.text


def test_a_pipeline_inside_has_its_steps_told_too(cli: Cli, report: Report) -> None:
    Path("inner.yaml").write_text(
        "name: inner\ninputs: {who: {type: string}}\nsteps:\n"
        "  line: {kind: generate_text, model: qwen/qwen3-32b-awq, prompt: 'For {{ inputs.who }}.'}\n"
        "outputs: {a: '{{ steps.line.text }}'}\n"
    )
    Path("outer.yaml").write_text(
        "name: outer\nsteps:\n  each: {kind: run_pipeline, file: inner.yaml, foreach: [x, y], "
        "inputs: {who: '{{ item }}'}}\n"
    )
    run(cli, "outer.yaml", "--local")

    page = report()

    assert {"step-each", "step-each/line"} <= set(page.all("article", "id"))
    assert "each[x]/line" in page.text
    assert "For y." in page.text


def test_a_failure_in_a_pipeline_inside_shows_the_line_of_its_own_file(cli: Cli, report: Report) -> None:
    Path("inner.yaml").write_text(
        "name: inner\nsteps:\n  idea: {kind: render_text, text: a pot}\n  bad:\n    kind: parse_json\n"
        "    text: '{{ steps.idea.text }}'\n  rest: {kind: render_text, text: '{{ steps.bad.data }}'}\n"
        "outputs: {a: '{{ steps.rest.text }}'}\n"
    )
    Path("outer.yaml").write_text("name: outer\nsteps:\n  part: {kind: run_pipeline, file: inner.yaml}\n")
    run(cli, "outer.yaml", "--local")
    cli("resume")

    page = report()
    os.utime("inner.yaml", (2**32, 2**32))
    later = report()

    assert "part failed ( pipeline ): inner.yaml did not make a: it needs rest outer.yaml, line 3" in page.text
    assert "part/bad failed ( bad_output )" in page.text
    assert "inner.yaml, line 4 4 bad: 5 kind: parse_json" in page.text
    assert "inner.yaml, line 4 (changed after the run)" in later.text
    assert not re.search(r'class="node failed"(?:(?!</g>).)*class="node', page.path.read_text(), re.DOTALL)


PICKED = """\
name: picked
steps:
  pot:
    kind: generate_image
    model: black-forest-labs/flux-1-schnell
    prompt: a pot
    size: 512x512
    pick: {of: 3}
  fit: {kind: approve, question: Fit?, show: ["{{ steps.pot.image }}"]}
outputs: {pot.png: "{{ steps.pot.image }}"}
"""


def test_candidates_are_shown_and_the_one_that_was_chosen(cli: Cli, report: Report) -> None:
    Path("picked.yaml").write_text(PICKED)
    run(cli, "picked.yaml", "--local")
    asks = report()
    cli("pick", "pot", "2")
    cli("resume")
    cli("approve", "fit", "yes")
    cli("resume")

    page = report()

    pictures = [f"Candidate {number} of pot" for number in (1, 2, 3)]
    assert [alt for alt in asks.all("img", "alt") if alt in pictures] == pictures
    assert "chosen" not in asks.text
    assert [alt for alt in page.all("img", "alt") if alt in pictures] == pictures
    assert "1 2 ✓ chosen 3" in page.text.replace(" , larger", "")
    assert "Candidate 2 of 3 was chosen." in page.text
    assert "candidate 3 of pot" in page.text  # a row of the timeline for each
    assert "fit ✓ done" in page.text  # it was answered in this run


def test_two_runs_are_beside_each_other(cli: Cli, report: Report) -> None:
    card = example("product-card")
    first = run(cli, card, "--local")
    second = run(cli, card, "--local", "-i", "season=winter")

    page = report(first, "--compare", second)  # in whichever order they are named

    assert page.text.index(f"Two runs beside each other {first}") < page.text.index(second)
    assert "season - autumn + winter" in page.text
    assert "draft ✓ done ◆ from the store nothing" in page.text
    assert "seasonal ✓ done ✓ done what was asked, pictures" in page.text
    assert (
        "- Put the product on a table in autumn. Keep the product unchanged. + Put the product on a table in winter."
        in page.text
    )
    assert "Earlier and later, seasonal" in page.all("div", "data-slider")
    sections = [each for each in page.all("section", "id") if each in ("differences", "steps", "graph", "timeline")]
    assert sections == ["differences", "steps", "graph", "timeline"]


def test_what_was_asked_of_another_model_is_told_by_the_name_of_the_endpoint(cli: Cli, report: Report) -> None:
    picture = "name: a\nsteps:\n  x: {kind: generate_image, model: black-forest-labs/MODEL, prompt: Tea}\n"
    Path("a.yaml").write_text(picture.replace("MODEL", "flux-1-dev"))
    first = run(cli, "a.yaml", "--local")
    Path("a.yaml").write_text(picture.replace("MODEL", "flux-1-schnell"))
    run(cli, "a.yaml", "--local")

    page = report("--compare", first)

    assert " endpoint - black-forest-labs-flux-1-dev + black-forest-labs-flux-1-schnell" in page.text


def test_two_runs_beside_each_other_are_told_apart_by_their_profiles(cli: Cli, report: Report) -> None:
    Path("a.yaml").write_text(
        "name: a\nprofiles: {draft: {deadline: 1h}}\nsteps:\n  x: {kind: render_text, text: Tea.}\n"
    )
    first = run(cli, "a.yaml", "--local")
    second = run(cli, "a.yaml", "--local", "--profile", "draft")

    page = report("--compare", first)

    assert page.text.count(f"{second}, profile draft") == 5
    assert f"{first}, profile" not in page.text
    assert page.all("section", "aria-label").count(f"x in {second}, profile draft") == 1
    assert ("h1", "a") in page.texts
    assert ("h1", "a, profile draft") in report(second).texts


def test_cells_that_only_one_run_has_are_told(cli: Cli, report: Report) -> None:
    Path("a.yaml").write_text("name: a\nsteps:\n  x: {kind: render_text, foreach: [p, q], text: 'n {{ item }}'}\n")
    first = run(cli, "a.yaml", "--local")
    Path("a.yaml").write_text("name: a\nsteps:\n  x: {kind: render_text, foreach: [q, r], text: 'n {{ item }}'}\n")
    run(cli, "a.yaml", "--local")

    page = report("--compare", first)

    assert "x[r] – ✓ done only in one of them" in page.text
    assert "x[p] ✓ done – only in one of them" in page.text
    assert page.text.count("There was no such cell.") == 2


def test_a_text_that_is_json_is_shown_once(cli: Cli, report: Report) -> None:
    path = Path("soap.yaml")
    path.write_text(
        "name: soap\nsteps:\n  words: {kind: generate_text, model: qwen/qwen3-32b-awq, prompt: about soap, "
        "schema: {type: object, properties: {unlikely: {const: 7341}}, required: [unlikely]}}\n"
    )
    run(cli, path, "--local")

    page = report()

    assert [text for _, text in page.texts if text == "7341"] == ["7341", "7341"]  # and once in what was asked
    assert not [text for _, text in page.texts if text.strip().startswith("{") and '"unlikely": 7341' in text]


def test_what_is_gone_is_said(cli: Cli, report: Report, tmp_path: Path) -> None:
    run(cli, example("product-card"), "--local")
    for path in (tmp_path / ".runner/store/blobs").rglob("*.jpg"):
        path.unlink()
    (tmp_path / "out/product-card/card.png").unlink()

    page = report()

    assert "photo: its file is no longer there." in page.text
    assert "card.png It is no longer there." in page.text


def test_a_run_whose_pipeline_and_journal_are_damaged_is_told_as_far_as_it_goes(
    cli: Cli, report: Report, tmp_path: Path
) -> None:
    folder = tmp_path / ".runner/runs" / run(cli, example("product-card"), "--local")
    (folder / "pipeline.yaml").write_bytes(b"\xff\xfe steps: [")
    journal = folder / "events.jsonl"
    lines = journal.read_text().splitlines(keepends=True)
    journal.write_text("".join([*lines[:-3], "{broken\n", *lines[-3:]]))

    page = report()

    assert "product-card 1.2.0 ✗ damaged" in page.text
    assert "is damaged at line" in page.text
    assert "Red Ceramic Teapot" in page.text


def test_a_page_is_opened_in_the_browser_that_the_user_has(
    cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(cli, example("product-card"), "--local")
    browser, seen = tmp_path / "browser", tmp_path / "seen"
    browser.write_text(f'#!/bin/sh\nprintf %s "$1" > {seen}\n')
    browser.chmod(0o755)
    monkeypatch.setenv("BROWSER", f"{browser} %s")

    done = cli("report", "--out", "card.html", "--open")

    assert done.out == "card.html\n"
    assert seen.read_text() == (tmp_path / "card.html").as_uri()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["nope"], "There is no run nope in "),
        (["--out", "."], "--out . is a folder. Name a file in it: --out report.html"),
        (["--compare", "RUN"], "cannot be compared with itself. Name two runs; runner runs lists them."),
        (["--out", "file/x.html"], "file/x.html cannot be written: "),
    ],
)
def test_what_cannot_be_told_is_said_in_a_sentence(cli: Cli, arguments: list[str], said: str) -> None:
    name = run(cli, example("product-card"), "--local")
    Path("file").write_text("")

    done = cli("report", *(name if word == "RUN" else word for word in arguments))

    assert done.code in (1, 2)
    assert said in done.err
    assert re.match(r"Error: .*\n\Z", done.err)
    assert os.listdir(f".runner/runs/{name}").count("report.html") == 0  # noqa: PTH208


TWICE = """\
name: twice
inputs: {mood: {type: string, default: dawn}}
steps:
  draft: {kind: generate_text, model: qwen/qwen3-32b-awq, prompt: "A pot at {{ inputs.mood }}."}
  pot: {kind: generate_image, model: qwen/qwen-image, prompt: "a pot at {{ inputs.mood }}", size: 512x512}
outputs:
  draft.txt: "{{ steps.draft.text }} {{ inputs.mood }}"
  pot.webp: "{{ steps.pot.image }}"
  mood: "{{ inputs.mood }}"
"""


def test_an_older_run_shows_what_it_made_and_not_what_was_written_over_it(cli: Cli, report: Report) -> None:
    Path("twice.yaml").write_text(TWICE)
    first = run(cli, "twice.yaml", "--local")
    alone = report(first)
    second = run(cli, "twice.yaml", "--local", "-i", "mood=midnight")

    page, newer = report(first), report(second)

    assert "midnight" not in page.text
    assert page.text.count(f"was written over since by run {second}. This is what this run made.") == 3
    assert "written over" not in alone.text + newer.text
    assert not [place for place in page.all("a", "href") if "/out/" in place]
    assert set(page.all("img", "src")) & set(newer.all("img", "src")) == {"data:,"}  # the larger view, empty yet


def test_what_the_store_no_longer_has_is_no_other_runs(cli: Cli, report: Report) -> None:
    Path("twice.yaml").write_text(TWICE)
    first = run(cli, "twice.yaml", "--local")
    for blob in Path(".runner/store/blobs").glob("*/*"):
        blob.unlink()
    second = run(cli, "twice.yaml", "--local", "-i", "mood=midnight")

    page = report(first)

    assert f"written over since by run {second}. What this run made is no longer in the store." in page.text


def test_a_journal_without_digests_knows_by_later_runs_what_was_written_over(cli: Cli, report: Report) -> None:
    Path("twice.yaml").write_text(TWICE)
    first = run(cli, "twice.yaml", "--local")
    journal = Path(".runner/runs") / first / "events.jsonl"
    *lines, last = journal.read_text().splitlines()
    old = {name: value for name, value in json.loads(last).items() if name not in ("digests", "values")}
    journal.write_text("\n".join([*lines, json.dumps(old), ""]))
    second = run(cli, "twice.yaml", "--local", "-i", "mood=midnight")

    page, shown = report(first), cli("show", first).out

    assert f"written over since by run {second}" in page.text
    assert f"written over since by run {second}" in shown
    assert "midnight" not in page.text


def test_show_names_no_file_that_another_run_has_written_over(cli: Cli) -> None:
    Path("twice.yaml").write_text(TWICE)
    first = run(cli, "twice.yaml", "--local")
    before = cli("show", first).out
    second = run(cli, "twice.yaml", "--local", "-i", "mood=midnight")

    after = cli("show", first).out

    assert re.search(r"draft\.txt +\S*out/twice/draft\.txt", before)
    assert re.search(rf"draft\.txt +written over since by run {second}", after)
    assert "out/twice" not in after


def test_show_for_programs_says_which_outputs_another_run_has_written_over(cli: Cli) -> None:
    Path("twice.yaml").write_text(TWICE)
    first = run(cli, "twice.yaml", "--local")
    before = json.loads(cli("show", first, "--json").out)
    second = run(cli, "twice.yaml", "--local", "-i", "mood=midnight")

    after = json.loads(cli("show", first, "--json").out)

    assert "since" not in before
    assert after["since"]["draft.txt"] == f"written over since by run {second}"
    assert after["outputs"] == before["outputs"]
    assert "since" not in json.loads(cli("show", second, "--json").out)
