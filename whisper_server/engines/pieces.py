"""Cuts a long recording at quiet points, so that memory does not grow with its length.

Spectrogram and voice detection take some 400 KB for each second of audio while they are computed;
a piece at a time, a recording of hours costs no more of that than one of five minutes.
"""

import numpy as np

from whisper_server.engines.base import SAMPLE_RATE, Samples

LONGEST_PIECE_SECONDS = 320
"""A little more than the five minutes that a worker sends at once: those stay whole."""
SEARCH_SECONDS = 20
"""The cut lies within so many seconds before the longest piece's end."""
FRAME = SAMPLE_RATE // 10


def cut_points(length: int, samples: Samples) -> list[int]:
    """Positions from 0 to the end, at most `length` samples apart, at the quietest 0.1 s."""
    points = [0]
    while len(samples) - points[-1] > length:
        end = points[-1] + length
        points.append(_quietest(samples, end - min(SEARCH_SECONDS * SAMPLE_RATE, length // 2), end))
    return [*points, len(samples)]


def _quietest(samples: Samples, start: int, end: int) -> int:
    """The middle of the quietest frame; of equals the last, so that pieces stay long."""
    count = (end - start) // FRAME
    if count == 0:
        return end
    frames = samples[end - count * FRAME : end].reshape(count, FRAME)
    loudness = np.square(frames).mean(axis=1)
    from_the_end = int(np.argmin(loudness[::-1]))
    return end - from_the_end * FRAME - FRAME // 2
