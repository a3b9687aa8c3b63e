"""Voices that are joined into speakers: directions at known angles stand for embeddings."""

import math
import random

import numpy as np
import pytest

from stt.transcripts import speakers
from stt.transcripts.speakers import (
    MIN_SPEAKER_SECONDS,
    SAME_VOICE_SIMILARITY,
    Voice,
    join_voices,
    mean_voice,
    read_embedding,
    speaker_letter,
    write_embedding,
)

BORDER = math.degrees(math.acos(SAME_VOICE_SIMILARITY))


def voice(degrees: float, seconds: float = 10.0, length: float = 1.0) -> Voice:
    """Return a voice whose embedding points that way in a plane."""
    angle = math.radians(degrees)
    return Voice(length * np.array([math.cos(angle), math.sin(angle)], np.float32), seconds)


def test_nothing_has_no_speakers() -> None:
    assert join_voices([]) == []


def test_alike_voices_are_one_speaker_and_others_are_not() -> None:
    assert join_voices([voice(0), voice(90), voice(5), voice(95)]) == [0, 1, 0, 1]


@pytest.mark.parametrize(("apart", "speakers"), [(-1.0, 1), (1.0, 2)])
def test_the_border_is_the_least_similarity_of_a_voice(apart: float, speakers: int) -> None:
    assert len(set(join_voices([voice(0), voice(BORDER + apart)]))) == speakers


def test_only_the_direction_counts() -> None:
    assert join_voices([voice(0, length=0.01), voice(1, length=50.0)]) == [0, 0]


def test_a_long_voice_moves_the_centroid_more_than_a_short_one() -> None:
    """The third is near enough to the second alone, not to a centroid that lies at the first."""
    near, far = voice(20, seconds=3), voice(20 + BORDER - 2, seconds=10)
    assert join_voices([voice(0, seconds=1000), near, far]) == [0, 0, 1]
    assert join_voices([voice(0, seconds=2), voice(20, seconds=1000), far]) == [0, 0, 0]


def test_a_number_that_is_known_decides() -> None:
    voices = [voice(0), voice(10), voice(20), voice(120)]
    assert len(set(join_voices(voices, count=1))) == 1
    assert join_voices(voices, count=2) == [0, 0, 0, 1]
    assert len(set(join_voices(voices, count=4))) == 4
    assert len(set(join_voices(voices, count=9))) == 4


def test_a_maximum_joins_the_most_alike_and_splits_none() -> None:
    voices = [voice(0), voice(45), voice(180)]
    assert join_voices(voices, at_most=2) == [0, 0, 1]
    assert join_voices(voices, at_most=3) == [0, 1, 2]
    assert join_voices([voice(0), voice(1)], at_most=5) == [0, 0]


@pytest.mark.parametrize("limit", ["count", "at_most"])
def test_one_too_short_to_judge_takes_no_place_of_those_who_are_counted(limit: str) -> None:
    voices = [voice(0, 100), voice(45, 100), voice(90, 100), voice(200, 0.8)]
    assert join_voices(voices, **{limit: 3}) == [0, 1, 2, None]
    assert join_voices(voices, **{limit: 2})[3] is None
    assert len(set(join_voices(voices, **{limit: 2})[:3])) == 2


def test_a_short_one_goes_to_the_voice_of_those_who_are_counted() -> None:
    """The first two are more alike than the last is to the second."""
    voices = [voice(0, 100), voice(5, 100), voice(15, 0.8)]
    assert join_voices(voices, count=2) == [0, 1, 1]


def test_as_many_as_there_are_is_no_fewer_where_all_are_short() -> None:
    assert join_voices([voice(0, 1.5), voice(5, 1.5)], count=2) == [0, 1]


def test_of_very_many_the_shortest_are_compared_with_the_speakers_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(speakers, "_MAX_CLUSTERED", 4)
    voices = [voice(0), voice(1, 5), voice(90), voice(91), voice(2), voice(180, 3), voice(89, 3)]
    assert join_voices(voices) == [0, 0, 1, 1, 0, None, 1]


def test_one_too_short_to_judge_has_no_speaker() -> None:
    short = MIN_SPEAKER_SECONDS / 3
    assert join_voices([voice(0), voice(90, short), voice(2)]) == [0, None, 0]
    assert join_voices([voice(0), voice(90, short), voice(91, 3 * short)]) == [0, 1, 1]
    assert join_voices([voice(0), voice(1, short)]) == [0, 0]


def test_where_all_are_short_they_are_all_that_there_is() -> None:
    assert join_voices([voice(0, 0.5), voice(90, 0.5)]) == [0, 1]


def test_speakers_do_not_depend_on_the_order_of_the_voices() -> None:
    chance = random.Random(1)
    voices = [
        voice(90 * (number % 4) + chance.uniform(-8, 8), chance.uniform(3, 60))
        for number in range(200)
    ]
    assert join_voices(voices) == [number % 4 for number in range(200)]
    order = chance.sample(range(200), 200)
    found = join_voices([voices[number] for number in order])
    groups = {number % 4: {s for n, s in zip(order, found, strict=True) if n % 4 == number % 4}
              for number in range(200)}  # fmt: skip
    assert all(len(speakers) == 1 for speakers in groups.values())
    assert len(set(found)) == 4


@pytest.mark.parametrize(
    ("number", "letter"), [(0, "A"), (25, "Z"), (26, "AA"), (51, "AZ"), (52, "BA"), (702, "AAA")]
)
def test_speakers_have_letters(number: int, letter: str) -> None:
    assert speaker_letter(number) == letter


def test_a_mean_voice_is_weighted_by_seconds() -> None:
    mean = mean_voice([voice(0, 30.0, length=9.0), voice(90, 10.0)])
    assert mean.seconds == 40.0
    assert mean.embedding == pytest.approx(np.array([3.0, 1.0]) / math.sqrt(10.0), abs=1e-6)
    assert mean_voice([voice(45, 0.0)]).embedding == pytest.approx([math.sqrt(0.5)] * 2, abs=1e-6)


def test_an_embedding_comes_back_as_its_direction() -> None:
    found = read_embedding(write_embedding(np.array([3.0, 4.0], np.float32)))
    assert found is not None
    assert found == pytest.approx([0.6, 0.8], abs=1e-3)
    assert np.linalg.norm(found) == pytest.approx(1.0)


@pytest.mark.parametrize("text", ["", "!", "AAA=", "AAAA", "AHwAfA==", "AH4AfA=="])
def test_text_that_is_no_embedding_is_none(text: str) -> None:
    """No base64, half a number, zeros, infinity, NaN."""
    assert read_embedding(text) is None
