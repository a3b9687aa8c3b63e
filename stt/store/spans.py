"""Parts of a recording in its own time: chunks, and what has no transcript.

A chunk begins at its `offset`, or where that is missing, at the end of the chunk before. The length
of a chunk is its `duration`, or where that is missing, the time between its `start` and the next
one's, or the end of its last segment, or 30 s.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from itertools import chain, pairwise
from typing import Annotated, Any

from pydantic import Field

from stt.domain.chunk import ASSUMED_SECONDS, Chunk
from stt.domain.field_types import HexId
from stt.store.database import Database
from stt.store.documents import (
    read_chunk,
    read_mapping,
    read_positive,
    read_text,
    read_transcript,
)
from stt.store.states import state_of

_FIELDS = [
    "index", "start", "offset", "duration", "format", "transcribed_at", "failed_at",
    "processing_by", "channel", "transcript.task", "transcript.worker", "transcript.model",
    "transcript.server", "transcript.silent_speech_seconds", "audio_removed_at",
]  # fmt: skip


@dataclass(frozen=True, slots=True)
class TextOrigin:
    """What made the text of a chunk; None where unknown."""

    worker: str | None = None
    model: str | None = None
    server: str | None = None


@dataclass(frozen=True, slots=True)
class ChunkSpan:
    """A chunk's place in the recording, in seconds; its audio is at `/chunks/{id}.{format}`.

    `channel`: the one that it was cut from, counted from 1, None if all were mixed. `done_at`: when
    it was transcribed. `has_earlier_text`: it is to be transcribed again, and its earlier
    transcript is still there. `has_audio`: it was not removed by STT_KEEP_AUDIO.
    `silent_speech_seconds`: speech that gave no text. The annotations are for its JSON.
    """

    id: HexId
    index: int
    offset: float
    duration: float
    format: str
    state: str
    done_at: Annotated[datetime | None, Field(exclude=True)]
    channel: int | None = None
    has_earlier_text: Annotated[bool, Field(exclude=True)] = False
    has_audio: bool = True
    origin: Annotated[TextOrigin, Field(exclude=True)] = TextOrigin()
    silent_speech_seconds: Annotated[float, Field(exclude=True)] = 0.0

    @property
    def end(self) -> float:
        return self.offset + self.duration

    @property
    def has_text(self) -> bool:
        return self.done_at is not None or self.has_earlier_text


@dataclass(frozen=True, slots=True)
class UntranscribedSpan:
    """A span without a transcript, in the recording's time.

    `state`: that of its chunks; missing if the queue has none, cutting if they are still to come,
    unreadable if another program wrote a transcript that cannot be read.
    """

    start: float
    end: float
    state: str


def read_spans(database: Database, recording_id: Any) -> Iterator[ChunkSpan]:
    """Yield the places of a recording's chunks that are in the queue, by index.

    Raise pymongo's errors, and SttError for a transcript that is needed and cannot be read.
    """
    begin = 0.0
    with database.chunks.find({"original_id": recording_id}, _FIELDS).sort("index") as cursor:
        for document, following in pairwise(chain(cursor, [None])):
            assert document is not None
            chunk = read_chunk(document)
            transcript = read_mapping(document.get("transcript"))
            if chunk.offset is not None:
                begin = max(chunk.offset, 0.0)
            span = ChunkSpan(
                id=chunk.id,
                index=chunk.index,
                offset=begin,
                duration=_length(database, chunk, following),
                format=chunk.extension,
                state=state_of(document),
                done_at=document.get("transcribed_at"),
                channel=chunk.channel,
                has_audio=document.get("audio_removed_at") is None,
                has_earlier_text=(
                    document.get("transcribed_at") is None
                    and document.get("transcript") is not None
                ),
                origin=TextOrigin(
                    *(read_text(transcript.get(name)) for name in ("worker", "model", "server"))
                ),
                silent_speech_seconds=read_positive(transcript.get("silent_speech_seconds")) or 0.0,
            )
            yield span
            begin = span.end


def _length(database: Database, chunk: Chunk, following: Mapping[str, Any] | None) -> float:
    """Return the seconds of a chunk; see the top of this file."""
    if chunk.duration is not None and chunk.duration > 0:
        return chunk.duration
    next_start = read_chunk(following).start if following else None
    if chunk.start is not None and next_start is not None and next_start > chunk.start:
        return (next_start - chunk.start).total_seconds()
    document = database.chunks.find_one({"_id": chunk.id}, ["transcript"]) or {}
    segments = read_transcript(document).segments
    return max((segment.end for segment in segments), default=ASSUMED_SECONDS)


def merged(gaps: Iterable[UntranscribedSpan]) -> tuple[UntranscribedSpan, ...]:
    """Join neighbouring gaps of the same state."""
    joined: list[UntranscribedSpan] = []
    for gap in gaps:
        if joined and joined[-1].state == gap.state and gap.start <= joined[-1].end + 0.001:
            gap = UntranscribedSpan(joined[-1].start, max(joined.pop().end, gap.end), gap.state)
        joined.append(gap)
    return tuple(joined)
