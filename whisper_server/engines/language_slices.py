"""Slices of a window, in which a model finds the language. Pure."""

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from whisper_server.engines.base import SLICE_SECONDS, SLICE_STEP_SECONDS

_SURE_PROBABILITY = 0.7


def slice_times(seconds: float) -> list[tuple[float, float]]:
    """Return start and end of each slice of a window, in seconds; they overlap, all are as long.

    A window that is shorter than a slice is one slice.
    """
    if seconds <= SLICE_SECONDS:
        return [(0.0, max(seconds, 1.0))]
    last, step = seconds - SLICE_SECONDS, SLICE_STEP_SECONDS
    starts = [0.0, *np.arange(step, last - step / 2, step).tolist(), last]
    return [(start, start + SLICE_SECONDS) for start in starts]


def cut_frames(
    frames: npt.NDArray[np.float32], axis: int, time: tuple[float, float], per_second: int
) -> npt.NDArray[np.float32]:
    """Return the frames of one slice; equally many for all slices of a window."""
    first, count = round(time[0] * per_second), round((time[1] - time[0]) * per_second)
    first = min(first, frames.shape[axis] - count)
    return np.ascontiguousarray(np.take(frames, range(first, first + count), axis=axis))


def are_doubtful(slices: Sequence[Mapping[str, float]]) -> bool:
    """Return whether a window may hold several languages: a slice is unsure, or two disagree."""
    best = {max(probs, key=lambda code: probs[code]) for probs in slices}
    return len(best) > 1 or min(max(probs.values()) for probs in slices) < _SURE_PROBABILITY
