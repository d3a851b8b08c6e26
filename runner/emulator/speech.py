"""Speech: a text and a voice in, a WAV file of a creature that babbles it out.

Every letter takes its time: a vowel is a buzz through two resonances, a hissing sound is noise, the
rest hums or is silent. Whole periods of the buzz are made once and laid side by side, which is fast.
"""

import functools
import math
import re
import sys
import unicodedata
from array import array
from collections.abc import Iterable
from random import Random

from .waves import RATE, written

SECONDS = 0.06  # a letter at normal speed: about 170 words a minute
LONGEST = 300.0  # seconds; a longer text is spoken faster, so that its end is heard too
_SHORTEST = 0.4
# The first two resonances of each vowel in Hz, and how loud it is.
_VOWELS = {"a": (730, 1090), "e": (530, 1840), "i": (270, 2290), "o": (570, 840), "u": (300, 870), "y": (390, 1990)}
_HUMS = dict.fromkeys("mnlrwjvbdgzñ", (250, 1200))
_HISSES = frozenset("sfhxcßkptq")
_LEVELS = 8


def seconds(text: str, speed: float = 1.0) -> float:
    """How long a text takes."""
    usual = max(_SHORTEST, len(_plain(text)) * SECONDS)
    return min(usual / min(4.0, max(0.25, speed)), LONGEST)


def spoken(text: str, voice: str, *, speed: float = 1.0, semitones: float = 0.0) -> bytes:
    """The same arguments always give the same bytes; another voice has another pitch."""
    text = _plain(text)
    samples = bytearray()
    whole = round(seconds(text, speed) * RATE)
    pitch = pitch_of(voice) * 2 ** (min(12.0, max(-12.0, semitones)) / 12)
    for number, letter in enumerate(text):
        # From the sum, not from the last letter: roundings must not add up.
        count = round(whole * (number + 1) / len(text)) - len(samples) // 2
        # Down a little to the end of a sentence, and up and down with the words.
        melody = 1.06 - 0.12 * number / len(text) + 0.05 * math.sin(number / 3)
        samples += _sound(letter.lower(), count, round(RATE / (pitch * melody)))
    samples += bytes(2 * whole - len(samples))
    return written(bytes(samples), text=text, voice=voice)


def pitch_of(voice: str) -> float:
    """Hz: from a deep voice to a child's."""
    return Random(f"voice {voice}").uniform(90, 250)


def _plain(text: str) -> str:
    return " ".join(text.split())


def _sound(letter: str, count: int, period: int) -> bytes:
    """So many samples of one letter, swelling and fading in steps."""
    letter = _bare(letter)
    if letter in _HISSES:
        return _noise(count)
    formants = _VOWELS.get(letter) or _HUMS.get(letter)
    if formants is None:
        return bytes(2 * count)
    loudest = _LEVELS if letter in _VOWELS else _LEVELS // 2
    # Whole periods only: a sound that ends where it begins does not click.
    periods = count // period
    out = b"".join(
        _period(formants, period, max(1, min(loudest, 1 + 2 * n, 1 + 2 * (periods - 1 - n)))) for n in range(periods)
    )
    return out + bytes(2 * (count - periods * period))


@functools.lru_cache(maxsize=4096)
def _period(formants: tuple[int, int], period: int, level: int) -> bytes:
    """One period of a buzz whose overtones are strong near the resonances."""
    tones = []
    for n in range(1, max(2, min(24, 4000 * period // RATE))):
        hertz = n * RATE / period
        strength = sum(weight / (1 + ((hertz - f) / 130) ** 2) for f, weight in zip(formants, (1.0, 0.6), strict=True))
        tones.append((n * 2 * math.pi / period, strength + 0.12 / n))
    loud = 20_000 * level / _LEVELS / sum(strength for _, strength in tones)
    wave = (sum(strength * math.sin(step * at) for step, strength in tones) for at in range(period))
    return _packed(round(loud * value) for value in wave)


@functools.lru_cache(maxsize=256)
def _noise(count: int) -> bytes:
    random = Random(count)
    return _packed(round(random.gauss(0, 900) * math.sin(math.pi * at / count)) for at in range(count))


def _packed(samples: Iterable[int]) -> bytes:
    words = array("h", samples)
    if sys.byteorder == "big":
        words.byteswap()
    return words.tobytes()


def _bare(letter: str) -> str:
    """`é` sounds as `e`; a letter of another script gets a vowel of its own."""
    plain = unicodedata.normalize("NFD", letter)[:1]
    if not plain.isalpha() or re.match(r"[a-zßñ]", plain):
        return plain
    return "aeiouy"[ord(plain) % 6]
