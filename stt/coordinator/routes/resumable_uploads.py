"""Resumable uploads: tus 1.0, with creation, expiration and termination (https://tus.io).

`DELETE /api/uploads/ID`, the termination, is a route of `uploads.py`.
"""

import base64
import time
from dataclasses import replace
from email.utils import formatdate
from typing import Annotated

from bson import ObjectId
from fastapi import APIRouter, Depends, Header, Query, Request, Response
from starlette.exceptions import HTTPException

from stt.coordinator.context import PEOPLE_ONLY, InCoordinator
from stt.coordinator.errors import BadRequest
from stt.coordinator.openapi import error_responses
from stt.coordinator.uploads.fields import UploadAddress, given
from stt.coordinator.uploads.processor import KEEP_SECONDS
from stt.coordinator.uploads.resumable import ResumableUploads
from stt.domain.field_types import HexId
from stt.store.ingest_options import IngestOptions

_VERSION = "1.0.0"
_PART = "application/offset+octet-stream"


async def _speak_tus(
    response: Response, tus_resumable: Annotated[str | None, Header()] = None
) -> None:
    """Refuse another version of the protocol with 412."""
    if tus_resumable != _VERSION:
        message = f"Tus-Resumable has to be {_VERSION}: this is for clients of tus."
        raise HTTPException(412, message, {"Tus-Version": _VERSION})
    response.headers["Tus-Resumable"] = _VERSION


async def _resumable_uploads(request: Request) -> ResumableUploads:
    return ResumableUploads(request.app.state.processor)


_Uploads = Annotated[ResumableUploads, Depends(_resumable_uploads)]
_Size = Annotated[int, Header(ge=0, le=2**63 - 1)]

router = APIRouter(tags=["uploads"], dependencies=[PEOPLE_ONLY])


@router.options("/api/uploads", status_code=204, summary="What of tus is spoken")
def tus_options(coordinator: InCoordinator, response: Response) -> None:
    """Return the version, the extensions and the largest upload as headers."""
    most = coordinator.options.max_upload_mb * 1024**2
    response.headers["Tus-Resumable"] = response.headers["Tus-Version"] = _VERSION
    response.headers["Tus-Extension"] = "creation,expiration,termination"
    response.headers["Tus-Max-Size"] = str(most)


@router.post(
    "/api/uploads",
    status_code=201,
    summary="Begin a resumable upload",
    dependencies=[Depends(_speak_tus)],
    responses=error_responses(412, 413, 507),
)
def begin_upload(
    coordinator: InCoordinator,
    uploads: _Uploads,
    address: Annotated[UploadAddress, Query()],
    response: Response,
    upload_length: _Size,
    upload_metadata: Annotated[str, Header(max_length=8_000)] = "",
) -> None:
    """Make a place for a file of `Upload-Length` bytes, whose path `Location` has.

    `Upload-Metadata` has its `filename`, as tus says. A file with the same `transfer`, or with the
    same name, size, `modified` and `fingerprint`, that is not whole yet goes on: `Location` is its
    path then. Without a fingerprint files of the same name, size and time are different ones.
    """
    settings = coordinator.options
    options = replace(IngestOptions.of_uploads(settings), **given(address))
    upload_id = uploads.begin(
        _filename(upload_metadata),
        upload_length,
        options,
        address.sent,
        max_bytes=settings.max_upload_mb * 1024**2,
    )
    response.headers["Location"] = f"/api/uploads/{upload_id}"
    response.headers["Upload-Expires"] = _expiry()


@router.head(
    "/api/uploads/{upload_id}",
    summary="How much of an upload has come",
    dependencies=[Depends(_speak_tus)],
    responses=error_responses(404, 409, 410, 412),
)
def upload_progress(uploads: _Uploads, response: Response, upload_id: HexId) -> None:
    """Return it as `Upload-Offset`: there the next PATCH goes on. The rest is in `/api/uploads`."""
    offset, size = uploads.progress(ObjectId(upload_id))
    response.headers["Upload-Offset"], response.headers["Upload-Length"] = str(offset), str(size)


@router.patch(
    "/api/uploads/{upload_id}",
    status_code=204,
    summary="Send a part of an upload",
    dependencies=[Depends(_speak_tus)],
    responses=error_responses(404, 408, 409, 410, 412, 413, 415, 423, 507),
    openapi_extra={
        "requestBody": {
            "required": True,
            "content": {_PART: {"schema": {"type": "string", "format": "binary"}}},
        }
    },
)
async def continue_upload(
    request: Request,
    uploads: _Uploads,
    response: Response,
    upload_id: HexId,
    upload_offset: _Size,
) -> None:
    """Write the body behind the bytes that have come; those stay when the connection breaks off.

    `Upload-Offset` says how many that are, else it is 409. With its last byte the upload is cut.
    """
    if request.headers.get("content-type") != _PART:
        raise HTTPException(415, f"Content-Type has to be {_PART}.")
    offset = await uploads.append(ObjectId(upload_id), upload_offset, request)
    response.headers["Upload-Offset"], response.headers["Upload-Expires"] = str(offset), _expiry()


def _filename(metadata: str) -> str:
    """Return the name that `Upload-Metadata` has in Base64. Raise BadRequest."""
    pairs = dict(pair.strip().partition(" ")[::2] for pair in metadata.split(","))
    try:
        name = base64.b64decode(pairs.get("filename", ""), validate=True).decode()
    except ValueError:  # also of Base64 and of UTF-8
        name = ""
    if not name:
        raise BadRequest("Upload-Metadata has no filename: `filename` and the name in Base64.")
    return name


def _expiry() -> str:
    return formatdate(time.time() + KEEP_SECONDS, usegmt=True)
