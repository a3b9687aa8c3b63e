"""`/transcribe`: several files as one recording."""

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse

from whisper_server.routes.uploads import form_docs, read_upload, require_model, transcribe
from whisper_server.schemas import RecordingForm, RecordingOut, options_of
from whisper_server.service import Service

MOST_FILES = 1000


def router(service: Service) -> APIRouter:
    routes = APIRouter(tags=["Recordings"])

    @routes.post(
        "/transcribe",
        response_model=RecordingOut,
        openapi_extra=form_docs(RecordingForm, "files", several=True),
    )
    async def recordings(request: Request) -> JSONResponse:
        """Transcribe `files`, in the order sent, as one recording.

        Times are seconds from the start of the first file. `top_language_probs` holds up to five
        pairs of language code and probability, the likeliest first.
        """
        with service.place():
            async with read_upload(request, MOST_FILES) as upload:
                form = upload.fields(RecordingForm)
                require_model(service, form.model)
                options = options_of(form, "transcribe")
                files = upload.files("files")
                found = await transcribe(service, request, files, options, "files")
        body = RecordingOut.of(found, words=form.word_timestamps)
        return JSONResponse(body.model_dump(exclude_none=True))

    return routes
