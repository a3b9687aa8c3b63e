"""`/transcribe`: several files as one recording."""

import asyncio

from fastapi import APIRouter, Request, Response

from whisper_server import api_docs
from whisper_server.engines.base import Transcription
from whisper_server.formats import JSON_TYPE, as_json
from whisper_server.forms import RecordingForm
from whisper_server.routes.uploads import hang_up, receive_upload, require_sense, transcribe
from whisper_server.schemas import RecordingOut
from whisper_server.service import Service

MAX_FILES = 1000


def router(service: Service) -> APIRouter:
    routes = APIRouter(tags=["Recordings"])

    @routes.post(
        "/transcribe",
        summary="Transcribe several files as one recording",
        response_model=RecordingOut,
        responses=api_docs.recording_responses(),
        openapi_extra=api_docs.form(RecordingForm, "files", several=True),
    )
    async def recordings(request: Request) -> Response:
        """Transcribe `files`, in the order sent, as one recording.

        Times are seconds from the start of the first file. `top_language_probs` holds up to five
        pairs of language code and probability, the likeliest first.
        """
        async with receive_upload(service, request, MAX_FILES) as upload:
            form = upload.fields(RecordingForm)
            require_sense(service, form, "transcribe")
            files, options = upload.files("files"), form.options("transcribe")
            found = await transcribe(service, files, options, "files", hang_up(request))
        body = await asyncio.to_thread(_body, found, form)
        response = Response(body, media_type=JSON_TYPE)
        upload.warn_in(response)
        return response

    return routes


def _body(found: Transcription, form: RecordingForm) -> str:
    return as_json(RecordingOut.of(found, words=form.wants_words()))
