"""What the uploading endpoints share: multipart form → fields and files → transcription."""

import errno
import logging
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

from fastapi import Request
from pydantic import BaseModel, ValidationError
from starlette.datastructures import FormData, UploadFile
from starlette.requests import ClientDisconnect
from starlette.responses import Response

from whisper_server.engines.base import Options, Task, Transcription
from whisper_server.errors import (
    ApiError,
    ClientGone,
    InvalidRequest,
    ServerFault,
    Unavailable,
    UnknownModel,
)
from whisper_server.forms import AudioForm, UploadForm
from whisper_server.recording import Recording
from whisper_server.scheduler_state import Progress
from whisper_server.service import Service

FULL_DISK_RETRY_SECONDS = 60
FULL_TABLE_RETRY_SECONDS = 5
_NO_ROOM = {errno.ENOSPC, errno.EDQUOT}
_NO_HANDLES = {errno.EMFILE, errno.ENFILE}

Form = TypeVar("Form", bound=UploadForm)
OnProgress = Callable[[Progress], None]

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Upload:
    """A form that was read whole; large files lie on disk."""

    form: FormData

    def fields(self, model: type[Form]) -> Form:
        """The text fields as `model`; raises `InvalidRequest` that names the wrong one."""
        try:
            return model.model_validate(_field_values(self.form, model))
        except ValidationError as error:
            raise _invalid_field(error) from None

    def files(self, name: str) -> list[UploadFile]:
        """The files of one field, in order, at least one; raises `InvalidRequest`."""
        files = [value for value in self.form.getlist(name) if isinstance(value, UploadFile)]
        if not files:
            raise InvalidRequest(
                f"No file was sent: upload the audio as multipart/form-data field '{name}'.",
                param=name,
                code="missing_file",
            )
        return files

    def warn_in(self, response: Response) -> None:
        """A `Warning` (RFC 7234, section 5.5) for each field that was sent in vain."""
        sent = {name.partition("[")[0] for name, value in self.form.multi_items() if value}
        for name in UploadForm.ignored_fields:
            if name in sent:
                text = f"'{name}' was ignored: no Whisper model can do what it asks for"
                response.headers.append("Warning", f'299 - "{text}"')


@asynccontextmanager
async def receive_upload(
    service: Service, request: Request, most_files: int
) -> AsyncIterator[Upload]:
    """Take a place in the line, then read the body; both are given up when the context ends."""
    with service.place():
        form = await _read_form(request, most_files)
        try:
            yield Upload(form)
        finally:
            await form.close()


async def transcribe(
    service: Service,
    files: Sequence[UploadFile],
    options: Options,
    param: str,
    gone: Coroutine[Any, Any, None],
    on_progress: OnProgress | None = None,
) -> Transcription:
    """Raises `ApiError` only: what is wrong in here is told to the log.

    `gone` returns when nobody waits any more. The files are read until this ends, no longer.
    """
    limit_seconds = service.settings.max_audio_seconds
    recording = Recording([file.file for file in files], limit_seconds, param)
    try:
        return await service.scheduler.run(recording, options, gone, on_progress)
    except ApiError:
        raise
    except Exception as error:
        logger.exception("A transcription failed")
        raise ServerFault("The transcription failed; the server's log says why.") from error
    finally:
        recording.close()


def require_sense(service: Service, form: UploadForm, task: Task) -> None:
    """Raises `UnknownModel` or `InvalidRequest` for what this server cannot do with any file."""
    if form.model is not None and not service.model.answers_to(form.model):
        raise UnknownModel(
            f"The model '{form.model}' is not loaded; this server has '{service.model.name}'.",
            param="model",
        )
    if task == "translate" and not service.engine.can_translate():
        raise InvalidRequest(
            f"The model '{service.model.name}' knows English only and cannot translate.",
            param="model",
            code="unsupported_task",
        )
    if form.language is not None and not service.engine.knows(form.language):
        raise InvalidRequest(
            f"The model '{service.model.name}' does not know '{form.language}': leave the language "
            "out to have it detected.",
            param="language",
            code="unsupported_language",
        )
    if isinstance(form, AudioForm) and form.wants_words() and not form.is_verbose():
        raise InvalidRequest(
            "Word timestamps need response_format=verbose_json.",
            param="timestamp_granularities[]",
        )


async def hang_up(request: Request) -> None:
    """Returns when the client is gone; to be awaited once the body was read."""
    while (await request.receive())["type"] != "http.disconnect":
        pass


async def _read_form(request: Request, most_files: int) -> FormData:
    content_type = request.headers.get("content-type", "")
    if not content_type.lower().startswith("multipart/form-data"):
        return FormData()  # anything else could hold no file: do not read it
    try:
        return await request.form(max_files=most_files)
    except ClientDisconnect as error:
        raise ClientGone("the client hung up while uploading") from error
    except OSError as error:
        if error.errno in _NO_HANDLES:
            logger.error("There are too many open files for an upload: %s", error)
            raise Unavailable(
                "The server has too many files open: come back later, or send fewer at once.",
                FULL_TABLE_RETRY_SECONDS,
                code="too_many_files",
            ) from error
        if error.errno not in _NO_ROOM:
            raise
        logger.error("There is no room on the disk for an upload: %s", error)
        raise Unavailable(
            "The server has no room on its disk for the upload.",
            FULL_DISK_RETRY_SECONDS,
            code="disk_full",
        ) from error


def _field_values(form: FormData, model: type[BaseModel]) -> dict[str, Any]:
    """Lists for the fields called `name[]` (the brackets may be left out), else the last value."""
    values: dict[str, Any] = {}
    for field_name, field in model.model_fields.items():
        name = field.alias or field_name
        sent = [value for value in form.getlist(name) if isinstance(value, str) and value]
        if name.endswith("[]"):
            bare = form.getlist(field_name)
            sent += [value for value in bare if isinstance(value, str) and value]
        if sent:
            values[name] = sent if name.endswith("[]") else sent[-1]
    return values


def _invalid_field(error: ValidationError) -> InvalidRequest:
    first = error.errors(include_url=False, include_context=False, include_input=False)[0]
    name = str(first["loc"][0])
    reason = first["msg"].removeprefix("Value error, ")
    return InvalidRequest(f"Invalid '{name}': {reason}", param=name)
