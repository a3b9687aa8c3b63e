"""The sender of a request, found by key or session."""

from pathlib import Path

import pytest

from stt.store.database import Database
from tests.support.coordinator_app import (
    PEOPLES_KEY,
    CoordinatorThread,
    logged_in,
    running_coordinator,
)


@pytest.mark.parametrize("key", ["", "x", PEOPLES_KEY + "x", PEOPLES_KEY.upper(), "ÿ\x80"])
def test_a_key_that_is_nearly_right_is_wrong(
    fresh_coordinator: CoordinatorThread, key: str
) -> None:
    with fresh_coordinator.anonymous() as program:
        header = {"Authorization": f"Bearer {key}".encode("latin-1")}
        assert program.get("/api/session", headers=header).status_code == 401


def test_wrong_keys_slow_down_and_the_right_one_is_served_all_the_same(
    fresh_coordinator: CoordinatorThread,
) -> None:
    with fresh_coordinator.node("wrong") as thief, fresh_coordinator.person() as person:
        received = [thief.get("/api/session") for _ in range(6)]
        assert [answer.status_code for answer in received] == [401] * 4 + [429] * 2
        assert received[-1].headers["Retry-After"] == "1"
        assert person.get("/api/session").status_code == 200
        assert logged_in(fresh_coordinator).get("/api/session").status_code == 200


def test_without_any_key_nobody_comes_in(database: Database, tmp_path: Path) -> None:
    with (
        running_coordinator(database, tmp_path, coordinator_key=None) as running,
        running.node("anything") as anonymous,
    ):
        assert anonymous.get("/api/session").status_code == 401
        assert anonymous.post("/login", json={"key": ""}).status_code == 401


def test_the_key_of_the_environment_needs_no_database(lonely: CoordinatorThread) -> None:
    with lonely.person() as person:
        assert person.get("/api/session").status_code == 200
        assert person.post("/login", json={"key": PEOPLES_KEY}).status_code == 503


def test_behind_a_proxy_that_rewrites_host_the_public_address_is_our_own(
    database: Database, tmp_path: Path
) -> None:
    public = "https://stt.example.org"
    with (
        running_coordinator(database, tmp_path, public_url=public) as running,
        logged_in(running) as browser,
    ):
        for origin, status in ((public, 200), ("https://other.example.org", 403)):
            answer = browser.patch("/api/options", json={}, headers={"Origin": origin})
            assert answer.status_code == status
