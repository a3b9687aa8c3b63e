"""Turn what the libraries return into words and segments with valid numbers. Pure."""

import math
import zlib
from collections.abc import Iterable, Sequence
from itertools import islice
from typing import Any

import numpy as np

from whisper_server.engines.base import (
    AlignedWord,
    Features,
    Segment,
    Word,
)

TOP_LANGUAGES = 5
OPENING_MARKS = "\"'“¿([{-"
CLOSING_MARKS = "\"'.。,，!！?？:：”)]}、"
"""Marks that belong to the word behind them, and before them."""
SAMPLED_CANDIDATES = 5
"""Whisper's `best_of`: of so many sampled texts the likeliest counts."""


def aligned_words(
    found: Iterable[tuple[str, Sequence[int], float, float, float]],
) -> tuple[AlignedWord, ...]:
    """Return text, tokens, start, end and probability of each word as words, with plain numbers."""
    return tuple(
        AlignedWord(text, tuple(tokens), float(start), float(end), finite(probability))
        for text, tokens, start, end, probability in found
        if text
    )


def numbers_of(
    text: str, score: float, token_count: int, no_speech_prob: float
) -> dict[str, float]:
    """Return a window's numbers for Whisper's quality checks.

    `score`: the average over all `token_count` tokens, which Whisper's own average divides by one
    more: the end of the text.
    """
    encoded = text.strip().encode()
    return {
        "avg_logprob": finite(finite(score) * token_count / (token_count + 1)),
        "compression_ratio": len(encoded) / len(zlib.compress(encoded)),
        "no_speech_prob": finite(no_speech_prob),
    }


def segment_of(draft: dict[str, Any], text: str, numbers: Any, seconds: float) -> Segment:
    """Return a segment of faster-whisper's, within audio of `seconds`.

    `numbers` is the object that has its numbers.
    """

    def times(part: dict[str, Any]) -> tuple[float, float]:
        return within(part["start"], part["end"], seconds)

    start, end = times(draft)
    return Segment(
        start=start,
        end=end,
        text=text,
        seek=0,
        tokens=tuple(draft["tokens"]),
        temperature=float(numbers.temperature or 0.0),
        avg_logprob=finite(numbers.avg_logprob),
        compression_ratio=finite(numbers.compression_ratio),
        no_speech_prob=finite(numbers.no_speech_prob),
        words=tuple(
            Word(*times(word), word["word"].strip(), finite(word["probability"]))
            for word in draft.get("words") or ()
        ),
    )


def padded(spectrogram: Features, frames: int) -> Features:
    """Return a spectrogram, shape (mel bands, frames), without its last frame, zeros added.

    Whisper's extractors make a frame more than the audio has.
    """
    found = np.zeros((len(spectrogram), frames), np.float32)
    count = min(spectrogram.shape[1] - 1, frames)
    found[:, :count] = spectrogram[:, :count]
    return found


def top_languages(ranked: Iterable[tuple[str, float]]) -> tuple[tuple[str, float], ...]:
    """Return the first few of languages that are ranked by probability, as plain numbers."""
    return tuple((code, float(probability)) for code, probability in islice(ranked, TOP_LANGUAGES))


def within(start: float, end: float, seconds: float) -> tuple[float, float]:
    """Limit times to the audio: Whisper may place them in the padding after it."""
    first = min(max(0.0, float(start)), seconds)
    return round(first, 3), round(min(max(first, float(end)), seconds), 3)


def finite(number: float) -> float:
    """Return the number, 0 for NaN and infinity: a window without tokens may have one."""
    return float(number) if math.isfinite(number) else 0.0
