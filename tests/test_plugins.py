"""Packages that bring kinds, providers and reporters: a real one is installed and used."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from runner import plugins
from runner.errors import BadOutput, PluginFailed, UsageError
from runner.kinds.brought import RESERVED, Brought, unfit
from runner.model import Job, Output
from runner.plugins import Plugin
from runner.schema import CONTROL

from . import pages
from .conftest import REPO, Cli

SHORT = """\
name: short
steps:
  draft: {kind: generate_text, model: qwen/qwen3-32b-awq, prompt: A red ceramic teapot on a linen cloth}
  short: {kind: shorten_text, text: "{{ steps.draft.text }}", at_most: 20}
outputs:
  short.txt: "{{ steps.short.text }}"
"""


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The example package, installed as pip installs it."""
    source = tmp_path_factory.mktemp("source") / "plugin"
    shutil.copytree(REPO / "examples" / "plugin", source)
    return pip_installed(source, tmp_path_factory.mktemp("site"))


def pip_installed(source: Path, site: Path) -> Path:
    subprocess.run(
        [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-index", "--no-deps",
         "--no-build-isolation", "--target", str(site), str(source)],
        check=True, capture_output=True,
    )  # fmt: skip
    return site


def ran(folder: Path, site: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    env = {name: value for name, value in os.environ.items() if not name.startswith("RUNPOD_")}
    return subprocess.run(
        [sys.executable, "-m", "runner", *arguments], cwd=folder, text=True, capture_output=True, timeout=60,
        check=False, env={**env, "PYTHONPATH": f"{site}{os.pathsep}{REPO}", "RUNNER_MINUTES": "minutes.txt"},
    )  # fmt: skip


@pytest.fixture
def short(tmp_path: Path) -> Path:
    (tmp_path / ".git").mkdir()
    (tmp_path / "short.yaml").write_text(SHORT)
    return tmp_path


def test_a_kind_a_provider_and_a_reporter_of_a_package_run_a_pipeline(short: Path, installed: Path) -> None:
    done = ran(short, installed, "run", "short.yaml", "--provider", "echo", "--reporter", "minutes")

    assert done.returncode == 0, done.stderr
    assert (short / "out" / "short" / "short.txt").read_text().strip() == "A red ceramic…"
    assert sorted((short / "minutes.txt").read_text().splitlines()) == ["draft: done", "short: done"]


def test_schema_and_checks_know_the_kind_of_a_package(short: Path, installed: Path) -> None:
    (short / "short.yaml").write_text(SHORT.replace("at_most: 20", "at_most: 3, length: 4"))

    schema, found = ran(short, installed, "schema").stdout, ran(short, installed, "check", "short.yaml")

    assert '"shorten_text"' in schema
    assert "does not know the key length" in found.stderr
    assert "short.yaml:4:72: at_most cannot be 3" in found.stderr


def test_the_kind_of_a_package_is_told_with_a_step_to_start_from(short: Path, installed: Path) -> None:
    done = ran(short, installed, "kinds", "shorten_text")

    assert done.returncode == 0, done.stderr
    assert "A step to start from:\n\n  step:\n    kind: shorten_text\n" in done.stdout


def test_without_the_package_its_kind_is_unknown(short: Path, tmp_path: Path) -> None:
    found = ran(short, tmp_path, "check", "short.yaml")

    assert found.returncode == 2
    assert "shorten_text" in found.stderr


@pytest.mark.parametrize(
    ("group", "point", "words"),
    [
        (
            "runner.kinds",
            "generate_text = recipe_plugin.shorten_text",
            "brings a kind generate_text, and runner has one",
        ),
        (
            "runner.kinds",
            "cut = recipe_plugin.shorten_text",
            "brings a kind cut, which is none: its NAME is shorten_text",
        ),
        ("runner.kinds", "cut = recipe_plugin.minutes", "brings a kind cut, which is none: it has no NAME, VERSION"),
        (
            "runner.kinds",
            "cut = recipe_plugin.nothing",
            "brings a kind cut, which cannot be loaded: ModuleNotFoundError",
        ),
    ],
)
def test_a_package_that_brings_what_it_should_not_is_named(
    short: Path, installed: Path, tmp_path: Path, group: str, point: str, words: str
) -> None:
    site = tmp_path / "site"
    shutil.copytree(installed, site)
    (facts,) = site.glob("*.dist-info")
    (facts / "entry_points.txt").write_text(f"[{group}]\n{point}\n")

    done = ran(short, site, "run", "short.yaml", "--local")

    assert done.returncode == 2
    assert f"The installed package recipe-plugin {words}" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_reporter_that_two_packages_bring_is_neither(short: Path, installed: Path, tmp_path: Path) -> None:
    site = tmp_path / "site"
    shutil.copytree(installed, site)
    (facts,) = site.glob("*.dist-info")
    other = facts.with_name(f"other-{facts.name.partition('-')[2]}")
    shutil.copytree(facts, other)
    (other / "METADATA").write_text((facts / "METADATA").read_text().replace("recipe-plugin", "other"))
    (other / "entry_points.txt").write_text("[runner.reporters]\nminutes = recipe_plugin.minutes:reporter\n")

    done = ran(short, site, "run", "short.yaml", "--local", "--reporter", "minutes")

    assert done.returncode == 2
    assert "brings a reporter minutes, and so does" in done.stderr


def test_a_provider_that_no_package_brings_is_told_with_the_nearest(short: Path, installed: Path) -> None:
    done = ran(short, installed, "run", "short.yaml", "--provider", "ecco")

    assert done.returncode == 2
    assert "There is no provider ecco. Did you mean echo?" in done.stderr


def test_what_the_page_of_the_example_shows_is_so(tmp_path: Path, installed: Path) -> None:
    shutil.copytree(REPO / "examples" / "plugin", tmp_path / "plugin")
    page = (tmp_path / "plugin" / "README.md").read_text()
    (commands,) = re.findall(r"```console\n(.*?)```", page, re.DOTALL)

    for command in re.findall(r"^\$ (.*(?:\n[^$].*|\n$)*)", commands, re.MULTILINE):
        text, *shown = command.splitlines()
        program, *words = text.split()
        if program == "runner":
            said = ran(tmp_path / "plugin", installed, *words).stdout
        elif program == "cat":
            said = (tmp_path / "plugin" / words[0]).read_text()
        else:
            continue
        for line in shown:
            assert re.sub(r"0\.0 s", "", line) in re.sub(r"\d+\.\d s", "", said), said


def test_the_package_of_the_page_on_plugins_can_be_installed_and_run(tmp_path: Path) -> None:
    page, package = REPO / "docs" / "plugins.md", tmp_path / "package"
    for title, text in re.findall(r'```[a-z]+ title="([^"]+)"\n(.*?)```', page.read_text(), re.DOTALL):
        (package / title).parent.mkdir(parents=True, exist_ok=True)
        (package / title).write_text(text)
    (package / "words_plugin" / "__init__.py").touch()
    (site := tmp_path / "site").mkdir()
    pip_installed(package, site)
    (block,) = [block for block in pages.blocks(page) if block.language == "console"]

    done = [ran(package, site, *command.text.split()[1:]) for command in pages.commands(block)]

    assert [each.returncode for each in done] == [0, 0], done[-1].stderr
    assert json.loads((package / "out/counted/outputs.json").read_text()) == {"words": 4}


# -- mistakes of a kind -----------------------------------------------------------------------------


def kind(**words: Any) -> SimpleNamespace:
    """A kind that is right but for these words."""
    right: dict[str, Any] = {
        "NAME": "cut", "VERSION": 1, "TITLE": "Cut a text.", "CALLS": False, "TIMEOUT": 60.0,
        "PARAMS": {"text": {"type": "string"}, "files": {"type": "array", "items": {"artifact": "image"}}, "any": {}},
        "REQUIRED": (("text",),),
        "output": lambda _: {"type": "object", "properties": {"text": {"type": "string"}}},
        "advance": lambda params, _: Output({"text": params["text"]}),
    }  # fmt: skip
    return SimpleNamespace(**{**right, **words})


def brought(**words: Any) -> Brought:
    return Brought(Plugin("runner.kinds", "cut", "acme", kind(**words)))


def test_a_kind_of_the_right_form_is_one() -> None:
    assert unfit("cut", kind()) == ""


@pytest.mark.parametrize(
    ("words", "why"),
    [
        ({"PARAMS": {"text": {"type": "int"}}}, "the type of its param text is 'int'; it can be string, integer"),
        ({"PARAMS": {"text": {"type": ["string", "null"]}}}, "the type of its param text is ['string', 'null']"),
        ({"PARAMS": {"text": {"artifact": "picture"}}}, "its param text is the artifact 'picture'; it can be image"),
        ({"PARAMS": {"text": {"type": "array", "items": {"type": "str"}}}}, "the type of the items of its param text"),
        ({"PARAMS": {"text": {"type": "integer", "minimum": "1"}}}, "its param text is no JSON Schema: '1'"),
        ({"PARAMS": {"text": "a text"}}, "its param text is the text 'a text'; it must be a JSON Schema"),
        ({"PARAMS": {"text": {}, "foreach": {"type": "string"}}}, "its param foreach is called as a key that every"),
        ({"PARAMS": ["text"]}, "its PARAMS is ['text']; it must be a mapping"),
        ({"REQUIRED": ("text",)}, "its REQUIRED holds the text 'text'; it must be a tuple of tuples"),
        ({"REQUIRED": "text"}, "its REQUIRED is the text 'text'; it must be a tuple of tuples"),
        ({"REQUIRED": (("txt",),)}, "its REQUIRED names txt, which its PARAMS do not have"),
        ({"VERSION": "1"}, "its VERSION is the text '1'; it must be a whole number"),
        ({"CALLS": "no"}, "its CALLS is the text 'no'; it must be True or False"),
        ({"TIMEOUT": 0}, "its TIMEOUT is 0; it must be more than 0 seconds"),
        ({"advance": lambda _: None}, "its advance is called with 2 arguments: the params and the replies so far"),
        ({"advance": None}, "its advance is None, which cannot be called"),
        ({"output": lambda params: {"x": params["text"]}}, "its output({}) raises KeyError: 'text'"),
        ({"output": lambda _: None}, "its output gives None; it must give a JSON Schema of an object"),
        ({"output": lambda _: {"properties": {"a": {"type": "str"}}}}, "its output({}) is no JSON Schema: 'str'"),
    ],
)
def test_a_kind_of_another_form_is_none_and_the_sentence_says_why(words: dict[str, Any], why: str) -> None:
    assert why in unfit("cut", kind(**words))


def test_no_param_can_be_called_as_a_key_of_every_step() -> None:
    assert {"kind", "model", "pick", *CONTROL} == RESERVED


def raises(error: Exception) -> Callable[..., Any]:
    def advance(*_: object) -> Any:
        raise error

    return advance


@pytest.mark.parametrize(
    ("advance", "why"),
    [
        (raises(KeyError("text")), "the kind cut of the installed package acme raised KeyError: 'text'"),
        (lambda *_: {"text": "x"}, "gives {'text': 'x'}, where it must give a Job, a Chat or an Output"),
        (lambda *_: Job("cut@1", "e", {}), "gives a Job, and the kind says CALLS = False"),
        (
            lambda *_: Output(cast("Any", "x")),
            "gives an Output of the text 'x', where a mapping of names to values belongs",
        ),
        (lambda *_: Output({"text": {1}}), "gives an Output with something that is no JSON (set is not JSON)"),
    ],
)
def test_what_a_kind_does_wrong_fails_the_cell_as_a_fault_of_its_package(advance: Callable[..., Any], why: str) -> None:
    with pytest.raises(PluginFailed) as raised:
        brought(advance=advance).advance({"text": "x"}, ())

    assert why in str(raised.value)
    assert str(raised.value).endswith("; this is a fault of acme, not of the pipeline")


def test_an_error_of_a_kind_that_is_one_of_ours_is_told_as_it_is() -> None:
    with pytest.raises(BadOutput, match=r"^no mood$"):
        brought(advance=raises(BadOutput("no mood"))).advance({"text": "x"}, ())


def test_a_call_of_a_kind_without_a_label_is_told_by_its_endpoint() -> None:
    call = brought(CALLS=True, advance=lambda *_: Job("cut@1", "4m7x", {})).advance({"text": "x"}, ())

    assert isinstance(call, Job)
    assert call.label == "4m7x"


def test_a_kind_that_cannot_say_what_it_yields_is_told_by_name() -> None:
    with pytest.raises(UsageError, match="the kind cut of the installed package acme raised KeyError: 'unit'"):
        brought(output=lambda params: {"properties": {} if not params else params["unit"]}).output({"text": "x"})


@pytest.mark.parametrize("command", [("check",), ("run", "--local")], ids=["check", "run"])
def test_a_mistake_in_the_form_of_a_kind_is_told_before_anything_runs(
    short: Path, installed: Path, tmp_path: Path, command: tuple[str, ...]
) -> None:
    site = edited(installed, tmp_path, "shorten_text.py", '(("text",), ("at_most",))', '("text", "at_most")')

    done = ran(short, site, *command, "short.yaml")

    assert done.returncode == 2
    assert "The installed package recipe-plugin brings a kind shorten_text, which is none: its REQUIRED" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_kind_that_raises_fails_its_cell_and_leaves_the_traceback_in_the_run_folder(
    short: Path, installed: Path, tmp_path: Path
) -> None:
    site = edited(installed, tmp_path, "shorten_text.py", "del replies", 'raise KeyError("length")')

    done = ran(short, site, "run", "short.yaml", "--provider", "echo")

    assert done.returncode == 1
    assert "raised KeyError: 'length' (shorten_text.py, line 39) in advance; this is a fault" in done.stdout
    (kept,) = (short / ".runner" / "runs").glob("*/short.paid.txt")
    assert "Traceback" in kept.read_text()


def edited(installed: Path, tmp_path: Path, file: str, was: str, now: str) -> Path:
    """The example package with one edit."""
    site = tmp_path / "site"
    shutil.copytree(installed, site)
    path = site / "recipe_plugin" / file
    text = path.read_text()
    assert was in text
    path.write_text(text.replace(was, now))
    return site


# -- mistakes of a provider and of a reporter -------------------------------------------------------

PROVIDER = """from runner.errors import Rejected
from runner.model import Finished, Reply, Ticket

SAID = {"choices": [{"message": {"role": "assistant", "content": "hi"}, "finish_reason": "stop"}]}

class Poet:
    origin = "poet"
    async def __aenter__(self): return self
    async def __aexit__(self, *error): EXIT
    def pause(self, call): PAUSE
    async def chat(self, chat, grew, sending):
        sending()
        CHAT
    async def submit(self, job, within, sending):
        sending()
        SUBMIT
    async def wait(self, ticket, moved): WAIT
    async def collect(self, job, finished): COLLECT
    async def cancel(self, ticket): return None
    async def artifact(self, url): raise Rejected("no")

def poet(files, env): OPEN
"""
RIGHT = {
    "EXIT": "return None", "PAUSE": "return 0.0", "CHAT": "return Reply(SAID, cost=0.0)", "OPEN": "return Poet()",
    "SUBMIT": "return Ticket(job.endpoint, '1')", "WAIT": "return Finished({})", "COLLECT": "return Reply({'a': 1})",
}  # fmt: skip
REPORTER = """class Told:
    def __enter__(self): ENTER
    def __exit__(self, *error): EXIT
    def __call__(self, event): EVENT

def told(): OPEN
"""
RIGHT_REPORTER = {"ENTER": "return self", "EXIT": "return None", "EVENT": "return None", "OPEN": "return Told()"}
HELLO = """name: hello
steps:
  words: {kind: generate_text, model: qwen/qwen3-32b-awq, prompt: Hello}
outputs:
  words.txt: "{{ steps.words.text }}"
"""
JOB = "name: job\nsteps:\n  work: {kind: call_endpoint, model: 4m7x2k9q1a, input: {a: 1}}\n"

Package = Callable[[str, str, str], None]


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Package]:
    """Puts a package in place that brings one thing: its group, its name, its code."""

    def put(group: str, name: str, code: str) -> None:
        site = tmp_path / "site"
        facts = site / "acme-1.0.dist-info"
        facts.mkdir(parents=True)
        (facts / "METADATA").write_text("Metadata-Version: 2.1\nName: acme\nVersion: 1.0\n")
        (facts / "entry_points.txt").write_text(f"[runner.{group}]\n{name} = acme_{name}:{name}\n")
        (site / f"acme_{name}.py").write_text(code)
        monkeypatch.syspath_prepend(site)
        monkeypatch.delitem(sys.modules, f"acme_{name}", raising=False)
        plugins.found.cache_clear()

    yield put
    plugins.found.cache_clear()


