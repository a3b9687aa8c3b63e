"""An audio track of a file, in any container and codec that FFmpeg reads.

Everything that a file says about itself may be wrong, or forged: what counts is what its packets
hold, and memory and time are bounded whatever it claims.
"""

import contextlib
import ctypes
import logging
from collections.abc import Iterator
from typing import BinaryIO

import av
from av.stream import Discard

from stt.errors import BadAudio
from stt.media.resampler import Resampler
from stt.media.samples import SAMPLE_RATE, Samples, joined, require_sample_rate, silence
from stt.media.tracks import first_with_sound, numbered_track, preferred_tracks

MAX_ALLOCATION_BYTES = 128 << 20
"""FFmpeg allocates as much at once as a header claims, up to 2 GB, and a WAV file of 3 KB can claim
that. The index of a day of m4a takes 90 MB."""
MAX_PACKET_SECONDS = 10
"""A packet that claims to last longer stands before a hole in the track's clock."""
MAX_MEASURED_PACKETS = 1_000_000
"""Seven hours of mp3, and no more than a few seconds of work."""
MAX_EMPTY_PACKETS = 10_000
"""Minutes of packets without sound; a file may hold millions, or name the same ones again."""

# Playlists are "audio" to FFmpeg too; with no protocol allowed they cannot make it open the files
# and addresses that they name.
_NO_PROTOCOLS = {"protocol_whitelist": "none"}
# A jump in the timestamps from here on is a hole in the track, below it is a muxer's rounding.
_HOLE_SECONDS = 0.05

logger = logging.getLogger(__name__)


def _limit_allocations() -> None:
    """Limit them for the whole process: PyAV has no name for this, but is linked with FFmpeg."""
    try:
        set_limit = ctypes.CDLL(av.logging.__file__).av_max_alloc
    except (OSError, AttributeError) as error:
        logger.warning("Forged files may take 2 GB of memory for a moment: %s", error)
        return
    set_limit.argtypes, set_limit.restype = [ctypes.c_size_t], None
    set_limit(MAX_ALLOCATION_BYTES)


_limit_allocations()


