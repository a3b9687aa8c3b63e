"""Whether a file ends before its end: by the length in its header, and by its container's sizes."""

import re

from stt.media.track_reader import TrackReader
from stt.media.window import FileWindow

# How far a recording may end before its header says: rounding, the codec's own padding, the last
# frame. Beyond that, the rest of the file is missing.
_SLACK_SECONDS = 0.5
_SLACK_SHARE = 0.001

# Sizes that programs write into a WAV header when they do not know yet, or cannot say.
_RIFF_PLACEHOLDER = 0x7FFF_0000
_UNKNOWN_64_BIT = 1 << 62
_OGG_PAGE_MAX_BYTES = 65_307
_MPEG_FRAME_MAX_BYTES = 2_881
_ASF_HEAD_BYTES = 65_536
# ASF specification, section 3.2: the GUID of the File Properties Object.
_ASF_FILE_PROPERTIES = bytes.fromhex("a1dcab8c47a9cf118ee400c00c205365")


def truncation(track: TrackReader) -> str | None:
    """Return a line about what is missing at the end of a track that was read, None for nothing.

    A stream without a length (MP3 without a frame count, MPEG-TS, a live WebM) is whole wherever
    it ends.
    """
    reached = max(track.end_seconds, track.position)
    expected = trusted_seconds(track, _has_frame_count(track))
    if expected is not None and reached < expected - _SLACK_SECONDS - _SLACK_SHARE * expected:
        missing = expected - reached
        return (
            f"truncated: it ends after {clock(reached)} of {clock(expected)};"
            f" {missing:.1f} s are missing"
        )
    declared_bytes = _declared_bytes(track.window, track.format)
    missing_bytes = declared_bytes - track.window.size
    if track.format == "ogg" and missing_bytes < 0:
        return f"damaged: it cannot be read past {clock(reached)}"
    if missing_bytes > 1:
        # The bytes of the others do not say how long they last.
        is_pcm = track.format in {"wav", "w64", "au"}
        rate = track.window.size / reached if reached else 0.0
        seconds = missing_bytes / rate if rate and is_pcm else 0.0
        about = f"; about {seconds:.1f} s are missing" if seconds >= 0.1 else ""
        return f"truncated: it breaks off after {clock(reached)}{about}"
    return None


def trusted_seconds(track: TrackReader, has_frame_count: bool) -> float | None:
    """Return the length by the container; None where it is an estimate, or of other tracks.

    WAV is missing here because FFmpeg fits the length to the file.
    """
    if track.format in {"flac", "aiff"} or (track.format == "mp3" and has_frame_count):
        return track.track_seconds
    if track.format.startswith("mov,"):
        known = [s for s in (track.track_seconds, track.file_seconds) if s is not None]
        return min(known, default=None)
    if track.format.startswith("matroska"):
        tagged = re.fullmatch(r"(\d+):(\d+):(\d+(?:\.\d+)?)", track.tags.get("duration", ""))
        if tagged is not None:
            hours, minutes, seconds = tagged.groups()
            return int(hours) * 3600 + int(minutes) * 60 + float(seconds)
        return track.file_seconds if track.is_audio_only else None
    if track.format == "asf" and _declared_bytes(track.window, "asf") > track.window.size:
        return None  # FFmpeg guesses by the size then
    if track.format in {"asf", "avi", "flv"}:
        return track.file_seconds if track.is_audio_only else None
    return None


def clock(seconds: float) -> str:
    """Return `seconds` as hours, minutes and seconds, like 1:02:03.4."""
    minutes, rest = divmod(seconds, 60)
    hours, minutes = divmod(int(minutes), 60)
    return f"{hours}:{minutes:02d}:{rest:04.1f}"