def code(text: str, right: dict[str, str], **wrong: str) -> str:
    for word, line in {**right, **wrong}.items():
        text = text.replace(word, line)
    return text


@pytest.fixture
def hello(tmp_path: Path) -> Path:
    path = tmp_path / "hello.yaml"
    path.write_text(HELLO)
    return path


@pytest.mark.parametrize(
    ("wrong", "why"),
    [
        ({"OPEN": 'raise ValueError("no luck")'},
         "The provider poet of the installed package acme raised ValueError: no luck (acme_poet.py, line 22) in its"),
        ({"OPEN": "return None"}, "poet of the installed package acme cannot be used: its entry point gives None"),
        ({"OPEN": "Poet.origin = ''; return Poet()"}, "its origin is the text ''"),
        ({"OPEN": "del Poet.pause, Poet.origin; return Poet()"}, "an object of the class Poet has no origin, pause"),
        ({"OPEN": "Poet.wait = lambda self: None; return Poet()"}, "its wait is called with 2 arguments: a ticket"),
    ],
    ids=["raises", "none", "no origin", "lacks", "arguments"],
)  # fmt: skip
def test_a_provider_that_cannot_be_opened_is_told_before_anything_runs(
    cli: Cli, hello: Path, package: Package, wrong: dict[str, str], why: str
) -> None:
    package("providers", "poet", code(PROVIDER, RIGHT, **wrong))

    done = cli("run", hello, "--provider", "poet")

    assert (done.code, why in done.err) == (2, True), done.err
    assert done.err.endswith("Mend or uninstall acme.\n")


