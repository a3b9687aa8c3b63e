"""Short sound files in many containers, made on the spot."""

import io
from fractions import Fraction

import av
import numpy as np

SECONDS = 0.4
RATE = 16_000

FORMS = {
    "wav": ("wav", "pcm_s16le"), "mp3": ("mp3", "libmp3lame"), "m4a": ("ipod", "aac"),
    "mov": ("mov", "alac"), "flac": ("flac", "flac"), "opus": ("ogg", "libopus"),
    "ogg": ("ogg", "flac"), "webm": ("webm", "libopus"), "mkv": ("matroska", "aac"),
    "aac": ("adts", "aac"), "aiff": ("aiff", "pcm_s16be"), "wma": ("asf", "wmav2"),
    "ts": ("mpegts", "aac"), "avi": ("avi", "mp2"), "caf": ("caf", "pcm_s16be"),
    "flv": ("flv", "aac"), "wv": ("wv", "wavpack"), "ac3": ("ac3", "ac3"),
    "w64": ("w64", "pcm_s24le"), "au": ("au", "pcm_mulaw"), "tta": ("tta", "tta"),
    "rm": ("rm", "ac3"), "nut": ("nut", "pcm_s16le"),
    "3gp": ("3gp", "aac"), "mp4": ("mp4", "aac"), "voc": ("voc", "pcm_u8"),
}  # fmt: skip
"""By extension: FFmpeg's names of the container and of the codec."""
_FRAGMENTED = {"movflags": "frag_keyframe+empty_moov+default_base_moof"}
_RATES = {"wma": 44_100, "rm": 44_100, "ac3": 44_100, "avi": 44_100, "flv": 44_100}


def make_seeds() -> dict[str, bytes]:
    """Return a file of each form that this FFmpeg can write, by its name."""
    seeds = {}
    for name, (container, codec) in FORMS.items():
        for layout in ("mono", "stereo"):
            data = _written(container, codec, layout, _RATES.get(name, RATE), {})
            if data:
                seeds[f"{layout}.{name}"] = data
    seeds["fragmented.mp4"] = _written("mp4", "aac", "mono", RATE, _FRAGMENTED)
    for name in ("flac", "mp3", "m4a", "mkv"):
        seeds[f"tagged.{name}"] = _written(*FORMS[name], "mono", RATE, {}, {"comment": "x" * 500})
    return {name: data for name, data in seeds.items() if data}


def _written(
    container: str,
    codec: str,
    layout: str,
    rate: int,
    options: dict[str, str],
    tags: dict[str, str] | None = None,
) -> bytes:
    """Return a tone in noise; nothing if FFmpeg cannot write it so."""
    times = np.arange(round(SECONDS * rate)) / rate
    noise = np.random.default_rng(0).normal(0, 500, len(times))
    wave = (9_000 * np.sin(2_000 * times) + noise).astype(np.int16)
    samples = np.repeat(wave, 1 if layout == "mono" else 2).reshape(1, -1)
    file = io.BytesIO()
    try:
        with av.open(file, "w", format=container, options=options) as output:
            output.metadata.update(tags or {})
            stream = output.add_stream(codec, rate=rate, layout=layout)
            assert isinstance(stream, av.AudioStream)
            stream.bit_rate = 64_000
            frame = av.AudioFrame.from_ndarray(samples, "s16", layout)
            frame.sample_rate, frame.time_base, frame.pts = rate, Fraction(1, rate), 0
            size = stream.codec_context.frame_size or 1_024
            wanted = av.AudioResampler(stream.format, layout, rate, size)
            for part in (*wanted.resample(frame), *wanted.resample(None), None):
                output.mux(stream.encode(part))
    except (av.FFmpegError, ValueError):
        return b""
    return file.getvalue()
