"""Makes recordings for the tests, through the same library that reads them."""

import wave
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

from stt.media.audio import SAMPLE_RATE, Samples

CODECS = {
    "mp3": ("mp3", "libmp3lame", 44_100),
    "m4a": ("ipod", "aac", 44_100),
    "wav": ("wav", "pcm_s16le", 48_000),
    "flac": ("flac", "flac", 44_100),
    "ogg": ("ogg", "libopus", 48_000),
    "opus": ("opus", "libopus", 48_000),
    "webm": ("webm", "libopus", 48_000),
    "mp4": ("mp4", "aac", 44_100),
    "mkv": ("matroska", "aac", 48_000),
}
"""By file extension: container, codec and sample rate; mp4 and mkv get a video track too."""


def babble(seconds: float, seed: int = 0) -> Samples:
    """Words of noise, 0.7 s each, with pauses of 0.3 s."""
    random = np.random.default_rng(seed)
    count = round(seconds * SAMPLE_RATE)
    voice = np.convolve(random.standard_normal(count), np.ones(8) / 8, "same")
    is_word = (np.arange(count) / SAMPLE_RATE) % 1.0 < 0.7
    return np.asarray(voice * np.where(is_word, 9_000, 30), dtype=np.int16)


def best_lag(decoded: Samples, said: Samples, most: int = 500) -> int:
    """By how many samples `decoded` is late against `said`, judged by half a second."""
    first, last = SAMPLE_RATE, SAMPLE_RATE * 3 // 2
    scores = np.correlate(
        decoded[first - most : last + most].astype(float), said[first:last].astype(float)
    )
    return int(np.argmax(scores)) - most


def write_recording(
    path: Path,
    seconds: float = 3.0,
    *,
    layout: str = "stereo",
    tags: dict[str, str] | None = None,
    flags: dict[str, str] | None = None,
) -> Path:
    """Babble in the format of the path's extension, with `tags` and the muxer's `flags`."""
    container, codec, rate = CODECS[path.suffix[1:]]
    said = babble(seconds)
    times = np.arange(round(seconds * rate)) / rate * SAMPLE_RATE
    at_rate = np.interp(times, np.arange(len(said)), said).astype(np.int16)
    samples = np.repeat(at_rate, 1 if layout == "mono" else 2)
    with av.open(str(path), "w", format=container, options=flags or {}) as output:
        output.metadata.update(tags or {})
        audio = output.add_stream(codec, rate=rate, layout=layout)
        video = _video_track(output) if path.suffix in {".mp4", ".mkv"} else None
        if video is not None:
            _mux_video(output, video, seconds)
        assert isinstance(audio, av.AudioStream)
        frame = av.AudioFrame.from_ndarray(samples.reshape(1, -1), "s16", layout)
        frame.sample_rate, frame.time_base, frame.pts = rate, Fraction(1, rate), 0
        wanted = av.AudioResampler(audio.format, layout, rate)
        for part in (*wanted.resample(frame), *wanted.resample(None), None):
            output.mux(audio.encode(part))
    return path


def write_video_without_sound(path: Path) -> Path:
    with av.open(str(path), "w") as output:
        _mux_video(output, _video_track(output), 1.0)
    return path


def write_wav(path: Path, *channels: Samples) -> Path:
    with wave.open(str(path), "wb") as file:
        file.setnchannels(len(channels))
        file.setsampwidth(2)
        file.setframerate(SAMPLE_RATE)
        file.writeframes(np.stack(channels, axis=1).tobytes())
    return path


def _video_track(output: av.container.OutputContainer) -> av.VideoStream:
    video = output.add_stream("mpeg4", rate=10)
    video.width, video.height, video.pix_fmt = 64, 48, "yuv420p"
    return video


def _mux_video(output: av.container.OutputContainer, video: av.VideoStream, seconds: float) -> None:
    picture = np.zeros((48, 64, 3), np.uint8)
    for _ in range(round(seconds * 10)):
        output.mux(video.encode(av.VideoFrame.from_ndarray(picture, "rgb24")))
    output.mux(video.encode(None))
