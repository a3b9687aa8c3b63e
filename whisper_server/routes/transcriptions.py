"""OpenAI's audio endpoints, and `/transcribe`: several files as one recording."""

import asyncio
from typing import Any

from fastapi import APIRouter, Request, Response

from whisper_server import api_docs
from whisper_server.engines.base import Task, Transcription
from whisper_server.formats import render
from whisper_server.forms import AudioForm, RecordingForm
from whisper_server.model_service import Service
from whisper_server.routes.streaming import stream_transcript
from whisper_server.routes.uploads import Upload, receive_upload
from whisper_server.scheduler_state import OnProgress
from whisper_server.schemas import RecordingOut

MAX_FILES = 1000

_OPENAI: dict[str, Any] = {
    "tags": ["OpenAI"],
    "response_class": Response,
    "responses": api_docs.TRANSCRIPT,
    "openapi_extra": api_docs.form(AudioForm),
}


def router(service: Service) -> APIRouter:
    routes = APIRouter()

    @routes.post("/v1/audio/transcriptions", summary="Transcribe a file", **_OPENAI)
    async def transcriptions(request: Request) -> Response:
        """Return what is said in one file, in the language that it is said in.

        `verbose_json` brings segments (and words, when asked for), the language as a code and
        its probability. `temperature` 0 stands for Whisper's own ladder of temperatures.

        A `Warning` header says which of several audio tracks was taken, and what is lost of a
        truncated or damaged file.

        With `stream=true` segments are sent as they become ready. What is wrong with the request
        is still a plain 4xx; what goes wrong later is an event with an `error`.
        """
        async with receive_upload(service, request, AudioForm) as upload:
            return await _answer(upload, "transcribe")

    @routes.post("/v1/audio/translations", summary="Translate a file into English", **_OPENAI)
    async def translations(request: Request) -> Response:
        """Return what is said in English; `language` in `verbose_json` is the spoken one."""
        async with receive_upload(service, request, AudioForm) as upload:
            return await _answer(upload, "translate")

    @routes.post(
        "/transcribe",
        tags=["Recordings"],
        summary="Transcribe several files as one recording",
        response_model=RecordingOut,
        responses=api_docs.RECORDING,
        openapi_extra=api_docs.form(RecordingForm, "files"),
    )
    async def recordings(request: Request) -> Response:
        """Transcribe `files`, in the order sent, as one recording.

        Times are seconds from the start of the first file. `top_language_probs` holds up to five
        pairs of language code and probability, the likeliest first.
        """
        async with receive_upload(service, request, RecordingForm, "files", MAX_FILES) as upload:
            return await _answer(upload, upload.form.task)

    return routes


async def _answer(upload: Upload[AudioForm] | Upload[RecordingForm], task: Task) -> Response:
    form, options = upload.form, upload.options(task)
    if isinstance(form, AudioForm) and form.stream:
        held = upload.keep()

        async def work(on_progress: OnProgress) -> Transcription:
            async with held:
                return await upload.transcribe(options, on_progress)

        response: Response = await stream_transcript(
            work, form, upload.service.metrics, upload.warnings
        )
    else:
        found = await upload.transcribe(options)
        response = await asyncio.to_thread(render, found, form, task)
    upload.warn_in(response)
    return response
