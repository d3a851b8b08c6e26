"""The lock: what was reviewed is what is made, nothing is sent for it, and git merges it."""

from __future__ import annotations

import json
import subprocess
import time
from pathlib import Path

import anyio
import pytest

from runner import app
from runner.emulator import Emulator
from runner.model import Job
from runner.store import Store

from .conftest import Cli

PIPELINE = """\
name: pots
models:
  painter: {model: qwen/qwen-image, size: 512x512}
steps:
  word: {kind: generate_text, model: qwen/qwen3-32b-awq, prompt: one word for a pot}
  photo:
    kind: generate_image
    model: painter
    foreach: [a, b, c, d, e, f]
    prompt: "pot {{ item }} {{ steps.word.finish_reason }}"
outputs:
  "{key}.png": "{{ steps.photo.image }}"
"""


@pytest.fixture
def pots(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, emulator: Emulator, cli: Cli) -> Path:
    del cli  # it has left the key out of the environment
    monkeypatch.setenv("RUNPOD_BASE_URL", emulator.url)
    monkeypatch.setenv("RUNPOD_API_KEY", "k")
    path = tmp_path / "pots.yaml"
    path.write_text(PIPELINE)
    return path


def git(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    who = ("-c", "user.name=t", "-c", "user.email=t@example.com", "-c", "commit.gpgsign=false")
    return subprocess.run(["git", *who, *arguments], cwd=folder, capture_output=True, text=True, check=False)


def test_a_run_writes_its_lock_beside_the_pipeline(cli: Cli, pots: Path) -> None:
    done = cli("run", pots, "--lock")

    lock = pots.with_name("pots.lock.yaml")
    assert done.code == 0
    assert "pots.lock.yaml" in done.out
    entries = app.read_lock(pots).cells
    assert list(entries) == [*(f"photo[{key}]" for key in "abcdef"), "word"]
    facts = entries["photo[a]"].facts
    assert {
        "media_type": "image/jpeg",
        "size": "512x512",
        "model": "qwen/qwen-image",
        "cost": 0.02,
    }.items() <= facts.items()
    assert isinstance(facts["seed"], int)
    assert len(entries["photo[a]"].output[0]) == len(entries["photo[a]"].keys[0]) == 64
    assert lock.read_text().count("{key: ") == 7


def test_git_does_not_see_the_store_where_nobody_has_told_it_to_look_away(cli: Cli, pots: Path) -> None:
    git(pots.parent, "init", "-q")

    cli("run", pots)

    seen = git(pots.parent, "status", "--short", "--untracked-files=all").stdout
    assert "pots.yaml" in seen
    assert ".runner" not in seen


def test_a_lock_does_not_change_when_nothing_has(cli: Cli, pots: Path) -> None:
    cli("run", pots, "--lock")
    lock = pots.with_name("pots.lock.yaml")
    first = lock.read_text()

    again = cli("run", pots, "--lock")
    alone = cli("lock", pots)

    assert (again.code, alone.code) == (0, 0)
    assert lock.read_text() == first


def test_a_run_that_does_not_end_well_writes_no_lock(cli: Cli, pots: Path, emulator: Emulator) -> None:
    emulator.fail("run=400")

    done = cli("run", pots, "--lock")

    assert done.code == 1
    assert not pots.with_name("pots.lock.yaml").exists()


@pytest.mark.parametrize(
    ("locked", "run", "said"),
    [
        (["--local=emulator"], [],
         ("was made by a local run (--local=emulator), and nothing of it fits a run that is not local. "
         "Add --local=emulator, or write it anew with: runner lock pots.yaml")),
        ([], ["--local=emulator"],
         ("was made by a run that is not local, and nothing of it fits a local run (--local=emulator). "
         "Leave out --local, or write it anew with: runner lock pots.yaml --local=emulator")),
    ],
    ids=["local, not local", "not local, local"],
)  # fmt: skip
def test_a_lock_of_a_local_run_and_a_run_that_is_none_do_not_go_together(
    cli: Cli, pots: Path, emulator: Emulator, locked: list[str], run: list[str], said: str
) -> None:
    cli("run", "pots.yaml", "--lock", *locked)
    asked = len(emulator.requests)

    done = cli("run", "pots.yaml", "--locked", *run)

    assert (done.code, len(emulator.requests)) == (2, asked)
    assert done.err.endswith(f"Error: pots.lock.yaml {said}\n")


def test_a_lock_of_a_local_run_holds_for_local_runs(cli: Cli, pots: Path) -> None:
    cli("run", pots, "--lock", "--local=emulator")

    done = cli("run", pots, "--locked", "--local=emulator", "--json")

    assert done.code == 0
    assert app.read_lock(pots).by.local == "emulator"


def test_a_lock_of_a_profile_is_not_that_of_a_pipeline_with_such_a_name(cli: Cli, pots: Path) -> None:
    pots.write_text(
        f"{PIPELINE}profiles: {{draft: {{models: {{painter: {{model: black-forest-labs/flux-1-schnell}}}}}}}}\n"
    )
    other = pots.with_name("pots.draft.yaml")
    other.write_text(PIPELINE.replace("name: pots", "name: other"))
    cli("run", pots, "--profile", "draft", "--lock")
    lock = pots.with_name("pots.draft.lock.yaml").read_text()

    written, locked = cli("run", other, "--lock"), cli("run", other, "--locked")

    assert (written.code, locked.code) == (2, 2)
    for each in (written, locked):
        assert "is the lock of the profile draft, and not of a pipeline without a profile of" in each.err
    assert pots.with_name("pots.draft.lock.yaml").read_text() == lock
    assert cli("run", pots, "--profile", "draft", "--locked").code == 0


def test_gc_removes_nothing_where_a_lock_cannot_be_read(cli: Cli, pots: Path) -> None:
    cli("run", pots, "--lock")
    pots.with_name("pots.lock.yaml").write_text("cells: [")

    done = cli("cache", "gc", "--keep", "1s")

    assert done.code == 5
    assert "pots.lock.yaml cannot be read" in done.err
    assert "so nothing was removed" in done.err


def test_lock_sends_nothing_even_where_something_is_missing(
    cli: Cli, pots: Path, emulator: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("RUNPOD_API_KEY")

    done = cli("lock", pots)

    assert done.code == 3
    assert emulator.requests == ()
    assert not pots.with_name("pots.lock.yaml").exists()


def test_a_locked_run_makes_the_same_files_without_a_key_and_sends_nothing(
    cli: Cli, pots: Path, emulator: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    cli("run", pots, "--lock")
    asked = len(emulator.requests)
    first = Path("out/pots/a.png").read_bytes()
    monkeypatch.delenv("RUNPOD_API_KEY")

    done = cli("run", pots, "--locked", "--out", "again", "--json")

    assert (done.code, len(emulator.requests)) == (0, asked)
    assert Path("again/a.png").read_bytes() == first
    assert json.loads(done.out)["cost"] == 0


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("pot {{ item }}", "jug {{ item }}", "photo[a]: it would be another call: what is sent is not what was sent"),
        ("qwen/qwen-image,", "tongyi-mai/z-image-turbo,",
         "photo[a]: it would be another call: model qwen/qwen-image is now tongyi-mai/z-image-turbo"),
        ("[a, b,", "[a, x, b,", "photo[x]: the lock does not have it"),
        ("[a, b,", "[a,", "photo[b]: is locked, and this run does not make it"),
    ],
    ids=["another prompt", "another model", "a new cell", "a cell less"],
)  # fmt: skip
def test_a_locked_run_that_would_differ_says_where_publishes_nothing_and_ends_with_3(
    cli: Cli, pots: Path, emulator: Emulator, old: str, new: str, said: str
) -> None:
    cli("run", pots, "--lock")
    asked = len(emulator.requests)
    pots.write_text(PIPELINE.replace(old, new))

    done = cli("run", pots, "--locked", "--out", "again")

    assert done.code == 3
    assert said in done.err
    assert len(emulator.requests) == asked
    assert not Path("again").exists()


def test_a_locked_run_names_every_cell_that_differs(cli: Cli, pots: Path) -> None:
    cli("run", pots, "--lock")
    pots.write_text(PIPELINE.replace("pot {{ item }}", "{{ 'jug' if item in 'bd' else 'pot' }} {{ item }}"))

    done = cli("run", pots, "--locked")

    listed = done.err[done.err.index("Not as it is locked") :].splitlines()[1:]
    assert [line.split(":")[0].strip() for line in listed] == ["photo[b]", "photo[d]"]


def test_what_is_no_longer_in_the_store_is_not_made_again_by_a_locked_run(
    cli: Cli, pots: Path, emulator: Emulator
) -> None:
    cli("run", pots, "--lock")
    asked = len(emulator.requests)
    digest = app.read_lock(pots).cells["photo[c]"].output[0]
    next(Path(".runner/store/blobs").glob(f"{digest[:2]}/{digest[2:]}*")).unlink()

    done = cli("run", pots, "--locked")

    assert done.code == 3
    assert "photo[c]: what it yields is not in the store" in done.err
    assert len(emulator.requests) == asked


def test_a_locked_run_needs_a_lock(cli: Cli, pots: Path) -> None:
    done = cli("run", pots, "--locked")

    assert done.code == 2
    assert "Write it with: runner lock" in done.err


def test_verify_reads_every_file_again(cli: Cli, pots: Path) -> None:
    cli("run", pots, "--lock")
    whole = cli("verify", pots)
    digest = app.read_lock(pots).cells["photo[c]"].output[0]
    blob = next(Path(".runner/store/blobs").glob(f"{digest[:2]}/{digest[2:]}*"))
    blob.write_bytes(blob.read_bytes()[:-1] + b"x")

    torn = cli("verify", pots.with_name("pots.lock.yaml"))

    assert (whole.code, whole.out) == (
        0,
        "7 cells: every file is as locked\nWhat 1 of them says is compared by runner run --locked.\n",
    )
    assert torn.code == 3
    assert torn.err.startswith("photo[c]: ")


OPEN = """\
name: open
steps:
  own: {kind: call_endpoint, model: qwen-image-t2i, input: {prompt: a pot, size: 512*512}}
  told: {kind: generate_text, model: qwen/qwen3-32b-awq, prompt: "Tell of {{ steps.own.data }}"}
outputs:
  own.png: "{{ steps.own.files[0] }}"
  told.txt: "{{ steps.told.text }}"
"""
"""Its first step gives no seed, so each answer is another picture."""


@pytest.mark.parametrize("anew", [["--fresh", "own"], ["--no-cache"]])
def test_what_was_locked_is_published_though_an_ordinary_run_has_asked_for_it_anew(
    cli: Cli, pots: Path, emulator: Emulator, anew: list[str]
) -> None:
    pots.write_text(OPEN)
    cli("run", pots, "--lock", "--out", "first")
    for word in [anew] * len(anew):
        cli("run", pots, *word, "--out", "anew")
    swept = cli("cache", "gc")
    asked = len(emulator.requests)

    done = cli("run", pots, "--locked", "--out", "again")
    verified = cli("verify", pots)

    assert (done.code, swept.code, len(emulator.requests)) == (0, 0, asked), done.err
    first, other, again = (
        {path.name: path.read_bytes() for path in Path(name).iterdir()} for name in ("first", "anew", "again")
    )
    assert first == again != other
    assert (verified.code, verified.out) == (
        0,
        "2 cells: every file is as locked\nWhat 2 of them say is compared by runner run --locked.\n",
    )


async def _replaced(pots: Path, cell: str, by: str) -> None:
    """Have the store hold another file under the key of a cell, as when it was asked for anew."""
    entries = app.read_lock(pots).cells
    store = Store(Path(".runner/store"))
    other = await store.get(entries[by].keys[0])
    assert other is not None
    await store.keep(entries[cell].keys[0], Job("generate_image@1", "qwen-image-t2i", {}), other)
    store.close()


def test_a_picture_that_was_replaced_is_swept_unless_the_lock_names_it(cli: Cli, pots: Path) -> None:
    cli("run", pots, "--lock", "--no-metadata")
    first = Path("out/pots/a.png").read_bytes()
    anyio.run(_replaced, pots, "photo[a]", "photo[b]")
    digest = app.read_lock(pots).cells["photo[a]"].output[0]

    cli("cache", "gc")
    locked = cli("run", pots, "--locked", "--no-metadata", "--out", "again")
    verified = cli("verify", pots)
    pots.with_name("pots.lock.yaml").unlink()
    swept = cli("cache", "gc")

    assert (locked.code, verified.out) == (
        0,
        "7 cells: every file is as locked\nWhat 1 of them says is compared by runner run --locked.\n",
    ), locked.err
    assert Path("again/a.png").read_bytes() == first
    assert swept.out.startswith("1 reply and 1 file, ")
    assert not list(Path(".runner/store/blobs").glob(f"{digest[:2]}/{digest[2:]}*"))


@pytest.mark.parametrize("cache", ["false", "{for: 1s}"])
def test_a_step_that_asks_anew_is_locked_as_it_was_when_the_lock_was_made(
    cli: Cli, pots: Path, emulator: Emulator, cache: str
) -> None:
    pots.write_text(PIPELINE.replace("    model: painter\n", f"    model: painter\n    cache: {cache}\n"))
    cli("run", pots, "--lock")
    made = {path.name: path.read_bytes() for path in Path("out/pots").glob("*.png")}
    time.sleep(1.0)
    sent = len(emulator.requests)

    locked = cli("run", pots, "--locked", "--out", "locked")
    asked = len(emulator.requests)
    anew = cli("run", pots)
    still = cli("run", pots, "--locked", "--out", "again")

    assert (locked.code, anew.code, still.code) == (0, 0, 0), locked.err + still.err
    assert asked == sent
    assert len(emulator.jobs) == 12
    for folder in ("locked", "again"):
        assert {path.name: path.read_bytes() for path in Path(folder).glob("*.png")} == made


def test_a_picture_that_was_replaced_outlives_the_repair_of_a_damaged_database(cli: Cli, pots: Path) -> None:
    cli("run", pots, "--lock")
    anyio.run(_replaced, pots, "photo[a]", "photo[b]")
    database = Path(".runner/store/replies.sqlite")
    content = bytearray(database.read_bytes())
    content[100:200] = bytes(100)  # its schema
    database.write_bytes(content)

    repaired = cli("cache", "verify", "--repair")
    done = cli("run", pots, "--locked")

    assert repaired.code == 0, repaired.out
    assert done.code == 0, done.err


@pytest.mark.parametrize("pair", ["ab", "ba", "af", "cd"])
def test_two_branches_that_each_change_a_cell_merge_without_conflict(cli: Cli, pots: Path, pair: str) -> None:
    folder = pots.parent
    git(folder, "init", "-q", "-b", "main")
    cli("run", pots, "--lock")
    git(folder, "add", "pots.yaml", "pots.lock.yaml")
    git(folder, "commit", "-qm", "base")
    lock = pots.with_name("pots.lock.yaml")
    for key in pair:
        git(folder, "checkout", "-q", "-b", key, "main")
        jug = PIPELINE.replace("pot {{ item }}", f"{{{{ 'jug' if item == '{key}' else 'pot' }}}} {{{{ item }}}}")
        pots.write_text(jug)
        cli("run", pots, "--lock")
        pots.write_text(PIPELINE)
        git(folder, "commit", "-qam", f"another {key}")
    theirs = {key: git(folder, "show", f"{key}:pots.lock.yaml").stdout for key in pair}

    merged = git(folder, "merge", "-q", "--no-edit", pair[0])

    assert merged.returncode == 0, merged.stdout + merged.stderr
    entries = app.read_lock(lock).cells
    for key in pair:
        assert entries[f"photo[{key}]"].line() in theirs[key]
    assert len(entries) == 7


def test_two_branches_that_each_add_a_cell_merge_too_where_others_stand_between(cli: Cli, pots: Path) -> None:
    folder = pots.parent
    git(folder, "init", "-q", "-b", "main")
    cli("run", pots, "--lock")
    git(folder, "add", "pots.lock.yaml")
    git(folder, "commit", "-qm", "base")
    for key, after in (("b1", "b"), ("d1", "d")):
        git(folder, "checkout", "-q", "-b", key, "main")
        pots.write_text(PIPELINE.replace(f"{after},", f"{after}, {key},"))
        cli("run", pots, "--lock")
        git(folder, "commit", "-qam", f"one more: {key}")

    merged = git(folder, "merge", "-q", "--no-edit", "b1")

    assert merged.returncode == 0, merged.stdout + merged.stderr
    assert {"photo[b1]", "photo[d1]"} <= set(app.read_lock(pots).cells)


def test_a_run_that_has_not_made_all_says_that_it_writes_no_lock(cli: Cli, pots: Path, emulator: Emulator) -> None:
    emulator.fail("qwen-image-t2i/run=400*always")

    done = cli("run", pots, "--lock")

    assert done.code == 1
    assert "No lock is written: that is done when a run has made all." in done.err
    assert not pots.with_name("pots.lock.yaml").exists()
