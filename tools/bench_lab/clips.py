"""The recordings that everybody is given: clips of 5 to 30 seconds, and one long file."""

import io
from collections.abc import Iterator, Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

from stt.media.audio import SAMPLE_RATE, Samples, decode
from tools.bench_lab.callers import Clip

SAMPLES = Path(__file__).parents[2] / "samples"
SPOKEN = ("voice-diary.mp3", "two-voices.mp3", "short-note.mp3")
SHORTEST_SECONDS, LONGEST_SECONDS = 5.0, 30.0
SEARCH_SECONDS = 1.0
BIT_RATE = 32_000


def make_clips(folder: Path, count: int) -> list[Clip]:
    """Cut from the samples at quiet points, of evenly spread lengths in a random order; as MP3."""
    speech = np.concatenate([decode((SAMPLES / name).read_bytes()) for name in SPOKEN])
    random = np.random.default_rng(4)
    lengths = np.linspace(SHORTEST_SECONDS, LONGEST_SECONDS, count)
    random.shuffle(lengths)
    clips = []
    for index, seconds in enumerate(lengths):
        start = int(random.integers(0, len(speech) - int(LONGEST_SECONDS + 2) * SAMPLE_RATE))
        start = _quiet_point(speech, start)
        end = _quiet_point(speech, start + int((seconds - SEARCH_SECONDS) * SAMPLE_RATE))
        clips.append(_written(folder / f"clip-{index:03}.mp3", [_mp3(speech[start:end])]))
    return clips


def make_long(folder: Path, seconds: float) -> Clip:
    """The samples over and over, until it is `seconds` long or a little more; in little memory."""
    pieces = [decode((SAMPLES / name).read_bytes()) for name in SPOKEN]
    pause = np.zeros(SAMPLE_RATE, np.int16)
    once = np.concatenate([part for piece in pieces for part in (piece, pause)])
    whole, rest = divmod(round(seconds * SAMPLE_RATE), len(once))
    encoded = _mp3(once)
    return _written(folder / f"long-{seconds:g}.mp3", [*([encoded] * whole), _mp3(once[:rest])])


def many(clips: Sequence[Clip], count: int) -> list[Clip]:
    """The first `count` of them, from the front again when they run out."""
    return [clips[index % len(clips)] for index in range(count)]


def _quiet_point(samples: Samples, start: int) -> int:
    """The quietest tenth of a second in the second from `start` on."""
    frame = SAMPLE_RATE // 10
    count = int(SEARCH_SECONDS * 10)
    frames = samples[start : start + count * frame].astype(np.float32).reshape(-1, frame)
    return start + int(np.argmin(np.square(frames).mean(axis=1))) * frame + frame // 2


def _mp3(samples: Samples) -> bytes:
    """Bare frames: such streams may be written one behind the other."""
    file = io.BytesIO()
    if not len(samples):
        return b""
    bare = {"write_xing": "0", "id3v2_version": "0"}
    with av.open(file, "w", format="mp3", options=bare) as output:
        stream = output.add_stream("libmp3lame", rate=SAMPLE_RATE, layout="mono")
        stream.bit_rate = BIT_RATE
        frame = av.AudioFrame.from_ndarray(samples.reshape(1, -1), "s16", "mono")
        frame.sample_rate, frame.pts, frame.time_base = SAMPLE_RATE, 0, Fraction(1, SAMPLE_RATE)
        output.mux(stream.encode(frame))
        output.mux(stream.encode(None))
    return file.getvalue()


def _written(path: Path, parts: Sequence[bytes]) -> Clip:
    with path.open("wb") as file:
        for part in parts:
            file.write(part)
    return Clip(path, sum(_packet_seconds(path)))


def _packet_seconds(path: Path) -> Iterator[float]:
    with av.open(str(path)) as file:
        for packet in file.demux(file.streams.audio[0]):
            if packet.duration and packet.time_base:
                yield float(packet.duration * packet.time_base)
