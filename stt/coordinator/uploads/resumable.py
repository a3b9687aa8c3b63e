"""Uploads in several requests: each continues where the last one ended, however that ended.

What lies in the spool decides where: a record may be behind it, and is brought up to date.
"""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from bson import ObjectId
from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect, Request

from stt.coordinator.errors import BadRequest, Conflict, Gone, Locked, Stalled, TooLarge
from stt.coordinator.store.uploads import UploadRecord
from stt.coordinator.uploads.incoming import ContinuedFile
from stt.coordinator.uploads.processor import UploadProcessor
from stt.coordinator.uploads.request_body import blocks_of
from stt.errors import NotFound
from stt.media.recording import shown_name
from stt.store.ingest_options import IngestOptions

# A dead connection holds the upload for so long; its sender goes on in another one.
_STALL_SECONDS = 20.0
_WRITE_BYTES = 1024 * 1024


class ResumableUploads:
    """Begins uploads of a known length, and receives them in parts. Safe between threads."""

    def __init__(self, processor: UploadProcessor) -> None:
        self._processor = processor
        self._log = processor.log
        self._spool = processor.spool

    def begin(
        self,
        filename: str,
        size: int,
        options: IngestOptions,
        sent: Mapping[str, Any],
        *,
        max_bytes: int,
    ) -> ObjectId:
        """Return the id of a new upload, or of the same file's that is not whole yet.

        `sent` is as for `UploadLog.begin`. Raises TooLarge, OutOfSpace and DatabaseUnavailable.
        """
        filename = shown_name(filename)
        if size > max_bytes:
            megabytes = max_bytes // 1024**2
            raise TooLarge(f"{filename} is larger than {megabytes} MB, the most that is taken.")
        found = self._log.find_partial(self._spool.id, filename, size, sent)
        given = {name: value for name, value in sent.items() if value is not None}
        if found and self._log.update(ObjectId(found.id), options=asdict(options), **given):
            return ObjectId(found.id)
        self._spool.check_room(size)
        with self._spool.translated():
            file = self._spool.create()
        try:
            sent = {**sent, "resumable": True}
            self._log.begin(file.id, self._spool.id, filename, size, asdict(options), sent=sent)
        except BaseException:
            file.remove()
            raise
        file.close()
        if not size:  # whole as it is
            self._processor.notify()
        return file.id

    def progress(self, upload_id: ObjectId) -> tuple[int, int]:
        """Return how many bytes have come, of how many. Raise NotFound, Gone or Conflict."""
        record = self._record(upload_id)
        return (self._received(record) if record.is_partial else record.bytes), record.bytes

    async def append(self, upload_id: ObjectId, offset: int, request: Request) -> int:
        """Write the body behind what has come; return how much that is now.

        What came before an error is kept. Raises NotFound, Gone, Conflict for another offset,
        Locked, TooLarge, OutOfSpace, Stalled and BadRequest.
        """
        file = await run_in_threadpool(self._continue, upload_id, offset)
        try:
            await _receive(file, request)
        finally:
            await run_in_threadpool(file.close)
        if file.is_whole:
            self._processor.notify()
        return file.offset

    def _continue(self, upload_id: ObjectId, offset: int) -> ContinuedFile:
        """Lock the file of an upload that goes on at this offset."""
        record = self._record(upload_id)
        if not record.is_partial:
            raise Conflict(f"All {record.bytes:,} bytes of it have come.")
        try:
            file = self._spool.append(upload_id)
        except FileNotFoundError:
            raise _elsewhere() from None
        if file is None:
            raise Locked("Another request sends this upload.")
        try:
            if offset != file.size:
                raise Conflict(f"It goes on at {file.size}, not at {offset}.", code="offset")
            return ContinuedFile(self._log, self._spool, file, record, offset)
        except BaseException:
            file.close()
            raise

    def _record(self, upload_id: ObjectId) -> UploadRecord:
        record = self._log.get(upload_id)
        if record is None or not record.resumable:
            raise NotFound(f"There is no upload {upload_id} that could go on.")
        if record.state == "failed":
            raise Gone(record.error or "It has failed.")
        return record

    def _received(self, record: UploadRecord) -> int:
        try:
            return self._spool.received_bytes(ObjectId(record.id))
        except FileNotFoundError:
            raise _elsewhere() from None


async def _receive(file: ContinuedFile, request: Request) -> None:
    buffer = bytearray()
    try:
        async for block in blocks_of(request, _STALL_SECONDS):
            buffer += block
            if len(buffer) >= _WRITE_BYTES:
                data, buffer = buffer, bytearray()
                await run_in_threadpool(file.write, data)
    except (ClientDisconnect, Stalled) as error:
        await run_in_threadpool(file.write, buffer)
        if isinstance(error, ClientDisconnect):
            raise BadRequest("The connection broke off.") from None
        raise
    await run_in_threadpool(file.write, buffer)


def _elsewhere() -> Conflict:
    return Conflict("Its file lies with another coordinator.", code="elsewhere")
