"""Waits of a worker that are shorter than in use."""

import pytest


@pytest.fixture(autouse=True)
def _short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("planner", "stop_conditions"):
        monkeypatch.setattr(f"stt.worker.{module}.POLL_SECONDS", 0.25)
    monkeypatch.setattr("stt.worker.worker_thread._DATABASE_RETRY_SECONDS", 0.2)
    monkeypatch.setattr("stt.worker.heartbeat._RETRY_SECONDS", 0.2)
    monkeypatch.setattr("stt.domain.backoff._RETRY_WAITS_SECONDS", (0.1, 0.2, 0.3))
    monkeypatch.setattr("stt.whisper.server_state._FIRST_REST_SECONDS", 0.05)
    monkeypatch.setattr("stt.whisper.server_state._MAX_REST_SECONDS", 0.25)
