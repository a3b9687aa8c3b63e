"""The node's page: what it shows, to whom, and at which port."""

import socket
from collections.abc import Iterator
from dataclasses import dataclass
from unittest.mock import Mock

import pytest
import requests

from stt.errors import ConfigError
from stt.node import page as module
from stt.node.agent import NodeAgent
from stt.node.page import create_app, page
from stt.node.status import AgentStatus
from stt.system.http import http_session
from tests.support.routes import addresses

STATUS = AgentStatus(
    phase="working", detail="", node_id="mac-1f2e", name="Mac", server_url="http://hub",
    is_reached=True, has_channel=True, priority=0, model="tiny", device="cpu",
    whisper_server="http://127.0.0.1:8081", has_own_server=True, jobs=(),
    counts={"transcribed": 3}, in_flight=1,
)  # fmt: skip
FLEET = {"counts": {"pending": 3}, "rate": {}, "eta_seconds": 5, "nodes": {}, "secret": "s"}


@dataclass(frozen=True)
class Page:
    url: str
    node: Mock

    def get(self, path: str, **headers: str) -> requests.Response:
        with http_session(self.url) as session:
            return session.get(self.url + path, headers=headers, timeout=60)


@pytest.fixture(scope="module")
def shown() -> Iterator[Page]:
    node = Mock(NodeAgent, lock=Mock(), fleet=Mock())
    node.status.return_value = STATUS
    node.fleet.get.return_value = FLEET
    with page(node, 0) as url:
        yield Page(url, node)


def test_its_state_is_the_nodes_and_what_the_fleet_has_to_show(shown: Page) -> None:
    shown.node.fleet.get.return_value = FLEET
    state = shown.get("/api/state").json()
    assert (state["name"], state["phase"], state["counts"]) == (
        "Mac",
        "working",
        {"transcribed": 3},
    )
    assert state["fleet"] == {
        "counts": {"pending": 3}, "rate": {}, "eta_seconds": 5, "nodes": {},
        "audio_seconds_done": None,
    }  # fmt: skip


def test_without_an_answer_of_the_coordinator_the_fleet_is_unknown(shown: Page) -> None:
    shown.node.fleet.get.return_value = None
    assert shown.get("/api/state").json()["fleet"] is None


def test_the_page_and_its_files_come_with_headers_that_let_nothing_else_in(shown: Page) -> None:
    for path in ("/", "/node.js", "/node.css", "/api/state"):
        answer = shown.get(path)
        assert answer.status_code == 200, path
        assert "default-src 'none'" in answer.headers["Content-Security-Policy"]
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert answer.headers["Cache-Control"] == "no-store"
        assert answer.headers["Cross-Origin-Resource-Policy"] == "same-origin"
        assert "Server" not in answer.headers


@pytest.mark.parametrize("host", ["evil.example", "evil.example:8001", "127.0.0.1.evil.example"])
def test_a_site_whose_name_points_here_reads_nothing(shown: Page, host: str) -> None:
    answer = shown.get("/api/state", Host=host)
    assert answer.status_code == 400
    assert "Mac" not in answer.text


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site", "Sec-Fetch-Dest": "script"},
    ],
    ids=str,
)
def test_a_page_of_another_site_or_port_reads_nothing(shown: Page, headers: dict[str, str]) -> None:
    for path in ("/", "/api/state", "/node.js"):
        answer = shown.get(path, **headers)
        assert answer.status_code == 403
        assert "Access-Control-Allow-Origin" not in answer.headers
        assert answer.headers["X-Content-Type-Options"] == "nosniff"


def test_a_link_leads_to_it_and_its_own_script_reads_it(shown: Page) -> None:
    link = {"Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"}
    assert shown.get("/", **{"Sec-Fetch-Site": "cross-site"}, **link).status_code == 200
    assert shown.get("/api/state", **{"Sec-Fetch-Site": "same-origin"}).status_code == 200


def test_all_its_routes_only_read(shown: Page) -> None:
    methods = {method for method, _ in addresses(create_app(shown.node).routes)}
    assert methods <= {"GET", "HEAD"}


@pytest.mark.parametrize("host", ["localhost", "localhost:8001", "127.0.0.1:8001"])
def test_this_machine_may_be_called_by_either_name(shown: Page, host: str) -> None:
    assert shown.get("/api/state", Host=host).status_code == 200


def test_silent_connections_do_not_take_the_nodes_files(shown: Page) -> None:
    port = int(shown.url.rpartition(":")[2])
    silent = [
        socket.create_connection(("127.0.0.1", port), timeout=60)
        for _ in range(module._MAX_CONNECTIONS + 1)
    ]
    assert silent[0].recv(1) == b""
    assert shown.get("/").status_code == 200
    for connection in silent:
        connection.close()


def test_nothing_can_be_changed_through_it(shown: Page) -> None:
    with http_session(shown.url) as session:
        for method in ("POST", "PUT", "DELETE"):
            assert session.request(method, shown.url + "/api/state", timeout=60).status_code == 405
    assert shown.get("/openapi.json").status_code == 404


def test_its_address_is_recorded_for_the_status_command(shown: Page) -> None:
    shown.node.lock.update.assert_called_once_with(page_url=shown.url)


def test_a_port_that_is_taken_is_passed_over() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with module._listen(port) as listener:
            assert port < listener.getsockname()[1] < port + module._MAX_PORTS


def test_without_a_free_port_it_says_which_flag_names_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_MAX_PORTS", 1)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(ConfigError, match=f"no port from {port} on .*--page-port"):
            module._listen(port)
