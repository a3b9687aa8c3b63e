"""Channels to one: a mix that loses no voice, or one channel alone."""

from collections.abc import Sequence
from typing import Protocol, TypeAlias

import av
import numpy as np
from numpy.typing import NDArray

from stt.media.samples import SAMPLE_RATE, Samples

Planes: TypeAlias = NDArray[np.int16]
"""Audio at SAMPLE_RATE, shape (channels, n)."""

MAX_COMPARED = 32
"""Of so many channels each is compared with each; more are mixed as they are."""

# libswresample's matrix for a mono mix (rematrix.c, auto_matrix). A channel without a place counts
# as the centre of its matrix does; the centre of a film, which has the speech, counts twice.
_WEIGHTS = {
    **dict.fromkeys(("FL", "FR", "FLC", "FRC", "BC", "WL", "WR"), 0.7071),
    **dict.fromkeys(("BL", "BR", "SL", "SR"), 0.5),
    **dict.fromkeys(("LFE", "LFE2"), 0.0),
}
_HALF_LIFE_SECONDS = 10.0
# Of so many samples one is compared: what a second is like shows in 4,000 of them.
_COMPARED_OF = 4
# From this correlation on, channels hold the same sound, or its inverse.
_ALIKE = 0.5
# A mix with less than this share of the loudest channel's energy has lost it: -20 dB; it counts as
# complete again from -14 dB on.
_LOST, _COMPLETE = 0.01, 0.04
_FADE = SAMPLE_RATE // 20


class Reducer(Protocol):
    """Turns blocks of planes, in their order, into mono of the same length."""

    def __call__(self, planes: Planes) -> Samples: ...


class OneChannel:
    """Takes the channel with this number, counted from 0; silence where there are not so many."""

    def __init__(self, number: int) -> None:
        self._number = number

    def __call__(self, planes: Planes) -> Samples:
        if self._number >= len(planes):
            return np.zeros(planes.shape[1], np.int16)
        plane: Samples = planes[self._number]
        return plane


class Mixer:
    """Mixes channels so that none cancels another out.

    A channel that is the inverse of another (a wrongly wired cable, a balanced line recorded as
    stereo) is turned round before it is added. Where the mix still loses the loudest channel, that
    one is taken alone. What counts is the correlation of the last half minute or so, above the hum
    of the mains; a change is faded over 50 ms.
    """

    def __init__(self, names: Sequence[str]) -> None:
        weights = np.array([_WEIGHTS.get(name, 1.0) for name in names], np.float32)
        if {"FL", "FR", "FC"} < set(names):
            weights[list(names).index("FC")] = 2.0
        if not weights.any():
            weights[:] = 1.0
        count = len(names)
        self._shares = weights / weights.sum()
        self._signs = np.ones(count, np.float32)
        self._covariance = np.zeros((count, count)) if 1 < count <= MAX_COMPARED else None
        self._is_alone = False
        self._gains: NDArray[np.float32] | None = None

    def __call__(self, planes: Planes) -> Samples:
        first: Samples = planes[0]
        if len(planes) == 1 or not planes.size:
            return first
        block = planes.astype(np.float32)
        before, self._gains = self._gains, self._next_gains(planes)
        mixed: NDArray[np.float32] = self._gains @ block
        if before is not None and not np.array_equal(before, self._gains):
            count = min(_FADE, block.shape[1])
            ramp = np.linspace(0.0, 1.0, count, dtype=np.float32)
            old = before @ block[:, :count]
            mixed[:count] = old + ramp * (mixed[:count] - old)
        return np.rint(mixed).astype(np.int16)

    def _next_gains(self, planes: Planes) -> NDArray[np.float32]:
        count = planes.shape[1] // _COMPARED_OF * _COMPARED_OF
        if self._covariance is None or not count:
            return self._shares if self._gains is None else self._gains
        # The difference of neighbours takes mains hum down by 30 dB, and leaves speech.
        earlier = planes[:, :count:_COMPARED_OF].astype(np.float32)
        change = (planes[:, 1:count:_COMPARED_OF] - earlier) / 32_768
        kept = 0.5 ** (planes.shape[1] / SAMPLE_RATE / _HALF_LIFE_SECONDS)
        self._covariance = kept * self._covariance + change @ change.T
        self._turn(self._covariance)
        gains: NDArray[np.float32] = self._shares * self._signs
        energies = np.diag(self._covariance)
        loudest = int(np.argmax(energies))
        left = float(gains @ self._covariance @ gains)
        self._is_alone = left < (_COMPLETE if self._is_alone else _LOST) * energies[loudest]
        if self._is_alone:
            gains = np.zeros_like(gains)
            gains[loudest] = 1.0
        return gains

    def _turn(self, covariance: NDArray[np.float64]) -> None:
        """Give each channel the sign that adds it to the louder one that is most like it.

        One that is like no other keeps its sign, so that nothing changes from block to block.
        """
        scale = np.sqrt(np.maximum(np.diag(covariance), 1e-12))
        correlation = covariance / np.outer(scale, scale)
        order = np.argsort(-scale, kind="stable")
        for place, channel in enumerate(order[1:], 1):
            louder = order[:place]
            alike = louder[int(np.argmax(np.abs(correlation[channel, louder])))]
            if abs(correlation[channel, alike]) >= _ALIKE:
                sign = np.sign(correlation[channel, alike])
                self._signs[channel] = self._signs[alike] * sign


def reducer(frame: av.AudioFrame, channel: int | None) -> Reducer:
    """Return what makes mono of frames like this one: `channel` alone, or all if it is None."""
    if channel is not None:
        return OneChannel(channel)
    return Mixer([each.name for each in frame.layout.channels])
