"""Conversations and pictures: how they go out, what they count for, what comes back."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from runner.catalogue import Model, builtin
from runner.emulator import Emulator
from runner.errors import TemplateFailed
from runner.kinds import KINDS, generate_text
from runner.kinds.kind import fit
from runner.kinds.nesting import rendered
from runner.model import Artifact, Chat, key_of
from runner.reports import planned as report
from runner.templates import parse

from .conftest import Bench, Cli, planned
from .test_kinds import PHOTO

SEER = builtin().models["moonshot-kimi"]
OTHER = Artifact(sha256="ef" * 32, media_type="image/png", bytes=3, path="/b.png")
SEEN = {"type": "image_url", "image_url": {"url": PHOTO}}


def asked(model: Model = SEER, **params: Any) -> Chat:
    call = generate_text.advance({"model": model, **params}, ())
    assert isinstance(call, Chat)
    return call


@pytest.mark.parametrize(
    ("params", "messages"),
    [
        pytest.param({"prompt": "Hi"}, [{"role": "user", "content": "Hi"}], id="a prompt"),
        pytest.param(
            {"prompt": "What?", "image": PHOTO},
            [{"role": "user", "content": [{"type": "text", "text": "What?"}, SEEN]}],
            id="a prompt and a picture",
        ),
        pytest.param(
            {"prompt": "What?", "images": [PHOTO, PHOTO]},
            [{"role": "user", "content": [{"type": "text", "text": "What?"}, SEEN, SEEN]}],
            id="several pictures",
        ),
        pytest.param(
            {"messages": [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Ho"},
                          {"role": "user", "content": [{"text": "And"}]}]},
            [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Ho"},
             {"role": "user", "content": "And"}],
            id="a conversation",
        ),
        pytest.param(
            {"messages": [{"role": "user", "content": [{"text": "What?"}, {"image": PHOTO}, {"text": "And this?",
                                                                                           "image": PHOTO}]}]},
            [{"role": "user", "content": [{"type": "text", "text": "What?"}, SEEN,
                                          {"type": "text", "text": "And this?"}, SEEN]}],
            id="a conversation with pictures",
        ),
        pytest.param(
            {"system": "Be brief.", "messages": [{"role": "user", "content": "Hi"}]},
            [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hi"}],
            id="a system and a conversation",
        ),
        pytest.param(
            {"schema": True,
             "messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hi"}]},
            [{"role": "system", "content": "Be brief.\n\nAnswer with JSON only, that fits this JSON Schema: true"},
             {"role": "user", "content": "Hi"}],
            id="a schema beside a message of the system",
        ),
        pytest.param(
            {"schema": True, "messages": [{"role": "system", "content": [{"text": "Be"}, {"text": "brief."}]},
                                          {"role": "user", "content": "Hi"}]},
            [{"role": "system", "content": [
                {"type": "text", "text": "Be"}, {"type": "text", "text": "brief."},
                {"type": "text", "text": "Answer with JSON only, that fits this JSON Schema: true"}]},
             {"role": "user", "content": "Hi"}],
            id="a schema beside a message of the system in parts",
        ),
    ],
)  # fmt: skip
def test_a_conversation_goes_out_as_openai_writes_it(params: dict[str, Any], messages: list[Any]) -> None:
    call = asked(**params)

    assert call.body["messages"] == messages


def test_a_picture_counts_by_its_bytes_and_not_by_where_it_is() -> None:
    elsewhere = Artifact(sha256=PHOTO.sha256, media_type="image/png", bytes=3, path="/c.png", url="https://a/b.png")

    keys = [key_of(asked(prompt="What?", image=image), "o") for image in (PHOTO, elsewhere, OTHER)]

    assert keys[0] == keys[1] != keys[2]


def test_what_a_picture_costs_is_bounded_by_the_context_of_the_model() -> None:
    seen, unseen = asked(prompt="What?", image=PHOTO), asked(prompt="What?")

    assert seen.usd == SEER.most
    assert unseen.usd is not None
    assert seen.usd is not None
    assert unseen.usd < seen.usd


MESSAGES = KINDS["generate_text"].PARAMS["messages"]


def test_messages_are_rendered_part_by_part() -> None:
    written = [{"role": "user", "content": [{"text": parse("a {{ x }}")}, {"image": parse("{{ photo }}")}]},
               {"role": parse("{{ who }}"), "content": parse("{{ n }}")}]  # fmt: skip

    found = rendered("messages", MESSAGES, written, {"x": "b", "photo": PHOTO, "who": "assistant", "n": 5})

    assert found == [
        {"role": "user", "content": [{"text": "a b"}, {"image": PHOTO}]},
        {"role": "assistant", "content": "5"},
    ]


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ([{"role": "robot", "content": "x"}], "messages[0].role cannot be 'robot'; it can be system, user, assistant"),
        ([{"role": "user"}], "messages[0] has no content"),
        ([{"role": "user", "content": "x", "name": "y"}], "messages[0] knows no 'name'; it knows role, content"),
        ([{"role": "user", "content": [{"image": "x"}]}], "messages[0].content[0].image needs an image"),
        ({"role": "user"}, "messages must be a list"),
    ],
)
def test_a_conversation_that_a_template_yields_is_checked_before_it_is_sent(value: Any, words: str) -> None:
    with pytest.raises(TemplateFailed) as caught:
        fit("messages", MESSAGES, value)

    assert str(caught.value).startswith(words)


def test_a_plan_shows_the_conversation_as_far_as_it_is_known() -> None:
    plan = planned(
        """
        name: talk
        inputs: {leaf: {type: string, default: mint}}
        steps:
          draft: {kind: generate_text, model: qwen/qwen3-32b-awq, prompt: a}
          talk:
            kind: generate_text
            model: qwen/qwen3-32b-awq
            messages:
              - {role: system, content: "You sell {{ inputs.leaf }} tea."}
              - {role: user, content: [{text: "Say {{ steps.draft.text }} again."}]}
        """
    )

    call = plan.steps[1].preview
    assert isinstance(call, Chat)
    assert [message["content"] for message in call.body["messages"]] == [
        "You sell mint tea.",
        "Say {{ steps.draft.text }} again.",
    ]
    assert plan.steps[1].edges[0].why == "messages.1.content.0.text reads steps.draft"
    assert plan.steps[1].model is not None
    assert plan.steps[1].usd == plan.steps[1].model.most


def test_a_plan_is_written_with_its_messages_and_the_names_of_its_pictures() -> None:
    plan = planned(
        """
        name: look
        inputs: {leaf: {type: image, default: docs/pictures/photo.jpg}}
        steps:
          look:
            kind: generate_text
            model: moonshot-kimi
            messages:
              - {role: user, content: Hello}
              - {role: assistant, content: Hi}
              - {role: user, content: [{text: What is this?}, {image: "{{ inputs.leaf }}"}]}
        """
    )

    said = report.text(plan)

    assert "user: Hello\n       assistant: Hi\n       user: What is this? <{{ inputs.leaf }}>" in said


LOOK = """
name: look
inputs: {street: {type: image}}
models: {seer: {model: abc123def456}}
steps:
  photo: {kind: generate_image, model: black-forest-labs/flux-1-schnell, prompt: a red teapot, size: 256x256}
  look:
    kind: generate_text
    model: seer
    messages:
      - role: user
        content:
          - text: What do you see?
          - image: "{{ steps.photo.image }}"
          - image: "{{ inputs.street }}"
          - image: lane.png
  again:
    kind: generate_text
    model: seer
    prompt: And now?
    images: [lane.png, "{{ steps.photo.image }}"]
