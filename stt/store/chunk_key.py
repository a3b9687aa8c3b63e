"""Name one chunk in a query so that a sharded collection need ask one shard only.

`audio_chunks` is sharded by `original_id` (`docs/guides/scale.md`). MongoDB before 7.0 refuses
`find_one_and_update` by `_id` alone there, and every version asks all shards for it.
"""

from collections.abc import Iterable
from typing import Any

from bson import ObjectId

from stt.domain.chunk import Chunk
from stt.store.database import Database, Document, translated
from stt.store.documents import read_hashable
from stt.store.states import Query


def key_of(chunk: Chunk) -> Query:
    """Return the query of a chunk: its `_id`, and its recording if that is known."""
    return _key(chunk.id, chunk.recording_id)


def key_in(document: Document, *others: str) -> Query:
    """Return the query of a chunk as it was read: its key, and the values of `others`."""
    key = _key(document["_id"], read_hashable(document.get("original_id")))
    return key | {field: document.get(field) for field in others}


def recordings_of(database: Database, chunk_ids: Iterable[ObjectId]) -> dict[ObjectId, Any]:
    """Return the recordings of these chunks by chunk id. Raise DatabaseUnavailable.

    For what names a chunk by its id alone, as messages of nodes do.
    """
    query = {"_id": {"$in": list(chunk_ids)}}
    with translated(), database.chunks.find(query, ["original_id"]) as cursor:
        return {found["_id"]: read_hashable(found.get("original_id")) for found in cursor}


def _key(chunk_id: ObjectId, recording_id: Any) -> Query:
    # A document that lacks it, or has a list there, is found by its id.
    return {"_id": chunk_id} | ({} if recording_id is None else {"original_id": recording_id})
