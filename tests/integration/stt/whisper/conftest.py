"""Rests of a server that are shorter than in use."""

import pytest


@pytest.fixture(autouse=True)
def _short_rests(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("stt.whisper.server_state._FIRST_REST_SECONDS", 0.1)
    monkeypatch.setattr("stt.whisper.server_state._MAX_REST_SECONDS", 0.5)
