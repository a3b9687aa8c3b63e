"""Uploads: from the network into a spool folder, and from there, cut into chunks, into the queue.

The database and the spool are all the state there is:

- A file lies in the spool under the id of its upload, never under its name. Whoever receives or
  cuts it holds a lock on it (flock), which ends with the process, however that ends.
- So an open upload whose file nobody holds is one that broke off: a half file is removed, and a
  whole one is cut, from where the last attempt stopped. Every coordinator that shares the folder
  looks after that.
- The spool has an id, and every upload's record names it: no coordinator touches an upload whose
  file lies on another machine.
"""

import hashlib
import logging
import threading
import time
from collections.abc import Callable
from pathlib import Path

from bson import ObjectId

from stt.coordinator.errors import Gone, OutOfSpace, TooLarge
from stt.coordinator.store.uploads import UploadLog, UploadRecord
from stt.coordinator.uploads.spool import Spool, SpoolFile
from stt.errors import DatabaseUnavailable, RecordingError, SttError
from stt.media.recording import shown_name
from stt.store.database import Database
from stt.store.ingest import IngestOptions, Progress, ingest

BROKE_OFF = "It broke off; send it again."

_CUTTERS = 2
_RESERVE_BYTES = 256 * 1024 * 1024
"""Kept free on the spool's disk: the database may be on it too, and a full one breaks that."""
_LOOK_SECONDS = 5.0
_PROGRESS_SECONDS = 1.0
_OUTAGE_SECONDS = 5.0
_GOODBYE_SECONDS = 10.0
_MAX_TRIES = 5
"""So many processes may end over a file, without getting on with it, before it is given up."""

logger = logging.getLogger(__name__)


class _Stopped(Exception):
    """The coordinator ends; the upload is taken up again by the next one."""


