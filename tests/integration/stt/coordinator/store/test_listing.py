"""The list of chunks in quarantine: its order, its pages, its errors."""

import time
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

from bson import ObjectId

from stt.coordinator.store.listing import count_quarantine, read_quarantine
from stt.domain.chunk import RecordedError
from stt.errors import DatabaseUnavailable
from stt.store.claim_queries import has_pending
from stt.store.database import Database
from stt.system.single_flight import SingleFlight
from tests.support.queue_builder import START, add_chunks, add_recording


def fail(database: Database, ids: list, minutes: int, **fields: object) -> None:  # type: ignore[type-arg]
    failed_at = START + timedelta(minutes=minutes)
    query = {"_id": {"$in": ids}}
    database.chunks.update_many(query, {"$set": {"failed_at": failed_at, **fields}})


def test_pages_have_each_failed_chunk_once_latest_first(database: Database) -> None:
    ids = add_chunks(database, 7, recording_id=add_recording(database))
    fail(database, ids[:2], 1)
    fail(database, ids[2:5], 2)
    seen, after = [], None
    while page := read_quarantine(database, 2, after):
        seen += [ObjectId(entry.id) for entry in page]
        assert page[-1].failed_at is not None
        after = page[-1].failed_at, ObjectId(page[-1].id)
    assert seen == [ids[4], ids[3], ids[2], ids[1], ids[0]]
    assert count_quarantine(database) == 5


def test_a_chunk_that_was_transcribed_after_all_is_not_in_quarantine(database: Database) -> None:
    fail(database, add_chunks(database, 1), 1, transcribed_at=START)
    assert read_quarantine(database, 10) == []
    assert count_quarantine(database) == 0


def test_an_entry_has_its_recordings_name_and_its_errors_oldest_first(database: Database) -> None:
    [id_] = add_chunks(database, 1, recording_id=add_recording(database, filename="talk.mp3"))
    errors = [{"kind": "refused", "message": m, "worker": "a_1", "at": START} for m in "ab"]
    fail(database, [id_], 1, errors=errors)
    [entry] = read_quarantine(database, 10)
    assert entry.filename == "talk.mp3"
    assert entry.errors == tuple(RecordedError(START, "refused", m, "a_1", None) for m in "ab")


def test_an_entry_of_an_unknown_recording_is_called_by_its_id(database: Database) -> None:
    [id_] = add_chunks(database, 1)
    recording_id = add_recording(database)
    database.chunks.update_one({"_id": id_}, {"$set": {"original_id": recording_id}})
    database.recordings.delete_one({"_id": recording_id})
    fail(database, [id_], 1)
    assert read_quarantine(database, 10)[0].filename == str(recording_id)


def test_those_who_wait_find_a_database_that_is_away_together() -> None:
    url = "mongodb://127.0.0.1:1/?serverSelectionTimeoutMS=300&directConnection=true"
    with Database(url, "gone") as gone, ThreadPoolExecutor(20) as pool:
        shared = SingleFlight(lambda: has_pending(gone))
        began = time.monotonic()
        errors = [one.exception() for one in [pool.submit(shared.get) for _ in range(20)]]
    assert {type(error) for error in errors} == {DatabaseUnavailable}
    assert time.monotonic() - began < 3  # one after the other they would take six
