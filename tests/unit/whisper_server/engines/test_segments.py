"""What the libraries return, as words and segments with valid numbers."""

import zlib
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from whisper_server.engines.base import AlignedWord, Word
from whisper_server.engines.segments import (
    TOP_LANGUAGES,
    aligned_words,
    finite,
    numbers_of,
    padded,
    segment_of,
    top_languages,
    within,
)

NAN, INFINITE = float("nan"), float("-inf")


def test_aligned_words_have_plain_numbers_and_a_text() -> None:
    arrays: Any = (np.float64(0.5), np.float32(1.0), np.float32(0.25))
    found = aligned_words(
        [(" one", [5, 6], *arrays), ("", [7], 1.0, 1.0, 0.5), (" two", (8,), 1.0, 1.5, NAN)]
    )
    assert found == (
        AlignedWord(" one", (5, 6), 0.5, 1.0, 0.25),
        AlignedWord(" two", (8,), 1.0, 1.5, 0.0),
    )
    assert {type(value) for word in found for value in (word.start, word.probability)} == {float}


def test_numbers_are_those_of_whispers_own_checks() -> None:
    text = " so it was " * 10
    found = numbers_of(text, -1.2, 3, 0.25)
    stripped = text.strip().encode()
    assert found == {
        "avg_logprob": pytest.approx(-1.2 * 3 / 4),  # the end of the text counts as a token
        "compression_ratio": len(stripped) / len(zlib.compress(stripped)),
        "no_speech_prob": 0.25,
    }
    assert found["compression_ratio"] > 3


@pytest.mark.parametrize("score", [NAN, INFINITE])
def test_a_window_without_tokens_has_valid_numbers(score: float) -> None:
    assert numbers_of("", score, 0, NAN) == {
        "avg_logprob": 0.0, "compression_ratio": 0.0, "no_speech_prob": 0.0,
    }  # fmt: skip


def test_a_segment_has_its_times_within_the_audio() -> None:
    word = {"start": 1.0, "end": 99.0, "word": " one", "probability": NAN}
    draft = {"start": 0.5, "end": 99.0, "tokens": [5, 6], "words": [word]}
    numbers = SimpleNamespace(
        temperature=None, avg_logprob=-0.5, compression_ratio=1.5, no_speech_prob=INFINITE
    )
    found = segment_of(draft, " one", numbers, seconds=10.0)
    assert (found.start, found.end, found.text, found.seek) == (0.5, 10.0, " one", 0)
    assert (found.tokens, found.words) == ((5, 6), (Word(1.0, 10.0, "one", 0.0),))
    assert (found.temperature, found.avg_logprob, found.compression_ratio) == (0.0, -0.5, 1.5)
    assert found.no_speech_prob == 0.0


@pytest.mark.parametrize("frames", [3, 10, 30])
def test_a_spectrogram_loses_its_last_frame_and_is_padded(frames: int) -> None:
    spectrogram = np.ones((4, 11), np.float32)
    found = padded(spectrogram, frames)
    assert found.shape == (4, frames)
    assert found[:, : min(frames, 10)].all()
    assert not found[:, 10:].any()


def test_the_likeliest_languages_are_kept() -> None:
    half: Any = np.float32(0.5)
    ranked = [(f"l{n}", half) for n in range(9)]
    found = top_languages(ranked)
    assert found == tuple((f"l{n}", 0.5) for n in range(TOP_LANGUAGES))
    assert {type(probability) for _, probability in found} == {float}


def test_times_stay_within_the_audio_and_in_order() -> None:
    assert within(-0.1, 1.23456, 10.0) == (0.0, 1.235)
    assert within(9.0, 29.9, 10.0) == (9.0, 10.0)
    assert within(11.0, 12.0, 10.0) == (10.0, 10.0)
    assert within(3.0, 2.0, 10.0) == (3.0, 3.0)


def test_numbers_that_json_does_not_know_become_zero() -> None:
    assert [finite(number) for number in (NAN, INFINITE, -0.5)] == [0.0, 0.0, -0.5]
