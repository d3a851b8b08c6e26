"""For every wish that the recording of the official provider holds, our request is the provider's, as JSON.

Where they differ, a line of `EXCEPTIONS` says in what and why; a difference without a line fails, and so does a line
without a difference. What the provider adds by itself is left out where the caller said nothing about it, and so is
what we add: see docs/decisions/002.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import pytest

from . import oracle
from .oracle import Case, Refusal, Request, Words

pytestmark = pytest.mark.skipif(
    not (oracle.CORPUS.exists() and oracle.FACTS.exists()), reason=f"the recording {oracle.CORPUS} is not there"
)

OURS = {"max_tokens": 2048}
"""What we add to a chat that says nothing (002). The seed that we add to a picture is added later, by the run."""

How = Literal["ours", "theirs", "value", "refused", "sent", "needs"]
"""A field that only we send, only they send, or both with another value; we refuse, they refuse, the page refuses."""


@dataclass(frozen=True)
class Difference:
    """``what`` is a field, or a sentence of a refusal."""

    how: How
    what: str


@dataclass(frozen=True)
class Excepted:
    """Why it is right to differ in this: the whole field, or the begin of a sentence, with these models."""

    how: How
    what: str
    reason: str
    models: str = ".*"

    def covers(self, case: Case, difference: Difference) -> bool:
        match = re.match if self.how == "refused" else re.fullmatch
        return (
            self.how == difference.how
            and match(self.what, difference.what) is not None
            and re.fullmatch(self.models, case.model) is not None
        )


NANO = r"(google/)?nano-banana.*"
ALLOWS_LITTLE = rf"{NANO}|pruna/p-image.*"
IMAGE_VIDEOS = r".*(-i2v|-i2v-pro|-i2v-720|-r2v|-lora|control)|alibaba/wan-2.5"

EXCEPTIONS = [
    # what the provider sends and the page refuses
    Excepted("needs", "image", "The page requires a picture, and the provider sends the job without (021)."),
    Excepted("needs", "video|orientation", "Its page requires them, and the provider sends the job without (021).",
               r"kwaivgi/kling-v2\.6.*"),
    Excepted("needs", "duration", "The page requires it, and the provider sends the job without (021).", "openai/.*"),
    Excepted("refused", "There is no model", "A name that nobody knows is no endpoint: it may be a typo (022).",
               "my-.*|someorg/.*|google/nano-banana-pro|meta-llama/.*"),
    Excepted("refused", ".* takes no picture|.* does not know the key images",
               "The model takes no picture, and the provider drops it, or sends it to be dropped, in silence (023).",
               r"black-.*|alibaba/wan-2\.6(-t2v)?|pruna/p-image-t2i|bytedance/seedream-[34]\.0|qwen/qwen-image"),
    Excepted("refused", ".* does not know the key mask",
               "No model's page has a mask: the provider warns, and sends the job without (023)."),
    Excepted("refused", ".* takes at most 1 picture, not 3", "The page has one picture, in image (023).",
             "z-image.*"),
    # sizes and ratios
    Excepted("refused", "size and aspect_ratio both say how large",
               "Two wishes that contradict each other: the provider drops the ratio in silence (024)."),
    Excepted("refused", r".* has no (size|aspect ratio)", "It is not on the page; the docs' rule validates (024).",
               r"alibaba/wan-2\.6|wan-2-6-t2i|alibaba/wan-2\.6-t2v|qwen/.*-2511.*|pruna/p-image-edit|"
               r"google/nano-banana-pro-edit"),
    Excepted("value", "size", "4:3 is 1024*768 on the page; the provider's 1472*1140 is not there (024).",
               "(tongyi-mai/)?z-image-turbo"),
    Excepted("refused", ".* takes no (size|aspect_ratio)",
               "The page has no such field: the provider drops it, or sends what the server does not know (024).",
               rf"{ALLOWS_LITTLE}|{IMAGE_VIDEOS}|vidu/.*"),
    Excepted("sent", "", "The provider refuses 16:9 to endpoints that it does not know.",
               "https://(console|api).runpod.*"),
    # params that the page does not have, or not with this value
    Excepted("refused", ".* takes no seed", "The page has no seed; the provider drops it, or sends it (025).",
               rf"{NANO}|bytedance/seedream-4\.0-edit|kwaivgi/kling-v2.*|openai/sora.*"),
    Excepted("refused", ".* takes no (fps|duration)", "The page has no such field (025).",
               rf"{IMAGE_VIDEOS}|vidu/.*|alibaba/wan-2\.6-t2v"),
    Excepted("refused", "(output_format|style|duration) cannot be", "Not a value of the page (025).",
               r"qwen/qwen-image-edit|black-.*-kontext-dev|google/nano-banana-2-edit|vidu/q3-t2v|openai/sora.*"),
    Excepted("refused", ".* does not know the key (language|instructions)",
               "No model takes it; the provider warns and goes on (025).", "resembleai/.*|my-tts"),
    # options
    Excepted("theirs", "pollIntervalMillis|maxPollAttempts",
               "How often to look is no business of the model: these leak into the input (026)."),
    Excepted("ours", "enable_base64_output|enable_sync_mode|seed|image|images|loras|my_thing|strength|resolution|"
               "aspect_ratio|guidance|negative_prompt|num_inference_steps|output_format",
               "options: goes out as it is written; the provider has a short list and drops the rest (026).",
               ALLOWS_LITTLE),
    Excepted("ours", "exaggeration|unknown", "The same, for speech and transcription (026).",
               "resembleai/.*|minimax.*|pruna/whisper.*"),
    Excepted("ours", "top_k", "vLLM takes it and the page lists it; the provider warns and drops it (026)."),
    # pictures and voices under the page's names
    Excepted("theirs", "image", "The page wants a list, images; the provider sends one as image (027).",
               "bytedance/seedream-4.0-edit|kwaivgi/kling-video-o1-r2v"),
    Excepted("ours", "images", "As above.", "bytedance/seedream-4.0-edit|kwaivgi/kling-video-o1-r2v"),
    Excepted("theirs", "voice", "The page calls it voice_id (027).", "minimax-speech-02-hd"),
    Excepted("ours", "voice_id", "As above; and beside voice_url the provider drops it.", "minimax-speech-02-hd"),
    Excepted("ours", "voice", "Beside voice_url, which wins, the provider drops it: no difference (027).",
               "resembleai/.*"),
    # chats
    Excepted("theirs", "stream|stream_options", "A chat of a step is read as a whole."),
    Excepted("theirs", "tool_choice", "auto is what holds where tools are offered and nothing is said."),
    Excepted("value", "model", "One name for one model, so that its chats have one key; the server takes both.",
               "gpt-oss-120b"),
]  # fmt: skip

WITHOUT: dict[str, Callable[[Case], bool]] = {
    "the route of completions: a step chats": lambda case: case.kind == "completion",
    "a base URL for one call: RUNPOD_BASE_URL is for all": lambda case: case.via == "baseURL" and case.kind == "image",
}
"""Why a case has no counterpart in our vocabulary."""


@dataclass(frozen=True)
class Verdict:
    """A case, our answer to it, and in what it differs from the provider's."""

    case: Case
    ours: Request | Refusal
    differences: tuple[Difference, ...]


