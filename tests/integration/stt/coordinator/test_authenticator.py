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
from tests.support.long_waits import lengthen_waits


@pytest.mark.parametrize("key", ["", "x", PEOPLES_KEY + "x", PEOPLES_KEY.upper(), "ÿ\x80"])
def test_a_key_that_is_nearly_right_is_wrong(
    fresh_coordinator: CoordinatorThread, key: str
) -> None:
    with fresh_coordinator.anonymous() as program:
        header = {"Authorization": f"Bearer {key}".encode("latin-1")}
        assert program.get("/api/session", headers=header).status_code == 401


def status_with(running: CoordinatorThread, key: str) -> int:
    with running.node(key) as program:
        return program.get("/api/session").status_code


def test_guesses_slow_down_and_keys_that_were_right_from_there_are_served_all_the_same(
    fresh_coordinator: CoordinatorThread, monkeypatch: pytest.MonkeyPatch
) -> None:
    lengthen_waits(monkeypatch)
    _, key = fresh_coordinator.join()
    assert status_with(fresh_coordinator, key) == 403  # a node may not, but is known
    guesses = [status_with(fresh_coordinator, f"guess {number}") for number in range(10)]
    assert guesses == [401] * 4 + [429] * 6
    assert status_with(fresh_coordinator, "guess 0") == 429
    with fresh_coordinator.node("guess 99") as thief:
        assert int(thief.get("/api/session").headers["Retry-After"]) >= 1
    assert status_with(fresh_coordinator, PEOPLES_KEY) == 200
    assert status_with(fresh_coordinator, key) == 403
    assert logged_in(fresh_coordinator).get("/api/session").status_code == 200


def test_a_right_key_that_was_never_used_from_there_waits_as_well(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lengthen_waits(monkeypatch)
    with running_coordinator(database, tmp_path) as running:
        for number in range(8):
            status_with(running, f"guess {number}")
        assert status_with(running, PEOPLES_KEY) == 429
    database.refusals.delete_many({})
    with running_coordinator(database, tmp_path) as running:
        assert status_with(running, PEOPLES_KEY) == 200


def test_what_was_right_from_there_is_known_to_other_coordinators_too(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lengthen_waits(monkeypatch)
    with running_coordinator(database, tmp_path) as first:
        assert status_with(first, PEOPLES_KEY) == 200
    with running_coordinator(database, tmp_path) as restarted:
        for number in range(8):
            status_with(restarted, f"guess {number}")
        assert status_with(restarted, PEOPLES_KEY) == 200


def test_an_old_key_that_is_tried_on_and_on_locks_nobody_out(
    fresh_coordinator: CoordinatorThread,
) -> None:
    assert [status_with(fresh_coordinator, "old") for _ in range(20)] == [401] * 20
    assert status_with(fresh_coordinator, PEOPLES_KEY) == 200


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
