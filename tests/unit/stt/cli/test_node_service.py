"""`stt node service`: what it asks of the machine's service, and how it says what came of it."""

import sys
from pathlib import Path
from unittest.mock import Mock

import pytest

from stt.errors import SttError
from stt.node.credentials import Credentials, CredentialsFile
from stt.system.service.base import Program, ServiceState
from tests.unit.stt.cli.conftest import Run

UNIT = Path("/home/ann/stt-node.service")


@pytest.fixture
def service(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Mock:
    monkeypatch.setenv("STT_CONFIG_DIR", str(tmp_path / "config"))
    service = Mock(path=UNIT, advice=Mock(return_value=None))
    monkeypatch.setattr("stt.cli.service_commands.service_of_this_machine", lambda _: service)
    return service


@pytest.fixture
def registered(tmp_path: Path) -> CredentialsFile:
    file = CredentialsFile(tmp_path / "config")
    file.save(Credentials("http://hub:8000", "mac-1f2e", "key", "Mac"))
    return file


def test_install_starts_this_program_with_the_flags_behind_two_dashes(
    stt: Run, service: Mock, registered: CredentialsFile
) -> None:
    flags = ("--server-url", "http://gpu:8081")
    assert stt("node", "service", "install", "--", *flags) == 0
    command = (sys.executable, "-P", "-m", "stt", "node", "start", "--no-browser", *flags)
    service.install.assert_called_once_with(Program(command, registered.folder))
    assert stt.out == f"The node runs as a service: {UNIT}\n"


def test_a_built_program_starts_itself(
    stt: Run, service: Mock, registered: CredentialsFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "frozen", True, raising=False)
    assert stt("node", "service", "install") == 0
    [program] = service.install.call_args.args
    assert program.command == (sys.executable, "node", "start", "--no-browser")


def test_advice_of_the_system_is_passed_on(
    stt: Run, service: Mock, registered: CredentialsFile
) -> None:
    service.advice.return_value = "Run loginctl enable-linger."
    assert stt("node", "service", "install") == 0
    assert stt.out.splitlines()[-1] == "Run loginctl enable-linger."


def test_a_machine_that_is_not_registered_gets_no_service(stt: Run, service: Mock) -> None:
    assert stt("node", "service", "install") == 3
    service.install.assert_not_called()


@pytest.mark.parametrize(
    ("removed", "words"),
    [(True, "The service is removed"), (False, "There was no service of the node")],
)
def test_uninstall_says_whether_there_was_one(
    stt: Run, service: Mock, removed: bool, words: str
) -> None:
    service.uninstall.return_value = removed
    assert stt("node", "service", "uninstall") == 0
    assert stt.out == f"{words}\n"


@pytest.mark.parametrize(
    ("command", "words"), [("start", "Started"), ("stop", "Stopped"), ("restart", "Restarted")]
)
def test_each_control_is_passed_on(stt: Run, service: Mock, command: str, words: str) -> None:
    assert stt("node", "service", command) == 0
    service.control.assert_called_once_with(command)
    assert stt.out == f"{words}\n"


def test_what_the_system_refuses_is_one_line(stt: Run, service: Mock) -> None:
    service.control.side_effect = SttError("systemctl: no")
    assert stt("node", "service", "start") == 1
    assert stt.err == "Error: systemctl: no\n"


@pytest.mark.parametrize(
    ("state", "code", "line"),
    [
        (ServiceState(False, False, ""), 1, "There is no service of the node here"),
        (ServiceState(True, False, "failed"), 1, f"failed: {UNIT}"),
        (ServiceState(True, True, "active (running)"), 0, f"active (running): {UNIT}"),
    ],
)
def test_status_exits_with_1_unless_it_runs(
    stt: Run, service: Mock, state: ServiceState, code: int, line: str
) -> None:
    service.state.return_value = state
    assert stt("node", "service", "status") == code
    assert stt.out.startswith(line)


def test_logs_are_those_of_the_systems_tool_with_its_exit_code(stt: Run, service: Mock) -> None:
    service.log_command.return_value = [sys.executable, "-c", "raise SystemExit(5)"]
    assert stt("node", "service", "logs", "-n", "7", "--follow") == 5
    service.log_command.assert_called_once_with(7, True)
