"""`/transcribe`: several files as one recording."""

import asyncio

from fastapi import APIRouter, Request, Response

from whisper_server import api_docs
from whisper_server.engines.base import Transcription
from whisper_server.formats import JSON_TYPE, as_json
from whisper_server.forms import RecordingForm
from whisper_server.routes.uploads import receive_upload
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
        async with receive_upload(service, request, RecordingForm, "files", MAX_FILES) as upload:
            found = await upload.transcribe(upload.options("transcribe"))
        body = await asyncio.to_thread(_body, found, upload.form)
        response = Response(body, media_type=JSON_TYPE)
        upload.warn_in(response)
        return response

    return routes


def _body(found: Transcription, form: RecordingForm) -> str:
    return as_json(RecordingOut.of(found, words=form.wants_words()))
