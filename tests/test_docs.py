"""What the README and ``docs/`` show is so: YAML is checked, commands and Python are run, the reference is current.

Commands run in a folder of their own with a copy of ``pipelines/``, those of a page one after the other, and against
the emulator where they would ask Runpod. What they print must hold the lines that are shown under them, in that order;
times, sizes and ids may be others, and ``…`` stands for anything.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import pytest

from runner import known, loading, source, testing
from runner.cases.case import SUFFIX
from runner.errors import RunnerError
from scripts import reference, site

from . import pages
from .conftest import REPO, Cli
from .pages import COMMANDS, PAGES, YAML, Block, Command

ELSEWHERE = {
    "cd": "the folder is the page's own",
    "git": "it asks another computer",
    "pip": "it asks a package registry",
    "source": "the environment is that of the tests",
    ".": "the environment is that of the tests",
    ".venv\\Scripts\\activate": "it is for Windows",
    "open": "it opens a window",
}
"""Commands that are never run, and why."""

READS = ("cat", "ls", "mkdir", "cp", "rm", "head", "printf", "echo", "python3")
"""Programs of the system that are run."""

PATH = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
"""Where a shell finds `runner`."""

ASKS = ("run", "lock", "doctor")
"""Commands of ours that would ask Runpod."""


WORDS = {"pipeline", "step", "matrix", "needs", "when", "kind", "params", "model", "catalogue", "plan", "run",
         "cell", "attempt", "call", "endpoint", "job", "ticket", "reply", "output", "artifact", "digest", "blob",
         "key", "store", "journal", "event", "sink", "fold", "reporter", "transport", "cassette", "emulator",
         "budget", "problem", "error", "profile", "lock"}  # fmt: skip
"""The words that the code and the pages share."""


def name(page: Path) -> str:
    return page.relative_to(REPO).as_posix()


def of(page: Path, *languages: str) -> list[Block]:
    return [block for block in pages.blocks(page) if block.language in languages]


WITH_YAML = [page for page in PAGES if of(page, *YAML)]
WITH_COMMANDS = [page for page in PAGES if of(page, *COMMANDS, "python")]


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A folder as a reader has it: a project with the pipelines that come with `runner`."""
    shutil.copytree(REPO / "pipelines", tmp_path / "pipelines")
    (tmp_path / "runner.yaml").write_text("{}\n")
    return tmp_path


def problems(path: Path) -> list[str]:
    found = testing.read(path).problems if path.name.endswith(SUFFIX) else loading.read(path).problems
    return [str(problem) for problem in found if not problem.warning]


def data_of(block: Block) -> Any:
    """What a block of YAML says; nothing if it is a piece that cannot be read by itself."""
    with contextlib.suppress(RunnerError):
        return source.parse(block.text, block.place).data
    return None


@pytest.mark.parametrize("page", WITH_YAML, ids=name)
def test_the_yaml_of_a_page_has_no_problems(project: Path, page: Path) -> None:
    shown = [block for block in of(page, *YAML) if "not run" not in block.marks]

    found = [f"{block.place}: {fault}" for block in shown for fault in wrong_with(block, project)]

    assert found == []


def wrong_with(block: Block, project: Path) -> list[str]:
    path = written(block, project)
    if path is None and pages.others(data_of(block)):
        return []
    if path is None:
        return ["This is neither a pipeline nor a piece of one. Say why it is not run: <!-- not run: … -->"]
    try:
        source.parse(path.read_text(encoding="utf-8"), block.place)
        if path.name == "runner.yaml":
            known.models(project, None)
            return []
        return problems(path) if path.parent.name == "pipelines" else []
    except RunnerError as err:
        return [str(err)]


