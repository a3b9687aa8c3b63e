"""Chunks that share one place in their recording: two of one `(original_id, index)`.

Only another program writes such. The unique index on places cannot be made while there are any;
one that is not unique takes its place. Nothing else relies on it: `stt ingest` makes the `_id` of a
chunk from its place, and adds no chunks to recordings of other programs.
"""

import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from pymongo import IndexModel
from pymongo.collection import Collection
from pymongo.errors import DuplicateKeyError, OperationFailure

from stt.store.indexes import REPLACED_INDEXES

UNIQUE_INDEX = "place"
_NOT_UNIQUE = IndexModel([("original_id", 1), ("index", 1), ("_id", 1)], name="places")
_MAX_NAMED = 3

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class SharedPlace:
    """The chunks of one place; `removable` are all but the one to keep."""

    recording: str
    index: Any
    keep: Any
    removable: tuple[Any, ...]

    def __str__(self) -> str:
        chunks = ", ".join(map(str, (self.keep, *self.removable)))
        return f"recording {self.recording}, index {self.index}: chunks {chunks}"


def make_indexes(collection: Collection[dict[str, Any]], indexes: Sequence[IndexModel]) -> None:
    """Make the indexes that are missing, and drop those that they replace.

    If chunks share places, warn, and make one that is not unique. Raise pymongo's errors.
    """
    replaced = set(REPLACED_INDEXES.get(collection.name, ()))
    try:
        collection.create_indexes(indexes)
    except DuplicateKeyError:
        others = [index for index in indexes if index.document["name"] != UNIQUE_INDEX]
        if len(others) == len(indexes):
            raise
        collection.create_indexes([*others, _NOT_UNIQUE])
        logger.warning("%s", advice(list(shared_places(collection, _MAX_NAMED + 1))))
        replaced.discard(_NOT_UNIQUE.document["name"])
    present = collection.index_information().keys() if replaced else set()
    for name in replaced & present:
        # Another process has just dropped it, or this user may not: it only costs time.
        with suppress(OperationFailure):
            collection.drop_index(name)


def shared_places(chunks: Collection[dict[str, Any]], limit: int) -> Iterator[SharedPlace]:
    """Yield places that several chunks share. Read all chunks; raise pymongo's errors."""
    place = {"original_id": "$original_id", "index": "$index"}
    group = {"_id": place, "count": {"$sum": 1}}
    stages: list[Mapping[str, Any]] = [
        {"$group": group}, {"$match": {"count": {"$gt": 1}}}, {"$limit": limit},
    ]  # fmt: skip
    for row in chunks.aggregate(stages, allowDiskUse=True):
        original_id, index = row["_id"].get("original_id"), row["_id"].get("index")
        query = {"original_id": {"$eq": original_id}, "index": {"$eq": index}}
        found = list(chunks.find(query, ["transcript.model", "transcribed_at"]))
        # First what has a text, then what is transcribed, then what came first.
        found.sort(
            key=lambda one: (
                one.get("transcript") is None,
                one.get("transcribed_at") is None,
                str(one["_id"]),
            )
        )
        keep, *others = (one["_id"] for one in found)
        yield SharedPlace(_name(chunks, original_id), index, keep, tuple(others))


def advice(places: Sequence[SharedPlace]) -> str:
    """Return which chunks share places, and what to do, in one line."""
    named = "; ".join(map(str, places[:_MAX_NAMED]))
    more = "; and others" if len(places) > _MAX_NAMED else ""
    removable = [id_ for place in places[:_MAX_NAMED] for id_ in place.removable]
    ids = ", ".join(f'ObjectId("{id_}")' for id_ in removable)
    return (
        f"Chunks of another program share one place, and their text shows twice ({named}{more})."
        " Work goes on. To keep one of each, in a Mongo shell:"
        f" db.audio_chunks.deleteMany({{_id: {{$in: [{ids}]}}}})"
    )


def _name(chunks: Collection[dict[str, Any]], recording_id: Any) -> str:
    query = {"_id": {"$eq": recording_id}}
    found = chunks.database["source_files"].find_one(query, ["filename", "path"]) or {}
    name = found.get("filename") or found.get("path")
    return f"{name} ({recording_id})" if name else str(recording_id)
