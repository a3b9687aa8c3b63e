"""A file that is being received, until it is whole in the spool."""

import hashlib
import logging
import time
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from stt.coordinator.errors import Gone, TooLarge
from stt.coordinator.store.uploads import UploadLog, UploadRecord
from stt.coordinator.uploads.spool import Spool, SpoolFile
from stt.errors import DatabaseUnavailable, SttError
from stt.media.recording import shown_name
from stt.store.ingest_options import IngestOptions

BROKE_OFF = "It broke off; send it again."

_PROGRESS_SECONDS = 1.0
_OUTAGE_SECONDS = 5.0

logger = logging.getLogger(__name__)


class _Receiver:
    """Writes to a file of the spool that it has locked, and logs the progress."""

    def __init__(self, log: UploadLog, spool: Spool, file: SpoolFile, received_bytes: int) -> None:
        self.id = file.id
        self._log = log
        self._spool = spool
        self._file = file
        self._received_bytes = received_bytes
        self._logged_at = time.monotonic()

    def _store(self, data: bytes | bytearray) -> None:
        """Raise OutOfSpace, and Gone if a person cancelled the upload."""
        self._spool.check_room(len(data))
        with self._spool.translated():
            self._file.write(data)
        if time.monotonic() - self._logged_at >= _PROGRESS_SECONDS:
            self._log_progress()

    def _log_progress(self) -> None:
        self._logged_at = time.monotonic()
        try:
            if not self._log.update(self.id, received_bytes=self._received_bytes):
                raise _cancelled()
        except DatabaseUnavailable as error:  # not needed before the end
            logger.warning("Upload %s goes on: %s", self.id, error)
            self._logged_at += _OUTAGE_SECONDS

    def _hand_over(self, **fields: object) -> UploadRecord:
        """Give the whole file to the processor. Raise Gone."""
        is_open = self._log.update(
            self.id,
            state="waiting",
            bytes=self._received_bytes,
            received_bytes=self._received_bytes,
            **fields,
        )
        record = self._log.get(self.id) if is_open else None
        if record is None:
            raise _cancelled()
        self._file.close()
        return record


class IncomingFile(_Receiver):
    """A new upload of about `expected_bytes`; end it with `finish` or `break_off`.

    `sent` is as for `UploadLog.begin`.

    One call at a time. Raises OutOfSpace, and DatabaseUnavailable at its begin and its end;
    `write` and `finish` raise TooLarge, and Gone if a person cancelled the upload.
    """

    def __init__(
        self,
        log: UploadLog,
        spool: Spool,
        filename: str,
        options: IngestOptions,
        *,
        expected_bytes: int,
        max_bytes: int,
        sent: Mapping[str, Any] | None = None,
    ) -> None:
        spool.check_room(min(expected_bytes, max_bytes))
        with spool.translated():
            file = spool.create()
        super().__init__(log, spool, file, received_bytes=0)
        self._filename = shown_name(filename)
        self._max_bytes = max_bytes
        self._sha256 = hashlib.sha256()
        try:
            log.begin(self.id, spool.id, self._filename, expected_bytes, asdict(options), sent=sent)
        except BaseException:
            self._file.remove()
            raise

    def write(self, data: bytes | bytearray) -> None:
        self._received_bytes += len(data)
        if self._received_bytes > self._max_bytes:
            megabytes = self._max_bytes // 1024**2
            raise TooLarge(
                f"{self._filename} is larger than {megabytes} MB, the most that is taken."
            )
        self._sha256.update(data)
        self._store(data)

    def finish(self, options: IngestOptions | None = None) -> UploadRecord:
        """Hand the whole file over to the processor, with `options` if they have changed."""
        with self._spool.translated():
            self._file.flush()
        changed = {} if options is None else {"options": asdict(options)}
        return self._hand_over(sha256=self._sha256.hexdigest(), **changed)

    def break_off(self, reason: str) -> None:
        """Remove what has come; raises nothing."""
        try:
            try:  # before the lock of the file ends: then the processor gives another reason
                self._log.fail(self.id, reason)
                self._log.forget(self.id)
            finally:
                self._file.remove()
        except (OSError, SttError) as error:  # the processor clears it away later
            logger.warning("Upload %s broke off: %s", self.id, error)


class ContinuedFile(_Receiver):
    """The rest of a resumable upload, from its lock to `close`; what has come is kept.

    `offset`: where it goes on; `file` has so much. One call at a time.
    """

    def __init__(
        self, log: UploadLog, spool: Spool, file: SpoolFile, record: UploadRecord, offset: int
    ) -> None:
        super().__init__(log, spool, file, received_bytes=offset)
        self._size = record.bytes
        if not log.update(self.id, state="receiving", received_bytes=offset):
            raise _cancelled()

    @property
    def offset(self) -> int:
        return self._received_bytes

    @property
    def is_whole(self) -> bool:
        return self._received_bytes == self._size

    def write(self, data: bytes | bytearray) -> None:
        """Raise TooLarge, OutOfSpace or Gone."""
        if self._received_bytes + len(data) > self._size:
            raise TooLarge(f"More has come than the {self._size:,} bytes that were announced.")
        self._received_bytes += len(data)
        self._store(data)

    def close(self) -> None:
        """Keep what has come, and hand it over if it is whole. Raise Gone if it was cancelled."""
        try:
            with self._spool.translated():
                self._file.flush()
            self._received_bytes = self._file.size
            if self.is_whole:
                self._hand_over()
            else:
                self._log_progress()
        except Gone:
            self._file.remove()
            self._log.forget(self.id)
            raise
        finally:
            self._file.close()


def _cancelled() -> Gone:
    """Return the error for an upload that a person has cancelled."""
    return Gone("The upload was cancelled.")