class UploadProcessor:
    """Receives uploads and has them cut. Safe between threads; `start()` and `stop()` it once.

    Raises ConfigError if the folder cannot be written to.
    """

    def __init__(
        self,
        database: Database,
        folder: Path,
        *,
        cutters: int = _CUTTERS,
        reserve_bytes: int = _RESERVE_BYTES,
    ) -> None:
        self.log = UploadLog(database)
        self.spool = Spool(folder)
        self.reserve_bytes = reserve_bytes
        self._database = database
        self._stopping = threading.Event()
        self._news = threading.Semaphore(0)
        self._lock = threading.Lock()
        self._in_work: set[str] = set()  # sha256 of what is being cut here
        self._begun: set[ObjectId] = set()  # uploads that this process has tried to cut
        self._threads = [
            threading.Thread(target=self._run, name=f"cutter-{number}", daemon=True)
            for number in range(cutters)
        ]

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Leaves what is being cut to the next start."""
        self._stopping.set()
        self._news.release(len(self._threads))
        deadline = time.monotonic() + _GOODBYE_SECONDS
        for thread in self._threads:
            thread.join(max(0.0, deadline - time.monotonic()))

    def check_room(self, expected_bytes: int) -> None:
        """Raises OutOfSpace if the disk has no room for so much."""
        if self.spool.free_bytes() < expected_bytes + self.reserve_bytes:
            raise OutOfSpace(
                "The coordinator's disk is nearly full: make room, then send it again."
            )

    def receive(
        self, filename: str, expected_bytes: int, max_bytes: int, options: IngestOptions
    ) -> "IncomingFile":
        """Begins an upload of about so many bytes. Raises OutOfSpace, DatabaseUnavailable."""
        self.check_room(min(expected_bytes, max_bytes))
        with self.spool.translated():
            file = self.spool.create()
        try:
            name = shown_name(filename)
            fields = {
                "language": options.language,
                "prompt": options.prompt,
                "priority": options.priority,
                "chunk_seconds": options.chunk_seconds,
                "model": options.model,
            }
            self.log.begin(file.id, self.spool.id, name, expected_bytes, fields)
        except BaseException:
            file.remove()
            raise
        return IncomingFile(self, file, name, max_bytes)

    def arrived(self) -> None:
        """There is something to cut."""
        self._news.release()

    def _run(self) -> None:
        while not self._stopping.is_set():
            try:
                if self._process_one():
                    continue
            except DatabaseUnavailable as error:
                logger.warning("Uploads wait: %s", error)
            except Exception:  # whatever it is, the others must go on
                logger.exception("uploads")
            self._news.acquire(timeout=_LOOK_SECONDS)

    def _process_one(self) -> bool:
        """Looks after the oldest upload that nobody holds; False if there is none."""
        records = self.log.open_in(self.spool.id)
        for record in records:
            if self._stopping.is_set():
                return False
            with self.spool.hold(record.id) as file:
                if file is None:
                    continue
                # Only now does nobody else change it.
                now = self.log.get(record.id)
                if now is not None and self._look_after(now, file):
                    return True
        self._clear_strays({record.id for record in records})
        return False

    def _look_after(self, record: UploadRecord, file: SpoolFile) -> bool:
        """True if it was cut, for however long that took."""
        if record.state == "receiving" or not file.exists:
            if record.is_open:
                logger.warning("Upload %s (%s) broke off", record.id, record.filename)
                self.log.failed(record.id, BROKE_OFF)
            file.remove()
            return False
        if not record.is_open or not self._begin(record):
            return False
        try:
            self._cut(record, file)
        except _Stopped:
            logger.info("Upload %s (%s) is left to the next start", record.id, record.filename)
            self.log.cutting(record.id, tries=0)
        finally:
            with self._lock:
                self._in_work.discard(record.sha256 or "")
        return True

    def _begin(self, record: UploadRecord) -> bool:
        """False while the same file is being cut from another upload: it will be there already."""
        with self._lock:
            if record.sha256 in self._in_work:
                return False
            self._in_work.add(record.sha256 or "")
        return True

    def _cut(self, record: UploadRecord, file: SpoolFile) -> None:
        tries = record.tries + (record.id not in self._begun)
        self._begun.add(record.id)
        if tries > _MAX_TRIES:
            self.log.failed(record.id, f"The coordinator ended {record.tries} times over it.")
        elif self.log.cutting(record.id, tries):
            try:
                options = IngestOptions(**record.options)
                progress = self._progress(record, tries)
                ingested = ingest(self._database, file.path, options, progress, record.filename)
            except (DatabaseUnavailable, _Stopped):
                raise
            except SttError as error:
                self.log.failed(record.id, str(error))
            except Exception as error:
                logger.exception("upload %s (%s)", record.id, record.filename)
                self.log.failed(record.id, f"It could not be cut: {type(error).__name__}.")
            else:
                recording, is_known = ingested.recording, ingested.status == "already there"
                self.log.done(record.id, recording.id, recording.duration, is_known=is_known)
                logger.info("Upload %s (%s): %s", record.id, record.filename, ingested.status)
        file.remove()
        self.log.forget(record.id)

    def _progress(self, record: UploadRecord, tries: int) -> Progress:
        told_at, first_seconds = -_PROGRESS_SECONDS, None

        def progress(done_seconds: float, total_seconds: float | None) -> None:
            nonlocal told_at, first_seconds
            if self._stopping.is_set():
                raise _Stopped
            if first_seconds is None:
                first_seconds = done_seconds
            if time.monotonic() - told_at < _PROGRESS_SECONDS:
                return
            told_at = time.monotonic()
            unlucky = tries if done_seconds == first_seconds else 0
            if not self.log.cut(record.id, done_seconds, total_seconds, unlucky):
                raise RecordingError(f"{record.filename}: cancelled")

        return progress

    def _clear_strays(self, open_ids: set[ObjectId]) -> None:
        """Removes files of uploads that have ended or were cancelled."""
        for upload_id in self.spool.ids() - open_ids:
            with self.spool.hold(upload_id) as file:
                if file is None:
                    continue
                record = self.log.get(upload_id)
                if record is not None and record.is_open:
                    continue  # it has come since we looked
                # Without any record it may be of another database, whose coordinator is away.
                if self.log.is_known(upload_id) or file.is_forgotten:
                    file.remove()
                    self.log.forget(upload_id)


class IncomingFile:
    """A file on its way in; one call at a time. It ends with `finish` or with `break_off`.

    Every method raises OutOfSpace, TooLarge, Gone if a person cancelled it, and `finish`
    DatabaseUnavailable too.
    """

    def __init__(
        self, processor: UploadProcessor, file: SpoolFile, filename: str, max_bytes: int
    ) -> None:
        self.id = file.id
        self._processor = processor
        self._file = file
        self._filename = filename
        self._max_bytes = max_bytes
        self._sha256 = hashlib.sha256()
        self._received_bytes = 0
        self._told_at = time.monotonic()

    def write(self, data: bytes | bytearray) -> None:
        self._received_bytes += len(data)
        if self._received_bytes > self._max_bytes:
            megabytes = self._max_bytes // 1024**2
            raise TooLarge(
                f"{self._filename} is larger than {megabytes} MB, the most that is taken."
            )
        self._processor.check_room(len(data))
        with self._processor.spool.translated():
            self._file.write(data)
        self._sha256.update(data)
        if time.monotonic() - self._told_at >= _PROGRESS_SECONDS:
            self._told_at = time.monotonic()
            self._tell(lambda log: log.received(self.id, self._received_bytes))

    def finish(self) -> UploadRecord:
        """The file is whole: from now on it is the cutters'."""
        with self._processor.spool.translated():
            self._file.flush()
        if not self._processor.log.arrived(self.id, self._received_bytes, self._sha256.hexdigest()):
            raise _cancelled()
        self._file.close()
        self._processor.arrived()
        record = self._processor.log.get(self.id)
        if record is None:
            raise _cancelled()
        return record

    def break_off(self, reason: str) -> None:
        """Removes what has come; raises nothing."""
        try:
            self._file.remove()
            self._processor.log.failed(self.id, reason)
            self._processor.log.forget(self.id)
        except (OSError, SttError) as error:  # the next look at the spool sees to it
            logger.warning("Upload %s broke off: %s", self.id, error)

    def _tell(self, change: Callable[[UploadLog], bool]) -> None:
        try:
            if not change(self._processor.log):
                raise _cancelled()
        except DatabaseUnavailable as error:  # the upload itself does not need it yet
            logger.warning("Upload %s goes on: %s", self.id, error)
            self._told_at = time.monotonic() + _OUTAGE_SECONDS


def _cancelled() -> Gone:
    return Gone("The upload was cancelled.")
