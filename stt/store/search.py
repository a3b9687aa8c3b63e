"""Search the text of transcripts for words, and for what a speaker says.

Find the segments that contain a word or phrase of the query, in chunks that contain all of them;
`search_query.py` decides what matches, and where. On a server with text indexes, use one to choose
the chunks to read. Without one, read the transcripts of some recordings at a time.
"""

import re
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from heapq import merge
from typing import Annotated, Any

from bson import ObjectId
from pydantic import Field
from pymongo.errors import ExecutionTimeout, OperationFailure

from stt.domain.field_types import HexId
from stt.errors import DatabaseUnavailable, NotFound
from stt.store.database import Database, Document, Repository, translated
from stt.store.documents import (
    read_chunk,
    read_list,
    read_mapping,
    read_number,
    read_text,
)
from stt.store.folding import Span
from stt.store.recording_names import recording_names
from stt.store.search_query import BadQuery, SearchQuery
from stt.store.search_windows import (
    Order,
    Position,
    boundaries,
    place_by,
    windows,
    windows_of,
)
from stt.store.speaker_search import SpeakerSearch
from stt.store.text_index import TEXT_FIELD, TextIndex, indexed_queries

_FIELDS = [
    "original_id", "index", "offset", "duration", "channel",
    "transcript.segments.start", "transcript.segments.end", "transcript.segments.speaker",
    TEXT_FIELD,
]  # fmt: skip
_Matches = dict[int, list[Span]]


class SearchTooSlow(DatabaseUnavailable):
    """The time ran out before anything was found."""


@dataclass(frozen=True, slots=True)
class Hit:
    """A segment that contains a word; `start` and `end` in seconds of the recording.

    `matches`: the parts of `text` that match, each by the number of its first character, and of the
    first one after it. `label`: the file name, with so many of its folders that no other recording
    has the same. `channel`: the one that it was said on, None where all were mixed. `speaker`: the
    name or id of the one who says it, None if not known. The annotations are for its JSON.
    """

    recording_id: Annotated[str | None, Field(alias="source_id")]
    filename: str
    chunk_id: HexId
    start: float
    end: float
    text: str
    matches: tuple[Span, ...] = ()
    path: str | None = None
    label: str = ""
    channel: int | None = None
    speaker: str | None = None


@dataclass(frozen=True, slots=True)
class HitPage:
    """Hits by recording and time; `cursor` continues after the last one, None at the end."""

    hits: tuple[Hit, ...]
    cursor: str | None


@dataclass(frozen=True, slots=True)
class _Wanted:
    """What to find: all that `speakers` are about, or `words` in it, `after` a position."""

    words: SearchQuery | None
    speakers: SpeakerSearch
    after: Position | None

    def matches(self, recording_id: Any, texts: list[str], said_by: list[str | None]) -> _Matches:
        """Return where it is in texts that follow one another, by their indexes."""
        said = self.speakers.says(recording_id, said_by)
        texts = [text if is_meant else "" for text, is_meant in zip(texts, said, strict=True)]
        if self.words is None:
            return {number: [] for number, text in enumerate(texts) if text}
        return self.words.matches(texts)


_Found = tuple[Position, Hit]
"""A hit without the name of its recording, and where it is."""


