"""OpenAI's audio endpoints."""

import asyncio
from contextlib import AsyncExitStack

from fastapi import APIRouter, Request, Response

from whisper_server import api_docs
from whisper_server.engines.base import Task, Transcription
from whisper_server.formats import render
from whisper_server.forms import AudioForm
from whisper_server.routes.streaming import stream_transcript
from whisper_server.routes.uploads import OnProgress, receive_upload
from whisper_server.service import Service


def router(service: Service) -> APIRouter:
    routes = APIRouter(prefix="/v1/audio", tags=["OpenAI"])

    @routes.post(
        "/transcriptions",
        summary="Transcribe a file",
        response_class=Response,
        responses=api_docs.transcript_responses(),
        openapi_extra=api_docs.form(AudioForm, "file", several=False),
    )
    async def transcriptions(request: Request) -> Response:
        """Return what is said in one file, in the language that it is said in.

        `verbose_json` brings segments (and words, when asked for), the language as a code and
        its probability. `temperature` 0 stands for Whisper's own ladder of temperatures.

        With `stream=true` segments are sent as they become ready. What is wrong with the request
        is still a plain 4xx; what goes wrong later is an event with an `error`.
        """
        return await _answer(service, request, "transcribe")

    @routes.post(
        "/translations",
        summary="Translate a file into English",
        response_class=Response,
        responses=api_docs.transcript_responses(),
        openapi_extra=api_docs.form(AudioForm, "file", several=False),
    )
    async def translations(request: Request) -> Response:
        """Return what is said in English; `language` in `verbose_json` is the spoken one."""
        return await _answer(service, request, "translate")

    return routes


async def _answer(service: Service, request: Request, task: Task) -> Response:
    async with AsyncExitStack() as held:
        receiving = receive_upload(service, request, AudioForm, "file")
        upload = await held.enter_async_context(receiving)
        form, options = upload.form, upload.options(task)
        if form.stream:
            held_by_stream = held.pop_all()

            async def work(on_progress: OnProgress) -> Transcription:
                async with held_by_stream:
                    return await upload.transcribe(options, on_progress)

            response: Response = await stream_transcript(work, form, service.metrics)
        else:
            found = await upload.transcribe(options)
            rendered = await asyncio.to_thread(render, found, form, task)
            response = Response(rendered.body, media_type=rendered.media_type)
    upload.warn_in(response)
    return response
