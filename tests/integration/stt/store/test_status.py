"""The numbers of `stt status`, from a real database."""

from datetime import timedelta
from typing import Any

import pytest
from bson import ObjectId

from stt.domain.chunk import SPEAKERS
from stt.domain.claim import WorkerReport
from stt.store.counts import StateCounts
from stt.store.database import Database
from stt.store.status import QueueStatus, queue_status
from stt.store.workers import MongoRoster
from tests.support.queue_builder import add_chunks, add_recording

LEASE_SECONDS = 60.0


def status_of(database: Database) -> QueueStatus:
    return queue_status(database, LEASE_SECONDS)


def ago(database: Database, seconds: float) -> Any:
    return database.server_time() - timedelta(seconds=seconds)


def test_an_empty_queue_has_nothing_and_no_wait(database: Database) -> None:
    status = status_of(database)
    assert status.counts == StateCounts()
    assert (status.eta_seconds, status.sources, status.failed_chunks) == (0.0, (), ())


def test_every_chunk_is_in_exactly_one_state(database: Database) -> None:
    now = database.server_time()
    add_chunks(database, 4)
    add_chunks(database, 3, processing_by="alice_1", claimed_at=now)
    add_chunks(database, 2, transcribed_at=now)
    add_chunks(database, 1, failed_at=now)
    # By hand, or by a worker of old: what is done is done, whatever else is written there.
    add_chunks(database, 1, transcribed_at=now, failed_at=now, processing_by="alice_1")
    counts = status_of(database).counts
    assert counts == StateCounts(pending=4, processing=3, transcribed=3, failed=1)
    assert (counts.total, counts.open) == (11, 7)


def test_a_sparse_chunk_of_another_program_is_pending(database: Database) -> None:
    recording_id = ObjectId()
    database.chunks.insert_one({"original_id": recording_id, "index": 0, "data": b"x"})
    status = status_of(database)
    assert status.counts.pending == 1
    [recording] = status.sources
    assert (recording.id, recording.filename, recording.is_ingesting) == (
        recording_id,
        str(recording_id),
        False,
    )


def test_silent_resting_and_stale_chunks_are_counted_within_their_states(
    database: Database,
) -> None:
    now = database.server_time()
    said = {"segments": [{"start": 0.0, "end": 1.0, "text": "word"}]}
    add_chunks(database, 2, transcribed_at=now, transcript={"segments": []})
    add_chunks(database, 1, transcribed_at=now, transcript=said)
    add_chunks(database, 3, not_before=now + timedelta(seconds=100))
    add_chunks(database, 1, not_before=now - timedelta(seconds=100))
    add_chunks(database, 1, processing_by="dead_1", claimed_at=ago(database, LEASE_SECONDS + 5))
    add_chunks(database, 1, processing_by="by_hand", claimed_at=None)
    add_chunks(database, 1, processing_by="alive_1", claimed_at=now)
    status = status_of(database)
    assert (status.empty, status.resting, status.stale) == (2, 3, 2)
    assert (status.counts.pending, status.counts.processing) == (4, 3)


class TestRate:
    def test_it_counts_results_of_the_window_since_the_first_of_them(
        self, database: Database
    ) -> None:
        add_chunks(database, 1, transcribed_at=ago(database, 120))
        add_chunks(database, 3, transcribed_at=ago(database, 30))
        add_chunks(database, 50, transcribed_at=ago(database, 5000))
        add_chunks(database, 10)
        status = status_of(database)
        assert status.rate.chunks == 4
        assert status.rate.chunks_per_minute == pytest.approx(2.0, rel=0.1)
        assert status.rate.audio_seconds_per_second == pytest.approx(1.0, rel=0.1)
        assert status.eta_seconds == pytest.approx(300, rel=0.1)

    def test_a_single_result_just_now_does_not_promise_wonders(self, database: Database) -> None:
        add_chunks(database, 1, transcribed_at=database.server_time())
        assert status_of(database).rate.chunks_per_minute <= 4

    def test_there_is_no_eta_while_nothing_moves(self, database: Database) -> None:
        add_chunks(database, 2)
        assert status_of(database).eta_seconds is None

    def test_what_waits_for_a_missing_model_has_no_part_in_the_time_left(
        self, database: Database
    ) -> None:
        now = database.server_time()
        add_chunks(database, 4, transcribed_at=now - timedelta(seconds=60))
        wanted = add_recording(database, model="huge")
        add_chunks(database, 3, recording_id=wanted)
        MongoRoster(database).report("a_1", WorkerReport(slots=1, missing_models=("huge",)))
        assert status_of(database).eta_seconds is None
        add_chunks(database, 2)
        status = status_of(database)
        assert status.eta_seconds == pytest.approx(120 / status.rate.chunks_per_minute)

    def test_what_waits_for_a_model_and_for_speakers_counts_once(self, database: Database) -> None:
        now = database.server_time()
        add_chunks(database, 4, transcribed_at=now - timedelta(seconds=60))
        add_chunks(database, 3, recording_id=add_recording(database, model="huge", speakers=0))
        add_chunks(database, 2)
        lacking = WorkerReport(slots=1, missing_models=("huge", SPEAKERS))
        MongoRoster(database).report("a_1", lacking)
        status = status_of(database)
        assert [one.chunks for one in status.missing_models] == [3, 3]
        assert status.eta_seconds == pytest.approx(120 / status.rate.chunks_per_minute)

    def test_chunks_that_do_not_say_their_duration_count_as_chunks(
        self, database: Database
    ) -> None:
        add_chunks(database, 2, transcribed_at=ago(database, 30), duration=None)
        rate = status_of(database).rate
        assert (rate.chunks, rate.audio_seconds_per_second) == (2, 0.0)


