"""Silent and slow connections, many at once, against the servers as people start them."""

import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import requests

from stt.store.database import Database
from tests.support.coordinator_process import CoordinatorProcess, running_process
from tests.support.models import sample_model
from tests.support.whisper_process import WhisperProcess, started_server
from tools.flood import Plan, flooding

MAX_FILES = 1_024
IDLE, TRICKLING = 1_100, 100
MAX_LOG = 100_000
HEAD_SECONDS = 10
ANSWER_SECONDS = 60

Running = CoordinatorProcess | WhisperProcess


@contextmanager
def running(
    kind: str, database: Database, mongo_url: str, folder: Path, max_files: int | None = None
) -> Iterator[Running]:
    if kind == "coordinator":
        place = (mongo_url, database.chunks.database.name, folder)
        with running_process(*place, max_files=max_files) as coordinator:
            yield coordinator
        return
    with started_server(max_files=max_files, model=sample_model()) as server:
        server.wait_until_alive()
        yield server


def address_of(server: Running) -> tuple[str, int]:
    host, port = server.url.removeprefix("http://").split(":")
    return host, int(port)


@pytest.mark.parametrize(
    ("kind", "post"),
    [("coordinator", "/login"), ("whisper server", "/v1/audio/transcriptions")],
)
def test_a_server_out_of_files_for_all_who_connect_answers_those_who_ask(
    database: Database, mongo_url: str, tmp_path: Path, kind: str, post: str
) -> None:
    """`ulimit -n 1024`, and more silent connections than that."""
    with running(kind, database, mongo_url, tmp_path, MAX_FILES) as server:
        said_before = len(server.log)
        plan = Plan(*address_of(server), IDLE, TRICKLING, ANSWER_SECONDS, post)
        with flooding(plan) as counts:
            for _ in range(20):
                headers = {"Connection": "close"}
                answer = requests.get(
                    server.url + "/health", headers=headers, timeout=ANSWER_SECONDS
                )
                assert answer.ok
        assert counts["idle opened"] >= IDLE
        assert counts["idle closed by the server"] > 0
        assert len(server.log) - said_before < MAX_LOG
        assert "Traceback" not in server.log


@pytest.mark.parametrize("kind", ["coordinator", "whisper server"])
def test_a_connection_without_a_whole_request_ends_after_ten_seconds(
    database: Database, mongo_url: str, tmp_path: Path, kind: str
) -> None:
    with running(kind, database, mongo_url, tmp_path) as server:
        began_at = time.monotonic()
        ends = {
            name: _opened(server, beginning)
            for name, beginning in (
                ("silent", b""),
                ("half a head", b"GET /health HTTP/1.1\r\nHost: localhost\r\n"),
                ("silent after an answer", b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n"),
            )
        }
        said = {name: _all_of(connection) for name, connection in ends.items()}
        assert time.monotonic() - began_at >= HEAD_SECONDS - 1
        assert said["silent"] == b""
        assert said["half a head"].startswith(b"HTTP/1.1 408 ")
        assert said["silent after an answer"].startswith(b"HTTP/1.1 200 ")


def _opened(server: Running, beginning: bytes) -> socket.socket:
    connection = socket.create_connection(address_of(server), timeout=ANSWER_SECONDS)
    connection.sendall(beginning)
    return connection


def _all_of(connection: socket.socket) -> bytes:
    """Return what comes until the server closes. Raises TimeoutError if it does not."""
    with connection:
        said = b""
        while piece := connection.recv(10_000):
            said += piece
        return said
