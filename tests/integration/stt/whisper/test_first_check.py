"""What a person learns at once of servers that do not answer."""

import logging
import threading
from collections.abc import Iterator

import pytest

from stt.settings import load_settings
from stt.whisper import pool
from stt.whisper.first_check import warn_of_absent_servers
from stt.whisper.pool import ServerPool
from tests.support.mongo_process import free_port
from tests.support.raw_server import RawServer, answer_of

READY = answer_of(b'{"capacity": 3}')


class _Together:
    """An answer that comes once so many have asked."""

    def __init__(self, count: int) -> None:
        self._barrier = threading.Barrier(count, timeout=60)

    def __iter__(self) -> Iterator[bytes]:
        self._barrier.wait()
        yield READY


class _Never:
    """No answer, until the test ends."""

    def __init__(self) -> None:
        self.ended = threading.Event()

    def __iter__(self) -> Iterator[bytes]:
        self.ended.wait(60)
        yield b""


def test_each_that_does_not_answer_is_named_with_the_flag_that_changes_how_long_it_is_waited_for(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(pool, "FIRST_CHECK_SECONDS", 0.2)
    busy = answer_of(b"", "Retry-After: 1", status="503 Service Unavailable")
    never = _Never()
    closed = f"http://127.0.0.1:{free_port()}"
    with (
        RawServer([READY]).running() as ready,
        RawServer([busy]).running() as loading,
        RawServer(never).running() as hanging,
        caplog.at_level(logging.WARNING),
    ):
        settings = load_settings(
            server_urls=(ready.url, loading.url, closed, hanging.url), server_unreachable_minutes=7
        )
        for thread in warn_of_absent_servers(settings):
            thread.join()
        never.ended.set()
    end = "it is waited for, 7 min at most (--server-unreachable-minutes)"
    assert sorted(caplog.messages) == sorted([
        f"{closed} does not answer: Connection refused; {end}",
        f"{hanging.url} does not answer: no answer in time; {end}",
    ])  # fmt: skip


def test_a_worker_asks_all_its_servers_at_the_same_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pool, "FIRST_CHECK_SECONDS", 60.0)
    together = _Together(3)
    with (
        RawServer(together).running() as first,
        RawServer(together).running() as second,
        RawServer(together).running() as third,
    ):
        settings = load_settings(server_urls=(first.url, second.url, third.url))
        assert ServerPool(settings).tune(100) == 9


def test_a_worker_says_soon_that_no_server_answers(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    assert pool.FIRST_CHECK_SECONDS <= 2  # beside the start of the database
    monkeypatch.setattr(pool, "FIRST_CHECK_SECONDS", 0.2)
    monkeypatch.setattr("stt.whisper.client.PROBE_SECONDS", 60.0)
    never = _Never()
    with RawServer(never).running() as hanging, caplog.at_level(logging.WARNING):
        ServerPool(load_settings(server_urls=(hanging.url,))).tune(4)
        never.ended.set()
    [line] = caplog.messages
    assert hanging.url in line
    assert "gives up after 5 min (--server-unreachable-minutes)" in line