@pytest.fixture(scope="module")
def corpus() -> list[Case]:
    return list(oracle.cases())


@pytest.fixture(scope="module")
def verdicts(corpus: list[Case], tmp_path_factory: pytest.TempPathFactory) -> list[Verdict]:
    compared = [case for case in corpus if not any(lacks(case) for lacks in WITHOUT.values())]
    wishes = {case.id: oracle.completed(oracle.wish(case)) for case in compared}
    ours = oracle.sent({name: wish for name, (wish, _) in wishes.items()}, tmp_path_factory.mktemp("oracle"))
    injected = oracle.injected()
    return [
        Verdict(case, ours[case.id], tuple(differences(case, ours[case.id], wishes[case.id][1], injected)))
        for case in compared
    ]


def differences(
    case: Case, ours: Request | Refusal, added: dict[str, str], injected: dict[str, Words]
) -> list[Difference]:
    """In what two requests differ. ``added`` is what our wish needed beyond the case, by the field that it became."""
    if case.theirs is None:
        return [] if isinstance(ours, Refusal) else [Difference("sent", "")]
    found = [Difference("needs", word) for word in added]
    if isinstance(ours, Refusal):
        return found + [Difference("refused", sentence) for sentence in ours.sentences]
    assert ours.where == case.theirs.where
    assert "messages" in ours.body or set(ours.body) == {"input"}
    mine, yours = (dict(body.get("input", body)) for body in (ours.body, case.theirs.body))
    for field in added.values():
        mine.pop(field)
    usual = injected.get(case.model, injected[""]) if case.kind == "image" else injected.get(case.model, {})
    yours = {k: v for k, v in yours.items() if k in mine or k not in usual or v != usual[k]}
    if "messages" in ours.body:
        mine = {k: v for k, v in mine.items() if k in yours or OURS.get(k) != v}
    found += [Difference("ours", field) for field in mine.keys() - yours.keys()]
    found += [Difference("theirs", field) for field in yours.keys() - mine.keys()]
    found += [Difference("value", field) for field in mine.keys() & yours.keys() if mine[field] != yours[field]]
    return found


