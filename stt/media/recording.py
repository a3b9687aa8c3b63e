"""A recording, read from start to end in constant memory, or refused with one clear line."""

import hashlib
import logging
import os
import re
import stat
import unicodedata
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

from stt.errors import BadAudio, RecordingError
from stt.media.reader import AudioReader, clock
from stt.media.samples import SAMPLE_RATE, Samples
from stt.media.tracks import NoAudioTrack

EXTENSIONS = frozenset(
    {
        *(".mp3", ".m4a", ".m4b", ".aac", ".wav", ".flac", ".ogg", ".oga", ".opus", ".wma"),
        *(".aif", ".aiff", ".amr", ".mka", ".webm", ".mp4", ".m4v", ".mov", ".mkv", ".3gp"),
    }
)
"""What is taken for a recording inside a folder; a file named by itself may be called anything."""

MAX_HOURS = 24
"""Longer recordings are refused."""

# How far a recording may end before its header says: rounding, the codec's own padding, the last
# frame. Beyond that, the rest of the file is missing.
_SLACK_SECONDS = 0.5
_SLACK_SHARE = 0.001
# A broken packet here and there is replaced by silence; with more lost, a transcript would mislead.
_MAX_LOST_SHARE = 0.1

# Sizes that programs write into a WAV header when they do not know yet, or cannot say.
_RIFF_PLACEHOLDER = 0x7FFF_0000
_OGG_PAGE_MAX_BYTES = 65_307
_MPEG_FRAME_MAX_BYTES = 2_881
_MAX_NAME = 500
# Control characters, line ends that only some programs know, and halves of characters.
_NOT_SHOWN = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
_EARLIEST = datetime(1990, 1, 1, tzinfo=UTC)  # before: a clock that was never set

logger = logging.getLogger(__name__)


def is_recording(path: Path) -> bool:
    """Return whether a file inside a folder is taken for a recording."""
    return path.suffix.lower() in EXTENSIONS


def shown_name(name: str) -> str:
    """Return a name as it can be stored and printed.

    Paths, markup and marks for the direction of writing stay as they are. What cannot be shown is
    replaced, and a name of more than 500 characters is cut. The same letters give the same name,
    however accents were written (Unicode's form NFC).
    """
    shown = _NOT_SHOWN.sub("\N{REPLACEMENT CHARACTER}", name).strip()
    shown = unicodedata.normalize("NFC", shown)
    if len(shown) > _MAX_NAME:
        shown = shown[: _MAX_NAME - 1] + "…"
    return shown or "(no name)"


