"""Conversations of human voices, and who speaks when in them."""

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
import numpy.typing as npt

from stt.media.audio import SAMPLE_RATE, Samples
from tools.fidelity_lab.prompts import load_prompts

VOICES = ("en", "fr", "it", "ru", "reader")
"""Of telephone prompts, a woman each but for the man who speaks Italian; and LibriVox's reader."""
TURN_SECONDS, PAUSE_SECONDS, OVERLAP_SECONDS = (1.0, 12.0), (0.1, 0.6), (0.5, 2.0)
OVERLAPPING_SHARE = 0.3
"""Of the turns in a conversation with overlaps."""
_LOUDNESS = 3_000.0
"""The root mean square of a turn's samples."""


@dataclass(frozen=True)
class Conversation:
    """16 kHz samples (int16), and each turn's start and end in seconds with its voice."""

    samples: Samples
    turns: tuple[tuple[float, float, str], ...]

    def speaker_at(self, seconds: float) -> str | None:
        return next((who for start, end, who in self.turns if start <= seconds <= end), None)


def conversation(
    voices: Sequence[str], seconds: float, overlap: float | None = None, seed: int = 1
) -> Conversation:
    """Return turns of some of `VOICES`, as many as it takes.

    `overlap`: how loud the second of two is that speak at once; None if none do. Raises
    SpeechMissing.
    """
    chance = random.Random(seed)
    speech = {voice: _endless(clips_of(voice), chance) for voice in voices}
    mixed = np.zeros(round((seconds + 30) * SAMPLE_RATE), np.float32)
    turns: list[tuple[float, float, str]] = []
    now, last = 0.0, ""
    while now < seconds:
        last = chance.choice([voice for voice in voices if voice != last])
        said = _turn(speech[last], round(chance.uniform(*TURN_SECONDS) * SAMPLE_RATE))
        start, loudness = now + chance.uniform(*PAUSE_SECONDS), 1.0
        if overlap is not None and turns and chance.random() < OVERLAPPING_SHARE:
            shorter = min(turns[-1][1] - turns[-1][0], len(said) / SAMPLE_RATE)
            start = now - min(shorter / 2, chance.uniform(*OVERLAP_SECONDS))
            loudness = overlap
        at = round(start * SAMPLE_RATE)
        mixed[at : at + len(said)] += loudness * said
        now = start + len(said) / SAMPLE_RATE
        turns.append((start, now, last))
    samples = mixed[: round(now * SAMPLE_RATE)]
    peak = float(np.abs(samples).max())
    return Conversation((samples * min(1.0, 32_000 / peak)).astype(np.int16), tuple(turns))


@cache
def clips_of(voice: str) -> list[Samples]:
    """Return all that a voice says, in pieces. Raises SpeechMissing."""
    prompts = load_prompts("en" if voice == "reader" else voice)
    is_reader = [prompt.name.startswith("sense_and_sensibility") for prompt in prompts]
    return [
        prompt.samples
        for prompt, reads in zip(prompts, is_reader, strict=True)
        if reads == (voice == "reader")
    ]


def _endless(clips: Sequence[Samples], chance: random.Random) -> Iterator[Samples]:
    while True:
        yield from chance.sample(clips, len(clips))


def _turn(clips: Iterator[Samples], count: int) -> npt.NDArray[np.float32]:
    """Return so many samples of speech, all turns equally loud; it breaks off where they are."""
    said: list[Samples] = []
    while sum(map(len, said)) < count:
        said.append(next(clips))
    turn = np.concatenate(said)[:count].astype(np.float32)
    return turn * np.float32(_LOUDNESS / np.sqrt(np.mean(np.square(turn))))
