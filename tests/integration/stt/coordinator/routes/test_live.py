"""The pages' WebSocket: who may open it, and when it ends."""

import time
from typing import Any

import pytest
from pydantic import BaseModel
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from stt.coordinator.live import dashboard
from stt.coordinator.routes import live
from tests.support.coordinator_app import PEOPLES_KEY, CoordinatorThread
from tests.support.dashboard_socket import SOON_SECONDS, end_of, next_of, opened


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dashboard.Dashboard, "interval_seconds", 0.05)
    monkeypatch.setattr(live, "_CHECK_SECONDS", 0.05)


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
