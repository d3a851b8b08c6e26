"""A real language model: SmolLM2 135M run by xllamacpp, from the extra `local` as a user installs it."""

from __future__ import annotations

import contextlib
import json
import os
import pty
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO

import pytest
from jsonschema import Draft202012Validator

from runner import weights
from runner.emulator import Emulator
from runner.emulator.writer import LLAMA
from runner.events import TextGrew

from ..conftest import Bench
from .conftest import PEERS, Ask, started

PYTHON = str(PEERS / "local/bin/python")
MODELS = PEERS / "models"
WEIGHTS = MODELS / weights.SMOLLM2.file

SCHEMA = {
    "type": "object",
    "required": ["title", "blurb", "keywords"],
    "properties": {
        "title": {"type": "string", "maxLength": 60},
        "blurb": {"type": "string"},
        "keywords": {"type": "array", "items": {"type": "string"}},
    },
}
PIPELINE = f"""
name: teapot
models: {{writer: {{model: qwen/qwen3-32b-awq, temperature: 0.7}}}}
steps:
  draft:
    kind: generate_text
    model: writer
    prompt: Describe a red ceramic teapot for a web shop as JSON with a title, a blurb and keywords.
    max_tokens: 600
    options: {{response_format: {{type: json_schema, json_schema: {{name: card, schema: {json.dumps(SCHEMA)}}}}}}}
  facts: {{kind: parse_json, text: "{{{{ steps.draft.text }}}}", schema: {json.dumps(SCHEMA)}}}
  photo: {{kind: generate_image, model: black-forest-labs/flux-1-schnell, prompt: "{{{{ steps.facts.data.title }}}}"}}
outputs: {{card.json: "{{{{ steps.facts.data }}}}", photo.png: "{{{{ steps.photo.image }}}}"}}
"""


