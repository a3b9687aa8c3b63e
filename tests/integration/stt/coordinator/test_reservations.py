"""Chunks that are reserved for nodes of a higher priority."""

import time

import pytest

from stt.coordinator import reservations
from stt.domain.claim import ClaimRules, Order
from stt.store.database import Database
from tests.support.coordinator_app import CoordinatorThread
from tests.support.queue_builder import add_chunks
from tests.support.remote_member import Member


def test_scarce_work_is_left_to_a_node_of_higher_priority_for_a_while(
    database: Database,
    fresh_coordinator: CoordinatorThread,
    rules: ClaimRules,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    slow = Member(fresh_coordinator, rules, "slow")
    fast = Member(fresh_coordinator, rules, "fast")
    person = fresh_coordinator.person()
    assert person.patch(f"/api/nodes/{fast.id}", json={"priority": 5}).ok
    report = {"worker_id": fast.worker, "state": "working", "slots": 2}
    assert fast.session.post(f"/api/nodes/{fast.id}/heartbeat", json=report).ok
    ids = add_chunks(database, 3)
    time.sleep(1.1)  # nodes are read once a second
    assert [c.id for c in fast.queue.page(10, Order()).chunks] == ids
    assert [c.id for c in slow.queue.page(10, Order()).chunks] == ids[2:]
    monkeypatch.setattr(reservations, "_MAX_RESERVED_SECONDS", 0.0)
    assert [c.id for c in slow.queue.page(10, Order()).chunks] == ids
