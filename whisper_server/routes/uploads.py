"""What the endpoints with uploads share: multipart form → fields and files → transcription."""

import asyncio
import errno
import logging
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Generic

from fastapi import Request
from starlette.datastructures import FormData, UploadFile
from starlette.requests import ClientDisconnect
from starlette.responses import Response
from starlette.types import Message

from whisper_server import errors
from whisper_server.engines.base import Options, Task, Transcription
from whisper_server.form_parser import FormParser
from whisper_server.forms import AudioForm, Form, UploadForm, checked_form
from whisper_server.model_service import Service
from whisper_server.recording import Recording
from whisper_server.scheduler_state import OnProgress
from whisper_server.speakers.attribution import with_speakers
from whisper_server.speakers.diarizer import longest_seconds
from whisper_server.speakers.track import SpeakerTrack

STALL_SECONDS = 60.0
"""Without it a client that has left would hold its place in the queue for ever."""

MAX_WARNINGS = 20

_DISK_FULL = ("The server has no room on its disk for the upload.", 60, "disk_full")
_TOO_MANY_FILES = (
    "The server has too many files open: come back later, or send fewer at once.",
    5,
    "too_many_files",
)
_FULL = {
    errno.ENOSPC: _DISK_FULL,
    errno.EDQUOT: _DISK_FULL,
    errno.EMFILE: _TOO_MANY_FILES,
    errno.ENFILE: _TOO_MANY_FILES,
}
"""The message, the seconds after which to try again, and the code."""

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Upload(Generic[Form]):
    """A form that was read whole; large files lie on disk. Its methods raise ApiError only."""

    service: Service
    request: Request
    data: FormData
    form: Form
    file_field: str
    held: AsyncExitStack
    warnings: list[str] = field(default_factory=list)
    """Once it is transcribed: which of several audio tracks was taken, and what is lost."""

    def keep(self) -> AsyncExitStack:
        """Keep the place and the files after the context, until the returned stack is closed."""
        return self.held.pop_all()

    def options(self, task: Task) -> Options:
        """Return the engine's options; raise ApiError if this model cannot transcribe like that."""
        model, engine, form = self.service.model, self.service.engines[0], self.form
        if form.model is not None and not model.answers_to(form.model):
            raise errors.UnknownModel(
                f"The model '{form.model}' is not loaded; this server has '{model.name}'.",
                param="model",
            )
        if task == "translate" and not engine.can_translate():
            raise errors.InvalidRequest(
                f"The model '{model.name}' knows English only and cannot translate.",
                param="model",
                code="unsupported_task",
            )
        if form.language is not None and not engine.knows(form.language):
            raise errors.InvalidRequest(
                f"The model '{model.name}' does not know '{form.language}': leave the language "
                "out to have it detected.",
                param="language",
                code="unsupported_language",
            )
        if isinstance(form, AudioForm) and form.wants_words() and not form.is_verbose():
            raise errors.InvalidRequest(
                "Word timestamps need response_format=verbose_json.",
                param="timestamp_granularities[]",
            )
        if form.wants_speakers():
            self._require_speakers()
        return form.options(task)

    def _require_speakers(self) -> None:
        """Raise InvalidRequest if speakers cannot be found, or not be shown as it is asked."""
        form = self.form
        asked = "speakers" if form.speakers else "response_format"
        if not self.service.finds_speakers:
            raise errors.InvalidRequest(
                "This server cannot find speakers: what does it could not be loaded, see its log."
                if self.service.diarizer
                else "This server does not find speakers: it needs --speakers at its start.",
                param=asked,
                code="no_speakers",
            )
        if not isinstance(form, AudioForm):
            return
        if form.stream:
            raise errors.InvalidRequest(
                "Speakers are known only at the end: leave out stream.", param="stream"
            )
        if form.response_format not in {"verbose_json", "diarized_json"}:
            raise errors.InvalidRequest(
                "Speakers need response_format=verbose_json or diarized_json.",
                param="response_format",
            )

    def files(self) -> list[UploadFile]:
        """Return the files, in order, at least one."""
        sent = self.data.getlist(self.file_field)
        files = [value for value in sent if isinstance(value, UploadFile)]
        if not files:
            raise errors.InvalidRequest(
                "No file was sent: upload the audio as multipart/form-data field "
                f"'{self.file_field}'.",
                param=self.file_field,
                code="missing_file",
            )
        return files

    async def transcribe(
        self,
        options: Options,
        on_progress: OnProgress | None = None,
        until: Callable[[], Coroutine[Any, Any, object]] | None = None,
    ) -> Transcription:
        """Transcribe the files as one recording; nothing reads them after this returns.

        Ends early when `until` returns, by default when the client has left. What fails in the
        server is logged.
        """
        sent = self.files()
        diarizer = self.service.diarizer if self.form.wants_speakers() else None
        track = SpeakerTrack(diarizer) if diarizer else None
        recording = Recording(
            [file.file for file in sent],
            self.service.settings.max_audio_seconds,
            self.file_field,
            self.form.track,
            [file.filename or "" for file in sent],
            track.add if track else None,
        )
        gone = until() if until else self._client_left()
        try:
            finish = partial(self._with_speakers, track) if track else None
            return await self.service.scheduler.run(recording, options, gone, on_progress, finish)
        except errors.ApiError:
            raise
        except Exception as error:
            logger.exception("A transcription failed")
            raise errors.ServerFault(
                "The transcription failed; the server's log says why."
            ) from error
        finally:
            self.warnings[:0] = recording.warnings
            recording.close()
            if track:
                track.close()

    async def _with_speakers(
        self, track: SpeakerTrack, found: Transcription, seconds_left: float | None
    ) -> Transcription:
        """Return the transcript with its speakers; as it is, and a warning, if finding fails."""
        started = time.monotonic()
        limit = longest_seconds(found.duration_seconds)
        try:
            async with asyncio.timeout(limit if seconds_left is None else min(limit, seconds_left)):
                speakers = await track.result()
            spoken = await asyncio.to_thread(with_speakers, found, speakers)
        except Exception as error:
            logger.exception("The speakers of a recording could not be found")
            self.warnings.append(f"the speakers could not be found ({type(error).__name__})")
            return found
        self.service.metrics.stage("speakers", time.monotonic() - started)
        return spoken

    async def _client_left(self) -> None:
        while (await self.request.receive())["type"] != "http.disconnect":
            pass

    def warn_in(self, response: Response) -> None:
        """Add a `Warning` (RFC 7234, section 5.5) for each ignored field, and each of `warnings`.

        MAX_WARNINGS at most: clients and proxies limit the size of headers.
        """
        sent = {name.partition("[")[0] for name, value in self.data.multi_items() if value}
        texts = [
            f"'{name}' was ignored: no Whisper model can do what it asks for"
            for name in UploadForm.ignored_fields
            if name in sent
        ]
        texts += self.warnings
        if len(texts) > MAX_WARNINGS:
            more = len(texts) - MAX_WARNINGS + 1
            texts[MAX_WARNINGS - 1 :] = [f"there are {more} more warnings, see the server's log"]
        for text in texts:
            response.headers.append("Warning", f'299 - "{text}"')