def written(block: Block, project: Path) -> Path | None:
    """The file that a block of YAML stands for, written as the page says; a piece is written as a whole pipeline."""
    data = data_of(block)
    fragment = None if block.title else pages.whole(block.text)
    if block.title:
        path, text = project / block.title, block.text
    elif pages.is_whole(data):
        path, text = project / "pipelines" / f"{data['name']}.yaml", block.text
    elif pages.are_rows(data):
        path, text = project / "runner.yaml", block.text
    elif fragment is not None:
        path, text = project / "pipelines/fragment.yaml", json.dumps(fragment)
    else:
        return None
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.parametrize("page", WITH_COMMANDS, ids=name)
def test_the_commands_of_a_page_do_what_it_shows(
    cli: Cli, project: Path, page: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found: list[str] = []
    for block in pages.blocks(page):
        if "not run" in block.marks:
            continue
        if block.language in YAML:
            if block.title or "\nsteps:" in block.text:
                written(block, project)
            continue
        if by_hand := block.marks.get("by hand"):
            assert shell(by_hand, project).returncode == 0, f"{block.place}: {by_hand}"
        if block.language == "python":
            found += [f"{block.place}: {line}" for line in raised(block, project)]
            continue
        asked = pages.commands(block)
        for command in asked:
            code, said = run(command.text, cli, project, monkeypatch)
            wanted = int(block.marks.get("exit code", "0")) if command is asked[-1] else 0
            if code != wanted:
                found.append(f"{block.place}: $ {command.text} ended with {code}, not {wanted}:\n{said}")
            elif "not compared" not in block.marks and (line := missing(command, said)):
                found.append(f"{block.place}: $ {command.text} does not print {line!r}:\n{said}")

    assert not found, "\n".join(found)


def raised(block: Block, project: Path) -> list[str]:
    """What a program of a page has to complain of, as its reader would see it."""
    done = subprocess.run(
        [sys.executable, "-c", block.text], cwd=project, capture_output=True, text=True, check=False
    )  # fmt: skip
    return [done.stderr or f"It ended with {done.returncode}."] if done.returncode else []


def shell(text: str, project: Path) -> subprocess.CompletedProcess[str]:
    """A line as a shell takes it, where `runner` and its Python are found."""
    env = {**os.environ, "PATH": PATH}
    return subprocess.run(["sh", "-c", text], cwd=project, env=env, capture_output=True, text=True, check=False)


def run(text: str, cli: Cli, project: Path, env: pytest.MonkeyPatch) -> tuple[int, str]:
    """One command as a reader types it: how it ends, and what it prints."""
    words = shlex.split(text, comments=True)
    target = project / words.pop() if len(words) > 2 and words[-2] == ">" else None
    words = words[:-1] if target else words
    match words:
        case ["runner", *rest]:
            done = cli(*local(rest))
            if target:
                target.write_text(done.out)
            said = done.out + done.err
            return done.code, said if local(rest) == rest else paid(said)
        case ["make", goal]:
            asked = [line.strip().removeprefix("@$(BIN)/") for line in recipe(goal)]
            each = [run(line, cli, project, env) for line in asked if line.startswith("runner ")]
            return max((code for code, _ in each), default=0), "".join(said for _, said in each)
        case ["export", given]:
            env.setenv(*given.split("=", 1))
            return 0, ""
        case [program, *_] if program in READS:
            done_ = shell(text.replace("-m venv", "-m venv --without-pip"), project)  # pip would take seconds
            return done_.returncode, done_.stdout + done_.stderr
        case [program, *_] if program in ELSEWHERE:
            return 0, "…"
    raise AssertionError(f"$ {text}: nobody knows how to run this. Say why it is not: <!-- not run: … -->")


def local(words: list[str]) -> list[str]:
    """The same command, against the emulator where it would ask Runpod."""
    asks = words[0] in ASKS and not any(word.startswith(("--local", "--replay", "--help")) for word in words)
    return [*words, "--local"] if asks else words


def paid(said: str) -> str:
    """What a run says of its cost where it pays for what the emulator gives."""
    said = re.sub(r"\b0\.00 USD \(would be (\S+) on Runpod(?:; (.*))?\)", r"\1 USD (\2)", said)
    return said.replace(" 0.00 USD", " 0.0000 USD").replace("would be ", "")


def recipe(goal: str) -> list[str]:
    """What a target of the Makefile does."""
    found = re.search(rf"^{re.escape(goal)}:.*\n((?:\t.*\n)*)", (REPO / "Makefile").read_text(), re.MULTILINE)
    assert found is not None, f"make {goal}: there is no such target"
    return found[1].splitlines()


def missing(command: Command, said: str) -> str:
    """The first line that is shown and not printed, after the one before it; nothing if all are there."""
    printed = iter([masked(line) for line in said.splitlines()])
    for line in command.shown:
        pattern = masked(line).replace("[", "[[]").replace("…", "*")
        if pattern.strip("* ") and said != "…" and not any(fnmatchcase(each, pattern) for each in printed):
            return line
    return ""


def masked(line: str) -> str:
    """A line without what is another each time: ids, times, sizes, how far things stand apart."""
    line = re.sub(r"\b[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\b|\b[0-9a-f]{64}\b|\d{8}-\d{6}-[0-9a-f]{4}", "#", line)
    line = re.sub(r"\b\d+(\.\d+)?(?= (ms|s|min|h|bytes|[kMG]?B)\b)", "0", line)
    return " ".join(line.replace("*", "").split())


def excepted() -> Iterator[tuple[str, str]]:
    """What is shown and not run, and why."""
    for page in PAGES:
        for block in pages.blocks(page):
            if reason := block.marks.get("not run"):
                yield block.place, reason
            elif block.language in YAML and (owner := pages.others(data_of(block))):
                yield block.place, f"it is a file of {owner}"
            elif block.language in COMMANDS:
                for command in pages.commands(block):
                    if (program := command.text.split()[0]) in ELSEWHERE:
                        yield block.place, f"{program}: {ELSEWHERE[program]}"


def test_most_of_what_is_shown_is_run(capsys: pytest.CaptureFixture[str]) -> None:
    left_out = list(excepted())
    yaml = [b for page in PAGES for b in of(page, *YAML) if "not run" not in b.marks and not pages.others(data_of(b))]
    python = [b for page in PAGES for b in of(page, "python") if "not run" not in b.marks]
    asked = [
        command
        for page in WITH_COMMANDS
        for block in of(page, *COMMANDS)
        if "not run" not in block.marks
        for command in pages.commands(block)
        if command.text.split()[0] not in ELSEWHERE
    ]

    with capsys.disabled():
        print(f"\nREADME and docs: {len(yaml)} blocks of YAML checked, {len(asked)} commands and "
              f"{len(python)} blocks of Python run, {len(left_out)} excepted")  # fmt: skip

    assert len(left_out) < (len(yaml) + len(asked)) / 4, left_out


def test_the_reference_is_current() -> None:
    kept = {path.name: path.read_text(encoding="utf-8") for path in reference.HERE.glob("*.md")}

    made = reference.pages()

    stale = sorted(page for page in made.keys() | kept.keys() if made.get(page) != kept.get(page))
    assert not stale, "make reference writes them anew"


def test_every_variable_that_is_read_is_in_the_reference() -> None:
    sources = "\n".join(path.read_text() for path in (REPO / "runner").rglob("*.py"))

    read = set(re.findall(r"(?:env|environ)\.get\(\"([A-Z_]+)\"", sources))

    assert read == set(reference.VARIABLES)


def test_every_word_that_means_one_thing_is_explained() -> None:
    words = (REPO / "docs/words.md").read_text(encoding="utf-8")

    explained = re.findall(r"^\*\*(.+?)\*\*", words, re.MULTILINE)

    assert explained == sorted(explained, key=str.lower)
    assert set(explained) >= WORDS


@pytest.mark.parametrize("page", [*PAGES, REPO / "CONTRIBUTING.md", REPO / "CHANGELOG.md"], ids=name)
def test_links_between_files_lead_somewhere(page: Path) -> None:
    links = re.findall(r"\]\((?![a-z]+:|#)([^)\s#]+)", page.read_text(encoding="utf-8"))

    assert [link for link in links if not (page.parent / link).exists()] == []


def test_a_page_that_is_not_there_is_left_out_of_the_navigation_and_a_new_one_stands_under_more() -> None:
    nav = [{"Start": ["index.md", "coming.md"]}, {"Empty": ["also-coming.md"]}, {"Decisions": ["d/index.md", "d/*.md"]}]

    found = site.expanded(nav, ["index.md", "d/2.md", "d/1.md", "d/index.md", "new.md"])

    assert found == [
        {"Start": ["index.md"]},
        {"Decisions": ["d/index.md", "d/1.md", "d/2.md"]},
        {"More": ["new.md"]},
    ]


def test_links_to_files_outside_docs_lead_to_their_copies_in_the_site() -> None:
    text = "[plugin](../examples/plugin/README.md) [card](../pipelines/product-card.yaml) [words](words.md) [x](no.md)"

    moved = site.relinked(text, site.DOCS / "python.md")

    assert moved == text.replace("../examples", "files/examples").replace("../pipelines", "files/pipelines")
    assert site.relinked("[python](docs/python.md)", REPO / "README.md") == "[python](../python.md)"


def test_a_link_that_leads_nowhere_and_what_comes_from_elsewhere_are_faults_of_the_site(tmp_path: Path) -> None:
    (tmp_path / "a.html").write_text(
        '<h2 id="here">x</h2><a href="#here">x</a><a href="b.html#there">x</a><a href="c.html">x</a>'
        '<a href="https://example.com">x</a><script src="https://example.com/x.js"></script><img src="no.png">'
    )
    (tmp_path / "b.html").write_text('<a href="a.html#here">x</a>')
    (tmp_path / "s.css").write_text("@import 'https://example.com/font.css'; a {background: url(b.png)}")

    found = list(site.faults(tmp_path))

    assert found == [
        "a.html loads https://example.com/x.js from elsewhere",
        "a.html links to b.html#there, and b.html has no such place",
        "a.html links to c.html, which is not there",
        "a.html links to no.png, which is not there",
        "s.css loads from elsewhere: @import 'https://example.com/font.css",
    ]
