"""A recording is removed with its chunks and their audio, and no other is."""

import sys

import pytest
from bson import ObjectId

from stt.domain.chunk import chunk_id
from stt.store.database import Database
from stt.store.removal import remove_recording
from tests.support.queue_builder import add_chunks, add_recording


def test_all_of_a_recording_is_removed_and_nothing_of_another(database: Database) -> None:
    removed, kept = add_recording(database), add_recording(database)
    for recording_id in (removed, kept):
        add_chunks(database, 3, recording_id=recording_id, audio=b"opus")
    remove_recording(database, removed)
    assert database.recordings.distinct("_id") == [kept]
    assert database.chunks.distinct("original_id") == [kept]
    assert database.audio.count_documents({}) == 3


def test_where_no_s3_is_in_use_no_boto3_is_needed(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "boto3", None)
    recording_id = add_recording(database)
    add_chunks(database, 1, recording_id=recording_id, audio=b"opus")
    remove_recording(database, recording_id)
    assert database.recordings.distinct("_id") == []


def test_audio_that_a_crashed_ingest_left_without_a_chunk_is_removed(database: Database) -> None:
    recording_id = add_recording(database)
    database.audio.insert_one({"_id": chunk_id(recording_id, 2), "data": b"opus"})
    remove_recording(database, recording_id)
    assert database.audio.count_documents({}) == 0


def test_one_that_is_gone_is_no_error(database: Database) -> None:
    remove_recording(database, ObjectId())
