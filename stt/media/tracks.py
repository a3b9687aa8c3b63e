"""Which audio track of a file is taken when there are several."""

import contextlib
from collections.abc import Sequence
from typing import Any

import av
import numpy as np
from av.stream import Disposition

from stt.errors import BadAudio

SCANNED_SECONDS = 600
"""So much of each track is decoded, at most, to find one that is not silent."""
MAX_SCANNED_PACKETS = 200_000
"""Ten minutes of a film with eight tracks; no more than seconds of work."""

# -60 dB of 16 bits: below it lie dither and a muted input, above it the noise of any microphone.
_SILENT_PEAK = 33
# For people who need another track beside it, or instead of it.
_SPECIAL = (
    Disposition.comment
    | Disposition.descriptions
    | Disposition.dependent
    | Disposition.hearing_impaired
    | Disposition.visual_impaired
)


class NoAudioTrack(BadAudio):
    """The file is a known container, with other tracks only."""


class NoSuchTrack(BadAudio):
    """The track that was asked for is not there."""


def audio_tracks(container: av.container.InputContainer) -> list[av.AudioStream]:
    """Return the tracks, in their order; raise NoAudioTrack without any."""
    tracks = list(container.streams.audio)
    if not tracks:
        raise NoAudioTrack("no audio track")
    return tracks


def numbered_track(container: av.container.InputContainer, number: int) -> av.AudioStream:
    """Return the audio track with this number, counted from 1; raise NoSuchTrack."""
    tracks = audio_tracks(container)
    if not 1 <= number <= len(tracks):
        some = f"{len(tracks)} audio tracks" if len(tracks) > 1 else "one audio track"
        raise NoSuchTrack(f"no track {number}: it has {some}")
    return tracks[number - 1]


def preferred_tracks(container: av.container.InputContainer) -> list[int]:
    """Return the numbers of the audio tracks, counted from 1, the best one first.

    That is the one that the file calls its default, as players do it; else the first; one for
    people who cannot see or hear, or with a comment, after the others. Raises NoAudioTrack.
    """
    tracks = audio_tracks(container)

    def rank(number: int) -> tuple[bool, bool, bool]:
        track = tracks[number - 1]
        is_default = bool(track.disposition & Disposition.default)
        return track.codec_context is None, not is_default, bool(track.disposition & _SPECIAL)

    return sorted(range(1, len(tracks) + 1), key=rank)


def first_with_sound(container: av.container.InputContainer, numbers: Sequence[int]) -> int:
    """Return the first of these tracks that is not silent; the first of all if all are.

    Decode no more than needed, and SCANNED_SECONDS at most; the container cannot be read again.
    """
    audio = container.streams.audio
    usable = [number for number in numbers if audio[number - 1].codec_context is not None]
    tracks = {audio[number - 1].index: number for number in usable}
    seconds = dict.fromkeys(tracks, 0.0)
    heard: set[int] = set()
    with contextlib.suppress(av.FFmpegError, ValueError, IndexError):
        for count, packet in enumerate(container.demux([audio[n - 1] for n in usable])):
            index = packet.stream_index
            if index in tracks and tracks[index] not in heard:
                length, is_silent = _listened(packet)
                seconds[index] += length
                if not is_silent:
                    heard.add(tracks[index])
            is_long = max(seconds.values(), default=0.0) > SCANNED_SECONDS
            if usable[0] in heard or is_long or count >= MAX_SCANNED_PACKETS:
                break
    return next((number for number in usable if number in heard), numbers[0])


def _listened(packet: "av.Packet[Any]") -> tuple[float, bool]:
    """Return the seconds in a packet, and whether they are silent."""
    seconds, is_silent = 0.0, True
    with contextlib.suppress(av.FFmpegError, ValueError):
        frames: list[Any] = packet.decode()
        for frame in frames:
            seconds += frame.samples / (frame.sample_rate or 1)
            # Interleaved: PyAV sees no more than eight planes, and reads past them.
            for converted in av.AudioResampler("s16").resample(frame):
                peak = np.abs(converted.to_ndarray().astype(np.int32)).max(initial=0)
                is_silent = is_silent and bool(peak <= _SILENT_PEAK)
    return seconds, is_silent
