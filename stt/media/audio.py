"""Bytes ↔ samples: PyAV decodes and encodes everything here, and is imported nowhere else."""

import io
import logging
from collections.abc import Iterator
from fractions import Fraction
from typing import BinaryIO, TypeAlias

import av
import numpy as np
from av.audio.fifo import AudioFifo
from av.stream import Discard
from numpy.typing import NDArray

from stt.errors import BadAudio

SAMPLE_RATE = 16_000
"""Samples per second, everywhere in the package: what Whisper listens at."""

Samples: TypeAlias = NDArray[np.int16]
"""Mono audio at SAMPLE_RATE, shape (n,)."""

MAX_CHUNK_SECONDS = 3 * 3600
"""The longest audio that `decode` holds in memory (345 MB); no chunk comes near it."""

OPUS_BIT_RATE = 24_000
_OPUS_OPTIONS = {
    # Measured on speech: a quarter of the time of complexity 10 for 0.4 dB of spectral distance,
    # paid for with a third more bytes than asked (about 35 kb/s).
    "compression_level": "5",
    "application": "audio",
}

# Resampling one frame costs more in calls than in arithmetic, so frames go through in bigger lots.
_LOT_SECONDS = 2
# A file that claims one sample per second would blow up 16 000-fold on its way through.
_SANE_RATES = range(4_000, 768_001)
# Playlists are "audio" to FFmpeg too; with no protocol allowed they cannot make it open the files
# and addresses that they name.
_NO_PROTOCOLS = {"protocol_whitelist": "none"}
# A jump in the timestamps from here on is a hole in the track, below it is a muxer's rounding.
_HOLE_SECONDS = 0.05

logger = logging.getLogger(__name__)


def decode(data: bytes) -> Samples:
    """The samples of a chunk, whatever FFmpeg format it is in.

    Raises BadAudio if it cannot be decoded, holds no sample, or is longer than MAX_CHUNK_SECONDS.
    """
    if not data:
        raise BadAudio("empty: 0 bytes")
    # One growing buffer: a list of blocks and their concatenation would hold everything twice.
    pcm = bytearray()
    with AudioReader(io.BytesIO(data)) as reader:
        for block in reader.blocks():
            pcm += block.tobytes()
            if len(pcm) > MAX_CHUNK_SECONDS * SAMPLE_RATE * 2:
                raise BadAudio(f"longer than {MAX_CHUNK_SECONDS / 3600:g} hours")
        if reader.heard_seconds == 0:
            raise BadAudio("no sample of it can be decoded")
    return np.frombuffer(pcm, dtype=np.int16)


def encode_opus(samples: Samples, bit_rate: int = OPUS_BIT_RATE) -> bytes:
    """Ogg Opus at `bit_rate` (nominal bits per second), time-aligned and of the same length.

    The codec's delay is in the header's pre-skip and the end is trimmed by the last granule
    position (RFC 7845), so that every decoder that heeds both gives back `len(samples)` samples.
    """
    return _encode(samples, "ogg", "libopus", _OPUS_OPTIONS, bit_rate)


def encode_flac(samples: Samples) -> bytes:
    """FLAC, lossless, at its fastest level."""
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
        frame = av.AudioFrame.from_ndarray(
            np.ascontiguousarray(samples, dtype=np.int16).reshape(1, -1), "s16", "mono"
        )
        frame.sample_rate = SAMPLE_RATE
        frame.time_base = Fraction(1, SAMPLE_RATE)
        frame.pts = 0
        output.mux(stream.encode(frame))
        output.mux(stream.encode(None))
    return file.getvalue()


