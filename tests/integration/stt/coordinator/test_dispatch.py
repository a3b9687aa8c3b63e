"""Which chunks a caller is shown, and which it is given."""

from stt.domain.claim import Order
from stt.store.database import Database
from tests.support.coordinator_app import CoordinatorThread
from tests.support.queue_builder import add_chunks, add_recording, chunk, document
from tests.support.remote_member import HELLO, Member


def test_a_chunk_that_failed_before_travels_alone(database: Database, mac: Member) -> None:
    recording = add_recording(database)
    add_chunks(database, 1, recording_id=recording, attempts=1)
    add_chunks(database, 1, recording_id=recording, index=1)
    query = {"worker_id": mac.worker, "wait": "0"}
    answers = [mac.session.get("/tasks/next", params=query).json() for _ in range(2)]
    assert [len(answer["tasks"]) for answer in answers] == [1, 1]


def test_a_node_that_was_switched_off_gets_nothing_and_may_finish_what_it_has(
    database: Database, fresh_coordinator: CoordinatorThread, mac: Member
) -> None:
    one, two = add_chunks(database, 2)
    claim = mac.claim(database, one)
    change = fresh_coordinator.person().patch(f"/api/nodes/{mac.id}", json={"is_enabled": False})
    assert change.ok
    page = mac.queue.page(10, Order())
    assert page.chunks == ()
    assert page.next_due_seconds is not None
    assert mac.queue.claim(chunk(database, two)) is None
    mac.queue.complete(claim, HELLO)
    assert document(database, one)["transcribed_at"] is not None
