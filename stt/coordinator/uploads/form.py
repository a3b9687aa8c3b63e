"""One `POST /upload`: the form is read as it arrives, and each file in it becomes an upload.

Files are independent: those that were whole before an error stay, and are cut. That begins at the
form's end, because a field may stand behind the files that it is for.
"""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from pydantic import ValidationError
from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect, Request

from stt.coordinator.errors import ApiError, BadRequest, Stalled, TooLarge, Unprocessable
from stt.coordinator.fault_texts import fault_text
from stt.coordinator.store.uploads import UploadRecord
from stt.coordinator.uploads.fields import UploadAddress, UploadFields, given
from stt.coordinator.uploads.incoming import BROKE_OFF, IncomingFile
from stt.coordinator.uploads.multipart import Event, Field, FileEnd, FileStart, MultipartStream
from stt.coordinator.uploads.processor import UploadProcessor
from stt.coordinator.uploads.request_body import blocks_of
from stt.errors import ConfigError, SttError
from stt.settings import Settings
from stt.store.ingest_options import SPEAKER_OPTIONS, IngestOptions

MAX_FILES = 100

_STALL_SECONDS = 60.0
_WRITE_BYTES = 1024 * 1024
# Many clients do not read the response to an upload before they have sent all of it.
_DRAIN_SECONDS = 10.0
_DRAIN_BYTES = 256 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class _WholeFile:
    """A file that has come, and the fields for it: the last before it, or the first behind it."""

    incoming: IncomingFile
    fields: dict[str, Any]


class UploadFormReader:
    """Reads one form into `uploads`; what its `address` gives goes before `defaults`.

    A field in the form is for the files behind it, and for those before it that have none of its
    name. `ignored` are the names of fields that mean nothing.

    Raises BadRequest, TooLarge, Stalled, OutOfSpace, Gone, Unprocessable or ConfigError for an
    invalid field, and DatabaseUnavailable.
    """

    def __init__(
        self, processor: UploadProcessor, defaults: Settings, address: UploadAddress
    ) -> None:
        self.uploads: list[UploadRecord] = []
        self.ignored: list[str] = []
        self._processor = processor
        self._max_bytes = defaults.max_upload_mb * 1024 * 1024
        self._defaults = replace(IngestOptions.of_uploads(defaults), **given(address))
        self._sent = address.sent
        self._fields: dict[str, Any] = {}
        self._incoming: IncomingFile | None = None
        self._whole: list[_WholeFile] = []
        self._files = 0
        self._buffer = bytearray()
        self._announced_bytes = 0
        self._read_bytes = 0

    async def read(self, request: Request) -> None:
        try:
            await self._receive(request)
        finally:
            await self._break_off(BROKE_OFF)
            await self._finish()

    async def _receive(self, request: Request) -> None:
        length = request.headers.get("content-length", "")
        self._announced_bytes = int(length) if length.isdigit() else 0
        form = MultipartStream(request.headers.get("content-type", ""))
        if self._announced_bytes > MAX_FILES * self._max_bytes:
            raise TooLarge("The request is larger than all that may be sent at once.")
        blocks = blocks_of(request, _STALL_SECONDS)
        try:
            await run_in_threadpool(self._processor.spool.check_room, 0)
            async for block in blocks:
                self._read_bytes += len(block)
                for event in form.feed(block):
                    await self._handle(event)
            if not form.is_whole:
                raise BadRequest("The form broke off before its end.")
            if not self._files:
                raise BadRequest("There is no file in the form.")
        except ClientDisconnect:
            raise BadRequest("The connection broke off.") from None
        except ApiError as error:
            await self._break_off(str(error))
            if not isinstance(error, Stalled):
                await self._drain(blocks)
            raise

    async def _handle(self, event: Event) -> None:
        match event:
            case Field(name, value):
                if name not in UploadFields.model_fields:
                    self.ignored.append(name)
                elif value:
                    await self._take_field(name, value)
            case FileStart(filename):
                self._files += 1
                if self._files > MAX_FILES:
                    raise TooLarge(f"More than {MAX_FILES} files at once are not taken.")
                begin = partial(
                    IncomingFile,
                    self._processor.log,
                    self._processor.spool,
                    filename,
                    self._options(self._fields),
                    expected_bytes=max(0, self._announced_bytes - self._read_bytes),
                    max_bytes=self._max_bytes,
                    sent=self._sent,
                )
                self._incoming = await run_in_threadpool(begin)
            case bytes(data):
                self._buffer += data
                if len(self._buffer) >= _WRITE_BYTES:
                    await self._write()
            case FileEnd():
                await self._write()
                assert self._incoming is not None
                self._whole.append(_WholeFile(self._incoming, dict(self._fields)))
                self._incoming = None

    async def _take_field(self, name: str, value: str) -> None:
        """Use a field. Raise for an invalid one, and break off the files that it is for."""
        try:
            field = given(_field(name, value))
            self._options(field)
        except (Unprocessable, ConfigError) as error:
            while meant := [file for file in self._whole if name not in file.fields]:
                self._whole.remove(meant[0])
                await run_in_threadpool(meant[0].incoming.break_off, str(error))
            raise
        self._fields |= field
        for file in self._whole:
            file.fields.update(field | file.fields)

    def _options(self, fields: Mapping[str, Any]) -> IngestOptions:
        """Raise ConfigError.

        Speakers and their maximum are one wish: either of them replaces both of the address.
        """
        if not fields.keys().isdisjoint(SPEAKER_OPTIONS):
            fields = {**dict.fromkeys(SPEAKER_OPTIONS), **fields}
        return replace(self._defaults, **fields)

    async def _finish(self) -> None:
        """Hand all whole files over to be cut; raise for the first for which that fails."""
        failure: Exception | None = None
        while self._whole:
            file = self._whole.pop(0)
            try:
                finish = partial(file.incoming.finish, self._options(file.fields))
                self.uploads.append(await run_in_threadpool(finish))
                self._processor.notify()
            except (ApiError, SttError) as error:
                failure = failure or error
                await run_in_threadpool(file.incoming.break_off, str(error))
        if failure is not None:
            raise failure

    async def _write(self) -> None:
        assert self._incoming is not None
        data, self._buffer = self._buffer, bytearray()
        await run_in_threadpool(self._incoming.write, data)

    async def _break_off(self, reason: str) -> None:
        incoming, self._incoming = self._incoming, None
        if incoming is not None:
            await run_in_threadpool(incoming.break_off, reason)

    async def _drain(self, blocks: AsyncIterator[bytes]) -> None:
        """Read on for a while, and drop it, so that the client reads the error."""
        left = _DRAIN_BYTES
        if self._announced_bytes - self._read_bytes > left:
            return
        with suppress(TimeoutError, ClientDisconnect, ApiError):
            async with asyncio.timeout(_DRAIN_SECONDS):
                async for block in blocks:
                    left -= len(block)
                    if left < 0:
                        return


def _field(name: str, value: str) -> UploadFields:
    """Raise Unprocessable."""
    try:
        return UploadFields.model_validate({name: value})
    except ValidationError as error:
        raise Unprocessable(f"{name}: {fault_text(error.errors()[0])}") from error
