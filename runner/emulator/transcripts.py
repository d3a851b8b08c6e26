"""Transcripts: a recording in, the text that is spoken in it out, with its sentences and their times.

The emulator's own speech says what it said; any other recording gets sentences that are always the
same for the same bytes and fill its time.
"""

import hashlib
import re
from dataclasses import dataclass
from random import Random

from .values import JSON
from .waves import read

_PACE = 2.5  # words a second, of recordings that do not say what is said in them
_COMPRESSED = 16_000  # bytes a second: what is no WAV is taken for 128 kbit/s
_SOUNDS = (b"ID3", b"\xff\xfb", b"\xff\xf3", b"\xff\xf2", b"\xff\xf1", b"fLaC", b"OggS", b"\x1aE\xdf\xa3", b"FORM")
_SENTENCES = (
    "Good morning, everybody, and thank you for joining us today.",
    "Let me begin with what we have learned over the last few weeks.",
    "The first point is simple, and it is the one that people forget.",
    "We tried it twice, and the second time it worked much better.",
    "If you have a question, please ask it at any time.",
    "There is still a lot to do, but we are on a good way.",
    "I would like to thank the whole team for their patience.",
    "That is all for now, we will talk again next week.",
)
_COMMON = {
    "de": "der die das und ist nicht ein eine mit für auf wir ich sie es",
    "fr": "le la les et est une des pas pour dans vous nous je avec",
    "es": "el la los las y es una no para con por que en su muy",
    "it": "il lo la gli e è una non per con che di sono molto",
    "en": "the and is a of to in that it for was with you on are",
}


@dataclass(frozen=True, slots=True)
class Segment:
    """A sentence or a word, and when it is said, in seconds."""

    text: str
    start: float
    end: float


def heard(data: bytes) -> tuple[str, float]:
    """What is said, and for how long. Raises ValueError for what is no recording."""
    if data[:4] == b"RIFF":
        wave = read(data)
        return wave.text or _imagined(data, wave.seconds), wave.seconds
    if not data.startswith(_SOUNDS) and data[4:8] != b"ftyp":
        raise ValueError("it is no recording (WAV, MP3, FLAC, OGG, M4A, WebM)")
    seconds = max(0.1, len(data) / _COMPRESSED)
    return _imagined(data, seconds), seconds


def transcript(data: bytes, *, language: str | None, words: bool, form: str) -> dict[str, JSON]:
    """As the endpoint answers, without its cost; `form` is that of the key `transcription`."""
    text, seconds = heard(data)
    segments = _timed(re.findall(r"\S.*?[.!?…]+(?=\s|$)|\S.*$", text, re.DOTALL), seconds)
    said = [
        {"id": number, "text": one.text, "start": one.start, "end": one.end}
        | (
            {"words": [_word(word) for word in _timed(one.text.split(), one.end - one.start, one.start)]}
            if words
            else {}
        )
        for number, one in enumerate(segments)
    ]
    return {
        "text": text,
        "transcription": _formed(text, segments, form),
        "segments": said,
        "language": language or _language(text),
        "duration": round(seconds, 3),
    }


def _imagined(data: bytes, seconds: float) -> str:
    random = Random(hashlib.sha256(data).digest())
    sentences = list(_SENTENCES)
    random.shuffle(sentences)
    count = max(1, round(seconds * _PACE))
    words = " ".join(sentences * (count // 60 + 1)).split()[:count]
    return " ".join(words).rstrip(",.") + "."


def _timed(parts: list[str], seconds: float, start: float = 0.0) -> list[Segment]:
    """Each part for as long as its share of the letters."""
    letters, at, timed = sum(map(len, parts)), 0, []
    for part in parts:
        begun, at = at, at + len(part)
        timed.append(
            Segment(part, round(start + seconds * begun / letters, 3), round(start + seconds * at / letters, 3))
        )
    return timed


def _word(word: Segment) -> dict[str, JSON]:
    return {"word": word.text, "start": word.start, "end": word.end}


def _language(text: str) -> str:
    words = re.findall(r"\w+", text.lower())
    return max(reversed(_COMMON), key=lambda name: sum(word in _COMMON[name].split() for word in words))


def _formed(text: str, segments: list[Segment], form: str) -> str:
    match form:
        case "srt":
            blocks = [
                f"{number}\n{_clock(one.start, ',')} --> {_clock(one.end, ',')}\n{one.text}\n"
                for number, one in enumerate(segments, start=1)
            ]
            return "\n".join(blocks)
        case "vtt":
            blocks = [f"{_clock(one.start, '.')} --> {_clock(one.end, '.')}\n{one.text}\n" for one in segments]
            return "\n".join(["WEBVTT\n", *blocks])
        case "formatted_text":
            return "\n".join(one.text for one in segments)
        case _:
            return text


def _clock(seconds: float, point: str) -> str:
    milliseconds = round(seconds * 1000)
    minutes, rest = divmod(milliseconds, 60_000)
    return f"{minutes // 60:02}:{minutes % 60:02}:{rest // 1000:02}{point}{rest % 1000:03}"
