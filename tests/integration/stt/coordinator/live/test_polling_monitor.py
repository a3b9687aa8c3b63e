"""One poll for all subscribers, for as long as there are any."""

import time
from contextlib import ExitStack
from typing import Any

import pytest

from stt.coordinator.live import dashboard
from stt.coordinator.routes import live
from tests.support.coordinator_app import CoordinatorThread
from tests.support.dashboard_socket import SOON_SECONDS, next_of, opened


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dashboard.Dashboard, "interval_seconds", 0.05)
    monkeypatch.setattr(live, "_CHECK_SECONDS", 0.05)


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


def test_polling_ends_with_the_last_page(coordinator: CoordinatorThread) -> None:
    with opened(coordinator) as socket:
        next_of(socket, "status")
        seen: dashboard.Dashboard = coordinator.app.state.dashboard
        assert seen._task is not None
    deadline = time.monotonic() + SOON_SECONDS
    while seen._task is not None and time.monotonic() < deadline:
        time.sleep(0.02)
    assert seen._task is None