def test_progress_of_sources_is_kept_apart(database: Database) -> None:
    now = database.server_time()
    done = add_recording(database, filename="done.mp3", duration=60.0)
    half = add_recording(database, filename="half.mp3", ingested_at=None)
    add_chunks(database, 2, recording_id=done, transcribed_at=now)
    add_chunks(database, 3, recording_id=half)
    first, second = status_of(database).sources
    assert (first.filename, first.duration_seconds, first.is_ingesting) == ("done.mp3", 60.0, False)
    assert first.counts == StateCounts(transcribed=2)
    assert (second.filename, second.is_ingesting) == ("half.mp3", True)
    assert second.counts == StateCounts(pending=3)


class TestFailedChunks:
    def test_each_shows_its_last_error(self, database: Database) -> None:
        now = database.server_time()
        recording_id = add_recording(database, filename="talk.mp3")
        errors = [
            {"at": now, "worker": "a_1", "kind": "server_fault", "message": "500"},
            {"at": now, "worker": "b_2", "kind": "bad_audio", "message": "no audio"}
            | {"server": "http://gpu-box:8081"},
        ]
        [chunk_id] = add_chunks(
            database, 1, recording_id=recording_id, failed_at=now, attempts=3, errors=errors
        )
        [failed] = status_of(database).failed_chunks
        assert (failed.id, failed.filename, failed.attempts) == (chunk_id, "talk.mp3", 3)
        assert (failed.kind, failed.message, failed.worker) == ("bad_audio", "no audio", "b_2")
        assert failed.server == "http://gpu-box:8081"

    def test_one_without_a_record_is_shown_too(self, database: Database) -> None:
        add_chunks(database, 1, failed_at=database.server_time(), errors=None)
        assert [failed.kind for failed in status_of(database).failed_chunks] == ["unknown"]

    def test_the_latest_come_first_and_not_all_of_many(self, database: Database) -> None:
        add_chunks(database, 30, failed_at=ago(database, 100))
        [latest] = add_chunks(database, 1, failed_at=database.server_time())
        status = status_of(database)
        assert status.counts.failed == 31
        assert status.failed_chunks[0].id == latest
        assert len(status.failed_chunks) == 20


def test_chunks_at_rest_show_their_last_error_the_next_try_first(database: Database) -> None:
    now = database.server_time()
    errors = [{"at": now, "worker": "a_1", "kind": "server_fault", "message": "500"}]
    [later] = add_chunks(database, 1, not_before=now + timedelta(seconds=90), errors=errors)
    [sooner] = add_chunks(
        database, 1, not_before=now + timedelta(seconds=30), errors=errors, attempts=1
    )
    add_chunks(database, 1, not_before=now - timedelta(seconds=30), errors=errors)
    first, second = status_of(database).resting_chunks
    assert (first.id, second.id) == (sooner, later)
    assert (first.kind, first.message, first.attempts) == ("server_fault", "500", 1)
    assert first.failed_at is None
    assert first.again_at is not None
    assert abs((first.again_at - now).total_seconds() - 30) < 0.01


def test_looking_changes_nothing(database: Database) -> None:
    add_chunks(database, 2, processing_by="dead_1", claimed_at=ago(database, 1000))
    before = list(database.chunks.find())
    status_of(database)
    assert list(database.chunks.find()) == before