class AudioReader(contextlib.AbstractContextManager["AudioReader"]):
    """An audio track of an open file, as blocks of samples in constant memory.

    `track` is its number among the audio tracks, counted from 1; by default the one that the file
    calls its default, else the first, and one that is not silent before one that is. `channel` is
    the number of the channel to read, counted from 0; None mixes all to one.

    Every method raises BadAudio for what is wrong with the content; errors of the file itself
    (OSError) pass through. Use as a context manager, or `close()`: PyAV frees FFmpeg's buffers
    late otherwise. The file stays open.
    """

    def __init__(
        self, file: BinaryIO, track: int | None = None, channel: int | None = None
    ) -> None:
        self._container = _opened(file)
        try:
            self.track = track or self._best_track(file)
            """The number of the track among the audio tracks, counted from 1."""
            self._stream = self._selected(self.track)
            self._channel = self._checked(channel)
        except BadAudio:
            self.close()
            raise
        self.decoded_seconds = 0.0
        """Decoded so far."""
        self.lost_seconds = 0.0
        """Could not be decoded so far; silence stands in its place, so that times stay true."""
        self.hole_seconds = 0.0
        """Were not in the track at all so far, though its timestamps leave room for them."""
        # Where the file's clock starts: not at zero in a stream that was joined midway.
        self._origin_seconds = (self._container.start_time or 0) / av.time_base
        self.end_seconds = max(0.0, self._origin_seconds)
        """Where the last packet so far ends, on the track's own timeline."""
        self._next_seconds = self.end_seconds
        self.first_byte: int | None = None
        """Where in the file the first packet of audio lies, once `blocks` has met it."""

    def _best_track(self, file: BinaryIO) -> int:
        numbers = preferred_tracks(self._container)
        if len(numbers) == 1:
            return numbers[0]
        file.seek(0)
        with contextlib.closing(_opened(file)) as scanned:
            number = first_with_sound(scanned, numbers)
        # The two containers share the file's position.
        file.seek(0)
        self.close()
        self._container = _opened(file)
        return number

    def _selected(self, number: int) -> av.AudioStream:
        track = numbered_track(self._container, number)
        if track.codec_context is None:
            raise BadAudio("audio in an unknown codec")
        if track.codec_context.sample_rate:  # 0: only a decoded frame says it
            require_sample_rate(track.codec_context.sample_rate)
        for stream in self._container.streams:
            if stream is not track:
                stream.discard = Discard.all  # hours of video need not even be read
        return track

    def _checked(self, channel: int | None) -> int | None:
        if channel is not None and not 0 <= channel < self.channels:
            raise BadAudio(f"no channel {channel + 1}: it has {self.channels}")
        return channel

    @property
    def track_count(self) -> int:
        """The number of audio tracks."""
        return len(self._container.streams.audio)

    @property
    def channels(self) -> int:
        """The number of channels of the track, at its start."""
        return max(1, self._stream.codec_context.channels)

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

    def packet_seconds(self) -> Iterator[float]:
        """Yield how long each packet lasts by its own account; decode nothing.

        Ends where the file cannot be read on. In place of `blocks`, not beside it.
        """
        unit = float(self._stream.time_base or 0)
        read_bytes = last = 0
        try:
            for count, packet in enumerate(self._packets()):
                read_bytes += packet.size
                now = packet.pts or last
                length = packet.duration or now - last  # some FLAC has timestamps alone
                last = now
                yield min(max(0.0, length * unit), MAX_PACKET_SECONDS)
                if count >= MAX_MEASURED_PACKETS or read_bytes > self._container.size:
                    return
        except (av.FFmpegError, ValueError) as error:
            logger.debug("The packets cannot be measured to their end: %s", error)

    def blocks(self) -> Iterator[Samples]:
        """Yield the track from its start to its end, in blocks of a second or more. Once only.

        Silence stands in for packets that cannot be decoded, and where the track has a hole (a
        muted microphone, a lost page), so that what follows keeps its place in time.
        """
        return joined(self._small_blocks(), SAMPLE_RATE)

    def _small_blocks(self) -> Iterator[Samples]:
        resampler: Resampler | None = None
        for frame in self._frames():
            if resampler is not None and (isinstance(frame, float) or not resampler.takes(frame)):
                yield resampler.finish()
                resampler = None
            if isinstance(frame, float):
                yield from silence(frame)
                continue
            resampler = resampler or Resampler(frame, self._channel)
            yield resampler.push(frame)
        if resampler is not None:
            yield resampler.finish()

    def _frames(self) -> Iterator[av.AudioFrame | float]:
        """Yield decoded frames; a number stands for that many seconds of silence.

        Raises BadAudio if the container breaks off, or if more of it is broken than good.
        """
        frames: list[av.AudioFrame]
        good = empty = broken = 0
        try:
            for packet in self._packets():
                packet_seconds = self._advance(packet)
                try:
                    frames = packet.decode()
                except av.FFmpegError as error:
                    logger.debug("Cannot decode the packet at byte %s: %s", packet.pos, error)
                    frames = []
                    broken += 1
                    self.lost_seconds += packet_seconds
                    self._next_seconds += packet_seconds
                    yield packet_seconds
                good += len(frames)
                empty += not frames
                if empty > good + MAX_EMPTY_PACKETS:
                    raise BadAudio(f"damaged: {empty} packets without sound, {good} good frames")
                for frame in frames:
                    if hole := self._hole_before(frame):
                        yield hole
                    yield frame
        except av.FFmpegError as error:
            logger.debug("Cannot read past %.1f s: %s", self.end_seconds, error)
            position = clock(self.end_seconds)
            raise BadAudio(f"damaged: it cannot be read past {position}") from error
        if broken > good:
            raise BadAudio(f"damaged: {self.lost_seconds:.1f} s of it cannot be decoded")

    def _packets(self) -> "Iterator[av.Packet[av.AudioStream]]":
        # At the end PyAV may stumble over another track that turned up midway in the file.
        with contextlib.suppress(IndexError):
            yield from self._container.demux(self._stream)

    def _advance(self, packet: "av.Packet[av.AudioStream]") -> float:
        """Take note of a packet's place; return its seconds, 0 if it does not say them."""
        if self.first_byte is None:
            self.first_byte = packet.pos
        if packet.time_base is None or packet.pts is None:
            return 0.0
        seconds = float((packet.duration or 0) * packet.time_base)
        start = float(packet.pts * packet.time_base)
        self.end_seconds = max(self.end_seconds, start + seconds)
        return min(max(0.0, seconds), float(MAX_PACKET_SECONDS))

    def _hole_before(self, frame: av.AudioFrame) -> float:
        """Take note of a frame's place; return the seconds that are missing before it."""
        seconds = frame.samples / frame.sample_rate
        self.decoded_seconds += seconds
        # The packet may have had no timestamp.
        start = self._next_seconds if frame.time is None else frame.time
        hole = start - self._next_seconds
        # A jump past the end of the file is no hole, but another file's clock.
        last = self._origin_seconds + (self.file_seconds or 0.0)
        self._next_seconds = max(self._next_seconds, start + seconds)
        self.end_seconds = max(self.end_seconds, self._next_seconds)
        if hole < _HOLE_SECONDS or start > last:
            return 0.0
        self.hole_seconds += hole
        return hole

    def close(self) -> None:
        self._container.close()

    def __exit__(self, *_: object) -> None:
        self.close()


def _opened(file: BinaryIO) -> av.container.InputContainer:
    try:
        return av.open(file, "r", metadata_errors="replace", container_options=_NO_PROTOCOLS)
    except (av.FFmpegError, ValueError) as error:
        raise BadAudio("not audio, or not in a known format") from error


def clock(seconds: float) -> str:
    """Return `seconds` as hours, minutes and seconds, like 1:02:03.4."""
    minutes, rest = divmod(seconds, 60)
    hours, minutes = divmod(int(minutes), 60)
    return f"{hours}:{minutes:02d}:{rest:04.1f}"