@pytest.mark.parametrize(
    ("wrong", "why"),
    [
        ({"CHAT": 'raise ValueError("no luck")'}, "raised ValueError: no luck (acme_poet.py, line 13) in chat"),
        ({"CHAT": 'return "hi"'}, "gives the text 'hi', where it must give a Reply"),
        ({"CHAT": "return Reply({1, 2})"}, "gives something that is no JSON (set is not JSON)"),
        ({"PAUSE": "return None"}, "pause of the provider poet of the installed package acme gives None"),
    ],
    ids=["raises", "text", "no JSON", "pause"],
)
def test_what_a_provider_does_wrong_fails_the_cell_as_a_fault_of_its_package(
    cli: Cli, hello: Path, package: Package, wrong: dict[str, str], why: str
) -> None:
    package("providers", "poet", code(PROVIDER, RIGHT, **wrong))

    done = cli("run", hello, "--provider", "poet")

    assert (done.code, why in done.out) == (1, True), done.out
    assert "this is a fault of acme, not of the pipeline" in done.out


@pytest.mark.parametrize("wrong", ['raise ValueError("no luck")', 'return "1"'], ids=["raises", "no ticket"])
def test_a_job_that_a_provider_loses_while_it_hands_it_in_is_not_sent_again(
    cli: Cli, tmp_path: Path, package: Package, wrong: str
) -> None:
    (tmp_path / "job.yaml").write_text(JOB)
    package("providers", "poet", code(PROVIDER, RIGHT, SUBMIT=wrong))

    done = cli("run", tmp_path / "job.yaml", "--provider", "poet")

    assert done.code == 1
    assert "it may have been accepted; it is not sent again" in done.out
    (state,) = (tmp_path / ".runner" / "runs").glob("*/events.jsonl")
    assert state.read_text().count('"JobSending"') == 1


