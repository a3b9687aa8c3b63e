"""`stt status` and `stt workers`: text, JSON, and how often."""

import json
import threading
from contextlib import nullcontext
from datetime import UTC, datetime
from unittest.mock import Mock

import pytest

from stt.domain.claim import WorkerReport
from stt.store.counts import StateCounts
from stt.store.status import QueueStatus, Rate
from stt.store.workers import WorkerStatus
from tests.unit.stt.cli.conftest import Run

REPORT = WorkerReport("box", 7, "1.2", "http://gpu", "working", 4, ("a", "b"), {"transcribed": 3})
ALIVE, GONE = WorkerStatus("box_7", REPORT, 3.04), WorkerStatus("old_1", REPORT, 900.0)
STATUS = QueueStatus(
    at=datetime(2026, 1, 2, tzinfo=UTC), counts=StateCounts(pending=3), empty=0, resting=0,
    stale=0, rate=Rate(600.0, 0, 0.0, 0.0), eta_seconds=None,
)  # fmt: skip


@pytest.fixture
def queue_status(no_database: Mock, monkeypatch: pytest.MonkeyPatch) -> Mock:
    no_database.without_time_limit = lambda: nullcontext(no_database)
    status = Mock(return_value=STATUS)
    monkeypatch.setattr("stt.cli.status.queue_status", status)
    monkeypatch.setattr(
        "stt.cli.status.MongoRoster", lambda _: Mock(members=lambda: iter((ALIVE, GONE)))
    )
    return status


def test_the_screen_names_the_database_and_counts_its_chunks(
    stt: Run, queue_status: Mock, no_database: Mock
) -> None:
    assert stt("status", "--lease-seconds", "77") == 2  # a setting of workers
    assert stt("status") == 0
    queue_status.assert_called_once_with(no_database, 300)
    assert "stt at mongodb://127.0.0.1:1" in stt.out
    assert "waiting" in stt.out
    assert "1 machine at work" in stt.out


def test_json_has_the_queue_and_the_workers(stt: Run, queue_status: Mock) -> None:
    assert stt("status", "--json") == 0
    found = json.loads(stt.out)
    assert found["counts"] == {"pending": 3, "processing": 0, "transcribed": 0, "failed": 0}
    assert found["at"] == "2026-01-02T00:00:00+00:00"
    assert [(worker["id"], worker["is_alive"]) for worker in found["workers"]] == [
        ("box_7", True), ("old_1", False),
    ]  # fmt: skip


def test_watching_as_json_prints_a_line_each_time_until_ctrl_c(
    stt: Run, queue_status: Mock, monkeypatch: pytest.MonkeyPatch
) -> None:
    pauses = Mock(side_effect=[None, None, KeyboardInterrupt])
    monkeypatch.setattr("stt.cli.status.time.sleep", pauses)
    assert stt("status", "--json", "--watch", "--interval", "5") == 130
    assert [call.args for call in pauses.call_args_list] == [(5.0,)] * 3
    lines = stt.out.splitlines()
    assert len(lines) == 3
    assert all(json.loads(line)["counts"]["pending"] == 3 for line in lines)


def test_workers_as_json_are_flat_objects(stt: Run, queue_status: Mock) -> None:
    assert stt("workers", "--json") == 0
    worker, _ = json.loads(stt.out)
    assert worker == {
        "id": "box_7", "is_alive": True, "age_seconds": 3.0, "host": "box", "pid": 7,
        "version": "1.2", "server": "http://gpu", "state": "working", "slots": 4,
        "chunks": ["a", "b"], "counts": {"transcribed": 3}, "missing_models": [], "models": [],
            "finds_speakers": None,
    }  # fmt: skip


def test_workers_as_a_table_show_each_with_its_server(stt: Run, queue_status: Mock) -> None:
    assert stt("workers") == 0
    assert "box_7" in stt.out
    assert "old_1" in stt.out
    assert "http://gpu" in stt.out


def test_a_wrong_url_does_not_print_its_password(stt: Run) -> None:
    assert stt("status", "--mongo-url", "mongodb://ann:s3cret@db:port") == 3
    assert "s3cret" not in stt.err + stt.out


def test_counts_that_take_long_are_left_out_unless_they_are_waited_for(
    stt: Run, queue_status: Mock, monkeypatch: pytest.MonkeyPatch
) -> None:
    counted = threading.Event()

    def count(*_: object) -> QueueStatus:
        assert counted.wait(60)
        return STATUS

    queue_status.side_effect = count
    monkeypatch.setattr("stt.cli.status._COUNT_SECONDS", 0.1)
    assert stt("status") == 0
    assert "still being counted" in stt.out
    assert "1 machine at work" in stt.out
    assert "waiting" not in stt.out
    threading.Timer(0.5, counted.set).start()
    assert stt("status", "--wait") == 0
    assert "waiting" in stt.out


def test_watching_shows_the_latest_counts_until_the_next_are_known(
    stt: Run, queue_status: Mock, monkeypatch: pytest.MonkeyPatch
) -> None:
    counted = threading.Event()

    def count(*_: object) -> QueueStatus:
        assert queue_status.call_count == 1 or counted.wait(60)
        return STATUS

    queue_status.side_effect = count
    monkeypatch.setattr("stt.cli.status._COUNT_SECONDS", 0.2)
    monkeypatch.setattr("stt.cli.console.time.sleep", Mock(side_effect=[None, KeyboardInterrupt]))
    assert stt("status", "--watch") == 130
    counted.set()
    assert "still being counted" not in stt.out
    assert stt.out.count("waiting") == 2
