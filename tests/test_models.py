"""Every model of the catalogue in one table: a step made from its row runs against the emulator, end to end."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import anyio
import pytest

from runner import app, loading
from runner.catalogue import Model
from runner.emulator.films import film
from runner.emulator.pictures import encoded, picture
from runner.emulator.speech import spoken
from runner.events import CellState, Event, RunState
from runner.model import Artifact
from runner.options import Options

from .rows import FILES, MODELS, Words, least, values

MEDIA = {"generate_image": "image", "edit_image": "image", "generate_video": "video", "generate_speech": "audio"}
LARGE = ("size", "resolution", "aspect_ratio", "loras", "high_noise_loras", "low_noise_loras", "fps")
"""Not what is tried here: larger files take longer, weights are not fetched."""


def step(model: Model) -> Words:
    """What the model needs, its other files, and two of the params that it can have."""
    given: Words = {"kind": model.kind, "model": model.id, **least(model)}
    given |= {word: FILES[word] for word in model.files} | ({"image": "a.png"} if model.images else {})
    extra = [word for word in model.params if word not in LARGE and word not in given]
    given |= {word: values(dict(model.params[word]))[0] for word in extra[:2]}
    given |= {"duration": values(dict(model.params["duration"]))[0]} if "duration" in model.params else {}
    given |= {"max_tokens": 60, "temperature": 0} if model.kind == "generate_text" else {}
    return given


STEPS = {re.sub(r"[^a-z0-9]+", "_", model.id.lower()): step(model) for model in MODELS}


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> RunState:
    folder = tmp_path_factory.mktemp("models")
    photo = picture("a street", size=(96, 64), seed=1, signature="m")
    (folder / "a.png").write_bytes(encoded(photo, "png"))
    (folder / "a.wav").write_bytes(spoken("Hello, this is me.", "lucy"))
    (folder / "a.mp4").write_bytes(film([photo], size=(96, 64), seconds=2, fps=8, about="a street"))
    (folder / "all.yaml").write_text(json.dumps({"name": "all", "steps": STEPS}))
    read = loading.read(folder / "all.yaml")
    assert [problem for problem in read.problems if not problem.warning] == []

    def ignored(_: Event | RunState) -> None: ...

    options = Options(local=True, out=folder / "out")
    return anyio.run(app.run, read, loading.Given(), options, ignored, ignored).state


def cell(run: RunState, name: str) -> CellState:
    found = run.cells[name]
    assert found.state == "done", found.message
    return found


@pytest.mark.parametrize("name", STEPS)
def test_a_model_makes_what_its_kind_promises(name: str, run: RunState) -> None:
    output = cell(run, name).output
    assert output is not None
    media = MEDIA.get(STEPS[name]["kind"])

    if media is None:
        assert len(output.values["text"]) > 10
    else:
        made: Any = output.values[media]
        assert isinstance(made, Artifact)
        assert made.media_type.startswith(f"{media}/")
        assert Path(made.path).stat().st_size == made.bytes > 1000


def known(model: Model, given: Words) -> bool:
    """Whether the price is known before: speech ends when it ends, what is given may say how long a video is."""
    if model.price is None or model.price.per not in ("image", "megapixel", "video", "second"):
        return False
    return model.price.per != "second" or not {"text", "audio", "video"} & set(given)


ROWS = dict(zip(STEPS, MODELS, strict=True))
PRICED = [name for name, model in ROWS.items() if known(model, STEPS[name])]
BOUNDED = [
    name for name, model in ROWS.items() if name not in PRICED and model.price and model.price.per != "1m_tokens"
]
CHATS = [name for name, model in ROWS.items() if model.price and model.price.per == "1m_tokens"]


@pytest.mark.parametrize("name", PRICED)
def test_a_call_costs_what_was_expected(name: str, run: RunState) -> None:
    assert cell(run, name).cost == pytest.approx(ROWS[name].cost(STEPS[name]))


@pytest.mark.parametrize("name", BOUNDED)
def test_a_call_costs_at_most_what_was_expected(name: str, run: RunState) -> None:
    most = ROWS[name].cost(STEPS[name], len(STEPS[name].get("text", "")))

    assert most is not None
    assert 0 <= cell(run, name).cost <= most


@pytest.mark.parametrize("name", CHATS)
def test_a_chat_costs_what_its_tokens_cost(name: str, run: RunState) -> None:
    done, price = cell(run, name), ROWS[name].price
    assert done.output is not None
    assert price is not None
    usage = done.output.values["usage"]

    assert usage["completion_tokens"] <= STEPS[name]["max_tokens"]
    assert done.cost == pytest.approx(price.tokens(usage["prompt_tokens"], usage["completion_tokens"]))


def test_nearly_every_price_is_known_before() -> None:
    unpriced = [name for name in STEPS if name not in (*PRICED, *BOUNDED, *CHATS)]

    assert (len(PRICED), len(BOUNDED), len(CHATS), len(unpriced)) == (29, 7, 7, 2)