class AudioReader:
    """The first audio track of an open file, as blocks of samples in constant memory.

    Every method raises BadAudio for what is wrong with the content; errors of the file itself
    (OSError) pass through. Use as a context manager, or `close()`: PyAV frees FFmpeg's buffers
    late otherwise. The file stays open.
    """

    def __init__(self, file: BinaryIO) -> None:
        try:
            self._container = av.open(
                file, "r", metadata_errors="replace", container_options=_NO_PROTOCOLS
            )
        except (av.FFmpegError, ValueError) as error:
            raise BadAudio("not audio, or not in a known format") from error
        if not self._container.streams.audio:
            self.close()
            raise BadAudio("no audio track")
        self._stream = self._container.streams.audio[0]
        if self._stream.codec_context is None:
            self.close()
            raise BadAudio("audio in an unknown codec")
        for stream in self._container.streams:
            if stream is not self._stream:
                stream.discard = Discard.all  # hours of video need not even be read
        self.heard_seconds = 0.0
        """Decoded so far."""
        self.lost_seconds = 0.0
        """Could not be decoded so far; silence stands in its place, so that times stay true."""
        self.hole_seconds = 0.0
        """Were not in the track at all so far, though its timestamps leave room for them."""
        # Where the file's clock starts: not at zero in a stream that was joined midway.
        self._origin_seconds = (self._container.start_time or 0) / av.time_base
        self.end_seconds = max(0.0, self._origin_seconds)
        """Where the last packet so far ends, on the track's own timeline."""
        self.broke_off = False
        """True once the container itself could not be read any further."""
        self.first_byte: int | None = None
        """Where in the file the first packet of audio lies, once `blocks` has met it."""

    @property
    def format(self) -> str:
        """FFmpeg's name of the container, such as `mp3` or `mov,mp4,m4a,3gp,3g2,mj2`."""
        return self._container.format.name

    @property
    def is_audio_only(self) -> bool:
        return len(self._container.streams) == 1

    @property
    def tags(self) -> dict[str, str]:
        """The tags of the file, laid over those of the track; names in lower case."""
        tags = {**self._stream.metadata, **self._container.metadata}
        return {name.lower(): value for name, value in tags.items()}

    @property
    def track_seconds(self) -> float | None:
        """How long the track should be, by its header or by FFmpeg's estimate."""
        stream = self._stream
        if not stream.duration or stream.time_base is None:
            return None
        return float(stream.duration * stream.time_base)

    @property
    def file_seconds(self) -> float | None:
        """How long the longest track should be, by the header or by FFmpeg's estimate."""
        duration = self._container.duration
        return duration / av.time_base if duration and duration > 0 else None

    def blocks(self) -> Iterator[Samples]:
        """The track from its start to its end, in blocks of about two seconds. Once only.

        Silence stands in for packets that cannot be decoded, and where the track has a hole (a
        muted microphone, a lost page), so that what follows keeps its place in time.
        """
        resampler: _Resampler | None = None
        for frame in self._frames():
            if resampler is not None and (isinstance(frame, float) or not resampler.takes(frame)):
                yield resampler.finish()
                resampler = None
            if isinstance(frame, float):
                yield from _silence(frame)
                continue
            resampler = resampler or _Resampler(frame)
            yield from resampler.push(frame)
        if resampler is not None:
            yield resampler.finish()

    def _frames(self) -> Iterator[av.AudioFrame | float]:
        """Decoded frames; a number stands for that many seconds of nothing."""
        try:
            for packet in self._container.demux(self._stream):
                hole, seconds = self._place(packet)
                if hole:
                    self.hole_seconds += hole
                    yield hole
                try:
                    frames = packet.decode()
                except av.FFmpegError as error:
                    logger.debug("cannot decode the packet at byte %s: %s", packet.pos, error)
                    self.lost_seconds += seconds
                    yield seconds
                    continue
                for frame in frames:
                    yield self._heard(frame)
        except av.FFmpegError as error:
            # What the container itself cannot go past ends the track; who reads the file knows
            # how long it should have been.
            logger.debug("cannot read past %.1f s: %s", self.end_seconds, error)
            self.broke_off = True

    def _heard(self, frame: av.AudioFrame) -> av.AudioFrame:
        seconds = frame.samples / frame.sample_rate
        self.heard_seconds += seconds
        # The packet may have told neither its time nor its length.
        start = self.end_seconds if frame.time is None else frame.time
        self.end_seconds = max(self.end_seconds, start + seconds)
        return frame

    def _place(self, packet: "av.Packet[av.AudioStream]") -> tuple[float, float]:
        """Seconds of nothing before a packet, and of the packet itself (0: it does not say)."""
        if self.first_byte is None:
            self.first_byte = packet.pos
        if packet.time_base is None or packet.pts is None:
            return 0.0, 0.0
        start = float(packet.pts * packet.time_base)
        seconds = float((packet.duration or 0) * packet.time_base)
        hole = start - self.end_seconds
        # A jump past the end of the file is no hole, but another file's clock.
        last = self._origin_seconds + (self.file_seconds or 0.0)
        is_hole = hole >= _HOLE_SECONDS and start <= last
        self.end_seconds = max(self.end_seconds, start + seconds)
        return (hole if is_hole else 0.0), seconds

    def close(self) -> None:
        self._container.close()

    def __enter__(self) -> "AudioReader":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _silence(seconds: float) -> Iterator[Samples]:
    # In small pieces: the number comes out of the file, and may be anything.
    left = round(seconds * SAMPLE_RATE)
    while left > 0:
        count = min(left, SAMPLE_RATE * _LOT_SECONDS)
        yield np.zeros(count, np.int16)
        left -= count


class _Resampler:
    """Frames of one rate and layout → samples; as many as the frames' time asks for, exactly."""

    def __init__(self, first: av.AudioFrame) -> None:
        if first.sample_rate not in _SANE_RATES:
            raise BadAudio(f"a sample rate that cannot be right: {first.sample_rate} Hz")
        self._kind = _kind(first)
        self._rate = first.sample_rate
        self._fifo = AudioFifo()
        self._resampler = av.AudioResampler("s16", "mono", SAMPLE_RATE)
        self._taken = 0
        self._given = 0

    def takes(self, frame: av.AudioFrame) -> bool:
        return _kind(frame) == self._kind

    def push(self, frame: av.AudioFrame) -> Iterator[Samples]:
        # Timestamps may jump in chained or concatenated files; the samples still follow each other.
        frame.pts = None
        self._taken += frame.samples
        self._fifo.write(frame)
        if self._fifo.samples >= self._rate * _LOT_SECONDS:
            yield self._resampled(self._fifo.read())

    def finish(self) -> Samples:
        """What is still inside; padded, for the filter keeps a sample or two of a short input."""
        due = max(0, round(Fraction(self._taken * SAMPLE_RATE, self._rate)) - self._given)
        rest = [self._resampled(self._fifo.read())] if self._fifo.samples else []
        tail = np.concatenate([*rest, self._resampled(None)])[:due]
        return np.pad(tail, (0, due - len(tail)))

    def _resampled(self, lot: av.AudioFrame | None) -> Samples:
        try:
            frames = self._resampler.resample(lot)
        except (av.FFmpegError, ValueError) as error:
            raise BadAudio(f"cannot be turned into mono at {SAMPLE_RATE} Hz") from error
        blocks = [frame.to_ndarray()[0].astype(np.int16, copy=False) for frame in frames]
        block = np.concatenate(blocks) if blocks else np.zeros(0, np.int16)
        self._given += len(block)
        return block


def _kind(frame: av.AudioFrame) -> tuple[str, str, int]:
    return frame.format.name, frame.layout.name, frame.sample_rate
