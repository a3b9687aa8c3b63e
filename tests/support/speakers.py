"""Conversations of human voices, and who speaks when in them."""

import random
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from stt.media.audio import SAMPLE_RATE, Samples
from tests.support.human_speech import prompts

PAUSE_SECONDS = 0.4


@dataclass(frozen=True)
class Conversation:
    """16 kHz samples (int16), and each turn's start and end in seconds with its voice."""

    samples: Samples
    turns: tuple[tuple[float, float, str], ...]

    def speaker_at(self, seconds: float) -> str | None:
        return next((who for start, end, who in self.turns if start <= seconds <= end), None)


def conversation(voices: Sequence[str], seconds: float, seed: int = 1) -> Conversation:
    """Return turns of 4 to 12 s of the voices of some languages, which take turns by chance."""
    choice = random.Random(seed)
    speech = {voice: prompts(voice, 2 * seconds, seed).samples for voice in voices}
    used = dict.fromkeys(voices, 0)
    parts: list[Samples] = []
    turns: list[tuple[float, float, str]] = []
    now, last = 0.0, ""
    while now < seconds:
        last = choice.choice([voice for voice in voices if voice != last])
        count = round(choice.uniform(4.0, 12.0) * SAMPLE_RATE)
        said = speech[last][used[last] : used[last] + count]
        used[last] += count
        parts += [said, np.zeros(round(PAUSE_SECONDS * SAMPLE_RATE), np.int16)]
        turns.append((now, now + len(said) / SAMPLE_RATE, last))
        now = sum(map(len, parts)) / SAMPLE_RATE
    return Conversation(np.concatenate(parts), tuple(turns))


def largest_shares(pairs: Sequence[tuple[float, str, str]]) -> dict[str, tuple[str, float]]:
    """Return for each found speaker the voice with most of its seconds, and its share of them.

    `pairs`: seconds, found speaker, true voice.
    """
    seconds: dict[str, dict[str, float]] = {}
    for length, found, true in pairs:
        of_speaker = seconds.setdefault(found, {})
        of_speaker[true] = of_speaker.get(true, 0.0) + length
    return {
        found: (max(of, key=lambda voice: of[voice]), max(of.values()) / sum(of.values()))
        for found, of in seconds.items()
    }
