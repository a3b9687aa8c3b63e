"""Recordings as they come out of broken disks, downloads and `cat`."""

from fractions import Fraction
from pathlib import Path
from tempfile import NamedTemporaryFile

import av
import numpy as np

from stt.media.audio import SAMPLE_RATE, Samples

FORMS = {
    "mp3": "libmp3lame", "flac": "flac", "ogg": "libopus", "oga": "flac", "wav": "pcm_s16le",
    "aiff": "pcm_s16be", "caf": "pcm_s16be", "mp4": "aac", "adts": "aac", "matroska": "aac",
    "webm": "libopus", "mpegts": "aac", "avi": "mp2", "asf": "wmav2", "flv": "aac", "wv": "wavpack",
    "ac3": "ac3",
}  # fmt: skip
"""By FFmpeg's name of the container: an audio codec that it takes."""


def tones(
    container: str,
    pitch: int = 400,
    seconds: float = 2.0,
    rate: int = 48_000,
    layout: str = "mono",
    flags: dict[str, str] | None = None,
    codec: str | None = None,
) -> bytes:
    """A tone that is interrupted twice a second, in this container."""
    times = np.arange(round(seconds * rate)) / rate
    wave = 9_000 * np.sin(2 * np.pi * pitch * times) * (times % 0.5 < 0.4)
    return encoded(wave.astype(np.int16), container, rate, layout, flags, codec)


def encoded(
    said: Samples,
    container: str,
    rate: int = SAMPLE_RATE,
    layout: str = "mono",
    flags: dict[str, str] | None = None,
    codec: str | None = None,
) -> bytes:
    """Return these samples, on each channel, in this container."""
    samples = np.repeat(said, 1 if layout == "mono" else 2)
    with (  # a named file: FFmpeg opens it again to move an index to its front
        NamedTemporaryFile() as file,
        av.open(file.name, "w", format=container, options=flags or {}) as output,
    ):
        codec = codec or FORMS.get(container) or output.default_audio_codec
        stream = output.add_stream(codec, rate=rate, layout=layout)
        assert isinstance(stream, av.AudioStream)
        stream.bit_rate = 64_000
        frame = av.AudioFrame.from_ndarray(samples.reshape(1, -1), "s16", layout)
        frame.sample_rate, frame.time_base, frame.pts = rate, Fraction(1, rate), 0
        wanted = av.AudioResampler(stream.format, layout, rate)
        for part in (*wanted.resample(frame), *wanted.resample(None), None):
            output.mux(stream.encode(part))
        output.close()
        return Path(file.name).read_bytes()


def pitch_of(samples: "np.ndarray[tuple[int], np.dtype[np.int16]]") -> int:
    """The loudest frequency in Hz, to 10 Hz."""
    loudness = np.abs(np.fft.rfft(samples.astype(float)))
    return round(float(np.argmax(loudness)) * SAMPLE_RATE / len(samples) / 10) * 10


def zeroed(data: bytes, start: float, end: float) -> bytes:
    """With zeros between two shares of it, as a download that lacks blocks."""
    first, last = int(len(data) * start), int(len(data) * end)
    return data[:first] + bytes(last - first) + data[last:]
