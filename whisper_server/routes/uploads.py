"""What the uploading endpoints share: multipart form → fields and files → transcription."""

import logging
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

from fastapi import Request
from pydantic import BaseModel, ValidationError
from starlette.datastructures import FormData, UploadFile
from starlette.requests import ClientDisconnect

from whisper_server import audio
from whisper_server.engines.base import Options, ShouldStop, Transcription
from whisper_server.errors import (
    ClientGone,
    EngineFailed,
    InvalidRequest,
    ServerFault,
    UnknownModel,
)
from whisper_server.service import Service

Form = TypeVar("Form", bound=BaseModel)

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


@asynccontextmanager
async def read_upload(request: Request, most_files: int) -> AsyncIterator[Upload]:
    """Read the body; its files are gone when the context ends."""
    content_type = request.headers.get("content-type", "")
    if not content_type.lower().startswith("multipart/form-data"):
        yield Upload(FormData())  # anything else could hold no file: do not read it
        return
    try:
        form = await request.form(max_files=most_files)
    except ClientDisconnect as error:
        raise ClientGone("the client hung up while uploading") from error
    try:
        yield Upload(form)
    finally:
        await form.close()


async def transcribe(
    service: Service, request: Request, files: Sequence[UploadFile], options: Options, param: str
) -> Transcription:
    """Decode and transcribe in one of the worker threads, as soon as one is free.

    Decoding waits for its turn like the rest, so that no more recordings are held as samples
    than there are workers.
    """
    if options.task == "translate" and not service.engine.can_translate():
        raise InvalidRequest(
            f"The model '{service.model.name}' knows English only and cannot translate.",
            param="model",
            code="unsupported_task",
        )

    def work(should_stop: ShouldStop) -> Transcription:
        limit = service.settings.max_audio_seconds
        samples = audio.decode([file.file for file in files], limit, param, should_stop)
        return service.engine.transcribe(samples, options, should_stop)

    try:
        return await service.scheduler.run(work, _hang_up(request))
    except EngineFailed as error:
        logger.exception("A transcription failed")
        raise ServerFault("The engine failed; the server's log says why.") from error


def require_model(service: Service, name: str | None) -> None:
    """Raises `UnknownModel` unless `name` is the loaded model or left out."""
    if name is not None and not service.model.answers_to(name):
        raise UnknownModel(
            f"The model '{name}' is not loaded; this server has '{service.model.name}'.",
            param="model",
        )


def form_docs(model: type[BaseModel], file_field: str, *, several: bool) -> dict[str, Any]:
    """OpenAPI's requestBody for a form that is read by hand."""
    schema = model.model_json_schema()
    file: dict[str, Any] = {"type": "string", "format": "binary"}
    schema["properties"] = {
        file_field: {"type": "array", "items": file} if several else file,
        **schema["properties"],
    }
    schema["required"] = [file_field]
    content = {"multipart/form-data": {"schema": schema}}
    return {"requestBody": {"required": True, "content": content}}


async def _hang_up(request: Request) -> None:
    """Returns when the client is gone; to be awaited once the body was read."""
    while (await request.receive())["type"] != "http.disconnect":
        pass


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
