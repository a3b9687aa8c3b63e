"""Samples: 16 kHz mono, and how decoded frames of any rate and layout become that."""

from collections.abc import Iterable, Iterator
from fractions import Fraction
from typing import TypeAlias

import av
import numpy as np
from av.audio.fifo import AudioFifo
from numpy.typing import NDArray

from stt.errors import BadAudio

SAMPLE_RATE = 16_000
"""Samples per second, everywhere: what Whisper was trained on."""

Samples: TypeAlias = NDArray[np.int16]
"""Mono audio at SAMPLE_RATE, shape (n,)."""

SAMPLE_RATES = range(1_000, 768_001)
"""Rates in Hz that are decoded. A header that claims 1 Hz would turn one frame into gigabytes of
samples; one that claims gigahertz would make the resampler build filters of gigabytes."""

# Frames are resampled in lots of so many samples: one by one takes twice the time.
_LOT = 32_768
_NOTHING: Samples = np.zeros(0, np.int16)


def silence(seconds: float) -> Iterator[Samples]:
    """Yield zeros for `seconds`, a second at a time: a file may claim any number of them."""
    left = round(seconds * SAMPLE_RATE)
    while left > 0:
        yield np.zeros(min(left, SAMPLE_RATE), np.int16)
        left -= SAMPLE_RATE


def joined(blocks: Iterable[Samples], min_samples: int) -> Iterator[Samples]:
    """Join small blocks to blocks of at least `min_samples`, but for the last."""
    waiting: list[Samples] = []
    count = 0
    for block in blocks:
        waiting.append(block)
        count += len(block)
        if count >= min_samples:
            yield np.concatenate(waiting)
            waiting, count = [], 0
    if count:
        yield np.concatenate(waiting)


def require_sample_rate(rate: int) -> None:
    """Raise BadAudio unless `rate` is one of SAMPLE_RATES."""
    if rate not in SAMPLE_RATES:
        raise BadAudio(f"a sample rate that cannot be right: {rate} Hz")


class Resampler:
    """Turns frames of one form into samples: exactly as many as the frames last.

    By way of 16 bits, as faster-whisper does it: channels are mixed without clipping, and no NaN
    of a floating-point file reaches the model. Every method raises BadAudio if FFmpeg fails.
    """

    def __init__(self, first: av.AudioFrame) -> None:
        require_sample_rate(first.sample_rate)
        self._form = _form(first)
        self._rate = first.sample_rate
        self._fifo = AudioFifo()
        self._resampler = av.AudioResampler("s16", "mono", SAMPLE_RATE)
        self._taken = 0
        self._given = 0

    def takes(self, frame: av.AudioFrame) -> bool:
        """Return whether `frame` has the form of the first one."""
        return _form(frame) == self._form

    def push(self, frame: av.AudioFrame) -> Samples:
        """Take a frame; return the samples that have become ready, often none."""
        # Timestamps may jump in chained or concatenated files; the samples still follow each other.
        frame.pts = None
        self._taken += frame.samples
        try:
            self._fifo.write(frame)
        except (av.FFmpegError, ValueError) as error:
            raise _unusable() from error
        return self._resampled(self._fifo.read()) if self._fifo.samples >= _LOT else _NOTHING

    def finish(self) -> Samples:
        """Return what is left, padded: the filter keeps a sample or two of a short input."""
        due = max(0, round(Fraction(self._taken * SAMPLE_RATE, self._rate)) - self._given)
        rest = self._resampled(self._fifo.read()) if self._fifo.samples else _NOTHING
        tail = np.concatenate([rest, self._resampled(None)])[:due]
        return np.pad(tail, (0, due - len(tail)))

    def _resampled(self, lot: av.AudioFrame | None) -> Samples:
        try:
            frames = self._resampler.resample(lot)
        except (av.FFmpegError, ValueError) as error:
            raise _unusable() from error
        blocks = [frame.to_ndarray()[0].astype(np.int16, copy=False) for frame in frames]
        block = np.concatenate(blocks) if blocks else _NOTHING
        self._given += len(block)
        return block


def _form(frame: av.AudioFrame) -> tuple[str, str, int]:
    return frame.format.name, frame.layout.name, frame.sample_rate


def _unusable() -> BadAudio:
    return BadAudio(f"cannot be turned into mono at {SAMPLE_RATE} Hz")