@asynccontextmanager
async def receive_upload(
    service: Service,
    request: Request,
    model: type[Form],
    file_field: str = "file",
    max_files: int = 1,
) -> AsyncIterator[Upload[Form]]:
    """Take a place in the queue, then read the body; release both when the context ends.

    Raises InvalidRequest that names the field that is wrong.
    """
    async with AsyncExitStack() as held:
        service.require_ready()
        held.enter_context(service.scheduler.place())
        data = await _read_form(request, service.settings.max_upload_mb, max_files)
        held.push_async_callback(data.close)
        yield Upload(service, request, data, checked_form(data, model), file_field, held)


async def _read_form(request: Request, max_mebibytes: int, max_files: int) -> FormData:
    content_type = request.headers.get("content-type", "")
    if not content_type.lower().startswith("multipart/form-data"):
        return FormData()  # nothing else holds a file: do not read it
    try:
        return await FormParser(_limited(request, max_mebibytes), max_files).read()
    except ClientDisconnect as error:
        raise errors.ClientGone("the client hung up while uploading") from error
    except OSError as error:
        if error.errno not in _FULL:
            raise
        logger.error("An upload cannot be stored: %s", error)
        message, retry_seconds, code = _FULL[error.errno]
        raise errors.Unavailable(message, retry_seconds, code=code) from error


def _limited(request: Request, max_mebibytes: int) -> Request:
    """Return the request; reading it raises TooLarge at any Content-Length.

    Raises UploadStalled when nothing arrives for `STALL_SECONDS`.
    """
    announced = request.headers.get("content-length", "")
    received = 0

    def check(count: int) -> None:
        if count > max_mebibytes * 1024 * 1024:
            raise errors.TooLarge(
                f"The request is larger than the {max_mebibytes} MiB that this server takes."
            )

    async def receive() -> Message:
        nonlocal received
        check(int(announced) if announced.isdecimal() else 0)
        try:
            async with asyncio.timeout(STALL_SECONDS):
                message = await request.receive()
        except TimeoutError:
            raise errors.UploadStalled(
                f"Nothing of the upload has arrived for {STALL_SECONDS:g} seconds."
            ) from None
        except asyncio.CancelledError:  # uvicorn's, to all that outlives the grace of a shutdown
            raise errors.ShuttingDown from None
        received += len(message.get("body", b""))
        check(received)
        return message

    return Request(request.scope, receive)
