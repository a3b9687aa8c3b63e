"""Read the transcripts of a recording's chunks in order, with what is missing between them.

Of a recording whose channels are transcribed one by one, merge all channels by their times.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from heapq import merge
from typing import Any

from stt.domain.chunk import ASSUMED_SECONDS, Recording
from stt.domain.speakers import RecordingSpeakers
from stt.domain.transcript import Segment
from stt.errors import SttError
from stt.store.database import Database, Repository
from stt.store.documents import read_transcript
from stt.store.edits import read_model_texts
from stt.store.spans import ChunkSpan, UntranscribedSpan
from stt.transcripts.formats import Cue, Gap
from stt.transcripts.languages import foreign_language

_BATCH = 50


@dataclass(frozen=True, slots=True)
class PlacedSegment:
    """A segment in times of the recording: `number` of its chunk, counted from 0.

    `model_text`: what the model wrote, if a person has changed it.
    """

    chunk: ChunkSpan
    number: int
    segment: Segment
    model_text: str | None


@dataclass(frozen=True, slots=True)
class Part:
    """The segments of a chunk, or a span in their place, in times of the recording.

    `index`: that of the chunk, None where there is none; `start`: where it begins.
    """

    index: int | None
    start: float
    content: list[PlacedSegment] | UntranscribedSpan


class PartReader(Repository):
    """The parts of one recording; `spans` are its chunks, by index.

    The speakers of their segments are called as in `speakers`, by name or id.
    """

    def __init__(
        self,
        database: Database,
        recording: Recording,
        spans: Sequence[ChunkSpan],
        speakers: RecordingSpeakers,
    ) -> None:
        super().__init__(database)
        self._recording = recording
        self._spans = spans
        self._speakers = speakers
        by_channel: dict[int | None, list[ChunkSpan]] = {}
        for span in spans:
            by_channel.setdefault(span.channel, []).append(span)
        self._channels = list(by_channel.values()) or [[]]

    def cues(self) -> Iterator[Cue]:
        """Yield the segments in order, with gaps, which may touch and be of one channel only.

        Raise SttError for a transcript that cannot be read.
        """
        by_channel = (self._cues_of(number) for number in range(len(self._channels)))
        return merge(*by_channel, key=lambda cue: cue.start)

    def from_chunk(self, first_index: int) -> Iterator[Part]:
        """Yield the parts from a chunk on; those of several channels by where they begin.

        A transcript that cannot be read counts as missing.
        """
        by_channel = (
            self._parts(number, begin, strict=False)
            for number, begin in enumerate(self._begins(first_index))
        )
        return merge(*by_channel, key=lambda part: part.start)

    def _begins(self, first_index: int) -> list[int]:
        """Return how many chunks of each channel come before this one, by where they begin."""
        if len(self._channels) == 1:
            return [sum(span.index < first_index for span in self._spans)]
        first = next((span for span in self._spans if span.index >= first_index), None)
        if first is None:
            return [len(spans) for spans in self._channels]
        place = (first.offset, first.index)
        return [sum((s.offset, s.index) < place for s in spans) for spans in self._channels]

    def _cues_of(self, number: int) -> Iterator[Cue]:
        for part in self._parts(number, 0, strict=True):
            if isinstance(part.content, UntranscribedSpan):
                yield Gap(part.content.start, part.content.end)
            else:
                yield from (placed.segment for placed in part.content)

    def _parts(self, number: int, begin: int, *, strict: bool) -> Iterator[Part]:
        """Yield the parts of one of `_channels` from its chunk number `begin` on.

        `strict`: raise SttError for a transcript that cannot be read.
        """
        spans = self._channels[number]
        end = spans[begin - 1].end if begin else 0.0
        expected = spans[begin - 1].index + 1 if begin else self._first_index(number)
        for at in range(begin, len(spans), _BATCH):
            batch = spans[at : at + _BATCH]
            ids = [span.id for span in batch if span.has_text]
            found = self._db.chunks.find({"_id": {"$in": ids}}, ["transcript"])
            documents = {document["_id"]: document for document in found}
            for span in batch:
                if self._recording.chunk_count is not None and span.index > expected:
                    # Among several channels a chunk that is not there has no place to go on from.
                    index = expected if len(self._channels) == 1 else None
                    yield Part(index, end, UntranscribedSpan(end, span.offset, "missing"))
                content = self._content(span, documents.get(span.id, {}), strict=strict)
                yield Part(span.index, span.offset, content)
                expected, end = span.index + 1, span.end
        is_last = number == len(self._channels) - 1
        is_growing = self._recording.is_ingesting and is_last
        count = self._recording.chunk_count or 0
        if is_growing or expected < (count if is_last else self._first_index(number + 1)):
            whole = max(self._recording.duration or 0.0, end + ASSUMED_SECONDS)
            state = "cutting" if is_growing else "missing"
            yield Part(None, end, UntranscribedSpan(end, whole, state))

    def _content(
        self, span: ChunkSpan, document: Mapping[str, Any], *, strict: bool
    ) -> list[PlacedSegment] | UntranscribedSpan:
        if not span.has_text:
            return UntranscribedSpan(span.offset, span.end, span.state)
        try:
            segments = _segments_of(document)
        except SttError:
            if strict:
                raise
            return UntranscribedSpan(span.offset, span.end, "unreadable")
        model_texts = read_model_texts(document)
        return [
            PlacedSegment(
                span,
                number,
                replace(
                    segment.shifted(span.offset),
                    channel=span.channel,
                    speaker=self._speakers.label(segment.speaker),
                ),
                model_texts.get(number),
            )
            for number, segment in enumerate(segments)
        ]

    def _first_index(self, number: int) -> int:
        return self._channels[number][0].index if number else 0


def _segments_of(document: Mapping[str, Any]) -> list[Segment]:
    """Return the segments of a chunk, those without a language in that of their transcript."""
    transcript = read_transcript(document)
    language = foreign_language(transcript.language)
    return [
        replace(segment, language=segment.language or language) for segment in transcript.segments
    ]
