"""The queue's numbers over HTTP, and the queue changed by hand."""

import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pymongo
import pytest
from bson import ObjectId

from stt.coordinator.store.status import hours_until
from stt.domain.claim import WorkerReport
from stt.store.database import Database
from stt.store.workers import MongoRoster
from tests.support.coordinator_app import CoordinatorThread, KeyedSession, running_coordinator
from tests.support.queue_builder import add_chunks, add_recording, document

SAID = {"segments": [{"start": 0.0, "end": 1.0, "text": "word"}]}


@pytest.fixture(scope="module")
def coordinator(
    mongo_url: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[CoordinatorThread]:
    name = f"stt_test_{uuid.uuid4().hex[:12]}"
    with Database(mongo_url, name) as database:
        database.ensure_indexes()
        with running_coordinator(database, tmp_path_factory.mktemp("data")) as coordinator:
            yield coordinator
    with pymongo.MongoClient[dict[str, object]](mongo_url) as client:
        client.drop_database(name)


@pytest.fixture
def queue(coordinator: CoordinatorThread) -> Database:
    """Return the coordinator's database, with nothing in it."""
    database = coordinator.coordinator.database
    for collection in (database.chunks, database.recordings, database.workers, database.nodes):
        collection.delete_many({})
    coordinator.coordinator.queue_monitor.invalidate()
    return database


@pytest.fixture
def person(coordinator: CoordinatorThread) -> Iterator[KeyedSession]:
    with coordinator.person() as session:
        yield session


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

    def test_chunks_that_come_and_are_done_show_without_a_new_census(
        self, coordinator: CoordinatorThread, queue: Database, person: KeyedSession
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
        self, coordinator: CoordinatorThread, queue: Database, person: KeyedSession
    ) -> None:
        add_chunks(queue, 2)
        done = add_chunks(queue, 3, transcribed_at=queue.server_time(), transcript=SAID)
        assert seen(coordinator, person)["counts"]["total"] == 5
        queue.chunks.delete_many({"_id": {"$in": done}})
        coordinator.coordinator.queue_monitor._now.invalidate()
        counts = person.get("/status").json()["counts"]
        assert (counts["pending"], counts["transcribed"], counts["total"]) == (2, 0, 2)

    def test_it_knows_who_is_at_work(
        self, coordinator: CoordinatorThread, queue: Database, person: KeyedSession
    ) -> None:
        node_id, key = coordinator.join("Laptop")
        report = WorkerReport("box", 1, "1", "http://s", "working", 2, (), {"transcribed": 3})
        MongoRoster(queue).report("box_1", report)
        MongoRoster(queue).report(f"{node_id}_7", report)
        status = seen(coordinator, person)
        assert status["workers_alive"] == 2
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


def test_hours_are_those_of_the_clock_and_end_with_the_present_one() -> None:
    now = datetime(2026, 3, 1, 1, 59, 59, tzinfo=UTC)
    assert hours_until(now, 3) == [
        datetime(2026, 2, 28, 23, tzinfo=UTC),
        datetime(2026, 3, 1, 0, tzinfo=UTC),
        datetime(2026, 3, 1, 1, tzinfo=UTC),
    ]


class TestMetrics:
    def test_prometheus_reads_the_queue_and_the_requests(
        self, coordinator: CoordinatorThread, queue: Database, person: KeyedSession
    ) -> None:
        add_chunks(queue, 4)
        add_chunks(queue, 1, transcribed_at=queue.server_time(), transcript=SAID)
        coordinator.coordinator.queue_monitor.invalidate()
        person.get("/tasks?limit=1&cursor=nonsense")
        answer = person.get("/metrics")
        assert answer.headers["content-type"].startswith("text/plain")
        lines = answer.text.splitlines()
        for line in (
            'stt_chunks{state="pending"} 4.0',
            "stt_audio_seconds_transcribed_total 30.0",
            'stt_nodes{state="offline"} 0.0',
            "stt_database_up 1.0",
        ):
            assert line in lines
        assert any(
            line.startswith('stt_requests_total{method="GET",route="/tasks",status="422"}')
            for line in lines
        )

    def test_addresses_that_do_not_exist_make_no_labels(self, person: KeyedSession) -> None:
        person.get(f"/{uuid.uuid4().hex}")
        text = person.get("/metrics").text
        assert 'route="none"' in text
        assert text.count('status="404"') <= 2

    def test_it_needs_the_peoples_key(self, coordinator: CoordinatorThread) -> None:
        with coordinator.anonymous() as anonymous:
            assert anonymous.get("/metrics").status_code == 401


class TestQuarantine:
    def test_it_says_what_went_wrong_the_latest_first(
        self, queue: Database, person: KeyedSession
    ) -> None:
        now = queue.server_time()
        recording_id = add_recording(queue, filename="<b>talk</b>.mp3")
        errors = [
            {"at": now, "worker": "a_1", "kind": "server_fault", "message": "500"},
            {"at": now, "worker": "b_2", "kind": "bad_audio", "message": "x", "server": "http://g"},
        ]
        [old] = add_chunks(
            queue,
            1,
            recording_id=recording_id,
            failed_at=now - timedelta(1),
            errors=errors,
            attempts=3,
        )
        [new] = add_chunks(queue, 1, failed_at=now, errors="garbled")
        found = person.get("/api/quarantine").json()
        assert [chunk["id"] for chunk in found["chunks"]] == [str(new), str(old)]
        assert (found["total"], found["cursor"]) == (2, None)
        chunk = found["chunks"][1]
        assert (chunk["filename"], chunk["attempts"]) == ("<b>talk</b>.mp3", 3)
        assert [error["kind"] for error in chunk["errors"]] == ["server_fault", "bad_audio"]
        assert [error["server"] for error in chunk["errors"]] == [None, "http://g"]
        assert found["chunks"][0]["errors"] == []

    def test_its_pages_have_every_chunk_once_though_all_failed_in_one_moment(
        self, queue: Database, person: KeyedSession
    ) -> None:
        now = queue.server_time()
        ids = {str(id_) for id_ in add_chunks(queue, 7, failed_at=now)}
        ids |= {str(id_) for id_ in add_chunks(queue, 2, failed_at=now - timedelta(seconds=1))}
        found: list[str] = []
        cursor: str | None = ""
        while cursor is not None:
            page = person.get(f"/api/quarantine?limit=2{cursor and '&cursor=' + cursor}").json()
            found += [chunk["id"] for chunk in page["chunks"]]
            cursor = page["cursor"]
        assert len(found) == 9
        assert set(found) == ids

    @pytest.mark.parametrize("cursor", ["x", "1", "-" + "0" * 24, "9" * 15 + "-" + "0" * 24])
    def test_a_cursor_that_is_none_of_ours_is_refused(
        self, person: KeyedSession, cursor: str
    ) -> None:
        assert person.get(f"/api/quarantine?cursor={cursor}").status_code == 422


class TestByHand:
    def test_a_chunk_in_quarantine_is_tried_again(
        self, queue: Database, person: KeyedSession
    ) -> None:
        [chunk_id] = add_chunks(queue, 1, failed_at=queue.server_time(), attempts=3)
        assert person.get("/status").json()["counts"]["failed"] == 1
        assert person.post(f"/api/queue/{chunk_id}/retry").json() == {"ok": True}
        assert document(queue, chunk_id)["failed_at"] is None
        assert person.get("/status").json()["counts"]["pending"] == 1
        refused = person.post(f"/api/queue/{chunk_id}/retry")
        assert (refused.status_code, refused.json()["error"]["code"]) == (409, "conflict")

    def test_all_of_a_recording_or_all_there_are(
        self, queue: Database, person: KeyedSession
    ) -> None:
        recording_id = add_recording(queue)
        add_chunks(queue, 2, recording_id=recording_id, failed_at=queue.server_time())
        add_chunks(queue, 3, failed_at=queue.server_time())
        request = {"source_id": str(recording_id)}
        assert person.post("/api/queue/retry", json=request).json() == {"chunks": 2}
        assert person.post("/api/queue/retry").json() == {"chunks": 3}
        assert person.post("/api/queue/retry", json={"source_id": "all"}).status_code == 422

    def test_a_chunk_is_begun_anew_whatever_its_state(
        self, queue: Database, person: KeyedSession
    ) -> None:
        [chunk_id] = add_chunks(queue, 1, transcribed_at=queue.server_time(), transcript=SAID)
        assert person.get("/status").json()["counts"]["transcribed"] == 1
        assert person.post(f"/api/queue/{chunk_id}/reset").status_code == 200
        assert document(queue, chunk_id)["transcript"] is None
        counts = person.get("/status").json()["counts"]
        assert (counts["pending"], counts["transcribed"]) == (1, 0)

    def test_a_chunk_is_taken_away_from_its_worker(
        self, queue: Database, person: KeyedSession
    ) -> None:
        [chunk_id] = add_chunks(queue, 1, processing_by="a_1", claimed_at=queue.server_time())
        assert person.post(f"/api/queue/{chunk_id}/release").status_code == 200
        assert document(queue, chunk_id)["processing_by"] is None
        assert person.post(f"/api/queue/{chunk_id}/release").status_code == 409

    @pytest.mark.parametrize("action", ["retry", "reset", "release"])
    def test_a_chunk_that_is_not_there_is_told_so(
        self, queue: Database, person: KeyedSession, action: str
    ) -> None:
        assert person.post(f"/api/queue/{ObjectId()}/{action}").status_code == 404
        assert person.post(f"/api/queue/nonsense/{action}").status_code == 422

    def test_a_node_may_not(self, coordinator: CoordinatorThread, queue: Database) -> None:
        _, key = coordinator.join()
        [chunk_id] = add_chunks(queue, 1, failed_at=queue.server_time())
        with coordinator.node(key) as node:
            assert node.post(f"/api/queue/{chunk_id}/retry").status_code == 403
            assert node.post("/api/queue/retry").status_code == 403