def test_what_a_job_made_is_kept_though_its_provider_cannot_read_it(cli: Cli, tmp_path: Path, package: Package) -> None:
    (tmp_path / "job.yaml").write_text(JOB)
    package("providers", "poet", code(PROVIDER, RIGHT, WAIT="return Finished({'dear': 1})", COLLECT="return 1 / 0"))

    done = cli("run", tmp_path / "job.yaml", "--provider", "poet")

    assert "raised ZeroDivisionError: division by zero" in done.out
    (kept,) = (tmp_path / ".runner" / "runs").glob("*/work.paid.txt")
    assert '"dear": 1' in kept.read_text()


def test_a_provider_that_fails_when_all_is_done_loses_nothing(cli: Cli, hello: Path, package: Package) -> None:
    package("providers", "poet", code(PROVIDER, RIGHT, EXIT='raise ValueError("no luck")'))

    done = cli("run", hello, "--provider", "poet")

    assert done.code == 0
    assert "raised ValueError: no luck (acme_poet.py, line 9) in __aexit__. Nothing is lost by it." in done.err


@pytest.mark.parametrize("other", ["--local", "--offline", "--record=tape", "--replay=tape"])
def test_two_who_are_to_answer_are_refused(cli: Cli, hello: Path, package: Package, other: str) -> None:
    package("providers", "poet", code(PROVIDER, RIGHT))

    done = cli("run", hello, "--provider", "poet", other)

    assert done.code == 2
    assert f"{other.partition('=')[0]} and --provider exclude each other." in done.err


