"""Recordings with chunks of 30 s in the queue, some of them transcribed."""

from datetime import UTC, datetime
from typing import Any

from bson import ObjectId

from stt.store.database import Database
from tests.support.queue_builder import add_chunks, add_recording

NOW = datetime(2026, 1, 2, tzinfo=UTC)


def post_recording(database: Database, count: int = 3, **fields: Any) -> str:
    """Add a recording that is complete, with pending chunks of 30 s."""
    usual = {"ingested_at": NOW, "chunk_count": count, "duration": 30.0 * count, "created_at": NOW}
    recording_id = add_recording(database, **{**usual, **fields})
    if count:
        add_chunks(database, count, recording_id=recording_id, audio=b"opus")
    return str(recording_id)


def set_chunk(database: Database, recording_id: str, index: int, **fields: Any) -> ObjectId:
    query = {"original_id": ObjectId(recording_id), "index": index}
    database.chunks.update_one(query, {"$set": fields})
    found = database.chunks.find_one(query)
    assert found is not None
    found_id: ObjectId = found["_id"]
    return found_id


def transcribe(
    database: Database, recording_id: str, index: int, *texts: str, **fields: Any
) -> ObjectId:
    segments = [{"start": 5.0 * n, "end": 5.0 * n + 4, "text": t} for n, t in enumerate(texts)]
    usual = {"worker": "box_1", "model": "tiny", "server": "http://gpu:8081"}
    transcript = {**usual, **fields, "segments": segments}
    return set_chunk(database, recording_id, index, transcribed_at=NOW, transcript=transcript)