class RecordingFile(AbstractContextManager["RecordingFile"]):
    """An open recording. Use as a context manager.

    `filename` is the name to show, the file's own by default; `track` and `channel` as for
    AudioReader. Every method raises RecordingError,
    whose one line names the file: it does not exist, is a folder, cannot be read, is empty, not
    audio, without an audio track, truncated, damaged, or longer than MAX_HOURS.
    """

    def __init__(
        self,
        path: Path,
        filename: str | None = None,
        *,
        track: int | None = None,
        channel: int | None = None,
    ) -> None:
        self.path = path
        self.filename = shown_name(_shown(Path(path.name)) if filename is None else filename)
        """The file's name, without its folder."""
        self._name = _shown(path) if filename is None else self.filename
        self._given_name = filename
        with self._translated(), ExitStack() as closing:
            status = path.stat()
            if stat.S_ISDIR(status.st_mode):
                next(path.iterdir(), None)  # the folder may be here because it cannot be listed
                raise BadAudio("a folder, not a recording")
            if not stat.S_ISREG(status.st_mode):
                raise BadAudio("not a regular file")
            self._file = closing.enter_context(path.open("rb"))
            if status.st_size == 0:
                raise BadAudio("empty: 0 bytes")
            self.bytes = status.st_size
            self._modified_at = datetime.fromtimestamp(status.st_mtime, UTC)
            self._reader = self._open_reader(track, channel)
            closing.pop_all()

    @property
    def declared_seconds(self) -> float | None:
        """The length by its header; may be FFmpeg's estimate, good enough for a progress bar."""
        return self._reader.track_seconds or self._reader.file_seconds

    @property
    def channels(self) -> int:
        """The number of channels of the track, at its start."""
        return self._reader.channels

    def of_channel(self, channel: int) -> "RecordingFile":
        """Open the same track again, to read only this channel, counted from 0."""
        track = self._reader.track
        return RecordingFile(self.path, self._given_name, track=track, channel=channel)

    @property
    def start(self) -> datetime:
        """When it was recorded: the file's own `creation_time` tag, else its modification time."""
        try:
            tagged = datetime.fromisoformat(self._reader.tags["creation_time"])
        except (KeyError, ValueError):
            return self._modified_at
        if tagged.tzinfo is None:
            tagged = tagged.replace(tzinfo=UTC)
        is_plausible = _EARLIEST <= tagged <= datetime.now(UTC) + timedelta(days=1)
        return tagged.astimezone(UTC) if is_plausible else self._modified_at

    def sha256(self) -> str:
        """Return the hash of the whole file, in hex."""
        with self._translated(), self.path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()

    def blocks(self) -> Iterator[Samples]:
        """Yield its samples in order; only after the last one it is known to be whole."""
        count = 0
        with self._translated():
            for block in self._reader.blocks():
                count += len(block)
                if count > MAX_HOURS * 3600 * SAMPLE_RATE:
                    raise BadAudio(f"longer than {MAX_HOURS} hours")
                yield block
            self._check_whole()

    def _open_reader(self, track: int | None, channel: int | None) -> AudioReader:
        try:
            reader = AudioReader(self._file, track, channel)
        except NoAudioTrack:
            raise
        except BadAudio as error:
            # An MP4 keeps its index at its end, so a part of one is not even recognised.
            if self._bytes_at(4, 4) == b"ftyp":
                raise BadAudio("truncated or damaged: its index (moov) is missing") from error
            raise
        seconds = _trusted_seconds(reader, has_frame_count=False) or 0.0
        if reader.format in {"wav", "ogg"}:
            seconds = reader.track_seconds or 0.0
        if seconds > MAX_HOURS * 3600:
            reader.close()
            raise BadAudio(f"longer than {MAX_HOURS} hours")
        return reader

    def _check_whole(self) -> None:
        reader = self._reader
        if reader.decoded_seconds == 0 and not reader.lost_seconds:
            raise BadAudio("empty: it holds no samples")
        if reader.lost_seconds > _MAX_LOST_SHARE * (reader.decoded_seconds + reader.lost_seconds):
            raise BadAudio(f"damaged: {reader.lost_seconds:.1f} s of it cannot be decoded")
        expected_seconds = _trusted_seconds(reader, self._has_frame_count())
        if expected_seconds is not None:
            slack_seconds = _SLACK_SECONDS + _SLACK_SHARE * expected_seconds
            if reader.end_seconds < expected_seconds - slack_seconds:
                raise BadAudio(
                    f"truncated: it ends after {clock(reader.end_seconds)} "
                    f"of {clock(expected_seconds)}"
                )
        if self._is_cut_off():
            raise BadAudio(f"truncated: it breaks off after {clock(reader.end_seconds)}")
        if reader.lost_seconds:
            logger.warning(
                "%s: %.2f s cannot be decoded; silence stands in", self._name, reader.lost_seconds
            )
        if reader.hole_seconds:
            logger.info("%s: silence fills holes of %.2f s", self._name, reader.hole_seconds)

    def _has_frame_count(self) -> bool:
        """Return whether an MP3 says how long it is; for others, FFmpeg guesses by the size."""
        first_byte = self._reader.first_byte
        if self._reader.format != "mp3" or not first_byte:
            return False
        # The first frame of such a file holds no audio but this; FFmpeg passes over it.
        before = max(0, first_byte - _MPEG_FRAME_MAX_BYTES)
        head = self._bytes_at(before, first_byte - before)
        return b"Xing" in head or b"Info" in head

    def _is_cut_off(self) -> bool:
        """Return whether the container's own sizes reach past the end of the file."""
        if self._reader.format == "wav" and self._bytes_at(0, 4) == b"RIFF":
            size = int.from_bytes(self._bytes_at(4, 4), "little")
            return size < _RIFF_PLACEHOLDER and size + 8 - self.bytes > 1
        if self._reader.format == "ogg":
            return _is_page_cut(self._bytes_at(max(0, self.bytes - _OGG_PAGE_MAX_BYTES)))
        return False

    def _bytes_at(self, position: int, count: int = -1) -> bytes:
        """Read beside the decoder, and leave the file where the decoder had it."""
        return os.pread(self._file.fileno(), count if count >= 0 else self.bytes, position)

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except BadAudio as error:
            raise RecordingError(f"{self._name}: {error}") from error
        except FileNotFoundError as error:
            raise RecordingError(f"{self._name}: no such file") from error
        except OSError as error:
            reason = (error.strerror or str(error)).lower()
            raise RecordingError(f"{self._name}: cannot be read: {reason}") from error

    def close(self) -> None:
        self._reader.close()
        self._file.close()

    def __exit__(self, *_: object) -> None:
        self.close()


def _trusted_seconds(reader: AudioReader, has_frame_count: bool) -> float | None:
    """Return the length by the container; None where it is an estimate, or of other tracks.

    WAV is missing here because FFmpeg fits the length to the file; `_is_cut_off` sees to it.
    """
    if reader.format in {"flac", "aiff"} or (reader.format == "mp3" and has_frame_count):
        return reader.track_seconds
    if reader.format.startswith("mov,"):
        known = [s for s in (reader.track_seconds, reader.file_seconds) if s is not None]
        return min(known, default=None)
    if reader.format.startswith("matroska"):
        tagged = re.fullmatch(r"(\d+):(\d+):(\d+(?:\.\d+)?)", reader.tags.get("duration", ""))
        if tagged is not None:
            hours, minutes, seconds = tagged.groups()
            return int(hours) * 3600 + int(minutes) * 60 + float(seconds)
        return reader.file_seconds if reader.is_audio_only else None
    return None


def _is_page_cut(tail: bytes) -> bool:
    """Return whether the last Ogg page of a tail is longer than what is there (RFC 3533, 6)."""
    page = tail[max(0, tail.rfind(b"OggS")) :]
    if not page.startswith(b"OggS"):
        return False
    if len(page) < 27 or len(page) < 27 + page[26]:
        return True
    return 27 + page[26] + sum(page[27 : 27 + page[26]]) > len(page)


def _shown(path: Path) -> str:
    """Return a name that can be printed and stored: names of files need not be UTF-8."""
    return os.fsencode(path).decode("utf-8", "replace")
