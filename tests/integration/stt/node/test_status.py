"""What a node says of itself: the test of its whisper server, and the status on its page."""

import contextlib
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest

from stt.errors import ServerUnavailable, SttError
from stt.node.credentials import CredentialsFile
from stt.node.status import Activity, fetch_fleet, fetch_status
from stt.node.whisper_server import WhisperServer
from stt.remote.client import CoordinatorClient
from stt.settings import Settings
from tests.support.coordinator_app import CoordinatorThread
from tests.support.mongo_process import free_port
from tests.support.node_membership import join
from tests.support.scripted_server import Answer, ScriptedServer, always

STATUS: dict[str, Any] = {
    "phase": "working", "detail": "", "node_id": "m4-3fa2", "name": "M4",
    "server_url": "http://127.0.0.1:9", "is_reached": True, "has_channel": True, "priority": 0,
    "model": None, "device": None, "whisper_server": "", "has_own_server": True, "jobs": [],
    "counts": {"transcribed": 3}, "in_flight": 1,
}  # fmt: skip


@contextlib.contextmanager
def page_with(body: str) -> Iterator[str]:
    """Serve `body` at every path, and yield the URL."""

    class Page(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(body.encode())

        def log_message(self, *_: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Page) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def test_the_status_is_read_from_the_nodes_page() -> None:
    with page_with(json.dumps({**STATUS, "fleet": {"counts": {}}, "of a later version": 1})) as url:
        status = fetch_status(url)
    assert status is not None
    assert (status.phase, status.name, status.counts) == ("working", "M4", {"transcribed": 3})


@pytest.mark.parametrize("body", ["", "<html>", "[]", "{}", json.dumps(STATUS | {"phase": "?"})])
def test_another_program_on_that_port_has_no_status(body: str) -> None:
    with page_with(body) as url:
        assert fetch_status(url) is None


def test_without_a_page_there_is_no_status() -> None:
    assert fetch_status(f"http://127.0.0.1:{free_port()}") is None


def test_the_fleet_is_the_coordinators_status(
    coordinator: CoordinatorThread, file: CredentialsFile
) -> None:
    made = join(coordinator, file)
    fleet = fetch_fleet(CoordinatorClient(made.server_url, made.api_key))
    assert fleet is not None
    assert fleet["counts"]["pending"] == 0
    assert fetch_fleet(CoordinatorClient(made.server_url, "of somebody else")) is None
    away = CoordinatorClient(f"http://127.0.0.1:{free_port()}", made.api_key)
    assert fetch_fleet(away) is None


def test_a_test_says_how_the_whisper_server_did() -> None:
    with ScriptedServer(always()).running() as server:
        own = WhisperServer(Settings(server_urls=(server.url,)), is_own=True)
        working = Activity("working", server=own)
        assert working.test(60).startswith("Transcribed a short recording")
        server.canary = Answer(401, {})
        with pytest.raises(SttError, match="STT_API_KEY"):
            working.test(60)
    with pytest.raises(ServerUnavailable):
        working.test(60)


def test_a_node_without_a_server_says_why() -> None:
    with pytest.raises(SttError, match=r"^The node is paused: switched off by a person$"):
        Activity("paused", "switched off by a person").test(1)
    with pytest.raises(SttError, match=r"^The node is connecting$"):
        Activity("connecting").test(1)
