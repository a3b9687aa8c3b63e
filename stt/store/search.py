"""Search the text of transcripts for words.

Find the segments that contain a word or phrase of the query, in chunks that contain all of them;
`search_query.py` decides what matches, and where. On a server with text indexes, use one to choose
the chunks to read. Without one, read the transcripts of some recordings at a time.
"""

import re
import time
from collections.abc import Callable, Iterable, Iterator
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
    read_count,
    read_list,
    read_mapping,
    read_number,
    read_text,
)
from stt.store.folding import Span
from stt.store.recording_names import recording_names
from stt.store.search_query import BadQuery, SearchQuery
from stt.store.text_index import TEXT_FIELD, TextIndex, indexed_queries

_FIELDS = [
    "original_id", "index", "offset", "duration", "channel",
    "transcript.segments.start", "transcript.segments.end", TEXT_FIELD,
]  # fmt: skip
_RECORDINGS_PER_WINDOW = 40
_Order = list[tuple[str, int]]
_BY_POSITION: _Order = [("original_id", 1), ("index", 1)]
_BY_ID: _Order = [("_id", 1)]


class SearchTooSlow(DatabaseUnavailable):
    """The time ran out before anything was found."""


@dataclass(frozen=True, slots=True)
class Hit:
    """A segment that contains a word; `start` and `end` in seconds of the recording.

    `matches`: the parts of `text` that match, each by the number of its first character, and of the
    first one after it. `label`: the file name, with so many of its folders that no other recording
    has the same. `channel`: the one that it was said on, None where all were mixed. The annotations
    are for its JSON.
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


@dataclass(frozen=True, slots=True)
class HitPage:
    """Hits by recording and time; `cursor` continues after the last one, None at the end."""

    hits: tuple[Hit, ...]
    cursor: str | None


@dataclass(frozen=True, slots=True)
class _Position:
    """The position of a segment in the queue."""

    recording_id: Any
    index: int
    chunk_id: ObjectId
    segment: int

    @property
    def cursor(self) -> str:
        return f"{self.chunk_id}-{self.segment}"


_Found = tuple[_Position, Hit]
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
        words: SearchQuery,
        *,
        limit: int,
        cursor: str | None = None,
        recording_ids: Iterable[ObjectId] | None = None,
        timeout_seconds: float = 10.0,
    ) -> HitPage:
        """Return up to `limit` hits after `cursor`, in these recordings or in all.

        Return fewer if the time runs out, and raise SearchTooSlow if there are none by then. Raise
        NotFound if the chunk of the cursor is gone.
        """
        after = None if cursor is None else self._position(cursor)
        ids = None if recording_ids is None else sorted(recording_ids)
        found: list[_Found] = []
        is_cut_off = False
        try:
            for hit in self._hits(words, after, ids, timeout_seconds):
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
        self,
        words: SearchQuery,
        after: _Position | None,
        ids: list[ObjectId] | None,
        timeout_seconds: float,
    ) -> Iterator[_Found]:
        """Yield all hits; raise _OutOfTime."""
        deadline = time.monotonic() + timeout_seconds
        are_indexed = all(word.is_whole for word in words.query_words)
        with_index = are_indexed and ids is None and self._index.is_ready()
        scan = _pattern(words)
        queries = indexed_queries(words, scan) if with_index else [scan]
        if ids is None:
            windows = _windows(after, [] if with_index else self._boundaries())
        else:
            windows = _windows_of(ids, after)
        for window, order in windows:
            found = [self._read({**window, **query}, order, deadline) for query in queries]
            for document in merge(*found, key=_place_by(order)):
                yield from _found_in(document, words, after)

    def _read(self, query: Document, order: _Order, deadline: float) -> Iterator[Document]:
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

    def _boundaries(self) -> list[ObjectId]:
        """Return ids that divide the recordings into windows, each read in a short time."""
        ids = [document["_id"] for document in self._db.recordings.find({}, ["_id"])]
        known = sorted(id_ for id_ in ids if isinstance(id_, ObjectId))
        return known[_RECORDINGS_PER_WINDOW::_RECORDINGS_PER_WINDOW]

    def _position(self, cursor: str) -> _Position:
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


def _windows_of(ids: list[ObjectId], after: _Position | None) -> Iterator[tuple[Document, _Order]]:
    """Yield queries that together match each chunk of these recordings after a position once."""
    if after is not None:
        if after.recording_id not in ids:
            return
        yield {"original_id": after.recording_id, "index": {"$gte": after.index}}, _BY_POSITION
        ids = ids[ids.index(after.recording_id) + 1 :]
    for begin in range(0, len(ids), _RECORDINGS_PER_WINDOW):
        some = ids[begin : begin + _RECORDINGS_PER_WINDOW]
        yield {"original_id": some[0] if len(some) == 1 else {"$in": some}}, _BY_POSITION


def _windows(
    after: _Position | None, boundaries: list[ObjectId]
) -> Iterator[tuple[Document, _Order]]:
    """Yield queries that together match each chunk after a position once, and their order.

    Go by the recordings' ids, then to chunks without a recording, then to chunks whose recording
    has a text as its id, which another program wrote.
    """
    at = None if after is None else after.recording_id
    if after is None or isinstance(at, ObjectId):
        if after is not None:
            yield {"original_id": at, "index": {"$gte": after.index}}, _BY_POSITION
        low: ObjectId = at or ObjectId(bytes(12))
        for high in boundaries:
            if high > low:
                yield {"original_id": {"$gt": low, "$lte": high}}, _BY_POSITION
                low = high
        yield {"original_id": {"$gt": low}}, _BY_POSITION
    behind = {} if after is None or isinstance(at, ObjectId) else {"_id": {"$gte": after.chunk_id}}
    if not isinstance(at, str):
        yield {"original_id": None, **behind}, _BY_ID
        behind = {}
    # The embedded database uses its index only for a range with an upper bound.
    yield {"original_id": {"$gte": "", "$lt": "\U0010ffff"}, **behind}, _BY_ID


def _place_by(order: _Order) -> Callable[[Document], tuple[str, int]]:
    """Return what sorts documents as the database does; ObjectIds sort as their hex digits."""
    if order is _BY_ID:
        return lambda document: (str(document["_id"]), 0)
    return lambda document: (str(document["original_id"]), read_count(document.get("index")))


def _pattern(words: SearchQuery) -> Document:
    """Return a query for chunks that contain the longest word, even inside another word.

    The embedded database reads every chunk if a query has several patterns.
    """
    longest = max(words.query_words, key=lambda word: len(word.text))
    return {TEXT_FIELD: {"$regex": longest.pattern, "$options": "i"}}


def _position_of(document: Document, segment: int) -> _Position:
    chunk = read_chunk(document)
    return _Position(chunk.recording_id, chunk.index, chunk.id, segment)


def _found_in(document: Document, words: SearchQuery, after: _Position | None) -> Iterator[_Found]:
    """Yield the hits in one chunk after a position; skip segments that cannot be read."""
    chunk = read_chunk(document)
    recording_id = None if chunk.recording_id is None else str(chunk.recording_id)
    # Without an offset, assume that all chunks are as long as this one.
    begin = chunk.index * chunk.planned_seconds if chunk.offset is None else chunk.offset
    segments = read_mapping(document.get("transcript")).get("segments")
    listed = [read_mapping(segment) for segment in read_list(segments)]
    texts = [(read_text(s.get("text")) or "").strip() for s in listed]
    for number, matches in words.matches(texts).items():
        if after is not None and after.chunk_id == chunk.id and number <= after.segment:
            continue
        start, end = (max(read_number(listed[number].get(f)) or 0.0, 0.0) for f in ("start", "end"))
        start, end = begin + start, begin + max(start, end)
        said = (chunk.id, start, end, texts[number], tuple(matches))
        hit = Hit(recording_id, "", *said, channel=chunk.channel)
        yield _position_of(document, number), hit
