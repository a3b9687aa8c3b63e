"""Threads that cut received uploads into chunks, and clear away what broke off."""

import hashlib
import logging
import threading
import time
from pathlib import Path

from bson import ObjectId

from stt.coordinator.store.uploads import UploadLog, UploadRecord
from stt.coordinator.uploads.incoming import BROKE_OFF
from stt.coordinator.uploads.spool import Spool, SpoolFile
from stt.errors import AudioStoreRefused, DatabaseUnavailable, RecordingError, SttError
from stt.media.decoder_pool import DecoderUnavailable
from stt.store.cutting import Progress
from stt.store.database import Database
from stt.store.ingest import ingest
from stt.store.ingest_options import IngestOptions

_THREADS = 2
_POLL_SECONDS = 5.0
_PROGRESS_SECONDS = 1.0
_STOP_SECONDS = 10.0
_INTERRUPTED_SECONDS = 10.0
KEEP_SECONDS = 3 * 86_400.0
"""So long a resumable upload waits for its sender to go on."""
_MAX_TRIES = 5
"""So many processes may end during the cutting of a file, without progress, before it is failed."""

logger = logging.getLogger(__name__)


class _Stopped(Exception):
    """The coordinator ends; the next one continues the upload."""


class UploadProcessor:
    """Has uploads cut. Safe between threads; `start()` and `stop()` it once.

    Raises ConfigError if the folder cannot be written to.
    """

    def __init__(self, database: Database, folder: Path) -> None:
        self.log = UploadLog(database)
        self.spool = Spool(folder)
        self._database = database
        self._stopping = threading.Event()
        self._arrivals = threading.Semaphore(0)
        self._lock = threading.Lock()
        self._in_work: set[str] = set()  # sha256 of what is being cut here
        self._begun: set[ObjectId] = set()  # uploads that this process has tried to cut
        self._threads = [
            threading.Thread(target=self._run, name=f"upload processor {number}", daemon=True)
            for number in range(_THREADS)
        ]

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Leave what is being cut to the next start."""
        self._stopping.set()
        self._arrivals.release(len(self._threads))
        deadline = time.monotonic() + _STOP_SECONDS
        for thread in self._threads:
            thread.join(max(0.0, deadline - time.monotonic()))

    def notify(self) -> None:
        """Wake a thread: an upload has arrived."""
        self._arrivals.release()

    def _run(self) -> None:
        while not self._stopping.is_set():
            try:
                if self._process_one():
                    continue
            except (DatabaseUnavailable, DecoderUnavailable, AudioStoreRefused) as error:
                logger.warning("Uploads wait: %s", error)
            except Exception:  # the next upload must be processed
                logger.exception("uploads")
            self._arrivals.acquire(timeout=_POLL_SECONDS)

    def _process_one(self) -> bool:
        """Process the oldest upload that no process holds; return False if there is none."""
        records = self.log.open_in(self.spool.id)
        for record in records:
            if self._stopping.is_set():
                return False
            with self.spool.hold(record.id) as file:
                # Read again: only now can no other process change it.
                current = self.log.get(record.id) if file else None
                if file and current and self._process(current, file):
                    return True
        self._clear_strays({record.id for record in records})
        return False

    def _process(self, record: UploadRecord, file: SpoolFile) -> bool:
        """Return True if the upload was cut, which may have taken long."""
        if record.is_partial and record.resumable and file.exists:
            if file.size < record.bytes:
                self._await_sender(record, file)
                return False
            # Its last request ended before it was recorded that all has come.
            self.log.update(record.id, state="waiting", received_bytes=record.bytes)
            record = record.model_copy(update={"state": "waiting"})
        if record.is_partial or not file.exists:
            if record.is_open:
                logger.warning("Upload %s (%s) broke off", record.id, record.filename)
                self.log.fail(record.id, BROKE_OFF)
            file.remove()
            return False
        sha256 = record.sha256 or self._hash(record, file)
        with self._lock:
            # The same file from another upload will be in the queue already.
            if not record.is_open or sha256 in self._in_work:
                return False
            self._in_work.add(sha256)
        try:
            self._cut(record, file)
        except _Stopped:
            logger.info("Upload %s (%s) is left to the next start", record.id, record.filename)
            self.log.update(record.id, state="cutting", tries=0)
        finally:
            with self._lock:
                self._in_work.discard(sha256)
        return True

    def _await_sender(self, record: UploadRecord, file: SpoolFile) -> None:
        """Keep what has come of a resumable upload for some days."""
        if file.idle_seconds > KEEP_SECONDS:
            reason = f"It was not continued for {KEEP_SECONDS / 86_400:g} days; send it again."
            logger.warning("Upload %s (%s): %s", record.id, record.filename, reason)
            self.log.fail(record.id, reason)
            file.remove()
        elif record.state == "receiving" and file.idle_seconds > _INTERRUPTED_SECONDS:
            self.log.update(record.id, state="interrupted", received_bytes=file.size)

    def _hash(self, record: UploadRecord, file: SpoolFile) -> str:
        """Return the sha256 of a file that came in several requests, and record it."""
        with file.path.open("rb") as content:
            sha256 = hashlib.file_digest(content, "sha256").hexdigest()
        self.log.update(record.id, sha256=sha256)
        return sha256

    def _cut(self, record: UploadRecord, file: SpoolFile) -> None:
        tries = record.tries + (record.id not in self._begun)
        self._begun.add(record.id)
        if tries > _MAX_TRIES:
            self.log.fail(record.id, f"The coordinator ended {record.tries} times over it.")
        elif self.log.update(record.id, state="cutting", tries=tries):
            try:
                options = IngestOptions(**record.options)
                progress = self._progress(record, tries)
                ingested = ingest(
                    self._database, file.path, options, progress, record.filename,
                    modified_at=record.modified_at,
                )  # fmt: skip
            except (DatabaseUnavailable, DecoderUnavailable, AudioStoreRefused, _Stopped):
                raise
            except SttError as error:
                self.log.fail(record.id, str(error))
            except Exception as error:
                logger.exception("upload %s (%s)", record.id, record.filename)
                self.log.fail(record.id, f"It could not be cut: {type(error).__name__}.")
            else:
                recording, is_known = ingested.recording, ingested.status == "already there"
                self.log.update(
                    record.id,
                    state="already there" if is_known else "done",
                    source_id=recording.id,
                    cut_seconds=recording.duration or 0.0,
                    total_seconds=recording.duration,
                    warnings=ingested.warnings,
                )
                logger.info("Upload %s (%s): %s", record.id, record.filename, ingested.status)
        file.remove()
        self.log.forget(record.id)

    def _progress(self, record: UploadRecord, tries: int) -> Progress:
        """Return a callback that logs progress, and ends the cutting if it is cancelled."""
        logged_at, first_seconds = -_PROGRESS_SECONDS, None

        def progress(done_seconds: float, total_seconds: float | None) -> None:
            nonlocal logged_at, first_seconds
            if self._stopping.is_set():
                raise _Stopped
            if first_seconds is None:
                first_seconds = done_seconds
            if time.monotonic() - logged_at < _PROGRESS_SECONDS:
                return
            logged_at = time.monotonic()
            is_open = self.log.update(
                record.id,
                cut_seconds=done_seconds,
                total_seconds=total_seconds,
                tries=tries if done_seconds == first_seconds else 0,
            )
            if not is_open:
                raise RecordingError(f"{record.filename}: cancelled")

        return progress

    def _clear_strays(self, open_ids: set[ObjectId]) -> None:
        """Remove files of uploads that have ended or were cancelled."""
        for upload_id in self.spool.ids() - open_ids:
            with self.spool.hold(upload_id) as file:
                record = self.log.get(upload_id) if file else None
                if file is None or (record is not None and record.is_open):
                    continue  # held by another process, or new
                # Without any record it may be of another database, whose coordinator is away.
                if self.log.is_known(upload_id) or file.is_forgotten:
                    file.remove()
                    self.log.forget(upload_id)
