"""The published schema of an event: made from the classes, and true of what runs say."""

from __future__ import annotations

import json
from dataclasses import fields
from pathlib import Path
from typing import Any, get_args

import jsonschema
import pytest
from hypothesis import given, settings

from runner.event_schema import FIELDS, event_schema
from runner.events import Event, line

from .conftest import REPO, Cli
from .test_events import built

SCHEMA = jsonschema.Draft202012Validator(event_schema())


def events(path: Path) -> list[dict[str, Any]]:
    return [json.loads(said) for said in path.read_text(encoding="utf-8").splitlines()]


def test_the_published_schema_is_the_one_that_the_classes_make() -> None:
    published = (REPO / "schemas/event.schema.json").read_text(encoding="utf-8")

    assert published == json.dumps(event_schema(), indent=2, ensure_ascii=False) + "\n", "run make schema"


def test_it_is_printed_by_a_command(cli: Cli) -> None:
    assert json.loads(cli("schema", "event").out) == event_schema()


def test_it_is_a_json_schema() -> None:
    jsonschema.Draft202012Validator.check_schema(event_schema())


def test_every_field_of_an_event_is_described_and_no_other() -> None:
    assert {field.name for cls in get_args(Event) for field in fields(cls)} == set(FIELDS)


@pytest.mark.parametrize("cls", get_args(Event), ids=lambda cls: cls.__name__)
def test_every_event_that_can_be_said_is_valid(cls: type[Any]) -> None:
    @settings(max_examples=15, deadline=None)
    @given(built(cls))
    def law(event: Event) -> None:
        SCHEMA.validate(json.loads(line(event)))

    law()


@pytest.mark.parametrize(
    "wrong",
    [
        {"event": "CellStarted", "format": 1, "at": 1.0},
        {"event": "CellStarted", "format": 1, "at": "now", "cell": "photo"},
        {"event": "CellVanished", "format": 1, "at": 1.0, "cell": "photo"},
        {"event": "CellStarted", "format": 2, "at": 1.0, "cell": "photo"},
        {"event": "RunFinished", "format": 1, "at": 1.0, "outcome": "so so", "outputs": {}},
        {"format": 1, "at": 1.0},
    ],
    ids=["a field is missing", "of another type", "no such event", "another format", "no such outcome", "no event"],
)
def test_what_is_no_event_is_refused(wrong: dict[str, Any]) -> None:
    assert not SCHEMA.is_valid(wrong)


@pytest.mark.parametrize("name", ["product-card", "narrated-story", "weather-tools", "text-to-video"])
def test_what_a_run_says_is_valid_and_is_what_its_journal_holds(cli: Cli, tmp_path: Path, name: str) -> None:
    path = tmp_path / f"{name}.yaml"
    path.write_bytes((REPO / "pipelines" / path.name).read_bytes())

    done = cli("run", path, "--local", "--quiet", "--events", "ci/events.jsonl")

    said = events(tmp_path / "ci/events.jsonl")
    assert done.code == 0
    assert said == events(next(tmp_path.glob(".runner/runs/*/events.jsonl")))
    for event in said:
        SCHEMA.validate(event)


def test_what_a_run_says_that_goes_wrong_is_valid_too(cli: Cli, tmp_path: Path) -> None:
    path = tmp_path / "tea.yaml"
    path.write_text(
        "name: tea\nsteps:\n"
        "  words: {kind: parse_json, text: no json at all}\n"
        '  draft: {kind: generate_text, model: qwen/qwen3-32b-awq, prompt: "{{ steps.words.data }}"}\n'
        "  none: {kind: render_text, text: Tea., when: false}\n"
        "  many: {kind: render_text, text: '{{ item }}', foreach: [a, b]}\n"
    )

    done = cli("run", path, "--local", "--quiet", "--events", "events.jsonl")

    said = events(tmp_path / "events.jsonl")
    assert done.code == 1
    assert {"CellFailed", "CellBlocked", "CellSkipped", "StepOpened"} <= {event["event"] for event in said}
    for event in said:
        SCHEMA.validate(event)
