"""One audio track of one container: its packets, its frames, and an account of what is lost."""

import contextlib
import logging
from collections.abc import Iterator

import av
from av.stream import Discard

from stt.errors import BadAudio
from stt.media.container import open_container
from stt.media.samples import require_sample_rate
from stt.media.tracks import numbered_track
from stt.media.window import FileWindow

MAX_PACKET_SECONDS = 10
"""A packet that claims to last longer stands before a hole in the track's clock."""
MAX_MEASURED_PACKETS = 1_000_000
"""Seven hours of mp3, and no more than a few seconds of work."""
MAX_EMPTY_PACKETS = 10_000
"""Minutes of packets without sound; a file may hold millions, or name the same ones again."""
MAX_BREAKS = 100
"""So often reading goes on where FFmpeg reports an error of the container."""

REPORTED_SECONDS = 0.5
"""Shorter holes are a muxer's habit, and no loss."""

# A jump in the timestamps from here on is a hole in the track, below it is a muxer's rounding.
_HOLE_SECONDS = 0.05
# Streams without a container: no clock but the count of their frames, no length but their bytes.
_BARE = {"mp3", "aac", "ac3", "eac3", "dts"}
_TAGS = (b"ID3", b"TAG", b"APE", b"LYR")

logger = logging.getLogger(__name__)


