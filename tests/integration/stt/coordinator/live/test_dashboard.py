"""The pages' WebSocket: live state, one poll for all, and an end with the session."""

import json
import time
import uuid
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from typing import Any

import pymongo
import pytest
from pydantic import BaseModel
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection, connect

from stt.coordinator.live import dashboard
from stt.coordinator.routes import live
from stt.coordinator.store.uploads import UploadLog
from stt.errors import DatabaseUnavailable
from stt.store.database import Database
from tests.support.coordinator_app import PEOPLES_KEY, CoordinatorThread, running_coordinator
from tests.support.queue_builder import add_chunks

SOON_SECONDS = 60.0


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


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dashboard.Dashboard, "interval_seconds", 0.05)
    monkeypatch.setattr(live, "_CHECK_SECONDS", 0.05)


def opened(coordinator: CoordinatorThread, key: str = PEOPLES_KEY) -> ClientConnection:
    return connect(
        f"{coordinator.ws_url}/ws/dashboard",
        additional_headers={"Authorization": f"Bearer {key}"},
        compression=None,
        proxy=None,
    )


def next_of(socket: ClientConnection, kind: str) -> dict[str, Any]:
    """Return the next message of this type; drop others."""
    deadline = time.monotonic() + SOON_SECONDS
    while True:
        message: dict[str, Any] = json.loads(socket.recv(deadline - time.monotonic()))
        if message["type"] == kind:
            return message


def end_of(socket: ClientConnection) -> int | None:
    """Receive everything; return the code that the socket was closed with."""
    deadline = time.monotonic() + 3 * SOON_SECONDS
    with suppress(ConnectionClosed):
        while True:
            socket.recv(deadline - time.monotonic())
    return socket.close_code


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


def test_many_pages_cost_one_poll(
    coordinator: CoordinatorThread, monkeypatch: pytest.MonkeyPatch
) -> None:
    reads: list[float] = []
    read = dashboard.Dashboard._read

    def counted(self: dashboard.Dashboard) -> Any:
        reads.append(time.monotonic())
        return read(self)

    monkeypatch.setattr(dashboard.Dashboard, "_read", counted)
    monkeypatch.setattr(dashboard.Dashboard, "interval_seconds", 0.5)
    began_at = time.monotonic()
    with ExitStack() as stack:
        sockets = [stack.enter_context(opened(coordinator)) for _ in range(30)]
        for socket in sockets:
            next_of(socket, "uploads")
        assert len(reads) <= 2 + (time.monotonic() - began_at) / 0.5


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


def test_it_ends_with_the_session(
    coordinator: CoordinatorThread, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live, "_AUTHORIZATION_SECONDS", 0.1)
    with coordinator.anonymous() as browser:
        assert browser.post("/login", json={"key": PEOPLES_KEY}).status_code == 204
        cookie = f"stt_session={browser.cookies['stt_session']}"
        headers = {"Cookie": cookie, "Origin": coordinator.url}
        url = f"{coordinator.ws_url}/ws/dashboard"
        with connect(url, additional_headers=headers, proxy=None) as socket:
            next_of(socket, "status")
            out = browser.post("/logout", headers={"Origin": coordinator.url})
            assert out.status_code < 400
            assert end_of(socket) == live.SESSION_OVER


def test_another_sites_page_cannot_listen(coordinator: CoordinatorThread) -> None:
    with coordinator.anonymous() as browser:
        browser.post("/login", json={"key": PEOPLES_KEY})
        cookie = f"stt_session={browser.cookies['stt_session']}"
    headers = {"Cookie": cookie, "Origin": "https://evil.example"}
    with pytest.raises(InvalidStatus) as refused:
        connect(f"{coordinator.ws_url}/ws/dashboard", additional_headers=headers, proxy=None)
    assert refused.value.response.status_code == 403


@pytest.mark.parametrize(("key", "status"), [("wrong", 401), (None, 403)])
def test_nobody_else_may_listen(
    coordinator: CoordinatorThread, key: str | None, status: int
) -> None:
    if key is None:
        _, key = coordinator.join()
    with pytest.raises(InvalidStatus) as refused:
        opened(coordinator, key)
    assert refused.value.response.status_code == status


def test_polling_ends_with_the_last_page(coordinator: CoordinatorThread) -> None:
    with opened(coordinator) as socket:
        next_of(socket, "status")
        seen: dashboard.Dashboard = coordinator.app.state.dashboard
        assert seen._task is not None
    deadline = time.monotonic() + SOON_SECONDS
    while seen._task is not None and time.monotonic() < deadline:
        time.sleep(0.02)
    assert seen._task is None


def test_a_page_that_does_not_read_is_dropped_and_the_others_are_not(
    coordinator: CoordinatorThread, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Flood(BaseModel):
        filler: str = "x" * 900_000

    def flood(self: dashboard.Dashboard) -> Any:
        yield "status", Flood(), time.monotonic()

    monkeypatch.setattr(dashboard.Dashboard, "_read", flood)
    monkeypatch.setattr(live, "_SEND_SECONDS", 3.0)
    with opened(coordinator) as slow, opened(coordinator) as quick:
        for socket in (slow, quick):
            next_of(socket, "status")  # now both are subscribed
        seen: dashboard.Dashboard = coordinator.app.state.dashboard
        deadline = time.monotonic() + 3 * SOON_SECONDS
        while seen._subscribers == 2 and time.monotonic() < deadline:
            next_of(quick, "status")
        assert seen._subscribers == 1
        next_of(quick, "status")
        assert end_of(slow) in (1006, live._TRY_AGAIN_LATER)


def test_whatever_a_page_says_is_passed_over(coordinator: CoordinatorThread) -> None:
    with opened(coordinator) as socket:
        socket.send("{" * 1000)
        socket.send(b"\xff\x00")
        next_of(socket, "uploads")
