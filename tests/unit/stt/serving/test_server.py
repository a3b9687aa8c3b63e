"""The server's limits of files and connections, and what it logs of those that it cannot take."""

import asyncio
import logging
import resource
import socket
import threading
import time
from collections.abc import Iterator
from typing import Any
from unittest.mock import Mock

import pytest
import requests
import uvicorn

from stt.serving.connections import AT_LIMIT
from stt.serving.server import MAX_FILES, BoundedServer
from tests.support.pace import until


async def app(scope: Any, _: Any, send: Any) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"ok"})


def bounded_server(max_connections: int | None = None) -> BoundedServer:
    config = uvicorn.Config(
        app, interface="asgi3", lifespan="off", log_config=None, access_log=False
    )
    return BoundedServer(config, max_connections)


@pytest.fixture
def running() -> Iterator[tuple[BoundedServer, str]]:
    """A server with three connections at most, and its address."""
    listening = socket.create_server(("127.0.0.1", 0))
    server = bounded_server(3)
    thread = threading.Thread(target=server.run, args=([listening],))
    thread.start()
    until(lambda: server.started)
    yield server, f"http://127.0.0.1:{listening.getsockname()[1]}"
    server.should_exit = True
    thread.join(60)


@pytest.mark.parametrize(
    ("soft", "hard", "raised_to", "connections"),
    [
        (1_024, 1_024, None, 768),
        (1_024, 4_000, 4_000, 3_000),
        (256, resource.RLIM_INFINITY, MAX_FILES, MAX_FILES * 3 // 4),
        (20_000, 1_000_000, None, MAX_FILES * 3 // 4),
        (resource.RLIM_INFINITY, resource.RLIM_INFINITY, None, MAX_FILES * 3 // 4),
    ],
)
def test_the_limit_of_files_is_raised_and_connections_stay_below_it(
    monkeypatch: pytest.MonkeyPatch,
    soft: int,
    hard: int,
    raised_to: int | None,
    connections: int,
) -> None:
    limits: list[tuple[int, int]] = []
    monkeypatch.setattr(resource, "getrlimit", lambda _: (soft, hard))
    monkeypatch.setattr(resource, "setrlimit", lambda _, limit: limits.append(limit))
    assert bounded_server().server_state.limit == connections
    assert limits == ([] if raised_to is None else [(raised_to, hard)])


def test_a_limit_that_cannot_be_raised_is_the_one_that_holds(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refuse(*_: object) -> None:
        raise ValueError("current limit exceeds maximum limit")

    monkeypatch.setattr(resource, "getrlimit", lambda _: (400, resource.RLIM_INFINITY))
    monkeypatch.setattr(resource, "setrlimit", refuse)
    assert bounded_server().server_state.limit == 300
    assert bounded_server(50).server_state.limit == 50


def test_a_server_full_of_silent_connections_answers_and_says_so_once(
    running: tuple[BoundedServer, str], caplog: pytest.LogCaptureFixture
) -> None:
    _, url = running
    port = int(url.rpartition(":")[2])
    silent = [socket.create_connection(("127.0.0.1", port), timeout=60) for _ in range(20)]
    with requests.Session() as session:
        session.trust_env = False
        assert session.get(url, timeout=60).text == "ok"
    assert all(one.recv(1) == b"" for one in silent[:-3])
    for one in silent:
        one.close()
    lines = [line for line in caplog.messages if line.startswith(AT_LIMIT.partition("%d")[0])]
    assert len(lines) == 1


def test_silent_connections_are_looked_at_every_second(
    running: tuple[BoundedServer, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    server, _ = running
    looked_at: list[float] = []
    monkeypatch.setattr(server.server_state, "close_slow", looked_at.append)
    until(lambda: len(looked_at) >= 2)
    assert looked_at[0] <= looked_at[1] <= time.monotonic()


def test_failed_accepts_make_room_and_are_logged_once_a_second(
    running: tuple[BoundedServer, str],
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    server, _ = running
    closed: list[None] = []
    monkeypatch.setattr(server.server_state, "close_longest_waiting", lambda: closed.append(None))
    began_at = time.monotonic()
    error = {"message": "socket.accept() out of system resource", "exception": OSError(24, "")}
    for _ in range(100):
        server._handle_loop_error(Mock(asyncio.AbstractEventLoop), error)
    assert len(closed) == 100
    said = [record.exc_info for record in caplog.records if "ulimit" in record.getMessage()]
    assert said
    assert not any(said)
    assert len(said) <= time.monotonic() - began_at + 1


def test_other_errors_of_the_event_loop_are_logged_as_before() -> None:
    loop, error = Mock(asyncio.AbstractEventLoop), {"message": "a task failed"}
    bounded_server()._handle_loop_error(loop, error)
    loop.default_exception_handler.assert_called_once_with(error)


def test_what_clients_without_a_key_can_cause_is_logged_once_a_second(
    running: tuple[BoundedServer, str], caplog: pytest.LogCaptureFixture
) -> None:
    _, url = running
    port = int(url.rpartition(":")[2])
    caplog.set_level(logging.INFO, "uvicorn.error")
    began_at = time.monotonic()
    for _ in range(30):
        with socket.create_connection(("127.0.0.1", port), timeout=60) as client:
            client.sendall(b"what?\r\n\r\n")
            assert b"400" in client.recv(100)
    lines = sum(line == "Invalid HTTP request received." for line in caplog.messages)
    assert 1 <= lines <= time.monotonic() - began_at + 1
