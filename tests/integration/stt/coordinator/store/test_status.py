"""The numbers of the queue, kept up between two full counts."""

from typing import Any

from stt.store.database import Database
from tests.support.coordinator_app import CoordinatorThread, KeyedSession
from tests.support.queue_builder import add_chunks

SAID = {"segments": [{"start": 0.0, "end": 1.0, "text": "word"}]}


def seen(coordinator: CoordinatorThread, person: KeyedSession) -> dict[str, Any]:
    """Return the status of a read that begins now."""
    coordinator.coordinator.queue_monitor.invalidate()
    answer = person.get("/status")
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def test_chunks_that_come_and_are_done_show_without_a_new_census(
    coordinator: CoordinatorThread, queue: Database, person: KeyedSession
) -> None:
    add_chunks(queue, 2)
    assert seen(coordinator, person)["counts"]["pending"] == 2
    watch = coordinator.coordinator.queue_monitor
    add_chunks(queue, 3)
    add_chunks(queue, 1, transcribed_at=queue.server_time(), transcript=SAID)
    watch._now.invalidate()
    counts = person.get("/api/queue/status").json()["counts"]
    assert (counts["pending"], counts["transcribed"]) == (5, 1)


def test_chunks_that_were_deleted_are_gone_at_once(
    coordinator: CoordinatorThread, queue: Database, person: KeyedSession
) -> None:
    add_chunks(queue, 2)
    done = add_chunks(queue, 3, transcribed_at=queue.server_time(), transcript=SAID)
    assert seen(coordinator, person)["counts"]["total"] == 5
    queue.chunks.delete_many({"_id": {"$in": done}})
    coordinator.coordinator.queue_monitor._now.invalidate()
    counts = person.get("/status").json()["counts"]
    assert (counts["pending"], counts["transcribed"], counts["total"]) == (2, 0, 2)
