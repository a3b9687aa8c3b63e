"""Words are cut to the sound in them, and the rest of the sound is what has no text."""

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from whisper_server.engines.base import SAMPLE_RATE, AlignedWord, Samples
from whisper_server.word_times import (
    FRAME_SECONDS,
    MIN_UNCOVERED_SECONDS,
    Activity,
    Stretch,
    active_frames,
    active_seconds,
    fit,
    pauses_in,
    uncovered,
)


def voice(seconds: float, *stretches: Stretch, level: float = 0.1, floor: float = 0.0) -> Samples:
    """Return noise that swells as often as syllables in some stretches, at `floor` elsewhere."""
    times = np.arange(round(seconds * SAMPLE_RATE)) / SAMPLE_RATE
    sounds = np.zeros(len(times), bool)
    for start, end in stretches:
        sounds |= (times >= start) & (times < end)
    noise = np.random.default_rng(0).normal(0, 1, len(times))
    swelling = 0.2 + 0.8 * np.abs(np.cos(2 * np.pi * 5 * times))
    return (noise * np.where(sounds, level * swelling, floor)).astype(np.float32)


def activity(seconds: float, *stretches: Stretch) -> Activity:
    frames = np.zeros(round(seconds / FRAME_SECONDS), np.bool_)
    for start, end in stretches:
        frames[round(start / FRAME_SECONDS) : round(end / FRAME_SECONDS)] = True
    return frames


def words(*times: Stretch, text: str = " word") -> list[AlignedWord]:
    return [AlignedWord(text, (1,), start, end, 0.9) for start, end in times]


def times_of(found: Sequence[AlignedWord]) -> list[Stretch]:
    return [(word.start, word.end) for word in found]


def close(*times: Stretch) -> list[object]:
    return [pytest.approx(pair, abs=2 * FRAME_SECONDS) for pair in times]


def sounds_in(frames: Activity) -> list[Stretch]:
    borders = np.flatnonzero(np.diff(frames.astype(int), prepend=0, append=0)) * FRAME_SECONDS
    return list(zip(borders[::2].tolist(), borders[1::2].tolist(), strict=True))


class TestActivity:
    @pytest.mark.parametrize("level", [0.3, 0.01, 0.003], ids=["loud", "quiet", "whisper"])
    @pytest.mark.parametrize("floor_share", [0.0, 0.02, 0.1], ids=["silence", "room", "noise"])
    def test_sound_is_found_at_any_loudness_above_any_floor(
        self, level: float, floor_share: float
    ) -> None:
        samples = voice(6, (1, 2.5), (4, 5), level=level, floor=level * floor_share)
        assert sounds_in(active_frames(samples)) == close((1, 2.5), (4, 5))

    @pytest.mark.parametrize("seconds", [0.0, 0.01, 0.02, 3.0])
    def test_silence_has_none(self, seconds: float) -> None:
        assert not active_frames(voice(seconds)).any()

    def test_hum_below_the_loudness_of_any_speech_has_none(self) -> None:
        assert not active_frames(voice(3, level=0.0002, floor=0.0002)).any()

    def test_speech_without_a_pause_is_all_sound(self) -> None:
        assert active_frames(voice(5, (0, 5))).all()

    def test_a_stop_within_a_word_is_a_part_of_it_and_a_pause_is_not(self) -> None:
        samples = voice(4, (0.5, 1), (1.1, 1.6), (2.0, 3))
        assert sounds_in(active_frames(samples)) == close((0.5, 1.6), (2.0, 3))

    def test_a_click_is_no_speech(self) -> None:
        assert sounds_in(active_frames(voice(4, (1, 2), (3, 3.02)))) == close((1, 2))

    def test_pauses_are_the_rest(self) -> None:
        assert pauses_in(voice(4, (1, 2), (2.5, 3))) == close((0, 1), (2, 2.5), (3, 4))

    def test_seconds_of_sound_are_counted_between_two_times(self) -> None:
        frames = activity(5, (1, 2), (3, 4))
        assert active_seconds(frames, 1.5, 3.5) == pytest.approx(1.0)
        assert active_seconds(frames, 2.2, 2.8) == 0.0
        assert active_seconds(frames, 0, 99) == pytest.approx(2.0)


