"""OpenAI's audio endpoints."""

from collections.abc import Callable

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse, PlainTextResponse

from whisper_server import formats
from whisper_server.engines.base import Task, Transcription
from whisper_server.errors import InvalidRequest
from whisper_server.routes.uploads import form_docs, read_upload, require_model, transcribe
from whisper_server.schemas import TranscriptionForm, TranslationForm, VerboseOut, options_of
from whisper_server.service import Service

_FORMATTERS: dict[str, Callable[[Transcription], Response]] = {
    "json": lambda found: JSONResponse({"text": found.text}),
    "text": lambda found: PlainTextResponse(formats.as_text(found)),
    "srt": lambda found: PlainTextResponse(formats.as_srt(found.segments)),
    "vtt": lambda found: Response(
        formats.as_vtt(found.segments), media_type="text/vtt; charset=utf-8"
    ),
}


def router(service: Service) -> APIRouter:
    routes = APIRouter(prefix="/v1/audio", tags=["OpenAI"])

    @routes.post(
        "/transcriptions",
        response_class=Response,
        openapi_extra=form_docs(TranscriptionForm, "file", several=False),
    )
    async def transcriptions(request: Request) -> Response:
        """Transcribe one file.

        `verbose_json` brings segments (and words, when asked for), the language as a code and
        its probability. `temperature` 0 stands for Whisper's own ladder of temperatures.
        """
        return await _answer(service, request, "transcribe", TranscriptionForm)

    @routes.post(
        "/translations",
        response_class=Response,
        openapi_extra=form_docs(TranslationForm, "file", several=False),
    )
    async def translations(request: Request) -> Response:
        """Translate one file into English; `language` in `verbose_json` is the spoken one."""
        return await _answer(service, request, "translate", TranslationForm)

    return routes


async def _answer(
    service: Service, request: Request, task: Task, form_model: type[TranslationForm]
) -> Response:
    with service.place():
        async with read_upload(request, most_files=1) as upload:
            form = upload.fields(form_model)
            _require_words_fit(form)
            require_model(service, form.model)
            files = upload.files("file")
            found = await transcribe(service, request, files, options_of(form, task), "file")
    if form.response_format == "verbose_json":
        body = VerboseOut.of(task, found, form.granularities())
        return JSONResponse(body.model_dump(exclude_none=True))
    return _FORMATTERS[form.response_format](found)


def _require_words_fit(form: TranslationForm) -> None:
    if "word" in form.granularities() and form.response_format != "verbose_json":
        raise InvalidRequest(
            "Word timestamps need response_format=verbose_json.",
            param="timestamp_granularities[]",
        )
