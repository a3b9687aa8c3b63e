"""Uploads of recordings, and their progress until they are in the queue."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated, Any

from fastapi import APIRouter, FastAPI, Query, Request
from starlette.concurrency import run_in_threadpool

from stt.coordinator.context import PEOPLE_ONLY, Coordinator, InCoordinator
from stt.coordinator.openapi import error_responses
from stt.coordinator.store.uploads import UploadList
from stt.coordinator.uploads.fields import UploadAddress, UploadFields
from stt.coordinator.uploads.form import MAX_FILES, UploadFormReader
from stt.coordinator.uploads.processor import UploadProcessor
from stt.domain.field_types import HexId


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    coordinator: Coordinator = app.state.coordinator
    folder = coordinator.settings.data_dir / "uploads"
    processor = await run_in_threadpool(UploadProcessor, coordinator.database, folder)
    app.state.processor = processor
    processor.start()
    try:
        yield
    finally:
        await run_in_threadpool(processor.stop)


_MAX_SHOWN = 50


class ReceivedUploads(UploadList):
    """The files of a form; each of `warnings` is one sentence."""

    warnings: list[str]


router = APIRouter(
    tags=["uploads"],
    dependencies=[PEOPLE_ONLY],
    lifespan=_lifespan,
)

_FIELDS = {
    name: next(kind for kind in field["anyOf"] if kind.get("type") != "null")
    for name, field in UploadFields.model_json_schema()["properties"].items()
}
_FILES = {"type": "array", "items": {"type": "string", "format": "binary"}, "maxItems": MAX_FILES}
_FORM: dict[str, Any] = {
    "type": "object",
    "properties": _FIELDS | {"file": _FILES},
    "required": ["file"],
}


@router.post(
    "/upload",
    status_code=202,
    summary="Send recordings",
    responses=error_responses(400, 408, 410, 413, 507),
    openapi_extra={
        "requestBody": {"required": True, "content": {"multipart/form-data": {"schema": _FORM}}}
    },
)
async def upload(
    request: Request,
    coordinator: InCoordinator,
    address: Annotated[UploadAddress, Query()],
) -> ReceivedUploads:
    """Receive one file or several, in any form field, and cut them into chunks in the background.

    What is given in the address is for all files. A field of the form is for the files behind it,
    and for those before it that have none of its name; so a single file may stand before its
    fields. `warnings` name fields that mean nothing here. `/api/uploads` has the progress. The
    same file again is found, not stored twice. Files are independent: those that were whole before
    an error are taken.
    """
    options = await run_in_threadpool(lambda: coordinator.options)
    reader = UploadFormReader(request.app.state.processor, options, address)
    await reader.read(request)
    known_here = UploadAddress.model_fields
    unknown = [name for name in request.query_params if name not in known_here]
    unknown += reader.ignored
    known = ", ".join(UploadFields.model_fields)
    return ReceivedUploads(
        uploads=reader.uploads,
        warnings=[
            f"The field {name[:_MAX_SHOWN]!r} is ignored: the fields are {known}."
            for name in dict.fromkeys(unknown)
        ],
    )


@router.get("/api/uploads", summary="The latest hundred uploads")
def uploads(coordinator: InCoordinator) -> UploadList:
    """List the newest first; one that has ended is removed after a week."""
    return UploadList(uploads=coordinator.uploads.latest())


@router.delete(
    "/api/uploads/{upload_id}",
    status_code=204,
    summary="Cancel or forget an upload",
    responses=error_responses(404),
)
def forget_upload(coordinator: InCoordinator, upload_id: HexId) -> None:
    """Break off an upload that is being received or cut, and remove what is there of it.

    One that has ended is taken off the list, and its recording stays.
    """
    coordinator.uploads.cancel(upload_id)
