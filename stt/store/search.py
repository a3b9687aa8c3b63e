"""Full-text search: the segments of transcripts in which words were said.

Every word must occur in the chunk; search_words.py says what counts as one.

Where the server has text indexes, one is made when somebody first searches, and tells which chunks
to read; what to make of them is decided here, so that the answer is the same without. Else the
transcripts themselves are searched, a few recordings at a time.
"""

import logging
import re
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from math import isfinite
from typing import Any, Literal

import pymongo
from bson import ObjectId
from pymongo import IndexModel
from pymongo.errors import ExecutionTimeout, OperationFailure, PyMongoError

from stt.domain.chunk import Chunk, Recording
from stt.errors import DatabaseUnavailable, NotFound
from stt.store.database import Database, Document, translated
from stt.store.search_query import BadQuery, SearchQuery

logger = logging.getLogger(__name__)

_FIELDS = [
    "original_id", "index", "offset", "duration",
    "transcript.segments.start", "transcript.segments.end", "transcript.segments.text",
]  # fmt: skip
_TEXT = "transcript.segments.text"
# Transcripts have a field `language`, which an index would take for the one to stem their words
# by, and refuse the document where it knows none of that name: so it is told of another field.
_INDEX = IndexModel(
    [(_TEXT, "text")],
    name="words",
    default_language="none",
    language_override="language_of_text_index",
)
_INDEX_SECONDS = 1_800.0
_SOURCES_A_WINDOW = 40
_BY_PLACE = [("original_id", 1), ("index", 1)]
_BY_ID = [("_id", 1)]


class SearchTooSlow(DatabaseUnavailable):
    """Nothing was found in the time that there was, and not all was searched."""


@dataclass(frozen=True, slots=True)
class Hit:
    """A segment with a word in it; `start` and `end` in seconds of the recording."""

    recording_id: str | None
    filename: str
    chunk_id: ObjectId
    start: float
    end: float
    text: str


@dataclass(frozen=True, slots=True)
class HitPage:
    """Hits in the order of the recordings, and of each; `cursor` for more, None at the end."""

    hits: tuple[Hit, ...]
    cursor: str | None


@dataclass(frozen=True, slots=True)
class _Place:
    """A segment in the queue: the cursor is written `CHUNK-SEGMENT`."""

    recording_id: Any
    index: int
    chunk_id: ObjectId
    segment: int


@dataclass(frozen=True, slots=True)
class _Found:
    place: _Place
    start: float
    end: float
    text: str

    @property
    def cursor(self) -> str:
        return f"{self.place.chunk_id}-{self.place.segment}"


class Search:
    """Searches one database. Raises DatabaseUnavailable. Safe between threads.

    It tries once to have the text index made, before it searches, or meanwhile if
    `in_background`, and remembers what came of it.
    """

    def __init__(self, database: Database, *, in_background: bool = False) -> None:
        self._db = database
        self._in_background = in_background
        self._lock = threading.Lock()
        self._index: Literal["unknown", "in the making", "there", "none"] = "unknown"

    def find(
        self,
        words: SearchQuery,
        *,
        limit: int,
        cursor: str | None = None,
        recording_id: ObjectId | None = None,
        timeout_seconds: float = 10.0,
    ) -> HitPage:
        """Up to `limit` hits behind `cursor`, of one recording or of all.

        Fewer if time runs out. Raises SearchTooSlow if that leaves none, and NotFound for a
        cursor that points at nothing.
        """
        after = None if cursor is None else self._place(cursor)
        found: list[_Found] = []
        is_cut_off = False
        try:
            for hit in self._hits(words, after, recording_id, timeout_seconds):
                found.append(hit)
                if len(found) > limit:
                    break
        except _OutOfTime:
            is_cut_off = True
            if not found:
                raise SearchTooSlow(
                    f"The search found nothing within {timeout_seconds:g} s and was given up:"
                    " search in one recording."
                ) from None
        shown = found[:limit]
        has_more = len(found) > limit or is_cut_off
        return HitPage(self._named(shown), shown[-1].cursor if has_more else None)

    def _hits(
        self,
        words: SearchQuery,
        after: _Place | None,
        recording_id: ObjectId | None,
        timeout_seconds: float,
    ) -> Iterator[_Found]:
        """Raises _OutOfTime."""
        deadline = time.monotonic() + timeout_seconds
        with_index = words.are_indexed and recording_id is None and self._has_index()
        wanted = _text_query(words) if with_index else _pattern(words)
        boundaries = [] if with_index or recording_id is not None else self._boundaries()
        for window, order in _windows(after, recording_id, boundaries):
            left_ms = int((deadline - time.monotonic()) * 1_000)
            if left_ms <= 0:
                raise _OutOfTime
            cursor = self._db.chunks.find({**window, **wanted}, _FIELDS, batch_size=100)
            try:
                with translated(), cursor.sort(order).max_time_ms(left_ms) as documents:
                    for document in documents:
                        yield from _found_in(document, words, after)
            except DatabaseUnavailable as error:
                if isinstance(error.__cause__, ExecutionTimeout):
                    raise _OutOfTime from error
                if with_index and isinstance(error.__cause__, OperationFailure):
                    self._index = "none"  # somebody has dropped it: the next search is a scan
                raise

    def _boundaries(self) -> list[ObjectId]:
        """Ids of recordings between which a scan of the transcripts takes no long time."""
        with translated():
            ids = [document["_id"] for document in self._db.recordings.find({}, ["_id"])]
        known = sorted(id_ for id_ in ids if isinstance(id_, ObjectId))
        return known[_SOURCES_A_WINDOW::_SOURCES_A_WINDOW]

    def _place(self, cursor: str) -> _Place:
        chunk_id, _, segment = cursor.partition("-")
        if not (ObjectId.is_valid(chunk_id) and re.fullmatch("[0-9]{1,9}", segment)):
            raise BadQuery("This cursor is none of a search.")
        with translated():
            fields = ["original_id", "index"]
            document = self._db.chunks.find_one({"_id": ObjectId(chunk_id)}, fields)
        if document is None:
            raise NotFound("What was found last is gone: search again.")
        return _place_of(document, int(segment))

    def _named(self, found: list[_Found]) -> tuple[Hit, ...]:
        ids = {f.place.recording_id for f in found if isinstance(f.place.recording_id, ObjectId)}
        with translated():
            documents = self._db.recordings.find({"_id": {"$in": list(ids)}}, ["filename"])
            names = {d["_id"]: Recording.from_document(d).filename for d in documents}
        return tuple(
            Hit(
                recording_id=None if f.place.recording_id is None else str(f.place.recording_id),
                filename=names.get(f.place.recording_id, str(f.place.recording_id or "")),
                chunk_id=f.place.chunk_id,
                start=f.start,
                end=f.end,
                text=f.text,
            )
            for f in found
        )

    def _has_index(self) -> bool:
        with self._lock:
            if self._index == "unknown":
                self._index = "in the making"
                thread = threading.Thread(target=self._make_index, name="text index", daemon=True)
                thread.start()
                if not self._in_background:
                    thread.join()
            return self._index == "there"

    def _make_index(self) -> None:
        """Does nothing where it is there already."""
        try:
            with pymongo.timeout(_INDEX_SECONDS):
                self._db.chunks.create_indexes([_INDEX])
        except OperationFailure as error:  # this server has none, or not for this user
            logger.debug("no text index: %s", error)
            self._index = "none"
        except PyMongoError as error:
            logger.debug("no text index yet: %s", error)
            self._index = "unknown"
        else:
            self._index = "there"


