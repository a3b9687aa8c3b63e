"""Fills a database as mycelia does: recordings in chunks of 10 s, and transcriptions of sequences.

A worker of mycelia takes consecutive chunks with speech as one sequence, writes one transcription
of it, and sets `transcribed_at` of its chunks. `processing_by` stays. It divides a long sequence at
a chunk that both parts have.
"""

from datetime import UTC, datetime, timedelta
from typing import Any

from bson import ObjectId

from stt.store.database import Database

START = datetime(2025, 3, 1, 9, 0, tzinfo=UTC)
_WORKER = "studio_4711"


def add_mycelia_recording(
    database: Database, path: str, count: int, *, done: int, audio: bytes = b"OggS"
) -> tuple[ObjectId, list[ObjectId]]:
    """Add a recording of `count` chunks, of which the first `done` are transcribed."""
    recording_id = ObjectId()
    database.recordings.insert_one(
        {
            "_id": recording_id,
            "path": path,
            "size": 1000,
            "start": START,
            "platform": {"system": "Darwin", "node": "studio", "importer": "local"},
            "ingested": True,
            "ingested_at": START + timedelta(days=1),
        }
    )
    chunks = []
    for index in range(count):
        chunk: dict[str, Any] = {
            "_id": ObjectId(),
            "format": "opus",
            "original_id": recording_id,
            "index": index,
            "ingested_at": START + timedelta(days=1),
            "start": START + timedelta(seconds=10 * index),
            "data": audio,
            "vad": {"prob": 0.8, "has_speech": True, "ran_at": START},
        }
        if index < done:
            chunk |= {"transcribed_at": START + timedelta(days=2), "processing_by": _WORKER}
            chunk |= {"claimed_at": START + timedelta(days=2)}
        chunks.append(chunk)
    database.chunks.insert_many(chunks)
    return recording_id, [chunk["_id"] for chunk in chunks]


def add_transcription(
    database: Database,
    recording_id: ObjectId,
    first_chunk: int,
    *segments: tuple[float, float, str],
    **fields: Any,
) -> ObjectId:
    """Add a transcription that begins with this chunk; times of segments are relative to it."""
    start = START + timedelta(seconds=10 * first_chunk)
    id_ = ObjectId()
    document = {
        "_id": id_,
        "original": recording_id,
        "start": start,
        "duration": segments[-1][1] if segments else 0.0,
        "end": start + timedelta(seconds=segments[-1][1] if segments else 0.0),
        "language": "en",
        "top_language_probs": [["en", 0.97], ["de", 0.01]],
        "segments": [
            {"text": text, "start": begin, "end": end, "no_speech_prob": 0.02}
            for begin, end, text in segments
        ],
        **fields,
    }
    database.chunks.database["transcriptions"].insert_one(document)
    return id_
