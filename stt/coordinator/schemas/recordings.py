"""Changes to recordings, their chunks and their transcripts."""

from typing import Annotated

from pydantic import BaseModel, Field

from stt.coordinator.schemas.base import MostSpeakers, Priority, SpeakerCount
from stt.domain import field_types
from stt.domain.transcript import Task
from stt.store.export import Contributor, Line
from stt.store.spans import ChunkSpan, UntranscribedSpan

Text = Annotated[str, Field(max_length=10_000)]
LineText = Annotated[field_types.Text, Field(max_length=5_000)]


class _Options(BaseModel):
    model: Text | None = None
    language: Text | None = None
    task: Task | None = None
    speakers: Annotated[
        SpeakerCount | None,
        Field(
            description="How many to tell apart, `auto` if that is not known; null for not at all."
        ),
    ] = None
    max_speakers: Annotated[
        MostSpeakers | None,
        Field(description="How many there can be at most, where their number is not known."),
    ] = None


class RetranscriptionRequest(_Options):
    """Fields left out stay as they were; null leaves the choice to each worker.

    Without `drop_edits`, text that people have edited is not transcribed again.
    """

    drop_edits: bool = False


class SegmentEdit(BaseModel):
    """`text_before`: what the line said when the person began to edit it."""

    text: LineText
    text_before: LineText


class RecordingChange(_Options):
    """Fields left out stay as they are; null resets one to its default.

    `filename_before`: what it was called when the person began to rename it.
    """

    priority: Priority = 0
    prompt: Text | None = None
    hotwords: Text | None = None
    filename: Text | None = None
    filename_before: Text | None = None


class TranscriptOut(BaseModel):
    """A page of a transcript; `gaps` are those within the page.

    `made_by` is filled on the first page only.
    """

    lines: tuple[Line, ...]
    gaps: tuple[UntranscribedSpan, ...]
    is_partial: bool
    made_by: list[Contributor]
    cursor: str | None


class RecordingChunks(BaseModel):
    """All chunks of a recording, in order."""

    chunks: tuple[ChunkSpan, ...]
