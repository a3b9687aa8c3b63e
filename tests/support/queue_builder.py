"""Puts chunks into a test's queue, with all fields, or as sparse as another program writes them."""

from datetime import UTC, datetime, timedelta
from typing import Any

from bson import ObjectId

from stt.domain.chunk import Chunk
from stt.domain.claim import Claim, Claims
from stt.store.database import Database
from stt.store.documents import read_chunk

START = datetime(2026, 1, 1, tzinfo=UTC)


def add_recording(database: Database, **fields: Any) -> ObjectId:
    recording_id = ObjectId()
    database.recordings.insert_one(
        {
            "_id": recording_id,
            "filename": f"{recording_id}.wav",
            "sha256": str(recording_id),
            **fields,
        }
    )
    return recording_id


def add_chunks(
    database: Database,
    count: int,
    *,
    recording_id: ObjectId | None = None,
    audio: bytes | None = None,
    **fields: Any,
) -> list[ObjectId]:
    """Add `count` consecutive pending chunks of one recording; `fields` are laid over each."""
    # With a language, no audio beside a chunk is needed to find it.
    recording_id = recording_id or add_recording(database, language="en")
    documents = [
        {
            "_id": ObjectId(),
            "original_id": recording_id,
            "index": index,
            "start": START + timedelta(seconds=30 * index),
            "offset": 30.0 * index,
            "duration": 30.0,
            "format": "opus",
            "priority": 0,
            "processing_by": None,
            "claimed_at": None,
            "claim_id": None,
            "attempts": 0,
            "expirations": 0,
            "not_before": None,
            "transcribed_at": None,
            "transcript": None,
            "failed_at": None,
            "errors": [],
            **fields,
        }
        for index in range(count)
    ]
    ids = [document["_id"] for document in documents]
    if audio is not None:
        database.audio.insert_many([{"_id": id_, "data": audio} for id_ in ids])
    database.chunks.insert_many(documents)
    return ids


def document(database: Database, chunk_id: ObjectId) -> dict[str, Any]:
    found = database.chunks.find_one({"_id": chunk_id})
    assert found is not None
    return found


def chunk(database: Database, chunk_id: ObjectId) -> Chunk:
    return read_chunk(document(database, chunk_id))


def claimed(claims: Claims, chunk: Chunk) -> Claim:
    claim = claims.claim(chunk)
    assert claim is not None
    return claim