def run(
    folder: Path, *options: str, python: str = PYTHON, env: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """`runner run p.yaml` as a user runs it."""
    return subprocess.run(
        [python, "-m", "runner", "run", "p.yaml", *options],
        cwd=folder, env={**os.environ, "RUNNER_MODELS": str(MODELS), **(env or {})},
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "p.yaml").write_text(PIPELINE)
    return tmp_path


def card(folder: Path) -> Any:
    return json.loads((folder / "out/teapot/card.json").read_text())


def test_a_pipeline_runs_on_the_model_and_its_data_fits_the_schema(folder: Path) -> None:
    done = run(folder, "--local=model")

    assert done.returncode == 0, done.stderr
    assert "Texts by SmolLM2 135M on this machine, a demonstration" in done.stderr
    Draft202012Validator(SCHEMA).validate(card(folder))
    assert (folder / "out/teapot/photo.png").stat().st_size > 10_000


def test_a_step_with_a_schema_has_data_by_the_model(folder: Path) -> None:
    (folder / "p.yaml").write_text(
        f"""
        name: teapot
        steps:
          draft:
            kind: generate_text
            model: qwen/qwen3-32b-awq
            prompt: Describe a red ceramic teapot for a web shop.
            schema: {json.dumps(SCHEMA)}
        outputs: {{card.json: "{{{{ steps.draft.data }}}}"}}
        """
    )

    done = run(folder, "--local=model")

    assert done.returncode == 0, done.stderr
    Draft202012Validator(SCHEMA).validate(card(folder))


def test_local_alone_takes_the_model_that_was_pulled(folder: Path) -> None:
    run(folder, "--local=model")

    done = run(folder, "--local")

    assert "draft: cached" in done.stderr


def test_texts_of_the_model_and_of_the_emulator_do_not_mix(folder: Path) -> None:
    run(folder, "--local")
    model = card(folder)

    done = run(folder, "--local=emulator")

    assert "cached" not in done.stderr
    assert "demonstration" not in done.stderr
    assert card(folder) != model


def test_the_same_pipeline_gives_the_same_text_twice(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    other = tmp_path_factory.mktemp("other")
    (other / "p.yaml").write_text(PIPELINE)

    for each in (folder, other):
        run(each, "--local")

    assert card(folder) == card(other)


def test_many_texts_wait_for_the_model_and_not_within_their_timeout(folder: Path) -> None:
    (folder / "p.yaml").write_text(
        """
        name: teapot
        steps:
          line:
            kind: generate_text
            model: qwen/qwen3-32b-awq
            foreach: [tea, coffee, milk, water, juice, wine, beer, cider, mead, cocoa, soup, rain]
            prompt: Write one sentence about {{ item }}.
            max_tokens: 60
            timeout: 6
            retry: {attempts: 1}
        outputs: {"{key}.txt": "{{ steps.line.text }}"}
        """
    )

    done = run(folder, "--local")

    assert done.returncode == 0, done.stderr
    assert len(list((folder / "out/teapot").glob("*.txt"))) == 12


@pytest.fixture(scope="module")
def writing() -> Iterator[str]:
    """An emulator whose chats are the model's."""
    program = (
        "import sys; from pathlib import Path; from runner.emulator import Emulator, serve_forever\n"
        "serve_forever(Emulator(weights=Path(sys.argv[1])), ready=lambda url: print(url, flush=True))\n"
    )
    yield from started(str(WEIGHTS), program=program, python=PYTHON)


def asked(words: str, **more: Any) -> dict[str, Any]:
    return {"model": "Qwen/Qwen3-32B-AWQ", "messages": [{"role": "user", "content": words}], "seed": 1, **more}


def test_the_official_client_reads_a_stream_of_the_model(writing: str, python: Ask) -> None:
    params = asked("Write two sentences about the harbour of Lisbon.", max_tokens=80)

    whole = python("chat", "qwen3-32b-awq", at=writing, params=params)
    streamed = python("chat_stream", "qwen3-32b-awq", at=writing, params=params)

    assert "".join(streamed["parts"]) == whole["choices"][0]["message"]["content"]
    assert len(streamed["parts"]) > 20
    assert streamed["usage"]["completion_tokens"] == whole["usage"]["completion_tokens"]


def test_a_text_ends_where_it_should(writing: str, python: Ask) -> None:
    cut = python("chat", "qwen3-32b-awq", at=writing, params=asked("Tell a long story.", max_tokens=7))
    stopped = python("chat", "qwen3-32b-awq", at=writing, params=asked("Count to nine: 1, 2,", stop=["4", "four"]))

    assert cut["choices"][0]["finish_reason"] == "length"
    assert cut["usage"]["completion_tokens"] == 7
    assert stopped["choices"][0]["finish_reason"] == "stop"
    assert "4" not in stopped["choices"][0]["message"]["content"]


STORY = """
name: story
steps:
  line: {kind: generate_text, model: qwen/qwen3-32b-awq, prompt: Write three sentences about the harbour of Lisbon.,
         max_tokens: 120, seed: 1}
outputs: {line.txt: "{{ steps.line.text }}"}
"""


@pytest.mark.anyio
async def test_the_text_of_a_step_is_seen_growing_and_is_the_text_that_comes_as_a_whole(
    writing: str, tmp_path: Path
) -> None:
    streamed = await Bench(tmp_path / "streamed", writing).run(STORY, watched=True)
    whole = await Bench(tmp_path / "whole", writing).run(STORY)

    grown = [event.text for event in streamed.said(TextGrew)]
    assert len(grown) > 3
    assert streamed.output("line.txt") == whole.output("line.txt")
    assert "".join(grown).strip().startswith(whole.output("line.txt")[:40])
    assert whole.said(TextGrew) == []
    assert streamed.names["steps"]["line"]["usage"] == whole.names["steps"]["line"]["usage"]


def test_on_a_terminal_the_text_of_the_model_grows(folder: Path) -> None:
    (folder / "p.yaml").write_text(STORY)
    ours, theirs = pty.openpty()
    with subprocess.Popen(
        [PYTHON, "-m", "runner", "run", "p.yaml", "--local=model"],
        cwd=folder, env={**os.environ, "RUNNER_MODELS": str(MODELS), "TERM": "xterm-256color", "COLUMNS": "120"},
        stdin=theirs, stdout=subprocess.PIPE, stderr=theirs,
    ) as process, os.fdopen(ours, "rb", buffering=0) as screen:  # fmt: skip
        os.close(theirs)
        shown = b"".join(_drawn(screen)).decode()

    text = (folder / "out/story/line.txt").read_text()
    seen = {word for word in text.split() if len(word) > 4 and word in shown}
    assert process.returncode == 0
    assert len(seen) > 5


def _drawn(screen: BinaryIO) -> Iterator[bytes]:
    """What a program draws on its terminal until it ends, which Linux tells as an error."""
    with contextlib.suppress(OSError):
        while piece := screen.read(4096):
            yield piece


def test_what_is_longer_than_the_model_can_read_is_refused(writing: str, python: Ask) -> None:
    said = python("refused", "qwen3-32b-awq", at=writing, params=asked("tea " * 9000))

    assert (said["error"], said["status"]) == ("BadRequestError", 400)
    assert "context" in said["message"]


def test_our_client_speaks_with_a_server_that_nobody_here_wrote(tmp_path: Path) -> None:
    """xllamacpp's own HTTP server, under `models:` as any OpenAI-compatible one; Runpod is not asked."""
    with subprocess.Popen(
        [PYTHON, "-P", str(LLAMA), str(WEIGHTS)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process, Emulator() as runpod:  # fmt: skip
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write("rpa_of_that_server\n")
        process.stdin.flush()
        base = f"{process.stdout.readline().strip()}/v1"
        (tmp_path / "p.yaml").write_text(
            f"""
            name: teapot
            models: {{mine: {{base_url: "{base}", model: smollm2, api_key_env: MINE}}}}
            steps:
              line: {{kind: generate_text, model: mine, prompt: Write one sentence about tea., max_tokens: 60, seed: 1}}
            outputs: {{line.txt: "{{{{ steps.line.text }}}}"}}
            """
        )

        env = {"RUNPOD_API_KEY": "rpa_x", "RUNPOD_BASE_URL": runpod.url, "MINE": "rpa_of_that_server"}
        done = run(tmp_path, python=sys.executable, env=env)
        process.stdin.close()

    assert done.returncode == 0, done.stderr
    assert "tea" in (tmp_path / "out/teapot/line.txt").read_text().lower()
    assert runpod.requests == ()
