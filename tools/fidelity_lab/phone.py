"""Speech as a telephone carries it."""

import io
from fractions import Fraction

import av
import numpy as np

from stt.media.audio import SAMPLE_RATE, Samples, decode

PHONE_RATE = 8_000
CODECS = {"G.711": ("wav", "pcm_mulaw", None), "AMR": ("amr", "libopencore_amrnb", 7_950)}
"""Container, FFmpeg's name and bits per second, by the codec's name."""


def through_phone(samples: Samples, codec: str) -> Samples:
    """The samples coded and decoded again, as long as before; the codec's delay is cut off."""
    container, name, bit_rate = CODECS[codec]
    file = io.BytesIO()
    with av.open(file, "w", format=container) as output:
        stream = output.add_stream(name, rate=PHONE_RATE, layout="mono")
        assert isinstance(stream, av.AudioStream)
        if bit_rate:
            stream.bit_rate = bit_rate
        resampler = av.AudioResampler("s16", "mono", PHONE_RATE)
        frame = av.AudioFrame.from_ndarray(samples.reshape(1, -1), "s16", "mono")
        frame.sample_rate, frame.time_base = SAMPLE_RATE, Fraction(1, SAMPLE_RATE)
        for part in (*resampler.resample(frame), *resampler.resample(None)):
            output.mux(stream.encode(part))
        output.mux(stream.encode(None))
    decoded = decode(file.getvalue())
    return np.pad(decoded[: len(samples)], (0, max(0, len(samples) - len(decoded))))