outputs:
  look.txt: "{{ steps.look.text }}"
  again.txt: "{{ steps.again.text }}"
"""


def test_a_model_sees_pictures_of_the_run_of_its_inputs_and_of_the_project(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "look.yaml").write_text(LOOK)
    for name in ("street.png", "lane.png"):
        Image.new("RGB", (64, 48), "navy").save(tmp_path / name)

    done = cli("run", "look.yaml", "--local", "-i", "street=street.png")

    assert done.code == 0, done.err
    look, again = ((tmp_path / "out/look" / name).read_text() for name in ("look.txt", "again.txt"))
    assert (look.count("I see "), again.count("I see ")) == (3, 2)
    assert "red teapot" in look
    assert "red teapot" in again


@pytest.mark.anyio
async def test_a_question_about_a_picture_is_paid_once(bench: Bench, emulator: Emulator) -> None:
    text = """
        name: look
        steps:
          photo: {kind: generate_image, model: black-forest-labs/flux-1-schnell, prompt: a red teapot, size: 256x256}
          look: {kind: generate_text, model: moonshot-kimi, prompt: What?, image: "{{ steps.photo.image }}"}
        """
    first = await bench.run(text)

    second = await bench.run(text)

    assert first.ends() == {"photo": "done", "look": "done"}
    assert second.ends() == {"photo": "cached", "look": "cached"}
    assert emulator.count("chat") == 1
