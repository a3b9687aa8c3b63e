"""The flood: how many connections of which kind, to this machine alone, and what it measures."""

import contextlib
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from tools.flood import Plan, main


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))

    def log_message(self, *_: object) -> None:
        pass


@contextlib.contextmanager
def patient_server() -> Iterator[str]:
    """A server that closes no connection."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def flood(url: str, *flags: str) -> int:
    return main([url, "--idle", "5", "--trickling", "3", "--seconds", "2", *flags])


def test_it_says_how_health_was_answered_and_what_became_of_the_connections(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    log = tmp_path / "log"
    with patient_server() as url:
        assert flood(url, "--max-p99", "60000", "--log", str(log)) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["health"]["asked"] > 0
    assert found["health"]["failed"] == found["log_bytes"] == 0
    opened = {"idle opened": 5, "head opened": 2, "body opened": 1}
    assert opened.items() <= found["connections"].items()


def test_a_server_that_is_too_slow_fails(capsys: pytest.CaptureFixture[str]) -> None:
    with patient_server() as url:
        assert flood(url, "--max-p99", "0") == 1
    assert json.loads(capsys.readouterr().out)["health"]["failed"] == 0


@pytest.mark.parametrize(
    "arguments",
    [
        ["http://192.0.2.1:8000"],
        ["http://stt.example.org:8000"],
        ["http://127.0.0.1.example.org:8000"],
        ["https://127.0.0.1:8000"],
        ["http://127.0.0.1"],
        ["http://127.0.0.1:8000", "--idle", "100000"],
        ["http://127.0.0.1:8000", "--trickling=-1"],
        ["http://127.0.0.1:8000", "--seconds", "0"],
    ],
)
def test_other_machines_and_endless_floods_are_refused(arguments: list[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 2


def test_trickling_connections_are_shared_out() -> None:
    plan = Plan("127.0.0.1", 1, 1_500, 201, 1)
    assert [plan.count_of(kind) for kind in ("idle", "head", "body")] == [1_500, 101, 100]
