"""`stt node`: joining, leaving and the status of this machine, as the terminal shows them."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest

from stt.cli import node as command
from stt.domain.node import Job
from stt.errors import DatabaseUnavailable, NodeRemoved
from stt.node.credentials import Credentials, CredentialsFile
from stt.node.registration import NodeStatus
from tests.unit.stt.cli.conftest import Run

MADE = Credentials("http://hub:8000", "mac-1f2e", "a-secret-key", "Mac")


@pytest.fixture(autouse=True)
def _config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STT_CONFIG_DIR", str(tmp_path / "config"))
    monkeypatch.delenv("STT_JOIN_CODE", raising=False)


@pytest.fixture
def register(monkeypatch: pytest.MonkeyPatch) -> Mock:
    register = Mock(return_value=MADE)
    monkeypatch.setattr("stt.node.registration.register", register)
    return register


@pytest.fixture
def found(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Set what this machine and its coordinator answer."""

    def find(**fields: Any) -> None:
        usual: dict[str, Any] = {
            "is_registered": True, "config": "node.json", "server_url": MADE.server_url,
            "node_id": MADE.node_id, "name": MADE.name, "coordinator_answers": True,
            "coordinator_state": "busy", "is_running": True, "pid": 7, "phase": "working",
        }  # fmt: skip
        status = NodeStatus(**usual | fields)
        monkeypatch.setattr("stt.node.registration.node_status", lambda _: status)

    return find


class TestRegister:
    def test_the_code_comes_from_the_environment_and_the_key_is_not_shown(
        self, stt: Run, register: Mock, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("STT_JOIN_CODE", "AAAA-BBBB-CCCC")
        assert stt("node", "register", "--server", MADE.server_url, "--name", "Mac") == 0
        assert register.call_args.args[1:] == (MADE.server_url, "Mac", "AAAA-BBBB-CCCC")
        assert "Registered as 'Mac' (mac-1f2e) at http://hub:8000" in stt.out
        assert "a-secret-key" not in stt.out + stt.err

    def test_the_name_is_the_machines_own_if_none_is_given(
        self, stt: Run, register: Mock, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("STT_JOIN_CODE", "AAAA-BBBB-CCCC")
        monkeypatch.setattr("platform.node", lambda: "box")
        assert stt("node", "register", "--server", MADE.server_url) == 0
        assert register.call_args.args[2] == "box"

    def test_without_a_code_and_a_terminal_to_ask_at_it_says_what_to_set(
        self, stt: Run, register: Mock, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("sys.stdin", Mock(isatty=lambda: False))
        assert stt("node", "register", "--server", MADE.server_url) == 3
        assert "set STT_JOIN_CODE" in stt.err
        register.assert_not_called()

    def test_an_address_is_needed(self, stt: Run) -> None:
        assert stt("node", "register") == 2
        assert "--server" in stt.err

    def test_what_is_no_address_is_refused(self, stt: Run, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("STT_JOIN_CODE", "AAAA-BBBB-CCCC")
        assert stt("node", "register", "--server", "hub:8000") == 3
        assert "'hub:8000' is not a coordinator's address" in stt.err


class TestStatus:
    def test_a_running_node_shows_its_coordinator_process_and_jobs(
        self, stt: Run, found: Callable[..., None]
    ) -> None:
        found(jobs=(Job(("a",), "talk.mp3", 90.0, 5.0),), page_url="http://127.0.0.1:8001")
        assert stt("node", "status") == 0
        assert stt.out.splitlines() == [
            "Node:         Mac (mac-1f2e)",
            "Coordinator:  http://hub:8000 answers, sees it transcribing",
            "Process:      runs (process 7), transcribing",
            "Page:         http://127.0.0.1:8001",
            "Transcribing: 1 sequence",
            "  talk.mp3: 1:30 of audio, for 0:05",
        ]

    def test_a_node_that_does_not_run_is_exit_code_1(
        self, stt: Run, found: Callable[..., None]
    ) -> None:
        found(is_running=False, pid=None, phase=None, coordinator_state="offline")
        assert stt("node", "status") == 1
        assert "Process:      does not run" in stt.out

    @pytest.mark.parametrize(
        ("trouble", "state", "code", "words"),
        [
            (NodeRemoved("It was removed."), "removed", 3, "has removed this node"),
            (DatabaseUnavailable("No answer."), None, 4, "does not answer"),
        ],
    )
    def test_trouble_has_its_own_exit_code_as_text_and_as_json(
        self, stt: Run, found: Callable[..., None],
        trouble: Exception, state: str | None, code: int, words: str,
    ) -> None:  # fmt: skip
        found(trouble=trouble, coordinator_answers=False, coordinator_state=state)
        assert stt("node", "status") == code
        assert words in stt.out
        assert stt.err == f"Error: {trouble}\n"
        assert stt("node", "status", "--json") == code
        assert json.loads(stt.out)["trouble"] == str(trouble)

    def test_a_machine_that_is_no_node_says_how_to_register(self, stt: Run) -> None:
        assert stt("node", "status") == 3
        assert "This machine is no node yet" in stt.err
        assert stt("node", "status", "--json") == 3
        assert json.loads(stt.out)["is_registered"] is False


def test_a_node_that_is_not_registered_cannot_start_or_leave(stt: Run) -> None:
    for arguments in (("start",), ("unregister",)):
        assert stt("node", *arguments) == 3
        assert "This machine is no node yet" in stt.err


def test_a_broken_file_is_removed_by_force(stt: Run, tmp_path: Path) -> None:
    file = CredentialsFile(tmp_path / "config")
    file.save(MADE)
    file.path.write_text("{")
    assert stt("node", "unregister") == 3
    assert file.path.exists()
    assert stt("node", "unregister", "--force") == 0
    assert stt.out == f"{file.path} is removed\n"
    assert not file.path.exists()


def test_a_coordinator_that_is_away_keeps_a_node_from_leaving_unless_forced(
    stt: Run, tmp_path: Path
) -> None:
    file = CredentialsFile(tmp_path / "config")
    file.save(Credentials("http://127.0.0.1:1", "mac-1f2e", "key", "Mac"))
    assert stt("node", "unregister") == 4
    assert "With --force" in stt.err
    assert file.path.exists()
    assert stt("node", "unregister", "--force") == 0
    assert "'Mac' has left http://127.0.0.1:1" in stt.out


@pytest.mark.parametrize("name", ["register --server http://hub", "start", "status", "unregister"])
def test_without_its_extra_it_says_what_to_install(
    stt: Run, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(command, "find_spec", lambda _: None)
    assert stt("node", *name.split()) == 3
    assert "pip install 'stt-fleet[node]'" in stt.err


@pytest.mark.parametrize("port", ["-1", "65536", "many"])
def test_a_port_that_can_be_none_is_refused(stt: Run, port: str) -> None:
    assert stt("node", "start", "--page-port", port) == 2
    assert "--page-port" in stt.err
