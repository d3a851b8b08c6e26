"""The lock: what was reviewed is what is made, nothing is sent for it, and git merges it."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from runner import app
from runner.emulator import Emulator

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
    entries = app.read_lock(pots)
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
    digest = app.read_lock(pots)["photo[c]"].output[0]
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
    digest = app.read_lock(pots)["photo[c]"].output[0]
    blob = next(Path(".runner/store/blobs").glob(f"{digest[:2]}/{digest[2:]}*"))
    blob.write_bytes(blob.read_bytes()[:-1] + b"x")

    torn = cli("verify", pots.with_name("pots.lock.yaml"))

    assert (whole.code, whole.out) == (0, "7 cells: all as locked\n")
    assert torn.code == 3
    assert torn.err.startswith("photo[c]: ")


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
    entries = app.read_lock(lock)
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
    assert {"photo[b1]", "photo[d1]"} <= set(app.read_lock(pots))
