"""One uploaded file, in any container or codec that FFmpeg reads → 16 kHz mono samples.

The only importer of PyAV here. Everything a file says about itself may be a lie: what is believed
is what its packets hold.
"""

import contextlib
import ctypes
import logging
from collections.abc import Iterator
from typing import BinaryIO

import av
import numpy as np
from av.audio.fifo import AudioFifo
from av.audio.frame import AudioFrame
from av.audio.resampler import AudioResampler
from av.audio.stream import AudioStream
from av.container import InputContainer
from av.packet import Packet
from av.stream import Discard

from whisper_server.engines.base import SAMPLE_RATE, Samples
from whisper_server.errors import InvalidAudio

SANE_RATES = range(1_000, 768_001)
"""A header that claims 1 Hz would turn one frame into gigabytes of samples, one that claims
gigahertz would have the resampler make filters of gigabytes."""
MAX_PACKET_SECONDS = 10
"""A packet that claims to last longer stands before a hole in the track's clock."""
MAX_MEASURED_PACKETS = 1_000_000
"""Seven hours of mp3, and no more than a few seconds of work."""
MAX_UNHEARD_PACKETS = 10_000
"""Minutes of packets that give no sound; a file may hold millions, or name the same ones again."""
FULL_SCALE = np.float32(32_768)
MAX_ALLOCATION_BYTES = 128 << 20
"""FFmpeg takes as much memory at once as a header asks for, up to 2 GB, and a WAV file of 3 KB can
ask for that. The index of a day of m4a takes 90 MB."""
LOT = 32_768
"""Frames are resampled in lots of so many samples: one by one takes twice the time."""

# A playlist must not make this server open other files or addresses.
_SAFE_OPTIONS = {"protocol_whitelist": "none"}

logger = logging.getLogger(__name__)


def _bound_allocations() -> None:
    """For the whole process; PyAV has no name for this, but is linked with who has."""
    try:
        set_limit = ctypes.CDLL(av.logging.__file__).av_max_alloc
    except (OSError, AttributeError) as error:
        logger.warning("Forged uploads may take 2 GB of memory for a moment: %s", error)
        return
    set_limit.argtypes, set_limit.restype = [ctypes.c_size_t], None
    set_limit(MAX_ALLOCATION_BYTES)


_bound_allocations()


def packet_seconds(file: BinaryIO, name: str, param: str) -> Iterator[float]:
    """How long each packet of the first audio track lasts by its own account; decodes nothing.

    Ends where the file cannot be read on. Raises `InvalidAudio` if it has no audio track.
    """
    with _opened(file, name, param) as container:
        stream = container.streams.audio[0]
        unit = float(stream.time_base or 0)
        most_bytes, read, last = container.size, 0, 0
        try:
            for count, packet in enumerate(_packets(container)):
                read += packet.size
                now = packet.pts or last
                length = packet.duration or now - last  # some FLAC tells its times only
                last = now
                yield min(max(0.0, length * unit), MAX_PACKET_SECONDS)
                if count >= MAX_MEASURED_PACKETS or read > most_bytes:
                    return
        except (av.FFmpegError, ValueError) as error:
            logger.debug("%s cannot be measured to its end: %s", name, error)


def decoded(file: BinaryIO, name: str, param: str) -> Iterator[Samples]:
    """The samples of the first audio track, some at a time; foreign errors become `InvalidAudio`.

    `name` is what the messages call the file, `param` the field that it came in.
    """
    with _opened(file, name, param) as container:
        for frame in _resampled(_frames(container)):
            yield frame.to_ndarray()[0].astype(np.float32) / FULL_SCALE


@contextlib.contextmanager
def _opened(file: BinaryIO, name: str, param: str) -> Iterator[InputContainer]:
    file.seek(0)
    if not file.read(1):
        raise InvalidAudio(f"{name} is empty.", param=param, code="empty_file")
    file.seek(0)
    try:
        with av.open(file, "r", options=_SAFE_OPTIONS, metadata_errors="ignore") as container:
            if not container.streams.audio:
                raise InvalidAudio(f"{name} has no audio track.", param=param)
            _require_sane(container)
            yield container
    except (av.FFmpegError, ValueError, OSError) as error:
        raise InvalidAudio(f"{name} cannot be decoded as audio.", param=param) from error


def _require_sane(container: InputContainer) -> None:
    """Raises `ValueError`; also leaves out the pictures, which need not even be read."""
    track = container.streams.audio[0]
    if track.codec_context is None:
        raise ValueError("a codec that FFmpeg does not know")
    if track.codec_context.sample_rate:  # 0: only a decoded frame will tell
        _require_sane_rate(track.codec_context.sample_rate)
    for stream in container.streams:
        if stream is not track:
            stream.discard = Discard.all


def _require_sane_rate(rate: int) -> None:
    if rate not in SANE_RATES:
        raise ValueError(f"a sample rate of {rate} Hz")


def _packets(container: InputContainer) -> "Iterator[Packet[AudioStream]]":
    # At the end PyAV may stumble over another track that turned up midway in the file.
    with contextlib.suppress(IndexError):
        yield from container.demux(container.streams.audio[0])


def _frames(container: InputContainer) -> Iterator[AudioFrame]:
    """Every frame of the first audio track; a broken packet between good ones is left out."""
    good = broken = unheard = 0
    for packet in _packets(container):
        frames = []
        try:
            frames = packet.decode()
        except av.FFmpegError:
            broken += 1
        good += len(frames)
        unheard += not frames
        yield from frames
        if unheard > good + MAX_UNHEARD_PACKETS:
            raise ValueError(f"{unheard} packets without sound against {good} good frames")
    if broken > good:
        raise ValueError(f"{broken} broken packets against {good} good frames")
    if broken:
        logger.warning("Left out %d broken audio packet(s) of an upload", broken)


def _resampled(frames: Iterator[AudioFrame]) -> Iterator[AudioFrame]:
    """To 16 kHz mono; a track may change its form midway and gets a new resampler then.

    By way of 16 bits, as faster-whisper does: both hear the same, channels are mixed without
    clipping, and no NaN out of a floating-point file reaches the model.
    """
    fifo, resampler = AudioFifo(), _resampler()
    form = None
    for frame in frames:
        frame.pts = None  # gaps in the clock are no reason to drop samples
        now = (frame.format.name, frame.layout.name, frame.sample_rate)
        if now != form:
            _require_sane_rate(frame.sample_rate)
            yield from _rest(fifo, resampler)
            fifo, resampler, form = AudioFifo(), _resampler(), now
        fifo.write(frame)
        if fifo.samples >= LOT:
            yield from resampler.resample(fifo.read())
    yield from _rest(fifo, resampler)


def _resampler() -> AudioResampler:
    return AudioResampler("s16", "mono", SAMPLE_RATE)


def _rest(fifo: AudioFifo, resampler: AudioResampler) -> Iterator[AudioFrame]:
    if fifo.samples:
        yield from resampler.resample(fifo.read())
        yield from resampler.resample(None)