class TestFit:
    def test_words_within_sound_stay(self) -> None:
        said = words((1.0, 1.4), (1.4, 1.9), (1.9, 2.5))
        assert times_of(fit(said, activity(4, (1, 2.5)))) == times_of(said)

    def test_a_word_that_is_stretched_over_a_pause_ends_with_its_sound(self) -> None:
        said = words((1.0, 3.0), (3.0, 3.5))
        found = fit(said, activity(5, (1.0, 1.5), (3.0, 3.5)))
        assert times_of(found) == close((1.0, 1.5), (3.0, 3.5))

    def test_a_word_that_begins_in_a_pause_begins_with_its_sound(self) -> None:
        said = words((0.0, 1.4), (1.4, 1.8))
        assert times_of(fit(said, activity(3, (1.0, 1.8)))) == close((1.0, 1.4), (1.4, 1.8))

    @pytest.mark.parametrize(
        ("placed", "sound"),
        [((1.7, 1.9), (2.1, 2.5)), ((2.0, 2.2), (1.5, 1.9))],
        ids=["before", "behind"],
    )
    def test_a_word_in_a_pause_goes_to_the_nearest_sound(
        self, placed: Stretch, sound: Stretch
    ) -> None:
        assert times_of(fit(words(placed), activity(5, sound))) == close(sound)

    def test_a_word_far_from_any_sound_stays_where_it_was_placed(self) -> None:
        assert times_of(fit(words((8.0, 8.3)), activity(10, (1, 2)))) == close((8.0, 8.3))

    def test_no_word_lasts_longer_than_it_can_be_said(self) -> None:
        short, long = (fit(words((0, 9), text=text), activity(9, (0, 9))) for text in (
            " I", " international",
        ))  # fmt: skip
        assert 0.5 < short[0].end < 2.0
        assert short[0].end < long[0].end < 4.0

    def test_a_word_goes_on_to_the_end_of_its_sound_but_not_into_the_next_one(self) -> None:
        frames = activity(4, (1.0, 2.0))
        assert times_of(fit(words((1.0, 1.7)), frames)) == close((1.0, 2.0))
        assert times_of(fit(words((1.0, 1.7), (1.8, 2.0)), frames)) == close((1.0, 1.8), (1.8, 2.0))
        assert times_of(fit(words((1.0, 1.7)), activity(9, (1.0, 8.0))))[0][1] < 2.5

    def test_silence_moves_nothing(self) -> None:
        said = words((1.0, 1.5), (1.5, 2.0))
        assert times_of(fit(said, activity(4))) == times_of(said)
        assert times_of(fit(said, activity(0))) == times_of(said)

    def test_no_words_are_none(self) -> None:
        assert fit([], activity(4, (1, 2))) == ()

    def test_text_tokens_and_probability_stay(self) -> None:
        (word,) = fit([AlignedWord(" Hello,", (5, 6), 0.0, 2.0, 0.25)], activity(4, (1, 1.5)))
        assert (word.text, word.tokens, word.probability) == (" Hello,", (5, 6), 0.25)


class TestUncovered:
    def test_sound_without_a_word_is_found(self) -> None:
        frames = activity(10, (0.5, 2), (4, 6.5), (8, 9.5))
        said = words((0.5, 1), (1, 2), (8, 9.5))
        assert uncovered(said, frames) == close((4, 6.5))
        assert uncovered([], frames) == close((0.5, 2), (4, 6.5), (8, 9.5))
        assert uncovered([*said, *words((4, 5.2), (5.2, 6.4))], frames) == []

    def test_a_breath_or_a_cough_is_left(self) -> None:
        short = MIN_UNCOVERED_SECONDS - 0.1
        assert uncovered([], activity(10, (2, 2 + short))) == []
        assert uncovered([], activity(10, (2, 2 + MIN_UNCOVERED_SECONDS + 0.1)))

    def test_the_sound_around_a_word_belongs_to_it(self) -> None:
        assert uncovered(words((1.2, 2.0)), activity(5, (1.0, 2.3))) == []

    def test_words_of_a_sentence_are_one_stretch(self) -> None:
        frames = activity(10, (2, 2.5), (2.8, 3.3), (3.7, 4.2), (7, 7.5))
        assert uncovered([], frames) == close((2, 4.2))

    def test_silence_and_nothing_have_none(self) -> None:
        assert uncovered(words((1, 2)), activity(5)) == []
        assert uncovered([], activity(0)) == []


stretches = st.lists(st.tuples(st.floats(0, 20), st.floats(0.02, 3)), max_size=12).map(
    lambda pairs: [(start, start + length) for start, length in pairs]
)
placed = st.lists(st.floats(0, 20), min_size=2, max_size=30).map(
    lambda borders: list(pairwise(sorted(borders)))
)


@settings(max_examples=200, deadline=None)
@given(stretches, placed)
def test_words_stay_in_order_and_never_overlap(sounds: list[Stretch], times: list[Stretch]) -> None:
    found = fit(words(*times), activity(22, *sounds))
    assert len(found) == len(times)
    assert all(word.start <= word.end for word in found)
    assert all(one.end <= two.start for one, two in pairwise(found))


@settings(max_examples=200, deadline=None)
@given(stretches, placed)
def test_what_is_uncovered_is_sound_far_from_any_word(
    sounds: list[Stretch], times: list[Stretch]
) -> None:
    frames = activity(22, *sounds)
    found = uncovered(words(*times), frames)
    assert all(one[1] < two[0] for one, two in pairwise(found))
    for start, end in found:
        assert active_seconds(frames, start, end) >= MIN_UNCOVERED_SECONDS
    for first, last in times:
        assert not any(
            start < (first + last) / 2 < end and last - first > 1 for start, end in found
        )