def _has_frame_count(track: TrackReader) -> bool:
    """Return whether an MP3 says how long it is; for others, FFmpeg guesses by the size."""
    if track.format != "mp3" or not track.first_byte:
        return False
    # The first frame of such a file holds no audio but this; FFmpeg passes over it.
    before = max(0, track.first_byte - _MPEG_FRAME_MAX_BYTES)
    head = track.window.read_at(before, track.first_byte - before)
    at = max(head.rfind(b"Xing"), head.rfind(b"Info"))
    if at < 0:
        return False
    # Flags, frames, bytes: http://gabriel.mp3-tech.org/mp3infotag.html
    flags = int.from_bytes(head[at + 4 : at + 8], "big")
    stated_bytes = int.from_bytes(head[at + 12 : at + 16], "big")
    rest_bytes = track.window.size - before - at
    is_joined = flags & 3 == 3 and stated_bytes < rest_bytes - _MPEG_FRAME_MAX_BYTES
    return not is_joined


def _declared_bytes(window: FileWindow, format_name: str) -> int:
    """Return how large the file should be by its container's own sizes; 0 if they do not say."""
    if format_name in {"wav", "avi"} and window.read_at(0, 4) == b"RIFF":
        size = int.from_bytes(window.read_at(4, 4), "little")
        return size + 8 if size < _RIFF_PLACEHOLDER else 0
    if format_name in {"wav", "w64", "au"}:
        return _declared_pcm_bytes(window.read_at(0, 28))
    if format_name == "ogg":
        return _end_of_last_page(window)
    if format_name == "caf":
        return _end_of_caf(window)
    if format_name == "asf":
        head = window.read_at(0, _ASF_HEAD_BYTES)
        at = head.find(_ASF_FILE_PROPERTIES)
        return int.from_bytes(head[at + 40 : at + 48], "little") if at >= 0 else 0
    if format_name.startswith("matroska"):
        return _end_of_segment(window)
    return 0


def _declared_pcm_bytes(head: bytes) -> int:
    """Return the size by the head of an RF64 (EBU Tech 3306), Sony Wave64 or Sun AU file."""
    if head[:4] == b"RF64" and head[12:16] == b"ds64":
        size = int.from_bytes(head[20:28], "little") + 8
    elif head[:4] == b"riff":
        size = int.from_bytes(head[16:24], "little")
    elif head[:4] == b".snd":
        data_bytes = int.from_bytes(head[8:12], "big")
        size = int.from_bytes(head[4:8], "big") + data_bytes if data_bytes < 0xFFFF_FFFF else 0
    else:
        size = 0
    return size if size < _UNKNOWN_64_BIT else 0


def _end_of_last_page(window: FileWindow) -> int:
    """Return where the last Ogg page ends (RFC 3533, section 6), even beyond the file.

    Before the last 64 KB, where no page begins in them.
    """
    start = max(0, window.size - _OGG_PAGE_MAX_BYTES)
    tail = window.read_at(start, _OGG_PAGE_MAX_BYTES)
    at = tail.rfind(b"OggS")
    if at < 0:
        return start
    page = tail[at:]
    if len(page) < 27 or len(page) < 27 + page[26]:
        return window.size + 27
    return start + at + 27 + page[26] + sum(page[27 : 27 + page[26]])


def _end_of_caf(window: FileWindow) -> int:
    """Return where the audio of a CAF file ends (Apple's Core Audio Format specification)."""
    position = 8
    for _ in range(100):
        head = window.read_at(position, 12)
        size = int.from_bytes(head[4:], "big", signed=True)
        if len(head) < 12 or size < 0:  # -1: up to the end of the file
            return 0
        position += 12 + size
        if head.startswith(b"data"):
            return position
    return 0


def _end_of_segment(window: FileWindow) -> int:
    """Return where the Segment of a Matroska file ends (RFC 8794, section 4 and 6)."""
    position = 0
    for _ in range(10):
        head = window.read_at(position, 12)
        if len(head) < 12 or not head[0] or not head[4]:
            return 0
        identifier_bytes = 9 - head[0].bit_length()
        size_bytes = 9 - head[identifier_bytes].bit_length()
        if identifier_bytes > 4 or size_bytes > 8:
            return 0
        raw = head[identifier_bytes : identifier_bytes + size_bytes]
        size = int.from_bytes(raw, "big") & ((1 << 7 * size_bytes) - 1)
        if size == (1 << 7 * size_bytes) - 1:  # unknown: a live recording
            return 0
        position += identifier_bytes + size_bytes + size
        if head.startswith(b"\x18\x53\x80\x67"):
            return position
    return 0
