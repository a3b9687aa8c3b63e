"""What is logged of requests."""

import logging

import pytest

from tests.support.coordinator_app import PEOPLES_KEY, CoordinatorThread


def test_no_key_is_in_the_log(
    fresh_coordinator: CoordinatorThread, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    with fresh_coordinator.node("a-wrong-key") as thief, fresh_coordinator.person() as person:
        thief.get("/api/session?key=in-the-query")
        person.post("/login", json={"key": PEOPLES_KEY})
        person.patch("/api/options", json={"distributed": "a-wrong-key"})
    lines = [r.getMessage() for r in caplog.records if r.name.startswith("stt")]
    assert sum("/api/session 401" in line for line in lines) == 1
    for secret in ("a-wrong-key", PEOPLES_KEY, "in-the-query"):
        assert not any(secret in line for line in lines)
