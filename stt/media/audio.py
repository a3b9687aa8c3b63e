"""Bytes ↔ samples: whole chunks in memory. Only this package imports PyAV."""

import io
import logging
from fractions import Fraction

import av
import numpy as np

from stt.errors import BadAudio
from stt.media.decoder_pool import DecoderUnavailable
from stt.media.isolated_reader import IsolatedReader
from stt.media.reader import AudioReader, NothingDecoded
from stt.media.samples import SAMPLE_RATE, Samples
from stt.media.tracks import NoAudioTrack, NoSuchTrack

__all__ = [
    "SAMPLE_RATE", "AudioReader", "BadAudio", "DecoderUnavailable", "IsolatedReader",
    "NoAudioTrack", "NoSuchTrack", "NothingDecoded", "Samples", "decode", "encode_flac",
    "encode_opus",
]  # fmt: skip

MAX_CHUNK_SECONDS = 3 * 3600
"""The longest audio that `decode` holds in memory (345 MB); no chunk comes near it."""

OPUS_BIT_RATE = 24_000
_OPUS_OPTIONS = {
    # Measured on speech: a quarter of the time of complexity 10 for 0.4 dB of spectral distance,
    # paid for with a third more bytes than asked (about 35 kb/s).
    "compression_level": "5",
    "application": "audio",
}
# Encoded at once: FFmpeg may allocate no more than MAX_ALLOCATION_BYTES for a frame.
_ENCODED_SAMPLES = 600 * SAMPLE_RATE

logger = logging.getLogger(__name__)


def decode(data: bytes) -> Samples:
    """Return the samples of a chunk in any format that FFmpeg reads; log what is lost of them.

    Raises BadAudio if it cannot be decoded, holds no sample, or is longer than MAX_CHUNK_SECONDS.
    """
    if not data:
        raise BadAudio("empty: 0 bytes")
    # One growing buffer: a list of blocks and their concatenation would hold everything twice.
    pcm = bytearray()
    with IsolatedReader(io.BytesIO(data)) as reader:
        for block in reader.blocks():
            pcm += block.tobytes()
            if len(pcm) > MAX_CHUNK_SECONDS * SAMPLE_RATE * 2:
                raise BadAudio(f"longer than {MAX_CHUNK_SECONDS / 3600:g} hours")
        for warning in reader.warnings:
            logger.warning("A chunk's audio is not whole: %s", warning)
    return np.frombuffer(pcm, dtype=np.int16)


def encode_opus(samples: Samples, bit_rate: int = OPUS_BIT_RATE) -> bytes:
    """Return Ogg Opus at `bit_rate` (nominal bits per second), time-aligned and of the same length.

    The codec's delay is in the header's pre-skip and the end is trimmed by the last granule
    position (RFC 7845), so that every decoder that heeds both gives back `len(samples)` samples.
    """
    return _encode(samples, "ogg", "libopus", _OPUS_OPTIONS, bit_rate)


def encode_flac(samples: Samples) -> bytes:
    """Return FLAC, lossless, at its fastest level."""
    return _encode(samples, "flac", "flac", {"compression_level": "0"})


def _encode(
    samples: Samples, container: str, codec: str, options: dict[str, str], bit_rate: int = 0
) -> bytes:
    if not len(samples):
        raise ValueError("there is nothing to encode: no samples")
    file = io.BytesIO()
    with av.open(file, "w", format=container) as output:
        stream = output.add_stream(codec, rate=SAMPLE_RATE, layout="mono", options=options)
        assert isinstance(stream, av.AudioStream)
        if bit_rate:
            stream.bit_rate = bit_rate
        for start in range(0, len(samples), _ENCODED_SAMPLES):
            part = np.ascontiguousarray(samples[start : start + _ENCODED_SAMPLES], dtype=np.int16)
            frame = av.AudioFrame.from_ndarray(part.reshape(1, -1), "s16", "mono")
            frame.sample_rate = SAMPLE_RATE
            frame.time_base = Fraction(1, SAMPLE_RATE)
            frame.pts = start
            output.mux(stream.encode(frame))
        output.mux(stream.encode(None))
    return file.getvalue()
