"""Join the chunks of a recording into one transcript, read from the database in order.

`spans.py` says where a chunk is, and `transcript_parts.py` what follows what.

A recording has `chunk_count` chunks, or where that is missing, those that are in the queue. The
ones without a transcript are missing, whatever their state. One that is to be transcribed again
has its earlier transcript until the new one is there.

Reading the transcript twice gives the same chunks: those that had a transcript when the list of
chunks was read.
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from functools import cached_property

from stt.domain.chunk import Recording
from stt.domain.field_types import ALWAYS_WRITTEN, HexId
from stt.domain.transcript import Segment
from stt.store import recording_speakers
from stt.store.database import Database, Repository
from stt.store.spans import UntranscribedSpan, merged, read_spans
from stt.store.transcript_parts import PartReader, PlacedSegment
from stt.transcripts.cue_splitting import DEFAULT_LIMITS, CueLimits
from stt.transcripts.cues import milliseconds
from stt.transcripts.formats import WRITERS, Cue, Gap, TranscriptHeader
from stt.transcripts.languages import LANGUAGES
from stt.transcripts.speaker_marks import with_speaker_marks

FORMATS = tuple(WRITERS)


# The annotations of these classes are for their JSON.


@dataclass(frozen=True, slots=True)
class Line:
    """A segment; `start` and `end` in seconds of the recording.

    `chunk_start`: where the audio of its chunk begins. `channel`: the one that it was said on, None
    where all were mixed. `speaker`: the name or id of the one who says it, None if not known.
    `segment`: its number in its chunk, from 0. `model_text`: what the model wrote, if a person has
    changed it.
    """

    chunk_id: HexId
    start: float
    end: float
    chunk_start: float
    text: str
    channel: int | None = None
    speaker: str | None = None
    segment: int = 0
    model_text: str | None = None
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
        self.spans = tuple(read_spans(database, recording.id))
        """The chunks in the queue, in order; one channel after the other."""
        self.speakers = recording_speakers.read(database, recording)
        self._parts = PartReader(database, recording, self.spans, self.speakers)
        self.failed_chunks = sum(span.state == "failed" for span in self.spans)
        """How many chunks are in quarantine."""
        self.header = self._read_header()

    def cues(self) -> Iterator[Cue]:
        """Yield the segments of the whole recording in order, and the gaps between them."""
        gap: Gap | None = None
        for cue in self._parts.cues():
            if isinstance(cue, Gap):
                gap = Gap(gap.start, max(gap.end, cue.end)) if gap else cue
                continue
            if gap:
                yield gap
                gap = None
            yield cue
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
                silent_speech_seconds=self.silent_speech_seconds,
            )
            return WRITERS[format_name](header, self.cues, limits)
        return WRITERS[format_name](header, lambda: with_speaker_marks(self.cues()), limits)

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

    @property
    def silent_speech_seconds(self) -> float:
        """Speech, by voice activity, that gave no text."""
        return round(sum(span.silent_speech_seconds for span in self.spans if span.has_text), 1)

    def contributors(self) -> tuple[Contributor, ...]:
        """Return who transcribed the chunks, and how many; the largest number first."""
        chunks = Counter(span.origin for span in self.spans if span.has_text)
        found = (
            Contributor(origin.worker, origin.model, origin.server, count)
            for origin, count in chunks.items()
        )
        return tuple(sorted(found, key=lambda one: (-one.chunks, one.worker or "")))

    def lines(self, first_index: int, count: int) -> Lines:
        """Return at least `count` lines from the chunk `first_index` on, up to the end of a chunk.

        Unlike `cues`, count a transcript that cannot be read as a gap. The chunks of several
        channels come by their offsets.
        """
        lines: list[Line] = []
        gaps: list[UntranscribedSpan] = []
        for part in self._parts.from_chunk(first_index):
            if part.index is not None and len(lines) >= count:
                return Lines(tuple(lines), merged(gaps), part.index)
            if isinstance(part.content, UntranscribedSpan):
                gaps.append(part.content)
            else:
                lines += map(_line, part.content)
        return Lines(tuple(lines), merged(gaps), None)

    def _main_model(self) -> str | None:
        chunks = Counter[str]()
        for one in self.contributors():
            chunks[one.model or ""] += one.chunks
        return _most(chunks) or None

    def _read_header(self) -> TranscriptHeader:
        done = {span.index for span in self.spans if span.has_text}
        earlier = sorted(span.index for span in self.spans if span.has_earlier_text)
        known = {span.index for span in self.spans}
        missing = (known | set(range(self._recording.chunk_count or 0))) - done
        is_growing = self._recording.is_ingesting
        times = [s.done_at for s in self.spans if isinstance(s.done_at, datetime)]
        return TranscriptHeader(
            book_id=str(self._recording.id),
            filename=self._recording.filename,
            path=self._recording.path,
            total_chunks=len(done) + len(missing),
            completed_at=None if missing or earlier or is_growing else max(times, default=None),
            missing_chunks=tuple(sorted(missing)),
            earlier_chunks=tuple(earlier),
            is_growing=is_growing,
            task=self._recording.task,
            duration=self._recording.duration or max((s.end for s in self.spans), default=None),
        )


def _line(placed: PlacedSegment) -> Line:
    chunk, said = placed.chunk, placed.segment
    place = (chunk.id, said.start, said.end, chunk.offset)
    origin = (placed.number, placed.model_text)
    return Line(*place, said.text, said.channel, said.speaker, *origin)


def _most(counts: Counter[str]) -> str | None:
    return max(counts, key=counts.__getitem__, default=None)
