"""What pages receive: live state, and what changes."""

import json
from contextlib import suppress

import pytest

from stt.coordinator.live import dashboard
from stt.coordinator.routes import live
from stt.coordinator.store.uploads import UploadLog
from stt.errors import DatabaseUnavailable
from tests.support.coordinator_app import CoordinatorThread
from tests.support.dashboard_socket import SOON_SECONDS, next_of, opened
from tests.support.queue_builder import add_chunks


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dashboard.Dashboard, "interval_seconds", 0.05)
    monkeypatch.setattr(live, "_CHECK_SECONDS", 0.05)


def test_a_page_hears_all_at_once_and_then_what_changes(coordinator: CoordinatorThread) -> None:
    with opened(coordinator) as socket:
        first = {json.loads(socket.recv(SOON_SECONDS))["type"] for _ in range(3)}
        assert first == {"status", "nodes", "uploads"}
        database = coordinator.coordinator.database
        add_chunks(database, 3)
        coordinator.coordinator.queue_monitor.invalidate()
        assert next_of(socket, "status")["counts"]["pending"] == 3
        node_id, _ = coordinator.join("Laptop <b>")
        assert node_id in [node["id"] for node in next_of(socket, "nodes")["nodes"]]
        uploads = UploadLog(database)
        upload_id = database.chunks.find_one({}, ["_id"])["_id"]  # type: ignore[index]
        uploads.begin(upload_id, "spool", "talk.mp3", 10, {})
        [upload] = next_of(socket, "uploads")["uploads"]
        assert (upload["filename"], upload["state"]) == ("talk.mp3", "receiving")


def test_a_quiet_queue_is_told_of_every_now_and_then(
    coordinator: CoordinatorThread, monkeypatch: pytest.MonkeyPatch
) -> None:
    with opened(coordinator) as socket:
        received = 0
        with suppress(TimeoutError):
            while received < 10:  # what earlier tests have left may still be counted
                socket.recv(1.0)
                received += 1
        assert 3 <= received < 10
        monkeypatch.setattr(dashboard, "_REPEAT_SECONDS", 0.1)
        assert next_of(socket, "status")["counts"]["total"] >= 0
        assert json.loads(socket.recv(SOON_SECONDS))["type"] == "status"


def test_a_database_that_is_away_is_told_once_and_all_is_told_anew_when_it_is_back(
    coordinator: CoordinatorThread, monkeypatch: pytest.MonkeyPatch
) -> None:
    with opened(coordinator) as socket:
        next_of(socket, "uploads")
        watch = coordinator.coordinator.queue_monitor
        with monkeypatch.context() as away:

            def nothing() -> None:
                raise DatabaseUnavailable("away")

            away.setattr(type(watch), "now", lambda _: nothing())
            assert next_of(socket, "away") == {"type": "away"}
            with pytest.raises(TimeoutError):
                socket.recv(0.5)
        back = {json.loads(socket.recv(SOON_SECONDS))["type"] for _ in range(3)}
        assert back == {"status", "nodes", "uploads"}
