"""How decoded frames of any rate and layout become samples."""

from fractions import Fraction

import av
import numpy as np
from av.audio.fifo import AudioFifo

from stt.errors import BadAudio
from stt.media.channels import Planes, reducer
from stt.media.samples import SAMPLE_RATE, Samples, require_sample_rate

# Frames are resampled in lots of so many samples: one by one takes twice the time.
_LOT = 32_768
_NOTHING: Samples = np.zeros(0, np.int16)


class Resampler:
    """Turns frames of one form into samples: exactly as many as the frames last.

    `channel` is the number of the one to take, counted from 0; None mixes all. By way of 16 bits,
    as faster-whisper does it: no NaN of a floating-point file reaches the model. Every method
    raises BadAudio if FFmpeg fails.
    """

    def __init__(self, first: av.AudioFrame, channel: int | None = None) -> None:
        require_sample_rate(first.sample_rate)
        self._form = _form(first)
        self._rate = first.sample_rate
        self._fifo = AudioFifo()
        self._resampler = av.AudioResampler("s16", None, SAMPLE_RATE)
        self._channels = first.layout.nb_channels
        self._reduce = reducer(first, channel)
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
        if not frames:
            return _NOTHING
        # Interleaved: PyAV sees no more than eight planes, and reads past them.
        packed = np.concatenate([frame.to_ndarray()[0] for frame in frames])
        planes: Planes = packed.reshape(-1, self._channels).T
        block = self._reduce(planes)
        self._given += len(block)
        return block


def _form(frame: av.AudioFrame) -> tuple[str, str, int]:
    return frame.format.name, frame.layout.name, frame.sample_rate


def _unusable() -> BadAudio:
    return BadAudio(f"cannot be turned into mono at {SAMPLE_RATE} Hz")
