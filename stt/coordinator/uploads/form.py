"""One `POST /upload`: a form is read as it arrives, and each file in it becomes an upload.

Every file is its own: those that were whole before something went wrong stay, and are cut.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import suppress
from dataclasses import dataclass

from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect, Request

from stt.coordinator.errors import ApiError, BadRequest, Stalled, TooLarge, Unprocessable
from stt.coordinator.store.uploads import UploadRecord
from stt.coordinator.uploads.multipart import (
    Data,
    Event,
    Field,
    FileBegins,
    FileEnds,
    MultipartStream,
)
from stt.coordinator.uploads.processor import BROKE_OFF, IncomingFile, UploadProcessor
from stt.store.ingest import IngestOptions

MAX_FILES = 100

_STALL_SECONDS = 60.0
_MAX_SECONDS = 12 * 3_600.0
_WRITTEN_TOGETHER = 1024 * 1024
# A client that is refused in the middle often reads no answer before it has sent all.
_DRAIN_SECONDS = 10.0
_DRAIN_BYTES = 256 * 1024 * 1024
_MAX_PRIORITY = 10**9


@dataclass(frozen=True, slots=True)
class UploadLimits:
    """What the coordinator's options say of uploads."""

    max_bytes: int
    defaults: IngestOptions


class UploadFormReader:
    """Reads one form. Raises BadRequest, TooLarge, Stalled, OutOfSpace, Gone, Unprocessable for a
    wish that is none, ConfigError for one that cannot be, and DatabaseUnavailable."""

    def __init__(
        self, processor: UploadProcessor, limits: UploadLimits, fields: Mapping[str, str | None]
    ) -> None:
        self.uploads: list[UploadRecord] = []
        """Those that have arrived."""
        self._processor = processor
        self._limits = limits
        self._fields = {name: value for name, value in fields.items() if value}
        self._options = self._wanted_options()
        self._incoming: IncomingFile | None = None
        self._files = 0
        self._buffer = bytearray()
        self._announced_bytes = 0
        self._read_bytes = 0

    async def read(self, request: Request) -> None:
        length = request.headers.get("content-length", "")
        self._announced_bytes = int(length) if length.isdigit() else 0
        form = MultipartStream(request.headers.get("content-type", ""))
        if self._announced_bytes > MAX_FILES * self._limits.max_bytes:
            raise TooLarge("The request is larger than all that may be sent at once.")
        blocks = _blocks(request)
        try:
            await run_in_threadpool(self._processor.check_room, 0)
            async for block in blocks:
                self._read_bytes += len(block)
                for event in form.feed(block):
                    await self._take(event)
            if not form.is_whole:
                raise BadRequest("The form broke off before its end.")
            if not self._files:
                raise BadRequest("There is no file in the form.")
        except ClientDisconnect:
            raise BadRequest("The connection broke off.") from None  # nobody reads it
        except ApiError as error:
            await self._break_off(str(error))
            if not isinstance(error, Stalled):
                await self._drain(blocks)
            raise
        finally:
            await self._break_off(BROKE_OFF)

    async def _take(self, event: Event) -> None:
        match event:
            case Field(name, value):
                if name in ("language", "prompt", "priority", "model") and value:
                    self._fields[name] = value
                    self._options = self._wanted_options()
            case FileBegins(filename):
                self._files += 1
                if self._files > MAX_FILES:
                    raise TooLarge(f"More than {MAX_FILES} files at once are not taken.")
                self._incoming = await run_in_threadpool(
                    self._processor.receive,
                    filename,
                    max(0, self._announced_bytes - self._read_bytes),
                    self._limits.max_bytes,
                    self._options,
                )
            case Data(data):
                self._buffer += data
                if len(self._buffer) >= _WRITTEN_TOGETHER:
                    await self._write()
            case FileEnds():
                await self._write()
                assert self._incoming is not None
                self.uploads.append(await run_in_threadpool(self._incoming.finish))
                self._incoming = None

    async def _write(self) -> None:
        assert self._incoming is not None
        data, self._buffer = self._buffer, bytearray()
        await run_in_threadpool(self._incoming.write, data)

    async def _break_off(self, reason: str) -> None:
        incoming, self._incoming = self._incoming, None
        if incoming is not None:
            await run_in_threadpool(incoming.break_off, reason)

    async def _drain(self, blocks: AsyncIterator[bytes]) -> None:
        """Reads on for a while, and drops it, so that the refusal is read."""
        left = self._announced_bytes - self._read_bytes
        if left > _DRAIN_BYTES:
            return
        drained = 0
        with suppress(TimeoutError, ClientDisconnect, ApiError):
            async with asyncio.timeout(_DRAIN_SECONDS):
                async for block in blocks:
                    drained += len(block)
                    if drained > _DRAIN_BYTES:
                        return

    def _wanted_options(self) -> IngestOptions:
        defaults, fields = self._limits.defaults, self._fields
        return IngestOptions(
            language=fields.get("language") or defaults.language,
            prompt=fields.get("prompt") or defaults.prompt,
            priority=_priority(fields["priority"]) if "priority" in fields else defaults.priority,
            chunk_seconds=defaults.chunk_seconds,
            model=fields.get("model") or defaults.model,
        )


async def _blocks(request: Request) -> AsyncIterator[bytes]:
    """The body as it comes. Raises ClientDisconnect, and Stalled when nothing comes for long."""
    stream = request.stream()
    deadline = time.monotonic() + _MAX_SECONDS
    while time.monotonic() < deadline:
        try:
            async with asyncio.timeout(_STALL_SECONDS):
                block = await anext(stream)
        except StopAsyncIteration:
            return
        except TimeoutError:
            raise Stalled(f"Nothing of it has arrived for {_STALL_SECONDS:g} seconds.") from None
        yield block
    raise Stalled(f"It has not arrived in {_MAX_SECONDS / 3_600:g} hours.")


def _priority(text: str) -> int:
    try:
        priority = int(text)
    except ValueError:
        raise Unprocessable("priority: a whole number is wanted.") from None
    if abs(priority) > _MAX_PRIORITY:
        raise Unprocessable(f"priority: at most {_MAX_PRIORITY}.")
    return priority
