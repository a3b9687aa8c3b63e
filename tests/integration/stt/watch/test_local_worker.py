"""While a folder is watched, this machine works whenever there is something to do."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from stt.errors import ConfigError, ServerUnavailable
from stt.settings import Settings, load_settings
from stt.store.database import Database
from stt.watch import local_worker as module
from stt.watch.local_worker import LocalWorker
from tests.support.pace import until
from tests.support.queue_builder import add_chunks
from tests.support.scripted_server import Answer, ScriptedServer, always, heard
from tests.support.speech import opus_tone


@pytest.fixture(autouse=True)
def often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_CHECK_SECONDS", 0.05)
    monkeypatch.setattr(module, "_RETRY_SECONDS", 0.05)


@pytest.fixture(scope="module")
def opus() -> bytes:
    return opus_tone(2.0)


def settings_for(server: ScriptedServer) -> Settings:
    return load_settings(server_urls=(server.url,))


def done(database: Database, count: int) -> bool:
    return database.chunks.count_documents({"transcribed_at": {"$ne": None}}) == count


def test_it_works_whenever_chunks_come_and_ends_when_it_is_idle(
    database: Database, opus: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_IDLE_SECONDS", 0.1)
    with (
        ScriptedServer(always("good morning")).running() as server,
        LocalWorker(database, settings_for(server)) as worker,
    ):
        add_chunks(database, 2, audio=opus)
        until(lambda: done(database, 2))

        def is_idle() -> bool:
            worker.check()
            return worker._worker is None

        until(is_idle)
        add_chunks(database, 1, audio=opus)
        until(lambda: done(database, 3))


def test_it_ends_with_what_is_in_flight(database: Database, opus: bytes) -> None:
    def slowly(*_: object) -> Answer:
        asked.set()
        return Answer(body=heard("good morning"), delay_seconds=0.3)

    asked = threading.Event()
    add_chunks(database, 1, audio=opus)
    with (
        ScriptedServer(slowly).running() as server,
        LocalWorker(database, settings_for(server)),
    ):
        until(asked.is_set)
    assert done(database, 1)


def test_in_a_hurry_it_releases_what_is_in_flight(database: Database, opus: bytes) -> None:
    def never(*_: object) -> Answer:
        asked.set()
        may_end.wait()
        return Answer(body=heard("too late"))

    asked, may_end = threading.Event(), threading.Event()
    add_chunks(database, 1, audio=opus)
    with ScriptedServer(never).running() as server:
        try:
            with LocalWorker(database, settings_for(server)) as worker:
                until(asked.is_set)
                worker.hurry()
            [chunk] = database.chunks.find()
            assert chunk["processing_by"] is None
        finally:
            may_end.set()


def test_chunks_of_a_process_that_was_killed_are_work(database: Database, opus: bytes) -> None:
    add_chunks(
        database, 1, audio=opus, processing_by="elsewhere_1", claimed_at=None, lease_seconds=1
    )
    with (
        ScriptedServer(always("good morning")).running() as server,
        LocalWorker(database, settings_for(server)),
    ):
        until(lambda: done(database, 1))


def test_a_setting_that_is_wrong_ends_it_and_a_server_that_is_away_does_not(
    database: Database, opus: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    errors = iter([ServerUnavailable("away"), ConfigError("no such model")])

    @contextmanager
    def refuse(_: Settings, *, speakers: bool) -> Iterator[Settings]:
        raise next(errors)
        yield

    monkeypatch.setattr(module, "whisper_servers", refuse)
    add_chunks(database, 1, audio=opus)
    with LocalWorker(database, load_settings()) as worker:
        until(lambda: not worker._thread.is_alive())
        with pytest.raises(ConfigError, match="no such model"):
            worker.check()


def test_a_fault_of_its_own_ends_the_watch_too(
    database: Database, opus: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_: Settings, *, speakers: bool) -> None:
        raise KeyError("a fault")

    monkeypatch.setattr(module, "whisper_servers", fail)
    add_chunks(database, 1, audio=opus)
    with LocalWorker(database, load_settings()) as worker:
        until(lambda: not worker._thread.is_alive())
        with pytest.raises(KeyError, match="a fault"):
            worker.check()