class TrackReader:
    """A track of the container in `window`, by its number among the audio tracks, from 1.

    `container` is the window's, opened and not read, if there is one; it is closed with this.
    Every method raises BadAudio; errors of the file (OSError) pass through. `close` it.
    """

    def __init__(
        self,
        window: FileWindow,
        number: int,
        container: av.container.InputContainer | None = None,
    ) -> None:
        self.window = window
        self._container = container or open_container(window)
        try:
            self._stream = self._selected(number)
        except BadAudio:
            self.close()
            raise
        # Of the packets' times; a number, since fractions take a tenth of the time of decoding.
        self._unit_seconds = float(self._stream.time_base or 0)
        self.decoded_seconds = 0.0
        self.lost_seconds = 0.0
        """Could not be decoded so far; silence stands in its place, so that times stay true."""
        self.hole_seconds = 0.0
        """Were not in the track at all so far, though its timestamps leave room for them."""
        self.first_fault: float | None = None
        """Where the first second that is lost or missing lies, in seconds of what came out."""
        self.broken_packets = 0
        self.breaks = 0
        """How often the container could not be read on; what follows was sought, and read."""
        self.packets_without_sound = 0
        """So many that the rest was given up; else 0."""
        # Where the file's clock starts: not at zero in a stream that was joined midway.
        self._origin_seconds = (self._container.start_time or 0) / av.time_base
        self.end_seconds = max(0.0, self._origin_seconds)
        """Where the last packet so far ends, on the track's own timeline."""
        self._next_seconds = self.end_seconds
        self.first_byte: int | None = None
        """Where in the file the first packet of audio lies, once `frames` has met it."""
        self._packet_bytes = 0

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

    @property
    def format(self) -> str:
        """FFmpeg's name of the container, such as `mp3` or `mov,mp4,m4a,3gp,3g2,mj2`."""
        return self._container.format.name

    @property
    def is_audio_only(self) -> bool:
        return len(self._container.streams) == 1

    @property
    def channels(self) -> int:
        return max(1, self._stream.codec_context.channels)

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

    @property
    def position(self) -> float:
        """The seconds that have come out so far."""
        return self.decoded_seconds + self.lost_seconds + self.hole_seconds

    @property
    def skipped_seconds(self) -> float:
        """About how much FFmpeg passed over in a stream without a container, after its end."""
        if self.format not in _BARE or self.first_byte is None or not self._packet_bytes:
            return 0.0
        skipped = self.window.size - self.first_byte - self._packet_bytes
        return max(0.0, skipped * self.decoded_seconds / self._packet_bytes)

    def packet_seconds(self) -> Iterator[float]:
        """Yield how long each packet lasts by its own account; decode nothing.

        In place of `frames`, not beside it.
        """
        read_bytes = last = 0
        for count, packet in enumerate(self._packets()):
            read_bytes += packet.size
            now = packet.pts or last
            length = packet.duration or now - last  # some FLAC has timestamps alone
            last = now
            yield min(max(0.0, length * self._unit_seconds), MAX_PACKET_SECONDS)
            if count >= MAX_MEASURED_PACKETS or read_bytes > self.window.size:
                return

    def frames(self) -> Iterator[av.AudioFrame | float]:
        """Yield decoded frames; a number stands for that many seconds of silence.

        Nothing stands for what is lost at the end: junk behind a recording may be larger than it.
        """
        good = empty = 0
        silence_seconds = 0.0
        for packet in self._packets():
            frames, lost_seconds = self._decoded(packet)
            silence_seconds += lost_seconds
            good += len(frames)
            empty += not frames
            if empty > good + MAX_EMPTY_PACKETS:
                self.packets_without_sound = empty
                return
            for frame in frames:
                silence_seconds += self._hole_before(frame)
                if silence_seconds:
                    yield silence_seconds
                silence_seconds = 0.0
                yield frame

    def _packets(self) -> "Iterator[av.Packet[av.AudioStream]]":
        """Yield packets, an empty one at the end; read on behind what is broken."""
        while True:
            try:
                # At the end PyAV may stumble over another track that turned up midway in the file.
                with contextlib.suppress(IndexError):
                    yield from self._container.demux(self._stream)
                return
            except (av.FFmpegError, ValueError) as error:
                logger.debug("Cannot read past %.1f s: %s", self.end_seconds, error)
                self._note_fault()
                self.breaks += 1
                if self.breaks > MAX_BREAKS:
                    return

    def _decoded(self, packet: "av.Packet[av.AudioStream]") -> tuple[list[av.AudioFrame], float]:
        """Return the frames of a packet, and the seconds that are lost in it."""
        seconds = self._advance(packet)
        try:
            return packet.decode(), 0.0
        except av.FFmpegError as error:
            logger.debug("Cannot decode the packet at byte %s: %s", packet.pos, error)
        if self.format in _BARE:
            if bytes(memoryview(packet)[:3]) in _TAGS:  # of a file that was joined to another
                return [], 0.0
            if self.decoded_seconds > 1:  # all that lies up to the next good frame is one packet
                good_bytes = max(1, self._packet_bytes - packet.size)
                seconds = max(seconds, packet.size * self.decoded_seconds / good_bytes)
        self._note_fault()
        self.broken_packets += 1
        self.lost_seconds += seconds
        self._next_seconds += seconds
        return [], seconds

    def _advance(self, packet: "av.Packet[av.AudioStream]") -> float:
        """Take note of a packet's place; return its seconds, 0 if it does not say them."""
        if self.first_byte is None:
            self.first_byte = packet.pos
        self._packet_bytes += packet.size
        if packet.pts is None:
            return 0.0
        seconds = (packet.duration or 0) * self._unit_seconds
        start = packet.pts * self._unit_seconds
        self.end_seconds = max(self.end_seconds, start + seconds)
        return min(max(0.0, seconds), float(MAX_PACKET_SECONDS))

    def _hole_before(self, frame: av.AudioFrame) -> float:
        """Take note of a frame's place; return the seconds that are missing before it."""
        seconds = frame.samples / frame.sample_rate
        # The packet may have had no timestamp.
        start = self._next_seconds if frame.time is None else frame.time
        hole = start - self._next_seconds
        # A jump past the end of the file is no hole, but another file's clock.
        last = self._origin_seconds + (self.file_seconds or 0.0)
        self._next_seconds = max(self._next_seconds, start + seconds)
        self.end_seconds = max(self.end_seconds, self._next_seconds)
        if hole < _HOLE_SECONDS or start > last:
            hole = 0.0
        if hole >= REPORTED_SECONDS:
            self._note_fault()
        self.hole_seconds += hole
        self.decoded_seconds += seconds
        return hole

    def _note_fault(self) -> None:
        if self.first_fault is None:
            self.first_fault = self.position

    def close(self) -> None:
        self._container.close()
