"""Recordings, their chunks and their transcripts."""

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Self

from pydantic import BaseModel, Field

from stt.coordinator.schemas.base import ChunkCounts, Priority, Schema, extension_of, merging
from stt.domain.fields import HexId
from stt.domain.worker_id import WorkerId
from stt.store.export import ChunkSpan, Contributor, UntranscribedSpan

Text = Annotated[str, Field(max_length=10_000)]


class RecordingOut(Schema):
    """`duration` (seconds) and `chunk_count` are null while the recording is being cut.

    `start`: when it was recorded. `model`: null for whichever each worker uses.
    """

    model_config = merging("recording")

    id: HexId
    filename: str
    duration: float | None
    start: datetime | None
    created_at: datetime | None
    is_ingesting: bool
    language: str | None
    prompt: str | None
    model: str | None
    priority: int
    counts: ChunkCounts
    chunk_count: int | None


class RecordingList(Schema):
    """`cursor` for the next page, null at the end; `total` on all pages together."""

    recordings: list[RecordingOut]
    cursor: HexId | None
    total: int


class RecordingChange(BaseModel):
    """Fields left out stay as they are; null resets one to its default."""

    priority: Priority = 0
    language: Text | None = None
    prompt: Text | None = None
    model: Text | None = None


class RetranscriptionRequest(BaseModel):
    """Fields left out stay as they were; null leaves the choice to each worker."""

    model: Text | None = None
    language: Text | None = None


class LineOut(Schema):
    """A segment; `start` and `end` in seconds of the recording.

    `chunk_start`: where the audio of its chunk begins. `speaker` is reserved.
    """

    model_config = merging("segment")

    chunk_id: HexId
    start: float
    end: float
    chunk_start: float
    text: str
    speaker: str | None = None


class ContributorOut(Schema):
    """A worker, model and server, and how many chunks they transcribed."""

    worker: str | None
    node_name: str | None = None
    model: str | None
    server: str | None
    chunks: int

    @classmethod
    def of(cls, contributor: Contributor, node_names: Mapping[str, str]) -> Self:
        out = cls.model_validate(contributor)
        out.node_name = node_names.get(WorkerId(contributor.worker or "").owner)
        return out


class TranscriptOut(BaseModel):
    """A page of a transcript; `gaps` are those within the page.

    `made_by` is filled on the first page only.
    """

    lines: list[LineOut]
    gaps: list[UntranscribedSpan]
    is_partial: bool
    made_by: list[ContributorOut]
    cursor: str | None


class RecordingChunk(BaseModel):
    """A chunk's place in the recording, in seconds; its audio is at `/chunks/{id}.{format}`."""

    id: HexId
    index: int
    offset: float
    duration: float
    format: str
    state: str

    @classmethod
    def of(cls, span: ChunkSpan) -> Self:
        return cls(
            id=span.id,
            index=span.index,
            offset=span.start,
            duration=span.end - span.start,
            format=extension_of(span.format),
            state=span.state,
        )


class RecordingChunks(BaseModel):
    """All chunks of a recording, in order."""

    chunks: list[RecordingChunk]
