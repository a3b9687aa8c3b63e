"""Files for uploads, sound ones and forged ones."""

import functools
import io
import struct
from collections.abc import Iterator
from fractions import Fraction
from typing import BinaryIO

import av
import numpy as np
import pytest

from whisper_server.engines.base import Samples
from whisper_server.recording import Recording

SECONDS_A_TIME = 60


def decode(*files: BinaryIO, limit_seconds: float = 3600) -> Samples:
    """All samples of an upload; raises what `Recording.blocks` raises."""
    blocks = list(Recording(files, limit_seconds, "file").blocks())
    return np.concatenate(blocks) if blocks else np.zeros(0, np.float32)


def tone_file(
    seconds: float,
    container: str = "wav",
    codec: str = "pcm_s16le",
    rate: int = 16_000,
    channels: int = 1,
    level: float = 0.5,
) -> io.BytesIO:
    """A 440 Hz tone at half of full scale; silence at level 0. Skips what PyAV cannot write."""
    file = io.BytesIO()
    try:
        with av.open(file, "w", format=container) as output:
            layout = {1: "mono", 2: "stereo", 8: "7.1"}[channels]
            stream = output.add_stream(codec, rate=rate, layout=layout)
            assert isinstance(stream, av.AudioStream)
            for frame in _tone(int(seconds * rate), rate, layout, channels, level):
                output.mux(stream.encode(frame))
            output.mux(stream.encode(None))
    except (av.FFmpegError, ValueError):
        pytest.skip(f"this PyAV writes no {container}/{codec}")
    file.seek(0)
    return file


def film_without_sound() -> io.BytesIO:
    file = io.BytesIO()
    with av.open(file, "w", format="matroska") as output:
        stream = output.add_stream("mpeg4", rate=5)
        assert isinstance(stream, av.VideoStream)
        stream.width = stream.height = 32
        picture = av.VideoFrame.from_ndarray(np.zeros((32, 32, 3), np.uint8), format="rgb24")
        for packet in [*stream.encode(picture), *stream.encode(None)]:
            output.mux(packet)
    file.seek(0)
    return file


def with_hole(container: str, codec: str, rate: int, hole_seconds: int) -> io.BytesIO:
    """Four seconds of tone, a hole in the track's clock, and four seconds more."""
    file = io.BytesIO()
    with av.open(file, "w", format=container) as output:
        stream = output.add_stream(codec, rate=rate, layout="mono")
        assert isinstance(stream, av.AudioStream)
        samples = np.full((1, 8 * rate), 9_000, np.int16)
        frame = av.AudioFrame.from_ndarray(samples, "s16", "mono")
        frame.sample_rate, frame.time_base, frame.pts = rate, Fraction(1, rate), 0
        for packet in [*stream.encode(frame), *stream.encode(None)]:
            assert packet.pts is not None
            assert packet.time_base is not None
            if packet.pts * packet.time_base >= 4:
                packet.pts = packet.dts = packet.pts + int(hole_seconds / packet.time_base)
            output.mux(packet)
    file.seek(0)
    return file


def wav_that_claims(
    rate: int = 16_000,
    channels: int = 1,
    bits: int = 16,
    data: bytes = bytes(64_000),
    data_bytes: int = 0xFFFFFFFF,
    form: int = 1,
) -> bytes:
    """A WAV file whose header may say anything; by default the lengths of one out of a pipe."""
    frame = channels * bits // 8 & 0xFFFF
    header = struct.pack(
        "<IHHIIHH", 16, form, channels, rate, rate * frame & 0xFFFFFFFF, frame, bits
    )
    sizes = struct.pack("<I", 0xFFFFFFFF)
    return b"RIFF" + sizes + b"WAVEfmt " + header + b"data" + struct.pack("<I", data_bytes) + data


def flac_bomb(hours: float, rate: int = 16_000, claimed_samples: int = 0) -> bytes:
    """Silence at 15 bytes for each 65,535 samples: a day takes 300 KB.

    Written by hand after RFC 9639: frames of one constant subframe each, numbers and checksums
    as they should be. `claimed_samples` is what the header says; 0 stands for unknown.
    """
    size = 65_535
    described = rate << 44 | 15 << 36 | claimed_samples  # one channel of 16 bits
    info = struct.pack(">HH6xQ16x", size, size, described)
    file = bytearray(b"fLaC" + struct.pack(">I", 0x80 << 24 | len(info)) + info)
    for number in range(round(hours * 3600 * rate / size)):
        coded = chr(number).encode("utf-8", "surrogatepass")
        header = b"\xff\xf8\x70\x08" + coded + struct.pack(">H", size - 1)
        header += bytes([_crc(header, 8, 0x07)])
        frame = header + bytes(3)
        file += frame + _crc(frame, 16, 0x8005).to_bytes(2, "big")
    return bytes(file)


def _crc(data: bytes, bits: int, polynomial: int) -> int:
    table = _crc_table(bits, polynomial)
    value = 0
    for byte in data:
        value = (value << 8 & (1 << bits) - 1) ^ table[(value >> bits - 8) ^ byte]
    return value


@functools.cache
def _crc_table(bits: int, polynomial: int) -> list[int]:
    top, mask = 1 << bits - 1, (1 << bits) - 1
    table = []
    for value in range(256):
        value <<= bits - 8
        for _ in range(8):
            value = (value << 1 ^ polynomial if value & top else value << 1) & mask
        table.append(value)
    return table


def _tone(
    count: int, rate: int, layout: str, channels: int, level: float
) -> Iterator[av.AudioFrame]:
    clock = np.arange(min(count, SECONDS_A_TIME * rate)) / rate
    once = (np.sin(2 * np.pi * 440 * clock) * level * 32_768).astype(np.int16)
    while count > 0:
        samples = np.repeat(once[:count], channels).reshape(1, -1)
        frame = av.AudioFrame.from_ndarray(samples, format="s16", layout=layout)
        frame.sample_rate = rate
        yield frame
        count -= len(once)