def test_a_lock_names_its_provider_and_holds_for_no_other(cli: Cli, hello: Path, package: Package) -> None:
    package("providers", "poet", code(PROVIDER, RIGHT))

    cli("run", hello, "--provider", "poet", "--lock")
    same, other, local = (cli("run", hello, "--locked", *words) for words in (("--provider", "poet"), (), ("--local",)))

    lock = hello.with_name("hello.lock.yaml")
    assert 'provider: "poet"\n' in lock.read_text()
    assert same.code == 0
    assert other.err == (
        f"Error: {lock} was made by a run that another provider answers (--provider=poet), and nothing of it fits a "
        f"run that is not local. Add --provider=poet, or write it anew with: runner lock {hello}\n"
    )
    assert "Write --provider=poet instead of --local=emulator, or" in local.err
    assert cli("lock", hello, "--provider", "poet").code == 0


def test_a_plan_expects_what_the_same_provider_cost_and_no_other(cli: Cli, hello: Path, package: Package) -> None:
    package("providers", "poet", code(PROVIDER, RIGHT, CHAT="return Reply(SAID, cost=0.5)"))
    cli("run", hello, "--provider", "poet")

    ours, theirs = (cli("plan", hello, "--json", *words) for words in ((), ("--provider", "poet")))

    (step,) = json.loads(ours.out)["steps"]
    assert (step["expected_from"], step["cached"]) == ("guess", "no")
    (step,) = json.loads(theirs.out)["steps"]
    assert (step["expected_from"], step["cached"]) == ("earlier runs", "yes")
    assert cli("why", "words").out.count("words: hit") == 1