def test_every_difference_from_the_provider_has_a_reason(verdicts: list[Verdict]) -> None:
    unexplained = [
        f"{verdict.case}: {difference.how} {difference.what}"
        for verdict in verdicts
        for difference in verdict.differences
        if not any(known.covers(verdict.case, difference) for known in EXCEPTIONS)
    ]

    assert unexplained == []


@pytest.mark.parametrize("known", EXCEPTIONS, ids=lambda known: f"{known.how} {known.what}"[:50])
def test_every_exception_is_one(known: Excepted, verdicts: list[Verdict]) -> None:
    assert any(known.covers(verdict.case, d) for verdict in verdicts for d in verdict.differences)


@pytest.mark.parametrize("reason", WITHOUT)
def test_every_reason_to_leave_a_case_out_has_a_case(reason: str, corpus: list[Case]) -> None:
    assert any(WITHOUT[reason](case) for case in corpus)


def test_a_wish_for_several_is_the_same_request_several_times(corpus: list[Case]) -> None:
    several = [case for case in corpus if case.label == "n 2"]

    assert {len(case.bodies) for case in several} == {2}
    assert all(case.bodies[0] == case.bodies[1] for case in several)


def test_the_requests_of_the_corpus_are_ours(
    corpus: list[Case], verdicts: list[Verdict], record_property: Callable[[str, object], None]
) -> None:
    equal = [verdict for verdict in verdicts if not verdict.differences]
    refused = [verdict for verdict in equal if isinstance(verdict.ours, Refusal)]
    lacking = [v for v in verdicts if v.differences and {d.how for d in v.differences} == {"needs"}]
    counts = Counter(
        cases=len(corpus),
        compared=len(verdicts),
        equal=len(equal),
        equal_refusals=len(refused),
        excepted=len(verdicts) - len(equal),
        equal_but_for_what_the_page_requires=len(lacking),
        without_counterpart=len(corpus) - len(verdicts),
    )
    for name, count in counts.items():
        record_property(name, count)
    print(dict(counts))

    assert counts["cases"] == 491
    assert counts["compared"] >= 489
    assert counts["equal"] >= 218
    assert counts["equal"] + counts["equal_but_for_what_the_page_requires"] >= 296
    assert counts["compared"] == counts["equal"] + counts["excepted"]
