"""The key that a coordinator has made, and sessions, as the database stores them."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

from stt.coordinator.store.sessions import Sessions, sha256
from stt.store.database import Database
from tests.support.coordinator_app import CoordinatorThread, logged_in, running_coordinator


def test_a_made_key_is_stored_as_its_hash_and_made_once(database: Database, tmp_path: Path) -> None:
    sessions = Sessions(database)
    key = sessions.make_key()
    assert key is not None
    assert sessions.make_key() is None
    assert key not in str(list(database.options.find()))
    with (
        running_coordinator(database, tmp_path, coordinator_key=None) as running,
        running.node(key) as person,
    ):
        assert person.get("/api/session").status_code == 200


def test_a_new_key_ends_the_old_one_and_every_session(database: Database) -> None:
    sessions = Sessions(database)
    old = sessions.make_key()
    assert old is not None
    token = sessions.begin_session(sha256(old))
    assert sessions.has_session(token, sha256(old))
    new = sessions.make_key(anew=True)
    assert new is not None
    assert sessions.key_hash() == sha256(new)
    assert not sessions.has_session(token, sha256(new))


def test_a_session_that_is_too_old_is_over(fresh_coordinator: CoordinatorThread) -> None:
    with logged_in(fresh_coordinator) as browser:
        sessions = fresh_coordinator.coordinator.database.sessions
        past = datetime.now(UTC) - timedelta(seconds=1)
        assert sessions.update_many({}, {"$set": {"expires_at": past}}).modified_count == 1
        assert [browser.get("/api/session").status_code for _ in range(6)] == [401] * 6


def test_the_database_has_no_token_of_a_session(fresh_coordinator: CoordinatorThread) -> None:
    with logged_in(fresh_coordinator) as browser:
        token = browser.cookies["stt_session"]
    stored = str(list(fresh_coordinator.coordinator.database.sessions.find()))
    assert sha256(token) in stored
    assert token not in stored
