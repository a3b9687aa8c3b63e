"""Recordings: which there are, how far they are, what was heard in them."""

import re
from datetime import datetime
from typing import Annotated, Literal

from bson import ObjectId
from fastapi import APIRouter, Query, Response
from pydantic import BaseModel, Field

from stt.coordinator.answers import refusals
from stt.coordinator.context import PEOPLE_ONLY, InCoordinator
from stt.coordinator.store.nodes import NodeRegistry
from stt.coordinator.store.uploads import UploadLog
from stt.remote.messages import Id
from stt.store import claims
from stt.store.database import Database
from stt.store.export import ChunkSpan, Contributor, Export, Line, UntranscribedSpan
from stt.store.ingest import IngestOptions
from stt.store.recordings import ListRequest, ListState, MongoRecordings, RecordingDetails

router = APIRouter(
    prefix="/api/recordings",
    tags=["recordings"],
    dependencies=[PEOPLE_ONLY],
    responses=refusals(401, 403, 422, 503),
)

_MAX_PRIORITY = 10**9
_FORMAT = re.compile("[A-Za-z0-9]{1,20}")

Text = Annotated[str, Field(max_length=10_000)]


class CountsOut(BaseModel):
    """Chunks by state."""

    pending: int = 0
    processing: int = 0
    transcribed: int = 0
    failed: int = 0


class RecordingOut(BaseModel):
    """`duration` and `chunk_count` are None while it is being cut; `start`: when it was recorded.
    `model`: what a person wants it transcribed with, None for whatever each worker uses."""

    id: Id
    filename: str
    duration: float | None
    start: datetime | None
    created_at: datetime | None
    is_ingesting: bool
    language: str | None
    prompt: str | None
    model: str | None
    priority: int
    counts: CountsOut
    chunk_count: int | None

    @classmethod
    def of(cls, stored: RecordingDetails) -> "RecordingOut":
        recording = stored.recording
        return cls(
            id=str(recording.id),
            filename=recording.filename,
            duration=recording.duration,
            start=recording.start,
            created_at=stored.created_at,
            is_ingesting=stored.is_ingesting,
            language=recording.language,
            prompt=recording.prompt,
            model=recording.model,
            priority=stored.priority,
            counts=CountsOut(**stored.counts),
            chunk_count=recording.chunk_count,
        )


class RecordingList(BaseModel):
    """`cursor` for the next page, None at the end; `total` on all pages together."""

    recordings: list[RecordingOut]
    cursor: Id | None
    total: int


class RecordingChange(BaseModel):
    """What is left out stays as it is; null takes a wish back."""

    priority: Annotated[int, Field(ge=-_MAX_PRIORITY, le=_MAX_PRIORITY)] = 0
    language: Text | None = None
    prompt: Text | None = None
    model: Text | None = None


class Again(BaseModel):
    """What is left out stays as it was; null leaves it to each worker."""

    model: Text | None = None
    language: Text | None = None


class AgainOut(BaseModel):
    chunks: int


class LineOut(BaseModel):
    """`start` and `end` in seconds of the recording; `chunk_start` is where the audio of that
    chunk begins. `speaker` is for later."""

    chunk_id: Id
    start: float
    end: float
    chunk_start: float
    text: str
    speaker: str | None = None

    @classmethod
    def of(cls, line: Line) -> "LineOut":
        heard = line.segment
        return cls(
            chunk_id=str(line.chunk_id),
            start=heard.start,
            end=heard.end,
            chunk_start=line.chunk_start,
            text=heard.text,
        )


class GapOut(BaseModel):
    """A stretch of the recording without words that can be shown.

    `state`: that of its chunks, or missing, cutting, unreadable.
    """

    start: float
    end: float
    state: str

    @classmethod
    def of(cls, gap: UntranscribedSpan) -> "GapOut":
        return cls(start=gap.start, end=gap.end, state=gap.state)


class ContributorOut(BaseModel):
    """Who transcribed how many chunks, with what."""

    worker: str | None
    node_name: str | None
    model: str | None
    server: str | None
    chunks: int

    @classmethod
    def of(cls, contributor: Contributor, node_names: dict[str, str]) -> "ContributorOut":
        node_id = (contributor.worker or "").rpartition("_")[0]
        return cls(
            worker=contributor.worker,
            node_name=node_names.get(node_id),
            model=contributor.model,
            server=contributor.server,
            chunks=contributor.chunks,
        )


class TranscriptOut(BaseModel):
    """A page of it; `gaps` are those within the page. `made_by` comes with the first page alone."""

    lines: list[LineOut]
    gaps: list[GapOut]
    is_partial: bool
    made_by: list[ContributorOut]
    cursor: str | None


class RecordingChunk(BaseModel):
    """A chunk's place in the recording, in seconds; its audio is at `/chunks/{id}.{format}`."""

    id: Id
    index: int
    offset: float
    duration: float
    format: str
    state: str

    @classmethod
    def of(cls, span: ChunkSpan) -> "RecordingChunk":
        format_ = span.format or ""
        return cls(
            id=str(span.id),
            index=span.index,
            offset=span.start,
            duration=span.end - span.start,
            format=format_ if _FORMAT.fullmatch(format_) else "bin",
            state=span.state,
        )


