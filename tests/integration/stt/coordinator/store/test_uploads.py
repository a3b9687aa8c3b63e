"""Records of uploads: their states, and who may still change them."""

import pytest
from bson import ObjectId

from stt.coordinator.store.uploads import UploadLog
from stt.errors import NotFound
from stt.store.database import Database


@pytest.fixture
def log(database: Database) -> UploadLog:
    return UploadLog(database)


def begun(log: UploadLog, spool: str = "here", **fields: object) -> ObjectId:
    upload_id = ObjectId()
    log.begin(upload_id, spool, "talk.mp3", 10, {"language": "de"})
    if fields:
        assert log.update(upload_id, **fields)
    return upload_id


def test_an_upload_begins_as_received_with_its_options(log: UploadLog) -> None:
    record = log.get(begun(log))
    assert record is not None
    assert (record.state, record.filename, record.bytes) == ("receiving", "talk.mp3", 10)
    assert (record.received_bytes, record.tries, record.error) == (0, 0, None)
    assert record.options == {"language": "de"}
    assert record.created_at is not None
    assert record.is_open


@pytest.mark.parametrize("state", ["done", "already there", "failed"])
def test_what_has_ended_is_changed_no_more(log: UploadLog, database: Database, state: str) -> None:
    upload_id = begun(log, state=state)
    assert not log.update(upload_id, received_bytes=5)
    assert not log.fail(upload_id, "too late")
    found = database.uploads.find_one({"_id": upload_id})
    assert found is not None
    assert found["ended_at"] is not None  # by which it is removed after a week
    assert log.count_open() == 0


def test_an_open_one_has_no_end_and_stays(log: UploadLog, database: Database) -> None:
    upload_id = begun(log, state="waiting")
    found = database.uploads.find_one({"_id": upload_id})
    assert found is not None
    assert "ended_at" not in found


def test_a_failure_says_why(log: UploadLog) -> None:
    upload_id = begun(log)
    assert log.fail(upload_id, "It broke off.")
    record = log.get(upload_id)
    assert record is not None
    assert (record.state, record.error) == ("failed", "It broke off.")


def test_a_cancelled_one_is_hidden_until_its_file_is_gone(log: UploadLog) -> None:
    upload_id = begun(log)
    log.cancel(upload_id)
    assert log.get(upload_id) is None
    assert log.latest() == log.open_in("here") == []
    assert log.is_known(upload_id)
    assert not log.update(upload_id, state="waiting")
    with pytest.raises(NotFound):
        log.cancel(upload_id)
    log.forget(upload_id)
    assert not log.is_known(upload_id)


def test_one_that_has_ended_is_forgotten_when_it_is_cancelled(log: UploadLog) -> None:
    upload_id = begun(log, state="done")
    log.cancel(upload_id)
    assert not log.is_known(upload_id)


def test_only_cancelled_ones_are_forgotten(log: UploadLog) -> None:
    upload_id = begun(log)
    log.forget(upload_id)
    assert log.is_known(upload_id)


def test_a_recording_that_is_removed_cancels_its_open_uploads_alone(log: UploadLog) -> None:
    mine, done, other = (
        begun(log, sha256="a"), begun(log, sha256="a", state="done"), begun(log, sha256="b"),
    )  # fmt: skip
    log.cancel_all_of("a")
    assert [log.get(id_) is None for id_ in (mine, done, other)] == [True, False, False]


def test_a_coordinator_sees_its_own_spool_oldest_first_and_people_see_all_newest_first(
    log: UploadLog,
) -> None:
    first, elsewhere, second = begun(log), begun(log, "there"), begun(log, state="cutting")
    begun(log, state="done")
    assert [record.id for record in log.open_in("here")] == [first, second]
    assert [record.id for record in log.latest()][1:] == [second, elsewhere, first]
    assert log.count_open() == 3


def test_what_another_program_wrote_is_left_out(log: UploadLog, database: Database) -> None:
    upload_id = begun(log)
    database.uploads.insert_one({"_id": ObjectId(), "state": "receiving", "bytes": "many"})
    database.uploads.insert_one({"_id": "odd", "state": "done"})
    assert [record.id for record in log.latest()] == [upload_id]
