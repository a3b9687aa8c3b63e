"""What the commands of services have in common; test_node_service.py runs each of them."""

import sys
from pathlib import Path
from unittest.mock import Mock

import pytest

from stt.cli import service_commands
from stt.cli.watch_service import WATCH
from stt.system.service import Program


def test_a_service_runs_this_program_as_it_was_started(monkeypatch: pytest.MonkeyPatch) -> None:
    assert service_commands.own_command("status") == (sys.executable, "-P", "-m", "stt", "status")
    monkeypatch.setattr(sys, "frozen", True, raising=False)
    assert service_commands.own_command("status") == (sys.executable, "status")


def test_install_says_where_the_service_is(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    service = Mock(path=Path("/home/ann/stt-watch.service"), advice=lambda: "It ends at logout.")
    kinds: list[object] = []

    def of_kind(kind: object) -> Mock:
        kinds.append(kind)
        return service

    monkeypatch.setattr(service_commands, "service_of_this_machine", of_kind)
    program = Program(("/bin/stt",), Path("/"))
    service_commands.install(WATCH, program)
    service.install.assert_called_once_with(program)
    assert kinds == [WATCH]
    assert capsys.readouterr().out == (
        "The watch runs as a service: /home/ann/stt-watch.service\nIt ends at logout.\n"
    )
