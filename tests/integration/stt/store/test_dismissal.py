"""Failed chunks that are dismissed, in a real database."""

from stt.store import claims
from stt.store.database import Database
from stt.store.dismissal import dismiss, put_back
from stt.store.states import DISMISSED, IN_QUARANTINE
from stt.store.status import queue_status
from tests.support.queue_builder import START, add_chunks, add_recording, document


def test_only_failed_chunks_are_dismissed_and_they_stay_failed(database: Database) -> None:
    recording_id = add_recording(database)
    failed = add_chunks(database, 2, recording_id=recording_id, failed_at=START)
    [other] = add_chunks(database, 1, failed_at=START)
    [pending] = add_chunks(database, 1)
    assert dismiss(database, [failed[0], pending]) == 1
    assert dismiss(database, recording_id=recording_id) == 1
    assert dismiss(database, recording_id=recording_id) == 0
    assert [c["_id"] for c in database.chunks.find(IN_QUARANTINE)] == [other]
    status = queue_status(database, 60.0)
    assert (status.counts.failed, status.dismissed) == (3, 2)
    assert [chunk.id for chunk in status.failed_chunks] == [other]
    assert put_back(database, [failed[0], other]) == 1
    assert [c["_id"] for c in database.chunks.find(DISMISSED)] == [failed[1]]
    assert dismiss(database) == 2


def test_all_are_retried_but_those_that_were_dismissed_unless_they_are_named(
    database: Database,
) -> None:
    ids = add_chunks(database, 3, failed_at=START)
    dismiss(database, ids[1:])
    assert claims.retry(database) == 1
    assert claims.retry(database, [ids[1]]) == 1
    assert claims.reset(database, [ids[2]]) == 1
    for chunk_id in ids:
        found = document(database, chunk_id)
        assert found["failed_at"] is found["dismissed_at"] is None
