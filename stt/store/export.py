"""Chunks of a source → one transcript, streamed from the database in the order of the recording.

Where a chunk begins: at its `offset`. Programs that leave it out are helped in this order: the end
of the chunk before it, which is that chunk's begin plus its `duration`; where that is missing too,
plus the time between the two `start`s; plus the end of the last thing said in it; plus 30 s.

Which chunks there are: `chunk_count` of the source, where it knows, or else those in the queue. All
without a transcript, be they pending, in work, failed or not there at all, are missing.

Both passes over a transcript see the same chunks: those that were done when the outline was read.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from itertools import chain, pairwise
from typing import Any

from bson import ObjectId

from stt.domain.chunk import ASSUMED_SECONDS, Chunk, Recording
from stt.domain.transcript import Segment, Transcript
from stt.errors import SttError
from stt.store.database import Database, translated
from stt.transcripts.formats import WRITERS, Cue, Gap, TranscriptHeader

FORMATS = tuple(WRITERS)

_OUTLINE_FIELDS = [
    "index", "start", "offset", "duration", "format", "transcribed_at", "failed_at",
    "processing_by",
]  # fmt: skip
_BATCH = 50


@dataclass(frozen=True, slots=True)
class ChunkSpan:
    """A chunk's place in the recording, in seconds; `done_at` is None if it has no transcript."""

    id: ObjectId
    index: int
    start: float
    end: float
    done_at: datetime | None
    state: str
    format: str | None = None


@dataclass(frozen=True, slots=True)
class Line:
    """A segment in the recording's time, and the chunk whose audio holds it."""

    chunk_id: ObjectId
    chunk_start: float
    segment: Segment


@dataclass(frozen=True, slots=True)
class UntranscribedSpan:
    """Where nothing can be read, in the recording's time.

    `state`: that of the chunks there; missing where the queue has none, cutting where they are
    still to come, unreadable where another program garbled the transcript.
    """

    start: float
    end: float
    state: str


@dataclass(frozen=True, slots=True)
class Contributor:
    """Who transcribed how many chunks, and with what; None where a transcript does not say."""

    worker: str | None
    model: str | None
    server: str | None
    chunks: int


@dataclass(frozen=True, slots=True)
class Lines:
    """A part of a transcript; `next_index` is the chunk that the next part begins with."""

    lines: tuple[Line, ...]
    gaps: tuple[UntranscribedSpan, ...]
    next_index: int | None


