"""A real database is checked, and one that does not answer is a problem, in bounded time."""

import socket
import time
from dataclasses import replace

import pytest

from stt.doctor.checks import Finding
from stt.doctor.database import database_findings
from stt.domain.claim import WorkerReport
from stt.errors import DatabaseUnavailable
from stt.local.place import DatabasePlace
from stt.store.database import Database
from stt.store.inspection import DatabaseInspector, ServerInfo
from stt.store.workers import MongoRoster
from tests.support.queue_builder import add_chunks, add_recording

SERVER = ServerInfo("8.0.4", True, None, None, False, 0.0)


def checked(url: str | None, name: str = "stt", *, is_embedded: bool = False) -> dict[str, Finding]:
    place = DatabasePlace("here", url, is_embedded)
    return {finding.check: finding for finding in database_findings(place, name, 60.0)}


def test_a_database_that_is_well(database: Database, mongo_url: str) -> None:
    found = checked(mongo_url, database.chunks.database.name, is_embedded=True)
    assert list(found) == ["database", "indexes", "write safety", "clock"]
    assert {finding.state for finding in found.values()} == {"ok"}
    assert "version" in found["database"].message


def test_a_model_that_no_worker_has_is_named(database: Database, mongo_url: str) -> None:
    add_chunks(database, 3, recording_id=add_recording(database, model="big"))
    report = WorkerReport(slots=2, missing_models=("big",))
    MongoRoster(database).report("alice_1", report)
    found = checked(mongo_url, database.chunks.database.name)["models"]
    assert (found.state, "'big'" in found.message, "3" in found.message) == ("warning", True, True)


def test_missing_indexes_are_a_warning_and_stay_missing(mongo_url: str) -> None:
    found = checked(mongo_url, "doctor_of_nothing")
    assert found["indexes"].state == "warning"
    assert "audio_chunks.pages" in found["indexes"].message
    with Database(mongo_url, "doctor_of_nothing") as database:
        assert database.chunks.database.list_collection_names() == []


def test_a_database_that_does_not_run_is_only_described() -> None:
    assert checked(None)["database"] == Finding("database", "ok", "here")


def test_a_server_that_takes_connections_and_says_nothing_is_a_problem_in_bounded_time() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"mongodb://127.0.0.1:{silent.getsockname()[1]}/?directConnection=true"
        place = DatabasePlace("here", url)
        began = time.monotonic()
        with pytest.raises(DatabaseUnavailable):
            list(database_findings(place, "stt", 1.0))
        assert time.monotonic() - began < 60


@pytest.mark.parametrize(
    ("server", "state", "words"),
    [
        (SERVER, "warning", "no replica set"),
        (replace(SERVER, is_router=True), "ok", "sharded"),
        (replace(SERVER, replica_set="rs0", members=1), "ok", "rs0 of 1: writes wait for all"),
        (replace(SERVER, replica_set="rs0", members=3), "ok", "rs0 of 3: writes wait for 2"),
        (replace(SERVER, replica_set="rs0", members=5), "ok", "rs0 of 5: writes wait for 3"),
    ],
)
def test_what_a_write_waits_for_is_said(
    database: Database,
    mongo_url: str,
    monkeypatch: pytest.MonkeyPatch,
    server: ServerInfo,
    state: str,
    words: str,
) -> None:
    monkeypatch.setattr(DatabaseInspector, "server", lambda _: server)
    finding = checked(mongo_url, database.chunks.database.name)["write safety"]
    assert finding.state == state
    assert words in finding.message
    assert bool(finding.advice) is (state == "warning")


@pytest.mark.parametrize(
    ("seconds", "state", "words"),
    [(0.0, "ok", "within"), (-3, "ok", "within 3.0 s"), (90, "warning", "90 s ahead of"),
     (-90, "warning", "90 s behind")],
)  # fmt: skip
def test_the_clocks_are_compared(
    mongo_url: str, monkeypatch: pytest.MonkeyPatch, seconds: float, state: str, words: str
) -> None:
    server = replace(SERVER, clock_seconds_ahead=seconds)
    monkeypatch.setattr(DatabaseInspector, "server", lambda _: server)
    finding = checked(mongo_url)["clock"]
    assert (finding.state, words in finding.message) == (state, True)


@pytest.mark.parametrize(
    ("change", "code"), [({"is_primary": False}, 4), ({"may_write": False}, 3)], ids=str
)
def test_one_that_cannot_be_written_is_a_problem(
    mongo_url: str, monkeypatch: pytest.MonkeyPatch, change: dict[str, bool], code: int
) -> None:
    is_primary = change.get("is_primary", True)
    server = replace(SERVER, is_primary=is_primary)
    monkeypatch.setattr(DatabaseInspector, "server", lambda _: server)
    monkeypatch.setattr(DatabaseInspector, "may_write", lambda _: change.get("may_write"))
    finding = checked(mongo_url)["database"]
    assert (finding.state, finding.exit_code) == ("problem", code)
    assert finding.advice