class Search(Repository):
    """Search one database. Safe between threads.

    The first search creates the text index, or starts to if `in_background`.
    """

    def __init__(self, database: Database, *, in_background: bool = False) -> None:
        super().__init__(database)
        self._index = TextIndex(database, in_background=in_background)

    def find(
        self,
        words: SearchQuery | None,
        *,
        limit: int,
        speaker: str | None = None,
        cursor: str | None = None,
        recording_ids: Sequence[ObjectId] | None = None,
        timeout_seconds: float = 10.0,
    ) -> HitPage:
        """Return up to `limit` hits after `cursor`, in these recordings or in all.

        `speaker`: only what this one says, all of it without `words`. Return fewer if the time runs
        out, and raise SearchTooSlow if there are none by then. Raise NotFound if the chunk of the
        cursor is gone; BadQuery for an id of a speaker in several recordings.
        """
        after = None if cursor is None else self._position(cursor)
        speakers = SpeakerSearch(self._db, speaker)
        wanted = speakers.recordings(recording_ids)
        ids = None if wanted is None else sorted(wanted)
        what = _Wanted(words, speakers, after)
        found: list[_Found] = []
        is_cut_off = False
        try:
            for hit in self._hits(what, ids, timeout_seconds):
                found.append(hit)
                if len(found) > limit:
                    break
        except _OutOfTime:
            is_cut_off = True
            if not found:
                raise SearchTooSlow(
                    f"The search found nothing within {timeout_seconds:g} s and was given up:"
                    " search in fewer recordings."
                ) from None
        shown = found[:limit]
        has_more = len(found) > limit or is_cut_off
        names = recording_names(self._db, (position.recording_id for position, _ in shown))
        hits = tuple(replace(hit, **asdict(names[at.recording_id])) for at, hit in shown)
        return HitPage(hits, shown[-1][0].cursor if has_more else None)

    def _hits(
        self, wanted: _Wanted, ids: list[ObjectId] | None, timeout_seconds: float
    ) -> Iterator[_Found]:
        """Yield all hits; raise _OutOfTime."""
        deadline = time.monotonic() + timeout_seconds
        words = wanted.words
        with_index = (
            words is not None
            and ids is None
            and all(word.is_whole for word in words.query_words)
            and self._index.is_ready()
        )
        queries = [_pattern(words) if words else {}]
        if words and with_index:
            queries = indexed_queries(words, *queries)
        if ids is None:
            found_in = windows(wanted.after, [] if with_index else boundaries(self._db))
        else:
            found_in = windows_of(ids, wanted.after)
        for window, order in found_in:
            found = [self._read({**window, **query}, order, deadline) for query in queries]
            for document in merge(*found, key=place_by(order)):
                if time.monotonic() >= deadline:
                    raise _OutOfTime
                yield from _found_in(document, wanted)

    def _read(self, query: Document, order: Order, deadline: float) -> Iterator[Document]:
        """Yield chunks; raise _OutOfTime."""
        left_ms = int((deadline - time.monotonic()) * 1_000)
        if left_ms <= 0:
            raise _OutOfTime
        cursor = self._db.chunks.find(query, _FIELDS, batch_size=100)
        try:
            with translated(), cursor.sort(order).max_time_ms(left_ms) as documents:
                yield from documents
        except DatabaseUnavailable as error:
            if isinstance(error.__cause__, ExecutionTimeout):
                raise _OutOfTime from error
            if "$text" in query and isinstance(error.__cause__, OperationFailure):
                self._index.record_missing()  # the index was dropped
            raise

    def _position(self, cursor: str) -> Position:
        chunk_id, _, segment = cursor.partition("-")
        if not (ObjectId.is_valid(chunk_id) and re.fullmatch("[0-9]{1,9}", segment)):
            raise BadQuery("This cursor is none of a search.")
        fields = ["original_id", "index"]
        document = self._db.chunks.find_one({"_id": ObjectId(chunk_id)}, fields)
        if document is None:
            raise NotFound("What was found last is gone: search again.")
        return _position_of(document, int(segment))


class _OutOfTime(Exception):
    pass


def _pattern(words: SearchQuery) -> Document:
    """Return a query for chunks that contain the longest word, even inside another word.

    The embedded database reads every chunk if a query has several patterns.
    """
    longest = max(words.query_words, key=lambda word: len(word.text))
    return {TEXT_FIELD: {"$regex": longest.pattern, "$options": "i"}}


def _position_of(document: Document, segment: int) -> Position:
    chunk = read_chunk(document)
    return Position(chunk.recording_id, chunk.index, chunk.id, segment)


def _found_in(document: Document, wanted: _Wanted) -> Iterator[_Found]:
    """Yield the hits in one chunk after a position; skip segments that cannot be read."""
    chunk, after = read_chunk(document), wanted.after
    recording_id = None if chunk.recording_id is None else str(chunk.recording_id)
    # Without an offset, assume that all chunks are as long as this one.
    begin = chunk.index * chunk.planned_seconds if chunk.offset is None else chunk.offset
    segments = read_mapping(document.get("transcript")).get("segments")
    listed = [read_mapping(segment) for segment in read_list(segments)]
    texts = [(read_text(s.get("text")) or "").strip() for s in listed]
    said_by = [read_text(s.get("speaker")) for s in listed]
    for number, matches in wanted.matches(chunk.recording_id, texts, said_by).items():
        if after is not None and after.chunk_id == chunk.id and number <= after.segment:
            continue
        start, end = (max(read_number(listed[number].get(f)) or 0.0, 0.0) for f in ("start", "end"))
        start, end = begin + start, begin + max(start, end)
        said = (chunk.id, start, end, texts[number], tuple(matches))
        speaker = wanted.speakers.label(chunk.recording_id, said_by[number])
        hit = Hit(recording_id, "", *said, channel=chunk.channel, speaker=speaker)
        yield _position_of(document, number), hit
