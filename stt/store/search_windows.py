"""In which order a search reads chunks: windows of recordings, and where to go on."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from bson import ObjectId

from stt.store.database import Database, Document
from stt.store.documents import read_count

_RECORDINGS_PER_WINDOW = 40
Order = list[tuple[str, int]]
_BY_POSITION: Order = [("original_id", 1), ("index", 1)]
_BY_ID: Order = [("_id", 1)]


@dataclass(frozen=True, slots=True)
class Position:
    """The position of a segment in the queue."""

    recording_id: Any
    index: int
    chunk_id: ObjectId
    segment: int

    @property
    def cursor(self) -> str:
        return f"{self.chunk_id}-{self.segment}"


def boundaries(database: Database) -> list[ObjectId]:
    """Return ids that divide the recordings into windows, each read in a short time."""
    ids = [document["_id"] for document in database.recordings.find({}, ["_id"])]
    known = sorted(id_ for id_ in ids if isinstance(id_, ObjectId))
    return known[_RECORDINGS_PER_WINDOW::_RECORDINGS_PER_WINDOW]


def windows_of(ids: list[ObjectId], after: Position | None) -> Iterator[tuple[Document, Order]]:
    """Yield queries that together match each chunk of these recordings after a position once."""
    if after is not None:
        if after.recording_id not in ids:
            return
        yield {"original_id": after.recording_id, "index": {"$gte": after.index}}, _BY_POSITION
        ids = ids[ids.index(after.recording_id) + 1 :]
    for begin in range(0, len(ids), _RECORDINGS_PER_WINDOW):
        some = ids[begin : begin + _RECORDINGS_PER_WINDOW]
        yield {"original_id": some[0] if len(some) == 1 else {"$in": some}}, _BY_POSITION


def windows(after: Position | None, borders: list[ObjectId]) -> Iterator[tuple[Document, Order]]:
    """Yield queries that together match each chunk after a position once, and their order.

    Go by the recordings' ids, then to chunks without a recording, then to chunks whose recording
    has a text as its id, which another program wrote.
    """
    at = None if after is None else after.recording_id
    if after is None or isinstance(at, ObjectId):
        if after is not None:
            yield {"original_id": at, "index": {"$gte": after.index}}, _BY_POSITION
        low: ObjectId = at or ObjectId(bytes(12))
        for high in borders:
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


def place_by(order: Order) -> Callable[[Document], tuple[str, int]]:
    """Return what sorts documents as the database does; ObjectIds sort as their hex digits."""
    if order is _BY_ID:
        return lambda document: (str(document["_id"]), 0)
    return lambda document: (str(document["original_id"]), read_count(document.get("index")))
