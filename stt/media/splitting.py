"""Cut samples at the quietest moments near the wanted length."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import chain
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from stt.media.samples import SAMPLE_RATE, Samples

_FRAME = SAMPLE_RATE // 100
"""Samples in 10 ms, the grid on which cuts are sought."""

_WINDOW_SHARE = 0.6
"""A cut lies between this share of the target and the target: Whisper decodes 30 s at a time, so a
piece of 31 s would cost as much as two."""

_SILENCE_DB = -75.0  # below this, quiet is quiet

_TAIL = SAMPLE_RATE
"""No last piece is shorter, if the one before it can spare the difference."""

Sound = TypeVar("Sound", NDArray[np.int16], NDArray[np.float32])


@dataclass(frozen=True)
class Search:
    """How the quietest place is found: by the loudness around it, at several scales at once.

    `earliness_db` is what a cut at the early end must be quieter by.
    """

    scales_seconds: tuple[float, ...]
    earliness_db: float = 0.0

    @property
    def margin(self) -> int:
        """The samples on either side of a cut that count."""
        return round(max(self.scales_seconds) * SAMPLE_RATE / 2)


INGEST = Search((0.05, 0.2, 0.8), earliness_db=6.0)
"""A gap between two consonants is quiet at the first scale only, a pause between words at the first
two, a breath between sentences at all three, in its middle above all. Pieces would get short for
naught if no cut were preferred for being late."""
WINDOWS = Search((0.1, 0.3))
"""Without voice detection the three scales of ingest cost windows a tenth more wrong words (128
minutes of synthesized speech, a small model); with it all scales are equal."""


def pieces(blocks: Iterable[Samples], target_seconds: float) -> Iterator[Samples]:
    """Cut `blocks`, together one recording, into pieces of at most `target_seconds`.

    Every sample comes out once, in order. Where a cut falls depends only on what follows the cut
    before it, so cutting can be taken up again at any piece. Holds one piece and one block.
    """
    target = max(_FRAME, round(target_seconds * SAMPLE_RATE))
    for _, piece, _ in cut(blocks, round(target * _WINDOW_SHARE), target, INGEST):
        yield piece


def cut(
    blocks: Iterable[Sound], earliest: int, target: int, search: Search
) -> Iterator[tuple[int, Sound, bool]]:
    """Cut `blocks` into pieces of `earliest` to `target` samples, but for the last.

    Yields where each begins, its samples, and whether it is the last. The blocks' sizes make no
    difference, and nothing here keeps a piece that was yielded.
    """
    tail = min(_TAIL, target // 5)
    start = held = 0
    waiting: list[Sound] = []
    for block in chain(blocks, (None,)):
        # All that a search reads must be there, or it would depend on the blocks' sizes.
        enough = target + max(tail, search.margin)
        if block is None:
            enough = target + 1
        else:
            waiting.append(block)
            held += len(block)
        while held >= enough:
            samples = waiting[0] if len(waiting) == 1 else np.concatenate(waiting)
            end = quietest(samples, earliest, min(target, held - tail), search)
            start, held, waiting = start + end, held - end, [samples[:end], samples[end:].copy()]
            del samples
            yield start - end, waiting.pop(0), False
    if held:
        yield start, np.concatenate(waiting), True


def quietest(samples: Sound, earliest: int, latest: int, search: Search) -> int:
    """Return the best place for a cut in `earliest..latest` (indexes), on a 10 ms grid.

    The lower the loudness around it at all scales, and the later it is, the better.
    """
    first = max(0, earliest - search.margin) // _FRAME
    last = min(len(samples), latest + search.margin) // _FRAME
    energy = _energy(samples[first * _FRAME : last * _FRAME])
    loudness = np.mean(
        [_decibels(_around(energy, scale)) for scale in search.scales_seconds], axis=0
    )
    # Candidate i is the border between frames i - 1 and i.
    low = max(1, -(-earliest // _FRAME) - first)
    high = max(low, min(latest // _FRAME - first, len(loudness) - 1))
    earliness = np.linspace(search.earliness_db, 0.0, high - low + 1)
    # Of equals, the last: silence all through is cut at the target.
    costs = (loudness[low : high + 1] + earliness)[::-1]
    best = high - int(np.argmin(costs))
    return int(np.clip((first + best) * _FRAME, 1, latest))


def _energy(samples: Sound) -> NDArray[np.float64]:
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