class _OutOfTime(Exception):
    pass


def _windows(
    after: _Place | None, recording_id: ObjectId | None, boundaries: list[ObjectId]
) -> Iterator[tuple[Document, list[tuple[str, int]]]]:
    """Queries that together have every chunk behind a place once, and the order of each.

    By the ids of their recordings; chunks of no recording come last, then those of one that
    another program calls by some text.
    """
    at = None if after is None else after.recording_id
    if after is None or isinstance(at, ObjectId):
        if after is not None:
            yield {"original_id": at, "index": {"$gte": after.index}}, _BY_PLACE
        elif recording_id is not None:
            yield {"original_id": recording_id}, _BY_PLACE
        if recording_id is not None:
            return
        low: ObjectId = at or ObjectId(bytes(12))
        for high in boundaries:
            if high > low:
                yield {"original_id": {"$gt": low, "$lte": high}}, _BY_PLACE
                low = high
        yield {"original_id": {"$gt": low}}, _BY_PLACE
    behind = {} if after is None or isinstance(at, ObjectId) else {"_id": {"$gte": after.chunk_id}}
    if not isinstance(at, str):
        yield {"original_id": None, **behind}, _BY_ID
        behind = {}
    # With an upper bound: without one, an embedded database leaves its index aside.
    yield {"original_id": {"$gte": "", "$lt": "\U0010ffff"}, **behind}, _BY_ID


def _text_query(words: SearchQuery) -> Document:
    """As phrases, all of which have to be there."""
    phrases = " ".join(f'"{word}"' for word in words.words)
    return {"$text": {"$search": phrases, "$diacriticSensitive": True}}


def _pattern(words: SearchQuery) -> Document:
    """Coarser than what counts: the longest word alone, wherever it stands.

    Not every server's patterns know where a word ends, and an embedded one looks at every chunk
    there is if it is asked for several at once.
    """
    return {_TEXT: {"$regex": re.escape(max(words.stems, key=len)), "$options": "i"}}


def _place_of(document: Document, segment: int) -> _Place:
    chunk = Chunk.from_document(document)
    return _Place(chunk.recording_id, chunk.index, chunk.id, segment)


def _found_in(document: Document, words: SearchQuery, after: _Place | None) -> Iterator[_Found]:
    """The hits in one chunk, those up to the place left out; garbled segments have none."""
    chunk = Chunk.from_document(document)
    # Where another program has left out the offset, chunks are taken for equally long.
    begin = chunk.index * chunk.planned_seconds if chunk.offset is None else chunk.offset
    transcript = document.get("transcript")
    segments = transcript.get("segments") if isinstance(transcript, Mapping) else None
    listed = [s if isinstance(s, Mapping) else {} for s in _list(segments)]
    texts = [text if isinstance(text := s.get("text"), str) else "" for s in listed]
    for number in words.segments_in(texts):
        if after is not None and after.chunk_id == chunk.id and number <= after.segment:
            continue
        start, end = _seconds(listed[number].get("start")), _seconds(listed[number].get("end"))
        place = _place_of(document, number)
        yield _Found(place, begin + start, begin + max(start, end), texts[number].strip())


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _seconds(value: Any) -> float:
    is_number = isinstance(value, (int, float)) and isfinite(value)
    return max(float(value), 0.0) if is_number else 0.0
