"""Transcripts: page by page for a player, and as files."""

from collections.abc import Iterable, Iterator
from dataclasses import replace
from io import StringIO
from itertools import chain
from typing import Annotated, Literal

from fastapi import APIRouter, Path, Query
from fastapi.responses import StreamingResponse

from stt.coordinator.context import PEOPLE_ONLY, InCoordinator
from stt.coordinator.downloads import content_disposition
from stt.coordinator.errors import Unprocessable
from stt.coordinator.openapi import error_responses
from stt.coordinator.schemas.recordings import RecordingChunks, SegmentEdit, TranscriptOut
from stt.domain.field_types import HexId
from stt.domain.worker_id import WorkerId
from stt.errors import DatabaseUnavailable, SttError
from stt.store.edits import EditedText, edit_segment
from stt.store.export import Export
from stt.transcripts.cue_splitting import DEFAULT_LIMITS, CueLimits
from stt.transcripts.files import file_name

router = APIRouter(dependencies=[PEOPLE_ONLY], responses=error_responses(404))

_BLOCK_CHARACTERS = 64 * 1024
_MEDIA_TYPES = {
    "json": "application/json",
    "txt": "text/plain; charset=utf-8",
    "srt": "application/x-subrip; charset=utf-8",
    "vtt": "text/vtt; charset=utf-8",
    "tsv": "text/tab-separated-values; charset=utf-8",
}


@router.get(
    "/api/recordings/{source_id}/transcript", tags=["recordings"], summary="The transcript, paged"
)
def transcript(
    coordinator: InCoordinator,
    source_id: HexId,
    cursor: Annotated[str | None, Query(pattern=r"^[0-9]{1,9}$")] = None,
    limit: Annotated[int, Query(ge=1, le=5_000)] = 500,
) -> TranscriptOut:
    """At least `limit` lines, up to the end of a chunk."""
    export = Export(coordinator.database, coordinator.recordings.get(source_id))
    part = export.lines(int(cursor or 0), limit)
    contributors = export.contributors() if cursor is None else ()
    names = coordinator.registry.names() if contributors else {}
    return TranscriptOut(
        lines=part.lines,
        gaps=part.gaps,
        is_partial=export.header.is_partial,
        made_by=[
            replace(one, node_name=names.get(WorkerId(one.worker or "").owner))
            for one in contributors
        ],
        cursor=None if part.next_index is None else str(part.next_index),
    )


@router.get(
    "/api/recordings/{source_id}/chunks", tags=["recordings"], summary="Its chunks, for a player"
)
def recording_chunks(coordinator: InCoordinator, source_id: HexId) -> RecordingChunks:
    """All of them, in order."""
    export = Export(coordinator.database, coordinator.recordings.get(source_id))
    return RecordingChunks(chunks=export.spans)


@router.patch(
    "/api/chunks/{chunk_id}/segments/{number}",
    tags=["recordings"],
    summary="Edit a line of a transcript",
    responses=error_responses(404, 409),
)
def edit_line(
    coordinator: InCoordinator,
    chunk_id: HexId,
    number: Annotated[int, Path(ge=0, le=100_000)],
    edit: SegmentEdit,
) -> EditedText:
    """Answer 409 if the line is not what it was: nothing is overwritten unseen.

    What the model wrote is kept; to send it as `text` takes the edit back.
    """
    return edit_segment(coordinator.database, chunk_id, number, edit.text, before=edit.text_before)


@router.get(
    "/results/{source_id}",
    tags=["results"],
    summary="The transcript of a recording",
    response_class=StreamingResponse,
    responses={
        200: {
            "description": "The transcript; `X-Transcript-Partial` says whether any is missing.",
            "content": {media_type: {} for media_type in _MEDIA_TYPES.values()},
        },
    },
)
def result(
    coordinator: InCoordinator,
    source_id: HexId,
    format_name: Annotated[
        Literal["json", "txt", "srt", "vtt", "tsv"], Query(alias="format")
    ] = "txt",
    download: Annotated[bool, Query(description="To be saved rather than shown.")] = False,
    max_line_width: Annotated[
        int, Query(ge=0, le=1_000, description="Of srt and vtt: cells in a line; 0: no limit.")
    ] = DEFAULT_LIMITS.max_line_width,
    max_lines: Annotated[
        int, Query(ge=0, le=1_000, description="Of srt and vtt: lines in a cue; 0: no limit.")
    ] = DEFAULT_LIMITS.max_lines,
    max_cue_seconds: Annotated[
        float, Query(ge=0, le=3_600, description="Of srt and vtt: the longest cue; 0: no limit.")
    ] = DEFAULT_LIMITS.max_cue_seconds,
) -> StreamingResponse:
    """Mark a partial one as such, in its own format and in the header."""
    recording = coordinator.recordings.get(source_id)
    export = Export(coordinator.database, recording)
    limits = CueLimits(max_line_width, max_lines, max_cue_seconds)
    blocks = _blocks(export.pieces(format_name, limits))
    try:
        first = next(blocks, b"")  # an unreadable transcript must show before the 200 is sent
    except DatabaseUnavailable:
        raise
    except SttError as error:
        raise Unprocessable(str(error)) from error
    name = file_name(recording, format_name)
    headers = {
        "X-Transcript-Partial": "true" if export.header.is_partial else "false",
        "Content-Disposition": content_disposition(name, "attachment" if download else "inline"),
    }
    return StreamingResponse(
        chain([first], blocks), headers=headers, media_type=_MEDIA_TYPES[format_name]
    )


def _blocks(pieces: Iterable[str]) -> Iterator[bytes]:
    """Join pieces to larger blocks: sending each one costs a switch of threads."""
    block = StringIO()
    for piece in pieces:
        block.write(piece)
        if block.tell() >= _BLOCK_CHARACTERS:
            yield block.getvalue().encode("utf-8", "replace")
            block = StringIO()
    yield block.getvalue().encode("utf-8", "replace")
