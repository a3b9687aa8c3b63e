"""Slices of a window: where they lie, and when they call for a closer look."""

from itertools import pairwise

import numpy as np
import pytest

from whisper_server.engines.base import SLICE_SECONDS, SLICE_STEP_SECONDS
from whisper_server.engines.language_slices import are_doubtful, cut_frames, slice_times


@pytest.mark.parametrize("seconds", [5.1, 6.0, 7.4, 7.6, 12.34, 25.0, 29.99, 30.0])
def test_slices_cover_a_window_and_are_as_long_and_overlap(seconds: float) -> None:
    times = slice_times(seconds)
    assert times[0][0] == 0.0
    assert times[-1][1] == pytest.approx(seconds)
    assert all(end - start == pytest.approx(SLICE_SECONDS) for start, end in times)
    steps = [two[0] - one[0] for one, two in pairwise(times)]
    assert all(0 < step <= 1.5 * SLICE_STEP_SECONDS for step in steps)
    assert len(times) <= seconds / SLICE_STEP_SECONDS


@pytest.mark.parametrize("seconds", [0.1, 1.0, 3.0, 5.0])
def test_a_short_window_is_one_slice(seconds: float) -> None:
    assert slice_times(seconds) == [(0.0, max(seconds, 1.0))]


@pytest.mark.parametrize("axis", [0, 1])
def test_frames_of_a_slice_are_those_of_its_time(axis: int) -> None:
    frames = np.tile(np.arange(1500, dtype=np.float32), (4, 1))
    cut = cut_frames(np.moveaxis(frames, 1, axis), axis, (2.5, 7.5), 50)
    assert cut.shape[axis] == 250
    assert np.moveaxis(cut, axis, 1)[0].tolist() == list(range(125, 375))
    assert cut.flags.c_contiguous


@pytest.mark.parametrize("seconds", [0.3, 5.1, 12.345, 29.999, 30.0])
def test_all_slices_of_a_window_have_as_many_frames(seconds: float) -> None:
    frames = np.zeros((1500, 4), np.float32)
    counts = {len(cut_frames(frames, 0, time, 50)) for time in slice_times(seconds)}
    assert len(counts) == 1
    assert counts.pop() > 0


def test_slices_that_are_sure_and_agree_are_not_doubtful() -> None:
    assert not are_doubtful([{"en": 0.9, "de": 0.1}, {"en": 0.8, "de": 0.2}])


@pytest.mark.parametrize(
    "slices",
    [[{"en": 0.9, "de": 0.1}, {"en": 0.1, "de": 0.9}], [{"en": 0.9}, {"en": 0.5, "de": 0.3}]],
    ids=["they disagree", "one is unsure"],
)
def test_slices_that_disagree_or_doubt_are(slices: list[dict[str, float]]) -> None:
    assert are_doubtful(slices)
