"""When a worker begins beside the reading of files, and how it ends."""

import threading
from typing import Any
from unittest.mock import Mock

import pytest
from bson import ObjectId

from stt.cli.early_work import EarlyWork
from stt.domain.chunk import Recording
from stt.errors import DatabaseUnavailable, ServerUnavailable
from stt.settings import Settings, load_settings
from tests.support.pace import until


class FakeWorker:
    """A worker that works until it is stopped, or its recordings have all come."""

    def __init__(self) -> None:
        self.stopped = threading.Event()
        self.calls: list[Any] = []
        self.options: Any = None
        self.was_interrupted = False
        self.stats = Mock(recordings={ObjectId()})
        self.progress = Mock()

    def at_database(self, _database: object, _settings: Settings, options: Any) -> "FakeWorker":
        self.options = options
        return self

    def run(self) -> None:
        until(lambda: self.stopped.is_set() or self.options.arrivals.has_ended)

    def stop(self, reason: str, *, at_once: bool) -> None:
        self.calls.append((reason, at_once))
        self.stopped.set()

    def drain(self) -> None:
        self.calls.append("drain")
        self.was_interrupted = True
        self.stopped.set()


@pytest.fixture
def worker(monkeypatch: pytest.MonkeyPatch) -> FakeWorker:
    worker = FakeWorker()
    monkeypatch.setattr("stt.worker.worker.Worker", worker)
    return worker


def early(*, may_begin: bool = True, **flags: Any) -> tuple[EarlyWork, Mock]:
    servers = Mock()
    servers.ready.return_value = load_settings(**flags)
    return EarlyWork(Mock(), servers, load_settings(**flags), may_begin=may_begin), servers


def recording(model: str | None = None) -> Recording:
    return Recording(ObjectId(), "talk.mp3", model=model)


def test_it_begins_with_the_first_chunk_and_takes_what_comes_later(worker: FakeWorker) -> None:
    work, servers = early()
    first, second, stored = recording(), recording(), ObjectId()
    with work:
        work.begun(first, True)
        work.cut(0.0, 0.0)
        servers.ready.assert_not_called()
        work.cut(30.0, 600.0)
        work.begun(second, True)
        work.cut(30.0, 900.0)
        until(lambda: worker.options is not None)
        assert worker.options.arrivals.recordings == (first.id, second.id)
        assert worker.options.arrivals.expected_chunks == 30
        assert work.finish((stored,)) == worker.stats.recordings
    assert worker.options.arrivals.recordings[-1] == stored
    assert worker.calls == []


@pytest.mark.parametrize(
    ("is_new", "model", "flags", "begins"),
    [
        (True, None, {}, True),
        (False, None, {}, False),  # its stored text may have to be made anew
        (True, "base", {}, False),  # others may want another model
        (True, "base", {"model": "small"}, True),
        (True, "base", {"server_urls": ("http://gpu:1",)}, True),
        (True, None, {"may_begin": False}, False),
    ],
)
def test_it_waits_where_the_rest_may_change_what_is_done(
    worker: FakeWorker, is_new: bool, model: str | None, flags: dict[str, Any], begins: bool
) -> None:
    work, servers = early(**flags)
    with work:
        work.begun(recording(model), is_new)
        work.cut(30.0, 60.0)
        assert bool(work.finish(())) == begins
    assert servers.ready.called == begins


def test_an_error_of_the_worker_ends_the_reading(worker: FakeWorker) -> None:
    work, servers = early()
    servers.ready.side_effect = ServerUnavailable("gone")

    def read() -> bool:
        work.cut(30.0, 60.0)
        return False

    with work:
        work.begun(recording(), True)
        with pytest.raises(ServerUnavailable, match="gone"):
            until(read)


@pytest.mark.parametrize(
    ("error", "calls"),
    [(KeyboardInterrupt(), ["drain"]), (DatabaseUnavailable("away"), [("away", True)])],
)
def test_an_error_of_the_reading_ends_the_worker(
    worker: FakeWorker, error: BaseException, calls: list[Any]
) -> None:
    work, _ = early()
    work.begun(recording(), True)
    work.cut(30.0, 60.0)
    until(lambda: work._worker is not None)
    worker.options = Mock(arrivals=Mock(has_ended=False))
    with pytest.raises(type(error)), work:
        raise error
    assert worker.calls == calls
    assert work._thread is not None
    assert not work._thread.is_alive()


def test_a_server_that_starts_is_ended_with_the_reading(worker: FakeWorker) -> None:
    work, servers = early()
    ended = threading.Event()

    def ready(_model: str | None) -> Settings:
        ended.wait(60)
        raise ServerUnavailable("killed")

    servers.ready, servers.end = ready, lambda *, is_well: ended.set()
    work.begun(recording(), True)
    work.cut(30.0, 60.0)
    with pytest.raises(KeyboardInterrupt), work:
        raise KeyboardInterrupt
    assert work._thread is not None
    assert not work._thread.is_alive()
