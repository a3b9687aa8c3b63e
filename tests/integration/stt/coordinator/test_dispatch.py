"""Which chunks a caller is shown, and which it is given."""

from typing import Any

import pytest
from bson import ObjectId

from stt.coordinator.authenticator import Person
from stt.coordinator.dispatch import Dispatcher
from stt.domain.claim import Order, Page
from stt.store import claim_queries
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


def test_many_that_wait_without_a_model_share_one_page(
    database: Database, fresh_coordinator: CoordinatorThread, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What waits for the model is pending all the while, so each would read the queue itself."""
    add_chunks(database, 2, recording_id=add_recording(database, model="large"))
    [other] = add_chunks(database, 1)
    read_page, reads = claim_queries.read_page, []

    def counted(*arguments: Any) -> Page:
        reads.append(arguments)
        return read_page(*arguments)

    monkeypatch.setattr(claim_queries, "read_page", counted)
    dispatcher = Dispatcher(fresh_coordinator.coordinator, Person())
    order = Order(without_models=("large",))
    pages = [dispatcher.page(10, order, is_repeat=True, is_waiting=True) for _ in range(40)]
    assert [chunk.id for chunk in pages[0].chunks] == [other]
    assert len(reads) < 40


def test_one_that_takes_a_part_keeps_no_more_from_the_others(
    database: Database, fresh_coordinator: CoordinatorThread
) -> None:
    add_chunks(database, 4)
    taken = [
        Dispatcher(fresh_coordinator.coordinator, Person(), worker).take(ObjectId(), 1)
        for worker in ("one_1", "two_2", "three_3")
    ]
    assert [len(claims) for claims in taken] == [1, 1, 1]