class RecordingChunks(BaseModel):
    chunks: list[RecordingChunk]


@router.get("", summary="Recordings, paged")
def recordings(
    coordinator: InCoordinator,
    search: Annotated[str, Query(max_length=500, description="A part of the file's name.")] = "",
    state: Annotated[
        ListState, Query(description="open: more to do; failed: a chunk is in quarantine.")
    ] = "all",
    cursor: Id | None = None,
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
    sort: Literal["new", "old"] = "new",
) -> RecordingList:
    """The newest first, unless `sort=old`."""
    after = None if cursor is None else ObjectId(cursor)
    request = ListRequest(search, state, after, limit, oldest_first=sort == "old")
    page = MongoRecordings(coordinator.database).page(request)
    return RecordingList(
        recordings=[RecordingOut.of(stored) for stored in page.recordings],
        cursor=None if page.cursor is None else str(page.cursor),
        total=page.total,
    )


@router.get("/{source_id}", summary="One recording", responses=refusals(404))
def recording(coordinator: InCoordinator, source_id: Id) -> RecordingOut:
    return _recording(coordinator.database, ObjectId(source_id))


@router.patch("/{source_id}", summary="Change what is wished for", responses=refusals(404))
def change_recording(
    coordinator: InCoordinator, source_id: Id, change: RecordingChange
) -> RecordingOut:
    """Holds for the chunks that are not transcribed yet."""
    fields = change.model_dump(include=change.model_fields_set)
    _change(coordinator.database, ObjectId(source_id), fields)
    return _recording(coordinator.database, ObjectId(source_id))


@router.post("/{source_id}/transcribe", summary="Transcribe it again", responses=refusals(404))
def transcribe_again(
    coordinator: InCoordinator, source_id: Id, again: Again | None = None
) -> AgainOut:
    """Every chunk is pending again, and what was heard before is gone."""
    fields = again.model_dump(include=again.model_fields_set) if again else {}
    # First the wish: a worker may take a chunk the moment that it is pending.
    _change(coordinator.database, ObjectId(source_id), fields)
    chunks = claims.reset(coordinator.database, recording_id=ObjectId(source_id))
    coordinator.watch.changed()
    return AgainOut(chunks=chunks)


@router.delete(
    "/{source_id}",
    status_code=204,
    response_class=Response,
    summary="Remove a recording",
    responses=refusals(404),
)
def remove_recording(coordinator: InCoordinator, source_id: Id) -> None:
    """With its chunks, its audio and what was heard, also while somebody works on it."""
    recordings = MongoRecordings(coordinator.database)
    stored = recordings.details(ObjectId(source_id))
    if stored.is_ingesting and stored.sha256 is not None:
        UploadLog(coordinator.database).cancel_all_of(stored.sha256)
    recordings.remove(ObjectId(source_id))
    coordinator.watch.changed()


@router.get("/{source_id}/transcript", summary="What was heard", responses=refusals(404))
def transcript(
    coordinator: InCoordinator,
    source_id: Id,
    cursor: Annotated[str | None, Query(pattern=r"^[0-9]{1,9}$")] = None,
    limit: Annotated[int, Query(ge=1, le=5_000)] = 500,
) -> TranscriptOut:
    """At least `limit` lines, up to the end of a chunk."""
    database = coordinator.database
    export = Export(database, MongoRecordings(database).get(ObjectId(source_id)))
    part = export.lines(int(cursor or 0), limit)
    contributors = export.contributors() if cursor is None else ()
    names = NodeRegistry(database).names() if contributors else {}
    return TranscriptOut(
        lines=[LineOut.of(line) for line in part.lines],
        gaps=[GapOut.of(gap) for gap in part.gaps],
        is_partial=export.header.is_partial,
        made_by=[ContributorOut.of(contributor, names) for contributor in contributors],
        cursor=None if part.next_index is None else str(part.next_index),
    )


@router.get("/{source_id}/chunks", summary="Its chunks, for a player", responses=refusals(404))
def recording_chunks(coordinator: InCoordinator, source_id: Id) -> RecordingChunks:
    """All of them, in order."""
    database = coordinator.database
    export = Export(database, MongoRecordings(database).get(ObjectId(source_id)))
    return RecordingChunks(chunks=[RecordingChunk.of(span) for span in export.spans])


def _recording(database: Database, source_id: ObjectId) -> RecordingOut:
    return RecordingOut.of(MongoRecordings(database).details(source_id))


def _change(database: Database, source_id: ObjectId, fields: dict[str, object]) -> None:
    """Raises ConfigError for a wish that can be none, NotFound for no such recording."""
    for name in ("language", "prompt", "model"):
        if name in fields:
            fields[name] = fields[name] or None
    checked = {name: fields[name] for name in ("language", "prompt", "model") if name in fields}
    IngestOptions(**checked)  # type: ignore[arg-type]
    recordings = MongoRecordings(database)
    recordings.get(source_id)
    if fields:
        recordings.change(source_id, fields)
