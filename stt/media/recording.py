"""A recording, read from start to end in constant memory, or refused with one clear line."""

import hashlib
import logging
import os
import stat
import unicodedata
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

from stt.domain.visible_text import without_controls
from stt.errors import BadAudio, RecordingError
from stt.media.isolated_reader import IsolatedReader
from stt.media.samples import SAMPLE_RATE, Samples

MAX_HOURS = 24
"""Longer recordings are refused."""

_MAX_NAME = 500
_EARLIEST = datetime(1990, 1, 1, tzinfo=UTC)  # before: a clock that was never set

logger = logging.getLogger(__name__)


def shown_name(name: str) -> str:
    """Return a name as it can be stored; see `stt.domain.visible_text` for what is shown of it.

    Paths, markup and marks for the direction of writing stay as they are. Controls are replaced,
    and a name of more than 500 characters is cut. The same letters give the same name, however
    accents were written (Unicode's form NFC).
    """
    shown = unicodedata.normalize("NFC", without_controls(name).strip())
    if len(shown) > _MAX_NAME:
        shown = shown[: _MAX_NAME - 1] + "…"
    return shown or "(no name)"


class RecordingFile(AbstractContextManager["RecordingFile"]):
    """An open recording. Use as a context manager.

    `filename` is the name to show, the file's own by default; `track`, `channel` and `strict` as
    for AudioReader; `modified_at` goes before the file's own modification time.

    Every method raises RecordingError, whose one line names the file: it does not exist, is a
    folder, cannot be read, is empty, not audio, without an audio track or the one that is asked
    for, longer than MAX_HOURS, or, with `strict`, truncated or damaged.
    """

    def __init__(
        self,
        path: Path,
        filename: str | None = None,
        *,
        track: int | None = None,
        channel: int | None = None,
        strict: bool = False,
        modified_at: datetime | None = None,
    ) -> None:
        self.path = path
        self._strict = strict
        self._losses: list[str] = []
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
            self._modified_at = modified_at or datetime.fromtimestamp(status.st_mtime, UTC)
            self._reader = self._open_reader(track, channel, strict)
            closing.pop_all()
        if self.track_count > 1 and channel is None:
            logger.info("%s: %s", self._name, self.warnings[0])

    @property
    def declared_seconds(self) -> float | None:
        """The length by its header; may be FFmpeg's estimate, good enough for a progress bar."""
        return self._reader.header.declared_seconds

    @property
    def track(self) -> int:
        """The number of the audio track that is read, counted from 1."""
        return self._reader.track

    @property
    def track_count(self) -> int:
        """The number of audio tracks."""
        return self._reader.track_count

    @property
    def warnings(self) -> tuple[str, ...]:
        """Which of several tracks is read, and what is lost, once `blocks` has ended."""
        if self.track_count == 1:
            return tuple(self._losses)
        return f"audio track {self.track} of {self.track_count} was taken", *self._losses

    @property
    def channels(self) -> int:
        """The number of channels of the track, at its start."""
        return self._reader.channels

    def of_channel(self, channel: int) -> "RecordingFile":
        """Open the same track again, to read only this channel, counted from 0.

        What is lost of it is among the warnings of this file too.
        """
        track = self._reader.track
        other = RecordingFile(
            self.path, self._given_name, track=track, channel=channel, strict=self._strict
        )
        other._losses = self._losses
        return other

    @property
    def start(self) -> datetime:
        """When it was recorded: the file's own `creation_time` tag, else its modification time."""
        try:
            tagged = datetime.fromisoformat(self._reader.header.creation_time or "")
        except ValueError:
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
        """Yield its samples in order; only after the last one it is known whether it is whole."""
        count = 0
        with self._translated():
            for block in self._reader.blocks():
                count += len(block)
                if count > MAX_HOURS * 3600 * SAMPLE_RATE:
                    raise BadAudio(f"longer than {MAX_HOURS} hours")
                yield block
        for loss in self._reader.warnings:
            if loss not in self._losses:
                self._losses.append(loss)
                logger.warning("%s: %s", self._name, loss)

    def _open_reader(self, track: int | None, channel: int | None, strict: bool) -> IsolatedReader:
        reader = IsolatedReader(
            self._file,
            track,
            channel,
            strict=strict,
            filename=self._given_name or self.path.name,
        )
        header = reader.header
        seconds = header.trusted_seconds or 0.0
        if header.format in {"wav", "ogg"}:
            seconds = header.track_seconds or 0.0
        if seconds > MAX_HOURS * 3600:
            reader.close()
            raise BadAudio(f"longer than {MAX_HOURS} hours")
        return reader

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


def _shown(path: Path) -> str:
    """Return a name that can be printed and stored: names of files need not be UTF-8."""
    return os.fsencode(path).decode("utf-8", "replace")
