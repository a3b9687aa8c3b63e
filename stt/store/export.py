"""Join the chunks of a recording into one transcript, read from the database in order.

A chunk begins at its `offset`, or where that is missing, at the end of the chunk before. The length
of a chunk is its `duration`, or where that is missing, the time between its `start` and the next
one's, or the end of its last segment, or 30 s.

A recording has `chunk_count` chunks, or where that is missing, those that are in the queue. The
ones without a transcript are missing, whatever their state.

Reading the transcript twice gives the same chunks: those that were transcribed when the list of
chunks was read.
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from functools import cached_property
from itertools import chain, pairwise
from typing import Any

from stt.domain.chunk import ASSUMED_SECONDS, Chunk, Recording
from stt.domain.field_types import ALWAYS_WRITTEN, HexId
from stt.domain.transcript import Segment
from stt.errors import SttError
from stt.store.counts import sums_by_recording
from stt.store.database import Database, Repository
from stt.store.documents import read_chunk, read_text, read_transcript
from stt.store.spans import ChunkSpan, UntranscribedSpan, merged
from stt.store.states import TRANSCRIBED, state_of
from stt.transcripts.cue_splitting import DEFAULT_LIMITS, CueLimits
from stt.transcripts.cues import milliseconds
from stt.transcripts.formats import WRITERS, Cue, Gap, TranscriptHeader
from stt.transcripts.languages import LANGUAGES, foreign_language

FORMATS = tuple(WRITERS)

_OUTLINE_FIELDS = [
    "index", "start", "offset", "duration", "format", "transcribed_at", "failed_at",
    "processing_by",
]  # fmt: skip
_BATCH = 50


# The annotations of these classes are for their JSON.


@dataclass(frozen=True, slots=True)
class Line:
    """A segment; `start` and `end` in seconds of the recording.

    `chunk_start`: where the audio of its chunk begins. `speaker` is reserved.
    """

    chunk_id: HexId
    start: float
    end: float
    chunk_start: float
    text: str
    speaker: str | None = None
    __pydantic_config__ = ALWAYS_WRITTEN


@dataclass(frozen=True, slots=True)
class Contributor:
    """How many chunks a worker transcribed with a model on a server; None where unknown.

    `node_name`: the name of the worker's node, where the caller knows it.
    """

    worker: str | None
    model: str | None
    server: str | None
    chunks: int
    node_name: str | None = None
    __pydantic_config__ = ALWAYS_WRITTEN


@dataclass(frozen=True, slots=True)
class Lines:
    """A part of a transcript; `next_index` is the index of the chunk that follows it."""

    lines: tuple[Line, ...]
    gaps: tuple[UntranscribedSpan, ...]
    next_index: int | None


class Export(Repository):
    """The transcript of a recording as it was when this object was made.

    Methods also raise SttError for a transcript that cannot be read.
    """

    def __init__(self, database: Database, recording: Recording) -> None:
        super().__init__(database)
        self._recording = recording
        self.spans = tuple(self._read_spans())
        """The chunks in the queue, in order."""
        self.failed_chunks = sum(span.state == "failed" for span in self.spans)
        """How many chunks are in quarantine."""
        self.header = self._read_header()

    def cues(self) -> Iterator[Cue]:
        """Yield the segments of the whole recording in order, and the gaps between them."""
        gap: Gap | None = None
        for _, part in self._parts(0, strict=True):
            if isinstance(part, UntranscribedSpan):
                gap = Gap(gap.start if gap else part.start, part.end)
                continue
            if gap and part:
                yield gap
                gap = None
            yield from (segment for _, segment in part)
        if gap:
            yield gap

    def pieces(self, format_name: str, limits: CueLimits = DEFAULT_LIMITS) -> Iterator[str]:
        """Yield the text of the transcript in one of FORMATS; `limits` are for subtitles."""
        header = self.header
        if format_name == "json":
            header = replace(
                header,
                language=self.language,
                model=self._main_model(),
                silent_speech_seconds=self._silent_speech_seconds(),
            )
        return WRITERS[format_name](header, self.cues, limits)

    @cached_property
    def language(self) -> str | None:
        """The code of the language with the most speech; None if none is known. Read all text."""
        seconds = Counter[str]()
        for cue in self.cues():
            if isinstance(cue, Segment) and cue.language and cue.text:
                seconds[cue.language] += milliseconds(cue.end - cue.start)
        return _most(seconds)

    @property
    def text_language(self) -> str | None:
        """The code of the language that most of the text is written in; None if unknown."""
        if self._recording.task == "translate":
            return "en"
        return self.language if self.language in LANGUAGES else None

    def contributors(self) -> tuple[Contributor, ...]:
        """Return who transcribed the chunks, and how many; the largest number first."""
        fields = ("worker", "model", "server")
        match = {**TRANSCRIBED, "original_id": self._recording.id}
        key = {name: f"$transcript.{name}" for name in fields}
        group = {"_id": key, "chunks": {"$sum": 1}}
        rows = list(self._db.chunks.aggregate([{"$match": match}, {"$group": group}]))
        found = (
            Contributor(chunks=row["chunks"], **{f: read_text(row["_id"].get(f)) for f in fields})
            for row in rows
        )
        return tuple(sorted(found, key=lambda one: (-one.chunks, one.worker or "")))

    def lines(self, first_index: int, count: int) -> Lines:
        """Return at least `count` lines from the chunk `first_index` on, up to the end of a chunk.

        Unlike `cues`, count a transcript that cannot be read as a gap.
        """
        lines: list[Line] = []
        gaps: list[UntranscribedSpan] = []
        for index, part in self._parts(first_index, strict=False):
            if index is not None and len(lines) >= count:
                return Lines(tuple(lines), merged(gaps), index)
            if isinstance(part, UntranscribedSpan):
                gaps.append(part)
            else:
                lines += (Line(s.id, x.start, x.end, s.offset, x.text) for s, x in part)
        return Lines(tuple(lines), merged(gaps), None)

    def _main_model(self) -> str | None:
        chunks = Counter[str]()
        for one in self.contributors():
            chunks[one.model or ""] += one.chunks
        return _most(chunks) or None

    def _silent_speech_seconds(self) -> float:
        sums = sums_by_recording(self._db, {**TRANSCRIBED, "original_id": self._recording.id})
        return round(sum(one.silent_speech_seconds for one in sums.values()), 1)

    def _parts(
        self, first_index: int, *, strict: bool
    ) -> Iterator[tuple[int | None, list[tuple[ChunkSpan, Segment]] | UntranscribedSpan]]:
        """Yield the segments of each chunk, or a span in their place, with the chunk's index.

        Times are those of the recording. The index of what follows the last chunk is None.
        `strict`: raise SttError for a transcript that cannot be read.
        """
        begin = sum(span.index < first_index for span in self.spans)
        end, expected = (self.spans[begin - 1].end if begin else 0.0), first_index
        for at in range(begin, len(self.spans), _BATCH):
            batch = self.spans[at : at + _BATCH]
            ids = [span.id for span in batch if span.done_at is not None]
            found = self._db.chunks.find({"_id": {"$in": ids}}, ["transcript"])
            documents = {document["_id"]: document for document in found}
            for span in batch:
                if self._recording.chunk_count is not None and span.index > expected:
                    yield expected, UntranscribedSpan(end, span.offset, "missing")
                try:
                    segments = _segments_of(documents.get(span.id, {}))
                except SttError:
                    if strict:
                        raise
                    yield span.index, UntranscribedSpan(span.offset, span.end, "unreadable")
                else:
                    if span.done_at is None:
                        yield span.index, UntranscribedSpan(span.offset, span.end, span.state)
                    else:
                        yield span.index, [(span, x.shifted(span.offset)) for x in segments]
                expected, end = span.index + 1, span.end
        if self.header.is_growing or expected < (self._recording.chunk_count or 0):
            whole = max(self._recording.duration or 0.0, end + ASSUMED_SECONDS)
            state = "cutting" if self.header.is_growing else "missing"
            yield None, UntranscribedSpan(end, whole, state)

    def _read_spans(self) -> Iterator[ChunkSpan]:
        query = {"original_id": self._recording.id}
        begin = 0.0
        with self._db.chunks.find(query, _OUTLINE_FIELDS).sort("index") as cursor:
            for document, following in pairwise(chain(cursor, [None])):
                assert document is not None
                chunk = read_chunk(document)
                if chunk.offset is not None:
                    begin = max(chunk.offset, 0.0)
                span = ChunkSpan(
                    id=chunk.id,
                    index=chunk.index,
                    offset=begin,
                    duration=self._length(chunk, following),
                    format=chunk.extension,
                    state=state_of(document),
                    done_at=document.get("transcribed_at"),
                )
                yield span
                begin = span.end

    def _read_header(self) -> TranscriptHeader:
        done = {span.index for span in self.spans if span.done_at is not None}
        known = {span.index for span in self.spans}
        missing = (known | set(range(self._recording.chunk_count or 0))) - done
        is_growing = self._recording.is_ingesting
        times = [s.done_at for s in self.spans if isinstance(s.done_at, datetime)]
        return TranscriptHeader(
            book_id=str(self._recording.id),
            filename=self._recording.filename,
            total_chunks=len(done) + len(missing),
            completed_at=None if missing or is_growing else max(times, default=None),
            missing_chunks=tuple(sorted(missing)),
            is_growing=is_growing,
            task=self._recording.task,
            duration=self._recording.duration or (self.spans[-1].end if self.spans else None),
        )

    def _length(self, chunk: Chunk, following: Mapping[str, Any] | None) -> float:
        """Return the seconds of a chunk; see the top of this file."""
        if chunk.duration is not None and chunk.duration > 0:
            return chunk.duration
        next_start = read_chunk(following).start if following else None
        if chunk.start is not None and next_start is not None and next_start > chunk.start:
            return (next_start - chunk.start).total_seconds()
        document = self._db.chunks.find_one({"_id": chunk.id}, ["transcript"]) or {}
        segments = read_transcript(document).segments
        return max((segment.end for segment in segments), default=ASSUMED_SECONDS)


def _most(counts: Counter[str]) -> str | None:
    return max(counts, key=counts.__getitem__, default=None)


def _segments_of(document: Mapping[str, Any]) -> list[Segment]:
    """Return the segments of a chunk, those without a language in that of their transcript."""
    transcript = read_transcript(document)
    language = foreign_language(transcript.language)
    return [
        replace(segment, language=segment.language or language) for segment in transcript.segments
    ]
