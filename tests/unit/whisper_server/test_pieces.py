"""Where long recordings are cut."""

import numpy as np

from whisper_server.engines.pieces import cut_points

SECOND = 16_000


def noise(seconds: int) -> np.ndarray[tuple[int], np.dtype[np.float32]]:
    return np.random.default_rng(0).normal(0, 0.1, seconds * SECOND).astype(np.float32)


def test_a_short_recording_stays_whole() -> None:
    assert cut_points(60 * SECOND, noise(60)) == [0, 60 * SECOND]


def test_a_long_one_is_cut_where_it_is_quiet() -> None:
    samples = noise(100)
    samples[50 * SECOND : 51 * SECOND] = 0
    first, cut, last = cut_points(60 * SECOND, samples)
    assert (first, last) == (0, len(samples))
    assert 50 * SECOND < cut < 51 * SECOND


def test_no_piece_is_too_long_and_every_one_moves_on() -> None:
    points = np.array(cut_points(7 * SECOND, noise(100)))
    assert (np.diff(points) > 0).all()
    assert (np.diff(points) <= 7 * SECOND).all()


def test_pieces_of_pure_silence_stay_long() -> None:
    points = np.array(cut_points(60 * SECOND, np.zeros(600 * SECOND, np.float32)))
    assert len(points) == 12