class Export:
    """The transcript of one source as it was when this was made.

    Raises DatabaseUnavailable, and SttError for a transcript that another program garbled.
    """

    def __init__(self, database: Database, recording: Recording) -> None:
        self._db = database
        self._recording = recording
        self._spans = tuple(self._read_spans())
        self.failed_chunks = sum(span.state == "failed" for span in self._spans)
        """How many of the missing ones are quarantined."""
        self.header = self._read_header()

    def cues(self) -> Iterator[Cue]:
        """Segments and gaps over the whole recording, in its order. May be called again."""
        return _joined(self._read_cues())

    def pieces(self, format_name: str) -> Iterator[str]:
        """The transcript in one of FORMATS."""
        return WRITERS[format_name](self.header, self.cues)

    @property
    def spans(self) -> tuple[ChunkSpan, ...]:
        """The chunks that are there, in order."""
        return self._spans

    def contributors(self) -> tuple[Contributor, ...]:
        """Everybody who had a part in it, the largest part first."""
        fields = ("worker", "model", "server")
        match = {"original_id": self._recording.id, "transcribed_at": {"$ne": None}}
        group = {
            "_id": {name: f"$transcript.{name}" for name in fields},
            "chunks": {"$sum": 1},
        }
        with translated():
            rows = list(self._db.chunks.aggregate([{"$match": match}, {"$group": group}]))
        contributors = [
            Contributor(chunks=int(row["chunks"]), **{f: _text(row["_id"].get(f)) for f in fields})
            for row in rows
        ]
        return tuple(
            sorted(
                contributors,
                key=lambda contributor: (-contributor.chunks, contributor.worker or ""),
            )
        )

    def lines(self, first_index: int, count: int) -> Lines:
        """What was heard from the chunk `first_index` on: at least `count` lines, up to the end of
        a chunk. Unlike `passages`, a garbled transcript is a gap among others."""
        lines: list[Line] = []
        gaps: list[UntranscribedSpan] = []
        rest = [span for span in self._spans if span.index >= first_index]
        before = self._spans[: len(self._spans) - len(rest)]
        end, expected = (before[-1].end if before else 0.0), first_index
        for at in range(0, len(rest), _BATCH):
            batch = rest[at : at + _BATCH]
            transcripts = self._read_transcripts(batch)
            for span in batch:
                if len(lines) >= count:
                    return Lines(tuple(lines), _merged(gaps), span.index)
                if self._recording.chunk_count is not None and span.index > expected:
                    gaps.append(UntranscribedSpan(end, span.start, "missing"))
                heard, state = _heard(span, transcripts)
                lines += [Line(span.id, span.start, s.shifted(span.start)) for s in heard]
                if state != "transcribed":
                    gaps.append(UntranscribedSpan(span.start, span.end, state))
                expected, end = span.index + 1, span.end
        if self.header.is_growing or expected < (self._recording.chunk_count or 0):
            state = "cutting" if self.header.is_growing else "missing"
            gaps.append(UntranscribedSpan(end, self._whole_seconds(end), state))
        return Lines(tuple(lines), _merged(gaps), None)

    def _whole_seconds(self, end: float) -> float:
        return max(self._recording.duration or 0.0, end + ASSUMED_SECONDS)

    def _read_spans(self) -> Iterator[ChunkSpan]:
        query = {"original_id": self._recording.id}
        begin = 0.0
        with translated(), self._db.chunks.find(query, _OUTLINE_FIELDS).sort("index") as cursor:
            for document, following in pairwise(chain(cursor, [None])):
                assert document is not None
                chunk = Chunk.from_document(document)
                if chunk.offset is not None:
                    begin = max(chunk.offset, 0.0)
                end = begin + self._length(chunk, following)
                done_at = document.get("transcribed_at")
                yield ChunkSpan(
                    chunk.id, chunk.index, begin, end, done_at, _state(document), chunk.format
                )
                begin = end

    def _read_header(self) -> TranscriptHeader:
        done = {span.index for span in self._spans if span.done_at is not None}
        known = {span.index for span in self._spans}
        missing = (known | set(range(self._recording.chunk_count or 0))) - done
        is_growing = self._is_being_ingested()
        times = [s.done_at for s in self._spans if isinstance(s.done_at, datetime)]
        return TranscriptHeader(
            book_id=str(self._recording.id),
            filename=self._recording.filename,
            total_chunks=len(done) + len(missing),
            completed_at=None if missing or is_growing else max(times, default=None),
            missing_chunks=tuple(sorted(missing)),
            is_growing=is_growing,
        )

    def _read_cues(self) -> Iterator[Cue]:
        expected, end = 0, 0.0
        for at in range(0, len(self._spans), _BATCH):
            batch = self._spans[at : at + _BATCH]
            transcripts = self._read_transcripts(batch)
            for span in batch:
                if self._recording.chunk_count is not None and span.index > expected:
                    yield Gap(end, span.start)
                if span.done_at is None:
                    yield Gap(span.start, span.end)
                else:
                    for segment in _transcript(span.id, transcripts.get(span.id)).segments:
                        yield segment.shifted(span.start)
                expected, end = span.index + 1, span.end
        if self.header.is_growing or expected < (self._recording.chunk_count or 0):
            yield Gap(end, self._whole_seconds(end))

    def _read_transcripts(self, batch: Iterable[ChunkSpan]) -> dict[ObjectId, object]:
        ids = [span.id for span in batch if span.done_at is not None]
        with translated():
            found = self._db.chunks.find({"_id": {"$in": ids}}, ["transcript"])
            return {document["_id"]: document.get("transcript") for document in found}

    def _length(self, chunk: Chunk, following: Mapping[str, Any] | None) -> float:
        """Seconds of a chunk, as the top of this file says."""
        if chunk.duration is not None and chunk.duration > 0:
            return chunk.duration
        next_start = Chunk.from_document(following).start if following else None
        if chunk.start is not None and next_start is not None and next_start > chunk.start:
            return (next_start - chunk.start).total_seconds()
        document = self._db.chunks.find_one({"_id": chunk.id}, ["transcript"]) or {}
        segments = _transcript(chunk.id, document.get("transcript")).segments
        return max((segment.end for segment in segments), default=ASSUMED_SECONDS)

    def _is_being_ingested(self) -> bool:
        """Only a source that has the field, and empty, is: other programs leave it out."""
        with translated():
            document = self._db.recordings.find_one({"_id": self._recording.id}, ["ingested_at"])
        return document is not None and document.get("ingested_at", "absent") is None


def _state(document: Mapping[str, Any]) -> str:
    """The chunk's state, as docs/design.md derives it from the fields."""
    if document.get("transcribed_at") is not None:
        return "transcribed"
    if document.get("failed_at") is not None:
        return "failed"
    return "pending" if document.get("processing_by") is None else "processing"


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) else None


def _heard(
    span: ChunkSpan, transcripts: Mapping[ObjectId, object]
) -> tuple[tuple[Segment, ...], str]:
    """What was heard in a chunk, and the state that people are to be shown."""
    if span.done_at is None:
        return (), span.state
    try:
        return _transcript(span.id, transcripts.get(span.id)).segments, "transcribed"
    except SttError:
        return (), "unreadable"


def _merged(gaps: Iterable[UntranscribedSpan]) -> tuple[UntranscribedSpan, ...]:
    """The same with neighbours of one state made one."""
    merged: list[UntranscribedSpan] = []
    for gap in gaps:
        if merged and merged[-1].state == gap.state and gap.start <= merged[-1].end + 0.001:
            gap = UntranscribedSpan(merged.pop().start, gap.end, gap.state)
        merged.append(gap)
    return tuple(merged)


def has_chunks(database: Database, recording_id: ObjectId) -> bool:
    """True if the queue has chunks of this source, even if nobody described it."""
    with translated():
        return database.chunks.find_one({"original_id": recording_id}, ["_id"]) is not None


def _transcript(chunk_id: ObjectId, document: Any) -> Transcript:
    """What was heard in a chunk that is done; one that says nothing was silent."""
    if document is None:
        return Transcript()
    try:
        if not isinstance(document, Mapping):
            raise TypeError("not an object")
        return Transcript.from_document(document)
    except (TypeError, ValueError, KeyError, AttributeError) as error:
        raise SttError(f"The transcript of chunk {chunk_id} cannot be read: {error}") from error


def _joined(cues: Iterable[Cue]) -> Iterator[Cue]:
    """The same with gaps that touch made one: nobody wants to read of each chunk."""
    gap: Gap | None = None
    for cue in cues:
        if isinstance(cue, Gap):
            gap = Gap(gap.start if gap else cue.start, cue.end)
            continue
        if gap:
            yield gap
            gap = None
        yield cue
    if gap:
        yield gap
