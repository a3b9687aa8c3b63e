"""The audio of single chunks, for the node that has a claim on one and for people's players."""

import logging
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, Literal

from bson import ObjectId
from fastapi import APIRouter, Header, Path, Response

from stt.coordinator.authenticator import Principal
from stt.coordinator.context import Coordinator, CurrentPrincipal, InCoordinator
from stt.coordinator.openapi import error_responses
from stt.coordinator.store.listing import format_of
from stt.domain.chunk import Chunk
from stt.domain.claim import Step
from stt.domain.node import Node
from stt.errors import AudioStoreRefused, AudioStoreUnavailable, ClaimLost, NotFound
from stt.store.claim_queries import is_held_by

logger = logging.getLogger(__name__)

router = APIRouter(tags=["chunks"], responses=error_responses(404, 409))

# Any other format is sent as plain bytes, which a browser does not interpret.
_MEDIA_TYPES = {
    "opus": "audio/ogg", "ogg": "audio/ogg", "oga": "audio/ogg", "mp3": "audio/mpeg",
    "wav": "audio/wav", "flac": "audio/flac", "m4a": "audio/mp4", "mp4": "audio/mp4",
    "webm": "audio/webm",
}  # fmt: skip
ChunkFile = Annotated[str, Path(pattern=r"^[0-9a-f]{24}\.[A-Za-z0-9]{1,20}$")]
_RANGE = re.compile(r"bytes=(\d*)-(\d*)")


@router.get(
    "/chunks/{filename}",
    summary="The audio of a chunk",
    response_class=Response,
    responses={
        200: {"content": {"audio/*": {}}, "description": "All of it."},
        206: {"content": {"audio/*": {}}, "description": "The range that was asked for."},
        **error_responses(416),
    },
)
def audio(
    coordinator: InCoordinator,
    principal: CurrentPrincipal,
    filename: ChunkFile,
    range_: Annotated[str | None, Header(alias="Range")] = None,
) -> Response:
    """One range at a time (RFC 9110); a node reads only what it has a claim on."""
    chunk_id = _readable(coordinator, principal, filename)
    format_ = format_of(coordinator.database, chunk_id)
    with _logged():
        data = coordinator.recordings.audio(Chunk(chunk_id, None, 0))
    headers = {
        "Accept-Ranges": "bytes",
        "Cache-Control": "private, no-store",
        "Content-Disposition": "inline",
    }
    media_type = _MEDIA_TYPES.get(format_ or "", "application/octet-stream")
    span = _span(range_, len(data))
    if span is None:
        return Response(data, media_type=media_type, headers=headers)
    first, last = span
    if first > last:
        return Response(status_code=416, headers={"Content-Range": f"bytes */{len(data)}"})
    headers["Content-Range"] = f"bytes {first}-{last}/{len(data)}"
    return Response(data[first : last + 1], 206, headers, media_type)


@router.get(
    "/chunks/{filename}/{side}",
    summary="The audio beside a chunk",
    response_class=Response,
    responses={
        200: {"content": {"application/octet-stream": {}}, "description": "All of it."},
    },
)
def neighbour(
    coordinator: InCoordinator,
    principal: CurrentPrincipal,
    filename: ChunkFile,
    side: Literal["before", "after"],
) -> Response:
    """For the node that has a claim on the chunk: a word at its border may be cut in two."""
    chunk_id = _readable(coordinator, principal, filename)
    step: Step = -1 if side == "before" else 1
    with _logged():
        data = coordinator.recordings.neighbour_audio(Chunk(chunk_id, None, 0), step)
    if data is None:
        raise NotFound(f"There is no audio {side} chunk {chunk_id} that may go with it")
    return Response(
        data, media_type="application/octet-stream", headers={"Cache-Control": "private, no-store"}
    )


@contextmanager
def _logged() -> Iterator[None]:
    """Log what is wrong with S3, which the caller cannot mend."""
    try:
        yield
    except (AudioStoreUnavailable, AudioStoreRefused) as error:
        logger.warning("%s", error)
        raise


def _readable(coordinator: Coordinator, principal: Principal, filename: str) -> ObjectId:
    """Return the chunk's id; raise ClaimLost for a node that has no claim on it."""
    chunk_id = ObjectId(filename.partition(".")[0])
    if isinstance(principal, Node) and not is_held_by(coordinator.database, chunk_id, principal.id):
        raise ClaimLost(f"Node {principal.id} holds no claim on chunk {chunk_id}")
    return chunk_id


def _span(range_: str | None, size: int) -> tuple[int, int] | None:
    """Return the first and last byte, the last before the first if there are none.

    None for the whole: a header that is no single range of bytes is ignored (RFC 9110).
    """
    match = _RANGE.fullmatch(range_.strip()) if range_ else None
    if match is None or match[0] == "bytes=-":
        return None
    first, last = match[1][:20], match[2][:20]
    if not first:
        return max(0, size - int(last)), size - 1
    if last and int(last) < int(first):
        return None
    return int(first), min(int(last or size), size - 1)
