"""Cut samples at the quietest moments near the wanted length."""

from collections.abc import Iterable, Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from stt.media.samples import SAMPLE_RATE, Samples, joined

_FRAME = SAMPLE_RATE // 100
"""Samples in 10 ms, the grid on which cuts are sought."""

_WINDOW_SHARE = 0.6
"""A cut lies between this share of the target and the target: Whisper decodes 30 s at a time, so a
piece of 31 s would cost as much as two."""

# How quiet a moment is, is judged by the loudness around it at three scales at once: a gap between
# two consonants is quiet at the first only, a pause between words at the first two, a breath
# between sentences at all three, in its middle above all.
_SCALES_SECONDS = (0.05, 0.2, 0.8)
_MARGIN = round(max(_SCALES_SECONDS) * SAMPLE_RATE / 2)
_SILENCE_DB = -75.0  # below this, quiet is quiet
# What a cut at the window's early end must be quieter by, or pieces would get short for naught.
_EARLINESS_DB = 6.0

_TAIL = SAMPLE_RATE
"""No last piece is shorter, if the one before it can spare the difference."""


def pieces(blocks: Iterable[Samples], target_seconds: float) -> Iterator[Samples]:
    """Cut `blocks`, together one recording, into pieces of at most `target_seconds`.

    Every sample comes out once, in order. Where a cut falls depends only on what follows the cut
    before it, so cutting can be taken up again at any piece. Holds one piece and one block.
    """
    target = max(_FRAME, round(target_seconds * SAMPLE_RATE))
    earliest = round(target * _WINDOW_SHARE)
    tail = min(_TAIL, target // 5)
    held = np.zeros(0, np.int16)
    for block in joined(blocks, target // 2):
        held = np.concatenate([held, block])
        # All that a decision looks at must be there, or it would depend on the blocks' sizes.
        while len(held) >= target + max(tail, _MARGIN):
            cut = quietest(held, earliest, target)
            yield held[:cut].copy()
            held = held[cut:]
    while len(held) > target:
        cut = quietest(held, earliest, min(target, len(held) - tail))
        yield held[:cut].copy()
        held = held[cut:]
    if len(held):
        yield held.copy()


def quietest(
    samples: Samples | NDArray[np.float32],
    earliest: int,
    latest: int,
    scales_seconds: Sequence[float] = _SCALES_SECONDS,
    earliness_db: float = _EARLINESS_DB,
) -> int:
    """Return the best place for a cut in `earliest..latest` (indexes), on a 10 ms grid.

    The lower the loudness around it at all scales, and the later it is, the better.
    """
    margin = round(max(scales_seconds) * SAMPLE_RATE / 2)
    first = max(0, earliest - margin) // _FRAME
    last = min(len(samples), latest + margin) // _FRAME
    energy = _energy(samples[first * _FRAME : last * _FRAME])
    loudness = np.mean([_decibels(_around(energy, scale)) for scale in scales_seconds], axis=0)
    # Candidate i is the border between frames i - 1 and i.
    low = max(1, -(-earliest // _FRAME) - first)
    high = max(low, min(latest // _FRAME - first, len(loudness) - 1))
    earliness = np.linspace(earliness_db, 0.0, high - low + 1)
    # Of equals, the last: silence all through is cut at the target.
    costs = (loudness[low : high + 1] + earliness)[::-1]
    best = high - int(np.argmin(costs))
    return int(np.clip((first + best) * _FRAME, 1, latest))


def _energy(samples: Samples | NDArray[np.float32]) -> NDArray[np.float64]:
    """Return the mean square of each 10 ms, full scale being 1."""
    full_scale = 32_768 if samples.dtype == np.int16 else 1
    frames = samples.reshape(-1, _FRAME)
    squares: NDArray[np.float64] = np.einsum("ij,ij->i", frames, frames, dtype=np.float64)
    return squares / (_FRAME * full_scale**2)


def _around(energy: NDArray[np.float64], seconds: float) -> NDArray[np.float64]:
    """Return the mean energy within `seconds` / 2 of each border of frames, shape (frames + 1,)."""
    half = max(1, round(seconds * SAMPLE_RATE / _FRAME / 2))
    total = np.concatenate([[0.0], np.cumsum(energy)])
    border = np.arange(len(total))
    left = np.maximum(border - half, 0)
    right = np.minimum(border + half, len(energy))
    mean: NDArray[np.float64] = (total[right] - total[left]) / np.maximum(right - left, 1)
    return mean


def _decibels(energy: NDArray[np.float64]) -> NDArray[np.float64]:
    # A difference of running sums may come out a hair below zero.
    floor = 10 ** (_SILENCE_DB / 10)
    decibels: NDArray[np.float64] = 10 * np.log10(np.maximum(energy, floor))
    return decibels