@pytest.mark.parametrize(
    ("wrong", "why"),
    [
        ({"OPEN": 'raise ValueError("no luck")'}, "raised ValueError: no luck (acme_told.py, line 6) in its entry"),
        ({"OPEN": "return 'told'"}, "cannot be used: it is the text 'told', which cannot be called"),
        ({"OPEN": "return lambda: None"}, "cannot be used: it is called with 1 argument: an event"),
        ({"OPEN": "\n  async def told(event): ...\n  return told"}, "it is async, and it is called, not awaited"),
        ({"ENTER": "open('/nowhere/x')"}, "raised FileNotFoundError: [Errno 2] No such file or directory: '/nowhere"),
    ],
    ids=["raises", "text", "arguments", "async", "enter"],
)  # fmt: skip
def test_a_reporter_that_cannot_begin_is_told_before_anything_runs(
    cli: Cli, hello: Path, package: Package, wrong: dict[str, str], why: str
) -> None:
    package("reporters", "told", code(REPORTER, RIGHT_REPORTER, **wrong))

    done = cli("run", hello, "--local", "--reporter", "told")

    assert (done.code, why in done.err) == (2, True), done.err
    assert "Leave out the reporter told, or mend acme." in done.err
    assert not (hello.parent / ".runner" / "runs").exists()


@pytest.mark.parametrize("quiet", [[], ["--quiet"]], ids=["", "quiet"])
@pytest.mark.parametrize(
    ("wrong", "where"), [({"EVENT": "raise ValueError(event)"}, "on RunStarted"), ({"EXIT": "1 / 0"}, "in __exit__")]
)
def test_a_reporter_that_fails_is_told_once_and_ends_no_run(
    cli: Cli, hello: Path, package: Package, wrong: dict[str, str], where: str, quiet: list[str]
) -> None:
    package("reporters", "told", code(REPORTER, RIGHT_REPORTER, **wrong))

    done = cli("run", hello, "--local", "--reporter", "told", *quiet)

    assert done.code == 0
    (said,) = [line for line in done.err.splitlines() if "reporter told" in line]
    assert f"{where}. It was told nothing more; the run went on." in said
    (kept,) = (hello.parent / ".runner" / "runs").glob("*/reporter-told.txt")
    assert "Traceback" in kept.read_text()


def test_a_run_is_taken_up_again_though_its_reporter_is_gone(cli: Cli, hello: Path, package: Package) -> None:
    hello.write_text(HELLO.replace("prompt: Hello", "prompt: Hello, pick: {of: 2}"))
    package("reporters", "told", code(REPORTER, RIGHT_REPORTER))
    cli("run", hello, "--local", "--reporter", "told")
    shutil.rmtree(hello.parent / "site")
    plugins.found.cache_clear()

    done = cli("resume", "--pick", "first")

    assert done.code == 0
    assert "There is no reporter told. No installed package brings one. The run went on without it." in done.err
