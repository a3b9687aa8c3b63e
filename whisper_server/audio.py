"""Uploads in any container or codec that FFmpeg reads → 16 kHz mono samples."""

import logging
from collections.abc import Iterator, Sequence
from typing import BinaryIO

import av
import numpy as np
from av.audio.frame import AudioFrame
from av.audio.resampler import AudioResampler

from whisper_server.engines.base import SAMPLE_RATE, Samples, ShouldStop
from whisper_server.errors import EngineStopped, InvalidAudio, TooLarge

BYTES_PER_SAMPLE = 4
LOWEST_SAMPLE_RATE = 1_000
"""A header that claims 1 Hz would turn one frame into gigabytes of samples."""

# A playlist must not make this server open other files or addresses.
_SAFE_OPTIONS = {"protocol_whitelist": "none"}

logger = logging.getLogger(__name__)


def decode(
    files: Sequence[BinaryIO],
    limit_seconds: float,
    param: str = "file",
    should_stop: ShouldStop = lambda: False,
) -> Samples:
    """The samples of `files`, one behind the other.

    Decodes no further than `limit_seconds`, so that memory stays bounded whatever a small file
    unpacks to. Raises `InvalidAudio` or `TooLarge`, both naming `param`, or `EngineStopped`.
    """
    samples = bytearray()
    limit_bytes = int(limit_seconds * SAMPLE_RATE) * BYTES_PER_SAMPLE
    for position, file in enumerate(files):
        name = "The file" if len(files) == 1 else f"File {position + 1} of {len(files)}"
        before = len(samples)
        for piece in _pieces(file, name, param):
            if should_stop():
                raise EngineStopped("stopped while decoding")
            samples += piece
            if len(samples) > limit_bytes:
                raise TooLarge(
                    f"The audio is longer than the {limit_seconds:g} seconds that this server "
                    "takes in one request: send it in parts.",
                    param=param,
                    code="audio_too_long",
                )
        if len(samples) == before:
            raise InvalidAudio(f"{name} holds no audio that can be decoded.", param=param)
    return np.frombuffer(samples, dtype=np.float32)


def _pieces(file: BinaryIO, name: str, param: str) -> Iterator[bytes]:
    """Float samples as raw bytes; foreign errors become `InvalidAudio`."""
    if not file.read(1):
        raise InvalidAudio(f"{name} is empty.", param=param, code="empty_file")
    file.seek(0)
    try:
        with av.open(file, "r", options=_SAFE_OPTIONS, metadata_errors="ignore") as container:
            if not container.streams.audio:
                raise InvalidAudio(f"{name} has no audio track.", param=param)
            for frame in _resampled(_frames(container)):
                yield frame.to_ndarray().tobytes()
    except (av.FFmpegError, ValueError, OSError) as error:
        raise InvalidAudio(f"{name} cannot be decoded as audio.", param=param) from error


def _frames(container: av.container.InputContainer) -> Iterator[AudioFrame]:
    """Every frame of the first audio track; a broken packet between good ones is left out."""
    good = broken = 0
    for packet in container.demux(container.streams.audio[0]):
        try:
            frames = packet.decode()
        except av.error.InvalidDataError:
            broken += 1
            continue
        for frame in frames:
            if isinstance(frame, AudioFrame):
                good += 1
                yield frame
    if broken > good:
        raise ValueError(f"{broken} broken packets against {good} good frames")
    if broken:
        logger.warning("Left out %d broken audio packet(s) of an upload", broken)


def _resampled(frames: Iterator[AudioFrame]) -> Iterator[AudioFrame]:
    """To 16 kHz mono floats; a track may change its form midway and gets a new resampler then."""
    resampler: AudioResampler | None = None
    form = None
    for frame in frames:
        if frame.sample_rate < LOWEST_SAMPLE_RATE:
            raise ValueError(f"a sample rate of {frame.sample_rate} Hz")
        frame.pts = None  # gaps in the clock are no reason to drop samples
        now = (frame.format.name, frame.layout.name, frame.sample_rate)
        if resampler is None or now != form:
            if resampler is not None:
                yield from resampler.resample(None)
            resampler, form = AudioResampler("flt", "mono", SAMPLE_RATE), now
        yield from resampler.resample(frame)
    if resampler is not None:
        yield from resampler.resample(None)
