"""Keys that stand in a pipeline: warned of, and never shown."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.emulator import Emulator
from runner.masking import masked, spans, warnings

from .conftest import Cli

KEY = "rpa_0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"
OTHER = "sk-proj-a1B2c3D4e5F6g7H8i9J0"
OWN = "correct horse battery"


@pytest.mark.parametrize(
    "text",
    [KEY, OTHER, "sk-ant-api03-0123456789abcdef", "rps_0123456789ABCDEFGH", "hf_abcdefghijklmnopqrstu1",
     "ghp_0123456789abcdefghij", f"Bearer {KEY}", f"(key={OTHER})", f"a: {KEY}, b: {OTHER}"],
)  # fmt: skip
def test_what_by_its_form_can_only_be_a_key_is_hidden(text: str) -> None:
    shown = masked(text)

    assert len(shown) == len(text)
    assert shown.count("•") >= 16
    assert not any(secret[6:] in shown for secret in (KEY, OTHER))


@pytest.mark.parametrize(
    "text",
    ["rpa_…", "rpa_x", "export RUNPOD_API_KEY=rpa_", "a risk-averse-and-careful-investor-of-2020", "sk-learn",
     "sk-a-name-of-many-words-and-no-number", "task-0123456789abcdefghij", "{{ env.RUNPOD }}", ""],
)  # fmt: skip
def test_what_is_none_stays_as_it_is(text: str) -> None:
    assert masked(text) == text


def test_the_value_of_a_variable_is_hidden_whatever_its_form() -> None:
    assert masked(f"say {OWN}!", {OWN}) == f"say {'•' * len(OWN)}!"
    assert masked("say hi to all", {"hi"}) == "say hi to all"


@given(st.text(max_size=40), st.sampled_from([KEY, OTHER, OWN]), st.text(max_size=40))
def test_wherever_a_secret_stands_nothing_of_it_is_left(before: str, secret: str, after: str) -> None:
    text = f"{before} {secret} {after}"

    shown = masked(text, {OWN, KEY[2:], KEY + "X"})

    assert len(shown) == len(text)
    assert secret[8:] not in shown
    assert list(spans(shown, {OWN})) == []


def test_each_secret_of_a_file_is_a_warning_at_its_place() -> None:
    text = f"name: a\n# {KEY}\nx: {OTHER}, {OWN}\n"

    found = list(warnings("a.yaml", text, {OWN}))

    assert [(p.mark.line, p.mark.column, p.mark.length) for p in found] == [
        (2, 3, len(KEY)), (3, 4, len(OTHER)), (3, 6 + len(OTHER), len(OWN)),
    ]  # fmt: skip
    assert all(problem.warning for problem in found)


PIPELINE = """\
name: leaky
models:
  mine: {{model: llama, base_url: "http://localhost:9/v1", api_key_env: MINE, headers: {{X-Team: {other}}}}}
steps:
  a: {{kind: generate_text, model: mine, prompt: "log in with {key} and {own}"}}
  b: {{kind: generate_image, model: {key}, prompt: "{{{{ steps.a.txet }}}} {own}"}}
"""


def silent(text: str) -> bool:
    return not any(secret in text for secret in (KEY, OTHER, OWN, KEY[6:20], OTHER[6:20]))


def test_check_warns_and_no_excerpt_or_sentence_shows_a_secret(
    cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MINE", OWN)
    (tmp_path / "leaky.yaml").write_text(PIPELINE.format(key=KEY, other=OTHER, own=OWN))

    done = cli("check", "leaky.yaml")

    assert done.code == 2
    assert done.err.count("[W607 written-key]") == 5
    assert (
        "leaky.yaml:3:96: warning: This looks like a key: whoever reads the file can use it. [W607 written-key]"
        in done.err
    )
    assert "steps.a has no field txet" in done.err
    assert f"rpa_{'•' * (len(KEY) - 4)}" in done.err
    assert silent(done.out + done.err)


def test_a_warning_stops_nothing_and_the_plan_shows_no_secret(
    cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RUNPOD_API_KEY", OWN)
    (tmp_path / "p.yaml").write_text(
        f"name: p\nsteps:\n  a: {{kind: generate_text, model: qwen/qwen3-32b-awq, prompt: '{KEY} {OWN}'}}\n"
    )

    checked, planned, ran = cli("check", "p.yaml"), cli("plan", "p.yaml", "--calls"), cli("run", "p.yaml", "--local")

    assert (checked.code, planned.code, ran.code) == (0, 0, 0)
    assert "2 warnings" in checked.err
    assert "1 pipeline: no problems" in checked.out
    assert "user: rpa_••••" in planned.out
    assert all(silent(done.out + done.err) for done in (checked, planned, ran))
    page = Path(cli("report").out.strip())
    assert "rpa_••••" in page.read_text()
    assert silent(page.read_text())


def test_in_a_text_beside_the_pipeline_a_secret_is_found_too(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "prompt.md").write_text(f"Say\n{KEY}\n")
    (tmp_path / "p.yaml").write_text(
        "name: p\nsteps:\n  a: {kind: generate_text, model: qwen/qwen3-32b-awq, prompt: {file: prompt.md}}\n"
    )

    done = cli("check", "p.yaml")

    assert "prompt.md:2:1: warning: This looks like a key" in done.err
    assert silent(done.err)


@pytest.mark.parametrize("arguments", [["plan", "p.yaml", "--inputs", "in.yaml"], ["models", "--catalogue", "in.yaml"]])
def test_in_files_beside_the_pipeline_no_excerpt_shows_a_secret(
    cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str]
) -> None:
    monkeypatch.setenv("RUNPOD_API_KEY", OWN)
    (tmp_path / "p.yaml").write_text("name: p\nsteps:\n  a: {kind: render_text, text: hi}\n")
    (tmp_path / "in.yaml").write_text(f"models: [{KEY} {OWN}: {{\n")

    done = cli(*arguments)

    assert done.code == 2
    assert "in.yaml:" in done.err
    assert silent(done.out + done.err)


def test_a_file_that_cannot_be_had_is_told_without_the_secret_beside_it(
    cli: Cli, tmp_path: Path, emulator: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = OWN.replace(" ", "-")
    monkeypatch.setenv("RUNPOD_BASE_URL", emulator.url)
    monkeypatch.setenv("RUNPOD_API_KEY", key)
    (tmp_path / "p.yaml").write_text(
        "name: p\nsteps:\n  a: {kind: edit_image, model: qwen/qwen-image-edit, image: 'http://127.0.0.1:9/a.png',"
        f" prompt: {key}}}\n"
    )

    done = cli("run", "p.yaml")

    assert done.code == 2
    assert "p.yaml:3:61: The file http://127.0.0.1:9/a.png did not arrive" in done.err
    assert key not in done.err
