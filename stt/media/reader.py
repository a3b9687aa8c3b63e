"""An audio track of a file, in any container and codec that FFmpeg reads.

Everything that a file says about itself may be wrong, or forged: what counts is what its packets
hold, and memory and time are bounded whatever it claims. What can be decoded is kept, and what is
lost is said.
"""

import contextlib
from collections.abc import Iterator
from typing import BinaryIO

from stt.errors import BadAudio
from stt.media.container import open_container
from stt.media.links import MAX_LINKS, links
from stt.media.resampler import Resampler
from stt.media.samples import SAMPLE_RATE, Samples, joined, silence
from stt.media.track_reader import REPORTED_SECONDS, TrackReader
from stt.media.tracks import first_with_sound, preferred_tracks
from stt.media.wholeness import clock, truncation
from stt.media.window import FileWindow

_GRAVE_SHARE = 0.1
"""With more than this share lost, a transcript may mislead."""
_CHANCE_SECONDS = 1.0
"""Less than this, among more that cannot be decoded, is what noise happens to decode to."""


class NothingDecoded(BadAudio):
    """The file is audio, but holds no samples, or none that can be decoded."""


class AudioReader(contextlib.AbstractContextManager["AudioReader"]):
    """An audio track of an open file, as blocks of samples in constant memory.

    `track` is its number among the audio tracks, counted from 1; by default the one that the file
    calls its default, else the first, and one that is not silent before one that is. `channel` is
    the number of the channel to read, counted from 0; None mixes all to one. With `strict` a file
    that is truncated, or damaged beyond single packets, is refused at its end. `filename` tells
    formats apart whose bytes say nothing about them.

    Every method raises BadAudio for what is wrong with the content; errors of the file itself
    (OSError) pass through. Use as a context manager, or `close()`: PyAV frees FFmpeg's buffers
    late otherwise. The file stays open.
    """

    def __init__(
        self,
        file: BinaryIO,
        track: int | None = None,
        channel: int | None = None,
        *,
        strict: bool = False,
        filename: str = "",
    ) -> None:
        self._window = FileWindow(file)
        self._filename = filename
        self._first = self._current = self._opened(track)
        self._strict = strict
        self._channel = channel
        if channel is not None and not 0 <= channel < self.channels:
            self.close()
            raise BadAudio(f"no channel {channel + 1}: it has {self.channels}")
        self.warnings: list[str] = []
        """What is lost of the track, so far; a line for each kind of loss."""
        self.decoded_seconds = 0.0
        self.lost_seconds = 0.0
        """Could not be decoded so far; silence stands in its place, so that times stay true."""
        self.hole_seconds = 0.0
        """Were not in the track at all so far, though its timestamps leave room for them."""

    def _opened(self, track: int | None) -> TrackReader:
        container = open_container(self._window, self._filename)
        try:
            numbers = preferred_tracks(container)
            if track is None and len(numbers) > 1:
                track = first_with_sound(container, numbers)
                container.close()
                container = open_container(self._window, self._filename)
        except BadAudio:
            container.close()
            raise
        self.track_count = len(numbers)
        """The number of audio tracks."""
        self.track = numbers[0] if track is None else track
        """The number of the one that is read, counted from 1."""
        return TrackReader(self._window, self.track, container)

    @property
    def header(self) -> TrackReader:
        """What the file says about itself; of joined files the first one."""
        return self._first

    @property
    def channels(self) -> int:
        """The number of channels of the track, at its start."""
        return self._first.channels

    def packet_seconds(self) -> Iterator[float]:
        """Yield how long each packet lasts by its own account; decode nothing.

        Ends where the file cannot be read on. In place of `blocks`, not beside it.
        """
        for link in self._links():
            yield from link.packet_seconds()

    def blocks(self) -> Iterator[Samples]:
        """Yield the track from its start to its end, in blocks of a second or more. Once only.

        Silence stands in for packets that cannot be decoded, and where the track has a hole (a
        muted microphone, a lost page), so that what follows keeps its place in time. Raises
        NothingDecoded at the end if nothing of it, or next to nothing, can be decoded.
        """
        yield from joined(self._small_blocks(), SAMPLE_RATE)
        if self.lost_seconds > self.decoded_seconds < _CHANCE_SECONDS:
            raise NothingDecoded(f"damaged: {self.lost_seconds:.1f} s of it cannot be decoded")
        if not self.decoded_seconds:
            raise NothingDecoded("empty: it holds no samples")

    def _small_blocks(self) -> Iterator[Samples]:
        for link in self._links():
            resampler: Resampler | None = None
            for frame in link.frames():
                if isinstance(frame, float):
                    if resampler is not None:
                        yield resampler.finish()
                    resampler = None
                    yield from silence(frame)
                    continue
                if resampler is not None and not resampler.takes(frame):
                    yield resampler.finish()
                    resampler = None
                resampler = resampler or Resampler(frame, self._channel)
                yield resampler.push(frame)
            if resampler is not None:
                yield resampler.finish()
            self._account(link)

    def _links(self) -> Iterator[TrackReader]:
        """Yield the track in each of the files that were joined to this one."""
        windows = links(self._window, self._first.format)
        if len(windows) == 1:
            yield self._first
            return
        if len(windows) == MAX_LINKS:
            self._warn(f"more than {MAX_LINKS} files were joined to it: the last may be missing")
        for window in windows:
            self._current.close()
            try:
                number = self.track if self.track_count > 1 else 1
                self._current = TrackReader(window, number)
            except BadAudio as error:
                at = clock(self.decoded_seconds + self.lost_seconds + self.hole_seconds)
                self._warn(f"damaged: a part that was joined to it at {at}: {error}")
            else:
                yield self._current

    def _account(self, link: TrackReader) -> None:
        """Add up what is lost of a track that was read to its end."""
        before = self.decoded_seconds + self.lost_seconds + self.hole_seconds
        fault = clock(before + (link.first_fault or 0.0))
        self.decoded_seconds += link.decoded_seconds
        self.lost_seconds += link.lost_seconds
        self.hole_seconds += link.hole_seconds
        missing = truncation(link)
        if link.broken_packets and not (missing and link.lost_seconds < REPORTED_SECONDS):
            share = link.lost_seconds / (link.decoded_seconds + link.lost_seconds or 1.0)
            self._warn(
                f"damaged: {link.lost_seconds:.2f} s of it cannot be decoded, the first at {fault};"
                " silence stands in",
                is_grave=share > _GRAVE_SHARE,
            )
        if link.breaks:
            self._warn(f"damaged: it cannot be read past {fault}{_rest(link)}")
        if link.packets_without_sound:
            self._warn(
                f"damaged: {link.packets_without_sound} packets without sound, from {fault} on"
            )
        if link.skipped_seconds >= REPORTED_SECONDS:
            self._warn(f"damaged: about {link.skipped_seconds:.1f} s of it are unreadable", False)
        if link.hole_seconds >= REPORTED_SECONDS and link.first_fault is not None:
            self._warn(
                f"{link.hole_seconds:.1f} s are missing in it, the first at {fault};"
                " silence stands in",
                is_grave=False,
            )
        if missing:
            self._warn(missing)

    def _warn(self, text: str, is_grave: bool = True) -> None:
        if is_grave and self._strict:
            raise BadAudio(text)
        if text not in self.warnings:
            self.warnings.append(text)

    def close(self) -> None:
        self._current.close()

    def __exit__(self, *_: object) -> None:
        self.close()


def _rest(link: TrackReader) -> str:
    """Say whether something came after the place that could not be read."""
    seconds = link.position - (link.first_fault or 0.0)
    return f"; the {seconds:.1f} s after it are kept" if seconds >= REPORTED_SECONDS else ""
