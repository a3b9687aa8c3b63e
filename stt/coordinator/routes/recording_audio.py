"""The audio of a whole recording, joined from that of its chunks."""

from collections.abc import Iterator
from itertools import chain
from typing import Annotated

from fastapi import APIRouter, Query
from fastapi.responses import StreamingResponse

from stt.coordinator.context import PEOPLE_ONLY, InCoordinator
from stt.coordinator.downloads import content_disposition
from stt.coordinator.openapi import error_responses
from stt.domain.chunk import Chunk
from stt.domain.field_types import HexId
from stt.errors import NotFound
from stt.store.spans import read_spans
from stt.transcripts.files import file_name

router = APIRouter(prefix="/api/recordings", tags=["recordings"], dependencies=[PEOPLE_ONLY])


@router.get(
    "/{source_id}/audio",
    summary="Its audio, as one file",
    response_class=StreamingResponse,
    responses={
        200: {"description": "Chained Ogg Opus (RFC 7845).", "content": {"audio/ogg": {}}},
        **error_responses(404, 409),
    },
)
def recording_audio(
    coordinator: InCoordinator,
    source_id: HexId,
    channel: Annotated[
        int | None,
        Query(ge=1, le=1_000, description="Where channels were cut one by one; else the first."),
    ] = None,
) -> StreamingResponse:
    """Send what is kept of it, mono: without what was removed, or came from another program."""
    recording = coordinator.recordings.get(source_id)
    spans = [
        span
        for span in read_spans(coordinator.database, recording.id)
        if span.has_audio and span.format == "opus"
    ]
    wanted = channel or min((span.channel or 0 for span in spans), default=0)
    kept = [span.id for span in spans if (span.channel or 0) == wanted]
    if not kept:
        raise NotFound(f"No audio of recording {source_id} is kept")

    def blocks() -> Iterator[bytes]:
        for chunk_id in kept:
            yield coordinator.recordings.audio(Chunk(chunk_id, None, 0))

    pieces = blocks()
    first = next(pieces)  # what is wrong must show before the 200 is sent
    disposition = content_disposition(file_name(recording, "opus"), "attachment")
    headers = {"Content-Disposition": disposition, "Cache-Control": "private, no-store"}
    return StreamingResponse(chain([first], pieces), headers=headers, media_type="audio/ogg")
