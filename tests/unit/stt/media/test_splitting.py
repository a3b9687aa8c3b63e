"""Where recordings are cut: in pauses, near the target, with every sample in one piece only."""

from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stt.media.audio import SAMPLE_RATE, Samples
from stt.media.splitting import pieces
from tests.support.recordings import babble


def noise(seconds: float, loudness: float = 3_000) -> Samples:
    random = np.random.default_rng(3)
    return np.asarray(random.standard_normal(round(seconds * SAMPLE_RATE)) * loudness, np.int16)


def with_pauses(seconds: float, *pauses: tuple[float, float], loudness: float = 10) -> Samples:
    """Speech without end, but for pauses from one second to another."""
    samples = noise(seconds)
    for begin, end in pauses:
        quiet = noise(end - begin, loudness)
        first = round(begin * SAMPLE_RATE)
        samples[first : first + len(quiet)] = quiet
    return samples


def in_blocks(samples: Samples, size: int) -> Iterator[Samples]:
    for first in range(0, len(samples), size):
        yield samples[first : first + size]


def cuts_of(samples: Samples, target_seconds: float = 30) -> list[float]:
    """Seconds at which the recording was cut."""
    ends = np.cumsum([len(p) for p in pieces([samples], target_seconds)]) / SAMPLE_RATE
    return [float(end) for end in ends[:-1]]


@settings(max_examples=40, deadline=None)
@given(
    count=st.integers(0, 9 * SAMPLE_RATE),
    block=st.integers(100, 3 * SAMPLE_RATE),
    target_seconds=st.floats(0.05, 4),
)
def test_every_sample_comes_out_once_and_in_order(
    count: int, block: int, target_seconds: float
) -> None:
    samples = babble(9)[:count]
    cut = list(pieces(in_blocks(samples, block), target_seconds))
    np.testing.assert_array_equal(np.concatenate([*cut, np.zeros(0, np.int16)]), samples)
    assert all(0 < len(piece) <= target_seconds * SAMPLE_RATE + 1 for piece in cut)


@pytest.mark.parametrize("block", [160, 1_024, 44_321, 10_000_000])
def test_the_size_of_the_blocks_changes_nothing(block: int) -> None:
    samples = babble(100)
    expected = [len(piece) for piece in pieces([samples], 20)]
    assert [len(piece) for piece in pieces(in_blocks(samples, block), 20)] == expected


def test_cutting_taken_up_at_a_piece_gives_the_same_pieces() -> None:
    samples = babble(100)
    whole = [len(piece) for piece in pieces([samples], 10)]
    resumed = [len(piece) for piece in pieces([samples[sum(whole[:4]) :]], 10)]
    assert resumed == whole[4:]


def test_a_short_recording_is_one_piece() -> None:
    assert [len(piece) for piece in pieces([babble(29.99)], 30)] == [len(babble(29.99))]


def test_no_samples_make_no_piece() -> None:
    assert list(pieces([], 30)) == []


def test_a_cut_falls_into_the_middle_of_the_pause() -> None:
    assert cuts_of(with_pauses(45, (25.0, 25.6))) == pytest.approx([25.3], abs=0.1)


def test_a_pause_in_steady_background_noise_is_found() -> None:
    assert cuts_of(with_pauses(45, (23.0, 23.4), loudness=500)) == pytest.approx([23.2], abs=0.15)


def test_a_long_pause_is_preferred_to_a_short_gap() -> None:
    (cut,) = cuts_of(with_pauses(45, (24.0, 24.8), (27.0, 27.06)))
    assert 24.2 < cut < 24.6


def test_of_equal_pauses_the_one_near_the_target_is_taken() -> None:
    assert cuts_of(with_pauses(45, (20.0, 20.5), (28.0, 28.5))) == pytest.approx([28.25], abs=0.1)


def test_a_click_of_nothing_within_a_word_does_not_beat_a_pause() -> None:
    samples = with_pauses(45, (22.0, 22.5), loudness=100)
    samples[28 * SAMPLE_RATE : 28 * SAMPLE_RATE + 480] = 0  # 30 ms of digital silence
    assert cuts_of(samples) == pytest.approx([22.25], abs=0.1)


def test_speech_without_pauses_is_still_cut_in_time() -> None:
    lengths = [len(piece) / SAMPLE_RATE for piece in pieces([noise(100)], 30)]
    assert max(lengths) <= 30
    assert min(lengths[:-1]) >= 18


def test_silence_is_cut_at_the_target() -> None:
    assert cuts_of(np.zeros(70 * SAMPLE_RATE, np.int16)) == [30, 60]


def test_the_last_piece_is_not_a_splinter() -> None:
    lengths = [len(piece) for piece in pieces([with_pauses(30.2, (29.5, 29.9))], 30)]
    assert len(lengths) == 2
    assert lengths[-1] >= SAMPLE_RATE


def test_words_are_left_whole_where_there_are_pauses() -> None:
    for cut in cuts_of(babble(200)):
        assert cut % 1.0 > 0.7
