"""The queue's numbers over HTTP."""

from datetime import datetime, timedelta
from typing import Any

import pytest

from stt.coordinator.store.status import hours_until
from stt.domain.claim import WorkerReport
from stt.store.database import Database
from stt.store.workers import MongoRoster
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


class TestStatus:
    def test_an_empty_queue_has_nothing_left(
        self, coordinator: CoordinatorThread, queue: Database, person: KeyedSession
    ) -> None:
        status = seen(coordinator, person)
        assert status["counts"] == {
            "pending": 0, "processing": 0, "transcribed": 0, "failed": 0, "total": 0,
        }  # fmt: skip
        assert (status["eta_seconds"], status["audio_seconds_total"]) == (0.0, 0.0)
        assert datetime.fromisoformat(status["at"]).tzinfo is not None

    def test_it_counts_by_state_and_in_seconds_of_audio(
        self, coordinator: CoordinatorThread, queue: Database, person: KeyedSession
    ) -> None:
        now = queue.server_time()
        add_chunks(queue, 4)
        add_chunks(queue, 2, processing_by="alice_1", claimed_at=now)
        add_chunks(queue, 3, transcribed_at=now - timedelta(seconds=30), transcript=SAID)
        add_chunks(queue, 1, failed_at=now, errors=[{"at": now, "kind": "bad_audio"}])
        status = seen(coordinator, person)
        assert status["counts"] == {
            "pending": 4, "processing": 2, "transcribed": 3, "failed": 1, "total": 10,
        }  # fmt: skip
        assert (status["audio_seconds_done"], status["audio_seconds_total"]) == (90.0, 300.0)
        assert status["errors_last_hour"] == 1
        assert status["rate"]["chunks_per_minute"] == pytest.approx(6, abs=1)
        assert status["eta_seconds"] == pytest.approx(60, abs=15)

    def test_it_knows_who_is_at_work(
        self, coordinator: CoordinatorThread, queue: Database, person: KeyedSession
    ) -> None:
        node_id, key = coordinator.join("Laptop")
        report = WorkerReport("box", 1, "1", "http://s", "working", 2, (), {"transcribed": 3})
        MongoRoster(queue).report("box_1", report)
        MongoRoster(queue).report(f"{node_id}_7", report)
        status = seen(coordinator, person)
        assert (status["workers_alive"], status["machines_alive"]) == (2, 1)
        assert sum(status["nodes"].values()) == 1
        workers = {w["id"]: w for w in person.get("/api/workers").json()["workers"]}
        assert workers["box_1"]["node_id"] is None
        assert workers[f"{node_id}_7"]["node_id"] == node_id
        assert workers["box_1"]["counts"] == {"transcribed": 3}
        assert workers["box_1"]["is_alive"] is True
        with coordinator.node(key) as node:
            assert node.get("/status").status_code == 200
            assert node.get("/api/workers").status_code == 403


class TestThroughput:
    def test_a_day_has_24_hours_with_zeros_where_nothing_was_done(
        self, coordinator: CoordinatorThread, queue: Database, person: KeyedSession
    ) -> None:
        now = queue.server_time()
        add_chunks(queue, 2, transcribed_at=now)
        add_chunks(queue, 3, transcribed_at=now - timedelta(hours=5))
        add_chunks(queue, 1, failed_at=now - timedelta(hours=5))
        add_chunks(queue, 9, transcribed_at=now - timedelta(hours=30))
        coordinator.coordinator.queue_monitor._throughputs.cache_clear()
        buckets = person.get("/api/queue/throughput").json()["buckets"]
        assert len(buckets) == 24
        times = [datetime.fromisoformat(bucket["at"]) for bucket in buckets]
        assert times == hours_until(now, 24)
        assert [bucket["chunks"] for bucket in buckets][-1] == 2
        assert buckets[-6] | {"at": ""} == {
            "at": "", "chunks": 3, "audio_seconds": 90.0, "failed": 1,
        }  # fmt: skip
        assert sum(bucket["chunks"] for bucket in buckets) == 5

    @pytest.mark.parametrize("hours", ["0", "169", "-1", "many", "1e3"])
    def test_a_number_of_hours_that_cannot_be_is_refused(
        self, person: KeyedSession, hours: str
    ) -> None:
        assert person.get(f"/api/queue/throughput?hours={hours}").status_code == 422
