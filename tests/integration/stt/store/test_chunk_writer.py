"""Chunks of a recording that is being ingested: where a run continues, and what it removes."""

import pytest
from bson import ObjectId

from stt.domain.chunk import chunk_id
from stt.errors import RecordingError
from stt.media.audio import SAMPLE_RATE
from stt.store.chunk_writer import ChunkWriter, Piece
from stt.store.database import Database, Document
from stt.store.states import PENDING
from tests.support.queue_builder import START

SECONDS = 2


def piece(index: int) -> Piece:
    count = SECONDS * SAMPLE_RATE
    return Piece(index, index * count, count, b"audio %d" % index)


@pytest.fixture
def recording(database: Database) -> Document:
    document = {
        "_id": ObjectId(), "filename": "talk.mp3", "sha256": "0", "start": START, "priority": 3,
        "chunk_seconds": 2.0, "ingested_at": None,
    }  # fmt: skip
    database.recordings.insert_one(document)
    return document


def test_chunks_are_pending_with_their_audio_and_place(
    database: Database, recording: Document
) -> None:
    ChunkWriter(database, recording).add([piece(0), piece(1)])
    first, second = database.chunks.find(PENDING).sort("index")
    assert (second["offset"], second["duration"], second["priority"]) == (2.0, 2.0, 3)
    assert second["_id"] == chunk_id(recording["_id"], 1)
    assert database.audio.find_one({"_id": first["_id"]})["data"] == b"audio 0"  # type: ignore[index]


def test_a_later_run_continues_after_the_chunks_without_a_gap(
    database: Database, recording: Document
) -> None:
    ChunkWriter(database, recording).add([piece(0), piece(1), piece(3)])
    again = ChunkWriter(database, recording)
    assert (again.chunks, again.samples) == (2, 2 * SECONDS * SAMPLE_RATE)
    again.add([piece(2), piece(3)])
    assert database.chunks.count_documents({}) == 4
    assert again.finish().chunk_count == 4


def test_a_priority_that_was_changed_meanwhile_reaches_all_chunks(
    database: Database, recording: Document
) -> None:
    writer = ChunkWriter(database, recording)
    writer.add([piece(0), piece(1)])
    database.recordings.update_one({"_id": recording["_id"]}, {"$set": {"priority": 9}})
    assert writer.finish().ingested_at is not None
    assert {chunk["priority"] for chunk in database.chunks.find()} == {9}


def test_a_recording_that_was_removed_meanwhile_cannot_be_finished(
    database: Database, recording: Document
) -> None:
    writer = ChunkWriter(database, recording)
    writer.add([piece(0)])
    database.recordings.delete_one({"_id": recording["_id"]})
    with pytest.raises(RecordingError, match="it was removed"):
        writer.finish()
    writer.remove()
    assert database.chunks.count_documents({}) == database.audio.count_documents({}) == 0


def test_removing_takes_audio_along_whose_chunk_was_not_stored(
    database: Database, recording: Document
) -> None:
    writer = ChunkWriter(database, recording)
    writer.add([piece(0)])
    database.audio.insert_one({"_id": chunk_id(recording["_id"], 2), "data": b"early"})
    writer.remove()
    assert database.audio.count_documents({}) == database.recordings.count_documents({}) == 0
