"""Which recordings have ended, in a real database."""

from datetime import timedelta
from typing import Any

import pytest
from bson import ObjectId

from stt.domain.transcript import Transcript
from stt.store import endings
from stt.store.claims import MongoClaims
from stt.store.database import Database
from stt.store.endings import (
    Ending,
    chunks_ended_since,
    count_failed,
    is_queue_empty,
    read_ending,
)
from tests.support.queue_builder import add_chunks, add_recording, chunk, claimed


def transcribe(claims: MongoClaims, database: Database, *chunk_ids: ObjectId) -> None:
    for id_ in chunk_ids:
        claims.complete(claimed(claims, chunk(database, id_)), Transcript())


def ending(database: Database, recording_id: Any) -> Ending:
    found = read_ending(database, recording_id)
    assert isinstance(found, Ending)
    return found


def test_a_recording_with_an_open_chunk_has_not_ended(
    database: Database, alice: MongoClaims
) -> None:
    recording = add_recording(database)
    assert read_ending(database, recording) == "open"
    first, second = add_chunks(database, 2, recording_id=recording)
    transcribe(alice, database, first)
    assert read_ending(database, recording) == "open"
    claimed(alice, chunk(database, second))
    assert read_ending(database, recording) == "open"


def test_an_ending_is_the_same_for_each_that_reads_it(
    database: Database, alice: MongoClaims
) -> None:
    recording = add_recording(database, filename="talk.mp3")
    transcribe(alice, database, *add_chunks(database, 3, recording_id=recording))
    first = ending(database, recording)
    assert first == ending(database, recording)
    assert (first.type, first.transcribed, first.failed) == ("recording.done", 3, 0)
    assert first.recording.filename == "talk.mp3"


def test_failures_are_named(database: Database, alice: MongoClaims) -> None:
    recording = add_recording(database)
    good, *_ = add_chunks(database, 1, recording_id=recording)
    transcribe(alice, database, good)
    error = {"kind": "bad_audio", "message": "no frames"}
    now = database.server_time()
    database.chunks.insert_many(
        [
            {"original_id": recording, "index": index, "failed_at": now, "errors": [error]}
            for index in range(1, 9)
        ]
    )
    found = ending(database, recording)
    assert (found.type, found.transcribed, found.failed) == ("recording.failed", 1, 8)
    assert len(found.failures) == 5
    assert found.failures[0]["message"] == "no frames"
    assert count_failed(database) == 8


def test_chunks_that_change_while_they_are_read_settle_nothing(
    database: Database, alice: MongoClaims, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first half may be read before a reset, the second after new results."""
    recording = add_recording(database)
    ids = add_chunks(database, 2, recording_id=recording)
    transcribe(alice, database, *ids)
    read, times = endings._chunks, []

    def change_between(*arguments: Any) -> list[dict[str, Any]]:
        times.append(1)
        if len(times) == 2:
            database.chunks.update_one({"_id": ids[0]}, {"$set": {"claim_id": ObjectId()}})
        return read(*arguments)

    monkeypatch.setattr(endings, "_chunks", change_between)
    assert read_ending(database, recording) == "unsettled"
    assert ending(database, recording)


def test_odd_documents_of_other_programs_stop_nothing(database: Database) -> None:
    """No recording's document, no claim, a name for an id, values of other types."""
    now = database.server_time()
    for index, odd in enumerate(["2026", True, {"a": 1}]):
        database.chunks.insert_one(
            {"original_id": "call 7", "index": index, "transcribed_at": now, "claim_id": odd}
        )
    database.chunks.insert_one({"original_id": {"a": 1}, "index": 0, "transcribed_at": now})
    database.chunks.insert_one({"index": 0, "transcribed_at": now})
    since = now - timedelta(seconds=60)
    assert {recording for recording, _ in chunks_ended_since(database, since)} == {"call 7"}
    assert ending(database, "call 7").recording.filename == "call 7"


def test_chunks_that_ended_lately_are_found_in_both_states(
    database: Database, alice: MongoClaims
) -> None:
    done, failed, pending = add_chunks(database, 3)
    before = database.server_time() - timedelta(seconds=1)
    transcribe(alice, database, done)
    database.chunks.update_one({"_id": failed}, {"$currentDate": {"failed_at": True}})
    found = {id_ for _, (id_, _) in chunks_ended_since(database, before)}
    assert found == {done, failed}
    assert list(chunks_ended_since(database, before + timedelta(days=1))) == []
    assert not is_queue_empty(database)
    transcribe(alice, database, pending)
    assert is_queue_empty(database)
